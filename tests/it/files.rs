//! Files as they come: encodings, JSON in logs, keys and stack traces over several lines, line ends,
//! compression that no name tells; each through `weir run`, `weir redact` and standard input, with
//! values that must not come out.

use std::io::Write as _;

use crate::support::job::{Job, Ran, command, pack, run, weir_reads};

const MAIL: &str = "ana@mail.example";

const TENANT: &str = r#"
patterns = ["email", "card", "private_key"]
deny = { terms = ["José García"], label = "name" }
"#;

/// Files to files, as text.
fn job(source: &str) -> Job {
    let config = std::fs::read_to_string(Job::new("").path("weir.toml")).unwrap();
    let config = config
        .replace("url = \"in\"\n", &format!("url = \"in\"\n{source}\n"))
        .replace(
            "url = \"out\"\n",
            "url = \"out\"\nformats = { redactions = \"text\" }\n",
        );
    let job = Job::with(&config);
    job.write("tenants/acme.toml", TENANT);
    job
}

/// The redacted file of the only input.
fn redacted(job: &Job) -> Vec<u8> {
    let files = job.files("out/redactions");
    assert_eq!(files.len(), 1, "{:?}", files.keys());
    files.into_values().next().unwrap()
}

fn is_free(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let wide: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let wide = String::from_utf8_lossy(&wide);
    for value in [
        "mail.example",
        "4111 1111",
        "41111111",
        "José",
        "Jos\\u00e9",
        "MIIEpAIB",
    ] {
        assert!(
            !text.contains(value) && !wide.contains(value),
            "{what} holds {value}: {text}"
        );
    }
}

/// Nothing below the output holds a planted value.
fn nothing_leaks(job: &Job) {
    for folder in ["out/redactions", "out/entities", "out/dead_letters"] {
        for (name, bytes) in job.files(folder) {
            is_free(&name, &bytes);
        }
    }
}

/// `weir redact` on a file of this name.
fn redact(name: &str, input: &[u8], args: &[&str]) -> Ran {
    let job = Job::new("");
    job.write("tenants/acme.toml", TENANT);
    job.write(name, input);
    let (tenant, file) = (job.path("tenants/acme.toml"), job.path(name));
    let pack = pack().display().to_string();
    let (tenant, file) = (tenant.display().to_string(), file.display().to_string());
    let mut all = vec!["redact", "--tenant", &tenant, "--model", &pack, &file];
    all.extend(args);
    run(command(&all), b"")
}

/// `weir redact` on a pipe.
fn piped(input: &[u8], args: &[&str]) -> Ran {
    let job = Job::new("");
    job.write("tenants/acme.toml", TENANT);
    let tenant = job.path("tenants/acme.toml").display().to_string();
    let pack = pack().display().to_string();
    let mut all = vec!["redact", "--tenant", &tenant, "--model", &pack];
    all.extend(args);
    weir_reads(&all, input)
}

/// `weir run` from standard input to standard output.
fn streamed(input: &[u8], source: &str) -> Ran {
    let job = Job::with(&format!(
        "[source]\ntype = \"stdin\"\n{source}\n[sink]\ntype = \"stdout\"\n[tenants]\ndir = \"tenants\"\n\
         default = \"acme\"\n[model]\npack = {:?}\n",
        pack().display().to_string()
    ));
    job.write("tenants/acme.toml", TENANT);
    run(job.command(&["--quiet"]), input)
}

fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{FEFF}" } else { "" };
    let unit = |unit: u16| {
        if big {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        }
    };
    mark.encode_utf16()
        .chain(text.encode_utf16())
        .flat_map(unit)
        .collect()
}

fn utf32(text: &str, big: bool, mark: bool) -> Vec<u8> {
    let mark = if mark { "\u{FEFF}" } else { "" };
    let unit = |c: char| {
        let number = u32::from(c);
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    mark.chars().chain(text.chars()).flat_map(unit).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn wide_encodings_come_out_redacted_as_utf_8() {
    let text =
        "login of ana@mail.example from José García\r\ncard 4111 1111 1111 1111\r\nnothing\r\n";
    let expected = "login of [EMAIL] from [NAME]\r\ncard [CARD]\r\nnothing\r\n";
    let mut inputs = Vec::new();
    for (big, mark) in [(false, false), (false, true), (true, false), (true, true)] {
        inputs.push(utf16(text, big, mark));
        inputs.push(utf32(text, big, mark));
    }
    let job = job("");
    for (at, input) in inputs.iter().enumerate() {
        job.write(&format!("in/{at}.log"), input);
        job.write(&format!("in/{at}.txt"), input);
        job.write(&format!("in/{at}.log.gz"), gzip(input));
        let ran = piped(input, &[]).expect(0).says(&["the output is UTF-8"]);
        assert_eq!(ran.stdout, expected, "{at}");
        assert_eq!(
            redact("a.txt", input, &[]).expect(0).stdout,
            expected,
            "{at}"
        );
        assert_eq!(streamed(input, "").expect(0).stdout, expected, "{at}");
    }
    job.run(&["--quiet"]).expect(0);
    assert_eq!(job.dead_letters(), [""; 0]);
    for (name, mut bytes) in job.files("out/redactions") {
        if name.ends_with(".gz") {
            let mut text = Vec::new();
            let mut packed = flate2::read::MultiGzDecoder::new(&bytes[..]);
            std::io::Read::read_to_end(&mut packed, &mut text).unwrap();
            bytes = text;
        }
        assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{name}");
    }
    assert_eq!(job.files("out/redactions").len(), 3 * inputs.len());
    nothing_leaks(&job);
}

#[test]
fn json_lines_in_utf_16_are_json_lines() {
    let line = "{\"id\":\"a\",\"text\":\"to ana@mail.example\"}\r\n";
    let job = job("");
    job.write("in/a.jsonl", utf16(line, false, true));
    job.run(&["--quiet"]).expect(0);
    assert_eq!(job.records("out/redactions")[0]["text"], "to [EMAIL]");
    assert_eq!(job.delivered(), ["a"]);
}

#[test]
fn a_configured_encoding_is_read_and_others_are_dead_letters() {
    let text = "Größe von José García: ana@mail.example\r\n";
    let expected = "Größe von [NAME]: [EMAIL]\r\n";
    let (latin, _, _) = encoding_rs::WINDOWS_1252.encode(text);
    let plain = job("");
    plain.write("in/a.log", &latin);
    plain.run(&["--quiet"]).expect(0);
    assert_eq!(plain.dead_letters(), ["a.log not_utf8"]);
    nothing_leaks(&plain);
    let configured = job("encoding = \"latin1\"");
    configured.write("in/a.log", &latin);
    configured.run(&["--quiet"]).expect(0);
    assert_eq!(redacted(&configured), expected.as_bytes());
    let ran = piped(&latin, &["--encoding", "windows-1252"]).expect(0);
    assert_eq!(ran.stdout, expected);
    let ran = streamed(&latin, "encoding = \"windows-1252\"").expect(0);
    assert_eq!(ran.stdout, expected);
    assert_ne!(piped(&latin, &[]).code, 0);

    let text = "名前は田中です。 ana@mail.example\r\n次の行はこれです。\r\n";
    let (shift_jis, _, _) = encoding_rs::SHIFT_JIS.encode(text);
    let plain = job("");
    plain.write("in/a.log", &shift_jis);
    plain.run(&["--quiet"]).expect(0);
    assert_eq!(plain.dead_letters(), ["a.log unknown_encoding"]);
    nothing_leaks(&plain);
    let ran = piped(&shift_jis, &["--encoding", "shift_jis"]).expect(0);
    assert_eq!(ran.stdout, text.replace(MAIL, "[EMAIL]"));
    piped(&shift_jis, &[])
        .expect(74)
        .says(&["unknown_encoding"]);
    piped(b"", &["--encoding", "ebcdic"]).expect(2);
    let bad = job("encoding = \"ebcdic\"");
    bad.run(&[]).expect(78).says(&["ebcdic", "fix:"]);
}

#[test]
fn utf_16_that_was_added_to_another_file_does_not_pass() {
    let mut mixed = b"first line\n".repeat(9000);
    mixed.extend(utf16(
        "then ana@mail.example\r\nand José García\r\n",
        false,
        false,
    ));
    let job = job("");
    job.write("in/a.log", &mixed);
    job.write("in/a.txt", &mixed);
    job.write("in/a.json", &mixed);
    job.run(&["--quiet"]).expect(0);
    let letters = job.dead_letters();
    assert!(
        letters.contains(&"a.txt unknown_encoding".to_owned()),
        "{letters:?}"
    );
    assert!(
        letters.contains(&"a.log unknown_encoding".to_owned()),
        "{letters:?}"
    );
    nothing_leaks(&job);
    for ran in [
        piped(&mixed, &[]),
        redact("a.txt", &mixed, &[]),
        streamed(&mixed, ""),
    ] {
        is_free("redact", ran.stdout.as_bytes());
        assert!(ran.stderr.contains("unknown_encoding"), "{}", ran.stderr);
    }
}

#[test]
fn binary_files_under_names_of_texts_are_one_dead_letter_each() {
    let job = job("");
    let binary: Vec<u8> = (0..5000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for name in ["a.log", "a.txt", "a.jsonl", "a.json"] {
        job.write(
            &format!("in/{name}"),
            [&binary[..], MAIL.as_bytes()].concat(),
        );
    }
    job.run(&["--quiet"]).expect(0);
    assert_eq!(
        job.dead_letters(),
        ["a.json", "a.jsonl", "a.log", "a.txt"].map(|name| format!("{name} unknown_encoding"))
    );
    nothing_leaks(&job);
}

#[test]
fn a_bad_line_of_a_good_file_costs_the_line() {
    let job = job("");
    let input = [
        &b"one ana@mail.example\n"[..],
        b"two \xff\xfe\n",
        b"three\x0c a\0b\n",
        &b"more\n".repeat(20),
    ]
    .concat();
    job.write("in/a.log", &input);
    job.run(&["--quiet"]).expect(0);
    assert_eq!(job.dead_letters(), ["a.log not_utf8"]);
    let expected = [&b"one [EMAIL]\nthree\x0c a\0b\n"[..], &b"more\n".repeat(20)].concat();
    assert_eq!(redacted(&job), expected);
}

const CONTAINER: &str = concat!(
    "plain line of ana@mail.example\n",
    "{\"log\":\"login ana@mail.example\\n\",\"stream\":\"stdout\",\"n\":1.50}\n",
    "{\"msg\":\"Jos\\u00e9 Garc\\u00eda\\nlives\"}\n",
    "2026-01-01 INFO {\"user\":\"ana\\u0040mail.example\"}\n",
    "{\"card\":4111111111111111,\"ok\":true}\n",
    "{\"id\":\"ana@mail.example\",\"tenant\":\"acme\"}\n",
    "{\"ana@mail.example\":{\"a\":1}}\n",
    "{broken ana@mail.example\n",
    "\n",
    "[\"ana@mail.example\"]",
);

fn check_container(what: &str, out: &str) {
    is_free(what, out.as_bytes());
    let lines: Vec<&str> = out.split('\n').collect();
    assert_eq!(
        lines,
        [
            "plain line of [EMAIL]",
            "{\"log\":\"login [EMAIL]\\n\",\"stream\":\"stdout\",\"n\":1.50}",
            "{\"msg\":\"[NAME]\\nlives\"}",
            lines[3],
            "{\"card\":\"[CARD]\",\"ok\":true}",
            "{\"id\":\"[EMAIL]\",\"tenant\":\"acme\"}",
            "{\"[EMAIL]\":{\"a\":1}}",
            "{broken [EMAIL]",
            "",
            "[\"[EMAIL]\"]",
        ],
        "{what}"
    );
}

#[test]
fn json_lines_in_a_log_are_json_and_stay_lines() {
    // The view of patterns on escapes in text lines is tested with the patterns.
    let input = CONTAINER.replace("ana\\u0040mail.example", MAIL);
    let text = job("");
    text.write("in/app.log", &input);
    text.run(&["--log-level", "info"])
        .expect(0)
        .says(&["json_lines"]);
    assert_eq!(text.dead_letters(), [""; 0]);
    check_container("run", std::str::from_utf8(&redacted(&text)).unwrap());
    nothing_leaks(&text);
    let ran = redact("app.log", input.as_bytes(), &[]).expect(0);
    check_container("redact FILE", &ran.says(&["lines as JSON"]).stdout);
    check_container("redact", &piped(input.as_bytes(), &[]).expect(0).stdout);
    check_container(
        "run from a pipe",
        &streamed(input.as_bytes(), "").expect(0).stdout,
    );
    // As records, what is JSON is a JSON document with its changes beside its keys.
    let config = std::fs::read_to_string(text.path("weir.toml")).unwrap();
    let records = Job::with(&config.replace("\"text\"", "\"jsonl\""));
    records.write("tenants/acme.toml", TENANT);
    records.write("in/app.log", &input);
    records.run(&["--quiet"]).expect(0);
    let all = records.records("out/redactions");
    assert_eq!(all.len(), 10);
    assert_eq!(all[1]["log"], "login [EMAIL]\n");
    assert_eq!(all[1]["redactions"][0]["field"], "/log");
    assert_eq!(all[7]["text"], "{broken [EMAIL]");
    nothing_leaks(&records);
    // Read as text on request.
    let ran = piped(b"{\"a\":\"x\"}\n", &["--format", "lines"]).expect(0);
    assert!(!ran.stderr.contains("JSON"), "{}", ran.stderr);
}

#[test]
fn the_name_of_a_pair_tells_what_its_value_is() {
    let input = concat!(
        r#"{"env":[{"name":"DB_PASSWORD","value":"hunter2"},{"name":"MODE","value":"hunter3"}]}"#,
        "\n",
        r#"{"headers":[{"value":"Bearer zq81mmw07bq2","name":"Authorization"},{"Key":"sessionToken","Value":"a81mmw07bq2x"}]}"#,
        "\n",
        r#"{"name":"DB_PASSWORD","other":{"value":"hunter4"}}"#,
        "\n",
    );
    for name in ["env.jsonl", "env.log"] {
        let job = Job::new("");
        job.write(name, input);
        let (file, pack) = (
            job.path(name).display().to_string(),
            pack().display().to_string(),
        );
        let args = ["redact", "-p", "secret", "--model", &pack, &file];
        let out = run(command(&args), b"").expect(0).stdout.clone();
        for gone in ["hunter2", "zq81mmw07bq2", "a81mmw07bq2x"] {
            assert!(!out.contains(gone), "{name} holds {gone}: {out}");
        }
        for stays in ["hunter3", "hunter4", "DB_PASSWORD", "sessionToken"] {
            assert!(out.contains(stays), "{name} lost {stays}: {out}");
        }
    }
}

#[test]
fn a_mark_blanks_and_comments_before_json_change_nothing() {
    let json = "{\"text\":\"Jos\\u00e9 Garc\\u00eda\"}";
    for before in [
        "\u{FEFF}",
        "\n\n",
        "# comment of ana@mail.example\n",
        "// x\n",
        "\r\n",
    ] {
        let input = format!("{before}{json}\n");
        for ran in [piped(input.as_bytes(), &[]), streamed(input.as_bytes(), "")] {
            let out = ran.expect(0).stdout;
            is_free(before, out.as_bytes());
            assert!(out.ends_with("{\"text\":\"[NAME]\"}\n"), "{out}");
        }
        let job = job("");
        job.write("in/a.log", &input);
        job.run(&["--quiet"]).expect(0);
        is_free(before, &redacted(&job));
        let ran = redact("a.jsonl", input.as_bytes(), &[]);
        is_free(before, ran.stdout.as_bytes());
        assert!(ran.stdout.contains("\"[NAME]\""), "{}", ran.stdout);
    }
}

#[test]
fn json_of_several_lines_and_arrays_are_documents() {
    let documents = serde_json::json!([
        {"id": "one", "text": "José García", "deep": {"list": ["ana@mail.example", 1]}},
        {"id": "two", "text": "card 4111 1111 1111 1111"},
    ]);
    let pretty = serde_json::to_string_pretty(&documents).unwrap() + "\n";
    let job = job("");
    job.write("in/pretty.json", &pretty);
    job.write("in/array.json", documents.to_string());
    job.write(
        "in/object.json",
        serde_json::to_string_pretty(&documents[0]).unwrap(),
    );
    job.write(
        "in/lines.json",
        format!("{}\r\nnot json\r\n{}", documents[0], documents[1]),
    );
    job.write("in/empty.json", "[]\n");
    job.write("in/cut.json", &pretty[..pretty.len() - 4]);
    job.run(&["--quiet"]).expect(0);
    assert_eq!(
        job.dead_letters(),
        [
            "cut.json not_json",
            "cut.json not_json",
            "lines.json not_json"
        ]
    );
    assert_eq!(
        job.delivered(),
        ["one", "one", "one", "one", "one", "two", "two", "two"]
    );
    nothing_leaks(&job);
    for record in job.records("out/redactions") {
        assert!(record["redactions"].is_array(), "{record}");
    }
    for ran in [
        redact("a.json", pretty.as_bytes(), &[]),
        piped(pretty.as_bytes(), &["--format", "json"]),
        piped(pretty.as_bytes(), &[]),
    ] {
        let ran = ran.expect(0);
        is_free("redact", ran.stdout.as_bytes());
        let out: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(out[0]["text"], "[NAME]");
        assert_eq!(out[0]["deep"]["list"][0], "[EMAIL]");
        assert_eq!(out[1]["text"], "card [CARD]");
        assert!(
            ran.stdout.starts_with("[\n  {\n    \"id\": \"one\""),
            "{}",
            ran.stdout
        );
        assert!(ran.stdout.ends_with("\n]\n"), "{}", ran.stdout);
    }
    // An element that is no document leaves an array behind.
    let ran = redact("a.json", b"[{\"a\":\"x\"}, 7, {\"b\":\"y\"}]", &[]).expect(74);
    let out: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(out[1].is_null() && out[2]["b"] == "y", "{out}");
}

#[test]
fn a_json_value_over_the_limit_is_a_dead_letter_and_the_next_one_is_read() {
    let config = std::fs::read_to_string(Job::new("").path("weir.toml")).unwrap();
    let job = Job::with(&format!("{config}\n[limits]\nmax_record_bytes = 1024\n"));
    let long = format!(
        "[{{\"id\":\"a\",\"text\":\"{}\"}},\n{{\"id\":\"b\",\"text\":\"{MAIL}\"}}]",
        "x ".repeat(900)
    );
    job.write("in/a.json", long);
    job.run(&["--quiet"]).expect(0);
    assert_eq!(job.dead_letters(), ["a.json too_large"]);
    assert_eq!(job.delivered(), ["b"]);
}

fn key(before: &str, after: &str) -> String {
    let body = "MIIEpAIBAAKCAQEAzXUF1YG5rYlPSphRyCzWZVVGGF9X2ECUb11hnjIZnLF5AMC1";
    let mut lines = vec!["-----BEGIN RSA PRIVATE KEY-----"];
    lines.extend([body; 24]);
    lines.extend(["oEmkt6MIIEpAIB8==", "-----END RSA PRIVATE KEY-----"]);
    lines
        .iter()
        .map(|line| format!("{before}{line}{after}\n"))
        .collect()
}

#[test]
fn a_private_key_over_several_lines_is_gone_as_a_whole() {
    for (before, after, expected) in [
        ("", "", "[PRIVATE_KEY]\n"),
        ("", "\r", "[PRIVATE_KEY]\r\n"),
        ("  ", "", "  [PRIVATE_KEY]\n"),
        (
            "2026-01-01T00:00:00Z app[7]: ",
            "",
            "2026-01-01T00:00:00Z app[7]: [PRIVATE_KEY]\n",
        ),
        (
            "{\"log\":\"",
            "\\n\",\"stream\":\"stdout\"}",
            "{\"log\":\"[PRIVATE_KEY]\\n\",\"stream\":\"stdout\"}\n",
        ),
    ] {
        let input = format!("start {MAIL}\n{}signed by {MAIL}\n", key(before, after));
        let expected = format!("start [EMAIL]\n{expected}signed by [EMAIL]\n");
        let job = job("");
        job.write("in/a.log", &input);
        job.write("in/b.txt", &input);
        job.run(&["--quiet"]).expect(0);
        for (name, bytes) in job.files("out/redactions") {
            assert_eq!(String::from_utf8(bytes).unwrap(), expected, "{name}");
        }
        nothing_leaks(&job);
        for ran in [
            piped(input.as_bytes(), &[]),
            piped(input.as_bytes(), &["--format", "lines"]),
            redact("a.log", input.as_bytes(), &[]),
            redact("a.txt", input.as_bytes(), &[]),
            redact("deploy.sh", input.as_bytes(), &[]),
            streamed(input.as_bytes(), ""),
        ] {
            assert_eq!(ran.expect(0).stdout, expected, "{before}");
        }
    }
}

#[test]
fn lines_that_belong_together_are_one_document() {
    let trace = "2026-01-01 ERROR José\r\n García\r\n  at a\r\n2026-01-02 INFO ok";
    let tenant = "regexes = [{ name = \"who\", regex = 'José\\s+García', label = \"name\" }]\n";
    let expected = "2026-01-01 ERROR [NAME]\r\n  at a\r\n2026-01-02 INFO ok";
    let by = "multiline = { start_pattern = '^\\d{4}-', condition_pattern = '^\\s', mode = \"continue_through\" }";
    let job = job(by);
    job.write("tenants/acme.toml", tenant);
    job.write("in/a.log", trace);
    job.run(&["--quiet"]).expect(0);
    assert_eq!(String::from_utf8(redacted(&job)).unwrap(), expected);
    let entities = job.records("out/entities");
    assert_eq!(entities.len(), 2);
    assert_eq!(
        entities[1]["source"]["record"], 3,
        "lines are counted, not documents"
    );
    let tenant_file = job.path("tenants/acme.toml").display().to_string();
    let pack = pack().display().to_string();
    let ran = weir_reads(
        &[
            "redact",
            "--tenant",
            &tenant_file,
            "--model",
            &pack,
            "--multiline-start-pattern",
            r"^\d{4}-",
        ],
        trace.as_bytes(),
    )
    .expect(0);
    assert_eq!(ran.stdout, expected);
    let bad = crate::files::job("multiline = { start_pattern = '(' }");
    bad.run(&[]).expect(78).says(&["start_pattern", "fix:"]);
    let bad = crate::files::job("format = \"jsonl\"\nmultiline = { start_pattern = 'a' }");
    bad.run(&[]).expect(78).says(&["multiline", "jsonl"]);
}

#[test]
fn line_ends_stay_and_none_is_added() {
    for input in [
        "a ana@mail.example\r\nb\r\n",
        "a ana@mail.example\r\nb",
        "ana@mail.example",
        "a\rb ana@mail.example\rc",
        "\n\n",
        "\r\n \nana@mail.example\n\r\n",
        "mixed\r\nana@mail.example\nlast\r",
        "",
    ] {
        let expected = input.replace(MAIL, "[EMAIL]");
        for name in ["a.log", "a.txt"] {
            let job = job("");
            job.write(&format!("in/{name}"), input);
            job.run(&["--quiet"]).expect(0);
            let files = job.files("out/redactions");
            let out = files.values().next().cloned().unwrap_or_default();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{name}");
            assert_eq!(
                redact(name, input.as_bytes(), &[]).expect(0).stdout,
                expected
            );
        }
        assert_eq!(piped(input.as_bytes(), &[]).expect(0).stdout, expected);
        assert_eq!(streamed(input.as_bytes(), "").expect(0).stdout, expected);
    }
    let json = "{\"text\":\"ana@mail.example\"}\r\n\r\n{\"text\":\"x\"}";
    let ran = redact("a.jsonl", json.as_bytes(), &[]).expect(0);
    let lines: Vec<&str> = ran.stdout.split("\r\n").collect();
    assert!(
        lines.len() == 3 && lines[1].is_empty() && lines[2].ends_with('}'),
        "{lines:?}"
    );
}

#[test]
fn compressed_bytes_are_read_whatever_their_name() {
    let text = format!("to {MAIL}\n");
    let zstd = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let padded = [&gzip(text.as_bytes())[..], &[0; 1024]].concat();
    let job = job("");
    job.write("in/gzip.log", gzip(text.as_bytes()));
    job.write("in/zstd.log", &zstd);
    job.write("in/twice.log.gz", gzip(&gzip(text.as_bytes())));
    job.write("in/padded.txt.gz", &padded);
    job.write("in/bzip2.log", b"BZh91AY&SY\x01\x02ana@mail.example");
    job.write("in/xz.txt", b"\xFD7zXZ\0\x01\x02ana@mail.example");
    job.write("in/zip.jsonl", b"PK\x03\x04\x14\0ana@mail.example");
    let ran = job.run(&["--log-level", "info"]).expect(0);
    assert!(
        ran.stderr.contains("gzip") && ran.stderr.contains("zstd"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        job.dead_letters(),
        [
            "bzip2.log compressed",
            "xz.txt compressed",
            "zip.jsonl compressed"
        ]
    );
    let files = job.files("out/redactions");
    assert_eq!(files.len(), 4, "{:?}", files.keys());
    for (name, bytes) in files {
        if !name.ends_with(".gz") {
            assert_eq!(String::from_utf8(bytes).unwrap(), "to [EMAIL]\n", "{name}");
        }
    }
    for input in [&gzip(text.as_bytes())[..], &zstd, &padded] {
        let ran = piped(input, &[]).expect(0).says(&["decompressed"]);
        assert_eq!(ran.stdout, "to [EMAIL]\n");
        assert_eq!(streamed(input, "").expect(0).stdout, "to [EMAIL]\n");
    }
    let ran = redact("a.log.gz", &padded, &[]).expect(0);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("to [EMAIL]\n", "")
    );
    piped(b"BZh91AY&SY\x01\x02", &[])
        .expect(74)
        .says(&["bzip2", "compressed"]);
}

#[test]
fn a_job_without_a_file_to_read_is_no_success() {
    let job = Job::new("");
    job.run(&[])
        .expect(66)
        .says(&["nothing to read", "is empty", "fix:"]);
    job.write("in/a.csv", "a");
    job.run(&[]).expect(66).says(&["extension"]);
    let config = std::fs::read_to_string(job.path("weir.toml")).unwrap();
    job.write(
        "weir.toml",
        config.replace("url = \"in\"\n", "url = \"in\"\ninclude = [\"*.logs\"]\n"),
    );
    job.write("in/a.log", "a");
    job.run(&[]).expect(66).says(&["include"]);
    job.run(&["--dry-run"]).expect(66);
    job.write("weir.toml", config);
    job.run(&["--quiet"]).expect(0);
    // What was done before is read.
    job.run(&["--quiet"]).expect(0);
}

#[test]
fn redact_gives_a_records_own_id() {
    let ran = piped(
        b"{\"id\":\"r-17\",\"text\":\"ana@mail.example\"}\nplain\n",
        &["--entities"],
    )
    .expect(0);
    let ids: Vec<serde_json::Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["document_id"].clone())
        .collect();
    assert_eq!(ids, ["r-17", "stdin:1"]);
}

#[test]
fn a_line_of_20_mb_is_a_dead_letter_and_a_utf_16_text_streams() {
    let job = job("");
    job.write(
        "in/a.log",
        format!("{}{MAIL}\nnext\n", "x".repeat(20 << 20)),
    );
    let text = "a line of plain words, and of nothing else at all\r\n".repeat(1 << 19);
    job.write("in/b.txt", utf16(&text, false, true));
    let mut child = job
        .command(&["--quiet"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let peak = crate::support::job::peak(&mut child);
    crate::support::job::ended(child).expect(0);
    assert_eq!(job.dead_letters(), ["a.log too_large"]);
    let files = job.files("out/redactions");
    let (_, b) = files
        .iter()
        .find(|(name, _)| name.starts_with('b'))
        .unwrap();
    assert!(b == text.as_bytes());
    assert!(peak < 400 << 20, "peak {} MiB", peak >> 20);
    nothing_leaks(&job);
}
