//! Where the value of a name begins, and how it is given.

use crate::text::ByteSpan;

/// Where a value begins, and how it is given.
pub(super) struct Place {
    pub(super) at: usize,
    pub(super) style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `name=value`, `name:value`.
    Tight,
    /// `name = value`.
    Spaced,
    /// `name: value`, as prose writes it too.
    Colon,
    /// `("name", "value")`, `name || "value"`: a quoted value with a digit.
    Argument,
    /// `name == value`: a comparison, in which only a quoted value is one.
    Compared,
    /// `--name value`.
    Option,
    /// `<name>value</name>`.
    Element,
    /// `name 'value'`, `name is value`.
    Bare,
    /// The rest of a line: a part of a form.
    Line,
}

pub(super) fn place(text: &str, name: ByteSpan) -> Option<Place> {
    let bytes = text.as_bytes();
    let at = |at: usize| bytes.get(at).copied();
    let spaces = |from: usize| {
        from + bytes[from..]
            .iter()
            .take(64)
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count()
    };
    if let Some(element) = element(bytes, name) {
        return Some(element);
    }
    let closed = name.end
        + bytes[name.end..]
            .iter()
            .take(8)
            .take_while(|byte| matches!(byte, b'\\' | b'"' | b'\'' | b'`' | b']' | b')' | b'*'))
            .count();
    let separator = spaces(closed);
    let operator = &bytes[separator..(separator + 3).min(bytes.len())];
    let (length, style) = match operator {
        [b'=', b'=', b'='] => (3, Style::Compared),
        [b'=', b'=', ..] => (2, Style::Compared),
        [b'=', b'~', ..] => return None,
        [b'=', b'>', ..] | [b':', b'=', ..] | [b'?', b'=', ..] | [b'+', b'=', ..] => {
            (2, Style::Spaced)
        }
        [b'=', ..] => (1, Style::Spaced),
        [b':', b':', ..] => return None,
        [b':', ..] => (1, Style::Colon),
        [b'|', b'|', ..] => (2, Style::Argument),
        [b',', ..] if closed > name.end && !stands_as_value(bytes, name.start) => {
            (1, Style::Argument)
        }
        _ if "\u{ff1a}".as_bytes() == operator => (3, Style::Colon),
        _ => return without_separator(text, name, closed, separator),
    };
    let behind = separator + length;
    let value = spaces(behind);
    let style = match style {
        Style::Spaced | Style::Colon if separator == closed && value == behind && length == 1 => {
            Style::Tight
        }
        style => style,
    };
    // Markdown closes its emphasis behind the colon: `**Password:** x`.
    let value = match &bytes[value..] {
        [b'*', b'*', b' ', ..] => value + 3,
        _ => value,
    };
    matches!(at(value), Some(byte) if byte != b'\n' && byte != b'\r')
        .then_some(Place { at: value, style })
}

/// `<name>` and `<ns:name attribute="x">` before its value.
fn element(bytes: &[u8], name: ByteSpan) -> Option<Place> {
    let space = bytes[..name.start]
        .iter()
        .rev()
        .take(24)
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b':')
        .count();
    if bytes.get((name.start - space).checked_sub(1)?) != Some(&b'<') {
        return None;
    }
    let rest = &bytes[name.end..(name.end + 200).min(bytes.len())];
    let close = memchr::memchr2(b'>', b'<', rest)?;
    let whole = rest[close] == b'>'
        && (close == 0 || rest[0] == b' ')
        && rest[..close].last() != Some(&b'/');
    whole.then_some(Place {
        at: name.end + close + 1,
        style: Style::Element,
    })
}

/// A value without `=` or `:` before it.
fn without_separator(text: &str, name: ByteSpan, closed: usize, value: usize) -> Option<Place> {
    let bytes = text.as_bytes();
    if stands_as_value(bytes, name.start)
        && let Some(place) = beside_attribute(bytes, name, closed)
    {
        return Some(place);
    }
    if value == name.end {
        return None;
    }
    let next = *bytes.get(value)?;
    let dashes = bytes[..name.start]
        .iter()
        .rev()
        .take_while(|byte| **byte == b'-')
        .count();
    let opens = name.start == dashes
        || bytes[name.start - dashes - 1].is_ascii_whitespace()
        || matches!(bytes[name.start - dashes - 1], b'"' | b'\'' | b'(' | b'[');
    if (1..=2).contains(&dashes) && opens && closed == name.end {
        return (next != b'-').then_some(Place {
            at: value,
            style: Style::Option,
        });
    }
    // `["--password", "x"]`.
    if (1..=2).contains(&dashes) && opens && next == b',' {
        let quote = value
            + 1
            + bytes[value + 1..]
                .iter()
                .take(4)
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
        if matches!(bytes.get(quote), Some(b'"' | b'\'')) {
            return Some(Place {
                at: quote,
                style: Style::Option,
            });
        }
    }
    if matches!(next, b'"' | b'\'') && closed == name.end {
        return Some(Place {
            at: value,
            style: Style::Bare,
        });
    }
    for verb in [
        "is ", "was ", "ist ", "es ", "est ", "is: ", "to ", "lautet ",
    ] {
        if text[value..].starts_with(verb) && closed == name.end {
            return Some(Place {
                at: value + verb.len(),
                style: Style::Bare,
            });
        }
    }
    None
}

/// A value beside a name that is itself a value: of an attribute, or of a form.
fn beside_attribute(bytes: &[u8], name: ByteSpan, closed: usize) -> Option<Place> {
    if let Some(at) = value_attribute(bytes, closed) {
        return Some(Place {
            at,
            style: Style::Tight,
        });
    }
    // A part of a form (RFC 7578): an empty line, then the value.
    let blank = bytes[closed..]
        .iter()
        .take(4)
        .take_while(|byte| matches!(byte, b'\r' | b'\n'))
        .count();
    (blank >= 2 && closed > name.end).then_some(Place {
        at: closed + blank,
        style: Style::Line,
    })
}

/// Whether a name stands as the value of another: `name: DB_PASSWORD`, `key="password"`.
fn stands_as_value(bytes: &[u8], start: usize) -> bool {
    let head = bytes[..start].trim_ascii_end();
    let head = match head {
        [head @ .., b'"' | b'\''] => head,
        head => head,
    };
    let head = match head {
        [head @ .., b'\\'] => head,
        head => head,
    };
    matches!(head.trim_ascii_end().last(), Some(b':' | b'='))
}

/// Behind `value:` or `value=` that follows at `at`.
fn value_attribute(bytes: &[u8], at: usize) -> Option<usize> {
    let skip = |from: usize, marks: &[u8]| {
        from + bytes[from..]
            .iter()
            .take(64)
            .take_while(|byte| byte.is_ascii_whitespace() || marks.contains(byte))
            .count()
    };
    let word = skip(at, b",;\"'\\/");
    let rest = &bytes[word..];
    if !rest.get(..5)?.eq_ignore_ascii_case(b"value") {
        return None;
    }
    let separator = skip(word + 5, b"\"'\\");
    if !matches!(bytes.get(separator), Some(b':' | b'=')) {
        return None;
    }
    let value = skip(separator + 1, b"");
    (value < bytes.len()).then_some(value)
}
