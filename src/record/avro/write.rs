//! weir's records as Avro.

use std::sync::LazyLock;

use apache_avro::{Schema, types::Value, writer::datum::GenericDatumWriter};
use serde::Serialize;

use super::Kind;
use crate::record::{
    Audit, Change, DeadLetter, Digests, Entities, Entity, Position,
    audit::{Begin, Finding, KeyName, Seal},
};

/// A redaction, in the parts that its schema keeps apart.
#[derive(Clone, Copy)]
pub struct Redacted<'a> {
    /// Id of the document.
    pub id: &'a str,
    /// Tenant whose policy was used.
    pub tenant: &'a str,
    /// Where the document came from.
    pub source: Option<&'a Position>,
    /// What is left of it.
    pub content: Content<'a>,
    /// What was transformed, in order.
    pub redactions: &'a [Change],
    /// What produced this record.
    pub digests: &'a Digests,
}

/// What is left of a document.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// Of a text.
    Text(&'a str),
    /// Of a JSON object.
    Document(&'a str),
}

/// Writes records of one kind behind the prefix of their registered schema.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    kind: Kind,
    id: u32,
}

impl Writer {
    /// Of a kind whose schema has `id` in the registry.
    pub fn new(kind: Kind, id: u32) -> Self {
        Self { kind, id }
    }

    /// Id of the schema.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Entities of a document.
    pub fn entities(&self, record: &Entities) -> Vec<u8> {
        self.message(Kind::Entities, entities(record))
    }

    /// Redaction of a document.
    pub fn redaction(&self, record: Redacted<'_>) -> Vec<u8> {
        self.message(Kind::Redaction, redaction(record))
    }

    /// A dead letter.
    pub fn dead_letter(&self, record: &DeadLetter) -> Vec<u8> {
        self.message(Kind::DeadLetter, dead_letter(record))
    }

    /// An audit record.
    pub fn audit(&self, record: &Audit) -> Vec<u8> {
        self.message(Kind::Audit, audit(record))
    }

    /// Byte 0, the id with its big end first, the values.
    fn message(&self, kind: Kind, record: Value) -> Vec<u8> {
        debug_assert_eq!(self.kind, kind, "a writer is of one kind");
        let mut message = vec![0];
        message.extend(self.id.to_be_bytes());
        writer(kind)
            .write_value(&mut message, record)
            .expect("tests hold the records against their schemas");
        message
    }
}

/// The parsed schema of a kind.
pub fn schema(kind: Kind) -> &'static Schema {
    static ALL: LazyLock<[Schema; Kind::ALL.len()]> = LazyLock::new(|| {
        Kind::ALL.map(|kind| Schema::parse_str(kind.text()).expect("weir's schemas are Avro"))
    });
    &ALL[kind as usize]
}

fn writer(kind: Kind) -> &'static GenericDatumWriter<'static> {
    static ALL: LazyLock<[GenericDatumWriter<'static>; Kind::ALL.len()]> = LazyLock::new(|| {
        Kind::ALL.map(|kind| {
            GenericDatumWriter::builder(schema(kind))
                .build()
                .expect("weir's schemas hold all their types")
        })
    });
    &ALL[kind as usize]
}

// Every function takes its record apart by name: a new field does not compile before it is here.

pub(super) fn entities(record: &Entities) -> Value {
    let Entities {
        document_id,
        tenant,
        source,
        entities,
        digests: made_by,
        tokens,
        windows,
    } = record;
    let mut fields = vec![
        ("document_id", string(document_id)),
        ("tenant", string(tenant)),
        ("source", position(source)),
        (
            "entities",
            Value::Array(entities.iter().map(entity).collect()),
        ),
    ];
    fields.extend(digests(made_by));
    fields.extend([("tokens", long(*tokens)), ("windows", long(*windows))]);
    object(fields)
}

fn entity(record: &Entity) -> Value {
    let Entity {
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
    } = record;
    object(vec![
        ("label", string(label)),
        ("field", string(field)),
        ("start", long(*start)),
        ("end", long(*end)),
        ("start_byte", long(*start_byte)),
        ("end_byte", long(*end_byte)),
        ("score", Value::Float(*score)),
        ("label_score", optional(label_score.map(Value::Float))),
        ("recognizer", string(recognizer)),
        ("text", optional(text.as_deref().map(string))),
    ])
}

pub(super) fn redaction(record: Redacted<'_>) -> Value {
    let Redacted {
        id,
        tenant,
        source,
        content,
        redactions,
        digests: made_by,
    } = record;
    let (text, document) = match content {
        Content::Text(text) => (Some(string(text)), None),
        Content::Document(document) => (None, Some(string(document))),
    };
    let mut fields = vec![
        ("id", string(id)),
        ("tenant", string(tenant)),
        ("source", optional(source.map(position))),
        ("text", optional(text)),
        ("document", optional(document)),
        (
            "redactions",
            Value::Array(redactions.iter().map(change).collect()),
        ),
    ];
    fields.extend(digests(made_by));
    object(fields)
}

fn change(record: &Change) -> Value {
    let Change {
        label,
        field,
        operator,
        start,
        end,
        source_start,
        source_end,
        key_id,
    } = record;
    object(vec![
        ("label", string(label)),
        ("field", string(field)),
        ("operator", string(operator)),
        ("start", long(*start)),
        ("end", long(*end)),
        ("source_start", long(*source_start)),
        ("source_end", long(*source_end)),
        ("key_id", optional(key_id.as_deref().map(string))),
    ])
}

pub(super) fn dead_letter(record: &DeadLetter) -> Value {
    let DeadLetter {
        source,
        tenant,
        document_id,
        stage,
        code,
        reason,
        attempts,
    } = record;
    object(vec![
        ("source", position(source)),
        ("tenant", optional(tenant.as_deref().map(string))),
        ("document_id", optional(document_id.as_deref().map(string))),
        ("stage", string(stage.as_str())),
        ("code", string(code.as_str())),
        ("reason", string(reason)),
        ("attempts", long((*attempts).into())),
    ])
}

pub(super) fn audit(record: &Audit) -> Value {
    let Audit {
        v,
        kind,
        epoch,
        seq,
        after,
        event_id,
        source,
        tenant,
        document_id,
        outcome,
        code,
        unit,
        findings,
        pack,
        label_set,
        policy,
        weir_version,
        keys,
        input_digest,
        output_digest,
        digest_key,
        begin,
        previous,
        hash,
        seal,
    } = record;
    let text = |own: &Option<String>| optional(own.as_deref().map(string));
    object(vec![
        ("v", optional(i32::try_from(*v).ok().map(Value::Int))),
        ("kind", optional(Some(string(&named(kind))))),
        ("epoch", optional(Some(long(*epoch)))),
        ("seq", optional(Some(long(*seq)))),
        ("after", optional(after.map(Value::Long))),
        ("event_id", string(event_id)),
        ("source", position(source)),
        ("tenant", text(tenant)),
        ("document_id", text(document_id)),
        ("outcome", optional(outcome.map(|own| string(&named(&own))))),
        ("code", optional(code.map(|code| string(code.as_str())))),
        ("unit", string(&named(unit))),
        (
            "findings",
            Value::Array(findings.iter().map(finding).collect()),
        ),
        ("pack", text(pack)),
        ("label_set", text(label_set)),
        ("policy", text(policy)),
        ("weir_version", text(weir_version)),
        (
            "keys",
            optional((!keys.is_empty()).then(|| Value::Array(keys.iter().map(key_name).collect()))),
        ),
        ("input_digest", text(input_digest)),
        ("output_digest", text(output_digest)),
        ("digest_key", string(digest_key)),
        ("begin", optional(begin.as_ref().map(self::begin))),
        ("previous", string(previous)),
        ("hash", string(hash)),
        ("seal", optional(seal.as_ref().map(self::seal))),
    ])
}

/// The name of a variant without fields, as in JSON.
fn named(variant: &impl Serialize) -> String {
    let name = serde_json::to_value(variant).expect("a variant is JSON");
    name.as_str().unwrap_or_default().to_owned()
}

fn key_name(record: &KeyName) -> Value {
    let KeyName { id, fingerprint } = record;
    object(vec![
        ("id", string(id)),
        ("fingerprint", string(fingerprint)),
    ])
}

fn begin(record: &Begin) -> Value {
    let Begin {
        reason,
        delivery,
        group,
        cluster,
        log_start,
        from,
        weir_version,
    } = record;
    object(vec![
        ("reason", string(&named(reason))),
        ("delivery", string(&named(delivery))),
        ("group", string(group)),
        ("cluster", optional(cluster.as_deref().map(string))),
        ("log_start", Value::Long(*log_start)),
        ("from", Value::Long(*from)),
        ("weir_version", string(weir_version)),
    ])
}

fn seal(record: &Seal) -> Value {
    let Seal { key, signature } = record;
    object(vec![("key", string(key)), ("signature", string(signature))])
}

fn finding(record: &Finding) -> Value {
    let Finding {
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
    } = record;
    object(vec![
        ("field", string(field)),
        ("start", long(*start)),
        ("end", long(*end)),
        ("label", string(label)),
        ("score", Value::Float(*score)),
        ("label_score", optional(label_score.map(Value::Float))),
        ("threshold", optional(threshold.map(Value::Float))),
        ("recognizer", string(recognizer)),
        ("operator", string(operator)),
        ("key_id", optional(key_id.as_deref().map(string))),
        ("basis", optional(basis.as_deref().map(string))),
    ])
}

fn position(position: &Position) -> Value {
    let mut found = Vec::new();
    match position {
        Position::Object {
            object,
            version,
            record,
        } => {
            found.push(("object", string(object)));
            found.extend(version.iter().map(|version| ("version", string(version))));
            found.extend(record.map(|record| ("record", long(record))));
        }
        Position::Kafka {
            topic,
            partition,
            offset,
        } => {
            found.push(("topic", string(topic)));
            found.push(("partition", Value::Int(*partition)));
            found.push(("offset", Value::Long(*offset)));
        }
        Position::Stdin { line } => found.push(("line", long(*line))),
    }
    let all = [
        "object",
        "version",
        "record",
        "topic",
        "partition",
        "offset",
        "line",
    ];
    let mut found = found.into_iter().peekable();
    let fields = all.map(|name| {
        let value = found.next_if(|(next, _)| *next == name);
        (name, optional(value.map(|(_, value)| value)))
    });
    object(fields.into())
}

fn digests(digests: &Digests) -> [(&'static str, Value); 4] {
    let Digests {
        pack,
        label_set,
        policy,
        weir_version,
    } = digests;
    [
        ("pack", string(pack)),
        ("label_set", string(label_set)),
        ("policy", string(policy)),
        ("weir_version", string(weir_version)),
    ]
}

fn object(fields: Vec<(&'static str, Value)>) -> Value {
    let named = fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Value::Record(named.collect())
}

/// All optional fields are unions of null and their type, in this order.
fn optional(value: Option<Value>) -> Value {
    match value {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(value) => Value::Union(1, Box::new(value)),
    }
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// Avro has no unsigned numbers. No count of bytes, rows or tokens comes near the bound.
fn long(number: u64) -> Value {
    Value::Long(i64::try_from(number).unwrap_or(i64::MAX))
}
