//! Tokens, keys and addresses of ledgers: each by its published format.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use memchr::memmem::{self, Finder};
use sha3::{Digest, Keccak256};

use super::{
    Patterns,
    borders::{around, closes, opens},
};
use crate::text::ByteSpan;

// Finders are built once: on short lines a search costs less than building its finder.

/// `{"`, `{ ` and `{\n` in base64url begin with these.
static JOSE_HEADS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(b"ey"), Finder::new(b"ew")]);

/// Begin line of a PEM block.
static BEGIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"-----BEGIN "));

/// Heads of Ethereum and segwit addresses.
static ADDRESS_HEADS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::new(["0x", "0X", "bc1", "tb1", "BC1", "TB1"]).expect("a few short literals")
});

/// JSON Web Tokens (RFC 7519): three base64url parts, or five (RFC 7516); the header decodes to a
/// JSON object with `alg`.
pub(super) fn jwt(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for head in JOSE_HEADS.iter() {
        for start in head.find_iter(bytes) {
            if start < done || start > 0 && is_base64url(bytes[start - 1]) {
                continue;
            }
            let part = |from: usize| {
                from + bytes[from..]
                    .iter()
                    .take_while(|byte| is_base64url(**byte))
                    .count()
            };
            let mut ends = vec![part(start)];
            while ends.len() < 5 && bytes.get(ends[ends.len() - 1]) == Some(&b'.') {
                ends.push(part(ends[ends.len() - 1] + 1));
            }
            let header = &bytes[start..ends[0]];
            done = ends[0];
            let payload = ends.len() >= 3 && ends[1] > ends[0] + 1;
            if !payload || header.len() > Patterns::MAX_MATCH_BYTES || !is_jose_header(header) {
                continue;
            }
            // The full stop of a sentence is no fourth part.
            let parts = if ends.len() == 5 && ends[4] > ends[3] + 1 {
                5
            } else {
                3
            };
            done = ends[parts - 1];
            found.push(ByteSpan::new(start, done));
        }
        done = 0;
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_jose_header(header: &[u8]) -> bool {
    let Ok(json) = URL_SAFE_NO_PAD.decode(header) else {
        return false;
    };
    serde_json::from_slice::<serde_json::Value>(&json)
        .is_ok_and(|header| header.get("alg").is_some_and(serde_json::Value::is_string))
}

/// How a key goes on behind its prefix.
struct Format {
    prefix: &'static str,
    /// Bytes of the key behind the prefix: which, and how many.
    body: fn(u8) -> bool,
    least: usize,
    most: usize,
    /// Whether the prefix is a part of the value (`AccountKey=` is not).
    with_prefix: bool,
    /// Further condition on the body.
    holds: fn(&[u8]) -> bool,
}

const fn format(
    prefix: &'static str,
    body: fn(u8) -> bool,
    least: usize,
    most: usize,
    holds: fn(&[u8]) -> bool,
) -> Format {
    Format {
        prefix,
        body,
        least,
        most,
        with_prefix: true,
        holds,
    }
}

const LONGEST_KEY: usize = 512;

fn any(_: &[u8]) -> bool {
    true
}

fn base32(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'2'..=b'7')
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

fn with_digit(body: &[u8]) -> bool {
    body.iter().any(u8::is_ascii_digit)
}

/// A key's random part tells it from CSS classes and the like: `sk-circle-fade-dot`.
fn random_part(body: &[u8]) -> bool {
    body.split(|byte| *byte == b'-').any(|part| {
        part.len() >= 16
            && part.iter().any(u8::is_ascii_digit)
            && part.iter().any(u8::is_ascii_alphabetic)
    })
}

fn padded_64(body: &[u8]) -> bool {
    body.ends_with(b"==") && !body[..body.len() - 2].contains(&b'=')
}

fn padded_32(body: &[u8]) -> bool {
    body.ends_with(b"=") && !body[..body.len() - 1].contains(&b'=')
}

/// AWS (IAM user guide, "unique identifiers"), Google, Slack, Stripe, OpenAI and Anthropic, Azure.
static CLOUD: LazyLock<Formats> = LazyLock::new(|| {
    Formats::new(vec![
        format("AKIA", base32, 16, 16, any),
        format("ASIA", base32, 16, 16, any),
        format("ABIA", base32, 16, 16, any),
        format("ACCA", base32, 16, 16, any),
        format("AIza", is_base64url, 35, 35, any),
        format("ya29.", is_base64url, 20, LONGEST_KEY, with_digit),
        format("xoxa-", is_base64url, 10, LONGEST_KEY, with_digit),
        format("xoxb-", is_base64url, 10, LONGEST_KEY, with_digit),
        format("xoxe-", is_base64url, 10, LONGEST_KEY, with_digit),
        format("xoxo-", is_base64url, 10, LONGEST_KEY, with_digit),
        format("xoxp-", is_base64url, 10, LONGEST_KEY, with_digit),
        format("xoxr-", is_base64url, 10, LONGEST_KEY, with_digit),
        format("xoxs-", is_base64url, 10, LONGEST_KEY, with_digit),
        format("xapp-", is_base64url, 10, LONGEST_KEY, with_digit),
        format("sk_live_", alphanumeric, 16, LONGEST_KEY, any),
        format("sk_test_", alphanumeric, 16, LONGEST_KEY, any),
        format("rk_live_", alphanumeric, 16, LONGEST_KEY, any),
        format("rk_test_", alphanumeric, 16, LONGEST_KEY, any),
        format("sk-", is_base64url, 20, LONGEST_KEY, random_part),
        Format {
            with_prefix: false,
            ..format("AccountKey=", base64, 88, 88, padded_64)
        },
        Format {
            with_prefix: false,
            ..format("SharedAccessKey=", base64, 44, 44, padded_32)
        },
    ])
});

/// GitHub ("authentication token formats", with their CRC-32), GitLab.
static GIT: LazyLock<Formats> = LazyLock::new(|| {
    Formats::new(vec![
        format("ghp_", alphanumeric, 36, LONGEST_KEY, github_checksum),
        format("gho_", alphanumeric, 36, LONGEST_KEY, github_checksum),
        format("ghu_", alphanumeric, 36, LONGEST_KEY, github_checksum),
        format("ghs_", alphanumeric, 36, LONGEST_KEY, github_checksum),
        format("ghr_", alphanumeric, 36, LONGEST_KEY, github_checksum),
        format(
            "github_pat_",
            |byte| alphanumeric(byte) || byte == b'_',
            82,
            82,
            |body| body[22] == b'_',
        ),
        format(
            "glpat-",
            |byte| is_base64url(byte) || byte == b'.',
            20,
            320,
            |body| with_digit(body) || body.len() == 20,
        ),
    ])
});

/// The last six characters of a 36-character token are the CRC-32 of the others in base 62. GitHub
/// announced longer tokens without saying how they are checked: those pass.
fn github_checksum(body: &[u8]) -> bool {
    if body.len() != 36 {
        return true;
    }
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut checksum = crc32fast::hash(&body[..30]);
    for expected in body[30..].iter().rev() {
        if DIGITS[(checksum % 62) as usize] != *expected {
            return false;
        }
        checksum /= 62;
    }
    checksum == 0
}

struct Formats {
    prefixes: AhoCorasick,
    formats: Vec<Format>,
}

impl Formats {
    fn new(formats: Vec<Format>) -> Self {
        let prefixes = AhoCorasick::new(formats.iter().map(|format| format.prefix))
            .expect("a few short literals");
        Self { prefixes, formats }
    }

    fn find(&self, text: &str, found: &mut Vec<ByteSpan>) {
        let bytes = text.as_bytes();
        let mut done = 0;
        for prefix in self.prefixes.find_iter(text) {
            let format = &self.formats[prefix.pattern().as_usize()];
            let (start, body) = (prefix.start(), prefix.end());
            if start < done
                || !opens(text, start)
                || start > 0 && format.with_prefix && bytes[start - 1] == b'-'
            {
                continue;
            }
            let length = bytes[body..]
                .iter()
                .take(format.most + 1)
                .take_while(|byte| (format.body)(**byte))
                .count();
            // Dots and dashes at the end are the sentence's.
            let trailing = bytes[body..body + length]
                .iter()
                .rev()
                .take_while(|byte| matches!(byte, b'.' | b'-'))
                .count();
            let end = body + length - trailing;
            let fits = (format.least..=format.most).contains(&(end - body)) && closes(text, end);
            if fits && (format.holds)(&bytes[body..end]) {
                found.push(ByteSpan::new(
                    if format.with_prefix { start } else { body },
                    end,
                ));
                done = end;
            }
        }
    }
}

/// Keys of clouds and services by prefix, and AWS secrets near a clue.
pub(super) fn cloud_keys(text: &str, found: &mut Vec<ByteSpan>) {
    CLOUD.find(text, found);
    aws_secrets(text, found);
}

/// Keys of Git services.
pub(super) fn git_keys(text: &str, found: &mut Vec<ByteSpan>) {
    GIT.find(text, found);
}

static AWS_CLUES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build([
            "aws",
            "secret_access_key",
            "secretaccesskey",
            "secret access key",
            "secret-access-key",
            "secret_key",
            "secret key",
            "secretkey",
        ])
        .expect("a few short literals")
});

/// AWS secret access keys have no prefix: 40 base64 characters within 60 bytes behind a clue, with
/// upper case, lower case and a digit, so that no hexadecimal digest is taken for one.
fn aws_secrets(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for clue in AWS_CLUES.find_iter(text) {
        if clue.start() < done {
            continue;
        }
        let (_, right) = around(text, clue.end(), clue.end(), 104);
        let mut at = clue.end();
        let stop = (clue.end() + 60).min(clue.end() + right.len());
        while at < stop {
            let end = at
                + bytes[at..]
                    .iter()
                    .take(41)
                    .take_while(|byte| alphanumeric(**byte) || matches!(byte, b'+' | b'/'))
                    .count();
            let token = &bytes[at..end];
            let mixed = token.iter().any(u8::is_ascii_uppercase)
                && token.iter().any(u8::is_ascii_lowercase)
                && token.iter().any(u8::is_ascii_digit);
            if token.len() == 40 && mixed && opens(text, at) && closes(text, end) {
                found.push(ByteSpan::new(at, end));
                done = end;
                break;
            }
            // To the end of this token, however long, then past what separates it from the next.
            at = end.max(at + 1);
            while at < stop
                && (alphanumeric(bytes[at]) || matches!(bytes[at], b'+' | b'/'))
                && alphanumeric(bytes[at - 1])
            {
                at += 1;
            }
        }
    }
}

/// PEM and PGP private-key blocks up to [`Patterns::MAX_MATCH_BYTES`]. Without its end line a
/// block goes as far as its base64 does: fail closed.
pub(super) fn private_keys(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for start in BEGIN.find_iter(bytes) {
        if start < done {
            continue;
        }
        let name_at = start + 11;
        let name = &bytes[name_at..(name_at + 64).min(bytes.len())];
        let Some(length) = memmem::find(name, b"-----") else {
            continue;
        };
        let name = &name[..length];
        if !(name.ends_with(b"PRIVATE KEY") || name.ends_with(b"PRIVATE KEY BLOCK"))
            || name.contains(&b'\n')
        {
            continue;
        }
        let body = name_at + length + 5;
        let limit = (start + Patterns::MAX_MATCH_BYTES).min(bytes.len());
        let end_line = [b"-----END ", name, b"-----"].concat();
        done = match memmem::find(&bytes[body.min(limit)..limit], &end_line) {
            Some(at) => body + at + end_line.len(),
            None => key_material_end(bytes, body),
        };
        found.push(ByteSpan::new(start, done));
    }
}

/// End of the lines behind a begin line that hold base64 or headers. A line break may be escaped
/// (`\n` as two characters), as it is in logs.
fn key_material_end(bytes: &[u8], body: usize) -> usize {
    let mut end = body;
    let mut at = body;
    while at < bytes.len() {
        let is_break = |at: usize| {
            matches!(bytes[at], b'\n' | b'\r')
                || bytes[at] == b'\\' && matches!(bytes.get(at + 1), Some(b'n' | b'r'))
        };
        let mut line_end = at;
        while line_end < bytes.len() && !is_break(line_end) {
            line_end += 1;
        }
        let line = bytes[at..line_end].trim_ascii();
        let material = line.iter().take_while(|byte| base64(**byte)).count();
        let header = line.starts_with(b"Proc-Type:")
            || line.starts_with(b"DEK-Info:")
            || line.starts_with(b"Version:")
            || line.starts_with(b"Comment:");
        let first = end == body;
        if material == line.len() || header {
            if !line.is_empty() {
                end = line_end;
            }
        } else {
            // The last line may be cut by a quote; words of a sentence are no key.
            if material >= 16 || first && material > 0 && !line[material..].contains(&b' ') {
                let lead = bytes[at..line_end].len() - bytes[at..line_end].trim_ascii_start().len();
                end = at + lead + material;
            }
            return end;
        }
        if line_end >= bytes.len() {
            return end;
        }
        at = line_end + if bytes[line_end] == b'\\' { 2 } else { 1 };
    }
    end
}

/// Addresses of Bitcoin (base58check, bech32, bech32m) and Ethereum (EIP-55 where the case is mixed).
pub(super) fn crypto(text: &str, found: &mut Vec<ByteSpan>) {
    base58_addresses(text, found);
    let bytes = text.as_bytes();
    for head in ADDRESS_HEADS.find_iter(text) {
        let start = head.start();
        if !opens(text, start) {
            continue;
        }
        // 42 characters with `0x`; 90 at most for bech32 (BIP-173).
        let length = bytes[start..]
            .iter()
            .take(91)
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        let end = start + length;
        let address = &text[start..end];
        let valid = match head.pattern().as_usize() {
            0 | 1 => {
                length == 42
                    && address[2..].bytes().all(|byte| byte.is_ascii_hexdigit())
                    && eip55(&address[2..])
            }
            _ => bech32::segwit::decode(address).is_ok(),
        };
        if valid && closes(text, end) {
            found.push(ByteSpan::new(start, end));
        }
    }
}

fn base58_addresses(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for start in memchr::memchr2_iter(b'1', b'3', bytes) {
        // Addresses are 25 to 35 characters: most tokens end sooner.
        if start < done || start > 0 && bytes[start - 1].is_ascii_alphanumeric() {
            continue;
        }
        let length = bytes[start..]
            .iter()
            .take(36)
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
        done = start + length;
        if !(25..=35).contains(&length) || !opens(text, start) || !closes(text, done) {
            continue;
        }
        let address = bs58::decode(&bytes[start..done])
            .with_check(None)
            .into_vec();
        // Version 0 (pay to public-key hash) or 5 (to script hash), 20 bytes of hash.
        if address.is_ok_and(|address| address.len() == 21 && matches!(address[0], 0 | 5)) {
            found.push(ByteSpan::new(start, done));
        }
    }
}

/// The EIP-55 checksum of 40 hex digits; digits of one case carry none.
fn eip55(hex: &str) -> bool {
    let upper = hex.bytes().any(|byte| byte.is_ascii_uppercase());
    let lower = hex.bytes().any(|byte| byte.is_ascii_lowercase());
    if !(upper && lower) {
        return true;
    }
    let hash = Keccak256::digest(hex.to_ascii_lowercase());
    hex.bytes().enumerate().all(|(at, digit)| {
        let nibble = hash[at / 2] >> (4 * (1 - at % 2)) & 0xf;
        !digit.is_ascii_alphabetic() || digit.is_ascii_uppercase() == (nibble >= 8)
    })
}
