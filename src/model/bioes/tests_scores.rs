//! Documents' scores for the tests of the decoders.

use super::{Emissions, LabelMatrix, LabelVectors, Run, Scorer};

/// A document's scores: per token O, then B, I, E, S of each label.
pub(super) type Scores = Vec<Vec<f32>>;

pub(super) fn emissions(scores: &[Vec<f32>]) -> Emissions {
    let labels = (scores.first().map_or(1, Vec::len) - 1) / 4;
    let tokens = scores.len();
    let rows = |label: usize| {
        let four = move |row: &Vec<f32>| row[1 + 4 * label..5 + 4 * label].try_into().unwrap();
        scores.iter().map(four)
    };
    let run = |label: usize| Run {
        label: label as u32,
        start: 0,
        end: tokens as u32,
        row: (label * tokens) as u32,
    };
    Emissions {
        tokens,
        outside: scores.iter().map(|row| row[0]).collect(),
        runs: (0..labels).map(run).collect(),
        scores: (0..labels).flat_map(rows).collect(),
        hidden: None,
    }
}

pub(super) fn no_vectors() -> LabelMatrix {
    LabelMatrix::new(&LabelVectors {
        hidden: 1,
        outside: vec![0.0],
        labels: Vec::new(),
    })
}

/// A document that was scored with the bound of the scorer, which leaves out what cannot matter.
pub(super) struct Bounded {
    pub(super) matrix: LabelMatrix,
    /// All scores, none left out.
    pub(super) all: Scores,
    pub(super) windows: Vec<Emissions>,
}

/// Label vectors near a few directions, so that the bound of the scorer has work to do. Each of `cuts` ends a window
/// that many tokens later.
pub(super) fn bounded(
    tokens: usize,
    labels: usize,
    seed: u32,
    bias: f32,
    cuts: Vec<usize>,
) -> Bounded {
    let width = 24;
    let noise = |at: usize| {
        let mixed = (at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
        (mixed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let vector = |of: usize| -> Vec<f32> {
        let numbers = (0..width).map(|at| noise(of * 3 + at % 6) + noise(of * 977 + at) * 0.05);
        numbers.collect()
    };
    let classes = |label: usize| [0, 1, 2, 3].map(|class| vector(label * 4 + class + 1));
    let vectors = LabelVectors {
        hidden: width,
        outside: vec![0.0; width],
        labels: (0..labels).map(classes).collect(),
    };
    let hidden: Vec<f32> = (0..tokens * width).map(|at| noise(at * 31 + 7)).collect();
    let matrix = LabelMatrix::new(&vectors);
    let scores = |token: &[f32]| -> Vec<f32> {
        let product = |vector: &Vec<f32>| token.iter().zip(vector).map(|(x, y)| x * y).sum::<f32>();
        let of_labels = vectors.labels.iter().flatten().map(product);
        std::iter::once(bias).chain(of_labels).collect()
    };
    let all = hidden.chunks_exact(width).map(scores).collect();
    let (mut scorer, mut windows, mut start) = (Scorer::default(), Vec::new(), 0);
    for cut in cuts.into_iter().chain([tokens]) {
        let end = (start + cut).min(tokens);
        if end > start {
            let own = &hidden[start * width..end * width];
            windows.push(scorer.score(&matrix, own, bias, start == 0 && end == tokens));
        }
        start = end;
    }
    Bounded {
        matrix,
        all,
        windows,
    }
}
