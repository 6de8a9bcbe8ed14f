use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Code, Digests, Position};

/// What was done to one record of a source, for an auditor: where, by which rule, and never what it
/// says. The records of one partition are a chain: each holds the hash of the one before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Audit {
    /// 32 hexadecimal digits: the same record under the same policy has the same.
    pub event_id: String,
    /// Where the record is.
    pub source: Position,
    /// Tenant, if it was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Id of the document, if it was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// Why the record is a dead letter; absent if it was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Unit of the findings' offsets.
    pub unit: Unit,
    /// What was found and what was done with it, in order of field and offset.
    pub findings: Vec<Finding>,
    /// What produced the record; absent for a dead letter.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub digests: Option<Digests>,
    /// HMAC-SHA256 of the record's value as received, 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_digest: Option<String>,
    /// The same of the redaction; absent for a dead letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_digest: Option<String>,
    /// Which key made the digests.
    pub digest_key: String,
    /// Records in front of this one that the topic deleted before they were read. Absent if there were
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
    /// `hash` of the record before it in the chain; 64 zeros at its beginning.
    pub previous: String,
    /// SHA-256 of this record without `hash`, as the JSON that stands here: 64 hexadecimal digits.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub hash: String,
}

/// Unit of offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Code points of the field's value as received; ends are exclusive.
    CodePoint,
}

/// One place of a document, and what was done with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// JSON Pointer, column name, or `text`.
    pub field: String,
    /// First code point.
    pub start: u64,
    /// Code point after the last.
    pub end: u64,
    /// Label.
    pub label: String,
    /// Calibrated probability that some label that was asked for is right; 1 for patterns.
    pub score: f32,
    /// Calibrated probability that this label is right; 1 for patterns. Absent from records of weir 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_score: Option<f32>,
    /// The label's threshold; absent for patterns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// `model` or `pattern:NAME`.
    pub recognizer: String,
    /// Operator.
    pub operator: String,
    /// Id and version of the key, for keyed operators.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

impl Finding {
    /// Bytes that it takes in memory, about: its strings are short.
    pub(crate) fn held(&self) -> usize {
        const STRING: usize = 32;
        size_of::<Self>() + 4 * STRING
    }
}

/// Beginning of every chain.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The key of digests: without one the digests of short values could be guessed. `Debug` does not
/// show it.
#[derive(Clone)]
pub struct DigestKey(Vec<u8>);

impl DigestKey {
    /// Any length; 32 bytes of random are enough.
    pub fn new(secret: Vec<u8>) -> Self {
        Self(secret)
    }

    /// 32 hexadecimal digits.
    pub fn digest(&self, value: &[u8]) -> String {
        self.mac(b"weir/audit-digest/1", value)[..32].to_owned()
    }

    /// Distinguishes keys and reveals nothing of them.
    pub fn id(&self) -> String {
        self.mac(b"weir/audit-key/1", b"")[..8].to_owned()
    }

    fn mac(&self, purpose: &[u8], value: &[u8]) -> String {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(&(purpose.len() as u64).to_le_bytes());
        mac.update(purpose);
        mac.update(value);
        hex::encode(mac.finalize().into_bytes())
    }
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "key {}", self.id())
    }
}

impl Audit {
    /// Puts the record behind another one of its chain.
    pub fn chained(mut self, previous: &str) -> Self {
        previous.clone_into(&mut self.previous);
        self.hash.clear();
        self.hash = self.digest();
        self
    }

    /// Whether `hash` is that of the record, and it stands behind `previous`.
    pub fn follows(&self, previous: &str) -> bool {
        let bare = Self {
            hash: String::new(),
            ..self.clone()
        };
        self.previous == previous && self.hash == bare.digest()
    }

    fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("strings and numbers are JSON");
        hex::encode(Sha256::digest(json))
    }
}

/// The id of an event: of its place, and of what was done there.
pub fn event_id(source: &Position, digests: Option<&Digests>) -> String {
    let mut hasher = Sha256::new();
    let parts = [
        source.to_string(),
        digests.map_or_else(String::new, |own| {
            format!("{}/{}/{}", own.pack, own.policy, own.weir_version)
        }),
    ];
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex::encode(&hasher.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: i64) -> Audit {
        let source = Position::Kafka {
            topic: "documents".to_owned(),
            partition: 0,
            offset,
        };
        let key = DigestKey::new(b"a secret of the test".to_vec());
        Audit {
            event_id: event_id(&source, None),
            source,
            tenant: Some("acme".to_owned()),
            document_id: Some("d1".to_owned()),
            code: None,
            unit: Unit::CodePoint,
            findings: vec![Finding {
                field: "/text".to_owned(),
                start: 4,
                end: 20,
                label: "email".to_owned(),
                score: 0.25,
                label_score: Some(0.125),
                threshold: Some(0.1),
                recognizer: "model".to_owned(),
                operator: "replace".to_owned(),
                key_id: None,
            }],
            digests: None,
            input_digest: Some(key.digest(b"ask ana@mail.example")),
            output_digest: None,
            digest_key: key.id(),
            skipped: None,
            previous: String::new(),
            hash: String::new(),
        }
    }

    #[test]
    fn a_chain_shows_what_was_changed_left_out_or_put_in() {
        let first = record(0).chained(GENESIS);
        let second = record(1).chained(&first.hash);
        let third = record(2).chained(&second.hash);
        assert!(first.follows(GENESIS) && second.follows(&first.hash));
        assert!(!third.follows(&first.hash), "one is left out");
        let mut changed = second.clone();
        changed.findings.clear();
        assert!(!changed.follows(&first.hash), "one was changed");
        // What a reader gets is text: the hash has to survive it.
        let read: Audit = serde_json::from_str(&serde_json::to_string(&third).unwrap()).unwrap();
        assert!(read.follows(&second.hash));
    }

    #[test]
    fn digests_need_the_key() {
        let (one, two) = (DigestKey::new(vec![1]), DigestKey::new(vec![2]));
        assert_ne!(one.digest(b"x"), two.digest(b"x"));
        assert_ne!(one.id(), two.id());
        assert_eq!(one.digest(b"x"), one.digest(b"x"));
        assert!(!format!("{one:?}").contains("[1]"));
    }
}
