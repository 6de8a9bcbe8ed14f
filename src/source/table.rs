//! Rows of Parquet and Arrow files as documents.

mod arrow_batches;
mod batch;
mod parquet_batches;

use std::{fs::File, sync::Arc};

use arrow_array::{Array, ArrayRef, RecordBatch, cast::AsArray};
use arrow_schema::SchemaRef;
use parquet::file::metadata::KeyValue;

use self::{arrow_batches::ArrowBatches, batch::Batch, parquet_batches::ParquetBatches};
use super::{
    Object, columns,
    failure::{Failure, Rejected},
    objects::Shared,
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

impl Rows {
    pub(super) async fn parquet(shared: &Shared, object: &Object) -> Result<Self, Failure> {
        let (layout, batches) = ParquetBatches::open(shared, object).await?;
        Self::of(shared, object, layout, Batches::Parquet(Box::new(batches)))
    }

    /// Reads a file that was copied to the local disk: Arrow's file form is read from its end.
    pub(super) async fn arrow(
        shared: &Shared,
        object: &Object,
        file: File,
    ) -> Result<Self, Failure> {
        let (layout, batches) = ArrowBatches::open(file).await?;
        Self::of(shared, object, layout, Batches::Arrow(batches))
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

fn rejected(code: Code, reason: impl Into<String>) -> Failure {
    Failure::Rejected(Rejected {
        code,
        reason: reason.into(),
    })
}

fn corrupt(reason: &str) -> Failure {
    rejected(Code::Corrupt, reason)
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
