//! Characters that look like ASCII ones, or like nothing.
//!
//! Unicode's own data say which: its decimal digits, its spaces, its dashes, what is to be ignored by
//! default, and compatibility decompositions (full-width, mathematical and other forms of letters). A
//! few signs that people type for ASCII ones and that no property names are listed here.

use std::sync::LazyLock;

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{DefaultIgnorableCodePoint, GeneralCategory},
};

use super::{Before, Meaning};
use crate::decode::patterns::borders::runs_on;

/// What a character is, before its neighbours are asked.
const ITSELF: u8 = 0;
/// Zero-width characters, soft hyphens, bidi marks, variation selectors.
const NOTHING: u8 = 1;
/// Stands for several ASCII characters: `℡`, `№`.
const SEVERAL: u8 = 2;
/// Stands for an ASCII character among certain neighbours only: this bit and the character.
const DEPENDS: u8 = 0x80;

/// What `c`, which is not ASCII, stands for between `before` and `after`; `None` for itself.
pub(super) fn meaning(c: char, before: Before<'_>, after: &str) -> Option<Meaning> {
    let class = match BASIC.get(c as usize) {
        Some(class) => *class,
        None => classify(c),
    };
    match class {
        ITSELF => None,
        NOTHING => Some(Meaning::Nothing),
        SEVERAL => compatible(c).map(Meaning::Text),
        class if class & DEPENDS == 0 => Some(Meaning::Char(char::from(class))),
        class => {
            let ascii = char::from(class & !DEPENDS);
            stands_for(c, ascii, before, after).then_some(Meaning::Char(ascii))
        }
    }
}

/// Whether the neighbours make `c` the ASCII sign that it looks like.
fn stands_for(c: char, ascii: char, before: Before<'_>, after: &str) -> bool {
    match c {
        // Punctuation of a sentence unless it holds the parts of one value together.
        '\u{3002}' | '\u{FF61}' => {
            before
                .chars()
                .next()
                .is_some_and(|c| c.is_ascii_alphanumeric())
                && after.chars().next().is_some_and(is_plain_letter)
        }
        '\u{FF00}'..='\u{FFEF}' => {
            let (left, right) = (before.chars().next(), after.chars().next());
            let beside =
                left.is_some_and(|c| c.is_ascii_graphic()) || right.is_some_and(is_plain_letter);
            beside && !right.is_some_and(|c| runs_on(c) && c.is_alphabetic() && !is_plain_letter(c))
        }
        // An en dash or a minus sign may stand between the groups of an IBAN.
        '\u{2012}' | '\u{2013}' | '\u{2212}'
            if before
                .chars()
                .next()
                .is_some_and(|c| c.is_ascii_alphanumeric())
                && after.chars().next().is_some_and(is_plain_letter) =>
        {
            true
        }
        _ => {
            let space = |c: &char| *c == ' ' || c.is_whitespace() && ascii == '-';
            let mut left = before.chars();
            let mut right = after.chars();
            let left = left.next().filter(|c| !space(c)).or_else(|| left.next());
            let right = right.next().filter(|c| !space(c)).or_else(|| right.next());
            left.is_some_and(|c| c.is_ascii_digit()) && right.is_some_and(is_digit)
        }
    }
}

/// A letter or digit of ASCII, or a form of one.
fn is_plain_letter(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '\u{FF10}'..='\u{FF19}' | '\u{FF21}'..='\u{FF3A}' | '\u{FF41}'..='\u{FF5A}')
        || is_digit(c)
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
        || !c.is_ascii()
            && CodePointMapData::<GeneralCategory>::new().get(c) == GeneralCategory::DecimalNumber
}

/// Classes of the Basic Multilingual Plane: one read a character.
static BASIC: LazyLock<Vec<u8>> = LazyLock::new(|| {
    (0..=0xFFFF)
        .map(|code| {
            char::from_u32(code)
                .filter(|c| !c.is_ascii())
                .map_or(ITSELF, classify)
        })
        .collect()
});

fn classify(c: char) -> u8 {
    match c {
        '\u{2028}' | '\u{2029}' | '\u{85}' => return b'\n',
        // Ellipses and leaders end a sentence; superscripts are notes.
        '\u{2025}'
        | '\u{2026}'
        | '\u{B2}'
        | '\u{B3}'
        | '\u{B9}'
        | '\u{AA}'
        | '\u{BA}'
        | '\u{2122}'
        | '\u{2070}'..='\u{209F}'
        | '\u{2B0}'..='\u{2FF}'
        | '\u{1D2C}'..='\u{1D7F}' => return ITSELF,
        // `，` `；` `！` `？` stand between values, not inside.
        '\u{FF0C}' | '\u{FF1B}' | '\u{FF01}' | '\u{FF1F}' => return ITSELF,
        '\u{3002}' | '\u{FF61}' => return DEPENDS | b'.',
        '\u{B7}' | '\u{30FB}' | '\u{FF65}' => return DEPENDS | b'.',
        // Between words these are punctuation.
        '\u{2012}' | '\u{2013}' | '\u{2014}' | '\u{2015}' | '\u{2212}' | '\u{2E3A}'
        | '\u{2E3B}' | '\u{30FC}' | '\u{FF70}' | '\u{2500}' | '\u{301C}' | '\u{3030}' => {
            return DEPENDS | b'-';
        }
        '\u{2043}' => return b'-',
        // No sentence needs it.
        '\u{FF20}' => return b'@',
        '\u{2044}' | '\u{2215}' => return b'/',
        '\u{2236}' | '\u{A789}' => return b':',
        '\u{241B}' => return 0x1b,
        _ => {}
    }
    if CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) {
        return NOTHING;
    }
    match CodePointMapData::<GeneralCategory>::new().get(c) {
        GeneralCategory::SpaceSeparator => return b' ',
        GeneralCategory::DashPunctuation => return b'-',
        GeneralCategory::DecimalNumber => return digit(c),
        // Most of the plane, and none of them decomposes to ASCII.
        GeneralCategory::OtherLetter
        | GeneralCategory::Unassigned
        | GeneralCategory::PrivateUse
        | GeneralCategory::Surrogate => return ITSELF,
        _ => {}
    }
    match compatible(c) {
        Some(text) if text.len() == 1 => {
            let ascii = text.as_bytes()[0];
            let depends = matches!(c, '\u{FF00}'..='\u{FFEF}') && ascii.is_ascii_punctuation();
            if depends { DEPENDS | ascii } else { ascii }
        }
        Some(_) => SEVERAL,
        None => ITSELF,
    }
}

/// Decimal digits stand in runs of ten, zero first (Unicode Standard, section 4.6).
fn digit(c: char) -> u8 {
    let first = CodePointMapData::<GeneralCategory>::new()
        .iter_ranges_for_value(GeneralCategory::DecimalNumber)
        .find(|range| range.contains(&u32::from(c)))
        .map_or(u32::from(c), |range| *range.start());
    b'0' + ((u32::from(c) - first) % 10) as u8
}

/// The compatibility decomposition, if it is ASCII.
fn compatible(c: char) -> Option<String> {
    let text: String = DecomposingNormalizerBorrowed::new_nfkd()
        .normalize_iter(std::iter::once(c))
        .collect();
    (text.is_ascii() && !text.is_empty()).then_some(text)
}
