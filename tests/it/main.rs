//! End-to-end tests: one binary, one module per theme.
mod frame;
mod engine;
mod fuzz;
mod parity;
mod tiny_pack;
