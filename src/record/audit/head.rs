//! The end of a partition's chain, as it is committed with the offset: the next owner of the partition continues there.

use std::{fmt, str::FromStr};

/// Hash in front of the first record of a chain.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The end of a partition's chain. Its text form stands in the metadata of the committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Epoch of the last record.
    pub epoch: u64,
    /// Its number in the epoch.
    pub seq: u64,
    /// The offset of the source that comes next.
    pub next: i64,
    /// Its hash.
    pub hash: String,
}

/// What stands in the metadata of a committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// The end of a chain.
    Head(Head),
    /// The last hash of a chain of version 1.
    Version1(String),
    /// weir marked the end of the partition, where the group begins.
    Begun,
    /// Nothing that weir wrote.
    Foreign,
}

const VERSION1: &str = "weir-audit/1:";
const VERSION2: &str = "weir-audit/2:";

/// Metadata of an offset at which weir lets a group begin.
pub const BEGUN: &str = "weir-begin/1";

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            epoch,
            seq,
            next,
            hash,
        } = self;
        write!(f, "{VERSION2}{epoch}:{seq}:{next}:{hash}")
    }
}

/// Text that is not the end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the end of an audit chain: expected {VERSION2}EPOCH:SEQ:NEXT:HASH")]
pub struct NoHead;

impl FromStr for Head {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let rest = text.strip_prefix(VERSION2).ok_or(NoHead)?;
        let parts: Vec<&str> = rest.split(':').collect();
        let [epoch, seq, next, hash] = parts.as_slice() else {
            return Err(NoHead);
        };
        if !is_hash(hash) {
            return Err(NoHead);
        }
        Ok(Self {
            epoch: epoch.parse().map_err(|_| NoHead)?,
            seq: seq.parse().map_err(|_| NoHead)?,
            next: next.parse().map_err(|_| NoHead)?,
            hash: (*hash).to_owned(),
        })
    }
}

impl Committed {
    /// Reads the metadata of a committed offset.
    pub fn read(metadata: &str) -> Self {
        if let Some(hash) = metadata.strip_prefix(VERSION1)
            && is_hash(hash)
        {
            return Self::Version1(hash.to_owned());
        }
        if metadata == BEGUN {
            return Self::Begun;
        }
        metadata.parse().map_or(Self::Foreign, Self::Head)
    }
}

/// Whether a text is 64 hexadecimal digits as weir writes them.
pub(super) fn is_hash(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_the_metadata_and_other_text_is_foreign() {
        let head = Head {
            epoch: 3,
            seq: 17,
            next: i64::MAX,
            hash: "0a".repeat(32),
        };
        let text = head.to_string();
        assert_eq!(Committed::read(&text), Committed::Head(head));
        let old = format!("weir-audit/1:{}", "0b".repeat(32));
        assert_eq!(
            Committed::read(&old),
            Committed::Version1("0b".repeat(32)),
            "a chain of version 1 goes on"
        );
        assert_eq!(Committed::read(BEGUN), Committed::Begun);
        for foreign in ["", "weir-audit/2:1:2:3", "weir-audit/1:", "another tool's"] {
            assert_eq!(Committed::read(foreign), Committed::Foreign, "{foreign}");
        }
        for at in 0..text.len() {
            // Cut short it is nobody's, and never another head.
            assert_eq!(Committed::read(&text[..at]), Committed::Foreign);
        }
    }
}
