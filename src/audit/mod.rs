//! What an audit feed proves: records of all partitions read again, and compared with what the source says.
//!
//! In:  audit records as they were written, from a topic or from files; what is committed and kept in the source.
//! Out: for each partition of the source a verdict, with every fault that it rests on.
//! Holds: a feed that lacks, repeats or changes a record is never [`Verdict::Proven`]; no value is in a report.
//! Does not know: how records are processed, models, policies.
//!
//! [`tree`], [`note`], [`checkpoint`] and [`tile`] are the formats of a transparency log, by RFC 6962 and C2SP. They know
//! no records.

mod chain;
pub mod checkpoint;
mod fault;
mod feed;
#[cfg(feature = "kafka")]
pub mod live;
pub mod note;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_note;
#[cfg(test)]
mod tests_tile;
#[cfg(test)]
mod tests_tree;
pub mod tile;
pub mod tree;

pub use chain::{Epoch, Summary};
pub use fault::{Class, Fault, Fold, Gap, Verdict};
pub use feed::{Feed, Partition, Report, Source};
