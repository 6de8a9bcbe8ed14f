//! What a configuration means once it is resolved.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use url::Url;

use crate::{
    audit::note::VerifyingKey,
    config::{
        batch,
        kafka::{KafkaSink, KafkaSource, Secret},
        limits, pipeline, sink, source, telemetry,
    },
    model::{PackRef, prompted::Access},
    store,
};

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
    /// Where telemetry is sent.
    pub collector: Collector,
    /// 16 hex digits of what decides the outputs' content and names: source, sink formats and
    /// limits; not credentials, threads or logs.
    pub digest: String,
}

/// An OpenTelemetry collector, as far as the configuration names it: variables of the environment say the rest.
#[derive(Debug, Clone, Default)]
pub struct Collector {
    /// Address without the paths of the signals.
    pub endpoint: Option<String>,
    /// Sent with each request.
    pub headers: Vec<(String, Secret)>,
    /// Trusted authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// weir's certificate, PEM.
    pub certificate_file: Option<PathBuf>,
    /// weir's private key, PEM.
    pub key_file: Option<PathBuf>,
    /// Longest time for one request, with its retries.
    pub timeout: Option<std::time::Duration>,
    /// Whether requests are compressed.
    pub gzip: Option<bool>,
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
    pub options: store::Options,
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
    pub options: store::Options,
    /// Formats of the records.
    pub formats: sink::Formats,
    /// Compression of JSON lines and text.
    pub compression: sink::Compression,
    /// After how long without renewal a claim on an object is void.
    pub lease: std::time::Duration,
    /// When the files of a topic's partition are written.
    pub roll: sink::Roll,
    /// The secret of the digests in audit records, if there are any.
    pub audit_key: Option<Secret>,
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
    /// Keys of which one must have signed each pack; none if no signature is needed.
    pub trusted_keys: Vec<VerifyingKey>,
    /// The server of a model over HTTP.
    pub access: Access,
}

/// An address to listen on.
pub type Listen = SocketAddr;

impl PathPattern {
    /// `name`: what stands in braces for the part that is looked for.
    pub(in crate::config) fn new(pattern: &str, name: &str) -> Result<Self, String> {
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
