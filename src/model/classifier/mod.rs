//! The family of token classifiers: models with a fixed set of categories, which tenants' labels are mapped onto.
//!
//! Most models for personal data on Hugging Face's hub are of this kind. Their logits are read directly; the step of
//! the decoder is a word, unless the pack decodes tokens.

mod argmax;
mod classes;
mod family;
mod parts;
mod scheme;
mod scores;
mod tagger;
mod words;

pub use classes::Classes;
pub use family::Classifier;
