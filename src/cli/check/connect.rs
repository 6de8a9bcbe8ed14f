//! `--connect`: stores are asked for their first object, and brokers for their topics; nothing is written but a probe
//! in stores of subject keys.

use std::path::Path;

use super::{super::runtime, report::Report};
#[cfg(feature = "otlp")]
use crate::assemble::telemetry;
use crate::{
    assemble::objects,
    config::{ObjectSink, ObjectSource, Resolved, Route, Written},
    diagnose::{Kind, reason},
    source::{self, Objects},
    store::{self, Location},
    tenant::{self, Tenants},
};

impl Report {
    /// The stores of subject keys, which have to be written for the first document of a subject.
    pub(super) fn subject_keys(&mut self, tenants: &Tenants, dir: &Path) {
        for policy in tenants.iter() {
            let Some(keys) = &policy.subject_keys else {
                continue;
            };
            match runtime().block_on(keys.probe()) {
                Ok(Some(())) => self.ok(keys.url(), "can be written"),
                Ok(None) => self.ok(keys.url(), "folder, will be made"),
                Err(error) => {
                    let file = dir.join(format!("{}.toml", policy.tenant));
                    let place = tenant::place(&file, "subject_keys");
                    let kind = Kind::Invalid(error.to_string());
                    self.problems.push(kind, &place, error.hint());
                }
            }
        }
    }

    /// Opens both ends of the route as the job does, but that nothing is made.
    pub(super) fn connect(&mut self, resolved: &Resolved, written: &Written) {
        #[cfg(feature = "prompted")]
        self.model_servers(resolved, written);
        #[cfg(feature = "otlp")]
        self.collector(resolved, written);
        match resolved.route() {
            Route::ObjectsToObjects(source, sink) => {
                let objects = self.source(source, resolved, written);
                let location = self.sink(sink, written);
                if let (Some(objects), Some(location)) = (objects, location) {
                    self.apart(&objects, sink, &location, written);
                }
            }
            Route::ObjectsToStdout(source, _) => {
                self.source(source, resolved, written);
            }
            Route::StdinToStdout(..) => {}
            #[cfg(feature = "kafka")]
            Route::TopicsToTopics(source, sink) => {
                self.source_topics(source, written);
                self.registries(source, Some(sink), written);
                self.sink_topics(sink, written);
                self.audited(source, sink);
            }
            #[cfg(feature = "kafka")]
            Route::TopicsToObjects(source, sink) => {
                self.source_topics(source, written);
                self.registries(source, None, written);
                self.sink(sink, written);
            }
            #[cfg(not(feature = "kafka"))]
            Route::TopicsToTopics(..) | Route::TopicsToObjects(..) => {
                unreachable!("refused when the configuration was resolved: no feature `kafka`")
            }
        }
    }

    /// The collector, if one is named. What is wrong with the environment was told before.
    #[cfg(feature = "otlp")]
    fn collector(&mut self, resolved: &Resolved, written: &Written) {
        use crate::telemetry::otlp::Reached;
        let why = match telemetry::collector(resolved).reach() {
            Ok(Reached::NotAsked) | Err(_) => return,
            Ok(Reached::Takes) => return self.ok("the collector", "takes telemetry"),
            Ok(Reached::Refuses(status)) => format!("it answers with status {status}"),
            Ok(Reached::Silent) => "no answer".to_owned(),
        };
        let kind = Kind::Invalid(format!("the collector does not take traces: {why}"));
        let fix = "check telemetry.otlp.endpoint (its port for HTTP, without /v1/traces) and headers_file";
        let place = written.place("telemetry.otlp.endpoint");
        self.problems.push(kind, &place, fix);
    }

    /// The objects to read, if their store answers.
    fn source(
        &mut self,
        source: &ObjectSource,
        resolved: &Resolved,
        written: &Written,
    ) -> Option<Objects> {
        let opened = objects::source(source, &resolved.limits);
        let reached = opened.and_then(|objects| Ok((reach(objects.location())?, objects)));
        self.place("source.url", source.url.as_str(), reached, written)
    }

    /// The sink, if it is there and answers.
    fn sink(&mut self, sink: &ObjectSink, written: &Written) -> Option<Location> {
        let planned = objects::planned(sink);
        let reached = planned.and_then(|location| match location {
            None => Ok(("folder, will be made", None)),
            Some(location) => Ok((reach(&location)?, Some(location))),
        });
        let reached = reached.map_err(source::Error::from);
        self.place("sink.url", sink.url.as_str(), reached, written)?
    }

    /// Says how a place was found, or why it can't be reached.
    fn place<T>(
        &mut self,
        key: &str,
        url: &str,
        reached: Result<(&'static str, T), source::Error>,
        written: &Written,
    ) -> Option<T> {
        match reached {
            Ok((found, place)) => {
                self.ok(url, found);
                Some(place)
            }
            Err(error) => {
                let why = match &error {
                    source::Error::Place(store::Error::Store { source, .. }) => kind_of(source),
                    source::Error::Place(store::Error::Folder { source, .. }) => reason(source),
                    error => error.to_string(),
                };
                let kind = Kind::Invalid(format!("`{key}` can't be reached: {why}"));
                let fix =
                    "check the address, the credentials in the cloud's variables, and `options`";
                self.problems.push(kind, &written.place(key), fix);
                None
            }
        }
    }

    /// Links may lead from the one end to the other.
    fn apart(
        &mut self,
        objects: &Objects,
        sink: &ObjectSink,
        location: &Location,
        written: &Written,
    ) {
        if let Err(error) = objects::apart(objects, sink, location) {
            let fix = error.hint().unwrap_or_default();
            let kind = Kind::Invalid(error.to_string());
            self.problems.push(kind, &written.place("sink.url"), fix);
        }
    }
}

/// Asks a store for its first object.
fn reach(location: &Location) -> Result<&'static str, store::Error> {
    runtime().block_on(location.connect())?;
    Ok(match location.folder() {
        Some(_) => "folder",
        None => "reached",
    })
}

/// The kind of a store's error; its own message may hold a signed URL.
fn kind_of(error: &object_store::Error) -> String {
    match error {
        object_store::Error::NotFound { .. } => "not found",
        object_store::Error::PermissionDenied { .. } => "permission denied",
        object_store::Error::Unauthenticated { .. } => "the credentials are missing or wrong",
        object_store::Error::UnknownConfigurationKey { .. } => {
            "an option is not known to the store"
        }
        object_store::Error::InvalidPath { .. } => "the path is not valid",
        _ => "no usable answer",
    }
    .to_owned()
}
