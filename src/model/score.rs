//! Emission scores: hidden states against label vectors.
//!
//! `score(token, class) = hidden(token) · vector(class)`, for O and B, I, E, S of each label.
//!
//! Why labels may be left out: an entity of label `l` over tokens `a..b` lies on the best path only
//! if its classes score at least what O scores over the same tokens, for O may stand anywhere in
//! their place. Then at one token at least a class of `l` reaches O. A label that reaches O nowhere
//! in a text is on no best path of it. With a thousand labels that leaves a handful, and the
//! decoder's cost follows the handful.

use std::sync::Arc;

use super::{Emissions, LabelVectors};

/// Label vectors laid out for scoring: cheap to clone.
#[derive(Debug, Clone)]
pub struct LabelMatrix {
    vectors: Arc<Vectors>,
}

#[derive(Debug)]
struct Vectors {
    hidden: usize,
    outside: Vec<f32>,
    /// `(4 · labels) × hidden`, rows by label, then B, I, E, S.
    classes: Vec<f32>,
}

/// Scores windows; holds the scratch space of one thread.
#[derive(Debug, Default)]
pub struct Scorer {
    scores: Vec<f32>,
    best: Vec<f32>,
}

/// Up to this many labels all are kept in texts of several windows: leaving labels out saves
/// nothing there.
const FEW_LABELS: usize = 64;

impl LabelMatrix {
    /// Lays vectors out.
    pub fn new(vectors: &LabelVectors) -> Self {
        let classes = vectors.labels.iter().flatten().flatten().copied().collect();
        Self {
            vectors: Arc::new(Vectors {
                hidden: vectors.hidden,
                outside: vectors.outside.clone(),
                classes,
            }),
        }
    }

    /// Number of labels.
    pub fn labels(&self) -> usize {
        self.vectors.classes.len() / (4 * self.vectors.hidden)
    }

    /// Vectors of one label: B, I, E, S.
    pub fn vectors(&self, label: u32) -> [&[f32]; 4] {
        let width = self.vectors.hidden;
        [0, 1, 2, 3].map(|class| {
            let row = label as usize * 4 + class;
            &self.vectors.classes[row * width..(row + 1) * width]
        })
    }

    /// Scores of one label that was left out of `emissions`, from its hidden states; `None` where
    /// they were not kept.
    pub fn fill(&self, emissions: &Emissions, label: u32) -> Option<Vec<[f32; 4]>> {
        let hidden = emissions.hidden.as_deref()?;
        let vectors = self.vectors(label);
        Some(
            hidden
                .chunks_exact(self.vectors.hidden)
                .map(|token| vectors.map(|vector| dot(token, vector)))
                .collect(),
        )
    }
}

impl Scorer {
    /// Scores of `hidden` (`tokens × hidden`). `o_bias` is added to O. `alone`: the text has no
    /// other window, so a label that reaches O nowhere is not needed.
    pub fn score(
        &mut self,
        matrix: &LabelMatrix,
        hidden: &[f32],
        o_bias: f32,
        alone: bool,
    ) -> Emissions {
        let width = matrix.vectors.hidden;
        let tokens = hidden.len() / width;
        let labels = matrix.labels();
        let outside: Vec<f32> = hidden
            .chunks_exact(width)
            .map(|token| dot(token, &matrix.vectors.outside) + o_bias)
            .collect();
        if tokens == 0 || labels == 0 {
            return Emissions {
                tokens,
                outside,
                ..Emissions::default()
            };
        }
        self.multiply(matrix, hidden, tokens);
        let keep_all = !alone && labels <= FEW_LABELS;
        let kept: Vec<u32> = if keep_all {
            (0..labels as u32).collect()
        } else {
            self.reaching(&outside, labels)
        };
        let mut scores = Vec::with_capacity(kept.len() * tokens);
        for &label in &kept {
            for token in 0..tokens {
                let at = (token * labels + label as usize) * 4;
                scores.push(self.scores[at..at + 4].try_into().expect("four scores"));
            }
        }
        let hidden = (!alone && !keep_all).then(|| hidden.into());
        Emissions {
            tokens,
            outside,
            labels: kept,
            scores,
            hidden,
        }
    }

    /// `scores = hidden · classesᵀ`, `(tokens, 4 · labels)`.
    fn multiply(&mut self, matrix: &LabelMatrix, hidden: &[f32], tokens: usize) {
        let (width, classes) = (matrix.vectors.hidden, matrix.labels() * 4);
        self.scores.resize(tokens * classes, 0.0);
        debug_assert_eq!(hidden.len(), tokens * width);
        debug_assert_eq!(matrix.vectors.classes.len(), classes * width);
        // SAFETY: the three buffers have exactly the sizes that shapes and strides describe (the
        // lengths are fixed by `LabelMatrix::new`, `tokens` and the `resize` above), and the output
        // does not alias the inputs. Run under Miri in CI's `make miri`.
        unsafe {
            matrixmultiply::sgemm(
                tokens,
                width,
                classes,
                1.0,
                hidden.as_ptr(),
                width as isize,
                1,
                matrix.vectors.classes.as_ptr(),
                1,
                width as isize,
                0.0,
                self.scores.as_mut_ptr(),
                classes as isize,
                1,
            );
        }
    }

    /// Labels with a class that reaches O at some token, ascending.
    fn reaching(&mut self, outside: &[f32], labels: usize) -> Vec<u32> {
        self.best.clear();
        self.best.resize(labels, f32::NEG_INFINITY);
        for (row, outside) in self.scores.chunks_exact(labels * 4).zip(outside) {
            for (best, four) in self.best.iter_mut().zip(row.as_chunks::<4>().0) {
                *best = best.max(four[0].max(four[1]).max(four[2].max(four[3])) - outside);
            }
        }
        (0..labels as u32)
            .filter(|label| self.best[*label as usize] >= 0.0)
            .collect()
    }
}

/// Dot product with eight running sums, which the compiler turns into vector code.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let (left, left_rest) = a.as_chunks::<8>();
    let (right, right_rest) = b.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (x, y) in left.iter().zip(right) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}
