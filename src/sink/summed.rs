//! A file on its way to the store, with the sum of the bytes as they will lie there.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use object_store::buffered::BufWriter;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWrite;

/// Size and digest of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    /// SHA-256, in hexadecimal digits.
    pub(super) sha256: String,
}

/// A file that is summed while it is written, so that nobody has to read it again.
pub(super) struct Summed {
    file: BufWriter,
    sum: Option<(u64, Sha256)>,
}

impl Summed {
    /// `sums`: whether the sum is wanted.
    pub(super) fn new(file: BufWriter, sums: bool) -> Self {
        Self {
            file,
            sum: sums.then(Default::default),
        }
    }

    /// Of all bytes written so far.
    pub(super) fn sum(&self) -> Option<Sum> {
        let (bytes, hasher) = self.sum.as_ref()?;
        Some(Sum {
            bytes: *bytes,
            sha256: hex::encode(hasher.clone().finalize()),
        })
    }

    pub(super) async fn abort(&mut self) -> object_store::Result<()> {
        self.file.abort().await
    }
}

impl AsyncWrite for Summed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = ready!(Pin::new(&mut self.file).poll_write(context, bytes))?;
        if let Some((count, hasher)) = &mut self.sum {
            *count += taken as u64;
            hasher.update(&bytes[..taken]);
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.file).poll_shutdown(context)
    }
}
