//! A pack: a folder with graphs, tokenizers and a manifest that says what they are.

mod manifest;
mod places;
mod projection;
mod published;
mod tuned;

use std::{
    fs,
    io::{self, Read as _},
    iter,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

pub use manifest::{Calibration, Classes, Graph, Kind, LabelEncoder, Layout, Manifest, Templates};
pub use places::{PackRef, library_path};
pub(super) use projection::Projection;
pub use tuned::{Copied, Machine, Measured, Tuned};

use self::manifest::{Head, attention_mask, input_ids};
use super::Error;
use crate::text::Shape;

/// An opened pack: its manifest is read and fits; its graphs are not loaded yet.
#[derive(Debug, Clone)]
pub struct Pack {
    folder: PathBuf,
    manifest: Manifest,
    digest: String,
}

impl Pack {
    /// Opens a folder: one with a `pack.toml`, or one in the layout that the adaptive models are
    /// published in (an `onnx/` folder with `arctic/` and `backbone/`), which needs no manifest.
    /// Digests are compared by [`Pack::verify`].
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let manifest_path = folder.join("pack.toml");
        if manifest_path.is_file() {
            let problem = |problem: String| Error::Manifest {
                path: manifest_path.display().to_string(),
                problem,
            };
            let text =
                fs::read_to_string(&manifest_path).map_err(|error| problem(error.to_string()))?;
            let head: Head =
                toml::from_str(&text).map_err(|error| problem(error.message().to_owned()))?;
            let known = Kind::ALL.map(|kind| kind.to_string());
            if !known.contains(&head.family) {
                return Err(problem(format!(
                    "pack {} is of family `{}`, which this version does not run (it runs: {})",
                    head.name,
                    head.family,
                    known.join(", ")
                )));
            }
            let manifest: Manifest =
                toml::from_str(&text).map_err(|error| problem(error.message().to_owned()))?;
            if manifest.format != 1 {
                return Err(problem(format!(
                    "format {} is not known, this version reads 1",
                    manifest.format
                )));
            }
            let digest = blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
            return Self::checked(folder.to_path_buf(), manifest, digest);
        }
        for folder in [folder.join("onnx"), folder.to_path_buf()] {
            if folder
                .join("backbone/model_quantized_hidden.onnx")
                .is_file()
            {
                return Self::published(&folder);
            }
        }
        for (graphs, root) in [
            (folder.join("onnx"), folder),
            (folder.to_path_buf(), folder.parent().unwrap_or(folder)),
        ] {
            let graph = PUBLISHED_HEADS
                .iter()
                .find(|file| graphs.join(file).is_file());
            if let (Some(graph), true) = (graph, root.join("config.json").is_file()) {
                let graph = graphs.join(graph);
                return Self::published_head(root, &graph);
            }
        }
        Err(Error::NoPack {
            path: folder.display().to_string(),
        })
    }

    /// The layout of published models with a fixed head, as it is: `config.json` with the names of the
    /// classes, `tokenizer.json`, and graphs in `onnx/`.
    fn published_head(root: &Path, graph: &Path) -> Result<Self, Error> {
        let name = root.file_name().map_or_else(
            || "published".to_owned(),
            |name| name.to_string_lossy().into_owned(),
        );
        let named = published::Head::read(root, &name)?;
        let graph = graph
            .strip_prefix(root)
            .expect("the graph was found below the root")
            .to_string_lossy()
            .into_owned();
        let calibration = "viterbi_calibration.json";
        let backbone = Graph {
            file: graph.clone(),
            layout: Layout::Padded,
            max_window_tokens: None,
            optimised: false,
            input_ids: String::new(),
            attention_mask: String::new(),
            output: String::new(),
        };
        let family = Kind::FixedHead;
        let mut manifest = Manifest::published(
            &name,
            family,
            named.classes.len(),
            "tokenizer.json",
            backbone,
        );
        manifest.head = Some(Classes {
            classes: named.classes,
            descriptions: named.descriptions,
            calibration: root
                .join(calibration)
                .is_file()
                .then(|| calibration.to_owned()),
        });
        let mut files = vec![graph.as_str(), "tokenizer.json"];
        files.extend(named.files);
        if root.join(calibration).is_file() {
            files.push(calibration);
        }
        let digest = digest_of(root, &name, &files)?;
        Self::checked(root.to_path_buf(), manifest, digest)
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
            "backbone/tokenizer.json",
            graph("backbone/model_quantized_hidden.onnx"),
        );
        manifest.label_encoder = Some(LabelEncoder {
            graph: graph("arctic/encoder_int8.onnx"),
            tokenizer: "arctic/tokenizer.json".to_owned(),
            prefix: Vec::new(),
            suffix: Vec::new(),
            pad: 1, // XLM-R
            projection: projection.to_owned(),
            templates: Templates::default(),
        });
        let files = [
            "backbone/model_quantized_hidden.onnx",
            "arctic/encoder_int8.onnx",
            projection,
        ];
        let digest = digest_of(folder, &name, &files)?;
        Self::checked(folder.to_path_buf(), manifest, digest)
    }

    fn checked(folder: PathBuf, manifest: Manifest, digest: String) -> Result<Self, Error> {
        let pack = Self {
            folder,
            manifest,
            digest,
        };
        let manifest = &pack.manifest;
        let missing = match manifest.family {
            Kind::FixedHead => manifest.head.is_none().then_some("head"),
            Kind::Adaptive => manifest.label_encoder.is_none().then_some("label_encoder"),
        };
        if let Some(section) = missing {
            return Err(Error::Manifest {
                path: pack.folder.join("pack.toml").display().to_string(),
                problem: format!(
                    "a pack of family `{}` needs a section [{section}]",
                    manifest.family
                ),
            });
        }
        if pack.window_shape().is_none() {
            return Err(Error::Manifest {
                path: pack.folder.join("pack.toml").display().to_string(),
                problem: format!(
                    "max_window_tokens ({}) leaves no token between two halos of {} tokens",
                    pack.manifest.limits.max_window_tokens, pack.manifest.limits.halo_tokens
                ),
            });
        }
        Ok(pack)
    }

    /// Compares every file with its digest in the manifest.
    pub fn verify(&self) -> Result<(), Error> {
        for file in &self.manifest.files {
            let path = self.folder.join(&file.path);
            let found =
                sha256(&path).map_err(|error| unreadable(self.name(), &file.path, &error))?;
            if !found.eq_ignore_ascii_case(&file.sha256) {
                return Err(Error::Digest {
                    pack: self.name().to_owned(),
                    file: file.path.clone(),
                    found: shortened(&found),
                    expected: shortened(&file.sha256),
                });
            }
        }
        Ok(())
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
            self.digest = hasher.finalize().to_hex()[..16].to_owned();
        }
        if let Some(copy) = copy {
            copy.clone_into(&mut manifest.backbone.file);
            manifest.backbone.optimised = true;
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

    /// Name of the pack.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// 16 hex digits: of the manifest, which holds the digests of all files.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// Graphs of published models with a fixed head, the one that is taken first in front. With few bits: the
/// experts are read from memory for nearly every batch.
const PUBLISHED_HEADS: [&str; 5] = [
    "model_quantized.onnx",
    "model_q4.onnx",
    "model_q4f16.onnx",
    "model_fp16.onnx",
    "model.onnx",
];

/// 16 hex digits of the content of files.
fn digest_of(folder: &Path, pack: &str, files: &[&str]) -> Result<String, Error> {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let mut reader =
            fs::File::open(folder.join(file)).map_err(|error| unreadable(pack, file, &error))?;
        io::copy(&mut reader, &mut hasher).map_err(|error| unreadable(pack, file, &error))?;
    }
    Ok(hasher.finalize().to_hex()[..16].to_owned())
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

fn unreadable(pack: &str, file: &str, error: &io::Error) -> Error {
    Error::File {
        pack: pack.to_owned(),
        file: file.to_owned(),
        problem: error.to_string(),
    }
}

fn shortened(digest: &str) -> String {
    format!("{}…", digest.get(..12).unwrap_or(digest))
}
