//! `[model.server]`, `[models.NAME.server]`: the server of a model that weir asks over HTTP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The server of a pack of family `prompted`, such as `b2ner`. Texts go to it as they are, before they are redacted.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ModelServer")]
pub struct Section {
    /// Address of the server's OpenAI-compatible API, such as `http://127.0.0.1:8000/v1`; weir adds `/completions`.
    /// Unset: the address that the pack names. weir uses no proxy of the environment and follows no redirect.
    #[schemars(length(min = 1))]
    pub url: Option<String>,
    /// Name of the model at the server. Unset: the name that the pack gives.
    #[schemars(length(min = 1))]
    pub model: Option<String>,
    /// File that holds the server's API key.
    pub api_key_file: Option<String>,
    /// Environment variable that holds the server's API key. Unset, like `api_key_file`: the variable that the pack names,
    /// if it names one.
    pub api_key_env: Option<String>,
    /// Whether `url` may be `http` if it does not name this host. Texts then cross the network unencrypted.
    pub allow_http: bool,
    /// Requests in flight, each with a thread that waits for it.
    #[schemars(range(min = 1, max = 256))]
    pub requests: u16,
    /// Longest time in seconds to make a connection.
    #[schemars(range(min = 1, max = 600))]
    pub connect_timeout_secs: u32,
    /// Longest time in seconds for which a server may be silent. It is silent until its answer is complete.
    #[schemars(range(min = 1, max = 3600))]
    pub read_timeout_secs: u32,
    /// Longest time in seconds for one part of a text (`window_bytes` of the pack), with all retries. If it passes, weir asks
    /// a small question: if the server answers that, the document becomes a dead letter; if not, the worker ends with exit
    /// code 69 and delivers nothing of what it could not search.
    #[schemars(range(min = 1, max = 86400))]
    pub deadline_secs: u32,
    /// Most retries of a request that the server fails on: status 500, a truncated answer, an answer that is not a
    /// completion. If the server does not answer at all or is busy (408, 429, 502 to 504), weir retries until the deadline.
    #[schemars(range(max = 1000))]
    pub retries: u16,
    /// What becomes of a document for which the model named a value that is not in its text. Unset: as the pack says.
    pub invented: Option<Treatment>,
    /// What becomes of a document for which the model named a value of a label that was not asked for. Unset: as the pack
    /// says.
    pub unasked: Option<Treatment>,
    /// Most bytes of one text; a longer one is a dead letter. All of a text is held until the model has answered for all of
    /// it. Unset: as the pack says.
    #[schemars(range(min = 1024, max = 1_073_741_824))]
    pub max_text_bytes: Option<u64>,
}

/// What becomes of a document if an answer names what weir cannot use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "ModelAnswerTreatment")]
pub enum Treatment {
    /// weir counts the value and leaves it out.
    Drop,
    /// The document is a dead letter.
    DeadLetter,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            url: None,
            model: None,
            api_key_file: None,
            api_key_env: None,
            allow_http: false,
            requests: 8,
            connect_timeout_secs: 10,
            read_timeout_secs: 120,
            deadline_secs: 180,
            retries: 8,
            invented: None,
            unasked: None,
            max_text_bytes: None,
        }
    }
}
