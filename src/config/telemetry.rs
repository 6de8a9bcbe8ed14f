//! `[telemetry]`: logs, metrics and health.

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
