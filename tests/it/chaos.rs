//! Chaos: real workers on one real broker or three, behind a bad network, a seeded schedule of faults, and
//! a reader that believes nothing. Every record comes out once, committed with its offset, or the seed is
//! printed.
//!
//! `WEIR_CHAOS_SEED` repeats a schedule, `WEIR_CHAOS_FAULTS` sets its length, `WEIR_CHAOS_REPORT`
//! names a file for the report of one broker and `WEIR_CHAOS_CLUSTER_REPORT` one for that of three,
//! `WEIR_CHAOS_BINARY` another weir; `WEIR_CHAOS_PROTOCOL=consumer` lets the broker assign (KIP-848). The
//! brokers are always this test's own: they are killed. The test's own clients reach them past the network.

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
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use serde_json::json;

use self::{
    ledger::{Ledger, Verdict},
    load::{Acknowledged, Load},
    schedule::{Fault, Step},
    workers::Workers,
};
use crate::support::{
    broker::{self, Node, free_port},
    eventually::eventually,
    job::signal,
    proxy::{Network, Proxy},
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

/// Faults in the suite on one broker: each kind at least once.
const FAULTS: usize = 20;

/// Faults in the suite on three brokers.
const FAULTS_OF_CLUSTER: usize = 8;

/// Longest time from the last fault to the last commit.
const SETTLES: Duration = Duration::from_secs(180);

/// The broker starts again and again: quick to start matters more than quick to run. Its log tells who led a
/// partition, and what a copy cut off.
const JVM: [&str; 3] = [
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Dorg.apache.logging.log4j.level=INFO",
];

/// Few partitions of the inner topics are quick to load; transactions of the dead are ended soon.
const PROPERTIES: &str = "offsets.topic.num.partitions=1\n\
                          transaction.state.log.num.partitions=4\n\
                          transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n\
                          group.consumer.session.timeout.ms=4000\n\
                          group.consumer.min.session.timeout.ms=1000\n\
                          group.consumer.heartbeat.interval.ms=1000\n\
                          group.consumer.min.heartbeat.interval.ms=500\n\
                          broker.session.timeout.ms=3000\n\
                          log.cleaner.enable=false\n";

struct Chaos {
    _alone: MutexGuard<'static, ()>,
    start: Instant,
    nodes: Vec<Node>,
    brokers: Vec<Broker>,
    /// In front of each broker, for the workers; and until when its network is bad.
    proxies: Vec<(Proxy, Option<Instant>)>,
    workers: Workers,
    ledger: Ledger,
    faults: BTreeMap<String, u64>,
    /// What happened when.
    schedule: Vec<String>,
    /// Verdicts while all workers were dead, and the last one.
    verdicts: Vec<Verdict>,
    problems: Vec<String>,
    /// What `weir audit verify` says at the end.
    audit: String,
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
    /// One broker.
    fn new(environment: &[(&'static str, &'static str)]) -> Self {
        Self::on(1, environment)
    }

    /// Brokers that all keep a copy of what is written.
    fn on(count: usize, environment: &[(&'static str, &'static str)]) -> Self {
        // A few brokers and a handful of workers are load enough.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        // Brokers and this test's clients speak to one another directly, the workers through the network.
        let outside: Vec<u16> = (0..count).map(|_| free_port()).collect();
        let proxies: Vec<Proxy> = outside.iter().map(|port| Proxy::start(*port)).collect();
        let properties = outside.iter().zip(&proxies).map(|(outside, proxy)| {
            PROPERTIES.to_owned() + &broker::also_behind(*outside, proxy.port())
        });
        let properties: Vec<String> = properties.collect();
        let nodes = Node::start_copied(&JVM, &properties);
        let address = addresses(&nodes);
        let topics = [INPUT].into_iter().chain(OUTPUTS);
        let topics: Vec<_> = topics.map(|topic| (topic, PARTITIONS)).collect();
        broker::create_copied_topics(&address, &topics, count as i32);
        let through = proxies.iter();
        let through = through.map(|proxy| format!("127.0.0.1:{}", proxy.port()));
        let through = through.collect::<Vec<_>>().join(",");
        Self {
            _alone: alone,
            start: Instant::now(),
            workers: Workers::new(&through, environment),
            ledger: Ledger::new(&address),
            brokers: vec![Broker::Up; count],
            nodes,
            proxies: proxies.into_iter().map(|proxy| (proxy, None)).collect(),
            faults: BTreeMap::new(),
            schedule: Vec::new(),
            verdicts: Vec::new(),
            problems: Vec::new(),
            audit: String::new(),
        }
    }

    fn load(&self, seed: u64) -> Load {
        Load::start(&addresses(&self.nodes), INPUT, seed, 60)
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
                "{at:.1} s: {done}, worker {}, broker {}, {:?}",
                step.worker, step.broker, step.lasts
            ));
            *self.faults.entry(done).or_default() += 1;
            // What is written later would only bury what is wrong.
            if !self.is_clean() {
                return;
            }
        }
    }

    /// Whether nothing was found wrong.
    fn is_clean(&self) -> bool {
        self.verdicts.iter().all(Verdict::is_clean)
    }

    /// What was done; `None` if nothing could be.
    fn apply(&mut self, step: &Step) -> Option<Fault> {
        let Step { worker, lasts, .. } = *step;
        let of_broker = [
            Fault::BrokerRestarted,
            Fault::BrokerKilled,
            Fault::BrokerStopped,
            Fault::CoordinatorKilled,
            Fault::TooFewInSync,
        ];
        if of_broker.contains(&step.fault) && !self.all_are_up() {
            return None;
        }
        let until = Instant::now() + lasts;
        let broker = match step.fault {
            Fault::CoordinatorKilled => self.coordinator()?,
            _ => step.broker % self.nodes.len(),
        };
        let done = match step.fault {
            Fault::WorkerKilled => self.workers.kill(worker, lasts),
            Fault::WorkerStopped | Fault::WorkerStoppedLong => self.workers.stop(worker, lasts),
            Fault::WorkerReplaced => self.workers.replace(worker, lasts),
            Fault::BrokerRestarted => {
                signal(self.nodes[broker].pid(), "TERM");
                self.brokers[broker] = Broker::Ending(lasts);
                true
            }
            Fault::BrokerKilled | Fault::CoordinatorKilled => {
                self.nodes[broker].kill();
                self.brokers[broker] = Broker::Gone(until);
                true
            }
            Fault::BrokerStopped => {
                signal(self.nodes[broker].pid(), "STOP");
                self.brokers[broker] = Broker::Stopped(until);
                true
            }
            Fault::TooFewInSync => {
                for other in (0..self.nodes.len()).filter(|other| *other != broker) {
                    signal(self.nodes[other].pid(), "STOP");
                    self.brokers[other] = Broker::Stopped(until);
                }
                true
            }
            Fault::NetworkSlow => self.disturb(broker, until, Network::Slow(lasts / 20)),
            Fault::NetworkOneWay if worker.is_multiple_of(2) => {
                self.disturb(broker, until, Network::SilentToBroker)
            }
            Fault::NetworkOneWay => self.disturb(broker, until, Network::SilentToClient),
            Fault::NetworkBlackHole => self.disturb(broker, until, Network::BlackHole),
            Fault::NetworkReset => {
                self.proxies[broker].0.reset();
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

    /// A bad network in front of a broker, unless it is bad already.
    fn disturb(&mut self, broker: usize, until: Instant, network: Network) -> bool {
        let (proxy, bad) = &mut self.proxies[broker];
        if bad.is_some() {
            return false;
        }
        proxy.set(network);
        *bad = Some(until);
        true
    }

    fn all_are_up(&self) -> bool {
        self.brokers
            .iter()
            .all(|broker| matches!(broker, Broker::Up))
    }

    /// The broker that coordinates the group: the leader of the one partition of its offsets.
    fn coordinator(&self) -> Option<usize> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", addresses(&self.nodes))
            .set("log_level", "0")
            .create()
            .unwrap();
        let topic = Some("__consumer_offsets");
        let metadata = consumer
            .fetch_metadata(topic, Duration::from_secs(2))
            .ok()?;
        let leader = metadata.topics().first()?.partitions().first()?.leader();
        usize::try_from(leader).ok()?.checked_sub(1)
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
        for (proxy, bad) in &mut self.proxies {
            if bad.is_some_and(|until| until <= now) {
                proxy.set(Network::Whole);
                *bad = None;
            }
        }
        for (node, broker) in self.nodes.iter_mut().zip(&mut self.brokers) {
            match *broker {
                Broker::Stopped(until) if until <= now => {
                    signal(node.pid(), "CONT");
                    *broker = Broker::Up;
                }
                Broker::Ending(lasts) if node.has_ended() => *broker = Broker::Gone(now + lasts),
                Broker::Gone(until) if until <= now => {
                    node.start_again();
                    *broker = Broker::Starting;
                }
                Broker::Starting if node.answers() => *broker = Broker::Up,
                Broker::Starting => assert!(!node.has_ended(), "a broker does not start again"),
                _ => {}
            }
        }
    }

    /// Until all brokers run, and the network is whole.
    fn wait_for_brokers(&mut self) {
        while !self.all_are_up() || self.proxies.iter().any(|(_, bad)| bad.is_some()) {
            self.wait(Duration::from_millis(50));
        }
    }

    /// As if the power failed on every worker at once: the committed offsets and what a reader sees
    /// must then tell the same, to the record.
    fn kill_all_and_look(&mut self) {
        self.wait_for_brokers();
        self.workers.kill_all();
        self.look();
    }

    fn look(&mut self) {
        self.ledger.wait_until_all_ended();
        let committed = again_and_again(|| self.ledger.committed());
        self.ledger.read();
        let verdict = self.ledger.verdict(&committed);
        if !verdict.is_clean() {
            let at = self.start.elapsed().as_secs();
            eprintln!("chaos: after {at} s, committed up to {committed:?}: {verdict:#?}");
        }
        self.verdicts.push(verdict);
    }

    /// Lets everything come to rest: all that was written is committed, and the workers drain.
    fn settle(&mut self) {
        self.wait_for_brokers();
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
        !self.problems.is_empty() || !self.is_clean()
    }

    /// What is not proven at the end, if anything is not.
    fn look_at_audit(&mut self) {
        let (verdict, text) = self.workers.audit();
        eprintln!("chaos: {verdict}");
        self.audit.clone_from(&verdict);
        if !verdict.starts_with("PROVEN: ") {
            self.problems.push(format!("the audit says: {text}"));
        }
    }

    fn report(&self, seed: u64) -> serde_json::Value {
        let last = self.verdicts.last().expect("looked at the end");
        let (committed, aborted) = transactions(&self.nodes[0]);
        json!({
            "seed": seed,
            "group_protocol": workers::protocol(),
            "weir": env!("CARGO_PKG_VERSION"),
            "kafka": "4.1.1",
            "brokers": self.nodes.len(),
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
            "sent_to_committed_offset": self.workers.said("weir seeks to the committed offset"),
            // How often it delivered another record than the next one.
            "sent_to_next_offset": self.workers.said("did not deliver the next record"),
            // Comparisons to the record: with all workers killed, and at the end.
            "comparisons": self.verdicts.len(),
            "lost": last.lost.len(),
            "doubled": last.doubled.len(),
            "apart": last.apart.len(),
            "out_of_order": last.out_of_order.len(),
            "broken_chains": last.broken_chains.len(),
            "audit": self.audit,
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
            let folder = self.workers.folder();
            for (number, node) in self.nodes.iter_mut().enumerate() {
                let log = folder.join(format!("broker-{}.log", number + 1));
                let _ = std::fs::copy(node.log(), log);
                node.keep();
                eprintln!("what broker {} has: {}", number + 1, node.data().display());
            }
            eprintln!("the logs of workers and brokers: {}", folder.display());
        }
    }
}

/// The brokers as this test reaches them.
fn addresses(nodes: &[Node]) -> String {
    let addresses: Vec<String> = nodes.iter().map(Node::address).collect();
    addresses.join(",")
}

/// What the broker answers, as soon as it is ready to.
fn again_and_again<T>(ask: impl Fn() -> Result<T, rdkafka::error::KafkaError>) -> T {
    eventually(Duration::from_secs(60), ask)
}

/// Transactions that were committed and aborted, by the markers in the log of the group's offsets:
/// each transaction of a worker leaves one there.
fn transactions(node: &Node) -> (usize, usize) {
    let log = node
        .data()
        .join("__consumer_offsets-0/00000000000000000000.log");
    let tool = broker::tool(&["kafka.tools.DumpLogSegments", "--print-data-log", "--files"])
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
        "chaos: {} brokers, {} faults in {} s ({})\n\
         chaos: {} records, {} of them poison; transactions: {} committed, {} aborted\n\
         chaos: lost {}, doubled {}, apart {}, out of order {}, broken audit chains {}, in {} comparisons; seed {}",
        report["brokers"],
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

/// As many faults as are asked for, or `count`, on some brokers.
fn lose_and_double_nothing(brokers: usize, kinds: &[(Fault, u32)], count: usize, report: &str) {
    let seed = number_of("WEIR_CHAOS_SEED").unwrap_or_else(|| rand::rng().random_range(0..1 << 32));
    let count = number_of("WEIR_CHAOS_FAULTS").map_or(count, |count| count as usize);
    eprintln!("chaos: {brokers} brokers, {count} faults, WEIR_CHAOS_SEED={seed}");
    let mut chaos = Chaos::on(brokers, &[]);
    let load = chaos.load(seed);
    chaos.workers.start(WORKERS);
    chaos.run(&schedule::of_every_kind(kinds, seed, count));
    chaos.wait_for_brokers();
    let acknowledged = load.stop();
    if chaos.is_clean() {
        chaos.settle();
        chaos.look_at_audit();
    }
    let failed = chaos.failed(&acknowledged);
    let found = chaos.report(seed);
    let text = serde_json::to_string_pretty(&found).unwrap();
    eprintln!("{text}\n{}", in_words(&found));
    if let Some(file) = std::env::var_os(report) {
        std::fs::write(file, text + "\n").unwrap();
    }
    if failed {
        let schedule = chaos.schedule.join("\n");
        panic!("WEIR_CHAOS_SEED={seed}\n{schedule}");
    }
}

#[test]
fn faults_of_every_kind_lose_and_double_nothing() {
    let kinds = &schedule::ONE_BROKER;
    lose_and_double_nothing(1, kinds, FAULTS, "WEIR_CHAOS_REPORT");
}

#[test]
fn faults_of_every_kind_on_three_brokers_lose_and_double_nothing() {
    let kinds = &schedule::SEVERAL_BROKERS;
    lose_and_double_nothing(3, kinds, FAULTS_OF_CLUSTER, "WEIR_CHAOS_CLUSTER_REPORT");
}

#[cfg_attr(
    not(feature = "planted-faults"),
    ignore = "needs the feature planted-faults, as `make test` builds it"
)]
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
    let (audit, text) = chaos.workers.audit();
    assert!(audit.starts_with("INCOMPLETE: "), "{text}");
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
    signal(chaos.nodes[0].pid(), "STOP");
    chaos.wait(Duration::from_millis(500));
    let (status, took) = chaos.workers.terminate_twice();
    signal(chaos.nodes[0].pid(), "CONT");
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
