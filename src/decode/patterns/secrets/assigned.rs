//! The value that a telling name is given: in queries, JSON, YAML, TOML and ini files, environment
//! files, connection strings, headers, XML, forms and on command lines.

use super::{
    super::borders::{after, before, runs_on},
    login,
    names::{self, Kind, STEMS},
    place::{Place, Style, place},
    placeholder::{is_code, is_identifier, is_placeholder, is_prose, is_random},
    prefixed::{is_uuid, keep_outermost, mixed},
    value::{VALUE_BYTES, Value, read},
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
