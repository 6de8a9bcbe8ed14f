//! Whether the brokers answer: a separate client asks them every second.
//!
//! The clients that read and write learn late that packets are lost: a connection counts as up
//! until a request on it times out, a minute by default. So `/readyz` depends on this client. It also
//! logs two lines per outage: one at its beginning with the reason that librdkafka gives, and one at
//! its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    kafka::{
        Brokers,
        brokers::{self, Client},
    },
    telemetry::Health,
};

/// Time between two questions.
const EVERY: Duration = Duration::from_secs(1);

/// Longest wait for an answer.
const WAIT: Duration = Duration::from_millis(1500);

/// Questions without an answer, one behind the other, that make an outage: one may have gone to a
/// broker that is just being restarted, while the others answer.
const FAILURES: u32 = 3;

/// A cluster by the name that people read.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Such as "the brokers of the source".
    pub name: &'static str,
    /// How it is reached.
    pub brokers: Brokers,
}

/// Asks until `stop`; on a thread of its own for each cluster, since librdkafka blocks.
pub fn watch(clusters: Vec<Cluster>, health: &Health, stop: &CancellationToken) {
    for cluster in clusters {
        let client = match cluster.brokers.client() {
            Ok(client) => Arc::new(client),
            // The reader or writer of these brokers fails for the same reason, and says why.
            Err(_) => continue,
        };
        let (health, stop) = (health.clone(), stop.clone());
        let thread = move || ask(&client, cluster.name, &health, &stop);
        std::thread::Builder::new()
            .name("reach".to_owned())
            .spawn(thread)
            .expect("a process may have a few threads");
    }
}

fn ask(client: &Client, name: &'static str, health: &Health, stop: &CancellationToken) {
    let mut outage = Outage::default();
    while !stop.is_cancelled() {
        let answered = client.answers(WAIT);
        match outage.next(answered, Instant::now()) {
            Change::None => {}
            Change::Began => {
                health.set_reached(name, false);
                let reason = brokers::last_failure();
                warn!(reason, "{name} do not answer: weir waits for them");
            }
            Change::Ended(passed) => {
                health.set_reached(name, true);
                info!(seconds = passed.as_secs(), "{name} answer again");
            }
        }
        std::thread::sleep(EVERY);
    }
}

/// An outage by the answers.
#[derive(Debug, Default)]
struct Outage {
    failures: u32,
    first: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Change {
    None,
    Began,
    Ended(Duration),
}

impl Outage {
    fn next(&mut self, answered: bool, now: Instant) -> Change {
        if answered {
            let over = self.failures >= FAILURES;
            let first = self.first.take();
            self.failures = 0;
            return match first {
                Some(first) if over => Change::Ended(now - first),
                _ => Change::None,
            };
        }
        self.first.get_or_insert(now);
        self.failures = self.failures.saturating_add(1);
        match self.failures == FAILURES {
            true => Change::Began,
            false => Change::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_begins_with_the_third_failure_and_ends_with_an_answer() {
        let (mut outage, start) = (Outage::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for (answered, seconds) in [(false, 0), (false, 1), (true, 2), (false, 3), (false, 4)] {
            assert_eq!(outage.next(answered, at(seconds)), Change::None);
        }
        assert_eq!(outage.next(false, at(5)), Change::Began);
        assert_eq!(outage.next(false, at(6)), Change::None);
        let passed = Duration::from_secs(17);
        assert_eq!(outage.next(true, at(20)), Change::Ended(passed));
        assert_eq!(outage.next(true, at(21)), Change::None);
    }
}
