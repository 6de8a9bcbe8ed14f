//! The streaming worker on a real broker: what transactions cost, latency, partitions.
//!
//! `make bench-kafka`; the broker is the tests' own, or that of `WEIR_TEST_KAFKA`. `AUDIT=1` writes audit records too. Rounds of two kinds
//! take turns, so that a noisy machine is unfair to both.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use rdkafka::{
    ClientConfig, Message as _,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio_util::sync::CancellationToken;
use weir::{
    batch,
    kafka::Brokers,
    model::Pack,
    pipeline::{self, Engine, Progress, slot},
    record::audit::DigestKey,
    sink::kafka as sink,
    source::kafka as source,
    telemetry::Health,
    tenant::reload,
};

#[path = "../tests/it/support/broker.rs"]
#[allow(dead_code)]
mod broker;

/// What the broker's module asks of its crate.
mod engine {
    pub fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap()
    }
}

use broker::Broker;

/// The model is not asked: what is left is Kafka, JSON and patterns.
const NO_MODEL: &str = "labels = []\npatterns = [\"email\"]\n";
const MODEL: &str =
    "labels = [\"person\", \"phone number\", \"street address\"]\npatterns = [\"email\"]\n";

struct Bench {
    broker: Arc<Broker>,
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

/// What is varied.
#[derive(Clone, Copy)]
struct Case {
    tenant: &'static str,
    transactions: bool,
    partitions: i32,
    max_documents: usize,
    max_wait: Duration,
}

const CASE: Case = Case {
    tenant: NO_MODEL,
    transactions: true,
    partitions: 4,
    // As configured by default.
    max_documents: 5000,
    max_wait: Duration::from_millis(1000),
};

/// Topics of one run, and the worker on them.
struct Run {
    input: String,
    redactions: String,
    progress: Arc<Progress>,
    drain: CancellationToken,
    ended: tokio::task::JoinHandle<Result<slot::Summary, slot::Error>>,
}

struct Speed {
    records: f64,
    megabytes: f64,
    per_transaction: f64,
}

/// Whether all that is measured writes audit records too.
fn is_audited() -> bool {
    std::env::var_os("AUDIT").is_some()
}

fn main() {
    if std::env::args().any(|argument| argument == "--test") {
        return; // `cargo test --benches`
    }
    let number = |name: &str, default: usize| {
        std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
    };
    let rounds = number("ROUNDS", 5);
    let (many, few) = (number("RECORDS", 60_000), number("MODEL_RECORDS", 1_500));
    let bench = Bench::new();
    println!(
        "one slot, default transaction: 5000 documents, 8 MiB or 1 s; records of about 500 bytes\n"
    );
    bench.speed(CASE, many); // the broker's code is compiled while it runs
    bench.ratio("without the model", CASE, many, rounds);
    let model = Case {
        tenant: MODEL,
        ..CASE
    };
    bench.speed(model, few / 4);
    bench.ratio("with weir-mini, 3 labels", model, few, rounds.min(5));
    for max_documents in [100, 500, 2000] {
        let case = Case {
            max_documents,
            ..CASE
        };
        let what = format!("without the model, at most {max_documents} documents a transaction");
        bench.ratio(&what, case, many / 2, 3);
    }
    println!("| partitions | records/s without the model |\n| --- | --- |");
    for partitions in [1, 2, 4] {
        let case = Case { partitions, ..CASE };
        let mut speeds: Vec<f64> = (0..3).map(|_| bench.speed(case, many).records).collect();
        println!("| {partitions} | {:.0} |", median(&mut speeds));
    }
    println!(
        "\nfrom a record's timestamp to a read_committed reader of its redaction, at half load:\n"
    );
    println!(
        "| model | transaction ends after | records/s | p50 | p99 |\n| --- | --- | --- | --- | --- |"
    );
    let (fast, slow) = (
        bench.speed(CASE, many).records,
        bench.speed(model, few).records,
    );
    for (name, case, full) in [("none", CASE, fast), ("weir-mini", model, slow)] {
        for wait in [1000, 100] {
            let case = Case {
                max_wait: Duration::from_millis(wait),
                ..case
            };
            let mut latencies = bench.latencies(case, full / 2.0, Duration::from_secs(20));
            latencies.sort_unstable();
            let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
            println!(
                "| {name} | {wait} ms | {:.0} | {:.0} ms | {:.0} ms |",
                full / 2.0,
                at(0.5).as_secs_f64() * 1000.0,
                at(0.99).as_secs_f64() * 1000.0
            );
        }
    }
}

impl Bench {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/weir-mini");
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let options = pipeline::Options {
            pack: Pack::open(&folder).expect("the pack in the box"),
            runtime: None,
            sessions: cores,
            session_threads: 1,
            batch: batch::Options {
                max_tokens: 1024,
                linger: Duration::from_millis(5),
                look_ahead: 256,
                queue_tokens: 1 << 16,
                // Texts repeat here: reuse would flatter.
                cache_bytes: 0,
            },
            label_cache: None,
            categories: Default::default(),
            category_encoder: None,
            access: Default::default(),
        };
        let (engine, running) = Engine::start(options).expect("ONNX Runtime, by `make setup`");
        std::mem::forget(running); // until the process ends
        Self {
            broker: Broker::shared(),
            engine,
            runtime: engine::runtime(),
        }
    }

    fn ratio(&self, what: &str, case: Case, records: usize, rounds: usize) {
        println!("{what}: {records} records, {rounds} rounds\n");
        println!(
            "| round | transactions, records/s (MB/s) | none, records/s (MB/s) | ratio | documents a transaction |"
        );
        println!("| --- | --- | --- | --- | --- |");
        let mut ratios = Vec::new();
        for round in 1..=rounds {
            let without = || {
                let case = Case {
                    transactions: false,
                    ..case
                };
                self.speed(case, records)
            };
            // Who comes first changes.
            let (with, without) = match round % 2 {
                0 => {
                    let without = without();
                    (self.speed(case, records), without)
                }
                _ => (self.speed(case, records), without()),
            };
            let ratio = with.records / without.records;
            println!(
                "| {round} | {:.0} ({:.2}) | {:.0} ({:.2}) | {ratio:.3} | {:.0} |",
                with.records,
                with.megabytes,
                without.records,
                without.megabytes,
                with.per_transaction
            );
            ratios.push(ratio);
        }
        println!("\nmedian ratio {:.3}\n", median(&mut ratios));
    }

    /// Everything is there when the worker starts; counted from the first commit that is seen.
    fn speed(&self, case: Case, count: usize) -> Speed {
        let topics = self.topics(case);
        let bytes = self.fill(&topics.0, count);
        let run = self.start(case, topics);
        let done = || {
            run.progress
                .snapshot(&self.engine.counts(), Duration::ZERO)
                .documents
        };
        while done() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let (first, began) = (done(), Instant::now());
        while done() < count as u64 {
            std::thread::sleep(Duration::from_millis(1));
        }
        let seconds = began.elapsed().as_secs_f64();
        let records = (count as u64 - first) as f64 / seconds;
        let summary = self.stop(run);
        Speed {
            records,
            megabytes: records * bytes as f64 / count as f64 / 1e6,
            per_transaction: summary.documents as f64 / summary.transactions.max(1) as f64,
        }
    }

    /// Records come at a steady rate.
    fn latencies(&self, case: Case, rate: f64, time: Duration) -> Vec<Duration> {
        let topics = self.topics(case);
        let run = self.start(case, topics);
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", format!("reader-{}", run.redactions))
            .set("isolation.level", "read_committed")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[&run.redactions]).unwrap();
        let sent: Mutex<HashMap<String, SystemTime>> = Mutex::default();
        let count = (rate * time.as_secs_f64()) as usize;
        let mut latencies = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| self.pace(&run.input, count, rate, &sent));
            let mut seen = 0;
            while seen < count {
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else {
                    continue;
                };
                let now = SystemTime::now();
                seen += 1;
                let key = std::str::from_utf8(message.key().unwrap()).unwrap();
                let then = sent.lock().unwrap().remove(key).unwrap();
                // The worker's start is not the question.
                if seen > count / 4 {
                    latencies.push(now.duration_since(then).unwrap_or_default());
                }
            }
        });
        self.stop(run);
        latencies
    }

    fn pace(
        &self,
        topic: &str,
        count: usize,
        rate: f64,
        sent: &Mutex<HashMap<String, SystemTime>>,
    ) {
        let producer = self.producer();
        let began = Instant::now();
        for n in 0..count {
            let due = Duration::from_secs_f64(n as f64 / rate);
            while began.elapsed() < due {
                producer.poll(
                    due.saturating_sub(began.elapsed())
                        .min(Duration::from_millis(5)),
                );
            }
            let (key, value) = record(n);
            sent.lock().unwrap().insert(key.clone(), SystemTime::now());
            producer
                .send(BaseRecord::to(topic).key(&key).payload(&value))
                .unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    fn topics(&self, case: Case) -> (String, sink::Topics) {
        let count = case.partitions;
        let [input, entities, redactions, dead_letters, audit] = self.broker.topics([
            ("in", count),
            ("entities", count),
            ("redactions", count),
            ("dead", 1),
            ("audit", count),
        ]);
        let outputs = sink::Topics {
            entities: Some(entities),
            redactions: Some(redactions),
            dead_letters,
            audit: is_audited().then_some(audit),
        };
        (input, outputs)
    }

    fn start(&self, case: Case, (input, outputs): (String, sink::Topics)) -> Run {
        let folder = tenant_folder(case.tenant);
        let tenants = reload::Options::new(folder, Some("acme".to_owned()));
        let (_, tenants) = tenants.build().unwrap();
        let (progress, drain) = (Arc::new(Progress::default()), CancellationToken::new());
        let worker = slot::Worker {
            engine: self.engine.clone(),
            tenants,
            progress: progress.clone(),
            health: Health::new(),
            drain: drain.clone(),
        };
        let redactions = outputs.redactions.clone().unwrap();
        let brokers = Brokers::plain(&self.broker.address);
        let mut source =
            source::Options::new(brokers.clone(), &format!("group-{input}"), &[&input]);
        source.digest_key = is_audited().then(|| DigestKey::new(b"of the benchmark".to_vec()));
        let sink = sink::Options {
            transactional_id: case.transactions.then(|| format!("bench-{input}")),
            ..sink::Options::new(brokers, &input, outputs)
        };
        let slot = slot::Options {
            max_documents: case.max_documents,
            max_wait: case.max_wait,
            ..slot::Options::new(source, slot::Sink::Topics(sink))
        };
        Run {
            ended: self.runtime.spawn(slot::run(worker, vec![slot])),
            input,
            redactions,
            progress,
            drain,
        }
    }

    fn stop(&self, run: Run) -> slot::Summary {
        run.drain.cancel();
        self.runtime.block_on(run.ended).unwrap().unwrap()
    }

    fn fill(&self, topic: &str, count: usize) -> u64 {
        let producer = self.producer();
        let mut bytes = 0;
        for n in 0..count {
            let (key, value) = record(n);
            bytes += value.len() as u64;
            while producer
                .send(BaseRecord::to(topic).key(&key).payload(&value))
                .is_err()
            {
                producer.poll(Duration::from_millis(10));
            }
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(60)).unwrap();
        bytes
    }

    fn producer(&self) -> BaseProducer {
        self.client()
            .set("linger.ms", "5")
            .set("queue.buffering.max.messages", "200000")
            .create()
            .unwrap()
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker.address);
        config
    }
}

fn tenant_folder(text: &str) -> PathBuf {
    let folder = tempfile::tempdir().unwrap().keep();
    std::fs::write(folder.join("acme.toml"), text).unwrap();
    folder
}

/// About 500 bytes of invented mail, no two alike.
fn record(n: usize) -> (String, String) {
    let text = format!(
        "Order {n} was sent back from the depot because the label could not be read. The customer \
         wrote from user{n}@mail.example on Tuesday and asked that parcel {} be left with the \
         neighbour at number {}. Please call before noon, the bell does not work, and tell the driver \
         that the gate on the left is locked after six. A second parcel of the same size is still \
         at the counter; it goes out with the tour of the next morning unless somebody objects.",
        n * 7 + 3,
        n % 97
    );
    (
        format!("key-{n}"),
        format!("{{\"id\":\"d{n}\",\"text\":\"{text}\"}}"),
    )
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
