//! The producer: sets of deliveries as transactions.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rdkafka::{
    TopicPartitionList,
    config::ClientConfig,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    message::OwnedHeaders,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use sha2::Sha256;

use super::{
    Codec, Delivery, Error, HashKey, Options, Returned,
    calls::Calls,
    client::{Context, Refused},
    error::{is_of_size, outcome},
    offsets::offsets_after,
    planted::{self, Fault},
    record_size::{self, TooLarge},
    value::{Outgoing, Values, carried, dead_letter_headers},
};
use crate::{
    kafka::{Refusal, Resource},
    record::{
        audit::Chained,
        avro::{self, Kind},
    },
    telemetry::trace::{self, Step, To},
};

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

    /// Whether this producer must not write another transaction, because it gave up records of an aborted one.
    ///
    /// When a transaction is aborted, librdkafka gives up what it has in its queue, and gives the same sequence
    /// numbers to the records that come next (2.12, `rd_kafka_toppar_purge_queues`). Records that it had sent
    /// before and was about to send again are in the queue too. If a broker has them, it takes a batch with the
    /// same numbers for the same batch: it answers that it has it, with an offset, and does not write it. The
    /// next transaction would be committed without that batch. A new producer has a new epoch, in which no number
    /// was used.
    pub fn is_spent(&self) -> bool {
        let gave_up = self.inner.context().gave_up.load(Ordering::Acquire);
        self.options.transactional_id.is_some() && gave_up
    }

    /// Begins a call that is given `wait`, and looks at it.
    fn enter(&self, call: &'static str, wait: Duration) -> Result<(), KafkaError> {
        self.calls.enter(call, wait + GRACE)
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
                self.enqueue(
                    index,
                    to,
                    key,
                    &record.value.0,
                    Some(record.headers.clone()),
                )?;
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
        let step = trace::step(Step::Commit, To::Topics);
        let committed = self.inner.commit_transaction(wait);
        step.end(committed.as_ref().err().map(|_| "commit"));
        match committed {
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
        let step = trace::step(Step::Send, To::Topics);
        self.send_all(records)?;
        if !planted::has(Fault::OffsetsFirst) {
            self.send_offsets(&offsets_after(set)?, group)?;
        }
        self.enter("the brokers to take the records", wait)?;
        let answered = self.answered(wait);
        step.end(answered.as_ref().err().map(|_| "send"));
        answered
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
        let step = trace::step(Step::Send, To::Topics);
        let sent = self
            .enter("room for the records in the client's queue", 2 * wait)
            .and_then(|()| self.send_all(records))
            .and_then(|()| self.answered(wait));
        step.end(sent.as_ref().err().map(|_| "send"));
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
            let before = context.waiting.load(Ordering::Acquire);
            // Not for a time: rdkafka's poll (0.39) asks librdkafka to wait for whole milliseconds, and turns in a loop
            // for what is left of one.
            self.inner.poll(Duration::ZERO);
            if context.waiting.load(Ordering::Acquire) == before {
                std::thread::sleep(Duration::from_millis(1));
            }
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
        let key = delivery.envelope.key.as_ref().map(|key| self.key(&key.0));
        for (kind, topic) in self.options.topics.of(delivery).into_iter().flatten() {
            if kind == Kind::Audit {
                for chained in delivery.audit.iter().flat_map(|own| own.records()) {
                    records.push(audit_record(index, &topic, chained, delivery, values));
                }
                continue;
            }
            let value = values.value(kind, &topic, delivery);
            let headers = match &delivery.outcome {
                Err(letter) => Some(dead_letter_headers(letter, carried(delivery))),
                Ok(_) => carried(delivery),
            };
            records.push(Outgoing {
                index,
                topic,
                key: key.clone(),
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
        headers: Option<OwnedHeaders>,
    ) -> Result<(), KafkaError> {
        let context = self.inner.context();
        let mut record: BaseRecord<'_, [u8], [u8], usize> =
            BaseRecord::with_opaque_to(topic, index).payload(value);
        record.headers = headers;
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
        for topic in self.options.topics.fixed() {
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

/// Sets the client's limits: largest record that it takes, and largest batch that it makes. Blocks.
fn bounds(options: &Options, config: &mut ClientConfig) -> (usize, usize) {
    let limits = &options.limits;
    limits.ask(&options.brokers, options.topics.fixed());
    let number = |config: &ClientConfig, name| -> Option<usize> { config.get(name)?.parse().ok() };
    let record = number(config, record_size::OF_CLIENT).unwrap_or_else(|| limits.of_client());
    let batch = number(config, "batch.size").unwrap_or(usize::MAX);
    let batch = batch.min(limits.batch());
    config.set(record_size::OF_CLIENT, record.to_string());
    config.set("batch.size", batch.to_string());
    (record, batch)
}

fn audit_record(
    index: usize,
    topic: &str,
    chained: &Chained,
    delivery: &Delivery,
    values: &Values,
) -> Outgoing {
    // By its partition, so that a chain stands in one partition and in order.
    let (from, partition) = &delivery.envelope.partition;
    Outgoing {
        index,
        topic: topic.to_owned(),
        key: Some(format!("{from}/{partition}").into_bytes()),
        value: values.audit(topic, chained),
        headers: None,
    }
}
