use std::sync::Arc;

/// Scores of a window's core tokens: O's, and those of the labels that may matter there.
///
/// A label that beats O at no token of a window can't begin, go on or end an entity that lies in
/// that window: the same tokens as O would score more. Such labels are left out, which changes no
/// result (see [`super::score`]). For a text of several windows the scores of a label left out of
/// one window and not of its neighbour can be asked for again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Emissions {
    /// Core tokens.
    pub tokens: usize,
    /// Score of O for each token.
    pub outside: Vec<f32>,
    /// Positions of the labels in the label set, ascending.
    pub labels: Vec<u32>,
    /// Scores by label, then token, then B, I, E, S: `labels.len() × tokens × 4`.
    pub scores: Vec<[f32; 4]>,
    /// Hidden states of the core, `tokens × hidden`, where labels were left out and the text has
    /// more windows.
    pub hidden: Option<Arc<[f32]>>,
}

impl Emissions {
    /// The scores of one label, a row a token; `None` if it was left out.
    pub fn of(&self, label: u32) -> Option<&[[f32; 4]]> {
        let at = self.labels.binary_search(&label).ok()?;
        Some(&self.scores[at * self.tokens..(at + 1) * self.tokens])
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.outside.len() * 4
            + self.labels.len() * 4
            + self.scores.len() * 16
            + self.hidden.as_ref().map_or(0, |hidden| hidden.len() * 4)
    }
}
