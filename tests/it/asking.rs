//! Asking for more never finds less: the pack in the box on real text.

use std::{collections::BTreeSet, fs};

use weir::{model::Pack, tenant::Policy};

use crate::support::engine::{policy, runtime, scan, start};

/// What a window's company in its batch may change in a score.
const ROUNDING: f32 = 0.005;

/// Prose, chat and log lines, each a text of its own.
fn texts() -> Vec<String> {
    let read = |path: &str| fs::read_to_string(format!("examples/in/{path}")).unwrap();
    let mut texts = Vec::new();
    let novel = read("acme/prose/pride-and-prejudice.txt");
    texts.extend(novel.split("\n\n").take(40).map(str::to_owned));
    for lines in ["acme/chat/support.jsonl", "ops/logs/app.log"] {
        texts.extend(read(lines).lines().take(25).map(str::to_owned));
    }
    texts
}

fn asked(labels: &[&str], threshold: impl Fn(usize) -> f32) -> Policy {
    let mut policy = policy(labels);
    policy.labels.labels = policy
        .labels
        .labels
        .iter()
        .enumerate()
        .map(|(at, label)| weir::tenant::Label {
            threshold: threshold(at),
            ..label.clone()
        })
        .collect();
    // Label sets are kept by their digest.
    let thresholds: Vec<f32> = (0..labels.len()).map(threshold).collect();
    policy.labels.digest = format!("{}|{thresholds:?}", policy.labels.digest).into();
    policy
}

#[test]
fn more_labels_synonyms_and_another_order_uncover_no_character() {
    let (engine, _running) = start(std::path::Path::new("models/weir-mini"), 1);
    assert_eq!(
        engine.models().digest(),
        Pack::open("models/weir-mini".as_ref()).unwrap().digest()
    );
    let runtime = runtime();
    let texts = texts();
    let covered = |policy: &Policy| -> Vec<BTreeSet<usize>> {
        // The labels are made once, and not by each of the texts that begin at a time.
        runtime.block_on(scan(&engine, policy, &["A text."]));
        let found = runtime.block_on(futures::future::join_all(texts.iter().map(|text| {
            let (engine, policy) = (engine.clone(), policy.clone());
            async move { scan(&engine, &policy, &[text]).await.1 }
        })));
        let bytes = |(text, spans): (&String, &Vec<weir::decode::Span>)| -> BTreeSet<usize> {
            let all = spans
                .iter()
                .flat_map(|span| span.bytes.start..span.bytes.end);
            all.filter(|at| !text.as_bytes()[*at].is_ascii_whitespace())
                .collect()
        };
        texts.iter().zip(&found).map(bytes).collect()
    };
    let few = ["person", "city"];
    let more = [
        "scientist",
        "city",
        "name of a person",
        "human being",
        "person",
        "town",
        "username",
        "company",
        "place",
        "novel",
        "date",
        "house",
        "title",
        "phone number",
        "order",
        "family",
        "politician",
        "event",
    ];
    let mut turned = more;
    turned.reverse();
    let threshold = weir::tenant::THRESHOLD;
    for least in [0.0, threshold, 0.6] {
        // What lies on the threshold may fall on either side by rounding.
        let some = covered(&asked(&few, |_| least + ROUNDING));
        let count: usize = some.iter().map(BTreeSet::len).sum();
        assert!(count > 200, "only {count} bytes: the test says little");
        for labels in [&more, &turned] {
            let all = covered(&asked(labels, |_| least));
            for ((text, some), all) in texts.iter().zip(&some).zip(&all) {
                let lost: Vec<usize> = some.difference(all).copied().collect();
                assert!(lost.is_empty(), "{lost:?} uncovered at {least} in {text:?}");
            }
            // A label with a threshold of its own does not raise that of the others.
            let own = |at: usize| {
                if few.contains(&labels[at]) {
                    least
                } else {
                    0.99
                }
            };
            let strict = covered(&asked(labels, own));
            assert!(
                some.iter()
                    .zip(&strict)
                    .all(|(some, all)| some.is_subset(all))
            );
        }
    }
}
