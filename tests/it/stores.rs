//! What every store promises: claims, commits and files, over a local folder and a real S3 server.
//!
//! One function a promise; the macro makes a `#[test]` of each for each store.

use std::{
    cmp::Ordering::{Equal, Greater, Less},
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, ready},
};
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use weir::{
    pipeline::job::Target,
    record::{DeadLetter, Digests, Done, Entities, Position, Redacted},
    sink::{self, Claimed},
};

use crate::support::{
    engine,
    store::{Fate, Faulty, Operation},
    worker::{self, Kind, PATTERNS_ONLY, Place, fill, job, plain, run},
};

macro_rules! store_contract {
    ($($promise:ident),* $(,)?) => {
        mod local {
            $(#[test] fn $promise() {
                crate::support::engine::runtime().block_on(super::$promise(crate::support::worker::Place::local()));
            })*
        }
        mod s3 {
            $(#[test] fn $promise() {
                crate::support::engine::runtime().block_on(super::$promise(crate::support::worker::Place::s3()));
            })*
        }
    };
}

store_contract!(
    every_document_comes_out_once,
    names_and_bytes_do_not_depend_on_the_clock,
    a_second_run_does_nothing,
    a_changed_object_is_done_again_under_another_name,
    another_configuration_is_done_again_under_another_name,
    a_broken_record_is_a_dead_letter_and_nothing_else_is_lost,
    an_object_larger_than_a_part_goes_up_in_parts,
    two_workers_do_each_object_once,
    a_silent_worker_is_taken_over_after_its_lease,
    a_claim_that_was_taken_over_is_not_committed,
    a_claim_is_busy_until_it_is_released,
    a_tenant_with_labels_gets_entities_and_redactions_of_one_run,
    a_run_that_is_drained_leaves_the_rest_to_the_next,
    a_worker_takes_what_arrives_later_and_ends_when_drained,
);

async fn every_document_comes_out_once(place: Place) {
    let ids = fill(&place, 7, 5).await;
    let summary = run(&place).await;
    assert_eq!(
        (summary.objects, summary.documents, summary.entities),
        (7, 35, 35)
    );
    let outputs = place.outputs().await;
    outputs.assert_exactly(&ids);
    assert_eq!(outputs.commits.len(), 7);
    assert_eq!(outputs.claims, [""; 0], "claims of objects that are done");
}

async fn names_and_bytes_do_not_depend_on_the_clock(place: Place) {
    fill(&place, 3, 4).await;
    let mut found = Vec::new();
    for sink in ["out", "other"] {
        let target = Target::Objects(place.ledger_of(
            sink,
            plain(),
            "configuration",
            Duration::from_secs(60),
        ));
        job(PATTERNS_ONLY)
            .objects(&place.objects(), &target)
            .await
            .unwrap();
        found.push(worker::Outputs::read(&place.at(sink)).await.files);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(found[0].len(), 6);
    assert_eq!(found[0], found[1]);
}

async fn a_second_run_does_nothing(place: Place) {
    fill(&place, 4, 3).await;
    run(&place).await;
    let list = || async { times(&place).await };
    let before = list().await;
    let summary = run(&place).await;
    assert_eq!(
        (summary.objects, summary.skipped, summary.documents),
        (0, 4, 0)
    );
    assert_eq!(list().await, before, "something was written again");
}

/// Files of the sink with the time of their last change.
async fn times(place: &Place) -> BTreeSet<String> {
    let out = place.at("out");
    let prefix = (!out.prefix().is_root()).then_some(out.prefix());
    let listed = out.store().list(prefix);
    listed
        .map(|meta| {
            meta.map(|m| format!("{} {:?} {}", m.location, m.last_modified, m.size))
                .unwrap()
        })
        .collect()
        .await
}

async fn a_changed_object_is_done_again_under_another_name(place: Place) {
    fill(&place, 2, 3).await;
    run(&place).await;
    let before = place.outputs().await;
    place
        .put("day-0/part-00.jsonl", worker::documents(900, 4))
        .await;
    let summary = run(&place).await;
    assert_eq!(
        (summary.objects, summary.skipped, summary.documents),
        (1, 1, 4)
    );
    let after = place.outputs().await;
    after.assert_keeps(&before);
    assert_eq!(after.files.len(), before.files.len() + 2);
    assert_eq!(after.listed(), after.names());
    assert_eq!(after.commits.len(), 3);
}

async fn another_configuration_is_done_again_under_another_name(place: Place) {
    fill(&place, 2, 3).await;
    run(&place).await;
    let before = place.outputs().await;
    let target =
        Target::Objects(place.ledger_of("out", plain(), "another", Duration::from_secs(60)));
    let summary = job(PATTERNS_ONLY)
        .objects(&place.objects(), &target)
        .await
        .unwrap();
    assert_eq!((summary.objects, summary.skipped), (2, 0));
    let after = place.outputs().await;
    after.assert_keeps(&before);
    assert_eq!(after.files.len(), before.files.len() * 2);
    assert_eq!(after.listed(), after.names());
}

async fn a_broken_record_is_a_dead_letter_and_nothing_else_is_lost(place: Place) {
    let mut bytes = worker::documents(0, 2).into_bytes();
    bytes.extend_from_slice(b"{\"id\":\"CANARY-1\", \"text\": \n");
    bytes.extend_from_slice(b"{\"id\":\"CANARY-2\",\"text\":\"\xff\xfe\"}\n");
    bytes.extend_from_slice(b"{\"id\":\"d7\",\"tenant\":\"CANARY-3\",\"text\":\"x\"}\n");
    bytes.extend_from_slice(worker::documents(2, 2).as_bytes());
    place.put("a.jsonl", bytes).await;
    place.put("empty.jsonl", "").await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, worker::documents(50, 400).as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    place.put("cut.jsonl.gz", &packed[..packed.len() / 2]).await;
    place.put("not.jsonl.zst", "this is not zstd at all").await;

    let summary = run(&place).await;
    let codes = |code: &str| summary.dead_letters.get(code).copied().unwrap_or(0);
    assert_eq!(
        (
            codes("not_json"),
            codes("not_utf8"),
            codes("unknown_tenant")
        ),
        (1, 1, 1)
    );
    assert_eq!(
        summary.dead_letters.values().sum::<u64>(),
        5,
        "{:?}",
        summary.dead_letters
    );
    let outputs = place.outputs().await;
    let letters = outputs
        .files
        .iter()
        .filter(|(path, _)| path.starts_with("dead_letters/"));
    let mut positions = Vec::new();
    for (path, bytes) in letters {
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(!text.contains("CANARY"), "{path} holds a value");
        for line in text.lines() {
            let letter: DeadLetter = serde_json::from_str(line).unwrap();
            positions.push(letter.source.to_string());
        }
    }
    positions.sort();
    assert_eq!(positions[..3], ["a.jsonl:2", "a.jsonl:3", "a.jsonl:4"]);
    assert!(
        positions[3].starts_with("cut.jsonl.gz") && positions[4].starts_with("not.jsonl.zst"),
        "{positions:?}"
    );
    assert_eq!(outputs.listed(), outputs.names());
    assert_eq!(outputs.commits.len(), 4);
    let entities = outputs.ids("entities");
    assert_eq!(entities, outputs.ids("redactions"));
    assert!(
        ["d0", "d1", "d2", "d3", "d50"]
            .iter()
            .all(|id| entities.contains(&(*id).to_owned()))
    );
    let unique: BTreeSet<_> = entities.iter().collect();
    assert_eq!(unique.len(), entities.len());
}

async fn an_object_larger_than_a_part_goes_up_in_parts(place: Place) {
    // Two parts and a bit: 8 MiB each.
    let filler = "all is well here. ".repeat(4 << 10);
    let count = 250;
    let line = |n| format!("{{\"id\":\"d{n}\",\"text\":\"{filler}mail a{n}@mail.example\"}}\n");
    place
        .put("large.jsonl", (0..count).map(line).collect::<String>())
        .await;
    let parts = Arc::new(AtomicUsize::new(0));
    let counted = parts.clone();
    let behind = behind(&place, move |operation| {
        if let Operation::Part = operation {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        ready(Fate::Done).boxed()
    });
    match behind {
        Some((watched, _)) => {
            run(&watched).await;
            assert_eq!(parts.load(Ordering::Relaxed), 3);
        }
        None => drop(run(&place).await),
    }
    let outputs = place.outputs().await;
    let (ids, wanted) = (outputs.ids("redactions"), outputs.ids("entities"));
    assert_eq!((ids.len(), ids), (count, wanted));
    for record in outputs.records("redactions") {
        let text = record["text"].as_str().unwrap();
        assert!(
            text.len() == filler.len() + 12 && text.ends_with(". mail [EMAIL]"),
            "{}",
            &text[text.len() - 40..]
        );
    }
    assert_eq!(outputs.listed(), outputs.names());
}

async fn two_workers_do_each_object_once(place: Place) {
    let ids = fill(&place, 20, 3).await;
    let (one, two) = tokio::join!(run(&place), run(&place));
    assert_eq!(one.objects + two.objects, 20, "{one:?} {two:?}");
    assert!(one.objects > 0 && two.objects > 0, "{one:?} {two:?}");
    assert_eq!(one.documents + two.documents, 60);
    let outputs = place.outputs().await;
    outputs.assert_exactly(&ids);
    assert_eq!(outputs.commits.len(), 20);
}

async fn a_silent_worker_is_taken_over_after_its_lease(place: Place) {
    let ids = fill(&place, 1, 3).await;
    let lease = Duration::from_millis(1500);
    let ledger = place.ledger_of("out", plain(), "configuration", lease);
    let object = place.objects().list().await.unwrap().objects.remove(0);
    // A worker on another host: this one knows nothing about its process.
    let Claimed::Claim(claim) = ledger.claim(&object).await.unwrap() else {
        panic!("not claimed")
    };
    let path = only_claim(&place).await;
    drop(claim);
    let out = place.at("out");
    let claim = out.store().get(&path).await.unwrap().bytes().await.unwrap();
    let mut claim: serde_json::Value = serde_json::from_slice(&claim).unwrap();
    claim["host"] = "another host".into();
    out.store()
        .put(&path, claim.to_string().into())
        .await
        .unwrap();

    let start = Instant::now();
    let summary = job(PATTERNS_ONLY)
        .objects(&place.objects(), &Target::Objects(ledger))
        .await
        .unwrap();
    assert!(
        start.elapsed() >= lease,
        "taken over after {:?}",
        start.elapsed()
    );
    assert_eq!(summary.objects, 1);
    let outputs = place.outputs().await;
    outputs.assert_exactly(&ids);
    assert_eq!(outputs.claims, [""; 0]);
}

async fn only_claim(place: &Place) -> Path {
    let claims = place.outputs().await.claims;
    assert_eq!(claims.len(), 1, "{claims:?}");
    place.at("out").path(&claims[0])
}

async fn a_claim_that_was_taken_over_is_not_committed(place: Place) {
    let ids = fill(&place, 1, 1).await;
    let lease = Duration::from_millis(900);
    let ledger = || place.ledger_of("out", plain(), "configuration", lease);
    let object = place.objects().list().await.unwrap().objects.remove(0);
    // Their renewals end with the runtime on which they were claimed: stopped, as by SIGSTOP.
    let silent = |ledger: sink::Ledger, object: weir::source::Object| async move {
        let runtime = engine::runtime();
        let claimed = runtime
            .spawn(async move { ledger.claim(&object).await })
            .await
            .unwrap()
            .unwrap();
        runtime.shutdown_background();
        let Claimed::Claim(claim) = claimed else {
            panic!("not claimed")
        };
        let mut output = claim.output();
        output.document(Box::new(invented()), "\n").await.unwrap();
        output
    };
    let first = silent(ledger(), object.clone()).await;
    let watcher = ledger();
    assert!(matches!(
        watcher.claim(&object).await.unwrap(),
        Claimed::Busy
    ));
    tokio::time::sleep(lease + Duration::from_millis(100)).await;
    let Claimed::Claim(second) = watcher.claim(&object).await.unwrap() else {
        panic!("not taken over")
    };
    // It wakes up while the other is at work: nothing of it becomes visible.
    assert!(matches!(
        first.commit().await,
        Err(sink::Error::Lost { .. })
    ));
    assert_eq!(place.outputs().await.files.len(), 0);
    second.release().await;

    // It wakes up after the other has committed.
    let claims = place.outputs().await.claims;
    for claim in claims {
        let out = place.at("out");
        out.store().delete(&out.path(&claim)).await.unwrap();
    }
    let late = silent(ledger(), object.clone()).await;
    let target = Target::Objects(ledger());
    let summary = job(PATTERNS_ONLY)
        .objects(&place.objects(), &target)
        .await
        .unwrap();
    assert_eq!(summary.objects, 1);
    assert!(matches!(late.commit().await, Err(sink::Error::Lost { .. })));
    place.outputs().await.assert_exactly(&ids);
}

/// A document that no run over the inputs makes.
fn invented() -> Done {
    let text = |text: &str| text.to_owned();
    let digests = Digests {
        pack: text("p"),
        label_set: text("l"),
        policy: text("p"),
        weir_version: text("0"),
    };
    Done {
        entities: Entities {
            document_id: text("late"),
            tenant: text("acme"),
            source: Position::Stdin { line: 0 },
            entities: Vec::new(),
            digests,
            tokens: 0,
            windows: 0,
        },
        redacted: Redacted::Record(b"{\"id\":\"late\"}".to_vec()),
        changes: Vec::new(),
        operators: Default::default(),
    }
}

async fn a_claim_is_busy_until_it_is_released(place: Place) {
    fill(&place, 1, 1).await;
    let object = place.objects().list().await.unwrap().objects.remove(0);
    let (one, two) = (place.ledger(), place.ledger());
    let Claimed::Claim(claim) = one.claim(&object).await.unwrap() else {
        panic!("not claimed")
    };
    assert!(matches!(two.claim(&object).await.unwrap(), Claimed::Busy));
    assert!(matches!(one.claim(&object).await.unwrap(), Claimed::Busy));
    claim.release().await;
    let Claimed::Claim(claim) = two.claim(&object).await.unwrap() else {
        panic!("not given back")
    };
    assert!(!two.is_done(&object).await.unwrap());
    claim.output().commit().await.unwrap();
    assert!(two.is_done(&object).await.unwrap());
    assert!(matches!(one.claim(&object).await.unwrap(), Claimed::Done));
}

async fn a_tenant_with_labels_gets_entities_and_redactions_of_one_run(place: Place) {
    let ids = fill(&place, 3, 4).await;
    let tenant = "labels = [{ name = \"person\", threshold = 0.01 }, { name = \"city\", threshold = 0.01 }]\npatterns = [\"email\"]\n";
    let target = Target::Objects(place.ledger());
    let summary = job(tenant)
        .objects(&place.objects(), &target)
        .await
        .unwrap();
    assert!(summary.entities >= 12, "{summary:?}");
    let outputs = place.outputs().await;
    let wanted: Vec<_> = ids.into_iter().collect();
    assert_eq!(outputs.ids("entities"), wanted);
    assert_eq!(outputs.ids("redactions"), wanted);
    let redactions = outputs.records("redactions");
    for entities in outputs.records("entities") {
        let redaction = redactions
            .iter()
            .find(|record| record["id"] == entities["document_id"])
            .unwrap();
        let places = |list: &serde_json::Value, start: &str| -> Vec<(String, u64)> {
            let list = list.as_array().unwrap().iter();
            list.map(|item| (item["label"].to_string(), item[start].as_u64().unwrap()))
                .collect()
        };
        assert_eq!(
            places(&entities["entities"], "start"),
            places(&redaction["redactions"], "source_start")
        );
        for key in ["pack", "label_set", "policy", "weir_version"] {
            assert_eq!(entities[key], redaction[key]);
        }
    }
}

async fn a_run_that_is_drained_leaves_the_rest_to_the_next(place: Place) {
    let ids = fill(&place, 6, 4).await;
    let mut first = job(PATTERNS_ONLY);
    first.limits.documents = Some(9);
    first
        .objects(&place.objects(), &Target::Objects(place.ledger()))
        .await
        .unwrap();
    let outputs = place.outputs().await;
    assert!(outputs.commits.len() < 6);
    assert_eq!(
        outputs.listed(),
        outputs.names(),
        "an object that was cut short left a file"
    );
    assert_eq!(outputs.claims, [""; 0]);
    run(&place).await;
    place.outputs().await.assert_exactly(&ids);
}

async fn a_worker_takes_what_arrives_later_and_ends_when_drained(place: Place) {
    let mut ids = fill(&place, 3, 4).await;
    let worker = job(PATTERNS_ONLY);
    let (drain, progress) = (worker.drain.clone(), worker.progress.clone());
    let (objects, target) = (place.objects(), Target::Objects(place.ledger()));
    let poll = Duration::from_millis(50);
    let running = worker.worker(&objects, &target, poll);
    let documents = async |count: u64| {
        let start = Instant::now();
        loop {
            let now = progress.snapshot(&Default::default(), Duration::ZERO);
            if now.documents == count {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "{now:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let watching = async {
        documents(12).await;
        place.put("later/new.jsonl", worker::documents(12, 5)).await;
        documents(17).await;
        // Some looks at what is done already.
        tokio::time::sleep(Duration::from_millis(300)).await;
        drain.cancel();
    };
    let (summary, ()) = tokio::join!(running, watching);
    let summary = summary.unwrap();
    ids.extend((12..17).map(|n| format!("d{n}")));
    assert_eq!(
        (summary.documents, summary.objects, summary.skipped),
        (17, 4, 0)
    );
    assert!(summary.drained);
    place.outputs().await.assert_exactly(&ids);
}

// Stores that fail.

#[test]
fn a_store_that_fails_at_any_operation_costs_nothing() {
    engine::runtime().block_on(each_operation(&[Fate::Refused, Fate::AnswerLost], || {
        Place::of(Arc::new(InMemory::new()))
    }));
}

#[test]
fn a_worker_that_dies_at_any_operation_costs_nothing() {
    let faults = [Fate::DeadBefore, Fate::DeadAfter];
    engine::runtime().block_on(each_operation(&faults, || {
        Place::of(Arc::new(InMemory::new()))
    }));
}

#[test]
fn a_real_s3_that_fails_at_any_operation_costs_nothing() {
    engine::runtime().block_on(each_operation(
        &[Fate::AnswerLost, Fate::DeadAfter],
        Place::s3,
    ));
}

/// For each operation of a job: a run in which it fails, and a run in which nothing does.
async fn each_operation(faults: &[Fate], place: impl Fn() -> Place) {
    // Short, because a worker that dies here is a future that is dropped: its process lives on, and
    // its claims have to be waited for.
    let lease = Duration::from_millis(150);
    for fault in faults {
        let mut at = 0;
        loop {
            let place = place();
            let ids = fill(&place, 2, 2).await;
            let count = Arc::new(AtomicUsize::new(0));
            let (counted, fault) = (count.clone(), *fault);
            let is_dead = matches!(fault, Fate::DeadBefore | Fate::DeadAfter);
            let behind = behind(&place, move |_| {
                let fate = match counted.fetch_add(1, Ordering::SeqCst).cmp(&at) {
                    Equal => fault,
                    // A dead worker does nothing any more.
                    Greater if is_dead => Fate::DeadBefore,
                    Less | Greater => Fate::Done,
                };
                ready(fate).boxed()
            });
            let (faulty, store) = behind.expect("a store");
            let first = job(PATTERNS_ONLY);
            let target = Target::Objects(faulty.ledger_of("out", plain(), "configuration", lease));
            let objects = faulty.objects();
            let ended = tokio::select! {
                outcome = first.objects(&objects, &target) => Some(outcome.is_ok()),
                () = store.died() => None,
            };
            drop((first, target, objects, faulty, store));
            let seen = place.outputs().await;
            for file in seen.listed() {
                assert!(
                    seen.files.contains_key(&file),
                    "{file} is committed and not there ({fault:?} {at})"
                );
            }
            let target = Target::Objects(place.ledger_of("out", plain(), "configuration", lease));
            let summary = job(PATTERNS_ONLY).objects(&place.objects(), &target).await;
            let summary = summary.unwrap_or_else(|error| panic!("{fault:?} {at}: {error}"));
            assert_eq!(
                summary.objects + summary.skipped,
                2,
                "{fault:?} {at}: {summary:?}"
            );
            assert!(
                summary.dead_letters.is_empty(),
                "{fault:?} {at}: {summary:?}"
            );
            place.outputs().await.assert_exactly(&ids);
            if count.load(Ordering::SeqCst) <= at {
                assert_eq!(ended, Some(true));
                break;
            }
            at += 1;
        }
        assert!(at > 15, "only {at} operations: the test says little");
    }
}

/// The place with `store` in front of its own; `None` for a local folder, which [`super::kill`] looks after.
fn behind(
    place: &Place,
    decide: impl Fn(Operation<'_>) -> BoxFuture<'static, Fate> + Send + Sync + 'static,
) -> Option<(Place, Arc<Faulty>)> {
    let Kind::Store(store, prefix) = &place.kind else {
        return None;
    };
    let faulty = Faulty::new(store.clone(), decide);
    let place = Place {
        kind: Kind::Store(faulty.clone(), prefix.clone()),
        server: place.server.clone(),
    };
    Some((place, faulty))
}
