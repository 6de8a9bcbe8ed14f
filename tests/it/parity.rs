//! The pack in the box against the reference in `tools/`: same tokens, windows, spans and scores.
//! The fixtures are written by `python -m weir_tools.fixtures`.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;
use unicode_segmentation::GraphemeCursor;
use weir::cli::bench;

use crate::engine::{policy, runtime, scan, start};

#[derive(Deserialize)]
struct Fixtures {
    score_tolerance: f32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    labels: Vec<String>,
    token_ids: Vec<u32>,
    window_starts: Vec<usize>,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    label: String,
    start_byte: usize,
    end_byte: usize,
    score: f32,
}

#[test]
fn the_pack_in_the_box_finds_what_the_reference_finds() {
    let folder = Path::new("models/weir-mini");
    let fixtures: Fixtures =
        serde_json::from_slice(&fs::read("tests/fixtures/weir-mini-parity.json").unwrap()).unwrap();
    let (engine, _running) = start(folder, 1);
    engine.pack().verify().unwrap();
    let runtime = runtime();
    let mut spans = 0;
    for case in &fixtures.cases {
        assert_eq!(
            engine.tokenizer().tokens(&case.text).unwrap().ids,
            case.token_ids
        );
        let windows = bench::windows(engine.pack(), std::slice::from_ref(&case.text)).unwrap();
        assert_eq!(windows[0].len(), case.window_starts.len());
        let labels: Vec<&str> = case.labels.iter().map(String::as_str).collect();
        let (_, found) = runtime.block_on(scan(&engine, &policy(&labels), &[&case.text]));
        // weir snaps spans to grapheme clusters, the reference does not.
        let expected: BTreeSet<_> = case
            .spans
            .iter()
            .map(|s| {
                (
                    snapped(&case.text, s.start_byte, false),
                    snapped(&case.text, s.end_byte, true),
                    s.label.as_str(),
                )
            })
            .collect();
        let names: BTreeSet<_> = found
            .iter()
            .map(|s| (s.bytes.start, s.bytes.end, &*s.label))
            .collect();
        assert_eq!(names, expected);
        for (found, expected) in found.iter().zip(&case.spans) {
            let (found, expected) = (found.score, expected.score);
            assert!(
                (found - expected).abs() <= fixtures.score_tolerance,
                "{found} against {expected}"
            );
        }
        spans += case.spans.len();
    }
    assert!(spans > 20, "only {spans} spans: the fixtures say little");
}

fn snapped(text: &str, at: usize, forward: bool) -> usize {
    let mut cursor = GraphemeCursor::new(at, text.len(), true);
    if cursor.is_boundary(text, 0).unwrap() {
        return at;
    }
    let boundary = if forward {
        cursor.next_boundary(text, 0)
    } else {
        cursor.prev_boundary(text, 0)
    };
    boundary.unwrap().unwrap_or(at)
}
