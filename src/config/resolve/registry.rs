//! Schema registries of source and sink.

use super::Resolver;
use crate::{
    config::{
        kafka::{Registry, SinkRegistry},
        sink, source,
    },
    diagnose::Kind,
};

impl Resolver<'_> {
    /// The registry of the source; `None` outside means that a problem was reported.
    pub(super) fn source_registry(&mut self, decode: &source::Decode) -> Option<Option<Registry>> {
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

    pub(super) fn sink_registry(
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
    pub(super) fn one_kind_a_subject(&mut self, encode: &sink::Encode, topics: &sink::Topics) {
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
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, KafkaSink, KafkaSource, Sink, Source};

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
