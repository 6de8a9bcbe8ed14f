//! The real process, killed at seeded random moments: nothing is lost, doubled or half written.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::support::{
    engine,
    job::command,
    s3::S3Server,
    tiny_pack,
    worker::{self, Kind, Outputs, PATTERNS_ONLY, Place},
};

/// A folder with a configuration, and the process that runs it.
struct Setup {
    folder: tempfile::TempDir,
    server: Option<Arc<S3Server>>,
    place: Place,
}

const OBJECTS: usize = 30;
const EACH: usize = 40;

impl Setup {
    fn local() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            kind: Kind::Local(tempfile::tempdir_in(folder.path()).unwrap()),
            server: None,
        };
        let Kind::Local(data) = &place.kind else {
            unreachable!()
        };
        let url = data.path().to_str().unwrap().to_owned();
        Self {
            folder,
            server: None,
            place,
        }
        .configured(&url)
    }

    fn s3() -> Self {
        let server = S3Server::shared();
        let url = server.fresh_url();
        let prefix = url::Url::parse(&url)
            .unwrap()
            .path()
            .trim_matches('/')
            .to_owned();
        let prefix = object_store::path::Path::parse(prefix).unwrap();
        let place = Place {
            kind: Kind::Store(server.store(), prefix),
            server: Some(server.clone()),
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            server: Some(server),
            place,
        }
        .configured(&url)
    }

    fn configured(self, url: &str) -> Self {
        let options = self
            .server
            .as_ref()
            .map(|server| server.options())
            .unwrap_or_default();
        let options: Vec<String> = options
            .iter()
            .map(|(key, value)| format!("{key} = {value:?}"))
            .collect();
        let options = options.join(", ");
        let text = format!(
            r#"[source]
type = "object_store"
url = "{url}/in"
options = {{ {options} }}
[sink]
type = "object_store"
url = "{url}/out"
options = {{ {options} }}
lease_secs = 2
[pipeline]
drain_timeout_secs = 1
[tenants]
dir = "tenants"
default = "acme"
[model]
pack = "pack"
threads = 1
"#
        );
        std::fs::write(self.path("weir.toml"), text).unwrap();
        worker::write_tenant(&self.path("tenants"), PATTERNS_ONLY);
        tiny_pack::write(&self.path("pack"), &tiny_pack::Options::default());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fill(&self) -> BTreeSet<String> {
        engine::runtime().block_on(worker::fill(&self.place, OBJECTS, EACH))
    }

    fn start(&self) -> Child {
        let mut command = command(&["run", "--config"]);
        command.arg(self.path("weir.toml"));
        // Kept from the environment: another S3's variables, if the tests run there.
        if let Some(server) = &self.server {
            command.envs(server.variables());
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Runs to the end, which has to be a good one.
    fn finish(&self) {
        let status = self.start().wait().unwrap();
        assert!(
            status.success(),
            "{status}: {}",
            std::fs::read_to_string(self.path("log")).unwrap()
        );
    }

    fn commits(&self) -> usize {
        engine::runtime()
            .block_on(self.place.outputs())
            .commits
            .len()
    }

    /// Throws the sink away.
    fn clear(&self) {
        use futures::TryStreamExt as _;
        use object_store::ObjectStoreExt as _;
        if let Kind::Local(data) = &self.place.kind {
            return std::fs::remove_dir_all(data.path().join("out")).unwrap();
        }
        engine::runtime().block_on(async {
            let out = self.place.at("out");
            let metas: Vec<_> = out
                .store()
                .list(Some(out.prefix()))
                .try_collect()
                .await
                .unwrap();
            for meta in metas {
                out.store().delete(&meta.location).await.unwrap();
            }
        });
    }

    /// What must hold, in the store's own listing and in the folders themselves.
    fn assert_exactly(&self, ids: &BTreeSet<String>) {
        let outputs: Outputs = engine::runtime().block_on(self.place.outputs());
        outputs.assert_exactly(ids);
        assert_eq!(outputs.commits.len(), OBJECTS);
        // Killed between commit and clean-up, a run leaves the claim of an object that is done.
        for claim in &outputs.claims {
            let id = claim.rsplit('/').next().unwrap().split('.').next().unwrap();
            assert!(
                outputs
                    .commits
                    .contains_key(&format!("_weir/commits/{id}.json")),
                "{claim} holds up its object"
            );
        }
        let Kind::Local(data) = &self.place.kind else {
            return;
        };
        let mut files = Vec::new();
        walk(&data.path().join("out"), &mut files);
        // Killed while a claim or a commit record is made, a run may leave `NAME#1` of it in `_weir/`,
        // where no reader looks. Among the outputs nothing unfinished may stay.
        files.retain(|file| {
            let name = file.to_string_lossy();
            !(name.contains("/_weir/") && name.contains('#'))
        });
        let unfinished: Vec<_> = files
            .iter()
            .filter(|file| file.to_string_lossy().contains('#'))
            .collect();
        assert!(
            unfinished.is_empty(),
            "unfinished files are left: {unfinished:?}"
        );
        assert_eq!(
            files.len(),
            outputs.files.len() + outputs.commits.len() + outputs.claims.len()
        );
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, files),
            false => files.push(path),
        }
    }
}

/// SIGKILL: `Child::kill` sends it on Unix.
fn kill(mut child: Child) -> bool {
    let ran = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    let _ = child.wait();
    ran
}

/// Kills `kills` runs at random moments of their work.
fn killed_again_and_again(setup: &Setup, seed: u64, kills: usize) {
    let ids = setup.fill();
    let mut random = StdRng::seed_from_u64(seed);
    // Kills are aimed at the time of the first claim: most of a run this short is its start.
    let first_claim = {
        let start = Instant::now();
        let mut child = setup.start();
        let deadline = start + Duration::from_secs(30);
        while Instant::now() < deadline
            && engine::runtime()
                .block_on(setup.place.outputs())
                .claims
                .is_empty()
        {
            assert!(
                child.try_wait().unwrap().is_none(),
                "{}",
                std::fs::read_to_string(setup.path("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        kill(child);
        start.elapsed()
    };
    let around = first_claim.as_millis() as u64;
    let mut during_work = 0;
    for _ in 0..kills * 10 {
        if during_work == kills {
            break;
        }
        // Done before the last kill: that has to be right too, and the work begins anew.
        if setup.commits() == OBJECTS {
            setup.assert_exactly(&ids);
            setup.clear();
        }
        let child = setup.start();
        std::thread::sleep(Duration::from_millis(
            random.random_range(around * 3 / 4..around + 40),
        ));
        during_work += usize::from(kill(child));
    }
    assert_eq!(during_work, kills, "too few kills hit a run");
    setup.finish();
    setup.assert_exactly(&ids);
    // And once more: nothing is left to do.
    let before = engine::runtime().block_on(setup.place.outputs()).files;
    setup.finish();
    assert_eq!(
        engine::runtime().block_on(setup.place.outputs()).files,
        before
    );
}

#[test]
fn kill_9_at_random_moments_loses_and_doubles_nothing() {
    killed_again_and_again(&Setup::local(), 9, 14);
}

#[test]
fn kill_9_at_random_moments_loses_and_doubles_nothing_on_s3() {
    killed_again_and_again(&Setup::s3(), 10, 5);
}

#[test]
fn of_two_processes_one_is_killed_and_the_other_does_the_rest() {
    let setup = Setup::local();
    let ids = setup.fill();
    let mut random = StdRng::seed_from_u64(11);
    let mut stays = setup.start();
    for _ in 0..3 {
        let dies = setup.start();
        std::thread::sleep(Duration::from_millis(random.random_range(100..500)));
        kill(dies);
    }
    assert!(
        stays.wait().unwrap().success(),
        "{}",
        std::fs::read_to_string(setup.path("log")).unwrap()
    );
    setup.finish();
    setup.assert_exactly(&ids);
}

#[test]
fn another_policy_is_done_again_under_another_name() {
    let setup = Setup::local();
    setup.fill();
    setup.finish();
    let before = engine::runtime().block_on(setup.place.outputs());
    worker::write_tenant(
        &setup.path("tenants"),
        "labels = []\npatterns = [{ name = \"email\", operator = \"remove\" }]\n",
    );
    setup.finish();
    let after = engine::runtime().block_on(setup.place.outputs());
    after.assert_keeps(&before);
    assert_eq!(after.files.len(), 2 * before.files.len());
    assert_eq!(after.listed(), after.names());
}
