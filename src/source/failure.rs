//! Why reading stopped: the store failed, or the object is not what it should be.

use std::io;

use super::{Error, Object, encoding::Unknown};
use crate::{
    record::{Code, Position},
    store,
};

/// What an error of [`Stream::reader`] means.
#[derive(Debug)]
pub enum ReadFailure {
    /// The object is broken or was replaced: a dead letter with this code and reason.
    Rejected(Code, String),
    /// The store failed: the object can be read again.
    Error(Error),
}

/// Tells a broken object from a store that failed.
pub fn read_failure(position: &Position, error: io::Error) -> ReadFailure {
    match Failure::read(&position.to_string(), error) {
        Failure::Rejected(Rejected { code, reason }) => ReadFailure::Rejected(code, reason),
        Failure::Error(error) => ReadFailure::Error(error),
    }
}

/// Why a step of a reader gave no unit.
#[derive(Debug)]
pub(super) enum Failure {
    Rejected(Rejected),
    Error(Error),
}

#[derive(Debug)]
pub(super) struct Rejected {
    pub(super) code: Code,
    pub(super) reason: String,
}

impl Failure {
    pub(super) fn rejected(code: Code, reason: &str) -> Self {
        Self::Rejected(Rejected {
            code,
            reason: reason.to_owned(),
        })
    }

    pub(super) fn changed() -> Self {
        let reason = "the object was replaced or removed while it was being read";
        Self::rejected(Code::Changed, reason)
    }

    pub(super) fn store(object: &Object, source: object_store::Error) -> Self {
        match source {
            object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. } => {
                Self::changed()
            }
            source => Self::of_store(object.path.clone(), source),
        }
    }

    fn of_store(at: String, source: object_store::Error) -> Self {
        Self::Error(store::Error::Store { at, source }.into())
    }

    pub(super) fn read(at: &str, error: io::Error) -> Self {
        let at = at.to_owned();
        let cause = error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<Unknown>());
        if let Some(unknown) = cause {
            return Self::rejected(Code::UnknownEncoding, &unknown.to_string());
        }
        match error.downcast::<object_store::Error>() {
            Ok(object_store::Error::Precondition { .. }) => Self::changed(),
            Ok(source) => Self::of_store(at, source),
            Err(error) => match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    Self::rejected(Code::Truncated, "the compressed object is truncated")
                }
                // What the decoders of async-compression return for bytes that are not theirs.
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                    Self::rejected(Code::Truncated, "the compressed object is corrupt")
                }
                _ => Self::Error(Error::Io { at, source: error }),
            },
        }
    }
}
