//! Kafka to Kafka on a real broker: every record comes out once, committed with its offset.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use weir::{
    pipeline::stream::{Error, Options, Slot, Summary},
    sink::kafka as sink,
    source::kafka as source,
};

use crate::{
    engine,
    kafka_broker::Broker,
    worker::{PATTERNS_ONLY, job},
};

struct Place {
    broker: Arc<Broker>,
    input: String,
    outputs: sink::Topics,
}

impl Place {
    fn new(partitions: i32) -> Self {
        let broker = Broker::shared();
        let [input, entities, redactions, dead_letters] = broker.topics([
            ("in", partitions),
            ("entities", partitions),
            ("redactions", partitions),
            ("dead", 1),
        ]);
        Self {
            broker,
            input,
            outputs: sink::Topics {
                entities,
                redactions,
                dead_letters,
            },
        }
    }

    fn produce(&self, records: impl IntoIterator<Item = (String, String)>) {
        let producer: BaseProducer = self.client().create().unwrap();
        for (key, value) in records {
            producer
                .send(BaseRecord::to(&self.input).key(&key).payload(&value))
                .unwrap();
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker.address);
        config
    }

    fn options(&self, slot: &str) -> Options {
        let records = weir::source::Options {
            max_record_bytes: 10_000,
            ..weir::source::Options::default()
        };
        Options {
            source: source::Options {
                bootstrap_servers: self.broker.address.clone(),
                group_id: format!("group-{}", self.input),
                topics: vec![self.input.clone()],
                json: true,
                records,
                librdkafka: [("session.timeout.ms".to_owned(), "6000".to_owned())].into(),
            },
            sink: sink::Options {
                bootstrap_servers: self.broker.address.clone(),
                transactional_id: format!("{}-{slot}", self.input),
                transaction_timeout: Duration::from_secs(20),
                topics: self.outputs.clone(),
                librdkafka: BTreeMap::new(),
            },
            max_documents: 20,
            max_wait: Duration::from_millis(50),
            in_flight_bytes: 1 << 20,
        }
    }

    /// A slot on a thread of its own.
    fn slot(&self, name: &str) -> Running {
        let (options, drain) = (self.options(name), CancellationToken::new());
        let job = job(PATTERNS_ONLY);
        let (runtime, token) = (runtime(), drain.clone());
        let thread = std::thread::spawn(move || {
            let slot = Slot::open(job.engine.clone(), job.tenants.clone(), options)?;
            slot.run(&runtime, &token)
        });
        Running { drain, thread }
    }

    /// What a read_committed reader finds in a topic: partition and value, in order.
    fn read(&self, topic: &str) -> Vec<(i32, Value)> {
        let consumer: BaseConsumer = self
            .client()
            .set("group.id", "reader")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let metadata = consumer
            .fetch_metadata(Some(topic), Duration::from_secs(10))
            .unwrap();
        let count = metadata.topics()[0].partitions().len();
        let mut list = TopicPartitionList::new();
        for partition in 0..count as i32 {
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut ended, mut found) = (BTreeSet::new(), Vec::new());
        let start = Instant::now();
        while ended.len() < count {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{topic} has no end"
            );
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let value = serde_json::from_slice(message.payload().unwrap()).unwrap();
                    found.push((message.partition(), value));
                }
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        found
    }

    fn wait_for(&self, documents: usize) {
        let start = Instant::now();
        while self.read(&self.outputs.entities).len() + self.read(&self.outputs.dead_letters).len()
            < documents
        {
            assert!(
                start.elapsed() < Duration::from_secs(180),
                "{documents} documents"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// One for all tests: the slots' documents are processed on it.
fn runtime() -> tokio::runtime::Handle {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(engine::runtime).handle().clone()
}

struct Running {
    drain: CancellationToken,
    thread: std::thread::JoinHandle<Result<Summary, Error>>,
}

impl Running {
    fn drained(self) -> Result<Summary, Error> {
        self.drain.cancel();
        self.thread.join().unwrap()
    }
}

fn record(n: usize) -> (String, String) {
    let text = format!("{{\"id\":\"d{n}\",\"n\":{n},\"text\":\"ask user{n}@mail.example\"}}");
    (format!("key-{}", n % 7), text)
}

/// Every id once in entities and redactions, in order for each key, and nothing of a value.
fn assert_exactly(place: &Place, count: usize) {
    let expected: BTreeSet<String> = (0..count).map(|n| format!("d{n}")).collect();
    let entities = place.read(&place.outputs.entities);
    let redactions = place.read(&place.outputs.redactions);
    let mut ids: Vec<String> = Vec::new();
    for (_, record) in &entities {
        ids.push(record["document_id"].as_str().unwrap().to_owned());
        assert_eq!(record["entities"].as_array().unwrap().len(), 1);
        assert_eq!(record["source"]["topic"], place.input.as_str());
    }
    assert_eq!(ids.len(), count, "lost or doubled");
    assert_eq!(ids.iter().cloned().collect::<BTreeSet<_>>(), expected);
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (_, record) in &redactions {
        assert_eq!(record["text"], "ask [EMAIL]");
        let n = record["n"].as_u64().unwrap();
        assert!(seen.insert(n), "{n} twice");
        let before = last.insert(n % 7, n);
        assert!(
            before.is_none_or(|before| before < n),
            "{n} after {before:?}"
        );
    }
    assert_eq!(seen.len(), count);
}

#[test]
fn records_come_out_once_and_in_order_while_slots_come_and_go() {
    let place = Place::new(4);
    place.produce((0..600).map(record));
    let first = place.slot("a");
    place.wait_for(20);
    let second = place.slot("b");
    place.wait_for(200);
    let one = first.drained().unwrap();
    place.produce((600..1000).map(record));
    let third = place.slot("c");
    place.wait_for(1000);
    let two = second.drained().unwrap();
    let three = third.drained().unwrap();
    assert_eq!(one.documents + two.documents + three.documents, 1000);
    assert!(one.transactions > 1);
    assert_exactly(&place, 1000);
}

#[test]
fn poison_goes_to_the_dead_letters_and_the_partition_moves_on() {
    let place = Place::new(1);
    place.produce([
        record(0),
        ("k".to_owned(), "no json of wanda@mail.example".to_owned()),
        (
            "k".to_owned(),
            format!("{{\"text\":\"{}\"}}", "long ".repeat(4000)),
        ),
        (
            "k".to_owned(),
            "{\"tenant\":\"nobody\",\"text\":\"x\"}".to_owned(),
        ),
        record(1),
    ]);
    let slot = place.slot("a");
    place.wait_for(5);
    let summary = slot.drained().unwrap();
    assert_eq!((summary.documents, summary.dead_letters), (2, 3));
    let letters = place.read(&place.outputs.dead_letters);
    let codes: Vec<&str> = letters
        .iter()
        .map(|(_, letter)| letter["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["not_json", "too_large", "unknown_tenant"]);
    let offsets: Vec<u64> = letters
        .iter()
        .map(|(_, letter)| letter["source"]["offset"].as_u64().unwrap())
        .collect();
    assert_eq!(offsets, [1, 2, 3]);
    assert!(!format!("{letters:?}").contains("wanda"));
    assert_exactly(&place, 2);
}

#[test]
fn a_second_producer_of_the_same_id_fences_the_first() {
    let place = Place::new(1);
    place.produce((0..5).map(record));
    let first = place.slot("same");
    place.wait_for(5);
    let second = place.slot("same");
    place.produce((5..50).map(record));
    // Whoever owns the partition: the first one stops when it wants to commit, and the second reads
    // what it had not committed.
    place.produce((50..100).map(record));
    place.wait_for(100);
    let first = first.drained();
    let second = second.drained().unwrap();
    match first {
        Err(Error::Sink(sink::Error::Fenced)) => {}
        Ok(summary) => assert_eq!(summary.documents + second.documents, 100),
        Err(other) => panic!("{other:?}"),
    }
    assert_exactly(&place, 100);
}
