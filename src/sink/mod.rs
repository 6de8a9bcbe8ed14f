//! Where records go: local files and object stores, standard output.
//!
//! In:  what the pipeline made of one source object, in order.
//! Out: entity, redaction and dead-letter files, visible only as a whole.
//! Holds: names are a function of source object, version and configuration digest; nothing is
//!        half written; two workers never publish the same object twice.
//! Does not know: models, policies, texts as received.
//!
//! A [`Ledger`] hands out one [`Claim`] for each source object; a claim has one [`Output`], which
//! writes files that are not visible before [`Output::commit`].
//!
//! Where the source is a topic, there are no objects to claim: what is gathered of a partition, a
//! [`FileSet`], is committed by the next record of the partition's chain ([`chain`]).
#[cfg(feature = "kafka")]
pub mod calls;
#[cfg(feature = "kafka")]
pub mod chain;
#[cfg(feature = "kafka")]
mod files;
#[cfg(feature = "kafka")]
pub mod kafka;
mod ledger;
#[cfg(feature = "tables")]
mod metadata;
mod output;
#[cfg(feature = "kafka")]
pub mod record_size;
mod stdout;
#[cfg(feature = "tables")]
mod table;
#[cfg(not(feature = "tables"))]
#[path = "no_table.rs"]
mod table;
mod writer;

use std::borrow::Cow;

use crate::record::{Change, Entities, Entity};

#[cfg(feature = "kafka")]
pub use files::{FileSet, Sealed};
pub use ledger::{Claim, Claimed, Ledger};
pub use output::{Committed, Output, StreamOutput, StreamStart, unwritable};
pub use stdout::Printer;

/// A processed document on its way out.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its entities.
    pub entities: Entities,
    /// Its redaction.
    pub redacted: Redacted,
    /// What was transformed: [`Redacted`] may hold it too.
    pub changes: Vec<Change>,
    /// How often each operator was used on it.
    pub operators: std::collections::BTreeMap<String, u64>,
}

impl Done {
    /// Bytes that it takes in memory.
    pub fn held(&self) -> u64 {
        let mut bytes = size_of::<Self>() + self.redacted.len();
        for entity in &self.entities.entities {
            let text = entity.text.as_ref().map_or(0, |text| in_memory(text));
            let strings = [&entity.label, &entity.field, &entity.recognizer];
            bytes += size_of::<Entity>() + strings.map(|own| in_memory(own)).iter().sum::<usize>();
            bytes += text;
        }
        for change in &self.changes {
            let key = change.key_id.as_ref().map_or(0, |key| in_memory(key));
            let strings = [&change.label, &change.field, &change.operator];
            bytes += size_of::<Change>() + strings.map(|own| in_memory(own)).iter().sum::<usize>();
            bytes += key;
        }
        bytes as u64
    }
}

/// A string on the heap: the allocator gives 16 bytes at a time, and keeps 8 for itself.
pub(crate) fn in_memory(text: &str) -> usize {
    (text.len() + 8).next_multiple_of(16).max(32)
}

/// A redacted document in the shape it came in.
#[derive(Clone)]
pub enum Redacted {
    /// One JSON object, without a line end: a JSON document with `redactions` beside its keys, or
    /// a [`crate::record::Redaction`].
    Record(Vec<u8>),
    /// Redacted text of a log line, JSON or not, or of a text, without the end of its last line
    /// (`formats.redactions = "text"`).
    Text(String),
    /// Cells of the text columns of a table row, in the order of the document's body.
    Row(Vec<Option<String>>),
}

impl Redacted {
    /// Bytes of it.
    fn len(&self) -> usize {
        match self {
            Self::Record(record) => record.len(),
            Self::Text(text) => text.len(),
            Self::Row(cells) => cells.iter().flatten().map(String::len).sum(),
        }
    }

    /// As one record: a JSON object, a text, or a JSON array of cells.
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Record(record) => record.into(),
            Self::Text(text) => text.as_bytes().into(),
            Self::Row(cells) => serde_json::to_vec(cells).expect("cells are JSON").into(),
        }
    }
}

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Record(record) => write!(f, "Record({} bytes)", record.len()),
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Row(cells) => write!(f, "Row({} cells)", cells.len()),
        }
    }
}

/// A line end in JSON stands between values, where a space does as well.
fn on_one_line(record: &[u8]) -> Vec<u8> {
    let spaced = record.iter().map(|byte| match byte {
        b'\n' | b'\r' => b' ',
        byte => *byte,
    });
    spaced.collect()
}

/// How records are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Formats {
    /// Redactions.
    pub redactions: Redactions,
    /// Entities as Parquet instead of JSON lines.
    pub entities_as_parquet: bool,
    /// Compression of JSON lines and text.
    pub compression: Option<crate::source::Compression>,
}

/// Format of redactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redactions {
    /// A table for a table, JSON lines for everything else.
    Auto,
    /// JSON lines, also for tables.
    JsonLines,
    /// Parquet, also for text and JSON, with the record in a column.
    Parquet,
    /// Text lines for text and log lines; otherwise as `Auto`.
    Text,
}

/// Why records could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The place can't be opened.
    #[error(transparent)]
    Place(#[from] crate::source::Error),
    /// The sink lies where the source reads.
    #[error("the sink {sink} lies where the source reads: what is written would be read again")]
    Loop {
        /// The sink's URL.
        sink: String,
    },
    /// The store refused.
    #[error("{at} cannot be written")]
    Store {
        /// The object.
        at: String,
        /// Why, after the retries of object_store.
        source: object_store::Error,
    },
    /// Writing failed on the way to the store.
    #[error("{at} cannot be written")]
    Write {
        /// The object, or what was written.
        at: String,
        /// Why.
        source: std::io::Error,
    },
    /// A table can't be written.
    #[error("{at} cannot be written as a table ({problem})")]
    Table {
        /// The object.
        at: String,
        /// Kind of the problem and the column: never the library's message, which may hold a value.
        problem: String,
    },
    /// A commit record can't be used.
    #[error("the commit record {at} can't be used ({problem})")]
    Record {
        /// Where it is.
        at: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More is committed of a partition than it holds.
    #[error("{topic}/{partition} ends at offset {end}, but it is committed up to {next}")]
    Shorter {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Its end.
        end: i64,
        /// The end of what is committed.
        next: i64,
    },
    /// Another worker took the object over while this one was silent.
    #[error("{object} was taken over by another worker")]
    Lost {
        /// The source object.
        object: String,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let full = |kind| {
            kind == std::io::ErrorKind::StorageFull || kind == std::io::ErrorKind::QuotaExceeded
        };
        Some(match self {
            Self::Place(error) => return error.hint(),
            Self::Loop { .. } => {
                "write to another folder, or leave it out with source.exclude".to_owned()
            }
            _ if self.io_kind().is_some_and(full) => {
                "the disk is full: make room and run again; what is committed stays".to_owned()
            }
            Self::Record { .. } => {
                "use the version of weir that wrote it, or write to another sink.url".to_owned()
            }
            Self::Shorter { .. } => {
                "if the topic was made anew, write to another sink.url or read as another \
                 source.group_id"
                    .to_owned()
            }
            Self::Store { .. } | Self::Write { .. } => {
                "check that the sink may be written, then run again; what is committed stays"
                    .to_owned()
            }
            _ => return None,
        })
    }

    /// Kind of the I/O error at the bottom.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<std::io::Error>()
                && io.get_ref().is_none()
            {
                return Some(io.kind());
            }
            cause = match error
                .downcast_ref::<std::io::Error>()
                .and_then(std::io::Error::get_ref)
            {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }
}
