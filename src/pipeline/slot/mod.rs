//! The streaming worker: slots that read topics, and publish what becomes of each record exactly
//! once (I5): to topics in one transaction with its offset, or to an object store in files that a
//! commit record lists with their offsets.
//!
//! In:  records of the partitions that a consumer group gives the slot ([`group`]).
//! Out: sets of what became of them, each with its offsets ([`publisher`]: [`topics`], [`files`]).
//! Holds: a record is published once, in the order of its partition. What was gathered of a partition
//!        that is revoked is dropped: its offsets were not committed, and its next owner reads it again.
//! Does not know: how a document is processed ([`process`]), or what is published to.
//!
//! [`life`] is the loop: gather, process, publish. A set is published while the next is gathered.

mod account;
mod audit;
pub mod files;
mod gather;
mod group;
mod life;
mod place;
#[cfg(test)]
mod planted;
mod process;
mod publisher;
mod reach;
mod ready;
pub mod stall;
mod topics;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::gauge;
use rdkafka::error::RDKafkaErrorCode;
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use self::{group::Group, life::Slot};
use self::{
    publisher::Bounds,
    reach::Cluster,
    stall::{Stalled, Watch},
};
use super::{Engine, Progress};
use crate::{
    audit::note::SigningKey,
    model,
    sink::{self, kafka},
    source::kafka as source,
    telemetry::{Health, metric},
    tenant::reload,
};

/// What a slot reads and writes, and its bounds.
#[derive(Debug, Clone)]
pub struct Options {
    /// Topics to read.
    pub source: source::Options,
    /// Where records go.
    pub sink: Sink,
    /// Key that signs audit records.
    pub seal: Option<Arc<SigningKey>>,
    /// Most documents in one transaction, or of one partition in one set of files.
    pub max_documents: usize,
    /// Most bytes of source records in it; one record may be larger.
    pub max_bytes: u64,
    /// Longest time that a document which is done waits for company.
    pub max_wait: Duration,
    /// Most bytes of documents between source and sink.
    pub in_flight_bytes: u64,
    /// Dead letters of this run after which the worker stops.
    pub max_dead_letters: Option<u64>,
    /// Of what is under way when the worker is drained, what is not processed after this time is
    /// left to the worker that reads the partitions next.
    pub drain_for: Duration,
    /// Once work waits and nothing was committed for so long, the worker says so, and its health
    /// turns red; after twice that time it ends.
    pub stall_for: Duration,
}

impl Options {
    /// The bounds that are configured by default.
    pub fn new(source: source::Options, sink: Sink) -> Self {
        Self {
            source,
            sink,
            seal: None,
            max_documents: 5000,
            max_bytes: 8 << 20,
            max_wait: Duration::from_secs(1),
            in_flight_bytes: 256 << 20,
            max_dead_letters: None,
            drain_for: Duration::from_secs(10),
            stall_for: Duration::from_secs(120),
        }
    }
}

/// Where records go.
#[derive(Debug, Clone)]
pub enum Sink {
    /// Topics, in transactions.
    Topics(kafka::Options),
    /// An object store, in files with commit records.
    Objects(files::Options),
}

/// What all slots of a worker share.
#[derive(Clone)]
pub struct Worker {
    /// The model.
    pub engine: Engine,
    /// The tenants; a document gets those of the moment at which it is read.
    pub tenants: reload::Handle,
    /// Counts.
    pub progress: Arc<Progress>,
    /// Signs of life.
    pub health: Health,
    /// Cancelled: what is under way is committed, and the slots end.
    pub drain: CancellationToken,
}

/// Why a slot stopped. What it had not committed is read again by the next owner of the partitions.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The topics can't be read.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The topics can't be written.
    #[error(transparent)]
    Sink(#[from] kafka::Error),
    /// The object store can't be written.
    #[error(transparent)]
    Store(#[from] sink::Error),
    /// Offsets are committed where the records go, so both have to be one cluster.
    #[error(
        "source and sink are two clusters, which have no transaction in common: write to the \
         source's own, or set delivery = \"at_least_once\""
    )]
    TwoClusters,
    /// The engine ended.
    #[error("the model's threads have ended")]
    Engine,
    /// The server of a model is away, or refuses what it is asked.
    #[error(transparent)]
    Model(model::Error),
    /// A slot's thread panicked.
    #[error("a slot's thread has panicked")]
    Panicked,
    /// Work waited for too long and nothing was committed.
    #[error(
        "slot {} committed nothing for {} s while work waited for {}: the worker ends, so that a \
         supervisor starts it again (pipeline.stall_secs)",
        .0.slot, .0.passed.as_secs(), .0.what
    )]
    Stalled(Stalled),
}

/// What a slot did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Documents delivered.
    pub documents: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Transactions, or sets of files, that were committed.
    pub transactions: u64,
    /// Those that were aborted or whose outcome was looked up.
    pub aborted: u64,
}

/// Runs one slot for each of `slots` until the worker is drained, or one of them fails: the others
/// are drained then too.
pub async fn run(worker: Worker, slots: Vec<Options>) -> Result<Summary, Error> {
    let runtime = tokio::runtime::Handle::current();
    let (done, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let _stops = stop.clone().drop_guard();
    if let Some(first) = slots.first() {
        reach::watch(first.clusters(), &worker.health, &stop);
    }
    // Of all slots, as the bytes that wait are.
    let bound: u64 = slots.iter().map(|slot| slot.in_flight_bytes).sum();
    gauge!(metric::QUEUE_LIMIT_BYTES, "queue" => "documents").set(bound as f64);
    let mut running = slots.len();
    let opening = Arc::new(AtomicUsize::new(0));
    let mut watches = Vec::new();
    for (number, options) in (0..).zip(slots) {
        let (worker, runtime, done) = (worker.clone(), runtime.clone(), done.clone());
        let watch = Watch::new(number, options.stall_for);
        watches.push(watch.clone());
        let opening = opening.clone();
        let thread = move || {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                keep_up(number, &worker, &options, &watch, &opening, &runtime)
            }));
            let _ = done.send(outcome.unwrap_or(Err(Error::Panicked)));
        };
        std::thread::Builder::new()
            .name(format!("slot-{number}"))
            .spawn(thread)
            .expect("a process may have a few threads");
    }
    drop(done);
    let mut sum = Summary::default();
    let mut failed = None;
    let mut stalled = std::pin::pin!(stall::watch(watches, worker.health.clone()));
    loop {
        // A slot that still waits for the brokers has nothing to finish.
        let only_opening = async {
            worker.drain.cancelled().await;
            while opening.load(Ordering::Acquire) < running {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let outcome = tokio::select! {
            outcome = ended.recv() => outcome,
            () = only_opening => break,
            // Its thread may never return: it is not waited for.
            stalled = &mut stalled => return Err(Error::Stalled(stalled)),
        };
        let Some(outcome) = outcome else { break };
        running -= 1;
        match outcome {
            Ok(summary) => sum = sum.plus(summary),
            Err(error) => {
                warn!(%error, "a slot ended: the worker drains");
                worker.drain.cancel();
                failed.get_or_insert(error);
            }
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(sum),
    }
}

/// One slot for as long as the worker lives: it waits for brokers that are away at the start, and joins
/// the group again where an outage cost it its name.
fn keep_up(
    number: u16,
    worker: &Worker,
    options: &Options,
    watch: &Watch,
    opening: &Arc<AtomicUsize>,
    runtime: &tokio::runtime::Handle,
) -> Result<Summary, Error> {
    let mut joined = Instant::now();
    loop {
        let is_opening = Opening::begin(opening);
        let opened = Slot::open(number, worker.clone(), options.clone());
        drop(is_opening);
        let outcome = opened.and_then(|slot| {
            let watch = watch.clone();
            slot.watched_by(watch).run(runtime)
        });
        watch.idle();
        match outcome {
            // What is told meanwhile, `reach` tells.
            Err(Error::Sink(kafka::Error::NoAnswer { .. })) => {
                if worker.drain.is_cancelled() {
                    return Ok(Summary::default());
                }
                std::thread::sleep(Duration::from_millis(500));
            }
            // A request to join that arrived late, after the client had sent another one, looks like another
            // process of the same name. One that there really is fences again, and then there was no outage.
            Err(error) if error.is_fenced_member() && worker.health.was_away_since(joined) => {
                warn!(%error, "after an outage of the brokers: the slot joins its group again");
                joined = Instant::now();
            }
            outcome => return outcome,
        }
    }
}

/// Counts a slot as long as it is being opened.
struct Opening(Arc<AtomicUsize>);

impl Opening {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count.clone())
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Error {
    /// Whether the group has another member of the same name.
    fn is_fenced_member(&self) -> bool {
        let (Self::Source(source::Error::Refused(refusal))
        | Self::Sink(kafka::Error::Refused(refusal))) = self
        else {
            return false;
        };
        refusal.code == RDKafkaErrorCode::FencedInstanceId
    }
}

impl Options {
    fn bounds(&self) -> Bounds {
        Bounds {
            documents: self.max_documents,
            bytes: self.max_bytes,
            wait: self.max_wait,
            memory: self.in_flight_bytes,
        }
    }

    /// The clusters without which nothing is committed.
    fn clusters(&self) -> Vec<Cluster> {
        let source = Cluster {
            name: "the brokers of the source",
            brokers: self.source.brokers.clone(),
        };
        match &self.sink {
            Sink::Topics(topics) if topics.brokers.settings != source.brokers.settings => {
                let sink = Cluster {
                    name: "the brokers of the sink",
                    brokers: topics.brokers.clone(),
                };
                vec![source, sink]
            }
            _ => vec![source],
        }
    }
}

impl Summary {
    fn plus(self, other: Self) -> Self {
        Self {
            documents: self.documents + other.documents,
            dead_letters: self.dead_letters + other.dead_letters,
            transactions: self.transactions + other.transactions,
            aborted: self.aborted + other.aborted,
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_brokers;
#[cfg(test)]
mod tests_clients;
