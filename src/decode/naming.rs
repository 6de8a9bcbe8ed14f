//! Names for what is marked.
//!
//! In:  the entities of the common path, which do not overlap; the separate marks of each label, which may.
//! Out: spans that do not overlap and cover what the marks cover, white space at cuts aside.
//! Holds: which characters are covered depends on the marks alone (I11).
//!
//! 1. A named entity keeps its label and borders where marks cover it. The rest is dropped.
//! 2. The rest of a mark stays with the mark's own label, that of the mark whose label is most likely right
//!    where several overlap. It becomes part of an entity of the same label that it touches.
//! 3. A rest of nothing but punctuation becomes part of the span that it touches: the comma of a place
//!    whose town and country have their own names.

use std::cmp::Ordering;

use super::{
    Span,
    conflict::{merge, sweep},
};
use crate::text::ByteSpan;

/// Names the marks of a stretch of `text`.
pub fn name(text: &str, named: Vec<Span>, marked: Vec<Span>) -> Vec<Span> {
    let covered = union(&marked);
    let mut spans: Vec<Span> = Vec::with_capacity(named.len() + marked.len());
    for entity in named {
        let first = covered.partition_point(|part| part.end <= entity.bytes.start);
        let parts = covered[first..].iter();
        for part in parts.take_while(|part| part.start < entity.bytes.end) {
            let bytes = ByteSpan::new(
                part.start.max(entity.bytes.start),
                part.end.min(entity.bytes.end),
            );
            spans.push(Span {
                bytes,
                ..entity.clone()
            });
        }
    }
    // Mostly each label's own entities are those of the common path.
    let apart = spans
        .iter()
        .map(|span| span.bytes)
        .eq(covered.iter().copied());
    if apart {
        return spans;
    }
    let mut all: Vec<(bool, Span)> = spans
        .into_iter()
        .map(|span| (false, span))
        .chain(marked.into_iter().map(|span| (true, span)))
        .collect();
    all.sort_by_key(|(_, span)| span.bytes);
    let is_mark: Vec<bool> = all.iter().map(|(mark, _)| *mark).collect();
    let all: Vec<Span> = all.into_iter().map(|(_, span)| span).collect();
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_by(|a, b| {
        is_mark[*a]
            .cmp(&is_mark[*b])
            .then_with(|| strength(&all[*a], &all[*b]))
    });
    let mut ranks = vec![0; all.len()];
    for (rank, index) in order.iter().enumerate() {
        ranks[*index] = rank;
    }
    let pieces = merge(sweep(&all, &ranks, &order), &all, &ranks);
    let pieces = pieces
        .into_iter()
        .filter_map(|piece| Some((is_mark[piece.owner()], piece.trim(text, &all)?)));
    with_punctuation(text, pieces.collect())
}

/// `Less` if `a` is the stronger mark. Scores are compared by the thousandth: labels that take the same
/// tokens may share a score, and what differs then is how the windows were cut.
fn strength(a: &Span, b: &Span) -> Ordering {
    let thousandths = |score: f32| (score * 1000.0).round() as i32;
    thousandths(b.label_score)
        .cmp(&thousandths(a.label_score))
        .then(thousandths(b.score).cmp(&thousandths(a.score)))
        .then(b.bytes.len().cmp(&a.bytes.len()))
        .then(a.bytes.cmp(&b.bytes))
        .then_with(|| a.label.cmp(&b.label))
}

/// What the spans cover, in order; parts that touch are one.
fn union(spans: &[Span]) -> Vec<ByteSpan> {
    let mut places: Vec<ByteSpan> = spans.iter().map(|span| span.bytes).collect();
    places.sort_unstable();
    let mut union: Vec<ByteSpan> = Vec::with_capacity(places.len());
    for place in places {
        match union.last_mut() {
            Some(last) if place.start <= last.end => last.end = last.end.max(place.end),
            _ => union.push(place),
        }
    }
    union
}

/// Rule 3. Spans come with whether they are the rest of a mark.
fn with_punctuation(text: &str, pieces: Vec<(bool, Span)>) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::with_capacity(pieces.len());
    // Begins with punctuation that touches nothing before it.
    let mut ahead: Option<Span> = None;
    for (rest, mut span) in pieces {
        if let Some(before) = ahead.take() {
            match before.bytes.end == span.bytes.start {
                true => span.bytes.start = before.bytes.start,
                false => spans.push(before),
            }
        }
        let value = &text[span.bytes.start..span.bytes.end];
        if !rest || value.chars().any(char::is_alphanumeric) {
            spans.push(span);
            continue;
        }
        match spans.last_mut() {
            Some(last) if last.bytes.end == span.bytes.start => last.bytes.end = span.bytes.end,
            _ => ahead = Some(span),
        }
    }
    spans.extend(ahead);
    spans
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::decode::Recognizer;

    fn span(start: usize, end: usize, label: &str, label_score: f32) -> Span {
        Span {
            bytes: ByteSpan::new(start, end),
            label: label.into(),
            score: 0.5,
            label_score,
            recognizer: Recognizer::Model,
        }
    }

    fn short(spans: &[Span]) -> Vec<(usize, usize, &str)> {
        let place = |span: &Span| (span.bytes.start, span.bytes.end);
        let places = spans.iter().map(|span| (place(span), &*span.label));
        places
            .map(|((start, end), label)| (start, end, label))
            .collect()
    }

    #[test]
    fn the_rest_of_a_mark_stays_covered() {
        let text = "White House spokesman Ana";
        let named = vec![span(0, 11, "place", 0.9), span(22, 25, "person", 0.9)];
        let marked = vec![
            span(0, 11, "place", 0.9),
            span(0, 21, "organization", 0.2),
            span(22, 25, "person", 0.9),
        ];
        let out = name(text, named, marked);
        assert_eq!(
            short(&out),
            [
                (0, 11, "place"),
                (12, 21, "organization"),
                (22, 25, "person")
            ]
        );
    }

    #[test]
    fn the_rest_of_the_same_label_becomes_part_of_the_entity() {
        let text = "Mr. Bennet said";
        let out = name(
            text,
            vec![span(0, 3, "person", 0.9)],
            vec![span(0, 10, "person", 0.9)],
        );
        assert_eq!(short(&out), [(0, 10, "person")]);
    }

    #[test]
    fn punctuation_becomes_part_of_what_it_touches() {
        let text = "Paris, France (EU)";
        let named = vec![span(0, 5, "city", 0.9), span(7, 13, "country", 0.9)];
        let marked = vec![
            span(0, 5, "city", 0.9),
            span(7, 13, "country", 0.9),
            span(0, 13, "place", 0.1),
        ];
        assert_eq!(
            short(&name(text, named, marked)),
            [(0, 6, "city"), (7, 13, "country")]
        );
        let marked = vec![span(14, 18, "place", 0.1)];
        let out = name(text, vec![span(15, 17, "region", 0.5)], marked);
        assert_eq!(short(&out), [(14, 18, "region")]);
    }

    #[test]
    fn what_nothing_marks_is_not_named() {
        let text = "Ana Ruiz";
        assert_eq!(
            short(&name(text, vec![span(0, 8, "person", 0.9)], Vec::new())),
            []
        );
        let out = name(
            text,
            vec![span(0, 8, "person", 0.9)],
            vec![span(0, 3, "user", 0.1)],
        );
        assert_eq!(short(&out), [(0, 3, "person")]);
    }

    fn characters(text: &str, spans: &[Span]) -> BTreeSet<usize> {
        let all = spans
            .iter()
            .flat_map(|span| span.bytes.start..span.bytes.end);
        all.filter(|at| !text.as_bytes()[*at].is_ascii_whitespace())
            .collect()
    }

    proptest! {
        #[test]
        fn what_is_covered_depends_on_the_marks_alone(
            text in "[ab., ]{1,40}",
            named in prop::collection::vec((any::<usize>(), any::<usize>(), 0usize..3), 0..8),
            marked in prop::collection::vec((any::<usize>(), any::<usize>(), 0usize..3, 0u8..4), 0..10),
        ) {
            let labels = ["a", "b", "c"];
            let place = |a: usize, b: usize| {
                let (a, b) = (a % (text.len() + 1), b % (text.len() + 1));
                (a.min(b), a.max(b))
            };
            let mut entities: Vec<Span> = Vec::new();
            for (a, b, label) in named {
                let (start, end) = place(a, b);
                let free = entities.iter().all(|other| other.bytes.end <= start || end <= other.bytes.start);
                if start < end && free {
                    entities.push(span(start, end, labels[label], 0.5));
                }
            }
            entities.sort_by_key(|entity| entity.bytes);
            let marks: Vec<Span> = marked
                .into_iter()
                .map(|(a, b, label, sure)| (place(a, b), label, sure))
                .filter(|((start, end), ..)| start < end)
                .map(|((start, end), label, sure)| span(start, end, labels[label], f32::from(sure) / 4.0))
                .collect();
            let expected = characters(&text, &marks);
            let out = name(&text, entities, marks);
            prop_assert_eq!(characters(&text, &out), expected);
            for pair in out.windows(2) {
                prop_assert!(pair[0].bytes.end <= pair[1].bytes.start, "{:?}", out);
            }
        }
    }
}
