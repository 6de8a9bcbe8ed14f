//! What a slot has of the brokers in memory: its membership, its producers, and what processes its
//! documents.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use rdkafka::{
    Offset, TopicPartitionList,
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::sync::oneshot;

use super::{
    group::Group,
    process::Process,
    tests_brokers::{Kind, State, TOPIC, Verdict, Violation, World, letter},
    topics::Producer,
};
use crate::{
    kafka::Partition,
    pipeline::Working,
    record::{Code, DeadLetter, Digests, Document, Done, Entities, PlainText, Position, Redacted},
    sink::kafka::{Delivery, Error, calls::Calls, record_size::TooLarge},
    source::kafka::{self as source, End, Record},
    tenant::Policy,
};

/// A member of the group.
pub(super) struct Member {
    pub(super) world: World,
    pub(super) slot: usize,
}

fn silence() -> KafkaError {
    KafkaError::OffsetFetch(RDKafkaErrorCode::OperationTimedOut)
}

impl Group for Member {
    type Member = u64;

    fn poll(&mut self, _: Duration) -> Result<Option<Record>, source::Error> {
        let mut state = self.world.state();
        state.serve(self.slot);
        Ok(state.next(self.slot))
    }

    fn is_waiting(&self) -> bool {
        false
    }

    fn has_joined(&self) -> bool {
        true
    }

    fn take_revoked(&mut self) -> Vec<Partition> {
        std::mem::take(&mut self.world.state().seats[self.slot].revoked)
    }

    fn take_ends(&self) -> Vec<End> {
        Vec::new()
    }

    fn pause(&mut self, paused: bool) {
        self.world.state().seats[self.slot].paused = paused;
    }

    fn is_paused(&self) -> bool {
        self.world.state().seats[self.slot].paused
    }

    fn assigned(&self) -> usize {
        self.world.state().seats[self.slot].positions.len()
    }

    fn member(&self) -> Option<u64> {
        self.world.state().seats[self.slot].generation
    }

    fn committed(
        &self,
        of: TopicPartitionList,
        _: Duration,
    ) -> Result<TopicPartitionList, KafkaError> {
        let mut state = self.world.state();
        if !state.answers(self.slot) {
            return Err(silence());
        }
        let partitions: BTreeSet<i32> = of.elements().iter().map(|own| own.partition()).collect();
        for partition in partitions {
            let mut place = of
                .find_partition(TOPIC, partition)
                .expect("it is in the list");
            let (offset, metadata) = match &state.logs[partition as usize].committed {
                Some((offset, metadata)) => (Offset::Offset(*offset), metadata.as_str()),
                None => (Offset::Invalid, ""),
            };
            place.set_offset(offset)?;
            place.set_metadata(metadata);
        }
        Ok(of)
    }

    /// Of files: the offsets are for tools, and for where reading begins.
    fn commit(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        let mut state = self.world.state();
        if !state.answers(self.slot) || state.seats[self.slot].generation != Some(state.generation)
        {
            return Err(silence());
        }
        for place in offsets.elements() {
            if let Offset::Offset(offset) = place.offset() {
                let log = &mut state.logs[place.partition() as usize];
                log.committed = Some((offset, place.metadata().to_owned()));
            }
        }
        Ok(())
    }

    fn commit_later(&self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        self.commit(offsets)
    }

    fn cluster(&self, _: Duration) -> Option<String> {
        None
    }

    fn bounds(&self, of: &Partition, _: Duration) -> Result<(i64, i64), KafkaError> {
        let log = &self.world.state().logs[of.1 as usize];
        Ok((log.low, log.end))
    }

    fn seek(&mut self, of: &Partition, offset: i64, _: Duration) -> Result<(), KafkaError> {
        let mut state = self.world.state();
        if !state.answers(self.slot) {
            return Err(silence());
        }
        if let Some(position) = state.seats[self.slot].positions.get_mut(&of.1) {
            *position = offset;
        }
        Ok(())
    }
}

/// A producer of a slot. Each set waits for what the test says of it.
struct Publishing {
    world: World,
    slot: usize,
    epoch: u64,
    verdicts: Arc<Mutex<Receiver<Verdict>>>,
    calls: Arc<Calls>,
    /// Whether brokers have records that it gave up.
    gave_up: AtomicBool,
}

/// A slot's producers, and how their sets are decided.
pub(super) fn producers(
    world: &World,
    slot: usize,
) -> (
    impl Fn() -> Result<Box<dyn Producer<u64>>, Error> + use<>,
    Sender<Verdict>,
) {
    let (sender, verdicts) = channel();
    let verdicts = Arc::new(Mutex::new(verdicts));
    let world = world.clone();
    let make = move || {
        let mut state = world.state();
        if !state.answers(slot) {
            return Err(Error::NoAnswer { code: None });
        }
        state.seats[slot].epoch += 1;
        Ok(Box::new(Publishing {
            world: world.clone(),
            slot,
            epoch: state.seats[slot].epoch,
            verdicts: verdicts.clone(),
            calls: Arc::default(),
            gave_up: AtomicBool::new(false),
        }) as Box<dyn Producer<u64>>)
    };
    (make, sender)
}

impl Producer<u64> for Publishing {
    fn publish(&self, set: &[Delivery], member: Option<&u64>) -> Result<(), Error> {
        let verdict = {
            let verdicts = self.verdicts.lock();
            let verdicts = verdicts.unwrap_or_else(PoisonError::into_inner);
            verdicts.recv()
        };
        let Ok(verdict) = verdict else {
            // The process was killed.
            return Err(Error::Aborted { code: None });
        };
        let mut state = self.world.state();
        if state.seats[self.slot].epoch != self.epoch {
            return Err(Error::Fenced);
        }
        // The brokers would take the next set for the one that was given up.
        if self.gave_up.load(Ordering::Relaxed)
            && let Some(first) = set.first()
        {
            let offset = first.envelope.offset;
            let violation = Violation::TakenForAnother { offset };
            state.violation.get_or_insert(violation);
        }
        self.decide(&mut state, set, member, verdict)
    }

    fn calls(&self) -> Arc<Calls> {
        self.calls.clone()
    }

    fn is_spent(&self) -> bool {
        self.gave_up.load(Ordering::Relaxed)
    }
}

impl Publishing {
    fn decide(
        &self,
        state: &mut State,
        set: &[Delivery],
        member: Option<&u64>,
        verdict: Verdict,
    ) -> Result<(), Error> {
        let aborted = Err(Error::Aborted { code: None });
        let is_member = member == Some(&state.generation);
        match verdict {
            Verdict::Commit | Verdict::UnknownCommitted if !is_member => aborted,
            Verdict::Commit => {
                state.commit(self.slot, set);
                Ok(())
            }
            Verdict::UnknownCommitted => {
                state.commit(self.slot, set);
                Err(Error::Unknown { code: None })
            }
            Verdict::UnknownAborted => Err(Error::Unknown { code: None }),
            Verdict::Abort => aborted,
            Verdict::AbortUnanswered => {
                self.gave_up.store(true, Ordering::Relaxed);
                aborted
            }
            Verdict::TooLarge(nth) => {
                let documents = set.iter().enumerate().filter(|own| own.1.outcome.is_ok());
                let documents: Vec<usize> = documents.map(|(index, _)| index).collect();
                match documents.len() {
                    0 => aborted,
                    count => Err(Error::TooLarge {
                        records: vec![TooLarge {
                            index: documents[nth % count],
                            topic: "out".to_owned(),
                            bytes: 9,
                            limit: None,
                            of_client: false,
                        }],
                    }),
                }
            }
            Verdict::Batches => Err(Error::Batches { bytes: 9 }),
            Verdict::NoTopic => Err(Error::NoTopic {
                topic: "out".to_owned(),
            }),
            Verdict::Fenced => {
                state.seats[self.slot].epoch += 1;
                Err(Error::Fenced)
            }
        }
    }
}

/// Processes documents as their records say.
pub(super) struct Processing {
    pub(super) world: World,
    pub(super) slot: usize,
    pub(super) policy: Arc<Policy>,
}

impl Process for Processing {
    fn start(&self, document: Document, _: PlainText) -> Result<Working, DeadLetter> {
        let position = document.position.clone();
        let Position::Kafka {
            partition, offset, ..
        } = position
        else {
            unreachable!("records of this test are of a topic");
        };
        let mut state = self.world.state();
        let records = &state.logs[partition as usize].records;
        let found = records.iter().find(|own| own.0 == offset);
        let kind = found.expect("the test made the record").1;
        let gate = (kind == Kind::Slow && !state.open).then(|| {
            let (sender, gate) = oneshot::channel();
            state.seats[self.slot].gates.push(sender);
            gate
        });
        drop(state);
        let work = async move {
            if let Some(gate) = gate {
                // Dropped: open from now on.
                let _ = gate.await;
            }
            match kind {
                Kind::Failing => Err(letter(position, Code::RedactFailed)),
                _ => Ok(Box::new(done(position))),
            }
        };
        let document = Arc::new(document);
        Ok(Working::spawn(self.policy.clone(), document, work))
    }

    fn policy_of(&self, _: &DeadLetter) -> Option<Arc<Policy>> {
        None
    }

    fn digests(&self, _: &Policy) -> Digests {
        nobody()
    }

    fn has_stopped(&self) -> bool {
        false
    }

    fn tokens(&self) -> u64 {
        0
    }
}

fn nobody() -> Digests {
    Digests {
        pack: String::new(),
        label_set: String::new(),
        policy: String::new(),
        weir_version: String::new(),
    }
}

fn done(source: Position) -> Done {
    let digests = nobody();
    Done {
        redacted: Redacted::Record(source.to_string().into_bytes()),
        entities: Entities {
            document_id: source.to_string(),
            tenant: "acme".to_owned(),
            source,
            entities: Vec::new(),
            digests,
            tokens: 1,
            windows: 1,
        },
        changes: Vec::new(),
        operators: BTreeMap::new(),
    }
}
