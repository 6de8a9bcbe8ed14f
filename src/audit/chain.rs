//! One partition of the source: its records in the order of the feed, compared with each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    fault::{Class, Fault, Fold, Gap, Verdict},
    link::Worth,
};
use crate::record::audit::{
    Audit, Begin, Committed, Delivery, GENESIS, Head, Kind, NotChained, Outcome, Reason, Version1,
    hash_holds,
};

/// What the feed has of one partition.
#[derive(Debug, Default)]
pub(super) struct Chain {
    summary: Summary,
    faults: Fold,
    /// The last record of version 2.
    head: Option<Head>,
    /// Hashes of the records that opened an epoch.
    begun: BTreeSet<String>,
    /// Hash of the last record of version 1.
    version1: Option<String>,
    /// What was committed before the feed was read.
    committed: Option<(i64, Committed)>,
    /// Whether the feed has the record whose hash was committed.
    has_committed: bool,
    /// Whether a record with a wrong hash went before: what it links to is not known.
    lost_link: bool,
    /// Whether the last record has a seal.
    sealed: bool,
    /// Whether a worker promised less than exactly once.
    may_double: bool,
    /// Offsets below this are told as expired.
    expired: i64,
    /// What weir was not given and has no class yet, in order of the feed.
    gaps: Vec<Gap>,
}

/// Counts of a partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records of version 2.
    pub records: u64,
    /// Of them, of documents that were delivered.
    pub delivered: u64,
    /// Of them, of dead letters.
    pub dead_letters: u64,
    /// Records of version 1.
    pub version_1: u64,
    /// Epochs, in order.
    pub epochs: Vec<Epoch>,
    /// The offset of the source that comes next.
    pub next: Option<i64>,
    /// Seals that hold.
    pub seals: u64,
    /// Why nothing can be proven, if so.
    pub no_proof: Option<&'static str>,
    /// Offsets that weir was not given, by why.
    pub gaps: BTreeMap<Class, u64>,
}

/// Part of a chain in which each offset is answered for once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Epoch {
    /// Its number.
    pub number: u64,
    /// Why it began.
    pub reason: Reason,
    /// First offset that it answers for.
    pub from: i64,
    /// Whether offsets were read again that an epoch in front of it had answered for.
    pub rewinds: bool,
}

impl Summary {
    pub(super) fn verdict(&self) -> Verdict {
        match self.no_proof {
            None => Verdict::Proven,
            Some(_) => Verdict::NotProvable,
        }
    }
}

/// Most epochs that a summary lists.
const EPOCHS: usize = 1000;

/// What a seal is worth; `None`: no key is trusted, so seals are not looked at.
pub(super) type Sealed = Option<Worth>;

impl Chain {
    /// A record that cannot be read, which its key places here.
    pub(super) fn altered(&mut self, at: u64, why: NotChained) {
        self.faults.push(Fault::Altered { at, why });
        self.lost_link = true;
    }

    pub(super) fn version1(&mut self, at: u64, record: &Version1, json: &str) {
        self.summary.version_1 += 1;
        if !hash_holds(json, &record.hash) {
            let why = NotChained::Hash;
            self.faults.push(Fault::Altered { at, why });
        } else if self.head.is_some()
            || self
                .version1
                .as_ref()
                .is_some_and(|own| *own != record.previous)
        {
            self.faults.push(Fault::Unlinked { epoch: 0, seq: at });
        }
        self.version1 = Some(record.hash.clone());
    }

    pub(super) fn add(&mut self, record: &Audit, offset: i64, seal: Sealed) {
        self.summary.records += 1;
        self.sealed = record.seal.is_some();
        let (epoch, seq) = (record.epoch, record.seq);
        match seal.filter(|_| record.seal.is_some()) {
            Some(Worth::Trusted) => self.summary.seals += 1,
            Some(Worth::Nothing) => self.faults.push(Fault::BadSeal { epoch, seq }),
            Some(Worth::Revoked) => self.faults.push(Fault::Revoked { epoch, seq }),
            None => {}
        }
        let next = match (record.kind, &record.begin) {
            (Kind::Begin, Some(begin)) => {
                if !self.begun.insert(record.hash.clone()) {
                    self.faults.push(Fault::Repeated { epoch, seq });
                    return;
                }
                self.begins(record, begin);
                begin.from
            }
            _ => {
                // The chain goes on where it was.
                if !self.event(record, offset) {
                    return;
                }
                offset + 1
            }
        };
        self.lost_link = false;
        self.summary.next = Some(next);
        let head = Head {
            epoch: record.epoch,
            seq: record.seq,
            next,
            hash: record.hash.clone(),
        };
        if let Some((_, Committed::Head(committed))) = &self.committed {
            self.has_committed |= *committed == head;
        }
        self.head = Some(head);
    }

    /// What is committed for the partition; the feed is read after that was asked.
    pub(super) fn expects(&mut self, offset: i64, committed: Committed) {
        self.committed = Some((offset, committed));
    }

    fn begins(&mut self, record: &Audit, begin: &Begin) {
        let number = record.epoch;
        let Some(head) = &self.head else {
            self.opens(record, begin);
            self.epoch(number, begin, false);
            return;
        };
        let continues = record.previous == head.hash && number == head.epoch + 1;
        let rewinds = begin.from < head.next && begin.reason != Reason::TopicRecreated;
        if begin.from > head.next && begin.reason != Reason::TopicRecreated {
            let gap = Gap {
                from: head.next,
                to: begin.from,
            };
            // What the topic no longer held when the epoch began is expired, whatever moved the offset.
            self.faults.push(match begin.log_start >= gap.to {
                true => Fault::Expired(gap),
                false => Fault::Skipped(gap),
            });
        }
        match begin.reason {
            // Nobody knew the end of the chain: the offset of the group was gone, or another has set it.
            Reason::New | Reason::MetadataLost if record.previous == GENESIS && number == 1 => {
                let reason = begin.reason;
                self.faults.push(Fault::BeganAgain {
                    epoch: number,
                    reason,
                });
            }
            Reason::Moved | Reason::Expired | Reason::TopicRecreated if continues => {}
            _ if self.lost_link => {}
            _ => self.faults.push(Fault::Unlinked {
                epoch: number,
                seq: 0,
            }),
        }
        self.epoch(number, begin, rewinds);
    }

    /// The first `begin` of a partition.
    fn opens(&mut self, record: &Audit, begin: &Begin) {
        let is_first = record.epoch == 1 && record.previous == GENESIS;
        let fits = match begin.reason {
            Reason::Upgraded => {
                let link = self
                    .version1
                    .as_ref()
                    .is_none_or(|own| *own == record.previous);
                record.epoch == 1 && link
            }
            _ if self.version1.is_some() && !self.lost_link => false,
            Reason::New | Reason::MetadataLost => is_first,
            Reason::Moved | Reason::TopicRecreated | Reason::Expired => false,
        };
        if fits || self.lost_link {
            return;
        }
        self.faults.push(Fault::NoBeginning {
            epoch: record.epoch,
            seq: 0,
        });
    }

    fn epoch(&mut self, number: u64, begin: &Begin, rewinds: bool) {
        if self.summary.epochs.len() < EPOCHS {
            self.summary.epochs.push(Epoch {
                number,
                reason: begin.reason,
                from: begin.from,
                rewinds,
            });
        }
        self.may_double |= begin.delivery == Delivery::AtLeastOnce;
        self.expired = begin.log_start;
        if begin.log_start > begin.from {
            self.faults.push(Fault::Expired(Gap {
                from: begin.from,
                to: begin.log_start,
            }));
        }
    }

    /// Whether the chain goes on behind an event.
    fn event(&mut self, record: &Audit, offset: i64) -> bool {
        match record.outcome {
            Some(Outcome::DeadLetter) => self.summary.dead_letters += 1,
            _ => self.summary.delivered += 1,
        }
        let (epoch, seq) = (record.epoch, record.seq);
        let Some(head) = self.head.clone() else {
            self.faults.push(Fault::NoBeginning { epoch, seq });
            return true;
        };
        if (epoch, seq) <= (head.epoch, head.seq) {
            self.faults.push(Fault::Repeated { epoch, seq });
            return false;
        }
        if epoch > head.epoch {
            self.faults.push(Fault::Missing {
                epoch,
                seq: 0,
                records: seq,
            });
            return true;
        }
        if seq > head.seq + 1 && !self.lost_link {
            self.faults.push(Fault::Missing {
                epoch,
                seq: head.seq + 1,
                records: seq - head.seq - 1,
            });
        } else if seq == head.seq + 1 {
            if record.previous != head.hash {
                self.faults.push(Fault::Unlinked { epoch, seq });
            } else if record.after != Some(head.next - 1) {
                self.faults.push(Fault::Contradicts { epoch, seq });
            }
        }
        let after = record.after.unwrap_or(offset - 1);
        if after >= offset {
            self.faults.push(Fault::Contradicts { epoch, seq });
        } else if after + 1 < offset {
            self.gap(after + 1, offset);
        }
        true
    }

    /// Offsets in front of a record that weir was not given.
    fn gap(&mut self, from: i64, to: i64) {
        let from = from.max(self.expired);
        if from < to {
            self.gaps.push(Gap { from, to });
        }
    }

    /// Gaps that have no class yet.
    pub(super) fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// What the feed shows of the partition. `committed`: the offset that is committed once the feed was read, where
    /// that was asked for; `explained`: the gaps in parts, each with its class;
    /// `is_sealed`: whether the last record has to have a seal.
    pub(super) fn close(
        mut self,
        committed: Option<i64>,
        explained: &[(Gap, Class)],
        is_sealed: bool,
    ) -> Closed {
        for (gap, class) in explained {
            let offsets = u64::try_from(gap.to - gap.from).unwrap_or_default();
            *self.summary.gaps.entry(*class).or_default() += offsets;
            if *class == Class::Unknown {
                self.faults.push(Fault::Unknown(*gap));
            }
        }
        if is_sealed && self.head.is_some() && !self.sealed {
            self.faults.push(Fault::Unsealed);
        }
        if let Some(fault) = self.end(committed) {
            self.faults.push(fault);
        }
        if self.may_double {
            self.summary.no_proof = Some("delivery at least once");
        } else if self.summary.version_1 > 0 {
            self.summary.no_proof = Some("records of version 1");
        } else if self.summary.gaps.contains_key(&Class::Compacted) {
            self.summary.no_proof = Some("the topic was compacted");
        }
        Closed {
            verdict: self.faults.verdict().max(self.summary.verdict()),
            summary: self.summary,
            faults: self.faults,
        }
    }

    /// What is wrong with the end of the chain.
    fn end(&self, after: Option<i64>) -> Option<Fault> {
        let Some(head) = &self.head else {
            let (committed, _) = self.committed.as_ref()?;
            let begins = matches!(self.committed, Some((_, Committed::Begun)));
            let omitted = Fault::Omitted {
                committed: *committed,
            };
            return (!begins && self.version1.is_none()).then_some(omitted);
        };
        let feed = head.next;
        if let Some((offset, own)) = &self.committed {
            let committed = *offset;
            if feed < committed {
                return Some(Fault::Truncated { feed, committed });
            }
            // An offset that another tool has set says nothing of the chain.
            if matches!(own, Committed::Head(head) if head.next == committed) && !self.has_committed
            {
                return Some(Fault::Forked);
            }
        }
        let committed = after.filter(|after| feed > *after)?;
        Some(Fault::Ahead { feed, committed })
    }
}

/// What the feed shows of a partition.
pub(super) struct Closed {
    pub(super) verdict: Verdict,
    pub(super) summary: Summary,
    pub(super) faults: Fold,
}
