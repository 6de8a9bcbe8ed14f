use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, cast::AsArray};
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, FieldRef, SchemaRef};
use arrow_select::concat::concat_batches;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStoreExt;
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream},
    errors::ParquetError,
    file::metadata::{KeyValue, ParquetMetaData},
};

use super::{
    Object, arrow_file, columns,
    objects::Shared,
    parquet_file::{Ranges, unchecked},
    reader::{Failure, Rejected},
    unpacked,
};
use crate::record::{
    Body, Code, DeadLetter, Document, DocumentId, IdTreatment, Stage, Text,
    schema_name::shown,
    text_column::{Cells, TextColumn, is_text},
};

/// Rows of a Parquet or Arrow file.
#[derive(Debug)]
pub struct Table {
    /// The rows as received: untouched columns are copied from here.
    pub batch: RecordBatch,
    /// One for each row, in row order; its body is [`crate::record::Body::Row`].
    pub documents: Vec<Result<Document, DeadLetter>>,
    /// Rows before or among these that no array can hold, and that are not in the batch.
    pub unreadable: Vec<DeadLetter>,
    /// What the file is like, the same for all of its batches.
    pub layout: Arc<Layout>,
}

impl Table {
    /// Bytes that its arrays take of memory.
    pub fn bytes(&self) -> u64 {
        self.batch.get_array_memory_size() as u64
    }
}

/// What a copy of the file has to be like.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Schema with its metadata.
    pub schema: SchemaRef,
    /// Text columns, in the order of a row's cells.
    pub text_columns: Vec<TextColumn>,
    /// Column of ids that may be values, if it holds text: a copy has the ids that records show.
    pub id_column: Option<TextColumn>,
    /// The form of the file.
    pub format: TableFormat,
}

/// The form of a table file, as far as a copy should keep it.
#[derive(Debug, Clone, PartialEq)]
pub enum TableFormat {
    /// Parquet.
    Parquet {
        /// Codec of the first column.
        codec: parquet::basic::Compression,
        /// Rows in the largest row group.
        row_group_rows: usize,
        /// Key-value metadata of the file, the Arrow schema left out.
        metadata: Vec<KeyValue>,
    },
    /// Arrow's file form, with a footer.
    ArrowFile,
    /// Arrow's stream form.
    ArrowStream,
}

/// Rows in one batch: enough to fill windows, few enough to wait for.
const MAX_ROWS: usize = 1024;

/// Bytes that one Parquet batch should have at most, judged by the mean of the row groups.
const BATCH_BYTES: u64 = 16 << 20;

/// The batches of one table file.
pub(super) struct Rows {
    batches: Batches,
    layout: Arc<Layout>,
    id: Option<TextColumn>,
    tenant: Option<TextColumn>,
    object_tenant: Option<String>,
    row: u64,
    /// Whether a table was yielded: a file without rows gives one without rows.
    yielded: bool,
}

enum Batches {
    Parquet(Box<ParquetBatches>),
    Arrow(ArrowBatches),
}

struct ArrowBatches {
    reader: Option<ArrowReader>,
    /// What is left of the last batch.
    rest: Option<RecordBatch>,
    /// The copy on the local disk, to read it once more.
    file: File,
    /// Whether strings are read as bytes, because one of them is not UTF-8.
    unchecked: bool,
}

struct ParquetBatches {
    stream: ParquetRecordBatchStream<Ranges>,
    failed: Arc<Mutex<Option<object_store::Error>>>,
    metadata: Arc<ParquetMetaData>,
    rows: usize,
    /// Whether strings are read as bytes, because one of them is not UTF-8.
    unchecked: bool,
}

/// A batch as read: rows that no array of the schema's types can hold are apart.
struct Batch {
    rows: RecordBatch,
    /// Number of each row, counted from the first of the batch.
    numbers: Vec<u64>,
    unreadable: Vec<(u64, String)>,
    /// Rows in the file.
    total: u64,
}

impl Batch {
    fn whole(rows: RecordBatch) -> Self {
        let total = rows.num_rows() as u64;
        Self {
            rows,
            numbers: (0..total).collect(),
            unreadable: Vec::new(),
            total,
        }
    }
}

type ArrowReader = Box<dyn RecordBatchReader + Send>;

impl Rows {
    pub(super) async fn parquet(shared: &Shared, object: &Object) -> Result<Self, Failure> {
        let failed = Arc::new(Mutex::new(None));
        let store = shared.location.store();
        let ranges = Ranges::of(store.clone(), object.clone(), failed.clone());
        let builder = guarded(ParquetRecordBatchStreamBuilder::new(ranges)).await;
        let builder = match builder {
            Ok(builder) => builder,
            Err(error) => {
                let failure = parquet_failure(object, &failed, &error);
                return Err(not_parquet(shared, object, failure).await);
            }
        };
        let metadata = builder.metadata().clone();
        let groups = metadata.row_groups();
        let rows = metadata.file_metadata().num_rows().max(0) as u64;
        let bytes: i64 = groups.iter().map(|group| group.total_byte_size()).sum();
        let row_bytes = (bytes.max(0) as u64 / rows.max(1)).max(1);
        let key_values = metadata.file_metadata().key_value_metadata();
        let layout = Layout {
            schema: builder.schema().clone(),
            text_columns: Vec::new(),
            id_column: None,
            format: TableFormat::Parquet {
                codec: groups
                    .first()
                    .and_then(|group| group.columns().first())
                    .map_or(parquet::basic::Compression::UNCOMPRESSED, |c| {
                        c.compression()
                    }),
                row_group_rows: groups
                    .iter()
                    .map(|group| group.num_rows().max(1) as usize)
                    .max()
                    .unwrap_or(MAX_ROWS),
                metadata: key_values
                    .into_iter()
                    .flatten()
                    .filter(|entry| entry.key != "ARROW:schema")
                    .cloned()
                    .collect(),
            },
        };
        let batch_rows = (BATCH_BYTES / row_bytes).clamp(1, MAX_ROWS as u64) as usize;
        let stream = builder.with_batch_size(batch_rows).build();
        let stream = stream.map_err(|e| parquet_failure(object, &failed, &Some(e)))?;
        let batches = ParquetBatches {
            stream,
            failed,
            metadata,
            rows: batch_rows,
            unchecked: false,
        };
        let batches = Batches::Parquet(Box::new(batches));
        Self::of(shared, object, layout, batches)
    }

    /// Reads a file that was copied to the local disk: Arrow's file form is read from its end.
    pub(super) async fn arrow(
        shared: &Shared,
        object: &Object,
        file: File,
    ) -> Result<Self, Failure> {
        let again = file.try_clone().map_err(|_| corrupt(NOT_ARROW))?;
        let opened = tokio::task::spawn_blocking(move || open_arrow(file)).await;
        // A panic of the reader on hostile bytes ends as a join error.
        let (reader, format) = opened.unwrap_or_else(|_| Err(corrupt(NOT_ARROW)))?;
        let layout = Layout {
            schema: reader.schema(),
            text_columns: Vec::new(),
            id_column: None,
            format,
        };
        let batches = Batches::Arrow(ArrowBatches {
            reader: Some(reader),
            rest: None,
            file: again,
            unchecked: false,
        });
        Self::of(shared, object, layout, batches)
    }

    fn of(
        shared: &Shared,
        object: &Object,
        mut layout: Layout,
        batches: Batches,
    ) -> Result<Self, Failure> {
        let options = &shared.options;
        let schema = layout.schema.clone();
        let missing = |reason| rejected(Code::MissingColumn, reason);
        let default = ["text".to_owned()];
        let text = match options.columns.text.is_empty() {
            true => &default[..],
            false => &options.columns.text,
        };
        layout.text_columns = columns::texts(&schema, text).map_err(missing)?;
        let name = |name: &str, required: bool| match columns::name(&schema, name) {
            Ok(columns::Found::Column(column)) => Ok(Some(column)),
            Ok(columns::Found::Nothing) if required => {
                Err(missing(columns::missing(&schema, name)))
            }
            Err(reason) if required => Err(missing(reason)),
            Ok(columns::Found::Nothing) | Err(_) => Ok(None),
        };
        let id = match &options.columns.id {
            Some(column) => name(column, true)?,
            None => name("id", false)?,
        };
        if let Some(id) = &id {
            let kind = id.data_type(&schema);
            match shared.identity.id_rules().treatment {
                IdTreatment::Keep => {}
                _ if kind.is_some_and(is_text) => layout.id_column = Some(id.clone()),
                IdTreatment::Hash => {
                    let reason = format!(
                        "the type of column `{}` cannot hold hashed ids: make it text, or remove \
                         source.id.hash",
                        options.columns.id.as_deref().unwrap_or("id")
                    );
                    return Err(missing(reason));
                }
                IdTreatment::Redact => {}
            }
        }
        let tenant = match shared.identity.tenant_column(options) {
            Some((column, required)) => name(column, required)?,
            None => None,
        };
        Ok(Self {
            batches,
            layout: Arc::new(layout),
            id,
            tenant,
            object_tenant: shared.identity.of_object(&object.path),
            row: 0,
            yielded: false,
        })
    }

    /// The next table.
    pub(super) async fn next(
        &mut self,
        shared: &Shared,
        object: &Object,
    ) -> Result<Option<Table>, Failure> {
        let batch = match self.next_batch(shared, object).await? {
            Some(batch) => batch,
            None if self.yielded => return Ok(None),
            None => Batch::whole(RecordBatch::new_empty(self.layout.schema.clone())),
        };
        self.yielded = true;
        self.table(shared, object, batch).map(Some)
    }

    async fn next_batch(
        &mut self,
        shared: &Shared,
        object: &Object,
    ) -> Result<Option<Batch>, Failure> {
        match &mut self.batches {
            Batches::Parquet(batches) => {
                let schema = &self.layout.schema;
                batches.next(shared, object, schema, self.row).await
            }
            Batches::Arrow(batches) => batches.next(&self.layout.schema, self.row).await,
        }
    }

    fn table(&mut self, shared: &Shared, object: &Object, batch: Batch) -> Result<Table, Failure> {
        let Batch {
            rows,
            numbers,
            unreadable,
            total,
        } = batch;
        let first = self.row;
        self.row += total;
        let ids = self.id.as_ref().map(|column| Names::of(column, &rows));
        let ids = ids.transpose()?;
        let tenants = self.tenant.as_ref().map(|column| Names::of(column, &rows));
        let tenants = tenants.transpose()?;
        let cells = self.layout.text_columns.iter();
        let cells: Result<Vec<Cells>, _> = cells.map(|column| column.cells(&rows)).collect();
        let cells = cells.map_err(|error| corrupt(&error.to_string()))?;
        let limit = shared.options.max_record_bytes;
        let mut documents = Vec::with_capacity(rows.num_rows());
        for (index, number) in numbers.iter().enumerate() {
            let position = object.position(Some(first + number));
            let id = ids.as_ref().and_then(|ids| ids.get(index));
            let id = match id {
                Some(id) => shared.identity.id_beside(id.to_owned()),
                None => DocumentId::place(&position),
            };
            let tenant = match &tenants {
                Some(tenants) => tenants.get(index).map(str::to_owned),
                None => self.object_tenant.clone(),
            };
            documents.push(match row(&cells, index, limit) {
                Ok(body) => Ok(Document {
                    id,
                    tenant,
                    position,
                    body,
                }),
                Err((code, reason)) => Err(DeadLetter {
                    source: position,
                    // What a column says is text of the record until a policy is known by it.
                    tenant: None,
                    document_id: Some(id.in_dead_letter()),
                    stage: Stage::Source,
                    code,
                    reason,
                    attempts: 1,
                }),
            });
        }
        let unreadable = unreadable.into_iter().map(|(number, reason)| DeadLetter {
            source: object.position(Some(first + number)),
            tenant: None,
            document_id: None,
            stage: Stage::Source,
            code: Code::NotUtf8,
            reason,
            attempts: 1,
        });
        Ok(Table {
            batch: rows,
            documents,
            unreadable: unreadable.collect(),
            layout: self.layout.clone(),
        })
    }
}

/// The cells of a row, or why they are none.
fn row(cells: &[Cells], index: usize, limit: u64) -> Result<Body, (Code, String)> {
    let mut row = Vec::with_capacity(cells.len());
    for column in cells {
        for (name, cell) in column.row(index) {
            let Some(bytes) = cell else {
                row.push((name, None));
                continue;
            };
            if bytes.len() as u64 > limit {
                let reason = format!(
                    "a cell is {} bytes long; the limit is {limit} (limits.max_record_bytes)",
                    bytes.len()
                );
                return Err((Code::TooLarge, reason));
            }
            match std::str::from_utf8(bytes) {
                Ok(text) => row.push((name, Some(Text::from(text)))),
                Err(error) => {
                    let reason = format!(
                        "byte {} of the cell in {} is not valid UTF-8",
                        error.valid_up_to(),
                        column_word(&name)
                    );
                    return Err((Code::NotUtf8, reason));
                }
            }
        }
    }
    Ok(Body::Row(row))
}

/// A column in a message: its name, if it looks like one.
fn column_word(name: &str) -> String {
    let parts = name.split(['[', ']']).filter(|part| !part.is_empty());
    let known = parts
        .filter(|part| !part.chars().all(|c| c.is_ascii_digit()))
        .all(|part| shown(part.trim_start_matches('.')).is_some());
    match known {
        true => format!("column `{name}`"),
        false => "a column whose name may be a value".to_owned(),
    }
}

/// Ids or tenants of a batch.
struct Names {
    names: ArrayRef,
    rows: Vec<Option<usize>>,
}

impl Names {
    fn of(column: &TextColumn, batch: &RecordBatch) -> Result<Self, Failure> {
        let broken = || corrupt("can't unpack the column of ids or tenants");
        let (array, rows) = column.single(batch).map_err(|_| broken())?;
        let names = columns::names(&array).ok_or_else(broken)?;
        Ok(Self { names, rows })
    }

    fn get(&self, row: usize) -> Option<&str> {
        let index = self.rows[row]?;
        let names = self.names.as_string::<i64>();
        names.is_valid(index).then(|| names.value(index))
    }
}

impl ArrowBatches {
    async fn next(&mut self, schema: &SchemaRef, row: u64) -> Result<Option<Batch>, Failure> {
        while self.rest.is_none() {
            let Some(mut taken) = self.reader.take() else {
                return Ok(None);
            };
            let next = tokio::task::spawn_blocking(move || {
                let next = taken.next();
                (taken, next)
            });
            let Ok((taken, next)) = next.await else {
                return Err(corrupt("the Arrow reader failed on a batch"));
            };
            match next {
                None => return Ok(None),
                Some(Err(error)) => {
                    if self.unchecked || !is_text_problem(&error) {
                        return Err(corrupt(arrow_problem(&error)));
                    }
                    drop(taken);
                    self.reader = Some(self.read_unchecked(row).await?);
                    self.unchecked = true;
                    continue;
                }
                Some(Ok(batch)) if batch.num_rows() > 0 => self.rest = Some(batch),
                Some(Ok(_)) => {}
            }
            self.reader = Some(taken);
        }
        let batch = self.rest.take().expect("the loop ends with a batch");
        let rows = batch.num_rows().min(MAX_ROWS);
        if rows < batch.num_rows() {
            self.rest = Some(batch.slice(rows, batch.num_rows() - rows));
        }
        let batch = batch.slice(0, rows);
        match self.unchecked {
            true => checked(&batch, schema).map(Some),
            false => Ok(Some(Batch::whole(batch))),
        }
    }

    /// Begins at `row` once more, with bytes where the schema has text.
    async fn read_unchecked(&self, row: u64) -> Result<ArrowReader, Failure> {
        const PROBLEM: &str =
            "a text column of the Arrow file holds a cell that is not valid UTF-8";
        let file = self.file.try_clone().map_err(|_| corrupt(PROBLEM))?;
        let opened = tokio::task::spawn_blocking(move || {
            let mut file = file;
            let mut magic = [0; 6];
            file.rewind()?;
            let has_footer = file.read_exact(&mut magic).is_ok() && &magic == b"ARROW1";
            if !arrow_file::read_as_bytes(&mut file, has_footer)? {
                return Ok(None);
            }
            let Ok((mut reader, _)) = open_arrow(file) else {
                return Ok(None);
            };
            let mut passed = 0;
            while passed < row {
                match reader.next() {
                    Some(Ok(batch)) => passed += batch.num_rows() as u64,
                    _ => return Ok(None),
                }
            }
            // Batches end where they ended before.
            Ok((passed == row).then_some(reader))
        });
        let opened: Result<std::io::Result<Option<ArrowReader>>, _> = opened.await;
        match opened {
            Ok(Ok(Some(reader))) => Ok(reader),
            _ => Err(corrupt(PROBLEM)),
        }
    }
}

impl ParquetBatches {
    async fn next(
        &mut self,
        shared: &Shared,
        object: &Object,
        schema: &SchemaRef,
        row: u64,
    ) -> Result<Option<Batch>, Failure> {
        if !self.unchecked {
            let next = guarded(async { self.stream.next().await.transpose() }).await;
            let failure = match next {
                Ok(batch) => return Ok(batch.map(Batch::whole)),
                Err(error) => parquet_failure(object, &self.failed, &error),
            };
            // A store that failed is asked again by the next run; a cell is no reason to give up the
            // rows around it.
            if matches!(failure, Failure::Error(_))
                || !self.read_unchecked(shared, object, schema, row)
            {
                return Err(failure);
            }
        }
        let next = guarded(async { self.stream.next().await.transpose() }).await;
        match next {
            Ok(None) => Ok(None),
            Ok(Some(bytes)) => checked(&bytes, schema).map(Some),
            Err(error) => Err(parquet_failure(object, &self.failed, &error)),
        }
    }

    /// Goes on at `row` with bytes where the schema has text.
    fn read_unchecked(
        &mut self,
        shared: &Shared,
        object: &Object,
        schema: &SchemaRef,
        row: u64,
    ) -> bool {
        let Ok(metadata) = unchecked(&self.metadata, schema) else {
            return false;
        };
        let store = shared.location.store().clone();
        let ranges = Ranges::of(store, object.clone(), self.failed.clone());
        let ranges = ranges.with_metadata(self.metadata.clone());
        let stream = ParquetRecordBatchStreamBuilder::new_with_metadata(ranges, metadata)
            .with_batch_size(self.rows)
            .with_offset(row as usize)
            .build();
        let Ok(stream) = stream else {
            return false;
        };
        self.stream = stream;
        self.unchecked = true;
        true
    }
}

/// Rows that were read as bytes, with the types of the schema. Rows with a cell that is not UTF-8 are
/// apart.
fn checked(bytes: &RecordBatch, schema: &SchemaRef) -> Result<Batch, Failure> {
    let broken = || corrupt("can't unpack a text column");
    let mut unreadable = Vec::new();
    let mut numbers = Vec::new();
    let mut pieces = Vec::new();
    // Halves of what does not convert, down to the row.
    let mut ranges = vec![(0, bytes.num_rows())];
    while let Some((start, length)) = ranges.pop() {
        if length == 0 {
            continue;
        }
        match converted(&bytes.slice(start, length), schema) {
            Ok(piece) => {
                numbers.extend(start as u64..(start + length) as u64);
                pieces.push(piece);
            }
            Err(column) if length == 1 => {
                let name = column.map_or("", |column| schema.field(column).name());
                let reason = format!("a cell in {} is not valid UTF-8", column_word(name));
                unreadable.push((start as u64, reason));
            }
            Err(_) => {
                let half = length / 2;
                ranges.push((start + half, length - half));
                ranges.push((start, half));
            }
        }
    }
    Ok(Batch {
        rows: concat_batches(schema, &pieces).map_err(|_| broken())?,
        numbers,
        unreadable,
        total: bytes.num_rows() as u64,
    })
}

/// An error is the index of the column that does not convert, if one is known.
fn converted(bytes: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, Option<usize>> {
    // Not a null in place of what is not UTF-8.
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let mut columns = Vec::new();
    for (index, column) in bytes.columns().iter().enumerate() {
        let wanted = schema.field(index).data_type();
        let texts = cast_with_options(column, &plain_type(wanted), &strict);
        let typed = texts.and_then(|texts| cast(&texts, wanted));
        columns.push(typed.map_err(|_| Some(index))?);
    }
    RecordBatch::try_new(schema.clone(), columns).map_err(|_| None)
}

/// The type without dictionaries of text.
fn plain_type(kind: &DataType) -> DataType {
    let field = |field: &FieldRef| -> FieldRef {
        let kind = plain_type(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(kind))
    };
    match kind {
        DataType::Dictionary(_, values) if values.is_string() => (**values).clone(),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::List(items) => DataType::List(field(items)),
        DataType::LargeList(items) => DataType::LargeList(field(items)),
        DataType::FixedSizeList(items, size) => DataType::FixedSizeList(field(items), *size),
        DataType::Map(entries, ordered) => DataType::Map(field(entries), *ordered),
        kind => kind.clone(),
    }
}

const NOT_ARROW: &str = "not an Arrow file or stream";

/// What is wrong with a batch, without the reader's words: they may hold a value.
fn arrow_problem(error: &ArrowError) -> &'static str {
    match error {
        ArrowError::IoError(..) => "the Arrow file is truncated",
        ArrowError::NotYetImplemented(_) => "the Arrow file uses a feature that weir cannot read",
        _ => "a batch of the Arrow file is corrupt",
    }
}

/// Whether a batch was refused for a string: then it is read again as bytes.
fn is_text_problem(error: &ArrowError) -> bool {
    matches!(error, ArrowError::InvalidArgumentError(words) if words.to_uppercase().contains("UTF"))
}

/// What a file is by its first bytes, where it is no table of the kind that its name says.
fn kind_by_magic(start: &[u8]) -> Option<&'static str> {
    Some(match start {
        [b'P', b'A', b'R', b'1', ..] => "a Parquet file",
        [b'P', b'A', b'R', b'E', ..] => "an encrypted Parquet file, for which weir has no keys",
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => "an Arrow file",
        [b'F', b'E', b'A', b'1', ..] => {
            "a Feather file of version 1, which weir does not read: write it again as version 2"
        }
        [b'O', b'R', b'C', ..] => "an ORC file, which weir does not read",
        [b'O', b'b', b'j', 1, ..] => "an Avro file, which weir does not read",
        [0x1f, 0x8b, ..] => "compressed by gzip",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "compressed by zstd",
        [b'P', b'K', 3, 4, ..] => "a ZIP archive",
        _ => return None,
    })
}

/// Tells more about a file that the Parquet reader refused.
async fn not_parquet(shared: &Shared, object: &Object, failure: Failure) -> Failure {
    const MAGIC_BYTES: u64 = 8;
    if matches!(failure, Failure::Error(_)) {
        return failure;
    }
    let store = shared.location.store();
    let (size, length) = (object.size, object.size.min(MAGIC_BYTES));
    let start = store.get_range(&object.location, 0..length).await;
    let end = store.get_range(&object.location, size - length..size).await;
    let (Ok(start), Ok(end)) = (start, end) else {
        return failure;
    };
    match kind_by_magic(&start) {
        Some("a Parquet file") if !end.ends_with(b"PAR1") => {
            corrupt("the Parquet file is truncated: its footer is missing")
        }
        Some("a Parquet file") => failure,
        Some(kind) => corrupt(&format!("not a Parquet file: it is {kind}")),
        None => corrupt("not a Parquet file: it does not begin with PAR1"),
    }
}

fn open_arrow(mut file: File) -> Result<(ArrowReader, TableFormat), Failure> {
    let mut magic = [0; 6];
    let has_magic = file.read_exact(&mut magic).is_ok() && &magic == b"ARROW1";
    if !has_magic && let Some(kind) = kind_by_magic(&magic) {
        return Err(corrupt(&format!("not an Arrow file: it is {kind}")));
    }
    let bad = |_| corrupt(NOT_ARROW);
    file.rewind().map_err(|_| corrupt(NOT_ARROW))?;
    let bytes = unpacked::largest_batch(&mut BufReader::new(&file), has_magic);
    let bytes = bytes.map_err(|_| corrupt(NOT_ARROW))?;
    if bytes > unpacked::MAX_BATCH_BYTES {
        let limit = unpacked::MAX_BATCH_BYTES;
        let reason = format!("a batch unpacks to {bytes} bytes; the limit is {limit}");
        return Err(rejected(Code::TooLarge, reason));
    }
    file.rewind().map_err(|_| corrupt(NOT_ARROW))?;
    if has_magic {
        const END: [u8; 6] = *b"ARROW1";
        let mut end = [0; END.len()];
        let length = END.len() as i64;
        let found = file
            .seek(SeekFrom::End(-length))
            .and_then(|_| file.read_exact(&mut end));
        if found.is_err() || end != END {
            return Err(corrupt(
                "the Arrow file is truncated: its footer is missing",
            ));
        }
        file.rewind().map_err(|_| corrupt(NOT_ARROW))?;
        let reader = FileReader::try_new_buffered(file, None).map_err(bad)?;
        return Ok((Box::new(reader), TableFormat::ArrowFile));
    }
    let reader = StreamReader::try_new_buffered(file, None).map_err(bad)?;
    Ok((Box::new(reader), TableFormat::ArrowStream))
}

fn rejected(code: Code, reason: impl Into<String>) -> Failure {
    Failure::Rejected(Rejected {
        code,
        reason: reason.into(),
    })
}

fn corrupt(reason: &str) -> Failure {
    rejected(Code::Corrupt, reason)
}

/// Runs a step of the Parquet reader. `Err(None)` is a panic: hostile bytes can cause one.
async fn guarded<T>(
    step: impl Future<Output = Result<T, ParquetError>>,
) -> Result<T, Option<ParquetError>> {
    match AssertUnwindSafe(step).catch_unwind().await {
        Ok(result) => result.map_err(Some),
        Err(_panic) => Err(None),
    }
}

fn parquet_failure(
    object: &Object,
    failed: &Mutex<Option<object_store::Error>>,
    error: &Option<ParquetError>,
) -> Failure {
    let store_error = failed.lock().ok().and_then(|mut failed| failed.take());
    if let Some(source) = store_error {
        return Failure::store(object, source);
    }
    // The reader's own message may print a value; the kind is enough.
    corrupt(match error {
        Some(ParquetError::NYI(_)) => "the Parquet file uses a feature that weir cannot read",
        Some(ParquetError::EOF(_)) => "the Parquet file is truncated",
        _ => "not a Parquet file, or a corrupt one",
    })
}
