//! The families of the large models, on tiny checkpoints in their layouts that `tools/tests/seed_usage.py`
//! makes: the same entities as in PyTorch.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde::Deserialize;
use weir::{
    decode::Span,
    model::{Classes, Encoder, Machine, Pack, Tuned},
    pipeline::Engine,
};

use crate::support::{
    engine::{options, policy, runtime, scan},
    job,
};

#[derive(Deserialize)]
struct Case {
    text: String,
    labels: Vec<String>,
    plain: Expected,
    vtv: Expected,
    /// By the categories of the fixed head.
    head: Expected,
}

#[derive(Deserialize)]
struct Expected {
    /// A rounding error decides: either answer is right.
    near: bool,
    /// Entities of the common path.
    spans: Vec<Named>,
    /// What each label marks by itself.
    marks: Vec<Named>,
}

/// Start, end and label.
type Named = (usize, usize, String);

const CATEGORIES: [&str; 8] = [
    "account_number",
    "private_address",
    "private_date",
    "private_email",
    "private_person",
    "private_phone",
    "private_url",
    "secret",
];

#[test]
fn entities_are_those_of_the_seeds_usage_code() {
    let place = tempfile::tempdir().unwrap();
    let mut script = job::python("tools/tests/seed_usage.py");
    script.arg(place.path());
    job::run(script, b"").expect(0);
    let cases: Vec<Case> =
        serde_json::from_slice(&fs::read(place.path().join("cases.json")).unwrap()).unwrap();
    let own = |case: &Case| case.labels.clone();
    compare(tuned(&place.path().join("vtv")), &cases, own, |case| {
        &case.vtv
    });
    for graph in ["packed.onnx", "backbone.onnx"] {
        let pack = |name: &str| with_graph(&place.path().join(name), graph);
        compare(pack("plain"), &cases, own, |case| &case.plain);
        compare(pack("vtv"), &cases, own, |case| &case.vtv);
    }
    let differ = cases
        .iter()
        .filter(|case| case.plain.spans != case.vtv.spans)
        .count();
    assert!(differ > 100, "VtV changed {differ} cases only");
    // Of a fixed head each case asks some of the categories, by its number's bits.
    let some = |case: &Case| -> Vec<String> {
        let bits = case.text.len();
        let asked = CATEGORIES.iter().enumerate();
        let asked = asked.filter(|(at, _)| *at == 0 || bits >> (at % 4) & 1 == 1);
        asked.map(|(_, name)| (*name).to_owned()).collect()
    };
    for graph in ["packed.onnx", "backbone.onnx"] {
        let head = with_graph(&place.path().join("head"), graph);
        compare(head, &cases, some, |case| &case.head);
    }
    labels_find_their_category(&place.path().join("head"));
    // As published; its graph has places for 256 tokens, and weir expects 4,096 there.
    let short: Vec<Case> = cases
        .into_iter()
        .filter(|case| case.text.len() < 250)
        .collect();
    let layout = Pack::open(&place.path().join("layout")).unwrap();
    compare(layout, &short, some, |case| &case.head);
}

/// As `weir model tune` leaves it: whichever graph it found faster, from a copy with packed weights.
fn tuned(folder: &Path) -> Pack {
    let done = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["model", "tune", "--seconds", "0.05", "--json"])
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let told: Tuned = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(told.measured.len(), 6, "{told:?}");
    let pack = Pack::open(folder).unwrap();
    let kept = Tuned::read(&pack).unwrap().unwrap();
    assert_eq!(kept, told);
    assert!(kept.fits(&pack, &Machine::here(None).unwrap()));
    let own = kept.apply(pack).unwrap();
    let file = &own.manifest().backbone.file;
    assert!(file.starts_with("tuned-"), "{file}");
    let copies = fs::read_dir(folder).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("tuned-")
    });
    assert_eq!(copies.count(), 2, "the copy that lost is not removed");
    own
}

/// One behind the other is how an exported model runs by itself; both are held against PyTorch.
fn with_graph(folder: &Path, file: &str) -> Pack {
    let pack = Pack::open(folder).unwrap();
    assert_eq!(pack.manifest().backbone.file, "packed.onnx");
    pack.with_graph(file, None).unwrap()
}

/// By the label vectors of the pack in the box.
fn labels_find_their_category(pack: &Path) {
    let head = Classes::new(&Pack::open(pack).unwrap()).unwrap();
    let small = Pack::open(Path::new("models/weir-mini")).unwrap();
    let encoder = Encoder::new(&small, None, None).unwrap();
    let assign =
        |label: &str| head.assign([label], &std::collections::BTreeMap::new(), Some(&encoder));
    for (label, category) in [
        ("telephone number", "private_phone"),
        ("e-mail address", "private_email"),
        ("full name of a person", "private_person"),
        ("home address", "private_address"),
        ("birthday", "private_date"),
        ("web address", "private_url"),
        ("bank account", "account_number"),
        ("password", "secret"),
    ] {
        let assigned = assign(label).unwrap();
        let found = assigned
            .iter()
            .position(|labels| !labels.is_empty())
            .unwrap();
        assert_eq!(head.categories()[found], category, "{label}");
    }
    let error = assign("song").unwrap_err().to_string();
    assert!(
        error.contains("no category for the label `song`"),
        "{error}"
    );
}

/// What the marks cover is found, and nothing else; what the common path names has its label there.
fn holds(text: &str, spans: &[&Named], marks: &[&Named], found: &[Span], context: &str) {
    let over = |spans: &[&Named], at: usize| -> BTreeSet<String> {
        let here = spans.iter().filter(|span| (span.0..span.1).contains(&at));
        here.map(|span| span.2.clone()).collect()
    };
    assert!(text.is_ascii(), "places are characters and bytes alike");
    for (at, sign) in text.char_indices().filter(|(_, sign)| *sign != ' ') {
        let mut here = found
            .iter()
            .filter(|span| (span.bytes.start..span.bytes.end).contains(&at));
        let label = here.next().map(|span| span.label.to_string());
        assert!(here.next().is_none(), "{at} has two labels: {context}");
        let (named, marked) = (over(spans, at), over(marks, at));
        assert_eq!(
            label.is_some(),
            !marked.is_empty(),
            "{at} is covered: {context}"
        );
        let Some(label) = label else { continue };
        // A sign by itself goes to whatever it touches.
        let one_of = if named.is_empty() { &marked } else { &named };
        let free = named.is_empty() && !sign.is_alphanumeric();
        assert!(
            free || one_of.contains(&label),
            "{at} is {label}: {context}"
        );
    }
    for span in spans {
        let beside = marks
            .iter()
            .filter(|mark| mark.0 <= span.1 && span.0 <= mark.1);
        if beside.eq([span]) {
            let same = |found: &Span| {
                (found.bytes.start, found.bytes.end, &*found.label) == (span.0, span.1, &*span.2)
            };
            assert!(found.iter().any(same), "{span:?}: {context}");
        }
    }
}

/// Scans all texts at once, so that windows of different label sets meet in one batch.
fn compare(
    pack: Pack,
    cases: &[Case],
    asked: impl Fn(&Case) -> Vec<String>,
    expected: impl Fn(&Case) -> &Expected,
) {
    let graph = format!("{}: {}", pack.name(), pack.manifest().backbone.file);
    pack.verify().unwrap();
    let (engine, _running) = Engine::start(options(pack, 2)).unwrap();
    let found: Vec<Vec<Span>> = runtime().block_on(async {
        let scans = cases.iter().map(|case| {
            let labels = asked(case);
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            let policy = policy(&labels);
            let engine = engine.clone();
            async move { scan(&engine, &policy, &[&case.text]).await.1 }
        });
        futures::future::join_all(scans).await
    });
    let mut compared = 0;
    for (case, found) in cases.iter().zip(&found) {
        let (expected, asked) = (expected(case), asked(case));
        if expected.near {
            continue;
        }
        let asks = |span: &&Named| asked.contains(&span.2);
        let spans: Vec<&Named> = expected.spans.iter().filter(asks).collect();
        let marks: Vec<&Named> = expected.marks.iter().filter(asks).collect();
        let context = format!("{graph}: {asked:?} of {:?}: {found:?}", case.text);
        holds(&case.text, &spans, &marks, found, &context);
        compared += 1;
    }
    assert!(compared >= 200, "{graph}: only {compared} cases are clear");
}
