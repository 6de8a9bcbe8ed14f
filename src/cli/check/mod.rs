//! `weir check`: everything is validated, nothing is opened for writing.

mod connect;
mod files;
mod model;
mod report;
#[cfg(feature = "prompted")]
mod servers;
#[cfg(feature = "kafka")]
mod topics;

use std::path::{Path, PathBuf};

use super::{
    args::Check,
    exit::{Exit, Failure},
    out,
};
use crate::{
    assemble::{telemetry::Telemetry, tenants},
    config::{Config, Resolved, Source},
    diagnose::Kind,
    tenant::Tenants,
};
use report::{Report, counted};

/// Checks what was asked for and prints the report.
pub fn execute(args: &Check) -> Result<Exit, Failure> {
    let mut report = Report::default();
    let config = match &args.config {
        Some(config) => Some(config.clone()),
        None if args.files.is_empty() => Some(PathBuf::from("weir.toml")),
        None => None,
    };
    if let Some(config) = &config {
        report.configuration(config, args);
    }
    for file in &args.files {
        report.file(file);
    }
    if !report.problems.0.is_empty() {
        out::problems(&report.problems);
    }
    out::data(&report.text())?;
    Ok(match report.problems.0.is_empty() {
        true => Exit::Done,
        false => Exit::No,
    })
}

impl Report {
    fn configuration(&mut self, path: &Path, args: &Check) {
        let written = match Config::load(path, std::env::vars_os(), &args.set) {
            Ok(written) => written,
            Err(problems) => {
                self.problems.0.extend(problems.0);
                self.skipped
                    .push("tenants, model (the configuration has errors)".to_owned());
                return;
            }
        };
        self.count(path, &written);
        if args.explain {
            self.explain(&written);
        }
        let resolved = match written.resolve(path) {
            Ok(resolved) => resolved,
            Err(problems) => {
                self.problems.0.extend(problems.0);
                self.skipped
                    .push("tenants, model (the configuration has errors)".to_owned());
                return;
            }
        };
        let is_trial = args.dry_run || args.limit.is_some();
        if let Some(why) = resolved.route().refuses_trial().filter(|_| is_trial) {
            let fix = "leave them out; to see what weir finds in a few records, give them to `weir redact`";
            let kind = Kind::Conflict(why.to_owned());
            self.problems.push(kind, &written.place("source.type"), fix);
        }
        let tenants = self.tenants(&resolved);
        self.packs(&resolved, tenants.as_ref(), &written);
        if let Err(error) = Telemetry::check(&resolved) {
            let kind = Kind::Invalid(error.to_string());
            let place = written.place("telemetry.otlp");
            self.problems
                .push(kind, &place, "or unset the endpoint of the collector");
        }
        match args.connect {
            true => {
                if let Some(tenants) = &tenants {
                    self.subject_keys(tenants, &resolved.tenants.dir);
                }
                self.connect(&resolved, &written);
            }
            false => {
                let what = match &resolved.source {
                    Source::Kafka(_) => "brokers",
                    _ => "stores",
                };
                self.skipped.push(format!("{what} (no --connect)"));
            }
        }
    }

    /// The tenants, if their files are right.
    fn tenants(&mut self, resolved: &Resolved) -> Option<Tenants> {
        let dir = &resolved.tenants.dir;
        let tenants = match tenants::load(&resolved.tenants) {
            Ok(tenants) => tenants,
            Err(problems) => {
                self.problems.0.extend(problems.0);
                return None;
            }
        };
        let labels: usize = tenants
            .iter()
            .map(|policy| policy.labels.labels.len())
            .sum();
        let tests: usize = tenants.iter().map(|policy| policy.tests.len()).sum();
        let what = format!("{}/", dir.display());
        let tenant_count = counted(tenants.iter().count(), "tenant");
        self.ok(
            &what,
            &format!("{tenant_count}, {}", counted(labels, "label")),
        );
        if tests > 0 {
            self.skipped.push(format!(
                "{} of tenants (`weir test` runs them)",
                counted(tests, "example")
            ));
        }
        Some(tenants)
    }
}
