//! What came out, compared with what went in.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::BorrowedMessage,
};
use serde::Deserialize;

use super::{DEAD_LETTERS, ENTITIES, INPUT, PARTITIONS, REDACTIONS};

#[derive(Debug, Default)]
pub struct Count {
    pub input: usize,
    pub dead_letters: usize,
    /// Records without entities and dead letter, and documents without redaction.
    pub lost: usize,
    /// Outputs beyond the first of a record.
    pub doubled: usize,
}

/// Where a record stood in the input.
#[derive(Deserialize)]
struct Output {
    source: Place,
}

#[derive(Deserialize)]
struct Place {
    partition: i32,
    offset: i64,
}

/// Reads all topics as a `read_committed` reader.
pub fn count(address: &str) -> Count {
    let mut count = Count::default();
    let mut inputs = BTreeSet::new();
    read(address, INPUT, |message| {
        inputs.insert((message.partition(), message.offset()));
    });
    count.input = inputs.len();
    let mut outputs = BTreeSet::new();
    let mut delivered = 0;
    for topic in [ENTITIES, DEAD_LETTERS] {
        read(address, topic, |message| {
            let output: Output = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let place = (output.source.partition, output.source.offset);
            count.doubled += usize::from(!outputs.insert(place));
            match topic {
                ENTITIES => delivered += 1,
                _ => count.dead_letters += 1,
            }
        });
    }
    let mut redactions: usize = 0;
    read(address, REDACTIONS, |_| redactions += 1);
    count.doubled += redactions.saturating_sub(delivered);
    count.lost = inputs.difference(&outputs).count() + delivered.saturating_sub(redactions);
    count
}

/// How many records of the input the group has not committed.
pub fn left(address: &str, group: &str) -> Result<i64, KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", group)
        .create()?;
    let timeout = Duration::from_secs(10);
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition(INPUT, partition);
    }
    let committed = consumer.committed_offsets(list, timeout)?;
    let mut left = 0;
    for partition in committed.elements() {
        partition.error()?;
        let (_, end) = consumer.fetch_watermarks(INPUT, partition.partition(), timeout)?;
        left += end - partition.offset().to_raw().unwrap_or(0).max(0);
    }
    Ok(left)
}

fn read(address: &str, topic: &str, mut take: impl FnMut(&BorrowedMessage<'_>)) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "reader")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut ended = BTreeSet::new();
    let start = Instant::now();
    while ended.len() < PARTITIONS as usize {
        assert!(
            start.elapsed() < Duration::from_secs(180),
            "{topic} has no end"
        );
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => take(&message),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            // The broker may just have come back.
            Some(Err(_)) | None => {}
        }
    }
}
