//! One constrained BIOES Viterbi over a whole document, linear in labels (I2, I3).
//!
//! With `base(t)` = the best of O, any E, any S at token `t`, and `open(t, l)` = the best of B or I
//! of label `l`:
//!
//! ```text
//! O(t)    = score(t, O)    + base(t-1)
//! B(t, l) = score(t, B, l) + base(t-1)
//! I(t, l) = score(t, I, l) + open(t-1, l)
//! E(t, l) = score(t, E, l) + open(t-1, l)
//! S(t, l) = score(t, S, l) + base(t-1)
//! ```
//!
//! (Constraints: design 4.1.) That is O(tokens × labels) steps, never O(labels²).
//!
//! No back pointers are kept. A path through `base` is a list of entities, an open one is a start
//! and the list before it; lists share their heads. An entity is certain once every path that can
//! still win goes through it, and leaves the decoder then. An entity has at most
//! [`LONGEST_ENTITY`] tokens, so that what is uncertain, and with it memory, stays bounded on a
//! document of any length.
//!
//! Score of an entity: its *margin* is the mean over its tokens of the chosen class's score less the
//! best score of O or of any class of any other label at that token; the pack's calibration turns
//! it into a probability.

use std::collections::VecDeque;

use crate::model::{Emissions, LabelMatrix};

/// Most tokens of an entity: an open one that gets longer is given up.
pub const LONGEST_ENTITY: u64 = 4096;

/// An entity on the best path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entity {
    /// Position of the label in the label set.
    pub label: u32,
    /// First token of the document.
    pub start: u64,
    /// Token after the last.
    pub end: u64,
    /// Mean margin over its tokens; see the module.
    pub margin: f32,
}

/// A Viterbi over windows that come one after another.
#[derive(Debug)]
pub struct Viterbi {
    /// Tokens seen.
    token: u64,
    /// Best closed path.
    base: Path,
    /// Open paths by label, ascending; labels without a score in the last window are absent.
    open: Vec<Open>,
    /// Labels that reached O in the last window.
    reached: Vec<u32>,
    /// Entities of all paths that are not certain yet; one comes after those before it.
    nodes: Vec<Node>,
    /// Entities that are certain, not taken out yet.
    certain: VecDeque<Entity>,
}

#[derive(Debug, Clone)]
struct Path {
    score: f64,
    last: Option<NodeId>,
}

/// Position in `Viterbi::nodes`.
type NodeId = u32;

/// An entity of a path, and the one before it.
#[derive(Debug, Clone, Copy)]
struct Node {
    entity: Entity,
    before: Option<NodeId>,
}

#[derive(Debug, Clone)]
struct Open {
    label: u32,
    score: f64,
    start: u64,
    margin: f64,
    before: Option<NodeId>,
}

impl Default for Viterbi {
    fn default() -> Self {
        Self {
            token: 0,
            base: Path {
                score: 0.0,
                last: None,
            },
            open: Vec::new(),
            reached: Vec::new(),
            nodes: Vec::new(),
            certain: VecDeque::new(),
        }
    }
}

impl Viterbi {
    /// Goes on with the next window's core. `next` is the window after it, if there is one: a
    /// label that reaches O only there may begin here.
    pub fn push(&mut self, window: &Emissions, next: Option<&Emissions>, matrix: &LabelMatrix) {
        let filled = self.filled(window, next, matrix);
        let scores: Vec<(u32, &[[f32; 4]])> = merged(window, &filled);
        self.open = scores.iter().map(|(label, _)| self.taken(*label)).collect();
        for token in 0..window.tokens {
            self.step(window.outside[token], &scores, token);
        }
        self.reached.clone_from(&window.labels);
        self.settle();
    }

    /// Entities that are certain so far, in order.
    pub fn certain(&mut self) -> impl Iterator<Item = Entity> + '_ {
        self.certain.drain(..)
    }

    /// First token that later entities may cover: what lies before it is decided.
    pub fn decided(&self) -> u64 {
        let first = |path: Option<NodeId>| {
            self.chain(path)
                .first()
                .map(|node| self.nodes[*node as usize].entity.start)
        };
        let base = first(self.base.last).unwrap_or(self.token);
        let open = self.open.iter().filter(|open| open.is_alive());
        open.map(|open| first(open.before).unwrap_or(open.start))
            .fold(base, u64::min)
    }

    /// Ends the document: the remaining entities.
    pub fn finish(mut self) -> Vec<Entity> {
        self.open.clear();
        self.settle();
        self.certain.into()
    }

    /// Scores of labels that were left out of this window and reach O in a window beside it. (Only
    /// an entity that covers a whole window without reaching O there is not found.)
    fn filled(
        &self,
        window: &Emissions,
        next: Option<&Emissions>,
        matrix: &LabelMatrix,
    ) -> Vec<(u32, Vec<[f32; 4]>)> {
        let beside = next.map_or(&[][..], |next| &next.labels);
        let mut wanted = [&self.reached[..], beside].concat();
        wanted.sort_unstable();
        wanted.dedup();
        wanted
            .into_iter()
            .filter(|label| window.labels.binary_search(label).is_err())
            .filter_map(|label| Some((label, matrix.fill(window, label)?)))
            .collect()
    }

    /// The open path of a label, or one that can't be gone on with.
    fn taken(&self, label: u32) -> Open {
        match self.open.binary_search_by_key(&label, |open| open.label) {
            Ok(at) => self.open[at].clone(),
            Err(_) => Open {
                label,
                score: f64::NEG_INFINITY,
                start: 0,
                margin: 0.0,
                before: None,
            },
        }
    }

    fn step(&mut self, outside: f32, scores: &[(u32, &[[f32; 4]])], token: usize) {
        let rivals = Rivals::of(outside, scores, token);
        let mut best = Best {
            score: self.base.score + f64::from(outside),
            at: None,
            single: false,
        };
        for (at, ((_, rows), open)) in scores.iter().zip(&self.open).enumerate() {
            let [_, _, end, single] = rows[token];
            best.offer(open.score + f64::from(end), at, false);
            best.offer(self.base.score + f64::from(single), at, true);
        }
        let closed = best.at.map(|at| {
            let (label, rows) = &scores[at];
            let rival = rivals.of_label(*label);
            let open = &self.open[at];
            let (start, margin, before) = if best.single {
                (
                    self.token,
                    f64::from(rows[token][3] - rival),
                    self.base.last,
                )
            } else {
                (
                    open.start,
                    open.margin + f64::from(rows[token][2] - rival),
                    open.before,
                )
            };
            let end = self.token + 1;
            let entity = Entity {
                label: *label,
                start,
                end,
                margin: (margin / (end - start) as f64) as f32,
            };
            Node { entity, before }
        });
        for ((label, rows), open) in scores.iter().zip(&mut self.open) {
            let [begin, inside, _, _] = rows[token];
            let rival = rivals.of_label(*label);
            let begun = self.base.score + f64::from(begin);
            let gone_on = open.score + f64::from(inside);
            if gone_on >= begun && self.token - open.start < LONGEST_ENTITY - 1 {
                open.score = gone_on;
                open.margin += f64::from(inside - rival);
            } else {
                open.score = begun;
                open.start = self.token;
                open.margin = f64::from(begin - rival);
                open.before = self.base.last;
            }
        }
        self.base.score = best.score;
        if let Some(node) = closed {
            self.base.last = Some(self.nodes.len() as NodeId);
            self.nodes.push(node);
        }
        self.token += 1;
    }

    /// Moves what every path agrees on to `certain`, and takes the scores back to zero.
    fn settle(&mut self) {
        let base = self.chain(self.base.last);
        let mut shared = base.len();
        for open in self.open.iter().filter(|open| open.is_alive()) {
            let other = self.chain(open.before);
            shared = shared.min(base.iter().zip(&other).take_while(|(a, b)| a == b).count());
        }
        self.certain.extend(
            base[..shared]
                .iter()
                .map(|node| self.nodes[*node as usize].entity),
        );
        self.forget(shared.checked_sub(1).map(|last| base[last]));
        // Scores grow with the document, and only their differences matter.
        let score = std::mem::take(&mut self.base.score);
        for open in &mut self.open {
            open.score -= score;
        }
    }

    /// Entities of a path, first one first.
    fn chain(&self, last: Option<NodeId>) -> Vec<NodeId> {
        let mut nodes = Vec::new();
        let mut next = last;
        while let Some(node) = next {
            nodes.push(node);
            next = self.nodes[node as usize].before;
        }
        nodes.reverse();
        nodes
    }

    /// Drops `certain`, what lies before it, and what no path goes through any more.
    fn forget(&mut self, certain: Option<NodeId>) {
        let mut kept = vec![false; self.nodes.len()];
        for path in self
            .open
            .iter()
            .map(|open| open.before)
            .chain([self.base.last])
        {
            let mut next = path;
            while let Some(node) =
                next.filter(|node| Some(*node) != certain && !kept[*node as usize])
            {
                kept[node as usize] = true;
                next = self.nodes[node as usize].before;
            }
        }
        let mut moved: Vec<Option<NodeId>> = Vec::with_capacity(self.nodes.len());
        let mut nodes = Vec::new();
        for (node, kept) in self.nodes.iter().zip(&kept) {
            moved.push(kept.then_some(nodes.len() as NodeId));
            if *kept {
                let before = node.before.and_then(|before| moved[before as usize]);
                nodes.push(Node { before, ..*node });
            }
        }
        self.nodes = nodes;
        self.base.last = self.base.last.and_then(|node| moved[node as usize]);
        for open in &mut self.open {
            open.before = open.before.and_then(|node| moved[node as usize]);
        }
    }
}

impl Open {
    fn is_alive(&self) -> bool {
        self.score > f64::NEG_INFINITY
    }
}

/// The best way to end at a token with nothing open.
struct Best {
    score: f64,
    /// Position of the label among the scores, `None` for O.
    at: Option<usize>,
    single: bool,
}

impl Best {
    fn offer(&mut self, score: f64, at: usize, single: bool) {
        if score > self.score {
            *self = Self {
                score,
                at: Some(at),
                single,
            };
        }
    }
}

/// What a label's classes are compared with at one token.
struct Rivals {
    best: f32,
    best_label: u32,
    second: f32,
}

impl Rivals {
    fn of(outside: f32, scores: &[(u32, &[[f32; 4]])], token: usize) -> Self {
        let mut rivals = Self {
            best: outside,
            best_label: u32::MAX,
            second: outside,
        };
        for (label, rows) in scores {
            let score = rows[token]
                .iter()
                .copied()
                .fold(f32::NEG_INFINITY, f32::max);
            if score > rivals.best {
                rivals.second = rivals.best;
                rivals.best = score;
                rivals.best_label = *label;
            } else if score > rivals.second {
                rivals.second = score;
            }
        }
        rivals
    }

    /// Best score of O and of the other labels.
    fn of_label(&self, label: u32) -> f32 {
        if label == self.best_label {
            self.second
        } else {
            self.best
        }
    }
}

/// A window's scores and those filled in, by label.
fn merged<'a>(
    window: &'a Emissions,
    filled: &'a [(u32, Vec<[f32; 4]>)],
) -> Vec<(u32, &'a [[f32; 4]])> {
    let own = window.labels.iter().map(|label| {
        (
            *label,
            window.of(*label).expect("the window has this label"),
        )
    });
    let mut scores: Vec<_> = own
        .chain(filled.iter().map(|(label, rows)| (*label, &rows[..])))
        .collect();
    scores.sort_unstable_by_key(|(label, _)| *label);
    scores
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::LabelVectors;

    /// A document's scores: per token O, then B, I, E, S of each label.
    type Scores = Vec<Vec<f32>>;

    fn emissions(scores: &[Vec<f32>]) -> Emissions {
        let labels = (scores.first().map_or(1, Vec::len) - 1) / 4;
        Emissions {
            tokens: scores.len(),
            outside: scores.iter().map(|row| row[0]).collect(),
            labels: (0..labels as u32).collect(),
            scores: (0..labels)
                .flat_map(|label| {
                    scores
                        .iter()
                        .map(move |row| row[1 + 4 * label..5 + 4 * label].try_into().unwrap())
                })
                .collect(),
            hidden: None,
        }
    }

    fn no_vectors() -> LabelMatrix {
        LabelMatrix::new(&LabelVectors {
            hidden: 1,
            outside: vec![0.0],
            labels: Vec::new(),
        })
    }

    fn decode(scores: &Scores, cuts: &[usize]) -> Vec<Entity> {
        let mut viterbi = Viterbi::default();
        let mut windows = Vec::new();
        let mut start = 0;
        for cut in cuts.iter().copied().chain([scores.len()]) {
            let end = (start + cut).min(scores.len());
            if end > start {
                windows.push(emissions(&scores[start..end]));
            }
            start = end;
        }
        let mut entities = Vec::new();
        for (at, window) in windows.iter().enumerate() {
            viterbi.push(window, windows.get(at + 1), &no_vectors());
            let decided = viterbi.decided();
            entities.extend(viterbi.certain());
            assert!(entities.iter().all(|entity: &Entity| entity.end <= decided));
        }
        entities.extend(viterbi.finish());
        entities
    }

    /// Score of O everywhere except in `entities`.
    fn path_score(scores: &Scores, entities: &[(u32, usize, usize)]) -> f64 {
        let mut total: f64 = scores.iter().map(|row| f64::from(row[0])).sum();
        for &(label, start, end) in entities {
            for token in start..end {
                let class = match (token == start, token + 1 == end) {
                    (true, true) => 3,
                    (true, false) => 0,
                    (false, true) => 2,
                    (false, false) => 1,
                };
                total +=
                    f64::from(scores[token][1 + 4 * label as usize + class] - scores[token][0]);
            }
        }
        total
    }

    /// Best score over all sets of entities, by trying them all.
    fn brute_force(scores: &Scores, from: usize, entities: &mut Vec<(u32, usize, usize)>) -> f64 {
        if from == scores.len() {
            return path_score(scores, entities);
        }
        let mut best = brute_force(scores, from + 1, entities);
        let labels = (scores[0].len() - 1) / 4;
        for end in from + 1..=scores.len() {
            for label in 0..labels as u32 {
                entities.push((label, from, end));
                best = best.max(brute_force(scores, end, entities));
                entities.pop();
            }
        }
        best
    }

    fn documents(
        tokens: impl Into<prop::collection::SizeRange>,
        labels: std::ops::Range<usize>,
    ) -> impl Strategy<Value = Scores> {
        let tokens = tokens.into();
        labels.prop_flat_map(move |labels| {
            prop::collection::vec(
                prop::collection::vec(-4.0f32..4.0, 1 + 4 * labels),
                tokens.clone(),
            )
        })
    }

    proptest! {
        #[test]
        fn the_path_is_as_good_as_the_best_of_all_paths(scores in documents(0..6, 1..3)) {
            let found: Vec<_> = decode(&scores, &[]).iter().map(|e| (e.label, e.start as usize, e.end as usize)).collect();
            let best = brute_force(&scores, 0, &mut Vec::new());
            prop_assert!((path_score(&scores, &found) - best).abs() < 1e-4, "{} against {best}", path_score(&scores, &found));
        }

        #[test]
        fn how_a_document_is_cut_does_not_matter(scores in documents(0..60, 1..4), cuts in prop::collection::vec(1usize..9, 0..12)) {
            prop_assert_eq!(decode(&scores, &cuts), decode(&scores, &[]));
        }

        #[test]
        fn labels_that_reach_o_nowhere_change_nothing(scores in documents(1..40, 2..6), width in 3usize..9) {
            // Hidden states and label vectors whose products are scores: one-hot would do, random
            // ones exercise the scorer too.
            let hidden: Vec<f32> = scores.iter().flat_map(|row| row.iter().copied().cycle().take(width).collect::<Vec<_>>()).collect();
            let labels = (scores[0].len() - 1) / 4;
            let vector = |seed: usize| (0..width).map(|at| ((seed * 31 + at * 17) % 13) as f32 / 6.0 - 1.0).collect::<Vec<f32>>();
            let matrix = LabelMatrix::new(&LabelVectors {
                hidden: width,
                outside: vector(999),
                labels: (0..labels).map(|label| [0, 1, 2, 3].map(|class| vector(label * 4 + class))).collect(),
            });
            let mut scorer = crate::model::Scorer::default();
            let all = scorer.score(&matrix, &hidden, 0.3, false);
            let some = scorer.score(&matrix, &hidden, 0.3, true);
            prop_assert_eq!(all.labels.len(), labels);
            let entities = |emissions: &Emissions| {
                let mut viterbi = Viterbi::default();
                viterbi.push(emissions, None, &matrix);
                viterbi.finish()
            };
            prop_assert_eq!(entities(&all), entities(&some));
        }
    }

    #[test]
    fn entities_may_follow_one_another_at_once() {
        let scores = vec![vec![0.0, 0.0, 0.0, 0.0, 2.0], vec![0.0, 0.0, 0.0, 0.0, 2.0]];
        let entities = decode(&scores, &[]);
        assert_eq!(
            entities
                .iter()
                .map(|e| (e.start, e.end))
                .collect::<Vec<_>>(),
            [(0, 1), (1, 2)]
        );
        assert_eq!(entities[0].margin, 2.0);
    }

    #[test]
    fn memory_stays_bounded_when_nothing_is_ever_certain() {
        // I always scores a little more than O, so an open path is never worse than a closed one.
        let row = vec![0.0, 0.0, 0.01, -9.0, -9.0];
        let mut viterbi = Viterbi::default();
        let window = emissions(&vec![row; 1000]);
        for _ in 0..50 {
            viterbi.push(&window, None, &no_vectors());
            assert!(viterbi.token - viterbi.decided() <= LONGEST_ENTITY + 1000);
        }
    }
}
