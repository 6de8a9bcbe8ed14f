//! Kafka topics as a source: a member of a consumer group.
//!
//! A [`Consumer`] yields records in the order of each partition. It commits nothing: the offsets
//! of what is done go into the sink's transaction, and a partition that is assigned begins at its
//! committed offset.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext, Message, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, ConsumerGroupMetadata, Rebalance},
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::{info, warn};

use super::{
    identity::Identity,
    reader::{dead_letter, json_document, not_utf8, text_document},
};
use crate::record::{Code, DeadLetter, Document, Position};

/// What to read, and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// `host:port`, several with commas.
    pub bootstrap_servers: String,
    /// Consumer group.
    pub group_id: String,
    /// Topics; one that begins with `^` is a regular expression.
    pub topics: Vec<String>,
    /// Whether records are JSON objects; otherwise they are text.
    pub json: bool,
    /// Tenant, id and the largest record, as for other sources.
    pub records: super::Options,
    /// Further options by librdkafka's names.
    pub librdkafka: BTreeMap<String, String>,
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
    /// The broker refuses for good.
    #[error("the broker refuses: {code:?}")]
    Refused {
        /// librdkafka's code.
        code: RDKafkaErrorCode,
    },
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
    /// Its key, byte for byte; never shown.
    pub key: Option<Vec<u8>>,
    /// Bytes of the value.
    pub bytes: u64,
    /// What it holds, or why it holds nothing.
    pub document: Result<Document, DeadLetter>,
}

/// A member of a consumer group.
pub struct Consumer {
    inner: BaseConsumer<Context>,
    options: Options,
    identity: Identity,
    /// Names of topics, each held once.
    topics: BTreeMap<String, Arc<str>>,
    paused: bool,
}

#[derive(Default)]
struct Context {
    revoked: Mutex<Vec<(String, i32)>>,
}

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) => {
                let elements = partitions.elements();
                let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
                revoked.extend(
                    elements
                        .iter()
                        .map(|e| (e.topic().to_owned(), e.partition())),
                );
                info!(partitions = elements.len(), "partitions revoked");
            }
            Rebalance::Assign(partitions) => {
                info!(partitions = partitions.count(), "partitions assigned");
            }
            Rebalance::Error(error) => warn!(code = ?error.rdkafka_error_code(), "no rebalance"),
        }
    }
}

impl Consumer {
    /// Joins the group.
    pub fn join(options: Options) -> Result<Self, Error> {
        let mut config = ClientConfig::new();
        config
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("auto.offset.reset", "earliest");
        config.extend(options.librdkafka.clone());
        // What the promise rests on is set last: no option of the user's can undo it.
        config
            .set("bootstrap.servers", &options.bootstrap_servers)
            .set("group.id", &options.group_id)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false");
        let inner: BaseConsumer<Context> = config
            .create_with_context(Context::default())
            .map_err(Error::Options)?;
        let topics: Vec<&str> = options.topics.iter().map(String::as_str).collect();
        inner.subscribe(&topics).map_err(Error::Options)?;
        Ok(Self {
            inner,
            identity: Identity::of(&options.records)?,
            options,
            topics: BTreeMap::new(),
            paused: false,
        })
    }

    /// The next record, if one comes within `wait`. Serves the group: call it often.
    pub fn poll(&mut self, wait: Duration) -> Result<Option<Record>, Error> {
        let message = match self.inner.poll(wait) {
            None => return Ok(None),
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                return match error.rdkafka_error_code() {
                    Some(
                        code @ (RDKafkaErrorCode::Fatal
                        | RDKafkaErrorCode::FencedInstanceId
                        | RDKafkaErrorCode::TopicAuthorizationFailed
                        | RDKafkaErrorCode::GroupAuthorizationFailed),
                    ) => Err(Error::Refused { code }),
                    // librdkafka goes on by itself.
                    code => {
                        warn!(?code, "the consumer reports an error and goes on");
                        Ok(None)
                    }
                };
            }
        };
        let topic = match self.topics.get(message.topic()) {
            Some(topic) => topic.clone(),
            None => {
                let topic: Arc<str> = message.topic().into();
                self.topics
                    .insert(message.topic().to_owned(), topic.clone());
                topic
            }
        };
        let position = Position::Kafka {
            topic: topic.to_string(),
            partition: message.partition(),
            offset: message.offset(),
        };
        let payload = message.payload();
        let bytes = payload.map_or(0, |payload| payload.len() as u64);
        let document = self.document(payload, &topic, position);
        Ok(Some(Record {
            partition: (topic, message.partition()),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            bytes,
            document,
        }))
    }

    fn document(
        &self,
        payload: Option<&[u8]>,
        topic: &str,
        position: Position,
    ) -> Result<Document, DeadLetter> {
        let Some(payload) = payload else {
            let reason = "the record has no value".to_owned();
            return Err(dead_letter(position, Code::NotJson, reason));
        };
        let limit = self.options.records.max_record_bytes;
        if payload.len() as u64 > limit {
            let reason = format!(
                "the record has {} bytes, allowed are {limit}",
                payload.len()
            );
            return Err(dead_letter(position, Code::TooLarge, reason));
        }
        let text = String::from_utf8(payload.to_vec())
            .map_err(|error| not_utf8(&error, "record", position.clone()))?;
        match self.options.json {
            true => json_document(text, "record", &self.identity, topic, position),
            false => Ok(text_document(
                text,
                self.identity.of_object(topic),
                position,
            )),
        }
    }

    /// Partitions that were revoked since the last call: what is not committed of them is another
    /// member's.
    pub fn take_revoked(&self) -> Vec<(String, i32)> {
        let context = self.inner.context();
        let mut revoked = context
            .revoked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *revoked)
    }

    /// Stops or goes on fetching. Polling goes on either way, so that the member stays in its group.
    pub fn pause(&mut self, paused: bool) {
        // Also while nothing changes: partitions that were assigned meanwhile are not paused.
        if !paused && !self.paused {
            return;
        }
        self.paused = paused;
        let Ok(assignment) = self.inner.assignment() else {
            return;
        };
        let outcome = match paused {
            true => self.inner.pause(&assignment),
            false => self.inner.resume(&assignment),
        };
        if let Err(error) = outcome {
            warn!(code = ?error.rdkafka_error_code(), "partitions can't be paused or resumed");
        }
    }

    /// What the transaction shows the broker to prove that this member still owns its partitions.
    pub fn group(&self) -> Option<ConsumerGroupMetadata> {
        self.inner.group_metadata()
    }

    /// Offsets that are committed for some partitions.
    pub fn committed(
        &self,
        partitions: TopicPartitionList,
        wait: Duration,
    ) -> Result<TopicPartitionList, KafkaError> {
        self.inner.committed_offsets(partitions, wait)
    }
}
