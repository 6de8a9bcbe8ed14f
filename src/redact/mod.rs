//! Redaction: spans and a tenant's operators in, transformed text out.
//!
//! In:  a field's text and its spans, sorted and free of overlaps.
//! Out: the text with each span transformed, and a list of what was done.
//! Holds: fails closed (I6); keyed values are HMAC-SHA256 with the tenant and label bound in.
//! Does not know: models, records, sinks.
//!
//! `docs/operators.md` defines every operator. A source text may already contain a
//! placeholder: weir does not escape it, and the offsets in [`Applied`] say which ones are weir's.
mod keyed;
mod mask;
mod surrogate;

pub use surrogate::names_people;

use std::{collections::HashMap, sync::Arc};

use crate::{
    decode::Span,
    text::{ByteSpan, CodePointCursor, CodePointSpan},
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
    /// Masks characters, except letters and digits at the end: never more than half of the value.
    Mask {
        /// Masking character.
        character: char,
        /// Letters and digits at the end that stay.
        keep_last: usize,
    },
    /// Masks a number of letters and digits at one end, and at least half of the value (Presidio's
    /// `chars_to_mask` and `from_end`).
    MaskCount {
        /// Masking character.
        character: char,
        /// Letters and digits to mask.
        count: usize,
        /// Whether they are counted from the end.
        from_end: bool,
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

impl Operator {
    /// Name in records and configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Remove => "remove",
            Self::Replace { .. } => "replace",
            Self::Mask { .. } | Self::MaskCount { .. } => "mask",
            Self::Hash { .. } => "hash",
            Self::Surrogate { .. } => "surrogate",
        }
    }

    fn key(&self) -> Option<&Key> {
        match self {
            Self::Hash { key } | Self::Surrogate { key } => Some(key),
            _ => None,
        }
    }
}

/// A secret key with its id and version. `Debug` does not print it.
#[derive(Clone)]
pub struct Key {
    /// Id that goes into records.
    pub id: Arc<str>,
    /// Secret bytes: at least [`Key::MIN_BYTES`].
    pub secret: Arc<[u8]>,
}

impl Key {
    /// Shortest secret: 128 bits, so that a small domain cannot be searched by key.
    pub const MIN_BYTES: usize = 16;

    /// A key; a secret of fewer than [`Key::MIN_BYTES`] bytes is refused.
    pub fn new(id: impl Into<Arc<str>>, secret: impl Into<Arc<[u8]>>) -> Result<Self, Error> {
        let key = Self {
            id: id.into(),
            secret: secret.into(),
        };
        key.check()?;
        Ok(key)
    }

    // Also at use: the fields are public.
    fn check(&self) -> Result<(), Error> {
        if self.secret.len() < Self::MIN_BYTES {
            return Err(Error::ShortKey {
                id: self.id.clone(),
                bytes: self.secret.len(),
            });
        }
        Ok(())
    }
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

/// One transformed place. Source offsets are relative to the text that was given, output offsets
/// to where its transformed copy begins. A kept value is reported too, with the operator `keep`.
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

/// Why a value could not be transformed. Holds places and ids, never text.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A span does not lie on character borders of the text.
    #[error("span {start}..{end} does not fit the text of {len} bytes")]
    Misplaced {
        /// First byte.
        start: usize,
        /// Byte after the last.
        end: usize,
        /// Length of the text.
        len: usize,
    },
    /// A span begins before the one in front of it ends.
    #[error("span at byte {start} begins before the previous span ends (byte {reached})")]
    Overlap {
        /// First byte.
        start: usize,
        /// End of the span before.
        reached: usize,
    },
    /// A key's secret is too short.
    #[error(
        "key `{id}` has {bytes} bytes; at least {} are required",
        Key::MIN_BYTES
    )]
    ShortKey {
        /// Id of the key.
        id: Arc<str>,
        /// Bytes of its secret.
        bytes: usize,
    },
}

impl Redactor {
    /// Appends `text` with each of `spans` transformed to `out`. On an error `out` is as before.
    pub fn apply(
        &self,
        text: &str,
        spans: &[Span],
        out: &mut String,
    ) -> Result<Vec<Applied>, Error> {
        let base = out.len();
        let result = self.append(text, spans, out);
        if result.is_err() {
            out.truncate(base);
        }
        result
    }

    fn append(&self, text: &str, spans: &[Span], out: &mut String) -> Result<Vec<Applied>, Error> {
        let base = out.len();
        let mut applied = Vec::with_capacity(spans.len());
        let mut cursor = CodePointCursor::new(text, 0);
        let mut reached = 0;
        // Code points of the source and of the output up to `reached`.
        let (mut source_at, mut output_at) = (0, 0);
        for span in spans {
            let ByteSpan { start, end } = span.bytes;
            if start < reached {
                return Err(Error::Overlap { start, reached });
            }
            let Some(value) = text.get(start..end) else {
                return Err(Error::Misplaced {
                    start,
                    end,
                    len: text.len(),
                });
            };
            out.push_str(&text[reached..start]);
            let operator = self.operators.get(&span.label).unwrap_or(&self.default);
            let output_start = out.len();
            self.transform(operator, &span.label, value, out)?;

            let source = CodePointSpan {
                start: cursor.at(start),
                end: cursor.at(end),
            };
            let replaced = out[output_start..].chars().count();
            let output_first = output_at + (source.start - source_at);
            let output = CodePointSpan {
                start: output_first,
                end: output_first + replaced,
            };
            (reached, source_at, output_at) = (end, source.end, output.end);
            applied.push(Applied {
                label: span.label.clone(),
                operator: operator.name(),
                source,
                output,
                source_bytes: span.bytes,
                output_bytes: ByteSpan::new(output_start - base, out.len() - base),
                key_id: operator.key().map(|key| key.id.clone()),
            });
        }
        out.push_str(&text[reached..]);
        Ok(applied)
    }

    fn transform(
        &self,
        operator: &Operator,
        label: &str,
        value: &str,
        out: &mut String,
    ) -> Result<(), Error> {
        match operator {
            Operator::Keep => out.push_str(value),
            Operator::Remove => {}
            Operator::Replace { placeholder } => match placeholder {
                Some(placeholder) => {
                    out.push_str(&placeholder.replace("{label}", &capitals(label)))
                }
                None => {
                    out.push('[');
                    out.push_str(&capitals(label));
                    out.push(']');
                }
            },
            Operator::Mask {
                character,
                keep_last,
            } => mask::keep_last(value, *character, *keep_last, out),
            Operator::MaskCount {
                character,
                count,
                from_end,
            } => mask::count(value, *character, *count, *from_end, out),
            Operator::Hash { key } => {
                key.check()?;
                keyed::hash(key, &self.tenant, label, value, out);
            }
            Operator::Surrogate { key } => {
                key.check()?;
                out.push_str(&surrogate::make(key, &self.tenant, label, value));
            }
        }
        Ok(())
    }
}

/// The label as it stands in placeholders: upper case, anything but letters and digits as `_`.
fn capitals(label: &str) -> String {
    label
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect::<String>()
        .to_uppercase()
}

#[cfg(test)]
mod tests;
