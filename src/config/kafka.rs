//! Kafka's part of the resolved configuration: librdkafka's settings, secrets read, and what may
//! not be set.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    Config,
    pipeline::Delivery,
    resolve::{Ids, PathPattern, Resolver, Sink, Source, TenantFrom},
    sink, source,
};
use crate::{
    diagnose::Kind,
    kafka::{Brokers, Settings},
};

/// Topics to read.
#[derive(Debug, Clone)]
pub struct KafkaSource {
    /// Brokers.
    pub brokers: Brokers,
    /// Names, or regular expressions behind a `^`.
    pub topics: Vec<String>,
    /// Consumer group.
    pub group_id: String,
    /// Protocol of the group.
    pub group_protocol: source::GroupProtocol,
    /// Static membership.
    pub group_instance_id: Option<String>,
    /// After how long of silence the group takes partitions away.
    pub session_timeout: Duration,
    /// Where a new group begins.
    pub offset_reset: source::OffsetReset,
    /// Time between looks for new partitions, and for topics that a regular expression matches.
    pub metadata_refresh: Duration,
    /// What a record holds.
    pub codec: source::Codec,
    /// Registry of the schemas of Avro records; given for Avro only.
    pub registry: Option<Registry>,
    /// Where the tenant is named.
    pub tenant: TenantFrom,
    /// Where the id is.
    pub id: IdFrom,
    /// What becomes of ids.
    pub ids: Ids,
    /// Further options.
    pub options: Settings,
}

/// Where the id of a document is.
#[derive(Debug, Clone)]
pub enum IdFrom {
    /// A key or JSON Pointer of a JSON document.
    Field(String),
    /// A part of the record's key.
    Key(PathPattern),
    /// A header of the record.
    Header(String),
}

/// Topics to write.
#[derive(Debug, Clone)]
pub struct KafkaSink {
    /// Brokers.
    pub brokers: Brokers,
    /// Topics by kind of record.
    pub topics: sink::Topics,
    /// First part of transactional ids.
    pub transactional_id_prefix: String,
    /// What is promised.
    pub delivery: Delivery,
    /// Bounds of a transaction.
    pub transaction: sink::Transaction,
    /// Secret of hashed keys; `None` keeps keys.
    pub hash_key: Option<Secret>,
    /// Secret of the digests in audit records; `Some` if these have a topic.
    pub audit_key: Option<Secret>,
    /// Headers that are passed on.
    pub pass: Vec<String>,
    /// Registry of the schemas of Avro records; `None` writes JSON.
    pub registry: Option<SinkRegistry>,
    /// Compression.
    pub compression: sink::TopicCompression,
    /// Further options.
    pub options: Settings,
}

/// A schema registry.
#[derive(Debug, Clone)]
pub struct Registry {
    /// Addresses, tried in order.
    pub urls: Vec<String>,
    /// User and password.
    pub credentials: Option<(String, Secret)>,
}

/// A schema registry, and how weir's schemas stand in it.
#[derive(Debug, Clone)]
pub struct SinkRegistry {
    /// The registry.
    pub registry: Registry,
    /// How the subject of a schema is named.
    pub subjects: sink::SubjectStrategy,
    /// Whether weir registers a schema that its subject does not hold.
    pub auto_register: bool,
}

/// A secret that `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(zeroize::Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: String) -> Self {
        Self(zeroize::Zeroizing::new(secret))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Options that have a key of their own in weir's configuration.
const HAS_A_KEY: &[(&str, &str)] = &[
    ("bootstrap.servers", "bootstrap_servers"),
    ("metadata.broker.list", "bootstrap_servers"),
    ("security.protocol", "tls and sasl"),
    ("sasl.mechanism", "sasl.mechanism"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.username", "sasl.username"),
    ("sasl.password", "sasl.password_file"),
    ("ssl.ca.location", "tls.ca_file"),
    ("ssl.certificate.location", "tls.certificate_file"),
    ("ssl.key.location", "tls.key_file"),
    ("ssl.key.password", "tls.key_password_file"),
    ("group.id", "group_id"),
    ("group.instance.id", "group_instance_id"),
    ("group.protocol", "group_protocol"),
    ("session.timeout.ms", "session_timeout_ms"),
    ("auto.offset.reset", "auto_offset_reset"),
    (
        "topic.metadata.refresh.interval.ms",
        "topic_metadata_refresh_interval_ms",
    ),
    ("transactional.id", "transactional_id_prefix"),
    ("transaction.timeout.ms", "transaction.timeout_ms"),
    ("delivery.timeout.ms", "transaction.timeout_ms"),
    ("message.timeout.ms", "transaction.timeout_ms"),
    ("compression.type", "compression"),
    ("compression.codec", "compression"),
];

/// Options that would break what is promised, and how.
const BREAKS: &[(&str, &str)] = &[
    (
        "isolation.level",
        "what an aborted transaction wrote would be read",
    ),
    (
        "enable.auto.commit",
        "offsets would be committed before their records",
    ),
    (
        "auto.commit.enable",
        "offsets would be committed before their records",
    ),
    (
        "auto.commit.interval.ms",
        "offsets would be committed before their records",
    ),
    (
        "enable.auto.offset.store",
        "offsets would be committed before their records",
    ),
    (
        "offset.store.method",
        "offsets would not be in the transaction",
    ),
    (
        "partition.assignment.strategy",
        "all members of a group must use cooperative-sticky",
    ),
    (
        "enable.partition.eof",
        "weir does not wait for ends of partitions",
    ),
    ("enable.idempotence", "a retry would double records"),
    ("acks", "records could be lost with a broker"),
    (
        "request.required.acks",
        "records could be lost with a broker",
    ),
    ("retries", "records could be lost"),
    ("message.send.max.retries", "records could be lost"),
    ("max.in.flight", "records could be reordered"),
    (
        "max.in.flight.requests.per.connection",
        "records could be reordered",
    ),
    (
        "enable.gapless.guarantee",
        "weir would read an error as a gap",
    ),
    (
        "partitioner",
        "records of one key must stay in one partition",
    ),
    ("plugin.library.paths", "foreign code would run inside weir"),
];

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
        let id = match (&id.field, &id.key, &id.header) {
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
        };
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

    pub(super) fn kafka_sink(
        &mut self,
        config: &Config,
        source: Option<&Source>,
    ) -> Option<KafkaSink> {
        let sink::Section::Kafka {
            bootstrap_servers,
            topics,
            transactional_id_prefix,
            transaction,
            key,
            hash_key_file,
            hash_key_env,
            audit_key_file,
            audit_key_env,
            headers,
            encode,
            compression,
            sasl,
            tls,
            librdkafka_options,
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
        let brokers = match (bootstrap_servers.as_ref().or(of_source), source) {
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
        };
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
        let secret = self.secret(
            "sink.hash_key",
            hash_key_file.as_deref(),
            hash_key_env.as_deref(),
        );
        let hash_key = match (key, secret?) {
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
        };
        let secret = self.secret(
            "sink.audit_key",
            audit_key_file.as_deref(),
            audit_key_env.as_deref(),
        );
        let audit_key = match (&topics.audit, secret?) {
            (None, None) => None,
            (Some(_), Some(secret)) => Some(secret),
            (Some(_), None) => {
                let message = "sink.topics.audit needs a secret for its digests";
                let fix = "add audit_key_file or audit_key_env to [sink]";
                self.invalid("sink.topics.audit", message.to_owned(), fix);
                None
            }
            (None, Some(_)) => {
                let message = "sink.audit_key is given, but sink.topics.audit is not".to_owned();
                self.invalid("sink", message, "name the topic, or remove the secret");
                None
            }
        };
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
            pass: headers.pass.clone(),
            registry: registry?,
            compression: *compression,
            options: options?,
        })
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

    /// Rules between a Kafka source and the rest.
    pub(super) fn kafka_rules(&mut self, config: &Config) {
        self.stalls(config);
        let source::Section::Kafka {
            session_timeout_ms,
            group_protocol: source::GroupProtocol::Classic,
            ..
        } = &config.source
        else {
            return;
        };
        let drain = config.pipeline.drain_timeout_secs;
        if drain * 1000 >= *session_timeout_ms {
            let at = self.written.place("pipeline.drain_timeout_secs");
            let kind = Kind::Conflict(format!(
                "drain_timeout_secs ({drain}) is not below session_timeout_ms ({session_timeout_ms})"
            ));
            let fix = format!(
                "{}, or raise source.session_timeout_ms",
                (session_timeout_ms / 2000).max(1)
            );
            self.problems.push(kind, &at, fix);
        }
    }

    /// A transaction that waits for its timeout is no standstill.
    fn stalls(&mut self, config: &Config) {
        let sink::Section::Kafka { transaction, .. } = &config.sink else {
            return;
        };
        let (stall, timeout) = (config.pipeline.stall_secs, transaction.timeout_ms);
        if stall * 1000 > timeout {
            return;
        }
        let at = self.written.place("pipeline.stall_secs");
        let kind = Kind::Conflict(format!(
            "stall_secs ({stall}) is not above sink.transaction.timeout_ms ({timeout})"
        ));
        let fix = format!(
            "{}, or lower sink.transaction.timeout_ms",
            (timeout / 500).max(1)
        );
        self.problems.push(kind, &at, fix);
    }

    /// Files of a topic are JSON lines, and only they roll.
    pub(super) fn rolled(&mut self, config: &Config) {
        let sink::Section::ObjectStore { formats, roll, .. } = &config.sink else {
            return;
        };
        if !matches!(config.source, source::Section::Kafka { .. }) {
            if roll.is_some() {
                let message = "`sink.roll` needs a source of type \"kafka\": each object has its own \
                               output files";
                self.invalid("sink.roll", message.to_owned(), "remove it");
            }
            return;
        }
        use sink::{EntityFormat, RedactionFormat};
        let refused = match (formats.redactions, formats.entities) {
            (RedactionFormat::Parquet, _) => Some(("redactions", "parquet")),
            (RedactionFormat::Text, _) => Some(("redactions", "text")),
            (_, EntityFormat::Parquet) => Some(("entities", "parquet")),
            (RedactionFormat::Auto | RedactionFormat::Jsonl, EntityFormat::Jsonl) => None,
        };
        if let Some((kind, format)) = refused {
            let key = format!("sink.formats.{kind}");
            let at = self.written.place(&key);
            let kind = Kind::Conflict(format!(
                "{key} = \"{format}\" does not work with a source of type \"kafka\": its records \
                 become JSON lines"
            ));
            self.problems.push(kind, &at, "\"jsonl\"");
        }
    }

    /// The output is not the input.
    pub(super) fn kafka_apart(&mut self, source: &Source, sink: &Sink) {
        let (Source::Kafka(from), Sink::Kafka(to)) = (source, sink) else {
            return;
        };
        for (kind, topic) in to.topics.named() {
            let read = from.topics.iter().any(|pattern| {
                pattern == topic
                    || (pattern.starts_with('^')
                        && regex::Regex::new(pattern).is_ok_and(|regex| regex.is_match(topic)))
            });
            if read {
                let key = format!("sink.topics.{kind}");
                let at = self.written.place(&key);
                let kind = Kind::Conflict(format!(
                    "{key} is a topic that source.topics reads: weir would read its own output"
                ));
                self.problems.push(kind, &at, "another topic");
            }
        }
    }

    fn brokers(
        &mut self,
        section: &str,
        servers: &str,
        sasl: Option<&source::Sasl>,
        tls: Option<&source::Tls>,
    ) -> Option<Brokers> {
        let mut brokers = Brokers::default();
        let settings = &mut brokers.settings;
        settings.set("bootstrap.servers", servers);
        settings.set(
            "security.protocol",
            match (sasl, tls) {
                (None, None) => "plaintext",
                (None, Some(_)) => "ssl",
                (Some(_), None) => "sasl_plaintext",
                (Some(_), Some(_)) => "sasl_ssl",
            },
        );
        let files = tls.map(|tls| {
            [
                ("ca_file", "ssl.ca.location", &tls.ca_file),
                (
                    "certificate_file",
                    "ssl.certificate.location",
                    &tls.certificate_file,
                ),
                ("key_file", "ssl.key.location", &tls.key_file),
            ]
        });
        for (key, option, file) in files.into_iter().flatten() {
            let Some(file) = file else { continue };
            let path = self.path(&format!("{section}.tls.{key}"), file);
            settings.set(option, path.display().to_string());
        }
        if let Some(tls) = tls {
            let file = tls.key_password_file.as_deref();
            let variable = tls.key_password_env.as_deref();
            let key = format!("{section}.tls.key_password");
            if let Some(secret) = self.secret(&key, file, variable)? {
                settings.set("ssl.key.password", secret.expose());
            }
        }
        let Some(sasl) = sasl else {
            return Some(brokers);
        };
        let name = serde_json::to_value(sasl.mechanism).expect("a word serializes");
        settings.set("sasl.mechanism", name.as_str().expect("it is a string"));
        let key = format!("{section}.sasl");
        let password = self.secret(
            &format!("{key}.password"),
            sasl.password_file.as_deref(),
            sasl.password_env.as_deref(),
        )?;
        if sasl.mechanism == source::Mechanism::OauthBearer {
            let Some(file) = &sasl.token_file else {
                let message = "OAUTHBEARER needs `token_file`".to_owned();
                self.invalid(&key, message, "name the file that holds the token");
                return None;
            };
            brokers.token_file = Some(self.path(&format!("{key}.token_file"), file));
            return Some(brokers);
        }
        let (Some(username), Some(password)) = (&sasl.username, password) else {
            let message = format!("{name} needs `username` and a password");
            self.invalid(
                &key,
                message,
                "add username, and password_file or password_env",
            );
            return None;
        };
        settings.set("sasl.username", username.clone());
        settings.set("sasl.password", password.expose());
        Some(brokers)
    }

    /// The registry of the source; `None` outside means that a problem was reported.
    fn source_registry(&mut self, decode: &source::Decode) -> Option<Option<Registry>> {
        let is_avro = decode.codec == source::Codec::Avro;
        let given = decode.schema_registry.as_ref();
        if !self.registry_fits("source.decode", is_avro, given.is_some()) {
            return None;
        }
        let Some(given) = given else {
            return Some(None);
        };
        self.registry("source.decode.schema_registry", given)
            .map(Some)
    }

    fn sink_registry(
        &mut self,
        encode: &sink::Encode,
        source: &source::Section,
    ) -> Option<Option<SinkRegistry>> {
        let is_avro = encode.codec == sink::Encoding::Avro;
        let given = encode.schema_registry.as_ref();
        if !self.registry_fits("sink.encode", is_avro, given.is_some()) {
            return None;
        }
        let Some(given) = given else {
            return Some(None);
        };
        let of_source = match source {
            source::Section::Kafka { decode, .. } => decode.schema_registry.as_ref(),
            _ => None,
        };
        let key = "sink.encode.schema_registry";
        let registry = match (&given.url, of_source) {
            (Some(url), _) => {
                let own = source::SchemaRegistry {
                    url: url.clone(),
                    username: given.username.clone(),
                    password_file: given.password_file.clone(),
                    password_env: given.password_env.clone(),
                };
                self.registry(key, &own)?
            }
            (None, Some(_))
                if given.username.is_some()
                    || given.password_file.is_some()
                    || given.password_env.is_some() =>
            {
                let message =
                    format!("`{key}` has its own username or password, but `url` is missing");
                self.invalid(
                    key,
                    message,
                    "add url, or remove username and password to use the source's",
                );
                return None;
            }
            (None, Some(of_source)) => self.registry("source.decode.schema_registry", of_source)?,
            (None, None) => {
                let message = format!("`{key}.url` is missing");
                self.invalid(key, message, "such as \"https://registry:8081\"");
                return None;
            }
        };
        Some(Some(SinkRegistry {
            registry,
            subjects: given.subject_strategy,
            auto_register: given.auto_register,
        }))
    }

    /// Avro needs a registry, and nothing else has a use for one.
    fn registry_fits(&mut self, key: &str, is_avro: bool, is_given: bool) -> bool {
        let message = match (is_avro, is_given) {
            (true, false) => format!("{key}.codec = \"avro\" needs `schema_registry`"),
            (false, true) => format!("`{key}.schema_registry` is given, but codec is not \"avro\""),
            _ => return true,
        };
        let fix = "codec = \"avro\", schema_registry = { url = \"https://registry:8081\" }";
        self.invalid(key, message, fix);
        false
    }

    fn registry(&mut self, key: &str, given: &source::SchemaRegistry) -> Option<Registry> {
        let at = format!("{key}.url");
        let mut urls = Vec::new();
        for url in given.url.split(',').map(str::trim) {
            // The parser's message is not printed: the text may hold a password.
            let parsed = url::Url::parse(url).ok();
            let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https"));
            let Some(parsed) = parsed else {
                let message = format!("`{at}` is not an address of http or https");
                self.invalid(&at, message, "such as \"https://registry:8081\"");
                return None;
            };
            if !parsed.username().is_empty() || parsed.password().is_some() {
                let place = self.written.place(&at);
                let fix = "remove user and password; add username, and password_file or \
                           password_env";
                self.problems.push(Kind::SecretInFile(at), &place, fix);
                return None;
            }
            urls.push(url.to_owned());
        }
        let password = self.secret(
            &format!("{key}.password"),
            given.password_file.as_deref(),
            given.password_env.as_deref(),
        )?;
        let credentials = match (given.username.clone(), password) {
            (None, None) => None,
            (Some(username), Some(password)) => Some((username, password)),
            _ => {
                let message = format!("`{key}` needs both a username and a password, or neither");
                let fix = "add username, and password_file or password_env";
                self.invalid(key, message, fix);
                return None;
            }
        };
        Some(Registry { urls, credentials })
    }

    /// A subject named by its topic alone holds the versions of one schema.
    fn one_kind_a_subject(&mut self, encode: &sink::Encode, topics: &sink::Topics) {
        let strategy = encode.schema_registry.as_ref().map(|r| r.subject_strategy);
        if strategy != Some(sink::SubjectStrategy::TopicName) {
            return;
        }
        let mut seen = std::collections::BTreeSet::new();
        let shared = !topics.named().all(|(_, topic)| seen.insert(topic));
        if shared {
            let at = self.written.place("sink.encode.schema_registry");
            let kind = Kind::Conflict(
                "two kinds of records share a topic, and with subject_strategy = \"topic_name\" \
                 their schemas would share a subject"
                    .to_owned(),
            );
            let fix = "a topic for each, or subject_strategy = \"topic_record_name\"";
            self.problems.push(kind, &at, fix);
        }
    }

    fn librdkafka(
        &mut self,
        section: &str,
        options: &BTreeMap<String, String>,
    ) -> Option<Settings> {
        let mut sound = true;
        for name in options.keys() {
            let at = format!("{section}.librdkafka_options.{name}");
            if let Some((_, key)) = HAS_A_KEY.iter().find(|(option, _)| option == name) {
                sound = false;
                let message = format!("`{name}` has its own key in weir's configuration");
                self.invalid(&at, message, format!("use `{key}`"));
            } else if let Some((_, why)) = BREAKS.iter().find(|(option, _)| option == name) {
                sound = false;
                let message = format!("`{name}` may not be set: {why}");
                self.invalid(&at, message, "remove it");
            }
        }
        sound.then(|| options.clone().into_iter().collect())
    }

    /// A secret from a file or a variable; `None` outside means that a problem was reported.
    pub(super) fn secret(
        &mut self,
        key: &str,
        file: Option<&str>,
        variable: Option<&str>,
    ) -> Option<Option<Secret>> {
        let (at, from) = match (file, variable) {
            (None, None) => return Some(None),
            (Some(file), None) => (format!("{key}_file"), file),
            (None, Some(variable)) => (format!("{key}_env"), variable),
            (Some(_), Some(_)) => {
                let message = format!("`{key}_file` and `{key}_env` are both given");
                self.invalid(&format!("{key}_file"), message, "keep one of them");
                return None;
            }
        };
        Some(Some(Secret::new(self.read_secret(&at, from)?)))
    }
}

/// What Kafka takes as a topic's name.
fn is_topic(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.is_empty()
        && name.len() <= 249
        && !matches!(name, "." | "..")
        && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const REST: &str = "[tenants]\ndir = \"./tenants\"\n[model]\npack = \"pack\"\n";

    /// A worker whose `[source]` has `decode` and whose `[sink]` has `encode`.
    fn resolved(decode: &str, encode: &str) -> Result<(KafkaSource, KafkaSink), String> {
        let text = format!(
            "[source]\ntype = \"kafka\"\nbootstrap_servers = \"k:9092\"\ntopics = [\"in\"]\n\
             group_id = \"g\"\ndecode = {decode}\n[sink]\ntype = \"kafka\"\nencode = {encode}\n\
             topics = {{ entities = \"e\", redactions = \"r\", dead_letters = \"d\" }}\n{REST}"
        );
        let written = Config::parse("weir.toml", &text, 1, [], &[]);
        let written = written.map_err(|problems| problems.to_string())?;
        match written.resolve(Path::new("weir.toml")) {
            Ok(resolved) => match (resolved.source, resolved.sink) {
                (Source::Kafka(source), Sink::Kafka(sink)) => Ok((source, sink)),
                _ => unreachable!("both are of type kafka"),
            },
            Err(problems) => Err(problems.to_string()),
        }
    }

    const AVRO: &str = r#"{ codec = "avro", schema_registry = { url = "http://r:8081" } }"#;
    const JSON: &str = r#"{ codec = "json" }"#;

    #[test]
    fn the_sinks_registry_is_the_sources_unless_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let decode = format!(
            "{{ codec = \"avro\", schema_registry = {{ url = \"http://a:1, https://b\", \
             username = \"u\", password_file = {file:?} }} }}"
        );
        let encode = r#"{ codec = "avro", schema_registry = { auto_register = true, subject_strategy = "record_name" } }"#;
        let (source, sink) = resolved(&decode, encode).unwrap();
        let sink = sink.registry.unwrap();
        assert_eq!(sink.registry.urls, ["http://a:1", "https://b"]);
        assert_eq!(sink.registry.urls, source.registry.unwrap().urls);
        let (username, password) = sink.registry.credentials.clone().unwrap();
        assert_eq!((&*username, password.expose()), ("u", "hunter2"));
        assert_eq!(sink.subjects, sink::SubjectStrategy::RecordName);
        assert!(sink.auto_register);
        assert!(!format!("{sink:?}").contains("hunter2"));
        let (source, sink) = resolved(JSON, JSON).unwrap();
        assert!(source.registry.is_none() && sink.registry.is_none());
    }

    #[test]
    fn what_is_wrong_with_a_registry_is_told() {
        let told = |decode: &str, encode: &str| resolved(decode, encode).unwrap_err();
        let says = |told: String, words: &str| assert!(told.contains(words), "{told}");
        says(
            told(r#"{ codec = "avro" }"#, JSON),
            "needs `schema_registry`",
        );
        says(
            told(JSON, r#"{ codec = "avro" }"#),
            "needs `schema_registry`",
        );
        let unused = r#"{ schema_registry = { url = "http://r" } }"#;
        says(told(unused, JSON), "codec is not \"avro\"");
        says(
            told(JSON, r#"{ codec = "avro", schema_registry = {} }"#),
            "url` is missing",
        );
        let with = |rest: &str| format!("{{ codec = \"avro\", schema_registry = {{ {rest} }} }}");
        says(
            told(&with(r#"url = "registry:8081""#), JSON),
            "not an address",
        );
        says(
            told(&with(r#"url = "http://r", username = "u""#), JSON),
            "both a username",
        );
        says(
            told(&with(r#"url = "http://r", usernam = "u""#), JSON),
            "`username`",
        );
        says(
            told(&with(r#"url = "http://r", auto_register = true"#), JSON),
            "unknown key",
        );
        says(
            told(AVRO, &with(r#"username = "u""#)),
            "but `url` is missing",
        );
        for secret in [
            r#"url = "http://u:CANARY@r""#,
            r#"url = "http://r", password = "CANARY""#,
        ] {
            let told = told(&with(secret), JSON);
            assert!(
                told.contains("secret") && !told.contains("CANARY"),
                "{told}"
            );
        }
    }
}
