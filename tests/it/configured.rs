//! What a configuration says is what the program does: `check` and `run` agree, secrets and packs are where they
//! are named.

use std::{fs, path::Path, process::Command};

use crate::support::{
    job::{Job, Ran, command, head_pack, pack, run},
    s3::S3Server,
};

const REST: &str = "[tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n";

/// A job whose `[source]` and `[sink]` are given, with the tiny pack.
fn job(source: &str, sink: &str) -> Job {
    job_of(source, sink, &pack().display().to_string())
}

fn job_of(source: &str, sink: &str, pack: &str) -> Job {
    Job::with(&format!(
        "[source]\n{source}\n[sink]\n{sink}\n{REST}[model]\npack = {pack:?}\n"
    ))
}

fn check(job: &Job, more: &[&str], variables: &[(&str, &str)]) -> Ran {
    let config = job.config();
    let mut command = command(&[&["check", "--config", &config][..], more].concat());
    with(&mut command, variables);
    run(command, b"")
}

fn runs(job: &Job, more: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = job.command(more);
    with(&mut command, variables);
    run(command, b"")
}

/// Nothing of a cloud comes from whoever runs the tests.
fn with(command: &mut Command, variables: &[(&str, &str)]) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
}

/// A job from S3 to S3 with these further options.
fn s3_job(server: &S3Server, options: &str) -> Job {
    let url = server.fresh_url();
    let endpoint = &server.options()["aws_endpoint"];
    let options =
        format!("options = {{ aws_endpoint = {endpoint:?}, allow_http = \"true\"{options} }}");
    let store =
        |folder: &str| format!("type = \"object_store\"\nurl = \"{url}/{folder}\"\n{options}");
    let job = job(&store("in"), &store("out"));
    let path = format!("{}/in/a.log", url.trim_start_matches("s3://weir-test/"));
    crate::support::engine::runtime().block_on(async {
        use object_store::ObjectStoreExt as _;
        let put = server.store();
        put.put(&path.into(), "Mail ana@mail.example\n".into())
            .await
            .unwrap();
    });
    job
}

#[test]
fn secrets_of_a_store_are_read_from_where_they_are_named() {
    let server = S3Server::shared();
    let variables = server.variables();
    let [(_, key), (_, secret), (_, region)] = variables[..] else {
        return; // a server of somebody else's, whose secrets are not ours to write into files
    };
    for (more, variables) in [
        (
            format!(
                ", aws_region = {region:?}, aws_access_key_id = {key:?}, aws_secret_access_key_file = \"secret\""
            ),
            vec![],
        ),
        (
            format!(
                ", aws_region = {region:?}, aws_access_key_id_env = \"KEY_ID\", aws_secret_access_key_env = \"KEY\""
            ),
            vec![("KEY_ID", key), ("KEY", secret)],
        ),
        // The cloud's own variables, and what lies over the file as a variable.
        (String::new(), server.variables()),
        (
            format!(", aws_region = {region:?}, aws_access_key_id = {key:?}"),
            vec![
                ("WEIR_SOURCE__OPTIONS__AWS_SECRET_ACCESS_KEY", secret),
                ("WEIR_SINK__OPTIONS__AWS_SECRET_ACCESS_KEY", secret),
            ],
        ),
    ] {
        let job = s3_job(&server, &more);
        job.write("secret", format!("{secret}\n"));
        let checked = check(&job, &["--connect"], &variables).expect(0);
        assert_eq!(
            checked.stdout.matches("reached").count(),
            2,
            "{}",
            checked.stdout
        );
        let ran = runs(&job, &[], &variables)
            .expect(0)
            .says(&["1 documents, 1 entities"]);
        let told = [checked.stdout, checked.stderr, ran.stdout, ran.stderr].concat();
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn a_wrong_secret_is_told_by_check_and_run_and_not_shown() {
    let server = S3Server::shared();
    let variables = server.variables();
    let [(_, key), _, (_, region)] = variables[..] else {
        return;
    };
    let job = s3_job(
        &server,
        &format!(
            ", aws_region = {region:?}, aws_access_key_id = {key:?}, aws_secret_access_key_file = \"secret\""
        ),
    );
    job.write("secret", "CANARY-7f1d");
    let checked = check(&job, &["--connect"], &[]).expect(1).says(&[
        "`source.url`",
        "`sink.url`",
        "weir.toml:",
    ]);
    let ran = runs(&job, &[], &[]).expect(69);
    let told = [checked.stdout, checked.stderr, ran.stdout, ran.stderr].concat();
    assert!(!told.contains("CANARY"), "{told}");
}

#[test]
fn an_option_that_the_store_does_not_know_is_told_with_its_place() {
    for (url, option, told) in [
        (
            "s3://bucket/in",
            "aws_reigon = \"eu-west-1\"",
            "`aws_region`",
        ),
        ("s3://bucket/in", "google_service_account = \"x\"", "s3://"),
        ("./in", "aws_region = \"eu-west-1\"", "local folder"),
        (
            "s3://bucket/in",
            "aws_secret_acces_key_env = \"HOME\"",
            "aws_secret_access_key",
        ),
        (
            "s3://bucket/in",
            "aws_region = \"a\", aws_region_env = \"HOME\"",
            "twice",
        ),
    ] {
        let job = job(
            &format!("type = \"object_store\"\nurl = {url:?}\noptions = {{ {option} }}"),
            "type = \"stdout\"",
        );
        check(&job, &[], &[])
            .expect(1)
            .says(&["weir.toml:4:", told]);
        runs(&job, &[], &[])
            .expect(78)
            .says(&["weir.toml:4:", told]);
    }
    // Its own name ends in `_file`: the path is the value.
    let job = job(
        "type = \"object_store\"\nurl = \"s3://bucket/in\"\noptions = { aws_web_identity_token_file = \"/nowhere/token\" }",
        "type = \"stdout\"",
    );
    check(&job, &[], &[]).expect(0);
}

const SOURCES: [(&str, &str); 3] = [
    ("object_store", "type = \"object_store\"\nurl = \"in\""),
    (
        "kafka",
        "type = \"kafka\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"in\"]\ngroup_id = \"g\"",
    ),
    ("stdin", "type = \"stdin\""),
];

const SINKS: [(&str, &str); 3] = [
    ("object_store", "type = \"object_store\"\nurl = \"out\""),
    (
        "kafka",
        "type = \"kafka\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = { entities = \"e\", dead_letters = \"d\" }",
    ),
    ("stdout", "type = \"stdout\""),
];

#[test]
fn a_pair_that_does_not_go_together_is_refused_by_check_and_before_the_model_is_loaded() {
    let legal = [
        ("object_store", "object_store"),
        ("object_store", "stdout"),
        ("kafka", "kafka"),
        ("kafka", "object_store"),
        ("stdin", "stdout"),
    ];
    for (from, source) in SOURCES {
        for (to, sink) in SINKS {
            // Whoever loads the model first complains of the pack.
            let job = job_of(source, sink, "./nowhere");
            let ran = runs(&job, &[], &[]).expect(78);
            let checked = check(&job, &[], &[]).expect(1);
            for told in [&ran.stderr, &checked.stderr] {
                if legal.contains(&(from, to)) {
                    assert!(told.contains("not a model pack"), "{from} to {to}: {told}");
                } else {
                    assert!(!told.contains("pack"), "{from} to {to}: {told}");
                    assert!(
                        told.contains("weir.toml:") && told.contains("fix:"),
                        "{told}"
                    );
                    assert!(told.contains(to), "{from} to {to}: {told}");
                }
            }
            assert!(!job.path("out").exists());
        }
    }
}

#[test]
fn a_trial_on_topics_is_refused_before_the_model_is_loaded() {
    for sink in &SINKS[..2] {
        let job = job_of(SOURCES[1].1, sink.1, "./nowhere");
        for trial in [&["--dry-run"][..], &["--limit", "5"]] {
            let ran = runs(&job, trial, &[]).expect(2);
            assert!(
                ran.stderr.contains("--dry-run and --limit"),
                "{}",
                ran.stderr
            );
            assert!(!ran.stderr.contains("pack"), "{}", ran.stderr);
            check(&job, trial, &[])
                .expect(1)
                .says(&["--dry-run and --limit", "weir.toml:2:"]);
        }
    }
}

#[test]
fn a_dry_run_of_standard_input_prints_nothing() {
    let job = job("type = \"stdin\"", "type = \"stdout\"");
    let input = b"Mail ana@mail.example\nb\nc\n";
    let ran = run(job.command(&["--dry-run"]), input).expect(0);
    assert_eq!(ran.stdout, "");
    ran.says(&["3 documents, 1 entities", "nothing was written"]);
    let ran = run(job.command(&["--limit", "1"]), input).expect(0);
    assert!(ran.stdout.starts_with("Mail [EMAIL]\n"), "{}", ran.stdout);
}

#[test]
fn an_output_that_the_next_run_would_read_is_refused() {
    for (from, to) in [(".", "out"), ("out/redactions", "out"), ("out", "out")] {
        let job = job(
            &format!("type = \"object_store\"\nurl = {from:?}"),
            &format!("type = \"object_store\"\nurl = {to:?}"),
        );
        for ran in [
            check(&job, &[], &[]).expect(1),
            runs(&job, &[], &[]).expect(78),
        ] {
            assert!(
                ran.stderr.contains("its own output"),
                "{from} {to}: {}",
                ran.stderr
            );
        }
    }
}

#[test]
fn an_output_that_links_lead_into_the_source_is_told_by_check_and_run() {
    let job = job(
        "type = \"object_store\"\nurl = \"in\"",
        "type = \"object_store\"\nurl = \"out\"",
    );
    job.write("in/results/a.txt", "Mail ana@mail.example\n");
    std::os::unix::fs::symlink(job.path("in/results"), job.path("out")).unwrap();
    let told = ["is inside the source", "fix:"];
    check(&job, &["--connect"], &[])
        .expect(1)
        .says(&told)
        .says(&["weir.toml:"]);
    runs(&job, &[], &[]).expect(78).says(&told);
    assert_eq!(fs::read_dir(job.path("in/results")).unwrap().count(), 1);
}

#[test]
fn a_category_encoder_that_cannot_be_opened_is_told_by_check_and_run_whatever_the_family() {
    let job = job("type = \"stdin\"", "type = \"stdout\"");
    let copy = job.path("encoder");
    fs::create_dir_all(&copy).unwrap();
    fs::copy(pack().join("pack.toml"), copy.join("pack.toml")).unwrap();
    for (named, told) in [
        ("nowhere", "not a model pack"),
        ("encoder", "can't be read"), // its files are missing: only a look at their digests tells
    ] {
        let set = format!("model.category_encoder={}", job.path(named).display());
        let set = ["--set", &set];
        check(&job, &set, &[]).expect(1).says(&[told]);
        runs(&job, &set, &[]).expect(78).says(&[told]);
    }
}

/// The tiny pack is the default one, and the pack in the box is called `mini`.
fn job_of_two_packs(labels: &str) -> Job {
    let mini = format!("{}/models/weir-mini", env!("CARGO_MANIFEST_DIR"));
    let job = Job::with(&format!(
        "[source]\ntype = \"stdin\"\n[sink]\ntype = \"stdout\"\n{REST}[model]\npack = {:?}\n[models.mini]\npack = {mini:?}\n",
        pack().display().to_string()
    ));
    job.write("tenants/acme.toml", labels);
    job
}

#[test]
fn a_label_is_found_by_the_pack_that_it_names() {
    let text = b"Please call Orla Finch on Monday.\n";
    let redacted = |labels: &str| {
        let job = job_of_two_packs(labels);
        let checked = check(&job, &[], &[]).expect(0).stdout;
        assert!(checked.contains("models/weir-mini"), "{checked}");
        let ran = run(job.command(&[]), text).expect(0);
        ran.stdout
    };
    let asks_mini = "labels = [{ name = \"person\", model = \"mini\" }]\n";
    assert!(redacted(asks_mini).contains("call [PERSON] on"));
    let all_ask_mini = "model = \"mini\"\nlabels = [\"person\"]\n";
    assert!(redacted(all_ask_mini).contains("call [PERSON] on"));
    // The tiny pack of random weights, with a threshold that nothing reaches.
    let asks_tiny = "model = \"mini\"\nlabels = [{ name = \"person\", model = \"default\", threshold = 1.0 }]\n";
    assert!(redacted(asks_tiny).contains("call Orla Finch on"));
}

#[test]
fn a_published_classifier_runs_beside_a_zero_shot_pack() {
    let labels = "labels = [{ name = \"person\", model = [\"mini\", \"pii\"] }, { name = \"street\", model = \"pii\" }]\n";
    let job = job_of_two_packs(labels);
    let config = fs::read_to_string(job.config()).unwrap();
    fs::write(job.config(), config + "[models.pii]\npack = \"rampart\"\n").unwrap();
    let checked = check(&job, &[], &[]).expect(0).stdout;
    assert!(checked.contains("models/rampart"), "{checked}");
    let text = "Me llamo Luc\u{ed}a Fern\u{e1}ndez y vivo en la calle Mayor 14, 28013 Madrid.\n";
    let ran = run(job.command(&[]), text.as_bytes()).expect(0);
    assert!(
        ran.stdout
            .contains("Me llamo [PERSON] y vivo en la [STREET], 28013 Madrid."),
        "{}",
        ran.stdout
    );
    // A label that no pack of its list can find is refused where the tenant names it.
    let job = job_of_two_packs("labels = [\"person\", { name = \"song\", model = [\"pii\"] }]\n");
    let config = fs::read_to_string(job.config()).unwrap();
    fs::write(job.config(), config + "[models.pii]\npack = \"rampart\"\n").unwrap();
    check(&job, &[], &[]).expect(1).says(&[
        "acme.toml:1:",
        "no category for the label `song`",
        "GIVEN_NAME",
    ]);
}

#[test]
fn a_pack_that_no_section_names_is_told_where_the_tenant_names_it() {
    for (labels, place) in [
        ("model = \"big\"\nlabels = [\"person\"]\n", "acme.toml:1:"),
        (
            "labels = [\n  \"place\",\n  { name = \"person\", model = \"big\" },\n]\n",
            "acme.toml:3:",
        ),
    ] {
        let job = job_of_two_packs(labels);
        let told = [
            place,
            "no model is named `big`",
            "default, mini",
            "[models.NAME]",
        ];
        check(&job, &[], &[]).expect(1).says(&told);
        runs(&job, &[], &[]).expect(78).says(&told);
    }
    let job = job_of_two_packs("labels = [\"person\"]\n");
    let set = ["--set", "models.default.pack=weir-mini"];
    check(&job, &set, &[]).expect(1).says(&["cannot be named"]);
}

#[test]
fn labels_shows_each_label_with_the_others_of_its_pack() {
    let job = job_of_two_packs(
        "labels = [\"town\", \"city\", { name = \"person\", model = \"mini\" }]\n",
    );
    let config = job.config();
    let shown = run(command(&["labels", "--config", &config, "--json"]), b"").expect(0);
    let rows: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    let near: Vec<_> = rows.as_array().unwrap().iter().collect();
    assert_eq!(near.len(), 3);
    assert_eq!(near[0]["neighbours"][0]["label"], "city");
    assert_eq!(near[2]["label"], "person");
    assert_eq!(near[2]["neighbours"], serde_json::json!([]));
}

#[test]
fn labels_shows_categories_with_the_pack_that_has_them() {
    let mini = format!("{}/models/weir-mini", env!("CARGO_MANIFEST_DIR"));
    let job = Job::with(&format!(
        "[source]\ntype = \"stdin\"\n[sink]\ntype = \"stdout\"\n{REST}[model]\npack = {mini:?}\n[models.head]\npack = {:?}\n",
        head_pack().display().to_string()
    ));
    job.write(
        "tenants/acme.toml",
        "labels = [\"person\", { name = \"private email\", model = \"head\" }]\n",
    );
    let config = job.config();
    let shown = run(command(&["labels", "--config", &config, "--json"]), b"").expect(0);
    let json: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(json["labels"][0]["label"], "person");
    assert_eq!(json["categories"][0]["pack"], "tiny");
    let mapped = &json["categories"][0]["labels"][0]["categories"];
    assert_eq!(*mapped, serde_json::json!(["private_email"]));
    let shown = run(command(&["labels", "--config", &config]), b"").expect(0);
    assert!(
        shown
            .stdout
            .contains("tiny has the categories private_person")
    );
}

#[test]
fn keys_that_were_never_read_are_gone() {
    let job = job("type = \"stdin\"", "type = \"stdout\"\nformat = \"jsonl\"");
    check(&job, &["--set", "model.label_cache_entries=5"], &[])
        .expect(1)
        .says(&["`format`", "`label_cache_entries`"]);
}

#[test]
fn label_vectors_are_kept_where_the_reference_says() {
    let files = |folder: &Path| fs::read_dir(folder).map_or(0, Iterator::count);
    let reference = fs::read_to_string("docs/configuration.md").unwrap();
    let told = reference
        .lines()
        .find(|line| line.contains("`label_cache_dir`"));
    let told = told.unwrap();
    assert!(
        told.contains("`weir/labels`") && told.contains("`XDG_CACHE_HOME`"),
        "{told}"
    );
    let job = job("type = \"stdin\"", "type = \"stdout\"");
    job.write("tenants/acme.toml", "labels = [\"person\"]\n");
    let cache = job.path("cache").display().to_string();
    runs(&job, &[], &[("XDG_CACHE_HOME", &cache)]).expect(0);
    // Vectors are made with the first document, or at the start.
    let mut command = job.command(&[]);
    command.env("XDG_CACHE_HOME", &cache);
    run(command, b"ana ruiz\n").expect(0);
    let packs = job.path("cache/weir/labels");
    assert!(files(&packs) > 0, "nothing in {}", packs.display());
    let own = job.path("own").display().to_string();
    let mut command = job.command(&["--set", &format!("model.label_cache_dir={own}")]);
    command.env("XDG_CACHE_HOME", job.path("unused"));
    run(command, b"ana ruiz\n").expect(0);
    // ONNX Runtime has a folder of its own in the cache.
    assert!(files(Path::new(&own)) > 0 && !job.path("unused/weir").exists());
}

/// Links a pack into a folder under a name.
fn link(folder: &Path, name: &str) {
    fs::create_dir_all(folder).unwrap();
    std::os::unix::fs::symlink(pack(), folder.join(name)).unwrap();
}

#[test]
fn a_pack_is_found_by_its_name() {
    let job = job_of("type = \"stdin\"", "type = \"stdout\"", "tiny-one");
    let variable =
        |name: &'static str, folder: &str| (name, job.path(folder).display().to_string());
    check(&job, &[], &[]).expect(1).says(&[
        "`tiny-one`",
        &job.path("tiny-one").display().to_string(),
        &job.path("models/tiny-one").display().to_string(),
        "share/weir/models/tiny-one",
        "WEIR_MODELS",
        "weir.toml:",
    ]);
    link(&job.path("elsewhere/a"), "tiny-one");
    link(&job.path("data/weir/models"), "tiny-one");
    for (name, value) in [
        (
            "WEIR_MODELS",
            format!("/nowhere:{}", job.path("elsewhere/a").display()),
        ),
        variable("XDG_DATA_HOME", "data"),
        variable("XDG_DATA_DIRS", "data"),
    ] {
        check(&job, &[], &[(name, &value)]).expect(0);
        runs(&job, &[], &[(name, &value)]).expect(0);
        let text = [
            ("weir", "redact"),
            ("", "-p"),
            ("", "email"),
            ("", "-m"),
            ("", "tiny-one"),
        ];
        let arguments: Vec<&str> = text.iter().map(|(_, word)| *word).collect();
        let mut redact = command(&arguments);
        redact.env(name, &value);
        assert_eq!(
            run(redact, b"a@mail.example\n").expect(0).stdout,
            "[EMAIL]\n"
        );
    }
    // Beside the configuration, whatever the folder that weir runs in.
    for folder in ["models", "."] {
        link(&job.path(folder), "tiny-one");
        let checked = check(&job, &[], &[("WEIR_MODELS", "/nowhere")]).expect(0);
        let found = job.path(folder).join("tiny-one");
        let found = found.display().to_string().replace("/./", "/");
        assert!(
            checked.stdout.replace("/./", "/").contains(&found),
            "{}",
            checked.stdout
        );
    }
}

#[test]
fn a_path_of_a_pack_stays_a_path() {
    let job = job_of("type = \"stdin\"", "type = \"stdout\"", "./weir-mini");
    let ran = check(&job, &[], &[]).expect(1);
    let told = job.path("weir-mini").display().to_string();
    assert!(
        ran.stderr.replace("/./", "/").contains(&told),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("such as weir-mini"), "{}", ran.stderr);
}

#[test]
fn what_init_writes_is_checked_tested_and_run_as_it_is() {
    for preset in ["logs", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let within = |args: &[&str]| {
            let mut command = command(args);
            command
                .current_dir(folder.path())
                .env_remove("ORT_DYLIB_PATH");
            run(command, b"")
        };
        within(&["init", "--preset", preset, "job"]).expect(0);
        let config = ["--config", "job/weir.toml"];
        within(&[&["check"][..], &config].concat()).expect(0);
        within(&[&["test"][..], &config].concat()).expect(0);
        within(&[&["run"][..], &config, &["--dry-run"]].concat()).expect(0);
        let ran = within(&[&["run"][..], &config].concat()).expect(0);
        assert!(!ran.stderr.contains(" 0 entities"), "{}", ran.stderr);
        assert!(folder.path().join("job/out/redactions").exists());
    }
}

#[test]
fn onnx_runtime_is_taken_from_where_it_is_named_or_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    // A program that nothing lies beside.
    let program = folder.path().join("weir");
    fs::copy(env!("CARGO_BIN_EXE_weir"), &program).unwrap();
    let pack = pack().display().to_string();
    let alone = |variables: &[(&str, &str)]| {
        let mut command = Command::new(&program);
        command
            .args(["redact", "-p", "email", "-m", &pack])
            .current_dir(folder.path())
            .env_clear()
            .env("HOME", folder.path())
            .envs(variables.iter().copied());
        run(command, b"a@mail.example\n")
    };
    let beside = folder
        .path()
        .join("libonnxruntime.so")
        .display()
        .to_string();
    let ran = alone(&[]);
    if ran.code != 0 {
        // Where the system has none.
        ran.expect(78)
            .says(&[&beside, "/usr/lib", "ORT_DYLIB_PATH", "fix:"]);
    }
    alone(&[("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")])
        .expect(78)
        .says(&["/nowhere/libonnxruntime.so"]);
    let library = weir::model::library_path(None).unwrap();
    alone(&[("ORT_DYLIB_PATH", library.to_str().unwrap())]).expect(0);
    std::os::unix::fs::symlink(&library, &beside).unwrap();
    alone(&[]).expect(0);
}

#[test]
fn a_country_that_is_called_otherwise_is_proposed() {
    for (written, meant) in [("UK", "GB"), ("usa", "US"), ("+49", "DE"), ("Spain", "ES")] {
        let job = Job::new("");
        let tenant = format!("patterns = [\"phone\"]\nphone_region = {written:?}\n");
        job.write("tenants/acme.toml", tenant);
        let fix = format!("fix: \"{meant}\"");
        check(&job, &[], &[])
            .expect(1)
            .says(&["acme.toml:2:", &fix]);
        job.run(&[]).expect(78).says(&["acme.toml:2:", &fix]);
    }
}
