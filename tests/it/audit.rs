//! The audit feed on a real broker, as `weir audit verify` reads it.

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use rdkafka::{
    Message as _,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use weir::{audit::note::SigningKey, record::audit::DigestKey};

use crate::support::{
    engine,
    topic::{Place, record},
    worker::{PATTERNS_ONLY, write_tenant},
};

const WAIT: Duration = Duration::from_secs(30);

struct Audited {
    place: Place,
    audit: String,
    folder: tempfile::TempDir,
}

impl Audited {
    fn new(partitions: i32) -> Self {
        let mut place = Place::new(partitions);
        let [audit] = place.broker.topics([("audit", 2)]);
        place.outputs.audit = Some(audit.clone());
        let folder = tempfile::tempdir().unwrap();
        write_tenant(&folder.path().join("tenants"), PATTERNS_ONLY);
        std::fs::write(folder.path().join("audit.key"), "a secret of the test").unwrap();
        let configuration = format!(
            r#"[source]
type = "kafka"
bootstrap_servers = "{address}"
topics = ["{input}"]
group_id = "group-{input}"
[sink]
type = "kafka"
audit_key_file = "audit.key"
[sink.topics]
dead_letters = "{dead}"
entities = "{entities}"
audit = "{audit}"
[tenants]
dir = "tenants"
[model]
pack = "weir-mini"
"#,
            address = place.address(),
            input = place.input,
            dead = place.outputs.dead_letters,
            entities = place.outputs.entities.as_ref().unwrap(),
        );
        std::fs::write(folder.path().join("weir.toml"), configuration).unwrap();
        Self {
            place,
            audit,
            folder,
        }
    }

    /// Runs a slot until `documents` records are done in all.
    fn process(&self, name: &str, documents: usize) {
        let mut options = self.place.options(name);
        options.source.digest_key = Some(DigestKey::new(b"a secret of the test".to_vec()));
        let slot = self.place.slot_with(options);
        self.place.wait_for(documents);
        slot.drained().unwrap();
    }

    fn verify(&self, arguments: &[&str]) -> (Option<i32>, String) {
        self.audit(&[&["verify"], arguments].concat())
    }

    fn audit(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = weir(self.folder.path(), arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), text + &errors)
    }
}

fn weir(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir"))
        .arg("audit")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Writes transactions of ten records each, of which some are aborted.
fn produce_in_transactions(place: &Place, are_committed: &[bool]) {
    let producer: BaseProducer = place
        .client()
        .set("transactional.id", format!("source-{}", place.input))
        .create()
        .unwrap();
    producer.init_transactions(WAIT).unwrap();
    for (number, is_committed) in are_committed.iter().enumerate() {
        producer.begin_transaction().unwrap();
        for n in 0..10 {
            let (key, value) = record(10 * number + n);
            let record = BaseRecord::to(&place.input).key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        // So that aborted records are in the log too.
        producer.flush(WAIT).unwrap();
        match is_committed {
            true => producer.commit_transaction(WAIT).unwrap(),
            false => producer.abort_transaction(WAIT).unwrap(),
        }
    }
}

#[test]
fn a_source_with_aborted_transactions_is_proven_and_what_is_done_to_the_feed_is_found() {
    let own = Audited::new(2);
    produce_in_transactions(&own.place, &[true, false, true, true, false, true]);
    own.process("a", 40);
    let (code, text) = own.verify(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("PROVEN: 42 audit records of 2 partitions"),
        "{text}"
    );
    assert!(text.contains("of aborted transactions"), "{text}");
    assert!(text.contains("markers of transactions"), "{text}");

    // The feed by itself: nobody can say why offsets are missing.
    let mut lines = Vec::new();
    for message in own.place.messages(&own.audit) {
        lines.extend(message.payload().unwrap());
        lines.push(b'\n');
    }
    std::fs::write(own.folder.path().join("audit.jsonl"), &lines).unwrap();
    let (code, text) = own.verify(&["audit.jsonl"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("INCOMPLETE: 42 audit records"), "{text}");
    assert!(text.contains("the source was not asked"), "{text}");
    let (code, text) = own.verify(&["audit.jsonl", "--accept", "unknown", "--json"]);
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&report["result"], &report["records"]),
        (&"proven".into(), &42.into())
    );

    // The same as files that were copied from the broker: its segments say why.
    if let Some(data) = own.place.broker.data() {
        let data = data.to_str().unwrap();
        let (code, text) = own.verify(&["audit.jsonl", "--segments", data]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("of aborted transactions"), "{text}");
        assert!(text.contains("asked what is committed"), "{text}");
        let folders = [0, 1].map(|number| format!("{data}/{}-{number}", own.audit));
        let (code, text) = own.verify(&[&folders[0], &folders[1], "--segments", data]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("PROVEN: 42 audit records"), "{text}");
        let nothing = own.folder.path().to_str().unwrap();
        let (code, text) = own.verify(&["audit.jsonl", "--segments", nothing]);
        assert_eq!(code, Some(66), "{text}");
        assert!(text.contains("has no folder"), "{text}");
    }

    for format in ["text", "csv", "html"] {
        let (code, text) = own.audit(&["report", "--format", format]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("pattern:email"), "{format}: {text}");
        assert!(!text.contains("mail.example"), "{format}: {text}");
    }
    let (code, text) = own.audit(&["report", "--format", "openlineage"]);
    assert_eq!(code, Some(0), "{text}");
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    let input = &event["inputs"][0];
    let brokers = format!("kafka://{}", own.place.address());
    assert_eq!(
        (&input["namespace"], &input["name"]),
        (&brokers.into(), &(*own.place.input).into())
    );
    assert!(!text.contains("mail.example"), "{text}");
    let (_, text) = own.audit(&["report", "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["activity"]["tenants"]["acme"]["delivered"], 40);
    assert_eq!(report["activity"]["findings"][0]["findings"], 40);
    assert_eq!(report["activity"]["policies"][0]["records"], 40);

    // Another process adds the last record of a chain once more.
    let last = own.place.messages(&own.audit).pop().unwrap();
    let producer: BaseProducer = own.place.client().create().unwrap();
    let again = BaseRecord::to(&own.audit)
        .partition(last.partition())
        .key(last.key().unwrap())
        .payload(last.payload().unwrap());
    producer.send(again).map_err(|(error, _)| error).unwrap();
    producer.flush(WAIT).unwrap();
    let (code, text) = own.verify(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("BROKEN: 43 audit records"), "{text}");
    assert!(text.contains("repeated: record"), "{text}");
}

#[test]
fn seals_of_a_worker_hold_with_its_public_key_alone() {
    let own = Audited::new(1);
    own.place.produce((0..30).map(record));
    let key = Arc::new(SigningKey::generate("example.com/weir/worker").unwrap());
    let mut options = own.place.options("a");
    options.source.digest_key = Some(DigestKey::new(b"a secret of the test".to_vec()));
    options.seal = Some(key.clone());
    let slot = own.place.slot_with(options);
    own.place.wait_for(30);
    slot.drained().unwrap();
    let trust = |key: &SigningKey| {
        let key = key.verifying_key();
        let text = format!(
            "origin = \"example.com/weir/log\"\nnotaries = [\"{key}\"]\nworkers = [\"{key}\"]\n"
        );
        std::fs::write(own.folder.path().join("trust.toml"), text).unwrap();
    };
    trust(&key);
    let (code, text) = own.verify(&["--trust", "trust.toml"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(" seals"), "{text}");
    trust(&SigningKey::generate("example.com/weir/worker").unwrap());
    let (code, text) = own.verify(&["--trust", "trust.toml"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("bad seal: "), "{text}");
    assert!(text.contains("BROKEN: "), "{text}");

    // Keys of which none seals: nothing would be checked, and nobody would notice.
    let file = own.folder.path().join("trust.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (rest, workers) = text.split_once("workers").unwrap();
    std::fs::write(&file, rest).unwrap();
    let (code, said) = own.verify(&["--trust", "trust.toml"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("trust.toml names no workers"), "{said}");
    // A key that was stolen: no roll says which of its seals were made before.
    let stolen = |of: &SigningKey| {
        trust(of);
        let revoked = format!(
            "[[revoked]]\nkey = \"{}\"\nsince = \"2026-01-01T00:00:00Z\"\n",
            of.verifying_key()
        );
        let text = std::fs::read_to_string(&file).unwrap() + &revoked;
        std::fs::write(&file, text).unwrap();
    };
    stolen(&key);
    let (code, said) = own.verify(&["--trust", "trust.toml"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("revoked: the seal of record"), "{said}");
    std::fs::write(&file, format!("{rest}workers{workers}")).unwrap();

    // Without a seal, where one is asked for.
    let bare = Audited::new(1);
    bare.place.produce((0..3).map(record));
    bare.process("a", 3);
    std::fs::copy(
        own.folder.path().join("trust.toml"),
        bare.folder.path().join("trust.toml"),
    )
    .unwrap();
    let (code, text) = bare.verify(&["--trust", "trust.toml"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("unsealed: "), "{text}");
}

#[test]
fn an_offset_that_another_tool_sets_begins_an_epoch_and_is_not_proven() {
    let own = Audited::new(1);
    own.place.produce((0..30).map(record));
    own.process("a", 30);
    let (code, text) = own.verify(&[]);
    assert_eq!(code, Some(0), "{text}");
    own.place.produce((30..50).map(record));
    drop(
        own.place
            .set_group(&format!("group-{}", own.place.input), 0..1, 45),
    );
    let (code, text) = own.verify(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("truncated: the group has committed offset 45"),
        "{text}"
    );
    own.process("a", 35);
    let (code, text) = own.verify(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("INCOMPLETE: 37 audit records of 1 partition"),
        "{text}"
    );
    assert!(
        text.contains("began again: epoch 1 begins as `metadata_lost`"),
        "{text}"
    );
    assert!(text.contains("nobody read offsets 3"), "{text}");
}

fn compact(place: &Place, topic: &str, policy: &str) {
    let admin: AdminClient<DefaultClientContext> = place.client().create().unwrap();
    let policy = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("cleanup.policy", policy);
    let altered = admin.alter_configs([&policy], &AdminOptions::new());
    for topic in engine::runtime().block_on(altered).unwrap() {
        topic.unwrap();
    }
}

#[test]
fn check_refuses_a_compacted_feed_and_warns_of_a_compacted_source() {
    let own = Audited::new(1);
    let check = || {
        let output = Command::new(env!("CARGO_BIN_EXE_weir"))
            .args(["check", "--connect"])
            .current_dir(own.folder.path())
            .output()
            .unwrap();
        let text = output.stdout.into_iter().chain(output.stderr).collect();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = check();
    assert_eq!(code, Some(0), "{text}");
    compact(&own.place, &own.place.input, "compact");
    let (code, text) = check();
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("can't prove why offsets are missing"),
        "{text}"
    );
    compact(&own.place, &own.audit, "compact,delete");
    let (code, text) = check();
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("is compacted: it would keep"), "{text}");
}

#[test]
fn a_feed_that_is_missing_empty_or_no_feed_is_not_proven() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = weir(folder.path(), &[&["verify"], arguments].concat());
        let text = output.stdout.into_iter().chain(output.stderr).collect();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = run(&["none.jsonl"]);
    assert_eq!(code, Some(66), "{text}");
    assert!(text.contains("can't read none.jsonl"), "{text}");
    std::fs::write(folder.path().join("empty"), "\n\n").unwrap();
    let (code, text) = run(&["empty"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("NOT PROVABLE: 0 audit records"), "{text}");
    std::fs::write(folder.path().join("other"), b"ana@mail.example\n\xff\n{}\n").unwrap();
    let (code, text) = run(&["other"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("BROKEN: 3 audit records"), "{text}");
    assert!(!text.contains("mail.example"), "{text}");

    // A stream without a feed.
    std::fs::write(
        folder.path().join("weir.toml"),
        "[source]\ntype = \"files\"\nurl = \"in\"\n[sink]\nurl = \"out\"\n[tenants]\ndir = \"t\"\n[model]\npack = \"weir-mini\"\n",
    )
    .unwrap();
    let (code, text) = run(&[]);
    assert_eq!(code, Some(78), "{text}");
}
