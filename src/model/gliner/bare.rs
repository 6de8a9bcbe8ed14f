//! The model alone, for measurements: rows in perfectly packed batches, without a queue.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    family::Gliner,
    runner::{Session, Work},
    windows::Windower,
    words::Words,
};
use crate::model::{Error, Options, family::Ask, pool::Runner as _};

/// A model's sessions, and the rows of texts.
pub struct Bare {
    sessions: Vec<Session>,
    /// Sorted by length.
    rows: Vec<(usize, Work)>,
    windows: usize,
}

impl Bare {
    /// Loads the sessions, and cuts texts into the rows that a job would make of them.
    pub fn load(options: Options, ask: &Ask, texts: &[String]) -> Result<Self, Error> {
        let family = Arc::new(Gliner::open(options)?);
        let (prompts, shape) = family.prepared(ask)?;
        let (mut rows, mut count) = (Vec::new(), 0);
        for text in texts {
            let (mut words, mut windows) = (Words::default(), Vec::new());
            words.add(family.tokenizer(), text, 0, family.longest_word(), &mut 0)?;
            let mut windower = Windower::new(shape);
            windower.push(&words, &mut windows);
            windower.finish(&mut windows);
            count += windows.len();
            for window in &windows {
                rows.extend(prompts.iter().map(|prompt| family.row(window, prompt)));
            }
        }
        rows.sort_by_key(|(tokens, _)| *tokens);
        Ok(Self {
            sessions: family.sessions()?,
            rows,
            windows: count,
        })
    }

    /// How many windows the texts have.
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// Tokens and time of all rows, in batches of at most `max_tokens`, padding included.
    pub fn run(&mut self, max_tokens: usize) -> Result<(u64, Duration), Error> {
        let mut batches: Vec<Vec<&Work>> = Vec::new();
        for (tokens, work) in &self.rows {
            match batches.last_mut() {
                // The longest one decides about the padded size, and is the last one of the batch.
                Some(batch) if (batch.len() + 1) * tokens <= max_tokens => batch.push(work),
                _ => batches.push(vec![work]),
            }
        }
        let next = AtomicUsize::new(0);
        let began = Instant::now();
        thread::scope(|scope| {
            let workers = self.sessions.iter_mut().map(|session| {
                let (next, batches) = (&next, &batches);
                scope.spawn(move || {
                    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        session.run(batch)?;
                    }
                    Ok(())
                })
            });
            let workers: Vec<_> = workers.collect();
            let mut ended = workers
                .into_iter()
                .map(|worker| worker.join().expect("a model that fails says so"));
            ended.try_for_each(|ended: Result<(), Error>| ended)
        })?;
        let tokens: usize = self.rows.iter().map(|(tokens, _)| tokens).sum();
        Ok((tokens as u64, began.elapsed()))
    }
}
