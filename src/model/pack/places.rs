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

/// What pip calls the wheel of the command, which `pyproject.toml` names: it leaves a folder of this name, with version.
const WHEEL: &str = "weir_redact-";

/// Where the wheel of ONNX Runtime has its library, below `site-packages`.
const WHEEL_FOLDER: &str = "onnxruntime/capi";

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

    /// Where pip installed the program together with ONNX Runtime: the folders of Python's packages below the prefix
    /// that hold the program's own wheel. Any other ONNX Runtime of Python is not ours to choose.
    fn site_packages(&self) -> Vec<PathBuf> {
        let Some(prefix) = self.prefix() else {
            return Vec::new();
        };
        // `pip install --target` puts packages next to `bin`. Fedora has lib64, Debian dist-packages.
        let mut sites = vec![prefix.to_owned()];
        for lib in ["lib", "lib64"] {
            let mut versions = names_in(&prefix.join(lib));
            versions.retain(|name| name.starts_with("python"));
            for version in versions {
                let packages = |name| prefix.join(lib).join(&version).join(name);
                sites.extend(["site-packages", "dist-packages"].map(packages));
            }
        }
        sites.retain(|site| {
            let is_ours = |name: &String| name.starts_with(WHEEL) && name.ends_with(".dist-info");
            names_in(site).iter().any(is_ours)
        });
        sites
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
    let in_folder = |folder: PathBuf| folder.join(LIBRARY);
    let mut files: Vec<PathBuf> = Vec::new();
    files.extend(around.beside().map(|folder| folder.join(LIBRARY)));
    let own = around.prefix().map(|prefix| prefix.join("lib/weir"));
    files.extend(own.map(in_folder));
    let sites = around.site_packages();
    files.extend(sites.iter().map(|site| of_wheel(&site.join(WHEEL_FOLDER))));
    let tree = around.source_tree().map(|tree| tree.join(SETUP_FOLDER));
    files.extend(tree.map(in_folder));
    files.extend(folders_of(around.library_folders.as_ref()).map(in_folder));
    files.extend(SYSTEM_LIBRARIES.map(PathBuf::from).map(in_folder));
    if cfg!(target_os = "macos") {
        files.push(in_folder("/opt/homebrew/lib".into()));
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    files
}

/// The library in a folder of a wheel, which has its version in its name: `libonnxruntime.so.1.31.0`,
/// `libonnxruntime.1.31.0.dylib`. Without one, the name that it would have without a version.
fn of_wheel(folder: &Path) -> PathBuf {
    let mut names = names_in(folder);
    names.retain(|name| {
        name.starts_with("libonnxruntime.") && (name.contains(".so") || name.ends_with(".dylib"))
    });
    folder.join(names.pop().unwrap_or_else(|| LIBRARY.to_owned()))
}

/// Names in a folder, sorted; none if it cannot be read.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
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

    #[test]
    fn a_program_that_pip_installed_uses_the_onnx_runtime_that_came_with_it() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        let file = if cfg!(target_os = "macos") {
            "libonnxruntime.1.31.0.dylib"
        } else {
            "libonnxruntime.so.1.31.0"
        };
        for (prefix, site) in [
            ("venv", "venv/lib/python3.11/site-packages"),
            ("fedora", "fedora/lib64/python3.14/site-packages"),
            ("debian", "debian/lib/python3.13/dist-packages"),
            ("target", "target-of-pip"),
        ] {
            let prefix = match prefix {
                "target" => place.join(site),
                name => place.join(name),
            };
            let around = installed(&prefix.join("bin/weir").display().to_string());
            let folder = place.join(site).join(WHEEL_FOLDER);
            std::fs::create_dir_all(&folder).unwrap();
            for name in [file, "libonnxruntime_providers_shared.so", "__init__.py"] {
                std::fs::write(folder.join(name), "").unwrap();
            }
            let library = folder.join(file);
            assert!(
                !libraries(&around).contains(&library),
                "{site}: weir is not of this Python"
            );
            let own = place.join(site).join("weir_redact-0.1.0.dist-info");
            std::fs::create_dir(own).unwrap();
            let found = libraries(&around);
            let at = found.iter().position(|found| *found == library);
            assert_eq!(at, Some(2), "{site}: {found:?}");
            // Without ONNX Runtime the error names the place.
            std::fs::remove_file(&library).unwrap();
            assert!(libraries(&around).contains(&folder.join(LIBRARY)), "{site}");
        }
    }

    #[test]
    fn the_wheel_is_called_as_the_project_says() {
        let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = std::fs::read_to_string(tree.join("pyproject.toml")).unwrap();
        let project: toml::Table = project.parse().unwrap();
        let name = project["project"]["name"].as_str().unwrap();
        assert_eq!(format!("{}-", name.replace('-', "_")), WHEEL);
    }
}
