use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that somebody read back: who, when and why, and never the value. `weir reveal` writes it to disk before it
/// prints the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reveal {
    /// `reveal`.
    pub kind: RevealKind,
    /// When, in UTC (RFC 3339).
    pub at: String,
    /// Who, as they said or as their login says.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Ticket that asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Tenant whose key was used.
    pub tenant: String,
    /// Label of the value, in lower case with `_` for anything but letters and digits.
    pub label: String,
    /// Id of the key.
    pub key_id: String,
    /// Fingerprint of the key, 32 hexadecimal digits.
    pub key_fingerprint: String,
    /// HMAC-SHA256 of the token under the key, 64 hexadecimal digits.
    pub token_digest: String,
    /// Version of weir.
    pub weir_version: String,
}

/// Kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RevealKind {
    /// A value was read back.
    Reveal,
}
