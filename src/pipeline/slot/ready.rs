//! Records that are processed and wait to be published, in the order in which they were read.

use std::ops::{Deref, DerefMut};

use crate::{kafka::Partition, sink::kafka::Delivery};

/// The records, with sums that are kept up to date: the slot asks for them in every turn of its loop.
#[derive(Default)]
pub(super) struct Ready {
    deliveries: Vec<Delivery>,
    /// Bytes that they take in memory.
    held: u64,
    /// Bytes of their records in the source.
    read: u64,
}

impl Ready {
    pub(super) fn push(&mut self, delivery: Delivery) {
        self.held += delivery.held;
        self.read += delivery.envelope.bytes;
        self.deliveries.push(delivery);
    }

    /// Takes out the first `count`.
    pub(super) fn take(&mut self, count: usize) -> Vec<Delivery> {
        let behind = self.deliveries.split_off(count);
        let set = std::mem::replace(&mut self.deliveries, behind);
        for delivery in &set {
            self.held -= delivery.held;
            self.read -= delivery.envelope.bytes;
        }
        set
    }

    pub(super) fn take_all(&mut self) -> Vec<Delivery> {
        std::mem::take(self).deliveries
    }

    /// Puts records in front of those that were read after them.
    pub(super) fn put_back(&mut self, set: Vec<Delivery>) {
        let behind = std::mem::replace(&mut self.deliveries, set);
        self.deliveries.extend(behind);
        self.weigh();
    }

    pub(super) fn drop_partitions(&mut self, of: &[Partition]) {
        self.deliveries
            .retain(|delivery| !of.contains(&delivery.envelope.partition));
        self.weigh();
    }

    fn weigh(&mut self) {
        self.held = self.deliveries.iter().map(|own| own.held).sum();
        self.read = self.deliveries.iter().map(|own| own.envelope.bytes).sum();
    }

    pub(super) fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn read(&self) -> u64 {
        self.read
    }
}

impl Deref for Ready {
    type Target = [Delivery];

    fn deref(&self) -> &[Delivery] {
        &self.deliveries
    }
}

impl DerefMut for Ready {
    fn deref_mut(&mut self) -> &mut [Delivery] {
        &mut self.deliveries
    }
}

impl Extend<Delivery> for Ready {
    fn extend<I: IntoIterator<Item = Delivery>>(&mut self, more: I) {
        more.into_iter().for_each(|delivery| self.push(delivery));
    }
}
