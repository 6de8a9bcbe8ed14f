//! What is asked, as the model reads it: prompts of at most 25 sorted labels.
//!
//! The order of labels changes a uni-encoder's scores (GLiNER issue 192): they are sorted before the model sees them, and
//! what it finds is mapped back. A label is asked for once, however many tenants' labels have its wording.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    config::{Config, Encoders},
    graph::LabelInput,
};
use crate::{
    batch::Key,
    digest,
    model::{
        Calibration, Error,
        family::{Ask, Label},
    },
    text::Tokenizer,
};

/// What one row asks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prompt {
    /// What stands before the words.
    pub(super) prefix: Vec<u32>,
    /// A bi-encoder's labels, which stand beside the text.
    pub(super) labels: Vec<Arc<BesideText>>,
    /// The classes that the row is read for, in the graph's order.
    pub(super) classes: Vec<Class>,
    /// Least logit that any class needs.
    pub(super) floor: f32,
    /// Digest of what scores depend on.
    pub(super) key: Key,
}

/// A label of a bi-encoder.
#[derive(Debug, PartialEq)]
pub(super) struct BesideText {
    pub(super) wording: String,
    pub(super) input: LabelInput,
}

/// A class of the graph that is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Class {
    /// Position among the graph's classes of the row.
    pub(super) at: usize,
    /// Position among all sorted labels: which of two equal candidates is taken.
    pub(super) order: usize,
    /// Positions in [`Ask::labels`], the first one in front.
    pub(super) labels: Vec<usize>,
    /// Least logit that one of them needs.
    pub(super) floor: f32,
}

/// How logits become probabilities.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Curve {
    pub(super) calibration: Calibration,
    pub(super) recall_bias: f32,
}

impl Curve {
    /// Calibrated probability.
    pub(super) fn score(self, logit: f32) -> f32 {
        let Calibration {
            slope, intercept, ..
        } = self.calibration;
        1.0 / (1.0 + (-(slope * (logit + self.recall_bias) + intercept)).exp())
    }

    /// The logit from which on a score reaches a threshold; a bit less, as rounding is no reason to lose a span.
    fn floor(self, threshold: f32) -> f32 {
        if threshold <= 0.0 {
            return f32::NEG_INFINITY;
        }
        let Calibration {
            slope, intercept, ..
        } = self.calibration;
        let logit = (threshold / (1.0 - threshold).max(0.0)).ln();
        (logit - intercept) / slope - self.recall_bias - 1e-4
    }
}

/// What makes prompts.
pub(super) struct Prompts<'a> {
    pub(super) config: &'a Config,
    pub(super) tokenizer: &'a Tokenizer,
    /// Special tokens before a row.
    pub(super) start: &'a [u32],
    pub(super) marker: u32,
    pub(super) separator: u32,
    pub(super) lower_case: bool,
    /// Most labels of a prompt.
    pub(super) most: usize,
    /// Most tokens of a prompt.
    pub(super) room: usize,
}

impl Prompts<'_> {
    /// A wording as the model is given it.
    pub(super) fn wording(&self, label: &Label) -> String {
        match self.lower_case {
            true => label.wording.to_lowercase(),
            false => label.wording.to_string(),
        }
    }

    /// Prompts for all labels. `beside` makes a bi-encoder's labels ready.
    pub(super) fn make(
        &self,
        pack: &str,
        ask: &Ask,
        curve: Curve,
        beside: impl FnOnce(&[&str]) -> Result<Vec<LabelInput>, Error>,
    ) -> Result<Vec<Prompt>, Error> {
        let mut sorted: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, label) in ask.labels.iter().enumerate() {
            sorted.entry(self.wording(label)).or_default().push(at);
        }
        let class = |at: usize, order: usize, labels: &[usize]| {
            let floors = labels
                .iter()
                .map(|label| curve.floor(ask.labels[*label].threshold));
            Class {
                at,
                order,
                labels: labels.to_vec(),
                floor: floors.fold(f32::INFINITY, f32::min),
            }
        };
        if let Some(known) = &self.config.classes {
            return self.fixed(pack, known, &sorted, class);
        }
        let wordings: Vec<&str> = sorted.keys().map(String::as_str).collect();
        let mut labels = Vec::new();
        if self.config.encoders == Encoders::Two {
            let inputs = beside(&wordings)?;
            let named = wordings.iter().zip(inputs);
            labels.extend(named.map(|(wording, input)| {
                Arc::new(BesideText {
                    wording: (*wording).to_owned(),
                    input,
                })
            }));
        }
        let tokens: Vec<Vec<u32>> = match self.config.encoders {
            Encoders::One => wordings
                .iter()
                .map(|wording| self.tokenizer.word(wording))
                .collect::<Result<_, _>>()?,
            Encoders::Two => vec![Vec::new(); wordings.len()],
        };
        let mut prompts = Vec::new();
        let mut from = 0;
        let positions: Vec<&Vec<usize>> = sorted.values().collect();
        while from < wordings.len() {
            let mut prefix = self.start.to_vec();
            let mut classes = Vec::new();
            let mut to = from;
            while to < wordings.len() && to - from < self.most {
                if self.config.encoders == Encoders::One {
                    let own = 1 + tokens[to].len();
                    if prefix.len() + own + 2 > self.room {
                        if to == from {
                            return Err(Error::LabelTooLong {
                                tokens: tokens[to].len(),
                                limit: self.room.saturating_sub(self.start.len() + 3),
                            });
                        }
                        break;
                    }
                    prefix.push(self.marker);
                    prefix.extend_from_slice(&tokens[to]);
                }
                classes.push(class(to - from, to, positions[to]));
                to += 1;
            }
            if self.config.encoders == Encoders::One {
                self.close(&mut prefix);
            }
            let own = if labels.is_empty() {
                Vec::new()
            } else {
                labels[from..to].to_vec()
            };
            prompts.push(prompt(prefix, own, classes));
            from = to;
        }
        Ok(prompts)
    }

    /// The labels that the graph knows are in it: its prompt is the separator alone.
    fn fixed(
        &self,
        pack: &str,
        known: &[String],
        sorted: &BTreeMap<String, Vec<usize>>,
        class: impl Fn(usize, usize, &[usize]) -> Class,
    ) -> Result<Vec<Prompt>, Error> {
        let mut classes = Vec::new();
        for (order, (wording, labels)) in sorted.iter().enumerate() {
            let at = named(known, wording).ok_or_else(|| Error::NoCategory {
                pack: pack.to_owned(),
                label: wording.clone(),
                categories: known.join(", "),
            })?;
            classes.push(class(at, order, labels));
        }
        let mut prefix = self.start.to_vec();
        self.close(&mut prefix);
        Ok(vec![prompt(prefix, Vec::new(), classes)])
    }

    /// Ends the labels; of a relation model also the relations, of which there are none.
    fn close(&self, prefix: &mut Vec<u32>) {
        prefix.push(self.separator);
        if self.config.relations {
            prefix.push(self.separator);
        }
    }
}

/// The class that a label is, whatever the case, with `_`, `-` or spaces.
pub(super) fn named(known: &[String], label: &str) -> Option<usize> {
    let normal = |name: &str| -> String {
        let words =
            name.split(|letter: char| letter.is_whitespace() || letter == '_' || letter == '-');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        words.join(" ").to_lowercase()
    };
    let wanted = normal(label);
    let exactly = known.iter().position(|name| name == label);
    exactly.or_else(|| known.iter().position(|name| normal(name) == wanted))
}

fn prompt(prefix: Vec<u32>, labels: Vec<Arc<BesideText>>, classes: Vec<Class>) -> Prompt {
    let floor = classes
        .iter()
        .map(|class| class.floor)
        .fold(f32::INFINITY, f32::min);
    let mut hasher = blake3::Hasher::new();
    for id in &prefix {
        hasher.update(&id.to_le_bytes());
    }
    for label in &labels {
        digest::part(&mut hasher, &label.wording);
    }
    hasher.update(&(classes.len() as u64).to_le_bytes());
    for class in &classes {
        hasher.update(&(class.at as u64).to_le_bytes());
        hasher.update(&class.floor.to_le_bytes());
    }
    Prompt {
        prefix,
        labels,
        classes,
        floor,
        key: digest::key(&hasher),
    }
}
