//! Words that stand beside a number and say what it is.

/// Longest word that is read beside a number, in bytes: longer ones are no label.
const MAX_WORD: usize = 32;

/// The run of letters that ends at `at`, in lower case; empty where no letter stands before it or
/// the run is too long for a label.
pub(super) fn word_before(text: &str, at: usize) -> String {
    word(text[..at].chars().rev()).chars().rev().collect()
}

/// The run of letters that begins at `at`, in lower case.
pub(super) fn word_after(text: &str, at: usize) -> String {
    word(text[at..].chars())
}

fn word(chars: impl Iterator<Item = char>) -> String {
    let word: String = chars
        .take(MAX_WORD + 1)
        .take_while(|c| c.is_alphabetic())
        .flat_map(char::to_lowercase)
        .collect();
    if word.len() > MAX_WORD {
        return String::new();
    }
    word
}

/// Whether a word is one of the labels: short ones as they stand, longer ones also at the end of a
/// compound (`creditcard`, `kartennummer`).
pub(super) fn is_label(word: &str, labels: &[&str]) -> bool {
    labels.iter().any(|label| match label.len() {
        0..=3 => word == *label,
        _ => word.ends_with(label),
    })
}
