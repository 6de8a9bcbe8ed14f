//! End-to-end tests: one binary, one module per theme.
mod cli;
mod engine;
mod failures;
mod formats;
mod frame;
mod fuzz;
mod job;
mod kafka;
mod kafka_broker;
mod kafka_objects;
mod kill;
mod parity;
mod privacy;
mod s3_server;
mod stores;
mod tiny_pack;
mod worker;
