//! The value that a telling name is given: in queries, JSON, YAML, TOML and ini files, environment
//! files, connection strings, headers, XML, forms and on command lines.

use super::{
    super::borders::{after, before, runs_on},
    login,
    names::{self, Kind, STEMS},
    placeholder::{is_code, is_identifier, is_placeholder, is_prose, is_random},
    prefixed::{is_uuid, keep_outermost, mixed},
};
use crate::text::ByteSpan;

/// Passwords, passphrases and PINs: behind a name, in URLs, and on command lines.
pub(in super::super) fn passwords(text: &str, found: &mut Vec<ByteSpan>) {
    let from = found.len();
    assigned(text, true, found);
    login::passwords(text, found);
    keep_outermost(found, from);
}

/// Tokens, keys and secrets behind a name.
pub(in super::super) fn tokens(text: &str, found: &mut Vec<ByteSpan>) {
    let from = found.len();
    assigned(text, false, found);
    keep_outermost(found, from);
}

/// Whether a field's name tells that its value is a password, or a token. Each is a value of its own:
/// nothing of it has to be told from the text around it.
pub(in super::super) fn named(name: &str, value: &str) -> Option<Named> {
    let kind = names::kind(name, "")?;
    let place = Place {
        at: 0,
        style: Style::Tight,
    };
    let whole = Value {
        start: 0,
        end: value.len(),
        quoted: true,
    };
    is_secret(value, name, kind, &place, &whole).then_some(match kind {
        Kind::Password | Kind::Phrase | Kind::Pin => Named::Password,
        Kind::Token | Kind::Weak => Named::Token,
    })
}

/// What a field's name tells of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Named {
    Password,
    Token,
}

fn assigned(text: &str, passwords: bool, found: &mut Vec<ByteSpan>) {
    let mut read_to = 0;
    for stem in STEMS.find_iter(text) {
        if stem.start() < read_to {
            continue;
        }
        let name = name_around(text, stem.start(), stem.end());
        read_to = name.end;
        let Some(place) = place(text, name) else {
            continue;
        };
        let word = &text[name.start..name.end];
        let Some(kind) = names::kind(word, word_before(text, name.start)) else {
            continue;
        };
        if passwords != matches!(kind, Kind::Password | Kind::Phrase | Kind::Pin) {
            continue;
        }
        let Some(value) = read(text, &place, kind) else {
            continue;
        };
        if is_secret(text, word, kind, &place, &value) {
            found.push(ByteSpan::new(value.start, value.end));
            read_to = value.end;
        } else if value.end - value.start > VALUE_BYTES / 4 {
            // Or a text of nothing but names would be read again from each.
            read_to = value.end;
        }
    }
}

/// Most bytes of a name to each side of its telling part.
const NAME_BYTES: usize = 64;

/// Longest value that is read. Session tokens have some 1,000 bytes.
const VALUE_BYTES: usize = 4096;

/// The name around one of its parts.
fn name_around(text: &str, start: usize, end: usize) -> ByteSpan {
    let joins = |c: char| c.is_alphanumeric() && !runs_on(c) || matches!(c, '_' | '-' | '.');
    let (mut from, mut to) = (start, end);
    while let Some(c) = before(text, from).filter(|c| joins(*c)) {
        if start - from > NAME_BYTES {
            break;
        }
        from -= c.len_utf8();
    }
    while let Some(c) = after(text, to).filter(|c| joins(*c)) {
        let ends = c == '.' && !after(text, to + 1).is_some_and(char::is_alphanumeric);
        if ends || to - end > NAME_BYTES {
            break;
        }
        to += c.len_utf8();
    }
    let lead = text[from..start].len() - text[from..start].trim_start_matches(['-', '.']).len();
    ByteSpan::new(from + lead, to)
}

/// The word before a name, over one space: `api` before `key`.
fn word_before(text: &str, start: usize) -> &str {
    let head = &text[..start];
    let Some(head) = head.strip_suffix([' ', '_', '-']) else {
        return "";
    };
    let from = head
        .char_indices()
        .rev()
        .take(24)
        .take_while(|(_, c)| c.is_alphanumeric())
        .last()
        .map_or(head.len(), |(at, _)| at);
    &head[from..]
}

/// Where a value begins, and how it is given.
struct Place {
    at: usize,
    style: Style,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
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

fn place(text: &str, name: ByteSpan) -> Option<Place> {
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
    if stands_as_value(bytes, name.start) {
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
        if blank >= 2 && closed > name.end {
            return Some(Place {
                at: closed + blank,
                style: Style::Line,
            });
        }
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

/// A value as it stands.
struct Value {
    start: usize,
    end: usize,
    quoted: bool,
}

fn read(text: &str, place: &Place, kind: Kind) -> Option<Value> {
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

/// Whether the value is a secret, by what its name tells and how it is given.
fn is_secret(text: &str, name: &str, kind: Kind, place: &Place, value: &Value) -> bool {
    let word = &text[value.start..value.end];
    if is_placeholder(word) || place.style == Style::Compared && !value.quoted {
        return false;
    }
    let letters = word.chars().all(char::is_alphabetic);
    // The name of a variable, or the label of a field: `password = user_password`.
    let is_a_name = is_identifier(word)
        && !word.bytes().any(|byte| byte.is_ascii_digit())
        && names::kind(word, "").is_some_and(|kind| kind != Kind::Weak);
    if is_a_name && place.style != Style::Tight {
        return false;
    }
    if !value.quoted && is_code(word) {
        return false;
    }
    if kind == Kind::Pin {
        return (3..=8).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_digit());
    }
    let rest = text[value.end..].trim_start_matches(['"', '\'', '`']);
    let strong = word
        .bytes()
        .any(|byte| byte.is_ascii_digit() || byte.is_ascii_punctuation());
    let fits_style = match place.style {
        Style::Argument => {
            value.quoted && word.bytes().any(|byte| byte.is_ascii_digit()) && !word.contains(' ')
        }
        Style::Bare if !value.quoted => {
            word.len() >= 6
                && word.bytes().any(|byte| byte.is_ascii_digit())
                && word.bytes().any(|byte| byte.is_ascii_alphabetic())
        }
        // `Token: expired at noon` is prose; `password: swordfish` is none.
        Style::Colon if !value.quoted => strong || !more_words(rest),
        // `let token = lexer;`
        Style::Spaced if !value.quoted => strong || !rest.starts_with([';', '(']),
        _ => true,
    };
    if !fits_style {
        return false;
    }
    match kind {
        Kind::Password => {
            let folder = name.eq_ignore_ascii_case("pwd") || name.eq_ignore_ascii_case("oldpwd");
            let is_folder =
                folder && (word.starts_with(['/', '~', '.']) || word.get(1..3) == Some(":\\"));
            let least = if value.quoted { 1 } else { 3 };
            // `pass: 120, fail: 3` counts.
            let count =
                name.eq_ignore_ascii_case("pass") && word.bytes().all(|byte| byte.is_ascii_digit());
            let prose = value.quoted && is_prose(word);
            word.len() >= least && !is_folder && !count && !prose
        }
        Kind::Phrase => word.len() >= 6,
        Kind::Token => {
            let one_word = !word.contains(' ');
            let prose_like = letters && !value.quoted && place.style == Style::Colon;
            let least = if prose_like { 8 } else { 6 };
            one_word && word.len() >= least && !is_reference(word)
        }
        Kind::Weak => is_weak_secret(name, word, place, value),
        Kind::Pin => false,
    }
}

/// Whether another word follows on the line, as in a sentence.
fn more_words(rest: &str) -> bool {
    let Some(next) = rest.strip_prefix([' ', ',', '.', '\t']) else {
        return false;
    };
    next.trim_start_matches([' ', '\t'])
        .starts_with(char::is_alphabetic)
}

/// Whether the value says where a secret is kept, and is none itself.
fn is_reference(word: &str) -> bool {
    const SCHEMES: [&str; 12] = [
        "http://",
        "https://",
        "arn:",
        "vault:",
        "op://",
        "ref+",
        "file:",
        "env:",
        "ssm:",
        "secretsmanager:",
        "projects/",
        "urn:",
    ];
    let path = word.starts_with(['/', '~', '.'])
        && word.matches('/').count() >= 2
        && word.bytes().all(|byte| {
            byte.is_ascii_lowercase()
                || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~')
                || byte.is_ascii_digit()
        });
    // A handle or an address, and what programs print of an object: `Token{a64f992`,
    // `os.BinderProxy@2bd79ce`.
    let handle = word.strip_prefix("0x").is_some_and(|digits| {
        digits.len() <= 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let class = word
        .bytes()
        .take_while(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'.' | b'$' | b'_'))
        .count();
    let object = class > 0
        && matches!(word.as_bytes().get(class), Some(b'{' | b'@'))
        && word[class + 1..]
            .bytes()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count()
            >= 6;
    SCHEMES.iter().any(|scheme| word.starts_with(scheme)) || path || handle || object
}

/// `key`, `sid`, `sig` and the like have other meanings: their value has to look random.
fn is_weak_secret(name: &str, word: &str, place: &Place, value: &Value) -> bool {
    let bytes = word.as_bytes();
    let of_token = bytes.iter().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'+' | b'/' | b'=' | b'_' | b'%' | b'.' | b'~' | b'-' | b':' | b'|'
            )
    });
    let file = word.contains('/') && word.contains(['.', '-', '_']);
    // The security identifiers of Windows.
    if !is_random(word) || !of_token || file || word.starts_with("S-1-") || word.starts_with("0x") {
        return false;
    }
    let lower = name.to_ascii_lowercase();
    let key = lower.ends_with("key") || lower.ends_with("auth") || lower.ends_with("signature");
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    let letters = bytes
        .iter()
        .filter(|byte| byte.is_ascii_alphabetic())
        .count();
    let one_run = digits + letters == bytes.len();
    let random = bytes.len() >= 20 && digits >= 3 && letters >= 3 && (mixed(bytes) || one_run);
    (!key || random && !is_uuid(bytes)) && (place.style != Style::Colon || value.quoted || random)
}
