//! weir reads documents from object storage, files or standard input, finds the entities each
//! tenant asked for, and publishes entity records and redacted records.
//!
//! Data walks through the rooms in one direction:
//! [`source`] → [`text`] → [`batch`] → [`model`] → [`decode`] → [`redact`] → [`sink`].
//! [`tenant`] holds what each tenant asked for, [`record`] the records that cross the boundary, [`store`] and [`kafka`]
//! what source and sink share, [`pipeline`] the stages around the model, [`assemble`] the wiring, [`diagnose`] what is
//! wrong with a file, [`audit`] what a feed of audit records proves, [`measure`] what benchmarks call. Start reading at [`pipeline`].
#![warn(missing_docs)]
// What only a feature calls that was left out stays: a build of all features tells what nobody calls.
#![cfg_attr(
    not(all(feature = "kafka", feature = "tables", feature = "kms")),
    allow(dead_code)
)]

#[cfg(all(feature = "planted-faults", not(debug_assertions)))]
compile_error!("`planted-faults` is for tests: a release build must not have it");

pub mod assemble;
pub mod audit;
pub mod batch;
pub mod cli;
pub mod config;
pub mod decode;
pub mod diagnose;
mod digest;
pub mod kafka;
pub mod measure;
pub mod model;
pub mod pipeline;
pub mod record;
pub mod redact;
pub mod sink;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod tenant;
pub mod text;

/// The version of this build: goes into every record that weir writes (invariant 10).
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
