//! The best class of each word by itself, as the hub's `simple` aggregation reads a model.
//!
//! In:  emissions of a document's windows, in order.
//! Out: entities: words in a row with classes of one category, up to the next B.
//! Holds: an entity that the next window may go on with is not given out.

use crate::model::{
    Emissions, Entity,
    bioes::{LONGEST_ENTITY, Lanes},
};

/// Reads a document.
#[derive(Debug)]
pub(super) struct Argmax {
    /// Which categories are asked for.
    asked: Vec<bool>,
    /// Words so far.
    word: u64,
    open: Option<Open>,
    certain: Vec<Entity>,
}

#[derive(Debug)]
struct Open {
    label: u32,
    start: u64,
    gain: f64,
    margin: f64,
}

impl Argmax {
    pub(super) fn new(asked: Vec<bool>) -> Self {
        Self {
            asked,
            word: 0,
            open: None,
            certain: Vec::new(),
        }
    }

    /// Goes on over a window.
    pub(super) fn push(&mut self, window: &Emissions) {
        let lanes = Lanes::of(window, &[], Some(&self.asked));
        for (at, column) in lanes.columns.iter().enumerate() {
            let mut best = (column.outside, None);
            for lane in &lanes.lanes {
                let [begin, inside, end, single] = lane.at(at);
                let (first, later) = (begin.max(single), inside.max(end));
                if first.max(later) > best.0 {
                    best = (first.max(later), Some((lane.label, first > later)));
                }
            }
            match best.1 {
                None => self.end(),
                Some((label, begins)) => {
                    let goes_on = self.open.as_ref().is_some_and(|open| {
                        open.label == label && !begins && self.word - open.start < LONGEST_ENTITY
                    });
                    if !goes_on {
                        self.end();
                        self.open = Some(Open {
                            label,
                            start: self.word,
                            gain: 0.0,
                            margin: 0.0,
                        });
                    }
                    if let Some(open) = &mut self.open {
                        open.gain += f64::from(column.gain);
                        open.margin += f64::from(best.0 - column.rival_of(label));
                    }
                }
            }
            self.word += 1;
        }
    }

    /// First word that later entities may cover.
    pub(super) fn decided(&self) -> u64 {
        self.open.as_ref().map_or(self.word, |open| open.start)
    }

    /// What is certain so far.
    pub(super) fn certain(&mut self) -> Vec<Entity> {
        std::mem::take(&mut self.certain)
    }

    /// Ends the document.
    pub(super) fn finish(mut self) -> Vec<Entity> {
        self.end();
        self.certain
    }

    fn end(&mut self) {
        let Some(open) = self.open.take() else { return };
        let mean = |sum: f64| (sum / (self.word - open.start) as f64) as f32;
        self.certain.push(Entity {
            label: open.label,
            start: open.start,
            end: self.word,
            gain: mean(open.gain),
            margin: mean(open.margin),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        classifier::{
            scheme::Scheme,
            scores::{Logits, Reading},
        },
        pack::Step,
    };

    /// Entities as `category start..end` for the best classes of words, read in windows of `width`.
    fn read(classes: &str, best: &str, width: usize) -> Vec<String> {
        let classes: Vec<String> = classes.split(' ').map(str::to_owned).collect();
        let scheme = Scheme::new(&classes, None).unwrap();
        let mut values = Vec::new();
        for name in best.split(' ') {
            values.extend(
                classes
                    .iter()
                    .map(|class| if class == name { 3.0 } else { 0.0 }),
            );
        }
        let mut argmax = Argmax::new(vec![true; scheme.categories.len()]);
        let reading = Reading {
            step: Step::Tokens,
            o_bias: 0.0,
        };
        let mut found = Vec::new();
        for window in values.chunks(width * classes.len()) {
            let logits = Logits {
                values: window,
                classes: classes.len(),
            };
            let core: Vec<_> = (0..window.len() / classes.len())
                .map(|at| at..at + 1)
                .collect();
            argmax.push(&reading.emissions(&scheme, &logits, &core));
            let decided = argmax.decided();
            found.extend(argmax.certain());
            assert!(found.iter().all(|entity: &Entity| entity.end <= decided));
        }
        found.extend(argmax.finish());
        assert!(
            found
                .iter()
                .all(|entity| entity.gain == 3.0 && entity.margin == 3.0)
        );
        let told = found.iter().map(|entity| {
            format!(
                "{} {}..{}",
                scheme.categories[entity.label as usize], entity.start, entity.end
            )
        });
        told.collect()
    }

    #[test]
    fn classes_in_a_row_are_an_entity_as_the_hub_joins_them() {
        for (classes, best, expected) in [
            (
                "O B-x I-x B-y I-y",
                "B-x I-x O B-y",
                vec!["x 0..2", "y 3..4"],
            ),
            (
                "O B-x I-x B-y I-y",
                "B-x B-x I-y I-y",
                vec!["x 0..1", "x 1..2", "y 2..4"],
            ),
            ("O B-x I-x", "O I-x I-x B-x", vec!["x 1..3", "x 3..4"]),
            ("O x y", "x x y O x", vec!["x 0..2", "y 2..3", "x 4..5"]),
        ] {
            for width in 1..5 {
                assert_eq!(
                    read(classes, best, width),
                    expected,
                    "{best}, windows of {width}"
                );
            }
        }
    }
}
