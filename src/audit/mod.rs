//! What an audit feed proves: records of all partitions read again, and compared with what the source says.
//!
//! In:  audit records as they were written, from a topic or from files; what is committed and kept in the source.
//! Out: for each partition of the source a verdict, with every fault that it rests on.
//! Holds: a feed that lacks, repeats or changes a record is never [`Verdict::Proven`]; no value is in a report.
//! Does not know: how records are processed, models, policies.
//!
//! # The log
//!
//! A [`notary`] keeps a Merkle tree of each partition's records in an [`archive`], and signs at every interval a [`roll`]
//! that names all of them. A [`review`] of an archive compares all of it with what was signed. [`anchor`]s outside of its reach keep what it signed, so it cannot show two histories. A
//! [`proof`] of a record holds with public keys alone. [`tree`], [`note`], [`checkpoint`] and [`tile`] are the formats of
//! C2SP and know no records.

mod activity;
pub mod anchor;
pub mod archive;
mod chain;
pub mod checkpoint;
mod fault;
mod feed;
mod file_fault;
pub mod files;
#[cfg(feature = "kafka")]
mod gaps;
#[cfg(feature = "kafka")]
pub mod kafka_feed;
pub mod key_file;
pub mod lineage;
pub mod link;
#[cfg(feature = "kafka")]
pub mod live;
#[cfg(all(feature = "kafka", feature = "clouds"))]
pub mod locked;
mod log_fault;
pub mod notary;
pub mod note;
pub mod page;
pub mod proof;
pub mod review;
pub mod roll;
#[cfg(feature = "kafka")]
pub mod segment;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_log;
#[cfg(test)]
mod tests_note;
#[cfg(test)]
mod tests_tile;
#[cfg(test)]
mod tests_tree;
pub mod tile;
pub mod tree;
pub mod trust;
#[cfg(feature = "kafka")]
pub mod witness;

pub use activity::{Activity, Documents, Treated, Used};
pub use chain::{Epoch, Summary};
pub use fault::{Class, Fault, Fold, Gap, Verdict};
pub use feed::{Feed, Partition, Report, Source};
pub use file_fault::FileFault;
pub use log_fault::LogFault;
