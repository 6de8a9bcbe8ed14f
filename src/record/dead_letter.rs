use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Position;

/// A record that could not be processed: its text did not go downstream (I6). Holds where it is
/// and why, never what it says (I7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeadLetter {
    /// Where the record is.
    pub source: Position,
    /// Tenant, if it was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Document id, if it was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// Stage that gave up.
    pub stage: Stage,
    /// Stable code.
    pub code: Code,
    /// One line for people, made of counts and names from configuration, never of the record.
    pub reason: String,
    /// Attempts made.
    pub attempts: u32,
}

/// The stage of the pipeline at which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Stage {
    Source,
    Tenant,
    Text,
    Model,
    Decode,
    Redact,
    Sink,
}

/// Why a record became a dead letter: a small fixed set, also the metric label.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The record is not a JSON object.
    NotJson,
    /// The record is not valid UTF-8, or not valid in the encoding of its object.
    NotUtf8,
    /// The object or record is binary data, or text of an encoding that weir does not recognise or
    /// that differs from the configured one.
    UnknownEncoding,
    /// The object is compressed in a format that weir does not read.
    Compressed,
    /// The record is not an Avro message of the schema that it names.
    NotAvro,
    /// The schema registry does not know the schema that the record names.
    UnknownSchema,
    /// The record is larger than `limits.max_record_bytes`.
    TooLarge,
    /// The compressed object is truncated, or its checksum is wrong.
    Truncated,
    /// The table file can't be read.
    Corrupt,
    /// A configured column is missing from the table, or is not text.
    MissingColumn,
    /// The configuration names a place for the text, and the record has no text in it.
    MissingText,
    /// No policy for this tenant, and no default tenant.
    UnknownTenant,
    /// The model failed on this record.
    ModelFailed,
    /// An operator failed on this record (for example a key is missing).
    RedactFailed,
    /// The code panicked on this record.
    Panicked,
    /// The object was replaced while it was being read.
    Changed,
    /// The output's format cannot represent the redacted record, or the object's columns.
    Unwritable,
}

impl Stage {
    /// As in metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Tenant => "tenant",
            Self::Text => "text",
            Self::Model => "model",
            Self::Decode => "decode",
            Self::Redact => "redact",
            Self::Sink => "sink",
        }
    }
}

impl Code {
    /// As in metrics and records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotUtf8 => "not_utf8",
            Self::UnknownEncoding => "unknown_encoding",
            Self::Compressed => "compressed",
            Self::NotAvro => "not_avro",
            Self::UnknownSchema => "unknown_schema",
            Self::TooLarge => "too_large",
            Self::Truncated => "truncated",
            Self::Corrupt => "corrupt",
            Self::MissingColumn => "missing_column",
            Self::MissingText => "missing_text",
            Self::UnknownTenant => "unknown_tenant",
            Self::ModelFailed => "model_failed",
            Self::RedactFailed => "redact_failed",
            Self::Panicked => "panicked",
            Self::Changed => "changed",
            Self::Unwritable => "unwritable",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
