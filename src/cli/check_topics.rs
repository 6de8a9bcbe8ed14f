//! `weir check --connect` for topics: asks brokers and schema registries, writes nothing.

use super::check::{Report, counted};
use crate::{
    config::{KafkaSink, KafkaSource, Kind, Resolved, Sink, Source, Written},
    source::Brokers,
};

impl Report {
    /// Reaches brokers and registries of source and sink.
    pub(super) fn brokers(&mut self, resolved: &Resolved, written: &Written) {
        if let Source::Kafka(source) = &resolved.source {
            let topics = source.topics.iter().enumerate();
            let topics = topics.map(|(i, topic)| (format!("source.topics.{i}"), topic.as_str()));
            self.topics("source", &source.brokers, topics, written);
            let sink = match &resolved.sink {
                Sink::Kafka(sink) => Some(sink),
                _ => None,
            };
            self.registries(source, sink, written);
        }
        if let Sink::Kafka(sink) = &resolved.sink {
            let topics = sink.topics.named();
            let topics = topics.map(|(kind, topic)| (format!("sink.topics.{kind}"), topic));
            self.topics("sink", &sink.brokers, topics, written);
        }
    }

    /// Asks schema registries whether they answer, and for weir's schemas.
    fn registries(&mut self, source: &KafkaSource, sink: Option<&KafkaSink>, written: &Written) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime of one thread needs nothing but memory");
        for (key, answer) in runtime.block_on(super::kafka::registries(source, sink)) {
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
        let topics: Vec<(String, &str)> = topics.into_iter().collect();
        let key = format!("{section}.bootstrap_servers");
        match super::kafka::missing(brokers, topics.iter().map(|(_, topic)| *topic)) {
            Ok(missing) => {
                self.ok(
                    &format!("{section} brokers"),
                    &format!("answer, {}", counted(topics.len() - missing.len(), "topic")),
                );
                for (key, topic) in topics {
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
