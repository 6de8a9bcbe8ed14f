//! A folder with a configuration, tenants, input and output, and the real binary run on it.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;

use crate::support::tiny_pack;

/// What a run of the binary left.
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(
                self.stderr.contains(part),
                "no `{part}` in:\n{}",
                self.stderr
            );
        }
        self
    }
}

/// The binary, in the repository, so that it finds what `make setup` got; nothing of the caller's
/// environment decides about what it does.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("WEIR_") {
            command.env_remove(name);
        }
    }
    command
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("XDG_CACHE_HOME", cache());
    command
}

pub fn weir(args: &[&str]) -> Ran {
    weir_reads(args, b"")
}

pub fn weir_reads(args: &[&str], input: &[u8]) -> Ran {
    run(command(args), input)
}

/// A script, run by the Python that has the packages of `tools/`.
pub fn python(script: &str) -> Command {
    let python = ".weir/python/bin/python";
    assert!(
        std::path::Path::new(python).exists(),
        "{python} is not there; scripts/setup-python.sh makes it"
    );
    let mut command = Command::new(python);
    command.arg(script);
    command
}

pub fn run(mut command: Command, input: &[u8]) -> Ran {
    let mut child = piped(&mut command);
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that ends early does not read all of it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let ran = ended(child);
    writer.join().unwrap();
    ran
}

/// Started, with pipes to all of its streams.
pub fn piped(command: &mut Command) -> Child {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// SIGTERM.
pub fn terminate(child: &Child) {
    signal(child.id(), "TERM");
}

/// A signal to a process that a test started; it may have ended.
pub fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
    sent.expect("there is a program `kill`");
}

pub fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn cache() -> &'static Path {
    static CACHE: OnceLock<TempDir> = OnceLock::new();
    CACHE.get_or_init(|| tempfile::tempdir().unwrap()).path()
}

/// A tiny pack, made once.
pub fn pack() -> &'static Path {
    static PACK: OnceLock<PathBuf> = OnceLock::new();
    PACK.get_or_init(|| {
        let folder = cache().join("pack");
        tiny_pack::write(&folder, &tiny_pack::Options::default());
        folder
    })
}

/// A tiny pack with a fixed head, made once.
pub fn head_pack() -> &'static Path {
    static PACK: OnceLock<PathBuf> = OnceLock::new();
    PACK.get_or_init(|| {
        let folder = cache().join("head");
        tiny_pack::write_head(&folder, &tiny_pack::Options::default());
        folder
    })
}

/// Patterns and a list only: what is found is known, and no time is spent in a model.
pub const TENANT: &str = r#"
patterns = ["email", "card", "jwt", "cloud_key"]
deny = { terms = ["Wanda Canary"], label = "name" }
"#;

pub struct Job {
    folder: TempDir,
}

impl Job {
    /// A job from `in` to `out`. `changes` is a list of `section.key = value` for `--set`-like lines
    /// of the file.
    pub fn new(extra: &str) -> Self {
        let config = format!(
            r#"[source]
type = "object_store"
url = "in"
columns = {{ text = ["note"], id = "id" }}
[sink]
type = "object_store"
url = "out"
[tenants]
dir = "tenants"
default = "acme"
[model]
pack = {:?}
{extra}"#,
            pack().display().to_string()
        );
        Self::with(&config)
    }

    pub fn with(config: &str) -> Self {
        let job = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        job.write("weir.toml", config);
        job.write("tenants/acme.toml", TENANT);
        fs::create_dir_all(job.path("in")).unwrap();
        job
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn config(&self) -> String {
        self.path("weir.toml").display().to_string()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let config = self.config();
        let mut all = vec!["run", "--config", &config];
        all.extend(args);
        command(&all)
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        run(self.command(args), b"")
    }

    /// Files below a folder, by path below it.
    pub fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let root = self.path(folder);
        let mut files = BTreeMap::new();
        walk(&root, &mut |path| {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            match fs::read(path) {
                Ok(bytes) => drop(files.insert(name, bytes)),
                // A job that runs has renamed or removed it meanwhile.
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{name}"),
            }
        });
        files
    }

    /// JSON lines below a folder.
    pub fn records(&self, folder: &str) -> Vec<serde_json::Value> {
        let files = self.files(folder);
        let lines = files
            .iter()
            .filter(|(name, _)| name.ends_with(".jsonl"))
            .flat_map(|(_, bytes)| bytes.split(|b| *b == b'\n'));
        // serde_json refuses lone surrogates, which weir passes on as they came.
        let readable = |line: &[u8]| {
            String::from_utf8_lossy(line)
                .replace("\\ud83d", "<high>")
                .replace("\\udc00", "<low>")
        };
        lines
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_str(&readable(line)).unwrap())
            .collect()
    }

    /// Ids of delivered documents, as often as they were delivered.
    pub fn delivered(&self) -> Vec<String> {
        let mut ids: Vec<String> = self
            .records("out/entities")
            .iter()
            .map(|r| r["document_id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    }

    /// `object code` of every dead letter.
    pub fn dead_letters(&self) -> Vec<String> {
        let mut letters: Vec<String> = self
            .records("out/dead_letters")
            .iter()
            .map(|r| {
                format!(
                    "{} {}",
                    r["source"]["object"].as_str().unwrap(),
                    r["code"].as_str().unwrap()
                )
            })
            .collect();
        letters.sort();
        letters
    }
}

pub fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, visit);
        } else {
            visit(&path);
        }
    }
}

/// Peak resident memory of a process in bytes, looked at until it ends.
pub fn peak(child: &mut std::process::Child) -> u64 {
    let mut peak = 0;
    let status = format!("/proc/{}/status", child.id());
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(kilobytes.unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(20));
    }
    peak
}
