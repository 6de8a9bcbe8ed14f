//! The streaming worker: a slot that reads topics, and publishes what becomes of each record in one
//! transaction with its offset (I5).
//!
//! No transaction is open while the group is served: records are gathered and processed first, and
//! a set of them is begun, sent and committed in one go. A rebalance so never meets an open
//! transaction. What was gathered of a partition that is revoked is dropped: its offsets were not
//! committed, and its next owner reads it again.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Engine,
    document::PlainText,
    work::{self, Working},
};
use crate::{
    sink::kafka::{self as topics, Delivery, Producer},
    source::kafka::{self as group, Consumer, Partition, Record},
    tenant::reload,
};

/// What a slot reads and writes, and its bounds.
#[derive(Debug, Clone)]
pub struct Options {
    /// Topics to read.
    pub source: group::Options,
    /// Topics to write.
    pub sink: topics::Options,
    /// Most documents in one transaction.
    pub max_documents: usize,
    /// Longest time that a document which is done waits for company.
    pub max_wait: Duration,
    /// Most bytes of documents between source and sink.
    pub in_flight_bytes: u64,
}

/// Why a slot stopped. What it had not committed is read again by whoever owns the partitions next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The topics can't be read.
    #[error(transparent)]
    Source(#[from] group::Error),
    /// The topics can't be written.
    #[error(transparent)]
    Sink(#[from] topics::Error),
}

/// What a slot did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Documents delivered.
    pub documents: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Transactions that were committed.
    pub transactions: u64,
    /// Transactions that were aborted or whose outcome was looked up.
    pub aborted: u64,
}

/// One slot: one member of the group, one transactional producer.
pub struct Slot {
    engine: Engine,
    tenants: reload::Handle,
    options: Options,
    consumer: Consumer,
    producer: Producer,
    /// Under way, in the order in which they were read.
    queue: VecDeque<Gathered>,
    /// Done, in the same order, since the first of them.
    ready: Vec<Delivery>,
    since: Instant,
    bytes: u64,
    failures: u32,
    summary: Summary,
}

struct Gathered {
    partition: Partition,
    offset: i64,
    key: Option<Vec<u8>>,
    bytes: u64,
    state: State,
}

enum State {
    Working(Box<Working>),
    Rejected(crate::record::DeadLetter),
}

/// Records taken in before those that are done are looked at.
const BURST: usize = 256;

/// Failures in a row before the slot gives up.
const MAX_FAILURES: u32 = 10;

impl Slot {
    /// Joins the group and ends what an earlier producer of this id left open. Blocks.
    pub fn open(engine: Engine, tenants: reload::Handle, options: Options) -> Result<Self, Error> {
        Ok(Self {
            producer: Producer::new(&options.sink)?,
            consumer: Consumer::join(options.source.clone())?,
            engine,
            tenants,
            options,
            queue: VecDeque::new(),
            ready: Vec::new(),
            since: Instant::now(),
            bytes: 0,
            failures: 0,
            summary: Summary::default(),
        })
    }

    /// Runs until `drain` is cancelled and what is under way is committed. Blocks: give it a thread
    /// that has entered the runtime.
    pub fn run(
        mut self,
        runtime: &tokio::runtime::Handle,
        drain: &CancellationToken,
    ) -> Result<Summary, Error> {
        let _entered = runtime.enter();
        loop {
            let draining = drain.is_cancelled();
            self.gather(draining)?;
            while self.queue.front().is_some_and(Gathered::ended) {
                let first = self.queue.pop_front().expect("looked at above");
                self.bytes -= first.bytes;
                if self.ready.is_empty() {
                    self.since = Instant::now();
                }
                self.ready.push(runtime.block_on(first.delivery()));
            }
            let over = draining && self.queue.is_empty();
            let due = self.ready.len() >= self.options.max_documents
                || self.since.elapsed() >= self.options.max_wait
                || over;
            if due && !self.ready.is_empty() {
                self.publish()?;
            }
            if over && self.ready.is_empty() {
                return Ok(self.summary);
            }
        }
    }

    /// Takes in what is there, as far as there is room.
    fn gather(&mut self, draining: bool) -> Result<(), Error> {
        let mut wait = match self.queue.is_empty() && self.ready.is_empty() {
            true => Duration::from_millis(100),
            false => Duration::from_millis(2),
        };
        for _ in 0..BURST {
            self.consumer.pause(draining || self.is_full());
            let record = self.consumer.poll(wait)?;
            // Before what came after it is kept.
            self.forget_revoked();
            let Some(record) = record else {
                return Ok(());
            };
            self.start(record);
            wait = Duration::ZERO;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes >= self.options.in_flight_bytes
            || self.queue.len() + self.ready.len() >= 2 * self.options.max_documents.max(BURST)
    }

    fn start(&mut self, record: Record) {
        let state = record.document.and_then(|document| {
            let tenants = self.tenants.current();
            let policy = work::policy(
                &tenants,
                document.tenant.as_deref(),
                &document.position,
                &document.id,
            )?;
            let working = Working::start(&self.engine, policy, document, PlainText::Record);
            Ok(State::Working(Box::new(working)))
        });
        self.bytes += record.bytes;
        self.queue.push_back(Gathered {
            partition: record.partition,
            offset: record.offset,
            key: record.key,
            bytes: record.bytes,
            state: state.unwrap_or_else(State::Rejected),
        });
    }

    fn forget_revoked(&mut self) {
        let revoked = self.consumer.take_revoked();
        if revoked.is_empty() {
            return;
        }
        let is_revoked = |(topic, partition): &Partition| {
            revoked
                .iter()
                .any(|(name, number)| **name == **topic && number == partition)
        };
        self.ready
            .retain(|delivery| !is_revoked(&delivery.partition));
        self.queue
            .retain(|gathered| !is_revoked(&gathered.partition));
        self.bytes = self.queue.iter().map(|gathered| gathered.bytes).sum();
    }

    fn publish(&mut self) -> Result<(), Error> {
        // Fresh for every transaction: it carries the generation of the group.
        let Some(group) = self.consumer.group() else {
            return Ok(());
        };
        let count = self.ready.len().min(self.options.max_documents);
        match self.producer.publish(&self.ready[..count], &group) {
            Ok(()) => {
                self.delivered(count);
                Ok(())
            }
            Err(error @ topics::Error::Aborted { .. }) => self.again(error),
            Err(error @ topics::Error::Unknown { .. }) => {
                self.again(error)?;
                self.look_up()
            }
            Err(error) => Err(error.into()),
        }
    }

    fn delivered(&mut self, count: usize) {
        for delivery in self.ready.drain(..count) {
            match delivery.outcome {
                Ok(_) => self.summary.documents += 1,
                Err(_) => self.summary.dead_letters += 1,
            }
        }
        self.summary.transactions += 1;
        self.failures = 0;
        self.since = Instant::now();
    }

    /// The same set is tried again, unless its partitions are gone by then.
    fn again(&mut self, error: topics::Error) -> Result<(), Error> {
        self.summary.aborted += 1;
        self.failures += 1;
        warn!(%error, failures = self.failures, "not committed");
        if self.failures >= MAX_FAILURES {
            return Err(error.into());
        }
        self.since = Instant::now();
        Ok(())
    }

    /// After an unknown outcome: a new producer ends the old one's transaction one way or the other,
    /// and the committed offsets tell which.
    fn look_up(&mut self) -> Result<(), Error> {
        self.producer = Producer::new(&self.options.sink)?;
        let timeout = self.options.sink.transaction_timeout;
        let failed = |error: rdkafka::error::KafkaError| topics::Error::Unknown {
            code: error.rdkafka_error_code(),
        };
        let list = topics::offsets_after(&self.ready).map_err(failed)?;
        let committed = self.consumer.committed(list, timeout).map_err(failed)?;
        let before = self.ready.len();
        self.ready.retain(|delivery| {
            let (topic, partition) = &delivery.partition;
            let found = committed.find_partition(topic, *partition);
            let offset = found.and_then(|found| found.offset().to_raw());
            offset.is_none_or(|offset| offset < 0 || delivery.offset >= offset)
        });
        info!(committed = before - self.ready.len(), "outcome looked up");
        Ok(())
    }
}

impl Gathered {
    fn ended(&self) -> bool {
        match &self.state {
            State::Working(working) => working.ended(),
            State::Rejected(_) => true,
        }
    }

    async fn delivery(self) -> Delivery {
        let outcome = match self.state {
            State::Working(working) => working.done().await.map(|(done, ..)| done),
            State::Rejected(letter) => Err(letter),
        };
        Delivery {
            partition: self.partition,
            offset: self.offset,
            key: self.key,
            outcome,
        }
    }
}
