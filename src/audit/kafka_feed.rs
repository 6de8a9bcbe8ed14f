//! The audit topic of a stream, and the bounds of its source, on Kafka's brokers.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
};
use tracing::warn;

use super::{
    Class, Gap, Partition,
    gaps::Gaps,
    live,
    notary::{Bounds, Feed, FeedError, Received},
    roll::Lost,
};
use crate::{
    kafka::{Brokers, brokers},
    source::kafka::{self as group, Reader},
};

/// Longest wait for one answer of the brokers.
const WAIT: Duration = Duration::from_secs(30);

/// A feed on Kafka. It is no member of a group: the archive says where it goes on.
pub struct KafkaFeed {
    topic: String,
    reader: Reader,
    source: Reader,
    brokers: Brokers,
    /// Asks why offsets are missing; made at the first gap.
    gaps: Option<Gaps>,
    /// Names, or regular expressions behind a `^`.
    topics: Vec<String>,
    /// Where each partition of the feed goes on.
    next: BTreeMap<i32, i64>,
}

impl KafkaFeed {
    /// The audit topic on its brokers, and the source's topics on theirs. Nothing is asked yet.
    pub fn new(
        feed: &Brokers,
        topic: &str,
        source: &Brokers,
        topics: &[String],
    ) -> Result<Self, FeedError> {
        let options = |_| FeedError("a client cannot be made of these options".to_owned());
        Ok(Self {
            topic: topic.to_owned(),
            reader: Reader::new(feed, "weir-notary").map_err(options)?,
            source: Reader::new(source, "weir-notary").map_err(options)?,
            brokers: source.clone(),
            gaps: None,
            topics: topics.to_vec(),
            next: BTreeMap::new(),
        })
    }

    fn partitions(&self) -> Result<Vec<i32>, FeedError> {
        let topics = std::slice::from_ref(&self.topic);
        let found = group::partitions(&self.reader, topics).map_err(failed)?;
        let partitions: Vec<i32> = found.elements().iter().map(|own| own.partition()).collect();
        match partitions.is_empty() {
            true => Err(FeedError(format!("topic {} is missing", self.topic))),
            false => Ok(partitions),
        }
    }

    /// Where a partition goes on, and what of it no longer exists.
    fn place(&self, partition: i32, next: i64) -> Result<(i64, Option<Lost>), FeedError> {
        let (start, end) = bounds(&self.reader, &self.topic, partition)?;
        if next > end {
            return Err(FeedError(format!(
                "{}/{partition} ends at {end}, but the archive has its records up to {next}: the topic was deleted \
                 and created again",
                self.topic
            )));
        }
        let lost = (next < start).then_some(Lost {
            partition,
            from: next,
            to: start,
        });
        Ok((next.max(start), lost))
    }

    fn assign(&self) -> Result<(), FeedError> {
        let mut list = TopicPartitionList::with_capacity(self.next.len());
        for (partition, offset) in &self.next {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(failed)?;
        }
        self.reader.client().assign(&list).map_err(failed)
    }

    /// Partitions that were added since are read from their beginning.
    fn added(&mut self) -> Result<(), FeedError> {
        let known = self.next.len();
        for partition in self.partitions()? {
            self.next.entry(partition).or_insert(0);
        }
        match self.next.len() == known {
            true => Ok(()),
            false => self.assign(),
        }
    }
}

/// A record as the JSON that was hashed.
fn record(payload: &[u8]) -> Bytes {
    match live::as_json(payload) {
        Some(json) => Bytes::from(json),
        None => Bytes::copy_from_slice(payload),
    }
}

/// What the client goes on from without help is no error.
fn passing(error: &KafkaError) -> Result<(), FeedError> {
    let out_of_range = RDKafkaErrorCode::AutoOffsetReset;
    let code = error
        .rdkafka_error_code()
        .filter(|own| *own == out_of_range);
    match brokers::refused(error).or(code) {
        Some(code) => Err(FeedError(format!("{code:?}"))),
        None => Ok(()),
    }
}

/// First offset of a partition, and the one behind its last.
fn bounds(reader: &Reader, topic: &str, partition: i32) -> Result<(i64, i64), FeedError> {
    let client = reader.client();
    client
        .fetch_watermarks(topic, partition, WAIT)
        .map_err(failed)
}

fn failed(error: KafkaError) -> FeedError {
    FeedError(match error.rdkafka_error_code() {
        Some(code) => format!("{code:?}"),
        None => "the client failed".to_owned(),
    })
}

impl Feed for KafkaFeed {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn seek(&mut self, next: &BTreeMap<i32, i64>) -> Result<Vec<Lost>, FeedError> {
        self.next.clear();
        let mut all_lost = Vec::new();
        for partition in self.partitions()? {
            let next = next.get(&partition).copied().unwrap_or(0);
            let (start, lost) = self.place(partition, next)?;
            self.next.insert(partition, start);
            all_lost.extend(lost);
        }
        self.assign()?;
        Ok(all_lost)
    }

    fn read(&mut self, most: usize, wait: Duration) -> Result<Vec<Received>, FeedError> {
        let until = Instant::now() + wait;
        let mut received = Vec::new();
        while received.len() < most {
            // Once there is a record, only those that the client already has.
            let left = match received.is_empty() {
                true => until.saturating_duration_since(Instant::now()),
                false => Duration::ZERO,
            };
            let record = match self.reader.client().poll(left) {
                None => break,
                Some(Ok(message)) => Received {
                    partition: message.partition(),
                    offset: message.offset(),
                    record: record(message.payload().unwrap_or_default()),
                },
                Some(Err(KafkaError::PartitionEOF(_))) => continue,
                Some(Err(error)) => {
                    passing(&error)?;
                    continue;
                }
            };
            self.next.insert(record.partition, record.offset + 1);
            received.push(record);
        }
        Ok(received)
    }

    fn sources(&mut self) -> Result<Vec<Bounds>, FeedError> {
        self.added()?;
        let found = group::partitions(&self.source, &self.topics).map_err(failed)?;
        let found = found.elements();
        let sources = found.iter().map(|own| {
            let (topic, partition) = (own.topic().to_owned(), own.partition());
            let (log_start, high) = bounds(&self.source, &topic, partition)?;
            Ok(Bounds {
                topic,
                partition,
                log_start,
                high,
            })
        });
        sources.collect()
    }
    fn explain(&mut self, of: &Partition, gaps: &[Gap]) -> Result<Vec<(Gap, Class)>, FeedError> {
        let asked = match &mut self.gaps {
            Some(asked) => asked,
            none => {
                let options = |_| FeedError("a client cannot be made of these options".to_owned());
                none.insert(Gaps::new(&self.brokers, "weir-notary").map_err(options)?)
            }
        };
        match asked.explain(of, gaps) {
            Ok(classes) => Ok(classes),
            // The notary may not read the source, or the partition is gone: nobody says why. Brokers that are away are
            // asked again.
            Err(error) if is_final(&error) => {
                warn!(partition = %of, "offsets without a record have no class: {}", failed(error));
                Ok(gaps.iter().map(|gap| (*gap, Class::Unknown)).collect())
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Whether the brokers answer the same when they are asked again.
fn is_final(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    let gone = |code| {
        matches!(
            code,
            Code::UnknownTopicOrPartition
                | Code::UnknownTopic
                | Code::UnknownPartition
                | Code::AutoOffsetReset
        )
    };
    brokers::refused(error).is_some() || error.rdkafka_error_code().is_some_and(gone)
}
