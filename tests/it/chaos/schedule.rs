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
    /// kill -9 of the broker that coordinates the group and its transactions' offsets; of several.
    CoordinatorKilled,
    /// SIGSTOP of all brokers but one: `min.insync.replicas` is not met, and nothing is elected.
    TooFewInSync,
    /// What a broker and its clients send one another is late.
    NetworkSlow,
    /// Nothing passes in one direction; what is held back comes later.
    NetworkOneWay,
    /// All connections to a broker are reset.
    NetworkReset,
    /// Nothing passes in either direction, and nobody can connect.
    NetworkBlackHole,
    /// One worker more.
    ScaledUp,
    /// SIGTERM to a worker.
    ScaledDown,
    /// kill -9 of all workers; what they left is compared with the offsets that they committed.
    AllKilled,
}

/// Faults of one broker, with how often each is drawn: what ends a transaction half-way most often; what
/// takes long, less.
pub const ONE_BROKER: [(Fault, u32); 14] = [
    (Fault::WorkerKilled, 22),
    (Fault::WorkerStopped, 13),
    (Fault::WorkerStoppedLong, 5),
    (Fault::WorkerReplaced, 5),
    (Fault::BrokerRestarted, 7),
    (Fault::BrokerKilled, 7),
    (Fault::BrokerStopped, 7),
    (Fault::NetworkSlow, 5),
    (Fault::NetworkOneWay, 5),
    (Fault::NetworkReset, 5),
    (Fault::NetworkBlackHole, 4),
    (Fault::ScaledUp, 6),
    (Fault::ScaledDown, 6),
    (Fault::AllKilled, 3),
];

/// Faults of several brokers: elections, coordinators that move, too few copies, networks.
pub const SEVERAL_BROKERS: [(Fault, u32); 15] = [
    (Fault::CoordinatorKilled, 14),
    (Fault::BrokerKilled, 12),
    (Fault::BrokerRestarted, 10),
    (Fault::TooFewInSync, 8),
    (Fault::BrokerStopped, 8),
    (Fault::NetworkOneWay, 9),
    (Fault::NetworkBlackHole, 8),
    (Fault::NetworkReset, 6),
    (Fault::NetworkSlow, 5),
    (Fault::WorkerKilled, 6),
    (Fault::WorkerStopped, 4),
    (Fault::WorkerReplaced, 3),
    (Fault::ScaledUp, 2),
    (Fault::ScaledDown, 2),
    (Fault::AllKilled, 3),
];

#[derive(Debug, Clone)]
pub struct Step {
    /// Time before it.
    pub after: Duration,
    pub fault: Fault,
    /// Which worker, modulo those there are.
    pub worker: usize,
    /// Which broker, modulo those there are.
    pub broker: usize,
    /// How long a process is stopped or gone, or the network is bad.
    pub lasts: Duration,
}

/// `count` faults: each kind once first, then by how often it is drawn.
pub fn of_every_kind(kinds: &[(Fault, u32)], seed: u64, count: usize) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut faults: Vec<Fault> = kinds.iter().map(|(fault, _)| *fault).collect();
    for last in (1..faults.len()).rev() {
        faults.swap(last, random.random_range(0..=last));
    }
    faults.truncate(count);
    while faults.len() < count {
        faults.push(drawn(kinds, &mut random));
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

fn drawn(kinds: &[(Fault, u32)], random: &mut StdRng) -> Fault {
    let sum = kinds.iter().map(|(_, weight)| weight).sum();
    let mut at = random.random_range(0..sum);
    for (fault, weight) in kinds {
        match at.checked_sub(*weight) {
            Some(rest) => at = rest,
            None => return *fault,
        }
    }
    unreachable!("less than the sum")
}

fn step(random: &mut StdRng, fault: Fault) -> Step {
    let (least, most) = match fault {
        Fault::WorkerKilled => (0, 4000),
        Fault::WorkerStopped | Fault::WorkerReplaced => (4500, 7000),
        Fault::WorkerStoppedLong => (9000, 12_000),
        Fault::BrokerRestarted | Fault::BrokerKilled => (0, 2000),
        // Long enough for another one to be elected.
        Fault::CoordinatorKilled => (0, 8000),
        Fault::BrokerStopped | Fault::TooFewInSync => (1500, 6000),
        Fault::NetworkSlow | Fault::NetworkOneWay | Fault::NetworkBlackHole => (1500, 10_000),
        Fault::ScaledUp | Fault::ScaledDown | Fault::AllKilled | Fault::NetworkReset => (0, 1),
    };
    Step {
        after: millis(random, 1000, 3000),
        fault,
        worker: random.random_range(0..1000),
        broker: random.random_range(0..1000),
        lasts: millis(random, least, most),
    }
}

fn millis(random: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.random_range(least..most))
}
