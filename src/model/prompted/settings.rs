//! `[prompted]` of a manifest: how a model is asked, and how its answers are read.

use serde::{Deserialize, Serialize};

/// Section `[prompted]` of a manifest of family `prompted`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Name of the model at its server.
    pub model: String,
    /// Address of the server's API, such as `http://127.0.0.1:8000/v1`; the configuration may name another one.
    #[serde(default)]
    pub url: Option<String>,
    /// Environment variable that holds the server's API key, if it asks for one. The configuration may give another one.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// The prompt: `b2ner`, or a table with a template.
    #[serde(default)]
    pub prompt: Prompt,
    /// Language of the prompt `b2ner`. A template has one.
    #[serde(default)]
    pub language: Language,
    /// Labels in one prompt; more are asked in several. B2NER was trained with at most 18.
    #[serde(default = "labels_per_prompt")]
    pub labels_per_prompt: usize,
    /// Most bytes of text in one prompt. In a long text a model overlooks more.
    #[serde(default = "window_bytes")]
    pub window_bytes: usize,
    /// Bytes that two windows have in common: a value of at most so many is whole in one of them.
    #[serde(default = "overlap_bytes")]
    pub overlap_bytes: usize,
    /// What ends an answer.
    #[serde(default = "stop")]
    pub stop: String,
    /// Most tokens of an answer. A text that needs more is asked in halves.
    #[serde(default = "max_answer_tokens")]
    pub max_answer_tokens: usize,
    /// Seed of the server's sampling, which has nothing to decide at temperature 0.
    #[serde(default)]
    pub seed: u32,
    /// A grammar that holds the model to the form of an answer, in the words of its server.
    #[serde(default)]
    pub grammar: Option<Grammar>,
    /// What becomes of a document for which the model named a value that is not in its text.
    #[serde(default)]
    pub invented: Treatment,
    /// What becomes of a document for which the model named a value of a label that was not asked for.
    #[serde(default = "fails")]
    pub unasked: Treatment,
    /// Most bytes of one text: all of it is held until the model has answered for all of it.
    #[serde(default = "max_text_bytes")]
    pub max_text_bytes: usize,
}

/// The prompt around labels and text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Prompt {
    /// One that weir knows by its name.
    Known(Known),
    /// Any other.
    Own(Template),
}

impl Default for Prompt {
    fn default() -> Self {
        Self::Known(Known::B2ner)
    }
}

/// Prompts that weir knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Known {
    /// Those that B2NER was trained with, English and Chinese.
    B2ner,
}

/// A prompt of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The prompt, with `{labels}` and `{text}` once each. The answer has the form `label: value; label: value`.
    pub template: String,
    /// What the model answers if it finds nothing.
    #[serde(default = "none")]
    pub none: String,
    /// What stands between two labels.
    #[serde(default = "between")]
    pub between: String,
}

/// Language of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Chinese if more than half of the letters of a window are Han, else English.
    #[default]
    Auto,
    /// English.
    En,
    /// Chinese.
    Zh,
}

/// A grammar of answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Grammar {
    /// The one that allows what weir reads.
    Plain(Dialect),
    /// Another one.
    Own {
        /// Where it goes in a request.
        dialect: Dialect,
        /// Its rules; `{labels}` stands for the labels, quoted, with `|` between them.
        rules: String,
    },
}

/// How a server takes a grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Dialect {
    /// As `structured_outputs.grammar`.
    #[serde(rename = "vllm")]
    Vllm,
    /// As `grammar`.
    #[serde(rename = "llama.cpp")]
    LlamaCpp,
}

/// What becomes of a document if an answer names what cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// The value is counted and left out.
    #[default]
    Drop,
    /// The document is a dead letter.
    DeadLetter,
}

impl Settings {
    /// A problem with the values, in words.
    pub(super) fn problem(&self) -> Option<String> {
        for (key, value, least) in [
            ("labels_per_prompt", self.labels_per_prompt, 1),
            ("window_bytes", self.window_bytes, 256),
            ("max_answer_tokens", self.max_answer_tokens, 16),
            ("max_text_bytes", self.max_text_bytes, 1024),
        ] {
            if value < least {
                return Some(format!("prompted.{key} must be at least {least}"));
            }
        }
        if self.overlap_bytes > self.window_bytes / 4 {
            return Some(format!(
                "prompted.overlap_bytes is {}; the limit is a quarter of window_bytes ({})",
                self.overlap_bytes,
                self.window_bytes / 4
            ));
        }
        if self.model.is_empty() || self.stop.is_empty() {
            return Some("prompted.model and prompted.stop must not be empty".to_owned());
        }
        if let Prompt::Own(Template { template, .. }) = &self.prompt {
            for part in ["{labels}", "{text}"] {
                if template.matches(part).count() != 1 {
                    return Some(format!(
                        "prompted.prompt.template must contain {part} exactly once"
                    ));
                }
            }
            if self.language != Language::Auto {
                return Some("prompted.language is for the prompt `b2ner`: remove it".to_owned());
            }
        }
        if let Some(Grammar::Own { rules, .. }) = &self.grammar
            && !rules.contains("root")
        {
            return Some("prompted.grammar.rules has no rule `root`".to_owned());
        }
        None
    }
}

fn labels_per_prompt() -> usize {
    18
}

fn window_bytes() -> usize {
    1500
}

fn overlap_bytes() -> usize {
    200
}

fn stop() -> String {
    "\n".to_owned()
}

fn max_answer_tokens() -> usize {
    1024
}

fn fails() -> Treatment {
    Treatment::DeadLetter
}

fn max_text_bytes() -> usize {
    4 << 20
}

fn none() -> String {
    "None".to_owned()
}

fn between() -> String {
    ", ".to_owned()
}
