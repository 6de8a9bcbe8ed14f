//! `[telemetry]`: logs, metrics and health.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Logs, metrics and health.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Telemetry")]
pub struct Section {
    /// Address for `/metrics`, `/livez` and `/readyz`, such as `127.0.0.1:9464`
    /// (OpenTelemetry's Prometheus port). Unset: none is opened.
    pub listen: Option<String>,
    /// Format of the log on standard error.
    pub log_format: LogFormat,
    /// Least level that is logged.
    pub log_level: LogLevel,
}

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    #[default]
    Auto,
    /// A line of text for people.
    Text,
    /// A JSON object a line.
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
    /// And what may fail soon, such as dead letters.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And why it happens.
    Debug,
    /// Everything.
    Trace,
}
