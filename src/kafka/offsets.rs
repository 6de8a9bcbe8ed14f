//! Offsets of partitions in librdkafka's lists.

use rdkafka::{Offset, TopicPartitionList};

/// The offset of a partition in a list; `None` where there is none.
pub(crate) fn offset_of(list: &TopicPartitionList, topic: &str, partition: i32) -> Option<i64> {
    match list.find_partition(topic, partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}
