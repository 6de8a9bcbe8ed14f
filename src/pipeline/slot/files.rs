//! What a slot does where its sink is an object store: it gathers files for each partition, and
//! commits them to the partition's chain ([`crate::sink::chain`]) when they are large or old enough.
//!
//! The slot polls on while files are written: that happens in a task, one at a time for each
//! partition, since a record's name is where the record before it ended. Whatever becomes of that
//! task, the chain tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use futures::future::try_join_all;
use metrics::histogram;
use rdkafka::{
    Offset, TopicPartitionList,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::{runtime::Handle, task::JoinHandle};
use tracing::{info, warn};

use crate::{
    pipeline::progress::Counts,
    sink::{
        self, FileSet, Sealed,
        chain::{self, Chains, Head, Outcome},
        kafka::Delivery,
    },
    source::{
        Compression,
        beginning::Lost,
        kafka::{Consumer, Partition, offset_of},
    },
    telemetry::metric,
};

/// Files as a sink.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where they go.
    pub chains: chain::Options,
    /// Compression of entities and redactions.
    pub compression: Option<Compression>,
}

/// When a partition's files are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) documents: usize,
    /// Of the source's records.
    pub(super) bytes: u64,
    pub(super) wait: Duration,
    /// Of all partitions together, as they are held.
    pub(super) memory: u64,
}

/// What a set of deliveries adds to the counts once it is committed.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) documents: u64,
    pub(super) dead_letters: u64,
    written: Vec<SystemTime>,
}

/// The partitions of a slot and what is gathered of them.
pub(super) struct Rolling {
    chains: Chains,
    compression: Option<Compression>,
    bounds: Bounds,
    places: BTreeMap<Partition, Place>,
}

/// One partition, once the end of its chain is known.
struct Place {
    head: Head,
    /// What is below is gathered or committed.
    end: i64,
    /// Offsets from here on to the first that comes were passed over.
    gap_from: Option<i64>,
    /// Records that come are from the wrong place until the consumer has been sent there.
    seek_to: Option<i64>,
    open: Option<Open>,
    sealed: Option<Waiting>,
}

struct Open {
    set: FileSet,
    tally: Tally,
    since: Instant,
}

struct Waiting {
    set: Arc<Sealed>,
    tally: Tally,
    writing: Option<(JoinHandle<Result<Outcome, sink::Error>>, Instant)>,
}

/// What came of writing a partition's files.
pub(super) enum Ended {
    /// They are committed, up to this offset.
    Committed(Partition, Head, Tally),
    /// Another worker was first: the partition is read again from the end of its chain.
    Overtaken(Partition),
    /// They are tried again.
    Failed(sink::Error),
    /// The task panicked.
    Panicked,
}

/// Why the end of a chain is not known yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unknown {
    #[error("the group's offsets can't be read ({0:?})")]
    Brokers(Option<RDKafkaErrorCode>),
    #[error(transparent)]
    Store(#[from] sink::Error),
    #[error("the store has not answered in {LOOK_UP:?}")]
    Silent,
}

/// Longest wait for the ends of chains, during which the slot does not poll: well below librdkafka's
/// `max.poll.interval.ms` of 300 s.
const LOOK_UP: Duration = Duration::from_secs(30);

/// Longest wait for an answer of the brokers.
const ANSWER: Duration = Duration::from_secs(10);

/// Files that are written at the same time. Fewer: a drain with many partitions takes longer. More:
/// more connections to the store.
const WRITERS: usize = 16;

/// Stands before the START of a chain's newest record in what is committed with an offset.
const HINT: &str = "weir-record/1:";

impl Tally {
    pub(super) fn add(&mut self, delivery: Delivery) {
        self.written.extend(delivery.written);
        match delivery.outcome {
            Ok(done) => {
                self.documents += 1;
                self.counts.add(&done, delivery.bytes);
            }
            Err(letter) => {
                self.dead_letters += 1;
                self.counts.letters.push(letter);
            }
        }
    }

    /// How long the records took from their producer to here.
    pub(super) fn tell_times(&self, now: SystemTime) {
        for then in &self.written {
            if let Ok(passed) = now.duration_since(*then) {
                histogram!(metric::END_TO_END_SECONDS).record(passed);
            }
        }
    }
}

impl Rolling {
    pub(super) fn new(options: Options, bounds: Bounds) -> Self {
        Self {
            chains: options.chains.build(),
            compression: options.compression,
            bounds,
            places: BTreeMap::new(),
        }
    }

    /// Bytes that are gathered.
    pub(super) fn memory(&self) -> u64 {
        self.places.values().map(Place::memory).sum()
    }

    /// Whether nothing is gathered.
    pub(super) fn is_idle(&self) -> bool {
        let idle = |place: &Place| place.open.is_none() && place.sealed.is_none();
        self.places.values().all(idle)
    }

    /// Whether files are due or under way.
    pub(super) fn is_writing(&self) -> bool {
        self.places.values().any(|place| place.sealed.is_some())
    }

    /// Whether a partition's records come from the wrong place.
    pub(super) fn is_astray(&self, partition: &Partition) -> bool {
        let place = self.places.get(partition);
        place.is_some_and(|place| place.seek_to.is_some())
    }

    /// Drops what is gathered of a partition that is another worker's now.
    pub(super) fn forget(&mut self, partition: &Partition) {
        if let Some(place) = self.places.remove(partition)
            && let Some(Waiting {
                writing: Some((task, _)),
                ..
            }) = place.sealed
        {
            // It may have been committed; then the next owner begins behind it.
            task.abort();
        }
    }

    /// Looks up where the chains of partitions end of which records came for the first time. Returns
    /// those that have to be read again from there. Blocks.
    pub(super) fn look_up(
        &mut self,
        runtime: &Handle,
        consumer: &Consumer,
        ready: &[Delivery],
    ) -> Result<Vec<Partition>, Unknown> {
        let partitions = ready.iter().map(|delivery| &delivery.partition);
        let new: BTreeSet<Partition> = partitions
            .filter(|partition| !self.places.contains_key(*partition))
            .cloned()
            .collect();
        let mut again = Vec::new();
        if new.is_empty() {
            return Ok(again);
        }
        let committed = committed(consumer, &new)
            .map_err(|error| Unknown::Brokers(error.rdkafka_error_code()))?;
        let heads = new
            .iter()
            .zip(&committed)
            .map(|(partition, (_, hint))| self.chains.head(partition, *hint));
        let heads = runtime
            .block_on(async { tokio::time::timeout(LOOK_UP, try_join_all(heads)).await })
            .map_err(|_| Unknown::Silent)??;
        let places = new.into_iter().zip(committed).zip(heads);
        let places = places.map(|((partition, (offset, _)), head)| {
            let place = begin(consumer, &partition, offset, head)?;
            Ok((partition, place))
        });
        // All or none: a partition that is known and not read again would go on in the wrong place.
        for (partition, place) in places.collect::<Result<Vec<_>, Unknown>>()? {
            if place.seek_to.is_some() {
                again.push(partition.clone());
            }
            self.places.insert(partition, place);
        }
        Ok(again)
    }

    /// Sends the consumer to where partitions go on.
    pub(super) fn seek(&mut self, consumer: &mut Consumer) {
        for (partition, place) in &mut self.places {
            let Some(offset) = place.seek_to else {
                continue;
            };
            match consumer.seek(partition, offset, ANSWER) {
                Ok(()) => {
                    let (topic, partition) = partition;
                    info!(
                        topic = &**topic,
                        partition, offset, "reading goes on where the commit records end"
                    );
                    place.seek_to = None;
                }
                // Tried again; records that come meanwhile are dropped.
                Err(error) => warn!(code = ?error.rdkafka_error_code(), "no seek"),
            }
        }
    }

    /// A partition begins again at `offset`: its topic was deleted and created again.
    ///
    /// # Errors
    /// Its chain goes on behind that.
    pub(super) fn replaced(&self, partition: &Partition, offset: i64) -> Result<(), sink::Error> {
        match self.places.get(partition) {
            Some(place) if offset < place.end => Err(sink::Error::Shorter {
                topic: partition.0.to_string(),
                partition: partition.1,
                end: offset,
                next: place.head.next,
            }),
            _ => Ok(()),
        }
    }

    /// Takes in what is ready, in order, as far as there is room.
    pub(super) fn take(&mut self, ready: &mut Vec<Delivery>) {
        let mut waiting = std::mem::take(ready).into_iter().peekable();
        while let Some(next) = waiting.peek() {
            let Some(place) = self.places.get_mut(&next.partition) else {
                break;
            };
            if !place.make_room(&self.bounds) || !place.opens_gap(next) {
                break;
            }
            let delivery = waiting.next().expect("it was looked at");
            place.add(delivery, self.compression);
        }
        *ready = waiting.collect();
    }

    /// Starts to write what is due. `over`: nothing comes any more. `pause`: the store failed.
    pub(super) fn write(&mut self, runtime: &Handle, over: bool, pause: bool) {
        let bounds = self.bounds;
        for place in self.places.values_mut() {
            if place.is_due(&bounds, over) {
                place.seal();
            }
        }
        // Half: while it is written, the other half is gathered.
        if self.memory() >= bounds.memory / 2 {
            let open = self
                .places
                .values_mut()
                .filter(|place| place.open.is_some() && place.sealed.is_none());
            if let Some(largest) = open.max_by_key(|place| place.memory()) {
                largest.seal();
            }
        }
        if pause {
            return;
        }
        let is_written = |place: &Place| {
            let sealed = place.sealed.as_ref();
            sealed.is_some_and(|sealed| sealed.writing.is_some())
        };
        let busy = self
            .places
            .values()
            .filter(|place| is_written(place))
            .count();
        let mut free = WRITERS.saturating_sub(busy);
        for (partition, place) in &mut self.places {
            let Some(waiting) = &mut place.sealed else {
                continue;
            };
            if waiting.writing.is_some() || free == 0 {
                continue;
            }
            free -= 1;
            let (chains, set) = (self.chains.clone(), waiting.set.clone());
            let (partition, head) = (partition.clone(), place.head);
            let task = async move { chains.commit(&partition, head, &set).await };
            waiting.writing = Some((runtime.spawn(task), Instant::now()));
        }
    }

    /// What was written since the last call.
    pub(super) fn ended(&mut self, runtime: &Handle) -> Vec<(Ended, Duration)> {
        let mut all = Vec::new();
        for (partition, place) in &mut self.places {
            let Some(waiting) = &mut place.sealed else {
                continue;
            };
            let Some((task, began)) = waiting.writing.take_if(|(task, _)| task.is_finished())
            else {
                continue;
            };
            let ended = match runtime.block_on(task) {
                Ok(Ok(Outcome::Committed(head))) => {
                    let waiting = place.sealed.take().expect("looked at above");
                    place.head = head;
                    Ended::Committed(partition.clone(), head, waiting.tally)
                }
                Ok(Ok(Outcome::Overtaken(head))) => {
                    *place = Place::at(head);
                    place.seek_to = Some(head.next);
                    Ended::Overtaken(partition.clone())
                }
                Ok(Err(error)) => Ended::Failed(error),
                Err(_) => Ended::Panicked,
            };
            all.push((ended, began.elapsed()));
        }
        all
    }

    /// The ends of all chains, as offsets of the group.
    pub(super) fn offsets(&self) -> Result<TopicPartitionList, KafkaError> {
        let heads = self.places.iter();
        offsets(heads.map(|(partition, place)| (partition, place.head)))
    }
}

/// Ends of chains as offsets of the group, with the record's START beside.
pub(super) fn offsets<'p>(
    heads: impl IntoIterator<Item = (&'p Partition, Head)>,
) -> Result<TopicPartitionList, KafkaError> {
    let mut list = TopicPartitionList::new();
    for ((topic, partition), head) in heads {
        let Some(newest) = head.newest else { continue };
        list.add_partition_offset(topic, *partition, Offset::Offset(head.next))?;
        if let Some(mut element) = list.find_partition(topic, *partition) {
            element.set_metadata(format!("{HINT}{newest}"));
        }
    }
    Ok(list)
}

/// The group's offset of each partition, and what it says of the newest record.
fn committed(
    consumer: &Consumer,
    partitions: &BTreeSet<Partition>,
) -> Result<Vec<(Option<i64>, Option<i64>)>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    let committed = consumer.committed(list, ANSWER)?;
    let of = |(topic, partition): &Partition| {
        let found = committed.find_partition(topic, *partition);
        let hint = found.and_then(|found| found.metadata().strip_prefix(HINT)?.parse().ok());
        (offset_of(&committed, topic, *partition), hint)
    };
    Ok(partitions.iter().map(of).collect())
}

/// Where a partition begins whose chain ends at `head` while its group stands at `offset`.
fn begin(
    consumer: &Consumer,
    partition: &Partition,
    offset: Option<i64>,
    head: Head,
) -> Result<Place, Unknown> {
    let mut place = Place::at(head);
    if head.newest.is_none() {
        return Ok(place);
    }
    let (low, high) = consumer
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
            "offsets are passed over: the group was set forward, or the topic no longer holds them"
        );
        place.gap_from = Some(head.next);
    }
    // The group is behind after a kill between record and offset, or was set back.
    if !set_forward && offset != Some(head.next) {
        place.seek_to = Some(head.next);
    }
    Ok(place)
}

impl Place {
    fn at(head: Head) -> Self {
        Self {
            head,
            end: head.next,
            gap_from: None,
            seek_to: None,
            open: None,
            sealed: None,
        }
    }

    fn memory(&self) -> u64 {
        let open = self.open.as_ref().map_or(0, |open| open.set.memory());
        open + self.sealed.as_ref().map_or(0, |sealed| sealed.set.memory())
    }

    fn is_full(&self, bounds: &Bounds) -> bool {
        self.open.as_ref().is_some_and(|open| {
            open.set.records() >= bounds.documents as u64 || open.set.received() >= bounds.bytes
        })
    }

    fn is_due(&self, bounds: &Bounds, over: bool) -> bool {
        let old = |open: &Open| over || open.since.elapsed() >= bounds.wait;
        self.is_full(bounds) || self.open.as_ref().is_some_and(old)
    }

    fn make_room(&mut self, bounds: &Bounds) -> bool {
        if self.is_full(bounds) {
            self.seal();
        }
        !self.is_full(bounds)
    }

    /// Puts what is gathered aside to be written, unless something is there already.
    fn seal(&mut self) {
        if self.sealed.is_none()
            && let Some(Open { set, tally, .. }) = self.open.take()
        {
            self.sealed = Some(Waiting {
                set: Arc::new(set.seal()),
                tally,
                writing: None,
            });
        }
    }

    /// A record in front of which others were deleted begins a set of its own, whose commit record says so.
    /// False while there is no room for one.
    fn opens_gap(&mut self, delivery: &Delivery) -> bool {
        let Some(Lost::Deleted { from, .. }) = delivery.lost else {
            return true;
        };
        if delivery.offset < self.end {
            return true;
        }
        self.seal();
        if self.open.is_none() {
            self.gap_from.get_or_insert(from);
        }
        self.open.is_none()
    }

    fn add(&mut self, delivery: Delivery, compression: Option<Compression>) {
        // Committed already: the group was behind its chain.
        if delivery.offset < self.end {
            return;
        }
        self.end = delivery.offset + 1;
        let gap_from = self.gap_from.take();
        let open = self.open.get_or_insert_with(|| Open {
            set: FileSet::new(delivery.offset, gap_from, compression),
            tally: Tally::default(),
            since: Instant::now(),
        });
        open.set.add(&delivery);
        open.tally.add(delivery);
    }
}
