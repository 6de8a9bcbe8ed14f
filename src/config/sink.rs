//! `[sink]`: where records go.

use std::{collections::BTreeMap, num::NonZeroU64};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where records go.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Sink")]
pub enum Section {
    /// Files below a folder or prefix: `entities/`, `redactions/`, `dead_letters/` and `_weir/`.
    ObjectStore {
        /// Folder or prefix to write below; not the source's own. A relative path in the file is
        /// relative to the file's folder.
        #[schemars(length(min = 1))]
        url: String,
        /// Options of the store, as in `[source]`.
        #[serde(default)]
        options: BTreeMap<String, String>,
        /// Formats of the records.
        #[serde(default)]
        formats: Formats,
        /// Compression of JSON lines and text; Parquet is always compressed inside.
        #[serde(default)]
        compression: Compression,
        /// Seconds after which another worker may take over an object whose worker fell silent.
        /// Shorter: quicker recovery. Longer: fewer objects read twice when a worker stalls.
        #[serde(default = "lease_secs")]
        lease_secs: NonZeroU64,
    },
    /// Standard output. Dead letters go to standard error.
    Stdout {
        /// Which records are printed.
        #[serde(default)]
        records: Printed,
        /// How redactions are printed.
        #[serde(default)]
        format: PrintFormat,
    },
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
    /// Redacted text alone, a line for a line; for text and log input.
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

/// How redactions are printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrintFormat {
    /// Text for a text document, JSON for a JSON document.
    #[default]
    Auto,
    /// Always JSON.
    Jsonl,
}

fn lease_secs() -> NonZeroU64 {
    // Longer than the slowest single upload seen; a lease is renewed every third of it.
    NonZeroU64::new(60).expect("60 is not zero")
}
