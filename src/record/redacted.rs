//! A document after processing, in the shapes that sinks take.

use std::{borrow::Cow, collections::BTreeMap};

use super::{Change, Entities, Entity};

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
    /// a [`Redaction`](super::Redaction).
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
