//! `[sink]`, and the rules across sections.

use url::Url;

use super::{ObjectSink, Resolver, Sink, Source, StdoutSink};
use crate::{
    config::{Config, sink},
    diagnose::Kind,
    record::commit::AUDIT,
};

impl Resolver<'_> {
    pub(super) fn sink(&mut self, config: &Config, source: Option<&Source>) -> Option<Sink> {
        match &config.sink {
            sink::Section::Kafka { .. } => self.kafka_sink(config, source).map(Sink::Kafka),
            sink::Section::ObjectStore {
                url,
                options,
                formats,
                compression,
                lease_secs,
                roll,
                audit_key_file,
                audit_key_env,
            } => {
                let url = self.url("sink.url", url);
                let options = url
                    .as_ref()
                    .and_then(|url| self.options("sink.options", url, options));
                let named = (audit_key_file.as_deref(), audit_key_env.as_deref());
                let audit_key = self.secret("sink.audit_key", named.0, named.1);
                Some(Sink::ObjectStore(ObjectSink {
                    url: url?,
                    options: options?,
                    formats: *formats,
                    compression: *compression,
                    lease: std::time::Duration::from_secs(lease_secs.get()),
                    roll: roll.unwrap_or_default(),
                    audit_key: audit_key?,
                }))
            }
            sink::Section::Stdout { records } => {
                Some(Sink::Stdout(StdoutSink { records: *records }))
            }
        }
    }

    /// Rules across keys: the message names both values.
    pub(super) fn rules(&mut self, config: &Config) {
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
    pub(super) fn apart(&mut self, source: &Source, sink: &Sink) {
        let (Source::ObjectStore(source), Sink::ObjectStore(sink)) = (source, sink) else {
            return;
        };
        let with_end = |url: &Url| format!("{}/", url.as_str().trim_end_matches('/'));
        let (from, to) = (with_end(&source.url), with_end(&sink.url));
        let audit = sink.audit_key.as_ref().map(|_| AUDIT);
        let reads_output = ["entities", "redactions", "dead_letters"]
            .into_iter()
            .chain(audit)
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
}
