//! Batches of an Arrow file or stream.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, SchemaRef};

use super::{
    Layout, MAX_ROWS, TableFormat,
    batch::{Batch, checked},
    corrupt, kind_by_magic, rejected,
};
use crate::{
    record::Code,
    source::{arrow_file, failure::Failure, unpacked},
};

pub(super) struct ArrowBatches {
    reader: Option<ArrowReader>,
    /// What is left of the last batch.
    rest: Option<RecordBatch>,
    /// The copy on the local disk, to read it once more.
    file: File,
    /// Whether strings are read as bytes, because one of them is not UTF-8.
    unchecked: bool,
}

type ArrowReader = Box<dyn RecordBatchReader + Send>;

impl ArrowBatches {
    pub(super) async fn open(file: File) -> Result<(Layout, Self), Failure> {
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
        let batches = Self {
            reader: Some(reader),
            rest: None,
            file: again,
            unchecked: false,
        };
        Ok((layout, batches))
    }

    pub(super) async fn next(
        &mut self,
        schema: &SchemaRef,
        row: u64,
    ) -> Result<Option<Batch>, Failure> {
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
