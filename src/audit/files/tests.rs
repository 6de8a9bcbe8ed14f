//! Sinks that workers wrote, and what somebody did to them afterwards.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt as _, TryStreamExt as _};
use object_store::{ObjectStore as _, ObjectStoreExt as _, memory::InMemory, path::Path};
use proptest::prelude::*;

use super::Files;
use crate::{
    audit::{Feed, Report, Verdict},
    record::{
        Audit, Code, DeadLetter, Digests, Done, Entities, Position, Redacted, Stage,
        audit::{About, DigestKey},
        commit::ObjectCommit,
    },
    sink::{Claimed, Formats, Ledger, Output, Redactions},
    source::Object,
    store::{Compression, Format, Location},
};

fn key() -> DigestKey {
    DigestKey::new(b"a secret of the test".to_vec())
}

/// A sink in memory.
#[derive(Clone)]
struct Sink {
    store: Arc<InMemory>,
}

impl Sink {
    fn new() -> Self {
        Self {
            store: Arc::default(),
        }
    }

    fn location(&self) -> Location {
        let root = Path::from("below");
        Location::within(self.store.clone(), root, "memory")
    }

    fn files(&self) -> BTreeMap<String, Bytes> {
        let listed = self.store.list(None).try_collect::<Vec<_>>();
        let listed = listed.now_or_never().unwrap().unwrap();
        let read = |meta: object_store::ObjectMeta| {
            let found = self
                .store
                .get(&meta.location)
                .now_or_never()
                .unwrap()
                .unwrap();
            let bytes = found.bytes().now_or_never().unwrap().unwrap();
            (meta.location.to_string(), bytes)
        };
        listed.into_iter().map(read).collect()
    }

    fn names(&self, part: &str) -> Vec<String> {
        let names = self.files().into_keys();
        names.filter(|name| name.contains(part)).collect()
    }

    /// The only file whose name has such a part.
    fn name(&self, part: &str) -> String {
        let names = self.names(part);
        assert_eq!(names.len(), 1, "{part}: {names:?}");
        names[0].clone()
    }

    fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        let path = Path::from(name);
        let put = self.store.put(&path, bytes.into().into());
        put.now_or_never().unwrap().unwrap();
    }

    fn delete(&self, name: &str) {
        let path = Path::from(name);
        let deleted = self.store.delete(&path);
        deleted.now_or_never().unwrap().unwrap();
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.files()[name].to_vec();
        change(&mut bytes);
        self.put(name, bytes);
    }

    async fn report(&self) -> Report {
        Files::new(self.location(), false)
            .read()
            .await
            .unwrap()
            .close()
    }

    #[track_caller]
    fn has(&self, runtime: &tokio::runtime::Runtime, verdict: Verdict, faults: &[&str]) {
        let report = runtime.block_on(self.report());
        let commits = report.commits.as_ref().unwrap();
        let found = commits.faults.count.keys().chain(report.stray.count.keys());
        let found: Vec<&str> = found.copied().collect();
        assert_eq!((report.verdict(), &*found), (verdict, faults), "{report}");
        assert!(report.to_string().contains(&format!("{verdict}: ")));
    }
}

fn position(object: &str, record: u64) -> Position {
    Position::Object {
        object: object.to_owned(),
        version: Some("v1".to_owned()),
        record: Some(record),
    }
}

fn done(source: &Position, text: &str) -> Box<Done> {
    Box::new(Done {
        entities: Entities {
            document_id: source.to_string(),
            tenant: "acme".to_owned(),
            source: source.clone(),
            entities: Vec::new(),
            digests: Digests {
                pack: "p".to_owned(),
                label_set: "l".to_owned(),
                policy: "q".to_owned(),
                weir_version: "0".to_owned(),
            },
            tokens: 1,
            windows: 1,
        },
        redacted: Redacted::Record(format!("{{\"text\":{text:?}}}").into_bytes()),
        changes: Vec::new(),
        operators: BTreeMap::new(),
    })
}

fn letter(source: &Position) -> DeadLetter {
    DeadLetter {
        source: source.clone(),
        tenant: None,
        document_id: None,
        stage: Stage::Source,
        code: Code::NotJson,
        reason: "not JSON".to_owned(),
        attempts: 1,
    }
}

/// Takes an object, as a worker does.
async fn begun(
    sink: &Sink,
    object: &str,
    compression: Option<Compression>,
    audits: bool,
) -> Output {
    let formats = Formats {
        redactions: Redactions::Auto,
        entities_as_parquet: false,
        compression,
    };
    let lease = Duration::from_secs(60);
    let ledger = Ledger::new(sink.location(), formats, lease, "configuration".to_owned());
    let ledger = match audits {
        true => ledger.audited(key()),
        false => ledger,
    };
    let object = Object {
        path: object.to_owned(),
        location: Path::from(object),
        size: 1,
        version: "v1".to_owned(),
        e_tag: None,
        format: Format::JsonLines,
        compression: None,
    };
    match ledger.claim(&object).await.unwrap() {
        Claimed::Claim(claim) => claim.output(),
        _ => panic!("not claimed"),
    }
}

/// Answers for a document: `is_letter` says how.
async fn answer(output: &mut Output, source: &Position, is_letter: bool) {
    let event = match is_letter {
        false => {
            let done = done(source, "ask [EMAIL]");
            let event = Audit::event(source.clone(), Ok(&done), About::default(), &key());
            output.document(done, "\n").await.unwrap();
            event
        }
        true => {
            let letter = letter(source);
            output.dead_letter(&letter).await.unwrap();
            Audit::event(source.clone(), Err(&letter), About::default(), &key())
        }
    };
    if output.digest_key().is_some() {
        output.audited(event).await.unwrap();
    }
}

/// Writes an object of some documents.
async fn written(sink: &Sink, object: &str, letters: &[bool], packed: Option<Compression>) {
    let mut output = begun(sink, object, packed, true).await;
    for (record, is_letter) in (0..).zip(letters) {
        answer(&mut output, &position(object, record), *is_letter).await;
    }
    output.commit().await.unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Two objects of a worker.
fn two(runtime: &tokio::runtime::Runtime) -> Sink {
    let sink = Sink::new();
    let letters = [false, true, false, false];
    runtime.block_on(written(&sink, "in/a.jsonl", &letters, None));
    runtime.block_on(written(&sink, "in/b.jsonl", &[false, false], None));
    sink.has(runtime, Verdict::Proven, &[]);
    sink
}

#[test]
fn what_a_worker_wrote_is_proven_in_every_packing_and_an_empty_sink_is_not() {
    let runtime = runtime();
    for packed in [None, Some(Compression::Gzip), Some(Compression::Zstd)] {
        let sink = Sink::new();
        sink.has(&runtime, Verdict::NotProvable, &[]);
        runtime.block_on(written(&sink, "in/a.jsonl", &[false, true, false], packed));
        runtime.block_on(written(&sink, "empty.jsonl", &[], packed));
        let report = runtime.block_on(sink.report());
        assert_eq!(report.verdict(), Verdict::Proven, "{report}");
        let commits = report.commits.unwrap();
        assert_eq!((commits.objects, report.records), (2, 5));
        assert_eq!((commits.delivered, commits.dead_letters), (2, 1));
        assert_eq!(sink.names("/audit/").len(), 2);
    }
}

#[test]
fn a_withdrawn_object_keeps_the_audit_of_its_dead_letters_alone() {
    let runtime = runtime();
    let sink = Sink::new();
    runtime.block_on(async {
        let mut output = begun(&sink, "a.jsonl", None, true).await;
        for (record, is_letter) in [(0, false), (1, true), (2, false)] {
            answer(&mut output, &position("a.jsonl", record), is_letter).await;
        }
        output.withdraw().await.unwrap();
        answer(&mut output, &position("a.jsonl", 3), true).await;
        output.commit().await.unwrap();
    });
    let report = runtime.block_on(sink.report());
    let commits = report.commits.as_ref().unwrap();
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
    assert_eq!((commits.delivered, commits.dead_letters), (0, 2));
}

#[test]
fn an_object_without_an_audit_is_not_provable_and_hides_no_fault_of_another() {
    let runtime = runtime();
    let sink = two(&runtime);
    runtime.block_on(async {
        let mut output = begun(&sink, "old.jsonl", None, false).await;
        answer(&mut output, &position("old.jsonl", 0), false).await;
        output.commit().await.unwrap();
    });
    sink.has(&runtime, Verdict::NotProvable, &[]);
    let report = runtime.block_on(sink.report()).to_string();
    assert!(report.contains("1 written without an audit"), "{report}");
    sink.delete(&sink.name("/redactions/in/b"));
    sink.has(&runtime, Verdict::Incomplete, &["no_file"]);
}

#[test]
fn each_file_that_is_deleted_altered_or_cut_is_named() {
    let runtime = runtime();
    let sink = two(&runtime);
    let before = sink.files();
    for kind in ["entities", "redactions", "dead_letters"] {
        let name = sink.name(&format!("/{kind}/in/a"));
        sink.delete(&name);
        sink.has(&runtime, Verdict::Incomplete, &["no_file"]);
        sink.put(&name, before[&name].clone());
        sink.change(&name, |bytes| bytes[5] ^= 1);
        sink.has(&runtime, Verdict::Broken, &["other_file"]);
        sink.put(&name, before[&name].clone());
        sink.change(&name, |bytes| bytes.truncate(bytes.len() - 3));
        sink.has(&runtime, Verdict::Broken, &["other_file"]);
        let report = runtime.block_on(sink.report()).to_string();
        assert!(
            report.contains(&format!("other file: {kind}/in/a")),
            "{report}"
        );
        sink.put(&name, before[&name].clone());
    }
    sink.has(&runtime, Verdict::Proven, &[]);
    let audit = sink.name("/audit/in/a");
    sink.delete(&audit);
    sink.has(&runtime, Verdict::Incomplete, &["no_file", "omitted"]);
}

/// The lines of an audit file, without what stands in the commit record.
fn with_lines(sink: &Sink, name: &str, change: impl FnOnce(&mut Vec<String>)) {
    sink.change(name, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        *bytes = lines
            .iter()
            .flat_map(|line| [line.as_str(), "\n"])
            .collect::<String>()
            .into();
    });
}

/// A commit record that was written again with other contents, and its hash too.
fn committed_again(sink: &Sink, name: &str, change: impl FnOnce(&mut ObjectCommit)) {
    sink.change(name, |bytes| {
        let mut record: ObjectCommit = serde_json::from_slice(bytes).unwrap();
        change(&mut record);
        *bytes = record.written();
    });
}

fn commit_of(sink: &Sink, object: &str) -> String {
    let is_own = |bytes: &Bytes| {
        serde_json::from_slice::<ObjectCommit>(bytes).is_ok_and(|own| own.object == object)
    };
    let found = sink.files().into_iter().find(|(_, bytes)| is_own(bytes));
    found.unwrap().0
}

/// Puts size, digest and lines of a file into its commit record, as somebody would who can write both.
fn told_anew(sink: &Sink, object: &str, kind: &str) {
    use sha2::{Digest as _, Sha256};
    let files = sink.files();
    committed_again(sink, &commit_of(sink, object), |record| {
        let file = record
            .files
            .iter_mut()
            .find(|file| file.kind == kind)
            .unwrap();
        let bytes = &files[&format!("below/{}", file.path)];
        file.bytes = bytes.len() as u64;
        file.sha256 = Some(hex::encode(Sha256::digest(bytes)));
        file.records = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    });
}

#[test]
fn records_that_are_removed_added_or_moved_in_an_audit_file_are_found_whatever_the_commit_record_says()
 {
    let runtime = runtime();
    type Change = fn(&mut Vec<String>);
    let changes: [(Change, Verdict, &[&str]); 5] = [
        (
            |lines| drop(lines.remove(2)),
            Verdict::Broken,
            &["counts", "missing"],
        ),
        (
            |lines| drop(lines.pop()),
            Verdict::Broken,
            &["counts", "truncated"],
        ),
        (
            |lines| lines.swap(2, 3),
            Verdict::Broken,
            &["missing", "repeated", "twice"],
        ),
        (
            |lines| lines[2] = lines[2].replace("dead_letter", "delivered"),
            Verdict::Broken,
            &["altered", "counts"],
        ),
        (
            |lines| drop(lines.remove(0)),
            Verdict::Incomplete,
            &["no_beginning"],
        ),
    ];
    for (number, (change, verdict, faults)) in changes.into_iter().enumerate() {
        let sink = two(&runtime);
        with_lines(&sink, &sink.name("/audit/in/a"), change);
        let report = runtime.block_on(sink.report());
        let names = &report.commits.as_ref().unwrap().faults.count;
        assert!(names.contains_key("other_file"), "{number}: {report}");
        told_anew(&sink, "in/a.jsonl", "audit");
        let report = runtime.block_on(sink.report());
        let commits = report.commits.as_ref().unwrap();
        assert_eq!(report.verdict(), verdict, "{number}: {report}");
        let wanted: Vec<&str> = faults.to_vec();
        let found: Vec<&str> = commits.faults.count.keys().copied().collect();
        let is_there = wanted.iter().any(|name| found.contains(name));
        assert!(is_there, "{number}: {found:?}\n{report}");
    }
}

#[test]
fn a_commit_record_that_is_altered_renamed_or_removed_is_found() {
    let runtime = runtime();
    let sink = two(&runtime);
    let before = sink.files();
    let name = commit_of(&sink, "in/a.jsonl");
    for at in 0..before[&name].len() {
        sink.change(&name, |bytes| bytes[at] ^= 1);
        let report = runtime.block_on(sink.report());
        assert!(report.verdict() > Verdict::Proven, "byte {at}: {report}");
        sink.put(&name, before[&name].clone());
    }
    // With a hash of its own it still contradicts its files.
    committed_again(&sink, &name, |record| record.documents -= 1);
    sink.has(&runtime, Verdict::Broken, &["counts"]);
    committed_again(&sink, &name, |record| record.version = "v2".to_owned());
    let report = runtime.block_on(sink.report());
    let count = &report.commits.as_ref().unwrap().faults.count;
    assert!(
        count.contains_key("commit") && count.contains_key("elsewhere"),
        "{report}"
    );
    sink.delete(&name);
    sink.has(&runtime, Verdict::Incomplete, &["unlisted"]);
    let mut report = runtime.block_on(sink.report());
    report.accept(&["unlisted".to_owned()]);
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
}

#[test]
fn objects_that_are_swapped_are_found_by_every_way_of_swapping_them() {
    let runtime = runtime();
    let sink = two(&runtime);
    let before = sink.files();
    let (one, two) = (
        commit_of(&sink, "in/a.jsonl"),
        commit_of(&sink, "in/b.jsonl"),
    );
    sink.put(&one, before[&two].clone());
    sink.put(&two, before[&one].clone());
    sink.has(&runtime, Verdict::Broken, &["commit"]);
    sink.put(&one, before[&one].clone());
    sink.put(&two, before[&two].clone());
    // The files of one in place of those of the other, and the record says so.
    for kind in ["entities", "redactions", "audit"] {
        let (from, to) = (
            sink.name(&format!("/{kind}/in/a")),
            sink.name(&format!("/{kind}/in/b")),
        );
        sink.put(&to, before[&from].clone());
        told_anew(&sink, "in/b.jsonl", kind);
    }
    let report = runtime.block_on(sink.report());
    let count = &report.commits.as_ref().unwrap().faults.count;
    assert!(
        count.contains_key("elsewhere") && count.contains_key("counts"),
        "{report}"
    );
    assert_eq!(report.verdict(), Verdict::Broken);
}

#[test]
fn an_audit_file_by_itself_is_no_feed_and_the_report_says_where_it_is_checked() {
    let sink = two(&runtime());
    let bytes = sink.files()[&sink.name("/audit/in/a")].clone();
    let mut feed = Feed::default();
    for line in std::str::from_utf8(&bytes).unwrap().lines() {
        feed.read(line);
    }
    let report = feed.close();
    assert_eq!(report.verdict(), Verdict::Broken);
    assert!(
        report
            .to_string()
            .contains("`weir audit verify --objects` checks")
    );
}

#[test]
fn a_document_that_is_answered_for_twice_is_found() {
    let runtime = runtime();
    let sink = Sink::new();
    runtime.block_on(async {
        let mut output = begun(&sink, "a.jsonl", None, true).await;
        for record in [0, 2, 1, 2] {
            answer(&mut output, &position("a.jsonl", record), false).await;
        }
        output.commit().await.unwrap();
    });
    sink.has(&runtime, Verdict::Broken, &["twice"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_byte_of_a_sink_can_be_changed_cut_or_removed_unseen(
        letters in prop::collection::vec(any::<bool>(), 0..6),
        file in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        attack in 0..3_u8,
        packed in prop::sample::select(vec![None, Some(Compression::Gzip), Some(Compression::Zstd)]),
    ) {
        let runtime = runtime();
        let sink = Sink::new();
        runtime.block_on(written(&sink, "in/a.jsonl", &letters, packed));
        runtime.block_on(written(&sink, "in/b.jsonl", &[false], packed));
        let report = runtime.block_on(sink.report());
        prop_assert_eq!(report.verdict(), Verdict::Proven, "{}", report);
        let files = sink.files();
        let names: Vec<&String> = files.keys().collect();
        let name = *file.get(&names);
        match attack {
            0 => sink.delete(name),
            1 => sink.change(name, |bytes| {
                let at = at.index(bytes.len());
                bytes[at] ^= 4;
            }),
            _ => sink.change(name, |bytes| bytes.truncate(at.index(bytes.len()))),
        }
        let report = runtime.block_on(sink.report());
        prop_assert!(report.verdict() > Verdict::Proven, "{name}: {report}");
        prop_assert!(report.verdict() > Verdict::NotProvable || name.contains("commits"), "{name}");
    }
}
