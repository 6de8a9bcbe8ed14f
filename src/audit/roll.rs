//! The roll: what a notary says, at every interval, about *all* partitions of a source.
//!
//! A roll is a leaf of a log of its own, whose checkpoint is the only one that is anchored. It names each partition, so
//! one that was left out shows, and holds what the notary needs to go on from it after a crash.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Class, link, tree::Hash};

/// Version of [`Roll`].
pub const VERSION: u32 = 1;

/// Most places that a roll lists of each kind. All are counted.
const MAX_PLACES: usize = 50;

/// Why bytes are not a roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a roll of version {VERSION}: {0}")]
pub struct Error(&'static str);

/// A leaf of the roll's log: these bytes as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roll {
    /// Version of this form.
    pub v: u32,
    /// Name of the log of rolls.
    pub origin: String,
    /// Number of this roll, from 0.
    pub number: u64,
    /// When the notary made it, by its own clock (RFC 3339).
    pub time: String,
    /// Topic of the audit records.
    pub feed: String,
    /// Offset of each of its partitions up to which records are in the logs.
    pub read: BTreeMap<i32, i64>,
    /// Every partition of the source, in order.
    pub partitions: Vec<Partition>,
    /// Records that do not stand behind the one before them, since the roll before.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    pub breaks: Places,
    /// Records of the feed that no log has, since the roll before.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    pub refused: Places,
    /// Offsets of the feed that were deleted before the notary read them, since the roll before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Lost>,
}

/// A partition of the source, and its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Audit records in its log.
    pub size: u64,
    /// Root of the log.
    #[serde(with = "hash")]
    pub root: Hash,
    /// Hash of the last record.
    #[serde(with = "hash")]
    pub head: Hash,
    /// Epoch of the last record.
    pub epoch: u64,
    /// Number of the last record.
    pub seq: u64,
    /// Lowest offset that a record is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<i64>,
    /// The offset behind the highest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
    /// First offset that the topic still held; absent if the topic has no such partition any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_start: Option<i64>,
    /// The offset behind the last record of the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<i64>,
    /// Offsets in front of the records since the roll before that weir was not given, by why: the first of each gap, and
    /// the one behind its last.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gaps: BTreeMap<Class, Vec<(i64, i64)>>,
}

/// Places of the feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Place>,
}

/// A record of the feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Partition of the feed.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// What is wrong with it: `chain`, `form`, `version` or `hash`.
    pub why: String,
}

/// Offsets of the feed that the notary never saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lost {
    /// Partition of the feed.
    pub partition: i32,
    /// First offset.
    pub from: i64,
    /// The offset behind the last.
    pub to: i64,
}

impl Places {
    pub(super) fn push(&mut self, partition: i32, offset: i64, why: &str) {
        self.count += 1;
        if self.first.len() < MAX_PLACES {
            self.first.push(Place {
                partition,
                offset,
                why: why.to_owned(),
            });
        }
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Roll {
    /// Reads one.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        // The parser's message is dropped: it quotes what it read.
        let roll: Self = serde_json::from_slice(bytes).map_err(|_| Error("another form"))?;
        if roll.v != VERSION {
            return Err(Error("another version"));
        }
        let names = |at: &Partition| (at.topic.clone(), at.partition);
        if !roll.partitions.is_sorted_by(|a, b| names(a) < names(b)) {
            return Err(Error(
                "its partitions are not in order, or one is named twice",
            ));
        }
        Ok(roll)
    }

    /// The bytes of the leaf.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers are JSON")
    }

    /// What it says of a partition.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&Partition> {
        let is_it = |own: &&Partition| own.topic == topic && own.partition == partition;
        self.partitions.iter().find(is_it)
    }
}

/// A hash as 64 hexadecimal digits.
mod hash {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::{Hash, link};

    pub fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(hash))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        let digits = String::deserialize(deserializer)?;
        link::of_hex(&digits).ok_or_else(|| D::Error::custom("not a hash"))
    }
}
