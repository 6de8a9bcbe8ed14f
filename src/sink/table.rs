//! Tables: redacted copies of input tables, and records as Parquet.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow_json::{LineDelimitedWriter, ReaderBuilder};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use object_store::{ObjectStore, buffered::BufWriter, path::Path};
use parquet::{
    arrow::AsyncArrowWriter,
    basic::{Compression, ZstdLevel},
    file::{metadata::KeyValue, properties::WriterProperties},
};
use serde::Serialize;

use super::{
    Error,
    writer::{PART_BYTES, Writer},
};
use crate::{
    record::{Digests, Entities},
    source::{Layout, Table, TableFormat},
};

/// A table on its way to the store.
pub(super) struct TableWriter {
    path: Path,
    form: Form,
}

enum Form {
    Parquet(Box<AsyncArrowWriter<BufWriter>>),
    File(arrow_ipc::writer::FileWriter<Vec<u8>>, Writer),
    Stream(arrow_ipc::writer::StreamWriter<Vec<u8>>, Writer),
}

/// Rows that wait to become a batch.
pub(super) trait Rows {
    fn schema(&self) -> SchemaRef;
    /// The rows as a batch; none are left.
    fn batch(&mut self) -> Option<Result<RecordBatch, &'static str>>;
}

impl TableWriter {
    /// A copy of an input table.
    pub(super) fn copy(
        store: Arc<dyn ObjectStore>,
        path: Path,
        layout: &Layout,
        digests: Option<&Digests>,
    ) -> Result<Self, &'static str> {
        let file = || Writer::new(&store, path.clone(), None);
        let form = match &layout.format {
            TableFormat::Parquet {
                codec,
                row_group_rows,
                metadata,
            } => {
                let mut metadata = metadata.clone();
                if let Some(digests) = digests {
                    metadata.extend(
                        [
                            ("weir.pack", &digests.pack),
                            ("weir.version", &digests.weir_version),
                        ]
                        .map(|(key, value)| KeyValue::new(key.to_owned(), value.clone())),
                    );
                }
                let properties = WriterProperties::builder()
                    .set_compression(*codec)
                    .set_max_row_group_row_count(Some((*row_group_rows).max(1)))
                    .set_key_value_metadata(Some(metadata))
                    .build();
                Form::Parquet(Box::new(parquet(
                    &store,
                    &path,
                    layout.schema.clone(),
                    properties,
                )?))
            }
            TableFormat::ArrowFile => {
                let writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &layout.schema);
                Form::File(
                    writer.map_err(|_| "the Arrow writer refused the schema")?,
                    file(),
                )
            }
            TableFormat::ArrowStream => {
                let writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &layout.schema);
                Form::Stream(
                    writer.map_err(|_| "the Arrow writer refused the schema")?,
                    file(),
                )
            }
        };
        Ok(Self { path, form })
    }

    /// A Parquet file of records.
    pub(super) fn parquet(
        store: Arc<dyn ObjectStore>,
        path: Path,
        schema: SchemaRef,
    ) -> Result<Self, &'static str> {
        let level = ZstdLevel::try_new(3).expect("a level that zstd has");
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .build();
        Ok(Self {
            form: Form::Parquet(Box::new(parquet(&store, &path, schema, properties)?)),
            path,
        })
    }

    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let failed = || Error::Table {
            at: self.path.to_string(),
            problem: "the Arrow writer refused a batch",
        };
        match &mut self.form {
            Form::Parquet(writer) => match writer.write(batch).await {
                Ok(()) => Ok(()),
                Err(error) => Err(parquet_error(&self.path, error)),
            },
            Form::File(writer, file) => {
                writer.write(batch).map_err(|_| failed())?;
                let bytes = std::mem::take(writer.get_mut());
                file.write(&bytes).await
            }
            Form::Stream(writer, file) => {
                writer.write(batch).map_err(|_| failed())?;
                let bytes = std::mem::take(writer.get_mut());
                file.write(&bytes).await
            }
        }
    }

    pub(super) async fn write_rows(&mut self, rows: &mut impl Rows) -> Result<(), Error> {
        match rows.batch() {
            None => Ok(()),
            Some(Ok(batch)) => self.write(&batch).await,
            Some(Err(problem)) => Err(Error::Table {
                at: self.path.to_string(),
                problem,
            }),
        }
    }

    /// Withdraws what was written.
    pub(super) async fn abort(self) {
        match self.form {
            // An upload that can't be withdrawn stays invisible; the store's own rules remove it.
            Form::Parquet(writer) => drop(writer.into_inner().abort().await),
            Form::File(_, file) | Form::Stream(_, file) => file.abort().await,
        }
    }

    /// Makes the file visible, as a whole.
    pub(super) async fn finish(self) -> Result<Path, Error> {
        let Self { path, form } = self;
        let failed = || Error::Table {
            at: path.to_string(),
            problem: "the Arrow writer could not end the file",
        };
        match form {
            Form::Parquet(writer) => drop(
                writer
                    .close()
                    .await
                    .map_err(|error| parquet_error(&path, error))?,
            ),
            Form::File(mut writer, mut file) => {
                writer.finish().map_err(|_| failed())?;
                let bytes = std::mem::take(writer.get_mut());
                file.write(&bytes).await?;
                file.finish().await?;
            }
            Form::Stream(mut writer, mut file) => {
                writer.finish().map_err(|_| failed())?;
                let bytes = std::mem::take(writer.get_mut());
                file.write(&bytes).await?;
                file.finish().await?;
            }
        }
        Ok(path)
    }
}

fn parquet(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    schema: SchemaRef,
    properties: WriterProperties,
) -> Result<AsyncArrowWriter<BufWriter>, &'static str> {
    let file = BufWriter::with_capacity(store.clone(), path.clone(), PART_BYTES);
    AsyncArrowWriter::try_new(file, schema, Some(properties))
        .map_err(|_| "the Parquet writer refused the schema")
}

/// What went wrong in a Parquet writer: the store, or the table. Its message may hold a value.
fn parquet_error(path: &Path, error: parquet::errors::ParquetError) -> Error {
    let at = path.to_string();
    match error {
        parquet::errors::ParquetError::External(source) => {
            match source.downcast::<std::io::Error>() {
                Ok(source) => Error::Write {
                    at,
                    source: *source,
                },
                Err(_) => Error::Table {
                    at,
                    problem: "the Parquet writer failed",
                },
            }
        }
        _ => Error::Table {
            at,
            problem: "the Parquet writer failed",
        },
    }
}

/// Extension of a copy.
pub(super) fn extension(
    format: &TableFormat,
) -> (&'static str, Option<crate::source::Compression>) {
    match format {
        TableFormat::Parquet { .. } => ("parquet", None),
        TableFormat::ArrowFile | TableFormat::ArrowStream => ("arrow", None),
    }
}

/// The rows that are kept, with the text cells replaced; types and other columns as received.
pub(super) fn redacted(
    table: &Table,
    kept: &[bool],
    cells: Vec<Vec<Option<String>>>,
) -> Result<RecordBatch, &'static str> {
    let kept = BooleanArray::from(kept.to_vec());
    let batch = arrow_select::filter::filter_record_batch(&table.batch, &kept)
        .map_err(|_| "its rows could not be filtered")?;
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for (cell, column) in table.layout.text_columns.iter().enumerate() {
        let texts: StringArray = cells
            .iter()
            .map(|row| row.get(cell).and_then(|cell| cell.as_deref()))
            .collect();
        let wanted = batch.schema_ref().field(*column).data_type().clone();
        let texts: ArrayRef = Arc::new(texts);
        columns[*column] = if wanted == DataType::Utf8 {
            texts
        } else {
            arrow_cast::cast(&texts, &wanted)
                .map_err(|_| "a text column could not be given its type back")?
        };
    }
    RecordBatch::try_new(batch.schema(), columns).map_err(|_| "the copy does not fit the schema")
}

/// Rows as JSON lines.
pub(super) fn json_lines(batch: &RecordBatch) -> Result<Vec<u8>, &'static str> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer
        .write(batch)
        .and_then(|()| writer.finish())
        .map_err(|_| "its rows have no form in JSON")?;
    Ok(writer.into_inner())
}

/// Entity records. Their schema is part of the records' version 1 (docs/records.md).
#[derive(Default)]
pub(super) struct EntityRows {
    rows: Vec<EntityRow>,
}

#[derive(Serialize)]
struct EntityRow {
    document_id: String,
    tenant: String,
    /// As JSON: its members depend on the kind of source.
    source: String,
    entities: Vec<crate::record::Entity>,
    pack: String,
    label_set: String,
    policy: String,
    weir_version: String,
    tokens: u64,
    windows: u64,
}

impl EntityRows {
    pub(super) fn push(&mut self, record: &Entities) {
        let Entities {
            document_id,
            tenant,
            source,
            entities,
            digests,
            tokens,
            windows,
        } = record.clone();
        let source = serde_json::to_string(&source).expect("a position is JSON");
        let Digests {
            pack,
            label_set,
            policy,
            weir_version,
        } = digests;
        self.rows.push(EntityRow {
            document_id,
            tenant,
            source,
            entities,
            pack,
            label_set,
            policy,
            weir_version,
            tokens,
            windows,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Rows for EntityRows {
    fn schema(&self) -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let number = |name: &str| Field::new(name, DataType::UInt64, false);
        let entity = Fields::from(vec![
            text("label"),
            text("field"),
            number("start"),
            number("end"),
            number("start_byte"),
            number("end_byte"),
            Field::new("score", DataType::Float32, false),
            Field::new("label_score", DataType::Float32, true),
            text("recognizer"),
            Field::new("text", DataType::Utf8, true),
        ]);
        let item = Field::new("item", DataType::Struct(entity), false);
        Arc::new(Schema::new(vec![
            text("document_id"),
            text("tenant"),
            text("source"),
            Field::new("entities", DataType::List(Arc::new(item)), false),
            text("pack"),
            text("label_set"),
            text("policy"),
            text("weir_version"),
            number("tokens"),
            number("windows"),
        ]))
    }

    fn batch(&mut self) -> Option<Result<RecordBatch, &'static str>> {
        batch(self.schema(), &std::mem::take(&mut self.rows))
    }
}

/// Redacted records of text and JSON documents, as they would be in JSON lines.
#[derive(Default)]
pub(super) struct RecordRows {
    rows: Vec<RecordRow>,
}

#[derive(Serialize)]
struct RecordRow {
    document_id: String,
    tenant: String,
    record: String,
}

impl RecordRows {
    pub(super) fn push(&mut self, id: &str, tenant: &str, record: Vec<u8>) {
        let record = String::from_utf8(record).expect("records are written as UTF-8");
        self.rows.push(RecordRow {
            document_id: id.to_owned(),
            tenant: tenant.to_owned(),
            record,
        });
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

impl Rows for RecordRows {
    fn schema(&self) -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        Arc::new(Schema::new(vec![
            text("document_id"),
            text("tenant"),
            text("record"),
        ]))
    }

    fn batch(&mut self) -> Option<Result<RecordBatch, &'static str>> {
        batch(self.schema(), &std::mem::take(&mut self.rows))
    }
}

fn batch<R: Serialize>(schema: SchemaRef, rows: &[R]) -> Option<Result<RecordBatch, &'static str>> {
    const PROBLEM: &str = "records do not fit their schema";
    if rows.is_empty() {
        return None;
    }
    let batch = || {
        let mut decoder = ReaderBuilder::new(schema)
            .with_batch_size(rows.len())
            .build_decoder()
            .map_err(|_| PROBLEM)?;
        decoder.serialize(rows).map_err(|_| PROBLEM)?;
        decoder.flush().map_err(|_| PROBLEM)?.ok_or(PROBLEM)
    };
    Some(batch())
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        Array, Decimal128Array, Int64Array,
        cast::AsArray,
        types::{Int32Type, Int64Type},
    };

    use super::*;

    #[test]
    fn a_copy_keeps_columns_types_order_and_nulls_and_leaves_out_rows_that_failed() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![
            Some("Ana"),
            None,
            Some("Ben"),
            Some("Ana"),
        ]));
        let wanted = [
            DataType::Utf8,
            DataType::LargeUtf8,
            DataType::Utf8View,
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
        ];
        let mut fields = vec![Field::new("n", DataType::Int64, false)];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 2, 3, 4]))];
        for kind in &wanted {
            fields.push(Field::new(kind.to_string(), kind.clone(), true));
            columns.push(arrow_cast::cast(&texts, kind).unwrap());
        }
        let decimals = Decimal128Array::from(vec![110, 220, 330, 440]);
        columns.push(Arc::new(decimals.with_precision_and_scale(10, 2).unwrap()));
        fields.push(Field::new("d", DataType::Decimal128(10, 2), false));
        let schema = Arc::new(Schema::new(fields));
        let layout = Layout {
            schema: schema.clone(),
            text_columns: vec![1, 2, 3, 4],
            format: TableFormat::ArrowFile,
        };
        let table = Table {
            batch: RecordBatch::try_new(schema.clone(), columns).unwrap(),
            documents: Vec::new(),
            layout: Arc::new(layout),
        };
        let cell = |text: Option<&str>| vec![text.map(str::to_owned); 4];
        let rows = vec![cell(Some("[PERSON]")), cell(None), cell(Some("[PERSON]"))];
        let copy = redacted(&table, &[true, true, false, true], rows).unwrap();
        assert_eq!(copy.schema(), schema);
        let numbers = copy.column(0).as_primitive::<Int64Type>();
        assert_eq!(numbers.values(), &[1, 2, 4]);
        for column in 1..5 {
            let texts = arrow_cast::cast(copy.column(column), &DataType::Utf8).unwrap();
            let texts: Vec<_> = texts.as_string::<i32>().iter().collect();
            assert_eq!(texts, [Some("[PERSON]"), None, Some("[PERSON]")]);
        }
        assert_eq!(
            copy.column(4).as_dictionary::<Int32Type>().values().len(),
            1
        );
        assert_eq!(copy.column(5).data_type(), &DataType::Decimal128(10, 2));
    }
}
