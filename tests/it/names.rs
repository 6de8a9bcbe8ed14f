//! Names, links and devices of a source's folder: one of them never stops the job, and what is not read
//! is counted and named.
#![cfg(unix)]

use std::{
    ffi::OsStr,
    os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener},
    process::Command,
};

use crate::support::job::Job;

const LINE: &str = "mail ana@mail.example\n";

#[test]
fn odd_names_and_links_are_left_out_counted_and_named_and_the_rest_is_done() {
    let job = Job::new("");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.log"), "secret@mail.example\n").unwrap();
    job.write("in/a.log", LINE);
    job.write("in/new\nline.log", LINE);
    job.write("in/\u{1b}[31mred.log", LINE);
    std::fs::write(job.path("in").join(OsStr::from_bytes(b"caf\xe9.log")), LINE).unwrap();
    symlink(job.path("in"), job.path("in/loop")).unwrap();
    symlink(outside.path(), job.path("in/out")).unwrap();
    symlink(outside.path().join("secret.log"), job.path("in/out.log")).unwrap();
    symlink(job.path("gone"), job.path("in/broken.log")).unwrap();
    let made = Command::new("mkfifo").arg(job.path("in/pipe.log")).status();
    assert!(made.unwrap().success());
    let _socket = UnixListener::bind(job.path("in/socket.log")).unwrap();
    std::fs::create_dir(job.path("in/folder.log")).unwrap();
    let ran = job.run(&[]).expect(0).says(&[
        "files left out",
        "caf",
        "nline.log",
        "not UTF-8",
        "control character",
        "source.follow_links",
        "leads to nothing",
        "pipe, a socket",
    ]);
    assert!(
        !ran.stderr.contains('\u{1b}') && !ran.stderr.contains("new\nline"),
        "{}",
        ran.stderr
    );
    assert_eq!(job.delivered().len(), 1);
    assert!(job.dead_letters().is_empty());
    // What is excluded is nobody's loss.
    let ran = job
        .run(&["--set", "source.exclude=[\"**/*.log\", \"*\"]"])
        .expect(66);
    assert!(!ran.stderr.contains("files left out"), "{}", ran.stderr);
}

#[test]
fn links_out_of_the_folder_are_followed_if_the_configuration_says_so() {
    let job = Job::new("");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("b.log"), LINE).unwrap();
    symlink(outside.path(), job.path("in/out")).unwrap();
    job.run(&["--set", "source.follow_links=true"]).expect(0);
    assert_eq!(job.delivered(), ["out/b.log:0"]);
}

#[test]
fn names_that_are_as_long_as_they_can_be_have_outputs_of_their_own() {
    let job = Job::new("");
    let long = "n".repeat(251);
    for name in [&long, &format!("{}m", &long[1..])] {
        assert_eq!(name.len(), 251);
        job.write(&format!("in/{name}.log"), LINE);
    }
    // Characters of several bytes, and a folder as long.
    job.write(
        &format!("in/{}/{}.log", "é".repeat(120), "ü".repeat(125)),
        LINE,
    );
    job.run(&[]).expect(0);
    assert_eq!(job.delivered().len(), 3);
    assert_eq!(job.files("out/redactions").len(), 3);
    job.run(&[]).expect(0);
    assert_eq!(job.delivered().len(), 3);
}
