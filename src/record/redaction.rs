use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Digests;

/// One place that the policy transformed. Offsets are code points, ends exclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Label of the entity.
    pub label: String,
    /// JSON Pointer, column name, or `text`.
    pub field: String,
    /// Operator that was applied.
    pub operator: String,
    /// First code point in the redacted value.
    pub start: u64,
    /// Code point after the last, in the redacted value.
    pub end: u64,
    /// First code point in the source value.
    pub source_start: u64,
    /// Code point after the last, in the source value.
    pub source_end: u64,
    /// Id and version of the key, for keyed operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

/// A redacted text document. A JSON document keeps its own shape and gets `redactions` and the
/// digests as additional members; a table keeps its columns and carries the digests as file
/// metadata.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redaction {
    /// Id of the document.
    pub id: String,
    /// Tenant whose policy was used.
    pub tenant: String,
    /// The redacted text.
    pub text: String,
    /// What was transformed, in order.
    pub redactions: Vec<Change>,
    /// What produced this record.
    #[serde(flatten)]
    pub digests: Digests,
}

/// What is left of the text may hold what no recogniser found, so it is not printed (I7).
impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redaction")
            .field("id", &self.id)
            .field("tenant", &self.tenant)
            .field("bytes", &self.text.len())
            .field("redactions", &self.redactions)
            .finish_non_exhaustive()
    }
}
