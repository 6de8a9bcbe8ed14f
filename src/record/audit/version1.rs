//! Audit records as weir wrote them until December 2026: read, and no longer written.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Code, Finding, Position, Unit};

/// An audit record of version 1. Its chain begins without a record of its own, and it names no place before it: a
/// reader can show that nothing was changed between two records, and not that the feed is complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)]
pub struct Version1 {
    pub event_id: String,
    pub source: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    pub unit: Unit,
    pub findings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weir_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_digest: Option<String>,
    pub digest_key: String,
    /// Records in front of this one that the topic deleted before they were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    pub previous: String,
    pub hash: String,
}

/// Whether `hash` of a record of version 1, as it was written, is the digest of what stands before it.
pub fn hash_holds(written: &str, hash: &str) -> bool {
    let Some(at) = written.rfind(",\"hash\":") else {
        return false;
    };
    // What version 1 hashed is the record without `hash`, closed again.
    let digest = Sha256::new().chain_update(&written[..at]).chain_update("}");
    hex::encode(digest.finalize()) == hash
}
