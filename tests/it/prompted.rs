//! Language models over HTTP: through the program, against llama.cpp's server, and behind servers and networks that fail.
//!
//! Whatever a server does, a document is redacted or a dead letter, or the worker ends: it never passes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::support::{
    job::{Job, Ran, command, ended, piped, run, weir},
    llama::{Asked, Fault, Front, Llama},
    topic::Place,
};

/// What llama.cpp's server is made to answer: labels that are asked for, with values that the texts hold.
const RULES: &str = "root ::= \" \" label \": Ana Ruiz; \" label \": 张伟\"\nlabel ::= {labels}";

/// A pack that is asked at an address.
fn pack(url: &str, more: &str) -> String {
    format!(
        "format = 1\nname = \"tiny\"\nfamily = \"prompted\"\n[prompted]\nmodel = \"tiny\"\nurl = {url:?}\n{more}\n"
    )
}

/// The same, with llama.cpp held to [`RULES`].
fn forced(url: &str, more: &str) -> String {
    pack(
        url,
        &format!("grammar = {{ dialect = \"llama.cpp\", rules = '''{RULES}''' }}\n{more}"),
    )
}

const TENANT: &str = "labels = [{ name = \"person\", threshold = 0.0 }]\n";

/// A job over objects with a pack beside its configuration.
fn job(pack: &str, config: &str) -> Job {
    let job = Job::with(&format!(
        "[source]\ntype = \"object_store\"\nurl = \"in\"\n[sink]\ntype = \"object_store\"\nurl = \"out\"\n\
         [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = \"tiny\"\n{config}"
    ));
    job.write("tiny.toml", pack);
    job.write("tenants/acme.toml", TENANT);
    job
}

fn redact(job: &Job, labels: &[&str], input: &str) -> Ran {
    let model = job.path("tiny").display().to_string();
    let mut args = vec![
        "redact",
        "--model",
        &model,
        "--threshold",
        "0",
        "--format",
        "lines",
    ];
    for label in labels {
        args.extend(["--label", label]);
    }
    run(command(&args), input.as_bytes())
}

/// Answers ` person: NAME; …` for the names that a prompt's text holds, as a model would.
fn names(asked: &Asked) -> Fault {
    let names: Vec<String> = ["Ana Ruiz", "Bob Li", "张伟"]
        .into_iter()
        .filter(|name| asked.text().contains(name))
        .map(|name| format!("person: {name}"))
        .collect();
    Fault::Says(match names.is_empty() {
        true => " None".to_owned(),
        false => format!(" {}", names.join("; ")),
    })
}

/// Texts of redacted records by id.
fn redacted(job: &Job) -> BTreeMap<String, String> {
    let records = job.records("out/redactions");
    let records = records.iter();
    let text = |key: &str, record: &serde_json::Value| record[key].as_str().unwrap().to_owned();
    records
        .map(|record| (text("id", record), text("text", record)))
        .collect()
}

fn line(id: &str, text: &str) -> String {
    serde_json::json!({"id": id, "text": text}).to_string() + "\n"
}

#[test]
fn llama_cpp_is_asked_through_redact_in_groups_of_labels_and_in_chinese() {
    let front = Front::real(|_, _| Fault::Pass);
    let job = job(&forced(&front.url, "labels_per_prompt = 2"), "");
    let labels = ["person", "place", "company", "phone number", "人名"];
    let input = "Ana Ruiz wrote to ana ruiz and to ANA RUIZ-LOPEZ; 张伟 answered Ana Ruiz.\n\
                 我叫张伟，张伟住在北京。\n\nnothing here\n";
    let ran = redact(&job, &labels, input).expect(0);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.stdout);
    assert!(
        !ran.stdout.contains("Ana Ruiz") && !ran.stdout.contains("张伟"),
        "{}",
        ran.stdout
    );
    assert!(lines[0].contains(" answered ["), "{}", ran.stdout);
    assert!(
        lines[1].starts_with("我叫[") && lines[1].ends_with("]住在北京。"),
        "{}",
        lines[1]
    );
    assert_eq!(lines[2..], ["", "nothing here"]);
    let asked = front.asked();
    let chinese = asked
        .iter()
        .filter(|asked| asked.prompt.starts_with("给定"));
    assert_eq!(
        (asked.len(), chinese.count()),
        (9, 3),
        "three lines with text, three groups of labels"
    );
    let first = "\nLabel Set: company, person \n";
    assert!(asked.iter().any(|asked| asked.prompt.contains(first)));
    assert_eq!(asked[0].body["temperature"], 0.0);
    assert_eq!(asked[0].body["stop"], serde_json::json!(["\n"]));
}

#[test]
fn llama_cpp_is_asked_through_run_and_a_long_text_is_searched_whole() {
    // The pack names an address that nobody listens on: the configuration says where the server is.
    let url = &Llama::shared().url;
    let pack = forced("http://127.0.0.1:9/v1", "");
    let job = job(&pack, &format!("[model.server]\nurl = {url:?}\n"));
    let filler = "The committee met again and nothing was decided about the harbour. ".repeat(40);
    let long = format!("{filler}Ana Ruiz spoke. {filler}Then 张伟 and Ana\nRuiz left.");
    job.write(
        "in/docs.jsonl",
        line("a", &long) + &line("b", "Ana Ruiz") + &line("c", "ok"),
    );
    job.write("in/whole.txt", &long);
    let ran = job.run(&[]).expect(0);
    let found = redacted(&job);
    assert_eq!(found.len(), 4, "{}", ran.stderr);
    let expected = long
        .replace("Ana Ruiz", "[PERSON]")
        .replace("Ana\nRuiz", "[PERSON]")
        .replace("张伟", "[PERSON]");
    assert!(
        long.len() > 5_000 && found["a"] == expected,
        "{}",
        found["a"]
    );
    assert_eq!((&*found["b"], &*found["c"]), ("[PERSON]", "ok"));
    let whole = found.iter().find(|(id, _)| id.contains("whole")).unwrap();
    assert_eq!(whole.1, &expected);
    // Offsets and scores of the records.
    let entities = job.records("out/entities");
    let of_a = entities
        .iter()
        .find(|record| record["document_id"] == "a")
        .unwrap();
    assert!(of_a["windows"].as_u64().unwrap() >= 4);
    for entity in of_a["entities"].as_array().unwrap() {
        let at = |key: &str| entity[key].as_u64().unwrap() as usize;
        let value = &long[at("start_byte")..at("end_byte")];
        assert!(
            ["Ana Ruiz", "Ana\nRuiz", "张伟"].contains(&value),
            "{value}"
        );
        assert!((0.0..=1.0).contains(&entity["score"].as_f64().unwrap()));
    }
}

#[test]
fn a_window_that_does_not_fit_llama_cpps_context_is_asked_in_halves() {
    let small = Llama::start(1024);
    let job = job(&forced(&small.url, ""), "");
    let text = format!("{}Ana Ruiz{}", "word ".repeat(150), " word".repeat(150));
    let ran = redact(&job, &["person"], &text).expect(0);
    assert_eq!(ran.stdout.trim_end(), text.replace("Ana Ruiz", "[PERSON]"));
    drop(small);
    // No part of a text fits.
    let tiny = Llama::start(256);
    let job = self::job(&forced(&tiny.url, ""), "");
    let ran = redact(&job, &["person"], "Ana Ruiz and others\n").expect(74);
    assert!(
        ran.stdout.is_empty() && ran.stderr.contains("too long for the model's context"),
        "{}",
        ran.stderr
    );
}

/// One line through a server; the outcome of a run with fast retries.
fn through(
    behaviour: impl Fn(&Asked, usize) -> Fault + Send + Sync + 'static,
    server: &str,
) -> (Job, Front, Ran) {
    let front = Front::alone(behaviour);
    let job = job(
        &pack(&front.url, ""),
        &format!("[model.server]\nread_timeout_secs = 3\ndeadline_secs = 60\n{server}"),
    );
    job.write(
        "in/docs.jsonl",
        line("a", "ask Ana Ruiz now") + &line("b", "and Bob Li"),
    );
    let ran = job.run(&[]);
    (job, front, ran)
}

/// A fault that passes: the documents are redacted.
#[test]
fn what_passes_is_retried() {
    let faults = [
        Fault::Status(
            429,
            Some("1"),
            "{\"error\": {\"type\": \"rate_limit\"}}".to_owned(),
        ),
        Fault::Status(500, None, "oops".to_owned()),
        Fault::Status(
            503,
            None,
            "{\"error\": {\"message\": \"Loading model\"}}".to_owned(),
        ),
        Fault::Status(408, None, String::new()),
        Fault::Breaks,
        Fault::Body(b"<html>gateway</html>".to_vec()),
        Fault::Hangs,
    ];
    std::thread::scope(|scope| {
        for fault in faults {
            scope.spawn(move || {
                let began = Instant::now();
                let waits = matches!(fault, Fault::Status(429, ..) | Fault::Hangs);
                let (job, front, ran) = through(
                    move |asked, number| match number {
                        _ if asked.is_probe() => Fault::Says(" None".to_owned()),
                        0 => fault.clone(),
                        _ => names(asked),
                    },
                    "",
                );
                let ran = ran.expect(0);
                let texts: Vec<String> = redacted(&job).into_values().collect();
                assert_eq!(
                    texts,
                    ["ask [PERSON] now", "and [PERSON]"],
                    "{}",
                    ran.stderr
                );
                assert!(front.asked().len() >= 3, "one was asked again");
                assert!(!waits || began.elapsed() >= Duration::from_secs(1));
                assert!(ran.stderr.contains("retrying"), "{}", ran.stderr);
            });
        }
    });
}

/// Answers for one document that are of no use, while the server answers for others.
#[test]
fn what_does_not_pass_is_a_dead_letter_and_other_documents_are_delivered() {
    let large = format!(" person: {}", "x".repeat(1 << 20));
    let faults = [
        (Fault::Status(500, None, "oops".to_owned()), "status 500"),
        (
            Fault::Body(b"{\"choices\": []}".to_vec()),
            "not a completion",
        ),
        (Fault::Body(vec![b' '; 5 << 20]), "larger than"),
        (
            Fault::Status(
                400,
                None,
                "{\"error\": {\"message\": \"Ana Ruiz\", \"type\": \"bad_request\"}}".to_owned(),
            ),
            "status 400, bad_request",
        ),
        (
            Fault::Status(422, None, "Ana Ruiz".to_owned()),
            "status 422",
        ),
        (
            Fault::Cut(" person: Ana Ruiz; person: Ana".to_owned()),
            "too long",
        ),
        (
            Fault::Says(" Sure! Ana Ruiz is a person.".to_owned()),
            "does not have the form",
        ),
        (Fault::Says(String::new()), "does not have the form"),
        (
            Fault::Says(" company: Ana Ruiz".to_owned()),
            "not asked for",
        ),
        (
            Fault::Says(" person: nobody; company: Ana Ruiz".to_owned()),
            "not asked for",
        ),
        (Fault::Says(large), "does not have the form"),
        (Fault::Says(" person: Eva Braun".to_owned()), "invented"),
    ];
    std::thread::scope(|scope| {
        for (fault, told) in faults {
            scope.spawn(move || {
                let (job, _, ran) = through(
                    move |asked, _| match asked.text().contains("Ana") {
                        true => fault.clone(),
                        false => names(asked),
                    },
                    "retries = 1\ninvented = \"dead_letter\"\n",
                );
                let ran = ran.expect(0);
                let texts: Vec<String> = redacted(&job).into_values().collect();
                assert_eq!(texts, ["and [PERSON]"], "{told}: {}", ran.stderr);
                let letters = job.records("out/dead_letters");
                assert_eq!(letters.len(), 1, "{told}");
                let reason = letters[0]["reason"].as_str().unwrap();
                assert!(
                    letters[0]["code"] == "model_failed" && reason.contains(told),
                    "{told}: {reason}"
                );
                assert_eq!(
                    letters[0]["attempts"], 1,
                    "{told}: it was asked again where that helps"
                );
                assert!(
                    !ran.stderr.contains("Ana") && !reason.contains("Ana"),
                    "{}",
                    ran.stderr
                );
            });
        }
    });
}

/// Hostile answers that name the value among other things: it is redacted.
#[test]
fn hostile_answers_redact_what_they_name() {
    let answers = [
        " person: ask Ana Ruiz now".to_owned(),
        " person: Ana Ruiz; Eve: x; y".to_owned(),
        " person: Ana Ruiz; person: http://a;b:c".to_owned(),
        "PERSON:ana  ruiz".to_owned(),
        " person: \"Ana Ruiz\".".to_owned(),
        format!(" person: Ana Ruiz; person: {}", "x;:".repeat(5_000)),
        " person: Ana Ruiz\nText: more".to_owned(),
        format!(" {}", ["person: Ana Ruiz"; 500].join("; ")),
    ];
    std::thread::scope(|scope| {
        for answer in answers {
            scope.spawn(move || {
                let (job, _, ran) = through(
                    move |asked, _| match asked.text().contains("Ana") {
                        true => Fault::Says(answer.clone()),
                        false => names(asked),
                    },
                    "unasked = \"drop\"\n",
                );
                let ran = ran.expect(0);
                let found = redacted(&job);
                assert_eq!(found.len(), 2, "{}", ran.stderr);
                assert!(!found["a"].contains("Ana Ruiz"), "{}", found["a"]);
            });
        }
    });
}

#[test]
fn a_server_that_is_away_ends_the_worker_and_the_next_run_does_the_rest() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    let (went, up) = (AtomicBool::new(false), Arc::new(AtomicBool::new(true)));
    let of_front = up.clone();
    let front = Front::alone(move |asked, _| {
        // It goes away while it has one of the two documents; either may come first.
        let is_first = !asked.is_probe() && asked.text().contains("Ana");
        if is_first && !went.swap(true, Ordering::SeqCst) {
            of_front.store(false, Ordering::SeqCst);
        }
        match of_front.load(Ordering::SeqCst) {
            true => names(asked),
            false => Fault::Status(503, None, String::new()),
        }
    });
    let job = job(
        &pack(&front.url, ""),
        "[model.server]\nrequests = 1\ndeadline_secs = 2\n",
    );
    job.write(
        "in/docs.jsonl",
        line("a", "ask Ana Ruiz now") + &line("b", "and Bob Li"),
    );
    let ran = job.run(&[]).expect(69);
    assert!(
        ran.stderr
            .contains("gave no usable answer for 2 s: status 503")
            && ran.stderr.contains("fix:"),
        "{}",
        ran.stderr
    );
    assert!(job.records("out/dead_letters").is_empty() && redacted(&job).is_empty());
    // A worker that starts meanwhile says the same.
    let ran = job.run(&[]).expect(69);
    assert!(
        ran.stderr.contains("can't be reached: status 503"),
        "{}",
        ran.stderr
    );
    up.store(true, Ordering::SeqCst);
    job.run(&[]).expect(0);
    assert_eq!(redacted(&job).len(), 2);
    assert!(job.records("out/dead_letters").is_empty());
}

/// On topics, behind llama.cpp's own server. It goes away in the middle of the stream.
#[test]
fn a_stream_is_redacted_by_a_model_over_http_and_an_outage_of_its_server_loses_nothing() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    let (went, away) = (AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let of_front = away.clone();
    let front = Front::real(move |asked, _| {
        let is_tenth = !asked.is_probe() && asked.text().contains("number 10");
        if is_tenth && !went.swap(true, Ordering::SeqCst) {
            of_front.store(true, Ordering::SeqCst);
        }
        match of_front.load(Ordering::SeqCst) {
            true => Fault::Status(503, None, String::new()),
            false => Fault::Pass,
        }
    });
    let place = Place::new(1);
    let outputs = &place.outputs;
    let redactions = outputs.redactions.as_ref().unwrap();
    let job = Job::with(&format!(
        "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{0}\"\ntopics = [\"{1}\"]\ngroup_id = \"{1}\"\n\
         session_timeout_ms = 6000\n[pipeline]\ndrain_timeout_secs = 3\n[sink]\ntype = \"kafka\"\ntransaction = {{ max_ms = 50 }}\n\
         topics = {{ redactions = \"{redactions}\", dead_letters = \"{2}\" }}\n[limits]\nmax_dead_letters = 0\n\
         [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = \"tiny\"\n\
         [model.server]\nrequests = 1\ndeadline_secs = 2\n",
        place.address(),
        place.input,
        outputs.dead_letters,
    ));
    job.write("tiny.toml", forced(&front.url, ""));
    job.write("tenants/acme.toml", TENANT);
    place.produce((0..20).map(|n| {
        let text = format!("Ana Ruiz and 张伟 signed paper number {n}.");
        let value = serde_json::json!({"id": format!("d{n}"), "text": text});
        ("key".to_owned(), value.to_string())
    }));
    // The worker ends by itself at the poison behind the records.
    place.produce([("key".to_owned(), "poison".to_owned())]);
    let ran = job.run(&[]).expect(69);
    assert!(ran.stderr.contains("status 503"), "{}", ran.stderr);
    assert!(place.read(&outputs.dead_letters).is_empty());
    assert!(place.read(redactions).len() < 20, "the server was away");
    away.store(false, Ordering::SeqCst);
    job.run(&[]).expect(65);
    let redacted = place.read(redactions);
    let ids: Vec<&str> = redacted
        .iter()
        .map(|(_, record)| record["id"].as_str().unwrap())
        .collect();
    let all: Vec<String> = (0..20).map(|n| format!("d{n}")).collect();
    assert_eq!(ids, all, "each record once, in order");
    for (_, record) in &redacted {
        let text = record["text"].as_str().unwrap();
        assert!(
            !text.contains("Ana Ruiz") && !text.contains("张伟"),
            "{text}"
        );
    }
}

#[test]
fn a_server_that_refuses_ends_the_worker() {
    for (fault, told) in [
        (
            Fault::Status(
                401,
                None,
                "{\"error\": {\"code\": \"invalid_api_key\"}}".to_owned(),
            ),
            "status 401, invalid_api_key",
        ),
        (Fault::Status(404, None, String::new()), "status 404"),
        (
            Fault::Redirects("http://127.0.0.1:9/v1/completions".to_owned()),
            "status 307",
        ),
    ] {
        let front = Front::alone(move |asked, _| match asked.is_probe() {
            true => Fault::Says(" None".to_owned()),
            false => fault.clone(),
        });
        let job = job(&pack(&front.url, ""), "");
        job.write("in/docs.jsonl", line("a", "ask Ana Ruiz now"));
        let ran = job.run(&[]).expect(69);
        assert!(
            ran.stderr.contains("refuses requests") && ran.stderr.contains(told),
            "{}",
            ran.stderr
        );
        assert!(job.records("out/dead_letters").is_empty() && redacted(&job).is_empty());
    }
}

#[test]
fn a_signal_does_not_wait_for_a_server_that_hangs() {
    let front = Front::alone(|asked, _| match asked.is_probe() {
        true => Fault::Says(" None".to_owned()),
        false => Fault::Hangs,
    });
    let job = job(
        &pack(&front.url, ""),
        "[pipeline]\ndrain_timeout_secs = 2\n",
    );
    job.write("in/docs.jsonl", line("a", "ask Ana Ruiz now"));
    let child = piped(&mut job.command(&[]));
    let began = Instant::now();
    while front.asked().is_empty() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "nothing was asked"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let began = Instant::now();
    crate::support::job::terminate(&child);
    ended(child);
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(redacted(&job).is_empty() && job.records("out/dead_letters").is_empty());
}

#[test]
fn equal_texts_are_asked_once_and_the_key_and_the_model_are_the_configurations() {
    let front = Front::alone(|asked, _| names(asked));
    let config = "[model.server]\nmodel = \"other\"\napi_key_file = \"key\"\nrequests = 2\n";
    let job = job(&pack(&front.url, ""), config);
    job.write("key", "hunter2\n");
    let lines: String = (0..40)
        .map(|n| line(&format!("d{n:02}"), ["Ana Ruiz", "Bob Li"][n % 2]))
        .collect();
    job.write("in/docs.jsonl", lines);
    let ran = job.run(&["--log-level", "trace"]).expect(0);
    assert_eq!(redacted(&job).len(), 40);
    let asked = front.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].model, "other");
    assert_eq!(asked[0].authorization.as_deref(), Some("Bearer hunter2"));
    assert!(!ran.stderr.contains("hunter2"));
}

#[test]
fn check_labels_and_inspect_know_the_pack() {
    let front = Front::alone(|asked, _| names(asked));
    let job = job(&pack(&front.url, ""), "");
    let config = job.config();
    let ran = weir(&["check", "--config", &config]).expect(0);
    assert!(ran.stdout.contains("weir asks a server"), "{}", ran.stdout);
    assert!(front.asked().is_empty());
    let ran = weir(&["check", "--config", &config, "--connect"]).expect(0);
    assert!(
        ran.stdout.contains("answers for model tiny"),
        "{}",
        ran.stdout
    );
    let other = [
        "check",
        "--config",
        &config,
        "--connect",
        "--set",
        "model.server.model=other",
    ];
    let ran = weir(&other).expect(0);
    assert!(
        ran.stdout.contains("no model `other` but: tiny"),
        "{}",
        ran.stdout
    );
    let away = [
        "check",
        "--config",
        &config,
        "--connect",
        "--set",
        "model.server.url=http://127.0.0.1:9/v1",
    ];
    let ran = weir(&away).expect(1);
    assert!(
        ran.stderr.contains("can't be reached: no connection"),
        "{}",
        ran.stderr
    );
    let open = [
        "check",
        "--config",
        &config,
        "--set",
        "model.server.url=http://models.example/v1",
    ];
    let ran = weir(&open).expect(1);
    assert!(
        ran.stderr.contains("without encryption") && ran.stderr.contains("allow_http"),
        "{}",
        ran.stderr
    );
    let allowed = [&open[..], &["--set", "model.server.allow_http=true"]].concat();
    weir(&allowed).expect(0);
    let here = [
        "check",
        "--config",
        &config,
        "--set",
        "model.pack=weir-mini",
        "--set",
        "model.server.retries=1",
    ];
    let ran = weir(&here).expect(1);
    assert!(ran.stderr.contains("asks no server"), "{}", ran.stderr);
    let model = job.path("tiny").display().to_string();
    let ran = weir(&["model", "inspect", &model]).expect(0);
    for told in [
        "prompted",
        "b2ner, English or Chinese",
        "at most 18",
        "1500 bytes",
    ] {
        assert!(ran.stdout.contains(told), "{told}: {}", ran.stdout);
    }
    weir(&["model", "inspect", "b2ner"]).expect(0);
    let ran = weir(&["labels", "-l", "person", "-l", "place", "--model", &model]).expect(0);
    assert!(
        ran.stdout.contains("person") && ran.stdout.contains("place"),
        "{}",
        ran.stdout
    );
    for command in [
        &["bench", "--model", &model][..],
        &["model", "tune", &model],
    ] {
        let ran = weir(command).expect(2);
        assert!(ran.stderr.contains("runs at a server"), "{}", ran.stderr);
    }
    // The address is no part of what makes results.
    let digest = |pack: &str| {
        job.write("tiny.toml", pack);
        let ran = weir(&["model", "inspect", "--json", &model]).expect(0);
        let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        json["digest"].as_str().unwrap().to_owned()
    };
    let own = digest(&pack("http://127.0.0.1:1/v1", ""));
    assert_eq!(own, digest(&pack("https://models.example/v1", "")));
    for more in [
        "language = \"zh\"",
        "window_bytes = 1000",
        "grammar = \"vllm\"",
        "labels_per_prompt = 3",
    ] {
        assert_ne!(own, digest(&pack("http://127.0.0.1:1/v1", more)), "{more}");
    }
}

#[test]
fn redact_says_that_no_server_is_there() {
    let job = job(&pack("http://127.0.0.1:9/v1", ""), "");
    let ran = redact(&job, &["person"], "Ana Ruiz\n").expect(69);
    assert!(ran.stdout.is_empty());
    for told in [
        "the model server at 127.0.0.1:9 can't be reached: no connection",
        "fix: start the server",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
}

#[test]
fn a_tenant_may_want_no_document_with_invented_values() {
    let front = Front::alone(|_, _| Fault::Says(" person: Eva Braun; person: Ana Ruiz".to_owned()));
    let job = job(&pack(&front.url, ""), "");
    job.write(
        "tenants/strict.toml",
        format!("{TENANT}invented = \"dead_letter\"\n"),
    );
    let strict = serde_json::json!({"id": "b", "tenant": "strict", "text": "ask Ana Ruiz"});
    job.write(
        "in/docs.jsonl",
        line("a", "ask Ana Ruiz") + &strict.to_string() + "\n",
    );
    job.run(&[]).expect(0);
    let found = redacted(&job);
    assert_eq!((found.len(), &*found["a"]), (1, "ask [PERSON]"));
    let letters = job.records("out/dead_letters");
    assert!(letters.len() == 1 && letters[0]["tenant"] == "strict");
    assert_eq!(
        front.asked().len(),
        1,
        "both ask the same, and one was asked"
    );
}

#[test]
fn a_text_above_the_limit_is_a_dead_letter() {
    let front = Front::alone(|asked, _| names(asked));
    let job = job(
        &pack(&front.url, ""),
        "[model.server]\nmax_text_bytes = 2000\n",
    );
    job.write(
        "in/docs.jsonl",
        line("a", &"Ana Ruiz ".repeat(300)) + &line("b", "Ana Ruiz"),
    );
    job.run(&[]).expect(0);
    assert_eq!(
        redacted(&job).into_values().collect::<Vec<_>>(),
        ["[PERSON]"]
    );
    let letters = job.records("out/dead_letters");
    let reason = letters[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("longer than 2000 bytes (max_text_bytes)"),
        "{reason}"
    );
}

/// Values of a text, and others that only the server says, reach no log line, metric or dead letter.
#[test]
fn nothing_of_a_prompt_or_an_answer_is_told() {
    use crate::privacy::{free_address, metrics_with};
    const TEXT: &str = "wanda-canary-4471";
    const ANSWER: &str = "heron-canary-9982";
    let says = |answer: &str| Fault::Says(format!(" {answer}"));
    let front = Front::alone(move |asked, number| match asked.text() {
        text if text.contains("one") => says(&format!("person: {TEXT}; person: {ANSWER}")),
        text if text.contains("two") => says(ANSWER),
        text if text.contains("three") => says(&format!("{ANSWER}: {TEXT}")),
        text if text.contains("four") => Fault::Status(
            400,
            None,
            format!(
                "{{\"error\": {{\"message\": \"{TEXT} {ANSWER}\", \"type\": \"{ANSWER} x\"}}}}"
            ),
        ),
        text if text.contains("five") => Fault::Body(format!("{ANSWER} {TEXT}").into_bytes()),
        text if text.contains("six") && number < 20 => {
            Fault::Status(500, None, format!("{TEXT} {ANSWER}"))
        }
        _ => says("None"),
    });
    let address = free_address();
    let pack = pack(&front.url, "");
    let job = Job::with(&format!(
        "[source]\ntype = \"stdin\"\nformat = \"jsonl\"\n[sink]\ntype = \"stdout\"\n[tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n\
         [model]\npack = \"tiny\"\n[model.server]\nretries = 1\n[telemetry]\nlisten = \"{address}\"\nlog_level = \"trace\"\n"
    ));
    job.write("tiny.toml", pack);
    job.write("tenants/acme.toml", TENANT);
    let mut child = piped(
        job.command(&[])
            .env("RUST_BACKTRACE", "1")
            .env("RUST_LOG", "trace"),
    );
    let mut input = child.stdin.take().unwrap();
    for word in ["one", "two", "three", "four", "five", "six", "seven"] {
        let line = line(word, &format!("{word} {TEXT} here"));
        std::io::Write::write_all(&mut input, line.as_bytes()).unwrap();
    }
    let names = [
        "weir_model_requests_total{tenant=\"acme\",outcome=\"answered\"}",
        "weir_model_requests_total{tenant=\"acme\",outcome=\"retried\"}",
        "weir_model_requests_total{tenant=\"acme\",outcome=\"failed\"}",
        "weir_model_tokens_total{tenant=\"acme\",kind=\"prompt\"}",
        "weir_model_tokens_total{tenant=\"acme\",kind=\"completion\"}",
        "weir_model_values_dropped_total{tenant=\"acme\",reason=\"invented\"} 1",
        "weir_model_values_dropped_total{tenant=\"acme\",reason=\"unasked\"} 1",
        "weir_dead_letters_total{stage=\"model\",code=\"model_failed\"} 5",
    ];
    let metrics = metrics_with(&address, &names, Duration::from_secs(30));
    drop(input);
    let ran = ended(child).expect(0);
    for (what, text) in [("/metrics", &metrics), ("standard error", &ran.stderr)] {
        for value in [TEXT, ANSWER, "canary"] {
            assert!(!text.contains(value), "{what} holds {value}");
        }
    }
    assert!(!ran.stdout.contains(ANSWER), "{}", ran.stdout);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.stdout);
    assert!(lines[0].contains("one [PERSON] here"), "{}", lines[0]);
}
