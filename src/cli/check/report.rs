//! What was found, as it is printed.

use std::{fmt::Write as _, path::Path};

use crate::{
    cli::out,
    config::{Origin, Written},
    diagnose::Problems,
};

/// What was found, in the order in which it was looked at.
#[derive(Default)]
pub(super) struct Report {
    lines: Vec<String>,
    pub(super) problems: Problems,
    pub(super) skipped: Vec<String>,
    explained: String,
}

impl Report {
    /// Something that is right.
    pub(super) fn ok(&mut self, what: &str, detail: &str) {
        self.lines
            .push(format!("ok    {what}  {detail}").trim_end().to_owned());
    }

    /// Something that works, and not as well as it could.
    pub(super) fn warn(&mut self, what: &str, problem: &str) {
        self.lines.push(format!("warn  {what}  {problem}"));
    }

    /// How many keys come from where.
    pub(super) fn count(&mut self, path: &Path, written: &Written) {
        let settings = written.settings();
        let count = |origin| {
            settings
                .iter()
                .filter(|setting| setting.origin == origin)
                .count()
        };
        let parts = [
            (Origin::Default, "default"),
            (Origin::File, "file"),
            (Origin::Environment, "environment"),
            (Origin::Flag, "flag"),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(origin, _)| count(*origin) > 0)
            .map(|(origin, name)| format!("{} {name}", count(origin)))
            .collect();
        let detail = format!("{} keys: {}", settings.len(), parts.join(", "));
        self.ok(&path.display().to_string(), &detail);
    }

    /// Each key, its value and where it is from.
    pub(super) fn explain(&mut self, written: &Written) {
        let dim = out::DIM;
        for setting in written.settings() {
            let origin = match &setting.at {
                Some(at) => at.to_string(),
                None => "default".to_owned(),
            };
            let _ = writeln!(
                self.explained,
                "{} = {}  {dim}# {origin}{dim:#}",
                setting.key, setting.value
            );
        }
        self.explained.push('\n');
    }

    /// All of it but the problems.
    pub(super) fn text(&self) -> String {
        let (ok, warn) = (out::OK, out::WARN);
        let mut text = self.explained.clone();
        for line in &self.lines {
            let _ = match line.split_once(' ') {
                Some(("warn", rest)) => writeln!(text, "{warn}warn{warn:#} {rest}"),
                Some(("ok", rest)) => writeln!(text, "{ok}ok{ok:#} {rest}"),
                _ => writeln!(text, "{line}"),
            };
        }
        let errors = self.problems.0.len();
        let warnings = self
            .lines
            .iter()
            .filter(|line| line.starts_with("warn"))
            .count();
        let _ = write!(
            text,
            "{}, {}",
            counted(errors, "error"),
            counted(warnings, "warning")
        );
        if !self.skipped.is_empty() {
            let _ = write!(text, "; skipped: {}", self.skipped.join(", "));
        }
        text
    }
}

pub(super) fn counted(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
