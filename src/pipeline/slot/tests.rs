//! A property test of slots: whatever happens to them, in whatever order, each record of a partition is
//! committed once, in order, with its offset. Bugs on purpose show that it finds bugs of their kind.

use std::{
    path::Path,
    sync::{Arc, LazyLock, mpsc::Sender},
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, memory::InMemory};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner},
};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{
    Error, Options, Sink, Slot,
    account::Account,
    files::{self, Files},
    planted::{self, Bug},
    publisher::Publisher,
    stall::Watch,
    tests_brokers::{Kind, SLOTS, TOPIC, Verdict, Violation, World},
    tests_clients::{Member, Processing, producers},
    topics::Topics,
};
use crate::{
    audit,
    kafka::Brokers,
    record::audit::DigestKey,
    sink::{chain, kafka},
    source::kafka as source,
    store::Location,
    telemetry::Health,
    tenant::Policy,
};

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    /// A record is written, behind some offsets that hold none.
    Produce(usize, Kind, i64),
    /// A slot turns once, and reads at most so many records; what is under way goes on meanwhile, or not.
    Turn(usize, usize, bool),
    /// The set that is under way is decided.
    Decide(usize, Verdict),
    /// A slow document is processed.
    Finish(usize, usize),
    /// A partition moves to a slot.
    Move(usize, usize),
    /// A slot loses all its partitions without knowing it.
    Lose(usize),
    /// The next question of a slot is not answered.
    Silence(usize),
    /// A record comes to a slot although fetching is stopped.
    Leak(usize),
    /// Retention deletes records.
    Delete(usize),
    /// A slot is drained, and another one takes its seat. Some records come although fetching is stopped;
    /// the first sets are decided one way.
    Drain(usize, usize, Verdict),
    /// A slot is killed, with a set under way that is decided before or not at all.
    Kill(usize, Option<Verdict>),
}

/// What slots are given, and what happens to them.
#[derive(Debug, Clone)]
struct Case {
    /// Whether slots write files; topics otherwise.
    files: bool,
    partitions: usize,
    max_documents: usize,
    /// Whether a set is due at once, or when it is complete.
    hurry: bool,
    /// Bytes that make a slot full.
    room: u64,
    audited: bool,
    steps: Vec<Step>,
}

const PARTITIONS: usize = 3;

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => Just(Kind::Quick),
        3 => Just(Kind::Slow),
        1 => Just(Kind::Unread),
        1 => Just(Kind::Failing),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        6 => Just(Verdict::Commit),
        2 => Just(Verdict::Abort),
        2 => Just(Verdict::AbortUnanswered),
        2 => Just(Verdict::UnknownCommitted),
        2 => Just(Verdict::UnknownAborted),
        2 => (0_usize..8).prop_map(Verdict::TooLarge),
        1 => Just(Verdict::Batches),
        1 => Just(Verdict::NoTopic),
        1 => Just(Verdict::Fenced),
    ]
}

/// `kills`: how often a slot is killed. Of one that writes files a set may be under way still.
fn step(kills: u32) -> impl Strategy<Value = Step> {
    let slot = 0..SLOTS;
    prop_oneof![
        16 => (0..PARTITIONS, kind(), 0_i64..2).prop_map(|(p, kind, gap)| Step::Produce(p, kind, gap)),
        20 => (slot.clone(), 0_usize..6, prop::bool::weighted(0.4))
            .prop_map(|(slot, records, goes_on)| Step::Turn(slot, records, goes_on)),
        14 => (slot.clone(), verdict()).prop_map(|(slot, verdict)| Step::Decide(slot, verdict)),
        6 => (slot.clone(), 0_usize..8).prop_map(|(slot, nth)| Step::Finish(slot, nth)),
        5 => (0..PARTITIONS, slot.clone()).prop_map(|(p, slot)| Step::Move(p, slot)),
        1 => slot.clone().prop_map(Step::Lose),
        2 => slot.clone().prop_map(Step::Silence),
        2 => slot.clone().prop_map(Step::Leak),
        1 => (0..PARTITIONS).prop_map(Step::Delete),
        2 => (slot.clone(), 0_usize..4, verdict())
            .prop_map(|(slot, leaks, verdict)| Step::Drain(slot, leaks, verdict)),
        kills => (slot, prop::option::of(verdict())).prop_map(|(slot, verdict)| Step::Kill(slot, verdict)),
    ]
}

fn case(files: bool) -> impl Strategy<Value = Case> {
    (
        Just(files),
        1..=PARTITIONS,
        1_usize..7,
        any::<bool>(),
        prop_oneof![Just(2_000_u64), Just(1 << 20)],
        any::<bool>(),
        prop::collection::vec(step(if files { 6 } else { 1 }), 1..120),
    )
        .prop_map(
            |(files, partitions, max_documents, hurry, room, audited, steps)| Case {
                files,
                partitions,
                max_documents,
                hurry,
                room,
                audited,
                steps,
            },
        )
}

/// A slot, and the hand that holds it.
struct Held {
    slot: Slot<Member>,
    drain: CancellationToken,
    verdicts: Sender<Verdict>,
}

struct Driver {
    case: Case,
    world: World,
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
    held: Vec<Held>,
}

/// Turns after which a slot that is drained has ended: each of its sets, and each attempt, takes a few.
const TURNS: usize = 2_000;

fn policy() -> Arc<Policy> {
    static POLICY: LazyLock<Arc<Policy>> = LazyLock::new(|| {
        let text = "labels = []\npatterns = [\"email\"]\n";
        Arc::new(Policy::parse("acme", Path::new("acme.toml"), text).expect("a policy"))
    });
    POLICY.clone()
}

impl Driver {
    fn new(case: Case) -> Self {
        let world = World::new(case.partitions, case.audited);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let slots = 0..SLOTS;
        let held = slots
            .map(|slot| hold(&case, &world, &store, slot))
            .collect();
        let mut state = world.state();
        for partition in 0..case.partitions {
            state.move_to(partition, partition % SLOTS);
        }
        drop(state);
        Self {
            case,
            world,
            store,
            runtime,
            held,
        }
    }

    /// Lets documents be processed that may be, and files be written.
    fn go_on(&self) {
        self.runtime.block_on(async {
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        });
    }

    fn turn(&mut self, slot: usize, records: usize) -> Result<bool, Violation> {
        self.world.state().seats[slot].allowance = records;
        let held = &mut self.held[slot].slot;
        // Enough time has passed since the last failure.
        held.account.not_before = Instant::now();
        let _entered = self.runtime.enter();
        let outcome = held.turn(self.runtime.handle());
        drop(_entered);
        if let Some(violation) = self.world.state().violation.take() {
            return Err(violation);
        }
        match outcome {
            Ok(over) => Ok(over),
            Err(Error::Sink(kafka::Error::Fenced)) => {
                self.replace(slot);
                Ok(true)
            }
            Err(error) => Err(Violation::Ended {
                slot,
                error: error.to_string(),
            }),
        }
    }

    /// Another slot takes the seat of one that has ended.
    fn replace(&mut self, slot: usize) {
        self.world.state().leave(slot);
        self.held[slot] = hold(&self.case, &self.world, &self.store, slot);
    }

    /// Decides about the set that is under way, if one is. Whether the slot goes on.
    fn decide(&mut self, slot: usize, verdict: Verdict) -> Result<bool, Violation> {
        self.go_on();
        let held = &mut self.held[slot];
        if self.case.files {
            return self.turn(slot, 0);
        }
        if !held.slot.is_publishing() {
            return Ok(false);
        }
        let summary = held.slot.account.summary;
        let sets = summary.transactions + summary.aborted;
        let _ = held.verdicts.send(verdict);
        let start = Instant::now();
        loop {
            let over = self.turn(slot, 0)?;
            let summary = self.held[slot].slot.account.summary;
            if over || summary.transactions + summary.aborted != sets {
                return Ok(over);
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no outcome");
            std::thread::yield_now();
        }
    }

    fn drain(&mut self, slot: usize, leaks: usize, verdict: Verdict) -> Result<(), Violation> {
        self.held[slot].drain.cancel();
        for _ in 0..leaks {
            self.world.state().seats[slot].leak = 1;
            if self.turn(slot, 0)? {
                self.replace(slot);
                return Ok(());
            }
        }
        for turn in 0..TURNS {
            // Nothing is decided one way for ever.
            let verdict = match turn < 6 {
                true => verdict,
                false => Verdict::Commit,
            };
            self.go_on();
            if self.decide(slot, verdict)? || self.turn(slot, 3)? {
                self.replace(slot);
                return Ok(());
            }
        }
        Err(Violation::DrainsForEver { slot })
    }

    fn kill(&mut self, slot: usize, verdict: Option<Verdict>) -> Result<(), Violation> {
        if let Some(verdict) = verdict {
            self.decide(slot, verdict)?;
        }
        self.replace(slot);
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), Violation> {
        let of = |partition: usize| partition % self.case.partitions;
        match *step {
            Step::Produce(partition, kind, gap) => {
                self.world.state().produce(of(partition), kind, gap);
            }
            Step::Turn(slot, records, goes_on) => {
                if goes_on {
                    self.go_on();
                }
                self.turn(slot, records)?;
            }
            Step::Decide(slot, verdict) => {
                self.decide(slot, verdict)?;
            }
            Step::Finish(slot, nth) => self.world.state().finish(slot, nth),
            Step::Move(partition, slot) => self.world.state().move_to(of(partition), slot),
            Step::Lose(slot) => self.world.state().lose(slot),
            Step::Silence(slot) => self.world.state().seats[slot].silent = 1,
            Step::Leak(slot) => self.world.state().seats[slot].leak = 1,
            Step::Delete(partition) => self.world.state().delete(of(partition)),
            Step::Drain(slot, leaks, verdict) => self.drain(slot, leaks, verdict)?,
            Step::Kill(slot, verdict) => self.kill(slot, verdict)?,
        }
        Ok(())
    }

    /// Offsets of the records in the files of a partition, in the order of its commit records.
    fn offsets_in_files(&self, partition: usize) -> Vec<i64> {
        let read = async |path: &object_store::path::Path| {
            let found = self.store.get(path).await.expect("it is there");
            found.bytes().await.expect("memory can be read")
        };
        self.runtime.block_on(async {
            let folder = format!("_weir/kafka/group/{TOPIC}/{partition}").into();
            let listed: Vec<_> = self
                .store
                .list(Some(&folder))
                .try_collect()
                .await
                .expect("a list");
            let mut paths: Vec<_> = listed.into_iter().map(|meta| meta.location).collect();
            paths.sort();
            let mut offsets = Vec::new();
            for path in paths {
                let record: chain::Record =
                    serde_json::from_slice(&read(&path).await).expect("a commit record");
                let mut of_record = Vec::new();
                let is_answer =
                    |file: &&chain::File| !matches!(&*file.kind, "redactions" | "audit");
                for file in record.files.iter().filter(is_answer) {
                    let bytes = read(&file.path.as_str().into()).await;
                    for line in bytes
                        .split(|byte| *byte == b'\n')
                        .filter(|line| !line.is_empty())
                    {
                        let line: serde_json::Value = serde_json::from_slice(line).expect("JSON");
                        of_record.push(line["source"]["offset"].as_i64().expect("an offset"));
                    }
                }
                of_record.sort_unstable();
                offsets.extend(of_record);
            }
            offsets
        })
    }

    /// The audit of the files is whole, but for offsets that nobody gave to a slot.
    fn check_audit(&self) -> Result<(), Violation> {
        let location = location(&self.store);
        let read = audit::files::Files::new(location, false).read();
        let mut report = self
            .runtime
            .block_on(read)
            .expect("memory can be read")
            .close();
        report.accept(&["unknown", "skipped"].map(str::to_owned));
        let sets = report.commits.as_ref().map_or(0, |commits| commits.sets);
        match report.verdict() {
            audit::Verdict::Proven => Ok(()),
            audit::Verdict::NotProvable if sets == 0 => Ok(()),
            _ => Err(Violation::Ended {
                slot: 0,
                error: report.to_string(),
            }),
        }
    }

    /// Everything comes to an end: all records are committed.
    fn end(&mut self) -> Result<(), Violation> {
        self.world.state().open_all();
        self.drain(1, 0, Verdict::Commit)?;
        for partition in 0..self.case.partitions {
            self.world.state().move_to(partition, 0);
        }
        for _ in 0..TURNS {
            self.decide(0, Verdict::Commit)?;
            self.turn(0, 16)?;
            self.go_on();
            let read_all = self.world.state().has_read_all(0);
            if read_all && self.held[0].slot.gathered.under_way() == 0 {
                break;
            }
        }
        self.drain(0, 0, Verdict::Commit)?;
        if self.case.files {
            for partition in 0..self.case.partitions {
                let offsets = self.offsets_in_files(partition);
                self.world.state().check_files(partition, &offsets)?;
            }
            if self.case.audited {
                self.check_audit()?;
            }
        }
        match self.world.state().missing() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }
}

fn location(store: &Arc<dyn ObjectStore>) -> Location {
    Location::within(store.clone(), object_store::path::Path::ROOT, "memory")
}

fn options(case: &Case, store: &Arc<dyn ObjectStore>) -> Options {
    let brokers = Brokers::plain("127.0.0.1:1");
    let source = source::Options {
        digest_key: case.audited.then(|| DigestKey::new(b"key".to_vec())),
        ..source::Options::new(brokers.clone(), "group", &[TOPIC])
    };
    let location = location(store);
    let sink = match case.files {
        false => Sink::Topics(kafka::Options::new(brokers, "id", kafka::Topics::default())),
        true => Sink::Objects(files::Options {
            chains: chain::Options {
                location,
                group: "group".to_owned(),
                configuration: String::new(),
                pack: String::new(),
            },
            compression: None,
        }),
    };
    Options {
        max_documents: case.max_documents,
        max_wait: match case.hurry {
            true => Duration::ZERO,
            false => Duration::from_secs(3600),
        },
        in_flight_bytes: case.room,
        drain_for: Duration::ZERO,
        ..Options::new(source, sink)
    }
}

fn hold(case: &Case, world: &World, store: &Arc<dyn ObjectStore>, slot: usize) -> Held {
    let options = options(case, store);
    let (make, verdicts) = producers(world, slot);
    let publisher: Box<dyn Publisher<Member>> = match &options.sink {
        Sink::Topics(sink) => {
            // A slot is opened until the brokers answer.
            let first = std::iter::repeat_with(&make).find_map(Result::ok);
            let first = first.expect("they answer in the end");
            Box::new(Topics::new(sink, &options, first, Box::new(make)))
        }
        Sink::Objects(sink) => Box::new(Files::new(
            sink.clone(),
            options.source.digest_key.clone(),
            options.bounds(),
        )),
    };
    let (world, drain) = (world.clone(), CancellationToken::new());
    let watch = Watch::new(slot as u16, options.stall_for);
    let account = Account::new(slot as u16, Arc::default(), Health::new(), watch);
    let process = Processing {
        world: world.clone(),
        slot,
        policy: policy(),
    };
    let group = Member { world, slot };
    let mut slot = Slot::new(
        options,
        Box::new(process),
        drain.clone(),
        account,
        group,
        publisher,
    );
    slot.patience = Duration::ZERO;
    Held {
        slot,
        drain,
        verdicts,
    }
}

/// Runs a case. The bug is planted for its time.
fn run(case: &Case, bug: Option<Bug>) -> Result<(), Violation> {
    planted::plant(bug);
    let mut driver = Driver::new(case.clone());
    let steps = case.steps.iter();
    let outcome = steps
        .map(|step| driver.step(step))
        .find(Result::is_err)
        .unwrap_or_else(|| driver.end());
    planted::plant(None);
    outcome
}

proptest! {
    #![proptest_config(Config { cases: 256, ..Config::default() })]

    #[test]
    fn each_record_is_committed_once_in_order_with_its_offset(case in case(false)) {
        prop_assert_eq!(run(&case, None), Ok(()));
    }

    #[test]
    fn each_record_is_in_one_file_that_a_commit_record_lists(case in case(true)) {
        prop_assert_eq!(run(&case, None), Ok(()));
    }
}

/// Cases in which a bug has to be found.
const CASES: u32 = 400;

/// Whether the property test finds a bug, and what it says: the same cases in every run.
fn finds(bug: Bug) -> Violation {
    let config = Config {
        cases: CASES,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let found = std::cell::RefCell::new((0, None));
    let files = bug == Bug::SeeksTooFar;
    let outcome = runner.run(&case(files), |case| {
        let mut found = found.borrow_mut();
        found.0 += 1;
        run(&case, Some(bug)).map_err(|violation| {
            let reason = format!("{violation:?}");
            found.1 = Some(violation);
            TestCaseError::fail(reason)
        })
    });
    let (cases, violation) = found.into_inner();
    assert!(
        matches!(outcome, Err(TestError::Fail(..))),
        "{bug:?} was not found in {cases} cases"
    );
    let violation = violation.expect("a case failed");
    println!("{bug:?}: {violation:?} after {cases} cases");
    violation
}

#[test]
fn an_offset_that_is_one_too_far_is_found() {
    let found = finds(Bug::CommitsTooFar);
    assert!(matches!(found, Violation::Offset { .. }), "{found:?}");
}

#[test]
fn records_that_are_kept_after_a_revocation_are_found() {
    let found = finds(Bug::KeepsRevoked);
    let is = matches!(
        found,
        Violation::NotItsOwn { .. } | Violation::Twice { .. } | Violation::PassedOver { .. }
    );
    assert!(is, "{found:?}");
}

#[test]
fn a_set_of_unknown_outcome_that_is_sent_again_is_found() {
    let found = finds(Bug::SendsUnknownAgain);
    assert!(matches!(found, Violation::Twice { .. }), "{found:?}");
}

#[test]
fn a_producer_that_publishes_again_after_it_gave_up_records_is_found() {
    let found = finds(Bug::KeepsSpentProducer);
    let is = matches!(found, Violation::TakenForAnother { .. });
    assert!(is, "{found:?}");
}

#[test]
fn an_aborted_set_that_is_dropped_is_found() {
    let found = finds(Bug::DropsAborted);
    let is = matches!(
        found,
        Violation::PassedOver { .. } | Violation::Missing { .. }
    );
    assert!(is, "{found:?}");
}

#[test]
fn an_aborted_set_that_goes_behind_what_came_after_it_is_found() {
    let found = finds(Bug::PutsBackBehind);
    let is = matches!(
        found,
        Violation::PassedOver { .. } | Violation::Twice { .. }
    );
    assert!(is, "{found:?}");
}

#[test]
fn a_record_that_overtakes_another_is_found() {
    let found = finds(Bug::Overtakes);
    let is = matches!(
        found,
        Violation::PassedOver { .. } | Violation::Twice { .. }
    );
    assert!(is, "{found:?}");
}

#[test]
fn reading_on_behind_what_was_left_undone_is_found() {
    let found = finds(Bug::ReadsBehindUndone);
    let is = matches!(
        found,
        Violation::PassedOver { .. } | Violation::DrainsForEver { .. }
    );
    assert!(is, "{found:?}");
}

#[test]
fn taking_all_for_committed_after_an_unknown_outcome_is_found() {
    let found = finds(Bug::TakesAllForCommitted);
    let is = matches!(
        found,
        Violation::PassedOver { .. } | Violation::Missing { .. }
    );
    assert!(is, "{found:?}");
}

#[test]
fn a_record_that_is_too_large_and_dropped_is_found() {
    let found = finds(Bug::DropsTooLarge);
    let is = matches!(
        found,
        Violation::PassedOver { .. } | Violation::Missing { .. }
    );
    assert!(is, "{found:?}");
}

#[test]
fn a_partition_that_goes_on_behind_the_end_of_its_chain_is_found() {
    let found = finds(Bug::SeeksTooFar);
    let is = matches!(
        found,
        Violation::PassedOver { .. } | Violation::Missing { .. }
    );
    assert!(is, "{found:?}");
}
