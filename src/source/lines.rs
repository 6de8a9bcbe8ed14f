//! Lines, with their ends, and the lines that belong together.
//!
//! In:  UTF-8, or bytes that should be.
//! Out: a record for each line or group of lines; what stands between two records is the end of the
//!      first one's last line, so that texts and ends in a row are the input.
//! Holds: at most the limit of one record is in memory (I9). A private key over several lines is one
//!        record, so that its pattern sees all of it.
//! Does not know: formats, tenants, patterns.

use std::{io, time::Duration};

use regex::bytes::Regex;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::key_block::{KeyBlock, KeyLine};

/// Which lines are one record. Names and meaning are those of Vector's `multiline`.
#[derive(Debug, Clone)]
pub struct Multiline {
    /// A line that begins a group. Other lines outside of a group are records of their own.
    pub start_pattern: Regex,
    /// Tells, by `mode`, which lines go on with the group.
    pub condition_pattern: Regex,
    /// What a line that matches `condition_pattern` means.
    pub mode: Mode,
    /// A group of a stream ends when no line has come for so long.
    pub timeout: Duration,
}

/// What a line that matches the condition of [`Multiline`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The group goes on while lines match.
    ContinueThrough,
    /// The group goes on while lines match, and holds one line more.
    ContinuePast,
    /// The group ends before the first line that matches.
    HaltBefore,
    /// The group ends with the first line that matches.
    HaltWith,
}

/// How a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    Lf,
    CrLf,
    /// The input ends with the line.
    None,
}

impl LineEnd {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::CrLf => "\r\n",
            Self::None => "",
        }
    }
}

/// A line, or lines that belong together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Number of its first line, from 0.
    pub(super) line: u64,
    /// End of its last line.
    pub(super) end: LineEnd,
    /// Its text, with the ends of all lines but the last.
    pub(super) content: Result<Vec<u8>, TooLong>,
}

/// A record has more bytes than allowed; they were skipped, not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {what} has {bytes} bytes; the limit is {limit}")]
pub(super) struct TooLong {
    what: &'static str,
    /// Without the end of the last line.
    pub(super) bytes: u64,
    limit: u64,
}

/// Bytes of a private key and the lines around its body. Longer ones are not found by the pattern
/// ([`crate::decode::patterns::Patterns::MAX_MATCH_BYTES`]), so they are no record that passes.
const KEY_BYTES: u64 = 16 << 10;

/// Reads lines.
pub(super) struct Lines<R> {
    bytes: R,
    limit: u64,
    multiline: Option<Multiline>,
    /// Whether a group waits only so long for its next line.
    waits: bool,
    /// Whether a private key may go on over several lines.
    keys: bool,
    /// The line under way, as far as it is read: a read that is given up loses nothing.
    partial: Vec<u8>,
    partial_bytes: u64,
    /// A line that was read and belongs to the next record.
    held: Option<Line>,
    next_line: u64,
    group: Option<Group>,
}

#[derive(Debug)]
struct Line {
    number: u64,
    end: LineEnd,
    /// The number of bytes, if they are too many.
    content: Result<Vec<u8>, u64>,
}

struct Group {
    line: u64,
    content: Vec<u8>,
    /// Without the end of the last line.
    bytes: u64,
    end: LineEnd,
    /// Whether the lines belong together by `multiline`.
    by_pattern: bool,
    /// The last line was the one more of `continue_past`, or the last of `halt_with`.
    complete: bool,
    key: Option<KeyBlock>,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// `waits`: the input is a stream that may pause.
    pub(super) fn new(bytes: R, limit: u64, multiline: Option<Multiline>, waits: bool) -> Self {
        Self {
            bytes,
            limit,
            multiline,
            waits,
            keys: true,
            partial: Vec::new(),
            partial_bytes: 0,
            held: None,
            next_line: 0,
            group: None,
        }
    }

    /// Reads JSON lines: each line is a record, since a string of JSON ends on its line.
    pub(super) fn json(bytes: R, limit: u64) -> Self {
        Self {
            keys: false,
            ..Self::new(bytes, limit, None, false)
        }
    }

    /// Number of the line that is read next.
    pub(super) fn next_line(&self) -> u64 {
        self.group
            .as_ref()
            .map_or(self.next_line, |group| group.line)
    }

    /// The next record; `None` at the end of the input.
    pub(super) async fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            let line = match self.held.take() {
                Some(line) => Some(line),
                None => match self.patience() {
                    Some(time) => match tokio::time::timeout(time, self.read_line()).await {
                        Ok(line) => line?,
                        Err(_) => return Ok(self.end_group()),
                    },
                    None => self.read_line().await?,
                },
            };
            let Some(line) = line else {
                return Ok(self.end_group());
            };
            if self.group.is_some() && !self.belongs(&line) {
                self.held = Some(line);
                return Ok(self.end_group());
            }
            match &mut self.group {
                Some(group) => {
                    group.add(line, self.limit);
                    if group.is_complete() {
                        return Ok(self.end_group());
                    }
                }
                None => match self.begin(line) {
                    Ok(group) => self.group = Some(group),
                    Err(line) => return Ok(Some(self.alone(line))),
                },
            }
        }
    }

    fn patience(&self) -> Option<Duration> {
        // A key that is half there is not let go: its other half would pass.
        let group = self.group.as_ref().filter(|group| group.key.is_none())?;
        let multiline = self
            .multiline
            .as_ref()
            .filter(|_| self.waits && group.by_pattern)?;
        Some(multiline.timeout)
    }

    fn alone(&self, line: Line) -> Record {
        let too_long = |bytes| TooLong {
            what: "line",
            bytes,
            limit: self.limit,
        };
        Record {
            line: line.number,
            end: line.end,
            content: line.content.map_err(too_long),
        }
    }

    /// A group that begins with the line, or the line back.
    fn begin(&self, line: Line) -> Result<Group, Line> {
        let Ok(content) = &line.content else {
            return Err(line);
        };
        let starts = |multiline: &Multiline| multiline.start_pattern.is_match(content);
        let by_pattern = self.multiline.as_ref().is_some_and(starts);
        let key = KeyBlock::opened_by(content).filter(|_| self.keys);
        if !by_pattern && key.is_none() || line.end == LineEnd::None {
            return Err(line);
        }
        Ok(Group {
            line: line.number,
            bytes: content.len() as u64,
            key,
            content: line.content.unwrap_or_default(),
            end: line.end,
            by_pattern,
            complete: false,
        })
    }

    /// Whether the line goes on with the group that is open.
    fn belongs(&mut self, line: &Line) -> bool {
        let Some(group) = &mut self.group else {
            return false;
        };
        let Ok(content) = &line.content else {
            return false;
        };
        if let Some(key) = &mut group.key {
            match key.next(content) {
                KeyLine::Inside => return true,
                KeyLine::Last => {
                    group.key = None;
                    return true;
                }
                KeyLine::Outside => group.key = None,
            }
        }
        if !group.by_pattern || group.complete {
            return false;
        }
        let Some(multiline) = &self.multiline else {
            return false;
        };
        let matches = multiline.condition_pattern.is_match(content);
        let belongs = match multiline.mode {
            Mode::ContinueThrough => matches,
            Mode::ContinuePast => {
                group.complete = !matches;
                true
            }
            Mode::HaltBefore => !matches,
            Mode::HaltWith => {
                group.complete = matches;
                true
            }
        };
        if belongs {
            group.key = KeyBlock::opened_by(content);
        }
        belongs
    }

    fn end_group(&mut self) -> Option<Record> {
        let group = self.group.take()?;
        let (what, limit) = match group.by_pattern {
            true => ("group of lines", self.limit),
            false => ("private key", self.limit.min(KEY_BYTES)),
        };
        let content = match group.bytes > limit {
            true => Err(TooLong {
                what,
                bytes: group.bytes,
                limit,
            }),
            false => Ok(group.content),
        };
        Some(Record {
            line: group.line,
            end: group.end,
            content,
        })
    }

    /// Reads one line. The last one needs no end.
    async fn read_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            let available = self.bytes.fill_buf().await?;
            if available.is_empty() {
                if self.partial_bytes == 0 {
                    return Ok(None);
                }
                return Ok(Some(self.line(LineEnd::None)));
            }
            let found = memchr::memchr(b'\n', available);
            let piece = &available[..found.unwrap_or(available.len())];
            self.partial_bytes += piece.len() as u64;
            // One byte more than the limit: it may be the carriage return.
            if self.partial_bytes <= self.limit.saturating_add(1) {
                self.partial.extend_from_slice(piece);
            } else {
                // The last byte is kept: it may be the carriage return. The rest is given back at once:
                // the next lines do not need the room of the longest one.
                let last = piece.last().or(self.partial.last()).copied();
                self.partial = last.into_iter().collect();
            }
            let used = piece.len() + usize::from(found.is_some());
            self.bytes.consume(used);
            if found.is_some() {
                return Ok(Some(self.line(LineEnd::Lf)));
            }
        }
    }

    fn line(&mut self, mut end: LineEnd) -> Line {
        let mut content = std::mem::take(&mut self.partial);
        let mut bytes = std::mem::take(&mut self.partial_bytes);
        if end == LineEnd::Lf && content.last() == Some(&b'\r') {
            content.pop();
            bytes -= 1;
            end = LineEnd::CrLf;
        }
        let number = self.next_line;
        self.next_line += 1;
        Line {
            number,
            end,
            content: if bytes > self.limit {
                Err(bytes)
            } else {
                Ok(content)
            },
        }
    }
}

impl Group {
    fn add(&mut self, line: Line, limit: u64) {
        let before = self.end.as_str();
        let content = line.content.unwrap_or_default();
        self.bytes += (before.len() + content.len()) as u64;
        self.end = line.end;
        let limit = if self.by_pattern {
            limit
        } else {
            limit.min(KEY_BYTES)
        };
        if self.bytes > limit {
            self.content = Vec::new();
            return;
        }
        self.content.extend_from_slice(before.as_bytes());
        self.content.extend_from_slice(&content);
    }

    fn is_complete(&self) -> bool {
        self.key.is_none() && (self.complete || !self.by_pattern) || self.end == LineEnd::None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;

    fn records(
        input: &[u8],
        limit: u64,
        buffer: usize,
        multiline: Option<&Multiline>,
    ) -> Vec<Record> {
        futures::executor::block_on(async {
            let reader = BufReader::with_capacity(buffer, input);
            let mut lines = Lines::new(reader, limit, multiline.cloned(), false);
            let mut records = Vec::new();
            while let Some(record) = lines.next().await.unwrap() {
                records.push(record);
            }
            records
        })
    }

    fn texts(input: &str, multiline: Option<&Multiline>) -> Vec<String> {
        records(input.as_bytes(), 1 << 20, 7, multiline)
            .into_iter()
            .map(|record| String::from_utf8(record.content.unwrap()).unwrap())
            .collect()
    }

    fn multiline(start: &str, condition: &str, mode: Mode) -> Multiline {
        Multiline {
            start_pattern: Regex::new(start).unwrap(),
            condition_pattern: Regex::new(condition).unwrap(),
            mode,
            timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn lines_keep_their_ends_and_empty_ones_are_kept() {
        let found: Vec<(Vec<u8>, LineEnd)> = records(b"a\r\n\r\n\nb\rc\nlast\r", 100, 2, None)
            .into_iter()
            .map(|record| (record.content.unwrap(), record.end))
            .collect();
        let line = |text: &str, end| (text.as_bytes().to_vec(), end);
        assert_eq!(
            found,
            [
                line("a", LineEnd::CrLf),
                line("", LineEnd::CrLf),
                line("", LineEnd::Lf),
                line("b\rc", LineEnd::Lf),
                line("last\r", LineEnd::None)
            ]
        );
        assert_eq!(records(b"", 100, 2, None), []);
    }

    #[test]
    fn a_private_key_is_one_record_whatever_a_log_puts_around_it() {
        let body = "MIIEpAIBAAKCAQEAzXUF1YG5rYlPSphRyCzWZVVGGF9X2ECUb11hnjIZnLF5AMC1";
        for (before, after) in [
            ("", ""),
            ("2026-01-01T00:00:00Z app[7]: ", ""),
            ("{\"log\":\"", "\\n\",\"stream\":\"stdout\"}"),
            ("    ", "\r"),
        ] {
            for kind in ["RSA PRIVATE KEY", "PRIVATE KEY", "PGP PRIVATE KEY BLOCK"] {
                let key = [
                    format!("-----BEGIN {kind}-----"),
                    body.to_owned(),
                    body.to_owned(),
                    "oEmk=".to_owned(),
                    format!("-----END {kind}-----"),
                ];
                let key: Vec<String> = key
                    .iter()
                    .map(|line| format!("{before}{line}{after}"))
                    .collect();
                let key = key.join("\n");
                let found = texts(&format!("before\n{key}\nafter\nlast"), None);
                let key = key.strip_suffix('\r').unwrap_or(&key);
                assert_eq!(found, ["before", key, "after", "last"], "{kind}");
            }
        }
    }

    #[test]
    fn a_key_without_an_end_ends_with_its_body() {
        let found = texts(
            "-----BEGIN PRIVATE KEY-----\nis missing\nfrom the file\nbye\n",
            None,
        );
        assert_eq!(
            found,
            [
                "-----BEGIN PRIVATE KEY-----\nis missing",
                "from the file",
                "bye"
            ]
        );
        let public = "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n";
        assert_eq!(texts(public, None).len(), 3);
        let one_line = "-----BEGIN PRIVATE KEY-----\\nabc\\n-----END PRIVATE KEY-----\nnext\n";
        assert_eq!(texts(one_line, None).len(), 2);
    }

    #[test]
    fn a_key_that_its_pattern_would_not_find_as_a_whole_does_not_pass() {
        assert_eq!(
            KEY_BYTES,
            crate::decode::patterns::Patterns::MAX_MATCH_BYTES as u64
        );
        let line = format!("INFO {}\n", "x".repeat(64));
        let key = format!(
            "-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\nnext\n",
            line.repeat(400)
        );
        let found = records(key.as_bytes(), 1 << 20, 64, None);
        assert_eq!(found.len(), 2);
        assert!(found[0].content.is_err());
        assert_eq!(
            (found[1].line, found[1].content.as_deref()),
            (402, Ok(&b"next"[..]))
        );
    }

    #[test]
    fn a_line_of_json_begins_no_key() {
        let text = "{\"a\":\"-----BEGIN PRIVATE KEY-----\"}\n{\"b\":1}\n{\"c\":2}\n";
        let records = futures::executor::block_on(async {
            let mut lines = Lines::json(text.as_bytes(), 100);
            let mut records = Vec::new();
            while let Some(record) = lines.next().await.unwrap() {
                records.push(String::from_utf8(record.content.unwrap()).unwrap());
            }
            records
        });
        assert_eq!(records, text.lines().collect::<Vec<_>>());
    }

    #[test]
    fn groups_are_those_of_vector() {
        let trace = "ERROR one\n  at a\n  at b\nINFO two\nERROR three\n  at c";
        let by = multiline("^ERROR", r"^\s", Mode::ContinueThrough);
        assert_eq!(
            texts(trace, Some(&by)),
            [
                "ERROR one\n  at a\n  at b",
                "INFO two",
                "ERROR three\n  at c"
            ]
        );
        let by = multiline(r"\\$", r"\\$", Mode::ContinuePast);
        assert_eq!(
            texts("a \\\nb \\\nc\nd\n", Some(&by)),
            ["a \\\nb \\\nc", "d"]
        );
        let by = multiline("^[A-Z]", "^[A-Z]", Mode::HaltBefore);
        assert_eq!(
            texts(trace, Some(&by)),
            [
                "ERROR one\n  at a\n  at b",
                "INFO two",
                "ERROR three\n  at c"
            ]
        );
        let by = multiline("", ";$", Mode::HaltWith);
        assert_eq!(
            texts("a\nb;\nc\nd;\ne\n", Some(&by)),
            ["a\nb;", "c\nd;", "e"]
        );
    }

    #[tokio::test]
    async fn a_group_of_a_stream_ends_when_no_line_comes() {
        use tokio::io::AsyncWriteExt as _;
        let (mut writer, reader) = tokio::io::duplex(64);
        let by = Multiline {
            timeout: Duration::from_millis(50),
            ..multiline("^E", r"^\s", Mode::ContinueThrough)
        };
        let mut lines = Lines::new(BufReader::new(reader), 100, Some(by), true);
        writer.write_all(b"E one\n at a\n hal").await.unwrap();
        let record = lines.next().await.unwrap().unwrap();
        assert_eq!(record.content.unwrap(), b"E one\n at a");
        writer.write_all(b"f\n").await.unwrap();
        let record = lines.next().await.unwrap().unwrap();
        assert_eq!(record.content.unwrap(), b" half");
    }

    proptest! {
        #[test]
        fn records_and_ends_in_a_row_are_the_input(
            pieces in prop::collection::vec(prop_oneof![
                Just("\n"), Just("\r"), Just("\r\n"), Just("x"), Just(" at"), Just("E"),
                Just("-----BEGIN PRIVATE KEY-----"), Just("-----END PRIVATE KEY-----"),
                Just("MIIEpAIBAAKCAQEAzXUF1YG5rYlPSphRyCzWZVVGGF9X2ECUb11hnjIZnLF5AMC1"),
            ], 0..40),
            buffer in 1_usize..80,
            mode in prop_oneof![
                Just(None), Just(Some(Mode::ContinueThrough)), Just(Some(Mode::ContinuePast)),
                Just(Some(Mode::HaltBefore)), Just(Some(Mode::HaltWith)),
            ],
        ) {
            let input = pieces.concat();
            let by = mode.map(|mode| multiline("^E", "^ ", mode));
            let found = records(input.as_bytes(), 1 << 20, buffer, by.as_ref());
            let mut again = Vec::new();
            let mut line = 0;
            for record in &found {
                prop_assert_eq!(record.line, line);
                let content = record.content.as_ref().unwrap();
                line += 1 + content.iter().filter(|byte| **byte == b'\n').count() as u64;
                again.extend_from_slice(content);
                again.extend_from_slice(record.end.as_str().as_bytes());
            }
            prop_assert_eq!(String::from_utf8(again).unwrap(), input.clone());
            prop_assert_eq!(found, records(input.as_bytes(), 1 << 20, 4096, by.as_ref()));
        }

        #[test]
        fn lines_are_those_of_split_and_long_ones_are_counted(
            input in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'x')], 0..60),
            limit in 0_u64..6,
            buffer in 1_usize..8,
        ) {
            let mut expected: Vec<Result<Vec<u8>, u64>> = Vec::new();
            let mut rest = input.as_slice();
            while !rest.is_empty() {
                let (line, after) = match rest.iter().position(|b| *b == b'\n') {
                    Some(at) => {
                        let line = &rest[..at];
                        (line.strip_suffix(b"\r").unwrap_or(line), &rest[at + 1..])
                    }
                    None => (rest, &rest[rest.len()..]),
                };
                let len = line.len() as u64;
                expected.push(if len > limit { Err(len) } else { Ok(line.to_vec()) });
                rest = after;
            }
            let read: Vec<Result<Vec<u8>, u64>> = records(&input, limit, buffer, None)
                .into_iter()
                .map(|record| record.content.map_err(|error| error.bytes))
                .collect();
            prop_assert_eq!(read, expected);
        }
    }
}
