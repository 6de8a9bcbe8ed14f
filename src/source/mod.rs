//! Where documents come from: local files and object stores, standard input.
//!
//! In:  a URL and patterns; objects in `.txt`, `.log`, `.jsonl`, `.parquet`, `.arrow`, plain, gzip or zstd.
//! Out: [`Unit`]s in the order of the object, each with its position.
//! Holds: nothing is skipped in silence: what can't be read is a dead letter (I1, I6); memory is
//!        bounded by the largest record allowed (I9).
//! Does not know: policies, models, outputs.

use std::pin::Pin;

use arrow::array::RecordBatch;
use tokio::io::AsyncRead;

use crate::record::{DeadLetter, Document, Position};

/// What a reader yields, in the order of its object.
pub enum Unit {
    /// A document.
    Document(Document),
    /// A record that could not be read as a document.
    Rejected(DeadLetter),
    /// A batch of table rows.
    Table(Table),
    /// A whole text file, read piece by piece: it may be larger than memory.
    Stream(Stream),
}

/// Rows of a Parquet or Arrow file.
pub struct Table {
    /// The rows as received: untouched columns are copied from here.
    pub batch: RecordBatch,
    /// One for each row, in row order; its body is [`crate::record::Body::Row`].
    pub documents: Vec<Result<Document, DeadLetter>>,
}

/// A text of any length. Read to its end before the next unit is asked for.
pub struct Stream {
    /// Id of the document.
    pub id: String,
    /// Tenant, if the configuration names one.
    pub tenant: Option<String>,
    /// The object.
    pub position: Position,
    /// Its bytes, decompressed, not yet checked for UTF-8.
    pub reader: Pin<Box<dyn AsyncRead + Send>>,
}
