//! What can be wrong with a feed, and what follows from it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::FileFault;
use super::LogFault;
use crate::record::audit::{NotChained, Reason};

/// What a feed shows, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Each offset is answered for once, and nothing was changed since it was written.
    Proven,
    /// All of it holds, and nobody but the notary says that it is the one history.
    Unanchored,
    /// The records do not allow the question: they are of version 1, or not of topics.
    NotProvable,
    /// Records or offsets are missing, or nobody can say why they are.
    Incomplete,
    /// Records were changed, put in, repeated or put in another order.
    Broken,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proven => "PROVEN",
            Self::Unanchored => "UNANCHORED",
            Self::NotProvable => "NOT PROVABLE",
            Self::Incomplete => "INCOMPLETE",
            Self::Broken => "BROKEN",
        })
    }
}

/// Offsets of the source that weir was not given: the first, and the one behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Gap {
    /// First offset.
    pub from: i64,
    /// Offset behind the last.
    pub to: i64,
}

impl Gap {
    /// The gap in parts of one class each.
    pub(super) fn parts(self, class: impl Fn(i64) -> Class) -> Vec<(Self, Class)> {
        let mut parts: Vec<(Self, Class)> = Vec::new();
        for offset in self.from..self.to {
            let class = class(offset);
            match parts.last_mut() {
                Some((part, same)) if *same == class => part.to = offset + 1,
                _ => {
                    let part = Self {
                        from: offset,
                        to: offset + 1,
                    };
                    parts.push((part, class));
                }
            }
        }
        parts
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to - self.from {
            1 => write!(f, "offset {}", self.from),
            _ => write!(f, "offsets {} to {}", self.from, self.to - 1),
        }
    }
}

/// Why weir was not given some offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// They mark the ends of transactions: no record.
    Marker,
    /// Records of transactions that were aborted.
    Aborted,
    /// Records that the topic removed for newer ones of their keys. Nobody can say whether weir was given them.
    Compacted,
    /// Nothing says why.
    Unknown,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Marker => "markers of transactions",
            Self::Aborted => "of aborted transactions",
            Self::Compacted => "that were compacted away",
            Self::Unknown => "that nothing explains",
        })
    }
}

/// Something that is wrong with a partition's part of the feed. Places and counts, no text of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// A record cannot be read, or was changed after it was written.
    Altered {
        /// Its place in the feed, from 0.
        at: u64,
        /// What is wrong with it.
        #[serde(serialize_with = "text")]
        why: NotChained,
    },
    /// A record does not hold the hash of the one in front of it.
    Unlinked {
        /// Epoch.
        epoch: u64,
        /// Number in the epoch.
        seq: u64,
    },
    /// Records of an epoch are not in the feed.
    Missing {
        /// Epoch.
        epoch: u64,
        /// Number of the first that is missing.
        seq: u64,
        /// How many.
        records: u64,
    },
    /// A record comes again, or behind one that was written later.
    Repeated {
        /// Epoch.
        epoch: u64,
        /// Number in the epoch.
        seq: u64,
    },
    /// The chain does not open with a `begin`: what was in front of its first record is not in the feed.
    NoBeginning {
        /// Epoch of the first record.
        epoch: u64,
        /// Its number.
        seq: u64,
    },
    /// A record answers for an offset that another one, or its place in the chain, contradicts.
    Contradicts {
        /// Epoch.
        epoch: u64,
        /// Number in the epoch.
        seq: u64,
    },
    /// The group's offset was set forward: nobody read these.
    Skipped(Gap),
    /// The topic deleted these before weir read them.
    Expired(Gap),
    /// weir was not given these, and nothing says why.
    Unknown(Gap),
    /// A new epoch begins although the offset should have continued the one before it.
    BeganAgain {
        /// Number of the epoch.
        epoch: u64,
        /// What it gives as a reason.
        reason: Reason,
    },
    /// The committed offset is behind the end of the feed: its last records are missing.
    Truncated {
        /// The offset that comes next, by the feed.
        feed: i64,
        /// The same, as committed.
        committed: i64,
    },
    /// The feed is behind the committed offset: records were put in.
    Ahead {
        /// The offset that comes next, by the feed.
        feed: i64,
        /// The same, as committed.
        committed: i64,
    },
    /// The end of the feed is another one than was committed with the offset.
    Forked,
    /// Offsets of the partition are committed, and the feed has no record of it.
    Omitted {
        /// The committed offset.
        committed: i64,
    },
    /// A seal is not of a key that is trusted, or its signature does not hold.
    BadSeal {
        /// Epoch.
        epoch: u64,
        /// Number in the epoch.
        seq: u64,
    },
    /// The last record has no seal, although the feed has seals.
    Unsealed,
    /// A seal is of a key that was revoked, and nothing says that it was made before that.
    Revoked {
        /// Epoch.
        epoch: u64,
        /// Number in the epoch.
        seq: u64,
    },
    /// Of an archive.
    #[serde(untagged)]
    Log(LogFault),
    /// Of files and their commit records.
    #[serde(untagged)]
    File(FileFault),
}

impl From<LogFault> for Fault {
    fn from(fault: LogFault) -> Self {
        Self::Log(fault)
    }
}

impl From<FileFault> for Fault {
    fn from(fault: FileFault) -> Self {
        Self::File(fault)
    }
}

fn text<S: serde::Serializer>(why: &NotChained, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(why)
}

impl Fault {
    /// Names of those that an operator may accept: each has a cause that is no attack.
    pub const ACCEPTABLE: [&str; 7] = [
        "expired",
        "skipped",
        "unknown",
        "began_again",
        "no_beginning",
        "unanchored",
        "unlisted",
    ];

    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Altered { .. } => "altered",
            Self::Unlinked { .. } => "unlinked",
            Self::Missing { .. } => "missing",
            Self::Repeated { .. } => "repeated",
            Self::NoBeginning { .. } => "no_beginning",
            Self::Contradicts { .. } => "contradicts",
            Self::Skipped(_) => "skipped",
            Self::Expired(_) => "expired",
            Self::Unknown(_) => "unknown",
            Self::BeganAgain { .. } => "began_again",
            Self::Truncated { .. } => "truncated",
            Self::Ahead { .. } => "ahead",
            Self::Forked => "forked",
            Self::Omitted { .. } => "omitted",
            Self::BadSeal { .. } => "bad_seal",
            Self::Unsealed => "unsealed",
            Self::Revoked { .. } => "revoked",
            Self::Log(fault) => fault.name(),
            Self::File(fault) => fault.name(),
        }
    }

    /// What follows from it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Altered { .. }
            | Self::Unlinked { .. }
            | Self::Repeated { .. }
            | Self::Contradicts { .. }
            | Self::Ahead { .. }
            | Self::Forked
            | Self::BadSeal { .. }
            | Self::Revoked { .. } => Verdict::Broken,
            Self::Missing { .. }
            | Self::NoBeginning { .. }
            | Self::Skipped(_)
            | Self::Expired(_)
            | Self::Unknown(_)
            | Self::BeganAgain { .. }
            | Self::Truncated { .. }
            | Self::Omitted { .. }
            | Self::Unsealed => Verdict::Incomplete,
            Self::Log(fault) => fault.verdict(),
            Self::File(fault) => fault.verdict(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Altered { at, why } => write!(f, "altered: record {at} of the feed: {why}"),
            Self::Unlinked { epoch, seq } => write!(
                f,
                "unlinked: record {seq} of epoch {epoch} does not hold the hash of the record in front of it"
            ),
            Self::Missing {
                epoch,
                seq,
                records,
            } => write!(
                f,
                "missing: {records} records of epoch {epoch}, from number {seq} on"
            ),
            Self::Repeated { epoch, seq } => write!(
                f,
                "repeated: record {seq} of epoch {epoch} comes again, or out of order"
            ),
            Self::NoBeginning { epoch, seq } => write!(
                f,
                "no beginning: the feed starts at record {seq} of epoch {epoch}; the topic of the audit may have deleted \
                 what was in front of it"
            ),
            Self::Contradicts { epoch, seq } => write!(
                f,
                "contradicts: record {seq} of epoch {epoch} names another place than the one behind the record in front \
                 of it"
            ),
            _ => self.of_ends(f),
        }
    }
}

impl Fault {
    fn of_ends(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped(gap) => write!(
                f,
                "skipped: the group's offset was set forward, and nobody read {gap}"
            ),
            Self::Expired(gap) => {
                write!(f, "expired: the topic deleted {gap} before weir read them")
            }
            Self::Unknown(gap) => write!(
                f,
                "unknown: weir was not given {gap}, and nothing says why"
            ),
            Self::BeganAgain { epoch, reason } => write!(
                f,
                "began again: epoch {epoch} begins as `{}` although the chain in front of it has an end",
                name(*reason)
            ),
            Self::Truncated { feed, committed } => write!(
                f,
                "truncated: the group has committed offset {committed}, and the feed ends at {feed}"
            ),
            Self::Ahead { feed, committed } => write!(
                f,
                "ahead: the feed ends at {feed}, and the group has committed offset {committed}"
            ),
            Self::Forked => f.write_str(
                "forked: the feed ends in another record than the one whose hash was committed with the offset",
            ),
            Self::Omitted { committed } => write!(
                f,
                "omitted: the group has committed offset {committed}, and the feed has no record of the partition"
            ),
            Self::BadSeal { epoch, seq } => write!(
                f,
                "bad seal: the signature of record {seq} of epoch {epoch} is not of a key that you trust"
            ),
            Self::Unsealed => f.write_str("unsealed: no worker that you trust has signed the last record"),
            Self::Revoked { epoch, seq } => write!(
                f,
                "revoked: the seal of record {seq} of epoch {epoch} is of a key that was revoked, and no roll says that it \
                 was made before that"
            ),
            Self::Log(fault) => write!(f, "{fault}"),
            Self::File(fault) => write!(f, "{fault}"),
            _ => Ok(()),
        }
    }
}

/// The name of a reason in records.
pub(super) fn name(reason: Reason) -> String {
    let name = serde_json::to_value(reason).expect("a variant is JSON");
    name.as_str().unwrap_or_default().to_owned()
}

/// The faults of a partition: a feed that lost a million records has few lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Fold {
    /// The first faults.
    pub first: Vec<Fault>,
    /// How many there are in all.
    pub all: u64,
    /// How many of each name.
    pub count: BTreeMap<&'static str, u64>,
    /// What follows from all of them.
    #[serde(skip)]
    worst: BTreeMap<&'static str, Verdict>,
}

impl Fold {
    /// Faults that are kept.
    pub const KEPT: usize = 20;

    /// What follows from all of them.
    pub fn verdict(&self) -> Verdict {
        let worst = self.worst.values().copied().max();
        worst.unwrap_or(Verdict::Proven)
    }

    /// Faults of these names were looked at, and count no longer.
    pub fn accept(&mut self, names: &[String]) {
        let accepted = |name: &&'static str| names.iter().any(|own| own == name);
        self.worst.retain(|name, _| !accepted(name));
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.all += other.all;
        for (name, count) in other.count {
            *self.count.entry(name).or_default() += count;
        }
        self.worst.extend(other.worst);
        let room = Self::KEPT.saturating_sub(self.first.len());
        self.first.extend(other.first.into_iter().take(room));
    }

    pub(super) fn push(&mut self, fault: impl Into<Fault>) {
        let fault = fault.into();
        self.all += 1;
        let name = fault.name();
        *self.count.entry(name).or_default() += 1;
        self.worst.insert(name, fault.verdict());
        if self.first.len() < Self::KEPT {
            self.first.push(fault);
        }
    }
}
