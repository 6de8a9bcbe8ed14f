//! Schema registries, and what records are read and written as.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{
        KafkaSink, KafkaSource,
        kafka::{Registry, SinkRegistry},
        sink::SubjectStrategy,
        source,
    },
    record::avro,
    sink::kafka as topics,
    source::kafka as group,
};

/// Longest time for one request to a registry: well below every session timeout that is sensible.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What the records of a worker are read and written as; its slots share the registries' clients.
#[derive(Debug, Clone)]
pub(super) struct Codecs {
    /// Of the topics that are read.
    pub(super) source: group::Codec,
    /// Of the topics that are written.
    pub(super) sink: topics::Codec,
}

impl Codecs {
    /// Makes clients of the registries, and looks the ids of weir's schemas up or registers them.
    pub(super) async fn open(source: &KafkaSource, sink: &KafkaSink) -> Result<Self, avro::Error> {
        let codecs = Self::new(source, sink)?;
        if let topics::Codec::Avro(registry) = &codecs.sink {
            for (kind, topic) in fixed(sink) {
                registry.writer(kind, topic).await?;
            }
        }
        Ok(codecs)
    }

    /// Makes clients of the registries, and asks nothing.
    pub(super) fn new(source: &KafkaSource, sink: &KafkaSink) -> Result<Self, avro::Error> {
        Ok(Self {
            source: codec(source)?,
            sink: match &sink.registry {
                None => topics::Codec::Json,
                Some(registry) => topics::Codec::Avro(Arc::new(
                    of_sink(registry, registry.auto_register).build()?,
                )),
            },
        })
    }
}

/// What records are read as.
pub(super) fn codec(source: &KafkaSource) -> Result<group::Codec, avro::Error> {
    Ok(match (source.codec, &source.registry) {
        (source::Codec::Text, _) => group::Codec::Text,
        (source::Codec::Avro, Some(registry)) => {
            group::Codec::Avro(Arc::new(options(registry).build()?))
        }
        _ => group::Codec::Json,
    })
}

/// What is written to topics of fixed names. A tenant's own topic is looked up with its first record.
fn fixed(sink: &KafkaSink) -> impl Iterator<Item = (avro::Kind, &str)> {
    let named = [
        (avro::Kind::Entities, sink.topics.entities.as_deref()),
        (avro::Kind::Redaction, sink.topics.redactions.as_deref()),
        (avro::Kind::DeadLetter, Some(&*sink.topics.dead_letters)),
        (avro::Kind::Audit, sink.topics.audit.as_deref()),
    ];
    let topics = named.into_iter();
    let topics = topics.filter_map(|(kind, topic)| Some((kind, topic?)));
    topics.filter(|(_, topic)| !topic.contains("{tenant}"))
}

/// Whether the registries answer and hold weir's schemas, by the key that names each. Registers
/// nothing.
pub async fn answers(
    source: &KafkaSource,
    sink: Option<&KafkaSink>,
) -> Vec<(&'static str, Result<&'static str, avro::Error>)> {
    let mut answers = Vec::new();
    if let Some(registry) = &source.registry {
        let answer = match options(registry).build() {
            Ok(registry) => registry.reach().await.map(|()| "answers"),
            Err(error) => Err(error),
        };
        answers.push(("source.decode.schema_registry", answer));
    }
    if let Some(sink) = sink
        && let Some(registry) = &sink.registry
    {
        let answer = holds_schemas(sink, registry).await;
        answers.push(("sink.encode.schema_registry", answer));
    }
    answers
}

async fn holds_schemas(
    sink: &KafkaSink,
    registry: &SinkRegistry,
) -> Result<&'static str, avro::Error> {
    let client = of_sink(registry, false).build()?;
    for (kind, topic) in fixed(sink) {
        match client.writer(kind, topic).await {
            Ok(_) => {}
            Err(avro::Error::NotRegistered { .. }) if registry.auto_register => {
                return Ok("answers, schemas will be registered");
            }
            Err(error) => return Err(error),
        }
    }
    Ok("answers, schemas are registered")
}

/// The sink's registry, in which weir registers its schemas only if `auto_register` is given.
fn of_sink(registry: &SinkRegistry, auto_register: bool) -> avro::Options {
    let SinkRegistry {
        registry,
        subjects,
        auto_register: _, // the caller's: `check` registers nothing
    } = registry;
    let mut options = options(registry);
    options.auto_register = auto_register;
    options.subjects = match subjects {
        SubjectStrategy::TopicName => avro::Subjects::TopicName,
        SubjectStrategy::RecordName => avro::Subjects::RecordName,
        SubjectStrategy::TopicRecordName => avro::Subjects::TopicRecordName,
    };
    options
}

fn options(registry: &Registry) -> avro::Options {
    let Registry { urls, credentials } = registry;
    let credentials = credentials.as_ref();
    avro::Options {
        urls: urls.clone(),
        credentials: credentials.map(|(username, password)| avro::Credentials {
            username: username.clone(),
            password: avro::Password::from(password.expose().to_owned()),
        }),
        subjects: avro::Subjects::default(),
        auto_register: false,
        timeout: TIMEOUT,
    }
}
