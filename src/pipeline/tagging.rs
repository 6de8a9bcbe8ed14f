//! A model at work on one text: from what it marks and names to spans.

use std::sync::Arc;

use super::{
    engine::{Error, Labels},
    scan::{back, moved},
};
use crate::{
    decode::{Recognizer, Span, naming, whole},
    model::family::{Tag, Tagger},
    text::ByteSpan,
};

/// Bytes that entities overlapping one another in a row may wait for the last of them to be decided.
///
/// Fewer: where a document is cut may decide which label names a character. More: memory, on text in which
/// everything is an entity.
const LONGEST_WAIT: usize = 1 << 16;

/// A model at work on a text.
pub(super) struct Tagging {
    tagger: Box<dyn Tagger>,
    labels: Arc<Labels>,
    /// Which part of the labels is this model's.
    part: usize,
    /// What waits until all that it may overlap is decided.
    named: Vec<Span>,
    marked: Vec<Span>,
}

impl Tagging {
    /// One for each model that labels ask.
    pub(super) fn start(labels: &Arc<Labels>, tenant: &Arc<str>) -> Vec<Self> {
        let parts = labels.parts().iter().enumerate();
        let started = parts.map(|(part, own)| Self {
            tagger: own.prepared.clone().tagger(tenant),
            labels: labels.clone(),
            part,
            named: Vec::new(),
            marked: Vec::new(),
        });
        started.collect()
    }

    /// Gives the model the segment of the text that begins at byte `at`.
    pub(super) async fn push(&mut self, segment: &str, at: usize) -> Result<(), Error> {
        self.tagger.push(segment, at).await
    }

    /// See [`Tagger::advance`].
    pub(super) async fn advance(&mut self) -> Result<(), Error> {
        self.tagger.advance().await
    }

    /// See [`Tagger::finish`].
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        self.tagger.finish().await
    }

    /// Tokens and windows so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        self.tagger.counts()
    }

    /// First byte that entities may cover which are not known yet. One that begins later may grow to the begin of its
    /// word.
    pub(super) fn decided(&self) -> usize {
        self.tagger.decided().saturating_sub(whole::REACH)
    }

    /// Where what waits begins.
    pub(super) fn first_waiting(&self) -> Option<usize> {
        let waiting = self.named.iter().chain(&self.marked);
        waiting.map(|span| span.bytes.start).min()
    }

    /// Spans that are decided. `text` is the document's from byte `start` on.
    pub(super) fn settle(&mut self, text: &str, start: usize, ended: bool) -> Vec<Span> {
        let tags = self.tagger.take();
        let named = tags.named.iter();
        let named = named.filter_map(|tag| self.span(tag, text, start));
        let named: Vec<Span> = named.collect();
        let marked = tags.marked.iter().filter_map(|tag| {
            let span = back(self.span(tag, text, start)?, start);
            let grown = whole::whole(
                text,
                span.bytes,
                self.labels.names_people(self.part, tag.label),
            );
            Some(moved(
                Span {
                    bytes: grown,
                    ..span
                },
                start,
            ))
        });
        let marked: Vec<Span> = marked.collect();
        self.named.extend(named);
        self.marked.extend(marked);
        let decided = match ended {
            true => usize::MAX,
            false => self.decided(),
        };
        self.name(text, start, decided)
    }

    fn span(&self, tag: &Tag, text: &str, start: usize) -> Option<Span> {
        Some(Span {
            bytes: without_white_space(text, start, tag.bytes)?,
            label: self.labels.label(self.part, tag.label).name.clone(),
            score: tag.score,
            label_score: tag.label_score,
            recognizer: Recognizer::Model,
        })
    }

    /// Names what is marked, as far as all that overlaps it is known: entities that are not known yet
    /// begin at byte `decided` or later.
    fn name(&mut self, text: &str, start: usize, decided: usize) -> Vec<Span> {
        if self.marked.is_empty() {
            // What nothing marks is not found. An entity that a mark may still come for has not ended.
            self.named.retain(|span| span.bytes.end > decided);
            return Vec::new();
        }
        let ready = self.ready(start, decided);
        let before = |span: &mut Span| span.bytes.start < ready;
        let named: Vec<Span> = self.named.extract_if(.., before).collect();
        let marked: Vec<Span> = self.marked.extract_if(.., before).collect();
        let relative = |spans: Vec<Span>| spans.into_iter().map(move |span| back(span, start));
        let spans = naming::name(text, relative(named).collect(), relative(marked).collect());
        spans.into_iter().map(|span| moved(span, start)).collect()
    }

    /// Up to which byte all that overlaps is known.
    fn ready(&mut self, start: usize, decided: usize) -> usize {
        self.named.sort_by_key(|span| span.bytes);
        self.marked.sort_by_key(|span| span.bytes);
        let (mut named, mut marked) = (self.named.iter().peekable(), self.marked.iter().peekable());
        // Those that overlap or touch one another in a row: what is left of a mark may become part of a span
        // that it only touches.
        let mut row = ByteSpan::new(start, start);
        loop {
            let next = match (named.peek(), marked.peek()) {
                (Some(a), Some(b)) if a.bytes <= b.bytes => named.next(),
                (_, Some(_)) => marked.next(),
                (_, None) => named.next(),
            };
            if next.is_none_or(|next| next.bytes.start > row.end) {
                if row.end >= decided {
                    let waited = decided.saturating_sub(row.start) >= LONGEST_WAIT;
                    return if waited { decided } else { row.start };
                }
                let Some(next) = next else { return usize::MAX };
                row = next.bytes;
            } else if let Some(next) = next {
                row.end = row.end.max(next.bytes.end);
            }
        }
    }
}

/// Byte-level tokens hold the space before a word, which is no part of an entity.
fn without_white_space(text: &str, start: usize, span: ByteSpan) -> Option<ByteSpan> {
    let text = &text[span.start - start..span.end - start];
    let behind = span.start + text.len() - text.trim_start().len();
    let before = span.end - (text.len() - text.trim_end().len());
    (behind < before).then(|| ByteSpan::new(behind, before))
}
