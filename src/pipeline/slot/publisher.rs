//! What a slot hands its records to: [`Topics`](super::topics::Topics) or
//! [`Files`](super::files::Files).

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use tokio::runtime::Handle;

use super::{Error, account::Account, gather::Gathering, group::Group};
use crate::{kafka::Partition, record::PlainText};

/// Records taken in before those that are done are looked at.
pub(super) const BURST: usize = 256;

/// Publishes what a slot has gathered, in sets that become visible as a whole.
///
/// What is on its way does not keep the slot from gathering: [`Self::publish`] begins, and
/// [`Self::take_outcome`] takes in what came of it. After a failure the records are back in front of
/// those that were read after them, or are read again.
pub(super) trait Publisher<G: Group> {
    /// The form in which redacted documents go out.
    fn form(&self) -> PlainText;

    /// Most records that are gathered for one set.
    fn set_limit(&self) -> usize;

    /// Bytes that it holds.
    fn held(&self) -> u64;

    /// Puts in when the first record of each partition that it holds was written.
    fn oldest(&self, _: &mut BTreeMap<Partition, SystemTime>) {}

    /// What it waits for while something is on its way.
    fn waits_for(&self) -> Option<&'static str>;

    /// Whether it holds nothing: a slot may end.
    fn is_idle(&self) -> bool;

    /// Whether a partition's records come from the wrong place: the slot drops them.
    fn is_astray(&self, _: &Partition) -> bool {
        false
    }

    /// A partition begins again at `offset`: its topic was deleted and created again.
    ///
    /// # Errors
    /// What is published goes on behind that.
    fn begin_again(&mut self, _: &Partition, _offset: i64) -> Result<(), Error> {
        Ok(())
    }

    /// Partitions are no longer the slot's.
    fn forget(&mut self, revoked: &[Partition]);

    /// Takes in what came of what was on its way. Whether anything did.
    ///
    /// # Errors
    /// Trying again can't help.
    fn take_outcome(&mut self, turn: &mut Turn<'_, G>) -> Result<bool, Error>;

    /// Begins to publish what is due. Whether anything moved.
    ///
    /// # Errors
    /// Trying again can't help.
    fn publish(&mut self, turn: &mut Turn<'_, G>) -> Result<bool, Error>;

    /// The slot ends, and has published all it had.
    fn leave(&mut self, _: &G) {}
}

/// What a publisher sees of its slot.
pub(super) struct Turn<'s, G> {
    pub(super) group: &'s mut G,
    pub(super) gathered: &'s mut Gathering,
    pub(super) account: &'s mut Account,
    pub(super) runtime: &'s Handle,
    /// Nothing comes any more.
    pub(super) over: bool,
    /// Nothing more fits, and nothing is being processed.
    pub(super) full: bool,
}

/// When a set is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) documents: usize,
    /// Of the source's records.
    pub(super) bytes: u64,
    pub(super) wait: Duration,
    /// Of everything between source and sink, as it is held.
    pub(super) memory: u64,
}
