//! The threat model names a test for what it claims: each one exists.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::job::walk;

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for folder in ["src", "tests/it"] {
        walk(&root.join(folder), &mut |file| {
            if file.extension().is_some_and(|end| end == "rs") {
                let code = fs::read_to_string(file).unwrap();
                let names = code
                    .split("fn ")
                    .skip(1)
                    .filter_map(|rest| rest.split('(').next());
                tests.extend(names.map(str::to_owned));
            }
        });
    }
    let page = fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    // The names of tests are sentences; keys of the configuration are shorter.
    let named: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.matches('_').count() > 2 && !word.contains(['.', ' ']))
        .collect();
    assert!(named.len() > 40, "{} tests are named", named.len());
    let missing: Vec<&&str> = named
        .iter()
        .filter(|name| !tests.contains(**name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
