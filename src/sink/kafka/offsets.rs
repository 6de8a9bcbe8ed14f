//! Offsets of the source, together with the heads of audit chains.

use std::collections::BTreeMap;

use rdkafka::{Offset, TopicPartitionList, error::KafkaError};

use super::{Delivery, Error, error::outcome};
use crate::{
    kafka::Partition,
    record::{
        Audit, Position,
        audit::{self, About, Begin, DigestKey, Kind},
    },
};

/// Commits the offsets of deliveries by themselves: `with` does so.
pub(crate) fn commit<'d>(
    set: impl IntoIterator<Item = &'d Delivery>,
    with: impl FnOnce(&TopicPartitionList) -> Result<(), KafkaError>,
) -> Result<(), Error> {
    offsets_after(set)
        .and_then(|offsets| match offsets.count() {
            0 => Ok(()),
            _ => with(&offsets),
        })
        .map_err(|error| outcome(&error, false))
}

/// For each partition of a set the offset after its last record, and the head of its audit chain
/// beside it: so chain and offset move in one transaction.
pub(crate) fn offsets_after<'d>(
    set: impl IntoIterator<Item = &'d Delivery>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut last: BTreeMap<&Partition, &Delivery> = BTreeMap::new();
    for delivery in set {
        // The last in the order of reading: a topic that was created again begins with small offsets.
        last.insert(&delivery.envelope.partition, delivery);
    }
    let mut list = TopicPartitionList::with_capacity(last.len());
    for ((topic, partition), delivery) in last {
        let mut place = list.add_partition(topic, *partition);
        place.set_offset(Offset::Offset(delivery.envelope.offset + 1))?;
        if let Some(audit) = &delivery.audit {
            place.set_metadata(audit.event.head.to_string());
        }
    }
    Ok(list)
}

/// What is committed of some partitions: the offset, if there is one, and the end of the audit chain next to it.
pub(crate) fn committed_heads(
    committed: &TopicPartitionList,
) -> BTreeMap<Partition, (Option<i64>, audit::Committed)> {
    let elements = committed.elements();
    let heads = elements.iter().map(|place| {
        let partition = (place.topic().into(), place.partition());
        let offset = match place.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        (
            partition,
            (offset, audit::Committed::read(place.metadata())),
        )
    });
    heads.collect()
}

/// The audit record of a delivery, not yet chained.
pub(crate) fn audited(delivery: &Delivery, key: &DigestKey) -> Audit {
    let about = About {
        digests: delivery.digests.clone(),
        keys: delivery.keys.clone(),
        findings: delivery.findings.clone(),
        input_digest: delivery.envelope.digest.clone(),
    };
    let outcome = delivery.outcome.as_deref().map_err(|letter| &**letter);
    Audit::event(delivery.envelope.position(), outcome, about, key)
}

/// The record that opens an epoch of a partition's chain, not yet chained.
pub(crate) fn opening((topic, partition): &Partition, begin: Begin, key: &DigestKey) -> Audit {
    let source = Position::Kafka {
        topic: topic.to_string(),
        partition: *partition,
        offset: begin.from,
    };
    Audit {
        begin: Some(begin),
        ..Audit::new(Kind::Begin, source, key)
    }
}
