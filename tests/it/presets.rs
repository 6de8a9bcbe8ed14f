//! The presets for regulations: each passes its own examples, and keeps to the operators that its page names.

use crate::support::job::{command, run};

/// Presets, and the operators that each may have.
const PRESETS: &[(&str, &[&str])] = &[
    ("hipaa-safe-harbor", &["remove", "replace", "generalise"]),
    ("gdpr-pseudonymisation", &["remove", "replace", "hash"]),
    ("pci-dss", &["remove", "replace", "truncate"]),
];

fn file(preset: &str) -> toml::Table {
    let path = format!("{}/presets/{preset}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// Values of a key, at any depth.
fn values<'v>(value: &'v toml::Value, key: &str, found: &mut Vec<&'v toml::Value>) {
    match value {
        toml::Value::Table(table) => {
            found.extend(table.get(key));
            table.values().for_each(|inner| values(inner, key, found));
        }
        toml::Value::Array(items) => items.iter().for_each(|inner| values(inner, key, found)),
        _ => {}
    }
}

#[test]
fn each_is_written_checked_and_passes_its_examples() {
    for (preset, _) in PRESETS {
        let folder = tempfile::tempdir().unwrap();
        let within = |args: &[&str]| {
            let mut command = command(args);
            command
                .current_dir(folder.path())
                .env("WEIR_PSEUDONYM_KEY", "hex:000102030405060708090a0b0c0d0e0f");
            run(command, b"")
        };
        within(&["init", "--preset", preset, "job"]).expect(0);
        within(&["check", "--config", "job/weir.toml"]).expect(0);
        let tested = within(&["test", "--config", "job/weir.toml"]).expect(0);
        let examples = file(preset)["tests"].as_array().unwrap().len();
        let all = format!("{examples} of {examples} examples pass");
        let shown = format!("{}{}", tested.stdout, tested.stderr);
        assert!(shown.contains(&all), "{preset}: {shown}");
    }
}

#[test]
fn each_uses_only_the_operators_of_its_page() {
    for (preset, allowed) in PRESETS {
        let file = toml::Value::Table(file(preset));
        let mut operators = Vec::new();
        values(&file, "operator", &mut operators);
        assert!(!operators.is_empty());
        for operator in operators {
            let name = operator.as_str().or_else(|| operator["type"].as_str());
            let name = name.unwrap();
            assert!(allowed.contains(&name), "{preset}: {name}");
        }
    }
}

#[test]
fn the_one_of_safe_harbor_has_an_entry_for_each_paragraph_that_text_can_have() {
    let file = toml::Value::Table(file("hipaa-safe-harbor"));
    let mut bases = Vec::new();
    values(&file, "basis", &mut bases);
    let all: Vec<&str> = bases.iter().map(|basis| basis.as_str().unwrap()).collect();
    let all = all.join("\n");
    for paragraph in "ABCDEFGHIJKLMNOR".chars() {
        let basis = format!("45 CFR 164.514(b)(2)(i)({paragraph})");
        assert!(
            all.contains(&basis) || all.contains(&format!("or ({paragraph})")),
            "{basis}"
        );
    }
    // Fingerprints and photos are not text.
    assert!(!all.contains("(P)") && !all.contains("(Q)"));
}
