//! A real Prometheus and promtool, which `make setup-tests` puts under `.weir/prometheus`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use url::Url;

use super::{
    broker::free_port,
    engine,
    eventually::eventually,
    job::{Ran, run},
};

/// A server that scrapes once a second, running as long as it is held.
pub struct Prometheus {
    child: Child,
    folder: tempfile::TempDir,
    address: Url,
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

fn program(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".weir/prometheus");
    let program = folder.join(name);
    assert!(
        program.exists(),
        "no {name} here: run tests/setup-prometheus.sh, as `make setup-tests` does"
    );
    program
}

/// Runs promtool in the repository.
pub fn promtool(args: &[&str]) -> Ran {
    let mut command = Command::new(program("promtool"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    run(command, b"")
}

impl Prometheus {
    /// Scrapes a page of metrics as job `weir`, with the rules of a file of the repository.
    pub fn start(scraped: u16, rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join(rules);
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs:\n\
             - job_name: weir\n\
             \x20 static_configs: [{{targets: [\"127.0.0.1:{scraped}\"]}}]\n"
        );
        let file = folder.path().join("prometheus.yaml");
        fs::write(&file, config).unwrap();
        let port = free_port();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program("prometheus"));
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let started = Self {
            child: command.spawn().unwrap(),
            folder,
            address: Url::parse(&format!("http://127.0.0.1:{port}")).unwrap(),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            runtime: engine::runtime(),
        };
        eventually(Duration::from_secs(60), || {
            started.ask("query", &[("query", "vector(1)")])
        });
        started
    }

    /// What the API has to say: `data` of an answer, or what is wrong.
    pub fn ask(&self, of: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let mut url = self.address.join(&format!("api/v1/{of}")).unwrap();
        url.query_pairs_mut().extend_pairs(parameters);
        let asked = async {
            let answer = self.client.get(url).send().await?;
            answer.bytes().await
        };
        let body = self.runtime.block_on(asked).map_err(|error| {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            format!("{error}; its log:\n{log}")
        })?;
        let mut answer: Value = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        match answer["status"] == "success" {
            true => Ok(answer["data"].take()),
            false => Err(answer["error"].to_string()),
        }
    }

    /// Samples that a query finds now, without those that are not a number.
    pub fn query(&self, query: &str) -> Result<Vec<f64>, String> {
        let data = self.ask("query", &[("query", query)])?;
        let samples = data["result"].as_array().into_iter().flatten();
        let number = |sample: &Value| -> Option<f64> { sample["value"][1].as_str()?.parse().ok() };
        let numbers = samples.filter_map(number);
        Ok(numbers.filter(|number| !number.is_nan()).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
