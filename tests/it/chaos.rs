//! Chaos: real workers on a real broker, a seeded schedule of faults, and a reader that believes
//! nothing. Every record comes out once, committed with its offset, or the seed is printed.
//!
//! `WEIR_CHAOS_SEED` repeats a schedule, `WEIR_CHAOS_FAULTS` sets its length, `WEIR_CHAOS_REPORT`
//! names a file for the report, `WEIR_CHAOS_BINARY` another weir; `WEIR_CHAOS_PROTOCOL=consumer` lets
//! the broker assign (KIP-848). The broker is always this test's
//! own: it is killed.

mod ledger;
mod load;
mod schedule;
mod workers;

use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::RngExt as _;
use serde_json::json;

use self::{
    ledger::{Ledger, Verdict},
    load::{Acknowledged, Load},
    schedule::{Fault, Step},
    workers::Workers,
};
use crate::{
    job::signal,
    kafka_broker::{self, Node},
};

const INPUT: &str = "documents";
/// Entities, redactions, dead letters, audit records.
const OUTPUTS: [&str; 4] = [
    "documents.entities",
    "documents.redacted",
    "dlq.documents",
    "weir.audit",
];
const GROUP: &str = "chaos";
const PARTITIONS: i32 = 6;

/// Workers at the start, and after all were killed.
const WORKERS: usize = 4;

/// Faults in the suite: each kind twice.
const FAULTS: usize = 20;

/// Longest time from the last fault to the last commit.
const SETTLES: Duration = Duration::from_secs(180);

/// The broker starts again and again: quick to start matters more than quick to run.
const JVM: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Few partitions of the inner topics are quick to load; transactions of the dead are ended soon.
const PROPERTIES: &str = "offsets.topic.num.partitions=1\n\
                          transaction.state.log.num.partitions=4\n\
                          transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n\
                          group.consumer.session.timeout.ms=4000\n\
                          group.consumer.min.session.timeout.ms=1000\n\
                          group.consumer.heartbeat.interval.ms=1000\n\
                          group.consumer.min.heartbeat.interval.ms=500\n\
                          log.cleaner.enable=false\n";

struct Chaos {
    _alone: MutexGuard<'static, ()>,
    start: Instant,
    node: Node,
    broker: Broker,
    workers: Workers,
    ledger: Ledger,
    faults: BTreeMap<String, u64>,
    /// What happened when.
    schedule: Vec<String>,
    /// Verdicts while all workers were dead, and the last one.
    verdicts: Vec<Verdict>,
    problems: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
enum Broker {
    Up,
    Stopped(Instant),
    /// Told to end; then gone for this long.
    Ending(Duration),
    Gone(Instant),
    Starting,
}

impl Chaos {
    fn new(environment: &[(&'static str, &'static str)]) -> Self {
        // One broker and a handful of workers are load enough.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let node = Node::start(&JVM, PROPERTIES);
        let address = node.address();
        let topics = [INPUT].into_iter().chain(OUTPUTS);
        let topics: Vec<_> = topics.map(|topic| (topic, PARTITIONS)).collect();
        kafka_broker::create_topics(&address, &topics);
        Self {
            _alone: alone,
            start: Instant::now(),
            workers: Workers::new(&address, environment),
            ledger: Ledger::new(&address),
            node,
            broker: Broker::Up,
            faults: BTreeMap::new(),
            schedule: Vec::new(),
            verdicts: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn load(&self, seed: u64) -> Load {
        Load::start(&self.node.address(), INPUT, seed, 60)
    }

    fn run(&mut self, steps: &[Step]) {
        for (number, step) in steps.iter().enumerate() {
            if number > 0 && number % 20 == 0 {
                let seconds = self.start.elapsed().as_secs();
                eprintln!(
                    "chaos: {number} of {} faults after {seconds} s",
                    steps.len()
                );
            }
            self.wait(step.after);
            let mut done = self.apply(step);
            // Nobody runs whom it could hit: somebody will.
            while done.is_none() {
                self.wait(Duration::from_millis(200));
                done = self.apply(step);
            }
            let done = format!("{:?}", done.expect("looked at above"));
            let at = self.start.elapsed().as_secs_f64();
            self.schedule.push(format!(
                "{at:.1} s: {done}, worker {}, {:?}",
                step.worker, step.lasts
            ));
            *self.faults.entry(done).or_default() += 1;
        }
    }

    /// What was done; `None` if nothing could be.
    fn apply(&mut self, step: &Step) -> Option<Fault> {
        let Step { worker, lasts, .. } = *step;
        let of_broker = [
            Fault::BrokerRestarted,
            Fault::BrokerKilled,
            Fault::BrokerStopped,
        ];
        if of_broker.contains(&step.fault) && !matches!(self.broker, Broker::Up) {
            return None;
        }
        let done = match step.fault {
            Fault::WorkerKilled => self.workers.kill(worker, lasts),
            Fault::WorkerStopped | Fault::WorkerStoppedLong => self.workers.stop(worker, lasts),
            Fault::WorkerReplaced => self.workers.replace(worker, lasts),
            Fault::BrokerRestarted => {
                signal(self.node.pid(), "TERM");
                self.broker = Broker::Ending(lasts);
                true
            }
            Fault::BrokerKilled => {
                self.node.kill();
                self.broker = Broker::Gone(Instant::now() + lasts);
                true
            }
            Fault::BrokerStopped => {
                signal(self.node.pid(), "STOP");
                self.broker = Broker::Stopped(Instant::now() + lasts);
                true
            }
            Fault::ScaledUp if self.workers.scale_up() => true,
            Fault::ScaledDown if self.workers.scale_down(worker) => true,
            // As many or as few as may be: the other way, then.
            Fault::ScaledUp => {
                let done = self.workers.scale_down(worker);
                return done.then_some(Fault::ScaledDown);
            }
            Fault::ScaledDown => {
                let done = self.workers.scale_up();
                return done.then_some(Fault::ScaledUp);
            }
            Fault::AllKilled => {
                self.kill_all_and_look();
                self.workers.start(WORKERS);
                true
            }
        };
        done.then_some(step.fault)
    }

    fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            self.tick();
            if Instant::now() >= until {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn tick(&mut self) {
        self.workers.tick();
        let now = Instant::now();
        match self.broker {
            Broker::Stopped(until) if until <= now => {
                signal(self.node.pid(), "CONT");
                self.broker = Broker::Up;
            }
            Broker::Ending(lasts) if self.node.has_ended() => {
                self.broker = Broker::Gone(now + lasts);
            }
            Broker::Gone(until) if until <= now => {
                self.node.start_again();
                self.broker = Broker::Starting;
            }
            Broker::Starting if self.node.answers() => self.broker = Broker::Up,
            Broker::Starting => assert!(!self.node.has_ended(), "the broker does not start again"),
            _ => {}
        }
    }

    fn wait_for_broker(&mut self) {
        while !matches!(self.broker, Broker::Up) {
            self.wait(Duration::from_millis(50));
        }
    }

    /// As if the power failed on every worker at once: the committed offsets and what a reader sees
    /// must then tell the same, to the record.
    fn kill_all_and_look(&mut self) {
        self.wait_for_broker();
        self.workers.kill_all();
        self.look();
    }

    fn look(&mut self) {
        self.ledger.wait_until_all_ended();
        let committed = again_and_again(|| self.ledger.committed());
        self.ledger.read();
        let verdict = self.ledger.verdict(&committed);
        self.verdicts.push(verdict);
    }

    /// Lets everything come to rest: all that was written is committed, and the workers drain.
    fn settle(&mut self) {
        self.wait_for_broker();
        let start = Instant::now();
        while !self.workers.at_rest() && start.elapsed() < Duration::from_secs(20) {
            self.wait(Duration::from_millis(100));
        }
        self.workers.end_replaced();
        let ends = again_and_again(|| self.ledger.ends());
        let start = Instant::now();
        while again_and_again(|| self.ledger.committed()) != ends {
            if start.elapsed() > SETTLES {
                self.problems.push("the workers do not catch up".to_owned());
                break;
            }
            self.wait(Duration::from_millis(500));
        }
        while !self.workers.at_rest() {
            self.wait(Duration::from_millis(100));
        }
        for status in self.workers.drain() {
            // 69: it learnt just then that it had been fenced while it was stopped.
            if !matches!(status.code(), Some(0 | 69)) {
                let problem = format!("SIGTERM at rest: a worker ended with {status}");
                self.problems.push(problem);
            }
        }
        self.look();
    }

    /// Whether anything is wrong.
    fn failed(&mut self, acknowledged: &Acknowledged) -> bool {
        self.problems.extend(self.workers.problems());
        let of_input = self.ledger.input_problems(acknowledged);
        self.problems.extend(of_input);
        !self.problems.is_empty() || !self.verdicts.iter().all(Verdict::is_clean)
    }

    fn report(&self, seed: u64) -> serde_json::Value {
        let last = self.verdicts.last().expect("looked at the end");
        let (committed, aborted) = transactions(&self.node);
        json!({
            "seed": seed,
            "group_protocol": workers::protocol(),
            "weir": env!("CARGO_PKG_VERSION"),
            "kafka": "4.1.1",
            "seconds": self.start.elapsed().as_secs(),
            "faults": self.faults.values().sum::<u64>(),
            "faults_by_kind": self.faults,
            "workers_started": self.workers.starts,
            "workers_ended": self.workers.exits,
            "records": last.documents + last.poison,
            "documents": last.documents,
            "poison": last.poison,
            "transactions_committed": committed,
            "transactions_aborted": aborted,
            // How often librdkafka began where it should not have.
            "sent_to_committed_offset": self.workers.said("committed offset: sent there"),
            // Comparisons to the record: with all workers killed, and at the end.
            "comparisons": self.verdicts.len(),
            "lost": last.lost.len(),
            "doubled": last.doubled.len(),
            "apart": last.apart.len(),
            "out_of_order": last.out_of_order.len(),
            "broken_chains": last.broken_chains.len(),
            "problems": self.problems,
        })
    }
}

impl Drop for Chaos {
    fn drop(&mut self) {
        // A stopped broker is killed like any other.
        self.workers.kill_all();
        if std::thread::panicking() {
            self.workers.keep();
            eprintln!("the workers' logs: {}", self.workers.folder().display());
        }
    }
}

/// What the broker answers, as soon as it is ready to.
fn again_and_again<T>(ask: impl Fn() -> Result<T, rdkafka::error::KafkaError>) -> T {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Transactions that were committed and aborted, by the markers in the log of the group's offsets:
/// each transaction of a worker leaves one there.
fn transactions(node: &Node) -> (usize, usize) {
    let log = node
        .data()
        .join("__consumer_offsets-0/00000000000000000000.log");
    let tool = kafka_broker::tool(&["kafka.tools.DumpLogSegments", "--print-data-log", "--files"])
        .arg(log)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&tool.stdout);
    let count = |marker: &str| said.lines().filter(|line| line.contains(marker)).count();
    (count("endTxnMarker: COMMIT"), count("endTxnMarker: ABORT"))
}

fn in_words(report: &serde_json::Value) -> String {
    let kinds = report["faults_by_kind"].as_object().unwrap();
    let kinds: Vec<String> = kinds.iter().map(|(k, n)| format!("{n} {k}")).collect();
    format!(
        "chaos: {} faults in {} s ({})\n\
         chaos: {} records, {} of them poison; transactions: {} committed, {} aborted\n\
         chaos: lost {}, doubled {}, apart {}, out of order {}, broken audit chains {}, in {} comparisons; seed {}",
        report["faults"],
        report["seconds"],
        kinds.join(", "),
        report["records"],
        report["poison"],
        report["transactions_committed"],
        report["transactions_aborted"],
        report["lost"],
        report["doubled"],
        report["apart"],
        report["out_of_order"],
        report["broken_chains"],
        report["comparisons"],
        report["seed"],
    )
}

fn number_of(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}

#[test]
fn faults_of_every_kind_lose_and_double_nothing() {
    let seed = number_of("WEIR_CHAOS_SEED").unwrap_or_else(|| rand::rng().random_range(0..1 << 32));
    let count = number_of("WEIR_CHAOS_FAULTS").map_or(FAULTS, |count| count as usize);
    eprintln!("chaos: {count} faults, WEIR_CHAOS_SEED={seed}");
    let mut chaos = Chaos::new(&[]);
    let load = chaos.load(seed);
    chaos.workers.start(WORKERS);
    chaos.run(&schedule::of_every_kind(seed, count));
    chaos.wait_for_broker();
    let acknowledged = load.stop();
    chaos.settle();
    let failed = chaos.failed(&acknowledged);
    let report = chaos.report(seed);
    let text = serde_json::to_string_pretty(&report).unwrap();
    eprintln!("{text}\n{}", in_words(&report));
    if let Some(file) = std::env::var_os("WEIR_CHAOS_REPORT") {
        std::fs::write(file, text + "\n").unwrap();
    }
    if failed {
        let bad = chaos.verdicts.iter().find(|verdict| !verdict.is_clean());
        let schedule = chaos.schedule.join("\n");
        panic!("WEIR_CHAOS_SEED={seed}\n{bad:#?}\n{schedule}");
    }
}

#[test]
fn the_harness_finds_offsets_that_are_committed_before_their_records() {
    let seed = 5;
    let mut chaos = Chaos::new(&[("WEIR_PLANTED_FAULT", "offsets_first")]);
    let load = chaos.load(seed);
    chaos.workers.start(WORKERS);
    chaos.wait(Duration::from_secs(4));
    // One kill in a few hits the moment between the two commits.
    for round in 0..6 {
        chaos.run(&schedule::of_kills(seed + round, 8));
        chaos.kill_all_and_look();
        if !chaos.verdicts.last().unwrap().lost.is_empty() {
            break;
        }
        chaos.workers.start(WORKERS);
    }
    load.stop();
    let verdict = chaos.verdicts.last().unwrap();
    assert!(!verdict.lost.is_empty(), "the planted bug was not found");
    assert!(verdict.doubled.is_empty(), "{:?}", verdict.doubled);
}

#[test]
fn sigterm_drains_and_a_second_one_ends_at_once() {
    let mut chaos = Chaos::new(&[]);
    let load = chaos.load(6);
    chaos.workers.start(1);
    chaos.wait(Duration::from_secs(5));
    let codes: Vec<_> = chaos.workers.drain().iter().map(|s| s.code()).collect();
    assert_eq!(codes, [Some(0)]);
    chaos.look();
    let drained = chaos.verdicts.last().unwrap();
    assert!(drained.is_clean() && drained.documents > 0, "{drained:?}");

    // A sink that does not answer holds up the drain; a second signal does not wait for it.
    chaos.workers.start(1);
    chaos.wait(Duration::from_secs(4));
    signal(chaos.node.pid(), "STOP");
    chaos.wait(Duration::from_millis(500));
    let (status, took) = chaos.workers.terminate_twice();
    signal(chaos.node.pid(), "CONT");
    assert_eq!(status.code(), Some(143));
    assert!(took < Duration::from_secs(1), "{took:?}");

    load.stop();
    chaos.workers.start(1);
    chaos.settle();
    let verdict = chaos.verdicts.last().unwrap();
    assert!(
        verdict.is_clean() && chaos.problems.is_empty(),
        "{verdict:?}"
    );
}
