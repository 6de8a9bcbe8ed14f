//! `[source]`: where documents come from.

use std::{collections::BTreeMap, num::NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where documents come from.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Source")]
pub enum Section {
    /// Local files, S3, GCS or Azure. A job ends when every object is done; with `poll_secs` a
    /// worker continues with objects that arrive later.
    ObjectStore {
        /// Folder or prefix that holds the input: a path, or `file://`, `s3://`, `gs://`,
        /// `az://`, `abfss://`. A relative path in the file is relative to the file's folder.
        #[schemars(length(min = 1))]
        url: String,
        /// Patterns of the objects to read, relative to `url`; `**` crosses folders.
        #[serde(default = "everything")]
        #[schemars(length(min = 1))]
        include: Vec<String>,
        /// Patterns of objects to leave out; they take precedence over `include`.
        #[serde(default)]
        exclude: Vec<String>,
        /// Options of the store, by the names of the object_store library: `aws_region`,
        /// `aws_endpoint`, `allow_http`. Credentials come from the cloud's own variables, or from
        /// `NAME_file` and `NAME_env`; weir refuses a secret in this file.
        #[serde(default)]
        options: BTreeMap<String, String>,
        /// Where weir finds the tenant of a document. Unset: the key `tenant` of a JSON document,
        /// or `columns.tenant` of a table; if the document names none, the default tenant.
        #[serde(default)]
        tenant: Option<Tenant>,
        /// Columns of Parquet and Arrow files.
        #[serde(default)]
        columns: Option<Columns>,
        /// Format of every object. Unset: by extension (`.txt`, `.log`, `.jsonl`, `.json`,
        /// `.parquet`, `.arrow`, each also with `.gz` or `.zst`).
        #[serde(default)]
        format: Option<Format>,
        /// Encoding of every object except tables, by a name of the WHATWG standard such as
        /// `windows-1252`, `shift_jis`, `utf-16le`, or `utf-32le`. Unset: weir recognises UTF-8,
        /// UTF-16 and UTF-32 by the first bytes; an object of another encoding is a dead letter. A
        /// byte order mark takes precedence over this key. weir writes UTF-8.
        #[serde(default)]
        encoding: Option<String>,
        /// Which lines of a log are one document, such as those of a stack trace. The keys are
        /// Vector's.
        #[serde(default)]
        multiline: Option<Multiline>,
        /// Key of a JSON document that holds its id, a JSON Pointer if it begins with `/`; or a
        /// table that says what weir does with ids, such as `{ hash = true }`. A document without
        /// an id gets one made of its position.
        #[serde(default)]
        id: Id,
        /// Follow symbolic links that lead out of the folder. weir always follows links that stay
        /// in it.
        #[serde(default)]
        follow_links: bool,
        /// Seconds between polls for new and changed objects. Unset: the job ends when every object
        /// is done. Objects must arrive whole: uploaded, or renamed into place.
        #[serde(default)]
        poll_secs: Option<NonZeroU64>,
    },
    /// Topics of Apache Kafka, read as a member of a consumer group. A worker runs until it is
    /// stopped.
    Kafka {
        /// `host:port` of some brokers, separated by commas.
        #[schemars(length(min = 1))]
        bootstrap_servers: String,
        /// Topics to read; one that begins with `^` is a regular expression.
        #[schemars(length(min = 1))]
        topics: Vec<String>,
        /// Consumer group.
        #[schemars(length(min = 1))]
        group_id: String,
        /// Protocol of the group: `classic` with cooperative-sticky assignment, or `consumer`
        /// (KIP-848), for which the broker assigns partitions and sets the session timeout.
        #[serde(default)]
        group_protocol: GroupProtocol,
        /// Name of this worker in the group (static membership): a restart within the session
        /// timeout moves no partition. Each worker needs its own, such as a StatefulSet's pod name.
        #[serde(default)]
        group_instance_id: Option<String>,
        /// Milliseconds after which the group takes a silent worker's partitions away.
        #[serde(default = "session_timeout_ms")]
        #[schemars(range(min = 1000, max = 3_600_000))]
        session_timeout_ms: u64,
        /// Where a group without committed offsets begins.
        #[serde(default)]
        auto_offset_reset: OffsetReset,
        /// Milliseconds between polls for new partitions, and for new topics that a regular
        /// expression matches.
        #[serde(default = "topic_metadata_refresh_interval_ms")]
        #[schemars(range(min = 1000, max = 3_600_000))]
        topic_metadata_refresh_interval_ms: u64,
        /// How weir reads a record.
        #[serde(default)]
        decode: Decode,
        /// Where weir finds the tenant of a document: `value`, `field`, `key`, `header`, or `path`
        /// for a part of the topic's name. Unset: the key `tenant` of a JSON document; if the
        /// document names none, the default tenant.
        #[serde(default)]
        tenant: Option<Tenant>,
        /// Where weir finds the id of a document: a `field` of a JSON document (default: `id`), the
        /// record's `key`, or a `header`; and what weir does with ids, such as `{ hash = true }`. A
        /// document without an id gets one made of its position.
        #[serde(default)]
        id: RecordId,
        /// How the worker logs in.
        #[serde(default)]
        sasl: Option<Sasl>,
        /// Encryption; `tls = {}` trusts the system's authorities.
        #[serde(default)]
        tls: Option<Tls>,
        /// Further options of the consumer, by librdkafka's names. weir refuses options that it
        /// sets itself, and options that would break its promises.
        #[serde(default)]
        librdkafka_options: BTreeMap<String, String>,
    },
    /// Standard input: one document per line. The job ends with the input.
    Stdin {
        /// Format of the input. Unset: `auto`.
        #[serde(default)]
        format: Option<LineFormat>,
        /// Encoding of the input, as for objects.
        #[serde(default)]
        encoding: Option<String>,
        /// Which lines are one document, such as those of a stack trace. The keys are Vector's.
        #[serde(default)]
        multiline: Option<Multiline>,
        /// Where weir finds the tenant of a document: `value` or `field`. Unset: the key `tenant`
        /// of a JSON document; if the document names none, the default tenant.
        #[serde(default)]
        tenant: Option<Tenant>,
        /// Key of a JSON document that holds its id, a JSON Pointer if it begins with `/`; or a
        /// table that says what weir does with ids, such as `{ hash = true }`.
        #[serde(default)]
        id: Id,
    },
}

/// Where weir finds the tenant of a document: exactly one of these.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tenant {
    /// The same tenant for every document.
    Value(#[schemars(length(min = 1))] String),
    /// A key of a JSON document; a JSON Pointer if it begins with `/`.
    Field(#[schemars(length(min = 1))] String),
    /// A column of a table.
    Column(#[schemars(length(min = 1))] String),
    /// A pattern of the object's path in which `{tenant}` stands for one folder or file name:
    /// `raw/{tenant}/**`. Of a topic's name: `logs.{tenant}`.
    Path(#[schemars(length(min = 1))] String),
    /// A pattern of the Kafka record's key in which `{tenant}` stands for the tenant: `{tenant}`,
    /// or `{tenant}/*`.
    Key(#[schemars(length(min = 1))] String),
    /// A header of the Kafka record.
    Header(#[schemars(length(min = 1))] String),
}

/// Where weir finds the id of a document, and what it does with it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Id {
    /// A key of a JSON document; a JSON Pointer if it begins with `/`.
    Field(#[schemars(length(min = 1))] String),
    /// A key, and what weir does with ids.
    Rules(DocumentId),
}

impl Default for Id {
    fn default() -> Self {
        Self::Field("id".to_owned())
    }
}

/// Where weir finds the id of a document, and what it does with it. An id is a value like any
/// other: unless `hash` or `keep` is set, the tenant's patterns and lists redact it. In dead
/// letters it is always hashed.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DocumentId {
    /// A key of a JSON document; a JSON Pointer if it begins with `/`. Unset: `id`.
    #[schemars(length(min = 1))]
    pub field: Option<String>,
    /// Records hold a keyed hash (HMAC-SHA256) of the id. Without `hash_key_file` or `hash_key_env` the
    /// key is random and ends with the process: hashes of two runs can't be joined.
    pub hash: bool,
    /// Ids are not values: records and dead letters hold them unchanged.
    pub keep: bool,
    /// File that holds the key of the hashes: 16 bytes or more.
    pub hash_key_file: Option<String>,
    /// Environment variable that holds the key of the hashes.
    pub hash_key_env: Option<String>,
}

/// Where weir finds the id of a record, and what it does with it: at most one of `field`, `key` and
/// `header`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecordId {
    /// A key of a JSON document; a JSON Pointer if it begins with `/`. Unset: `id`.
    #[schemars(length(min = 1))]
    pub field: Option<String>,
    /// A pattern of the record's key in which `{id}` stands for the id: `{id}`, or `*/{id}`.
    #[schemars(length(min = 1))]
    pub key: Option<String>,
    /// A header of the record.
    #[schemars(length(min = 1))]
    pub header: Option<String>,
    /// Records hold a keyed hash (HMAC-SHA256) of the id. Without `hash_key_file` or `hash_key_env` the
    /// key is random and ends with the process: hashes of two runs can't be joined.
    pub hash: bool,
    /// Ids are not values: records and dead letters hold them unchanged.
    pub keep: bool,
    /// File that holds the key of the hashes: 16 bytes or more.
    pub hash_key_file: Option<String>,
    /// Environment variable that holds the key of the hashes.
    pub hash_key_env: Option<String>,
}

/// Protocol of a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// Members agree on an assignment (cooperative-sticky).
    #[default]
    Classic,
    /// The broker assigns (KIP-848; Kafka 4.0 or newer).
    Consumer,
}

/// Where a group without committed offsets begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OffsetReset {
    /// With the oldest record.
    #[default]
    Earliest,
    /// With the records that are written after the group's first start. weir reads a partition or
    /// topic that is added later from its beginning.
    Latest,
}

/// How weir reads a record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Decode {
    /// Format of a record.
    pub codec: Codec,
    /// Registry of the schemas of Avro records.
    pub schema_registry: Option<SchemaRegistry>,
}

/// A schema registry that speaks Confluent's API.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaRegistry {
    /// Its address, such as `https://registry:8081`; or several, separated by commas, which weir
    /// tries in order.
    #[schemars(length(min = 1))]
    pub url: String,
    /// Name of the user, or of an API key, for basic authentication.
    #[serde(default)]
    pub username: Option<String>,
    /// File that holds the password.
    #[serde(default)]
    pub password_file: Option<String>,
    /// Environment variable that holds the password.
    #[serde(default)]
    pub password_env: Option<String>,
}

/// Format of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Codec {
    /// A JSON object.
    #[default]
    Json,
    /// Plain text.
    Text,
    /// Avro whose schema is in a registry, named by the prefix or the header of Confluent's
    /// serializers. weir reads the record as a JSON object.
    Avro,
}

/// How a client logs in to the brokers.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// Mechanism.
    pub mechanism: Mechanism,
    /// Name of the user; for all mechanisms except OAUTHBEARER.
    #[serde(default)]
    pub username: Option<String>,
    /// File that holds the password.
    #[serde(default)]
    pub password_file: Option<String>,
    /// Environment variable that holds the password.
    #[serde(default)]
    pub password_env: Option<String>,
    /// File that holds the token of OAUTHBEARER, a JWT; weir reads it again before it expires.
    #[serde(default)]
    pub token_file: Option<String>,
}

/// Mechanism of SASL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[allow(missing_docs)] // their names are the standard's
pub enum Mechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

/// Encryption between client and brokers.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// File of trusted authorities, PEM. Unset: the system's.
    pub ca_file: Option<String>,
    /// File of this client's certificate, PEM.
    pub certificate_file: Option<String>,
    /// File of this client's private key, PEM.
    pub key_file: Option<String>,
    /// File that holds the private key's password.
    pub key_password_file: Option<String>,
    /// Environment variable that holds the private key's password.
    pub key_password_env: Option<String>,
}

/// Columns of Parquet and Arrow files. All other columns pass through untouched.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// Columns that hold text to redact. A path chooses a part of a nested column: `customer.name`,
    /// `items[].note`, `attributes[].value` of a map. The name of a struct, list or map alone means
    /// every text in it. A column whose own name has a dot is chosen by that name; inside a path,
    /// put such a name in backticks.
    #[schemars(length(min = 1))]
    pub text: Vec<String>,
    /// Column that holds the id of the row. Unset: the column `id`; without it, weir makes the id
    /// of object and row.
    #[serde(default)]
    pub id: Option<String>,
    /// Column that names the tenant of the row; the same as `tenant = { column = … }`.
    #[serde(default)]
    pub tenant: Option<String>,
}

/// Format of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The whole file is one document.
    Text,
    /// Each line is a document: a JSON document if it is a JSON object, otherwise text.
    Auto,
    /// Each line is a document of plain text.
    Log,
    /// Each line is a JSON object.
    Jsonl,
    /// JSON objects: one in each line, several in a row, or those of a top-level array.
    Json,
    /// An Apache Parquet table.
    Parquet,
    /// An Arrow IPC file or stream.
    Arrow,
}

/// Format of standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineFormat {
    /// Each line is a document: a JSON document if it is a JSON object, otherwise text. weir reads
    /// JSON of several lines as `json` if the first line is `{` or `[`.
    Auto,
    /// Each line is a document of plain text.
    Log,
    /// Each line is a JSON object.
    Jsonl,
    /// JSON objects: one in each line, several in a row, or those of a top-level array.
    Json,
}

/// Which lines are one document. Each other line is its own document.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Multiline {
    /// Regular expression of a line that begins a document: `^\d{4}-`, or `^\[`.
    #[schemars(length(min = 1))]
    pub start_pattern: String,
    /// Regular expression that decides, together with `mode`, where a document ends. Unset:
    /// `start_pattern`.
    #[serde(default)]
    pub condition_pattern: Option<String>,
    /// What a line that matches `condition_pattern` means.
    #[serde(default)]
    pub mode: MultilineMode,
    /// Milliseconds after which a document of standard input ends if no further line arrives.
    #[serde(default = "multiline_timeout_ms")]
    pub timeout_ms: NonZeroU64,
}

/// What a line that matches the condition means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MultilineMode {
    /// The document continues while lines match.
    ContinueThrough,
    /// The document continues while lines match, and includes one line more.
    ContinuePast,
    /// The document ends before the first line that matches.
    #[default]
    HaltBefore,
    /// The document ends with the first line that matches.
    HaltWith,
}

fn multiline_timeout_ms() -> NonZeroU64 {
    NonZeroU64::new(1000).expect("not zero") // long for a program that writes a stack trace
}

fn everything() -> Vec<String> {
    vec!["**".to_owned()]
}

fn topic_metadata_refresh_interval_ms() -> u64 {
    30_000 // librdkafka's is 300,000: records of a new partition would wait for five minutes
}

fn session_timeout_ms() -> u64 {
    45_000 // librdkafka's and Kafka's own default since 3.0 (KIP-735)
}
