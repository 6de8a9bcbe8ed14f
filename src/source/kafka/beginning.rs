//! Where a group and its partitions begin, and what a partition no longer holds.
//!
//! weir lets librdkafka begin at the oldest record if it finds no committed offset, or an offset that the
//! topic no longer holds. `latest` would skip the records of a new partition, and those that retention
//! has not deleted yet. If a group is to begin with new records, weir commits offsets before its first
//! member joins ([`mark_ends`]). From then on, a partition without an offset is a new one.

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::TopicPartitionListElem,
};
use regex::Regex;
use tracing::{info, warn};

use super::{Error, Options, Reader};
use crate::{kafka::brokers, record::audit::BEGUN};

/// Longest wait for one answer of the brokers.
const ANSWER: Duration = Duration::from_secs(5);

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
    // So that an audit knows this offset from one that another tool has committed.
    let mut marked = TopicPartitionList::with_capacity(ends.count());
    for end in ends.elements() {
        let mut place = marked.add_partition(end.topic(), end.partition());
        place.set_offset(end.offset())?;
        place.set_metadata(BEGUN);
    }
    client.commit(&marked, CommitMode::Sync)?;
    Ok(marked.count())
}

/// All partitions of some topics that exist.
pub(crate) fn partitions(
    reader: &Reader,
    topics: &[String],
) -> Result<TopicPartitionList, KafkaError> {
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
