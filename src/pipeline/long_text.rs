//! One text of any length: read, searched and redacted piece by piece, in bounded memory (I9).

use std::borrow::Cow;

use tokio::io::AsyncReadExt as _;

use super::{
    Engine, Piece, Scan,
    document::{self, About, Pieces},
};
use crate::{
    record::{Change, Code, Entity},
    source::{self, ReadFailure, Stream, read_failure},
    tenant::Policy,
};

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// A text on its way through.
pub struct LongText<'p> {
    stream: Stream,
    scan: Scan,
    pieces: Pieces<'p>,
    /// What was read and not searched: up to three bytes of a character.
    bytes: Vec<u8>,
    read: u64,
    ended: bool,
}

/// A stretch of the text that is decided. Parts follow one another without a gap.
#[derive(Debug)]
pub struct Part {
    /// The text as received, with its spans.
    pub piece: Piece,
    /// The text redacted.
    pub redacted: String,
    /// What was found, with its place in the whole text.
    pub entities: Vec<Entity>,
    /// What was done, with its place in the whole text.
    pub changes: Vec<Change>,
}

/// Why a text ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source failed: trying again later may help.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The text is a dead letter.
    #[error(transparent)]
    Document(#[from] document::Error),
}

impl From<super::Error> for Error {
    fn from(error: super::Error) -> Self {
        Self::Document(error.into())
    }
}

impl<'p> LongText<'p> {
    /// Begins with a text.
    pub async fn start(engine: &Engine, policy: &'p Policy, stream: Stream) -> Result<Self, Error> {
        let reuse = policy.reuse(&stream.position);
        let about = Cow::Owned(About::text(policy, &stream.id).await);
        Ok(Self {
            stream,
            scan: Scan::start(engine, policy, reuse).await?,
            pieces: Pieces::new(policy, about, "text"),
            bytes: Vec::with_capacity(CHUNK_BYTES * 2),
            read: 0,
            ended: false,
        })
    }

    /// Reads on; what is decided by then. `None` once all was returned.
    pub async fn next(&mut self) -> Result<Option<Vec<Part>>, Error> {
        if self.ended {
            return Ok(None);
        }
        let held = self.bytes.len();
        self.bytes.resize(held + CHUNK_BYTES, 0);
        let read = self.stream.reader.read(&mut self.bytes[held..]).await;
        let read = read.map_err(|error| match read_failure(&self.stream.position, error) {
            ReadFailure::Rejected(code, reason) => document::Error::Record { code, reason }.into(),
            ReadFailure::Error(error) => Error::Source(error),
        })?;
        self.bytes.truncate(held + read);
        self.read += read as u64;
        self.ended = read == 0;
        let text = valid(&self.bytes, self.ended)?;
        let first = self.scan.push(text).await?;
        let searched = text.len();
        self.bytes.drain(..searched);
        let last = match self.ended {
            true => self.scan.finish().await?,
            false => None,
        };
        let mut parts = Vec::new();
        for piece in first.into_iter().chain(last) {
            let mut redacted = String::with_capacity(piece.text.len());
            self.pieces
                .redact(&piece.text, &piece.spans, &mut redacted)?;
            let entities = std::mem::take(&mut self.pieces.entities);
            let changes = std::mem::take(&mut self.pieces.changes);
            self.pieces.forget();
            parts.push(Part {
                piece,
                redacted,
                entities,
                changes,
            });
        }
        Ok(Some(parts))
    }

    /// Tokens and windows so far.
    pub fn counts(&self) -> (u64, u64) {
        self.scan.counts()
    }

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.read
    }
}

/// The part of some bytes that is whole characters.
fn valid(bytes: &[u8], ended: bool) -> Result<&str, document::Error> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        // Up to three bytes may be a character that goes on in the next chunk.
        Err(error) if error.error_len().is_none() && !ended => {
            let whole = &bytes[..error.valid_up_to()];
            Ok(std::str::from_utf8(whole).expect("valid up to there"))
        }
        Err(_) => Err(document::Error::Record {
            code: Code::NotUtf8,
            reason: "the text is not UTF-8, or not of its encoding".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_may_go_on_in_the_next_chunk_but_not_behind_the_end() {
        let text = "añ€😀";
        for cut in 0..=text.len() {
            let bytes = &text.as_bytes()[..cut];
            let whole = text.floor_char_boundary(cut);
            assert_eq!(valid(bytes, false).unwrap(), &text[..whole]);
            assert_eq!(valid(bytes, true).is_ok(), cut == whole);
        }
        for bytes in [&b"a\xff"[..], b"\xc3\x28", b"\xe2\x82"] {
            assert!(valid(bytes, true).is_err());
        }
        assert!(valid(b"a\xffb", false).is_err());
    }
}
