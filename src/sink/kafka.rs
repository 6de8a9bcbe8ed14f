//! Kafka topics as a sink: records and the source's offsets in one transaction, or, where at
//! least once is enough, records first and then the offsets.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as StdError,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    client::OAuthToken,
    config::{ClientConfig, RDKafkaLogLevel},
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Header, Message as _, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};
use sha2::Sha256;
use tracing::error;

use super::{
    calls::Calls,
    record_size::{self, Limits, Sized, TooLarge},
};
use crate::{
    record::{
        Audit, DeadLetter, Done, Position, Redacted,
        audit::{self, DigestKey, Finding},
        avro::{self, Kind},
    },
    source::{
        beginning::Lost,
        brokers::{self, Brokers, Settings},
        kafka::{self as group, Bytes, Consumer, Partition},
        refusal::{Refusal, Resource},
    },
};

/// Where records go, and what is promised.
#[derive(Debug, Clone)]
pub struct Options {
    /// Brokers.
    pub brokers: Brokers,
    /// Stable for a worker's slot: a second producer of this id fences the first. `None` is at
    /// least once, without transactions.
    pub transactional_id: Option<String>,
    /// The broker aborts a transaction that stays open longer.
    pub timeout: Duration,
    /// Topics by kind of record.
    pub topics: Topics,
    /// Secret of hashed keys; `None` keeps keys as they are.
    pub hash_key: Option<HashKey>,
    /// What records are written as.
    pub codec: Codec,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub compression: &'static str,
    /// Further options.
    pub librdkafka: Settings,
    /// What is known of the topics' limits, for all producers that are made of these options.
    pub limits: Arc<Limits>,
}

impl Options {
    /// JSON in transactions, all else as configured by default.
    pub fn new(brokers: Brokers, transactional_id: &str, topics: Topics) -> Self {
        Self {
            brokers,
            transactional_id: Some(transactional_id.to_owned()),
            timeout: Duration::from_secs(60),
            topics,
            hash_key: None,
            codec: Codec::Json,
            compression: "zstd",
            librdkafka: Settings::default(),
            limits: Arc::default(),
        }
    }
}

/// What records are written as.
#[derive(Debug, Clone)]
pub enum Codec {
    /// JSON objects; text where the pipeline was asked for it.
    Json,
    /// Avro whose schemas are in a registry. Redactions have to come
    /// [apart](crate::record::PlainText::Apart).
    Avro(Arc<avro::Registry>),
}

/// Writers of one set, their schemas' ids known before its transaction begins.
enum Values {
    Json,
    Avro(BTreeMap<String, [Option<avro::Writer>; Kind::ALL.len()]>),
}

/// Topics by kind of record; `{tenant}` in the first two stands for the tenant. A kind without a
/// topic is not written.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct Topics {
    pub entities: Option<String>,
    pub redactions: Option<String>,
    pub dead_letters: String,
    pub audit: Option<String>,
}

/// Secret of hashed keys; `Debug` does not show it.
#[derive(Clone)]
pub struct HashKey(pub Vec<u8>);

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// What became of one source record.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Where the record stood.
    pub partition: Partition,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Headers that go on.
    pub headers: Vec<group::Header>,
    /// When it was written.
    pub written: Option<SystemTime>,
    /// Bytes of the source record.
    pub bytes: u64,
    /// Bytes that all of this takes in memory.
    pub held: u64,
    /// Digest of the value, where records are audited.
    pub digest: Option<String>,
    /// What stood in front of the record and can't be read.
    pub lost: Option<Lost>,
    /// What was done at each place, where records are audited.
    pub findings: Vec<Finding>,
    /// What goes downstream.
    pub outcome: Result<Done, DeadLetter>,
    /// Its audit record, chained, put there when its set is published.
    pub audit: Option<Audit>,
}

/// A record as it stood in its topic, to be sent there again.
#[derive(Debug)]
pub struct Returned {
    /// Topic.
    pub topic: String,
    /// Partition: the same, so that its key stays where it belongs.
    pub partition: i32,
    /// Key.
    pub key: Option<Bytes>,
    /// Value.
    pub value: Bytes,
    /// Headers.
    pub headers: OwnedHeaders,
}

/// Why a set of deliveries was not committed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is not librdkafka's, or its value is wrong.
    #[error("the producer can't be made: check the options")]
    Options(#[source] KafkaError),
    /// Another producer has taken the transactional id over, or the broker ended a transaction that
    /// was open for too long, and the id with it: this worker has to stop.
    #[error(
        "fenced: this worker was silent for longer than sink.transaction.timeout_ms (start it \
         again), or another one has the same transactional id (give each worker a \
         sink.transactional_id_prefix or a source.group_instance_id of its own)"
    )]
    Fenced,
    /// The broker refuses for good.
    #[error("{0}")]
    Refused(Refusal),
    /// A topic to write is not there, and the brokers make none; nothing of the set is visible, and it
    /// can be tried again.
    #[error("the topic `{topic}` does not exist: create it, or let the brokers create topics")]
    NoTopic {
        /// Its name.
        topic: String,
    },
    /// Records will never be taken; nothing of the set is visible. They have to go to the dead
    /// letters.
    #[error("{}", .records.first().map_or_else(String::new, ToString::to_string))]
    TooLarge {
        /// All of the set that are known.
        records: Vec<TooLarge>,
    },
    /// Batches are larger than a topic takes; nothing of the set is visible, and a new producer sends smaller
    /// ones.
    #[error(
        "batches of {bytes} bytes are larger than a topic takes: a new producer sends smaller ones"
    )]
    Batches {
        /// The producer's bound.
        bytes: usize,
    },
    /// The id of a schema can't be had; nothing of the set was sent.
    #[error(transparent)]
    Registry(#[from] avro::Error),
    /// Nothing was begun: no broker answered in time.
    #[error(
        "the brokers did not answer ({code:?}): check that they run, and their addresses, TLS and \
         login"
    )]
    NoAnswer {
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
    /// Nothing of the set is visible (at least once: perhaps some), and it can be tried again.
    #[error("the records were not committed ({code:?})")]
    Aborted {
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
    /// Whether the set is committed is not known: the producer is of no further use, and the group's
    /// committed offsets tell.
    #[error("whether the records were committed is not known ({code:?})")]
    Unknown {
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
}

/// What a call may take beyond the timeout that librdkafka is given.
const GRACE: Duration = Duration::from_secs(5);

/// Time after the first failure of a set in which answers for other records are taken in.
const OTHERS: Duration = Duration::from_millis(100);

/// Longest wait for the coordinator of the group. It moves to another broker within seconds; a call that
/// takes longer has most likely missed that (librdkafka issue 5456), and a new producer finds it at once.
const OFFSETS: Duration = Duration::from_secs(10);

/// A producer: transactional, or at least idempotent.
pub struct Producer {
    inner: BaseProducer<Context>,
    options: Options,
    calls: Arc<Calls>,
    /// Largest record that the client takes, and largest batch that it makes.
    most: (usize, usize),
    /// A bug on purpose: see [`offsets_first`].
    offsets_first: bool,
}

#[derive(Default)]
struct Context {
    token_file: Option<PathBuf>,
    /// Records that the broker has not answered for.
    waiting: AtomicUsize,
    failed: Mutex<Option<Failed>>,
    /// Topics that librdkafka was not allowed to add to a transaction. It names them in its log only.
    refused: Mutex<BTreeSet<String>>,
    /// Records of batches that were too large.
    too_large: Mutex<Vec<Refused>>,
}

/// A record that was not taken.
#[derive(Clone)]
struct Failed {
    /// Which of the set.
    index: usize,
    topic: String,
    error: KafkaError,
}

/// A record of a batch that a broker refused for its size.
struct Refused {
    index: usize,
    topic: String,
    partition: i32,
    /// As the client counts.
    bytes: usize,
}

/// A record that is ready to be sent.
struct Outgoing {
    /// Of which of the set.
    index: usize,
    topic: String,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: OwnedHeaders,
}

impl Outgoing {
    fn sized(&self) -> Sized<'_> {
        Sized {
            topic: &self.topic,
            key: self.key.as_ref().map_or(0, Vec::len),
            value: &self.value,
            headers: record_size::of_headers(&self.headers),
        }
    }
}

impl Context {
    fn take_failure(&self) -> Option<Failed> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.take()
    }

    fn fail(&self, index: usize, topic: &str, error: &KafkaError) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert_with(|| Failed {
            index,
            topic: topic.to_owned(),
            error: error.clone(),
        });
    }

    fn refused(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_failed(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some()
    }

    fn take_too_large(&self) -> Vec<Refused> {
        let mut refused = self
            .too_large
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *refused)
    }

    /// Takes note of a record whose batch was refused for its size.
    fn refuse(&self, index: usize, message: &BorrowedMessage<'_>) {
        let headers = message
            .headers()
            .map_or(0, |own| record_size::of_headers(&own.detach()));
        let record = Sized {
            topic: message.topic(),
            key: message.key_len(),
            value: message.payload().unwrap_or_default(),
            headers,
        };
        let refused = Refused {
            index,
            topic: message.topic().to_owned(),
            partition: message.partition(),
            bytes: record.plain(),
        };
        let mut all = self
            .too_large
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(refused);
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "ADDPARTS"
            && message.contains("authorization failed")
            && let Some(topic) = message.split('"').nth(1)
        {
            self.refused().insert(topic.to_owned());
        }
        brokers::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, _: &str) {
        brokers::goes_on(&error);
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        brokers::token(self.token_file.as_deref())
    }
}

impl ProducerContext for Context {
    /// Which of the set.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        if let Err((error, message)) = result {
            if is_of_size(error) {
                self.refuse(index, message);
            }
            // Records that are purged when a transaction is aborted are no cause of it.
            let purged = matches!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)
            );
            if !purged {
                self.fail(index, message.topic(), error);
            }
        }
    }
}

impl Producer {
    /// Makes a producer and ends what an earlier one of the same id left open. Blocks.
    pub fn new(options: &Options) -> Result<Self, Error> {
        Self::within(options, options.timeout)
    }

    /// The same with a bound of the time that it may take.
    pub fn within(options: &Options, wait: Duration) -> Result<Self, Error> {
        let mut config = options.brokers.config();
        // A commit flushes: a long linger would only make a set's first records wait.
        config.set("linger.ms", "5");
        // A topic that does not exist is told before a set's time is over (30 s by default).
        config.set("topic.metadata.propagation.max.ms", "5000");
        options.librdkafka.add_to(&mut config);
        let most = bounds(options, &mut config);
        // What the promise rests on is set last: no option of the user's can undo it.
        let timeout = options.timeout.as_millis().to_string();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", options.compression)
            // As Java's producers place keys, so that inputs and outputs of one key can be joined.
            .set("partitioner", "murmur2_random")
            .set("delivery.timeout.ms", &timeout);
        if let Some(id) = &options.transactional_id {
            config
                .set("transactional.id", id)
                .set("transaction.timeout.ms", &timeout);
        }
        let context = Context {
            token_file: options.brokers.token_file.clone(),
            ..Context::default()
        };
        let inner: BaseProducer<Context> = config
            .create_with_context(context)
            .map_err(Error::Options)?;
        // The token is asked for by an event, which nothing serves while transactions are initialised.
        if options.brokers.token_file.is_some() {
            inner.poll(Duration::from_millis(100));
        }
        let producer = Self {
            inner,
            options: options.clone(),
            calls: Arc::default(),
            most,
            offsets_first: offsets_first(),
        };
        if options.transactional_id.is_some() {
            producer.initialise(wait)?;
        }
        Ok(producer)
    }

    fn initialise(&self, wait: Duration) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            match self.inner.init_transactions(wait) {
                Ok(()) => return Ok(()),
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && start.elapsed() < wait => {}
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                    let code = Some(error.code());
                    return Err(Error::NoAnswer { code });
                }
                Err(error) => return Err(self.named(outcome(&error, false))),
            }
        }
    }

    /// Commits what became of a set of records together with their offsets, as the member of the
    /// group that the slot was when it made the set up; at least once: sends it, and [`commit`] has
    /// to follow. Blocks.
    pub fn publish(
        &self,
        set: &[Delivery],
        group: Option<&ConsumerGroupMetadata>,
    ) -> Result<(), Error> {
        self.inner.context().take_failure();
        self.inner.context().take_too_large();
        let values = self.values(set)?;
        let records = self.records(set, &values);
        self.check_sizes(&records)?;
        let outcome = match self.options.transactional_id {
            Some(_) => self.transaction(|| self.prepare(set, records, group)),
            None => self.at_least_once(records),
        };
        match outcome {
            Err(Error::TooLarge { records }) => Err(self.learn(records, set, &values)),
            outcome => outcome,
        }
    }

    /// All records of a set, in order.
    fn records(&self, set: &[Delivery], values: &Values) -> Vec<Outgoing> {
        let mut records = Vec::with_capacity(2 * set.len());
        for (index, delivery) in set.iter().enumerate() {
            self.records_of(index, delivery, values, &mut records);
        }
        records
    }

    /// Finds all records that exceed a limit, before anything is sent.
    fn check_sizes(&self, records: &[Outgoing]) -> Result<(), Error> {
        let (limits, brokers) = (&self.options.limits, &self.options.brokers);
        let topics: BTreeSet<&str> = records.iter().map(|record| &*record.topic).collect();
        let stopped = |_| Error::Aborted { code: None };
        self.enter("the limits of the topics", self.options.timeout)
            .map_err(stopped)?;
        limits.ask(brokers, topics);
        let (of_client, of_batch) = self.most;
        if limits.batch() < of_batch {
            return Err(Error::Batches { bytes: of_batch });
        }
        let exceeded = || {
            let codec = self.options.compression;
            let exceeded = records.iter().filter_map(|record| {
                limits.exceeded(record.index, record.sized(), of_client, codec)
            });
            let mut exceeded: Vec<TooLarge> = exceeded.collect();
            exceeded.dedup_by_key(|own| own.index);
            exceeded
        };
        let mut found = exceeded();
        let topics: BTreeSet<String> = found.iter().map(|own| own.topic.clone()).collect();
        if limits.refresh(brokers, topics.iter().map(|topic| &**topic)) {
            found = exceeded();
        }
        match found.is_empty() {
            true => Ok(()),
            false => Err(Error::TooLarge { records: found }),
        }
    }

    /// After a broker refused a record for its size: which others of the set it will refuse.
    fn learn(&self, named: Vec<TooLarge>, set: &[Delivery], values: &Values) -> Error {
        let refused = self.inner.context().take_too_large();
        let (limits, (_, of_batch)) = (&self.options.limits, self.most);
        let in_batch_of = |own: &Refused| {
            let same = refused.iter();
            let same =
                same.filter(|other| (&other.topic, other.partition) == (&own.topic, own.partition));
            same.count()
        };
        // A record that is larger than a batch is alone in its own.
        let alone = |own: &&Refused| own.bytes > of_batch || in_batch_of(own) == 1;
        let guilty: Vec<&Refused> = refused.iter().filter(alone).collect();
        if guilty.is_empty() && !refused.is_empty() && limits.halve(of_batch) {
            return Error::Batches { bytes: of_batch };
        }
        let records = self.records(set, values);
        let codec = self.options.compression;
        for own in &guilty {
            let of = |record: &&Outgoing| record.index == own.index && record.topic == own.topic;
            if let Some(record) = records.iter().find(of) {
                limits.learn(record.sized(), codec);
            }
        }
        let mut too_large = match self.check_sizes(&records) {
            Err(Error::TooLarge { records }) => records,
            _ => Vec::new(),
        };
        let guilty = guilty.iter().map(|own| TooLarge {
            index: own.index,
            topic: own.topic.clone(),
            bytes: own.bytes,
            limit: None,
            of_client: false,
        });
        too_large.extend(guilty);
        if too_large.is_empty() {
            // The client itself refused, which counts a few bytes more.
            let largest = |index| {
                let of_index = records.iter().filter(|record| record.index == index);
                of_index.max_by_key(|record| record.sized().plain())
            };
            too_large.extend(named.iter().filter_map(|own| {
                let record = largest(own.index)?;
                Some(TooLarge {
                    index: own.index,
                    topic: record.topic.clone(),
                    bytes: record.sized().plain(),
                    limit: Some(self.most.0),
                    of_client: true,
                })
            }));
        }
        too_large.sort_by_key(|own| own.index);
        too_large.dedup_by_key(|own| own.index);
        Error::TooLarge { records: too_large }
    }

    /// The call that [`Self::publish`] is in, for the thread that waits for it.
    pub fn calls(&self) -> Arc<Calls> {
        self.calls.clone()
    }

    /// Begins a call that is given `wait`, and looks at it.
    fn enter(&self, call: &'static str, wait: Duration) -> Result<(), KafkaError> {
        self.calls.enter(call, wait + GRACE)
    }

    /// A bug on purpose: see [`offsets_first`].
    pub(crate) fn commits_first(&self) -> bool {
        self.offsets_first
    }

    /// What the set's records are written with.
    fn values(&self, set: &[Delivery]) -> Result<Values, Error> {
        let Codec::Avro(registry) = &self.options.codec else {
            return Ok(Values::Json);
        };
        let runtime = tokio::runtime::Handle::current();
        let mut writers = BTreeMap::<String, [Option<avro::Writer>; Kind::ALL.len()]>::new();
        for delivery in set {
            for (kind, topic) in self.options.topics.of(delivery).into_iter().flatten() {
                let of_topic = writers.entry(topic.clone()).or_default();
                let writer = &mut of_topic[kind as usize];
                if writer.is_none() {
                    *writer = Some(runtime.block_on(registry.writer(kind, &topic))?);
                }
            }
        }
        Ok(Values::Avro(writers))
    }

    /// Sends records back to where they came from, in one transaction with the offsets up to which
    /// the dead letters of each group are done. Blocks.
    pub fn send_back(
        &self,
        records: &[Returned],
        done: &[(ConsumerGroupMetadata, TopicPartitionList)],
    ) -> Result<(), Error> {
        self.inner.context().take_failure();
        self.transaction(|| {
            for (index, record) in records.iter().enumerate() {
                let key = record.key.as_ref().map(|key| &key.0[..]);
                let to = (&*record.topic, Some(record.partition));
                self.enqueue(index, to, key, &record.value.0, record.headers.clone())?;
            }
            for (group, offsets) in done {
                self.send_offsets(offsets, group)?;
            }
            self.answered(self.options.timeout)
        })
    }

    fn transaction(&self, prepare: impl FnOnce() -> Result<(), KafkaError>) -> Result<(), Error> {
        let wait = self.options.timeout;
        self.enter("the transaction to begin", wait)
            .and_then(|()| self.inner.begin_transaction())
            .map_err(|error| outcome(&error, false))?;
        if let Err(error) = prepare() {
            return Err(self.abort(&error));
        }
        if self.enter("the transaction to be committed", wait).is_err() {
            return Err(Error::Unknown { code: None });
        }
        match self.inner.commit_transaction(wait) {
            Ok(()) => Ok(()),
            Err(KafkaError::Transaction(error)) if error.txn_requires_abort() => {
                Err(self.abort(&KafkaError::Transaction(error)))
            }
            Err(error) => Err(outcome(&error, true)),
        }
    }

    fn prepare(
        &self,
        set: &[Delivery],
        records: Vec<Outgoing>,
        group: Option<&ConsumerGroupMetadata>,
    ) -> Result<(), KafkaError> {
        let wait = self.options.timeout;
        // The generation of the group, by which a broker tells a member that has lost its partitions
        // (KIP-447).
        let group = group.ok_or(KafkaError::ConsumerCommit(
            RDKafkaErrorCode::UnknownMemberId,
        ))?;
        self.enter("room for the records in the client's queue", wait)?;
        self.send_all(records)?;
        if !self.offsets_first {
            self.send_offsets(&offsets_after(set)?, group)?;
        }
        self.enter("the brokers to take the records", wait)?;
        self.answered(wait)
    }

    /// Adds the offsets of a group to the transaction.
    fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<(), KafkaError> {
        let wait = self.options.timeout.min(OFFSETS);
        self.enter("the group's coordinator to take the offsets", wait)?;
        self.inner.send_offsets_to_transaction(offsets, group, wait)
    }

    fn at_least_once(&self, records: Vec<Outgoing>) -> Result<(), Error> {
        let wait = self.options.timeout;
        let sent = self
            .enter("room for the records in the client's queue", 2 * wait)
            .and_then(|()| self.send_all(records))
            .and_then(|()| self.answered(wait));
        let Err(error) = sent else { return Ok(()) };
        // What is still under way must not come after what is tried again.
        let _ = self.enter("the brokers to take the records", wait);
        let _ = self.inner.flush(wait);
        Err(self.cause(&error))
    }

    /// The client copies what it is given: each record is dropped once it has it.
    fn send_all(&self, records: Vec<Outgoing>) -> Result<(), KafkaError> {
        for record in records {
            let to = (&*record.topic, None);
            let key = record.key.as_deref();
            self.enqueue(record.index, to, key, &record.value, record.headers)?;
        }
        Ok(())
    }

    /// Waits until the broker has answered for every record. librdkafka's own flush would do, but
    /// rdkafka's polls in steps of 100 ms (0.39), which every small transaction would wait for.
    fn answered(&self, wait: Duration) -> Result<(), KafkaError> {
        let start = Instant::now();
        let context = self.inner.context();
        let mut failed_since = None;
        while context.waiting.load(Ordering::Acquire) > 0 {
            self.inner.poll(Duration::from_millis(1));
            if start.elapsed() > wait {
                return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
            }
            // Once a record of a transaction failed, the client sends no more of it until it is aborted.
            if context.has_failed()
                && failed_since.get_or_insert_with(Instant::now).elapsed() >= OTHERS
            {
                break;
            }
        }
        let failed = context
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match &*failed {
            Some(failed) => Err(failed.error.clone()),
            None => Ok(()),
        }
    }

    fn records_of(
        &self,
        index: usize,
        delivery: &Delivery,
        values: &Values,
        records: &mut Vec<Outgoing>,
    ) {
        let key = delivery.key.as_ref().map(|key| self.key(&key.0));
        for (kind, topic) in self.options.topics.of(delivery).into_iter().flatten() {
            let value = values.value(kind, &topic, delivery);
            let (key, headers) = if kind == Kind::Audit {
                // By its partition, so that a chain stands in one partition and in order.
                let (from, partition) = &delivery.partition;
                let key = format!("{from}/{partition}").into_bytes();
                (Some(key), OwnedHeaders::new())
            } else {
                let headers = carried(&delivery.headers);
                let headers = match &delivery.outcome {
                    Err(letter) => dead_letter_headers(letter, headers),
                    Ok(_) => headers,
                };
                (key.clone(), headers)
            };
            records.push(Outgoing {
                index,
                topic,
                key,
                value,
                headers,
            });
        }
    }

    /// The key of what is written: the record's own, or 32 hexadecimal digits of its keyed hash.
    fn key(&self, key: &[u8]) -> Vec<u8> {
        let Some(HashKey(secret)) = &self.options.hash_key else {
            return key.to_vec();
        };
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
        mac.update(b"weir/record-key/1");
        mac.update(key);
        hex::encode(&mac.finalize().into_bytes()[..16]).into_bytes()
    }

    /// Waits while librdkafka's queue is full.
    fn enqueue(
        &self,
        index: usize,
        (topic, partition): (&str, Option<i32>),
        key: Option<&[u8]>,
        value: &[u8],
        headers: OwnedHeaders,
    ) -> Result<(), KafkaError> {
        let context = self.inner.context();
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(topic, index)
                .payload(value)
                .headers(headers);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(partition) = partition {
            record = record.partition(partition);
        }
        context.waiting.fetch_add(1, Ordering::AcqRel);
        loop {
            let (error, back) = match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            if let KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) = error {
                record = back;
                self.inner.poll(Duration::from_millis(10));
                continue;
            }
            context.waiting.fetch_sub(1, Ordering::AcqRel);
            context.fail(index, topic, &error);
            return Err(error);
        }
    }

    fn abort(&self, error: &KafkaError) -> Error {
        match outcome(error, false) {
            Error::Fenced => return Error::Fenced,
            Error::Refused(refusal) => return self.named(Error::Refused(refusal)),
            _ => {}
        }
        // Nobody waits for this thread, and a new producer has fenced this one or soon will.
        if self
            .enter("the transaction to be aborted", self.options.timeout)
            .is_err()
        {
            return Error::Unknown { code: None };
        }
        match self.abort_transaction() {
            Ok(()) => self.cause(error),
            Err(error) => outcome(&error, true),
        }
    }

    /// librdkafka waits here until it is told of every record that it purges, which another thread
    /// has to do ("the application should poll", rd_kafka_abort_transaction).
    fn abort_transaction(&self) -> Result<(), KafkaError> {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Acquire) {
                    self.inner.poll(Duration::from_millis(1));
                }
            });
            let aborted = self.inner.abort_transaction(self.options.timeout);
            over.store(true, Ordering::Release);
            aborted
        })
    }

    /// Why nothing was committed: a record's own fault if the broker named one.
    fn cause(&self, error: &KafkaError) -> Error {
        let Some(failed) = self.inner.context().take_failure() else {
            return self.named(outcome(error, false));
        };
        match failed.error.rdkafka_error_code() {
            _ if is_of_size(&failed.error) => {
                let record = TooLarge {
                    index: failed.index,
                    topic: failed.topic,
                    bytes: 0,
                    limit: None,
                    of_client: false,
                };
                Error::TooLarge {
                    records: vec![record],
                }
            }
            Some(
                RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition,
            ) => Error::NoTopic {
                topic: failed.topic,
            },
            Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
                let of = Resource::Write([failed.topic].into());
                Error::Refused(Refusal { code, of })
            }
            _ => self.named(outcome(&failed.error, false)),
        }
    }

    /// A refusal with what it is about.
    fn named(&self, error: Error) -> Error {
        let Error::Refused(Refusal { code, .. }) = error else {
            return error;
        };
        let of = match code {
            RDKafkaErrorCode::TransactionalIdAuthorizationFailed => {
                let id = self.options.transactional_id.clone();
                Resource::Transactions(id.unwrap_or_default())
            }
            RDKafkaErrorCode::TopicAuthorizationFailed => {
                // Serves librdkafka's log.
                self.inner.poll(Duration::ZERO);
                let mut topics = std::mem::take(&mut *self.inner.context().refused());
                let failed = self.inner.context().take_failure();
                topics.extend(failed.map(|failed| failed.topic));
                if topics.is_empty() {
                    topics.extend(self.options.topics.named().map(str::to_owned));
                }
                Resource::Write(topics)
            }
            RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::UnreleasedInstanceId => Resource::Group {
                // Of the source; its slot names it.
                id: String::new(),
                member: None,
            },
            _ => Resource::Cluster,
        };
        Error::Refused(Refusal { code, of })
    }

    /// The cluster that it writes to.
    pub fn cluster(&self, wait: Duration) -> Option<String> {
        self.inner.client().fetch_cluster_id(wait)
    }

    /// Whether the topics with fixed names are there, and may be known to this user.
    ///
    /// # Errors
    /// One of them is not, or no broker answered in time.
    pub fn check_topics(&self, wait: Duration) -> Result<(), Error> {
        let named = self.options.topics.named();
        for topic in named.filter(|topic| !topic.contains("{tenant}")) {
            let metadata = self.inner.client().fetch_metadata(Some(topic), wait);
            let metadata = metadata.map_err(|error| Error::NoAnswer {
                code: error.rdkafka_error_code(),
            })?;
            let found = metadata.topics().iter().find(|own| own.name() == topic);
            let code = found
                .and_then(|own| own.error())
                .map(RDKafkaErrorCode::from);
            if let Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) = code {
                let of = Resource::Write([topic.to_owned()].into());
                return Err(Error::Refused(Refusal { code, of }));
            }
            if found.is_none_or(|own| code.is_some() || own.partitions().is_empty()) {
                let topic = topic.to_owned();
                return Err(Error::NoTopic { topic });
            }
        }
        Ok(())
    }
}

impl Topics {
    /// All of them.
    fn named(&self) -> impl Iterator<Item = &str> {
        let named = [
            self.entities.as_deref(),
            self.redactions.as_deref(),
            Some(&*self.dead_letters),
            self.audit.as_deref(),
        ];
        named.into_iter().flatten()
    }

    /// What is written of a delivery, and where.
    fn of(&self, delivery: &Delivery) -> [Option<(Kind, String)>; 3] {
        let audit = self.audit.clone().filter(|_| delivery.audit.is_some());
        let audit = audit.map(|topic| (Kind::Audit, topic));
        let Ok(done) = &delivery.outcome else {
            return [
                audit,
                Some((Kind::DeadLetter, self.dead_letters.clone())),
                None,
            ];
        };
        let tenant = &done.entities.tenant;
        let named = |kind, topic: &Option<String>| {
            let topic = topic.as_ref()?.replace("{tenant}", tenant);
            Some((kind, topic))
        };
        [
            audit,
            named(Kind::Entities, &self.entities),
            named(Kind::Redaction, &self.redactions),
        ]
    }
}

impl Values {
    /// The record of `kind` that is made of a delivery, as it is written to `topic`.
    fn value(&self, kind: Kind, topic: &str, delivery: &Delivery) -> Vec<u8> {
        let writer = match self {
            Self::Json => None,
            Self::Avro(writers) => {
                let writer = writers.get(topic).and_then(|own| own[kind as usize]);
                Some(writer.expect("`Producer::values` asks for all that `Topics::of` names"))
            }
        };
        if let (Kind::Audit, Some(audit)) = (kind, &delivery.audit) {
            return match writer {
                Some(writer) => writer.audit(audit),
                None => serde_json::to_vec(audit).expect("an audit record is JSON"),
            };
        }
        let done = match (&delivery.outcome, writer) {
            (Ok(done), _) => done,
            (Err(letter), Some(writer)) => return writer.dead_letter(letter),
            (Err(letter), None) => {
                return serde_json::to_vec(letter).expect("a dead letter is JSON");
            }
        };
        match (kind, writer) {
            (Kind::Entities, Some(writer)) => writer.entities(&done.entities),
            (Kind::Entities, None) => {
                serde_json::to_vec(&done.entities).expect("entities are JSON")
            }
            (_, Some(writer)) => redaction(writer, done),
            (_, None) => done.redacted.bytes().into_owned(),
        }
    }
}

/// Sets the client's limits: largest record that it takes, and largest batch that it makes. Blocks.
fn bounds(options: &Options, config: &mut ClientConfig) -> (usize, usize) {
    let limits = &options.limits;
    let topics = &options.topics;
    let named = [
        topics.entities.as_deref(),
        topics.redactions.as_deref(),
        Some(&*topics.dead_letters),
        topics.audit.as_deref(),
    ];
    let named = named.into_iter().flatten();
    limits.ask(
        &options.brokers,
        named.filter(|topic| !topic.contains("{tenant}")),
    );
    let number = |config: &ClientConfig, name| -> Option<usize> { config.get(name)?.parse().ok() };
    let record = number(config, record_size::OF_CLIENT).unwrap_or_else(|| limits.of_client());
    let batch = number(config, "batch.size").unwrap_or(usize::MAX);
    let batch = batch.min(limits.batch());
    config.set(record_size::OF_CLIENT, record.to_string());
    config.set("batch.size", batch.to_string());
    (record, batch)
}

/// Whether a record or its batch is too large.
fn is_of_size(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::MessageBatchTooLarge
        )
    )
}

fn redaction(writer: avro::Writer, done: &Done) -> Vec<u8> {
    let record;
    let content = match &done.redacted {
        Redacted::Text(text) => avro::Content::Text(text),
        Redacted::Record(json) => {
            // Made of a string, so that nothing is lost.
            record = String::from_utf8_lossy(json);
            avro::Content::Document(&record)
        }
        Redacted::Row(_) => {
            record = String::from_utf8_lossy(&done.redacted.bytes())
                .into_owned()
                .into();
            avro::Content::Document(&record)
        }
    };
    writer.redaction(avro::Redacted {
        id: &done.entities.document_id,
        tenant: &done.entities.tenant,
        source: Some(&done.entities.source),
        content,
        redactions: &done.changes,
        digests: &done.entities.digests,
    })
}

/// A bug on purpose, for the test that shows that the chaos harness finds it (tests/it/chaos.rs):
/// offsets are committed before the records and outside of their transaction, so that a kill in
/// between loses records.
fn offsets_first() -> bool {
    let planted = planted("offsets_first");
    if planted {
        error!(
            "WEIR_PLANTED_FAULT: this process commits offsets before records, and loses records"
        );
    }
    planted
}

/// Whether a test asks for a bug on purpose. A release build has none.
pub(crate) fn planted(fault: &str) -> bool {
    cfg!(debug_assertions)
        && std::env::var_os("WEIR_PLANTED_FAULT").is_some_and(|planted| planted == fault)
}

/// What an error means. `ending`: the transaction may have been committed.
fn outcome(error: &KafkaError, ending: bool) -> Error {
    let code = error.rdkafka_error_code();
    if let Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch) = code {
        return Error::Fenced;
    }
    if let Some(code) = brokers::refused(error) {
        let of = Resource::Cluster;
        return Error::Refused(Refusal { code, of });
    }
    // After a fatal error the producer takes nothing any more.
    let fatal = matches!(error, KafkaError::Transaction(error) if error.is_fatal());
    match ending || fatal {
        true => Error::Unknown { code },
        false => Error::Aborted { code },
    }
}

/// Commits the offsets of deliveries by themselves.
pub(crate) fn commit<'d>(
    set: impl IntoIterator<Item = &'d Delivery>,
    consumer: &Consumer,
) -> Result<(), Error> {
    offsets_after(set)
        .and_then(|offsets| match offsets.count() {
            0 => Ok(()),
            _ => consumer.commit(&offsets),
        })
        .map_err(|error| outcome(&error, false))
}

/// For each partition of a set the offset after its last record, and the head of its audit chain
/// beside it: so chain and offset move in one transaction.
pub(crate) fn offsets_after<'d>(
    set: impl IntoIterator<Item = &'d Delivery>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut last: BTreeMap<&Partition, &Delivery> = BTreeMap::new();
    for delivery in set {
        // The last in the order of reading: a topic that was created again begins with small offsets.
        last.insert(&delivery.partition, delivery);
    }
    let mut list = TopicPartitionList::with_capacity(last.len());
    for ((topic, partition), delivery) in last {
        let mut place = list.add_partition(topic, *partition);
        place.set_offset(Offset::Offset(delivery.offset + 1))?;
        if let Some(audit) = &delivery.audit {
            place.set_metadata(format!("{CHAIN}{}", audit.hash));
        }
    }
    Ok(list)
}

/// What stands before a chain's head in the metadata of committed offsets.
const CHAIN: &str = "weir-audit/1:";

/// Heads of the audit chains of some partitions, as committed with their offsets.
pub(crate) fn heads(committed: &TopicPartitionList) -> BTreeMap<Partition, String> {
    let head = |metadata: &str| match metadata.strip_prefix(CHAIN) {
        Some(head) => head.to_owned(),
        None => audit::GENESIS.to_owned(),
    };
    let elements = committed.elements();
    let heads = elements.iter().map(|place| {
        let partition = (place.topic().into(), place.partition());
        (partition, head(place.metadata()))
    });
    heads.collect()
}

/// The audit record of a delivery, not yet chained.
pub(crate) fn audited(delivery: &Delivery, key: &DigestKey) -> Audit {
    let (topic, partition) = &delivery.partition;
    let source = Position::Kafka {
        topic: topic.to_string(),
        partition: *partition,
        offset: delivery.offset,
    };
    let done = delivery.outcome.as_ref().ok();
    let letter = delivery.outcome.as_ref().err();
    let digests = done.map(|done| done.entities.digests.clone());
    let of_letter =
        |own: fn(&DeadLetter) -> &Option<String>| letter.and_then(|own_| own(own_).clone());
    Audit {
        event_id: audit::event_id(&source, digests.as_ref()),
        source,
        tenant: done
            .map(|done| done.entities.tenant.clone())
            .or_else(|| of_letter(|letter| &letter.tenant)),
        document_id: done
            .map(|done| done.entities.document_id.clone())
            .or_else(|| of_letter(|letter| &letter.document_id)),
        code: letter.map(|letter| letter.code),
        unit: audit::Unit::CodePoint,
        findings: delivery.findings.clone(),
        digests,
        input_digest: delivery.digest.clone(),
        output_digest: done.map(|done| key.digest(&done.redacted.bytes())),
        digest_key: key.id(),
        skipped: match delivery.lost {
            Some(Lost::Deleted { records, .. }) => Some(records),
            Some(Lost::Replaced) | None => None,
        },
        previous: String::new(),
        hash: String::new(),
    }
}

fn carried(headers: &[group::Header]) -> OwnedHeaders {
    let mut carried = OwnedHeaders::new_with_capacity(headers.len());
    for header in headers {
        carried = carried.insert(Header {
            key: &header.name,
            value: header.value.as_ref().map(|value| &value.0[..]),
        });
    }
    carried
}

/// Where the record stood and why it failed, under the names of KIP-1191 and of Connect. No value.
fn dead_letter_headers(letter: &DeadLetter, mut headers: OwnedHeaders) -> OwnedHeaders {
    let mut add = |key: &str, value: &str| {
        headers = std::mem::take(&mut headers).insert(Header {
            key,
            value: Some(value),
        });
    };
    if let Position::Kafka {
        topic,
        partition,
        offset,
    } = &letter.source
    {
        for prefix in ["__dlq.errors", "__connect.errors"] {
            add(&format!("{prefix}.topic"), topic);
            add(&format!("{prefix}.partition"), &partition.to_string());
            add(&format!("{prefix}.offset"), &offset.to_string());
        }
    }
    add("__connect.errors.stage", letter.stage.as_str());
    for prefix in ["__dlq.errors", "__connect.errors.exception"] {
        add(&format!("{prefix}.message"), &letter.reason);
    }
    add("__dlq.errors.delivery.count", &letter.attempts.to_string());
    add("weir.code", letter.code.as_str());
    headers
}

/// Names of the topics that some brokers have. Blocks.
pub fn existing(brokers: &Brokers, wait: Duration) -> Result<Vec<String>, Error> {
    let context = Context {
        token_file: brokers.token_file.clone(),
        ..Context::default()
    };
    let client: BaseProducer<Context> = brokers
        .config()
        .create_with_context(context)
        .map_err(Error::Options)?;
    if brokers.token_file.is_some() {
        client.poll(Duration::from_millis(100));
    }
    let metadata = client
        .client()
        .fetch_metadata(None, wait)
        .map_err(|error| outcome(&error, false))?;
    let topics = metadata.topics().iter();
    Ok(topics.map(|topic| topic.name().to_owned()).collect())
}
