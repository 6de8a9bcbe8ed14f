//! A worker on topics, and its page of health and metrics.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{
    eventually::eventually,
    job::{Job, pack},
    topic::record,
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
    let text = eventually(limit, || match page(port, path) {
        Some((found, text)) if found == status => Ok(text),
        other => Err(format!("{path} is not {status}, but {other:?}")),
    });
    (text, start.elapsed())
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
