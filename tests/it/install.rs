//! `make install`, `make dist` and `make wheels`: what they lay out works from any folder and for another user, and
//! goes away whole.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use weir::cli::exit::Exit;

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
        "share/doc/weir/onnxruntime/ThirdPartyNotices.txt",
        "share/man/man1/weir.1",
        "share/man/man1/weir-model-tune.1",
        "lib/systemd/system/weir@.service",
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

/// A target of the Makefile with the program of the tests, and what it printed.
fn packed(target: &str, into: &Path) -> Ran {
    let mut command = Command::new("make");
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("MAKEFLAGS")
        // The machine of a developer may be newer than those that releases are built on.
        .env("FLOORS", "report")
        // The best one takes half a minute for a debug build.
        .env("GZIP_LEVEL", "1")
        .args(["--silent", target])
        .arg(format!("OUT_DIST={}", into.display()))
        .arg(format!("WEIR={}", env!("CARGO_BIN_EXE_weir")));
    run(command, b"").expect(0)
}

fn one_file(folder: &Path, end: &str) -> PathBuf {
    let files = tree(folder);
    let mut found = files.iter().filter(|name| name.ends_with(end));
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no {end} in {files:?}"));
    assert_eq!(found.next(), None, "{files:?}");
    folder.join(first)
}

/// Installs as another user and redacts; prints how long that took.
fn tried(args: &[&Path], kind: &str) {
    let mut command = Command::new("tests/try-install.sh");
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // A minute is what `make dist-test` allows; here other tests run at the same time.
        .env("TRY_SECONDS", "240")
        .arg(kind)
        .args(args);
    let ran = run(command, b"").expect(0);
    print!("{}", ran.stdout);
    assert!(
        ran.stdout.contains("first redaction after"),
        "{}",
        ran.stdout
    );
}

#[test]
fn the_archive_runs_where_another_user_unpacks_it_and_is_the_same_each_time() {
    let place = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| place.path().join(name));
    let said = packed("dist", &first).stdout;
    print!("{said}");
    assert!(said.contains("floors: weir needs GLIBC"), "{said}");
    packed("dist", &second);
    let archive = one_file(&first, ".tar.gz");
    assert!(
        fs::read(&archive).unwrap() == fs::read(one_file(&second, ".tar.gz")).unwrap(),
        "two archives of one program differ"
    );
    let mut sum = Command::new("sha256sum");
    sum.current_dir(&first)
        .args(["--check", "--status"])
        .arg(one_file(&first, ".sha256"));
    run(sum, b"").expect(0);
    tried(&[&archive], "archive");
}

#[test]
fn the_wheels_are_installed_by_another_user_without_a_network() {
    let place = tempfile::tempdir().unwrap();
    print!("{}", packed("wheels", place.path()).stdout);
    assert_eq!(tree(place.path()).len(), 2, "{:?}", tree(place.path()));
    let others = Path::new(env!("CARGO_MANIFEST_DIR")).join(".weir/wheelhouse");
    assert!(
        others.is_dir(),
        "no wheels here: run tests/setup-install.sh"
    );
    tried(&[place.path(), &others], "wheels");
}

#[test]
fn a_program_that_needs_a_newer_system_than_the_docs_state_is_not_packed() {
    let floors = |file: &str| {
        let mut command = Command::new("scripts/floors.sh");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).arg(file);
        run(command, b"")
    };
    let script = fs::read_to_string("scripts/floors.sh").unwrap();
    let stated = script
        .split("floors=(")
        .nth(1)
        .unwrap()
        .split(')')
        .next()
        .unwrap();
    let page = fs::read_to_string("docs/install.md").unwrap();
    for pair in stated.split_whitespace() {
        let version = pair.split('=').nth(1).unwrap();
        assert!(
            page.contains(version),
            "docs/install.md does not state {pair}"
        );
    }
    // The runtime is built for older systems than weir; libjvm would be needed by nothing of weir's.
    floors(".weir/onnxruntime/libonnxruntime.so").expect(0);
    let wanted = tempfile::NamedTempFile::new().unwrap();
    let strict = script.replace("[GLIBC]=2.34", "[GLIBC]=2.1");
    assert_ne!(strict, script);
    fs::write(wanted.path(), strict).unwrap();
    let mut command = Command::new("bash");
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .arg(wanted.path())
        .arg(fs::canonicalize(".weir/onnxruntime/libonnxruntime.so").unwrap());
    run(command, b"")
        .expect(1)
        .says(&["docs/install.md states 2.1"]);
}

#[test]
fn systemd_takes_the_unit() {
    let place = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string("deploy/systemd/weir@.service").unwrap();
    let program = "ExecStart=/usr/local/bin/weir ";
    assert!(unit.contains(program), "{unit}");
    let here = format!("ExecStart={} ", env!("CARGO_BIN_EXE_weir"));
    let file = place.path().join("weir@orders.service");
    fs::write(&file, unit.replace(program, &here)).unwrap();
    let analyze = |args: &[&str]| {
        let mut command = Command::new("systemd-analyze");
        command.args(args).arg(&file);
        run(command, b"").expect(0)
    };
    let said = analyze(&["--man=no", "verify"]);
    assert_eq!(said.stderr, "", "{}", said.stderr);
    // 0 is shut in, 100 is open; in tenths.
    analyze(&["security", "--offline=true", "--threshold=20"]);
    // What ends with these is not better for being started again.
    for code in [Exit::Usage, Exit::DeadLetters, Exit::NoInput, Exit::Config] {
        let line = unit
            .lines()
            .find(|line| line.starts_with("RestartPreventExitStatus="));
        let codes: Vec<&str> = line.unwrap().split(['=', ' ']).skip(1).collect();
        assert!(
            codes.contains(&&*(code as u8).to_string()),
            "{code:?} of {codes:?}"
        );
    }
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
