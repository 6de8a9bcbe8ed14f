//! Kafka topics as a sink: records and the source's offsets in one transaction, or, where at
//! least once is enough, records first and then the offsets.

pub mod calls;
mod client;
mod error;
mod offsets;
pub(crate) mod planted;
mod producer;
pub mod record_size;
mod value;

use std::{sync::Arc, time::Duration};

use rdkafka::{
    message::OwnedHeaders,
    producer::{BaseProducer, Producer as _},
};

use self::{client::Context, error::outcome, record_size::Limits};
use crate::{
    kafka::{Brokers, Bytes, Envelope, Settings},
    record::{
        DeadLetter, Digests, Done,
        audit::{Chained, Finding, KeyName},
        avro,
    },
    telemetry::trace,
};

pub use error::Error;
pub(crate) use offsets::{audited, commit, committed_heads, offsets_after, opening};
pub use producer::Producer;

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
    /// What stands around the record: the headers are those that go on.
    pub envelope: Envelope,
    /// Bytes that all of this takes in memory.
    pub held: u64,
    /// What was done at each place, where records are audited.
    pub findings: Vec<Finding>,
    /// What goes downstream.
    pub outcome: Result<Box<Done>, Box<DeadLetter>>,
    /// Digests of what decided about it, in whole, where records are audited and its tenant is known.
    pub digests: Option<Box<Digests>>,
    /// Keys of the policy, where records are audited.
    pub keys: Vec<KeyName>,
    /// Its audit records, chained, put there when its set is published.
    pub audit: Option<Box<Audited>>,
    /// To the span of the record.
    pub link: trace::Link,
}

/// The audit records of a delivery, at their places in the chain of its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// The epoch that the delivery begins.
    pub begin: Option<Chained>,
    /// What was done with the record.
    pub event: Chained,
}

impl Audited {
    /// All of them, in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Chained> {
        self.begin.iter().chain([&self.event])
    }
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
