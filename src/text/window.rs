//! Windows with a halo over a stream of tokens.
//!
//! Windows of `W` tokens start every `W − 2·halo` tokens. Where two overlap, each token takes its
//! emission scores from the window in which it stands farther from an edge: the overlap is halved,
//! and each window's *core* is what it answers for (I2). The cores of a document's windows touch
//! and never overlap. The ends of the text are no edges.

use std::{ops::Range, sync::Arc};

use super::{ByteSpan, Tokens};

/// Size of windows, in tokens of text (special tokens of the model not counted).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    width: usize,
    halo: usize,
}

/// Tokens that go through the model together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Ids, halo included.
    pub ids: Arc<[u32]>,
    /// The tokens of `ids` that this window answers for.
    pub core: Range<usize>,
    /// Where the core's tokens stand in the document, in bytes.
    pub spans: Vec<ByteSpan>,
    /// Whether this is the only window of its text.
    pub alone: bool,
}

/// Cuts a stream of tokens into windows; holds at most one window of tokens and what was pushed.
#[derive(Debug)]
pub struct Windower {
    shape: Shape,
    tokens: Tokens,
    /// Tokens of the buffer's front that earlier windows answer for.
    answered: usize,
    first: bool,
}

impl Shape {
    /// A shape; `None` unless a window is wider than its two halos.
    pub fn new(width: usize, halo: usize) -> Option<Self> {
        (width > 2 * halo).then_some(Self { width, halo })
    }

    /// Most tokens in a window.
    pub fn width(self) -> usize {
        self.width
    }

    /// Tokens of context on each side.
    pub fn halo(self) -> usize {
        self.halo
    }

    fn stride(self) -> usize {
        self.width - 2 * self.halo
    }
}

impl Windower {
    /// Starts a document.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            tokens: Tokens::default(),
            answered: 0,
            first: true,
        }
    }

    /// Adds tokens whose spans are relative to `base` bytes into the document, and takes out the
    /// windows that are certain by now.
    pub fn push(&mut self, tokens: Tokens, base: usize, windows: &mut Vec<Window>) {
        self.tokens.ids.extend_from_slice(&tokens.ids);
        self.tokens.spans.extend(
            tokens
                .spans
                .iter()
                .map(|span| ByteSpan::new(base + span.start, base + span.end)),
        );
        // A window is certain only when a token follows it: otherwise it may be the last one.
        let mut start = 0;
        while self.tokens.ids.len() - start > self.shape.width {
            let end = start + self.shape.width;
            windows.push(self.window(start, end, end - self.shape.halo));
            start += self.shape.stride();
            self.answered = self.shape.halo;
            self.first = false;
        }
        self.tokens.ids.drain(..start);
        self.tokens.spans.drain(..start);
    }

    /// Ends the document: the last window, if any token is left.
    pub fn finish(mut self) -> Option<Window> {
        let end = self.tokens.ids.len();
        if end == self.answered {
            return None;
        }
        let mut last = self.window(0, end, end);
        last.alone = self.first;
        self.tokens = Tokens::default();
        Some(last)
    }

    fn window(&self, start: usize, end: usize, core_end: usize) -> Window {
        let core_start = start + self.answered;
        Window {
            ids: self.tokens.ids[start..end].into(),
            core: core_start - start..core_end - start,
            spans: self.tokens.spans[core_start..core_end].to_vec(),
            alone: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbered(count: usize) -> Tokens {
        Tokens {
            ids: (0..count as u32).collect(),
            spans: (0..count).map(|at| ByteSpan::new(at, at + 1)).collect(),
        }
    }

    fn windows_of(count: usize, pieces: &[usize], shape: Shape) -> Vec<Window> {
        let all = numbered(count);
        let mut windower = Windower::new(shape);
        let mut windows = Vec::new();
        let mut start = 0;
        for piece in pieces.iter().copied().chain([count]) {
            let end = (start + piece).min(count);
            let tokens = Tokens {
                ids: all.ids[start..end].to_vec(),
                spans: all.spans[start..end]
                    .iter()
                    .map(|s| ByteSpan::new(s.start - start, s.end - start))
                    .collect(),
            };
            windower.push(tokens, start, &mut windows);
            start = end;
        }
        windows.extend(windower.finish());
        windows
    }

    #[test]
    fn a_text_that_fits_is_one_window_without_halo() {
        let windows = windows_of(8, &[], Shape::new(8, 2).unwrap());
        assert_eq!(windows.len(), 1);
        assert_eq!(windows[0].core, 0..8);
        assert!(windows[0].alone);
    }

    #[test]
    fn an_empty_text_has_no_window() {
        assert!(windows_of(0, &[], Shape::new(8, 2).unwrap()).is_empty());
    }

    proptest! {
        #[test]
        fn each_token_is_answered_for_once_by_the_window_in_which_it_is_farthest_from_an_edge(
            count in 0usize..200, width in 1usize..40, halo in 0usize..12, pieces in prop::collection::vec(0usize..50, 0..6),
        ) {
            let Some(shape) = Shape::new(width, halo) else { return Ok(()) };
            let windows = windows_of(count, &pieces, shape);
            let mut next = 0;
            for window in &windows {
                prop_assert!(window.ids.len() <= width);
                prop_assert_eq!(window.spans.len(), window.core.len());
                for (at, span) in window.core.clone().zip(&window.spans) {
                    prop_assert_eq!(window.ids[at] as usize, next);
                    prop_assert_eq!(*span, ByteSpan::new(next, next + 1));
                    let left = if window.ids[0] == 0 { usize::MAX } else { at };
                    let right = if *window.ids.last().unwrap() as usize == count - 1 { usize::MAX } else { window.ids.len() - 1 - at };
                    prop_assert!(left >= halo && right >= halo, "token {} stands at an edge", next);
                    next += 1;
                }
            }
            prop_assert_eq!(next, count);
            prop_assert_eq!(windows.len() == 1, windows.iter().any(|window| window.alone));
        }
    }
}
