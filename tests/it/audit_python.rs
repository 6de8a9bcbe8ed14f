//! `examples/audit/verify.py` follows the rules of docs/audit.md and shares no code with weir: where the two differ, one of
//! them is wrong, or the page is. It was written from the page and the schema alone, and then agreed on every feed of this
//! file.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use weir::{
    audit::{Feed, Verdict, link, note::SigningKey},
    record::{
        Code, Position,
        audit::{
            Audit, Begin, Chained, Delivery, Finding, GENESIS, Head, KeyName, Kind, Outcome,
            Reason, Unit, VERSION,
        },
    },
};

use crate::support::job;

const VERIFIER: &str = "examples/audit/verify.py";

/// The records of one partition, as a worker writes them.
struct Chain {
    partition: i32,
    head: Head,
    records: Vec<Chained>,
}

impl Chain {
    fn new(partition: i32) -> Self {
        let mut chain = Self::behind(partition, GENESIS);
        chain.begin(1, first());
        chain
    }

    /// One that has no record yet.
    fn behind(partition: i32, hash: &str) -> Self {
        Self {
            partition,
            head: Head {
                epoch: 0,
                seq: 0,
                next: 0,
                hash: hash.to_owned(),
            },
            records: Vec::new(),
        }
    }

    /// A chain with a record for each offset.
    fn of(partition: i32, offsets: impl IntoIterator<Item = i64>) -> Self {
        let mut chain = Self::new(partition);
        for offset in offsets {
            chain.event(offset);
        }
        chain
    }

    fn begin(&mut self, epoch: u64, begin: Begin) {
        let mut record = self.record(Kind::Begin, begin.from);
        record.begin = Some(begin);
        self.push(record.opened(epoch, &self.head.hash));
    }

    /// With every member that a record may have, but a code.
    fn event(&mut self, offset: i64) {
        let mut record = self.record(Kind::Event, offset);
        record.outcome = Some(Outcome::Delivered);
        record.keys.push(KeyName {
            id: "names-1".to_owned(),
            fingerprint: "0a".repeat(16),
        });
        for digest in [
            &mut record.pack,
            &mut record.label_set,
            &mut record.policy,
            &mut record.input_digest,
            &mut record.output_digest,
        ] {
            *digest = Some("0b".repeat(32));
        }
        record.findings.push(Finding {
            field: "/text".to_owned(),
            start: 4,
            end: 20,
            label: "email".to_owned(),
            score: 1.0,
            label_score: Some(1.0),
            threshold: None,
            recognizer: "pattern:email".to_owned(),
            operator: "replace".to_owned(),
            key_id: None,
            basis: Some("45 CFR 164.514(b)(2)(i)(F)".to_owned()),
        });
        self.push(record.chained(&self.head, offset));
    }

    fn dead_letter(&mut self, offset: i64) {
        let mut record = self.record(Kind::Event, offset);
        record.outcome = Some(Outcome::DeadLetter);
        record.code = Some(Code::NotJson);
        self.push(record.chained(&self.head, offset));
    }

    fn push(&mut self, record: Chained) {
        self.head = record.head.clone();
        self.records.push(record);
    }

    fn record(&self, kind: Kind, offset: i64) -> Audit {
        Audit {
            v: VERSION,
            kind,
            epoch: 0,
            seq: 0,
            after: None,
            event_id: "0".repeat(32),
            source: place(self.partition, offset),
            tenant: Some("acme".to_owned()),
            document_id: Some(format!("d{offset} \"ü\\")),
            outcome: None,
            code: None,
            unit: Unit::CodePoint,
            findings: Vec::new(),
            pack: None,
            label_set: None,
            policy: None,
            weir_version: Some("0.6.0".to_owned()),
            keys: Vec::new(),
            input_digest: None,
            output_digest: None,
            digest_key: "00000000".to_owned(),
            begin: None,
            previous: String::new(),
            hash: String::new(),
            seal: None,
        }
    }

    /// Another tenant is written into a record. `hashes`: the records from it on whose hashes are computed again.
    fn rewrite(&mut self, at: usize, hashes: usize) {
        let mut behind = self.records[at - 1].head.clone();
        for index in at..at + hashes {
            let offset = self.records[index].head.next - 1;
            let mut record = self.records[index].record();
            if index == at {
                record.tenant = Some("globex".to_owned());
            }
            self.records[index] = record.chained(&behind, offset);
            behind = self.records[index].head.clone();
        }
    }

    fn lines(self) -> Vec<Vec<u8>> {
        self.records.into_iter().map(|own| own.json).collect()
    }
}

fn place(partition: i32, offset: i64) -> Position {
    Position::Kafka {
        topic: "documents".to_owned(),
        partition,
        offset,
    }
}

fn first() -> Begin {
    Begin {
        reason: Reason::New,
        delivery: Delivery::ExactlyOnce,
        group: "weir".to_owned(),
        cluster: None,
        log_start: 0,
        from: 0,
        weir_version: "0.6.0".to_owned(),
    }
}

/// Records of version 1, which no worker writes any more, and the hash of the last one.
fn of_version_1(records: i64) -> (Vec<Vec<u8>>, String) {
    let mut previous = GENESIS.to_owned();
    let mut lines = Vec::new();
    for offset in 0..records {
        let front = format!(
            r#"{{"event_id":"{}","source":{{"topic":"documents","partition":0,"offset":{offset}}},"unit":"code_point","findings":[],"digest_key":"00000000","previous":"{previous}""#,
            "0".repeat(32)
        );
        previous = hex::encode(Sha256::digest(format!("{front}}}")));
        lines.push(format!("{front},\"hash\":\"{previous}\"}}").into_bytes());
    }
    (lines, previous)
}

fn untouched() -> Vec<Vec<u8>> {
    Chain::of(0, 0..8).lines()
}

fn file(lines: &[Vec<u8>]) -> Vec<u8> {
    let ended = lines.iter().flat_map(|line| [line.as_slice(), b"\n"]);
    ended.collect::<Vec<_>>().concat()
}

/// A feed, what is accepted, and what both have to say.
struct Case {
    name: &'static str,
    lines: Vec<Vec<u8>>,
    accept: &'static [&'static str],
    result: &'static str,
}

fn case(name: &'static str, result: &'static str, lines: Vec<Vec<u8>>) -> Case {
    Case {
        name,
        lines,
        accept: &[],
        result,
    }
}

/// The same feed twice, where the second time its fault is accepted.
fn accepted(name: &'static str, kind: &'static [&'static str], lines: &[Vec<u8>]) -> [Case; 2] {
    let mut after = case(name, "PROVEN", lines.to_vec());
    after.accept = kind;
    [case(name, "INCOMPLETE", lines.to_vec()), after]
}

/// What somebody did to the feed, or to a copy of it.
fn touched() -> Vec<Case> {
    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = untouched();
        change(&mut lines);
        lines
    };
    let rewritten = |at: usize, hashes: usize| {
        let mut chain = Chain::of(0, 0..8);
        chain.rewrite(at, hashes);
        chain.lines()
    };
    let mut two = untouched();
    let mut broken = Chain::of(1, 0..5).lines();
    broken.swap(2, 3);
    two.extend(broken);
    let mut cases = vec![
        case("deleted", "INCOMPLETE", changed(&|all| drop(all.remove(4)))),
        case("swapped", "BROKEN", changed(&|all| all.swap(3, 4))),
        case(
            "moved to the end",
            "BROKEN",
            changed(&|all| all[3..].rotate_left(1)),
        ),
        case(
            "repeated",
            "BROKEN",
            changed(&|all| all.insert(5, all[4].clone())),
        ),
        case("altered", "BROKEN", changed(&|all| all[4][60] ^= 1)),
        case(
            "hash of the last",
            "BROKEN",
            changed(&|all| {
                let last = all.last_mut().unwrap();
                let at = last.len() - 3;
                last[at] ^= 1;
            }),
        ),
        case("spaces", "BROKEN", changed(&|all| all[4].insert(1, b' '))),
        case(
            "garbage",
            "BROKEN",
            changed(&|all| all.insert(4, b"\xff{}".to_vec())),
        ),
        case(
            "another object",
            "BROKEN",
            changed(&|all| all.insert(4, b"{\"v\":2}".to_vec())),
        ),
        case(
            "members twice",
            "BROKEN",
            changed(&|all| all[4].splice(1..1, *b"\"v\":2,").for_each(drop)),
        ),
        case(
            "nested",
            "BROKEN",
            changed(&|all| all.push(vec![b'['; 100_000])),
        ),
        case("one rewritten", "BROKEN", rewritten(4, 1)),
        // No file can show this: the committed offset, a seal or a notary does.
        case("all behind it rewritten", "PROVEN", rewritten(4, 5)),
        case("cut tail", "PROVEN", changed(&|all| all.truncate(5))),
        case("two, one of them broken", "BROKEN", two),
    ];
    let cut = changed(&|all| drop(all.drain(..3)));
    cases.extend(accepted("cut head", &["no_beginning"], &cut));
    cases
}

/// What workers write, by what happens around them.
fn written() -> Vec<Case> {
    let mut forged = Chain::of(0, 0..4);
    forged.head.next = 7;
    forged.event(7);
    let mut at_least_once = Chain::behind(0, GENESIS);
    at_least_once.begin(
        1,
        Begin {
            delivery: Delivery::AtLeastOnce,
            ..first()
        },
    );
    at_least_once.event(0);
    let mut recreated = Chain::of(0, 0..4);
    recreated.begin(2, opens(Reason::TopicRecreated, 0, 0));
    recreated.event(0);
    let mut again = Chain::of(0, 0..4);
    again.begin(2, opens(Reason::Moved, 0, 2));
    again.event(2);
    again.event(3);
    let mut mixed = Chain::of(1, [0, 1]);
    mixed.dead_letter(2);
    let spaced = mixed
        .lines()
        .into_iter()
        .map(|line| [&line, &b" \r"[..]].concat());
    let two = untouched().into_iter().chain(spaced).collect();
    let mut cases = vec![
        case("empty", "NOT PROVABLE", Vec::new()),
        case(
            "empty lines",
            "NOT PROVABLE",
            vec![b" \r".to_vec(), Vec::new()],
        ),
        case("untouched", "PROVEN", untouched()),
        case("contradicts", "BROKEN", forged.lines()),
        case("at least once", "NOT PROVABLE", at_least_once.lines()),
        case("topic recreated", "PROVEN", recreated.lines()),
        case("read again", "PROVEN", again.lines()),
        case("two partitions", "PROVEN", two),
    ];
    cases.extend(accepted(
        "skipped markers",
        &["unknown"],
        &Chain::of(0, [0, 1, 2, 5, 6]).lines(),
    ));
    cases.extend(begun_again());
    cases.extend(upgraded());
    cases
}

/// Epochs behind offsets that nobody read, or behind a chain whose end nobody knew.
fn begun_again() -> Vec<Case> {
    let mut cases = Vec::new();
    let epochs: [(_, _, &'static [&'static str], _, _); 3] = [
        ("set forward", Reason::Moved, &["skipped"], 0, 9),
        ("expired", Reason::Expired, &["expired"], 9, 9),
        (
            "expired behind the offset",
            Reason::Expired,
            &["expired"],
            9,
            4,
        ),
    ];
    for (name, reason, accept, log_start, from) in epochs {
        let mut chain = Chain::of(0, 0..4);
        chain.begin(2, opens(reason, log_start, from));
        chain.event(9);
        cases.extend(accepted(name, accept, &chain.lines()));
    }
    let mut lost = Chain::of(0, 0..4);
    lost.head.hash = GENESIS.to_owned();
    lost.begin(1, opens(Reason::MetadataLost, 0, 4));
    lost.event(4);
    cases.extend(accepted("metadata lost", &["began_again"], &lost.lines()));
    let mut first_lost = Chain::behind(0, GENESIS);
    first_lost.begin(1, opens(Reason::MetadataLost, 0, 4));
    first_lost.event(4);
    cases.push(case("metadata lost at first", "PROVEN", first_lost.lines()));
    cases
}

fn opens(reason: Reason, log_start: i64, from: i64) -> Begin {
    Begin {
        reason,
        log_start,
        from,
        ..first()
    }
}

fn upgraded() -> Vec<Case> {
    let (old, hash) = of_version_1(3);
    let mut chain = Chain::behind(0, &hash);
    chain.begin(1, opens(Reason::Upgraded, 0, 3));
    chain.event(3);
    let new = chain.lines();
    let both = [old.clone(), new.clone()].concat();
    let mut altered = old.clone();
    altered[1][20] ^= 1;
    let mut deleted = old.clone();
    deleted.remove(1);
    let mut between = both.clone();
    between.remove(2);
    vec![
        case("version 1", "NOT PROVABLE", old.clone()),
        case("version 1 altered", "BROKEN", altered),
        case("version 1 deleted", "BROKEN", deleted),
        case("upgraded", "NOT PROVABLE", both),
        case("upgraded, version 1 expired", "PROVEN", new.clone()),
        case("upgraded, last of version 1 deleted", "INCOMPLETE", between),
        case("version 1 behind version 2", "BROKEN", [new, old].concat()),
    ]
}

/// The last line and the exit code of each.
fn weir(path: &Path, accept: &[String]) -> (String, i32) {
    let mut arguments = vec!["audit", "verify", path.to_str().unwrap()];
    arguments.extend(accept.iter().map(String::as_str));
    let ran = job::weir(&arguments);
    // Behind it weir says that it asked no brokers.
    let is_result = |line: &&str| {
        let word = line.split_once(": ").map(|(word, _)| word);
        matches!(
            word,
            Some("PROVEN" | "INCOMPLETE" | "BROKEN" | "NOT PROVABLE")
        )
    };
    let line = ran.stdout.lines().rfind(is_result);
    (line.unwrap_or(&ran.stderr).to_owned(), ran.code)
}

fn python(path: &Path, arguments: &[String]) -> (String, i32) {
    let mut script = job::python(VERIFIER);
    script.args(arguments).arg(path);
    let ran = job::run(script, b"");
    let line = ran.stdout.lines().last();
    (line.unwrap_or(&ran.stderr).to_owned(), ran.code)
}

#[test]
fn a_verifier_by_the_rules_of_the_page_agrees_with_weir() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let mut differ = Vec::new();
    for case in touched().into_iter().chain(written()) {
        std::fs::write(&path, file(&case.lines)).unwrap();
        let kinds = case.accept.iter();
        let accept: Vec<String> = kinds
            .flat_map(|kind| ["--accept".to_owned(), (*kind).to_owned()])
            .collect();
        let (own, other) = (weir(&path, &accept), python(&path, &accept));
        let code = i32::from(case.result != "PROVEN");
        let fits = own.0.starts_with(&format!("{}: ", case.result)) && own.1 == code;
        if own != other || !fits {
            differ.push(format!(
                "{} {:?}: expected {}\n  weir   {own:?}\n  python {other:?}",
                case.name, case.accept, case.result
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

/// In front of a script that reads the verifier as a module.
const IMPORT: &str = r#"
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("verify", sys.argv[1])
verify = importlib.util.module_from_spec(spec)
spec.loader.exec_module(verify)
"#;

/// Prints the members that the schema has and the verifier lacks, or the other way round.
const MEMBERS: &str = r#"
known = verify.REQUIRED_2.keys() | verify.OPTIONAL_2.keys()
print(*sorted(set(known) ^ json.load(open("schemas/audit.json"))["properties"].keys()))
"#;

#[test]
fn the_verifier_knows_every_member_of_the_schema() {
    let mut script = job::python("-c");
    script.args([&format!("{IMPORT}{MEMBERS}"), VERIFIER]);
    let ran = job::run(script, b"").expect(0);
    assert_eq!(
        ran.stdout.trim(),
        "",
        "add them to {VERIFIER} and to docs/audit.md"
    );
}

/// Prints how many of the changed feeds are PROVEN, then whether the feed itself is.
const FLIPS: &str = r#"
def check(feed):
    lines = (line.rstrip(b" \t\r\f") for line in feed.split(b"\n"))
    lines = ((line, "") for line in lines if line)
    return verify.worst_of(verify.read_all(lines, {}), set())

feed = open(sys.argv[2], "rb").read()
proven = flips = 0
for at in range(len(feed)):
    for bit in map(int, sys.argv[3:]):
        changed = feed[:at] + bytes([feed[at] ^ bit]) + feed[at + 1 :]
        proven += check(changed) == "PROVEN"
        flips += 1
print(flips, proven, check(feed))
"#;

/// Changes of a byte: a digit or letter to the next, a letter to the other case, ASCII to bytes that are not UTF-8.
const BITS: [u8; 3] = [1, 0x20, 0x80];

#[test]
fn neither_proves_a_feed_with_a_byte_changed() {
    let mut chain = Chain::of(0, [0]);
    chain.dead_letter(1);
    let feed = file(&chain.lines());
    let result = |bytes: &[u8]| {
        let mut feed = Feed::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let line = line.trim_ascii_end();
            if !line.is_empty() {
                feed.read_bytes(line);
            }
        }
        feed.close().verdict()
    };
    assert_eq!(result(&feed), Verdict::Proven);
    for at in 0..feed.len() {
        for bit in BITS {
            let mut changed = feed.clone();
            changed[at] ^= bit;
            assert_ne!(result(&changed), Verdict::Proven, "byte {at}, bit {bit}");
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    std::fs::write(&path, &feed).unwrap();
    let mut script = job::python("-c");
    script
        .args([&format!("{IMPORT}{FLIPS}"), VERIFIER])
        .arg(&path);
    script.args(BITS.map(|bit| bit.to_string()));
    let ran = job::run(script, b"").expect(0);
    let flips = feed.len() * BITS.len();
    assert_eq!(ran.stdout.trim(), format!("{flips} 0 PROVEN"));
}

#[test]
fn both_check_seals_with_the_keys_of_workers() {
    let worker = SigningKey::from_seed("example.com/weir/worker-1", &[7; 32]).unwrap();
    let other = SigningKey::from_seed("example.com/weir/worker-1", &[8; 32]).unwrap();
    let of = |sealed: &[usize], key: &SigningKey| {
        let mut chain = Chain::of(0, 0..5);
        for at in sealed {
            let seal = link::seal(key, &chain.records[*at].head.hash);
            chain.records[*at].sealed(&seal);
        }
        chain
    };
    let mut forged = of(&[2, 5], &worker);
    let mut json = String::from_utf8(forged.records[5].json.clone()).unwrap();
    let at = json.find("\"signature\":\"").unwrap() + 20;
    let letter = if &json[at..=at] == "A" { "B" } else { "A" };
    json.replace_range(at..=at, letter);
    forged.records[5].json = json.into_bytes();
    let mut rewritten = of(&[2], &worker);
    rewritten.rewrite(4, 2);
    let cases = [
        ("PROVEN", of(&[2, 5], &worker)),
        ("INCOMPLETE", of(&[2, 4], &worker)),
        ("INCOMPLETE", of(&[], &worker)),
        ("BROKEN", of(&[2, 5], &other)),
        ("BROKEN", forged),
        ("INCOMPLETE", rewritten),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let (key, notary) = (worker.verifying_key().to_string(), other.verifying_key());
    let trust = folder.path().join("trust.toml");
    let keys = format!(
        "origin = \"example.com/weir\"\nnotaries = [\"{notary}\"]\nworkers = [\"{key}\"]\n"
    );
    std::fs::write(&trust, keys).unwrap();
    let trust = ["--trust".to_owned(), trust.to_str().unwrap().to_owned()];
    for (number, (result, chain)) in cases.into_iter().enumerate() {
        std::fs::write(&path, file(&chain.lines())).unwrap();
        let (own, other) = (
            weir(&path, &trust),
            python(&path, &["--key".to_owned(), key.clone()]),
        );
        assert_eq!(own, other, "case {number}");
        assert!(
            own.0.starts_with(&format!("{result}: ")),
            "case {number}: {own:?}"
        );
    }
}
