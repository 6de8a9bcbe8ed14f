//! What a log has to know of an audit record: whose it is, its place in the chain, its hash, and its seal.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{
    note::{SigningKey, VerifyingKey},
    tree::Hash,
};
use crate::record::{
    Position,
    audit::{self as record, Kind, NotChained, Written},
};

/// Stands in front of the hash in what a seal signs.
const SEALED: &str = "weir/audit-seal/2\n";

/// Why a record of the feed is not one that a log takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a line with the members that a record of a topic has.
    #[error("it is not an audit record of a topic")]
    Form,
    /// A record of weir before audit records had versions, or of a later weir.
    #[error("it is an audit record of another version")]
    Version,
    /// The content is not what was hashed.
    #[error("its content does not have its hash")]
    Hash,
}

impl Error {
    /// For a roll.
    pub fn code(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Version => "version",
            Self::Hash => "hash",
        }
    }
}

impl From<NotChained> for Error {
    fn from(error: NotChained) -> Self {
        match error {
            NotChained::Form | NotChained::Kind | NotChained::Object => Self::Form,
            NotChained::Version(_) => Self::Version,
            NotChained::Hash => Self::Hash,
        }
    }
}

/// A record of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Topic of the source.
    pub topic: String,
    /// Partition of the source.
    pub partition: i32,
    /// Offset of the source's record, if the record is about one.
    pub offset: Option<i64>,
    /// Epoch, from 1.
    pub epoch: u64,
    /// Number in its epoch; 0 opens it.
    pub seq: u64,
    /// Hash of the record in front of it.
    pub previous: Hash,
    /// Its own.
    pub hash: Hash,
    /// Who vouches for it and all in front of it.
    pub seal: Option<Seal>,
}

/// An author's signature of a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Name and id of the key.
    pub key: String,
    /// The signature.
    pub signature: [u8; 64],
}

/// The seal of a record, by its hash in hexadecimal digits.
pub fn seal(key: &SigningKey, hash: &str) -> record::Seal {
    let message = format!("{SEALED}{hash}");
    record::Seal {
        key: format!("{}+{}", key.name(), key.id()),
        signature: STANDARD.encode(key.sign_bytes(message.as_bytes())),
    }
}

/// Whether one of some keys has signed a record that was read.
pub fn is_sealed(record: &crate::record::Audit, keys: &[VerifyingKey]) -> bool {
    let seal = record.seal.as_ref().and_then(|seal| Seal::read(seal).ok());
    let mut hash = [0; 32];
    let is_hash = hex::decode_to_slice(&record.hash, &mut hash).is_ok();
    let holds = |seal: Seal| keys.iter().any(|key| seal.holds(key, &hash));
    is_hash && seal.is_some_and(holds)
}

impl Seal {
    /// What is signed.
    pub fn message(hash: &Hash) -> String {
        format!("{SEALED}{}", hex::encode(hash))
    }

    /// Whether it names a key.
    pub fn is_by(&self, key: &VerifyingKey) -> bool {
        self.key == format!("{}+{}", key.name(), key.id())
    }

    /// Whether a key made it.
    pub fn holds(&self, key: &VerifyingKey, hash: &Hash) -> bool {
        self.is_by(key) && key.holds(Self::message(hash).as_bytes(), &self.signature)
    }

    fn read(seal: &record::Seal) -> Result<Self, Error> {
        let signature = STANDARD.decode(&seal.signature).ok();
        let signature = signature.and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            key: seal.key.clone(),
            signature: signature.ok_or(Error::Form)?,
        })
    }
}

/// What a record of any version has.
#[derive(Deserialize)]
struct AnyVersion {
    #[serde(default = "first")]
    v: u32,
    #[serde(rename = "previous")]
    _previous: String,
}

fn first() -> u32 {
    1
}

impl Link {
    /// Reads a record, and checks its hash.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Form)?;
        // An archive has one record in a line.
        if text.bytes().any(|byte| byte < b' ') {
            return Err(Error::Form);
        }
        let any: AnyVersion = serde_json::from_str(text).map_err(|_| Error::Form)?;
        if any.v != record::VERSION {
            return Err(Error::Version);
        }
        let Written { record } = Written::read(text)?;
        let Position::Kafka {
            topic,
            partition,
            offset,
        } = record.source
        else {
            return Err(Error::Form);
        };
        if !is_topic(&topic) || partition < 0 {
            return Err(Error::Form);
        }
        Ok(Self {
            topic,
            partition,
            offset: (record.kind == Kind::Event).then_some(offset),
            epoch: record.epoch,
            seq: record.seq,
            previous: of_hex(&record.previous).ok_or(Error::Form)?,
            hash: of_hex(&record.hash).ok_or(Error::Form)?,
            seal: record.seal.as_ref().map(Seal::read).transpose()?,
        })
    }

    /// Whether it opens an epoch.
    pub fn begins(&self) -> bool {
        self.seq == 0
    }

    /// Whether it stands behind the record with this hash, epoch and number.
    pub fn follows(&self, head: &Hash, epoch: u64, seq: u64) -> bool {
        let place = match self.begins() {
            true => Some(self.epoch) == epoch.checked_add(1),
            false => self.epoch == epoch && Some(self.seq) == seq.checked_add(1),
        };
        place && self.previous == *head
    }
}

/// What Kafka takes as a topic's name. It becomes a folder of the archive.
fn is_topic(name: &str) -> bool {
    let allowed = |sign: char| sign.is_ascii_alphanumeric() || "._-".contains(sign);
    (1..=249).contains(&name.len()) && name.chars().all(allowed) && name != "." && name != ".."
}

/// A hash as 64 hexadecimal digits, in the one form that it has.
pub(super) fn of_hex(digits: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    hex::decode_to_slice(digits, &mut hash).ok()?;
    (hex::encode(hash) == digits).then_some(hash)
}
