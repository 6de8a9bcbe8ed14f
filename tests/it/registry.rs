//! The client of the schema registry: against a double that follows Confluent's API, and the same
//! promises against a real one.

use std::time::Duration;

use serde_json::{Value, json};
use weir::record::{
    Code,
    avro::{
        self, Credentials, Error, Kind, Options, Password, Registry, SchemaId, Subjects, Topics,
    },
};

use crate::support::{
    engine,
    registry::{Double, Real, register, register_body, request},
};

fn options(url: &str) -> Options {
    Options {
        urls: vec![url.to_owned()],
        credentials: None,
        subjects: Subjects::TopicName,
        auto_register: false,
        timeout: Duration::from_secs(5),
    }
}

fn registry(url: &str) -> Registry {
    options(url).build().unwrap()
}

fn that_registers(url: &str, subjects: Subjects) -> Registry {
    let options = Options {
        subjects,
        auto_register: true,
        ..options(url)
    };
    options.build().unwrap()
}

/// Topics of names that no other test or run has used.
fn topics() -> [String; 3] {
    let run: u64 = rand::random();
    ["entities", "redactions", "dead"].map(|name| format!("{name}-{run:x}"))
}

fn named(topics: &[String; 3]) -> Topics<'_> {
    Topics {
        entities: &topics[0],
        redactions: &topics[1],
        dead_letters: &topics[2],
    }
}

fn document() -> Value {
    json!({"type": "record", "name": "Ticket", "namespace": "shop", "fields": [
        {"name": "id", "type": "string"},
        {"name": "text", "type": ["null", "string"]},
        {"name": "born", "type": {"type": "int", "logicalType": "date"}}]})
}

/// A ticket behind no prefix.
fn ticket() -> Vec<u8> {
    let mut bytes = b"\x04d1\x02\x06Ana".to_vec();
    bytes.extend([0x92, 0x72]); // 7305 days
    bytes
}

fn number(id: u32) -> SchemaId {
    SchemaId::Number(id)
}

// ---- promises that every registry keeps

fn ids_are_looked_up_and_registered_only_if_allowed(url: &str) {
    let runtime = engine::runtime();
    let topics = topics();
    let error = runtime.block_on(registry(url).writers(named(&topics)));
    let error = error.unwrap_err();
    let subject = format!("{}-value", topics[0]);
    assert!(
        matches!(&error, Error::NotRegistered { subject: found, .. } if *found == subject),
        "{error:?}"
    );
    assert!(error.hint().unwrap().contains("auto_register = true"));
    assert!(error.code().is_none(), "no message is to blame");
    let made = that_registers(url, Subjects::TopicName);
    let made = runtime.block_on(made.writers(named(&topics))).unwrap();
    let found = runtime
        .block_on(registry(url).writers(named(&topics)))
        .unwrap();
    let ids = |w: &avro::Writers| [w.entities.id(), w.redactions.id(), w.dead_letters.id()];
    assert_eq!(ids(&made), ids(&found));
    // The schema of an id is the one that was registered.
    for (id, kind) in ids(&made).into_iter().zip(Kind::ALL) {
        let schema = runtime.block_on(registry(url).schema(number(id))).unwrap();
        assert_eq!(*schema, *avro::schema(kind));
    }
}

fn subjects_follow_the_strategy(url: &str) {
    let runtime = engine::runtime();
    let topics = topics();
    for subjects in [Subjects::RecordName, Subjects::TopicRecordName] {
        let registry = that_registers(url, subjects);
        runtime.block_on(registry.writers(named(&topics))).unwrap();
    }
    let (_, subjects) = request("GET", &format!("{url}/subjects"), "");
    assert!(subjects.contains("\"weir.v1.Entities\""), "{subjects}");
    let expected = format!("\"{}-weir.v1.Redaction\"", topics[1]);
    assert!(subjects.contains(&expected), "{subjects}");
    assert!(!subjects.contains(&format!("{}-value", topics[0])));
}

fn a_message_is_read_by_its_writers_schema(url: &str) {
    let runtime = engine::runtime();
    let [subject, ..] = topics();
    let id = register(url, &subject, &document());
    let message = [&[0][..], &id.to_be_bytes(), &ticket()].concat();
    let (found, values) = avro::split(None, &message).unwrap();
    let schema = runtime.block_on(registry(url).schema(found)).unwrap();
    let text = avro::json(&schema, values, 1000).unwrap();
    assert_eq!(text, r#"{"id":"d1","text":"Ana","born":"1990-01-01"}"#);
}

fn an_id_that_is_not_there_is_the_messages_fault(url: &str) {
    let error = engine::runtime().block_on(registry(url).schema(number(987_654_321)));
    let error = error.unwrap_err();
    assert_eq!(error.code(), Some(Code::UnknownSchema), "{error:?}");
    assert_eq!(
        error.to_string(),
        "the schema registry does not know schema 987654321"
    );
}

fn a_subject_with_other_records_refuses_weirs(url: &str) {
    let topics = topics();
    let subject = format!("{}-value", topics[0]);
    register(url, &subject, &document());
    let (status, body) = request(
        "PUT",
        &format!("{url}/config/{subject}"),
        r#"{"compatibility":"BACKWARD"}"#,
    );
    assert_eq!(status, 200, "{body}");
    let registry = that_registers(url, Subjects::TopicName);
    let error = engine::runtime().block_on(registry.writers(named(&topics)));
    let error = error.unwrap_err();
    assert!(matches!(&error, Error::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains(&subject), "{error}");
}

const PROMISES: [fn(&str); 5] = [
    ids_are_looked_up_and_registered_only_if_allowed,
    subjects_follow_the_strategy,
    a_message_is_read_by_its_writers_schema,
    an_id_that_is_not_there_is_the_messages_fault,
    a_subject_with_other_records_refuses_weirs,
];

#[test]
fn the_double_keeps_the_promises() {
    for promise in PROMISES {
        promise(&Double::start().url);
    }
}

#[test]
fn a_real_registry_keeps_the_promises() {
    let Some(real) = Real::start() else { return };
    for promise in PROMISES {
        promise(&real.url);
    }
}

// ---- what only the double can be made to do

#[test]
fn schemas_are_asked_for_once() {
    let (server, runtime) = (Double::start(), engine::runtime());
    let id = register(&server.url, "in-value", &document());
    let registry = registry(&server.url);
    for _ in 0..3 {
        runtime.block_on(registry.schema(number(id))).unwrap();
        runtime.block_on(registry.schema(number(77))).unwrap_err();
    }
    let of = |path: &str| {
        let requests = server.requests();
        requests.iter().filter(|request| *request == path).count()
    };
    assert_eq!(of("GET /schemas/ids/1"), 1);
    assert_eq!(
        of("GET /schemas/ids/77"),
        1,
        "an unknown id is not asked for at once again"
    );
}

#[test]
fn a_registry_that_does_not_answer_is_asked_again() {
    let (server, runtime) = (Double::start(), engine::runtime());
    let id = register(&server.url, "in-value", &document());
    let registry = registry(&server.url);
    for status in [500, 503, 401, 403, 404, 429] {
        server.fail(status);
        let error = runtime.block_on(registry.schema(number(id))).unwrap_err();
        assert!(
            matches!(error, Error::Unavailable { .. }),
            "{status} {error:?}"
        );
        assert_eq!(error.code(), None, "no message becomes a dead letter");
    }
    server.fail(0);
    runtime.block_on(registry.schema(number(id))).unwrap();
    let nobody = Options {
        timeout: Duration::from_millis(500),
        ..options("http://127.0.0.1:1")
    };
    let nobody = nobody.build().unwrap();
    let error = runtime.block_on(nobody.schema(number(id))).unwrap_err();
    assert_eq!(error.code(), None, "{error:?}");
}

#[test]
fn the_next_url_is_asked_when_one_does_not_answer() {
    let server = Double::start();
    let id = register(&server.url, "in-value", &document());
    let registry = Options {
        urls: vec!["http://127.0.0.1:1/".to_owned(), format!("{}/", server.url)],
        ..options("")
    };
    let registry = registry.build().unwrap();
    engine::runtime()
        .block_on(registry.schema(number(id)))
        .unwrap();
}

#[test]
fn the_password_is_sent_and_never_told() {
    let server = Double::with_password("weir", "hunter2");
    let runtime = engine::runtime();
    let with = |password: &str| Options {
        credentials: Some(Credentials {
            username: "weir".to_owned(),
            password: Password::from(password.to_owned()),
        }),
        auto_register: true,
        ..options(&server.url)
    };
    let topics = topics();
    let right = with("hunter2").build().unwrap();
    runtime.block_on(right.writers(named(&topics))).unwrap();
    let wrong = with("hunter3").build().unwrap();
    let error = runtime.block_on(wrong.writers(named(&topics))).unwrap_err();
    assert!(error.to_string().contains("401"), "{error}");
    let shown = format!("{error} {error:?} {right:?}");
    assert!(!shown.contains("hunter"), "{shown}");
}

#[test]
fn a_guid_finds_its_schema() {
    let (server, runtime) = (Double::start(), engine::runtime());
    let id = register(&server.url, "in-value", &document());
    let header = [&[1][..], &Double::guid(id)].concat();
    let ticket = ticket();
    let (found, values) = avro::split(Some(&header), &ticket).unwrap();
    let registry = registry(&server.url);
    let schema = runtime.block_on(registry.schema(found)).unwrap();
    assert!(avro::json(&schema, values, 1000).unwrap().contains("Ana"));
    let unknown = SchemaId::Guid([7; 16]);
    let error = runtime.block_on(registry.schema(unknown)).unwrap_err();
    assert_eq!(error.code(), Some(Code::UnknownSchema));
}

#[test]
fn a_schema_that_is_not_avro_is_the_messages_fault() {
    let (server, runtime) = (Double::start(), engine::runtime());
    let body = json!({"schema": "{\"type\":\"object\"}", "schemaType": "JSON"}).to_string();
    let id = register_body(&server.url, "in-value", &body);
    let error = runtime.block_on(registry(&server.url).schema(number(id)));
    assert_eq!(error.unwrap_err().code(), Some(Code::NotAvro));
}

#[test]
fn schemas_that_a_schema_refers_to_are_fetched() {
    let (server, runtime) = (Double::start(), engine::runtime());
    let inner = json!({"type": "record", "name": "Name", "namespace": "shop",
        "fields": [{"name": "first", "type": "string"}]});
    register(&server.url, "name", &inner);
    let outer = json!({"type": "record", "name": "Order", "namespace": "shop",
        "fields": [{"name": "buyer", "type": "Name"}]});
    let body = json!({"schema": outer.to_string(), "schemaType": "AVRO", "references":
        [{"name": "shop.Name", "subject": "name", "version": 1}]});
    let id = register_body(&server.url, "order", &body.to_string());
    let schema = runtime.block_on(registry(&server.url).schema(number(id)));
    let text = avro::json(&schema.unwrap(), b"\x06Ana", 100).unwrap();
    assert_eq!(text, r#"{"buyer":{"first":"Ana"}}"#);
}
