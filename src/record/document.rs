use super::{Position, Text};

/// A document as read from a source: not yet routed to a policy.
#[derive(Debug, Clone)]
pub struct Document {
    /// Id from the record, or made from its position.
    pub id: String,
    /// Tenant named by the record or by the source's configuration; `None` means the default one.
    pub tenant: Option<String>,
    /// Where it came from.
    pub position: Position,
    /// What it holds.
    pub body: Body,
}

/// The shape a document came in, which is the shape its redaction goes out in.
#[derive(Debug, Clone)]
pub enum Body {
    /// A log line or a text file: one field named `text`.
    Text(Text),
    /// A JSON object, as received, byte for byte. Its text fields are selected by the policy.
    Json(Text),
    /// Text cells of a table row, with their column names; a null cell is `None`.
    Row(Vec<(std::sync::Arc<str>, Option<Text>)>),
}

impl Body {
    /// Bytes of text.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) | Self::Json(text) => text.len() as u64,
            Self::Row(cells) => cells
                .iter()
                .flat_map(|(_, text)| text)
                .map(|text| text.len() as u64)
                .sum(),
        }
    }
}
