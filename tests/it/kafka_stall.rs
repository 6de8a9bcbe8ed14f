//! What a worker says of itself while it waits: the program, its log and its health page.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::{
    job::{Job, ended, pack, piped, signal, terminate},
    kafka::{Place, record},
    kafka_broker::{self, Node, free_port},
    worker,
};

/// A worker on topics whose health page is on `port`.
pub fn worker_on(brokers: &str, [input, entities, dead]: [&str; 3], port: u16) -> Job {
    let job = Job::with(&format!(
        "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{brokers}\"\ntopics = [\"{input}\"]\n\
         group_id = \"stall-{input}\"\nsession_timeout_ms = 6000\n\
         [sink]\ntype = \"kafka\"\n\
         transaction = {{ timeout_ms = 8000, max_documents = 20, max_ms = 100 }}\n\
         topics = {{ entities = \"{entities}\", dead_letters = \"{dead}\" }}\n\
         [pipeline]\nstall_secs = 10\ndrain_timeout_secs = 4\n\
         [telemetry]\nlisten = \"127.0.0.1:{port}\"\n\
         [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = {:?}\n",
        pack().display().to_string()
    ));
    job.write("tenants/acme.toml", worker::PATTERNS_ONLY);
    job
}

/// Status and body of a page.
pub fn page(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer))
}

/// Waits until a page has a status; its text, and how long that took.
pub fn wait_for(port: u16, path: &str, status: u16, limit: Duration) -> (String, Duration) {
    let start = Instant::now();
    let mut last = None;
    while start.elapsed() < limit {
        last = page(port, path);
        match last.take() {
            Some((found, text)) if found == status => return (text, start.elapsed()),
            other => last = other,
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{path} is not {status} within {limit:?}, but {last:?}");
}

/// Twenty records from number `from` on.
pub fn produce(brokers: &str, from: usize) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .unwrap();
    for (key, value) in (from..from + 20).map(record) {
        let record = BaseRecord::to("in").key(&key).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

#[cfg(feature = "planted-faults")]
#[test]
fn a_worker_that_stands_still_says_so_turns_red_and_ends() {
    let kafka = Place::new(1);
    let port = free_port();
    let outputs = kafka.outputs.clone();
    let entities = outputs.entities.unwrap();
    let topics = [&*kafka.input, &*entities, &*outputs.dead_letters];
    let job = worker_on(kafka.address(), topics, port);
    kafka.produce((0..30).map(record));
    let mut command = job.command(&[]);
    let child = piped(command.env("WEIR_PLANTED_FAULT", "endless_wait"));
    let (text, _) = wait_for(port, "/livez", 503, Duration::from_secs(90));
    assert!(text.contains("nothing is committed"), "{text}");
    let (text, _) = wait_for(port, "/metrics", 200, Duration::from_secs(5));
    assert!(
        text.contains("weir_stalled_seconds{slot=\"0\"} 1"),
        "{text}"
    );
    ended(child).expect(75).says(&[
        "work waits and nothing is committed",
        "the brokers to say what is committed",
        "pipeline.stall_secs",
    ]);
}

#[test]
fn readiness_follows_the_brokers_and_an_outage_is_a_few_lines() {
    let mut node = Node::start(&["-XX:TieredStopAtLevel=1"], "");
    let topics = ["in", "entities", "dead"];
    kafka_broker::create_topics(&node.address(), &topics.map(|topic| (topic, 1)));
    produce(&node.address(), 0);
    let port = free_port();
    let job = worker_on(&node.address(), topics, port);
    let child = piped(&mut job.command(&[]));
    wait_for(port, "/readyz", 200, Duration::from_secs(90));
    // Connections stay open and nothing answers, as behind a broken network.
    signal(node.pid(), "STOP");
    let (text, passed) = wait_for(port, "/readyz", 503, Duration::from_secs(30));
    assert!(text.contains("no answer from the brokers"), "{text}");
    println!("silent brokers: red after {:.1} s", passed.as_secs_f64());
    // Longer than a transaction may take, and than a worker may stand still.
    std::thread::sleep(Duration::from_secs(25));
    assert_eq!(
        page(port, "/livez").unwrap().0,
        200,
        "an outage restarts no worker"
    );
    signal(node.pid(), "CONT");
    wait_for(port, "/readyz", 200, Duration::from_secs(60));
    node.kill();
    let (_, passed) = wait_for(port, "/readyz", 503, Duration::from_secs(30));
    println!("dead brokers: red after {:.1} s", passed.as_secs_f64());
    std::thread::sleep(Duration::from_secs(10));
    node.start_again();
    node.wait_until_it_answers();
    wait_for(port, "/readyz", 200, Duration::from_secs(60));
    produce(&node.address(), 20);
    let start = Instant::now();
    let delivered = "weir_documents_total{outcome=\"delivered\",tenant=\"acme\"} 40";
    let delivered_other = "weir_documents_total{tenant=\"acme\",outcome=\"delivered\"} 40";
    loop {
        let text = page(port, "/metrics").unwrap().1;
        if text.contains(delivered) || text.contains(delivered_other) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "{text}");
        std::thread::sleep(Duration::from_millis(200));
    }
    terminate(&child);
    let ran = ended(child).expect(0);
    // What the worker logs in an outage beside its regular progress.
    let lines: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.contains("\"warn\"") || line.contains("\"error\""))
        .collect();
    assert!(
        lines.len() <= 10,
        "two outages in {} lines: {lines:#?}",
        lines.len()
    );
}
