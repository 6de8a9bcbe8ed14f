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

/// The topics that workers of the tests write to.
pub fn outputs() -> weir::sink::kafka::Topics {
    weir::sink::kafka::Topics {
        entities: Some("entities".to_owned()),
        redactions: Some("redactions".to_owned()),
        dead_letters: "dead".to_owned(),
        audit: None,
    }
}

/// A broker, running as long as it is held.
pub struct Broker {
    pub address: String,
    node: Option<Node>,
}

/// A broker's process with its folder and its port, which outlive it.
pub struct Node {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
    jvm: Vec<&'static str>,
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

    /// Its data folder; a cluster that is not the tests' own has none here.
    pub fn data(&self) -> Option<std::path::PathBuf> {
        self.node.as_ref().map(Node::data)
    }

    fn start() -> Self {
        if let Ok(address) = std::env::var("WEIR_TEST_KAFKA") {
            return Self {
                address,
                node: None,
            };
        }
        let node = Node::start(&[], "");
        Self {
            address: node.address(),
            node: Some(node),
        }
    }

    /// Topics of fresh names, by the names that the test uses.
    pub fn topics<const N: usize>(&self, names: [(&str, i32); N]) -> [String; N] {
        static TEST: AtomicUsize = AtomicUsize::new(0);
        let test = TEST.fetch_add(1, Ordering::Relaxed);
        let fresh = |name: &str| format!("weir-{}-{test}-{name}", std::process::id());
        let topics = names.map(|(name, _)| fresh(name));
        let new: Vec<(&str, i32)> = topics
            .iter()
            .zip(names)
            .map(|(name, (_, count))| (&**name, count))
            .collect();
        create_topics(&self.address, &new);
        topics
    }
}

impl Node {
    /// Starts a broker of its own on a free port. Options of the virtual machine and properties are
    /// added to the usual ones; `{port}` and `{controller}` in them stand for the node's ports.
    pub fn start(jvm: &[&'static str], properties: &str) -> Self {
        let ports = (free_port(), free_port());
        let voters = format!("1@127.0.0.1:{}", ports.1);
        let mut node = Self::begin(1, ports, &voters, &cluster_id(), jvm, properties);
        node.wait_until_it_answers();
        node
    }

    /// Several brokers of one cluster, which all keep a copy of what is written.
    pub fn start_cluster(count: usize, jvm: &[&'static str], properties: &str) -> Vec<Self> {
        Self::start_copied(jvm, &vec![properties.to_owned(); count])
    }

    /// The same with properties for each of them.
    pub fn start_copied(jvm: &[&'static str], properties: &[String]) -> Vec<Self> {
        let count = properties.len();
        let ports: Vec<_> = (0..count).map(|_| (free_port(), free_port())).collect();
        let voters = ports.iter().enumerate();
        let voters = voters.map(|(at, ports)| format!("{}@127.0.0.1:{}", at + 1, ports.1));
        let voters = voters.collect::<Vec<_>>().join(",");
        let id = cluster_id();
        let copied = format!(
            "offsets.topic.replication.factor={count}\n\
             transaction.state.log.replication.factor={count}\n\
             transaction.state.log.min.isr={least}\n\
             default.replication.factor={count}\n\
             min.insync.replicas={least}\n",
            least = (count - 1).max(1)
        );
        let begun = ports.into_iter().enumerate();
        let mut nodes: Vec<Self> = begun
            .map(|(at, ports)| {
                let properties = format!("{copied}{}", properties[at]);
                Self::begin(at + 1, ports, &voters, &id, jvm, &properties)
            })
            .collect();
        for node in &mut nodes {
            node.wait_until_it_answers();
        }
        nodes
    }

    fn begin(
        number: usize,
        (port, controller): (u16, u16),
        voters: &str,
        cluster: &str,
        jvm: &[&'static str],
        properties: &str,
    ) -> Self {
        let libs = libs();
        assert!(libs.is_dir(), "no Kafka here: run `make setup-tests`");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.properties");
        let properties = properties
            .replace("{port}", &port.to_string())
            .replace("{controller}", &controller.to_string());
        let text = format!(
            "process.roles=broker,controller\nnode.id={number}\n\
             controller.quorum.voters={voters}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={}\n\
             offsets.topic.replication.factor=1\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\n\
             group.min.session.timeout.ms=1000\n\
             auto.create.topics.enable=false\n\
             {properties}",
            folder.path().join("data").display()
        );
        std::fs::write(&file, text).unwrap();
        // one id in 64 begins with a hyphen and would be read as an option of its own
        let id = format!("--cluster-id={cluster}");
        let format = ["kafka.tools.StorageTool", "format", &id, "-c"];
        let formatted = java(&libs, &[], &format).arg(file).status().unwrap();
        assert!(
            formatted.success(),
            "the broker's folder can't be formatted"
        );
        Self {
            child: spawn(folder.path(), jvm),
            folder,
            port,
            jvm: jvm.to_vec(),
        }
    }

    /// `host:port`, the same for all of the node's life.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the logs of the topics lie.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Keeps its folder after its end.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// What it has said.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Starts the broker again on its port and folder, once its process has ended.
    pub fn start_again(&mut self) {
        assert!(self.has_ended(), "two brokers on one folder");
        self.child = spawn(self.folder.path(), &self.jvm);
    }

    /// Whether the port is open.
    pub fn answers(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }

    pub fn wait_until_it_answers(&mut self) {
        let start = Instant::now();
        while !self.answers() {
            if self.has_ended() || start.elapsed() > Duration::from_secs(180) {
                let mut said = String::new();
                let _ = std::fs::File::open(self.log())
                    .and_then(|mut log| log.read_to_string(&mut said));
                panic!("the broker does not answer:\n{said}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Properties of a broker that clients also reach through a proxy: at `outside` for the proxy, at `proxy` for them.
/// The brokers, and clients that begin at the broker's own port, speak to it directly.
pub fn also_behind(outside: u16, proxy: u16) -> String {
    format!(
        "listeners=PLAINTEXT://127.0.0.1:{{port}},OUTSIDE://127.0.0.1:{outside},\
         CONTROLLER://127.0.0.1:{{controller}}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},OUTSIDE://127.0.0.1:{proxy}\n\
         listener.security.protocol.map=\
         PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=PLAINTEXT\n"
    )
}

fn cluster_id() -> String {
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())
}

/// Makes topics: names and numbers of partitions.
pub fn create_topics(address: &str, topics: &[(&str, i32)]) {
    create_copied_topics(address, topics, 1);
}

/// The same with some copies of each partition.
pub fn create_copied_topics(address: &str, topics: &[(&str, i32)], copies: i32) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", address)
        .create()
        .unwrap();
    let new: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|(name, count)| NewTopic::new(name, *count, TopicReplication::Fixed(copies)))
        .collect();
    let made = super::engine::runtime().block_on(admin.create_topics(&new, &AdminOptions::new()));
    for topic in made.unwrap() {
        topic.unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, jvm: &[&str]) -> Child {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    java(&libs(), jvm, &["kafka.Kafka"])
        .arg(folder.join("server.properties"))
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn libs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".weir/kafka/libs")
}

/// One of Kafka's programs.
pub fn tool(args: &[&str]) -> Command {
    java(&libs(), &[], args)
}

fn java(libs: &Path, jvm: &[&str], args: &[&str]) -> Command {
    let mut command = Command::new("java");
    command
        .arg("-Xmx512m")
        .args(jvm)
        .args(["-cp", &format!("{}/*", libs.display())])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
