//! A route whose two ends can be opened.

use std::time::Duration;

#[cfg(feature = "kafka")]
use super::topics::Topics;
use super::{Error, objects, stdio};
use crate::{
    config::{ObjectSink, ObjectSource, Route, StdinSource, limits},
    sink::{self, Printer},
    source::Objects,
};

/// A route whose two ends can be opened. Nothing was read, written or made yet.
pub(super) enum Opened<'c> {
    Objects {
        objects: Objects,
        target: Target<'c>,
        /// Time between looks for new objects; `None` ends with those that are there.
        poll: Option<Duration>,
    },
    /// Without a printer for a dry run.
    Stdin(&'c StdinSource, Option<Printer>),
    #[cfg(feature = "kafka")]
    Topics(Topics<'c>),
}

/// Where the records of objects go.
pub(super) enum Target<'c> {
    Files(&'c ObjectSink),
    Printer(Printer),
    Nothing,
}

impl<'c> Opened<'c> {
    pub(super) async fn new(
        route: Route<'c>,
        limits: &limits::Section,
        dry_run: bool,
    ) -> Result<Self, Error> {
        match route {
            Route::ObjectsToObjects(source, sink) => {
                let objects = objects::source(source, limits)?;
                if dry_run {
                    return Ok(Self::of(source, objects, Target::Nothing));
                }
                if let Some(location) = objects::planned(sink).map_err(sink::Error::from)? {
                    objects::apart(&objects, sink, &location)?;
                }
                Ok(Self::of(source, objects, Target::Files(sink)))
            }
            Route::ObjectsToStdout(source, sink) => {
                let objects = objects::source(source, limits)?;
                let target = match dry_run {
                    true => Target::Nothing,
                    false => Target::Printer(stdio::printer(sink)),
                };
                Ok(Self::of(source, objects, target))
            }
            Route::StdinToStdout(source, sink) => Ok(Self::Stdin(
                source,
                (!dry_run).then(|| stdio::printer(sink)),
            )),
            #[cfg(feature = "kafka")]
            Route::TopicsToTopics(source, sink) => {
                Ok(Self::Topics(Topics::to_topics(source, sink).await?))
            }
            #[cfg(feature = "kafka")]
            Route::TopicsToObjects(source, sink) => {
                Ok(Self::Topics(Topics::to_objects(source, sink).await?))
            }
            #[cfg(not(feature = "kafka"))]
            Route::TopicsToTopics(..) | Route::TopicsToObjects(..) => {
                unreachable!("refused when the configuration was resolved: no feature `kafka`")
            }
        }
    }

    fn of(source: &ObjectSource, objects: Objects, target: Target<'c>) -> Self {
        Self::Objects {
            objects,
            // A look at everything with nothing written has no second round.
            poll: source.poll.filter(|_| !matches!(target, Target::Nothing)),
            target,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;
    use crate::config::{Config, Resolved};

    const SOURCES: [&str; 3] = [
        "type = \"object_store\"\nurl = \"in\"\npoll_secs = 5",
        "type = \"stdin\"",
        "type = \"kafka\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"t\"]\ngroup_id = \"g\"",
    ];
    const SINKS: [&str; 3] = [
        "type = \"object_store\"\nurl = \"out\"",
        "type = \"stdout\"",
        "type = \"kafka\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = { entities = \"e\", dead_letters = \"d\" }",
    ];

    /// Every pair that the configuration lets pass, in a folder.
    fn resolved(dir: &std::path::Path) -> Vec<Resolved> {
        std::fs::create_dir(dir.join("in")).unwrap();
        let pairs = SOURCES
            .iter()
            .flat_map(|source| SINKS.map(|sink| (source, sink)));
        let resolved = pairs.filter_map(|(source, sink)| {
            let text = format!(
                "[source]\n{source}\n[sink]\n{sink}\n[tenants]\ndir = \"t\"\n[model]\npack = \"p\"\n\
                 [pipeline]\nslots = 3\n"
            );
            let written = Config::parse("weir.toml", &text, 1, [], &[]).unwrap();
            written.resolve(&dir.join("weir.toml")).ok()
        });
        resolved.collect()
    }

    #[tokio::test]
    async fn every_route_that_resolves_is_opened_and_nothing_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let resolved = resolved(dir.path());
        let mut routes = Vec::new();
        for resolved in &resolved {
            let route = resolved.route();
            if !routes.contains(&discriminant(&route)) {
                routes.push(discriminant(&route));
            }
            for dry_run in [false, true] {
                let opened = Opened::new(route, &resolved.limits, dry_run).await;
                let opened = opened.unwrap_or_else(|error| panic!("{route:?}: {error}"));
                match (route, &opened) {
                    (Route::ObjectsToObjects(..), Opened::Objects { target, poll, .. }) => {
                        assert_eq!(matches!(target, Target::Nothing), dry_run);
                        assert_eq!(matches!(target, Target::Files(_)), !dry_run);
                        assert_eq!(poll.is_none(), dry_run, "a dry run ends");
                    }
                    (Route::ObjectsToStdout(..), Opened::Objects { target, .. }) => {
                        assert_eq!(matches!(target, Target::Nothing), dry_run);
                        assert_eq!(matches!(target, Target::Printer(_)), !dry_run);
                    }
                    (Route::StdinToStdout(..), Opened::Stdin(_, printer)) => {
                        assert_eq!(printer.is_none(), dry_run);
                    }
                    #[cfg(feature = "kafka")]
                    (Route::TopicsToTopics(..) | Route::TopicsToObjects(..), Opened::Topics(_)) => {
                    }
                    (route, _) => panic!("{route:?} is opened as another one"),
                }
                assert!(!dir.path().join("out").exists(), "{route:?}");
            }
        }
        let all = if cfg!(feature = "kafka") { 5 } else { 3 };
        assert_eq!(routes.len(), all);
        assert_eq!(resolved.len(), all, "a pair has one route");
    }

    #[cfg(feature = "kafka")]
    #[tokio::test]
    async fn slots_have_ids_of_their_own_and_share_the_memory() {
        use crate::pipeline::slot;

        let dir = tempfile::tempdir().unwrap();
        let resolved = resolved(dir.path());
        let mut kinds = 0;
        for resolved in &resolved {
            let opened = Opened::new(resolved.route(), &resolved.limits, false).await;
            let Ok(Opened::Topics(topics)) = opened else {
                continue;
            };
            kinds += 1;
            let slots = topics.slots(&resolved.limits, &resolved.pipeline, "c", "p");
            let slots = slots.unwrap();
            assert_eq!(slots.len(), 3);
            let whole = resolved.limits.max_in_flight_bytes;
            assert!(slots.iter().map(|slot| slot.in_flight_bytes).sum::<u64>() <= whole);
            let ids: std::collections::BTreeSet<_> = slots
                .iter()
                .filter_map(|slot| match &slot.sink {
                    slot::Sink::Topics(topics) => topics.transactional_id.clone(),
                    slot::Sink::Objects(_) => None,
                })
                .collect();
            assert!(ids.len() == 3 || ids.is_empty(), "{ids:?}");
        }
        assert_eq!(kinds, 2, "topics and files");
    }
}
