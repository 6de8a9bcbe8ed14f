//! What tests share: packs, programs, servers, places to read and write, and ways to break them.
pub mod broker;
pub mod collector;
pub mod engine;
pub mod eventually;
pub mod job;
pub mod llama;
pub mod probe;
pub mod proxy;
pub mod registry;
pub mod s3;
pub mod served;
pub mod store;
pub mod tables;
pub mod tiny_pack;
pub mod topic;
pub mod worker;
