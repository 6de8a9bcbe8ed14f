//! Windows over the words of a text.
//!
//! Each word belongs to one window, the one in which it stands farthest from an edge; a candidate belongs to the window
//! of its first word. A window is as wide as the model reads, in words and in tokens. Its last `reach` words belong to
//! the next one, so that candidates of its own words are whole, and so do `halo` words before them.
//!
//! In:  words, as they come.
//! Out: [`Window`]s in order.
//! Holds: each word belongs to one window (I1); a text that fits is one window; memory holds one window and what came.

use std::{ops::Range, sync::Arc};

use super::words::{Place, Words};

/// Sizes of windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Most words.
    pub(super) words: usize,
    /// Most tokens; a window of one word may have more.
    pub(super) tokens: usize,
    /// Words of context on each side, where a window is wide enough.
    pub(super) halo: usize,
    /// Words behind the first one of a candidate.
    pub(super) reach: usize,
}

/// Words that go through the model together.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// Tokens of the words.
    pub(super) ids: Arc<[u32]>,
    /// Where each word's tokens end.
    pub(super) ends: Arc<[u32]>,
    /// Where each word stands in the text.
    pub(super) places: Vec<Place>,
    /// The words that belong to this window.
    pub(super) core: Range<usize>,
    /// Number of the first word in the text.
    pub(super) first: u64,
}

/// Cuts words into windows.
pub(super) struct Windower {
    shape: Shape,
    words: Words,
    /// Words of the buffer's front that belong to earlier windows.
    owned: usize,
    /// Number of the buffer's first word.
    first: u64,
}

impl Windower {
    /// Starts a text.
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            words: Words::default(),
            owned: 0,
            first: 0,
        }
    }

    /// Adds words; takes out the windows that are certain by now.
    pub(super) fn push(&mut self, words: &Words, windows: &mut Vec<Window>) {
        self.words.append(words);
        self.cut(false, windows);
    }

    /// Ends the text.
    pub(super) fn finish(&mut self, windows: &mut Vec<Window>) {
        self.cut(true, windows);
    }

    /// Where the first word stands that belongs to no window yet.
    pub(super) fn open(&self) -> Option<usize> {
        self.words
            .places
            .get(self.owned)
            .map(|place| place.bytes.start)
    }

    fn cut(&mut self, ended: bool, windows: &mut Vec<Window>) {
        // Words that were used up are dropped at the end: dropping them window by window would move the rest each time.
        let mut start = 0;
        while self.owned < self.words.len() {
            let mut end = self.end(start);
            if end < self.words.len() && end <= self.owned + self.shape.reach {
                // The context takes all of it: its words have many tokens.
                start = self.owned;
                end = self.end(start);
            }
            if end == self.words.len() {
                // It is the last one if nothing follows.
                if ended {
                    windows.push(self.window(start, end, end));
                    self.owned = end;
                }
                break;
            }
            let Shape { halo, reach, .. } = self.shape;
            // A narrow window keeps half of its words: it has to get on.
            let free = (end - start).saturating_sub(reach);
            let halo = halo.min(free / 4);
            let own = (end - reach.min(end - start) - halo).max(self.owned + 1);
            windows.push(self.window(start, end, own));
            self.owned = own;
            start = own - halo;
        }
        self.words.drop_first(start);
        self.owned -= start;
        self.first += start as u64;
    }

    /// Where the widest window that begins at a word ends.
    fn end(&self, start: usize) -> usize {
        let before = self.words.tokens(start..start).start;
        let most = self.words.len().min(start + self.shape.words);
        let fits = |end: &u32| *end as usize - before <= self.shape.tokens;
        let ends = &self.words.ends[start..most];
        start + ends.iter().take_while(|end| fits(end)).count().max(1)
    }

    fn window(&self, start: usize, end: usize, own: usize) -> Window {
        let words = self.words.of(start..end);
        Window {
            ids: words.ids.into(),
            ends: words.ends.into(),
            places: words.places,
            core: self.owned - start..own - start,
            first: self.first + start as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{ByteSpan, CodePointSpan};

    /// Words with so many tokens; a word's span is its number.
    fn words(tokens: &[usize], from: usize) -> Words {
        let mut words = Words::default();
        for (at, tokens) in tokens.iter().enumerate() {
            words
                .ids
                .resize(words.ids.len() + tokens, (from + at) as u32);
            words.ends.push(words.ids.len() as u32);
            let bytes = ByteSpan::new(from + at, from + at + 1);
            let chars = CodePointSpan {
                start: from + at,
                end: from + at + 1,
            };
            words.places.push(Place { bytes, chars });
        }
        words
    }

    fn windows(tokens: &[usize], cuts: &[usize], shape: Shape) -> Vec<Window> {
        let mut windower = Windower::new(shape);
        let mut windows = Vec::new();
        let mut start = 0;
        for cut in cuts.iter().copied().chain([tokens.len()]) {
            let end = cut.clamp(start, tokens.len());
            windower.push(&words(&tokens[start..end], start), &mut windows);
            assert!(windower.words.len() <= shape.words + (end - start));
            start = end;
        }
        windower.finish(&mut windows);
        assert_eq!(windower.open(), None);
        windows
    }

    const SHAPE: Shape = Shape {
        words: 40,
        tokens: 1000,
        halo: 8,
        reach: 3,
    };

    #[test]
    fn a_text_that_fits_is_one_window() {
        let found = windows(&[1; 40], &[], SHAPE);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].core, 0..40);
        assert!(windows(&[], &[], SHAPE).is_empty());
    }

    #[test]
    fn windows_of_a_long_text_have_the_stride_that_is_written() {
        let found = windows(&[1; 200], &[], SHAPE);
        let starts: Vec<u64> = found.iter().map(|window| window.first).collect();
        // Stride = width − 2·halo − reach.
        assert_eq!(starts[..3], [0, 21, 42]);
        assert_eq!(found[1].core, 8..29);
    }

    proptest! {
        #[test]
        fn each_word_belongs_to_one_window_and_its_candidates_are_whole(
            tokens in prop::collection::vec(1usize..12, 0..200), mut cuts in prop::collection::vec(0usize..200, 0..5),
            width in 1usize..40, most in 1usize..120, halo in 0usize..12, reach in 0usize..6,
        ) {
            cuts.sort_unstable();
            let shape = Shape { words: width, tokens: most, halo, reach };
            let found = windows(&tokens, &cuts, shape);
            let mut next = 0;
            for window in &found {
                let words = window.ends.len();
                prop_assert!(words <= width);
                prop_assert!(words == 1 || window.ids.len() <= most);
                prop_assert_eq!(window.places.len(), words);
                for word in window.core.clone() {
                    prop_assert_eq!(window.first as usize + word, next);
                    prop_assert_eq!(window.places[word].bytes.start, next);
                    // At a wide window's end there is room for a whole candidate, unless the text ends.
                    let ends = window.first as usize + words == tokens.len();
                    prop_assert!(ends || words <= reach || word + reach < words, "{:?}", window);
                    next += 1;
                }
            }
            prop_assert_eq!(next, tokens.len());
            // How the words came does not matter.
            let again = windows(&tokens, &[], shape);
            let short = |windows: &[Window]| -> Vec<(u64, usize, Range<usize>)> {
                windows.iter().map(|w| (w.first, w.ends.len(), w.core.clone())).collect()
            };
            prop_assert_eq!(short(&found), short(&again));
        }
    }
}
