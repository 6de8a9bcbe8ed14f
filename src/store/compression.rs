//! Compressed bytes, by the extension of their object's name or by what they begin with.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, ReadBuf};

use super::format::split;

/// How the bytes of an object are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// `.gz`, of one or more members.
    Gzip,
    /// `.zst`, of one or more frames.
    Zstd,
}

impl Compression {
    /// Compression of an object by its last extension.
    pub fn of(path: &str) -> Option<Self> {
        match split(path).1.to_ascii_lowercase().as_str() {
            "gz" | "gzip" => Some(Self::Gzip),
            "zst" | "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Extension, with the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }
}

/// Bytes to be read, whatever they come from.
pub(crate) type Bytes = Pin<Box<dyn AsyncBufRead + Send>>;

/// Bytes read ahead of a decoder.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// Formats of compressed files by their first bytes.
const MAGIC: [(&[u8], &str); 13] = [
    (b"\x1F\x8B\x08", "gzip"),
    (b"\x28\xB5\x2F\xFD", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xFD7zXZ\0", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xBC\xAF\x27\x1C", "7-Zip"),
    (b"\x04\x22\x4D\x18", "lz4"),
    (b"\x1F\x9D", "compress"),
    (b"\x1F\xA0", "compress"),
    (b"LZIP", "lzip"),
    (b"Rar!\x1A\x07", "RAR"),
    (b"\xFF\x06\0\0sNaPpY", "snappy"),
];

/// Bytes that tell a compressed file: the longest of [`MAGIC`], and bzip2's second one.
pub(crate) const MAGIC_BYTES: usize = 10;

/// Name of the format in which bytes that begin with `head` are compressed.
pub(crate) fn magic(head: &[u8]) -> Option<&'static str> {
    let (_, name) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic))?;
    // Three letters are a word, too.
    let is_bzip2 = || {
        head.get(3)
            .is_some_and(|level| (b'1'..=b'9').contains(level))
            && head
                .get(4..10)
                .is_some_and(|block| block == b"1AY&SY" || block == b"\x17rE8P\x90")
    };
    (*name != "bzip2" || is_bzip2()).then_some(*name)
}

/// The first bytes, whether they are all, and everything from the first one on. There are as many as
/// `wanted`, or fewer where they end or fail, or `enough` says so. What failed fails again where it is
/// read: what came before is whole.
pub(crate) async fn peeked(
    mut bytes: Bytes,
    wanted: usize,
    enough: impl Fn(&[u8]) -> bool,
) -> (Vec<u8>, bool, Bytes) {
    let mut head = Vec::new();
    while head.len() < wanted && (head.is_empty() || !enough(&head)) {
        let piece = match bytes.fill_buf().await {
            Ok(piece) => piece,
            Err(error) => {
                let failed = io::Cursor::new(head.clone()).chain(Failed(Some(error)));
                return (head, false, Box::pin(failed));
            }
        };
        if piece.is_empty() {
            let whole = io::Cursor::new(head.clone());
            return (head, true, Box::pin(whole));
        }
        let used = piece.len().min(wanted - head.len());
        head.extend_from_slice(&piece[..used]);
        bytes.consume(used);
    }
    let all = io::Cursor::new(head.clone()).chain(bytes);
    (head, false, Box::pin(all))
}

/// A reader that fails.
struct Failed(Option<io::Error>);

impl Failed {
    fn error(&mut self) -> io::Error {
        self.0
            .take()
            .unwrap_or_else(|| io::Error::other("read on after an error"))
    }
}

impl AsyncRead for Failed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.error()))
    }
}

impl AsyncBufRead for Failed {
    fn poll_fill_buf(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Poll::Ready(Err(self.error()))
    }

    fn consume(self: Pin<&mut Self>, _: usize) {}
}

/// Bytes decompressed.
pub(crate) fn decompressed(bytes: Bytes, compression: Compression) -> Bytes {
    match compression {
        Compression::Gzip => {
            let members = Members::Between {
                bytes,
                is_first: true,
            };
            Box::pin(BufReader::with_capacity(READ_BYTES, members))
        }
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::new(bytes);
            decoder.multiple_members(true);
            Box::pin(BufReader::with_capacity(READ_BYTES, decoder))
        }
    }
}

/// The members of a gzip file. Zeros behind one are padding, as on tapes and in blocks of a fixed
/// size; gzip itself passes over them, async-compression 0.4 takes them for a broken member.
enum Members {
    Between {
        bytes: Bytes,
        is_first: bool,
    },
    Inside(Box<GzipDecoder<Bytes>>),
    /// While one becomes the other.
    Moved,
}

impl AsyncRead for Members {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            match &mut *self {
                Self::Between { bytes, is_first } => {
                    let piece = ready!(bytes.as_mut().poll_fill_buf(context))?;
                    if piece.is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    let zeros = match is_first {
                        true => 0,
                        false => piece.iter().take_while(|byte| **byte == 0).count(),
                    };
                    if zeros > 0 {
                        bytes.as_mut().consume(zeros);
                        continue;
                    }
                    if let Self::Between { bytes, .. } = std::mem::replace(&mut *self, Self::Moved)
                    {
                        *self = Self::Inside(Box::new(GzipDecoder::new(bytes)));
                    }
                }
                Self::Inside(decoder) => {
                    let before = buffer.filled().len();
                    ready!(Pin::new(&mut **decoder).poll_read(context, buffer))?;
                    if buffer.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                    if let Self::Inside(decoder) = std::mem::replace(&mut *self, Self::Moved) {
                        *self = Self::Between {
                            bytes: decoder.into_inner(),
                            is_first: false,
                        };
                    }
                }
                Self::Moved => unreachable!("put back within the same call"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(packed: &[u8], buffer: usize) -> io::Result<Vec<u8>> {
        let bytes: Bytes = Box::pin(BufReader::with_capacity(
            buffer,
            io::Cursor::new(packed.to_vec()),
        ));
        futures::executor::block_on(async {
            let mut text = Vec::new();
            decompressed(bytes, Compression::Gzip)
                .read_to_end(&mut text)
                .await?;
            Ok(text)
        })
    }

    #[test]
    fn members_follow_one_another_and_zeros_are_padding() {
        let (one, two) = (gzip(b"one "), gzip(b"two"));
        for buffer in [1, 2, 7, 4096] {
            let padded = [&one[..], &[0; 9], &two[..], &[0; 700]].concat();
            assert_eq!(unpacked(&padded, buffer).unwrap(), b"one two");
            assert_eq!(
                unpacked(&[&one[..], &two[..]].concat(), buffer).unwrap(),
                b"one two"
            );
            assert!(
                unpacked(&one[..one.len() - 1], buffer).is_err(),
                "cut short"
            );
            assert!(
                unpacked(&[&one[..], b"more"].concat(), buffer).is_err(),
                "garbage"
            );
            assert!(unpacked(&[0; 20], buffer).is_err(), "zeros are no gzip");
        }
    }

    #[test]
    fn what_came_before_a_failure_is_read() {
        let broken = &gzip(&[b'x'; 5000])[..30];
        let bytes: Bytes = Box::pin(io::Cursor::new(broken.to_vec()));
        futures::executor::block_on(async {
            let (head, ended, mut all) =
                peeked(decompressed(bytes, Compression::Gzip), 9000, |_| false).await;
            let mut again = Vec::new();
            assert!(!ended && all.read_to_end(&mut again).await.is_err());
            assert!(!head.is_empty() && again == head);
        });
    }

    #[test]
    fn first_bytes_tell_compressed_files_and_no_words() {
        assert_eq!(magic(&gzip(b"a")), Some("gzip"));
        assert_eq!(
            magic(&zstd::encode_all(&b"a"[..], 1).unwrap()),
            Some("zstd")
        );
        assert_eq!(magic(b"BZh91AY&SY\0"), Some("bzip2"));
        assert_eq!(magic(b"BZh9 is a word"), None);
        assert_eq!(magic(b"PK\x03\x04\x14"), Some("zip"));
        assert_eq!(magic(b"PKI failed"), None);
        assert_eq!(magic(b""), None);
    }
}
