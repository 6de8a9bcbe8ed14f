//! The consumer group, as far as a slot uses it: a seam, so that a slot runs without a broker in its
//! tests.

use std::time::Duration;

use rdkafka::{TopicPartitionList, consumer::ConsumerGroupMetadata, error::KafkaError};

use crate::{
    kafka::Partition,
    source::kafka::{Consumer, End, Error, Record},
};

/// A member of a consumer group. [`Consumer`] documents what each call promises.
pub trait Group: 'static {
    /// Shows the broker that the member still has its partitions.
    type Member: Send + 'static;

    /// The next record, if one comes within `wait`. Serves the group.
    fn poll(&mut self, wait: Duration) -> Result<Option<Record>, Error>;

    /// Whether records wait for an answer of a registry or the brokers.
    fn is_waiting(&self) -> bool;

    /// Whether the group has taken this member in, with or without partitions.
    fn has_joined(&self) -> bool;

    /// Partitions that were revoked since the last call.
    fn take_revoked(&mut self) -> Vec<Partition>;

    /// Ends of this member's partitions, once for each statistics.
    fn take_ends(&self) -> Vec<End>;

    /// Stops or goes on fetching with the next poll.
    fn pause(&mut self, paused: bool);

    /// Whether fetching is stopped.
    fn is_paused(&self) -> bool;

    /// How many partitions this member has.
    fn assigned(&self) -> usize;

    /// This member in the group's present generation; `None` once the group has let it go.
    fn member(&self) -> Option<Self::Member>;

    /// Offsets that are committed for some partitions; all of them, or an error.
    fn committed(
        &self,
        of: TopicPartitionList,
        wait: Duration,
    ) -> Result<TopicPartitionList, KafkaError>;

    /// Commits offsets without a transaction.
    fn commit(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError>;

    /// The same without waiting.
    fn commit_later(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError>;

    /// The first offset of a partition, and the one after the last.
    fn bounds(&self, of: &Partition, wait: Duration) -> Result<(i64, i64), KafkaError>;

    /// Id of the cluster, where its brokers say it.
    fn cluster(&self, wait: Duration) -> Option<String>;

    /// Goes on reading a partition at another offset.
    fn seek(&mut self, of: &Partition, offset: i64, wait: Duration) -> Result<(), KafkaError>;
}

impl Group for Consumer {
    type Member = ConsumerGroupMetadata;

    fn poll(&mut self, wait: Duration) -> Result<Option<Record>, Error> {
        Self::poll(self, wait)
    }

    fn is_waiting(&self) -> bool {
        Self::is_waiting(self)
    }

    fn has_joined(&self) -> bool {
        Self::has_joined(self)
    }

    fn take_revoked(&mut self) -> Vec<Partition> {
        let revoked = Self::take_revoked(self).into_iter();
        revoked
            .map(|(topic, partition)| (topic.into(), partition))
            .collect()
    }

    fn take_ends(&self) -> Vec<End> {
        Self::take_ends(self)
    }

    fn pause(&mut self, paused: bool) {
        Self::pause(self, paused);
    }

    fn is_paused(&self) -> bool {
        Self::is_paused(self)
    }

    fn assigned(&self) -> usize {
        Self::assigned(self)
    }

    fn member(&self) -> Option<ConsumerGroupMetadata> {
        self.group()
    }

    fn committed(
        &self,
        of: TopicPartitionList,
        wait: Duration,
    ) -> Result<TopicPartitionList, KafkaError> {
        Self::committed(self, of, wait)
    }

    fn commit(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        Self::commit(self, offsets)
    }

    fn commit_later(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        Self::commit_later(self, offsets)
    }

    fn bounds(&self, of: &Partition, wait: Duration) -> Result<(i64, i64), KafkaError> {
        Self::bounds(self, of, wait)
    }

    fn cluster(&self, wait: Duration) -> Option<String> {
        Self::cluster(self, wait)
    }

    fn seek(&mut self, of: &Partition, offset: i64, wait: Duration) -> Result<(), KafkaError> {
        Self::seek(self, of, offset, wait)
    }
}
