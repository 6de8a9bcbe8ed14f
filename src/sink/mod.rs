//! Where records go: local files and object stores, standard output.
//!
//! In:  what the pipeline made of one source object, in order.
//! Out: entity, redaction and dead-letter files, visible only as a whole.
//! Holds: names are a function of source object, version and configuration digest; nothing is
//!        half written; two workers never publish the same object twice.
//! Does not know: models, policies, texts as received.

use crate::record::Entities;

/// A processed document on its way out.
pub struct Done {
    /// Its entities.
    pub entities: Entities,
    /// Its redaction.
    pub redacted: Redacted,
}

/// A redacted document in the shape it came in.
pub enum Redacted {
    /// One JSON object, without a line end: a JSON document with `redactions` beside its keys, or
    /// a [`crate::record::Redaction`].
    Record(Vec<u8>),
    /// Redacted text of a log line or text, without a line end (`formats.redactions = "text"`).
    Text(String),
    /// Cells of the text columns of a table row, in the order of the document's body.
    Row(Vec<Option<String>>),
}
