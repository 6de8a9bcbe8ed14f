//! What a build can leave out, and the keys that need it.

use super::{Config, Written, resolve::Resolver, sink, source};
use crate::diagnose::Kind;

/// A part of weir that a program which embeds it can leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// Topics of Kafka and schema registries.
    Kafka,
    /// S3, GCS and Azure.
    Clouds,
    /// Parquet and Arrow files.
    Tables,
    /// `/metrics`, `/livez` and `/readyz`.
    Server,
    /// Models that are asked over HTTP.
    Prompted,
    /// Traces, metrics and logs to an OpenTelemetry collector.
    Otlp,
}

impl Feature {
    /// How to get it.
    pub const FIX: &'static str = "use a build with this feature; only cargo's \
                                   --no-default-features leaves it out";

    fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Clouds => "clouds",
            Self::Tables => "tables",
            Self::Server => "server",
            Self::Prompted => "prompted",
            Self::Otlp => "otlp",
        }
    }

    /// Whether this build has it.
    pub fn is_built(self) -> bool {
        match self {
            Self::Kafka => cfg!(feature = "kafka"),
            Self::Clouds => cfg!(feature = "clouds"),
            Self::Tables => cfg!(feature = "tables"),
            Self::Server => cfg!(feature = "server"),
            Self::Prompted => cfg!(feature = "prompted"),
            Self::Otlp => cfg!(feature = "otlp"),
        }
    }
}

/// The keys of a configuration that need a feature.
fn needed(written: &Written) -> Vec<(&'static str, Feature)> {
    let Config {
        source,
        sink,
        telemetry,
        model,
        models,
        ..
    } = &written.config;
    let mut needed = Vec::new();
    match source {
        source::Section::Kafka { .. } => needed.push(("source.type", Feature::Kafka)),
        source::Section::ObjectStore {
            url,
            include,
            columns,
            format,
            ..
        } => {
            if is_cloud(url) {
                needed.push(("source.url", Feature::Clouds));
            }
            if matches!(
                format,
                Some(source::Format::Parquet | source::Format::Arrow)
            ) {
                needed.push(("source.format", Feature::Tables));
            }
            if columns.is_some() {
                needed.push(("source.columns", Feature::Tables));
            }
            let is_table =
                |pattern: &String| pattern.contains(".parquet") || pattern.contains(".arrow");
            if include.iter().any(is_table) {
                needed.push(("source.include", Feature::Tables));
            }
        }
        source::Section::Stdin { .. } => {}
    }
    match sink {
        sink::Section::Kafka { .. } => needed.push(("sink.type", Feature::Kafka)),
        sink::Section::ObjectStore { url, formats, .. } => {
            if is_cloud(url) {
                needed.push(("sink.url", Feature::Clouds));
            }
            if formats.redactions == sink::RedactionFormat::Parquet {
                needed.push(("sink.formats.redactions", Feature::Tables));
            }
            if formats.entities == sink::EntityFormat::Parquet {
                needed.push(("sink.formats.entities", Feature::Tables));
            }
        }
        sink::Section::Stdout { .. } => {}
    }
    if telemetry.listen.is_some() {
        needed.push(("telemetry.listen", Feature::Server));
    }
    if telemetry.otlp.is_some() {
        needed.push(("telemetry.otlp", Feature::Otlp));
    }
    if model.server.is_some() {
        needed.push(("model.server", Feature::Prompted));
    }
    if models.values().any(|model| model.server.is_some()) {
        needed.push(("models", Feature::Prompted));
    }
    needed
}

fn is_cloud(url: &str) -> bool {
    url.split_once("://")
        .is_some_and(|(scheme, _)| scheme != "file")
}

impl Resolver<'_> {
    /// A key whose part of weir was left out of this build is a problem.
    pub(super) fn features(&mut self) {
        for (key, feature) in needed(self.written) {
            if !feature.is_built() {
                let at = self.written.place(key);
                let name = feature.name();
                let kind = Kind::Invalid(format!(
                    "`{key}` needs the feature `{name}`, which this weir was built without"
                ));
                self.problems.push(kind, &at, Feature::FIX);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_need_a_feature_are_known() {
        let of = |source: &str, sink: &str, more: &str| {
            let text = format!(
                "[source]\n{source}\n[sink]\n{sink}\n[tenants]\ndir = \"t\"\n[model]\npack = \"p\"\n{more}"
            );
            let written = Config::parse("weir.toml", &text, 1, [], &[]).unwrap();
            needed(&written)
        };
        let local = "type = \"object_store\"\nurl = \"./in\"";
        let out = "type = \"object_store\"\nurl = \"file:///out\"";
        assert_eq!(of(local, out, ""), []);
        assert_eq!(of("type = \"stdin\"", "type = \"stdout\"", ""), []);
        let topics =
            "type = \"kafka\"\nbootstrap_servers = \"k:1\"\ntopics = [\"a\"]\ngroup_id = \"g\"";
        assert_eq!(of(topics, out, ""), [("source.type", Feature::Kafka)]);
        assert_eq!(
            of("type = \"object_store\"\nurl = \"s3://b/in\"", out, ""),
            [("source.url", Feature::Clouds)]
        );
        for (key, line) in [
            ("source.format", "format = \"arrow\""),
            ("source.columns", "columns = { text = [\"a\"] }"),
            ("source.include", "include = [\"**/*.parquet\"]"),
        ] {
            let source = format!("{local}\n{line}");
            assert_eq!(of(&source, out, ""), [(key, Feature::Tables)]);
        }
        let parquet =
            format!("{out}\nformats = {{ redactions = \"parquet\", entities = \"parquet\" }}");
        let keys = ["sink.formats.redactions", "sink.formats.entities"];
        assert_eq!(
            of(local, &parquet, ""),
            keys.map(|key| (key, Feature::Tables))
        );
        let listen = "[telemetry]\nlisten = \"127.0.0.1:1\"\n";
        assert_eq!(
            of(local, out, listen),
            [("telemetry.listen", Feature::Server)]
        );
        let otlp = "[telemetry]\notlp = { endpoint = \"http://127.0.0.1:4318\" }\n";
        assert_eq!(of(local, out, otlp), [("telemetry.otlp", Feature::Otlp)]);
    }
}
