//! Configuration: a TOML file, variables and flags in, checked settings out.
//!
//! In:  the file, `WEIR_SECTION__KEY` variables and `--set` flags, in rising order of precedence.
//! Out: [`Resolved`], or every problem found, each with place and fix.
//! Holds: an unknown key is refused; a secret in a file is refused, and no message prints a value
//!        that may be one (I7).
//! Does not know: stores, models, tenants' policies. It reads only the configuration file and the
//! secret files that it names.
//!
//! Two steps: what the user wrote ([`Written`], checked against its own JSON Schema, no I/O), then
//! what it means ([`Written::resolve`]: paths, patterns, secrets, rules across keys).

pub mod batch;
mod feature;
pub mod kafka;
pub mod limits;
pub mod model;
pub mod models;
mod overlay;
pub mod pipeline;
pub mod reference;
mod resolve;
mod route;
pub mod server;
pub mod sink;
pub mod source;
pub mod telemetry;
pub mod tenants;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_kafka;

use std::{collections::BTreeMap, ffi::OsString, path::Path, sync::LazyLock};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use feature::Feature;
pub use resolve::{
    AuditFeed, AuditFiles, Collector, Columns, DEFAULT_MODEL, Ids, Listen, Model, ObjectSink,
    ObjectSource, PathPattern, Resolved, Sink, Source, StdinSource, StdoutSink, TenantFrom,
    Tenants,
};

pub use kafka::{IdFrom, KafkaSink, KafkaSource};
pub use route::Route;

pub use resolve::Reveals;

use crate::diagnose::{
    Kind, Place, Problems, check,
    document::{self, Node, Value},
    reason, schema_of,
};

/// What the user wrote, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "weir configuration")]
pub struct Config {
    /// Where documents come from.
    pub source: source::Section,
    /// Where records go.
    pub sink: sink::Section,
    /// What each tenant asked for.
    pub tenants: tenants::Section,
    /// The model pack, and how weir runs it.
    pub model: model::Section,
    /// Further packs, by the names that tenants ask them with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, models::Section>,
    /// How weir puts windows together into batches.
    #[serde(default)]
    pub batch: batch::Section,
    /// Bounds that end a job or refuse a record.
    #[serde(default)]
    pub limits: limits::Section,
    /// How the worker stops.
    #[serde(default)]
    pub pipeline: pipeline::Section,
    /// Logs, metrics and health.
    #[serde(default)]
    pub telemetry: telemetry::Section,
}

/// A checked configuration together with where each value was written.
#[derive(Debug, Clone)]
pub struct Written {
    /// The values.
    pub config: Config,
    document: Node,
}

/// Where the values of a configuration come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Origin {
    Default,
    File,
    Environment,
    Flag,
}

/// One setting for `weir check --explain`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its dotted path.
    pub key: String,
    /// Its value as TOML; `…` in place of what may be a secret.
    pub value: String,
    /// Who set it.
    pub origin: Origin,
    /// Where it was written; `None` for a default.
    pub at: Option<Place>,
}

/// Keys and values that the next versions know.
const LATER: check::Rules = check::Rules {
    later: &[("sink.headers.cloudevents", "cloudevents")],
    // Redpanda Connect's names for the same.
    elsewhere: &[
        ("seed_brokers", "bootstrap_servers"),
        ("consumer_group", "group_id"),
        ("start_offset", "auto_offset_reset"),
        ("instance_id", "group_instance_id"),
        ("brokers", "bootstrap_servers"),
        ("group", "group_id"),
    ],
};

/// JSON Schema of the configuration.
pub fn schema() -> &'static Json {
    static SCHEMA: LazyLock<Json> = LazyLock::new(schema_of::<Config>);
    &SCHEMA
}

impl Config {
    /// Reads and checks a file, with the variables and flags that override it.
    pub fn load(
        path: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[String],
    ) -> Result<Written, Problems> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let at = Place::File {
                file: name.as_str().into(),
                line: 1,
                column: 1,
            };
            let kind = Kind::Unreadable {
                what: "the configuration".to_owned(),
                reason: reason(&error),
            };
            Problems::one(
                kind,
                at,
                "give a readable file, or make one with `weir init`",
            )
        })?;
        Self::parse(&name, &text, 1, variables, flags)
    }

    /// Checks a text; `first_line` is more than 1 for a fence inside a Markdown page.
    pub fn parse(
        file: &str,
        text: &str,
        first_line: usize,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[String],
    ) -> Result<Written, Problems> {
        let mut document = document::parse(file, text, first_line)?;
        let mut problems = Problems::default();
        overlay::environment(&mut document, schema(), variables, &mut problems);
        overlay::flags(&mut document, schema(), flags, &mut problems);
        check::check(&document, schema(), LATER, &mut problems);
        problems.into_result()?;
        let config = document.read()?;
        Ok(Written { config, document })
    }
}

impl Written {
    /// Where the key at a dotted path was written, or the nearest table that holds it.
    pub fn place(&self, path: &str) -> Place {
        self.document.place(path)
    }

    /// Whether somebody wrote the key at a dotted path.
    pub fn has(&self, path: &str) -> bool {
        let mut node = Some(&self.document);
        for part in path.split('.') {
            node = node
                .and_then(|node| node.entry(part))
                .map(|entry| &entry.node);
        }
        node.is_some()
    }

    /// Every setting with its value and origin, in the order of the reference.
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        explain(schema(), Some(&self.document), "", &mut settings);
        settings
    }
}

fn explain(of: &Json, node: Option<&Node>, path: &str, settings: &mut Vec<Setting>) {
    let options = check::alternatives(schema(), of);
    let entries = node.and_then(Node::entries).unwrap_or_default();
    let Some(object) = check::variant(&options, entries) else {
        return;
    };
    let properties = object.get("properties").and_then(Json::as_object);
    for (key, property) in properties.into_iter().flatten() {
        let child = entries.iter().find(|entry| entry.key == *key);
        let full = match path {
            "" => key.clone(),
            path => format!("{path}.{key}"),
        };
        let of_table = check::alternatives(schema(), property)
            .iter()
            .all(|schema| schema.get("properties").is_some());
        if of_table && (child.is_some() || property.get("default").is_none_or(Json::is_object)) {
            explain(property, child.map(|entry| &entry.node), &full, settings);
            continue;
        }
        match child {
            Some(entry) => settings.push(Setting {
                key: full,
                value: shown(key, &entry.node),
                origin: match entry.at {
                    Place::File { .. } => Origin::File,
                    Place::Environment(_) => Origin::Environment,
                    Place::Flag(_) => Origin::Flag,
                },
                at: Some(entry.at.clone()),
            }),
            None => {
                let default = property.get("default").filter(|default| !default.is_null());
                if let Some(default) = default {
                    settings.push(Setting {
                        key: full,
                        value: default.to_string(),
                        origin: Origin::Default,
                        at: None,
                    });
                }
            }
        }
    }
}

fn shown(key: &str, node: &Node) -> String {
    match &node.value {
        Value::Table(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|entry| format!("{} = {}", entry.key, shown(&entry.key, &entry.node)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        _ if check::is_secret_name(key) => "…".to_owned(),
        _ => node.to_toml().to_string(),
    }
}
