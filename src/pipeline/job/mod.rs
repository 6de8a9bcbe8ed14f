//! A job: the objects of a place, each claimed, processed in order and published as a whole.
//!
//! Several objects are under way at a time, and many documents of each; results leave in the order
//! of the object. An object that is not committed leaves nothing behind and is done again by the
//! next run.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use metrics::{counter, gauge, histogram};
use tokio::{io::AsyncReadExt, sync::mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Engine, Scan,
    document::{self, Pieces},
    names,
    progress::{Counts, Progress},
    work::{self, Working},
};
use crate::{
    record::{Code, DeadLetter, Document, DocumentId, PlainText, Position, Stage},
    sink::{self, Claimed, Ledger, Output, StreamStart},
    source::{
        self, Around, Object, Objects, ReadFailure, Reader, Stream, Table, Unit, read_failure,
    },
    telemetry::metric,
    tenant::{Policy, Tenants, reload},
};

/// Objects under way at a time: more than one, so that the model does not wait for the end of an
/// object to be published; few, because each holds open files.
const OBJECTS_AT_ONCE: usize = 4;

/// Documents of one object that are under way. Fewer: the look-ahead of the batches runs dry on
/// short log lines. More: memory.
const DOCUMENTS_AT_ONCE: usize = 1024;

/// Files that are left out and named one by one.
const UNLISTED_NAMED: usize = 20;

/// A text file is scanned in chunks of this size.
const CHUNK_BYTES: usize = 64 << 10;

/// What is run.
#[derive(Clone)]
pub struct Job {
    /// The model.
    pub engine: Engine,
    /// The tenants; an object keeps the set with which it was begun.
    pub tenants: reload::Handle,
    /// Bounds.
    pub limits: Limits,
    /// Cancelled: no further object is begun.
    pub drain: CancellationToken,
    /// Counts of what is done.
    pub progress: Arc<Progress>,
}

/// Bounds of a job.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Documents; `None` for all.
    pub documents: Option<u64>,
    /// Dead letters before the job stops.
    pub dead_letters: Option<u64>,
    /// Bytes of documents between source and sink.
    pub in_flight_bytes: u64,
}

/// Why a job stopped before its end. What was committed stays; the rest is done by the next run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source can't be read.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The sink can't be written.
    #[error(transparent)]
    Sink(#[from] sink::Error),
    /// The engine ended.
    #[error("the model's threads have ended")]
    Engine,
}

impl Error {
    /// The reason, if it is what an object holds, and not the place where records go.
    fn of_content(&self) -> Option<String> {
        match self {
            Self::Sink(sink::Error::Table { problem, .. }) => {
                Some(format!("the object cannot be written ({problem})"))
            }
            _ => None,
        }
    }

    fn count(&self) {
        let (stage, error_type) = match self {
            Self::Source(_) => (Stage::Source, "source"),
            Self::Sink(sink::Error::Lost { .. }) => (Stage::Sink, "lost"),
            Self::Sink(sink::Error::Place(_) | sink::Error::Loop { .. }) => (Stage::Sink, "place"),
            Self::Sink(sink::Error::Store { .. }) => (Stage::Sink, "store"),
            Self::Sink(sink::Error::Write { .. }) => (Stage::Sink, "write"),
            Self::Sink(_) => (Stage::Sink, "other"),
            Self::Engine => (Stage::Model, "engine"),
        };
        counter!(metric::ERRORS_TOTAL, "stage" => stage.as_str(), "error_type" => error_type)
            .increment(1);
    }
}

/// What tells an object of one version from all others.
fn key(object: &Object) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(&(object.path.len() as u64).to_le_bytes())
        .update(object.path.as_bytes())
        .update(object.version.as_bytes());
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// What a job did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Documents delivered.
    pub documents: u64,
    /// Entities in them.
    pub entities: u64,
    /// Dead letters by code.
    pub dead_letters: BTreeMap<String, u64>,
    /// Objects committed by this run.
    pub objects: u64,
    /// Objects that were committed before.
    pub skipped: u64,
    /// Objects that other workers hold.
    pub busy: u64,
    /// Objects of formats that weir does not read.
    pub unknown: u64,
    /// Files that can't be read for their name or kind: each is named in the log.
    pub unlisted: u64,
    /// Objects that the patterns leave out.
    pub left_out: u64,
    /// Objects that there were to read.
    pub listed: u64,
    /// Whether a signal ended it early.
    pub drained: bool,
}

impl Summary {
    /// What some progress came to.
    pub fn of(progress: &Progress) -> Self {
        Self {
            documents: progress.documents.load(Ordering::Relaxed),
            entities: progress.entities.load(Ordering::Relaxed),
            dead_letters: progress
                .dead_letters_by_code()
                .into_iter()
                .map(|(code, count)| (code.to_owned(), count))
                .collect(),
            objects: progress.objects_done.load(Ordering::Relaxed),
            ..Self::default()
        }
    }
}

/// A document on its way, in the order of its object.
enum Pending {
    Document(Working, Around),
    Rejected(DeadLetter),
    Table(Table, Vec<Row>),
}

enum Row {
    Working(Working),
    Rejected(DeadLetter),
}

impl Pending {
    /// Documents and bytes that it holds.
    fn size(&self) -> (usize, u64) {
        match self {
            Self::Document(working, _) => (1, working.bytes()),
            Self::Rejected(_) => (0, 0),
            Self::Table(table, rows) => (rows.len(), table.bytes()),
        }
    }
}

impl Job {
    /// Runs over the objects of a place; ends when each is committed, by this worker or another.
    pub async fn objects(&self, objects: &Objects, sink: &Target) -> Result<Summary, Error> {
        self.rounds(objects, sink, None).await
    }

    /// Runs over the objects of a place, and looks for more after each `poll` until it is drained.
    pub async fn worker(
        &self,
        objects: &Objects,
        sink: &Target,
        poll: Duration,
    ) -> Result<Summary, Error> {
        self.rounds(objects, sink, Some(poll)).await
    }

    async fn rounds(
        &self,
        objects: &Objects,
        sink: &Target,
        poll: Option<Duration>,
    ) -> Result<Summary, Error> {
        gauge!(metric::QUEUE_LIMIT_BYTES, "queue" => "documents")
            .set(self.limits.in_flight_bytes as f64);
        let mut summary = Summary::default();
        // The ledger's configuration holds the policies that were there when it was made.
        let first = self.tenants.current().digest();
        // What is done needs no second look; of an object that is gone nothing is kept.
        let mut done = HashSet::new();
        let mut listing = objects.list().await.map_err(Error::from);
        loop {
            match listing {
                Ok(listing) => {
                    self.round(
                        objects,
                        sink,
                        poll,
                        &first,
                        listing,
                        &mut done,
                        &mut summary,
                    )
                    .await?;
                }
                Err(error) if done.is_empty() => {
                    error.count();
                    return Err(error);
                }
                // A worker outlasts a store that does not answer for a while.
                Err(error) => {
                    error.count();
                    warn!(%error, "listing the source failed; retrying at the next poll");
                }
            }
            let Some(poll) = poll.filter(|_| !self.enough()) else {
                break;
            };
            tokio::select! {
                () = tokio::time::sleep(poll) => {}
                () = self.drain.cancelled() => {
                    summary.drained = true;
                    break;
                }
            }
            listing = objects.list().await.map_err(Error::from);
        }
        Ok(Summary {
            skipped: summary.skipped,
            busy: summary.busy,
            // A worker has no other end, also if the signal came between two looks.
            drained: summary.drained || (poll.is_some() && self.drain.is_cancelled()),
            unknown: summary.unknown,
            unlisted: summary.unlisted,
            left_out: summary.left_out,
            listed: summary.listed,
            ..Summary::of(&self.progress)
        })
    }

    /// One look at the objects of a place.
    #[allow(clippy::too_many_arguments)] // one caller, whose loop it is
    async fn round(
        &self,
        objects: &Objects,
        sink: &Target,
        poll: Option<Duration>,
        first: &str,
        listing: source::Listing,
        done: &mut HashSet<[u8; 16]>,
        summary: &mut Summary,
    ) -> Result<(), Error> {
        let unknown = listing.unknown.values().sum();
        if unknown != summary.unknown {
            for (extension, count) in &listing.unknown {
                warn!(%extension, count, "objects left out: weir does not read their format");
            }
        }
        summary.unknown = unknown;
        let unlisted = listing.unlisted.len() as u64;
        if unlisted != summary.unlisted {
            for left in listing.unlisted.iter().take(UNLISTED_NAMED) {
                warn!(object = %left.escaped(), reason = %left.reason, "left out");
            }
            if listing.unlisted.len() > UNLISTED_NAMED {
                warn!(
                    count = unlisted,
                    named = UNLISTED_NAMED,
                    "more are left out"
                );
            }
        }
        summary.unlisted = unlisted;
        summary.left_out = listing.left_out;
        summary.listed = listing.objects.len() as u64;
        let before = std::mem::take(done);
        let mut left = Vec::new();
        for object in listing.objects {
            let key = key(&object);
            if before.contains(&key) {
                done.insert(key);
                continue;
            }
            left.push(object);
        }
        let progress = &self.progress;
        progress
            .objects_total
            .fetch_add(left.len() as u64, Ordering::Relaxed);
        let bytes = left.iter().map(|object| object.size).sum();
        progress.bytes_total.fetch_add(bytes, Ordering::Relaxed);
        loop {
            let mut busy = Vec::new();
            let mut outcomes = std::pin::pin!(
                stream::iter(left)
                    .map(|object| async move {
                        let key = key(&object);
                        (key, self.object(objects, object, sink, first).await)
                    })
                    .buffer_unordered(OBJECTS_AT_ONCE)
            );
            while let Some((key, outcome)) = outcomes.next().await {
                match outcome.inspect_err(Error::count)? {
                    Outcome::Committed => {
                        done.insert(key);
                    }
                    Outcome::Done => {
                        done.insert(key);
                        summary.skipped += 1;
                    }
                    Outcome::Busy(object) => busy.push(object),
                    Outcome::NotBegun => summary.drained |= self.drain.is_cancelled(),
                }
            }
            summary.busy = busy.len() as u64;
            if busy.is_empty() || self.enough() {
                return Ok(());
            }
            // Other workers hold these. The claim of a worker that dies becomes void.
            let Target::Objects(ledger) = sink else {
                return Ok(());
            };
            if poll.is_some() {
                // The next look finds them again.
                let bytes = busy.iter().map(|object| object.size).sum();
                progress
                    .objects_total
                    .fetch_sub(busy.len() as u64, Ordering::Relaxed);
                progress.bytes_total.fetch_sub(bytes, Ordering::Relaxed);
                return Ok(());
            }
            let wait = (ledger.lease() / 3).min(Duration::from_secs(2));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.drain.cancelled() => {}
            }
            left = busy;
        }
    }

    /// Runs over one stream of documents, such as standard input. Without a printer nothing is written.
    pub async fn stream(
        &self,
        reader: Reader,
        printer: Option<sink::Printer>,
    ) -> Result<Summary, Error> {
        let mut run = self.run(PlainText::Text, self.tenants.current());
        run.follows = true;
        gauge!(metric::QUEUE_LIMIT_BYTES, "queue" => "documents")
            .set(self.limits.in_flight_bytes as f64);
        let mut outlet = printer.map_or(Outlet::Nothing, Outlet::Printer);
        run.through(&mut Feed::ahead(reader), &mut outlet).await?;
        Ok(Summary {
            drained: self.drain.is_cancelled(),
            ..Summary::of(&self.progress)
        })
    }

    fn run(&self, plain_text: PlainText, tenants: Arc<Tenants>) -> Run<'_> {
        Run {
            job: self,
            tenants,
            plain_text,
            pending: VecDeque::new(),
            documents: 0,
            counts: Counts::default(),
            cut_short: false,
            follows: false,
        }
    }

    /// Whether nothing more is to be begun.
    fn enough(&self) -> bool {
        let limits = &self.limits;
        self.drain.is_cancelled()
            || limits
                .documents
                .is_some_and(|limit| self.progress.taken.load(Ordering::Relaxed) >= limit)
            || limits
                .dead_letters
                .is_some_and(|limit| self.progress.dead_letters() > limit)
    }

    async fn object(
        &self,
        objects: &Objects,
        object: Object,
        sink: &Target,
        first_policies: &str,
    ) -> Result<Outcome, Error> {
        if self.enough() {
            return Ok(Outcome::NotBegun);
        }
        let tenants = self.tenants.current();
        let policies = tenants.digest();
        let (mut outlet, plain_text) = match sink {
            Target::Nothing => (Outlet::Nothing, PlainText::Record),
            Target::Printer(printer) => (Outlet::Printer(*printer), PlainText::Text),
            Target::Objects(ledger) => {
                match claimed(ledger, &object, &policies, first_policies).await? {
                    Claimed::Claim(claim) => (
                        Outlet::Output(Box::new(claim.output())),
                        ledger.plain_text(),
                    ),
                    Claimed::Done => {
                        self.finished(&object);
                        return Ok(Outcome::Done);
                    }
                    Claimed::Busy => return Ok(Outcome::Busy(object)),
                }
            }
        };
        let mut run = self.run(plain_text, tenants);
        let mut feed = Feed::Reader(objects.reader(&object));
        if let Err(error) = run.through(&mut feed, &mut outlet).await {
            let Some(reason) = error.of_content() else {
                if let Outlet::Output(output) = outlet {
                    output.discard().await;
                }
                return Err(error);
            };
            // The next run would meet it again, and every object behind it would wait.
            let given_up = run.give_up(object.position(None), reason, &mut outlet);
            if let Err(error) = given_up.await {
                if let Outlet::Output(output) = outlet {
                    output.discard().await;
                }
                return Err(error);
            }
        }
        // An object that was not read to its end is not done.
        if run.cut_short {
            if let Outlet::Output(output) = outlet {
                output.discard().await;
            }
            return Ok(Outcome::NotBegun);
        }
        if let Outlet::Output(output) = outlet {
            let began = Instant::now();
            match output.commit().await {
                Ok(committed) => {
                    if let Some(letter) = committed.unwritable {
                        run.counts.keep_letters();
                        run.counts.letters.push(letter);
                    }
                    info!(object = %object.path, documents = committed.documents, "committed")
                }
                // Its documents are the other worker's.
                Err(error @ sink::Error::Lost { .. }) => {
                    let error = Error::Sink(error);
                    error.count();
                    warn!(%error, "given up");
                    return Ok(Outcome::Busy(object));
                }
                Err(error) => return Err(error.into()),
            }
            metric::stage(Stage::Sink, began);
        }
        self.progress.count(run.counts);
        self.finished(&object);
        self.progress.objects_done.fetch_add(1, Ordering::Relaxed);
        Ok(Outcome::Committed)
    }

    fn finished(&self, object: &Object) {
        self.progress
            .bytes_done
            .fetch_add(object.size, Ordering::Relaxed);
    }
}

async fn claimed(
    ledger: &Ledger,
    object: &Object,
    policies: &str,
    first_policies: &str,
) -> Result<Claimed, sink::Error> {
    if policies == first_policies {
        return ledger.claim(object).await;
    }
    ledger.under(policies).claim(object).await
}

/// Where the records of a job go.
pub enum Target {
    /// Files.
    Objects(Ledger),
    /// Standard output.
    Printer(sink::Printer),
    /// Nowhere: a dry run.
    Nothing,
}

/// Where the records of one object go.
enum Outlet {
    Output(Box<Output>),
    Printer(sink::Printer),
    Nothing,
}

/// What came of an object.
enum Outcome {
    Committed,
    Done,
    Busy(Object),
    NotBegun,
}

/// One object under way.
struct Run<'a> {
    job: &'a Job,
    tenants: Arc<Tenants>,
    plain_text: PlainText,
    pending: VecDeque<Pending>,
    documents: usize,
    counts: Counts,
    /// Whether a limit or a drain ended it before the object's end.
    cut_short: bool,
    /// Whether each document gets the tenants of its moment: a stream may never end.
    follows: bool,
}

/// Where units come from.
enum Feed {
    Reader(Reader),
    /// Read ahead by a task: a source that is slow must not hold back what is done.
    Ahead(mpsc::Receiver<Result<(Unit, Around), source::Error>>),
}

/// Units of a stream that are read ahead.
const UNITS_AHEAD: usize = 16;

impl Feed {
    fn ahead(mut reader: Reader) -> Self {
        let (sender, units) = mpsc::channel(UNITS_AHEAD);
        let runtime = tokio::runtime::Handle::current();
        // A thread of its own: a read of standard input cannot be stopped.
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                while let Some(unit) = reader.next().await.transpose() {
                    let unit = unit.map(|unit| (unit, reader.take_around()));
                    if sender.send(unit).await.is_err() {
                        return;
                    }
                }
            });
        });
        Self::Ahead(units)
    }
}

/// What comes next.
enum Step {
    Unit(Unit, Around),
    /// The first of the documents under way is done before there is another unit.
    Ready,
    Drained,
    End,
}

impl Run<'_> {
    async fn step(&mut self, feed: &mut Feed) -> Result<Step, Error> {
        let unit = match feed {
            Feed::Reader(reader) => {
                let began = Instant::now();
                let unit = reader.next().await?;
                metric::stage(Stage::Source, began);
                unit.map(|unit| (unit, reader.take_around()))
            }
            Feed::Ahead(units) => tokio::select! {
                unit = units.recv() => unit.transpose()?,
                () = ready(&mut self.pending) => return Ok(Step::Ready),
                () = self.job.drain.cancelled() => return Ok(Step::Drained),
            },
        };
        Ok(unit.map_or(Step::End, |(unit, around)| Step::Unit(unit, around)))
    }

    /// Reads everything, processes it, and gives it to `outlet` in order.
    async fn through(&mut self, feed: &mut Feed, outlet: &mut Outlet) -> Result<(), Error> {
        let mut ended = false;
        loop {
            while !ended && self.has_room() {
                if self.job.enough() {
                    ended = true;
                    self.cut_short = true;
                    break;
                }
                match self.step(feed).await? {
                    Step::End => ended = true,
                    Step::Ready => break,
                    Step::Drained => (ended, self.cut_short) = (true, true),
                    Step::Unit(Unit::Document(document), around) => {
                        self.job.progress.taken.fetch_add(1, Ordering::Relaxed);
                        let working = self.start(document);
                        self.push(match working {
                            Row::Working(working) => Pending::Document(working, around),
                            Row::Rejected(letter) => Pending::Rejected(letter),
                        });
                    }
                    Step::Unit(Unit::Rejected(letter), _) => self.push(Pending::Rejected(letter)),
                    Step::Unit(Unit::Table(mut table), _) => {
                        for letter in std::mem::take(&mut table.unreadable) {
                            self.push(Pending::Rejected(letter));
                        }
                        let documents = std::mem::take(&mut table.documents);
                        self.job
                            .progress
                            .taken
                            .fetch_add(documents.len() as u64, Ordering::Relaxed);
                        let start = |document| match document {
                            Ok(document) => self.start(document),
                            Err(letter) => Row::Rejected(letter),
                        };
                        let rows = documents.into_iter().map(start).collect();
                        self.push(Pending::Table(table, rows));
                    }
                    Step::Unit(Unit::Stream(stream), _) => {
                        while let Some(first) = self.pop() {
                            self.deliver(first, outlet).await?;
                        }
                        self.job.progress.taken.fetch_add(1, Ordering::Relaxed);
                        self.text(stream, outlet).await?;
                    }
                }
            }
            match self.pop() {
                Some(first) => self.deliver(first, outlet).await?,
                None if ended => return Ok(()),
                None => {}
            }
        }
    }

    /// Leaves nothing of the object but one dead letter.
    async fn give_up(
        &mut self,
        source: Position,
        reason: String,
        outlet: &mut Outlet,
    ) -> Result<(), Error> {
        while self.pop().is_some() {}
        if let Outlet::Output(output) = outlet {
            output.withdraw().await;
        }
        self.counts.keep_letters();
        self.reject(sink::unwritable(source, reason), outlet).await
    }

    fn has_room(&self) -> bool {
        self.pending.is_empty()
            || (self.documents < DOCUMENTS_AT_ONCE
                && self.job.progress.in_flight.load(Ordering::Relaxed)
                    < self.job.limits.in_flight_bytes)
    }

    fn push(&mut self, pending: Pending) {
        let (documents, bytes) = pending.size();
        self.documents += documents;
        self.job
            .progress
            .in_flight
            .fetch_add(bytes, Ordering::Relaxed);
        gauge!(metric::QUEUE_BYTES, "queue" => "documents").increment(bytes as f64);
        self.pending.push_back(pending);
    }

    fn pop(&mut self) -> Option<Pending> {
        let first = self.pending.pop_front()?;
        let (documents, bytes) = first.size();
        self.documents -= documents;
        self.job
            .progress
            .in_flight
            .fetch_sub(bytes, Ordering::Relaxed);
        gauge!(metric::QUEUE_BYTES, "queue" => "documents").decrement(bytes as f64);
        Some(first)
    }

    /// The policy of a document; an unknown tenant has none, and the document goes nowhere (I6).
    fn policy(
        &mut self,
        tenant: Option<&str>,
        position: &Position,
        id: &DocumentId,
    ) -> Result<Arc<Policy>, DeadLetter> {
        if self.follows {
            self.tenants = self.job.tenants.current();
        }
        work::policy(&self.tenants, tenant, position, id)
    }

    /// Starts the work on a document, in a task of its own: a panic costs the document.
    fn start(&mut self, document: Document) -> Row {
        let policy = match self.policy(document.tenant.as_deref(), &document.position, &document.id)
        {
            Ok(policy) => policy,
            Err(letter) => return Row::Rejected(letter),
        };
        Row::Working(Working::start(
            &self.job.engine,
            policy,
            document,
            self.plain_text,
        ))
    }

    async fn deliver(&mut self, pending: Pending, outlet: &mut Outlet) -> Result<(), Error> {
        self.hand_over(pending, outlet).await?;
        // What is printed is delivered.
        if !matches!(outlet, Outlet::Output(_)) {
            self.job.progress.count(std::mem::take(&mut self.counts));
        }
        Ok(())
    }

    async fn hand_over(&mut self, pending: Pending, outlet: &mut Outlet) -> Result<(), Error> {
        match pending {
            Pending::Rejected(letter) => self.reject(letter, outlet).await,
            Pending::Document(working, around) => match working.done().await {
                Ok((done, bytes, began)) => {
                    self.counts.add(&done, bytes);
                    histogram!(metric::END_TO_END_SECONDS).record(began.elapsed());
                    match outlet {
                        Outlet::Output(output) => output.document(done, &around.after).await?,
                        Outlet::Printer(printer) => printer.document(&done, &around.after)?,
                        Outlet::Nothing => {}
                    }
                    Ok(())
                }
                Err(letter) => self.reject(letter, outlet).await,
            },
            Pending::Table(table, rows) => {
                let mut done = Vec::with_capacity(rows.len());
                let mut sizes = Vec::with_capacity(rows.len());
                for row in rows {
                    let row = match row {
                        Row::Working(working) => working.done().await,
                        Row::Rejected(letter) => Err(letter),
                    };
                    match row {
                        Ok((row, bytes, began)) => {
                            done.push(Some(row));
                            sizes.push(Some((bytes, began)));
                        }
                        Err(letter) => {
                            self.reject(letter, outlet).await?;
                            done.push(None);
                            sizes.push(None);
                        }
                    }
                }
                match outlet {
                    Outlet::Output(output) => {
                        for (row, reason) in output.table(&table, &done).await? {
                            let unwritten = done[row].take().expect("a row that was to be written");
                            let mut letter = sink::unwritable(unwritten.entities.source, reason);
                            letter.tenant = Some(unwritten.entities.tenant);
                            self.reject(letter, outlet).await?;
                        }
                    }
                    Outlet::Printer(printer) => done
                        .iter()
                        .flatten()
                        .try_for_each(|done| printer.document(done, "\n"))?,
                    Outlet::Nothing => {}
                }
                for (done, (bytes, began)) in done
                    .iter()
                    .zip(sizes)
                    .filter_map(|(done, size)| done.as_ref().zip(size))
                {
                    self.counts.add(done, bytes);
                    histogram!(metric::END_TO_END_SECONDS).record(began.elapsed());
                }
                Ok(())
            }
        }
    }

    async fn reject(&mut self, letter: DeadLetter, outlet: &mut Outlet) -> Result<(), Error> {
        match outlet {
            Outlet::Output(output) => output.dead_letter(&letter).await?,
            Outlet::Printer(printer) => printer.dead_letter(&letter)?,
            Outlet::Nothing => {}
        }
        self.counts.letters.push(letter);
        Ok(())
    }

    /// A text of any length, piece by piece. If it fails midway, nothing of it goes downstream.
    async fn text(&mut self, stream: Stream, outlet: &mut Outlet) -> Result<(), Error> {
        let (id, position) = (stream.id.clone(), stream.position.clone());
        let policy = match self.policy(stream.tenant.as_deref(), &position, &id) {
            Ok(policy) => policy,
            Err(letter) => return self.reject(letter, outlet).await,
        };
        let tenant = policy.tenant.to_string();
        match self.pieces(stream, &policy, outlet).await {
            Ok(counts) => {
                self.counts.join(counts);
                if !matches!(outlet, Outlet::Output(_)) {
                    self.job.progress.count(std::mem::take(&mut self.counts));
                }
                Ok(())
            }
            Err(TextError::Job(error)) => Err(error),
            Err(TextError::Drained) => {
                self.cut_short = true;
                Ok(())
            }
            Err(TextError::Document(error)) => {
                if let Outlet::Output(output) = outlet {
                    output.withdraw().await;
                }
                let id = Some(id.in_dead_letter());
                self.reject(error.dead_letter(position, Some(tenant), id), outlet)
                    .await
            }
        }
    }

    async fn pieces(
        &self,
        mut stream: Stream,
        policy: &Policy,
        outlet: &mut Outlet,
    ) -> Result<Counts, TextError> {
        let began = Instant::now();
        let engine = &self.job.engine;
        let id = names::shown_id(policy, &stream.id)?;
        let start = StreamStart {
            id: &id,
            tenant: &policy.tenant,
            position: &stream.position,
        };
        let (mut output, printer) = match outlet {
            Outlet::Output(output) => (
                Some(
                    output
                        .stream(start, self.plain_text == PlainText::Text)
                        .await?,
                ),
                None,
            ),
            // What is printed can't be withdrawn: a text that fails midway ends with what was decided.
            Outlet::Printer(printer) => (None, Some(*printer)),
            Outlet::Nothing => (None, None),
        };
        let mut scan = Scan::start(engine, policy).await?;
        let mut pieces = Pieces::new(policy, "text");
        let mut bytes: Vec<u8> = Vec::with_capacity(CHUNK_BYTES * 2);
        let mut counts = Counts {
            documents: 1,
            ..Counts::default()
        };
        let mut size = 0;
        loop {
            // Nothing of the text is visible before its end: what is left of it is the next run's.
            if self.job.drain.is_cancelled() {
                return Err(TextError::Drained);
            }
            let held = bytes.len();
            bytes.resize(held + CHUNK_BYTES, 0);
            let read = stream.reader.read(&mut bytes[held..]).await;
            let read = read.map_err(|error| match read_failure(&stream.position, error) {
                ReadFailure::Rejected(code, reason) => {
                    document::Error::Record { code, reason }.into()
                }
                ReadFailure::Error(error) => TextError::Job(error.into()),
            })?;
            bytes.truncate(held + read);
            size += read as u64;
            let valid = match std::str::from_utf8(&bytes) {
                Ok(text) => text.len(),
                // Up to three bytes may be a character that goes on in the next chunk.
                Err(error) if error.error_len().is_none() && read > 0 => error.valid_up_to(),
                Err(_) => {
                    let reason = "the text is not UTF-8, or not of its encoding".to_owned();
                    return Err(document::Error::Record {
                        code: Code::NotUtf8,
                        reason,
                    }
                    .into());
                }
            };
            let text = std::str::from_utf8(&bytes[..valid]).expect("checked above");
            let first = scan.push(text).await?;
            bytes.drain(..valid);
            let last = if read == 0 {
                scan.finish().await?
            } else {
                None
            };
            for piece in first.into_iter().chain(last) {
                let mut redacted = String::with_capacity(piece.text.len());
                pieces.redact(&piece.text, &piece.spans, &mut redacted)?;
                let (found, changes) = (
                    std::mem::take(&mut pieces.entities),
                    std::mem::take(&mut pieces.changes),
                );
                pieces.forget();
                for entity in &found {
                    counts.entity(&policy.tenant, &entity.label, &entity.recognizer);
                }
                for change in &changes {
                    counts.change(&policy.tenant, &change.operator, 1);
                }
                if let Some(output) = &mut output {
                    output.piece(&redacted, &found, &changes).await?;
                } else if let Some(printer) = printer {
                    printer.text(&redacted)?;
                }
            }
            if read == 0 {
                break;
            }
        }
        if let Some(output) = output {
            let (tokens, windows) = scan.counts();
            output
                .finish(&document::digests(engine, policy), tokens, windows)
                .await?;
        }
        counts
            .by_tenant
            .insert(policy.tenant.to_string(), (1, size));
        histogram!(metric::END_TO_END_SECONDS).record(began.elapsed());
        Ok(counts)
    }
}

/// Why a text ended before its end.
enum TextError {
    /// The job can't go on.
    Job(Error),
    /// The text is a dead letter.
    Document(document::Error),
    /// A signal came.
    Drained,
}

impl From<sink::Error> for TextError {
    fn from(error: sink::Error) -> Self {
        Self::Job(error.into())
    }
}

impl From<document::Error> for TextError {
    fn from(error: document::Error) -> Self {
        Self::Document(error)
    }
}

impl From<super::Error> for TextError {
    fn from(error: super::Error) -> Self {
        Self::Document(error.into())
    }
}

/// Waits until the first of the documents under way is done; for ever if there is none.
async fn ready(pending: &mut VecDeque<Pending>) {
    match pending.front_mut() {
        None => std::future::pending().await,
        Some(Pending::Document(working, _)) => working.finish().await,
        Some(Pending::Rejected(_) | Pending::Table(..)) => {}
    }
}
