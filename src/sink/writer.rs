//! A file on its way to the store: invisible until it is finished.

use std::{io, sync::Arc};

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use object_store::{ObjectStore, buffered::BufWriter, path::Path};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{
    Error,
    summed::{Sum, Summed},
};
use crate::store::Compression;

/// Size of a part of an upload; smaller files go up in one request. S3 wants at least 5 MiB and at
/// most 10,000 parts: 80 GB a file.
pub(super) const PART_BYTES: usize = 8 << 20;

/// Where a file goes.
pub(super) struct Place {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    /// Whether its sum is wanted.
    pub(super) sums: bool,
}

impl Place {
    pub(super) fn open(&self) -> Summed {
        let (store, path) = (self.store.clone(), self.path.clone());
        Summed::new(BufWriter::with_capacity(store, path, PART_BYTES), self.sums)
    }
}

/// A file of lines or text.
pub(super) struct Writer {
    path: Path,
    encoder: Encoder,
    /// Bytes before compression.
    pub(super) bytes: u64,
}

enum Encoder {
    Plain(Summed),
    Gzip(GzipEncoder<Summed>),
    Zstd(ZstdEncoder<Summed>),
}

impl Writer {
    pub(super) fn new(
        store: &Arc<dyn ObjectStore>,
        path: Path,
        compression: Option<Compression>,
        sums: bool,
    ) -> Self {
        let file = Place {
            store: store.clone(),
            path: path.clone(),
            sums,
        };
        let file = file.open();
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

    /// Of what was written, as it lies in the store; whole once the file is finished.
    pub(super) fn sum(&self) -> Option<Sum> {
        match &self.encoder {
            Encoder::Plain(file) => file.sum(),
            Encoder::Gzip(encoder) => encoder.get_ref().sum(),
            Encoder::Zstd(encoder) => encoder.get_ref().sum(),
        }
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
