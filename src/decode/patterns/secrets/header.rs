//! Headers of HTTP that carry credentials: `Authorization`, `Cookie`, `Set-Cookie`.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    super::borders::opens,
    placeholder::{is_placeholder, is_random},
    prefixed::{keep_outermost, with_digit},
    value::{bare_end, quoted},
};
use crate::text::ByteSpan;

static AUTHORIZATION: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(["authorization", "bearer ", "basic "])
        .expect("short literals")
});

/// Schemes of the registry of HTTP authentication schemes, and some in wide use.
const SCHEMES: [&str; 24] = [
    "basic",
    "bearer",
    "digest",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "negotiate",
    "ntlm",
    "hawk",
    "oauth",
    "dpop",
    "hoba",
    "mutual",
    "vapid",
    "gnap",
    "privatetoken",
    "scram-sha-1",
    "scram-sha-256",
    "aws4-hmac-sha256",
    "aws",
    "sharedkey",
    "sharedaccesssignature",
    "key",
];

/// Credentials of `Authorization` and `Proxy-Authorization` behind their scheme, and of `Bearer` and
/// `Basic` without the header's name.
pub(in super::super) fn authorizations(text: &str, found: &mut Vec<ByteSpan>) {
    let from = found.len();
    let bytes = text.as_bytes();
    let mut done = 0;
    for mark in AUTHORIZATION.find_iter(text) {
        if mark.start() < done {
            continue;
        }
        let span = match mark.pattern().as_usize() {
            0 => header_value(bytes, mark.end()).and_then(|at| credentials(text, at)),
            1 if opens(text, mark.start()) => bare_bearer(text, mark.end()),
            2 if opens(text, mark.start()) => bare_basic(text, mark.end()),
            _ => None,
        };
        if let Some(span) = span {
            done = span.end;
            found.push(span);
        }
    }
    keep_outermost(found, from);
}

/// Where the value of a header begins, behind its name at `at`: quotes and `:`, `=` or `=>`.
fn header_value(bytes: &[u8], at: usize) -> Option<usize> {
    let skip = |from: usize, marks: &[u8]| {
        from + bytes[from..]
            .iter()
            .take(12)
            .take_while(|byte| marks.contains(byte))
            .count()
    };
    let closed = skip(at, b"\\\"'`])* \t");
    // `"Authorization", "Basic …"`, `set("Authorization", "…")`.
    let separator = skip(closed, b":=>,");
    let comma = bytes.get(closed) == Some(&b',');
    if separator == closed || comma && closed == at {
        return None;
    }
    Some(skip(separator, b" \t[("))
}

fn credentials(text: &str, at: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let (start, end) = match quoted(text, at) {
        Some(inner) => inner,
        None => {
            let end = at + line_end(&bytes[at..]);
            (at, end)
        }
    };
    let value = &text[start..end];
    let word = value.split([' ', '\t']).next().unwrap_or(value);
    let scheme = SCHEMES
        .iter()
        .any(|scheme| word.eq_ignore_ascii_case(scheme));
    if !scheme {
        // Without a scheme: the token alone.
        let token = &value[..bare_end(value, 0)];
        let holds = token.len() >= 8 && with_digit(token.as_bytes()) && !is_placeholder(token);
        return holds.then(|| ByteSpan::new(start, start + token.len()));
    }
    let behind = &value[word.len()..];
    let lead = behind.len() - behind.trim_start().len();
    let from = start + word.len() + lead;
    let rest = behind.trim();
    // Parameters (`Digest username="ana", …`) go to the header's end; a token to its own.
    let parameters = rest.find('=').is_some_and(|at| {
        at > 0
            && rest[..at]
                .bytes()
                .all(|b| b.is_ascii_alphabetic() || b == b'-' || b == b'_')
    }) && rest.contains([',', '"']);
    let length = if parameters {
        rest.len()
    } else {
        bare_end(rest, 0)
    };
    let token = &rest[..length];
    let holds = length >= 3 && !is_placeholder(token) && !is_words(rest, length);
    holds.then(|| ByteSpan::new(from, from + length))
}

/// Whether words of a sentence follow a scheme: `Authorization: bearer authentication is on`.
fn is_words(rest: &str, length: usize) -> bool {
    rest[..length].chars().all(char::is_alphabetic)
        && rest[..length].len() < 16
        && rest[length..].trim_start().starts_with(char::is_alphabetic)
}

fn line_end(bytes: &[u8]) -> usize {
    let limit = bytes.len().min(8192);
    let end = memchr::memchr2(b'\n', b'\r', &bytes[..limit]).unwrap_or(limit);
    let mut end = end;
    while end < bytes.len() && bytes[end] & 0xc0 == 0x80 {
        end -= 1;
    }
    end
}

fn token_end(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..]
        .iter()
        .take(8192)
        .take_while(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'-' | b'.'
                        | b'_'
                        | b'~'
                        | b'+'
                        | b'/'
                        | b'='
                        | b':'
                        | b'|'
                        | b'!'
                        | b'$'
                        | b'*'
                        | b'%'
                )
        })
        .count()
}

/// `Bearer` and a token that looks random.
fn bare_bearer(text: &str, at: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let end = token_end(bytes, at);
    let trailing = bytes[at..end]
        .iter()
        .rev()
        .take_while(|byte| matches!(byte, b'.' | b':' | b'!' | b'*'))
        .count();
    let token = &text[at..end - trailing];
    (is_random(token) && !is_placeholder(token)).then(|| ByteSpan::new(at, end - trailing))
}

/// `Basic` and base64 of `user:password`.
fn bare_basic(text: &str, at: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let end = at
        + bytes[at..]
            .iter()
            .take(1024)
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
            .count();
    let login = STANDARD.decode(&bytes[at..end]).ok()?;
    let is_login = login.contains(&b':')
        && str::from_utf8(&login).is_ok_and(|login| !login.chars().any(char::is_control));
    is_login.then(|| ByteSpan::new(at, end))
}

static COOKIE: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(["cookie", "curl"])
        .expect("short literals")
});

/// Attributes of `Set-Cookie` (RFC 6265, RFC 6265bis, CHIPS), and others that are no cookie.
const ATTRIBUTES: [&str; 11] = [
    "path",
    "domain",
    "expires",
    "max-age",
    "samesite",
    "httponly",
    "secure",
    "partitioned",
    "priority",
    "version",
    "comment",
];

/// The values of cookies in `Cookie` and `Set-Cookie` headers, one span each.
pub(in super::super) fn cookies(text: &str, found: &mut Vec<ByteSpan>) {
    let from = found.len();
    let bytes = text.as_bytes();
    let mut done = 0;
    for mark in COOKIE.find_iter(text) {
        if mark.start() < done {
            continue;
        }
        let list = match mark.pattern().as_usize() {
            0 => cookie_list(bytes, mark.end()),
            _ => curl_cookies(bytes, mark.end()),
        };
        if let Some(at) = list {
            done = pairs(text, at, found);
        }
    }
    keep_outermost(found, from);
}

/// Behind `Cookie:`, `"set-cookie": "`, `cookies = {`, `--cookie "`.
fn cookie_list(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    // `cookie2`, `cookies`, `http_cookie`, not `cookie_name` or `cookielib`.
    let plural = usize::from(rest.first() == Some(&b's') || rest.first() == Some(&b'2'));
    let closed = plural
        + rest[plural..]
            .iter()
            .take(6)
            .take_while(|byte| matches!(byte, b'\\' | b'"' | b'\'' | b']' | b')' | b'`' | b'*'))
            .count();
    let space = closed
        + rest[closed..]
            .iter()
            .take(8)
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
    let option = bytes[..at].ends_with(b"--cookie") && space > closed;
    let separator = space
        + rest[space..]
            .iter()
            .take(2)
            .take_while(|byte| matches!(byte, b':' | b'=' | b'>'))
            .count();
    if separator == space && !option || rest[separator..].is_empty() {
        return None;
    }
    let lead = separator
        + rest[separator..]
            .iter()
            .take(8)
            .take_while(|byte| {
                matches!(
                    byte,
                    b' ' | b'\t' | b'"' | b'\'' | b'\\' | b'[' | b'(' | b'`' | b'*'
                )
            })
            .count();
    Some(at + lead)
}

/// Behind `-b` of `curl`.
fn curl_cookies(bytes: &[u8], at: usize) -> Option<usize> {
    let line = &bytes[at..(at + 1024).min(bytes.len())];
    let line = &line[..memchr::memchr(b'\n', line).unwrap_or(line.len())];
    let flag = memchr::memmem::find(line, b" -b ")?;
    let lead = line[flag + 4..]
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'"' | b'\''))
        .count();
    Some(at + flag + 4 + lead)
}

/// Reads `name=value; name=value`; returns where the list ends.
fn pairs(text: &str, start: usize, found: &mut Vec<ByteSpan>) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    let mut first = true;
    loop {
        let name = at;
        while at < bytes.len() && is_name_byte(bytes[at]) {
            at += 1;
        }
        let written = &text[name..at];
        let attribute = ATTRIBUTES
            .iter()
            .any(|attribute| written.eq_ignore_ascii_case(attribute));
        // `{'name': 'value'}`, as programs print their jar.
        let quotes = run(&bytes[at..], 2, |byte| matches!(byte, b'"' | b'\''));
        let colon =
            bytes.get(start) == Some(&b'{') || quotes > 0 && bytes.get(at + quotes) == Some(&b':');
        if at > name
            && (bytes.get(at) == Some(&b'=') || colon && bytes.get(at + quotes) == Some(&b':'))
        {
            let mut value = at + if bytes[at] == b'=' { 1 } else { quotes + 1 };
            value += run(&bytes[value..], 3, |byte| {
                byte == b' ' && bytes[at] != b'=' || matches!(byte, b'"' | b'\'') && colon
            });
            let end = value_end(text, value);
            if end > value && !attribute && !is_placeholder(&text[value..end]) {
                found.push(ByteSpan::new(value, end));
            }
            at = end;
        } else if first && at > name {
            // No list of pairs: one opaque value.
            let end = value_end(text, name);
            if is_random(&text[name..end]) && !written.starts_with("0x") {
                found.push(ByteSpan::new(name, end));
            }
            return end;
        } else if at == name && first && bytes.get(at) == Some(&b'{') {
            at += 1;
            at += run(&bytes[at..], 3, |byte| matches!(byte, b'"' | b'\'' | b' '));
            first = false;
            continue;
        }
        first = false;
        // Behind a value: its quote, then `;` or `,` and the next name.
        let close = run(&bytes[at..], 2, |byte| matches!(byte, b'"' | b'\''));
        let next = if bytes.get(at) == Some(&b';') {
            at
        } else {
            at + close
        };
        let goes_on = match bytes.get(next) {
            Some(b';') => true,
            Some(b',') => close == 0 || colon,
            _ => false,
        };
        if !goes_on {
            return at;
        }
        at = next + 1;
        at += run(&bytes[at..], 3, |byte| {
            matches!(byte, b' ' | b'\t') || matches!(byte, b'"' | b'\'') && colon
        });
        if at >= bytes.len() || at == name {
            return at;
        }
    }
}

/// How many of the first bytes, at most `most`, are of a kind.
fn run(bytes: &[u8], most: usize, is: impl Fn(u8) -> bool) -> usize {
    let bytes = bytes.iter().take(most);
    bytes.take_while(|byte| is(**byte)).count()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'_' | b'-'
                | b'.'
                | b'!'
                | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'*'
                | b'+'
                | b'^'
                | b'`'
                | b'|'
                | b'~'
                | b':'
                | b'['
                | b']'
        )
}

/// End of a cookie's value. JSON in it (decoded from its percent signs) is skipped as a whole.
fn value_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let limit = (start + 8192).min(bytes.len());
    let mut at = start;
    let mut depth = 0usize;
    if matches!(bytes.get(start), Some(b'{' | b'[')) {
        while at < limit {
            match bytes[at] {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                b'\n' | b'\r' => break,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
    }
    while at < limit {
        let next = bytes.get(at + 1).copied();
        let word_next = next.is_some_and(|next| next.is_ascii_alphanumeric());
        let ends = match bytes[at] {
            b';' | b' ' | b'\t' | b'\n' | b'\r' => true,
            b'"' => at > start || !word_next,
            b'\\' => matches!(next, Some(b'"' | b'\'' | b'n' | b'r')),
            b'\'' => !word_next,
            b',' => !word_next,
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
    at
}
