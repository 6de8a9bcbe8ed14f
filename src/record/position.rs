use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a document came from: enough to read it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Position {
    /// A record of an object in a store or of a local file.
    Object {
        /// Path of the object below the source's URL.
        object: String,
        /// ETag or version of the object, or its size and time for a local file.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<String>,
        /// Line (`.log`, `.jsonl`) or row (`.parquet`, `.arrow`), from 0. Absent for a whole file.
        #[serde(skip_serializing_if = "Option::is_none")]
        record: Option<u64>,
    },
    /// A record of a Kafka topic.
    Kafka {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Offset.
        offset: i64,
    },
    /// A line of standard input, from 0.
    Stdin {
        /// Line, from 0.
        line: u64,
    },
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object {
                object,
                record: Some(record),
                ..
            } => write!(f, "{object}:{record}"),
            Self::Object { object, .. } => f.write_str(object),
            Self::Kafka {
                topic,
                partition,
                offset,
            } => write!(f, "{topic}/{partition}/{offset}"),
            Self::Stdin { line } => write!(f, "stdin:{line}"),
        }
    }
}
