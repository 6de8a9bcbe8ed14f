use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Position;

/// What produced a record: the same input and digests give the same output (I10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Digests {
    /// Digest of the model pack.
    pub pack: String,
    /// Digest of the tenant's labels, descriptions and thresholds.
    pub label_set: String,
    /// Digest of the tenant's whole policy.
    pub policy: String,
    /// Version of weir.
    pub weir_version: String,
}

impl Digests {
    /// Digits of a digest in the records that go downstream: enough to know equal work. Audit records have all 64.
    pub const SHORT: usize = 16;
}

/// The entities of one document: one record for every document, also when it holds none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entities {
    /// Id of the document.
    pub document_id: String,
    /// Tenant whose policy was used.
    pub tenant: String,
    /// Where the document came from.
    pub source: Position,
    /// In order of field and offset; never overlapping within a field.
    pub entities: Vec<Entity>,
    /// What produced this record.
    #[serde(flatten)]
    pub digests: Digests,
    /// Tokens of the document's fields (halo not counted).
    pub tokens: u64,
    /// Windows the document was cut into.
    pub windows: u64,
}

/// One entity. Offsets are of the field's value as received; ends are exclusive.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Entity {
    /// Label as the tenant named it, or the pattern's label.
    pub label: String,
    /// JSON Pointer, column name, or `text`.
    pub field: String,
    /// First code point.
    pub start: u64,
    /// Code point after the last.
    pub end: u64,
    /// First byte (UTF-8).
    pub start_byte: u64,
    /// Byte after the last (UTF-8).
    pub end_byte: u64,
    /// Calibrated probability that the span is an entity of some label that was asked for; 1 for patterns.
    pub score: f32,
    /// Calibrated probability that it is one of this label; 1 for patterns. Absent from records of weir 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_score: Option<f32>,
    /// `model` or `pattern:NAME`.
    pub recognizer: String,
    /// The value itself, only where the policy asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// The text of the span is not printed (I7).
impl std::fmt::Debug for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entity")
            .field("label", &self.label)
            .field("field", &self.field)
            .field("code_points", &(self.start..self.end))
            .field("bytes", &(self.start_byte..self.end_byte))
            .field("score", &self.score)
            .field("label_score", &self.label_score)
            .field("recognizer", &self.recognizer)
            .finish_non_exhaustive()
    }
}
