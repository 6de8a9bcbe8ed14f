//! Redaction: spans and a tenant's operators in, transformed text out.
//!
//! In:  a field's text and its spans, sorted and free of overlaps; whom the document is about.
//! Out: the text with each span transformed, and a list of what was done.
//! Holds: fails closed (I6); keyed values are HMAC-SHA256 with the tenant and label bound in.
//! Does not know: models, records, sinks.
//!
//! `docs/operators.md` defines every operator. A source text may already contain a
//! placeholder: weir does not escape it, and the offsets in [`Applied`] say which ones are weir's.
mod date;
mod digits;
mod encrypt;
mod generalise;
mod key;
mod keyed;
mod mask;
mod reveal;
mod seal;
mod subject_key;
mod surrogate;
mod token;
mod truncate;

pub use digits::FEWEST_DIGITS;
pub use generalise::{Generalise, Generalised};
pub use key::{Key, KeyName};
pub use reveal::{Reading, Revealed, reveal, reveal_digits};
pub use seal::{Identity, Recipient};
pub use subject_key::{
    new_subject_key, subject_key_id, subject_key_parts, subject_name, unwrap, wrap,
};
pub use surrogate::{names_cards, names_people};
pub use token::{Form, KEY_ID_BYTES, Token, fits_token, tokens};
pub use truncate::{FIRST, FIRST_OF_LONG_BIN};

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
    /// A card number without its middle digits.
    Truncate {
        /// Digits at the start that stay: [`FIRST`] or [`FIRST_OF_LONG_BIN`].
        first: usize,
    },
    /// An age as a band, a date as its year, a ZIP code as three digits.
    Generalise(Generalise),
    /// A date moved by days: all dates of one subject by the same.
    Shift {
        /// Key.
        key: Key,
        /// Farthest move in days, either way.
        days: u16,
    },
    /// A token that the key reads back, the same for the same value, tenant, label and key.
    Encrypt {
        /// Key.
        key: Key,
        /// What stands in the text.
        format: Format,
    },
    /// A token that the key of the document's subject reads back.
    EncryptPerSubject {
        /// The tenant's key, under which the keys of subjects lie in their store.
        key: Key,
    },
    /// A token that only the holder of a secret key reads back.
    Seal {
        /// Its public half.
        recipient: Recipient,
    },
}

/// Whom a document is about. Without `Debug`, which would print the subject.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The subject, as the document names it.
    pub id: &'a str,
    /// The key of the subject.
    pub key: Option<&'a Key>,
}

/// What an encrypted value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A token.
    Token,
    /// Other digits, for values of digits and separators; a token for others.
    Digits {
        /// Fewest digits: [`FEWEST_DIGITS`] or more.
        fewest: usize,
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
            Self::Truncate { .. } => "truncate",
            Self::Generalise(_) => "generalise",
            Self::Shift { .. } => "shift",
            Self::Encrypt { .. } | Self::EncryptPerSubject { .. } => "encrypt",
            Self::Seal { .. } => "seal",
        }
    }

    /// The key that it needs.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Hash { key }
            | Self::Surrogate { key }
            | Self::Shift { key, .. }
            | Self::Encrypt { key, .. }
            | Self::EncryptPerSubject { key } => Some(key),
            _ => None,
        }
    }

    /// Id and fingerprint of the key that it needs, or of the public key.
    pub fn key_name(&self) -> Option<&KeyName> {
        match self {
            Self::Seal { recipient } => Some(recipient.name()),
            _ => self.key().map(Key::name),
        }
    }

    /// Whether it has to know whom a document is about.
    pub fn needs_subject(&self) -> bool {
        matches!(self, Self::Shift { .. } | Self::EncryptPerSubject { .. })
    }

    /// Whether it has to have the key of the subject.
    pub fn needs_subject_key(&self) -> bool {
        matches!(self, Self::EncryptPerSubject { .. })
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
    /// The document does not say whom it is about.
    #[error(
        "the operator `{operator}` of the label \"{label}\" needs `subject`, which the document does not have"
    )]
    NoSubject {
        /// The operator.
        operator: &'static str,
        /// The label.
        label: Arc<str>,
    },
    /// The key of the subject is missing.
    #[error(
        "the label \"{label}\" is encrypted per subject, and the key of the subject is missing"
    )]
    NoSubjectKey {
        /// The label.
        label: Arc<str>,
    },
    /// A value could not be sealed.
    #[error("a value could not be sealed to the key `{id}`")]
    Seal {
        /// Id of the public key.
        id: Arc<str>,
    },
}

impl Redactor {
    /// Whether an operator has to know whom a document is about.
    pub fn needs_subject(&self) -> bool {
        self.all().any(Operator::needs_subject)
    }

    /// Whether an operator has to have the key of the subject.
    pub fn needs_subject_key(&self) -> bool {
        self.all().any(Operator::needs_subject_key)
    }

    /// The operators of labels, and the one of all others.
    pub fn all(&self) -> impl Iterator<Item = &Operator> {
        self.operators.values().chain([&self.default])
    }

    /// Appends `text` with each of `spans` transformed to `out`. `subject` is whom the document is about, if
    /// that is known. On an error `out` is as before.
    pub fn apply(
        &self,
        subject: Option<Subject<'_>>,
        text: &str,
        spans: &[Span],
        out: &mut String,
    ) -> Result<Vec<Applied>, Error> {
        let base = out.len();
        let result = self.append(subject, text, spans, out);
        if result.is_err() {
            out.truncate(base);
        }
        result
    }

    fn append(
        &self,
        subject: Option<Subject<'_>>,
        text: &str,
        spans: &[Span],
        out: &mut String,
    ) -> Result<Vec<Applied>, Error> {
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
            self.transform(operator, subject, &span.label, value, out)?;

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
                key_id: operator.key_name().map(|key| key.id.clone()),
            });
        }
        out.push_str(&text[reached..]);
        Ok(applied)
    }

    fn transform(
        &self,
        operator: &Operator,
        subject: Option<Subject<'_>>,
        label: &Arc<str>,
        value: &str,
        out: &mut String,
    ) -> Result<(), Error> {
        let tenant = &*self.tenant;
        match operator {
            Operator::Keep => out.push_str(value),
            Operator::Remove => {}
            Operator::Replace { placeholder: None } => placeholder(label, out),
            Operator::Replace {
                placeholder: Some(written),
            } => out.push_str(&written.replace("{label}", &capitals(label))),
            Operator::Mask {
                character,
                keep_last,
            } => mask::keep_last(value, *character, *keep_last, out),
            Operator::MaskCount {
                character,
                count,
                from_end,
            } => mask::count(value, *character, *count, *from_end, out),
            Operator::Hash { key } => keyed::hash(key, tenant, label, value, out),
            Operator::Surrogate { key } => {
                out.push_str(&surrogate::make(key, tenant, label, value));
            }
            Operator::Truncate { first } => {
                if !truncate::truncate(value, *first, out) {
                    placeholder(label, out);
                }
            }
            Operator::Generalise(how) => or_placeholder(how.apply(label, value), label, out),
            Operator::Shift { key, days } => {
                let subject = known(subject, operator, label)?;
                let days = keyed::days(key, tenant, subject.id, *days);
                or_placeholder(date::shift(value, days), label, out);
            }
            Operator::Encrypt { key, format } => {
                let digits = match *format {
                    Format::Token => None,
                    Format::Digits { fewest } => digits::encrypt(key, tenant, label, value, fewest),
                };
                match digits {
                    Some(digits) => out.push_str(&digits),
                    None => encrypt::encrypt(key, tenant, label, value, out),
                }
            }
            Operator::EncryptPerSubject { .. } => {
                let Some(key) = known(subject, operator, label)?.key else {
                    return Err(Error::NoSubjectKey {
                        label: label.clone(),
                    });
                };
                encrypt::of_subject(key, tenant, label, value, out);
            }
            Operator::Seal { recipient } => seal::seal(recipient, tenant, label, value, out)?,
        }
        Ok(())
    }
}

/// The subject, which an operator needs (I6).
fn known<'s>(
    subject: Option<Subject<'s>>,
    operator: &Operator,
    label: &Arc<str>,
) -> Result<Subject<'s>, Error> {
    subject.ok_or_else(|| Error::NoSubject {
        operator: operator.name(),
        label: label.clone(),
    })
}

/// Appends what became of a value, or the placeholder if the operator does not understand it (I6).
fn or_placeholder(made: Option<String>, label: &str, out: &mut String) {
    match made {
        Some(made) => out.push_str(&made),
        None => placeholder(label, out),
    }
}

/// Appends `[LABEL]`.
fn placeholder(label: &str, out: &mut String) {
    out.push('[');
    out.push_str(&capitals(label));
    out.push(']');
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
