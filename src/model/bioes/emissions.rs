use std::{ops::Range, sync::Arc};

/// Scores of a window's core tokens: O's, and each label's where it may matter.
///
/// An entity lies on the best path only if its classes score at least what O scores over the same
/// tokens, for O may stand in their place. A token that lies in no stretch over which a label's best
/// classes make up for O has no scores of that label: each would be below O's there, and none is on
/// a best path. See [`super::LabelMatrix`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Emissions {
    /// Core tokens.
    pub tokens: usize,
    /// Score of O for each token.
    pub outside: Vec<f32>,
    /// Stretches of tokens with a label's scores, by label, then start; those of one label do not
    /// touch.
    pub runs: Vec<Run>,
    /// B, I, E, S of the runs' tokens, run after run.
    pub scores: Vec<[f32; 4]>,
    /// Hidden states of the core, `tokens × hidden`, where scores were left out and the text has
    /// more windows: an entity may go on over the seam.
    pub hidden: Option<Arc<[f32]>>,
}

/// A stretch of tokens with scores of one label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Position in the label set.
    pub label: u32,
    /// First token of the core.
    pub start: u32,
    /// Token after the last.
    pub end: u32,
    /// First row in `scores`.
    pub row: u32,
}

impl Emissions {
    /// Adds a run of a label from token `start` on.
    pub(crate) fn push(
        &mut self,
        label: u32,
        start: usize,
        scores: impl Iterator<Item = [f32; 4]>,
    ) {
        let row = self.scores.len();
        self.scores.extend(scores);
        let end = start + self.scores.len() - row;
        self.runs.push(Run {
            label,
            start: start as u32,
            end: end as u32,
            row: row as u32,
        });
    }

    /// Scores of a run, a row a token.
    pub fn of(&self, run: &Run) -> &[[f32; 4]] {
        &self.scores[run.row as usize..][..(run.end - run.start) as usize]
    }

    /// Labels whose scores go up to the last token (`true`) or begin at the first one.
    pub fn at_edge(&self, last: bool) -> impl Iterator<Item = u32> + '_ {
        let at_edge = move |run: &&Run| {
            if last {
                run.end as usize == self.tokens
            } else {
                run.start == 0
            }
        };
        self.runs.iter().filter(at_edge).map(|run| run.label)
    }

    /// Runs of one label.
    pub fn runs_of(&self, label: u32) -> &[Run] {
        let range: Range<usize> = self.runs.partition_point(|run| run.label < label)
            ..self.runs.partition_point(|run| run.label <= label);
        &self.runs[range]
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.outside.len() * 4
            + self.runs.len() * size_of::<Run>()
            + self.scores.len() * 16
            + self.hidden.as_ref().map_or(0, |hidden| hidden.len() * 4)
    }
}
