//! The pack in the box against the reference in `tools/`: same tokens, windows, spans and scores.
//! The fixtures are written by `python -m weir_tools.fixtures`.

use std::{collections::BTreeSet, fs, path::Path};

use serde::Deserialize;
use unicode_segmentation::GraphemeCursor;
use weir::{
    decode::whole::whole,
    measure,
    model::Pack,
    redact::names_people,
    text::{ByteSpan, Tokenizer},
};

use crate::support::engine::{policy, runtime, scan, start};

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
    /// On the path of all labels together.
    spans: Vec<Span>,
    /// Of each label by itself.
    marks: Vec<Mark>,
}

#[derive(Deserialize)]
struct Span {
    label: String,
    start_byte: usize,
    end_byte: usize,
    score: f32,
    label_score: f32,
}

#[derive(Deserialize)]
struct Mark {
    label: String,
    start_byte: usize,
    end_byte: usize,
}

#[test]
fn the_pack_in_the_box_finds_what_the_reference_finds() {
    let folder = Path::new("models/weir-mini");
    let fixtures: Fixtures =
        serde_json::from_slice(&fs::read("tests/fixtures/weir-mini-parity.json").unwrap()).unwrap();
    let (engine, _running) = start(folder, 1);
    let pack = Pack::open(folder).unwrap();
    pack.verify().unwrap();
    let tokenizer = Tokenizer::from_file(&pack.path(&pack.manifest().tokenizer.file)).unwrap();
    let runtime = runtime();
    let mut spans = 0;
    for case in &fixtures.cases {
        assert_eq!(tokenizer.tokens(&case.text).unwrap().ids, case.token_ids);
        let windows = measure::windows(&pack, std::slice::from_ref(&case.text)).unwrap();
        assert_eq!(windows[0].len(), case.window_starts.len());
        let labels: Vec<&str> = case.labels.iter().map(String::as_str).collect();
        let (_, found) = runtime.block_on(scan(&engine, &policy(&labels), &[&case.text]));
        // weir snaps spans to grapheme clusters and grows them to whole values, the reference does neither.
        for expected in &case.spans {
            let start = snapped(&case.text, expected.start_byte, false);
            let end = snapped(&case.text, expected.end_byte, true);
            let holds = |span: &&weir::decode::Span| {
                *span.label == *expected.label && span.bytes.start <= start && end <= span.bytes.end
            };
            let found = found.iter().find(holds);
            let found = found.unwrap_or_else(|| panic!("no {} at {start}..{end}", expected.label));
            for (found, expected) in [
                (found.score, expected.score),
                (found.label_score, expected.label_score),
            ] {
                assert!(
                    (found - expected).abs() <= fixtures.score_tolerance,
                    "{found} against {expected}"
                );
            }
        }
        let marks = case.marks.iter().map(|mark| {
            let own = ByteSpan::new(mark.start_byte, mark.end_byte);
            let grown = whole(&case.text, own, names_people(&mark.label));
            let start = snapped(&case.text, grown.start, false);
            ByteSpan::new(start, snapped(&case.text, grown.end, true))
        });
        let found = found.iter().map(|span| span.bytes);
        assert_eq!(
            characters(&case.text, found),
            characters(&case.text, marks),
            "{:?}",
            case.text
        );
        spans += case.spans.len();
    }
    assert!(spans > 20, "only {spans} spans: the fixtures say little");
}

/// Bytes that are covered, white space left out.
fn characters(text: &str, spans: impl Iterator<Item = ByteSpan>) -> BTreeSet<usize> {
    let space = |at: &usize| text.as_bytes()[*at].is_ascii_whitespace();
    let bytes = spans.flat_map(|span| span.start..span.end);
    bytes.filter(|at| !space(at)).collect()
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
