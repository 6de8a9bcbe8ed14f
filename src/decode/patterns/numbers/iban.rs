//! IBANs (ISO 13616): the country's length and structure and the check number decide, so the
//! groups may be any: fours, or the national account number's own.

use super::clue::word_before;
use crate::{
    decode::patterns::borders::{around, closes, opens},
    text::ByteSpan,
};

/// Characters of an IBAN at most and at least (ISO 13616: Norway's are the shortest).
const LENGTHS: std::ops::RangeInclusive<usize> = 15..=34;

/// IBANs in any case, bare or with one separator between any two characters.
pub(in crate::decode::patterns) fn iban(text: &str, found: &mut Vec<ByteSpan>) {
    let bytes = text.as_bytes();
    let mut at = 2;
    while at + 12 < bytes.len() {
        // Two check digits behind two letters: the rest of the alphabet goes by in one comparison.
        if !bytes[at].is_ascii_digit() || !bytes[at + 1].is_ascii_digit() {
            at += 1;
            continue;
        }
        let hit = head(text, at).and_then(|start| Some((start, longest(text, start, at)?)));
        match hit {
            Some((start, end)) => {
                found.push(ByteSpan::new(start, end));
                at = end + 2;
            }
            None => at += 2,
        }
    }
}

/// Where the country's letters before the check digits at `at` begin.
fn head(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let glued = bytes[at - 1].is_ascii_alphabetic();
    let end = match bytes[at - 1] {
        _ if glued => at,
        b' ' | b'-' | b'.' if at >= 3 => at - 1,
        _ => return None,
    };
    let start = end - 2;
    let country = &bytes[start..end];
    if !country.iter().all(u8::is_ascii_alphabetic) {
        return None;
    }
    // `at 20 30 …`, `no 12 …` are words before numbers.
    if !glued && country.iter().any(u8::is_ascii_lowercase) && !has_clue(text, start) {
        return None;
    }
    (opens(text, start) || is_labelled(text, start)).then_some(start)
}

/// `IBANDE…`, `KontoNrDE…`: the label is glued to the number.
fn is_labelled(text: &str, start: usize) -> bool {
    let word = word_before(text, start);
    [
        "iban", "no", "nr", "num", "number", "account", "acct", "konto", "compte", "cuenta",
        "conto",
    ]
    .iter()
    .any(|label| word.ends_with(label))
}

fn has_clue(text: &str, start: usize) -> bool {
    let (left, _) = around(text, start, start, 30);
    left.to_ascii_lowercase().contains("iban")
}

/// End of the IBAN at `start`, whose check digits stand at `check`.
fn longest(text: &str, start: usize, check: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut compact = String::with_capacity(*LENGTHS.end());
    compact.extend(
        bytes[start..start + 2]
            .iter()
            .chain(&bytes[check..check + 2])
            .map(|byte| char::from(byte.to_ascii_uppercase())),
    );
    // The check number is a remainder (ISO 7064, mod 97-10) of the account, the country and itself.
    let head = compact.chars().fold(0, remainder);
    let head_factor = compact.bytes().fold(1, |factor, byte| {
        factor * if byte.is_ascii_digit() { 10 } else { 100 } % 97
    });
    let mut account = 0;
    let mut at = check + 2;
    let mut longest = None;
    while compact.len() < *LENGTHS.end() {
        if !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric) {
            let Some(next) = skip_gap(bytes, at) else {
                break;
            };
            at = next;
        }
        let character = char::from(bytes[at].to_ascii_uppercase());
        compact.push(character);
        account = remainder(account, character);
        at += 1;
        let checks = (account * head_factor + head) % 97 == 1;
        if checks
            && LENGTHS.contains(&compact.len())
            && closes(text, at)
            && compact.parse::<iban::Iban>().is_ok()
        {
            longest = Some(at);
        }
    }
    longest
}

fn remainder(rest: u32, character: char) -> u32 {
    let value = character.to_digit(36).expect("a letter or digit");
    match value {
        0..=9 => (rest * 10 + value) % 97,
        _ => (rest * 100 + value) % 97,
    }
}

/// Where the next character stands behind one separator: a space or two, `-`, `.`, `/`, `_`, a tab
/// or a line break, with or without spaces around it.
fn skip_gap(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes[at..]
        .iter()
        .take(4)
        .position(u8::is_ascii_alphanumeric)?;
    let inner = bytes[at..at + length].trim_ascii_start().trim_ascii_end();
    matches!(inner, [] | [b'-' | b'.' | b'/' | b'_']).then_some(at + length)
}

#[cfg(test)]
mod tests;
