//! GLiNER and NuNER: labels are read beside the text, and spans or words are scored against them.
//!
//! A uni-encoder reads a prompt of the labels before the text, so labels change one another's scores: what it finds for a
//! label may depend on the others that are asked for, and I11 holds of its candidates, not of its scores. A bi-encoder
//! reads labels by themselves.
//!
//! In:  texts in segments; label wordings.
//! Out: every span that reaches its label's threshold, and the best reading of them (greedy, as the reference's).
//! Holds: nothing is truncated (I1): words are windowed, and each belongs to one window.
//! Does not know: tenants, patterns, documents.
//!
//! Facts are those of gliner 0.2.29 (<https://github.com/urchade/GLiNER>), read in its source and run.

mod bare;
mod candidate;
mod config;
mod family;
mod graph;
mod labels;
mod merge;
mod prompt;
pub(super) mod published;
mod runner;
mod runs;
mod settings;
mod tagger;
mod windows;
mod words;

pub use bare::Bare;
pub use family::{Gliner, described};
pub use settings::Settings;
