//! `[limits]`: bounds that end a job or refuse a record.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bounds that end a job or refuse a record. weir truncates nothing silently: a record that exceeds
/// a bound becomes a dead letter.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Limits")]
pub struct Section {
    /// Maximum number of dead letters; when it is exceeded, the job stops with exit code 65. Unset:
    /// no limit.
    pub max_dead_letters: Option<u64>,
    /// Maximum bytes of one record (a line, a row's cell); a larger record becomes a dead letter
    /// with code `too_large`. weir reads whole text files in pieces; they have no limit.
    #[schemars(range(min = 1024))]
    pub max_record_bytes: u64,
    /// Maximum bytes of documents between source and sink; at the bound the source waits.
    #[schemars(range(min = 1024))]
    pub max_in_flight_bytes: u64,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            max_dead_letters: None,
            // Above every record of the sample data by far, and small enough that a few of them
            // fit into max_in_flight_bytes.
            max_record_bytes: 16 * 1024 * 1024,
            max_in_flight_bytes: 256 * 1024 * 1024,
        }
    }
}
