//! Data on standard output, messages on standard error, colours where they are wanted.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

use crate::diagnose::Problems;

/// Errors.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Warnings.
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// What is well.
pub const OK: Style = AnsiColor::Green.on_default().bold();
/// What is less important.
pub const DIM: Style = Style::new().dimmed();

/// Prints data.
pub fn data(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Prints a message; standard error is the last place to complain to.
pub fn message(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints what is wrong with a file, in the order of the file.
pub fn problems(problems: &Problems) {
    let text = problems.to_string();
    let mut out = anstream::stderr().lock();
    for line in text.lines() {
        let _ = match line.strip_prefix("error:") {
            Some(rest) => writeln!(out, "{ERROR}error:{ERROR:#}{rest}"),
            None => writeln!(out, "{line}"),
        };
    }
}
