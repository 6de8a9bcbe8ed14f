//! One text of any length through tokenizer, model and decoder, piece by piece.
//!
//! A short text goes through as a whole. A long one is taken in segments: patterns are looked for
//! with [`Patterns::MAX_MATCH_BYTES`] of text on both sides of a segment, the model's windows go on
//! over the seams, and what every path of the Viterbi agrees on leaves as a [`Piece`]. Memory holds
//! a few segments and what is undecided, however long the text is.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use futures::{StreamExt, future::BoxFuture, stream::FuturesOrdered};
use unicode_segmentation::GraphemeCursor;

use super::engine::{Engine, Error, Labels};
use crate::{
    decode::{
        Recognizer, Span, conflict, naming,
        patterns::{self, Patterns},
        whole,
    },
    model::{Decoder, Emissions, Entity, Found as Decoded},
    record::Stage,
    telemetry::metric,
    tenant::Policy,
    text::{self, ByteSpan, SEGMENT_BYTES, Tokens, Windower},
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
    engine: Engine,
    tenant: Arc<str>,
    /// `None` where the tenant asks for patterns only.
    labels: Option<Arc<Labels>>,
    patterns: Patterns,
    /// Text from byte `start` of the document on.
    buffer: String,
    start: usize,
    /// Bytes of the document that are tokenized and searched for patterns.
    searched: usize,
    found: Vec<Span>,
    /// Where a private key ends for now that goes on behind what is searched.
    open_block: Option<usize>,
    allowed: Vec<ByteSpan>,
    windower: Option<Windower>,
    windows: FuturesOrdered<BoxFuture<'static, Result<Arc<Emissions>, Error>>>,
    /// A window that waits for the one after it.
    ready: Option<Arc<Emissions>>,
    decoder: Decoder,
    /// Entities of the model that wait until what they may overlap is decided, by where they begin.
    named: Vec<Span>,
    marked: Vec<Span>,
    /// Where the tokens from `first_token` on stand in the document.
    tokens: VecDeque<ByteSpan>,
    first_token: u64,
    counted_windows: u64,
    counted_tokens: u64,
}

/// Text of at most this size is tokenized and searched in place: about half a millisecond.
const IN_PLACE_BYTES: usize = 1024;

/// Windows of one text that may be on their way to the model at a time.
///
/// Fewer: a long text leaves the model idle. More: memory, and other texts wait longer.
const WINDOWS_IN_FLIGHT: usize = 256;

/// Bytes that entities overlapping one another in a row may wait for the last of them to be decided.
///
/// Fewer: where a document is cut may decide which label names a character. More: memory, on text in which
/// everything is an entity.
const LONGEST_WAIT: usize = 1 << 16;

/// Bytes of text on each side of a segment that patterns may reach into.
const MARGIN: usize = Patterns::MAX_MATCH_BYTES;

/// Longest private key that stays one entity. A longer one goes out in several that touch, so that
/// memory stays bounded.
const BLOCK_BYTES: usize = 1024 * 1024;

impl Scan {
    /// Starts a text.
    pub async fn start(engine: &Engine, policy: &Policy) -> Result<Self, Error> {
        let labels = if policy.labels.labels.is_empty() {
            None
        } else {
            Some(engine.labels(&policy.labels).await?)
        };
        let decoder = labels.as_ref().map(|labels| labels.decoder());
        Ok(Self {
            tenant: policy.tenant.clone(),
            patterns: policy.patterns.clone(),
            windower: labels.as_ref().map(|_| Windower::new(engine.shape())),
            engine: engine.clone(),
            labels,
            buffer: String::new(),
            start: 0,
            searched: 0,
            found: Vec::new(),
            open_block: None,
            allowed: Vec::new(),
            windows: FuturesOrdered::new(),
            ready: None,
            decoder: decoder.unwrap_or_default(),
            named: Vec::new(),
            marked: Vec::new(),
            tokens: VecDeque::new(),
            first_token: 0,
            counted_windows: 0,
            counted_tokens: 0,
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
                self.collect(WINDOWS_IN_FLIGHT).await?;
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
        if let Some(last) = self.windower.take().and_then(Windower::finish) {
            self.send(vec![last]);
        }
        self.collect(0).await?;
        if let Some(window) = self.ready.take() {
            self.decode(&window, None);
        }
        let rest = std::mem::take(&mut self.decoder).finish();
        self.keep(rest);
        self.settle(usize::MAX);
        Ok(self.flush(true))
    }

    /// Tokens and windows so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.counted_tokens, self.counted_windows)
    }

    fn received(&self) -> usize {
        self.start + self.buffer.len()
    }

    /// Tokenizes and searches the document up to byte `end`.
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
            engine: self.engine.clone(),
            patterns: self.patterns.clone(),
            tokenize: self.labels.is_some(),
            text: self.buffer[before..after].to_owned(),
            segment: ByteSpan::new(from - self.start - before, end - self.start - before),
        };
        let base = self.start + before;
        let began = Instant::now();
        let result = if search.text.len() <= IN_PLACE_BYTES {
            search.run()
        } else {
            tokio::task::spawn_blocking(|| search.run())
                .await
                .map_err(|_| Error::Panicked)?
        }?;
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
        if let Some(windower) = &mut self.windower {
            let mut windows = Vec::new();
            windower.push(result.tokens, from, &mut windows);
            self.send(windows);
        }
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

    fn send(&mut self, windows: Vec<text::Window>) {
        let Some(labels) = &self.labels else { return };
        for window in windows {
            self.counted_windows += 1;
            self.counted_tokens += window.core.len() as u64;
            self.tokens.extend(&window.spans);
            let (engine, labels, tenant) =
                (self.engine.clone(), labels.clone(), self.tenant.clone());
            self.windows.push_back(Box::pin(async move {
                engine.emissions(labels, tenant, window).await
            }));
        }
    }

    /// Decodes windows as they come back, until at most `left` are on their way.
    async fn collect(&mut self, left: usize) -> Result<(), Error> {
        while self.windows.len() > left {
            let window = self.windows.next().await.expect("a window is on its way")?;
            if let Some(before) = self.ready.replace(window.clone()) {
                self.decode(&before, Some(&window));
                // A long text must not keep a thread to itself.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn decode(&mut self, window: &Emissions, next: Option<&Emissions>) {
        let labels = self
            .labels
            .clone()
            .expect("windows are only sent with labels");
        let began = Instant::now();
        self.decoder.push(window, next, labels.matrix());
        let certain = self.decoder.certain();
        metric::stage(Stage::Decode, began);
        self.keep(certain);
        let decided = self.decoder.decided();
        self.tokens.drain(..(decided - self.first_token) as usize);
        self.first_token = decided;
        self.settle(self.decided());
    }

    /// First byte that entities of the model may cover which are not known yet.
    fn decided(&self) -> usize {
        let first = self.tokens.front();
        let first = first.map_or(self.searched, |token| token.start);
        // An entity that begins there may grow to the begin of its word.
        first.saturating_sub(whole::REACH)
    }

    /// Turns entities into spans. What marks a place at all has to reach its label's threshold.
    fn keep(&mut self, found: Decoded) {
        let Some(labels) = self.labels.clone() else {
            return;
        };
        let named = found.named.iter();
        let named = named.filter_map(|entity| self.span(&labels, entity));
        let named: Vec<Span> = named.collect();
        let reaches = |entity: &&Entity| {
            // A score that is no number passes: fail closed.
            let below =
                self.engine.calibration().score(entity.gain) < labels.threshold(entity.label);
            !below
        };
        let marked = found.marked.iter().filter(reaches);
        let marked = marked.filter_map(|entity| {
            let span = self.span(&labels, entity)?;
            let own = ByteSpan::new(span.bytes.start - self.start, span.bytes.end - self.start);
            let grown = whole::whole(&self.buffer, own, labels.names_people(entity.label));
            Some(Span {
                bytes: ByteSpan::new(grown.start + self.start, grown.end + self.start),
                ..span
            })
        });
        let marked: Vec<Span> = marked.collect();
        self.named.extend(named);
        self.marked.extend(marked);
    }

    fn span(&self, labels: &Labels, entity: &Entity) -> Option<Span> {
        let label = labels.label(entity.label)?;
        let calibration = self.engine.calibration();
        let first = self.tokens[(entity.start - self.first_token) as usize];
        let last = self.tokens[(entity.end - 1 - self.first_token) as usize];
        Some(Span {
            bytes: self.without_white_space(first.start, last.end)?,
            label: label.name.clone(),
            score: calibration.score(entity.gain),
            label_score: calibration.label_score(entity.gain, entity.margin),
            recognizer: Recognizer::Model,
        })
    }

    /// Names what is marked, as far as all that overlaps it is known: entities that are not known yet
    /// begin at byte `decided` or later.
    fn settle(&mut self, decided: usize) {
        if self.marked.is_empty() {
            // What nothing marks is not found. An entity that a mark may still come for has not ended.
            self.named.retain(|span| span.bytes.end > decided);
            return;
        }
        self.named.sort_by_key(|span| span.bytes);
        self.marked.sort_by_key(|span| span.bytes);
        let (mut named, mut marked) = (self.named.iter().peekable(), self.marked.iter().peekable());
        // Those that overlap or touch one another in a row: what is left of a mark may become part of a span
        // that it only touches.
        let mut row = ByteSpan::new(self.start, self.start);
        let ready = loop {
            let next = match (named.peek(), marked.peek()) {
                (Some(a), Some(b)) if a.bytes <= b.bytes => named.next(),
                (_, Some(_)) => marked.next(),
                (_, None) => named.next(),
            };
            if next.is_none_or(|next| next.bytes.start > row.end) {
                if row.end >= decided {
                    let waited = decided.saturating_sub(row.start) >= LONGEST_WAIT;
                    break if waited { decided } else { row.start };
                }
                let Some(next) = next else { break usize::MAX };
                row = next.bytes;
            } else if let Some(next) = next {
                row.end = row.end.max(next.bytes.end);
            }
        };
        let before = |span: &mut Span| span.bytes.start < ready;
        let named: Vec<Span> = self.named.extract_if(.., before).collect();
        let marked: Vec<Span> = self.marked.extract_if(.., before).collect();
        let base = self.start;
        let relative = |spans: Vec<Span>| {
            spans
                .into_iter()
                .map(move |span| back(span, base))
                .collect()
        };
        let spans = naming::name(&self.buffer, relative(named), relative(marked));
        self.found
            .extend(spans.into_iter().map(|span| moved(span, base)));
    }

    /// Byte-level tokens hold the space before a word, which is no part of an entity.
    fn without_white_space(&self, start: usize, end: usize) -> Option<ByteSpan> {
        let text = &self.buffer[start - self.start..end - self.start];
        let behind = start + text.len() - text.trim_start().len();
        let before = end - (text.len() - text.trim_end().len());
        (behind < before).then(|| ByteSpan::new(behind, before))
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
        let waiting = self.named.iter().chain(&self.marked);
        let waiting = waiting.map(|span| span.bytes.start);
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
    engine: Engine,
    patterns: Patterns,
    tokenize: bool,
    /// The segment with its margins.
    text: String,
    segment: ByteSpan,
}

struct Found {
    tokens: Tokens,
    found: Vec<Span>,
    allowed: Vec<ByteSpan>,
}

impl Search {
    fn run(self) -> Result<Found, Error> {
        let tokens = if self.tokenize {
            let segment = &self.text[self.segment.start..self.segment.end];
            self.engine
                .tokenizer()
                .tokens(segment)
                .map_err(crate::model::Error::from)?
        } else {
            Tokens::default()
        };
        let begins_here =
            |span: &ByteSpan| self.segment.start <= span.start && span.start < self.segment.end;
        let mut found = self.patterns.find(&self.text);
        found.retain(|span| begins_here(&span.bytes));
        let mut allowed = self.patterns.allowed(&self.text);
        allowed.retain(begins_here);
        Ok(Found {
            tokens,
            found,
            allowed,
        })
    }
}

fn moved(mut span: Span, base: usize) -> Span {
    span.bytes = ByteSpan::new(span.bytes.start + base, span.bytes.end + base);
    span
}

fn back(mut span: Span, base: usize) -> Span {
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
