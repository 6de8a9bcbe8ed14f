//! What can be wrong with files of a sink, and with their commit records.

use std::fmt;

use serde::Serialize;

use super::Verdict;

/// Something that is wrong with a file or a commit record. Paths, places and counts, no text of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum FileFault {
    /// A commit record lists a file that is not there.
    NoFile {
        /// Path below the sink.
        file: String,
    },
    /// A file is not the one that was committed.
    OtherFile {
        /// Path below the sink.
        file: String,
        /// Its size.
        bytes: u64,
        /// The committed size.
        committed: u64,
    },
    /// A file holds more or fewer records than a commit record says.
    Counts {
        /// Path below the sink, or the kind of file.
        file: String,
        /// What was found.
        found: u64,
        /// What the commit record says.
        committed: u64,
    },
    /// A commit record was changed, or stands in another's place.
    Commit {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Offsets of a partition have no commit record, and later ones have.
    NoCommit {
        /// Where the record in front of them ends.
        from: i64,
        /// Where the next one begins.
        to: i64,
    },
    /// An audit record is about another object, or other offsets, than its commit record.
    Elsewhere {
        /// Its number in the audit file.
        seq: u64,
    },
    /// An audit record answers for a document that another one has answered for.
    Twice {
        /// Its number in the audit file.
        seq: u64,
    },
    /// An audit file that no commit record lists.
    Unlisted {
        /// Path below the sink.
        file: String,
    },
}

impl FileFault {
    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoFile { .. } => "no_file",
            Self::OtherFile { .. } => "other_file",
            Self::Counts { .. } => "counts",
            Self::Commit { .. } => "commit",
            Self::NoCommit { .. } => "no_commit",
            Self::Elsewhere { .. } => "elsewhere",
            Self::Twice { .. } => "twice",
            Self::Unlisted { .. } => "unlisted",
        }
    }

    /// What follows from it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::OtherFile { .. }
            | Self::Counts { .. }
            | Self::Commit { .. }
            | Self::Elsewhere { .. }
            | Self::Twice { .. } => Verdict::Broken,
            Self::NoFile { .. } | Self::NoCommit { .. } | Self::Unlisted { .. } => {
                Verdict::Incomplete
            }
        }
    }
}

impl fmt::Display for FileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile { file } => {
                write!(
                    f,
                    "no file: the commit record lists {file}, which does not exist"
                )
            }
            Self::OtherFile {
                file,
                bytes,
                committed,
            } if bytes != committed => write!(
                f,
                "other file: {file} has {bytes} bytes, and the commit record says {committed}"
            ),
            Self::OtherFile { file, .. } => write!(
                f,
                "other file: the digest of {file} is not the one in the commit record"
            ),
            Self::Counts {
                file,
                found,
                committed,
            } => write!(
                f,
                "counts: {file} has {found} records, and the commit record says {committed}"
            ),
            Self::Commit { why } => write!(f, "commit: {why}"),
            Self::NoCommit { from, to } => write!(
                f,
                "no commit: no commit record begins at offset {from}, and the next one begins at {to}"
            ),
            Self::Elsewhere { seq } => write!(
                f,
                "elsewhere: record {seq} of the audit file is not about what was committed"
            ),
            Self::Twice { seq } => write!(
                f,
                "twice: record {seq} of the audit file answers for a document again"
            ),
            Self::Unlisted { file } => write!(f, "unlisted: no commit record lists {file}"),
        }
    }
}
