//! Three brokers that keep copies of everything, whose coordinators are killed while sets are under way.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio_util::sync::CancellationToken;
use weir::{
    kafka::Brokers,
    pipeline::{
        Progress,
        slot::{self, Options, Sink},
    },
    sink::kafka as sink,
    source::kafka as source,
    telemetry::Health,
};

use crate::support::{
    broker::{self, Node},
    engine,
    eventually::{eventually, so},
    worker::{PATTERNS_ONLY, job},
};

const JVM: [&str; 2] = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];

/// Few partitions of the inner topics are quick to load.
const PROPERTIES: &str = "offsets.topic.num.partitions=3\n\
                          transaction.state.log.num.partitions=3\n\
                          transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n\
                          broker.session.timeout.ms=3000\n\
                          log.cleaner.enable=false\n";

const GROUP: &str = "cluster";

/// Time within which something is committed again after a coordinator was killed: a call that does not
/// return is given up after 15 s, and its set is looked up and sent again.
const GOES_ON: Duration = Duration::from_secs(90);

struct Cluster {
    nodes: Vec<Node>,
    brokers: String,
}

impl Cluster {
    fn start() -> Self {
        let nodes = Node::start_cluster(3, &JVM, PROPERTIES);
        let brokers: Vec<String> = nodes.iter().map(Node::address).collect();
        let brokers = brokers.join(",");
        let topics = [("in", 4), ("entities", 4), ("redactions", 4), ("dead", 1)];
        broker::create_copied_topics(&brokers, &topics, 3);
        Self { nodes, brokers }
    }

    fn options(&self) -> Options {
        let brokers = Brokers::plain(&self.brokers);
        let source = source::Options {
            session_timeout: Duration::from_secs(10),
            ..source::Options::new(brokers.clone(), GROUP, &["in"])
        };
        let topics = broker::outputs();
        let sink = sink::Options {
            timeout: Duration::from_secs(20),
            ..sink::Options::new(brokers, "cluster-slot", topics)
        };
        Options {
            max_documents: 200,
            max_wait: Duration::from_millis(300),
            ..Options::new(source, Sink::Topics(sink))
        }
    }

    fn consumer(&self) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "reader")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap()
    }

    /// The node that coordinates the group: the leader of its partition of the offsets topic.
    fn coordinator(&self) -> usize {
        // As `Utils.abs(groupId.hashCode) % partitions` in GroupMetadataManager.
        let hash = |name: &str| {
            name.bytes().fold(0_i32, |hash, byte| {
                hash.wrapping_mul(31).wrapping_add(byte.into())
            })
        };
        let partition = (hash(GROUP) & i32::MAX) % 3;
        let consumer = self.consumer();
        eventually(Duration::from_secs(60), || {
            let topic = Some("__consumer_offsets");
            let metadata = consumer.fetch_metadata(topic, Duration::from_secs(5));
            let leader = metadata.ok().and_then(|metadata| {
                let topic = metadata.topics().first()?;
                let own = topic.partitions().iter().find(|p| p.id() == partition)?;
                usize::try_from(own.leader()).ok()
            });
            let leader = leader.filter(|leader| *leader >= 1);
            leader.map(|leader| leader - 1).ok_or("no coordinator")
        })
    }

    /// How often each id stands in the topic of the entities, as a read_committed reader sees it.
    fn delivered(&self) -> BTreeMap<String, usize> {
        let consumer = self.consumer();
        let mut list = TopicPartitionList::new();
        for partition in 0..4 {
            list.add_partition_offset("entities", partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut ends, mut ids) = (0, BTreeMap::new());
        let start = Instant::now();
        while ends < 4 {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "the output can't be read"
            );
            match consumer.poll(Duration::from_millis(500)) {
                Some(Ok(message)) => {
                    let record: serde_json::Value =
                        serde_json::from_slice(message.payload().unwrap()).unwrap();
                    let id = record["document_id"].as_str().unwrap().to_owned();
                    *ids.entry(id).or_default() += 1;
                }
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => ends += 1,
                _ => {}
            }
        }
        ids
    }
}

/// A producer that writes a record every few milliseconds until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<usize>,
}

impl Load {
    fn start(brokers: &str) -> Self {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("enable.idempotence", "true")
            .create()
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            while !stopped.load(Ordering::Relaxed) {
                let key = format!("key-{count}");
                let value =
                    format!("{{\"id\":\"d{count}\",\"text\":\"ask user{count}@mail.example\"}}");
                if producer
                    .send(BaseRecord::to("in").key(&key).payload(&value))
                    .is_ok()
                {
                    count += 1;
                }
                producer.poll(Duration::from_millis(10));
            }
            producer.flush(Duration::from_secs(120)).unwrap();
            count
        });
        Self { stop, thread }
    }

    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

#[test]
fn a_worker_goes_on_when_its_coordinators_are_killed_and_stay_away() {
    let rounds: usize = std::env::var("WEIR_TEST_ROUNDS").map_or(2, |n| n.parse().unwrap());
    let mut cluster = Cluster::start();
    let load = Load::start(&cluster.brokers);
    let (drain, health) = (CancellationToken::new(), Health::new());
    let job = job(PATTERNS_ONLY);
    let worker = slot::Worker {
        engine: job.engine.clone(),
        tenants: job.tenants.clone(),
        progress: Arc::new(Progress::default()),
        health,
        drain: drain.clone(),
    };
    let progress = worker.progress.clone();
    let documents = || {
        let counts = weir::batch::Counts::default();
        progress.snapshot(&counts, Duration::ZERO).documents
    };
    let ended = Arc::new(AtomicUsize::new(0));
    let (options, done) = (cluster.options(), ended.clone());
    let thread = std::thread::spawn(move || {
        let outcome = engine::runtime().block_on(slot::run(worker, vec![options]));
        done.store(1, Ordering::Relaxed);
        outcome
    });
    let goes_on = |what: &str, limit: Duration| {
        let (before, start) = (documents(), Instant::now());
        while documents() < before + 50 {
            assert_eq!(ended.load(Ordering::Relaxed), 0, "{what}: the worker ended");
            assert!(start.elapsed() < limit, "{what}: nothing is committed");
            std::thread::sleep(Duration::from_millis(50));
        }
        start.elapsed()
    };
    goes_on("at the start", Duration::from_secs(120));
    for round in 0..rounds {
        let coordinator = cluster.coordinator();
        cluster.nodes[coordinator].kill();
        let passed = goes_on(&format!("round {round}"), GOES_ON);
        println!(
            "round {round}: went on {:.1} s after the kill",
            passed.as_secs_f64()
        );
        cluster.nodes[coordinator].start_again();
        cluster.nodes[coordinator].wait_until_it_answers();
        goes_on("all are back", GOES_ON);
        // The copies catch up, so that the next kill leaves enough of them.
        std::thread::sleep(Duration::from_secs(5));
    }
    let produced = load.stop();
    eventually(Duration::from_secs(120), || {
        let has = documents();
        so(has >= produced as u64, format!("{has} of {produced}"))
    });
    drain.cancel();
    thread.join().unwrap().unwrap();
    let delivered = cluster.delivered();
    assert_eq!(delivered.len(), produced, "records are missing");
    let doubled = delivered.values().filter(|count| **count > 1).count();
    assert_eq!(doubled, 0, "records are doubled");
}
