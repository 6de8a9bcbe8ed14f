//! What brokers may answer, from librdkafka's mock cluster: it hands out errors on request, but
//! stores no offsets and aborts nothing, so these tests are of reactions, not of exactly-once.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use metrics_util::debugging::DebuggingRecorder;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    mocking::{MockCluster, MockCoordinator},
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _},
    types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code},
};
use tokio_util::sync::CancellationToken;
use weir::{
    kafka::Brokers,
    pipeline::{
        Progress,
        slot::{self, Error, Options, Sink, Slot, Summary, Worker},
    },
    sink::kafka::{self as sink, calls},
    source::kafka as source,
    telemetry::Health,
};

use crate::support::{
    engine,
    eventually::{eventually, so},
    worker::{PATTERNS_ONLY, job},
};

/// Topics of two partitions each.
const TOPICS: [&str; 4] = ["in", "entities", "redactions", "dead"];

struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
}

struct Running {
    counted: Counted,
    drain: CancellationToken,
}

/// A worker's thread, and what it counts.
struct Counted {
    progress: Arc<Progress>,
    thread: std::thread::JoinHandle<Result<Summary, Error>>,
}

impl std::ops::Deref for Running {
    type Target = Counted;

    fn deref(&self) -> &Counted {
        &self.counted
    }
}

fn options(brokers: Brokers) -> Options {
    let source = source::Options {
        session_timeout: Duration::from_secs(6),
        ..source::Options::new(brokers.clone(), "group", &["in"])
    };
    let topics = crate::support::broker::outputs();
    let sink = sink::Options {
        timeout: Duration::from_secs(5),
        ..sink::Options::new(brokers, "slot", topics)
    };
    Options {
        max_documents: 10,
        max_bytes: 1 << 20,
        max_wait: Duration::from_millis(20),
        in_flight_bytes: 1 << 20,
        ..Options::new(source, Sink::Topics(sink))
    }
}

fn worker() -> Worker {
    let job = job(PATTERNS_ONLY);
    Worker {
        engine: job.engine.clone(),
        tenants: job.tenants.clone(),
        progress: Arc::new(Progress::default()),
        health: Health::new(),
        drain: CancellationToken::new(),
    }
}

impl Mock {
    /// Three brokers, with some records in a topic.
    fn with(records: usize) -> Self {
        let cluster = MockCluster::new(3).unwrap();
        for topic in TOPICS {
            cluster.create_topic(topic, 2, 3).unwrap();
        }
        let mock = Self { cluster };
        mock.send(0..records);
        mock
    }

    fn send(&self, records: std::ops::Range<usize>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .create()
            .unwrap();
        for n in records {
            let key = format!("key-{n}");
            let value = format!("{{\"id\":\"d{n}\",\"text\":\"ask user{n}@mail.example\"}}");
            producer
                .send(BaseRecord::to("in").key(&key).payload(&value))
                .unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    /// Takes a broker away for good. Its partitions move to the two others, as in a real cluster: the
    /// mock cluster picks leaders at random and elects no new ones.
    fn lose(&self, broker: i32) {
        let others: Vec<i32> = (1..=3).filter(|other| *other != broker).collect();
        for topic in TOPICS {
            for (partition, leader) in (0..).zip(&others) {
                let moved = self
                    .cluster
                    .partition_leader(topic, partition, Some(*leader));
                moved.unwrap();
            }
        }
        self.cluster.broker_down(broker).unwrap();
    }

    /// All records of a topic, whatever became of their transactions.
    fn read(&self, topic: &str) -> Vec<String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "reader")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..2 {
            list.add_partition_offset(topic, partition, Offset::Beginning)
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut records, mut ended) = (Vec::new(), 0);
        while ended < 2 {
            match consumer.poll(Duration::from_secs(20)).unwrap() {
                Ok(message) => {
                    let value = message.payload().unwrap_or_default();
                    records.push(String::from_utf8_lossy(value).into_owned());
                }
                Err(KafkaError::PartitionEOF(_)) => ended += 1,
                Err(error) => panic!("{error}"),
            }
        }
        records
    }

    fn start(&self) -> Running {
        self.start_within(|run| run())
    }

    /// The same, within something that is the thread's own.
    fn start_within(
        &self,
        within: impl FnOnce(&mut dyn FnMut() -> Result<Summary, Error>) -> Result<Summary, Error>
        + Send
        + 'static,
    ) -> Running {
        let brokers = Brokers::plain(&self.cluster.bootstrap_servers());
        let options = options(brokers);
        let worker = worker();
        let (progress, drain) = (worker.progress.clone(), worker.drain.clone());
        let thread = std::thread::spawn(move || {
            let runtime = engine::runtime();
            within(&mut || Slot::open(0, worker.clone(), options.clone())?.run(runtime.handle()))
        });
        Running {
            counted: Counted { progress, thread },
            drain,
        }
    }
}

impl Counted {
    fn wait_for(&self, documents: u64) {
        eventually(Duration::from_secs(120), || {
            let has = self.documents();
            let ended = self.thread.is_finished();
            assert!(has >= documents || !ended, "the slot ended early");
            so(has >= documents, format!("{has} of {documents} documents"))
        });
    }

    fn documents(&self) -> u64 {
        let counts = engine_counts();
        self.progress.snapshot(&counts, Duration::ZERO).documents
    }
}

impl Running {
    fn drained(self) -> Result<Summary, Error> {
        self.drain.cancel();
        self.counted.thread.join().unwrap()
    }
}

fn engine_counts() -> weir::batch::Counts {
    weir::batch::Counts::default()
}

/// All records are delivered although brokers answer so.
fn mended(api: Api, errors: &[Code]) -> Summary {
    let mock = Mock::with(40);
    mock.cluster.request_errors(api, errors);
    let slot = mock.start();
    slot.wait_for(40);
    let summary = slot.drained().unwrap();
    assert_eq!((summary.documents, summary.dead_letters), (40, 0));
    summary
}

#[test]
fn a_coordinator_that_loads_or_moves_is_waited_for() {
    use Code::*;
    mended(
        Api::InitProducerId,
        &[
            RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        ],
    );
    mended(
        Api::AddOffsetsToTxn,
        &[
            RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
            RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
        ],
    );
    mended(
        Api::TxnOffsetCommit,
        &[
            RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        ],
    );
    mended(
        Api::EndTxn,
        &[
            RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
            RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        ],
    );
}

/// A broker says that it has a batch already, and librdkafka takes its records for written, without an offset. Here the
/// broker has nothing.
#[test]
fn a_record_that_no_broker_answered_for_is_not_taken_for_written() {
    use Code::*;
    let mock = Mock::with(40);
    mock.cluster.request_errors(
        Api::Produce,
        &[RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER; 3],
    );
    let slot = mock.start();
    slot.wait_for(40);
    slot.drained().unwrap();
    let found = mock.read("redactions");
    let is_missing = |n: &usize| {
        let id = format!("\"d{n}\"");
        !found.iter().any(|record| record.contains(&id))
    };
    let missing: Vec<usize> = (0..40).filter(is_missing).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
}

/// librdkafka goes back to the first record if a broker says that an offset is out of range. A leader may say so in an
/// election.
#[test]
fn a_client_that_goes_back_to_the_first_record_doubles_nothing() {
    use Code::*;
    let mock = Mock::with(40);
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let slot = mock.start_within(move |run| metrics::with_local_recorder(&recorder, run));
    slot.wait_for(40);
    mock.cluster
        .request_errors(Api::Fetch, &[RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE; 4]);
    mock.send(40..60);
    slot.wait_for(60);
    mock.cluster
        .request_errors(Api::Fetch, &[RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE; 4]);
    mock.send(60..80);
    slot.wait_for(80);
    // What comes twice would come now.
    std::thread::sleep(Duration::from_secs(3));
    let summary = slot.drained().unwrap();
    assert_eq!((summary.documents, summary.dead_letters), (80, 0));
    let found = mock.read("redactions");
    for n in 0..80 {
        let id = format!("\"d{n}\"");
        let count = found.iter().filter(|own| own.contains(&id)).count();
        assert_eq!(count, 1, "d{n}");
    }
    let went_back = metrics.snapshot().into_vec().into_iter().any(|(key, ..)| {
        let mut labels = key.key().labels();
        labels.any(|own| (own.key(), own.value()) == ("error_type", "position"))
    });
    assert!(went_back, "the client stayed where it was");
}

#[test]
fn a_member_that_lost_its_partitions_aborts_and_goes_on() {
    use Code::*;
    // What a rebalance in the middle of a transaction brings.
    for error in [
        RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
    ] {
        let summary = mended(Api::TxnOffsetCommit, &[error]);
        assert!(summary.aborted >= 1, "{error:?}: {summary:?}");
    }
}

#[test]
fn a_producer_of_unknown_outcome_is_replaced() {
    use Code::*;
    // Whether the transaction was committed can't be known: the committed offsets are asked.
    let summary = mended(
        Api::EndTxn,
        &[RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING],
    );
    assert!(summary.aborted >= 1, "{summary:?}");
}

#[test]
fn a_fenced_slot_stops() {
    use Code::*;
    for api in [Api::AddPartitionsToTxn, Api::AddOffsetsToTxn, Api::EndTxn] {
        let mock = Mock::with(40);
        mock.cluster
            .request_errors(api, &[RD_KAFKA_RESP_ERR_PRODUCER_FENCED]);
        let slot = mock.start();
        eventually(Duration::from_secs(60), || {
            so(slot.thread.is_finished(), format!("{api:?}"))
        });
        match slot.drained() {
            Err(Error::Sink(sink::Error::Fenced)) => {}
            other => panic!("{api:?}: {other:?}"),
        }
    }
}

#[test]
fn what_trying_again_cannot_mend_ends_the_slot_at_once() {
    use Code::*;
    let mock = Mock::with(1);
    mock.cluster.request_errors(
        Api::InitProducerId,
        &[RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED],
    );
    let slot = mock.start();
    match slot.counted.thread.join().unwrap() {
        Err(Error::Sink(sink::Error::Refused(_))) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn brokers_that_are_down_are_waited_for_and_coordinators_may_move() {
    let mock = Mock::with(400);
    let slot = mock.start();
    slot.wait_for(20);
    for broker in 1..=3 {
        mock.cluster.broker_down(broker).unwrap();
    }
    // Longer than a transaction may take.
    std::thread::sleep(Duration::from_secs(8));
    for broker in 1..=3 {
        mock.cluster.broker_up(broker).unwrap();
    }
    slot.wait_for(100);
    for broker in [2, 3, 1] {
        let transaction = MockCoordinator::Transaction("slot".to_owned());
        mock.cluster.coordinator(transaction, broker).unwrap();
        let group = MockCoordinator::Group("group".to_owned());
        mock.cluster.coordinator(group, broker).unwrap();
        std::thread::sleep(Duration::from_millis(300));
    }
    slot.wait_for(400);
    slot.drained().unwrap();
}

/// librdkafka issue 5456: `rd_kafka_send_offsets_to_transaction` waits without a limit while the
/// coordinator of the group is away.
#[test]
fn a_call_that_does_not_return_is_given_up_and_the_set_is_sent_by_a_new_producer() {
    let mock = Mock::with(400);
    let transaction = MockCoordinator::Transaction("slot".to_owned());
    let group = || MockCoordinator::Group("group".to_owned());
    mock.cluster.coordinator(transaction, 1).unwrap();
    mock.cluster.coordinator(group(), 3).unwrap();
    let slot = mock.start();
    slot.wait_for(20);
    // A transaction takes a second from here on. So there are records left when the broker goes away, and
    // the slot is in a transaction, or has one soon, long before the group takes its partitions away.
    let round_trip = |time| mock.cluster.broker_round_trip_time(1, time).unwrap();
    round_trip(Duration::from_millis(300));
    mock.lose(3);
    eventually(Duration::from_secs(90), || {
        assert!(!slot.thread.is_finished(), "the slot ended early");
        let documents = slot.documents();
        so(
            calls::left_behind() > 0,
            format!("nothing given up, {documents} of 400 documents"),
        )
    });
    round_trip(Duration::ZERO);
    mock.cluster.coordinator(group(), 2).unwrap();
    let moved = Instant::now();
    slot.wait_for(400);
    println!(
        "all delivered {:.1} s after the move",
        moved.elapsed().as_secs_f64()
    );
    slot.drained().unwrap();
}

/// A request of the worker's own that arrives late looks like a rival of the same name; after an outage the
/// slot joins again, and a rival that there is ends it.
#[test]
fn a_member_whose_name_is_taken_joins_again_after_an_outage_and_else_ends() {
    for outage in [true, false] {
        let mock = Mock::with(40);
        let mut options = options(Brokers::plain(&mock.cluster.bootstrap_servers()));
        options.source.instance_id = Some("named".to_owned());
        let worker = worker();
        let (progress, drain) = (worker.progress.clone(), worker.drain.clone());
        let health = worker.health.clone();
        let thread = std::thread::spawn(move || {
            let runtime = engine::runtime();
            runtime.block_on(slot::run(worker, vec![options]))
        });
        let slot = Counted { progress, thread };
        slot.wait_for(40);
        if outage {
            health.set_reached("the test's brokers", false);
            health.set_reached("the test's brokers", true);
        }
        let fenced = Code::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
        mock.cluster.request_errors(Api::Heartbeat, &[fenced]);
        mock.send(40..60);
        if outage {
            // The mock cluster stores no offsets: what was there is read again.
            slot.wait_for(100);
            drain.cancel();
            slot.thread.join().unwrap().unwrap();
        } else {
            let error = slot.thread.join().unwrap().unwrap_err().to_string();
            assert!(
                error.contains("another process is member `named`"),
                "{error}"
            );
            assert!(error.contains("source.group_instance_id"), "{error}");
        }
    }
}

#[test]
fn brokers_that_are_away_from_the_start_are_an_error_that_says_so() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let mut options = options(Brokers::plain(&address));
    if let Sink::Topics(topics) = &mut options.sink {
        topics.timeout = Duration::from_secs(1);
    }
    let error = Slot::open(0, worker(), options).err().unwrap();
    assert!(
        matches!(error, Error::Sink(sink::Error::NoAnswer { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("check that they run"), "{error}");
}
