use std::{fmt, sync::Arc};

use crate::text::ByteSpan;

/// An entity found in one field. Holds no text.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Where it stands in the text as received.
    pub bytes: ByteSpan,
    /// Label as the tenant named it, or the pattern's label.
    pub label: Arc<str>,
    /// Calibrated probability that an asked label is right here; 1 for patterns and lists.
    pub score: f32,
    /// Calibrated probability that this label is the right one; 1 for patterns and lists.
    pub label_score: f32,
    /// Who found it.
    pub recognizer: Recognizer,
}

/// Who found a span.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Recognizer {
    /// The model.
    Model,
    /// A pattern recogniser or a tenant's regex, by name.
    Pattern(Arc<str>),
    /// The tenant's deny list.
    Deny,
}

impl fmt::Display for Recognizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("model"),
            Self::Pattern(name) => write!(f, "pattern:{name}"),
            Self::Deny => f.write_str("pattern:deny"),
        }
    }
}
