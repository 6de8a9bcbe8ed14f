//! Targets of the audit log and of packs: what proves something, or lets a secret be read.
//!
//! Holds: what is accepted is written again byte for byte; only what the keys of [`made`] signed is proven.

use std::{
    collections::BTreeMap,
    io::Cursor,
    sync::{Arc, LazyLock},
};

use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory, path::Path};
use sha2::{Digest as _, Sha256};
use weir::{
    audit::{
        Feed, Verdict,
        checkpoint::Checkpoint,
        link::{self, Link, Sealers, Worth},
        note::{Note, SigningKey, VerifyingKey},
        proof::{InLog, Proof},
        roll::{self, Roll},
        tile::{Tile, Tiles},
        tree,
        trust::Trust,
    },
    model::GraphFile,
    record::audit::{GENESIS, Version1, Written, hash_holds},
    redact::{Identity, Key, reveal, reveal_digits},
};

use super::{CANARY, holds_canary, says_nothing};

const ORIGIN: &str = "example.com/weir/fuzz";

/// What is signed and proven: everything else must be refused.
pub struct Made {
    key: SigningKey,
    trust: Trust,
    /// Lines of a feed that is whole.
    lines: Vec<String>,
    note: Note,
    roll: Roll,
    proof: Proof,
}

/// Made once, with keys that everybody knows.
pub static MADE: LazyLock<Made> = LazyLock::new(|| made().expect("invented parts fit"));

fn hashed(before: &str) -> (String, String) {
    let hash = hex::encode(Sha256::digest(before));
    (format!("{before},\"hash\":\"{hash}\"}}"), hash)
}

fn made() -> Option<Made> {
    let key = SigningKey::from_seed(ORIGIN, &[7; 32]).ok()?;
    let zeros = "0".repeat(64);
    let (begin, hash) = hashed(&format!(
        r#"{{"v":2,"kind":"begin","epoch":1,"seq":0,"event_id":"{zeros}","source":{{"topic":"documents","partition":0,"offset":3}},"unit":"code_point","findings":[],"digest_key":"3f9a01c2","begin":{{"reason":"new","delivery":"exactly_once","group":"weir","log_start":3,"from":3,"weir_version":"0.1.0"}},"previous":"{GENESIS}""#
    ));
    let (event, hash) = hashed(&format!(
        r#"{{"v":2,"kind":"event","epoch":1,"seq":1,"after":2,"event_id":"{zeros}","source":{{"topic":"documents","partition":0,"offset":3}},"tenant":"acme","outcome":"delivered","unit":"code_point","findings":[{{"field":"/text","start":4,"end":20,"label":"email","score":1.0,"recognizer":"pattern:email","operator":"replace"}}],"digest_key":"3f9a01c2","previous":"{hash}""#
    ));
    let seal = serde_json::to_string(&link::seal(&key, &hash)).ok()?;
    let event = format!("{},\"seal\":{seal}}}", event.strip_suffix('}')?);
    let links = [&begin, &event].map(|line| Link::parse(line.as_bytes()));
    let leaves: Vec<tree::Hash> = links
        .iter()
        .flatten()
        .map(|link| tree::leaf(&link.hash))
        .collect();
    let last = links[1].as_ref().ok()?;
    let roll = Roll {
        v: roll::VERSION,
        origin: ORIGIN.to_owned(),
        number: 0,
        time: "2026-12-01T00:00:00Z".to_owned(),
        feed: "documents.audit".to_owned(),
        read: BTreeMap::from([(0, 2)]),
        partitions: vec![roll::Partition {
            topic: "documents".to_owned(),
            partition: 0,
            size: 2,
            root: tree::root(&leaves),
            head: last.hash,
            epoch: 1,
            seq: 1,
            first: Some(3),
            next: Some(4),
            log_start: Some(3),
            high: Some(4),
            gaps: Default::default(),
        }],
        breaks: roll::Places::default(),
        refused: roll::Places::default(),
        lost: Vec::new(),
    };
    let root = tree::root(&[tree::leaf(&roll.to_bytes())]);
    let note = Checkpoint::new(ORIGIN, 1, root).signed(&[&key]).ok()?;
    let trust = Trust::new(ORIGIN, vec![key.verifying_key()]).ok()?;
    let trust = trust.with_workers(vec![key.verifying_key()]).ok()?;
    let proof = Proof {
        form: "weir/audit-proof/1".to_owned(),
        record: event.clone(),
        partition: InLog {
            index: 1,
            size: 2,
            path: vec![hex::encode(leaves[0])],
        },
        roll: String::from_utf8(roll.to_bytes()).ok()?,
        rolls: InLog {
            index: 0,
            size: 1,
            path: Vec::new(),
        },
        checkpoint: note.to_string(),
    };
    Some(Made {
        key,
        trust,
        lines: vec![begin, event],
        note,
        roll,
        proof,
    })
}

/// A record of version 1, as weir wrote it until December 2026.
fn version_1() -> String {
    let zeros = "0".repeat(64);
    let before = format!(
        r#"{{"event_id":"{zeros}","source":{{"topic":"documents","partition":0,"offset":2}},"tenant":"acme","unit":"code_point","findings":[],"digest_key":"3f9a01c2","previous":"{zeros}""#
    );
    let hash = hex::encode(
        Sha256::new()
            .chain_update(&before)
            .chain_update("}")
            .finalize(),
    );
    format!("{before},\"hash\":\"{hash}\"}}")
}

/// A model of one node with an attribute, whose weights are in another file.
fn graph_bytes() -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| {
        assert!(bytes.len() < 128, "one byte holds the length");
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    };
    let entry = [field(1, b"location"), field(2, b"weights.bin")].concat();
    let tensor = [field(8, b"w"), field(9, &[1; 8]), field(13, &entry)].concat();
    let attribute = [field(1, b"value"), field(5, &tensor)].concat();
    let node = [field(4, b"Gelu"), field(5, &attribute), field(7, b"own")].concat();
    field(7, &field(1, &node))
}

/// What the corpus begins with: target, name, content.
pub fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let made = &*MADE;
    let both = [version_1(), made.lines.join("\n")].join("\n");
    let private = made.key.to_text();
    let key = Key::new("k1", [7; 16]).expect("sixteen bytes are enough");
    let token = format!("Write to {}, or to weir:1:k1:", key_text(&key));
    let trust = format!(
        "origin = \"{ORIGIN}\"\nnotaries = [\"{0}\"]\nwitnesses = [\"{1}\"]\nquorum = 1\nworkers = [\"{0}\"]\n",
        made.key.verifying_key(),
        made.key.cosigner(),
    );
    let cosigned = {
        let mut note = made.note.clone();
        note.add(made.key.cosign(note.text(), 1_796_083_200));
        note
    };
    vec![
        (
            "audit_record",
            "version_2",
            made.lines.join("\n").into_bytes(),
        ),
        ("audit_record", "both_versions", both.into_bytes()),
        ("checkpoint", "head", made.note.text().as_bytes().to_vec()),
        ("checkpoint", "roll", made.roll.to_bytes()),
        ("graph", "external", graph_bytes()),
        ("key", "private", private.as_bytes().to_vec()),
        (
            "key",
            "public",
            made.key.verifying_key().to_string().into_bytes(),
        ),
        (
            "key",
            "witness",
            made.key.cosigner().to_string().into_bytes(),
        ),
        ("note", "one", made.note.to_string().into_bytes()),
        ("note", "cosigned", cosigned.to_string().into_bytes()),
        ("proof", "holds", made.proof.to_bytes()),
        ("tile", "path", b"tile/1/x001/234.p/56".to_vec()),
        ("tile", "hashes", vec![7; 64]),
        ("token", "encrypted", token.into_bytes()),
        ("token", "digits", b"+1 202 555 0143".to_vec()),
        (
            "token",
            "sealed",
            b"weir:s1:age1x:email:YWdlLWVuY3J5cHRpb24ub3JnL3YxCg:".to_vec(),
        ),
        ("trust", "all", trust.into_bytes()),
        (
            "trust",
            "canary",
            format!("notaries = \"{CANARY}\"\n").into_bytes(),
        ),
    ]
}

/// A token of a value, made as a policy makes it.
fn key_text(key: &Key) -> String {
    use weir::{
        decode::{Recognizer, Span},
        redact::{Format, Operator, Redactor},
        text::ByteSpan,
    };
    let redactor = Redactor {
        tenant: "acme".into(),
        operators: Arc::default(),
        default: Operator::Encrypt {
            key: key.clone(),
            format: Format::Token,
        },
    };
    let value = "ana@mail.example";
    let span = Span {
        bytes: ByteSpan::new(0, value.len()),
        label: "email".into(),
        score: 1.0,
        label_score: 1.0,
        recognizer: Recognizer::Pattern("email".into()),
    };
    let mut out = String::new();
    redactor
        .apply(None, value, &[span], &mut out)
        .expect("a span of the whole text");
    out
}

/// Lines of an audit feed: the hash of what is read is that of its bytes, and only a whole feed is proven.
pub fn audit_record(data: &[u8]) {
    let sealers = || Sealers {
        trusted: vec![MADE.key.verifying_key()],
        revoked: Vec::new(),
    };
    let mut feed = Feed::sealed(sealers());
    feed.count();
    let mut sealed = 0;
    for line in data.split(|byte| *byte == b'\n') {
        feed.read_bytes(line);
        let linked = Link::parse(line);
        if let Err(error) = &linked {
            says_nothing(error, &error.to_string());
        }
        let Ok(text) = std::str::from_utf8(line) else {
            assert!(linked.is_err(), "a record is UTF-8");
            continue;
        };
        match Written::read(text) {
            Ok(Written { record }) => {
                let at = text.rfind(",\"hash\":\"").expect("a record has its hash");
                assert_eq!(record.hash, hex::encode(Sha256::digest(&text[..at])));
                if let Ok(link) = linked {
                    assert_eq!(hex::encode(link.hash), record.hash);
                    assert_eq!((link.epoch, link.seq), (record.epoch, record.seq));
                }
                sealed += usize::from(sealers().worth(&record) == Worth::Trusted);
            }
            Err(error) => {
                says_nothing(&error, &error.to_string());
                assert!(linked.is_err(), "an archive takes no record that is none");
            }
        }
        if let Ok(old) = serde_json::from_str::<Version1>(text)
            && hash_holds(text, &old.hash)
        {
            let at = text.rfind(",\"hash\":").expect("a record has its hash");
            let digest = Sha256::new().chain_update(&text[..at]).chain_update("}");
            assert_eq!(old.hash, hex::encode(digest.finalize()));
        }
    }
    let report = feed.close();
    if report.verdict() == Verdict::Proven {
        assert!(
            sealed > 0,
            "a feed without a seal is not proven to a reader with keys"
        );
    }
}

/// The head of a log, and a roll.
pub fn checkpoint(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        match text.parse::<Checkpoint>() {
            Ok(head) => {
                let again: Checkpoint = head.to_string().parse().expect("it was read once");
                assert_eq!(again, head);
            }
            Err(error) => says_nothing(&error, &error.to_string()),
        }
    }
    match Roll::parse(data) {
        Ok(roll) => {
            let again = Roll::parse(&roll.to_bytes()).expect("it was read once");
            assert_eq!(again, roll);
            assert!(
                roll.partitions
                    .is_sorted_by_key(|own| (own.topic.clone(), own.partition))
            );
        }
        Err(error) => says_nothing(&error, &error.to_string()),
    }
}

/// What an ONNX graph names: every name stands in its bytes.
pub fn graph(data: &[u8]) {
    let Ok(found) = GraphFile::read(Cursor::new(data)) else {
        return;
    };
    let operators = found
        .foreign
        .iter()
        .flat_map(|(domain, name)| [domain, name]);
    for name in found.external.iter().chain(operators) {
        let name = name.as_bytes();
        assert!(name.is_empty() || data.windows(name.len()).any(|own| own == name));
    }
    for path in found.beside("onnx/model.onnx") {
        assert!(path.starts_with("onnx/") && !path.split('/').any(|part| part == ".."));
    }
}

/// Texts of keys, public and private.
pub fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<VerifyingKey>() {
        Ok(own) => {
            assert!(own.to_string().eq_ignore_ascii_case(text));
            assert_eq!(own.to_string().parse().as_ref(), Ok(&own));
            assert!(
                !own.holds(b"never signed", &[0; 64]),
                "a signature of zeros holds"
            );
        }
        Err(error) => says_nothing(&error, &error.to_string()),
    }
    match SigningKey::parse(text) {
        Ok(own) => {
            let again = own.to_text();
            assert!(again.eq_ignore_ascii_case(text.trim_end_matches(['\n', '\r'])));
            let secret = again.splitn(5, '+').last().expect("a key has parts");
            assert!(
                !format!("{own:?}").contains(secret),
                "Debug prints a private key"
            );
            let signature = own.sign_bytes(data);
            assert!(own.verifying_key().holds(data, &signature));
        }
        Err(error) => says_nothing(&error, &error.to_string()),
    }
}

/// Signed notes: what is read is written again, and only the text that was signed is verified.
pub fn note(data: &[u8]) {
    let note = match Note::parse(data) {
        Ok(note) => note,
        Err(error) => return says_nothing(&error, &error.to_string()),
    };
    assert_eq!(note.to_string().as_bytes(), data, "a note has one form");
    let keys = [MADE.key.verifying_key(), MADE.key.cosigner()];
    match note.verified(&keys) {
        Ok(_) => assert_eq!(note.text(), MADE.note.text(), "a text that nobody signed"),
        Err(error) => says_nothing(&error, &error.to_string()),
    }
    if let Ok(trusted) = MADE.trust.head(&note) {
        assert_eq!(Ok(trusted.head), MADE.note.text().parse());
    }
}

/// Proofs of single records: only the one that was made holds, whatever its bytes.
pub fn proof(data: &[u8]) {
    let proof = match Proof::parse(data) {
        Ok(proof) => proof,
        Err(error) => return says_nothing(&error, &error.to_string()),
    };
    assert_eq!(proof.to_bytes(), data, "a proof has one form");
    match proof.verify(&MADE.trust) {
        Ok(proven) => {
            assert!(proven.sealed && proven.link.offset == Some(3));
            assert_eq!(proven.roll, MADE.roll);
            assert_eq!(
                (&proof.record, &proof.partition, &proof.roll, &proof.rolls),
                (
                    &MADE.proof.record,
                    &MADE.proof.partition,
                    &MADE.proof.roll,
                    &MADE.proof.rolls
                ),
            );
        }
        Err(error) => says_nothing(&error, &error.to_string()),
    }
}

/// Paths and contents of tiles.
pub fn tile(data: &[u8]) {
    if let Some(tile) = std::str::from_utf8(data).ok().and_then(Tile::parse) {
        assert_eq!(tile.path().as_bytes(), data);
        assert!((1..=256).contains(&tile.width()));
    }
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let tiles = Tiles::new(store.clone(), Path::from("log"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without threads");
    runtime.block_on(async {
        let at = Path::from("log/tile/0/000.p/2");
        store
            .put(&at, data.to_vec().into())
            .await
            .expect("memory takes bytes");
        let read = tiles.inclusion(0, 2).await;
        assert_eq!(
            read.is_ok(),
            data.len() == 64,
            "a tile is as wide as its name says"
        );
        if let Ok(path) = read {
            assert_eq!(path.concat(), data[32..]);
        }
        assert!(tiles.edge(2).await.is_ok_and(|edge| edge.size() == 2) == (data.len() == 64));
    });
}

/// Texts with tokens of `encrypt`, `seal` and FF1: nothing is read of another tenant, and no `Debug` has a value.
pub fn token(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let key = Key::new("k1", [7; 16]).expect("sixteen bytes are enough");
    let reading = reveal(
        "acme",
        &text,
        |id| (id == "k1").then_some(&key),
        |_| None,
        &[],
    );
    let mut reached = 0;
    for own in &reading.revealed {
        assert!(own.start >= reached && text.get(own.start..own.end).is_some());
        assert!(text[own.start..].starts_with("weir:1:k1:"));
        assert!(!format!("{own:?}").contains(&*own.value));
        // One of the corpus: nobody else knows the key.
        assert_eq!(
            &*own.value, "ana@mail.example",
            "a value that nobody encrypted"
        );
        reached = own.end;
    }
    let others = reveal(
        "shop",
        &text,
        |id| (id == "k1").then_some(&key),
        |_| None,
        &[],
    );
    assert!(
        others.revealed.is_empty(),
        "a token of another tenant is read"
    );
    if let Some(own) = reveal_digits("acme", "phone", &key, &text) {
        let kinds = |text: &str| -> Vec<Option<char>> {
            text.chars()
                .map(|sign| (!sign.is_ascii_digit()).then_some(sign))
                .collect()
        };
        assert_eq!(kinds(&own.value), kinds(&text), "only digits are encrypted");
        if !holds_canary(own.value.as_bytes()) {
            says_nothing(&own, "");
        }
    }
    match Identity::read(&text) {
        Some(read) => assert!(read.iter().all(|own| own.name().id.starts_with("age1"))),
        None => assert!(!text.trim().is_empty()),
    }
}

/// Files of trusted keys: an error repeats nothing of the file, which may be the wrong one.
pub fn trust(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Trust::parse(text) {
        Ok(trust) => {
            if let Ok(trusted) = trust.head(&MADE.note) {
                assert_eq!(trusted.head.origin, trust.origin());
                assert!(trusted.witnesses.len() >= trust.quorum());
            }
        }
        Err(error) => says_nothing(&error, &error.to_string()),
    }
}
