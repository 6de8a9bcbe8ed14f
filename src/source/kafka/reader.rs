//! A reader of partitions without a group, for replays and checks.

use std::time::{Duration, Instant};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{ANSWER, Error, client::Context, consumer::committed, place::Print};
use crate::kafka::{Brokers, Partition, brokers};

/// A reader of partitions that it is given: no member of its group, whose name only says under
/// which offsets are committed.
pub(crate) struct Reader(BaseConsumer<Context>);

impl Reader {
    pub(crate) fn new(brokers: &Brokers, group_id: &str) -> Result<Self, Error> {
        Self::open(brokers, group_id).map_err(Error::Options)
    }

    /// One that also reads records of aborted transactions.
    pub(crate) fn uncommitted(brokers: &Brokers, group_id: &str) -> Result<Self, Error> {
        Self::isolated(brokers, group_id, "read_uncommitted").map_err(Error::Options)
    }

    /// The same as [`Self::new`] with the client's own error.
    pub(super) fn open(brokers: &Brokers, group_id: &str) -> Result<Self, KafkaError> {
        Self::isolated(brokers, group_id, "read_committed")
    }

    fn isolated(brokers: &Brokers, group_id: &str, level: &str) -> Result<Self, KafkaError> {
        let mut config = brokers.config();
        config
            .set("group.id", group_id)
            .set("isolation.level", level)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error");
        let context = Context {
            token_file: brokers.token_file.clone(),
            ..Context::default()
        };
        let inner: BaseConsumer<Context> = config.create_with_context(context)?;
        if brokers.token_file.is_some() {
            let _ = inner.poll(Duration::from_millis(100));
        }
        Ok(Self(inner))
    }

    pub(crate) fn client(&self) -> &BaseConsumer<Context> {
        &self.0
    }

    /// The first record of a partition at an offset or behind it. Blocks.
    pub(super) fn at(
        &self,
        (topic, partition): &Partition,
        offset: i64,
        wait: Duration,
    ) -> Result<Option<(i64, Print)>, KafkaError> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(topic, *partition, Offset::Offset(offset))?;
        self.0.assign(&list)?;
        let found = self.first(offset, wait);
        // Nothing more is fetched.
        self.0.unassign()?;
        found
    }

    /// The first record that comes from an offset or behind it.
    fn first(&self, offset: i64, wait: Duration) -> Result<Option<(i64, Print)>, KafkaError> {
        let start = Instant::now();
        while start.elapsed() < wait {
            match self.0.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.offset() >= offset => {
                    return Ok(Some((message.offset(), Print::of(&message))));
                }
                Some(Ok(_)) | None => {}
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
                Some(Err(error)) => {
                    let code = error.rdkafka_error_code();
                    if code == Some(RDKafkaErrorCode::AutoOffsetReset) {
                        return Err(error);
                    }
                    // The client goes on from others.
                }
            }
        }
        let code = RDKafkaErrorCode::OperationTimedOut;
        Err(KafkaError::MessageConsumption(code))
    }

    /// Whether the brokers refuse to give out the records of a topic.
    pub(super) fn is_refused(&self, topic: &str) -> bool {
        let mut list = TopicPartitionList::with_capacity(1);
        let begun = list
            .add_partition_offset(topic, 0, Offset::Beginning)
            .and_then(|()| self.0.assign(&list));
        let start = Instant::now();
        while begun.is_ok() && start.elapsed() < ANSWER / 2 {
            match self.0.poll(Duration::from_millis(100)) {
                Some(Err(error)) if brokers::refused(&error).is_some() => return true,
                // A record, or the end of the partition.
                Some(_) => return false,
                None => {}
            }
        }
        false
    }

    /// Offsets that are committed for some partitions; all of them, or an error.
    pub(crate) fn committed(
        &self,
        partitions: TopicPartitionList,
        wait: Duration,
    ) -> Result<TopicPartitionList, KafkaError> {
        committed(&self.0, partitions, wait)
    }
}
