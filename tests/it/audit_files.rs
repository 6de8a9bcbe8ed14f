//! Sinks of files with an audit, as `weir audit verify` reads them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;
use weir::{audit::files::Files, pipeline::job::Target, record::audit::DigestKey};

use crate::support::{
    engine,
    job::{Job, Ran, ended, pack, piped, terminate, weir},
    topic::{Place, record},
    worker::{self, PATTERNS_ONLY},
};

const KEY: &str = "a secret of the test";

/// A job that audits, if `key` is a key of `[sink]`.
fn job(key: &str) -> Job {
    let config = fs::read_to_string(Job::new("").path("weir.toml")).unwrap();
    let url = "url = \"out\"\n";
    let job = Job::with(&config.replace(url, &format!("{url}{key}\n")));
    job.write("audit.key", KEY);
    job
}

fn audited() -> Job {
    job("audit_key_file = \"audit.key\"")
}

fn verify(job: &Job, more: &[&str]) -> Ran {
    let config = job.config();
    weir(&[&["audit", "verify", "--config", &config], more].concat())
}

/// What a run prints.
#[track_caller]
fn tells(ran: &Ran, parts: &[&str]) {
    for part in parts {
        assert!(ran.stdout.contains(part), "no `{part}` in:\n{}", ran.stdout);
    }
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// Objects of every format, with documents that are no documents.
fn fill(job: &Job) {
    let mut lines = worker::documents(0, 5).into_bytes();
    lines.extend_from_slice(b"\n{\"id\":\"x\", \"text\": \n\n");
    lines.extend_from_slice(b"{\"id\":\"y\",\"tenant\":\"nobody\",\"text\":\"x\"}\n");
    job.write("in/a.jsonl", &lines);
    job.write("in/packed.jsonl.gz", gzip(&lines));
    let packed = gzip(worker::documents(50, 400).as_bytes());
    job.write("in/cut.jsonl.gz", &packed[..packed.len() / 2]);
    job.write(
        "in/b.log",
        "ask ana@mail.example\n\nan empty line is a document\n",
    );
    let text = "write to ana@mail.example, or to bea@mail.example.\n".repeat(4000);
    job.write("in/c.txt", text);
    job.write("in/not.txt", b"ask \xff\xfe ana@mail.example");
    job.write(
        "in/d.json",
        "[{\"text\":\"to ana@mail.example\"},\n {\"text\":\"x\"}]",
    );
    job.write("in/empty.jsonl", "");
    let cells: [&[u8]; 4] = [
        b"to ana@mail.example",
        b"\xff",
        b"x",
        b"to bea@mail.example",
    ];
    let notes: ArrayRef = Arc::new(BinaryArray::from_iter_values(cells));
    let ids: ArrayRef = Arc::new(StringArray::from(vec!["r0", "r1", "r2", "r3"]));
    job.write(
        "in/e.parquet",
        parquet(vec![("id", ids.clone()), ("note", notes)]),
    );
    job.write("in/f.parquet", parquet(vec![("id", ids)]));
}

/// Outputs whose bytes do not depend on the process: dead letters hold hashes of its own.
fn outputs(job: &Job) -> BTreeMap<String, Vec<u8>> {
    let mut files = job.files("out");
    files.retain(|name, bytes| {
        if name.starts_with("dead_letters/") {
            bytes.clear();
        }
        !name.starts_with("_weir/") && !name.starts_with("audit/")
    });
    files
}

fn commits(job: &Job) -> Vec<Value> {
    let files = job.files("out/_weir/commits").into_values();
    files
        .map(|bytes| serde_json::from_slice(&bytes).unwrap())
        .collect()
}

#[test]
fn a_job_of_every_format_is_proven_and_its_outputs_are_those_without_an_audit() {
    let (with, without) = (audited(), job(""));
    for job in [&with, &without] {
        fill(job);
        // A version of a local file is its time: it is a part of the names.
        let time = fs::File::options();
        for (name, _) in job.files("in") {
            let file = time
                .clone()
                .write(true)
                .open(job.path("in").join(name))
                .unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
                .unwrap();
        }
        job.run(&[]).expect(0);
    }
    assert_eq!(outputs(&with), outputs(&without));
    assert!(without.files("out/audit").is_empty());
    for commit in commits(&without) {
        let members: BTreeSet<&str> = commit
            .as_object()
            .unwrap()
            .keys()
            .map(|key| &**key)
            .collect();
        let plain = [
            "configuration",
            "dead_letters",
            "documents",
            "nonce",
            "object",
            "outputs",
            "version",
        ];
        assert_eq!(members, plain.into());
    }
    tells(
        &verify(&without, &[]).expect(1),
        &[
            "NOT PROVABLE: 0 audit records",
            "10 written without an audit",
        ],
    );

    let audits = with.records("out/audit");
    assert_eq!(with.files("out/audit").len(), commits(&with).len());
    let events = audits.iter().filter(|record| record["kind"] == "event");
    let events: Vec<&Value> = events.collect();
    let of = |outcome: &str| {
        events
            .iter()
            .filter(|event| event["outcome"] == outcome)
            .count()
    };
    assert_eq!(of("delivered"), with.delivered().len());
    // The audit of what was packed is packed too.
    let letters = with.dead_letters().into_iter();
    let letters = letters.filter(|letter| !letter.contains(".gz "));
    assert_eq!(of("dead_letter"), letters.count());
    // The text has its findings, which did not wait in memory, and digests of the whole.
    let text = events
        .iter()
        .find(|event| event["source"]["object"] == "c.txt")
        .unwrap();
    assert_eq!(text["findings"].as_array().unwrap().len(), 8000);
    let key = DigestKey::new(KEY.as_bytes().to_vec());
    let source = fs::read(with.path("in/c.txt")).unwrap();
    assert_eq!(text["input_digest"], key.digest(&source));
    let whole: String = audits.iter().map(|record| record.to_string()).collect();
    assert!(!whole.contains("mail.example"));
    tells(
        &verify(&with, &[]).expect(0),
        &["PROVEN: ", "10 commit records"],
    );
    let url = with.path("out").display().to_string();
    let report = weir(&["audit", "verify", "--objects", &url, "--json"]).expect(0);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(
        (&report["result"], &report["commits"]["objects"]),
        (&"proven".into(), &10.into())
    );
    let documents = commits(&with);
    let documents = documents
        .iter()
        .map(|own| own["documents"].as_u64().unwrap());
    let documents: u64 = documents.sum();
    let config = with.config();
    let report = weir(&["audit", "report", "--config", &config, "--format", "json"]).expect(0);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    assert_eq!(
        report["activity"]["tenants"]["acme"]["delivered"],
        documents
    );

    let file = with
        .files("out/redactions")
        .into_keys()
        .find(|name| name.contains("c-"))
        .unwrap();
    let path = with.path("out/redactions").join(&file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    let digest = format!("other file: the digest of redactions/{file}");
    tells(
        &verify(&with, &[]).expect(1),
        &["BROKEN       c.txt (_weir/commits/", &digest],
    );
}

#[test]
fn a_run_that_begins_to_audit_does_nothing_again() {
    let job = audited();
    fill(&job);
    job.run(&["--set", "sink.audit_key_env=AUDIT"]).expect(78);
    let config = job.config();
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("audit_key_file = \"audit.key\"", "")).unwrap();
    job.run(&[]).expect(0);
    let before = job.files("out");
    fs::write(&config, text).unwrap();
    job.run(&[]).expect(0);
    assert_eq!(job.files("out"), before);
    job.write("in/later.jsonl", worker::documents(900, 3));
    job.run(&[]).expect(0);
    assert_eq!(job.files("out/audit").len(), 1);
    tells(
        &verify(&job, &[]).expect(1),
        &[
            "NOT PROVABLE: 4 audit records of 11 commit records",
            "10 written without an audit",
        ],
    );
}

#[test]
fn a_job_that_is_killed_again_and_again_has_one_audit_file_for_each_object() {
    let job = audited();
    for object in 0..30 {
        job.write(
            &format!("in/{object:02}.jsonl"),
            worker::documents(object * 40, 40),
        );
    }
    let mut random = StdRng::seed_from_u64(21);
    let began = Instant::now();
    while commits(&job).len() < 25 && began.elapsed() < Duration::from_secs(60) {
        let mut child = piped(&mut job.command(&[]));
        std::thread::sleep(Duration::from_millis(random.random_range(100..600)));
        let _ = child.kill();
        let _ = child.wait();
    }
    job.run(&[]).expect(0);
    assert_eq!(
        (commits(&job).len(), job.files("out/audit").len()),
        (30, 30)
    );
    tells(
        &verify(&job, &[]).expect(0),
        &["PROVEN: 1230 audit records of 30 commit records with 90 files, 1200 delivered"],
    );
}

#[test]
fn a_job_on_s3_is_proven_there_and_a_file_that_is_removed_is_named() {
    let place = worker::Place::s3();
    engine::runtime().block_on(async {
        worker::fill(&place, 5, 4).await;
        let ledger = place.ledger().audited(DigestKey::new(KEY.into()));
        let job = worker::job(PATTERNS_ONLY);
        let summary = job
            .objects(&place.objects(), &Target::Objects(ledger))
            .await;
        assert_eq!(summary.unwrap().objects, 5);
        let report = || async {
            Files::new(place.at("out"), false)
                .read()
                .await
                .unwrap()
                .close()
        };
        let proven = report().await.to_string();
        assert!(
            proven.starts_with("PROVEN: 25 audit records of 5 commit records with 15 files"),
            "{proven}"
        );
        let outputs = place.outputs().await;
        let file = outputs
            .files
            .keys()
            .find(|name| name.starts_with("entities/"))
            .unwrap();
        let out = place.at("out");
        object_store::ObjectStoreExt::delete(&**out.store(), &out.path(file))
            .await
            .unwrap();
        let report = report().await.to_string();
        assert!(
            report.contains("INCOMPLETE: ") && report.contains(&format!("lists {file}, which")),
            "{report}"
        );
    });
}

/// A stream into files that audits.
fn stream(kafka: &Place) -> Job {
    let job = Job::with(&format!(
        "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{}\"\ntopics = [\"{}\"]\n\
         group_id = \"lake\"\n[sink]\ntype = \"object_store\"\nurl = \"out\"\n\
         audit_key_file = \"audit.key\"\ncompression = \"gzip\"\nroll = {{ max_secs = 1 }}\n\
         [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = {:?}\n",
        kafka.address(),
        kafka.input,
        pack().display().to_string()
    ));
    job.write("tenants/acme.toml", PATTERNS_ONLY);
    job.write("audit.key", KEY);
    job
}

/// Runs until so many documents and dead letters are committed in all.
fn run_until(job: &Job, documents: u64) {
    let child = piped(&mut job.command(&[]));
    let began = Instant::now();
    let done = || -> u64 {
        let records = job.files("out/_weir/kafka").into_values();
        let records = records.filter_map(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let count = |own: &Value| {
            own["documents"].as_u64().unwrap() + own["dead_letters"].as_u64().unwrap()
        };
        records.map(|own| count(&own)).sum()
    };
    while done() < documents {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{} of {documents}",
            done()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    terminate(&child);
    ended(child).expect(0);
}

#[test]
fn a_topic_in_files_is_proven_over_restarts_and_what_is_done_to_its_chain_is_found() {
    let kafka = Place::new(1);
    let job = stream(&kafka);
    for part in 0..4 {
        kafka.produce((part * 10..part * 10 + 10).map(record));
        kafka.produce([("k".to_owned(), "no JSON".to_owned())]);
        run_until(&job, 11 * (part as u64 + 1));
    }
    tells(
        &verify(&job, &[]).expect(0),
        &["PROVEN: ", "40 delivered, 4 dead letters"],
    );
    let folder = job.path(&format!("out/_weir/kafka/lake/{}/0", kafka.input));
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= 4, "{names:?}");
    let aside = job.path("aside.json");
    let without = |number: usize, says: &[&str]| {
        fs::rename(&names[number], &aside).unwrap();
        tells(&verify(&job, &[]).expect(1), says);
        fs::rename(&aside, &names[number]).unwrap();
    };
    without(
        0,
        &[
            "INCOMPLETE: ",
            "no commit: no commit record begins at offset 0",
        ],
    );
    without(1, &["INCOMPLETE: ", "no commit: "]);
    without(
        names.len() - 1,
        &[
            "INCOMPLETE: ",
            "truncated: the group has committed offset 44",
            "unlisted: ",
        ],
    );
    // Written again with a hash of its own: the next one holds another digest.
    let bytes = fs::read(&names[1]).unwrap();
    let mut record: weir::sink::chain::Record = serde_json::from_slice(&bytes).unwrap();
    record.pack = "another".to_owned();
    fs::write(&names[1], record.written()).unwrap();
    tells(
        &verify(&job, &[]).expect(1),
        &[
            "BROKEN: ",
            "it does not hold the digest of the record in front of it",
        ],
    );
    fs::write(&names[1], bytes).unwrap();
    verify(&job, &[]).expect(0);
    let file = job.path("out").join(&record.files[0].path);
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    tells(
        &verify(&job, &[]).expect(1),
        &[
            "BROKEN: ",
            &format!("other file: {} has", record.files[0].path),
        ],
    );
}

#[test]
fn gaps_of_transactions_are_explained_where_the_brokers_are_asked() {
    const WAIT: Duration = Duration::from_secs(30);
    let kafka = Place::new(1);
    let producer = kafka
        .client()
        .set("transactional.id", &kafka.input)
        .create::<BaseProducer>()
        .unwrap();
    producer.init_transactions(WAIT).unwrap();
    for (number, is_committed) in [true, false, true].into_iter().enumerate() {
        producer.begin_transaction().unwrap();
        for n in 0..5 {
            let (key, value) = record(5 * number + n);
            let record = BaseRecord::to(&kafka.input).key(&key).payload(&value);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(WAIT).unwrap();
        match is_committed {
            true => producer.commit_transaction(WAIT).unwrap(),
            false => producer.abort_transaction(WAIT).unwrap(),
        }
    }
    let job = stream(&kafka);
    run_until(&job, 10);
    tells(
        &verify(&job, &[]).expect(0),
        &[
            "PROVEN: ",
            "5 offsets of aborted transactions",
            "2 offsets markers of transactions",
        ],
    );
    let url = job.path("out").display().to_string();
    let alone = weir(&["audit", "verify", "--objects", &url]).expect(1);
    tells(
        &alone,
        &[
            "INCOMPLETE: ",
            "unknown: weir was not given offsets 5 to 11",
            "the source was not asked",
        ],
    );
    weir(&["audit", "verify", "--objects", &url, "--accept", "unknown"]).expect(0);
}
