//! Soak: what a worker meets in hours, in minutes. A real worker on a real broker has a steady load, a hundred times that in
//! a burst, a slow sink, brokers and a collector that are away, and all of it again: the second round must need no more
//! memory, series, threads or files than the first, and every record must come out once.
//!
//! `make soak` runs it for ten minutes, the suite does not. `WEIR_SOAK_SECONDS` sets the time, `WEIR_SOAK_REPORT` names a
//! file for the report, `WEIR_SOAK_BINARY` another weir.

mod collector;
mod load;
mod outputs;
mod watch;

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::{
    collector::Collector,
    load::Load,
    watch::{Figures, Watch},
};
use crate::support::{
    broker::{self, Node, free_port},
    eventually::{eventually, so},
    job::{Job, signal},
    probe::wait_for,
    proxy::{Network, Proxy},
    tiny_pack,
    worker::PATTERNS_ONLY,
};

const INPUT: &str = "documents";
const ENTITIES: &str = "documents.entities";
const REDACTIONS: &str = "documents.redacted";
const DEAD_LETTERS: &str = "dlq.documents";
const GROUP: &str = "soak";
const PARTITIONS: i32 = 6;

/// Documents per second while the load is steady.
const STEADY: u64 = 40;

/// How many times that a burst is.
const BURST: u64 = 100;

/// The same again, so that what grows is seen.
const ROUNDS: u32 = 2;

/// Seconds if nothing sets them, without the waits for what a phase has left to do.
const SECONDS: u64 = 24;

/// Time by which each write of the worker is late while its sink is slow.
const SLOW: Duration = Duration::from_millis(400);

/// Longest time until the worker has caught up: a debug build on a busy machine does a hundred documents per second.
const CATCHES_UP: Duration = Duration::from_secs(900);

/// By how much the memory of the second round may exceed that of the first: allocators keep what they had.
const SPREAD: f64 = 1.10;
const SPREAD_BYTES: u64 = 16 << 20;

struct Soak {
    collector: Collector,
    node: Node,
    proxy: Proxy,
    worker: Child,
    // Its folder.
    _job: Job,
    load: Load,
    watch: Watch,
    round: u32,
    phases: Vec<Phase>,
}

/// What was measured in one phase.
struct Phase {
    round: u32,
    name: &'static str,
    took: Duration,
    produced: u64,
    figures: Figures,
}

impl Soak {
    fn start() -> Self {
        let outside = free_port();
        let proxy = Proxy::start(outside);
        let jvm = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
        let node = Node::start(&jvm, &broker::also_behind(outside, proxy.port()));
        let topics = [INPUT, ENTITIES, REDACTIONS, DEAD_LETTERS].map(|topic| (topic, PARTITIONS));
        broker::create_topics(&node.address(), &topics);
        let port = free_port();
        let collector = Collector::start();
        let job = configured(proxy.port(), port, &collector.endpoint());
        let mut command = job.command(&["--quiet"]);
        if let Some(binary) = std::env::var_os("WEIR_SOAK_BINARY") {
            command = Command::new(PathBuf::from(binary));
            command.args(["run", "--quiet", "--config", &job.config()]);
        }
        let log = std::fs::File::create(job.path("log")).unwrap();
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let worker = command.stderr(log).spawn().unwrap();
        wait_for(port, "/readyz", 200, Duration::from_secs(90));
        Self {
            load: Load::start(&node.address(), INPUT),
            watch: Watch::start(port, worker.id()),
            collector,
            node,
            proxy,
            worker,
            _job: job,
            round: 0,
            phases: Vec::new(),
        }
    }

    /// One round: `whole` is its time without waits.
    fn round(&mut self, whole: Duration) {
        self.round += 1;
        self.load.set(STEADY);
        self.phase("steady", |_| std::thread::sleep(whole.mul_f64(0.2)));
        self.phase("burst", |soak| {
            soak.load.set(STEADY * BURST);
            std::thread::sleep(whole.mul_f64(0.05));
            soak.load.set(STEADY);
        });
        self.phase("catching up", Self::catch_up);
        self.phase("slow sink", |soak| {
            soak.proxy.set(Network::WritesSlow(SLOW));
            std::thread::sleep(whole.mul_f64(0.15));
            soak.proxy.set(Network::Whole);
        });
        self.phase("after a slow sink", Self::catch_up);
        self.phase("brokers away", |soak| {
            soak.node.kill();
            std::thread::sleep(whole.mul_f64(0.1));
            soak.node.start_again();
            soak.node.wait_until_it_answers();
        });
        self.phase("brokers back", Self::catch_up);
        self.phase("collector away", |soak| {
            soak.collector.away();
            std::thread::sleep(whole.mul_f64(0.15));
            soak.collector.back();
        });
        let taken = self.collector.taken();
        self.phase("steady again", |_| std::thread::sleep(whole.mul_f64(0.25)));
        // Metrics go out every second.
        let more = self.collector.taken() - taken;
        assert!(more > 0, "the collector is back and gets nothing");
    }

    fn phase(&mut self, name: &'static str, run: impl FnOnce(&mut Self)) {
        let (start, before) = (Instant::now(), self.load.sent());
        self.watch.begin();
        run(self);
        let phase = Phase {
            round: self.round,
            name,
            took: start.elapsed(),
            produced: self.load.sent() - before,
            figures: self.watch.end(),
        };
        eprintln!("{}", phase.line());
        self.phases.push(phase);
        let ended = self.worker.try_wait().unwrap();
        assert!(ended.is_none(), "the worker ended by itself: {ended:?}");
    }

    /// Until nothing but what just came waits, by the word of the broker.
    fn catch_up(&mut self) {
        let address = self.node.address();
        eventually(CATCHES_UP, || {
            let ready = self.watch.last()["ready"] == true;
            let left = outputs::left(&address, GROUP).map_err(|error| error.to_string())?;
            let few = left < 2 * STEADY as i64;
            so(
                ready && few,
                format!("ready {ready}, {left} records are left"),
            )
        });
    }

    /// The last phase of a round: memory and the like must be what they were a round before.
    fn last_of(&self, round: u32) -> &Figures {
        let mut found = self.phases.iter().rev();
        let phase = found.find(|phase| phase.round == round);
        &phase.expect("it was gone through").figures
    }

    fn problems(&self) -> Vec<String> {
        let (first, last) = (self.last_of(1), self.last_of(ROUNDS));
        let mut problems = Vec::new();
        let mut grows = |what: &str, before: u64, now: u64, most: u64| {
            if now > most {
                problems.push(format!(
                    "{what} grew from {before} to {now}; {most} is the most"
                ));
            }
        };
        let memory = (first.memory as f64 * SPREAD) as u64 + SPREAD_BYTES;
        grows("memory", first.memory, last.memory, memory);
        // Kinds of errors that the second outage met first.
        grows("series", first.series, last.series, first.series + 10);
        grows("threads", first.threads, last.threads, first.threads + 4);
        grows("open files", first.files, last.files, first.files + 8);
        problems
    }

    fn report(&self, total: &outputs::Count) -> Value {
        let phases: Vec<Value> = self.phases.iter().map(Phase::report).collect();
        let peak = self.phases.iter().map(|phase| phase.figures.peak).max();
        json!({
            "weir": env!("CARGO_PKG_VERSION"),
            "build": match std::env::var_os("WEIR_SOAK_BINARY") {
                Some(binary) => binary.to_string_lossy().into_owned(),
                None if cfg!(debug_assertions) => "debug".to_owned(),
                None => "release".to_owned(),
            },
            "kafka": "4.1.1",
            "documents_per_second": STEADY,
            "burst": BURST,
            "rounds": ROUNDS,
            "seconds": self.phases.iter().map(|phase| phase.took.as_secs_f64()).sum::<f64>(),
            "records": total.input,
            "dead_letters": total.dead_letters,
            "lost": total.lost,
            "doubled": total.doubled,
            "peak_memory_bytes": peak,
            "collector_bytes": self.collector.taken(),
            "phases": phases,
        })
    }
}

impl Phase {
    fn line(&self) -> String {
        let Figures {
            memory,
            peak,
            series,
            lag,
            p99,
            delivered,
            ..
        } = self.figures;
        format!(
            "soak: round {}, {}: {:.0} s, {} produced, {delivered} delivered, most lag {lag}, p99 {}, memory {} MiB \
             (at most {}), {series} series",
            self.round,
            self.name,
            self.took.as_secs_f64(),
            self.produced,
            p99.map_or("-".to_owned(), |p99| format!("{p99:.2} s")),
            memory >> 20,
            peak >> 20,
        )
    }

    fn report(&self) -> Value {
        let figures = &self.figures;
        json!({
            "round": self.round,
            "phase": self.name,
            "seconds": self.took.as_secs_f64(),
            "produced": self.produced,
            "delivered": figures.delivered,
            "most_lag": figures.lag,
            "most_lag_seconds": figures.lag_seconds,
            "p50_seconds": figures.p50,
            "p99_seconds": figures.p99,
            "memory_bytes": figures.memory,
            "most_memory_bytes": figures.peak,
            "series": figures.series,
            "threads": figures.threads,
            "open_files": figures.files,
            "not_ready_seconds": figures.not_ready,
        })
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        let _ = self.worker.kill();
        let _ = self.worker.wait();
    }
}

/// The worker, which reaches the broker through the proxy and sends a collector all that it can.
fn configured(broker: u16, port: u16, collector: &str) -> Job {
    let job = Job::with(&format!(
        r#"[source]
type = "kafka"
bootstrap_servers = "127.0.0.1:{broker}"
topics = ["{INPUT}"]
group_id = "{GROUP}"
session_timeout_ms = 10000
[sink]
type = "kafka"
transactional_id_prefix = "soak"
transaction = {{ timeout_ms = 20000, max_documents = 500, max_ms = 200 }}
[sink.topics]
entities = "{ENTITIES}"
redactions = "{REDACTIONS}"
dead_letters = "{DEAD_LETTERS}"
[pipeline]
drain_timeout_secs = 8
[telemetry]
listen = "127.0.0.1:{port}"
otlp = {{ endpoint = "{collector}", timeout_secs = 5 }}
traces = {{ documents = "all" }}
metrics = {{ push = true, interval_secs = 1 }}
logs = {{ push = true }}
[tenants]
dir = "tenants"
default = "acme"
[model]
pack = "pack"
threads = 1
"#
    ));
    job.write("tenants/acme.toml", PATTERNS_ONLY);
    tiny_pack::write(&job.path("pack"), &tiny_pack::Options::default());
    job
}

#[ignore = "takes minutes: `make soak`"]
#[test]
fn a_second_round_of_bursts_and_outages_needs_no_more_than_the_first() {
    let seconds = std::env::var("WEIR_SOAK_SECONDS").ok();
    let seconds = seconds.map_or(SECONDS, |seconds| seconds.parse().expect("a number"));
    let mut soak = Soak::start();
    for _ in 0..ROUNDS {
        soak.round(Duration::from_secs(seconds) / ROUNDS);
    }
    soak.load.stop();
    let worker = soak.worker.id();
    let address = soak.node.address();
    eventually(CATCHES_UP, || match outputs::left(&address, GROUP) {
        Ok(0) => Ok(()),
        other => Err(format!("records that are not committed: {other:?}")),
    });
    signal(worker, "TERM");
    let status = soak.worker.wait().unwrap();
    assert_eq!(status.code(), Some(0), "it drains");
    let total = outputs::count(&address);
    let report = soak.report(&total);
    let text = serde_json::to_string_pretty(&report).unwrap();
    if let Some(file) = std::env::var_os("WEIR_SOAK_REPORT") {
        std::fs::write(file, text.clone() + "\n").unwrap();
    }
    let problems = soak.problems();
    assert!(problems.is_empty(), "{problems:#?}\n{text}");
    assert!(total.lost == 0 && total.doubled == 0, "{total:?}");
    assert!(total.input > 0 && total.dead_letters > 0, "{total:?}");
}
