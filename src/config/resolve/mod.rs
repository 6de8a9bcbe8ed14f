//! What a written configuration means: paths, patterns, secrets and rules across keys.

mod brokers;
mod collector;
mod feed;
mod reading;
mod registry;
mod reveals;
mod rules;
mod server;
mod stores;
mod topics;
mod types;
mod writing;

use std::path::{Path, PathBuf};

pub use feed::{AuditFeed, AuditFiles};
pub use types::{
    Collector, Columns, Ids, Listen, Model, ObjectSink, ObjectSource, PathPattern, Resolved, Sink,
    Source, StdinSource, StdoutSink, TenantFrom, Tenants,
};

pub use reveals::Reveals;

use super::{Config, Written, kafka::Secret, model, models, route::Route};
use crate::{
    audit::note::{self, VerifyingKey},
    diagnose::{Kind, Place, Problems, reason},
    model::PackRef,
};

/// How tenants name the pack of `[model]`.
pub const DEFAULT_MODEL: &str = "default";

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
        let collector = self.collector(config.telemetry.otlp.as_ref());
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
            collector,
            digest: digest(config),
        })
    }

    fn model(&mut self, section: &model::Section) -> Model {
        // All of them: a key that is documented and never read does not compile.
        let model::Section {
            pack,
            runtime,
            threads,
            sessions,
            label_cache_dir,
            categories,
            category_encoder,
            trusted_keys,
            server,
        } = section;
        let access = self.server("model.server", server.as_ref());
        let trusted_keys = self.trusted("model.trusted_keys", trusted_keys.as_deref());
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
            trusted_keys: trusted_keys.unwrap_or_default(),
            access,
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
            trusted_keys,
            server,
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
        let access = self.server(&format!("{key}.server"), server.as_ref());
        let encoder_key = format!("{key}.category_encoder");
        let trusted = self.trusted(&format!("{key}.trusted_keys"), trusted_keys.as_deref());
        let model = Model {
            pack: self.pack(&format!("{key}.pack"), pack),
            runtime: shared.runtime.clone(),
            threads: *threads,
            sessions: *sessions,
            label_cache_dir: shared.label_cache_dir.clone(),
            categories: categories.clone(),
            category_encoder: encoder.map(|named| self.pack(&encoder_key, named)),
            trusted_keys: trusted.unwrap_or_else(|| shared.trusted_keys.clone()),
            access,
        };
        (name.to_owned(), model)
    }

    /// The keys that are trusted to sign packs; `None` if the configuration names none.
    fn trusted(&mut self, key: &str, texts: Option<&[String]>) -> Option<Vec<VerifyingKey>> {
        let texts = texts?;
        let mut keys = Vec::with_capacity(texts.len());
        for text in texts {
            let problem = match text.parse::<VerifyingKey>() {
                Ok(own) if own.kind() == note::Kind::Text => {
                    keys.push(own);
                    continue;
                }
                Ok(_) => "it is the key of a witness".to_owned(),
                Err(error) => error.to_string(),
            };
            let at = keys.len() + 1;
            self.invalid(
                key,
                format!("key {at} of `{key}` can't be used: {problem}"),
                "copy the line that `weir audit keygen` printed",
            );
            return None;
        }
        if keys.is_empty() {
            let message = format!("`{key}` is empty: no pack would be refused");
            self.invalid(key, message, "name a key, or remove the line");
        }
        Some(keys)
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

    /// The address of a server that is asked over HTTP; what is wrong with it is reported. `instead`: what holds a
    /// secret in place of the address.
    pub(super) fn http_url(
        &mut self,
        at: &str,
        url: &str,
        example: &str,
        instead: &str,
    ) -> Option<url::Url> {
        // The parser's message is not printed: the text may hold a password.
        let parsed = url::Url::parse(url).ok();
        let parsed = parsed.filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(parsed) = parsed else {
            let message = format!("`{at}` is not an address of http or https");
            self.invalid(at, message, format!("such as \"{example}\""));
            return None;
        };
        if !parsed.username().is_empty() || parsed.password().is_some() {
            let place = self.written.place(at);
            let fix = format!("remove user and password; {instead}");
            self.problems
                .push(Kind::SecretInFile(at.to_owned()), &place, fix);
        }
        Some(parsed)
    }

    /// A path of the file is relative to the file's folder, one of a flag or variable to the
    /// folder in which weir runs: each as its writer sees it.
    pub(super) fn path(&self, key: &str, path: &str) -> PathBuf {
        match self.written.place(key) {
            Place::File { .. } => self.folder.join(path),
            Place::Environment(_) | Place::Flag(_) => PathBuf::from(path),
        }
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
    if let (crate::config::sink::Section::ObjectStore { .. }, Some(sink)) =
        (&config.sink, sink.as_object_mut())
    {
        // The audit says what was done, and changes none of it.
        sink.remove("audit_key_file");
        sink.remove("audit_key_env");
    }
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
