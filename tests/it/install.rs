//! `make install`: what it lays out works from any folder, and goes away whole.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::job::{Ran, run, walk};

fn make(target: &str, stage: &Path) -> Ran {
    let mut command = Command::new("make");
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("MAKEFLAGS")
        .args(["--silent", target, "PREFIX=/usr/local"])
        .arg(format!("DESTDIR={}", stage.display()))
        .arg(format!("WEIR={}", env!("CARGO_BIN_EXE_weir")));
    run(command, b"")
}

fn tree(folder: &Path) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    walk(folder, &mut |path| {
        files.insert(path.strip_prefix(folder).unwrap().display().to_string());
    });
    files
}

/// The installed program in a folder and an environment that help it with nothing.
fn installed(program: &Path, folder: &Path, args: &[&str], input: &str) -> Ran {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder);
    run(command, input.as_bytes())
}

#[test]
fn what_make_install_lays_out_works_from_any_folder_and_goes_away_whole() {
    let place = tempfile::tempdir().unwrap();
    // As a package manager does it: laid out below DESTDIR, then moved.
    make("install", place.path()).expect(0);
    let staged = place.path().join("usr/local");
    let files = tree(&staged);
    for file in [
        "bin/weir",
        "lib/weir/libonnxruntime.so",
        "share/weir/models/weir-mini/pack.toml",
        "share/weir/models/weir-mini/CARD.md",
        "share/bash-completion/completions/weir",
        "share/zsh/site-functions/_weir",
        "share/fish/vendor_completions.d/weir.fish",
        "share/doc/weir/LICENSE",
    ] {
        assert!(files.contains(file), "no {file} in {files:#?}");
    }
    assert!(
        !files.iter().any(|file| file.contains("tuned")),
        "{files:#?}"
    );
    let elsewhere = place.path().join("opt/weir");
    fs::create_dir_all(elsewhere.parent().unwrap()).unwrap();
    fs::rename(&staged, &elsewhere).unwrap();
    let program = elsewhere.join("bin/weir");
    let empty: PathBuf = place.path().join("empty");
    fs::create_dir_all(&empty).unwrap();
    let redacted = installed(
        &program,
        &empty,
        &["redact", "-l", "person", "-p", "email"],
        "Mail Ana Ruiz, ana@ruiz.example\n",
    );
    assert_eq!(redacted.expect(0).stdout, "Mail [PERSON], [EMAIL]\n");
    installed(&program, &empty, &["init", "--preset", "json", "job"], "").expect(0);
    let config = ["--config", "job/weir.toml"];
    for command in ["check", "test", "run"] {
        installed(&program, &empty, &[&[command][..], &config].concat(), "").expect(0);
    }
    installed(&program, &empty, &["model", "verify"], "").expect(0);
    fs::rename(&elsewhere, &staged).unwrap();
    make("uninstall", place.path()).expect(0);
    assert_eq!(tree(&staged), BTreeSet::new());
    assert!(!staged.join("share/weir").exists() && !staged.join("lib/weir").exists());
}

#[test]
fn a_relative_prefix_is_refused() {
    let mut command = Command::new("scripts/install.sh");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "install",
        env!("CARGO_BIN_EXE_weir"),
        "usr",
    ]);
    run(command, b"").expect(2).says(&["absolute path"]);
}
