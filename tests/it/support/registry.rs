//! A Schema Registry for tests: a double that follows the published API of Confluent's, or a real
//! one.
//!
//! `WEIR_TEST_SCHEMA_REGISTRY` names a running registry by its URL; otherwise Apicurio Registry is
//! started where `make setup-tests` has put it, in memory, and spoken to by Confluent's API.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};

use apache_avro::{Schema, schema_compatibility::SchemaCompatibility};
use axum::{
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri, header::AUTHORIZATION},
    response::{IntoResponse, Response},
};
use base64::Engine as _;
use serde_json::{Value, json};

use super::served::serve;

/// A registry in this process.
pub struct Double {
    pub url: String,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Status of every answer while it is not 0.
    failing: AtomicU16,
    /// `Authorization` that is asked for.
    authorization: Option<String>,
}

#[derive(Default)]
struct State {
    /// In the order of their ids, from 1.
    schemas: Vec<Registered>,
    /// Ids in the order of their versions, from 1.
    subjects: BTreeMap<String, Vec<usize>>,
    requests: Vec<String>,
}

#[derive(Clone, PartialEq)]
struct Registered {
    schema: String,
    kind: String,
    references: Value,
}

impl Double {
    pub fn start() -> Self {
        Self::with(None)
    }

    /// One that asks for a user and a password.
    pub fn with_password(user: &str, password: &str) -> Self {
        let text = format!("{user}:{password}");
        let text = base64::engine::general_purpose::STANDARD.encode(text);
        Self::with(Some(format!("Basic {text}")))
    }

    fn with(authorization: Option<String>) -> Self {
        let shared = Arc::new(Shared {
            authorization,
            ..Shared::default()
        });
        let served = shared.clone();
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let shared = served.clone();
            async move { shared.answer(&method, &uri, &headers, &body) }
        };
        let (url, runtime) = serve(answer);
        Self {
            url,
            shared,
            _runtime: runtime,
        }
    }

    /// Answers everything with this status; 0 is back to normal.
    pub fn fail(&self, status: u16) {
        self.shared.failing.store(status, Ordering::SeqCst);
    }

    /// `METHOD path` of the requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// The GUID that the registry gives to the schema of an id.
    pub fn guid(id: u32) -> [u8; 16] {
        let mut guid = [0xab; 16];
        guid[12..].copy_from_slice(&id.to_be_bytes());
        guid
    }
}

impl Shared {
    fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response {
        let mut state = self.state.lock().unwrap();
        state.requests.push(format!("{method} {}", uri.path()));
        let failing = self.failing.load(Ordering::SeqCst);
        if failing != 0 {
            return refused(failing, failing.into(), "as the test asks");
        }
        let given = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
        if self.authorization.is_some() && given != self.authorization.as_deref() {
            return refused(401, 401, "Unauthorized");
        }
        let path: Vec<&str> = uri.path().split('/').skip(1).collect();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        match (method.as_str(), &path[..]) {
            ("GET", ["subjects"]) => ok(json!(state.subjects.keys().collect::<Vec<_>>())),
            ("POST", ["subjects", subject, "versions"]) => state.register(subject, &body),
            ("POST", ["subjects", subject]) => state.look_up(subject, &body),
            ("GET", ["subjects", subject, "versions", version]) => state.version(subject, version),
            ("GET", ["schemas", "ids", id]) => state.schema(id.parse().unwrap_or(0)),
            ("GET", ["schemas", "guids", guid]) => {
                let hex = guid.replace('-', "");
                let given = hex::decode(hex).unwrap_or_default();
                let count = state.schemas.len() as u32;
                let id = (1..=count).find(|id| Double::guid(*id)[..] == given[..]);
                state.schema(id.unwrap_or(0) as usize)
            }
            ("PUT", ["config", _]) => ok(json!({"compatibility": "BACKWARD"})),
            _ => refused(404, 404, "HTTP 404 Not Found"),
        }
    }
}

impl State {
    fn register(&mut self, subject: &str, body: &Value) -> Response {
        let schema = Registered::of(body);
        if schema.kind == "AVRO" && schema.references == json!([]) {
            let Ok(new) = Schema::parse_str(&schema.schema) else {
                return refused(422, 42201, "Invalid schema");
            };
            let last = self.subjects.get(subject).and_then(|ids| ids.last());
            let last = last.map(|id| Schema::parse_str(&self.schemas[id - 1].schema).unwrap());
            if last.is_some_and(|last| SchemaCompatibility::can_read(&last, &new).is_err()) {
                return refused(409, 409, "Schema being registered is incompatible");
            }
        }
        let id = match self.schemas.iter().position(|known| *known == schema) {
            Some(at) => at + 1,
            None => {
                self.schemas.push(schema);
                self.schemas.len()
            }
        };
        let ids = self.subjects.entry(subject.to_owned()).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
        ok(json!({"id": id}))
    }

    fn look_up(&self, subject: &str, body: &Value) -> Response {
        let Some(ids) = self.subjects.get(subject) else {
            return refused(404, 40401, "Subject not found");
        };
        let schema = Registered::of(body);
        let found = ids.iter().position(|id| self.schemas[id - 1] == schema);
        match found {
            Some(at) => ok(json!({"subject": subject, "version": at + 1, "id": ids[at],
                "schema": schema.schema})),
            None => refused(404, 40403, "Schema not found"),
        }
    }

    fn version(&self, subject: &str, version: &str) -> Response {
        let Some(ids) = self.subjects.get(subject) else {
            return refused(404, 40401, "Subject not found");
        };
        let at = version.parse().unwrap_or(ids.len()) - 1;
        match ids.get(at) {
            Some(id) => ok(json!({"subject": subject, "version": at + 1, "id": id,
                "schema": self.schemas[id - 1].schema})),
            None => refused(404, 40402, "Version not found"),
        }
    }

    fn schema(&self, id: usize) -> Response {
        match id.checked_sub(1).and_then(|at| self.schemas.get(at)) {
            Some(found) if found.kind == "AVRO" => {
                ok(json!({"schema": found.schema, "references": found.references}))
            }
            Some(found) => ok(json!({"schema": found.schema, "schemaType": found.kind})),
            None => refused(404, 40403, "Schema not found"),
        }
    }
}

impl Registered {
    fn of(body: &Value) -> Self {
        let text = |key: &str| body[key].as_str().map(str::to_owned);
        let references = match &body["references"] {
            Value::Null => json!([]),
            references => references.clone(),
        };
        Self {
            schema: text("schema").unwrap_or_default(),
            kind: text("schemaType").unwrap_or_else(|| "AVRO".to_owned()),
            references,
        }
    }
}

fn ok(body: Value) -> Response {
    (StatusCode::OK, body.to_string()).into_response()
}

fn refused(status: u16, code: u32, message: &str) -> Response {
    let body = json!({"error_code": code, "message": message}).to_string();
    (StatusCode::from_u16(status).unwrap(), body).into_response()
}

/// A real registry, running as long as it is held.
pub struct Real {
    pub url: String,
    _node: Option<Node>,
}

struct Node(Child);

impl Real {
    /// `None` where there is none to be had; in CI that is a failure.
    pub fn start() -> Option<Self> {
        if let Ok(url) = std::env::var("WEIR_TEST_SCHEMA_REGISTRY") {
            return Some(Self { url, _node: None });
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".weir/registry");
        if !folder.is_dir() {
            let missing = "no schema registry here: run `make setup-tests`";
            assert!(std::env::var_os("CI").is_none(), "{missing}");
            eprintln!("{missing}");
            return None;
        }
        let log = tempfile::NamedTempFile::new().unwrap();
        // Below the ports that systems give away, so that no other test is given it meanwhile.
        let port = rand::random_range(20_000..30_000);
        let child = Command::new("java")
            .current_dir(&folder)
            .args(["-Xmx400m", "-XX:TieredStopAtLevel=1"])
            .arg("-Dquarkus.http.host=127.0.0.1")
            .arg(format!("-Dquarkus.http.port={port}"))
            .args(["-cp", "./*:lib/*", "io.quarkus.runner.GeneratedMain"])
            .stdout(log.reopen().unwrap())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut node = Node(child);
        let url = format!("http://127.0.0.1:{port}/apis/ccompat/v7");
        let start = Instant::now();
        while request("GET", &format!("{url}/subjects"), "").0 != 200 {
            let said = || std::fs::read_to_string(log.path()).unwrap();
            assert!(
                node.0.try_wait().unwrap().is_none(),
                "it has ended:\n{}",
                said()
            );
            assert!(
                start.elapsed() < Duration::from_secs(180),
                "not up:\n{}",
                said()
            );
            std::thread::sleep(Duration::from_millis(250));
        }
        Some(Self {
            url,
            _node: Some(node),
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Status and body of an answer; 0 if there is none.
pub fn request(method: &str, url: &str, body: &str) -> (u16, String) {
    let url = url::Url::parse(url).unwrap();
    let address = url.socket_addrs(|| None).unwrap()[0];
    let Ok(mut stream) = TcpStream::connect(address) else {
        return (0, String::new());
    };
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).unwrap();
    let text = format!(
        "{method} {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\n\r\n{body}",
        url.path(),
        body.len()
    );
    let mut answer = String::new();
    let sent = stream.write_all(text.as_bytes());
    if sent.is_err() || stream.read_to_string(&mut answer).is_err() {
        return (0, String::new());
    }
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or(0), body.to_owned())
}

/// Registers a schema and gives its id.
pub fn register(url: &str, subject: &str, schema: &Value) -> u32 {
    let body = json!({"schema": schema.to_string(), "schemaType": "AVRO"}).to_string();
    register_body(url, subject, &body)
}

/// Registers what `body` says and gives its id.
pub fn register_body(url: &str, subject: &str, body: &str) -> u32 {
    let (status, answer) = request("POST", &format!("{url}/subjects/{subject}/versions"), body);
    assert_eq!(status, 200, "{answer}");
    // A real server may send the body in chunks, with lines of lengths around it.
    let answer = &answer[answer.find('{').unwrap()..=answer.rfind('}').unwrap()];
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["id"].as_u64().unwrap() as u32
}
