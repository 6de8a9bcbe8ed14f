//! `tuned.toml` beside a pack: what `weir model tune` found fastest on a machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Pack;
use crate::model::{Error, onnx};

const FILE: &str = "tuned.toml";

/// How a pack runs fastest on a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tuned {
    /// Digest of the pack that was measured.
    pub pack: String,
    /// File of the graph.
    pub graph: String,
    /// Sessions that run side by side.
    pub sessions: usize,
    /// Threads of a session.
    pub threads: usize,
    /// Tokens of a batch.
    pub max_tokens: usize,
    /// Tokens per second with it.
    pub tokens_per_second: f64,
    /// A copy of the graph whose weights are packed for this processor: it is mapped, not read, and sessions
    /// share it.
    #[serde(default)]
    pub copy: Option<Copied>,
    /// Where it was measured.
    pub machine: Machine,
    /// All that was measured, the fastest in front.
    #[serde(default)]
    pub measured: Vec<Measured>,
}

/// A copy of a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Copied {
    /// Its file, in the pack's folder.
    pub file: String,
    /// Size of its weights, by which one that was cut short is noticed.
    pub bytes: u64,
}

/// What speed and packed weights depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Instruction sets.
    pub processor: String,
    /// Cores that a process may use.
    pub cores: usize,
    /// ONNX Runtime's description of itself.
    pub runtime: String,
}

/// A way to run the pack, and its speed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // as of `Tuned`
pub struct Measured {
    pub graph: String,
    pub sessions: usize,
    pub threads: usize,
    pub max_tokens: usize,
    pub tokens_per_second: f64,
}

impl Machine {
    /// This one. Loads ONNX Runtime.
    pub fn here(library: Option<&Path>) -> Result<Self, Error> {
        onnx::environment(library)?;
        Ok(Self {
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            runtime: ort::info().to_owned(),
        })
    }
}

/// What ONNX Runtime chooses its kernels by.
fn processor() -> String {
    #[allow(unused_mut)]
    let mut sets = vec![std::env::consts::ARCH];
    #[cfg(target_arch = "x86_64")]
    {
        let known = [
            ("avx2", std::is_x86_feature_detected!("avx2")),
            ("avxvnni", std::is_x86_feature_detected!("avxvnni")),
            ("avx512f", std::is_x86_feature_detected!("avx512f")),
            ("avx512vnni", std::is_x86_feature_detected!("avx512vnni")),
            ("amx-int8", cfg!(target_feature = "amx-int8")),
        ];
        sets.extend(known.iter().filter(|(_, has)| *has).map(|(name, _)| name));
    }
    sets.join(" ")
}

impl Tuned {
    /// What is known of a pack; `None` if it was never tuned.
    pub fn read(pack: &Pack) -> Result<Option<Self>, Error> {
        let path = path(pack);
        let problem = |problem: String| Error::Manifest {
            path: path.display().to_string(),
            problem: format!("{problem}; `weir model tune` writes it again"),
        };
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map(Some)
                .map_err(|error| problem(error.message().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(problem(error.to_string())),
        }
    }

    /// Writes it beside the pack.
    pub fn write(&self, pack: &Pack) -> Result<PathBuf, Error> {
        let path = path(pack);
        let new = path.with_extension("new");
        let text = format!(
            "# Written by `weir model tune`: how this pack runs fastest on this machine.\n{}",
            toml::to_string(self).expect("numbers and strings are TOML")
        );
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|error| Error::File {
                pack: pack.name().to_owned(),
                file: FILE.to_owned(),
                problem: error.to_string(),
            })?;
        Ok(path)
    }

    /// Why it is not used: it was measured on another pack or machine.
    pub fn misfit(&self, pack: &Pack, machine: &Machine) -> Option<&'static str> {
        if self.pack != pack.digest() {
            return Some(
                "is of another version of the pack and is not used: run `weir model tune` again",
            );
        }
        if self.machine != *machine {
            return Some(
                "was measured on another machine and is not used: run `weir model tune` on this one",
            );
        }
        None
    }

    /// Whether it was measured on this machine and on this pack; says in the log what it was measured on if not.
    pub fn fits(&self, pack: &Pack, machine: &Machine) -> bool {
        let Some(misfit) = self.misfit(pack, machine) else {
            return true;
        };
        warn!(pack = pack.name(), "{FILE} {misfit}");
        false
    }

    /// Whether there is a copy of the graph that is missing or truncated.
    pub fn lacks_copy(&self, pack: &Pack) -> bool {
        self.copy.is_some() && self.whole(pack).is_none()
    }

    fn whole(&self, pack: &Pack) -> Option<&Copied> {
        self.copy.as_ref().filter(|copy| {
            let weights = pack.path(&format!("{}.data", copy.file));
            pack.path(&copy.file).is_file()
                && fs::metadata(weights).is_ok_and(|meta| meta.len() == copy.bytes)
        })
    }

    /// The pack as it is to be run: with the chosen graph in front, from its copy if that is whole.
    pub fn apply(&self, pack: Pack) -> Result<Pack, Error> {
        let whole = self.whole(&pack);
        if self.lacks_copy(&pack) {
            warn!(
                pack = pack.name(),
                "the tuned copy of the graph is missing or truncated; weir reads the graph itself"
            );
        }
        let name = pack.name().to_owned();
        pack.with_graph(&self.graph, whole.map(|copy| copy.file.as_str()))
            .ok_or_else(|| Error::Manifest {
                path: FILE.to_owned(),
                problem: format!(
                    "pack {name} has no graph `{}`; `weir model tune` writes it again",
                    self.graph
                ),
            })
    }
}

fn path(pack: &Pack) -> PathBuf {
    pack.path(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuned(pack: &Pack) -> Tuned {
        Tuned {
            pack: pack.digest().to_owned(),
            graph: pack.manifest().backbone.file.clone(),
            sessions: 2,
            threads: 1,
            max_tokens: 2048,
            tokens_per_second: 1000.0,
            copy: Some(Copied {
                file: "tuned.onnx".to_owned(),
                bytes: 5,
            }),
            machine: Machine {
                processor: "x86_64 avx2".to_owned(),
                cores: 2,
                runtime: "1.31".to_owned(),
            },
            measured: Vec::new(),
        }
    }

    /// The pack in the box, in a folder of its own.
    fn copied(folder: &Path) -> Pack {
        for entry in fs::read_dir("models/weir-mini").unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        Pack::open(folder).unwrap()
    }

    #[test]
    fn what_was_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let pack = copied(folder.path());
        assert_eq!(Tuned::read(&pack).unwrap(), None);
        let tuned = tuned(&pack);
        tuned.write(&pack).unwrap();
        assert_eq!(Tuned::read(&pack).unwrap(), Some(tuned));
        fs::write(folder.path().join(FILE), "graph = 3").unwrap();
        let error = Tuned::read(&pack).unwrap_err().to_string();
        assert!(error.contains("weir model tune"), "{error}");
    }

    #[test]
    fn it_is_for_one_pack_and_one_machine() {
        let folder = tempfile::tempdir().unwrap();
        let pack = copied(folder.path());
        let tuned = tuned(&pack);
        assert!(tuned.fits(&pack, &tuned.machine));
        assert_eq!(tuned.misfit(&pack, &tuned.machine), None);
        let other = Machine {
            cores: 3,
            ..tuned.machine.clone()
        };
        assert!(!tuned.fits(&pack, &other));
        let older = Tuned {
            pack: "0".to_owned(),
            ..tuned.clone()
        };
        assert!(!older.fits(&pack, &tuned.machine));
    }

    #[test]
    fn a_copy_that_is_not_whole_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let pack = copied(folder.path());
        let tuned = tuned(&pack);
        let file = |pack: Pack| pack.manifest().backbone.file.clone();
        let own = file(pack.clone());
        assert!(tuned.lacks_copy(&pack));
        assert_eq!(file(tuned.apply(pack.clone()).unwrap()), own);
        fs::write(folder.path().join("tuned.onnx"), "graph").unwrap();
        fs::write(folder.path().join("tuned.onnx.data"), "cut").unwrap();
        assert_eq!(file(tuned.apply(pack.clone()).unwrap()), own);
        fs::write(folder.path().join("tuned.onnx.data"), "whole").unwrap();
        assert!(!tuned.lacks_copy(&pack));
        assert_eq!(file(tuned.apply(pack).unwrap()), "tuned.onnx");
    }

    #[test]
    fn a_graph_has_windows_of_its_own_size() {
        let folder = tempfile::tempdir().unwrap();
        copied(folder.path());
        let manifest = folder.path().join("pack.toml");
        let whole = fs::read_to_string(&manifest).unwrap();
        let with = |tokens: usize| {
            let other =
                format!("[[alternatives]]\nfile = \"other.onnx\"\nmax_window_tokens = {tokens}\n");
            fs::write(
                &manifest,
                whole.replace("[calibration]", &(other + "\n[calibration]")),
            )
            .unwrap();
            Pack::open(folder.path()).unwrap()
        };
        let pack = with(64);
        let (own, special) = (pack.shape(), 2);
        let other = pack.clone().with_graph("other.onnx", None).unwrap();
        assert_eq!(other.shape().width(), 64 - special);
        assert_eq!(other.shape().halo(), own.halo());
        assert_ne!(other.digest(), pack.digest());
        // Never wider than the model reads.
        let wide = with(1 << 20).with_graph("other.onnx", None).unwrap();
        assert_eq!(wide.shape().width(), own.width());
        let narrow = with(own.halo()).with_graph("other.onnx", None);
        assert!(narrow.is_none(), "no token stands between two halos");
    }

    #[test]
    fn a_graph_that_the_pack_does_not_have_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let pack = copied(folder.path());
        let tuned = Tuned {
            graph: "other.onnx".to_owned(),
            ..tuned(&pack)
        };
        let error = tuned.apply(pack).unwrap_err().to_string();
        assert!(error.contains("has no graph `other.onnx`"), "{error}");
    }
}
