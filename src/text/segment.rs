//! Where a long text may be cut so that its pieces can be tokenized one after the other.

/// Bytes of a long text that are tokenized and scanned at a time.
///
/// Smaller: more seams, at which a pattern must be looked for twice. Larger: more memory; the
/// tokenizer keeps about a hundred bytes for each byte of text.
pub const SEGMENT_BYTES: usize = 256 * 1024;

/// Text of at most this size is tokenized, or searched, without leaving the asynchronous task: either takes about a
/// quarter of a millisecond.
pub const IN_PLACE_BYTES: usize = 1024;

/// Where to cut `text` so that the first piece has at most `limit` bytes: after the last line end
/// in the last quarter, else before the last white space (words keep the space before them, which
/// is how byte-level tokenizers write them), else at the last character boundary. A text that fits
/// is not cut.
///
/// Tokenizers split at white space before anything else, so the pieces' tokens are the whole
/// text's tokens. Byte-level ones have tokens of several white spaces, too, and of punctuation with
/// the line ends and slashes after it; hence a line end counts only between words, other white space
/// only at one end of its stretch. `limit` bytes without such a place can differ at their seam.
pub fn cut(text: &str, limit: usize) -> usize {
    debug_assert!(limit >= 4, "a piece holds at least one character");
    if text.len() <= limit {
        return text.len();
    }
    let end = text.floor_char_boundary(limit);
    let head = &text[..end];
    let space_before = |at: usize| text[..at].ends_with(char::is_whitespace);
    let space_after = |at: usize| text[at..].starts_with(char::is_whitespace);
    let after_line = head
        .rmatch_indices('\n')
        .map(|(at, _)| at + 1)
        .take_while(|at| *at > end / 4 * 3)
        .find(|at| !space_before(at - 1) && !space_after(*at) && !text[*at..].starts_with('/'));
    let spaces = || head.rmatch_indices(parts_words).filter(|(at, _)| *at > 0);
    let before_space = || {
        spaces()
            .filter(|(_, space)| !matches!(*space, "\n" | "\r"))
            .find(|(at, space)| !space_before(*at) || !space_after(at + space.len()))
            .or_else(|| spaces().next())
            .map(|(at, _)| at)
    };
    after_line.or_else(before_space).unwrap_or(end)
}

/// White space that every tokenizer takes for it. BERT's removes other control characters, form
/// feeds among them, so that the letters around one are a single word.
pub(super) fn parts_words(character: char) -> bool {
    character.is_whitespace()
        && (!character.is_control() || matches!(character, '\t' | '\n' | '\r'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_after_a_line_or_before_a_space_or_anywhere() {
        assert_eq!(cut("short", 8), 5);
        assert_eq!(cut("line one\nline two", 10), 9);
        assert_eq!(cut("one two three", 10), 7);
        assert_eq!(cut("onetwothree", 5), 5);
        assert_eq!(cut("éééé", 5), 4);
        assert_eq!(cut("one two\u{c}three", 10), 3);
        // not between spaces, line ends, or the punctuation before and the slash after those
        assert_eq!(cut("one  \n\n  two", 7), 3);
        assert_eq!(cut("one   two", 5), 3);
        assert_eq!(cut("one   two", 6), 5);
        assert_eq!(cut("one two.\n/three", 10), 3);
        assert_eq!(cut("        ", 4), 3);
    }

    proptest! {
        #[test]
        fn every_cut_makes_progress_on_a_character_boundary(text in "\\PC{0,80}", limit in 4usize..40) {
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let at = cut(rest, limit);
                prop_assert!(at > 0 && at <= rest.len().min(limit.max(rest.len().min(limit))));
                prop_assert!(rest.is_char_boundary(at));
                rest = &rest[at..];
            }
        }
    }
}
