//! What a reader would read: a text with its escapes and look-alikes replaced by what they mean.
//!
//! In:  a text as received.
//! Out: [`Reading`]s of it, each with a map back to the bytes of the text.
//! Holds: the map is total and monotone; a span of a reading covers exactly the bytes that produced
//! it, whole escapes included; text without an escape is not copied; linear time.
//! Does not know: patterns, labels.
//!
//! A layer replaces every escape ([`escape`]) and look-alike ([`look_alike`]) once. What comes out may
//! hold escapes again (`%5Cu0022` is `\u0022`), so a layer is read again, [`MAX_LAYERS`] times at most.
//! Escapes of one notation within each other (`\\\\n`, `%2540`, `&amp;#64;`) are read in one layer.
//!
//! What has no width (colours of a terminal, zero-width characters, soft line breaks) is left out.
//! Where that joins two words, nobody knows whether they are one word: the layer is read a second
//! time with a line break in the gap.
mod base64_run;
mod escape;
mod look_alike;

use std::ops::Range;

pub(super) use self::base64_run::runs as base64_runs;
use crate::text::ByteSpan;

/// Layers that are read at most: escapes of three notations within each other.
pub(super) const MAX_LAYERS: usize = 3;

/// A stretch of a text that stands as something else in its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unit {
    /// Bytes of the text.
    from: usize,
    to: usize,
    /// Bytes of the view; empty for what is left out.
    start: usize,
    end: usize,
    /// Whether a part of it means nothing: `u0022` of `\u0022`. In `[4mana` and `=20ms` the sign in front
    /// and what follows may as well be what they are.
    whole: bool,
}

/// One text with its escapes replaced.
#[derive(Debug)]
struct Layer {
    text: String,
    /// Ascending and apart in the text and in the view; all else is the same in both.
    units: Vec<Unit>,
    /// Whether something left out had joined two words.
    joined: bool,
}

/// What to do where something without width stands between two words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Join,
    Part,
}

/// The readings of a text beside the text itself.
#[derive(Debug, Default)]
pub(super) struct Readings {
    joined: Vec<Layer>,
    parted: Vec<Layer>,
}

/// A text that a reader may read, and how it came about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    layers: &'a [Layer],
    /// Whether gaps hold a line break here that the other reading of the same layer lacks.
    pub(super) parted: bool,
}

impl Readings {
    /// Reads `text`; empty where it holds no escape and no look-alike.
    pub(super) fn of(text: &str) -> Self {
        let joined = layers(text, Gap::Join);
        let parted = match joined.iter().any(|layer| layer.joined) {
            true => layers(text, Gap::Part),
            false => Vec::new(),
        };
        Self { joined, parted }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.joined.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Reading<'_>> {
        (1..=self.joined.len())
            .map(|depth| Reading {
                layers: &self.joined[..depth],
                parted: false,
            })
            .chain((1..=self.parted.len()).map(|depth| Reading {
                layers: &self.parted[..depth],
                parted: true,
            }))
    }

    /// The escape of the text as received that `at` stands inside of, if its parts mean nothing.
    pub(super) fn escape_at(&self, at: usize) -> Option<ByteSpan> {
        self.joined.first()?.escape_at(at)
    }
}

impl<'a> Reading<'a> {
    pub(super) fn text(self) -> &'a str {
        &self.layers[self.layers.len() - 1].text
    }

    /// The bytes of the text as received that a stretch of this reading was made of.
    pub(super) fn source(self, span: ByteSpan) -> ByteSpan {
        self.layers
            .iter()
            .rev()
            .fold(span, |span, layer| layer.source(span))
    }
}

/// Grows spans outward to whole escapes: of `\u0022` no `22"` stays behind, which would be no JSON any
/// more.
pub(crate) fn snap_to_escapes<'a>(text: &str, spans: impl Iterator<Item = &'a mut ByteSpan>) {
    let Some(layer) = Layer::of(text, Gap::Join) else {
        return;
    };
    for span in spans {
        let escapes = [span.start, span.end].map(|at| layer.escape_at(at));
        if let [Some(escape), _] = escapes {
            span.start = escape.start;
        }
        if let [_, Some(escape)] = escapes {
            span.end = escape.end;
        }
    }
}

fn layers(text: &str, gap: Gap) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    while layers.len() < MAX_LAYERS {
        let text = layers.last().map_or(text, |layer| &layer.text);
        let Some(layer) = Layer::of(text, gap) else {
            break;
        };
        layers.push(layer);
    }
    layers
}

impl Layer {
    /// `None` where nothing is to be replaced.
    fn of(text: &str, gap: Gap) -> Option<Self> {
        let mut writer: Option<Writer> = None;
        let mut at = 0;
        while let Some(next) = escape::next_candidate(text.as_bytes(), at) {
            let read = {
                let written = writer.as_ref().map_or("", |writer| &writer.text);
                let copied = writer.as_ref().map_or(0, |writer| writer.copied);
                escape::read(text, next, Before::new(written, &text[copied..next]))
            };
            match read {
                Some(read) => {
                    writer
                        .get_or_insert_with(|| Writer::new(text.len()))
                        .replace(text, next, &read, gap);
                    at = next + read.length;
                }
                None => at = next + text[next..].chars().next().map_or(1, char::len_utf8),
            }
        }
        Some(writer?.finish(text, gap))
    }

    fn escape_at(&self, at: usize) -> Option<ByteSpan> {
        let index = self.units.partition_point(|unit| unit.to <= at);
        let unit = self
            .units
            .get(index)
            .filter(|unit| unit.from < at && unit.whole)?;
        Some(ByteSpan::new(unit.from, unit.to))
    }

    fn source(&self, span: ByteSpan) -> ByteSpan {
        if span.is_empty() {
            let start = self.source_start(span.start);
            return ByteSpan::new(start, start);
        }
        ByteSpan::new(self.source_start(span.start), self.source_end(span.end))
    }

    /// Where the character that holds byte `at` of the view begins in the text.
    fn source_start(&self, at: usize) -> usize {
        let index = self.units.partition_point(|unit| unit.end <= at);
        match self.units.get(index) {
            Some(unit) if unit.start <= at => unit.from,
            _ => self.beyond(index, at),
        }
    }

    /// Where the character that holds the byte before `at` of the view ends in the text.
    fn source_end(&self, at: usize) -> usize {
        let last = at - 1;
        let index = self.units.partition_point(|unit| unit.end <= last);
        match self.units.get(index) {
            Some(unit) if unit.start <= last => unit.to,
            _ => self.beyond(index, last) + 1,
        }
    }

    /// Byte of the text for byte `at` of the view, which stands as itself behind `index` units.
    fn beyond(&self, index: usize, at: usize) -> usize {
        match index.checked_sub(1) {
            Some(before) => at - self.units[before].end + self.units[before].to,
            None => at,
        }
    }
}

/// What stands before a place of the text, as the view has it.
#[derive(Clone, Copy)]
struct Before<'a> {
    written: &'a str,
    copied: &'a str,
}

impl<'a> Before<'a> {
    fn new(written: &'a str, copied: &'a str) -> Self {
        Self { written, copied }
    }

    /// The characters before, the nearest first.
    fn chars(self) -> impl Iterator<Item = char> + 'a {
        self.copied.chars().rev().chain(self.written.chars().rev())
    }
}

/// What an escape means.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Nothing,
    Char(char),
    Text(String),
}

/// An escape or look-alike of `length` bytes.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    length: usize,
    meaning: Meaning,
}

struct Writer {
    text: String,
    units: Vec<Unit>,
    /// Bytes of the source that the view holds.
    copied: usize,
    /// Whether the last unit was left out, and nothing was written since.
    gap: bool,
    joined: bool,
}

impl Writer {
    fn new(capacity: usize) -> Self {
        Self {
            text: String::with_capacity(capacity),
            units: Vec::new(),
            copied: 0,
            gap: false,
            joined: false,
        }
    }

    fn replace(&mut self, source: &str, at: usize, read: &Read, gap: Gap) {
        self.copy(&source[self.copied..at], gap);
        let to = at + read.length;
        let whole = match source.as_bytes()[at..] {
            [b'=' | b'[', ..] => false,
            [b'^', next, ..] => next == b'[',
            _ => true,
        };
        self.copied = to;
        let mut buffer = [0; 4];
        let meaning: &str = match &read.meaning {
            Meaning::Nothing => {
                match self.units.last_mut() {
                    Some(last) if self.gap && last.to == at && last.whole == whole => last.to = to,
                    _ => self.units.push(Unit {
                        from: at,
                        to,
                        start: self.text.len(),
                        end: self.text.len(),
                        whole,
                    }),
                }
                self.gap = true;
                return;
            }
            Meaning::Char(c) => c.encode_utf8(&mut buffer),
            Meaning::Text(text) => text,
        };
        self.close_gap(meaning, gap);
        let start = self.text.len();
        self.text.push_str(meaning);
        self.units.push(Unit {
            from: at,
            to,
            start,
            end: self.text.len(),
            whole,
        });
    }

    fn copy(&mut self, text: &str, gap: Gap) {
        if text.is_empty() {
            return;
        }
        self.close_gap(text, gap);
        self.text.push_str(text);
    }

    /// Says what stands between what was written and `next`, if something was left out there.
    fn close_gap(&mut self, next: &str, gap: Gap) {
        if !std::mem::take(&mut self.gap) {
            return;
        }
        let ends_alone =
            |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || "\"'()[]{}<>,;:=|".contains(c));
        if ends_alone(self.text.chars().next_back()) || ends_alone(next.chars().next()) {
            return;
        }
        self.joined = true;
        if gap == Gap::Part {
            self.text.push('\n');
            let unit = self.units.last_mut().expect("the gap is the last unit");
            unit.end = self.text.len();
        }
    }

    fn finish(mut self, source: &str, gap: Gap) -> Layer {
        let rest: Range<usize> = self.copied..source.len();
        self.copy(&source[rest], gap);
        Layer {
            text: self.text,
            units: self.units,
            joined: self.joined,
        }
    }
}

#[cfg(test)]
mod tests;
