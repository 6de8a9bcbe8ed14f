//! Every kind of problem as the user sees it, and what resolving gives.

use std::path::Path;

use super::*;
use crate::model::PackRef;

/// Problems of a text, without those about sections that the case does not show.
fn problems(text: &str) -> String {
    let Err(mut problems) = Config::parse("weir.toml", text, 1, [], &[]) else {
        return "none".to_owned();
    };
    problems
        .0
        .retain(|problem| !matches!(problem.kind, Kind::MissingSection(_)));
    problems.to_string()
}

/// Problems of resolving a text, with the sections that it does not have.
fn unresolved(text: &str) -> String {
    let mut text = text.to_owned();
    for (name, section) in SECTIONS {
        if !text.contains(&format!("[{name}]")) {
            text.push_str(section);
        }
    }
    let written = Config::parse("weir.toml", &text, 1, [], &[]).unwrap();
    match written.resolve(Path::new("weir.toml")) {
        Ok(_) => "none".to_owned(),
        Err(problems) => problems.to_string(),
    }
}

const SECTIONS: [(&str, &str); 4] = [
    (
        "source",
        "[source]\ntype = \"object_store\"\nurl = \"./in\"\n",
    ),
    ("sink", "[sink]\ntype = \"object_store\"\nurl = \"./out\"\n"),
    ("tenants", "[tenants]\ndir = \"./tenants\"\n"),
    ("model", "[model]\npack = \"pack\"\n"),
];

#[test]
fn a_typo_names_the_nearest_key() {
    let text = r##"[batch]
max_token = 1
lingerms = 5
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: unknown key `max_token` in [batch]
      weir.toml:2:1  fix: `max_tokens`
    error: unknown key `lingerms` in [batch]
      weir.toml:3:1  fix: `linger_ms`
    "#);
}

#[test]
fn a_typo_in_a_tagged_section_names_its_type() {
    let text = r##"[source]
type = "object_store"
url = "./in"
includes = ["**"]
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: unknown key `includes` in [source] of type "object_store"
      weir.toml:4:1  fix: `include`
    "#);
}

#[test]
fn a_typo_of_a_section_names_the_nearest_one() {
    let text = r##"[sorce]
type = "stdin"
[telemetri]
listen = "x"
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: unknown section [sorce]
      weir.toml:1:2  fix: [source]
    error: unknown section [telemetri]
      weir.toml:3:2  fix: [telemetry]
    "#);
}

#[test]
fn a_wrong_type_says_what_was_expected() {
    let text = r##"[batch]
max_tokens = "many"
linger_ms = 1.5
[source]
type = "object_store"
url = ["./in"]
include = "**/*.log"
columns = true
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `batch.max_tokens` must be an integer, found a string
      weir.toml:2:14  fix: `max_tokens = 1024` is the default
    error: `batch.linger_ms` must be an integer, found a number
      weir.toml:3:13  fix: `linger_ms = 5` is the default
    error: `source.url` must be a string, found a list
      weir.toml:6:7   fix: `url = "…"`
    error: `source.include` must be a list, found a string
      weir.toml:7:11  fix: `include = ["**"]` is the default
    error: `source.columns` must be a table, found true or false
      weir.toml:8:11  fix: `columns = { … }`
    "#);
}

#[test]
fn a_number_out_of_range_names_the_bound() {
    let text = r##"[batch]
max_tokens = 0
linger_ms = -1
[model]
pack = "p"
threads = 4096
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `batch.max_tokens` (0) is below 1
      weir.toml:2:14  fix: 1 or more (default 1024)
    error: `batch.linger_ms` (-1) is below 0
      weir.toml:3:13  fix: 0 or more (default 5)
    error: `model.threads` (4096) is above 1024
      weir.toml:6:11  fix: 1024 or less
    "#);
}

#[test]
fn an_unknown_word_names_the_nearest_one() {
    let text = r##"[telemetry]
log_format = "jsn"
log_level = "loud"
[sink]
type = "object_store"
url = "./out"
formats = { redactions = "csv" }
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `telemetry.log_format` is not one of the known values: "jsn"
      weir.toml:2:14  fix: "json"
    error: `telemetry.log_level` is not one of the known values: "loud"
      weir.toml:3:13  fix: "error" or "warn" or "info" or "debug" or "trace"
    error: `sink.formats.redactions` is not one of the known values: "csv"
      weir.toml:7:26  fix: "auto" or "jsonl" or "parquet" or "text"
    "#);
}

#[test]
fn missing_keys_say_what_they_are() {
    let text = r##"[source]
type = "object_store"
[sink]
url = "./out"
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `url` is missing in [source] of type "object_store"
      weir.toml:1:1  fix: add `url`: Folder or prefix that holds the input: a path, or `file://`, `s3://`, `gs://`, `az://`, `abfss://`
    error: `type` is missing in [sink]
      weir.toml:3:1  fix: add `type`: "object_store" or "kafka" or "stdout"
    "#);
}

#[test]
fn empty_values_are_refused() {
    let text = r##"[source]
type = "object_store"
url = ""
include = []
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `source.url` must not be empty
      weir.toml:3:7   fix: write a value, or leave the key out
    error: `source.include` must not be empty
      weir.toml:4:11  fix: name at least one, or leave it out
    "#);
}

#[test]
fn later_things_are_named_as_such() {
    let text = r##"[source]
type = "kafkas"
[sink]
type = "kafka"
topics = { dead_letters = "dlq" }
headers = { cloudevents = true }
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `type` is not one of the known values: "kafkas"
      weir.toml:2:8   fix: "kafka"
    error: this version does not support `cloudevents` yet
      weir.toml:6:13  fix: `pass`
    "#);
}

#[test]
fn an_object_has_no_header() {
    let text = r##"[source]
type = "object_store"
url = "./in"
tenant = { header = "tenant" }
"##;
    let told = unresolved(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: an object has no `header`, so it cannot name the tenant
      weir.toml:4:1  fix: tenant = { value = "…" }, { field = "…" }, { column = "…" } or { path = "…" }
    "#);
}

#[test]
fn one_tenant_and_not_two() {
    let text = r##"[source]
type = "object_store"
url = "./in"
tenant = { value = "acme", field = "org" }
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `source.tenant` must hold exactly one of `value`, `field`, `column`, `path`, `key`, `header`
      weir.toml:4:10  fix: keep one of them
    "#);
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_printed() {
    let text = r##"[source]
type = "object_store"
url = "./in"
password = "CANARY-1"
options = { aws_secret_access_key = "CANARY-2", aws_access_key_id = "id", aws_region = "eu-west-1", azure_storage_sas_token = "CANARY-3" }
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `password` would put a secret in the file
      weir.toml:4:1    fix: the cloud's own variables, or NAME_file and NAME_env in `options`
    error: `aws_secret_access_key` would put a secret in the file
      weir.toml:5:13   fix: aws_secret_access_key_file or aws_secret_access_key_env
    error: `azure_storage_sas_token` would put a secret in the file
      weir.toml:5:101  fix: azure_storage_sas_token_file or azure_storage_sas_token_env
    "#);
}

#[test]
fn a_syntax_error_prints_no_line_of_the_file() {
    let text = r##"[source]
type = "object_store"
options = { aws_secret_access_key = "CANARY-1
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: not valid TOML: unclosed inline table, expected `}`
      weir.toml:3:46  fix: write `key = value`, strings in double quotes
    "#);
}

#[test]
fn a_duplicate_key_is_told_with_its_place() {
    let text = r##"[batch]
max_tokens = 1
max_tokens = 2
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: not valid TOML: duplicate key
      weir.toml:3:1  fix: write `key = value`, strings in double quotes
    "#);
}

#[test]
fn a_value_of_the_wrong_kind_is_not_printed() {
    let text = r##"[batch]
max_tokens = "CANARY-1"
[telemetry]
log_level = "CANARY 2 is a value with spaces"
log_format = "CANARY-3-THAT-IS-LONGER-THAN-ANY-WORD"
"##;
    let told = problems(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `batch.max_tokens` must be an integer, found a string
      weir.toml:2:14  fix: `max_tokens = 1024` is the default
    error: `telemetry.log_level` is not one of the known values
      weir.toml:4:13  fix: "error" or "warn" or "info" or "debug" or "trace"
    error: `telemetry.log_format` is not one of the known values
      weir.toml:5:14  fix: "auto" or "text" or "json"
    "#);
}

#[test]
fn values_in_conflict_are_both_named() {
    let text = r##"[limits]
max_record_bytes = 2048
max_in_flight_bytes = 1024
[pipeline]
drain_timeout_secs = 60
"##;
    let told = unresolved(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: max_in_flight_bytes (1024) is below max_record_bytes (2048)
      weir.toml:3:1  fix: 2048 or more, or lower limits.max_record_bytes
    error: drain_timeout_secs (60) is not below sink.lease_secs (60)
      weir.toml:5:1  fix: 20, or raise sink.lease_secs
    "#);
}

#[test]
fn two_names_of_the_tenant_are_in_conflict() {
    let text = r##"[source]
type = "object_store"
url = "./in"
tenant = { value = "acme" }
columns = { text = ["body"], tenant = "org" }
format = "jsonl"
"##;
    let told = unresolved(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: source.tenant and source.columns.tenant ("org") both name the tenant
      weir.toml:4:1  fix: keep one of them
    error: source.columns needs a table, but source.format is "jsonl"
      weir.toml:5:1  fix: format = "parquet" or "arrow", or leave columns out
    "#);
}

#[test]
fn a_password_in_a_url_is_refused_and_not_printed() {
    let text = r##"[source]
type = "object_store"
url = "s3://user:CANARY-1@bucket/prefix"
"##;
    let told = unresolved(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `source.url` would put a secret in the file
      weir.toml:3:1  fix: remove user, password and query; set the cloud's own variables or `options`
    "#);
}

#[test]
fn a_scheme_must_be_known() {
    let text = r##"[source]
type = "object_store"
url = "ftp://files.example/in"
include = ["a[", "b"]
"##;
    let told = unresolved(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `source.url` has the scheme ftp://, which weir does not know
      weir.toml:3:1   fix: a path, or s3://, gs://, az://, abfss://
    error: `source.include` holds a pattern that can't be read: unclosed character class; missing ']'
      weir.toml:4:12  fix: such as "**/*.jsonl.gz"
    "#);
}

#[test]
fn a_secret_must_be_where_it_is_said_to_be() {
    let text = r##"[source]
type = "object_store"
url = "s3://bucket/in"
options = { aws_secret_access_key_file = "/nowhere/key", aws_session_token_env = "WEIR_TEST_UNSET" }
"##;
    let told = unresolved(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: can't read the secret that `source.options.aws_secret_access_key_file` names: no such file
      weir.toml:4:13  fix: name a readable file, or a variable that is set
    error: can't read the secret that `source.options.aws_session_token_env` names: the variable is not set
      weir.toml:4:58  fix: name a readable file, or a variable that is set
    "#);
}

#[test]
fn the_output_does_not_lie_in_the_input() {
    let text = r##"[source]
type = "object_store"
url = "./data"
[sink]
type = "object_store"
url = "./data/out"
"##;
    let told = unresolved(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: sink.url lies inside source.url: the next run would read its own output
      weir.toml:6:1  fix: write to a folder or prefix outside the source
    "#);
}

#[test]
fn an_address_has_a_port() {
    let text = r##"[telemetry]
listen = "localhost"
"##;
    let told = unresolved(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `telemetry.listen` is not an address with a port
      weir.toml:2:1  fix: "127.0.0.1:9464" or "0.0.0.0:9464"
    "#);
}

#[test]
fn a_path_pattern_names_the_tenant_once() {
    let text = r##"[source]
type = "object_store"
url = "./in"
tenant = { path = "raw/**" }
"##;
    let told = unresolved(text);
    assert!(!told.contains("CANARY"), "a value leaks");
    insta::assert_snapshot!(told, @r#"
    error: `source.tenant.path` is not usable: `{tenant}` must stand in it exactly once
      weir.toml:4:12  fix: such as "raw/{tenant}/**"
    "#);
}

fn whole() -> String {
    SECTIONS.iter().map(|(_, section)| *section).collect()
}

#[test]
fn what_is_missing_altogether_is_told_at_once() {
    let told = Config::parse("weir.toml", "", 1, [], &[])
        .unwrap_err()
        .to_string();
    insta::assert_snapshot!(told, @r#"
    error: section [source] is missing
      weir.toml:1:1  fix: add [source]: Where documents come from
    error: section [sink] is missing
      weir.toml:1:1  fix: add [sink]: Where records go
    error: section [tenants] is missing
      weir.toml:1:1  fix: add [tenants]: What each tenant asked for
    error: section [model] is missing
      weir.toml:1:1  fix: add [model]: The model pack, and how weir runs it
    "#);
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let text = whole() + "[batch]\nmax_tokens = 100\nlinger_ms = 1\nlook_ahead = 7\n";
    let variables = variables(&[
        ("WEIR_BATCH__MAX_TOKENS", "200"),
        ("WEIR_BATCH__LINGER_MS", "2"),
    ]);
    let flags = ["batch.max_tokens=300".to_owned()];
    let written = Config::parse("weir.toml", &text, 1, variables, &flags).unwrap();
    let batch = &written.config.batch;
    assert_eq!(
        (batch.max_tokens, batch.linger_ms, batch.look_ahead),
        (300, 2, 7)
    );
    assert_eq!(batch.cache_bytes, batch::Section::default().cache_bytes);
    let origin = |key: &str| {
        written
            .settings()
            .into_iter()
            .find(|s| s.key == key)
            .unwrap()
            .origin
    };
    assert_eq!(origin("batch.max_tokens"), Origin::Flag);
    assert_eq!(origin("batch.linger_ms"), Origin::Environment);
    assert_eq!(origin("batch.look_ahead"), Origin::File);
    assert_eq!(origin("batch.cache_bytes"), Origin::Default);
}

#[test]
fn overrides_take_lists_strings_and_tables() {
    let variables = variables(&[
        ("WEIR_SOURCE__INCLUDE", "[\"a/**\", \"b/**\"]"),
        ("WEIR_SOURCE__TENANT__VALUE", "123"),
        ("WEIR_SOURCE__OPTIONS__AWS_SECRET_ACCESS_KEY", "CANARY"),
        ("WEIR_SOURCE__URL", "s3://bucket/in"),
        ("WEIR_PORT", "tcp://10.0.0.1:9464"),
    ]);
    let written = Config::parse("weir.toml", &whole(), 1, variables, &[]).unwrap();
    let source::Section::ObjectStore {
        include, tenant, ..
    } = &written.config.source
    else {
        panic!("the file says object_store");
    };
    assert_eq!(include, &["a/**", "b/**"]);
    assert_eq!(tenant, &Some(source::Tenant::Value("123".to_owned())));
    let settings = format!("{:?}", written.settings());
    assert!(!settings.contains("CANARY"), "a secret is not explained");
    let resolved = written.resolve(Path::new("weir.toml")).unwrap();
    assert!(!format!("{resolved:?}").contains("CANARY"));
    let Source::ObjectStore(source) = &resolved.source else {
        panic!("the file says object_store");
    };
    assert_eq!(
        source.options.iter().collect::<Vec<_>>(),
        [("aws_secret_access_key", "CANARY")]
    );
}

#[test]
fn a_malformed_override_stops_the_start() {
    let variables = variables(&[
        ("WEIR_BATCH__MAX_TOKENS", "CANARY"),
        ("WEIR_BATCH__MAX_TOKEN", "CANARY"),
        ("WEIR__URL", "CANARY"),
        ("WEIR_BATCH__MAX_TOKENS__MORE", "CANARY"),
    ]);
    let flags = [
        "batch.linger_ms".to_owned(),
        "batch=CANARY".to_owned(),
        "source.password=CANARY".to_owned(),
    ];
    let told = Config::parse("weir.toml", &whole(), 1, variables, &flags)
        .unwrap_err()
        .to_string();
    assert!(!told.contains("CANARY"), "{told}");
    insta::assert_snapshot!(told, @r#"
    error: malformed override: `batch.max_tokens` is not a table
      environment WEIR_BATCH__MAX_TOKENS__MORE  fix: set the whole value instead
    error: unknown key `max_token` in [batch]
      environment WEIR_BATCH__MAX_TOKEN         fix: `max_tokens`
    error: `batch.max_tokens` must be an integer, found a string
      environment WEIR_BATCH__MAX_TOKENS        fix: `max_tokens = 1024` is the default
    error: malformed override: `--set` needs `=`
      --set …                                   fix: --set section.key=value
    error: malformed override: the name has an empty or missing part
      --set batch                               fix: WEIR_SECTION__KEY=value or --set section.key=value
    error: `password` would put a secret in the file
      --set source.password                     fix: the cloud's own variables, or NAME_file and NAME_env in `options`
    "#);
}

#[test]
fn paths_of_the_file_are_relative_to_it_and_those_of_a_flag_are_not() {
    let flags = ["model.pack=./pack".to_owned()];
    let written = Config::parse("jobs/weir.toml", &whole(), 1, [], &flags).unwrap();
    let resolved = written.resolve(Path::new("jobs/weir.toml")).unwrap();
    assert_eq!(resolved.tenants.dir, Path::new("jobs/./tenants"));
    assert_eq!(resolved.model.pack, PackRef::Folder("./pack".into()));
    let Source::ObjectStore(source) = &resolved.source else {
        panic!("the file says object_store");
    };
    assert!(source.url.path().ends_with("/jobs/in"), "{}", source.url);
    assert_eq!(source.include, ["**"]);
}

#[test]
fn a_string_of_a_flag_may_stand_in_quotes() {
    for flag in [
        "model.pack=./pack",
        "model.pack=\"./pack\"",
        "model.pack='./pack'",
    ] {
        let written = Config::parse("weir.toml", &whole(), 1, [], &[flag.to_owned()]).unwrap();
        let resolved = written.resolve(Path::new("weir.toml")).unwrap();
        assert_eq!(
            resolved.model.pack,
            PackRef::Folder("./pack".into()),
            "{flag}"
        );
    }
}

#[test]
fn a_path_pattern_takes_one_part_of_the_path() {
    let pattern = |pattern: &str| PathPattern::new(pattern, "tenant").unwrap();
    assert_eq!(
        pattern("raw/{tenant}/**").tenant("raw/acme/2026/a.log"),
        Some("acme")
    );
    assert_eq!(pattern("raw/{tenant}/**").tenant("other/acme/a.log"), None);
    assert_eq!(
        pattern("**/{tenant}.jsonl").tenant("acme.jsonl"),
        Some("acme")
    );
    assert_eq!(
        pattern("**/{tenant}.jsonl").tenant("a/b/acme.jsonl"),
        Some("acme")
    );
    assert_eq!(
        pattern("logs-{tenant}-*.log").tenant("logs-acme-7.log"),
        Some("acme")
    );
    assert_eq!(
        pattern("{tenant}/*").tenant("acme/a/b"),
        None,
        "`*` stays in its folder"
    );
    assert!(PathPattern::new("{tenant}/{tenant}", "tenant").is_err());
}

#[test]
fn the_digest_does_not_depend_on_credentials_or_speed() {
    let digest = |text: &str, flags: &[String]| {
        let bucket = "source.url=s3://bucket/in".to_owned();
        let flags: Vec<String> = [bucket].into_iter().chain(flags.to_vec()).collect();
        let written = Config::parse("weir.toml", text, 1, [], &flags).unwrap();
        written.resolve(Path::new("weir.toml")).unwrap().digest
    };
    let base = digest(&whole(), &[]);
    assert_eq!(base.len(), 16);
    assert_eq!(
        base,
        digest(
            &whole(),
            &[
                "batch.max_tokens=7".to_owned(),
                "source.options.aws_region=x".to_owned()
            ]
        )
    );
    assert_ne!(
        base,
        digest(&whole(), &["sink.compression=gzip".to_owned()])
    );
    assert_ne!(base, digest(&whole(), &["source.id=key".to_owned()]));
}

#[test]
fn columns_count_characters_and_fences_keep_their_line() {
    let text = "# \u{e9}\n\"\u{e9}\u{e9}\" = 1\n";
    let told = Config::parse("page.md", text, 41, [], &[]).unwrap_err();
    assert_eq!(
        told.0.last().map(|p| p.at.to_string()),
        Some("page.md:42:1".to_owned())
    );
    let place = document::parse("f", "a = \"\u{e9}\u{e9}\" # x\nb = {c = 1}", 1)
        .unwrap()
        .place("b.c");
    assert_eq!(place.to_string(), "f:2:6");
}

proptest::proptest! {
    #[test]
    fn any_text_gives_an_answer_and_no_panic(text in "(\\PC|\n){0,200}") {
        let _ = Config::parse("f", &text, 1, [], &[]);
    }

    #[test]
    fn a_value_in_any_place_is_never_printed(key in "(source|sink|batch|telemetry|tenants|model)\\.[a-z_]{1,12}", quote in "['\"]?") {
        let text = format!("{key} = {quote}CANARY 77{quote}\n");
        if let Err(problems) = Config::parse("f", &text, 1, [], &[]) {
            proptest::prop_assert!(!problems.to_string().contains("CANARY"));
        }
    }

    #[test]
    fn the_nearest_key_mends_a_typo(i in 0_usize..4, at in 0_usize..8, letter in "[a-z]") {
        let keys = ["max_tokens", "linger_ms", "look_ahead", "cache_bytes"];
        let mut typo = keys[i].to_owned();
        typo.insert_str(at.min(typo.len()), &letter);
        let told = problems(&format!("[batch]\n{typo} = 1\n"));
        proptest::prop_assert!(told.contains(&format!("fix: `{}`", keys[i])), "{told}");
    }
}

#[test]
fn the_schema_takes_what_the_code_takes_as_its_examples() {
    for (_, text) in crate::cli::presets() {
        let parsed = Config::parse("weir.toml", text, 1, [], &[]);
        assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
    }
}

#[test]
fn files_of_a_topic_are_json_lines_and_only_they_roll() {
    let lake = |sink: &str| {
        let kafka = "[source]\ntype = \"kafka\"\nbootstrap_servers = \"k:9092\"\n\
                     topics = [\"in\"]\ngroup_id = \"g\"\n";
        let objects = "[sink]\ntype = \"object_store\"\nurl = \"./out\"\n";
        unresolved(&format!("{kafka}{objects}{sink}"))
    };
    assert_eq!(lake("roll = { max_secs = 5 }\n"), "none");
    assert_eq!(lake("formats = { redactions = \"jsonl\" }\n"), "none");
    for formats in [
        "redactions = \"parquet\"",
        "redactions = \"text\"",
        "entities = \"parquet\"",
    ] {
        let told = lake(&format!("formats = {{ {formats} }}\n"));
        let key = formats.split(' ').next().unwrap();
        assert!(
            told.contains(&format!("error: sink.formats.{key} = ")),
            "{told}"
        );
    }
    let told = unresolved("[sink]\ntype = \"object_store\"\nurl = \"./out\"\nroll = {}\n");
    assert!(
        told.contains("`sink.roll` needs a source of type"),
        "{told}"
    );
}
