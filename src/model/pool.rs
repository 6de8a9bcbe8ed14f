//! The threads that run a pack: each takes batches from the pack's queue, and answers every item of them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{Error as ModelError, family::Error};
use crate::{
    batch::{self, Ticket},
    telemetry::trace,
};

/// What one thread runs: a session of a model.
pub trait Runner: Send + 'static {
    /// What it needs of an item.
    type Work: Send + 'static;
    /// What it makes of it.
    type Answer: batch::Weigh + Send + Sync + 'static;

    /// Runs a batch: an answer for each item, in their order.
    fn run(&mut self, work: &[&Self::Work]) -> Result<Vec<Self::Answer>, ModelError>;
}

/// The queue in front of a pack's threads. Cheap to clone.
pub type Queue<R> = batch::Handle<<R as Runner>::Work, <R as Runner>::Answer, Error>;

type Batches<R> = batch::Batches<<R as Runner>::Work, <R as Runner>::Answer, Error>;

/// The threads of a pack. Dropping it stops them.
pub struct Running {
    stop: Arc<AtomicBool>,
    /// Ends what a runner waits for.
    cancel: Option<CancellationToken>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts a thread for each runner, and one for their queue. `padded`: whether a batch is filled up to its longest
/// item.
pub fn start<R: Runner>(
    runners: Vec<R>,
    options: batch::Options,
    padded: bool,
) -> (Queue<R>, Running) {
    let (service, queue) = options.build(padded);
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for (number, runner) in runners.into_iter().enumerate() {
        let batches = service.batches();
        threads.push(spawn(format!("model-{number}"), move || {
            work(runner, batches)
        }));
    }
    let ended = stop.clone();
    threads.push(spawn("batch".to_owned(), move || service.run(&ended)));
    let running = Running {
        stop,
        cancel: None,
        threads,
    };
    (queue, running)
}

impl Running {
    /// Cancels a token when it is dropped, before it waits for the threads.
    pub fn and_cancel(mut self, token: CancellationToken) -> Self {
        self.cancel = Some(token);
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("a thread of the model panicked");
            }
        }
    }
}

fn work<R: Runner>(mut runner: R, mut batches: Batches<R>) {
    while let Some(batch) = batches.take() {
        let tickets = &batch.tickets;
        let tokens = tickets.iter().map(|ticket| ticket.tokens).sum();
        let links = tickets.iter().map(|ticket| &ticket.link);
        let span = trace::infer(tickets.len(), tokens, links);
        let outcome = answers(&mut runner, tickets);
        span.end(outcome.as_ref().err().map(|_| "model_failed"));
        match outcome {
            Ok(answers) => {
                for (ticket, answer) in batch.tickets.into_iter().zip(answers) {
                    ticket.answer(Ok(answer));
                }
            }
            // One window may be what the model fails on: its mates are not to suffer for it.
            Err(problem) if batch.tickets.len() > 1 => {
                warn!(windows = batch.tickets.len(), %problem, "batch failed, running its windows one by one");
                for ticket in batch.tickets {
                    let answer = answers(&mut runner, std::slice::from_ref(&ticket));
                    ticket.answer(answer.map(|mut answers| answers.remove(0)));
                }
            }
            Err(problem) => {
                for ticket in batch.tickets {
                    ticket.answer(Err(problem.clone()));
                }
            }
        }
    }
}

fn answers<R: Runner>(
    runner: &mut R,
    tickets: &[Ticket<R::Work, R::Answer, Error>],
) -> Result<Vec<R::Answer>, Error> {
    let work: Vec<&R::Work> = tickets.iter().map(|ticket| &ticket.payload).collect();
    // A panic must not end the worker: its queue would fill up and the source would stand still.
    let answers = catch_unwind(AssertUnwindSafe(|| runner.run(&work)));
    let answers = answers.map_err(|_| Error::Panicked)??;
    debug_assert_eq!(answers.len(), tickets.len(), "an answer for each item");
    Ok(answers)
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new()
        .name(name)
        .spawn(run)
        .expect("a thread can be started while the process starts up")
}
