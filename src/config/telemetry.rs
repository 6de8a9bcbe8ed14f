//! `[telemetry]`: logs, metrics and health.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logs, metrics and health.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Telemetry")]
pub struct Section {
    /// Address for `/metrics`, `/livez` and `/readyz`, such as `127.0.0.1:9464` (OpenTelemetry's
    /// Prometheus port). Unset: weir opens no listener.
    pub listen: Option<String>,
    /// Format of the log on standard error.
    pub log_format: LogFormat,
    /// Lowest level that weir logs.
    pub log_level: LogLevel,
    /// The OpenTelemetry collector that `weir run` sends to. Unset: the one that `OTEL_EXPORTER_OTLP_ENDPOINT` names;
    /// without it, weir sends nothing and starts no thread for it.
    pub otlp: Option<Otlp>,
    /// Traces to the collector.
    pub traces: Traces,
    /// Metrics to the collector.
    pub metrics: Metrics,
    /// Log lines to the collector.
    pub logs: Logs,
    /// Attributes of what is sent, such as `"deployment.environment.name" = "prod"`. They win over
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource: BTreeMap<String, String>,
}

/// A collector that takes OTLP over HTTP (protobuf). gRPC is not spoken.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Otlp {
    /// Its address, such as `http://collector:4318`; weir adds `/v1/traces`, `/v1/metrics` and `/v1/logs`. Unset: as
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` says.
    #[schemars(length(min = 1))]
    pub endpoint: Option<String>,
    /// File of headers that are sent with each request, such as a token: one `name=value` per line.
    pub headers_file: Option<String>,
    /// Encryption of an `https` address.
    pub tls: OtlpTls,
    /// Longest time in seconds for one request, with its retries. Unset: as `OTEL_EXPORTER_OTLP_TIMEOUT` says, or 10.
    #[schemars(range(min = 1, max = 600))]
    pub timeout_secs: Option<u32>,
    /// Compression of requests. Unset: as `OTEL_EXPORTER_OTLP_COMPRESSION` says, or gzip.
    pub compression: Option<OtlpCompression>,
}

/// Encryption between weir and the collector.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpTls {
    /// File of trusted authorities, PEM. Unset: as `OTEL_EXPORTER_OTLP_CERTIFICATE` says, or the system's.
    pub ca_file: Option<String>,
    /// File of weir's certificate, PEM. Unset: as `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` says.
    pub certificate_file: Option<String>,
    /// File of weir's private key, PEM. Unset: as `OTEL_EXPORTER_OTLP_CLIENT_KEY` says.
    pub key_file: Option<String>,
}

/// Compression of requests to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OtlpCompression {
    /// gzip.
    Gzip,
    /// None.
    None,
}

/// Traces.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Which records of a topic have a span of their own.
    pub documents: DocumentSpans,
    /// What the span of a record belongs to.
    pub parent: Parent,
}

/// Which records have a span of their own. Transactions, sets of files and objects always have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentSpans {
    /// Those whose header `traceparent` says that their producer's trace is sampled.
    #[default]
    Sampled,
    /// All, as far as the sampler (`OTEL_TRACES_SAMPLER`) takes them.
    All,
    /// None.
    None,
}

/// What the span of a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parent {
    /// The trace of the record's producer.
    #[default]
    Remote,
    /// A trace of its own that links the producer's.
    Link,
}

/// Metrics to the collector, in addition to `/metrics`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Whether they are sent.
    pub push: bool,
    /// Seconds between two times. `OTEL_METRIC_EXPORT_INTERVAL` (in milliseconds) wins if this is unset; without both
    /// it is 60.
    #[schemars(range(min = 1, max = 3600))]
    pub interval_secs: Option<u32>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            push: true,
            interval_secs: None,
        }
    }
}

/// Log lines to the collector; they stay on standard error too.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// Whether they are sent. A line that repeats is sent once in ten seconds, with a count.
    pub push: bool,
}

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, otherwise JSON.
    #[default]
    Auto,
    /// A line of text for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Level of a log line.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// Also what may fail soon, such as dead letters.
    Warn,
    /// Also what happens.
    #[default]
    Info,
    /// Also why it happens.
    Debug,
    /// Everything.
    Trace,
}
