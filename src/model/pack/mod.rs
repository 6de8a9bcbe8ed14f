//! A pack: a folder with graphs, tokenizers and a manifest that says what they are.

mod places;
mod projection;
mod published;
mod tuned;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    iter,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use places::{PackRef, library_path};
pub(super) use projection::Projection;
pub use tuned::{Copied, Machine, Measured, Tuned};

use super::Error;
use crate::text::Shape;

/// An opened pack: its manifest is read and fits; its graphs are not loaded yet.
#[derive(Debug, Clone)]
pub struct Pack {
    folder: PathBuf,
    manifest: Manifest,
    digest: String,
}

/// Kinds of model that this version runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Token encoder and label encoder: any label at run time.
    Adaptive,
    /// A fixed set of classes.
    FixedHead,
}

/// `pack.toml`, version 1.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format: 1.
    pub format: u32,
    /// Name of the pack.
    pub name: String,
    /// Version of the pack.
    pub version: String,
    /// Kind of model.
    pub family: Kind,
    /// SPDX expression.
    #[serde(default)]
    pub licence: String,
    /// Sizes.
    pub dimensions: Dimensions,
    /// Limits of the model.
    pub limits: Limits,
    /// Tokenizer of the backbone.
    pub tokenizer: TokenizerFiles,
    /// Token encoder.
    pub backbone: Graph,
    /// Other graphs of the same model, for `weir model tune` to choose from.
    #[serde(default)]
    pub alternatives: Vec<Graph>,
    /// Label encoder of an adaptive pack.
    #[serde(default)]
    pub label_encoder: Option<LabelEncoder>,
    /// Classes of a fixed head.
    #[serde(default)]
    pub head: Option<Classes>,
    /// How the labels that are asked for reach the backbone's layers, if they do.
    #[serde(default)]
    pub injection: Option<Injection>,
    /// How scores become probabilities.
    #[serde(default)]
    pub calibration: Calibration,
    /// Free text about training, kept as it is.
    #[serde(default)]
    pub training: toml::Table,
    /// Measured figures, kept as they are.
    #[serde(default)]
    pub metrics: toml::Table,
    /// Every file of the pack but the manifest and the card.
    #[serde(default)]
    pub files: Vec<PackFile>,
}

/// What is read first: the other families' manifests have other sections.
#[derive(Deserialize)]
struct Head {
    name: String,
    family: String,
}

/// Sizes of the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dimensions {
    /// Width of hidden states and label vectors.
    pub hidden: usize,
}

/// Limits of the model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limits {
    /// Most tokens in a window, special tokens included.
    pub max_window_tokens: usize,
    /// Tokens of context on each side of a window's core.
    pub halo_tokens: usize,
    /// Most tokens of a label text.
    pub max_label_tokens: usize,
}

/// Tokenizer of the backbone and what is put around a window.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenizerFiles {
    /// `tokenizer.json`.
    pub file: String,
    /// Ids before each window.
    #[serde(default)]
    pub prefix: Vec<u32>,
    /// Ids after each window.
    #[serde(default)]
    pub suffix: Vec<u32>,
    /// Id that fills short rows.
    #[serde(default)]
    pub pad: u32,
}

/// An ONNX graph over token ids.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Graph {
    /// ONNX file.
    pub file: String,
    /// How the windows of a batch lie side by side.
    #[serde(default)]
    pub layout: Layout,
    /// Most tokens in a window of this graph, where that is fewer than the model's limit.
    #[serde(default)]
    pub max_window_tokens: Option<usize>,
    /// Every node was chosen when it was written: ONNX Runtime is not to look for better ones, which at ten
    /// thousand nodes takes it half a minute.
    #[serde(default)]
    pub optimised: bool,
    /// Input of token ids, `(B, T)`, int64.
    #[serde(default = "input_ids")]
    pub input_ids: String,
    /// Input that is 1 at tokens and 0 at padding, `(B, T)`, int64.
    #[serde(default = "attention_mask")]
    pub attention_mask: String,
    /// Output of hidden states, `(B, T, hidden)`, float32. The graph's first one unless given.
    #[serde(default)]
    pub output: String,
}

/// How the windows of a batch lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// As rows that are filled up to the longest.
    #[default]
    Padded,
    /// One behind the other: ids, `position_ids` in the window and `segment_ids`, the window's number, are
    /// `(T)`; the output is `(T, hidden)`.
    Packed,
}

/// The graph that turns label texts into vectors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabelEncoder {
    /// Its graph; an output of rank 3 is read at the first token (CLS).
    #[serde(flatten)]
    pub graph: Graph,
    /// `tokenizer.json` of the label encoder.
    pub tokenizer: String,
    /// Ids before and after a label text; the tokenizer's own template if both are empty.
    #[serde(default)]
    pub prefix: Vec<u32>,
    /// See `prefix`.
    #[serde(default)]
    pub suffix: Vec<u32>,
    /// Id that fills short rows.
    #[serde(default)]
    pub pad: u32,
    /// `.npz` with `o_embed` and, if vectors are projected outside the graph, `proj_w`, `proj_b`.
    pub projection: String,
    /// The four texts of a label.
    #[serde(default)]
    pub templates: Templates,
}

/// Classes of a fixed head; its backbone gives logits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Classes {
    /// In the order of the logits: `O`, and `B-`, `I-`, `E-`, `S-` (or `B-`, `I-` alone) of each category.
    pub classes: Vec<String>,
    /// `viterbi_calibration.json`, if there is one.
    #[serde(default)]
    pub calibration: Option<String>,
    /// What categories are, in words, where their names do not tell it: labels are compared with these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptions: BTreeMap<String, String>,
}

/// VtV: after some layers, hidden states move towards the labels that are asked for (design 4.1).
///
/// V of a label is the mean, over its four texts, of what the label encoder gives for them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Injection {
    /// Input of the backbone: V of each row, `(B, points, labels, hidden)`, float32, zeros behind a row's own labels.
    /// Of a packed graph: V of all label sets one behind the other, `(points, labels, hidden)`; it has the inputs
    /// `label_sets`, the set that a label is of, and `token_sets`, the set that a token's window asks for, too.
    pub v: String,
    /// Input of a padded backbone: how many labels each row has, `(B)`, int64.
    pub counts: String,
    /// Output of the label encoder, `(texts, points, hidden)`, float32.
    pub output: String,
    /// Layers that something is injected after.
    pub points: usize,
}

/// The four texts of a label; `{}` stands for its wording.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Templates {
    pub begin: String,
    pub inside: String,
    pub end: String,
    pub single: String,
}

/// How a span's figures become probabilities: `1 / (1 + exp(−(slope · figure + intercept)))`.
///
/// `score`, the probability that the span is an entity of some label that was asked for, comes from the
/// span's gain; `label_score`, that it is one of this label, from its margin (see [`Entity`]).
///
/// [`Entity`]: crate::model::Entity
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Of the margin. Fitted on development data.
    pub slope: f32,
    /// Of the margin. Fitted on development data.
    pub intercept: f32,
    /// Of the gain. Fitted on development data; a pack without it uses the margin's: for one label alone gain
    /// and margin are nearly the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_slope: Option<f32>,
    /// Of the gain, as `gain_slope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_intercept: Option<f32>,
    /// Added to O's score before decoding.
    #[serde(default)]
    pub o_bias: f32,
}

/// A file of the pack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackFile {
    /// Path in the pack.
    pub path: String,
    /// SHA-256, hex.
    pub sha256: String,
    /// Size.
    #[serde(default)]
    pub bytes: Option<u64>,
}

fn input_ids() -> String {
    "input_ids".to_owned()
}

fn attention_mask() -> String {
    "attention_mask".to_owned()
}

impl Default for Templates {
    /// The texts that the published adaptive models were trained with.
    fn default() -> Self {
        Self {
            begin: "beginning of {}".to_owned(),
            inside: "continuation of {}".to_owned(),
            end: "end of {}".to_owned(),
            single: "complete {}".to_owned(),
        }
    }
}

impl Templates {
    /// The texts of a label in the order B, I, E, S.
    pub fn texts(&self, wording: &str) -> [String; 4] {
        [&self.begin, &self.inside, &self.end, &self.single]
            .map(|template| template.replace("{}", wording))
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            slope: 1.0,
            intercept: 0.0,
            gain_slope: None,
            gain_intercept: None,
            o_bias: 0.0,
        }
    }
}

impl Calibration {
    /// Probability that a span of this gain is an entity of some asked label.
    pub fn score(self, gain: f32) -> f32 {
        match (self.gain_slope, self.gain_intercept) {
            (Some(slope), Some(intercept)) => logistic(slope * gain + intercept),
            _ => logistic(self.slope * gain + self.intercept),
        }
    }

    /// Probability that a span of this gain and margin is an entity of its own label: never above that of
    /// some label.
    pub fn label_score(self, gain: f32, margin: f32) -> f32 {
        logistic(self.slope * margin + self.intercept).min(self.score(gain))
    }
}

fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl Manifest {
    /// What is known of a pack that was published without a manifest. No published graph has VtV.
    fn published(
        name: &str,
        family: Kind,
        hidden: usize,
        tokenizer: &str,
        backbone: Graph,
    ) -> Self {
        Self {
            format: 1,
            name: name.to_owned(),
            version: "published".to_owned(),
            family,
            licence: String::new(),
            dimensions: Dimensions { hidden },
            // A halo of 8 layers × 128 tokens covers the whole receptive field of the backbone.
            limits: Limits {
                max_window_tokens: 4096,
                halo_tokens: 1024,
                max_label_tokens: 32,
            },
            tokenizer: TokenizerFiles {
                file: tokenizer.to_owned(),
                prefix: Vec::new(),
                suffix: Vec::new(),
                pad: 0,
            },
            backbone,
            alternatives: Vec::new(),
            label_encoder: None,
            head: None,
            injection: None,
            calibration: Calibration::default(),
            training: toml::Table::new(),
            metrics: toml::Table::new(),
            files: Vec::new(),
        }
    }
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

impl Kind {
    const ALL: [Self; 2] = [Self::Adaptive, Self::FixedHead];
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Adaptive => "adaptive",
            Self::FixedHead => "fixed_head",
        })
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
