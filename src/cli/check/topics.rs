//! `--connect` for topics: brokers and schema registries are asked, nothing is written.

use std::time::Duration;

use super::{
    super::runtime,
    report::{Report, counted},
};
use crate::{
    assemble::{registries, topics},
    config::{KafkaSink, KafkaSource, Written},
    diagnose::Kind,
    kafka::Brokers,
};

/// Longest wait for an answer about a topic.
const WAIT: Duration = Duration::from_secs(10);

impl Report {
    pub(super) fn source_topics(&mut self, source: &KafkaSource, written: &Written) {
        let topics = source.topics.iter().enumerate();
        let topics = topics.map(|(i, topic)| (format!("source.topics.{i}"), topic.as_str()));
        self.topics("source", &source.brokers, topics, written);
    }

    pub(super) fn sink_topics(&mut self, sink: &KafkaSink, written: &Written) {
        let topics = sink.topics.named();
        let topics = topics.map(|(kind, topic)| (format!("sink.topics.{kind}"), topic));
        self.topics("sink", &sink.brokers, topics, written);
        let Some(audit) = &sink.topics.audit else {
            return;
        };
        if sink.brokers.is_compacted(audit, WAIT) == Some(true) {
            let kind = Kind::Invalid(format!(
                "the topic \"{audit}\" is compacted: it would keep the last audit record of each partition"
            ));
            let fix = "set its cleanup.policy to delete";
            let at = written.place("sink.topics.audit");
            self.problems.push(kind, &at, fix);
        }
    }

    /// Whether the audit of these topics can be proven.
    pub(super) fn audited(&mut self, source: &KafkaSource, sink: &KafkaSink) {
        if sink.topics.audit.is_none() {
            return;
        }
        let named = source.topics.iter().filter(|own| !own.starts_with('^'));
        for topic in named {
            if source.brokers.is_compacted(topic, WAIT) == Some(true) {
                self.warn(
                    "audit",
                    &format!(
                        "the topic \"{topic}\" is compacted: `weir audit verify` can't prove why offsets are missing there"
                    ),
                );
            }
        }
    }

    /// Asks schema registries whether they answer, and for weir's schemas.
    pub(super) fn registries(
        &mut self,
        source: &KafkaSource,
        sink: Option<&KafkaSink>,
        written: &Written,
    ) {
        for (key, answer) in runtime().block_on(registries::answers(source, sink)) {
            match answer {
                Ok(found) => self.ok(key, found),
                Err(error) => {
                    let fix = error.hint().unwrap_or_default();
                    let kind = Kind::Invalid(error.to_string());
                    self.problems.push(kind, &written.place(key), fix);
                }
            }
        }
    }

    /// Asks brokers for their topics.
    fn topics<'t>(
        &mut self,
        section: &str,
        brokers: &Brokers,
        topics: impl IntoIterator<Item = (String, &'t str)>,
        written: &Written,
    ) {
        let named: Vec<(String, &str)> = topics.into_iter().collect();
        let key = format!("{section}.bootstrap_servers");
        match topics::missing(brokers, named.iter().map(|(_, topic)| *topic)) {
            Ok(missing) => {
                self.ok(
                    &format!("{section} brokers"),
                    &format!("answer, {}", counted(named.len() - missing.len(), "topic")),
                );
                for (key, topic) in named {
                    if missing.iter().any(|missing| missing == topic) {
                        let kind = Kind::Invalid(format!("the topic \"{topic}\" does not exist"));
                        let fix = "create it, or let the brokers create topics";
                        self.problems.push(kind, &written.place(&key), fix);
                    }
                }
            }
            Err(error) => {
                let kind = Kind::Invalid(format!("`{key}` can't be reached: {error}"));
                let fix = "check the address, sasl and tls";
                self.problems.push(kind, &written.place(&key), fix);
            }
        }
    }
}
