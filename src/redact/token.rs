//! Tokens: what stands in a text in place of an encrypted value, and how they are found again.
//!
//! `weir:1:KEY:LABEL:DATA:`, or `weir:p1:…` and `weir:s1:…`, where KEY is the id of a key, LABEL the label in lower case with `_` for
//! anything but letters and digits, DATA base64url without padding. The colon at the end keeps letters
//! that follow in the text out of the token.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use regex::Regex;

use super::keyed;

/// What made a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// AES-SIV under a tenant's key.
    Encrypted,
    /// AES-SIV under the key of one data subject.
    OfSubject,
    /// age, to somebody's public key.
    Sealed,
}

impl Form {
    fn written(self) -> &'static str {
        match self {
            Self::Encrypted => "1",
            Self::OfSubject => "p1",
            Self::Sealed => "s1",
        }
    }
}

/// A token as it stands in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token<'t> {
    /// All of it.
    pub text: &'t str,
    /// Its first byte in the text.
    pub start: usize,
    /// What made it.
    pub form: Form,
    /// Id of the key.
    pub key_id: &'t str,
    /// The label, in small letters.
    pub label: &'t str,
    /// What is encrypted.
    pub data: Vec<u8>,
}

/// Longest id of a key that fits a token.
pub const KEY_ID_BYTES: usize = 64;

/// Whether a key's id can stand in a token.
pub fn fits_token(key_id: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=KEY_ID_BYTES).contains(&key_id.len()) && key_id.chars().all(is_plain)
}

/// A label as it stands in a token, and as it is bound to what is encrypted.
pub(super) fn label_in_token(label: &str) -> String {
    let mut small = String::with_capacity(label.len());
    keyed::small_letters(label, &mut small);
    small
}

/// Appends a token.
pub(super) fn write(form: Form, key_id: &str, label: &str, data: &[u8], out: &mut String) {
    for part in ["weir", form.written(), key_id, label] {
        out.push_str(part);
        out.push(':');
    }
    URL_SAFE_NO_PAD.encode_string(data, out);
    out.push(':');
}

/// What looks like a token in a text, in order; decryption says whether it is one. Two may overlap: a text may hold
/// the beginning of a token in front of a real one.
pub fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
        let expression = r"^weir:([ps]?1):([A-Za-z0-9._-]{1,64}):([^:\s]+):([A-Za-z0-9_-]{22,}):";
        Regex::new(expression).expect("a constant expression")
    });
    text.match_indices("weir:").filter_map(|(start, _)| {
        let found = TOKEN.captures(&text[start..])?;
        let part = |number: usize| found.get(number).map_or("", |part| part.as_str());
        Some(Token {
            text: part(0),
            start,
            form: match part(1) {
                "1" => Form::Encrypted,
                "p1" => Form::OfSubject,
                _ => Form::Sealed,
            },
            key_id: part(2),
            label: part(3),
            data: URL_SAFE_NO_PAD.decode(part(4)).ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_are_found_in_any_text_with_their_parts(before in "\\PC{0,12}", after in "[A-Za-z0-9_:. -]{0,12}", form in prop::sample::select(vec![Form::Encrypted, Form::OfSubject, Form::Sealed]), key_id in "[A-Za-z0-9._-]{1,64}", label in "\\PC{1,12}", data in prop::collection::vec(any::<u8>(), 17..80)) {
            let label = label_in_token(&label);
            let mut text = before.clone();
            write(form, &key_id, &label, &data, &mut text);
            let written = text[before.len()..].to_owned();
            text.push_str(&after);
            let found: Vec<Token<'_>> = tokens(&text).collect();
            let expected = Token { text: &written, start: before.len(), form, key_id: &key_id, label: &label, data };
            prop_assert_eq!(found.first(), Some(&expected));
        }

        #[test]
        fn any_text_gives_tokens_of_its_own_and_no_panic(text in "(weir|:|1|s1|p1|k|[A-Za-z0-9_-]{0,30}|\\PC){0,20}") {
            for token in tokens(&text) {
                prop_assert_eq!(&text[token.start..token.start + token.text.len()], token.text);
            }
        }
    }

    #[test]
    fn a_token_behind_the_beginning_of_another_is_found() {
        let mut text = format!("weir:1:a:b:{}", "A".repeat(24));
        let start = text.len();
        write(Form::Encrypted, "k1", "email", &[7; 24], &mut text);
        assert!(tokens(&text).any(|token| token.start == start && token.label == "email"));
    }

    #[test]
    fn ids_that_would_break_a_token_do_not_fit() {
        assert!(fits_token("k1") && fits_token("acme-2026.1_b") && fits_token(&"k".repeat(64)));
        for id in ["", "k:1", "k 1", "é", &"k".repeat(65)] {
            assert!(!fits_token(id), "{id}");
        }
    }
}
