//! Reads of a Parquet file: by ranges of one version of an object, each checked before the reader
//! gets it; and once more without the check that strings are UTF-8, for a file with a cell that is not.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex},
};

use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use bytes::{Buf, Bytes};
use futures::{FutureExt, future::BoxFuture};
use object_store::{GetOptions, ObjectStore};
use parquet::{
    arrow::{
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
        async_reader::AsyncFileReader,
    },
    basic::{ConvertedType, Type as PhysicalType},
    column::page::{Page, PageReader},
    errors::ParquetError,
    file::{
        metadata::{
            ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataReader,
            RowGroupMetaData,
        },
        reader::{ChunkReader, Length},
        serialized_reader::SerializedPageReader,
    },
    schema::types::{ColumnDescPtr, SchemaDescriptor, Type},
};

use super::Object;

/// Reads ranges of one version of an object; keeps the store's error, which the Parquet reader
/// would wrap beyond recognition.
pub(super) struct Ranges {
    store: Arc<dyn ObjectStore>,
    object: Object,
    metadata: Option<Arc<ParquetMetaData>>,
    /// Row group and column of each column chunk, by its place: a file has up to a million of them.
    chunks: HashMap<Range<u64>, Vec<(usize, usize)>>,
    failed: Arc<Mutex<Option<object_store::Error>>>,
}

impl Ranges {
    pub(super) fn of(
        store: Arc<dyn ObjectStore>,
        object: Object,
        failed: Arc<Mutex<Option<object_store::Error>>>,
    ) -> Self {
        Self {
            store,
            object,
            metadata: None,
            chunks: HashMap::new(),
            failed,
        }
    }

    /// Reads column chunks of a file whose metadata was read before.
    pub(super) fn with_metadata(mut self, metadata: Arc<ParquetMetaData>) -> Self {
        for (group, row_group) in metadata.row_groups().iter().enumerate() {
            for (column, chunk) in row_group.columns().iter().enumerate() {
                let (start, length) = chunk.byte_range();
                let range = start..start.saturating_add(length);
                self.chunks.entry(range).or_default().push((group, column));
            }
        }
        self.metadata = Some(metadata);
        self
    }

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
            let ranges = Self::of(self.store.clone(), self.object.clone(), self.failed.clone());
            *self = ranges.with_metadata(metadata.clone());
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

/// How to read a file without the check that its strings are UTF-8: the same file, with bytes where
/// its schema says text. The check would end the file at its first broken cell.
pub(super) fn unchecked(
    metadata: &ParquetMetaData,
    schema: &Schema,
) -> parquet::errors::Result<ArrowReaderMetadata> {
    let file = metadata.file_metadata();
    let root = as_bytes(file.schema())?;
    let descriptor = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let mut groups = Vec::new();
    for group in metadata.row_groups() {
        let mut chunks = Vec::new();
        for (index, chunk) in group.columns().iter().enumerate() {
            chunks.push(same_chunk(chunk, descriptor.column(index))?);
        }
        let same = RowGroupMetaData::builder(descriptor.clone())
            .set_num_rows(group.num_rows())
            .set_total_byte_size(group.total_byte_size())
            .set_column_metadata(chunks);
        groups.push(same.build()?);
    }
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        None,
        descriptor,
        file.column_orders().cloned(),
    );
    let metadata = Arc::new(ParquetMetaData::new(file, groups));
    let fields: Fields = schema.fields().iter().map(bytes_field).collect();
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields)));
    ArrowReaderMetadata::try_new(metadata, options)
}

fn same_chunk(
    chunk: &ColumnChunkMetaData,
    descriptor: ColumnDescPtr,
) -> parquet::errors::Result<ColumnChunkMetaData> {
    ColumnChunkMetaData::builder(descriptor)
        .set_encodings_mask(*chunk.encodings_mask())
        .set_num_values(chunk.num_values())
        .set_compression_codec(chunk.compression_codec())
        .set_total_compressed_size(chunk.compressed_size())
        .set_total_uncompressed_size(chunk.uncompressed_size())
        .set_data_page_offset(chunk.data_page_offset())
        .set_dictionary_page_offset(chunk.dictionary_page_offset())
        .set_index_page_offset(chunk.index_page_offset())
        .build()
}

fn as_bytes(kind: &Type) -> parquet::errors::Result<Type> {
    let info = kind.get_basic_info();
    let id = info.has_id().then(|| info.id());
    if kind.is_primitive() {
        let is_string = kind.get_physical_type() == PhysicalType::BYTE_ARRAY
            && info.converted_type() == ConvertedType::UTF8;
        if !is_string {
            return Ok(kind.clone());
        }
        return Type::primitive_type_builder(kind.name(), PhysicalType::BYTE_ARRAY)
            .with_repetition(info.repetition())
            .with_id(id)
            .build();
    }
    let mut fields = Vec::new();
    for field in kind.get_fields() {
        fields.push(Arc::new(as_bytes(field)?));
    }
    let mut group = Type::group_type_builder(kind.name())
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_fields(fields)
        .with_id(id);
    // The root of a schema has none.
    if info.has_repetition() {
        group = group.with_repetition(info.repetition());
    }
    group.build()
}

fn bytes_field(field: &FieldRef) -> FieldRef {
    let kind = bytes_type(field.data_type());
    // Without metadata: an extension type may ask for text.
    Arc::new(Field::new(field.name(), kind, field.is_nullable()))
}

/// The type with bytes where it has text; dictionaries unpacked.
fn bytes_type(kind: &DataType) -> DataType {
    match kind {
        DataType::Utf8 | DataType::Utf8View => DataType::Binary,
        DataType::LargeUtf8 => DataType::LargeBinary,
        DataType::Dictionary(_, values) => match bytes_type(values) {
            bytes if bytes != **values => bytes,
            _ => kind.clone(),
        },
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(bytes_field).collect()),
        DataType::List(items) => DataType::List(bytes_field(items)),
        DataType::LargeList(items) => DataType::LargeList(bytes_field(items)),
        DataType::FixedSizeList(items, size) => DataType::FixedSizeList(bytes_field(items), *size),
        DataType::Map(entries, ordered) => DataType::Map(bytes_field(entries), *ordered),
        kind => kind.clone(),
    }
}
