//! Kafka topics as a source: a member of a consumer group.
//!
//! A [`Consumer`] yields records in the order of each partition. It commits nothing: the offsets
//! of what is done go into the sink's transaction, and a partition that is assigned begins at its
//! committed offset.

mod beginning;
mod client;
mod consumer;
mod decode;
mod place;
mod reader;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use rdkafka::{
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use regex::Regex;

use crate::{
    kafka::{Brokers, Envelope, Refusal, Resource, Settings},
    record::{DeadLetter, Document, audit::DigestKey, avro},
};

pub(crate) use beginning::partitions;
pub(crate) use client::Context;
pub use client::End;
pub use consumer::Consumer;
pub(crate) use reader::Reader;

/// What to read, and as whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Brokers.
    pub brokers: Brokers,
    /// Consumer group.
    pub group_id: String,
    /// Whether the broker assigns partitions (KIP-848); otherwise members do, cooperative-sticky.
    pub broker_assigns: bool,
    /// This member's name, for static membership.
    pub instance_id: Option<String>,
    /// Silence after which the group takes partitions away; the broker's where it assigns.
    pub session_timeout: Duration,
    /// Whether a group without committed offsets begins with the oldest record, or else with what is
    /// written once its first member is there.
    pub from_earliest: bool,
    /// Time between looks for new partitions, and for topics that a regular expression matches.
    pub metadata_refresh: Duration,
    /// Topics; one that begins with `^` is a regular expression.
    pub topics: Vec<String>,
    /// What records hold.
    pub codec: Codec,
    /// Where the tenant is, if beside the record; `records.tenant` is [`super::TenantFrom::Beside`]
    /// then.
    pub tenant: Option<Beside>,
    /// Where the id is, if beside the record.
    pub id: Option<Beside>,
    /// Names or patterns of headers that the sink passes on.
    pub pass: Vec<String>,
    /// Key of the digests of values, where records are audited.
    pub digest_key: Option<DigestKey>,
    /// Tenant, id and the largest record, as for other sources.
    pub records: super::Options,
    /// Further options.
    pub librdkafka: Settings,
}

impl Options {
    /// JSON objects of some topics, from the oldest on, all else as configured by default.
    pub fn new(brokers: Brokers, group_id: &str, topics: &[&str]) -> Self {
        Self {
            brokers,
            group_id: group_id.to_owned(),
            broker_assigns: false,
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            from_earliest: true,
            metadata_refresh: Duration::from_secs(30),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            codec: Codec::Json,
            tenant: None,
            id: None,
            pass: Vec::new(),
            digest_key: None,
            records: super::Options::default(),
            librdkafka: Settings::default(),
        }
    }
}

impl Options {
    /// What brokers refuse, by its name.
    pub(super) fn refused(
        &self,
        code: RDKafkaErrorCode,
        consumer: &BaseConsumer<Context>,
    ) -> Error {
        let group = || Resource::Group {
            id: self.group_id.clone(),
            member: self.instance_id.clone(),
        };
        let of = match code {
            RDKafkaErrorCode::TopicAuthorizationFailed => {
                let hidden = self.topics_with(consumer, |found| found == code);
                // It may be described and not read: then all of them may be meant.
                Resource::Read(match hidden.is_empty() {
                    true => self.unreadable(),
                    false => hidden,
                })
            }
            RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::FencedInstanceId
            | RDKafkaErrorCode::UnreleasedInstanceId => group(),
            _ => Resource::Cluster,
        };
        Error::Refused(Refusal { code, of })
    }

    /// Topics with a name of their own whose metadata the brokers give no answer to but an error.
    fn topics_with(
        &self,
        consumer: &BaseConsumer<Context>,
        is: impl Fn(RDKafkaErrorCode) -> bool,
    ) -> BTreeSet<String> {
        let named = self.topics.iter().filter(|topic| !topic.starts_with('^'));
        let of = |topic: &&String| {
            let metadata = consumer.fetch_metadata(Some(topic), ANSWER);
            metadata.is_ok_and(|metadata| {
                let mut errors = metadata.topics().iter().filter_map(|found| found.error());
                errors.any(|error| is(error.into()))
            })
        };
        named.filter(of).cloned().collect()
    }

    /// Topics whose records this user may not read, found out by reading; all of them if that tells
    /// nothing.
    fn unreadable(&self) -> BTreeSet<String> {
        let named = self.topics.iter().filter(|topic| !topic.starts_with('^'));
        let refused = named.filter(|topic| {
            let reader = Reader::new(&self.brokers, &self.group_id);
            reader.is_ok_and(|reader| reader.is_refused(topic))
        });
        let refused: BTreeSet<String> = refused.cloned().collect();
        match refused.is_empty() {
            true => self.topics.iter().cloned().collect(),
            false => refused,
        }
    }
}

/// What records hold.
#[derive(Debug, Clone)]
pub enum Codec {
    /// JSON objects.
    Json,
    /// Plain text.
    Text,
    /// Avro whose schemas are in a registry; read as JSON objects.
    Avro(Arc<avro::Registry>),
}

/// A place beside a record's value.
#[derive(Debug, Clone)]
pub enum Beside {
    /// The first capture group of a regular expression on the key.
    Key(Regex),
    /// A header.
    Header(String),
}

/// Why topics can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option is not librdkafka's, or its value is wrong.
    #[error("can't create the consumer: check the options")]
    Options(#[source] KafkaError),
    /// The tenant's or id's place is not valid.
    #[error(transparent)]
    Identity(#[from] super::Error),
    /// A pattern of headers is not one.
    #[error("a pattern of headers is not valid")]
    Headers(#[source] globset::Error),
    /// The broker refuses for good.
    #[error("{0}")]
    Refused(Refusal),
}

/// A record as received.
#[derive(Debug)]
pub struct Record {
    /// What stands around it.
    pub envelope: Envelope,
    /// What it holds, or why it holds nothing.
    pub document: Result<Document, DeadLetter>,
}

/// Longest wait for the brokers where the slot does not poll meanwhile.
const ANSWER: Duration = Duration::from_secs(5);
