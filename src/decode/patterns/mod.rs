//! Pattern recognisers with checksums, tenant regexes, deny and allow lists.

use std::sync::Arc;

use super::Span;
use crate::text::ByteSpan;

/// A tenant's own regular expression.
#[derive(Debug, Clone)]
pub struct Custom {
    /// Name in `recognizer`.
    pub name: String,
    /// Label of its spans.
    pub label: Arc<str>,
    /// Regular expression (linear time); its first capture group, if any, is the span.
    pub regex: String,
}

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Built-in recognisers by name, with the label their spans get.
    pub builtin: Vec<(String, Arc<str>)>,
    /// Tenant regexes.
    pub custom: Vec<Custom>,
    /// Terms that are always entities, and their label.
    pub deny: Vec<(String, Arc<str>)>,
    /// Terms that are never entities.
    pub allow: Vec<String>,
    /// Two-letter country for phone numbers without a country code.
    pub phone_region: Option<String>,
}

/// Compiled recognisers of one tenant: cheap to clone.
#[derive(Debug, Clone)]
pub struct Patterns {}

/// Why recognisers could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No built-in recogniser has this name.
    #[error("unknown pattern `{name}`")]
    Unknown {
        /// The name as written.
        name: String,
        /// The nearest known one.
        nearest: Option<String>,
    },
}

impl Patterns {
    /// Longest match, in bytes, that is found for sure when a text is scanned in pieces.
    pub const MAX_MATCH_BYTES: usize = 16 * 1024;

    /// Compiles the recognisers.
    pub fn build(_options: Options) -> Result<Self, Error> {
        Ok(Self {})
    }

    /// Names of the built-in recognisers.
    pub fn names() -> &'static [&'static str] {
        &[]
    }

    /// Recognisers that a label of this wording also asks for (`"email address"` → `email`).
    pub fn for_label(_label: &str) -> Option<&'static str> {
        None
    }

    /// Spans of patterns and deny list, sorted by start; they may overlap.
    pub fn find(&self, _text: &str) -> Vec<Span> {
        Vec::new()
    }

    /// Places of allowed terms.
    pub fn allowed(&self, _text: &str) -> Vec<ByteSpan> {
        Vec::new()
    }
}
