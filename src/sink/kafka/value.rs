//! How a delivery is written: to which topics, as which bytes, with which headers.

use std::collections::BTreeMap;

use rdkafka::message::{Header, OwnedHeaders};

use super::{
    Delivery, Topics,
    record_size::{self, Sized},
};
use crate::record::{
    DeadLetter, Done, Position, Redacted,
    audit::Chained,
    avro::{self, Kind},
};

/// Writers of one set, their schemas' ids known before its transaction begins.
pub(super) enum Values {
    Json,
    Avro(BTreeMap<String, [Option<avro::Writer>; Kind::ALL.len()]>),
}

/// A record that is ready to be sent.
pub(super) struct Outgoing {
    /// Of which of the set.
    pub(super) index: usize,
    pub(super) topic: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Vec<u8>,
    /// `None`: there are none, and the client makes no list.
    pub(super) headers: Option<OwnedHeaders>,
}

impl Outgoing {
    pub(super) fn sized(&self) -> Sized<'_> {
        Sized {
            topic: &self.topic,
            key: self.key.as_ref().map_or(0, Vec::len),
            value: &self.value,
            headers: self.headers.as_ref().map_or(0, record_size::of_headers),
        }
    }
}

impl Topics {
    /// All of them.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        let named = [
            self.entities.as_deref(),
            self.redactions.as_deref(),
            Some(&*self.dead_letters),
            self.audit.as_deref(),
        ];
        named.into_iter().flatten()
    }

    /// Those whose names do not depend on a tenant.
    pub(super) fn fixed(&self) -> impl Iterator<Item = &str> {
        self.named().filter(|topic| !topic.contains("{tenant}"))
    }

    /// What is written of a delivery, and where.
    pub(super) fn of(&self, delivery: &Delivery) -> [Option<(Kind, String)>; 3] {
        let audit = self.audit.clone().filter(|_| delivery.audit.is_some());
        let audit = audit.map(|topic| (Kind::Audit, topic));
        let Ok(done) = &delivery.outcome else {
            return [
                audit,
                Some((Kind::DeadLetter, self.dead_letters.clone())),
                None,
            ];
        };
        let tenant = &done.entities.tenant;
        let named = |kind, topic: &Option<String>| {
            let topic = topic.as_ref()?.replace("{tenant}", tenant);
            Some((kind, topic))
        };
        [
            audit,
            named(Kind::Entities, &self.entities),
            named(Kind::Redaction, &self.redactions),
        ]
    }
}

impl Values {
    fn writer(&self, kind: Kind, topic: &str) -> Option<avro::Writer> {
        let Self::Avro(writers) = self else {
            return None;
        };
        let writer = writers.get(topic).and_then(|own| own[kind as usize]);
        Some(writer.expect("`Producer::values` asks for all that `Topics::of` names"))
    }

    /// An audit record, as it is written to `topic`.
    pub(super) fn audit(&self, topic: &str, chained: &Chained) -> Vec<u8> {
        match self.writer(Kind::Audit, topic) {
            Some(writer) => writer.audit(&chained.record()),
            None => chained.json.clone(),
        }
    }

    /// The record of `kind` that is made of a delivery, as it is written to `topic`.
    pub(super) fn value(&self, kind: Kind, topic: &str, delivery: &Delivery) -> Vec<u8> {
        let writer = self.writer(kind, topic);
        let done = match (&delivery.outcome, writer) {
            (Ok(done), _) => done,
            (Err(letter), Some(writer)) => return writer.dead_letter(letter),
            (Err(letter), None) => {
                return serde_json::to_vec(letter).expect("a dead letter is JSON");
            }
        };
        match (kind, writer) {
            (Kind::Entities, Some(writer)) => writer.entities(&done.entities),
            (Kind::Entities, None) => {
                serde_json::to_vec(&done.entities).expect("entities are JSON")
            }
            (_, Some(writer)) => redaction(writer, done),
            (_, None) => done.redacted.bytes().into_owned(),
        }
    }
}

fn redaction(writer: avro::Writer, done: &Done) -> Vec<u8> {
    let (record, text);
    let content = match &done.redacted {
        Redacted::Text(text) => avro::Content::Text(text),
        Redacted::Record(_) | Redacted::Row(_) => {
            record = done.redacted.bytes();
            // Made of a string, so that nothing is lost.
            text = String::from_utf8_lossy(&record);
            avro::Content::Document(&text)
        }
    };
    writer.redaction(avro::Redacted {
        id: &done.entities.document_id,
        tenant: &done.entities.tenant,
        source: Some(&done.entities.source),
        content,
        redactions: &done.changes,
        digests: &done.entities.digests,
    })
}

/// Header of the records that go out: id of the event in the audit.
const EVENT: &str = "weir.event";

/// The headers that go on, and the id of the event where records are audited.
pub(super) fn carried(delivery: &Delivery) -> Option<OwnedHeaders> {
    let headers = &delivery.envelope.headers;
    if headers.is_empty() && delivery.audit.is_none() {
        return None;
    }
    let mut carried = OwnedHeaders::new_with_capacity(headers.len() + 1);
    let audit = delivery.audit.as_ref();
    if let Some(audit) = audit {
        carried = carried.insert(Header {
            key: EVENT,
            value: Some(&audit.event.event_id),
        });
    }
    for header in headers {
        // Of another weir in front of this one.
        if &*header.name == EVENT && audit.is_some() {
            continue;
        }
        carried = carried.insert(Header {
            key: &header.name,
            value: header.value.as_ref().map(|value| &value.0[..]),
        });
    }
    Some(carried)
}

/// Where the record stood and why it failed, under the names of KIP-1191 and of Connect. No value.
pub(super) fn dead_letter_headers(
    letter: &DeadLetter,
    carried: Option<OwnedHeaders>,
) -> OwnedHeaders {
    let mut headers = carried.unwrap_or_default();
    let mut add = |key: &str, value: &str| {
        headers = std::mem::take(&mut headers).insert(Header {
            key,
            value: Some(value),
        });
    };
    if let Position::Kafka {
        topic,
        partition,
        offset,
    } = &letter.source
    {
        for prefix in ["__dlq.errors", "__connect.errors"] {
            add(&format!("{prefix}.topic"), topic);
            add(&format!("{prefix}.partition"), &partition.to_string());
            add(&format!("{prefix}.offset"), &offset.to_string());
        }
    }
    add("__connect.errors.stage", letter.stage.as_str());
    for prefix in ["__dlq.errors", "__connect.errors.exception"] {
        add(&format!("{prefix}.message"), &letter.reason);
    }
    add("__dlq.errors.delivery.count", &letter.attempts.to_string());
    add("weir.code", letter.code.as_str());
    headers
}
