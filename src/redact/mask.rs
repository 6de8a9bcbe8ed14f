//! Masking: letters and digits become a masking character, separators stay.
//!
//! Counted in grapheme clusters. At most half of the letters and digits stay, so that a short value
//! never survives whole. White space and the marks that group values (`-`, `.`, `@` and the like)
//! stay unless there is nothing else to mask; any other character is masked.

use unicode_segmentation::UnicodeSegmentation;

/// Masks all but the last `keep` letters and digits, and keeps half of them at most.
pub(super) fn keep_last(value: &str, character: char, keep: usize, out: &mut String) {
    let total = letters(value);
    let keep = keep.min(total / 2);
    mask(value, character, |place| place < total - keep, out);
}

/// Masks `count` letters and digits at one end, and half of them at least.
pub(super) fn count(value: &str, character: char, count: usize, from_end: bool, out: &mut String) {
    let total = letters(value);
    let masked = count.clamp(total - total / 2, total);
    match from_end {
        true => mask(value, character, |place| place >= total - masked, out),
        false => mask(value, character, |place| place < masked, out),
    }
}

fn letters(value: &str) -> usize {
    value
        .graphemes(true)
        .filter(|cluster| is_letter(cluster))
        .count()
}

/// `hides` says of the place among the letters and digits whether that one is masked.
fn mask(value: &str, character: char, hides: impl Fn(usize) -> bool, out: &mut String) {
    let mut place = 0;
    let nothing_else = !value.graphemes(true).any(|cluster| !is_separator(cluster));
    for cluster in value.graphemes(true) {
        let kept = if is_letter(cluster) {
            place += 1;
            !hides(place - 1)
        } else {
            is_separator(cluster) && !nothing_else
        };
        match kept {
            true => out.push_str(cluster),
            false => out.push(character),
        }
    }
}

fn is_letter(cluster: &str) -> bool {
    cluster.chars().any(char::is_alphanumeric)
}

fn is_separator(cluster: &str) -> bool {
    cluster
        .chars()
        .all(|c| c.is_whitespace() || "-_.,:;/@+()'’–·".contains(c))
}
