//! Bugs on purpose, in tests only: they show that the property test finds bugs of their kind.

use std::{cell::Cell, time::Instant};

use super::{gather::Gathering, place::Place};
use crate::sink::kafka::{Delivery, Error};

/// A bug of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// The committed offset is one too far.
    CommitsTooFar,
    /// What is ready of a partition that was revoked is published.
    KeepsRevoked,
    /// A set whose outcome is unknown is sent again, and nobody asks whether it is committed.
    SendsUnknownAgain,
    /// A set that was aborted is dropped.
    DropsAborted,
    /// A set that was aborted goes behind what was read after it.
    PutsBackBehind,
    /// A record that is done first goes first.
    Overtakes,
    /// A slot that is drained goes on reading behind what it left undone.
    ReadsBehindUndone,
    /// After an unknown outcome, what came in behind the set counts as committed too.
    TakesAllForCommitted,
    /// A producer that gave up records of an aborted set publishes the next one.
    KeepsSpentProducer,
    /// A record that is too large is dropped instead of becoming a dead letter.
    DropsTooLarge,
    /// Files: a partition goes on one record behind the end of its chain.
    SeeksTooFar,
}

thread_local! {
    static BUG: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug into the slots of this thread.
pub(super) fn plant(bug: Option<Bug>) {
    BUG.set(bug);
}

/// Whether the slots of this thread have a bug.
pub(super) fn has(bug: Bug) -> bool {
    BUG.get() == Some(bug)
}

/// A set that was not committed, before it is put back.
pub(super) fn misplace(set: &mut Vec<Delivery>, gathered: &mut Gathering, error: &Error) {
    match error {
        Error::TooLarge { records } if has(Bug::DropsTooLarge) => {
            for record in records.iter().rev() {
                // Others may have been revoked meanwhile.
                if record.index < set.len() {
                    set.remove(record.index);
                }
            }
        }
        Error::Aborted { .. } if has(Bug::DropsAborted) => set.clear(),
        Error::Aborted { .. } if has(Bug::PutsBackBehind) => {
            let mut behind = gathered.ready.take_all();
            std::mem::swap(set, &mut behind);
            gathered.put_back(behind, Instant::now());
        }
        _ => {}
    }
}

/// A set, before it is sent.
pub(super) fn one_too_far(mut set: Vec<Delivery>) -> Vec<Delivery> {
    if has(Bug::CommitsTooFar)
        && let Some(last) = set.last_mut()
    {
        last.envelope.offset += 1;
    }
    set
}

/// A partition that begins.
pub(super) fn seek_too_far(place: &mut Place) {
    if has(Bug::SeeksTooFar) {
        place.seek_to = place.seek_to.map(|offset| offset + 1);
    }
}
