//! E-mail addresses, URLs, IP and MAC addresses, UUIDs.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use memchr::{memchr, memchr_iter, memmem::Finder};

use super::borders::{after, around, before, closes, opens, runs_on};
use crate::text::ByteSpan;

/// E-mail addresses (RFC 5321 dot-atoms, RFC 6531 letters), read outward from every `@`.
///
/// The local part holds letters, digits and `. _ % + - ~`, and `'` between letters. The domain has
/// two labels or more and ends in letters or `xn--`. Characters that RFC 5322 allows as well and
/// that stand around addresses in logs (`= / ? & # { } |`) end the address.
pub(super) fn emails(text: &str, found: &mut Vec<ByteSpan>) {
    for at in memchr_iter(b'@', text.as_bytes()) {
        let Some(end) = domain_end(text, at + 1) else {
            continue;
        };
        let running_on = text[at + 1..end].chars().any(runs_on);
        let start = local_start(text, at, running_on);
        if start < at {
            found.push(ByteSpan::new(start, end));
        }
    }
}

fn local_start(text: &str, at: usize, running_on: bool) -> usize {
    let mut start = at;
    let mut right: Option<char> = None;
    while let Some(c) = before(text, start) {
        let part = match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '%' | '+' | '-' | '~' => true,
            '\'' => {
                right.is_some_and(char::is_alphabetic)
                    && before(text, start - 1).is_some_and(char::is_alphabetic)
            }
            // A local part in Han or kana is taken whole; before an ASCII one, such letters are
            // the sentence around it.
            c if runs_on(c) => c.is_alphanumeric() && (running_on || right.is_none_or(runs_on)),
            c => !c.is_ascii() && c.is_alphanumeric(),
        };
        if !part {
            break;
        }
        start -= c.len_utf8();
        right = Some(c);
    }
    // No dot-atom begins with a dot; a dash or tilde there is a list mark.
    let lead = text[start..at].trim_start_matches(['.', '-', '~']);
    at - lead.len()
}

/// End of the domain that begins at `start`.
fn domain_end(text: &str, start: usize) -> Option<usize> {
    let mut end = start;
    while let Some(c) = after(text, end) {
        let part = c.is_ascii_alphanumeric()
            || c == '.'
            || c == '-'
            || !c.is_ascii() && c.is_alphanumeric();
        if !part {
            break;
        }
        // Two dots in a row end a domain.
        if c == '.' && (end == start || text.as_bytes()[end - 1] == b'.') {
            break;
        }
        end += c.len_utf8();
    }
    let mut domain = text[start..end].trim_end_matches(['.', '-']);
    loop {
        let dot = domain.rfind('.')?;
        let top = &domain[dot + 1..];
        if let Some(length) = top_level(top) {
            let host = &domain[..dot];
            if host.starts_with('-') || !host.chars().any(char::is_alphanumeric) {
                return None;
            }
            return Some(start + dot + 1 + length);
        }
        domain = domain[..dot].trim_end_matches(['.', '-']);
    }
}

/// Length of the top-level label at the start of `label`; letters of a script that runs on behind
/// ASCII ones are the sentence around it (`ana@example.com谢谢`).
fn top_level(label: &str) -> Option<usize> {
    let ascii = label
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'-')
        .count();
    let length = match label[ascii..].chars().next() {
        Some(c) if ascii > 0 && runs_on(c) => ascii,
        _ => label.len(),
    };
    let top = label[..length].trim_end_matches('-');
    let punycode = top.len() > 4
        && top
            .get(..4)
            .is_some_and(|head| head.eq_ignore_ascii_case("xn--"));
    let letters = top.chars().count() >= 2 && top.chars().all(char::is_alphabetic);
    (punycode || letters).then_some(top.len())
}

// Built once: on short lines a search costs less than building its finder.
static SCHEME_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"://"));
static WWW: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"www."));

/// URLs with a scheme (`scheme://…`), and `www.` hosts.
pub(super) fn urls(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for at in SCHEME_END.find_iter(bytes) {
        if at < done {
            continue;
        }
        let mut start = at;
        while start > done
            && (bytes[start - 1].is_ascii_alphanumeric()
                || matches!(bytes[start - 1], b'+' | b'-' | b'.'))
        {
            start -= 1;
        }
        while start < at && !bytes[start].is_ascii_alphabetic() {
            start += 1;
        }
        if at - start < 2 {
            continue;
        }
        let host = at + 3;
        let file = text[start..at].eq_ignore_ascii_case("file");
        let begins = after(text, host)
            .is_some_and(|c| c.is_alphanumeric() || c == '[' || c == '_' || file && c == '/');
        if !begins {
            continue;
        }
        let end = url_end(text, start, host);
        if end > host {
            found.push(ByteSpan::new(start, end));
            done = end;
        }
    }
    let schemes = found.len();
    let mut covered = 0;
    for at in WWW.find_iter(bytes) {
        while covered < schemes && found[covered].end <= at {
            covered += 1;
        }
        let inside = covered < schemes && found[covered].start <= at;
        if inside || at < found[schemes..].last().map_or(0, |span| span.end) || !opens(text, at) {
            continue;
        }
        let end = url_end(text, at, at);
        // A host has a label and a top-level one behind `www.`.
        let host = &text[at..end];
        let host = &host[..host.find(['/', '?', '#', ':']).unwrap_or(host.len())];
        if host.matches('.').count() >= 2 {
            found.push(ByteSpan::new(at, end));
        }
    }
}

fn url_end(text: &str, start: usize, host: usize) -> usize {
    let quote = before(text, start).filter(|c| matches!(c, '\'' | '`' | '*'));
    let mut open = [0i32; 2];
    let mut run_on = false;
    let mut last = '/';
    let mut end = host;
    for (offset, c) in text[host..].char_indices() {
        let part = match c {
            c if Some(c) == quote => false,
            '(' => {
                open[0] += 1;
                true
            }
            ')' => {
                open[0] -= 1;
                open[0] >= 0
            }
            '[' => {
                open[1] += 1;
                true
            }
            ']' => {
                open[1] -= 1;
                open[1] >= 0
            }
            '<' | '>' | '"' | '{' | '}' | '|' | '\\' | '^' | '`' => false,
            c if c.is_ascii() => c.is_ascii_graphic(),
            // After a letter of an ASCII path, Han or kana is the sentence around the URL; after
            // a delimiter, or once the URL has some, it is the URL's (an IRI, RFC 3987).
            c if runs_on(c) => {
                let part = c.is_alphanumeric() && (run_on || !last.is_ascii_alphanumeric());
                run_on |= part;
                part
            }
            c => c.is_alphanumeric(),
        };
        if !part {
            break;
        }
        last = c;
        end = host + offset + c.len_utf8();
    }
    let url = &text[host..end];
    let mut kept = url;
    loop {
        let trimmed = kept.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*']);
        // An opening bracket that nothing closes stands around what follows.
        let trimmed = trimmed
            .strip_suffix('(')
            .or(trimmed.strip_suffix('['))
            .unwrap_or(trimmed);
        if trimmed.len() == kept.len() {
            return host + kept.len();
        }
        kept = trimmed;
    }
}

/// IPv4 addresses in dotted decimal without leading zeros. A fifth part, a version's `v` or the
/// word `version` before it, or letters glued to it make it something else.
pub(super) fn ipv4(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for dot in memchr_iter(b'.', bytes) {
        if dot < done || dot == 0 || !bytes[dot - 1].is_ascii_digit() {
            continue;
        }
        let mut start = dot;
        while start > done && (bytes[start - 1].is_ascii_digit() || bytes[start - 1] == b'.') {
            start -= 1;
        }
        let mut end = dot;
        while end < bytes.len() && (bytes[end].is_ascii_digit() || bytes[end] == b'.') {
            end += 1;
        }
        done = end;
        // A range, `10.0.0.1..10.0.0.9`, is two addresses; a full stop ends a sentence.
        let mut piece = start;
        for part in text[start..end].split("..") {
            let from = piece + (part.len() - part.trim_start_matches('.').len());
            let trimmed = part.trim_matches('.');
            let to = from + trimmed.len();
            piece += part.len() + 2;
            if trimmed.len() < 7 || trimmed.len() > 15 || trimmed.parse::<Ipv4Addr>().is_err() {
                continue;
            }
            let glued = to < bytes.len()
                && (!closes(text, to) || bytes[to] == b'.' && !closes(text, to + 1));
            if !opens(text, from) || glued || says_version(text, from) {
                continue;
            }
            if from > 0
                && bytes[from - 1] == b'.'
                && from - 1 == start
                && from >= 2
                && bytes[from - 2].is_ascii_alphanumeric()
            {
                continue;
            }
            found.push(ByteSpan::new(from, to));
        }
    }
}

fn says_version(text: &str, at: usize) -> bool {
    let (left, _) = around(text, at, at, 14);
    let left = left.trim_end_matches([' ', '=', ':', '"', '\'']);
    let word = left
        .bytes()
        .rev()
        .take_while(u8::is_ascii_alphabetic)
        .count();
    let word = &left[left.len() - word..];
    ["version", "ver", "v", "release", "firmware", "build"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

/// IPv6 addresses (RFC 4291), with `::` and with an IPv4 tail. An address of fewer than three
/// groups with no digit is a path in a program (`dead::beef`), and `::` alone is none.
pub(super) fn ipv6(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for colon in memchr_iter(b':', bytes) {
        if colon < done {
            continue;
        }
        let mut start = colon;
        while start > done && bytes[start - 1].is_ascii_hexdigit() {
            start -= 1;
        }
        let mut end = colon;
        let mut colons = 0;
        while end < bytes.len() && (bytes[end].is_ascii_hexdigit() || bytes[end] == b':') {
            colons += usize::from(bytes[end] == b':');
            end += 1;
        }
        done = end;
        if colons < 2 {
            continue;
        }
        // A key before it (`addr:2001:db8::1`) ends in a colon that is not the address's.
        if !opens(text, start) {
            start = colon;
        }
        let lone = bytes.get(start + 1) != Some(&b':') || bytes.get(start + 2) == Some(&b':');
        if bytes[start] == b':' && lone {
            start += 1;
        }
        // The tail may be an IPv4 address.
        let mut tail = end;
        if bytes.get(end) == Some(&b'.') {
            while tail < bytes.len() && (bytes[tail].is_ascii_digit() || bytes[tail] == b'.') {
                tail += 1;
            }
            while bytes[tail - 1] == b'.' {
                tail -= 1;
            }
        }
        let mut candidate = &text[start..tail];
        if candidate.ends_with(':') && !candidate.ends_with("::") {
            candidate = &candidate[..candidate.len() - 1];
        }
        let to = start + candidate.len();
        if candidate.len() < 3 || candidate.len() > 45 || !opens(text, start) || !closes(text, to) {
            continue;
        }
        if candidate.parse::<Ipv6Addr>().is_err() {
            continue;
        }
        let groups = candidate
            .split(':')
            .filter(|group| !group.is_empty())
            .count();
        let plain_word = groups < 3 && !candidate.bytes().any(|b| b.is_ascii_digit());
        // Eight groups of two digits are an EUI-64.
        let eui = groups == 8 && candidate.len() == 23;
        if plain_word || eui {
            continue;
        }
        found.push(ByteSpan::new(start, to));
        done = done.max(to);
    }
}

/// MAC addresses: six or eight (EUI-64) pairs of hex digits with `:` or `-`, or three groups of
/// four with dots.
pub(super) fn mac(text: &str, found: &mut Vec<ByteSpan>) {
    for separator in [b':', b'-'] {
        pairs(text, separator, found);
    }
    let bytes = text.as_bytes();
    let mut done = 0;
    for dot in memchr_iter(b'.', bytes) {
        let Some(start) = dot.checked_sub(4).filter(|start| *start >= done) else {
            continue;
        };
        let end = start + 14;
        if end > bytes.len()
            || bytes[start + 9] != b'.'
            || !all_hex(bytes, &[(start, 4), (start + 5, 4), (start + 10, 4)])
        {
            continue;
        }
        let glued = start > 0 && bytes[start - 1] == b'.'
            || bytes.get(end) == Some(&b'.')
                && bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
        // Digits alone are a decimal number in groups.
        let letters = bytes[start..end].iter().any(u8::is_ascii_alphabetic);
        let digits = bytes[start..end].iter().any(u8::is_ascii_digit);
        if !glued && letters && digits && opens(text, start) && closes(text, end) {
            found.push(ByteSpan::new(start, end));
            done = end;
        }
    }
}

fn pairs(text: &str, separator: u8, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for at in memchr_iter(separator, bytes) {
        let Some(start) = at.checked_sub(2).filter(|start| *start >= done) else {
            continue;
        };
        if !bytes[start].is_ascii_hexdigit()
            || !bytes[start + 1].is_ascii_hexdigit()
            || bytes.get(at + 3) != Some(&separator)
        {
            continue;
        }
        if !opens(text, start) || follows_group(bytes, start, separator) {
            continue;
        }
        let mut end = at;
        let mut groups = 1;
        while bytes.get(end) == Some(&separator)
            && bytes.get(end + 1).is_some_and(u8::is_ascii_hexdigit)
            && bytes.get(end + 2).is_some_and(u8::is_ascii_hexdigit)
        {
            end += 3;
            groups += 1;
        }
        done = end;
        let longer = bytes.get(end) == Some(&separator)
            && bytes.get(end + 1).is_some_and(u8::is_ascii_hexdigit);
        if (groups == 6 || groups == 8) && !longer && closes(text, end) {
            found.push(ByteSpan::new(start, end));
        }
    }
}

/// Whether a group of one to four hex digits and `separator` stand before `at`: the value is a part
/// of a longer one. A key that ends in hex letters (`node:`) is no group.
fn follows_group(bytes: &[u8], at: usize, separator: u8) -> bool {
    if at < 2 || bytes[at - 1] != separator {
        return false;
    }
    let group = bytes[..at - 1]
        .iter()
        .rev()
        .take(5)
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let glued = bytes[..at - 1 - group]
        .last()
        .is_some_and(u8::is_ascii_alphanumeric);
    (1..=4).contains(&group) && !glued
}

/// UUIDs in the 8-4-4-4-12 form (RFC 9562), of any version.
pub(super) fn uuid(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut from = 8;
    while let Some(at) = bytes.get(from..).and_then(|rest| memchr(b'-', rest)) {
        let dash = from + at;
        from = dash + 1;
        let start = dash - 8;
        let end = start + 36;
        if start < done || end > bytes.len() {
            continue;
        }
        if bytes[start + 13] != b'-' || bytes[start + 18] != b'-' || bytes[start + 23] != b'-' {
            continue;
        }
        if !all_hex(
            bytes,
            &[
                (start, 8),
                (start + 9, 4),
                (start + 14, 4),
                (start + 19, 4),
                (start + 24, 12),
            ],
        ) {
            continue;
        }
        if opens(text, start) && closes(text, end) {
            found.push(ByteSpan::new(start, end));
            done = end;
            from = end;
        }
    }
}

fn all_hex(bytes: &[u8], groups: &[(usize, usize)]) -> bool {
    groups
        .iter()
        .all(|&(at, length)| bytes[at..at + length].iter().all(u8::is_ascii_hexdigit))
}
