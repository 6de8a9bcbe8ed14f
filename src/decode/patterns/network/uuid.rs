//! UUIDs (RFC 9562).

use std::sync::LazyLock;

use memchr::{memchr2, memmem::Finder};

use super::borders::{closes, opens};
use crate::text::ByteSpan;

/// UUIDs in the 8-4-4-4-12 form, of any version, with dashes or underscores; and 32 hex digits
/// without any right behind a name that ends in `uuid` or `guid`.
///
/// The form is rare enough that a word may be glued to its front (`id9aecd797-…`), unless the word
/// is hex too: the first group would be longer then.
pub fn uuid(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    let mut from = 8;
    while let Some(at) = bytes.get(from..).and_then(|rest| memchr2(b'-', b'_', rest)) {
        let separator = from + at;
        from = separator + 1;
        let start = separator - 8;
        if start < done || !is_uuid(bytes, start) {
            continue;
        }
        let end = start + LENGTH;
        let next_to_another = start == done && done > 0;
        if (next_to_another || begins(text, start)) && ends(text, end) {
            found.push(ByteSpan::new(start, end));
            done = end;
            from = end + 8;
        }
    }
    without_separators(text, found);
}

const LENGTH: usize = 36;

fn is_uuid(bytes: &[u8], start: usize) -> bool {
    let Some(uuid) = bytes.get(start..start + LENGTH) else {
        return false;
    };
    let separator = uuid[8];
    uuid.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == separator,
        _ => byte.is_ascii_hexdigit(),
    })
}

fn begins(text: &str, start: usize) -> bool {
    let glued = || {
        text.as_bytes()[..start]
            .iter()
            .rev()
            .take(32)
            .take_while(|byte| !byte.is_ascii() || byte.is_ascii_alphanumeric())
            .any(|byte| !byte.is_ascii_hexdigit())
    };
    opens(text, start) || glued()
}

/// Whether nothing follows that would make the last group longer. Another UUID may.
fn ends(text: &str, end: usize) -> bool {
    let bytes = text.as_bytes();
    closes(text, end) || !bytes[end].is_ascii_hexdigit() || is_uuid(bytes, end)
}

// Built once: on short lines a search costs less than building its finder.
static NAMES: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| [Finder::new(b"uid"), Finder::new(b"UID")]);

fn without_separators(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    for name in NAMES.iter().flat_map(|name| name.find_iter(bytes)) {
        let named = name > 0 && matches!(bytes[name - 1], b'u' | b'U' | b'g' | b'G');
        if !named {
            continue;
        }
        let end = name + 3;
        // What stands between a name and its value: `uuid: "…"`, `"guid":"…"`, `<uuid>…`.
        let gap = bytes[end..]
            .iter()
            .take(8)
            .take_while(|byte| b" =:\"'>({".contains(byte))
            .count();
        let start = end + gap;
        let digits = bytes[start..]
            .iter()
            .take(33)
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        if gap > 0 && digits == 32 && closes(text, start + 32) {
            found.push(ByteSpan::new(start, start + 32));
        }
    }
}
