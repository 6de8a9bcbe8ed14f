//! Which sources and sinks go together.

use super::{
    Written,
    kafka::{KafkaSink, KafkaSource},
    resolve::{ObjectSink, ObjectSource, Sink, Source, StdinSource, StdoutSink},
};
use crate::diagnose::{Kind, Problems};

/// A source and a sink that go together. A pair that is not here is refused when the configuration is
/// resolved, so that what `weir check` passes, `weir run` runs.
#[derive(Debug, Clone, Copy)]
pub enum Route<'c> {
    /// A worker between topics: offsets and records in one transaction.
    TopicsToTopics(&'c KafkaSource, &'c KafkaSink),
    /// A worker that gathers the records of topics in files.
    TopicsToObjects(&'c KafkaSource, &'c ObjectSink),
    /// A job that writes the outputs of each object.
    ObjectsToObjects(&'c ObjectSource, &'c ObjectSink),
    /// A job that prints.
    ObjectsToStdout(&'c ObjectSource, &'c StdoutSink),
    /// A filter.
    StdinToStdout(&'c StdinSource, &'c StdoutSink),
}

/// Why a pair does not go together, and the sinks that do.
struct Refused {
    why: &'static str,
    fix: &'static str,
}

impl<'c> Route<'c> {
    fn of(source: &'c Source, sink: &'c Sink) -> Result<Self, Refused> {
        let refused = match (source, sink) {
            (Source::Kafka(source), Sink::Kafka(sink)) => {
                return Ok(Self::TopicsToTopics(source, sink));
            }
            (Source::Kafka(source), Sink::ObjectStore(sink)) => {
                return Ok(Self::TopicsToObjects(source, sink));
            }
            (Source::ObjectStore(source), Sink::ObjectStore(sink)) => {
                return Ok(Self::ObjectsToObjects(source, sink));
            }
            (Source::ObjectStore(source), Sink::Stdout(sink)) => {
                return Ok(Self::ObjectsToStdout(source, sink));
            }
            (Source::Stdin(source), Sink::Stdout(sink)) => {
                return Ok(Self::StdinToStdout(source, sink));
            }
            (Source::Kafka(_), Sink::Stdout(_)) => Refused {
                why: "a source of type \"kafka\" can't have a sink of type \"stdout\": printed records are \
                      not part of a transaction",
                fix: "\"kafka\" or \"object_store\"",
            },
            (Source::ObjectStore(_), Sink::Kafka(_)) => Refused {
                why: "a sink of type \"kafka\" needs a source of type \"kafka\": the offsets are committed with \
                      the records",
                fix: "\"object_store\" or \"stdout\"",
            },
            (Source::Stdin(_), Sink::Kafka(_)) => Refused {
                why: "a sink of type \"kafka\" needs a source of type \"kafka\": the offsets are committed with \
                      the records",
                fix: "\"stdout\"",
            },
            (Source::Stdin(_), Sink::ObjectStore(_)) => Refused {
                why: "a source of type \"stdin\" can't have a sink of type \"object_store\": output files are \
                      named after the objects that were read",
                fix: "\"stdout\", or read files with source.type = \"object_store\"",
            },
        };
        Err(refused)
    }

    /// The route, or a problem at the sink's type.
    pub(super) fn check(source: &Source, sink: &Sink, written: &Written, problems: &mut Problems) {
        if let Err(Refused { why, fix }) = Route::of(source, sink) {
            let at = written.place("sink.type");
            problems.push(Kind::Conflict(why.to_owned()), &at, fix);
        }
    }

    /// The route of a configuration whose pair was checked.
    pub(super) fn checked(source: &'c Source, sink: &'c Sink) -> Self {
        Self::of(source, sink).ok().expect(
            "a pair that does not go together was refused when the configuration was resolved",
        )
    }

    /// Why `--dry-run` and `--limit` can't be used: they need an input that can be read again.
    pub fn refuses_trial(self) -> Option<&'static str> {
        match self {
            Self::TopicsToTopics(..) | Self::TopicsToObjects(..) => {
                Some("--dry-run and --limit are for objects and standard input, not for topics")
            }
            Self::ObjectsToObjects(..) | Self::ObjectsToStdout(..) | Self::StdinToStdout(..) => {
                None
            }
        }
    }
}
