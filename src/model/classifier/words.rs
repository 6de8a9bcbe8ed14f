//! Words over a stream of tokens, and windows of whole words with a halo.
//!
//! In:  tokens of a text's segments, with where the tokenizer begins a word.
//! Out: [`Window`]s in order; their cores touch and never overlap.
//! Holds: no window parts a word; each word takes its scores from the window in which it stands farther from an
//!        edge. Memory does not grow with the text.
//!
//! With words of one token each these are the windows of [`crate::text::Windower`].

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, LazyLock},
};

use regex::Regex;

use crate::text::{ByteSpan, Shape, Tokens};

/// A step of the decoder: a word, or a token where the pack decodes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word {
    /// How many tokens it has.
    pub(super) tokens: u32,
    /// Where it stands: in the segment, and in a window in the document.
    pub(super) span: ByteSpan,
    /// Whether it is a comma: what joins the parts of an address.
    pub(super) is_comma: bool,
}

/// What goes through the model together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    /// Ids, halo included.
    pub(super) ids: Arc<[u32]>,
    /// The words that this window answers for: tokens of `ids`.
    pub(super) core: Vec<Range<usize>>,
    /// The same words.
    pub(super) words: Vec<Word>,
}

/// Cuts a stream of words into windows; holds at most one window and what was pushed.
#[derive(Debug)]
pub(super) struct Windower {
    shape: Shape,
    ids: VecDeque<u32>,
    words: VecDeque<Word>,
    /// Words of the buffer's front that earlier windows answer for.
    answered: usize,
}

/// Most tokens of a word: a longer one (base64, a text without spaces) is cut.
const LONGEST: usize = 32;

/// Most tokens of a word in windows of a shape: few enough that each window answers for one word at least.
pub(super) fn longest(shape: Shape) -> usize {
    let core = shape.width() - 2 * shape.halo();
    ((core - 1) / 3).clamp(1, LONGEST)
}

/// The words of a segment. `begins`: whether each token begins a word by the tokenizer; a word ends also where letters
/// and digits meet other characters, and after `longest` tokens.
pub(super) fn words(segment: &str, tokens: &Tokens, begins: &[bool], longest: usize) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::with_capacity(tokens.ids.len());
    let mut before = None;
    for (span, begins) in tokens.spans.iter().zip(begins) {
        let text = segment[span.start..span.end].trim();
        let class = |character: Option<char>| character.map(is_of_word);
        let (first, last) = (class(text.chars().next()), class(text.chars().next_back()));
        let parts = *begins || (first.is_some() && before.is_some() && first != before);
        if let Some(word) = words.last_mut()
            && !parts
            && (word.tokens as usize) < longest
        {
            word.tokens += 1;
            word.span = ByteSpan::new(word.span.start.min(span.start), word.span.end.max(span.end));
        } else {
            words.push(Word {
                tokens: 1,
                span: *span,
                is_comma: false,
            });
        }
        before = last.or(before.filter(|_| !parts));
    }
    for word in &mut words {
        word.is_comma = segment[word.span.start..word.span.end].trim() == ",";
    }
    words
}

/// Letters, digits and the marks that are written over them.
fn is_of_word(character: char) -> bool {
    static MARK: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\p{M}").expect("a constant that the tests compile"));
    let is_mark = || MARK.is_match(character.encode_utf8(&mut [0; 4]));
    character.is_alphanumeric() || (!character.is_ascii() && is_mark())
}

impl Windower {
    /// Starts a document.
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            ids: VecDeque::new(),
            words: VecDeque::new(),
            answered: 0,
        }
    }

    /// Adds words, whose spans are relative to byte `base` of the document, and takes out the windows that are certain
    /// by now.
    pub(super) fn push(
        &mut self,
        ids: &[u32],
        words: &[Word],
        base: usize,
        windows: &mut Vec<Window>,
    ) {
        self.ids.extend(ids);
        self.words.extend(words.iter().map(|word| Word {
            span: ByteSpan::new(base + word.span.start, base + word.span.end),
            ..*word
        }));
        // A window is certain only when a word follows that it has no room for: otherwise it may be the last one.
        while let Some(end) = self.full() {
            let halo = self.shape.halo();
            let core_end = self.back_from(end, halo);
            let start = self.back_from(core_end, halo);
            debug_assert!(self.answered < core_end, "a window answers for a word");
            windows.push(self.window(end, core_end));
            let dropped: u32 = self.words.drain(..start).map(|word| word.tokens).sum();
            self.ids.drain(..dropped as usize);
            self.answered = core_end - start;
        }
    }

    /// Ends the document: the last window, if any word is left.
    pub(super) fn finish(self) -> Option<Window> {
        let end = self.words.len();
        (end > self.answered).then(|| self.window(end, end))
    }

    /// The words that fill a window, if more follow.
    fn full(&self) -> Option<usize> {
        let mut tokens = 0;
        self.words.iter().position(|word| {
            tokens += word.tokens as usize;
            tokens > self.shape.width()
        })
    }

    /// The last word boundary that has `tokens` tokens or more between it and the boundary `end`; 0 if there is none.
    fn back_from(&self, end: usize, tokens: usize) -> usize {
        let mut at = end;
        let mut between = 0;
        while between < tokens && at > 0 {
            at -= 1;
            between += self.words[at].tokens as usize;
        }
        at
    }

    fn window(&self, end: usize, core_end: usize) -> Window {
        let mut core = Vec::with_capacity(core_end - self.answered);
        let mut token = 0;
        for (at, word) in self.words.range(..end).enumerate() {
            let from = token;
            token += word.tokens as usize;
            if (self.answered..core_end).contains(&at) {
                core.push(from..token);
            }
        }
        Window {
            ids: self.ids.range(..token).copied().collect(),
            core,
            words: self.words.range(self.answered..core_end).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tokens that are told by their bytes in `text`, and where words begin.
    fn cut(text: &str, pieces: &[(&str, bool)], longest: usize) -> Vec<String> {
        let mut tokens = Tokens::default();
        let mut begins = Vec::new();
        let mut at = 0;
        for (piece, begin) in pieces {
            at += text[at..].find(piece).unwrap();
            tokens.ids.push(1);
            tokens.spans.push(ByteSpan::new(at, at + piece.len()));
            begins.push(*begin);
            at += piece.len();
        }
        let words = words(text, &tokens, &begins, longest);
        words
            .iter()
            .map(|word| text[word.span.start..word.span.end].trim().to_owned())
            .collect()
    }

    #[test]
    fn a_word_is_the_tokenizers_cut_where_letters_meet_others() {
        let bert = [("zac", true), ("car", false), ("ino", false), (",", true)];
        assert_eq!(cut("zaccarino,", &bert, 32), ["zaccarino", ","]);
        // SentencePiece parts words at spaces alone.
        let unigram = [
            ("Ruiz", true),
            (",", false),
            (" ana", true),
            (".", false),
            ("r", false),
            ("@", false),
        ];
        assert_eq!(
            cut("Ruiz, ana.r@", &unigram, 32),
            ["Ruiz", ",", "ana", ".", "r", "@"]
        );
        let numbers = [("B", true), ("12", false), ("-", false), ("4", false)];
        assert_eq!(cut("B12-4", &numbers, 32), ["B12", "-", "4"]);
        let accents = [("e", true), ("\u{301}", false), ("a", false)];
        assert_eq!(cut("e\u{301}a", &accents, 32), ["e\u{301}a"]);
        let long = [("a", true), ("b", false), ("c", false), ("d", false)];
        assert_eq!(cut("abcd", &long, 3), ["abc", "d"]);
        // Two tokens of one character stand at the same place.
        let halves = [("€", true)];
        assert_eq!(cut("€", &halves, 3), ["€"]);
    }

    #[test]
    fn words_of_one_token_are_windowed_as_tokens_are() {
        let shape = Shape::new(10, 3).unwrap();
        let spans: Vec<ByteSpan> = (0..100).map(|at| ByteSpan::new(at, at + 1)).collect();
        let tokens = Tokens {
            ids: (0..100).collect(),
            spans: spans.clone(),
        };
        let mut plain = crate::text::Windower::new(shape);
        let mut expected = Vec::new();
        plain.push(tokens.clone(), 0, &mut expected);
        expected.extend(plain.finish());
        let words: Vec<Word> = spans
            .iter()
            .map(|span| Word {
                tokens: 1,
                span: *span,
                is_comma: false,
            })
            .collect();
        let mut own = Windower::new(shape);
        let mut windows = Vec::new();
        own.push(&tokens.ids, &words, 0, &mut windows);
        windows.extend(own.finish());
        assert_eq!(windows.len(), expected.len());
        for (window, plain) in windows.iter().zip(&expected) {
            assert_eq!(window.ids, plain.ids);
            let core: Vec<usize> = window.core.iter().map(|word| word.start).collect();
            assert_eq!(core, plain.core.clone().collect::<Vec<_>>());
        }
    }

    proptest! {
        #[test]
        fn each_word_is_answered_for_once_whole_and_away_from_edges(
            lengths in prop::collection::vec(1u32..9, 0..120), width in 1usize..60, halo in 0usize..12,
            pieces in prop::collection::vec(0usize..40, 0..6),
        ) {
            let Some(shape) = Shape::new(width, halo) else { return Ok(()) };
            let most = longest(shape) as u32;
            let words: Vec<Word> = lengths.iter().enumerate().map(|(at, length)| Word {
                tokens: (*length).min(most), span: ByteSpan::new(at, at + 1), is_comma: false,
            }).collect();
            let mut windower = Windower::new(shape);
            let mut windows = Vec::new();
            let (mut word, mut token) = (0, 0);
            for piece in pieces.into_iter().chain([words.len()]) {
                let end = (word + piece).min(words.len());
                let own: Vec<Word> = words[word..end].iter().map(|one| Word {
                    span: ByteSpan::new(one.span.start - word, one.span.end - word), ..*one
                }).collect();
                let count: u32 = own.iter().map(|word| word.tokens).sum();
                let ids: Vec<u32> = (token..token + count).collect();
                windower.push(&ids, &own, word, &mut windows);
                (word, token) = (end, token + count);
            }
            windows.extend(windower.finish());
            let (mut next, mut first) = (0, 0);
            for window in &windows {
                prop_assert!(window.ids.len() <= width);
                prop_assert!(!window.core.is_empty());
                for (range, own) in window.core.iter().zip(&window.words) {
                    prop_assert_eq!(*own, words[next]);
                    prop_assert_eq!(window.ids[range.start], first);
                    prop_assert_eq!(range.len() as u32, own.tokens);
                    let left = if window.ids[0] == 0 { usize::MAX } else { range.start };
                    let right = if *window.ids.last().unwrap() + 1 == token { usize::MAX } else { window.ids.len() - range.end };
                    prop_assert!(left >= halo && right >= halo, "word {} stands at an edge", next);
                    first += own.tokens;
                    next += 1;
                }
            }
            prop_assert_eq!(next, words.len());
        }
    }
}
