//! Token classifiers as the hub holds them: the entities of a plain reading, whatever the architecture, the scheme and
//! the way words are read.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use weir::{
    model::{
        self, Pack,
        family::{Ask, Label, Tag},
    },
    record::Digests,
    sink::kafka as sink,
};

use crate::support::{
    engine::{options, runtime},
    job::{self, Job},
    topic::Place,
};

#[derive(Deserialize)]
struct Case {
    text: String,
    words: String,
    decode: String,
    spans: Vec<(usize, usize, String)>,
}

/// What the model itself names in texts, all at once, so that they meet in batches: before marks are grown to whole words.
fn tags(pack: Pack, labels: &[&str], texts: &[&str]) -> Vec<Vec<Tag>> {
    let family = model::open(options(pack, 2)).unwrap();
    let (model, _running) = family.start().unwrap();
    let label = |wording: &&str| Label {
        wording: (*wording).into(),
        threshold: 0.0,
    };
    let ask = Ask {
        labels: labels.iter().map(label).collect(),
        ..Ask::default()
    };
    let prepared = model.prepare(&ask).unwrap();
    runtime().block_on(async {
        let runs = texts.iter().map(|text| {
            let mut tagger = prepared.clone().tagger(&"acme".into());
            async move {
                tagger.push(text, 0).await.unwrap();
                tagger.finish().await.unwrap();
                tagger.take().named
            }
        });
        futures::future::join_all(runs).await
    })
}

#[test]
fn entities_are_those_of_a_plain_reading() {
    let place = tempfile::tempdir().unwrap();
    let mut script = job::python("tools/tests/tiny_classifiers.py");
    script.arg(place.path());
    job::run(script, b"").expect(0);
    for kind in [
        "bert",
        "distilbert",
        "roberta",
        "xlm-roberta",
        "deberta",
        "modernbert",
    ] {
        let cases = fs::read(place.path().join(format!("{kind}.json"))).unwrap();
        let cases: Vec<Case> = serde_json::from_slice(&cases).unwrap();
        let mut by_reading: BTreeMap<(&str, &str), Vec<&Case>> = BTreeMap::new();
        for case in &cases {
            by_reading
                .entry((&case.words, &case.decode))
                .or_default()
                .push(case);
        }
        assert_eq!(by_reading.len(), 8, "{kind}");
        for ((words, decode), cases) in by_reading {
            // Each way to read is tried on one architecture, and half of them on the others, which takes half the time.
            let is_usual = ["first", "max"].contains(&words) == (decode == "viterbi");
            if kind != "bert" && !is_usual {
                continue;
            }
            assert!(
                cases.len() >= 20,
                "{kind}, {words}, {decode}: {} cases are clear",
                cases.len()
            );
            let manifest = place.path().join(format!("{kind}.toml"));
            fs::write(
                &manifest,
                format!("[head]\nwords = \"{words}\"\ndecode = \"{decode}\"\n"),
            )
            .unwrap();
            let pack = Pack::open(&manifest).unwrap();
            let texts: Vec<&str> = cases.iter().map(|case| case.text.as_str()).collect();
            let labels = ["PERSON", "PLACE", "NUMBER"];
            for (case, found) in cases.iter().zip(tags(pack, &labels, &texts)) {
                let place = |tag: &Tag| {
                    let at = &case.text[tag.bytes.start..tag.bytes.end];
                    let start = tag.bytes.end - at.trim_start().len();
                    (start, tag.bytes.end, labels[tag.label].to_owned())
                };
                let found: Vec<_> = found.iter().map(place).collect();
                assert_eq!(
                    found, case.spans,
                    "{kind}, {words}, {decode}: {:?}",
                    case.text
                );
            }
        }
    }
}

/// Rampart, a published model for personal data, from its manifest.
fn rampart() -> Pack {
    let pack = Pack::open(Path::new("models/rampart.toml")).unwrap();
    pack.verify().unwrap();
    pack
}

const CATEGORIES: [&str; 17] = [
    "GIVEN_NAME",
    "SURNAME",
    "EMAIL",
    "PHONE",
    "URL",
    "TAX_ID",
    "BANK_ACCOUNT",
    "ROUTING_NUMBER",
    "GOVERNMENT_ID",
    "PASSPORT",
    "DRIVERS_LICENSE",
    "BUILDING_NUMBER",
    "STREET_NAME",
    "SECONDARY_ADDRESS",
    "CITY",
    "STATE",
    "ZIP_CODE",
];

#[derive(Deserialize)]
struct Read {
    text: String,
    spans: Option<Vec<(usize, usize, String)>>,
}

/// Places in characters, as Python counts them.
fn in_characters(text: &str, tag: &Tag, labels: &[&str]) -> (usize, usize, String) {
    let within = &text[tag.bytes.start..tag.bytes.end];
    let start = tag.bytes.end - within.trim_start().len();
    let count = |end: usize| text[..end].chars().count();
    (
        count(start),
        count(tag.bytes.end),
        labels[tag.label].to_owned(),
    )
}

#[test]
fn rampart_finds_what_a_plain_reading_finds_in_seven_languages() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("cases.json");
    let texts = "tests/fixtures/rampart-texts.txt";
    let mut script = job::python("tools/tests/rampart_reading.py");
    script.arg("models/rampart").arg(texts).arg(&out);
    job::run(script, b"").expect(0);
    let cases: Vec<Read> = serde_json::from_slice(&fs::read(out).unwrap()).unwrap();
    let texts: Vec<&str> = cases.iter().map(|case| case.text.as_str()).collect();
    let found = tags(rampart(), &CATEGORIES, &texts);
    let mut compared = 0;
    for (case, found) in cases.iter().zip(&found) {
        let Some(expected) = &case.spans else {
            continue;
        };
        let found: Vec<_> = found
            .iter()
            .map(|tag| in_characters(&case.text, tag, &CATEGORIES))
            .collect();
        assert_eq!(found, *expected, "{}", case.text);
        compared += 1;
    }
    assert!(compared >= 40, "{compared} texts are clear");
    // Batch-mates and the length of the batch change nothing.
    let alone: Vec<Vec<Tag>> = texts
        .iter()
        .flat_map(|text| tags(rampart(), &CATEGORIES, &[text]))
        .collect();
    assert_eq!(alone, found);
}

#[test]
fn rampart_reads_a_long_text_in_windows() {
    let lines = fs::read_to_string("tests/fixtures/rampart-texts.txt").unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    // Some five thousand words; each line stands in other company than in the one before.
    let mut text = String::new();
    let mut starts = Vec::new();
    for round in 0..16 {
        for at in 0..lines.len() {
            let line = lines[(at * (2 * round + 1)) % lines.len()];
            starts.push((text.len(), line));
            text.push_str(line);
            text.push('\n');
        }
    }
    assert!(text.split_whitespace().count() > 5000);
    let found = tags(rampart(), &CATEGORIES, &[&text]).remove(0);
    // Company changes what this model finds, in one window too (models/rampart.toml), but windows lose no more than that.
    let alone = tags(rampart(), &CATEGORIES, &lines);
    let (mut expected, mut covered) = (0, 0);
    for (start, line) in &starts {
        let own = &alone[lines.iter().position(|other| other == line).unwrap()];
        for at in own
            .iter()
            .flat_map(|tag| start + tag.bytes.start..start + tag.bytes.end)
        {
            expected += 1;
            let next = found.partition_point(|tag| tag.bytes.end <= at);
            covered += usize::from(found.get(next).is_some_and(|tag| tag.bytes.start <= at));
        }
    }
    assert!(
        covered * 100 > expected * 85,
        "{covered} of {expected} bytes"
    );
    let mut before = 0;
    for tag in &found {
        assert!(
            before <= tag.bytes.start,
            "spans are in order and do not overlap"
        );
        before = tag.bytes.end;
        assert!(
            !text[tag.bytes.start..tag.bytes.end].contains('\n'),
            "an entity of two lines"
        );
    }
}

#[test]
fn plain_labels_stand_for_several_categories_and_their_parts_are_one_entity() {
    let text =
        "Ruiz, Ana lives at 1234 Maple Street, Springfield, IL 62704, and Lea and Tom do not.";
    let found = tags(rampart(), &["person", "home address"], &[text]).remove(0);
    let found: Vec<_> = found
        .iter()
        .map(|tag| (text[tag.bytes.start..tag.bytes.end].trim(), tag.label))
        .collect();
    assert!(
        found.contains(&("1234 Maple Street, Springfield, IL 62704", 1)),
        "{found:?}"
    );
    assert!(
        found.contains(&("Lea", 0)) && found.contains(&("Tom", 0)),
        "{found:?}"
    );
}

/// A folder as the hub holds it.
fn folder(classes: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("onnx")).unwrap();
    fs::copy(
        "models/rampart/onnx/model_q4.onnx",
        folder.path().join("onnx/model.onnx"),
    )
    .unwrap();
    fs::copy(
        "models/rampart/tokenizer.json",
        folder.path().join("tokenizer.json"),
    )
    .unwrap();
    let classes: BTreeMap<String, &str> = classes
        .iter()
        .enumerate()
        .map(|(at, name)| (at.to_string(), *name))
        .collect();
    let config = serde_json::json!({"model_type": "bert", "max_position_embeddings": 512, "id2label": classes});
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    folder
}

#[test]
fn a_folder_that_weir_does_not_run_says_what_to_do() {
    let numbered = folder(&["LABEL_0", "LABEL_1"]);
    let refused = |folder: &Path| {
        let pack = Pack::open(folder).and_then(|pack| model::open(options(pack, 1)));
        pack.map(drop).unwrap_err().to_string()
    };
    assert!(
        refused(numbered.path()).contains("head.classes of a pack.toml"),
        "{}",
        refused(numbered.path())
    );
    // With their names in a manifest it runs.
    let names: Vec<String> = ["O".to_owned()]
        .into_iter()
        .chain((1..35).map(|at| format!("B-{at}")))
        .collect();
    fs::write(
        numbered.path().join("pack.toml"),
        format!("[head]\nclasses = {names:?}\n"),
    )
    .unwrap();
    model::open(options(Pack::open(numbered.path()).unwrap(), 1)).unwrap();

    let unnamed = folder(&["B-x", "I-x"]);
    assert!(refused(unnamed.path()).contains("head.outside of a pack.toml"));

    // The graph keeps its weights in a file that was not fetched.
    let split = folder(&["O", "B-x"]);
    let graph = split.path().join("onnx/model.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    // One more initializer of the graph: its fields 7, 5 and 13.
    bytes.extend(b"\x3a\x1f\x2a\x1d\x6a\x1b\x0a\x08location\x12\x0fmodel.onnx_data");
    fs::write(&graph, bytes).unwrap();
    let error = refused(split.path());
    assert!(
        error.contains("onnx/model.onnx_data") && error.contains("fetch it too"),
        "{error}"
    );
    fs::write(split.path().join("onnx/model.onnx_data"), b"weights").unwrap();
    let one = Pack::open(split.path()).unwrap().digest().to_owned();
    fs::write(split.path().join("onnx/model.onnx_data"), b"others").unwrap();
    assert_ne!(
        one,
        Pack::open(split.path()).unwrap().digest(),
        "the weights are part of the digest"
    );

    // A graph that is named and not there.
    let other = folder(&["O", "B-x"]);
    fs::write(
        other.path().join("pack.toml"),
        "graph = \"onnx/model_q8.onnx\"\n",
    )
    .unwrap();
    let error = refused(other.path());
    assert!(
        error.contains("onnx/model_q8.onnx") && error.contains("the folder holds: onnx/model.onnx"),
        "{error}"
    );

    // A graph of another number of classes fails when it runs, and not before: nothing is found by half of them.
    let few = folder(&["O", "B-x"]);
    let family = model::open(options(Pack::open(few.path()).unwrap(), 1)).unwrap();
    let (model, _running) = family.start().unwrap();
    let ask = Ask {
        labels: vec![Label {
            wording: "x".into(),
            threshold: 0.0,
        }],
        ..Ask::default()
    };
    let mut tagger = model.prepare(&ask).unwrap().tagger(&"acme".into());
    runtime().block_on(async {
        tagger.push("Ana", 0).await.unwrap();
        let error = tagger.finish().await.unwrap_err().to_string();
        assert!(error.contains("shape"), "{error}");
    });

    let beside = tempfile::tempdir().unwrap();
    let manifest = beside.path().join("absent.toml");
    fs::write(&manifest, "name = \"absent\"\n").unwrap();
    let error = refused(&manifest);
    assert!(
        error.contains("absent of the model does not exist"),
        "{error}"
    );

    // What is wrong is said of the file in which it stands.
    fs::write(
        &manifest,
        "folder = \"x\"\nlimits = { max_window_tokens = 8, halo_tokens = 8 }\n",
    )
    .unwrap();
    let own = folder(&["O", "B-x"]);
    std::os::unix::fs::symlink(own.path(), beside.path().join("x")).unwrap();
    let error = refused(&manifest);
    assert!(
        error.starts_with(&manifest.display().to_string())
            && error.contains("max_window_tokens (8)"),
        "{error}"
    );
}

/// The program, a broker, and a model that somebody else published.
#[test]
fn a_published_classifier_redacts_a_stream() {
    let place = Place::new(1);
    let sink::Topics {
        entities,
        redactions,
        dead_letters,
        ..
    } = &place.outputs;
    let (entities, redactions) = (entities.as_ref().unwrap(), redactions.as_ref().unwrap());
    let config = format!(
        "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{}\"\ntopics = [\"{}\"]\ngroup_id = \"{}\"\n\
         [sink]\ntype = \"kafka\"\ntransaction = {{ max_ms = 50 }}\n\
         topics = {{ entities = \"{entities}\", redactions = \"{redactions}\", dead_letters = \"{dead_letters}\" }}\n\
         [limits]\nmax_dead_letters = 0\n\
         [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = {:?}\n",
        place.address(),
        place.input,
        place.input,
        fs::canonicalize("models/rampart.toml").unwrap(),
    );
    let job = Job::with(&config);
    job.write(
        "tenants/acme.toml",
        "labels = [\"person\", \"home address\"]\n",
    );
    let texts = [
        "Please call Ana Ruiz before noon.",
        "Rechnung an Jonas Weber, 12 Birch Road, Springfield.",
        "The parcel arrived and nobody was named.",
    ];
    let record = |(at, text): (usize, &&str)| {
        let value = serde_json::json!({"id": format!("d{at}"), "text": text});
        ("key".to_owned(), value.to_string())
    };
    // The worker ends by itself at the poison behind the records.
    place.produce(texts.iter().enumerate().map(record));
    place.produce([("key".to_owned(), "poison".to_owned())]);
    job.run(&[]).expect(65);
    let redacted = place.read(redactions);
    let redacted: Vec<&str> = redacted
        .iter()
        .map(|(_, record)| record["text"].as_str().unwrap())
        .collect();
    assert_eq!(redacted.len(), texts.len(), "each record once");
    for name in ["Ana", "Ruiz", "Jonas", "Weber", "Birch"] {
        assert!(!redacted.concat().contains(name), "{redacted:?}");
    }
    assert_eq!(redacted[2], texts[2]);
    let digest = rampart().digest()[..Digests::SHORT].to_owned();
    let of_pack = |record: &serde_json::Value| {
        record["pack"]
            .as_str()
            .is_some_and(|pack| pack.contains(&digest))
    };
    assert!(
        place
            .read(entities)
            .iter()
            .all(|(_, record)| of_pack(record))
    );
}
