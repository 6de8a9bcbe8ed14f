//! Model packs and the families that run them on ONNX Runtime.
//!
//! In:  windows of token ids, padded into batches; label wordings.
//! Out: [`Emissions`] for the core of every window; label vectors.
//! Holds: batch-mates do not matter (I4); a pack is what its digests say.
//! Does not know: documents, tenants, patterns, where windows come from.
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use crate::batch;

pub mod bioes;
mod classifier;
pub mod family;
pub mod gliner;
mod label_cache;
mod onnx;
mod operating_points;
mod pack;
pub mod pool;
pub mod prompted;

pub use bioes::{
    Decoder, Emissions, Encoder, Entity, Found, LabelMatrix, LabelVectors, Run, Scorer, Transitions,
};
pub use classifier::Classes;
pub use family::Fit;
pub use onnx::{Backbone, Conditions, Hidden, Row};
pub use pack::{
    Calibration, Copied, Graph, GraphFile, GraphProblem, Kind, Layout, Machine, Manifest, Measured,
    Pack, PackFile, PackRef, Tuned, WrittenManifest, library_path,
};
pub use pool::Running;

/// How a pack is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The pack.
    pub pack: Pack,
    /// The ONNX Runtime library, if it is not where it is looked for.
    pub runtime: Option<PathBuf>,
    /// Sessions that run at the same time, each with a thread.
    pub sessions: usize,
    /// Threads of a session.
    pub session_threads: usize,
    /// How windows are put together.
    pub batch: batch::Options,
    /// Folder for label vectors; `None` keeps them in memory only.
    pub label_cache: Option<PathBuf>,
    /// Of a token classifier: the categories that a label stands for, where it is not called as one.
    pub categories: BTreeMap<String, Vec<String>>,
    /// Of a token classifier: an adaptive pack whose label encoder finds the nearest category for other labels.
    pub category_encoder: Option<Pack>,
    /// Of a model over HTTP: where its server is.
    pub access: prompted::Access,
}

/// Opens a pack as the family that runs it: the one place that knows all of them.
pub fn open(options: Options) -> Result<Arc<dyn family::Family>, Error> {
    let family = options.pack.manifest().family;
    if family != Kind::Prompted && options.access != prompted::Access::default() {
        let pack = options.pack.name().to_owned();
        return Err(prompted::Error::NoServer { pack }.into());
    }
    Ok(match family {
        Kind::Adaptive => Arc::new(bioes::Bioes::open(options)?),
        Kind::FixedHead => Arc::new(classifier::Classifier::open(options)?),
        Kind::Gliner => Arc::new(gliner::Gliner::open(options)?),
        #[cfg(feature = "prompted")]
        Kind::Prompted => Arc::new(prompted::Prompted::open(options)?),
        #[cfg(not(feature = "prompted"))]
        Kind::Prompted => {
            return Err(Error::Unsupported {
                pack: options.pack.name().to_owned(),
                what: "this weir was built without the feature `prompted`".to_owned(),
                hint: "use a build with this feature; only cargo's --no-default-features leaves it out",
            });
        }
    })
}

/// Why a pack could not be loaded or run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No ONNX Runtime library was found.
    #[error("the ONNX Runtime library was not found (searched: {looked_at})")]
    NoRuntime {
        /// Paths and variables that were tried.
        looked_at: String,
    },
    /// The library does not load.
    #[error("can't use the ONNX Runtime library {path} ({problem})")]
    Runtime {
        /// Path.
        path: String,
        /// The loader's message.
        problem: String,
    },
    /// No folder in which packs are looked for holds one of this name.
    #[error("model pack `{name}` was not found (searched: {looked_in})")]
    NoSuchPack {
        /// The name.
        name: String,
        /// Folders that were tried.
        looked_in: String,
    },
    /// The folder is no pack.
    #[error("{path} is not a model pack: it contains neither pack.toml nor onnx/backbone")]
    NoPack {
        /// Path.
        path: String,
    },
    /// A model of a kind that this version does not run.
    #[error("pack {pack} can't be run: {what}")]
    Unsupported {
        /// Name of the pack.
        pack: String,
        /// What it is.
        what: String,
        /// What to do.
        hint: &'static str,
    },
    /// The manifest can't be read.
    #[error("{path}: {problem}")]
    Manifest {
        /// Path of pack.toml.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A file of the pack is missing or unreadable.
    #[error("pack {pack}: {file} can't be read ({problem})")]
    File {
        /// Name of the pack.
        pack: String,
        /// File.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A file is not the one the manifest names.
    #[error("pack {pack}: {file} has sha256 {found}, pack.toml says {expected}")]
    Digest {
        /// Name of the pack.
        pack: String,
        /// File.
        file: String,
        /// Digest found, shortened.
        found: String,
        /// Digest expected, shortened.
        expected: String,
    },
    /// A file that is read, and whose digest the manifest does not have.
    #[error(
        "pack {pack}: {by} reads {file:?}, which is not under [[files]] of the pack's manifest"
    )]
    Unlisted {
        /// Name of the pack.
        pack: String,
        /// File.
        file: String,
        /// Who reads it: weir, or a graph.
        by: String,
    },
    /// A file that is not in the pack's folder.
    #[error("pack {pack}: {file:?} can't be used: {problem}")]
    Outside {
        /// Name of the pack.
        pack: String,
        /// File.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// A graph has an operator that ONNX Runtime does not bring.
    #[error(
        "pack {pack}: {file} has the operator {operator:?} of the domain {domain:?}; weir runs ai.onnx and com.microsoft"
    )]
    Operator {
        /// Name of the pack.
        pack: String,
        /// Graph file.
        file: String,
        /// Name of the operator.
        operator: String,
        /// Its domain.
        domain: String,
    },
    /// Nobody who is trusted signed the pack.
    #[error("pack {pack} is not trusted: {problem}")]
    Untrusted {
        /// Name of the pack.
        pack: String,
        /// Why.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// A label that a fixed head has no category for.
    #[error("pack {pack} has no category for the label `{label}`; it has: {categories}")]
    NoCategory {
        /// Name of the pack.
        pack: String,
        /// Label of a tenant.
        label: String,
        /// Names of the pack's categories.
        categories: String,
    },
    /// A tenant named a model that the configuration does not.
    #[error("no model is named `{name}`; the configuration has: {models}")]
    NoModel {
        /// What the tenant named.
        name: String,
        /// Names of the models.
        models: String,
    },
    /// A tenant chose an operating point that the pack does not have.
    #[error("operating point `{name}` does not exist in pack {pack}; it has: {points}")]
    NoOperatingPoint {
        /// Name of the pack.
        pack: String,
        /// What the tenant chose.
        name: String,
        /// Names of the pack's operating points.
        points: String,
    },
    /// The pack turns no label into vectors.
    #[error("pack {pack} has a fixed head and no label encoder")]
    NoLabelEncoder {
        /// Name of the pack.
        pack: String,
    },
    /// A graph has other inputs, outputs or dimensions than the manifest says.
    #[error("pack {pack}: {file}: {problem}")]
    Graph {
        /// Name of the pack.
        pack: String,
        /// Graph file.
        file: String,
        /// Expected against found.
        problem: String,
    },
    /// A label is longer than the label encoder reads.
    #[error(
        "a label text has {tokens} tokens; the limit of the pack is {limit}: shorten the label's description"
    )]
    LabelTooLong {
        /// Tokens of the label text.
        tokens: usize,
        /// Limit of the pack.
        limit: usize,
    },
    /// A model over HTTP did not answer, or not as it has to.
    #[error(transparent)]
    Server(#[from] prompted::Error),
    /// The tokenizer failed.
    #[error(transparent)]
    Tokenizer(#[from] crate::text::Error),
    /// ONNX Runtime failed while running a graph.
    #[error("the model failed on a batch of {windows} windows of {width} tokens ({problem})")]
    Run {
        /// Windows in the batch.
        windows: usize,
        /// Padded length.
        width: usize,
        /// ONNX Runtime's message: names of nodes and shapes, never input.
        problem: String,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoRuntime { .. } => {
                "run `make setup` in weir's source tree, or set ORT_DYLIB_PATH or model.runtime to libonnxruntime.so of version 1.31"
            }
            Self::Runtime { .. } => "weir needs ONNX Runtime 1.31: run `make setup`",
            Self::NoSuchPack { .. } => {
                "put the pack into one of these folders, add its parent to WEIR_MODELS, or name its folder by a path"
            }
            Self::NoPack { .. } => {
                "name a folder with a pack.toml, or a pack by its name alone, such as weir-mini"
            }
            Self::NoCategory { .. } => {
                "name the label as one of them, or map it in [model.categories]"
            }
            Self::NoModel { .. } => {
                "name one of them, or add the section [models.NAME] to the configuration"
            }
            Self::NoOperatingPoint { .. } => {
                "set operating_point in the tenant's file to one of them, or leave it out"
            }
            Self::Unsupported { hint, .. } | Self::Untrusted { hint, .. } => hint,
            Self::Unlisted { .. } => {
                "get the whole pack from its publisher; in a pack of your own, add the file and its sha256 (`sha256sum FILE`) under [[files]]"
            }
            Self::Outside { .. } => {
                "copy the file itself into the pack's folder, and name it relative to the folder"
            }
            Self::Operator { .. } => {
                "export the graph with standard operators: weir loads no libraries of operators"
            }
            Self::Server(error) => return error.hint(),
            Self::File { .. } | Self::Digest { .. } => "copy the pack again",
            Self::Graph { .. } => "export the pack again: its graphs do not fit its manifest",
            _ => return None,
        })
    }
}
