//! What can be wrong with an archive, and with what a notary signed.

use std::fmt;

use serde::Serialize;

use super::Verdict;

/// Something that is wrong with an archive. Places, numbers and keys, no text of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum LogFault {
    /// Nothing in the archive is signed.
    NoHead {
        /// Where the head should lie.
        at: String,
    },
    /// A note is not by those that are trusted, or not the head of this log.
    BadHead {
        /// The note.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody but the notary says that this is the one history.
    Unanchored {
        /// Rolls at the end of the log of which only the notary knows.
        rolls: u64,
        /// How many witnesses have to sign.
        quorum: usize,
    },
    /// The log was longer.
    SetBack {
        /// Rolls of the longer head.
        seen: u64,
        /// Rolls of the head in the archive.
        size: u64,
        /// The note with the longer head.
        kept: String,
        /// The note with the head of the archive.
        head: String,
    },
    /// The notary signed two histories.
    SecondHistory {
        /// Rolls up to which the other head reaches.
        size: u64,
        /// The note with the other head.
        kept: String,
        /// The note with the head of the archive.
        head: String,
    },
    /// A roll lies behind the head.
    Unsigned {
        /// Its number.
        roll: u64,
    },
    /// A roll is missing, is not one, or is of another log.
    BadRoll {
        /// Its number.
        roll: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The leaves do not lead to a root that was signed.
    BadRoot {
        /// The roll that names the root; absent for the log of rolls.
        #[serde(skip_serializing_if = "Option::is_none")]
        roll: Option<u64>,
    },
    /// An object that the log needs.
    MissingObject {
        /// Its path.
        at: String,
    },
    /// An object with other content than the log leads to.
    AlteredObject {
        /// Its path.
        at: String,
    },
    /// A partition that the roll does not name.
    NotNamed {
        /// The roll.
        roll: u64,
    },
    /// A roll says less than the roll before it.
    Shrunk {
        /// The roll.
        roll: u64,
        /// What became less: `size`, `first`, `next` or `read`.
        what: &'static str,
    },
    /// A roll says something else than the records.
    Misstated {
        /// The roll.
        roll: u64,
        /// What it says: `head` or `offsets`.
        what: &'static str,
    },
    /// A record was changed, or is not one.
    BadRecord {
        /// Its place in the log of its partition, from 0.
        index: u64,
    },
    /// A record's content was taken away.
    Erased {
        /// Its place in the log of its partition, from 0.
        index: u64,
    },
    /// A record of another partition.
    Misplaced {
        /// Its place in the log, from 0.
        index: u64,
    },
    /// The feed had deleted records before the notary read them.
    Lost {
        /// The roll that says so.
        roll: u64,
        /// Partition of the feed.
        partition: i32,
        /// Offsets.
        offsets: u64,
    },
    /// The feed had records that no log takes.
    Refused {
        /// The roll that says so.
        roll: u64,
        /// How many.
        records: u64,
    },
}

impl LogFault {
    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoHead { .. } => "no_head",
            Self::BadHead { .. } => "bad_head",
            Self::Unanchored { .. } => "unanchored",
            Self::SetBack { .. } => "set_back",
            Self::SecondHistory { .. } => "second_history",
            Self::Unsigned { .. } => "unsigned",
            Self::BadRoll { .. } => "bad_roll",
            Self::BadRoot { .. } => "bad_root",
            Self::MissingObject { .. } => "missing_object",
            Self::AlteredObject { .. } => "altered_object",
            Self::NotNamed { .. } => "not_named",
            Self::Shrunk { .. } => "shrunk",
            Self::Misstated { .. } => "misstated",
            Self::BadRecord { .. } => "bad_record",
            Self::Erased { .. } => "erased",
            Self::Misplaced { .. } => "misplaced",
            Self::Lost { .. } => "lost",
            Self::Refused { .. } => "refused",
        }
    }

    /// What follows from it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Unanchored { .. } => Verdict::Unanchored,
            Self::NoHead { .. }
            | Self::Unsigned { .. }
            | Self::MissingObject { .. }
            | Self::NotNamed { .. }
            | Self::Erased { .. }
            | Self::Lost { .. } => Verdict::Incomplete,
            Self::BadHead { .. }
            | Self::SetBack { .. }
            | Self::SecondHistory { .. }
            | Self::BadRoll { .. }
            | Self::BadRoot { .. }
            | Self::AlteredObject { .. }
            | Self::Shrunk { .. }
            | Self::Misstated { .. }
            | Self::BadRecord { .. }
            | Self::Misplaced { .. }
            | Self::Refused { .. } => Verdict::Broken,
        }
    }

    fn of_heads(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHead { at } => write!(f, "no head: {at} is missing from the archive"),
            Self::BadHead { at, why } => write!(f, "bad head: {at}: {why}"),
            Self::Unanchored { rolls, quorum: 0 } => write!(
                f,
                "unanchored: only the notary vouches for the last {rolls} rolls; name witnesses and a quorum in the trust \
                 file, or a copy of the heads with --anchor"
            ),
            Self::Unanchored { rolls, quorum } => write!(
                f,
                "unanchored: the last {rolls} rolls have less than the {quorum} witnesses that the trust file asks for"
            ),
            Self::SetBack {
                seen,
                size,
                kept,
                head,
            } => write!(
                f,
                "set back: {kept} holds a signed head of {seen} rolls, and {head} one of {size}; keep both notes, which are \
                 the proof"
            ),
            Self::SecondHistory { size, kept, head } => write!(
                f,
                "second history: the first {size} rolls in the archive are others than those that {kept} was signed for; \
                 keep it and {head}, which are the proof"
            ),
            _ => self.of_logs(f),
        }
    }

    fn of_logs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned { roll } => write!(
                f,
                "unsigned: roll {roll} is in the archive, and no head covers it; start the notary again, or find out who \
                 set the head back"
            ),
            Self::BadRoll { roll, why } => write!(f, "bad roll: roll {roll}: {why}"),
            Self::BadRoot { roll: None } => {
                f.write_str("bad root: the rolls do not lead to the root that the notary signed")
            }
            Self::BadRoot { roll: Some(roll) } => write!(
                f,
                "bad root: the records do not lead to the root that roll {roll} names"
            ),
            Self::MissingObject { at } => write!(f, "missing object: {at}"),
            Self::AlteredObject { at } => write!(
                f,
                "altered object: {at} does not hold what the log leads to"
            ),
            Self::NotNamed { roll } => {
                write!(f, "not named: roll {roll} does not name the partition")
            }
            Self::Shrunk { roll, what } => write!(
                f,
                "shrunk: by roll {roll} the `{what}` is behind that of the roll before it"
            ),
            Self::Misstated { roll, what } => write!(
                f,
                "misstated: roll {roll} names another `{what}` than the records have"
            ),
            _ => self.of_records(f),
        }
    }

    fn of_records(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRecord { index } => write!(
                f,
                "bad record: record {index} of the log is missing from its object, or was changed"
            ),
            Self::Erased { index } => write!(
                f,
                "erased: the content of record {index} of the log was taken away"
            ),
            Self::Misplaced { index } => write!(
                f,
                "misplaced: record {index} of the log is of another partition"
            ),
            Self::Lost {
                roll,
                partition,
                offsets,
            } => write!(
                f,
                "lost: by roll {roll}, {offsets} offsets of partition {partition} of the feed were deleted before the notary \
                 read them"
            ),
            Self::Refused { roll, records } => write!(
                f,
                "refused: by roll {roll}, the feed had {records} records that are not audit records of version 2"
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for LogFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of_heads(f)
    }
}
