//! A session at work: windows with what they ask, in batches.
//!
//! Rows of a uni-encoder may ask different labels in one batch: a row with fewer has junk behind its own classes, which is
//! not read. Those of a bi-encoder share one list of labels, the union of what the rows ask, unless its labels change one
//! another's scores.

use std::{ops::Range, sync::Arc, time::Instant};

use super::{
    config::Scores,
    graph::{Graph, LabelInput, Logits, Row},
    prompt::{BesideText, Prompt},
};
use crate::{
    batch,
    model::{Error, pool},
    telemetry::metric::{self, Stage},
};

/// Labels of a bi-encoder in one batch.
///
/// Fewer: batches of tenants with different labels are cut up. More: the label encoder in the graph takes longer than
/// the text.
pub(super) const MOST_LABELS: usize = 128;

/// One row.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) ids: Arc<[u32]>,
    pub(super) ends: Arc<[u32]>,
    /// Words that the window answers for.
    pub(super) core: Range<usize>,
    pub(super) prompt: Arc<Prompt>,
}

/// What a window's words score, where it is enough for the label that needs least. Words are counted from the window's
/// first one, classes by their places in [`Prompt::classes`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Spans(Vec<SpanScore>),
    /// In the order of words.
    Words(Vec<WordScore>),
}

/// A span of the window's own words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SpanScore {
    pub(super) word: u32,
    /// Words behind the first.
    pub(super) more: u16,
    pub(super) class: u16,
    pub(super) logit: f32,
}

/// A word of the window's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct WordScore {
    pub(super) word: u32,
    pub(super) class: u16,
    pub(super) start: f32,
    pub(super) end: f32,
    pub(super) inside: f32,
}

impl batch::Weigh for Answer {
    fn bytes(&self) -> usize {
        let numbers = match self {
            Self::Spans(spans) => std::mem::size_of_val(spans.as_slice()),
            Self::Words(words) => std::mem::size_of_val(words.as_slice()),
        };
        numbers + std::mem::size_of::<Self>()
    }
}

/// A session of the text's graph.
pub(super) struct Session {
    pub(super) graph: Graph,
    pub(super) scores: Scores,
    /// Rows of different label sets go apart.
    pub(super) labels_interact: bool,
}

impl pool::Runner for Session {
    type Work = Work;
    type Answer = Answer;

    fn run(&mut self, work: &[&Work]) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::with_capacity(work.len());
        let mut rest = work;
        while !rest.is_empty() {
            let (rows, labels) = self.together(rest);
            let (now, later) = rest.split_at(rows);
            rest = later;
            answers.extend(self.batch(now, &labels)?);
        }
        Ok(answers)
    }
}

impl Session {
    /// How many of the rows can share a list of labels, and the list.
    fn together<'w>(&self, work: &[&'w Work]) -> (usize, Vec<&'w Arc<BesideText>>) {
        let mut union: Vec<&Arc<BesideText>> = Vec::new();
        for (row, own) in work.iter().enumerate() {
            let own = &own.prompt.labels;
            let new: Vec<&Arc<BesideText>> = own
                .iter()
                .filter(|label| !union.iter().any(|known| known.wording == label.wording))
                .collect();
            let too_many = union.len() + new.len() > MOST_LABELS;
            let apart = self.labels_interact && (!new.is_empty() || own.len() != union.len());
            if row > 0 && (too_many || apart) {
                return (row, union);
            }
            union.extend(new);
        }
        (work.len(), union)
    }

    fn batch(&mut self, work: &[&Work], labels: &[&Arc<BesideText>]) -> Result<Vec<Answer>, Error> {
        let rows = work.iter().map(|work| Row {
            prefix: &work.prompt.prefix,
            ids: &work.ids,
            ends: &work.ends,
        });
        let rows: Vec<Row> = rows.collect();
        let inputs: Vec<&LabelInput> = labels.iter().map(|label| &label.input).collect();
        let began = Instant::now();
        let scores = self.scores;
        self.graph.run(&rows, &inputs, |logits| {
            metric::stage(Stage::Model, began);
            let all = work.iter().enumerate();
            all.map(|(row, work)| answer(&logits, row, work, labels, scores))
                .collect()
        })
    }
}

fn answer(
    logits: &Logits,
    row: usize,
    work: &Work,
    labels: &[&Arc<BesideText>],
    scores: Scores,
) -> Result<Answer, String> {
    let place = |label: &Arc<BesideText>| {
        labels
            .iter()
            .position(|known| known.wording == label.wording)
    };
    let prompt = &work.prompt;
    let columns = prompt
        .classes
        .iter()
        .map(|class| match prompt.labels.get(class.at) {
            Some(label) => place(label).expect("the list has the labels of all rows"),
            None => class.at,
        });
    let columns: Vec<usize> = columns.collect();
    if columns.iter().any(|column| *column >= logits.classes()) {
        let (classes, asked) = (logits.classes(), columns.len());
        return Err(format!(
            "the logits have {classes} classes, and {asked} are asked for"
        ));
    }
    let not_finite = || "the logits hold a number that is not finite".to_owned();
    let words = work.ends.len();
    match scores {
        Scores::Spans { width } => {
            let mut found = Vec::new();
            for word in work.core.clone() {
                for more in 0..width.min(words - word) {
                    for (class, column) in columns.iter().enumerate() {
                        let logit = logits.span(row, word, more, *column);
                        if !logit.is_finite() {
                            return Err(not_finite());
                        }
                        if logit >= prompt.classes[class].floor {
                            found.push(SpanScore {
                                word: word as u32,
                                more: more as u16,
                                class: class as u16,
                                logit,
                            });
                        }
                    }
                }
            }
            Ok(Answer::Spans(found))
        }
        Scores::Words => {
            let mut found = Vec::new();
            for word in work.core.clone() {
                for (class, column) in columns.iter().enumerate() {
                    let [start, end, inside] = logits.word(row, word, *column);
                    if ![start, end, inside].iter().all(|logit| logit.is_finite()) {
                        return Err(not_finite());
                    }
                    // Words with less are in no candidate.
                    if inside >= prompt.classes[class].floor {
                        found.push(WordScore {
                            word: word as u32,
                            class: class as u16,
                            start,
                            end,
                            inside,
                        });
                    }
                }
            }
            Ok(Answer::Words(found))
        }
    }
}
