//! Where a token begins and ends: no match is inside a longer one.

/// Whether a character continues a word in a script that puts spaces between words. Han, kana,
/// Thai and their like do not: text there runs on without a space, and a value beside it is whole.
pub(super) fn joins(c: char) -> bool {
    c.is_alphanumeric() && !runs_on(c)
}

/// Letters of scripts written without spaces between words (Unicode blocks), and Hangul, whose
/// particles follow a word directly.
pub(super) fn runs_on(c: char) -> bool {
    matches!(u32::from(c),
        0x0E00..=0x0EFF // Thai, Lao
        | 0x1000..=0x109F // Myanmar
        | 0x1100..=0x11FF // Hangul Jamo
        | 0x1780..=0x17FF // Khmer
        | 0x2E80..=0x9FFF // CJK radicals to unified ideographs, kana, bopomofo, Hangul letters
        | 0xA960..=0xA97F
        | 0xAC00..=0xD7FF // Hangul syllables
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE4F
        | 0xFF00..=0xFFEF // full-width forms
        | 0x1B000..=0x1B16F
        | 0x20000..=0x3FFFF)
}

/// The character before byte `at`.
pub(super) fn before(text: &str, at: usize) -> Option<char> {
    let byte = *text.as_bytes().get(at.wrapping_sub(1))?;
    if byte.is_ascii() {
        return Some(char::from(byte));
    }
    text[..at].chars().next_back()
}

/// The character at byte `at`.
pub(super) fn after(text: &str, at: usize) -> Option<char> {
    let byte = *text.as_bytes().get(at)?;
    if byte.is_ascii() {
        return Some(char::from(byte));
    }
    text[at..].chars().next()
}

/// Whether a word could begin at `at`: nothing before it joins.
pub(super) fn opens(text: &str, at: usize) -> bool {
    !before(text, at).is_some_and(joins)
}

/// Whether a word could end at `at`: nothing after it joins.
pub(super) fn closes(text: &str, at: usize) -> bool {
    !after(text, at).is_some_and(joins)
}

/// Whether the bytes before `at` are `byte` and then an ASCII letter or digit before it: the
/// value would be a part of a longer dotted or dashed token.
pub(super) fn continues_before(text: &str, at: usize, byte: u8) -> bool {
    let bytes = text.as_bytes();
    at >= 2 && bytes[at - 1] == byte && bytes[at - 2].is_ascii_digit()
}

/// Whether `byte` and then an ASCII digit follow at `at`.
pub(super) fn continues_after(text: &str, at: usize, byte: u8) -> bool {
    let bytes = text.as_bytes();
    bytes.get(at) == Some(&byte) && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
}

/// The stretch of text around `start..end`, `reach` bytes to each side, widened to characters.
pub(super) fn around(text: &str, start: usize, end: usize, reach: usize) -> (&str, &str) {
    let mut from = start.saturating_sub(reach);
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    let mut to = (end + reach).min(text.len());
    while !text.is_char_boundary(to) {
        to += 1;
    }
    (&text[from..start], &text[end..to])
}
