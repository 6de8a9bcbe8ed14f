//! A file on its way to the store: invisible until it is finished.

use std::{io, sync::Arc};

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use object_store::{ObjectStore, buffered::BufWriter, path::Path};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::Error;
use crate::store::Compression;

/// Size of a part of an upload; smaller files go up in one request. S3 wants at least 5 MiB and at
/// most 10,000 parts: 80 GB a file.
pub(super) const PART_BYTES: usize = 8 << 20;

/// A file of lines or text.
pub(super) struct Writer {
    path: Path,
    encoder: Encoder,
    /// Bytes before compression.
    pub(super) bytes: u64,
}

enum Encoder {
    Plain(BufWriter),
    Gzip(GzipEncoder<BufWriter>),
    Zstd(ZstdEncoder<BufWriter>),
}

impl Writer {
    pub(super) fn new(
        store: &Arc<dyn ObjectStore>,
        path: Path,
        compression: Option<Compression>,
    ) -> Self {
        let file = BufWriter::with_capacity(store.clone(), path.clone(), PART_BYTES);
        let encoder = match compression {
            None => Encoder::Plain(file),
            Some(Compression::Gzip) => Encoder::Gzip(GzipEncoder::new(file)),
            Some(Compression::Zstd) => Encoder::Zstd(ZstdEncoder::new(file)),
        };
        Self {
            path,
            encoder,
            bytes: 0,
        }
    }

    pub(super) fn path(&self) -> Path {
        self.path.clone()
    }

    fn writer(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        match &mut self.encoder {
            Encoder::Plain(writer) => writer,
            Encoder::Gzip(writer) => writer,
            Encoder::Zstd(writer) => writer,
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        let written = self.writer().write_all(bytes).await;
        written.map_err(|source| self.failed(source))
    }

    /// Makes the file visible, as a whole.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        let finished = self.writer().shutdown().await;
        finished.map_err(|source| self.failed(source))
    }

    /// Withdraws what was written.
    pub(super) async fn abort(mut self) {
        let file = match &mut self.encoder {
            Encoder::Plain(writer) => writer,
            Encoder::Gzip(writer) => writer.get_mut(),
            Encoder::Zstd(writer) => writer.get_mut(),
        };
        // An upload that can't be withdrawn stays invisible; the store's own rules remove it.
        let _ = file.abort().await;
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write {
            at: self.path.to_string(),
            source,
        }
    }
}
