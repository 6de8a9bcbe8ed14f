//! AWS secret access keys, which have no prefix, and keys of Azure, which stand behind a name.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

use super::{
    super::borders::{around, closes, opens},
    prefixed::{any_base64, base64},
};
use crate::text::ByteSpan;

static SECRET_CLUES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build([
            "aws",
            "akia",
            "asia",
            "secret_access_key",
            "secretaccesskey",
            "secret access key",
            "secret-access-key",
            "secret_key",
            "secret key",
            "secret-key",
            "secretkey",
        ])
        .expect("a few short literals")
});

/// AWS secret access keys: 40 base64 characters within 60 bytes behind a clue or a key id, with
/// upper case, lower case and a digit, so that no hexadecimal digest is taken for one.
pub(super) fn secrets(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for clue in SECRET_CLUES.find_iter(text) {
        if clue.start() < done {
            continue;
        }
        let (_, right) = around(text, clue.end(), clue.end(), 104);
        let mut at = clue.end();
        let stop = (clue.end() + 60).min(clue.end() + right.len());
        while at < stop {
            let end = at
                + bytes[at..]
                    .iter()
                    .take(41)
                    .take_while(|byte| is_key_byte(**byte))
                    .count();
            let token = &bytes[at..end];
            let mixed = token.iter().any(u8::is_ascii_uppercase)
                && token.iter().any(u8::is_ascii_lowercase)
                && token.iter().any(u8::is_ascii_digit);
            if token.len() == 40 && mixed && opens(text, at) && closes(text, end) {
                found.push(ByteSpan::new(at, end));
                done = end;
                break;
            }
            // To the end of this token, however long, then past what separates it from the next.
            at = end.max(at + 1);
            while at < stop && is_key_byte(bytes[at]) && bytes[at - 1].is_ascii_alphanumeric() {
                at += 1;
            }
        }
    }
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

static AZURE_NAMES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build([
            "accountkey",
            "account_key",
            "account-key",
            "account key",
            "sharedaccesskey",
            "shared_access_key",
            "storage_key",
            "storagekey",
            "storage-key",
            "sig=",
        ])
        .expect("a few short literals")
});

/// Keys of Azure's storage (64 bytes in base64), service bus and IoT hub (32 bytes), and the
/// signature (`sig=`) of a shared access signature: the value alone, in any case of its name.
pub(super) fn azure(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    for name in AZURE_NAMES.find_iter(text) {
        let signature = name.pattern().as_usize() == 9;
        if signature && !opens(text, name.start()) {
            continue;
        }
        let between = bytes[name.end()..]
            .iter()
            .take(if signature { 0 } else { 6 })
            .take_while(|byte| matches!(byte, b'"' | b'\'' | b'\\' | b' ' | b':' | b'='))
            .count();
        if between == 0 && !signature {
            continue;
        }
        let start = name.end() + between;
        let end = start
            + bytes[start..]
                .iter()
                .take(100)
                .take_while(|byte| {
                    if signature {
                        any_base64(**byte)
                    } else {
                        base64(**byte)
                    }
                })
                .count();
        let value = &bytes[start..end];
        let body = value.iter().take_while(|byte| **byte != b'=').count();
        let holds = match (body, value.len() - body) {
            (86, 2) | (43, 1) => true,
            // A signature that lost its padding on its way.
            (43, 0) => signature,
            _ => false,
        };
        if holds && closes(text, end) {
            found.push(ByteSpan::new(start, end));
        }
    }
}
