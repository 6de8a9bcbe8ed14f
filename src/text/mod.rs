//! Tokenizing: text in, windows of tokens with a halo and the offsets of every token out.
//!
//! In:  a field's text, whole or in pieces.
//! Out: [`Window`]s in order; [`ByteSpan`]s and [`CodePointSpan`]s of the text as received (I8).
//! Holds: nothing is truncated (I1); memory does not grow with the text.
//! Does not know: labels, models, tenants.
mod span;

pub use span::{ByteSpan, CodePointCursor, CodePointSpan};
