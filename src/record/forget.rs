use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Keys of a data subject that somebody destroyed: who, when and why, and never the subject. `weir forget` writes it to
/// disk before it destroys a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Forget {
    /// `key`.
    pub kind: KeyKind,
    /// `forget`.
    pub action: KeyAction,
    /// When, in UTC (RFC 3339).
    pub at: String,
    /// Who, as they said or as their login says.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Ticket that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Tenant of the keys.
    pub tenant: String,
    /// HMAC-SHA256 of the subject under the tenant's key, the first 32 hexadecimal digits. Absent with `--token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_digest: Option<String>,
    /// Names of the keys, as tokens have them.
    pub keys: Vec<String>,
    /// Whether the subject gets no further key.
    pub for_good: bool,
    /// Id of the tenant's key.
    pub key_id: String,
    /// Fingerprint of the tenant's key, 32 hexadecimal digits.
    pub key_fingerprint: String,
    /// Version of weir.
    pub weir_version: String,
}

/// Kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Something became of keys.
    Key,
}

/// What became of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyAction {
    /// They were destroyed.
    Forget,
}
