//! Kafka as source and sink share it: how brokers are reached and what they refuse, partitions and their offsets,
//! and what stands around the value of a record.
//!
//! In:  addresses, logins and options as a configuration names them.
//! Out: settings of clients, refusals with what to grant, waits between tries.
//! Holds: no password, token, key or header is printed (I7).
//! Does not know: groups, transactions, what records hold.
#[cfg(feature = "kafka")]
mod append;
#[cfg(feature = "kafka")]
pub(crate) mod brokers;
#[cfg(feature = "kafka")]
mod envelope;
#[cfg(feature = "kafka")]
pub(crate) mod offsets;
#[cfg(feature = "kafka")]
mod refusal;
mod settings;

#[cfg(feature = "kafka")]
pub use append::NotAppended;
#[cfg(feature = "kafka")]
pub(crate) use envelope::position;
#[cfg(feature = "kafka")]
pub use envelope::{Bytes, Envelope, Header, Lost, Partition};
#[cfg(feature = "kafka")]
pub use refusal::{Refusal, Resource};
pub use settings::{Brokers, Settings};
