//! End-to-end tests: one binary, one module per theme.
mod engine;
mod tiny_pack;
