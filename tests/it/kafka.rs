//! Kafka to Kafka on a real broker: every record comes out once, committed with its offset.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use rdkafka::{
    Message as _,
    consumer::Consumer as _,
    message::{Header, Headers as _, OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::Value;
use weir::{
    audit::{Feed, Verdict},
    kafka::Brokers,
    pipeline::{replay, slot::Error},
    record::{
        Audit, Code,
        audit::{DigestKey, Reason},
    },
    sink::kafka as sink,
    source::{TenantFrom, kafka as source},
};

use crate::support::topic::{Place, Running, record, topics_of};

/// Every id once in entities and redactions, in order for each key, and nothing of a value.
fn assert_exactly(place: &Place, count: usize) {
    let expected: BTreeSet<String> = (0..count).map(|n| format!("d{n}")).collect();
    let entities = place.read(place.outputs.entities.as_ref().unwrap());
    let redactions = place.read(place.outputs.redactions.as_ref().unwrap());
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
fn what_is_not_done_in_the_time_for_draining_is_the_next_readers() {
    let place = Place::new(2);
    place.produce((0..400).map(record));
    let mut options = place.options("a");
    options.drain_for = Duration::ZERO;
    options.max_documents = 400; // many are under way when the drain comes
    let first = place.slot_with(options);
    place.wait_for(1);
    place.produce((400..800).map(record));
    let one = first.drained().unwrap();
    let second = place.slot("b");
    place.wait_for(800);
    let two = second.drained().unwrap();
    assert_eq!(one.documents + two.documents, 800);
    assert_exactly(&place, 800);
}

/// librdkafka may begin where `auto.offset.reset` says although an offset is committed; a seek before
/// the first record stands for that here.
#[test]
fn a_partition_begins_at_its_committed_offset_wherever_the_client_begins() {
    let place = Place::new(1);
    place.produce((0..100).map(record));
    for (wrong, name) in [(0, "before"), (80, "behind")] {
        let options = source::Options {
            group_id: format!("{name}-{}", place.input),
            ..place.options("a").source
        };
        let partition: weir::kafka::Partition = (place.input.as_str().into(), 0);
        let start = Instant::now();
        place.set_group(&options.group_id, 0..1, 50);
        let mut consumer = source::Consumer::join(options, &|| false).unwrap();
        consumer.pause(true);
        while consumer.assigned() == 0 {
            assert!(start.elapsed() < Duration::from_secs(60), "not assigned");
            assert!(consumer.poll(Duration::from_millis(1)).unwrap().is_none());
        }
        // Now it is paused as well.
        assert!(consumer.poll(Duration::from_millis(1)).unwrap().is_none());
        // The client is not ready for it at once.
        while let Err(error) = consumer.seek(&partition, wrong, Duration::from_secs(10)) {
            assert!(start.elapsed() < Duration::from_secs(60), "{error}");
            assert!(consumer.poll(Duration::from_millis(10)).unwrap().is_none());
        }
        consumer.pause(false);
        let mut offsets = Vec::new();
        while offsets.len() < 50 {
            assert!(start.elapsed() < Duration::from_secs(90), "{offsets:?}");
            let record = consumer.poll(Duration::from_millis(100)).unwrap();
            offsets.extend(record.map(|record| record.envelope.offset));
        }
        assert_eq!(offsets, (50..100).collect::<Vec<_>>(), "{name}");
    }
}

/// What librdkafka 2.12 makes of it by itself: the partitions that stay begin with their oldest record.
#[test]
fn an_assignment_that_changes_while_offsets_are_unstable_doubles_nothing() {
    const PARTITIONS: i32 = 6;
    let place = Place::new(PARTITIONS);
    for n in 0..60 {
        place.produce_to(n % PARTITIONS, record(n as usize));
    }
    let options = place.options("a").source;
    let start = Instant::now();
    let operator = place.set_group(&options.group_id, 0..PARTITIONS, 5);
    // An owner that has died with its transaction open.
    let dead: BaseProducer = place
        .client()
        .set("transactional.id", format!("dead-{}", place.input))
        .create()
        .unwrap();
    let wait = Duration::from_secs(30);
    dead.init_transactions(wait).unwrap();
    dead.begin_transaction().unwrap();
    let nobody = operator.group_metadata().unwrap();
    dead.send_offsets_to_transaction(&place.at(0..PARTITIONS, 8), &nobody, wait)
        .unwrap();

    let mut found = Vec::new();
    let mut turn = |members: &mut [source::Consumer]| {
        for member in members {
            let record = member.poll(Duration::from_millis(20)).unwrap();
            found
                .extend(record.map(|record| (record.envelope.partition.1, record.envelope.offset)));
        }
        assert!(start.elapsed() < Duration::from_secs(300), "{found:?}");
        found.len()
    };
    let mut members = vec![source::Consumer::join(options.clone(), &|| false).unwrap()];
    while members[0].assigned() < PARTITIONS as usize {
        turn(&mut members);
    }
    members.push(source::Consumer::join(options, &|| false).unwrap());
    while members[1].assigned() == 0 {
        turn(&mut members);
    }
    for _ in 0..50 {
        assert_eq!(
            turn(&mut members),
            0,
            "read while it is not known from where"
        );
    }
    dead.abort_transaction(wait).unwrap();
    while turn(&mut members) < 30 {}
    for _ in 0..25 {
        turn(&mut members);
    }
    found.sort_unstable();
    let wanted: Vec<(i32, i64)> = (0..PARTITIONS)
        .flat_map(|partition| (5..10).map(move |offset| (partition, offset)))
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn the_time_of_the_last_commit_is_each_partitions_own() {
    let place = Place::new(2);
    let recorder = DebuggingRecorder::new();
    let metrics = recorder.snapshotter();
    let options = place.options("a");
    let slot = place.slot_run(options, move |run| {
        metrics::with_local_recorder(&recorder, run)
    });
    place.produce_to(0, record(0));
    place.wait_for(1);
    place.produce_to(1, record(1));
    place.wait_for(2);
    place.produce_to(1, record(2));
    place.wait_for(3);
    slot.drained().unwrap();
    let mut committed_at = BTreeMap::new();
    for (key, _, _, value) in metrics.snapshot().into_vec() {
        let key = key.key();
        if key.name() != "weir_last_commit_timestamp_seconds" {
            continue;
        }
        let partition = key.labels().find(|label| label.key() == "partition");
        let DebugValue::Gauge(seconds) = value else {
            panic!("no gauge: {value:?}");
        };
        committed_at.insert(partition.unwrap().value().to_owned(), seconds.into_inner());
    }
    // A partition that stands still must not look as fresh as the others.
    assert!(committed_at["0"] < committed_at["1"], "{committed_at:?}");
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

#[test]
fn at_least_once_delivers_every_record_without_transactions() {
    let place = Place::new(2);
    place.produce((0..200).map(record));
    let mut options = place.options("a");
    topics_of(&mut options).transactional_id = None;
    let slot = place.slot_with(options);
    place.wait_for(200);
    let summary = slot.drained().unwrap();
    assert_eq!((summary.documents, summary.aborted), (200, 0));
    // Nothing failed, so nothing is doubled either.
    assert_exactly(&place, 200);
}

#[test]
fn the_broker_may_assign_and_a_member_may_have_a_name() {
    let place = Place::new(4);
    place.produce((0..200).map(record));
    let slots: Vec<Running> = ["a", "b"]
        .map(|name| {
            let mut options = place.options(name);
            options.source.broker_assigns = true;
            options.source.instance_id = Some(name.to_owned());
            place.slot_with(options)
        })
        .into();
    place.wait_for(200);
    let documents: u64 = slots
        .into_iter()
        .map(|slot| slot.drained().unwrap().documents)
        .sum();
    assert_eq!(documents, 200);
    assert_exactly(&place, 200);
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn tenant_and_id_stand_beside_the_record_and_few_headers_go_on() {
    let place = Place::new(1);
    let producer: BaseProducer = place.client().create().unwrap();
    let send = |key: &str, headers: &[(&str, &[u8])]| {
        let mut owned = OwnedHeaders::new();
        for (key, value) in headers {
            owned = owned.insert(Header {
                key,
                value: Some(*value),
            });
        }
        let record = BaseRecord::to(&place.input)
            .key(key)
            .payload("{\"text\":\"ask ana@mail.example\"}")
            .headers(owned);
        producer.send(record).unwrap();
    };
    send(
        "acme/order-7",
        &[
            ("team", b"acme"),
            ("traceparent", TRACE.as_bytes()),
            ("tracestate", b"vendor=1"),
            ("x-shape", b"round"),
            ("x-mail", b"ana@mail.example"),
            ("__value_schema_id", b"12345"),
        ],
    );
    send(
        "acme/order-8",
        &[("team", b"acme"), ("traceparent", b"ana@mail.example")],
    );
    // Id, tenant and a header's name are the record's words: no dead letter holds them.
    send(
        "acme/di@mail.example",
        &[("team", b"nobody"), ("bo@mail.example", b"x")],
    );
    send("acme/order-10", &[("team", &[0xff])]);
    producer.flush(Duration::from_secs(20)).unwrap();
    let mut options = place.options("a");
    options.source.tenant = Some(source::Beside::Header("team".to_owned()));
    options.source.id = Some(source::Beside::Key(
        regex::Regex::new("^[^/]*/(.*)$").unwrap(),
    ));
    options.source.records.tenant = TenantFrom::Beside;
    options.source.pass = vec!["x-sh*".to_owned(), "__value*".to_owned()];
    topics_of(&mut options).hash_key = Some(sink::HashKey(b"a secret of the test".to_vec()));
    let slot = place.slot_with(options);
    place.wait_for(4);
    assert_eq!(slot.drained().unwrap().dead_letters, 2);

    let found = place.messages(place.outputs.entities.as_ref().unwrap());
    let ids: Vec<Value> = found
        .iter()
        .map(|message| serde_json::from_slice(message.payload().unwrap()).unwrap())
        .map(|record: Value| record["document_id"].clone())
        .collect();
    assert_eq!(ids, ["order-7", "order-8"]);
    let headers = |message: &OwnedMessage| -> Vec<(String, String)> {
        let headers = message
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter());
        let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
        headers
            .map(|header| (header.key.to_owned(), text(header.value)))
            .collect()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        headers(&found[0]),
        [
            pair("traceparent", TRACE),
            pair("tracestate", "vendor=1"),
            pair("x-shape", "round")
        ]
    );
    assert_eq!(headers(&found[1]), []);
    let redactions = place.messages(place.outputs.redactions.as_ref().unwrap());
    let key = redactions[0].key().unwrap();
    assert_eq!(key, found[0].key().unwrap());
    assert_eq!(key.len(), 32);
    assert_ne!(key, redactions[1].key().unwrap());

    let letters = place.messages(&place.outputs.dead_letters);
    let of_letter = headers(&letters[0]);
    let value = |name: &str| {
        let found = of_letter.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(value("__dlq.errors.topic"), Some(place.input.as_str()));
    assert_eq!(value("__connect.errors.offset"), Some("2"));
    assert_eq!(value("weir.code"), Some("unknown_tenant"));
    let shown = format!("{:?}", letters.iter().map(headers).collect::<Vec<_>>());
    assert!(
        !shown.contains("nobody") && !shown.contains("@mail.example"),
        "{shown}"
    );
    for letter in &letters {
        let text = std::str::from_utf8(letter.payload().unwrap()).unwrap();
        let raw = ["nobody", "@mail.example", "order-10"];
        assert!(raw.iter().all(|value| !text.contains(value)), "{text}");
    }
    let unknown = std::str::from_utf8(letters[0].payload().unwrap()).unwrap();
    assert!(unknown.contains("\"document_id\":\"id_"), "{unknown}");
}

#[test]
fn a_record_that_no_broker_takes_is_a_dead_letter() {
    let place = Place::new(1);
    let long = format!(
        "{{\"id\":\"long\",\"text\":\"{}\"}}",
        "words without end ".repeat(300)
    );
    place.produce([record(0), ("k".to_owned(), long), record(1)]);
    let mut options = place.options("a");
    let to = topics_of(&mut options);
    to.librdkafka.set("message.max.bytes", "3000");
    to.compression = "none";
    let slot = place.slot_with(options);
    place.wait_for(3);
    let summary = slot.drained().unwrap();
    assert_eq!((summary.documents, summary.dead_letters), (2, 1));
    let letters = place.read(&place.outputs.dead_letters);
    assert_eq!(letters[0].1["code"], "too_large");
    assert_eq!(letters[0].1["stage"], "sink");
    assert_exactly(&place, 2);
}

/// Dead letters are sent back once, by code, and what is no longer there is told.
#[test]
fn dead_letters_are_sent_back_once_their_cause_is_gone() {
    let place = Place::new(2);
    let unknown = |n: usize| {
        let text = format!(
            "{{\"id\":\"d{n}\",\"n\":{n},\"tenant\":\"later\",\"text\":\"ask user{n}@mail.example\"}}"
        );
        (format!("key-{}", n % 7), text)
    };
    place.produce((0..10).map(unknown));
    place.produce([("k".to_owned(), "no json".to_owned())]);
    let slot = place.slot("a");
    place.wait_for(11);
    assert_eq!(slot.drained().unwrap().dead_letters, 11);

    let codes = |codes: &[Code]| codes.iter().copied().collect();
    let options = |dry_run: bool, codes| replay::Options {
        source: Brokers::plain(&place.broker.address),
        group_id: format!("group-{}", place.input),
        sink: topics_of(&mut place.options("replay")).clone(),
        from: place.outputs.dead_letters.clone(),
        codes,
        dry_run,
        max_records: 4,
    };
    let sent = |summary: replay::Summary| (summary.sent, summary.expired, summary.foreign);
    let ten = || (BTreeMap::from([("unknown_tenant", 10)]), 0, 0);
    let of_tenant = || codes(&[Code::UnknownTenant]);
    // A look changes nothing.
    for _ in 0..2 {
        assert_eq!(
            sent(replay::run(options(true, of_tenant())).unwrap()),
            ten()
        );
    }
    assert_eq!(
        sent(replay::run(options(false, of_tenant())).unwrap()),
        ten()
    );
    // A second time there is nothing to send; the other code was left for later.
    assert_eq!(
        sent(replay::run(options(false, of_tenant())).unwrap()),
        (BTreeMap::new(), 0, 0)
    );
    assert_eq!(
        sent(replay::run(options(true, codes(&[]))).unwrap()),
        (BTreeMap::from([("not_json", 1)]), 0, 0)
    );

    // The tenant has a policy now: what was sent back is delivered, in order per key.
    let mut with_tenant = place.options("b");
    with_tenant.source.records.tenant = TenantFrom::Value("acme".to_owned());
    let slot = place.slot_with(with_tenant);
    place.wait_for(21);
    assert_eq!(slot.drained().unwrap().documents, 10);
    assert_exactly(&place, 10);
    let input = place.messages(&place.input);
    let marked = |message: &&OwnedMessage| {
        let headers = message
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter());
        headers
            .into_iter()
            .any(|header| header.key == "weir.replay.of")
    };
    assert_eq!(input.iter().filter(marked).count(), 10);
}

/// A look at many letters reads each partition once, not once for each letter.
#[test]
fn ten_thousand_letters_are_looked_at_within_seconds() {
    let place = Place::new(3);
    let count = std::env::var("WEIR_TEST_LETTERS").map_or(10_000, |n| n.parse().unwrap());
    place.produce((0..count).map(|n| (format!("key-{n}"), format!("no JSON {n}"))));
    let mut options = place.options("a");
    (options.max_documents, options.in_flight_bytes) = (2000, 64 << 20);
    let slot = place.slot_with(options);
    let letters = || place.messages(&place.outputs.dead_letters).len();
    let start = Instant::now();
    while letters() < count {
        assert!(start.elapsed() < Duration::from_secs(180));
        std::thread::sleep(Duration::from_millis(500));
    }
    slot.drained().unwrap();
    let start = Instant::now();
    let summary = replay::run(replay::Options {
        source: Brokers::plain(&place.broker.address),
        group_id: format!("group-{}", place.input),
        sink: topics_of(&mut place.options("replay")).clone(),
        from: place.outputs.dead_letters.clone(),
        codes: BTreeSet::new(),
        dry_run: true,
        max_records: 500,
    });
    let passed = start.elapsed();
    println!("{count} letters in {:.1} s", passed.as_secs_f64());
    assert_eq!(summary.unwrap().sent["not_json"], count as u64);
    // Letter by letter it takes half a second for each.
    assert!(passed < Duration::from_secs(60), "{passed:?}");
}

/// Each partition's audit records are one chain, whoever writes them and whatever is aborted.
#[test]
fn audit_records_are_a_chain_that_goes_on_with_the_partition() {
    let mut place = Place::new(2);
    let [audit] = place.broker.topics([("audit", 3)]);
    place.outputs.audit = Some(audit.clone());
    let key = DigestKey::new(b"a secret of the test".to_vec());
    let slot = |name: &str| {
        let mut options = place.options(name);
        options.source.digest_key = Some(key.clone());
        place.slot_with(options)
    };
    place.produce((0..60).map(record));
    place.produce([("k".to_owned(), "no json of wanda@mail.example".to_owned())]);
    let first = slot("a");
    place.wait_for(30);
    let second = slot("b");
    place.produce((60..100).map(record));
    place.wait_for(90);
    first.drained().unwrap();
    place.wait_for(101);
    second.drained().unwrap();

    let (mut feed, mut chains) = (Feed::default(), BTreeSet::new());
    let mut seen = BTreeSet::new();
    for message in place.messages(&audit) {
        let text = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
        assert!(!text.contains("@mail.example"), "a value leaks");
        feed.read(&text);
        let record: Audit = serde_json::from_str(&text).unwrap();
        chains.insert(String::from_utf8(message.key().unwrap().to_vec()).unwrap());
        if let Some(begin) = &record.begin {
            assert_eq!((begin.reason, begin.from), (Reason::New, 0));
            continue;
        }
        assert!(
            seen.insert(record.event_id.clone()),
            "{} twice",
            record.source
        );
        match record.code {
            Some(code) => assert_eq!(code, Code::NotJson),
            None => {
                assert_eq!(record.findings.len(), 1);
                assert_eq!(record.findings[0].operator, "replace");
                assert!(record.output_digest.is_some());
                assert_eq!(record.policy.unwrap().len(), 64);
            }
        }
        assert_ne!(record.input_digest, record.output_digest);
    }
    assert_eq!((chains.len(), seen.len()), (2, 101));
    let report = feed.close();
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
    // What goes out names its event.
    let outputs = [&place.outputs.entities, &place.outputs.redactions];
    let outputs = outputs.into_iter().flatten();
    let mut named = BTreeSet::new();
    for topic in outputs.chain([&place.outputs.dead_letters]) {
        for message in place.messages(topic) {
            let headers = message.headers().unwrap();
            let own = headers.iter().find(|own| own.key == "weir.event").unwrap();
            named.insert(String::from_utf8(own.value.unwrap().to_vec()).unwrap());
        }
    }
    assert_eq!(named, seen);
}
