//! Values that stand where a secret would and are none: masks, templates, types, words of prose.

/// Words that are written in a secret's place.
const WORDS: &[&str] = &[
    "null",
    "none",
    "nil",
    "undefined",
    "nan",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "required",
    "optional",
    "string",
    "str",
    "text",
    "varchar",
    "char",
    "int",
    "integer",
    "number",
    "bool",
    "boolean",
    "object",
    "array",
    "bytes",
    "byte",
    "any",
    "void",
    "var",
    "let",
    "const",
    "self",
    "this",
    "return",
    "password",
    "passwd",
    "pass",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "key",
    "apikey",
    "api_key",
    "credential",
    "credentials",
    "example",
    "redacted",
    "filtered",
    "masked",
    "hidden",
    "removed",
    "empty",
    "blank",
    "unset",
    "missing",
    "invalid",
    "valid",
    "expired",
    "incorrect",
    "correct",
    "wrong",
    "failed",
    "failure",
    "success",
    "ok",
    "set",
    "given",
    "provided",
    "unknown",
    "default",
    "secured",
    "enabled",
    "disabled",
    "authentication",
    "authorization",
    "auth",
    "basic",
    "bearer",
    "digest",
    "negotiate",
    "protected",
    "private",
    "public",
    "static",
    "final",
    "async",
    "await",
    "new",
    "input",
    "prompt",
    "todo",
    "tbd",
    "n/a",
    "na",
    "error",
    "denied",
    "accepted",
    "rejected",
    "publickey",
    "must",
    "should",
    "is",
    "was",
    "the",
    "a",
    "an",
    "for",
    "from",
    "not",
    "and",
    "or",
    "if",
    "to",
    "of",
    "in",
    "with",
    "has",
    "changed",
    "reset",
    "updated",
    "change",
    "option",
    "query",
    "header",
    "cookie",
    "cookies",
    "body",
    "path",
    "file",
    "env",
    "vault",
    "value",
];

/// Whether a value is a mask, a template or one of the words that stand for no value.
pub(super) fn is_placeholder(value: &str) -> bool {
    let bytes = value.as_bytes();
    let Some(first) = bytes.first() else {
        return true;
    };
    // `****`, `xxxxx`, `•••`, `....`, `####`, `????`.
    let mut chars = value.chars();
    let mark = chars.next().expect("the value is not empty");
    let repeats = chars.all(|c| c == mark);
    if repeats && (!mark.is_alphanumeric() || value.len() >= 3 && matches!(mark, 'x' | 'X' | '0')) {
        return true;
    }
    if value.starts_with("***")
        || value.ends_with("****")
        || value.contains("*****")
        || value.contains("••")
    {
        return true;
    }
    // `<password>`, `{{ token }}`, `${TOKEN}`, `$(cat f)`, `$TOKEN`, `%TOKEN%`, `[FILTERED]`, `#{x}`.
    let inner = |open: usize, close: char| {
        value.len() > open + 1 && value.ends_with(close) && is_name(&value[open..value.len() - 1])
    };
    let template = match first {
        b'<' => inner(1, '>') || value.contains("</"),
        b'[' => inner(1, ']'),
        b'{' => {
            value.starts_with("{{")
                || inner(1, '}')
                || value.ends_with(")}") && is_code(&value[1..])
        }
        b'(' => inner(1, ')'),
        b'%' => inner(1, '%') || value.len() == 2,
        b'$' => {
            value.starts_with("${") || value.starts_with("$(") || value.starts_with("$env:") || {
                let name = value[1..].trim_end_matches([')', ';', ',']);
                // A crypt hash begins with `$` too, and goes on with a digit.
                !name.is_empty()
                    && is_identifier(name)
                    && !bytes[1].is_ascii_digit()
                    && (name == name.to_uppercase()
                        || name == name.to_lowercase()
                        || name.len() < 20)
                    && !name.bytes().any(|byte| byte.is_ascii_digit())
            }
        }
        b'#' => value.starts_with("#{"),
        b'@' => inner(1, '@'),
        b'_' => value.starts_with("__") && value.ends_with("__"),
        _ => false,
    };
    if template {
        return true;
    }
    let lower = value.to_lowercase();
    if WORDS.contains(&lower.as_str()) {
        return true;
    }
    // `your-api-key`, `YOUR_TOKEN_HERE`, `my_password_here`.
    lower.starts_with("your")
        && (lower.contains('-') || lower.contains('_') || lower.contains("here"))
        || lower.starts_with("insert") && lower.contains("here")
}

/// Whether brackets hold a name: `[API_KEY_1]`, `{0}`, `<your token>`; not `[hunter2]`.
fn is_name(inner: &str) -> bool {
    let named = inner
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | ':' | '/' | '|' | '*'));
    let digits = inner.bytes().any(|byte| byte.is_ascii_digit());
    !inner.is_empty() && named && !(digits && inner.chars().any(char::is_lowercase))
}

pub(super) fn is_identifier(value: &str) -> bool {
    !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether an unquoted value is an expression of a program: a call, a path, an index, a type.
pub(super) fn is_code(value: &str) -> bool {
    let call = value.find('(').is_some_and(|at| {
        let name = &value[..at];
        name.is_empty()
            || name.bytes().all(|byte| {
                byte.is_ascii_alphabetic()
                    || matches!(
                        byte,
                        b'_' | b'.' | b':' | b'>' | b'-' | b'?' | b'!' | b'&' | b'<'
                    )
            })
    });
    let index = value.find('[').is_some_and(|at| {
        at > 0
            && value[..at]
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'.' | b'$' | b'!'))
    });
    let path = value.contains("::") || value.contains("->") || is_member_path(value);
    let type_of = value.starts_with('&') && is_identifier(value.trim_start_matches(['&', '\'']))
        || value
            .find('<')
            .is_some_and(|at| at > 0 && is_identifier(&value[..at]));
    // A parameter of a closure.
    let closure = value
        .strip_suffix('|')
        .is_some_and(|name| is_identifier(name.trim_start_matches('&')));
    let borrowed = value.starts_with("&[") || value.strip_prefix('&').is_some_and(is_member_path);
    call || index || path || type_of || closure || borrowed
}

/// `self.token`, `config.db.password`: identifiers of letters joined by dots.
fn is_member_path(value: &str) -> bool {
    let parts: Vec<&str> = value.split('.').collect();
    parts.len() >= 2
        && parts.iter().all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        })
}

/// Whether a value is nothing but words: letters and spaces, as in `Enter your password`.
pub(super) fn is_prose(value: &str) -> bool {
    value.contains(' ')
        && value.split(' ').all(|word| {
            word.trim_matches(|c: char| c.is_ascii_punctuation())
                .chars()
                .all(char::is_alphabetic)
        })
}

/// Whether a value looks random: 16 characters or more, letters and digits.
pub(super) fn is_random(value: &str) -> bool {
    value.len() >= 16
        && value.bytes().any(|byte| byte.is_ascii_digit())
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !value.contains(' ')
}
