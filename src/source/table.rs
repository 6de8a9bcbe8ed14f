use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read, Seek},
    ops::Range,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchReader, cast::AsArray};
use arrow_cast::cast;
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{DataType, SchemaRef};
use bytes::{Buf, Bytes};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use object_store::{GetOptions, ObjectStore};
use parquet::{
    arrow::{
        ParquetRecordBatchStreamBuilder,
        arrow_reader::ArrowReaderOptions,
        async_reader::{AsyncFileReader, ParquetRecordBatchStream},
    },
    column::page::{Page, PageReader},
    errors::ParquetError,
    file::{
        metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData},
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
    },
};

use super::{
    Object,
    objects::Shared,
    reader::{Failure, Rejected},
    unpacked,
};
use crate::record::{Body, Code, DeadLetter, Document, Position, Stage, Text};

/// Rows of a Parquet or Arrow file.
#[derive(Debug)]
pub struct Table {
    /// The rows as received: untouched columns are copied from here.
    pub batch: RecordBatch,
    /// One for each row, in row order; its body is [`crate::record::Body::Row`].
    pub documents: Vec<Result<Document, DeadLetter>>,
    /// What the file is like, the same for all of its batches.
    pub layout: Arc<Layout>,
}

/// What a copy of the file has to be like.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Schema with its metadata.
    pub schema: SchemaRef,
    /// Text columns, in the order of a row's cells: index in the schema.
    pub text_columns: Vec<usize>,
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
    id: Option<usize>,
    tenant: Option<usize>,
    object_tenant: Option<String>,
    row: u64,
    /// Whether a table was yielded: a file without rows gives one without rows.
    yielded: bool,
}

enum Batches {
    Parquet {
        stream: Box<ParquetRecordBatchStream<Ranges>>,
        failed: Arc<Mutex<Option<object_store::Error>>>,
    },
    Arrow {
        reader: Option<ArrowReader>,
        /// What is left of the last batch.
        rest: Option<RecordBatch>,
    },
}

type ArrowReader = Box<dyn RecordBatchReader + Send>;

impl Rows {
    pub(super) async fn parquet(shared: &Shared, object: &Object) -> Result<Self, Failure> {
        let failed = Arc::new(Mutex::new(None));
        let ranges = Ranges {
            store: shared.location.store().clone(),
            object: object.clone(),
            metadata: None,
            chunks: HashMap::new(),
            failed: failed.clone(),
        };
        let builder = guarded(ParquetRecordBatchStreamBuilder::new(ranges)).await;
        let builder = builder.map_err(|e| parquet_failure(object, &failed, &e))?;
        let metadata = builder.metadata().clone();
        let groups = metadata.row_groups();
        let rows = metadata.file_metadata().num_rows().max(0) as u64;
        let bytes: i64 = groups.iter().map(|group| group.total_byte_size()).sum();
        let row_bytes = (bytes.max(0) as u64 / rows.max(1)).max(1);
        let key_values = metadata.file_metadata().key_value_metadata();
        let layout = Layout {
            schema: builder.schema().clone(),
            text_columns: Vec::new(),
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
        let stream = Box::new(stream);
        Self::of(shared, object, layout, Batches::Parquet { stream, failed })
    }

    /// Reads a file that was copied to the local disk: Arrow's file form is read from its end.
    pub(super) async fn arrow(
        shared: &Shared,
        object: &Object,
        file: File,
    ) -> Result<Self, Failure> {
        let opened = tokio::task::spawn_blocking(move || open_arrow(file)).await;
        // A panic of the reader on hostile bytes ends as a join error.
        let (reader, format) = opened.unwrap_or_else(|_| Err(corrupt(NOT_ARROW)))?;
        let layout = Layout {
            schema: reader.schema(),
            text_columns: Vec::new(),
            format,
        };
        let batches = Batches::Arrow {
            reader: Some(reader),
            rest: None,
        };
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
        let find = |name: &str, required: bool, fits: fn(&DataType) -> bool, kind: &str| {
            let Ok(index) = schema.index_of(name) else {
                if !required {
                    return Ok(None);
                }
                let has: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                let has = has.join(", ");
                let reason = format!("column `{name}` is not in the table (has: {has})");
                return Err(rejected(Code::MissingColumn, reason));
            };
            let found = schema.field(index).data_type();
            if fits(found) {
                return Ok(Some(index));
            }
            if !required {
                return Ok(None);
            }
            let reason = format!("column `{name}` is of type {found}, not {kind}");
            Err(rejected(Code::MissingColumn, reason))
        };
        let default = ["text".to_owned()];
        let text = match options.columns.text.is_empty() {
            true => &default[..],
            false => &options.columns.text,
        };
        for name in text {
            layout
                .text_columns
                .extend(find(name, true, is_text, "text")?);
        }
        let id = match &options.columns.id {
            Some(name) => find(name, true, is_name, "text or integer")?,
            None => find("id", false, is_name, "text or integer")?,
        };
        let tenant = match shared.identity.tenant_column(options) {
            Some((name, required)) => find(name, required, is_name, "text or integer")?,
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
        let batch = match self.next_batch(object).await? {
            Some(batch) => batch,
            None if self.yielded => return Ok(None),
            None => RecordBatch::new_empty(self.layout.schema.clone()),
        };
        self.yielded = true;
        self.table(shared, object, batch).map(Some)
    }

    async fn next_batch(&mut self, object: &Object) -> Result<Option<RecordBatch>, Failure> {
        match &mut self.batches {
            Batches::Parquet { stream, failed } => {
                let next = guarded(async { stream.next().await.transpose() }).await;
                next.map_err(|e| parquet_failure(object, failed, &e))
            }
            Batches::Arrow { reader, rest } => {
                while rest.is_none() {
                    let Some(mut taken) = reader.take() else {
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
                        Some(Err(_)) => return Err(corrupt("a batch of the Arrow file is broken")),
                        Some(Ok(batch)) if batch.num_rows() > 0 => *rest = Some(batch),
                        Some(Ok(_)) => {}
                    }
                    *reader = Some(taken);
                }
                let batch = rest.take().expect("the loop ends with a batch");
                if batch.num_rows() <= MAX_ROWS {
                    return Ok(Some(batch));
                }
                *rest = Some(batch.slice(MAX_ROWS, batch.num_rows() - MAX_ROWS));
                Ok(Some(batch.slice(0, MAX_ROWS)))
            }
        }
    }

    fn table(
        &mut self,
        shared: &Shared,
        object: &Object,
        batch: RecordBatch,
    ) -> Result<Table, Failure> {
        let strings = |column: usize| as_strings(batch.column(column));
        let ids = self.id.map(strings).transpose()?;
        let tenants = self.tenant.map(strings).transpose()?;
        let mut cells = Vec::new();
        for column in &self.layout.text_columns {
            let name: Arc<str> = Arc::from(batch.schema_ref().field(*column).name().as_str());
            cells.push((name, strings(*column)?));
        }
        let limit = shared.options.max_record_bytes;
        let mut documents = Vec::with_capacity(batch.num_rows());
        for index in 0..batch.num_rows() {
            let position = object.position(Some(self.row));
            self.row += 1;
            let id = ids.as_ref().and_then(|ids| value(ids, index));
            let tenant = match &tenants {
                Some(tenants) => value(tenants, index).map(str::to_owned),
                None => self.object_tenant.clone(),
            };
            let id = id.map_or_else(|| position.to_string(), str::to_owned);
            let row = cells
                .iter()
                .map(|(name, cells)| (name.clone(), value(cells, index)));
            let largest = row
                .clone()
                .filter_map(|(_, cell)| cell.map(str::len))
                .max()
                .unwrap_or(0) as u64;
            if largest > limit {
                documents.push(Err(DeadLetter {
                    source: position,
                    tenant,
                    document_id: Some(id),
                    stage: Stage::Source,
                    code: Code::TooLarge,
                    reason: format!("a cell has {largest} bytes, allowed are {limit}"),
                    attempts: 1,
                }));
                continue;
            }
            let row = row.map(|(name, cell)| (name, cell.map(Text::from)));
            documents.push(Ok(Document {
                id,
                tenant,
                position,
                body: Body::Row(row.collect()),
            }));
        }
        Ok(Table {
            batch,
            documents,
            layout: self.layout.clone(),
        })
    }
}

impl Object {
    /// Position of one of its records, or of the whole.
    pub fn position(&self, record: Option<u64>) -> Position {
        Position::Object {
            object: self.path.clone(),
            version: Some(self.version.clone()),
            record,
        }
    }
}

const NOT_ARROW: &str = "not an Arrow file or stream";

fn open_arrow(mut file: File) -> Result<(ArrowReader, TableFormat), Failure> {
    let mut magic = [0; 6];
    let has_magic = file.read_exact(&mut magic).is_ok() && &magic == b"ARROW1";
    let bad = |_| corrupt(NOT_ARROW);
    file.rewind().map_err(|_| corrupt(NOT_ARROW))?;
    let bytes = unpacked::largest_batch(&mut BufReader::new(&file), has_magic);
    let bytes = bytes.map_err(|_| corrupt(NOT_ARROW))?;
    if bytes > unpacked::MAX_BATCH_BYTES {
        let limit = unpacked::MAX_BATCH_BYTES;
        let reason = format!("a batch unpacks to {bytes} bytes, allowed are {limit}");
        return Err(rejected(Code::TooLarge, reason));
    }
    file.rewind().map_err(|_| corrupt(NOT_ARROW))?;
    if has_magic {
        let reader = FileReader::try_new_buffered(file, None).map_err(bad)?;
        return Ok((Box::new(reader), TableFormat::ArrowFile));
    }
    let reader = StreamReader::try_new_buffered(file, None).map_err(bad)?;
    Ok((Box::new(reader), TableFormat::ArrowStream))
}

fn is_text(found: &DataType) -> bool {
    match found {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => {
            matches!(
                **values,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
            )
        }
        _ => false,
    }
}

fn is_name(found: &DataType) -> bool {
    is_text(found) || found.is_integer()
}

/// A column of text or integers as strings; nulls stay.
fn as_strings(column: &ArrayRef) -> Result<ArrayRef, Failure> {
    match column.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(column.clone()),
        // 64-bit offsets: a dictionary of long values can be larger unpacked than 2 GiB.
        _ => cast(column, &DataType::LargeUtf8)
            .map_err(|_| corrupt("a text column cannot be unpacked")),
    }
}

fn value(column: &ArrayRef, row: usize) -> Option<&str> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(row),
        DataType::Utf8View => column.as_string_view().value(row),
        _ => column.as_string::<i64>().value(row),
    })
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
        Some(ParquetError::EOF(_)) => "the Parquet file ends before its end",
        _ => "not a Parquet file, or a broken one",
    })
}

/// Reads ranges of one version of an object; keeps the store's error, which the Parquet reader
/// would wrap beyond recognition.
struct Ranges {
    store: Arc<dyn ObjectStore>,
    object: Object,
    metadata: Option<Arc<ParquetMetaData>>,
    /// Row group and column of each column chunk, by its place: a file has up to a million of them.
    chunks: HashMap<Range<u64>, Vec<(usize, usize)>>,
    failed: Arc<Mutex<Option<object_store::Error>>>,
}

impl Ranges {
    async fn read(&self, range: Range<u64>) -> parquet::errors::Result<Bytes> {
        // The footer of a broken file names any place; the store's answer would pass for a failure
        // of the store.
        if range.start > range.end || range.end > self.object.size {
            return Err(ParquetError::EOF("a range behind the end".to_owned()));
        }
        let options = GetOptions {
            range: Some(range.into()),
            if_match: self.object.e_tag.clone(),
            ..GetOptions::default()
        };
        let read = async {
            let result = self.store.get_opts(&self.object.location, options).await?;
            result.bytes().await
        };
        read.await.map_err(|error| {
            let mut failed = self.failed.lock().expect("nothing panics while it is held");
            *failed = Some(error);
            ParquetError::General("the store failed".to_owned())
        })
    }
}

impl AsyncFileReader for Ranges {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            let bytes = self.read(range.clone()).await?;
            if let Some(metadata) = &self.metadata {
                // Column chunks are read whole, for no page index is loaded. Anything else would go
                // unchecked.
                let Some(columns) = self.chunks.get(&range) else {
                    return Err(ParquetError::General("not a column chunk".to_owned()));
                };
                for (group, column) in columns {
                    check_dictionaries(metadata.row_group(*group), *column, &range, &bytes)?;
                }
            }
            Ok(bytes)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.object.size;
            let metadata = ParquetMetaDataReader::new();
            let metadata = metadata.load_and_finish(&mut *self, size).await?;
            let metadata = Arc::new(metadata);
            for (group, row_group) in metadata.row_groups().iter().enumerate() {
                for (column, chunk) in row_group.columns().iter().enumerate() {
                    let (start, length) = chunk.byte_range();
                    let range = start..start.saturating_add(length);
                    self.chunks.entry(range).or_default().push((group, column));
                }
            }
            self.metadata = Some(metadata.clone());
            Ok(metadata)
        }
        .boxed()
    }
}

/// Refuses a column chunk with a dictionary of more values than bytes: the reader sets memory aside
/// for as many values as the page's header claims, 6.5 GB in a file of 4 KB, before it reads one.
fn check_dictionaries(
    group: &RowGroupMetaData,
    column: usize,
    range: &Range<u64>,
    bytes: &Bytes,
) -> parquet::errors::Result<()> {
    let chunk = Arc::new(Chunk {
        start: range.start,
        bytes: bytes.clone(),
    });
    let rows = group.num_rows().max(0) as usize;
    let mut pages = SerializedPageReader::new(chunk, group.column(column), rows, None)?;
    while let Some(page) = pages.peek_next_page()? {
        if !page.is_dict {
            pages.skip_next_page()?;
            continue;
        }
        if let Some(Page::DictionaryPage {
            buf, num_values, ..
        }) = pages.get_next_page()?
            && num_values as usize > buf.len()
        {
            return Err(ParquetError::General("a dictionary too short".to_owned()));
        }
    }
    Ok(())
}

/// A column chunk at its place in the file.
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Chunk {
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let at = start.checked_sub(self.start).map(|at| at as usize);
        match at.filter(|at| *at <= self.bytes.len()) {
            Some(at) => Ok(self.bytes.slice(at..)),
            None => Err(ParquetError::EOF("a page outside its chunk".to_owned())),
        }
    }
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Chunk {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        self.from(start).map(Buf::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let rest = self.from(start)?;
        match length <= rest.len() {
            true => Ok(rest.slice(..length)),
            false => Err(ParquetError::EOF("a page behind its chunk".to_owned())),
        }
    }
}
