//! Logits of tokens as scores of words.
//!
//! In:  logits of a window's tokens, `(tokens, classes)`; the words of its core.
//! Out: [`Emissions`]: for each word the scores of O and of B, I, E and S of each category.

use std::ops::Range;

use super::scheme::Scheme;
use crate::model::{Emissions, pack::Step};

/// Logits of the tokens of a window.
pub(super) struct Logits<'l> {
    /// `(tokens, classes)`.
    pub(super) values: &'l [f32],
    /// How many classes there are.
    pub(super) classes: usize,
}

/// How logits are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// What speaks for a word of several tokens.
    pub(super) step: Step,
    /// Added to the score of what is no entity.
    pub(super) o_bias: f32,
}

impl Reading {
    /// Scores of the words of a core.
    pub(super) fn emissions(
        &self,
        scheme: &Scheme,
        logits: &Logits,
        core: &[Range<usize>],
    ) -> Emissions {
        let mut rows = Vec::with_capacity(core.len() * scheme.classes);
        for word in core {
            logits.of(word.clone(), self.step, &mut rows);
        }
        for row in rows.chunks_exact_mut(scheme.classes) {
            row[scheme.outside] += self.o_bias;
        }
        let rows = || rows.chunks_exact(scheme.classes);
        let mut emissions = Emissions {
            tokens: core.len(),
            outside: rows().map(|row| row[scheme.outside]).collect(),
            ..Emissions::default()
        };
        for (label, lane) in scheme.lanes.iter().enumerate() {
            let scores = rows().map(|row| lane.map(|part| part.score(row)));
            emissions.push(label as u32, 0, scores);
        }
        emissions
    }
}

impl Logits<'_> {
    fn token(&self, at: usize) -> &[f32] {
        &self.values[at * self.classes..(at + 1) * self.classes]
    }

    /// Adds the scores of a word's classes to `out`.
    fn of(&self, word: Range<usize>, step: Step, out: &mut Vec<f32>) {
        let first = self.token(word.start);
        if word.len() == 1 {
            out.extend(first);
            return;
        }
        match step {
            Step::First | Step::Tokens => out.extend(first),
            Step::Max => {
                let surest = |at: &usize| {
                    let probabilities = softmax(self.token(*at));
                    probabilities.into_iter().fold(0.0, f32::max)
                };
                let best = word.max_by(|a, b| surest(a).total_cmp(&surest(b)));
                out.extend(self.token(best.expect("a word has a token")));
            }
            Step::Average => {
                let mut sums = vec![0.0; self.classes];
                let tokens = word.len() as f32;
                for at in word {
                    for (sum, own) in sums.iter_mut().zip(softmax(self.token(at))) {
                        *sum += own / tokens;
                    }
                }
                // Logits again: their differences are those of the logarithms.
                out.extend(sums.into_iter().map(|sum| sum.max(f32::MIN_POSITIVE).ln()));
            }
        }
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLASSES: [&str; 3] = ["O", "B-x", "I-x"];

    /// Scores of O and B of the words of three tokens: two of the first word, one of the second.
    fn read(step: Step) -> Vec<[f32; 2]> {
        let classes = CLASSES.map(str::to_owned);
        let scheme = Scheme::new(&classes, None).unwrap();
        // The first token is sure of x, the second surer of O.
        let values = [0.0, 2.0, 0.0, 6.0, 0.0, 0.0, 1.0, 0.0, 0.0];
        let logits = Logits {
            values: &values,
            classes: 3,
        };
        let core: &[Range<usize>] = match step {
            Step::Tokens => &[0..1, 1..2, 2..3],
            _ => &[0..2, 2..3],
        };
        let reading = Reading { step, o_bias: 0.5 };
        let found = reading.emissions(&scheme, &logits, core);
        assert_eq!(found.tokens, core.len());
        let begin = found.of(&found.runs[0]).iter().map(|four| four[0]);
        found
            .outside
            .iter()
            .copied()
            .zip(begin)
            .map(|(o, b)| [o, b])
            .collect()
    }

    #[test]
    fn a_word_takes_what_the_pack_says() {
        assert_eq!(read(Step::First), [[0.5, 2.0], [1.5, 0.0]]);
        assert_eq!(read(Step::Max), [[6.5, 0.0], [1.5, 0.0]]);
        assert_eq!(read(Step::Tokens), [[0.5, 2.0], [6.5, 0.0], [1.5, 0.0]]);
        let [[outside, begin], _] = read(Step::Average)[..] else {
            panic!("two words")
        };
        // Means of the probabilities: (.107 + .995) / 2 and (.787 + .002) / 2.
        assert!((outside - 0.5 - 0.5509f32.ln()).abs() < 1e-2, "{outside}");
        assert!((begin - 0.3947f32.ln()).abs() < 1e-2, "{begin}");
    }
}
