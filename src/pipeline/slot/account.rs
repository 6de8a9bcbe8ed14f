//! What a slot has committed, and how often it failed.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use metrics::{counter, gauge, histogram};
use tracing::warn;

use super::{Summary, stall::Watch};
use crate::{
    kafka::{Partition, brokers},
    pipeline::progress::{Counts, Progress},
    record::Stage,
    sink::kafka::Delivery,
    source::kafka::End,
    telemetry::{
        Health,
        health::Part,
        metric::{self, label},
    },
};

/// Time between two lines about the same failure.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Failures in a row that are an outage: one abort is what a rebalance brings.
pub(super) const OUTAGE: u32 = 3;

/// A slot's books.
pub(super) struct Account {
    number: u16,
    progress: Arc<Progress>,
    pub(super) health: Health,
    pub(super) watch: Watch,
    pub(super) summary: Summary,
    /// Offsets that this slot has committed.
    committed: BTreeMap<Partition, i64>,
    /// Partitions that have records which are not committed, and since when that is known.
    behind: BTreeMap<Partition, SystemTime>,
    pub(super) failures: u32,
    /// The last failure that was told, and when.
    told: Option<(String, Instant)>,
    /// After a failure: not tried again before.
    pub(super) not_before: Instant,
}

/// What a set of deliveries adds to the counts once it is committed.
#[derive(Default)]
pub(super) struct Tally {
    counts: Counts,
    documents: u64,
    dead_letters: u64,
    written: Vec<SystemTime>,
}

impl Tally {
    pub(super) fn add(&mut self, delivery: Delivery) {
        self.written.extend(delivery.envelope.written);
        match delivery.outcome {
            Ok(done) => {
                self.documents += 1;
                self.counts.add(&done, delivery.envelope.bytes);
            }
            Err(letter) => {
                self.dead_letters += 1;
                self.counts.letters.push(*letter);
            }
        }
    }

    /// How long the records took from their producer to here.
    fn tell_times(&self, now: SystemTime) {
        for then in &self.written {
            if let Ok(passed) = now.duration_since(*then) {
                histogram!(metric::END_TO_END_SECONDS).record(passed);
            }
        }
    }
}

impl Account {
    pub(super) fn new(number: u16, progress: Arc<Progress>, health: Health, watch: Watch) -> Self {
        Self {
            number,
            progress,
            health,
            watch,
            summary: Summary::default(),
            committed: BTreeMap::new(),
            behind: BTreeMap::new(),
            failures: 0,
            told: None,
            not_before: Instant::now(),
        }
    }

    /// A set is committed. `ends`: the offsets up to which partitions of this slot are.
    pub(super) fn committed(
        &mut self,
        tally: Tally,
        ends: impl IntoIterator<Item = (Partition, i64)>,
    ) {
        let now = SystemTime::now();
        tally.tell_times(now);
        self.summary.documents += tally.documents;
        self.summary.dead_letters += tally.dead_letters;
        self.progress.count(tally.counts);
        let seconds = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0.0, |since| since.as_secs_f64());
        for (of, end) in ends {
            of_partition(metric::LAST_COMMIT_TIMESTAMP_SECONDS, &of).set(seconds);
            // What waits now came later than what is committed.
            self.behind.remove(&of);
            self.committed.insert(of, end);
        }
        self.summary.transactions += 1;
        self.watch.moved();
        self.failures = 0;
        self.health.set(Part::Sink, true);
    }

    /// What was tried failed, and is tried again later.
    pub(super) fn failed(&mut self, error: &dyn std::error::Error, error_type: &'static str) {
        count_error(error_type);
        self.failures += 1;
        let text = error.to_string();
        let is_told = self
            .told
            .as_ref()
            .is_some_and(|(told, at)| *told == text && at.elapsed() < TELL_AGAIN);
        if !is_told {
            warn!(%error, failures = self.failures, "not committed; retrying");
            self.told = Some((text, Instant::now()));
        }
        if self.failures >= OUTAGE {
            self.health.set(Part::Sink, false);
        }
        self.not_before = Instant::now() + brokers::backoff(self.failures);
    }

    /// Dead letters of all slots of this worker.
    pub(super) fn dead_letters(&self) -> u64 {
        self.progress.dead_letters()
    }

    /// Whether it is too early to try again.
    pub(super) fn is_pausing(&self) -> bool {
        Instant::now() < self.not_before
    }

    /// Partitions are another worker's from now on, and so is what gauges say of them.
    pub(super) fn forget(&mut self, revoked: &[Partition]) {
        for partition in revoked {
            for name in [
                metric::CONSUMER_LAG,
                metric::LAG_SECONDS,
                metric::LAST_COMMIT_TIMESTAMP_SECONDS,
            ] {
                of_partition(name, partition).set(f64::NAN);
            }
            self.committed.remove(partition);
            self.behind.remove(partition);
        }
    }

    /// Takes note of new figures: ends of partitions, and how many are paused. `oldest`: when the first record of a
    /// partition that is not committed was written, as far as it was read.
    pub(super) fn note_ends(
        &mut self,
        ends: Vec<End>,
        oldest: &BTreeMap<Partition, SystemTime>,
        paused: usize,
    ) {
        let now = SystemTime::now();
        let mut sum = 0;
        for end in ends {
            let partition: Partition = (end.topic.into(), end.partition);
            let own = self.committed.get(&partition).copied();
            let lag = (end.end - own.unwrap_or(end.committed).max(end.committed)).max(0);
            of_partition(metric::CONSUMER_LAG, &partition).set(lag as f64);
            let oldest = oldest.get(&partition).copied();
            // What is left is the marker of a transaction's end, which takes an offset and is no record.
            let is_done = end.is_read && oldest.is_none();
            let age = match lag == 0 || is_done {
                true => {
                    self.behind.remove(&partition);
                    Duration::ZERO
                }
                false => self.age(&partition, oldest, now),
            };
            of_partition(metric::LAG_SECONDS, &partition).set(age.as_secs_f64());
            sum += lag as u64;
        }
        self.progress.set_lag(self.number, sum);
        gauge!(metric::PAUSED_PARTITIONS, "slot" => label("slot", &self.number.to_string()))
            .set(paused as f64);
    }

    /// How old the oldest record of a partition is that is not committed. What was not read yet has waited at least
    /// since it was known to be there.
    fn age(
        &mut self,
        partition: &Partition,
        oldest: Option<SystemTime>,
        now: SystemTime,
    ) -> Duration {
        let known = *self.behind.entry(partition.clone()).or_insert(now);
        let since = oldest.unwrap_or(known);
        now.duration_since(since).unwrap_or_default()
    }
}

pub(super) fn count_error(error_type: &'static str) {
    counter!(metric::ERRORS_TOTAL, "stage" => Stage::Sink.as_str(), "error_type" => error_type)
        .increment(1);
}

fn of_partition(name: &'static str, (topic, partition): &Partition) -> metrics::Gauge {
    gauge!(
        name,
        "topic" => label("topic", topic),
        "partition" => label("partition", &partition.to_string())
    )
}

#[cfg(test)]
mod tests {
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::*;

    /// Gauges that are there; a snapshot takes their values away.
    fn gauges(of: &Snapshotter) -> BTreeMap<String, f64> {
        let all = of.snapshot().into_vec().into_iter();
        let gauges = all.filter_map(|(key, _, _, value)| match value {
            DebugValue::Gauge(value) => Some((key.key().name().to_owned(), value.into_inner())),
            _ => None,
        });
        gauges.collect()
    }

    #[test]
    fn lag_in_seconds_is_the_age_of_the_oldest_record_that_is_not_committed() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let watch = Watch::new(0, Duration::from_secs(60));
            let mut account = Account::new(0, Arc::default(), Health::new(), watch);
            let partition: Partition = ("t".into(), 0);
            let end = |end| {
                vec![End {
                    topic: "t".to_owned(),
                    partition: 0,
                    end,
                    committed: 5,
                    is_read: false,
                }]
            };
            let seconds = || gauges(&snapshotter)[metric::LAG_SECONDS];
            let hour = SystemTime::now() - Duration::from_secs(3600);
            let oldest = BTreeMap::from([(partition.clone(), hour)]);
            account.note_ends(end(8), &oldest, 0);
            assert!((3600.0..3660.0).contains(&seconds()));
            // Nothing of it was read yet: it waits since it was seen.
            account.note_ends(end(8), &BTreeMap::new(), 0);
            assert!(seconds() < 60.0);
            account.note_ends(end(5), &BTreeMap::new(), 0);
            assert_eq!(seconds(), 0.0);
            // The marker of a transaction takes an offset and never ages.
            let mut marker = end(6);
            marker[0].is_read = true;
            account.note_ends(marker, &BTreeMap::new(), 0);
            assert_eq!(seconds(), 0.0);
            account.committed(Tally::default(), [(partition.clone(), 5)]);
            account.forget(&[partition]);
            let left = gauges(&snapshotter);
            for name in [
                metric::LAG_SECONDS,
                metric::CONSUMER_LAG,
                metric::LAST_COMMIT_TIMESTAMP_SECONDS,
            ] {
                assert!(left[name].is_nan(), "{name} is another worker's");
            }
        });
    }
}
