//! One constrained BIOES Viterbi over a whole document, linear in labels (I2, I3).
//!
//! With `ended(t)` = the best of any E, any S at token `t`, and `open(t, l)` = the best of B or I of
//! label `l`:
//!
//! ```text
//! O(t)    = score(t, O)    + max(O(t-1) + background_stay,     ended(t-1) + end_to_background)
//! B(t, l) = score(t, B, l) + max(O(t-1) + background_to_start, ended(t-1) + end_to_start)
//! S(t, l) = score(t, S, l) + max(O(t-1) + background_to_start, ended(t-1) + end_to_start)
//! I(t, l) = score(t, I, l) + open(t-1, l) + inside_to_continue
//! E(t, l) = score(t, E, l) + open(t-1, l) + inside_to_end
//! ```
//!
//! (Constraints: design 4.1; the six [`Transitions`], 4.3, are zero for most packs.) That is
//! O(tokens × labels) steps, never O(labels²).
//!
//! No back pointers are kept. A closed path is a list of entities, an open one is a start and the
//! list before it; lists share their heads. A closed path that is no better than the other one,
//! whatever follows, is dropped at once: without transitions one is left. An entity is certain once every path that can
//! still win goes through it, and leaves the decoder then. An entity has at most
//! [`LONGEST_ENTITY`] tokens, so that what is uncertain, and with it memory, stays bounded on a
//! document of any length.
//!
//! An entity has two figures, each a mean over its tokens, and the pack's calibration turns each
//! into a probability. Its *gain* is what the best class of any asked label scores above O; its
//! *margin* is what the chosen class scores above O and every class of every other label.

use std::collections::VecDeque;

use super::{
    Emissions, LabelMatrix, Transitions,
    lanes::{Column, Lane, Lanes},
};

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
    /// Mean over its tokens of what the best class of any asked label scores above O; see the module.
    pub gain: f32,
    /// Mean over its tokens of what its class scores above O and all other labels; see the module.
    pub margin: f32,
}

/// A Viterbi over windows that come one after another.
#[derive(Debug)]
pub struct Viterbi {
    /// Tokens seen.
    token: u64,
    transitions: Transitions,
    /// Best path that ends in O; before the first token, the one that has not begun.
    outside: Path,
    /// Best path that ends in E or S.
    ended: Path,
    /// Open paths of labels that have scores at this token.
    open: Vec<Open>,
    /// Labels whose own scores went up to the last window's end.
    at_end: Vec<u32>,
    /// Entities of all paths that are not certain yet; one comes after those before it.
    nodes: Vec<Node>,
    /// Entities that are certain, not taken out yet.
    certain: VecDeque<Entity>,
}

#[derive(Debug, Clone, Copy)]
struct Path {
    score: f64,
    last: Option<NodeId>,
    /// Whether it can be gone on with. Not told by the score: that may be no number at all.
    alive: bool,
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
    gain: f64,
    margin: f64,
    before: Option<NodeId>,
}

impl Default for Viterbi {
    fn default() -> Self {
        Self::new(Transitions::default())
    }
}

impl Path {
    /// What can't be gone on with.
    const DEAD: Self = Self {
        score: f64::NEG_INFINITY,
        last: None,
        alive: false,
    };

    /// Whether it is to be gone on with, and not the other.
    fn beats(&self, other: &Self) -> bool {
        self.alive && (!other.alive || self.score > other.score)
    }
}

impl Viterbi {
    /// A decoder whose scores include what it costs to go from class to class.
    pub fn new(transitions: Transitions) -> Self {
        Self {
            token: 0,
            transitions,
            outside: Path {
                score: 0.0,
                last: None,
                alive: true,
            },
            ended: Path::DEAD,
            open: Vec::new(),
            at_end: Vec::new(),
            nodes: Vec::new(),
            certain: VecDeque::new(),
        }
    }

    /// Goes on with the next window's core. `next` is the window after it, if there is one: an
    /// entity may begin here with a label that has scores only there.
    pub fn push(&mut self, window: &Emissions, next: Option<&Emissions>, matrix: &LabelMatrix) {
        let filled = self.filled(window, next, matrix);
        self.advance(window, &Lanes::of(window, &filled, None));
    }

    /// Goes on over a window whose scores are laid out.
    pub(super) fn advance(&mut self, window: &Emissions, lanes: &Lanes) {
        let mut waiting = lanes.lanes.iter().copied().peekable();
        let mut active: Vec<Lane> = Vec::new();
        // Paths that are open at the seam go on only where their label has scores on both sides.
        let mut carried = std::mem::take(&mut self.open);
        for (token, column) in lanes.columns.iter().enumerate() {
            while let Some(lane) = waiting.next_if(|lane| lane.start == token) {
                let before = carried
                    .iter()
                    .position(|open| token == 0 && open.label == lane.label);
                self.open.push(
                    before.map_or_else(|| Open::none(lane.label), |at| carried.swap_remove(at)),
                );
                active.push(lane);
            }
            if token == 0 {
                carried.clear();
            }
            self.step(column, &active, token);
            let mut at = 0;
            while at < active.len() {
                // At the window's end open paths stay for the next one.
                if active[at].end() == token + 1 && token + 1 < window.tokens {
                    active.swap_remove(at);
                    self.open.swap_remove(at);
                } else {
                    at += 1;
                }
            }
        }
        self.at_end = window.at_edge(true).collect();
        self.settle();
    }

    /// Goes on over the tokens of one lane, as if there were no other label.
    pub(super) fn advance_alone(&mut self, lane: Lane, lanes: &Lanes) {
        if self.open.is_empty() {
            self.open.push(Open::none(lane.label));
        }
        for token in lane.start..lane.end() {
            self.step(&lanes.columns[token], &[lane], token);
        }
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
        let closed = self
            .closed()
            .map(|path| first(path.last).unwrap_or(self.token));
        let open = self.open.iter().filter(|open| open.is_alive());
        let open = open.map(|open| first(open.before).unwrap_or(open.start));
        closed.chain(open).fold(self.token, u64::min)
    }

    fn closed(&self) -> impl Iterator<Item = Path> {
        [self.outside, self.ended]
            .into_iter()
            .filter(|path| path.alive)
    }

    /// The best way to a class that is entered from O at one price and from E and S at another.
    fn best(&self, from_outside: f32, from_ended: f32) -> Path {
        let with = |path: &Path, price: f32| Path {
            score: path.score + f64::from(price),
            ..*path
        };
        let (outside, ended) = (
            with(&self.outside, from_outside),
            with(&self.ended, from_ended),
        );
        match ended.beats(&outside) {
            true => ended,
            false => outside,
        }
    }

    /// Ends the document: the remaining entities.
    pub fn finish(mut self) -> Vec<Entity> {
        self.open.clear();
        self.keep_the_better();
        self.settle();
        self.certain.into()
    }

    /// [`Viterbi::finish`] without tidying up: most paths of one label alone are short and hold nothing.
    pub(super) fn finish_alone(mut self) -> Vec<Entity> {
        self.keep_the_better();
        let best = self.closed().next().and_then(|path| path.last);
        let rest = self.chain(best);
        let mut entities: Vec<Entity> = self.certain.into();
        let rest = rest.iter().map(|node| self.nodes[*node as usize].entity);
        entities.extend(rest);
        entities
    }

    /// All scores of the labels that have scores up to a seam on the other side of it. (Only an
    /// entity that covers a whole window in which its label never makes up for O is not found.)
    pub(super) fn filled(
        &self,
        window: &Emissions,
        next: Option<&Emissions>,
        matrix: &LabelMatrix,
    ) -> Vec<(u32, Vec<[f32; 4]>)> {
        if window.hidden.is_none() {
            return Vec::new();
        }
        let mut labels = self.at_end.clone();
        labels.extend(next.into_iter().flat_map(|next| next.at_edge(false)));
        labels.sort_unstable();
        labels.dedup();
        labels
            .into_iter()
            .filter_map(|label| Some((label, matrix.fill(window, label)?)))
            .collect()
    }

    /// One token; `lanes` and `self.open` go side by side.
    fn step(&mut self, column: &Column, lanes: &[Lane], token: usize) {
        let gained = f64::from(column.gain);
        let moves = match self.token {
            0 => Transitions::default(),
            _ => self.transitions,
        };
        let to_outside = self.best(moves.background_stay, moves.end_to_background);
        let to_start = self.best(moves.background_to_start, moves.end_to_start);
        let (to_inside, to_end) = (
            f64::from(moves.inside_to_continue),
            f64::from(moves.inside_to_end),
        );
        let mut best = Best {
            score: f64::NEG_INFINITY,
            at: None,
            single: false,
        };
        for (at, (lane, open)) in lanes.iter().zip(&self.open).enumerate() {
            let [_, _, end, single] = lane.at(token);
            best.offer(open.score + f64::from(end) + to_end, at, false);
            best.offer(to_start.score + f64::from(single), at, true);
        }
        let closed = best.at.map(|at| {
            let open = &self.open[at];
            let [_, _, end, single] = lanes[at].at(token);
            let rival = column.rival_of(open.label);
            let (start, gain, margin, before) = if best.single {
                (self.token, gained, f64::from(single - rival), to_start.last)
            } else {
                (
                    open.start,
                    open.gain + gained,
                    open.margin + f64::from(end - rival),
                    open.before,
                )
            };
            let end = self.token + 1;
            let mean = |sum: f64| (sum / (end - start) as f64) as f32;
            let entity = Entity {
                label: open.label,
                start,
                end,
                gain: mean(gain),
                margin: mean(margin),
            };
            Node { entity, before }
        });
        for (lane, open) in lanes.iter().zip(&mut self.open) {
            let [begin, inside, _, _] = lane.at(token);
            let rival = column.rival_of(open.label);
            let begun = to_start.score + f64::from(begin);
            let gone_on = open.score + f64::from(inside) + to_inside;
            if gone_on >= begun && self.token - open.start < LONGEST_ENTITY - 1 {
                open.score = gone_on;
                open.gain += gained;
                open.margin += f64::from(inside - rival);
            } else {
                open.score = begun;
                open.start = self.token;
                open.gain = gained;
                open.margin = f64::from(begin - rival);
                open.before = to_start.last;
            }
        }
        self.outside = Path {
            score: to_outside.score + f64::from(column.outside),
            last: to_outside.last,
            alive: true,
        };
        self.ended = Path::DEAD;
        if let Some(node) = closed {
            let [least, most] = self.transitions.gain_of_ended().map(f64::from);
            let gain = best.score - self.outside.score;
            if gain + most > 0.0 {
                self.ended = Path {
                    score: best.score,
                    last: Some(self.nodes.len() as NodeId),
                    alive: true,
                };
                self.nodes.push(node);
                if gain + least > 0.0 {
                    self.outside = Path::DEAD;
                }
            }
        }
        self.token += 1;
    }

    /// Leaves one closed path, and the open ones that began on it.
    fn agree(&mut self) {
        self.keep_the_better();
        let kept: Vec<NodeId> = self
            .closed()
            .flat_map(|path| self.chain(path.last))
            .collect();
        for open in &mut self.open {
            if open.before.is_some_and(|node| !kept.contains(&node)) {
                *open = Open::none(open.label);
            }
        }
    }

    /// Leaves one closed path.
    fn keep_the_better(&mut self) {
        match self.ended.beats(&self.outside) {
            true => self.outside = Path::DEAD,
            false => self.ended = Path::DEAD,
        }
    }

    /// Moves what every path agrees on to `certain`, and takes the scores back to zero.
    pub(super) fn settle(&mut self) {
        // Two closed paths may go on side by side for ever, where transitions keep either from the other.
        if self.closed().count() > 1 && self.token - self.decided() > LONGEST_ENTITY {
            self.agree();
        }
        let closed: Vec<Path> = self.closed().collect();
        let base = self.chain(closed[0].last);
        let mut shared = base.len();
        let open = self.open.iter().filter(|open| open.is_alive());
        let others = closed[1..].iter().map(|path| path.last);
        for last in others.chain(open.map(|open| open.before)) {
            let other = self.chain(last);
            shared = shared.min(base.iter().zip(&other).take_while(|(a, b)| a == b).count());
        }
        self.certain.extend(
            base[..shared]
                .iter()
                .map(|node| self.nodes[*node as usize].entity),
        );
        self.forget(shared.checked_sub(1).map(|last| base[last]));
        // Scores grow with the document, and only their differences matter.
        let score = closed[0].score;
        self.outside.score -= score;
        self.ended.score -= score;
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
            .chain(self.closed().map(|path| path.last))
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
        for path in [&mut self.outside, &mut self.ended] {
            path.last = path.last.and_then(|node| moved[node as usize]);
        }
        for open in &mut self.open {
            open.before = open.before.and_then(|node| moved[node as usize]);
        }
    }
}

impl Open {
    /// A path that can't be gone on with.
    fn none(label: u32) -> Self {
        Self {
            label,
            score: f64::NEG_INFINITY,
            start: 0,
            gain: 0.0,
            margin: 0.0,
            before: None,
        }
    }

    fn is_alive(&self) -> bool {
        self.score > f64::NEG_INFINITY
    }
}

/// The best way to end an entity at a token.
struct Best {
    score: f64,
    /// Position of the label among the scores.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests_scores::{Bounded, Scores, bounded, emissions, no_vectors};
    use super::*;

    fn decode(scores: &Scores, cuts: &[usize]) -> Vec<Entity> {
        decode_with(Transitions::default(), scores, cuts)
    }

    fn decode_with(transitions: Transitions, scores: &Scores, cuts: &[usize]) -> Vec<Entity> {
        let mut viterbi = Viterbi::new(transitions);
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
        path_score_with(Transitions::default(), scores, entities)
    }

    fn path_score_with(
        moves: Transitions,
        scores: &Scores,
        entities: &[(u32, usize, usize)],
    ) -> f64 {
        // O, begun, ended at each token
        let part = |token: usize| {
            let own = entities
                .iter()
                .find(|(_, start, end)| (*start..*end).contains(&token));
            own.map(|(_, start, end)| (token == *start, token + 1 == *end))
        };
        let mut total: f64 = (1..scores.len())
            .map(|token| match (part(token - 1), part(token)) {
                (None, None) => moves.background_stay,
                (None, Some(_)) => moves.background_to_start,
                (Some((_, true)), None) => moves.end_to_background,
                (Some((_, true)), Some(_)) => moves.end_to_start,
                (Some((_, false)), Some((_, true))) => moves.inside_to_end,
                (Some((_, false)), Some((_, false))) => moves.inside_to_continue,
                (Some((_, false)), None) => unreachable!("an entity goes on to its end"),
            })
            .map(f64::from)
            .sum();
        total += scores.iter().map(|row| f64::from(row[0])).sum::<f64>();
        for &(label, start, end) in entities {
            for (token, row) in scores.iter().enumerate().take(end).skip(start) {
                let class = match (token == start, token + 1 == end) {
                    (true, true) => 3,
                    (true, false) => 0,
                    (false, true) => 2,
                    (false, false) => 1,
                };
                total += f64::from(row[1 + 4 * label as usize + class] - row[0]);
            }
        }
        total
    }

    /// Best score over all sets of entities, by trying them all.
    fn brute_force(
        moves: Transitions,
        scores: &Scores,
        from: usize,
        entities: &mut Vec<(u32, usize, usize)>,
    ) -> f64 {
        if from == scores.len() {
            return path_score_with(moves, scores, entities);
        }
        let mut best = brute_force(moves, scores, from + 1, entities);
        let labels = (scores[0].len() - 1) / 4;
        for end in from + 1..=scores.len() {
            for label in 0..labels as u32 {
                entities.push((label, from, end));
                best = best.max(brute_force(moves, scores, end, entities));
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

    fn transitions() -> impl Strategy<Value = Transitions> {
        prop::array::uniform6(-2.0f32..2.0).prop_map(|[a, b, c, d, e, f]| Transitions {
            background_stay: a,
            background_to_start: b,
            inside_to_continue: c,
            inside_to_end: d,
            end_to_background: e,
            end_to_start: f,
        })
    }

    proptest! {
        #[test]
        fn the_path_is_as_good_as_the_best_of_all_paths(scores in documents(0..6, 1..3)) {
            let found: Vec<_> = decode(&scores, &[]).iter().map(|e| (e.label, e.start as usize, e.end as usize)).collect();
            let best = brute_force(Transitions::default(), &scores, 0, &mut Vec::new());
            prop_assert!((path_score(&scores, &found) - best).abs() < 1e-4, "{} against {best}", path_score(&scores, &found));
        }

        #[test]
        fn with_transitions_too(scores in documents(0..6, 1..3), moves in transitions()) {
            let found: Vec<_> = decode_with(moves, &scores, &[]).iter().map(|e| (e.label, e.start as usize, e.end as usize)).collect();
            let best = brute_force(moves, &scores, 0, &mut Vec::new());
            let own = path_score_with(moves, &scores, &found);
            prop_assert!((own - best).abs() < 1e-4, "{own} against {best}");
        }

        #[test]
        fn with_transitions_how_a_document_is_cut_does_not_matter(
            scores in documents(0..60, 1..4), moves in transitions(), cuts in prop::collection::vec(1usize..9, 0..12),
        ) {
            prop_assert_eq!(decode_with(moves, &scores, &cuts), decode_with(moves, &scores, &[]));
        }

        #[test]
        fn how_a_document_is_cut_does_not_matter(scores in documents(0..60, 1..4), cuts in prop::collection::vec(1usize..9, 0..12)) {
            prop_assert_eq!(decode(&scores, &cuts), decode(&scores, &[]));
        }

        #[test]
        fn scores_that_are_left_out_change_nothing(
            tokens in 1usize..60, labels in 60usize..90, seed in any::<u32>(), bias in 0.0f32..2.0, cuts in prop::collection::vec(4usize..20, 0..5),
        ) {
            let Bounded { matrix, all, windows } = bounded(tokens, labels, seed, bias, cuts);
            let expected = decode(&all, &[]);
            let mut viterbi = Viterbi::default();
            for (at, window) in windows.iter().enumerate() {
                viterbi.push(window, windows.get(at + 1), &matrix);
            }
            let mut found: Vec<Entity> = viterbi.certain().collect();
            found.extend(viterbi.finish());
            // Ties between sums that differ by rounding only are no difference.
            let score = |entities: &[Entity]| path_score(&all, &entities.iter().map(|e| (e.label, e.start as usize, e.end as usize)).collect::<Vec<_>>());
            prop_assert!((score(&found) - score(&expected)).abs() < 1e-3, "{found:?} against {expected:?}");
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
    fn scores_that_are_no_numbers_end_nothing() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let scores = vec![vec![odd, 0.0, 1.0, 0.0, odd], vec![1.0, odd, 0.0, odd, 0.0]];
            decode(&scores, &[1, 1]);
            decode(&scores, &[]);
        }
    }

    #[test]
    fn memory_stays_bounded_when_two_closed_paths_go_on_side_by_side() {
        // O stays O, an entity of one token is followed by another: neither is left for the other.
        let moves = Transitions {
            background_to_start: -1e6,
            end_to_background: -1e6,
            ..Transitions::default()
        };
        let mut viterbi = Viterbi::new(moves);
        let window = emissions(&vec![vec![0.0, -9.0, -9.0, -9.0, 0.0]; 1000]);
        for _ in 0..50 {
            viterbi.push(&window, None, &no_vectors());
            let most = LONGEST_ENTITY + 1000;
            assert!(viterbi.token - viterbi.decided() <= most);
            assert!(viterbi.nodes.len() as u64 <= most);
        }
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
