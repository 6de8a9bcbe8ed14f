//! From a document's scores to its entities: the common path, and each label's own.
//!
//! In:  the emissions of the windows, one after another.
//! Out: [`Found`]: entities on the best path of all labels together, which name what stands where; and the
//!      entities that each label has by itself, which say what is marked at all.
//! Holds: whether a token is marked depends on no other label's winning it (I11); one decode per document
//!        (I2); linear in labels (I3).
//!
//! With a fixed head all categories compete, asked for or not, and the common path does not depend on what
//! is asked: its entities of asked categories are what is marked, and asking for more adds to them.

use super::{
    Emissions, LabelMatrix, Transitions,
    alone::Alone,
    lanes::Lanes,
    viterbi::{Entity, Viterbi},
};

/// Decodes a document, window by window.
#[derive(Debug)]
pub struct Decoder {
    path: Viterbi,
    marks: Marks,
}

#[derive(Debug)]
enum Marks {
    /// Each label's own entities.
    Alone(Alone),
    /// The common path's entities of the categories that are asked for.
    Asked(Vec<bool>),
}

/// Entities that no later window can change.
#[derive(Debug, Default)]
pub struct Found {
    /// On the common path, in order; they do not overlap.
    pub named: Vec<Entity>,
    /// Of each label by itself, in no order; those of two labels may overlap.
    pub marked: Vec<Entity>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::of_labels()
    }
}

impl Decoder {
    /// For labels that are named at run time; all are asked for.
    pub fn of_labels() -> Self {
        Self {
            path: Viterbi::default(),
            marks: Marks::Alone(Alone::default()),
        }
    }

    /// For the categories of a fixed head: which are asked for, and what it costs to go from class to class.
    pub fn of_head(transitions: Transitions, asked: Vec<bool>) -> Self {
        Self {
            path: Viterbi::new(transitions),
            marks: Marks::Asked(asked),
        }
    }

    /// Goes on with the next window's core. `next` is the window after it, if there is one.
    pub fn push(&mut self, window: &Emissions, next: Option<&Emissions>, matrix: &LabelMatrix) {
        let filled = self.path.filled(window, next, matrix);
        self.advance(window, &filled);
    }

    /// Goes on with the next window's core, of which no score was left out.
    pub fn push_whole(&mut self, window: &Emissions) {
        self.advance(window, &[]);
    }

    fn advance(&mut self, window: &Emissions, filled: &[(u32, Vec<[f32; 4]>)]) {
        let asked = match &self.marks {
            Marks::Alone(_) => None,
            Marks::Asked(asked) => Some(asked.as_slice()),
        };
        let lanes = Lanes::of(window, filled, asked);
        self.path.advance(window, &lanes);
        if let Marks::Alone(alone) = &mut self.marks {
            alone.advance(&lanes);
        }
    }

    /// First token that later entities may cover: what lies before it is decided.
    pub fn decided(&self) -> u64 {
        let path = self.path.decided();
        match &self.marks {
            Marks::Alone(alone) => path.min(alone.decided()),
            Marks::Asked(_) => path,
        }
    }

    /// What is certain so far.
    pub fn certain(&mut self) -> Found {
        let named: Vec<Entity> = self.path.certain().collect();
        let marked = match &mut self.marks {
            Marks::Alone(alone) => alone.certain().collect(),
            Marks::Asked(asked) => of_asked(&named, asked),
        };
        Found { named, marked }
    }

    /// Ends the document: the remaining entities.
    pub fn finish(self) -> Found {
        let named = self.path.finish();
        let marked = match self.marks {
            Marks::Alone(alone) => alone.finish(),
            Marks::Asked(asked) => of_asked(&named, &asked),
        };
        Found { named, marked }
    }
}

fn of_asked(named: &[Entity], asked: &[bool]) -> Vec<Entity> {
    let own = named.iter().copied();
    own.filter(|entity| asked[entity.label as usize]).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::tests_scores::{Bounded, Scores, bounded, emissions, no_vectors};
    use super::*;

    fn decode(mut decoder: Decoder, scores: &Scores, cuts: &[usize]) -> Found {
        let mut windows = Vec::new();
        let mut rest = &scores[..];
        for cut in cuts.iter().copied().chain([scores.len()]) {
            let (window, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            if !window.is_empty() {
                windows.push(emissions(window));
            }
        }
        let mut found = Found::default();
        for (at, window) in windows.iter().enumerate() {
            let before = decoder.decided();
            decoder.push(window, windows.get(at + 1), &no_vectors());
            let certain = decoder.certain();
            let decided = decoder.decided();
            for entity in certain.named.iter().chain(&certain.marked) {
                assert!(before <= entity.start, "what is decided stays so");
            }
            assert!(before <= decided);
            add(&mut found, certain);
        }
        add(&mut found, decoder.finish());
        found
    }

    fn add(found: &mut Found, more: Found) {
        found.named.extend(more.named);
        found.marked.extend(more.marked);
    }

    /// Tokens that are marked, each label with its own threshold.
    fn covered(found: &Found, thresholds: &[f32]) -> BTreeSet<u64> {
        let reaches = |entity: &&Entity| entity.gain >= thresholds[entity.label as usize];
        let marks = found.marked.iter().filter(reaches);
        marks.flat_map(|entity| entity.start..entity.end).collect()
    }

    /// The scores of some labels, in that order.
    fn of_labels(scores: &Scores, labels: &[usize]) -> Scores {
        let row = |row: &Vec<f32>| {
            let own = labels
                .iter()
                .flat_map(|label| &row[1 + 4 * label..5 + 4 * label]);
            row[..1].iter().chain(own).copied().collect()
        };
        scores.iter().map(row).collect()
    }

    fn documents() -> impl Strategy<Value = (Scores, Vec<f32>)> {
        (1usize..6, 1usize..24).prop_flat_map(|(labels, tokens)| {
            let row = prop::collection::vec(-4.0f32..4.0, 1 + 4 * labels);
            let thresholds = prop::collection::vec(0.0f32..4.0, labels);
            (prop::collection::vec(row, tokens), thresholds)
        })
    }

    fn sorted(mut entities: Vec<Entity>) -> Vec<Entity> {
        entities.sort_by_key(|entity| (entity.label, entity.start));
        entities
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

        #[test]
        fn asking_for_more_in_any_order_never_uncovers_a_token(
            (scores, thresholds) in documents(), order in any::<prop::sample::Index>(), asked in 1u32..64,
        ) {
            let all: Vec<usize> = (0..thresholds.len()).collect();
            let some: Vec<usize> = all.iter().copied().filter(|label| asked & (1 << label) != 0).collect();
            let mut turned = all.clone();
            turned.rotate_left(order.index(all.len()));
            turned.reverse();
            let covers = |labels: &[usize]| {
                let own: Vec<f32> = labels.iter().map(|label| thresholds[*label]).collect();
                covered(&decode(Decoder::of_labels(), &of_labels(&scores, labels), &[]), &own)
            };
            let of_all = covers(&all);
            prop_assert!(covers(&some).is_subset(&of_all));
            prop_assert_eq!(covers(&turned), of_all);
        }

        #[test]
        fn synonyms_never_uncover_a_token(
            (scores, thresholds) in documents(), noise in prop::collection::vec(-1.0f32..1.0, 4),
        ) {
            let before = covered(&decode(Decoder::of_labels(), &scores, &[]), &thresholds);
            let with_synonyms: Scores = scores
                .iter()
                .map(|row| {
                    let near = row[1..].iter().enumerate().map(|(at, score)| score + noise[at % 4]);
                    row.iter().copied().chain(near).collect()
                })
                .collect();
            let twice: Vec<f32> = thresholds.iter().chain(&thresholds).copied().collect();
            let after = covered(&decode(Decoder::of_labels(), &with_synonyms, &[]), &twice);
            prop_assert!(before.is_subset(&after));
        }

        #[test]
        fn a_lower_threshold_never_uncovers_a_token((scores, thresholds) in documents(), less in 0.0f32..2.0) {
            let found = decode(Decoder::of_labels(), &scores, &[]);
            let lower: Vec<f32> = thresholds.iter().map(|threshold| threshold - less).collect();
            prop_assert!(covered(&found, &thresholds).is_subset(&covered(&found, &lower)));
        }

        #[test]
        fn of_a_head_asking_for_more_categories_never_uncovers_a_token(
            (scores, thresholds) in documents(), asked in 0u32..64, more in 0u32..64, moves in prop::array::uniform6(-2.0f32..2.0),
        ) {
            let [background_stay, background_to_start, inside_to_continue, inside_to_end, end_to_background, end_to_start] = moves;
            let moves = Transitions {
                background_stay, background_to_start, inside_to_continue, inside_to_end, end_to_background, end_to_start,
            };
            let covers = |asked: u32| {
                let asked = (0..thresholds.len()).map(|label| asked & (1 << label) != 0).collect();
                covered(&decode(Decoder::of_head(moves, asked), &scores, &[]), &thresholds)
            };
            prop_assert!(covers(asked).is_subset(&covers(asked | more)));
        }

        #[test]
        fn how_a_document_is_cut_does_not_matter(
            (scores, _) in documents(), cuts in prop::collection::vec(1usize..9, 0..12),
        ) {
            let (whole, cut) = (decode(Decoder::of_labels(), &scores, &[]), decode(Decoder::of_labels(), &scores, &cuts));
            prop_assert_eq!(cut.named, whole.named);
            prop_assert_eq!(sorted(cut.marked), sorted(whole.marked));
        }

        #[test]
        fn one_label_alone_is_marked_where_it_is_named((scores, _) in documents()) {
            let found = decode(Decoder::of_labels(), &of_labels(&scores, &[0]), &[]);
            prop_assert_eq!(sorted(found.marked), found.named);
        }
    }

    proptest! {
        #[test]
        fn scores_that_are_left_out_change_no_mark_and_no_gain(
            tokens in 1usize..60, labels in 20usize..60, seed in any::<u32>(), bias in 0.0f32..2.0,
            cuts in prop::collection::vec(4usize..20, 0..5),
        ) {
            let Bounded { matrix, all, windows } = bounded(tokens, labels, seed, bias, cuts);
            let expected = decode(Decoder::of_labels(), &all, &[]);
            let mut decoder = Decoder::of_labels();
            for (at, window) in windows.iter().enumerate() {
                decoder.push(window, windows.get(at + 1), &matrix);
            }
            let mut found = decoder.certain();
            add(&mut found, decoder.finish());
            // Marks that lie on a tie may come or go by rounding: they gain next to nothing.
            let strong = |found: Found| {
                let sure = found.marked.into_iter().filter(|entity| entity.gain > 0.05);
                sorted(sure.collect())
            };
            let (found, expected) = (strong(found), strong(expected));
            let matches = |a: &Entity, b: &Entity| (a.label, a.start, a.end) == (b.label, b.start, b.end) && (a.gain - b.gain).abs() < 1e-3;
            let missing = |left: &[Entity], right: &[Entity]| {
                left.iter().filter(|one| !right.iter().any(|other| matches(one, other))).count()
            };
            // Of entities that score alike, rounding chooses.
            let odd = missing(&found, &expected) + missing(&expected, &found);
            prop_assert!(odd * 50 <= expected.len() + 50, "{odd} of {}: {found:?} against {expected:?}", expected.len());
        }
    }

    #[test]
    fn the_common_path_alone_would_uncover_a_token() {
        // A name of two tokens that is found in no other way than as a whole, and a town over its second and
        // the next one, which is better.
        let low = -9.0;
        let name = [
            [2.0, low, low, low],
            [low, low, 2.0, low],
            [low, low, low, low],
        ];
        let town = [
            [low, low, low, low],
            [5.0, low, low, low],
            [low, low, 5.0, low],
        ];
        let rows = |labels: &[[[f32; 4]; 3]]| -> Scores {
            let row = |token: usize| {
                let own = labels.iter().flat_map(move |label| label[token]);
                std::iter::once(0.0).chain(own).collect()
            };
            (0..3).map(row).collect()
        };
        let one = decode(Decoder::of_labels(), &rows(&[name]), &[]);
        assert_eq!(covered(&one, &[0.0]), BTreeSet::from([0, 1]));
        let both = decode(Decoder::of_labels(), &rows(&[name, town]), &[]);
        let named = both
            .named
            .iter()
            .map(|entity| (entity.label, entity.start, entity.end));
        assert_eq!(named.collect::<Vec<_>>(), [(1, 1, 3)]);
        assert_eq!(covered(&both, &[0.0, 0.0]), BTreeSet::from([0, 1, 2]));
    }

    #[test]
    fn two_near_labels_do_not_take_each_others_gain() {
        let single = |score: f32| [-9.0, -9.0, -9.0, score];
        let row: Vec<f32> = std::iter::once(0.0)
            .chain(single(3.0))
            .chain(single(2.9))
            .collect();
        let found = decode(Decoder::of_labels(), &vec![row], &[]);
        assert_eq!(found.named.len(), 1);
        assert_eq!(found.named[0].gain, 3.0);
        assert!((found.named[0].margin - 0.1).abs() < 1e-6);
        assert_eq!(covered(&found, &[2.0, 2.0]), BTreeSet::from([0]));
    }

    #[test]
    fn memory_stays_bounded_when_nothing_is_ever_certain() {
        let row = vec![0.0, 0.0, 0.01, -9.0, -9.0];
        let window = emissions(&vec![row; 1000]);
        let mut decoder = Decoder::of_labels();
        let mut tokens = 0;
        for _ in 0..50 {
            decoder.push(&window, None, &no_vectors());
            tokens += 1000;
            assert!(tokens - decoder.decided() <= super::super::viterbi::LONGEST_ENTITY + 1000);
        }
    }
}
