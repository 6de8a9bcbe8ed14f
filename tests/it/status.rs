//! `weir status` of a real worker on a real broker: its figures, its exit codes, and what it says of others.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    process::Child,
    time::Duration,
};

use serde_json::Value;

use crate::support::{
    broker::{self, Node, free_port},
    eventually::{eventually, so},
    job::{Job, Ran, command, ended, piped, signal, terminate, weir},
    probe::{produce, wait_for, worker_on},
};

/// What `weir status ARGS` prints of a worker whose page is on `port`.
fn status(port: u16, args: &[&str]) -> Ran {
    let at = format!("127.0.0.1:{port}");
    weir(&[&["status", &at, "--interval", "0.2"], args].concat())
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

/// Reads a stream on a thread, line by line.
fn lines(child: &mut Child) -> std::sync::mpsc::Receiver<String> {
    let (sender, lines) = std::sync::mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    lines
}

#[test]
fn a_workers_figures_follow_what_it_does() {
    let mut node = Node::start(&["-XX:TieredStopAtLevel=1"], "");
    let topics = ["in", "entities", "dead"];
    broker::create_topics(&node.address(), &topics.map(|topic| (topic, 1)));
    produce(&node.address(), 0);
    let port = free_port();
    let job = worker_on(&node.address(), topics, port);
    let worker = piped(&mut job.command(&[]));
    wait_for(port, "/readyz", 200, Duration::from_secs(90));
    let read = eventually(Duration::from_secs(60), || {
        let read = json(&status(port, &["--json"]).expect(0));
        // The worker asks for the lag every few seconds.
        let rests = read["lag"]["records"] == 0 && read["stalled_seconds"] == 0.0;
        let is = read["total"]["documents"] == 20 && rests;
        so(is, read.clone()).map(|()| read)
    });
    assert_eq!(read["ready"], true, "{read}");
    assert_eq!(read["live"], true, "{read}");
    assert_eq!(read["version"], env!("CARGO_PKG_VERSION"), "{read}");
    assert!(!read["pack"].as_str().unwrap().is_empty(), "{read}");
    assert_eq!(read["total"]["entities"], 20, "{read}");
    assert_eq!(read["lag"]["partitions"][0]["topic"], "in", "{read}");
    assert_eq!(read["end_to_end"]["of"], "start", "{read}");
    assert_eq!(read["end_to_end"]["documents"], 20, "{read}");
    assert!(
        read["transactions"]["committed"].as_u64() > Some(0),
        "{read}"
    );
    let ago = read["last_commit_seconds_ago"].as_f64().unwrap();
    assert!((0.0..300.0).contains(&ago), "{read}");
    let limit = read["queue"]["limit_bytes"].as_u64().unwrap();
    assert!(limit > 1 << 20, "{read}");

    // The page for people, of the worker that the configuration names.
    let config = job.config();
    let shown = weir(&["status", "--config", &config, "--interval", "0.2"]).expect(0);
    for row in [
        "state         ready",
        "20 since the start",
        "0 records",
        "p50 ",
        "dead letters  0",
        " committed",
        "stalled       no",
    ] {
        assert!(
            shown.stdout.contains(row),
            "no `{row}` in:\n{}",
            shown.stdout
        );
    }

    rates_are_seen(port, &node.address());
    outages_are_seen(port, &mut node);
    terminate(&worker);
    ended(worker).expect(0);
    status(port, &[]).expect(69).says(&[
        "no worker answers at 127.0.0.1:",
        "connection refused",
        "telemetry.listen",
    ]);
}

/// With `--watch`, a reading per interval, of which one has the records that came in it.
fn rates_are_seen(port: u16, brokers: &str) {
    let at = format!("127.0.0.1:{port}");
    let args = ["status", &at, "--watch", "--json", "--interval", "0.5"];
    let mut watch = piped(&mut command(&args));
    let lines = lines(&mut watch);
    // The first reading ends what came before.
    lines.recv_timeout(Duration::from_secs(60)).unwrap();
    produce(brokers, 20);
    let mut seen = 0.0;
    eventually(Duration::from_secs(60), || {
        let line = lines.recv_timeout(Duration::from_secs(60)).unwrap();
        let read: Value = serde_json::from_str(&line).unwrap();
        let rate = read["per_second"]["documents"].as_f64().unwrap();
        seen += rate * read["interval_seconds"].as_f64().unwrap();
        if rate > 0.0 {
            assert_eq!(read["end_to_end"]["of"], "interval", "{read}");
            assert!(read["per_second"]["bytes"].as_f64() > Some(0.0), "{read}");
        }
        so(seen > 19.9, format!("{seen} of 20 documents: {read}"))
    });
    assert!(seen < 20.1, "{seen} of 20 documents");
    signal(watch.id(), "INT");
    assert!(watch.wait().unwrap().success(), "Ctrl-C ends it well");
}

/// Not ready while the brokers are silent, and what does not answer is named.
fn outages_are_seen(port: u16, node: &mut Node) {
    let at = format!("127.0.0.1:{port}");
    let args = ["status", &at, "--watch", "--interval", "0.2"];
    let mut watch = piped(&mut command(&args));
    let lines = lines(&mut watch);
    let has = |part: &str| {
        eventually(Duration::from_secs(60), || {
            let line = lines.recv_timeout(Duration::from_secs(60)).unwrap();
            so(line.contains(part), format!("no `{part}` in {line}"))
        });
    };
    has(" ready, ");
    signal(node.pid(), "STOP");
    has("not ready (no answer from the brokers");
    let ran = status(port, &["--json"]).expect(1);
    let read = json(&ran);
    assert_eq!(read["ready"], false, "{read}");
    assert_eq!(read["live"], true, "an outage stops no loop: {read}");
    signal(node.pid(), "CONT");
    has(" ready, ");
    let _ = watch.kill();
    let _ = watch.wait();
}

#[test]
fn a_worker_that_goes_away_is_asked_again() {
    let job = || {
        let job = Job::new("[telemetry]\nlisten = \"127.0.0.1:0\"\n");
        job.write(
            "in/a.jsonl",
            "{\"id\":\"1\",\"note\":\"ask ana@mail.example\"}\n",
        );
        job
    };
    let port = free_port();
    let listen = format!("telemetry.listen=127.0.0.1:{port}");
    let polls = ["--quiet", "--set", "source.poll_secs=1", "--set", &listen];
    let first = job();
    let mut worker = piped(&mut first.command(&polls));
    wait_for(port, "/readyz", 200, Duration::from_secs(90));
    let at = format!("http://127.0.0.1:{port}/metrics");
    let args = ["status", &at, "--watch", "--interval", "0.2"];
    let mut watch = piped(&mut command(&args));
    let lines = lines(&mut watch);
    let has = |part: &str| {
        eventually(Duration::from_secs(90), || {
            let line = lines.recv_timeout(Duration::from_secs(90)).unwrap();
            so(line.contains(part), format!("no `{part}` in {line}"))
        });
    };
    has(" ready, ");
    let _ = worker.kill();
    let _ = worker.wait();
    has("asking again");
    let second = job();
    let worker = piped(&mut second.command(&polls));
    has(" ready, ");
    signal(watch.id(), "INT");
    assert!(watch.wait().unwrap().success());
    terminate(&worker);
    ended(worker).expect(0);
}

#[test]
fn who_can_not_be_asked_is_said() {
    let job = Job::new("");
    let config = job.config();
    weir(&["status", "--config", &config])
        .expect(78)
        .says(&["telemetry.listen is not set", "opens no listener"]);
    let free = ["--set", "telemetry.listen=127.0.0.1:0"];
    weir(&[&["status", "--config", &config][..], &free].concat())
        .expect(78)
        .says(&["the worker takes a free port"]);
    weir(&["status", "--config", "/nowhere/weir.toml"])
        .expect(2)
        .says(&["there is no configuration at /nowhere/weir.toml"]);
    weir(&["status", "weir-0"])
        .expect(2)
        .says(&["is not the address of a worker"]);
    weir(&["status", "--interval", "0"]).expect(2);

    // A secret that only the worker's machine has is no reason not to ask.
    let port = free_port();
    let kafka = format!(
        "[source]\ntype = \"kafka\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"in\"]\ngroup_id = \"g\"\n\
         sasl = {{ mechanism = \"PLAIN\", username = \"u\", password_file = \"/nowhere/password\" }}\n\
         [sink]\ntype = \"kafka\"\ntopics = {{ entities = \"e\", dead_letters = \"d\" }}\n\
         [telemetry]\nlisten = \"0.0.0.0:{port}\"\n[tenants]\ndir = \"tenants\"\n[model]\npack = \"elsewhere\"\n"
    );
    weir(&["status", "--config", &Job::with(&kafka).config()])
        .expect(69)
        .says(&[&format!("no worker answers at 127.0.0.1:{port}")]);

    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in other.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nup 1\n",
            );
        }
    });
    status(port, &[]).expect(69).says(&["is not weir"]);
}
