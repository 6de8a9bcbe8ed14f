//! A slot: one member of the group, one publisher, and the loop between them.

use std::time::{Duration, Instant};

use metrics::gauge;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    Error, Options, Sink, Summary, Worker,
    account::Account,
    files::Files,
    gather::Gathering,
    group::Group,
    process::Process,
    publisher::{BURST, Publisher, Turn},
    stall::Watch,
    topics::{self, Topics},
};
use crate::{
    kafka::Lost,
    sink::kafka,
    source::kafka::{Consumer, Record},
    telemetry::{health::Part, metric},
};

/// One slot: one member of the group, one producer.
pub struct Slot<G: Group = Consumer> {
    options: Options,
    process: Box<dyn Process>,
    /// Cancelled: what is under way is committed, and the slot ends.
    drain: CancellationToken,
    pub(super) group: G,
    publisher: Box<dyn Publisher<G>>,
    pub(super) gathered: Gathering,
    pub(super) account: Account,
    /// Bytes of what is gathered, and of what the publisher holds.
    bytes: u64,
    /// What the gauge was given of them.
    noted: u64,
    /// Time for which a slot that is full leaves records where they are; see [`FULL`].
    pub(super) patience: Duration,
    /// Since when there is no room.
    full_since: Option<Instant>,
    /// Since when the worker is drained.
    draining_since: Option<Instant>,
    /// Records were left undone: none that may stand behind them is taken in, nor its offset
    /// committed.
    takes_no_more: bool,
    /// Documents processed, and tokens of the model, at the last look.
    processed: (u64, u64),
}

/// Records that are processed at a time: enough to fill the model's batches. What is done waits for what
/// was read before it, so with more of them sets would be committed later, and a crash would cost more.
const UNDER_WAY: usize = 1024;

/// A slot that is full for a moment leaves records where they are: librdkafka throws away what it
/// has fetched of a partition that is paused, and fetches it again afterwards. The group waits no
/// longer than this to be served.
const FULL: Duration = Duration::from_millis(500);

/// Silence after which a slot counts as stuck: a transaction may wait for its timeout more than once.
const SILENCE: Duration = Duration::from_secs(300);

impl Slot {
    /// Joins the group and ends what an earlier producer of this id left open. Blocks, for a few seconds if
    /// no broker answers.
    pub fn open(number: u16, worker: Worker, options: Options) -> Result<Self, Error> {
        let producer = match &options.sink {
            Sink::Topics(topics) => Some(topics::open(topics)?),
            Sink::Objects(_) => None,
        };
        worker.health.set(Part::Sink, true);
        let drain = &worker.drain;
        let consumer = Consumer::join(options.source.clone(), &|| drain.is_cancelled())?;
        let publisher: Box<dyn Publisher<Consumer>> = match (&options.sink, producer) {
            (Sink::Topics(topics), Some(producer)) => {
                if topics::is_elsewhere(topics, &producer, &consumer) {
                    return Err(Error::TwoClusters);
                }
                let own = topics.clone();
                let make = move || Ok(Box::new(kafka::Producer::new(&own)?) as Box<_>);
                let (producer, make) = (Box::new(producer), Box::new(make));
                Box::new(Topics::new(topics, &options, producer, make))
            }
            (Sink::Objects(files), _) => Box::new(Files::new(
                files.clone(),
                options.source.digest_key.clone(),
                options.bounds(),
            )),
            (Sink::Topics(_), None) => unreachable!("topics have a producer, made above"),
        };
        let watch = Watch::new(number, options.stall_for);
        let (progress, health) = (worker.progress.clone(), worker.health.clone());
        let account = Account::new(number, progress, health, watch);
        let drain = worker.drain.clone();
        let process = Box::new(worker);
        Ok(Self::new(
            options, process, drain, account, consumer, publisher,
        ))
    }
}

impl<G: Group> Slot<G> {
    pub(super) fn new(
        options: Options,
        process: Box<dyn Process>,
        drain: CancellationToken,
        account: Account,
        group: G,
        publisher: Box<dyn Publisher<G>>,
    ) -> Self {
        let gathered = Gathering::new(&options.source.group_id);
        Self {
            options,
            process,
            drain,
            group,
            publisher,
            gathered,
            account,
            bytes: 0,
            noted: 0,
            patience: FULL,
            full_since: None,
            draining_since: None,
            takes_no_more: false,
            processed: (0, 0),
        }
    }

    /// The same slot, watched from outside of its thread.
    pub(super) fn watched_by(mut self, watch: Watch) -> Self {
        self.account.watch = watch;
        self
    }

    /// Runs until the worker is drained and what is under way is committed. Blocks: give it a thread.
    pub fn run(mut self, runtime: &Handle) -> Result<Summary, Error> {
        let _entered = runtime.enter();
        let heart = self.account.health.heart("slot", SILENCE);
        let outcome = loop {
            heart.beat();
            match self.turn(runtime) {
                Ok(false) => {}
                Ok(true) => break Ok(self.account.summary),
                Err(error) => break Err(error),
            }
        };
        self.note_bytes(0);
        heart.finish();
        outcome
    }

    /// One turn of the loop; true if it was the last. The thread has entered `runtime`.
    pub(super) fn turn(&mut self, runtime: &Handle) -> Result<bool, Error> {
        if self.too_many_dead_letters() {
            self.drain.cancel();
        }
        let draining = self.drain.is_cancelled();
        self.gather(draining)?;
        self.settle(runtime)?;
        if draining {
            self.leave_undone();
        }
        let (publisher, mut turn) = self.turn_of_publisher(runtime, draining);
        if publisher.take_outcome(&mut turn)? {
            self.weigh();
        }
        self.note_waiting();
        let over = draining && self.gathered.is_empty() && self.publisher.is_idle();
        if over {
            self.publisher.leave(&self.group);
            return Ok(true);
        }
        let (publisher, mut turn) = self.turn_of_publisher(runtime, draining);
        if publisher.publish(&mut turn)? {
            self.weigh();
        }
        Ok(false)
    }

    fn turn_of_publisher<'s>(
        &'s mut self,
        runtime: &'s Handle,
        draining: bool,
    ) -> (&'s mut dyn Publisher<G>, Turn<'s, G>) {
        let is_processing = self.gathered.under_way() > 0;
        let turn = Turn {
            over: draining && !is_processing,
            full: self.is_full() && !is_processing,
            group: &mut self.group,
            gathered: &mut self.gathered,
            account: &mut self.account,
            runtime,
        };
        (&mut *self.publisher, turn)
    }

    /// Takes in what is there, as far as there is room.
    fn gather(&mut self, draining: bool) -> Result<(), Error> {
        let mut wait = match self.gathered.is_empty() {
            true => Duration::from_millis(100),
            false => Duration::from_millis(2),
        };
        for _ in 0..BURST {
            let full = self.is_full();
            if !full {
                self.full_since = None;
            } else if self.full_since.get_or_insert_with(Instant::now).elapsed() < self.patience {
                std::thread::sleep(wait);
                break;
            }
            self.group.pause(draining || full);
            let record = self.group.poll(wait)?;
            // Before what came after it is kept.
            self.forget_revoked();
            if record.is_none() && self.group.is_waiting() {
                self.account.health.set(Part::Source, false);
            } else if record.is_some() || self.group.has_joined() {
                // Also while its topics are empty, or other members have all partitions.
                self.account.health.set(Part::Source, true);
            }
            let Some(record) = record else { break };
            if record.envelope.lost == Some(Lost::Replaced) {
                self.publisher
                    .begin_again(&record.envelope.partition, record.envelope.offset)?;
            }
            // One whose schema was asked for may come while partitions are paused.
            if self.takes_no_more {
                continue;
            }
            self.take(record);
            wait = Duration::ZERO;
        }
        let ends = self.group.take_ends();
        if !ends.is_empty() {
            let paused = match self.group.is_paused() {
                true => self.group.assigned(),
                false => 0,
            };
            let mut oldest = self.gathered.oldest();
            // What is published was read before what is gathered.
            self.publisher.oldest(&mut oldest);
            self.account.note_ends(ends, &oldest, paused);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.options.in_flight_bytes
            || self.gathered.under_way() >= UNDER_WAY
            || self.gathered.len() >= 2 * self.publisher.set_limit()
    }

    fn take(&mut self, record: Record) {
        if self.publisher.is_astray(&record.envelope.partition) {
            return;
        }
        let form = self.publisher.form();
        self.bytes += self.gathered.take(record, &*self.process, form);
    }

    /// Moves what is processed, and weighs it: its size is known now, not estimated.
    fn settle(&mut self, runtime: &Handle) -> Result<(), Error> {
        let audited = self.options.source.digest_key.as_ref();
        self.gathered.settle(&*self.process, audited, runtime)?;
        self.weigh();
        Ok(())
    }

    fn forget_revoked(&mut self) {
        let revoked = self.group.take_revoked();
        if revoked.is_empty() {
            return;
        }
        #[cfg(test)]
        if super::planted::has(super::planted::Bug::KeepsRevoked) {
            return;
        }
        self.gathered.drop_partitions(&revoked);
        self.publisher.forget(&revoked);
        self.account.forget(&revoked);
        self.weigh();
    }

    /// Drops what could not be processed in the time for draining. Its offsets are not committed, so
    /// nothing is lost; the rest of the time is for what is done.
    fn leave_undone(&mut self) {
        let since = *self.draining_since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.options.drain_for {
            return;
        }
        self.takes_no_more = true;
        #[cfg(test)]
        if super::planted::has(super::planted::Bug::ReadsBehindUndone) {
            self.takes_no_more = false;
        }
        let records = self.gathered.leave_undone();
        if records > 0 {
            info!(records, "left to the next reader");
            self.weigh();
        }
    }

    fn too_many_dead_letters(&self) -> bool {
        let most = self.options.max_dead_letters;
        most.is_some_and(|most| self.account.dead_letters() > most)
    }

    /// Says what the work waits for.
    fn note_waiting(&mut self) {
        let watch = &self.account.watch;
        if let Some(call) = self.publisher.waits_for() {
            watch.waits_for(call);
        } else if !self.gathered.ready.is_empty() {
            watch.waits_for("the next attempt to publish");
        } else if self.gathered.under_way() > 0 {
            // A long text may take the model minutes: what it answers is progress.
            let processed = (self.gathered.settled(), self.process.tokens());
            if processed != std::mem::replace(&mut self.processed, processed) {
                watch.moved();
            }
            watch.waits_for("documents to be processed");
        } else {
            watch.idle();
        }
    }

    /// Whether a set is under way.
    #[cfg(test)]
    pub(super) fn is_publishing(&self) -> bool {
        !self.publisher.is_idle()
    }

    fn weigh(&mut self) {
        let gathered = self.gathered.held(self.options.in_flight_bytes);
        self.note_bytes(gathered + self.publisher.held());
    }

    fn note_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
        let before = std::mem::replace(&mut self.noted, bytes);
        if bytes != before {
            // Of all slots.
            gauge!(metric::QUEUE_BYTES, "queue" => "documents")
                .increment(bytes as f64 - before as f64);
        }
    }
}
