//! What stands around the value of a record.

use std::sync::Arc;

/// Topic and partition.
pub type Partition = (Arc<str>, i32);

/// Bytes that may be personal: `Debug` shows how many.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: Arc<str>,
    /// Its value.
    pub value: Option<Bytes>,
}

/// What stood in front of a record and can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The topic no longer holds records that were not read.
    Deleted {
        /// The first offset of them.
        from: i64,
        /// How many offsets.
        records: u64,
    },
    /// The partition begins again: its topic was deleted and created again, or its brokers lost its end.
    Replaced,
}
