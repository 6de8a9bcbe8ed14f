use std::io;

use crate::store;

/// Why a source cannot be opened or read. What is wrong with one record or one object is a dead
/// letter, not an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The place cannot be opened, read or listed.
    #[error(transparent)]
    Place(#[from] store::Error),
    /// A pattern that cannot be compiled.
    #[error("pattern `{pattern}` is not valid: {reason}")]
    Pattern {
        /// As configured.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// Nothing is there.
    #[error("nothing exists at {url}")]
    Nothing {
        /// The place.
        url: String,
    },
    /// Standard input, or a temporary file.
    #[error("{at} cannot be read")]
    Io {
        /// What was read.
        at: String,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Place(error) => return error.hint(),
            Self::Pattern { .. } => "patterns are globs such as **/*.log; a tenant path is a regex",
            Self::Nothing { .. } => "check the URL; for a prefix, check the bucket too",
            Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
