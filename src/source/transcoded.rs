//! Bytes of any encoding as bytes of UTF-8, while they are read.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use encoding_rs::{Decoder, DecoderResult};
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use super::encoding::{Encoding, MALFORMED, Unknown, WIDE_CHARACTERS, holds_wide_text};

/// Text in UTF-8 made of text in any encoding. UTF-8 passes as it is, malformed bytes as well.
pub(super) struct Transcoded<R> {
    inner: Pin<Box<R>>,
    step: Step,
    /// UTF-8 that is not read yet.
    ready: Vec<u8>,
    at: usize,
    ended: bool,
}

enum Step {
    Decoder(Decoder),
    Utf32 {
        big: bool,
        held: Vec<u8>,
    },
    /// UTF-8, looked over for text of another encoding in it.
    Guarded {
        last: Vec<u8>,
    },
}

/// Bytes that the guard keeps of what went by: a run that began there is still seen.
const GUARD_BYTES: usize = 2 * WIDE_CHARACTERS + 8;

impl<R: AsyncBufRead> Transcoded<R> {
    pub(super) fn new(inner: R, encoding: Encoding) -> Self {
        let step = match encoding {
            Encoding::Standard(encoding) => {
                Step::Decoder(encoding.new_decoder_without_bom_handling())
            }
            Encoding::Utf32Le | Encoding::Utf32Be => Step::Utf32 {
                big: encoding == Encoding::Utf32Be,
                held: Vec::new(),
            },
        };
        Self::of(inner, step)
    }

    /// UTF-8 as it is; ends with an error where it holds text of another encoding.
    pub(super) fn guarded(inner: R) -> Self {
        Self::of(inner, Step::Guarded { last: Vec::new() })
    }

    fn of(inner: R, step: Step) -> Self {
        Self {
            inner: Box::pin(inner),
            step,
            ready: Vec::new(),
            at: 0,
            ended: false,
        }
    }
}

impl Step {
    /// Decodes a piece; how many bytes of it were used.
    fn take(&mut self, piece: &[u8], last: bool, out: &mut Vec<u8>) -> Result<usize, Unknown> {
        match self {
            Self::Decoder(decoder) => {
                let mut used = 0;
                loop {
                    let from = out.len();
                    let most =
                        decoder.max_utf8_buffer_length_without_replacement(piece.len() - used);
                    out.resize(from + most.unwrap_or(piece.len() * 4 + 16).max(16), 0);
                    let (result, read, written) = decoder.decode_to_utf8_without_replacement(
                        &piece[used..],
                        &mut out[from..],
                        last,
                    );
                    used += read;
                    out.truncate(from + written);
                    match result {
                        DecoderResult::InputEmpty => return Ok(used),
                        DecoderResult::OutputFull => {}
                        DecoderResult::Malformed(..) => out.push(MALFORMED),
                    }
                }
            }
            Self::Utf32 { big, held } => {
                held.extend_from_slice(piece);
                let whole = held.len() / 4 * 4;
                for unit in held[..whole].chunks_exact(4) {
                    let unit = [unit[0], unit[1], unit[2], unit[3]];
                    let number = if *big {
                        u32::from_be_bytes(unit)
                    } else {
                        u32::from_le_bytes(unit)
                    };
                    match char::from_u32(number) {
                        Some(character) => {
                            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        None => out.push(MALFORMED),
                    }
                }
                held.drain(..whole);
                if last && !held.is_empty() {
                    held.clear();
                    out.push(MALFORMED);
                }
                Ok(piece.len())
            }
            Self::Guarded { last: before } => {
                before.extend_from_slice(piece);
                if holds_wide_text(before) {
                    return Err(Unknown {
                        why: "the file mixes text with two bytes per character and text with one",
                    });
                }
                before.drain(..before.len().saturating_sub(GUARD_BYTES));
                out.extend_from_slice(piece);
                Ok(piece.len())
            }
        }
    }
}

impl<R: AsyncBufRead> AsyncRead for Transcoded<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.at < this.ready.len() {
                let piece = &this.ready[this.at..];
                let piece = &piece[..piece.len().min(buffer.remaining())];
                buffer.put_slice(piece);
                this.at += piece.len();
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.at = 0;
            let piece = ready!(this.inner.as_mut().poll_fill_buf(context))?;
            this.ended = piece.is_empty();
            let used = this.step.take(piece, this.ended, &mut this.ready);
            let used = used.map_err(io::Error::other)?;
            this.inner.as_mut().consume(used);
        }
    }
}
