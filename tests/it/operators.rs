//! Operators in a job: what a document with and without a subject becomes.

use serde_json::{Value, json};

use crate::support::job::Job;

const TENANT: &str = r#"
labels = []
subject = "/patient/id"
keys = { id = "k1", file = "k1" }
patterns = [{ name = "card", label = "card", operator = "truncate" }]
regexes = [
  { name = "day", label = "date", regex = '\d{4}-\d{2}-\d{2}', operator = { type = "shift", days = 400 } },
  { name = "years", label = "age", regex = 'aged (\d+)', operator = "generalise" },
  { name = "area", label = "zip code", regex = 'ZIP (\d{5})', operator = "generalise" },
]
rules = [{ fields = { include = ["/text", "/note"] } }]
"#;

fn job(documents: &[Value]) -> Job {
    let job = Job::new("");
    job.write("tenants/acme.toml", TENANT);
    job.write("tenants/k1", "sixteen bytes ok");
    let lines: Vec<String> = documents.iter().map(Value::to_string).collect();
    job.write("in/docs.jsonl", lines.join("\n") + "\n");
    job
}

fn days_between(from: &str, to: &str) -> i64 {
    let date = |text: &str| text.parse::<jiff::civil::Date>().unwrap();
    i64::from(date(from).until(date(to)).unwrap().get_days())
}

#[test]
fn the_dates_of_a_subject_move_together_across_fields_and_documents() {
    let document = |id: &str, patient: Value, text: &str, note: &str| json!({"id": id, "patient": patient, "text": text, "note": note});
    let job = job(&[
        document("d1", json!({"id": "p1"}), "2024-03-05", "2024-03-01"),
        document("d2", json!({"id": "p1"}), "2023-12-31", "-"),
        document("d3", json!({"id": "p2"}), "2024-03-05", "-"),
        document("d4", json!({}), "seen on 2024-03-05", "-"),
        document(
            "d5",
            json!({}),
            "aged 47, ZIP 10001, ZIP 03601",
            "card 4111 1111 1111 1111",
        ),
    ]);
    job.run(&[]).expect(0);
    let redactions = job.records("out/redactions");
    let text = |id: &str, field: &str| {
        let found = redactions.iter().find(|one| one["id"] == id).unwrap();
        found[field].as_str().unwrap().to_owned()
    };
    let moved = days_between("2024-03-05", &text("d1", "text"));
    assert_ne!(moved, 0);
    assert_eq!(days_between("2024-03-01", &text("d1", "note")), moved);
    assert_eq!(days_between("2023-12-31", &text("d2", "text")), moved);
    assert_ne!(days_between("2024-03-05", &text("d3", "text")), moved);
    assert_eq!(text("d5", "text"), "aged 40-49, ZIP 100, ZIP 000");
    assert_eq!(text("d5", "note"), "card 4111 11** **** 1111");
    // A date whose subject is missing goes nowhere; a document without dates does not need one.
    assert!(redactions.iter().all(|one| one["id"] != "d4"));
    assert_eq!(job.dead_letters(), ["docs.jsonl redact_failed"]);
    let letter = &job.records("out/dead_letters")[0];
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("needs `subject`"), "{reason}");
    let changes = redactions.iter().find(|one| one["id"] == "d1").unwrap();
    assert_eq!(changes["redactions"][0]["key_id"], "k1");
}

#[test]
fn a_stream_of_text_is_its_own_subject_or_has_none() {
    let job = job(&[]);
    job.write("in/a.txt", "seen on 2024-03-05 and 2024-03-06\n");
    job.write(
        "tenants/acme.toml",
        TENANT.replace("subject = \"/patient/id\"\n", ""),
    );
    job.run(&[]).expect(0);
    let files = job.files("out/redactions");
    let text = files
        .values()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let text: String = text.collect();
    let days: Vec<&str> = regex_days(&text);
    assert_eq!(days_between(days[0], days[1]), 1, "{text}");
    assert_ne!(days[0], "2024-03-05");
}

fn regex_days(text: &str) -> Vec<&str> {
    let day = regex::Regex::new(r"\d{4}-\d{2}-\d{2}").unwrap();
    day.find_iter(text).map(|found| found.as_str()).collect()
}
