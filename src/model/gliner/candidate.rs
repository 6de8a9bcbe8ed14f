//! Candidates, and which of them are chosen: the reference's greedy search, on a text that goes on.
//!
//! In:  candidates of at least a word of which it is known that all earlier ones have come.
//! Out: those that greedy search keeps, in order, as soon as no later candidate can change it.
//! Holds: over the whole text, candidates are taken from the highest score down (ties: see [`Ties`]), each if it overlaps none that was taken. The choice is final left of a gap that no candidate crosses.

use std::{cmp::Ordering, collections::BTreeMap};

use crate::text::{ByteSpan, CodePointSpan};

/// Words after which a row of candidates that overlap one another is chosen from, complete or not: memory stays bounded
/// on a text in which everything is an entity.
const LONGEST_ROW: u64 = 2048;

/// A span that reaches its label's threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// First and last word, counted over the text.
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) bytes: ByteSpan,
    /// The same in characters.
    pub(super) chars: CodePointSpan,
    /// Position in what is asked.
    pub(super) label: usize,
    /// Position among the sorted labels.
    pub(super) order: usize,
    /// Calibrated probability.
    pub(super) score: f32,
}

/// What greedy search lets stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Overlaps {
    /// One span inside another one.
    pub(super) nested: bool,
    /// Several labels for one span.
    pub(super) multi_label: bool,
}

/// Of candidates of one score the one that begins first is taken first; then this decides, as the order in which the
/// reference finds them does. The scores of a token model are the least of several, and often the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ties {
    /// The shorter one, then the earlier label: span models.
    #[default]
    Shorter,
    /// The earlier label, then the shorter one: token models.
    Label,
}

/// Chooses among the candidates of a text.
#[derive(Debug, Default)]
pub(super) struct Choice {
    overlaps: Overlaps,
    ties: Ties,
    waiting: Vec<Candidate>,
    /// Last word of a row that was cut short: what begins before its end comes too late.
    cut: Option<u64>,
}

impl Candidate {
    fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl Overlaps {
    fn conflict(self, a: &Candidate, b: &Candidate) -> bool {
        if (a.first, a.last) == (b.first, b.last) {
            return !self.multi_label;
        }
        let inside =
            (a.first <= b.first && b.last <= a.last) || (b.first <= a.first && a.last <= b.last);
        a.overlaps(b) && !(self.nested && inside)
    }
}

impl Choice {
    pub(super) fn new(overlaps: Overlaps, ties: Ties) -> Self {
        Self {
            overlaps,
            ties,
            ..Self::default()
        }
    }

    /// Adds a candidate; `false` if it comes too late for a row that was cut short.
    pub(super) fn add(&mut self, candidate: Candidate) -> bool {
        let in_time = self.cut.is_none_or(|cut| candidate.first > cut);
        if in_time {
            self.waiting.push(candidate);
        }
        in_time
    }

    /// Takes out what is chosen for good: later candidates begin at word `next` or later.
    pub(super) fn settle(&mut self, next: u64) -> Vec<Candidate> {
        self.waiting
            .sort_by_key(|candidate| (candidate.first, candidate.last));
        let mut chosen = Vec::new();
        let mut start = 0;
        while let Some(first) = self.waiting.get(start) {
            let (begun, mut last) = (first.first, first.last);
            let mut end = start + 1;
            while let Some(more) = self.waiting.get(end).filter(|more| more.first <= last) {
                last = last.max(more.last);
                end += 1;
            }
            if last >= next {
                if next.saturating_sub(begun) < LONGEST_ROW {
                    break;
                }
                self.cut = Some(last);
            }
            chosen.extend(greedy(&self.waiting[start..end], self.overlaps, self.ties));
            start = end;
        }
        self.waiting.drain(..start);
        chosen
    }

    /// First word of what waits.
    pub(super) fn first_word(&self) -> Option<u64> {
        self.waiting.iter().map(|candidate| candidate.first).min()
    }

    /// First byte of what waits.
    pub(super) fn first_waiting(&self) -> Option<usize> {
        self.waiting
            .iter()
            .map(|candidate| candidate.bytes.start)
            .min()
    }
}

/// The candidates that greedy search keeps, by their places.
fn greedy(candidates: &[Candidate], overlaps: Overlaps, ties: Ties) -> Vec<Candidate> {
    let mut order: Vec<&Candidate> = candidates.iter().collect();
    order.sort_by(|a, b| stronger(a, b, ties));
    // By their first words; no kept one is longer than `longest`.
    let mut kept: BTreeMap<u64, Vec<&Candidate>> = BTreeMap::new();
    let mut longest = 0;
    for candidate in order {
        let from = candidate.first.saturating_sub(longest);
        let mut near = kept.range(from..=candidate.last).flat_map(|(_, own)| own);
        if near.any(|other| overlaps.conflict(candidate, other)) {
            continue;
        }
        longest = longest.max(candidate.last - candidate.first);
        kept.entry(candidate.first).or_default().push(candidate);
    }
    kept.into_values().flatten().copied().collect()
}

/// `Less` if `a` is taken first.
fn stronger(a: &Candidate, b: &Candidate, ties: Ties) -> Ordering {
    let shorter = a.last.cmp(&b.last);
    let label = a.order.cmp(&b.order);
    let rest = match ties {
        Ties::Shorter => shorter.then(label),
        Ties::Label => label.then(shorter),
    };
    b.score
        .total_cmp(&a.score)
        .then(a.first.cmp(&b.first))
        .then(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(first: u64, last: u64, order: usize, score: f32) -> Candidate {
        Candidate {
            first,
            last,
            bytes: ByteSpan::new(first as usize * 2, last as usize * 2 + 1),
            chars: CodePointSpan {
                start: first as usize * 2,
                end: last as usize * 2 + 1,
            },
            label: order,
            order,
            score,
        }
    }

    fn places(chosen: &[Candidate]) -> Vec<(u64, u64, usize)> {
        chosen
            .iter()
            .map(|own| (own.first, own.last, own.order))
            .collect()
    }

    fn choose(candidates: &[Candidate], overlaps: Overlaps) -> Vec<Candidate> {
        let mut choice = Choice::new(overlaps, Ties::Shorter);
        candidates.iter().for_each(|own| assert!(choice.add(*own)));
        choice.settle(u64::MAX)
    }

    #[test]
    fn the_highest_score_wins_over_all_it_overlaps() {
        // Comparing neighbours in order of offsets only, A would lose to B, which loses to C.
        let all = [
            candidate(0, 1, 0, 0.6),
            candidate(1, 4, 0, 0.9),
            candidate(4, 5, 0, 0.95),
        ];
        assert_eq!(
            places(&choose(&all, Overlaps::default())),
            [(0, 1, 0), (4, 5, 0)]
        );
        // Spans that touch do not overlap.
        let all = [candidate(0, 1, 0, 0.6), candidate(2, 3, 0, 0.6)];
        assert_eq!(choose(&all, Overlaps::default()).len(), 2);
        let both = [candidate(0, 1, 1, 0.6), candidate(0, 2, 0, 0.6)];
        let mut choice = Choice::new(Overlaps::default(), Ties::Label);
        both.iter().for_each(|own| assert!(choice.add(*own)));
        assert_eq!(places(&choice.settle(9)), [(0, 2, 0)]);
        // Ties: the earlier, the shorter, the earlier label.
        let all = [
            candidate(1, 2, 0, 0.6),
            candidate(0, 1, 1, 0.6),
            candidate(0, 1, 0, 0.6),
            candidate(0, 2, 0, 0.6),
        ];
        assert_eq!(places(&choose(&all, Overlaps::default())), [(0, 1, 0)]);
    }

    #[test]
    fn nested_spans_and_several_labels_stand_side_by_side_where_they_may() {
        let all = [
            candidate(0, 3, 0, 0.9),
            candidate(1, 2, 1, 0.8),
            candidate(2, 5, 0, 0.7),
            candidate(0, 3, 1, 0.6),
        ];
        let of = |nested, multi_label| {
            places(&choose(
                &all,
                Overlaps {
                    nested,
                    multi_label,
                },
            ))
        };
        assert_eq!(of(false, false), [(0, 3, 0)]);
        assert_eq!(of(true, false), [(0, 3, 0), (1, 2, 1)]);
        assert_eq!(of(false, true), [(0, 3, 0), (0, 3, 1)]);
        assert_eq!(of(true, true).len(), 3);
    }

    /// The reference, word by word.
    fn plain(candidates: &[Candidate], overlaps: Overlaps) -> Vec<(u64, u64, usize)> {
        let mut order = candidates.to_vec();
        order.sort_by(|a, b| stronger(a, b, Ties::Shorter));
        let mut kept: Vec<Candidate> = Vec::new();
        for own in order {
            if kept.iter().all(|other| !overlaps.conflict(&own, other)) {
                kept.push(own);
            }
        }
        let mut places = places(&kept);
        places.sort_unstable();
        places
    }

    proptest! {
        #[test]
        fn when_candidates_come_does_not_matter(
            all in prop::collection::vec((0u64..60, 0u64..6, 0usize..3, 0u8..8), 0..80), step in 1u64..20,
            nested in any::<bool>(), multi_label in any::<bool>(),
        ) {
            let mut all: Vec<Candidate> = all.into_iter()
                .map(|(first, more, order, score)| candidate(first, first + more, order, f32::from(score) / 8.0)).collect();
            all.sort_by_key(|own| (own.first, own.last, own.order));
            all.dedup_by_key(|own| (own.first, own.last, own.order));
            let overlaps = Overlaps { nested, multi_label };
            let mut choice = Choice::new(overlaps, Ties::Shorter);
            let mut chosen = Vec::new();
            let mut rest = &all[..];
            for next in (0..80).step_by(step as usize) {
                let (now, later) = rest.split_at(rest.partition_point(|own| own.first < next));
                now.iter().for_each(|own| assert!(choice.add(*own)));
                rest = later;
                chosen.extend(choice.settle(next));
            }
            chosen.extend(choice.settle(u64::MAX));
            let mut found = places(&chosen);
            found.sort_unstable();
            prop_assert_eq!(found, plain(&all, overlaps));
        }
    }

    #[test]
    fn memory_stays_bounded_when_everything_overlaps() {
        let mut choice = Choice::new(Overlaps::default(), Ties::Shorter);
        let mut chosen: Vec<Candidate> = Vec::new();
        for word in 0..20_000 {
            choice.add(candidate(word, word + 3, 0, (word % 7) as f32));
            if word % 100 == 99 {
                chosen.extend(choice.settle(word + 1));
                assert!(choice.waiting.len() as u64 <= LONGEST_ROW + 200);
            }
        }
        chosen.extend(choice.settle(u64::MAX));
        assert!(chosen.windows(2).all(|pair| pair[0].last < pair[1].first));
    }
}
