//! Where a group and its partitions begin, and what a partition no longer holds.
//!
//! weir lets librdkafka begin at the oldest record if it finds no committed offset, or an offset that the
//! topic no longer holds. `latest` would skip the records of a new partition, and those that retention
//! has not deleted yet. If a group is to begin with new records, weir commits offsets before its first
//! member joins ([`mark_ends`]). From then on, a partition without an offset is a new one.

use std::time::{Duration, Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::TopicPartitionListElem,
};
use regex::Regex;
use tracing::{info, warn};

use super::{Error, Options, Reader};
use crate::kafka::{Lost, brokers};

/// Longest wait for one answer of the brokers.
const ANSWER: Duration = Duration::from_secs(5);

/// Least time between two looks at a partition's first offset. Gaps are common where the input is
/// transactional or compacted: a question for each of them would stop the slot.
const LOOK: Duration = Duration::from_secs(1);

/// Most gaps that are kept without a look.
const GAPS: usize = 4096;

/// How far a partition was read.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The offset that comes next if there is no gap.
    next: i64,
    /// First offsets and ends of gaps of which is not known why they are there.
    gaps: Vec<(i64, i64)>,
    looked: Option<Instant>,
}

impl Place {
    /// A partition whose next record is at `next` or behind it.
    pub(super) fn at(next: i64) -> Self {
        Self {
            next,
            gaps: Vec::new(),
            looked: None,
        }
    }

    /// Takes a record in and says what is lost in front of it. `first` asks for the first offset that the
    /// partition holds.
    ///
    /// # Errors
    /// `first` failed; the record was not taken in.
    pub(super) fn take<E>(
        &mut self,
        offset: i64,
        now: Instant,
        first: impl FnOnce() -> Result<i64, E>,
    ) -> Result<Option<Lost>, E> {
        if offset < self.next {
            *self = Self::at(offset + 1);
            return Ok(Some(Lost::Replaced));
        }
        let gap = (offset > self.next).then_some((self.next, offset));
        let is_due = self
            .looked
            .is_none_or(|looked| now.duration_since(looked) >= LOOK);
        let mut lost = None;
        if (is_due || self.gaps.len() >= GAPS) && (gap.is_some() || !self.gaps.is_empty()) {
            // Records are deleted from the front, so this tells of all gaps.
            let first = first()?;
            self.looked = Some(now);
            let deleted = |(from, to): (i64, i64)| (to.min(first) - from).max(0).unsigned_abs();
            let gaps = std::mem::take(&mut self.gaps);
            let all = gaps.into_iter().chain(gap);
            let mut found = all.map(|gap| (gap.0, deleted(gap)));
            if let Some((from, records)) = found.find(|(_, records)| *records > 0) {
                let records = records + found.map(|(_, records)| records).sum::<u64>();
                lost = Some(Lost::Deleted { from, records });
            }
        } else {
            self.gaps.extend(gap);
        }
        self.next = offset + 1;
        Ok(lost)
    }
}

/// Commits the ends of all partitions for a group that has no member and no committed offset, so that it
/// begins with what comes. Waits for the brokers until `stop` says otherwise.
///
/// Nothing of another member can be overwritten: a broker takes offsets from a client that is no member
/// only while the group is empty.
///
/// # Errors
/// The brokers refuse for good.
pub(super) fn mark_ends(options: &Options, stop: &dyn Fn() -> bool) -> Result<(), Error> {
    let reader = Reader::new(&options.brokers, &options.group_id)?;
    let mut failures = 0;
    while !stop() {
        let error = match marked(&reader, options) {
            Ok(0) => return Ok(()),
            Ok(partitions) => {
                info!(
                    group = options.group_id,
                    partitions, "the group is new: it begins at the end of each partition"
                );
                return Ok(());
            }
            Err(error) => error,
        };
        match error.rdkafka_error_code() {
            // Another worker joined meanwhile, and had done the same before.
            Some(
                RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress,
            ) => return Ok(()),
            code => {
                if let Some(code) = brokers::refused(&error) {
                    return Err(options.refused(code, reader.client()));
                }
                failures += 1;
                warn!(?code, failures, "can't read the group's offsets yet");
            }
        }
        std::thread::sleep(brokers::backoff(failures));
    }
    Ok(())
}

/// Marks what there is; how many partitions.
fn marked(reader: &Reader, options: &Options) -> Result<usize, KafkaError> {
    let client = reader.client();
    let partitions = partitions(reader, &options.topics)?;
    if partitions.count() == 0 {
        return Ok(0);
    }
    let committed = reader.committed(partitions.clone(), ANSWER)?;
    let has_offset = |place: &TopicPartitionListElem<'_>| place.offset() != Offset::Invalid;
    if committed.elements().iter().any(has_offset) {
        return Ok(0);
    }
    let mut at_end = partitions;
    at_end.set_all_offsets(Offset::End)?;
    let ends = client.offsets_for_times(at_end, ANSWER)?;
    for end in ends.elements() {
        end.error()?;
    }
    client.commit(&ends, CommitMode::Sync)?;
    Ok(ends.count())
}

/// All partitions of some topics that exist.
fn partitions(reader: &Reader, topics: &[String]) -> Result<TopicPartitionList, KafkaError> {
    let patterns = topics.iter().filter(|topic| topic.starts_with('^'));
    let patterns: Vec<Regex> = patterns.filter_map(|own| Regex::new(own).ok()).collect();
    let mut list = TopicPartitionList::new();
    let all = match patterns.is_empty() {
        true => topics.iter().map(|topic| Some(topic.as_str())).collect(),
        false => vec![None],
    };
    for topic in all {
        let metadata = reader.client().fetch_metadata(topic, ANSWER)?;
        for found in metadata.topics() {
            let name = found.name();
            let is_read = topics.iter().any(|topic| topic == name)
                || patterns.iter().any(|pattern| pattern.is_match(name));
            if is_read {
                for partition in found.partitions() {
                    list.add_partition(name, partition.id());
                }
            }
        }
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(first: i64) -> impl FnOnce() -> Result<i64, ()> {
        move || Ok(first)
    }

    #[test]
    fn what_was_deleted_is_counted_and_other_gaps_are_not() {
        let now = Instant::now();
        let mut place = Place::at(10);
        assert_eq!(place.take(10, now, known(0)), Ok(None));
        // A mark of a transaction.
        assert_eq!(place.take(12, now, known(0)), Ok(None));
        let later = now + LOOK;
        let lost = Lost::Deleted {
            from: 13,
            records: 27,
        };
        assert_eq!(place.take(43, later, known(40)), Ok(Some(lost)));
        assert_eq!(place.take(44, later, known(44)), Ok(None));
        assert_eq!(place.take(0, later, known(0)), Ok(Some(Lost::Replaced)));
        assert_eq!(place.take(1, later, known(0)), Ok(None));
    }

    #[test]
    fn a_question_without_an_answer_is_asked_again() {
        let mut place = Place::at(0);
        let now = Instant::now();
        assert_eq!(place.take(9, now, || Err(())), Err(()));
        let lost = Lost::Deleted {
            from: 0,
            records: 9,
        };
        assert_eq!(place.take(9, now, known(9)), Ok(Some(lost)));
    }

    proptest! {
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
                if let Some(Lost::Deleted { records, .. }) = place.take(offset, now, known(offset)).unwrap() {
                    counted += records;
                }
                next = offset + 1;
            }
            prop_assert_eq!(counted, deleted);
        }
    }
}
