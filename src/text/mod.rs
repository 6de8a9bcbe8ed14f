//! Tokenizing: text in, windows of tokens with a halo and the offsets of every token out.
//!
//! In:  a field's text, whole or in segments.
//! Out: [`Window`]s in order; [`ByteSpan`]s and [`CodePointSpan`]s of the text as received (I8).
//! Holds: nothing is truncated (I1); memory does not grow with the text.
//! Does not know: labels, models, tenants.
mod segment;
mod span;
mod tokenizer;
mod window;

pub use segment::{IN_PLACE_BYTES, SEGMENT_BYTES, cut};
pub use span::{ByteSpan, CodePointCursor, CodePointSpan};
pub use tokenizer::{Error, Special, Tokenizer, Tokens};
pub use window::{Shape, Window, Windower};
