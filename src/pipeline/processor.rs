//! One document in, its records out: what the command line, a job, a slot and programs that embed weir call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::{JoinError, JoinHandle};

use super::{Engine, document};
use crate::{
    record::{Code, DeadLetter, Document, DocumentId, Done, PlainText, Position, Stage},
    telemetry::trace,
    tenant::{Policy, Tenants},
};

/// Makes of a document what goes downstream: its records, or the dead letter that stands for it. Cheap to clone.
#[derive(Clone)]
pub struct Processor {
    engine: Engine,
    tenants: Arc<Tenants>,
}

impl Processor {
    /// Processes documents by the tenants of one moment.
    pub fn new(engine: &Engine, tenants: Arc<Tenants>) -> Self {
        let engine = engine.clone();
        Self { engine, tenants }
    }

    /// What becomes of a document.
    ///
    /// # Errors
    /// The dead letter that goes downstream in its place (I6).
    pub async fn process(&self, document: Document, form: PlainText) -> Result<Done, DeadLetter> {
        let (done, ..) = self.start(document, form)?.done().await?;
        Ok(*done)
    }

    /// Starts the work on a document in a task of its own: a panic costs this document and no other.
    ///
    /// # Errors
    /// Its tenant has no policy.
    pub fn start(&self, document: Document, form: PlainText) -> Result<Working, DeadLetter> {
        let tenant = document.tenant.as_deref();
        let policy = self.policy(tenant, &document.position, &document.id)?;
        let document = Arc::new(document);
        let (engine, own_policy, own) = (self.engine.clone(), policy.clone(), document.clone());
        let work = async move { tried(&engine, &own_policy, &own, form).await };
        Ok(Working::spawn(policy, document, work))
    }

    /// The policy of a document; an unknown tenant has none, and the document goes nowhere (I6).
    pub fn policy(
        &self,
        tenant: Option<&str>,
        position: &Position,
        id: &DocumentId,
    ) -> Result<Arc<Policy>, DeadLetter> {
        if let Some(policy) = self.tenants.policy(tenant) {
            return Ok(policy.clone());
        }
        let reason = match tenant {
            Some(_) => "the tenant is unknown: its file is missing",
            None => "the document names no tenant, and there is no default tenant",
        };
        Err(DeadLetter {
            source: position.clone(),
            // A name that is no tenant's is text of the record.
            tenant: None,
            document_id: Some(id.in_dead_letter()),
            stage: Stage::Tenant,
            code: Code::UnknownTenant,
            reason: reason.to_owned(),
            attempts: 1,
        })
    }
}

/// Processes a document, again if the model fails on it.
async fn tried(
    engine: &Engine,
    policy: &Policy,
    document: &Document,
    form: PlainText,
) -> Result<Box<Done>, DeadLetter> {
    let mut attempts = 1;
    loop {
        let error = match document::process(engine, policy, document, form).await {
            // Boxed: it is moved from hand to hand until it is written.
            Ok(done) => return Ok(Box::new(done)),
            Err(error) => error,
        };
        if error.may_pass() && attempts < ATTEMPTS && !engine.has_stopped() {
            tokio::time::sleep(Duration::from_millis(100) * attempts).await;
            attempts += 1;
            continue;
        }
        let tenant = policy.tenant.to_string();
        let id = Some(document.id.in_dead_letter());
        let mut letter = error.dead_letter(document.position.clone(), Some(tenant), id);
        letter.attempts = attempts;
        return Err(letter);
    }
}

/// Times that a document is given to a model that fails on it.
const ATTEMPTS: u32 = 3;

/// Bytes of results that a byte of a document is expected to become while it is processed: text with an
/// address in every 40 bytes becomes 20 times its size.
///
/// Less: documents full of entities take more memory than the bound allows. More: fewer documents at a
/// time.
const GROWTH: u64 = 32;

/// A document whose task runs.
pub struct Working {
    task: JoinHandle<Result<Box<Done>, DeadLetter>>,
    finished: Option<Result<Result<Box<Done>, DeadLetter>, JoinError>>,
    began: Instant,
    document: Arc<Document>,
    policy: Arc<Policy>,
    /// Bytes of what the task made, once it has ended.
    made: Arc<AtomicU64>,
}

impl Working {
    /// A document of which `work` makes what goes downstream.
    pub(super) fn spawn(
        policy: Arc<Policy>,
        document: Arc<Document>,
        work: impl Future<Output = Result<Box<Done>, DeadLetter>> + Send + 'static,
    ) -> Self {
        let made = Arc::new(AtomicU64::new(0));
        let told = made.clone();
        // What is done for the document belongs to the span that its work began in.
        let task = trace::spawn(async move {
            let done = work.await?;
            told.store(done.held(), Ordering::Release);
            Ok(done)
        });
        Self {
            task,
            finished: None,
            began: Instant::now(),
            document,
            policy,
            made,
        }
    }

    /// Bytes of the document and of what it became, or may become.
    pub(super) fn held(&self) -> u64 {
        let bytes = self.document.body.bytes();
        match (self.made.load(Ordering::Acquire), self.ended()) {
            (0, false) => bytes * GROWTH,
            (made, _) => bytes + made,
        }
    }

    /// Bytes of the document's text.
    pub(super) fn bytes(&self) -> u64 {
        self.document.body.bytes()
    }

    /// The document.
    pub fn document(&self) -> &Arc<Document> {
        &self.document
    }

    /// The policy by which it is processed.
    pub(super) fn policy(&self) -> Arc<Policy> {
        self.policy.clone()
    }

    /// Whether the task has ended: [`Self::done`] will not wait.
    pub(super) fn ended(&self) -> bool {
        self.finished.is_some() || self.task.is_finished()
    }

    /// Waits for the task; may be dropped and called again.
    pub(super) async fn finish(&mut self) {
        if self.finished.is_none() {
            self.finished = Some((&mut self.task).await);
        }
    }

    /// The document, its size, and when it was read.
    pub async fn done(mut self) -> Result<(Box<Done>, u64, Instant), DeadLetter> {
        self.finish().await;
        match self.finished.expect("waited for above") {
            Ok(done) => done.map(|done| (done, self.document.body.bytes(), self.began)),
            Err(_) => Err(DeadLetter {
                source: self.document.position.clone(),
                tenant: Some(self.policy.tenant.to_string()),
                document_id: Some(self.document.id.in_dead_letter()),
                stage: Stage::Decode,
                code: Code::Panicked,
                reason: "internal error".to_owned(),
                attempts: 1,
            }),
        }
    }
}
