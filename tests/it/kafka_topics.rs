//! Topics that change while a group reads them: partitions and topics that are added, records that
//! retention deletes, topics that are deleted, created again, or not there.

use std::time::Duration;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use weir::{
    audit::{Feed, Verdict},
    record::{
        Audit,
        audit::{DigestKey, Reason},
    },
};

use crate::support::{
    broker::{self, Node, free_port},
    engine,
    eventually::{eventually, so},
    job::{ended, piped, signal, terminate},
    probe::{page, produce, wait_for, worker_on},
    topic::{Place, record},
};

fn admin(place: &Place) -> AdminClient<DefaultClientContext> {
    place.client().create().unwrap()
}

/// Waits until the group has an offset for partition 0 of its topic: it has begun.
fn wait_until_begun(place: &Place, topic: &str) {
    let group = format!("group-{}", place.input);
    let consumer: BaseConsumer = place.client().set("group.id", group).create().unwrap();
    eventually(Duration::from_secs(60), || {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, 0);
        let committed = consumer.committed_offsets(list, Duration::from_secs(10));
        let has = committed.is_ok_and(|list| list.elements()[0].offset() != Offset::Invalid);
        so(has, "no group")
    });
}

fn send(client: &ClientConfig, topic: &str, partition: i32, from: usize, count: usize) {
    let producer: BaseProducer = client.create().unwrap();
    for (key, value) in (from..from + count).map(record) {
        let record = BaseRecord::to(topic).partition(partition);
        let record = record.key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(60)).unwrap();
}

/// Ids that came out, sorted.
fn delivered(place: &Place) -> Vec<usize> {
    let entities = place.read(place.outputs.entities.as_ref().unwrap());
    let number = |record: &serde_json::Value| {
        let id = record["document_id"].as_str().unwrap();
        id[1..].parse().unwrap()
    };
    let mut ids: Vec<usize> = entities.iter().map(|(_, record)| number(record)).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn a_partition_or_topic_that_is_added_is_read_from_its_beginning_by_a_group_that_began_at_the_end()
{
    let place = Place::new(1);
    // Before the group: passed over.
    place.produce((0..20).map(record));
    let mut options = place.options("a");
    let also = format!("{}-also", place.input);
    options.source.topics.push(format!("^{also}.*"));
    options.source.from_earliest = false;
    options.source.metadata_refresh = Duration::from_millis(500);
    let slot = place.slot_with(options.clone());
    wait_until_begun(&place, &place.input);
    place.produce((20..25).map(record));
    place.wait_for(5);

    let admin = admin(&place);
    let more = NewPartitions::new(&place.input, 2);
    let runtime = engine::runtime();
    let made = runtime.block_on(admin.create_partitions([&more], &AdminOptions::new()));
    made.unwrap().remove(0).unwrap();
    broker::create_topics(place.address(), &[(&also, 1)]);
    // Before the worker can know of them.
    send(&place.client(), &place.input, 1, 25, 10);
    send(&place.client(), &also, 0, 35, 10);
    place.wait_for(25);
    slot.drained().unwrap();

    // Away while another topic comes: it is no reason to begin at an end, either.
    let third = format!("{also}-third");
    broker::create_topics(place.address(), &[(&third, 1)]);
    send(&place.client(), &third, 0, 45, 10);
    let slot = place.slot_with(options);
    place.wait_for(35);
    slot.drained().unwrap();
    assert_eq!(delivered(&place), (20..55).collect::<Vec<_>>());
}

#[test]
fn several_members_of_a_group_that_begins_at_the_end_pass_over_the_same() {
    let place = Place::new(6);
    place.produce((0..60).map(record));
    let slots: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            let mut options = place.options(name);
            options.source.from_earliest = false;
            place.slot_with(options)
        })
        .into();
    for slot in &slots {
        assert!(!slot.thread_is_finished());
    }
    wait_until_begun(&place, &place.input);
    place.produce((60..120).map(record));
    place.wait_for(60);
    for slot in slots {
        slot.drained().unwrap();
    }
    assert_eq!(delivered(&place), (60..120).collect::<Vec<_>>());
}

#[test]
fn what_retention_deleted_is_counted_and_stands_in_the_audit_and_the_rest_is_read() {
    let mut place = Place::new(1);
    let [audit] = place.broker.topics([("audit", 1)]);
    place.outputs.audit = Some(audit.clone());
    place.produce((0..100).map(record));
    drop(place.set_group(&format!("group-{}", place.input), 0..1, 10));
    let mut until = TopicPartitionList::new();
    until
        .add_partition_offset(&place.input, 0, Offset::Offset(60))
        .unwrap();
    let admin = admin(&place);
    let deleted = admin.delete_records(&until, &AdminOptions::new());
    engine::runtime().block_on(deleted).unwrap();

    let mut options = place.options("a");
    options.source.digest_key = Some(DigestKey::new(b"a secret of the test".to_vec()));
    // What is left is read in either case: the group has begun.
    options.source.from_earliest = false;
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let slot = place.slot_run(options, move |run| {
        metrics::with_local_recorder(&recorder, run)
    });
    place.wait_for(40);
    slot.drained().unwrap();
    assert_eq!(delivered(&place), (60..100).collect::<Vec<_>>());
    let counted = metrics
        .snapshot()
        .into_vec()
        .into_iter()
        .find_map(|(key, _, _, value)| {
            (key.key().name() == "weir_skipped_records_total").then_some(value)
        });
    assert_eq!(counted, Some(DebugValue::Counter(50)));
    let records = place.read(&audit).into_iter();
    let records: Vec<Audit> = records
        .map(|(_, record)| serde_json::from_value(record).unwrap())
        .collect();
    assert_eq!(records.len(), 41);
    let begin = records[0].begin.as_ref().unwrap();
    // Another than weir has committed the offset: nothing stood next to it.
    assert_eq!(begin.reason, Reason::MetadataLost);
    assert_eq!((begin.from, begin.log_start), (10, 60));
    let mut feed = Feed::default();
    for message in place.messages(&audit) {
        feed.read_bytes(message.payload().unwrap());
    }
    let mut report = feed.close();
    assert_eq!(report.verdict(), Verdict::Incomplete, "{report}");
    assert!(report.to_string().contains("offsets 10 to 59"), "{report}");
    report.accept(&["expired".to_owned()]);
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
}

#[test]
fn a_topic_that_is_created_again_under_its_name_is_read_from_its_beginning() {
    for from_earliest in [true, false] {
        let place = Place::new(1);
        let mut options = place.options("a");
        options.source.from_earliest = from_earliest;
        options.source.metadata_refresh = Duration::from_millis(500);
        let slot = place.slot_with(options);
        if !from_earliest {
            wait_until_begun(&place, &place.input);
        }
        place.produce((0..50).map(record));
        place.wait_for(50);
        let admin = admin(&place);
        let gone = admin.delete_topics(&[&*place.input], &AdminOptions::new());
        engine::runtime().block_on(gone).unwrap().remove(0).unwrap();
        // The old name is free once the broker has let go of it.
        std::thread::sleep(Duration::from_secs(2));
        broker::create_topics(place.address(), &[(&place.input, 1)]);
        place.produce((50..70).map(record));
        place.wait_for(70);
        slot.drained().unwrap();
        assert_eq!(delivered(&place), (0..70).collect::<Vec<_>>());
    }
}

#[test]
fn a_committed_offset_behind_the_end_of_a_topic_hides_nothing() {
    let place = Place::new(1);
    place.produce((0..30).map(record));
    // As left over from a topic of this name that was longer.
    drop(place.set_group(&format!("group-{}", place.input), 0..1, 500));
    let slot = place.slot("a");
    place.wait_for(30);
    slot.drained().unwrap();
    assert_eq!(delivered(&place), (0..30).collect::<Vec<_>>());
    // Of another member: the old offset does not come back.
    place.produce((30..40).map(record));
    let slot = place.slot("b");
    place.wait_for(40);
    slot.drained().unwrap();
    assert_eq!(delivered(&place), (0..40).collect::<Vec<_>>());
}

#[test]
fn topics_that_are_not_there_are_named_and_waited_for_and_so_are_brokers_at_the_start() {
    let mut node = Node::start(&["-XX:TieredStopAtLevel=1"], "");
    let address = node.address();
    broker::create_topics(&address, &[("dead", 1)]);
    node.kill();
    let port = free_port();
    let job = worker_on(&address, ["in", "entities-{tenant}", "dead"], port);
    // Ended while it waits: nothing is wrong.
    let child = piped(&mut job.command(&[]));
    wait_for(port, "/readyz", 503, Duration::from_secs(60));
    std::thread::sleep(Duration::from_secs(12));
    terminate(&child);
    ended(child)
        .expect(0)
        .says(&["the brokers of the source do not answer: weir waits for them"]);

    let child = piped(&mut job.command(&[]));
    // Longer than a transaction may take.
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!(page(port, "/livez").unwrap().0, 200);
    node.start_again();
    node.wait_until_it_answers();
    std::thread::sleep(Duration::from_secs(15));
    broker::create_topics(&address, &[("in", 1)]);
    produce(&address, 0);
    let tells = |part: &str| {
        eventually(Duration::from_secs(120), || {
            let told = page(port, "/metrics").is_some_and(|(_, text)| text.contains(part));
            so(told, format!("no {part}"))
        });
    };
    tells("error_type=\"no_topic\"");
    broker::create_topics(&address, &[("entities-acme", 1)]);
    tells("outcome=\"delivered\"");
    signal(child.id(), "TERM");
    let ran = ended(child).expect(0).says(&[
        "the topic `in` does not exist: create it, or correct source.topics",
        "the topic `entities-acme` does not exist: create it",
    ]);
    for topic in ["`in`", "`entities-acme`"] {
        let lines = ran.stderr.lines().filter(|line| line.contains(topic));
        assert!(
            lines.clone().count() <= 2,
            "{:#?}",
            lines.collect::<Vec<_>>()
        );
    }
}
