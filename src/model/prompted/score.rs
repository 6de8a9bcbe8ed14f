//! How sure a model was of a value: the probabilities of the value's tokens, where the server tells them.
//!
//! The score is the geometric mean, `exp(mean(logprob))`. It is not calibrated: it tells how likely the model was to write
//! the value as it did, not how often such a value is right.

use std::ops::Range;

/// Tokens of an answer: where each begins in the answer's text, and its logarithmic probability.
#[derive(Default)]
pub(super) struct Tokens(Vec<(Range<usize>, f64)>);

impl Tokens {
    /// Tokens by their bytes, one behind the other, with what the server says of each.
    pub(super) fn new(tokens: impl IntoIterator<Item = (usize, Option<f64>)>) -> Self {
        let mut at = 0;
        let tokens = tokens.into_iter().filter_map(|(bytes, logprob)| {
            let own = at..at + bytes;
            at = own.end;
            logprob.map(|logprob| (own, logprob))
        });
        Self(tokens.collect())
    }

    /// The score of a stretch of the answer; 1 where nothing is known of it.
    pub(super) fn score(&self, bytes: &Range<usize>) -> f32 {
        let first = self.0.partition_point(|(own, _)| own.end <= bytes.start);
        let own = self.0[first..]
            .iter()
            .take_while(|(own, _)| own.start < bytes.end);
        let (count, sum) = own.fold((0_u32, 0.0), |(count, sum), (_, logprob)| {
            (count + 1, sum + logprob)
        });
        if count == 0 {
            return 1.0;
        }
        let score = (sum / f64::from(count)).exp();
        match score.is_nan() {
            true => 1.0,
            false => score.clamp(0.0, 1.0) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_the_mean_of_the_tokens_of_a_value() {
        let tokens = Tokens::new([
            (3, Some(-9.0)),
            (2, Some(-1.0)),
            (2, Some(-3.0)),
            (1, Some(-9.0)),
        ]);
        assert!((tokens.score(&(3..7)) - (-2.0_f32).exp()).abs() < 1e-6);
        assert!(
            (tokens.score(&(4..5)) - (-1.0_f32).exp()).abs() < 1e-6,
            "a part of a token"
        );
        assert_eq!(tokens.score(&(8..9)), 1.0, "nothing is known");
        assert_eq!(Tokens::default().score(&(0..5)), 1.0);
        let odd = Tokens::new([
            (3, Some(f64::NAN)),
            (3, Some(f64::INFINITY)),
            (3, None),
            (3, Some(f64::NEG_INFINITY)),
        ]);
        assert_eq!(odd.score(&(0..3)), 1.0, "no number: nothing is known");
        assert_eq!(odd.score(&(3..6)), 1.0);
        assert_eq!(odd.score(&(6..9)), 1.0);
        assert_eq!(odd.score(&(9..12)), 0.0);
    }
}
