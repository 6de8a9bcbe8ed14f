//! Keys without a prefix, told by a mark in their middle or at their end.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use super::{
    super::borders::{closes, opens},
    prefixed::{alphanumeric, base64url, hex, mixed},
};
use crate::text::ByteSpan;

static GITHUB: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::new(["ghp_", "gho_", "ghu_", "ghs_", "ghr_"]).expect("a few short literals")
});

/// Tokens of GitHub ("authentication token formats"). With 36 characters the last six are a CRC-32;
/// it decides, so a word may touch the token. Longer ones, of which GitHub says only that they come
/// (installation tokens that hold a JWT), need a digit.
pub(super) fn github(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let run = |from: usize, body: fn(u8) -> bool| {
        from + bytes[from..]
            .iter()
            .take(1024)
            .take_while(|byte| body(**byte))
            .count()
    };
    let mut done = 0;
    for prefix in GITHUB.find_iter(text) {
        let (start, body) = (prefix.start(), prefix.end());
        if start < done {
            continue;
        }
        let short = run(body, alphanumeric);
        let long = run(body, |byte| base64url(byte) || byte == b'.');
        let trailing = bytes[body..long]
            .iter()
            .rev()
            .take_while(|byte| matches!(byte, b'.' | b'-' | b'_'))
            .count();
        let long = long - trailing;
        // Behind the number of the installation.
        let holds_jwt = bytes[body..long.min(body + 40)]
            .windows(3)
            .any(|three| three == b"eyJ");
        let end = if long - body >= 60 && long > short && holds_jwt {
            long
        } else if short - body == 36 {
            if !has_checksum(&bytes[body..short]) {
                continue;
            }
            short
        } else if short - body > 36 && opens(text, start) && mixed(&bytes[body..short]) {
            short
        } else {
            continue;
        };
        if closes(text, end) {
            found.push(ByteSpan::new(start, end));
            done = end;
        }
    }
}

/// The last six of 36 characters are the CRC-32 of the others in base 62.
fn has_checksum(body: &[u8]) -> bool {
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

static MARKS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::new([":A", "Q~", "-us", "AZDO", ".atlasv1.", "_mmk"])
        .expect("a few short literals")
});

/// Tokens of Telegram's bots (`id:A…`), client secrets of Entra ID (`…Q~…`), keys of Mailchimp
/// (`…-us12`), tokens of Azure DevOps (`…AZDO…`) and of HCP Terraform (`….atlasv1.…`), license keys of
/// MaxMind (`…_mmk`).
pub(super) fn marked(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    for mark in MARKS.find_overlapping_iter(text) {
        let at = mark.start();
        let span = match mark.pattern().as_usize() {
            0 => telegram(bytes, at),
            1 => entra(bytes, at),
            2 => mailchimp(bytes, at),
            3 => azure_devops(bytes, at),
            4 => terraform(bytes, at),
            _ => maxmind(bytes, at),
        };
        if let Some((start, end)) = span
            && (opens(text, start) || mark.pattern().as_usize() == 0)
            && closes(text, end)
        {
            found.push(ByteSpan::new(start, end));
        }
    }
}

/// Bytes of `body` that end before `at`, at most `most` of them.
fn left(bytes: &[u8], at: usize, most: usize, body: fn(u8) -> bool) -> usize {
    at - bytes[..at]
        .iter()
        .rev()
        .take(most)
        .take_while(|byte| body(**byte))
        .count()
}

/// Bytes of `body` from `at` on, at most `most` of them.
fn right(bytes: &[u8], at: usize, most: usize, body: fn(u8) -> bool) -> usize {
    at + bytes[at..]
        .iter()
        .take(most)
        .take_while(|byte| body(**byte))
        .count()
}

fn telegram(bytes: &[u8], colon: usize) -> Option<(usize, usize)> {
    let start = left(bytes, colon, 17, |byte| byte.is_ascii_digit());
    let end = right(bytes, colon + 1, 40, base64url);
    ((8..=16).contains(&(colon - start)) && end - colon - 1 == 35).then_some((start, end))
}

fn entra(bytes: &[u8], mark: usize) -> Option<(usize, usize)> {
    let part = |byte| base64url(byte) || matches!(byte, b'~' | b'.');
    let start = left(bytes, mark, 5, part);
    let end = right(bytes, mark + 2, 36, part);
    let digit = bytes
        .get(mark.wrapping_sub(1))
        .is_some_and(u8::is_ascii_digit);
    (mark - start == 4 && digit && (31..=34).contains(&(end - mark - 2))).then_some((start, end))
}

fn mailchimp(bytes: &[u8], dash: usize) -> Option<(usize, usize)> {
    let start = left(bytes, dash, 33, hex);
    let end = right(bytes, dash + 3, 3, |byte| byte.is_ascii_digit());
    (dash - start == 32 && end > dash + 3).then_some((start, end))
}

fn azure_devops(bytes: &[u8], mark: usize) -> Option<(usize, usize)> {
    let start = left(bytes, mark, 77, alphanumeric);
    let end = right(bytes, mark, 9, alphanumeric);
    (mark - start == 76 && end - mark == 8).then_some((start, end))
}

fn terraform(bytes: &[u8], mark: usize) -> Option<(usize, usize)> {
    let start = left(bytes, mark, 15, alphanumeric);
    let end = right(bytes, mark + 9, 80, base64url);
    (mark - start == 14 && end - mark - 9 >= 60).then_some((start, end))
}

fn maxmind(bytes: &[u8], mark: usize) -> Option<(usize, usize)> {
    let body = left(bytes, mark, 30, alphanumeric);
    let start = left(bytes, body.checked_sub(1)?, 7, alphanumeric);
    let holds = mark - body == 29 && bytes[body - 1] == b'_' && body - 1 - start == 6;
    holds.then_some((start, mark + 4))
}

/// Tokens of Discord's bots: the number of the bot in base64, a time, a signature.
pub(super) fn discord(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    for dot in memchr::memchr_iter(b'.', bytes) {
        // Two more parts: six characters and 27 or more behind this dot.
        if bytes.get(dot + 7) != Some(&b'.') {
            continue;
        }
        let start = left(bytes, dot, 29, base64url);
        let end = right(bytes, dot + 8, 48, base64url);
        let fits = (23..=28).contains(&(dot - start))
            && bytes[dot + 1..dot + 7].iter().all(|byte| base64url(*byte))
            && (27..=45).contains(&(end - dot - 8));
        let is_number = || {
            STANDARD_NO_PAD
                .decode(&bytes[start..dot])
                .is_ok_and(|id| id.iter().all(u8::is_ascii_digit))
        };
        if fits && opens(text, start) && closes(text, end) && is_number() {
            found.push(ByteSpan::new(start, end));
        }
    }
}
