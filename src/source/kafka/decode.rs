//! From a message to a record: its document, and the tenant and id from its key and headers.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use globset::GlobSet;
use rdkafka::{
    Message,
    error::KafkaError,
    message::{Headers as _, OwnedMessage},
};
use regex::Regex;

use super::{Beside, Codec, Consumer, Record, consumer::name};
use crate::{
    kafka::{self, Bytes, Envelope, Header, Partition},
    record::{Code, DeadLetter, Document, DocumentId, Position, avro},
    source::{
        documents::{dead_letter, json_document, not_utf8, text_document},
        encoding,
    },
};

/// Headers by which schema registries name the schema of a value: weir writes another value.
const OF_REGISTRIES: [&str; 2] = ["__value_schema_id", "__key_schema_id"];

/// Why a record is not read.
enum Unread {
    /// It never will be.
    Rejected(DeadLetter),
    /// It is tried again.
    NotYet(NotYet),
}

/// Why a record has to wait.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotYet {
    /// The schema registry gave no answer.
    #[error(transparent)]
    Registry(avro::Error),
    /// The committed offset of its partition is not known.
    #[error("can't read the group's offsets ({:?})", .0.rdkafka_error_code())]
    Offsets(KafkaError),
    /// Its partition looks as if it began again.
    #[error(
        "a partition looks as if its topic was created again or its brokers lost its end: weir checks again"
    )]
    Unsure,
}

impl From<DeadLetter> for Unread {
    fn from(letter: DeadLetter) -> Self {
        Self::Rejected(letter)
    }
}

impl Consumer {
    pub(super) fn record(
        &mut self,
        partition: Partition,
        message: &OwnedMessage,
    ) -> Result<Record, NotYet> {
        let position = kafka::position(&partition, message.offset());
        let document = match self.document(message, position) {
            Ok(document) => Ok(document),
            Err(Unread::Rejected(letter)) => Err(letter),
            Err(Unread::NotYet(error)) => return Err(error),
        };
        let headers = passed(message, &self.pass, &self.trace_parent, &mut self.names);
        let audited = self.options.digest_key.as_ref().zip(message.payload());
        let envelope = Envelope {
            partition,
            offset: message.offset(),
            key: message.key().map(|key| Bytes(key.to_vec())),
            headers,
            written: written(message),
            bytes: message.payload().map_or(0, |payload| payload.len() as u64),
            digest: audited.map(|(key, payload)| key.digest(payload)),
            lost: None,
        };
        Ok(Record { envelope, document })
    }

    fn document(&self, message: &OwnedMessage, position: Position) -> Result<Document, Unread> {
        let Some(payload) = message.payload() else {
            let reason = "the value of the record is missing".to_owned();
            let code = match self.options.codec {
                Codec::Avro(_) => Code::NotAvro,
                Codec::Json | Codec::Text => Code::NotJson,
            };
            return Err(dead_letter(position, code, reason).into());
        };
        let limit = self.options.records.max_record_bytes;
        if payload.len() as u64 > limit {
            let reason = format!(
                "the record is {} bytes long; the limit is {limit} (limits.max_record_bytes)",
                payload.len()
            );
            return Err(dead_letter(position, Code::TooLarge, reason).into());
        }
        let text = match &self.options.codec {
            Codec::Json | Codec::Text => String::from_utf8(payload.to_vec())
                .map_err(|error| not_utf8(&error, "record", position.clone()))?,
            Codec::Avro(registry) => from_avro(registry, message, payload, limit, &position)?,
        };
        let (topic, place) = (message.topic(), position.clone());
        let mut document = match self.options.codec {
            Codec::Json | Codec::Avro(_) => {
                json_document(text, "record", &self.identity, topic, position)?
            }
            // Text of two bytes a character may be UTF-8, in which no pattern sees anything.
            Codec::Text if encoding::is_no_text(text.as_bytes()) => {
                let reason = "the record contains text of another encoding, or binary data";
                let letter = dead_letter(position, Code::UnknownEncoding, reason.to_owned());
                return Err(letter.into());
            }
            Codec::Text => text_document(text, self.identity.of_object(topic), position),
        };
        if let Some(id) = self.options.id.as_ref().map(|id| beside(id, message)) {
            // An id that can't be read is no reason to hold the record back: the position is one.
            document.id = match id.ok().flatten() {
                Some(id) => self.identity.id_beside(id),
                None => DocumentId::place(&place),
            };
        }
        if let Some(from) = &self.options.tenant {
            document.tenant = beside(from, message).map_err(|NotText| {
                let reason = "the tenant in the record's key or header is not UTF-8".to_owned();
                dead_letter(place, Code::UnknownTenant, reason)
            })?;
        }
        Ok(document)
    }
}

/// A place beside a record is not text.
struct NotText;

/// An Avro record as the text of a JSON object.
fn from_avro(
    registry: &avro::Registry,
    message: &OwnedMessage,
    payload: &[u8],
    limit: u64,
    position: &Position,
) -> Result<String, Unread> {
    let rejected = |problem: avro::Problem| {
        let reason = format!("the record {problem}");
        dead_letter(position.clone(), problem.code(), reason)
    };
    let header = message
        .headers()
        .and_then(|headers| headers.iter().find(|h| h.key == avro::SCHEMA_ID_HEADER))
        .and_then(|header| header.value);
    let (id, values) = avro::split(header, payload).map_err(rejected)?;
    let schema = tokio::runtime::Handle::current().block_on(registry.schema(id));
    let schema = schema.map_err(|error| match error.code() {
        Some(code) => dead_letter(position.clone(), code, error.to_string()).into(),
        None => Unread::NotYet(NotYet::Registry(error)),
    })?;
    Ok(avro::json(&schema, values, limit).map_err(rejected)?)
}

fn beside(place: &Beside, message: &OwnedMessage) -> Result<Option<String>, NotText> {
    let value = match place {
        Beside::Key(_) => message.key(),
        Beside::Header(name) => message
            .headers()
            .and_then(|headers| headers.iter().find(|header| header.key == name))
            .and_then(|header| header.value),
    };
    let Some(value) = value else {
        return Ok(None);
    };
    let value = std::str::from_utf8(value).map_err(|_| NotText)?;
    Ok(match place {
        Beside::Header(_) => Some(value.to_owned()),
        Beside::Key(pattern) => pattern
            .captures(value)
            .and_then(|captures| captures.get(1))
            .map(|part| part.as_str().to_owned()),
    })
}

/// Headers that go on: those that are configured, and the trace (W3C Trace Context) where it is
/// well-formed, so that nothing else travels under its name.
fn passed(
    message: &OwnedMessage,
    pass: &GlobSet,
    trace_parent: &Regex,
    names: &mut BTreeMap<String, Arc<str>>,
) -> Vec<Header> {
    let Some(headers) = message.headers() else {
        return Vec::new();
    };
    let text = |value: Option<&[u8]>| {
        value
            .and_then(|value| std::str::from_utf8(value).ok())
            .map(str::to_owned)
    };
    let traced = headers.iter().any(|header| {
        header.key == "traceparent"
            && text(header.value).is_some_and(|value| trace_parent.is_match(&value))
    });
    let goes_on = |header: &rdkafka::message::Header<'_, &[u8]>| match header.key {
        "traceparent" => traced,
        // At most 512 printable characters, and of no meaning without its parent.
        "tracestate" => {
            traced
                && header.value.is_some_and(|value| {
                    value.len() <= 512 && value.iter().all(|b| (b' '..=b'~').contains(b))
                })
        }
        key => !OF_REGISTRIES.contains(&key) && pass.is_match(key),
    };
    headers
        .iter()
        .filter(goes_on)
        .map(|header| Header {
            name: name(names, header.key),
            value: header.value.map(|value| Bytes(value.to_vec())),
        })
        .collect()
}

fn written(message: &OwnedMessage) -> Option<SystemTime> {
    let millis = u64::try_from(message.timestamp().to_millis()?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}
