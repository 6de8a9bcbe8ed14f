//! Decoding: emission scores and text in, the entities of a document out.
//!
//! In:  the emissions of a document's windows; its text, for the pattern recognisers.
//! Out: [`Span`]s, sorted, never overlapping, on grapheme borders (I8).
//! Holds: one decode per document (I2); linear in labels (I3); asking for more never finds less (I11).
//! Does not know: sessions, batches, operators.
pub mod conflict;
pub mod naming;
pub mod patterns;
mod span;
pub mod whole;

pub use span::{Recognizer, Span};
