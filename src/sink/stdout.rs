//! Records on standard output, dead letters on standard error.

use std::io::{self, Write};

use super::{Done, Error};
use crate::record::DeadLetter;

/// Prints records, a line each.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// Entities instead of redactions.
    pub entities: bool,
}

impl Printer {
    /// Prints a document. A reader that has had enough ends the job, as an error of kind `BrokenPipe`.
    pub fn document(self, done: &Done) -> Result<(), Error> {
        let mut line = match self.entities {
            true => serde_json::to_vec(&done.entities).expect("entities are JSON"),
            false => done.redacted.bytes().into_owned(),
        };
        line.push(b'\n');
        let mut out = io::stdout().lock();
        out.write_all(&line)
            .and_then(|()| out.flush())
            .map_err(|source| Error::Write {
                at: "standard output".to_owned(),
                source,
            })
    }

    /// Prints a piece of a redacted text.
    pub fn text(self, redacted: &str) -> Result<(), Error> {
        if self.entities {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        let written = out
            .write_all(redacted.as_bytes())
            .and_then(|()| out.flush());
        written.map_err(|source| Error::Write {
            at: "standard output".to_owned(),
            source,
        })
    }

    /// Prints a dead letter.
    pub fn dead_letter(self, letter: &DeadLetter) -> Result<(), Error> {
        let mut line = serde_json::to_vec(letter).expect("a dead letter is JSON");
        line.push(b'\n');
        io::stderr()
            .write_all(&line)
            .map_err(|source| Error::Write {
                at: "standard error".to_owned(),
                source,
            })
    }
}
