use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use metrics::counter;
use tokio::sync::{Semaphore, oneshot};

use super::{
    cache::Cache,
    queue::{Queue, Waiting},
};
use crate::telemetry::{metric, trace};

/// How items are put together.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most tokens in one batch, padding included.
    pub max_tokens: usize,
    /// Longest time an item waits for company while the model is idle.
    pub linger: Duration,
    /// Items looked at before a batch is cut.
    pub look_ahead: usize,
    /// Most tokens that wait or are being computed; pushing waits beyond that.
    pub queue_tokens: usize,
    /// Bytes of results kept for equal items.
    pub cache_bytes: usize,
}

/// What a result depends on: items with equal keys have equal results.
pub type Key = [u8; 16];

/// One window on its way to the model.
#[derive(Debug, Clone)]
pub struct Item<P> {
    /// Tokens it takes in a batch.
    pub tokens: usize,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// What its result depends on.
    pub key: Key,
    /// What the model needs.
    pub payload: P,
}

/// Size of a result in the cache.
pub trait Weigh {
    /// Bytes held.
    fn bytes(&self) -> usize;
}

/// Nothing takes items any more: the service has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the model's workers have ended")]
pub struct Stopped;

type Answer<R, E> = Result<Arc<R>, E>;

enum Command<P, R, E> {
    Push {
        item: Item<P>,
        /// To what its pusher is at work on.
        link: trace::Link,
        reply: oneshot::Sender<Answer<R, E>>,
    },
    Next {
        reply: mpsc::SyncSender<Batch<P, R, E>>,
    },
    Done {
        key: Key,
        answer: Answer<R, E>,
    },
    Lost {
        key: Key,
    },
}

/// Tokens by what became of them; for summaries and metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Tokens that went through the model.
    pub real: AtomicU64,
    /// Padding that went through the model with them.
    pub padding: AtomicU64,
    /// Tokens whose result was there already, or on its way.
    pub reused: AtomicU64,
    /// Batches.
    pub batches: AtomicU64,
}

impl Counts {
    /// Tokens that have their results.
    pub fn tokens(&self) -> u64 {
        self.real.load(Ordering::Relaxed) + self.reused.load(Ordering::Relaxed)
    }

    fn reuse(&self, tokens: usize) {
        self.reused.fetch_add(tokens as u64, Ordering::Relaxed);
        counter!(metric::TOKENS_TOTAL, "kind" => "reused").increment(tokens as u64);
    }
}

/// The loop that owns the queue.
pub struct Service<P, R, E> {
    options: Options,
    commands: mpsc::Receiver<Command<P, R, E>>,
    /// For the tickets. Handles hold another sender; see [`Service::run`] about the end.
    sender: mpsc::Sender<Command<P, R, E>>,
    queue: Queue<Queued<P>>,
    cache: Cache<Key, R>,
    waiters: HashMap<Key, Vec<oneshot::Sender<Answer<R, E>>>>,
    workers: VecDeque<mpsc::SyncSender<Batch<P, R, E>>>,
    padded: bool,
    counts: Arc<Counts>,
    room: Arc<Semaphore>,
}

struct Queued<P> {
    key: Key,
    link: trace::Link,
    payload: P,
}

/// Gives items to the service. Cheap to clone.
pub struct Handle<P, R, E> {
    commands: mpsc::Sender<Command<P, R, E>>,
    room: Arc<Semaphore>,
    queue_tokens: usize,
    counts: Arc<Counts>,
}

/// Takes batches from the service: one for each worker thread.
pub struct Batches<P, R, E> {
    commands: mpsc::Sender<Command<P, R, E>>,
}

/// Items that go through the model together.
pub struct Batch<P, R, E> {
    /// The items; each must be answered. One that is dropped unanswered leaves its waiters with
    /// [`Stopped`].
    pub tickets: Vec<Ticket<P, R, E>>,
}

/// An item that waits for its result.
pub struct Ticket<P, R, E> {
    /// What the model needs.
    pub payload: P,
    /// Tokens it takes in a batch.
    pub tokens: usize,
    /// To the span of its document.
    pub link: trace::Link,
    promise: Promise<P, R, E>,
}

/// What an unanswered ticket leaves behind.
struct Promise<P, R, E> {
    key: Key,
    commands: mpsc::Sender<Command<P, R, E>>,
    kept: bool,
}

impl<P, R, E> Drop for Promise<P, R, E> {
    fn drop(&mut self) {
        if !self.kept {
            let _ = self.commands.send(Command::Lost { key: self.key });
        }
    }
}

impl Options {
    /// Sets the service up; `padded`: whether the model fills the items of a batch up to the longest.
    pub fn build<P, R: Weigh, E: Clone>(self, padded: bool) -> (Service<P, R, E>, Handle<P, R, E>) {
        let (sender, commands) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let queue_tokens = self
            .queue_tokens
            .clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let room = Arc::new(Semaphore::new(queue_tokens));
        let handle = Handle {
            commands: sender.clone(),
            room: room.clone(),
            queue_tokens,
            counts: counts.clone(),
        };
        let service = Service {
            queue: Queue::new(self.look_ahead, padded),
            cache: Cache::new(self.cache_bytes),
            waiters: HashMap::new(),
            workers: VecDeque::new(),
            padded,
            options: self,
            commands,
            sender,
            counts,
            room,
        };
        (service, handle)
    }
}

impl<P, R, E> Handle<P, R, E> {
    /// The result of an item. Waits for room, so that a slow model stops the source (I9).
    pub async fn run(&self, item: Item<P>) -> Result<Answer<R, E>, Stopped> {
        let permits = item.tokens.clamp(1, self.queue_tokens) as u32;
        let _room = self.room.acquire_many(permits).await.map_err(|_| Stopped)?;
        let (reply, answer) = oneshot::channel();
        let link = trace::current().link();
        self.commands
            .send(Command::Push { item, link, reply })
            .map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Whether the service has ended: every further item gets [`Stopped`].
    pub fn has_stopped(&self) -> bool {
        self.room.is_closed()
    }

    /// Tokens so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl<P, R, E> Clone for Handle<P, R, E> {
    fn clone(&self) -> Self {
        Self {
            commands: self.commands.clone(),
            room: self.room.clone(),
            queue_tokens: self.queue_tokens,
            counts: self.counts.clone(),
        }
    }
}

impl<P, R, E> Batches<P, R, E> {
    /// The next batch; blocks. `None` when the service has ended.
    pub fn take(&mut self) -> Option<Batch<P, R, E>> {
        let (reply, batch) = mpsc::sync_channel(1);
        self.commands.send(Command::Next { reply }).ok()?;
        batch.recv().ok()
    }
}

impl<P, R, E> Ticket<P, R, E> {
    /// Gives the result to everybody who waits for it.
    pub fn answer(mut self, answer: Result<R, E>) {
        self.promise.kept = true;
        // Fails only once the service has ended, and nobody waits then.
        let answer = answer.map(Arc::new);
        let _ = self.promise.commands.send(Command::Done {
            key: self.promise.key,
            answer,
        });
    }
}

impl<P, R: Weigh, E: Clone> Service<P, R, E> {
    /// A taker of batches for a worker.
    pub fn batches(&self) -> Batches<P, R, E> {
        Batches {
            commands: self.sender.clone(),
        }
    }

    /// Runs until `stop` says so; blocks its thread. Items that wait are dropped then, and their
    /// pushers get [`Stopped`].
    pub fn run(mut self, stop: &std::sync::atomic::AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            match self.commands.recv_timeout(self.patience()) {
                Ok(command) => self.apply(command),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            // Takes what else has come before cutting, so that a batch sees all of it.
            while let Ok(command) = self.commands.try_recv() {
                self.apply(command);
            }
            self.hand_out();
        }
        self.room.close();
    }

    /// How long to wait for a command.
    fn patience(&self) -> Duration {
        // The bound on how late `stop` is seen.
        const IDLE: Duration = Duration::from_millis(50);
        match self.queue.oldest() {
            Some(since) if !self.workers.is_empty() => (since + self.options.linger)
                .saturating_duration_since(Instant::now())
                .min(IDLE),
            _ => IDLE,
        }
    }

    fn apply(&mut self, command: Command<P, R, E>) {
        match command {
            Command::Push { item, link, reply } => self.push(item, link, reply),
            Command::Next { reply } => self.workers.push_back(reply),
            Command::Done { key, answer } => self.done(key, answer),
            Command::Lost { key } => drop(self.waiters.remove(&key)),
        }
    }

    fn push(&mut self, item: Item<P>, link: trace::Link, reply: oneshot::Sender<Answer<R, E>>) {
        if reply.is_closed() {
            return; // its pusher has left
        }
        if let Some(result) = self.cache.get(&item.key) {
            self.counts.reuse(item.tokens);
            let _ = reply.send(Ok(result));
            return;
        }
        if let Some(waiters) = self.waiters.get_mut(&item.key) {
            self.counts.reuse(item.tokens);
            waiters.push(reply);
            return;
        }
        self.waiters.insert(item.key, vec![reply]);
        let what = Queued {
            key: item.key,
            link,
            payload: item.payload,
        };
        self.queue.push(
            &item.tenant,
            Waiting {
                tokens: item.tokens,
                since: Instant::now(),
                what,
            },
        );
    }

    fn done(&mut self, key: Key, answer: Answer<R, E>) {
        if let Ok(result) = &answer {
            self.cache.put(key, result.clone(), result.bytes());
        }
        for waiter in self.waiters.remove(&key).unwrap_or_default() {
            let _ = waiter.send(answer.clone());
        }
    }

    fn hand_out(&mut self) {
        while let Some(oldest) = self.queue.oldest() {
            let full = self.queue.tokens() >= self.options.max_tokens;
            if self.workers.is_empty() || !(full || oldest.elapsed() >= self.options.linger) {
                return;
            }
            let waiting = self.queue.cut(self.options.max_tokens);
            let real: usize = waiting.iter().map(|waiting| waiting.tokens).sum();
            let widest = waiting
                .iter()
                .map(|waiting| waiting.tokens)
                .max()
                .unwrap_or(0);
            let padding = match self.padded {
                true => waiting.len() * widest - real,
                false => 0,
            };
            self.counts.real.fetch_add(real as u64, Ordering::Relaxed);
            self.counts
                .padding
                .fetch_add(padding as u64, Ordering::Relaxed);
            counter!(metric::TOKENS_TOTAL, "kind" => "real").increment(real as u64);
            counter!(metric::TOKENS_TOTAL, "kind" => "padding").increment(padding as u64);
            self.counts.batches.fetch_add(1, Ordering::Relaxed);
            let tickets = waiting
                .into_iter()
                .map(|waiting| Ticket {
                    payload: waiting.what.payload,
                    tokens: waiting.tokens,
                    link: waiting.what.link,
                    promise: Promise {
                        key: waiting.what.key,
                        commands: self.sender.clone(),
                        kept: false,
                    },
                })
                .collect();
            let worker = self.workers.pop_front().expect("checked above");
            if let Err(mpsc::SendError(batch)) = worker.send(Batch { tickets }) {
                // The worker has left: its batch goes back to the queue's end, nothing is lost.
                for mut ticket in batch.tickets {
                    ticket.promise.kept = true;
                    let what = Queued {
                        key: ticket.promise.key,
                        link: ticket.link,
                        payload: ticket.payload,
                    };
                    let since = Instant::now();
                    self.queue.push(
                        &"".into(),
                        Waiting {
                            tokens: ticket.tokens,
                            since,
                            what,
                        },
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicBool, thread};

    use super::*;

    impl Weigh for u32 {
        fn bytes(&self) -> usize {
            4
        }
    }

    struct Model {
        handle: Handle<u32, u32, &'static str>,
        stop: Arc<AtomicBool>,
        batches: Arc<std::sync::Mutex<Vec<Vec<u32>>>>,
    }

    /// Doubles numbers; fails on 13.
    fn model(options: Options) -> Model {
        let (service, handle) = options.build(true);
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (mut batches, log, ended) = (service.batches(), seen.clone(), stop.clone());
        thread::spawn(move || service.run(&ended));
        thread::spawn(move || {
            while let Some(batch) = batches.take() {
                log.lock()
                    .unwrap()
                    .push(batch.tickets.iter().map(|ticket| ticket.payload).collect());
                for ticket in batch.tickets {
                    let answer = if ticket.payload == 13 {
                        Err("unlucky")
                    } else {
                        Ok(ticket.payload * 2)
                    };
                    ticket.answer(answer);
                }
            }
        });
        Model {
            handle,
            stop,
            batches: seen,
        }
    }

    fn options() -> Options {
        Options {
            max_tokens: 8,
            linger: Duration::from_millis(2),
            look_ahead: 64,
            queue_tokens: 64,
            cache_bytes: 4096,
        }
    }

    fn item(number: u32) -> Item<u32> {
        let mut key = Key::default();
        key[..4].copy_from_slice(&number.to_le_bytes());
        Item {
            tokens: 2,
            tenant: "t".into(),
            key,
            payload: number,
        }
    }

    #[tokio::test]
    async fn everybody_gets_the_own_result() {
        let model = model(options());
        let answers =
            futures::future::join_all((0..200).map(|number| model.handle.run(item(number)))).await;
        for (number, answer) in answers.into_iter().enumerate() {
            let expected = if number == 13 {
                Err("unlucky")
            } else {
                Ok(number as u32 * 2)
            };
            assert_eq!(answer.unwrap().map(|result| *result), expected);
        }
        assert!(
            model
                .batches
                .lock()
                .unwrap()
                .iter()
                .all(|batch| batch.len() <= 4)
        );
    }

    #[tokio::test]
    async fn equal_items_are_computed_once() {
        let model = model(options());
        let answers =
            futures::future::join_all((0..300).map(|number| model.handle.run(item(number % 3))))
                .await;
        assert!(
            answers.iter().enumerate().all(|(at, answer)| **answer
                .as_ref()
                .unwrap()
                .as_ref()
                .unwrap()
                == at as u32 % 3 * 2)
        );
        assert_eq!(
            model
                .batches
                .lock()
                .unwrap()
                .iter()
                .map(Vec::len)
                .sum::<usize>(),
            3
        );
        assert_eq!(
            model.handle.counts().reused.load(Ordering::Relaxed),
            297 * 2
        );
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let model = model(options());
        for _ in 0..2 {
            assert_eq!(model.handle.run(item(13)).await.unwrap(), Err("unlucky"));
        }
        assert_eq!(model.batches.lock().unwrap().len(), 2);
    }

    #[tokio::test]
    async fn an_item_that_its_worker_drops_is_told_so() {
        let (service, handle) = options().build::<u32, u32, &str>(true);
        let mut batches = service.batches();
        thread::spawn(move || service.run(&AtomicBool::new(false)));
        thread::spawn(move || while batches.take().is_some() {});
        assert_eq!(handle.run(item(1)).await, Err(Stopped));
    }

    #[tokio::test]
    async fn after_the_end_pushers_are_told() {
        let model = model(options());
        assert!(model.handle.run(item(1)).await.is_ok());
        model.stop.store(true, Ordering::Release);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(model.handle.run(item(2)).await, Err(Stopped));
    }

    #[tokio::test]
    async fn an_item_larger_than_everything_still_goes_through() {
        let model = model(options());
        let large = Item {
            tokens: 10_000,
            ..item(7)
        };
        assert_eq!(
            model.handle.run(large).await.unwrap().map(|result| *result),
            Ok(14)
        );
    }
}
