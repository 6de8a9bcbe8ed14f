//! One function per parser of outside bytes.
//!
//! In:  any bytes.
//! Out: nothing, or a panic that says which promise is broken.
//! Holds: the promises are checked against something plainer than the code: a split at line feeds, a
//!        second JSON reader, a Viterbi with the full table of transitions.
//! Does not know: who makes the bytes. libFuzzer does in `fuzz_targets/`, a small driver with a fixed
//! seed in `tests/it/fuzz.rs`.
//!
//! Where an input holds [`CANARY`], no error, `Debug` or dead letter may hold it (I7).

use std::{
    collections::HashMap,
    fmt::Debug,
    io::Write as _,
    path::Path,
    sync::{Arc, LazyLock},
};

use object_store::{ObjectStoreExt as _, memory::InMemory};
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokio::io::AsyncReadExt as _;
use unicode_segmentation::UnicodeSegmentation as _;
use weir::{
    cli::eval,
    config::Config,
    decode::{
        Recognizer, Span, conflict,
        patterns::{self, Patterns},
    },
    model::{Emissions, Encoder, LabelMatrix, LabelVectors, Pack, Run, bioes::viterbi::Viterbi},
    record::{
        Body, Code, DeadLetter, Document, Json, Position, avro as messages,
        json::{Edit, NotJson, Selector},
    },
    redact::{self, Generalise, Generalised, Key, Operator, Redactor, reveal},
    source::{Columns, Encoding, Objects, Options, ReadFailure, Table, Unit, read_failure},
    store::{Format, Location},
    tenant::Policy,
    text::{self, ByteSpan, CodePointCursor, Shape, Tokenizer, Windower},
};

use crate::tiny_pack;

#[path = "audit.rs"]
pub mod audit;
pub use audit::{audit_record, checkpoint, graph, key, note, proof, tile, token, trust};

/// A value that nobody may repeat. Longer than the words that a message may quote.
pub const CANARY: &str = "CANARY-9f31c7-PLANTED-VALUE";

fn holds_canary(bytes: &[u8]) -> bool {
    bytes
        .windows(CANARY.len())
        .any(|window| window == CANARY.as_bytes())
}

fn says_nothing(what: &impl Debug, message: &str) {
    assert!(!message.contains(CANARY), "I7: a message holds a value");
    assert!(
        !format!("{what:?}").contains(CANARY),
        "I7: a Debug holds a value"
    );
}

// ── records ──────────────────────────────────────────────────────────────────────────────────────

/// JSON documents: parsing, string values, editing in place.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let raw = serde_json::from_str::<&RawValue>(text);
    let json = match Json::parse(text) {
        Ok(json) => json,
        Err(error) => {
            says_nothing(&error, &error.to_string());
            let is_object = raw.is_ok_and(|raw| raw.get().starts_with('{'));
            assert_eq!(
                is_object,
                error == NotJson::TooDeep,
                "what is refused is no object, or too deep"
            );
            return;
        }
    };
    assert!(
        raw.is_ok_and(|raw| raw.get().starts_with('{')),
        "what is read is a JSON object"
    );
    assert_eq!(json.rewrite(&[], &[]), text);
    let leaves = json
        .strings(&Selector::default())
        .expect("a few KB of text have short paths");
    if !leaves.iter().any(|leaf| leaf.pointer.contains(CANARY)) {
        says_nothing(&(&json, &leaves), "");
    }
    let literals: Vec<_> = leaves.iter().map(|leaf| json.literal(leaf)).collect();
    says_nothing(&literals, "");
    let mut strings = Vec::new();
    let plain = Strings(&mut strings).deserialize(&mut serde_json::Deserializer::from_str(text));
    if plain.is_ok() {
        let found: Vec<&str> = literals
            .iter()
            .map(|literal| literal.text.as_str())
            .collect();
        assert_eq!(
            found.len(),
            strings.len(),
            "every string value is found, and no key"
        );
        assert!(
            found == strings,
            "string values are decoded as serde_json decodes them"
        );
    }
    for pattern in ["/**/a", "/a/*", "/*/**"] {
        let selector = Selector::new(&[pattern], &["/**/b"]).expect("it begins with a slash");
        let chosen = json.strings(&selector).expect("fewer than all");
        assert!(
            chosen
                .iter()
                .eq(leaves.iter().filter(|leaf| selector.matches(&leaf.pointer))),
            "a selector chooses the same in the document as on its pointers"
        );
    }
    let mut choice = Choice::of(data);
    let replacement = ["", "[A]", "\"\\\u{0}\u{1F600}é", "\u{2028}\u{7f}"][choice.below(4)];
    let mut edits: Vec<Edit> = Vec::new();
    let mut expected: Vec<String> = Vec::new();
    for literal in &literals {
        let value = literal.text.as_str();
        let span = choice.span(value);
        let mut changed = value.to_owned();
        if choice.below(3) > 0 {
            edits.push(literal.replace(span, replacement));
            changed.replace_range(span.start..span.end, replacement);
        }
        expected.push(changed);
    }
    let members = [
        ("a", "[]".to_owned()),
        ("redactions", "{\"b\":1}".to_owned()),
    ];
    let rewritten = json.rewrite(&edits, &members);
    let again = Json::parse(rewritten.as_str()).expect("a rewritten document is JSON");
    let (mut old, mut new) = (0, 0);
    for edit in &edits {
        let kept = edit.raw.start - old;
        assert!(
            text[old..edit.raw.start] == rewritten[new..new + kept],
            "untouched bytes stay"
        );
        old = edit.raw.end;
        new += kept + edit.replacement.len();
    }
    // The members go in before the last brace, and nothing else is added.
    let brace = text.rfind('}').expect("an object ends with a brace");
    let rest = &rewritten[new..];
    assert!(rest.ends_with(&text[brace..]), "untouched bytes stay");
    let kept = text[old..brace].trim_end();
    assert!(rest.starts_with(kept), "untouched bytes stay");
    if plain.is_ok() {
        let leaves = again
            .strings(&Selector::default())
            .expect("hardly longer than before");
        let values: Vec<String> = leaves
            .iter()
            .map(|leaf| again.literal(leaf).text.into_string())
            .collect();
        assert!(
            values == expected,
            "what was edited reads as edited, the rest as before"
        );
    }
}

/// All string values of a JSON text in document order, by serde_json.
struct Strings<'a>(&'a mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Strings<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strings<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.push(text.to_owned());
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Strings(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<String>()?.is_some() {
            map.next_value_seed(Strings(self.0))?;
        }
        Ok(())
    }
}

// ── sources ──────────────────────────────────────────────────────────────────────────────────────

/// Longest line or cell of the reader targets: small, so that the limit is met.
const MAX_RECORD_BYTES: u64 = 200;

/// What a reader yielded.
#[derive(Default)]
struct Read {
    documents: Vec<Document>,
    letters: Vec<DeadLetter>,
    tables: Vec<Table>,
    stream: Option<Result<Vec<u8>, Code>>,
}

/// Reads an object as UTF-8, a `.log` as text.
fn read(name: &str, data: &[u8]) -> Read {
    let is_log = name.contains(".log");
    read_as(
        name,
        data,
        is_log.then_some(Format::Lines),
        Some(Encoding::UTF_8),
    )
}

fn read_as(name: &str, data: &[u8], format: Option<Format>, encoding: Option<Encoding>) -> Read {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().expect("a runtime of this thread alone");
    }
    let canary = holds_canary(data);
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let store = Arc::new(InMemory::new());
            store
                .put(&name.into(), data.to_vec().into())
                .await
                .expect("memory takes an object");
            let options = Options {
                columns: Columns {
                    text: vec!["text".to_owned()],
                    ..Columns::default()
                },
                max_record_bytes: MAX_RECORD_BYTES,
                format,
                encoding,
                ..Options::default()
            };
            let location = Location::within(store, object_store::path::Path::ROOT, "memory");
            let objects = Objects::at(location, options).expect("the options hold no pattern");
            let listing = objects.list().await.expect("memory lists");
            let mut reader = objects.reader(&listing.objects[0]);
            let mut read = Read::default();
            while let Some(unit) = reader
                .next()
                .await
                .expect("memory never fails: what is broken is a dead letter")
            {
                match unit {
                    Unit::Document(document) => {
                        if canary {
                            let nameless = Document {
                                id: "".into(),
                                tenant: None,
                                ..document.clone()
                            };
                            says_nothing(&nameless, "");
                        }
                        read.documents.push(document);
                    }
                    Unit::Rejected(letter) => {
                        if canary {
                            silent(&letter);
                        }
                        read.letters.push(letter);
                    }
                    Unit::Table(table) => {
                        for letter in table.documents.iter().filter_map(|row| row.as_ref().err()) {
                            silent(letter);
                        }
                        read.tables.push(table);
                    }
                    Unit::Stream(mut stream) => {
                        let mut bytes = Vec::new();
                        let end = stream.reader.read_to_end(&mut bytes).await;
                        read.stream = Some(match end {
                            Ok(_) => Ok(bytes),
                            Err(error) => match read_failure(&stream.position, error) {
                                ReadFailure::Rejected(code, reason) => {
                                    says_nothing(&code, &reason);
                                    Err(code)
                                }
                                ReadFailure::Error(_) => {
                                    panic!("memory never fails: what is broken is a dead letter")
                                }
                            },
                        });
                    }
                }
            }
            assert!(
                reader.next().await.is_ok_and(|unit| unit.is_none()),
                "the end stays the end"
            );
            read
        })
    })
}

/// Id and tenant are names that records have; the rest of a dead letter is weir's own.
fn silent(letter: &DeadLetter) {
    let own = DeadLetter {
        document_id: None,
        tenant: None,
        ..letter.clone()
    };
    // Names of columns are told, so that the operator finds the right one.
    if letter.code != Code::MissingColumn {
        says_nothing(&own, &letter.reason);
    }
}

/// Lines as `\n` and `\r\n` part them, by the plainest code.
fn plain_lines(data: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
    let last = lines.pop().filter(|last| !last.is_empty());
    lines
        .iter_mut()
        .for_each(|line| *line = line.strip_suffix(b"\r").unwrap_or(line));
    lines.extend(last);
    lines
}

fn record(position: &Position) -> u64 {
    match position {
        Position::Object {
            record: Some(record),
            ..
        } => *record,
        other => panic!("{other} is no record of an object"),
    }
}

/// Every line is accounted for, once, with its number: as a document, a dead letter, or blank.
fn accounted(
    data: &[u8],
    read: &Read,
    of_line: impl Fn(u64, &[u8], Option<&Document>, Option<&DeadLetter>),
) {
    let documents: HashMap<u64, &Document> = read
        .documents
        .iter()
        .map(|d| (record(&d.position), d))
        .collect();
    let letters: HashMap<u64, &DeadLetter> = read
        .letters
        .iter()
        .map(|l| (record(&l.source), l))
        .collect();
    assert_eq!(
        documents.len(),
        read.documents.len(),
        "no line is read twice"
    );
    assert_eq!(
        letters.len(),
        read.letters.len(),
        "no line is rejected twice"
    );
    assert!(
        read.documents
            .is_sorted_by_key(|document| record(&document.position))
    );
    let lines = plain_lines(data);
    assert!(
        documents
            .keys()
            .chain(letters.keys())
            .all(|line| (*line as usize) < lines.len())
    );
    for (number, line) in lines.into_iter().enumerate() {
        let number = number as u64;
        of_line(
            number,
            line,
            documents.get(&number).copied(),
            letters.get(&number).copied(),
        );
    }
}

fn is_too_large(line: &[u8], letter: Option<&DeadLetter>) -> bool {
    let too_large = letter.is_some_and(|letter| letter.code == Code::TooLarge);
    assert_eq!(
        too_large,
        line.len() as u64 > MAX_RECORD_BYTES,
        "{} bytes",
        line.len()
    );
    too_large
}

/// Bytes that do not begin with a byte order mark, nor as a compressed file does.
fn undisguised(data: &[u8]) -> Vec<u8> {
    let begins = |first: u8| {
        matches!(first, 0..=0x1F | b'(' | b'B' | b'P' | b'7' | b'L' | b'R')
            || first >= 0x80 && first != 0xEF
    };
    let before = if data.first().copied().is_some_and(begins) {
        "\n"
    } else {
        ""
    };
    [before.as_bytes(), data].concat()
}

/// Lines of a private key are one record; they are tested beside their code.
fn holds_a_key(data: &[u8]) -> bool {
    data.windows(11).any(|window| window == b"-----BEGIN ")
}

/// `.log`: a document a line.
pub fn log_lines(data: &[u8]) {
    let data = undisguised(data);
    if !holds_a_key(&data) {
        accounted(&data, &read("a.log", &data), of_log_line);
    }
}

/// Any bytes, as they come: whatever they are, nothing that is text of another encoding passes, and
/// nothing is read twice.
pub fn encodings(data: &[u8]) {
    for name in ["a.log", "a.txt", "a.jsonl", "a.json"] {
        let read = read_as(name, data, None, None);
        let mut records: Vec<u64> = read.documents.iter().map(|d| record(&d.position)).collect();
        records.dedup();
        assert_eq!(
            records.len(),
            read.documents.len(),
            "no record is read twice"
        );
        assert!(records.is_sorted());
        for document in &read.documents {
            if let Body::Json(text) | Body::JsonLine(text) = &document.body {
                assert!(
                    Json::parse(text.clone()).is_ok(),
                    "what is read as JSON is JSON"
                );
            }
        }
        if let Some(Ok(bytes)) = &read.stream {
            let plain = data.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
            let compressed = read
                .letters
                .iter()
                .any(|letter| letter.code == Code::Compressed);
            assert!(
                !plain || compressed || bytes == data,
                "a text stays as received"
            );
        }
    }
}

fn of_log_line(_: u64, line: &[u8], document: Option<&Document>, letter: Option<&DeadLetter>) {
    assert!(
        document.is_some() != letter.is_some(),
        "a line is a document or a dead letter"
    );
    if is_too_large(line, letter) {
        return;
    }
    match (
        document.map(|document| &document.body),
        std::str::from_utf8(line),
    ) {
        (Some(Body::Text(text)), Ok(line)) => {
            assert!(text.as_str() == line, "a line stays as received")
        }
        (None, Err(_)) => assert_eq!(letter.map(|letter| letter.code), Some(Code::NotUtf8)),
        (document, utf8) => panic!("UTF-8: {}, document: {document:?}", utf8.is_ok()),
    }
}

/// A Kafka message in Avro: behind its prefix, values of each of weir's own schemas, which have
/// records, arrays, unions, strings and numbers.
pub fn avro(data: &[u8]) {
    let mut rest = data;
    for header in [Some(data), None] {
        if let Ok((_, values)) = messages::split(header, data) {
            assert!(data.ends_with(values), "values are what follows the prefix");
            rest = values;
        }
    }
    for kind in messages::Kind::ALL {
        let limit = 4 * data.len() as u64 + 64;
        match messages::json(messages::schema(kind), rest, limit) {
            Ok(text) => {
                assert!(text.len() as u64 <= limit, "the limit is kept");
                let whole: serde_json::Result<&RawValue> = serde_json::from_str(&text);
                assert!(whole.is_ok(), "what is read is JSON");
            }
            Err(problem) => says_nothing(&problem, &problem.to_string()),
        }
    }
}

/// `.jsonl`: a JSON object a line.
pub fn json_lines(data: &[u8]) {
    let data = &undisguised(data)[..];
    accounted(
        data,
        &read("a.jsonl", data),
        |number, line, document, letter| {
            if is_too_large(line, letter) {
                return;
            }
            let line = match number {
                0 => line.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(line),
                _ => line,
            };
            let text = std::str::from_utf8(line);
            let raw = text
                .ok()
                .and_then(|text| serde_json::from_str::<&RawValue>(text).ok());
            let object = raw.is_some_and(|raw| raw.get().starts_with('{'));
            match (document, letter) {
                (Some(document), None) => {
                    assert!(object, "a document is a JSON object");
                    let Body::Json(body) = &document.body else {
                        panic!("a line of JSON became {document:?}")
                    };
                    assert!(body.as_bytes() == line, "a document stays as received");
                }
                (None, Some(letter)) => match letter.code {
                    Code::NotUtf8 => assert!(text.is_err()),
                    Code::UnknownTenant => assert!(object),
                    Code::NotJson => assert!(
                        text.is_ok() && (!object || Json::parse(text.unwrap_or("")).is_err())
                    ),
                    code => panic!("a line was rejected as {code}"),
                },
                (None, None) => assert!(
                    line.iter().all(u8::is_ascii_whitespace),
                    "a line that says something was skipped"
                ),
                (Some(_), Some(_)) => panic!("a line is a document and a dead letter"),
            }
        },
    );
}

/// `.txt`: one document, piece by piece.
pub fn text_stream(data: &[u8]) {
    let data = &undisguised(data)[..];
    let read = read("a.txt", data);
    assert!(read.letters.is_empty() && read.documents.is_empty());
    match read.stream {
        Some(stream) => assert!(
            stream.expect("nothing is compressed") == data,
            "a text stays as received"
        ),
        None => assert!(data.is_empty(), "a text was skipped"),
    }
}

/// `.gz`: broken members, and whole ones cut short.
pub fn gzip(data: &[u8]) {
    packed(data, "gz", |data| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder
            .write_all(data)
            .and_then(|()| encoder.finish())
            .expect("memory takes bytes")
    });
}

/// `.zst`: broken frames, and whole ones cut short.
pub fn zstandard(data: &[u8]) {
    packed(data, "zst", |data| {
        zstd::encode_all(data, 1).expect("memory takes bytes")
    });
}

fn packed(data: &[u8], extension: &str, pack: impl Fn(&[u8]) -> Vec<u8>) {
    // Bytes that say they are packed.
    let lines = read(&format!("a.log.{extension}"), data);
    let whole = read(&format!("a.txt.{extension}"), data).stream;
    let is_other = |letter: &DeadLetter| letter.code == Code::Compressed;
    if lines.letters.iter().any(is_other) || holds_a_key(data) {
        return;
    }
    let broken = lines
        .letters
        .iter()
        .any(|letter| letter.code == Code::Truncated);
    match whole {
        Some(Ok(text)) => {
            assert!(
                !broken,
                "an object is whole for one reader and broken for the other"
            );
            accounted(&text, &lines, of_log_line);
        }
        Some(Err(code)) => assert!(
            broken && code == Code::Truncated,
            "an object is broken for one reader only"
        ),
        None => assert!(data.is_empty(), "an object was skipped"),
    }
    // Any bytes, packed: read as if they were not. Two members read as one.
    let data = &undisguised(data)[..];
    let packed = pack(data);
    accounted(
        data,
        &read(&format!("b.log.{extension}"), &packed),
        of_log_line,
    );
    let twice = [data, data].concat();
    accounted(
        &twice,
        &read(&format!("c.log.{extension}"), &packed.repeat(2)),
        of_log_line,
    );
    // Cut short: never the end of the object, and what came before is as it was.
    let cut = 1 + Choice::of(data).below(packed.len() - 1);
    let name = format!("d.txt.{extension}");
    match read(&name, &packed[..cut]).stream {
        Some(Err(code)) => assert_eq!(code, Code::Truncated),
        Some(Ok(_)) => panic!("{cut} of {} bytes passed for a whole object", packed.len()),
        None => panic!("an object was skipped"),
    }
    let part = read(&format!("e.log.{extension}"), &packed[..cut]);
    let last = part
        .letters
        .last()
        .expect("an object that ends too early is a dead letter");
    assert_eq!(last.code, Code::Truncated);
    let lines = plain_lines(data);
    for document in &part.documents {
        let Body::Text(text) = &document.body else {
            panic!("a log line became {document:?}")
        };
        assert!(
            text.as_bytes() == lines[record(&document.position) as usize],
            "a line cut in two passed for a whole one"
        );
    }
}

/// Parquet files.
pub fn parquet(data: &[u8]) {
    tables(&read("a.parquet", data));
}

/// Arrow IPC: the file form and the stream form.
pub fn arrow(data: &[u8]) {
    tables(&read("a.arrow", data));
}

fn tables(read: &Read) {
    assert!(read.documents.is_empty() && read.stream.is_none());
    assert!(
        read.letters.len() <= 1,
        "what comes after the first broken place cannot be found"
    );
    let mut row = 0;
    for table in &read.tables {
        assert_eq!(
            table.documents.len(),
            table.batch.num_rows(),
            "every row is a document or a dead letter"
        );
        for document in &table.documents {
            let position = match document {
                Ok(document) => &document.position,
                Err(letter) => &letter.source,
            };
            let unreadable = table.unreadable.iter();
            row += unreadable
                .filter(|letter| (row..record(position)).contains(&record(&letter.source)))
                .count() as u64;
            assert_eq!(record(position), row, "rows are counted through");
            row += 1;
            match document {
                Ok(Document {
                    body: Body::Row(cells),
                    ..
                }) => {
                    let plain = table.layout.text_columns.iter();
                    let plain = plain.filter(|column| column.steps.is_empty()).count();
                    assert!(cells.len() >= plain);
                    let longest = cells
                        .iter()
                        .filter_map(|(_, cell)| cell.as_ref().map(|cell| cell.len()));
                    assert!(longest.max().unwrap_or(0) as u64 <= MAX_RECORD_BYTES);
                }
                Ok(document) => panic!("a row became {document:?}"),
                Err(letter) => assert!(matches!(letter.code, Code::TooLarge | Code::NotUtf8)),
            }
        }
        let unreadable = table.unreadable.iter();
        row += unreadable
            .filter(|letter| record(&letter.source) >= row)
            .count() as u64;
    }
    for letter in &read.letters {
        assert!(
            letter.reason.len() < 4096,
            "a dead letter is one line for people"
        );
    }
}

/// Evaluation files.
pub fn evaluation(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["e.jsonl", "e.jsonl.gz"] {
        let path = folder.path().join(name);
        std::fs::write(&path, data).expect("a temporary file");
        let examples = match eval::read(&path, 1000) {
            Ok(examples) => examples,
            Err(error) => {
                says_nothing(&error, &error.to_string());
                continue;
            }
        };
        let mut report = eval::Report::default();
        for example in &examples {
            let length = example.text.chars().count();
            assert!(
                example
                    .entities
                    .iter()
                    .all(|gold| gold.start < gold.end && gold.end <= length)
            );
            let borders: Vec<usize> = example
                .text
                .char_indices()
                .map(|(at, _)| at)
                .chain([example.text.len()])
                .collect();
            let mut found: Vec<Span> = example
                .entities
                .iter()
                .map(|gold| {
                    span(
                        ByteSpan::new(borders[gold.start], borders[gold.end]),
                        &gold.label,
                        1.0,
                    )
                })
                .collect();
            found.sort_by_key(|span| span.bytes);
            found.dedup_by(|b, a| b.bytes.start < a.bytes.end);
            report.add(example, &found);
        }
        assert_eq!(report.examples as usize, examples.len());
        assert_eq!(report.typed.spurious, 0, "what is in the gold is right");
    }
}

// ── configuration, tenants, packs ────────────────────────────────────────────────────────────────

/// Whether a name, which messages quote, holds the canary: a key, or a string at a place that
/// `is_name` knows.
fn names_canary(
    value: &toml::Value,
    path: &mut Vec<String>,
    is_name: fn(&[String]) -> bool,
) -> bool {
    match value {
        toml::Value::String(text) => text.contains(CANARY) && is_name(path),
        toml::Value::Array(items) => items.iter().any(|item| names_canary(item, path, is_name)),
        toml::Value::Table(table) => table.iter().any(|(key, value)| {
            path.push(key.clone());
            let names = key.contains(CANARY) || names_canary(value, path, is_name);
            path.pop();
            names
        }),
        _ => false,
    }
}

fn toml_names_canary(text: &str, is_name: fn(&[String]) -> bool) -> bool {
    toml::from_str::<toml::Table>(text)
        .is_ok_and(|table| names_canary(&toml::Value::Table(table), &mut Vec::new(), is_name))
}

/// A folder that is not there: files that a configuration names are not found.
const NOWHERE: &str = "no/such/folder";

/// `weir.toml`.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let written = match Config::parse("weir.toml", &text, 1, [], &[]) {
        Ok(written) => written,
        Err(problems) => {
            assert!(!problems.0.is_empty(), "an error says what is wrong");
            if !toml_names_canary(&text, |_| false) {
                says_nothing(&problems, &problems.to_string());
            }
            return;
        }
    };
    assert!(!written.settings().is_empty());
    if let Err(problems) = written.resolve(&Path::new(NOWHERE).join("weir.toml")) {
        assert!(!problems.0.is_empty(), "an error says what is wrong");
    }
    let again = Config::parse("weir.toml", &text, 1, [], &[]).expect("it was read once");
    assert_eq!(written.config, again.config);
}

/// `--set` flags and `WEIR_` variables, on top of a sound file.
pub fn overrides(data: &[u8]) {
    const BASE: &str = "[source]\ntype = \"object_store\"\nurl = \"./in\"\n[sink]\ntype = \"object_store\"\n\
        url = \"./out\"\n[tenants]\ndir = \"./tenants\"\n[model]\npack = \"pack\"\n";
    let flag = String::from_utf8_lossy(data).into_owned();
    let (key, value) = flag.split_once('=').unwrap_or((&flag, ""));
    let quiet = !key.contains(CANARY) && !toml_names_canary(&format!("v = {value}"), |_| false);
    let variable = format!("WEIR_{}", key.to_uppercase().replace('.', "__"));
    let variables = [(variable.into(), value.into())];
    for result in [
        Config::parse("weir.toml", BASE, 1, [], std::slice::from_ref(&flag)),
        Config::parse("weir.toml", BASE, 1, variables, &[]),
    ] {
        match result {
            Ok(written) => assert!(!written.settings().is_empty()),
            Err(problems) if quiet => says_nothing(&problems, &problems.to_string()),
            Err(_) => {}
        }
    }
}

/// A tenant file.
pub fn tenant(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let path = Path::new(NOWHERE).join("acme.toml");
    // Terms of the lists, texts of the tests and keys are values; the rest are names.
    let is_name = |path: &[String]| {
        !matches!(
            path.first().map(String::as_str),
            Some("deny" | "allow" | "tests")
        )
    };
    let policy = match Policy::parse("acme", &path, &text) {
        Ok(policy) => policy,
        Err(problems) => {
            assert!(!problems.0.is_empty(), "an error says what is wrong");
            if !toml_names_canary(&text, is_name) {
                says_nothing(&problems, &problems.to_string());
            }
            return;
        }
    };
    let again = Policy::parse("acme", &path, &text).expect("it was read once");
    assert_eq!(
        policy.digest, again.digest,
        "a digest is of what was read, nothing else"
    );
    let mut names: Vec<String> = policy
        .labels
        .labels
        .iter()
        .map(|label| label.name.to_lowercase())
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(
        names.len(),
        policy.labels.labels.len(),
        "a label is there once"
    );
    assert!(
        policy
            .labels
            .labels
            .iter()
            .all(|label| (0.0..=1.0).contains(&label.threshold))
    );
    let text = format!("{text}\nWrite to ana@mail.example or call +1 202 555 0143 about {CANARY}.");
    settled(&policy.patterns, &policy.redactor, &text, Vec::new());
}

/// `pack.toml`.
pub fn pack(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("pack.toml"), data).expect("a temporary file");
    let Ok(pack) = Pack::open(folder.path()) else {
        return;
    };
    let shape = pack.shape();
    assert!(shape.width() > 2 * shape.halo());
    assert_eq!(pack.digest().len(), 64);
    if pack
        .manifest()
        .files
        .iter()
        .any(|file| !file.path.is_empty())
    {
        assert!(pack.verify().is_err(), "none of the files is there");
    }
    assert!(
        Encoder::new(&pack, None, None).is_err(),
        "there is no projection"
    );
}

/// The tiny pack, opened once; its projection is replaced by the bytes to be read.
static TINY: LazyLock<(tempfile::TempDir, Pack)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    tiny_pack::write(folder.path(), &tiny_pack::Options::default());
    let pack = Pack::open(folder.path()).expect("a tiny pack is sound");
    (folder, pack)
});

/// `projection.npz`.
pub fn projection(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::copy(TINY.1.path("pack.toml"), folder.path().join("pack.toml"))
        .expect("a temporary file");
    std::fs::write(folder.path().join("projection.npz"), data).expect("a temporary file");
    let pack = Pack::open(folder.path()).expect("a tiny pack is sound");
    if let Err(error) = Encoder::new(&pack, None, None) {
        assert!(
            error.to_string().contains("projection.npz"),
            "an error names the file"
        );
    }
}

/// `tokenizer.json`.
pub fn tokenizer(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, data).expect("a temporary file");
    let text = "Ana Ruiz, \u{1F468}\u{200D}\u{1F469} e\u{301} [SEP] 日本 \u{0} z9";
    match Tokenizer::from_file(&path) {
        Ok(tokenizer) => {
            if let Ok(tokens) = tokenizer.tokens(text) {
                placed(text, &tokens);
            }
        }
        Err(error) => assert!(
            error.to_string().contains("tokenizer.json"),
            "an error names the file"
        ),
    }
}

fn placed(text: &str, tokens: &text::Tokens) {
    assert_eq!(tokens.ids.len(), tokens.spans.len());
    for span in &tokens.spans {
        assert!(
            span.start <= span.end && text.get(span.start..span.end).is_some(),
            "I8: {span:?} lies on characters"
        );
    }
    assert!(
        tokens.spans.is_sorted_by_key(|span| span.start),
        "tokens come in the order of the text"
    );
}

// ── text ─────────────────────────────────────────────────────────────────────────────────────────

/// Tokenizing, cutting and windows.
pub fn windows(data: &[u8]) {
    static TOKENIZER: LazyLock<Tokenizer> = LazyLock::new(|| {
        Tokenizer::from_file(&TINY.1.path("tokenizer.json")).expect("a tiny pack has a tokenizer")
    });
    let text = String::from_utf8_lossy(data);
    let tokens = TOKENIZER.tokens(&text).expect("WordPiece reads every text");
    placed(&text, &tokens);
    let mut covered = vec![false; text.len()];
    tokens
        .spans
        .iter()
        .for_each(|span| covered[span.start..span.end].fill(true));
    let dropped = text
        .char_indices()
        .find(|(at, c)| c.is_ascii_graphic() && !covered[*at]);
    assert_eq!(
        dropped.map(|(at, _)| at),
        None,
        "I1: every character that says something is in a token"
    );

    let mut choice = Choice::of(data);
    let limit = 16 + choice.below(300);
    let halo = choice.below(9);
    let shape = Shape::new(2 * halo + 1 + choice.below(60), halo).expect("wider than two halos");
    let mut windower = Windower::new(shape);
    let mut windows = Vec::new();
    let mut pieces = text::Tokens::default();
    let mut base = 0;
    while base < text.len() {
        let end = base + text::cut(&text[base..], limit);
        let piece = TOKENIZER
            .tokens(&text[base..end])
            .expect("WordPiece reads every text");
        pieces.ids.extend(&piece.ids);
        pieces.spans.extend(
            piece
                .spans
                .iter()
                .map(|span| ByteSpan::new(base + span.start, base + span.end)),
        );
        windower.push(piece, base, &mut windows);
        base = end;
    }
    windows.extend(windower.finish());
    let ids: Vec<u32> = windows
        .iter()
        .flat_map(|window| window.ids[window.core.clone()].to_vec())
        .collect();
    let spans: Vec<ByteSpan> = windows
        .iter()
        .flat_map(|window| window.spans.clone())
        .collect();
    assert!(
        ids == pieces.ids && spans == pieces.spans,
        "I2: each token is answered for once"
    );
    assert!(
        windows
            .iter()
            .all(|window| window.ids.len() <= shape.width())
    );
    // Long words are cut where their piece begins: only texts without them are the same in pieces.
    let longest = |apart: fn(char) -> bool| text.split(apart).map(str::len).max().unwrap_or(0);
    let parts = |c: char| c.is_whitespace() && (!c.is_control() || matches!(c, '\t' | '\n' | '\r'));
    if longest(parts) + 4 < limit && longest(|c| c.is_ascii() && !c.is_ascii_alphanumeric()) < 30 {
        assert_eq!(
            pieces, tokens,
            "the tokens of the pieces are those of the text"
        );
    }
}

fn span(bytes: ByteSpan, label: &str, score: f32) -> Span {
    Span {
        bytes,
        label: label.into(),
        score,
        label_score: score,
        recognizer: Recognizer::Model,
    }
}

/// Pattern recognisers, the conflict rule, and every operator.
pub fn detection(data: &[u8]) {
    static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
        let custom = |name: &str, regex: &str| patterns::Custom {
            name: name.to_owned(),
            label: name.into(),
            regex: regex.to_owned(),
        };
        Patterns::build(patterns::Options {
            builtin: Patterns::names()
                .iter()
                .map(|name| ((*name).to_owned(), (*name).into()))
                .collect(),
            custom: vec![
                custom("order", r"ORD-(\d{2,})?"),
                custom("word", r"(?i)\bany\w*|é+"),
            ],
            deny: vec![
                (CANARY.to_owned(), "denied".into()),
                ("Köln ΣΑΣ".to_owned(), "denied".into()),
                ("a b".to_owned(), "place".into()),
            ],
            allow: vec![
                "mail.example".to_owned(),
                "ana@mail.example".to_owned(),
                "İ".to_owned(),
            ],
            phone_region: Some("US".to_owned()),
        })
        .expect("the patterns are sound")
    });
    let text = String::from_utf8_lossy(data);
    let mut choice = Choice::of(data);
    let model: Vec<Span> = (0..choice.below(6))
        .map(|_| {
            let label = ["email", "person", "order"][choice.below(3)];
            let score = choice.below(3) as f32 / 2.0;
            span(choice.span(&text), label, score)
        })
        .filter(|span| !span.bytes.is_empty())
        .collect();
    let key = Key::new("k1", [7; 16]).expect("sixteen bytes are enough");
    let character = ['*', '█', '0'][choice.below(3)];
    let default = match choice.below(11) {
        0 => Operator::Keep,
        1 => Operator::Remove,
        2 => Operator::Replace { placeholder: None },
        3 => Operator::Mask {
            character,
            keep_last: choice.below(6),
        },
        4 => Operator::MaskCount {
            character,
            count: choice.below(9),
            from_end: choice.below(2) == 0,
        },
        5 => Operator::Hash { key: key.clone() },
        6 => Operator::Truncate { first: 8 },
        7 => Operator::Shift {
            key: key.clone(),
            days: 365,
        },
        8 => Operator::Generalise(Generalise {
            kind: [None, Some(Generalised::Date), Some(Generalised::Zip)][choice.below(3)],
            band: 10,
            oldest_year: None,
        }),
        9 => Operator::Encrypt {
            key: key.clone(),
            format: [redact::Format::Token, redact::Format::Digits { fewest: 6 }][choice.below(2)],
        },
        _ => Operator::Surrogate { key: key.clone() },
    };
    let operators = HashMap::from([
        ("person".into(), Operator::Surrogate { key }),
        (
            "denied".into(),
            Operator::Replace {
                placeholder: Some("<{label} é>".to_owned()),
            },
        ),
    ]);
    let redactor = Redactor {
        tenant: "acme".into(),
        operators: Arc::new(operators),
        default,
    };
    settled(&PATTERNS, &redactor, &text, model);
}

/// Finds, settles and redacts, and checks each step.
fn settled(patterns: &Patterns, redactor: &Redactor, text: &str, model: Vec<Span>) {
    let found = patterns.find(text);
    for span in &found {
        assert!(
            !span.bytes.is_empty() && text.get(span.bytes.start..span.bytes.end).is_some(),
            "I8: {span:?}"
        );
        assert_eq!(span.score, 1.0);
    }
    assert!(found.is_sorted_by_key(|span| span.bytes.start));
    let allowed = patterns.allowed(text);
    assert!(
        allowed
            .iter()
            .all(|place| text.get(place.start..place.end).is_some())
    );
    let all: Vec<Span> = found.into_iter().chain(model).collect();
    let spans = conflict::resolve(text, all.clone(), &allowed);
    let turned = conflict::resolve(text, all.iter().rev().cloned().collect(), &allowed);
    assert_eq!(
        spans, turned,
        "the order in which spans come is of no matter"
    );

    let borders: Vec<usize> = text
        .grapheme_indices(true)
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    let mut covered = vec![false; text.len()];
    for span in &spans {
        assert!(span.bytes.start < span.bytes.end);
        assert!(
            borders.binary_search(&span.bytes.start).is_ok()
                && borders.binary_search(&span.bytes.end).is_ok(),
            "I8: {span:?} lies on graphemes"
        );
        covered[span.bytes.start..span.bytes.end].fill(true);
    }
    assert!(
        spans
            .windows(2)
            .all(|pair| pair[0].bytes.end <= pair[1].bytes.start),
        "spans never overlap"
    );
    for span in &all {
        let spared = span.recognizer != Recognizer::Deny
            && allowed.iter().any(|place| place.contains(span.bytes));
        if spared {
            continue;
        }
        for (at, character) in text[span.bytes.start..span.bytes.end].char_indices() {
            assert!(
                character.is_whitespace() || covered[span.bytes.start + at],
                "a tail of {span:?} leaks"
            );
        }
    }

    let mut out = "before ".to_owned();
    let subject = redact::Subject {
        id: "subject",
        key: None,
    };
    let applied = redactor
        .apply(Some(subject), text, &spans, &mut out)
        .expect("settled spans and sound keys");
    let out = out.strip_prefix("before ").expect("text is appended");
    assert_eq!(applied.len(), spans.len());
    let (mut source, mut target) = (0, 0);
    let (mut source_points, mut target_points) =
        (CodePointCursor::new(text, 0), CodePointCursor::new(out, 0));
    for (applied, span) in applied.iter().zip(&spans) {
        assert_eq!(applied.source_bytes, span.bytes);
        let kept = &text[source..applied.source_bytes.start];
        assert!(
            out[target..applied.output_bytes.start] == *kept,
            "what no span covers stays as received"
        );
        for (points, bytes, of) in [
            (&mut source_points, applied.source_bytes, applied.source),
            (&mut target_points, applied.output_bytes, applied.output),
        ] {
            assert_eq!(
                (points.at(bytes.start), points.at(bytes.end)),
                (of.start, of.end)
            );
        }
        let value = &text[applied.source_bytes.start..applied.source_bytes.end];
        let replacement = &out[applied.output_bytes.start..applied.output_bytes.end];
        match applied.operator {
            "keep" => assert!(replacement == value),
            "remove" => assert!(replacement.is_empty()),
            "hash" | "surrogate" => assert!(replacement != value, "a value stands for itself"),
            "encrypt" if replacement.starts_with("weir:") => {
                let key = Key::new("k1", [7; 16]).expect("sixteen bytes are enough");
                let reading = reveal("acme", replacement, |_| Some(&key), |_| None, &[]);
                assert!(
                    reading.revealed.len() == 1 && *reading.revealed[0].value == *value,
                    "a token gives its value back"
                );
                says_nothing(&reading, "");
            }
            _ => {}
        }
        (source, target) = (applied.source_bytes.end, applied.output_bytes.end);
    }
    assert!(
        out[target..] == text[source..],
        "what no span covers stays as received"
    );
}

/// The Viterbi on arbitrary scores, cut anywhere, against one with the full table of transitions.
pub fn viterbi(data: &[u8]) {
    let mut choice = Choice::of(data);
    let labels = 1 + choice.below(3);
    let width = 1 + 4 * labels;
    let odd = choice.below(8) == 0;
    let score = |byte: &u8| match byte {
        0xFF if odd => f32::NAN,
        0xFE if odd => f32::INFINITY,
        0xFD if odd => f32::NEG_INFINITY,
        byte => f32::from(byte.cast_signed()) / 16.0,
    };
    let rows: Vec<Vec<f32>> = data
        .chunks_exact(width)
        .take(400)
        .map(|row| row.iter().map(score).collect())
        .collect();
    let decode = |cuts: &mut dyn FnMut() -> usize| {
        let mut windows = Vec::new();
        let mut rest = &rows[..];
        while !rest.is_empty() {
            let (window, after) = rest.split_at(cuts().clamp(1, rest.len()));
            windows.push(emissions(window, labels));
            rest = after;
        }
        let matrix = LabelMatrix::new(&LabelVectors {
            hidden: 1,
            outside: vec![0.0],
            labels: Vec::new(),
        });
        let mut viterbi = Viterbi::default();
        let mut entities = Vec::new();
        for (at, window) in windows.iter().enumerate() {
            viterbi.push(window, windows.get(at + 1), &matrix);
            let decided = viterbi.decided();
            entities.extend(viterbi.certain());
            assert!(
                entities
                    .last()
                    .is_none_or(|last: &weir::model::Entity| last.end <= decided)
            );
        }
        entities.extend(viterbi.finish());
        entities
    };
    let whole = decode(&mut || usize::MAX);
    let mut reached = 0;
    for entity in &whole {
        assert!(
            entity.start >= reached && entity.start < entity.end,
            "entities never overlap"
        );
        assert!(entity.end <= rows.len() as u64 && (entity.label as usize) < labels);
        reached = entity.end;
    }
    if odd {
        return;
    }
    assert_eq!(
        whole,
        decode(&mut || 1 + choice.below(9)),
        "I2: how a document is cut does not matter"
    );
    let mut total: f64 = rows.iter().map(|row| f64::from(row[0])).sum();
    for entity in &whole {
        for token in entity.start..entity.end {
            let class = match (token == entity.start, token + 1 == entity.end) {
                (true, true) => 3,
                (true, false) => 0,
                (false, true) => 2,
                (false, false) => 1,
            };
            let row = &rows[token as usize];
            total += f64::from(row[1 + 4 * entity.label as usize + class] - row[0]);
        }
    }
    let best = best_score(&rows, labels);
    assert!(
        (total - best).abs() < 1e-6 * (1.0 + best.abs()),
        "I2: the path scores {total}, the best one {best}"
    );
}

fn emissions(rows: &[Vec<f32>], labels: usize) -> Emissions {
    let tokens = rows.len();
    Emissions {
        tokens,
        outside: rows.iter().map(|row| row[0]).collect(),
        runs: (0..labels)
            .map(|label| Run {
                label: label as u32,
                start: 0,
                end: tokens as u32,
                row: (label * tokens) as u32,
            })
            .collect(),
        scores: (0..labels)
            .flat_map(|label| {
                rows.iter()
                    .map(move |row| [1, 2, 3, 4].map(|class| row[4 * label + class]))
            })
            .collect(),
        hidden: None,
    }
}

/// Score of the best path, by every allowed transition from state to state (design 4.1).
fn best_score(rows: &[Vec<f32>], labels: usize) -> f64 {
    let states = 1 + 4 * labels;
    // 0 = O, then B, I, E, S of each label.
    let class = |state: usize| if state == 0 { 4 } else { (state - 1) % 4 };
    let label = |state: usize| (state > 0).then(|| (state - 1) / 4);
    let closed = |state: usize| matches!(class(state), 2..=4);
    let begins = |state: usize| matches!(class(state), 0 | 3 | 4);
    let allowed = |from: usize, to: usize| {
        if closed(from) {
            begins(to)
        } else {
            label(from) == label(to) && matches!(class(to), 1 | 2)
        }
    };
    let mut best: Option<Vec<f64>> = None;
    for row in rows {
        let next = (0..states).map(|to| {
            let before = match &best {
                None if begins(to) => 0.0,
                None => f64::NEG_INFINITY,
                Some(best) => (0..states)
                    .filter(|from| allowed(*from, to))
                    .map(|from| best[from])
                    .fold(f64::NEG_INFINITY, f64::max),
            };
            before + f64::from(row[to])
        });
        best = Some(next.collect());
    }
    best.map_or(0.0, |best| {
        (0..states)
            .filter(|state| closed(*state))
            .map(|state| best[state])
            .fold(f64::NEG_INFINITY, f64::max)
    })
}

// ── choices ──────────────────────────────────────────────────────────────────────────────────────

/// Choices that a target makes beside its input: the same for the same input.
struct Choice(u64);

impl Choice {
    fn of(data: &[u8]) -> Self {
        // FNV-1a.
        Self(data.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    fn below(&mut self, count: usize) -> usize {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % count.max(1) as u64) as usize
    }

    /// A stretch of `text` on character borders.
    fn span(&mut self, text: &str) -> ByteSpan {
        let a = text.floor_char_boundary(self.below(text.len() + 1));
        let b = text.floor_char_boundary(self.below(text.len() + 1));
        ByteSpan::new(a.min(b), a.max(b))
    }
}

/// A target and its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets by name: `fuzz_targets/` and the bounded run are checked against it.
pub const ALL: &[Target] = &[
    ("arrow", arrow),
    ("audit_record", audit_record),
    ("avro", avro),
    ("checkpoint", checkpoint),
    ("config", config),
    ("detection", detection),
    ("encodings", encodings),
    ("evaluation", evaluation),
    ("graph", graph),
    ("gzip", gzip),
    ("json", json),
    ("json_lines", json_lines),
    ("key", key),
    ("log_lines", log_lines),
    ("note", note),
    ("overrides", overrides),
    ("pack", pack),
    ("parquet", parquet),
    ("projection", projection),
    ("proof", proof),
    ("tenant", tenant),
    ("text_stream", text_stream),
    ("tile", tile),
    ("token", token),
    ("tokenizer", tokenizer),
    ("trust", trust),
    ("viterbi", viterbi),
    ("windows", windows),
    ("zstandard", zstandard),
];
