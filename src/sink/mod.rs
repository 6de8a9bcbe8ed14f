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
pub mod chain;
#[cfg(feature = "kafka")]
mod files;
#[cfg(feature = "kafka")]
pub mod kafka;
mod ledger;
#[cfg(feature = "tables")]
mod metadata;
mod output;
mod stdout;
mod stream;
mod summed;
#[cfg(feature = "tables")]
mod table;
#[cfg(not(feature = "tables"))]
#[path = "no_table.rs"]
mod table;
mod trail;
mod writer;

#[cfg(feature = "kafka")]
pub use files::{FileSet, Sealed};
pub use ledger::{Claim, Claimed, Ledger};
pub use output::{Committed, Output, unwritable};
pub use stdout::Printer;
pub use stream::{StreamOutput, StreamStart};

use crate::store;

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
    pub compression: Option<store::Compression>,
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
    Place(#[from] store::Error),
    /// The sink lies where the source reads.
    #[error("the sink {sink} is inside the source: the next run would read its own output")]
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
    #[error("can't use the commit record {at} ({problem})")]
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
                "the disk is full: free some space and run again; committed output stays".to_owned()
            }
            Self::Record { .. } => {
                "use the version of weir that wrote it, or write to another sink.url".to_owned()
            }
            Self::Shorter { .. } => {
                "if the topic was created again, write to another sink.url or read as another \
                 source.group_id"
                    .to_owned()
            }
            Self::Store { .. } | Self::Write { .. } => {
                "check that weir may write to the sink, then run again; committed output stays"
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
