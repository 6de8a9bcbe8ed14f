//! Logs, metrics and health.
//!
//! In:  [`Event`]s of every room, heartbeats of the pipeline's loops.
//! Out: log lines on standard error; `/metrics`, `/livez` and `/readyz` over HTTP; traces, metrics and log lines to an
//!      OpenTelemetry collector.
//! Holds: a field or label can't hold text of a document (I7): events are structs of places, names
//!        and counts. The values of a label are bounded.
//! Does not know: what the loops do.
pub mod health;
pub mod log;
pub mod metric;
#[cfg(feature = "otlp")]
pub mod otlp;
#[cfg(feature = "server")]
mod server;
#[cfg_attr(not(feature = "otlp"), path = "no_trace.rs")]
pub mod trace;

pub use health::{Health, Heart};
#[cfg(feature = "server")]
pub use server::{Error, Options, Server};

/// Something that happened: one struct each, in `events.rs` of its room. `emit` writes the log line
/// and the metrics.
pub trait Event {
    /// Writes the log line and the metrics.
    fn emit(self);
}
