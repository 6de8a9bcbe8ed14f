//! Exit codes and failures.

use std::process::ExitCode;

/// Exit codes: the first ones by custom, the others from sysexits.h, 143 as a shell reports a
/// process that SIGTERM ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done, or drained on SIGTERM.
    Done = 0,
    /// The verdict is no: `check`, `test`, `eval`.
    No = 1,
    /// The command line is wrong.
    Usage = 2,
    /// More dead letters than `limits.max_dead_letters`.
    DeadLetters = 65,
    /// There is no file to read.
    NoInput = 66,
    /// A store or broker can't be reached, or refuses.
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
  1    check, test or eval found something wrong
  2    the command line is wrong
  65   more dead letters than limits.max_dead_letters
  66   no file to read
  69   a store or broker can't be reached, or refuses
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
    /// What went wrong; printed with its causes. `None`: it was already told.
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

    /// A failure that was already told.
    pub fn told(exit: Exit) -> Self {
        Self {
            exit,
            error: None,
            hint: None,
        }
    }
}

impl From<crate::config::Problems> for Failure {
    fn from(problems: crate::config::Problems) -> Self {
        super::out::problems(&problems);
        Self::told(Exit::Config)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        // The reader of our output closed it (`weir schema config | head`).
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::told(Exit::Done);
        }
        Self::new(Exit::Io, error)
    }
}
