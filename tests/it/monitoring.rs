//! What watches weir: alerts, dashboards and the collector name metrics that exist, each alert is shown firing and
//! silent, and no panel is without data when a real Prometheus scrapes a real worker.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Child,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
};
use regex::Regex;
use serde_json::Value;
use weir::telemetry::metric::{self, Kind};

use crate::support::{
    broker::{self, free_port},
    engine,
    eventually::{eventually, so},
    job::{Job, command, ended, pack, piped, run, terminate, weir},
    llama::{Asked, Fault, Front},
    otelcol::Collector,
    probe::page,
    prometheus::{Prometheus, promtool},
    topic::{Place, record},
};

const RULES: &str = "deploy/prometheus/rules.yaml";
const RULES_TESTS: [&str; 2] = [
    "deploy/prometheus/rules_test.yaml",
    "deploy/prometheus/rules_day_test.yaml",
];
const DASHBOARDS: [&str; 2] = [
    "deploy/grafana/pipeline.json",
    "deploy/grafana/privacy.json",
];
const PAGE: &str = "docs/monitoring.md";

/// Queries of panels that need a fault which no test can make at little cost: the panel, the query's letter, and why.
const RARE: &[(&str, &str, &str)] = &[
    (
        "Kafka client and telemetry",
        "A",
        "a call into librdkafka hangs until its deadline, minutes after it began",
    ),
    ("Kafka client and telemetry", "B", "the same"),
    (
        "Entities per document",
        "B",
        "yesterday: a Prometheus of one minute has none",
    ),
];

/// What Grafana puts into queries, for a Prometheus that scrapes each second.
const VARIABLES: [(&str, &str); 5] = [
    ("$__rate_interval", "10s"),
    ("$__range", "5m"),
    ("$job", "weir"),
    ("$instance", ".*"),
    ("$tenant", ".*"),
];

fn text_of(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Names in a text that are metrics (`weir_…`, `process_…`) or records of rules (with colons).
fn names(text: &str) -> BTreeSet<String> {
    let name = Regex::new("[a-zA-Z_:][a-zA-Z0-9_:]*").unwrap();
    let found = name
        .find_iter(text)
        .map(|found| found.as_str().trim_matches(':'));
    let is_metric = |name: &&str| {
        let own = name.split(':').nth(1).unwrap_or(name);
        own.starts_with("weir_") || own.starts_with("process_")
    };
    found.filter(is_metric).map(str::to_owned).collect()
}

/// The metric of a series: a histogram has three.
fn metric_of(name: &str) -> Option<&'static str> {
    let of_histogram = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|end| name.strip_suffix(end));
    metric::ALL
        .iter()
        .find(|metric| match metric.kind {
            Kind::Histogram => Some(metric.name) == of_histogram || metric.name == name,
            Kind::Counter | Kind::Gauge => metric.name == name,
        })
        .map(|metric| metric.name)
}

#[test]
fn rules_dashboards_and_pages_name_metrics_that_exist() {
    let record = Regex::new(r"(?m)^ +- record: (\S+)$").unwrap();
    let rules = text_of(RULES);
    let records: BTreeSet<&str> = record
        .captures_iter(&rules)
        .map(|found| found.extract::<1>().1[0])
        .collect();
    assert!(records.len() > 5, "{records:?}");
    let files = [RULES, PAGE, "deploy/otelcol.yaml"];
    let files = files.into_iter().chain(RULES_TESTS).chain(DASHBOARDS);
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for file in files {
        for name in names(&text_of(file)) {
            match name.contains(':') {
                true if records.contains(&*name) => {}
                true => wrong.push(format!("{file}: no record {name} in {RULES}")),
                false => match metric_of(&name) {
                    Some(metric) => drop(seen.insert((file, metric))),
                    None => wrong.push(format!("{file}: no metric {name} in metric::ALL")),
                },
            }
        }
    }
    // A metric that nobody looks at is one that nobody misses.
    for metric in metric::ALL {
        // Says little of a process that maps its model's file.
        let is_virtual = metric.name.starts_with("process_virtual_memory");
        let is_shown = DASHBOARDS
            .iter()
            .any(|file| seen.contains(&(file, metric.name)));
        if !is_shown && !is_virtual {
            wrong.push(format!("{} is in no dashboard", metric.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Alerts of the rules, each with the anchor that its `runbook_url` names.
fn alerts() -> BTreeMap<String, String> {
    let rules = text_of(RULES);
    let mut alerts = BTreeMap::new();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let link = rule.lines().find_map(|line| {
            let link = line.trim().strip_prefix("runbook_url: ")?;
            link.strip_prefix(PAGE)?.strip_prefix('#')
        });
        for key in ["labels: {severity: ", "summary: ", "description: "] {
            assert!(rule.contains(key), "{name} has no {key}");
        }
        let link = link.unwrap_or_else(|| panic!("{name} names no part of {PAGE}"));
        alerts.insert(name.to_owned(), link.to_owned());
    }
    alerts
}

#[test]
fn each_alert_has_tests_in_which_it_fires_and_is_silent_and_a_page_says_what_to_do() {
    let alerts = alerts();
    let tests = RULES_TESTS.map(text_of).concat();
    let page = text_of(PAGE);
    // Name and whether it fires, of each expectation.
    let expected: BTreeSet<(&str, bool)> = tests
        .split("- alertname: ")
        .skip(1)
        .map(|expected| {
            let name = expected.lines().next().unwrap();
            (name, !expected.contains("exp_alerts: []"))
        })
        .collect();
    let headings: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(str::to_lowercase)
        .collect();
    for (name, link) in &alerts {
        for fires in [true, false] {
            let has = expected.contains(&(name, fires));
            assert!(has, "no test of {name} with fires = {fires}");
        }
        assert_eq!(*link, name.to_lowercase());
        assert!(headings.contains(link), "{PAGE} has no heading {name}");
    }
    for (name, _) in expected {
        assert!(
            alerts.contains_key(name),
            "tests of {name}, which is no alert"
        );
    }
    let needed = "WorkerDown NoCommits LagGrowing EndToEndSlow DeadLettersRising TransactionsAborting TransactionUnknown \
                  ReloadKept QueueFull SourceErrors MemoryNearLimit";
    for name in needed.split_whitespace() {
        assert!(alerts.contains_key(&format!("Weir{name}")), "{name}");
    }
}

#[test]
fn promtool_accepts_rules_and_configuration_and_each_test_of_an_alert_passes() {
    let config = "deploy/prometheus/prometheus.yaml";
    for args in [
        ["check", "rules", RULES],
        ["check", "config", config],
        ["test", "rules", RULES_TESTS[0]],
        ["test", "rules", RULES_TESTS[1]],
    ] {
        let ran = promtool(&args).expect(0);
        assert!(ran.stdout.contains("SUCCESS"), "{}", ran.stdout);
    }
}

/// A panel that is no row: those of rows that are closed too.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let mut all = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        match panel["type"] == "row" {
            true => all.extend(panel["panels"].as_array().unwrap()),
            false => all.push(panel),
        }
    }
    all
}

fn dashboard(file: &str) -> Value {
    serde_json::from_str(&text_of(file)).unwrap()
}

#[test]
fn dashboards_are_whole() {
    // Those that Grafana 11 and newer know, and have not replaced by others.
    let kinds = ["timeseries", "stat", "bargauge", "table", "heatmap"];
    let variable = Regex::new(r"\$(\w+)").unwrap();
    let mut uids = BTreeSet::new();
    for file in DASHBOARDS {
        let dashboard = dashboard(file);
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()));
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
        assert!(dashboard["id"].is_null(), "{file}: an id of one Grafana");
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let variables: BTreeSet<&str> = variables
            .iter()
            .map(|variable| variable["name"].as_str().unwrap())
            .collect();
        let mut ids = BTreeSet::new();
        let mut taken = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            let at = format!("{file}: {title}");
            assert!(kinds.contains(&panel["type"].as_str().unwrap()), "{at}");
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{at}: its id");
            assert!(
                panel["description"]
                    .as_str()
                    .is_some_and(|text| text.len() > 10),
                "{at}"
            );
            assert!(
                panel["fieldConfig"]["defaults"]["unit"].is_string(),
                "{at}: no unit"
            );
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{at}");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{at}: too wide");
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(taken.insert((x, y)), "{at} is over another panel");
                }
            }
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{at}");
                let query = target["expr"].as_str().unwrap();
                for used in variable.captures_iter(query) {
                    let name = &used[1];
                    let known = name.starts_with("__") || variables.contains(name);
                    assert!(known, "{at}: {name}");
                }
            }
        }
        assert!(ids.len() > 15, "{file} has {} panels", ids.len());
    }
}

#[test]
fn what_the_compose_files_mount_and_prometheus_scrapes_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let services = text_of("docker-compose.yml") + &text_of("docker-compose.observe.yml");
    let mount = Regex::new(r"(?m)^ +- \./([^:\n]+):").unwrap();
    let mounts: Vec<&str> = mount
        .captures_iter(&services)
        .map(|found| found.extract::<1>().1[0])
        .collect();
    assert!(mounts.len() >= 5, "{mounts:?}");
    for mount in mounts {
        assert!(root.join(mount).exists(), "no {mount} to mount");
    }
    let target = Regex::new(r"targets: \[([a-z]+):(\d+)\]").unwrap();
    let config = text_of("deploy/prometheus/prometheus.yaml");
    let scraped: Vec<(&str, &str)> = target
        .captures_iter(&config)
        .map(|found| found.extract::<2>().1.into())
        .collect();
    for (service, port) in [("weir", "9464"), ("otelcol", "8889")] {
        assert!(scraped.contains(&(service, port)), "{scraped:?}");
        assert!(services.contains(&format!("\n  {service}:\n")), "{service}");
    }
    assert!(services.contains("WEIR_TELEMETRY__LISTEN: 0.0.0.0:9464"));
    assert!(text_of("deploy/otelcol.yaml").contains("0.0.0.0:8889"));
}

#[test]
fn weir_accepts_the_configuration_of_the_worker_of_the_compose_files() {
    let files = text_of("docker-compose.yml") + &text_of("docker-compose.observe.yml");
    let variable = Regex::new(r"(?m)^ +((?:WEIR|OTEL)_\w+): (.+)$").unwrap();
    let variables: Vec<(&str, &str)> = variable
        .captures_iter(&files)
        .map(|found| found.extract::<2>().1.into())
        .collect();
    assert!(variables.len() >= 5, "{variables:?}");
    let mut in_compose = command(&["check", "--config", "examples/stream.toml"]);
    for (name, value) in variables {
        in_compose.env(name, value.trim_matches('"'));
    }
    run(in_compose, b"").expect(0);
    // And as `make demo-kafka` runs it.
    weir(&["check", "--config", "examples/stream.toml"]).expect(0);
}

/// A worker that meets what panels are about, on its topics and its page.
struct Watched {
    place: Place,
    job: Job,
    port: u16,
    /// A topic of a tenant, which is missing at first.
    late: String,
    child: Option<Child>,
    _model: Front,
}

/// Answers a name that the text holds, and one that it does not.
fn names_too_much(asked: &Asked, _: usize) -> Fault {
    Fault::Says(match asked.is_probe() {
        true => " None".to_owned(),
        false => " person: Ana Ruiz; person: Eva Braun".to_owned(),
    })
}

impl Watched {
    /// `telemetry`: keys of the section.
    fn new(telemetry: &str) -> Self {
        let place = Place::new(2);
        let model = Front::alone(names_too_much);
        let redactions = place.outputs.redactions.as_deref().unwrap();
        let port = free_port();
        let job = Job::with(&format!(
            "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{broker}\"\ntopics = [\"{input}\"]\n\
             group_id = \"watched-{input}\"\nsession_timeout_ms = 6000\n\
             [sink]\ntype = \"kafka\"\n\
             transaction = {{ timeout_ms = 8000, max_documents = 20, max_ms = 100 }}\n\
             topics = {{ entities = \"{entities}\", redactions = \"{redactions}-{{tenant}}\", dead_letters = \"{dead}\" }}\n\
             [pipeline]\nstall_secs = 60\ndrain_timeout_secs = 4\n\
             [telemetry]\nlisten = \"127.0.0.1:{port}\"\n{telemetry}\n\
             [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n\
             [model]\npack = {pack:?}\n[models.asked]\npack = \"asked\"\n",
            broker = place.address(),
            input = place.input,
            entities = place.outputs.entities.as_deref().unwrap(),
            dead = place.outputs.dead_letters,
            pack = pack().display().to_string(),
        ));
        job.write(
            "asked.toml",
            format!(
                "format = 1\nname = \"asked\"\nfamily = \"prompted\"\n[prompted]\nmodel = \"tiny\"\nurl = {:?}\n",
                model.url
            ),
        );
        let policy = "labels = [\"person\"]\npatterns = [\"email\"]\n";
        for tenant in ["acme", "late"] {
            job.write(&format!("tenants/{tenant}.toml"), policy);
        }
        job.write(
            "tenants/asks.toml",
            "model = \"asked\"\nlabels = [{ name = \"person\", threshold = 0.0 }]\n",
        );
        let of = |tenant: &str| format!("{redactions}-{tenant}");
        broker::create_topics(place.address(), &[(&of("acme"), 2), (&of("asks"), 2)]);
        let late = of("late");
        Self {
            place,
            job,
            port,
            late,
            child: None,
            _model: model,
        }
    }

    fn start(&mut self) {
        self.child = Some(piped(&mut self.job.command(&[])));
    }

    fn drain(mut self) {
        let child = self.child.take().expect("it was started");
        terminate(&child);
        ended(child).expect(0);
    }

    /// Some records of every kind.
    fn produce(&self, from: usize) {
        let of = |tenant: &str, n: usize| {
            let text = format!("{{\"tenant\":\"{tenant}\",\"text\":\"ask Ana Ruiz, {n}\"}}");
            (format!("key-{n}"), text)
        };
        let good = (from..from + 20).map(record);
        // More than WeirDeadLettersRising wants to see.
        let bad = std::iter::repeat_n(("k".to_owned(), "no JSON".to_owned()), 12);
        let others = [of("nobody", from), of("asks", from)];
        self.place.produce(good.chain(bad).chain(others));
    }

    /// Retention deletes records that the group has not read.
    fn delete_some(&self) {
        let place = &self.place;
        for n in 0..10 {
            place.produce_to(0, record(n));
        }
        drop(place.set_group(&format!("watched-{}", place.input), 0..1, 2));
        let mut until = TopicPartitionList::new();
        let kept = Offset::Offset(7);
        until.add_partition_offset(&place.input, 0, kept).unwrap();
        let admin: AdminClient<DefaultClientContext> = place.client().create().unwrap();
        let deleted = admin.delete_records(&until, &AdminOptions::new());
        engine::runtime().block_on(deleted).unwrap();
    }

    /// Waits until the worker's metrics have a part.
    fn wait_for(&self, part: &str) {
        eventually(Duration::from_secs(90), || {
            let text = page(self.port, "/metrics").map_or_else(String::new, |(_, text)| text);
            so(text.contains(part), format!("no {part} in:\n{text}"))
        });
    }
}

impl Drop for Watched {
    /// After a test that failed.
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Queries of all panels: where it stands, and the query as Grafana sends it.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    let mut rare: Vec<_> = RARE.iter().collect();
    for file in DASHBOARDS {
        for panel in panels(&dashboard(file)) {
            let title = panel["title"].as_str().unwrap();
            for target in panel["targets"].as_array().unwrap() {
                let letter = target["refId"].as_str().unwrap();
                let before = rare.len();
                rare.retain(|(panel, query, _)| (*panel, *query) != (title, letter));
                if rare.len() < before {
                    continue;
                }
                let mut query = target["expr"].as_str().unwrap().to_owned();
                for (variable, value) in VARIABLES {
                    query = query.replace(variable, value);
                }
                queries.push((format!("{file}: {title}, {letter}"), query));
            }
        }
    }
    assert!(rare.is_empty(), "no such panel: {rare:?}");
    queries
}

#[test]
fn no_panel_is_without_data() {
    // Nobody takes what the worker sends.
    let away = free_port();
    let mut watched = Watched::new(&format!(
        "otlp = {{ endpoint = \"http://127.0.0.1:{away}\", timeout_secs = 1 }}\nmetrics = {{ interval_secs = 1 }}"
    ));
    watched.delete_some();
    watched.produce(100);
    let prometheus = Prometheus::start(watched.port, RULES);
    watched.start();
    watched.wait_for("outcome=\"delivered\"");

    // A set that no broker takes: it is aborted until the topic is there.
    let (key, late) = record(0);
    let late = late.replace('{', "{\"tenant\":\"late\",");
    watched.place.produce([(key, late)]);
    watched.wait_for("error_type=\"no_topic\"");
    broker::create_topics(watched.place.address(), &[(&watched.late, 2)]);
    // A policy with a mistake, which is corrected later.
    watched.job.write("tenants/late.toml", "labels = 7\n");
    watched.wait_for("outcome=\"kept\"");

    let queries = queries();
    assert!(queries.len() > 60, "{} queries", queries.len());
    let mut without: BTreeMap<String, String> = BTreeMap::new();
    let (mut open, begun) = (queries, Instant::now());
    let mut round = 10;
    // Rates need records that come while Prometheus scrapes.
    while !open.is_empty() && begun.elapsed() < Duration::from_secs(60) {
        watched.produce(round * 100);
        round += 1;
        std::thread::sleep(Duration::from_secs(1));
        without.clear();
        open.retain(|(place, query)| match prometheus.query(query) {
            Ok(found) if !found.is_empty() => false,
            Ok(_) => without.insert(place.clone(), query.clone()).is_none(),
            Err(error) => panic!("{place}: {error}: {query}"),
        });
    }
    assert!(without.is_empty(), "without data: {without:#?}");

    for file in DASHBOARDS {
        let dashboard = dashboard(file);
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let Some(definition) = variable["definition"].as_str() else {
                continue;
            };
            let asked = definition.strip_prefix("label_values(").unwrap();
            let (series, label) = asked.strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
            let series = series.replace("$job", "weir");
            let values = prometheus.ask(&format!("label/{label}/values"), &[("match[]", &series)]);
            assert!(
                !values.unwrap().as_array().unwrap().is_empty(),
                "{definition}"
            );
        }
        for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
            if let Some(query) = annotation["expr"].as_str() {
                prometheus.query(&query.replace("$job", "weir")).unwrap();
            }
        }
    }
    assert_rules_are_healthy(&prometheus);
    watched.job.write("tenants/late.toml", "labels = []\n");
    watched.wait_for("outcome=\"reloaded\"");
    watched.drain();
}

/// Every rule was evaluated over what a real worker shows, without an error, and those about what the test did see it.
fn assert_rules_are_healthy(prometheus: &Prometheus) {
    const SEEN: [&str; 3] = [
        "WeirReloadKept",
        "WeirDeadLettersRising",
        "WeirRecordsSkipped",
    ];
    // The last evaluation may have been before the last scrape.
    eventually(Duration::from_secs(30), || {
        let all = prometheus.ask("rules", &[]).unwrap();
        let groups = all["groups"].as_array().unwrap();
        let rules: Vec<&Value> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap())
            .collect();
        assert!(rules.len() > 25);
        let is_well = |rule: &&&Value| {
            let is_seen = SEEN.iter().any(|name| rule["name"] == *name);
            rule["health"] == "ok" && !(is_seen && rule["state"] == "inactive")
        };
        let others: Vec<&&Value> = rules.iter().filter(|rule| !is_well(rule)).collect();
        so(others.is_empty(), format!("{others:#?}"))
    });
}

/// Names with their kinds, and series without the labels that a collector adds, of a page of metrics.
fn shown(port: u16) -> (BTreeSet<String>, BTreeSet<String>) {
    // The collector answers in chunks.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = engine::runtime().block_on(async {
        let asked = client.get(format!("http://127.0.0.1:{port}/metrics"));
        asked.send().await?.text().await
    });
    let text = text.unwrap_or_default();
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let kinds = kinds.filter(|kind| !kind.starts_with("target_info"));
    let label = Regex::new("([a-z_]+)=\"([^\"]*)\"").unwrap();
    let series = text.lines().filter_map(|line| {
        let (series, _) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let is_own = name.starts_with("weir_") || name.starts_with("process_");
        let mut own: Vec<String> = label
            .captures_iter(labels)
            .filter(|found| !["job", "instance", "le"].contains(&&found[1]))
            .map(|found| format!("{}={}", &found[1], &found[2]))
            .collect();
        own.sort();
        is_own.then(|| format!("{name} {}", own.join(",")))
    });
    (kinds.map(str::to_owned).collect(), series.collect())
}

#[test]
fn a_collector_shows_the_same_metrics_as_the_worker_and_has_its_traces() {
    let Some(collector) = Collector::start() else {
        return;
    };
    let mut watched = Watched::new(&format!(
        "otlp = {{ endpoint = \"http://127.0.0.1:{}\" }}\nmetrics = {{ interval_secs = 1 }}",
        collector.otlp
    ));
    watched.delete_some();
    watched.produce(100);
    watched.start();
    watched.wait_for("outcome=\"delivered\"");
    watched.wait_for("weir_skipped_records_total{");
    eventually(Duration::from_secs(60), || {
        let (own, sent) = (shown(watched.port), shown(collector.prometheus));
        let differ = |a: &BTreeSet<String>, b: &BTreeSet<String>| -> Vec<String> {
            a.symmetric_difference(b).cloned().collect()
        };
        let (kinds, series) = (differ(&own.0, &sent.0), differ(&own.1, &sent.1));
        let is_same = own.0.len() > 20 && kinds.is_empty() && series.is_empty();
        so(
            is_same,
            format!("{} kinds; differ: {kinds:#?} {series:#?}", own.0.len()),
        )
    });
    watched.drain();
    let traces = eventually(Duration::from_secs(20), || {
        let text = fs::read_to_string(collector.traces()).unwrap_or_default();
        match text.is_empty() {
            true => Err("no traces"),
            false => Ok(text),
        }
    });
    let first: Value = serde_json::from_str(traces.lines().next().unwrap()).unwrap();
    assert!(first["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"].is_string());
    assert!(!traces.contains("Ana Ruiz"));
}
