//! What `weir reveal` reads of a worker's configuration: the topic of its events, and how to write to it.

use std::path::Path;

use super::{Resolver, Written, topics::is_topic};
use crate::{
    config::{sink, source},
    diagnose::Problems,
    kafka::Brokers,
};

/// The topic of events of `weir reveal`.
#[derive(Debug, Clone)]
pub struct Reveals {
    /// Its brokers.
    pub brokers: Brokers,
    /// Its name.
    pub topic: String,
}

impl Written {
    /// The topic of events of `weir reveal`.
    pub fn reveals(&self, file: &Path) -> Result<Reveals, Problems> {
        let mut resolver = Resolver {
            written: self,
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
            problems: Problems::default(),
        };
        let found = resolver.reveals();
        resolver.problems.into_result()?;
        Ok(found.expect("a part is missing only with a problem"))
    }
}

impl Resolver<'_> {
    fn reveals(&mut self) -> Option<Reveals> {
        let sink::Section::Kafka {
            bootstrap_servers,
            topics,
            sasl,
            tls,
            ..
        } = &self.written.config.sink
        else {
            let message = "events of `weir reveal` need a sink of type \"kafka\"".to_owned();
            self.invalid("sink", message, "type = \"kafka\", or --audit with a file");
            return None;
        };
        let Some(topic) = topics.reveals.clone() else {
            let message = "`sink.topics.reveals` is missing".to_owned();
            self.invalid("sink.topics", message, "reveals = \"…\"");
            return None;
        };
        if !is_topic(&topic) {
            let message = "`sink.topics.reveals` is not the name of a topic".to_owned();
            let fix = "letters, digits, `.`, `_` and `-`";
            self.invalid("sink.topics.reveals", message, fix);
            return None;
        }
        let brokers = match (bootstrap_servers, &self.written.config.source) {
            (
                None,
                source::Section::Kafka {
                    sasl,
                    tls,
                    bootstrap_servers,
                    ..
                },
            ) => self.brokers("source", bootstrap_servers, sasl.as_ref(), tls.as_ref())?,
            (Some(servers), _) => self.brokers("sink", servers, sasl.as_ref(), tls.as_ref())?,
            (None, _) => {
                let message = "`sink.bootstrap_servers` is missing".to_owned();
                self.invalid("sink", message, "bootstrap_servers = \"…\"");
                return None;
            }
        };
        Some(Reveals { brokers, topic })
    }
}
