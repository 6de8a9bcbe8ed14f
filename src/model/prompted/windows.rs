//! Windows over the bytes of a text: as many as go into one prompt.
//!
//! In:  a text that grows.
//! Out: ranges in order, on borders of lines or words where there are any.
//! Holds: every byte is in a window (I1); a stretch of at most `overlap` bytes is whole in one of them.

use std::ops::Range;

use crate::text;

/// Sizes of windows, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Most bytes.
    pub(super) width: usize,
    /// Bytes that two neighbours have in common, at most a quarter of `width`.
    pub(super) overlap: usize,
}

/// Window that is not halved any more.
///
/// Smaller: more requests for a text that the model cannot answer. Larger: a dense text becomes a dead letter.
pub(super) const SMALLEST: usize = 128;

/// Cuts a text into windows as it comes.
pub(super) struct Windower {
    shape: Shape,
    /// Where the next window begins.
    start: usize,
    ended: bool,
}

impl Windower {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            start: 0,
            ended: false,
        }
    }

    /// The next window that is certain. `text` is all that came so far, `ended` whether that is all.
    pub(super) fn next(&mut self, text: &str, ended: bool) -> Option<Range<usize>> {
        if self.ended {
            return None;
        }
        let rest = &text[self.start..];
        if rest.len() <= self.shape.width {
            self.ended = ended;
            return (ended && !rest.is_empty()).then_some(self.start..text.len());
        }
        let end = self.start + cut(rest, self.shape.width);
        let window = self.start..end;
        self.start = back(text, self.start, end - self.shape.overlap);
        Some(window)
    }
}

/// Two halves of a window, with a part in common; `None` if it is too small.
pub(super) fn halves(window: &str, overlap: usize) -> Option<(Range<usize>, Range<usize>)> {
    if window.len() < SMALLEST {
        return None;
    }
    let overlap = overlap.min(window.len() / 4);
    let end = cut(window, window.len() / 2 + overlap);
    Some((0..end, back(window, 0, end - overlap)..window.len()))
}

/// Where a window of at most so many bytes ends: at a border, unless that makes it much shorter.
fn cut(text: &str, most: usize) -> usize {
    let at = text::cut(text, most);
    let beside_space =
        text[..at].ends_with(char::is_whitespace) || text[at..].starts_with(char::is_whitespace);
    match beside_space && at > most / 4 * 3 {
        true => at,
        false => sentence(&text[..text.floor_char_boundary(most)]),
    }
}

/// The last end of a sentence or clause without a space behind it, as in Chinese.
fn sentence(text: &str) -> usize {
    let ends = ['。', '！', '？', '；', '，', '、'];
    let last = text.rmatch_indices(ends).next();
    let last = last.map(|(at, sign)| at + sign.len());
    last.filter(|at| *at > text.len() / 4 * 3)
        .unwrap_or(text.len())
}

/// Where a word begins, at most an eighth of the text before `at`, or the character that stands there.
fn back(text: &str, from: usize, at: usize) -> usize {
    let at = text.floor_char_boundary(at);
    let least = text.ceil_char_boundary(at - (at - from) / 8);
    let head = &text[least..at];
    match head.rfind(char::is_whitespace) {
        Some(space) => text.ceil_char_boundary(least + space + 1),
        None => at,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn windows(text: &str, cuts: &[usize], shape: Shape) -> Vec<Range<usize>> {
        let mut windower = Windower::new(shape);
        let mut found = Vec::new();
        for cut in cuts {
            let end = text
                .floor_char_boundary(cut % (text.len() + 1))
                .max(windower.start);
            let end = text.ceil_char_boundary(end);
            while let Some(window) = windower.next(&text[..end], false) {
                found.push(window);
            }
        }
        while let Some(window) = windower.next(text, true) {
            found.push(window);
        }
        assert_eq!(windower.next(text, true), None);
        found
    }

    #[test]
    fn a_text_that_fits_is_one_window() {
        let shape = Shape {
            width: 40,
            overlap: 10,
        };
        let found = windows("one two three", &[], shape);
        assert_eq!((found.len(), found[0].len()), (1, 13));
        assert!(windows("", &[], shape).is_empty());
    }

    #[test]
    fn windows_end_behind_words_and_sentences() {
        let shape = Shape {
            width: 24,
            overlap: 4,
        };
        let text = "alpha beta gamma delta epsilon zeta";
        let all: Vec<&str> = windows(text, &[], shape)
            .into_iter()
            .map(|w| &text[w])
            .collect();
        assert_eq!(all, ["alpha beta gamma delta", "delta epsilon zeta"]);
        let text = "我叫张伟。住在北京。喜欢看书。";
        let all: Vec<&str> = windows(
            text,
            &[],
            Shape {
                width: 34,
                overlap: 6,
            },
        )
        .into_iter()
        .map(|w| &text[w])
        .collect();
        assert_eq!(all[0], "我叫张伟。住在北京。");
    }

    proptest! {
        #[test]
        fn every_short_stretch_is_whole_in_a_window(
            text in r"[a-z 张。é\n]{0,600}", cuts in prop::collection::vec(0usize..700, 0..4),
            width in 64usize..200, overlap in 1usize..50,
        ) {
            let shape = Shape { width, overlap: overlap.min(width / 4) };
            let mut cuts = cuts;
            cuts.sort_unstable();
            let found = windows(&text, &cuts, shape);
            prop_assert_eq!(&found, &windows(&text, &[], shape), "how the text came does not matter");
            let mut last = 0;
            for window in &found {
                prop_assert!(window.len() <= width && window.start <= last && window.start < window.end);
                prop_assert!(text.is_char_boundary(window.start) && text.is_char_boundary(window.end));
                last = window.end;
            }
            prop_assert_eq!(last, text.len());
            let chars: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            for start in &chars {
                for end in chars.iter().filter(|end| *end > start && *end - start <= shape.overlap) {
                    prop_assert!(found.iter().any(|w| w.start <= *start && *end <= w.end), "{start}..{end}");
                }
            }
        }

        #[test]
        fn halves_are_smaller_and_cover_a_window(text in r"[a-z 张。é\n]{0,600}", overlap in 0usize..100) {
            match halves(&text, overlap) {
                None => prop_assert!(text.len() < SMALLEST),
                Some((one, other)) => {
                    prop_assert!(one.start == 0 && other.end == text.len() && other.start <= one.end);
                    prop_assert!(one.len() < text.len() && other.len() < text.len());
                    prop_assert!(text.is_char_boundary(one.end) && text.is_char_boundary(other.start));
                }
            }
        }
    }
}
