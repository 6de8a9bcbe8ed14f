//! What `weir reveal` reads of a worker's configuration: the topic of its events, and how to write to it.

use std::path::Path;

use super::{Resolver, Written, topics::is_topic};
use crate::{config::sink, diagnose::Problems, kafka::Brokers};

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
        let sink::Section::Kafka { topics, .. } = &self.written.config.sink else {
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
        let brokers = self.brokers_of_sink(None)?;
        Some(Reveals { brokers, topic })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_sink_with_a_login_of_its_own_keeps_it_on_the_brokers_of_the_source() {
        let of = |login: &str| {
            let text = format!(
                "[source]\ntype = \"kafka\"\nbootstrap_servers = \"k:9092\"\ntopics = [\"t\"]\ngroup_id = \"g\"\n\
                 [sink]\ntype = \"kafka\"\ntopics = {{ dead_letters = \"d\", reveals = \"r\" }}\n{login}\
                 [tenants]\ndir = \"t\"\n[model]\npack = \"weir-mini\"\n"
            );
            let written = Config::parse("weir.toml", &text, 1, [], &[]).unwrap();
            let found = written.reveals(Path::new("weir.toml")).unwrap();
            let config = found.brokers.config();
            let of = |name| config.get(name).map(str::to_owned);
            (of("bootstrap.servers"), of("security.protocol"))
        };
        let servers = Some("k:9092".to_owned());
        let (own, plain) = (of("tls = {}\n"), of(""));
        assert_eq!((&own.0, &plain.0), (&servers, &servers));
        assert_eq!(own.1.map(|own| own.to_lowercase()).as_deref(), Some("ssl"));
        assert_ne!(
            plain.1.map(|own| own.to_lowercase()).as_deref(),
            Some("ssl")
        );
    }
}
