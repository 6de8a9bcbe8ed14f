//! Words before a value that say what it is.

use super::borders::around;

/// Whether one of `words` (lower case) stands within `reach` bytes before `at`: as a word of its
/// own (`mac=`, `hw_addr`) or as a part of a name in camel case (`clientMac`).
pub fn stands_before(text: &str, at: usize, reach: usize, words: &[&str]) -> bool {
    let (left, _) = around(text, at, at, reach);
    let lower = left.to_ascii_lowercase();
    let bytes = left.as_bytes();
    words.iter().any(|word| {
        lower.match_indices(word).any(|(start, _)| {
            let end = start + word.len();
            let opens = start == 0
                || !bytes[start - 1].is_ascii_alphabetic()
                || bytes[start].is_ascii_uppercase() && bytes[start - 1].is_ascii_lowercase();
            let closes = bytes.get(end).is_none_or(|next| !next.is_ascii_lowercase());
            opens && closes
        })
    })
}

/// The name that ends right before `at`, of letters, digits, `_` and `-`.
pub fn name_before(text: &str, at: usize) -> &str {
    // Longer names than this are no words.
    let (left, _) = around(text, at, at, 48);
    let length = left
        .bytes()
        .rev()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        .count();
    &left[left.len() - length..]
}
