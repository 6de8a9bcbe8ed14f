use std::{io, pin::Pin, sync::Arc};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use futures::TryStreamExt;
use object_store::{GetOptions, ObjectStoreExt};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader};
use tokio_util::io::StreamReader;

use super::{
    Compression, Error, Format, Object, Options, Stream, Unit,
    identity::Identity,
    lines::{Line, read_line},
    objects::{Shared, version},
    table::Rows,
};
use crate::record::{
    Body, Code, DeadLetter, Document, DocumentId, Position, Stage, Text,
    json::{Json, NotJson},
};

/// Reads the documents of one object, or of standard input, in their order.
pub struct Reader {
    origin: Origin,
    state: State,
    line: Vec<u8>,
    next_line: u64,
}

enum Origin {
    Object(Arc<Shared>, Object),
    Stdin(Options, Identity),
}

enum State {
    Unopened,
    Lines { bytes: Decoded, json: bool },
    Whole(Decoded),
    Rows(Box<Rows>),
    Finishing,
    Ended,
}

type Decoded = Pin<Box<dyn AsyncBufRead + Send>>;

/// Bytes read ahead of the decoder.
const READ_BYTES: usize = 256 << 10;

impl Reader {
    pub(super) fn of(shared: Arc<Shared>, object: Object) -> Self {
        Self {
            origin: Origin::Object(shared, object),
            state: State::Unopened,
            line: Vec::new(),
            next_line: 0,
        }
    }

    /// Reads documents of `format` (text, lines or JSON lines) from standard input or any other
    /// stream of bytes.
    pub fn over(
        bytes: impl AsyncRead + Send + 'static,
        format: Format,
        options: &Options,
    ) -> Result<Self, Error> {
        let bytes: Decoded = Box::pin(BufReader::with_capacity(READ_BYTES, bytes));
        let identity = Identity::of(options)?;
        let state = match format {
            Format::Text => State::Whole(bytes),
            format => State::Lines {
                bytes,
                json: format == Format::JsonLines,
            },
        };
        Ok(Self {
            origin: Origin::Stdin(options.clone(), identity),
            state,
            line: Vec::new(),
            next_line: 0,
        })
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
                    State::Lines { .. } => Some(self.next_line),
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
                State::Unopened => self.state = self.open().await?,
                State::Lines { .. } => match self.next_document().await? {
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
                    self.check_unchanged().await?;
                }
                State::Ended => return Ok(None),
            }
        }
    }

    async fn open(&self) -> Result<State, Failure> {
        let Origin::Object(shared, object) = &self.origin else {
            unreachable!("standard input is open from the start");
        };
        if object.size == 0 {
            return Ok(State::Finishing);
        }
        if object.format == Format::Parquet && object.compression.is_none() {
            let rows = Rows::parquet(shared, object).await?;
            return Ok(State::Rows(Box::new(rows)));
        }
        if object.format == Format::Parquet {
            let reason = "a Parquet file inside gzip or zstd; Parquet has its own compression";
            return Err(Failure::rejected(Code::Corrupt, reason));
        }
        let mut bytes = open_bytes(shared, object).await?;
        match object.format {
            Format::Text => Ok(State::Whole(bytes)),
            Format::Lines => Ok(State::Lines { bytes, json: false }),
            Format::JsonLines => Ok(State::Lines { bytes, json: true }),
            Format::Parquet | Format::Arrow => {
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
                let rows = Rows::arrow(shared, object, file).await?;
                Ok(State::Rows(Box::new(rows)))
            }
        }
    }

    async fn next_document(&mut self) -> Result<Option<Unit>, Failure> {
        loop {
            let limit = self.options().max_record_bytes;
            let State::Lines { bytes, json } = &mut self.state else {
                unreachable!("called for lines only");
            };
            let json = *json;
            let read = read_line(bytes, &mut self.line, limit).await;
            let line = match read {
                Ok(line) => line,
                Err(error) => return Err(Failure::read(&self.name(), error)),
            };
            let position = match line {
                Line::End => return Ok(None),
                Line::Whole | Line::TooLong { .. } => self.position(Some(self.next_line)),
            };
            self.next_line += 1;
            if let Line::TooLong { bytes } = line {
                let reason = format!("the line has {bytes} bytes, allowed are {limit}");
                let letter = dead_letter(position, Code::TooLarge, reason);
                return Ok(Some(Unit::Rejected(letter)));
            }
            if json && self.line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let unit = match String::from_utf8(line) {
                Ok(text) if json => self.json_document(text, position),
                Ok(text) => Ok(text_document(
                    text,
                    self.identity().of_object(&self.name()),
                    position,
                )),
                Err(error) => Err(not_utf8(&error, "line", position)),
            };
            return Ok(Some(match unit {
                Ok(document) => Unit::Document(document),
                Err(letter) => Unit::Rejected(letter),
            }));
        }
    }

    fn json_document(&self, text: String, position: Position) -> Result<Document, DeadLetter> {
        let is_first = matches!(
            position,
            Position::Object {
                record: Some(0),
                ..
            }
        );
        let text = match text.strip_prefix('\u{FEFF}') {
            // A byte order mark belongs to the file, not to its first record.
            Some(rest) if is_first => rest.to_owned(),
            _ => text,
        };
        json_document(text, "line", self.identity(), &self.name(), position)
    }

    fn stream(&self, reader: Decoded) -> Unit {
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
            Origin::Stdin(..) => Position::Stdin {
                line: record.unwrap_or(0),
            },
        }
    }

    fn name(&self) -> String {
        match &self.origin {
            Origin::Object(_, object) => object.path.clone(),
            Origin::Stdin(..) => "stdin".to_owned(),
        }
    }

    fn options(&self) -> &Options {
        match &self.origin {
            Origin::Object(shared, _) => &shared.options,
            Origin::Stdin(options, _) => options,
        }
    }

    fn identity(&self) -> &Identity {
        match &self.origin {
            Origin::Object(shared, _) => &shared.identity,
            Origin::Stdin(_, identity) => identity,
        }
    }
}

/// A text as a document.
pub(super) fn text_document(text: String, tenant: Option<String>, position: Position) -> Document {
    Document {
        id: DocumentId::place(&position),
        tenant,
        position,
        body: Body::Text(Text::from(text)),
    }
}

/// A JSON object as a document; `what` names the text in a dead letter's reason.
pub(super) fn json_document(
    text: String,
    what: &str,
    identity: &Identity,
    object: &str,
    position: Position,
) -> Result<Document, DeadLetter> {
    let json = Json::parse(text).map_err(|error| {
        let reason = match error {
            NotJson::Syntax { column, .. } => {
                format!("the {what} is not valid JSON (column {column})")
            }
            other => format!("the {what} is {other}"),
        };
        dead_letter(position.clone(), Code::NotJson, reason)
    })?;
    let id = identity.id_of_json(&json, &position);
    match identity.of_json(&json, object) {
        Ok(tenant) => Ok(Document {
            id,
            tenant,
            position,
            body: Body::Json(json.into_text()),
        }),
        Err(code) => {
            let reason = "the tenant of the record is neither text nor a number";
            let mut letter = dead_letter(position, code, reason.to_owned());
            letter.document_id = Some(id.in_dead_letter());
            Err(letter)
        }
    }
}

pub(super) fn not_utf8(
    error: &std::string::FromUtf8Error,
    what: &str,
    position: Position,
) -> DeadLetter {
    let at = error.utf8_error().valid_up_to();
    let reason = format!("byte {at} of the {what} is not valid UTF-8");
    dead_letter(position, Code::NotUtf8, reason)
}

pub(super) fn dead_letter(source: Position, code: Code, reason: String) -> DeadLetter {
    DeadLetter {
        source,
        tenant: None,
        document_id: None,
        stage: Stage::Source,
        code,
        reason,
        attempts: 1,
    }
}

async fn open_bytes(shared: &Shared, object: &Object) -> Result<Decoded, Failure> {
    let options = GetOptions {
        if_match: object.e_tag.clone(),
        ..GetOptions::default()
    };
    let store = shared.location.store();
    let result = store.get_opts(&object.location, options).await;
    let result = result.map_err(|e| Failure::store(object, e))?;
    let stream = result.into_stream().map_err(io::Error::other);
    let bytes = BufReader::with_capacity(READ_BYTES, StreamReader::new(stream));
    Ok(match object.compression {
        None => Box::pin(bytes),
        Some(Compression::Gzip) => {
            let mut decoder = GzipDecoder::new(bytes);
            decoder.multiple_members(true);
            Box::pin(BufReader::with_capacity(READ_BYTES, decoder))
        }
        Some(Compression::Zstd) => {
            let mut decoder = ZstdDecoder::new(bytes);
            decoder.multiple_members(true);
            Box::pin(BufReader::with_capacity(READ_BYTES, decoder))
        }
    })
}

/// What an error of [`Stream::reader`] means.
#[derive(Debug)]
pub enum ReadFailure {
    /// The object is broken or was replaced: a dead letter with this code and reason.
    Rejected(Code, String),
    /// The store failed: the object can be read again.
    Error(Error),
}

/// Tells a broken object from a store that failed.
pub fn read_failure(position: &Position, error: io::Error) -> ReadFailure {
    match Failure::read(&position.to_string(), error) {
        Failure::Rejected(Rejected { code, reason }) => ReadFailure::Rejected(code, reason),
        Failure::Error(error) => ReadFailure::Error(error),
    }
}

/// Why a step of a reader gave no unit.
#[derive(Debug)]
pub(super) enum Failure {
    Rejected(Rejected),
    Error(Error),
}

#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) code: Code,
    pub(super) reason: String,
}

impl Failure {
    fn rejected(code: Code, reason: &str) -> Self {
        Self::Rejected(Rejected {
            code,
            reason: reason.to_owned(),
        })
    }

    fn changed() -> Self {
        let reason = "the object was replaced or removed while it was being read";
        Self::rejected(Code::Changed, reason)
    }

    pub(super) fn store(object: &Object, source: object_store::Error) -> Self {
        match source {
            object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. } => {
                Self::changed()
            }
            source => Self::Error(Error::Store {
                at: object.path.clone(),
                source,
            }),
        }
    }

    fn read(at: &str, error: io::Error) -> Self {
        let at = at.to_owned();
        match error.downcast::<object_store::Error>() {
            Ok(object_store::Error::Precondition { .. }) => Self::changed(),
            Ok(source) => Self::Error(Error::Store { at, source }),
            Err(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    Self::rejected(Code::Truncated, "the compressed object ends before its end")
                }
                // What the decoders of async-compression return for bytes that are not theirs.
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                    Self::rejected(Code::Truncated, "the compressed object is broken")
                }
                _ => Self::Error(Error::Io { at, source: error }),
            },
        }
    }
}
