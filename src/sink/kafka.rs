//! Kafka topics as a sink: records and the source's offsets in one transaction.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::ConsumerGroupMetadata,
    error::{KafkaError, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{Done, Redacted};
use crate::{
    record::{DeadLetter, Position},
    source::kafka::Partition,
};

/// Where records go, and under which transactional id.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port`, several with commas.
    pub bootstrap_servers: String,
    /// Stable for a worker's slot: a second producer of this id fences the first.
    pub transactional_id: String,
    /// The broker aborts a transaction that stays open longer.
    pub transaction_timeout: Duration,
    /// Topics by kind of record.
    pub topics: Topics,
    /// Further options by librdkafka's names.
    pub librdkafka: BTreeMap<String, String>,
}

/// Topics by kind of record.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Topics {
    pub entities: String,
    pub redactions: String,
    pub dead_letters: String,
}

/// What became of one source record.
#[derive(Debug)]
pub struct Delivery {
    /// Where the record stood.
    pub partition: Partition,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// What goes downstream.
    pub outcome: Result<Done, DeadLetter>,
}

/// Why a set of deliveries was not committed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is not librdkafka's, or its value is wrong.
    #[error("the producer can't be made: check the options")]
    Options(#[source] KafkaError),
    /// Another producer has taken the transactional id over: this worker has to stop.
    #[error("another worker has the same transactional id")]
    Fenced,
    /// Nothing of the set is visible, and it can be tried again.
    #[error("the transaction was aborted ({code:?})")]
    Aborted {
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
    /// Whether the set is committed is not known: the producer is of no further use, and the group's
    /// committed offsets tell.
    #[error("the transaction's outcome is unknown ({code:?})")]
    Unknown {
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
}

/// A transactional producer.
pub struct Producer {
    inner: BaseProducer,
    options: Options,
}

impl Producer {
    /// Makes a producer and ends what an earlier one of the same id left open. Blocks.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let mut config = ClientConfig::new();
        // Batches of a transaction are large anyway; its commit does not wait for a linger.
        config.set("linger.ms", "5").set("compression.type", "zstd");
        config.extend(options.librdkafka.clone());
        // What the promise rests on is set last: no option of the user's can undo it.
        config
            .set("bootstrap.servers", &options.bootstrap_servers)
            .set("transactional.id", &options.transactional_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set(
                "transaction.timeout.ms",
                options.transaction_timeout.as_millis().to_string(),
            )
            .set(
                "delivery.timeout.ms",
                options.transaction_timeout.as_millis().to_string(),
            );
        let inner: BaseProducer = config.create().map_err(Error::Options)?;
        let start = Instant::now();
        loop {
            match inner.init_transactions(options.transaction_timeout) {
                Ok(()) => break,
                Err(KafkaError::Transaction(error))
                    if error.is_retriable() && start.elapsed() < options.transaction_timeout => {}
                Err(error) => return Err(outcome(&error, false)),
            }
        }
        Ok(Self {
            inner,
            options: options.clone(),
        })
    }

    /// Commits what became of a set of records together with their offsets. Blocks.
    pub fn publish(&self, set: &[Delivery], group: &ConsumerGroupMetadata) -> Result<(), Error> {
        let wait = self.options.transaction_timeout;
        self.inner
            .begin_transaction()
            .map_err(|error| outcome(&error, false))?;
        let prepared = self.prepare(set, group, wait);
        if let Err(error) = prepared {
            return Err(self.abort(&error));
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
        group: &ConsumerGroupMetadata,
        wait: Duration,
    ) -> Result<(), KafkaError> {
        for delivery in set {
            self.send(delivery)?;
        }
        self.inner
            .send_offsets_to_transaction(&offsets_after(set)?, group, wait)
    }

    fn send(&self, delivery: &Delivery) -> Result<(), KafkaError> {
        let topics = &self.options.topics;
        let key = delivery.key.as_deref();
        match &delivery.outcome {
            Ok(done) => {
                let entities = serde_json::to_vec(&done.entities).expect("entities are JSON");
                self.enqueue(&topics.entities, key, &entities, None)?;
                let redacted = match &done.redacted {
                    Redacted::Record(record) => record.clone(),
                    Redacted::Text(text) => text.clone().into_bytes(),
                    Redacted::Row(cells) => serde_json::to_vec(cells).expect("cells are JSON"),
                };
                self.enqueue(&topics.redactions, key, &redacted, None)
            }
            Err(letter) => {
                let value = serde_json::to_vec(letter).expect("a dead letter is JSON");
                let headers = dead_letter_headers(letter);
                self.enqueue(&topics.dead_letters, key, &value, Some(headers))
            }
        }
    }

    /// Waits while librdkafka's queue is full.
    fn enqueue(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: &[u8],
        headers: Option<OwnedHeaders>,
    ) -> Result<(), KafkaError> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).payload(value);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(headers) = headers {
            record = record.headers(headers);
        }
        loop {
            match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.inner.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn abort(&self, error: &KafkaError) -> Error {
        if let Error::Fenced = outcome(error, false) {
            return Error::Fenced;
        }
        let code = error.rdkafka_error_code();
        match self
            .inner
            .abort_transaction(self.options.transaction_timeout)
        {
            Ok(()) => Error::Aborted { code },
            Err(error) => outcome(&error, true),
        }
    }
}

/// What an error means. `ending`: the transaction may have been committed.
fn outcome(error: &KafkaError, ending: bool) -> Error {
    let code = error.rdkafka_error_code();
    let fenced = matches!(
        code,
        Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch)
    );
    match (fenced, ending) {
        (true, _) => Error::Fenced,
        (false, true) => Error::Unknown { code },
        (false, false) => Error::Aborted { code },
    }
}

/// For each partition of a set the offset after its last record.
pub(crate) fn offsets_after(set: &[Delivery]) -> Result<TopicPartitionList, KafkaError> {
    let mut last: BTreeMap<&Partition, i64> = BTreeMap::new();
    for delivery in set {
        let next = delivery.offset + 1;
        last.entry(&delivery.partition)
            .and_modify(|offset| *offset = next.max(*offset))
            .or_insert(next);
    }
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in last {
        list.add_partition_offset(topic, *partition, Offset::Offset(offset))?;
    }
    Ok(list)
}

/// Where the record stood and why it failed, under the names of KIP-1191 and of Connect. No value.
fn dead_letter_headers(letter: &DeadLetter) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new();
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
    add("__dlq.errors.message", &letter.reason);
    add("weir.code", letter.code.as_str());
    headers
}
