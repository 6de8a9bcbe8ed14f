//! Everything that can be wrong with input, output, pack and configuration: a clear error and its
//! exit code, or a dead letter; nothing half published, nothing lost, nothing twice.

use std::{
    fs,
    io::{BufWriter, Write as _},
    process::{Command, Stdio},
    time::Instant,
};

use arrow_array::{RecordBatch, cast::AsArray as _};

use crate::support::{
    job::{Job, command, ended, pack, peak, run, weir, weir_reads},
    tables::parquet,
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Writes every broken input; `secret` is put into each record.
pub fn write_broken(job: &Job, secret: &str) {
    let line = |id: &str| format!("{{\"id\":\"{id}\",\"text\":\"mail {secret}\"}}\n");
    job.write(
        "in/broken.jsonl",
        format!(
            "{}{{\"id\":\"x\",\"text\":\"{secret}\n[\"{secret}\"]\n{}",
            line("b0"),
            line("b1")
        ),
    );
    job.write(
        "in/long.jsonl",
        format!(
            "{}{{\"text\":\"{}\"}}\n{}",
            line("l0"),
            format!("{secret} ").repeat(2000),
            line("l1")
        ),
    );
    let mut bytes = line("u0").into_bytes();
    bytes.extend_from_slice(format!("{{\"text\":\"{secret} ").as_bytes());
    bytes.extend_from_slice(b"\xff\xfe\"}\n");
    bytes.extend_from_slice(line("u1").as_bytes());
    job.write("in/not_utf8.jsonl", bytes);
    job.write(
        "in/not_utf8.txt",
        [secret.as_bytes(), b" \xc3\x28"].concat(),
    );
    job.write("in/nul.log", format!("a\0b {secret}\n"));
    job.write(
        "in/surrogates.jsonl",
        format!("{{\"id\":\"s0\",\"text\":\"\\ud83d {secret} \\udc00\"}}\n"),
    );
    let deep = format!("{}\"{secret}\"{}", "[".repeat(1000), "]".repeat(1000));
    job.write(
        "in/deep.jsonl",
        format!("{{\"id\":\"d0\",\"text\":{deep}}}\n{}", line("d1")),
    );
    job.write(
        "in/tenant.jsonl",
        format!(
            "{{\"id\":\"t0\",\"tenant\":\"nobody {secret}\",\"text\":\"{secret}\"}}\n{}",
            line("t1")
        ),
    );
    let packed = gzip(format!("whole {secret}\n").repeat(20_000).as_bytes());
    job.write("in/truncated.log.gz", &packed[..packed.len() / 2]);
    let packed = zstd::encode_all(format!("whole {secret}\n").repeat(5000).as_bytes(), 3).unwrap();
    let mut corrupt = packed.clone();
    corrupt.truncate(packed.len() - packed.len() / 3);
    job.write("in/corrupt.jsonl.zst", corrupt);
    job.write("in/no.log.zst", format!("not zstd {secret}"));
    job.write(
        "in/nulls.parquet",
        parquet(
            "note",
            &[
                ("p0", Some(&format!("mail {secret}"))),
                ("p1", None),
                ("p2", Some("")),
            ],
        ),
    );
    job.write(
        "in/no_column.parquet",
        parquet("other", &[("q0", Some(secret))]),
    );
    let mut corrupt = parquet("note", &[("r0", Some(secret))]);
    corrupt[4..40].fill(0xff);
    job.write("in/corrupt.parquet", corrupt);
    job.write("in/not.parquet", secret);
    job.write("in/not.arrow", secret);
    for name in [
        "txt",
        "log",
        "jsonl",
        "parquet",
        "arrow",
        "log.gz",
        "jsonl.zst",
        "txt.gz",
    ] {
        job.write(&format!("in/zero/zero.{name}"), "");
    }
    job.write("in/unknown.csv", secret);
}

#[test]
fn what_is_broken_is_a_dead_letter_and_all_else_is_delivered_once() {
    let job = Job::new("[limits]\nmax_record_bytes = 4096\n");
    write_broken(&job, "ana@mail.example");
    let ran = job.run(&["--quiet"]).expect(0).says(&["csv"]);
    assert!(!ran.stderr.contains("ana@"), "{}", ran.stderr);
    let letters = job.dead_letters();
    let expected = [
        "broken.jsonl not_json",
        "broken.jsonl not_json",
        "corrupt.jsonl.zst truncated",
        "corrupt.parquet corrupt",
        "long.jsonl too_large",
        "no.log.zst truncated",
        "no_column.parquet missing_column",
        "not.arrow corrupt",
        "not.parquet corrupt",
        "not_utf8.jsonl not_utf8",
        "not_utf8.txt not_utf8",
        "tenant.jsonl unknown_tenant",
        "truncated.log.gz truncated",
    ];
    let others: Vec<&String> = letters
        .iter()
        .filter(|l| !expected.contains(&l.as_str()))
        .collect();
    let found: Vec<&String> = letters
        .iter()
        .filter(|l| expected.contains(&l.as_str()))
        .collect();
    assert_eq!(found, expected);
    assert!(
        others
            .iter()
            .all(|letter| letter.starts_with("deep.jsonl ")
                || letter.starts_with("corrupt.jsonl.zst ")),
        "{others:?}"
    );
    let delivered = job.delivered();
    let mut once = delivered.clone();
    once.dedup();
    assert_eq!(delivered, once, "a document was delivered twice");
    for id in [
        "b0",
        "b1",
        "d1",
        "l0",
        "l1",
        "u0",
        "u1",
        "s0",
        "t1",
        "p0",
        "p1",
        "p2",
        "nul.log:0",
    ] {
        assert!(
            delivered.iter().any(|delivered| delivered == id),
            "{id} is missing: {delivered:?}"
        );
    }
    for folder in ["out/redactions", "out/entities", "out/dead_letters"] {
        for (name, bytes) in job.files(folder) {
            assert!(
                !String::from_utf8_lossy(&bytes).contains("ana@mail"),
                "{folder}/{name}"
            );
            assert!(!name.contains('#'), "{folder}/{name} is half written");
        }
    }
    let records = job.records("out/redactions");
    let surrogates = records.iter().find(|record| record["id"] == "s0").unwrap();
    assert_eq!(
        surrogates["text"], "<high> [EMAIL] <low>",
        "lone surrogates stay as they were written"
    );
}

#[test]
fn nulls_of_a_table_stay_nulls() {
    let job = Job::new("");
    job.write(
        "in/t.parquet",
        parquet(
            "note",
            &[
                ("a", None),
                ("b", Some("ana@mail.example")),
                ("c", None),
                ("d", Some("")),
            ],
        ),
    );
    job.run(&["--quiet"]).expect(0);
    let (_, bytes) = job.files("out/redactions").pop_first().unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(
        bytes::Bytes::from(bytes),
        100,
    )
    .unwrap();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let notes: Vec<Option<&str>> = batches[0]["note"].as_string::<i32>().iter().collect();
    assert_eq!(notes, [None, Some("[EMAIL]"), None, Some("")]);
}

#[test]
fn a_second_run_does_nothing_again() {
    let job = Job::new("");
    write_broken(&job, "ana@mail.example");
    job.run(&["--quiet"]).expect(0);
    let before = job.files("out");
    job.run(&[]).expect(0).says(&["done before"]);
    assert_eq!(before, job.files("out"));
}

#[test]
fn more_dead_letters_than_allowed_is_65() {
    let job = Job::new("[limits]\nmax_dead_letters = 2\n");
    job.write("in/a.jsonl", "no\nno\n{\"id\":\"a\",\"text\":\"x\"}\n");
    job.run(&[])
        .expect(0)
        .says(&["2 dead letters (2 not_json)"]);
    job.write("in/b.jsonl", "no\nno\nno\n");
    job.run(&[]).expect(65);
}

#[test]
fn a_setting_that_cannot_work_is_a_clear_error() {
    let job = Job::new("");
    job.write("in/a.log", "ana@mail.example\n");
    // The pack.
    let broken = job.path("pack");
    copy(pack(), &broken);
    let set = |key: &str, value: &std::path::Path| format!("{key}={}", value.display());
    let model = set("model.pack", &broken);
    let mut weights = fs::read(broken.join("backbone.onnx")).unwrap();
    weights[100] ^= 1;
    fs::write(broken.join("backbone.onnx"), weights).unwrap();
    job.run(&["--set", &model])
        .expect(78)
        .says(&["backbone.onnx", "sha256"]);
    fs::remove_file(broken.join("backbone.onnx")).unwrap();
    job.run(&["--set", &model])
        .expect(78)
        .says(&["backbone.onnx"]);
    fs::remove_dir_all(&broken).unwrap();
    job.run(&["--set", &model])
        .expect(78)
        .says(&[&broken.display().to_string()]);
    // ONNX Runtime; the variable would win.
    let configured = |library: &std::path::Path| {
        let mut command = job.command(&["--set", &set("model.runtime", library)]);
        command.env_remove("ORT_DYLIB_PATH");
        run(command, b"")
    };
    configured(&job.path("nothing.so"))
        .expect(78)
        .says(&["nothing.so"]);
    job.write("text.so", "not a library");
    configured(&job.path("text.so"))
        .expect(78)
        .says(&["text.so"]);
    // The source.
    let source = set("source.url", &job.path("nowhere"));
    job.run(&["--set", &source])
        .expect(69)
        .says(&["nowhere", "fix"]);
    assert!(!job.path("out/redactions").exists() && !job.path("out/entities").exists());
    // The sink.
    job.write("file", "");
    let sink = set("sink.url", &job.path("file/out"));
    job.run(&["--set", &sink])
        .expect(74)
        .says(&["file/out", "fix"]);
    job.run(&["--set", &set("sink.url", &job.path("in/out"))])
        .expect(78)
        .says(&["read its own output", "fix"]);
    // After all of it, the job as it was written.
    job.run(&[]).expect(0).says(&["1 documents"]);
}

#[test]
fn an_empty_source_is_no_success() {
    let job = Job::new("");
    job.run(&[]).expect(66).says(&["nothing to read"]);
    let empty = job.files("out/entities");
    assert!(empty.is_empty());
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// A small file system of its own.
struct Mount(std::path::PathBuf);

impl Mount {
    /// `None` where mounting is not allowed.
    fn new(at: &std::path::Path, options: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then(|| Self(at.to_owned()))
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(
            Command::new("mount")
                .args(["-o", &options])
                .arg(&self.0)
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Names of what is published, and whether anything is half written.
fn published(job: &Job) -> Vec<String> {
    let commits = job.files("out/_weir/commits");
    let mut outputs: Vec<String> = Vec::new();
    for bytes in commits.values() {
        let record: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        outputs.extend(
            record["outputs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|o| o.as_str().unwrap().to_owned()),
        );
    }
    outputs
}

#[test]
fn a_full_disk_loses_nothing() {
    let job = Job::new("");
    let documents = 40;
    for n in 0..documents {
        let line = format!(
            "{{\"id\":\"{n:02}\",\"text\":\"{} ana@mail.example\"}}\n",
            "word ".repeat(800)
        );
        job.write(&format!("in/{n:02}.jsonl"), line);
    }
    let mount = Mount::new(&job.path("out"), "size=128k");
    let ran = match &mount {
        Some(_) => job
            .run(&[])
            .expect(74)
            .says(&["cannot be written", "full", "fix"]),
        // No file can grow: the kernel refuses as it does for a quota.
        None => {
            let mut limited = Command::new("sh");
            let script = format!(
                "trap '' XFSZ; ulimit -f 2; exec \"{}\" run --config \"{}\"",
                env!("CARGO_BIN_EXE_weir"),
                job.config()
            );
            limited
                .args(["-c", &script])
                .current_dir(env!("CARGO_MANIFEST_DIR"));
            run(limited, b"")
                .expect(74)
                .says(&["cannot be written", "fix"])
        }
    };
    assert!(!ran.stderr.contains("ana@"), "{}", ran.stderr);
    for output in published(&job) {
        assert!(
            job.path("out").join(&output).exists(),
            "{output} is committed and not there"
        );
    }
    if let Some(mount) = &mount {
        mount.remount("size=8m");
    }
    job.run(&[]).expect(0);
    let expected: Vec<String> = (0..documents).map(|n| format!("{n:02}")).collect();
    assert_eq!(job.delivered(), expected);
    assert_eq!(job.records("out/redactions").len(), documents);
    assert!(
        job.files("out").keys().all(|name| !name.contains('#')),
        "half written files stay"
    );
}

#[test]
fn an_output_that_is_read_only_is_74() {
    let job = Job::new("");
    job.write("in/a.log", "ana@mail.example\n");
    let Some(mount) = Mount::new(&job.path("out"), "size=1m") else {
        return eprintln!(
            "skipped: mounting is not allowed here; a sink below a file is tested elsewhere"
        );
    };
    mount.remount("ro");
    job.run(&[]).expect(74).says(&["cannot be written", "fix"]);
    mount.remount("rw");
    job.run(&[]).expect(0).says(&["1 documents"]);
}

#[test]
fn one_text_of_any_length_takes_bounded_memory() {
    let large = std::env::var_os("WEIR_TEST_LARGE").is_some();
    let size: usize = if large { 200 << 20 } else { 64 << 20 };
    let job = Job::new("");
    let redactions =
        "[sink]\ntype = \"object_store\"\nurl = \"out\"\nformats = { redactions = \"text\" }\n";
    let config = fs::read_to_string(job.path("weir.toml")).unwrap();
    job.write(
        "weir.toml",
        config.replace(
            "[sink]\ntype = \"object_store\"\nurl = \"out\"\n",
            redactions,
        ),
    );
    if large {
        // Also through a model; a threshold of 1 leaves what was planted as all that is found.
        let labels = "labels = [{ name = \"person\", threshold = 1.0 }]\npatterns = [\"email\"]\n";
        job.write("tenants/acme.toml", labels);
    }
    // A value at each seam of 256 KiB, a little before, on, and after it in turn.
    const SEGMENT: usize = 256 << 10;
    const VALUE: &str = " ana.ruiz@mail.example ";
    let mut file = BufWriter::new(fs::File::create(job.path("in/long.txt")).unwrap());
    let (mut written, mut values) = (0, 0);
    let filler = "€€€€€€  "; // one token
    while written < size {
        let seam = (values + 1) * SEGMENT + values % 25 - 24;
        while written + filler.len() <= seam {
            file.write_all(filler.as_bytes()).unwrap();
            written += filler.len();
        }
        let rest = seam - written;
        file.write_all(&b". . . . . . . . . . "[..rest]).unwrap();
        file.write_all(VALUE.as_bytes()).unwrap();
        written += rest + VALUE.len();
        values += 1;
    }
    file.flush().unwrap();
    let start = Instant::now();
    let mut child = job
        .command(&["--quiet"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let peak = peak(&mut child);
    ended(child).expect(0);
    eprintln!(
        "{} MiB in {:?}, peak {} MiB",
        size >> 20,
        start.elapsed(),
        peak >> 20
    );
    assert!(peak > 0 && peak < 400 << 20, "peak {} MiB", peak >> 20);
    let (_, redacted) = job.files("out/redactions").pop_first().unwrap();
    let redacted = String::from_utf8(redacted).unwrap();
    assert_eq!(redacted.matches(" [EMAIL] ").count(), values);
    if !large {
        let source = fs::read_to_string(job.path("in/long.txt")).unwrap();
        assert!(
            source.replace("ana.ruiz@mail.example", "[EMAIL]") == redacted,
            "something else was changed"
        );
    }
}

/// Texts that trip up tokenizers and offsets.
fn odd() -> Vec<String> {
    // Longer than a segment of a text (256 KiB).
    let word: String = "x".repeat(400 << 10);
    [
        "",
        "a",
        "   ",
        "\t \u{a0}\u{3000}",
        "e\u{301}\u{302}\u{303} ana@mail.example o\u{308}",
        "👨‍👩‍👧‍👦👩🏽‍🚀🇪🇺 ana@mail.example 👍🏿",
        "שלום ana@mail.example עולם \u{202e}abc\u{202c}",
        // Behind a letter NUL joins: `b\0ana@…` may be UTF-16 that was read byte by byte.
        "a\0b \0ana@mail.example \0",
        "\u{feff}ana@mail.example",
    ]
    .map(str::to_owned)
    .into_iter()
    .chain([word.clone(), format!("{word} ana@mail.example")])
    .collect()
}

#[test]
fn odd_texts_go_through_redact_and_run() {
    let job = Job::new("[limits]\nmax_record_bytes = 4000000\n");
    let pack = pack().display().to_string();
    let tenant = job.path("tenants/acme.toml").display().to_string();
    job.write(
        "tenants/model.toml",
        "labels = [{ name = \"person\", operator = \"keep\" }]\npatterns = [\"email\"]\n",
    );
    let lines: Vec<String> = odd();
    for (n, text) in lines.iter().enumerate() {
        job.write(&format!("in/{n:02}.txt"), text);
        let line = serde_json::json!({"id": format!("j{n:02}"), "tenant": "model", "text": text})
            .to_string();
        job.write(&format!("in/{n:02}.jsonl"), line + "\n");
    }
    let expected: Vec<String> = lines
        .iter()
        .map(|text| text.replace("ana@mail.example", "[EMAIL]"))
        .collect();
    // Line by line through a pipe.
    let input = lines.join("\n") + "\n";
    let ran = weir_reads(
        &[
            "redact", "--tenant", &tenant, "--model", &pack, "--format", "lines",
        ],
        input.as_bytes(),
    )
    .expect(0);
    assert_eq!(ran.stdout.split('\n').count(), lines.len() + 1);
    for (found, expected) in ran.stdout.split('\n').zip(&expected) {
        assert!(
            found == expected,
            "{} bytes against {}",
            found.len(),
            expected.len()
        );
    }
    job.run(&["--quiet"]).expect(0);
    assert_eq!(job.dead_letters(), [""; 0]);
    let records = job.records("out/redactions");
    for (n, expected) in expected.iter().enumerate() {
        for id in [format!("{n:02}.txt"), format!("j{n:02}")] {
            // A file of no bytes holds no document.
            let found: Vec<_> = records
                .iter()
                .filter(|record| record["id"] == id.as_str())
                .collect();
            if lines[n].is_empty() && found.is_empty() && id.ends_with("txt") {
                continue;
            }
            assert_eq!(found.len(), 1, "{id}");
            assert!(found[0]["text"] == expected.as_str(), "{id}");
        }
    }
}

#[test]
fn a_whole_text_through_redact_keeps_its_bytes() {
    let pack = pack().display().to_string();
    let model = [
        "redact",
        "-l",
        "email",
        "--threshold",
        "1",
        "--model",
        &pack,
        "--format",
        "text",
    ];
    for text in odd() {
        let ran = weir_reads(&model, text.as_bytes()).expect(0);
        let redacted = text.replace("ana@mail.example", "[EMAIL]");
        assert!(
            ran.stdout.trim_end_matches('\n') == redacted.trim_end_matches('\n'),
            "{} bytes",
            text.len()
        );
    }
    let ran = weir_reads(&model, b"one line is \xff broken, the others are not");
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("UTF-8"), "{}", ran.stderr);
    let _ = (command(&[]), weir(&["--version"]).expect(0));
}
