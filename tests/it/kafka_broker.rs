//! A real Apache Kafka (KRaft, one node) for the tests, ended by its process id.

use std::{
    io::Read as _,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::Engine as _;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};

/// A broker, running as long as it is held.
pub struct Broker {
    pub address: String,
    _node: Option<Node>,
}

struct Node {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Broker {
    /// The one that all tests share; `WEIR_TEST_KAFKA` names a running cluster instead.
    pub fn shared() -> Arc<Self> {
        static BROKER: Mutex<Weak<Broker>> = Mutex::new(Weak::new());
        let mut broker = BROKER.lock().unwrap();
        if let Some(broker) = broker.upgrade() {
            return broker;
        }
        let started = Arc::new(Self::start());
        *broker = Arc::downgrade(&started);
        started
    }

    fn start() -> Self {
        if let Ok(address) = std::env::var("WEIR_TEST_KAFKA") {
            return Self {
                address,
                _node: None,
            };
        }
        let libs = Path::new(env!("CARGO_MANIFEST_DIR")).join(".weir/kafka/libs");
        assert!(libs.is_dir(), "no Kafka here: run `make setup-tests`");
        let folder = tempfile::tempdir().unwrap();
        let (port, controller) = (free_port(), free_port());
        let properties = folder.path().join("server.properties");
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={}\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=1000\n\
             auto.create.topics.enable=false\n",
            folder.path().join("data").display()
        );
        std::fs::write(&properties, text).unwrap();
        let id =
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>());
        let format = ["kafka.tools.StorageTool", "format", "-t", &id, "-c"];
        let formatted = java(&libs, &format, &properties).status().unwrap();
        assert!(
            formatted.success(),
            "the broker's folder can't be formatted"
        );
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = java(&libs, &["kafka.Kafka"], &properties)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let node = Node {
            child,
            _folder: folder,
        };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if start.elapsed() > Duration::from_secs(60) {
                let mut said = String::new();
                let log = node._folder.path().join("log");
                let _ = std::fs::File::open(log).and_then(|mut log| log.read_to_string(&mut said));
                panic!("the broker does not answer after 60 s:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            address: format!("127.0.0.1:{port}"),
            _node: Some(node),
        }
    }

    /// Topics of fresh names, by the names that the test uses.
    pub fn topics<const N: usize>(&self, names: [(&str, i32); N]) -> [String; N] {
        static TEST: AtomicUsize = AtomicUsize::new(0);
        let test = TEST.fetch_add(1, Ordering::Relaxed);
        let fresh = |name: &str| format!("weir-{}-{test}-{name}", std::process::id());
        let topics = names.map(|(name, _)| fresh(name));
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            .create()
            .unwrap();
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .zip(names)
            .map(|(name, (_, count))| NewTopic::new(name, count, TopicReplication::Fixed(1)))
            .collect();
        let made =
            crate::engine::runtime().block_on(admin.create_topics(&new, &AdminOptions::new()));
        for topic in made.unwrap() {
            topic.unwrap();
        }
        topics
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn java(libs: &Path, args: &[&str], properties: &PathBuf) -> Command {
    let mut command = Command::new("java");
    command
        .args(["-Xmx512m", "-cp", &format!("{}/*", libs.display())])
        .args(args)
        .arg(properties)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
