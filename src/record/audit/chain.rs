//! How audit records become a chain, and how a record that was written is read again.

use sha2::{Digest as _, Sha256};

use super::{Audit, Committed, GENESIS, Head, Kind, Outcome, Seal, VERSION, head::is_hash, id_of};

/// Stands in front of the hash of a record, and behind everything that the hash counts.
const HASH: &str = ",\"hash\":\"";
const SEAL: &str = ",\"seal\":";

/// An audit record at its place in the chain, as bytes that are written as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chained {
    /// The record in JSON.
    pub json: Vec<u8>,
    /// The end of the chain behind it.
    pub head: Head,
    /// Its id.
    pub event_id: String,
}

impl Chained {
    /// The record.
    pub fn record(&self) -> Audit {
        serde_json::from_slice(&self.json).expect("weir has written it")
    }

    /// Adds the signature of the worker. The hash does not count it.
    pub fn sealed(&mut self, seal: &Seal) {
        let closed = self.json.pop();
        debug_assert_eq!(closed, Some(b'}'), "a record is an object");
        self.json.extend_from_slice(SEAL.as_bytes());
        serde_json::to_writer(&mut self.json, seal).expect("strings are JSON");
        self.json.push(b'}');
    }
}

impl Audit {
    /// Puts an event behind the end of a chain.
    pub fn chained(mut self, behind: &Head, offset: i64) -> Chained {
        let head = self.place_behind(behind, offset);
        self.written(head.next)
    }

    /// Opens an epoch of a chain with a record that holds a `begin`.
    pub fn opened(mut self, epoch: u64, previous: &str) -> Chained {
        let begin = self.begin.as_ref().expect("the caller made a `begin`");
        let (number, place) = (epoch.to_string(), self.source.to_string());
        self.event_id = id_of(&["begin", &begin.group, &place, &number, previous]);
        let from = begin.from;
        self.epoch = epoch;
        self.seq = 0;
        previous.clone_into(&mut self.previous);
        self.written(from)
    }

    fn written(mut self, next: i64) -> Chained {
        self.hash.clear();
        self.seal = None;
        let (json, hash) = close(serde_json::to_vec(&self).expect("strings and numbers are JSON"));
        Chained {
            json,
            head: Head {
                epoch: self.epoch,
                seq: self.seq,
                next,
                hash,
            },
            event_id: self.event_id,
        }
    }
}

/// Adds to an object its last member, the hash of the bytes in front of it.
pub(in crate::record) fn close(mut json: Vec<u8>) -> (Vec<u8>, String) {
    let closed = json.pop();
    debug_assert_eq!(closed, Some(b'}'), "a record is an object");
    let hash = hex::encode(Sha256::digest(&json));
    json.extend_from_slice(HASH.as_bytes());
    json.extend_from_slice(hash.as_bytes());
    json.extend_from_slice(b"\"}");
    (json, hash)
}

/// Whether a record ends in a hash of the bytes in front of it; `behind` stands between the hash and the end.
pub(in crate::record) fn hash_fits(json: &str, hash: &str, behind: &str) -> bool {
    // The last one: text inside of a record cannot hold it, since its quotes would be escaped.
    let Some(at) = json.rfind(HASH) else {
        return false;
    };
    json[at..] == format!("{HASH}{hash}\"{behind}}}")
        && hex::encode(Sha256::digest(&json[..at])) == hash
}

/// A record of a text whose findings may not fit into memory: they are written between its two parts.
pub struct Parted {
    /// What stands in front of the findings.
    pub front: Vec<u8>,
    /// What stands behind them.
    back: Vec<u8>,
    hash: Sha256,
    head: Head,
}

impl Audit {
    /// Puts an event without findings behind the end of a chain, in two parts.
    pub fn parted(mut self, behind: &Head, offset: i64) -> Parted {
        const FINDINGS: &str = "\"findings\":[";
        self.findings.clear();
        let head = self.place_behind(behind, offset);
        let mut front = serde_json::to_string(&self).expect("strings and numbers are JSON");
        // No text in front of it holds a quote that is not escaped.
        let at = front.find(FINDINGS).expect("every record has the member");
        let mut back = front.split_off(at + FINDINGS.len()).into_bytes();
        back.pop();
        Parted {
            hash: Sha256::new_with_prefix(&front),
            front: front.into_bytes(),
            back,
            head,
        }
    }

    /// Numbers an event; the end of the chain behind it, but for its hash.
    fn place_behind(&mut self, behind: &Head, offset: i64) -> Head {
        debug_assert_eq!(self.kind, Kind::Event);
        self.epoch = behind.epoch;
        self.seq = behind.seq + 1;
        self.after = Some(behind.next - 1);
        self.previous.clone_from(&behind.hash);
        self.hash.clear();
        self.seal = None;
        Head {
            epoch: self.epoch,
            seq: self.seq,
            next: offset + 1,
            hash: String::new(),
        }
    }
}

impl Parted {
    /// Counts a stretch of the findings, which are separated by commas.
    pub fn findings(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    /// What stands behind the findings, and the end of the chain.
    pub fn end(mut self) -> (Vec<u8>, Head) {
        self.hash.update(&self.back);
        self.head.hash = hex::encode(self.hash.finalize());
        self.back.extend_from_slice(HASH.as_bytes());
        self.back.extend_from_slice(self.head.hash.as_bytes());
        self.back.extend_from_slice(b"\"}");
        (self.back, self.head)
    }
}

/// An audit record that was read, with the bytes that were hashed.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The record.
    pub record: Audit,
}

/// Why some bytes are not an audit record of version 2. Holds no text of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotChained {
    /// Not the members of an audit record, each once.
    #[error("it is not an audit record of version {VERSION} in JSON")]
    Form,
    /// Of another version.
    #[error("it is of version {0}, and this weir reads versions 1 and {VERSION}")]
    Version(u32),
    /// Its hash is of other bytes.
    #[error("its hash is not that of its bytes: it was changed after it was written")]
    Hash,
    /// An event without a place in front of it, a `begin` without a reason, or the other way round.
    #[error("its members contradict its kind")]
    Kind,
    /// Of an object, and so of no feed.
    #[error("it is of an object's audit file, which `weir audit verify --objects` checks")]
    Object,
}

impl Written {
    /// Reads a record; bytes that are no text are none.
    ///
    /// # Errors
    /// See [`NotChained`].
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, NotChained> {
        Self::read(std::str::from_utf8(bytes).map_err(|_| NotChained::Form)?)
    }

    /// Reads a record, and computes its hash again.
    ///
    /// # Errors
    /// See [`NotChained`].
    pub fn read(json: &str) -> Result<Self, NotChained> {
        let record: Audit = serde_json::from_str(json).map_err(|_| NotChained::Form)?;
        if record.v != VERSION {
            return Err(NotChained::Version(record.v));
        }
        let at = json.rfind(HASH).ok_or(NotChained::Form)?;
        let seal = match &record.seal {
            Some(seal) => {
                let seal = serde_json::to_string(seal).expect("strings are JSON");
                format!("{SEAL}{seal}")
            }
            None => String::new(),
        };
        if !is_hash(&record.hash) || json[at..] != format!("{HASH}{}\"{seal}}}", record.hash) {
            return Err(NotChained::Form);
        }
        if !hash_fits(json, &record.hash, &seal) {
            return Err(NotChained::Hash);
        }
        let is_begin = record.seq == 0 && record.after.is_none() && record.outcome.is_none();
        let is_event = record.seq > 0
            && record.begin.is_none()
            && record.after.is_some()
            && (record.code.is_some() == (record.outcome == Some(Outcome::DeadLetter)));
        let fits = match record.kind {
            Kind::Begin => is_begin && record.begin.is_some(),
            Kind::Event => is_event && record.outcome.is_some(),
        };
        match fits && record.epoch > 0 {
            true => Ok(Self { record }),
            false => Err(NotChained::Kind),
        }
    }
}

impl Committed {
    /// Epoch and hash in front of the next epoch.
    pub fn next_epoch(&self) -> (u64, &str) {
        match self {
            Self::Head(head) => (head.epoch + 1, &head.hash),
            Self::Version1(hash) => (1, hash),
            Self::Begun | Self::Foreign => (1, GENESIS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::audit::tests::{begin, event};

    fn chain() -> Vec<Chained> {
        let first = begin(0).opened(1, GENESIS);
        let second = event(0).chained(&first.head, 0);
        let third = event(4).chained(&second.head, 4);
        vec![first, second, third]
    }

    fn read(own: &Chained) -> Result<Written, NotChained> {
        Written::read(std::str::from_utf8(&own.json).unwrap())
    }

    #[test]
    fn a_chain_numbers_its_records_and_names_the_place_in_front_of_each() {
        let chain = chain();
        let read: Vec<Audit> = chain.iter().map(|own| read(own).unwrap().record).collect();
        assert_eq!(read[0].previous, GENESIS);
        assert_eq!(read[1].previous, read[0].hash);
        assert_eq!(read[2].previous, read[1].hash);
        let places: Vec<_> = read.iter().map(|own| (own.seq, own.after)).collect();
        assert_eq!(places, [(0, None), (1, Some(-1)), (2, Some(0))]);
        assert_eq!(chain[2].head.next, 5);
    }

    #[test]
    fn a_record_in_parts_is_the_same_as_one_in_whole() {
        let head = begin(0).opened(1, GENESIS).head;
        let mut second = event(0).findings.remove(0);
        second.label = "\"findings\":[".to_owned();
        for findings in [
            Vec::new(),
            event(0).findings,
            vec![event(0).findings.remove(0), second],
        ] {
            let own = Audit {
                findings: findings.clone(),
                document_id: Some("\"findings\":[".to_owned()),
                ..event(0)
            };
            let whole = own.clone().chained(&head, 0);
            let mut parts = own.parted(&head, 0);
            let mut json = parts.front.clone();
            let list = serde_json::to_vec(&findings).unwrap();
            parts.findings(&list[1..list.len() - 1]);
            json.extend_from_slice(&list[1..list.len() - 1]);
            let (back, end) = parts.end();
            json.extend(back);
            assert_eq!((json, end), (whole.json, whole.head));
        }
    }

    #[test]
    fn no_byte_of_a_record_can_be_changed() {
        let mut sealed = chain().remove(2);
        for own in [sealed.clone(), {
            sealed.sealed(&Seal {
                key: "worker+0a0b0c0d+AQ==".to_owned(),
                signature: "c2ln".to_owned(),
            });
            sealed
        }] {
            let record = read(&own).unwrap().record;
            for at in 0..own.json.len() {
                for flip in [1, 2, 32] {
                    let mut json = own.json.clone();
                    json[at] ^= flip;
                    let Ok(text) = std::str::from_utf8(&json) else {
                        continue;
                    };
                    if let Ok(changed) = Written::read(text) {
                        // A signature is checked with its key.
                        assert_eq!(changed.record.hash, record.hash);
                        assert_ne!(changed.record.seal, record.seal, "byte {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_added_twice_or_contradicts_itself_is_refused() {
        let own = String::from_utf8(chain().remove(1).json).unwrap();
        let twice = own.replacen("{\"v\":2,", "{\"v\":2,\"v\":2,", 1);
        assert_eq!(Written::read(&twice), Err(NotChained::Form));
        let more = own.replacen("{\"v\":2,", "{\"v\":2,\"note\":1,", 1);
        assert_eq!(Written::read(&more), Err(NotChained::Form));
        let newer = own.replacen("{\"v\":2,", "{\"v\":3,", 1);
        assert_eq!(Written::read(&newer), Err(NotChained::Version(3)));
        let spaced = own.replacen("{\"v\":2,", "{\"v\": 2,", 1);
        assert_eq!(Written::read(&spaced), Err(NotChained::Hash));
        let mut contradicts = event(1);
        contradicts.outcome = None;
        let head = begin(0).opened(1, GENESIS).head;
        let contradicts = contradicts.chained(&head, 1);
        assert_eq!(read(&contradicts), Err(NotChained::Kind));
    }
}
