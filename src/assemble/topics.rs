//! Topics: the slots of a worker that reads them, and where each writes.

use std::{sync::Arc, time::Duration};

use super::{
    Error,
    identity::{ids, pointer, tenant},
    objects,
    registries::{self, Codecs},
};
use crate::{
    config::{
        self, IdFrom, KafkaSink, KafkaSource, ObjectSink, TenantFrom, limits,
        pipeline::{Delivery, Section},
        sink::{Roll, TopicCompression, Transaction},
        source::{GroupProtocol, OffsetReset},
    },
    kafka::Brokers,
    pipeline::slot::{self, Options},
    sink::{self, chain, kafka as topics},
    source::{self, kafka as group},
    store::Location,
};

/// Topics, and where their records go; registries and stores have answered, brokers were not asked yet.
pub(super) enum Topics<'c> {
    ToTopics(&'c KafkaSource, &'c KafkaSink, Codecs),
    ToObjects(&'c KafkaSource, &'c ObjectSink, group::Codec),
}

impl<'c> Topics<'c> {
    pub(super) async fn to_topics(
        source: &'c KafkaSource,
        sink: &'c KafkaSink,
    ) -> Result<Self, Error> {
        let codecs = Codecs::open(source, sink).await?;
        Ok(Self::ToTopics(source, sink, codecs))
    }

    pub(super) async fn to_objects(
        source: &'c KafkaSource,
        sink: &'c ObjectSink,
    ) -> Result<Self, Error> {
        let codec = registries::codec(source)?;
        // A store that is never there is an error at once; one that goes away later is waited for.
        if let Some(location) = objects::planned(sink).map_err(sink::Error::from)? {
            location.connect().await.map_err(sink::Error::from)?;
        }
        Ok(Self::ToObjects(source, sink, codec))
    }

    /// The slots of a worker; makes the sink's folder. `configuration` and `pack` are digests.
    pub(super) fn slots(
        &self,
        limits: &limits::Section,
        pipeline: &Section,
        configuration: &str,
        pack: &str,
    ) -> Result<Vec<Options>, Error> {
        let numbers = 0..pipeline.slots;
        Ok(match self {
            Self::ToTopics(source, sink, codecs) => numbers
                .map(|number| {
                    let mut reads = reader(source, codecs.source.clone(), limits, number);
                    reads.pass.clone_from(&sink.pass);
                    reads.digest_key = sink.audit_key.as_ref().map(objects::digest_key);
                    let writes = writer(source, sink, codecs.sink.clone(), number);
                    let commit = Commit::of_transaction(&sink.transaction);
                    Options {
                        seal: sink.audit_seal.clone(),
                        ..slot(reads, slot::Sink::Topics(writes), commit, limits, pipeline)
                    }
                })
                .collect(),
            Self::ToObjects(source, sink, codec) => {
                let (files, commit) = files(sink, &source.group_id, configuration, pack)?;
                numbers
                    .map(|number| {
                        let mut reads = reader(source, codec.clone(), limits, number);
                        reads.digest_key = sink.audit_key.as_ref().map(objects::digest_key);
                        let writes = slot::Sink::Objects(files.clone());
                        slot(reads, writes, commit, limits, pipeline)
                    })
                    .collect()
            }
        })
    }
}

/// When what a slot gathered is committed: at the bound that is reached first.
#[derive(Clone, Copy)]
struct Commit {
    documents: u64,
    bytes: u64,
    wait: Duration,
}

impl Commit {
    fn of_transaction(transaction: &Transaction) -> Self {
        let Transaction {
            timeout_ms: _, // writer()
            max_documents,
            max_bytes,
            max_ms,
        } = transaction;
        Self {
            documents: *max_documents,
            bytes: *max_bytes,
            wait: Duration::from_millis(*max_ms),
        }
    }

    fn of_files(roll: &Roll) -> Self {
        let Roll {
            max_documents,
            max_bytes,
            max_secs,
        } = roll;
        Self {
            documents: *max_documents,
            bytes: *max_bytes,
            wait: Duration::from_secs(*max_secs),
        }
    }
}

fn slot(
    source: group::Options,
    sink: slot::Sink,
    commit: Commit,
    limits: &limits::Section,
    pipeline: &Section,
) -> Options {
    let limits::Section {
        max_dead_letters,
        max_record_bytes,
        max_in_flight_bytes,
    } = limits;
    let Section {
        drain_timeout_secs,
        stall_secs,
        delivery: _, // resolved as `KafkaSink::delivery`: writer()
        slots,
    } = pipeline;
    Options {
        source,
        sink,
        seal: None,
        max_documents: usize::try_from(commit.documents).unwrap_or(usize::MAX),
        max_bytes: commit.bytes,
        max_wait: commit.wait,
        // A slot's share.
        in_flight_bytes: (max_in_flight_bytes / u64::from(*slots)).max(*max_record_bytes),
        max_dead_letters: *max_dead_letters,
        // Half of the time for draining: the other half is for the last commit.
        drain_for: Duration::from_secs(*drain_timeout_secs) / 2,
        stall_for: Duration::from_secs(*stall_secs),
    }
}

/// Files of topics, and when they are written.
fn files(
    sink: &ObjectSink,
    group: &str,
    configuration: &str,
    pack: &str,
) -> Result<(slot::files::Options, Commit), Error> {
    let ObjectSink {
        url,
        options,
        formats: _, // JSON lines: others were refused when the configuration was resolved
        compression,
        lease: _, // objects.rs: claims are on objects
        roll,
        audit_key: _, // Topics::slots()
    } = sink;
    let location = Location::create(url.as_str(), options).map_err(sink::Error::from)?;
    let files = slot::files::Options {
        chains: chain::Options {
            location,
            group: group.to_owned(),
            configuration: configuration.to_owned(),
            pack: pack.to_owned(),
        },
        compression: objects::compression(*compression),
    };
    Ok((files, Commit::of_files(roll)))
}

/// What to read, whatever the sink: no header goes on, and nothing is audited.
fn reader(
    source: &KafkaSource,
    codec: group::Codec,
    limits: &limits::Section,
    number: u16,
) -> group::Options {
    let KafkaSource {
        brokers,
        topics,
        group_id,
        group_protocol,
        group_instance_id,
        session_timeout,
        offset_reset,
        metadata_refresh,
        codec: _,    // registries.rs
        registry: _, // registries.rs
        tenant: tenant_from,
        id,
        ids: treatment,
        options,
    } = source;
    let (id, id_beside) = match id {
        IdFrom::Field(key) => (Some(pointer(key)), None),
        IdFrom::Key(pattern) => (None, Some(group::Beside::Key(pattern.regex().clone()))),
        IdFrom::Header(name) => (None, Some(group::Beside::Header(name.clone()))),
    };
    group::Options {
        brokers: brokers.clone(),
        group_id: group_id.clone(),
        broker_assigns: *group_protocol == GroupProtocol::Consumer,
        // Two members of one name would fence each other.
        instance_id: group_instance_id
            .as_ref()
            .map(|instance| format!("{instance}-{number}")),
        session_timeout: *session_timeout,
        from_earliest: *offset_reset == OffsetReset::Earliest,
        metadata_refresh: *metadata_refresh,
        topics: topics.clone(),
        codec,
        tenant: tenant_beside(tenant_from),
        id: id_beside,
        pass: Vec::new(),
        digest_key: None,
        records: source::Options {
            tenant: tenant(tenant_from),
            id,
            ids: ids(treatment),
            max_record_bytes: limits.max_record_bytes,
            // The rest is of objects and files.
            ..source::Options::default()
        },
        librdkafka: options.clone(),
    }
}

fn tenant_beside(tenant: &TenantFrom) -> Option<group::Beside> {
    match tenant {
        TenantFrom::Key(pattern) => Some(group::Beside::Key(pattern.regex().clone())),
        TenantFrom::Header(name) => Some(group::Beside::Header(name.clone())),
        TenantFrom::Record
        | TenantFrom::Value(_)
        | TenantFrom::Field(_)
        | TenantFrom::Column(_)
        | TenantFrom::Path(_) => None,
    }
}

/// The topics to write, as a slot's producer does.
pub(super) fn writer(
    source: &KafkaSource,
    sink: &KafkaSink,
    codec: topics::Codec,
    number: u16,
) -> topics::Options {
    let KafkaSink {
        brokers,
        topics: by_kind,
        transactional_id_prefix,
        delivery,
        transaction,
        hash_key,
        audit_key: _, // Topics::slots()
        audit_seal: _,
        pass: _,     // Topics::slots()
        registry: _, // registries.rs
        compression,
        options,
    } = sink;
    let config::sink::Topics {
        entities,
        redactions,
        dead_letters,
        audit,
        reveals: _, // `weir reveal`
    } = by_kind;
    topics::Options {
        brokers: brokers.clone(),
        transactional_id: match delivery {
            Delivery::ExactlyOnce => {
                Some(transactional_id(source, transactional_id_prefix, number))
            }
            Delivery::AtLeastOnce => None,
        },
        timeout: Duration::from_millis(transaction.timeout_ms),
        topics: topics::Topics {
            entities: entities.clone(),
            redactions: redactions.clone(),
            dead_letters: dead_letters.clone(),
            audit: audit.clone(),
        },
        hash_key: hash_key
            .as_ref()
            .map(|secret| topics::HashKey(secret.expose().as_bytes().to_vec())),
        codec,
        compression: match compression {
            TopicCompression::None => "none",
            TopicCompression::Gzip => "gzip",
            TopicCompression::Snappy => "snappy",
            TopicCompression::Lz4 => "lz4",
            TopicCompression::Zstd => "zstd",
        },
        librdkafka: options.clone(),
        limits: Arc::default(),
    }
}

/// A restarted worker ends what it left open under the same id at once; under another one its readers would wait
/// for the transaction's timeout.
fn transactional_id(source: &KafkaSource, prefix: &str, number: u16) -> String {
    let worker = match &source.group_instance_id {
        Some(instance) => instance.clone(),
        None => gethostname::gethostname().to_string_lossy().into_owned(),
    };
    format!("{prefix}-{}-{worker}-{number}", source.group_id)
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
