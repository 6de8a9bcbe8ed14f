//! Data on standard output, messages on standard error, colours where they are wanted.

use std::io::Write;

use anstyle::{AnsiColor, Style};

use super::exit::Failure;
use crate::config::Problems;

/// Errors.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Warnings.
pub const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// What is well.
pub const OK: Style = AnsiColor::Green.on_default().bold();
/// What is less important.
pub const DIM: Style = Style::new().dimmed();

/// Prints data.
pub fn data(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
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

/// Prints a failure: error, causes, blank line, hint.
pub fn failure(failure: &Failure) {
    let Some(error) = &failure.error else { return };
    message(&format!("{ERROR}error:{ERROR:#} {error}"));
    for cause in error.chain().skip(1) {
        message(&format!("  because {cause}"));
    }
    if let Some(hint) = &failure.hint {
        message(&format!("\n  fix: {hint}"));
    }
}
