//! JSON Web Tokens and their relatives (RFC 7515, RFC 7516, RFC 7519, RFC 9901).

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::super::Patterns;
use crate::text::ByteSpan;

/// `{"`, `{ `, `{\n`, `{\r` and `{\t` in base64url, and the first of them in base64 once more.
static HEADS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::new(["eyJ", "eyA", "ewo", "ew0", "ewk", "ZXlK"]).expect("a few short literals")
});

/// base64url as encoders write it: with padding or without, and with loose last bits.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LOOSE);

const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LOOSE);

const LOOSE: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

/// Heads that are tried within one run of base64url characters. A token glued to a word before it
/// has a few; a long run of them is no token, and each costs a decoding.
const HEADS_IN_A_RUN: usize = 8;

/// Least length of a payload, signature or disclosure that stands in for a missing part.
const LEAST_PART: usize = 8;

/// Tokens whose header decodes to a JSON object with `alg`:
///
/// - signed ones (`header.payload.signature`), also without a signature (`alg: none`) and cut off
///   within the payload;
/// - signed ones with a detached payload (`header..signature`);
/// - encrypted ones of five parts; the second is empty for `dir` and `ECDH-ES`;
/// - selective disclosures and a key binding behind a signed one (`~…~…`).
///
/// A whole token in base64 once more is one too. Parts may carry padding. The header decides where a token begins, so a word may touch it.
pub(in super::super) fn jwt(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let (mut done, mut run_end, mut tried) = (0, 0, 0);
    for head in HEADS.find_iter(text) {
        let start = head.start();
        if start < done {
            continue;
        }
        if start >= run_end {
            run_end = part_end(bytes, start);
            tried = 0;
        }
        tried += 1;
        if tried > HEADS_IN_A_RUN {
            continue;
        }
        let end = match head.pattern().as_usize() {
            5 => encoded_end(bytes, start),
            _ => token_end(bytes, start, run_end),
        };
        if let Some(end) = end {
            found.push(ByteSpan::new(start, end));
            done = end;
        }
    }
}

/// End of the token whose header is `start..header_end`.
fn token_end(bytes: &[u8], start: usize, header_end: usize) -> Option<usize> {
    let header_end = padded(bytes, header_end);
    if bytes.get(header_end) != Some(&b'.') {
        return None;
    }
    let header = &bytes[start..header_end];
    if header.len() > Patterns::MAX_MATCH_BYTES {
        return None;
    }
    let encrypted = is_encrypted(header)?;
    let parts_wanted = if encrypted { 5 } else { 3 };
    let mut ends = vec![header_end];
    while ends.len() < parts_wanted && bytes.get(ends[ends.len() - 1]) == Some(&b'.') {
        let from = ends[ends.len() - 1] + 1;
        ends.push(padded(bytes, part_end(bytes, from)));
    }
    let length = |part: usize| ends[part] - ends[part - 1] - 1;
    let whole = match ends.len() {
        5 => length(4) > 0,
        3 => length(1) > 0 || length(2) >= LEAST_PART,
        // Cut off, as long lines of logs are: claims are in the payload.
        2 => length(1) >= LEAST_PART,
        _ => false,
    };
    if !whole && encrypted {
        // The parts of an encrypted token that are left.
        let last = (1..ends.len())
            .rev()
            .find(|part| length(*part) >= LEAST_PART)?;
        return Some(ends[last]);
    }
    if !whole {
        return None;
    }
    let end = ends[ends.len() - 1];
    if encrypted {
        return Some(end);
    }
    Some(disclosures_end(bytes, end))
}

/// End of a token that is in base64 once more, as in a secret of Kubernetes.
fn encoded_end(bytes: &[u8], start: usize) -> Option<usize> {
    let end = start
        + bytes[start..]
            .iter()
            .take(Patterns::MAX_MATCH_BYTES)
            .take_while(|byte| is_base64url(**byte) || matches!(byte, b'+' | b'/'))
            .count();
    if bytes[start..end]
        .iter()
        .any(|byte| matches!(byte, b'-' | b'_'))
    {
        return None;
    }
    let token = BASE64.decode(&bytes[start..end]).ok()?;
    token_end(&token, 0, part_end(&token, 0))?;
    Some(padded(bytes, end))
}

/// End of `~disclosure~disclosure~key-binding` behind a signed token.
fn disclosures_end(bytes: &[u8], mut end: usize) -> usize {
    while bytes.get(end) == Some(&b'~') {
        let mut at = part_end(bytes, end + 1);
        // `["` of a disclosure, cut off or not.
        let disclosure = bytes[end + 1..].starts_with(b"Wy");
        if at < end + 1 + LEAST_PART && !disclosure {
            // The last tilde, without a key binding behind it.
            return end + 1;
        }
        while bytes.get(at) == Some(&b'.') && part_end(bytes, at + 1) >= at + 1 + LEAST_PART {
            at = part_end(bytes, at + 1);
        }
        end = padded(bytes, at);
    }
    end
}

fn part_end(bytes: &[u8], from: usize) -> usize {
    from + bytes[from..]
        .iter()
        .take_while(|byte| is_base64url(**byte))
        .count()
}

/// Behind up to two `=`.
fn padded(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..]
        .iter()
        .take(2)
        .take_while(|byte| **byte == b'=')
        .count()
}

pub(super) fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether a JOSE header is one of an encrypted token; `None` if it is no JOSE header.
fn is_encrypted(header: &[u8]) -> Option<bool> {
    let json = BASE64URL.decode(header).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&json).ok()?;
    header.get("alg")?.as_str()?;
    Some(header.get("enc").is_some())
}
