//! Where documents come from: local files and object stores, topics of Kafka, standard input.
//!
//! In:  a URL and patterns; objects in `.txt`, `.log`, `.jsonl`, `.json`, `.parquet`, `.arrow`, plain, gzip
//!      or zstd, in an encoding that weir recognises or the configuration names.
//! Out: [`Unit`]s in the order of the object, each with its position.
//! Holds: nothing is skipped silently: a record that can't be read is a dead letter (I1, I6); memory is
//!        bounded by the largest record allowed (I9).
//! Does not know: policies, models, outputs.
//!
//! [`Objects::open`] → [`Objects::list`] → for each [`Object`] a [`Reader`], which yields units
//! until `None`. A store that does not answer is an [`Error`]; an object or record that is not what
//! it should be is a [`Unit::Rejected`].
#[cfg(feature = "tables")]
mod arrow_file;
#[cfg(feature = "tables")]
mod columns;
mod documents;
mod encoding;
mod error;
mod failure;
mod folder;
mod identity;
mod json_values;
#[cfg(feature = "kafka")]
pub mod kafka;
mod key_block;
mod lines;
mod objects;
#[cfg(feature = "tables")]
mod parquet_file;
mod reader;
#[cfg(feature = "tables")]
mod table;
#[cfg(not(feature = "tables"))]
#[path = "no_table.rs"]
mod table;
mod transcoded;
#[cfg(feature = "tables")]
mod unpacked;

use std::pin::Pin;

use tokio::io::AsyncRead;

pub use encoding::Encoding;
pub use error::Error;
pub use failure::{ReadFailure, read_failure};
pub use folder::{Reason, Unlisted};
pub use identity::TenantFrom;
pub use lines::{Mode, Multiline};
pub use objects::{Listing, Object, Objects};
pub use reader::{Around, Reader, Report};
pub use table::Table;
#[cfg(feature = "tables")]
pub use table::{Layout, TableFormat};

use crate::{
    record::{DeadLetter, Document, DocumentId, IdRules, Position},
    store::{self, Format},
};

/// What to read.
#[derive(Debug, Clone)]
pub struct Options {
    /// `s3://`, `gs://`, `az://`, `abfss://`, `file://`, a folder, or one file.
    pub url: String,
    /// Options of the store.
    pub options: store::Options,
    /// Globs on the path below the URL; `*` stays within a segment. None: everything.
    pub include: Vec<String>,
    /// Globs of what is left out.
    pub exclude: Vec<String>,
    /// Whether symbolic links that lead out of a local folder are followed.
    pub follow_links: bool,
    /// Format of every object; by extension unless given.
    pub format: Option<Format>,
    /// Encoding of everything but tables, unless a byte order mark names another one. `None`: UTF-8,
    /// UTF-16 or UTF-32, as the first bytes tell.
    pub encoding: Option<Encoding>,
    /// Lines that are one document, in formats of lines of text.
    pub multiline: Option<Multiline>,
    /// Where a document's tenant stands.
    pub tenant: TenantFrom,
    /// JSON Pointer of a document's id; `/id` unless given.
    pub id: Option<String>,
    /// How ids are treated.
    pub ids: IdRules,
    /// Columns of tables.
    pub columns: Columns,
    /// Largest line or cell. A longer one is a dead letter `too_large`; `.txt` has no limit.
    pub max_record_bytes: u64,
}

/// Columns of Parquet and Arrow files.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Columns that hold text; `text` if there are none.
    pub text: Vec<String>,
    /// Column that holds the id, of strings or integers; `id` is used if it is there.
    pub id: Option<String>,
    /// Column that holds the tenant; `tenant` is used if it is there.
    pub tenant: Option<String>,
}

/// What a record may have at most unless configured: far above a log line or a mail, and small
/// enough that a few hundred in flight fit into memory.
pub const MAX_RECORD_BYTES: u64 = 16 << 20;

impl Default for Options {
    fn default() -> Self {
        Self {
            url: String::new(),
            options: store::Options::default(),
            include: Vec::new(),
            exclude: Vec::new(),
            follow_links: false,
            format: None,
            encoding: None,
            multiline: None,
            tenant: TenantFrom::default(),
            id: None,
            ids: IdRules::default(),
            columns: Columns::default(),
            max_record_bytes: MAX_RECORD_BYTES,
        }
    }
}

/// What a reader yields, in the order of its object.
#[derive(Debug)]
pub enum Unit {
    /// A document.
    Document(Document),
    /// A record, or the rest of an object, that could not be read as documents.
    Rejected(DeadLetter),
    /// A batch of table rows.
    Table(Table),
    /// A whole text file, read piece by piece: it may be larger than memory.
    Stream(Stream),
}

/// A text of any length. Read to its end before the next unit is asked for.
pub struct Stream {
    /// Id of the document.
    pub id: DocumentId,
    /// Tenant, if the configuration names one.
    pub tenant: Option<String>,
    /// The object.
    pub position: Position,
    /// Its bytes in UTF-8, decompressed, not yet checked. [`read_failure`] tells what an error
    /// of it means.
    pub reader: Pin<Box<dyn AsyncRead + Send>>,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({})", self.position)
    }
}
