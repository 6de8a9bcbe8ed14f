//! Where a pack and ONNX Runtime are looked for.
//!
//! A program that was installed, unpacked or built in a clone finds both from any folder. Nothing is looked
//! for in the working directory unless a command names it: a shared library there could be anybody's.

use std::{
    env,
    ffi::OsString,
    fmt,
    path::{Component, Path, PathBuf},
};

use crate::model::Error;

/// Packs that lie beside something lie in a folder of this name.
const PACKS: &str = "models";

/// File name of ONNX Runtime on this platform.
const LIBRARY: &str = if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else {
    "libonnxruntime.so"
};

/// Where `make setup` puts ONNX Runtime, below the source tree.
const SETUP_FOLDER: &str = ".weir/onnxruntime";

/// Where distributions and people put shared libraries.
const SYSTEM_LIBRARIES: [&str; 7] = [
    "/usr/local/lib/weir",
    "/usr/local/lib",
    "/usr/lib/weir",
    "/usr/lib",
    "/usr/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

/// A pack as somebody named it: a folder, or a name that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackRef {
    /// A path is a path: nothing is looked for.
    Folder(PathBuf),
    /// One word without a slash, such as `weir-mini`.
    Name {
        /// The word.
        name: String,
        /// Folders to look in first: that of the configuration.
        beside: Vec<PathBuf>,
    },
}

impl PackRef {
    /// What `text` names: a word is a name, everything else a path below `folder`.
    pub fn new(text: &str, folder: &Path) -> Self {
        let mut parts = Path::new(text).components();
        let is_word = matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        );
        if is_word && !text.contains('/') {
            return Self::Name {
                name: text.to_owned(),
                beside: vec![folder.to_owned()],
            };
        }
        Self::Folder(folder.join(text))
    }

    /// Its folder, which holds something that looks like a pack; or the manifest beside it, which knows more.
    pub fn find(&self) -> Result<PathBuf, Error> {
        match self {
            Self::Folder(folder) => {
                let beside = manifest_beside(folder);
                Ok(match beside.is_file() {
                    true => beside,
                    false => folder.clone(),
                })
            }
            Self::Name { name, beside } => {
                let mut looked_in = Vec::new();
                for folder in pack_folders(name, beside, &Surroundings::of_process()) {
                    let beside = manifest_beside(&folder);
                    if beside.is_file() {
                        return Ok(beside);
                    }
                    if is_pack(&folder) {
                        return Ok(folder);
                    }
                    looked_in.push(folder);
                }
                Err(Error::NoSuchPack {
                    name: name.clone(),
                    looked_in: list(&looked_in),
                })
            }
        }
    }
}

impl fmt::Display for PackRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Name { name, .. } => f.write_str(name),
        }
    }
}

/// `NAME.toml` beside the folder `NAME`.
fn manifest_beside(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".toml");
    name.into()
}

/// Whether a folder looks like a pack: it has a manifest, or one of the layouts of published models.
fn is_pack(folder: &Path) -> bool {
    [
        "pack.toml",
        "gliner_config.json",
        "config.json",
        "onnx",
        "backbone",
    ]
    .iter()
    .any(|inside| folder.join(inside).exists())
}

/// ONNX Runtime: `ORT_DYLIB_PATH`, else the configured path, else the first that is found.
///
/// A path that somebody named is not replaced in silence by another library.
pub fn library_path(configured: Option<&Path>) -> Result<PathBuf, Error> {
    let surroundings = Surroundings::of_process();
    let named = surroundings
        .library
        .as_deref()
        .or(configured)
        .map(Path::to_path_buf);
    let candidates = match named {
        Some(named) => vec![named],
        None => libraries(&surroundings),
    };
    match candidates.iter().find(|candidate| candidate.is_file()) {
        Some(found) => Ok(found.clone()),
        None => Err(Error::NoRuntime {
            looked_at: list(&candidates),
        }),
    }
}

fn list(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    paths.join(", ")
}

/// What the environment says about places.
#[derive(Debug, Clone, Default)]
struct Surroundings {
    /// `ORT_DYLIB_PATH`.
    library: Option<PathBuf>,
    /// `WEIR_MODELS`, a list as `PATH` is.
    packs: Option<OsString>,
    /// The program, links followed.
    executable: Option<PathBuf>,
    /// `XDG_DATA_HOME`.
    data: Option<PathBuf>,
    /// `HOME`.
    home: Option<PathBuf>,
    /// `XDG_DATA_DIRS`, a list.
    shared_data: Option<OsString>,
    /// `LD_LIBRARY_PATH` or `DYLD_LIBRARY_PATH`, a list.
    library_folders: Option<OsString>,
}

impl Surroundings {
    fn of_process() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let executable = env::current_exe().ok();
        Self {
            library: variable("ORT_DYLIB_PATH").map(PathBuf::from),
            packs: variable("WEIR_MODELS"),
            executable: executable.map(|path| path.canonicalize().unwrap_or(path)),
            data: variable("XDG_DATA_HOME").map(PathBuf::from),
            home: variable("HOME").map(PathBuf::from),
            shared_data: variable("XDG_DATA_DIRS"),
            library_folders: variable(if cfg!(target_os = "macos") {
                "DYLD_LIBRARY_PATH"
            } else {
                "LD_LIBRARY_PATH"
            }),
        }
    }

    fn beside(&self) -> Option<&Path> {
        self.executable.as_deref()?.parent()
    }

    /// `PREFIX` of `PREFIX/bin/weir`.
    fn prefix(&self) -> Option<&Path> {
        let bin = self.beside()?;
        bin.ends_with("bin").then(|| bin.parent()).flatten()
    }

    /// The source tree that the program was built in: it lies in the tree's `target` folder.
    fn source_tree(&self) -> Option<&Path> {
        let mut folders = self.beside()?.ancestors();
        let target = folders.find(|folder| folder.ends_with("target"))?;
        let tree = target.parent()?;
        tree.join("Cargo.toml").is_file().then_some(tree)
    }
}

fn folders_of(list: Option<&OsString>) -> impl Iterator<Item = PathBuf> {
    let folders: Vec<PathBuf> = list.map_or_else(Vec::new, |list| env::split_paths(list).collect());
    folders
        .into_iter()
        .filter(|folder| !folder.as_os_str().is_empty())
}

/// Where a pack of this name may be, in order.
fn pack_folders(name: &str, beside: &[PathBuf], around: &Surroundings) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for folder in beside {
        folders.push(folder.clone());
        folders.push(folder.join(PACKS));
    }
    folders.extend(folders_of(around.packs.as_ref()));
    folders.extend(around.beside().map(Path::to_path_buf));
    folders.extend(around.beside().map(|folder| folder.join(PACKS)));
    folders.extend(
        around
            .prefix()
            .map(|prefix| prefix.join("share/weir").join(PACKS)),
    );
    folders.extend(around.source_tree().map(|tree| tree.join(PACKS)));
    let home = || Some(around.home.as_ref()?.join(".local/share"));
    let data = around.data.clone().or_else(home);
    folders.extend(data.map(|data| data.join("weir").join(PACKS)));
    let shared = around
        .shared_data
        .clone()
        .unwrap_or_else(|| "/usr/local/share:/usr/share".into());
    folders.extend(folders_of(Some(&shared)).map(|data| data.join("weir").join(PACKS)));
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .collect()
}

/// Where ONNX Runtime may be, in order.
fn libraries(around: &Surroundings) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    folders.extend(around.beside().map(Path::to_path_buf));
    folders.extend(around.prefix().map(|prefix| prefix.join("lib/weir")));
    folders.extend(around.source_tree().map(|tree| tree.join(SETUP_FOLDER)));
    folders.extend(folders_of(around.library_folders.as_ref()));
    folders.extend(SYSTEM_LIBRARIES.map(PathBuf::from));
    if cfg!(target_os = "macos") {
        folders.push("/opt/homebrew/lib".into());
    }
    let mut seen = std::collections::HashSet::new();
    folders.retain(|folder| seen.insert(folder.clone()));
    folders
        .into_iter()
        .map(|folder| folder.join(LIBRARY))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(at: &str) -> Surroundings {
        Surroundings {
            executable: Some(at.into()),
            home: Some("/home/ana".into()),
            ..Surroundings::default()
        }
    }

    fn shown(paths: &[PathBuf]) -> Vec<String> {
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn a_word_is_a_name_and_everything_else_a_path() {
        let folder = Path::new("/jobs/a");
        for name in ["weir-mini", "v1.2", "große"] {
            assert!(
                matches!(PackRef::new(name, folder), PackRef::Name { .. }),
                "{name}"
            );
        }
        for (path, at) in [
            ("models/weir-mini", "/jobs/a/models/weir-mini"),
            ("./weir-mini", "/jobs/a/./weir-mini"),
            ("weir-mini/", "/jobs/a/weir-mini/"),
            ("../weir-mini", "/jobs/a/../weir-mini"),
            ("..", "/jobs/a/.."),
            (".", "/jobs/a/."),
            ("/opt/weir-mini", "/opt/weir-mini"),
        ] {
            assert_eq!(
                PackRef::new(path, folder),
                PackRef::Folder(at.into()),
                "{path}"
            );
        }
    }

    #[test]
    fn a_pack_is_looked_for_near_the_configuration_first_and_in_the_system_last() {
        let around = Surroundings {
            packs: Some("/packs:/more".into()),
            ..installed("/usr/local/bin/weir")
        };
        assert_eq!(
            shown(&pack_folders("mini", &["/jobs/a".into()], &around)),
            [
                "/jobs/a/mini",
                "/jobs/a/models/mini",
                "/packs/mini",
                "/more/mini",
                "/usr/local/bin/mini",
                "/usr/local/bin/models/mini",
                "/usr/local/share/weir/models/mini",
                "/home/ana/.local/share/weir/models/mini",
                "/usr/share/weir/models/mini",
            ]
        );
    }

    #[test]
    fn the_users_data_folder_is_the_one_that_is_set() {
        let around = Surroundings {
            data: Some("/data".into()),
            shared_data: Some("/nix/share".into()),
            ..installed("/opt/weir/weir")
        };
        let folders = shown(&pack_folders("mini", &[], &around));
        assert!(
            folders.contains(&"/data/weir/models/mini".to_owned()),
            "{folders:?}"
        );
        assert!(
            folders.contains(&"/nix/share/weir/models/mini".to_owned()),
            "{folders:?}"
        );
        assert!(
            !folders.iter().any(|folder| folder.starts_with("/home")),
            "{folders:?}"
        );
    }

    #[test]
    fn a_program_in_the_target_folder_of_a_source_tree_uses_the_tree() {
        let tree = tempfile::tempdir().unwrap();
        let tree = tree.path().canonicalize().unwrap();
        for below in [
            "target/release",
            "target/debug/deps",
            "target/x86_64-unknown-linux-gnu/demo",
        ] {
            let around = installed(&tree.join(below).join("weir").display().to_string());
            assert_eq!(
                around.source_tree(),
                None,
                "without Cargo.toml it is no source tree"
            );
        }
        std::fs::write(tree.join("Cargo.toml"), "").unwrap();
        for below in [
            "target/release",
            "target/debug/deps",
            "target/x86_64-unknown-linux-gnu/demo",
        ] {
            let around = installed(&tree.join(below).join("weir").display().to_string());
            assert_eq!(around.source_tree(), Some(&*tree), "{below}");
            let library = tree.join(SETUP_FOLDER).join(LIBRARY);
            assert!(libraries(&around).contains(&library), "{below}");
            assert!(pack_folders("mini", &[], &around).contains(&tree.join("models/mini")));
        }
        let elsewhere = installed(&tree.join("bin/weir").display().to_string());
        assert_eq!(elsewhere.source_tree(), None);
    }

    #[test]
    fn the_library_of_an_installation_wins_over_the_systems() {
        let found = shown(&libraries(&installed("/opt/weir/bin/weir")));
        let at = |path: &str| {
            found
                .iter()
                .position(|found| *found == format!("{path}/{LIBRARY}"))
        };
        assert_eq!(at("/opt/weir/bin"), Some(0));
        assert_eq!(at("/opt/weir/lib/weir"), Some(1));
        assert!(at("/usr/local/lib").unwrap() > 1);
    }
}
