//! `weir test`: the examples inside tenant files.

use std::sync::Arc;

use super::{
    args,
    exit::{Exit, Failure},
    out,
};
use crate::{
    assemble::{engine, tenants},
    pipeline::{Engine, Processor},
    record::{Body, Document, PlainText, Position},
    tenant::{Policy, Tenants},
};

/// Runs the examples of the tenants of a configuration.
pub fn execute(args: &args::Test) -> Result<Exit, Failure> {
    let resolved = args.configuration.resolve()?;
    let tenants = tenants::load(&resolved.tenants)?;
    if let Some(name) = args
        .tenant
        .iter()
        .find(|name| tenants.policy(Some(name)).is_none())
    {
        return Err(Failure::new(
            Exit::Usage,
            anyhow::anyhow!("tenant `{name}` does not exist"),
        ));
    }
    let (engine, _running) = Engine::with(engine::models(&resolved)?)?;
    let runtime = engine::runtime()?;
    let processor = Processor::new(&engine, Arc::new(tenants.clone()));
    let verdicts = verdicts(&tenants, &args.tenant, |policy, text| {
        let document = Document {
            id: "example".into(),
            tenant: Some(policy.tenant.to_string()),
            position: Position::Stdin { line: 0 },
            body: Body::Text(text.into()),
        };
        let done = runtime.block_on(processor.process(document, PlainText::Text));
        let done = done.map_err(|letter| letter.reason)?;
        let text = done.redacted.bytes();
        Ok::<_, String>(String::from_utf8_lossy(&text).into_owned())
    });
    let (text, exit) = report(&verdicts);
    out::data(&text)?;
    Ok(exit)
}

/// What came of one example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Tenant.
    pub tenant: String,
    /// Where the example is written.
    pub at: String,
    /// What was wrong; `None` if it passed.
    pub failed: Option<Failed>,
}

/// Why an example failed. Examples are part of the tenant file, so they are shown; errors are
/// counts and codes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Failed {
    Differs { expected: String, actual: String },
    Error(String),
}

/// Runs the examples of the tenants named in `only` (all, if it is empty) through `redact`.
pub fn verdicts<E: std::fmt::Display>(
    tenants: &Tenants,
    only: &[String],
    mut redact: impl FnMut(&Policy, &str) -> Result<String, E>,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for policy in tenants.iter() {
        if !only.is_empty() && !only.iter().any(|name| **name == *policy.tenant) {
            continue;
        }
        for example in policy.tests.iter() {
            let failed = match redact(policy, &example.text) {
                Ok(actual) if actual == example.expect => None,
                Ok(actual) => Some(Failed::Differs {
                    expected: example.expect.clone(),
                    actual,
                }),
                Err(error) => Some(Failed::Error(error.to_string())),
            };
            verdicts.push(Verdict {
                tenant: policy.tenant.to_string(),
                at: example.at.clone(),
                failed,
            });
        }
    }
    verdicts
}

/// The report, with colours, and the exit code.
pub fn report(verdicts: &[Verdict]) -> (String, Exit) {
    use std::fmt::Write as _;
    let (ok, error, dim) = (out::OK, out::ERROR, out::DIM);
    let mut text = String::new();
    for verdict in verdicts {
        match &verdict.failed {
            None => {
                let _ = writeln!(text, "{ok}ok{ok:#}    {}  {}", verdict.at, verdict.tenant);
            }
            Some(Failed::Error(why)) => {
                let _ = writeln!(
                    text,
                    "{error}fail{error:#}  {}  {}: {why}",
                    verdict.at, verdict.tenant
                );
            }
            Some(Failed::Differs { expected, actual }) => {
                let (before, wanted, found, after) = difference(expected, actual);
                let _ = writeln!(
                    text,
                    "{error}fail{error:#}  {}  {}",
                    verdict.at, verdict.tenant
                );
                let _ = writeln!(
                    text,
                    "  expected  {dim}{before}{dim:#}{ok}{wanted}{ok:#}{dim}{after}{dim:#}"
                );
                let _ = writeln!(
                    text,
                    "  actual    {dim}{before}{dim:#}{error}{found}{error:#}{dim}{after}{dim:#}"
                );
            }
        }
    }
    let failed = verdicts
        .iter()
        .filter(|verdict| verdict.failed.is_some())
        .count();
    let _ = writeln!(
        text,
        "{} of {} examples pass",
        verdicts.len() - failed,
        verdicts.len()
    );
    let exit = match failed {
        0 => Exit::Done,
        _ => Exit::No,
    };
    (text, exit)
}

/// What two texts begin with, where they differ, and what they end with.
fn difference<'a>(expected: &'a str, actual: &'a str) -> (&'a str, &'a str, &'a str, &'a str) {
    let before: usize = expected
        .chars()
        .zip(actual.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    let (expected_rest, actual_rest) = (&expected[before..], &actual[before..]);
    let after: usize = expected_rest
        .chars()
        .rev()
        .zip(actual_rest.chars().rev())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum();
    let (wanted, tail) = expected_rest.split_at(expected_rest.len() - after);
    let found = &actual_rest[..actual_rest.len() - after];
    (&expected[..before], wanted, found, tail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_difference_puts_both_texts_together_again(a in ".{0,20}", b in ".{0,20}") {
            let (before, wanted, found, after) = difference(&a, &b);
            prop_assert_eq!(format!("{before}{wanted}{after}"), a.clone());
            prop_assert_eq!(format!("{before}{found}{after}"), b.clone());
            prop_assert_eq!(wanted.is_empty() && found.is_empty(), a == b);
        }
    }

    #[test]
    fn a_failed_example_shows_where_it_differs_and_gives_1() {
        let text = "labels = [\"person\"]\n[[tests]]\ntext = \"Ask Ana\"\nexpect = \"Ask [PERSON]\"\n[[tests]]\ntext = \"hi\"\nexpect = \"hi\"\n";
        let policy = Policy::parse("acme", std::path::Path::new("acme.toml"), text).unwrap();
        let tenants = Tenants::single(policy);
        let verdicts = verdicts(&tenants, &[], |_, text| {
            Ok::<_, String>(text.replace("Ana", "[NAME]"))
        });
        let (report, exit) = report(&verdicts);
        let plain = anstream::adapter::strip_str(&report).to_string();
        insta::assert_snapshot!(plain, @r"
        fail  acme.toml:2:1  acme
          expected  Ask [PERSON]
          actual    Ask [NAME]
        ok    acme.toml:5:1  acme
        1 of 2 examples pass
        ");
        assert_eq!(exit, Exit::No);
        assert!(report.contains("\u{1b}["), "the difference is coloured");
    }
}
