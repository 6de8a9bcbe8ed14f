//! Redaction: spans and a tenant's operators in, transformed text out.
//!
//! In:  a field's text and its spans, sorted and free of overlaps.
//! Out: the text with each span transformed, and a list of what was done.
//! Holds: fails closed (I6); keyed values are HMAC-SHA256 with the tenant and label bound in.
//! Does not know: models, records, sinks.

use std::{collections::HashMap, sync::Arc};

use crate::{
    decode::Span,
    text::{ByteSpan, CodePointSpan},
};

/// What is done with a span.
#[derive(Debug, Clone)]
pub enum Operator {
    /// Leaves the value, reports the entity.
    Keep,
    /// Takes the value out.
    Remove,
    /// Puts a placeholder in its place: `[LABEL]` unless given.
    Replace {
        /// Text to put in; `{label}` stands for the label in capitals.
        placeholder: Option<String>,
    },
    /// Masks characters.
    Mask {
        /// Masking character.
        character: char,
        /// Letters and digits at the end that stay.
        keep_last: usize,
    },
    /// Keyed hash (HMAC-SHA256), the same for the same value, tenant, label and key.
    Hash {
        /// Key.
        key: Key,
    },
    /// A plausible other value, the same for the same value, tenant, label and key.
    Surrogate {
        /// Key.
        key: Key,
    },
}

/// A secret key with its id and version. `Debug` does not print it.
#[derive(Clone)]
pub struct Key {
    /// Id that goes into records.
    pub id: Arc<str>,
    /// Secret bytes.
    pub secret: Arc<[u8]>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// The operators of one tenant: cheap to clone.
#[derive(Debug, Clone)]
pub struct Redactor {
    /// Tenant, bound into keyed values.
    pub tenant: Arc<str>,
    /// Operators by label.
    pub operators: Arc<HashMap<Arc<str>, Operator>>,
    /// Operator of labels that have none.
    pub default: Operator,
}

/// One transformed place; offsets are relative to the text that was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Label of the span.
    pub label: Arc<str>,
    /// Name of the operator, as in records.
    pub operator: &'static str,
    /// Where the value stood.
    pub source: CodePointSpan,
    /// Where its replacement stands in the output.
    pub output: CodePointSpan,
    /// Bytes of the value in the source.
    pub source_bytes: ByteSpan,
    /// Bytes of its replacement in the output.
    pub output_bytes: ByteSpan,
    /// Key that was used.
    pub key_id: Option<Arc<str>>,
}

/// Why a value could not be transformed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {}

impl Redactor {
    /// Appends `text` with each of `spans` transformed to `out`.
    pub fn apply(
        &self,
        _text: &str,
        _spans: &[Span],
        _out: &mut String,
    ) -> Result<Vec<Applied>, Error> {
        todo!("helper: detect")
    }
}
