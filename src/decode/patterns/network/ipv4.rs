//! IPv4 addresses.

use std::net::Ipv4Addr;

use memchr::memchr_iter;

use super::{
    borders::{closes, opens},
    domain,
    version::{continues_version, is_version},
};
use crate::text::ByteSpan;

/// IPv4 addresses in dotted decimal, and the host names that are made of one
/// (`77.113.0.203.in-addr.arpa`, `ip-203-0-113-77.ec2.internal`), found whole.
pub fn ipv4(text: &str, found: &mut Vec<ByteSpan>) {
    dotted(text, found);
    dashed(text, found);
}

fn dotted(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut version_end = None;
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
        if end - start < SHORTEST {
            continue;
        }
        // A range, `10.0.0.1..10.0.0.9`, is two addresses; a full stop ends a sentence.
        let mut piece = start;
        for part in text[start..end].split("..") {
            let from = piece + (part.len() - part.trim_start_matches('.').len());
            let numbers = part.trim_matches('.');
            piece += part.len() + 2;
            let Some((octets, length)) = octets(text, from, numbers) else {
                continue;
            };
            let to = from + length;
            let Some(whole) = whole_name(text, start, from, to) else {
                continue;
            };
            let version = version_end
                .is_some_and(|version| continues_version(text, version, from, octets))
                || is_version(text, from, to, octets);
            if version && whole == ByteSpan::new(from, to) {
                version_end = Some(to);
                continue;
            }
            found.push(whole);
            done = done.max(whole.end);
        }
    }
}

/// Length of `0.0.0.0`.
const SHORTEST: usize = 7;

/// The four numbers at the start of `numbers`, which stands at `from`, and their length.
fn octets(text: &str, from: usize, numbers: &str) -> Option<([u8; 4], usize)> {
    if numbers.len() <= 15
        && let Some(octets) = parse(numbers)
    {
        return Some((octets, numbers.len()));
    }
    // tcpdump and netstat put the port behind a fifth dot.
    let (address, port) = numbers.rsplit_once('.')?;
    let octets = parse(address)?;
    let port: u16 = port.parse().ok()?;
    let to = from + numbers.len();
    // Identifiers of objects begin so.
    let identifier = matches!(octets, [0 | 1, 0..=9, ..] | [2, 5, ..]);
    let is_port = between_arrows(text, from, to) || port > 255 && !identifier;
    is_port.then_some((octets, address.len()))
}

fn parse(numbers: &str) -> Option<[u8; 4]> {
    if let Ok(address) = numbers.parse::<Ipv4Addr>() {
        return Some(address.octets());
    }
    // Some logs fill each number with zeros (`203.000.113.077`).
    if numbers.len() != 15 {
        return None;
    }
    let mut octets = [0; 4];
    let mut parts = numbers.split('.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.len() == 3)?;
        *octet = part.parse().ok()?;
    }
    Some(octets)
}

/// Whether an arrow stands beside, as between the two ends of a packet's way.
fn between_arrows(text: &str, from: usize, to: usize) -> bool {
    let (left, right) = (&text.as_bytes()[..from], &text.as_bytes()[to..]);
    left.ends_with(b" > ")
        || right.starts_with(b" > ")
        || left.ends_with(b" -> ")
        || right.starts_with(b" -> ")
}

/// The address, with the labels that make it a host name, if nothing is glued to it that makes it
/// something else.
fn whole_name(text: &str, run: usize, from: usize, to: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let name_before = from > run
        && from - run == 1
        && run > 0
        && (bytes[run - 1].is_ascii_alphanumeric() || bytes[run - 1] == b'-');
    if !opens(text, from) || !closes(text, to) {
        return None;
    }
    let dot_follows = bytes.get(to) == Some(&b'.');
    if dot_follows && bytes.get(to + 1).is_some_and(u8::is_ascii_digit) {
        // The port behind the fifth dot.
        return (!name_before).then_some(ByteSpan::new(from, to));
    }
    if dot_follows && !closes(text, to + 1) {
        // tcpdump gives a port its service's name.
        let name = bytes[to + 1..]
            .iter()
            .take(64)
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
            .count();
        if !name_before && between_arrows(text, from, to + 1 + name) {
            return Some(ByteSpan::new(from, to));
        }
        let end = domain::end_behind_host(text, to)?;
        // An IPv6 address, nibble by nibble.
        if text[to..end].to_ascii_lowercase().ends_with(".ip6.arpa") {
            return None;
        }
        let start = if name_before {
            label_start(text, from - 1)
        } else {
            from
        };
        return Some(ByteSpan::new(start, end));
    }
    (!name_before).then_some(ByteSpan::new(from, to))
}

/// Start of the labels of a host name that end at `end`.
fn label_start(text: &str, end: usize) -> usize {
    let length = text.as_bytes()[..end]
        .iter()
        .rev()
        .take(128)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        .count();
    let name = &text[end - length..end];
    end - name.trim_start_matches(['.', '-']).len()
}

/// Host names with an address in dashes: `ip-203-0-113-77`, `203-0-113-77.static.isp.example`,
/// `pool203-0-113-77-dsl.isp.example`. Without `ip` or a domain, four numbers say nothing.
fn dashed(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for dash in memchr_iter(b'-', bytes) {
        if dash < done || !bytes.get(dash + 1).is_some_and(u8::is_ascii_digit) {
            continue;
        }
        let start = if dash > done && bytes[dash - 1].is_ascii_digit() {
            let digits = bytes[done..dash]
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            dash - digits
        } else {
            dash + 1
        };
        let run = bytes[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || **byte == b'-')
            .count();
        done = start + run;
        let mut start = start;
        let mut numbers = text[start..done].trim_end_matches('-');
        // The digits before the dash may be a word's: `ec2-203-0-113-77`.
        if numbers.matches('-').count() == 4 && !opens(text, start) {
            numbers = &numbers[numbers.find('-').map_or(0, |dash| dash + 1)..];
            start = dash + 1;
        }
        if numbers.len() < SHORTEST || numbers.len() > 15 || !is_dashed_address(numbers) {
            continue;
        }
        if let Some(span) = host_around(text, start, start + numbers.len()) {
            done = done.max(span.end);
            found.push(span);
        }
    }
}

fn is_dashed_address(numbers: &str) -> bool {
    let mut groups = 0;
    for group in numbers.split('-') {
        let padded = group.len() > 1 && group.starts_with('0');
        if padded || group.parse::<u8>().is_err() {
            return false;
        }
        groups += 1;
    }
    groups == 4
}

fn host_around(text: &str, from: usize, to: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let left = bytes[..from].iter().rev().take(64).take_while(part).count();
    let right = bytes[to..].iter().take(64).take_while(part).count();
    let prefix = text[from - left..from].trim_start_matches(['-', '_']);
    let (start, end) = (from - prefix.len(), to + right);
    if !opens(text, start) || !closes(text, end) {
        return None;
    }
    if let Some(domain_end) = domain::end_behind_host(text, end) {
        return Some(ByteSpan::new(start, domain_end));
    }
    let word = prefix.trim_end_matches(['-', '_']);
    let word = word.rsplit(['-', '_']).next().unwrap_or_default();
    let named = word.eq_ignore_ascii_case("ip") || word.eq_ignore_ascii_case("ec2");
    (named && right == 0).then_some(ByteSpan::new(start, end))
}
