//! The records that cross weir's boundary, and their codecs.
//!
//! In:  documents as JSON, plain text, log lines or table rows.
//! Out: [`Entities`], [`Redaction`], [`DeadLetter`] and [`Audit`] records, version 1.
//! Holds: offsets are of the source as received (I8); no raw value in a dead letter (I7).
//! Does not know: models, tenants' policies, where records come from or go.
/// Audit records: what was done to each record, in chains.
pub mod audit;
#[cfg(feature = "kafka")]
pub mod avro;
pub mod commit;
mod dead_letter;
mod document;
mod document_id;
mod entities;
mod forget;
pub mod json;
mod position;
mod redacted;
mod redaction;
mod reveal;
pub mod schema_name;
mod text;
#[cfg(feature = "tables")]
pub mod text_column;

pub use audit::Audit;
pub use dead_letter::{Code, DeadLetter, Stage};
pub use document::{Body, Document};
pub use document_id::{DocumentId, IdKey, IdRules, IdTreatment};
pub use entities::{Digests, Entities, Entity};
pub use forget::{Forget, KeyAction, KeyKind};
pub use json::Json;
pub use position::Position;
pub use redacted::{Done, PlainText, Redacted};
pub use redaction::{Change, Redaction};
pub use reveal::{Reveal, RevealKind};
pub use text::Text;
