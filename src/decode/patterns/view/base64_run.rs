//! Base64 in a text that holds a text.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{decode::patterns::Patterns, text::ByteSpan};

/// Characters that a run has at least: eleven bytes, a social security number.
const LEAST: usize = 15;

/// Bytes at the head of a run that tell text from a digest, a key or a path.
const HEAD: usize = 9;

/// Places in a run at which a text is looked for: behind its separators (`/api/v1/YW5h…`).
const MOST_STARTS: usize = 6;

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// A stretch of base64 and the text in it.
pub(in crate::decode::patterns) struct Run {
    pub(in crate::decode::patterns) span: ByteSpan,
    pub(in crate::decode::patterns) text: String,
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Calls `each` with every run of base64 that decodes to printable text and has at most
/// [`Patterns::MAX_MATCH_BYTES`]. Most texts are passed in steps as long as the shortest run.
pub(in crate::decode::patterns) fn runs(text: &str, mut each: impl FnMut(Run)) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut probe = LEAST - 1;
    while probe < bytes.len() {
        if !is_base64(bytes[probe]) {
            probe += LEAST;
            continue;
        }
        let mut start = probe;
        while start > done && is_base64(bytes[start - 1]) {
            start -= 1;
        }
        let mut end = probe;
        while end < bytes.len() && is_base64(bytes[end]) {
            end += 1;
        }
        done = end;
        probe = end + LEAST;
        let padding = bytes[end..]
            .iter()
            .take(2)
            .take_while(|byte| **byte == b'=');
        let padded = end + padding.count();
        if end - start >= LEAST
            && let Some(run) = run(bytes, start, end, padded)
        {
            each(run);
        }
    }
}

/// The first stretch of the run that holds a text: from its start or behind a separator, to its end or
/// to the next separator. Base64 has these separators for digits too, but text seldom needs them.
fn run(bytes: &[u8], start: usize, end: usize, padded: usize) -> Option<Run> {
    let is_separator = |byte: u8| matches!(byte, b'/' | b'-' | b'_' | b'+');
    let behind_separators = (start + 1..end)
        .filter(|at| is_separator(bytes[at - 1]))
        .take(MOST_STARTS - 1);
    for from in std::iter::once(start).chain(behind_separators) {
        if !bytes[from..end]
            .get(..HEAD / 3 * 4)
            .is_some_and(begins_text)
        {
            continue;
        }
        let next_separator = bytes[from..end]
            .iter()
            .position(|byte| is_separator(*byte))
            .map(|offset| from + offset);
        let ends = [Some((end, padded)), next_separator.map(|at| (at, at))];
        for (to, padded) in ends.into_iter().flatten() {
            if !(LEAST..=Patterns::MAX_MATCH_BYTES).contains(&(to - from)) {
                continue;
            }
            let text = decode(&bytes[from..to]).and_then(|bytes| String::from_utf8(bytes).ok());
            if let Some(text) = text.filter(|text| is_printable(text)) {
                return Some(Run {
                    span: ByteSpan::new(from, padded),
                    text,
                });
            }
        }
    }
    None
}

fn decode(run: &[u8]) -> Option<Vec<u8>> {
    let engine = match run.iter().any(|byte| matches!(byte, b'-' | b'_')) {
        true => &URL_SAFE,
        false => &STANDARD,
    };
    engine.decode(run).ok()
}

/// Whether the head of a run decodes to text, or to the beginning of one: it may end within a
/// character. Most runs are digests, paths and names, and end here.
fn begins_text(head: &[u8]) -> bool {
    let mut text = [0; HEAD];
    let (mut bits, mut length) = (0u32, 0);
    for four in head.chunks_exact(4) {
        for byte in four {
            bits = bits << 6 | u32::from(digit(*byte));
        }
        for byte in &bits.to_be_bytes()[1..] {
            if byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t') {
                return false;
            }
            text[length] = *byte;
            length += 1;
        }
    }
    match str::from_utf8(&text) {
        Ok(text) => is_printable(text),
        Err(error) => error.error_len().is_none(),
    }
}

/// Value of a digit of base64 in either alphabet.
fn digit(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        _ => 63,
    }
}

fn is_printable(text: &str) -> bool {
    text.chars()
        .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
}
