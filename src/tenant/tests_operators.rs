//! Operators and keys as writers of tenant files see them.

use std::{fs, path::Path};

use super::*;
use crate::{diagnose::Problems, redact::Operator};

/// A file's policy, next to two keys in the files `a` and `b`.
fn parse(text: &str) -> Result<Policy, Problems> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "hex:000102030405060708090a0b0c0d0e0f").unwrap();
    fs::write(dir.path().join("b"), "hex:0f0e0d0c0b0a09080706050403020100").unwrap();
    Policy::parse("acme", &dir.path().join("acme.toml"), text)
}

fn problems(text: &str) -> String {
    match Policy::parse("acme", Path::new("acme.toml"), text) {
        Ok(_) => "none".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

const ONE_KEY: &str = "keys = { id = \"k1\", file = \"a\" }\n";

#[test]
fn operators_are_read_with_their_parameters() {
    for (written, shown) in [
        ("\"truncate\"", "Truncate { first: 6 }"),
        (
            "{ type = \"truncate\", first = 8 }",
            "Truncate { first: 8 }",
        ),
        (
            "\"generalise\"",
            "Generalise(Generalise { kind: None, band: 10, oldest_year: None })",
        ),
        (
            "{ type = \"generalise\", kind = \"date\", band = 5, oldest_year = 1937 }",
            "Generalise(Generalise { kind: Some(Date), band: 5, oldest_year: Some(1937) })",
        ),
        ("\"shift\"", "Shift { key: Key(k1), days: 365 }"),
        (
            "{ type = \"shift\", key = \"k1\", days = 30 }",
            "Shift { key: Key(k1), days: 30 }",
        ),
        ("\"encrypt\"", "Encrypt { key: Key(k1), format: Token }"),
        (
            "{ type = \"encrypt\", format = \"digits\", min_digits = 8 }",
            "Encrypt { key: Key(k1), format: Digits { fewest: 8 } }",
        ),
    ] {
        let policy = parse(&format!("labels = []\noperator = {written}\n{ONE_KEY}")).unwrap();
        assert_eq!(format!("{:?}", policy.redactor.default), shown, "{written}");
    }
}

#[test]
fn parameters_that_make_no_sense_are_refused() {
    insta::assert_snapshot!(problems(r#"
labels = [
  { name = "born", operator = { type = "generalise", kind = "years" } },
  { name = "date", operator = { type = "shift", days = 0 } },
]
"#), @r#"
    error: `labels.operator.kind` is not one of the known values: "years"
      acme.toml:3:61  fix: "age" or "date" or "zip"
    error: `labels.operator.days` (0) is below 1
      acme.toml:4:56  fix: 1 or more (default 365)
    "#);
    for (written, said) in [
        (
            "{ name = \"card\", operator = { type = \"truncate\", first = 7 } }",
            "`first` must be 6 or 8",
        ),
        (
            "{ name = \"visit\", operator = \"generalise\" }",
            "the label \"visit\" does not say what `generalise` makes of it",
        ),
        (
            "{ name = \"day\", operator = \"shift\" }",
            "the operator needs a key",
        ),
    ] {
        let told = problems(&format!("labels = [{written}]\n"));
        assert!(
            told.contains(said) && told.contains("acme.toml:1:"),
            "{told}"
        );
    }
}

#[test]
fn encryption_that_would_be_weak_or_unreadable_is_refused() {
    for (written, said) in [
        (
            "{ type = \"encrypt\", format = \"digits\", min_digits = 5 }",
            "fewer than a million values can be searched",
        ),
        (
            "{ type = \"encrypt\", min_digits = 8 }",
            "is of `format = \"digits\"`",
        ),
        (
            "{ type = \"seal\", recipient = \"CANARY\" }",
            "is not a public key of age",
        ),
        ("\"seal\"", "seal"),
    ] {
        let text = format!("labels = []\noperator = {written}\n{ONE_KEY}");
        let told = parse(&text).unwrap_err().to_string();
        assert!(told.contains(said) && !told.contains("CANARY"), "{told}");
    }
    let odd = ONE_KEY.replace("k1", "key 1");
    let told = parse(&format!("labels = []\noperator = \"encrypt\"\n{odd}")).unwrap_err();
    assert!(
        told.to_string().contains("cannot stand in a token"),
        "{told}"
    );
}

#[test]
fn card_numbers_are_not_hashed_and_truncated_by_one_tenant() {
    let hashed_elsewhere = "labels = [{ name = \"credit card\", operator = \"hash\" }]\npatterns = [{ name = \"card\", label = \"payment card\", operator = \"truncate\" }]\n";
    let by_default = "labels = [\"debit card\"]\noperator = \"hash\"\nregexes = [{ name = \"shop\", label = \"number\", regex = '\\d{16}', operator = \"truncate\" }]\n";
    let other_case = "labels = [{ name = \"member\", operator = \"truncate\" }]\nregexes = [{ name = \"r\", label = \"Member\", regex = '\\d{16}', operator = \"hash\" }]\n";
    for text in [hashed_elsewhere, by_default, other_case] {
        let told = parse(&format!("{text}{ONE_KEY}")).unwrap_err().to_string();
        assert!(
            told.contains("together they give the number away"),
            "{told}"
        );
    }
    let apart = "labels = [{ name = \"person\", operator = \"hash\" }]\npatterns = [{ name = \"card\", label = \"payment card\", operator = \"truncate\" }]\n";
    parse(&format!("{apart}{ONE_KEY}")).unwrap();
}

const TWO_KEYS: &str =
    "keys = [{ id = \"k1\", file = \"a\" }, { id = \"k2\", file = \"b\", primary = true }]\n";

#[test]
fn the_primary_key_makes_new_values_and_the_others_do_not() {
    let policy = parse(&format!("labels = []\noperator = \"hash\"\n{TWO_KEYS}")).unwrap();
    assert!(matches!(&policy.redactor.default, Operator::Hash { key } if &**key.id() == "k2"));
    assert!(policy.keyring.key("k1").is_some());
    let ids: Vec<&str> = policy.keys().iter().map(|key| &*key.id).collect();
    assert_eq!(ids, ["k2"]);
    let old = "labels = []\noperator = { type = \"hash\", key = \"k1\" }\n";
    let told = parse(&format!("{old}{TWO_KEYS}")).unwrap_err().to_string();
    assert!(told.contains("only reads older values"), "{told}");
    let both = TWO_KEYS.replace("\"a\"", "\"a\", primary = true");
    let told = parse(&format!("labels = []\n{both}"))
        .unwrap_err()
        .to_string();
    assert!(told.contains("two keys are `primary`"), "{told}");
    // Without a primary key each operator names its own, as before.
    let none = TWO_KEYS.replace(", primary = true", "");
    parse(&format!("{old}{none}")).unwrap();
    let told = parse(&format!("labels = []\noperator = \"hash\"\n{none}")).unwrap_err();
    assert!(told.to_string().contains("primary = true"), "{told}");
}

#[test]
fn a_policy_digest_follows_the_keys_that_make_values() {
    let digest = |text: &str| parse(text).unwrap().digest.to_string();
    let hash = "labels = []\noperator = \"hash\"\n";
    let first = digest(&format!("{hash}{ONE_KEY}"));
    // The same id, another secret.
    let swapped = ONE_KEY.replace("\"a\"", "\"b\"");
    assert_ne!(first, digest(&format!("{hash}{swapped}")));
    // A key that only reads changes nothing that is made.
    let old =
        "keys = [{ id = \"k1\", file = \"a\", primary = true }, { id = \"k0\", file = \"b\" }]\n";
    assert_eq!(first, digest(&format!("{hash}{old}")));
    let plain = digest("labels = []\n");
    assert_eq!(plain, digest(&format!("labels = []\n{ONE_KEY}")));
    assert_ne!(plain, digest("labels = []\nsubject = \"/patient\"\n"));
}

#[test]
fn policies_without_keys_keep_the_parts_of_earlier_versions_in_their_digest() {
    let text = "labels = [\"person\"]\npatterns = [{ name = \"email\", operator = \"remove\" }]\n";
    let policy = parse(text).unwrap();
    let parts = serde_json::json!([
        "acme",
        &*policy.labels.digest,
        [["email", "email"]],
        [],
        [],
        [],
        null,
        { "email": "remove" },
        "replace",
        [],
        false
    ]);
    let expected = blake3::hash(parts.to_string().as_bytes()).to_hex();
    assert!(expected.starts_with(&*policy.digest), "{}", policy.digest);
}

#[test]
fn a_key_is_rotated_by_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("a", "sixteen bytes ok");
    write("b", "sixteen more of them");
    let keys = |first: &str, second: &str| {
        format!(
            "labels = []\noperator = \"hash\"\nkeys = [{{ id = \"k1\", file = \"a\"{first} }}, {{ id = \"k2\", file = \"b\"{second} }}]\n"
        )
    };
    write("acme.toml", &keys(", primary = true", ""));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let options = reload::Options::new(dir.path().to_owned(), Some("acme".to_owned()));
        let (service, handle) = options.build().unwrap();
        let drain = tokio_util::sync::CancellationToken::new();
        let running = tokio::spawn(service.run(drain.clone()));
        let in_use = || {
            let policy = handle.current().policy(None).unwrap().clone();
            (policy.keys().to_vec(), policy.digest.clone())
        };
        let (first, first_digest) = in_use();
        assert_eq!(&*first[0].id, "k1");
        write("acme.toml", &keys("", ", primary = true"));
        handle.reload().await;
        let (second, second_digest) = in_use();
        assert_eq!(&*second[0].id, "k2");
        assert_ne!(first_digest, second_digest);
        let policy = handle.current().policy(None).unwrap().clone();
        assert!(
            policy.keyring.key("k1").is_some(),
            "the old key still reads"
        );
        // The file of the key changes, and nothing else does.
        write("b", "sixteen bytes, another key");
        handle.reload().await;
        let (third, third_digest) = in_use();
        assert_eq!(third[0].id, second[0].id);
        assert_ne!(third[0].fingerprint, second[0].fingerprint);
        assert_ne!(third_digest, second_digest);
        drain.cancel();
        running.await.unwrap();
    });
}

#[test]
fn encryption_per_subject_needs_a_store_and_a_key_and_nothing_else() {
    let per_subject = |more: &str| {
        format!("labels = []\noperator = {{ type = \"encrypt\", per = \"subject\"{more} }}\n")
    };
    let store = "subject_keys = { url = \"keys\" }\n";
    let policy = parse(&(per_subject("") + ONE_KEY + store)).unwrap();
    let shown = format!("{:?}", policy.redactor.default);
    assert_eq!(shown, "EncryptPerSubject { key: Key(k1) }");
    assert!(policy.redactor.needs_subject() && policy.redactor.needs_subject_key());
    assert!(policy.subject_keys.unwrap().url().ends_with("/keys"));
    let bucket = |more: &str| format!("subject_keys = {{ url = \"s3://b/k\"{more} }}\n");
    for (text, said) in [
        (per_subject("") + ONE_KEY, "needs `subject_keys`"),
        (per_subject("") + store, "needs a key"),
        (
            per_subject(", key = \"k1\"") + ONE_KEY + store,
            "excludes `key`",
        ),
        (
            per_subject(", format = \"digits\"") + ONE_KEY + store,
            "excludes `key`",
        ),
        (
            per_subject("") + ONE_KEY + "subject_keys = { url = \"ftp://CANARY\" }\n",
            "`subject_keys.url`",
        ),
        (
            per_subject("") + ONE_KEY + "subject_keys = { url = \"s3://u:CANARY@b\" }\n",
            "holds a password",
        ),
        (
            per_subject("")
                + ONE_KEY
                + &bucket(", options = { aws_secret_access_key = \"CANARY\" }"),
            "would put a secret in the file",
        ),
        (
            per_subject("") + ONE_KEY + &bucket(", options = { aws_reigon = \"x\" }"),
            "has no option `aws_reigon`",
        ),
        (per_subject("") + ONE_KEY + "subject_keys = {}\n", "url"),
    ] {
        let told = parse(&text).unwrap_err().to_string();
        assert!(told.contains(said) && !told.contains("CANARY"), "{told}");
    }
}

#[test]
fn the_digest_says_whose_key_encrypts_and_where_it_is() {
    let digest = |operator: &str, store: &str| {
        let text = format!("labels = []\noperator = {operator}\n{ONE_KEY}{store}");
        parse(&text).unwrap().digest
    };
    let per_subject = "{ type = \"encrypt\", per = \"subject\" }";
    let digests = [
        digest("\"encrypt\"", ""),
        digest(per_subject, "subject_keys = { url = \"keys\" }\n"),
        digest(per_subject, "subject_keys = { url = \"other\" }\n"),
    ];
    let apart: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(apart.len(), 3);
}
