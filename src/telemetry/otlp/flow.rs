//! What waits for the collector, and what it did not take.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use metrics::counter;
use opentelemetry_sdk::error::OTelSdkResult;
use tracing::{info, warn};

use super::Signal;
use crate::telemetry::metric;

/// Time between two lines about a collector that takes nothing.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Counts one signal. The SDK's processors have a bound too, but tell nobody what they drop before they end.
#[derive(Debug)]
pub(super) struct Flow {
    signal: Signal,
    /// Most that wait or are being sent.
    most: usize,
    waiting: AtomicUsize,
    failing: Mutex<Failing>,
}

#[derive(Debug, Default)]
struct Failing {
    /// Dropped since the last line about it.
    dropped: usize,
    /// When it was told last; `None` while the collector answers.
    told: Option<Instant>,
}

impl Flow {
    pub(super) fn new(signal: Signal, most: usize) -> Arc<Self> {
        Arc::new(Self {
            signal,
            most,
            waiting: AtomicUsize::new(0),
            failing: Mutex::default(),
        })
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Takes one more in, if there is room. Logs nothing: it is called while a log line is written.
    pub(super) fn admit(&self) -> bool {
        let admitted = self
            .waiting
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
                (waiting < self.most).then_some(waiting + 1)
            })
            .is_ok();
        if !admitted {
            self.dropped(1);
        }
        admitted
    }

    fn dropped(&self, count: usize) {
        counter!(metric::TELEMETRY_DROPPED_TOTAL, "signal" => self.signal.as_str())
            .increment(count as u64);
        self.failing().dropped += count;
    }

    /// Takes out what was sent, or could not be. Called by the thread that sends.
    pub(super) fn sent(&self, count: usize, outcome: &OTelSdkResult) {
        let waiting = &self.waiting;
        let _ = waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, |waiting| {
            Some(waiting.saturating_sub(count))
        });
        let signal = self.signal.as_str();
        if outcome.is_ok() {
            if self.failing().told.take().is_some() {
                info!(signal, "the collector takes telemetry again");
            }
            return;
        }
        self.dropped(count.max(1));
        let mut failing = self.failing();
        if failing.told.is_some_and(|at| at.elapsed() < TELL_AGAIN) {
            return;
        }
        failing.told = Some(Instant::now());
        let dropped = std::mem::take(&mut failing.dropped);
        drop(failing);
        // Not the SDK's words: they may quote an address.
        warn!(
            signal,
            dropped,
            "the collector does not take telemetry; weir drops it and goes on: check telemetry.otlp.endpoint, and the \
             collector's log"
        );
    }

    fn failing(&self) -> std::sync::MutexGuard<'_, Failing> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use metrics_util::debugging::DebuggingRecorder;
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    #[test]
    fn what_does_not_fit_or_fails_is_counted_and_the_rest_goes_through() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let flow = Flow::new(Signal::Traces, 3);
            let admitted = (0..5).filter(|_| flow.admit()).count();
            assert_eq!(admitted, 3);
            flow.sent(2, &Err(OTelSdkError::InternalFailure(String::new())));
            assert!(flow.admit() && flow.admit() && !flow.admit());
            flow.sent(3, &Ok(()));
            assert!(flow.admit());
        });
        let counted = snapshotter.snapshot().into_vec();
        let counted: Vec<String> = counted
            .into_iter()
            .map(|(key, _, _, value)| format!("{} {value:?}", key.key().name()))
            .collect();
        assert_eq!(counted, ["weir_telemetry_dropped_total Counter(5)"]);
    }
}
