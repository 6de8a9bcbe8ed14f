//! Offsets of the source, together with the heads of audit chains.

use std::collections::BTreeMap;

use rdkafka::{Offset, TopicPartitionList, error::KafkaError};

use super::{Delivery, Error, error::outcome};
use crate::{
    kafka::{Lost, Partition},
    record::{
        Audit, DeadLetter,
        audit::{self, DigestKey},
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
            place.set_metadata(format!("{CHAIN}{}", audit.hash));
        }
    }
    Ok(list)
}

/// What stands before a chain's head in the metadata of committed offsets.
const CHAIN: &str = "weir-audit/1:";

/// Heads of the audit chains of some partitions, as committed with their offsets.
pub(crate) fn heads(committed: &TopicPartitionList) -> BTreeMap<Partition, String> {
    let head = |metadata: &str| match metadata.strip_prefix(CHAIN) {
        Some(head) => head.to_owned(),
        None => audit::GENESIS.to_owned(),
    };
    let elements = committed.elements();
    let heads = elements.iter().map(|place| {
        let partition = (place.topic().into(), place.partition());
        (partition, head(place.metadata()))
    });
    heads.collect()
}

/// The audit record of a delivery, not yet chained.
pub(crate) fn audited(delivery: &Delivery, key: &DigestKey) -> Audit {
    let source = delivery.envelope.position();
    let done = delivery.outcome.as_ref().ok();
    let letter = delivery.outcome.as_ref().err();
    let digests = done.map(|done| done.entities.digests.clone());
    let of_letter =
        |own: fn(&DeadLetter) -> &Option<String>| letter.and_then(|own_| own(own_).clone());
    Audit {
        event_id: audit::event_id(&source, digests.as_ref()),
        source,
        tenant: done
            .map(|done| done.entities.tenant.clone())
            .or_else(|| of_letter(|letter| &letter.tenant)),
        document_id: done
            .map(|done| done.entities.document_id.clone())
            .or_else(|| of_letter(|letter| &letter.document_id)),
        code: letter.map(|letter| letter.code),
        unit: audit::Unit::CodePoint,
        findings: delivery.findings.clone(),
        digests,
        input_digest: delivery.envelope.digest.clone(),
        output_digest: done.map(|done| key.digest(&done.redacted.bytes())),
        digest_key: key.id(),
        skipped: match delivery.envelope.lost {
            Some(Lost::Deleted { records, .. }) => Some(records),
            Some(Lost::Replaced) | None => None,
        },
        previous: String::new(),
        hash: String::new(),
    }
}
