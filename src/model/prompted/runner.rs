//! A thread that asks: one request at a time.

use std::{sync::Arc, time::Instant};

use super::{
    Error, Settings,
    ask::{Outcome, Question, Server},
    completion::{Completion, Request},
    prompt::{Group, answer_tokens},
};
use crate::{
    batch,
    model::{self, pool},
    telemetry::metric::{self, Stage},
};

/// A window and what is asked of it.
pub(super) struct Work {
    pub(super) prompt: String,
    /// Bytes of the window.
    pub(super) bytes: usize,
    pub(super) group: Arc<Group>,
    pub(super) tenant: Arc<str>,
}

/// What the model says of a window.
pub(super) enum Answer {
    /// Values, and how many of labels that were not asked for.
    Values { values: Vec<Value>, unasked: u64 },
    /// It has to be asked in halves.
    TooLong,
}

/// A value that the model named. It is text of a document: there is no `Debug`.
pub(super) struct Value {
    pub(super) text: Box<str>,
    /// Position of the label in its group.
    pub(super) class: u16,
    pub(super) score: f32,
}

impl batch::Weigh for Answer {
    fn bytes(&self) -> usize {
        let own = match self {
            Self::Values { values, .. } => values
                .iter()
                .map(|value| value.text.len() + size_of::<Value>())
                .sum(),
            Self::TooLong => 0,
        };
        own + size_of::<Self>()
    }
}

/// What all threads ask with.
pub(super) struct Asking {
    pub(super) server: Arc<Server>,
    pub(super) settings: Settings,
    /// A small question, to learn whether the server answers any.
    pub(super) probe: Probe,
}

/// A prompt of a label and a text that are ours.
pub(super) struct Probe {
    pub(super) prompt: String,
    pub(super) group: Group,
}

impl Asking {
    fn request<'r>(&'r self, prompt: &'r str, group: &'r Group, max_tokens: usize) -> Request<'r> {
        Request::new(
            &self.settings.model,
            prompt,
            max_tokens,
            &self.settings.stop,
            self.settings.seed,
            group.grammar.as_ref(),
        )
    }

    /// The small question: an answer of one token.
    pub(super) fn probe(&self) -> Request<'_> {
        self.request(&self.probe.prompt, &self.probe.group, 1)
    }

    fn answer(&self, work: &Work) -> Result<Answer, Error> {
        let max_tokens = answer_tokens(&self.settings, work.bytes);
        let question = Question {
            request: self.request(&work.prompt, &work.group, max_tokens),
            stop: &self.settings.stop,
            bytes: work.bytes,
            tenant: &work.tenant,
        };
        let probe = self.probe();
        let asked = self.server.ask(&question, &probe);
        match self.server.block_on(asked)? {
            Outcome::TooLong => Ok(Answer::TooLong),
            Outcome::Completed(completion) => read(&work.group, &completion, max_tokens),
        }
    }
}

/// Bytes that a token of an answer may be long, far more than any is.
const LONGEST_TOKEN: usize = 256;

fn read(group: &Group, completion: &Completion, max_tokens: usize) -> Result<Answer, Error> {
    let bytes = completion.text.len();
    // No model that was asked for so many tokens answered this.
    if bytes > max_tokens * LONGEST_TOKEN {
        return Err(Error::Unreadable { bytes });
    }
    if completion.is_cut {
        return Ok(Answer::TooLong);
    }
    let items = group.anchors.read(&completion.text);
    let items = items.map_err(|_| Error::Unreadable { bytes })?;
    let values = items.named.into_iter().map(|named| Value {
        score: completion.tokens.score(&named.bytes),
        text: named.value,
        class: named.class,
    });
    Ok(Answer::Values {
        values: values.collect(),
        unasked: items.unasked,
    })
}

/// One thread.
pub(super) struct Session(pub(super) Arc<Asking>);

impl pool::Runner for Session {
    type Work = Work;
    type Answer = Answer;

    fn run(&mut self, work: &[&Work]) -> Result<Vec<Answer>, model::Error> {
        let mut answers = Vec::with_capacity(work.len());
        for work in work {
            let began = Instant::now();
            answers.push(self.0.answer(work)?);
            metric::stage(Stage::Model, began);
        }
        Ok(answers)
    }
}
