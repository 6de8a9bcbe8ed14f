//! The audit records of a slot: for each partition a chain, whose head is committed with the offset, so
//! that the worker that takes the partition over continues it.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::error::KafkaError;

use super::group::Group;
use crate::{
    kafka::Partition,
    record::audit::DigestKey,
    sink::kafka::{Delivery, Error, audited, heads, offsets_after},
};

/// The chains of a slot's partitions.
pub(super) struct Chains {
    /// Key of the digests; without one nothing is audited.
    key: Option<DigestKey>,
    /// Heads that are committed, as far as they are known.
    heads: BTreeMap<Partition, String>,
}

impl Chains {
    pub(super) fn new(key: Option<DigestKey>) -> Self {
        Self {
            key,
            heads: BTreeMap::new(),
        }
    }

    /// Gives each record of a set its audit record, behind the last one of its partition. Asks the brokers
    /// for heads that are not known. Blocks.
    pub(super) fn extend<G: Group>(
        &mut self,
        set: &mut [Delivery],
        group: &G,
        wait: Duration,
    ) -> Result<(), Error> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let failed = |error: KafkaError| Error::Aborted {
            code: error.rdkafka_error_code(),
        };
        let is_unknown = |own: &Delivery| !self.heads.contains_key(&own.envelope.partition);
        if set.iter().any(is_unknown) {
            let places = offsets_after(&*set).map_err(failed)?;
            let committed = group.committed(places, wait).map_err(failed)?;
            for (partition, head) in heads(&committed) {
                self.heads.entry(partition).or_insert(head);
            }
        }
        let mut heads = self.heads.clone();
        for delivery in set {
            let Some(head) = heads.get_mut(&delivery.envelope.partition) else {
                return Err(Error::Aborted { code: None });
            };
            let audit = audited(delivery, key).chained(head);
            head.clone_from(&audit.hash);
            delivery.audit = Some(audit);
        }
        Ok(())
    }

    /// A record is committed, and its audit record with it.
    pub(super) fn committed(&mut self, delivery: &Delivery) {
        if let Some(audit) = &delivery.audit {
            let head = audit.hash.clone();
            self.heads.insert(delivery.envelope.partition.clone(), head);
        }
    }

    /// Another worker goes on with these chains.
    pub(super) fn forget(&mut self, revoked: &[Partition]) {
        for partition in revoked {
            self.heads.remove(partition);
        }
    }

    /// What is committed is not known: the heads are asked for again.
    pub(super) fn forget_all(&mut self) {
        self.heads.clear();
    }
}
