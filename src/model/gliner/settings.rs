//! `[gliner]` of a manifest: which files a model is, and how its spans are chosen.

use serde::{Deserialize, Serialize};

/// Section `[gliner]` of a `pack.toml` of family `gliner`. What is left out is looked for, or read from
/// `gliner_config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The ONNX graph. By default the one of 32-bit floats: graphs of fewer bits find less.
    pub graph: Option<String>,
    /// Of a bi-encoder in two graphs, as `python -m weir_tools.gliner split` makes: the one of the labels.
    pub labels_graph: Option<String>,
    /// `gliner_config.json`.
    pub config: Option<String>,
    /// `tokenizer.json` of the texts.
    pub tokenizer: Option<String>,
    /// `tokenizer.json` of a bi-encoder's labels.
    pub labels_tokenizer: Option<String>,
    /// Only the spans that the reference chooses are redacted: from the highest score down, each that overlaps none
    /// before it. Otherwise every span that reaches its label's threshold is: `Ana Ruiz Gómez` at .93 is redacted even
    /// if `Ana` alone is at .95.
    pub greedy: bool,
    /// With `greedy`: a span may be inside another one (the reference's `flat_ner = false`).
    pub nested: bool,
    /// With `greedy`: a span may have several labels (the reference's `multi_label`).
    pub multi_label: bool,
    /// Spans of one label that touch, or have one character between them, become one. By default for NuNER Zero.
    pub merge: Option<bool>,
    /// Labels are given to the model in lower case. By default for NuNER.
    pub lower_case: Option<bool>,
    /// Labels that go before one text; more are asked in several rows. Training had at most 25.
    pub labels_per_prompt: usize,
    /// Words of context on each side of a window's own words.
    pub halo_words: usize,
    /// Most words in a window, where that is fewer than the model's `max_len`.
    pub max_words: Option<usize>,
    /// Most tokens in a row: labels, text and special tokens together. By default what the backbone reads, and 2,048 if
    /// it has no limit.
    pub max_tokens: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            graph: None,
            labels_graph: None,
            config: None,
            tokenizer: None,
            labels_tokenizer: None,
            greedy: false,
            nested: false,
            multi_label: false,
            merge: None,
            lower_case: None,
            labels_per_prompt: 25,
            halo_words: 64,
            max_words: None,
            max_tokens: None,
        }
    }
}
