//! Small Parquet files.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};

/// A file of the columns `id` and another one.
pub fn parquet(column: &str, rows: &[(&str, Option<&str>)]) -> Vec<u8> {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.0)));
    let notes: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<StringArray>());
    let schema = Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new(column, DataType::Utf8, true),
    ]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![ids, notes]).unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}
