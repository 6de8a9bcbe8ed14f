//! Real `weir run` processes, and what a supervisor does: start again what has ended.

use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use super::{GROUP, INPUT, OUTPUTS, load::MAX_RECORD_BYTES};
use crate::support::{
    job::signal,
    tiny_pack,
    worker::{PATTERNS_ONLY, write_tenant},
};

/// Workers that may run at a time, and fewest that do.
const PLACES: usize = 6;
const FEWEST: usize = 3;

/// What the workers are told about their group and their transactions.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(4);
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(8);

/// Time after which a supervisor starts what has ended.
const RESTART_AFTER: Duration = Duration::from_millis(500);

pub struct Workers {
    folder: tempfile::TempDir,
    binary: PathBuf,
    environment: Vec<(&'static str, &'static str)>,
    places: Vec<Place>,
    /// Ways in which processes ended by themselves, or drained, and how often.
    pub exits: BTreeMap<String, u64>,
    pub starts: u64,
}

/// One name, one transactional id.
struct Place {
    name: String,
    state: State,
    /// Processes whose place was given to another while they were stopped, and their waking.
    replaced: Vec<(Child, Instant)>,
}

enum State {
    Absent,
    Running(Child),
    Stopped(Child, Instant),
    Down(Instant),
    Draining(Child),
}

impl Workers {
    pub fn new(address: &str, environment: &[(&'static str, &'static str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_tenant(&folder.path().join("tenants"), PATTERNS_ONLY);
        tiny_pack::write(&folder.path().join("pack"), &tiny_pack::Options::default());
        std::fs::write(folder.path().join("audit.key"), "a secret of the test").unwrap();
        let places: Vec<Place> = (0..PLACES).map(Place::absent).collect();
        for (number, place) in places.iter().enumerate() {
            let file = folder.path().join(format!("{}.toml", place.name));
            std::fs::write(file, configuration(address, &place.name, number)).unwrap();
        }
        let binary = std::env::var_os("WEIR_CHAOS_BINARY");
        Self {
            folder,
            binary: binary.map_or_else(|| env!("CARGO_BIN_EXE_weir").into(), PathBuf::from),
            environment: environment.to_vec(),
            places,
            exits: BTreeMap::new(),
            starts: 0,
        }
    }

    /// Where the logs are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Keeps the logs.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Starts workers until there are `count`.
    pub fn start(&mut self, count: usize) {
        for index in 0..PLACES {
            if self.present().len() < count && matches!(self.places[index].state, State::Absent) {
                self.places[index].state = State::Running(self.spawn(index));
            }
        }
    }

    /// What is due by now: processes wake up, and are started again.
    pub fn tick(&mut self) {
        let now = Instant::now();
        for index in 0..PLACES {
            self.wake_replaced(index, now);
            let state = std::mem::replace(&mut self.places[index].state, State::Absent);
            self.places[index].state = match state {
                State::Running(mut child) => match child.try_wait().unwrap() {
                    Some(status) => {
                        self.ended("by itself", status);
                        State::Down(now + RESTART_AFTER)
                    }
                    None => State::Running(child),
                },
                State::Stopped(child, until) if until <= now => {
                    signal(child.id(), "CONT");
                    State::Running(child)
                }
                State::Down(until) if until <= now => State::Running(self.spawn(index)),
                State::Draining(mut child) => match child.try_wait().unwrap() {
                    Some(status) => {
                        self.ended("drained", status);
                        State::Absent
                    }
                    None => State::Draining(child),
                },
                same => same,
            };
        }
    }

    fn wake_replaced(&mut self, index: usize, now: Instant) {
        for (mut child, until) in std::mem::take(&mut self.places[index].replaced) {
            if until <= now {
                signal(child.id(), "CONT");
            }
            match child.try_wait().unwrap() {
                Some(status) => self.ended("replaced", status),
                None => self.places[index].replaced.push((child, until)),
            }
        }
    }

    /// kill -9 of one; started again after `lasts`.
    pub fn kill(&mut self, worker: usize, lasts: Duration) -> bool {
        let Some((index, child)) = self.take_running(worker) else {
            return false;
        };
        end(child);
        self.places[index].state = State::Down(Instant::now() + lasts);
        true
    }

    /// SIGSTOP to one; SIGCONT after `lasts`.
    pub fn stop(&mut self, worker: usize, lasts: Duration) -> bool {
        let Some((index, child)) = self.take_running(worker) else {
            return false;
        };
        signal(child.id(), "STOP");
        self.places[index].state = State::Stopped(child, Instant::now() + lasts);
        true
    }

    /// Stops one, gives its name and ids to a new process, and wakes it up after `lasts`.
    pub fn replace(&mut self, worker: usize, lasts: Duration) -> bool {
        let Some((index, child)) = self.take_running(worker) else {
            return false;
        };
        signal(child.id(), "STOP");
        let until = Instant::now() + lasts;
        self.places[index].replaced.push((child, until));
        self.places[index].state = State::Running(self.spawn(index));
        true
    }

    /// One more, unless there are as many as may be.
    pub fn scale_up(&mut self) -> bool {
        let before = self.starts;
        self.start(self.present().len() + 1);
        self.starts > before
    }

    /// SIGTERM to one, unless there are as few as may be.
    pub fn scale_down(&mut self, worker: usize) -> bool {
        if self.present().len() <= FEWEST {
            return false;
        }
        let Some((index, child)) = self.take_running(worker) else {
            return false;
        };
        signal(child.id(), "TERM");
        self.places[index].state = State::Draining(child);
        true
    }

    /// kill -9 of every process there is.
    pub fn kill_all(&mut self) {
        for place in &mut self.places {
            for (child, _) in place.replaced.drain(..) {
                end(child);
            }
            place.state = match std::mem::replace(&mut place.state, State::Absent) {
                State::Running(child) | State::Stopped(child, _) => {
                    end(child);
                    State::Absent
                }
                State::Draining(child) => {
                    end(child);
                    State::Absent
                }
                State::Down(_) | State::Absent => State::Absent,
            };
        }
    }

    /// SIGTERM to all that run; what they said. Call it when nothing is stopped.
    pub fn drain(&mut self) -> Vec<ExitStatus> {
        let running = self.present();
        let children: Vec<Child> = running
            .into_iter()
            .filter_map(|index| {
                match std::mem::replace(&mut self.places[index].state, State::Absent) {
                    State::Running(child) => Some(child),
                    State::Stopped(..) | State::Down(_) => panic!("nothing is stopped any more"),
                    State::Absent | State::Draining(_) => None,
                }
            })
            .collect();
        for child in &children {
            signal(child.id(), "TERM");
        }
        let wait = |mut child: Child| child.wait().unwrap();
        children.into_iter().map(wait).collect()
    }

    /// SIGTERM and, while the worker drains, another one; how it ended, and how long the second took.
    pub fn terminate_twice(&mut self) -> (ExitStatus, Duration) {
        let (_, mut child) = self.take_running(0).expect("one runs");
        signal(child.id(), "TERM");
        std::thread::sleep(Duration::from_millis(500));
        assert!(child.try_wait().unwrap().is_none(), "drained already");
        let start = Instant::now();
        signal(child.id(), "TERM");
        (child.wait().unwrap(), start.elapsed())
    }

    /// Whether every process is awake and none is about to end.
    pub fn at_rest(&self) -> bool {
        let rests = |place: &Place| {
            place.replaced.is_empty() && matches!(place.state, State::Absent | State::Running(_))
        };
        self.places.iter().all(rests)
    }

    /// Ends processes that were replaced and had nothing to do, so that they never learned of it.
    pub fn end_replaced(&mut self) {
        for place in &mut self.places {
            for (child, _) in place.replaced.drain(..) {
                end(child);
            }
        }
    }

    /// Codes that are no worker's to end with, and panics.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (how, count) in &self.exits {
            let fine = [
                "by itself: 69",
                "replaced: 69",
                "drained: 0",
                // Brokers that were gone just then.
                "drained: 69",
                "drained: 143",
                // Before weir listened for it, and had begun anything.
                "drained: signal 15",
            ];
            if !fine.contains(&&**how) {
                problems.push(format!("{count} workers ended {how}"));
            }
        }
        for place in &self.places {
            let said = std::fs::read_to_string(self.log(&place.name)).unwrap_or_default();
            if said.contains("panicked") {
                problems.push(format!("{} panicked", place.name));
            }
        }
        problems
    }

    /// In how many lines workers said something.
    pub fn said(&self, message: &str) -> usize {
        let logs = self.places.iter().map(|place| self.log(&place.name));
        let lines = logs.map(|log| {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            text.lines().filter(|line| line.contains(message)).count()
        });
        lines.sum()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    fn present(&self) -> Vec<usize> {
        let present = |index: &usize| {
            matches!(
                self.places[*index].state,
                State::Running(_) | State::Stopped(..) | State::Down(_)
            )
        };
        (0..PLACES).filter(present).collect()
    }

    /// Takes a running one out of its place, if any runs.
    fn take_running(&mut self, worker: usize) -> Option<(usize, Child)> {
        let running = |index: &usize| matches!(self.places[*index].state, State::Running(_));
        let running: Vec<usize> = (0..PLACES).filter(running).collect();
        let index = *running.get(worker % running.len().max(1))?;
        match std::mem::replace(&mut self.places[index].state, State::Absent) {
            State::Running(child) => Some((index, child)),
            _ => unreachable!("looked at above"),
        }
    }

    fn spawn(&mut self, index: usize) -> Child {
        self.starts += 1;
        let name = &self.places[index].name;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log(name))
            .unwrap();
        let mut command = Command::new(&self.binary);
        command
            .args(["run", "--config"])
            .arg(self.folder.path().join(format!("{name}.toml")))
            .envs(self.environment.iter().copied())
            // where it finds what `make setup` got
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// What `weir audit verify` says of the feed: its last line, and all of it.
    pub fn audit(&self) -> (String, String) {
        let configuration = format!("{}.toml", self.places[0].name);
        let output = Command::new(&self.binary)
            .args(["audit", "verify", "--config"])
            .arg(self.folder.path().join(configuration))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = text.lines().last().unwrap_or(&errors).to_owned();
        let is_proven = last.starts_with("PROVEN: ");
        assert_eq!(
            output.status.code(),
            Some(i32::from(!is_proven)),
            "{text}{errors}"
        );
        (last, text + &errors)
    }

    fn ended(&mut self, how: &str, status: ExitStatus) {
        let code = match status.code() {
            Some(code) => code.to_string(),
            None => format!("signal {}", status.signal().unwrap_or_default()),
        };
        *self.exits.entry(format!("{how}: {code}")).or_default() += 1;
    }
}

impl Place {
    fn absent(number: usize) -> Self {
        Self {
            name: format!("worker-{number}"),
            state: State::Absent,
            replaced: Vec::new(),
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// SIGKILL, which a stopped process gets too.
fn end(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Who assigns partitions: the members, or the broker.
pub fn protocol() -> String {
    std::env::var("WEIR_CHAOS_PROTOCOL").unwrap_or_else(|_| "classic".to_owned())
}

/// Every other one is a static member: those come back into the partitions that they had.
fn configuration(address: &str, name: &str, number: usize) -> String {
    let member = match number % 2 {
        0 => format!("group_instance_id = \"{name}\"\n"),
        _ => String::new(),
    };
    let [entities, redactions, dead_letters, audit] = OUTPUTS;
    format!(
        r#"[source]
type = "kafka"
bootstrap_servers = "{address}"
topics = ["{INPUT}"]
group_id = "{GROUP}"
group_protocol = "{protocol}"
session_timeout_ms = {session}
{member}[sink]
type = "kafka"
transactional_id_prefix = "{name}"
transaction = {{ timeout_ms = {transaction}, max_documents = 20, max_ms = 100 }}
audit_key_file = "audit.key"
[sink.topics]
entities = "{entities}"
redactions = "{redactions}"
dead_letters = "{dead_letters}"
audit = "{audit}"
[pipeline]
drain_timeout_secs = 3
[limits]
max_record_bytes = {MAX_RECORD_BYTES}
[tenants]
dir = "tenants"
default = "acme"
[model]
pack = "pack"
threads = 1
"#,
        protocol = protocol(),
        session = SESSION_TIMEOUT.as_millis(),
        transaction = TRANSACTION_TIMEOUT.as_millis(),
    )
}
