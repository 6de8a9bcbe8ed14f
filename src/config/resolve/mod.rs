//! What a written configuration means: paths, patterns, secrets and rules across keys.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use globset::{Glob, GlobSet, GlobSetBuilder};
use url::Url;

use super::{
    Config, Kind, Place, Problems, Written, batch,
    check::nearest,
    kafka::{KafkaSink, KafkaSource, Secret},
    limits, model, models, pipeline, reason,
    route::Route,
    sink, source, telemetry,
};
use crate::{model::PackRef, record::IdKey, source::StoreOptions};

/// How tenants name the pack of `[model]`.
pub const DEFAULT_MODEL: &str = "default";

/// A configuration ready to be used: nothing in it can fail for its form any more.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // as the sections
pub struct Resolved {
    pub source: Source,
    pub sink: Sink,
    pub tenants: Tenants,
    pub model: Model,
    /// Further packs, by their names.
    pub models: BTreeMap<String, Model>,
    pub batch: batch::Section,
    /// Whether somebody chose `batch.max_tokens`.
    pub batch_size_is_set: bool,
    pub limits: limits::Section,
    pub pipeline: pipeline::Section,
    pub telemetry: telemetry::Section,
    /// Address for metrics and health.
    pub listen: Option<Listen>,
    /// 16 hex digits of what decides the outputs' content and names: source, sink formats and
    /// limits; not credentials, threads or logs.
    pub digest: String,
}

/// Where documents come from.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
#[allow(clippy::large_enum_variant)] // one in a process, matched on by value
pub enum Source {
    ObjectStore(ObjectSource),
    Kafka(KafkaSource),
    Stdin(StdinSource),
}

/// An object store to read.
#[derive(Debug, Clone)]
pub struct ObjectSource {
    /// Absolute; a local folder as `file://`.
    pub url: Url,
    /// Options of the store.
    pub options: StoreOptions,
    /// Objects to read, relative to the URL.
    pub include: Vec<String>,
    /// Objects to leave out.
    pub exclude: Vec<String>,
    /// Where the tenant is named.
    pub tenant: TenantFrom,
    /// Columns of tables.
    pub columns: Option<Columns>,
    /// Format of every object; `None` is by extension.
    pub format: Option<source::Format>,
    /// Encoding of texts; `None` recognises it by the first bytes.
    pub encoding: Option<crate::source::Encoding>,
    /// Lines that are one document.
    pub multiline: Option<crate::source::Multiline>,
    /// Key or JSON Pointer of the id.
    pub id: String,
    /// What becomes of ids.
    pub ids: Ids,
    /// Whether links out of the folder are followed.
    pub follow_links: bool,
    /// Time between polls for new objects; `None` ends with the objects that exist now.
    pub poll: Option<std::time::Duration>,
}

/// Standard input.
#[derive(Debug, Clone)]
pub struct StdinSource {
    /// Format of the lines; `None` is `auto`.
    pub format: Option<source::LineFormat>,
    /// Encoding; `None` recognises it by the first bytes.
    pub encoding: Option<crate::source::Encoding>,
    /// Lines that are one document.
    pub multiline: Option<crate::source::Multiline>,
    /// Where the tenant is named.
    pub tenant: TenantFrom,
    /// Key or JSON Pointer of the id.
    pub id: String,
    /// What becomes of ids.
    pub ids: Ids,
}

/// What becomes of the ids of documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// Records hold their hashes.
    pub hash: bool,
    /// They are not values.
    pub keep: bool,
    /// Key of the hashes, if somebody keeps one.
    pub key: Option<Secret>,
}

/// Where the tenant of a document is named.
#[derive(Debug, Clone)]
pub enum TenantFrom {
    /// The key `tenant` of a JSON document; none for text.
    Record,
    /// The same for every document.
    Value(String),
    /// A key or JSON Pointer of a JSON document.
    Field(String),
    /// A column of a table.
    Column(String),
    /// A part of the object's path, or of the topic's name.
    Path(PathPattern),
    /// A part of the Kafka record's key.
    Key(PathPattern),
    /// A header of the Kafka record.
    Header(String),
}

/// A pattern such as `raw/{tenant}/**`, compiled.
#[derive(Debug, Clone)]
pub struct PathPattern(regex::Regex);

/// Columns of tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// Columns that hold text.
    pub text: Vec<String>,
    /// Column of the id.
    pub id: Option<String>,
}

/// Where records go.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Sink {
    ObjectStore(ObjectSink),
    Kafka(KafkaSink),
    Stdout(StdoutSink),
}

/// An object store to write.
#[derive(Debug, Clone)]
pub struct ObjectSink {
    /// Absolute; a local folder as `file://`.
    pub url: Url,
    /// Options of the store.
    pub options: StoreOptions,
    /// Formats of the records.
    pub formats: sink::Formats,
    /// Compression of JSON lines and text.
    pub compression: sink::Compression,
    /// After how long without renewal a claim on an object is void.
    pub lease: std::time::Duration,
    /// When the files of a topic's partition are written.
    pub roll: sink::Roll,
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub struct StdoutSink {
    /// Records that are printed.
    pub records: sink::Printed,
}

/// Tenant files.
#[derive(Debug, Clone, PartialEq)]
pub struct Tenants {
    /// Folder of the files.
    pub dir: PathBuf,
    /// Tenant of documents that name none.
    pub default: Option<String>,
}

/// The model pack.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// The pack.
    pub pack: PackRef,
    /// ONNX Runtime's shared library.
    pub runtime: Option<PathBuf>,
    /// Threads; `None` is one for each core.
    pub threads: Option<u16>,
    /// Sessions; `None` is one for each thread.
    pub sessions: Option<u16>,
    /// Folder of label vectors.
    pub label_cache_dir: Option<PathBuf>,
    /// Categories of a fixed head by label.
    pub categories: BTreeMap<String, Vec<String>>,
    /// The pack whose label encoder finds the nearest category.
    pub category_encoder: Option<PackRef>,
}

/// An address to listen on.
pub type Listen = SocketAddr;

impl PathPattern {
    /// `name`: what stands in braces for the part that is looked for.
    pub(super) fn new(pattern: &str, name: &str) -> Result<Self, String> {
        let named = format!("{{{name}}}");
        if pattern.matches(&named).count() != 1 {
            return Err(format!("`{named}` must stand in it exactly once"));
        }
        let mut regex = String::from("^");
        for (i, part) in pattern.split('/').enumerate() {
            if i > 0 && !regex.ends_with("(?:.*/)?") {
                regex.push('/');
            }
            if part == "**" {
                // As a last part `**` needs at least a name; before others it may be no folder.
                regex.push_str(
                    if pattern.ends_with("/**") && pattern.split('/').count() == i + 1 {
                        ".+"
                    } else {
                        "(?:.*/)?"
                    },
                );
                continue;
            }
            for piece in
                part.split_inclusive(['*', '}'])
                    .flat_map(|piece| match piece.find(&named) {
                        Some(at) => vec![&piece[..at], &piece[at..]],
                        None => vec![piece],
                    })
            {
                match piece {
                    piece if piece == named => regex.push_str("([^/]+?)"),
                    "*" => regex.push_str("[^/]*"),
                    piece => match piece.strip_suffix('*') {
                        Some(text) => {
                            regex.push_str(&regex::escape(text));
                            regex.push_str("[^/]*");
                        }
                        None => regex.push_str(&regex::escape(piece)),
                    },
                }
            }
        }
        regex.push('$');
        regex::Regex::new(&regex)
            .map(Self)
            .map_err(|_| "it is not a pattern".to_owned())
    }

    /// As a regular expression whose first group is the part that is looked for.
    pub fn as_regex(&self) -> &str {
        self.0.as_str()
    }

    /// Its regular expression, compiled.
    pub fn regex(&self) -> &regex::Regex {
        &self.0
    }

    /// The tenant that an object's path names.
    pub fn tenant<'p>(&self, object: &'p str) -> Option<&'p str> {
        Some(self.0.captures(object)?.get(1)?.as_str())
    }
}

impl Resolved {
    /// Which source and sink these are.
    pub fn route(&self) -> Route<'_> {
        Route::checked(&self.source, &self.sink)
    }
}

impl Written {
    /// Resolves paths against the folder of the file, reads the secrets that are named, and
    /// checks the rules across keys. Reports every problem it finds.
    pub fn resolve(&self, file: &Path) -> Result<Resolved, Problems> {
        let mut resolver = Resolver {
            written: self,
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
            problems: Problems::default(),
        };
        let resolved = resolver.resolved();
        resolver.problems.into_result()?;
        Ok(resolved.expect("a part is missing only with a problem"))
    }
}

pub(super) struct Resolver<'a> {
    pub(super) written: &'a Written,
    folder: PathBuf,
    pub(super) problems: Problems,
}

impl Resolver<'_> {
    fn resolved(&mut self) -> Option<Resolved> {
        let config = &self.written.config;
        self.features();
        let source = self.source(&config.source);
        let sink = self.sink(config, source.as_ref());
        self.rules(config);
        let listen = self.listen(config.telemetry.listen.as_deref());
        let tenants = Tenants {
            dir: self.path("tenants.dir", &config.tenants.dir),
            default: config.tenants.default.clone(),
        };
        let model = self.model(&config.model);
        let further = config.models.iter();
        let models = further.map(|(name, section)| self.further(name, section, &model));
        let models = models.collect();
        let (source, sink) = (source?, sink?);
        Route::check(&source, &sink, self.written, &mut self.problems);
        self.apart(&source, &sink);
        self.kafka_apart(&source, &sink);
        Some(Resolved {
            source,
            sink,
            tenants,
            model,
            models,
            batch: config.batch.clone(),
            batch_size_is_set: self.written.has("batch.max_tokens"),
            limits: config.limits.clone(),
            pipeline: config.pipeline.clone(),
            telemetry: config.telemetry.clone(),
            listen,
            digest: digest(config),
        })
    }

    fn model(&self, section: &model::Section) -> Model {
        // All of them: a key that is documented and never read does not compile.
        let model::Section {
            pack,
            runtime,
            threads,
            sessions,
            label_cache_dir,
            categories,
            category_encoder,
        } = section;
        let path = |key, path: &Option<String>| path.as_ref().map(|path| self.path(key, path));
        let encoder = category_encoder.as_ref();
        Model {
            pack: self.pack("model.pack", pack),
            runtime: path("model.runtime", runtime),
            threads: *threads,
            sessions: *sessions,
            label_cache_dir: path("model.label_cache_dir", label_cache_dir),
            categories: categories.clone(),
            category_encoder: encoder.map(|named| self.pack("model.category_encoder", named)),
        }
    }

    /// A further pack; it shares the runtime and the label cache of `[model]`.
    fn further(
        &mut self,
        name: &str,
        section: &models::Section,
        shared: &Model,
    ) -> (String, Model) {
        let models::Section {
            pack,
            threads,
            sessions,
            categories,
            category_encoder,
        } = section;
        let key = format!("models.{name}");
        if name == DEFAULT_MODEL || name.trim().is_empty() {
            let message = format!("a further model cannot be named \"{name}\"");
            self.invalid(
                &key,
                message,
                "choose another name: `default` is the pack of [model]",
            );
        }
        let encoder = category_encoder.as_ref();
        let encoder_key = format!("{key}.category_encoder");
        let model = Model {
            pack: self.pack(&format!("{key}.pack"), pack),
            runtime: shared.runtime.clone(),
            threads: *threads,
            sessions: *sessions,
            label_cache_dir: shared.label_cache_dir.clone(),
            categories: categories.clone(),
            category_encoder: encoder.map(|named| self.pack(&encoder_key, named)),
        };
        (name.to_owned(), model)
    }

    /// A pack as it is named at a key.
    fn pack(&self, key: &str, named: &str) -> PackRef {
        match self.written.place(key) {
            Place::File { .. } => PackRef::new(named, &self.folder),
            Place::Environment(_) | Place::Flag(_) => PackRef::new(named, Path::new("")),
        }
    }

    pub(super) fn invalid(&mut self, key: &str, message: String, fix: impl Into<String>) {
        let at = self.written.place(key);
        self.problems.push(Kind::Invalid(message), &at, fix);
    }

    fn source(&mut self, section: &source::Section) -> Option<Source> {
        match section {
            source::Section::Kafka { .. } => self.kafka_source(section).map(Source::Kafka),
            source::Section::ObjectStore {
                url,
                include,
                exclude,
                options,
                tenant,
                columns,
                format,
                encoding,
                multiline,
                id,
                follow_links,
                poll_secs,
            } => {
                let columns_tenant = columns.as_ref().and_then(|columns| columns.tenant.clone());
                if let (Some(_), Some(column)) = (tenant, &columns_tenant) {
                    let at = self.written.place("source.tenant");
                    let kind = Kind::Conflict(format!(
                        "source.tenant and source.columns.tenant (\"{column}\") both name the tenant"
                    ));
                    self.problems.push(kind, &at, "keep one of them");
                }
                let columns_used =
                    columns.is_some() || matches!(tenant, Some(source::Tenant::Column(_)));
                if let (Some(format), true) = (format, columns_used)
                    && !matches!(format, source::Format::Parquet | source::Format::Arrow)
                {
                    let at = self.written.place("source.columns");
                    let kind = Kind::Conflict(format!(
                        "source.columns needs a table, but source.format is {}",
                        word(format)
                    ));
                    self.problems.push(
                        kind,
                        &at,
                        "format = \"parquet\" or \"arrow\", or leave columns out",
                    );
                }
                let of_kafka = match tenant {
                    Some(source::Tenant::Key(_)) => Some("key"),
                    Some(source::Tenant::Header(_)) => Some("header"),
                    _ => None,
                };
                if let Some(kind) = of_kafka {
                    let message =
                        format!("an object has no `{kind}`, so it cannot name the tenant");
                    let fix = "tenant = { value = \"…\" }, { field = \"…\" }, { column = \"…\" } or \
                               { path = \"…\" }";
                    self.invalid("source.tenant", message, fix);
                }
                if let (Some(format), Some(_)) = (format, multiline)
                    && !matches!(format, source::Format::Auto | source::Format::Log)
                {
                    self.no_lines(word(format));
                }
                let encoding = self.encoding(encoding.as_deref());
                let multiline = self.multiline(multiline.as_ref());
                let url = self.url("source.url", url);
                let (id, ids) = self.id(id);
                let options = url
                    .as_ref()
                    .and_then(|url| self.options("source.options", url, options));
                let globs = [
                    self.globs("source.include", include),
                    self.globs("source.exclude", exclude),
                ];
                let [Some(_), Some(_)] = globs else {
                    return None;
                };
                let tenant = match columns_tenant {
                    Some(column) => Some(TenantFrom::Column(column)),
                    None => self.tenant(tenant.as_ref()),
                };
                Some(Source::ObjectStore(ObjectSource {
                    url: url?,
                    options: options?,
                    include: include.clone(),
                    exclude: exclude.clone(),
                    tenant: tenant?,
                    columns: columns.as_ref().map(|columns| Columns {
                        text: columns.text.clone(),
                        id: columns.id.clone(),
                    }),
                    format: *format,
                    encoding: encoding?,
                    multiline: multiline?,
                    id,
                    ids: ids?,
                    follow_links: *follow_links,
                    poll: poll_secs.map(|secs| std::time::Duration::from_secs(secs.get())),
                }))
            }
            source::Section::Stdin {
                format,
                encoding,
                multiline,
                tenant,
                id,
            } => {
                if let (Some(format), Some(_)) = (format, multiline)
                    && !matches!(format, source::LineFormat::Auto | source::LineFormat::Log)
                {
                    self.no_lines(word(format));
                }
                let encoding = self.encoding(encoding.as_deref());
                let multiline = self.multiline(multiline.as_ref());
                let kind = match tenant {
                    Some(source::Tenant::Column(_)) => Some("column"),
                    Some(source::Tenant::Path(_)) => Some("path"),
                    Some(source::Tenant::Key(_)) => Some("key"),
                    Some(source::Tenant::Header(_)) => Some("header"),
                    _ => None,
                };
                if let Some(kind) = kind {
                    let message =
                        format!("standard input has no `{kind}`, so it cannot name the tenant");
                    self.invalid(
                        "source.tenant",
                        message,
                        "tenant = { value = \"…\" } or { field = \"…\" }",
                    );
                }
                let (id, ids) = self.id(id);
                Some(Source::Stdin(StdinSource {
                    format: *format,
                    encoding: encoding?,
                    multiline: multiline?,
                    tenant: self.tenant(tenant.as_ref())?,
                    id,
                    ids: ids?,
                }))
            }
        }
    }

    /// Where the id is, and what becomes of it.
    fn id(&mut self, id: &source::Id) -> (String, Option<Ids>) {
        let default = || "id".to_owned();
        match id {
            source::Id::Field(field) => (field.clone(), Some(Ids::default())),
            source::Id::Rules(rules) => (
                rules.field.clone().unwrap_or_else(default),
                self.ids(
                    rules.hash,
                    rules.keep,
                    rules.hash_key_file.as_deref(),
                    rules.hash_key_env.as_deref(),
                ),
            ),
        }
    }

    pub(super) fn ids(
        &mut self,
        hash: bool,
        keep: bool,
        key_file: Option<&str>,
        key_env: Option<&str>,
    ) -> Option<Ids> {
        if hash && keep {
            let message = "`hash` and `keep` are both given".to_owned();
            self.invalid("source.id", message, "keep one of them");
        }
        let key = self.secret("source.id.hash_key", key_file, key_env)?;
        let length = key.as_ref().map(|key| key.expose().len());
        if let Some(length) = length.filter(|length| *length < IdKey::MIN_BYTES) {
            let least = IdKey::MIN_BYTES;
            let message = format!(
                "the key of hashed ids is {length} bytes long; at least {least} are required"
            );
            let fix = "such as `openssl rand -hex 32`";
            self.invalid("source.id", message, fix);
        }
        Some(Ids { hash, keep, key })
    }

    fn no_lines(&mut self, format: String) {
        let at = self.written.place("source.multiline");
        let kind = Kind::Conflict(format!(
            "source.multiline groups lines of text, but source.format is {format}"
        ));
        let fix = "format = \"auto\" or \"log\", or leave multiline out";
        self.problems.push(kind, &at, fix);
    }

    /// `None` if it is not usable.
    fn encoding(&mut self, label: Option<&str>) -> Option<Option<crate::source::Encoding>> {
        let Some(label) = label else {
            return Some(None);
        };
        let encoding = crate::source::Encoding::of_label(label);
        if encoding.is_none() {
            let message = format!("`{label}` is not an encoding that weir reads");
            let fix = "a name of https://encoding.spec.whatwg.org/#names-and-labels, such as \
                       \"windows-1252\", \"shift_jis\" or \"utf-16le\"; or \"utf-32le\"";
            self.invalid("source.encoding", message, fix);
        }
        encoding.map(Some)
    }

    /// `None` if it is not usable.
    fn multiline(
        &mut self,
        multiline: Option<&source::Multiline>,
    ) -> Option<Option<crate::source::Multiline>> {
        let Some(multiline) = multiline else {
            return Some(None);
        };
        let start_pattern = self.regex("start_pattern", &multiline.start_pattern);
        let condition_pattern = match &multiline.condition_pattern {
            Some(pattern) => self.regex("condition_pattern", pattern),
            None => start_pattern.clone(),
        };
        Some(Some(crate::source::Multiline {
            start_pattern: start_pattern?,
            condition_pattern: condition_pattern?,
            mode: match multiline.mode {
                source::MultilineMode::ContinueThrough => crate::source::Mode::ContinueThrough,
                source::MultilineMode::ContinuePast => crate::source::Mode::ContinuePast,
                source::MultilineMode::HaltBefore => crate::source::Mode::HaltBefore,
                source::MultilineMode::HaltWith => crate::source::Mode::HaltWith,
            },
            timeout: std::time::Duration::from_millis(multiline.timeout_ms.get()),
        }))
    }

    fn regex(&mut self, key: &str, pattern: &str) -> Option<regex::bytes::Regex> {
        let compiled = regex::bytes::Regex::new(pattern);
        if compiled.is_err() {
            let message = format!("source.multiline.{key} is not a regular expression");
            let fix = "such as '^\\d{4}-'; see https://docs.rs/regex/latest/regex/#syntax";
            self.invalid(&format!("source.multiline.{key}"), message, fix);
        }
        compiled.ok()
    }

    pub(super) fn tenant(&mut self, tenant: Option<&source::Tenant>) -> Option<TenantFrom> {
        Some(match tenant {
            None => TenantFrom::Record,
            Some(source::Tenant::Value(value)) => TenantFrom::Value(value.clone()),
            Some(source::Tenant::Field(field)) => TenantFrom::Field(field.clone()),
            Some(source::Tenant::Column(column)) => TenantFrom::Column(column.clone()),
            Some(source::Tenant::Header(header)) => TenantFrom::Header(header.clone()),
            Some(source::Tenant::Path(pattern)) => TenantFrom::Path(self.pattern(
                "source.tenant.path",
                pattern,
                "tenant",
                "raw/{tenant}/**",
            )?),
            Some(source::Tenant::Key(pattern)) => {
                TenantFrom::Key(self.pattern("source.tenant.key", pattern, "tenant", "{tenant}")?)
            }
        })
    }

    pub(super) fn pattern(
        &mut self,
        key: &str,
        pattern: &str,
        name: &str,
        example: &str,
    ) -> Option<PathPattern> {
        match PathPattern::new(pattern, name) {
            Ok(pattern) => Some(pattern),
            Err(why) => {
                let message = format!("`{key}` is not usable: {why}");
                self.invalid(key, message, format!("such as \"{example}\""));
                None
            }
        }
    }

    fn sink(&mut self, config: &Config, source: Option<&Source>) -> Option<Sink> {
        match &config.sink {
            sink::Section::Kafka { .. } => self.kafka_sink(config, source).map(Sink::Kafka),
            sink::Section::ObjectStore {
                url,
                options,
                formats,
                compression,
                lease_secs,
                roll,
            } => {
                let url = self.url("sink.url", url);
                let options = url
                    .as_ref()
                    .and_then(|url| self.options("sink.options", url, options));
                Some(Sink::ObjectStore(ObjectSink {
                    url: url?,
                    options: options?,
                    formats: *formats,
                    compression: *compression,
                    lease: std::time::Duration::from_secs(lease_secs.get()),
                    roll: roll.unwrap_or_default(),
                }))
            }
            sink::Section::Stdout { records } => {
                Some(Sink::Stdout(StdoutSink { records: *records }))
            }
        }
    }

    /// Rules across keys: the message names both values.
    fn rules(&mut self, config: &Config) {
        self.kafka_rules(config);
        self.rolled(config);
        let limits = &config.limits;
        if limits.max_in_flight_bytes < limits.max_record_bytes {
            let at = self.written.place("limits.max_in_flight_bytes");
            let kind = Kind::Conflict(format!(
                "max_in_flight_bytes ({}) is below max_record_bytes ({})",
                limits.max_in_flight_bytes, limits.max_record_bytes
            ));
            let fix = format!(
                "{} or more, or lower limits.max_record_bytes",
                limits.max_record_bytes
            );
            self.problems.push(kind, &at, fix);
        }
        if let sink::Section::ObjectStore { lease_secs, .. } = &config.sink {
            let drain = config.pipeline.drain_timeout_secs;
            if drain >= lease_secs.get() {
                let at = self.written.place("pipeline.drain_timeout_secs");
                let kind = Kind::Conflict(format!(
                    "drain_timeout_secs ({drain}) is not below sink.lease_secs ({lease_secs})"
                ));
                let fix = format!(
                    "{}, or raise sink.lease_secs",
                    (lease_secs.get() / 3).max(1)
                );
                self.problems.push(kind, &at, fix);
            }
        }
    }

    /// The output must not lie where the input is looked for: the next run would read it.
    fn apart(&mut self, source: &Source, sink: &Sink) {
        let (Source::ObjectStore(source), Sink::ObjectStore(sink)) = (source, sink) else {
            return;
        };
        let with_end = |url: &Url| format!("{}/", url.as_str().trim_end_matches('/'));
        let (from, to) = (with_end(&source.url), with_end(&sink.url));
        let reads_output = ["entities", "redactions", "dead_letters"]
            .iter()
            .any(|kind| from.starts_with(&format!("{to}{kind}/")));
        let message = if to.starts_with(&from) {
            "sink.url lies inside source.url: the next run would read its own output"
        } else if reads_output {
            "source.url lies inside what is written to sink.url: the next run would read its own output"
        } else {
            return;
        };
        let at = self.written.place("sink.url");
        let kind = Kind::Conflict(message.to_owned());
        self.problems
            .push(kind, &at, "write to a folder or prefix outside the source");
    }

    fn listen(&mut self, listen: Option<&str>) -> Option<Listen> {
        let listen = listen?;
        match listen.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                let message = "`telemetry.listen` is not an address with a port".to_owned();
                self.invalid(
                    "telemetry.listen",
                    message,
                    "\"127.0.0.1:9464\" or \"0.0.0.0:9464\"",
                );
                None
            }
        }
    }

    /// A path of the file is relative to the file's folder, one of a flag or variable to the
    /// folder in which weir runs: each as its writer sees it.
    pub(super) fn path(&self, key: &str, path: &str) -> PathBuf {
        match self.written.place(key) {
            Place::File { .. } => self.folder.join(path),
            Place::Environment(_) | Place::Flag(_) => PathBuf::from(path),
        }
    }

    fn url(&mut self, key: &str, text: &str) -> Option<Url> {
        if !text.contains("://") {
            let path = self.path(key, text);
            let path = std::path::absolute(&path).ok().map(|path| clean(&path));
            let url = path.and_then(|path| Url::from_file_path(path).ok());
            if url.is_none() {
                self.invalid(key, format!("`{key}` is not a path"), "such as \"./in\"");
            }
            return url;
        }
        let Ok(url) = Url::parse(text) else {
            // The parser's message is not printed: the text may hold a password.
            self.invalid(
                key,
                format!("`{key}` is not a URL"),
                "such as \"s3://bucket/prefix\"",
            );
            return None;
        };
        let schemes = [
            "file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl",
        ];
        if !schemes.contains(&url.scheme()) {
            let message = format!(
                "`{key}` has the scheme {}://, which weir does not know",
                url.scheme()
            );
            self.invalid(key, message, "a path, or s3://, gs://, az://, abfss://");
            return None;
        }
        // `abfss://container@account…` has a name before the `@` by design; a password never.
        let user_is_container = url.scheme().starts_with("abfs");
        if url.password().is_some()
            || (!url.username().is_empty() && !user_is_container)
            || url.query().is_some()
        {
            let at = self.written.place(key);
            let fix = "remove user, password and query; set the cloud's own variables or `options`";
            self.problems
                .push(Kind::SecretInFile(key.to_owned()), &at, fix);
            return None;
        }
        Some(url)
    }

    fn globs(&mut self, key: &str, patterns: &[String]) -> Option<GlobSet> {
        let mut set = GlobSetBuilder::new();
        let mut sound = true;
        for (i, pattern) in patterns.iter().enumerate() {
            // `*` stays within a folder, as in a shell; `**` crosses.
            let glob = globset::GlobBuilder::new(pattern)
                .literal_separator(true)
                .build();
            match glob {
                Ok(glob) => {
                    set.add(Glob::clone(&glob));
                }
                Err(error) => {
                    sound = false;
                    let message = format!(
                        "`{key}` holds a pattern that can't be read: {}",
                        error.kind()
                    );
                    self.invalid(&format!("{key}.{i}"), message, "such as \"**/*.jsonl.gz\"");
                }
            }
        }
        if !sound {
            return None;
        }
        match set.build() {
            Ok(set) => Some(set),
            Err(_) => {
                self.invalid(
                    key,
                    format!("`{key}` is too large"),
                    "fewer or shorter patterns",
                );
                None
            }
        }
    }

    /// `NAME_file` and `NAME_env` become `NAME`, unless the store itself knows an option of the longer name
    /// (`aws_web_identity_token_file`).
    fn options(
        &mut self,
        key: &str,
        url: &Url,
        options: &BTreeMap<String, String>,
    ) -> Option<StoreOptions> {
        let takes = |name: &str| StoreOptions::takes(url.as_str(), name);
        let mut resolved = BTreeMap::new();
        let mut sound = true;
        for (name, value) in options {
            let at = format!("{key}.{name}");
            let named = name.rsplit_once('_');
            let named = named.filter(|(named, end)| matches!(*end, "file" | "env") && takes(named));
            let (option, value) = match named {
                _ if takes(name) => (name.as_str(), Some(value.clone())),
                Some((option, _)) => (option, self.read_secret(&at, value)),
                None => {
                    sound = false;
                    self.unknown_option(&at, url, name);
                    continue;
                }
            };
            let Some(value) = value else {
                sound = false;
                continue;
            };
            if resolved.insert(option.to_owned(), value).is_some() {
                sound = false;
                let message = format!("`{key}` sets `{option}` twice");
                self.invalid(
                    &at,
                    message,
                    format!("keep one of `{option}`, `{option}_file` and `{option}_env`"),
                );
            }
        }
        sound.then(|| resolved.into_iter().collect())
    }

    fn unknown_option(&mut self, at: &str, url: &Url, name: &str) {
        let (message, fix) = match url.scheme() {
            "file" => (
                format!("`{name}` is an option of a store, but the place is a local folder"),
                "remove it".to_owned(),
            ),
            scheme => (
                format!("a store at {scheme}:// does not support the option `{name}`"),
                match nearest(name, StoreOptions::usual(scheme)) {
                    Some(option) => format!("`{option}`"),
                    None => {
                        "the names of the object_store library, such as `allow_http`".to_owned()
                    }
                },
            ),
        };
        self.invalid(at, message, fix);
    }

    /// What the file or the variable holds that the key `at`, of a name that ends in `_file` or
    /// `_env`, is set to.
    pub(super) fn read_secret(&mut self, at: &str, from: &str) -> Option<String> {
        let read = match at.ends_with("_file") {
            true => std::fs::read_to_string(self.path(at, from)).map_err(|error| reason(&error)),
            false => std::env::var(from).map_err(|_| "the variable is not set".to_owned()),
        };
        match read {
            Ok(text) => Some(text.trim_end().to_owned()),
            Err(why) => {
                let message = format!("can't read the secret that `{at}` names: {why}");
                let fix = "name a readable file, or a variable that is set";
                self.invalid(at, message, fix);
                None
            }
        }
    }
}

/// Takes `.` and `..` out, as far as names alone allow.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("a word serializes")
}

fn digest(config: &Config) -> String {
    let mut source = serde_json::to_value(&config.source).expect("a section serializes");
    let mut sink = serde_json::to_value(&config.sink).expect("a section serializes");
    for section in [&mut source, &mut sink] {
        if let Some(section) = section.as_object_mut() {
            for key in [
                "options",
                "lease_secs",
                "include",
                "exclude",
                "poll_secs",
                "roll",
            ] {
                section.remove(key);
            }
        }
    }
    let parts = serde_json::json!([source, sink, config.limits.max_record_bytes]);
    blake3::hash(parts.to_string().as_bytes()).to_hex()[..16].to_owned()
}
