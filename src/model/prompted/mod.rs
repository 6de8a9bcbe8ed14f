//! Language models that are asked by a prompt, over HTTP: B2NER, and instruction models by a template.
//!
//! The model names the values and says nothing of their places, so each value is located in the whole text. What it finds
//! for a label may depend on the other labels of the prompt, and a server does not promise equal answers to equal prompts:
//! I4 and I11 hold of what weir does with the answers, not of the answers.
//!
//! In:  texts in segments; label wordings.
//! Out: every place of each value that the model named, and the best reading of them.
//! Holds: nothing is truncated (I1): texts are windowed, and a window that the model cannot answer is halved. An answer
//!        that cannot be read fails the document. No error, log line or metric holds text of a prompt or answer (I7).
//! Does not know: tenants' policies, patterns, documents.

mod access;
#[cfg(feature = "prompted")]
mod answer;
#[cfg(feature = "prompted")]
mod ask;
#[cfg(feature = "prompted")]
mod client;
#[cfg(feature = "prompted")]
mod completion;
mod error;
#[cfg(feature = "prompted")]
mod family;
#[cfg(feature = "prompted")]
mod locate;
pub(super) mod manifest;
#[cfg(feature = "prompted")]
mod prompt;
#[cfg(feature = "prompted")]
mod runner;
#[cfg(feature = "prompted")]
mod score;
mod settings;
#[cfg(feature = "prompted")]
mod tagger;
#[cfg(feature = "prompted")]
mod view;
#[cfg(feature = "prompted")]
mod windows;

pub use access::{Access, ApiKey};
pub use error::Error;
#[cfg(feature = "prompted")]
pub use family::{Prompted, Reached, reach};
pub use manifest::described;
pub use settings::{Dialect, Grammar, Language, Prompt, Settings, Template, Treatment};
