use std::borrow::Cow;

use super::{DocumentId, Position, Text};

/// A document as read from a source: not yet routed to a policy. Its `Debug` shows no id and no
/// tenant: both are the record's words.
#[derive(Clone)]
pub struct Document {
    /// Id from the record, or made from its position.
    pub id: DocumentId,
    /// Tenant named by the record or by the source's configuration; `None` means the default one.
    pub tenant: Option<String>,
    /// Where it came from.
    pub position: Position,
    /// What it holds.
    pub body: Body,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Document")
            .field("position", &self.position)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// The shape a document came in, which is the shape its redaction goes out in.
#[derive(Debug, Clone)]
pub enum Body {
    /// A log line or a text file: one field named `text`.
    Text(Text),
    /// A JSON object, as received, byte for byte. Its text fields are selected by the policy.
    Json(Text),
    /// A line of a log that is a JSON object: read as one, and looked over as text too, so that what
    /// is found in a text line is found in it. Among other lines it keeps its own shape.
    JsonLine(Text),
    /// Text cells of a table row, with their column names; a null cell is `None`.
    Row(Vec<(std::sync::Arc<str>, Option<Text>)>),
}

impl Body {
    /// What its digest in audit records is of: the text, or the cells of a row as a JSON array.
    pub(crate) fn digested(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Text(text) | Self::Json(text) | Self::JsonLine(text) => text.as_bytes().into(),
            Self::Row(cells) => {
                let cells: Vec<Option<&str>> =
                    cells.iter().map(|(_, text)| text.as_deref()).collect();
                serde_json::to_vec(&cells).expect("cells are JSON").into()
            }
        }
    }

    /// Bytes of text.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) | Self::Json(text) | Self::JsonLine(text) => text.len() as u64,
            Self::Row(cells) => cells
                .iter()
                .flat_map(|(_, text)| text)
                .map(|text| text.len() as u64)
                .sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_record() {
        let document = Document {
            id: "id of ana@mail.example".into(),
            tenant: Some("tenant of ana@mail.example".to_owned()),
            position: Position::Object {
                object: "in/a.jsonl".to_owned(),
                version: None,
                record: Some(3),
            },
            body: Body::Row(vec![(
                "note".into(),
                Some(Text::from("text of ana@mail.example")),
            )]),
        };
        let shown = format!("{document:?}");
        assert!(
            shown.contains("in/a.jsonl") && !shown.contains("ana@"),
            "{shown}"
        );
    }
}
