//! A completion: what is sent, and what comes back in the three shapes that servers give.

use serde::{Deserialize, Serialize};

use super::{Dialect, prompt::Rules, score::Tokens};

/// What is sent. It holds a prompt: there is no `Debug`.
#[derive(Serialize)]
pub(super) struct Request<'r> {
    pub(super) model: &'r str,
    pub(super) prompt: &'r str,
    pub(super) temperature: f32,
    pub(super) max_tokens: usize,
    pub(super) stop: [&'r str; 1],
    pub(super) seed: u32,
    pub(super) logprobs: u32,
    pub(super) stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    grammar: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_outputs: Option<Structured<'r>>,
}

#[derive(Serialize)]
struct Structured<'r> {
    grammar: &'r str,
}

impl<'r> Request<'r> {
    pub(super) fn new(
        model: &'r str,
        prompt: &'r str,
        max_tokens: usize,
        stop: &'r str,
        seed: u32,
        grammar: Option<&'r Rules>,
    ) -> Self {
        let of = |dialect| {
            let grammar = grammar.filter(|grammar| grammar.dialect == dialect);
            grammar.map(|grammar| &*grammar.rules)
        };
        Self {
            model,
            prompt,
            temperature: 0.0,
            max_tokens,
            stop: [stop],
            seed,
            logprobs: 1,
            stream: false,
            grammar: of(Dialect::LlamaCpp),
            structured_outputs: of(Dialect::Vllm).map(|grammar| Structured { grammar }),
        }
    }
}

/// An answer. Its text is never printed: there is no `Debug`.
pub(super) struct Completion {
    /// Without what ends it.
    pub(super) text: String,
    /// Whether the limit of tokens cut it.
    pub(super) is_cut: bool,
    pub(super) tokens: Tokens,
    pub(super) usage: Usage,
}

/// Tokens that a request took, by the server's count.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    pub(super) prompt_tokens: u64,
    pub(super) completion_tokens: u64,
}

#[derive(Deserialize)]
struct Body {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    text: String,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    logprobs: Option<serde_json::Value>,
}

/// llama.cpp's shape.
#[derive(Deserialize)]
struct Content {
    content: Vec<Token>,
}

#[derive(Deserialize)]
struct Token {
    token: String,
    logprob: Option<f64>,
    #[serde(default)]
    bytes: Option<Vec<u8>>,
}

/// The first API's, and vLLM's.
#[derive(Deserialize)]
struct Lists {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f64>>,
}

impl Completion {
    /// Reads a body; `None` if it is no completion.
    pub(super) fn read(body: &[u8], stop: &str) -> Option<Self> {
        let body: Body = serde_json::from_slice(body).ok()?;
        let mut choices = body.choices.into_iter();
        let (Some(choice), None) = (choices.next(), choices.next()) else {
            return None;
        };
        let tokens = choice
            .logprobs
            .and_then(|shape| tokens(&shape, &choice.text));
        let tokens = tokens.unwrap_or_default();
        // One server leaves what ends an answer in its text.
        let text = match choice.text.find(stop) {
            Some(at) => choice.text[..at].to_owned(),
            None => choice.text,
        };
        let reason = choice.finish_reason.as_deref();
        Some(Self {
            text,
            // Only an answer that says that it ended is whole.
            is_cut: !matches!(reason, Some("stop" | "stop_sequence" | "eos_token")),
            tokens,
            usage: body.usage.unwrap_or_default(),
        })
    }
}

/// The tokens of a text. None if they are others than the text's: a value would get the score of another one.
fn tokens(shape: &serde_json::Value, text: &str) -> Option<Tokens> {
    let own: Vec<(Vec<u8>, Option<f64>)> = match Content::deserialize(shape) {
        Ok(Content { content }) => {
            let own = content.into_iter().map(|token| {
                let bytes = token.bytes.unwrap_or_else(|| token.token.into_bytes());
                (bytes, token.logprob)
            });
            own.collect()
        }
        Err(_) => {
            let lists = Lists::deserialize(shape).ok()?;
            let own = lists.tokens.into_iter().map(String::into_bytes);
            own.zip(lists.token_logprobs).collect()
        }
    };
    let mut rest = text.as_bytes();
    for (bytes, _) in &own {
        let (now, later) = rest.split_at(bytes.len().min(rest.len()));
        if !bytes.starts_with(now) {
            return None;
        }
        rest = later;
    }
    let own = own.iter().map(|(bytes, logprob)| (bytes.len(), *logprob));
    rest.is_empty().then(|| Tokens::new(own))
}

/// What a server says about a refusal. Its message may quote the prompt, and is read for one question alone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// `type` and `code`, where they are words.
    pub(super) words: Vec<String>,
    /// Whether prompt and answer do not fit the model's context.
    pub(super) is_too_long: bool,
}

impl Refusal {
    pub(super) fn read(body: &[u8]) -> Self {
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        // `{"error": {…}}`, and vLLM's older `{"object": "error", …}`.
        let error = match json.get("error") {
            Some(error) if error.is_object() => error,
            _ => &json,
        };
        let word = |key: &str| match error.get(key)? {
            serde_json::Value::String(word) => Some(word.clone()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let is_word = |word: &String| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
            !word.is_empty() && word.len() <= 48 && word.chars().all(plain)
        };
        let told: Vec<String> = ["type", "code"].into_iter().filter_map(word).collect();
        let message = error.get("message").or(json.get("detail"));
        let message = message.and_then(|message| message.as_str()).unwrap_or("");
        let message = message.to_ascii_lowercase();
        let too_long = [
            "context length",
            "context size",
            "context window",
            "exceed_context_size",
            "context_length_exceeded",
            "maximum model length",
            "max_tokens must be at least 1",
            "is too long",
            "too many tokens",
        ];
        Self {
            is_too_long: too_long
                .iter()
                .any(|words| message.contains(words) || told.iter().any(|own| own.contains(words))),
            words: told.into_iter().filter(is_word).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Completion> {
        Completion::read(body.as_bytes(), "\n")
    }

    #[test]
    fn three_shapes_of_probabilities_give_one_score() {
        let content = r#"{"content": [{"token": " person", "logprob": -9}, {"token": ": ", "logprob": -9},
            {"token": "\ufffd", "bytes": [195], "logprob": -1}, {"token": "\ufffd", "bytes": [169], "logprob": -1}]}"#;
        let lists = r#"{"tokens": [" person", ": ", "é"], "token_logprobs": [-9, null, -1], "text_offset": [0, 7, 9]}"#;
        for (shape, score) in [
            (content, (-1.0_f32).exp()),
            (lists, (-1.0_f32).exp()),
            ("null", 1.0),
        ] {
            let body = format!(
                "{{\"choices\": [{{\"text\": \" person: é\", \"finish_reason\": \"stop\", \"logprobs\": {shape}}}]}}"
            );
            let completion = read(&body).unwrap();
            assert!(
                (completion.tokens.score(&(9..11)) - score).abs() < 1e-6,
                "{shape}"
            );
            assert!(!completion.is_cut);
        }
    }

    #[test]
    fn tokens_that_are_not_the_answers_are_not_its_scores() {
        let body = r#"{"choices": [{"text": " person: Ana", "finish_reason": "stop",
            "logprobs": {"tokens": [" person"], "token_logprobs": [-9]}}]}"#;
        assert_eq!(read(body).unwrap().tokens.score(&(9..12)), 1.0);
        let other = body.replace("[\" person\"]", "[\" person: bytes\"]");
        assert_eq!(read(&other).unwrap().tokens.score(&(9..12)), 1.0);
    }

    #[test]
    fn what_ends_an_answer_is_no_part_of_it() {
        let body = r#"{"choices": [{"text": " None\nText: more", "finish_reason": "stop"}], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}"#;
        let completion = read(body).unwrap();
        assert_eq!(completion.text, " None");
        assert_eq!(
            (
                completion.usage.prompt_tokens,
                completion.usage.completion_tokens
            ),
            (7, 2)
        );
    }

    #[test]
    fn an_answer_is_whole_only_if_it_says_so() {
        for (reason, cut) in [
            ("\"stop\"", false),
            ("\"length\"", true),
            ("null", true),
            ("\"abort\"", true),
        ] {
            let body =
                format!("{{\"choices\": [{{\"text\": \" None\", \"finish_reason\": {reason}}}]}}");
            assert_eq!(read(&body).unwrap().is_cut, cut, "{reason}");
        }
        for body in [
            "",
            "null",
            "{}",
            "[]",
            r#"{"choices": []}"#,
            r#"{"choices": [{"text": 3}]}"#,
            "<html>",
        ] {
            assert!(read(body).is_none(), "{body}");
        }
    }

    #[test]
    fn a_refusal_keeps_words_and_no_message() {
        let told = |body: &str| Refusal::read(body.as_bytes());
        let own = told(
            r#"{"error": {"message": "the prompt `Ana Ruiz` is bad", "type": "invalid_request_error", "code": 400}}"#,
        );
        assert_eq!(own.words, ["invalid_request_error", "400"]);
        assert!(!own.is_too_long);
        let own = told(
            r#"{"object": "error", "message": "This model's maximum context length is 4096 tokens.", "type": "BadRequestError", "code": 400}"#,
        );
        assert!(own.is_too_long && own.words == ["BadRequestError", "400"]);
        assert!(
            told(r#"{"error": {"type": "exceed_context_size_error", "message": ""}}"#).is_too_long
        );
        assert!(told(r#"{"error": {"code": "context_length_exceeded"}}"#).is_too_long);
        assert!(
            told(r#"{"error": {"type": "Ana Ruiz lives here", "code": null}}"#)
                .words
                .is_empty()
        );
        assert_eq!(told("<html>"), Refusal::default());
    }
}
