//! The adaptive family with VtV, on tiny checkpoints in the layout of the large model that
//! `tools/tests/seed_usage.py` makes: the same entities as in PyTorch.

use std::{collections::BTreeSet, fs, process::Command};

use serde::Deserialize;
use weir::decode::Span;

use crate::engine::{policy, runtime, scan, start};

#[derive(Deserialize)]
struct Case {
    text: String,
    labels: Vec<String>,
    plain: Expected,
    vtv: Expected,
}

#[derive(Deserialize)]
struct Expected {
    /// A rounding error decides: either answer is right.
    near: bool,
    spans: Vec<(usize, usize, String)>,
}

const PYTHON: &str = ".weir/python/bin/python";

#[test]
fn entities_are_those_of_the_seeds_usage_code_with_and_without_vtv() {
    let place = tempfile::tempdir().unwrap();
    let made = Command::new(PYTHON)
        .arg("tools/tests/seed_usage.py")
        .arg(place.path())
        .output()
        .unwrap_or_else(|error| panic!("{PYTHON}: {error}; scripts/setup-python.sh makes it"));
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let cases: Vec<Case> =
        serde_json::from_slice(&fs::read(place.path().join("cases.json")).unwrap()).unwrap();
    let runtime = runtime();
    let mut differ = 0;
    for (pack, expected) in [
        ("plain", (|case| &case.plain) as fn(&Case) -> &Expected),
        ("vtv", |case| &case.vtv),
    ] {
        let (engine, _running) = start(&place.path().join(pack), 2);
        engine.pack().verify().unwrap();
        // All at once, so that windows of different label sets meet in one batch.
        let found: Vec<Vec<Span>> = runtime.block_on(async {
            let scans = cases.iter().map(|case| {
                let labels: Vec<&str> = case.labels.iter().map(String::as_str).collect();
                let policy = policy(&labels);
                let engine = engine.clone();
                async move { scan(&engine, &policy, &[&case.text]).await.1 }
            });
            futures::future::join_all(scans).await
        });
        let mut compared = 0;
        for (case, found) in cases.iter().zip(&found) {
            let expected = expected(case);
            if expected.near {
                continue;
            }
            let found: BTreeSet<_> = found
                .iter()
                .map(|span| (span.bytes.start, span.bytes.end, span.label.to_string()))
                .collect();
            let expected: BTreeSet<_> = expected.spans.iter().cloned().collect();
            assert_eq!(
                found, expected,
                "{pack}: {:?} of {:?}",
                case.labels, case.text
            );
            compared += 1;
        }
        assert!(compared >= 200, "{pack}: only {compared} cases are clear");
    }
    for case in &cases {
        differ += usize::from(case.plain.spans != case.vtv.spans);
    }
    assert!(differ > 100, "VtV changed {differ} cases only");
}
