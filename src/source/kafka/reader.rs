//! A reader of partitions without a group, for replays and checks.

use std::time::{Duration, Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
};

use super::{ANSWER, Error, client::Context, consumer::committed};
use crate::kafka::{Brokers, brokers};

/// A reader of partitions that it is given: no member of its group, whose name only says under
/// which offsets are committed.
pub(crate) struct Reader(BaseConsumer<Context>);

impl Reader {
    pub(crate) fn new(brokers: &Brokers, group_id: &str) -> Result<Self, Error> {
        let mut config = brokers.config();
        config
            .set("group.id", group_id)
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error");
        let context = Context {
            token_file: brokers.token_file.clone(),
            ..Context::default()
        };
        let inner: BaseConsumer<Context> = config
            .create_with_context(context)
            .map_err(Error::Options)?;
        if brokers.token_file.is_some() {
            let _ = inner.poll(Duration::from_millis(100));
        }
        Ok(Self(inner))
    }

    pub(crate) fn client(&self) -> &BaseConsumer<Context> {
        &self.0
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
