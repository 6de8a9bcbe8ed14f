//! End-to-end tests: one binary, one module per theme.
mod engine;
mod frame;
mod fuzz;
mod parity;
mod tiny_pack;
