//! A real S3 server for tests: versitygw over a temporary folder, or the one that
//! `WEIR_TEST_S3_URL` names.
//!
//! `make setup-tests` builds the server into `.weir/bin`; a test that does not find it fails and says
//! so. With `WEIR_TEST_S3_URL=s3://bucket/prefix` (and `WEIR_TEST_S3_ENDPOINT=http://…` if it is not
//! AWS), `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_REGION`, the same tests run there; each
//! writes below a prefix of its own and leaves what it wrote.

use std::{
    collections::BTreeMap,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use object_store::{
    ObjectStore,
    aws::{AmazonS3, AmazonS3Builder},
};

const KEY: &str = "weir-test";
const SECRET: &str = "weir-test-secret";
const REGION: &str = "us-east-1";
const BUCKET: &str = "weir-test";

/// A running server. It ends when the last test that holds it is done.
pub struct S3Server {
    /// `None`: the environment's.
    child: Option<Child>,
    endpoint: Option<String>,
    url: String,
    _data: Option<tempfile::TempDir>,
}

/// The server of this process. Tests hold it, not the static: a static is never dropped, and the
/// server would outlive the tests.
static SERVER: Mutex<Weak<S3Server>> = Mutex::new(Weak::new());

static PREFIXES: AtomicU32 = AtomicU32::new(0);

impl S3Server {
    /// The server, started if it does not run.
    pub fn shared() -> Arc<Self> {
        let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = server.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start());
        *server = Arc::downgrade(&started);
        started
    }

    fn start() -> Self {
        if let Ok(url) = std::env::var("WEIR_TEST_S3_URL") {
            let endpoint = std::env::var("WEIR_TEST_S3_ENDPOINT").ok();
            return Self {
                child: None,
                endpoint,
                url: url.trim_end_matches('/').to_owned(),
                _data: None,
            };
        }
        let binary = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".weir/bin/versitygw");
        assert!(
            binary.is_file(),
            "the S3 server of the tests is not there: run `make setup-tests`"
        );
        let data = tempfile::tempdir().unwrap();
        for folder in [format!("data/{BUCKET}"), "side".to_owned()] {
            std::fs::create_dir_all(data.path().join(folder)).unwrap();
        }
        // The port can be taken between the look and the start: another one is tried then.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let mut child = Command::new(&binary)
                .args(["--port", &format!("127.0.0.1:{port}"), "posix", "--sidecar"])
                .args([data.path().join("side"), data.path().join("data")])
                .env("ROOT_ACCESS_KEY", KEY)
                .env("ROOT_SECRET_KEY", SECRET)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let deadline = Instant::now() + Duration::from_secs(20);
            while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    let endpoint = Some(format!("http://127.0.0.1:{port}"));
                    return Self {
                        child: Some(child),
                        endpoint,
                        url: format!("s3://{BUCKET}"),
                        _data: Some(data),
                    };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("versitygw did not answer");
    }

    /// A URL below which nothing is yet.
    pub fn fresh_url(&self) -> String {
        let number = PREFIXES.fetch_add(1, Ordering::Relaxed);
        let start = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_millis();
        format!("{}/t{start}-{}-{number}", self.url, std::process::id())
    }

    /// The bucket.
    pub fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(self.at(&self.url))
    }

    /// Another bucket of the server.
    pub fn bucket(&self, name: &str) -> AmazonS3 {
        self.at(&format!("s3://{name}"))
    }

    fn at(&self, url: &str) -> AmazonS3 {
        let mut builder = AmazonS3Builder::from_env()
            .with_url(url)
            .with_allow_http(true);
        if self.child.is_some() {
            builder = builder
                .with_access_key_id(KEY)
                .with_secret_access_key(SECRET)
                .with_region(REGION);
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        builder.build().unwrap()
    }

    /// What `options` of source and sink have to say.
    pub fn options(&self) -> BTreeMap<String, String> {
        let endpoint = self
            .endpoint
            .iter()
            .map(|endpoint| ("aws_endpoint".to_owned(), endpoint.clone()));
        endpoint
            .chain([("allow_http".to_owned(), "true".to_owned())])
            .collect()
    }

    /// Variables for a process that uses the server.
    pub fn variables(&self) -> Vec<(&'static str, &'static str)> {
        match self.child {
            Some(_) => vec![
                ("AWS_ACCESS_KEY_ID", KEY),
                ("AWS_SECRET_ACCESS_KEY", SECRET),
                ("AWS_REGION", REGION),
            ],
            None => Vec::new(),
        }
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
