//! One document under way.

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
    tenant::{Policy, Tenants},
};

/// The policy of a document; an unknown tenant has none, and the document goes nowhere (I6).
pub(super) fn policy(
    tenants: &Tenants,
    tenant: Option<&str>,
    position: &Position,
    id: &DocumentId,
) -> Result<Arc<Policy>, DeadLetter> {
    if let Some(policy) = tenants.policy(tenant) {
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

/// Times that a document is given to a model that fails on it.
const ATTEMPTS: u32 = 3;

/// Bytes of results that a byte of a document is expected to become while it is processed: text with an
/// address in every 40 bytes becomes 20 times its size.
///
/// Less: documents full of entities take more memory than the bound allows. More: fewer documents at a
/// time.
const GROWTH: u64 = 32;

/// A document whose task runs.
pub(super) struct Working {
    task: JoinHandle<Result<Done, DeadLetter>>,
    finished: Option<Result<Result<Done, DeadLetter>, JoinError>>,
    began: Instant,
    document: Arc<Document>,
    policy: Arc<Policy>,
    /// Bytes of what the task made, once it has ended.
    made: Arc<AtomicU64>,
}

impl Working {
    /// Starts the work in a task of its own: a panic costs the document.
    pub(super) fn start(
        engine: &Engine,
        policy: Arc<Policy>,
        document: Document,
        plain_text: PlainText,
    ) -> Self {
        let document = Arc::new(document);
        let (engine, own_policy, own) = (engine.clone(), policy.clone(), document.clone());
        Self::spawn(policy, document, async move {
            let mut attempts = 1;
            loop {
                let done = document::process(&engine, &own_policy, &own, plain_text).await;
                let error = match done {
                    Ok(done) => return Ok(done),
                    Err(error) => error,
                };
                // A model may fail for want of memory, which passes; a record's own fault does not.
                if error.code() == Code::ModelFailed && attempts < ATTEMPTS && !engine.has_stopped()
                {
                    tokio::time::sleep(Duration::from_millis(100) * attempts).await;
                    attempts += 1;
                    continue;
                }
                let tenant = own_policy.tenant.to_string();
                let id = Some(own.id.in_dead_letter());
                let mut letter = error.dead_letter(own.position.clone(), Some(tenant), id);
                letter.attempts = attempts;
                return Err(letter);
            }
        })
    }

    /// A document of which `work` makes what goes downstream.
    pub(super) fn spawn(
        policy: Arc<Policy>,
        document: Arc<Document>,
        work: impl Future<Output = Result<Done, DeadLetter>> + Send + 'static,
    ) -> Self {
        let made = Arc::new(AtomicU64::new(0));
        let told = made.clone();
        let task = tokio::spawn(async move {
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
    pub(super) async fn done(mut self) -> Result<(Done, u64, Instant), DeadLetter> {
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
