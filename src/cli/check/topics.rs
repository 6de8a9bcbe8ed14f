//! `--connect` for topics: brokers and schema registries are asked, nothing is written.

use super::{
    connect,
    report::{Report, counted},
};
use crate::{
    assemble::{registries, topics},
    config::{KafkaSink, KafkaSource, Written},
    diagnose::Kind,
    kafka::Brokers,
};

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
    }

    /// Asks schema registries whether they answer, and for weir's schemas.
    pub(super) fn registries(
        &mut self,
        source: &KafkaSource,
        sink: Option<&KafkaSink>,
        written: &Written,
    ) {
        for (key, answer) in connect::runtime().block_on(registries::answers(source, sink)) {
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
