//! Audit records of invented chains, and a feed of them in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use weir::{
    audit::{
        Class, Gap, Partition, link,
        notary::{Bounds, Feed, FeedError, Received},
        note::SigningKey,
        roll::Lost,
    },
    record::{
        Position,
        audit::{
            Audit, Begin, Chained, Delivery, GENESIS, Head, Kind, Outcome, Reason, Seal, Unit,
            VERSION,
        },
    },
};

pub const FEED: &str = "audit";

/// The author of one partition's records.
#[derive(Debug, Clone)]
pub struct Author {
    pub topic: String,
    pub partition: i32,
    pub head: Head,
    /// Offsets that it is not given before the next record.
    pub skips: i64,
}

impl Author {
    /// One whose first record is that of offset 100.
    pub fn new(topic: &str, partition: i32) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            head: Head {
                epoch: 0,
                seq: 0,
                next: 100,
                hash: GENESIS.to_owned(),
            },
            skips: 0,
        }
    }

    /// Opens an epoch.
    pub fn begin(&mut self) -> Bytes {
        let mut record = self.record(Kind::Begin);
        record.begin = Some(Begin {
            reason: Reason::New,
            delivery: Delivery::ExactlyOnce,
            group: "group".to_owned(),
            cluster: None,
            log_start: 100,
            from: self.head.next,
            weir_version: "0".to_owned(),
        });
        let opened = record.opened(self.head.epoch + 1, &self.head.hash);
        self.written(opened)
    }

    /// A record about the next offset.
    pub fn event(&mut self) -> Bytes {
        let chained = self.chained();
        self.written(chained)
    }

    /// The same with a seal.
    pub fn sealed(&mut self, key: &SigningKey) -> Bytes {
        let mut chained = self.chained();
        let hash = hex::decode(&chained.head.hash).unwrap().try_into().unwrap();
        let message = link::Seal::message(&hash);
        chained.sealed(&Seal {
            key: format!("{}+{}", key.name(), key.id()),
            signature: STANDARD.encode(key.sign_bytes(message.as_bytes())),
        });
        self.written(chained)
    }

    fn chained(&mut self) -> Chained {
        let mut record = self.record(Kind::Event);
        record.outcome = Some(Outcome::Delivered);
        let offset = self.head.next + std::mem::take(&mut self.skips);
        record.source = Position::Kafka {
            topic: self.topic.clone(),
            partition: self.partition,
            offset,
        };
        record.chained(&self.head, offset)
    }

    fn written(&mut self, chained: Chained) -> Bytes {
        self.head = chained.head;
        chained.json.into()
    }

    fn record(&self, kind: Kind) -> Audit {
        Audit {
            v: VERSION,
            kind,
            epoch: 0,
            seq: 0,
            after: None,
            event_id: "0".repeat(32),
            source: Position::Kafka {
                topic: self.topic.clone(),
                partition: self.partition,
                offset: self.head.next,
            },
            tenant: Some("acme".to_owned()),
            document_id: None,
            outcome: None,
            code: None,
            unit: Unit::CodePoint,
            findings: Vec::new(),
            pack: None,
            label_set: None,
            policy: None,
            weir_version: None,
            keys: Vec::new(),
            input_digest: None,
            output_digest: None,
            digest_key: "00000000".to_owned(),
            begin: None,
            previous: String::new(),
            hash: String::new(),
            seal: None,
        }
    }
}

/// The audit topic and the bounds of the source, as tests write them.
#[derive(Debug, Clone, Default)]
pub struct Topic {
    /// Records by partition; the offset is the place.
    pub records: BTreeMap<i32, Vec<Bytes>>,
    /// First offset of a partition that still exists.
    pub starts: BTreeMap<i32, i64>,
    pub sources: Vec<Bounds>,
    /// Why offsets of the source have no record; others are unknown.
    pub classes: BTreeMap<i64, Class>,
}

/// A reader of such a topic.
pub struct MemoryFeed {
    topic: Arc<Mutex<Topic>>,
    next: BTreeMap<i32, i64>,
}

impl MemoryFeed {
    pub fn of(topic: &Arc<Mutex<Topic>>) -> Self {
        Self {
            topic: topic.clone(),
            next: BTreeMap::new(),
        }
    }
}

impl Feed for MemoryFeed {
    fn topic(&self) -> &str {
        FEED
    }

    fn seek(&mut self, next: &BTreeMap<i32, i64>) -> Result<Vec<Lost>, FeedError> {
        let topic = self.topic.lock().unwrap();
        self.next.clone_from(next);
        let mut lost = Vec::new();
        for (partition, start) in &topic.starts {
            let own = self.next.entry(*partition).or_default();
            if *own < *start {
                lost.push(Lost {
                    partition: *partition,
                    from: *own,
                    to: *start,
                });
                *own = *start;
            }
        }
        Ok(lost)
    }

    fn read(&mut self, most: usize, _: Duration) -> Result<Vec<Received>, FeedError> {
        let topic = self.topic.lock().unwrap();
        let mut received = Vec::new();
        for (partition, records) in &topic.records {
            let next = self.next.entry(*partition).or_default();
            while let Some(record) = records.get(*next as usize)
                && received.len() < most
            {
                received.push(Received {
                    partition: *partition,
                    offset: *next,
                    record: record.clone(),
                });
                *next += 1;
            }
        }
        Ok(received)
    }

    fn sources(&mut self) -> Result<Vec<Bounds>, FeedError> {
        Ok(self.topic.lock().unwrap().sources.clone())
    }
    fn explain(&mut self, _: &Partition, gaps: &[Gap]) -> Result<Vec<(Gap, Class)>, FeedError> {
        let topic = self.topic.lock().unwrap();
        let offsets = gaps.iter().flat_map(|gap| gap.from..gap.to);
        let class = |offset| topic.classes.get(&offset).copied();
        let parts = offsets.map(|from| {
            let part = Gap { from, to: from + 1 };
            (part, class(from).unwrap_or(Class::Unknown))
        });
        Ok(parts.collect())
    }
}
