//! Notaries over stores that fail, and the proofs that their archives give.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::executor::block_on;
use object_store::{ObjectStore, ObjectStoreExt as _, memory::InMemory, path::Path};
use proptest::prelude::*;
use weir::audit::{
    anchor::{self, Anchor, Folder},
    archive::{self, Archive},
    link::Link,
    notary::{Bounds, Error, Notary, Options, Turn},
    note::SigningKey,
    proof::{self, Proof},
    roll::{Lost, Roll},
    tree,
    trust::Trust,
};

use crate::support::{
    audit::{Author, FEED, MemoryFeed, Topic},
    store::{Fate, Faulty, Operation},
};

const ORIGIN: &str = "example.com/stream";

fn key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[1; 32]).unwrap()
}

fn trust() -> Trust {
    Trust::new(ORIGIN, vec![key().verifying_key()]).unwrap()
}

fn archive(store: &Arc<dyn ObjectStore>) -> Archive {
    Archive::new(store.clone(), Path::from("evidence"), ORIGIN).unwrap()
}

fn notary(
    store: &Arc<dyn ObjectStore>,
    topic: &Arc<Mutex<Topic>>,
    anchors: Vec<Box<dyn Anchor>>,
) -> Notary<MemoryFeed> {
    let options = Options {
        archive: archive(store),
        key: key(),
        anchors,
        interval: Duration::from_millis(10),
    };
    Notary::new(options, MemoryFeed::of(topic))
}

fn turn(notary: &mut Notary<MemoryFeed>) -> Result<Turn, Error> {
    block_on(notary.turn(Instant::now(), &AtomicBool::new(false)))
}

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

fn bounds(partition: i32, high: i64) -> Bounds {
    Bounds {
        topic: "documents".to_owned(),
        partition,
        log_start: 100,
        high,
    }
}

/// A feed of two partitions with records of three partitions of a source that has four.
fn feed(authors: &mut [Author], events: usize) -> Arc<Mutex<Topic>> {
    let topic = Arc::new(Mutex::new(Topic::default()));
    topic.lock().unwrap().sources = (0..4).map(|own| bounds(own, 1000)).collect();
    for author in authors.iter_mut() {
        append(&topic, author.partition, author.begin());
    }
    extend(&topic, authors, events);
    topic
}

fn extend(topic: &Mutex<Topic>, authors: &mut [Author], events: usize) {
    for _ in 0..events {
        for author in authors.iter_mut() {
            append(topic, author.partition, author.event());
        }
    }
}

fn append(topic: &Mutex<Topic>, partition: i32, record: Bytes) {
    let mut topic = topic.lock().unwrap();
    topic.records.entry(partition % 2).or_default().push(record);
}

fn authors() -> Vec<Author> {
    (0..3).map(|own| Author::new("documents", own)).collect()
}

fn newest(store: &Arc<dyn ObjectStore>) -> Roll {
    let archive = archive(store);
    let (_, head) = block_on(archive.checkpoint()).unwrap().unwrap();
    block_on(archive.expect_roll(head.size - 1)).unwrap().0
}

fn prove(store: &Arc<dyn ObjectStore>, partition: i32, offset: i64) -> Option<Proof> {
    block_on(proof::prove(
        &archive(store),
        "documents",
        partition,
        offset,
    ))
    .unwrap()
}

#[test]
fn a_roll_names_every_partition_and_each_record_is_proven_by_keys_alone() {
    let (store, mut authors) = (memory(), authors());
    let topic = feed(&mut authors, 300);
    let mut notary = notary(&store, &topic, Vec::new());
    let rolled = |number, records| Turn::Rolled { number, records };
    assert_eq!(turn(&mut notary).unwrap(), rolled(0, 903));
    assert_eq!(turn(&mut notary).unwrap(), rolled(1, 0));
    extend(&topic, &mut authors, 10);
    assert_eq!(turn(&mut notary).unwrap(), rolled(2, 30));
    let roll = newest(&store);
    let names: Vec<i32> = roll.partitions.iter().map(|own| own.partition).collect();
    assert_eq!(names, [0, 1, 2, 3]);
    let (read, idle) = (&roll.partitions[1], &roll.partitions[3]);
    assert_eq!(
        (read.size, read.first, read.next),
        (311, Some(100), Some(410))
    );
    assert_eq!((idle.size, idle.first, idle.high), (0, None, Some(1000)));
    assert_eq!(idle.root, tree::empty_root());
    assert_eq!(roll.read, [(0, 622), (1, 311)].into());
    assert_eq!((roll.breaks.count, roll.refused.count), (0, 0));
    for offset in [100, 101, 254, 255, 256, 399, 409] {
        for partition in 0..3 {
            let proof = prove(&store, partition, offset).unwrap();
            let read = Proof::parse(&proof.to_bytes()).unwrap();
            let proven = read.verify(&trust()).unwrap();
            assert_eq!(proven.link.offset, Some(offset));
            assert_eq!((proven.link.partition, proven.rolls), (partition, 3));
        }
    }
    assert_eq!(prove(&store, 0, 410), None);
    assert_eq!(prove(&store, 3, 100), None);
    // Readers that know no name find the archive by its checkpoint.
    let found = block_on(Archive::found(store, Path::from("evidence"))).unwrap();
    assert_eq!(found.origin(), ORIGIN);
}

#[test]
fn a_proof_with_any_byte_changed_proves_nothing() {
    let (store, mut authors) = (memory(), authors());
    let topic = feed(&mut authors, 20);
    let worker = SigningKey::from_seed("worker", &[2; 32]).unwrap();
    append(&topic, 0, authors[0].sealed(&worker));
    turn(&mut notary(&store, &topic, Vec::new())).unwrap();
    let proof = prove(&store, 0, 120).unwrap().to_bytes();
    let trust = trust().with_workers(vec![worker.verifying_key()]).unwrap();
    let proven = Proof::parse(&proof).unwrap().verify(&trust).unwrap();
    assert!(proven.sealed);
    for at in 0..proof.len() {
        // The case of a letter, and another bit each time: all eight of them take a minute.
        for bit in [5, at % 8] {
            let mut flipped = proof.clone();
            flipped[at] ^= 1 << bit;
            let proven = Proof::parse(&flipped).and_then(|proof| proof.verify(&trust));
            assert!(proven.is_err(), "byte {at}, bit {bit}");
        }
    }
    // The same content in another form is another proof.
    let loose: serde_json::Value = serde_json::from_slice(&proof).unwrap();
    assert!(Proof::parse(loose.to_string().as_bytes()).is_err());
    let stranger = SigningKey::from_seed(ORIGIN, &[9; 32]).unwrap();
    let strangers = Trust::new(ORIGIN, vec![stranger.verifying_key()]).unwrap();
    let proof = Proof::parse(&proof).unwrap();
    assert!(matches!(
        proof.verify(&strangers),
        Err(proof::Error::Trust(_))
    ));
    let other = Trust::new("example.com/other", vec![key().verifying_key()]).unwrap();
    assert!(proof.verify(&other).is_err());
}

#[test]
fn parts_of_two_proofs_do_not_make_a_third() {
    let (store, mut authors) = (memory(), authors());
    let topic = feed(&mut authors, 40);
    let mut notary = notary(&store, &topic, Vec::new());
    turn(&mut notary).unwrap();
    let early = prove(&store, 1, 120).unwrap();
    extend(&topic, &mut authors, 40);
    turn(&mut notary).unwrap();
    let (late, other) = (
        prove(&store, 1, 120).unwrap(),
        prove(&store, 2, 120).unwrap(),
    );
    for proof in [&early, &late, &other] {
        proof.verify(&trust()).unwrap();
    }
    let mut mixed = late.clone();
    mixed.record.clone_from(&other.record);
    assert!(mixed.verify(&trust()).is_err());
    let mut mixed = late.clone();
    mixed.partition.clone_from(&early.partition);
    assert!(mixed.verify(&trust()).is_err());
    let mut mixed = late.clone();
    mixed.roll.clone_from(&early.roll);
    assert!(mixed.verify(&trust()).is_err());
    let mut mixed = late;
    mixed.checkpoint.clone_from(&early.checkpoint);
    assert!(mixed.verify(&trust()).is_err());
}

#[test]
fn what_breaks_a_chain_is_in_the_log_and_in_the_roll() {
    let (store, mut authors) = (memory(), authors());
    let topic = feed(&mut authors, 3);
    let left_out = authors[0].event();
    append(&topic, 0, authors[0].event());
    let changed = authors[1].event();
    let changed = String::from_utf8(changed.to_vec()).unwrap();
    append(&topic, 1, changed.replace("acme", "acne").into());
    append(
        &topic,
        0,
        Bytes::from_static(b"{\"previous\":\"\",\"hash\":\"\"}"),
    );
    append(&topic, 0, Bytes::new());
    let mut forger = Author::new("documents", 3);
    let _ = forger.begin();
    append(&topic, 0, forger.event());
    drop(left_out);
    turn(&mut notary(&store, &topic, Vec::new())).unwrap();
    let roll = newest(&store);
    // The one behind the gap, and a chain that does not begin with its beginning.
    assert_eq!(roll.breaks.count, 2);
    let whys: Vec<&str> = roll.refused.first.iter().map(|own| &*own.why).collect();
    assert_eq!(whys, ["version", "form", "hash"]);
    assert_eq!(roll.partitions[0].size, 5);
    assert_eq!(roll.partitions[1].size, 4);
}

#[test]
fn records_that_the_feed_lost_are_named_by_the_roll() {
    let (store, mut authors) = (memory(), authors());
    let topic = feed(&mut authors, 5);
    turn(&mut notary(&store, &topic, Vec::new())).unwrap();
    extend(&topic, &mut authors, 5);
    topic.lock().unwrap().starts = [(1, 8)].into();
    turn(&mut notary(&store, &topic, Vec::new())).unwrap();
    let roll = newest(&store);
    let lost = Lost {
        partition: 1,
        from: 6,
        to: 8,
    };
    assert_eq!(roll.lost, [lost]);
    assert_eq!(roll.breaks.count, 1);
}

#[test]
fn of_two_notaries_one_rolls_and_the_other_goes_on_from_it() {
    let (store, mut authors) = (memory(), authors());
    let topic = feed(&mut authors, 5);
    let (mut one, mut two) = (
        notary(&store, &topic, Vec::new()),
        notary(&store, &topic, Vec::new()),
    );
    turn(&mut one).unwrap();
    extend(&topic, &mut authors, 300);
    turn(&mut two).unwrap();
    extend(&topic, &mut authors, 5);
    // It read further than the roll that it did not see.
    assert_eq!(turn(&mut one).unwrap(), Turn::Overtaken { number: 1 });
    let rolled = Turn::Rolled {
        number: 2,
        records: 15,
    };
    assert_eq!(turn(&mut one).unwrap(), rolled);
    assert_eq!(turn(&mut two).unwrap(), Turn::Overtaken { number: 2 });
    turn(&mut two).unwrap();
    let proof = prove(&store, 2, 404).unwrap();
    proof.verify(&trust()).unwrap();
}

#[test]
fn an_archive_of_another_stream_feed_or_key_is_not_written() {
    let (store, mut authors) = (memory(), authors());
    let topic = feed(&mut authors, 5);
    turn(&mut notary(&store, &topic, Vec::new())).unwrap();
    let open = |key: SigningKey, origin: &str| {
        let options = Options {
            archive: Archive::new(store.clone(), Path::from("evidence"), origin).unwrap(),
            key,
            anchors: Vec::new(),
            interval: Duration::ZERO,
        };
        let mut notary = Notary::new(options, MemoryFeed::of(&topic));
        turn(&mut notary).unwrap_err()
    };
    let stranger = SigningKey::from_seed(ORIGIN, &[9; 32]).unwrap();
    let error = open(stranger, ORIGIN);
    assert!(matches!(error, Error::Archive(archive::Error::Note { .. })));
    let error = open(key(), "example.com/other");
    assert!(matches!(
        error,
        Error::Archive(archive::Error::Origin { .. })
    ));
    for origin in ["", "a//b", "../a", "a/..", "a b", "/a"] {
        assert!(
            Archive::new(store.clone(), Path::ROOT, origin).is_err(),
            "{origin}"
        );
    }
    // A tile that was changed does not go into another head.
    let tile = Path::from("evidence/audit/example.com/stream/documents/1/tile/0/000.p/6");
    let bytes = block_on(async { store.get(&tile).await.unwrap().bytes().await.unwrap() });
    let mut bytes = bytes.to_vec();
    bytes[40] ^= 1;
    block_on(store.put(&tile, bytes.into())).unwrap();
    let error = open(key(), ORIGIN);
    assert!(matches!(error, Error::Archive(archive::Error::Root { .. })));
    assert_eq!(newest(&store).feed, FEED);
}

#[test]
fn a_folder_of_anchors_refuses_a_second_history() {
    let (store, kept, mut authors) = (Arc::new(InMemory::new()), memory(), authors());
    let anchored = || -> Vec<Box<dyn Anchor>> {
        vec![Box::new(Folder::new(
            kept.clone(),
            Path::from("heads"),
            "vault",
        ))]
    };
    let topic = feed(&mut authors, 5);
    let first: Arc<dyn ObjectStore> = store.clone();
    turn(&mut notary(&first, &topic, anchored())).unwrap();
    let backup: Arc<dyn ObjectStore> = Arc::new(store.fork());
    extend(&topic, &mut authors, 1);
    turn(&mut notary(&first, &topic, anchored())).unwrap();
    // The archive is set back, and a record of the feed is another.
    topic.lock().unwrap().records.get_mut(&1).unwrap().pop();
    let error = turn(&mut notary(&backup, &topic, anchored())).unwrap_err();
    assert!(
        matches!(&error, Error::Anchor(anchor) if anchor.is_fork()),
        "{error}"
    );
    let at = Path::from("heads/example.com/stream/00000000000000000002.note");
    let held = block_on(async { kept.get(&at).await.unwrap().bytes().await.unwrap() });
    let (note, _) = block_on(archive(&first).checkpoint()).unwrap().unwrap();
    assert_eq!(held, note.to_string());
}

#[test]
fn an_anchor_that_does_not_answer_gets_the_next_head() {
    let (store, mut authors) = (memory(), authors());
    let topic = feed(&mut authors, 1);
    let vault = memory();
    let away = Arc::new(AtomicBool::new(true));
    let decided = away.clone();
    let faulty = Faulty::new(vault.clone(), move |_| {
        let fate = match decided.load(Ordering::Relaxed) {
            true => Fate::Refused,
            false => Fate::Done,
        };
        Box::pin(async move { fate })
    });
    let folder = Folder::new(faulty, Path::ROOT, "vault");
    let mut notary = notary(&store, &topic, vec![Box::new(folder)]);
    turn(&mut notary).unwrap();
    away.store(false, Ordering::Relaxed);
    turn(&mut notary).unwrap();
    let path = |size: u64| Path::from(format!("{ORIGIN}/{size:020}.note"));
    assert!(block_on(vault.head(&path(1))).is_err());
    assert!(block_on(vault.head(&path(2))).is_ok());
    let error = anchor::Error::Store {
        at: "x".to_owned(),
        source: object_store::Error::NotImplemented {
            operation: "x".to_owned(),
            implementer: "x".to_owned(),
        },
    };
    assert!(!error.is_fork());
}

/// Sizes and roots of all partitions as they must be, whatever happened.
fn expected(topic: &Topic) -> BTreeMap<i32, (u64, tree::Hash)> {
    let mut leaves: BTreeMap<i32, Vec<tree::Hash>> = BTreeMap::new();
    for record in topic.records.values().flatten() {
        let link = Link::parse(record).unwrap();
        leaves
            .entry(link.partition)
            .or_default()
            .push(tree::leaf(&link.hash));
    }
    let heads = leaves.into_iter();
    heads
        .map(|(partition, own)| (partition, (own.len() as u64, tree::root(&own))))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_fails_or_dies_there_is_one_history_and_it_has_every_record_once(
        steps in prop::collection::vec((0_usize..90, 0_usize..40, 0_u8..4, any::<bool>()), 1..12),
    ) {
        let inner = memory();
        let mut authors = authors();
        let topic = feed(&mut authors, 2);
        let mut heads = vec![(0, tree::empty_root())];
        let mut running: Option<Notary<MemoryFeed>> = None;
        for (events, fails_at, how, goes_on) in steps {
            extend(&topic, &mut authors, events);
            let done = Arc::new(AtomicUsize::new(0));
            let counted = done.clone();
            let faulty = Faulty::new(inner.clone(), move |operation| {
                let is_put = matches!(operation, Operation::Put(_));
                let now = counted.fetch_add(1, Ordering::Relaxed);
                let fate = match how {
                    _ if now < fails_at => Fate::Done,
                    1 => Fate::AnswerLost,
                    2 if is_put => Fate::AskedAgain,
                    _ => Fate::Refused,
                };
                Box::pin(async move { fate })
            });
            let store: Arc<dyn ObjectStore> = faulty;
            let mut own = match running.take() {
                // A notary whose store works, beside one that fails.
                Some(own) if goes_on => own,
                _ => notary(&store, &topic, Vec::new()),
            };
            if turn(&mut own).is_ok() {
                running = Some(own);
            }
            if let Some((_, head)) = block_on(archive(&inner).checkpoint()).unwrap() {
                heads.push((head.size, head.root));
            }
        }
        turn(&mut notary(&inner, &topic, Vec::new())).unwrap();
        let roll = newest(&inner);
        prop_assert_eq!(roll.breaks.count + roll.refused.count, 0);
        for (partition, (size, root)) in expected(&topic.lock().unwrap()) {
            let at = roll.partition("documents", partition).unwrap();
            prop_assert_eq!((at.size, at.root), (size, root));
        }
        let archive = archive(&inner);
        let (_, head) = block_on(archive.checkpoint()).unwrap().unwrap();
        let newer = (head.size, &head.root);
        for (old, root) in &heads {
            prop_assert!(*old <= head.size);
            let proof = block_on(archive.rolls().consistency(*old, head.size)).unwrap();
            prop_assert!(tree::verify_consistency((*old, root), newer, &proof).is_ok());
        }
        for author in &authors {
            for offset in [100, author.head.next - 1] {
                let proof = prove(&inner, author.partition, offset).unwrap();
                prop_assert!(proof.verify(&trust()).is_ok());
            }
        }
    }
}
