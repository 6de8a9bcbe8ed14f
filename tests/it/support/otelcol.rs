//! A real OpenTelemetry Collector with the configuration of `deploy`, which `tests/setup-collector.sh` builds.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::{broker::free_port, eventually::eventually};

/// A collector that runs as long as it is held.
pub struct Collector {
    child: Child,
    folder: tempfile::TempDir,
    /// Takes OTLP over HTTP.
    pub otlp: u16,
    /// Shows Prometheus what it took.
    pub prometheus: u16,
}

impl Collector {
    /// `None`, with a line about it, where it was not built. `make test-collector` builds it and wants it to be there.
    pub fn start() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let program = root.join(".weir/bin/otelcol");
        if !program.exists() {
            let is_wanted = std::env::var_os("WEIR_TEST_COLLECTOR").is_some();
            assert!(
                !is_wanted,
                "no {}: tests/setup-collector.sh builds it",
                program.display()
            );
            println!(
                "skipped: no collector here; `make test-collector` builds one and runs this test"
            );
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (otlp, prometheus) = (free_port(), free_port());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        command
            .arg(format!(
                "--config={}",
                root.join("deploy/otelcol.yaml").display()
            ))
            .env("OTELCOL_OTLP", format!("127.0.0.1:{otlp}"))
            .env("OTELCOL_PROMETHEUS", format!("127.0.0.1:{prometheus}"))
            .env("OTELCOL_FOLDER", folder.path())
            .env("OTELCOL_OWN_METRICS", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut started = Self {
            child: command.spawn().unwrap(),
            folder,
            otlp,
            prometheus,
        };
        eventually(Duration::from_secs(60), || {
            if let Some(ended) = started.child.try_wait().unwrap() {
                panic!("the collector ended ({ended}):\n{}", started.log());
            }
            TcpStream::connect(("127.0.0.1", otlp))
                .map_err(|error| format!("{error}:\n{}", started.log()))
        });
        Some(started)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Where it writes traces, a JSON object in each line.
    pub fn traces(&self) -> PathBuf {
        self.folder.path().join("traces.jsonl")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
