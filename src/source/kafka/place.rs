//! How far a partition was read, and what a record means that does not come from there.
//!
//! A client's word for where it reads is not enough. librdkafka delivers the last record again if a rebalance
//! pauses the partition in the moment in which it hands that record out. If a leader answers strangely during an
//! election, librdkafka goes back to the end of an epoch or to the first record (`OFFSET_OUT_OF_RANGE`), and drops
//! what it has fetched. weir would double records, or lose them. So a jump is believed only if the partition
//! itself shows the reason ([`Look`]).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rdkafka::Message;
use twox_hash::xxhash3_128::Hasher;

use crate::kafka::Lost;

/// Least time between two looks at a partition's first offset. Gaps are common where the input is
/// transactional or compacted: a question for each of them would stop the slot.
const LOOK: Duration = Duration::from_secs(1);

/// Time for which a partition has to look like another one. A leader that was replaced and has not heard of it
/// yet knows less than was read.
const SURE: Duration = Duration::from_secs(3);

/// Most gaps that are kept without a look.
const GAPS: usize = 4096;

/// Most records that are kept for comparison.
const TRAIL: usize = 16;

/// What a record holds and when it was written, to recognise it.
///
/// Each record that is read gets one, so the hash is a fast one (a cryptographic one cost 5% of the records per second
/// without a model). A producer that makes two records of equal prints gains nothing: weir takes them for the same record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    written: Option<i64>,
    key: Option<u128>,
    value: Option<u128>,
}

impl Print {
    pub(super) fn of(message: &impl Message) -> Self {
        Self {
            written: message.timestamp().to_millis(),
            key: message.key().map(Hasher::oneshot),
            value: message.payload().map(Hasher::oneshot),
        }
    }
}

/// A look into a partition by another way than the client's reading.
pub(super) trait Look {
    /// Why there is no answer.
    type Error;

    /// The first offset, and the one after the last that may be read.
    fn bounds(&mut self) -> Result<(i64, i64), Self::Error>;

    /// The first record at an offset or behind it.
    fn at(&mut self, offset: i64) -> Result<Option<(i64, Print)>, Self::Error>;
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// The next one, which is taken in, and what is lost in front of it.
    Next(Option<Lost>),
    /// Another one: reading has to go on at `at`.
    Elsewhere { at: i64 },
    /// The partition looks like another one, and has not for long enough: the record has to wait.
    Unsure,
}

/// How far a partition was read.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The offset that comes next if there is no gap.
    next: i64,
    /// Nothing came since the client was sent there.
    is_sent: bool,
    /// The partition is another one than the records before were from.
    begins_again: bool,
    /// Since when the partition looks like another one.
    strange_since: Option<Instant>,
    /// Some records that were taken, by their offsets: the last ones, and fewer of those before.
    trail: VecDeque<(i64, Print)>,
    /// First offsets and ends of gaps of which is not known why they are there.
    gaps: Vec<(i64, i64)>,
    looked: Option<Instant>,
    /// The largest gap in which there is nothing. A look into a gap takes some milliseconds, and where the input is
    /// transactional or compacted there are many: those up to this size are believed.
    largest: i64,
}

impl Place {
    /// A partition whose next record is at `next` or behind it.
    pub(super) fn at(next: i64) -> Self {
        Self {
            next,
            is_sent: true,
            begins_again: false,
            strange_since: None,
            trail: VecDeque::new(),
            gaps: Vec::new(),
            looked: None,
            largest: 0,
        }
    }

    /// The slot reads on at another offset.
    pub(super) fn send_to(&mut self, offset: i64) {
        self.next = offset;
        self.is_sent = true;
        self.gaps.clear();
        self.trail.retain(|(at, _)| *at < offset);
    }

    /// Takes a record in if it is the next one.
    ///
    /// # Errors
    /// A look failed; the record was not taken in.
    pub(super) fn take<L: Look>(
        &mut self,
        offset: i64,
        print: Print,
        now: Instant,
        look: &mut L,
    ) -> Result<Came, L::Error> {
        if offset < self.next
            && let Some(came) = self.back(offset, now, look)?
        {
            return Ok(came);
        }
        self.strange_since = None;
        let gap = (offset > self.next).then_some((self.next, offset));
        let is_due = self
            .looked
            .is_none_or(|looked| now.duration_since(looked) >= LOOK);
        let is_strange = offset > self.next && (self.is_sent || offset - self.next > self.largest);
        let looks = (is_due || self.gaps.len() >= GAPS) && (gap.is_some() || !self.gaps.is_empty());
        let mut first = None;
        if looks || is_strange {
            first = Some(look.bounds()?.0);
            self.looked = Some(now);
        }
        if is_strange && let Some(first) = first {
            let from = self.next.max(first);
            let is_first = |found: (i64, Print)| found.0 >= offset;
            if from < offset && !look.at(from)?.is_some_and(is_first) {
                self.is_sent = true;
                return Ok(Came::Elsewhere { at: from });
            }
            self.largest = self.largest.max(offset - from);
        }
        let mut lost = self.note_gap(gap, first);
        if std::mem::take(&mut self.begins_again) {
            lost = Some(Lost::Replaced);
        }
        self.is_sent = false;
        self.next = offset + 1;
        self.keep(offset, print);
        Ok(Came::Next(lost))
    }

    /// What a gap, and those before it, have lost, if the partition's first offset is known.
    fn note_gap(&mut self, gap: Option<(i64, i64)>, first: Option<i64>) -> Option<Lost> {
        let Some(first) = first else {
            self.gaps.extend(gap);
            return None;
        };
        // Records are deleted from the front, so this tells of all gaps.
        let deleted = |(from, to): (i64, i64)| (to.min(first) - from).max(0).unsigned_abs();
        let gaps = std::mem::take(&mut self.gaps);
        let all = gaps.into_iter().chain(gap);
        let mut found = all.map(|gap| (gap.0, deleted(gap)));
        let (from, records) = found.find(|(_, records)| *records > 0)?;
        let records = records + found.map(|(_, records)| records).sum::<u64>();
        Some(Lost::Deleted { from, records })
    }

    /// What a record is in front of those that were taken; `None`: the first of another partition of this name.
    fn back<L: Look>(
        &mut self,
        offset: i64,
        now: Instant,
        look: &mut L,
    ) -> Result<Option<Came>, L::Error> {
        let (first, end) = look.bounds()?;
        let mut differs = end < self.next;
        let mut same = None;
        for &(at, print) in self.trail.iter().rev() {
            if at < first {
                break;
            }
            if at >= end {
                differs = true;
                continue;
            }
            match look.at(at)? {
                Some(found) if found == (at, print) => {
                    same = Some(at);
                    break;
                }
                // Compaction has deleted it.
                Some((found, _)) if found > at => {}
                _ => differs = true,
            }
        }
        if !differs {
            self.strange_since = None;
            self.is_sent = true;
            let at = self.next.max(first);
            return Ok(Some(Came::Elsewhere { at }));
        }
        let since = *self.strange_since.get_or_insert(now);
        if now.duration_since(since) < SURE {
            return Ok(Some(Came::Unsure));
        }
        // Behind the last record that is still there; it is another topic if none is.
        let from = same.map_or(first, |same| same + 1).max(first);
        let mut trail = std::mem::take(&mut self.trail);
        trail.retain(|(at, _)| *at < from && same.is_some());
        *self = Self {
            begins_again: true,
            trail,
            largest: self.largest,
            ..Self::at(from)
        };
        let elsewhere = Came::Elsewhere { at: from };
        Ok((offset != from).then_some(elsewhere))
    }

    /// Keeps a record for comparison, and every other one of the older half if there are too many.
    fn keep(&mut self, offset: i64, print: Print) {
        if self.trail.len() == TRAIL {
            let mut number = 0;
            self.trail.retain(|_| {
                number += 1;
                number > TRAIL / 2 || number % 2 == 1
            });
        }
        self.trail.push_back((offset, print));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A partition of which only the first offset is known, and that a record is the next one.
    struct Known {
        first: i64,
        next: Option<i64>,
    }

    impl Look for Known {
        type Error = ();

        fn bounds(&mut self) -> Result<(i64, i64), ()> {
            Ok((self.first, i64::MAX))
        }

        fn at(&mut self, offset: i64) -> Result<Option<(i64, Print)>, ()> {
            Ok(self.next.map(|next| (next.max(offset), print(0))))
        }
    }

    fn print(number: u64) -> Print {
        Print {
            written: None,
            key: None,
            value: Some(number.into()),
        }
    }

    fn take(place: &mut Place, offset: i64, now: Instant, first: i64) -> Came {
        let next = Some(offset);
        let mut look = Known { first, next };
        place.take(offset, print(0), now, &mut look).unwrap()
    }

    #[test]
    fn what_was_deleted_is_counted_and_other_gaps_are_not() {
        let now = Instant::now();
        let mut place = Place::at(10);
        assert_eq!(take(&mut place, 10, now, 0), Came::Next(None));
        // A mark of a transaction.
        assert_eq!(take(&mut place, 12, now, 0), Came::Next(None));
        let later = now + LOOK;
        let lost = Lost::Deleted {
            from: 13,
            records: 27,
        };
        assert_eq!(take(&mut place, 43, later, 40), Came::Next(Some(lost)));
        assert_eq!(take(&mut place, 44, later, 44), Came::Next(None));
    }

    #[test]
    fn a_question_without_an_answer_is_asked_again() {
        struct Silent;
        impl Look for Silent {
            type Error = ();
            fn bounds(&mut self) -> Result<(i64, i64), ()> {
                Err(())
            }
            fn at(&mut self, _: i64) -> Result<Option<(i64, Print)>, ()> {
                Err(())
            }
        }
        let mut place = Place::at(0);
        let now = Instant::now();
        assert_eq!(place.take(9, print(0), now, &mut Silent), Err(()));
        let lost = Lost::Deleted {
            from: 0,
            records: 9,
        };
        assert_eq!(take(&mut place, 9, now, 9), Came::Next(Some(lost)));
        assert_eq!(place.take(3, print(0), now, &mut Silent), Err(()));
    }

    #[test]
    fn a_trail_is_short_and_reaches_back_to_the_first_record() {
        let mut place = Place::at(0);
        for offset in 0..100_000 {
            place.keep(offset, print(0));
        }
        let trail: Vec<i64> = place.trail.iter().map(|(at, _)| *at).collect();
        assert!(trail.len() <= TRAIL && trail[0] == 0, "{trail:?}");
        assert!(trail.ends_with(&[99_997, 99_998, 99_999]), "{trail:?}");
    }

    /// A partition in memory: records with their numbers, and offsets that hold none.
    #[derive(Default)]
    struct Log {
        records: VecDeque<(i64, u64)>,
        first: i64,
        end: i64,
        /// Answers that do not come.
        silent: u32,
    }

    impl Log {
        fn from(&self, offset: i64) -> Option<(i64, u64)> {
            self.records.iter().find(|own| own.0 >= offset).copied()
        }

        fn answers(&mut self) -> Result<(), ()> {
            let answers = self.silent == 0;
            self.silent = self.silent.saturating_sub(1);
            answers.then_some(()).ok_or(())
        }
    }

    impl Look for Log {
        type Error = ();

        fn bounds(&mut self) -> Result<(i64, i64), ()> {
            self.answers()?;
            Ok((self.first, self.end))
        }

        fn at(&mut self, offset: i64) -> Result<Option<(i64, Print)>, ()> {
            self.answers()?;
            let found = self.from(offset);
            Ok(found.map(|(at, number)| (at, print(number))))
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// Records are written.
        Write(u8),
        /// The mark of a transaction, or what an aborted one wrote.
        Skip(u8),
        /// The client delivers some records.
        Read(u8),
        /// The client jumps so far, farther than over a gap that is believed.
        Jump(i64),
        /// A record comes that the client had fetched before it jumped, likewise.
        Stale(usize),
        /// Retention deletes some records.
        Delete(u8),
        /// Compaction deletes one.
        Compact(usize),
        /// The brokers lose some of the last records.
        Truncate(u8),
        /// The topic is deleted and created again, and so many records are written. The client goes to their
        /// end (KIP-320) if that is before the place up to which it has read.
        Replace(u8),
        /// Looks get no answer.
        Silence(u8),
        /// The slot reads again what it took last.
        Seek(u8),
    }

    /// `breaks`: whether the brokers lose records, or the topic is replaced. There are no other gaps then: a
    /// gap that takes the place of a record looks as if compaction had deleted it. And the client jumps back
    /// only, and nothing comes late or is read again: what stands where lost records stood is not noticed from behind it.
    fn step(breaks: bool) -> impl Strategy<Value = Step> {
        let farthest = if breaks { 0 } else { 30 };
        let special = match breaks {
            true => prop_oneof![
                (1_u8..9).prop_map(Step::Truncate),
                (0_u8..9).prop_map(Step::Replace)
            ]
            .boxed(),
            false => prop_oneof![
                3 => (1_u8..4).prop_map(Step::Skip),
                1 => (0_usize..60).prop_map(Step::Compact),
                3 => (0_usize..60).prop_map(Step::Stale),
                1 => (1_u8..5).prop_map(Step::Seek),
            ]
            .boxed(),
        };
        prop_oneof![
            8 => (1_u8..8).prop_map(Step::Write),
            9 => (1_u8..12).prop_map(Step::Read),
            4 => (-60_i64..=farthest).prop_map(Step::Jump),
            1 => (1_u8..6).prop_map(Step::Delete),
            2 => (1_u8..4).prop_map(Step::Silence),
            4 => special,
        ]
    }

    /// A client of one partition, what was taken of it, and what it could have been.
    struct Driver {
        log: Log,
        place: Place,
        position: i64,
        written: u64,
        now: Instant,
        /// Numbers of records that were taken, in order.
        taken: Vec<u64>,
        /// Numbers of records that may be missing.
        deleted: Vec<u64>,
    }

    impl Driver {
        fn new() -> Self {
            Self {
                log: Log::default(),
                place: Place::at(0),
                position: 0,
                written: 0,
                now: Instant::now(),
                taken: Vec::new(),
                deleted: Vec::new(),
            }
        }

        fn write(&mut self) {
            let record = (self.log.end, self.written);
            self.log.records.push_back(record);
            self.log.end += 1;
            self.written += 1;
        }

        /// A record comes; it is tried until it is decided.
        fn come(&mut self, (offset, number): (i64, u64)) {
            loop {
                let came = self
                    .place
                    .take(offset, print(number), self.now, &mut self.log);
                match came {
                    Ok(Came::Next(_)) => {
                        self.taken.push(number);
                        return;
                    }
                    Ok(Came::Elsewhere { at }) => {
                        self.position = at;
                        return;
                    }
                    Ok(Came::Unsure) | Err(()) => self.now += Duration::from_millis(700),
                }
            }
        }

        /// Reads one record, if there is one. librdkafka goes to the first if it is out of range.
        fn read(&mut self) -> bool {
            if self.position < self.log.first || self.position > self.log.end {
                self.position = self.log.first;
            }
            let Some(record) = self.log.from(self.position) else {
                return false;
            };
            self.position = record.0 + 1;
            self.come(record);
            true
        }

        fn step(&mut self, step: &Step) {
            self.now += Duration::from_millis(300);
            match *step {
                Step::Write(count) => (0..count).for_each(|_| self.write()),
                Step::Skip(count) => self.log.end += i64::from(count),
                Step::Read(count) => {
                    let _ = (0..count).all(|_| self.read());
                }
                Step::Jump(by @ 1..) => {
                    self.position = self.place.next + self.place.largest + by;
                }
                Step::Jump(by) => self.position = self.position.min(self.place.next + by),
                Step::Stale(nth) => {
                    // Of this topic: librdkafka drops what is of another one.
                    let records = &self.log.records;
                    let record = records.get(nth % records.len().max(1)).copied();
                    let place = &self.place;
                    let is_told = |own: &(i64, u64)| {
                        let by = own.0 - place.next;
                        by < 0 || place.is_sent || by > place.largest
                    };
                    if let Some(record) = record.filter(is_told) {
                        self.come(record);
                    }
                }
                Step::Delete(count) => {
                    for _ in 0..count {
                        let gone = self.log.records.pop_front();
                        self.deleted.extend(gone.map(|own| own.1));
                    }
                    let first = self.log.records.front().map(|own| own.0);
                    self.log.first = first.unwrap_or(self.log.end);
                }
                Step::Compact(nth) => {
                    // Never the last one.
                    let count = self.log.records.len().saturating_sub(1);
                    if count > 0 {
                        let gone = self.log.records.remove(nth % count);
                        self.deleted.extend(gone.map(|own| own.1));
                    }
                }
                Step::Truncate(count) => {
                    for _ in 0..count {
                        let gone = self.log.records.pop_back();
                        self.deleted.extend(gone.map(|own| own.1));
                        self.log.end = gone.map_or(self.log.end, |own| own.0);
                    }
                    // KIP-320.
                    self.position = self.position.min(self.log.end);
                }
                Step::Replace(count) => {
                    let gone = std::mem::take(&mut self.log.records);
                    self.deleted.extend(gone.into_iter().map(|own| own.1));
                    self.log = Log::default();
                    (0..count).for_each(|_| self.write());
                    let is_shorter = self.log.end < self.place.next;
                    self.position = if is_shorter { self.log.end } else { 0 };
                }
                Step::Silence(count) => self.log.silent = count.into(),
                Step::Seek(back) => {
                    // As a slot that reads again what it has not published.
                    let count = self.taken.len().saturating_sub(back.into());
                    if let Some(number) = self.taken.get(count).copied()
                        && let Some(record) = self.log.records.iter().find(|own| own.1 == number)
                    {
                        self.place.send_to(record.0);
                        self.position = record.0;
                        self.taken.truncate(count);
                    }
                }
            }
        }

        /// Reads all that is left, to a record behind the last jump.
        fn end(&mut self) {
            self.write();
            while self.log.end <= self.position {
                self.write();
            }
            self.log.silent = 0;
            let mut turns = 0;
            while self.read() {
                turns += 1;
                assert!(turns < 100_000, "no end: {:?}", self.place);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

        /// Wherever the client jumps, and whatever comes late: each record that was not deleted is taken
        /// once, in order.
        #[test]
        fn a_client_that_jumps_loses_and_doubles_nothing(
            steps in proptest::collection::vec(step(false), 1..80)
        ) {
            let mut driver = Driver::new();
            for step in &steps {
                driver.step(step);
            }
            driver.end();
            prop_assert!(driver.taken.is_sorted_by(|a, b| a < b), "{:?}", driver.taken);
            let missing: Vec<u64> = (0..driver.written)
                .filter(|own| !driver.taken.contains(own) && !driver.deleted.contains(own))
                .collect();
            prop_assert_eq!(missing, Vec::<u64>::new());
        }

        /// If the brokers lose records or the topic is created again, nothing that is there is lost.
        #[test]
        fn nothing_of_a_partition_that_begins_again_is_lost(
            steps in proptest::collection::vec(step(true), 1..80)
        ) {
            let mut driver = Driver::new();
            for step in &steps {
                driver.step(step);
            }
            driver.end();
            let left = driver.log.records.iter().map(|own| own.1);
            let missing: Vec<u64> = left.filter(|own| !driver.taken.contains(own)).collect();
            prop_assert_eq!(missing, Vec::<u64>::new());
        }

        /// Records that are deleted in front of a reader are counted to the last one, however often the
        /// partition is looked at.
        #[test]
        fn deleted_records_are_counted_exactly(
            steps in proptest::collection::vec((0_i64..5, 0_u64..900), 1..60)
        ) {
            let (mut place, start) = (Place::at(0), Instant::now());
            let (mut next, mut deleted, mut counted, mut millis) = (0, 0, 0, 0);
            let last = (1, 1000);
            for (gap, passed) in steps.into_iter().chain([last]) {
                millis += passed;
                deleted += gap.unsigned_abs();
                let offset = next + gap;
                let now = start + Duration::from_millis(millis);
                if let Came::Next(Some(Lost::Deleted { records, .. })) = take(&mut place, offset, now, offset) {
                    counted += records;
                }
                next = offset + 1;
            }
            prop_assert_eq!(counted, deleted);
        }
    }
}
