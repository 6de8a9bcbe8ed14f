//! End-to-end tests: one binary, one module per theme.
mod cli;
mod engine;
mod failures;
mod job;
mod parity;
mod privacy;
mod tiny_pack;
mod worker;
