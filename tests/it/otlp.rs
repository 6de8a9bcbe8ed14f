//! What a collector gets from a worker, and what a worker does when it gets nothing.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use rdkafka::{
    Message as _,
    message::{Header, Headers as _, OwnedHeaders, OwnedMessage},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use weir::telemetry::metric;

use crate::support::{
    broker::free_port,
    collector::{Answer, Collector, pairs},
    eventually::{eventually, so},
    job::{Job, Ran, command, ended, pack, piped, terminate, weir},
    probe::{page, wait_for},
    topic::Place,
    worker,
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PRODUCER: &str = "b7ad6b7169203331";

fn sampled(trace: &str) -> String {
    format!("00-{trace}-{PRODUCER}-01")
}

/// A worker between topics with this `[telemetry]`. `labels`: whether it asks the model.
fn on_topics(kafka: &Place, telemetry: &str, labels: bool) -> Job {
    let outputs = &kafka.outputs;
    let job = Job::with(&format!(
        "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{0}\"\ntopics = [\"{1}\"]\ngroup_id = \"otlp-{1}\"\n\
         session_timeout_ms = 6000\n\
         [sink]\ntype = \"kafka\"\ntransaction = {{ max_ms = 300 }}\n\
         topics = {{ entities = \"{2}\", redactions = \"{3}\", dead_letters = \"{4}\" }}\n\
         [pipeline]\ndrain_timeout_secs = 4\n\
         [telemetry]\n{telemetry}\n\
         [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = {5:?}\n",
        kafka.address(),
        kafka.input,
        outputs.entities.as_ref().unwrap(),
        outputs.redactions.as_ref().unwrap(),
        outputs.dead_letters,
        pack().display().to_string()
    ));
    let asked = match labels {
        true => "labels = [\"thing\"]\npatterns = [\"email\"]\n",
        false => worker::PATTERNS_ONLY,
    };
    job.write("tenants/acme.toml", asked);
    job
}

struct Sent<'a> {
    key: &'a str,
    value: &'a str,
    headers: Vec<(&'a str, &'a str)>,
}

fn send<'a>(kafka: &Place, records: impl IntoIterator<Item = Sent<'a>>) {
    let producer: BaseProducer = kafka.client().create().unwrap();
    for record in records {
        let mut headers = OwnedHeaders::new();
        for (key, value) in record.headers {
            headers = headers.insert(Header {
                key,
                value: Some(value),
            });
        }
        let out = BaseRecord::to(&kafka.input)
            .key(record.key)
            .payload(record.value);
        producer.send(out.headers(headers)).unwrap();
        producer.poll(Duration::ZERO);
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// Runs a worker until so many records have their outputs.
fn run_until(kafka: &Place, job: &Job, records: usize) -> Ran {
    let child = piped(&mut job.command(&[]));
    kafka.wait_for(records);
    terminate(&child);
    ended(child)
}

fn header(message: &OwnedMessage, name: &str) -> Option<String> {
    let headers = message.headers()?;
    let mut found = headers.iter().filter(|header| header.key == name);
    let value = found.next()?.value?;
    assert!(found.next().is_none(), "{name} stands there twice");
    Some(String::from_utf8(value.to_vec()).unwrap())
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = pairs(&span.attributes);
    let mut found = found.into_iter().filter(|(own, _)| own == key);
    found.next().map(|(_, value)| value)
}

#[test]
fn a_trace_goes_from_the_producer_through_the_worker_to_the_outputs_and_no_value_with_it() {
    let (kafka, collector) = (Place::new(1), Collector::start());
    let unsampled = format!("00-{TRACE}-{PRODUCER}-00");
    // In value, key, id, headers, baggage, an unknown tenant's name; in a failing record too.
    let canaries = [
        "canary-value",
        "canary-key",
        "canary-id",
        "canary-header",
        "canary-baggage",
        "canary-tenant",
        "canary-state",
        "canary@mail.example",
        "canary-malformed",
    ];
    // Each its own: equal texts are read once, for the first of them.
    let value = |n: usize| {
        format!("{{\"id\":\"canary-id\",\"text\":\"ask {n} canary-value at canary@mail.example\"}}")
    };
    let values = [0, 1, 2, 3].map(value);
    let parent = sampled(TRACE);
    let mut next = values.iter();
    let mut plain = |headers| Sent {
        key: "canary-key",
        value: next.next().unwrap(),
        headers,
    };
    send(
        &kafka,
        [
            plain(vec![
                ("traceparent", &*parent),
                ("tracestate", "vendor=canary-state"),
                ("baggage", "user=canary-baggage"),
                ("x-other", "canary-header"),
            ]),
            plain(vec![
                ("traceparent", &*unsampled),
                ("tracestate", "vendor=1"),
            ]),
            plain(vec![]),
            plain(vec![("traceparent", "00-canary-malformed")]),
            Sent {
                key: "k",
                value: "{\"tenant\":\"canary-tenant\",\"text\":\"canary-value\"}",
                headers: vec![("traceparent", &*parent)],
            },
            Sent {
                key: "k",
                value: "canary-value is not JSON",
                headers: vec![],
            },
        ],
    );
    let job = on_topics(
        &kafka,
        &format!(
            "otlp = {{ endpoint = \"{}\", headers_file = \"headers\" }}\nlogs = {{ push = true }}\nlog_level = \"trace\"\n\
             resource = {{ \"deployment.environment.name\" = \"test\" }}",
            collector.endpoint
        ),
        true,
    );
    job.write("headers", "x-token=of-the-collector\n");
    let ran = run_until(&kafka, &job, 6).expect(0);

    let spans = collector.spans();
    let of_records = named(&spans, &format!("process {}", kafka.input));
    assert_eq!(of_records.len(), 2, "{spans:#?}");
    for span in &of_records {
        assert_eq!(hex::encode(&span.trace_id), TRACE);
        assert_eq!(hex::encode(&span.parent_span_id), PRODUCER);
        assert_eq!(span.kind(), SpanKind::Consumer);
    }
    assert_eq!(
        attribute(of_records[0], "messaging.kafka.offset").unwrap(),
        "0"
    );
    assert_eq!(attribute(of_records[0], "error.type"), None);
    assert_eq!(
        attribute(of_records[1], "error.type").unwrap(),
        "unknown_tenant"
    );

    // Transactions are roots, and one links the record's span; `send` and `commit` are inside.
    let sets = named(&spans, "process");
    assert!(!sets.is_empty());
    let mut linked = Vec::new();
    for set in &sets {
        assert!(set.parent_span_id.is_empty() && hex::encode(&set.trace_id) != TRACE);
        assert_eq!(attribute(set, "error.type"), None);
        linked.extend(set.links.iter().map(|link| link.span_id.clone()));
        for step in ["send", "commit"] {
            let steps = named(&spans, step);
            let inside = steps.iter().filter(|own| own.parent_span_id == set.span_id);
            let kinds: Vec<SpanKind> = inside.map(|own| own.kind()).collect();
            assert_eq!(kinds, [SpanKind::Client], "{step} of a transaction");
        }
    }
    for span in &of_records {
        assert!(
            linked.contains(&span.span_id),
            "no transaction links a record"
        );
    }
    // The model's run is linked to the one record that is sampled and was read.
    let runs = named(&spans, "infer");
    let runs = runs.iter().flat_map(|run| &run.links);
    let runs: BTreeSet<&Vec<u8>> = runs.map(|link| &link.span_id).collect();
    assert_eq!(runs, BTreeSet::from([&of_records[0].span_id]));

    // Outputs.
    for topic in [&kafka.outputs.entities, &kafka.outputs.redactions] {
        let written = kafka.messages(topic.as_ref().unwrap());
        let own = format!("00-{TRACE}-{}-01", hex::encode(&of_records[0].span_id));
        assert_eq!(header(&written[0], "traceparent"), Some(own));
        assert_eq!(
            header(&written[0], "tracestate").unwrap(),
            "vendor=canary-state"
        );
        assert_eq!(header(&written[1], "traceparent"), Some(unsampled.clone()));
        assert_eq!(header(&written[1], "tracestate").unwrap(), "vendor=1");
        assert_eq!(header(&written[2], "traceparent"), None);
        assert_eq!(header(&written[3], "traceparent"), None);
    }
    let letters = kafka.messages(&kafka.outputs.dead_letters);
    let own = format!("00-{TRACE}-{}-01", hex::encode(&of_records[1].span_id));
    assert!(
        letters
            .iter()
            .any(|letter| header(letter, "traceparent") == Some(own.clone()))
    );

    // All three signals came, with the last counts, and hold no value.
    let resource = collector.resource();
    let has = |key: &str, value: &str| {
        resource
            .iter()
            .any(|pair| (&*pair.0, &*pair.1) == (key, value))
    };
    assert!(
        has("service.name", "weir") && has("deployment.environment.name", "test"),
        "{resource:?}"
    );
    assert!(has("service.version", weir::VERSION), "{resource:?}");
    let delivered = [("outcome", "delivered"), ("tenant", "acme")];
    assert_eq!(
        collector.metric(metric::DOCUMENTS_TOTAL, &delivered),
        Some(4.0)
    );
    assert_eq!(collector.metric(metric::DEAD_LETTERS_TOTAL, &[]), Some(2.0));
    let lines = collector.logs();
    assert!(
        lines
            .iter()
            .any(|line| format!("{line:?}").contains("record dead-lettered"))
    );
    for request in ["traces", "metrics", "logs"].map(|signal| collector.requests(signal)) {
        let headers = &request.last().expect("each signal is sent").headers;
        assert_eq!(headers["x-token"], "of-the-collector");
        assert_eq!(headers["content-encoding"], "gzip");
    }
    let sent = collector.bytes();
    for canary in canaries {
        let is_there = sent
            .windows(canary.len())
            .any(|own| own == canary.as_bytes());
        // The vendor's part of a trace belongs to the trace.
        assert!(
            !is_there || canary == "canary-state",
            "{canary} went to the collector"
        );
        assert!(!ran.stderr.contains(canary), "{canary} in {}", ran.stderr);
    }
}

#[test]
fn metrics_of_both_ways_out_are_those_of_the_table() {
    let (kafka, collector) = (Place::new(1), Collector::start());
    let port = free_port();
    let telemetry = format!(
        "listen = \"127.0.0.1:{port}\"\nmetrics = {{ interval_secs = 1 }}\notlp = {{ endpoint = \"{}\" }}",
        collector.endpoint
    );
    let job = on_topics(&kafka, &telemetry, true);
    let value = "{\"id\":\"1\",\"text\":\"ask ana@mail.example\"}";
    send(
        &kafka,
        (0..20).map(|_| Sent {
            key: "k",
            value,
            headers: vec![],
        }),
    );
    let child = piped(&mut job.command(&[]));
    kafka.wait_for(20);
    // Lag comes with the client's statistics, each five seconds.
    let partition = [("partition", "0")];
    eventually(Duration::from_secs(30), || {
        let pushed = [metric::CONSUMER_LAG, metric::LAG_SECONDS]
            .map(|name| collector.metric(name, &partition));
        so(pushed == [Some(0.0), Some(0.0)], format!("{pushed:?}"))
    });
    let scraped = page(port, "/metrics").unwrap().1;
    terminate(&child);
    ended(child).expect(0);
    let pushed = collector.metrics();
    for own in &pushed {
        let known = metric::ALL.iter().find(|known| known.name == own.name);
        let known = known.unwrap_or_else(|| panic!("{} is not in the table", own.name));
        assert_eq!(
            (&*own.unit, &*own.description),
            (known.unit, known.description),
            "{}",
            own.name
        );
    }
    // Every family on the page was sent, under its name and with its value where it no longer changes.
    let types = scraped
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let families: BTreeSet<&str> = types.filter_map(|line| line.split(' ').next()).collect();
    let names: BTreeSet<&str> = pushed.iter().map(|own| &*own.name).collect();
    assert!(families.len() > 20, "{families:?}");
    let missing: Vec<_> = families.difference(&names).collect();
    assert!(missing.is_empty(), "not sent: {missing:?}");
    for name in [
        metric::PROCESS_RESIDENT_MEMORY_BYTES,
        metric::MEMORY_LIMIT_BYTES,
        metric::PROCESS_THREADS,
    ] {
        assert!(
            collector.metric(name, &[]).is_some_and(|value| value > 0.0),
            "{name}"
        );
    }
    assert!(
        scraped.contains("weir_end_to_end_seconds_bucket{le=\"7200\"}"),
        "{scraped}"
    );
}

#[test]
fn a_set_of_thousands_of_traced_records_has_128_links_and_a_count() {
    let (kafka, collector) = (Place::new(1), Collector::start());
    let traces: Vec<String> = (0..5000)
        .map(|n| sampled(&format!("{:032x}", n + 1)))
        .collect();
    let value = "{\"id\":\"1\",\"text\":\"ask ana@mail.example\"}";
    let records = traces.iter().map(|trace| Sent {
        key: "k",
        value,
        headers: vec![("traceparent", &**trace)],
    });
    send(&kafka, records);
    let telemetry = format!(
        "otlp = {{ endpoint = \"{}\" }}\nmetrics = {{ interval_secs = 1 }}",
        collector.endpoint
    );
    run_until(&kafka, &on_topics(&kafka, &telemetry, false), 5000).expect(0);
    let spans = collector.spans();
    let sets = named(&spans, "process");
    assert!(sets.iter().all(|set| set.links.len() <= 128));
    assert!(sets.iter().any(|set| set.links.len() == 128));
    let links: usize = sets
        .iter()
        .map(|set| set.links.len() + set.dropped_links_count as usize)
        .sum();
    assert_eq!(links, 5000);
    // What did not fit in the queue is counted, so that nothing is missing without a word.
    let records = named(&spans, &format!("process {}", kafka.input)).len();
    let dropped = collector.metric(metric::TELEMETRY_DROPPED_TOTAL, &[("signal", "traces")]);
    assert!(
        records as f64 + dropped.unwrap_or(0.0) >= 5000.0,
        "{records} spans, {dropped:?} dropped"
    );
}

#[test]
fn a_collector_that_hangs_refuses_or_is_away_keeps_no_worker_from_its_work_or_its_end() {
    let nobody = format!("http://127.0.0.1:{}", free_port());
    std::thread::scope(|scope| {
        for (answer, endpoint) in [
            (Answer::Hang, None),
            (Answer::Refuse(503), None),
            (Answer::Refuse(413), None),
            (Answer::Take, Some(&*nobody)),
        ] {
            scope.spawn(move || without_an_answer(answer, endpoint));
        }
    });
}

/// More records than spans may wait, while the collector takes nothing.
fn without_an_answer(answer: Answer, endpoint: Option<&str>) {
    const RECORDS: usize = 2500;
    let (kafka, collector) = (Place::new(1), Collector::start());
    collector.answer(answer);
    let port = free_port();
    let telemetry = format!(
        "listen = \"127.0.0.1:{port}\"\ntraces = {{ documents = \"all\" }}\nlogs = {{ push = true }}\n\
         metrics = {{ interval_secs = 1 }}\notlp = {{ endpoint = \"{}\", timeout_secs = 2 }}",
        endpoint.unwrap_or(&collector.endpoint)
    );
    let job = on_topics(&kafka, &telemetry, false);
    let value = "{\"id\":\"1\",\"text\":\"ask ana@mail.example\"}";
    let plain = |_| Sent {
        key: "k",
        value,
        headers: vec![],
    };
    send(&kafka, (0..RECORDS).map(plain));
    let mut command = job.command(&[]);
    // The worst case: nothing of the runtime may wait for the collector.
    let child = piped(command.env("TOKIO_WORKER_THREADS", "1"));
    kafka.wait_for(RECORDS);
    let dropped = "weir_telemetry_dropped_total{signal=\"traces\"}";
    wait_for(port, "/readyz", 200, Duration::from_secs(5));
    eventually(Duration::from_secs(60), || {
        let text = page(port, "/metrics").unwrap().1;
        so(
            text.contains(dropped),
            format!("{answer:?}: no {dropped} in {text}"),
        )
    });
    let began = Instant::now();
    terminate(&child);
    let ran = ended(child).expect(0);
    // Three seconds for the collector, and the drain.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{answer:?}: {:?}",
        began.elapsed()
    );
    let told = ran.stderr.matches("the collector does not take telemetry");
    let told = told.count();
    assert!(
        (1..=6).contains(&told),
        "{answer:?}: told {told} times in {}",
        ran.stderr
    );
    assert!(collector.bytes().is_empty());
}

/// `WEIR_OUTAGE_SECONDS` sets the time.
#[ignore = "takes ten minutes: `make outage`"]
#[test]
fn ten_minutes_without_a_collector_cost_no_memory_and_no_time_at_the_end() {
    let seconds = std::env::var("WEIR_OUTAGE_SECONDS").map_or(600, |own| own.parse().unwrap());
    let (kafka, collector) = (Place::new(2), Collector::start());
    collector.answer(Answer::Hang);
    let port = free_port();
    let telemetry = format!(
        "listen = \"127.0.0.1:{port}\"\ntraces = {{ documents = \"all\" }}\nlogs = {{ push = true }}\n\
         metrics = {{ interval_secs = 1 }}\notlp = {{ endpoint = \"{}\" }}",
        collector.endpoint
    );
    let job = on_topics(&kafka, &telemetry, false);
    let mut command = job.command(&[]);
    let child = piped(command.env("TOKIO_WORKER_THREADS", "1"));
    let memory = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kibibytes / 1024
    };
    let (began, mut sent, mut seen) = (Instant::now(), 0, Vec::new());
    while began.elapsed() < Duration::from_secs(seconds) {
        kafka.produce((sent..sent + 100).map(crate::support::topic::record));
        sent += 100;
        std::thread::sleep(Duration::from_secs(1));
        seen.push(memory());
    }
    kafka.wait_for(sent);
    let (first, last) = (seen[seen.len() / 6], *seen.last().unwrap());
    let ending = Instant::now();
    terminate(&child);
    ended(child).expect(0);
    let took = ending.elapsed();
    println!(
        "{sent} records in {seconds} s; {first} MiB after a sixth, {last} MiB at the end; ended in {took:?}"
    );
    assert!(
        last <= first + 8,
        "memory grew from {first} to {last} MiB: {seen:?}"
    );
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert!(collector.bytes().is_empty());
}

#[test]
fn a_job_of_a_second_sends_what_it_did_and_reads_the_environment() {
    let collector = Collector::start();
    let job = Job::new("[telemetry]\nlog_format = \"json\"\n");
    job.write(
        "in/wanda.canary.jsonl",
        "{\"id\":\"1\",\"note\":\"ask ana@mail.example\"}\n",
    );
    let mut command = job.command(&[]);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint)
        .env("OTEL_SERVICE_NAME", "lake-job")
        .env(
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=data,service.instance.id=seven",
        );
    let ran = ended(piped(&mut command)).expect(0);
    let spans = collector.spans();
    let [object] = named(&spans, "process object")[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!(object.kind(), SpanKind::Internal);
    assert_eq!(attribute(object, "weir.documents").unwrap(), "1");
    let resource = collector.resource();
    for (key, value) in [
        ("service.name", "lake-job"),
        ("team", "data"),
        ("service.instance.id", "seven"),
    ] {
        assert!(
            resource
                .iter()
                .any(|pair| (&*pair.0, &*pair.1) == (key, value)),
            "{resource:?}"
        );
    }
    assert_eq!(
        collector.metric(metric::DOCUMENTS_TOTAL, &[("outcome", "delivered")]),
        Some(1.0)
    );
    assert!(
        collector.logs().is_empty(),
        "log lines are sent only on request"
    );
    // The line about the object belongs to its span.
    let committed = ran
        .stderr
        .lines()
        .find(|line| line.contains("\"committed\""))
        .unwrap();
    let committed: serde_json::Value = serde_json::from_str(committed).unwrap();
    assert_eq!(committed["trace_id"], hex::encode(&object.trace_id));
    assert_eq!(committed["span_id"], hex::encode(&object.span_id));
    // The name of an object may be a person's.
    let sent = collector.bytes();
    assert!(!sent.windows(12).any(|own| own == b"wanda.canary"));
}

#[test]
fn signals_are_turned_off_by_the_environment_and_what_weir_does_not_speak_is_refused() {
    let collector = Collector::start();
    let run = |pairs: &[(&str, &str)]| {
        let job = Job::new("");
        job.write("in/a.jsonl", "{\"id\":\"1\",\"note\":\"x\"}\n");
        let mut command = job.command(&[]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint);
        command.envs(pairs.iter().copied());
        ended(piped(&mut command))
    };
    run(&[("OTEL_SDK_DISABLED", "true")]).expect(0);
    assert!(collector.bytes().is_empty());
    run(&[
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ])
    .expect(0);
    assert!(collector.requests("traces").is_empty());
    assert!(!collector.requests("metrics").is_empty() && !collector.requests("logs").is_empty());
    run(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")])
        .expect(78)
        .says(&["OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "4318"]);
    // What `check` passes, `run` runs.
    let job = Job::new("");
    let config = job.config();
    let mut check = command(&["check", "--config", &config]);
    check.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint);
    check.env("OTEL_METRIC_EXPORT_INTERVAL", "soon");
    let told = ["OTEL_METRIC_EXPORT_INTERVAL"];
    ended(piped(&mut check)).expect(1).says(&told);
    run(&[(told[0], "soon")]).expect(78).says(&told);
    run(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/missing.pem")])
        .expect(78)
        .says(&["/missing.pem"]);
}

#[test]
fn a_collector_behind_tls_is_trusted_by_the_authority_that_is_named() {
    let collector = Collector::start();
    let job = Job::new("");
    let endpoint = collector.behind_tls(&job.path(""));
    let config = std::fs::read_to_string(job.config()).unwrap();
    let write = |tls: &str| {
        let otlp = format!(
            "[telemetry]\notlp = {{ endpoint = \"{endpoint}\", timeout_secs = 2, {tls} }}\n"
        );
        job.write("weir.toml", format!("{config}\n{otlp}"));
    };
    let check = || weir(&["check", "--config", &job.config(), "--connect"]);
    write("");
    check().expect(1).says(&["no answer"]);
    write("tls = { ca_file = \"ca.pem\" }");
    check().expect(0);
    job.write("in/a.jsonl", "{\"id\":\"1\",\"note\":\"x\"}\n");
    job.run(&[]).expect(0);
    assert_eq!(named(&collector.spans(), "process object").len(), 1);
    job.write("ca.pem", "no certificate");
    job.run(&[]).expect(78).says(&["ca.pem", "PEM"]);
}

#[test]
fn check_asks_the_collector() {
    let collector = Collector::start();
    let check = |endpoint: &str| {
        let job = Job::new(&format!(
            "[telemetry]\notlp = {{ endpoint = \"{endpoint}\" }}\n"
        ));
        weir(&["check", "--config", &job.config(), "--connect"])
    };
    let ran = check(&collector.endpoint).expect(0);
    assert!(ran.stdout.contains("takes telemetry"), "{}", ran.stdout);
    collector.answer(Answer::Refuse(401));
    check(&collector.endpoint)
        .expect(1)
        .says(&["status 401", "headers_file"]);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    check(&nobody).expect(1).says(&["no answer"]);
}

#[test]
fn without_a_collector_no_thread_is_started_for_one() {
    let threads = |endpoint: Option<&str>| {
        let kafka = Place::new(1);
        let port = free_port();
        let job = on_topics(&kafka, &format!("listen = \"127.0.0.1:{port}\""), false);
        let mut command = job.command(&[]);
        if let Some(endpoint) = endpoint {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        }
        let child = piped(&mut command);
        wait_for(port, "/readyz", 200, Duration::from_secs(60));
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
        let names = tasks.map(|task| {
            std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default()
        });
        let names: Vec<String> = names
            .filter(|name| name.starts_with("OpenTelemetry") || name.starts_with("reqwest"))
            .collect();
        terminate(&child);
        ended(child).expect(0);
        names
    };
    assert_eq!(threads(None), Vec::<String>::new());
    let collector = Collector::start();
    assert!(
        threads(Some(&collector.endpoint)).len() >= 2,
        "the names that are looked for are right"
    );
}

#[test]
fn files_of_topics_have_the_same_spans() {
    let (kafka, collector) = (Place::new(1), Collector::start());
    let parent = sampled(TRACE);
    let value = "{\"id\":\"1\",\"text\":\"ask ana@mail.example\"}";
    send(
        &kafka,
        [Sent {
            key: "k",
            value,
            headers: vec![("traceparent", &*parent)],
        }],
    );
    let job = Job::with(&format!(
        "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{0}\"\ntopics = [\"{1}\"]\ngroup_id = \"otlp-{1}\"\n\
         [sink]\ntype = \"object_store\"\nurl = \"out\"\nroll = {{ max_secs = 1 }}\n\
         [telemetry]\notlp = {{ endpoint = \"{2}\" }}\ntraces = {{ parent = \"link\" }}\n\
         [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = {3:?}\n",
        kafka.address(),
        kafka.input,
        collector.endpoint,
        pack().display().to_string()
    ));
    let child = piped(&mut job.command(&[]));
    eventually(Duration::from_secs(60), || {
        let commits = job.files("out/_weir/kafka");
        so(!commits.is_empty(), "nothing is committed")
    });
    terminate(&child);
    ended(child).expect(0);
    let spans = collector.spans();
    // A trace of its own, that links the producer's.
    let [record] = named(&spans, &format!("process {}", kafka.input))[..] else {
        panic!("{spans:#?}");
    };
    assert!(record.parent_span_id.is_empty() && hex::encode(&record.trace_id) != TRACE);
    assert_eq!(hex::encode(&record.links[0].span_id), PRODUCER);
    let [set] = named(&spans, "process")[..] else {
        panic!("{spans:#?}");
    };
    assert_eq!(set.links[0].span_id, record.span_id);
    for step in ["send", "commit"] {
        assert_eq!(named(&spans, step)[0].parent_span_id, set.span_id);
    }
}
