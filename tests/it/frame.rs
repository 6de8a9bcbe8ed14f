//! The command line as its users see it: exit code, standard output and standard error.

use std::{fs, path::Path, process::Command};

use assert_cmd::cargo::CommandCargoExt;

use crate::support::job::run;

/// What a run showed, with the temporary folder named `DIR`.
struct Shown {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self
            .code
            .map_or("signal".to_owned(), |code| code.to_string());
        write!(
            f,
            "exit {code}\n-- stdout\n{}-- stderr\n{}",
            self.stdout, self.stderr
        )
    }
}

fn weir(dir: &Path, args: &[&str]) -> Shown {
    weir_with(dir, args, &[])
}

fn weir_with(dir: &Path, args: &[&str], variables: &[(&str, &str)]) -> Shown {
    let mut command = Command::cargo_bin("weir").unwrap();
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEIR_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(args)
        .envs(variables.iter().copied())
        .env_remove("NO_COLOR")
        .env_remove("ORT_DYLIB_PATH")
        .env("COLUMNS", "100")
        .current_dir(dir)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        text.replace(&dir.display().to_string(), "DIR")
            .replace(env!("CARGO_MANIFEST_DIR"), "CLONE")
    };
    Shown {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// A folder with what `weir init` writes.
fn started(preset: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(
        weir(dir.path(), &["init", "--preset", preset]).code,
        Some(0)
    );
    dir
}

#[test]
fn help_names_every_command() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(weir(dir.path(), &["--help"]), @r#"
    exit 0
    -- stdout
    Finds the entities that each tenant asked for in streams of documents, and redacts them

    Usage: weir [OPTIONS] <COMMAND>

    Commands:
      run          Run a job: read documents, write entities and redactions
      redact       Redact text, JSON lines or log lines in a pipe
      reveal       Read encrypted values back, after an event of it is on disk
      forget       Destroy the keys of a data subject, after an event of it is on disk
      status       Show how a running worker is: rate, lag, latency, queue, dead letters
      check        Validate configuration and tenants; open nothing for writing
      init         Write a commented configuration and tenant to start from
      test         Run the examples inside tenant files
      labels       Show a tenant's labels, their nearest neighbours and clashes
      eval         Measure precision, recall and F1 on evaluation files
      bench        Measure speed on this machine
      model        Describe a model pack, verify it, or tune it for this machine
      replay       Send dead letters of a stream back to their topics
      audit        Check an audit feed, report on it, sign it, prove its records
      schema       Print the JSON Schema of a file or record
      completions  Print the completion script of a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version

    Global options:
          --color <WHEN>
              When to use colours; NO_COLOR is honoured
              
              [env: WEIR_COLOR=]
              [default: auto]
              [possible values: auto, always, never]

          --log-level <LEVEL>
              Lowest level that weir logs; takes precedence over telemetry.log_level

              Possible values:
              - error: What failed
              - warn:  Also what may fail soon, such as dead letters
              - info:  Also what happens
              - debug: Also why it happens
              - trace: Everything
              
              [env: WEIR_LOG_LEVEL=]

    Examples:
      weir init --preset logs            write a configuration and a tenant to start from
      weir check --config weir.toml      validate everything, write nothing
      weir run --config weir.toml        run the job
      echo 'Mail ana@ruiz.example' | weir redact -l email --show

    Exit codes:
      0    done, or drained on SIGTERM
      1    check, test or eval found something wrong; status: the worker is not ready
      2    the command line is wrong
      65   more dead letters than limits.max_dead_letters
      66   no file to read
      69   a store, broker, model server or worker can't be reached, or refuses
      70   a bug in weir
      74   reading or writing failed
      75   a worker committed nothing for too long (pipeline.stall_secs); start it again
      78   the configuration, a tenant file or the pack is wrong
      143  the drain deadline passed, or a second signal came
    -- stderr
    "#);
}

#[test]
fn every_command_has_help_with_examples() {
    let dir = tempfile::tempdir().unwrap();
    for command in [
        "run",
        "redact",
        "reveal",
        "forget",
        "status",
        "check",
        "init",
        "test",
        "labels",
        "eval",
        "bench",
        "schema",
        "completions",
        "model inspect",
        "model verify",
        "model tune",
    ] {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.push("--help");
        let shown = weir(dir.path(), &args);
        assert_eq!(shown.code, Some(0), "{command}");
        assert!(
            shown.stdout.contains("Examples:\n  ")
                && shown.stdout.contains(&format!("weir {command}")),
            "{shown}"
        );
        assert!(shown.stdout.contains("--color"), "{command}");
    }
    insta::assert_snapshot!(weir(dir.path(), &["check", "--help"]), @r#"
    exit 0
    -- stdout
    Validate configuration and tenants; open nothing for writing

    Usage: weir check [OPTIONS] [FILE]...

    Arguments:
      [FILE]...
              More files to check: tenant files, configurations, and TOML fences in Markdown pages

    Options:
      -c, --config <FILE>
              Configuration file; without it weir.toml, if it exists
              
              [env: WEIR_CONFIG=]

          --set <KEY=VALUE>
              Override a key: section.key=value

          --connect
              Also open stores and brokers: list the source, check that the sink can be reached; write
              nothing but one object to each store of subject keys, which weir deletes at once

          --explain
              Print every key with its value and origin

          --dry-run
              Also check whether `weir run --dry-run` would start

          --limit <DOCUMENTS>
              Also check whether `weir run --limit` would start

      -h, --help
              Print help (see a summary with '-h')

    Global options:
          --color <WHEN>
              When to use colours; NO_COLOR is honoured
              
              [env: WEIR_COLOR=]
              [default: auto]
              [possible values: auto, always, never]

          --log-level <LEVEL>
              Lowest level that weir logs; takes precedence over telemetry.log_level

              Possible values:
              - error: What failed
              - warn:  Also what may fail soon, such as dead letters
              - info:  Also what happens
              - debug: Also why it happens
              - trace: Everything
              
              [env: WEIR_LOG_LEVEL=]

    Examples:
      weir check --config weir.toml
      weir check --config weir.toml --connect --explain
      weir check tenants/acme.toml docs/*.md

    Exit code 0 if weir finds no error, 1 if it does. weir lists the checks that it skipped.
    -- stderr
    "#);
}

#[test]
fn a_wrong_command_line_gives_2() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(weir(dir.path(), &["chek"]), @r#"
    exit 2
    -- stdout
    -- stderr
    error: unrecognized subcommand 'chek'

      tip: some similar subcommands exist: 'schema', 'check'

    Usage: weir [OPTIONS] <COMMAND>

    For more information, try '--help'.
    "#);
    for args in [
        &["run", "--limit", "many"][..],
        &["run", "--cnfig", "x"],
        &["redact", "--threshold", "2"],
        &["redacted"],
        &["schema", "x"],
        &["schema"],
        &["eval"],
        &[],
    ] {
        assert_eq!(weir(dir.path(), args).code, Some(2), "{args:?}");
    }
}

#[test]
fn init_writes_a_start_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(weir(dir.path(), &["init", "job", "--preset", "json"]), @r#"
    exit 0
    -- stdout
    -- stderr
    ok    job/weir.toml
    ok    job/tenants/acme.toml
    ok    job/in/example.jsonl

    next: edit these files, then run weir check --config job/weir.toml
    "#);
    fs::write(dir.path().join("job/weir.toml"), "mine").unwrap();
    insta::assert_snapshot!(weir(dir.path(), &["init", "job"]), @r#"
    exit 1
    -- stdout
    -- stderr
    error: job/weir.toml already exists

      fix: name another folder, or move the file
    "#);
    assert_eq!(
        fs::read_to_string(dir.path().join("job/weir.toml")).unwrap(),
        "mine"
    );
    fs::remove_file(dir.path().join("job/weir.toml")).unwrap();
    assert_eq!(
        weir(dir.path(), &["init", "job"]).code,
        Some(1),
        "the tenant is there still"
    );
    assert!(
        !dir.path().join("job/weir.toml").exists(),
        "a refusal leaves no half"
    );
}

#[test]
fn check_counts_origins_and_lists_what_it_skipped() {
    let dir = started("logs");
    let shown = weir_with(
        dir.path(),
        &[
            "check",
            "--config",
            "weir.toml",
            "--set",
            "batch.linger_ms=1",
        ],
        &[("WEIR_BATCH__MAX_TOKENS", "64")],
    );
    insta::assert_snapshot!(shown, @r#"
    exit 0
    -- stdout
    ok    weir.toml  41 keys: 29 default, 10 file, 1 environment, 1 flag
    ok    ./tenants/  1 tenant, 2 labels
    ok    CLONE/models/weir-mini  adaptive, sha256 match
    0 errors, 0 warnings; skipped: 1 example of tenants (`weir test` runs them), stores (no --connect)
    -- stderr
    "#);
}

#[test]
fn check_reaches_a_sink_that_the_job_will_make() {
    let job = crate::support::job::Job::new("");
    let config = job.config();
    let check = ["check", "--config", &config, "--connect"];
    let ran = crate::support::job::weir(&check).expect(0);
    assert!(ran.stdout.contains("will be made"), "{}", ran.stdout);
    assert!(!job.path("out").exists());
    job.write("out", "a file");
    crate::support::job::weir(&check)
        .expect(1)
        .says(&["sink.url"]);
}

#[test]
fn check_explains_where_each_value_comes_from() {
    let dir = started("logs");
    let shown = weir_with(
        dir.path(),
        &["check", "--explain", "--set", "source.url=s3://bucket/in"],
        &[("WEIR_SOURCE__OPTIONS__AWS_SECRET_ACCESS_KEY", "CANARY")],
    );
    insta::assert_snapshot!(shown, @r#"
    exit 0
    -- stdout
    source.type = "object_store"  # weir.toml:6:1
    source.url = "s3://bucket/in"  # --set source.url
    source.include = ["**/*.log", "**/*.log.gz"]  # weir.toml:8:1
    source.exclude = []  # default
    source.options = { aws_secret_access_key = … }  # environment WEIR_SOURCE__OPTIONS__AWS_SECRET_ACCESS_KEY
    source.tenant.value = "acme"  # weir.toml:9:12
    source.id = "id"  # default
    source.follow_links = false  # default
    sink.type = "object_store"  # weir.toml:12:1
    sink.url = "./out"  # weir.toml:13:1
    sink.options = {}  # default
    sink.formats.redactions = "text"  # weir.toml:14:13
    sink.formats.entities = "jsonl"  # default
    sink.formats.dead_letters = "jsonl"  # default
    sink.compression = "none"  # default
    sink.lease_secs = 60  # default
    tenants.dir = "./tenants"  # weir.toml:17:1
    model.pack = "weir-mini"  # weir.toml:20:1
    model.server.allow_http = false  # default
    model.server.requests = 8  # default
    model.server.connect_timeout_secs = 10  # default
    model.server.read_timeout_secs = 120  # default
    model.server.deadline_secs = 180  # default
    model.server.retries = 8  # default
    batch.max_tokens = 1024  # default
    batch.linger_ms = 5  # default
    batch.look_ahead = 256  # default
    batch.cache_bytes = 67108864  # default
    limits.max_record_bytes = 16777216  # default
    limits.max_in_flight_bytes = 268435456  # default
    pipeline.drain_timeout_secs = 20  # default
    pipeline.stall_secs = 120  # default
    pipeline.delivery = "exactly_once"  # default
    pipeline.slots = 1  # default
    telemetry.log_format = "auto"  # weir.toml:23:1
    telemetry.log_level = "info"  # default
    telemetry.traces.documents = "sampled"  # default
    telemetry.traces.parent = "remote"  # default
    telemetry.metrics.push = true  # default
    telemetry.logs.push = false  # default
    telemetry.resource = {}  # default

    ok    weir.toml  41 keys: 30 default, 9 file, 1 environment, 1 flag
    ok    ./tenants/  1 tenant, 2 labels
    ok    CLONE/models/weir-mini  adaptive, sha256 match
    0 errors, 0 warnings; skipped: 1 example of tenants (`weir test` runs them), stores (no --connect)
    -- stderr
    "#);
}

#[test]
fn every_preset_passes_as_it_is() {
    for (preset, entries) in [("logs", 3), ("lake", 2), ("json", 3)] {
        let dir = started(preset);
        let shown = weir(dir.path(), &["check"]);
        assert_eq!(shown.code, Some(0), "{preset}: {shown}");
        assert!(shown.stdout.contains("1 tenant"), "{}", shown.stdout);
        let tree = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(tree, entries, "{preset}: a check writes nothing");
    }
}

#[test]
fn init_puts_no_example_among_documents_that_are_there() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    assert_eq!(weir(dir.path(), &["init"]).code, Some(0));
    assert_eq!(fs::read_dir(dir.path().join("in")).unwrap().count(), 0);
}

#[test]
fn check_finds_fences_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let page = "# Page\n\n```toml\n[batch]\nmax_token = 7\n```\n\n```toml\nlabels = [7]\n```\n\n```json\n{\"a\": 1}\n```\n";
    fs::write(dir.path().join("page.md"), page).unwrap();
    insta::assert_snapshot!(weir(dir.path(), &["check", "page.md"]), @r#"
    exit 1
    -- stdout
    2 errors, 0 warnings
    -- stderr
    error: unknown key `max_token` in [batch]
      page.md:5:1   fix: `max_tokens`
    error: `labels` must be a string or a table, found an integer
      page.md:9:11  fix: write a string or a table
    "#);
}

#[test]
fn no_error_prints_a_secret_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    for text in [
        "[source]\npassword = \"CANARY\"\n",
        "[source]\npassword = \"CANARY\n",
        "[batch]\nmax_tokens = \"CANARY\"\n",
        "CANARY CANARY\n",
        "[source]\ntype = \"object_store\"\nurl = \"s3://u:CANARY@b/p\"\n",
    ] {
        fs::write(dir.path().join("weir.toml"), text).unwrap();
        for args in [&["check"][..], &["run"], &["check", "--explain"], &["test"]] {
            let shown = weir(dir.path(), args);
            assert_ne!(shown.code, Some(0), "{shown}");
            assert!(!shown.to_string().contains("CANARY"), "{args:?}: {shown}");
        }
    }
}

#[test]
fn a_missing_configuration_gives_78_and_says_how_to_get_one() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(weir(dir.path(), &["test"]), @r#"
    exit 78
    -- stdout
    -- stderr
    error: can't read the configuration: no such file
      weir.toml:1:1  fix: give a readable file, or make one with `weir init`
    "#);
}

#[test]
fn colours_are_for_terminals_or_on_request() {
    let dir = started("logs");
    let escape = |args: &[&str], variables: &[(&str, &str)]| {
        let shown = weir_with(dir.path(), args, variables);
        shown.stdout.contains('\u{1b}') || shown.stderr.contains('\u{1b}')
    };
    assert!(!escape(&["check"], &[]), "a pipe is no terminal");
    assert!(escape(&["check", "--color", "always"], &[]));
    assert!(!escape(
        &["check", "--color", "never"],
        &[("CLICOLOR_FORCE", "1")]
    ));
    assert!(!escape(&["check"], &[("NO_COLOR", "1")]));
}

#[test]
fn completions_and_schemas_are_for_pipes() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let shown = weir(dir.path(), &["completions", shell]);
        assert!(
            shown.code == Some(0) && shown.stdout.contains("redact"),
            "{shell}"
        );
        // Checked by the shell where it is installed.
        let is_checked = matches!(shell, "bash" | "zsh" | "fish");
        if is_checked && Command::new(shell).arg("--version").output().is_ok() {
            let mut parse = Command::new(shell);
            parse.args(["-n", "/dev/stdin"]);
            run(parse, shown.stdout.as_bytes()).expect(0);
        }
    }
    for schema in ["config", "tenant", "entities", "redaction", "dead-letter"] {
        let shown = weir(dir.path(), &["schema", schema]);
        let json: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
        assert_eq!(
            json["$schema"], "https://json-schema.org/draft/2020-12/schema",
            "{schema}"
        );
        assert!(shown.stderr.is_empty());
    }
}

#[test]
fn the_pages_and_examples_of_the_repository_pass() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec!["README.md".to_owned()];
    for (folder, extension) in [
        ("docs", "md"),
        ("examples", "toml"),
        ("examples/tenants", "toml"),
    ] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|found| found == extension) {
                files.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    let mut args = vec!["check"];
    args.extend(files.iter().map(String::as_str));
    let shown = weir(root, &args);
    assert_eq!(shown.code, Some(0), "{shown}");
}
