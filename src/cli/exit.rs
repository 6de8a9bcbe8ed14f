//! Exit codes and failures.

use std::process::ExitCode;

use super::out;
use crate::{assemble, diagnose::Problems, model, pipeline::job, sink, source};
#[cfg(feature = "kafka")]
use crate::{
    audit,
    pipeline::{replay, slot},
    record::avro,
    sink::kafka as topics,
    source::kafka as group,
};

/// Exit codes: the first ones by custom, the others from sysexits.h, 143 as a shell reports a
/// process that SIGTERM ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or drained on SIGTERM.
    Done = 0,
    /// A check, test or evaluation failed, or a worker is not ready.
    No = 1,
    /// The command line is wrong.
    Usage = 2,
    /// More dead letters than `limits.max_dead_letters`.
    DeadLetters = 65,
    /// There is no file to read.
    NoInput = 66,
    /// A store, broker, model server or worker can't be reached, or refuses.
    Unavailable = 69,
    /// A bug in weir.
    Bug = 70,
    /// Reading or writing failed.
    Io = 74,
    /// A worker stood still for too long; starting it again may help.
    Stalled = 75,
    /// The configuration, a tenant file or the pack is wrong.
    Config = 78,
    /// The drain deadline passed, or a second signal came.
    Terminated = 143,
}

/// For the end of help texts.
pub const HELP: &str = "\
Exit codes:
  0    done, or drained on SIGTERM
  1    check, test or eval found something wrong; status: the worker is not ready
  2    the command line is wrong
  65   more dead letters than limits.max_dead_letters
  66   no file to read
  69   a store, broker, model server or worker can't be reached, or refuses
  70   a bug in weir
  74   reading or writing failed
  75   a worker committed nothing for too long (pipeline.stall_secs); start it again
  78   the configuration, a tenant file or the pack is wrong
  143  the drain deadline passed, or a second signal came";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command ended before its end. The message is for people and holds no text of a document.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub exit: Exit,
    /// What went wrong; printed with its causes. `None`: there is nothing to print.
    pub error: Option<anyhow::Error>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: Some(error.into()),
            hint: None,
        }
    }

    /// Adds what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The reader of our output closed it (`weir schema config | head`).
    fn broken_pipe() -> Self {
        Self {
            exit: Exit::Done,
            error: None,
            hint: None,
        }
    }

    /// Prints error, causes, blank line, hint; problems of files as they are.
    pub fn print(&self) {
        let Some(error) = &self.error else { return };
        if let Some(problems) = error.downcast_ref() {
            return out::problems(problems);
        }
        out::message(&format!("{0}error:{0:#} {error}", out::ERROR));
        for cause in error.chain().skip(1) {
            out::message(&format!("  because {cause}"));
        }
        if let Some(hint) = &self.hint {
            out::message(&format!("\n  fix: {hint}"));
        }
    }
}

impl From<assemble::Error> for Failure {
    fn from(error: assemble::Error) -> Self {
        use assemble::Error;
        let exit = match &error {
            Error::Model(error) | Error::Job(job::Error::Model(error)) => of_model(error),
            Error::Tenants(_) => Exit::Config,
            Error::Source(_) | Error::Job(job::Error::Source(_)) => Exit::Unavailable,
            Error::Sink(error) | Error::Job(job::Error::Sink(error)) => {
                if is_broken_pipe(error) {
                    return Self::broken_pipe();
                }
                of_sink(error)
            }
            #[cfg(feature = "kafka")]
            Error::Registry(avro::Error::Unavailable { .. }) => Exit::Unavailable,
            #[cfg(feature = "kafka")]
            Error::Registry(_) => Exit::Config,
            #[cfg(feature = "kafka")]
            Error::Stream(error) => of_stream(error),
            #[cfg(feature = "server")]
            Error::Listen(_) => Exit::Unavailable,
            #[cfg(feature = "server")]
            Error::Metrics(_) => Exit::Bug,
            Error::Recorded(_) => Exit::Bug,
            #[cfg(feature = "otlp")]
            Error::Collector(_) => Exit::Config,
            Error::Panicked(_) | Error::Job(job::Error::Engine) => Exit::Bug,
        };
        let hint = error.hint();
        let failure = match error {
            Error::Tenants(problems) => Self::new(exit, problems),
            error => Self::new(exit, error),
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// A model that can't be loaded, or whose server is away.
fn of_model(error: &model::Error) -> Exit {
    match error {
        model::Error::Server(error) if error.is_of_server() => Exit::Unavailable,
        _ => Exit::Config,
    }
}

/// A sink that can't be opened or written.
fn of_sink(error: &sink::Error) -> Exit {
    match error {
        sink::Error::Loop { .. } => Exit::Config,
        sink::Error::Store { .. } if error.io_kind().is_none() => Exit::Unavailable,
        _ => Exit::Io,
    }
}

fn is_broken_pipe(error: &sink::Error) -> bool {
    matches!(error, sink::Error::Write { source, .. }
        if source.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A slot that stopped before its end.
#[cfg(feature = "kafka")]
fn of_stream(error: &slot::Error) -> Exit {
    match error {
        slot::Error::Source(group::Error::Options(_) | group::Error::Headers(_))
        | slot::Error::Sink(
            topics::Error::Options(_)
            | topics::Error::NoTopic { .. }
            | topics::Error::Registry(
                avro::Error::NotRegistered { .. } | avro::Error::Refused { .. },
            ),
        )
        | slot::Error::Store(sink::Error::Shorter { .. })
        | slot::Error::TwoClusters => Exit::Config,
        slot::Error::Model(error) => of_model(error),
        slot::Error::Engine | slot::Error::Panicked => Exit::Bug,
        slot::Error::Stalled(_) => Exit::Stalled,
        slot::Error::Store(_) => Exit::Io,
        slot::Error::Source(_) | slot::Error::Sink(_) => Exit::Unavailable,
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        assemble::Error::from(problems).into()
    }
}

impl From<model::Error> for Failure {
    fn from(error: model::Error) -> Self {
        assemble::Error::from(error).into()
    }
}

impl From<source::Error> for Failure {
    fn from(error: source::Error) -> Self {
        assemble::Error::from(error).into()
    }
}

impl From<job::Error> for Failure {
    fn from(error: job::Error) -> Self {
        assemble::Error::from(error).into()
    }
}

#[cfg(feature = "kafka")]
impl From<audit::live::Error> for Failure {
    fn from(error: audit::live::Error) -> Self {
        let exit = match &error {
            audit::live::Error::Source(group::Error::Options(_)) => Exit::Config,
            _ => Exit::Unavailable,
        };
        Self::new(exit, error)
    }
}

#[cfg(feature = "kafka")]
impl From<replay::Error> for Failure {
    fn from(error: replay::Error) -> Self {
        let exit = match &error {
            replay::Error::Sink(topics::Error::Options(_)) => Exit::Config,
            _ => Exit::Unavailable,
        };
        Self::new(exit, error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // The reader of our output closed it (`weir schema config | head`).
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::broken_pipe();
        }
        Self::new(Exit::Io, error)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error as Io, ErrorKind};

    use super::*;
    use crate::{assemble::Error, store};

    fn write(kind: ErrorKind) -> sink::Error {
        sink::Error::Write {
            at: "x".to_owned(),
            source: Io::from(kind),
        }
    }

    fn store() -> object_store::Error {
        object_store::Error::NotImplemented {
            operation: "x".to_owned(),
            implementer: "x".to_owned(),
        }
    }

    #[test]
    fn each_error_has_its_exit_code() {
        let nothing = || source::Error::Nothing {
            url: "x".to_owned(),
        };
        let no_option = || store::Error::Option {
            key: "x".to_owned(),
            url: "x".to_owned(),
        };
        let sink_url = || sink::Error::Loop {
            sink: "x".to_owned(),
        };
        let refused = || sink::Error::Store {
            at: "x".to_owned(),
            source: store(),
        };
        let no_pack = model::Error::NoPack {
            path: "x".to_owned(),
        };
        let away = || model::prompted::Error::Unreachable {
            at: "x".to_owned(),
            why: "x".to_owned(),
        };
        let no_server = model::prompted::Error::NoServer {
            pack: "x".to_owned(),
        };
        for (error, exit) in [
            (model::Error::from(away()).into(), Exit::Unavailable),
            (job::Error::Model(away().into()).into(), Exit::Unavailable),
            (model::Error::from(no_server).into(), Exit::Config),
            (Error::from(Problems::default()), Exit::Config),
            (no_pack.into(), Exit::Config),
            (nothing().into(), Exit::Unavailable),
            (job::Error::from(nothing()).into(), Exit::Unavailable),
            (sink::Error::from(no_option()).into(), Exit::Io),
            (sink_url().into(), Exit::Config),
            (job::Error::from(sink_url()).into(), Exit::Config),
            (refused().into(), Exit::Unavailable),
            (job::Error::from(refused()).into(), Exit::Unavailable),
            (write(ErrorKind::StorageFull).into(), Exit::Io),
            (write(ErrorKind::BrokenPipe).into(), Exit::Done),
            (job::Error::Engine.into(), Exit::Bug),
        ] {
            let shown = format!("{error:?}");
            assert_eq!(Failure::from(error).exit, exit, "{shown}");
        }
    }

    #[cfg(feature = "kafka")]
    #[test]
    fn each_error_of_a_stream_has_its_exit_code() {
        let silent = || avro::Error::Unavailable {
            about: "x".to_owned(),
            why: "x".to_owned(),
        };
        let options = || avro::Error::Options {
            why: "x".to_owned(),
        };
        let shorter = sink::Error::Shorter {
            topic: "x".to_owned(),
            partition: 0,
            end: 1,
            next: 2,
        };
        for (error, exit) in [
            (Error::from(silent()), Exit::Unavailable),
            (options().into(), Exit::Config),
            (slot::Error::Sink(silent().into()).into(), Exit::Unavailable),
            (slot::Error::TwoClusters.into(), Exit::Config),
            (slot::Error::Store(shorter).into(), Exit::Config),
            (
                slot::Error::Store(write(ErrorKind::BrokenPipe)).into(),
                Exit::Io,
            ),
            (slot::Error::Engine.into(), Exit::Bug),
            (slot::Error::Panicked.into(), Exit::Bug),
        ] {
            let shown = format!("{error:?}");
            assert_eq!(Failure::from(error).exit, exit, "{shown}");
        }
    }

    #[test]
    fn an_error_is_printed_as_its_own_room_says_it() {
        let folder = || store::Error::Folder {
            path: "x".into(),
            source: Io::from(ErrorKind::NotFound),
        };
        let plain = anyhow::Error::new(folder());
        let failure = Failure::from(job::Error::from(source::Error::from(folder())));
        assert_eq!(failure.hint, folder().hint());
        let wrapped = failure.error.unwrap();
        let said =
            |error: &anyhow::Error| error.chain().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(said(&wrapped), said(&plain));
    }

    #[test]
    fn a_reader_that_had_enough_is_told_nothing() {
        let failure = Failure::from(Error::from(write(ErrorKind::BrokenPipe)));
        assert!(failure.error.is_none() && failure.hint.is_none());
    }
}
