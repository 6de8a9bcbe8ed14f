//! E-mail addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use memchr::memchr_iter;

use super::{
    borders::{after, before, runs_on},
    domain::{
        has_known_top_level, is_file_suffix, is_known_top_level, is_punycode, is_reserved,
        is_unit_suffix,
    },
};
use crate::text::ByteSpan;

/// E-mail addresses (RFC 5321 mailboxes, RFC 6531 letters), read outward from every `@`.
///
/// The local part is a dot-atom or a quoted string. Of the characters that a dot-atom may hold and
/// that logs put around addresses (`= / & # …`), each is a part only where its neighbours show it.
/// The domain has two labels or more and ends in letters or `xn--`, or is an address literal.
pub fn emails(text: &str, found: &mut Vec<ByteSpan>) {
    let first = found.len();
    for at in memchr_iter(b'@', text.as_bytes()) {
        let Some(end) = domain_end(text, at).or_else(|| literal_end(text, at + 1)) else {
            continue;
        };
        let running_on = text[at + 1..end].chars().any(runs_on);
        let start = local_start(text, at, end, running_on);
        if start == at {
            continue;
        }
        // A quoted local part may hold an address of its own.
        while found.len() > first && found[found.len() - 1].start >= start {
            found.pop();
        }
        found.push(ByteSpan::new(start, end));
    }
}

fn local_start(text: &str, at: usize, end: usize, running_on: bool) -> usize {
    if before(text, at) == Some('"') {
        return quoted_start(text, at).unwrap_or(at);
    }
    let mut start = at;
    let mut right: Option<char> = None;
    while let Some(c) = before(text, start) {
        let part = match c {
            c if is_plain(c) => true,
            '\'' | '’' => {
                right.is_some_and(char::is_alphabetic)
                    && before(text, start - c.len_utf8()).is_some_and(char::is_alphabetic)
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
    if start < at {
        let wider = match before(text, start) {
            Some('=') => rewritten_start(text, start, at),
            Some('/') => slashed_start(text, start, end),
            Some('&' | '!' | '#' | '$') => joined_start(text, start),
            _ => None,
        };
        start = wider.unwrap_or(start);
    }
    // No dot-atom begins with a dot; a dash or tilde there is a list mark.
    let lead = text[start..at].trim_start_matches(['.', '-', '~']);
    at - lead.len()
}

/// ASCII characters of a dot-atom that stand around no address.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '~')
}

/// Start of a quoted local part that ends before the `@` at `at` (`"ana ruiz"@mail.example`).
fn quoted_start(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    // 64 bytes are the most that RFC 5321 allows; each may be escaped.
    let least = at.saturating_sub(130);
    let close = at - 1;
    let mut open = close;
    while open > least {
        open -= 1;
        match bytes[open] {
            b'"' if open == 0 || bytes[open - 1] != b'\\' => {
                let content = &text[open + 1..close];
                // `{"user":"ana","to":"@…`: between two values stands punctuation alone.
                let words = content.chars().any(char::is_alphanumeric)
                    && !content.starts_with([',', ':', '}', ']']);
                return words.then_some(open);
            }
            b'\n' | b'\r' => return None,
            _ => {}
        }
    }
    None
}

/// Start of a local part that holds another address: of a bounce (VERP,
/// `lists+ana.ruiz=mail.example@…`), a signed or forwarded sender (BATV `prvs=…=ana@…`, SRS
/// `SRS0=…=mail.example=ana@…`). `key=ana@…` is none.
fn rewritten_start(text: &str, start: usize, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let length = bytes[..start]
        .iter()
        .rev()
        .take_while(|byte| is_plain(char::from(**byte)) || **byte == b'=')
        .count();
    let run = start - length;
    let piece_starts = (run..start).filter(|from| *from == run || bytes[from - 1] == b'=');
    let mut last = run;
    for from in piece_starts {
        let signed = ["SRS0", "SRS1", "prvs", "btv1", "msprvs1"]
            .iter()
            .any(|tag| {
                let end = from + tag.len();
                text.get(from..end)
                    .is_some_and(|word| word.eq_ignore_ascii_case(tag))
                    && matches!(bytes.get(end), Some(b'=' | b'+' | b'-'))
            });
        if signed {
            return Some(from);
        }
        last = from;
    }
    let owner = &text[last..start - 1];
    let host = &text[start..at];
    // `value=wei.li@…` is a name; behind a word alone, only a name of many hosts makes a domain.
    let bounced = !is_key(owner)
        && if owner.contains(['+', '-', '.']) {
            has_known_top_level(host)
        } else {
            is_common_domain(host)
        };
    let in_query = last > 0 && matches!(bytes[last - 1], b'?' | b'&');
    (bounced && !in_query).then_some(last)
}

fn is_common_domain(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(host, top)| {
        let common = ["com", "net", "org", "edu", "gov", "info"].contains(&top);
        !host.is_empty() && (common || is_reserved(top))
    })
}

/// Whether a name is what logs call the field of an address.
fn is_key(name: &str) -> bool {
    if name.len() < 2 {
        return true;
    }
    let lower = name.to_ascii_lowercase();
    let last = lower.rsplit(['_', '-', '.', '+']).next().unwrap_or(&lower);
    let exact = [
        "to", "from", "cc", "bcc", "rcpt", "mail", "addr", "acct", "account", "name", "contact",
        "login", "path", "envelope", "sip", "sips", "mailto", "xmpp", "id", "by", "for",
    ];
    let ends = [
        "email",
        "address",
        "addresses",
        "recipient",
        "recipients",
        "sender",
        "user",
        "username",
        "login",
        "mailfrom",
        "rcptto",
        "replyto",
        "owner",
        "principal",
        "identity",
    ];
    last.is_empty() || exact.contains(&last) || ends.iter().any(|word| last.ends_with(word))
}

/// Start of a local part with one slash (`dept/ana@mail.example`). Paths, lists of addresses and
/// the rest of a URL are none.
fn slashed_start(text: &str, start: usize, end: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let name_end = start - 1;
    let length = bytes[..name_end]
        .iter()
        .rev()
        .take(65)
        .take_while(|byte| is_plain(char::from(**byte)))
        .count();
    let from = name_end - length;
    let name = &text[from..name_end];
    let opens = before(text, from).is_none_or(|c| {
        c.is_whitespace() || matches!(c, '<' | '"' | '\'' | '(' | ',' | ';' | ':' | '=' | '[')
    });
    let path_goes_on = match bytes.get(end) {
        Some(b'/') => true,
        Some(b'.') => after(text, end + 1).is_some_and(char::is_alphanumeric),
        _ => false,
    };
    let word = name.starts_with(|c: char| c.is_ascii_alphanumeric()) && length <= 64;
    (word && opens && !path_goes_on && !has_known_top_level(name)).then_some(from)
}

/// Start of a local part whose words `& ! # $` join (`r&d@…`, `host!ana@…`); in a query string
/// they end it.
fn joined_start(text: &str, start: usize) -> Option<usize> {
    let name_end = start - 1;
    let length = text.as_bytes()[..name_end]
        .iter()
        .rev()
        .take(65)
        .take_while(|byte| is_plain(char::from(**byte)))
        .count();
    let from = name_end - length;
    let opens = before(text, from)
        .is_none_or(|c| c.is_whitespace() || matches!(c, '<' | '"' | '\'' | '(' | ',' | ';' | ':'));
    let word = text[from..name_end].ends_with(|c: char| c.is_ascii_alphanumeric());
    (word && opens && length <= 64).then_some(from)
}

/// End of the domain behind the `@` at `at`.
fn domain_end(text: &str, at: usize) -> Option<usize> {
    let start = at + 1;
    let mut end = start;
    while let Some(c) = after(text, end) {
        let part = c.is_ascii_alphanumeric()
            || matches!(c, '.' | '-' | '_')
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
    let marks = ['.', '-', '_'];
    let whole = text[start..end].trim_end_matches(marks);
    let mut name = whole;
    let mut unit = false;
    loop {
        let dot = name.rfind('.')?;
        let label = &name[dot + 1..];
        let host = &name[..dot];
        if let Some(length) = top_level(label) {
            let top = &label[..length];
            let known = is_known_top_level(top);
            // The address may be the name of a file (`ana@mail.example.csv`), or a unit's instance.
            let suffix = !known && (is_file_suffix(top) || is_unit_suffix(top));
            unit |= !known && is_unit_suffix(top);
            if !suffix {
                let word = !host.starts_with(['-', '_']) && host.chars().any(char::is_alphanumeric);
                let none = !word
                    || unit && !known
                    || is_version(whole, known)
                    || is_retina_image(whole)
                    || is_object_id(text, at, whole, known);
                return (!none).then_some(start + dot + 1 + length);
            }
        }
        name = host.trim_end_matches(marks);
    }
}

/// Length of the top-level label at the start of `label`.
fn top_level(label: &str) -> Option<usize> {
    let ascii = label
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        .count();
    // Letters of a script that runs on behind ASCII ones are the sentence around it
    // (`ana@example.com谢谢`).
    let length = match label[ascii..].chars().next() {
        Some(c) if ascii > 0 && runs_on(c) => ascii,
        _ => label.len(),
    };
    let top = &label[..length];
    let top = top.split_once('_').map_or(top, |(name, _)| name);
    let top = top.trim_end_matches('-');
    if is_punycode(top) {
        return Some(top.len());
    }
    let letters: usize = top
        .chars()
        .take_while(|c| c.is_alphabetic())
        .map(char::len_utf8)
        .sum();
    // One letter is no top-level domain.
    top[..letters].chars().nth(1)?;
    if letters == top.len() || is_known_top_level(&top[..letters]) && top.is_ascii() {
        return Some(letters);
    }
    // A private one with a dash (`ana@intra.acme-net`).
    let dashed = top.chars().all(|c| c.is_alphabetic() || c == '-');
    dashed.then_some(top.len())
}

/// End of an address literal (`[203.0.113.7]`, `[IPv6:2001:db8::7]`).
fn literal_end(text: &str, start: usize) -> Option<usize> {
    let rest = text[start..].strip_prefix('[')?;
    // The longest is `IPv6:` and an IPv6 address with an IPv4 tail.
    let close = rest.bytes().take(51).position(|byte| byte == b']')?;
    let literal = &rest[..close];
    let tagged = literal
        .get(..5)
        .is_some_and(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    let address = if tagged { &literal[5..] } else { literal };
    let valid = address.parse::<Ipv6Addr>().is_ok() || address.parse::<Ipv4Addr>().is_ok();
    valid.then_some(start + close + 2)
}

/// Whether a domain is the version of a package (`5.4.2.Final`, `1.0.0-beta.rc`, `v0.17.0-rc.x`).
fn is_version(domain: &str, known_top_level: bool) -> bool {
    const QUALIFIERS: [&str; 16] = [
        "final",
        "ga",
        "release",
        "rc",
        "cr",
        "beta",
        "alpha",
        "snapshot",
        "next",
        "dev",
        "canary",
        "pre",
        "preview",
        "nightly",
        "experimental",
        "stable",
    ];
    let number = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    let tagged = domain.starts_with(['v', 'V']);
    let labels = || domain.split('.');
    let mut numbers = 0;
    let mut rest = labels();
    for (place, label) in labels().enumerate() {
        let label = if place == 0 && tagged {
            &label[1..]
        } else {
            label
        };
        if !number(label) {
            break;
        }
        numbers += 1;
        rest.next();
    }
    let next = rest.next().unwrap_or_default();
    let release = numbers > 0
        && next.starts_with(|c: char| c.is_ascii_digit())
        && next.contains(|c: char| !c.is_ascii_digit());
    let versioned = numbers >= 2 || release || tagged && numbers == 1;
    if !versioned || !known_top_level {
        return versioned;
    }
    // `ana@1.0.com` is an address; `foo@1.0.0-beta.dev` is none.
    let last = if release {
        rest.next().unwrap_or_default()
    } else {
        next
    };
    rest.next().is_none()
        && QUALIFIERS
            .iter()
            .any(|word| last.eq_ignore_ascii_case(word))
}

/// Whether a domain is the resolution of an image and the ending of its file (`logo@2x.png`).
fn is_retina_image(domain: &str) -> bool {
    let Some((scale, suffix)) = domain.rsplit_once('.') else {
        return false;
    };
    let scale = scale
        .split_once(['-', '_'])
        .map_or(scale, |(scale, _)| scale);
    let Some(end) = scale.find(['x', 'X']) else {
        return false;
    };
    let number = &scale[..end];
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    digits && matches!(scale.as_bytes().get(end + 1), None | Some(b'.')) && is_file_suffix(suffix)
}

/// Whether an object's identity and a member stand around the `@`
/// (`com.acme.Connection@3f2a1b.close`, `obj@0x7f31.run`).
fn is_object_id(text: &str, at: usize, domain: &str, known_top_level: bool) -> bool {
    let Some((id, _)) = domain.split_once('.') else {
        return false;
    };
    let hex =
        |id: &str| (1..=16).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if id.strip_prefix("0x").is_some_and(hex) {
        return true;
    }
    if known_top_level || !hex(id) || !id.bytes().any(|byte| byte.is_ascii_digit()) || id.len() > 8
    {
        return false;
    }
    let bytes = text.as_bytes();
    if at > 0 && bytes[at - 1] == b';' {
        return true;
    }
    let length = bytes[..at]
        .iter()
        .rev()
        .take(128)
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    let class = &text[at - length..at];
    class.starts_with(|c: char| c.is_ascii_uppercase())
        && class.bytes().any(|byte| byte.is_ascii_lowercase())
}
