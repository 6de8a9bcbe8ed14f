//! Files besides the configuration: Markdown pages, configurations and tenants.

use std::{collections::BTreeSet, path::Path};

use super::report::{Report, counted};
use crate::{
    config::Config,
    diagnose::{Kind, Place, Problems, document, reason},
    tenant::{self, Policy},
};

impl Report {
    /// A file besides the configuration: a Markdown page, a configuration, or a tenant.
    pub(super) fn file(&mut self, path: &Path) {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let kind = Kind::Unreadable {
                    what: "the file".to_owned(),
                    reason: reason(&error),
                };
                let at = Place::File {
                    file: name.as_str().into(),
                    line: 1,
                    column: 1,
                };
                return self.problems.push(kind, &at, "give a readable file");
            }
        };
        let is_page = path.extension().is_some_and(|extension| extension == "md");
        if !is_page {
            let checked = match is_configuration(&name, &text, 1) {
                true => check_configuration(&name, &text, 1),
                false => Policy::load(path).map(|_| ()),
            };
            return match checked {
                Ok(()) => self.ok(&name, ""),
                Err(problems) => self.problems.0.extend(problems.0),
            };
        }
        let fences = fences(&text);
        let mut sound = true;
        for (line, fence) in &fences {
            let checked = match is_configuration(&name, fence, *line) {
                true => check_configuration(&name, fence, *line),
                false => tenant::check_text(&name, fence, *line),
            };
            if let Err(problems) = checked {
                sound = false;
                self.problems.0.extend(problems.0);
            }
        }
        if sound {
            self.ok(&name, &counted(fences.len(), "TOML fence"));
        }
    }
}

/// Whether a text has a section that only configurations have.
fn is_configuration(name: &str, text: &str, line: usize) -> bool {
    let sections: BTreeSet<&str> = [
        "source",
        "sink",
        "tenants",
        "model",
        "batch",
        "limits",
        "pipeline",
        "telemetry",
    ]
    .into();
    document::parse(name, text, line)
        .ok()
        .and_then(|document| {
            let entries = document.entries()?;
            Some(entries.iter().any(|entry| {
                sections.contains(entry.key.as_str()) && entry.node.entries().is_some()
            }))
        })
        .unwrap_or(false)
}

/// Checks the form. A fence of a page may show one section alone: what is missing is no error
/// unless the fence has a `[source]`.
fn check_configuration(name: &str, text: &str, line: usize) -> Result<(), Problems> {
    let whole = text
        .lines()
        .any(|line| line.trim_start().starts_with("[source]"));
    match Config::parse(name, text, line, [], &[]) {
        Ok(_) => Ok(()),
        Err(mut problems) => {
            if !whole {
                problems
                    .0
                    .retain(|problem| !matches!(problem.kind, Kind::MissingSection(_)));
            }
            problems.into_result()
        }
    }
}

/// TOML fences of a Markdown page with the line on which their text begins.
fn fences(page: &str) -> Vec<(usize, String)> {
    let mut fences = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (i, line) in page.lines().enumerate() {
        let trimmed = line.trim_start();
        match &mut open {
            Some((_, text, mark)) if !trimmed.starts_with(mark.as_str()) => {
                text.push_str(line);
                text.push('\n');
            }
            Some(_) => {
                let (line, text, _) = open.take().expect("it is open");
                fences.push((line, text));
            }
            None => {
                let ticks: String = trimmed
                    .chars()
                    .take_while(|c| *c == '`' || *c == '~')
                    .collect();
                if ticks.len() >= 3
                    && trimmed[ticks.len()..].trim().split([' ', ',']).next() == Some("toml")
                {
                    open = Some((i + 2, String::new(), ticks));
                }
            }
        }
    }
    fences
}
