//! NuNER Zero finds an entity word by word: chosen spans of one label that touch, or stand one character apart, are one.

use super::candidate::Candidate;

/// Words of an entity that was put together. What goes on longer is cut, so that memory stays bounded.
const LONGEST: u64 = 1024;

/// Puts chosen spans together as they come, in order.
#[derive(Debug, Default)]
pub(super) struct Merge {
    on: bool,
    held: Option<Merged>,
}

/// A span, which may have been several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Merged {
    pub(super) candidate: Candidate,
    pub(super) several: bool,
}

impl Merge {
    /// `on`: otherwise every span stays by itself.
    pub(super) fn new(on: bool) -> Self {
        Self { on, held: None }
    }

    /// The span before, if this one is no part of it.
    pub(super) fn push(&mut self, next: Candidate) -> Option<Merged> {
        if let Some(held) = &mut self.held {
            let own = &mut held.candidate;
            let touches = next.chars.start <= own.chars.end + 1;
            let fits = next.last - own.first < LONGEST;
            if self.on && own.label == next.label && touches && fits {
                own.last = next.last;
                own.bytes.end = next.bytes.end;
                own.chars.end = next.chars.end;
                held.several = true;
                return None;
            }
        }
        self.held.replace(Merged {
            candidate: next,
            several: false,
        })
    }

    /// What cannot go on any more: the next chosen span begins at word `next` or later.
    pub(super) fn settle(&mut self, next: u64) -> Option<Merged> {
        // The character between may be a word.
        let on = self.on;
        self.held
            .take_if(|held| !on || held.candidate.last + 2 < next)
    }

    /// First byte of what may go on.
    pub(super) fn first_waiting(&self) -> Option<usize> {
        self.held.map(|held| held.candidate.bytes.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{ByteSpan, CodePointSpan};

    /// A word of one character; a space is before it where it is near, else two.
    fn word(number: u64, label: usize, at: usize, score: f32) -> Candidate {
        Candidate {
            first: number,
            last: number,
            bytes: ByteSpan::new(number as usize * 2, number as usize * 2 + 1),
            chars: CodePointSpan {
                start: at,
                end: at + 1,
            },
            label,
            order: label,
            score,
        }
    }

    fn merged(on: bool, words: &[Candidate]) -> Vec<(u64, u64, f32)> {
        let mut merge = Merge::new(on);
        let mut found: Vec<Merged> = words.iter().filter_map(|own| merge.push(*own)).collect();
        found.extend(merge.settle(u64::MAX));
        let short = |own: &Merged| (own.candidate.first, own.candidate.last, own.candidate.score);
        found.iter().map(short).collect()
    }

    #[test]
    fn spans_of_one_label_that_touch_are_one_with_the_first_score() {
        let words = [
            word(0, 0, 0, 0.6),
            word(1, 0, 2, 0.9),
            word(2, 0, 5, 0.8),  // two characters apart
            word(3, 1, 6, 0.7),  // another label
            word(5, 1, 8, 0.5),  // a word of one character between
            word(7, 1, 11, 0.4), // a longer one
        ];
        let expected = [(0, 1, 0.6), (2, 2, 0.8), (3, 5, 0.7), (7, 7, 0.4)];
        assert_eq!(merged(true, &words), expected);
        assert_eq!(merged(false, &words).len(), 6);
    }

    #[test]
    fn what_may_go_on_is_held_back_and_no_longer() {
        let mut merge = Merge::new(true);
        assert_eq!(merge.push(word(4, 0, 8, 0.5)), None);
        assert_eq!(merge.settle(6), None);
        assert_eq!(merge.first_waiting(), Some(8));
        assert!(merge.settle(7).is_some());
        let mut long = Merge::new(true);
        let ended = (0..5000)
            .filter_map(|at| long.push(word(at, 0, at as usize * 2, 0.5)))
            .count();
        assert_eq!(ended, 4);
    }
}
