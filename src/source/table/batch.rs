//! A batch as read, and text that is not UTF-8 within it.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_cast::{CastOptions, cast, cast_with_options};
use arrow_schema::{DataType, FieldRef, SchemaRef};
use arrow_select::concat::concat_batches;

use super::{column_word, corrupt};
use crate::source::failure::Failure;

/// A batch as read: rows that no array of the schema's types can hold are apart.
pub(super) struct Batch {
    pub(super) rows: RecordBatch,
    /// Number of each row, counted from the first of the batch.
    pub(super) numbers: Vec<u64>,
    pub(super) unreadable: Vec<(u64, String)>,
    /// Rows in the file.
    pub(super) total: u64,
}

impl Batch {
    pub(super) fn whole(rows: RecordBatch) -> Self {
        let total = rows.num_rows() as u64;
        Self {
            rows,
            numbers: (0..total).collect(),
            unreadable: Vec::new(),
            total,
        }
    }
}

/// Rows that were read as bytes, with the types of the schema. Rows with a cell that is not UTF-8 are
/// apart.
pub(super) fn checked(bytes: &RecordBatch, schema: &SchemaRef) -> Result<Batch, Failure> {
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
