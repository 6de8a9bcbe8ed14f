//! The command line as people and scripts use it: what it prints, writes and returns.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    time::{Duration, Instant},
};

use crate::support::{
    eventually::{eventually, so},
    job::{Job, TENANT, ended, head_pack, pack, piped, run, signal, terminate, weir, weir_reads},
    tiny_pack,
};

fn redact(arguments: &[&str], input: &str) -> String {
    let job = Job::new("");
    let tenant = job.path("tenants/acme.toml").display().to_string();
    let pack = pack().display().to_string();
    let mut all = vec!["redact", "--tenant", &tenant, "--model", &pack];
    all.extend(arguments);
    weir_reads(&all, input.as_bytes()).expect(0).stdout
}

#[test]
fn redact_prints_what_it_read_without_the_values() {
    insta::assert_snapshot!(redact(&[], "Mail ana@mail.example\nnothing here\n\nWanda Canary left\n"), @r"
    Mail [EMAIL]
    nothing here

    [NAME] left
    ");
    insta::assert_snapshot!(redact(&["--show"], "Mail ana@mail.example\n"), @r"
    Mail [ana@mail.example|email pattern]
    Mail [EMAIL]
    ");
    let coloured = redact(&["--show", "--color", "always"], "ana@mail.example\n");
    assert!(coloured.contains('\u{1b}'), "{coloured:?}");
    let json = redact(&[], "{\"n\": 1.50, \"text\": \"Wanda Canary\"}\n");
    assert!(
        json.starts_with("{\"n\": 1.50, \"text\": \"[NAME]\""),
        "{json}"
    );
    let text = redact(&["--format", "text"], "a\nana@mail.example\nb");
    assert_eq!(text, "a\n[EMAIL]\nb");
    let entities = redact(&["--entities"], "é ana@mail.example\n");
    let record: serde_json::Value = serde_json::from_str(&entities).unwrap();
    let entity = &record["entities"][0];
    assert_eq!(
        (
            entity["label"].as_str(),
            entity["start"].as_u64(),
            entity["start_byte"].as_u64()
        ),
        (Some("email"), Some(2), Some(3))
    );
}

#[test]
fn check_names_file_line_key_and_fix() {
    let job = Job::new("");
    let ran = weir(&["check", "--config", &job.config()]).expect(0);
    let told = ran.stdout + &ran.stderr;
    assert!(
        told.contains("0 errors") && told.contains("weir.toml"),
        "{told}"
    );
    job.write(
        "bad.toml",
        fs::read_to_string(job.path("weir.toml"))
            .unwrap()
            .replace("url = \"in\"", "ulr = \"in\""),
    );
    let bad = job.path("bad.toml").display().to_string();
    let ran = weir(&["check", "--config", &bad]).expect(1);
    let told = ran.stdout + &ran.stderr;
    for part in ["`ulr`", "bad.toml:3:1", "`url`"] {
        assert!(told.contains(part), "no {part} in:\n{told}");
    }
    weir(&["run", "--config", &bad])
        .expect(78)
        .says(&["`ulr`", "bad.toml:3:1", "fix"]);
    weir(&["run", "--config", "/nowhere/weir.toml"])
        .expect(78)
        .says(&["/nowhere/weir.toml"]);
    assert!(!job.path("out").exists(), "check writes nothing");
}

#[test]
fn what_init_writes_checks_tests_and_runs() {
    for (preset, documents) in [("logs", "4 documents"), ("json", "3 documents")] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = path("weir.toml");
        let root = folder.path().display().to_string();
        weir(&["init", &root, "--preset", preset])
            .expect(0)
            .says(&["weir check --config"]);
        weir(&["init", &root, "--preset", preset])
            .expect(1)
            .says(&["already exists", "fix"]);
        let model = format!("model.pack={}", pack().display());
        fs::create_dir_all(path("in")).unwrap();
        weir(&["check", "--config", &config, "--set", &model]).expect(0);
        fs::write(path("in/a.log"), "login failed for ana@ruiz.example\n").unwrap();
        fs::write(
            path("in/a.jsonl"),
            "{\"id\":\"1\",\"tenant\":\"acme\",\"text\":\"ana@ruiz.example\"}\n",
        )
        .unwrap();
        weir(&["run", "--config", &config, "--set", &model, "--dry-run"])
            .expect(0)
            .says(&[documents, "nothing was written"]);
        assert!(!folder.path().join("out").exists());
        weir(&["run", "--config", &config, "--set", &model])
            .expect(0)
            .says(&[documents]);
        assert!(folder.path().join("out/redactions").exists());
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display().to_string();
    weir(&["init", &root]).expect(0);
    let config = folder.path().join("weir.toml").display().to_string();
    let mini = format!("model.pack={}/models/weir-mini", env!("CARGO_MANIFEST_DIR"));
    let ran = weir(&["test", "--config", &config, "--set", &mini]).expect(0);
    assert!((ran.stdout + &ran.stderr).contains("1 of 1"));
}

#[test]
fn a_tenants_example_that_fails_is_1() {
    let job = Job::new("");
    let tests = "\n[[tests]]\ntext = \"ana@mail.example\"\nexpect = \"[EMAIL]\"\n";
    job.write("tenants/acme.toml", format!("{TENANT}{tests}"));
    weir(&["test", "--config", &job.config()]).expect(0);
    job.write(
        "tenants/acme.toml",
        format!("{TENANT}{}", tests.replace("[EMAIL]\"", "[NAME]\"")),
    );
    weir(&["test", "--config", &job.config()]).expect(1);
}

#[test]
fn model_inspect_and_verify_tell_a_whole_pack_from_a_broken_one() {
    let path = pack().display().to_string();
    let json: serde_json::Value = serde_json::from_str(
        &weir(&["model", "inspect", &path, "--json"])
            .expect(0)
            .stdout,
    )
    .unwrap();
    assert!(json.to_string().contains("tiny"));
    weir(&["model", "verify", &path]).expect(0);
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().display().to_string();
    for entry in fs::read_dir(pack()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    fs::write(folder.path().join("projection.npz"), "x").unwrap();
    let ran = weir(&["model", "verify", &broken]).expect(1);
    assert!((ran.stdout + &ran.stderr).contains("projection.npz"));
}

#[test]
fn an_operating_point_that_the_pack_does_not_have_is_told_before_a_record_is_read() {
    let job = Job::new("");
    job.write("in/a.txt", "ana ruiz\n");
    let tenant = "labels = [\"person\"]\noperating_point = \"high_recal\"\n";
    job.write("tenants/acme.toml", tenant);
    let head = format!("model.pack={}", head_pack().display());
    for (pack, has) in [
        (head.as_str(), "it has: default, high_recall"),
        ("batch.linger_ms=1", "it has: default"), // the adaptive pack has one, too
    ] {
        let parts = [
            "operating point `high_recal` does not exist",
            has,
            "tenants/acme.toml:2:",
            "fix: set operating_point",
        ];
        weir(&["check", "--config", &job.config(), "--set", pack])
            .expect(1)
            .says(&parts);
        job.run(&["--set", pack]).expect(78).says(&parts);
    }
    assert!(!job.path("out").exists(), "nothing is written");
    job.write(
        "tenants/acme.toml",
        tenant.replace("high_recal", "high_recall"),
    );
    weir(&["check", "--config", &job.config(), "--set", &head]).expect(0);
    job.run(&["--set", &head]).expect(0).says(&["1 documents"]);
}

#[test]
fn a_label_without_a_category_is_told_before_a_record_is_read() {
    let job = Job::new("");
    job.write("in/a.txt", "ana ruiz\n");
    job.write("tenants/acme.toml", "labels = [\"person\", \"song\"]\n");
    let head = format!("model.pack={}", head_pack().display());
    let parts = ["no category for the label `song`", "private_person"];
    let set = ["--set", &head];
    weir(&[&["check", "--config", &job.config()], &set[..]].concat())
        .expect(1)
        .says(&parts);
    job.run(&set)
        .expect(78)
        .says(&parts)
        .says(&["acme.toml:1:"]);
    assert!(!job.path("out").exists(), "nothing is written");
}

#[test]
fn two_tenants_of_one_run_have_each_their_own_balance() {
    let job = Job::new("");
    let tenant = |bias: f32| {
        format!("labels = [{{ name = \"person\", threshold = 0.0 }}]\nrecall_bias = {bias:?}\n")
    };
    job.write("tenants/acme.toml", tenant(-50.0));
    job.write("tenants/shop.toml", tenant(50.0));
    let line = |id: &str, tenant: &str| {
        serde_json::json!({"id": id, "tenant": tenant, "note": "ana ruiz 555 lives in b7"})
            .to_string()
    };
    let lines = [
        line("1", "acme"),
        line("2", "shop"),
        line("3", "acme"),
        line("4", "shop"),
    ];
    job.write("in/a.jsonl", lines.join("\n"));
    job.run(&[]).expect(0);
    let mut found: Vec<(String, bool)> = Vec::new();
    for record in job.records("out/entities") {
        let entities = record["entities"].as_array().unwrap();
        let id = record["document_id"].as_str().unwrap().to_owned();
        found.push((id, entities.is_empty()));
    }
    found.sort();
    let empty: Vec<bool> = found.iter().map(|(_, empty)| *empty).collect();
    assert_eq!(empty, [true, false, true, false], "{found:?}");
}

#[test]
fn labels_shows_the_categories_of_a_fixed_head() {
    let head = head_pack().display().to_string();
    let ran = weir(&[
        "labels", "-l", "Person", "-l", "song", "--model", &head, "--json",
    ]);
    let json: serde_json::Value = serde_json::from_str(&ran.expect(0).stdout).unwrap();
    assert_eq!(json["categories"], serde_json::json!(tiny_pack::CATEGORIES));
    let labels = &json["labels"];
    assert_eq!(
        labels[0]["categories"],
        serde_json::json!(["private_person"])
    );
    assert_eq!(
        (&labels[0]["by"], &labels[1]["by"]),
        (&"name".into(), &"nothing".into())
    );
    assert_eq!(labels[1]["categories"], serde_json::json!([]));
    // With a configuration's table, and by likeness.
    let job = Job::new("[model.categories]\ncontact = [\"private_email\", \"private_phone\"]\n");
    let mini = format!(
        "model.category_encoder={}/models/weir-mini",
        env!("CARGO_MANIFEST_DIR")
    );
    let client = "{ name = \"client\", description = \"full name of a person\" }";
    let asked = format!("labels = [\"contact\", \"phone\", {client}, \"song\"]\n");
    job.write("tenants/acme.toml", asked);
    let set = format!("model.pack={head}");
    let config = job.config();
    let shown = weir(&["labels", "--config", &config, "--set", &set, "--set", &mini])
        .expect(0)
        .stdout;
    for part in [
        "private_email, private_phone",
        "[model.categories]",
        "likeness: private_person",
        "nothing; nearest: ",
        "no category matches \"song\"",
        "\"contact\" and \"phone\" both stand for private_phone: its spans go to \"contact\"",
        "tiny has the categories private_person, private_email",
    ] {
        assert!(shown.contains(part), "no {part} in:\n{shown}");
    }
}

#[test]
fn bench_measures_a_fixed_head() {
    let folder = tempfile::tempdir().unwrap();
    let texts = folder.path().join("texts.log");
    fs::write(&texts, "ana ruiz 555 lives in b7\nthe same line again\n").unwrap();
    let (texts, head) = (
        texts.display().to_string(),
        head_pack().display().to_string(),
    );
    let ran = weir(&["bench", &texts, "--model", &head, "--json"]).expect(0);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(json["job"].as_f64().unwrap() > 0.0, "{json}");
    assert_eq!(json["shares"], serde_json::json!([]));
}

#[test]
fn what_was_tuned_is_used_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("pack");
    fs::create_dir(&own).unwrap();
    for entry in fs::read_dir(pack()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), own.join(entry.file_name())).unwrap();
    }
    let texts = folder.path().join("texts.log");
    fs::write(&texts, "ana ruiz 555 lives in b7\nanother line\n").unwrap();
    let (texts, own) = (texts.display().to_string(), own.display().to_string());
    let bench = || {
        let ran = weir(&[
            "bench", &texts, "--model", &own, "--rounds", "1", "--labels", "4", "--json",
        ]);
        let json: serde_json::Value = serde_json::from_str(&ran.expect(0).stdout).unwrap();
        json["max_tokens"].as_u64().unwrap()
    };
    assert_eq!(bench(), 1024);
    let ran = weir(&["model", "tune", &own, "--seconds", "0.02"]).expect(0);
    assert!(ran.stdout.contains("tokens/s"), "{}", ran.stdout);
    let file = std::path::Path::new(&own).join("tuned.toml");
    let tuned = fs::read_to_string(&file).unwrap();
    let chosen = |text: &str| -> u64 {
        let line = text.lines().find(|line| line.starts_with("max_tokens"));
        line.unwrap().split(" = ").nth(1).unwrap().parse().unwrap()
    };
    assert_eq!(bench(), chosen(&tuned));
    let job = folder.path().join("job").display().to_string();
    weir(&["init", &job, "--preset", "logs"]).expect(0);
    let (config, set) = (format!("{job}/weir.toml"), format!("model.pack={own}"));
    let checked = |code| weir(&["check", "--config", &config, "--set", &set]).expect(code);
    let told = checked(0).stdout;
    assert!(
        told.contains("tuned.toml") && told.contains("measured here"),
        "{told}"
    );
    // Of another machine: told, and not used.
    let other = tuned
        .replace("processor = \"", "processor = \"another ")
        .replacen(
            &format!("max_tokens = {}", chosen(&tuned)),
            "max_tokens = 7",
            1,
        );
    fs::write(&file, other).unwrap();
    assert_eq!(bench(), 1024);
    let told = checked(0).stdout;
    assert!(
        told.contains("warn") && told.contains("another machine"),
        "{told}"
    );
    fs::write(&file, "sessions = \"many\"").unwrap();
    let ran = weir(&["bench", &texts, "--model", &own, "--json"]).expect(78);
    assert!(ran.stderr.contains("weir model tune"), "{}", ran.stderr);
    let told = checked(1).stderr;
    assert!(told.contains("weir model tune"), "{told}");
    weir(&["model", "tune", &own, "--seconds", "0"]).expect(2);
}

#[test]
fn labels_shows_neighbours() {
    let path = pack().display().to_string();
    let ran = weir(&[
        "labels", "-l", "person", "-l", "persona", "--model", &path, "--json",
    ])
    .expect(0);
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert!(json.to_string().contains("persona"), "{json}");
}

#[test]
fn eval_is_1_below_the_least_f1() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("e.jsonl");
    let example = |start: u64| {
        format!(
            "{{\"text\":\"to ana@mail.example\",\"entities\":[{{\"start\":{start},\"end\":19,\"label\":\"email\"}}],\"types\":[\"email\"]}}\n"
        )
    };
    let path = file.display().to_string();
    let pack = pack().display().to_string();
    let eval = [
        "eval",
        &path,
        "--model",
        &pack,
        "--threshold",
        "1",
        "--min-f1",
        "0.9",
    ];
    fs::write(&file, example(3)).unwrap();
    weir(&eval).expect(0);
    fs::write(&file, example(5)).unwrap();
    weir(&eval).expect(1);
}

#[test]
fn a_dry_run_writes_nothing() {
    let job = Job::new("");
    job.write("in/a.log", "ana@mail.example\nb\n");
    job.run(&["--dry-run", "--limit", "1"])
        .expect(0)
        .says(&["nothing was written"]);
    job.run(&["--dry-run"])
        .expect(0)
        .says(&["2 documents", "1 entities", "nothing was written"]);
    assert!(!job.path("out").exists());
}

fn stdin_job(extra: &str) -> Job {
    let config = format!(
        "[source]\ntype = \"stdin\"\n[sink]\ntype = \"stdout\"\n[tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = {:?}\n{extra}",
        pack().display().to_string()
    );
    Job::with(&config)
}

#[test]
fn a_pipe_goes_through_run() {
    let job = stdin_job("");
    let input: String = (0..3000)
        .map(|n| format!("line {n} ana{n}@mail.example\n"))
        .collect();
    let ran = run(job.command(&["--quiet"]), input.as_bytes()).expect(0);
    let expected: String = (0..3000).map(|n| format!("line {n} [EMAIL]\n")).collect();
    assert!(ran.stdout == expected);
    let input = b"{\"id\":\"a\",\"text\":\"ana@mail.example\"}\nno json\n";
    let ran = run(job.command(&["--quiet"]), input).expect(0);
    assert_eq!(ran.stdout, "{\"id\":\"a\",\"text\":\"[EMAIL]\"}\nno json\n");
    let config = fs::read_to_string(job.path("weir.toml")).unwrap();
    let config = config.replace("\"stdin\"\n", "\"stdin\"\nformat = \"jsonl\"\n");
    job.write("weir.toml", config);
    let ran = run(job.command(&["--quiet"]), input).expect(0);
    assert!(ran.stdout.contains("\"redactions\""), "{}", ran.stdout);
    assert!(ran.stderr.contains("not_json"), "{}", ran.stderr);
}

#[test]
fn a_slow_pipe_is_answered_line_by_line_and_follows_the_tenants() {
    let job = stdin_job("[telemetry]\nlog_format = \"text\"\n");
    let mut child = piped(&mut job.command(&[]));
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ask = move |line: &str| {
        input.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        answer
    };
    assert_eq!(ask("ana@mail.example Ben\n"), "[EMAIL] Ben\n");
    job.write(
        "tenants/acme.toml",
        "patterns = [\"email\"]\ndeny = { terms = [\"Ben\"], label = \"name\" }\n",
    );
    // The poll comes after 60 seconds, if no notice does.
    eventually(Duration::from_secs(90), || {
        let used = ask("ana@mail.example Ben\n") == "[EMAIL] [NAME]\n";
        so(used, "the new tenant file is not used")
    });
    // A bad file keeps the old set, and so does one that the pack can't serve.
    job.write("tenants/acme.toml", "paterns = []\n");
    let mut errors = child.stderr.take().unwrap();
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        text
    });
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(ask("ana@mail.example Ben\n"), "[EMAIL] [NAME]\n");
    job.write(
        "tenants/acme.toml",
        "patterns = [\"email\"]\nlabels = [\"person\"]\noperating_point = \"other\"\n",
    );
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(ask("ana@mail.example Ben\n"), "[EMAIL] [NAME]\n");
    drop(ask);
    ended(child).expect(0);
    let log = log.join().unwrap();
    assert!(log.contains("tenants reloaded"), "{log}");
    assert!(
        log.contains("paterns")
            && log.contains("the old ones stay in use")
            && log.contains("operating point `other` does not exist"),
        "{log}"
    );
}

#[test]
fn sigterm_drains_an_idle_pipe() {
    let job = stdin_job("");
    let mut child = piped(&mut job.command(&[]));
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"ana@mail.example\n").unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "[EMAIL]\n");
    terminate(&child);
    let start = Instant::now();
    let ran = ended(child).expect(0).says(&["drained"]);
    assert!(start.elapsed() < Duration::from_secs(10), "{}", ran.stderr);
}

#[test]
fn a_worker_polls_until_sigterm() {
    let config = std::fs::read_to_string(Job::new("").path("weir.toml")).unwrap();
    let job = Job::with(&config.replace("url = \"in\"\n", "url = \"in\"\npoll_secs = 1\n"));
    let record = |id: &str| format!("{{\"id\":\"{id}\",\"text\":\"ana@mail.example\"}}\n");
    job.write("in/first.jsonl", record("a"));
    let child = piped(&mut job.command(&[]));
    let delivered = |ids: &[&str]| {
        // Beside a record that was just made its first name may still stand, `ID.json#1`.
        let records = || {
            let files = job.files("out/_weir/commits");
            files.keys().filter(|name| name.ends_with(".json")).count()
        };
        eventually(Duration::from_secs(60), || {
            so(records() >= ids.len(), format!("{ids:?}"))
        });
        assert_eq!(job.delivered(), ids);
    };
    delivered(&["a"]);
    // Whole at once, as an upload is.
    job.write("second.part", record("b"));
    std::fs::rename(job.path("second.part"), job.path("in/second.jsonl")).unwrap();
    delivered(&["a", "b"]);
    terminate(&child);
    ended(child).expect(0).says(&["drained in", "2 documents"]);
}

/// The list lies outside of the folder that is watched.
#[test]
fn sighup_reads_tenants_and_their_lists_again() {
    let config = std::fs::read_to_string(Job::new("").path("weir.toml")).unwrap();
    let job = Job::with(&config.replace("url = \"in\"\n", "url = \"in\"\npoll_secs = 1\n"));
    let tenant = "deny = { file = \"../lists/names.txt\", label = \"name\" }\n";
    job.write("tenants/acme.toml", tenant);
    job.write("lists/names.txt", "Wanda Canary\n");
    let record =
        |id: usize| format!("{{\"id\":\"{id}\",\"text\":\"Wanda Canary and Bo Canary\"}}\n");
    job.write("in/0.jsonl", record(0));
    let child = piped(&mut job.command(&["--quiet"]));
    let redacted = |id: usize| {
        let id = id.to_string();
        eventually(Duration::from_secs(45), || {
            let records = job.records("out/redactions");
            let record = records.iter().find(|record| record["id"] == id.as_str());
            let text = record.map(|record| record["text"].as_str().unwrap().to_owned());
            text.ok_or_else(|| format!("no record {id}"))
        })
    };
    assert_eq!(redacted(0), "[NAME] and Bo Canary");
    job.write("lists/names.txt", "Wanda Canary\nBo Canary\n");
    signal(child.id(), "HUP");
    for id in 1.. {
        job.write("whole", record(id));
        std::fs::rename(job.path("whole"), job.path(&format!("in/{id}.jsonl"))).unwrap();
        if redacted(id) == "[NAME] and [NAME]" {
            break;
        }
    }
    terminate(&child);
    ended(child).expect(0);
}

#[test]
fn sigterm_drains_and_the_next_run_does_the_rest() {
    let job = Job::new("");
    let objects = 400;
    for n in 0..objects {
        let lines: String = (0..50)
            .map(|line| {
                format!(
                    "{{\"id\":\"{n}-{line}\",\"text\":\"ana@mail.example {}\"}}\n",
                    "word ".repeat(200)
                )
            })
            .collect();
        job.write(&format!("in/{n:03}.jsonl"), lines);
    }
    let child = piped(&mut job.command(&[]));
    let start = Instant::now();
    while job.files("out/_weir/commits").is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(5));
    }
    terminate(&child);
    ended(child).expect(0).says(&["drained in"]);
    let committed = job.files("out/_weir/commits").len();
    assert!(
        committed < objects,
        "the signal came too late to show anything"
    );
    assert!(
        job.files("out").keys().all(|name| !name.contains('#')),
        "half written"
    );
    job.run(&[])
        .expect(0)
        .says(&[&format!("{committed} objects done before")]);
    let delivered = job.delivered();
    let mut once = delivered.clone();
    once.dedup();
    assert_eq!((delivered.len(), once.len()), (objects * 50, objects * 50));
}
