//! Audit records: what was done to each record of a source, in one chain for each of its partitions.
//!
//! A record of version 2 is one line of JSON. Its hash is over the bytes in front of `,"hash":"`, so that a reader in
//! any language can compute it without printing the record again. docs/audit.md describes the feed for such readers.

mod chain;
mod head;
mod version1;

use hmac::{Hmac, KeyInit as _, Mac as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Code, DeadLetter, Digests, Done, Position, schema_name};

pub use chain::{Chained, NotChained, Parted, Written};
pub(in crate::record) use chain::{close, hash_fits};
pub use head::{BEGUN, Committed, GENESIS, Head};
pub use version1::{Version1, hash_holds};

/// The version of audit records that weir writes.
pub const VERSION: u32 = 2;

/// What was done to one record of a source, for an auditor: where, by which rule, and never what it
/// says. The records of one partition are a chain: each holds the hash of the one before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// Version of this form: 2. Records of version 1 have no such member.
    pub v: u32,
    /// What the record is about.
    pub kind: Kind,
    /// Part of the partition's chain in which each offset is answered for: a `begin` opens each. From 1.
    pub epoch: u64,
    /// Number of the record in its epoch: 0 for `begin`, then one more for each.
    pub seq: u64,
    /// Offset of the record in front of it that the epoch answers for. What is between the two was not given to weir.
    /// Absent from `begin`. In the file of an object answers are counted, from 0, in place of offsets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// 32 hexadecimal digits: the same record under the same policy has the same. The records that go out carry it in the
    /// header `weir.event`.
    pub event_id: String,
    /// Where the record is; of `begin`, where the epoch starts.
    pub source: Position,
    /// Tenant, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Id of the document, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// What became of the record. Absent from `begin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why the record is a dead letter; absent if it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Unit of the findings' offsets.
    pub unit: Unit,
    /// What was found and what was done with it, in order of field and offset.
    pub findings: Vec<Finding>,
    /// Digest of the model pack, 64 hexadecimal digits; the records that go out have the first 16 of it. Absent where the
    /// tenant was not known, as the next three.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<String>,
    /// Digest of the tenant's labels, descriptions and thresholds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_set: Option<String>,
    /// Digest of the tenant's whole policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Version of weir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weir_version: Option<String>,
    /// Keys with which the policy makes new values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyName>,
    /// HMAC-SHA256 of the record's value as received, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_digest: Option<String>,
    /// The same of the redaction; absent for a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_digest: Option<String>,
    /// Which key made the digests.
    pub digest_key: String,
    /// Why and where an epoch begins: of `begin` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin: Option<Begin>,
    /// `hash` of the record before it in the chain; 64 zeros at its beginning.
    pub previous: String,
    /// SHA-256 of the bytes of this record in front of `,"hash":"`, as they stand here: 64 hexadecimal digits.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub hash: String,
    /// Signature of the worker over `hash`: of the last record of a partition in each transaction, if the worker has a
    /// key for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seal: Option<Seal>,
}

impl Audit {
    /// A record of a kind about a place, not yet in a chain.
    pub(crate) fn new(kind: Kind, source: Position, key: &DigestKey) -> Self {
        Self {
            v: VERSION,
            kind,
            epoch: 0,
            seq: 0,
            after: None,
            event_id: String::new(),
            source,
            tenant: None,
            document_id: None,
            outcome: None,
            code: None,
            unit: Unit::CodePoint,
            findings: Vec::new(),
            pack: None,
            label_set: None,
            policy: None,
            weir_version: None,
            keys: Vec::new(),
            input_digest: None,
            output_digest: None,
            digest_key: key.id(),
            begin: None,
            previous: String::new(),
            hash: String::new(),
            seal: None,
        }
    }
}

/// What is known of a record apart from what became of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// What made its records, in whole; none where its tenant is not known.
    pub(crate) digests: Option<Box<Digests>>,
    /// Keys of its policy.
    pub(crate) keys: Vec<KeyName>,
    /// What was found.
    pub(crate) findings: Vec<Finding>,
    /// Digest of it as received.
    pub(crate) input_digest: Option<String>,
}

impl Audit {
    /// What became of a record, not yet in a chain.
    pub(crate) fn event(
        source: Position,
        outcome: Result<&Done, &DeadLetter>,
        about: About,
        key: &DigestKey,
    ) -> Self {
        let mut own = Self::about(source, about, key);
        match outcome {
            Ok(done) => {
                own.tenant = Some(done.entities.tenant.clone());
                own.document_id = Some(done.entities.document_id.clone());
                own.outcome = Some(Outcome::Delivered);
                own.output_digest = Some(key.digest(&done.redacted.bytes()));
            }
            Err(letter) => {
                own.tenant.clone_from(&letter.tenant);
                own.document_id.clone_from(&letter.document_id);
                own.outcome = Some(Outcome::DeadLetter);
                own.code = Some(letter.code);
            }
        }
        own
    }

    /// An event whose outcome is not known yet.
    pub(crate) fn about(source: Position, about: About, key: &DigestKey) -> Self {
        let About {
            digests: made_by,
            keys,
            findings,
            input_digest,
        } = about;
        let event_id = event_id(&source, made_by.as_deref());
        let mut own = Self {
            event_id,
            findings,
            keys,
            input_digest,
            ..Self::new(Kind::Event, source, key)
        };
        if let Some(made_by) = made_by {
            own.pack = Some(made_by.pack);
            own.label_set = Some(made_by.label_set);
            own.policy = Some(made_by.policy);
            own.weir_version = Some(made_by.weir_version);
        }
        own
    }
}

/// What an audit record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An epoch of a chain begins.
    Begin,
    /// A record of the source was delivered, or became a dead letter.
    Event,
}

/// A key of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyName {
    /// Id, as the tenant file gives it.
    pub id: String,
    /// 32 hexadecimal digits that depend on the secret alone: another secret under the same id has others.
    pub fingerprint: String,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its records went downstream.
    Delivered,
    /// A dead letter stands for it.
    DeadLetter,
}

/// Why and where an epoch begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// Why.
    pub reason: Reason,
    /// What the worker promises.
    pub delivery: Delivery,
    /// Consumer group whose offsets are counted; of an object the digest of the configuration.
    pub group: String,
    /// Id of the cluster, where the brokers say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// First offset that the partition held then.
    pub log_start: i64,
    /// First offset that the epoch answers for: the committed one, or `log_start` where none was committed.
    pub from: i64,
    /// Version of weir.
    pub weir_version: String,
}

/// What a worker promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Records, audit records and offsets are one transaction.
    ExactlyOnce,
    /// Records may come twice: such a chain proves nothing.
    AtLeastOnce,
}

/// Why an epoch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The group begins: it had committed no offset of the partition.
    New,
    /// The chain before it is of version 1; `previous` is its last hash.
    Upgraded,
    /// Another than weir committed the offset, and what weir had written next to it is gone.
    MetadataLost,
    /// The committed offset is not the one that weir committed last.
    Moved,
    /// The topic was deleted and created again, or its brokers lost its end.
    TopicRecreated,
    /// The topic deleted records before weir read them.
    Expired,
}

/// A signature over the hash of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// Name and id of the key, as in its line for verifiers.
    pub key: String,
    /// Ed25519, Base64.
    pub signature: String,
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
#[serde(deny_unknown_fields)]
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
    /// Why the label is redacted, if the tenant file says so: a paragraph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
}

impl Finding {
    /// Bytes that it takes in memory, about: its strings are short.
    pub(crate) fn held(&self) -> usize {
        const STRING: usize = 32;
        size_of::<Self>() + 5 * STRING
    }
}

/// The key of digests: without one the digests of short values could be guessed. `Debug` does not
/// show it.
#[derive(Clone)]
pub struct DigestKey(Vec<u8>);

impl DigestKey {
    /// Any length; 32 bytes of random are enough.
    pub fn new(secret: Vec<u8>) -> Self {
        Self(secret)
    }

    /// 64 hexadecimal digits.
    pub fn digest(&self, value: &[u8]) -> String {
        self.mac(DIGEST, value)
    }

    /// A field as findings name it: keys of objects that do not look like names of fields may be values, and are their
    /// digests.
    pub fn field(&self, pointer: &str) -> String {
        if !pointer.starts_with('/') || pointer[1..].split('/').all(is_name) {
            return pointer.to_owned();
        }
        let mut shown = String::with_capacity(pointer.len());
        for part in pointer[1..].split('/') {
            shown.push('/');
            match is_name(part) {
                true => shown.push_str(part),
                false => {
                    shown = shown + "#" + &self.mac(b"weir/audit-field/1", part.as_bytes())[..16]
                }
            }
        }
        shown
    }

    /// Distinguishes keys and reveals nothing of them.
    pub fn id(&self) -> String {
        self.mac(b"weir/audit-key/1", b"")[..8].to_owned()
    }

    /// Begins with the digest of a value that comes in pieces.
    pub(crate) fn begin(&self) -> Growing {
        Growing(self.keyed(DIGEST))
    }

    fn keyed(&self, purpose: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(&(purpose.len() as u64).to_le_bytes());
        mac.update(purpose);
        mac
    }

    fn mac(&self, purpose: &[u8], value: &[u8]) -> String {
        let mut mac = self.keyed(purpose);
        mac.update(value);
        hex::encode(mac.finalize().into_bytes())
    }
}

/// Purpose of the digests of values.
const DIGEST: &[u8] = b"weir/audit-digest/2";

/// The digest of a value that comes in pieces.
pub(crate) struct Growing(Hmac<Sha256>);

impl Growing {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// 64 hexadecimal digits.
    pub(crate) fn end(self) -> String {
        hex::encode(self.0.finalize().into_bytes())
    }
}

impl std::fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "key {}", self.id())
    }
}

/// Whether a part of a pointer is an index or looks like the name of a field.
fn is_name(part: &str) -> bool {
    let is_index = !part.is_empty() && part.len() < 6 && part.bytes().all(|b| b.is_ascii_digit());
    is_index || schema_name::shown(part).is_some()
}

/// The id of an event: of its place, and of what was done there.
pub fn event_id(source: &Position, digests: Option<&Digests>) -> String {
    let by = digests.map_or_else(String::new, |own| {
        format!("{}/{}/{}", own.pack, own.policy, own.weir_version)
    });
    id_of(&[&source.to_string(), &by])
}

/// 32 hexadecimal digits of some parts.
fn id_of(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex::encode(&hasher.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(offset: i64) -> Position {
        Position::Kafka {
            topic: "documents".to_owned(),
            partition: 0,
            offset,
        }
    }

    pub(super) fn event(offset: i64) -> Audit {
        let source = source(offset);
        let key = DigestKey::new(b"a secret of the test".to_vec());
        Audit {
            event_id: event_id(&source, None),
            tenant: Some("acme".to_owned()),
            document_id: Some("d1".to_owned()),
            outcome: Some(Outcome::Delivered),
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
                basis: None,
            }],
            input_digest: Some(key.digest(b"ask ana@mail.example")),
            ..Audit::new(Kind::Event, source, &key)
        }
    }

    pub(super) fn begin(from: i64) -> Audit {
        let key = DigestKey::new(b"a secret of the test".to_vec());
        Audit {
            begin: Some(Begin {
                reason: Reason::New,
                delivery: Delivery::ExactlyOnce,
                group: "weir".to_owned(),
                cluster: None,
                log_start: from,
                from,
                weir_version: crate::VERSION.to_owned(),
            }),
            ..Audit::new(Kind::Begin, source(from), &key)
        }
    }

    #[test]
    fn digests_need_the_key() {
        let (one, two) = (DigestKey::new(vec![1]), DigestKey::new(vec![2]));
        assert_ne!(one.digest(b"x"), two.digest(b"x"));
        assert_ne!(one.id(), two.id());
        assert_eq!(one.digest(b"x"), one.digest(b"x"));
        assert!(!format!("{one:?}").contains("[1]"));
    }

    #[test]
    fn a_field_shows_its_names_and_no_key_that_may_be_a_value() {
        let key = DigestKey::new(b"a secret of the test".to_vec());
        for plain in ["text", "full name", "/text", "/orders/12/customerName", ""] {
            assert_eq!(key.field(plain), plain);
        }
        let shown = key.field("/contacts/ana@mail.example/phone/0");
        let parts: Vec<&str> = shown.split('/').collect();
        assert_eq!([parts[1], parts[3], parts[4]], ["contacts", "phone", "0"]);
        assert!(parts[2].starts_with('#') && parts[2].len() == 17, "{shown}");
        assert_eq!(shown, key.field("/contacts/ana@mail.example/phone/0"));
        assert_ne!(shown, key.field("/contacts/bea@mail.example/phone/0"));
        let other = DigestKey::new(b"another".to_vec());
        assert_ne!(shown, other.field("/contacts/ana@mail.example/phone/0"));
    }
}
