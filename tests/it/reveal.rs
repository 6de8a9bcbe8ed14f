//! `weir reveal`: what comes back, what is written before, and what is refused.

use std::process::Command;

use age::secrecy::ExposeSecret as _;
use serde_json::Value;

use rdkafka::{
    Message as _,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

use crate::support::{
    engine,
    job::{Ran, command, pack, run},
    topic::Place,
};

struct Folder {
    folder: tempfile::TempDir,
    identity: String,
}

impl Folder {
    fn new() -> Self {
        let identity = age::x25519::Identity::generate();
        let own = Self {
            folder: tempfile::tempdir().unwrap(),
            identity: identity.to_string().expose_secret().to_owned(),
        };
        own.write("k1", "the first key, of some bytes");
        own.write("k2", "the second key, of some bytes");
        own.write("identity", &format!("# of the test\n{}\n", own.identity));
        own.tenant("k1", &identity.to_public().to_string());
        own
    }

    fn tenant(&self, primary: &str, recipient: &str) {
        let keys: Vec<String> = ["k1", "k2"]
            .iter()
            .map(|id| {
                format!(
                    "{{ id = \"{id}\", file = \"{id}\", primary = {} }}",
                    *id == primary
                )
            })
            .collect();
        self.write(
            "acme.toml",
            &format!(
                r#"
labels = []
patterns = [
  {{ name = "email", operator = "encrypt" }},
  {{ name = "iban", operator = {{ type = "seal", recipient = "{recipient}" }} }},
]
regexes = [{{ name = "member", label = "member number", regex = 'M-([0-9 ]+)', operator = {{ type = "encrypt", format = "digits" }} }}]
keys = [{}]
"#,
                keys.join(", ")
            ),
        );
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn redact(&self, text: &str) -> String {
        let pack = pack().display().to_string();
        let redact = [
            "redact",
            "--tenant",
            &self.path("acme.toml"),
            "--model",
            &pack,
        ];
        run(command(&redact), text.as_bytes()).expect(0).stdout
    }

    fn reveal(&self, more: &[&str]) -> Command {
        let mut reveal = command(&["reveal", "--tenant", &self.path("acme.toml")]);
        reveal.args([
            "--audit",
            &self.path("audit.jsonl"),
            "--reason",
            "a complaint",
        ]);
        reveal.args(["--by", "auditor"]).args(more);
        reveal
    }

    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("audit.jsonl")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

const TEXT: &str =
    "Write to bo@mail.example and bo@mail.example, pay GB82 WEST 1234 5698 7654 32.\n";

#[track_caller]
fn holds_no_value(text: &str) {
    for value in ["bo@mail", "1234 5698", "GB82"] {
        assert!(!text.contains(value), "{value} in {text}");
    }
}

#[test]
fn encrypted_values_come_back_and_the_event_holds_none_of_them() {
    let folder = Folder::new();
    let redacted = folder.redact(TEXT);
    holds_no_value(&redacted);
    let sealed = redacted.find("weir:s1:").unwrap();
    let ran = run(folder.reveal(&["--ticket", "LEGAL-7"]), redacted.as_bytes());
    // The sealed value stays: its identity was not given.
    assert_eq!(ran.code, 1);
    let expected = format!(
        "Write to bo@mail.example and bo@mail.example, pay {}",
        &redacted[sealed..]
    );
    assert_eq!(ran.stdout, expected);
    let ran = ran.says(&["1 tokens were not read"]);
    holds_no_value(&ran.stderr);
    let events = folder.events();
    assert_eq!(events.len(), 2);
    for event in &events {
        holds_no_value(&event.to_string());
        assert_eq!(event["kind"], "reveal");
        assert_eq!(event["by"], "auditor");
        assert_eq!(event["reason"], "a complaint");
        assert_eq!(event["ticket"], "LEGAL-7");
        assert_eq!(event["tenant"], "acme");
        assert_eq!(event["label"], "email");
        assert_eq!(event["key_id"], "k1");
        assert_eq!(event["key_fingerprint"].as_str().unwrap().len(), 32);
        assert_eq!(event["token_digest"].as_str().unwrap().len(), 64);
        event["at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap();
    }
    assert_eq!(events[0]["token_digest"], events[1]["token_digest"]);
}

#[test]
fn a_sealed_value_needs_the_identity_and_no_key_of_the_tenant() {
    let folder = Folder::new();
    let redacted = folder.redact(TEXT);
    let identity = folder.path("identity");
    let ran = run(
        folder.reveal(&["--identity", &identity]),
        redacted.as_bytes(),
    );
    assert_eq!(ran.expect(0).stdout, TEXT);
    let events = folder.events();
    assert_eq!(events[2]["label"], "iban");
    assert!(events[2]["key_id"].as_str().unwrap().starts_with("age-"));
    assert!(
        !std::fs::read_to_string(folder.path("audit.jsonl"))
            .unwrap()
            .contains("AGE-SECRET")
    );
    folder.write("identity", "AGE-SECRET-KEY-1CANARY\n");
    let ran = run(
        folder.reveal(&["--identity", &identity]),
        redacted.as_bytes(),
    )
    .expect(78);
    assert!(!ran.stderr.contains("CANARY"), "{}", ran.stderr);
}

#[test]
fn without_an_event_on_disk_nothing_is_revealed() {
    let folder = Folder::new();
    let redacted = folder.redact(TEXT);
    let refused = |ran: Ran, code: i32| {
        holds_no_value(&ran.stdout);
        holds_no_value(&ran.stderr);
        ran.expect(code)
    };
    let tenant = folder.path("acme.toml");
    let audit = folder.path("audit.jsonl");
    let reveal = ["reveal", "--tenant", &tenant];
    let without = |more: &[&str]| {
        let all: Vec<&str> = reveal.iter().chain(more).copied().collect();
        run(command(&all), redacted.as_bytes())
    };
    refused(without(&["--reason", "x"]), 2);
    refused(without(&["--audit", &audit]), 2);
    refused(without(&["--audit", &audit, "--reason", " "]), 2);
    // A folder, a place that does not exist, a pipe that keeps nothing.
    for path in [
        folder.path(""),
        folder.path("no/such"),
        "/dev/null".to_owned(),
        "/dev/full".to_owned(),
    ] {
        refused(without(&["--audit", &path, "--reason", "x"]), 74).says(&["nothing was revealed"]);
    }
    assert!(folder.events().is_empty());
}

#[test]
fn older_keys_still_read_and_another_tenants_do_not() {
    let folder = Folder::new();
    let old = folder.redact("bo@mail.example\n");
    assert!(old.starts_with("weir:1:k1:email:"), "{old}");
    let recipient = std::fs::read_to_string(folder.path("acme.toml")).unwrap();
    let recipient = recipient
        .split("recipient = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    folder.tenant("k2", recipient);
    let new = folder.redact("bo@mail.example\n");
    assert!(new.starts_with("weir:1:k2:email:"), "{new}");
    let both = format!("{old}{new}");
    let ran = run(folder.reveal(&[]), both.as_bytes()).expect(0);
    assert_eq!(ran.stdout, "bo@mail.example\nbo@mail.example\n");
    let ids: Vec<Value> = folder
        .events()
        .iter()
        .map(|event| event["key_id"].clone())
        .collect();
    assert_eq!(ids, ["k1", "k2"]);
    // The same file under another name is another tenant.
    std::fs::rename(folder.path("acme.toml"), folder.path("other.toml")).unwrap();
    let other = folder.path("other.toml");
    let audit = folder.path("audit.jsonl");
    let ran = run(
        command(&[
            "reveal",
            "--tenant",
            &other,
            "--audit",
            &audit,
            "--reason",
            "x",
            old.trim(),
        ]),
        b"",
    );
    assert_eq!(ran.expect(1).stdout, old);
}

#[test]
fn digits_come_back_by_their_label() {
    let folder = Folder::new();
    let redacted = folder.redact("Member M-4711 0815 22 is late.\n");
    let digits = &redacted["Member M-".len().."Member M-4711 0815 22".len()];
    assert_ne!(digits, "4711 0815 22");
    assert!(
        digits.chars().all(|c| c.is_ascii_digit() || c == ' '),
        "{redacted}"
    );
    let ran = run(folder.reveal(&["--label", "member number", digits]), b"").expect(0);
    assert_eq!(ran.stdout, "4711 0815 22\n");
    assert_eq!(folder.events()[0]["label"], "member_number");
    // A number too short for its digits to be encrypted is a token.
    let short = folder.redact("Member M-4711 is late.\n");
    assert!(
        short.starts_with("Member M-weir:1:k1:member_number:"),
        "{short}"
    );
    assert_eq!(
        run(folder.reveal(&[]), short.as_bytes()).expect(0).stdout,
        "Member M-4711 is late.\n"
    );
}

#[test]
fn values_inside_json_are_escaped() {
    let folder = Folder::new();
    folder.write(
        "acme.toml",
        "regexes = [{ name = \"q\", label = \"quote\", regex = '\"x\\\\\"', operator = \"encrypt\" }]\nkeys = { id = \"k1\", file = \"k1\" }\n",
    );
    let redacted = folder.redact("{\"text\": \"say \\\"x\\\\\\\" now\"}\n");
    let json: Value = serde_json::from_str(&redacted).unwrap();
    assert!(
        json["text"].as_str().unwrap().contains("weir:1:k1:quote:"),
        "{redacted}"
    );
    let ran = run(folder.reveal(&["--json"]), redacted.as_bytes()).expect(0);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["text"], "say \"x\\\" now");
}

impl Folder {
    /// A configuration whose events have a topic on brokers at an address.
    fn topic(&self, address: &str, topic: &str) {
        self.write(
            "stream.toml",
            &format!(
                r#"[source]
type = "kafka"
bootstrap_servers = "{address}"
topics = ["documents"]
group_id = "weir"
[sink]
type = "kafka"
[sink.topics]
redactions = "redacted"
dead_letters = "dead"
reveals = "{topic}"
[tenants]
dir = "tenants"
[model]
pack = "weir-mini"
"#
            ),
        );
    }

    fn reveal_to_topic(&self) -> Command {
        command(&[
            "reveal",
            "--tenant",
            &self.path("acme.toml"),
            "--config",
            &self.path("stream.toml"),
            "--reason",
            "a complaint",
            "--by",
            "auditor",
        ])
    }
}

#[test]
fn events_go_to_a_topic_and_nothing_is_printed_that_brokers_do_not_acknowledge() {
    let (folder, place) = (Folder::new(), Place::new(1));
    let redacted = folder.redact("bo@mail.example and al@mail.example\n");
    let [topic] = place.broker.topics([("reveals", 1)]);
    folder.topic(place.address(), &topic);
    let ran = run(folder.reveal_to_topic(), redacted.as_bytes()).expect(0);
    assert_eq!(ran.stdout, "bo@mail.example and al@mail.example\n");
    let events: Vec<Value> = place
        .messages(&topic)
        .iter()
        .map(|message| serde_json::from_slice(message.payload().unwrap()).unwrap())
        .collect();
    assert_eq!(events.len(), 2);
    for event in &events {
        holds_no_value(&event.to_string());
        assert_eq!(event["kind"], "reveal");
        assert_eq!(event["by"], "auditor");
        assert_eq!(event["reason"], "a complaint");
    }
    assert_ne!(events[0]["token_digest"], events[1]["token_digest"]);

    // The broker refuses what is longer than the topic allows.
    let small = format!("{topic}-small");
    let admin: AdminClient<DefaultClientContext> = place.client().create().unwrap();
    let new = NewTopic::new(&small, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "64");
    let options = AdminOptions::new();
    let created = admin.create_topics([&new], &options);
    for own in engine::runtime().block_on(created).unwrap() {
        own.unwrap();
    }
    folder.topic(place.address(), &small);
    let ran = run(folder.reveal_to_topic(), redacted.as_bytes()).expect(69);
    let ran = ran.says(&["has acknowledged 0 of 2 records", "nothing was revealed"]);
    assert_eq!(ran.stdout, "");
}

#[test]
fn without_brokers_or_a_topic_nothing_is_revealed() {
    let folder = Folder::new();
    let redacted = folder.redact(TEXT);
    let refused = |code: i32, says: &str| {
        let ran = run(folder.reveal_to_topic(), redacted.as_bytes());
        assert_eq!(ran.stdout, "");
        holds_no_value(&ran.stderr);
        ran.expect(code).says(&[says]);
    };
    folder.topic("127.0.0.1:1", "reveals");
    refused(69, "nothing was revealed");
    folder.topic("127.0.0.1:1", "no topic");
    refused(78, "is not the name of a topic");
    folder.topic("127.0.0.1:1", "x\"\n#");
    let text = std::fs::read_to_string(folder.path("stream.toml")).unwrap();
    folder.write("stream.toml", &text.replace("reveals = \"x\"\n", ""));
    refused(78, "`sink.topics.reveals` is missing");
    // One or the other.
    let audit = folder.path("audit.jsonl");
    let mut both = folder.reveal_to_topic();
    both.args(["--audit", &audit]);
    assert_eq!(run(both, redacted.as_bytes()).expect(2).stdout, "");
}
