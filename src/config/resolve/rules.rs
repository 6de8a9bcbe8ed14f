//! Rules between a Kafka source, its sink and the rest.

use super::{Resolver, Sink, Source};
use crate::{
    config::{Config, sink, source},
    diagnose::Kind,
};

impl Resolver<'_> {
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
}
