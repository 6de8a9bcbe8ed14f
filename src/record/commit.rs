//! Commit records of a sink of files: which files are the output of an object, or of some offsets of a topic.
//!
//! Where weir audits, such a record holds for each file its size and digest, and the end of the audit file's chain. Its
//! last member is the hash of all bytes in front of it, as in audit records.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::audit::{GENESIS, close, hash_fits};

/// Folder of the commit records of objects, below the sink.
pub const OBJECTS: &str = "_weir/commits";

/// Folder of the commit records of topics.
pub const TOPICS: &str = "_weir/kafka";

/// Folder of the audit files, and their kind in commit records.
pub const AUDIT: &str = "audit";

/// The record of an object that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectCommit {
    /// Source object.
    pub object: String,
    /// Its version.
    pub version: String,
    /// Digest of the configuration.
    pub configuration: String,
    /// Files, by path below the sink's URL.
    pub outputs: Vec<String>,
    /// Documents delivered.
    pub documents: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// The claim of the worker that wrote it.
    pub nonce: String,
    /// The same files with size and digest, if weir audited.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// The end of the audit file's chain, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
    /// SHA-256 of the bytes in front of `,"hash":"`; absent if weir did not audit.
    #[serde(default, skip_serializing)]
    pub hash: String,
}

impl ObjectCommit {
    /// Its name: the object, its version and the configuration have one record.
    pub fn id(&self) -> String {
        id(&self.object, &self.version, &self.configuration)
    }

    /// As bytes that are written as they are.
    pub fn written(&self) -> Vec<u8> {
        written(self, self.audit.is_some())
    }
}

/// The name of an object's commit record.
pub fn id(object: &str, version: &str, configuration: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [object, version, configuration] {
        crate::digest::part(&mut hasher, part);
    }
    hasher.finalize().to_hex()[..32].to_owned()
}

/// Digits of [`id`] in the names of an object's outputs.
pub const ID_DIGITS: usize = 12;

/// The record of some offsets of a partition that are done: one in a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct SetCommit {
    /// Version of this form.
    pub version: u32,
    pub group: String,
    pub topic: String,
    pub partition: i32,
    /// Offset of the first record that was read.
    pub first: i64,
    /// The offset after the last one.
    pub next: i64,
    /// Offsets from here to `first` were not read: the group was set forward, or the topic no
    /// longer held them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_from: Option<i64>,
    pub files: Vec<File>,
    pub documents: u64,
    pub dead_letters: u64,
    /// Digest of configuration, policies, pack and version.
    pub configuration: String,
    pub pack: String,
    pub weir_version: String,
    /// The end of the audit file's chain, as text, if weir audited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
    /// SHA-256 of all bytes of the partition's record before it; 64 zeros in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// SHA-256 of the bytes in front of `,"hash":"`; absent if weir did not audit.
    #[serde(default, skip_serializing)]
    pub hash: String,
}

impl SetCommit {
    /// As bytes that are written as they are.
    pub fn written(&self) -> Vec<u8> {
        written(self, self.audit.is_some())
    }
}

/// A file of a commit record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// `entities`, `redactions`, `dead_letters` or `audit`.
    pub kind: String,
    /// Path below the sink's URL.
    pub path: String,
    /// Records in it. Of an audit file: its lines.
    pub records: u64,
    /// Size as it lies there.
    pub bytes: u64,
    /// BLAKE3 of these bytes, in hexadecimal digits: of files of topics.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// SHA-256 of these bytes, in hexadecimal digits, if weir audited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

fn written(record: &impl Serialize, is_audited: bool) -> Vec<u8> {
    let json = serde_json::to_vec(record).expect("strings and numbers are JSON");
    match is_audited {
        true => close(json).0,
        false => json,
    }
}

/// Whether the last member of a commit record is the hash of the bytes in front of it.
pub fn hash_holds(bytes: &[u8], hash: &str) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| hash_fits(text, hash, ""))
}

/// What the next record of a chain holds of this one.
pub fn link(bytes: Option<&[u8]>) -> String {
    match bytes {
        Some(bytes) => hex::encode(Sha256::digest(bytes)),
        None => GENESIS.to_owned(),
    }
}

/// A name as one folder: what is no letter, digit, `.`, `_` or `-` becomes `=` and two hexadecimal
/// digits, and so do dots that are all of a name. Topics stay as they are.
pub fn segment(name: &str) -> String {
    let only_dots = name.bytes().all(|byte| byte == b'.');
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'.' if only_dots => segment.push_str("=2E"),
            b'.' | b'_' | b'-' => segment.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => segment.push(byte.into()),
            byte => segment.push_str(&format!("={byte:02X}")),
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> ObjectCommit {
        ObjectCommit {
            object: "a.jsonl".to_owned(),
            version: "v1".to_owned(),
            configuration: "c".to_owned(),
            outputs: vec!["entities/a.jsonl".to_owned()],
            documents: 3,
            dead_letters: 0,
            nonce: "n".to_owned(),
            files: Vec::new(),
            audit: None,
            hash: String::new(),
        }
    }

    #[test]
    fn a_record_without_an_audit_is_written_as_before_and_one_with_it_holds_its_hash() {
        let plain = String::from_utf8(commit().written()).unwrap();
        assert_eq!(
            plain,
            "{\"object\":\"a.jsonl\",\"version\":\"v1\",\"configuration\":\"c\",\"outputs\":[\"entities/a.jsonl\"],\
             \"documents\":3,\"dead_letters\":0,\"nonce\":\"n\"}"
        );
        let audited = ObjectCommit {
            audit: Some("weir-audit/2:1:3:3:00".to_owned()),
            ..commit()
        };
        let bytes = audited.written();
        let read: ObjectCommit = serde_json::from_slice(&bytes).unwrap();
        assert!(hash_holds(&bytes, &read.hash));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let Ok(read) = serde_json::from_slice::<ObjectCommit>(&changed) else {
                continue;
            };
            assert!(!hash_holds(&changed, &read.hash), "byte {at}");
        }
    }
}
