//! JSON documents edited in place: everything else stays as received, byte for byte.
//!
//! serde_json checks the syntax once; after that one pass over text known to be JSON finds the
//! string values. It never parses values and writes them again, so numbers, spaces, key order
//! and duplicate keys survive. A half of a surrogate pair in an escape (`"\ud800"`) is valid JSON
//! (RFC 8259, section 8.2) but not a Unicode scalar: it reads as U+FFFD, one code point, and is
//! written as received unless it is redacted.

use std::{borrow::Cow, ops::Range};

use serde_json::value::RawValue;

use super::Text;
use crate::text::ByteSpan;

/// Deepest nesting that is read. serde_json's own limit for values; deeper documents are attacks
/// or mistakes, and paths into them are unusable.
pub const MAX_DEPTH: usize = 128;

/// Bytes that the JSON Pointers of one document may take together.
///
/// A key of some MB above an array of a million strings would otherwise repeat the key a million
/// times.
pub const MAX_POINTER_BYTES: usize = 64 << 20;

/// Why a text is not a JSON document. Made of places only: serde_json's own message would print
/// the value (I7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// Not JSON at all.
    #[error("not valid JSON (line {line}, column {column})")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 1; 0 where the text ended too early on a new line.
        column: usize,
    },
    /// JSON, but a number, a string, an array.
    #[error("a JSON value that is not an object")]
    NotAnObject,
    /// Nested too deep.
    #[error("JSON nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Keys too long for the number of values below them.
    #[error("the paths of the JSON values exceed {MAX_POINTER_BYTES} bytes")]
    PathsTooLong,
}

/// A JSON object as received.
#[derive(Debug, Clone)]
pub struct Json {
    text: Text,
    /// Keys of the top level, decoded, with the range of their value.
    members: Vec<Member>,
    /// Where new members go: after the last value, or after the opening brace.
    end: usize,
}

#[derive(Clone)]
struct Member {
    key: String,
    value: Range<usize>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Member({:?})", self.value)
    }
}

/// A string value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// JSON Pointer (RFC 6901). Two values under duplicate keys have the same one.
    pub pointer: String,
    /// Bytes of the literal in the document, quotes included.
    pub raw: Range<usize>,
}

/// A key of an object. `Debug` does not print it: keys may be values.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// JSON Pointer of its value.
    pub pointer: String,
    /// The key, decoded.
    pub name: String,
    /// Bytes of the literal in the document, quotes included.
    pub raw: Range<usize>,
    /// Byte at which its object opens.
    pub object: usize,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?})", self.raw)
    }
}

/// A string value, decoded, that knows where each of its characters stands in the document.
#[derive(Debug, Clone)]
pub struct Literal {
    /// The value.
    pub text: Text,
    /// Byte in the document of the value's first character.
    start: usize,
    /// One for each escape, ascending: bytes after it in the value, bytes after it in the literal
    /// (from `start`), and their lengths.
    escapes: Vec<Escape>,
}

#[derive(Debug, Clone, Copy)]
struct Escape {
    decoded: usize,
    decoded_len: usize,
    raw: usize,
    raw_len: usize,
}

/// A stretch of a document to be replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Bytes of the document.
    pub raw: Range<usize>,
    /// What to put there, JSON-escaped.
    pub replacement: Text,
}

impl Json {
    /// Checks that `text` is one JSON object.
    pub fn parse(text: impl Into<Text>) -> Result<Self, NotJson> {
        let text = text.into();
        if let Err(error) = serde_json::from_str::<&RawValue>(&text) {
            return Err(NotJson::Syntax {
                line: error.line(),
                column: error.column(),
            });
        }
        if !text.trim_start().starts_with('{') {
            return Err(NotJson::NotAnObject);
        }
        let mut members = Vec::new();
        let mut end = text.find('{').expect("an object opens with a brace") + 1;
        let mut walk = Walk::new(&text);
        while let Some(value) = walk.next_value()? {
            if value.depth == 1 {
                let key = walk.key().expect("the top level is an object").to_owned();
                // Containers are met at their opening.
                end = value_end(&text, value.raw.start);
                let value = value.raw.start..end;
                members.push(Member { key, value });
            }
        }
        Ok(Self { text, members, end })
    }

    /// The document as received.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Gives the text back.
    pub fn into_text(self) -> Text {
        self.text
    }

    /// String values that `selector` chooses, in document order.
    pub fn strings(&self, selector: &Selector) -> Result<Vec<Leaf>, NotJson> {
        self.leaves(selector, |first| first == b'"')
    }

    fn leaves(&self, selector: &Selector, wanted: fn(u8) -> bool) -> Result<Vec<Leaf>, NotJson> {
        let mut leaves = Vec::new();
        let mut bytes = 0;
        let mut walk = Walk::new(&self.text);
        while let Some(value) = walk.next_value()? {
            if !wanted(self.text.as_bytes()[value.raw.start]) {
                continue;
            }
            if !selector.selects(&walk, value.depth) {
                continue;
            }
            let pointer = walk.pointer(value.depth);
            bytes += pointer.len();
            if bytes > MAX_POINTER_BYTES {
                return Err(NotJson::PathsTooLong);
            }
            leaves.push(Leaf {
                pointer,
                raw: value.raw,
            });
        }
        Ok(leaves)
    }

    /// Keys that `wanted` chooses by their name, in document order.
    pub fn keys(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<Key>, NotJson> {
        let mut keys = Vec::new();
        let mut bytes = 0;
        let mut walk = Walk::new(&self.text);
        while let Some(value) = walk.next_value()? {
            let Some(frame) = value.depth.checked_sub(1).map(|depth| &walk.open[depth]) else {
                continue;
            };
            let Place::Key(name) = &frame.place else {
                continue;
            };
            if !wanted(name) {
                continue;
            }
            let pointer = walk.pointer(value.depth);
            bytes += pointer.len();
            if bytes > MAX_POINTER_BYTES {
                return Err(NotJson::PathsTooLong);
            }
            keys.push(Key {
                pointer,
                name: name.clone(),
                raw: frame.key.clone(),
                object: frame.opened,
            });
        }
        Ok(keys)
    }

    /// String values and numbers that `selector` chooses, in document order. The raw bytes of a string
    /// begin with its quote.
    pub fn scalars(&self, selector: &Selector) -> Result<Vec<Leaf>, NotJson> {
        self.leaves(selector, |first| matches!(first, b'"' | b'-' | b'0'..=b'9'))
    }

    /// Decodes a string value.
    pub fn literal(&self, leaf: &Leaf) -> Literal {
        let inside = leaf.raw.start + 1..leaf.raw.end - 1;
        decode(&self.text, inside.clone(), inside.start)
    }

    /// The value at a JSON Pointer if it is a string or a number; of duplicate keys the first.
    pub fn scalar(&self, pointer: &str) -> Scalar {
        let raw = match pointer.strip_prefix('/') {
            Some(key) if !key.contains(['/', '~']) => self
                .members
                .iter()
                .find(|member| member.key == key)
                .map(|member| member.value.clone()),
            _ => self.find(pointer),
        };
        let Some(raw) = raw else {
            return Scalar::Absent;
        };
        match self.text.as_bytes()[raw.start] {
            b'"' => {
                let inside = raw.start + 1..raw.end - 1;
                Scalar::Text(decode(&self.text, inside, 0).text.into_string())
            }
            b'-' | b'0'..=b'9' => Scalar::Text(self.text[raw].to_owned()),
            b'n' => Scalar::Absent,
            _ => Scalar::Other,
        }
    }

    /// Bytes of every string or number at a JSON Pointer, quotes included: keys may be there twice.
    pub fn at(&self, pointer: &str) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut walk = Walk::new(&self.text);
        // `parse` went through the whole document, so `next_value` cannot fail here.
        while let Ok(Some(value)) = walk.next_value() {
            let first = self.text.as_bytes()[value.raw.start];
            if matches!(first, b'"' | b'-' | b'0'..=b'9') && walk.pointer(value.depth) == pointer {
                found.push(value.raw);
            }
        }
        found
    }

    fn find(&self, pointer: &str) -> Option<Range<usize>> {
        let mut walk = Walk::new(&self.text);
        // `parse` went through the whole document, so `next_value` cannot fail here.
        while let Ok(Some(value)) = walk.next_value() {
            if walk.pointer(value.depth) == pointer {
                return Some(value.raw);
            }
        }
        None
    }

    /// Writes the document with `edits` made, which are sorted and do not overlap, and `members`
    /// (key and JSON value) appended. A key that the document has gets the prefix `weir_`: nobody's
    /// data is overwritten.
    pub fn rewrite(&self, edits: &[Edit], members: &[(&str, String)]) -> String {
        let added: usize = edits.iter().map(|e| e.replacement.len()).sum::<usize>()
            + members
                .iter()
                .map(|(k, v)| k.len() + v.len() + 8)
                .sum::<usize>();
        let mut out = String::with_capacity(self.text.len() + added);
        let mut at = 0;
        for edit in edits {
            debug_assert!(at <= edit.raw.start, "edits are sorted and do not overlap");
            out.push_str(&self.text[at..edit.raw.start]);
            out.push_str(&edit.replacement);
            at = edit.raw.end;
        }
        out.push_str(&self.text[at..self.end]);
        let mut first = self.members.is_empty();
        for (key, value) in members {
            if !first {
                out.push(',');
            }
            first = false;
            out.push_str(&quoted(&self.free_key(key)));
            out.push(':');
            out.push_str(value);
        }
        out.push_str(&self.text[self.end..]);
        out
    }

    /// `key`, with `weir_` in front until the document has no such key.
    fn free_key(&self, key: &str) -> String {
        let mut key = key.to_owned();
        while self.members.iter().any(|member| member.key == key) {
            key.insert_str(0, "weir_");
        }
        key
    }
}

/// A value that is looked up by its path.
#[derive(Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A string, decoded, or a number as written.
    Text(String),
    /// Not there, or null.
    Absent,
    /// An object, an array, true or false.
    Other,
}

impl std::fmt::Debug for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Absent => f.write_str("Absent"),
            Self::Other => f.write_str("Other"),
        }
    }
}

impl Literal {
    /// Bytes of the document that hold the characters of `span`, whose ends lie on character
    /// boundaries of [`Literal::text`].
    pub fn raw(&self, span: ByteSpan) -> Range<usize> {
        self.raw_at(span.start)..self.raw_at(span.end)
    }

    /// Characters of the value that `raw`, bytes of the document, are of, as a whole: half an escape is
    /// all of it. `None` if there are none.
    pub fn characters(&self, raw: &Range<usize>) -> Option<ByteSpan> {
        let start = self.decoded_at(raw.start.saturating_sub(self.start), false);
        let end = self.decoded_at(raw.end.checked_sub(self.start)?, true);
        (start < end).then(|| ByteSpan::new(start, end))
    }

    /// Byte of the value at a byte of the literal; within an escape its start, or its `end`.
    fn decoded_at(&self, raw: usize, end: bool) -> usize {
        let after = self.escapes.partition_point(|escape| escape.raw < raw);
        let decoded = match after.checked_sub(1).map(|index| self.escapes[index]) {
            None => raw,
            Some(e) if raw < e.raw + e.raw_len => e.decoded + if end { e.decoded_len } else { 0 },
            Some(e) => e.decoded + e.decoded_len + (raw - e.raw - e.raw_len),
        };
        let decoded = decoded.min(self.text.len());
        match end {
            true => self.text.ceil_char_boundary(decoded),
            false => self.text.floor_char_boundary(decoded),
        }
    }

    /// An edit that puts `replacement` in place of the characters of `span`.
    pub fn replace(&self, span: ByteSpan, replacement: &str) -> Edit {
        let quoted = quoted(replacement);
        Edit {
            raw: self.raw(span),
            replacement: Text::from(&quoted[1..quoted.len() - 1]),
        }
    }

    fn raw_at(&self, decoded: usize) -> usize {
        debug_assert!(
            self.text.is_char_boundary(decoded),
            "I8: spans lie on character boundaries"
        );
        let after = self.escapes.partition_point(|e| e.decoded <= decoded);
        let raw = match after.checked_sub(1).map(|index| self.escapes[index]) {
            None => decoded,
            Some(e) if decoded < e.decoded + e.decoded_len => e.raw,
            Some(e) => e.raw + e.raw_len + (decoded - e.decoded - e.decoded_len),
        };
        self.start + raw
    }
}

/// `text` as a JSON string literal.
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always valid JSON")
}

/// Which string values of a document are read: JSON Pointers in which `*` stands for one segment
/// and `**` for any number of segments, none included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    include: Vec<Vec<Wild>>,
    exclude: Vec<Vec<Wild>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wild {
    Segment(String),
    One,
    Any,
}

/// A pattern that is not a JSON Pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("field pattern `{pattern}` does not start with `/`")]
pub struct BadPattern {
    /// The pattern as written.
    pub pattern: String,
}

impl Default for Selector {
    fn default() -> Self {
        Self {
            include: vec![vec![Wild::Any]],
            exclude: Vec::new(),
        }
    }
}

impl Selector {
    /// A selector of the values that a pattern of `include` matches (all, if it is empty) and none
    /// of `exclude`.
    pub fn new<S: AsRef<str>>(include: &[S], exclude: &[S]) -> Result<Self, BadPattern> {
        let mut selector = Self {
            include: include.iter().map(pattern).collect::<Result<_, _>>()?,
            exclude: exclude.iter().map(pattern).collect::<Result<_, _>>()?,
        };
        if include.is_empty() {
            selector.include = Self::default().include;
        }
        Ok(selector)
    }

    /// Whether a JSON Pointer is chosen.
    pub fn matches(&self, pointer: &str) -> bool {
        let path: Vec<Cow<'_, str>> = pointer
            .split('/')
            .skip(1)
            .map(|segment| Cow::Owned(segment.replace("~1", "/").replace("~0", "~")))
            .collect();
        self.selects_path(&path)
    }

    fn selects(&self, walk: &Walk<'_>, depth: usize) -> bool {
        self.is_all() || self.selects_path(&walk.segments(depth))
    }

    fn is_all(&self) -> bool {
        self.exclude.is_empty() && self.include.iter().any(|p| p.as_slice() == [Wild::Any])
    }

    fn selects_path(&self, path: &[Cow<'_, str>]) -> bool {
        self.include.iter().any(|p| glob(p, path)) && !self.exclude.iter().any(|p| glob(p, path))
    }
}

fn pattern<S: AsRef<str>>(written: &S) -> Result<Vec<Wild>, BadPattern> {
    let written = written.as_ref();
    let Some(path) = written.strip_prefix('/') else {
        return Err(BadPattern {
            pattern: written.to_owned(),
        });
    };
    let segment = |s: &str| match s {
        "*" => Wild::One,
        "**" => Wild::Any,
        _ => Wild::Segment(s.replace("~1", "/").replace("~0", "~")),
    };
    Ok(path.split('/').map(segment).collect())
}

/// Matches with the last `**` as the only place to come back to: linear for each `**`, never
/// exponential.
fn glob(pattern: &[Wild], path: &[Cow<'_, str>]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while s < path.len() {
        match pattern.get(p) {
            Some(Wild::Any) => {
                back = Some((p + 1, s));
                p += 1;
                continue;
            }
            Some(Wild::One) => {
                p += 1;
                s += 1;
                continue;
            }
            Some(Wild::Segment(segment)) if *segment == path[s] => {
                p += 1;
                s += 1;
                continue;
            }
            _ => {}
        }
        let Some((after, from)) = back else {
            return false;
        };
        back = Some((after, from + 1));
        p = after;
        s = from + 1;
    }
    pattern[p..].iter().all(|wild| *wild == Wild::Any)
}

/// One pass over text that is known to be JSON, without recursion.
struct Walk<'a> {
    text: &'a str,
    at: usize,
    /// Open containers, outermost first.
    open: Vec<Frame>,
}

struct Frame {
    place: Place,
    /// A key was read and its value is due (objects only): tells a key from a string value.
    value_due: bool,
    /// Byte of the opening brace or bracket.
    opened: usize,
    /// Bytes of the last key's literal (objects only).
    key: Range<usize>,
}

/// Where in its container the walk is.
enum Place {
    /// Under this key, decoded once for all values below it.
    Key(String),
    /// At this index.
    Index(usize),
}

/// A value at the moment the walk meets it: the whole of a scalar, the opening of a container.
struct Met {
    raw: Range<usize>,
    /// Containers around it.
    depth: usize,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            open: Vec::new(),
        }
    }

    /// The next value in document order. Its path is that of the containers around it.
    fn next_value(&mut self) -> Result<Option<Met>, NotJson> {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() {
            let start = self.at;
            let depth = self.open.len();
            self.at += 1;
            match bytes[start] {
                b' ' | b'\t' | b'\n' | b'\r' | b':' => {}
                b'}' | b']' => {
                    self.open.pop();
                }
                b',' => {
                    if let Some(frame) = self.open.last_mut()
                        && let Place::Index(index) = &mut frame.place
                    {
                        *index += 1;
                    }
                }
                opening @ (b'{' | b'[') => {
                    if depth >= MAX_DEPTH {
                        return Err(NotJson::TooDeep);
                    }
                    self.value_met();
                    let place = match opening {
                        b'{' => Place::Key(String::new()),
                        _ => Place::Index(0),
                    };
                    self.open.push(Frame {
                        place,
                        value_due: false,
                        opened: start,
                        key: start..start,
                    });
                    let raw = start..self.at;
                    return Ok(Some(Met { raw, depth }));
                }
                b'"' => {
                    self.at = string_end(bytes, start);
                    let text = self.text;
                    if let Some(frame) = self.open.last_mut()
                        && let Place::Key(key) = &mut frame.place
                        && !frame.value_due
                    {
                        *key = decode(text, start + 1..self.at - 1, 0).text.into_string();
                        frame.value_due = true;
                        frame.key = start..self.at;
                        continue;
                    }
                    self.value_met();
                    let raw = start..self.at;
                    return Ok(Some(Met { raw, depth }));
                }
                _ => {
                    while self.at < bytes.len()
                        && !matches!(
                            bytes[self.at],
                            b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'
                        )
                    {
                        self.at += 1;
                    }
                    self.value_met();
                    let raw = start..self.at;
                    return Ok(Some(Met { raw, depth }));
                }
            }
        }
        Ok(None)
    }

    fn value_met(&mut self) {
        if let Some(frame) = self.open.last_mut() {
            frame.value_due = false;
        }
    }

    /// Key of the member whose value was met at depth 1.
    fn key(&self) -> Option<&str> {
        match &self.open.first()?.place {
            Place::Key(key) => Some(key),
            Place::Index(_) => None,
        }
    }

    /// Path of a value met at `depth`.
    fn segments(&self, depth: usize) -> Vec<Cow<'_, str>> {
        self.open[..depth]
            .iter()
            .map(|frame| match &frame.place {
                Place::Key(key) => Cow::Borrowed(key.as_str()),
                Place::Index(index) => Cow::Owned(index.to_string()),
            })
            .collect()
    }

    fn pointer(&self, depth: usize) -> String {
        let mut pointer = String::new();
        for segment in self.segments(depth) {
            pointer.push('/');
            if segment.contains(['~', '/']) {
                pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
            } else {
                pointer.push_str(&segment);
            }
        }
        pointer
    }
}

/// Byte after the closing quote of the literal that opens at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    loop {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Byte after the value that starts at `start`.
fn value_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    let mut at = start;
    loop {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            _ => {
                while !matches!(bytes[at], b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r') {
                    at += 1;
                }
            }
        }
        if depth == 0 {
            return at;
        }
    }
}

/// Decodes the inside of a string literal, `raw` of `text`, whose first byte stands at `start` of
/// the document.
fn decode(text: &str, raw: Range<usize>, start: usize) -> Literal {
    let literal = &text[raw];
    let mut decoded = String::with_capacity(literal.len());
    let mut escapes = Vec::new();
    let mut at = 0;
    while let Some(next) = literal[at..].find('\\') {
        decoded.push_str(&literal[at..at + next]);
        at += next;
        let (character, raw_len) = escape(&literal.as_bytes()[at..]);
        escapes.push(Escape {
            decoded: decoded.len(),
            decoded_len: character.len_utf8(),
            raw: at,
            raw_len,
        });
        decoded.push(character);
        at += raw_len;
    }
    decoded.push_str(&literal[at..]);
    Literal {
        text: Text::from(decoded),
        start,
        escapes,
    }
}

/// The character of the escape at the front of `bytes`, and its length there. A surrogate pair is
/// one character; half of one is U+FFFD.
fn escape(bytes: &[u8]) -> (char, usize) {
    let character = match bytes[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode_escape(bytes),
        other => char::from(other),
    };
    (character, 2)
}

fn unicode_escape(bytes: &[u8]) -> (char, usize) {
    let first = code_unit(bytes);
    if let Some(character) = char::from_u32(first) {
        return (character, 6);
    }
    let low = match bytes.get(6..12) {
        Some(next) if next.starts_with(b"\\u") => code_unit(next),
        _ => 0,
    };
    if first < 0xDC00 && (0xDC00..0xE000).contains(&low) {
        let scalar = 0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00);
        let character = char::from_u32(scalar).expect("a surrogate pair encodes a scalar value");
        return (character, 12);
    }
    (char::REPLACEMENT_CHARACTER, 6)
}

fn code_unit(bytes: &[u8]) -> u32 {
    bytes[2..6].iter().fold(0, |unit, digit| {
        let digit = char::from(*digit).to_digit(16);
        unit * 16 + digit.expect("serde_json checked the four hex digits")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn leaves(text: &str) -> Vec<(String, String)> {
        let json = Json::parse(text).unwrap();
        json.strings(&Selector::default())
            .unwrap()
            .iter()
            .map(|leaf| {
                let value = json.literal(leaf).text.into_string();
                (leaf.pointer.clone(), value)
            })
            .collect()
    }

    #[test]
    fn strings_have_pointers_and_keys_are_not_strings() {
        let text = r#" {"a":"1","b/c":{"~":["x",{"d":"y"},3,"z"],"e":{}},"f":[],"g":"w"} "#;
        assert_eq!(
            leaves(text),
            [
                ("/a", "1"),
                ("/b~1c/~0/0", "x"),
                ("/b~1c/~0/1/d", "y"),
                ("/b~1c/~0/3", "z"),
                ("/g", "w")
            ]
            .map(|(p, v)| (p.to_owned(), v.to_owned()))
        );
    }

    #[test]
    fn keys_are_told_from_strings_and_know_their_object() {
        let text = r#" {"a":"1","b\/c":{"~":["x",{"d":{}}]},"a":3} "#;
        let json = Json::parse(text).unwrap();
        let keys = json.keys(|_| true).unwrap();
        let shown: Vec<(&str, &str, &str)> = keys
            .iter()
            .map(|key| {
                (
                    key.pointer.as_str(),
                    key.name.as_str(),
                    &text[key.raw.clone()],
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("/a", "a", "\"a\""),
                ("/b~1c", "b/c", "\"b\\/c\""),
                ("/b~1c/~0", "~", "\"~\""),
                ("/b~1c/~0/1/d", "d", "\"d\""),
                ("/a", "a", "\"a\"")
            ]
        );
        assert_eq!(keys[0].object, keys[4].object);
        assert_eq!(json.keys(|name| name == "d").unwrap().len(), 1);
    }

    #[test]
    fn numbers_spaces_order_and_duplicate_keys_stay_as_received() {
        let text = "{ \"z\" : 1.10e+2 ,\"a\":\"x\", \"a\":\t\"y\" , \"n\":10000000000000000000001}";
        let json = Json::parse(text).unwrap();
        assert_eq!(json.rewrite(&[], &[]), text);
        let edits: Vec<Edit> = json
            .strings(&Selector::default())
            .unwrap()
            .iter()
            .map(|leaf| json.literal(leaf).replace(ByteSpan::new(0, 1), "[A \"q\"]"))
            .collect();
        assert_eq!(
            json.rewrite(&edits, &[]),
            "{ \"z\" : 1.10e+2 ,\"a\":\"[A \\\"q\\\"]\", \"a\":\t\"[A \\\"q\\\"]\" , \
             \"n\":10000000000000000000001}"
        );
    }

    #[test]
    fn a_surrogate_pair_is_one_character_and_half_of_one_stays_as_received() {
        let text = r#"{"t":"a\uD83D\uDE00b\ud800c\uDC00\ud800\ud83d\ude00"}"#;
        let json = Json::parse(text).unwrap();
        let leaf = &json.strings(&Selector::default()).unwrap()[0];
        let literal = json.literal(leaf);
        assert_eq!(
            literal.text.as_str(),
            "a\u{1F600}b\u{FFFD}c\u{FFFD}\u{FFFD}\u{1F600}"
        );
        let b = literal.text.find('b').unwrap();
        let edit = literal.replace(ByteSpan::new(b, b + 1), "_");
        assert_eq!(
            json.rewrite(&[edit], &[]),
            r#"{"t":"a\uD83D\uDE00_\ud800c\uDC00\ud800\ud83d\ude00"}"#
        );
        let edit = literal.replace(ByteSpan::new(1, 5), "_");
        assert_eq!(
            json.rewrite(&[edit], &[]),
            r#"{"t":"a_b\ud800c\uDC00\ud800\ud83d\ude00"}"#
        );
    }

    #[test]
    fn members_are_appended_and_nobodys_key_is_overwritten() {
        let add = [
            ("redactions", "[]".to_owned()),
            ("pack", "\"p\"".to_owned()),
        ];
        let rewrite = |text: &str| Json::parse(text).unwrap().rewrite(&[], &add);
        assert_eq!(rewrite("{}"), r#"{"redactions":[],"pack":"p"}"#);
        assert_eq!(rewrite(" { } "), r#" {"redactions":[],"pack":"p" } "#);
        assert_eq!(
            rewrite("{\"a\":{\"pack\":1}\n}"),
            "{\"a\":{\"pack\":1},\"redactions\":[],\"pack\":\"p\"\n}"
        );
        assert_eq!(
            rewrite(r#"{"p\u0061ck":1,"weir_pack":2,"redactions":[3]}"#),
            r#"{"p\u0061ck":1,"weir_pack":2,"redactions":[3],"weir_redactions":[],"weir_weir_pack":"p"}"#
        );
    }

    #[test]
    fn what_is_not_an_object_is_refused_by_place_and_kind_only() {
        let error = Json::parse("{\"name\":\"Ana Ruiz\",}").unwrap_err();
        assert_eq!(error.to_string(), "not valid JSON (line 1, column 20)");
        assert_eq!(Json::parse("[\"Ana\"]").unwrap_err(), NotJson::NotAnObject);
        assert_eq!(Json::parse("\"Ana\"").unwrap_err(), NotJson::NotAnObject);
        assert!(Json::parse("").is_err());
        assert!(Json::parse("{} {}").is_err());
        assert!(Json::parse("{\"a\":\"\\ud8\"}").is_err());
    }

    #[test]
    fn nesting_has_a_limit_and_no_recursion() {
        let nested = |depth| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(
            Json::parse(nested(MAX_DEPTH)).unwrap_err(),
            NotJson::TooDeep
        );
        assert_eq!(
            Json::parse(nested(1_000_000)).unwrap_err(),
            NotJson::TooDeep
        );
    }

    #[test]
    fn a_long_key_above_many_values_does_not_eat_the_memory() {
        let text = format!(
            "{{\"{}\":[{}\"\"]}}",
            "k".repeat(1 << 20),
            "\"\",".repeat(200)
        );
        let json = Json::parse(text).unwrap();
        assert_eq!(
            json.strings(&Selector::default()).unwrap_err(),
            NotJson::PathsTooLong
        );
    }

    #[test]
    fn selectors_choose_by_segment() {
        let selector =
            |include: &[&str], exclude: &[&str]| Selector::new(include, exclude).unwrap();
        let s = selector(&["/message", "/ctx/**"], &["/ctx/request_id"]);
        assert!(s.matches("/message"));
        assert!(!s.matches("/message/0"));
        assert!(!s.matches("/other"));
        assert!(s.matches("/ctx/user/name"));
        assert!(!s.matches("/ctx/request_id"));
        assert!(s.matches("/ctx/request_id/deeper"));
        let s = selector(&["/items/*/name", "/**/note"], &[]);
        assert!(s.matches("/items/3/name"));
        assert!(!s.matches("/items/name"));
        assert!(s.matches("/note"));
        assert!(s.matches("/a/b/c/note"));
        assert!(!s.matches("/a/b/note/c"));
        assert!(selector(&["/a~1b"], &[]).matches("/a~1b"));
        assert!(Selector::new(&["message"], &[]).is_err());
        assert!(Selector::default().matches("/any/thing"));
    }

    #[test]
    fn selectors_choose_the_same_in_a_document_as_on_its_pointers() {
        let text = r#"{"a":{"b":"1","c":["2",{"b":"3"}]},"b":"4","":"5"}"#;
        let json = Json::parse(text).unwrap();
        let all = json.strings(&Selector::default()).unwrap();
        for include in ["/**", "/**/b", "/a/*", "/a/c/*/b", "/b", "/", "/a/**/b"] {
            for exclude in ["/nothing", "/a/**", "/**/b", "/b"] {
                let selector = Selector::new(&[include], &[exclude]).unwrap();
                let chosen = json.strings(&selector).unwrap();
                let expected: Vec<Leaf> = all
                    .iter()
                    .filter(|leaf| selector.matches(&leaf.pointer))
                    .cloned()
                    .collect();
                assert_eq!(chosen, expected, "{include} but {exclude}");
            }
        }
    }

    #[test]
    fn scalars_are_found_by_pointer() {
        let text = r#"{"id":"a\u0062","n":12.50,"x":null,"o":{"tenant":["t0","t1"]},"b":true}"#;
        let json = Json::parse(text).unwrap();
        assert_eq!(json.scalar("/id"), Scalar::Text("ab".into()));
        assert_eq!(json.scalar("/n"), Scalar::Text("12.50".into()));
        assert_eq!(json.scalar("/x"), Scalar::Absent);
        assert_eq!(json.scalar("/o/tenant/1"), Scalar::Text("t1".into()));
        assert_eq!(json.scalar("/o/tenant/2"), Scalar::Absent);
        assert_eq!(json.scalar("/o"), Scalar::Other);
        assert_eq!(json.scalar("/b"), Scalar::Other);
        assert!(!format!("{json:?}{:?}", json.scalar("/id")).contains("ab"));
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            // Few digits: serde_json does not round-trip every f64 without its `float_roundtrip`.
            any::<i32>().prop_map(|n| Value::from(f64::from(n) / 8.0)),
            any::<String>().prop_map(Value::from),
            "[\"\\\\/\u{0}-\u{1f}é😀a]{0,6}".prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::vec((any::<String>(), value()), 0..6)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    /// Writes a string with escapes chosen by `seed`, so that every form of every character occurs.
    fn write_string(text: &str, seed: &mut u64, out: &mut String) {
        out.push('"');
        for character in text.chars() {
            *seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            if (*seed >> 60).is_multiple_of(3) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                let quoted = quoted(character.encode_utf8(&mut [0; 4]));
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
        out.push('"');
    }

    fn write(value: &Value, seed: &mut u64, out: &mut String) {
        let space = [" ", "", "\n", "\t "][(*seed >> 33) as usize % 4];
        out.push_str(space);
        match value {
            Value::String(text) => write_string(text, seed, out),
            Value::Array(values) => {
                out.push('[');
                for (index, value) in values.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    write(value, seed, out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (index, (key, value)) in members.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    write_string(key, seed, out);
                    out.push_str(space);
                    out.push(':');
                    write(value, seed, out);
                }
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
        out.push_str(space);
    }

    proptest! {
        #[test]
        fn every_string_is_found_with_its_pointer(value in object(), mut seed in any::<u64>()) {
            let mut text = String::new();
            write(&value, &mut seed, &mut text);
            let json = Json::parse(text.as_str()).unwrap();
            let leaves = json.strings(&Selector::default()).unwrap();
            for leaf in &leaves {
                let expected = value.pointer(&leaf.pointer).and_then(Value::as_str);
                let literal = json.literal(leaf);
                prop_assert_eq!(Some(literal.text.as_str()), expected);
            }
            prop_assert_eq!(leaves.len(), count(&value));
            prop_assert_eq!(json.rewrite(&[], &[]), text);
        }

        #[test]
        fn a_rewritten_document_differs_only_where_it_was_edited(
            value in object(),
            mut seed in any::<u64>(),
            replacement in any::<String>(),
            chosen in prop::collection::vec((any::<bool>(), any::<u16>(), any::<u16>()), 40),
        ) {
            let mut text = String::new();
            write(&value, &mut seed, &mut text);
            let json = Json::parse(text.as_str()).unwrap();
            let leaves = json.strings(&Selector::default()).unwrap();
            let mut expected = value.clone();
            let mut edits = Vec::new();
            for (leaf, (redact, a, b)) in leaves.iter().zip(chosen) {
                if !redact {
                    continue;
                }
                let literal = json.literal(leaf);
                let borders: Vec<usize> = literal
                    .text
                    .char_indices()
                    .map(|(at, _)| at)
                    .chain([literal.text.len()])
                    .collect();
                let (a, b) = (a as usize % borders.len(), b as usize % borders.len());
                let span = ByteSpan::new(borders[a.min(b)], borders[a.max(b)]);
                edits.push(literal.replace(span, &replacement));
                let mut changed = literal.text.as_str().to_owned();
                changed.replace_range(span.start..span.end, &replacement);
                *expected.pointer_mut(&leaf.pointer).unwrap() = Value::String(changed);
            }
            let rewritten = json.rewrite(&edits, &[]);
            prop_assert_eq!(serde_json::from_str::<Value>(&rewritten).unwrap(), expected);
            let (mut old, mut new) = (0, 0);
            for edit in &edits {
                let kept = edit.raw.start - old;
                prop_assert_eq!(&text[old..edit.raw.start], &rewritten[new..new + kept]);
                old = edit.raw.end;
                new += kept + edit.replacement.len();
            }
            prop_assert_eq!(&text[old..], &rewritten[new..]);
        }

        #[test]
        fn what_serde_json_reads_is_read_and_nothing_panics(text in "[\\[\\]{}\",:\\\\u0-9a-fDd \n-]{0,40}") {
            let read = Json::parse(text.as_str());
            let object = serde_json::from_str::<Box<RawValue>>(&text)
                .is_ok_and(|raw| raw.get().starts_with('{'));
            prop_assert_eq!(read.is_ok(), object);
            if let Ok(json) = read {
                for leaf in json.strings(&Selector::default()).unwrap() {
                    json.literal(&leaf);
                }
            }
        }
    }

    fn count(value: &Value) -> usize {
        match value {
            Value::String(_) => 1,
            Value::Array(values) => values.iter().map(count).sum(),
            Value::Object(members) => members.values().map(count).sum(),
            _ => 0,
        }
    }
}
