//! Records on standard output, dead letters on standard error.

use std::io::{self, Write};

use super::{Error, on_one_line};
use crate::record::{DeadLetter, Done, Redacted};

/// Prints records, a line each.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// Entities instead of redactions.
    pub entities: bool,
}

impl Printer {
    /// Prints a document; a text with the end that its line has. A reader that has had enough ends the job, as an error of kind `BrokenPipe`.
    pub fn document(self, done: &Done, line_end: &str) -> Result<(), Error> {
        let (mut line, end) = match &done.redacted {
            _ if self.entities => (
                serde_json::to_vec(&done.entities).expect("entities are JSON"),
                "\n",
            ),
            Redacted::Text(text) => (text.as_bytes().to_vec(), line_end),
            Redacted::Record(record) => (on_one_line(record), "\n"),
            Redacted::Row(_) => (done.redacted.bytes().into_owned(), "\n"),
        };
        line.extend_from_slice(end.as_bytes());
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
