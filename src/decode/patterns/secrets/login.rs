//! Passwords beside their user: in URLs and data source names, on command lines, in protocols.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    placeholder::{is_code, is_placeholder},
    value::{bare_end, quoted},
};
use crate::text::ByteSpan;

/// Marks near which a password stands without a name.
static MARKS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build([
            "://",
            "@tcp(",
            "@unix(",
            "@tcp6(",
            "oracle:thin:",
            "curl",
            "sshpass",
            "mysql",
            "mariadb",
            "docker login",
            "podman login",
            "redis-cli",
            "smbclient",
            "identified by",
            "requirepass",
            "masterauth",
            "auth plain",
            "machine ",
            "sqlplus ",
        ])
        .expect("short literals")
});

pub(super) fn passwords(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    for mark in MARKS.find_iter(text) {
        let (start, end) = (mark.start(), mark.end());
        let value = match mark.pattern().as_usize() {
            0 => in_url(text, end),
            1..=3 => before_at(bytes, start),
            4 | 18 => behind_slash(text, end),
            5 => after_flag(
                text,
                end,
                &["-u", "--user", "-U", "--proxy-user"],
                Flag::UserAndPassword,
            ),
            6 => after_flag(text, end, &["-p"], Flag::Password),
            7 | 8 => after_flag(text, end, &["-p"], Flag::Glued),
            9 | 10 => after_flag(text, end, &["-p"], Flag::Password),
            11 => after_flag(text, end, &["-a"], Flag::Password),
            12 => after_flag(text, end, &["-U", "--user"], Flag::PercentSign),
            13 => next_word(text, end).filter(|span| bytes[span.start - 1] != b' '),
            14 | 15 => next_word(text, end),
            16 => next_word(text, end).filter(|span| is_sasl_plain(&bytes[span.start..span.end])),
            _ => netrc(text, end),
        };
        if let Some(value) = value
            && value.end > value.start
            && !is_placeholder(&text[value.start..value.end])
        {
            found.push(value);
        }
    }
}

/// Longest user and password of a URL.
const AUTHORITY_BYTES: usize = 1024;

/// The password of `scheme://user:password@host`. Nothing but white space ends it before the `@`:
/// people write `/`, `#`, `?` and quotes into URLs as they are.
fn in_url(text: &str, start: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let rest = &bytes[start..(start + AUTHORITY_BYTES).min(bytes.len())];
    let rest = &rest[..rest
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(rest.len())];
    // The user has none of these; a host with a port before them is no user.
    let user = rest.iter().position(|byte| {
        matches!(
            byte,
            b':' | b'/' | b'@' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b','
        )
    })?;
    if rest[user] != b':' {
        return None;
    }
    let password = &rest[user + 1..];
    let digits = password
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let port = digits > 0
        && matches!(
            password.get(digits),
            None | Some(
                b'/' | b'?' | b'#' | b'"' | b'\'' | b',' | b';' | b')' | b']' | b'}' | b'>'
            )
        );
    if port {
        return None;
    }
    // Another URL may follow without a space between.
    let password = &password[..memchr::memmem::find(password, b"://").unwrap_or(password.len())];
    let first_end = password
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
        .unwrap_or(password.len());
    let at =
        memchr::memrchr(b'@', &password[..first_end]).or_else(|| memchr::memchr(b'@', password))?;
    let from = start + user + 1;
    (at > 0).then(|| ByteSpan::new(from, from + at))
}

/// The password of `user:password@tcp(host)/db`, as Go's MySQL driver writes it.
fn before_at(bytes: &[u8], at: usize) -> Option<ByteSpan> {
    let from = at.saturating_sub(256);
    let head = &bytes[from..at];
    let begin = head
        .iter()
        .rposition(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'`' | b'='))
        .map_or(0, |at| at + 1);
    let colon = memchr::memchr(b':', &head[begin..])?;
    Some(ByteSpan::new(from + begin + colon + 1, at))
}

/// The password of `user/password@host`.
fn behind_slash(text: &str, start: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let rest = &bytes[start..(start + 256).min(bytes.len())];
    let rest = &rest[..rest
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(rest.len())];
    let slash = memchr::memchr(b'/', rest)?;
    let at = memchr::memchr(b'@', &rest[slash..])? + slash;
    let user = rest[..slash]
        .iter()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'"'));
    (user && slash > 0).then(|| ByteSpan::new(start + slash + 1, start + at))
}

/// What a flag of a command holds.
#[derive(Clone, Copy, PartialEq)]
enum Flag {
    /// `-p password`, `-ppassword`.
    Password,
    /// `-ppassword` only: with a space, `-p` asks for it.
    Glued,
    /// `-u user:password`.
    UserAndPassword,
    /// `-U user%password`.
    PercentSign,
}

/// How far behind its command a flag is looked for.
const COMMAND_BYTES: usize = 1024;

fn after_flag(text: &str, start: usize, flags: &[&str], holds: Flag) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let limit = (start + COMMAND_BYTES).min(bytes.len());
    let line = &bytes[start..limit];
    let mut at = 0;
    while let Some(dash) = memchr::memchr2(b'-', b'\n', &line[at..]) {
        let here = at + dash;
        at = here + 1;
        if line[here] == b'\n' && !line[..here].trim_ascii_end().ends_with(b"\\") {
            return None;
        }
        if here == 0
            || !line[here - 1].is_ascii_whitespace() && !matches!(line[here - 1], b'"' | b'\'')
        {
            continue;
        }
        let Some(flag) = flags
            .iter()
            .find(|flag| line[here..].starts_with(flag.as_bytes()))
        else {
            continue;
        };
        let mut value = start + here + flag.len();
        let next = *bytes.get(value)?;
        let separated = matches!(next, b' ' | b'=' | b'\t' | b'"' | b'\'' | b',');
        let long = flag.starts_with("--");
        if holds == Flag::Glued && separated && next != b'"' && next != b'\'' || long && !separated
        {
            continue;
        }
        if !separated && !long && holds == Flag::Password && line[here..].starts_with(b"-pa") {
            continue;
        }
        while value < limit && matches!(bytes[value], b' ' | b'=' | b'\t') {
            value += 1;
        }
        let (from, to) = quoted(text, value).unwrap_or_else(|| (value, bare_end(text, value)));
        if to <= from || bytes[from] == b'-' {
            continue;
        }
        let mark = match holds {
            Flag::UserAndPassword => b':',
            Flag::PercentSign => b'%',
            Flag::Password | Flag::Glued => return Some(ByteSpan::new(from, to)),
        };
        let inner = &bytes[from..to];
        let split = memchr::memchr(mark, inner)?;
        // Numbers of a user and a group, and URLs, are none.
        let ids = inner
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b':');
        let url = inner[split..].starts_with(b"://");
        return (!ids && !url).then(|| ByteSpan::new(from + split + 1, to));
    }
    None
}

/// A word, or a value in quotes, that follows on the line.
fn next_word(text: &str, at: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let spaces = bytes[at..]
        .iter()
        .take(8)
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    if spaces == 0 {
        return None;
    }
    let at = at + spaces;
    // `IDENTIFIED BY PASSWORD '*hash'`, `IDENTIFIED BY VALUES 'hash'`.
    for word in ["PASSWORD ", "password ", "VALUES ", "values "] {
        if text[at..].starts_with(word) {
            return next_word(text, at + word.len() - 1);
        }
    }
    let (from, to) = quoted(text, at).unwrap_or_else(|| (at, bare_end(text, at)));
    let word = text.get(from..to)?;
    (!is_code(word) && word.len() >= 3 && word != "the" && word != "a")
        .then(|| ByteSpan::new(from, to))
}

/// `\0user\0password` in base64 (RFC 4616).
fn is_sasl_plain(word: &[u8]) -> bool {
    STANDARD
        .decode(word)
        .is_ok_and(|plain| plain.iter().filter(|byte| **byte == 0).count() == 2)
}

/// `machine host login user password x`, as in `.netrc`.
fn netrc(text: &str, start: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let rest = &text[start..text.floor_char_boundary((start + 256).min(bytes.len()))];
    let login = rest.find("login ")?;
    let password = login + rest[login..].find("password ")?;
    if rest[..password].contains("machine ") {
        return None;
    }
    let from = start + password + "password ".len();
    let to = from
        + bytes[from..]
            .iter()
            .take_while(|byte| !byte.is_ascii_whitespace())
            .count();
    Some(ByteSpan::new(from, to))
}
