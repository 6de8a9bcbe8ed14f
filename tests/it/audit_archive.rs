//! Archives that are reviewed without a broker, and what somebody did to them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{TryStreamExt as _, executor::block_on};
use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory, path::Path};
use proptest::prelude::*;
use weir::audit::{
    Class, Report, Verdict,
    anchor::{Anchor, Folder},
    archive::Archive,
    checkpoint::Checkpoint,
    notary::{Bounds, Notary, Options},
    note::{Note, SigningKey},
    review::{self, Reviewed, Vault},
    roll::Roll,
    tile::{Edge, Tiles},
    tree,
    trust::{Revoked, Trust},
};

use crate::support::audit::{Author, MemoryFeed, Topic};

const ORIGIN: &str = "example.com/stream";

fn key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[1; 32]).unwrap()
}

fn worker() -> SigningKey {
    SigningKey::from_seed("worker", &[2; 32]).unwrap()
}

fn witness() -> SigningKey {
    SigningKey::from_seed("witness.example", &[3; 32]).unwrap()
}

/// Wants the signature of a witness.
fn witnessed() -> Trust {
    let witnesses = vec![witness().cosigner()];
    trust().with_witnesses(witnesses, 1).unwrap()
}

fn trust() -> Trust {
    let trust = Trust::new(ORIGIN, vec![key().verifying_key()]).unwrap();
    trust.with_workers(vec![worker().verifying_key()]).unwrap()
}

/// A stream, its notary's archive, and an anchor of it.
struct World {
    store: Arc<InMemory>,
    vault: Arc<InMemory>,
    topic: Arc<Mutex<Topic>>,
    authors: Vec<Author>,
}

impl World {
    fn new(partitions: i32) -> Self {
        let bounds = |partition| Bounds {
            topic: "documents".to_owned(),
            partition,
            log_start: 100,
            high: 1000,
        };
        let topic = Topic {
            sources: (0..partitions).map(bounds).collect(),
            ..Topic::default()
        };
        let mut world = Self {
            store: Arc::new(InMemory::new()),
            vault: Arc::new(InMemory::new()),
            topic: Arc::new(Mutex::new(topic)),
            authors: (0..partitions)
                .map(|own| Author::new("documents", own))
                .collect(),
        };
        for own in 0..partitions {
            let record = world.authors[own as usize].begin();
            world.append(own, record);
        }
        world
    }

    /// One with so many events of each partition before each roll.
    fn rolled(partitions: i32, rolls: &[usize]) -> Self {
        let mut world = Self::new(partitions);
        for events in rolls {
            world.extend(*events);
            world.roll();
        }
        world
    }

    fn append(&self, partition: i32, record: Bytes) {
        let mut topic = self.topic.lock().unwrap();
        topic.records.entry(partition % 2).or_default().push(record);
    }

    /// The last record is sealed, as that of a transaction is.
    fn extend(&mut self, events: usize) {
        for own in 0..self.authors.len() {
            for number in (0..events).rev() {
                let author = &mut self.authors[own];
                let record = match number {
                    0 => author.sealed(&worker()),
                    _ => author.event(),
                };
                self.append(own as i32, record);
            }
        }
    }

    fn roll(&self) {
        let store: Arc<dyn ObjectStore> = self.store.clone();
        let anchor = Folder::new(self.vault.clone(), Path::from("heads"), "vault");
        let options = Options {
            archive: archive(&store),
            key: key(),
            anchors: vec![Box::new(anchor) as Box<dyn Anchor>],
            interval: Duration::ZERO,
        };
        let mut notary = Notary::new(options, MemoryFeed::of(&self.topic));
        block_on(notary.turn(Instant::now(), &AtomicBool::new(false))).unwrap();
    }

    fn head(&self) -> Note {
        let store: Arc<dyn ObjectStore> = self.store.clone();
        block_on(archive(&store).checkpoint()).unwrap().unwrap().0
    }

    /// A witness saw the head at a time.
    fn cosign(&self, time: jiff::Timestamp) {
        let store: Arc<dyn ObjectStore> = self.store.clone();
        let mut note = self.head();
        note.add(witness().cosign(note.text(), time.as_second() as u64));
        block_on(archive(&store).keep_cosigned(&note)).unwrap();
    }

    /// A copy that goes its own way.
    fn fork(&self) -> Self {
        Self {
            store: Arc::new(self.store.fork()),
            vault: Arc::new(self.vault.fork()),
            topic: Arc::new(Mutex::new(self.topic.lock().unwrap().clone())),
            authors: self.authors.clone(),
        }
    }

    fn review(&self) -> Report {
        review(&self.store, &trust(), Some(&self.vault), None).report
    }

    fn objects(&self) -> BTreeMap<Path, Bytes> {
        block_on(async {
            let all: Vec<_> = self.store.list(None).try_collect().await.unwrap();
            let mut objects = BTreeMap::new();
            for meta in all {
                let found = self.store.get(&meta.location).await.unwrap();
                objects.insert(meta.location, found.bytes().await.unwrap());
            }
            objects
        })
    }

    fn put(&self, at: &Path, bytes: Bytes) {
        block_on(self.store.put(at, bytes.into())).unwrap();
    }

    /// Signs other rolls with the notary's key, as somebody who has stolen it.
    fn sign(&self, rolls: &[Roll]) {
        let store: Arc<dyn ObjectStore> = self.store.clone();
        let mut edge = Edge::default();
        let mut tiles = Vec::new();
        for at in self.objects().into_keys() {
            if at.as_ref().starts_with("evidence/roll/") {
                block_on(store.delete(&at)).unwrap();
            }
        }
        for (number, roll) in rolls.iter().enumerate() {
            let bytes = roll.to_bytes();
            edge.push(tree::leaf(&bytes), &mut tiles);
            let at = Path::from(format!("evidence/roll/leaf/{number:03}"));
            self.put(&at, bytes.into());
        }
        tiles.extend(edge.partial());
        block_on(Tiles::new(store, Path::from("evidence/roll")).write(tiles)).unwrap();
        let head = Checkpoint::new(ORIGIN, edge.size(), edge.root());
        let note = head.signed(&[&key()]).unwrap().to_string();
        self.put(&Path::from("evidence/roll/checkpoint"), note.into());
    }

    fn rolls(&self) -> Vec<Roll> {
        let objects = self.objects().into_iter();
        let leaves = objects.filter(|(at, _)| at.as_ref().starts_with("evidence/roll/leaf/"));
        leaves
            .map(|(_, bytes)| Roll::parse(&bytes).unwrap())
            .collect()
    }
}

fn archive(store: &Arc<dyn ObjectStore>) -> Archive {
    Archive::new(store.clone(), Path::from("evidence"), ORIGIN).unwrap()
}

fn review(
    store: &Arc<InMemory>,
    trust: &Trust,
    vault: Option<&Arc<InMemory>>,
    seen: Option<&Note>,
) -> Reviewed {
    let store: Arc<dyn ObjectStore> = store.clone();
    let anchors = vault.map(|vault| Vault {
        store: vault.clone(),
        prefix: Path::from("heads"),
        name: "vault".to_owned(),
    });
    let options = review::Options {
        archive: archive(&store),
        trust,
        anchors: anchors.into_iter().collect(),
        seen: seen.map(|note| (note.clone(), "last-head.note".to_owned())),
    };
    block_on(review::review(&options)).unwrap()
}

/// Names of all faults.
fn faults(report: &Report) -> Vec<&'static str> {
    let log = report.log.as_ref().unwrap();
    let partitions = report.partitions.iter().map(|own| &own.faults);
    let all = partitions.chain([&report.stray, &log.faults]);
    all.flat_map(|own| own.count.keys().copied()).collect()
}

#[track_caller]
fn finds(report: &Report, verdict: Verdict, fault: &str) {
    assert_eq!(report.verdict(), verdict, "{report}");
    assert!(faults(report).contains(&fault), "{report}");
}

#[test]
fn an_archive_proves_its_stream_without_a_broker() {
    let world = World::rolled(3, &[2, 0, 300, 1]);
    let report = world.review();
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
    assert_eq!((report.records, report.partitions.len()), (912, 3));
    let text = report.to_string();
    for part in [
        "PROVEN: 912 audit records of 3 partitions",
        "the notary of example.com/stream signed 4 rolls, the last of 2",
        "vault holds its head",
        "no broker was asked",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(!text.contains("no seal was checked"), "{text}");
    let log = report.log.unwrap();
    assert_eq!((log.rolls, log.others), (4, 0));
}

#[test]
fn an_archive_that_only_the_notary_vouches_for_is_unanchored() {
    let world = World::rolled(1, &[2, 1]);
    let mut report = review(&world.store, &trust(), None, None).report;
    finds(&report, Verdict::Unanchored, "unanchored");
    assert!(report.to_string().contains("UNANCHORED: 4 audit records"));
    report.accept(&["unanchored".to_owned()]);
    assert_eq!(report.verdict(), Verdict::Proven);
    // The anchor has the head before the last.
    let head = Path::from(format!("heads/{ORIGIN}/{:020}.note", 2));
    block_on(world.vault.delete(&head)).unwrap();
    finds(&world.review(), Verdict::Unanchored, "unanchored");
}

#[test]
fn a_quorum_that_the_trust_file_asks_for_has_to_sign_the_newest_head() {
    let mut world = World::rolled(1, &[2]);
    let shown = |world: &World| review(&world.store, &witnessed(), Some(&world.vault), None).report;
    // A copy of the head is no witness.
    finds(&shown(&world), Verdict::Unanchored, "unanchored");
    world.cosign(jiff::Timestamp::now());
    let report = shown(&world);
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
    assert!(report.to_string().contains("witness.example saw a head"));
    world.extend(1);
    world.roll();
    finds(&shown(&world), Verdict::Unanchored, "unanchored");
    // A witness whose key was stolen is none.
    world.cosign(jiff::Timestamp::now());
    let (key, since) = (witness().cosigner(), jiff::Timestamp::now());
    let stolen = witnessed()
        .with_revoked(vec![Revoked { key, since }])
        .unwrap();
    let report = review(&world.store, &stolen, None, None).report;
    finds(&report, Verdict::Unanchored, "unanchored");
}

#[test]
fn a_trust_file_without_workers_checks_no_seal_and_the_report_says_so() {
    let world = World::rolled(1, &[2]);
    let bare = Trust::new(ORIGIN, vec![key().verifying_key()]).unwrap();
    let report = review(&world.store, &bare, Some(&world.vault), None).report;
    assert!(!report.seals_checked);
    assert_eq!(report.partitions[0].summary.seals, 0);
    let text = report.to_string();
    assert!(text.contains("no seal was checked"), "{text}");
}

#[test]
fn an_archive_without_records_or_without_a_head_proves_nothing() {
    let topic = Topic {
        sources: World::new(1).topic.lock().unwrap().sources.clone(),
        ..Topic::default()
    };
    let world = World {
        topic: Arc::new(Mutex::new(topic)),
        ..World::new(1)
    };
    world.roll();
    let report = world.review();
    assert_eq!(report.verdict(), Verdict::NotProvable, "{report}");
    let world = World::new(1);
    finds(&world.review(), Verdict::Incomplete, "no_head");
}

#[test]
fn gaps_have_the_class_that_the_notary_found() {
    let mut world = World::new(1);
    let skip = |world: &mut World, offsets: i64| {
        world.authors[0].skips = offsets;
        world.extend(1);
    };
    world.topic.lock().unwrap().classes = [
        (101, Class::Marker),
        (103, Class::Aborted),
        (104, Class::Marker),
    ]
    .into();
    world.extend(1);
    skip(&mut world, 1);
    world.roll();
    skip(&mut world, 2);
    world.roll();
    let report = world.review();
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
    let gaps = &report.partitions[0].summary.gaps;
    assert_eq!(*gaps, [(Class::Marker, 2), (Class::Aborted, 1)].into());
    // One that the notary could not explain.
    skip(&mut world, 1);
    world.roll();
    finds(&world.review(), Verdict::Incomplete, "unknown");
}

/// No object may be changed in any byte.
fn flips(world: &World, step: usize) {
    let trust = witnessed();
    let verdict = || {
        let report = review(&world.store, &trust, None, None).report;
        report.verdict()
    };
    world.cosign(jiff::Timestamp::now());
    assert_eq!(verdict(), Verdict::Proven);
    let mut flipped = 0;
    for (at, bytes) in world.objects() {
        for byte in (0..bytes.len()).filter(|byte| (byte + flipped) % step == 0) {
            let mut changed = bytes.to_vec();
            changed[byte] ^= 1 << (byte % 8);
            world.put(&at, changed.into());
            let verdict = verdict();
            assert!(verdict > Verdict::Proven, "byte {byte} of {at}: {verdict}");
        }
        flipped += 1;
        world.put(&at, bytes);
    }
    assert!(flipped > 10, "{flipped} objects");
    assert_eq!(verdict(), Verdict::Proven);
}

#[test]
fn no_byte_of_a_small_archive_can_be_changed() {
    flips(&World::rolled(2, &[1, 1]), 1);
}

#[test]
fn no_byte_of_an_archive_with_full_tiles_can_be_changed() {
    flips(&World::rolled(1, &[250, 10, 300]), 1999);
}

#[test]
fn no_object_that_the_head_needs_can_be_taken_away() {
    let world = World::rolled(2, &[3, 2]);
    for (at, bytes) in world.objects() {
        block_on(world.store.delete(&at)).unwrap();
        let report = world.review();
        // What an older, smaller head needed is not needed any more, and a partition's own head is a copy.
        let name = at.as_ref();
        let is_older = name.ends_with(".p/4") || name.ends_with("roll/tile/0/000.p/1");
        let is_copy = name.starts_with("evidence/audit/") && name.ends_with("/checkpoint");
        let expected = is_older || is_copy;
        let is_proven = report.verdict() == Verdict::Proven;
        assert_eq!(is_proven, expected, "{at}: {report}");
        world.put(&at, bytes);
    }
}

#[test]
fn an_older_head_is_found_by_the_leaves_and_by_the_state() {
    let mut world = World::rolled(2, &[2]);
    let old = world.fork();
    world.extend(2);
    world.roll();
    let seen = world.head();
    let replay = |of: &World| review(&of.store, &trust(), None, Some(&seen)).report;
    // The whole archive as it was.
    let report = replay(&old);
    finds(&report, Verdict::Broken, "set_back");
    let text = report.to_string();
    assert!(text.contains("last-head.note holds"), "{text}");
    assert!(text.contains("evidence/roll/checkpoint"), "{text}");
    // The head alone.
    let head = Path::from("evidence/roll/checkpoint");
    let bytes = old.objects().remove(&head).unwrap();
    world.put(&head, bytes);
    let report = review(&world.store, &trust(), None, None).report;
    finds(&report, Verdict::Broken, "unsigned");
    finds(&world.review(), Verdict::Broken, "set_back");
}

#[test]
fn a_second_history_is_found_by_the_state_and_by_an_anchor() {
    let one = World::rolled(2, &[2]);
    let (mut one, mut other) = (one.fork(), one);
    for (world, events) in [(&mut one, 2), (&mut other, 3)] {
        world.extend(events);
        world.roll();
    }
    let seen = one.head();
    let report = review(&other.store, &trust(), None, Some(&seen)).report;
    finds(&report, Verdict::Broken, "second_history");
    assert!(report.to_string().contains("last-head.note"), "{report}");
    let report = review(&other.store, &trust(), Some(&one.vault), None).report;
    finds(&report, Verdict::Broken, "second_history");
    // It goes on, and is still another one.
    other.extend(1);
    other.roll();
    let report = review(&other.store, &trust(), None, Some(&seen)).report;
    finds(&report, Verdict::Broken, "second_history");
}

#[test]
fn a_partition_that_is_left_out_is_called() {
    // From the beginning.
    let mut world = World::new(3);
    world.topic.lock().unwrap().sources.remove(1);
    world.topic.lock().unwrap().records.clear();
    for own in [0, 2] {
        let record = world.authors[own].event();
        world.append(own as i32, record);
    }
    world.roll();
    finds(&world.review(), Verdict::Incomplete, "not_named");
    // From one roll to the next, by somebody who signs with the notary's key.
    let world = World::rolled(3, &[2, 2, 2]);
    for left_out in 0..3 {
        let own = world.fork();
        let mut rolls = own.rolls();
        for roll in &mut rolls[1..] {
            roll.partitions.remove(left_out);
        }
        own.sign(&rolls);
        let report = review(&own.store, &trust(), None, None).report;
        assert!(faults(&report).contains(&"not_named"), "{report}");
        assert!(report.verdict() >= Verdict::Incomplete, "{report}");
        // And from all of them: the log lies in the archive.
        let mut rolls = own.rolls();
        rolls[0].partitions.remove(left_out);
        own.sign(&rolls);
        let report = review(&own.store, &trust(), None, None).report;
        assert!(faults(&report).contains(&"not_named"), "{report}");
    }
}

#[test]
fn a_roll_that_takes_back_what_an_earlier_one_said_is_a_fault() {
    let world = World::rolled(2, &[3, 2]);
    let change = |change: &dyn Fn(&mut Roll)| {
        let own = world.fork();
        let mut rolls = own.rolls();
        change(&mut rolls[1]);
        own.sign(&rolls);
        review(&own.store, &trust(), None, None).report
    };
    let at = |roll: &Roll| roll.partitions[1].clone();
    let before = world.rolls()[0].clone();
    let report = change(&|roll| roll.partitions[1] = at(&before));
    // The log of the archive is longer than the roll says.
    finds(&report, Verdict::Broken, "bad_head");
    let report = change(&|roll| roll.partitions[1].size -= 3);
    finds(&report, Verdict::Broken, "shrunk");
    for fault in ["shrunk", "misstated"] {
        finds(
            &change(&|roll| roll.partitions[0].next = Some(101)),
            Verdict::Broken,
            fault,
        );
    }
    let report = change(&|roll| roll.partitions[0].first = Some(101));
    finds(&report, Verdict::Broken, "shrunk");
    let report = change(&|roll| roll.partitions[0].seq += 1);
    finds(&report, Verdict::Broken, "misstated");
    let report = change(&|roll| roll.partitions[0].root = [7; 32]);
    finds(&report, Verdict::Broken, "bad_root");
    let report = change(&|roll| {
        roll.read.insert(0, 1);
    });
    finds(&report, Verdict::Broken, "shrunk");
    let report = change(&|roll| roll.partitions[1].partition = i32::MAX);
    finds(&report, Verdict::Broken, "bad_roll");
    let report = change(&|roll| roll.partitions[1].size = u64::MAX);
    finds(&report, Verdict::Broken, "bad_record");
    let report = change(&|roll| roll.time = "yesterday".to_owned());
    finds(&report, Verdict::Broken, "bad_roll");
}

#[test]
fn seals_of_a_stolen_key_are_void_from_its_revocation_on() {
    let mut world = World::rolled(2, &[2]);
    let since = jiff::Timestamp::now();
    let revoked = |since| {
        let key = worker().verifying_key();
        let trust = trust().with_revoked(vec![Revoked { key, since }]).unwrap();
        review(&world.store, &trust, Some(&world.vault), None).report
    };
    let report = revoked(since);
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
    assert_eq!(report.partitions[0].summary.seals, 1);
    drop(report);
    world.extend(2);
    world.roll();
    let revoked = |since| {
        let key = worker().verifying_key();
        let trust = trust().with_revoked(vec![Revoked { key, since }]).unwrap();
        review(&world.store, &trust, Some(&world.vault), None).report
    };
    finds(&revoked(since), Verdict::Broken, "revoked");
    let later = jiff::Timestamp::now();
    assert_eq!(revoked(later).verdict(), Verdict::Proven);
}

#[test]
fn a_notary_whose_key_was_revoked_signs_no_head() {
    let world = World::rolled(1, &[2]);
    let since = jiff::Timestamp::now();
    let revoked = || {
        let key = key().verifying_key();
        vec![Revoked { key, since }]
    };
    let trust = trust().with_revoked(revoked()).unwrap();
    let report = review(&world.store, &trust, Some(&world.vault), None).report;
    finds(&report, Verdict::Broken, "bad_head");
    // Witnesses saw one of its heads before.
    let mut world = world;
    let second = jiff::SignedDuration::from_secs(1);
    world.cosign(since - second);
    let revoked = witnessed().with_revoked(revoked()).unwrap();
    let report = review(&world.store, &revoked, None, None).report;
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
    world.cosign(since + second);
    let report = review(&world.store, &revoked, None, None).report;
    finds(&report, Verdict::Broken, "bad_head");
    // The thief goes on with it.
    world.cosign(since - second);
    world.extend(1);
    world.roll();
    let report = review(&world.store, &revoked, None, None).report;
    finds(&report, Verdict::Broken, "unsigned");
    assert_eq!(report.log.unwrap().rolls, 1);
    // A key that is in no list is a mistake.
    let stranger = SigningKey::from_seed("stranger", &[9; 32]).unwrap();
    let key = stranger.verifying_key();
    assert!(trust.with_revoked(vec![Revoked { key, since }]).is_err());
}

/// What somebody does to an archive whose files they may write.
#[derive(Debug, Clone, Copy)]
enum Attack {
    LeafDeleted,
    HeadReplayed,
    Forked,
    TileAltered,
    RecordAltered,
    RecordRemoved,
    RecordSwapped,
    PartitionOmitted,
}

impl Attack {
    const ALL: [Self; 8] = [
        Self::LeafDeleted,
        Self::HeadReplayed,
        Self::Forked,
        Self::TileAltered,
        Self::RecordAltered,
        Self::RecordRemoved,
        Self::RecordSwapped,
        Self::PartitionOmitted,
    ];

    /// The archive as it is afterwards.
    fn on(self, world: &World, old: &World, pick: prop::sample::Index) -> World {
        let own = world.fork();
        let of = |part: &str| {
            let all = own.objects();
            let found: Vec<Path> = all
                .into_keys()
                .filter(|at| at.as_ref().contains(part))
                .collect();
            found[pick.index(found.len())].clone()
        };
        match self {
            Self::LeafDeleted => {
                let at = of("/roll/leaf/");
                block_on(own.store.delete(&at)).unwrap();
            }
            Self::HeadReplayed => return old.fork(),
            Self::Forked => {
                let mut own = old.fork();
                own.extend(1 + pick.index(5));
                own.roll();
                own.extend(7);
                own.roll();
                own.roll();
                own.roll();
                return own;
            }
            Self::TileAltered => {
                let at = of("/tile/");
                own.change(&at, |bytes| {
                    let place = pick.index(bytes.len());
                    bytes[place] ^= 1;
                });
            }
            Self::RecordAltered => {
                let at = of("/records/");
                own.change(&at, |bytes| {
                    let text = String::from_utf8(bytes.clone()).unwrap();
                    *bytes = text.replacen("acme", "acne", 1).into_bytes();
                });
            }
            Self::RecordRemoved => own.lines(&of("/records/"), |lines| {
                lines.remove(pick.index(lines.len()));
            }),
            Self::RecordSwapped => own.lines(&of("/records/"), |lines| {
                let last = lines.len() - 1;
                lines.swap(0, last);
                if last == 0 {
                    lines.push(lines[0].clone());
                }
            }),
            Self::PartitionOmitted => {
                let mut rolls = own.rolls();
                let from = pick.index(rolls.len());
                for roll in &mut rolls[from..] {
                    roll.partitions.remove(pick.index(roll.partitions.len()));
                }
                own.sign(&rolls);
            }
        }
        own
    }
}

impl World {
    fn change(&self, at: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut bytes = self.objects().remove(at).unwrap().to_vec();
        change(&mut bytes);
        self.put(at, bytes.into());
    }

    fn lines(&self, at: &Path, change: impl Fn(&mut Vec<String>)) {
        self.change(at, |bytes| {
            let text = String::from_utf8(bytes.clone()).unwrap();
            let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
            change(&mut lines);
            *bytes = lines.concat().into_bytes();
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn an_attack_on_an_archive_is_never_proven(
        partitions in 1_i32..4,
        rolls in prop::collection::vec(0_usize..120, 1..4),
        more in 1_usize..200,
        pick in any::<prop::sample::Index>(),
    ) {
        let mut world = World::rolled(partitions, &rolls);
        let old = world.fork();
        world.extend(more);
        world.roll();
        let seen = world.head();
        let shown = |of: &World| {
            let mut report = review(&of.store, &trust(), None, Some(&seen)).report;
            report.accept(&["unanchored".to_owned()]);
            report
        };
        let report = shown(&world);
        prop_assert_eq!(report.verdict(), Verdict::Proven, "{}", report);
        for attack in Attack::ALL {
            let report = shown(&attack.on(&world, &old, pick));
            prop_assert!(report.verdict() >= Verdict::Incomplete, "{:?}: {}", attack, report);
        }
    }
}
