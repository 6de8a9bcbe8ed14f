//! What each label would mark if it were the only one that is asked for.
//!
//! In:  the lanes of a document's windows, one window after another.
//! Out: the entities of each label's own best path, whatever the other labels score.
//! Holds: asking for more never finds less (I11): a label's own entities do not depend on the others.
//!
//! The path of all labels together cannot promise that. Where two labels are near to each other, their
//! entities keep each other off it: with "town" asked for beside "person", an entity of "town" over the
//! second half of a name takes the whole name's place, and the first half is on no entity.
//!
//! A label's own best path is O wherever its lane has no scores (see [`Emissions`]), so a Viterbi of its
//! own runs over each stretch of its lane and ends with it. That costs a step for each token and label
//! that has scores, as the common path does: linear in labels (I3). Memory is bounded as there.
//!
//! [`Emissions`]: crate::model::Emissions

use super::{
    lanes::Lanes,
    viterbi::{Entity, Viterbi},
};

/// The own paths of all labels.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// Tokens seen.
    token: u64,
    /// Stretches that reached the last window's end.
    open: Vec<Stretch>,
    certain: Vec<Entity>,
}

#[derive(Debug)]
struct Stretch {
    label: u32,
    /// First token of the document.
    start: u64,
    path: Viterbi,
}

impl Alone {
    /// Goes on over the next window.
    pub(super) fn advance(&mut self, lanes: &Lanes) {
        let tokens = lanes.columns.len();
        let mut carried = std::mem::take(&mut self.open);
        for lane in &lanes.lanes {
            let from_before = carried
                .iter()
                .position(|stretch| lane.start == 0 && stretch.label == lane.label);
            let mut stretch = match from_before {
                Some(at) => carried.swap_remove(at),
                None => Stretch {
                    label: lane.label,
                    start: self.token + lane.start as u64,
                    path: Viterbi::default(),
                },
            };
            stretch.path.advance_alone(*lane, lanes);
            if lane.end() == tokens {
                let start = stretch.start;
                stretch.path.settle();
                self.certain
                    .extend(stretch.path.certain().map(|entity| moved(entity, start)));
                self.open.push(stretch);
            } else {
                self.end(stretch);
            }
        }
        for stretch in carried {
            self.end(stretch);
        }
        self.token += tokens as u64;
    }

    /// First token that later entities may cover.
    pub(super) fn decided(&self) -> u64 {
        self.open
            .iter()
            .map(|stretch| stretch.start + stretch.path.decided())
            .fold(self.token, u64::min)
    }

    /// Entities that are certain so far, in no order.
    pub(super) fn certain(&mut self) -> impl Iterator<Item = Entity> + '_ {
        self.certain.drain(..)
    }

    /// Ends the document.
    pub(super) fn finish(mut self) -> Vec<Entity> {
        for stretch in std::mem::take(&mut self.open) {
            self.end(stretch);
        }
        self.certain
    }

    fn end(&mut self, stretch: Stretch) {
        let start = stretch.start;
        let entities = stretch.path.finish_alone().into_iter();
        self.certain
            .extend(entities.map(|entity| moved(entity, start)));
    }
}

fn moved(entity: Entity, start: u64) -> Entity {
    Entity {
        start: entity.start + start,
        end: entity.end + start,
        ..entity
    }
}
