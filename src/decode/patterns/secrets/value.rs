//! How far a value goes that a name is given.

use super::{
    super::borders::after,
    names::Kind,
    place::{Place, Style},
};

/// Longest value that is read. Session tokens have some 1,000 bytes.
pub(super) const VALUE_BYTES: usize = 4096;

/// A value as it stands.
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) quoted: bool,
}

pub(super) fn read(text: &str, place: &Place, kind: Kind) -> Option<Value> {
    let bytes = text.as_bytes();
    let mut at = place.at;
    match place.style {
        Style::Element => {
            let rest = &bytes[at..(at + VALUE_BYTES).min(bytes.len())];
            let rest = &rest[..memchr::memchr(b'<', rest)
                .filter(|end| *end > 0)
                .or_else(|| rest.starts_with(b"<![CDATA[").then_some(rest.len()))?];
            let (lead, rest) = match rest.strip_prefix(b"<![CDATA[") {
                Some(inner) => (9, &inner[..memchr::memmem::find(inner, b"]]>")?]),
                None => (0, rest),
            };
            let space = rest.len() - rest.trim_ascii_start().len();
            let start = at + lead + space;
            return Some(Value {
                start,
                end: start + rest.trim_ascii().len(),
                quoted: true,
            });
        }
        Style::Line => {
            let rest = &bytes[at..(at + VALUE_BYTES).min(bytes.len())];
            let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            return Some(Value {
                start: at,
                end: at + end,
                quoted: true,
            });
        }
        _ => {}
    }
    // `["x"]`, `b'x'`, `("x")`.
    if matches!(bytes.get(at), Some(b'[' | b'('))
        && matches!(bytes.get(at + 1), Some(b'"' | b'\'' | b'\\'))
    {
        at += 1;
    }
    if matches!(
        bytes.get(at),
        Some(b'b' | b'u' | b'r' | b'f' | b'@' | b'N' | b'L')
    ) && matches!(bytes.get(at + 1), Some(b'"' | b'\''))
    {
        at += 1;
    }
    if let Some((start, end)) = quoted(text, at) {
        return Some(Value {
            start,
            end,
            quoted: true,
        });
    }
    // A quote that nothing closes: the text was cut.
    at += bytes[at..]
        .iter()
        .take(2)
        .take_while(|byte| matches!(byte, b'"' | b'\'' | b'`'))
        .count();
    let end = match kind {
        Kind::Phrase => line_end(bytes, at),
        _ => bare_end(text, at),
    };
    (end > at).then_some(Value {
        start: at,
        end,
        quoted: false,
    })
}

/// A value in quotes at `at`; the quotes may be escaped (`\"`), doubled (`""`, in CSV) or tripled.
/// `None` where no quote opens or none closes on its line.
pub(super) fn quoted(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    if let Some(inner) = text[at..].strip_prefix('“') {
        let start = at + '“'.len_utf8();
        return inner
            .find('”')
            .filter(|end| *end > 0 && *end <= VALUE_BYTES)
            .map(|end| (start, start + end));
    }
    let slashes = bytes[at..]
        .iter()
        .take(4)
        .take_while(|byte| **byte == b'\\')
        .count();
    let quote = *bytes.get(at + slashes)?;
    if !matches!(quote, b'"' | b'\'' | b'`') {
        return None;
    }
    let mut run = bytes[at + slashes..]
        .iter()
        .take(3)
        .take_while(|byte| **byte == quote)
        .count();
    if run == 2 {
        let next = bytes.get(at + slashes + 2);
        if slashes > 0 || next.is_none_or(|next| !next.is_ascii_alphanumeric()) {
            run = 1;
        }
    }
    let start = at + slashes + run;
    let mut end = start;
    while end < bytes.len() && end - start <= VALUE_BYTES {
        match bytes[end] {
            b'\n' | b'\r' if run < 3 => return None,
            b'\\' => {
                let more = bytes[end..]
                    .iter()
                    .take_while(|byte| **byte == b'\\')
                    .count();
                let closes =
                    bytes.get(end + more) == Some(&quote) && slashes > 0 && more <= slashes;
                if closes {
                    return (end > start).then_some((start, end));
                }
                end += if slashes > 0 { more } else { 2.min(more + 1) };
            }
            byte if byte == quote => {
                let closing = bytes[end..]
                    .iter()
                    .take(run)
                    .take_while(|byte| **byte == quote)
                    .count();
                if closing == run {
                    return (end > start).then_some((start, end));
                }
                end += 1;
            }
            _ => end += 1,
        }
    }
    None
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..(at + VALUE_BYTES).min(bytes.len())];
    let end = memchr::memchr3(b'\n', b'\r', b'"', rest).unwrap_or(rest.len());
    at + rest[..end].trim_ascii_end().len()
}

/// End of a value without quotes: white space, and marks behind which another name follows.
pub(super) fn bare_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let limit = (start + VALUE_BYTES).min(bytes.len());
    let mut at = start;
    let mut open = [0usize; 3];
    while at < limit {
        let byte = bytes[at];
        let next = bytes.get(at + 1).copied();
        let word_next = next.is_some_and(|next| next.is_ascii_alphanumeric() || next >= 0x80);
        let ends = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b'"' => true,
            b'\\' => {
                let more = bytes[at..]
                    .iter()
                    .take_while(|byte| **byte == b'\\')
                    .count();
                // An escaped quote around it, or a written line break behind it.
                matches!(bytes.get(at + more), Some(b'"' | b'\'' | b'n' | b'r'))
            }
            b'\'' | b'`' => !word_next,
            b'<' => next == Some(b'/') || bytes[at + 1..].starts_with(b"br"),
            b'&' | b'|' | b'^' => next.is_none() || gives_next(bytes, at + 1),
            b';' | b',' => {
                !next.is_some_and(|next| {
                    !next.is_ascii_whitespace()
                        && !matches!(next, b'"' | b'\'' | b'}' | b')' | b']')
                }) || gives_next(bytes, at + 1)
            }
            b'(' | b'[' | b'{' => {
                open[bracket(byte)] += 1;
                false
            }
            // `<your password>`.
            b'>' if at > start && bytes[start] == b'<' => false,
            b')' | b']' | b'}' if open[bracket(byte)] > 0 => {
                open[bracket(byte)] -= 1;
                false
            }
            b')' | b']' | b'}' | b'>' => !word_next,
            // Unicode's own white space and quotes.
            0xc2 | 0xe2 | 0xe3 => after(text, at).is_some_and(|c| {
                c.is_whitespace() || matches!(c, '”' | '’' | '»' | '，' | '。' | '、')
            }),
            _ => false,
        };
        if ends {
            break;
        }
        at += 1;
    }
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    // The full stop, comma or colon of the sentence.
    let trailing = bytes[start..at]
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b'.' | b',' | b';' | b':'))
        .count();
    at - trailing
}

fn bracket(byte: u8) -> usize {
    match byte {
        b'(' | b')' => 0,
        b'[' | b']' => 1,
        _ => 2,
    }
}

/// Whether a name and `=` or `:` follow: `&page=2`, `; Initial Catalog=x`, `,"user":`.
fn gives_next(bytes: &[u8], at: usize) -> bool {
    let rest = &bytes[at..(at + 48).min(bytes.len())];
    let name = rest
        .iter()
        .take_while(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'_' | b'-' | b'.' | b' ' | b'"' | b'\'' | b'[' | b']')
        })
        .count();
    name > 0
        && rest[0].is_ascii_alphabetic() | matches!(rest[0], b'_' | b'"' | b'\'' | b' ')
        && matches!(rest.get(name), Some(b'=' | b':'))
}
