//! GLiNER against its own package: tiny models of every kind, as `python -m weir_tools.gliner_fixtures` made them and
//! `GLiNER.inference` read them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use serde::Deserialize;
use weir::{
    model::{
        self, Error, Options, Pack, Running,
        family::{Ask, Explained, Family, Label, Model, Tag, Tags},
    },
    pipeline::Engine,
    tenant::{Balance, LabelSet},
};

use crate::support::{
    engine::{options, policy, runtime, scan},
    job,
};

const FIXTURES: &str = "tests/fixtures/gliner";

const KINDS: [&str; 9] = [
    "span-deberta",
    "span-bert",
    "span-modernbert",
    "span-mean",
    "token-deberta",
    "token-bert",
    "bi-span",
    "bi-token",
    "relex-span",
];

/// Largest difference of a score from the package's.
const TOLERANCE: f32 = 1e-3;

#[derive(Deserialize)]
struct Fixtures {
    cases: Vec<Case>,
    /// A text of 10,000 words, whose windows the package was given one by one.
    long: Option<Long>,
}

#[derive(Deserialize)]
struct Long {
    text: String,
    labels: Vec<String>,
    threshold: f32,
    /// Bytes at which the words begin whose candidates are compared.
    starts: BTreeSet<usize>,
    /// All candidates of these words.
    spans: Found,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    labels: Vec<String>,
    threshold: f32,
    nested: bool,
    multi_label: bool,
    /// Start and end in bytes, position of the label, score.
    spans: Vec<(usize, usize, usize, f32)>,
}

fn unpacked(file: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packed = fs::File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    flate2::read::GzDecoder::new(packed)
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

fn fixtures(kind: &str) -> Fixtures {
    serde_json::from_slice(&unpacked(
        &Path::new(FIXTURES).join(kind).join("cases.json.gz"),
    ))
    .unwrap()
}

/// Copies a model as it would be published; a bi-encoder `in_two` graphs, if asked.
fn publish(kind: &str, folder: &Path, in_two: bool) {
    let from = Path::new(FIXTURES).join(kind);
    fs::create_dir_all(folder.join("onnx")).unwrap();
    fs::copy(
        from.join("gliner_config.json"),
        folder.join("gliner_config.json"),
    )
    .unwrap();
    let mut files = vec![("tokenizer.json", "tokenizer.json")];
    match in_two {
        true => files.extend([("text.onnx", "text.onnx"), ("labels.onnx", "labels.onnx")]),
        false => files.push(("model.onnx", "onnx/model.onnx")),
    }
    if kind.starts_with("bi-") {
        fs::create_dir_all(folder.join("labels_tokenizer")).unwrap();
        let tokenizer = "labels_tokenizer/tokenizer.json";
        files.push((tokenizer, tokenizer));
    }
    for (packed, file) in files {
        fs::write(
            folder.join(file),
            unpacked(&from.join(format!("{packed}.gz"))),
        )
        .unwrap();
    }
}

/// Published folders, made once.
fn folder(kind: &str) -> PathBuf {
    static ALL: OnceLock<tempfile::TempDir> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let all = tempfile::tempdir().unwrap();
        for kind in KINDS {
            publish(kind, &all.path().join(kind), false);
        }
        all
    });
    all.path().join(kind)
}

/// A model that runs.
struct Started {
    family: Arc<dyn Family>,
    model: Arc<dyn Model>,
    _running: Running,
}

fn start(options: Options) -> Started {
    let family = model::open(options).unwrap();
    let (model, running) = family.clone().start().unwrap();
    Started {
        family,
        model,
        _running: running,
    }
}

/// A folder's model with a section of settings.
fn with(folder: &Path, gliner: &str) -> Options {
    let text = format!("format = 1\nname = \"tiny\"\nfamily = \"gliner\"\n[gliner]\n{gliner}\n");
    let folder = copied(folder);
    fs::write(folder.join("pack.toml"), text).unwrap();
    options(Pack::open(&folder).unwrap(), 1)
}

/// A copy of a folder, kept until the process ends.
fn copied(folder: &Path) -> PathBuf {
    let place = tempfile::tempdir().unwrap().keep();
    copy(folder, &place);
    place
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn ask(labels: &[String], threshold: f32) -> Ask {
    let labels = labels.iter().map(|wording| Label {
        wording: wording.as_str().into(),
        threshold,
    });
    Ask {
        labels: labels.collect(),
        ..Ask::default()
    }
}

/// What a text's tagger finds, in segments of at most so many bytes; `decided` is checked on the way.
async fn tags(model: &dyn Model, ask: &Ask, text: &str, segment: usize) -> Tags {
    let prepared = model.prepare(ask).unwrap();
    let mut tagger = prepared.tagger(&"acme".into());
    let mut found = Tags::default();
    let (mut at, mut decided) = (0, 0);
    while at < text.len() {
        let end = text.ceil_char_boundary((at + segment).min(text.len()));
        tagger.push(&text[at..end], at).await.unwrap();
        tagger.advance().await.unwrap();
        at = end;
        let more = tagger.take();
        for tag in more.named.iter().chain(&more.marked) {
            assert!(decided <= tag.bytes.start, "what is decided stays so");
        }
        found.named.extend(more.named);
        found.marked.extend(more.marked);
        assert!(decided <= tagger.decided());
        decided = tagger.decided();
    }
    tagger.finish().await.unwrap();
    let more = tagger.take();
    found.named.extend(more.named);
    found.marked.extend(more.marked);
    found
}

type Found = Vec<(usize, usize, usize, f32)>;

fn found(tags: &[model::family::Tag]) -> Found {
    let short = |tag: &model::family::Tag| (tag.bytes.start, tag.bytes.end, tag.label, tag.score);
    let mut found: Found = tags.iter().map(short).collect();
    found.sort_by_key(|own| (own.0, own.1, own.2));
    found
}

/// Whether spans are those of the package.
fn same(found: &Found, expected: &Found, what: &str) {
    let short = |all: &Found| -> Vec<(usize, usize, usize)> {
        all.iter().map(|own| (own.0, own.1, own.2)).collect()
    };
    assert_eq!(short(found), short(expected), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found.3 - expected.3).abs() <= TOLERANCE,
            "{what}: {found:?} against {expected:?}"
        );
    }
}

/// Compares all texts of a model; the greedy choice is that of the reference.
fn parity(kind: &str, folder: &Path, extra: &str) {
    let fixtures = fixtures(kind);
    let runtime = runtime();
    let mut modes: BTreeMap<(bool, bool), Started> = BTreeMap::new();
    let mut spans = 0;
    for (number, case) in fixtures.cases.iter().enumerate() {
        let (nested, multi_label) = (case.nested, case.multi_label);
        let mode = modes.entry((nested, multi_label)).or_insert_with(|| {
            let settings =
                format!("greedy = true\nnested = {nested}\nmulti_label = {multi_label}\n{extra}");
            start(with(folder, &settings))
        });
        let ask = ask(&case.labels, case.threshold);
        let tags = runtime.block_on(tags(&*mode.model, &ask, &case.text, usize::MAX >> 1));
        same(
            &found(&tags.marked),
            &case.spans,
            &format!("{kind}, text {number}"),
        );
        if !nested && !multi_label {
            assert_eq!(found(&tags.named), found(&tags.marked));
        }
        spans += case.spans.len();
    }
    assert!(
        fixtures.cases.len() >= 200 && spans > 50,
        "{kind}: {spans} spans say little"
    );
    if let Some(long) = &fixtures.long {
        whole(kind, folder, long);
    }
}

/// Compares a text of 10,000 words: each candidate is scored by the window to which its first word belongs.
fn whole(kind: &str, folder: &Path, long: &Long) {
    let started = start(with(folder, "greedy = false"));
    // At a low threshold the token model of random weights has runs of more pairs than are all tried.
    let threshold = long.threshold.max(0.7);
    let ask = ask(&long.labels, threshold);
    let tags = runtime().block_on(tags(&*started.model, &ask, &long.text, 4096));
    // A score at the threshold may fall on either side.
    let clear = |own: &&(usize, usize, usize, f32)| own.3 > threshold + TOLERANCE;
    let mut own = found(&tags.marked);
    own.retain(|own| long.starts.contains(&own.0));
    let near = |all: &Found, own: &(usize, usize, usize, f32)| {
        all.iter().any(|other| {
            (other.0, other.1, other.2) == (own.0, own.1, own.2)
                && (other.3 - own.3).abs() <= TOLERANCE
        })
    };
    for candidate in long.spans.iter().filter(clear) {
        assert!(near(&own, candidate), "{kind}: {candidate:?} is missing");
    }
    for candidate in own.iter().filter(clear) {
        assert!(
            near(&long.spans, candidate),
            "{kind}: {candidate:?} is not the package's"
        );
    }
    assert!(
        long.spans.iter().filter(clear).count() > 10,
        "{kind}: the long text says little"
    );
}

#[test]
fn uni_encoders_of_spans_find_what_the_package_finds() {
    for kind in ["span-deberta", "span-bert", "span-modernbert", "span-mean"] {
        parity(kind, &folder(kind), "");
    }
}

#[test]
fn uni_encoders_of_words_find_what_the_package_finds() {
    for kind in ["token-deberta", "token-bert"] {
        parity(kind, &folder(kind), "");
    }
}

#[test]
fn bi_encoders_find_what_the_package_finds_in_one_graph_and_in_two() {
    for kind in ["bi-span", "bi-token"] {
        parity(kind, &folder(kind), "");
        let two = tempfile::tempdir().unwrap();
        publish(kind, two.path(), true);
        parity(kind, two.path(), "");
    }
}

#[test]
fn a_relation_model_finds_the_entities_that_the_package_finds() {
    parity("relex-span", &folder("relex-span"), "");
}

#[test]
fn the_token_layout_of_older_exports_is_told_by_the_probe() {
    let old = copied(&folder("token-bert"));
    let graph = unpacked(&Path::new(FIXTURES).join("token-bert/old.onnx.gz"));
    fs::write(old.join("onnx/model.onnx"), graph).unwrap();
    parity("token-bert", &old, "");
}

#[test]
fn logits_of_half_precision_are_read() {
    const NEAR: f32 = 5e-3;
    for kind in ["span-bert", "token-bert"] {
        let whole = folder(kind);
        let half = copied(&whole);
        let (from, to) = (whole.join("onnx/model.onnx"), half.join("onnx/model.onnx"));
        let mut script = job::python("tools/tests/half_logits.py");
        script.args([&from, &to]);
        job::run(script, b"").expect(0);
        let [whole, half] =
            [&whole, &half].map(|folder| start(options(Pack::open(folder).unwrap(), 1)));
        let mut found = 0;
        for case in some(kind) {
            let ask = ask(&case.labels, case.threshold);
            let of = |model: &dyn Model| {
                runtime()
                    .block_on(tags(model, &ask, &case.text, 1 << 20))
                    .marked
            };
            let (whole, half) = (of(&*whole.model), of(&*half.model));
            found += half.len();
            for (one, others) in [(&whole, &half), (&half, &whole)] {
                for tag in one {
                    let same = |other: &&Tag| (other.bytes, other.label) == (tag.bytes, tag.label);
                    match others.iter().find(same) {
                        Some(other) => assert!((other.score - tag.score).abs() < NEAR),
                        None => {
                            assert!((tag.score - case.threshold).abs() < NEAR, "{kind}: {tag:?}")
                        }
                    }
                }
            }
        }
        assert!(found > 50, "{kind}: {found} spans say little");
    }
}

/// Texts and labels of a model's cases, with the greedy choice of none.
fn some(kind: &str) -> Vec<Case> {
    let mut cases = fixtures(kind).cases;
    cases.truncate(40);
    cases
}

#[test]
fn batch_mates_with_other_labels_do_not_matter() {
    for kind in ["span-deberta", "token-bert", "bi-span", "bi-token"] {
        let cases = some(kind);
        let one = start(options(Pack::open(&folder(kind)).unwrap(), 1));
        let many = start(options(Pack::open(&folder(kind)).unwrap(), 2));
        runtime().block_on(async {
            let asks: Vec<Ask> = cases
                .iter()
                .map(|case| ask(&case.labels, case.threshold))
                .collect();
            let all = cases
                .iter()
                .zip(&asks)
                .map(|(case, ask)| tags(&*many.model, ask, &case.text, 1 << 20));
            let together = futures::future::join_all(all).await;
            for ((case, ask), together) in cases.iter().zip(&asks).zip(together) {
                let alone = tags(&*one.model, ask, &case.text, 1 << 20).await;
                same(&found(&together.marked), &found(&alone.marked), kind);
                same(&found(&together.named), &found(&alone.named), kind);
            }
        });
        let rows = many
            .model
            .counts()
            .batches
            .load(std::sync::atomic::Ordering::Relaxed);
        assert!(
            rows < 40,
            "{kind}: {rows} batches of 40 texts share nothing"
        );
    }
}

#[test]
fn by_default_every_candidate_is_redacted_and_the_greedy_choice_names_them() {
    for kind in ["span-bert", "token-bert"] {
        let all = start(options(Pack::open(&folder(kind)).unwrap(), 1));
        let runtime = runtime();
        let mut tails = 0;
        for case in some(kind)
            .iter()
            .filter(|case| !case.nested && !case.multi_label)
        {
            let ask = ask(&case.labels, case.threshold);
            let tags = runtime.block_on(tags(&*all.model, &ask, &case.text, 1 << 20));
            same(&found(&tags.named), &case.spans, kind);
            let marked = found(&tags.marked);
            assert!(
                case.spans
                    .iter()
                    .all(|own| marked.iter().any(|mark| mark.0 <= own.0 && own.1 <= mark.1))
            );
            let covers =
                |spans: &Found, at: usize| spans.iter().any(|own| own.0 <= at && at < own.1);
            tails += (0..case.text.len())
                .filter(|at| covers(&marked, *at) && !covers(&case.spans, *at))
                .count();
        }
        assert!(tails > 0, "{kind}: greedy search left no tail in any text");
    }
}

#[test]
fn the_order_of_labels_does_not_matter_and_a_label_is_asked_once() {
    let started = start(options(Pack::open(&folder("span-deberta")).unwrap(), 1));
    let runtime = runtime();
    for case in some("span-deberta") {
        let plain = ask(&case.labels, case.threshold);
        let expected = found(
            &runtime
                .block_on(tags(&*started.model, &plain, &case.text, 1 << 20))
                .marked,
        );
        let mut turned = plain.clone();
        turned.labels.reverse();
        // Again with a threshold that nothing reaches: the other one still finds all.
        let strict = Label {
            threshold: 1.1,
            ..turned.labels[0].clone()
        };
        turned.labels.insert(0, strict);
        let found = found(
            &runtime
                .block_on(tags(&*started.model, &turned, &case.text, 1 << 20))
                .marked,
        );
        let back =
            |own: &(usize, usize, usize, f32)| (own.0, own.1, case.labels.len() - own.2, own.3);
        let mut back: Found = found.iter().map(back).collect();
        back.sort_by_key(|own| (own.0, own.1, own.2));
        assert_eq!(back, expected);
    }
}

#[test]
fn more_than_25_labels_are_asked_in_groups() {
    let started = start(options(Pack::open(&folder("span-deberta")).unwrap(), 1));
    let labels: Vec<String> = (0..60).map(|number| format!("kind {number:02}")).collect();
    let text = "Ana Ruiz works at ACME in Paris, call +1 202 555 0143";
    let runtime = runtime();
    let of = |labels: &[String], from: usize| -> Found {
        let tags = runtime.block_on(tags(&*started.model, &ask(labels, 0.5), text, 1 << 20));
        found(&tags.marked)
            .into_iter()
            .map(|own| (own.0, own.1, own.2 + from, own.3))
            .collect()
    };
    let all = of(&labels, 0);
    let groups = labels.chunks(25).enumerate();
    let mut expected: Found = groups
        .flat_map(|(group, labels)| of(labels, group * 25))
        .collect();
    expected.sort_by_key(|own| (own.0, own.1, own.2));
    assert!(expected.len() > 20);
    same(&all, &expected, "60 labels");
}

#[test]
fn a_prompt_that_leaves_no_room_is_an_error_and_a_word_of_many_tokens_is_read() {
    let started = start(options(Pack::open(&folder("span-bert")).unwrap(), 1));
    let long = "street address ".repeat(60);
    let error = started.family.fits(&ask(&[long], 0.5)).unwrap_err();
    assert!(matches!(error, Error::LabelTooLong { .. }), "{error}");
    assert!(
        started
            .family
            .fits(&ask(&["person".to_owned()], 0.5))
            .is_ok()
    );
    let point = Ask {
        operating_point: Some("high_recall".into()),
        ..Ask::default()
    };
    assert!(matches!(
        started.family.fits(&point),
        Err(Error::NoOperatingPoint { .. })
    ));
    // 192 positions; WordPiece would make a word of more than 100 characters unknown.
    let runtime = runtime();
    for text in [
        "x".repeat(3000),
        "Ana".repeat(200),
        "日".repeat(500),
        "한".repeat(500),
        "a-".repeat(2000),
        "\u{301}".repeat(900),
    ] {
        let text = format!("Ana Ruiz {text} Paris 2019");
        let tags = runtime.block_on(tags(
            &*started.model,
            &ask(&["person".to_owned()], 0.0),
            &text,
            1000,
        ));
        // A threshold of 0 lets every word through: none was left out.
        let covered = |at: usize| {
            tags.marked
                .iter()
                .any(|tag| tag.bytes.start <= at && at < tag.bytes.end)
        };
        let left = text
            .char_indices()
            .filter(|(at, letter)| letter.is_alphanumeric() && !covered(*at))
            .count();
        assert_eq!(left, 0, "{} bytes", text.len());
    }
}

#[test]
fn how_a_text_is_cut_into_segments_does_not_matter() {
    for kind in ["span-modernbert", "token-bert"] {
        let started = start(options(Pack::open(&folder(kind)).unwrap(), 1));
        let text = some(kind)
            .iter()
            .map(|case| case.text.as_str())
            .collect::<Vec<_>>()
            .join(" ");
        let ask = ask(&["person".to_owned(), "number".to_owned()], 0.6);
        let runtime = runtime();
        let whole = runtime.block_on(tags(&*started.model, &ask, &text, usize::MAX >> 1));
        for segment in [1, 7, 100, 1024] {
            let parts = runtime.block_on(tags(&*started.model, &ask, &text, segment));
            assert_eq!(
                found(&parts.marked),
                found(&whole.marked),
                "{kind}, {segment}"
            );
            assert_eq!(
                found(&parts.named),
                found(&whole.named),
                "{kind}, {segment}"
            );
        }
    }
}

#[test]
fn nuner_puts_words_together_and_reads_labels_in_lower_case() {
    let plain = start(with(&folder("token-bert"), "greedy = true"));
    let nuner = start(with(
        &folder("token-bert"),
        "greedy = true\nmerge = true\nlower_case = true",
    ));
    let runtime = runtime();
    let mut merged = 0;
    for case in some("token-bert")
        .iter()
        .filter(|case| case.labels.iter().all(|own| own.is_ascii()))
    {
        let lower: Vec<String> = case
            .labels
            .iter()
            .map(|label| label.to_lowercase())
            .collect();
        let upper: Vec<String> = case
            .labels
            .iter()
            .map(|label| label.to_uppercase())
            .collect();
        if !lower.is_sorted() {
            continue;
        }
        let before = found(
            &runtime
                .block_on(tags(
                    &*plain.model,
                    &ask(&lower, case.threshold),
                    &case.text,
                    1 << 20,
                ))
                .named,
        );
        let tags = runtime.block_on(tags(
            &*nuner.model,
            &ask(&upper, case.threshold),
            &case.text,
            1 << 20,
        ));
        // As on the model's card.
        let mut expected: Found = Vec::new();
        for own in before {
            match expected.last_mut() {
                Some(last) if last.2 == own.2 && case.text[last.1..own.0].chars().count() <= 1 => {
                    last.1 = own.1;
                    merged += 1;
                }
                _ => expected.push(own),
            }
        }
        same(&found(&tags.named), &expected, &case.text);
        same(&found(&tags.marked), &expected, &case.text);
    }
    assert!(merged > 0);
}

#[test]
fn vectors_of_labels_are_kept_and_compared() {
    let two = tempfile::tempdir().unwrap();
    publish("bi-span", two.path(), true);
    let cache = tempfile::tempdir().unwrap();
    let with_cache = || {
        let mut options = options(Pack::open(two.path()).unwrap(), 1);
        options.label_cache = Some(cache.path().to_owned());
        start(options)
    };
    let labels: Vec<String> = ["person", "number", "street address"]
        .map(str::to_owned)
        .to_vec();
    let (runtime, text) = (runtime(), "Ana Ruiz lives at 12 street address in Paris");
    let look = |started: &Started| {
        found(
            &runtime
                .block_on(tags(&*started.model, &ask(&labels, 0.4), text, 1 << 20))
                .marked,
        )
    };
    let first = look(&with_cache());
    let files: Vec<PathBuf> = fs::read_dir(cache.path())
        .unwrap()
        .flat_map(|pack| fs::read_dir(pack.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    // Those of the probe, too.
    assert!(files.len() >= 3);
    assert_eq!(look(&with_cache()), first);
    fs::write(&files[0], b"damaged").unwrap();
    assert_eq!(look(&with_cache()), first);
    let Explained::Open(Some(alike)) = with_cache().family.explain(&ask(&labels, 0.4)).unwrap()
    else {
        panic!("labels with vectors can be compared");
    };
    assert!(
        (0..3)
            .all(|at| (alike[at][at] - 1.0).abs() < 1e-4
                && (alike[0][at] - alike[at][0]).abs() < 1e-6)
    );
    // Without vectors nothing is said.
    let plain = start(options(Pack::open(&folder("span-bert")).unwrap(), 1));
    assert!(matches!(
        plain.family.explain(&ask(&labels, 0.4)).unwrap(),
        Explained::Open(None)
    ));
}

#[test]
fn documents_go_through_the_engine_with_two_tenants_labels() {
    let (engine, _running) =
        Engine::start(options(Pack::open(&folder("span-bert")).unwrap(), 2)).unwrap();
    let mut acme = policy(&["person", "email"]);
    let mut ops = policy(&["number"]);
    for policy in [&mut acme, &mut ops] {
        let labels = policy
            .labels
            .labels
            .iter()
            .map(|label| weir::tenant::Label {
                threshold: 0.5,
                ..label.clone()
            });
        policy.labels = LabelSet {
            labels: labels.collect(),
            balance: Balance::default(),
            digest: policy.labels.digest.clone(),
        };
    }
    let text = "Ana Ruiz works at ACME in Paris since 2019 . call +1 202 555 0143";
    runtime().block_on(async {
        let texts = [text];
        let (a, b) = tokio::join!(scan(&engine, &acme, &texts), scan(&engine, &ops, &texts));
        for ((read, spans), labels) in [(a, &["person", "email"][..]), (b, &["number"][..])] {
            assert_eq!(read, text);
            assert!(!spans.is_empty() && spans.iter().all(|span| labels.contains(&&*span.label)));
            assert!(
                spans
                    .windows(2)
                    .all(|pair| pair[0].bytes.end <= pair[1].bytes.start)
            );
        }
    });
}

/// A folder whose `gliner_config.json` has other values.
fn changed(kind: &str, values: &[(&str, serde_json::Value)]) -> PathBuf {
    let folder = copied(&folder(kind));
    let file = folder.join("gliner_config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for (key, value) in values {
        config[key] = value.clone();
    }
    fs::write(file, config.to_string()).unwrap();
    folder
}

#[test]
fn what_is_not_run_is_refused_with_what_to_do() {
    let text = serde_json::Value::from("x");
    let gliner2 = tempfile::tempdir().unwrap();
    fs::write(
        gliner2.path().join("config.json"),
        r#"{"model_type": "extractor"}"#,
    )
    .unwrap();
    let without = |kind: &str, file: &str| {
        let folder = copied(&folder(kind));
        fs::remove_file(folder.join(file)).unwrap();
        folder
    };
    for (folder, said) in [
        (
            changed("span-bert", &[("labels_decoder", text.clone())]),
            &["labels_decoder", "use a GLiNER without"][..],
        ),
        (
            changed(
                "span-bert",
                &[("model_type", "gliner_streaming_span".into())],
            ),
            &["streaming", "use a uni-encoder"],
        ),
        (
            changed("span-bert", &[("words_splitter_type", "jieba".into())]),
            &["`jieba`", "words_splitter_type is `whitespace`"],
        ),
        (
            gliner2.path().to_owned(),
            &["GLiNER2", "use a GLiNER model"],
        ),
        (
            without("bi-span", "labels_tokenizer/tokenizer.json"),
            &["labels_tokenizer", "copy the folder"],
        ),
        (
            without("span-bert", "onnx/model.onnx"),
            &["no ONNX graph", "export"],
        ),
        (
            without("span-bert", "tokenizer.json"),
            &["tokenizer.json", "copy the pack again"],
        ),
    ] {
        let folder = folder.display().to_string();
        crate::support::job::weir(&["model", "inspect", &folder])
            .expect(78)
            .says(said);
        crate::support::job::weir_reads(
            &["redact", "--model", &folder, "--label", "person"],
            b"Ana Ruiz",
        )
        .expect(78)
        .says(said);
    }
    // What only the graph tells.
    for (folder, said) in [
        (
            changed("span-bert", &[("span_mode", "token_level".into())]),
            "says that it scores words",
        ),
        (
            changed("token-bert", &[("span_mode", "markerV0".into())]),
            "has no input `span_idx`",
        ),
        (
            changed("span-bert", &[("max_width", 5.into())]),
            "the model failed on a batch of 1 windows",
        ),
        (
            changed("bi-span", &[("labels_encoder", serde_json::Value::Null)]),
            "has an input of labels",
        ),
    ] {
        let folder = folder.display().to_string();
        crate::support::job::weir_reads(
            &["redact", "--model", &folder, "--label", "person"],
            b"Ana Ruiz",
        )
        .expect(78)
        .says(&[said]);
    }
}

#[test]
fn a_manifest_of_the_family_is_checked() {
    for (section, said) in [
        ("grady = true", "grady"),
        ("nested = true", "gliner.greedy"),
        ("labels_per_prompt = 0", "at least 1"),
        ("max_tokens = 3", "at least 64"),
        ("graph = \"onnx/other.onnx\"", "onnx/other.onnx"),
    ] {
        let folder = copied(&folder("span-bert"));
        let text =
            format!("format = 1\nname = \"tiny\"\nfamily = \"gliner\"\n[gliner]\n{section}\n");
        fs::write(folder.join("pack.toml"), text).unwrap();
        crate::support::job::weir(&["model", "inspect", &folder.display().to_string()])
            .expect(78)
            .says(&[said]);
    }
}

#[test]
fn commands_know_a_published_folder() {
    let folder = folder("span-bert").display().to_string();
    let shown = crate::support::job::weir(&["model", "inspect", &folder])
        .expect(0)
        .stdout;
    for part in [
        "gliner",
        "uni-encoder, scores spans of at most 4 words",
        "onnx/model.onnx",
        "192 positions",
    ] {
        assert!(shown.contains(part), "no `{part}` in:\n{shown}");
    }
    let json = crate::support::job::weir(&["model", "inspect", "--json", &folder])
        .expect(0)
        .stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["manifest"]["family"], "gliner");
    assert_eq!(json["manifest"]["gliner"]["graph"], "onnx/model.onnx");
    crate::support::job::weir(&["model", "verify", &folder]).expect(0);
    let labels = crate::support::job::weir(&[
        "labels", "--model", &folder, "--label", "person", "--label", "city",
    ])
    .expect(0)
    .stdout;
    assert!(
        labels.contains("person") && labels.contains("city"),
        "{labels}"
    );
    let place = tempfile::tempdir().unwrap();
    let texts = place.path().join("texts.txt");
    fs::write(
        &texts,
        "Ana Ruiz works at ACME in Paris since 2019 . ".repeat(40),
    )
    .unwrap();
    let texts = texts.display().to_string();
    let bench = [
        "bench",
        "--json",
        "--rounds",
        "1",
        "--threads",
        "1",
        "--model",
        &folder,
        &texts,
    ];
    let report = crate::support::job::weir(&bench).expect(0).stdout;
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(report["bare"].as_f64() > Some(0.0) && report["windows"].as_u64() > Some(10));
    let copy = copied(Path::new(&folder)).display().to_string();
    let tune = [
        "model",
        "tune",
        "--json",
        "--seconds",
        "0.05",
        "--threads",
        "1",
        "--texts",
        &texts,
        &copy,
    ];
    crate::support::job::weir(&tune).expect(0);
    assert!(Path::new(&copy).join("tuned.toml").is_file());
    let text = b"Ana Ruiz works at ACME in Paris since 2019 .";
    let redacted = crate::support::job::weir_reads(
        &[
            "redact",
            "--model",
            &folder,
            "--label",
            "person",
            "--threshold",
            "0.3",
        ],
        text,
    );
    assert!(redacted.expect(0).stdout.contains("[PERSON]"));
}

#[test]
fn a_digest_is_of_the_graph_and_of_the_settings() {
    let digest = |folder: &Path| Pack::open(folder).unwrap().digest().to_owned();
    let plain = copied(&folder("span-bert"));
    assert_eq!(digest(&plain), digest(&folder("span-bert")));
    let other = copied(&folder("span-bert"));
    fs::write(other.join("onnx/model.onnx_data"), b"weights").unwrap();
    assert_ne!(digest(&other), digest(&plain));
    let with = |settings: &str| {
        with(&folder("span-bert"), settings)
            .pack
            .digest()
            .to_owned()
    };
    assert_ne!(with("greedy = true"), with("greedy = false"));
}
