//! Batches of a Parquet file.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use arrow_schema::SchemaRef;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStoreExt;
use parquet::{
    arrow::{ParquetRecordBatchStreamBuilder, async_reader::ParquetRecordBatchStream},
    errors::ParquetError,
    file::metadata::ParquetMetaData,
};

use super::{
    Layout, MAX_ROWS, TableFormat,
    batch::{Batch, checked},
    corrupt, kind_by_magic,
};
use crate::source::{
    Object,
    failure::Failure,
    objects::Shared,
    parquet_file::{Ranges, unchecked},
};

/// Bytes that one Parquet batch should have at most, judged by the mean of the row groups.
const BATCH_BYTES: u64 = 16 << 20;

pub(super) struct ParquetBatches {
    stream: ParquetRecordBatchStream<Ranges>,
    failed: Arc<Mutex<Option<object_store::Error>>>,
    metadata: Arc<ParquetMetaData>,
    rows: usize,
    /// Whether strings are read as bytes, because one of them is not UTF-8.
    unchecked: bool,
}

impl ParquetBatches {
    pub(super) async fn open(shared: &Shared, object: &Object) -> Result<(Layout, Self), Failure> {
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
        let batches = Self {
            stream,
            failed,
            metadata,
            rows: batch_rows,
            unchecked: false,
        };
        Ok((layout, batches))
    }

    pub(super) async fn next(
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
