//! Sets of records on their way into topics: one at a time, on a thread that may block, while the
//! slot gathers the next one.
//!
//! So a rebalance may meet a set that is under way. It carries the generation that the group had when
//! it was made up, by the thread that serves the group, when all of its partitions were the slot's.
//! Once the group has gone on to the next generation, the broker refuses the set's offsets, and all of
//! it is aborted. Before that no other member has its partitions, and whoever gets them then waits for
//! the outcome before it is told where to begin (KIP-447).

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    time::{Duration, Instant},
};

use rdkafka::{consumer::ConsumerGroupMetadata, error::KafkaError};
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::Error;
use crate::{
    sink::{
        calls::Calls,
        kafka::{self as topics, Delivery, Producer},
    },
    source::kafka::{Consumer, Partition, offset_of},
};

/// Longest wait for an answer at the start: the caller looks between two attempts whether the worker is
/// drained.
const OPENING: Duration = Duration::from_secs(10);

/// A slot's producer, and the set that it publishes.
pub(super) struct Transactions {
    options: topics::Options,
    /// `None` while a set is under way, and once an outcome was unknown, until a new one is made.
    producer: Option<Producer>,
    /// Whether it has to be looked up what an earlier producer committed.
    unsure: bool,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    /// Of the publishing thread, which may stay in a call for ever.
    outcome: Receiver<(Producer, Result<(), topics::Error>)>,
    calls: Arc<Calls>,
    /// Shared with that thread until it sends its outcome.
    set: Arc<Vec<Delivery>>,
    began: Instant,
    bytes: u64,
    lost: BTreeSet<Partition>,
}

/// What came of a set.
pub(super) struct Ended {
    pub(super) set: Vec<Delivery>,
    /// Partitions that were revoked meanwhile: their records are somebody else's.
    pub(super) lost: BTreeSet<Partition>,
    pub(super) outcome: Result<(), topics::Error>,
    pub(super) began: Instant,
}

impl Transactions {
    /// Makes a producer and ends what an earlier one of its id left open. Blocks.
    pub(super) fn open(options: topics::Options) -> Result<Self, Error> {
        let wait = options.timeout.min(OPENING);
        let producer = Producer::within(&options, wait)?;
        producer.check_topics(wait)?;
        Ok(Self {
            options,
            producer: Some(producer),
            unsure: false,
            under_way: None,
        })
    }

    /// Whether a transaction can't hold the source's offsets.
    pub(super) fn is_elsewhere(&self, consumer: &Consumer) -> bool {
        let wait = self.options.timeout.min(OPENING);
        let to = self
            .producer
            .as_ref()
            .and_then(|producer| producer.cluster(wait));
        self.options.transactional_id.is_some()
            && to.is_some()
            && consumer.cluster(wait).is_some_and(|from| Some(from) != to)
    }

    pub(super) fn codec(&self) -> &topics::Codec {
        &self.options.codec
    }

    /// Longest wait for an answer of the brokers.
    pub(super) fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Whether a set is under way: the next one has to wait.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Bytes of the set that is under way, and of the records that are made of it.
    pub(super) fn bytes(&self) -> u64 {
        self.under_way.as_ref().map_or(0, |own| own.bytes)
    }

    /// Takes note that partitions are no longer the slot's.
    pub(super) fn forget(&mut self, revoked: &[Partition]) {
        if let Some(under_way) = &mut self.under_way {
            under_way.lost.extend(revoked.iter().cloned());
        }
    }

    /// Publishes a set; [`Self::renew`] was called before.
    pub(super) fn start(&mut self, set: Vec<Delivery>, group: Option<ConsumerGroupMetadata>) {
        let producer = self.producer.take().expect("renewed before");
        debug_assert!(self.under_way.is_none());
        let held: u64 = set.iter().map(|delivery| delivery.held).sum();
        let bytes = 2 * held;
        let set = Arc::new(set);
        let (calls, published) = (producer.calls(), set.clone());
        let (sender, outcome) = sync_channel(1);
        let runtime = Handle::current();
        // Not one of the runtime's: those are waited for when it ends.
        let thread = move || {
            let _entered = runtime.enter();
            let outcome = producer.publish(&published, group.as_ref());
            drop(published);
            producer.calls().returned();
            // Nobody takes the outcome of a call that was given up; its producer is dropped here.
            let _ = sender.send((producer, outcome));
        };
        std::thread::Builder::new()
            .name("publish".to_owned())
            .spawn(thread)
            .expect("a process may have a few threads");
        self.under_way = Some(UnderWay {
            outcome,
            calls,
            set,
            began: Instant::now(),
            bytes,
            lost: BTreeSet::new(),
        });
    }

    /// What the publishing thread does, if a set is under way.
    pub(super) fn call(&self) -> Option<&'static str> {
        self.under_way.as_ref().and_then(|own| own.calls.current())
    }

    /// What came of the set that was under way, once it is known. A call that exceeds its deadline is
    /// given up: what came of the set is unknown then.
    pub(super) fn ended(&mut self, consumer: &Consumer) -> Result<Option<Ended>, Error> {
        let Some(own) = self.under_way.take() else {
            return Ok(None);
        };
        let (producer, mut outcome) = match own.outcome.try_recv() {
            Ok((producer, outcome)) => (Some(producer), outcome),
            Err(TryRecvError::Disconnected) => return Err(Error::Panicked),
            Err(TryRecvError::Empty) => {
                let Some(given_up) = own.calls.give_up() else {
                    self.under_way = Some(own);
                    return Ok(None);
                };
                warn!(
                    waits_for = given_up.call,
                    seconds = given_up.passed.as_secs(),
                    "the Kafka client does not return from a call: weir gives it up and makes a new producer"
                );
                (None, Err(topics::Error::Unknown { code: None }))
            }
        };
        // A rival with the same transactional id fences at once. An old transaction was ended by the
        // broker: an outage may last longer than a transaction may.
        if let Err(topics::Error::Fenced) = outcome
            && own.began.elapsed() >= self.options.timeout * 3 / 4
        {
            outcome = Err(topics::Error::Unknown { code: None });
        }
        let set = Arc::try_unwrap(own.set).unwrap_or_else(|shared| (*shared).clone());
        if outcome.is_ok() && self.options.transactional_id.is_none() {
            let kept = set.iter().filter(|d| !own.lost.contains(&d.partition));
            outcome = topics::commit(kept, consumer);
        }
        match &outcome {
            Err(topics::Error::Unknown { .. }) => self.unsure = true,
            // A new one sends smaller batches.
            Err(topics::Error::Batches { .. }) => {}
            _ => self.producer = producer,
        }
        Ok(Some(Ended {
            set,
            lost: own.lost,
            outcome,
            began: own.began,
        }))
    }

    /// After an unknown outcome: a new producer ends the old one's transaction one way or the other,
    /// and the committed offsets tell how many of `ready` went with it. Blocks.
    pub(super) fn renew(
        &mut self,
        ready: &[Delivery],
        consumer: &Consumer,
    ) -> Result<usize, topics::Error> {
        if self.producer.is_none() {
            self.producer = Some(Producer::new(&self.options)?);
        }
        if !self.unsure {
            return Ok(0);
        }
        let failed = |error: KafkaError| topics::Error::Unknown {
            code: error.rdkafka_error_code(),
        };
        let list = topics::offsets_after(ready).map_err(failed)?;
        let committed = consumer
            .committed(list, self.options.timeout)
            .map_err(failed)?;
        let is_committed = |delivery: &Delivery| {
            let (topic, partition) = &delivery.partition;
            offset_of(&committed, topic, *partition).is_some_and(|end| delivery.offset < end)
        };
        self.unsure = false;
        // Offsets are committed for a set as a whole, so what is committed stands in front.
        let count = ready.iter().take_while(|own| is_committed(own)).count();
        info!(committed = count, "outcome looked up");
        Ok(count)
    }

    /// See [`topics::Producer::commits_first`].
    pub(super) fn commit_first(
        &self,
        set: &[Delivery],
        consumer: &Consumer,
    ) -> Result<(), topics::Error> {
        match &self.producer {
            Some(producer) if producer.commits_first() => topics::commit(set, consumer),
            _ => Ok(()),
        }
    }
}
