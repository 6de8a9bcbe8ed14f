//! Why a model over HTTP did not answer. No variant holds text of a prompt or of an answer (I7): servers quote prompts in
//! their messages, so weir keeps status, type and code.

/// Why a model over HTTP could not search a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address cannot be used.
    #[error("can't use {at} as the address of a model server: {why}")]
    Address {
        /// Host and port, or the key that holds the address.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// Nothing answers there.
    #[error("the model server at {at} can't be reached: {why}")]
    Unreachable {
        /// Host and port.
        at: String,
        /// Kind of the failure.
        why: String,
    },
    /// No request had a usable answer for longer than the deadline.
    #[error("the model server at {at} gave no usable answer for {secs} s: {why}")]
    Away {
        /// Host and port.
        at: String,
        /// The deadline.
        secs: u64,
        /// Kind of the last failure.
        why: String,
    },
    /// The server refuses every request.
    #[error("the model server at {at} refuses requests: {why}")]
    Refused {
        /// Host and port.
        at: String,
        /// Status, type and code.
        why: String,
    },
    /// The server refuses one request.
    #[error("the model server refused the request for a window of {bytes} bytes: {why}")]
    Rejected {
        /// Bytes of the window.
        bytes: usize,
        /// Status, type and code.
        why: String,
    },
    /// The server answers others, and not for this window.
    #[error(
        "the model server gave no usable answer for a window of {bytes} bytes in {attempts} attempts: {why}"
    )]
    NoAnswer {
        /// Bytes of the window.
        bytes: usize,
        /// Requests that were made.
        attempts: u32,
        /// Kind of the last failure.
        why: String,
    },
    /// The answer does not have the form that was asked for.
    #[error(
        "the model's answer of {bytes} bytes does not have the form `label: value; label: value`"
    )]
    Unreadable {
        /// Bytes of the answer.
        bytes: usize,
    },
    /// The answer has values of labels that nobody asked for.
    #[error(
        "the model named {values} values of labels that were not asked for (unasked = \"dead_letter\")"
    )]
    Unasked {
        /// How many.
        values: u64,
    },
    /// The answer has values that are not in the text.
    #[error(
        "the model named {values} values that are not in the text (invented = \"dead_letter\")"
    )]
    Invented {
        /// How many.
        values: u64,
    },
    /// Even for a small window the answer, or the prompt, is too long.
    #[error(
        "a window of {bytes} bytes is too long for the model's context, or its answer for max_answer_tokens"
    )]
    TooLong {
        /// Bytes of the window.
        bytes: usize,
    },
    /// A text is larger than what is held of one.
    #[error("the text is longer than {limit} bytes (max_text_bytes)")]
    TextTooLarge {
        /// The limit.
        limit: usize,
    },
    /// A label that cannot be part of a prompt.
    #[error("a label of {bytes} bytes can't be part of a prompt; the limit is {limit} bytes")]
    Label {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The pack asks no server, and one is configured.
    #[error(
        "pack {pack} runs in weir and asks no server, but the configuration has a section for one"
    )]
    NoServer {
        /// Name of the pack.
        pack: String,
    },
    /// The model is being stopped.
    #[error("the model has been stopped")]
    Stopped,
}

impl Error {
    /// Whether the server is at fault, not what it was asked: no document is to be a dead letter for it.
    pub fn is_of_server(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Away { .. } | Self::Refused { .. } | Self::Stopped
        )
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Address { .. } => {
                "set model.server.url to an address such as https://host/v1, or allow_http = true for an encrypted network"
            }
            Self::Unreachable { .. } | Self::Away { .. } => {
                "start the server, or check model.server.url (docs/models.md shows how to serve the model)"
            }
            Self::Refused { .. } => {
                "check model.server.url, model and api_key_file; `weir check --connect` shows what the server serves"
            }
            Self::NoServer { .. } => {
                "remove the section server, or name a pack of family `prompted`"
            }
            Self::Label { .. } => "shorten the label's description",
            _ => return None,
        })
    }
}
