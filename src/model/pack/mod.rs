//! A pack: a folder with graphs, tokenizers and a manifest that says what they are.

mod foreign;
mod graph_file;
mod hub;
mod manifest;
mod places;
mod projection;
mod published;
mod tuned;
mod whole;

use std::{
    fs, io, iter,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

pub use graph_file::{GraphFile, Problem as GraphProblem};
pub use manifest::{
    Calibration, Classes, Decoding, Graph, Kind, LabelEncoder, Layout, Limits, Manifest, PackFile,
    Step, Templates, TokenizerFiles,
};
pub use places::{PackRef, library_path};
pub(super) use projection::Projection;
pub use tuned::{Copied, Machine, Measured, Tuned};

use self::manifest::{Head, attention_mask, input_ids};
use super::{Error, gliner, prompted};
use crate::text::Shape;

/// An opened pack: its manifest is read and fits; its graphs are not loaded yet.
#[derive(Debug, Clone)]
pub struct Pack {
    folder: PathBuf,
    manifest: Manifest,
    digest: String,
    /// Files of a published folder that are read, and that the manifest does not name: its configuration.
    also: Vec<String>,
    written: Option<WrittenManifest>,
    /// Whether the graph in front is a copy that this machine made.
    is_copy: bool,
}

/// The file that a pack was opened by.
#[derive(Debug, Clone)]
pub struct WrittenManifest {
    /// `pack.toml`, or `NAME.toml` beside the folder `NAME`.
    pub path: PathBuf,
    /// 64 hex digits: SHA-256 of the bytes that were read.
    pub sha256: String,
}

impl Pack {
    /// Opens a folder: one with a `pack.toml`, one in the layout that the adaptive models are published in (an `onnx/`
    /// folder with `arctic/` and `backbone/`), or a token classifier of the hub; or a manifest that stands beside a
    /// published folder (`rampart.toml` beside `rampart/`). Digests are compared by [`Pack::verify`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.is_file() {
            let folder = path.parent().unwrap_or(Path::new(""));
            return Self::with_manifest(folder, path);
        }
        let manifest = path.join("pack.toml");
        if manifest.is_file() {
            return Self::with_manifest(path, &manifest);
        }
        if let Some(pack) = gliner::published::open(path)? {
            return Ok(pack);
        }
        for folder in [path.join("onnx"), path.to_path_buf()] {
            if folder
                .join("backbone/model_quantized_hidden.onnx")
                .is_file()
            {
                return Self::published(&folder);
            }
        }
        let root = match path.file_name() {
            Some(name) if name == "onnx" => path.parent().unwrap_or(path),
            _ => path,
        };
        if hub::is_here(root) {
            let said = root.join("config.json");
            return Self::classifier(root, &hub::Beside::default(), "", &said);
        }
        Err(match foreign::look(root) {
            Some(foreign) => Error::Unsupported {
                pack: path.display().to_string(),
                what: format!("it is {}", foreign.what),
                hint: foreign.hint,
            },
            None => Error::NoPack {
                path: path.display().to_string(),
            },
        })
    }

    /// A manifest: of the folder that it stands in, or beside a published one.
    fn with_manifest(folder: &Path, file: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(file).map_err(|error| Error::Manifest {
            path: file.display().to_string(),
            problem: error.to_string(),
        })?;
        let mut pack = Self::of_text(folder, file, &text)?;
        pack.written = Some(WrittenManifest {
            path: file.to_path_buf(),
            sha256: hex::encode(Sha256::digest(&text)),
        });
        Ok(pack)
    }

    fn of_text(folder: &Path, file: &Path, text: &str) -> Result<Self, Error> {
        let problem = |problem: String| Error::Manifest {
            path: file.display().to_string(),
            problem,
        };
        let head: Head =
            toml::from_str(text).map_err(|error| problem(error.message().to_owned()))?;
        let Some(family) = head.family else {
            let beside: hub::Beside =
                toml::from_str(text).map_err(|error| problem(error.message().to_owned()))?;
            let own = match (&beside.folder, file.ends_with("pack.toml")) {
                (Some(own), _) => folder.join(own),
                (None, true) => folder.to_path_buf(),
                (None, false) => file.with_extension(""),
            };
            if !own.is_dir() {
                return Err(problem(format!(
                    "the folder {} of the model does not exist",
                    own.display()
                )));
            }
            return Self::classifier(&own, &beside, text, file);
        };
        let known = Kind::ALL.map(|kind| kind.to_string());
        if !known.contains(&family) {
            return Err(problem(format!(
                "pack {} is of family `{family}`, which this version does not run (it runs: {})",
                head.name,
                known.join(", ")
            )));
        }
        if family == Kind::Gliner.to_string() {
            return match file.ends_with("pack.toml") {
                true => gliner::published::with_manifest(folder, file, text),
                false => gliner::published::with_manifest(&file.with_extension(""), file, text),
            };
        }
        if family == Kind::Prompted.to_string() {
            return prompted::manifest::open(folder, file, text);
        }
        let manifest: Manifest =
            toml::from_str(text).map_err(|error| problem(error.message().to_owned()))?;
        if manifest.format != 1 {
            return Err(problem(format!(
                "format {} is not known, this version reads 1",
                manifest.format
            )));
        }
        let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
        Self::checked(folder.to_path_buf(), manifest, digest, file)
    }

    /// A token classifier of the hub. `text` is that of the manifest beside it, `said` the file that says how it is run.
    fn classifier(
        folder: &Path,
        beside: &hub::Beside,
        text: &str,
        said: &Path,
    ) -> Result<Self, Error> {
        let hub::Published { manifest, files } = hub::read(folder, beside)?;
        let names: Vec<&str> = files.iter().map(String::as_str).collect();
        let digest = digest_of(folder, &manifest.name, text, &names)?;
        let mut pack = Self::checked(folder.to_path_buf(), manifest, digest, said)?;
        pack.also = files;
        Ok(pack)
    }

    /// The layout of the published adaptive models, as it is.
    fn published(folder: &Path) -> Result<Self, Error> {
        let name = folder
            .ancestors()
            .filter_map(Path::file_name)
            .find(|name| *name != "onnx")
            .map_or_else(
                || "published".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            );
        let graph = |file: &str| Graph {
            file: file.to_owned(),
            layout: Layout::Padded,
            max_window_tokens: None,
            optimised: false,
            input_ids: input_ids(),
            attention_mask: attention_mask(),
            output: String::new(),
        };
        let projection = "arctic/projection.npz";
        let hidden = Projection::read(&folder.join(projection), &name)?
            .outside
            .len();
        let mut manifest = Manifest::published(
            &name,
            Kind::Adaptive,
            hidden,
            TokenizerFiles {
                file: "backbone/tokenizer.json".to_owned(),
                prefix: Vec::new(),
                suffix: Vec::new(),
                pad: 0,
            },
            graph("backbone/model_quantized_hidden.onnx"),
            // A halo of 8 layers × 128 tokens covers the whole receptive field of the backbone.
            Limits {
                max_window_tokens: 4096,
                halo_tokens: 1024,
                max_label_tokens: 32,
            },
        );
        manifest.label_encoder = Some(LabelEncoder {
            graph: graph("arctic/encoder_int8.onnx"),
            tokenizer: "arctic/tokenizer.json".to_owned(),
            prefix: Vec::new(),
            suffix: Vec::new(),
            pad: 1, // XLM-R
            projection: projection.to_owned(),
            templates: Templates::default(),
            vectors: None,
            descriptions: None,
        });
        let files = [
            "backbone/model_quantized_hidden.onnx",
            "arctic/encoder_int8.onnx",
            projection,
        ];
        let digest = digest_of(folder, &name, "", &files)?;
        Self::checked(folder.to_path_buf(), manifest, digest, folder)
    }

    /// A pack of a manifest that fits its family. `said`: where the manifest stands, for the message if it does not.
    pub(super) fn checked(
        folder: PathBuf,
        manifest: Manifest,
        digest: String,
        said: &Path,
    ) -> Result<Self, Error> {
        let pack = Self {
            folder,
            manifest,
            digest,
            also: Vec::new(),
            written: None,
            is_copy: false,
        };
        let manifest = &pack.manifest;
        let missing = match manifest.family {
            Kind::FixedHead => manifest.head.is_none().then_some("head"),
            Kind::Gliner => manifest.gliner.is_none().then_some("gliner"),
            Kind::Prompted => manifest.prompted.is_none().then_some("prompted"),
            Kind::Adaptive => manifest.label_encoder.is_none().then_some("label_encoder"),
        };
        if let Some(section) = missing {
            return Err(Error::Manifest {
                path: said.display().to_string(),
                problem: format!(
                    "a pack of family `{}` needs a section [{section}]",
                    manifest.family
                ),
            });
        }
        if pack.window_shape().is_none() {
            return Err(Error::Manifest {
                path: said.display().to_string(),
                problem: format!(
                    "max_window_tokens ({}) leaves no token between two halos of {} tokens",
                    pack.manifest.limits.max_window_tokens, pack.manifest.limits.halo_tokens
                ),
            });
        }
        Ok(pack)
    }

    /// The graphs among which `weir model tune` chooses; the first runs unless one was chosen.
    pub fn graphs(&self) -> impl Iterator<Item = &Graph> {
        iter::once(&self.manifest.backbone).chain(&self.manifest.alternatives)
    }

    /// The pack with another of its graphs in front, which may run from a copy that this machine made of it.
    ///
    /// Other graphs round otherwise: the digest tells them apart. `None` if it has no such graph, or none that a
    /// window between two halos fits in.
    pub fn with_graph(mut self, file: &str, copy: Option<&str>) -> Option<Self> {
        let manifest = &mut self.manifest;
        if manifest.backbone.file != file {
            let other = manifest
                .alternatives
                .iter_mut()
                .find(|graph| graph.file == file)?;
            std::mem::swap(&mut manifest.backbone, other);
            let mut hasher = blake3::Hasher::new();
            hasher
                .update(self.digest.as_bytes())
                .update(file.as_bytes());
            self.digest = hasher.finalize().to_hex().to_string();
        }
        if let Some(copy) = copy {
            copy.clone_into(&mut manifest.backbone.file);
            manifest.backbone.optimised = true;
            self.is_copy = true;
        }
        self.window_shape()?;
        Some(self)
    }

    /// Size of windows, in tokens of text.
    pub fn shape(&self) -> Shape {
        self.window_shape()
            .expect("checked when the pack was opened")
    }

    fn window_shape(&self) -> Option<Shape> {
        let limits = &self.manifest.limits;
        let special = self.manifest.tokenizer.prefix.len() + self.manifest.tokenizer.suffix.len();
        let own = self.manifest.backbone.max_window_tokens;
        let most = own.map_or(limits.max_window_tokens, |own| {
            own.min(limits.max_window_tokens)
        });
        Shape::new(most.checked_sub(special)?, limits.halo_tokens)
    }

    /// Path of a file of the pack.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// Folder of the pack.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The file that it was opened by; `None` of a folder as it was published.
    pub fn written(&self) -> Option<&WrittenManifest> {
        self.written.as_ref()
    }

    /// Name of the pack.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// 64 hex digits: of the manifest, which holds the digests of all files.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// 64 hex digits of a manifest's text and of the content of files.
pub(super) fn digest_of(
    folder: &Path,
    pack: &str,
    text: &str,
    files: &[&str],
) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(text.as_bytes());
    for file in files {
        let mut reader =
            fs::File::open(folder.join(file)).map_err(|error| unreadable(pack, file, &error))?;
        io::copy(&mut reader, &mut hasher).map_err(|error| unreadable(pack, file, &error))?;
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn unreadable(pack: &str, file: &str, error: &io::Error) -> Error {
    Error::File {
        pack: pack.to_owned(),
        file: file.to_owned(),
        problem: error.to_string(),
    }
}
