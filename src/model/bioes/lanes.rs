//! A window's scores laid out for decoding: a lane for each label, and what each token says of all.

use super::Emissions;

/// The scores of a window.
pub(in crate::model) struct Lanes<'a> {
    /// By their first token.
    pub(in crate::model) lanes: Vec<Lane<'a>>,
    /// One a token.
    pub(in crate::model) columns: Vec<Column>,
}

/// Scores of one label from a token of the window on.
#[derive(Clone, Copy)]
pub(in crate::model) struct Lane<'a> {
    pub(in crate::model) label: u32,
    pub(in crate::model) start: usize,
    scores: &'a [[f32; 4]],
}

/// What all labels together score at one token.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct Column {
    /// Score of O.
    pub(in crate::model) outside: f32,
    /// What the best class of an asked label scores above O and above the labels that are not asked
    /// for; 0 where none does.
    ///
    /// It is never below 0, so that it is exact although scores are left out: a label that has none
    /// at a token scores below O there (see [`Emissions`]), so it cannot be the best one above O.
    pub(in crate::model) gain: f32,
    /// Best of O and all classes, whose label that is, and the best without that label.
    best: f32,
    best_label: u32,
    second: f32,
}

impl<'a> Lanes<'a> {
    /// The lanes of `window`. A label that was filled in has those scores instead. `asked`: which
    /// labels are asked for, if not all are.
    pub(in crate::model) fn of(
        window: &'a Emissions,
        filled: &'a [(u32, Vec<[f32; 4]>)],
        asked: Option<&[bool]>,
    ) -> Self {
        let own = window.runs.iter().filter(|run| {
            filled
                .binary_search_by_key(&run.label, |(label, _)| *label)
                .is_err()
        });
        let own = own.map(|run| Lane {
            label: run.label,
            start: run.start as usize,
            scores: window.of(run),
        });
        let filled = filled.iter().map(|(label, scores)| Lane {
            label: *label,
            start: 0,
            scores,
        });
        let mut lanes: Vec<Lane> = own.chain(filled).collect();
        lanes.sort_by_key(|lane| lane.start);
        let mut columns: Vec<Column> = window.outside.iter().map(|o| Column::of(*o)).collect();
        for lane in &lanes {
            for (column, four) in columns[lane.start..].iter_mut().zip(lane.scores) {
                column.add(lane.label, four[0].max(four[1]).max(four[2].max(four[3])));
            }
        }
        let mut lanes = Self { lanes, columns };
        lanes.gain(asked);
        lanes
    }

    fn gain(&mut self, asked: Option<&[bool]>) {
        let Some(asked) = asked else {
            for column in &mut self.columns {
                column.gain = column.best - column.outside;
            }
            return;
        };
        // Rivals are O and what is not asked for.
        let mut rivals: Vec<f32> = self.columns.iter().map(|column| column.outside).collect();
        let mut bests = rivals.clone();
        for lane in &self.lanes {
            let of = match asked[lane.label as usize] {
                true => &mut bests,
                false => &mut rivals,
            };
            for (best, four) in of[lane.start..].iter_mut().zip(lane.scores) {
                *best = best.max(four[0].max(four[1]).max(four[2].max(four[3])));
            }
        }
        for ((column, best), rival) in self.columns.iter_mut().zip(bests).zip(rivals) {
            column.gain = (best - rival).max(0.0);
        }
    }
}

impl Lane<'_> {
    /// B, I, E and S at a token of the window.
    pub(in crate::model) fn at(&self, token: usize) -> [f32; 4] {
        self.scores[token - self.start]
    }

    /// Token after the last.
    pub(in crate::model) fn end(&self) -> usize {
        self.start + self.scores.len()
    }
}

impl Column {
    fn of(outside: f32) -> Self {
        Self {
            outside,
            gain: 0.0,
            best: outside,
            best_label: u32::MAX,
            second: outside,
        }
    }

    fn add(&mut self, label: u32, score: f32) {
        if score > self.best {
            self.second = self.best;
            self.best = score;
            self.best_label = label;
        } else if score > self.second {
            self.second = score;
        }
    }

    /// Best score of O and of the labels other than `label`.
    pub(in crate::model) fn rival_of(&self, label: u32) -> f32 {
        if label == self.best_label {
            self.second
        } else {
            self.best
        }
    }
}
