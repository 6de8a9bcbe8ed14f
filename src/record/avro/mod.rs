//! Avro: the schemas of weir's records, and messages that name their schema in a registry.
//!
//! In:  Kafka messages as Confluent's serializers write them: a prefix or a header names the
//!      writer's schema, which a [`Registry`] gives; the values follow.
//! Out: the text of a JSON document, which the rest of weir takes; weir's own records behind the
//!      prefix of their registered schema ([`Writer`]).
//! Holds: hostile bytes end in a [`Problem`], never in much memory, a deep stack or a
//!        truncated text (I1, I9); no error holds a value (I7).
//! Does not know: consumers, producers, transactions.
mod read;
mod registry;
#[cfg(test)]
mod tests;
mod write;

pub use read::{Problem, SCHEMA_ID_HEADER, SchemaId, json, split};
pub use registry::{Credentials, Error, Options, Password, Registry, Subjects, Topics, Writers};
pub use write::{Content, Redacted, Writer, schema};

/// The JSON of an audit record, as it was hashed, from its values in Avro; `None`: they are not of today's schema.
pub fn audit_json(values: &[u8]) -> Option<String> {
    const MOST: u64 = 64 << 20;
    let json = json(schema(Kind::Audit), values, MOST).ok()?;
    let mut json: serde_json::Value = serde_json::from_str(&json).ok()?;
    // Avro has all fields; JSON leaves out what is null.
    json.as_object_mut()?.retain(|_, value| !value.is_null());
    for (name, lists) in [("findings", true), ("source", false), ("begin", false)] {
        let inner = json.get_mut(name);
        let inner = inner.into_iter().flat_map(|own| match lists {
            true => own.as_array_mut().into_iter().flatten().collect(),
            false => vec![own],
        });
        for object in inner.filter_map(serde_json::Value::as_object_mut) {
            object.retain(|_, value| !value.is_null());
        }
    }
    let record: super::Audit = serde_json::from_value(json).ok()?;
    serde_json::to_string(&record).ok()
}

/// Kinds of records that weir writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    Entities,
    Redaction,
    DeadLetter,
    Audit,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Entities,
        Self::Redaction,
        Self::DeadLetter,
        Self::Audit,
    ];

    /// The schema, as it is registered.
    pub fn text(self) -> &'static str {
        match self {
            Self::Entities => include_str!("../../../schemas/entities.avsc"),
            Self::Redaction => include_str!("../../../schemas/redaction.avsc"),
            Self::DeadLetter => include_str!("../../../schemas/dead-letter.avsc"),
            Self::Audit => include_str!("../../../schemas/audit.avsc"),
        }
    }

    /// Full name of the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Entities => "weir.v1.Entities",
            Self::Redaction => "weir.v1.Redaction",
            Self::DeadLetter => "weir.v1.DeadLetter",
            Self::Audit => "weir.v1.Audit",
        }
    }

    /// What `weir schema` calls it.
    pub fn command(self) -> &'static str {
        match self {
            Self::Entities => "entities-avro",
            Self::Redaction => "redaction-avro",
            Self::DeadLetter => "dead-letter-avro",
            Self::Audit => "audit-avro",
        }
    }
}
