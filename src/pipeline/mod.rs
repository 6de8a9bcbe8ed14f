//! The wiring: stages, back pressure, drain, shutdown.
//!
//! In:  a configuration: a source, a sink, tenants, a pack.
//! Out: every document of the source as entities and a redaction, or as a dead letter.
//! Holds: a document that fails in any way does not go downstream (I6); what is in flight is
//!        bounded (I9); every record carries the digests of what made it (I10).
//! Does not know: how any stage does its work.
//!
//! [`Engine`] owns the model's threads. A [`Scan`] takes one text through text → batch → model →
//! decode, piece by piece; [`document`] takes a record through its fields and operators.
pub mod document;
mod engine;
pub mod job;
pub mod long_text;
mod models;
mod names;
mod processor;
mod progress;
#[cfg(feature = "kafka")]
pub mod replay;
mod scan;
#[cfg(feature = "kafka")]
pub mod slot;
mod tagging;

pub use crate::model::Options;
pub use engine::{Engine, Error, Labels, Running};
pub use long_text::LongText;
pub use models::{Models, Reading};
pub use processor::{Processor, Working};
pub use progress::{Progress, Snapshot};
pub use scan::{Piece, Scan};
