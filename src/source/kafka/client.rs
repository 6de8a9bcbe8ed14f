//! Callbacks of a member's client: partitions that come and go, how far they go, errors, tokens.

use std::{
    error::Error as StdError,
    path::PathBuf,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, ConsumerContext, Rebalance},
    error::KafkaError,
};
use tracing::{info, warn};

use crate::kafka::brokers;

/// What rdkafka calls back into.
#[derive(Default)]
pub(crate) struct Context {
    pub(super) token_file: Option<PathBuf>,
    pub(super) revoked: Mutex<Vec<(String, i32)>>,
    pub(super) assigned: Mutex<Vec<(String, i32)>>,
    pub(super) ends: Mutex<Vec<End>>,
    /// Whether the group has taken this member in.
    pub(super) joined: AtomicBool,
}

pub(super) fn locked<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn taken<T>(list: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut *locked(list))
}

fn names_of(partitions: &TopicPartitionList) -> Vec<(String, i32)> {
    let elements = partitions.elements();
    let names = elements
        .iter()
        .map(|e| (e.topic().to_owned(), e.partition()));
    names.collect()
}

/// How far a partition goes, by the last statistics.
#[derive(Debug, Clone)]
pub struct End {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// The offset after the last record that may be read.
    pub end: i64,
    /// The offset at which the group stood when the partition was assigned.
    pub committed: i64,
    /// Whether the client has read up to `end`, and has nothing of it left.
    pub is_read: bool,
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        brokers::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, _: &str) {
        brokers::goes_on(&error);
    }

    fn stats(&self, statistics: Statistics) {
        // A member that gets no partition, because others have all, is not told of an assignment.
        if statistics
            .cgrp
            .is_some_and(|group| group.join_state == "steady")
        {
            self.joined.store(true, Ordering::Release);
        }
        let mut ends = locked(&self.ends);
        ends.clear();
        for (topic, of_topic) in &statistics.topics {
            for (number, partition) in &of_topic.partitions {
                // Others' partitions have no fetch going on.
                if *number >= 0 && partition.ls_offset >= 0 && partition.fetch_state == "active" {
                    ends.push(End {
                        topic: topic.clone(),
                        partition: *number,
                        end: partition.ls_offset,
                        committed: partition.committed_offset.max(partition.lo_offset).max(0),
                        is_read: partition.next_offset >= partition.ls_offset
                            && partition.fetchq_cnt == 0,
                    });
                }
            }
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        brokers::token(self.token_file.as_deref())
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Revoke(partitions) => {
                locked(&self.revoked).extend(names_of(partitions));
                info!(partitions = partitions.count(), "partitions revoked");
            }
            Rebalance::Assign(partitions) => {
                info!(partitions = partitions.count(), "partitions assigned");
            }
            Rebalance::Error(error) => warn!(code = ?error.rdkafka_error_code(), "no rebalance"),
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            self.joined.store(true, Ordering::Release);
            locked(&self.assigned).extend(names_of(partitions));
        }
    }
}
