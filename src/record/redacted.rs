//! A document after processing, in the shapes that sinks take.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Change, Entities};

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
    pub operators: BTreeMap<String, u64>,
}

/// A redacted document in the shape it came in.
#[derive(Clone)]
pub enum Redacted {
    /// One JSON object, without a line end: a JSON document with `redactions` beside its keys, or
    /// a [`Redaction`](super::Redaction).
    Record(Vec<u8>),
    /// Redacted text of a log line, JSON or not, or of a text, without the end of its last line
    /// (`formats.redactions = "text"`).
    Text(String),
    /// Cells of the text columns of a table row, in the order of the document's body.
    Row(Vec<Option<String>>),
}

impl Redacted {
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

/// The form in which redacted documents go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlainText {
    /// As a [`Redaction`](super::Redaction) record, with offsets and digests beside the text.
    Record,
    /// As the text alone.
    Text,
    /// As the text alone, and a JSON document without members of ours: what was transformed stands
    /// in [`Done::changes`], for codecs that keep it apart.
    Apart,
}
