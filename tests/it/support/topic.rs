//! Topics on a real broker, and slots that read and write them.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    message::OwnedMessage,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use weir::{
    kafka::Brokers,
    pipeline::{
        Progress,
        slot::{self, Error, Options, Sink, Slot, Summary},
    },
    sink::kafka as sink,
    source::kafka as source,
    telemetry::Health,
};

use super::{
    broker::Broker,
    engine,
    eventually::{eventually, so},
    worker::{PATTERNS_ONLY, job},
};

pub struct Place {
    pub broker: Arc<Broker>,
    pub input: String,
    pub outputs: sink::Topics,
}

impl Place {
    pub fn new(partitions: i32) -> Self {
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
                entities: Some(entities),
                redactions: Some(redactions),
                dead_letters,
                audit: None,
            },
        }
    }

    pub fn produce(&self, records: impl IntoIterator<Item = (String, String)>) {
        let producer: BaseProducer = self.client().create().unwrap();
        for (key, value) in records {
            producer
                .send(BaseRecord::to(&self.input).key(&key).payload(&value))
                .unwrap();
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    pub fn produce_to(&self, partition: i32, (key, value): (String, String)) {
        let producer: BaseProducer = self.client().create().unwrap();
        let record = BaseRecord::to(&self.input).partition(partition);
        producer.send(record.key(&key).payload(&value)).unwrap();
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    /// Sets a group to an offset of some partitions, as an operator would while nobody reads.
    pub fn set_group(
        &self,
        group: &str,
        partitions: std::ops::Range<i32>,
        offset: i64,
    ) -> BaseConsumer {
        let operator: BaseConsumer = self.client().set("group.id", group).create().unwrap();
        let list = self.at(partitions, offset);
        // A coordinator may be on its way, and static members stay until their session ends.
        eventually(Duration::from_secs(30), || {
            operator.commit(&list, CommitMode::Sync)
        });
        operator
    }

    pub fn at(&self, partitions: std::ops::Range<i32>, offset: i64) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition_offset(&self.input, partition, Offset::Offset(offset))
                .unwrap();
        }
        list
    }

    pub fn address(&self) -> &str {
        &self.broker.address
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker.address);
        config
    }

    pub fn options(&self, slot: &str) -> Options {
        let records = weir::source::Options {
            max_record_bytes: 10_000,
            ..weir::source::Options::default()
        };
        let brokers = Brokers::plain(&self.broker.address);
        let group = format!("group-{}", self.input);
        let source = source::Options {
            session_timeout: Duration::from_secs(6),
            records,
            ..source::Options::new(brokers.clone(), &group, &[&self.input])
        };
        let id = format!("{}-{slot}", self.input);
        let sink = sink::Options {
            timeout: Duration::from_secs(20),
            ..sink::Options::new(brokers, &id, self.outputs.clone())
        };
        Options {
            max_documents: 20,
            max_bytes: 1 << 20,
            max_wait: Duration::from_millis(50),
            in_flight_bytes: 1 << 20,
            ..Options::new(source, Sink::Topics(sink))
        }
    }

    /// A slot on a thread of its own.
    pub fn slot(&self, name: &str) -> Running {
        self.slot_with(self.options(name))
    }

    pub fn slot_with(&self, options: Options) -> Running {
        self.slot_run(options, |run| run())
    }

    /// `around` is given the slot's whole life, on the slot's thread.
    pub fn slot_run(
        &self,
        options: Options,
        around: impl FnOnce(&dyn Fn() -> Result<Summary, Error>) -> Result<Summary, Error>
        + Send
        + 'static,
    ) -> Running {
        let drain = CancellationToken::new();
        let job = job(PATTERNS_ONLY);
        let worker = slot::Worker {
            engine: job.engine.clone(),
            tenants: job.tenants.clone(),
            progress: Arc::new(Progress::default()),
            health: Health::new(),
            drain: drain.clone(),
        };
        let run = move || Slot::open(0, worker.clone(), options.clone())?.run(&runtime());
        let thread = std::thread::spawn(move || around(&run));
        Running { drain, thread }
    }

    /// What a read_committed reader finds in a topic: partition and value, in order.
    pub fn read(&self, topic: &str) -> Vec<(i32, Value)> {
        let parsed = |message: OwnedMessage| {
            let value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            (message.partition(), value)
        };
        self.messages(topic).into_iter().map(parsed).collect()
    }

    pub fn messages(&self, topic: &str) -> Vec<OwnedMessage> {
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
                Some(Ok(message)) => found.push(message.detach()),
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        found
    }

    pub fn wait_for(&self, documents: usize) {
        eventually(Duration::from_secs(180), || {
            let has = self.read(self.outputs.entities.as_ref().unwrap()).len()
                + self.read(&self.outputs.dead_letters).len();
            so(has >= documents, format!("{has} of {documents} documents"))
        });
    }
}

/// One for all tests: the slots' documents are processed on it.
pub fn runtime() -> tokio::runtime::Handle {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(engine::runtime).handle().clone()
}

pub struct Running {
    drain: CancellationToken,
    thread: std::thread::JoinHandle<Result<Summary, Error>>,
}

/// Options of a slot that writes topics.
pub fn topics_of(options: &mut Options) -> &mut sink::Options {
    match &mut options.sink {
        Sink::Topics(topics) => topics,
        Sink::Objects(_) => unreachable!("this test writes topics"),
    }
}

impl Running {
    /// Waits for a slot that ends by itself.
    pub fn ended(self) -> Result<Summary, Error> {
        self.thread.join().unwrap()
    }

    pub fn thread_is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    pub fn drained(self) -> Result<Summary, Error> {
        self.drain.cancel();
        self.thread.join().unwrap()
    }
}

pub fn record(n: usize) -> (String, String) {
    let text = format!("{{\"id\":\"d{n}\",\"n\":{n},\"text\":\"ask user{n}@mail.example\"}}");
    (format!("key-{}", n % 7), text)
}
