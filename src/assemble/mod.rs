//! From a resolved configuration to running parts, in one place.
//!
//! In:  a [`Resolved`](crate::config::Resolved) configuration, whose [`Route`](crate::config::Route) names the
//!      source and the sink.
//! Out: a [`Worker`] that is open and can run, or the one [`Error`] that keeps it from starting.
//! Holds: each section of the configuration is taken apart without `..` here, so that a new key does not compile
//!        before it is used. A key that another file reads is bound to `_` beside the name of that file. `check`
//!        opens its parts with the functions of this room, so that what it passes, `run` runs.
//! Does not know: the command line, exit codes, how a part does its work.
pub mod engine;
mod error;
mod identity;
pub mod objects;
mod opened;
#[cfg(feature = "kafka")]
pub mod registries;
#[cfg(feature = "kafka")]
pub mod replay;
pub mod signed;
mod stdio;
pub mod telemetry;
pub mod tenants;
#[cfg(feature = "kafka")]
pub mod topics;
mod worker;

pub use error::Error;
pub use worker::{Trial, Worker, drain_timeout};
