//! Kafka's part of the configuration, as the user sees it.

use std::path::Path;

use super::*;
use crate::config::{
    pipeline::Delivery,
    source::{Codec, GroupProtocol, OffsetReset},
};

const STREAM: &str = r#"[source]
type = "kafka"
bootstrap_servers = "kafka:9092"
topics = ["documents", "^logs\\..+"]
group_id = "weir"
[sink]
type = "kafka"
topics = { entities = "documents.entities", redactions = "redacted.{tenant}", dead_letters = "dlq.documents" }
[tenants]
dir = "./tenants"
[model]
pack = "pack"
"#;

/// Everything that is wrong with the stream and some lines more, each behind a line of it.
fn problems(more: &[(&str, &str)]) -> String {
    let mut text = STREAM.to_owned();
    for (after, line) in more {
        text = text.replacen(after, &format!("{after}\n{line}"), 1);
    }
    told(&text)
}

fn told(text: &str) -> String {
    let resolved = Config::parse("stream.toml", text, 1, [], &[])
        .and_then(|written| written.resolve(Path::new("stream.toml")));
    match resolved {
        Ok(_) => "none".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

const SOURCE: &str = "group_id = \"weir\"";
const SINK: &str = "[sink]\ntype = \"kafka\"";

#[test]
fn a_stream_needs_little() {
    let written = Config::parse("stream.toml", STREAM, 1, [], &[]).unwrap();
    let resolved = written.resolve(Path::new("stream.toml")).unwrap();
    let (Source::Kafka(source), Sink::Kafka(sink)) = (&resolved.source, &resolved.sink) else {
        panic!("not a stream");
    };
    assert_eq!(source.group_protocol, GroupProtocol::Classic);
    assert_eq!(source.offset_reset, OffsetReset::Earliest);
    assert_eq!(source.codec, Codec::Json);
    assert_eq!(sink.delivery, Delivery::ExactlyOnce);
    assert_eq!(sink.brokers.settings, source.brokers.settings);
    assert_eq!(sink.transaction.max_documents, 5000);
}

#[test]
fn what_would_break_the_promise_is_refused_by_name() {
    let options = "librdkafka_options = { \"enable.auto.commit\" = \"true\", \
                   \"group.id\" = \"other\", \"fetch.min.bytes\" = \"1\" }";
    insta::assert_snapshot!(problems(&[(SOURCE, options)]), @r#"
    error: `enable.auto.commit` may not be set: offsets would be committed before their records
      stream.toml:6:1  fix: remove it
    error: `group.id` has its own key in weir's configuration
      stream.toml:6:1  fix: use `group_id`
    "#);
    let options = "librdkafka_options = { \"acks\" = \"1\", \"linger.ms\" = \"20\" }";
    insta::assert_snapshot!(problems(&[(SINK, options)]), @r#"
    error: `acks` may not be set: records could be lost with a broker
      stream.toml:8:24  fix: remove it
    "#);
}

#[test]
fn a_password_comes_from_a_file_or_a_variable() {
    let written_down =
        "sasl = { mechanism = \"PLAIN\", username = \"weir\", password = \"CANARY\" }";
    let told = problems(&[(SOURCE, written_down)]);
    assert!(!told.contains("CANARY"), "{told}");
    insta::assert_snapshot!(told, @r#"
    error: `password` would put a secret in the file
      stream.toml:6:50  fix: password_file or password_env
    "#);
    let none = "sasl = { mechanism = \"SCRAM-SHA-512\", username = \"weir\" }";
    insta::assert_snapshot!(problems(&[(SOURCE, none)]), @r#"
    error: "SCRAM-SHA-512" needs `username` and a password
      stream.toml:6:1  fix: add username, and password_file or password_env
    "#);
    let no_file =
        "sasl = { mechanism = \"PLAIN\", username = \"weir\", password_file = \"/not/there\" }";
    insta::assert_snapshot!(problems(&[(SOURCE, no_file)]), @r#"
    error: can't read the secret that `source.sasl.password_file` names: no such file
      stream.toml:6:50  fix: name a readable file, or a variable that is set
    "#);
    let token = "sasl = { mechanism = \"OAUTHBEARER\" }";
    insta::assert_snapshot!(problems(&[(SOURCE, token)]), @r#"
    error: OAUTHBEARER needs `token_file`
      stream.toml:6:1  fix: name the file that holds the token
    "#);
}

#[test]
fn login_and_encryption_become_librdkafkas_settings_and_stay_unseen() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("password"), "CANARY\n").unwrap();
    let text = STREAM.replace(
        SOURCE,
        "group_id = \"weir\"\ntls = { ca_file = \"ca.pem\" }\n\
         sasl = { mechanism = \"SCRAM-SHA-256\", username = \"weir\", password_file = \"password\" }",
    );
    let file = folder.path().join("stream.toml");
    let written = Config::parse("stream.toml", &text, 1, [], &[]).unwrap();
    let resolved = written.resolve(&file).unwrap();
    assert!(!format!("{resolved:?}").contains("CANARY"));
    let Sink::Kafka(sink) = &resolved.sink else {
        panic!("not a stream");
    };
    // The sink takes the source's brokers with their login.
    let ca = folder.path().join("ca.pem").display().to_string();
    let wanted = [
        ("bootstrap.servers", "kafka:9092"),
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.location", &ca),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", "weir"),
        ("sasl.password", "CANARY"),
    ];
    assert_eq!(sink.brokers.settings, wanted.into_iter().collect());
}

#[test]
fn bounds_fit_together() {
    let text = format!("{STREAM}[pipeline]\ndrain_timeout_secs = 60\n");
    insta::assert_snapshot!(told(&text), @r#"
    error: drain_timeout_secs (60) is not below session_timeout_ms (45000)
      stream.toml:14:1  fix: 22, or raise source.session_timeout_ms
    "#);
    let transaction = "transaction = { timeout_ms = 1000, max_ms = 1000 }";
    insta::assert_snapshot!(problems(&[(SINK, transaction)]), @r#"
    error: sink.transaction.max_ms (1000) is not below timeout_ms (1000)
      stream.toml:8:1  fix: a transaction must end before its timeout
    "#);
}

#[test]
fn outputs_are_not_the_input_and_stay_among_the_operators_topics() {
    let text = STREAM
        .replace("\"documents.entities\"", "\"logs.entities\"")
        .replace("\"redacted.{tenant}\"", "\"{tenant}\"")
        .replace("\"dlq.documents\"", "\"dlq/documents\"");
    insta::assert_snapshot!(told(&text), @r#"
    error: sink.topics.entities is a topic that source.topics reads: weir would read its own output
      stream.toml:8:12  fix: another topic
    error: `sink.topics.redactions` begins with {tenant}
      stream.toml:8:40  fix: put a name of your own before it
    error: `sink.topics.dead_letters` is not the name of a topic
      stream.toml:8:65  fix: letters, digits, `.`, `_` and `-`
    "#);
}

#[test]
fn a_hashed_key_needs_a_secret() {
    insta::assert_snapshot!(problems(&[(SINK, "key = \"hash\"")]), @r#"
    error: sink.key = "hash" needs a secret: without one keys of few values could be guessed
      stream.toml:8:1  fix: add hash_key_file or hash_key_env
    "#);
}

#[test]
fn names_of_other_programs_are_translated() {
    let text = STREAM
        .replace("bootstrap_servers", "seed_brokers")
        .replace("group_id", "consumer_group");
    let told = told(&text);
    for fix in ["`bootstrap_servers`", "`group_id`"] {
        assert!(told.contains(&format!("fix: {fix}")), "{told}");
    }
}

#[test]
fn tenant_and_id_may_stand_beside_the_record() {
    let beside = "tenant = { key = \"{tenant}/*\" }\nid = { header = \"ce_id\" }";
    assert_eq!(problems(&[(SOURCE, beside)]), "none");
    let wrong = "tenant = { column = \"team\" }\nid = { key = \"whole\" }";
    insta::assert_snapshot!(problems(&[(SOURCE, wrong)]), @r#"
    error: a Kafka record has no columns, so `column` cannot name its tenant
      stream.toml:6:1  fix: tenant = { header = "…" }, { key = "{tenant}" } or { field = "…" }
    error: `source.id.key` is not usable: `{id}` must stand in it exactly once
      stream.toml:7:8  fix: such as "{id}"
    "#);
}

#[test]
fn source_and_sink_go_together() {
    let text = STREAM.replace(
        &STREAM[STREAM.find("[source]").unwrap()..STREAM.find("[sink]").unwrap()],
        "[source]\ntype = \"object_store\"\nurl = \"in\"\n",
    );
    let text = text.replace(
        SINK,
        "[sink]\ntype = \"kafka\"\nbootstrap_servers = \"kafka:9092\"",
    );
    insta::assert_snapshot!(told(&text), @r#"
    error: a sink of type "kafka" needs a source of type "kafka": the offsets are committed with the records
      stream.toml:5:1  fix: "object_store" or "stdout"
    "#);
}
