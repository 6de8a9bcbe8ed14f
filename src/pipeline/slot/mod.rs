//! The streaming worker: slots that read topics, and publish what becomes of each record exactly
//! once (I5): to topics in one transaction with its offset, or to an object store in files that a
//! commit record lists with their offsets (`files.rs`).
//!
//! Records are gathered and processed first, and a set of them is begun, sent and committed in one
//! go, while the next is gathered (`topics.rs`). What was gathered of a partition that is
//! revoked is dropped: its offsets were not committed, and its next owner reads it again.

pub mod files;
mod reach;
pub mod stall;
mod topics;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use metrics::{counter, gauge, histogram};
use rdkafka::error::RDKafkaErrorCode;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use self::{
    files::{Bounds, Ended, Rolling, Tally, Unknown},
    reach::Cluster,
    stall::{Stalled, Watch},
    topics::Transactions,
};
use super::{
    Engine, document,
    progress::Progress,
    work::{self, Working},
};
use crate::{
    record::{Code, DeadLetter, PlainText, Stage, audit::Finding, avro},
    sink::{
        self,
        kafka::{self, Delivery},
    },
    source::{
        beginning::Lost,
        brokers,
        kafka::{self as group, Bytes, Consumer, Header, Partition, Record},
    },
    telemetry::{
        Health,
        health::{Heart, Part},
        metric::{self, label},
    },
    tenant::reload,
};

/// What a slot reads and writes, and its bounds.
#[derive(Debug, Clone)]
pub struct Options {
    /// Topics to read.
    pub source: group::Options,
    /// Where records go.
    pub sink: Sink,
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
    /// left to whoever reads the partitions next.
    pub drain_for: Duration,
    /// Once work waits and nothing was committed for so long, the worker says so, and its health
    /// turns red; after twice that time it ends.
    pub stall_for: Duration,
}

impl Options {
    /// The bounds that are configured by default.
    pub fn new(source: group::Options, sink: Sink) -> Self {
        Self {
            source,
            sink,
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

/// Why a slot stopped. What it had not committed is read again by whoever owns the partitions next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The topics can't be read.
    #[error(transparent)]
    Source(#[from] group::Error),
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

/// One slot: one member of the group, one producer.
pub struct Slot {
    number: u16,
    worker: Worker,
    options: Options,
    consumer: Consumer,
    output: Output,
    /// Under way, in the order in which they were read.
    queue: VecDeque<Gathered>,
    /// Done, in the same order, since the first of them.
    ready: Vec<Delivery>,
    since: Instant,
    /// Bytes of records in `queue` and `ready`, and of what is gathered in files.
    bytes: u64,
    /// Since when there is no room.
    full_since: Option<Instant>,
    /// Since when the worker is drained.
    draining_since: Option<Instant>,
    /// Records were left undone: none that may stand behind them is taken in, nor its offset
    /// committed.
    takes_no_more: bool,
    failures: u32,
    /// The last failure that was told, and when.
    told: Option<(String, Instant)>,
    /// After a failure: not tried again before.
    not_before: Instant,
    /// Offsets that this slot has committed.
    committed: BTreeMap<Partition, i64>,
    /// Heads of the audit chains of its partitions, as far as they are known.
    heads: BTreeMap<Partition, String>,
    summary: Summary,
    watch: Watch,
    /// Documents processed, and tokens of the model, up to now and at the last look.
    settled: u64,
    processed: (u64, u64),
}

/// What publishes.
enum Output {
    Topics(Transactions),
    Objects(Rolling),
}

struct Gathered {
    partition: Partition,
    offset: i64,
    key: Option<Bytes>,
    headers: Vec<Header>,
    written: Option<SystemTime>,
    bytes: u64,
    digest: Option<String>,
    lost: Option<Lost>,
    state: State,
}

enum State {
    Working(Box<Working>),
    Rejected(DeadLetter),
}

/// Records taken in before those that are done are looked at.
const BURST: usize = 256;

/// Records that are processed at a time: enough to fill the model's batches. What is done waits for what
/// was read before it, so with more of them sets would be committed later, and a crash would cost more.
const UNDER_WAY: usize = 1024;

/// A slot that is full for a moment leaves records where they are: librdkafka throws away what it
/// has fetched of a partition that is paused, and fetches it again afterwards. The group waits no
/// longer than this to be served.
const FULL: Duration = Duration::from_millis(500);

/// Silence after which a slot counts as stuck: a transaction may wait for its timeout more than once.
const SILENCE: Duration = Duration::from_secs(300);

/// Time between two lines about the same failure.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// How health tells that files can't be written.
const STORE: &str = "the object store of the sink";

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
            Slot { watch, ..slot }.run(runtime)
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
        let (Self::Source(group::Error::Refused(refusal))
        | Self::Sink(kafka::Error::Refused(refusal))) = self
        else {
            return false;
        };
        refusal.code == RDKafkaErrorCode::FencedInstanceId
    }
}

impl Options {
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

impl Slot {
    /// Joins the group and ends what an earlier producer of this id left open. Blocks, for a few seconds if
    /// no broker answers.
    pub fn open(number: u16, worker: Worker, options: Options) -> Result<Self, Error> {
        let output = match &options.sink {
            Sink::Topics(topics) => Output::Topics(Transactions::open(topics.clone())?),
            Sink::Objects(files) => {
                let bounds = Bounds {
                    documents: options.max_documents,
                    bytes: options.max_bytes,
                    wait: options.max_wait,
                    memory: options.in_flight_bytes,
                };
                Output::Objects(Rolling::new(files.clone(), bounds))
            }
        };
        worker.health.set(Part::Sink, true);
        gauge!(metric::QUEUE_LIMIT_BYTES, "queue" => "documents")
            .set(options.in_flight_bytes as f64);
        let drain = &worker.drain;
        let consumer = Consumer::join(options.source.clone(), &|| drain.is_cancelled())?;
        if let Output::Topics(transactions) = &output
            && transactions.is_elsewhere(&consumer)
        {
            return Err(Error::TwoClusters);
        }
        Ok(Self {
            watch: Watch::new(number, options.stall_for),
            settled: 0,
            processed: (0, 0),
            number,
            output,
            consumer,
            worker,
            options,
            queue: VecDeque::new(),
            ready: Vec::new(),
            since: Instant::now(),
            bytes: 0,
            full_since: None,
            draining_since: None,
            takes_no_more: false,
            failures: 0,
            told: None,
            not_before: Instant::now(),
            committed: BTreeMap::new(),
            heads: BTreeMap::new(),
            summary: Summary::default(),
        })
    }

    /// Runs until the worker is drained and what is under way is committed. Blocks: give it a thread.
    pub fn run(mut self, runtime: &tokio::runtime::Handle) -> Result<Summary, Error> {
        let _entered = runtime.enter();
        let heart = self.worker.health.heart("slot", SILENCE);
        let outcome = self.turn(runtime, &heart);
        self.told_bytes(0);
        heart.finish();
        outcome.map(|()| self.summary)
    }

    fn turn(&mut self, runtime: &tokio::runtime::Handle, heart: &Heart) -> Result<(), Error> {
        loop {
            heart.beat();
            if self.too_many_dead_letters() {
                self.worker.drain.cancel();
            }
            let draining = self.worker.drain.is_cancelled();
            self.gather(draining)?;
            self.settle(runtime)?;
            if draining {
                self.leave_undone();
            }
            self.published()?;
            self.note_waiting();
            let over = draining && self.queue.is_empty();
            let under_way = match &self.output {
                Output::Topics(transactions) => transactions.is_busy(),
                Output::Objects(rolling) => !rolling.is_idle(),
            };
            if over && self.ready.is_empty() && !under_way {
                self.leave();
                return Ok(());
            }
            match &self.output {
                Output::Topics(_) if self.is_due(over) => self.publish()?,
                Output::Topics(_) => {}
                Output::Objects(_) => self.roll(runtime, over)?,
            }
        }
    }

    /// Says what the work waits for.
    fn note_waiting(&mut self) {
        let (is_writing, call) = match &self.output {
            Output::Topics(transactions) => (transactions.is_busy(), transactions.call()),
            Output::Objects(rolling) => (rolling.is_writing(), None),
        };
        if is_writing {
            let call = call.unwrap_or(match self.output {
                Output::Topics(_) => "a set to be published",
                Output::Objects(_) => "the store to take files",
            });
            self.watch.waits_for(call);
        } else if !self.ready.is_empty() {
            self.watch.waits_for("the next attempt to publish");
        } else if !self.queue.is_empty() {
            // A long text may take the model minutes: what it answers is progress.
            let processed = (self.settled, self.worker.engine.counts().tokens());
            if processed != std::mem::replace(&mut self.processed, processed) {
                self.watch.moved();
            }
            self.watch.waits_for("documents to be processed");
        } else {
            self.watch.idle();
        }
    }

    /// Drops what could not be processed in the time for draining. Its offsets are not committed, so
    /// nothing is lost; the rest of the time is for what is done.
    fn leave_undone(&mut self) {
        let since = *self.draining_since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.options.drain_for {
            return;
        }
        self.takes_no_more = true;
        if !self.queue.is_empty() {
            info!(records = self.queue.len(), "left to the next reader");
            self.queue.clear();
            self.weigh();
        }
    }

    fn too_many_dead_letters(&self) -> bool {
        let most = self.options.max_dead_letters;
        most.is_some_and(|most| self.worker.progress.dead_letters() > most)
    }

    /// Takes in what is there, as far as there is room.
    fn gather(&mut self, draining: bool) -> Result<(), Error> {
        let mut wait = match self.queue.is_empty() && self.ready.is_empty() {
            true => Duration::from_millis(100),
            false => Duration::from_millis(2),
        };
        for _ in 0..BURST {
            let full = self.is_full();
            if !full {
                self.full_since = None;
            } else if self.full_since.get_or_insert_with(Instant::now).elapsed() < FULL {
                std::thread::sleep(wait);
                break;
            }
            self.consumer.pause(draining || full);
            let record = self.consumer.poll(wait)?;
            // Before what came after it is kept.
            self.forget_revoked();
            if self.consumer.is_waiting() {
                self.worker.health.set(Part::Source, false);
            }
            let Some(record) = record else { break };
            self.worker.health.set(Part::Source, true);
            if let Output::Objects(rolling) = &self.output
                && record.lost == Some(Lost::Replaced)
            {
                rolling.replaced(&record.partition, record.offset)?;
            }
            // One whose schema was asked for may come while partitions are paused.
            if self.takes_no_more {
                continue;
            }
            self.start(record);
            wait = Duration::ZERO;
        }
        self.watch();
        Ok(())
    }

    fn is_full(&self) -> bool {
        let set = match self.output {
            Output::Topics(_) => self.options.max_documents.max(BURST),
            // What is ready goes into files, however many documents these take.
            Output::Objects(_) => 2 * BURST,
        };
        self.bytes >= self.options.in_flight_bytes
            || self.queue.len() >= UNDER_WAY
            || self.queue.len() + self.ready.len() >= 2 * set
    }

    fn start(&mut self, record: Record) {
        if let Output::Objects(rolling) = &self.output
            && rolling.is_astray(&record.partition)
        {
            return;
        }
        let state = record.document.and_then(|document| {
            let tenants = self.worker.tenants.current();
            let policy = work::policy(
                &tenants,
                document.tenant.as_deref(),
                &document.position,
                &document.id,
            )?;
            let form = match &self.output {
                Output::Topics(transactions) => match transactions.codec() {
                    kafka::Codec::Json => PlainText::Record,
                    kafka::Codec::Avro(_) => PlainText::Apart,
                },
                Output::Objects(_) => PlainText::Record,
            };
            let working = Working::start(&self.worker.engine, policy, document, form);
            Ok(State::Working(Box::new(working)))
        });
        let gathered = Gathered {
            partition: record.partition,
            offset: record.offset,
            key: record.key,
            headers: record.headers,
            written: record.written,
            bytes: record.bytes,
            digest: record.digest,
            lost: record.lost,
            state: state.unwrap_or_else(State::Rejected),
        };
        self.told_bytes(self.bytes + gathered.held());
        self.queue.push_back(gathered);
    }

    fn told_bytes(&mut self, bytes: u64) {
        gauge!(metric::QUEUE_BYTES, "queue" => "documents")
            .increment(bytes as f64 - self.bytes as f64);
        self.bytes = bytes;
    }

    /// Moves what is done, in the order in which it was read.
    fn settle(&mut self, runtime: &tokio::runtime::Handle) -> Result<(), Error> {
        let audited = self.options.source.digest_key.is_some();
        while self.queue.front().is_some_and(Gathered::ended) {
            let first = self.queue.pop_front().expect("looked at above");
            let delivery = runtime.block_on(first.delivery(audited));
            if let Err(letter) = &delivery.outcome
                && letter.code == Code::ModelFailed
                && self.worker.engine.has_stopped()
            {
                return Err(Error::Engine);
            }
            if self.ready.is_empty() {
                self.since = Instant::now();
            }
            self.settled += 1;
            self.ready.push(delivery);
        }
        // What is processed is known now, not estimated.
        self.weigh();
        Ok(())
    }

    fn forget_revoked(&mut self) {
        let revoked = self.consumer.take_revoked();
        if revoked.is_empty() {
            return;
        }
        let revoked: Vec<Partition> = revoked
            .into_iter()
            .map(|(topic, partition)| (topic.into(), partition))
            .collect();
        self.drop_records(&revoked);
        if let Output::Topics(transactions) = &mut self.output {
            transactions.forget(&revoked);
        }
        for partition in revoked {
            // Another worker's number from now on.
            lag_gauge(&partition.0, partition.1).set(f64::NAN);
            self.committed.remove(&partition);
            self.heads.remove(&partition);
            if let Output::Objects(rolling) = &mut self.output {
                rolling.forget(&partition);
            }
        }
        self.weigh();
    }

    /// Drops what was read of some partitions and is not gathered in files.
    fn drop_records(&mut self, of: &[Partition]) {
        self.ready
            .retain(|delivery| !of.contains(&delivery.partition));
        self.queue
            .retain(|gathered| !of.contains(&gathered.partition));
    }

    fn weigh(&mut self) {
        let waiting: u64 = self.queue.iter().map(Gathered::held).sum();
        let done: u64 = self.ready.iter().map(|delivery| delivery.held).sum();
        let gathered = match &self.output {
            Output::Topics(transactions) => transactions.bytes(),
            Output::Objects(rolling) => rolling.memory(),
        };
        self.told_bytes(waiting + done + gathered);
    }

    /// Lag and paused partitions, when there are new figures.
    fn watch(&mut self) {
        let ends = self.consumer.take_ends();
        if ends.is_empty() {
            return;
        }
        let mut sum = 0;
        for end in ends {
            let partition: Partition = (end.topic.into(), end.partition);
            let own = self.committed.get(&partition).copied();
            let lag = (end.end - own.unwrap_or(end.committed).max(end.committed)).max(0);
            lag_gauge(&partition.0, partition.1).set(lag as f64);
            sum += lag as u64;
        }
        self.worker.progress.set_lag(self.number, sum);
        let paused = match self.consumer.is_paused() {
            true => self.consumer.assigned(),
            false => 0,
        };
        gauge!(metric::PAUSED_PARTITIONS, "slot" => label("slot", &self.number.to_string()))
            .set(paused as f64);
    }

    /// How many of what is done make one set.
    fn set_len(&self) -> usize {
        let (mut bytes, mut held) = (0, 0);
        // What a set becomes is in memory once more while it is published.
        let most_held = (self.options.in_flight_bytes / 4).max(self.options.max_bytes);
        let fits = |delivery: &&Delivery| {
            bytes += delivery.bytes;
            held += delivery.held;
            bytes <= self.options.max_bytes && held <= most_held
        };
        let most = self.ready.iter().take(self.options.max_documents);
        most.take_while(fits).count().max(1).min(self.ready.len())
    }

    fn is_due(&self, over: bool) -> bool {
        let busy = matches!(&self.output, Output::Topics(own) if own.is_busy());
        if busy || self.ready.is_empty() || Instant::now() < self.not_before {
            return false;
        }
        over || self.since.elapsed() >= self.options.max_wait
            || self.ready.len() >= self.options.max_documents
            || self.set_len() < self.ready.len()
            || self.is_full() && self.queue.is_empty()
    }

    fn publish(&mut self) -> Result<(), Error> {
        let Output::Topics(transactions) = &mut self.output else {
            return Ok(());
        };
        self.watch.waits_for("the brokers to say what is committed");
        // For the test of the watchdog (tests/it/kafka_stall.rs).
        while kafka::planted("endless_wait") {
            std::thread::park();
        }
        match transactions.renew(&self.ready, &self.consumer) {
            Ok(0) => {}
            Ok(committed) => {
                let set = self.ready.drain(..committed).collect();
                self.delivered(set, &BTreeSet::new());
                return Ok(());
            }
            Err(error) => return self.again(error),
        }
        let count = self.set_len();
        if let Err(error) = self.chain(count) {
            return self.again(error);
        }
        let Output::Topics(transactions) = &mut self.output else {
            return Ok(());
        };
        if let Err(error) = transactions.commit_first(&self.ready[..count], &self.consumer) {
            return self.again(error);
        }
        let set = self.ready.drain(..count).collect();
        // Of this moment: all partitions of the set are this slot's.
        transactions.start(set, self.consumer.group());
        self.since = Instant::now();
        Ok(())
    }

    /// Takes in what came of the set that was under way.
    fn published(&mut self) -> Result<(), Error> {
        let Output::Topics(transactions) = &mut self.output else {
            return Ok(());
        };
        let Some(mut ended) = transactions.ended(&self.consumer)? else {
            return Ok(());
        };
        let name = match &ended.outcome {
            Ok(()) => "committed",
            Err(kafka::Error::Unknown { .. }) => "unknown",
            Err(_) => "aborted",
        };
        counter!(metric::TRANSACTIONS_TOTAL, "outcome" => name).increment(1);
        histogram!(metric::TRANSACTION_DURATION_SECONDS, "outcome" => name)
            .record(ended.began.elapsed());
        metric::stage(Stage::Sink, ended.began);
        let error = match ended.outcome {
            Ok(()) => {
                self.delivered(ended.set, &ended.lost);
                return Ok(());
            }
            Err(error) => error,
        };
        let mut rejected = true;
        if let kafka::Error::TooLarge { records } = &error {
            for record in records {
                rejected &= ended.set[record.index].reject(record);
            }
        }
        // In front of what came after it, but what is another's by now.
        ended.set.retain(|own| !ended.lost.contains(&own.partition));
        self.ready.splice(..0, ended.set);
        self.weigh();
        self.since = ended.began;
        match error {
            kafka::Error::TooLarge { .. } if rejected => {
                self.summary.aborted += 1;
                Ok(())
            }
            // Nothing is wrong with the brokers: no failure, and no wait.
            kafka::Error::Batches { .. } => {
                info!("{error}");
                self.summary.aborted += 1;
                Ok(())
            }
            error => {
                if let kafka::Error::Unknown { .. } = error {
                    self.heads.clear();
                }
                self.again(error)
            }
        }
    }

    /// Gives each record of a set its audit record, behind the last one of its partition. The head of
    /// a chain is committed with the offset, so whoever takes a partition over goes on with it.
    fn chain(&mut self, count: usize) -> Result<(), kafka::Error> {
        let Some(key) = self.options.source.digest_key.clone() else {
            return Ok(());
        };
        let failed = |error: rdkafka::error::KafkaError| kafka::Error::Aborted {
            code: error.rdkafka_error_code(),
        };
        let Output::Topics(transactions) = &self.output else {
            return Ok(());
        };
        let timeout = transactions.timeout();
        let set = &mut self.ready[..count];
        let is_unknown = |own: &Delivery| !self.heads.contains_key(&own.partition);
        if set.iter().any(is_unknown) {
            let places = kafka::offsets_after(&*set).map_err(failed)?;
            let committed = self.consumer.committed(places, timeout).map_err(failed)?;
            for (partition, head) in kafka::heads(&committed) {
                self.heads.entry(partition).or_insert(head);
            }
        }
        let mut heads = self.heads.clone();
        for delivery in set {
            let Some(head) = heads.get_mut(&delivery.partition) else {
                return Err(kafka::Error::Aborted { code: None });
            };
            let audit = kafka::audited(delivery, &key).chained(head);
            head.clone_from(&audit.hash);
            delivery.audit = Some(audit);
        }
        Ok(())
    }

    /// A set is committed; some of its partitions may be another's by now.
    fn delivered(&mut self, set: Vec<Delivery>, lost: &BTreeSet<Partition>) {
        let (mut tally, mut of) = (Tally::default(), BTreeSet::new());
        for delivery in set {
            let partition = &delivery.partition;
            if !lost.contains(partition) {
                if let Some(audit) = &delivery.audit {
                    self.heads.insert(partition.clone(), audit.hash.clone());
                }
                self.committed
                    .insert(partition.clone(), delivery.offset + 1);
                of.insert(partition.clone());
            }
            tally.add(delivery);
        }
        self.weigh();
        self.count(tally, &of);
    }

    /// Counts what is committed of some partitions.
    fn count<'a>(&mut self, tally: Tally, of: impl IntoIterator<Item = &'a Partition>) {
        let now = SystemTime::now();
        tally.tell_times(now);
        self.summary.documents += tally.documents;
        self.summary.dead_letters += tally.dead_letters;
        self.worker.progress.count(tally.counts);
        let seconds = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        for (topic, partition) in of {
            gauge!(
                metric::LAST_COMMIT_TIMESTAMP_SECONDS,
                "topic" => label("topic", topic),
                "partition" => label("partition", &partition.to_string())
            )
            .set(seconds);
        }
        self.summary.transactions += 1;
        self.watch.moved();
        if let Output::Objects(_) = self.output {
            self.worker.health.set_reached(STORE, true);
        }
        self.failures = 0;
        self.worker.health.set(Part::Sink, true);
    }

    /// Files: takes in what is ready, writes what is due, and looks at what was written.
    fn roll(&mut self, runtime: &tokio::runtime::Handle, over: bool) -> Result<(), Error> {
        let pause = Instant::now() < self.not_before;
        let Output::Objects(rolling) = &mut self.output else {
            return Ok(());
        };
        let again = match pause {
            true => Ok(Vec::new()),
            false => rolling.look_up(runtime, &self.consumer, &self.ready),
        };
        rolling.seek(&mut self.consumer);
        let again = match again {
            Ok(again) => again,
            Err(Unknown::Store(error)) => return self.store_failed(error),
            Err(error) => {
                self.later(&error, "look_up");
                return Ok(());
            }
        };
        self.drop_records(&again);
        let Output::Objects(rolling) = &mut self.output else {
            return Ok(());
        };
        rolling.take(&mut self.ready);
        rolling.write(runtime, over, pause);
        let ended = rolling.ended(runtime);
        for (ended, passed) in ended {
            self.written(ended, passed)?;
        }
        self.weigh();
        Ok(())
    }

    /// What became of a partition's files.
    fn written(&mut self, ended: Ended, passed: Duration) -> Result<(), Error> {
        let outcome = match &ended {
            Ended::Committed(..) => "committed",
            Ended::Overtaken(_) => "aborted",
            Ended::Failed(_) | Ended::Panicked => "unknown",
        };
        counter!(metric::TRANSACTIONS_TOTAL, "outcome" => outcome).increment(1);
        histogram!(metric::TRANSACTION_DURATION_SECONDS, "outcome" => outcome).record(passed);
        histogram!(metric::STAGE_DURATION_SECONDS, "stage" => Stage::Sink.as_str()).record(passed);
        match ended {
            Ended::Committed(partition, head, tally) => {
                // For tools that show the lag: what is committed is what the chain says.
                let told = files::offsets([(&partition, head)])
                    .and_then(|offsets| self.consumer.commit_later(&offsets));
                if let Err(error) = told {
                    warn!(code = ?error.rdkafka_error_code(), "the group's offset is behind");
                }
                self.count(tally, [&partition]);
                self.committed.insert(partition, head.next);
                Ok(())
            }
            Ended::Overtaken(partition) => {
                warn!(
                    topic = &*partition.0,
                    partition = partition.1,
                    "another worker has committed these offsets: read again from there"
                );
                self.summary.aborted += 1;
                self.drop_records(&[partition]);
                Ok(())
            }
            Ended::Failed(error) => {
                self.summary.aborted += 1;
                self.store_failed(error)
            }
            Ended::Panicked => Err(Error::Panicked),
        }
    }

    /// A store may be away for a while; what it holds does not change by waiting.
    fn store_failed(&mut self, error: sink::Error) -> Result<(), Error> {
        match error {
            sink::Error::Store { .. } | sink::Error::Write { .. } => {
                self.later(&error, "store");
                if self.failures >= 3 {
                    self.worker.health.set_reached(STORE, false);
                }
                Ok(())
            }
            error => Err(error.into()),
        }
    }

    /// Before the end of a slot that has written all it had.
    fn leave(&self) {
        let Output::Objects(rolling) = &self.output else {
            return;
        };
        // Once more, and waited for: the last ones may not have reached the broker.
        let told = rolling.offsets().and_then(|offsets| match offsets.count() {
            0 => Ok(()),
            _ => self.consumer.commit(&offsets),
        });
        if let Err(error) = told {
            warn!(code = ?error.rdkafka_error_code(), "the group's offsets are behind");
        }
    }

    /// The same set is tried again later, unless its partitions are gone by then. Only what trying
    /// again can't mend ends the slot: an outage of the brokers may last.
    fn again(&mut self, error: kafka::Error) -> Result<(), Error> {
        let error = match error {
            kafka::Error::Refused(refusal) => {
                let source = &self.options.source;
                let member = source.instance_id.as_deref();
                kafka::Error::Refused(refusal.in_group(&source.group_id, member))
            }
            error => error,
        };
        let error_type = match &error {
            kafka::Error::NoAnswer { .. } => "no_answer",
            kafka::Error::Aborted { .. } => "aborted",
            kafka::Error::Unknown { .. } => "unknown",
            kafka::Error::TooLarge { .. } => "too_large",
            kafka::Error::Batches { .. } => "batches",
            kafka::Error::Options(_) => "options",
            kafka::Error::Fenced => "fenced",
            kafka::Error::Refused(_) => "refused",
            kafka::Error::NoTopic { .. } => "no_topic",
            kafka::Error::Registry(_) => "registry",
        };
        self.summary.aborted += 1;
        if !matches!(
            error,
            kafka::Error::NoAnswer { .. }
                | kafka::Error::NoTopic { .. }
                | kafka::Error::Aborted { .. }
                | kafka::Error::Unknown { .. }
                | kafka::Error::Registry(avro::Error::Unavailable { .. })
        ) {
            count_error(error_type);
            return Err(error.into());
        }
        self.later(&error, error_type);
        Ok(())
    }

    fn later(&mut self, error: &dyn std::error::Error, error_type: &'static str) {
        count_error(error_type);
        self.failures += 1;
        let text = error.to_string();
        let is_told = self
            .told
            .as_ref()
            .is_some_and(|(told, at)| *told == text && at.elapsed() < TELL_AGAIN);
        if !is_told {
            warn!(%error, failures = self.failures, "not committed: tried again");
            self.told = Some((text, Instant::now()));
        }
        // One abort is what a rebalance brings; more are an outage.
        if self.failures >= 3 {
            self.worker.health.set(Part::Sink, false);
        }
        self.not_before = Instant::now() + brokers::backoff(self.failures);
    }
}

fn count_error(error_type: &'static str) {
    counter!(metric::ERRORS_TOTAL, "stage" => Stage::Sink.as_str(), "error_type" => error_type)
        .increment(1);
}

fn lag_gauge(topic: &str, partition: i32) -> metrics::Gauge {
    gauge!(
        metric::CONSUMER_LAG,
        "topic" => label("topic", topic),
        "partition" => label("partition", &partition.to_string())
    )
}

impl Gathered {
    fn ended(&self) -> bool {
        match &self.state {
            State::Working(working) => working.ended(),
            State::Rejected(_) => true,
        }
    }

    /// Bytes that it takes in memory.
    fn held(&self) -> u64 {
        match &self.state {
            State::Working(working) => working.held().max(self.bytes),
            State::Rejected(_) => self.bytes,
        }
    }

    async fn delivery(self, audited: bool) -> Delivery {
        let held = self.held();
        let (outcome, policy) = match self.state {
            State::Working(working) => {
                let policy = working.policy();
                (working.done().await.map(|(done, ..)| done), Some(policy))
            }
            State::Rejected(letter) => (Err(letter), None),
        };
        let findings = match (&outcome, policy) {
            (Ok(done), Some(policy)) if audited => document::findings(done, &policy),
            _ => Vec::new(),
        };
        let of_findings: usize = findings.iter().map(Finding::held).sum();
        Delivery {
            held: held + of_findings as u64,
            partition: self.partition,
            offset: self.offset,
            key: self.key,
            headers: self.headers,
            written: self.written,
            bytes: self.bytes,
            digest: self.digest,
            lost: self.lost,
            findings,
            outcome,
            audit: None,
        }
    }
}
