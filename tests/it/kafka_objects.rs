//! Kafka to an object store on a real broker: a reader of the commit records finds every record
//! once, whoever comes, goes, or does not know that it is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{
    FutureExt, StreamExt, TryStreamExt,
    future::{BoxFuture, ready},
};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};
use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::watch;
use weir::{
    kafka::{Envelope, Partition},
    pipeline::slot::{Error, Options, Sink, files},
    record::{Code, DeadLetter, Digests, Done, Entities, Position, Redacted, Stage},
    sink::{
        self, FileSet,
        chain::{self, Chains, Head, Outcome, Record},
        kafka::Delivery,
    },
    store::{Compression, Location},
};

use crate::support::{
    eventually::{eventually, so},
    job::{Job, ended, pack, piped, terminate},
    store::{Fate, Faulty, Operation},
    topic::{Place, Running, record, runtime},
    worker,
};

macro_rules! store_contract {
    ($($promise:ident),* $(,)?) => {
        mod local {
            $(#[test] fn $promise() { super::$promise(crate::support::worker::Place::local()); })*
        }
        mod s3 {
            $(#[test] fn $promise() { super::$promise(crate::support::worker::Place::s3()); })*
        }
    };
}

store_contract!(
    records_come_out_once_and_in_order_while_slots_come_go_and_die,
    poison_goes_to_the_dead_letters_and_the_partition_moves_on,
);

/// A topic and a store.
struct Lake {
    kafka: Place,
    store: worker::Place,
}

impl Lake {
    fn new(partitions: i32, store: worker::Place) -> Self {
        Self {
            kafka: Place::new(partitions),
            store,
        }
    }

    fn group(&self) -> String {
        format!("group-{}", self.kafka.input)
    }

    /// The options of a slot that writes through a store of its own.
    fn options(&self, name: &str, location: Location) -> Options {
        let mut options = self.kafka.options(name);
        options.source.instance_id = Some(name.to_owned());
        options.sink = Sink::Objects(files::Options {
            chains: chain::Options {
                location,
                group: self.group(),
                configuration: "configuration".to_owned(),
                pack: "pack".to_owned(),
            },
            compression: Some(Compression::Gzip),
        });
        options.max_documents = 25;
        options.max_wait = Duration::from_millis(200);
        options
    }

    fn slot(&self, name: &str) -> Running {
        self.kafka
            .slot_with(self.options(name, self.store.at("out")))
    }

    fn read(&self) -> Lines {
        runtime().block_on(Lines::read(&self.store.at("out"), &self.group()))
    }

    fn wait_for(&self, records: usize) {
        let start = Instant::now();
        while self.read().offsets.len() < records {
            assert!(
                start.elapsed() < Duration::from_secs(180),
                "{records} records"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Sets the group to an offset of partition 0, as an operator would while nobody reads.
    fn set_group(&self, offset: i64) {
        self.kafka.set_group(&self.group(), 0..1, offset);
    }

    fn assert_exactly(&self, count: usize) {
        let lines = self.read();
        let ids: BTreeSet<String> = (0..count).map(|n| format!("d{n}")).collect();
        let found: Vec<&str> = lines
            .entities
            .iter()
            .map(|line| line["document_id"].as_str().unwrap())
            .collect();
        assert_eq!(found.len(), count, "lost or doubled");
        assert_eq!(
            found.iter().copied().collect::<BTreeSet<_>>(),
            ids.iter().map(String::as_str).collect()
        );
        assert_eq!(lines.redactions.len(), count);
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for (entities, redaction) in lines.entities.iter().zip(&lines.redactions) {
            assert_eq!(entities["document_id"], redaction["id"], "other places");
            assert_eq!(redaction["text"], "ask [EMAIL]");
            let n = redaction["n"].as_u64().unwrap();
            let before = last.insert(n % 7, n);
            assert!(
                before.is_none_or(|before| before < n),
                "{n} after {before:?}"
            );
        }
    }
}

/// The program itself, from its configuration to SIGTERM.
#[test]
fn the_program_writes_files_until_sigterm() {
    let kafka = Place::new(2);
    let job = Job::with(&format!(
        "[source]\ntype = \"kafka\"\nbootstrap_servers = \"{}\"\ntopics = [\"{}\"]\n\
         group_id = \"lake\"\n[sink]\ntype = \"object_store\"\nurl = \"out\"\n\
         compression = \"none\"\nroll = {{ max_secs = 1 }}\n\
         [tenants]\ndir = \"tenants\"\ndefault = \"acme\"\n[model]\npack = {:?}\n",
        kafka.address(),
        kafka.input,
        pack().display().to_string()
    ));
    job.write("tenants/acme.toml", worker::PATTERNS_ONLY);
    let lines = || job.records("out/redactions");
    let wait_for = |count: usize| {
        let start = Instant::now();
        while lines().len() < count {
            assert!(start.elapsed() < Duration::from_secs(90), "{count} lines");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    kafka.produce((0..30).map(record));
    let first = piped(&mut job.command(&[]));
    wait_for(30);
    terminate(&first);
    ended(first).expect(0).says(&["drained", "30 documents"]);
    kafka.produce((30..50).map(record));
    let second = piped(&mut job.command(&[]));
    wait_for(50);
    terminate(&second);
    ended(second).expect(0).says(&["drained", "20 documents"]);
    let numbers: BTreeSet<u64> = lines()
        .iter()
        .map(|line| line["n"].as_u64().unwrap())
        .collect();
    assert_eq!((lines().len(), numbers.len()), (50, 50));
    assert!(lines().iter().all(|line| line["text"] == "ask [EMAIL]"));
    let records = job.files(&format!("out/_weir/kafka/lake/{}", kafka.input));
    assert!(
        records.len() >= 4,
        "a chain for each partition: {records:?}"
    );
}

/// What a reader finds who goes by the commit records and believes nothing.
#[derive(Default)]
struct Lines {
    records: Vec<Record>,
    /// Partition and offset of every line of entities and dead letters.
    offsets: Vec<(i64, i64)>,
    entities: Vec<Value>,
    redactions: Vec<Value>,
    dead_letters: Vec<Value>,
}

impl Lines {
    async fn read(location: &Location, group: &str) -> Self {
        let mut lines = Self::default();
        let folder = location.path(&format!("_weir/kafka/{group}"));
        let metas: Vec<ObjectMeta> = location
            .store()
            .list(Some(&folder))
            .try_collect()
            .await
            .unwrap();
        let mut paths: Vec<Path> = metas.into_iter().map(|meta| meta.location).collect();
        paths.sort();
        let mut ends: BTreeMap<(String, i32), i64> = BTreeMap::new();
        for path in paths {
            let bytes = get(location, &path).await;
            let record: Record = serde_json::from_slice(&bytes).unwrap();
            let partition = (record.topic.clone(), record.partition);
            let start = ends.insert(partition, record.next).unwrap_or(0);
            assert_eq!(path.filename().unwrap(), format!("{start:020}.json"));
            assert!(start <= record.first && record.first < record.next);
            lines.add(location, &record).await;
            lines.records.push(record);
        }
        let offsets: BTreeSet<_> = lines.offsets.iter().collect();
        assert_eq!(offsets.len(), lines.offsets.len(), "a record twice");
        lines
    }

    async fn add(&mut self, location: &Location, record: &Record) {
        let mut documents = 0;
        for file in &record.files {
            let bytes = get(location, &location.path(&file.path)).await;
            assert_eq!(bytes.len() as u64, file.bytes);
            assert_eq!(blake3::hash(&bytes).to_hex().as_str(), file.digest);
            let text = match file.path.rsplit_once('.').unwrap().1 {
                "gz" => {
                    let mut text = String::new();
                    std::io::Read::read_to_string(
                        &mut flate2::read::GzDecoder::new(&bytes[..]),
                        &mut text,
                    )
                    .unwrap();
                    text
                }
                "zst" => String::from_utf8(zstd::decode_all(&bytes[..]).unwrap()).unwrap(),
                _ => String::from_utf8(bytes).unwrap(),
            };
            assert!(text.ends_with('\n'));
            let found: Vec<Value> = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(found.len() as u64, file.records);
            if file.kind != "redactions" {
                let mut last = record.first - 1;
                for line in &found {
                    let offset = line["source"]["offset"].as_i64().unwrap();
                    assert!(last < offset && offset < record.next, "out of order");
                    last = offset;
                    self.offsets.push((record.partition.into(), offset));
                }
                documents += file.records;
            }
            match &*file.kind {
                "entities" => self.entities.extend(found),
                "redactions" => self.redactions.extend(found),
                "dead_letters" => self.dead_letters.extend(found),
                other => panic!("{other}"),
            }
        }
        assert_eq!(documents, record.documents + record.dead_letters);
    }
}

async fn get(location: &Location, path: &Path) -> Vec<u8> {
    let found = location.store().get(path).await.unwrap();
    found.bytes().await.unwrap().to_vec()
}

fn records_come_out_once_and_in_order_while_slots_come_go_and_die(store: worker::Place) {
    let lake = Lake::new(4, store);
    lake.kafka.produce((0..600).map(record));
    let first = lake.slot("a");
    lake.wait_for(50);
    let second = lake.slot("b");
    lake.wait_for(200);
    // Of two members of one name the group keeps the second; the first dies with what it gathered.
    let third = lake.slot("b");
    let dead = second.ended();
    assert!(matches!(dead, Err(Error::Source(_))), "{dead:?}");
    lake.kafka.produce((600..1000).map(record));
    lake.wait_for(700);
    let one = first.drained().unwrap();
    assert!(one.transactions > 1);
    lake.wait_for(1000);
    third.drained().unwrap();
    lake.assert_exactly(1000);
    // Whoever comes next begins where the chain ends.
    lake.kafka.produce((1000..1020).map(record));
    let last = lake.slot("c");
    lake.wait_for(1020);
    assert_eq!(last.drained().unwrap().documents, 20);
    lake.assert_exactly(1020);
}

fn poison_goes_to_the_dead_letters_and_the_partition_moves_on(store: worker::Place) {
    let lake = Lake::new(1, store);
    lake.kafka.produce([
        record(0),
        ("k".to_owned(), "no json of wanda@mail.example".to_owned()),
        (
            "k".to_owned(),
            format!("{{\"text\":\"{}\"}}", "long ".repeat(4000)),
        ),
        (
            "k".to_owned(),
            "{\"id\":\"d1\",\n\"n\":1,\n\"text\":\"ask user1@mail.example\"}".to_owned(),
        ),
    ]);
    let slot = lake.slot("a");
    lake.wait_for(4);
    let summary = slot.drained().unwrap();
    assert_eq!((summary.documents, summary.dead_letters), (2, 2));
    let lines = lake.read();
    let codes: Vec<&str> = lines
        .dead_letters
        .iter()
        .map(|letter| letter["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["not_json", "too_large"]);
    assert!(!format!("{:?}", lines.dead_letters).contains("wanda"));
    lake.assert_exactly(2);
}

#[test]
fn a_worker_that_does_not_know_that_it_is_gone_commits_nothing() {
    let lake = Lake::new(1, worker::Place::local());
    lake.kafka.produce((0..40).map(record));
    let gate = Gate::shut();
    let stopped = lake
        .kafka
        .slot_with(lake.options("same", gate.before(&lake)));
    gate.wait_for(1);
    // It holds offsets that are written and not committed. The group gives them to another one.
    let heir = lake.slot("same");
    assert!(stopped.ended().is_err());
    lake.wait_for(40);
    gate.open();
    gate.wait_until_passed();
    lake.kafka.produce((40..80).map(record));
    lake.wait_for(80);
    assert_eq!(heir.drained().unwrap().documents, 80);
    lake.assert_exactly(80);
}

#[test]
fn an_owner_that_is_overtaken_reads_on_where_the_other_ended() {
    let lake = Lake::new(1, worker::Place::local());
    lake.kafka.produce((0..40).map(record));
    let [first, second] = [Gate::shut(), Gate::shut()];
    let stopped = lake
        .kafka
        .slot_with(lake.options("same", first.before(&lake)));
    first.wait_for(1);
    let mut options = lake.options("same", second.before(&lake));
    // Other offsets than the first one's: the records differ.
    options.max_documents = 11;
    let heir = lake.kafka.slot_with(options);
    assert!(stopped.ended().is_err());
    second.wait_for(1);
    first.open();
    first.wait_until_passed();
    second.open();
    lake.wait_for(40);
    let summary = heir.drained().unwrap();
    assert_eq!(summary.documents, 15, "what the first one left");
    assert!(summary.aborted > 0);
    lake.assert_exactly(40);
}

#[test]
fn answers_that_are_lost_and_refusals_are_tried_again() {
    let lake = Lake::new(2, worker::Place::local());
    lake.kafka.produce((0..300).map(record));
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let location = unsteady(&lake, move |_| {
        // Seven, as no multiple of the three writes of a commit: each of them meets each fate.
        let fate = match counted.fetch_add(1, Ordering::SeqCst) % 7 {
            2 => Fate::Refused,
            5 => Fate::AskedAgain,
            _ => Fate::Done,
        };
        Box::pin(async move { fate })
    });
    let slot = lake.kafka.slot_with(lake.options("a", location));
    lake.wait_for(300);
    let summary = slot.drained().unwrap();
    assert!(summary.aborted > 0 && count.load(Ordering::SeqCst) > 10);
    assert_eq!(summary.documents, 300);
    lake.assert_exactly(300);
}

#[test]
fn the_chain_and_not_the_group_says_where_a_partition_goes_on() {
    let lake = Lake::new(1, worker::Place::local());
    lake.kafka.produce((0..50).map(record));
    let slot = lake.slot("a");
    lake.wait_for(50);
    slot.drained().unwrap();
    lake.set_group(10);
    lake.kafka.produce((50..60).map(record));
    let slot = lake.slot("a");
    lake.wait_for(60);
    assert_eq!(slot.drained().unwrap().documents, 10);
    lake.assert_exactly(60);
    // Set forward, the operator has his way, and the record says so.
    lake.kafka.produce((60..90).map(record));
    lake.set_group(80);
    let slot = lake.slot("a");
    lake.wait_for(70);
    assert_eq!(slot.drained().unwrap().documents, 10);
    let records = lake.read().records;
    let last = records.last().unwrap();
    assert_eq!((last.gap_from, last.first, last.next), (Some(60), 80, 90));
    assert!(
        records[..records.len() - 1]
            .iter()
            .all(|record| record.gap_from.is_none())
    );
}

#[test]
fn a_topic_that_was_made_anew_is_not_passed_over_in_silence() {
    let lake = Lake::new(1, worker::Place::local());
    let out = lake.store.at("out");
    let chains = options(out.clone(), &lake.group()).build();
    let partition: Partition = (lake.kafka.input.as_str().into(), 0);
    let mut set = FileSet::new(0, None, None);
    set.add(&delivery(&partition, 999));
    let set = set.seal();
    let committed = chains.commit(&partition, Head::default(), &set);
    runtime().block_on(committed).unwrap();
    lake.kafka.produce((0..5).map(record));
    let ended = lake.slot("a").ended();
    let shorter = Error::Store(sink::Error::Shorter {
        topic: lake.kafka.input.clone(),
        partition: 0,
        end: 5,
        next: 1000,
    });
    assert_eq!(format!("{:?}", ended.unwrap_err()), format!("{shorter:?}"));
}

/// Holds commit records back.
struct Gate {
    open: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    passed: Arc<AtomicUsize>,
}

impl Gate {
    fn shut() -> Self {
        Self {
            open: watch::Sender::new(false),
            waiting: Arc::default(),
            passed: Arc::default(),
        }
    }

    /// The lake's store behind the gate.
    fn before(&self, lake: &Lake) -> Location {
        let (open, waiting, passed) = (
            self.open.subscribe(),
            self.waiting.clone(),
            self.passed.clone(),
        );
        unsteady(lake, move |path| {
            let (mut open, waiting, passed) = (open.clone(), waiting.clone(), passed.clone());
            let held = path.as_ref().contains("_weir/kafka/");
            Box::pin(async move {
                if held {
                    waiting.fetch_add(1, Ordering::SeqCst);
                    open.wait_for(|open| *open).await.unwrap();
                    passed.fetch_add(1, Ordering::SeqCst);
                }
                Fate::Done
            })
        })
    }

    fn open(&self) {
        self.open.send(true).unwrap();
    }

    fn wait_for(&self, waiting: usize) {
        until(|| self.waiting.load(Ordering::SeqCst) >= waiting);
    }

    /// Until those that waited are through, and had time to write.
    fn wait_until_passed(&self) {
        until(|| self.passed.load(Ordering::SeqCst) >= self.waiting.load(Ordering::SeqCst));
        std::thread::sleep(Duration::from_millis(300));
    }
}

fn until(mut done: impl FnMut() -> bool) {
    eventually(Duration::from_secs(120), || so(done(), "never"));
}

/// The lake's store, its writes of objects with a fate.
fn unsteady(
    lake: &Lake,
    fate: impl Fn(&Path) -> BoxFuture<'static, Fate> + Send + Sync + 'static,
) -> Location {
    let out = lake.store.at("out");
    let store = Faulty::new(out.store().clone(), of_puts(fate));
    Location::within(store, out.prefix().clone(), "unsteady")
}

/// Decides of the writes of objects; all else is done.
fn of_puts(
    fate: impl Fn(&Path) -> BoxFuture<'static, Fate> + Send + Sync + 'static,
) -> impl Fn(Operation<'_>) -> BoxFuture<'static, Fate> + Send + Sync + 'static {
    move |operation| match operation {
        Operation::Put(path) => fate(path),
        Operation::Part | Operation::Other => ready(Fate::Done).boxed(),
    }
}

fn options(location: Location, group: &str) -> chain::Options {
    chain::Options {
        location,
        group: group.to_owned(),
        configuration: "configuration".to_owned(),
        pack: "pack".to_owned(),
    }
}

/// A record that became a dead letter, the least there is.
fn delivery(partition: &Partition, offset: i64) -> Delivery {
    Delivery {
        envelope: Envelope {
            partition: partition.clone(),
            offset,
            key: None,
            headers: Vec::new(),
            written: None,
            bytes: 10,
            digest: None,
            lost: None,
        },
        held: 0,
        findings: Vec::new(),
        digests: None,
        keys: Vec::new(),
        link: weir::telemetry::trace::Link::default(),
        audit: None,
        outcome: Err(Box::new(DeadLetter {
            source: Position::Kafka {
                topic: partition.0.to_string(),
                partition: partition.1,
                offset,
            },
            tenant: None,
            document_id: None,
            stage: Stage::Source,
            code: Code::NotJson,
            reason: "it is not one".to_owned(),
            attempts: 1,
        })),
    }
}

/// A record that became a document.
fn document(partition: &Partition, offset: i64) -> Delivery {
    let mut delivery = delivery(partition, offset);
    let source = delivery.outcome.unwrap_err().source;
    let text = |text: &str| text.to_owned();
    delivery.outcome = Ok(Box::new(Done {
        entities: Entities {
            document_id: format!("d{offset}"),
            tenant: text("acme"),
            source,
            entities: Vec::new(),
            digests: Digests {
                pack: text("p"),
                label_set: text("l"),
                policy: text("p"),
                weir_version: text("0"),
            },
            tokens: 0,
            windows: 0,
        },
        changes: Vec::new(),
        redacted: Redacted::Record(format!("{{\"id\":\n\"d{offset}\"}}").into_bytes()),
        operators: Default::default(),
    }));
    delivery
}

/// What two workers of one partition may do, in any order: neither knows whether it is the owner.
#[derive(Debug, Clone)]
enum Step {
    /// It is given the partition, or believes so.
    LookUp { worker: usize, hint: bool },
    /// It reads some records.
    Gather { worker: usize, count: usize },
    /// It commits what it has gathered.
    Commit { worker: usize, fate: Fate },
    /// It tries again what failed.
    Again { worker: usize },
    /// It loses the partition and what it has gathered.
    Forget { worker: usize },
    /// Requests that were under way reach the store.
    Arrive,
}

fn step() -> impl Strategy<Value = Step> {
    let worker = || 0..2_usize;
    let fate = prop_oneof![
        4 => Just(Fate::Done),
        1 => Just(Fate::Refused),
        2 => Just(Fate::AskedAgain),
        2 => Just(Fate::Late),
    ];
    prop_oneof![
        2 => (worker(), any::<bool>()).prop_map(|(worker, hint)| Step::LookUp { worker, hint }),
        4 => (worker(), 1..6_usize).prop_map(|(worker, count)| Step::Gather { worker, count }),
        4 => (worker(), fate).prop_map(|(worker, fate)| Step::Commit { worker, fate }),
        2 => worker().prop_map(|worker| Step::Again { worker }),
        1 => worker().prop_map(|worker| Step::Forget { worker }),
        2 => Just(Step::Arrive),
    ]
}

/// One worker of the model: what `pipeline::slot::files` keeps of a partition.
#[derive(Default)]
struct Member {
    head: Option<Head>,
    open: Vec<i64>,
    sealed: Option<Vec<i64>>,
}

struct Model {
    log: Vec<i64>,
    store: Arc<Faulty>,
    next_fate: Arc<Mutex<Fate>>,
    chains: Chains,
    location: Location,
    partition: Partition,
    members: [Member; 2],
    /// What each commit that was told to have succeeded held.
    told: Vec<i64>,
}

impl Model {
    fn new(log: Vec<i64>) -> Self {
        let next_fate = Arc::new(Mutex::new(Fate::Done));
        let fate = next_fate.clone();
        let store = Faulty::new(
            Arc::new(InMemory::new()),
            of_puts(move |path| {
                let record = path.as_ref().contains("_weir/");
                let fate = match record {
                    true => std::mem::replace(&mut *fate.lock().unwrap(), Fate::Done),
                    false => Fate::Done,
                };
                ready(fate).boxed()
            }),
        );
        let location = Location::within(store.clone(), Path::ROOT, "memory");
        Self {
            log,
            store,
            next_fate,
            chains: options(location.clone(), "g").build(),
            location,
            partition: ("t".into(), 3),
            members: Default::default(),
            told: Vec::new(),
        }
    }

    async fn apply(&mut self, step: &Step) {
        match *step {
            Step::LookUp { worker, hint } => {
                let known = self.members[worker].head.and_then(|head| head.newest);
                let hint = hint.then_some(known).flatten();
                let head = self.chains.head(&self.partition, hint).await.unwrap();
                self.members[worker] = Member {
                    head: Some(head),
                    ..Member::default()
                };
            }
            Step::Gather { worker, count } => {
                let member = &mut self.members[worker];
                let Some(head) = member.head else { return };
                let gathered = member
                    .open
                    .last()
                    .or(member.sealed.as_ref().and_then(|sealed| sealed.last()));
                let from = gathered.map_or(head.next, |last| last + 1);
                let new = self.log.iter().filter(|offset| **offset >= from);
                member.open.extend(new.take(count));
            }
            Step::Commit { worker, fate } => {
                let member = &mut self.members[worker];
                if member.sealed.is_none() && !member.open.is_empty() {
                    member.sealed = Some(std::mem::take(&mut member.open));
                    self.commit(worker, fate).await;
                }
            }
            Step::Again { worker } => self.commit(worker, Fate::Done).await,
            Step::Forget { worker } => self.members[worker] = Member::default(),
            Step::Arrive => self.store.arrive().await,
        }
    }

    async fn commit(&mut self, worker: usize, fate: Fate) {
        let member = &mut self.members[worker];
        let (Some(head), Some(offsets)) = (member.head, &member.sealed) else {
            return;
        };
        let mut set = FileSet::new(offsets[0], None, None);
        for offset in offsets {
            set.add(&delivery(&self.partition, *offset));
        }
        *self.next_fate.lock().unwrap() = fate;
        match self.chains.commit(&self.partition, head, &set.seal()).await {
            Ok(Outcome::Committed(head)) => {
                self.told.extend(member.sealed.take().unwrap());
                member.head = Some(head);
            }
            Ok(Outcome::Overtaken(head)) => {
                *member = Member {
                    head: Some(head),
                    ..Member::default()
                };
            }
            Err(_) => assert!(matches!(fate, Fate::Refused | Fate::Late)),
        }
    }

    async fn offsets(&self) -> Vec<i64> {
        let lines = Lines::read(&self.location, "g").await;
        lines.offsets.iter().map(|(_, offset)| *offset).collect()
    }
}

proptest! {
    #[test]
    fn two_workers_of_one_partition_commit_each_record_once(
        gaps in proptest::collection::vec(1..4_i64, 1..40),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let log: Vec<i64> = gaps
                .iter()
                .scan(-1, |last, gap| {
                    *last += gap;
                    Some(*last)
                })
                .collect();
            let mut model = Model::new(log);
            for step in &steps {
                model.apply(step).await;
                let offsets = model.offsets().await;
                prop_assert_eq!(&offsets[..], &model.log[..offsets.len()]);
                // What a worker was told to be committed stays so.
                prop_assert!(model.told.iter().all(|offset| offsets.contains(offset)));
            }
            // Whoever is left commits the rest, whatever comes late.
            for last in [
                Step::LookUp { worker: 0, hint: true },
                Step::Gather { worker: 0, count: usize::MAX },
                Step::Commit { worker: 0, fate: Fate::AskedAgain },
                Step::Arrive,
                Step::LookUp { worker: 0, hint: false },
                Step::Gather { worker: 0, count: usize::MAX },
                Step::Commit { worker: 0, fate: Fate::Done },
            ] {
                model.apply(&last).await;
            }
            prop_assert_eq!(model.offsets().await, model.log.clone());
            Ok(())
        })?;
    }
}

#[test]
fn compressed_files_are_whole_and_another_attempt_has_another_name() {
    let location = Location::within(Arc::new(InMemory::new()), Path::ROOT, "memory");
    let chains = options(location.clone(), "a/group of=names").build();
    let partition: Partition = ("t".into(), 0);
    let mut head = Head::default();
    for compression in [None, Some(Compression::Gzip), Some(Compression::Zstd)] {
        let mut set = FileSet::new(head.next, None, compression);
        for offset in head.next..head.next + 3000 {
            set.add(&document(&partition, offset));
        }
        // Half of it lies there as it is, if it is not compressed.
        assert!(set.memory() > 128 << 10);
        let committed = runtime().block_on(chains.commit(&partition, head, &set.seal()));
        let Ok(Outcome::Committed(after)) = committed else {
            panic!("{committed:?}");
        };
        assert_eq!(after.next, head.next + 3000);
        head = after;
    }
    let group = "a=2Fgroup=20of=3Dnames";
    let lines = runtime().block_on(Lines::read(&location, group));
    assert_eq!(lines.offsets.len(), 9000);
    assert_eq!(lines.redactions.len(), 9000);
    let sizes: Vec<u64> = lines
        .records
        .iter()
        .map(|record| record.files[0].bytes)
        .collect();
    assert!(
        sizes[0] > 5 * sizes[1] && sizes[0] > 5 * sizes[2],
        "{sizes:?}"
    );
    let mut names = BTreeSet::new();
    for reason in ["one", "other"] {
        let mut set = FileSet::new(9000, None, None);
        let mut one = delivery(&partition, 9000);
        if let Err(letter) = &mut one.outcome {
            letter.reason = reason.to_owned();
        }
        set.add(&one);
        let _ = runtime().block_on(chains.commit(&partition, head, &set.seal()));
    }
    let listed = location.store().list(Some(&Path::from("dead_letters")));
    let listed: Vec<_> = runtime().block_on(listed.collect());
    for meta in listed {
        names.insert(meta.unwrap().location.to_string());
    }
    // One of each attempt: the second, which came too late, replaced nothing.
    assert_eq!(names.len(), 2);
    assert_eq!(
        runtime()
            .block_on(Lines::read(&location, group))
            .offsets
            .len(),
        9001
    );
}
