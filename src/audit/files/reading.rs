//! Files of a sink as they lie there: size, digest and lines in one pass.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use futures::TryStreamExt as _;
use object_store::{ObjectStoreExt as _, path::Path};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _};
use tokio_util::io::{InspectReader, StreamReader};

use super::Error;
use crate::store::{Bytes, Compression, Location, READ_BYTES, decompressed};

/// What a file is.
pub(super) struct Found {
    pub(super) bytes: u64,
    /// In hexadecimal digits. Another one if the file could not be unpacked.
    pub(super) sha256: String,
    /// Of a file of lines.
    pub(super) lines: Option<u64>,
}

/// Reads a file, and shows each line of it to `each`. `None`: it is not there.
pub(super) async fn read(
    location: &Location,
    path: &Path,
    mut each: Option<&mut (dyn FnMut(&[u8]) + Send)>,
) -> Result<Option<Found>, Error> {
    let failed = |source| Error::Store {
        at: path.to_string(),
        source,
    };
    let found = match location.store().get(path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let bytes = found.meta.size;
    let sum = Arc::new(Mutex::new(Sha256::new()));
    let summed = sum.clone();
    let raw = StreamReader::new(found.into_stream().map_err(io::Error::other));
    let raw = InspectReader::new(raw, move |piece| {
        let mut sum = summed.lock().unwrap_or_else(PoisonError::into_inner);
        sum.update(piece);
    });
    let raw: Bytes = Box::pin(tokio::io::BufReader::with_capacity(READ_BYTES, raw));
    let lines = match of_lines(path) {
        None => whole(raw).await.map(|()| None),
        Some(None) => lines(raw, &mut each).await.map(Some),
        Some(Some(packed)) => lines(decompressed(raw, packed), &mut each).await.map(Some),
    };
    let lines = match lines {
        Ok(lines) => lines,
        Err(error) => match error.downcast::<object_store::Error>() {
            Ok(source) => return Err(failed(source)),
            // It cannot be unpacked: so its digest, which counts what was read, is another one.
            Err(_) => Some(0),
        },
    };
    let sum = sum.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Some(Found {
        bytes,
        sha256: hex::encode(sum.finalize()),
        lines,
    }))
}

/// How lines are packed in a file whose lines are its records.
fn of_lines(path: &Path) -> Option<Option<Compression>> {
    let name = path.filename()?;
    let packed = Compression::of(name);
    let stem = packed.map_or(name, |packed| name.trim_end_matches(packed.extension()));
    stem.ends_with(".jsonl").then_some(packed)
}

async fn whole(mut bytes: Bytes) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    while bytes.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn lines(
    mut bytes: Bytes,
    each: &mut Option<&mut (dyn FnMut(&[u8]) + Send)>,
) -> io::Result<u64> {
    let mut count = 0;
    let Some(each) = each else {
        loop {
            let piece = bytes.fill_buf().await?;
            if piece.is_empty() {
                return Ok(count);
            }
            count += memchr::memchr_iter(b'\n', piece).count() as u64;
            let used = piece.len();
            bytes.consume(used);
        }
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        if bytes.read_until(b'\n', &mut line).await? == 0 {
            return Ok(count);
        }
        count += 1;
        each(line.trim_ascii_end());
    }
}
