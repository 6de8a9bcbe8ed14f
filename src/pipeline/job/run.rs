//! One object, or one stream, under way: its units in order.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use metrics::{gauge, histogram};
use tokio::sync::mpsc;

use super::{
    Error, Job,
    audit::{self, Audited},
};
use crate::{
    pipeline::{Processor, Working, progress::Counts},
    record::{Code, DeadLetter, Document, DocumentId, PlainText, Position, Stage},
    sink::{self, Output},
    source::{self, Around, Reader, Table, Unit},
    telemetry::metric,
    tenant::{Policy, Tenants},
};

/// Documents of one object that are under way. Fewer: the look-ahead of the batches runs dry on
/// short log lines. More: memory.
const DOCUMENTS_AT_ONCE: usize = 1024;

/// Where the records of one object go.
pub(super) enum Outlet {
    Output(Box<Output>),
    Printer(sink::Printer),
    Nothing,
}

/// One object under way.
pub(super) struct Run<'a> {
    pub(super) job: &'a Job,
    pub(super) tenants: Arc<Tenants>,
    pub(super) plain_text: PlainText,
    pending: VecDeque<Pending>,
    documents: usize,
    pub(super) counts: Counts,
    /// Whether a limit or a drain ended it before the object's end.
    pub(super) cut_short: bool,
    /// Whether each document gets the tenants of its moment: a stream may never end.
    pub(super) follows: bool,
}

/// Where units come from.
pub(super) enum Feed {
    Reader(Reader),
    /// Read ahead by a task: a source that is slow must not hold back what is done.
    Ahead(mpsc::Receiver<Result<(Unit, Around), source::Error>>),
}

/// Units of a stream that are read ahead.
const UNITS_AHEAD: usize = 16;

impl Feed {
    pub(super) fn ahead(mut reader: Reader) -> Self {
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

impl<'a> Run<'a> {
    pub(super) fn new(job: &'a Job, plain_text: PlainText, tenants: Arc<Tenants>) -> Self {
        Self {
            job,
            tenants,
            plain_text,
            pending: VecDeque::new(),
            documents: 0,
            counts: Counts::default(),
            cut_short: false,
            follows: false,
        }
    }

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
    pub(super) async fn through(
        &mut self,
        feed: &mut Feed,
        outlet: &mut Outlet,
    ) -> Result<(), Error> {
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
    pub(super) async fn give_up(
        &mut self,
        source: Position,
        reason: String,
        outlet: &mut Outlet,
    ) -> Result<(), Error> {
        while self.pop().is_some() {}
        if let Outlet::Output(output) = outlet {
            output.withdraw().await?;
        }
        self.counts.keep_letters();
        self.reject(sink::unwritable(source, reason), None, outlet)
            .await
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
    pub(super) fn policy(
        &mut self,
        tenant: Option<&str>,
        position: &Position,
        id: &DocumentId,
    ) -> Result<Arc<Policy>, DeadLetter> {
        self.processor().policy(tenant, position, id)
    }

    fn processor(&mut self) -> Processor {
        if self.follows {
            self.tenants = self.job.tenants.current();
        }
        Processor::new(&self.job.engine, self.tenants.clone())
    }

    /// Starts the work on a document, in a task of its own: a panic costs the document.
    fn start(&mut self, document: Document) -> Row {
        match self.processor().start(document, self.plain_text) {
            Ok(working) => Row::Working(working),
            Err(letter) => Row::Rejected(letter),
        }
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
            Pending::Rejected(letter) => self.reject(letter, None, outlet).await,
            Pending::Document(working, around) => {
                let audited = outlet.follows(&working);
                match working.done().await {
                    Ok((done, bytes, began)) => {
                        self.counts.add(&done, bytes);
                        histogram!(metric::END_TO_END_SECONDS).record(began.elapsed());
                        let event = self.event(outlet, audited, &done);
                        match outlet {
                            Outlet::Output(output) => output.document(done, &around.after).await?,
                            Outlet::Printer(printer) => printer.document(&done, &around.after)?,
                            Outlet::Nothing => {}
                        }
                        Ok(audit::add(event, outlet).await?)
                    }
                    Err(letter) => self.reject(letter, audited, outlet).await,
                }
            }
            Pending::Table(table, rows) => self.table(&table, rows, outlet).await,
        }
    }

    async fn table(
        &mut self,
        table: &Table,
        rows: Vec<Row>,
        outlet: &mut Outlet,
    ) -> Result<(), Error> {
        let mut done = Vec::with_capacity(rows.len());
        let mut sizes = Vec::with_capacity(rows.len());
        let mut events = Vec::with_capacity(rows.len());
        for row in rows {
            let mut audited = None;
            let row = match row {
                Row::Working(working) => {
                    audited = outlet.follows(&working);
                    working.done().await
                }
                Row::Rejected(letter) => Err(letter),
            };
            match row {
                Ok((row, bytes, began)) => {
                    events.push(self.event(outlet, audited, &row));
                    done.push(Some(row));
                    sizes.push(Some((bytes, began)));
                }
                Err(letter) => {
                    self.reject(letter, audited, outlet).await?;
                    events.push(None);
                    done.push(None);
                    sizes.push(None);
                }
            }
        }
        match outlet {
            Outlet::Output(output) => {
                for (row, reason) in output.table(table, &done).await? {
                    let unwritten = done[row].take().expect("a row that was to be written");
                    events[row] = None;
                    let mut letter = sink::unwritable(unwritten.entities.source, reason);
                    letter.tenant = Some(unwritten.entities.tenant);
                    self.reject(letter, None, outlet).await?;
                }
            }
            Outlet::Printer(printer) => done
                .iter()
                .flatten()
                .try_for_each(|done| printer.document(done, "\n"))?,
            Outlet::Nothing => {}
        }
        for event in events {
            audit::add(event, outlet).await?;
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

    pub(super) async fn reject(
        &mut self,
        letter: DeadLetter,
        audited: Option<Audited>,
        outlet: &mut Outlet,
    ) -> Result<(), Error> {
        let engine = &self.job.engine;
        // What fails then is no fault of a document: the next run does its object again.
        if letter.code == Code::ModelFailed && engine.has_stopped() {
            return Err(engine.why_stopped().map_or(Error::Engine, Error::Model));
        }
        match outlet {
            Outlet::Output(output) => output.dead_letter(&letter).await?,
            Outlet::Printer(printer) => printer.dead_letter(&letter)?,
            Outlet::Nothing => {}
        }
        self.audit_letter(&letter, audited, outlet).await?;
        self.counts.letters.push(letter);
        Ok(())
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

/// Waits until the first of the documents under way is done; for ever if there is none.
async fn ready(pending: &mut VecDeque<Pending>) {
    match pending.front_mut() {
        None => std::future::pending().await,
        Some(Pending::Document(working, _)) => working.finish().await,
        Some(Pending::Rejected(_) | Pending::Table(..)) => {}
    }
}
