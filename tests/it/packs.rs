//! Packs that are not what their publisher made: a file, a path or an operator too many, another signature or none.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use weir::model::{Error, Pack};

use crate::support::{
    job::{Job, weir},
    tiny_pack,
};

/// A tiny pack in a folder of its own.
struct Made {
    place: TempDir,
}

impl Made {
    fn new() -> Self {
        let made = Self {
            place: tempfile::tempdir().unwrap(),
        };
        tiny_pack::write(&made.folder(), &tiny_pack::Options::default());
        made
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("tiny")
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder().join(file)
    }

    fn text(&self, path: &Path) -> String {
        path.display().to_string()
    }

    fn manifest(&self) -> String {
        fs::read_to_string(self.path("pack.toml")).unwrap()
    }

    /// Adds bytes to the backbone, and lists the graph as it is then.
    fn add_to_graph(&self, bytes: &[u8]) {
        let path = self.path("backbone.onnx");
        let before = fs::read(&path).unwrap();
        let after = [&before, bytes].concat();
        let digests = [&before, &after].map(|bytes| hex::encode(Sha256::digest(bytes)));
        let manifest = self.manifest().replace(&digests[0], &digests[1]);
        assert!(manifest.contains(&digests[1]));
        fs::write(path, after).unwrap();
        fs::write(self.path("pack.toml"), manifest).unwrap();
    }

    fn list(&self, file: &str, bytes: &[u8]) {
        let digest = hex::encode(Sha256::digest(bytes));
        let manifest =
            self.manifest() + &format!("[[files]]\npath = \"{file}\"\nsha256 = \"{digest}\"\n");
        fs::write(self.path("pack.toml"), manifest).unwrap();
    }

    fn verify(&self) -> Result<(), Error> {
        Pack::open(&self.folder()).unwrap().verify()
    }

    #[track_caller]
    fn refused(&self, said: &[&str]) {
        let error = self.verify().unwrap_err();
        let all = format!("{error} | {}", error.hint().unwrap());
        for part in said {
            assert!(all.contains(part), "no `{part}` in: {all}");
        }
    }
}

/// A field of protobuf that holds bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128 && number < 16);
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// A part of a model that, put behind one, adds an initializer to its graph whose numbers are in another file.
fn external(place: &str) -> Vec<u8> {
    let entry = [field(1, b"location"), field(2, place.as_bytes())].concat();
    let tensor = [field(8, b"more"), field(13, &entry)].concat();
    field(7, &field(5, &tensor))
}

/// The same of a node.
fn operator(domain: &str, name: &str) -> Vec<u8> {
    let node = [field(4, name.as_bytes()), field(7, domain.as_bytes())].concat();
    field(7, &field(1, &node))
}

#[test]
fn weights_in_a_file_that_is_not_listed_are_refused() {
    let made = Made::new();
    made.verify().unwrap();
    made.add_to_graph(&external("more.bin"));
    fs::write(made.path("more.bin"), b"weights").unwrap();
    made.refused(&["backbone.onnx reads \"more.bin\"", "[[files]]", "sha256sum"]);
    made.list("more.bin", b"weights");
    made.verify().unwrap();
    fs::write(made.path("more.bin"), b"others").unwrap();
    made.refused(&["more.bin has sha256"]);
}

#[test]
fn weights_beside_a_graph_in_a_folder_are_listed_with_the_folder() {
    let made = Made::new();
    made.add_to_graph(&external("parts/more.bin"));
    fs::create_dir(made.path("parts")).unwrap();
    fs::write(made.path("parts/more.bin"), b"weights").unwrap();
    made.refused(&["\"parts/more.bin\""]);
    made.list("parts/more.bin", b"weights");
    made.verify().unwrap();
}

#[test]
fn paths_that_leave_the_folder_are_refused_even_if_they_are_listed() {
    for place in [
        "../more.bin",
        "/etc/hostname",
        "./more.bin",
        "parts//more.bin",
        "..\\more.bin",
        // What ONNX Runtime takes for an address in its own memory.
        "*/_ORT_MEM_ADDR_/*",
        "",
    ] {
        let made = Made::new();
        fs::write(made.place.path().join("more.bin"), b"weights").unwrap();
        made.add_to_graph(&external(place));
        let error = made.verify().unwrap_err();
        assert!(
            matches!(error, Error::Outside { .. } | Error::Unlisted { .. }),
            "{place}: {error}"
        );
    }
    for listed in ["../more.bin", "/etc/hostname", "", "./backbone.onnx"] {
        let made = Made::new();
        fs::write(made.place.path().join("more.bin"), b"weights").unwrap();
        made.list(listed, b"weights");
        made.refused(&["it leaves the folder", "relative to the folder"]);
    }
}

#[test]
fn links_and_what_is_no_file_are_refused() {
    let made = Made::new();
    let outside = made.place.path().join("outside.json");
    fs::rename(made.path("tokenizer.json"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, made.path("tokenizer.json")).unwrap();
    made.refused(&["\"tokenizer.json\"", "it is a link"]);

    // A folder in between.
    let made = Made::new();
    let outside = made.place.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("more.bin"), b"weights").unwrap();
    std::os::unix::fs::symlink(&outside, made.path("parts")).unwrap();
    made.list("parts/more.bin", b"weights");
    made.refused(&["\"parts/more.bin\"", "its folder is one"]);

    // A pipe would never end.
    let made = Made::new();
    let pipe = made.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    made.list("pipe", b"");
    made.refused(&["it is not a file"]);

    // The folder of the pack itself may be a link: that is how versions are switched.
    let made = Made::new();
    let current = made.place.path().join("current");
    std::os::unix::fs::symlink(made.folder(), &current).unwrap();
    Pack::open(&current).unwrap().verify().unwrap();
}

#[test]
fn operators_of_other_domains_are_refused() {
    let made = Made::new();
    made.add_to_graph(&operator("com.microsoft", "FusedMatMul"));
    made.add_to_graph(&operator("ai.onnx", "Identity"));
    made.verify().unwrap();
    made.add_to_graph(&operator("evil.ops", "Run"));
    made.refused(&[
        "backbone.onnx has the operator \"Run\" of the domain \"evil.ops\"",
        "standard operators",
    ]);
}

#[test]
fn every_file_that_is_read_is_listed() {
    for file in [
        "backbone.onnx",
        "label_encoder.onnx",
        "tokenizer.json",
        "projection.npz",
    ] {
        let made = Made::new();
        let at = format!("path = \"{file}\"");
        let manifest = made.manifest();
        let (before, after) = manifest.split_once(&at).unwrap();
        let before = before.strip_suffix("[[files]]\n").unwrap();
        let after = after
            .split_once("[[files]]")
            .map_or(String::new(), |(_, after)| format!("[[files]]{after}"));
        fs::write(made.path("pack.toml"), format!("{before}{after}")).unwrap();
        made.refused(&[&format!("weir reads \"{file}\""), "[[files]]"]);
    }
    // A manifest that lists nothing.
    let made = Made::new();
    let manifest = made.manifest();
    let (before, _) = manifest.split_once("[[files]]").unwrap();
    fs::write(made.path("pack.toml"), before).unwrap();
    made.refused(&["weir reads"]);
}

#[test]
fn a_graph_that_cannot_be_read_is_refused() {
    let made = Made::new();
    made.add_to_graph(b"\x3a\x7f");
    made.refused(&[
        "backbone.onnx",
        "not an ONNX graph",
        "export the pack again",
    ]);
}

#[test]
fn check_verify_and_run_refuse_what_a_graph_must_not_do() {
    let made = Made::new();
    made.add_to_graph(&operator("evil.ops", "Run"));
    let said = ["the operator \"Run\" of the domain \"evil.ops\""];
    let folder = made.text(&made.folder());
    weir(&["model", "verify", &folder]).expect(1).says(&said);
    let job = Job::new("");
    job.write("in/a.log", "ana@mail.example\n");
    let set = format!("model.pack={folder}");
    job.run(&["--set", &set]).expect(78).says(&said);
    weir(&["check", "--config", &job.config(), "--set", &set])
        .expect(1)
        .says(&said);
    assert!(job.files("out").is_empty());
}

#[test]
fn the_packs_in_the_box_are_whole() {
    for pack in [
        "models/weir-mini",
        "models/rampart.toml",
        "models/b2ner.toml",
    ] {
        let pack = Pack::open(Path::new(pack)).unwrap();
        pack.verify().unwrap();
        assert!(pack.is_listed_whole());
    }
}
