//! The member of the group.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use globset::{Glob, GlobSet};
use metrics::counter;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerGroupMetadata},
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedMessage,
};
use regex::Regex;
use tracing::warn;

use super::{
    ANSWER, Error, Options, Reader, Record, beginning,
    client::{Context, End, locked, taken},
    decode::NotYet,
    place::{Came, Look, Place, Print},
};
use crate::{
    kafka::{Lost, Partition, brokers, offsets::offset_of},
    source::identity::Identity,
    telemetry::metric,
};

/// A member of a consumer group.
pub struct Consumer {
    pub(super) inner: BaseConsumer<Context>,
    pub(super) options: Options,
    pub(super) identity: Identity,
    pub(super) pass: GlobSet,
    pub(super) trace_parent: Regex,
    /// Names of topics and headers, each held once.
    pub(super) names: BTreeMap<String, Arc<str>>,
    paused: bool,
    /// Whether librdkafka fetches: what it was told last.
    fetching: bool,
    /// Partitions of which is known that they began where they should, and how far they were read.
    begun: BTreeMap<Partition, Place>,
    /// Topics that can't be read and of which that was said.
    absent: BTreeSet<String>,
    waiting: Waiting,
    /// Reads what the member's own reading is compared with, once that is needed.
    reader: Option<Reader>,
}

/// Records that can't be taken yet, in their order. They are not read again from the broker, and
/// none that follows them is read before them.
#[derive(Default)]
struct Waiting {
    records: VecDeque<OwnedMessage>,
    failures: u32,
    not_before: Option<Instant>,
}

impl Consumer {
    /// Joins the group. A group that shall begin with what comes is marked first, which waits for the
    /// brokers until `stop` says otherwise.
    pub fn join(options: Options, stop: &dyn Fn() -> bool) -> Result<Self, Error> {
        if !options.from_earliest {
            beginning::mark_ends(&options, stop)?;
        }
        let mut config = options.brokers.config();
        // Often enough for a gauge of the lag.
        config.set("statistics.interval.ms", "5000");
        options.librdkafka.add_to(&mut config);
        // What the promise rests on is set last: no option of the user's can undo it.
        config
            .set("group.id", &options.group_id)
            // Also for `latest`: see `beginning`.
            .set("auto.offset.reset", "earliest")
            .set(
                "topic.metadata.refresh.interval.ms",
                options.metadata_refresh.as_millis().to_string(),
            )
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false");
        if let Some(instance) = &options.instance_id {
            config.set("group.instance.id", instance);
        }
        if options.broker_assigns {
            // The broker has the session timeout then; librdkafka refuses one of the client's.
            config.set("group.protocol", "consumer");
        } else {
            let session = options.session_timeout.as_millis();
            // A third of it, as Kafka's documentation advises.
            let heartbeat = (session / 3).clamp(1, 3000);
            config
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set("session.timeout.ms", session.to_string())
                .set("heartbeat.interval.ms", heartbeat.to_string());
        }
        let context = Context {
            token_file: options.brokers.token_file.clone(),
            ..Context::default()
        };
        let inner: BaseConsumer<Context> = config
            .create_with_context(context)
            .map_err(Error::Options)?;
        let topics: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        inner.subscribe(&topics).map_err(Error::Options)?;
        let mut pass = GlobSet::builder();
        for pattern in &options.pass {
            pass.add(Glob::new(pattern).map_err(Error::Headers)?);
        }
        Ok(Self {
            inner,
            identity: Identity::of(&options.records)?,
            pass: pass.build().map_err(Error::Headers)?,
            trace_parent: Regex::new("^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
                .expect("a constant pattern"),
            options,
            names: BTreeMap::new(),
            paused: false,
            fetching: true,
            begun: BTreeMap::new(),
            absent: BTreeSet::new(),
            waiting: Waiting::default(),
            reader: None,
        })
    }

    /// The next record, if one comes within `wait`. Serves the group: call it often. A partition that
    /// was assigned begins at its committed offset. A registry is asked on the runtime that the thread
    /// has entered.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Record>, Error> {
        if !self.waiting.records.is_empty() {
            return self.poll_waiting(wait);
        }
        let Some(message) = self.poll_group(wait)? else {
            return Ok(None);
        };
        let taken = self.take(&message);
        Ok(taken.unwrap_or_else(|error| {
            self.wait_for(&error);
            self.waiting.records.push_back(message);
            None
        }))
    }

    /// A message as a record; `None` if it is not the next one of its partition.
    fn take(&mut self, message: &OwnedMessage) -> Result<Option<Record>, NotYet> {
        let topic = name(&mut self.names, message.topic());
        let partition = (topic, message.partition());
        let begins_right = self.begins_right(&partition, message.offset());
        if !begins_right.map_err(NotYet::Offsets)? {
            return Ok(None);
        }
        let mut record = self.record(partition, message)?;
        let of = &record.envelope.partition;
        let place = self.begun.get_mut(of);
        let place = place.expect("a partition that begins right has a place");
        let mut look = Looking {
            consumer: &self.inner,
            reader: &mut self.reader,
            options: &self.options,
            of,
        };
        let print = Print::of(message);
        let came = place.take(record.envelope.offset, print, Instant::now(), &mut look);
        match came.map_err(NotYet::Offsets)? {
            Came::Next(lost) => record.envelope.lost = lost,
            Came::Unsure => return Err(NotYet::Unsure),
            Came::Elsewhere { at } => {
                let of = record.envelope.partition;
                self.go_back(&of, record.envelope.offset, at)
                    .map_err(NotYet::Offsets)?;
                return Ok(None);
            }
        }
        if let Some(lost) = record.envelope.lost {
            self.tell_lost(&record.envelope.partition, record.envelope.offset, lost);
        }
        Ok(Some(record))
    }

    /// Reading goes on at another offset than the client's.
    fn go_back(&mut self, of: &Partition, offset: i64, at: i64) -> Result<(), KafkaError> {
        counter!(metric::ERRORS_TOTAL, "stage" => "source", "error_type" => "position")
            .increment(1);
        warn!(
            topic = &*of.0,
            partition = of.1,
            offset,
            at,
            "the Kafka client did not deliver the next record of a partition; weir drops the record and seeks to \
             the right offset"
        );
        let to = Offset::Offset(at);
        self.inner.seek(&of.0, of.1, to, ANSWER)?;
        self.forget_waiting(of);
        Ok(())
    }

    /// What was fetched of a partition is not read any more.
    fn forget_waiting(&mut self, (topic, partition): &Partition) {
        self.waiting
            .records
            .retain(|waiting| (waiting.topic(), waiting.partition()) != (topic, *partition));
    }

    fn tell_lost(&self, of: &Partition, offset: i64, lost: Lost) {
        let (topic, partition) = (&*of.0, of.1);
        let records = match lost {
            Lost::Deleted { from, records } => {
                warn!(
                    topic,
                    partition,
                    from,
                    records,
                    offset,
                    "the topic deleted records before weir read them; weir skips them: raise its \
                     retention.ms or retention.bytes, or start more workers"
                );
                records
            }
            Lost::Replaced => {
                warn!(
                    topic,
                    partition,
                    offset,
                    "the partition begins again: its topic was deleted and created again, or its brokers \
                     lost its end; reading goes on at its first offset"
                );
                self.set_back(of, offset);
                return;
            }
        };
        counter!(
            metric::SKIPPED_RECORDS_TOTAL,
            "topic" => metric::label("topic", topic),
            "partition" => metric::label("partition", &partition.to_string())
        )
        .increment(records);
    }

    /// The offsets of a topic that is gone may still be committed: they would hide records of the one
    /// that took its name.
    fn set_back(&self, (topic, partition): &Partition, offset: i64) {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(topic, *partition);
        let set_back = self.committed(list, ANSWER).and_then(|mut committed| {
            if offset_of(&committed, topic, *partition).is_none_or(|old| old <= offset) {
                return Ok(());
            }
            // With what stands beside the offset: the head of the audit chain.
            committed.set_partition_offset(topic, *partition, Offset::Offset(offset))?;
            self.inner.commit(&committed, CommitMode::Sync)
        });
        if let Err(error) = set_back {
            warn!(code = ?error.rdkafka_error_code(), "the group's offset is still that of the old topic");
        }
    }

    /// Whether a partition's first message is one at or behind the committed offset; it is sent there
    /// if not.
    ///
    /// librdkafka does not hold this itself (2.12, `rd_kafka_assignment_apply_offsets`): if the offset
    /// can't be told yet because a transaction of the last owner is open (`UNSTABLE_OFFSET_COMMIT`), and
    /// the assignment changes meanwhile, the partition begins where `auto.offset.reset` says, and all of
    /// it would be doubled.
    fn begins_right(&mut self, partition: &Partition, offset: i64) -> Result<bool, KafkaError> {
        if self.begun.contains_key(partition) {
            return Ok(true);
        }
        self.absent.remove(&*partition.0);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&partition.0, partition.1);
        let committed = self.committed(list, ANSWER)?;
        let Some(from) = offset_of(&committed, &partition.0, partition.1) else {
            // Nothing is committed: it begins with what it holds. No record stands in front of offset 0, so the brokers
            // are not asked: their answer may wait behind a fetch for `fetch.wait.max.ms`.
            let first = match offset {
                0 => 0,
                _ => self.bounds(partition, ANSWER)?.0.min(offset),
            };
            self.begun.insert(partition.clone(), Place::at(first));
            return Ok(true);
        };
        if offset == from {
            self.begun.insert(partition.clone(), Place::at(from));
            return Ok(true);
        }
        let (first, end) = self.bounds(partition, ANSWER)?;
        // What is committed is not there: librdkafka began with the first record that is.
        if from < first || from > end {
            self.begun.insert(partition.clone(), Place::at(from));
            return Ok(true);
        }
        if offset < from {
            warn!(
                topic = &*partition.0,
                partition = partition.1,
                offset,
                committed = from,
                "librdkafka began before the committed offset of a partition; weir seeks to the committed offset"
            );
        }
        // Also if it is behind: there may be nothing between, or all that is between was passed over.
        self.seek(partition, from, ANSWER)?;
        self.begun.insert(partition.clone(), Place::at(from));
        self.forget_waiting(partition);
        Ok(false)
    }

    /// As [`Self::poll`] while records wait: the first of them is tried again when it is time for it;
    /// until then the group is served and nothing is fetched.
    fn poll_waiting(&mut self, wait: Duration) -> Result<Option<Record>, Error> {
        let is_due = self
            .waiting
            .not_before
            .is_none_or(|at| Instant::now() >= at);
        // Before the group is served: what is revoked then is taken out by `take_revoked` first.
        if is_due && let Some(first) = self.waiting.records.pop_front() {
            match self.take(&first) {
                Ok(taken) => {
                    self.waiting.failures = 0;
                    self.waiting.not_before = None;
                    return Ok(taken);
                }
                Err(error) => {
                    self.wait_for(&error);
                    self.waiting.records.push_front(first);
                }
            }
        }
        if let Some(message) = self.poll_group(wait)? {
            self.waiting.records.push_back(message);
        }
        Ok(None)
    }

    fn wait_for(&mut self, error: &NotYet) {
        let error_type = match error {
            NotYet::Registry(_) => "registry",
            NotYet::Offsets(_) => "offsets",
            NotYet::Unsure => "position",
        };
        counter!(metric::ERRORS_TOTAL, "stage" => "source", "error_type" => error_type)
            .increment(1);
        let failures = &mut self.waiting.failures;
        *failures += 1;
        warn!(%error, failures, "records wait");
        self.waiting.not_before = Some(Instant::now() + brokers::backoff(*failures));
    }

    /// Whether records wait for an answer of the registry or the brokers.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.records.is_empty()
    }

    fn poll_group(&mut self, wait: Duration) -> Result<Option<OwnedMessage>, Error> {
        self.fetch();
        let polled = self.inner.poll(wait);
        let polled = polled.map(|message| message.map(|message| message.detach()));
        // A partition may have gone and come back within the call; then it begins again.
        for (topic, partition) in &*locked(&self.inner.context().revoked) {
            self.begun.remove(&(topic.as_str().into(), *partition));
        }
        match polled {
            None => Ok(None),
            Some(Ok(message)) => Ok(Some(message)),
            Some(Err(error)) => {
                self.failed(&error)?;
                Ok(None)
            }
        }
    }

    /// Takes note of an error that came instead of a record.
    ///
    /// # Errors
    /// Trying again can't help.
    fn failed(&mut self, error: &KafkaError) -> Result<(), Error> {
        let code = match error.rdkafka_error_code() {
            // Of a client that takes nothing any more the reason stands elsewhere.
            Some(RDKafkaErrorCode::Fatal) => {
                let cause = self.inner.client().fatal_error();
                return Err(self.options.refused(
                    cause.map_or(RDKafkaErrorCode::Fatal, |(code, _)| code),
                    &self.inner,
                ));
            }
            _ => brokers::refused(error),
        };
        if let Some(code) = code {
            return Err(self.options.refused(code, &self.inner));
        }
        if let Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) =
            error.rdkafka_error_code()
        {
            self.tell_absent();
        }
        brokers::goes_on(error);
        Ok(())
    }

    /// Says once of each topic that it is not there; what is read again is told again.
    fn tell_absent(&mut self) {
        let absent = self.options.topics_with(&self.inner, |code| {
            matches!(
                code,
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic
            )
        });
        for topic in absent.difference(&self.absent) {
            warn!(
                topic,
                "the topic `{topic}` does not exist: create it, or correct source.topics; weir waits for it"
            );
        }
        self.absent = absent;
    }

    /// The cluster that it reads from.
    pub fn cluster(&self, wait: Duration) -> Option<String> {
        self.inner.client().fetch_cluster_id(wait)
    }

    /// Commits offsets by itself, without a transaction.
    pub fn commit(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        self.inner.commit(offsets, CommitMode::Sync)
    }

    /// Commits offsets without waiting; [`Self::commit`] tells whether it worked.
    pub fn commit_later(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        self.inner.commit(offsets, CommitMode::Async)
    }

    /// Goes on reading a partition of this member at another offset. Nothing from before comes
    /// after it has returned: librdkafka discards what it had fetched. After an error nothing is
    /// known.
    pub fn seek(
        &mut self,
        partition: &Partition,
        offset: i64,
        wait: Duration,
    ) -> Result<(), KafkaError> {
        let to = Offset::Offset(offset);
        self.inner.seek(&partition.0, partition.1, to, wait)?;
        if let Some(place) = self.begun.get_mut(partition) {
            place.send_to(offset);
        }
        Ok(())
    }

    /// The first offset of a partition, and the one after the last that may be read.
    pub fn bounds(&self, of: &Partition, wait: Duration) -> Result<(i64, i64), KafkaError> {
        bounds(&self.inner, of, wait)
    }

    /// Ends of this member's partitions, once for each statistics.
    pub fn take_ends(&self) -> Vec<End> {
        let mut ends = taken(&self.inner.context().ends);
        if ends.is_empty() {
            return ends;
        }
        // The statistics may be older than a rebalance: the lag of a partition that another member has is that member's.
        let Ok(assignment) = self.inner.assignment() else {
            return Vec::new();
        };
        ends.retain(|end| {
            let found = assignment.find_partition(&end.topic, end.partition);
            found.is_some()
        });
        ends
    }

    /// Whether the group has taken this member in, with or without partitions.
    pub fn has_joined(&self) -> bool {
        self.inner.context().joined.load(Ordering::Acquire)
    }

    /// Whether fetching is stopped.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Partitions that this member has at present.
    pub fn assigned(&self) -> usize {
        self.inner.assignment().map_or(0, |list| list.count())
    }

    /// Partitions that were revoked since the last call: what is not committed of them is another
    /// member's.
    pub fn take_revoked(&mut self) -> Vec<(String, i32)> {
        let revoked = taken(&self.inner.context().revoked);
        let is_revoked = |message: &OwnedMessage| {
            let of = |(topic, partition): &(String, i32)| {
                topic == message.topic() && *partition == message.partition()
            };
            revoked.iter().any(of)
        };
        self.waiting.records.retain(|message| !is_revoked(message));
        revoked
    }

    /// Stops or goes on fetching with the next poll. Polling goes on either way, so that the member
    /// stays in its group.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Tells librdkafka whether to fetch, when that changes: each time it throws away what it has
    /// fetched. Partitions that are assigned are told by themselves: they come unpaused, or, where
    /// they were lost while they were paused, paused.
    fn fetch(&mut self) {
        // What waits goes first.
        let on = !self.paused && self.waiting.records.is_empty();
        let assigned = taken(&self.inner.context().assigned);
        let partitions = match on == self.fetching {
            true if assigned.is_empty() => return,
            true => {
                let mut list = TopicPartitionList::with_capacity(assigned.len());
                for (topic, partition) in &assigned {
                    list.add_partition(topic, *partition);
                }
                list
            }
            false => match self.inner.assignment() {
                Ok(assignment) => assignment,
                Err(_) => return,
            },
        };
        self.fetching = on;
        let outcome = match on {
            true => self.inner.resume(&partitions),
            false => self.inner.pause(&partitions),
        };
        if let Err(error) = outcome {
            warn!(code = ?error.rdkafka_error_code(), "can't pause or resume partitions");
        }
    }

    /// What a transaction shows the broker to prove that this member still has its partitions. `None`
    /// where the group has let it go: librdkafka has forgotten the member's name and generation then,
    /// and without them a broker takes offsets from anybody.
    pub fn group(&self) -> Option<ConsumerGroupMetadata> {
        let group = self.inner.group_metadata();
        group.filter(|_| !self.inner.assignment_lost())
    }

    /// Offsets that are committed for some partitions; all of them, or an error.
    pub fn committed(
        &self,
        partitions: TopicPartitionList,
        wait: Duration,
    ) -> Result<TopicPartitionList, KafkaError> {
        committed(&self.inner, partitions, wait)
    }
}

/// A look into a partition past the member's own reading.
struct Looking<'c> {
    consumer: &'c BaseConsumer<Context>,
    reader: &'c mut Option<Reader>,
    options: &'c Options,
    of: &'c Partition,
}

impl Look for Looking<'_> {
    type Error = KafkaError;

    fn bounds(&mut self) -> Result<(i64, i64), KafkaError> {
        bounds(self.consumer, self.of, ANSWER)
    }

    fn at(&mut self, offset: i64) -> Result<Option<(i64, Print)>, KafkaError> {
        if self.reader.is_none() {
            let made = Reader::open(&self.options.brokers, &self.options.group_id)?;
            *self.reader = Some(made);
        }
        let reader = self.reader.as_ref().expect("made above");
        reader.at(self.of, offset, ANSWER)
    }
}

fn bounds(
    consumer: &BaseConsumer<Context>,
    (topic, partition): &Partition,
    wait: Duration,
) -> Result<(i64, i64), KafkaError> {
    consumer.fetch_watermarks(topic, *partition, wait)
}

pub(super) fn committed(
    consumer: &BaseConsumer<Context>,
    partitions: TopicPartitionList,
    wait: Duration,
) -> Result<TopicPartitionList, KafkaError> {
    let committed = consumer.committed_offsets(partitions, wait)?;
    for partition in committed.elements() {
        partition.error()?;
    }
    Ok(committed)
}

pub(super) fn name(names: &mut BTreeMap<String, Arc<str>>, own: &str) -> Arc<str> {
    if let Some(name) = names.get(own) {
        return name.clone();
    }
    // Headers' names come from outside: remembered up to a bound.
    let name: Arc<str> = own.into();
    if names.len() < 10_000 {
        names.insert(own.to_owned(), name.clone());
    }
    name
}
