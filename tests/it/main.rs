//! End-to-end tests: one binary, one module per theme.
mod engine;
mod frame;
mod fuzz;
mod kill;
mod parity;
mod s3_server;
mod stores;
mod tiny_pack;
mod worker;
