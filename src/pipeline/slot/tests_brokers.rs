//! Brokers in memory, for the property test of slots: topics, a group and transactions, and a model of
//! what may be committed that is too plain to be wrong: the list of each partition's records.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rdkafka::Offset;
use tokio::sync::oneshot;

use crate::{
    kafka::{Envelope, Lost, Partition},
    record::{
        Body, Code, DeadLetter, Document, DocumentId, Position, Stage,
        audit::{Chained, GENESIS, Head, Reason, Written},
    },
    sink::kafka::{Delivery, offsets_after},
    source::kafka::Record,
};

/// The topic.
pub(super) const TOPIC: &str = "t";

/// Two members of one group.
pub(super) const SLOTS: usize = 2;

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Violation {
    /// A slot committed a record of a partition that is not its own.
    NotItsOwn { slot: usize, offset: i64 },
    /// A record came that was committed before.
    Twice { offset: i64 },
    /// A record came before one that stands in front of it.
    PassedOver { offset: i64, expected: Option<i64> },
    /// The committed offset is not the one after the last record that was committed.
    Offset { committed: i64, expected: i64 },
    /// An audit record does not follow the one before it.
    Chain { offset: i64 },
    /// What was committed is not what became of the record.
    Outcome { offset: i64 },
    /// A slot that was drained did not end.
    DrainsForEver { slot: usize },
    /// A slot ended for no reason that it was given.
    Ended { slot: usize, error: String },
    /// In the end a record is missing.
    Missing { offset: i64 },
    /// A record was taken for one of an aborted set, and its offset is committed.
    TakenForAnother { offset: i64 },
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A document that is processed at once.
    Quick,
    /// A document that is processed when the test says so.
    Slow,
    /// A record that its source can't read.
    Unread,
    /// A document that can't be processed.
    Failing,
}

/// What brokers say to a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Commit,
    Abort,
    /// It is aborted, and the brokers have records of it that they did not answer for.
    AbortUnanswered,
    /// It is committed, and the answer got lost.
    UnknownCommitted,
    /// It is aborted, and the answer got lost.
    UnknownAborted,
    /// A record of the set exceeds the topic's limit.
    TooLarge(usize),
    Batches,
    NoTopic,
    /// Another process has taken the transactional id.
    Fenced,
}

/// All brokers, and all that a test knows of them.
#[derive(Clone)]
pub(super) struct World(Arc<Mutex<State>>);

pub(super) struct State {
    pub(super) logs: Vec<Log>,
    pub(super) seats: Vec<Seat>,
    pub(super) generation: u64,
    audited: bool,
    /// Slow records are processed at once from now on.
    pub(super) open: bool,
    /// The first rule that was broken.
    pub(super) violation: Option<Violation>,
}

/// A partition.
#[derive(Default)]
pub(super) struct Log {
    /// Offsets grow, with gaps.
    pub(super) records: Vec<(i64, Kind)>,
    /// What is below was deleted.
    pub(super) low: i64,
    pub(super) end: i64,
    pub(super) committed: Option<(i64, String)>,
    pub(super) owner: Option<usize>,
    /// Who gets it once its owner has let go.
    pub(super) heir: Option<usize>,
    /// The model: how many records are committed or passed over for good.
    pub(super) next: usize,
    /// End of the audit chain.
    pub(super) head: Option<Head>,
}

impl Log {
    /// An audit record is committed: it has to stand behind the one before it. `None`: it does not.
    fn chain(&mut self, chained: &Chained) -> Option<()> {
        let json = std::str::from_utf8(&chained.json).ok()?;
        let record = Written::read(json).ok()?.record;
        let fits = match (&self.head, &record.begin) {
            (None, Some(begin)) => {
                begin.reason == Reason::New && (record.epoch, &*record.previous) == (1, GENESIS)
            }
            (Some(head), Some(begin)) => {
                let follows = (record.epoch, &record.previous) == (head.epoch + 1, &head.hash);
                begin.reason == Reason::Expired && begin.from == head.next && follows
            }
            (Some(head), None) => {
                let place = (record.epoch, record.seq, record.after);
                let expected = (head.epoch, head.seq + 1, Some(head.next - 1));
                place == expected && record.previous == head.hash
            }
            (None, None) => false,
        };
        self.head = Some(chained.head.clone());
        fits.then_some(())
    }

    /// A record is committed: it has to be the next one of those that were not deleted. Its position.
    fn commit(&mut self, offset: i64) -> Result<usize, Violation> {
        let at = self.records.iter().position(|own| own.0 == offset);
        let at = at.expect("the test made the record");
        // What was deleted may be passed over.
        while self.next < at && self.records[self.next].0 < self.low {
            self.next += 1;
        }
        if at < self.next {
            return Err(Violation::Twice { offset });
        }
        if at > self.next {
            let expected = Some(self.records[self.next].0);
            return Err(Violation::PassedOver { offset, expected });
        }
        self.next += 1;
        Ok(at)
    }
}

/// A place in the group, which one slot after another takes.
#[derive(Default)]
pub(super) struct Seat {
    /// The last that the member heard of; `None` once the group has let it go.
    pub(super) generation: Option<u64>,
    events: VecDeque<Event>,
    pub(super) positions: BTreeMap<i32, i64>,
    pub(super) revoked: Vec<Partition>,
    /// Which partition the last record came from.
    pub(super) last: i32,
    pub(super) paused: bool,
    /// Records that may still come in this turn.
    pub(super) allowance: usize,
    /// Records that come although fetching is stopped.
    pub(super) leak: usize,
    /// Questions that are not answered.
    pub(super) silent: usize,
    /// The producer that is not fenced.
    pub(super) epoch: u64,
    pub(super) gates: Vec<oneshot::Sender<()>>,
}

enum Event {
    Revoke(i32),
    Assign(i32),
    /// The group has let the member go.
    Lost,
    /// The group has another generation.
    Rejoin,
}

impl World {
    pub(super) fn new(partitions: usize, audited: bool) -> Self {
        let state = State {
            logs: (0..partitions).map(|_| Log::default()).collect(),
            seats: (0..SLOTS).map(|_| Seat::default()).collect(),
            generation: 0,
            audited,
            open: false,
            violation: None,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn produce(&mut self, partition: usize, kind: Kind, gap: i64) {
        let log = &mut self.logs[partition];
        log.end += gap;
        log.records.push((log.end, kind));
        log.end += 1;
    }

    /// Retention deletes the first half of what is left.
    pub(super) fn delete(&mut self, partition: usize) {
        let log = &mut self.logs[partition];
        let left = log.records.iter().filter(|(offset, _)| *offset >= log.low);
        let left: Vec<i64> = left.map(|(offset, _)| *offset).collect();
        if let Some(offset) = left.get(left.len() / 2) {
            log.low = *offset;
        }
    }

    /// The group moves a partition, in good order: its owner lets go of it first.
    pub(super) fn move_to(&mut self, partition: usize, slot: usize) {
        let log = &mut self.logs[partition];
        if log.owner == Some(slot) || log.heir.is_some() {
            return;
        }
        log.heir = Some(slot);
        match log.owner {
            Some(owner) => {
                let event = Event::Revoke(partition as i32);
                self.seats[owner].events.push_back(event);
            }
            None => self.pass_on(partition),
        }
    }

    /// The owner is gone: the next generation begins, with the heir.
    fn pass_on(&mut self, partition: usize) {
        let log = &mut self.logs[partition];
        log.owner = None;
        if let Some(heir) = log.heir.take() {
            log.owner = Some(heir);
            let event = Event::Assign(partition as i32);
            self.seats[heir].events.push_back(event);
        }
        self.begin_generation();
    }

    fn begin_generation(&mut self) {
        self.generation += 1;
        for seat in &mut self.seats {
            seat.events.push_back(Event::Rejoin);
        }
    }

    /// The group lets a member go that it has not heard of for too long, and gives its partitions to the
    /// other one. The member learns of it when it polls.
    pub(super) fn lose(&mut self, slot: usize) {
        self.seats[slot].events.clear();
        self.seats[slot].events.push_back(Event::Lost);
        for partition in 0..self.logs.len() {
            let log = &mut self.logs[partition];
            if log.owner == Some(slot) {
                log.heir = Some(1 - slot);
                self.pass_on(partition);
            } else if log.heir == Some(slot) {
                log.heir = Some(1 - slot);
            }
        }
        self.begin_generation();
    }

    /// A slot has ended, and another one takes its seat.
    pub(super) fn leave(&mut self, slot: usize) {
        let epoch = self.seats[slot].epoch;
        self.lose(slot);
        self.seats[slot] = Seat {
            epoch,
            ..Seat::default()
        };
        self.seats[slot].events.push_back(Event::Rejoin);
    }

    /// Serves the group: all that happened since the last poll.
    pub(super) fn serve(&mut self, slot: usize) {
        while let Some(event) = self.seats[slot].events.pop_front() {
            match event {
                Event::Revoke(partition) => {
                    let seat = &mut self.seats[slot];
                    seat.positions.remove(&partition);
                    seat.revoked.push((TOPIC.into(), partition));
                    self.pass_on(partition as usize);
                    self.seats[slot].generation = Some(self.generation);
                }
                Event::Assign(partition) => {
                    let log = &self.logs[partition as usize];
                    let at = log.committed.as_ref().map_or(0, |(offset, _)| *offset);
                    self.seats[slot].positions.insert(partition, at);
                }
                Event::Lost => {
                    let seat = &mut self.seats[slot];
                    let lost = std::mem::take(&mut seat.positions).into_keys();
                    seat.revoked.extend(lost.map(|own| (TOPIC.into(), own)));
                    seat.generation = None;
                }
                Event::Rejoin => self.seats[slot].generation = Some(self.generation),
            }
        }
    }

    /// The next record of a member.
    pub(super) fn next(&mut self, slot: usize) -> Option<Record> {
        let seat = &mut self.seats[slot];
        let allowed = match seat.paused {
            true => &mut seat.leak,
            false => &mut seat.allowance,
        };
        if *allowed == 0 {
            return None;
        }
        // In turns.
        let after = seat.positions.range(seat.last + 1..);
        let all = after.chain(seat.positions.range(..=seat.last));
        let mut found = all.filter_map(|(partition, at)| {
            let log = &self.logs[*partition as usize];
            let from = (*at).max(log.low);
            let record = log.records.iter().find(|(offset, _)| *offset >= from)?;
            let lost = (*at < log.low).then(|| Lost::Deleted {
                from: *at,
                records: (log.low - at).unsigned_abs(),
            });
            Some((*partition, *record, lost))
        });
        let (partition, (offset, kind), lost) = found.next()?;
        *allowed -= 1;
        seat.last = partition;
        seat.positions.insert(partition, offset + 1);
        Some(record(partition, offset, kind, lost))
    }

    /// Commits a set: the model says whether it may be.
    pub(super) fn commit(&mut self, slot: usize, set: &[Delivery]) {
        for delivery in set {
            if let Err(violation) = self.commit_record(slot, delivery) {
                self.violation.get_or_insert(violation);
                return;
            }
        }
        let offsets = offsets_after(set).expect("offsets are in range");
        for place in offsets.elements() {
            let log = &mut self.logs[place.partition() as usize];
            let Offset::Offset(committed) = place.offset() else {
                continue;
            };
            let expected = log.records[log.next - 1].0 + 1;
            if committed != expected {
                let violation = Violation::Offset {
                    committed,
                    expected,
                };
                self.violation.get_or_insert(violation);
            }
            log.committed = Some((committed, place.metadata().to_owned()));
        }
    }

    fn commit_record(&mut self, slot: usize, delivery: &Delivery) -> Result<(), Violation> {
        // What it was made of, whatever the slot takes its offset for.
        let position = match &delivery.outcome {
            Ok(done) => &done.entities.source,
            Err(letter) => &letter.source,
        };
        let Position::Kafka {
            partition, offset, ..
        } = *position
        else {
            unreachable!("records of this test are of a topic");
        };
        let log = &mut self.logs[partition as usize];
        if log.owner != Some(slot) {
            return Err(Violation::NotItsOwn { slot, offset });
        }
        let at = log.commit(offset)?;
        let fits = match (log.records[at].1, &delivery.outcome) {
            (Kind::Quick | Kind::Slow, Ok(_)) => true,
            (Kind::Quick | Kind::Slow, Err(letter)) => letter.code == Code::TooLarge,
            (Kind::Unread, Err(letter)) => letter.code == Code::NotJson,
            (Kind::Failing, Err(letter)) => letter.code == Code::RedactFailed,
            _ => false,
        };
        if !fits {
            return Err(Violation::Outcome { offset });
        }
        if self.audited {
            let broken = || Violation::Chain { offset };
            let audit = delivery.audit.as_ref().ok_or_else(broken)?;
            for chained in audit.records() {
                log.chain(chained).ok_or_else(broken)?;
            }
            if log.head.as_ref().is_none_or(|head| head.next != offset + 1) {
                return Err(broken());
            }
        }
        Ok(())
    }

    /// Whether a member has read all that it may.
    pub(super) fn has_read_all(&self, slot: usize) -> bool {
        let seat = &self.seats[slot];
        let mut positions = seat.positions.iter();
        seat.events.is_empty() && positions.all(|(own, at)| *at >= self.logs[*own as usize].end)
    }

    /// A record that is not committed and was not deleted.
    pub(super) fn missing(&self) -> Option<Violation> {
        let missing = self.logs.iter().find_map(|log| {
            let mut left = log.records[log.next..].iter();
            left.find(|(offset, _)| *offset >= log.low)
        });
        missing.map(|(offset, _)| Violation::Missing { offset: *offset })
    }

    /// Ends the processing of a slow record.
    pub(super) fn finish(&mut self, slot: usize, nth: usize) {
        let gates = &mut self.seats[slot].gates;
        if !gates.is_empty() {
            let _ = gates.remove(nth % gates.len()).send(());
        }
    }

    /// What the commit records of a partition list, in order; the model is the list of its records.
    pub(super) fn check_files(
        &mut self,
        partition: usize,
        offsets: &[i64],
    ) -> Result<(), Violation> {
        let log = &mut self.logs[partition];
        for &offset in offsets {
            log.commit(offset)?;
        }
        Ok(())
    }

    pub(super) fn open_all(&mut self) {
        self.open = true;
        for seat in &mut self.seats {
            seat.gates.clear();
        }
    }

    pub(super) fn answers(&mut self, slot: usize) -> bool {
        let silent = &mut self.seats[slot].silent;
        let answers = *silent == 0;
        *silent = silent.saturating_sub(1);
        answers
    }
}

fn record(partition: i32, offset: i64, kind: Kind, lost: Option<Lost>) -> Record {
    let position = position(partition, offset);
    let document = match kind {
        Kind::Unread => Err(letter(position, Code::NotJson)),
        _ => Ok(Document {
            id: DocumentId::place(&position),
            tenant: None,
            position,
            body: Body::Text("text".into()),
        }),
    };
    let envelope = Envelope {
        partition: (TOPIC.into(), partition),
        offset,
        key: None,
        headers: Vec::new(),
        written: None,
        bytes: 4,
        digest: None,
        lost,
    };
    Record { envelope, document }
}

fn position(partition: i32, offset: i64) -> Position {
    Position::Kafka {
        topic: TOPIC.to_owned(),
        partition,
        offset,
    }
}

pub(super) fn letter(source: Position, code: Code) -> DeadLetter {
    DeadLetter {
        source,
        tenant: None,
        document_id: None,
        stage: Stage::Source,
        code,
        reason: "for the test".to_owned(),
        attempts: 1,
    }
}
