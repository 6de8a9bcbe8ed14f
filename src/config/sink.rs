//! `[sink]`: where records go.

use std::{collections::BTreeMap, num::NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where records go.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Sink")]
pub enum Section {
    /// Files below a folder or prefix: `entities/`, `redactions/`, `dead_letters/` and `_weir/`, and `audit/` with an
    /// audit key.
    ObjectStore {
        /// Folder or prefix to write below. It must differ from the source's. A relative path in
        /// the file is relative to the file's folder.
        #[schemars(length(min = 1))]
        url: String,
        /// Options of the store, as in `[source]`.
        #[serde(default)]
        options: BTreeMap<String, String>,
        /// Formats of the records.
        #[serde(default)]
        formats: Formats,
        /// Compression of JSON lines and text; Parquet always has its own compression.
        #[serde(default)]
        compression: Compression,
        /// Seconds after which another worker may take over an object whose worker does not renew
        /// its claim. Shorter: faster recovery. Longer: fewer objects read twice when a worker
        /// stalls.
        #[serde(default = "lease_secs")]
        lease_secs: NonZeroU64,
        /// When weir writes a partition's files; only for a source of type `kafka`.
        #[serde(default)]
        roll: Option<Roll>,
        /// File that holds the secret for the digests in audit records. With it weir writes an audit file for each
        /// object (for each commit, if the source is `kafka`), and digests of all files into the commit records.
        #[serde(default)]
        audit_key_file: Option<String>,
        /// Environment variable that holds the secret for the digests in audit records.
        #[serde(default)]
        audit_key_env: Option<String>,
    },
    /// Topics of Apache Kafka.
    Kafka {
        /// `host:port` of some brokers, separated by commas. Unset: the source's, with its `sasl`
        /// and `tls`.
        #[serde(default)]
        bootstrap_servers: Option<String>,
        /// Topics by kind of record.
        topics: Topics,
        /// First part of the transactional ids; group, worker and slot follow. Workers on one host
        /// need different ones unless each has a `source.group_instance_id`.
        #[serde(default = "transactional_id_prefix")]
        #[schemars(length(min = 1))]
        transactional_id_prefix: String,
        /// Bounds of one transaction (of one commit with `delivery = "at_least_once"`).
        #[serde(default)]
        transaction: Transaction,
        /// Keys of the output records.
        #[serde(default)]
        key: Key,
        /// File that holds the secret for `key = "hash"`.
        #[serde(default)]
        hash_key_file: Option<String>,
        /// Environment variable that holds the secret for `key = "hash"`.
        #[serde(default)]
        hash_key_env: Option<String>,
        /// File that holds the secret for the digests in audit records.
        #[serde(default)]
        audit_key_file: Option<String>,
        /// Environment variable that holds the secret for the digests in audit records.
        #[serde(default)]
        audit_key_env: Option<String>,
        /// File that holds the key with which weir signs the last audit record of each partition in a transaction.
        /// `weir audit keygen` makes one.
        #[serde(default)]
        audit_seal_key_file: Option<String>,
        /// Environment variable that holds the key with which weir signs audit records.
        #[serde(default)]
        audit_seal_key_env: Option<String>,
        /// Headers of the output records. weir always passes on `traceparent` and `tracestate`, and
        /// never the headers of schema registries.
        #[serde(default)]
        headers: Headers,
        /// How weir writes a record.
        #[serde(default)]
        encode: Encode,
        /// Compression of batches.
        #[serde(default)]
        compression: TopicCompression,
        /// How the worker logs in.
        #[serde(default)]
        sasl: Option<super::source::Sasl>,
        /// Encryption; `tls = {}` trusts the system's authorities.
        #[serde(default)]
        tls: Option<super::source::Tls>,
        /// Further options of the producer, by librdkafka's names. weir refuses options that it
        /// sets itself, and options that would break its promises.
        #[serde(default)]
        librdkafka_options: BTreeMap<String, String>,
    },
    /// Standard output, one record per line: text for a text document, JSON for a JSON document.
    /// Dead letters go to standard error.
    Stdout {
        /// Which records weir prints.
        #[serde(default)]
        records: Printed,
    },
}

/// Topics by kind of record. `{tenant}` in a name stands for the tenant's name, behind at least
/// one character of the topic's own: `redacted.{tenant}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topics {
    /// The entities of each document and their places. Unset: not written.
    #[serde(default)]
    pub entities: Option<String>,
    /// Redacted documents. Unset: not written.
    #[serde(default)]
    pub redactions: Option<String>,
    /// Records that could not be processed.
    #[schemars(length(min = 1))]
    pub dead_letters: String,
    /// What weir did to each record, as a chain for each partition of the source; needs
    /// `audit_key_file` or `audit_key_env`. Unset: not written.
    #[serde(default)]
    pub audit: Option<String>,
    /// Events of `weir reveal --config`, which writes them here before it prints a value. A worker does not write
    /// it. Unset: `weir reveal` needs a file.
    #[serde(default)]
    pub reveals: Option<String>,
}

impl Topics {
    /// Key and topic of each kind of record that is written.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let named = [
            ("entities", self.entities.as_deref()),
            ("redactions", self.redactions.as_deref()),
            ("dead_letters", Some(&*self.dead_letters)),
            ("audit", self.audit.as_deref()),
        ];
        named
            .into_iter()
            .filter_map(|(key, topic)| Some((key, topic?)))
    }
}

/// Bounds of one transaction: the first bound that is reached ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Transaction {
    /// Milliseconds after which the broker aborts a transaction that was not ended. Must exceed the
    /// slowest commit. After a worker dies, readers of the output wait this long.
    #[schemars(range(min = 1000, max = 900_000))]
    pub timeout_ms: u64,
    /// Maximum number of documents.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_documents: u64,
    /// Maximum bytes of documents as received.
    #[schemars(range(min = 1024))]
    pub max_bytes: u64,
    /// Maximum milliseconds that a processed document waits before its transaction ends.
    #[schemars(range(max = 60_000))]
    pub max_ms: u64,
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            timeout_ms: 60_000, // librdkafka's default
            max_documents: 5000,
            max_bytes: 8 << 20,
            max_ms: 1000,
        }
    }
}

/// When weir writes the files of one partition: at the first bound that is reached, or earlier if
/// the gathered files of all partitions take half of `limits.max_in_flight_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Roll {
    /// Maximum number of documents.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_documents: u64,
    /// Maximum bytes of documents as received.
    #[schemars(range(min = 1024))]
    pub max_bytes: u64,
    /// Maximum seconds after the first document. Shorter: readers see it sooner. Longer: larger
    /// files.
    #[schemars(range(min = 1, max = 86_400))]
    pub max_secs: u64,
}

impl Default for Roll {
    fn default() -> Self {
        Self {
            max_documents: 10_000,
            max_bytes: 64 << 20,
            max_secs: 60,
        }
    }
}

/// Keys of the output records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The source record's key: records of one key stay in one partition and in order.
    #[default]
    Keep,
    /// HMAC-SHA256 of the source record's key, 128 bits in hexadecimal digits, because a key may
    /// itself be personal. Order is kept as well.
    Hash,
}

/// Headers of the output records. weir always passes on `traceparent` and `tracestate`, and never
/// the headers of schema registries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Headers {
    /// Names, or patterns with `*`, of headers of the source record that weir passes on. It drops
    /// all others, because they may hold personal data.
    pub pass: Vec<String>,
}

/// How weir writes a record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Encode {
    /// Format of the records.
    pub codec: Encoding,
    /// Registry of the schemas of Avro records.
    pub schema_registry: Option<SchemaRegistry>,
}

/// Format of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A JSON object.
    #[default]
    Json,
    /// Avro behind the prefix of Confluent's serializers: byte 0 and the id of the schema.
    Avro,
}

/// A schema registry that speaks Confluent's API, and how it names weir's schemas.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "SinkSchemaRegistry")]
pub struct SchemaRegistry {
    /// Its address, such as `https://registry:8081`; or several, separated by commas, which weir
    /// tries in order. Unset: that of `source.decode.schema_registry`, with its username and
    /// password.
    pub url: Option<String>,
    /// Name of the user, or of an API key, for basic authentication.
    pub username: Option<String>,
    /// File that holds the password.
    pub password_file: Option<String>,
    /// Environment variable that holds the password.
    pub password_env: Option<String>,
    /// How weir names the subject of a schema.
    pub subject_strategy: SubjectStrategy,
    /// Whether weir registers a schema that is missing from its subject. If not, register what
    /// `weir schema entities-avro`, `redaction-avro`, `dead-letter-avro` and `audit-avro` print;
    /// until then weir does not start.
    pub auto_register: bool,
}

/// How weir names the subject of a schema, as Confluent's serializers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubjectStrategy {
    /// `TOPIC-value`: one kind of record in a topic.
    #[default]
    TopicName,
    /// `weir.v1.Entities`: the same in all topics.
    RecordName,
    /// `TOPIC-weir.v1.Entities`.
    TopicRecordName,
}

/// Compression of batches of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum TopicCompression {
    None,
    Gzip,
    Snappy,
    Lz4,
    #[default]
    Zstd,
}

/// Formats of the files that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Formats {
    /// Redactions: `auto` keeps the format of the input object.
    pub redactions: RedactionFormat,
    /// Entities.
    pub entities: EntityFormat,
    /// Dead letters.
    pub dead_letters: DeadLetterFormat,
}

/// Format of redaction files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedactionFormat {
    /// The format of the input: a table for a table, JSON lines for JSON lines, text for text.
    #[default]
    Auto,
    /// JSON lines.
    Jsonl,
    /// Parquet.
    Parquet,
    /// Only the redacted text, line by line; for text and log input.
    Text,
}

/// Format of entity files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntityFormat {
    /// JSON lines.
    #[default]
    Jsonl,
    /// Parquet.
    Parquet,
}

/// Format of dead-letter files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterFormat {
    /// JSON lines.
    #[default]
    Jsonl,
}

/// Compression of JSON lines and text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// None.
    #[default]
    None,
    /// Gzip; adds `.gz` to the names.
    Gzip,
    /// Zstandard; adds `.zst` to the names.
    Zstd,
}

/// Records that go to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Printed {
    /// Redactions.
    #[default]
    Redactions,
    /// Entities.
    Entities,
}

fn transactional_id_prefix() -> String {
    "weir".to_owned()
}

fn lease_secs() -> NonZeroU64 {
    // Longer than the slowest single upload seen; a lease is renewed every third of it.
    NonZeroU64::new(60).expect("60 is not zero")
}
