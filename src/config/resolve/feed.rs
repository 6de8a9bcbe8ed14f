//! What a notary or a checker reads of a worker's configuration: places, topics and logins, and none of the worker's
//! keys.

use std::{collections::BTreeMap, path::Path};

use url::Url;

use super::{Resolver, Written};
use crate::{
    audit::lineage::Names,
    config::{sink, source},
    diagnose::Problems,
    kafka::Brokers,
    store,
};

/// The audit feed of a stream.
#[derive(Debug, Clone)]
pub struct AuditFeed {
    /// Brokers of the source.
    pub source: Brokers,
    /// Consumer group of the worker.
    pub group_id: String,
    /// Names of its topics, or regular expressions behind a `^`.
    pub topics: Vec<String>,
    /// Brokers of the audit topic.
    pub feed: Brokers,
    /// The audit topic.
    pub topic: String,
    /// `host:port` of the source's brokers, as configured.
    pub source_servers: String,
    /// The same of the sink.
    pub sink_servers: String,
    /// Topic of the redactions.
    pub redactions: Option<String>,
    /// Topic of the entities.
    pub entities: Option<String>,
}

impl AuditFeed {
    /// The names that an event of OpenLineage gives.
    pub fn lineage(&self) -> Names {
        Names {
            source_servers: self.source_servers.clone(),
            sink_servers: self.sink_servers.clone(),
            group: self.group_id.clone(),
            redactions: self.redactions.clone(),
            entities: self.entities.clone(),
        }
    }
}

/// A sink of files with its audit.
#[derive(Debug, Clone)]
pub struct AuditFiles {
    /// Where the files are.
    pub url: Url,
    /// Options of the store.
    pub options: store::Options,
    /// Brokers, consumer group and topics, if the source has them.
    pub topics: Option<(Brokers, String, Vec<String>)>,
}

impl Written {
    /// The sink of files that a worker with this configuration writes; none where it writes no files.
    pub fn audit_files(&self, file: &Path) -> Result<Option<AuditFiles>, Problems> {
        let sink::Section::ObjectStore { url, options, .. } = &self.config.sink else {
            return Ok(None);
        };
        let mut resolver = Resolver {
            written: self,
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
            problems: Problems::default(),
        };
        let found = resolver.audit_files(url, options);
        resolver.problems.into_result()?;
        Ok(found)
    }

    /// The audit feed that a worker with this configuration writes.
    pub fn audit_feed(&self, file: &Path) -> Result<AuditFeed, Problems> {
        let mut resolver = Resolver {
            written: self,
            folder: file.parent().unwrap_or(Path::new("")).to_owned(),
            problems: Problems::default(),
        };
        let feed = resolver.audit_feed();
        resolver.problems.into_result()?;
        Ok(feed.expect("a part is missing only with a problem"))
    }
}

impl Resolver<'_> {
    fn audit_files(&mut self, url: &str, options: &BTreeMap<String, String>) -> Option<AuditFiles> {
        let url = self.url("sink.url", url)?;
        let options = self.options("sink.options", &url, options)?;
        let topics = match &self.written.config.source {
            source::Section::Kafka {
                bootstrap_servers,
                topics,
                group_id,
                sasl,
                tls,
                ..
            } => {
                let brokers =
                    self.brokers("source", bootstrap_servers, sasl.as_ref(), tls.as_ref());
                Some((brokers?, group_id.clone(), topics.clone()))
            }
            _ => None,
        };
        Some(AuditFiles {
            url,
            options,
            topics,
        })
    }

    fn audit_feed(&mut self) -> Option<AuditFeed> {
        let source::Section::Kafka {
            bootstrap_servers,
            topics: named,
            group_id,
            sasl,
            tls,
            ..
        } = &self.written.config.source
        else {
            let message = "an audit feed needs a source of type \"kafka\"".to_owned();
            self.invalid("source", message, "type = \"kafka\"");
            return None;
        };
        let sink::Section::Kafka {
            bootstrap_servers: of_sink,
            topics,
            ..
        } = &self.written.config.sink
        else {
            let message = "an audit feed needs a sink of type \"kafka\"".to_owned();
            self.invalid("sink", message, "type = \"kafka\"");
            return None;
        };
        let Some(topic) = topics.audit.clone() else {
            let message =
                "`sink.topics.audit` is missing: this stream has no audit feed".to_owned();
            self.invalid("sink.topics", message, "audit = \"…\"");
            return None;
        };
        let source = self.brokers("source", bootstrap_servers, sasl.as_ref(), tls.as_ref())?;
        let feed = self.brokers_of_sink(Some(&source))?;
        Some(AuditFeed {
            source,
            group_id: group_id.clone(),
            topics: named.clone(),
            feed,
            topic,
            source_servers: bootstrap_servers.clone(),
            sink_servers: of_sink.as_ref().unwrap_or(bootstrap_servers).clone(),
            redactions: topics.redactions.clone(),
            entities: topics.entities.clone(),
        })
    }

    /// The brokers of the sink: those of the source, unless it names servers or a login of its own. `source`: the
    /// source's, where they are resolved, so that their problems are reported once.
    pub(super) fn brokers_of_sink(&mut self, source: Option<&Brokers>) -> Option<Brokers> {
        let config = &self.written.config;
        let sink::Section::Kafka {
            bootstrap_servers: own,
            sasl,
            tls,
            ..
        } = &config.sink
        else {
            return None;
        };
        let of_source = match &config.source {
            source::Section::Kafka {
                bootstrap_servers,
                sasl,
                tls,
                ..
            } => Some((bootstrap_servers, sasl, tls)),
            _ => None,
        };
        let is_own = own.is_some() || sasl.is_some() || tls.is_some();
        match (source, of_source) {
            (Some(source), _) if !is_own => return Some(source.clone()),
            (None, Some((servers, sasl, tls))) if !is_own => {
                return self.brokers("source", servers, sasl.as_ref(), tls.as_ref());
            }
            _ => {}
        }
        let Some(servers) = own.as_ref().or(of_source.map(|(servers, ..)| servers)) else {
            let message = "`sink.bootstrap_servers` is missing".to_owned();
            self.invalid("sink", message, "bootstrap_servers = \"…\"");
            return None;
        };
        self.brokers("sink", servers, sasl.as_ref(), tls.as_ref())
    }
}
