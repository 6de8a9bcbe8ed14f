//! Encryption and login at a real broker, through the configuration and the real process.

use std::{
    path::PathBuf,
    process::{Command, Output},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::support::{
    broker::{Node, create_topics, free_port, tool},
    job::command,
    tiny_pack,
    worker::{self, PATTERNS_ONLY},
};

const PASSWORD: &str = "CANARY-of-the-login-test";

/// A broker whose clients have to log in, over TLS; and a folder with everything of a worker.
struct Login {
    broker: Node,
    folder: tempfile::TempDir,
    address: String,
}

impl Login {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("broker.p12");
        let keytool = |arguments: &[&str]| {
            let output = Command::new("keytool")
                .args(arguments)
                .args(["-keystore", store.to_str().unwrap()])
                .args(["-storepass", "changeit", "-alias", "broker"])
                .output()
                .expect("keytool comes with Java");
            assert!(output.status.success(), "{output:?}");
            output.stdout
        };
        keytool(&[
            "-genkeypair",
            "-keyalg",
            "EC",
            "-dname",
            "CN=broker.example",
            "-ext",
            "san=ip:127.0.0.1",
            "-validity",
            "2",
        ]);
        std::fs::write(
            folder.path().join("ca.pem"),
            keytool(&["-exportcert", "-rfc"]),
        )
        .unwrap();
        let port = free_port();
        let module = "org.apache.kafka.common.security";
        let properties = format!(
            "listeners=PLAINTEXT://127.0.0.1:{{port}},CONTROLLER://127.0.0.1:{{controller}},LOGIN://127.0.0.1:{port}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_SSL\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512,OAUTHBEARER\n\
             ssl.keystore.location={}\nssl.keystore.password=changeit\nssl.keystore.type=PKCS12\n\
             listener.name.login.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_weir=\"{PASSWORD}\";\n\
             listener.name.login.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;\n\
             listener.name.login.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required;\n",
            store.display()
        );
        let broker = Node::start(&[], &properties);
        let user = format!("SCRAM-SHA-512=[password={PASSWORD}]");
        let added = tool(&["kafka.admin.ConfigCommand"])
            .args(["--bootstrap-server", &broker.address(), "--alter"])
            .args(["--entity-type", "users", "--entity-name", "weir"])
            .args(["--add-config", &user])
            .status()
            .unwrap();
        assert!(added.success(), "the user can't be added");
        create_topics(
            &broker.address(),
            &[("in", 1), ("redactions", 1), ("dead", 1)],
        );
        let login = Self {
            broker,
            folder,
            address: format!("127.0.0.1:{port}"),
        };
        std::fs::write(login.path("password"), PASSWORD).unwrap();
        std::fs::write(login.path("wrong"), "another").unwrap();
        std::fs::write(login.path("token"), token()).unwrap();
        worker::write_tenant(&login.path("tenants"), PATTERNS_ONLY);
        tiny_pack::write(&login.path("pack"), &tiny_pack::Options::default());
        login
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// By the listener that asks for no login.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.broker.address())
            .set("group.id", "reader")
            .set("isolation.level", "read_committed");
        config
    }

    fn produce(&self, records: &[&str]) {
        let producer: BaseProducer = self.client().create().unwrap();
        for record in records {
            let record: BaseRecord<'_, [u8], str> = BaseRecord::to("in").payload(record);
            producer.send(record).unwrap();
        }
        producer.flush(Duration::from_secs(20)).unwrap();
    }

    fn redactions(&self, count: usize) -> Vec<String> {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset("redactions", 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        let mut found = Vec::new();
        let start = Instant::now();
        while found.len() < count {
            assert!(start.elapsed() < Duration::from_secs(60), "{found:?}");
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                found.push(String::from_utf8(message.payload().unwrap().to_vec()).unwrap());
            }
        }
        found
    }

    /// What a command of weir says with this login.
    fn weir(&self, arguments: &[&str], sasl: &str) -> Output {
        let text = format!(
            "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{}\"\ntopics = [\"in\"]\n\
             group_id = \"login\"\ntls = {{ ca_file = \"ca.pem\" }}\nsasl = {sasl}\n\
             [sink]\ntype = \"kafka\"\ntransaction = {{ max_ms = 50 }}\n\
             topics = {{ redactions = \"redactions\", dead_letters = \"dead\" }}\n\
             [limits]\nmax_dead_letters = 0\n\
             [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = \"pack\"\n",
            self.address
        );
        std::fs::write(self.path("weir.toml"), text).unwrap();
        command(arguments)
            .arg("--config")
            .arg(self.path("weir.toml"))
            .output()
            .unwrap()
    }
}

/// A token without a signature, which the broker's development validator takes.
fn token() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let claims = format!("{{\"sub\":\"weir\",\"iat\":{now},\"exp\":{}}}", now + 3600);
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.", part("{\"alg\":\"none\"}"), part(&claims))
}

fn told(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn a_worker_logs_in_over_tls_by_every_mechanism() {
    if std::env::var_os("WEIR_TEST_KAFKA").is_some() {
        return; // what a running cluster asks for is not known
    }
    let login = Login::start();
    let by_password = |mechanism: &str, file: &str| {
        format!(
            "{{ mechanism = \"{mechanism}\", username = \"weir\", password_file = \"{file}\" }}"
        )
    };
    let ways = [
        by_password("PLAIN", "password"),
        by_password("SCRAM-SHA-512", "password"),
        "{ mechanism = \"OAUTHBEARER\", token_file = \"token\" }".to_owned(),
    ];
    for (number, sasl) in ways.iter().enumerate() {
        let checked = login.weir(&["check", "--connect"], sasl);
        let shown = told(&checked);
        assert_eq!(checked.status.code(), Some(0), "{sasl}: {shown}");
        assert!(shown.contains("answer, 1 topic") && shown.contains("answer, 2 topics"));
        // The worker ends by itself at the poison behind the record.
        let record = format!("{{\"id\":\"d{number}\",\"text\":\"ask ana@mail.example\"}}");
        login.produce(&[&record, "poison"]);
        let ran = login.weir(&["run"], sasl);
        assert_eq!(ran.status.code(), Some(65), "{sasl}: {}", told(&ran));
        assert!(!told(&ran).contains(PASSWORD));
    }
    let redactions = login.redactions(ways.len());
    assert!(
        redactions
            .iter()
            .all(|record| record.contains("ask [EMAIL]"))
    );

    let refused = login.weir(&["check", "--connect"], &by_password("PLAIN", "wrong"));
    let shown = told(&refused);
    assert_eq!(refused.status.code(), Some(1), "{shown}");
    assert!(
        shown.contains("`source.bootstrap_servers` can't be reached"),
        "{shown}"
    );
    assert!(
        !shown.contains(PASSWORD) && !shown.contains("another"),
        "{shown}"
    );
}
