//! Deny and allow lists: terms found whole, in any case.
//!
//! Case: both sides are folded one character at a time by Unicode lowercase, with final sigma as
//! sigma. No normalisation: a term with composed accents does not find decomposed ones. A term is
//! found as a whole word: its edge, if a letter or digit of a script with spaces, has no such
//! neighbour.

use std::sync::Arc;

use aho_corasick::AhoCorasick;

use super::borders::joins;
use crate::text::ByteSpan;

/// A compiled list. `Debug` shows its length: a deny list holds the very values to hide.
#[derive(Clone)]
pub(super) struct Terms {
    automaton: Arc<AhoCorasick>,
    count: usize,
}

impl std::fmt::Debug for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Terms({})", self.count)
    }
}

impl Terms {
    pub(super) fn build<'a>(
        terms: impl Iterator<Item = &'a str>,
    ) -> Result<Self, aho_corasick::BuildError> {
        let folded: Vec<String> = terms.map(fold).collect();
        let automaton = AhoCorasick::new(&folded)?;
        Ok(Self {
            automaton: Arc::new(automaton),
            count: folded.len(),
        })
    }

    /// Every place of a term, with the term's index. Of the terms that begin at one place the
    /// longest is given; terms that overlap otherwise are all given, so that no list entry hides
    /// behind another.
    pub(super) fn find(&self, text: &str) -> Vec<(ByteSpan, usize)> {
        if text.is_ascii() {
            return self.matches(&text.to_ascii_lowercase(), text, Some);
        }
        let mut folded = String::with_capacity(text.len());
        // Byte of the source at each byte of the folded text; `None` inside a character.
        let mut source: Vec<u32> = Vec::with_capacity(text.len() + 1);
        let inside = u32::MAX;
        let mut at_source = Vec::new();
        for (at, c) in text.char_indices() {
            let from = folded.len();
            push_folded(c, &mut folded);
            source.push(at_source.len() as u32);
            at_source.push(at);
            source.extend(std::iter::repeat_n(inside, folded.len() - from - 1));
        }
        source.push(at_source.len() as u32);
        at_source.push(text.len());
        self.matches(&folded, text, |at| {
            at_source.get(source[at] as usize).copied()
        })
    }

    fn matches(
        &self,
        folded: &str,
        text: &str,
        to_source: impl Fn(usize) -> Option<usize>,
    ) -> Vec<(ByteSpan, usize)> {
        let mut found: Vec<(ByteSpan, usize)> = Vec::new();
        for hit in self.automaton.find_overlapping_iter(folded) {
            let (Some(start), Some(end)) = (to_source(hit.start()), to_source(hit.end())) else {
                continue;
            };
            if start < end && stands_alone(text, start, end) {
                found.push((ByteSpan::new(start, end), hit.pattern().as_usize()));
            }
        }
        found
            .sort_by(|(a, i), (b, j)| a.start.cmp(&b.start).then(b.end.cmp(&a.end)).then(i.cmp(j)));
        // Nested places are left out: the longer one covers them.
        let mut reached = 0;
        found.retain(|(span, _)| {
            let kept = span.end > reached;
            reached = reached.max(span.end);
            kept
        });
        found
    }
}

fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let term = &text[start..end];
    let glued_before = term.chars().next().is_some_and(joins)
        && text[..start].chars().next_back().is_some_and(joins);
    let glued_after = term.chars().next_back().is_some_and(joins)
        && text[end..].chars().next().is_some_and(joins);
    !glued_before && !glued_after
}

fn fold(term: &str) -> String {
    let mut folded = String::with_capacity(term.len());
    for c in term.chars() {
        push_folded(c, &mut folded);
    }
    folded
}

fn push_folded(c: char, folded: &mut String) {
    match c {
        'ς' => folded.push('σ'),
        c => folded.extend(c.to_lowercase()),
    }
}
