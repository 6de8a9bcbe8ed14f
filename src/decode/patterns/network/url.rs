//! URLs and the connection strings that look like them.

use std::sync::LazyLock;

use memchr::{memchr, memchr2_iter, memmem::Finder};

use super::borders::{after, before, opens, runs_on};
use crate::text::ByteSpan;

/// URLs with a scheme (`scheme://…`), `www.` hosts, `jdbc:` and `mailto:` URLs, and what drivers
/// take without a scheme (`app:secret@tcp(db.example:3306)/app`, `app:secret@db.example:3306/app`).
///
/// A password ends at the `@` behind it, whatever stands in it but white space. Behind the host,
/// white space and the characters that RFC 3986 keeps out of URLs end one.
pub fn urls(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let first = found.len();
    let mut done = 0;
    for at in memchr2_iter(b':', b'@', bytes) {
        if at < done {
            continue;
        }
        let span = if bytes[at] == b'@' {
            connection_string(text, at, done)
        } else if bytes[at + 1..].starts_with(b"//") {
            with_scheme(text, at, done)
        } else if let Some(start) = word_start(text, at, "jdbc", done) {
            jdbc(text, start)
        } else if let Some(start) = word_start(text, at, "mailto", done) {
            mailto(text, start)
        } else {
            None
        };
        if let Some(span) = span {
            done = span.end;
            found.push(span);
        }
    }
    web_hosts(text, first, found);
}

/// Start of `word`, in any case, that ends at `end`.
fn word_start(text: &str, end: usize, word: &str, done: usize) -> Option<usize> {
    let start = end.checked_sub(word.len()).filter(|start| *start >= done)?;
    let before = &text.as_bytes()[start..end];
    before
        .eq_ignore_ascii_case(word.as_bytes())
        .then_some(start)
}

// Built once: on short lines a search costs less than building its finder.
static WWW: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["www.", "WWW.", "Www."].map(|host| Finder::new(host.as_bytes())));

/// `www.` hosts that stand in none of the URLs found from `first` on.
fn web_hosts(text: &str, first: usize, found: &mut Vec<ByteSpan>) {
    for finder in WWW.iter() {
        let known = found.len();
        let mut next = first;
        let mut done = 0;
        for at in finder.find_iter(text.as_bytes()) {
            while next < known && found[next].end <= at {
                next += 1;
            }
            let inside = next < known && found[next].start <= at;
            if inside || at < done {
                continue;
            }
            if let Some(span) = web_host(text, at) {
                done = span.end;
                found.push(span);
            }
        }
    }
}

/// Longest user name and password that are read, in bytes. Less: a token as password is cut. More:
/// a text without white space is read as far for each `://` in it.
const LONGEST_USER_INFO: usize = 4096;

fn with_scheme(text: &str, at: usize, done: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
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
        return None;
    }
    let host = at + 3;
    let user_info = user_info_end(text, start, host);
    let mut next = text[host..].chars();
    let begins = match next.next()? {
        c if c.is_alphanumeric() => true,
        '[' | '_' => true,
        // No host: a path follows.
        '/' => {
            text[start..at].eq_ignore_ascii_case("file")
                || after(text, host + 1).is_some_and(|c| {
                    c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '~' | '%')
                })
        }
        '*' => next.next() == Some('.'),
        _ => user_info.is_some(),
    };
    if !begins {
        return None;
    }
    let end = url_end(text, start, user_info.unwrap_or(host), Tail::Url);
    (end > host).then_some(ByteSpan::new(start, end))
}

fn web_host(text: &str, at: usize) -> Option<ByteSpan> {
    if !opens(text, at) {
        return None;
    }
    let end = url_end(text, at, at, Tail::Url);
    // A host has a label and a top-level one behind `www.`.
    let host = &text[at..end];
    let host = &host[..host.find(['/', '?', '#', ':']).unwrap_or(host.len())];
    (host.matches('.').count() >= 2).then_some(ByteSpan::new(at, end))
}

/// `jdbc:sub:…` with or without `//`; its properties may hold braces.
fn jdbc(text: &str, at: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let name = at + "jdbc:".len();
    let length = bytes[name..]
        .iter()
        .take(64)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
        .count();
    let rest = name + length;
    let subprotocol = length > 0 && bytes.get(rest) == Some(&b':');
    if !opens(text, at) || !subprotocol {
        return None;
    }
    let stretch = &text[rest + 1..stretch_end(text, rest + 1)];
    // `thin:ana/secret@//db.example:1521/x`, `mysql:replication://ana:secret@…`.
    let user = stretch
        .find("://")
        .map_or(rest + 1, |mark| rest + 1 + mark + 3);
    let host = user_info_end(text, at, user)
        .or_else(|| first_at(text, at, user))
        .unwrap_or(rest + 1);
    let end = url_end(text, at, host, Tail::Properties);
    (end > rest + 1).then_some(ByteSpan::new(at, end))
}

fn mailto(text: &str, at: usize) -> Option<ByteSpan> {
    let address = at + "mailto:".len();
    if !opens(text, at) || !after(text, address).is_some_and(char::is_alphanumeric) {
        return None;
    }
    let end = url_end(text, at, address, Tail::Url);
    let (local, domain) = text[address..end].split_once('@')?;
    let plausible =
        !local.contains(['/', '?']) && domain.starts_with(|c: char| c.is_alphanumeric());
    plausible.then_some(ByteSpan::new(at, end))
}

/// `user:password@network(address)/name` of Go's MySQL driver, and `user:password@host:port`.
fn connection_string(text: &str, at: usize, done: usize) -> Option<ByteSpan> {
    let bytes = text.as_bytes();
    let network = at
        + 1
        + bytes[at + 1..]
            .iter()
            .take(16)
            .take_while(|byte| byte.is_ascii_alphanumeric())
            .count();
    let in_brackets = network > at + 1 && bytes.get(network) == Some(&b'(');
    let path = if in_brackets {
        None
    } else {
        Some(port_end(text, at + 1)?)
    };
    let start = user_start(text, at, done)?;
    // `LeaseRenewer:ana@node:9000` is no password: a database follows, or a key stands before.
    let is_value = start > 0 && bytes[start - 1] == b'=';
    if path.is_some_and(|path| bytes.get(path) != Some(&b'/') && !is_value) {
        return None;
    }
    let end = url_end(text, start, at + 1, Tail::Url);
    Some(ByteSpan::new(start, end))
}

/// End of the host and port that stand at `start`.
fn port_end(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let host = bytes[start..]
        .iter()
        .take(256)
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        .count();
    let colon = start + host;
    if host == 0 || bytes.get(colon) != Some(&b':') {
        return None;
    }
    let digits = bytes[colon + 1..]
        .iter()
        .take(6)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let end = colon + 1 + digits;
    let closes = !after(text, end).is_some_and(|c| c.is_alphanumeric() || c == ':');
    ((2..=5).contains(&digits) && closes).then_some(end)
}

/// Start of the `user:password` that ends at the `@` at `at`: the first colon, from the left, with
/// a name before it that opens a word. A quote behind the colon makes the name a key.
fn user_start(text: &str, at: usize, done: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = at;
    while let Some(c) = before(text, from) {
        if c.is_whitespace() || c.is_control() || from <= done || at - from > 512 {
            break;
        }
        from -= c.len_utf8();
    }
    let from = from.max(done);
    let stretch = &text[from..at];
    for (colon, _) in stretch.match_indices(':') {
        let name = stretch.as_bytes()[..colon]
            .iter()
            .rev()
            .take_while(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'$' | b'%')
            })
            .count();
        let start = from + colon - name;
        let opened = start == from || b"\"'`=<>([{,;|".contains(&bytes[start - 1]);
        let next = bytes[from + colon + 1];
        if name > 0 && opened && !matches!(next, b'"' | b'\'' | b'@') {
            return Some(start);
        }
    }
    None
}

/// End of what stands without white space at `start`.
fn stretch_end(text: &str, start: usize) -> usize {
    text[start..]
        .char_indices()
        .take_while(|(offset, _)| *offset < LONGEST_USER_INFO)
        .find(|(_, c)| c.is_whitespace() || c.is_control())
        .map_or_else(
            || {
                let mut end = text.len().min(start + LONGEST_USER_INFO);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                end
            },
            |(offset, _)| start + offset,
        )
}

/// The byte behind the `@` that ends the `user:password` of a URL, if there is one.
///
/// What a password may hold is bounded by what stands around URLs: a user name that holds a quote,
/// a slash or a bracket is the text behind a host, digits and a delimiter are a port, and the
/// quote that opened before the URL closes it where punctuation follows.
fn user_info_end(text: &str, url: usize, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    // Most URLs have no user.
    let reach = bytes.len().min(start + LONGEST_USER_INFO);
    memchr(b'@', &bytes[start..reach])?;
    let end = stretch_end(text, start);
    let stretch = &text[start..end];
    let colon = stretch.find(':')?;
    let user = stretch[..colon]
        .chars()
        .all(|c| c.is_alphanumeric() || "._-+~%$&!*=@{};\\,".contains(c));
    if !user || is_port(text, url, start + colon + 1, end) {
        return None;
    }
    let mut host = first_at(text, url, start + colon + 1)?;
    // A password may hold an `@` too. What looks like a host with its dot or port is the host.
    loop {
        let rest = &text[host..end];
        let Some(next) = rest.find('@') else { break };
        let between = &rest[..next];
        let Some(odd) = between.find(['"', '<', '>', '{', '}', '|', '\\', '^', '`']) else {
            break;
        };
        let first = &between[..odd];
        let path = between.contains(['/', '?', '#']);
        let is_host = first.is_empty() || first.contains(['.', ':']) || first == "localhost";
        if path || is_host || closes_quote(text, url, host + odd) {
            break;
        }
        host += next + 1;
    }
    Some(host)
}

/// Whether a port and what ends a host stand in `start..end`.
fn is_port(text: &str, url: usize, start: usize, end: usize) -> bool {
    let stretch = &text[start..end];
    let digits = stretch.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=5).contains(&digits) {
        return false;
    }
    match stretch[digits..].chars().next() {
        None => true,
        // A quote inside a word is a part of a password (`ana:12"34@…`), if no quote opened before.
        Some(quote @ ('"' | '\'' | '`')) => {
            before(text, url) == Some(quote)
                || !after(text, start + digits + 1).is_some_and(char::is_alphanumeric)
        }
        Some(c) => "/?#<>,;)]}|:^\\".contains(c),
    }
}

/// The byte behind the first `@` from `start` that a host may follow, in the same stretch and
/// before the quote that closes the URL.
fn first_at(text: &str, url: usize, start: usize) -> Option<usize> {
    let end = stretch_end(text, start);
    for (offset, c) in text[start..end].char_indices() {
        let at = start + offset;
        if c == '@' {
            let next = text[at + 1..end].chars().next();
            if next.is_some_and(|c| c.is_alphanumeric() || "[_/%*(".contains(c)) {
                return Some(at + 1);
            }
        } else if closes_quote(text, url, at) {
            return None;
        }
    }
    None
}

/// Whether the quote at `at` is the one that stands before the URL and what follows it is not a
/// part of a word.
fn closes_quote(text: &str, url: usize, at: usize) -> bool {
    let quote = text.as_bytes()[at];
    matches!(quote, b'"' | b'\'' | b'`')
        && before(text, url) == Some(char::from(quote))
        && after(text, at + 1).is_none_or(|c| c.is_whitespace() || ",;:}])>\"'`\\/".contains(c))
}

/// What may follow the host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// Path, query and fragment.
    Url,
    /// Properties of a driver too, whose values may stand in braces.
    Properties,
}

fn url_end(text: &str, start: usize, host: usize, tail: Tail) -> usize {
    let quote = before(text, start).filter(|c| matches!(c, '\'' | '`' | '*'));
    let mut open = [0i32; 3];
    let mut run_on = false;
    let mut last = '/';
    let mut end = host;
    let mut bracket = |kind: usize, by: i32| {
        open[kind] += by;
        open[kind] >= 0
    };
    for (offset, c) in text[host..].char_indices() {
        let part = match c {
            c if Some(c) == quote => false,
            '(' => bracket(0, 1),
            ')' => bracket(0, -1),
            '[' => bracket(1, 1),
            ']' => bracket(1, -1),
            '{' if tail == Tail::Properties => bracket(2, 1),
            '}' if tail == Tail::Properties => bracket(2, -1),
            '|' | '^' if tail == Tail::Properties => true,
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
        let trimmed = trimmed.strip_suffix(['(', '[', '{']).unwrap_or(trimmed);
        if trimmed.len() == kept.len() {
            return host + kept.len();
        }
        kept = trimmed;
    }
}
