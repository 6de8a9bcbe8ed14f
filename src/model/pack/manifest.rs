//! `pack.toml`, version 1: what a pack says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{gliner::Settings, prompted};

/// Kinds of model that this version runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Token encoder and label encoder: any label at run time.
    Adaptive,
    /// A fixed set of classes.
    FixedHead,
    /// GLiNER and NuNER: any label at run time.
    Gliner,
    /// A language model over HTTP: any label at run time.
    Prompted,
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
    /// Of a fixed head: the categories that a label stands for, where it is not called as one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, Vec<String>>,
    /// How a GLiNER model is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gliner: Option<Settings>,
    /// How a language model is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompted: Option<prompted::Settings>,
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
pub(super) struct Head {
    #[serde(default)]
    pub(super) name: String,
    /// None of a manifest beside a published folder.
    pub(super) family: Option<String>,
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
    /// Vectors of labels that need no encoder, by name, as nerfit's `ent2emb.safetensors`: `(hidden)` for all four
    /// classes, or `(4, hidden)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<String>,
    /// What the encoder reads in place of a name, as nerfit's `ent2desc.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptions: Option<String>,
}

/// Classes of a fixed head; its backbone gives logits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Classes {
    /// In the order of the logits: the class of what is no entity, and for each category `B-`, `I-`, `E-`, `S-`, or
    /// what else of BIO, IOB1, BILOU or no prefix at all the model was trained with.
    pub classes: Vec<String>,
    /// The class of what is no entity, if it is not called `O`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<String>,
    /// What the decoder steps over.
    #[serde(default)]
    pub words: Step,
    /// What it makes of the scores.
    #[serde(default)]
    pub decode: Decoding,
    /// `viterbi_calibration.json`, if there is one.
    #[serde(default)]
    pub calibration: Option<String>,
    /// What categories are, in words, where their names do not tell it: labels are compared with these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptions: BTreeMap<String, String>,
}

/// What the decoder of a fixed head steps over, and what speaks for a word of several tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Each token is a step.
    #[default]
    Tokens,
    /// A word; its first token speaks for it, as in the training of most models.
    First,
    /// A word; the mean of its tokens' probabilities.
    Average,
    /// A word; the token that is surest.
    Max,
}

/// What the decoder of a fixed head makes of the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decoding {
    /// The best path on which no entity begins in its middle.
    #[default]
    Viterbi,
    /// The best class of each step by itself, as the `simple` aggregation of `transformers` has it.
    Argmax,
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

pub(super) fn input_ids() -> String {
    "input_ids".to_owned()
}

pub(super) fn attention_mask() -> String {
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

impl Graph {
    /// A padded graph whose inputs and outputs are found when it is loaded.
    pub(in crate::model) fn published(file: String) -> Self {
        Self {
            file,
            layout: Layout::Padded,
            max_window_tokens: None,
            optimised: false,
            input_ids: String::new(),
            attention_mask: String::new(),
            output: String::new(),
        }
    }
}

impl Manifest {
    /// A pack whose own section says what it is and how long its windows are; it names no file yet.
    pub(in crate::model) fn without_files(name: &str, family: Kind) -> Self {
        let tokenizer = TokenizerFiles {
            file: String::new(),
            prefix: Vec::new(),
            suffix: Vec::new(),
            pad: 0,
        };
        let limits = Limits {
            max_window_tokens: 1,
            halo_tokens: 0,
            max_label_tokens: 0,
        };
        let graph = Graph::published(String::new());
        Self::published(name, family, 0, tokenizer, graph, limits)
    }

    /// What is known of a pack that was published without a manifest. No published graph has VtV.
    pub(in crate::model) fn published(
        name: &str,
        family: Kind,
        hidden: usize,
        tokenizer: TokenizerFiles,
        backbone: Graph,
        limits: Limits,
    ) -> Self {
        Self {
            format: 1,
            name: name.to_owned(),
            version: "published".to_owned(),
            family,
            licence: String::new(),
            dimensions: Dimensions { hidden },
            limits,
            tokenizer,
            backbone,
            alternatives: Vec::new(),
            label_encoder: None,
            head: None,
            categories: BTreeMap::new(),
            gliner: None,
            prompted: None,
            injection: None,
            calibration: Calibration::default(),
            training: toml::Table::new(),
            metrics: toml::Table::new(),
            files: Vec::new(),
        }
    }
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [
        Self::Adaptive,
        Self::FixedHead,
        Self::Gliner,
        Self::Prompted,
    ];
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Adaptive => "adaptive",
            Self::FixedHead => "fixed_head",
            Self::Gliner => "gliner",
            Self::Prompted => "prompted",
        })
    }
}
