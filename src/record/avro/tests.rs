use std::collections::BTreeSet;

use apache_avro::{
    Schema,
    reader::datum::GenericDatumReader,
    schema_compatibility::{Compatibility, SchemaCompatibility},
    types::Value,
    writer::datum::GenericDatumWriter,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::record::{
    Audit, Change, Code, DeadLetter, Digests, Entities, Entity, Position, Redaction, Stage,
    audit::{
        self, Begin, Chained, DigestKey, Finding, GENESIS, Head, KeyName, Outcome, Reason, Seal,
    },
};

// ---- weir's records

/// A record as its Avro says it, without the fields that are null: JSON leaves them out.
fn as_read(kind: Kind, message: &[u8]) -> Json {
    let (id, values) = split(None, message).unwrap();
    assert_eq!(id, SchemaId::Number(7));
    let by_crate = GenericDatumReader::builder(schema(kind)).build().unwrap();
    let by_crate = by_crate.read_value(&mut &values[..]).unwrap();
    let by_crate = without_nulls(Json::try_from(by_crate).unwrap());
    let by_weir = super::json(schema(kind), values, 1 << 20).unwrap();
    let by_weir = without_nulls(serde_json::from_str(&by_weir).unwrap());
    // The crate widens floats; JSON has their shortest digits, as weir's other records have.
    assert_eq!(rounded(by_crate), rounded(by_weir.clone()));
    by_weir
}

fn without_nulls(json: Json) -> Json {
    match json {
        Json::Object(object) => object
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect(),
        Json::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

fn rounded(json: Json) -> Json {
    match json {
        Json::Object(object) => object
            .into_iter()
            .map(|(key, value)| (key, rounded(value)))
            .collect(),
        Json::Array(items) => items.into_iter().map(rounded).collect(),
        Json::Number(number) if number.is_f64() => json!(number.as_f64().unwrap() as f32),
        other => other,
    }
}

/// As `serde_json` writes the record, spelled numbers included.
fn as_json(record: &impl serde::Serialize) -> Json {
    serde_json::from_str(&serde_json::to_string(record).unwrap()).unwrap()
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z/_ ]{0,12}", "\\PC{0,8}"]
}

fn count() -> impl Strategy<Value = u64> {
    prop_oneof![0..100u64, 0..=i64::MAX as u64]
}

fn position() -> impl Strategy<Value = Position> {
    let option = proptest::option::of::<BoxedStrategy<u64>>;
    prop_oneof![
        (
            word(),
            proptest::option::of(word()),
            option(count().boxed())
        )
            .prop_map(|(object, version, record)| Position::Object {
                object,
                version,
                record
            }),
        (word(), any::<i32>(), any::<i64>()).prop_map(|(topic, partition, offset)| {
            Position::Kafka {
                topic,
                partition,
                offset,
            }
        }),
        count().prop_map(|line| Position::Stdin { line }),
    ]
}

fn digests() -> impl Strategy<Value = Digests> {
    [word(), word(), word(), word()].prop_map(|[pack, label_set, policy, weir_version]| Digests {
        pack,
        label_set,
        policy,
        weir_version,
    })
}

fn entity() -> impl Strategy<Value = Entity> {
    (
        [word(), word(), word()],
        [count(), count(), count(), count()],
        (0.0f32..=1.0, proptest::option::of(0.0f32..=1.0)),
        proptest::option::of(word()),
    )
        .prop_map(
            |(
                [label, field, recognizer],
                [start, end, start_byte, end_byte],
                (score, label_score),
                text,
            )| {
                Entity {
                    label,
                    field,
                    start,
                    end,
                    start_byte,
                    end_byte,
                    score,
                    label_score,
                    recognizer,
                    text,
                }
            },
        )
}

fn entities() -> impl Strategy<Value = Entities> {
    (
        [word(), word()],
        position(),
        proptest::collection::vec(entity(), 0..4),
        digests(),
        [count(), count()],
    )
        .prop_map(
            |([document_id, tenant], source, entities, digests, [tokens, windows])| Entities {
                document_id,
                tenant,
                source,
                entities,
                digests,
                tokens,
                windows,
            },
        )
}

fn change() -> impl Strategy<Value = Change> {
    (
        [word(), word(), word()],
        [count(), count(), count(), count()],
        proptest::option::of(word()),
    )
        .prop_map(
            |([label, field, operator], [start, end, source_start, source_end], key_id)| Change {
                label,
                field,
                operator,
                start,
                end,
                source_start,
                source_end,
                key_id,
            },
        )
}

fn redaction() -> impl Strategy<Value = (Redaction, Option<Position>)> {
    let record = (
        [word(), word(), word()],
        proptest::collection::vec(change(), 0..4),
        digests(),
    )
        .prop_map(|([id, tenant, text], redactions, digests)| Redaction {
            id,
            tenant,
            text,
            redactions,
            digests,
        });
    (record, proptest::option::of(position()))
}

fn dead_letter() -> impl Strategy<Value = DeadLetter> {
    let stage = proptest::sample::select(vec![Stage::Source, Stage::Model, Stage::Sink]);
    let code = proptest::sample::select(vec![Code::NotAvro, Code::UnknownSchema, Code::Panicked]);
    (
        position(),
        [proptest::option::of(word()), proptest::option::of(word())],
        (stage, code),
        word(),
        any::<u32>(),
    )
        .prop_map(
            |(source, [tenant, document_id], (stage, code), reason, attempts)| DeadLetter {
                source,
                tenant,
                document_id,
                stage,
                code,
                reason,
                attempts,
            },
        )
}

proptest! {
    #[test]
    fn entities_say_the_same_in_avro_and_json(record in entities()) {
        let message = Writers::of(7, 7, 7).entities.entities(&record);
        prop_assert_eq!(as_read(Kind::Entities, &message), without_nulls(as_json(&record)));
    }

    #[test]
    fn redactions_say_the_same_in_avro_and_json((record, source) in redaction(), json in any::<bool>()) {
        let content = match json {
            true => Content::Document(&record.text),
            false => Content::Text(&record.text),
        };
        let message = Writers::of(7, 7, 7).redactions.redaction(Redacted {
            id: &record.id,
            tenant: &record.tenant,
            source: source.as_ref(),
            content,
            redactions: &record.redactions,
            digests: &record.digests,
        });
        let mut expected = as_json(&record);
        let members = expected.as_object_mut().unwrap();
        if json {
            let text = members.shift_remove("text").unwrap();
            members.insert("document".to_owned(), text);
        }
        if let Some(source) = &source {
            members.insert("source".to_owned(), as_json(source));
        }
        prop_assert_eq!(as_read(Kind::Redaction, &message), without_nulls(expected));
    }

    #[test]
    fn dead_letters_say_the_same_in_avro_and_json(record in dead_letter()) {
        let message = Writers::of(7, 7, 7).dead_letters.dead_letter(&record);
        prop_assert_eq!(as_read(Kind::DeadLetter, &message), without_nulls(as_json(&record)));
    }
}

fn finding() -> impl Strategy<Value = Finding> {
    (
        [word(), word(), word(), word()],
        [count(), count()],
        (0.0f32..=1.0, proptest::option::of(0.0f32..=1.0)),
        proptest::option::of(0.0f32..=1.0),
        [proptest::option::of(word()), proptest::option::of(word())],
    )
        .prop_map(
            |(
                [field, label, recognizer, operator],
                [start, end],
                (score, label_score),
                threshold,
                [key_id, basis],
            )| {
                Finding {
                    field,
                    start,
                    end,
                    label,
                    score,
                    label_score,
                    threshold,
                    recognizer,
                    operator,
                    key_id,
                    basis,
                }
            },
        )
}

fn audit() -> impl Strategy<Value = Chained> {
    let option = proptest::option::of::<_>;
    (
        dead_letter(),
        proptest::option::of(digests()),
        proptest::collection::vec(finding(), 0..4),
        [option(word()), option(word())],
        (word(), any::<bool>(), any::<bool>()),
        proptest::option::of(word()),
    )
        .prop_map(
            |(
                letter,
                digests,
                findings,
                [input_digest, output_digest],
                (word, delivered, opens),
                cluster,
            )| {
                let key = DigestKey::new(word.clone().into_bytes());
                if opens {
                    let begin = Begin {
                        reason: Reason::MetadataLost,
                        delivery: audit::Delivery::AtLeastOnce,
                        group: word,
                        cluster,
                        log_start: 3,
                        from: 7,
                        weir_version: "0".to_owned(),
                    };
                    let record = Audit {
                        begin: Some(begin),
                        ..Audit::new(audit::Kind::Begin, letter.source, &key)
                    };
                    return record.opened(2, GENESIS);
                }
                let record = Audit {
                    event_id: audit::event_id(&letter.source, digests.as_ref()),
                    tenant: letter.tenant,
                    document_id: letter.document_id,
                    outcome: Some(match delivered {
                        true => Outcome::Delivered,
                        false => Outcome::DeadLetter,
                    }),
                    code: (!delivered).then_some(letter.code),
                    findings,
                    pack: digests.as_ref().map(|own| own.pack.clone()),
                    label_set: digests.as_ref().map(|own| own.label_set.clone()),
                    policy: digests.as_ref().map(|own| own.policy.clone()),
                    weir_version: digests.map(|own| own.weir_version),
                    keys: match delivered {
                        true => vec![KeyName {
                            id: "k".to_owned(),
                            fingerprint: "f".to_owned(),
                        }],
                        false => Vec::new(),
                    },
                    input_digest,
                    output_digest,
                    ..Audit::new(audit::Kind::Event, letter.source, &key)
                };
                let head = Head {
                    epoch: 1,
                    seq: 8,
                    next: 12,
                    hash: "0c".repeat(32),
                };
                let mut chained = record.chained(&head, 13);
                if let Some(signature) = cluster {
                    chained.sealed(&Seal {
                        key: word,
                        signature,
                    });
                }
                chained
            },
        )
}

proptest! {
    #[test]
    fn audit_records_say_the_same_in_avro_and_json_and_their_hash_holds(written in audit()) {
        let record = written.record();
        let message = Writer::new(Kind::Audit, 7).audit(&record);
        let read = as_read(Kind::Audit, &message);
        prop_assert_eq!(&read, &without_nulls(as_json(&record)));
        let read: Audit = serde_json::from_value(read).unwrap();
        // As it stood in JSON, byte for byte: its hash is computed from there.
        prop_assert_eq!(serde_json::to_string(&read).unwrap().into_bytes(), &written.json[..]);
        prop_assert_eq!(super::audit_json(&message[5..]).unwrap().into_bytes(), written.json);
    }
}

/// Names of the fields of a record in a JSON Schema.
fn in_json<T: schemars::JsonSchema>() -> BTreeSet<String> {
    let schema = schemars::schema_for!(T).to_value();
    let of = |schema: &Json| -> BTreeSet<String> {
        let properties = schema["properties"].as_object();
        properties
            .into_iter()
            .flat_map(|p| p.keys().cloned())
            .collect()
    };
    let branches = schema["anyOf"].as_array();
    let branches = branches.into_iter().flatten().flat_map(&of);
    branches.chain(of(&schema)).collect()
}

/// Names of the fields of a record by its name, wherever it stands in a schema.
fn in_avro(kind: Kind, name: &str) -> BTreeSet<String> {
    fn find<'a>(schema: &'a Json, name: &str) -> Option<&'a Json> {
        if schema["name"] == name && schema["type"] == "record" {
            return Some(schema);
        }
        match schema {
            Json::Object(object) => object.values().find_map(|inner| find(inner, name)),
            Json::Array(items) => items.iter().find_map(|inner| find(inner, name)),
            _ => None,
        }
    }
    let schema: Json = serde_json::from_str(kind.text()).unwrap();
    let fields = find(&schema, name).unwrap()["fields"].as_array().unwrap();
    let names = fields.iter().map(|field| field["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

#[test]
fn avro_has_every_field_that_json_has() {
    assert_eq!(in_avro(Kind::Entities, "Entities"), in_json::<Entities>());
    assert_eq!(in_avro(Kind::Entities, "Entity"), in_json::<Entity>());
    assert_eq!(
        in_avro(Kind::DeadLetter, "DeadLetter"),
        in_json::<DeadLetter>()
    );
    assert_eq!(in_avro(Kind::Redaction, "Change"), in_json::<Change>());
    assert_eq!(in_avro(Kind::Audit, "Audit"), in_json::<Audit>());
    assert_eq!(in_avro(Kind::Audit, "Finding"), in_json::<Finding>());
    assert_eq!(in_avro(Kind::Audit, "Begin"), in_json::<Begin>());
    assert_eq!(in_avro(Kind::Audit, "KeyName"), in_json::<KeyName>());
    assert_eq!(in_avro(Kind::Audit, "Seal"), in_json::<Seal>());
    let mut redaction = in_json::<Redaction>();
    redaction.extend(["source", "document"].map(str::to_owned));
    assert_eq!(in_avro(Kind::Redaction, "Redaction"), redaction);
    for kind in Kind::ALL {
        assert_eq!(in_avro(kind, "Position"), in_json::<Position>(), "{kind:?}");
    }
}

#[test]
fn schemas_are_named_as_they_are_registered() {
    for kind in Kind::ALL {
        let name = schema(kind).name().unwrap();
        assert_eq!(name.fullname(None), kind.name());
    }
}

#[test]
fn optional_fields_are_null_first_with_default_null() {
    fn check(schema: &Json) {
        match schema {
            Json::Object(object) => {
                if let Some(branches) = object.get("type").and_then(Json::as_array) {
                    assert_eq!(branches.len(), 2, "{object:?}");
                    assert_eq!(branches[0], "null");
                    assert_eq!(object.get("default"), Some(&Json::Null));
                }
                assert_ne!(
                    object.get("type"),
                    Some(&json!("enum")),
                    "a string is compatible"
                );
                object.values().for_each(check);
            }
            Json::Array(items) => items.iter().for_each(check),
            _ => {}
        }
    }
    for kind in Kind::ALL {
        check(&serde_json::from_str(kind.text()).unwrap());
    }
}

// ---- compatibility

/// The first version of each schema: never changed.
fn first(kind: Kind) -> Schema {
    Schema::parse_str(match kind {
        Kind::Entities => include_str!("../../../schemas/v1/entities.avsc"),
        Kind::Redaction => include_str!("../../../schemas/v1/redaction.avsc"),
        Kind::DeadLetter => include_str!("../../../schemas/v1/dead-letter.avsc"),
        Kind::Audit => include_str!("../../../schemas/v1/audit.avsc"),
    })
    .unwrap()
}

/// The schema after an edit.
fn edited(kind: Kind, edit: impl FnOnce(&mut Json)) -> Schema {
    let mut schema = serde_json::from_str(kind.text()).unwrap();
    edit(&mut schema);
    Schema::parse(&schema).unwrap()
}

fn can_read(written: &Schema, read: &Schema) -> bool {
    matches!(
        SchemaCompatibility::can_read(written, read),
        Ok(Compatibility::Full)
    )
}

#[test]
fn readers_of_today_read_the_first_version() {
    for kind in Kind::ALL {
        assert!(can_read(&first(kind), schema(kind)), "{kind:?}");
    }
    let record = Entities {
        document_id: "d".to_owned(),
        tenant: "acme".to_owned(),
        source: Position::Stdin { line: 3 },
        entities: vec![],
        digests: Digests {
            pack: "p".to_owned(),
            label_set: "l".to_owned(),
            policy: "y".to_owned(),
            weir_version: "0".to_owned(),
        },
        tokens: 1,
        windows: 1,
    };
    let old = first(Kind::Entities);
    let writer = GenericDatumWriter::builder(&old).build().unwrap();
    let bytes = writer.write_value_to_vec(write::entities(&record)).unwrap();
    let reader = GenericDatumReader::builder(&old)
        .reader_schema(schema(Kind::Entities))
        .build()
        .unwrap();
    let read = reader.read_value(&mut &bytes[..]).unwrap();
    let read = without_nulls(Json::try_from(read).unwrap());
    assert_eq!(read, as_json(&record));
}

#[test]
fn changes_that_break_readers_are_refused() {
    for kind in Kind::ALL {
        let written = first(kind);
        let required = edited(kind, |schema| {
            let fields = schema["fields"].as_array_mut().unwrap();
            fields.push(json!({"name": "added", "type": "string"}));
        });
        assert!(
            !can_read(&written, &required),
            "{kind:?}: a field without a default"
        );
        let retyped = edited(kind, |schema| {
            let fields = schema["fields"].as_array_mut().unwrap();
            let text = fields.iter_mut().find(|field| field["type"] == "string");
            text.unwrap()["type"] = json!("long");
        });
        assert!(!can_read(&written, &retyped), "{kind:?}: another type");
        let optional = edited(kind, |schema| {
            let fields = schema["fields"].as_array_mut().unwrap();
            fields.push(json!({"name": "added", "type": ["null", "string"], "default": null}));
        });
        assert!(can_read(&written, &optional), "{kind:?}: an optional field");
        assert!(can_read(&optional, &written), "{kind:?}: old readers too");
    }
}

// ---- messages

fn parse(schema: Json) -> Schema {
    Schema::parse(&schema).unwrap()
}

fn read(schema: Json, bytes: &[u8]) -> Result<Json, Problem> {
    let text = super::json(&parse(schema), bytes, 10_000)?;
    Ok(serde_json::from_str(&text).unwrap())
}

fn long(number: i64) -> Vec<u8> {
    let writer = Schema::Long;
    let writer = GenericDatumWriter::builder(&writer).build().unwrap();
    writer.write_value_to_vec(Value::Long(number)).unwrap()
}

fn prefixed(bytes: &[u8]) -> Vec<u8> {
    [long(bytes.len() as i64), bytes.to_vec()].concat()
}

#[test]
fn a_message_names_its_schema_in_prefix_or_header() {
    let guid: [u8; 16] = std::array::from_fn(|n| n as u8);
    let behind = |magic: u8, id: &[u8]| [&[magic][..], id, b"values"].concat();
    let number = SchemaId::Number(0x0102);
    assert_eq!(
        split(None, &behind(0, &[0, 0, 1, 2])),
        Ok((number, &b"values"[..]))
    );
    assert_eq!(
        split(None, &behind(1, &guid)),
        Ok((SchemaId::Guid(guid), &b"values"[..]))
    );
    let header = [&[1][..], &guid].concat();
    assert_eq!(
        split(Some(&header), b"values"),
        Ok((SchemaId::Guid(guid), &b"values"[..]))
    );
    assert_eq!(
        split(Some(&[0, 0, 0, 1, 2]), b"values"),
        Ok((number, &b"values"[..]))
    );
    assert_eq!(
        SchemaId::Guid(guid).to_string(),
        "00010203-0405-0607-0809-0a0b0c0d0e0f"
    );
    for bytes in [
        &b""[..],
        b"\0\0\0\x01",
        b"{\"id\":1}",
        b"\x02\0\0\0\x01",
        b"\x01short",
    ] {
        assert_eq!(split(None, bytes), Err(Problem::Unmarked));
        assert_eq!(split(Some(bytes), b"values"), Err(Problem::Unmarked));
    }
}

#[test]
fn logical_types_become_text_that_can_be_searched() {
    let of = |r#type: &str, logical: &str| json!({"type": r#type, "logicalType": logical});
    let decimal =
        |scale| json!({"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": scale});
    let cases: Vec<(Json, Vec<u8>, Json)> = vec![
        (of("int", "date"), long(7305), json!("1990-01-01")),
        (of("int", "date"), long(-1), json!("1969-12-31")),
        (of("int", "date"), long(i32::MAX.into()), json!(i32::MAX)),
        (
            of("int", "time-millis"),
            long(3_723_004),
            json!("01:02:03.004"),
        ),
        (of("int", "time-millis"), long(-1), json!(-1)),
        (
            of("long", "time-micros"),
            long(86_400_000_000),
            json!(86_400_000_000i64),
        ),
        (
            of("long", "timestamp-millis"),
            long(1),
            json!("1970-01-01T00:00:00.001Z"),
        ),
        (
            of("long", "timestamp-micros"),
            long(-1),
            json!("1969-12-31T23:59:59.999999Z"),
        ),
        (
            of("long", "timestamp-nanos"),
            long(5),
            json!("1970-01-01T00:00:00.000000005Z"),
        ),
        (
            of("long", "timestamp-millis"),
            long(i64::MAX),
            json!(i64::MAX),
        ),
        (
            of("long", "local-timestamp-millis"),
            long(0),
            json!("1970-01-01T00:00:00"),
        ),
        (
            of("long", "local-timestamp-micros"),
            long(1),
            json!("1970-01-01T00:00:00.000001"),
        ),
        (
            of("string", "uuid"),
            prefixed(b"as it is"),
            json!("as it is"),
        ),
        (
            json!({"type": "fixed", "name": "f", "size": 12, "logicalType": "duration"}),
            [
                1u32.to_le_bytes(),
                2u32.to_le_bytes(),
                3004u32.to_le_bytes(),
            ]
            .concat(),
            json!("P1M2DT3.004S"),
        ),
        (
            json!({"type": "fixed", "name": "f", "size": 16, "logicalType": "uuid"}),
            (0..16).collect(),
            json!("00010203-0405-0607-0809-0a0b0c0d0e0f"),
        ),
        (
            json!({"type": "fixed", "name": "f", "size": 2}),
            vec![1, 2],
            json!("AQI="),
        ),
        (json!("bytes"), prefixed(&[255, 0]), json!("/wA=")),
        (
            json!("double"),
            f64::NAN.to_le_bytes().to_vec(),
            json!("NaN"),
        ),
        (
            json!("float"),
            f32::NEG_INFINITY.to_le_bytes().to_vec(),
            json!("-Infinity"),
        ),
        (
            json!(["null", "string"]),
            [long(1), prefixed(b"x")].concat(),
            json!("x"),
        ),
        (
            json!({"type": "enum", "name": "e", "symbols": ["A", "B"]}),
            long(1),
            json!("B"),
        ),
    ];
    for (schema, bytes, expected) in cases {
        assert_eq!(read(schema.clone(), &bytes), Ok(expected), "{schema}");
    }
    let decimals = [
        (2, 12345i32, "123.45"),
        (2, -5, "-0.05"),
        (0, 7, "7"),
        (5, 12345, "0.12345"),
        (19, 1, "0.0000000000000000001"),
    ];
    for (scale, unscaled, expected) in decimals {
        let bytes = prefixed(&unscaled.to_be_bytes());
        let text = super::json(&parse(decimal(scale)), &bytes, 100);
        assert_eq!(text.as_deref(), Ok(expected));
    }
    let big = |scale| prefixed(&[prefixed(&[1, 0]), long(scale)].concat());
    let schema = parse(of("bytes", "big-decimal"));
    for (scale, expected) in [
        (1, "25.6"),
        (-3, "256e3"),
        (i64::MIN, "256e9223372036854775808"),
    ] {
        let text = super::json(&schema, &big(scale), 100);
        assert_eq!(text.as_deref(), Ok(expected));
    }
    let long_number = prefixed(&[1; 600]);
    assert!(super::json(&parse(decimal(0)), &long_number, 10_000).is_err());
}

fn person() -> Json {
    json!({"type": "record", "name": "Person", "namespace": "a", "fields": [
        {"name": "name", "type": ["null", "string"]},
        {"name": "old", "type": "boolean"},
        {"name": "tags", "type": {"type": "map", "values": "string"}},
        {"name": "friends", "type": {"type": "array", "items": "Person"}},
        {"name": "text", "type": "string"}]})
}

fn message_of_person() -> Vec<u8> {
    let text = |text: &str| Value::String(text.to_owned());
    let someone = |name, friends| {
        Value::Record(vec![
            ("name".to_owned(), Value::Union(1, Box::new(text(name)))),
            ("old".to_owned(), Value::Boolean(true)),
            (
                "tags".to_owned(),
                Value::Map([("k".to_owned(), text("v"))].into()),
            ),
            ("friends".to_owned(), Value::Array(friends)),
            ("text".to_owned(), text("wanda@mail.example")),
        ])
    };
    let value = someone("Ana", vec![someone("Ben", vec![])]);
    let schema = parse(person());
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value_to_vec(value).unwrap()
}

#[test]
fn a_message_that_is_cut_short_is_never_read() {
    let (schema, bytes) = (parse(person()), message_of_person());
    let whole: Json = serde_json::from_str(&super::json(&schema, &bytes, 10_000).unwrap()).unwrap();
    assert_eq!(whole["friends"][0]["name"], "Ben");
    for end in 0..bytes.len() {
        assert_eq!(
            super::json(&schema, &bytes[..end], 10_000),
            Err(Problem::Short),
            "{end}"
        );
    }
    let longer = [&bytes[..], b"x"].concat();
    assert_eq!(
        super::json(&schema, &longer, 10_000),
        Err(Problem::Long { bytes: 1 })
    );
}

#[test]
fn hostile_lengths_and_depths_end_in_an_error() {
    let nulls = json!({"type": "array", "items": "null"});
    let huge = [long(1 << 62), vec![0]].concat();
    assert_eq!(
        read(nulls.clone(), &huge),
        Err(Problem::Large { limit: 10_000 })
    );
    let nested = json!({"type": "array", "items": nulls});
    assert_eq!(
        read(nested, &[long(1 << 40), long(1 << 40)].concat()),
        Err(Problem::Large { limit: 10_000 })
    );
    assert_eq!(read(json!("string"), &long(i64::MAX)), Err(Problem::Short));
    assert_eq!(
        read(json!("bytes"), &long(-1)),
        Err(Problem::Invalid { at: 1 })
    );
    assert_eq!(
        read(json!({"type": "array", "items": "int"}), &long(i64::MIN)),
        Err(Problem::Short)
    );
    let list = json!({"type": "record", "name": "List", "fields": [{"name": "next", "type": ["null", "List"]}]});
    let deep = vec![2; 1_000_000];
    assert_eq!(read(list.clone(), &deep), Err(Problem::Deep));
    let shallow = [vec![2; 100], vec![0]].concat();
    assert!(read(list, &shallow).is_ok());
    let endless =
        json!({"type": "record", "name": "Self", "fields": [{"name": "again", "type": "Self"}]});
    assert_eq!(read(endless, &[]), Err(Problem::Deep));
    assert_eq!(
        read(json!("boolean"), &[2]),
        Err(Problem::Invalid { at: 1 })
    );
    assert_eq!(
        read(json!("long"), &[0xff; 11]),
        Err(Problem::Invalid { at: 10 })
    );
    assert_eq!(
        read(json!("int"), &long(1 << 40)),
        Err(Problem::Invalid { at: 6 })
    );
    assert_eq!(
        read(json!(["null", "int"]), &long(2)),
        Err(Problem::Invalid { at: 1 })
    );
    assert_eq!(
        read(json!("string"), &prefixed(b"\xff")),
        Err(Problem::Invalid { at: 2 })
    );
    let small = parse(json!("string"));
    let text = prefixed(&b"\x01".repeat(30));
    assert_eq!(
        super::json(&small, &text, 100),
        Err(Problem::Large { limit: 100 })
    );
}

/// A schema, a value of it, and the JSON that it should become.
#[derive(Debug, Clone)]
struct Typed {
    schema: Json,
    value: Value,
    json: Json,
}

fn typed() -> impl Strategy<Value = Typed> {
    let new = |schema: Json, value, json| Typed {
        schema,
        value,
        json,
    };
    let leaf = prop_oneof![
        Just(new(json!("null"), Value::Null, Json::Null)),
        any::<bool>().prop_map(move |v| new(json!("boolean"), Value::Boolean(v), json!(v))),
        any::<i32>().prop_map(move |v| new(json!("int"), Value::Int(v), json!(v))),
        any::<i64>().prop_map(move |v| new(json!("long"), Value::Long(v), json!(v))),
        proptest::num::f64::NORMAL.prop_map(move |v| new(
            json!("double"),
            Value::Double(v),
            json!(v)
        )),
        "\\PC{0,8}".prop_map(move |v| new(json!("string"), Value::String(v.clone()), json!(v))),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(move |v| {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(&v);
            new(json!("bytes"), Value::Bytes(v), json!(text))
        }),
        (0..3u32).prop_map(move |v| {
            let symbol = ["A", "B", "C"][v as usize];
            let schema = json!({"type": "enum", "name": "", "symbols": ["A", "B", "C"]});
            new(schema, Value::Enum(v, symbol.to_owned()), json!(symbol))
        }),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            (inner.clone(), 0..4usize).prop_map(move |(of, count)| new(
                json!({"type": "array", "items": of.schema}),
                Value::Array(vec![of.value; count]),
                json!(vec![of.json; count]),
            )),
            (inner.clone(), proptest::option::of("\\PC{0,4}")).prop_map(move |(of, key)| new(
                json!({"type": "map", "values": of.schema}),
                Value::Map(key.iter().map(|k| (k.clone(), of.value.clone())).collect()),
                Json::Object(key.iter().map(|k| (k.clone(), of.json.clone())).collect()),
            )),
            (inner.clone(), any::<bool>()).prop_map(move |(of, some)| {
                if of.schema.is_array() || of.schema == "null" {
                    return of;
                }
                let schema = json!(["null", of.schema]);
                match some {
                    true => new(schema, Value::Union(1, Box::new(of.value)), of.json),
                    false => new(schema, Value::Union(0, Box::new(Value::Null)), Json::Null),
                }
            }),
            proptest::collection::vec(inner, 0..4).prop_map(move |fields| {
                let name = |n: usize| format!("f{n}");
                let named = |n, of: &Typed| json!({"name": name(n), "type": of.schema});
                let schema = fields.iter().enumerate().map(|(n, of)| named(n, of));
                let schema: Vec<Json> = schema.collect();
                let value = fields.iter().enumerate();
                let value = value.map(|(n, of)| (name(n), of.value.clone()));
                let json = fields.iter().enumerate();
                new(
                    json!({"type": "record", "name": "", "fields": schema}),
                    Value::Record(value.collect()),
                    Json::Object(json.map(|(n, of)| (name(n), of.json.clone())).collect()),
                )
            }),
        ]
    })
    .prop_map(|mut typed| {
        name_types(&mut typed.schema, &mut 0);
        typed
    })
}

/// Gives every type a name of its own.
fn name_types(schema: &mut Json, next: &mut usize) {
    match schema {
        Json::Object(object) => {
            if object.get("name") == Some(&json!("")) {
                *next += 1;
                object.insert("name".to_owned(), json!(format!("T{next}")));
            }
            object
                .values_mut()
                .for_each(|inner| name_types(inner, next));
        }
        Json::Array(items) => items.iter_mut().for_each(|inner| name_types(inner, next)),
        _ => {}
    }
}

proptest! {
    #[test]
    fn what_the_crate_writes_is_read(typed in typed()) {
        let schema = parse(typed.schema);
        let writer = GenericDatumWriter::builder(&schema).build().unwrap();
        let bytes = writer.write_value_to_vec(typed.value.clone()).unwrap();
        let reader = GenericDatumReader::builder(&schema).build().unwrap();
        prop_assert_eq!(reader.read_value(&mut &bytes[..]).unwrap(), typed.value);
        let text = super::json(&schema, &bytes, 1 << 20).unwrap();
        let read: Json = serde_json::from_str(&text).unwrap();
        // serde_json reads the last digit of a double only nearly right.
        prop_assert_eq!(rounded(read), rounded(typed.json));
    }

    #[test]
    fn any_bytes_end_in_json_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let schema = parse(person());
        match super::json(&schema, &bytes, 1000) {
            Ok(text) => {
                prop_assert!(text.len() <= 1000);
                serde_json::from_str::<Json>(&text).unwrap();
            }
            Err(problem) => prop_assert!(!problem.to_string().is_empty()),
        }
        let _ = split(None, &bytes);
    }
}

#[test]
fn secrets_and_values_are_not_printed() {
    let options = Options {
        urls: vec!["http://127.0.0.1:1".to_owned()],
        credentials: Some(Credentials {
            username: "weir".to_owned(),
            password: Password::from("hunter2".to_owned()),
        }),
        subjects: Subjects::TopicName,
        auto_register: false,
        timeout: std::time::Duration::from_secs(1),
    };
    let shown = format!("{options:?}");
    let registry = options.build().unwrap();
    let shown = format!("{shown} {registry:?}");
    assert!(
        shown.contains("Password") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn subjects_are_those_of_confluents_serializers() {
    let of = |subjects: Subjects| subjects.of(Kind::Entities, "out");
    assert_eq!(of(Subjects::TopicName), "out-value");
    assert_eq!(of(Subjects::RecordName), "weir.v1.Entities");
    assert_eq!(of(Subjects::TopicRecordName), "out-weir.v1.Entities");
}
