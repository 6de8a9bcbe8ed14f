//! Keys of data subjects: what workers agree on, what comes back before and after `weir forget`, and what becomes of a
//! document while the store is away.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::{HeaderMap, Method, StatusCode, Uri};
use object_store::memory::InMemory;
use serde_json::{Value, json};
use weir::{
    pipeline::Processor,
    record::{Body, Document, PlainText, Position, Redacted},
    redact::Key,
    tenant::{Keyring, Policy, SubjectKeys, Tenants, subject_keys::KEPT},
};

use crate::support::{
    job::{Job, Ran, command, ended, piped, run, walk, weir},
    s3::S3Server,
    served::serve,
    store::{Fate, Faulty},
    worker::{Place, shared_engine},
};

/// Subjects and values that no name, message or event may hold.
const CANARIES: [&str; 4] = ["Patient-7731", "Patient-9942", "wanda.canary", "bo.canary"];

fn tenant(store: &str) -> String {
    format!(
        r#"
labels = []
subject = "/patient/id"
patterns = [{{ name = "email", operator = {{ type = "encrypt", per = "subject" }} }}]
keys = [{{ id = "k1", file = "k1" }}]
subject_keys = {{ {store} }}
rules = [{{ fields = {{ include = ["/text"] }} }}]
"#
    )
}

fn of(id: &str, patient: &str, text: &str) -> Value {
    json!({"id": id, "patient": {"id": patient}, "text": text})
}

/// A job whose tenant keeps subject keys in the folder `keys`.
fn job() -> Job {
    let job = Job::new("");
    job.write("tenants/acme.toml", tenant("url = \"../keys\""));
    job.write("tenants/k1", "sixteen bytes ok");
    job
}

fn give(job: &Job, file: &str, documents: &[Value]) {
    let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
    job.write(&format!("in/{file}"), lines.join("\n") + "\n");
}

/// The redacted texts, by document.
fn texts(job: &Job) -> BTreeMap<String, String> {
    let redactions = job.records("out/redactions");
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let texts = redactions.iter();
    texts
        .map(|record| (text(record, "id"), text(record, "text")))
        .collect()
}

fn people(job: &Job, of: &str, more: &[&str]) -> Command {
    let tenant = job.path("tenants/acme.toml").display().to_string();
    let audit = job.path(&format!("{of}.jsonl")).display().to_string();
    let own = [
        of, "--tenant", &tenant, "--audit", &audit, "--by", "auditor",
    ];
    let own = own.iter().chain(&["--reason", "a request"]);
    let all: Vec<&str> = own.chain(more).copied().collect();
    command(&all)
}

fn events(job: &Job, of: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(job.path(&format!("{of}.jsonl"))).unwrap_or_default();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[track_caller]
fn holds_no_canary(what: &str, text: &str) {
    for canary in CANARIES {
        assert!(!text.contains(canary), "{what} holds {canary}: {text}");
    }
}

/// The id of the key in a token.
fn key_of(token: &str) -> &str {
    token.split(':').nth(2).unwrap()
}

const WANDA: &str = "wanda.canary@mail.example";
const BO: &str = "bo.canary@mail.example";

#[test]
fn values_of_a_subject_come_back_until_the_subject_is_forgotten() {
    let job = job();
    give(
        &job,
        "a.jsonl",
        &[
            of("d1", "Patient-7731", WANDA),
            of("d2", "Patient-9942", BO),
            of("d3", "Patient-7731", BO),
            json!({"id": "d4", "text": "no value, and no subject"}),
            json!({"id": "d5", "text": WANDA}),
        ],
    );
    let ran = job.run(&[]).expect(0);
    holds_no_canary("the log", &(ran.stdout + &ran.stderr));
    let first = texts(&job);
    assert_eq!(
        first.len(),
        4,
        "the document without a subject goes nowhere"
    );
    assert_eq!(job.dead_letters(), ["a.jsonl redact_failed"]);
    let letter = job.records("out/dead_letters")[0].to_string();
    assert!(letter.contains("needs `subject`"), "{letter}");
    holds_no_canary("a dead letter", &letter);
    assert!(first["d1"].starts_with("weir:p1:"), "{first:?}");
    assert_eq!(key_of(&first["d1"]), key_of(&first["d3"]));
    assert_ne!(key_of(&first["d1"]), key_of(&first["d2"]));
    assert_ne!(first["d2"], first["d3"], "one value of two subjects");

    // A worker that starts again has the same keys.
    give(&job, "b.jsonl", &[of("d6", "Patient-7731", WANDA)]);
    job.run(&[]).expect(0);
    assert_eq!(texts(&job)["d6"], first["d1"]);
    walk(&job.path("keys"), &mut |path| {
        let text = std::fs::read_to_string(path).unwrap();
        holds_no_canary("the store", &format!("{} {text}", path.display()));
    });
    assert_eq!(job.files("keys").len(), 2);

    let all = format!("{}\n{}\n{}\n", first["d1"], first["d2"], first["d3"]);
    let reveal = || run(people(&job, "reveal", &[]), all.as_bytes());
    assert_eq!(reveal().expect(0).stdout, format!("{WANDA}\n{BO}\n{BO}\n"));
    assert_eq!(events(&job, "reveal")[0]["key_id"], key_of(&first["d1"]));

    let forget = ["--subject", "Patient-7731", "--ticket", "DSR-7"];
    let ran = run(people(&job, "forget", &forget), b"").expect(0);
    assert_eq!(ran.stdout, "1 key destroyed\n");
    holds_no_canary("weir forget", &ran.stderr);
    let event = &events(&job, "forget")[0];
    holds_no_canary("the event", &event.to_string());
    assert_eq!(event["kind"], "key");
    assert_eq!(event["action"], "forget");
    assert_eq!(event["by"], "auditor");
    assert_eq!(event["ticket"], "DSR-7");
    assert_eq!(event["keys"], json!([key_of(&first["d1"])]));
    let digest = event["subject_digest"].as_str().unwrap();
    assert!(key_of(&first["d1"]).starts_with(digest), "{event}");

    let ran = reveal().expect(1).says(&[
        "2 tokens were not read",
        "1 keys of subjects were destroyed",
    ]);
    assert_eq!(
        ran.stdout,
        format!("{}\n{BO}\n{}\n", first["d1"], first["d3"])
    );
    // Again is done already.
    let ran = run(people(&job, "forget", &forget), b"").expect(0);
    assert_eq!(ran.stdout, "0 keys destroyed\n");
    assert_eq!(events(&job, "forget").len(), 1);

    // New data of the subject has another key, and the old values stay unreadable.
    give(&job, "c.jsonl", &[of("d7", "Patient-7731", WANDA)]);
    job.run(&[]).expect(0);
    let new = &texts(&job)["d7"];
    assert_eq!(key_of(new), format!("{digest}.2"));
    let both = format!("{new}\n{}\n", first["d1"]);
    let ran = run(people(&job, "reveal", &[]), both.as_bytes()).expect(1);
    assert_eq!(ran.stdout, format!("{WANDA}\n{}\n", first["d1"]));
}

#[test]
fn a_subject_that_is_forgotten_for_good_is_a_dead_letter_from_then_on() {
    let job = job();
    give(&job, "a.jsonl", &[of("d1", "Patient-7731", WANDA)]);
    job.run(&[]).expect(0);
    // Subjects of standard input, of which one was never seen.
    let subjects = b"Patient-7731\nPatient-9942\n";
    let ran = run(people(&job, "forget", &["--for-good"]), subjects).expect(0);
    assert_eq!(ran.stdout, "1 key destroyed\n");
    assert_eq!(events(&job, "forget").len(), 2);
    give(
        &job,
        "b.jsonl",
        &[
            of("d2", "Patient-7731", WANDA),
            of("d3", "Patient-9942", BO),
            of("d4", "Patient-7731", "nothing to encrypt"),
        ],
    );
    job.run(&[]).expect(0);
    let redacted: BTreeSet<String> = texts(&job).into_keys().collect();
    assert_eq!(redacted, ["d1", "d4"].map(str::to_owned).into());
    for letter in job.records("out/dead_letters") {
        assert_eq!(letter["code"], "redact_failed");
        assert_eq!(letter["attempts"], 1);
        let reason = letter["reason"].as_str().unwrap();
        assert!(reason.contains("destroyed for good"), "{reason}");
        holds_no_canary("a dead letter", &letter.to_string());
    }
    assert_eq!(job.dead_letters().len(), 2);
}

#[test]
fn a_token_names_the_key_that_is_destroyed_and_mistakes_destroy_none() {
    let job = job();
    give(
        &job,
        "a.jsonl",
        &[
            of("d1", "Patient-7731", WANDA),
            of("d2", "Patient-9942", BO),
        ],
    );
    job.run(&[]).expect(0);
    let texts = texts(&job);
    let refused = |more: &[&str], code: i32| {
        let ran = run(people(&job, "forget", more), b"").expect(code);
        holds_no_canary("weir forget", &(ran.stdout.clone() + &ran.stderr));
        ran
    };
    refused(&["--subject", "Patient-7731 "], 1).says(&["never had a key"]);
    refused(&["--token", "weir:1:k1:email:AAAAAAAAAAAAAAAAAAAAAAAA:"], 2);
    refused(&["--token", &texts["d1"], "--for-good"], 2);
    assert_eq!(events(&job, "forget").len(), 0);
    // Without an event on disk no key is destroyed.
    let tenant = job.path("tenants/acme.toml").display().to_string();
    let blocked = [
        "forget",
        "--tenant",
        &tenant,
        "--reason",
        "x",
        "--audit",
        "/dev/full",
    ];
    let blocked = [&blocked[..], &["--subject", "Patient-7731"]].concat();
    weir(&blocked).expect(74).says(&["no key was destroyed"]);
    let all = format!("{}\n{}\n", texts["d1"], texts["d2"]);
    run(people(&job, "reveal", &[]), all.as_bytes()).expect(0);
    let ran = refused(&["--token", &texts["d1"]], 0);
    assert_eq!(ran.stdout, "1 key destroyed\n");
    assert_eq!(events(&job, "forget")[0].get("subject_digest"), None);
    let ran = run(people(&job, "reveal", &[]), all.as_bytes()).expect(1);
    assert_eq!(ran.stdout, format!("{}\n{BO}\n", texts["d1"]));
}

#[test]
fn after_a_rotation_of_the_tenants_key_subjects_keep_their_keys() {
    let job = job();
    give(&job, "a.jsonl", &[of("d1", "Patient-7731", WANDA)]);
    job.run(&[]).expect(0);
    let old = texts(&job)["d1"].clone();
    job.write("tenants/k2", "other sixteen bytes");
    let one = "keys = [{ id = \"k1\", file = \"k1\" }]";
    let two =
        "keys = [{ id = \"k2\", file = \"k2\", primary = true }, { id = \"k1\", file = \"k1\" }]";
    let rotated = tenant("url = \"../keys\"").replace(one, two);
    job.write("tenants/acme.toml", rotated);
    give(
        &job,
        "b.jsonl",
        &[
            of("d2", "Patient-7731", WANDA),
            of("d3", "Patient-9942", BO),
        ],
    );
    job.run(&[]).expect(0);
    assert_eq!(texts(&job)["d2"], old, "values of before and after join");
    let forget = ["--subject", "Patient-7731", "--for-good"];
    run(people(&job, "forget", &forget), b"").expect(0);
    let both = format!("{old}\n{}\n", texts(&job)["d3"]);
    let ran = run(people(&job, "reveal", &[]), both.as_bytes()).expect(1);
    assert_eq!(ran.stdout, format!("{old}\n{BO}\n"));
    give(&job, "c.jsonl", &[of("d4", "Patient-7731", WANDA)]);
    job.run(&[]).expect(0);
    assert_eq!(job.dead_letters(), ["c.jsonl redact_failed"]);
}

/// A store of the test server, as a tenant file names it.
fn on_server(server: &S3Server, url: &str) -> String {
    let options: Vec<String> = server
        .options()
        .iter()
        .map(|(name, value)| format!("{name} = {value:?}"))
        .collect();
    format!(
        "url = \"{url}/keys\", options = {{ {} }}",
        options.join(", ")
    )
}

#[test]
fn two_workers_at_once_on_one_bucket_encrypt_with_the_same_keys() {
    let server = S3Server::shared();
    let store = on_server(&server, &server.fresh_url());
    let jobs = [job(), job()];
    let workers = jobs.each_ref().map(|job| {
        job.write("tenants/acme.toml", tenant(&store));
        let all: Vec<Value> = (0..24)
            .map(|number| {
                of(
                    &format!("d{number}"),
                    &format!("Patient-7731-{number}"),
                    WANDA,
                )
            })
            .collect();
        give(job, "a.jsonl", &all);
        piped(job.command(&[]).envs(server.variables()))
    });
    for worker in workers {
        let ran = ended(worker).expect(0);
        holds_no_canary("the log", &(ran.stdout + &ran.stderr));
    }
    let [first, second] = jobs.each_ref().map(texts);
    assert_eq!(first.len(), 24);
    assert_eq!(first, second);
    let keys: BTreeSet<&str> = first.values().map(|token| key_of(token)).collect();
    assert_eq!(keys.len(), 24);
    let asked = |of: &str, more: &[&str], input: &str| {
        let mut command = people(&jobs[0], of, more);
        command.envs(server.variables());
        run(command, input.as_bytes())
    };
    assert_eq!(asked("reveal", &[], &first["d7"]).expect(0).stdout, WANDA);
    asked("forget", &["--subject", "Patient-7731-7"], "").expect(0);
    asked("reveal", &[], &first["d7"]).expect(1);
    asked("reveal", &[], &first["d8"]).expect(0);
}

fn key() -> Key {
    Key::new("k1", "sixteen bytes ok").unwrap()
}

fn keys_at(place: &Place) -> SubjectKeys {
    SubjectKeys::within(
        "acme",
        place.at("keys"),
        Keyring::of([key()], None),
        key(),
        KEPT,
    )
}

#[test]
fn a_store_creates_each_key_once() {
    for place in [Place::local(), Place::s3()] {
        let runtime = crate::support::engine::runtime();
        let made = runtime.block_on(async {
            let asked = (0..8).map(|_| {
                let keys = keys_at(&place);
                tokio::spawn(async move { keys.key("Patient-7731").await.unwrap() })
            });
            futures::future::join_all(asked).await
        });
        let prints: BTreeSet<String> = made
            .into_iter()
            .map(|key| key.unwrap().name().fingerprint.to_string())
            .collect();
        assert_eq!(prints.len(), 1);
    }
}

/// What becomes of a document whose store of keys answers as `fate` says, by the number of the operation.
fn processed(
    patient: &str,
    fate: impl Fn(usize) -> Fate + Send + Sync + 'static,
) -> Result<String, weir::record::DeadLetter> {
    let count = AtomicUsize::new(0);
    let store = Faulty::new(Arc::new(InMemory::new()), move |_| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        Box::pin(futures::future::ready(fate(number)))
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("k1"), "sixteen bytes ok").unwrap();
    let path = folder.path().join("acme.toml");
    let mut policy = Policy::parse("acme", &path, &tenant("url = \"keys\"")).unwrap();
    policy.subject_keys = Some(keys_at(&Place::of(store)));
    let document = Document {
        id: "d1".into(),
        tenant: None,
        position: Position::Object {
            object: "a.jsonl".into(),
            version: None,
            record: Some(0),
        },
        body: Body::Json(of("d1", patient, WANDA).to_string().into()),
    };
    let processor = Processor::new(&shared_engine(), Arc::new(Tenants::single(policy)));
    let done = processor.process(document, PlainText::Apart);
    let done = crate::support::engine::runtime().block_on(done)?;
    match done.redacted {
        Redacted::Record(record) => Ok(String::from_utf8(record).unwrap()),
        _ => panic!("a JSON document is a record"),
    }
}

#[test]
fn a_store_that_is_away_for_a_moment_costs_nothing_and_one_that_stays_away_no_value_in_clear() {
    let whole = processed("Patient-7731", |_| Fate::Done).unwrap();
    assert!(whole.contains("weir:p1:") && !whole.contains(WANDA));
    for number in 0..4 {
        for fate in [Fate::Refused, Fate::AnswerLost] {
            let one = move |at| if at == number { fate } else { Fate::Done };
            let shown = processed("Patient-7731", one).unwrap();
            assert!(
                shown.contains("weir:p1:") && !shown.contains(WANDA),
                "{shown}"
            );
        }
    }
    // The creation is done, and asked for once more: the key is the one that is there.
    let twice = |at| {
        if at == 1 {
            Fate::AskedAgain
        } else {
            Fate::Done
        }
    };
    assert!(processed("Patient-7731", twice).is_ok());
    let letter = processed("Patient-7731", |_| Fate::Refused).unwrap_err();
    assert_eq!(letter.code.as_str(), "redact_failed");
    assert_eq!(letter.attempts, 3);
    assert!(
        letter.reason.contains("the store of subject keys"),
        "{}",
        letter.reason
    );
    holds_no_canary("a dead letter", &format!("{letter:?}"));
}

fn check(job: &Job, more: &[&str], variables: &[(&str, &str)]) -> Ran {
    let config = job.config();
    let all = [&["check", "--config", &config], more].concat();
    let mut command = command(&all);
    command.envs(variables.iter().copied());
    run(command, b"")
}

#[test]
fn check_says_whether_keys_of_subjects_could_be_kept() {
    let job = job();
    give(&job, "a.jsonl", &[of("d1", "Patient-7731", WANDA)]);
    let shown = check(&job, &["--connect"], &[]).expect(0).stdout;
    assert!(shown.contains("folder, will be made"), "{shown}");
    assert!(!job.path("keys").exists());
    std::fs::create_dir(job.path("keys")).unwrap();
    let shown = check(&job, &["--connect"], &[]).expect(0).stdout;
    assert!(shown.contains("can be written"), "{shown}");
    assert!(job.files("keys").is_empty());

    let server = S3Server::shared();
    let variables = server.variables();
    job.write(
        "tenants/acme.toml",
        tenant(&on_server(&server, &server.fresh_url())),
    );
    let shown = check(&job, &["--connect"], &variables).expect(0).stdout;
    assert!(shown.contains("can be written"), "{shown}");
    job.write(
        "tenants/acme.toml",
        tenant(&on_server(&server, "s3://no-such-bucket")),
    );
    check(&job, &["--connect"], &variables).expect(1).says(&[
        "the store of subject keys at s3://no-such-bucket/keys failed",
        "acme.toml:6:",
    ]);

    let without = tenant("").replace("subject_keys = {  }\n", "");
    job.write("tenants/acme.toml", without);
    check(&job, &[], &[])
        .expect(1)
        .says(&["`per = \"subject\"` needs `subject_keys`", "acme.toml:4:"]);
}

/// A double of a bucket with versioning on: each answer to a write names a version.
#[test]
fn a_bucket_that_keeps_older_versions_is_reported() {
    let kept: Arc<std::sync::Mutex<BTreeMap<String, Vec<u8>>>> = Arc::default();
    let (url, _runtime) = serve(move |method: Method, uri: Uri, headers: HeaderMap, body| {
        let mut kept = kept.lock().unwrap();
        let found = kept.get(uri.path()).cloned();
        let is_creation = headers.contains_key("if-none-match");
        let modified = ("last-modified", "Tue, 01 Dec 2026 00:00:00 GMT");
        let answered = [modified, ("etag", "\"e\""), ("x-amz-version-id", "v1")];
        let answer = match (method, found) {
            (Method::PUT, Some(_)) if is_creation => {
                (StatusCode::PRECONDITION_FAILED, answered, Vec::new())
            }
            (Method::PUT, _) => {
                kept.insert(uri.path().to_owned(), body.to_vec());
                (StatusCode::OK, answered, Vec::new())
            }
            (Method::DELETE, _) => (StatusCode::NO_CONTENT, answered, Vec::new()),
            (_, Some(bytes)) => (StatusCode::OK, answered, bytes),
            (_, None) => (StatusCode::NOT_FOUND, answered, Vec::new()),
        };
        async move { answer }
    });
    let job = job();
    let store = format!(
        "url = \"s3://versioned/keys\", options = {{ aws_endpoint = \"{url}\", allow_http = \"true\", aws_region = \"us-east-1\" }}"
    );
    job.write("tenants/acme.toml", tenant(&store));
    give(&job, "a.jsonl", &[of("d1", "Patient-7731", WANDA)]);
    let variables = [
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    check(&job, &["--connect"], &variables)
        .expect(1)
        .says(&["keeps older versions of objects"]);
    let mut worker = job.command(&[]);
    worker.envs(variables);
    run(worker, b"").expect(0);
    let mut forget = people(&job, "forget", &["--subject", "Patient-7731"]);
    forget.envs(variables);
    let ran = run(forget, b"")
        .expect(1)
        .says(&["keeps older versions of objects"]);
    assert_eq!(ran.stdout, "1 key destroyed\n");
}

#[test]
fn a_store_that_does_not_answer_is_no_reason_to_wait_for_long() {
    // Nothing listens there: object_store alone would try for three minutes.
    let job = job();
    let store = "url = \"s3://bucket/keys\", options = { aws_endpoint = \"http://127.0.0.1:9\", allow_http = \"true\", aws_region = \"us-east-1\" }";
    job.write("tenants/acme.toml", tenant(store));
    give(&job, "a.jsonl", &[of("d1", "Patient-7731", WANDA)]);
    let began = std::time::Instant::now();
    let mut worker = job.command(&[]);
    worker.envs([
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ]);
    let ran = run(worker, b"").expect(0);
    assert!(began.elapsed() < Duration::from_secs(90));
    holds_no_canary("the log", &(ran.stdout + &ran.stderr));
    assert_eq!(job.dead_letters(), ["a.jsonl redact_failed"]);
    assert!(texts(&job).is_empty());
}
