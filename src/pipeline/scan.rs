//! One text of any length through tokenizer, model and decoder, piece by piece.
//!
//! A short text goes through as a whole. A long one is taken in segments: patterns are looked for
//! with [`Patterns::MAX_MATCH_BYTES`] of text on both sides of a segment, the model's windows go on
//! over the seams, and what every path of the Viterbi agrees on leaves as a [`Piece`]. Memory holds
//! a few segments and what is undecided, however long the text is.

use std::{borrow::Cow, time::Instant};

use futures::future::try_join_all;
use unicode_segmentation::GraphemeCursor;

use super::{
    engine::{Engine, Error},
    tagging::Tagging,
};
use crate::{
    decode::{
        Span, conflict,
        patterns::{self, Patterns},
        whole,
    },
    model::family::on_text,
    record::Stage,
    telemetry::metric,
    tenant::{Policy, Reuse},
    text::{self, ByteSpan, SEGMENT_BYTES},
};

/// A stretch of the text that is decided. Pieces follow one another without a gap.
#[derive(Debug)]
pub struct Piece {
    /// The text as received.
    pub text: crate::record::Text,
    /// Its entities, sorted, free of overlaps; offsets count from the piece's start.
    pub spans: Vec<Span>,
}

/// A text on its way through.
pub struct Scan {
    patterns: Patterns,
    /// One for each model that the tenant's labels ask; none where it asks for patterns only.
    models: Vec<Tagging>,
    /// Which texts share what the models find.
    reuse: Reuse,
    /// Text from byte `start` of the document on.
    buffer: String,
    start: usize,
    /// Bytes of the document that the models have and that are searched for patterns.
    searched: usize,
    found: Vec<Span>,
    /// Where a private key ends for now that goes on behind what is searched.
    open_block: Option<usize>,
    allowed: Vec<ByteSpan>,
}

/// Bytes of text on each side of a segment that patterns may reach into.
const MARGIN: usize = Patterns::MAX_MATCH_BYTES;

/// Longest private key that stays one entity. A longer one goes out in several that touch, so that
/// memory stays bounded.
const BLOCK_BYTES: usize = 1024 * 1024;

impl Scan {
    /// Starts a text. `reuse`: of the rule for its record.
    pub async fn start(engine: &Engine, policy: &Policy, reuse: Reuse) -> Result<Self, Error> {
        let mut models = Vec::new();
        if !policy.labels.labels.is_empty() {
            let labels = engine.labels(&policy.labels).await?;
            models = Tagging::start(&labels, &policy.tenant);
        }
        Ok(Self {
            patterns: policy.patterns.clone(),
            models,
            reuse,
            buffer: String::new(),
            start: 0,
            searched: 0,
            found: Vec::new(),
            open_block: None,
            allowed: Vec::new(),
        })
    }

    /// Adds spans of the whole text that were found by other means; before any text is added.
    pub fn add_found(&mut self, spans: impl IntoIterator<Item = Span>) {
        debug_assert!(self.received() == 0, "spans come before their text");
        self.found.extend(spans);
    }

    /// Adds text; takes out what is decided by now.
    pub async fn push(&mut self, text: &str) -> Result<Option<Piece>, Error> {
        let mut rest = text;
        let mut decided: Option<Piece> = None;
        loop {
            let (head, tail) = rest.split_at(rest.floor_char_boundary(SEGMENT_BYTES));
            rest = tail;
            self.buffer.push_str(head);
            while self.received() - self.searched >= SEGMENT_BYTES + MARGIN {
                let from = self.searched - self.start;
                let end = self.searched + text::cut(&self.buffer[from..], SEGMENT_BYTES);
                self.search(end).await?;
                try_join_all(self.models.iter_mut().map(Tagging::advance)).await?;
                self.settle(false);
                decided = joined(decided, self.flush(false));
            }
            if rest.is_empty() {
                return Ok(decided);
            }
        }
    }

    /// Ends the text: what was not decided yet.
    pub async fn finish(&mut self) -> Result<Option<Piece>, Error> {
        self.search(self.received()).await?;
        try_join_all(self.models.iter_mut().map(Tagging::finish)).await?;
        self.settle(true);
        Ok(self.flush(true))
    }

    /// Tokens and windows so far.
    pub fn counts(&self) -> (u64, u64) {
        self.models.iter().fold((0, 0), |sum, model| {
            let own = model.counts();
            (sum.0 + own.0, sum.1 + own.1)
        })
    }

    fn received(&self) -> usize {
        self.start + self.buffer.len()
    }

    /// Takes in what the models have found, as far as they have decided. `ended`: the text has.
    fn settle(&mut self, ended: bool) {
        for model in &mut self.models {
            let spans = model.settle(&self.buffer, self.start, ended);
            self.found.extend(spans);
        }
    }

    /// Searches the document up to byte `end`, and gives it to the models.
    async fn search(&mut self, end: usize) -> Result<(), Error> {
        let from = self.searched;
        if from == end {
            return Ok(());
        }
        let before = self
            .buffer
            .ceil_char_boundary(from.saturating_sub(MARGIN).max(self.start) - self.start);
        let after = self
            .buffer
            .floor_char_boundary((end + MARGIN).min(self.received()) - self.start);
        let search = Search {
            patterns: self.patterns.clone(),
            text: self.buffer[before..after].to_owned(),
            segment: ByteSpan::new(from - self.start - before, end - self.start - before),
        };
        let base = self.start + before;
        let began = Instant::now();
        let result = on_text(search.text.len(), || search.run()).await?;
        let segment = &self.buffer[from - self.start..end - self.start];
        let folded = match self.reuse {
            Reuse::Equal => Cow::Borrowed(segment),
            Reuse::Digits => fold_digits(segment),
        };
        for model in &mut self.models {
            model.push(&folded, from).await?;
        }
        metric::stage(Stage::Text, began);
        self.searched = end;
        let known = self.start + after;
        self.continue_block(known);
        let found = result.found.into_iter().map(|span| moved(span, base));
        for span in found {
            if patterns::is_block(&span) && self.goes_on(span.bytes.end, known) {
                self.open_block = Some(span.bytes.end);
            }
            self.found.push(span);
        }
        self.allowed.extend(
            result
                .allowed
                .into_iter()
                .map(|span| ByteSpan::new(span.start + base, span.end + base)),
        );
        Ok(())
    }

    /// Lets a private key that reached the end of what was searched go on, up to byte `known`. A key
    /// is found whole by its begin line, which stands too far back for the next search.
    fn continue_block(&mut self, known: usize) {
        let Some(from) = self.open_block.take() else {
            return;
        };
        let rest = &self.buffer[from - self.start..known - self.start];
        let end = from + patterns::block_continues(rest);
        let mut parts = Vec::new();
        for span in &mut self.found {
            if span.bytes.end != from || !patterns::is_block(span) {
                continue;
            }
            if end - span.bytes.start <= BLOCK_BYTES {
                span.bytes.end = end;
            } else if end > from {
                let bytes = ByteSpan::new(from, end);
                parts.push(Span {
                    bytes,
                    ..span.clone()
                });
            }
        }
        self.found.append(&mut parts);
        self.open_block = self.goes_on(end, known).then_some(end);
    }

    /// Whether a private key that ends at `end` may go on behind `known`: nothing but a line break
    /// stands between, and it has not come to its end line.
    fn goes_on(&self, end: usize, known: usize) -> bool {
        let between = &self.buffer[end - self.start..known - self.start];
        between
            .chars()
            .all(|c| c.is_whitespace() || matches!(c, '\\' | 'n' | 'r'))
            && !self.buffer[..end - self.start].ends_with("----")
    }

    /// First byte that entities of a model may cover which are not known yet.
    fn decided(&self) -> usize {
        let known = self.searched.saturating_sub(whole::REACH);
        let models = self.models.iter().map(Tagging::decided);
        models.fold(known, usize::min)
    }

    /// Takes out what is decided.
    fn flush(&mut self, last: bool) -> Option<Piece> {
        let end = if last {
            self.received()
        } else {
            self.end_of_piece()
        };
        if end == self.start {
            return None;
        }
        let rest = self.buffer.split_off(end - self.start);
        let text = std::mem::replace(&mut self.buffer, rest);
        let here = |span: &ByteSpan| span.start < end;
        let (found, later) = self.found.drain(..).partition(|span| here(&span.bytes));
        let (allowed, allowed_later): (Vec<_>, Vec<_>) = self.allowed.drain(..).partition(here);
        self.found = later;
        self.allowed = allowed_later;
        let found: Vec<Span> = found;
        let base = self.start;
        self.start = end;
        let spans = found.into_iter().map(|span| back(span, base)).collect();
        let allowed: Vec<ByteSpan> = allowed
            .into_iter()
            .map(|span| ByteSpan::new(span.start - base, span.end.min(end) - base))
            .collect();
        let spans = conflict::resolve(&text, spans, &allowed);
        Some(Piece {
            text: text.into(),
            spans,
        })
    }

    /// The last place at which nothing undecided or decided is torn: not inside a span, not inside
    /// a grapheme cluster, after white space where there is any.
    fn end_of_piece(&self) -> usize {
        let waiting = self.models.iter().filter_map(Tagging::first_waiting);
        let token = waiting.fold(self.decided(), usize::min);
        let mut end = token.min(self.searched.saturating_sub(MARGIN));
        loop {
            if end <= self.start {
                return self.start;
            }
            let torn = self
                .found
                .iter()
                .map(|span| span.bytes)
                .chain(self.allowed.iter().copied());
            if let Some(torn) = torn
                .filter(|span| span.start < end && end < span.end)
                .map(|span| span.start)
                .min()
            {
                end = torn;
                continue;
            }
            let head = &self.buffer[..self.buffer.floor_char_boundary(end - self.start)];
            let cut = head
                .rfind(char::is_whitespace)
                .map_or(head.len(), |at| self.buffer.ceil_char_boundary(at + 1));
            let mut cursor = GraphemeCursor::new(cut, self.buffer.len(), true);
            let whole = cursor
                .is_boundary(&self.buffer, 0)
                .expect("the buffer is the whole text for the cursor");
            let before = cut + self.start;
            if before == end && whole {
                return end;
            }
            end = if whole {
                before
            } else {
                self.start
                    + cursor
                        .prev_boundary(&self.buffer, 0)
                        .ok()
                        .flatten()
                        .unwrap_or(0)
            };
            if !self
                .found
                .iter()
                .any(|span| span.bytes.start < end && end < span.bytes.end)
                && !self
                    .allowed
                    .iter()
                    .any(|span| span.start < end && end < span.end)
            {
                return end.max(self.start);
            }
        }
    }
}

/// Work on a segment that would block the runtime.
struct Search {
    patterns: Patterns,
    /// The segment with its margins.
    text: String,
    segment: ByteSpan,
}

struct Found {
    found: Vec<Span>,
    allowed: Vec<ByteSpan>,
}

impl Search {
    fn run(self) -> Found {
        let begins_here =
            |span: &ByteSpan| self.segment.start <= span.start && span.start < self.segment.end;
        let mut found = self.patterns.find(&self.text);
        found.retain(|span| begins_here(&span.bytes));
        let mut allowed = self.patterns.allowed(&self.text);
        allowed.retain(begins_here);
        Found { found, allowed }
    }
}

/// `0` for each ASCII digit: log lines that differ in times and numbers become equal, and each byte keeps its place. The
/// same text gives the same folded text wherever it stands.
fn fold_digits(text: &str) -> Cow<'_, str> {
    match text.contains(|c: char| matches!(c, '1'..='9')) {
        true => Cow::Owned(text.replace(|c: char| c.is_ascii_digit(), "0")),
        false => Cow::Borrowed(text),
    }
}

pub(super) fn moved(mut span: Span, base: usize) -> Span {
    span.bytes = ByteSpan::new(span.bytes.start + base, span.bytes.end + base);
    span
}

pub(super) fn back(mut span: Span, base: usize) -> Span {
    span.bytes = ByteSpan::new(span.bytes.start - base, span.bytes.end - base);
    span
}

fn joined(first: Option<Piece>, second: Option<Piece>) -> Option<Piece> {
    let (first, second) = match (first, second) {
        (Some(first), Some(second)) => (first, second),
        (first, second) => return first.or(second),
    };
    let base = first.text.len();
    let mut spans = first.spans;
    spans.extend(second.spans.into_iter().map(|span| moved(span, base)));
    Some(Piece {
        text: (first.text.into_string() + &second.text).into(),
        spans,
    })
}
