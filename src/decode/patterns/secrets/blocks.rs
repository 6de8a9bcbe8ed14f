//! Private keys: PEM (RFC 7468, OpenSSH, RFC 4716), OpenPGP, PuTTY, age, JSON Web Keys, and the same
//! as bare base64.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use memchr::memmem::{self, Finder};

use super::{
    super::borders::opens,
    prefixed::{any_base64, keep_outermost},
};
use crate::text::ByteSpan;

/// What both the begin line and the end line of a PEM block hold.
static PRIVATE_KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"PRIVATE KEY"));

static PUTTY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"PuTTY-User-Key-File-"));

static AGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"AGE-SECRET-KEY-"));

static KEY_TYPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"kty\""));

/// Most bytes between a begin line and its end line if something else than key material stands
/// between them: a time at each line of a log, quotes, comments.
///
/// Fewer: such a block is cut. More: behind a block that lost its end line, text is taken with it.
const BLOCK_WITH_MARKS_BYTES: usize = 64 * 1024;

/// Private keys of every form. A block ends at its end line, however far that is, as long as
/// nothing but key material stands between; without one, where the key material ends.
pub(in super::super) fn private_keys(text: &str, found: &mut Vec<ByteSpan>) {
    let from = found.len();
    let bytes = text.as_bytes();
    pem(bytes, found);
    putty(bytes, found);
    age(text, found);
    encoded(text, found);
    web_keys(bytes, found);
    keep_outermost(found, from);
}

/// Bytes at the head of `rest` that continue a block of key material, and its end line. `rest` is
/// the text behind a block that reached the end of what was known of its text.
pub(in super::super) fn key_material_end(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    match material_end(bytes, 0, true) {
        (end, true) => end_line_end(bytes, end).unwrap_or(end),
        (end, false) => end,
    }
}

/// A begin line or an end line.
enum Line {
    Begin { start: usize, body: usize },
    End { end: usize },
}

fn pem(bytes: &[u8], found: &mut Vec<ByteSpan>) {
    let lines: Vec<Line> = PRIVATE_KEY
        .find_iter(bytes)
        .filter_map(|at| pem_line(bytes, at))
        .collect();
    let mut done = 0;
    for (index, line) in lines.iter().enumerate() {
        let Line::Begin { start, body } = *line else {
            continue;
        };
        if start < done {
            continue;
        }
        let own_end = match lines.get(index + 1) {
            Some(Line::End { end }) if *end - start <= BLOCK_WITH_MARKS_BYTES => Some(*end),
            _ => None,
        };
        // Not over the next begin line: that block is found by itself.
        let limit = match lines.get(index + 1) {
            Some(Line::Begin { start, .. }) => (*start).max(body),
            _ => bytes.len(),
        };
        done = own_end.unwrap_or_else(|| match material_end(&bytes[..limit], body, false) {
            (end, true) => end_line_end(bytes, end).unwrap_or(end),
            (end, false) => end,
        });
        found.push(ByteSpan::new(start, done));
    }
}

/// The line around `PRIVATE KEY` at `at`: dashes, `BEGIN` or `END`, the kind, ` BLOCK`, dashes.
fn pem_line(bytes: &[u8], at: usize) -> Option<Line> {
    let head_from = at.saturating_sub(64);
    let head = &bytes[head_from..at];
    let (word, begins) = match (memmem::rfind(head, b"BEGIN "), memmem::rfind(head, b"END ")) {
        (Some(begin), end) if end.is_none_or(|end| end < begin) => (begin, true),
        (_, Some(end)) => (end, false),
        _ => return None,
    };
    let kind = &head[word..];
    if !kind
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'_'))
    {
        return None;
    }
    let mut start = head_from + word;
    start -= usize::from(start > 0 && bytes[start - 1] == b' ');
    let dashes = bytes[..start]
        .iter()
        .rev()
        .take_while(|byte| **byte == b'-')
        .count();
    let mut end = at + b"PRIVATE KEY".len();
    if bytes[end..].starts_with(b" BLOCK") {
        end += b" BLOCK".len();
    }
    end += usize::from(bytes.get(end) == Some(&b' '));
    let behind = bytes[end..]
        .iter()
        .take_while(|byte| **byte == b'-')
        .count();
    if dashes < 4 || behind < 4 {
        return None;
    }
    let end = end + behind.min(5);
    Some(match begins {
        true => Line::Begin {
            start: start - dashes,
            body: end,
        },
        false => Line::End { end },
    })
}

/// End of the end line that follows at `at`, behind line breaks.
fn end_line_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut next = at;
    while next < bytes.len() && next < at + 32 {
        match line_break(bytes, next) {
            Some(length) => next += length,
            None if matches!(bytes[next], b' ' | b'\t') => next += 1,
            None => break,
        }
    }
    if !bytes[next..].starts_with(b"----") {
        return None;
    }
    let line = &bytes[next..(next + 100).min(bytes.len())];
    let private = next + memmem::find(line, b"PRIVATE KEY")?;
    match pem_line(bytes, private)? {
        Line::End { end } => Some(end),
        Line::Begin { .. } => None,
    }
}

/// Length of a line break at `at`: a real one, or one that is written `\n` with any number of
/// backslashes.
fn line_break(bytes: &[u8], at: usize) -> Option<usize> {
    if matches!(bytes[at], b'\n' | b'\r') {
        return Some(1);
    }
    let slashes = bytes[at..]
        .iter()
        .take_while(|byte| **byte == b'\\')
        .count();
    let written = slashes > 0 && matches!(bytes.get(at + slashes), Some(b'n' | b'r'));
    written.then_some(slashes + 1)
}

/// Lines of headers that a block may begin with.
const HEADERS: usize = 12;

/// End of the lines behind a begin line that hold headers and base64, and whether the block could
/// go on there: its material was not cut by something else. `inside`: the text begins within a line.
fn material_end(bytes: &[u8], body: usize, inside: bool) -> (usize, bool) {
    let (mut end, mut at) = (body, body);
    let (mut width, mut lines, mut headers) = (0, 0, 0);
    while at < bytes.len() {
        let mut line_end = at;
        // Spaces that stand for line breaks: "…64 characters… …64 characters…".
        while line_end < bytes.len() && line_break(bytes, line_end).is_none() {
            line_end += 1;
        }
        let raw = &bytes[at..line_end];
        let line = raw.trim_ascii();
        let start = at + (raw.len() - raw.trim_ascii_start().len());
        let next = line_end
            + if line_end < bytes.len() {
                line_break(bytes, line_end).unwrap_or(0)
            } else {
                0
            };
        let material = material(line);
        if line.is_empty() {
            at = next;
            continue;
        }
        if lines == 0 && headers < HEADERS && is_header(line) {
            headers += 1;
            (end, at) = (line_end, next);
            continue;
        }
        if material == line.len() {
            // The last line of a block is shorter; OpenPGP's checksum may follow.
            let checksum = line.len() == 5 && line[0] == b'=';
            if lines > 1 - usize::from(inside) && width > 0 && line.len() > width && !checksum {
                return (end, false);
            }
            end = start + line.len();
            lines += 1;
            let partial = inside && lines == 1;
            if !partial && width > 0 && line.len() < width {
                return (checksum_end(bytes, next).unwrap_or(end), true);
            }
            if !partial {
                width = line.len();
            }
            at = next;
            continue;
        }
        // The line may be cut by a quote, or hold the whole block behind spaces; words of a
        // sentence are no key.
        let behind = line[material];
        let cut = matches!(
            behind,
            b'"' | b'\'' | b'`' | b',' | b';' | b')' | b'}' | b']' | b'<' | b'\\'
        );
        if behind == b' ' && material >= 40 {
            let words = spaced_material(line);
            return (start + words, true);
        }
        if material >= 16 || material > 0 && cut {
            return (start + material, false);
        }
        return (end, behind == b'-' && material == 0);
    }
    (end, true)
}

/// Length of base64 that is broken by single spaces.
fn spaced_material(line: &[u8]) -> usize {
    let mut end = 0;
    loop {
        let more = material(&line[end..]);
        if more == 0 {
            return end.saturating_sub(1);
        }
        end += more;
        if line.get(end) != Some(&b' ') || more < 40 {
            return end;
        }
        end += 1;
    }
}

/// `=` and four characters on a line of their own.
fn checksum_end(bytes: &[u8], at: usize) -> Option<usize> {
    let line = bytes.get(at..at + 5)?;
    let ends = bytes.len() == at + 5 || line_break(bytes, at + 5).is_some();
    (line[0] == b'=' && material(&line[1..]) == 4 && ends).then_some(at + 5)
}

/// Length of the base64 at the head of a line, with its padding.
fn material(line: &[u8]) -> usize {
    let body = line
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        .count();
    let padding = line[body..]
        .iter()
        .take(4)
        .take_while(|byte| **byte == b'=')
        .count();
    if body == 0 && padding == 1 {
        // OpenPGP's checksum.
        let checksum = line[1..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
            .count();
        return if checksum == 4 { 5 } else { 0 };
    }
    body + padding
}

/// `Proc-Type: 4,ENCRYPTED`, `Version: GnuPG v2`, `Comment: …`.
fn is_header(line: &[u8]) -> bool {
    let name = line
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
        .count();
    (3..=32).contains(&name) && line.get(name) == Some(&b':') && line.get(name + 1) == Some(&b' ')
}

/// Most bytes of a line in a key file of PuTTY; its comment may be long.
const PUTTY_LINE_BYTES: usize = 1024;

/// Key files of PuTTY: lines of `Name: value` and base64 to `Private-MAC`.
fn putty(bytes: &[u8], found: &mut Vec<ByteSpan>) {
    let mut done = 0;
    for start in PUTTY.find_iter(bytes) {
        if start < done {
            continue;
        }
        let (mut at, mut end) = (start, start);
        let mut private = false;
        while at < bytes.len() {
            let mut line_end = at;
            while line_end < bytes.len().min(at + PUTTY_LINE_BYTES)
                && line_break(bytes, line_end).is_none()
            {
                line_end += 1;
            }
            let line = bytes[at..line_end].trim_ascii();
            let mac = line.starts_with(b"Private-MAC:") || line.starts_with(b"Private-Hash:");
            private |= line.starts_with(b"Private-Lines:");
            if !is_header(line) && material(line) != line.len() {
                // The line may be cut by a quote.
                if private && material(line) >= 16 {
                    end = at + material(line);
                }
                break;
            }
            if mac {
                let value = line.iter().position(|byte| *byte == b':').unwrap_or(0) + 2;
                let digits = line[value.min(line.len())..]
                    .iter()
                    .take_while(|byte| byte.is_ascii_hexdigit())
                    .count();
                end = at + value + digits;
                break;
            }
            end = line_end;
            if line_end >= bytes.len() {
                break;
            }
            let Some(length) = line_break(bytes, line_end) else {
                break;
            };
            at = line_end + length;
        }
        done = end.max(start + 1);
        if private {
            found.push(ByteSpan::new(start, end));
        }
    }
}

/// Secret keys of age: bech32 in upper case, also of its plugins and post-quantum keys.
fn age(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    for start in AGE.find_iter(bytes) {
        let end = start
            + bytes[start..]
                .iter()
                .take(4096)
                .take_while(|byte| {
                    byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b'-'
                })
                .count();
        if end - start >= 50 && opens(text, start) {
            found.push(ByteSpan::new(start, end));
        }
    }
}

/// `-----BEGIN ` in base64 at its three alignments, `openssh-key-v1`, and heads of PKCS #1 and
/// PKCS #8 in base64: `SEQUENCE { INTEGER 0` of a long, a short, and the shortest form.
static ENCODED_HEADS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::new([
        "LS0tLS1CRUdJTi",
        "0tLS0tQkVHSU4g",
        "tLS0tLUJFR0lOI",
        "b3BlbnNzaC1rZXktdjE",
        "MII",
        "MIG",
        "MHcCAQEE",
        "MC4CAQAw",
        "MIHuAgEA",
    ])
    .expect("a few short literals")
});

/// Base64 as it stands, without a care for the bits behind its end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Least length of a private key in base64; Ed25519 has 64.
const LEAST_ENCODED: usize = 60;

/// Base64 that holds a PEM block (as in a secret of Kubernetes), or a key without its begin line.
fn encoded(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    // The run of base64 last looked at: a run may hold many heads.
    let (mut run_start, mut run_end) = (0, 0);
    for head in ENCODED_HEADS.find_iter(text) {
        let at = head.start();
        if at < done {
            continue;
        }
        let kind = head.pattern().as_usize();
        let whole = kind <= 2;
        if !whole && at > 0 && any_base64(bytes[at - 1]) && bytes[at - 1] != b'=' {
            continue;
        }
        if at >= run_end {
            run_start = at - left_run(&bytes[done..at]);
            run_end = base64_end(bytes, at);
        }
        // A block may follow other things within the base64; a bare key begins it.
        let start = if whole { run_start } else { at };
        let end = run_end;
        if end - at < LEAST_ENCODED {
            continue;
        }
        let holds = match kind {
            0 => decoded(bytes, at, 96).is_some_and(|pem| is_private(&pem)),
            // The characters before the alignment hold bits of what stands before the dashes.
            1 => decoded(bytes, at + 2, 96).is_some_and(|pem| is_private(&pem)),
            2 => decoded(bytes, at + 1, 96).is_some_and(|pem| is_private(&pem)),
            3 => true,
            _ => decoded(bytes, at, 48).is_some_and(|der| is_private_der(&der)),
        };
        if holds {
            found.push(ByteSpan::new(start, end));
            done = end;
        }
    }
}

fn left_run(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rev()
        .take_while(|byte| any_base64(**byte) && **byte != b'=')
        .count()
}

/// The first `length` characters from `at` on, decoded; line breaks do not count.
fn decoded(bytes: &[u8], at: usize, length: usize) -> Option<Vec<u8>> {
    let head: Vec<u8> = bytes[at..]
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .take_while(|byte| any_base64(**byte) && **byte != b'=')
        .take(length)
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => *byte,
        })
        .collect();
    BASE64.decode(&head[..head.len() - head.len() % 4]).ok()
}

/// Whether the first line of a PEM block is that of a private key.
fn is_private(pem: &[u8]) -> bool {
    let line = pem.split(|byte| *byte == b'\n').next().unwrap_or(pem);
    memmem::find(line, b"PRIVATE KEY").is_some()
}

/// Whether DER begins as a private key: PKCS #8 and PKCS #1 have version 0 and then an algorithm or
/// a modulus of at least 64 bytes, SEC 1 version 1 and then an octet string.
fn is_private_der(der: &[u8]) -> bool {
    let Some(rest) = der.strip_prefix(&[0x30]) else {
        return false;
    };
    let rest = match rest.first() {
        Some(0x81) => rest.get(2..),
        Some(0x82) => rest.get(3..),
        Some(length) if *length < 0x80 => rest.get(1..),
        _ => None,
    };
    match rest {
        // An algorithm: OID behind SEQUENCE.
        Some([2, 1, 0 | 1, 0x30, _, 6, ..]) => true,
        Some([2, 1, 0, 2, 0x81 | 0x82, ..]) => true,
        Some([2, 1, 1, 4, 16..=80, ..]) => true,
        _ => false,
    }
}

/// End of the base64 at `at`, over line breaks with indentation between full lines.
fn base64_end(bytes: &[u8], at: usize) -> usize {
    let run = |from: usize| {
        from + bytes[from..]
            .iter()
            .take_while(|byte| any_base64(**byte))
            .count()
    };
    let mut line = at;
    let mut end = run(at);
    let mut width = None;
    loop {
        if end >= bytes.len() || end - line < 48 || bytes[end - 1] == b'=' {
            return end;
        }
        let Some(length) = line_break(bytes, end) else {
            return end;
        };
        let mut next = end + length;
        while next < bytes.len()
            && (matches!(bytes[next], b' ' | b'\t') || line_break(bytes, next).is_some())
            && next < end + 64
        {
            next += line_break(bytes, next).unwrap_or(1);
        }
        let next_end = run(next);
        let fits = width.is_none_or(|width| next_end - next <= width);
        // A short last line is the key's only if nothing but its padding or the line's end follows.
        let alone = next_end >= bytes.len()
            || line_break(bytes, next_end).is_some()
            || matches!(bytes[next_end], b'"' | b'\'');
        if next_end == next || !fits || next_end - next < 48 && !alone {
            return end;
        }
        width = Some(end - line);
        (line, end) = (next, next_end);
    }
}

/// Most bytes of a JSON Web Key that are looked through.
const WEB_KEY_BYTES: usize = 16 * 1024;

/// Private members of JSON Web Keys (RFC 7518): the values of `d`, `p`, `q`, `dp`, `dq`, `qi`, `k`.
fn web_keys(bytes: &[u8], found: &mut Vec<ByteSpan>) {
    let mut done = 0;
    for key_type in KEY_TYPE.find_iter(bytes) {
        if key_type < done {
            continue;
        }
        let from = key_type.saturating_sub(WEB_KEY_BYTES).max(done);
        let Some(open) = memchr::memrchr(b'{', &bytes[from..key_type]) else {
            continue;
        };
        let open = from + open;
        let limit = (key_type + WEB_KEY_BYTES).min(bytes.len());
        let close = memchr::memchr(b'}', &bytes[key_type..limit]).map_or(limit, |at| key_type + at);
        done = close;
        let mut at = open;
        while let Some(quote) = memchr::memchr(b'"', &bytes[at..close]) {
            let name = at + quote + 1;
            let Some(name_end) = memchr::memchr(b'"', &bytes[name..close]).map(|n| name + n) else {
                break;
            };
            at = name_end + 1;
            let colon = bytes[at..close]
                .iter()
                .take_while(|b| b.is_ascii_whitespace())
                .count();
            if bytes.get(at + colon) != Some(&b':') {
                continue;
            }
            let space = bytes[at + colon + 1..close]
                .iter()
                .take_while(|b| b.is_ascii_whitespace())
                .count();
            let value = at + colon + 1 + space;
            if bytes.get(value) != Some(&b'"') {
                continue;
            }
            let value = value + 1;
            let end = value
                + bytes[value..close]
                    .iter()
                    .take_while(|b| any_base64(**b))
                    .count();
            at = (end + 1).min(close);
            let private = matches!(
                &bytes[name..name_end],
                b"d" | b"p" | b"q" | b"dp" | b"dq" | b"qi" | b"k"
            );
            if private && end - value >= 16 {
                found.push(ByteSpan::new(value, end));
            }
        }
    }
}
