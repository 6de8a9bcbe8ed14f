//! What goes wrong and when: made of a seed, before anything runs.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// kill -9, and a start under the same transactional id.
    WorkerKilled,
    /// SIGSTOP for longer than the session timeout, then SIGCONT.
    WorkerStopped,
    /// SIGSTOP for longer than the timeout of a transaction, then SIGCONT.
    WorkerStoppedLong,
    /// SIGSTOP; another process takes its place and its ids; then SIGCONT.
    WorkerReplaced,
    /// SIGTERM to the broker, and a start on the same folder.
    BrokerRestarted,
    /// kill -9 of the broker, and a start on the same folder.
    BrokerKilled,
    /// SIGSTOP of the broker for seconds: a paused source and sink.
    BrokerStopped,
    /// One worker more.
    ScaledUp,
    /// SIGTERM to a worker.
    ScaledDown,
    /// kill -9 of all workers; what they left is compared with the offsets that they committed.
    AllKilled,
}

pub const EVERY_KIND: [Fault; 10] = [
    Fault::WorkerKilled,
    Fault::WorkerStopped,
    Fault::WorkerStoppedLong,
    Fault::WorkerReplaced,
    Fault::BrokerRestarted,
    Fault::BrokerKilled,
    Fault::BrokerStopped,
    Fault::ScaledUp,
    Fault::ScaledDown,
    Fault::AllKilled,
];

#[derive(Debug, Clone)]
pub struct Step {
    /// Time before it.
    pub after: Duration,
    pub fault: Fault,
    /// Which worker, modulo those there are.
    pub worker: usize,
    /// How long a process is stopped or gone.
    pub lasts: Duration,
}

/// `count` faults: each kind twice first, then by how often they are worth it.
pub fn of_every_kind(seed: u64, count: usize) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults: Vec<Fault> = EVERY_KIND.iter().chain(&EVERY_KIND).copied().collect();
    for last in (1..faults.len()).rev() {
        faults.swap(last, random.random_range(0..=last));
    }
    faults.truncate(count);
    while faults.len() < count {
        faults.push(weighted(&mut random));
    }
    let steps = faults.into_iter().map(|fault| step(&mut random, fault));
    steps.collect()
}

/// Kills of single workers alone.
pub fn of_kills(seed: u64, count: usize) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let steps = (0..count).map(|_| Step {
        after: millis(&mut random, 300, 1000),
        lasts: Duration::ZERO,
        ..step(&mut random, Fault::WorkerKilled)
    });
    steps.collect()
}

/// What ends a transaction half-way is drawn most often; what takes long, less.
fn weighted(random: &mut StdRng) -> Fault {
    match random.random_range(0..100) {
        0..26 => Fault::WorkerKilled,
        26..42 => Fault::WorkerStopped,
        42..48 => Fault::WorkerStoppedLong,
        48..54 => Fault::WorkerReplaced,
        54..62 => Fault::BrokerRestarted,
        62..70 => Fault::BrokerKilled,
        70..78 => Fault::BrokerStopped,
        78..87 => Fault::ScaledUp,
        87..96 => Fault::ScaledDown,
        _ => Fault::AllKilled,
    }
}

fn step(random: &mut StdRng, fault: Fault) -> Step {
    let (least, most) = match fault {
        Fault::WorkerKilled => (0, 4000),
        Fault::WorkerStopped | Fault::WorkerReplaced => (4500, 7000),
        Fault::WorkerStoppedLong => (9000, 12_000),
        Fault::BrokerRestarted | Fault::BrokerKilled => (0, 2000),
        Fault::BrokerStopped => (1500, 6000),
        Fault::ScaledUp | Fault::ScaledDown | Fault::AllKilled => (0, 1),
    };
    Step {
        after: millis(random, 1000, 3000),
        fault,
        worker: random.random_range(0..1000),
        lasts: millis(random, least, most),
    }
}

fn millis(random: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.random_range(least..most))
}
