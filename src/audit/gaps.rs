//! Why weir was not given some offsets of its source, as brokers answer while the source still has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Class, Gap, Partition};
use crate::{
    kafka::{Brokers, brokers},
    source::kafka::{self as group, Reader},
};

/// Longest wait for an answer of a broker.
const WAIT: Duration = Duration::from_secs(30);

/// Offsets between two gaps up to which one reading covers both. Fewer: a reading for each transaction. More: records
/// are fetched that nobody asked about.
const NEAR: i64 = 10_000;

/// Asks brokers about gaps.
pub(super) struct Gaps {
    brokers: Brokers,
    /// Reads what was committed.
    pub(super) committed: Reader,
    /// Reads aborted records too.
    uncommitted: Reader,
    /// Whether topics are ever compacted.
    compacted: BTreeMap<String, bool>,
}

impl Gaps {
    /// Two readers of these brokers. Nothing is asked yet.
    pub(super) fn new(brokers: &Brokers, group_id: &str) -> Result<Self, group::Error> {
        Ok(Self {
            brokers: brokers.clone(),
            committed: Reader::new(brokers, group_id)?,
            uncommitted: Reader::uncommitted(brokers, group_id)?,
            compacted: BTreeMap::new(),
        })
    }

    /// The classes of some gaps, which are in order, in parts that make them up. Blocks.
    pub(super) fn explain(
        &mut self,
        of: &Partition,
        gaps: &[Gap],
    ) -> Result<Vec<(Gap, Class)>, KafkaError> {
        let own = (&*of.topic, of.number);
        let bounds = self
            .uncommitted
            .client()
            .fetch_watermarks(own.0, own.1, WAIT);
        let (low, _) = bounds?;
        let is_compacted = self.is_compacted(&of.topic);
        let mut parts = Vec::new();
        for gaps in gaps.chunk_by(|one, other| other.from - one.to <= NEAR) {
            // What the topic deleted since, nobody can look up.
            let start = gaps[0].from.max(low);
            let end = gaps.iter().map(|gap| gap.to).max().unwrap_or(start);
            let there = offsets(self.uncommitted.client(), own, start, end, gaps)?;
            let delivered = offsets(self.committed.client(), own, start, end, gaps)?;
            let class = |offset: i64| {
                if delivered.contains(&offset) {
                    Class::Unknown
                } else if there.contains(&offset) {
                    Class::Aborted
                } else if is_compacted {
                    Class::Unknown
                } else {
                    Class::Marker
                }
            };
            for gap in gaps {
                parts.extend(classed(*gap, start, class));
            }
        }
        Ok(parts)
    }

    /// Whether records of a topic may be removed for newer ones of their key; taken for granted where nobody says.
    fn is_compacted(&mut self, topic: &str) -> bool {
        if let Some(known) = self.compacted.get(topic) {
            return *known;
        }
        let is = self.brokers.is_compacted(topic, WAIT).unwrap_or(true);
        self.compacted.insert(topic.to_owned(), is);
        is
    }
}

/// The offsets in some gaps at which a reader is given a record.
fn offsets(
    consumer: &BaseConsumer<group::Context>,
    own: (&str, i32),
    from: i64,
    to: i64,
    gaps: &[Gap],
) -> Result<BTreeSet<i64>, KafkaError> {
    let mut found = BTreeSet::new();
    scan(consumer, own, from, to, |offset, _| {
        let behind = gaps.partition_point(|gap| gap.from <= offset);
        if gaps[..behind].last().is_some_and(|gap| offset < gap.to) {
            found.insert(offset);
        }
    })?;
    Ok(found)
}

/// A gap in parts of one class each; what stands in front of `start` is unknown.
fn classed(gap: Gap, start: i64, class: impl Fn(i64) -> Class) -> Vec<(Gap, Class)> {
    let start = start.clamp(gap.from, gap.to);
    let there = Gap { from: start, ..gap };
    let mut parts = there.parts(class);
    if gap.from < start {
        // It may be long, so its offsets are not asked one by one.
        match parts.first_mut() {
            Some((first, Class::Unknown)) => first.from = gap.from,
            _ => parts.insert(0, (Gap { to: start, ..gap }, Class::Unknown)),
        }
    }
    parts
}

/// Reads a partition from an offset to the one in front of `to`. Blocks.
pub(super) fn scan(
    consumer: &BaseConsumer<group::Context>,
    (topic, partition): (&str, i32),
    from: i64,
    to: i64,
    mut each: impl FnMut(i64, Option<&[u8]>),
) -> Result<(), KafkaError> {
    if from >= to {
        return Ok(());
    }
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(topic, partition, Offset::Offset(from))?;
    consumer.assign(&list)?;
    let mut waits_since = Instant::now();
    let outcome = loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) if message.offset() >= to => break Ok(()),
            Some(Ok(message)) => {
                each(message.offset(), message.payload());
                waits_since = Instant::now();
                if message.offset() + 1 == to {
                    break Ok(());
                }
            }
            // What stands behind the last record are marks of transactions.
            Some(Err(KafkaError::PartitionEOF(_))) => break Ok(()),
            Some(Err(error)) => {
                let code = error.rdkafka_error_code();
                let is_gone = code == Some(RDKafkaErrorCode::AutoOffsetReset);
                if is_gone || brokers::refused(&error).is_some() {
                    break Err(error);
                }
            }
            None => {}
        }
        if waits_since.elapsed() > WAIT {
            let code = RDKafkaErrorCode::OperationTimedOut;
            break Err(KafkaError::MessageConsumption(code));
        }
    };
    consumer.unassign()?;
    outcome
}
