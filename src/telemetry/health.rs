//! Whether the loops turn, and whether the worker is ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::gauge;

use super::metric;

/// What must be there before the worker is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The model pack is loaded.
    Pack,
    /// The tenants are loaded.
    Tenants,
    /// The source answers.
    Source,
    /// The sink answers.
    Sink,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pack => "pack",
            Self::Tenants => "tenants",
            Self::Source => "source",
            Self::Sink => "sink",
        })
    }
}

const PARTS: [Part; 4] = [Part::Pack, Part::Tenants, Part::Source, Part::Sink];

/// The health of a worker: cheap to clone; the pipeline updates it, the server reads it.
#[derive(Clone)]
pub struct Health(Arc<Inner>);

struct Inner {
    started: Instant,
    ready: [AtomicBool; PARTS.len()],
    draining: AtomicBool,
    stalled: AtomicBool,
    /// What does not answer.
    unreachable: Mutex<BTreeSet<&'static str>>,
    /// When something last did not answer.
    away: Mutex<Option<Instant>>,
    hearts: Mutex<Hearts>,
    next: AtomicU64,
}

/// Loops by number: name, longest silence, milliseconds of the last beat.
type Hearts = BTreeMap<u64, (&'static str, Duration, Arc<AtomicU64>)>;

/// One loop's sign of life.
pub struct Heart {
    health: Health,
    id: u64,
    last: Arc<AtomicU64>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Nothing is ready yet; no loop runs yet.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            started: Instant::now(),
            ready: Default::default(),
            draining: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            unreachable: Mutex::default(),
            away: Mutex::default(),
            hearts: Mutex::default(),
            next: AtomicU64::new(0),
        }))
    }

    /// Says whether a part is there.
    pub fn set(&self, part: Part, ready: bool) {
        // Set for every record: a load leaves the cache line to all cores.
        let own = &self.0.ready[part as usize];
        if own.load(Ordering::Relaxed) != ready && own.swap(ready, Ordering::Relaxed) != ready {
            self.tell();
        }
    }

    fn tell(&self) {
        let ready = self.not_ready().is_empty();
        gauge!(metric::READY).set(f64::from(u8::from(ready)));
    }

    /// Says that the worker takes no more work.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
        self.tell();
    }

    /// Says whether work waits and nothing is committed: the loops may turn all the same.
    pub fn set_stalled(&self, stalled: bool) {
        self.0.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Says whether servers answer; the name is for people.
    pub fn set_reached(&self, name: &'static str, reached: bool) {
        let mut unreachable = self.unreachable();
        let changed = match reached {
            true => unreachable.remove(name),
            false => unreachable.insert(name),
        };
        drop(unreachable);
        if changed {
            *self.away() = Some(Instant::now());
            self.tell();
        }
    }

    /// Whether some server was away at any time since `then`.
    pub fn was_away_since(&self, then: Instant) -> bool {
        self.is_unreachable() || self.away().is_some_and(|at| at >= then)
    }

    fn away(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether servers are away without which nothing can be committed.
    pub fn is_unreachable(&self) -> bool {
        !self.unreachable().is_empty()
    }

    fn unreachable(&self) -> std::sync::MutexGuard<'_, BTreeSet<&'static str>> {
        let unreachable = self.0.unreachable.lock();
        unreachable.unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a loop that turns at least once in `silence`. It counts as stuck when it does
    /// not, also when it was dropped in a panic: a loop that ends well says so with
    /// [`Heart::finish`].
    pub fn heart(&self, name: &'static str, silence: Duration) -> Heart {
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        let last = Arc::new(AtomicU64::new(self.now(Instant::now())));
        self.hearts().insert(id, (name, silence, last.clone()));
        Heart {
            health: self.clone(),
            id,
            last,
        }
    }

    /// Loops that are stuck at this moment. A store that does not answer is no reason: loops beat
    /// while they wait, so an outage restarts no worker.
    pub fn stuck(&self, now: Instant) -> Vec<&'static str> {
        let now = self.now(now);
        let hearts = self.hearts();
        let silent = hearts
            .values()
            .filter(|(_, silence, last)| {
                now.saturating_sub(last.load(Ordering::Relaxed)) > millis(*silence)
            })
            .map(|(name, ..)| *name);
        let stalled = self.0.stalled.load(Ordering::Relaxed);
        silent
            .chain(stalled.then_some("nothing is committed"))
            .collect()
    }

    /// Why the worker is not ready; empty if it is.
    pub fn not_ready(&self) -> Vec<String> {
        let missing = PARTS
            .iter()
            .filter(|part| !self.0.ready[**part as usize].load(Ordering::Relaxed))
            .map(Part::to_string);
        let draining = self.0.draining.load(Ordering::Relaxed);
        let unreachable = self.unreachable();
        let unreachable = unreachable
            .iter()
            .map(|name| format!("no answer from {name}"));
        missing
            .chain(unreachable)
            .chain(draining.then(|| "draining".to_owned()))
            .collect()
    }

    fn now(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.0.started))
    }

    fn hearts(&self) -> std::sync::MutexGuard<'_, Hearts> {
        self.0.hearts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heart {
    /// The loop turned.
    pub fn beat(&self) {
        self.last
            .store(self.health.now(Instant::now()), Ordering::Relaxed);
    }

    /// The loop ended well.
    pub fn finish(self) {
        self.health.hearts().remove(&self.id);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_is_silent_is_stuck_and_one_that_finished_is_not() {
        let health = Health::new();
        let source = health.heart("source", Duration::from_secs(5));
        let sink = health.heart("sink", Duration::from_secs(100));
        let now = Instant::now();
        assert!(health.stuck(now).is_empty());
        assert_eq!(health.stuck(now + Duration::from_secs(6)), ["source"]);
        drop(sink); // as in a panic
        source.finish();
        assert_eq!(health.stuck(now + Duration::from_secs(101)), ["sink"]);
    }

    #[test]
    fn ready_is_every_part_and_no_drain() {
        let health = Health::new();
        for part in PARTS {
            assert!(health.not_ready().contains(&part.to_string()));
            health.set(part, true);
        }
        assert!(health.not_ready().is_empty());
        health.set_reached("the brokers of the source", false);
        assert_eq!(
            health.not_ready(),
            ["no answer from the brokers of the source"]
        );
        health.set_reached("the brokers of the source", true);
        health.drain();
        assert_eq!(health.not_ready(), ["draining"]);
    }
}
