//! The engine on a tiny pack, and on the one in the box.

use std::sync::{Arc, atomic::Ordering};

use proptest::prelude::*;
use safetensors::{Dtype, tensor::TensorView};
use weir::{
    decode::{Span, patterns::Patterns},
    model::{self, Encoder, Pack},
    pipeline::Engine,
    tenant::{Balance, Policy, Reuse, label_digest},
};

use crate::support::{
    engine::{options, policy, runtime, scan, scan_with, start},
    tiny_pack,
};

fn same(left: &[Span], right: &[Span]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(a, b)| {
            a.bytes == b.bytes && a.label == b.label && (a.score - b.score).abs() < 1e-4
        })
}

#[test]
fn a_private_key_longer_than_a_search_sees_is_found_whole() {
    let folder = tempfile::tempdir().unwrap();
    tiny_pack::write(folder.path(), &tiny_pack::Options::default());
    let (engine, _running) = start(folder.path(), 1);
    runtime().block_on(async {
        let mut policy = policy(&[]);
        policy.patterns = Patterns::build(weir::decode::patterns::Options {
            builtin: vec![("private_key".to_owned(), "private key".into())],
            ..Default::default()
        })
        .unwrap();
        let line = "7N6BfN6OPF9T0ysY02Jdns9npKvMlnpRTH56QsumgNjm3eGIT2YocTs6ojwRl/cC";
        for (before, line_break, lines) in [(3_900, "\n", 600), (3_850, "\r\n", 9_000), (3_901, "\\n", 9_001)] {
            let key = format!(
                "-----BEGIN PRIVATE KEY-----{line_break}{}AQg=={line_break}-----END PRIVATE KEY-----",
                format!("{line}{line_break}").repeat(lines)
            );
            let head = "A line of a log that holds nothing to be found, and goes on for a while.\n".repeat(before);
            let text = format!("{head}{key}\nThe next line.\n");
            let parts: Vec<&str> = text.as_bytes().chunks(10_000).map(|part| str::from_utf8(part).unwrap()).collect();
            let (read, spans) = scan(&engine, &policy, &parts).await;
            assert!(read == text, "the text comes out as it went in");
            let places: Vec<_> = spans.iter().map(|span| (span.bytes.start, span.bytes.end)).collect();
            assert_eq!(places, vec![(head.len(), head.len() + key.len())]);
        }
    });
}

const LABELS: [&str; 5] = [
    "person",
    "phone number",
    "city",
    "order id",
    "a rather long wording of a label",
];

#[test]
fn any_windowing_decodes_as_one_window_when_the_halo_covers_the_receptive_field() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let shapes = [(4096, 8), (11, 2), (16, 3), (33, 6), (64, 30)];
    let engines: Vec<_> = shapes
        .iter()
        .map(|(window, halo)| {
            let pack = folder.path().join(format!("{window}-{halo}"));
            let options = tiny_pack::Options {
                max_window_tokens: *window,
                halo_tokens: *halo,
                o_bias: 0.4,
                ..Default::default()
            };
            assert!(*halo >= tiny_pack::RECEPTIVE_FIELD);
            tiny_pack::write(&pack, &options);
            start(&pack, 1)
        })
        .collect();
    let found = std::cell::Cell::new(0);
    proptest!(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() },
        |(text in "[a-z0-9 .,é日🎉\u{301}]{0,700}", labels in 1usize..LABELS.len())| {
        let policy = policy(&LABELS[..labels]);
        let (whole, expected) = runtime.block_on(scan(&engines[0].0, &policy, &[&text]));
        prop_assert_eq!(&whole, &text);
        found.set(found.get() + expected.len());
        for (engine, _) in &engines[1..] {
            let (_, spans) = runtime.block_on(scan(engine, &policy, &[&text]));
            prop_assert!(same(&spans, &expected), "{:?} against {:?}", spans, expected);
        }
    });
    assert!(
        found.get() > 500,
        "only {} entities: the test says little",
        found.get()
    );
}

#[test]
fn texts_that_come_at_once_prepare_a_label_set_once() {
    let folder = tempfile::tempdir().unwrap();
    tiny_pack::write(folder.path(), &tiny_pack::Options::default());
    let (engine, _running) = start(folder.path(), 1);
    let set = policy(&LABELS).labels;
    let all = runtime().block_on(futures::future::try_join_all(
        (0..50).map(|_| engine.labels(&set)),
    ));
    let all = all.unwrap();
    assert!(all.iter().all(|labels| Arc::ptr_eq(labels, &all[0])));
    assert!(Arc::ptr_eq(&engine.prepare(&set).unwrap(), &all[0]));
}

#[test]
fn batch_mates_do_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    tiny_pack::write(
        folder.path(),
        &tiny_pack::Options {
            o_bias: 0.4,
            ..Default::default()
        },
    );
    let (engine, _running) = start(folder.path(), 2);
    let texts: Vec<String> = (0..60)
        .map(|at| "ana ruiz 555 lives in b7 ".repeat(1 + at % 9) + &at.to_string())
        .collect();
    let policies = [policy(&LABELS), policy(&LABELS[1..3]), policy(&LABELS[..1])];
    let runtime = runtime();
    let alone: Vec<_> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| {
            // An engine of its own: nothing is taken from a cache.
            let (engine, _running) = start(folder.path(), 1);
            runtime
                .block_on(scan(&engine, &policies[at % 3], &[text]))
                .1
        })
        .collect();
    let together = runtime.block_on(futures::future::join_all(texts.iter().enumerate().map(
        |(at, text)| {
            let (engine, policy) = (engine.clone(), policies[at % 3].clone());
            async move { scan(&engine, &policy, &[text]).await.1 }
        },
    )));
    assert!(alone.iter().map(Vec::len).sum::<usize>() > 100);
    for (alone, together) in alone.iter().zip(&together) {
        assert!(same(alone, together), "{alone:?} against {together:?}");
    }
}

/// The model reads zeros, so each byte keeps its place and what it finds is that of the folded text; patterns read what
/// is there.
#[test]
fn texts_that_differ_in_digits_share_what_the_model_found_where_a_rule_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let options = tiny_pack::Options {
        o_bias: 0.4,
        ..Default::default()
    };
    tiny_pack::write(folder.path(), &options);
    let (engine, _running) = start(folder.path(), 1);
    let runtime = runtime();
    let mut policy = policy(&LABELS[..3]);
    let found = std::cell::Cell::new(0);
    proptest!(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() },
        |(text in "[a-c0-9 .é日٣]{0,300}")| {
        let folded = text.replace(|c: char| c.is_ascii_digit(), "0");
        let of = |text: &str, reuse| runtime.block_on(scan_with(&engine, &policy, reuse, &[text]));
        let (whole, spans) = of(&text, Reuse::Digits);
        prop_assert_eq!(&whole, &text);
        // The words around a mark are those of the text, and they have their ends at the same bytes.
        let (_, expected) = of(&folded, Reuse::Equal);
        prop_assert!(same(&spans, &expected), "{:?} against {:?}", spans, expected);
        found.set(found.get() + spans.len());
    });
    assert!(found.get() > 200, "{} entities say little", found.get());

    policy.patterns = Patterns::build(weir::decode::patterns::Options {
        builtin: vec![("card".to_owned(), "card".into())],
        ..Default::default()
    })
    .unwrap();
    let card = "paid with 4111 1111 1111 1111 today";
    for (reuse, reused) in [(Reuse::Digits, true), (Reuse::Equal, false)] {
        let before = engine.counts().reused.load(Ordering::Relaxed);
        let texts = [card, "paid with 4111 1111 1111 1112 today"];
        let scans = texts.map(|text| {
            runtime
                .block_on(scan_with(&engine, &policy, reuse, &[text]))
                .1
        });
        let cards = scans.map(|spans| spans.iter().filter(|span| &*span.label == "card").count());
        assert_eq!(cards, [1, 0], "the last digit is the checksum");
        let after = engine.counts().reused.load(Ordering::Relaxed);
        assert_eq!(after > before, reused, "{reuse:?}");
    }
}

/// As nerfit writes them: a vector, or a description, by the name of a label.
#[test]
fn labels_that_a_pack_brings_are_found_as_those_that_it_encodes() {
    let folder = tempfile::tempdir().unwrap();
    let options = tiny_pack::Options {
        o_bias: 0.4,
        ..Default::default()
    };
    tiny_pack::write(folder.path(), &options);
    let encoder = Encoder::new(&Pack::open(folder.path()).unwrap(), None, None).unwrap();
    let four = encoder.encode(&["city"]).unwrap().labels.remove(0);
    let hidden = four[0].len();
    let bytes: Vec<u8> = four.concat().iter().flat_map(|n| n.to_le_bytes()).collect();
    let save = |shape: Vec<usize>, bytes: &[u8]| {
        let view = TensorView::new(Dtype::F32, shape, bytes).unwrap();
        let file = folder.path().join("ent2emb.safetensors");
        std::fs::write(file, safetensors::serialize([("hub", view)], None).unwrap()).unwrap();
    };
    save(vec![4, hidden], &bytes);
    std::fs::write(folder.path().join("ent2desc.json"), r#"{"spot": "city"}"#).unwrap();
    let manifest = folder.path().join("pack.toml");
    let mut table: toml::Table = std::fs::read_to_string(&manifest).unwrap().parse().unwrap();
    let own = table["label_encoder"].as_table_mut().unwrap();
    own.insert("vectors".to_owned(), "ent2emb.safetensors".into());
    own.insert("descriptions".to_owned(), "ent2desc.json".into());
    std::fs::write(&manifest, table.to_string()).unwrap();

    let (engine, _running) = start(folder.path(), 1);
    let text = "ana ruiz 555 lives in b7 ".repeat(20);
    let of = |labels: &[&str]| {
        runtime()
            .block_on(scan(&engine, &policy(labels), &[&text]))
            .1
    };
    let places = |spans: Vec<Span>| {
        spans
            .into_iter()
            .map(|span| (span.bytes, span.score))
            .collect::<Vec<_>>()
    };
    let expected = places(of(&["city"]));
    assert!(!expected.is_empty());
    assert_eq!(places(of(&["hub"])), expected);
    assert_eq!(places(of(&["spot"])), expected);
    // Among labels that are encoded, each keeps its own vectors.
    let together = of(&["phone number", "hub", "order id"]);
    let again = of(&["phone number", "city", "order id"]);
    let named = |spans: &[Span]| {
        spans
            .iter()
            .map(|span| (span.bytes, span.label.replace("city", "hub")))
            .collect::<Vec<_>>()
    };
    assert_eq!(named(&together), named(&again));

    save(vec![hidden + 1], &vec![0; (hidden + 1) * 4]);
    let error = Encoder::new(&Pack::open(folder.path()).unwrap(), None, None).unwrap_err();
    assert!(error.to_string().contains("ent2emb.safetensors"), "{error}");
}

/// The balances that tenants of one engine have, the first one that of tenants who set nothing.
fn balances(points: &[&str]) -> Vec<Balance> {
    let biases = [0.0, 0.6, -0.6].map(|recall_bias| Balance {
        recall_bias,
        ..Balance::default()
    });
    let points = points.iter().map(|point| Balance {
        operating_point: Some((*point).into()),
        ..Balance::default()
    });
    biases.into_iter().chain(points).collect()
}

#[test]
fn tenants_with_other_balances_find_what_they_find_alone_and_not_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (adaptive, head) = (folder.path().join("adaptive"), folder.path().join("head"));
    let options = tiny_pack::Options {
        o_bias: 0.4,
        ..Default::default()
    };
    tiny_pack::write(&adaptive, &options);
    tiny_pack::write_head(&head, &options);
    // Many labels, of which most scores are left out by what O scores, and few.
    let many: Vec<String> = (0..40).map(|at| format!("label {at}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases = [
        (&adaptive, &LABELS[..2], balances(&[])),
        (&adaptive, &many[..], balances(&[])),
        (
            &head,
            &tiny_pack::CATEGORIES[..],
            balances(&["high_recall"]),
        ),
    ];
    // One of them has several windows.
    let texts: Vec<String> = (0..12)
        .map(|at| format!("ana ruiz 555 lives in b{at} and q{at}7 ").repeat(1 + at % 9))
        .collect();
    let runtime = runtime();
    for (pack, labels, balances) in cases {
        let policies: Vec<Policy> = balances
            .into_iter()
            .map(|balance| {
                let mut policy = policy(labels);
                policy.labels.digest = label_digest(&policy.labels.labels, &balance)
                    .to_string()
                    .into();
                policy.labels.balance = balance;
                policy
            })
            .collect();
        let all = policies
            .iter()
            .flat_map(|policy| texts.iter().map(move |text| (policy, text)));
        let all: Vec<(&Policy, &String)> = all.collect();
        let alone: Vec<Vec<Span>> = policies
            .iter()
            .flat_map(|policy| {
                // An engine of its own: nothing is taken from another's cache.
                let (engine, _running) = start(pack, 1);
                let found = texts
                    .iter()
                    .map(|text| runtime.block_on(scan(&engine, policy, &[text])).1);
                found.collect::<Vec<_>>()
            })
            .collect();
        // The same texts for all tenants at the same time, and once more from the cache.
        let (engine, _running) = start(pack, 2);
        for _ in 0..2 {
            let together = runtime.block_on(futures::future::join_all(all.iter().map(
                |(policy, text)| {
                    let engine = engine.clone();
                    async move { scan(&engine, policy, &[text]).await.1 }
                },
            )));
            for (alone, together) in alone.iter().zip(&together) {
                assert!(same(alone, together), "{alone:?} against {together:?}");
            }
        }
        use std::sync::atomic::Ordering::Relaxed;
        assert!(engine.counts().reused.load(Relaxed) > 0);
        let covered: Vec<usize> = alone
            .chunks(texts.len())
            .map(|found| found.iter().flatten().map(|span| span.bytes.len()).sum())
            .collect();
        let (plain, more, less) = (covered[0], covered[1], covered[2]);
        assert!(less < plain && plain < more, "{covered:?}");
        // The operating point that asks for more.
        assert!(covered[3..].iter().all(|more| plain < *more), "{covered:?}");
    }
}

#[test]
fn a_text_in_parts_is_the_text_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    tiny_pack::write(
        folder.path(),
        &tiny_pack::Options {
            o_bias: 0.4,
            ..Default::default()
        },
    );
    let (engine, _running) = start(folder.path(), 2);
    let runtime = runtime();
    // More than two segments, so that pieces leave before the end.
    let text = "ana ruiz 555 lives in b7 é日🎉 and writes, and writes.\n".repeat(12_000);
    let policy = policy(&LABELS[..2]);
    let (whole, expected) = runtime.block_on(scan(&engine, &policy, &[&text]));
    assert_eq!(whole, text);
    assert!(expected.len() > 1000);
    let mut parts = Vec::new();
    let (mut rest, mut size) = (text.as_str(), 1000);
    while !rest.is_empty() {
        let (part, tail) = rest.split_at(rest.ceil_char_boundary(size.min(rest.len())));
        parts.push(part);
        rest = tail;
        size = size * 7 % 50_021 + 1;
    }
    let (_, spans) = runtime.block_on(scan(&engine, &policy, &parts));
    assert!(same(&spans, &expected));
}

#[test]
fn odd_texts_go_through() {
    let folder = tempfile::tempdir().unwrap();
    tiny_pack::write(folder.path(), &tiny_pack::Options::default());
    let (engine, _running) = start(folder.path(), 1);
    let runtime = runtime();
    let policy = policy(&LABELS);
    // Longer than a segment of a text (256 KiB).
    let long_word = "x".repeat(400 << 10);
    let odd = [
        "",
        " ",
        "\n\t  \r\n",
        "a",
        "\0",
        "a\0b\0c",
        "e\u{301}\u{302}\u{303}",
        "👨‍👩‍👧‍👦 and 🏳️‍🌈",
        "שלום עולם",
        "مرحبا بالعالم",
        "\u{202e}evil\u{202c}",
        "\u{feff}bom",
        "[CLS] [SEP] [PAD]",
        "\u{fffd}\u{fffd}",
        &long_word,
    ];
    for text in odd {
        let (whole, _) = runtime.block_on(scan(&engine, &policy, &[text]));
        assert_eq!(whole, text);
    }
}

#[test]
fn equal_windows_are_computed_once() {
    let folder = tempfile::tempdir().unwrap();
    tiny_pack::write(folder.path(), &tiny_pack::Options::default());
    let (engine, _running) = start(folder.path(), 1);
    let policy = policy(&LABELS);
    runtime().block_on(async {
        for _ in 0..10 {
            scan(&engine, &policy, &["the same line again"]).await;
        }
    });
    use std::sync::atomic::Ordering::Relaxed;
    assert_eq!(
        engine.counts().reused.load(Relaxed),
        9 * engine.counts().real.load(Relaxed)
    );
}

#[test]
fn a_pack_that_was_changed_is_not_loaded_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    tiny_pack::write(folder.path(), &tiny_pack::Options::default());
    let pack = Pack::open(folder.path()).unwrap();
    pack.verify().unwrap();
    let backbone = folder.path().join("backbone.onnx");
    let mut bytes = std::fs::read(&backbone).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&backbone, &bytes).unwrap();
    assert!(
        matches!(pack.verify(), Err(model::Error::Digest { file, .. }) if file == "backbone.onnx")
    );
    std::fs::write(&backbone, &bytes[..middle]).unwrap();
    assert!(
        matches!(Engine::start(options(pack, 1)), Err(model::Error::Graph { file, .. }) if file == "backbone.onnx")
    );
}
