//! Ids are values: what records, dead letters and logs show of them.

use serde_json::json;

use crate::support::job::{Job, run};

const MAIL: &str = "ana@mail.example";

/// A job whose `source.id` is as given, with documents whose ids are an address, a name that nothing
/// finds, and a number, and one document that fails.
fn job(id: &str) -> Job {
    let config = std::fs::read_to_string(Job::new("").path("weir.toml")).unwrap();
    let url = "url = \"in\"\n";
    let job = Job::with(&config.replace(url, &format!("{url}{id}\n")));
    let line = |id: serde_json::Value| json!({"id": id, "text": "to bo@mail.example"}).to_string();
    let documents = [
        line(json!(MAIL)),
        line(json!("plover 7731")),
        line(json!(7_731_442)),
        json!({"id": MAIL, "tenant": "nobody", "text": "-"}).to_string(),
        json!({"id": MAIL, "tenant": ["nobody"], "text": "-"}).to_string(),
    ];
    job.write("in/docs.jsonl", documents.join("\n") + "\n");
    job.write(
        "in/table.parquet",
        crate::support::tables::parquet(
            "note",
            &[(MAIL, Some("to cy@mail.example")), ("p1", None)],
        ),
    );
    job
}

fn of<'r>(records: &'r [serde_json::Value], object: &str, record: u64) -> &'r serde_json::Value {
    let found = records
        .iter()
        .find(|one| one["source"]["object"] == object && one["source"]["record"] == record);
    found.unwrap_or_else(|| panic!("{object}:{record} is not in {records:?}"))
}

#[track_caller]
fn is_hash(id: &serde_json::Value) -> String {
    let id = id.as_str().unwrap();
    assert!(id.starts_with("id_") && id.len() == 35, "{id}");
    id.to_owned()
}

#[test]
fn an_id_is_redacted_by_the_tenants_rules_and_hashed_in_dead_letters() {
    let job = job("");
    let ran = job.run(&["--log-level", "trace"]).expect(0);
    assert!(!ran.stderr.contains(MAIL), "{}", ran.stderr);
    let entities = job.records("out/entities");
    assert_eq!(of(&entities, "docs.jsonl", 0)["document_id"], "[EMAIL]");
    assert_eq!(of(&entities, "docs.jsonl", 1)["document_id"], "plover 7731");
    assert_eq!(of(&entities, "docs.jsonl", 2)["document_id"], "7731442");
    assert_eq!(of(&entities, "table.parquet", 0)["document_id"], "[EMAIL]");
    assert_eq!(of(&entities, "table.parquet", 1)["document_id"], "p1");
    let redactions = job.records("out/redactions");
    assert_eq!(redactions[0]["id"], "[EMAIL]");
    assert_eq!(redactions[0]["redactions"][0]["field"], "/id");
    let letters = job.records("out/dead_letters");
    let (first, second) = (of(&letters, "docs.jsonl", 3), of(&letters, "docs.jsonl", 4));
    // The same id, the same run.
    assert_eq!(
        is_hash(&first["document_id"]),
        is_hash(&second["document_id"])
    );
    assert!(first.get("tenant").is_none());
    for (name, bytes) in job.files("out") {
        assert!(!String::from_utf8_lossy(&bytes).contains(MAIL), "{name}");
    }
}

#[test]
fn ids_are_hashed_with_a_key_that_is_kept_or_with_one_of_the_run() {
    let with_key = job("id = { hash = true, hash_key_env = \"ID_KEY\" }");
    let hashes = |job: &Job, key: &str| {
        let mut command = job.command(&[]);
        command.env("ID_KEY", key);
        let ran = run(command, b"").expect(0);
        assert!(!ran.stderr.contains(key), "{}", ran.stderr);
        let entities = job.records("out/entities");
        let hashes: Vec<String> = (0..3)
            .map(|record| is_hash(&of(&entities, "docs.jsonl", record)["document_id"]))
            .collect();
        // An id has one hash, wherever it stands: in a table, in a record, in a dead letter.
        assert_eq!(
            is_hash(&of(&entities, "table.parquet", 0)["document_id"]),
            hashes[0]
        );
        let redactions = job.records("out/redactions");
        for (record, hash) in redactions.iter().zip(&hashes) {
            assert_eq!(record["id"], **hash);
        }
        let letters = job.records("out/dead_letters");
        assert_eq!(
            is_hash(&of(&letters, "docs.jsonl", 3)["document_id"]),
            hashes[0]
        );
        for (name, bytes) in job.files("out") {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(MAIL) && !text.contains("plover"), "{name}");
            assert!(!text.contains("7731442"), "{name}");
        }
        hashes
    };
    let key = "a key of the test, kept";
    let first = hashes(&with_key, key);
    assert_eq!(
        hashes(&job("id = { hash = true, hash_key_env = \"ID_KEY\" }"), key),
        first
    );
    let without = "id = { hash = true }";
    let (one, two) = (
        hashes(&job(without), "unused"),
        hashes(&job(without), "unused"),
    );
    assert_ne!(one, two, "a run's own key is nobody else's");
}

#[test]
fn ids_that_are_kept_stay_as_they_are() {
    let job = job("id = { keep = true }");
    job.run(&[]).expect(0);
    let entities = job.records("out/entities");
    assert_eq!(of(&entities, "docs.jsonl", 0)["document_id"], MAIL);
    assert_eq!(job.records("out/redactions")[0]["id"], MAIL);
    assert_eq!(
        of(&job.records("out/dead_letters"), "docs.jsonl", 3)["document_id"],
        MAIL
    );
}

#[test]
fn a_key_that_is_too_short_or_two_treatments_are_refused() {
    let short = job("id = { hash = true, hash_key_env = \"ID_KEY\" }");
    let mut command = short.command(&[]);
    command.env("ID_KEY", "short");
    run(command, b"")
        .expect(78)
        .says(&["5 bytes long", "at least 16"]);
    let both = job("id = { hash = true, keep = true }");
    both.run(&[])
        .expect(78)
        .says(&["`hash` and `keep` are both given"]);
    let typo = job("id = { hsah = true }");
    typo.run(&[]).expect(78).says(&["hsah", "hash"]);
}
