//! An object store as what a slot publishes to: it gathers files for each partition, and
//! commits them to the partition's chain ([`crate::sink::chain`]) when they are large or old enough.
//!
//! The slot polls on while files are written: that happens in a task, one at a time for each
//! partition, since a record's name is where the record before it ended. Whatever becomes of that
//! task, the chain tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant, SystemTime},
};

use futures::future::try_join_all;
use metrics::{counter, histogram};
use rdkafka::{
    Offset, TopicPartitionList,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::runtime::Handle;
use tracing::{info, warn};

use super::{
    Error,
    account::{Account, OUTAGE, Tally},
    group::Group,
    place::{Making, Place, Waiting},
    publisher::{BURST, Bounds, Publisher, Turn},
    ready::Ready,
};
use crate::{
    kafka::{Partition, offsets::offset_of},
    record::{PlainText, Stage, audit::DigestKey},
    sink::{
        self,
        chain::{self, Chains, Head, Outcome},
        kafka::Delivery,
    },
    store::Compression,
    telemetry::{metric, trace},
};

/// Files as a sink.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where they go.
    pub chains: chain::Options,
    /// Compression of entities and redactions.
    pub compression: Option<Compression>,
}

/// The partitions of a slot and what is gathered of them.
pub(super) struct Files {
    chains: Chains,
    /// Of the slot.
    group: String,
    making: Making,
    bounds: Bounds,
    places: BTreeMap<Partition, Place>,
}

/// What came of writing a partition's files.
enum Ended {
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
    #[error("can't read the group's offsets ({0:?})")]
    Brokers(Option<RDKafkaErrorCode>),
    #[error(transparent)]
    Store(#[from] sink::Error),
    #[error("the store has not answered in {LOOK_UP:?}")]
    Silent,
}

/// Longest wait for the ends of chains, during which the slot does not poll: well below librdkafka's
/// `max.poll.interval.ms` of 300 s.
const LOOK_UP: Duration = Duration::from_secs(30);

/// How health tells that files can't be written.
const STORE: &str = "the object store of the sink";

/// Longest wait for an answer of the brokers.
pub(super) const ANSWER: Duration = Duration::from_secs(10);

/// Files that are written at the same time. Fewer: a drain with many partitions takes longer. More:
/// more connections to the store.
const WRITERS: usize = 16;

/// Stands before the START of a chain's newest record in what is committed with an offset.
const HINT: &str = "weir-record/1:";

impl Files {
    pub(super) fn new(options: Options, digest_key: Option<DigestKey>, bounds: Bounds) -> Self {
        let group = options.chains.group.clone();
        Self {
            making: Making {
                compression: options.compression,
                digest_key,
                group: group.clone(),
            },
            group,
            chains: options.chains.build(),
            bounds,
            places: BTreeMap::new(),
        }
    }

    /// Looks up where the chains of partitions end of which records came for the first time. Returns
    /// those that have to be read again from there. Blocks.
    fn look_up(
        &mut self,
        runtime: &Handle,
        group: &impl Group,
        ready: &[Delivery],
    ) -> Result<Vec<Partition>, Unknown> {
        let partitions = ready.iter().map(|delivery| &delivery.envelope.partition);
        let new: BTreeSet<Partition> = partitions
            .filter(|partition| !self.places.contains_key(*partition))
            .cloned()
            .collect();
        let mut again = Vec::new();
        if new.is_empty() {
            return Ok(again);
        }
        let committed =
            committed(group, &new).map_err(|error| Unknown::Brokers(error.rdkafka_error_code()))?;
        let heads = new
            .iter()
            .zip(&committed)
            .map(|(partition, (_, hint))| self.chains.head(partition, *hint));
        let heads = runtime
            .block_on(async { tokio::time::timeout(LOOK_UP, try_join_all(heads)).await })
            .map_err(|_| Unknown::Silent)??;
        let places = new.into_iter().zip(committed).zip(heads);
        let places = places.map(|((partition, (offset, _)), head)| {
            let place = Place::begin(group, &partition, offset, head)?;
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
    fn seek(&mut self, group: &mut impl Group) {
        for (partition, place) in &mut self.places {
            let Some(offset) = place.seek_to else {
                continue;
            };
            match group.seek(partition, offset, ANSWER) {
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

    /// Takes in what is ready, in order, as far as there is room.
    fn take(&mut self, ready: &mut Ready) {
        let mut waiting = ready.take_all().into_iter().peekable();
        while let Some(next) = waiting.peek() {
            let Some(place) = self.places.get_mut(&next.envelope.partition) else {
                break;
            };
            if !place.make_room(&self.bounds) || !place.opens_gap(next) {
                break;
            }
            let delivery = waiting.next().expect("peeked above");
            place.add(delivery, &self.making);
        }
        ready.extend(waiting);
    }

    /// Starts to write what is due. `over`: nothing comes any more. `pause`: the store failed.
    fn write(&mut self, runtime: &Handle, over: bool, pause: bool) {
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
            let records = usize::try_from(waiting.set.documents + waiting.set.dead_letters);
            let span = trace::set(
                &self.group,
                records.unwrap_or(usize::MAX),
                &waiting.told.links,
            );
            let task = span.clone().around(async move {
                let outcome = chains.commit(&partition, head, &set).await;
                let error = match &outcome {
                    Ok(Outcome::Committed(_)) => None,
                    Ok(Outcome::Overtaken(_)) => Some("overtaken"),
                    Err(_) => Some("store"),
                };
                span.end(error);
                outcome
            });
            waiting.writing = Some((runtime.spawn(task), Instant::now()));
        }
    }

    /// What was written since the last call.
    fn ended(&mut self, runtime: &Handle) -> Vec<(Ended, Duration)> {
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
                    let waiting = place.sealed.take().expect("checked above");
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
    fn offsets(&self) -> Result<TopicPartitionList, KafkaError> {
        let heads = self.places.iter();
        offsets(heads.map(|(partition, place)| (partition, place.head)))
    }
    /// Bytes that are gathered.
    fn memory(&self) -> u64 {
        self.places.values().map(Place::memory).sum()
    }

    /// What became of a partition's files.
    fn written<G: Group>(
        &mut self,
        ended: Ended,
        passed: Duration,
        turn: &mut Turn<'_, G>,
    ) -> Result<(), Error> {
        let outcome = match &ended {
            Ended::Committed(..) => "committed",
            Ended::Overtaken(_) => "aborted",
            Ended::Failed(_) | Ended::Panicked => "unknown",
        };
        counter!(metric::TRANSACTIONS_TOTAL, "outcome" => outcome).increment(1);
        histogram!(metric::TRANSACTION_DURATION_SECONDS, "outcome" => outcome).record(passed);
        histogram!(metric::STAGE_DURATION_SECONDS, "stage" => Stage::Sink.as_str()).record(passed);
        match ended {
            Ended::Committed(partition, head, tally) => {
                // For tools that show the lag: what is committed is what the chain says.
                let told = offsets([(&partition, head)])
                    .and_then(|offsets| turn.group.commit_later(&offsets));
                if let Err(error) = told {
                    warn!(code = ?error.rdkafka_error_code(), "the group's offset is behind");
                }
                turn.account.committed(tally, [(partition, head.next)]);
                turn.account.health.set_reached(STORE, true);
                Ok(())
            }
            Ended::Overtaken(partition) => {
                warn!(
                    topic = &*partition.0,
                    partition = partition.1,
                    "another worker has committed these offsets; reading continues behind them"
                );
                turn.account.summary.aborted += 1;
                turn.gathered.drop_partitions(&[partition]);
                Ok(())
            }
            Ended::Failed(error) => {
                turn.account.summary.aborted += 1;
                store_failed(error, turn.account)
            }
            Ended::Panicked => Err(Error::Panicked),
        }
    }
}

impl<G: Group> Publisher<G> for Files {
    fn form(&self) -> PlainText {
        PlainText::Record
    }

    /// What is ready goes into files, however many documents these take.
    fn set_limit(&self) -> usize {
        2 * BURST
    }

    fn held(&self) -> u64 {
        self.memory()
    }

    fn oldest(&self, of: &mut BTreeMap<Partition, SystemTime>) {
        for (partition, place) in &self.places {
            let sealed = place.sealed.as_ref().and_then(|own| own.told.written);
            let open = place.open.as_ref().and_then(|own| own.told.written);
            if let Some(written) = sealed.or(open) {
                of.insert(partition.clone(), written);
            }
        }
    }

    fn waits_for(&self) -> Option<&'static str> {
        let is_writing = self.places.values().any(|place| place.sealed.is_some());
        is_writing.then_some("the store to take files")
    }

    fn is_idle(&self) -> bool {
        let idle = |place: &Place| place.open.is_none() && place.sealed.is_none();
        self.places.values().all(idle)
    }

    fn is_astray(&self, partition: &Partition) -> bool {
        let place = self.places.get(partition);
        place.is_some_and(|place| place.seek_to.is_some())
    }

    fn begin_again(&mut self, partition: &Partition, offset: i64) -> Result<(), Error> {
        match self.places.get(partition) {
            Some(place) if offset < place.end => Err(Error::Store(sink::Error::Shorter {
                topic: partition.0.to_string(),
                partition: partition.1,
                end: offset,
                next: place.head.next,
            })),
            _ => Ok(()),
        }
    }

    /// Drops what is gathered of them.
    fn forget(&mut self, revoked: &[Partition]) {
        for partition in revoked {
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
    }

    fn take_outcome(&mut self, turn: &mut Turn<'_, G>) -> Result<bool, Error> {
        let ended = self.ended(turn.runtime);
        let any = !ended.is_empty();
        for (ended, passed) in ended {
            self.written(ended, passed, turn)?;
        }
        Ok(any)
    }

    fn publish(&mut self, turn: &mut Turn<'_, G>) -> Result<bool, Error> {
        let pause = turn.account.is_pausing();
        let again = match pause {
            true => Ok(Vec::new()),
            false => self.look_up(turn.runtime, turn.group, &turn.gathered.ready),
        };
        self.seek(turn.group);
        match again {
            Ok(again) => turn.gathered.drop_partitions(&again),
            Err(Unknown::Store(error)) => {
                store_failed(error, turn.account)?;
                return Ok(false);
            }
            Err(error) => {
                turn.account.failed(&error, "look_up");
                return Ok(false);
            }
        }
        self.take(&mut turn.gathered.ready);
        self.write(turn.runtime, turn.over, pause);
        Ok(true)
    }

    /// Commits the offsets once more and waits: the last ones may not have reached the broker.
    fn leave(&mut self, group: &G) {
        let told = self.offsets().and_then(|offsets| match offsets.count() {
            0 => Ok(()),
            _ => group.commit(&offsets),
        });
        if let Err(error) = told {
            warn!(code = ?error.rdkafka_error_code(), "the group's offsets are behind");
        }
    }
}

/// A store may be away for a while; what it holds does not change by waiting.
fn store_failed(error: sink::Error, account: &mut Account) -> Result<(), Error> {
    match error {
        sink::Error::Store { .. } | sink::Error::Write { .. } => {
            account.failed(&error, "store");
            if account.failures >= OUTAGE {
                account.health.set_reached(STORE, false);
            }
            Ok(())
        }
        error => Err(error.into()),
    }
}

/// Ends of chains as offsets of the group, with the record's START beside.
fn offsets<'p>(
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
    group: &impl Group,
    partitions: &BTreeSet<Partition>,
) -> Result<Vec<(Option<i64>, Option<i64>)>, KafkaError> {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    let committed = group.committed(list, ANSWER)?;
    let of = |(topic, partition): &Partition| {
        let found = committed.find_partition(topic, *partition);
        let hint = found.and_then(|found| found.metadata().strip_prefix(HINT)?.parse().ok());
        (offset_of(&committed, topic, *partition), hint)
    };
    Ok(partitions.iter().map(of).collect())
}
