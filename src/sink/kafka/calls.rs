//! Calls into librdkafka that may never return, seen from another thread.
//!
//! `rd_kafka_send_offsets_to_transaction` ignores its timeout while the coordinator of the
//! *group* is away (librdkafka issue 5456, open in 2.12): the thread waits until that broker is back.
//! A call can't be cancelled. So its thread is watched: [`Calls`] says which call the thread is in, and
//! [`Calls::give_up`] leaves thread and producer behind once the call exceeds its deadline. A new
//! producer of the same transactional id fences the old one, so a call that returns later changes
//! nothing.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::{counter, gauge};
use rdkafka::error::KafkaError;

use crate::telemetry::metric;

/// Most calls that are left behind at a time in this process. Each holds a producer: a few threads
/// and its buffers. At the bound the worker waits for one of them to return.
pub const MOST_LEFT_BEHIND: usize = 8;

static LEFT_BEHIND: AtomicUsize = AtomicUsize::new(0);

/// The calls of one publishing thread.
#[derive(Debug, Default)]
pub struct Calls(Mutex<State>);

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Outside,
    Inside {
        call: &'static str,
        since: Instant,
        deadline: Duration,
    },
    GivenUp,
}

/// A call that was left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    /// What the thread was doing.
    pub call: &'static str,
    /// For how long.
    pub passed: Duration,
}

impl Calls {
    /// The thread begins a call that has to return within `deadline`.
    ///
    /// # Errors
    /// The thread was given up: it has to stop.
    pub(super) fn enter(&self, call: &'static str, deadline: Duration) -> Result<(), KafkaError> {
        let mut state = self.state();
        if let State::GivenUp = *state {
            return Err(KafkaError::Canceled);
        }
        *state = State::Inside {
            call,
            since: Instant::now(),
            deadline,
        };
        Ok(())
    }

    /// The call that the thread is in.
    pub fn current(&self) -> Option<&'static str> {
        match *self.state() {
            State::Inside { call, .. } => Some(call),
            State::Outside | State::GivenUp => None,
        }
    }

    /// Leaves the thread behind if its call exceeds its deadline and the bound allows it.
    pub fn give_up(&self) -> Option<GivenUp> {
        let mut state = self.state();
        let State::Inside {
            call,
            since,
            deadline,
        } = *state
        else {
            return None;
        };
        let passed = since.elapsed();
        if passed <= deadline {
            return None;
        }
        let room = |count| (count < MOST_LEFT_BEHIND).then_some(count + 1);
        let taken = LEFT_BEHIND.fetch_update(Ordering::AcqRel, Ordering::Acquire, room);
        taken.ok()?;
        *state = State::GivenUp;
        counter!(metric::CALLS_GIVEN_UP_TOTAL).increment(1);
        told();
        Some(GivenUp { call, passed })
    }

    /// The thread's last call returned.
    pub fn returned(&self) {
        let mut state = self.state();
        if let State::GivenUp = *state {
            LEFT_BEHIND.fetch_sub(1, Ordering::AcqRel);
            told();
        }
        *state = State::Outside;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Calls of this process that were given up and have not returned.
pub fn left_behind() -> usize {
    LEFT_BEHIND.load(Ordering::Acquire)
}

fn told() {
    gauge!(metric::CALLS_LEFT_BEHIND).set(left_behind() as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_given_up_once_behind_its_deadline_and_then_ends_its_thread() {
        let calls = Calls::default();
        assert_eq!(calls.give_up(), None);
        calls.enter("commit", Duration::from_secs(60)).unwrap();
        assert_eq!((calls.give_up(), calls.current()), (None, Some("commit")));
        calls.enter("offsets", Duration::ZERO).unwrap();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(calls.give_up().unwrap().call, "offsets");
        assert_eq!(calls.give_up(), None);
        let next = calls.enter("commit", Duration::from_secs(60));
        assert!(matches!(next, Err(KafkaError::Canceled)));
        calls.returned();
        assert!(calls.enter("begin", Duration::from_secs(60)).is_ok());
    }

    #[test]
    fn calls_left_behind_are_bounded_and_make_room_when_they_return() {
        let overdue = || {
            let calls = Calls::default();
            calls.enter("offsets", Duration::ZERO).unwrap();
            calls
        };
        let mut left: Vec<Calls> = Vec::new();
        let all: Vec<Calls> = (0..2 * MOST_LEFT_BEHIND).map(|_| overdue()).collect();
        std::thread::sleep(Duration::from_millis(2));
        let mut waiting = Vec::new();
        for calls in all {
            match calls.give_up() {
                Some(_) => left.push(calls),
                None => waiting.push(calls),
            }
        }
        // The other test of this module may hold one for a moment.
        assert!((MOST_LEFT_BEHIND - 1..=MOST_LEFT_BEHIND).contains(&left.len()));
        for calls in &left {
            calls.returned();
        }
        assert!(waiting[0].give_up().is_some());
        waiting[0].returned();
    }
}
