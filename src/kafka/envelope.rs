//! What stands around the value of a record.

use std::{sync::Arc, time::SystemTime};

use crate::record::Position;

/// What stands around a record's value, from the source to the sink.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Where the record stood.
    pub partition: Partition,
    /// Its offset.
    pub offset: i64,
    /// Its key, byte for byte.
    pub key: Option<Bytes>,
    /// Headers that go on.
    pub headers: Vec<Header>,
    /// When it was written, as its broker or producer says.
    pub written: Option<SystemTime>,
    /// Bytes of its value.
    pub bytes: u64,
    /// Digest of its value, where records are audited.
    pub digest: Option<String>,
    /// What stood in front of it and can't be read.
    pub lost: Option<Lost>,
}

impl Envelope {
    /// The record's place, as records name it.
    pub fn position(&self) -> Position {
        position(&self.partition, self.offset)
    }
}

impl Envelope {
    /// The header of a name that goes on, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| &*header.name == name)?;
        std::str::from_utf8(&header.value.as_ref()?.0).ok()
    }

    /// Puts a header in the place of all of its name.
    pub fn set_header(&mut self, name: &str, value: String) {
        self.headers.retain(|header| &*header.name != name);
        self.headers.push(Header {
            name: name.into(),
            value: Some(Bytes(value.into_bytes())),
        });
    }
}

/// A place in a partition, as records name it.
pub(crate) fn position((topic, partition): &Partition, offset: i64) -> Position {
    Position::Kafka {
        topic: topic.to_string(),
        partition: *partition,
        offset,
    }
}

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
