//! Records that a broker has and did not answer for, when their transaction is aborted.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::support::{
    broker::{self, Node, free_port},
    eventually::{eventually, so},
    job::{ended, piped, terminate},
    probe::{page, worker_on},
    proxy::{Network, Proxy},
    topic::record,
};

/// A good record and one that becomes a dead letter, in this order.
fn produce_both(address: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .create()
        .unwrap();
    let (key, good) = record(0);
    for value in [&*good, "no JSON"] {
        let record = BaseRecord::to("in").key(&key).payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

/// How many committed records a topic of one partition has.
fn committed(address: &str, topic: &str) -> usize {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "reader")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&list).unwrap();
    let (mut count, start) = (0, Instant::now());
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                assert_eq!(message.partition(), 0);
                count += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return count,
            _ => assert!(start.elapsed() < Duration::from_secs(60), "no end"),
        }
    }
}

/// Waits until a transaction ends so.
fn wait_for_outcome(port: u16, outcome: &str) {
    let label = format!("outcome=\"{outcome}\"");
    eventually(Duration::from_secs(120), || {
        let text = page(port, "/metrics").map_or(String::new(), |(_, text)| text);
        let is = |line: &str| {
            line.starts_with("weir_transactions_total{")
                && line.contains(&label)
                && !line.ends_with(" 0")
        };
        so(text.lines().any(is), text)
    });
}

#[test]
fn a_record_that_is_sent_again_after_an_abort_is_not_taken_for_the_one_that_nobody_answered_for() {
    let outside = free_port();
    let proxy = Proxy::start(outside);
    let through = proxy.port();
    let properties = format!(
        "listeners=PLAINTEXT://127.0.0.1:{{port}},OUTSIDE://127.0.0.1:{outside},\
         CONTROLLER://127.0.0.1:{{controller}}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},OUTSIDE://127.0.0.1:{through}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=PLAINTEXT\n\
         offsets.topic.num.partitions=1\n\
         transaction.state.log.num.partitions=1\n"
    );
    let node = Node::start(&["-XX:TieredStopAtLevel=1"], &properties);
    let address = node.address();
    broker::create_topics(&address, &[("in", 1), ("dead", 1)]);
    produce_both(&address);
    let port = free_port();
    let brokers = format!("127.0.0.1:{through}");
    let job = worker_on(&brokers, ["in", "entities-{tenant}", "dead"], port);
    // No record may be given up for its age: librdkafka asks for a new epoch then.
    let config = std::fs::read_to_string(job.config()).unwrap();
    let config = config
        .replace("timeout_ms = 8000", "timeout_ms = 60000")
        .replace("stall_secs = 10", "stall_secs = 100");
    job.write("weir.toml", config);
    // The dead letter is written, and its answer is lost. The other record's topic is missing: the set is aborted.
    proxy.set(Network::WritesUnanswered);
    let child = piped(&mut job.command(&[]));
    wait_for_outcome(port, "aborted");
    broker::create_topics(&address, &[("entities-acme", 1)]);
    proxy.set(Network::Whole);
    wait_for_outcome(port, "committed");
    assert_eq!(committed(&address, "entities-acme"), 1);
    assert_eq!(committed(&address, "dead"), 1);
    terminate(&child);
    ended(child).expect(0);
}
