//! A job: the objects of a place, each claimed, processed in order and published as a whole.
//!
//! Several objects are under way at a time, and many documents of each; results leave in the order
//! of the object. An object that is not committed leaves nothing behind and is done again by the
//! next run.

mod audit;
mod run;
mod text;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use metrics::{counter, gauge};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::run::{Feed, Outlet, Run};
use super::{Engine, progress::Progress};
use crate::{
    model,
    record::{PlainText, Stage},
    sink::{self, Claimed, Ledger},
    source::{self, Object, Objects, Reader},
    telemetry::{metric, trace},
    tenant::reload,
};

/// Objects under way at a time: more than one, so that the model does not wait for the end of an
/// object to be published; few, because each holds open files.
const OBJECTS_AT_ONCE: usize = 4;

/// Files that are left out and named one by one.
const UNLISTED_NAMED: usize = 20;

/// What is run.
#[derive(Clone)]
pub struct Job {
    /// The model.
    pub engine: Engine,
    /// The tenants; an object keeps the set with which it was begun.
    pub tenants: reload::Handle,
    /// Bounds.
    pub limits: Limits,
    /// Cancelled: no further object is begun.
    pub drain: CancellationToken,
    /// Counts of what is done.
    pub progress: Arc<Progress>,
}

/// Bounds of a job.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Documents; `None` for all.
    pub documents: Option<u64>,
    /// Dead letters before the job stops.
    pub dead_letters: Option<u64>,
    /// Bytes of documents between source and sink.
    pub in_flight_bytes: u64,
}

/// Why a job stopped before its end. What was committed stays; the rest is done by the next run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source can't be read.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The sink can't be written.
    #[error(transparent)]
    Sink(#[from] sink::Error),
    /// The engine ended.
    #[error("the model's threads have ended")]
    Engine,
    /// The server of a model is away, or refuses what it is asked.
    #[error(transparent)]
    Model(model::Error),
}

impl Error {
    /// The reason, if it is what an object holds, and not the place where records go.
    fn of_content(&self) -> Option<String> {
        match self {
            Self::Sink(sink::Error::Table { problem, .. }) => {
                Some(format!("the object cannot be written ({problem})"))
            }
            _ => None,
        }
    }

    fn count(&self) {
        let (stage, error_type) = match self {
            Self::Source(_) => (Stage::Source, "source"),
            Self::Sink(sink::Error::Lost { .. }) => (Stage::Sink, "lost"),
            Self::Sink(sink::Error::Place(_) | sink::Error::Loop { .. }) => (Stage::Sink, "place"),
            Self::Sink(sink::Error::Store { .. }) => (Stage::Sink, "store"),
            Self::Sink(sink::Error::Write { .. }) => (Stage::Sink, "write"),
            Self::Sink(_) => (Stage::Sink, "other"),
            Self::Engine => (Stage::Model, "engine"),
            Self::Model(_) => (Stage::Model, "server"),
        };
        counter!(metric::ERRORS_TOTAL, "stage" => stage.as_str(), "error_type" => error_type)
            .increment(1);
    }
}

/// What tells an object of one version from all others.
fn key(object: &Object) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&(object.path.len() as u64).to_le_bytes())
        .update(object.path.as_bytes())
        .update(object.version.as_bytes());
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// What a job did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Documents delivered.
    pub documents: u64,
    /// Entities in them.
    pub entities: u64,
    /// Dead letters by code.
    pub dead_letters: BTreeMap<String, u64>,
    /// Objects committed by this run.
    pub objects: u64,
    /// Objects that were committed before.
    pub skipped: u64,
    /// Objects that other workers hold.
    pub busy: u64,
    /// Objects of formats that weir does not read.
    pub unknown: u64,
    /// Files that can't be read for their name or kind: each is named in the log.
    pub unlisted: u64,
    /// Objects that the patterns leave out.
    pub left_out: u64,
    /// Objects that there were to read.
    pub listed: u64,
    /// Whether a signal ended it early.
    pub drained: bool,
}

impl Summary {
    /// Takes in what was listed, and logs what is left out if that has changed.
    fn tell(&mut self, listing: &source::Listing) {
        let unknown = listing.unknown.values().sum();
        if unknown != self.unknown {
            for (extension, count) in &listing.unknown {
                warn!(%extension, count, "objects left out: weir does not read their format");
            }
        }
        self.unknown = unknown;
        let unlisted = listing.unlisted.len() as u64;
        if unlisted != self.unlisted {
            for left in listing.unlisted.iter().take(UNLISTED_NAMED) {
                warn!(object = %left.escaped(), reason = %left.reason, "left out");
            }
            if listing.unlisted.len() > UNLISTED_NAMED {
                warn!(
                    count = unlisted,
                    named = UNLISTED_NAMED,
                    "more are left out"
                );
            }
        }
        self.unlisted = unlisted;
        self.left_out = listing.left_out;
        self.listed = listing.objects.len() as u64;
    }

    /// What some progress came to.
    pub fn of(progress: &Progress) -> Self {
        Self {
            documents: progress.documents.load(Ordering::Relaxed),
            entities: progress.entities.load(Ordering::Relaxed),
            dead_letters: progress
                .dead_letters_by_code()
                .into_iter()
                .map(|(code, count)| (code.to_owned(), count))
                .collect(),
            objects: progress.objects_done.load(Ordering::Relaxed),
            ..Self::default()
        }
    }
}

impl Job {
    /// Runs over the objects of a place; ends when each is committed, by this worker or another.
    pub async fn objects(&self, objects: &Objects, sink: &Target) -> Result<Summary, Error> {
        self.rounds(objects, sink, None).await
    }

    /// Runs over the objects of a place, and looks for more after each `poll` until it is drained.
    pub async fn worker(
        &self,
        objects: &Objects,
        sink: &Target,
        poll: Duration,
    ) -> Result<Summary, Error> {
        self.rounds(objects, sink, Some(poll)).await
    }

    async fn rounds(
        &self,
        objects: &Objects,
        sink: &Target,
        poll: Option<Duration>,
    ) -> Result<Summary, Error> {
        gauge!(metric::QUEUE_LIMIT_BYTES, "queue" => "documents")
            .set(self.limits.in_flight_bytes as f64);
        let mut summary = Summary::default();
        // The ledger's configuration holds the policies that were there when it was made.
        let first = self.tenants.current().digest();
        // What is done needs no second look; of an object that is gone nothing is kept.
        let mut done = HashSet::new();
        let mut listing = objects.list().await.map_err(Error::from);
        loop {
            match listing {
                Ok(listing) => {
                    self.round(
                        objects,
                        sink,
                        poll,
                        &first,
                        listing,
                        &mut done,
                        &mut summary,
                    )
                    .await?;
                }
                Err(error) if done.is_empty() => {
                    error.count();
                    return Err(error);
                }
                // A worker outlasts a store that does not answer for a while.
                Err(error) => {
                    error.count();
                    warn!(%error, "listing the source failed; retrying at the next poll");
                }
            }
            let Some(poll) = poll.filter(|_| !self.enough()) else {
                break;
            };
            tokio::select! {
                () = tokio::time::sleep(poll) => {}
                () = self.drain.cancelled() => {
                    summary.drained = true;
                    break;
                }
            }
            listing = objects.list().await.map_err(Error::from);
        }
        Ok(Summary {
            skipped: summary.skipped,
            busy: summary.busy,
            // A worker has no other end, also if the signal came between two looks.
            drained: summary.drained || (poll.is_some() && self.drain.is_cancelled()),
            unknown: summary.unknown,
            unlisted: summary.unlisted,
            left_out: summary.left_out,
            listed: summary.listed,
            ..Summary::of(&self.progress)
        })
    }

    /// One look at the objects of a place.
    #[allow(clippy::too_many_arguments)] // one caller, whose loop it is
    async fn round(
        &self,
        objects: &Objects,
        sink: &Target,
        poll: Option<Duration>,
        first: &str,
        listing: source::Listing,
        done: &mut HashSet<[u8; 16]>,
        summary: &mut Summary,
    ) -> Result<(), Error> {
        summary.tell(&listing);
        let before = std::mem::take(done);
        let mut left = Vec::new();
        for object in listing.objects {
            let key = key(&object);
            if before.contains(&key) {
                done.insert(key);
                continue;
            }
            left.push(object);
        }
        self.expect(&left);
        loop {
            let mut busy = Vec::new();
            let mut outcomes = std::pin::pin!(
                stream::iter(left)
                    .map(|object| async move {
                        let key = key(&object);
                        (key, self.object(objects, object, sink, first).await)
                    })
                    .buffer_unordered(OBJECTS_AT_ONCE)
            );
            while let Some((key, outcome)) = outcomes.next().await {
                match outcome.inspect_err(Error::count)? {
                    Outcome::Committed => {
                        done.insert(key);
                    }
                    Outcome::Done => {
                        done.insert(key);
                        summary.skipped += 1;
                    }
                    Outcome::Busy(object) => busy.push(object),
                    Outcome::NotBegun => summary.drained |= self.drain.is_cancelled(),
                }
            }
            summary.busy = busy.len() as u64;
            if busy.is_empty() || self.enough() {
                return Ok(());
            }
            // Other workers hold these. The claim of a worker that dies becomes void.
            let Target::Objects(ledger) = sink else {
                return Ok(());
            };
            if poll.is_some() {
                // The next look finds them again.
                self.leave(&busy);
                return Ok(());
            }
            let wait = (ledger.lease() / 3).min(Duration::from_secs(2));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.drain.cancelled() => {}
            }
            left = busy;
        }
    }

    /// Runs over one stream of documents, such as standard input. Without a printer nothing is written.
    pub async fn stream(
        &self,
        reader: Reader,
        printer: Option<sink::Printer>,
    ) -> Result<Summary, Error> {
        let mut run = Run::new(self, PlainText::Text, self.tenants.current());
        run.follows = true;
        gauge!(metric::QUEUE_LIMIT_BYTES, "queue" => "documents")
            .set(self.limits.in_flight_bytes as f64);
        let mut outlet = printer.map_or(Outlet::Nothing, Outlet::Printer);
        let span = trace::object();
        let mut feed = Feed::ahead(reader);
        let outcome = span
            .clone()
            .around(run.through(&mut feed, &mut outlet))
            .await;
        span.end(outcome.as_ref().err().map(|_| "failed"));
        outcome?;
        Ok(Summary {
            drained: self.drain.is_cancelled(),
            ..Summary::of(&self.progress)
        })
    }

    /// Whether nothing more is to be begun.
    fn enough(&self) -> bool {
        let limits = &self.limits;
        self.drain.is_cancelled()
            || limits
                .documents
                .is_some_and(|limit| self.progress.taken.load(Ordering::Relaxed) >= limit)
            || limits
                .dead_letters
                .is_some_and(|limit| self.progress.dead_letters() > limit)
    }

    async fn object(
        &self,
        objects: &Objects,
        object: Object,
        sink: &Target,
        first_policies: &str,
    ) -> Result<Outcome, Error> {
        if self.enough() {
            return Ok(Outcome::NotBegun);
        }
        let tenants = self.tenants.current();
        let policies = tenants.digest();
        let (outlet, plain_text) = match sink {
            Target::Nothing => (Outlet::Nothing, PlainText::Record),
            Target::Printer(printer) => (Outlet::Printer(*printer), PlainText::Text),
            Target::Objects(ledger) => {
                match claimed(ledger, &object, &policies, first_policies).await? {
                    Claimed::Claim(claim) => (
                        Outlet::Output(Box::new(claim.output())),
                        ledger.plain_text(),
                    ),
                    Claimed::Done => {
                        self.finished(&object);
                        return Ok(Outcome::Done);
                    }
                    Claimed::Busy => return Ok(Outcome::Busy(object)),
                }
            }
        };
        let span = trace::object();
        let work = self.process(objects, object, outlet, Run::new(self, plain_text, tenants));
        let outcome = span.clone().around(work).await;
        span.end(match &outcome {
            Ok(Outcome::Committed) => None,
            Ok(_) => Some("not_committed"),
            Err(_) => Some("failed"),
        });
        outcome
    }

    /// Reads an object to its end, and makes what became of it visible.
    async fn process(
        &self,
        objects: &Objects,
        object: Object,
        mut outlet: Outlet,
        mut run: Run<'_>,
    ) -> Result<Outcome, Error> {
        let mut feed = Feed::Reader(objects.reader(&object));
        if let Err(error) = run.through(&mut feed, &mut outlet).await {
            let Some(reason) = error.of_content() else {
                if let Outlet::Output(output) = outlet {
                    output.discard().await;
                }
                return Err(error);
            };
            // The next run would meet it again, and every object behind it would wait.
            let given_up = run.give_up(object.position(None), reason, &mut outlet);
            if let Err(error) = given_up.await {
                if let Outlet::Output(output) = outlet {
                    output.discard().await;
                }
                return Err(error);
            }
        }
        // An object that was not read to its end is not done.
        if run.cut_short {
            if let Outlet::Output(output) = outlet {
                output.discard().await;
            }
            return Ok(Outcome::NotBegun);
        }
        if let Outlet::Output(output) = outlet
            && !commit(output, &object, &mut run).await?
        {
            return Ok(Outcome::Busy(object));
        }
        trace::current().documents(run.counts.documents);
        self.progress.count(run.counts);
        self.finished(&object);
        self.progress.objects_done.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::Committed)
    }

    /// Counts objects to read.
    fn expect(&self, objects: &[Object]) {
        let Progress {
            objects_total,
            bytes_total,
            ..
        } = &*self.progress;
        objects_total.fetch_add(objects.len() as u64, Ordering::Relaxed);
        bytes_total.fetch_add(bytes_of(objects), Ordering::Relaxed);
    }

    /// Counts objects no more that another round reads.
    fn leave(&self, objects: &[Object]) {
        let Progress {
            objects_total,
            bytes_total,
            ..
        } = &*self.progress;
        objects_total.fetch_sub(objects.len() as u64, Ordering::Relaxed);
        bytes_total.fetch_sub(bytes_of(objects), Ordering::Relaxed);
    }

    fn finished(&self, object: &Object) {
        self.progress
            .bytes_done
            .fetch_add(object.size, Ordering::Relaxed);
    }
}

fn bytes_of(objects: &[Object]) -> u64 {
    objects.iter().map(|object| object.size).sum()
}

/// Makes an object's records visible. False if another worker took the object over: its documents are that worker's.
async fn commit(
    output: Box<sink::Output>,
    object: &Object,
    run: &mut Run<'_>,
) -> Result<bool, Error> {
    let began = Instant::now();
    match output.commit().await {
        Ok(committed) => {
            if let Some(letter) = committed.unwritable {
                run.counts.keep_letters();
                run.counts.letters.push(letter);
            }
            info!(object = %object.path, documents = committed.documents, "committed")
        }
        Err(error @ sink::Error::Lost { .. }) => {
            let error = Error::Sink(error);
            error.count();
            warn!(%error, "given up");
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    metric::stage(Stage::Sink, began);
    Ok(true)
}

async fn claimed(
    ledger: &Ledger,
    object: &Object,
    policies: &str,
    first_policies: &str,
) -> Result<Claimed, sink::Error> {
    if policies == first_policies {
        return ledger.claim(object).await;
    }
    ledger.under(policies).claim(object).await
}

/// Where the records of a job go.
pub enum Target {
    /// Files.
    Objects(Ledger),
    /// Standard output.
    Printer(sink::Printer),
    /// Nowhere: a dry run.
    Nothing,
}

/// What came of an object.
enum Outcome {
    Committed,
    Done,
    Busy(Object),
    NotBegun,
}
