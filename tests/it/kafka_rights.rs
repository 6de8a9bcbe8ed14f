//! A user without rights, at a real broker: each refusal names what to grant.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use weir::{
    kafka::Brokers,
    pipeline::{
        Progress,
        slot::{self, Error, Options, Sink, Slot, Summary, Worker},
    },
    sink::kafka as sink,
    source::kafka as source,
    telemetry::Health,
};

use crate::support::{
    broker::{self, Node, free_port, tool},
    engine,
    probe::produce,
    worker::{PATTERNS_ONLY, job},
};

const ID: &str = "rights-slot";

/// A broker that lets user `weir` do what is granted to it, and anybody else everything.
struct Guarded {
    node: Node,
    address: String,
}

impl Guarded {
    fn start() -> Self {
        let port = free_port();
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule";
        let properties = format!(
            "listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},LOGIN://127.0.0.1:{port}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT\n\
             sasl.enabled.mechanisms=PLAIN\n\
             listener.name.login.plain.sasl.jaas.config={module} required user_weir=\"secret\";\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS\n"
        );
        let node = Node::start(&["-XX:TieredStopAtLevel=1"], &properties);
        let topics = ["in", "entities", "redactions", "dead"];
        broker::create_topics(&node.address(), &topics.map(|topic| (topic, 1)));
        produce(&node.address(), 0);
        Self {
            node,
            address: format!("127.0.0.1:{port}"),
        }
    }

    /// Adds or removes rights.
    fn rights(&self, change: &str, arguments: &[&str]) {
        let done = tool(&["org.apache.kafka.tools.AclCommand"])
            .args(["--bootstrap-server", &self.node.address(), change])
            .args(["--allow-principal", "User:weir", "--force"])
            .args(arguments)
            .status()
            .unwrap();
        assert!(done.success(), "{change} {arguments:?}");
    }

    fn options(&self) -> Options {
        let mut brokers = Brokers::plain(&self.address);
        for (name, value) in [
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "weir"),
            ("sasl.password", "secret"),
        ] {
            brokers.settings.set(name, value);
        }
        let topics = broker::outputs();
        let sink = sink::Options {
            timeout: Duration::from_secs(10),
            ..sink::Options::new(brokers.clone(), ID, topics)
        };
        let source = source::Options {
            session_timeout: Duration::from_secs(6),
            ..source::Options::new(brokers, "rights", &["in"])
        };
        Options {
            max_wait: Duration::from_millis(50),
            ..Options::new(source, Sink::Topics(sink))
        }
    }

    /// What a worker ends with, or that it delivered all there is.
    fn run(&self) -> Result<Summary, Error> {
        let job = job(PATTERNS_ONLY);
        let worker = Worker {
            engine: job.engine.clone(),
            tenants: job.tenants.clone(),
            progress: Arc::new(Progress::default()),
            health: Health::new(),
            drain: CancellationToken::new(),
        };
        let (drain, progress) = (worker.drain.clone(), worker.progress.clone());
        let options = self.options();
        let thread = std::thread::spawn(move || {
            let runtime = engine::runtime();
            Slot::open(0, worker, options)?.run(runtime.handle())
        });
        let start = Instant::now();
        while !thread.is_finished() {
            let counts = weir::batch::Counts::default();
            if progress.snapshot(&counts, Duration::ZERO).documents >= 20 {
                drain.cancel();
            }
            assert!(
                start.elapsed() < Duration::from_secs(90),
                "neither done nor refused"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        thread.join().unwrap()
    }

    fn refused(&self, parts: &[&str]) {
        let error = self.run().expect_err("the rights are missing");
        let is_refusal = matches!(
            error,
            slot::Error::Sink(sink::Error::Refused(_))
                | slot::Error::Source(source::Error::Refused(_))
        );
        let text = error.to_string();
        println!("{text}");
        assert!(is_refusal, "{text}");
        for part in parts {
            assert!(text.contains(part), "no `{part}` in: {text}");
        }
    }
}

#[test]
fn each_missing_right_is_named_with_what_to_grant() {
    if std::env::var_os("WEIR_TEST_KAFKA").is_some() {
        return; // what a running cluster allows is not known
    }
    let broker = Guarded::start();
    let of_id = ["--transactional-id", ID, "--operation"];
    broker.refused(&["transactional id `rights-slot`", "grant WRITE and DESCRIBE"]);
    broker.rights(
        "--add",
        &[of_id[0], of_id[1], of_id[2], "write", of_id[2], "describe"],
    );
    broker.refused(&["write topic `entities`", "grant WRITE and DESCRIBE"]);
    // To see a topic is not to write it.
    let all = [
        "--topic",
        "entities",
        "--topic",
        "redactions",
        "--topic",
        "dead",
    ];
    broker.rights("--add", &[&all[..], &["--operation", "describe"]].concat());
    broker.refused(&["group `rights`", "grant READ"]);
    broker.rights("--add", &["--group", "rights", "--operation", "read"]);
    broker.refused(&["read topic `in`", "grant READ and DESCRIBE"]);
    broker.rights("--add", &["--topic", "in", "--operation", "describe"]);
    broker.refused(&["read topic `in`", "grant READ and DESCRIBE"]);
    broker.rights("--add", &["--topic", "in", "--operation", "read"]);
    broker.rights("--add", &["--topic", "redactions", "--operation", "write"]);
    broker.refused(&["write topic `entities`", "grant WRITE and DESCRIBE"]);
    broker.rights("--add", &[&all[..], &["--operation", "write"]].concat());
    let done = broker.run().unwrap();
    assert_eq!((done.documents, done.dead_letters), (20, 0));
}
