//! The audit feed of a stream, to be verified.

use crate::{
    audit::live::Options,
    config::{KafkaSink, KafkaSource},
};

/// Where the feed of a stream is; `None`: it has none.
pub fn options(source: &KafkaSource, sink: &KafkaSink) -> Option<Options> {
    Some(Options {
        source: source.brokers.clone(),
        group_id: source.group_id.clone(),
        topics: source.topics.clone(),
        feed: sink.brokers.clone(),
        audit: sink.topics.audit.clone()?,
    })
}
