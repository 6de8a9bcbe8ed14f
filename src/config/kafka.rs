//! Kafka's part of the resolved configuration.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    pipeline::Delivery,
    resolve::{Ids, PathPattern, TenantFrom},
    sink, source,
};
use crate::{
    audit::note::SigningKey,
    kafka::{Brokers, Settings},
};

/// Topics to read.
#[derive(Debug, Clone)]
pub struct KafkaSource {
    /// Brokers.
    pub brokers: Brokers,
    /// Names, or regular expressions behind a `^`.
    pub topics: Vec<String>,
    /// Consumer group.
    pub group_id: String,
    /// Protocol of the group.
    pub group_protocol: source::GroupProtocol,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// After how long of silence the group takes partitions away.
    pub session_timeout: Duration,
    /// Where a new group begins.
    pub offset_reset: source::OffsetReset,
    /// Time between looks for new partitions, and for topics that a regular expression matches.
    pub metadata_refresh: Duration,
    /// What a record holds.
    pub codec: source::Codec,
    /// Registry of the schemas of Avro records; given for Avro only.
    pub registry: Option<Registry>,
    /// Where the tenant is named.
    pub tenant: TenantFrom,
    /// Where the id is.
    pub id: IdFrom,
    /// What becomes of ids.
    pub ids: Ids,
    /// Further options.
    pub options: Settings,
}

/// Where the id of a document is.
#[derive(Debug, Clone)]
pub enum IdFrom {
    /// A key or JSON Pointer of a JSON document.
    Field(String),
    /// A part of the record's key.
    Key(PathPattern),
    /// A header of the record.
    Header(String),
}

/// Topics to write.
#[derive(Debug, Clone)]
pub struct KafkaSink {
    /// Brokers.
    pub brokers: Brokers,
    /// Topics by kind of record.
    pub topics: sink::Topics,
    /// First part of transactional ids.
    pub transactional_id_prefix: String,
    /// What is promised.
    pub delivery: Delivery,
    /// Bounds of a transaction.
    pub transaction: sink::Transaction,
    /// Secret of hashed keys; `None` keeps keys.
    pub hash_key: Option<Secret>,
    /// Secret of the digests in audit records; `Some` if these have a topic.
    pub audit_key: Option<Secret>,
    /// Key that signs audit records.
    pub audit_seal: Option<Arc<SigningKey>>,
    /// Headers that are passed on.
    pub pass: Vec<String>,
    /// Registry of the schemas of Avro records; `None` writes JSON.
    pub registry: Option<SinkRegistry>,
    /// Compression.
    pub compression: sink::TopicCompression,
    /// Further options.
    pub options: Settings,
}

/// A schema registry.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Addresses, tried in order.
    pub urls: Vec<String>,
    /// User and password.
    pub credentials: Option<(String, Secret)>,
}

/// A schema registry, and how weir's schemas stand in it.
#[derive(Debug, Clone)]
pub struct SinkRegistry {
    /// The registry.
    pub registry: Registry,
    /// How the subject of a schema is named.
    pub subjects: sink::SubjectStrategy,
    /// Whether weir registers a schema that its subject does not hold.
    pub auto_register: bool,
}

/// A secret that `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: String) -> Self {
        Self(zeroize::Zeroizing::new(secret))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
