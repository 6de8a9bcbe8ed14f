//! Detects a stalled worker from outside the thread that does the work.
//!
//! A slot notes what it waits for ([`Watch`]). [`watch`] checks all slots from a separate task. If
//! work waits and nothing was committed for [`Watch`]'s limit, it logs this every minute and `/livez` says
//! 503. After twice that time the process ends, so that a supervisor starts the worker again. An outage of
//! the brokers does not count: weir waits for them (see [`reach`](super::reach)).

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metrics::gauge;
use tracing::{info, warn};

use crate::telemetry::{
    Health,
    metric::{self, label},
};

/// Time between two lines about the same stall.
const AGAIN: Duration = Duration::from_secs(60);

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// What one slot waits for: cheap to clone; the slot notes, the watchdog reads.
#[derive(Debug, Clone)]
pub struct Watch(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    slot: u16,
    limit: Duration,
    state: Mutex<Option<Waiting>>,
}

/// Work that waits.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// When work began to wait, or something was last committed.
    since: Instant,
    /// The same without outages of the brokers, which are no fault of this worker.
    counts_from: Instant,
    what: &'static str,
}

/// A slot that stood still for twice its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stalled {
    /// Which.
    pub slot: u16,
    /// What it waits for.
    pub what: &'static str,
    /// For how long.
    pub passed: Duration,
}

impl Watch {
    /// A slot without work.
    pub fn new(slot: u16, limit: Duration) -> Self {
        Self(Arc::new(Inner {
            slot,
            limit,
            state: Mutex::new(None),
        }))
    }

    /// Work waits for `what`. The clock goes on if work waited before.
    pub fn waits_for(&self, what: &'static str) {
        let now = Instant::now();
        let begun = Waiting {
            since: now,
            counts_from: now,
            what,
        };
        self.state().get_or_insert(begun).what = what;
    }

    /// Something was committed, or the model answered.
    pub fn moved(&self) {
        if let Some(waiting) = &mut *self.state() {
            waiting.since = Instant::now();
            waiting.counts_from = waiting.since;
        }
    }

    /// The brokers are away.
    fn hold(&self) {
        if let Some(waiting) = &mut *self.state() {
            waiting.counts_from = Instant::now();
        }
    }

    /// No work waits.
    pub fn idle(&self) {
        *self.state() = None;
    }

    fn waiting(&self) -> Option<Waiting> {
        *self.state()
    }

    fn state(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at the slots until one of them stood still for twice its limit.
pub async fn watch(slots: Vec<Watch>, health: Health) -> Stalled {
    let mut told: Vec<Option<Instant>> = vec![None; slots.len()];
    let mut every = tokio::time::interval(EVERY);
    loop {
        every.tick().await;
        let mut any = false;
        for (slot, told) in slots.iter().zip(&mut told) {
            let number = slot.0.slot;
            let waiting = slot.waiting();
            let passed = waiting.map_or(Duration::ZERO, |waiting| waiting.since.elapsed());
            gauge!(metric::STALLED_SECONDS, "slot" => label("slot", &number.to_string()))
                .set(passed.as_secs_f64());
            let Some(waiting) = waiting.filter(|_| passed >= slot.0.limit) else {
                if told.take().is_some() {
                    info!(slot = number, "the worker commits again");
                }
                continue;
            };
            let is_due = told.is_none_or(|last| last.elapsed() >= AGAIN);
            if is_due {
                *told = Some(Instant::now());
                warn!(
                    slot = number,
                    waits_for = waiting.what,
                    seconds = passed.as_secs(),
                    "work waits and nothing is committed"
                );
            }
            if health.is_unreachable() {
                slot.hold();
                continue;
            }
            let counted = waiting.counts_from.elapsed();
            any |= counted >= slot.0.limit;
            if counted >= 2 * slot.0.limit {
                return Stalled {
                    slot: number,
                    what: waiting.what,
                    passed,
                };
            }
        }
        health.set_stalled(any);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ends_within(
        watching: impl Future<Output = Stalled>,
        limit: Duration,
    ) -> Option<Stalled> {
        tokio::time::timeout(limit, watching).await.ok()
    }

    #[tokio::test]
    async fn a_slot_that_stands_still_is_red_after_its_limit_and_ends_after_twice_that() {
        let (health, slot) = (Health::new(), Watch::new(3, Duration::from_secs(2)));
        slot.waits_for("the model");
        let watching = watch(vec![slot.clone()], health.clone());
        let red = async {
            while health.stuck(Instant::now()).is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Instant::now()
        };
        let start = Instant::now();
        let (stalled, red) = tokio::join!(watching, red);
        assert_eq!((stalled.slot, stalled.what), (3, "the model"));
        assert!(stalled.passed >= Duration::from_secs(4));
        assert!(red - start >= Duration::from_secs(2));
    }

    #[tokio::test]
    async fn a_slot_that_commits_or_has_no_work_goes_on() {
        let (health, slot) = (Health::new(), Watch::new(0, Duration::from_secs(1)));
        let watching = watch(vec![slot.clone()], health.clone());
        let working = async {
            for _ in 0..20 {
                slot.waits_for("the model");
                tokio::time::sleep(Duration::from_millis(100)).await;
                slot.moved();
            }
            slot.idle();
            tokio::time::sleep(Duration::from_secs(3)).await;
        };
        tokio::select! {
            stalled = watching => panic!("{stalled:?}"),
            () = working => {}
        }
        assert!(health.stuck(Instant::now()).is_empty());
    }

    #[tokio::test]
    async fn brokers_that_are_away_end_nothing() {
        let (health, slot) = (Health::new(), Watch::new(0, Duration::from_secs(1)));
        health.set_reached("the brokers", false);
        slot.waits_for("the brokers");
        let watching = watch(vec![slot.clone()], health.clone());
        assert_eq!(ends_within(watching, Duration::from_secs(5)).await, None);
        assert!(health.stuck(Instant::now()).is_empty());
        // Back again: the outage does not count.
        health.set_reached("the brokers", true);
        let start = Instant::now();
        let watching = watch(vec![slot.clone()], health.clone());
        assert!(
            ends_within(watching, Duration::from_secs(9))
                .await
                .is_some()
        );
        assert!(start.elapsed() > Duration::from_secs(1));
    }
}
