use std::{borrow::Cow, io, sync::Arc};

use futures::TryStreamExt;
use object_store::{GetOptions, ObjectStoreExt};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio_util::io::StreamReader;
use tracing::info;

use super::{
    Error, Object, Options, Stream, Unit,
    documents::{dead_letter, json_document, not_utf8, of_json, text_document},
    encoding::{self, Encoding, SAMPLE_BYTES},
    failure::{Failure, Rejected},
    identity::Identity,
    json_values::{Next, Values},
    lines::Lines,
    objects::{Shared, version},
    table::Rows,
    transcoded::Transcoded,
};
use crate::{
    record::{Body, Code, DeadLetter, Document, DocumentId, Position, json::Json},
    store::{Bytes, Compression, Format, MAGIC_BYTES, READ_BYTES, decompressed, magic, peeked},
};

/// Reads the documents of one object, or of standard input, in their order.
pub struct Reader {
    origin: Origin,
    state: State,
    around: Around,
    report: Report,
    opened: bool,
}

enum Origin {
    Object(Arc<Shared>, Object),
    Stream {
        options: Options,
        identity: Identity,
        format: Format,
        /// Until it is opened.
        bytes: Option<Bytes>,
    },
}

enum State {
    Unopened,
    Lines(Box<Lines<Bytes>>, Form),
    Values(Values<Bytes>, u64),
    Whole(Bytes),
    Rows(Box<Rows>),
    Finishing,
    Ended,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    /// JSON if it is a JSON object, else text.
    Either,
}

/// What stands around a document in its source: all documents of a text or JSON source with it, in a
/// row, are the source. Nothing of it is a document's text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// White space, and the bracket of a JSON array, before the document.
    pub before: Cow<'static, str>,
    /// The end of its line, or what stands behind a JSON value.
    pub after: Cow<'static, str>,
}

impl Around {
    /// Whether the document is a value of a JSON array.
    pub fn in_array(&self) -> bool {
        let of_array = ['[', ',', ']'];
        self.before.contains(of_array) || self.after.contains(of_array)
    }
}

/// How an object or a stream was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Name of the encoding, where it is not UTF-8.
    pub encoding: Option<&'static str>,
    /// Compression that the name does not tell.
    pub compression: Option<&'static str>,
    /// Lines that were read as JSON because they are.
    pub json_lines: u64,
    /// Other lines where each may be JSON.
    pub text_lines: u64,
}

/// Compressed files within compressed files that are opened. More is a bomb.
const MAX_LAYERS: usize = 3;

impl Reader {
    pub(super) fn of(shared: Arc<Shared>, object: Object) -> Self {
        Self::unopened(Origin::Object(shared, object))
    }

    /// Reads documents of `format`, which is none of tables, from standard input or any other stream
    /// of bytes.
    pub fn over(
        bytes: impl AsyncRead + Send + 'static,
        format: Format,
        options: &Options,
    ) -> Result<Self, Error> {
        let bytes: Bytes = Box::pin(BufReader::with_capacity(READ_BYTES, bytes));
        Ok(Self::unopened(Origin::Stream {
            options: options.clone(),
            identity: Identity::of(options)?,
            format,
            bytes: Some(bytes),
        }))
    }

    fn unopened(origin: Origin) -> Self {
        Self {
            origin,
            state: State::Unopened,
            around: Around::default(),
            report: Report::default(),
            opened: false,
        }
    }

    /// Whether it came as far as its first record. A unit that is rejected before is the whole object.
    pub fn is_opened(&self) -> bool {
        self.opened
    }

    /// What stands around the document or the rejected record that was read last.
    pub fn take_around(&mut self) -> Around {
        std::mem::take(&mut self.around)
    }

    /// How it was read so far.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The next unit; `None` after the last. An error is the store's: the object can be read again.
    pub async fn next(&mut self) -> Result<Option<Unit>, Error> {
        match self.step().await {
            Ok(unit) => Ok(unit),
            Err(Failure::Error(error)) => {
                self.state = State::Ended;
                Err(error)
            }
            Err(Failure::Rejected(Rejected { code, reason })) => {
                // What came before was yielded; what comes after cannot be found.
                let record = match &self.state {
                    State::Lines(lines, _) => Some(lines.next_line()),
                    State::Values(_, number) => Some(*number),
                    _ => None,
                };
                self.state = State::Ended;
                let source = self.position(record);
                Ok(Some(Unit::Rejected(dead_letter(source, code, reason))))
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Unit>, Failure> {
        loop {
            match &mut self.state {
                State::Unopened => {
                    self.state = self.open().await?;
                    self.opened = true;
                }
                State::Lines(..) => match self.next_line().await? {
                    Some(unit) => return Ok(Some(unit)),
                    None => self.state = State::Finishing,
                },
                State::Values(..) => match self.next_value().await? {
                    Some(unit) => return Ok(Some(unit)),
                    None => self.state = State::Finishing,
                },
                State::Whole(_) => {
                    let whole = std::mem::replace(&mut self.state, State::Finishing);
                    let State::Whole(reader) = whole else {
                        unreachable!("matched above");
                    };
                    return Ok(Some(self.stream(reader)));
                }
                State::Rows(rows) => {
                    let Origin::Object(shared, object) = &self.origin else {
                        unreachable!("tables are read from objects only");
                    };
                    match rows.next(shared, object).await? {
                        Some(table) => return Ok(Some(Unit::Table(table))),
                        None => self.state = State::Finishing,
                    }
                }
                State::Finishing => {
                    self.state = State::Ended;
                    self.say_how();
                    self.check_unchanged().await?;
                }
                State::Ended => return Ok(None),
            }
        }
    }

    /// Says what the name of the object does not.
    fn say_how(&self) {
        let Report {
            encoding,
            compression,
            json_lines,
            text_lines,
        } = self.report;
        if encoding.is_some() || compression.is_some() || json_lines > 0 {
            let encoding = encoding.unwrap_or(Encoding::UTF_8.name());
            // Unset where the name says it, or nothing is compressed.
            let object = self.name();
            info!(%object, encoding, compression, json_lines, text_lines, "read");
        }
    }

    async fn open(&mut self) -> Result<State, Failure> {
        let (shared, object) = match &mut self.origin {
            Origin::Object(shared, object) => (shared.clone(), object.clone()),
            Origin::Stream { bytes, format, .. } => {
                let format = *format;
                let bytes = bytes.take().expect("a stream is opened once");
                return self.open_text(bytes, format).await;
            }
        };
        if object.size == 0 {
            return Ok(State::Finishing);
        }
        if object.format == Format::Parquet && object.compression.is_none() {
            let rows = Rows::parquet(&shared, &object).await?;
            return Ok(State::Rows(Box::new(rows)));
        }
        if object.format == Format::Parquet {
            let reason = "a Parquet file inside gzip or zstd; Parquet has its own compression";
            return Err(Failure::rejected(Code::Corrupt, reason));
        }
        let mut bytes = open_bytes(&shared, &object).await?;
        if object.format != Format::Arrow {
            return self.open_text(bytes, object.format).await;
        }
        let temporary = |source| {
            Failure::Error(Error::Io {
                at: format!("a temporary copy of {}", object.path),
                source,
            })
        };
        let file = tempfile::tempfile().map_err(temporary)?;
        let mut file = tokio::fs::File::from_std(file);
        loop {
            let read = bytes.fill_buf().await;
            let piece = read.map_err(|e| Failure::read(&object.path, e))?;
            if piece.is_empty() {
                break;
            }
            let written = tokio::io::AsyncWriteExt::write_all(&mut file, piece).await;
            written.map_err(temporary)?;
            let used = piece.len();
            bytes.consume(used);
        }
        tokio::io::AsyncWriteExt::flush(&mut file)
            .await
            .map_err(temporary)?;
        let mut file = file.into_std().await;
        io::Seek::rewind(&mut file).map_err(temporary)?;
        let rows = Rows::arrow(&shared, &object, file).await?;
        Ok(State::Rows(Box::new(rows)))
    }

    /// Decompresses what its first bytes say is compressed.
    async fn unpacked(&mut self, mut bytes: Bytes, is_stream: bool) -> Result<Bytes, Failure> {
        let enough = |head: &[u8]| is_stream && encoding::enough(head);
        // What a stream gave at once is looked at as a whole.
        let wanted = if is_stream { SAMPLE_BYTES } else { MAGIC_BYTES };
        for layer in 0.. {
            let (head, _, all) = peeked(bytes, wanted, enough).await;
            bytes = all;
            let compression = match magic(&head) {
                None => break,
                Some(name @ "gzip") if layer < MAX_LAYERS => (name, Compression::Gzip),
                Some(name @ "zstd") if layer < MAX_LAYERS => (name, Compression::Zstd),
                Some("gzip" | "zstd") => {
                    let reason = "compressed more than three times over";
                    return Err(Failure::rejected(Code::Compressed, reason));
                }
                Some(name) => {
                    let reason = format!(
                        "compressed with {name}, which weir does not read; use gzip or zstd"
                    );
                    return Err(Failure::rejected(Code::Compressed, &reason));
                }
            };
            self.report.compression = Some(compression.0);
            bytes = decompressed(bytes, compression.1);
        }
        Ok(bytes)
    }

    /// Opens what is not a table: decompresses what its first bytes say is compressed, and decodes it.
    async fn open_text(&mut self, bytes: Bytes, format: Format) -> Result<State, Failure> {
        let name = self.name();
        let failed = |error| Failure::read(&name, error);
        // A stream that is slow must not be waited for longer than its first bytes take.
        let is_stream = matches!(self.origin, Origin::Stream { .. });
        let enough = |head: &[u8]| is_stream && encoding::enough(head);
        let bytes = self.unpacked(bytes, is_stream).await?;
        let configured = self.options().encoding;
        let (head, whole, bytes) = peeked(bytes, SAMPLE_BYTES, enough).await;
        let told = match configured {
            None => encoding::tell(&head, whole),
            Some(encoding) => Ok(encoding::marked(&head, encoding)),
        };
        let told =
            told.map_err(|unknown| Failure::rejected(Code::UnknownEncoding, &unknown.to_string()))?;
        let mut bytes = bytes;
        if told.mark > 0 {
            let mut mark = vec![0; told.mark];
            bytes.read_exact(&mut mark).await.map_err(failed)?;
        }
        if told.encoding != Encoding::UTF_8 {
            self.report.encoding = Some(told.encoding.name());
            let decoded = Transcoded::new(bytes, told.encoding);
            bytes = Box::pin(BufReader::with_capacity(READ_BYTES, decoded));
        } else if configured.is_none() && matches!(format, Format::Text | Format::Json) {
            // Of lines, each one is looked at by itself.
            let guarded = Transcoded::guarded(bytes);
            bytes = Box::pin(BufReader::with_capacity(READ_BYTES, guarded));
        }
        let limit = self.options().max_record_bytes;
        let lines = |bytes, form| {
            let lines = match form {
                Form::Json => Lines::json(bytes, limit),
                Form::Text | Form::Either => {
                    Lines::new(bytes, limit, self.options().multiline.clone(), is_stream)
                }
            };
            State::Lines(Box::new(lines), form)
        };
        Ok(match format {
            Format::Text => State::Whole(bytes),
            Format::Lines => lines(bytes, Form::Text),
            Format::JsonLines => lines(bytes, Form::Json),
            Format::Auto | Format::Json => {
                let (head, ended, mut bytes) = peeked(bytes, SAMPLE_BYTES, enough).await;
                let mark = "\u{FEFF}".as_bytes();
                let text = head.strip_prefix(mark).unwrap_or(&head);
                let first = FirstLine::of(text, ended);
                let values = match format {
                    Format::Json => first != FirstLine::Object,
                    // A log is lines, whatever its first one is.
                    _ => is_stream && first == FirstLine::Opening,
                };
                if !values && format == Format::Json {
                    lines(bytes, Form::Json)
                } else if !values {
                    lines(bytes, Form::Either)
                } else {
                    if text.len() < head.len() {
                        let mut mark = [0; 3];
                        bytes.read_exact(&mut mark).await.map_err(failed)?;
                    }
                    State::Values(Values::new(bytes, limit), 0)
                }
            }
            Format::Parquet | Format::Arrow => unreachable!("tables are opened elsewhere"),
        })
    }

    async fn next_line(&mut self) -> Result<Option<Unit>, Failure> {
        loop {
            let State::Lines(lines, form) = &mut self.state else {
                unreachable!("called for lines only");
            };
            let form = *form;
            let record = lines.next().await;
            let Some(record) = record.map_err(|error| Failure::read(&self.name(), error))? else {
                return Ok(None);
            };
            let position = self.position(Some(record.line));
            self.around.after = record.end.as_str().into();
            let content = match record.content {
                Ok(content) => content,
                Err(too_long) => {
                    let letter = dead_letter(position, Code::TooLarge, too_long.to_string());
                    return Ok(Some(Unit::Rejected(letter)));
                }
            };
            if form == Form::Json && content.iter().all(u8::is_ascii_whitespace) {
                let blank = self.around.before.to_mut();
                if blank.len() < MAX_BLANK_BYTES {
                    blank.extend(content.iter().map(|byte| char::from(*byte)));
                    blank.push_str(record.end.as_str());
                }
                continue;
            }
            let guarded = self.report.encoding.is_none() && self.options().encoding.is_none();
            if guarded && encoding::is_no_text(&content) {
                let reason =
                    "the line contains text of another encoding, or binary data".to_owned();
                let letter = dead_letter(position, Code::UnknownEncoding, reason);
                return Ok(Some(Unit::Rejected(letter)));
            }
            let unit = match self.text(content, "line", &position) {
                Ok(text) => self.line(text, form, record.line == 0, position),
                Err(letter) => Err(letter),
            };
            return Ok(Some(match unit {
                Ok(document) => Unit::Document(document),
                Err(letter) => Unit::Rejected(letter),
            }));
        }
    }

    fn line(
        &mut self,
        text: String,
        form: Form,
        is_first: bool,
        position: Position,
    ) -> Result<Document, DeadLetter> {
        // A byte order mark belongs to the file, not to its first record.
        let json = match text.strip_prefix('\u{FEFF}') {
            Some(rest) if is_first => rest,
            _ => &text,
        };
        match form {
            Form::Text => {}
            Form::Json => {
                let (json, name) = (json.to_owned(), self.name());
                return json_document(json, "line", self.identity(), &name, position);
            }
            Form::Either => {
                let is_object =
                    json.trim_start().starts_with('{') && json.trim_end().ends_with('}');
                let read = is_object.then(|| Json::parse(json).ok()).flatten();
                if let Some(json) = read {
                    self.report.json_lines += 1;
                    let name = self.name();
                    let mut document = of_json(json, "line", self.identity(), &name, position)?;
                    if let Body::Json(text) = document.body {
                        document.body = Body::JsonLine(text);
                    }
                    return Ok(document);
                }
                self.report.text_lines += 1;
            }
        }
        let tenant = self.identity().of_object(&self.name());
        Ok(text_document(text, tenant, position))
    }

    async fn next_value(&mut self) -> Result<Option<Unit>, Failure> {
        let State::Values(values, number) = &mut self.state else {
            unreachable!("called for values only");
        };
        let next = values.next().await;
        let record = *number;
        *number += u64::from(matches!(next, Ok(Next::Value(_))));
        let value = match next.map_err(|error| Failure::read(&self.name(), error))? {
            Next::End => return Ok(None),
            Next::Value(value) => value,
            Next::Broken => {
                let reason = "the value is not JSON, or the array around it is not";
                return Err(Failure::rejected(Code::NotJson, reason));
            }
        };
        let position = self.position(Some(record));
        self.around = Around {
            before: value.before.into(),
            after: value.after.into(),
        };
        let limit = self.options().max_record_bytes;
        let content = value.content.map_err(|bytes| {
            let reason = format!("the JSON value has {bytes} bytes; the limit is {limit}");
            dead_letter(position.clone(), Code::TooLarge, reason)
        });
        let document = content
            .and_then(|content| self.text(content, "value", &position))
            .and_then(|text| json_document(text, "value", self.identity(), &self.name(), position));
        Ok(Some(match document {
            Ok(document) => Unit::Document(document),
            Err(letter) => Unit::Rejected(letter),
        }))
    }

    /// A record's bytes as text.
    fn text(&self, bytes: Vec<u8>, what: &str, position: &Position) -> Result<String, DeadLetter> {
        String::from_utf8(bytes).map_err(|error| match self.report.encoding {
            None => not_utf8(&error, what, position.clone()),
            Some(encoding) => {
                let reason = format!("the {what} contains bytes that are not valid in {encoding}");
                dead_letter(position.clone(), Code::NotUtf8, reason)
            }
        })
    }

    fn stream(&self, reader: Bytes) -> Unit {
        let position = self.position(None);
        Unit::Stream(Stream {
            id: DocumentId::place(&position),
            tenant: self.identity().of_object(&self.name()),
            position,
            reader: Box::pin(reader),
        })
    }

    /// A local file can be written to while it is read; a store serves one version to its end.
    async fn check_unchanged(&self) -> Result<(), Failure> {
        let Origin::Object(shared, object) = &self.origin else {
            return Ok(());
        };
        if shared.location.folder().is_none() {
            return Ok(());
        }
        let meta = shared.location.store().head(&object.location).await;
        let meta = meta.map_err(|e| Failure::store(object, e))?;
        if version(&meta, true) == object.version {
            return Ok(());
        }
        Err(Failure::changed())
    }

    fn position(&self, record: Option<u64>) -> Position {
        match &self.origin {
            Origin::Object(_, object) => object.position(record),
            Origin::Stream { .. } => Position::Stdin {
                line: record.unwrap_or(0),
            },
        }
    }

    fn name(&self) -> String {
        match &self.origin {
            Origin::Object(_, object) => object.path.clone(),
            Origin::Stream { .. } => "stdin".to_owned(),
        }
    }

    fn options(&self) -> &Options {
        match &self.origin {
            Origin::Object(shared, _) => &shared.options,
            Origin::Stream { options, .. } => options,
        }
    }

    fn identity(&self) -> &Identity {
        match &self.origin {
            Origin::Object(shared, _) => &shared.identity,
            Origin::Stream { identity, .. } => identity,
        }
    }
}

/// Blank lines between JSON documents that are kept. More are let go: they may have no end.
const MAX_BLANK_BYTES: usize = 64 << 10;

/// What the first line of a JSON text says about the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstLine {
    /// It is a JSON object: each line is one.
    Object,
    /// It opens an object or an array, and nothing else stands in it.
    Opening,
    Other,
}

impl FirstLine {
    /// `ended`: the text has no more than `head`.
    fn of(head: &[u8], ended: bool) -> Self {
        let text = head.trim_ascii_start();
        let line = match memchr::memchr(b'\n', text) {
            Some(end) => &text[..end],
            None if ended => text,
            None => return Self::Other,
        };
        let line = line.trim_ascii_end();
        if matches!(line, b"{" | b"[" | b"[{") {
            return Self::Opening;
        }
        let object = std::str::from_utf8(line).is_ok_and(|line| Json::parse(line).is_ok());
        if object { Self::Object } else { Self::Other }
    }
}

async fn open_bytes(shared: &Shared, object: &Object) -> Result<Bytes, Failure> {
    let options = GetOptions {
        if_match: object.e_tag.clone(),
        ..GetOptions::default()
    };
    let store = shared.location.store();
    let result = store.get_opts(&object.location, options).await;
    let result = result.map_err(|e| Failure::store(object, e))?;
    let stream = result.into_stream().map_err(io::Error::other);
    let bytes = BufReader::with_capacity(READ_BYTES, StreamReader::new(stream));
    let bytes: Bytes = Box::pin(bytes);
    Ok(match object.compression {
        None => bytes,
        Some(compression) => decompressed(bytes, compression),
    })
}
