//! Tables: redacted copies of input tables, and records as Parquet.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch, cast::AsArray};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_json::{ReaderBuilder, WriterBuilder, writer::LineDelimited};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use memchr::memmem;
use object_store::path::Path;
use parquet::{
    arrow::{ArrowSchemaConverter, AsyncArrowWriter},
    basic::{Compression, ZstdLevel},
    file::{metadata::KeyValue, properties::WriterProperties},
};
use serde::Serialize;

use super::{
    Error, metadata,
    summed::{Sum, Summed},
    writer::{Place, Writer},
};
use crate::{
    record::{Digests, Entities, schema_name::shown},
    source::{Layout, Table, TableFormat},
};

/// A table on its way to the store.
pub(super) struct TableWriter {
    path: Path,
    schema: SchemaRef,
    form: Form,
}

/// Why rows cannot be written: the kind of the problem and the column, never the library's message,
/// which may hold a value.
pub(super) type Problem = String;

enum Form {
    Parquet(Box<AsyncArrowWriter<Summed>>),
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
        to: Place,
        layout: &Layout,
        digests: Option<&Digests>,
    ) -> Result<Self, Problem> {
        let file = || Writer::new(&to.store, to.path.clone(), None, to.sums);
        let schema = metadata::schema(&layout.schema);
        let form = match &layout.format {
            TableFormat::Parquet {
                codec,
                row_group_rows,
                metadata,
            } => {
                let mut metadata = metadata::entries(metadata);
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
                let writer = parquet(&to, schema.clone(), properties)?;
                Form::Parquet(Box::new(writer))
            }
            TableFormat::ArrowFile => {
                let writer = arrow_ipc::writer::FileWriter::try_new(Vec::new(), &schema);
                Form::File(
                    writer.map_err(|_| "the Arrow writer refused the schema")?,
                    file(),
                )
            }
            TableFormat::ArrowStream => {
                let writer = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &schema);
                Form::Stream(
                    writer.map_err(|_| "the Arrow writer refused the schema")?,
                    file(),
                )
            }
        };
        let path = to.path;
        Ok(Self { path, schema, form })
    }

    /// A Parquet file of records.
    pub(super) fn parquet(to: Place, schema: SchemaRef) -> Result<Self, Problem> {
        let level = ZstdLevel::try_new(3).expect("a level that zstd has");
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .build();
        Ok(Self {
            form: Form::Parquet(Box::new(parquet(&to, schema.clone(), properties)?)),
            schema,
            path: to.path,
        })
    }

    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let failed = || Error::Table {
            at: self.path.to_string(),
            problem: "the Arrow writer refused a batch".to_owned(),
        };
        let batch = &metadata::under(batch, &self.schema).ok_or_else(failed)?;
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
                problem: problem.to_owned(),
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

    /// Makes the file visible, as a whole; its path, and its sum if that was wanted.
    pub(super) async fn finish(self) -> Result<(Path, Option<Sum>), Error> {
        let Self { path, form, .. } = self;
        let failed = || Error::Table {
            at: path.to_string(),
            problem: "the Arrow writer could not finish the file".to_owned(),
        };
        let sum = match form {
            Form::Parquet(mut writer) => {
                let finished = writer.finish().await;
                finished.map_err(|error| parquet_error(&path, error))?;
                writer.into_inner().sum()
            }
            Form::File(mut writer, file) => {
                writer.finish().map_err(|_| failed())?;
                ended(file, std::mem::take(writer.get_mut())).await?
            }
            Form::Stream(mut writer, file) => {
                writer.finish().map_err(|_| failed())?;
                ended(file, std::mem::take(writer.get_mut())).await?
            }
        };
        Ok((path, sum))
    }
}

/// Writes the last bytes of a file.
async fn ended(mut file: Writer, last: Vec<u8>) -> Result<Option<Sum>, Error> {
    file.write(&last).await?;
    file.finish().await?;
    Ok(file.sum())
}

fn parquet(
    to: &Place,
    schema: SchemaRef,
    properties: WriterProperties,
) -> Result<AsyncArrowWriter<Summed>, Problem> {
    AsyncArrowWriter::try_new(to.open(), schema.clone(), Some(properties)).map_err(|_| {
        let refused = |index: &usize| {
            let alone = Schema::new(vec![schema.field(*index).clone()]);
            ArrowSchemaConverter::new().convert(&alone).is_err()
        };
        match (0..schema.fields().len()).find(refused) {
            Some(index) => format!("Parquet cannot represent {}", column_word(&schema, index)),
            None => "the Parquet writer refused the schema".to_owned(),
        }
    })
}

/// A column in a message: its name, unless that may be a value.
fn column_word(schema: &Schema, index: usize) -> String {
    match shown(schema.field(index).name()) {
        Some(name) => format!("column `{name}`"),
        None => format!("column {}", index + 1),
    }
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
                    problem: "the Parquet writer failed".to_owned(),
                },
            }
        }
        _ => Error::Table {
            at,
            problem: "the Parquet writer failed".to_owned(),
        },
    }
}

/// Extension of a copy.
pub(super) fn extension(format: &TableFormat) -> (&'static str, Option<crate::store::Compression>) {
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
    ids: &[&str],
) -> Result<RecordBatch, Problem> {
    let schema = table.batch.schema();
    let kept = BooleanArray::from(kept.to_vec());
    let batch = arrow_select::filter::filter_record_batch(&table.batch, &kept)
        .map_err(|_| "can't filter its rows")?;
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    let mut rows: Vec<_> = cells.into_iter().map(Vec::into_iter).collect();
    for texts in &table.layout.text_columns {
        let column = texts.column;
        let problem = |error| format!("{}: {error}", column_word(&schema, column));
        // As many cells as the row had when it was read.
        let counts = texts.counts(&batch).map_err(problem)?;
        let mut replaced = counts
            .into_iter()
            .zip(&mut rows)
            .flat_map(|(count, row)| row.take(count));
        let made = texts.replaced(&columns[column], &mut replaced);
        columns[column] = made.map_err(problem)?;
    }
    if let Some(texts) = &table.layout.id_column
        && !table.layout.text_columns.iter().any(|own| own.is_at(texts))
    {
        let column = texts.column;
        let problem = |error| format!("{}: {error}", column_word(&schema, column));
        let cells = texts.cells(&batch).map_err(problem)?;
        let mut changed = false;
        let mut shown = Vec::with_capacity(ids.len());
        for (row, id) in ids.iter().enumerate() {
            for (_, cell) in cells.row(row) {
                changed |= cell.is_some_and(|cell| cell != id.as_bytes());
                shown.push(cell.map(|_| (*id).to_owned()));
            }
        }
        // As a rule ids hold no values, and the column stays the one that was read.
        if changed {
            let made = texts.replaced(&columns[column], &mut shown.into_iter());
            columns[column] = made.map_err(problem)?;
        }
    }
    RecordBatch::try_new(batch.schema(), columns)
        .map_err(|_| "the copy does not fit the schema".to_owned())
}

/// Rows as JSON lines, one for each row.
pub(super) struct Lines {
    /// Each with its line end; a row that has no form in JSON has a reason.
    pub(super) rows: Vec<Result<Vec<u8>, Problem>>,
}

/// Rows as JSON lines. Fails if no row has a form in JSON: then it is the columns, not their values.
pub(super) fn json_lines(batch: &RecordBatch) -> Result<Lines, Problem> {
    const PROBLEM: &str = "JSON cannot represent its rows";
    let batch = with_own_names(batch)?;
    let count = batch.num_rows();
    if let Some(bytes) = json(&batch) {
        let lines: Vec<Result<Vec<u8>, Problem>> = bytes
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| Ok(line.to_vec()))
            .collect();
        return match lines.len() == count {
            true => Ok(Lines { rows: lines }),
            false => Err(PROBLEM.to_owned()),
        };
    }
    let mut rows = Vec::with_capacity(count);
    for row in 0..count {
        let row = batch.slice(row, 1);
        rows.push(json(&row).ok_or_else(|| {
            let alone = |index: &usize| {
                row.project(&[*index])
                    .is_ok_and(|column| json(&column).is_none())
            };
            match (0..row.num_columns()).find(alone) {
                Some(index) => format!(
                    "JSON cannot represent a value of {}",
                    column_word(row.schema_ref(), index)
                ),
                None => PROBLEM.to_owned(),
            }
        }));
    }
    match rows.iter().all(Result::is_err) {
        true => Err(rows.into_iter().find_map(Result::err).unwrap_or_default()),
        false => Ok(Lines { rows }),
    }
}

fn json(batch: &RecordBatch) -> Option<Vec<u8>> {
    // A null is said: a key that is missing from some lines reads as another schema.
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(batch).and_then(|()| writer.finish()).ok()?;
    let bytes = writer.into_inner();
    // What a time that no calendar has is written as (arrow-json 60.1): the value is lost, and the
    // words hold it.
    const PROBLEM: &[u8] = b"\"ERROR: ";
    let suspect = memmem::find(&bytes, PROBLEM).is_some();
    let fits = |column: &ArrayRef| (0..column.len()).all(|row| has_a_form(&column.slice(row, 1)));
    (!suspect || batch.columns().iter().all(fits)).then_some(bytes)
}

/// Whether the one value of an array can be written as text, as far as it is a time.
fn has_a_form(value: &ArrayRef) -> bool {
    if value.is_null(0) {
        return true;
    }
    let items = match value.data_type() {
        kind if kind.is_temporal() => {
            let formatter = ArrayFormatter::try_new(value, &FormatOptions::new());
            return formatter.is_ok_and(|formatter| formatter.value(0).try_to_string().is_ok());
        }
        DataType::Struct(_) => return value.as_struct().columns().iter().all(has_a_form),
        DataType::List(_) => value.as_list::<i32>().value(0),
        DataType::LargeList(_) => value.as_list::<i64>().value(0),
        DataType::FixedSizeList(..) => value.as_fixed_size_list().value(0),
        DataType::Map(..) => Arc::new(value.as_map().value(0)),
        _ => return true,
    };
    (0..items.len()).all(|item| has_a_form(&items.slice(item, 1)))
}

/// Columns of one name would be keys of one name, of which readers keep the last.
fn with_own_names(batch: &RecordBatch) -> Result<RecordBatch, Problem> {
    let mut names = std::collections::HashSet::new();
    let mut fields = Vec::new();
    for field in batch.schema_ref().fields() {
        let mut name = field.name().clone();
        let mut number = 1;
        while !names.insert(name.clone()) {
            number += 1;
            name = format!("{}_{number}", field.name());
        }
        fields.push(field.as_ref().clone().with_name(name));
    }
    let schema = Arc::new(Schema::new(fields));
    RecordBatch::try_new(schema, batch.columns().to_vec())
        .map_err(|_| "the copy does not fit the schema".to_owned())
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
        Decimal128Array, Int64Array, StringArray,
        types::{Int32Type, Int64Type},
    };

    use super::*;
    use crate::record::text_column::TextColumn;

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
            text_columns: (1..5)
                .map(|column| TextColumn::plain(column, "c"))
                .collect(),
            id_column: None,
            format: TableFormat::ArrowFile,
        };
        let table = Table {
            batch: RecordBatch::try_new(schema.clone(), columns).unwrap(),
            documents: Vec::new(),
            unreadable: Vec::new(),
            layout: Arc::new(layout),
        };
        let cell = |text: Option<&str>| vec![text.map(str::to_owned); 4];
        let rows = vec![cell(Some("[PERSON]")), cell(None), cell(Some("[PERSON]"))];
        let copy = redacted(&table, &[true, true, false, true], rows, &[]).unwrap();
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
