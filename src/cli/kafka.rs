//! What a configuration says about topics, for `run`, `check` and `replay`.

use std::time::Duration;

use super::{
    exit::{Exit, Failure},
    run::pointer,
};
use crate::{
    config::{
        self, Resolved,
        kafka::{IdFrom, KafkaSink, KafkaSource},
        pipeline::Delivery,
        sink::{Roll, TopicCompression},
        source::{Codec, GroupProtocol, OffsetReset},
    },
    pipeline::{
        rolling,
        stream::{self, Options},
    },
    sink::{self, kafka as topics},
    source::{self, brokers::Brokers, kafka as group},
};

/// The options of a slot that writes topics.
pub fn slot(source: &KafkaSource, sink: &KafkaSink, resolved: &Resolved, number: u16) -> Options {
    let limits = &resolved.limits;
    Options {
        source: reader(source, &sink.pass, limits, number),
        sink: stream::Sink::Topics(writer(source, sink, number)),
        max_documents: usize::try_from(sink.transaction.max_documents).unwrap_or(usize::MAX),
        max_bytes: sink.transaction.max_bytes,
        max_wait: Duration::from_millis(sink.transaction.max_ms),
        in_flight_bytes: in_flight(resolved),
        max_dead_letters: limits.max_dead_letters,
    }
}

/// The options of a slot that writes files.
pub fn rolling_slot(
    source: &KafkaSource,
    roll: &Roll,
    files: rolling::Options,
    resolved: &Resolved,
    number: u16,
) -> Options {
    Options {
        // Headers have no place in files.
        source: reader(source, &[], &resolved.limits, number),
        sink: stream::Sink::Objects(files),
        max_documents: usize::try_from(roll.max_documents).unwrap_or(usize::MAX),
        max_bytes: roll.max_bytes,
        max_wait: Duration::from_secs(roll.max_secs),
        in_flight_bytes: in_flight(resolved),
        max_dead_letters: resolved.limits.max_dead_letters,
    }
}

/// A slot's share.
fn in_flight(resolved: &Resolved) -> u64 {
    let limits = &resolved.limits;
    (limits.max_in_flight_bytes / u64::from(resolved.pipeline.slots)).max(limits.max_record_bytes)
}

fn reader(
    source: &KafkaSource,
    pass: &[String],
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
        topics: source.topics.clone(),
        json: source.codec == Codec::Json,
        tenant: tenant_beside,
        id: id_beside,
        pass: pass.to_vec(),
        records: source::Options {
            tenant,
            id,
            max_record_bytes: limits.max_record_bytes,
            ..source::Options::default()
        },
        librdkafka: source.options.clone(),
    }
}

fn writer(source: &KafkaSource, sink: &KafkaSink, number: u16) -> topics::Options {
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
        },
        hash_key: sink
            .hash_key
            .as_ref()
            .map(|secret| topics::HashKey(secret.expose().as_bytes().to_vec())),
        compression: match sink.compression {
            TopicCompression::None => "none",
            TopicCompression::Gzip => "gzip",
            TopicCompression::Snappy => "snappy",
            TopicCompression::Lz4 => "lz4",
            TopicCompression::Zstd => "zstd",
        },
        librdkafka: sink.options.clone(),
    }
}

/// A slot that ended before its end.
pub fn stopped(error: stream::Error) -> Failure {
    let exit = match &error {
        stream::Error::Source(group::Error::Options(_) | group::Error::Headers(_))
        | stream::Error::Sink(topics::Error::Options(_))
        | stream::Error::Store(sink::Error::Shorter { .. })
        | stream::Error::NoTopic { .. } => Exit::Config,
        stream::Error::Engine | stream::Error::Panicked => Exit::Bug,
        stream::Error::Store(_) => Exit::Io,
        stream::Error::Source(_) | stream::Error::Sink(_) => Exit::Unavailable,
    };
    let hint = match &error {
        stream::Error::Store(error) => error.hint(),
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
