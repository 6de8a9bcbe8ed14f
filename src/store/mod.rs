//! Local folders and object stores: where a place is, how it is opened, and how what lies there is named and packed.
//!
//! In:  a URL (`s3://`, `gs://`, `az://`, `abfss://`, `file://`) or a path, and the store's options.
//! Out: a [`Location`] that answers, or an [`Error`] with what to do about it.
//! Holds: no message prints a credential (I7); an option that the store does not know is refused.
//! Does not know: documents, records, who reads or writes.
#[cfg(feature = "clouds")]
mod bucket;
mod compression;
mod error;
mod format;
mod location;
mod options;

#[cfg(feature = "clouds")]
pub(crate) use bucket::bucket;
pub use compression::Compression;
pub(crate) use compression::{Bytes, MAGIC_BYTES, READ_BYTES, decompressed, magic, peeked};
pub use error::Error;
pub use format::Format;
pub use location::Location;
pub(crate) use location::local_path;
pub use options::Options;
