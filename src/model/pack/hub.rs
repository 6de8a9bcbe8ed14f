//! Token classifiers as Hugging Face's hub holds them, with or without a manifest beside them.
//!
//! In:  `config.json`, `tokenizer.json`, a graph in `onnx/` or in the root, and what a manifest says instead.
//! Out: the manifest of a fixed head.
//! Holds: what decides about results is in the digest, the graph's external data too.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    Classes, Error, Graph, GraphFile, Kind,
    manifest::{Calibration, Decoding, Limits, Manifest, PackFile, Step, TokenizerFiles},
    published::{Config, Head},
};
use crate::text::Tokenizer;

/// Graphs in the order in which one is taken: users who want fewer bits name the file.
const GRAPHS: [&str; 9] = [
    "model.onnx",
    "model_quantized.onnx",
    "model_int8.onnx",
    "model_uint8.onnx",
    "model_q4.onnx",
    "model_fp16.onnx",
    "model_q4f16.onnx",
    "model_bnb4.onnx",
    "model_optimized.onnx",
];

const TOKENIZER: &str = "tokenizer.json";
const OPERATING_POINTS: &str = "viterbi_calibration.json";

/// Most tokens of a window, special ones included, where the model has places for more: attention costs the square of
/// a window's length, and most of these models were trained on windows of this length.
const WINDOW: usize = 512;
/// Tokens of context on each side where attention reaches everywhere.
const HALO: usize = 64;
/// Widest halo that a band is followed to.
const WIDEST_HALO: usize = 1024;

/// Architectures whose positions begin behind that of the padding token: two places of the table are never used.
const OFFSET_BY_PADDING: [&str; 8] = [
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "mpnet",
    "longformer",
    "data2vec-text",
    "xmod",
];
/// Architectures without a table of positions.
const WITHOUT_POSITIONS: [&str; 4] = ["deberta", "deberta-v2", "modernbert", "xlnet"];

/// A manifest that stands beside a published folder: it says what `config.json` does not, or what is to be otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beside {
    #[serde(default)]
    format: Option<u32>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    licence: Option<String>,
    /// The published folder, relative to the manifest's own.
    #[serde(default)]
    pub(super) folder: Option<String>,
    /// The graph among several.
    #[serde(default)]
    graph: Option<String>,
    #[serde(default)]
    limits: OwnLimits,
    #[serde(default)]
    head: OwnHead,
    #[serde(default)]
    calibration: Option<Calibration>,
    #[serde(default)]
    categories: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    training: toml::Table,
    #[serde(default)]
    metrics: toml::Table,
    #[serde(default)]
    files: Vec<PackFile>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnLimits {
    max_window_tokens: Option<usize>,
    halo_tokens: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnHead {
    classes: Option<Vec<String>>,
    outside: Option<String>,
    words: Option<Step>,
    decode: Option<Decoding>,
    #[serde(default)]
    descriptions: BTreeMap<String, String>,
}

/// A published folder, read.
pub(super) struct Published {
    pub(super) manifest: Manifest,
    /// What the digest is of, in order.
    pub(super) files: Vec<String>,
}

/// Whether a folder looks like a published token classifier.
pub(super) fn is_here(folder: &Path) -> bool {
    folder.join("config.json").is_file() && find_graph(folder).is_some()
}

fn find_graph(folder: &Path) -> Option<String> {
    let within = ["onnx/", ""].into_iter();
    let mut files = within.flat_map(|part| GRAPHS.map(|file| format!("{part}{file}")));
    files.find(|file| folder.join(file).is_file())
}

/// Reads the folder.
pub(super) fn read(folder: &Path, beside: &Beside) -> Result<Published, Error> {
    let own_name = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let name = beside
        .name
        .clone()
        .or(own_name)
        .unwrap_or_else(|| "published".to_owned());
    let manifest_problem = |problem: String| Error::Manifest {
        path: folder.display().to_string(),
        problem,
    };
    if let Some(format) = beside.format.filter(|format| *format != 1) {
        return Err(manifest_problem(format!(
            "format {format} is not known, this version reads 1"
        )));
    }
    let config = Config::read(folder, &name)?;
    let graph = beside.graph.clone().or_else(|| find_graph(folder));
    let Some(graph) = graph.filter(|file| folder.join(file).is_file()) else {
        return Err(Error::File {
            pack: name,
            file: beside
                .graph
                .clone()
                .unwrap_or_else(|| "onnx/model.onnx".to_owned()),
            problem: format!("the folder holds: {}", graphs_in(folder).join(", ")),
        });
    };
    let has_points = folder.join(OPERATING_POINTS).is_file();
    let (classes, descriptions, mut files, by_vectors) = match &beside.head.classes {
        Some(classes) => (classes.clone(), BTreeMap::new(), vec!["config.json"], false),
        None => {
            let named = Head::read(folder, &config, &name)?;
            (
                named.classes,
                named.descriptions,
                named.files,
                named.by_vectors,
            )
        }
    };
    let tokenizer = Tokenizer::from_file(&folder.join(TOKENIZER))?;
    let special = tokenizer.special()?;
    // Heads over the hidden states of a language model, and those that `ent2emb` numbers, were trained on each token;
    // the others on the first token of each word.
    let of_tokens =
        has_points || by_vectors || (special.before.is_empty() && special.after.is_empty());
    let step = if of_tokens { Step::Tokens } else { Step::First };
    let limits = limits(&config, &beside.limits);
    let tokenizer = TokenizerFiles {
        file: TOKENIZER.to_owned(),
        prefix: special.before,
        suffix: special.after,
        pad: config.pad_token_id.or(special.pad).unwrap_or(0),
    };
    files.push(TOKENIZER);
    if has_points {
        files.push(OPERATING_POINTS);
    }
    let mut files: Vec<String> = files.into_iter().map(str::to_owned).collect();
    files.push(graph.clone());
    // A graph that cannot be read is reported by `Pack::verify`, and by ONNX Runtime.
    let contents = GraphFile::open(&folder.join(&graph)).unwrap_or_default();
    for data in contents.beside(&graph) {
        if !folder.join(&data).is_file() {
            return Err(Error::File {
                pack: name,
                file: data,
                problem: format!(
                    "{graph} keeps its weights in this file, which is missing: fetch it too"
                ),
            });
        }
        files.push(data);
    }
    let backbone = Graph::published(graph);
    let hidden = classes.len();
    let mut manifest =
        Manifest::published(&name, Kind::FixedHead, hidden, tokenizer, backbone, limits);
    manifest.head = Some(Classes {
        classes,
        outside: beside.head.outside.clone(),
        words: beside.head.words.unwrap_or(step),
        decode: beside.head.decode.unwrap_or_default(),
        calibration: has_points.then(|| OPERATING_POINTS.to_owned()),
        descriptions: match beside.head.descriptions.is_empty() {
            true => descriptions,
            false => beside.head.descriptions.clone(),
        },
    });
    if let Some(version) = &beside.version {
        manifest.version.clone_from(version);
    }
    if let Some(licence) = &beside.licence {
        manifest.licence.clone_from(licence);
    }
    manifest.calibration = beside.calibration.unwrap_or_default();
    manifest.categories.clone_from(&beside.categories);
    manifest.training.clone_from(&beside.training);
    manifest.metrics.clone_from(&beside.metrics);
    manifest.files.clone_from(&beside.files);
    Ok(Published { manifest, files })
}

fn graphs_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for part in ["", "onnx"] {
        let entries = fs::read_dir(folder.join(part))
            .into_iter()
            .flatten()
            .flatten();
        let names = entries.map(|entry| PathBuf::from(part).join(entry.file_name()));
        let graphs = names.filter(|name| name.extension().is_some_and(|end| end == "onnx"));
        found.extend(graphs.map(|name| name.display().to_string()));
    }
    found.sort();
    found
}

fn limits(config: &Config, own: &OwnLimits) -> Limits {
    let kind = config.model_type.as_str();
    let places = match config.max_position_embeddings {
        Some(places) if OFFSET_BY_PADDING.contains(&kind) => Some(places.saturating_sub(2)),
        Some(_) if WITHOUT_POSITIONS.contains(&kind) => None,
        places => places,
    };
    let is_banded = |kinds: &Vec<String>| kinds.iter().all(|kind| kind == "sliding_attention");
    let band = config
        .sliding_window
        .filter(|_| config.layer_types.as_ref().is_none_or(is_banded));
    // Behind a halo of all layers' bands together nothing is seen of what lies beyond it.
    let banded = band.zip(config.num_hidden_layers);
    let reach = banded.map(|(band, layers)| (band * layers).min(WIDEST_HALO));
    let (width, halo) = reach.map_or((WINDOW, HALO), |reach| (4 * reach, reach));
    let width = own.max_window_tokens.unwrap_or(width);
    let width = places.map_or(width, |places| width.min(places));
    let halo = own.halo_tokens.unwrap_or_else(|| halo.min(width / 4));
    Limits {
        max_window_tokens: width,
        halo_tokens: halo,
        max_label_tokens: 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(config: &str, own: OwnLimits) -> (usize, usize) {
        let config: Config = serde_json::from_str(config).unwrap();
        let limits = limits(&config, &own);
        (limits.max_window_tokens, limits.halo_tokens)
    }

    #[test]
    fn windows_fit_the_models_places() {
        let plain = OwnLimits::default;
        for (config, expected) in [
            (
                r#"{"model_type": "bert", "max_position_embeddings": 512}"#,
                (512, 64),
            ),
            (
                r#"{"model_type": "xlm-roberta", "max_position_embeddings": 514}"#,
                (512, 64),
            ),
            (
                r#"{"model_type": "roberta", "max_position_embeddings": 130}"#,
                (128, 32),
            ),
            (
                r#"{"model_type": "distilbert", "max_position_embeddings": 32}"#,
                (32, 8),
            ),
            (
                r#"{"model_type": "modernbert", "max_position_embeddings": 8192}"#,
                (512, 64),
            ),
            (
                r#"{"model_type": "deberta-v2", "max_position_embeddings": 24}"#,
                (512, 64),
            ),
            ("{}", (512, 64)),
            (
                r#"{"sliding_window": 128, "num_hidden_layers": 8}"#,
                (4096, 1024),
            ),
            (
                r#"{"sliding_window": 8, "num_hidden_layers": 8, "max_position_embeddings": 200}"#,
                (200, 50),
            ),
            (
                r#"{"sliding_window": 8, "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]}"#,
                (512, 64),
            ),
        ] {
            assert_eq!(shape(config, plain()), expected, "{config}");
        }
        let own = OwnLimits {
            max_window_tokens: Some(1024),
            halo_tokens: Some(16),
        };
        let bert = r#"{"model_type": "bert", "max_position_embeddings": 512}"#;
        assert_eq!(shape(bert, own), (512, 16));
    }
}
