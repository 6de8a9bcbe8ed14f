//! A text as the words that GLiNER reads, and each word as tokens.
//!
//! In:  a text in segments.
//! Out: [`Words`]: where each word stands, and its tokens.
//! Holds: the words are those of the reference's splitter, `\w+(?:[-_]\w+)*|\S` with Python's meaning of `\w` and `\s`,
//!        however the text is cut into segments. Every character that is not white space is in a word, or has no token.
//!        A word without tokens is dropped: it would move all entities behind it (families of zero-width characters).

use std::sync::LazyLock;

use regex::Regex;

use crate::text::{ByteSpan, CodePointSpan, Error, Tokenizer};

/// Python's `\w` is letters, numbers and `_`, without the combining marks of Unicode's; its `\s` has U+001C to U+001F.
static WORD: LazyLock<Regex> = LazyLock::new(|| {
    let word = r"[\p{L}\p{N}_]+(?:[-_][\p{L}\p{N}_]+)*|[^\s\x1C-\x1F]";
    Regex::new(word).expect("the expression is right")
});

/// Bytes at the end of a segment that are held back because the word there may go on.
///
/// Less: a word at a seam is cut more often. More: nothing but memory; no word is longer.
const LONGEST_SEAM: usize = 1024;

/// Words in their order, with their tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Words {
    /// Tokens of all words.
    pub(super) ids: Vec<u32>,
    /// Where the tokens of each word end in `ids`.
    pub(super) ends: Vec<u32>,
    /// Where each stands in the text.
    pub(super) places: Vec<Place>,
}

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) bytes: ByteSpan,
    /// The same in characters.
    pub(super) chars: CodePointSpan,
}

/// Cuts a text into words.
pub(super) struct Splitter {
    /// The end of what was pushed, in which a word may go on.
    seam: String,
    /// Where it begins in the text.
    at: usize,
}

impl Words {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tokens of some of them.
    pub(super) fn tokens(&self, words: std::ops::Range<usize>) -> std::ops::Range<usize> {
        let before = |word: usize| match word {
            0 => 0,
            word => self.ends[word - 1] as usize,
        };
        before(words.start)..before(words.end)
    }

    /// Adds words behind these.
    pub(super) fn append(&mut self, more: &Self) {
        let before = self.ids.len() as u32;
        self.ids.extend_from_slice(&more.ids);
        self.ends.extend(more.ends.iter().map(|end| before + end));
        self.places.extend_from_slice(&more.places);
    }

    /// Some of them.
    pub(super) fn of(&self, words: std::ops::Range<usize>) -> Self {
        let tokens = self.tokens(words.clone());
        let ends = self.ends[words.clone()].iter();
        Self {
            ids: self.ids[tokens.clone()].to_vec(),
            ends: ends.map(|end| end - tokens.start as u32).collect(),
            places: self.places[words].to_vec(),
        }
    }

    /// Removes the first ones.
    pub(super) fn drop_first(&mut self, words: usize) {
        let tokens = self.tokens(0..words).end;
        self.ids.drain(..tokens);
        self.ends.drain(..words);
        for end in &mut self.ends {
            *end -= tokens as u32;
        }
        self.places.drain(..words);
    }

    /// Tokenizes the words of `text`, which begins at byte `at`. A word of more than `longest` tokens is halved until
    /// none has more: each has its place in a window. `chars` counts the characters of the whole text.
    pub(super) fn add(
        &mut self,
        tokenizer: &Tokenizer,
        text: &str,
        at: usize,
        longest: usize,
        chars: &mut usize,
    ) -> Result<(), Error> {
        let mut known = 0;
        for word in WORD.find_iter(text) {
            let mut rest = ByteSpan::new(word.start(), word.end());
            while !rest.is_empty() {
                let word = &text[rest.start..rest.end];
                let mut end = rest.start + bearable(word, tokenizer);
                let mut ids = tokenizer.word(&text[rest.start..end])?;
                while ids.len() > longest {
                    let half = rest.start + (end - rest.start) / 2;
                    let half = text.floor_char_boundary(half);
                    if half == rest.start {
                        break; // a single character
                    }
                    end = half;
                    ids = tokenizer.word(&text[rest.start..end])?;
                }
                if !ids.is_empty() {
                    let start = *chars + text[known..rest.start].chars().count();
                    *chars = start + text[rest.start..end].chars().count();
                    self.ids.extend_from_slice(&ids);
                    self.ends.push(self.ids.len() as u32);
                    self.places.push(Place {
                        bytes: ByteSpan::new(at + rest.start, at + end),
                        chars: CodePointSpan { start, end: *chars },
                    });
                    known = end;
                }
                rest.start = end;
            }
        }
        *chars += text[known..].chars().count();
        Ok(())
    }
}

/// Bytes of the longest head of a word that the tokenizer does not replace by "unknown" for its length alone, which
/// WordPiece does. It looks at parts between punctuation, after normalization: a Hangul syllable is up to three
/// characters then.
fn bearable(word: &str, tokenizer: &Tokenizer) -> usize {
    let Some(longest) = tokenizer.longest_word() else {
        return word.len();
    };
    let mut weight = 0;
    for (at, character) in word.char_indices() {
        weight += match character {
            '-' | '_' => {
                weight = 0;
                continue;
            }
            '\u{AC00}'..='\u{D7A3}' => 3,
            other => other.to_lowercase().count(),
        };
        if weight > longest && at > 0 {
            return at;
        }
    }
    word.len()
}

impl Splitter {
    /// Starts a text.
    pub(super) fn new() -> Self {
        Self {
            seam: String::new(),
            at: 0,
        }
    }

    /// Adds the segment that begins at byte `at`: the text whose words are certain by now, and where it begins.
    pub(super) fn push(&mut self, segment: &str, at: usize) -> (String, usize) {
        debug_assert!(self.seam.is_empty() || self.at + self.seam.len() == at);
        let mut text = std::mem::take(&mut self.seam);
        let start = match text.is_empty() {
            true => at,
            false => self.at,
        };
        text.push_str(segment);
        let goes_on =
            |character: char| character.is_alphanumeric() || matches!(character, '-' | '_');
        let head = text.trim_end_matches(goes_on);
        let seam = match text.len() - head.len() {
            seam if seam <= LONGEST_SEAM => head.len(),
            _ => text.len(),
        };
        self.seam = text.split_off(seam);
        self.at = start + seam;
        (text, start)
    }

    /// Ends the text.
    pub(super) fn finish(&mut self) -> (String, usize) {
        let (seam, at) = (std::mem::take(&mut self.seam), self.at);
        self.at += seam.len();
        (seam, at)
    }

    /// First byte that is not among the words yet.
    pub(super) fn open(&self) -> usize {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        WORD.find_iter(text).map(|word| word.as_str()).collect()
    }

    #[test]
    fn words_are_those_of_pythons_splitter() {
        for (text, expected) in [
            (
                "Ana Ruiz, 3.5 kg",
                &["Ana", "Ruiz", ",", "3", ".", "5", "kg"][..],
            ),
            (
                "well-known snake_case -x- a--b",
                &[
                    "well-known",
                    "snake_case",
                    "-",
                    "x",
                    "-",
                    "a",
                    "-",
                    "-",
                    "b",
                ],
            ),
            ("_ __a_ a_-b", &["_", "__a_", "a_-b"]),
            // A combining mark is no letter in Python, and a word of its own.
            ("cafe\u{301} x", &["cafe", "\u{301}", "x"]),
            // U+001C is white space there; U+200B is not.
            ("a\u{1c}b\u{200b}c", &["a", "b", "\u{200b}", "c"]),
            ("½ kg ⅷ 東京都", &["½", "kg", "ⅷ", "東京都"]),
            ("a\u{85}b\u{a0}c", &["a", "b", "c"]),
            ("", &[]),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    fn in_segments(text: &str, cuts: &[usize]) -> Vec<(usize, String)> {
        let mut splitter = Splitter::new();
        let mut found = Vec::new();
        let mut add = |(text, at): (String, usize)| {
            let own = WORD.find_iter(&text);
            found.extend(own.map(|word| (at + word.start(), word.as_str().to_owned())));
        };
        let mut start = 0;
        for cut in cuts.iter().copied().chain([text.len()]) {
            let end = text.floor_char_boundary(cut.clamp(start, text.len()));
            add(splitter.push(&text[start..end], start));
            assert!(splitter.open() <= end);
            start = end;
        }
        add(splitter.finish());
        found
    }

    proptest! {
        #[test]
        fn how_a_text_is_cut_does_not_matter(
            text in "[ab1_ .\\-é\u{301}\u{1c}\n日]{0,80}", mut cuts in prop::collection::vec(0usize..80, 0..5),
        ) {
            cuts.sort_unstable();
            prop_assert_eq!(in_segments(&text, &cuts), in_segments(&text, &[]));
        }
    }

    #[test]
    fn a_word_without_an_end_is_not_kept_back_for_ever() {
        let mut splitter = Splitter::new();
        let (text, at) = splitter.push(&"a".repeat(5000), 0);
        assert_eq!((text.len(), at, splitter.open()), (5000, 0, 5000));
    }
}
