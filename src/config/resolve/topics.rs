//! Topics to read and to write.

use std::{sync::Arc, time::Duration};

use super::{Resolver, Source};
use crate::{
    audit::note::SigningKey,
    config::{
        Config,
        kafka::{IdFrom, KafkaSink, KafkaSource, Secret},
        sink, source,
    },
    diagnose::Kind,
    kafka::Brokers,
};

impl Resolver<'_> {
    pub(super) fn kafka_source(&mut self, section: &source::Section) -> Option<KafkaSource> {
        let source::Section::Kafka {
            bootstrap_servers,
            topics,
            group_id,
            group_protocol,
            group_instance_id,
            session_timeout_ms,
            auto_offset_reset,
            topic_metadata_refresh_interval_ms,
            decode,
            tenant,
            id,
            sasl,
            tls,
            librdkafka_options,
        } = section
        else {
            return None;
        };
        self.input_topics(topics);
        if let Some(source::Tenant::Column(_)) = tenant {
            let message =
                "a Kafka record has no columns, so `column` cannot name its tenant".to_owned();
            let fix = "tenant = { header = \"…\" }, { key = \"{tenant}\" } or { field = \"…\" }";
            self.invalid("source.tenant", message, fix);
        }
        let brokers = self.brokers("source", bootstrap_servers, sasl.as_ref(), tls.as_ref());
        let options = self.librdkafka("source", librdkafka_options);
        let registry = self.source_registry(decode);
        let tenant = self.tenant(tenant.as_ref());
        let ids = self.ids(
            id.hash,
            id.keep,
            id.hash_key_file.as_deref(),
            id.hash_key_env.as_deref(),
        );
        let id = self.id_from(id);
        Some(KafkaSource {
            brokers: brokers?,
            topics: topics.clone(),
            group_id: group_id.clone(),
            group_protocol: *group_protocol,
            group_instance_id: group_instance_id.clone(),
            session_timeout: Duration::from_millis(*session_timeout_ms),
            offset_reset: *auto_offset_reset,
            metadata_refresh: Duration::from_millis(*topic_metadata_refresh_interval_ms),
            codec: decode.codec,
            registry: registry?,
            tenant: tenant?,
            id: id?,
            ids: ids?,
            options: options?,
        })
    }

    fn input_topics(&mut self, topics: &[String]) {
        for (i, topic) in topics.iter().enumerate() {
            let message = match topic.strip_prefix('^') {
                Some(_) if regex::Regex::new(topic).is_err() => "is not a regular expression",
                None if !is_topic(topic) => "is not the name of a topic",
                _ => continue,
            };
            let key = format!("source.topics.{i}");
            let fix = "such as \"documents\", or \"^logs\\\\..+\" for a regular expression";
            self.invalid(&key, format!("`{key}` {message}"), fix);
        }
    }

    fn id_from(&mut self, id: &source::RecordId) -> Option<IdFrom> {
        match (&id.field, &id.key, &id.header) {
            (None, None, None) => Some(IdFrom::Field("id".to_owned())),
            (Some(field), None, None) => Some(IdFrom::Field(field.clone())),
            (None, None, Some(header)) => Some(IdFrom::Header(header.clone())),
            (None, Some(pattern), None) => self
                .pattern("source.id.key", pattern, "id", "{id}")
                .map(IdFrom::Key),
            _ => {
                let message = "source.id must have only one of field, key and header".to_owned();
                self.invalid("source.id", message, "keep one of field, key and header");
                None
            }
        }
    }

    pub(super) fn kafka_sink(
        &mut self,
        config: &Config,
        source: Option<&Source>,
    ) -> Option<KafkaSink> {
        let sink::Section::Kafka {
            bootstrap_servers: _, // sink_brokers
            topics,
            transactional_id_prefix,
            transaction,
            key,
            hash_key_file,
            hash_key_env,
            audit_key_file,
            audit_key_env,
            audit_seal_key_file,
            audit_seal_key_env,
            headers,
            encode,
            compression,
            sasl: _, // sink_brokers
            tls: _,
            librdkafka_options,
        } = &config.sink
        else {
            return None;
        };
        let brokers = self.sink_brokers(config, source);
        self.output_topics(topics);
        if transaction.max_ms >= transaction.timeout_ms {
            let at = self.written.place("sink.transaction");
            let kind = Kind::Conflict(format!(
                "sink.transaction.max_ms ({}) is not below timeout_ms ({})",
                transaction.max_ms, transaction.timeout_ms
            ));
            self.problems
                .push(kind, &at, "a transaction must end before its timeout");
        }
        let named = (hash_key_file.as_deref(), hash_key_env.as_deref());
        let hash_key = self.hash_key(*key, named)?;
        let named = (audit_key_file.as_deref(), audit_key_env.as_deref());
        let audit_key = self.audit_key(topics.audit.is_some(), named)?;
        let named = (
            audit_seal_key_file.as_deref(),
            audit_seal_key_env.as_deref(),
        );
        let audit_seal = self.audit_seal(audit_key.is_some(), named)?;
        let options = self.librdkafka("sink", librdkafka_options);
        let registry = self.sink_registry(encode, &config.source);
        if encode.codec == sink::Encoding::Avro {
            self.one_kind_a_subject(encode, topics);
        }
        Some(KafkaSink {
            brokers: brokers?,
            topics: topics.clone(),
            transactional_id_prefix: transactional_id_prefix.clone(),
            delivery: config.pipeline.delivery,
            transaction: *transaction,
            hash_key,
            audit_key,
            audit_seal,
            pass: headers.pass.clone(),
            registry: registry?,
            compression: *compression,
            options: options?,
        })
    }

    /// The sink's own brokers, or those of the source.
    fn sink_brokers(&mut self, config: &Config, source: Option<&Source>) -> Option<Brokers> {
        let sink::Section::Kafka {
            bootstrap_servers,
            sasl,
            tls,
            ..
        } = &config.sink
        else {
            return None;
        };
        let of_source = match &config.source {
            source::Section::Kafka {
                bootstrap_servers, ..
            } => Some(bootstrap_servers),
            _ => None,
        };
        match (bootstrap_servers.as_ref().or(of_source), source) {
            // The source's own, as resolved: their problems were reported there.
            (Some(_), Some(Source::Kafka(source)))
                if bootstrap_servers.is_none() && sasl.is_none() && tls.is_none() =>
            {
                Some(source.brokers.clone())
            }
            (Some(_), None) if bootstrap_servers.is_none() => None,
            (Some(servers), _) => self.brokers("sink", servers, sasl.as_ref(), tls.as_ref()),
            (None, _) => {
                let message = "`sink.bootstrap_servers` is missing".to_owned();
                self.invalid("sink", message, "add the brokers as host:port");
                None
            }
        }
    }

    /// The secret of hashed keys. `None` outside means that it cannot be read.
    fn hash_key(
        &mut self,
        key: sink::Key,
        (file, variable): (Option<&str>, Option<&str>),
    ) -> Option<Option<Secret>> {
        let secret = self.secret("sink.hash_key", file, variable);
        Some(match (key, secret?) {
            (sink::Key::Keep, None) => None,
            (sink::Key::Hash, Some(secret)) => Some(secret),
            (sink::Key::Hash, None) => {
                let message = "sink.key = \"hash\" needs a secret: without one keys of few values \
                               could be guessed";
                let fix = "add hash_key_file or hash_key_env";
                self.invalid("sink.key", message.to_owned(), fix);
                None
            }
            (sink::Key::Keep, Some(_)) => {
                let message = "sink.hash_key is given, but sink.key is \"keep\"".to_owned();
                self.invalid("sink", message, "key = \"hash\", or remove the secret");
                None
            }
        })
    }

    /// The secret of the digests in audit records. `None` outside means that it cannot be read.
    fn audit_key(
        &mut self,
        has_topic: bool,
        (file, variable): (Option<&str>, Option<&str>),
    ) -> Option<Option<Secret>> {
        let secret = self.secret("sink.audit_key", file, variable);
        Some(match (has_topic, secret?) {
            (false, None) => None,
            (true, Some(secret)) => Some(secret),
            (true, None) => {
                let message = "sink.topics.audit needs a secret for its digests";
                let fix = "add audit_key_file or audit_key_env to [sink]";
                self.invalid("sink.topics.audit", message.to_owned(), fix);
                None
            }
            (false, Some(_)) => {
                let message = "sink.audit_key is given, but sink.topics.audit is not".to_owned();
                self.invalid("sink", message, "name the topic, or remove the secret");
                None
            }
        })
    }

    /// The key that signs audit records. `None` outside means that it cannot be read.
    fn audit_seal(
        &mut self,
        has_audit: bool,
        (file, variable): (Option<&str>, Option<&str>),
    ) -> Option<Option<Arc<SigningKey>>> {
        let Some(secret) = self.secret("sink.audit_seal_key", file, variable)? else {
            return Some(None);
        };
        if !has_audit {
            let message = "sink.audit_seal_key is given, but sink.topics.audit is not".to_owned();
            self.invalid("sink", message, "name the topic, or remove the key");
            return None;
        }
        match SigningKey::parse(secret.expose()) {
            Ok(key) => Some(Some(Arc::new(key))),
            Err(error) => {
                let at = match file {
                    Some(_) => "sink.audit_seal_key_file",
                    None => "sink.audit_seal_key_env",
                };
                let message = format!("`{at}` names no private key: {error}");
                self.invalid(at, message, "make one: weir audit keygen NAME");
                None
            }
        }
    }

    fn output_topics(&mut self, topics: &sink::Topics) {
        for (kind, topic) in topics.named() {
            let key = &format!("sink.topics.{kind}");
            // A tenant's name must not lead out of the operator's own topics.
            if topic.starts_with("{tenant}") {
                let message = format!("`{key}` begins with {{tenant}}");
                self.invalid(key, message, "put a name of your own before it");
            } else if !is_topic(&topic.replace("{tenant}", "t")) {
                let message = format!("`{key}` is not the name of a topic");
                self.invalid(key, message, "letters, digits, `.`, `_` and `-`");
            }
            if matches!(kind, "dead_letters" | "audit") && topic.contains("{tenant}") {
                let message =
                    format!("`{key}` contains {{tenant}}, but a dead letter may have no tenant");
                self.invalid(key, message, "one topic for all");
            }
        }
        if topics.entities.is_none() && topics.redactions.is_none() {
            let message = "neither entities nor redactions have a topic".to_owned();
            self.invalid("sink.topics", message, "add entities, redactions, or both");
        }
    }
}

/// What Kafka takes as a topic's name.
pub(super) fn is_topic(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty()
        && name.len() <= 249
        && !matches!(name, "." | "..")
        && name.chars().all(allowed)
}
