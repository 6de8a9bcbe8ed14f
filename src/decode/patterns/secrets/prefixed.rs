//! Keys that begin with a published prefix: how one is read behind its prefix.

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::super::borders::{closes, opens};
use crate::text::ByteSpan;

/// How a key goes on behind its prefix.
pub(super) struct Format {
    pub(super) prefix: &'static str,
    /// Bytes of the key behind the prefix: which, and how many.
    pub(super) body: fn(u8) -> bool,
    pub(super) least: usize,
    pub(super) most: usize,
    /// Whether the prefix is a part of the value (that of a webhook's address is not).
    pub(super) with_prefix: bool,
    /// Further condition on the body.
    pub(super) holds: fn(&[u8]) -> bool,
}

/// A key of at least this many bytes behind its prefix. Vendors lengthen their keys without notice,
/// so there is an upper bound only where the prefix alone says little ([`exactly`]).
pub(super) const fn at_least(
    prefix: &'static str,
    body: fn(u8) -> bool,
    least: usize,
    holds: fn(&[u8]) -> bool,
) -> Format {
    Format {
        prefix,
        body,
        least,
        most: LONGEST_KEY,
        with_prefix: true,
        holds,
    }
}

/// A key of exactly this many bytes behind its prefix.
pub(super) const fn exactly(
    prefix: &'static str,
    body: fn(u8) -> bool,
    length: usize,
    holds: fn(&[u8]) -> bool,
) -> Format {
    Format {
        prefix,
        body,
        least: length,
        most: length,
        with_prefix: true,
        holds,
    }
}

/// Longest key behind its prefix. Session tokens of AWS and PyPI's macaroons have about 1,000.
const LONGEST_KEY: usize = 4096;

pub(super) fn any(_: &[u8]) -> bool {
    true
}

pub(super) fn base32(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'2'..=b'7')
}

pub(super) fn hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

pub(super) fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// Letters, digits and `_`.
pub(super) fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Letters, digits, `-` and `_`.
pub(super) fn base64url(byte: u8) -> bool {
    super::jose::is_base64url(byte)
}

/// Parts of base64url joined by dots, with padding.
pub(super) fn dotted(byte: u8) -> bool {
    base64url(byte) || matches!(byte, b'.' | b'=')
}

pub(super) fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// Either alphabet of base64.
pub(super) fn any_base64(byte: u8) -> bool {
    base64(byte) || matches!(byte, b'-' | b'_')
}

/// What may stand in a path or query of a URL.
pub(super) fn path(byte: u8) -> bool {
    dotted(byte) || matches!(byte, b'/' | b'@' | b'?' | b'&' | b'%' | b'~' | b'+')
}

pub(super) fn with_digit(body: &[u8]) -> bool {
    body.iter().any(u8::is_ascii_digit)
}

/// Upper case, lower case and digits.
pub(super) fn mixed(body: &[u8]) -> bool {
    with_digit(body)
        && body.iter().any(u8::is_ascii_uppercase)
        && body.iter().any(u8::is_ascii_lowercase)
}

/// A key's random part tells it from CSS classes and the like (`sk-circle-fade-dot`): 16 letters
/// and digits in a row, or a UUID.
pub(super) fn random_part(body: &[u8]) -> bool {
    let random = body
        .split(|byte| matches!(byte, b'-' | b'_' | b'.'))
        .any(|part| {
            part.len() >= 16 && with_digit(part) && part.iter().any(u8::is_ascii_alphabetic)
        });
    random || body.windows(36).any(is_uuid)
}

pub(super) fn is_uuid(body: &[u8]) -> bool {
    body.len() == 36
        && body.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A set of formats that are searched for at once.
pub(super) struct Formats {
    prefixes: AhoCorasick,
    formats: Vec<Format>,
}

impl Formats {
    pub(super) fn new(formats: Vec<Format>) -> Self {
        let prefixes = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .build(formats.iter().map(|format| format.prefix))
            .expect("short literals");
        Self { prefixes, formats }
    }

    pub(super) fn find(&self, text: &str, found: &mut Vec<ByteSpan>) {
        let from = found.len();
        // The run of characters that was read last, by which format, and how often it was tried.
        let (mut last, mut run_end, mut tried) = (usize::MAX, 0, 0);
        // Overlapping: `sk_live_` holds `live_`.
        for prefix in self.prefixes.find_overlapping_iter(text) {
            let at = prefix.pattern().as_usize();
            let format = &self.formats[at];
            if !opens(text, prefix.start()) {
                continue;
            }
            let again = at == last && prefix.end() < run_end;
            tried = if again { tried + 1 } else { 0 };
            if tried >= TRIES_IN_A_RUN {
                continue;
            }
            let length = format.body_length(text, prefix.end());
            (last, run_end) = (at, prefix.end() + length);
            if let Some(span) = format.read(text, prefix.start(), prefix.end(), length) {
                found.push(span);
            }
        }
        keep_outermost(found, from);
    }
}

/// Prefixes of one format that are tried within one run of characters (`sk-sk-sk-…`).
const TRIES_IN_A_RUN: usize = 8;

impl Format {
    fn body_length(&self, text: &str, body: usize) -> usize {
        text.as_bytes()[body..]
            .iter()
            .take(self.most + 1)
            .take_while(|byte| (self.body)(**byte))
            .count()
    }

    fn read(&self, text: &str, start: usize, body: usize, length: usize) -> Option<ByteSpan> {
        let bytes = text.as_bytes();
        // Marks at the end are the sentence's.
        let trailing = bytes[body..body + length]
            .iter()
            .rev()
            .take_while(|byte| matches!(byte, b'.' | b'-' | b'?' | b'&' | b'/'))
            .count();
        let end = body + length - trailing;
        let fits = (self.least..=self.most).contains(&(end - body)) && closes(text, end);
        if !fits || !(self.holds)(&bytes[body..end]) {
            return None;
        }
        Some(ByteSpan::new(
            if self.with_prefix { start } else { body },
            end,
        ))
    }
}

/// Sorts what was found from `from` on and drops spans that lie within another.
pub(super) fn keep_outermost(found: &mut Vec<ByteSpan>, from: usize) {
    if found.len() - from < 2 {
        return;
    }
    found[from..].sort_unstable_by(|a, b| a.start.cmp(&b.start).then(b.end.cmp(&a.end)));
    let mut kept = from;
    for at in from..found.len() {
        let span = found[at];
        if kept > from && span.end <= found[kept - 1].end {
            continue;
        }
        found[kept] = span;
        kept += 1;
    }
    found.truncate(kept);
}
