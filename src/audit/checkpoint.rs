//! Checkpoints (<https://c2sp.org/tlog-checkpoint>): the head of a log as the text of a signed note.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    note::{self, Note, SigningKey},
    tree::Hash,
};

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint: {0}")]
pub struct Error(pub &'static str);

/// The head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log, the same in all its checkpoints.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// Root.
    pub root: Hash,
    /// Further lines, which mean nothing here.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A head without further lines.
    pub fn new(origin: &str, size: u64, root: Hash) -> Self {
        Self {
            origin: origin.to_owned(),
            size,
            root,
            extensions: Vec::new(),
        }
    }

    /// The note that a log publishes.
    pub fn signed(&self, keys: &[&SigningKey]) -> Result<Note, note::Error> {
        Note::signed(&self.to_string(), keys)
    }
}

impl FromStr for Checkpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text
            .strip_suffix('\n')
            .ok_or(Error("its last line does not end"))?;
        let mut lines = text.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(Error("it has less than three lines"));
        };
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if origin.is_empty() || extensions.iter().any(String::is_empty) {
            return Err(Error("a line is empty"));
        }
        let root = STANDARD.decode(root).ok();
        Ok(Self {
            origin: origin.to_owned(),
            size: decimal(size).ok_or(Error("its size is not a number"))?,
            root: root
                .and_then(|root| root.try_into().ok())
                .ok_or(Error("its root is not a hash in base64"))?,
            extensions,
        })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root);
        writeln!(f, "{}\n{}\n{root}", self.origin, self.size)?;
        self.extensions
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A number in the one form that it has: `007` and `+7` are none.
pub(super) fn decimal(digits: &str) -> Option<u64> {
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}
