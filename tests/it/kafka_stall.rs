//! What a worker says of itself while it waits: the program, its log and its health page.

use std::time::Duration;

use crate::support::{
    broker::{self, Node, free_port},
    eventually::{eventually, so},
    job::{ended, piped, signal, terminate},
    probe::{page, produce, wait_for, worker_on},
    topic::{Place, record},
};

#[cfg_attr(
    not(feature = "planted-faults"),
    ignore = "needs the feature planted-faults, as `make test` builds it"
)]
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
    broker::create_topics(&node.address(), &topics.map(|topic| (topic, 1)));
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
    let delivered = "weir_documents_total{outcome=\"delivered\",tenant=\"acme\"} 40";
    let delivered_other = "weir_documents_total{tenant=\"acme\",outcome=\"delivered\"} 40";
    eventually(Duration::from_secs(120), || {
        let text = page(port, "/metrics").unwrap().1;
        let is = text.contains(delivered) || text.contains(delivered_other);
        so(is, text)
    });
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

/// A deployment whose topics are empty must become ready, and so must a worker that waits for others to leave.
#[test]
fn a_worker_is_ready_before_its_first_record_and_without_a_partition() {
    let kafka = Place::new(1);
    let outputs = kafka.outputs.clone();
    let entities = outputs.entities.unwrap();
    let topics = [&*kafka.input, &*entities, &*outputs.dead_letters];
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let port = free_port();
            let job = worker_on(kafka.address(), topics, port);
            let prefix = format!("sink.transactional_id_prefix=weir-{port}");
            let child = piped(&mut job.command(&["--set", &prefix]));
            wait_for(port, "/readyz", 200, Duration::from_secs(60));
            (child, job)
        })
        .collect();
    for (child, job) in workers {
        terminate(&child);
        ended(child).expect(0);
        drop(job);
    }
}
