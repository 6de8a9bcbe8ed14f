//! `gliner_config.json`: which architecture a folder holds, and what this version does not run.
//!
//! The order of the tests is that of the reference (`_get_gliner_class` of gliner 0.2.29): never by `model_type`, which
//! other tools write as they like.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What the graph scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scores {
    /// Each span of at most so many words.
    Spans { width: usize },
    /// Start, end and inside of each word.
    Words,
}

/// Where labels are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoders {
    /// Labels stand before the text.
    One,
    /// Labels have an encoder of their own.
    Two,
}

/// Which tokens of a word carry its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pooling {
    First,
    Last,
    Mean,
    Max,
}

/// What a folder holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    pub(super) scores: Scores,
    pub(super) encoders: Encoders,
    /// Relations are asked for behind the labels; none are.
    pub(super) relations: bool,
    /// Most words of a text.
    pub(super) words: usize,
    /// Most tokens of a row, labels and special tokens included.
    pub(super) positions: Option<usize>,
    pub(super) pooling: Pooling,
    pub(super) label_marker: String,
    pub(super) separator: String,
    /// Id of the marker, where the tokenizer does not tell.
    pub(super) marker_id: Option<u32>,
    /// The labels that the graph knows, where it takes no others.
    pub(super) classes: Option<Vec<String>>,
    /// Labels of a bi-encoder change one another's scores.
    pub(super) labels_interact: bool,
    /// NuNER: labels were in lower case in training, and an entity is found word by word.
    pub(super) nuner: bool,
}

/// Why a folder is not run, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) what: String,
    pub(super) hint: &'static str,
}

/// What is left out is as in the reference, and so is `null`.
#[derive(Deserialize)]
struct File {
    model_type: Option<String>,
    model_name: Option<String>,
    name: Option<String>,
    span_mode: Option<String>,
    max_len: Option<usize>,
    max_width: Option<usize>,
    words_splitter_type: Option<String>,
    ent_token: Option<String>,
    sep_token: Option<String>,
    class_token_index: Option<i64>,
    subtoken_pooling: Option<String>,
    labels_encoder: Option<Value>,
    labels_decoder: Option<Value>,
    relations_layer: Option<Value>,
    precomputed_prompts_mode: Option<bool>,
    id_to_classes: Option<BTreeMap<String, String>>,
    post_fusion_schema: Option<String>,
    encoder_config: Option<Encoder>,
}

#[derive(Deserialize)]
struct Encoder {
    model_type: Option<String>,
    max_position_embeddings: Option<usize>,
    position_biased_input: Option<bool>,
}

/// Words of a text, where more would not be seen in training.
const MOST_WORDS: usize = 2048;

impl Config {
    /// Reads `gliner_config.json`; `folder` is the name of its folder.
    pub(super) fn read(json: &[u8], folder: &str) -> Result<Self, Refusal> {
        let broken = |problem: String| Refusal {
            what: format!("gliner_config.json can't be read ({problem})"),
            hint: "copy the model again",
        };
        let file: File = serde_json::from_slice(json).map_err(|error| {
            // Of a parser's message only the place.
            broken(format!("line {}, column {}", error.line(), error.column()))
        })?;
        if file.model_type.as_deref() == Some("gliner_streaming_span") {
            return Err(Refusal {
                what: "it is a streaming model (model_type gliner_streaming_span), which has no ONNX graph".to_owned(),
                hint: "use a uni-encoder or bi-encoder GLiNER: weir streams texts of any length through those",
            });
        }
        let relations = file.relations_layer.is_some();
        if !relations && file.labels_decoder.is_some() {
            return Err(Refusal {
                what:
                    "it generates labels (labels_decoder), and its decoder is not in an ONNX graph"
                        .to_owned(),
                hint: "use a GLiNER without labels_decoder: labels are those that tenants ask for",
            });
        }
        let splitter = file.words_splitter_type.as_deref().unwrap_or("whitespace");
        if splitter != "whitespace" {
            return Err(Refusal {
                what: format!(
                    "its words are split by `{splitter}` (words_splitter_type), which weir does not have"
                ),
                hint: "use a GLiNER whose words_splitter_type is `whitespace`",
            });
        }
        let pooling = match file.subtoken_pooling.as_deref().unwrap_or("first") {
            "first" => Pooling::First,
            "last" => Pooling::Last,
            "mean" => Pooling::Mean,
            "max" => Pooling::Max,
            other => {
                return Err(broken(format!(
                    "subtoken_pooling is `{other}`, not first, last, mean or max"
                )));
            }
        };
        let words = file.max_len.unwrap_or(384).min(MOST_WORDS);
        let width = file.max_width.unwrap_or(12);
        if words == 0 || width == 0 {
            return Err(broken("max_len and max_width must be above 0".to_owned()));
        }
        let classes = match file.precomputed_prompts_mode {
            Some(true) => Some(numbered(file.id_to_classes.as_ref()).ok_or_else(|| {
                broken("precomputed_prompts_mode is set, and id_to_classes does not number the labels from 1".to_owned())
            })?),
            _ => None,
        };
        let two = !relations && file.labels_encoder.is_some();
        let nuner = [folder, file.name.as_deref().unwrap_or_default()]
            .iter()
            .any(|name| name.to_lowercase().contains("nuner"));
        Ok(Self {
            scores: match file.span_mode.as_deref() {
                Some("token_level") => Scores::Words,
                _ => Scores::Spans { width },
            },
            encoders: match two {
                true => Encoders::Two,
                false => Encoders::One,
            },
            relations,
            words,
            positions: positions(&file),
            pooling,
            marker_id: file.class_token_index.and_then(|id| u32::try_from(id).ok()),
            label_marker: file.ent_token.unwrap_or_else(|| "<<ENT>>".to_owned()),
            separator: file.sep_token.unwrap_or_else(|| "<<SEP>>".to_owned()),
            classes,
            labels_interact: two
                && file
                    .post_fusion_schema
                    .is_some_and(|schema| !schema.is_empty()),
            nuner,
        })
    }
}

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let encoders = match (self.encoders, self.relations) {
            (_, true) => "uni-encoder with relations, which are not asked for",
            (Encoders::One, false) => "uni-encoder",
            (Encoders::Two, false) => "bi-encoder",
        };
        match self.scores {
            Scores::Spans { width } => {
                write!(f, "{encoders}, scores spans of at most {width} words")
            }
            Scores::Words => write!(f, "{encoders}, scores start, end and inside of each word"),
        }
    }
}

/// How many positions the backbone has. One with relative positions alone, as DeBERTa, has no limit; others fail beyond
/// theirs, and where the configuration does not tell, 512 is what BERT and its kin have.
fn positions(file: &File) -> Option<usize> {
    const BERT: usize = 512;
    if let Some(encoder) = &file.encoder_config {
        let kind = encoder.model_type.as_deref().unwrap_or_default();
        let relative = kind.starts_with("deberta") && encoder.position_biased_input == Some(false);
        if relative || kind.contains("t5") {
            return None;
        }
        let most = encoder.max_position_embeddings.unwrap_or(BERT);
        // RoBERTa and its kin number positions from 2.
        return Some(match kind.contains("roberta") || kind == "camembert" {
            true => most.saturating_sub(2),
            false => most,
        });
    }
    let name = file
        .model_name
        .as_deref()
        .unwrap_or("microsoft/deberta-v3-small");
    let name = name.to_lowercase();
    if name.contains("deberta") || name.contains("t5") {
        return None;
    }
    match name.contains("modernbert") || name.contains("ettin") {
        true => Some(8192),
        false => Some(BERT),
    }
}

/// Classes by their numbers from 1.
fn numbered(classes: Option<&BTreeMap<String, String>>) -> Option<Vec<String>> {
    let classes = classes?;
    let name = |number: usize| classes.get(&number.to_string()).cloned();
    let names: Option<Vec<String>> = (1..=classes.len()).map(name).collect();
    names.filter(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Config, Refusal> {
        Config::read(json.as_bytes(), "model")
    }

    #[test]
    fn the_architecture_is_told_by_the_fields_and_never_by_model_type() {
        let of = |json: &str| {
            let config = read(json).unwrap();
            (config.scores, config.encoders, config.relations)
        };
        let spans = Scores::Spans { width: 12 };
        for (json, expected) in [
            (r#"{"model_type": "gliner"}"#, (spans, Encoders::One, false)),
            (
                r#"{"span_mode": "token_level"}"#,
                (Scores::Words, Encoders::One, false),
            ),
            (r#"{"labels_encoder": "x"}"#, (spans, Encoders::Two, false)),
            (
                r#"{"labels_encoder": "x", "span_mode": "token_level", "model_type": "gliner_uni_encoder_span"}"#,
                (Scores::Words, Encoders::Two, false),
            ),
            (
                r#"{"relations_layer": "dot", "labels_decoder": "x", "labels_encoder": "x"}"#,
                (spans, Encoders::One, true),
            ),
            (
                r#"{"labels_encoder": null, "labels_decoder": null}"#,
                (spans, Encoders::One, false),
            ),
        ] {
            assert_eq!(of(json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_not_run_is_refused_by_name_with_what_to_do() {
        for (json, said) in [
            (r#"{"model_type": "gliner_streaming_span"}"#, "streaming"),
            (r#"{"labels_decoder": "gpt2"}"#, "labels_decoder"),
            (
                r#"{"labels_decoder": "gpt2", "labels_encoder": "x"}"#,
                "labels_decoder",
            ),
            (r#"{"words_splitter_type": "spacy"}"#, "`spacy`"),
            (r#"{"words_splitter_type": "jieba"}"#, "`jieba`"),
            (r#"{"subtoken_pooling": "sum"}"#, "`sum`"),
            (r#"{"max_len": 0}"#, "max_len"),
            (r#"{"precomputed_prompts_mode": true}"#, "id_to_classes"),
            (
                r#"{"precomputed_prompts_mode": true, "id_to_classes": {"0": "a"}}"#,
                "from 1",
            ),
            ("{", "line 1"),
            (r#"{"max_len": "secret"}"#, "line 1"),
        ] {
            let refusal = read(json).unwrap_err();
            assert!(refusal.what.contains(said), "{}", refusal.what);
            assert!(!refusal.hint.is_empty() && !refusal.what.contains("secret"));
        }
    }

    #[test]
    fn a_backbone_with_positions_of_its_own_has_a_limit() {
        let of = |json: &str| read(json).unwrap().positions;
        for (json, expected) in [
            (r#"{"model_name": "microsoft/deberta-v3-large"}"#, None),
            (r#"{"model_name": "microsoft/mdeberta-v3-base"}"#, None),
            (r#"{"model_name": "bert-base-cased"}"#, Some(512)),
            (
                r#"{"model_name": "answerdotai/ModernBERT-base"}"#,
                Some(8192),
            ),
            (
                r#"{"model_name": "jhu-clsp/ettin-encoder-17m"}"#,
                Some(8192),
            ),
            (r#"{"model_name": "something/else"}"#, Some(512)),
            (
                r#"{"encoder_config": {"model_type": "deberta-v2", "position_biased_input": false, "max_position_embeddings": 512}}"#,
                None,
            ),
            (
                r#"{"encoder_config": {"model_type": "bert", "max_position_embeddings": 256}}"#,
                Some(256),
            ),
            (
                r#"{"encoder_config": {"model_type": "xlm-roberta", "max_position_embeddings": 514}}"#,
                Some(512),
            ),
            (r#"{"encoder_config": {"model_type": "bert"}}"#, Some(512)),
            (
                r#"{"encoder_config": {"model_type": "bert", "position_biased_input": null}}"#,
                Some(512),
            ),
            (
                r#"{"encoder_config": null, "model_name": null, "max_len": null, "ent_token": null}"#,
                None,
            ),
        ] {
            assert_eq!(of(json), expected, "{json}");
        }
    }

    #[test]
    fn nuner_is_told_by_its_name() {
        let of = |folder, json: &str| Config::read(json.as_bytes(), folder).unwrap().nuner;
        assert!(of("NuNER_Zero", "{}"));
        assert!(of("NuNerZero_onnx", "{}"));
        assert!(of("model", r#"{"name": "NuNER token"}"#));
        assert!(!of("gliner_small-v2.1", "{}"));
    }

    #[test]
    fn classes_of_a_graph_that_takes_no_others_are_in_their_order() {
        let json = r#"{"precomputed_prompts_mode": true, "id_to_classes": {"10": "j", "1": "a", "2": "b", "3": "c",
            "4": "d", "5": "e", "6": "f", "7": "g", "8": "h", "9": "i"}}"#;
        assert_eq!(read(json).unwrap().classes.unwrap().join(""), "abcdefghij");
    }
}
