//! Emission scores: hidden states against label vectors.
//!
//! `score(token, class) = hidden(token) · vector(class)`, for O and B, I, E, S of each label.
//!
//! # Which scores are left out, and why that changes no result
//!
//! An entity of label `l` over tokens `a..b` lies on the best path only if its classes score at
//! least what O scores over the same tokens, for O may stand anywhere in their place. With `g(t)` =
//! the best class of `l` at `t` less O, that takes a stretch around every token of the entity over
//! which the sum of `g` is not negative. A token in no such stretch needs no scores of `l`, and one
//! pass from the left and one from the right find those tokens (Kadane's maximum subarray).
//!
//! # Many labels
//!
//! A thousand labels are 4,000 vectors of 384 numbers: their products with a hidden state cost a
//! third of what the whole backbone of weir-mini does. But the differences of all classes to O lie
//! close to a space of few dimensions. In an
//! orthonormal basis of that space, made by pivoted Gram-Schmidt (Golub and Van Loan, Matrix
//! Computations, 5.4.2), a few products and the Cauchy-Schwarz inequality for the rest bound `g` from
//! above. The bound leaves out all but a percent or two of the tokens and labels, and only what is
//! left is scored in full. `weir bench` prints what it costs.

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
    bounds: Option<Bounds>,
}

/// Classes less O in a space of few dimensions.
#[derive(Debug)]
struct Bounds {
    /// Orthonormal rows, `DIMENSIONS × hidden`.
    basis: Vec<f32>,
    /// For every `LANES` labels: by coordinate, then B, I, E and S, then label. The last coordinate
    /// is the length of what the others leave out. Labels that are not there are zeros.
    blocks: Vec<Block>,
}

type Block = [[[f32; LANES]; 4]; DIMENSIONS + 1];

/// Scores windows; holds the scratch space of one thread.
#[derive(Debug, Default)]
pub struct Scorer {
    scores: Vec<f32>,
    products: Vec<f32>,
    coordinates: Vec<[f32; DIMENSIONS + 1]>,
    /// Bounds of `g` by token, for the labels of one block.
    bounds: Vec<[f32; LANES]>,
    /// `g` of one label by token.
    gains: Vec<f32>,
    ending: Vec<f32>,
}

/// Up to this many labels all scores are computed, and all are kept in texts of several windows.
const FEW_LABELS: usize = 15;

/// Dimensions of the bound. Fewer: more labels pass it and are scored for nothing. More: the bound
/// itself costs more. How many it takes depends on how far a pack keeps its labels apart: with
/// weir-mini 0.2, of 1,000 labels 116 pass for each token with 11 dimensions and 10 with 23; with the
/// pack before it 18 with either (`weir bench`).
const DIMENSIONS: usize = 23;

/// Labels whose bounds are computed side by side: one register of AVX2.
const LANES: usize = 8;

/// What rounding may take from a bound.
const SLACK: f32 = 1e-3;

impl LabelMatrix {
    /// Lays vectors out.
    pub fn new(vectors: &LabelVectors) -> Self {
        let classes: Vec<f32> = vectors.labels.iter().flatten().flatten().copied().collect();
        let bounds =
            (vectors.labels.len() > FEW_LABELS).then(|| Bounds::new(&classes, &vectors.outside));
        let outside = vectors.outside.clone();
        Self {
            vectors: Arc::new(Vectors {
                hidden: vectors.hidden,
                outside,
                classes,
                bounds,
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

    /// Scores of one label at all tokens of `emissions`, from its hidden states; `None` where they
    /// were not kept.
    pub fn fill(&self, emissions: &Emissions, label: u32) -> Option<Vec<[f32; 4]>> {
        let hidden = emissions.hidden.as_deref()?;
        Some(self.scores_of(hidden, label).collect())
    }

    fn scores_of<'a>(
        &'a self,
        hidden: &'a [f32],
        label: u32,
    ) -> impl Iterator<Item = [f32; 4]> + 'a {
        let vectors = self.vectors(label);
        hidden
            .chunks_exact(self.vectors.hidden)
            .map(move |token| dots(token, vectors))
    }
}

impl Bounds {
    fn new(classes: &[f32], outside: &[f32]) -> Self {
        let width = outside.len();
        let mut rest: Vec<f32> = classes
            .iter()
            .zip(outside.iter().cycle())
            .map(|(class, o)| class - o)
            .collect();
        let lengths = |rest: &[f32]| {
            rest.chunks_exact(width)
                .map(|row| dot(row, row))
                .collect::<Vec<f32>>()
        };
        let mut basis: Vec<f32> = Vec::new();
        let mut columns: Vec<Vec<f32>> = Vec::new();
        for _ in 0..DIMENSIONS {
            let longest = lengths(&rest)
                .into_iter()
                .enumerate()
                .fold((0, 0.0), |a, b| if b.1 > a.1 { b } else { a })
                .0;
            let mut direction: Vec<f32> = rest[longest * width..(longest + 1) * width].to_vec();
            // Once more against the basis: rounding would let it lean (Björck 1967).
            for row in basis.chunks_exact(width) {
                let along = dot(&direction, row);
                direction
                    .iter_mut()
                    .zip(row)
                    .for_each(|(x, y)| *x -= along * y);
            }
            let length = dot(&direction, &direction).sqrt();
            let scale = if length > f32::EPSILON {
                length.recip()
            } else {
                0.0
            };
            direction.iter_mut().for_each(|x| *x *= scale);
            let project = |row: &mut [f32]| {
                let along = dot(row, &direction);
                row.iter_mut()
                    .zip(&direction)
                    .for_each(|(x, y)| *x -= along * y);
                along
            };
            columns.push(rest.chunks_exact_mut(width).map(project).collect());
            basis.extend(&direction);
        }
        let residues = lengths(&rest);
        let labels = residues.len() / 4;
        let mut blocks = vec![[[[0.0; LANES]; 4]; DIMENSIONS + 1]; labels.div_ceil(LANES)];
        for (row, residue) in residues.iter().enumerate() {
            let (label, class) = (row / 4, row % 4);
            let coordinates = columns.iter().map(|column| column[row]);
            for (at, coordinate) in coordinates.chain([residue.sqrt()]).enumerate() {
                blocks[label / LANES][at][class][label % LANES] = coordinate;
            }
        }
        Self { basis, blocks }
    }
}

impl Scorer {
    /// Scores of `hidden` (`tokens × hidden`). `o_bias` is added to O. `alone`: the text has no
    /// other window.
    pub fn score(
        &mut self,
        matrix: &LabelMatrix,
        hidden: &[f32],
        o_bias: f32,
        alone: bool,
    ) -> Emissions {
        let vectors = &*matrix.vectors;
        let tokens = hidden.len() / vectors.hidden;
        let labels = matrix.labels();
        let outside: Vec<f32> = hidden
            .chunks_exact(vectors.hidden)
            .map(|token| dot(token, &vectors.outside) + o_bias)
            .collect();
        let mut emissions = Emissions {
            tokens,
            outside,
            ..Emissions::default()
        };
        if tokens == 0 || labels == 0 {
            return emissions;
        }
        let Some(bounds) = &vectors.bounds else {
            multiply(hidden, &vectors.classes, vectors.hidden, &mut self.scores);
            let scores = self.scores.as_chunks::<4>().0;
            for label in 0..labels {
                let rows = scores[label..].iter().step_by(labels);
                if !alone {
                    emissions.push(label as u32, 0, rows.copied());
                    continue;
                }
                let gains = rows
                    .clone()
                    .zip(&emissions.outside)
                    .map(|(four, outside)| best(four) - outside);
                self.gains.clear();
                self.gains.extend(gains);
                stretches(&self.gains, &mut self.ending, |from, to| {
                    let rows = rows.clone().skip(from).take(to - from).copied();
                    emissions.push(label as u32, from, rows);
                });
            }
            return emissions;
        };
        self.project(bounds, vectors.hidden, hidden);
        for (at, block) in bounds.blocks.iter().enumerate() {
            let most = bound(block, &self.coordinates, &mut self.bounds);
            for lane in 0..LANES.min(labels - at * LANES) {
                // Less the bias, because O gains from it; both sides of the sum are rounded.
                let less = SLACK - o_bias;
                if most[lane] + less < 0.0 {
                    continue;
                }
                self.gains.clear();
                self.gains
                    .extend(self.bounds.iter().map(|bounds| bounds[lane] + less));
                let label = (at * LANES + lane) as u32;
                stretches(&self.gains, &mut self.ending, |from, to| {
                    let hidden = &hidden[from * vectors.hidden..to * vectors.hidden];
                    emissions.push(label, from, matrix.scores_of(hidden, label));
                });
            }
        }
        emissions.hidden = (!alone).then(|| hidden.into());
        emissions
    }

    /// Coordinates of hidden states in the basis, and the length of what they leave out.
    fn project(&mut self, bounds: &Bounds, width: usize, hidden: &[f32]) {
        multiply(hidden, &bounds.basis, width, &mut self.products);
        let products = self.products.as_chunks::<DIMENSIONS>().0;
        self.coordinates.clear();
        for (token, along) in hidden.chunks_exact(width).zip(products) {
            let mut coordinates = [0.0; DIMENSIONS + 1];
            coordinates[..DIMENSIONS].copy_from_slice(along);
            let rest = dot(token, token) - dot(along, along);
            coordinates[DIMENSIONS] = rest.max(0.0).sqrt();
            self.coordinates.push(coordinates);
        }
    }
}

/// Bounds of `g` for a block's labels at each token, and the greatest of each label.
fn bound(
    block: &Block,
    coordinates: &[[f32; DIMENSIONS + 1]],
    out: &mut Vec<[f32; LANES]>,
) -> [f32; LANES] {
    out.clear();
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has what the function is compiled for; it takes plain slices.
        return unsafe { bound_fma(block, coordinates, out) };
    }
    bound_of(block, coordinates, out, |x, y, sum| x * y + sum)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn bound_fma(
    block: &Block,
    coordinates: &[[f32; DIMENSIONS + 1]],
    out: &mut Vec<[f32; LANES]>,
) -> [f32; LANES] {
    bound_of(block, coordinates, out, f32::mul_add)
}

/// Two tokens at a time, and all four classes: eight sums that do not wait for each other, and more
/// products than loads. A general matrix product is made for rows longer than these.
#[inline(always)]
fn bound_of(
    block: &Block,
    coordinates: &[[f32; DIMENSIONS + 1]],
    out: &mut Vec<[f32; LANES]>,
    step: impl Fn(f32, f32, f32) -> f32 + Copy,
) -> [f32; LANES] {
    let mut most = [f32::NEG_INFINITY; LANES];
    let (pairs, last) = coordinates.as_chunks::<2>();
    for pair in pairs {
        let bests = best_of(block, pair, step);
        most = greater(&most, &greater(&bests[0], &bests[1]));
        out.extend(bests);
    }
    if let [last] = last {
        let [best] = best_of(block, &[*last], step);
        most = greater(&most, &best);
        out.push(best);
    }
    most
}

/// The best of B, I, E and S of each label at `TOKENS` tokens.
#[inline(always)]
fn best_of<const TOKENS: usize>(
    block: &Block,
    tokens: &[[f32; DIMENSIONS + 1]; TOKENS],
    step: impl Fn(f32, f32, f32) -> f32 + Copy,
) -> [[f32; LANES]; TOKENS] {
    let mut sums = [[[0.0f32; LANES]; 4]; TOKENS];
    for (at, rows) in block.iter().enumerate() {
        for (sums, token) in sums.iter_mut().zip(tokens) {
            for (sums, row) in sums.iter_mut().zip(rows) {
                for lane in 0..LANES {
                    sums[lane] = step(row[lane], token[at], sums[lane]);
                }
            }
        }
    }
    sums.map(|[b, i, e, s]| greater(&greater(&b, &i), &greater(&e, &s)))
}

/// The greater of each lane; `f32::max` would spend half of its time on numbers that are none.
#[inline(always)]
fn greater(left: &[f32; LANES], right: &[f32; LANES]) -> [f32; LANES] {
    std::array::from_fn(|lane| match left[lane] > right[lane] {
        true => left[lane],
        false => right[lane],
    })
}

/// Calls `found` with each longest stretch of tokens that entities of a label may cover, from what
/// its best class gains over O at each token. From the last stretch to the first.
fn stretches(gains: &[f32], ending: &mut Vec<f32>, mut found: impl FnMut(usize, usize)) {
    // Most to gain from a stretch that ends at, or begins at, a token.
    ending.clear();
    let mut before = 0.0f32;
    ending.extend(gains.iter().map(|gain| {
        before = gain + before.max(0.0);
        before
    }));
    let mut after = 0.0f32;
    let mut end = None;
    for (token, gain) in gains.iter().enumerate().rev() {
        after = gain + after.max(0.0);
        let coverable = ending[token] + after - gain >= 0.0;
        match (coverable, end) {
            (true, None) => end = Some(token + 1),
            (false, Some(to)) => {
                found(token + 1, to);
                end = None;
            }
            _ => {}
        }
    }
    if let Some(to) = end {
        found(0, to);
    }
}

/// `out = left · rightᵀ` for rows of `width` numbers.
fn multiply(left: &[f32], right: &[f32], width: usize, out: &mut Vec<f32>) {
    let (rows, columns) = (left.len() / width, right.len() / width);
    assert!(
        left.len() == rows * width && right.len() == columns * width,
        "whole rows"
    );
    out.clear();
    out.resize(rows * columns, 0.0);
    if rows == 0 || columns == 0 {
        return;
    }
    // SAFETY: the assertion and the `resize` above give the three buffers exactly the sizes that
    // shapes and strides describe, and `out` is borrowed mutably, so it does not alias the others.
    // `make sanitize` runs the tests of this file.
    unsafe {
        matrixmultiply::sgemm(
            rows,
            width,
            columns,
            1.0,
            left.as_ptr(),
            width as isize,
            1,
            right.as_ptr(),
            1,
            width as isize,
            0.0,
            out.as_mut_ptr(),
            columns as isize,
            1,
        );
    }
}

fn best(four: &[f32; 4]) -> f32 {
    four[0].max(four[1]).max(four[2].max(four[3]))
}

/// Dot product. Builds are for any x86-64, so the wide instructions are chosen at run time.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has what the function is compiled for; it takes plain slices.
        return unsafe { dot_fma(a, b) };
    }
    dot_of::<8>(a, b, |x, y, sum| x * y + sum)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_fma(a: &[f32], b: &[f32]) -> f32 {
    dot_of::<32>(a, b, f32::mul_add)
}

/// Dot products of a token with the four classes of a label.
fn dots(token: &[f32], classes: [&[f32]; 4]) -> [f32; 4] {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
        // SAFETY: the processor has what the function is compiled for; it takes plain slices.
        return unsafe { dots_fma(token, classes) };
    }
    classes.map(|class| dot(token, class))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dots_fma(token: &[f32], classes: [&[f32]; 4]) -> [f32; 4] {
    let (chunks, rest) = token.as_chunks::<16>();
    let rows = classes.map(|class| class.as_chunks::<16>());
    let mut sums = [[0.0f32; 16]; 4];
    for (at, x) in chunks.iter().enumerate() {
        for (sums, (row, _)) in sums.iter_mut().zip(&rows) {
            let y = &row[at];
            for lane in 0..16 {
                sums[lane] = x[lane].mul_add(y[lane], sums[lane]);
            }
        }
    }
    std::array::from_fn(|class| {
        let rest: f32 = rest.iter().zip(rows[class].1).map(|(x, y)| x * y).sum();
        sums[class].iter().sum::<f32>() + rest
    })
}

/// With `LANES` running sums, which the compiler turns into vector code.
#[inline(always)]
fn dot_of<const LANES: usize>(a: &[f32], b: &[f32], step: impl Fn(f32, f32, f32) -> f32) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let (left, left_rest) = a.as_chunks::<LANES>();
    let (right, right_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0f32; LANES];
    for (x, y) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] = step(x[lane], y[lane], sums[lane]);
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Label vectors near a space of few dimensions, as a trained label encoder gives them.
    fn vectors(labels: usize, width: usize, seed: u32) -> LabelVectors {
        let mut state = seed | 1;
        let mut number = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as f32 / u32::MAX as f32 * 2.0 - 1.0
        };
        let directions: Vec<Vec<f32>> = (0..12)
            .map(|_| (0..width).map(|_| number()).collect())
            .collect();
        let mut vector = || {
            let mut sum = vec![0.0; width];
            for direction in &directions {
                let along = number();
                sum.iter_mut()
                    .zip(direction)
                    .for_each(|(x, y)| *x += along * y);
            }
            sum.iter_mut().for_each(|x| *x += number() * 1e-5);
            sum
        };
        LabelVectors {
            hidden: width,
            outside: vector(),
            labels: (0..labels).map(|_| [(); 4].map(|()| vector())).collect(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 96 }, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn scores_are_products_and_those_left_out_are_below_o(
            seed in any::<u32>(), labels in 1usize..120, tokens in 1usize..9, bias in -2.0f32..2.0,
        ) {
            let width = 64;
            let matrix = LabelMatrix::new(&vectors(labels, width, seed));
            let hidden: Vec<f32> = (0..tokens * width).map(|at| ((at * 7919 + seed as usize) % 1000) as f32 / 500.0 - 1.0).collect();
            let emissions = Scorer::default().score(&matrix, &hidden, bias, true);
            for label in 0..labels as u32 {
                let mut exact: Vec<Option<[f32; 4]>> = matrix.scores_of(&hidden, label).map(Some).collect();
                for run in emissions.runs_of(label) {
                    for (found, token) in emissions.of(run).iter().zip(run.start..run.end) {
                        let exact = exact[token as usize].take().expect("runs of a label do not touch");
                        for (found, exact) in found.iter().zip(exact) {
                            prop_assert!((found - exact).abs() < 1e-3, "{found} against {exact}");
                        }
                    }
                }
                for (token, four) in exact.iter().enumerate().filter_map(|(token, four)| Some((token, (*four)?))) {
                    prop_assert!(best(&four) < emissions.outside[token] + 1e-3);
                }
            }
        }
    }
}
