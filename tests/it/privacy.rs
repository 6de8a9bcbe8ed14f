//! Planted secret values go through everything that can happen to a document; no log line, error,
//! metric, dead letter, commit record or claim holds one (I7), and no redaction those that are found.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use weir::record::{Body, Document, Position};

use crate::{
    failures,
    support::{
        eventually::{eventually, so},
        job::{Job, command, ended, pack, piped, run, walk, weir_reads},
    },
};

/// Values that patterns and the list find.
const FOUND: [&str; 5] = [
    "wanda.canary7@mail.example",
    "4539 1488 0343 6467",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ3YW5kYTcifQ.c2lnbmF0dXJlLWNhbmFyeTc",
    "AKIACANARY7EXAMPLE42",
    "Wanda Canary",
];

/// A value that nothing finds: it stays in redactions, and is nowhere else.
const UNFOUND: &str = "plover-cipher-7731";

fn secret() -> String {
    format!("{} {UNFOUND}", FOUND.join(" "))
}

#[track_caller]
fn holds_none(what: &str, text: &str, values: &[&str]) {
    for value in values {
        // JSON and logs might hold a value escaped, or in part.
        for part in [*value, &value[value.len() / 3..]] {
            assert!(!text.contains(part), "{what} holds `{part}`");
        }
    }
}

fn all() -> Vec<&'static str> {
    FOUND.into_iter().chain([UNFOUND]).collect()
}

/// The body of `/metrics`.
/// The page of metrics, once it has all of these.
pub fn metrics_with(address: &str, names: &[&str], limit: Duration) -> String {
    eventually(limit, || {
        let metrics = scrape(address).unwrap_or_default();
        let missing: Vec<&&str> = names
            .iter()
            .filter(|name| !metrics.contains(**name))
            .collect();
        match missing.is_empty() {
            true => Ok(metrics),
            false => Err(format!("missing {missing:#?} in:\n{metrics}")),
        }
    })
}

fn scrape(address: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .write_all(
            format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
        .ok()?;
    let mut body = String::new();
    stream.read_to_string(&mut body).ok()?;
    body.starts_with("HTTP/1.1 200").then_some(body)
}

/// An address that nobody listens on.
pub fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

/// Checks what a job left in its sink.
fn check_sink(job: &Job) {
    let root = job.path("out");
    let mut seen = Vec::new();
    walk(&root, &mut |path: &Path| {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        let bytes = std::fs::read(path).unwrap();
        holds_none("a file name", &name, &all());
        let bytes = match name.rsplit('.').next() {
            Some("gz") => {
                let mut text = Vec::new();
                flate2::read::MultiGzDecoder::new(&*bytes)
                    .read_to_end(&mut text)
                    .unwrap();
                text
            }
            Some("zst") => zstd::decode_all(&*bytes).unwrap(),
            _ => bytes,
        };
        let text = String::from_utf8_lossy(&bytes);
        if name.starts_with("redactions/") {
            holds_none(&name, &text, &FOUND);
        } else {
            holds_none(&name, &text, &all());
        }
        seen.push(name);
    });
    for folder in [
        "redactions/",
        "entities/",
        "dead_letters/",
        "_weir/commits/",
    ] {
        assert!(
            seen.iter().any(|name| name.starts_with(folder)),
            "nothing in {folder}: {seen:?}"
        );
    }
}

#[test]
fn no_failure_tells_a_value() {
    let secret = secret();
    let job = Job::new(
        "[limits]\nmax_record_bytes = 4096\nmax_dead_letters = 3\n[telemetry]\nlog_format = \"json\"\n",
    );
    failures::write_broken(&job, &secret);
    // An operator that fails on a record, if one does: hashing without a key is refused at the start.
    job.write("in/more.txt", format!("{secret}\n").repeat(10_000));
    let mut trace = job.command(&["--log-level", "trace"]);
    trace.env("RUST_BACKTRACE", "1").env("RUST_LOG", "trace");
    let ran = run(trace, b"").expect(65);
    holds_none("standard error", &ran.stderr, &all());
    holds_none("standard output", &ran.stdout, &all());
    assert!(
        ran.stderr.contains("record dead-lettered"),
        "{}",
        ran.stderr
    );
    // What was left by the limit.
    let mut trace = job.command(&[
        "--log-level",
        "trace",
        "--set",
        "limits.max_dead_letters=1000",
    ]);
    trace.env("RUST_BACKTRACE", "1");
    let ran = run(trace, b"").expect(0);
    holds_none("standard error", &ran.stderr, &all());
    check_sink(&job);
}

#[test]
fn no_metric_tells_a_value() {
    let address = free_address();
    let config = format!(
        "[source]\ntype = \"stdin\"\nformat = \"jsonl\"\n[sink]\ntype = \"stdout\"\n[tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n\
         [model]\npack = {:?}\n[telemetry]\nlisten = \"{address}\"\nlog_level = \"trace\"\n[limits]\nmax_record_bytes = 4096\n",
        pack().display().to_string()
    );
    let job = Job::with(&config);
    let secret = secret();
    job.write(
        "tenants/labels.toml",
        "labels = [{ name = \"thing\", threshold = 0.0, operator = \"mask\" }]\npatterns = [\"email\"]\ndeny = { terms = [\"Wanda Canary\"], label = \"name\" }\n",
    );
    let mut child = piped(job.command(&[]).env("RUST_BACKTRACE", "1"));
    let mut input = child.stdin.take().unwrap();
    let line = |tenant: &str| {
        serde_json::json!({"id": "a", "tenant": tenant, "text": secret}).to_string() + "\n"
    };
    input
        .write_all(
            (line("acme")
                + &line("labels")
                + &line(&secret)
                + &secret
                + "\n"
                + &secret.repeat(40)
                + "\n")
                .as_bytes(),
        )
        .unwrap();
    // Delivered while the input is still open.
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    output.read_line(&mut lines).unwrap();
    output.read_line(&mut lines).unwrap();
    let names = [
        "weir_documents_total{tenant=\"acme\",outcome=\"delivered\"} 1",
        "weir_documents_total{tenant=\"\",outcome=\"dead_lettered\"}",
        "weir_document_bytes_total{",
        "weir_entities_total{tenant=\"acme\",label=\"name\"",
        "weir_redactions_total{tenant=\"acme\",operator=\"replace\"}",
        "weir_dead_letters_total{stage=\"source\",code=\"not_json\"} 1",
        "weir_dead_letters_total{stage=\"source\",code=\"too_large\"} 1",
        "weir_dead_letters_total{stage=\"tenant\",code=\"unknown_tenant\"} 1",
        "weir_tokens_total{kind=\"real\"}",
        "weir_tokens_total{kind=\"padding\"}",
        "weir_stage_duration_seconds_bucket{stage=\"text\"",
        "weir_stage_duration_seconds_bucket{stage=\"model\"",
        "weir_stage_duration_seconds_bucket{stage=\"decode\"",
        "weir_stage_duration_seconds_bucket{stage=\"redact\"",
        "weir_end_to_end_seconds_count 2",
        "weir_queue_bytes{queue=\"documents\"} 0",
        "weir_queue_limit_bytes{queue=\"documents\"}",
        "weir_build_info{version=\"",
    ];
    let metrics = metrics_with(&address, &names, Duration::from_secs(20));
    holds_none("/metrics", &metrics, &all());
    drop(input);
    output.read_to_string(&mut lines).unwrap();
    holds_none("a redaction", lines.lines().next().unwrap(), &FOUND);
    let ran = ended(child).expect(0);
    holds_none("standard error", &ran.stderr, &all());
    assert!(ran.stderr.contains("unknown_tenant"), "{}", ran.stderr);
}

/// Values in the places that are no text: ids, tenants, keys, columns, names of files.
#[test]
fn no_name_tells_a_value() {
    const FILE: &str = "walter.canary3@mail.example";
    let job = Job::new("[limits]\nmax_record_bytes = 4096\n");
    let secret = secret();
    let record = |id: &str, tenant: &str, key: &str, rest: &str| {
        let (id, key) = (serde_json::json!(id), serde_json::json!(key));
        format!(
            "{{\"id\":{id},\"tenant\":{tenant},{key}:{{\"note\":\"{secret}\"}},\"text\":{rest}}}\n"
        )
    };
    let deep = format!("{}\"x\"{}", "[".repeat(1000), "]".repeat(1000));
    let large = serde_json::json!("x".repeat(5000)).to_string();
    let mut lines = String::new();
    for value in FOUND.iter().copied().chain([secret.as_str()]) {
        lines += &record(value, "\"acme\"", value, "\"plain\"");
        lines += &record(value, "\"acme\"", value, &deep);
        lines += &record(value, "\"acme\"", value, &large);
        lines += &record(value, &serde_json::json!(value).to_string(), "k", "\"x\"");
        lines += &record(
            value,
            &serde_json::json!([value]).to_string(),
            value,
            "\"x\"",
        );
    }
    // An id that nothing finds is shown by entities and redactions; what fails shows none.
    lines += &record(UNFOUND, "\"nobody\"", UNFOUND, "\"x\"");
    lines += &record(UNFOUND, "\"acme\"", UNFOUND, &deep);
    job.write("in/docs.jsonl", lines);
    job.write(
        &format!("in/{FILE}.jsonl"),
        "[1]\nnot json\n{\"id\": 1, \"text\": \"x\"}\n",
    );
    // Columns whose names are values, one that is missing, one of another type, an id that is one.
    let columns = |name: &str, id: &str| crate::support::tables::parquet(name, &[(id, Some("x"))]);
    for (number, value) in all().into_iter().enumerate() {
        job.write(&format!("in/column{number}.parquet"), columns(value, "a"));
        job.write(&format!("in/id{number}.parquet"), columns("note", value));
    }
    let long = "y".repeat(5000);
    let rows = [
        ("wanda.canary7@mail.example", Some(long.as_str())),
        (UNFOUND, Some(long.as_str())),
    ];
    job.write(
        "in/large.parquet",
        crate::support::tables::parquet("note", &rows),
    );
    let mut trace = job.command(&["--log-level", "trace"]);
    trace.env("RUST_BACKTRACE", "1").env("RUST_LOG", "trace");
    let ran = run(trace, b"").expect(0);
    holds_none("standard error", &ran.stderr, &all());
    holds_none("standard output", &ran.stdout, &all());
    let mut letters = 0;
    for (name, bytes) in job.files("out") {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if name.starts_with("dead_letters/") {
            letters += text.lines().count();
            holds_none(&name, &text, &all());
            for line in text.lines() {
                // A file's name is where the record is: it stands in the pointer, and nowhere else.
                let mut letter: serde_json::Value = serde_json::from_str(line).unwrap();
                letter["source"]["object"] = "".into();
                let own = letter["document_id"].as_str().unwrap_or("").to_owned();
                if !own.starts_with(FILE) {
                    holds_none(&name, &letter.to_string(), &[FILE]);
                }
            }
        } else if name.starts_with("entities/") || name.ends_with(".jsonl") {
            holds_none(&name, &text, &FOUND);
        }
    }
    assert!(letters > 30, "{letters}");
    let config = job.config();
    let ran = weir_reads(&["check", "--config", &config, "--connect"], b"").expect(0);
    holds_none("check", &(ran.stdout + &ran.stderr), &all());
}

#[test]
fn no_error_of_redact_tells_a_value() {
    let secret = secret();
    let tenant = Job::new("");
    let tenant = tenant.path("tenants/acme.toml").display().to_string();
    let pack = pack().display().to_string();
    let arguments = [
        "redact", "--tenant", &tenant, "--model", &pack, "--format", "jsonl",
    ];
    let mut input = format!("{{\"text\":\"{secret}\"\n{secret}\n[\"{secret}\"]\n").into_bytes();
    input.extend_from_slice(&[secret.as_bytes(), b"\xff\n"].concat());
    let ran = weir_reads(&arguments, &input);
    holds_none("standard error", &ran.stderr, &all());
    holds_none("standard output", &ran.stdout, &all());
    let mut closed = command(&arguments);
    closed.env("RUST_BACKTRACE", "full");
    let ran = run(closed, format!("{{\"text\":\"{secret}\"}}\n").as_bytes()).expect(0);
    holds_none("a redaction", &ran.stdout, &FOUND);
}

#[test]
fn a_bad_configuration_or_tenant_file_is_not_quoted() {
    let secret = secret();
    let job = Job::new("");
    for bad in [
        format!("deny = {{ terms = [\"{secret}\"], label = 3 }}\n"),
        format!("patterns = [\"email\"]\ndeny = {{ terms = [\"{secret}\"] \n"),
        format!("regexes = [{{ name = \"x\", regex = '({secret}' }}]\n"),
        format!("allow = [{{ term = \"{secret}\", until = \"then\" }}]\n"),
    ] {
        job.write("tenants/acme.toml", &bad);
        let ran = job.run(&[]).expect(78);
        // A rule is configuration, not text of a document, but lists hold names of persons.
        if bad.contains("terms") || bad.contains("term =") {
            holds_none("an error", &ran.stderr, &all());
        }
    }
}

#[test]
fn debug_of_documents_and_records_prints_no_text() {
    let secret = secret();
    let position = Position::Stdin { line: 3 };
    for body in [
        Body::Text(secret.as_str().into()),
        Body::Json(format!("{{\"text\":\"{secret}\"}}").into()),
        Body::Row(vec![
            ("note".into(), Some(secret.as_str().into())),
            ("more".into(), None),
        ]),
    ] {
        let document = Document {
            id: "a".into(),
            tenant: None,
            position: position.clone(),
            body,
        };
        holds_none("Debug", &format!("{document:?} {document:#?}"), &all());
    }
    let entity = weir::record::Entity {
        label: "name".into(),
        field: "text".into(),
        start: 0,
        end: 1,
        start_byte: 0,
        end_byte: 1,
        score: 1.0,
        label_score: Some(1.0),
        recognizer: "deny".into(),
        text: Some(secret.clone()),
    };
    holds_none("Debug", &format!("{entity:?}"), &all());
    let redaction = weir::record::Redaction {
        id: "a".into(),
        tenant: "acme".into(),
        text: secret,
        redactions: Vec::new(),
        digests: weir::record::Digests {
            pack: String::new(),
            label_set: String::new(),
            policy: String::new(),
            weir_version: String::new(),
        },
    };
    holds_none("Debug", &format!("{redaction:?}"), &all());
}

/// A crash must not leave the texts that were under way in a file.
#[cfg(target_os = "linux")]
#[test]
fn a_worker_that_crashes_leaves_no_core_file() {
    use std::{
        os::unix::process::ExitStatusExt as _,
        process::{Command, Stdio},
    };

    let folder = tempfile::tempdir().unwrap();
    // As the shell of a user who wants core files has it.
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -c unlimited; exec \"$0\" redact -p email"])
        .arg(env!("CARGO_BIN_EXE_weir"))
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut text = child.stdin.take().unwrap();
    text.write_all(b"ask ana@mail.example\n").unwrap();
    let limits = format!("/proc/{}/limits", child.id());
    eventually(Duration::from_secs(20), || {
        let all = std::fs::read_to_string(&limits).unwrap();
        let line = all.lines().find(|line| line.contains("core file size"));
        let words: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
        so(words.get(4..6) == Some(&["0", "0"]), words.join(" "))
    });
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-ABRT", &id]).status();
    assert!(killed.unwrap().success());
    let status = child.wait().unwrap();
    drop(text);
    assert!(!status.core_dumped(), "{status:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
