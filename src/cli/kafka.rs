//! What a configuration says about topics, for `run`, `check` and `replay`.

use std::{sync::Arc, time::Duration};

use super::{
    exit::{Exit, Failure},
    run::{self, ids, pointer},
};
use crate::{
    config::{
        self, Resolved,
        kafka::{self, IdFrom, KafkaSink, KafkaSource},
        pipeline::Delivery,
        sink::{Roll, SubjectStrategy, TopicCompression},
        source::{GroupProtocol, OffsetReset},
    },
    pipeline::{
        job::{Job, Summary},
        slot::{self, Options},
    },
    record::{audit::DigestKey, avro},
    sink::{self, kafka as topics},
    source::{self, brokers::Brokers, kafka as group},
    telemetry::Health,
};

/// Topics, and where their records go; registries and stores have answered, brokers were not asked yet.
pub enum Topics<'c> {
    /// To topics.
    ToTopics(&'c KafkaSource, &'c KafkaSink, Codecs),
    /// To files.
    ToObjects(&'c KafkaSource, &'c config::ObjectSink, group::Codec),
}

impl<'c> Topics<'c> {
    /// From topics to topics.
    pub async fn to_topics(source: &'c KafkaSource, sink: &'c KafkaSink) -> Result<Self, Failure> {
        let codecs = Codecs::open(source, sink).await.map_err(no_registry)?;
        Ok(Self::ToTopics(source, sink, codecs))
    }

    /// From topics to files.
    pub async fn to_objects(
        source: &'c KafkaSource,
        sink: &'c config::ObjectSink,
    ) -> Result<Self, Failure> {
        let codec = source_codec(source).map_err(no_registry)?;
        // A store that is never there is told at once; one that goes away later is waited for.
        if let Some(location) = run::planned(sink)? {
            let answer = location.connect().await;
            answer.map_err(|error| run::failed(sink::Error::from(error)))?;
        }
        Ok(Self::ToObjects(source, sink, codec))
    }

    /// Runs a worker until it is drained.
    pub async fn run(
        self,
        resolved: &Resolved,
        job: &Job,
        health: Health,
    ) -> Result<Summary, Failure> {
        let numbers = 0..resolved.pipeline.slots;
        let slots = match self {
            Self::ToTopics(source, sink, codecs) => numbers
                .map(|number| slot(source, sink, &codecs, resolved, number))
                .collect(),
            Self::ToObjects(source, sink, codec) => {
                let files = slot::files::Options {
                    chains: sink::chain::Options {
                        location: run::location(sink)?,
                        group: source.group_id.clone(),
                        configuration: run::configuration(resolved, job),
                        pack: job.engine.pack().digest().to_owned(),
                    },
                    compression: run::compression(sink),
                };
                numbers
                    .map(|number| {
                        rolling_slot(source, &codec, &sink.roll, files.clone(), resolved, number)
                    })
                    .collect()
            }
        };
        let worker = slot::Worker {
            engine: job.engine.clone(),
            tenants: job.tenants.clone(),
            progress: job.progress.clone(),
            health,
            drain: job.drain.clone(),
        };
        slot::run(worker, slots).await.map_err(stopped)?;
        Ok(Summary {
            drained: job.drain.is_cancelled(),
            ..Summary::of(&job.progress)
        })
    }
}

/// What the records of a worker are read and written as; its slots share the registries' clients.
#[derive(Debug, Clone)]
pub struct Codecs {
    /// Of the topics that are read.
    pub source: group::Codec,
    /// Of the topics that are written.
    pub sink: topics::Codec,
}

/// Longest time for one request to a registry: well below every session timeout that is sensible.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(5);

impl Codecs {
    /// Makes clients of the registries, and looks the ids of weir's schemas up or registers them.
    pub async fn open(source: &KafkaSource, sink: &KafkaSink) -> Result<Self, avro::Error> {
        let codecs = Self::of(source, sink)?;
        if let topics::Codec::Avro(registry) = &codecs.sink {
            for (kind, topic) in fixed(sink) {
                registry.writer(kind, topic).await?;
            }
        }
        Ok(codecs)
    }

    /// Makes clients of the registries, and asks nothing.
    pub fn of(source: &KafkaSource, sink: &KafkaSink) -> Result<Self, avro::Error> {
        Ok(Self {
            source: source_codec(source)?,
            sink: match &sink.registry {
                None => topics::Codec::Json,
                Some(registry) => {
                    let options = sink_options(registry, registry.auto_register);
                    topics::Codec::Avro(Arc::new(options.build()?))
                }
            },
        })
    }
}

/// What records are read as.
fn source_codec(source: &KafkaSource) -> Result<group::Codec, avro::Error> {
    Ok(match (source.codec, &source.registry) {
        (config::source::Codec::Text, _) => group::Codec::Text,
        (config::source::Codec::Avro, Some(registry)) => {
            group::Codec::Avro(Arc::new(registry_options(registry).build()?))
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
pub async fn registries(
    source: &KafkaSource,
    sink: Option<&KafkaSink>,
) -> Vec<(&'static str, Result<&'static str, avro::Error>)> {
    let mut answers = Vec::new();
    if let Some(registry) = &source.registry {
        let answer = match registry_options(registry).build() {
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
    registry: &kafka::SinkRegistry,
) -> Result<&'static str, avro::Error> {
    let client = sink_options(registry, false).build()?;
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

fn sink_options(registry: &kafka::SinkRegistry, auto_register: bool) -> avro::Options {
    avro::Options {
        subjects: match registry.subjects {
            SubjectStrategy::TopicName => avro::Subjects::TopicName,
            SubjectStrategy::RecordName => avro::Subjects::RecordName,
            SubjectStrategy::TopicRecordName => avro::Subjects::TopicRecordName,
        },
        auto_register,
        ..registry_options(&registry.registry)
    }
}

fn registry_options(registry: &kafka::Registry) -> avro::Options {
    let credentials = registry.credentials.as_ref();
    avro::Options {
        urls: registry.urls.clone(),
        credentials: credentials.map(|(username, password)| avro::Credentials {
            username: username.clone(),
            password: avro::Password::from(password.expose().to_owned()),
        }),
        subjects: avro::Subjects::default(),
        auto_register: false,
        timeout: REGISTRY_TIMEOUT,
    }
}

/// A registry without which the worker can't start.
pub fn no_registry(error: avro::Error) -> Failure {
    let exit = match &error {
        avro::Error::Unavailable { .. } => Exit::Unavailable,
        _ => Exit::Config,
    };
    let hint = error.hint();
    let failure = Failure::new(exit, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The options of a slot that writes topics.
fn slot(
    source: &KafkaSource,
    sink: &KafkaSink,
    codecs: &Codecs,
    resolved: &Resolved,
    number: u16,
) -> Options {
    let limits = &resolved.limits;
    Options {
        source: group::Options {
            pass: sink.pass.clone(),
            digest_key: sink
                .audit_key
                .as_ref()
                .map(|secret| DigestKey::new(secret.expose().as_bytes().to_vec())),
            ..reader(source, &codecs.source, limits, number)
        },
        sink: slot::Sink::Topics(writer(source, sink, codecs, number)),
        max_documents: usize::try_from(sink.transaction.max_documents).unwrap_or(usize::MAX),
        max_bytes: sink.transaction.max_bytes,
        max_wait: Duration::from_millis(sink.transaction.max_ms),
        in_flight_bytes: in_flight(resolved),
        max_dead_letters: limits.max_dead_letters,
        drain_for: drain_for(resolved),
        stall_for: Duration::from_secs(resolved.pipeline.stall_secs),
    }
}

/// The options of a slot that writes files.
fn rolling_slot(
    source: &KafkaSource,
    codec: &group::Codec,
    roll: &Roll,
    files: slot::files::Options,
    resolved: &Resolved,
    number: u16,
) -> Options {
    Options {
        source: reader(source, codec, &resolved.limits, number),
        sink: slot::Sink::Objects(files),
        max_documents: usize::try_from(roll.max_documents).unwrap_or(usize::MAX),
        max_bytes: roll.max_bytes,
        max_wait: Duration::from_secs(roll.max_secs),
        in_flight_bytes: in_flight(resolved),
        max_dead_letters: resolved.limits.max_dead_letters,
        drain_for: drain_for(resolved),
        stall_for: Duration::from_secs(resolved.pipeline.stall_secs),
    }
}

/// Half of the time for draining: the other half is for the last commit.
fn drain_for(resolved: &Resolved) -> Duration {
    Duration::from_secs(resolved.pipeline.drain_timeout_secs) / 2
}

/// A slot's share.
fn in_flight(resolved: &Resolved) -> u64 {
    let limits = &resolved.limits;
    (limits.max_in_flight_bytes / u64::from(resolved.pipeline.slots)).max(limits.max_record_bytes)
}

/// What to read, whatever the sink: no header goes on, and nothing is audited.
fn reader(
    source: &KafkaSource,
    codec: &group::Codec,
    limits: &config::limits::Section,
    number: u16,
) -> group::Options {
    let (tenant, tenant_beside) = match &source.tenant {
        config::TenantFrom::Record | config::TenantFrom::Column(_) => {
            (source::TenantFrom::Record, None)
        }
        config::TenantFrom::Value(value) => (source::TenantFrom::Value(value.clone()), None),
        config::TenantFrom::Field(key) => (source::TenantFrom::Field(pointer(key)), None),
        config::TenantFrom::Path(pattern) => (
            source::TenantFrom::Path(pattern.as_regex().to_owned()),
            None,
        ),
        config::TenantFrom::Key(pattern) => (
            source::TenantFrom::Beside,
            Some(group::Beside::Key(pattern.regex().clone())),
        ),
        config::TenantFrom::Header(name) => (
            source::TenantFrom::Beside,
            Some(group::Beside::Header(name.clone())),
        ),
    };
    let (id, id_beside) = match &source.id {
        IdFrom::Field(key) => (Some(pointer(key)), None),
        IdFrom::Key(pattern) => (None, Some(group::Beside::Key(pattern.regex().clone()))),
        IdFrom::Header(name) => (None, Some(group::Beside::Header(name.clone()))),
    };
    group::Options {
        brokers: source.brokers.clone(),
        group_id: source.group_id.clone(),
        broker_assigns: source.group_protocol == GroupProtocol::Consumer,
        // Two members of one name would fence each other.
        instance_id: source
            .group_instance_id
            .as_ref()
            .map(|instance| format!("{instance}-{number}")),
        session_timeout: source.session_timeout,
        from_earliest: source.offset_reset == OffsetReset::Earliest,
        metadata_refresh: source.metadata_refresh,
        topics: source.topics.clone(),
        codec: codec.clone(),
        tenant: tenant_beside,
        id: id_beside,
        pass: Vec::new(),
        digest_key: None,
        records: source::Options {
            tenant,
            id,
            ids: ids(&source.ids),
            max_record_bytes: limits.max_record_bytes,
            ..source::Options::default()
        },
        librdkafka: source.options.clone(),
    }
}

/// The topics to write, as a slot's producer does.
pub fn writer(
    source: &KafkaSource,
    sink: &KafkaSink,
    codecs: &Codecs,
    number: u16,
) -> topics::Options {
    // A restarted worker ends what it left open under the same id at once; under another one its
    // readers would wait for the transaction's timeout.
    let worker = match &source.group_instance_id {
        Some(instance) => instance.clone(),
        None => gethostname::gethostname().to_string_lossy().into_owned(),
    };
    let transactional_id = format!(
        "{}-{}-{worker}-{number}",
        sink.transactional_id_prefix, source.group_id
    );
    topics::Options {
        brokers: sink.brokers.clone(),
        transactional_id: match sink.delivery {
            Delivery::ExactlyOnce => Some(transactional_id),
            Delivery::AtLeastOnce => None,
        },
        timeout: Duration::from_millis(sink.transaction.timeout_ms),
        topics: topics::Topics {
            entities: sink.topics.entities.clone(),
            redactions: sink.topics.redactions.clone(),
            dead_letters: sink.topics.dead_letters.clone(),
            audit: sink.topics.audit.clone(),
        },
        hash_key: sink
            .hash_key
            .as_ref()
            .map(|secret| topics::HashKey(secret.expose().as_bytes().to_vec())),
        codec: codecs.sink.clone(),
        compression: match sink.compression {
            TopicCompression::None => "none",
            TopicCompression::Gzip => "gzip",
            TopicCompression::Snappy => "snappy",
            TopicCompression::Lz4 => "lz4",
            TopicCompression::Zstd => "zstd",
        },
        librdkafka: sink.options.clone(),
        limits: Arc::default(),
    }
}

/// A slot that ended before its end.
fn stopped(error: slot::Error) -> Failure {
    let exit = match &error {
        slot::Error::Source(group::Error::Options(_) | group::Error::Headers(_))
        | slot::Error::Sink(
            topics::Error::Options(_)
            | topics::Error::NoTopic { .. }
            | topics::Error::Registry(
                avro::Error::NotRegistered { .. } | avro::Error::Refused { .. },
            ),
        )
        | slot::Error::Store(sink::Error::Shorter { .. })
        | slot::Error::TwoClusters => Exit::Config,
        slot::Error::Engine | slot::Error::Panicked => Exit::Bug,
        slot::Error::Stalled(_) => Exit::Stalled,
        slot::Error::Store(_) => Exit::Io,
        slot::Error::Source(_) | slot::Error::Sink(_) => Exit::Unavailable,
    };
    let hint = match &error {
        slot::Error::Store(error) => error.hint(),
        _ => None,
    };
    let failure = Failure::new(exit, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Whether brokers answer, and which of some topics are not there.
pub fn missing<'t>(
    brokers: &Brokers,
    topics: impl IntoIterator<Item = &'t str>,
) -> Result<Vec<String>, topics::Error> {
    let found = topics::existing(brokers, Duration::from_secs(10))?;
    let there = |topic: &str| match topic.starts_with('^') {
        true => regex::Regex::new(topic)
            .is_ok_and(|regex| found.iter().any(|name| regex.is_match(name))),
        // What a tenant's name makes of it can't be known.
        false => topic.contains("{tenant}") || found.iter().any(|name| name == topic),
    };
    let missing = topics.into_iter().filter(|topic| !there(topic));
    Ok(missing.map(str::to_owned).collect())
}
