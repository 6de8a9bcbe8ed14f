//! Signed packs: whose signature is asked for, and what it covers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::support::{
    job::{Job, Ran, weir},
    tiny_pack,
};

const NAME: &str = "example.com/packs";

/// A folder with packs and keys.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A pack; another seed is another pack.
    fn pack(&self, name: &str, seed: u64) -> String {
        let folder = self.path(name);
        let options = tiny_pack::Options {
            seed,
            ..tiny_pack::Options::default()
        };
        tiny_pack::write(Path::new(&folder), &options);
        folder
    }

    /// The public key of a new pair, and the file of the private one.
    fn key(&self, file: &str) -> (String, String) {
        let file = self.path(file);
        let made = weir(&["audit", "keygen", NAME, "--out", &file]).expect(0);
        (made.stdout.trim_end().to_owned(), file)
    }

    /// A signed pack, and the key that signed it.
    fn signed(&self) -> (String, String) {
        let (public, private) = self.key("own.key");
        let pack = self.pack("own", 1);
        let signed = weir(&["model", "sign", &pack, "--key", &private]).expect(0);
        assert_eq!(signed.stdout.trim_end(), public);
        (pack, public)
    }
}

fn verify(pack: &str, key: &str) -> Ran {
    weir(&["model", "verify", pack, "--trust", key])
}

fn note(pack: &str) -> PathBuf {
    Path::new(pack).join("pack.note")
}

#[test]
fn a_pack_that_a_trusted_key_signed_is_used() {
    let place = Place::new();
    let (pack, key) = place.signed();
    let verified = verify(&pack, &key).expect(0);
    assert!(verified.stdout.contains("signed by example.com/packs+"));
    let json = weir(&["model", "verify", &pack, "--json", "--trust", &key]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["whole"], true);
    assert!(json["signed_by"][0].as_str().unwrap().starts_with(NAME));

    let job = Job::new("");
    job.write("in/a.log", "ana@mail.example\n");
    let sets = [
        "--set".to_owned(),
        format!("model.pack={pack}"),
        "--set".to_owned(),
        format!("model.trusted_keys=[\"{key}\"]"),
    ];
    let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    job.run(&sets).expect(0);
    let config = job.config();
    let check = [vec!["check", "--config", &config], sets].concat();
    let checked = weir(&check).expect(0);
    assert!(
        checked.stdout.contains("signed by a trusted key"),
        "{}",
        checked.stdout
    );
}

#[test]
fn signatures_of_several_publishers_stand_in_one_note() {
    let place = Place::new();
    let (pack, first) = place.signed();
    let (second, private) = place.key("second.key");
    verify(&pack, &second).expect(1);
    weir(&["model", "sign", &pack, "--key", &private]).expect(0);
    verify(&pack, &first).expect(0);
    verify(&pack, &second).expect(0);
    // Of another version of the pack the old signatures say nothing, and are not kept.
    place.pack("own", 2);
    weir(&["model", "sign", &pack, "--key", &private]).expect(0);
    verify(&pack, &second).expect(0);
    verify(&pack, &first)
        .expect(1)
        .says(&["no trusted key signed"]);
}

#[test]
fn an_altered_pack_is_refused() {
    let place = Place::new();
    let (pack, key) = place.signed();
    let file = Path::new(&pack).join("backbone.onnx");
    let whole = fs::read(&file).unwrap();
    let mut altered = whole.clone();
    // A weight.
    let at = altered.len() / 2;
    altered[at] ^= 1;
    fs::write(&file, &altered).unwrap();
    verify(&pack, &key)
        .expect(1)
        .says(&["backbone.onnx has sha256"]);

    // With its digest put into the manifest.
    let manifest = Path::new(&pack).join("pack.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let digest = |bytes: &[u8]| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes));
    let other = text.replace(&digest(&whole), &digest(&altered));
    assert_ne!(text, other);
    fs::write(&manifest, other).unwrap();
    weir(&["model", "verify", &pack]).expect(0);
    verify(&pack, &key)
        .expect(1)
        .says(&["signs another manifest than", "belong to each other"]);
}

#[test]
fn one_byte_of_the_manifest_is_enough() {
    let place = Place::new();
    let (pack, key) = place.signed();
    let manifest = Path::new(&pack).join("pack.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("{text}\n")).unwrap();
    verify(&pack, &key)
        .expect(1)
        .says(&["signs another manifest"]);
}

#[test]
fn the_signature_of_another_key_is_not_enough() {
    let place = Place::new();
    let (pack, key) = place.signed();
    // Of the same name.
    let (other, private) = place.key("other.key");
    verify(&pack, &other).expect(1).says(&[
        "no trusted key signed",
        "it names example.com/packs+",
        "add the public key of a publisher whom you trust",
    ]);
    // One who calls himself by the name and id of the trusted key.
    weir(&["model", "sign", &pack, "--key", &private]).expect(0);
    let text = fs::read_to_string(note(&pack)).unwrap();
    let (signed, lines) = text.split_once("\n\n").unwrap();
    let bytes = |line: &str| {
        use base64::Engine as _;
        let code = line.rsplit_once(' ').unwrap().1;
        base64::engine::general_purpose::STANDARD
            .decode(code)
            .unwrap()
    };
    let lines: Vec<Vec<u8>> = lines.lines().map(bytes).collect();
    let forged = [&lines[0][..4], &lines[1][4..]].concat();
    let forged = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(forged)
    };
    fs::write(
        note(&pack),
        format!("{signed}\n\n\u{2014} {NAME} {forged}\n"),
    )
    .unwrap();
    verify(&pack, &key)
        .expect(1)
        .says(&["does not fit the text"]);
}

#[test]
fn a_missing_or_broken_note_and_that_of_another_pack_are_refused() {
    let place = Place::new();
    let (pack, key) = place.signed();
    let other = place.pack("other", 2);
    verify(&other, &key)
        .expect(1)
        .says(&["pack.note can't be read", "weir model sign PACK --key FILE"]);
    fs::copy(note(&pack), note(&other)).unwrap();
    verify(&other, &key)
        .expect(1)
        .says(&["signs another manifest"]);
    fs::write(note(&other), "weir/pack/1\n").unwrap();
    verify(&other, &key).expect(1).says(&["not a signed note"]);
    // A note of the same key about something else.
    let text = fs::read_to_string(note(&pack)).unwrap();
    fs::write(note(&other), text.replace("weir/pack/1", "weir/pack/2")).unwrap();
    verify(&other, &key)
        .expect(1)
        .says(&["does not fit the text"]);
}

#[test]
fn a_worker_that_trusts_keys_loads_no_other_pack() {
    let place = Place::new();
    let (pack, key) = place.signed();
    let other = place.pack("other", 2);
    let set = |key: &str, value: &str| ["--set".to_owned(), format!("{key}={value}")];
    let trusted = set("model.trusted_keys", &format!("[\"{key}\"]"));
    let signed = set("model.pack", &pack);
    let cases = [
        // The pack of [model].
        [trusted.clone(), set("model.pack", &other)].concat(),
        // A further pack, which has the keys of [model] too.
        [
            trusted.clone(),
            signed.clone(),
            set("models.more.pack", &other),
        ]
        .concat(),
        // A further pack with keys of its own.
        [
            signed.clone(),
            set("models.more.pack", &other),
            set("models.more.trusted_keys", &format!("[\"{key}\"]")),
        ]
        .concat(),
        // The pack that finds categories.
        [
            trusted.clone(),
            signed.clone(),
            set("model.category_encoder", &other),
        ]
        .concat(),
    ];
    for case in cases {
        let job = Job::new("");
        job.write("in/a.log", "ana@mail.example\n");
        let sets: Vec<&str> = case.iter().map(String::as_str).collect();
        job.run(&sets)
            .expect(78)
            .says(&["is not trusted", "pack.note"]);
        assert!(job.files("out").is_empty());
        let config = job.config();
        weir(&[vec!["check", "--config", &config], sets].concat())
            .expect(1)
            .says(&["is not trusted"]);
    }
    // Without the setting nothing changes.
    let job = Job::new("");
    job.write("in/a.log", "ana@mail.example\n");
    let plain = set("model.pack", &other);
    job.run(&[&plain[0], &plain[1]]).expect(0);
}

#[test]
fn keys_that_cannot_be_used_are_told_without_their_text() {
    let place = Place::new();
    let (_, private) = place.key("own.key");
    let secret = fs::read_to_string(private).unwrap();
    let witness = place.path("witness.key");
    let witness = weir(&["audit", "keygen", NAME, "--witness", "--out", &witness]).expect(0);
    for (keys, said) in [
        (format!("[\"{}\"]", secret.trim_end()), "not a public key"),
        (
            format!("[\"{}\"]", witness.stdout.trim_end()),
            "the key of a witness",
        ),
        ("[]".to_owned(), "trusted_keys"),
    ] {
        let job = Job::new("");
        let set = format!("model.trusted_keys={keys}");
        let ran = weir(&["check", "--config", &job.config(), "--set", &set]).expect(1);
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        assert!(
            !ran.stderr
                .contains(secret.rsplit('+').next().unwrap().trim_end())
        );
    }
}

#[test]
fn a_pack_without_a_list_of_files_cannot_be_signed() {
    let place = Place::new();
    let (_, private) = place.key("own.key");
    let pack = place.pack("own", 1);
    let manifest = Path::new(&pack).join("pack.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.split_once("[[files]]").unwrap().0).unwrap();
    weir(&["model", "sign", &pack, "--key", &private])
        .expect(78)
        .says(&["lists no files", "[[files]]"]);
    // One that is not whole.
    fs::write(&manifest, text).unwrap();
    fs::write(Path::new(&pack).join("projection.npz"), "other").unwrap();
    weir(&["model", "sign", &pack, "--key", &private])
        .expect(78)
        .says(&["projection.npz has sha256"]);
    assert!(!note(&pack).exists());
}

#[test]
fn a_pack_of_one_file_is_signed_beside_it() {
    let place = Place::new();
    let (public, private) = place.key("own.key");
    let pack = place.path("b2ner.toml");
    fs::copy("models/b2ner.toml", &pack).unwrap();
    verify(&pack, &public).expect(1);
    weir(&["model", "sign", &pack, "--key", &private]).expect(0);
    assert!(Path::new(&place.path("b2ner.note")).is_file());
    verify(&pack, &public).expect(0);
}
