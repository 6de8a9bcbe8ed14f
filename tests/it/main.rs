//! End-to-end tests: one binary, one module per theme.
mod cli;
mod engine;
mod failures;
mod formats;
mod frame;
mod fuzz;
mod job;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kafka_broker;
mod kill;
mod parity;
mod privacy;
#[cfg(feature = "kafka")]
mod registry;
#[cfg(feature = "kafka")]
mod registry_server;
mod s3_server;
mod stores;
mod tiny_pack;
mod worker;
