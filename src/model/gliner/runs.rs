//! From the scores of words to candidates: what a token model's start, end and inside mean.
//!
//! In:  the scores of each word of a text, in order, where `inside` is enough for the label.
//! Out: [`Stretch`]es of words, from a start to an end, with no word between that is not inside; the score is the least
//!      of all that take part. Nothing limits their width but [`LONGEST`].
//! Holds: how the words came in windows does not matter; memory is bounded.

use std::collections::BTreeMap;

use super::{runner::WordScore, words::Place};
use crate::text::{ByteSpan, CodePointSpan};

/// Words of one candidate. What goes on longer is cut, and both parts count.
pub(super) const LONGEST: usize = 1024;

/// Pairs of start and end of one run that are all tried. Where there are more, each start keeps its best end, and the
/// first start and last end are one candidate: what is covered is the same.
const MOST_PAIRS: usize = 4096;

/// A candidate, before calibration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stretch {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) bytes: ByteSpan,
    pub(super) chars: CodePointSpan,
    pub(super) class: usize,
    pub(super) logit: f32,
}

/// The runs of a text's words that may go on.
#[derive(Debug, Default)]
pub(super) struct Runs {
    /// By class.
    open: BTreeMap<usize, Vec<Word>>,
}

#[derive(Debug, Clone, Copy)]
struct Word {
    number: u64,
    place: Place,
    start: f32,
    end: f32,
    inside: f32,
}

impl Runs {
    /// Adds the next word's score for a class; `floors` are those of the classes.
    pub(super) fn push(
        &mut self,
        class: usize,
        floor: f32,
        number: u64,
        place: Place,
        score: WordScore,
        found: &mut Vec<Stretch>,
    ) {
        let run = self.open.entry(class).or_default();
        if run.last().is_some_and(|last| last.number + 1 != number) {
            close(run, class, floor, found);
        }
        let mut word = Word {
            number,
            place,
            start: score.start,
            end: score.end,
            inside: score.inside,
        };
        if run.len() == LONGEST {
            let last = run.last_mut().expect("a run of this length has a word");
            last.end = last.end.max(last.inside);
            word.start = word.start.max(word.inside);
            close(run, class, floor, found);
        }
        // A candidate begins with a start.
        if !run.is_empty() || word.start >= floor {
            run.push(word);
        }
    }

    /// Ends the runs that do not reach up to word `next`, which is the first one that has not come.
    pub(super) fn advance(
        &mut self,
        next: u64,
        floor: impl Fn(usize) -> f32,
        found: &mut Vec<Stretch>,
    ) {
        self.open.retain(|class, run| {
            let goes_on = run.last().is_some_and(|last| last.number + 1 == next);
            if !goes_on {
                close(run, *class, floor(*class), found);
            }
            goes_on
        });
    }

    /// First word and byte of the runs that may go on.
    pub(super) fn first_open(&self) -> Option<(u64, usize)> {
        let first = self.open.values().filter_map(|run| run.first());
        first
            .map(|word| (word.number, word.place.bytes.start))
            .min()
    }
}

/// The candidates of a run, which is empty then.
fn close(run: &mut Vec<Word>, class: usize, floor: f32, found: &mut Vec<Stretch>) {
    let is_start = |word: &Word| word.start >= floor;
    let is_end = |word: &Word| word.end >= floor;
    let starts = run.iter().filter(|word| is_start(word)).count();
    let ends = run.iter().filter(|word| is_end(word)).count();
    let all = starts * ends <= MOST_PAIRS;
    let stretch = |first: &Word, last: &Word, logit: f32| Stretch {
        first: first.number,
        last: last.number,
        bytes: ByteSpan::new(first.place.bytes.start, last.place.bytes.end),
        chars: CodePointSpan {
            start: first.place.chars.start,
            end: last.place.chars.end,
        },
        class,
        logit,
    };
    let last_end = run.iter().rposition(is_end);
    for (at, first) in run.iter().enumerate().filter(|(_, word)| is_start(word)) {
        let mut inside = f32::INFINITY;
        let mut best: Option<Stretch> = None;
        for last in &run[at..] {
            inside = inside.min(last.inside);
            if !is_end(last) {
                continue;
            }
            let own = stretch(first, last, inside.min(first.start).min(last.end));
            if all {
                found.push(own);
            } else if best.is_none_or(|best| own.logit > best.logit) {
                best = Some(own);
            }
        }
        found.extend(best);
    }
    if let (false, Some(first), Some(end)) = (all, run.iter().position(is_start), last_end)
        && first <= end
    {
        let inside = run[first..=end].iter().map(|word| word.inside);
        let logit = inside.fold(run[first].start.min(run[end].end), f32::min);
        found.push(stretch(&run[first], &run[end], logit));
    }
    run.clear();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const FLOOR: f32 = 0.0;

    /// Candidates of words that come in windows which end at `cuts`.
    fn stretches(words: &[[f32; 3]], cuts: &[usize]) -> Vec<Stretch> {
        let (mut runs, mut found) = (Runs::default(), Vec::new());
        let mut from = 0;
        for cut in cuts.iter().copied().chain([words.len()]) {
            let to = cut.clamp(from, words.len());
            for (at, word) in words.iter().enumerate().take(to).skip(from) {
                let [start, end, inside] = *word;
                if inside >= FLOOR {
                    let score = WordScore {
                        word: 0,
                        class: 0,
                        start,
                        end,
                        inside,
                    };
                    let place = Place {
                        bytes: ByteSpan::new(at, at + 1),
                        chars: CodePointSpan {
                            start: at,
                            end: at + 1,
                        },
                    };
                    runs.push(0, FLOOR, at as u64, place, score, &mut found);
                }
            }
            runs.advance(to as u64, |_| FLOOR, &mut found);
            from = to;
        }
        runs.advance(u64::MAX, |_| FLOOR, &mut found);
        found.sort_by_key(|own| (own.first, own.last));
        found
    }

    /// The reference's two loops.
    fn plain(words: &[[f32; 3]]) -> Vec<(u64, u64, f32)> {
        let mut found = Vec::new();
        for (first, [start, ..]) in words
            .iter()
            .enumerate()
            .filter(|(_, word)| word[0] >= FLOOR)
        {
            for (last, [_, end, _]) in words
                .iter()
                .enumerate()
                .filter(|(_, word)| word[1] >= FLOOR)
            {
                if last < first {
                    continue;
                }
                let inside = words[first..=last]
                    .iter()
                    .map(|word| word[2])
                    .fold(f32::INFINITY, f32::min);
                if inside >= FLOOR {
                    found.push((first as u64, last as u64, inside.min(*start).min(*end)));
                }
            }
        }
        found
    }

    fn word() -> impl Strategy<Value = [f32; 3]> {
        // Inside more often than not, so that there are runs.
        (-4i8..4, -4i8..4, -2i8..6).prop_map(|(s, e, i)| [f32::from(s), f32::from(e), f32::from(i)])
    }

    proptest! {
        #[test]
        fn candidates_are_those_of_the_reference_however_the_words_come(
            words in prop::collection::vec(word(), 0..50), mut cuts in prop::collection::vec(0usize..50, 0..6),
        ) {
            cuts.sort_unstable();
            let found = stretches(&words, &cuts);
            let short: Vec<_> = found.iter().map(|own| (own.first, own.last, own.logit)).collect();
            prop_assert_eq!(short, plain(&words));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        #[test]
        fn a_run_of_many_pairs_covers_what_all_of_them_cover(words in prop::collection::vec(word(), 150..180)) {
            let words: Vec<[f32; 3]> = words.iter().map(|[s, e, i]| [*s, *e, i.max(0.5)]).collect();
            let covered = |found: &mut dyn Iterator<Item = (u64, u64)>| -> BTreeSet<u64> {
                found.flat_map(|(first, last)| first..=last).collect()
            };
            let found = stretches(&words, &[]);
            let expected = covered(&mut plain(&words).into_iter().map(|own| (own.0, own.1)));
            prop_assert_eq!(covered(&mut found.iter().map(|own| (own.first, own.last))), expected);
            prop_assert!(found.len() <= words.len() + 1);
        }
    }

    #[test]
    fn what_never_ends_is_cut_and_every_word_stays_covered() {
        let mut words = vec![[-1.0, -1.0, 2.0]; 5 * LONGEST];
        words[0][0] = 3.0;
        words[5 * LONGEST - 1][1] = 3.0;
        let found = stretches(&words, &[]);
        let covered: BTreeSet<u64> = found.iter().flat_map(|own| own.first..=own.last).collect();
        assert_eq!(covered.len(), words.len());
    }
}
