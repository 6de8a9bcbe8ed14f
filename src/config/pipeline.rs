//! `[pipeline]`: how the worker starts and stops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the worker stops.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Pipeline")]
pub struct Section {
    /// Seconds to finish the objects under way after SIGTERM. After that the process ends with exit
    /// code 143, and the next run processes the objects.
    #[schemars(range(min = 1, max = 3600))]
    pub drain_timeout_secs: u64,
    /// Seconds after which a worker on topics counts as stuck: work waits, and nothing was
    /// committed. weir then logs what it waits for, and `/livez` says 503. After twice that time
    /// the process ends with exit code 75, so that a supervisor starts it again. Must exceed
    /// `sink.transaction.timeout_ms`. Time in which the brokers or the store do not answer does not
    /// count.
    #[schemars(range(min = 10, max = 86400))]
    pub stall_secs: u64,
    /// What weir promises from topic to topic. It always publishes objects exactly once.
    pub delivery: Delivery,
    /// Consumers in this process, each with its own producer and a share of the partitions. They
    /// share the model's threads, so one is enough unless the brokers are far away.
    #[schemars(range(min = 1, max = 64))]
    pub slots: u16,
}

/// What weir promises from topic to topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// weir commits records and offsets in one transaction.
    #[default]
    ExactlyOnce,
    /// No transactions: weir commits offsets after the records; a fault doubles some records.
    AtLeastOnce,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            drain_timeout_secs: 20, // a third of the Helm chart's grace period of 60 s
            stall_secs: 120,
            delivery: Delivery::ExactlyOnce,
            slots: 1,
        }
    }
}
