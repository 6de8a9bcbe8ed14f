//! Kafka topics as a source: a member of a consumer group.
//!
//! A [`Consumer`] yields records in the order of each partition. It commits nothing: the offsets
//! of what is done go into the sink's transaction, and a partition that is assigned begins at its
//! committed offset.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    error::Error as StdError,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use globset::{Glob, GlobSet};
use metrics::counter;
use rdkafka::{
    ClientContext, Message, Offset, Statistics, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{
        BaseConsumer, CommitMode, Consumer as _, ConsumerContext, ConsumerGroupMetadata, Rebalance,
    },
    error::{KafkaError, RDKafkaErrorCode},
    message::{Headers as _, OwnedMessage},
};
use regex::Regex;
use tracing::{info, warn};

use super::{
    beginning::{self, Lost, Place},
    brokers::{self, Brokers, Settings},
    identity::Identity,
    reader::{dead_letter, json_document, not_utf8, text_document},
    refusal::{Refusal, Resource},
};
use crate::{
    record::{Code, DeadLetter, Document, DocumentId, Position, audit::DigestKey, avro},
    telemetry::metric,
};

/// What to read, and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Brokers.
    pub brokers: Brokers,
    /// Consumer group.
    pub group_id: String,
    /// Whether the broker assigns partitions (KIP-848); otherwise members do, cooperative-sticky.
    pub broker_assigns: bool,
    /// This member's name, for static membership.
    pub instance_id: Option<String>,
    /// Silence after which the group takes partitions away; the broker's where it assigns.
    pub session_timeout: Duration,
    /// Whether a group without committed offsets begins with the oldest record, or else with what is
    /// written once its first member is there.
    pub from_earliest: bool,
    /// Time between looks for new partitions, and for topics that a regular expression matches.
    pub metadata_refresh: Duration,
    /// Topics; one that begins with `^` is a regular expression.
    pub topics: Vec<String>,
    /// What records hold.
    pub codec: Codec,
    /// Where the tenant is, if beside the record; `records.tenant` is [`super::TenantFrom::Beside`]
    /// then.
    pub tenant: Option<Beside>,
    /// Where the id is, if beside the record.
    pub id: Option<Beside>,
    /// Names or patterns of headers that the sink passes on.
    pub pass: Vec<String>,
    /// Key of the digests of values, where records are audited.
    pub digest_key: Option<DigestKey>,
    /// Tenant, id and the largest record, as for other sources.
    pub records: super::Options,
    /// Further options.
    pub librdkafka: Settings,
}

impl Options {
    /// JSON objects of some topics, from the oldest on, all else as configured by default.
    pub fn new(brokers: Brokers, group_id: &str, topics: &[&str]) -> Self {
        Self {
            brokers,
            group_id: group_id.to_owned(),
            broker_assigns: false,
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            from_earliest: true,
            metadata_refresh: Duration::from_secs(30),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            codec: Codec::Json,
            tenant: None,
            id: None,
            pass: Vec::new(),
            digest_key: None,
            records: super::Options::default(),
            librdkafka: Settings::default(),
        }
    }
}

impl Options {
    /// What brokers refuse, by its name.
    pub(super) fn refused(
        &self,
        code: RDKafkaErrorCode,
        consumer: &BaseConsumer<Context>,
    ) -> Error {
        let group = || Resource::Group {
            id: self.group_id.clone(),
            member: self.instance_id.clone(),
        };
        let of = match code {
            RDKafkaErrorCode::TopicAuthorizationFailed => {
                let hidden = self.topics_with(consumer, |found| found == code);
                // It may be described and not read: then all of them may be meant.
                Resource::Read(match hidden.is_empty() {
                    true => self.unreadable(),
                    false => hidden,
                })
            }
            RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::UnreleasedInstanceId => group(),
            _ => Resource::Cluster,
        };
        Error::Refused(Refusal { code, of })
    }

    /// Topics with a name of their own whose metadata the brokers give no answer to but an error.
    fn topics_with(
        &self,
        consumer: &BaseConsumer<Context>,
        is: impl Fn(RDKafkaErrorCode) -> bool,
    ) -> BTreeSet<String> {
        let named = self.topics.iter().filter(|topic| !topic.starts_with('^'));
        let of = |topic: &&String| {
            let metadata = consumer.fetch_metadata(Some(topic), ANSWER);
            metadata.is_ok_and(|metadata| {
                let mut errors = metadata.topics().iter().filter_map(|found| found.error());
                errors.any(|error| is(error.into()))
            })
        };
        named.filter(of).cloned().collect()
    }

    /// Topics whose records this user may not read, found out by reading; all of them if that tells
    /// nothing.
    fn unreadable(&self) -> BTreeSet<String> {
        let named = self.topics.iter().filter(|topic| !topic.starts_with('^'));
        let refused = named.filter(|topic| {
            let reader = Reader::new(&self.brokers, &self.group_id);
            reader.is_ok_and(|reader| reader.is_refused(topic))
        });
        let refused: BTreeSet<String> = refused.cloned().collect();
        match refused.is_empty() {
            true => self.topics.iter().cloned().collect(),
            false => refused,
        }
    }
}

/// What records hold.
#[derive(Debug, Clone)]
pub enum Codec {
    /// JSON objects.
    Json,
    /// Plain text.
    Text,
    /// Avro whose schemas are in a registry; read as JSON objects.
    Avro(Arc<avro::Registry>),
}

/// A place beside a record's value.
#[derive(Debug, Clone)]
pub enum Beside {
    /// The first capture group of a regular expression on the key.
    Key(Regex),
    /// A header.
    Header(String),
}

/// Why topics can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is not librdkafka's, or its value is wrong.
    #[error("the consumer can't be made: check the options")]
    Options(#[source] KafkaError),
    /// The tenant's or id's place is not valid.
    #[error(transparent)]
    Identity(#[from] super::Error),
    /// A pattern of headers is not one.
    #[error("a pattern of headers is not valid")]
    Headers(#[source] globset::Error),
    /// The broker refuses for good.
    #[error("{0}")]
    Refused(Refusal),
}

/// Topic and partition.
pub type Partition = (Arc<str>, i32);

/// A record as received.
#[derive(Debug)]
pub struct Record {
    /// Where it stood.
    pub partition: Partition,
    /// Its offset.
    pub offset: i64,
    /// Its key, byte for byte.
    pub key: Option<Bytes>,
    /// Headers that are passed on.
    pub headers: Vec<Header>,
    /// When it was written, as its broker or producer says.
    pub written: Option<SystemTime>,
    /// Bytes of the value.
    pub bytes: u64,
    /// Digest of the value, where records are audited.
    pub digest: Option<String>,
    /// What stood in front of it and can't be read.
    pub lost: Option<Lost>,
    /// What it holds, or why it holds nothing.
    pub document: Result<Document, DeadLetter>,
}

/// Bytes that may be personal: `Debug` shows how many.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: Arc<str>,
    /// Its value.
    pub value: Option<Bytes>,
}

/// Headers by which schema registries name the schema of a value: weir writes another value.
const OF_REGISTRIES: [&str; 2] = ["__value_schema_id", "__key_schema_id"];

/// A member of a consumer group.
pub struct Consumer {
    inner: BaseConsumer<Context>,
    options: Options,
    identity: Identity,
    pass: GlobSet,
    trace_parent: Regex,
    /// Names of topics and headers, each held once.
    names: BTreeMap<String, Arc<str>>,
    paused: bool,
    /// Whether librdkafka fetches: what it was told last.
    fetching: bool,
    /// Partitions of which is known that they began where they should, and how far they were read.
    begun: BTreeMap<Partition, Place>,
    /// Topics that can't be read and of which that was said.
    absent: BTreeSet<String>,
    waiting: Waiting,
}

/// Records that can't be taken yet, in their order. They are not read again from the broker, and
/// none that follows them is read before them.
#[derive(Default)]
struct Waiting {
    records: VecDeque<OwnedMessage>,
    failures: u32,
    not_before: Option<Instant>,
}

/// Why a record is not read.
enum Unread {
    /// It never will be.
    Rejected(DeadLetter),
    /// It is tried again.
    NotYet(NotYet),
}

/// Why a record has to wait.
#[derive(Debug, thiserror::Error)]
enum NotYet {
    /// The schema registry gave no answer.
    #[error(transparent)]
    Registry(avro::Error),
    /// The committed offset of its partition is not known.
    #[error("the group's offsets can't be read ({:?})", .0.rdkafka_error_code())]
    Offsets(KafkaError),
}

impl From<DeadLetter> for Unread {
    fn from(letter: DeadLetter) -> Self {
        Self::Rejected(letter)
    }
}

/// Longest wait for the brokers where the slot does not poll meanwhile.
const ANSWER: Duration = Duration::from_secs(5);

/// What rdkafka calls back into.
#[derive(Default)]
pub(crate) struct Context {
    token_file: Option<PathBuf>,
    revoked: Mutex<Vec<(String, i32)>>,
    assigned: Mutex<Vec<(String, i32)>>,
    ends: Mutex<Vec<End>>,
}

fn locked<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

fn taken<T>(list: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *locked(list))
}

fn names_of(partitions: &TopicPartitionList) -> Vec<(String, i32)> {
    let elements = partitions.elements();
    let names = elements
        .iter()
        .map(|e| (e.topic().to_owned(), e.partition()));
    names.collect()
}

/// How far a partition goes, by the last statistics.
#[derive(Debug, Clone)]
pub struct End {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The offset after the last record that may be read.
    pub end: i64,
    /// The offset at which the group stood when the partition was assigned.
    pub committed: i64,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        brokers::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, _: &str) {
        brokers::goes_on(&error);
    }

    fn stats(&self, statistics: Statistics) {
        let mut ends = locked(&self.ends);
        ends.clear();
        for (topic, of_topic) in &statistics.topics {
            for (number, partition) in &of_topic.partitions {
                // Others' partitions have no fetch going on.
                if *number >= 0 && partition.ls_offset >= 0 && partition.fetch_state == "active" {
                    ends.push(End {
                        topic: topic.clone(),
                        partition: *number,
                        end: partition.ls_offset,
                        committed: partition.committed_offset.max(partition.lo_offset).max(0),
                    });
                }
            }
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        brokers::token(self.token_file.as_deref())
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) => {
                locked(&self.revoked).extend(names_of(partitions));
                info!(partitions = partitions.count(), "partitions revoked");
            }
            Rebalance::Assign(partitions) => {
                info!(partitions = partitions.count(), "partitions assigned");
            }
            Rebalance::Error(error) => warn!(code = ?error.rdkafka_error_code(), "no rebalance"),
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            locked(&self.assigned).extend(names_of(partitions));
        }
    }
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
            config
                .set("partition.assignment.strategy", "cooperative-sticky")
                .set(
                    "session.timeout.ms",
                    options.session_timeout.as_millis().to_string(),
                )
                // A third of it, as Kafka's documentation advises.
                .set(
                    "heartbeat.interval.ms",
                    (options.session_timeout.as_millis() / 3)
                        .clamp(1, 3000)
                        .to_string(),
                );
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

    /// A message as a record; `None` if it stands where its partition should not have begun.
    fn take(&mut self, message: &OwnedMessage) -> Result<Option<Record>, NotYet> {
        let topic = name(&mut self.names, message.topic());
        let partition = (topic, message.partition());
        let begins_right = self.begins_right(&partition, message.offset());
        if !begins_right.map_err(NotYet::Offsets)? {
            return Ok(None);
        }
        let mut record = self.record(partition, message)?;
        let place = self.begun.get_mut(&record.partition);
        let place = place.expect("a partition that begins right has a place");
        let (inner, of) = (&self.inner, &record.partition);
        let first = || bounds(inner, of, ANSWER).map(|(first, _)| first);
        let lost = place.take(record.offset, Instant::now(), first);
        record.lost = lost.map_err(NotYet::Offsets)?;
        if let Some(lost) = record.lost {
            self.tell_lost(&record.partition, record.offset, lost);
        }
        Ok(Some(record))
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
                    "the topic deleted records before they were read: they are skipped; raise its \
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
            // Nothing is committed: it begins with what it holds.
            self.begun.insert(partition.clone(), Place::at(offset));
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
                "a partition began before its committed offset: sent there"
            );
        }
        // Also if it is behind: there may be nothing between, or all that is between was passed over.
        self.seek(partition, from, ANSWER)?;
        self.begun.insert(partition.clone(), Place::at(from));
        self.waiting.records.retain(|waiting| {
            (waiting.topic(), waiting.partition()) != (&*partition.0, partition.1)
        });
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
        // A partition may have gone and come back within the call, and begins anew.
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

    fn record(&mut self, partition: Partition, message: &OwnedMessage) -> Result<Record, NotYet> {
        let position = Position::Kafka {
            topic: partition.0.to_string(),
            partition: partition.1,
            offset: message.offset(),
        };
        let document = match self.document(message, position) {
            Ok(document) => Ok(document),
            Err(Unread::Rejected(letter)) => Err(letter),
            Err(Unread::NotYet(error)) => return Err(error),
        };
        let headers = passed(message, &self.pass, &self.trace_parent, &mut self.names);
        Ok(Record {
            partition,
            offset: message.offset(),
            key: message.key().map(|key| Bytes(key.to_vec())),
            headers,
            written: written(message),
            bytes: message.payload().map_or(0, |payload| payload.len() as u64),
            digest: self
                .options
                .digest_key
                .as_ref()
                .zip(message.payload())
                .map(|(key, payload)| key.digest(payload)),
            lost: None,
            document,
        })
    }

    fn document(&self, message: &OwnedMessage, position: Position) -> Result<Document, Unread> {
        let Some(payload) = message.payload() else {
            let reason = "the record has no value".to_owned();
            let code = match self.options.codec {
                Codec::Avro(_) => Code::NotAvro,
                Codec::Json | Codec::Text => Code::NotJson,
            };
            return Err(dead_letter(position, code, reason).into());
        };
        let limit = self.options.records.max_record_bytes;
        if payload.len() as u64 > limit {
            let reason = format!(
                "the record has {} bytes, allowed are {limit}",
                payload.len()
            );
            return Err(dead_letter(position, Code::TooLarge, reason).into());
        }
        let text = match &self.options.codec {
            Codec::Json | Codec::Text => String::from_utf8(payload.to_vec())
                .map_err(|error| not_utf8(&error, "record", position.clone()))?,
            Codec::Avro(registry) => from_avro(registry, message, payload, limit, &position)?,
        };
        let (topic, place) = (message.topic(), position.clone());
        let mut document = match self.options.codec {
            Codec::Json | Codec::Avro(_) => {
                json_document(text, "record", &self.identity, topic, position)?
            }
            // Text of two bytes a character may be UTF-8, in which no pattern sees anything.
            Codec::Text if super::encoding::is_no_text(text.as_bytes()) => {
                let reason = "the record holds text of another encoding, or none at all";
                let letter = dead_letter(position, Code::UnknownEncoding, reason.to_owned());
                return Err(letter.into());
            }
            Codec::Text => text_document(text, self.identity.of_object(topic), position),
        };
        if let Some(id) = self.options.id.as_ref().map(|id| beside(id, message)) {
            // An id that can't be read is no reason to hold the record back: the position is one.
            document.id = match id.ok().flatten() {
                Some(id) => self.identity.id_beside(id),
                None => DocumentId::place(&place),
            };
        }
        if let Some(from) = &self.options.tenant {
            document.tenant = beside(from, message).map_err(|NotText| {
                let reason = "the tenant beside the record is not UTF-8".to_owned();
                dead_letter(place, Code::UnknownTenant, reason)
            })?;
        }
        Ok(document)
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
            *place = Place::at(offset);
        }
        Ok(())
    }

    /// The first offset of a partition, and the one after the last that may be read.
    pub fn bounds(&self, of: &Partition, wait: Duration) -> Result<(i64, i64), KafkaError> {
        bounds(&self.inner, of, wait)
    }

    /// Ends of this member's partitions, once for each statistics.
    pub fn take_ends(&self) -> Vec<End> {
        taken(&self.inner.context().ends)
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
            warn!(code = ?error.rdkafka_error_code(), "partitions can't be paused or resumed");
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

fn bounds(
    consumer: &BaseConsumer<Context>,
    (topic, partition): &Partition,
    wait: Duration,
) -> Result<(i64, i64), KafkaError> {
    consumer.fetch_watermarks(topic, *partition, wait)
}

fn committed(
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

/// The offset of a partition in a list; `None` where there is none.
pub(crate) fn offset_of(list: &TopicPartitionList, topic: &str, partition: i32) -> Option<i64> {
    match list.find_partition(topic, partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

/// A reader of partitions that it is given: no member of its group, whose name only says under
/// which offsets are committed.
pub(crate) struct Reader(BaseConsumer<Context>);

impl Reader {
    pub(crate) fn new(brokers: &Brokers, group_id: &str) -> Result<Self, Error> {
        let mut config = brokers.config();
        config
            .set("group.id", group_id)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error");
        let context = Context {
            token_file: brokers.token_file.clone(),
            ..Context::default()
        };
        let inner: BaseConsumer<Context> = config
            .create_with_context(context)
            .map_err(Error::Options)?;
        if brokers.token_file.is_some() {
            let _ = inner.poll(Duration::from_millis(100));
        }
        Ok(Self(inner))
    }

    pub(crate) fn client(&self) -> &BaseConsumer<Context> {
        &self.0
    }

    /// Whether the brokers refuse to give out the records of a topic.
    fn is_refused(&self, topic: &str) -> bool {
        let mut list = TopicPartitionList::with_capacity(1);
        let begun = list
            .add_partition_offset(topic, 0, Offset::Beginning)
            .and_then(|()| self.0.assign(&list));
        let start = Instant::now();
        while begun.is_ok() && start.elapsed() < ANSWER / 2 {
            match self.0.poll(Duration::from_millis(100)) {
                Some(Err(error)) if brokers::refused(&error).is_some() => return true,
                // A record, or the end of the partition.
                Some(_) => return false,
                None => {}
            }
        }
        false
    }

    /// Offsets that are committed for some partitions; all of them, or an error.
    pub(crate) fn committed(
        &self,
        partitions: TopicPartitionList,
        wait: Duration,
    ) -> Result<TopicPartitionList, KafkaError> {
        committed(&self.0, partitions, wait)
    }
}

/// A place beside a record is not text.
struct NotText;

/// An Avro record as the text of a JSON object.
fn from_avro(
    registry: &avro::Registry,
    message: &OwnedMessage,
    payload: &[u8],
    limit: u64,
    position: &Position,
) -> Result<String, Unread> {
    let rejected = |problem: avro::Problem| {
        let reason = format!("the record {problem}");
        dead_letter(position.clone(), problem.code(), reason)
    };
    let header = message
        .headers()
        .and_then(|headers| headers.iter().find(|h| h.key == avro::SCHEMA_ID_HEADER))
        .and_then(|header| header.value);
    let (id, values) = avro::split(header, payload).map_err(rejected)?;
    let schema = tokio::runtime::Handle::current().block_on(registry.schema(id));
    let schema = schema.map_err(|error| match error.code() {
        Some(code) => dead_letter(position.clone(), code, error.to_string()).into(),
        None => Unread::NotYet(NotYet::Registry(error)),
    })?;
    Ok(avro::json(&schema, values, limit).map_err(rejected)?)
}

fn beside(place: &Beside, message: &OwnedMessage) -> Result<Option<String>, NotText> {
    let value = match place {
        Beside::Key(_) => message.key(),
        Beside::Header(name) => message
            .headers()
            .and_then(|headers| headers.iter().find(|header| header.key == name))
            .and_then(|header| header.value),
    };
    let Some(value) = value else {
        return Ok(None);
    };
    let value = std::str::from_utf8(value).map_err(|_| NotText)?;
    Ok(match place {
        Beside::Header(_) => Some(value.to_owned()),
        Beside::Key(pattern) => pattern
            .captures(value)
            .and_then(|captures| captures.get(1))
            .map(|part| part.as_str().to_owned()),
    })
}

/// Headers that go on: those that are configured, and the trace (W3C Trace Context) where it is
/// well-formed, so that nothing else travels under its name.
fn passed(
    message: &OwnedMessage,
    pass: &GlobSet,
    trace_parent: &Regex,
    names: &mut BTreeMap<String, Arc<str>>,
) -> Vec<Header> {
    let Some(headers) = message.headers() else {
        return Vec::new();
    };
    let text = |value: Option<&[u8]>| {
        value
            .and_then(|value| std::str::from_utf8(value).ok())
            .map(str::to_owned)
    };
    let traced = headers.iter().any(|header| {
        header.key == "traceparent"
            && text(header.value).is_some_and(|value| trace_parent.is_match(&value))
    });
    let goes_on = |header: &rdkafka::message::Header<'_, &[u8]>| match header.key {
        "traceparent" => traced,
        // At most 512 printable characters, and of no meaning without its parent.
        "tracestate" => {
            traced
                && header.value.is_some_and(|value| {
                    value.len() <= 512 && value.iter().all(|b| (b' '..=b'~').contains(b))
                })
        }
        key => !OF_REGISTRIES.contains(&key) && pass.is_match(key),
    };
    headers
        .iter()
        .filter(goes_on)
        .map(|header| Header {
            name: name(names, header.key),
            value: header.value.map(|value| Bytes(value.to_vec())),
        })
        .collect()
}

fn written(message: &OwnedMessage) -> Option<SystemTime> {
    let millis = u64::try_from(message.timestamp().to_millis()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

fn name(names: &mut BTreeMap<String, Arc<str>>, own: &str) -> Arc<str> {
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
