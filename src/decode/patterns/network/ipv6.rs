//! IPv6 addresses.

use std::{net::Ipv6Addr, sync::LazyLock};

use memchr::{memchr_iter, memmem::Finder};

use super::{
    borders::{before, closes, opens},
    clue,
};
use crate::text::ByteSpan;

/// IPv6 addresses (RFC 4291), with `::` and with an IPv4 tail, and their names in the reverse tree
/// (`….ip6.arpa`).
///
/// An address of fewer than three groups with no digit is a path in a program (`dead::beef`), `::`
/// alone is none, and two short numbers (`John 3::16`, `x[1::2]`) are one only where the words or
/// the marks around say so.
pub fn ipv6(text: &str, found: &mut Vec<ByteSpan>) {
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
        let Some(to) = address_end(text, start, end) else {
            continue;
        };
        if !opens(text, start) || !closes(text, to) || is_none(text, start, to) {
            continue;
        }
        found.push(ByteSpan::new(start, to));
        done = done.max(to);
    }
    reverse_names(text, found);
}

/// End of the address that begins at `start`, where hex digits and colons end at `end`.
fn address_end(text: &str, start: usize, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    // The tail may be an IPv4 address, or a port behind a dot (tcpdump).
    let mut tail = end;
    if bytes.get(end) == Some(&b'.') {
        while tail < bytes.len() && (bytes[tail].is_ascii_digit() || bytes[tail] == b'.') {
            tail += 1;
        }
        while bytes[tail - 1] == b'.' {
            tail -= 1;
        }
    }
    for end in [tail, end] {
        let mut candidate = &text[start..end];
        if candidate.ends_with(':') && !candidate.ends_with("::") {
            candidate = &candidate[..candidate.len() - 1];
        }
        if (3..=45).contains(&candidate.len()) && candidate.parse::<Ipv6Addr>().is_ok() {
            return Some(start + candidate.len());
        }
    }
    None
}

/// Whether what reads as an address is something else.
fn is_none(text: &str, start: usize, to: usize) -> bool {
    let candidate = &text[start..to];
    let groups = || candidate.split(':').filter(|group| !group.is_empty());
    let count = groups().count();
    // Eight groups of two digits are an EUI-64.
    if count == 8 && candidate.len() == 23 {
        return true;
    }
    if count > 2 || candidate == "::1" && !is_slice(text, start, to) {
        return false;
    }
    if !candidate.bytes().any(|byte| byte.is_ascii_digit()) {
        return true;
    }
    let short = groups().all(|group| group.len() <= 3);
    if short && is_slice(text, start, to) {
        return true;
    }
    let numbers = groups().all(|group| group.bytes().all(|byte| byte.is_ascii_digit()));
    short && numbers && count == 2 && !says_address(text, start, to)
}

/// Whether brackets stand around that index a value: `x[1::2]`, `a[::2]`, `f()[::2]`.
fn is_slice(text: &str, start: usize, to: usize) -> bool {
    let bytes = text.as_bytes();
    let indexed = start >= 2
        && bytes[start - 1] == b'['
        && (bytes[start - 2].is_ascii_alphanumeric()
            || matches!(bytes[start - 2], b'_' | b']' | b')' | b'"' | b'\''));
    indexed && bytes.get(to) == Some(&b']') && bytes.get(to + 1) != Some(&b':')
}

fn says_address(text: &str, start: usize, to: usize) -> bool {
    let bytes = text.as_bytes();
    let marked = matches!(bytes.get(to), Some(b'/' | b'%'))
        || before(text, start) == Some('[') && bytes.get(to) == Some(&b']');
    marked
        || clue::stands_before(
            text,
            start,
            24,
            &[
                "ip", "ipv6", "ip6", "inet6", "addr", "address", "host", "src", "dst", "client",
                "server", "peer", "remote", "route", "gateway", "via", "from", "to",
            ],
        )
}

// Built once: on short lines a search costs less than building its finder.
static REVERSE: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(b".ip6.arpa"), Finder::new(b".IP6.ARPA")]);

fn reverse_names(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    for finder in REVERSE.iter() {
        for tree in finder.find_iter(bytes) {
            let mut start = tree;
            while start >= 1
                && bytes[start - 1].is_ascii_hexdigit()
                && (start == tree || bytes[start] == b'.')
            {
                start -= 1;
                if start == 0 || bytes[start - 1] != b'.' {
                    break;
                }
                start -= 1;
            }
            // Fewer nibbles are a provider's network.
            if tree - start >= 7 {
                found.push(ByteSpan::new(start, tree + ".ip6.arpa".len()));
            }
        }
    }
}
