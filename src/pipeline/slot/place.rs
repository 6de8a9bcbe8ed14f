//! One partition of a slot that writes files: what is gathered of it, and how far its chain goes.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use tokio::task::JoinHandle;
use tracing::warn;

use super::{
    account::Tally,
    files::{ANSWER, Unknown},
    group::Group,
    publisher::Bounds,
};
use crate::{
    kafka::{Lost, Partition},
    record::audit::DigestKey,
    sink::{
        self, FileSet, Sealed,
        chain::{Head, Outcome},
        kafka::Delivery,
    },
    store::Compression,
    telemetry::trace,
};

/// One partition, once the end of its chain is known.
pub(super) struct Place {
    pub(super) head: Head,
    /// What is below is gathered or committed.
    pub(super) end: i64,
    /// Offsets from here on to the first that comes were skipped.
    pub(super) gap_from: Option<i64>,
    /// Records that come are from the wrong place until the consumer has been sent there.
    pub(super) seek_to: Option<i64>,
    pub(super) open: Option<Open>,
    pub(super) sealed: Option<Waiting>,
}

/// How sets are made.
pub(super) struct Making {
    pub(super) compression: Option<Compression>,
    /// Key of the digests in audit records; without one nothing is audited.
    pub(super) digest_key: Option<DigestKey>,
    /// Consumer group whose offsets are counted.
    pub(super) group: String,
}

impl Making {
    fn set(&self, partition: &Partition, first: i64, gap_from: Option<i64>, from: i64) -> FileSet {
        let mut set = FileSet::new(first, gap_from, self.compression);
        if let Some(key) = &self.digest_key {
            set.audit(key, &self.group, partition, from);
        }
        set
    }
}

/// What is gathered.
pub(super) struct Open {
    pub(super) set: FileSet,
    pub(super) tally: Tally,
    pub(super) since: Instant,
    pub(super) told: Told,
}

/// What is put aside to be written.
pub(super) struct Waiting {
    pub(super) set: Arc<Sealed>,
    pub(super) tally: Tally,
    pub(super) writing: Option<(JoinHandle<Result<Outcome, sink::Error>>, Instant)>,
    pub(super) told: Told,
}

/// What is told of a set's records.
#[derive(Default)]
pub(super) struct Told {
    /// When the first of them was written.
    pub(super) written: Option<SystemTime>,
    /// To their spans.
    pub(super) links: Vec<trace::Link>,
}

impl Place {
    /// Where a partition begins whose chain ends at `head` while its group stands at `offset`.
    pub(super) fn begin(
        group: &impl Group,
        partition: &Partition,
        offset: Option<i64>,
        head: Head,
    ) -> Result<Self, Unknown> {
        let mut place = Self::at(head);
        if head.newest.is_none() {
            return Ok(place);
        }
        let (low, high) = group
            .bounds(partition, ANSWER)
            .map_err(|error| Unknown::Brokers(error.rdkafka_error_code()))?;
        let (topic, number) = partition;
        if high < head.next {
            return Err(Unknown::Store(sink::Error::Shorter {
                topic: topic.to_string(),
                partition: *number,
                end: high,
                next: head.next,
            }));
        }
        let set_forward = offset.is_some_and(|offset| offset > head.next);
        if set_forward || low > head.next {
            warn!(
                topic = &**topic,
                partition = number,
                from = head.next,
                to = offset.unwrap_or(low).max(low),
                "weir skips offsets: the group was set forward, or the topic no longer holds them"
            );
            place.gap_from = Some(head.next);
        }
        // The group is behind after a kill between record and offset, or was set back.
        if !set_forward && offset != Some(head.next) {
            place.seek_to = Some(head.next);
        }
        #[cfg(test)]
        super::planted::seek_too_far(&mut place);
        Ok(place)
    }

    pub(super) fn at(head: Head) -> Self {
        Self {
            head,
            end: head.next,
            gap_from: None,
            seek_to: None,
            open: None,
            sealed: None,
        }
    }

    pub(super) fn memory(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |open| open.set.memory());
        open + self.sealed.as_ref().map_or(0, |sealed| sealed.set.memory())
    }

    fn is_full(&self, bounds: &Bounds) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.set.records() >= bounds.documents as u64 || open.set.received() >= bounds.bytes
        })
    }

    pub(super) fn is_due(&self, bounds: &Bounds, over: bool) -> bool {
        let old = |open: &Open| over || open.since.elapsed() >= bounds.wait;
        self.is_full(bounds) || self.open.as_ref().is_some_and(old)
    }

    pub(super) fn make_room(&mut self, bounds: &Bounds) -> bool {
        if self.is_full(bounds) {
            self.seal();
        }
        !self.is_full(bounds)
    }

    /// Puts what is gathered aside to be written, unless something is there already.
    pub(super) fn seal(&mut self) {
        if self.sealed.is_none()
            && let Some(Open {
                set, tally, told, ..
            }) = self.open.take()
        {
            self.sealed = Some(Waiting {
                set: Arc::new(set.seal()),
                tally,
                writing: None,
                told,
            });
        }
    }

    /// A record in front of which others were deleted begins a set of its own, whose commit record says so.
    /// False while there is no room for one.
    pub(super) fn opens_gap(&mut self, delivery: &Delivery) -> bool {
        let Some(Lost::Deleted { from, .. }) = delivery.envelope.lost else {
            return true;
        };
        if delivery.envelope.offset < self.end {
            return true;
        }
        self.seal();
        if self.open.is_none() {
            self.gap_from.get_or_insert(from);
        }
        self.open.is_none()
    }

    pub(super) fn add(&mut self, delivery: Delivery, making: &Making) {
        // Committed already: the group was behind its chain.
        if delivery.envelope.offset < self.end {
            return;
        }
        let (offset, partition) = (delivery.envelope.offset, &delivery.envelope.partition);
        // In front of the first record of a chain nobody knows what there was.
        let is_behind = self.end > 0 && self.gap_from.is_none();
        let from = if is_behind { self.end } else { offset };
        self.end = offset + 1;
        let gap_from = self.gap_from.take();
        let open = self.open.get_or_insert_with(|| Open {
            set: making.set(partition, offset, gap_from, from),
            tally: Tally::default(),
            since: Instant::now(),
            told: Told {
                written: delivery.envelope.written,
                links: Vec::new(),
            },
        });
        if !delivery.link.is_empty() {
            open.told.links.push(delivery.link.clone());
        }
        open.set.add(&delivery);
        open.tally.add(delivery);
    }
}
