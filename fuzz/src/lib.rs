//! What libFuzzer and the bounded run of the test suite have in common.
pub mod corpus;
pub mod targets;
#[path = "../../tests/it/support/tiny_pack.rs"]
mod tiny_pack;
