//! End-to-end tests: one binary, one module per theme.
mod cli;
mod engine;
mod parity;
mod tiny_pack;
