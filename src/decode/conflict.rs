//! The one rule that decides between overlapping spans of the model, the patterns and the lists.
//!
//! In:  spans in any order that may overlap; the places of allowed terms.
//! Out: spans sorted by start that never overlap, on grapheme borders (I8).
//! Holds: no tail leaks: what a span covered is covered in the end, unless the allow list took it.
//! Does not know: labels' meanings, thresholds, operators.
//!
//! 1. *Allow.* A span of the model or a pattern that is completely inside one allowed place is dropped.
//!    An allowed term inside a longer span makes no hole in it. Nothing overrules the deny list.
//! 2. *Borders.* Every span grows outward to whole escapes (`\u0022`, `%20`) and grapheme clusters.
//! 3. *Precedence.* Each byte belongs to the strongest span over it: deny list, then built-in
//!    pattern, then tenant regex, then model; within these the higher score, the longer span, the
//!    earlier start, and last label and recogniser by name, so that the order of the input does
//!    not matter.
//! 4. *Remainders.* The rest of a weaker span stays, as a separate span with its own label
//!    and score. One that touches a span of the same label becomes part of it; the stronger one's
//!    score and recogniser stay.
//! 5. *Spaces.* White space at a cut is removed, and so are spans of nothing but white space.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use unicode_segmentation::UnicodeSegmentation;

use super::{
    Recognizer, Span,
    patterns::{Patterns, snap_to_escapes},
};
use crate::text::ByteSpan;

/// Settles overlaps: sorted, never overlapping, and every byte that any span covered (except by
/// the allow list) is still covered, so that no tail leaks. O(n log n) in the spans, and one pass
/// over the text at most.
pub fn resolve(text: &str, mut spans: Vec<Span>, allowed: &[ByteSpan]) -> Vec<Span> {
    drop_allowed(&mut spans, allowed);
    if spans.is_empty() {
        return spans;
    }
    snap(text, &mut spans);
    spans.retain(|span| !is_space(&text[span.bytes.start..span.bytes.end]));
    spans.sort_by_key(|span| span.bytes);
    let apart = spans
        .windows(2)
        .all(|pair| pair[0].bytes.end <= pair[1].bytes.start);
    if apart {
        return spans;
    }
    // Strongest first: a span's rank is its place in this order.
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by(|a, b| strength(&spans[*a], &spans[*b]));
    let mut ranks = vec![0; spans.len()];
    for (rank, index) in order.iter().enumerate() {
        ranks[*index] = rank;
    }
    let pieces = sweep(&spans, &ranks, &order);
    let pieces = merge(pieces, &spans, &ranks);
    pieces
        .into_iter()
        .filter_map(|piece| piece.trim(text, &spans))
        .collect()
}

fn drop_allowed(spans: &mut Vec<Span>, allowed: &[ByteSpan]) {
    if allowed.is_empty() {
        return;
    }
    let mut places = allowed.to_vec();
    places.sort_unstable();
    // The farthest end of the places up to each one.
    let mut reach = 0;
    let reaches: Vec<usize> = places
        .iter()
        .map(|place| {
            reach = reach.max(place.end);
            reach
        })
        .collect();
    spans.retain(|span| {
        let begun = places.partition_point(|place| place.start <= span.bytes.start);
        let inside = begun > 0 && reaches[begun - 1] >= span.bytes.end;
        span.recognizer == Recognizer::Deny || !inside
    });
}

/// Grows every span outward to whole escapes and grapheme clusters. A border between two ASCII characters costs two
/// reads; the others are settled in one walk over the text, since whether a border falls between
/// two regional indicators depends on how many stand before them.
fn snap(text: &str, spans: &mut [Span]) {
    let len = text.len();
    let mut unsure: Vec<usize> = Vec::new();
    for span in spans.iter_mut() {
        span.bytes.end = span.bytes.end.min(len);
        span.bytes.start = span.bytes.start.min(span.bytes.end);
    }
    snap_to_escapes(text, spans.iter_mut().map(|span| &mut span.bytes));
    for span in spans.iter() {
        for at in [span.bytes.start, span.bytes.end] {
            if !is_sure_border(text, at) {
                unsure.push(at);
            }
        }
    }
    if unsure.is_empty() {
        return;
    }
    unsure.sort_unstable();
    unsure.dedup();
    let clusters = clusters_around(text, &unsure);
    let cluster = |at: usize| unsure.binary_search(&at).ok().map(|index| clusters[index]);
    for span in spans {
        if let Some(around) = cluster(span.bytes.start) {
            span.bytes.start = around.start;
        }
        if let Some(around) = cluster(span.bytes.end) {
            span.bytes.end = around.end;
        }
    }
}

/// Whether `at` is a border for sure: an end of the text, or between two ASCII characters that are
/// not CR LF (rules GB1 to GB5 of UAX 29).
fn is_sure_border(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    if at == 0 || at == bytes.len() {
        return true;
    }
    bytes[at - 1].is_ascii()
        && bytes[at].is_ascii()
        && !(bytes[at - 1] == b'\r' && bytes[at] == b'\n')
}

/// For each of `places`, ascending: the cluster it falls into, or an empty span if it is a border.
fn clusters_around(text: &str, places: &[usize]) -> Vec<ByteSpan> {
    let mut clusters = Vec::with_capacity(places.len());
    let mut known = 0;
    for &at in places {
        let mut from = at;
        while from > known && !is_sure_border(text, from) {
            from -= 1;
        }
        known = from.max(known);
        loop {
            let length = text[known..].graphemes(true).next().map_or(0, str::len);
            if known + length > at || length == 0 {
                let end = if known == at { at } else { known + length };
                clusters.push(ByteSpan::new(known, end));
                break;
            }
            known += length;
        }
    }
    clusters
}

/// `Less` if `a` is the stronger one.
fn strength(a: &Span, b: &Span) -> Ordering {
    rank(&b.recognizer)
        .cmp(&rank(&a.recognizer))
        .then(b.score.total_cmp(&a.score))
        .then(b.bytes.len().cmp(&a.bytes.len()))
        .then(a.bytes.start.cmp(&b.bytes.start))
        .then_with(|| a.label.cmp(&b.label))
        .then_with(|| a.recognizer.cmp(&b.recognizer))
}

fn rank(recognizer: &Recognizer) -> u8 {
    match recognizer {
        Recognizer::Deny => 3,
        Recognizer::Pattern(name) if Patterns::is_builtin(name) => 2,
        Recognizer::Pattern(_) => 1,
        Recognizer::Model => 0,
    }
}

/// A stretch of one span, with whether its edges are the span's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    owner: usize,
    bytes: ByteSpan,
    cut_start: bool,
    cut_end: bool,
}

/// Gives each stretch to the strongest span over it. `spans` are sorted by start.
pub(super) fn sweep(spans: &[Span], ranks: &[usize], order: &[usize]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(spans.len());
    // Ranks of the spans that have begun, strongest on top; ended ones leave when they surface.
    let mut open: BinaryHeap<Reverse<usize>> = BinaryHeap::new();
    let mut next = 0;
    let mut at = 0;
    loop {
        while open
            .peek()
            .is_some_and(|top| spans[order[top.0]].bytes.end <= at)
        {
            open.pop();
        }
        let Some(&Reverse(top)) = open.peek() else {
            let Some(span) = spans.get(next) else {
                return pieces;
            };
            at = span.bytes.start;
            open.push(Reverse(ranks[next]));
            next += 1;
            continue;
        };
        let owner = order[top];
        // Until the owner ends or a stronger one begins; weaker ones only line up.
        let mut end = spans[owner].bytes.end;
        while next < spans.len() && spans[next].bytes.start < end {
            if ranks[next] < top {
                end = spans[next].bytes.start;
                if end > at {
                    break;
                }
                // A stronger one of the same start.
                open.push(Reverse(ranks[next]));
                next += 1;
                break;
            }
            open.push(Reverse(ranks[next]));
            next += 1;
        }
        if end <= at {
            continue;
        }
        pieces.push(Piece {
            owner,
            bytes: ByteSpan::new(at, end),
            cut_start: at > spans[owner].bytes.start,
            cut_end: end < spans[owner].bytes.end,
        });
        at = end;
        if next < spans.len() && spans[next].bytes.start == at {
            open.push(Reverse(ranks[next]));
            next += 1;
        }
    }
}

/// Joins a remainder with the span of the same label that it touches.
pub(super) fn merge(pieces: Vec<Piece>, spans: &[Span], ranks: &[usize]) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if let Some(last) = merged.last_mut() {
            let touches = last.bytes.end == piece.bytes.start && (last.cut_end || piece.cut_start);
            if touches && spans[last.owner].label == spans[piece.owner].label {
                if ranks[piece.owner] < ranks[last.owner] {
                    last.owner = piece.owner;
                }
                last.bytes.end = piece.bytes.end;
                last.cut_end = piece.cut_end;
                continue;
            }
        }
        merged.push(piece);
    }
    merged
}

impl Piece {
    /// Position of the span that it is of.
    pub(super) fn owner(&self) -> usize {
        self.owner
    }

    /// The span, without white space at its cut edges; none if nothing else is there.
    pub(super) fn trim(mut self, text: &str, spans: &[Span]) -> Option<Span> {
        // By clusters, not characters: a space may carry a combining mark.
        if self.cut_start {
            for cluster in text[self.bytes.start..self.bytes.end].graphemes(true) {
                if !is_space(cluster) {
                    break;
                }
                self.bytes.start += cluster.len();
            }
        }
        if self.cut_end {
            for cluster in text[self.bytes.start..self.bytes.end].graphemes(true).rev() {
                if !is_space(cluster) {
                    break;
                }
                self.bytes.end -= cluster.len();
            }
        }
        if is_space(&text[self.bytes.start..self.bytes.end]) {
            return None;
        }
        Some(Span {
            bytes: self.bytes,
            ..spans[self.owner].clone()
        })
    }
}

fn is_space(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

#[cfg(test)]
mod tests;
