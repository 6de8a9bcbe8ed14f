//! Tenant files as their writers see them, digests, and the reload.

use std::{fs, path::Path};

use proptest::prelude::*;

use super::*;
use crate::{
    diagnose::{Kind, Problems},
    record::Position,
    redact::Operator,
};

fn parse(text: &str) -> Result<Policy, Problems> {
    Policy::parse("acme", Path::new("tenants/acme.toml"), text)
}

fn problems(text: &str) -> String {
    let told = match parse(text) {
        Ok(_) => "none".to_owned(),
        Err(problems) => problems.to_string(),
    };
    assert!(!told.contains("CANARY"), "a value leaks: {told}");
    told
}

#[test]
fn a_whole_file_becomes_a_policy() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("key"),
        "hex:000102030405060708090a0b0c0d0e0f\n",
    )
    .unwrap();
    fs::write(
        dir.path().join("vip.txt"),
        "# people\nAna Ruiz\n\n  Bo Li \n",
    )
    .unwrap();
    let text = r#"
        labels = [
          "person",
          { name = "bank account", description = "number of a bank account", threshold = 0.7, operator = { type = "mask", keep_last = 4 } },
          { name = "customer", operator = "hash" },
        ]
        operator = { type = "replace", new_value = "<{label}>" }
        regexes = [{ name = "ticket", regex = "T-[0-9]+", operator = "keep" }]
        deny = { file = "vip.txt", label = "vip", operator = "redact" }
        allow = ["ACME Support", { term = "Old", until = "2020-01-01" }, { term = "New", until = "2999-01-01", reason = "brand" }]
        emit_text = true
        phone_region = "es"
        keys = { id = "k1", file = "key" }
        [[rules]]
        match = { object = "raw/**" }
        fields = { include = ["/message", "body"], exclude = ["/ctx/id"], whole = ["/name"] }
        [[tests]]
        text = "a"
        expect = "b"
    "#;
    let policy = Policy::parse("acme", &dir.path().join("acme.toml"), text).unwrap();
    let labels: Vec<_> = policy
        .labels
        .labels
        .iter()
        .map(|l| (&*l.name, &*l.wording, l.threshold))
        .collect();
    assert_eq!(
        labels,
        [
            ("person", "person", 0.4),
            ("bank account", "number of a bank account", 0.7),
            ("customer", "customer", 0.4),
        ]
    );
    let operator = |label: &str| &policy.redactor.operators[label];
    assert!(matches!(
        operator("bank account"),
        Operator::Mask {
            character: '*',
            keep_last: 4
        }
    ));
    assert!(
        matches!(operator("customer"), Operator::Hash { key } if &**key.id() == "k1" && key.secret().len() == 16)
    );
    assert!(matches!(operator("vip"), Operator::Remove));
    assert!(matches!(operator("ticket"), Operator::Keep));
    assert!(
        matches!(&policy.redactor.default, Operator::Replace { placeholder: Some(p) } if p == "<{label}>")
    );
    assert!(policy.emit_text);
    assert_eq!(policy.tests[0].expect, "b");
    assert!(
        policy.tests[0].at.ends_with("acme.toml:17:9"),
        "{}",
        policy.tests[0].at
    );
    assert!(
        !format!("{policy:?}").contains("[0, 1, 2"),
        "a key is not printed"
    );
}

#[test]
fn problems_of_a_file_are_told_at_once() {
    let told = problems(
        r#"
labels = ["person", { name = "account", treshold = 0.7 }, { threshold = 2.0, name = "x" }, 7]
pattern = ["email"]
phone_region = 34
[[rules]]
match = { topic = "^logs" }
fields = { includes = ["/a"] }
[[tests]]
text = "a"
"#,
    );
    insta::assert_snapshot!(told, @r#"
    error: unknown key `treshold` in [[labels]]
      tenants/acme.toml:2:41  fix: `threshold`
    error: `labels.threshold` (2) is above 1
      tenants/acme.toml:2:73  fix: 1 or less (default 0.4)
    error: `labels` must be a string or a table, found an integer
      tenants/acme.toml:2:92  fix: write a string or a table
    error: unknown key `pattern`
      tenants/acme.toml:3:1   fix: `patterns`
    error: `phone_region` must be a string, found an integer
      tenants/acme.toml:4:16  fix: `phone_region = "…"`
    error: this version does not support `topic` yet
      tenants/acme.toml:6:11  fix: `object`
    error: unknown key `includes` in [rules.fields]
      tenants/acme.toml:7:12  fix: `include`
    error: `expect` is missing in [[tests]]
      tenants/acme.toml:8:1   fix: add `expect`: The redacted text that is expected
    "#);
}

#[test]
fn what_a_file_means_is_told_with_its_place() {
    let told = problems(
        r#"
labels = ["person", { name = "Person" }, { name = "id", operator = "hash" }]
operator = { type = "mask", chars_to_mask = 4, masking_char = "**" }
regexes = [{ name = "a", regex = "CANARY(" }, { name = "b", regex = "b", operator = { type = "surrogate", key = "CANARY" } }]
allow = [{ term = "x", until = "soon" }]
deny = { file = "no.txt" }
phone_region = "Spain"
keys = [{ id = "k1", env = "WEIR_TEST_UNSET" }, { id = "k2" }]
[[rules]]
match = { object = "^(" }
"#,
    );
    insta::assert_snapshot!(told, @r#"
    error: label "Person" is defined twice
      tenants/acme.toml:2:21   fix: keep one of them
    error: `masking_char` must be one character
      tenants/acme.toml:3:48   fix: "*"
    error: regexes.regex of "a": unclosed group
      tenants/acme.toml:4:26   fix: write an expression of the regex crate, without look-around
    error: `allow.until` is not a date
      tenants/acme.toml:5:24   fix: "2027-01-31"
    error: can't read the file of `deny.file`: no such file
      tenants/acme.toml:6:10   fix: write a path relative to the tenant file
    error: `phone_region` is not the code of a country
      tenants/acme.toml:7:1    fix: "ES"
    error: can't read the variable of the key: the variable is not set
      tenants/acme.toml:8:22   fix: set it where weir runs
    error: a key must hold exactly one of `file`, `env`
      tenants/acme.toml:8:49   fix: keep one of them
    error: `rules.match.object` can't be read: it is not a regular expression
      tenants/acme.toml:10:11  fix: "raw/**" or "^raw/.+"
    "#);
}

#[test]
fn a_secret_in_a_tenant_file_is_refused() {
    let told = problems(
        "labels = []\nkeys = { id = \"k1\", secret = \"CANARY\" }\npassword = \"CANARY\"\n",
    );
    insta::assert_snapshot!(told, @r#"
    error: `secret` would put a secret in the file
      tenants/acme.toml:2:21  fix: `file` or `env`
    error: `password` would put a secret in the file
      tenants/acme.toml:3:1   fix: remove it
    "#);
}

#[test]
fn a_file_that_asks_for_nothing_is_refused_unless_it_says_so() {
    insta::assert_snapshot!(problems("emit_text = true\n"), @r#"
    error: the tenant asks for nothing: every document would pass unchanged
      tenants/acme.toml:1:1  fix: add `labels` or `patterns`; if this is intended, write `labels = []`
    "#);
    assert!(parse("labels = []\n").is_ok());
}

#[test]
fn two_operators_of_one_label_are_in_conflict() {
    let told = problems(
        "labels = [{ name = \"x\", operator = \"mask\" }]\nregexes = [{ name = \"r\", label = \"x\", regex = \"x\", operator = \"keep\" }]\n",
    );
    insta::assert_snapshot!(told, @r#"
    error: the label "x" has two operators: mask with '*' but 0 and keep
      tenants/acme.toml:2:52  fix: keep one of them, or give the pattern its own label
    "#);
}

#[test]
fn operators_have_presidios_names_too() {
    for (written, name) in [
        ("\"redact\"", "Remove"),
        ("{ type = \"redact\" }", "Remove"),
        ("\"keep\"", "Keep"),
        ("{ type = \"replace\", new_value = \"<>\" }", "Replace"),
        ("{ type = \"mask\", masking_char = \"#\" }", "Mask {"),
        (
            "{ type = \"mask\", chars_to_mask = 4, from_end = true }",
            "MaskCount { character: '*', count: 4, from_end: true }",
        ),
    ] {
        let policy = parse(&format!("labels = []\noperator = {written}\n")).unwrap();
        let debug = format!("{:?}", policy.redactor.default);
        assert!(debug.starts_with(name), "{written} gives {debug}");
    }
}

#[test]
fn parameters_that_would_be_ignored_are_refused() {
    for written in [
        "{ type = \"mask\", from_end = true }",
        "{ type = \"mask\", chars_to_mask = 4, keep_last = 4 }",
    ] {
        let told = problems(&format!("labels = []\noperator = {written}\n"));
        assert!(told.contains("chars_to_mask"), "{told}");
    }
}

#[test]
fn keys_are_hex_base64_or_their_own_bytes_and_never_short() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("acme.toml");
    let load = |key: &[u8]| {
        fs::write(dir.path().join("key"), key).unwrap();
        let text = "labels = []\noperator = \"hash\"\nkeys = { id = \"k1\", file = \"key\" }\n";
        Policy::parse("acme", &path, text).map(|policy| match policy.redactor.default {
            Operator::Hash { key } => key.secret().to_vec(),
            other => panic!("not a hash: {other:?}"),
        })
    };
    assert_eq!(
        load(b"hex:000102030405060708090a0b0c0d0e0f").unwrap(),
        (0..16).collect::<Vec<u8>>()
    );
    assert_eq!(
        load(b"base64:AAECAwQFBgcICQoLDA0ODw==\n").unwrap(),
        (0..16).collect::<Vec<u8>>()
    );
    assert_eq!(load(b"0123456789abcdef\r\n").unwrap(), b"0123456789abcdef");
    assert_eq!(load(&[255; 20]).unwrap(), [255; 20]);
    for short in [
        "0123456789abcde\n",
        "hex:00ff",
        "hex:CANARY",
        "base64:CANARY!",
        "",
    ] {
        let told = load(short.as_bytes()).unwrap_err().to_string();
        assert!(
            told.contains("the key \"k1\"") && !told.contains("CANARY"),
            "{told}"
        );
    }
}

#[test]
fn a_tenant_has_its_own_balance_of_recall_and_precision() {
    let text = "labels = [\"a\"]\noperating_point = \"high_recall\"\nrecall_bias = -0.5\n";
    let balance = parse(text).unwrap().labels.balance;
    assert_eq!(balance.operating_point.as_deref(), Some("high_recall"));
    assert_eq!(balance.recall_bias, -0.5);
    let plain = parse("labels = [\"a\"]\n").unwrap();
    assert_eq!(plain.labels.balance, Balance::default());
    for (wrong, key) in [
        ("operating_point = \"\"", "operating_point"),
        ("recall_bias = 101", "recall_bias"),
        ("recall_bias = inf", "recall_bias"),
        ("recall_bias = nan", "recall_bias"),
        ("recall_bias = \"high\"", "recall_bias"),
    ] {
        let told = problems(&format!("labels = [\"a\"]\n{wrong}\n"));
        assert!(
            told.contains(&format!("`{key}`")) && told.contains("acme.toml:2:"),
            "{told}"
        );
    }
}

#[test]
fn digests_follow_what_they_are_of() {
    let digests = |text: &str| {
        let policy = parse(text).unwrap();
        (policy.labels.digest.to_string(), policy.digest.to_string())
    };
    let (labels, policy) = digests("labels = [\"a\", \"b\"]\n");
    assert_eq!((labels.len(), policy.len()), (64, 64));
    assert_eq!(
        digests("# as before\nlabels = [\"a\", { name = \"b\", threshold = 0.4 }]\n"),
        (labels.clone(), policy.clone())
    );
    assert_eq!(
        digests("recall_bias = 0.0\nlabels = [\"a\", \"b\"]\n"),
        (labels.clone(), policy.clone())
    );
    let other_operator = digests("labels = [\"a\", \"b\"]\noperator = \"mask\"\n");
    assert_eq!(other_operator.0, labels);
    assert_ne!(other_operator.1, policy);
    for changed in [
        "labels = [\"b\", \"a\"]\n",
        "labels = [\"a\", { name = \"b\", threshold = 0.6 }]\n",
        "labels = [\"a\", { name = \"b\", description = \"c\" }]\n",
        "labels = [\"ab\"]\n",
        "labels = [\"a\", \"b\"]\nrecall_bias = 0.5\n",
        "labels = [\"a\", \"b\"]\noperating_point = \"high_recall\"\n",
    ] {
        let changed = digests(changed);
        assert_ne!(changed.0, labels);
        assert_ne!(changed.1, policy);
    }
    for changed in [
        "deny = [\"x\"]",
        "allow = [\"x\"]",
        "emit_text = true",
        "phone_region = \"US\"",
        "rules = [{ fields = { exclude = [\"/x\"] } }]",
    ] {
        let changed = digests(&format!("labels = [\"a\", \"b\"]\n{changed}\n"));
        assert_eq!(changed.0, labels);
        assert_ne!(changed.1, policy);
    }
}

fn position(object: &str) -> Position {
    Position::Object {
        object: object.to_owned(),
        version: None,
        record: None,
    }
}

#[test]
fn columns_are_chosen_by_the_first_rule_that_matches() {
    let policy = parse(
        r#"
labels = []
[[rules]]
match = { object = "raw/*.parquet" }
fields = { include = ["body", "note"], exclude = ["note"], whole = ["name"] }
[[rules]]
match = { object = "^other/" }
fields = { exclude = ["body"] }
"#,
    )
    .unwrap();
    let fields = |object: &str| -> Vec<(String, bool)> {
        let rule = policy.rule(&position(object));
        ["body", "note", "name", "free"]
            .into_iter()
            .filter_map(|column| {
                Some((
                    column.to_owned(),
                    rule.map_or(Some(false), |rule| rule.column(column))?,
                ))
            })
            .collect()
    };
    let named = |fields: &[(&str, bool)]| -> Vec<(String, bool)> {
        fields
            .iter()
            .map(|(name, whole)| ((*name).to_owned(), *whole))
            .collect()
    };
    assert_eq!(
        fields("raw/a.parquet"),
        named(&[("body", false), ("name", true)])
    );
    assert_eq!(
        fields("other/a.parquet"),
        named(&[("note", false), ("name", false), ("free", false)])
    );
    assert_eq!(
        fields("raw/deep/a.parquet").len(),
        4,
        "no rule matches: nothing goes unread"
    );
}

#[test]
fn an_unknown_tenant_is_not_the_default_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("acme.toml"), "labels = [\"a\"]\n").unwrap();
    fs::write(dir.path().join(".hidden.toml"), "not toml").unwrap();
    fs::write(dir.path().join("notes.txt"), "not toml").unwrap();
    let tenants = Tenants::load(dir.path(), Some("acme")).unwrap();
    assert_eq!(&*tenants.policy(None).unwrap().tenant, "acme");
    assert!(tenants.policy(Some("acme")).is_some());
    assert!(tenants.policy(Some("other")).is_none());
    assert!(
        Tenants::load(dir.path(), None)
            .unwrap()
            .policy(None)
            .is_none()
    );
    let told = Tenants::load(dir.path(), Some("acne"))
        .unwrap_err()
        .to_string();
    assert!(told.contains("fix: tenants.default = \"acme\""), "{told}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[derive(Debug, Clone)]
enum Edit {
    Good(u8),
    Bad,
    Absent,
    Other(bool),
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0..4_u8).prop_map(Edit::Good),
        Just(Edit::Bad),
        Just(Edit::Absent),
        any::<bool>().prop_map(Edit::Other),
    ]
}

/// Names and labels of a set.
fn shape(tenants: &Tenants) -> Vec<(String, Vec<String>)> {
    let labels = |policy: &Policy| {
        policy
            .labels
            .labels
            .iter()
            .map(|l| l.name.to_string())
            .collect()
    };
    tenants
        .iter()
        .map(|policy| (policy.tenant.to_string(), labels(policy)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_set_in_use_is_always_the_last_good_one(edits in prop::collection::vec(edit(), 1..10)) {
        let dir = tempfile::tempdir().unwrap();
        let (acme, other) = (dir.path().join("acme.toml"), dir.path().join("other.toml"));
        fs::write(&acme, "labels = [\"start\"]\n").unwrap();
        fs::write(&other, "labels = [\"o\"]\n").unwrap();
        runtime().block_on(async {
            let mut options = reload::Options::new(dir.path().to_owned(), Some("acme".to_owned()));
            options.quiet = std::time::Duration::from_millis(1);
            let (service, handle) = options.build().unwrap();
            let drain = tokio_util::sync::CancellationToken::new();
            let running = tokio::spawn(service.run(drain.clone()));
            let mut last_good = shape(&handle.current());
            for edit in edits {
                match edit {
                    Edit::Good(i) => fs::write(&acme, format!("labels = [\"l{i}\"]\n")).unwrap(),
                    Edit::Bad => fs::write(&acme, "labels = [\"CANARY\", 7]\n").unwrap(),
                    Edit::Absent => drop(fs::remove_file(&acme)),
                    Edit::Other(there) if there => fs::write(&other, "labels = [\"o\"]\n").unwrap(),
                    Edit::Other(_) => drop(fs::remove_file(&other)),
                }
                // The model: what a fresh start would load, if it would start at all.
                if let Ok(fresh) = Tenants::load(dir.path(), Some("acme")) {
                    last_good = shape(&fresh);
                }
                handle.reload().await.expect("the service runs");
                prop_assert_eq!(shape(&handle.current()), last_good.clone());
            }
            drain.cancel();
            running.await.unwrap();
            Ok(())
        })?;
    }
}

async fn until(handle: &reload::Handle, label: &str) {
    let deadline = std::time::Duration::from_secs(20);
    let found = tokio::time::timeout(deadline, async {
        while shape(&handle.current())[0].1 != [label] {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    });
    assert!(
        found.await.is_ok(),
        "the new set is not in use after {deadline:?}"
    );
}

#[test]
fn a_change_of_a_file_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("acme.toml"), "labels = [\"one\"]\n").unwrap();
    runtime().block_on(async {
        let options = reload::Options::new(dir.path().to_owned(), None);
        let (service, handle) = options.build().unwrap();
        let drain = tokio_util::sync::CancellationToken::new();
        let running = tokio::spawn(service.run(drain.clone()));
        until(&handle, "one").await;
        tokio::task::yield_now().await;
        fs::write(dir.path().join("acme.toml"), "labels = [\"two\"]\n").unwrap();
        until(&handle, "two").await;
        assert_eq!(handle.reload().await, Some(reload::Outcome::Unchanged));
        drain.cancel();
        running.await.unwrap();
        assert_eq!(handle.reload().await, None);
    });
}

#[test]
fn tenants_that_the_pack_cannot_serve_are_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("acme.toml");
    let mut options = reload::Options::new(dir.path().to_owned(), None);
    options.unfit = Some(std::sync::Arc::new(|tenants: &Tenants| {
        let mut problems = Problems::default();
        if shape(tenants)[0].1 == ["unknown"] {
            let at = place(Path::new("acme.toml"), "labels");
            problems.push(
                Kind::Invalid("no category".to_owned()),
                &at,
                "another label",
            );
        }
        problems
    }));
    fs::write(&file, "labels = [\"unknown\"]\n").unwrap();
    let refused = options.clone().build().err().unwrap();
    assert!(refused.to_string().contains("no category"), "{refused}");
    fs::write(&file, "labels = [\"one\"]\n").unwrap();
    runtime().block_on(async {
        let (service, handle) = options.build().unwrap();
        let drain = tokio_util::sync::CancellationToken::new();
        let running = tokio::spawn(service.run(drain.clone()));
        fs::write(&file, "labels = [\"unknown\"]\n").unwrap();
        assert_eq!(handle.reload().await, Some(reload::Outcome::Kept));
        assert_eq!(shape(&handle.current())[0].1, ["one"]);
        drain.cancel();
        running.await.unwrap();
    });
}

#[test]
fn a_change_before_the_service_runs_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("acme.toml"), "labels = [\"one\"]\n").unwrap();
    runtime().block_on(async {
        let options = reload::Options::new(dir.path().to_owned(), None);
        let (service, handle) = options.build().unwrap();
        fs::write(dir.path().join("acme.toml"), "labels = [\"two\"]\n").unwrap();
        let drain = tokio_util::sync::CancellationToken::new();
        let running = tokio::spawn(service.run(drain.clone()));
        until(&handle, "two").await;
        drain.cancel();
        running.await.unwrap();
    });
}

/// Kubernetes mounts a ConfigMap as links into `..data`, a link to a folder, and swaps that link.
#[cfg(unix)]
#[test]
fn a_swapped_config_map_is_noticed() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let version = |name: &str, label: &str| {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(
            dir.path().join(name).join("acme.toml"),
            format!("labels = [\"{label}\"]\n"),
        )
        .unwrap();
    };
    version("..1", "one");
    symlink("..1", dir.path().join("..data")).unwrap();
    symlink("..data/acme.toml", dir.path().join("acme.toml")).unwrap();
    runtime().block_on(async {
        let options = reload::Options::new(dir.path().to_owned(), None);
        let (service, handle) = options.build().unwrap();
        let drain = tokio_util::sync::CancellationToken::new();
        let running = tokio::spawn(service.run(drain.clone()));
        until(&handle, "one").await;
        tokio::task::yield_now().await;
        version("..2", "two");
        symlink("..2", dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
        until(&handle, "two").await;
        drain.cancel();
        running.await.unwrap();
    });
}

proptest! {
    #[test]
    fn any_text_gives_an_answer_and_no_panic(text in "(\\PC|\n){0,200}") {
        let _ = parse(&text);
    }
}

#[test]
fn pointers_and_columns_of_a_rule_do_not_meddle() {
    let policy = parse("labels = []\n[[rules]]\nfields = { include = [\"/a\", \"b\"], exclude = [\"/c\"], whole = [\"/d\"] }\n").unwrap();
    let rule = policy.rule(&Position::Stdin { line: 0 }).unwrap();
    assert_eq!(rule.include_pointers().collect::<Vec<_>>(), ["/a"]);
    assert_eq!(rule.exclude_pointers().collect::<Vec<_>>(), ["/c"]);
    assert_eq!(rule.whole_pointers().collect::<Vec<_>>(), ["/d"]);
    assert_eq!(
        (rule.column("b"), rule.column("a"), rule.column("c")),
        (Some(false), None, None)
    );
}
