//! What a copy of a table says of itself: the metadata of file, schema and columns that may be copied.
//!
//! Metadata is text that no tenant chose to redact: an owner's address, a comment, a query. weir keeps
//! what engines need to read the table, if no pattern finds anything in it, and otherwise plain words.

use std::sync::{Arc, LazyLock};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, FieldRef, Fields, Metadata, Schema, SchemaRef};
use parquet::file::metadata::KeyValue;

use crate::{
    decode::patterns::{Options, Patterns},
    record::schema_name::shown,
};

/// Keys that readers act on: types and structure of columns, in pandas, Spark, Avro, Iceberg, GeoParquet,
/// and Arrow's extension types.
const STRUCTURE: [&str; 15] = [
    "pandas",
    "org.apache.spark.version",
    "org.apache.spark.timeZone",
    "org.apache.spark.legacyDateTime",
    "org.apache.spark.legacyINT96",
    "org.apache.spark.sql.parquet.row.metadata",
    "parquet.avro.schema",
    "avro.schema",
    "parquet.proto.class",
    "iceberg.schema",
    "geo",
    "writer.model.name",
    "PARQUET:field_id",
    "ARROW:extension:name",
    "ARROW:extension:metadata",
];

/// Identifiers are no values here: Iceberg and others name tables by them.
const NOT_LOOKED_FOR: &str = "uuid";

static ALL: LazyLock<Patterns> = LazyLock::new(|| {
    let names = Patterns::names().iter();
    let names = names.filter(|name| **name != NOT_LOOKED_FOR);
    let builtin = names.map(|name| ((*name).to_owned(), Arc::from(*name)));
    let options = Options {
        builtin: builtin.collect(),
        ..Options::default()
    };
    Patterns::build(options).expect("patterns that are built in")
});

/// Whether an entry may be copied.
fn may_pass(key: &str, value: &str) -> bool {
    if STRUCTURE.contains(&key) {
        return ALL.find(value).is_empty();
    }
    let plain = value.is_empty() || value.parse::<u16>().is_ok() || shown(value).is_some();
    shown(key).is_some() && plain
}

/// Entries of a Parquet file.
pub(super) fn entries(entries: &[KeyValue]) -> Vec<KeyValue> {
    let pass = |entry: &&KeyValue| may_pass(&entry.key, entry.value.as_deref().unwrap_or(""));
    entries.iter().filter(pass).cloned().collect()
}

/// A schema without the metadata that may not be copied.
pub(super) fn schema(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema.fields().iter().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, map(schema.metadata())))
}

fn map(metadata: &Metadata) -> Metadata {
    let pass = metadata.iter().filter(|(key, value)| may_pass(key, value));
    pass.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn field(field: &FieldRef) -> FieldRef {
    let kind = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(self::field).collect()),
        DataType::List(items) => DataType::List(self::field(items)),
        DataType::LargeList(items) => DataType::LargeList(self::field(items)),
        DataType::ListView(items) => DataType::ListView(self::field(items)),
        DataType::LargeListView(items) => DataType::LargeListView(self::field(items)),
        DataType::FixedSizeList(items, size) => DataType::FixedSizeList(self::field(items), *size),
        DataType::Map(entries, ordered) => DataType::Map(self::field(entries), *ordered),
        kind => kind.clone(),
    };
    let plain: Field = field.as_ref().clone();
    let metadata = map(field.metadata());
    Arc::new(plain.with_data_type(kind).with_metadata(metadata))
}

/// A batch under a schema that differs in its metadata only.
pub(super) fn under(batch: &RecordBatch, schema: &SchemaRef) -> Option<RecordBatch> {
    if batch.schema_ref() == schema {
        return Some(batch.clone());
    }
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (column, field) in batch.columns().iter().zip(schema.fields()) {
        columns.push(match column.data_type() == field.data_type() {
            true => column.clone(),
            // Metadata inside of a nested type.
            false => cast(column, field.data_type()).ok()?,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_passes_unless_a_pattern_finds_something_and_the_rest_if_it_is_a_plain_word() {
        for (key, value) in [
            (
                "pandas",
                "{\"index_columns\": [], \"pandas_version\": \"2.2.3\"}",
            ),
            ("PARQUET:field_id", "12345"),
            ("origin", "crm"),
            ("version", "3"),
        ] {
            assert!(may_pass(key, value), "{key}");
        }
        for (key, value) in [
            ("pandas", "{\"attrs\": {\"owner\": \"ana@mail.example\"}}"),
            ("owner", "ana@mail.example"),
            ("owner", "Ana Ruiz"),
            ("ana@mail.example", "x"),
            ("query", "select * from t"),
        ] {
            assert!(!may_pass(key, value), "{key}");
        }
    }
}
