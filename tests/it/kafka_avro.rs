//! Avro to Avro on a real broker, with the registry's double.

use std::{sync::Arc, time::Duration};

use apache_avro::{Schema, types::Value as Avro, writer::datum::GenericDatumWriter};
use rdkafka::{
    Message as _,
    message::{Header, Headers as _, OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::{Value, json};
use weir::{
    pipeline::slot::Options,
    record::avro::{self, Kind, Registry, SchemaId, Subjects},
    sink::kafka as sink,
    source::kafka as source,
};

use crate::support::{
    engine,
    eventually::{eventually, so},
    registry::{Double, register, register_body},
    topic::{Place, topics_of},
};

fn ticket() -> Value {
    json!({"type": "record", "name": "Ticket", "namespace": "shop", "fields": [
        {"name": "id", "type": "string"},
        {"name": "n", "type": "long"},
        {"name": "text", "type": ["null", "string"]},
        {"name": "born", "type": {"type": "int", "logicalType": "date"}}]})
}

/// Values of a ticket, behind no prefix.
fn values(n: i64, text: &str) -> Vec<u8> {
    let string = |text: String| Avro::String(text);
    let record = Avro::Record(vec![
        ("id".to_owned(), string(format!("d{n}"))),
        ("n".to_owned(), Avro::Long(n)),
        (
            "text".to_owned(),
            Avro::Union(1, Box::new(string(text.to_owned()))),
        ),
        ("born".to_owned(), Avro::Date(7305)),
    ]);
    let schema = Schema::parse(&ticket()).unwrap();
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value_to_vec(record).unwrap()
}

fn prefixed(id: u32, values: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), values].concat()
}

/// Headers and value of a record.
type Record = (Option<Vec<u8>>, Vec<u8>);

fn produce(place: &Place, records: Vec<Record>) {
    let producer: BaseProducer = place.client().create().unwrap();
    for (schema_id, value) in records {
        let mut record = BaseRecord::to(&place.input).key("k").payload(&value);
        if let Some(id) = &schema_id {
            record = record.headers(OwnedHeaders::new().insert(Header {
                key: avro::SCHEMA_ID_HEADER,
                value: Some(id),
            }));
        }
        producer.send(record).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// A client that may register, and options of a slot that reads and writes with it.
fn with_registry(place: &Place, server: &Double) -> (Arc<Registry>, Options) {
    let options = avro::Options {
        urls: vec![server.url.clone()],
        credentials: None,
        subjects: Subjects::TopicName,
        auto_register: true,
        timeout: Duration::from_secs(2),
    };
    let registry = Arc::new(options.build().unwrap());
    let mut options = place.options("a");
    options.source.codec = source::Codec::Avro(registry.clone());
    // Whatever is passed on, the header of the source's schema is not.
    options.source.pass = vec!["*".to_owned()];
    topics_of(&mut options).codec = sink::Codec::Avro(registry.clone());
    (registry, options)
}

fn all(place: &Place) -> [Vec<OwnedMessage>; 3] {
    let outputs = &place.outputs;
    let topics = [
        outputs.entities.as_ref().unwrap(),
        outputs.redactions.as_ref().unwrap(),
        &outputs.dead_letters,
    ];
    topics.map(|topic| place.messages(topic))
}

fn wait_for(place: &Place, count: usize) -> [Vec<OwnedMessage>; 3] {
    eventually(Duration::from_secs(30), || {
        let found = all(place);
        let has = found[0].len() + found[2].len();
        so(has >= count, format!("{has} of {count} records")).map(|()| found)
    })
}

/// A message as the schema says that its prefix names.
fn read(registry: &Registry, message: &OwnedMessage) -> Value {
    let (id, values) = avro::split(None, message.payload().unwrap()).unwrap();
    let schema = engine::runtime().block_on(registry.schema(id)).unwrap();
    serde_json::from_str(&avro::json(&schema, values, 100_000).unwrap()).unwrap()
}

#[test]
fn avro_comes_in_and_goes_out_and_poison_goes_to_the_dead_letters() {
    let (place, server) = (Place::new(1), Double::start());
    let id = register(&server.url, "documents-value", &ticket());
    let other = json!({"schema": "{}", "schemaType": "JSON"}).to_string();
    let other = register_body(&server.url, "other-value", &other);
    let guid = [&[1][..], &Double::guid(id)].concat();
    let good = |n| values(n, &format!("ask user{n}@mail.example"));
    let wanda = values(9, "wanda@mail.example");
    produce(
        &place,
        vec![
            (None, prefixed(id, &good(0))),
            (None, b"{\"text\":\"wanda@mail.example\"}".to_vec()),
            (None, prefixed(4711, &wanda)),
            (None, prefixed(id, &wanda[..wanda.len() - 4])),
            (None, prefixed(other, &wanda)),
            (Some(guid), good(1)),
            (Some([&[0][..], &id.to_be_bytes()].concat()), good(2)),
            (None, prefixed(id, &[&wanda[..], b"wanda"].concat())),
        ],
    );
    let (registry, options) = with_registry(&place, &server);
    let slot = place.slot_with(options);
    let [entities, redactions, letters] = wait_for(&place, 8);
    let summary = slot.drained().unwrap();
    assert_eq!((summary.documents, summary.dead_letters), (3, 5));

    for (n, (entities, redaction)) in entities.iter().zip(&redactions).enumerate() {
        let entities = read(&registry, entities);
        assert_eq!(entities["document_id"], format!("d{n}"));
        assert_eq!(entities["source"]["topic"], place.input.as_str());
        assert_eq!(entities["entities"][0]["field"], "/text");
        assert_eq!(entities["entities"][0]["start"], 4);
        let redaction = read(&registry, redaction);
        assert_eq!(redaction["id"], format!("d{n}"));
        assert_eq!(redaction["text"], Value::Null);
        assert_eq!(redaction["source"], entities["source"]);
        assert_eq!(redaction["policy"], entities["policy"]);
        assert_eq!(redaction["redactions"][0]["operator"], "replace");
        let document: Value =
            serde_json::from_str(redaction["document"].as_str().unwrap()).unwrap();
        let expected = json!({"id": format!("d{n}"), "n": n, "text": "ask [EMAIL]",
            "born": "1990-01-01"});
        assert_eq!(document, expected, "no members of ours");
    }
    let read_letters: Vec<Value> = letters.iter().map(|m| read(&registry, m)).collect();
    let codes: Vec<&str> = read_letters
        .iter()
        .map(|letter| letter["code"].as_str().unwrap())
        .collect();
    let expected = [
        "not_avro",
        "unknown_schema",
        "not_avro",
        "not_avro",
        "not_avro",
    ];
    assert_eq!(codes, expected, "{read_letters:?}");
    let offsets: Vec<u64> = read_letters
        .iter()
        .map(|letter| letter["source"]["offset"].as_u64().unwrap())
        .collect();
    assert_eq!(offsets, [1, 2, 3, 4, 7]);

    let messages = [entities, redactions, letters];
    for (messages, kind) in messages.iter().zip(Kind::ALL) {
        let topic = messages[0].topic();
        let writer = engine::runtime().block_on(registry.writer(kind, topic));
        let id = writer.unwrap().id();
        for message in messages {
            let (found, _) = avro::split(None, message.payload().unwrap()).unwrap();
            assert_eq!(found, SchemaId::Number(id));
            let headers = message
                .headers()
                .into_iter()
                .flat_map(|headers| headers.iter());
            let names: Vec<&str> = headers.map(|header| header.key).collect();
            assert!(!names.contains(&avro::SCHEMA_ID_HEADER), "{names:?}");
            let shown = String::from_utf8_lossy(message.payload().unwrap());
            assert!(
                !shown.contains("wanda") && !shown.contains("@mail"),
                "{kind:?}"
            );
        }
    }
}

#[test]
fn records_wait_for_a_registry_that_does_not_answer() {
    let (place, server) = (Place::new(2), Double::start());
    let id = register(&server.url, "documents-value", &ticket());
    let records = |range: std::ops::Range<i64>| {
        let record = |n| (None, prefixed(id, &values(n, "ask user@mail.example")));
        range.map(record).collect()
    };
    server.fail(503);
    let (registry, options) = with_registry(&place, &server);
    produce(&place, records(0..30));
    let slot = place.slot_with(options);
    eventually(Duration::from_secs(30), || {
        let (asked, ended) = (server.requests(), slot.thread_is_finished());
        so(
            asked.len() >= 6,
            format!("not asked again: {asked:?} {ended}"),
        )
    });
    let [entities, redactions, letters] = all(&place);
    assert!(
        entities.is_empty() && redactions.is_empty() && letters.is_empty(),
        "a registry's outage makes no dead letters"
    );
    produce(&place, records(30..40));
    server.fail(0);
    let [entities, redactions, letters] = wait_for(&place, 40);
    let summary = slot.drained().unwrap();
    assert_eq!((summary.documents, summary.dead_letters), (40, 0));
    assert!(letters.is_empty());
    assert_eq!((entities.len(), redactions.len()), (40, 40));
    // One key: one partition, whose order is kept.
    let ids: Vec<Value> = entities
        .iter()
        .map(|message| read(&registry, message)["document_id"].clone())
        .collect();
    let expected: Vec<Value> = (0..40).map(|n| json!(format!("d{n}"))).collect();
    assert_eq!(ids, expected);
}
