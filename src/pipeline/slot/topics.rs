//! Topics as what a slot publishes to: sets of records, each in one transaction with its offsets. One
//! set at a time is under way, on a thread that may block, while the slot gathers the next one.
//!
//! So a rebalance may meet a set that is under way. It carries the generation that the group had when
//! it was made up, by the thread that serves the group, when all of its partitions were the slot's.
//! Once the group has gone on to the next generation, the broker refuses the set's offsets, and all of
//! it is aborted. Before that no other member has its partitions, and the member that gets them then waits for
//! the outcome before it is told where to begin (KIP-447).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        mpsc::{Receiver, TryRecvError, sync_channel},
    },
    time::{Duration, Instant, SystemTime},
};

use metrics::{counter, histogram};
use rdkafka::{consumer::ConsumerGroupMetadata, error::KafkaError};
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::{
    Error, Options,
    account::{Tally, count_error},
    audit::Chains,
    gather::Gathering,
    group::Group,
    publisher::{BURST, Bounds, Publisher, Turn},
    ready::Ready,
};
use crate::{
    kafka::{Partition, offsets::offset_of},
    record::{PlainText, Stage, avro},
    sink::kafka::{
        self, Delivery,
        calls::Calls,
        planted::{Fault, has},
    },
    source::kafka::Consumer,
    telemetry::{metric, trace},
};

/// Longest wait for an answer at the start: the caller looks between two attempts whether the worker is
/// drained.
const OPENING: Duration = Duration::from_secs(10);

/// Publishes sets as a member `M` of the group; a seam, so that a slot runs without a broker in its
/// tests. [`kafka::Producer`] documents what each call promises.
pub(super) trait Producer<M>: Send {
    /// Commits a set with its offsets. Blocks.
    fn publish(&self, set: &[Delivery], member: Option<&M>) -> Result<(), kafka::Error>;

    /// The call that [`Self::publish`] is in.
    fn calls(&self) -> Arc<Calls>;

    /// Whether it must not publish another set.
    fn is_spent(&self) -> bool;
}

impl Producer<ConsumerGroupMetadata> for kafka::Producer {
    fn publish(
        &self,
        set: &[Delivery],
        member: Option<&ConsumerGroupMetadata>,
    ) -> Result<(), kafka::Error> {
        Self::publish(self, set, member)
    }

    fn calls(&self) -> Arc<Calls> {
        Self::calls(self)
    }

    fn is_spent(&self) -> bool {
        Self::is_spent(self)
    }
}

/// Makes a producer, which ends what an earlier one of its id left open. Blocks.
pub(super) type Renewal<M> = Box<dyn Fn() -> Result<Box<dyn Producer<M>>, kafka::Error>>;

/// A slot's producer, and the set that it publishes.
pub(super) struct Topics<M> {
    make: Renewal<M>,
    /// `None` while a set is under way, and once an outcome was unknown or the last one is spent, until a new one
    /// is made.
    producer: Option<Box<dyn Producer<M>>>,
    form: PlainText,
    /// Whether offsets are part of a set; otherwise they are committed after it.
    is_transactional: bool,
    /// Longest wait for an answer of the brokers.
    timeout: Duration,
    bounds: Bounds,
    /// Name of the group, and of this member if it has one.
    member: (String, Option<String>),
    audit: Chains,
    /// Whether it has to be looked up what an earlier producer committed.
    unsure: bool,
    under_way: Option<UnderWay<M>>,
}

struct UnderWay<M> {
    /// Of the publishing thread, which may stay in a call for ever.
    outcome: Receiver<(Box<dyn Producer<M>>, Result<(), kafka::Error>)>,
    calls: Arc<Calls>,
    /// Shared with that thread until it sends its outcome.
    set: Arc<Vec<Delivery>>,
    began: Instant,
    /// Of the set.
    span: trace::Span,
    bytes: u64,
    /// Partitions that were revoked meanwhile: their records are somebody else's.
    lost: BTreeSet<Partition>,
}

/// What came of a set.
struct Ended {
    set: Vec<Delivery>,
    lost: BTreeSet<Partition>,
    outcome: Result<(), kafka::Error>,
    began: Instant,
    span: trace::Span,
}

/// Makes a slot's first producer. Blocks.
pub(super) fn open(options: &kafka::Options) -> Result<kafka::Producer, Error> {
    let wait = options.timeout.min(OPENING);
    let producer = kafka::Producer::within(options, wait)?;
    producer.check_topics(wait)?;
    Ok(producer)
}

/// Whether a transaction can't hold the source's offsets.
pub(super) fn is_elsewhere(
    options: &kafka::Options,
    producer: &kafka::Producer,
    consumer: &Consumer,
) -> bool {
    let wait = options.timeout.min(OPENING);
    let to = producer.cluster(wait);
    options.transactional_id.is_some()
        && to.is_some()
        && consumer.cluster(wait).is_some_and(|from| Some(from) != to)
}

impl<M: Send + 'static> Topics<M> {
    pub(super) fn new(
        options: &kafka::Options,
        slot: &Options,
        producer: Box<dyn Producer<M>>,
        make: Renewal<M>,
    ) -> Self {
        Self {
            make,
            producer: Some(producer),
            form: match options.codec {
                kafka::Codec::Json => PlainText::Record,
                kafka::Codec::Avro(_) => PlainText::Apart,
            },
            is_transactional: options.transactional_id.is_some(),
            timeout: options.timeout,
            bounds: slot.bounds(),
            member: (
                slot.source.group_id.clone(),
                slot.source.instance_id.clone(),
            ),
            audit: Chains::new(
                slot.source.digest_key.clone(),
                &slot.source.group_id,
                options.transactional_id.is_some(),
                slot.seal.clone(),
            ),
            unsure: false,
            under_way: None,
        }
    }

    /// How many of what is done make one set.
    fn set_len(&self, ready: &Ready) -> usize {
        // What a set becomes is in memory once more while it is published.
        let most_held = (self.bounds.memory / 4).max(self.bounds.bytes);
        if ready.len() <= self.bounds.documents
            && ready.read() <= self.bounds.bytes
            && ready.held() <= most_held
        {
            return ready.len();
        }
        let (mut bytes, mut held) = (0, 0);
        let fits = |delivery: &&Delivery| {
            bytes += delivery.envelope.bytes;
            held += delivery.held;
            bytes <= self.bounds.bytes && held <= most_held
        };
        let most = ready.iter().take(self.bounds.documents);
        most.take_while(fits).count().max(1).min(ready.len())
    }

    fn is_due<G>(&self, turn: &Turn<'_, G>) -> bool {
        let Gathering { ready, since, .. } = &*turn.gathered;
        if self.under_way.is_some() || ready.is_empty() || turn.account.is_pausing() {
            return false;
        }
        turn.over
            || since.elapsed() >= self.bounds.wait
            || ready.len() >= self.bounds.documents
            || self.set_len(ready) < ready.len()
            || turn.full
    }

    /// After an unknown outcome: a new producer ends the old one's transaction one way or the other,
    /// and the committed offsets tell how many of `ready` went with it. Blocks.
    fn renew<G: Group<Member = M>>(
        &mut self,
        ready: &[Delivery],
        group: &G,
    ) -> Result<usize, kafka::Error> {
        if self.producer.is_none() {
            self.producer = Some((self.make)()?);
        }
        #[cfg(test)]
        if super::planted::has(super::planted::Bug::SendsUnknownAgain) {
            self.unsure = false;
        }
        if !self.unsure {
            return Ok(0);
        }
        let failed = |error: KafkaError| kafka::Error::Unknown {
            code: error.rdkafka_error_code(),
        };
        let list = kafka::offsets_after(ready).map_err(failed)?;
        let committed = group.committed(list, self.timeout).map_err(failed)?;
        let is_committed = |delivery: &Delivery| {
            let (topic, partition) = &delivery.envelope.partition;
            offset_of(&committed, topic, *partition)
                .is_some_and(|end| delivery.envelope.offset < end)
        };
        self.unsure = false;
        // Offsets are committed for a set as a whole, so what is committed stands in front.
        let count = ready.iter().take_while(|own| is_committed(own)).count();
        #[cfg(test)]
        let count = match super::planted::has(super::planted::Bug::TakesAllForCommitted) {
            true if count > 0 => ready.len(),
            _ => count,
        };
        info!(committed = count, "outcome looked up");
        Ok(count)
    }

    /// Publishes a set; [`Self::renew`] was called before.
    fn start(&mut self, set: Vec<Delivery>, member: Option<M>) {
        let producer = self.producer.take().expect("renewed before");
        debug_assert!(self.under_way.is_none());
        let held: u64 = set.iter().map(|delivery| delivery.held).sum();
        let bytes = 2 * held;
        let set = Arc::new(set);
        let links = set.iter().map(|delivery| &delivery.link);
        let span = trace::set(&self.member.0, set.len(), links);
        let (calls, published) = (producer.calls(), set.clone());
        let inside = span.clone();
        let (sender, outcome) = sync_channel(1);
        let runtime = Handle::current();
        // Not one of the runtime's: those are waited for when it ends.
        let thread = move || {
            let _entered = runtime.enter();
            let _inside = inside.enter();
            let outcome = producer.publish(&published, member.as_ref());
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
            span,
            bytes,
            lost: BTreeSet::new(),
        });
    }

    /// What came of the set that was under way, once it is known. A call that exceeds its deadline is
    /// given up: what came of the set is unknown then.
    fn ended<G: Group<Member = M>>(&mut self, group: &G) -> Result<Option<Ended>, Error> {
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
                (None, Err(kafka::Error::Unknown { code: None }))
            }
        };
        // A rival with the same transactional id fences at once. An old transaction was ended by the
        // broker: an outage may last longer than a transaction may.
        if let Err(kafka::Error::Fenced) = outcome
            && own.began.elapsed() >= self.timeout * 3 / 4
        {
            outcome = Err(kafka::Error::Unknown { code: None });
        }
        let set = Arc::try_unwrap(own.set).unwrap_or_else(|shared| (*shared).clone());
        if outcome.is_ok() && !self.is_transactional {
            let kept = set
                .iter()
                .filter(|d| !own.lost.contains(&d.envelope.partition));
            outcome = kafka::commit(kept, |offsets| group.commit(offsets));
        }
        match &outcome {
            Err(kafka::Error::Unknown { .. }) => self.unsure = true,
            // A new one sends smaller batches.
            Err(kafka::Error::Batches { .. }) => {}
            _ => self.producer = producer.filter(|own| !is_spent(&**own)),
        }
        Ok(Some(Ended {
            set,
            lost: own.lost,
            outcome,
            began: own.began,
            span: own.span,
        }))
    }

    /// A set is committed; some of its partitions may be another's by now.
    fn delivered<G>(
        &mut self,
        set: Vec<Delivery>,
        lost: &BTreeSet<Partition>,
        turn: &mut Turn<'_, G>,
    ) {
        let (mut tally, mut ends) = (Tally::default(), BTreeMap::new());
        for delivery in set {
            let partition = &delivery.envelope.partition;
            if !lost.contains(partition) {
                self.audit.committed(&delivery);
                ends.insert(partition.clone(), delivery.envelope.offset + 1);
            }
            tally.add(delivery);
        }
        turn.account.committed(tally, ends);
    }

    /// Puts a set that was not committed in front of what came after it, but what is another's by now.
    fn not_delivered<G>(
        &mut self,
        ended: Ended,
        error: kafka::Error,
        turn: &mut Turn<'_, G>,
    ) -> Result<(), Error> {
        let Ended {
            mut set,
            lost,
            began,
            ..
        } = ended;
        let mut rejected = true;
        if let kafka::Error::TooLarge { records } = &error {
            for record in records {
                rejected &= set[record.index].reject(record);
            }
        }
        set.retain(|own| !lost.contains(&own.envelope.partition));
        #[cfg(test)]
        super::planted::misplace(&mut set, turn.gathered, &error);
        turn.gathered.put_back(set, began);
        match error {
            kafka::Error::TooLarge { .. } if rejected => {
                turn.account.summary.aborted += 1;
                Ok(())
            }
            // Nothing is wrong with the brokers: no failure, and no wait.
            kafka::Error::Batches { .. } => {
                info!("{error}");
                turn.account.summary.aborted += 1;
                Ok(())
            }
            error => {
                if let kafka::Error::Unknown { .. } = error {
                    self.audit.forget_all();
                }
                self.again(error, turn)
            }
        }
    }

    /// The same set is tried again later, unless its partitions are gone by then. Only what trying
    /// again cannot fix ends the slot: an outage of the brokers may last.
    fn again<G>(&self, error: kafka::Error, turn: &mut Turn<'_, G>) -> Result<(), Error> {
        let error = match error {
            kafka::Error::Refused(refusal) => {
                let (group, member) = &self.member;
                kafka::Error::Refused(refusal.in_group(group, member.as_deref()))
            }
            error => error,
        };
        let error_type = error_type(&error);
        turn.account.summary.aborted += 1;
        if !is_passing(&error) {
            count_error(error_type);
            return Err(error.into());
        }
        turn.account.failed(&error, error_type);
        Ok(())
    }
}

impl<G: Group> Publisher<G> for Topics<G::Member> {
    fn form(&self) -> PlainText {
        self.form
    }

    fn set_limit(&self) -> usize {
        self.bounds.documents.max(BURST)
    }

    /// Of the set that is under way, and of the records that are made of it.
    fn held(&self) -> u64 {
        self.under_way.as_ref().map_or(0, |own| own.bytes)
    }

    fn oldest(&self, of: &mut BTreeMap<Partition, SystemTime>) {
        let Some(under_way) = &self.under_way else {
            return;
        };
        // Backwards: the first of a partition is put in last.
        for delivery in under_way.set.iter().rev() {
            if let Some(written) = delivery.envelope.written {
                of.insert(delivery.envelope.partition.clone(), written);
            }
        }
    }

    fn waits_for(&self) -> Option<&'static str> {
        let under_way = self.under_way.as_ref()?;
        let call = under_way.calls.current();
        Some(call.unwrap_or("a set to be published"))
    }

    fn is_idle(&self) -> bool {
        self.under_way.is_none()
    }

    fn forget(&mut self, revoked: &[Partition]) {
        if let Some(under_way) = &mut self.under_way {
            under_way.lost.extend(revoked.iter().cloned());
        }
        self.audit.forget(revoked);
    }

    fn take_outcome(&mut self, turn: &mut Turn<'_, G>) -> Result<bool, Error> {
        let Some(mut ended) = self.ended(turn.group)? else {
            return Ok(false);
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
        ended.span.end(ended.outcome.as_ref().err().map(error_type));
        match std::mem::replace(&mut ended.outcome, Ok(())) {
            Ok(()) => self.delivered(ended.set, &ended.lost, turn),
            Err(error) => self.not_delivered(ended, error, turn)?,
        }
        Ok(true)
    }

    fn publish(&mut self, turn: &mut Turn<'_, G>) -> Result<bool, Error> {
        if !self.is_due(turn) {
            return Ok(false);
        }
        let watch = &turn.account.watch;
        watch.waits_for("the brokers to say what is committed");
        while has(Fault::EndlessWait) {
            std::thread::park();
        }
        match self.renew(&turn.gathered.ready, turn.group) {
            Ok(0) => {}
            Ok(committed) => {
                let set = turn.gathered.ready.take(committed);
                self.delivered(set, &BTreeSet::new(), turn);
                return Ok(true);
            }
            Err(error) => return self.again(error, turn).map(|()| true),
        }
        let count = self.set_len(&turn.gathered.ready);
        let set = &mut turn.gathered.ready[..count];
        let chained = self.audit.extend(set, turn.group, self.timeout);
        let committed_first = chained.and_then(|()| match has(Fault::OffsetsFirst) {
            true => kafka::commit(&*set, |offsets| turn.group.commit(offsets)),
            false => Ok(()),
        });
        if let Err(error) = committed_first {
            return self.again(error, turn).map(|()| true);
        }
        let set = turn.gathered.ready.take(count);
        #[cfg(test)]
        let set = super::planted::one_too_far(set);
        // Of this moment: all partitions of the set are this slot's.
        self.start(set, turn.group.member());
        turn.gathered.since = Instant::now();
        Ok(true)
    }
}

fn is_spent<M>(producer: &dyn Producer<M>) -> bool {
    #[cfg(test)]
    if super::planted::has(super::planted::Bug::KeepsSpentProducer) {
        return false;
    }
    producer.is_spent()
}

/// Whether trying again may help.
fn is_passing(error: &kafka::Error) -> bool {
    matches!(
        error,
        kafka::Error::NoAnswer { .. }
            | kafka::Error::NoTopic { .. }
            | kafka::Error::Aborted { .. }
            | kafka::Error::Unknown { .. }
            | kafka::Error::Registry(avro::Error::Unavailable { .. })
    )
}

/// Label of the metric.
fn error_type(error: &kafka::Error) -> &'static str {
    match error {
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
    }
}
