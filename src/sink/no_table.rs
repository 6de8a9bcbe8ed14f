//! Stands in for `table.rs` in a build without the feature `tables`: weir writes no tables.

use std::convert::Infallible;

use object_store::path::Path;

use super::{Error, summed::Sum, writer::Place};
use crate::record::Entities;

/// There is none.
pub(super) struct TableWriter(Infallible);

/// What waits to become rows.
pub(super) trait Rows {
    fn schema(&self) -> Schema {
        Schema
    }
}

/// Of no column.
pub(super) struct Schema;

impl TableWriter {
    pub(super) fn parquet(_: Place, _: Schema) -> Result<Self, String> {
        Err("this weir was built without the feature `tables`".to_owned())
    }

    pub(super) async fn write_rows(&mut self, _: &mut impl Rows) -> Result<(), Error> {
        match self.0 {}
    }

    pub(super) async fn abort(self) {
        match self.0 {}
    }

    pub(super) async fn finish(self) -> Result<(Path, Option<Sum>), Error> {
        match self.0 {}
    }
}

#[derive(Default)]
pub(super) struct EntityRows(());

impl EntityRows {
    pub(super) fn push(&mut self, _: &Entities) {}

    pub(super) fn len(&self) -> usize {
        0
    }
}

impl Rows for EntityRows {}

#[derive(Default)]
pub(super) struct RecordRows(());

impl RecordRows {
    pub(super) fn push(&mut self, _: &str, _: &str, _: Vec<u8>) {}

    pub(super) fn len(&self) -> usize {
        0
    }
}

impl Rows for RecordRows {}
