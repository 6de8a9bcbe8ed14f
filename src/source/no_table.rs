//! Stands in for `table.rs` in a build without the feature `tables`: weir reads no tables, and an object that
//! holds one becomes a dead letter.

use std::{convert::Infallible, fs::File};

use super::{Object, failure::Failure, objects::Shared};
use crate::record::{Code, DeadLetter, Document};

/// There is none.
#[derive(Debug)]
pub struct Table {
    /// As of a table that is there.
    pub documents: Vec<Result<Document, DeadLetter>>,
    /// As of a table that is there.
    pub unreadable: Vec<DeadLetter>,
    never: Infallible,
}

impl Table {
    /// Nothing comes here.
    pub fn never(&self) -> ! {
        match self.never {}
    }

    /// Nothing comes here.
    pub fn bytes(&self) -> u64 {
        self.never()
    }
}

/// There are none.
pub(super) struct Rows(Infallible);

impl Rows {
    pub(super) async fn parquet(_: &Shared, _: &Object) -> Result<Self, Failure> {
        Err(left_out())
    }

    pub(super) async fn arrow(_: &Shared, _: &Object, _: File) -> Result<Self, Failure> {
        Err(left_out())
    }

    pub(super) async fn next(&mut self, _: &Shared, _: &Object) -> Result<Option<Table>, Failure> {
        match self.0 {}
    }
}

fn left_out() -> Failure {
    Failure::rejected(
        Code::Corrupt,
        "a table, and this weir was built without the feature `tables`",
    )
}
