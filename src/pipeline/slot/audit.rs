//! The audit records of a slot: for each partition a chain, whose end is committed with the offset, so
//! that the worker that takes the partition over continues it.
//!
//! A chain has epochs. Within one, each offset is answered for once: by its record, or by the `after` of the record
//! behind it. Where that cannot be continued (nothing was committed, the offset was moved, records are gone), a `begin`
//! says why, in the same transaction as the first record of the new epoch.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rdkafka::error::KafkaError;

use super::group::Group;
use crate::{
    audit::{link, note::SigningKey},
    kafka::{Lost, Partition},
    record::audit::{Begin, Chained, Committed, Delivery as Promise, DigestKey, Head, Reason},
    sink::kafka::{Audited, Delivery, Error, audited, committed_heads, offsets_after, opening},
};

/// The chains of a slot's partitions.
pub(super) struct Chains {
    /// Key of the digests; without one nothing is audited.
    key: Option<DigestKey>,
    /// Consumer group whose offsets are counted.
    group: String,
    delivery: Promise,
    /// Signs the last record of each partition in a set.
    seal: Option<Arc<SigningKey>>,
    /// Ends that are committed, as far as they are known.
    ends: BTreeMap<Partition, End>,
}

/// What the next record of a partition stands behind.
#[derive(Debug, Clone)]
enum End {
    /// The last record.
    Head(Head),
    /// A new epoch.
    Epoch {
        reason: Reason,
        /// First offset that it answers for; `None`: the first that the topic holds.
        from: Option<i64>,
        /// Its number, and the hash in front of it.
        number: u64,
        previous: String,
    },
}

impl End {
    /// By what is committed: an offset, and what stands next to it.
    fn of(offset: Option<i64>, committed: &Committed) -> Self {
        let Some(offset) = offset else {
            return Self::epoch(Reason::New, None, &Committed::Foreign);
        };
        match committed {
            Committed::Head(head) if head.next == offset => Self::Head(head.clone()),
            Committed::Head(_) => Self::epoch(Reason::Moved, Some(offset), committed),
            Committed::Version1(_) => Self::epoch(Reason::Upgraded, Some(offset), committed),
            Committed::Begun => Self::epoch(Reason::New, Some(offset), committed),
            Committed::Foreign => Self::epoch(Reason::MetadataLost, Some(offset), committed),
        }
    }

    fn epoch(reason: Reason, from: Option<i64>, behind: &Committed) -> Self {
        let (number, previous) = behind.next_epoch();
        Self::Epoch {
            reason,
            from,
            number,
            previous: previous.to_owned(),
        }
    }

    /// After the loss that the client noticed in front of a record.
    fn after(self, lost: Lost) -> Self {
        let Self::Head(head) = self else {
            return self;
        };
        let (reason, from) = match lost {
            Lost::Deleted { from, .. } => (Reason::Expired, Some(from)),
            Lost::Replaced => (Reason::TopicRecreated, None),
        };
        Self::epoch(reason, from, &Committed::Head(head))
    }
}

impl Chains {
    pub(super) fn new(
        key: Option<DigestKey>,
        group: &str,
        is_transactional: bool,
        seal: Option<Arc<SigningKey>>,
    ) -> Self {
        Self {
            key,
            group: group.to_owned(),
            delivery: match is_transactional {
                true => Promise::ExactlyOnce,
                false => Promise::AtLeastOnce,
            },
            seal,
            ends: BTreeMap::new(),
        }
    }

    /// Gives each record of a set its audit records, behind the last one of its partition. Asks the brokers
    /// for ends that are not known. Blocks.
    pub(super) fn extend<G: Group>(
        &mut self,
        set: &mut [Delivery],
        group: &G,
        wait: Duration,
    ) -> Result<(), Error> {
        let Some(key) = &self.key else {
            return Ok(());
        };
        let is_unknown = |own: &Delivery| !self.ends.contains_key(&own.envelope.partition);
        if set.iter().any(is_unknown) {
            let places = offsets_after(&*set).map_err(failed)?;
            let committed = group.committed(places, wait).map_err(failed)?;
            for (partition, (offset, head)) in committed_heads(&committed) {
                let end = || End::of(offset, &head);
                self.ends.entry(partition).or_insert_with(end);
            }
        }
        let mut ends = self.ends.clone();
        for delivery in &mut *set {
            let partition = &delivery.envelope.partition;
            let Some(end) = ends.get_mut(partition) else {
                return Err(Error::Aborted { code: None });
            };
            if let Some(lost) = delivery.envelope.lost {
                *end = end.clone().after(lost);
            }
            let (begin, head) = match end {
                End::Head(head) => (None, head.clone()),
                End::Epoch { .. } => {
                    let offset = delivery.envelope.offset;
                    let asked = Asked {
                        group,
                        name: &self.group,
                        delivery: self.delivery,
                        wait,
                    };
                    let begin = asked.begin(end, partition, offset, key)?;
                    let head = begin.head.clone();
                    (Some(begin), head)
                }
            };
            let event = audited(delivery, key).chained(&head, delivery.envelope.offset);
            *end = End::Head(event.head.clone());
            delivery.audit = Some(Box::new(Audited { begin, event }));
        }
        if let Some(seal) = &self.seal {
            seal_last(set, seal);
        }
        Ok(())
    }

    /// A record is committed, and its audit record with it.
    pub(super) fn committed(&mut self, delivery: &Delivery) {
        if let Some(audit) = &delivery.audit {
            let end = End::Head(audit.event.head.clone());
            self.ends.insert(delivery.envelope.partition.clone(), end);
        }
    }

    /// Another worker goes on with these chains.
    pub(super) fn forget(&mut self, revoked: &[Partition]) {
        for partition in revoked {
            self.ends.remove(partition);
        }
    }

    /// What is committed is not known: the ends are asked for again.
    pub(super) fn forget_all(&mut self) {
        self.ends.clear();
    }
}

/// Signs the last record of each partition: it vouches for all in front of it.
fn seal_last(set: &mut [Delivery], key: &SigningKey) {
    let mut sealed: BTreeSet<Partition> = BTreeSet::new();
    for delivery in set.iter_mut().rev() {
        if !sealed.insert(delivery.envelope.partition.clone()) {
            continue;
        }
        if let Some(audit) = &mut delivery.audit {
            let seal = link::seal(key, &audit.event.head.hash);
            audit.event.sealed(&seal);
        }
    }
}

fn failed(error: KafkaError) -> Error {
    Error::Aborted {
        code: error.rdkafka_error_code(),
    }
}

/// The brokers, as they are asked about a new epoch.
struct Asked<'g, G> {
    group: &'g G,
    name: &'g str,
    delivery: Promise,
    wait: Duration,
}

impl<G: Group> Asked<'_, G> {
    /// The `begin` of an epoch whose first record stands at `offset`. Blocks.
    fn begin(
        &self,
        end: &End,
        partition: &Partition,
        offset: i64,
        key: &DigestKey,
    ) -> Result<Chained, Error> {
        let End::Epoch {
            reason,
            from,
            number,
            previous,
        } = end
        else {
            return Err(Error::Aborted { code: None });
        };
        // No record stands in front of offset 0, and the answer may wait behind a fetch (`Consumer::begins_right`).
        let log_start = match offset {
            0 => 0,
            _ => self.group.bounds(partition, self.wait).map_err(failed)?.0,
        };
        let begin = Begin {
            reason: *reason,
            delivery: self.delivery,
            group: self.name.to_owned(),
            cluster: self.group.cluster(self.wait),
            log_start,
            // Retention may have gone on since the record was read.
            from: from.unwrap_or(log_start).min(offset),
            weir_version: crate::VERSION.to_owned(),
        };
        Ok(opening(partition, begin, key).opened(*number, previous))
    }
}
