//! Asking a server until it answers: retries, the deadline, and what a server does that is away.
//!
//! A request that fails is retried until its deadline, and fails that the server answers for are retried a bounded number
//! of times. Then one small question of our own decides: if the server answers it, the window is at fault, and its document
//! becomes a dead letter. If not, the server is away: the model stops, the worker ends, and no document is a dead letter for
//! it.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use metrics::counter;
use tokio::{
    runtime::{Handle, Runtime},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Access, Error,
    client::{Client, Failure},
    completion::{Completion, Request},
};
use crate::telemetry::metric;

/// The first wait between two attempts; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest one that the server did not ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Time between two log lines about one trouble.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// A server that is asked. All threads share it.
pub(super) struct Server {
    client: Client,
    deadline: Duration,
    retries: u32,
    /// Longest time for the question that decides whether the server is away: as long as any other may take.
    patience: Duration,
    /// Tells pending requests to end.
    stop: CancellationToken,
    /// Why nothing is asked any more.
    out: OnceLock<Error>,
    /// When it was last said that the server is in trouble; `None` while it is well.
    told: Mutex<Option<Instant>>,
    /// Drives connections. Taken at the end.
    runtime: Option<Runtime>,
}

/// What is asked, for whom.
pub(super) struct Question<'q> {
    pub(super) request: Request<'q>,
    pub(super) stop: &'q str,
    /// Bytes of the window.
    pub(super) bytes: usize,
    pub(super) tenant: &'q str,
}

/// A completion, or the window is too long.
pub(super) enum Outcome {
    Completed(Completion),
    TooLong,
}

impl Server {
    /// A server; nothing is sent yet.
    pub(super) fn new(client: Client, access: &Access) -> Result<Arc<Self>, Error> {
        // Threads of the model wait for requests; one thread moves the bytes of all.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("model-http")
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| Error::Address {
            at: client.at().to_owned(),
            why: format!("no thread for requests ({})", error.kind()),
        })?;
        Ok(Arc::new(Self {
            client,
            deadline: access.deadline,
            retries: access.retries,
            patience: access.read_timeout,
            stop: CancellationToken::new(),
            out: OnceLock::new(),
            told: Mutex::new(None),
            runtime: Some(runtime),
        }))
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Ends what is asked, and lets nothing more be asked.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Why nothing is asked any more, if that is so.
    pub(super) fn out(&self) -> Option<&Error> {
        self.out.get()
    }

    fn handle(&self) -> &Handle {
        self.runtime
            .as_ref()
            .expect("taken at the end only")
            .handle()
    }

    /// Runs something of the server's, unless the model is stopped first. Blocks.
    pub(super) fn block_on<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.handle().block_on(async {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => Err(Error::Stopped),
                done = work => done,
            }
        })
    }

    /// Asks until there is an answer. `probe` makes the small question.
    pub(super) async fn ask(
        &self,
        question: &Question<'_>,
        probe: &Request<'_>,
    ) -> Result<Outcome, Error> {
        let began = Instant::now();
        let (mut attempts, mut counted) = (0, 0);
        let mut wait = FIRST_WAIT;
        loop {
            if let Some(why) = self.out() {
                return Err(why.clone());
            }
            attempts += 1;
            let left = self.deadline.saturating_sub(began.elapsed());
            let asked = self.client.complete(&question.request, question.stop);
            let failure = match timeout(left, asked).await {
                Ok(Ok(completion)) => {
                    self.is_well();
                    account(question.tenant, "answered");
                    tokens(question.tenant, &completion);
                    return Ok(Outcome::Completed(completion));
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Passing {
                    why: "no answer in time".to_owned(),
                    after: None,
                    counts: true,
                },
            };
            let (why, after, counts) = match failure {
                Failure::TooLong => {
                    account(question.tenant, "too_long");
                    return Ok(Outcome::TooLong);
                }
                Failure::Rejected { why } => {
                    account(question.tenant, "failed");
                    let bytes = question.bytes;
                    return Err(Error::Rejected { bytes, why });
                }
                Failure::Refused { why } => {
                    account(question.tenant, "failed");
                    let at = self.client.at().to_owned();
                    return Err(self.end(Error::Refused { at, why }));
                }
                Failure::Passing { why, after, counts } => (why, after, counts),
            };
            self.tell(&why);
            counted += u32::from(counts);
            let pause = after.unwrap_or_else(|| jittered(wait));
            wait = (wait * 2).min(LONGEST_WAIT);
            let left = self.deadline.saturating_sub(began.elapsed());
            if counted > self.retries || pause >= left {
                account(question.tenant, "failed");
                return Err(self.given_up(question, probe, attempts, why).await);
            }
            account(question.tenant, "retried");
            tokio::time::sleep(pause).await;
        }
    }

    /// Whose fault it is that there was no answer.
    async fn given_up(
        &self,
        question: &Question<'_>,
        probe: &Request<'_>,
        attempts: u32,
        why: String,
    ) -> Error {
        let asked = self.client.complete(probe, question.stop);
        match timeout(self.patience, asked).await {
            // Whatever it says of the small question, it is there.
            Ok(Ok(_) | Err(Failure::TooLong | Failure::Rejected { .. })) => Error::NoAnswer {
                bytes: question.bytes,
                attempts,
                why,
            },
            _ => self.end(Error::Away {
                at: self.client.at().to_owned(),
                secs: self.deadline.as_secs(),
                why,
            }),
        }
    }

    /// Lets nothing more be asked.
    fn end(&self, why: Error) -> Error {
        self.out.get_or_init(|| why).clone()
    }

    fn tell(&self, why: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        *told = Some(Instant::now());
        let at = self.client.at();
        warn!(
            at,
            why, "the model server gave no usable answer; retrying, and documents wait"
        );
    }

    fn is_well(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.take().is_some() {
            info!(at = self.client.at(), "the model server answers again");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A name that is being looked up would hold back a runtime that waits for it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Between half of a time and all of it, so that clients that failed together do not come back together.
fn jittered(time: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness all wait the longest time.
    let part = match getrandom::fill(&mut random) {
        Ok(()) => f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX),
        Err(_) => 1.0,
    };
    time.mul_f64(0.5 + part / 2.0)
}

fn account(tenant: &str, outcome: &'static str) {
    let tenant = metric::label("tenant", tenant);
    counter!(metric::MODEL_REQUESTS_TOTAL, "tenant" => tenant, "outcome" => outcome).increment(1);
}

fn tokens(tenant: &str, completion: &Completion) {
    let tenant = metric::label("tenant", tenant);
    let usage = completion.usage;
    for (kind, tokens) in [
        ("prompt", usage.prompt_tokens),
        ("completion", usage.completion_tokens),
    ] {
        counter!(metric::MODEL_TOKENS_TOTAL, "tenant" => tenant.clone(), "kind" => kind)
            .increment(tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_at_least_half_of_itself() {
        for _ in 0..200 {
            let wait = jittered(Duration::from_secs(8));
            assert!(wait >= Duration::from_secs(4) && wait <= Duration::from_secs(8));
        }
    }
}
