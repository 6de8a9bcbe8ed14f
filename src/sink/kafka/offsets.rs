//! Offsets of the source, together with the heads of audit chains.

use std::collections::BTreeMap;

use rdkafka::{Offset, TopicPartitionList, error::KafkaError};

use super::{Delivery, Error, error::outcome};
use crate::{
    kafka::Partition,
    record::{
        Audit, DeadLetter, Position,
        audit::{self, Begin, DigestKey, Kind, Outcome},
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
    let source = delivery.envelope.position();
    let done = delivery.outcome.as_deref().ok();
    let letter = delivery.outcome.as_ref().err();
    let of_letter =
        |own: fn(&DeadLetter) -> &Option<String>| letter.and_then(|own_| own(own_).clone());
    let made_by = delivery.digests.as_deref();
    Audit {
        event_id: audit::event_id(&source, made_by),
        tenant: done
            .map(|done| done.entities.tenant.clone())
            .or_else(|| of_letter(|letter| &letter.tenant)),
        document_id: done
            .map(|done| done.entities.document_id.clone())
            .or_else(|| of_letter(|letter| &letter.document_id)),
        outcome: Some(match letter {
            None => Outcome::Delivered,
            Some(_) => Outcome::DeadLetter,
        }),
        code: letter.map(|letter| letter.code),
        findings: delivery.findings.clone(),
        pack: made_by.map(|own| own.pack.clone()),
        label_set: made_by.map(|own| own.label_set.clone()),
        policy: made_by.map(|own| own.policy.clone()),
        keys: delivery.keys.clone(),
        weir_version: made_by.map(|own| own.weir_version.clone()),
        input_digest: delivery.envelope.digest.clone(),
        output_digest: done.map(|done| key.digest(&done.redacted.bytes())),
        ..Audit::new(Kind::Event, source, key)
    }
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
