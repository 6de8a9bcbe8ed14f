//! Large results on a real broker, through the program: records that no topic takes, and memory.
//!
//! `WEIR_TEST_BINARY` names another weir, for figures before a change.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::Value;

use crate::support::{
    broker::{self, Broker, Node},
    engine,
    job::signal,
    tiny_pack,
    worker::{PATTERNS_ONLY, write_tenant},
};

/// Entities, redactions, dead letters, audit records.
const KINDS: [&str; 4] = ["entities", "redactions", "dead", "audit"];

/// Topics on a broker, and a folder with a configuration that reads and writes them.
struct Place {
    address: String,
    /// Input, then the outputs in the order of [`KINDS`].
    topics: Vec<String>,
    folder: tempfile::TempDir,
    /// Further options of the sink.
    sink: String,
}

impl Place {
    /// `configs`: configurations of the output topics.
    fn new(address: &str, name: &str, configs: &[(&str, &str)]) -> Self {
        let fresh = |kind: &str| format!("large-{}-{name}-{kind}", std::process::id());
        let topics: Vec<String> = ["in"]
            .iter()
            .chain(&KINDS)
            .map(|kind| fresh(kind))
            .collect();
        let admin: AdminClient<DefaultClientContext> = client(address).create().unwrap();
        let new = topics.iter().enumerate().map(|(at, name)| {
            let new = NewTopic::new(name, 1, TopicReplication::Fixed(1));
            // The input takes what the test writes.
            let configs = if at == 0 {
                &[("max.message.bytes", "20000000")]
            } else {
                configs
            };
            configs
                .iter()
                .fold(new, |new, (key, value)| new.set(key, value))
        });
        let new: Vec<NewTopic<'_>> = new.collect();
        let options = AdminOptions::new();
        let made = engine::runtime().block_on(admin.create_topics(&new, &options));
        for topic in made.unwrap() {
            topic.unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        write_tenant(&folder.path().join("tenants"), PATTERNS_ONLY);
        tiny_pack::write(&folder.path().join("pack"), &tiny_pack::Options::default());
        std::fs::write(folder.path().join("audit.key"), "a secret of the test").unwrap();
        Self {
            address: address.to_owned(),
            topics,
            folder,
            sink: String::new(),
        }
    }

    fn produce(&self, records: impl IntoIterator<Item = String>) {
        let producer: BaseProducer = client(&self.address)
            .set("message.max.bytes", "20000000")
            // Keeps the order, whatever a broker refuses at first: records are known by their offsets.
            .set("enable.idempotence", "true")
            .create()
            .unwrap();
        for record in records {
            let record = BaseRecord::to(&self.topics[0]).key("k").payload(&record);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            producer.poll(Duration::ZERO);
        }
        producer.flush(Duration::from_secs(60)).unwrap();
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn start(&self) -> Child {
        let [input, entities, redactions, dead, audit] = &self.topics[..] else {
            unreachable!("five topics are made");
        };
        let configuration = format!(
            r#"[source]
type = "kafka"
bootstrap_servers = "{address}"
topics = ["{input}"]
group_id = "{input}"
[sink]
type = "kafka"
transaction = {{ max_documents = 300, max_ms = 300 }}
audit_key_file = "audit.key"
{sink}
[sink.topics]
entities = "{entities}"
redactions = "{redactions}"
dead_letters = "{dead}"
audit = "{audit}"
[tenants]
dir = "tenants"
default = "acme"
[model]
pack = "pack"
threads = 1
"#,
            address = self.address,
            sink = self.sink,
        );
        let file = self.folder.path().join("weir.toml");
        std::fs::write(&file, configuration).unwrap();
        let binary = std::env::var_os("WEIR_TEST_BINARY");
        let binary = binary.map_or_else(|| env!("CARGO_BIN_EXE_weir").into(), PathBuf::from);
        Command::new(binary)
            .args(["run", "--config"])
            .arg(file)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.log()).unwrap())
            .spawn()
            .unwrap()
    }

    /// What a read_committed reader finds in a topic of the outputs.
    fn read(&self, kind: &str) -> Vec<Value> {
        let at = KINDS.iter().position(|own| *own == kind).unwrap() + 1;
        let consumer: BaseConsumer = client(&self.address)
            .set("group.id", "reader")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topics[at], 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        let (mut found, start) = (Vec::new(), Instant::now());
        loop {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{kind} has no end"
            );
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    found.push(serde_json::from_slice(message.payload().unwrap()).unwrap());
                }
                Some(Err(rdkafka::error::KafkaError::PartitionEOF(_))) => return found,
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
    }

    /// Runs the program until all records came out; the time that this took, and its peak of resident
    /// memory, which may still grow for a moment.
    fn run(&self, records: usize) -> (Duration, u64) {
        let mut child = self.start();
        let (mut peak, mut start) = (0, Instant::now());
        let began = Instant::now();
        let mut ready = false;
        loop {
            peak = peak.max(high_water(child.id()));
            // From the start of the first set on.
            if !ready && self.said("joined") {
                (ready, start) = (true, Instant::now());
            }
            if self.read("redactions").len() + self.read("dead").len() >= records {
                break;
            }
            assert!(child.try_wait().unwrap().is_none(), "{}", self.told());
            assert!(
                began.elapsed() < Duration::from_secs(900),
                "{}",
                self.told()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        let passed = start.elapsed();
        peak = peak.max(high_water(child.id()));
        signal(child.id(), "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{}", self.told());
        (passed, peak)
    }

    fn told(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn said(&self, what: &str) -> bool {
        self.told().contains(what)
    }
}

fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config
}

/// Peak resident memory of a process in bytes (VmHWM).
fn high_water(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// A document with some addresses: `count` decides how large its records are.
fn document(n: usize, count: usize) -> String {
    let addresses = (0..count).map(|at| format!("write to user{at:05}@mail.example or to"));
    let text: Vec<String> = addresses.collect();
    format!("{{\"id\":\"d{n}\",\"text\":\"{}\"}}", text.join(" "))
}

/// 300 documents in one set, of which 275 have results that a topic does not take. Documents among them
/// are small: nothing of theirs may become a dead letter.
fn a_set_of_300(place: &Place) -> Duration {
    let is_small = |n: usize| n.is_multiple_of(12);
    place.produce((0..300).map(|n| document(n, if is_small(n) { 1 } else { 150 })));
    let (passed, _) = place.run(300);
    let letters = place.read("dead");
    let codes = letters
        .iter()
        .map(|letter| letter["code"].as_str().unwrap());
    let mut counts = BTreeMap::new();
    codes.for_each(|code| *counts.entry(code).or_insert(0) += 1);
    assert_eq!(counts, BTreeMap::from([("too_large", 275)]));
    let mut offsets: Vec<u64> = letters
        .iter()
        .map(|letter| letter["source"]["offset"].as_u64().unwrap())
        .collect();
    offsets.sort_unstable();
    offsets.dedup();
    let small: Vec<&u64> = offsets
        .iter()
        .filter(|own| is_small(**own as usize))
        .collect();
    assert!(
        offsets.len() == 275 && small.is_empty(),
        "{} of 275, small ones: {small:?}",
        offsets.len()
    );
    // With the one that opens the chain.
    assert_eq!(
        (place.read("entities").len(), place.read("audit").len()),
        (25, 301)
    );
    passed
}

#[test]
fn a_set_of_which_the_client_takes_few_records_is_sorted_out_at_once() {
    let broker = Broker::shared();
    let mut place = Place::new(&broker.address, "client", &[]);
    place.sink = "compression = \"none\"\n\
                  librdkafka_options = { \"message.max.bytes\" = \"20000\" }"
        .to_owned();
    let passed = a_set_of_300(&place);
    println!("too_large: 275 of 300 exceed the client's limit: {passed:.1?}");
    assert!(passed < Duration::from_secs(120), "{passed:?}");
}

#[test]
fn a_set_of_which_a_topic_takes_few_records_is_sorted_out_at_once() {
    let broker = Broker::shared();
    let limit = [("max.message.bytes", "20000")];
    let mut place = Place::new(&broker.address, "topic", &limit);
    place.sink = "compression = \"none\"".to_owned();
    let passed = a_set_of_300(&place);
    println!("too_large: 275 of 300 exceed the topic's limit: {passed:.1?}");
    assert!(passed < Duration::from_secs(120), "{passed:?}");
    let reason = place.read("dead")[0]["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("max.message.bytes of the topic (20000 bytes)"),
        "{reason}"
    );
}

/// A user who may not read configurations: the limit is learnt from what the broker refuses.
#[test]
fn a_limit_that_can_not_be_read_is_learnt_from_a_refusal() {
    let authorizer = "authorizer.class.name=\
                      org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                      allow.everyone.if.no.acl.found=true\n";
    let node = Node::start(&[], authorizer);
    let limit = [("max.message.bytes", "20000")];
    let mut place = Place::new(&node.address(), "learnt", &limit);
    place.sink = "compression = \"none\"".to_owned();
    for rule in [
        ["--allow-principal", "All"],
        ["--deny-principal", "DescribeConfigs"],
    ] {
        let [who, operation] = rule;
        let address = node.address();
        let args = [
            "org.apache.kafka.tools.AclCommand",
            "--bootstrap-server",
            &address,
            "--add",
            who,
            "User:*",
            "--operation",
            operation,
            "--topic",
            "*",
        ];
        assert!(broker::tool(&args).status().unwrap().success());
    }
    let passed = a_set_of_300(&place);
    println!("too_large: 275 of 300 exceed a limit that is not known: {passed:.1?}");
    assert!(
        place.said("can't be read (DescribeConfigs"),
        "{}",
        place.told()
    );
    // 280 s when sets were cut down one by one.
    assert!(passed < Duration::from_secs(200), "{passed:?}");
}

/// A topic that takes more than librdkafka's default needs no option of the producer.
#[test]
fn what_a_topic_takes_the_producer_takes_too() {
    let broker = Broker::shared();
    let limit = [("max.message.bytes", "8000000")];
    let mut place = Place::new(&broker.address, "raised", &limit);
    place.sink = "compression = \"none\"".to_owned();
    place.produce([document(0, 10_000)]);
    place.run(1);
    assert_eq!(place.read("dead"), Vec::<Value>::new());
    let entities = place.read("entities");
    assert_eq!(entities[0]["entities"].as_array().unwrap().len(), 10_000);
}

/// One record of 845 kB with 20,000 addresses.
#[test]
fn a_large_record_with_many_entities_takes_bounded_memory() {
    let broker = Broker::shared();
    let limit = [("max.message.bytes", "20000000")];
    let base = {
        let place = Place::new(&broker.address, "base", &limit);
        place.produce([document(0, 1)]);
        place.run(1).1
    };
    let mut place = Place::new(&broker.address, "memory", &limit);
    place.sink = "librdkafka_options = { \"message.max.bytes\" = \"20000000\" }".to_owned();
    let record = document(0, 20_000);
    let bytes = record.len();
    place.produce([record]);
    let (passed, peak) = place.run(1);
    println!(
        "memory: a record of {} kB, 20,000 addresses: peak {} MiB ({} MiB with a small one), {passed:.1?}",
        bytes / 1000,
        peak >> 20,
        base >> 20
    );
    assert_eq!(place.read("dead"), Vec::<Value>::new());
    assert!(peak < base + (150 << 20), "peak {} MiB", peak >> 20);
}
