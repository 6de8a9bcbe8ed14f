//! Witnesses: what they sign, and which histories they refuse.

use std::{
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use object_store::{ObjectStore, memory::InMemory, path::Path};
use weir::audit::{
    anchor::{self, Anchor},
    archive::Archive,
    notary::{Bounds, Error, Notary, Options, Turn},
    note::{Note, SigningKey},
    proof,
    trust::{self, Trust},
    witness::Witness,
};

use crate::support::{
    audit::{Author, MemoryFeed, Topic},
    witness::{TIME, WitnessServer},
};

const ORIGIN: &str = "example.com/stream";

fn key() -> SigningKey {
    SigningKey::from_seed(ORIGIN, &[1; 32]).unwrap()
}

fn server(name: &str) -> WitnessServer {
    WitnessServer::start(name, ORIGIN, key().verifying_key())
}

fn topic(author: &mut Author) -> Arc<Mutex<Topic>> {
    let source = Bounds {
        topic: author.topic.clone(),
        partition: author.partition,
        log_start: 0,
        high: 1000,
    };
    Arc::new(Mutex::new(Topic {
        records: [(0, vec![author.begin(), author.event()])].into(),
        sources: vec![source],
        ..Topic::default()
    }))
}

fn archive(store: &Arc<dyn ObjectStore>) -> Archive {
    Archive::new(store.clone(), Path::ROOT, ORIGIN).unwrap()
}

/// A notary with these witnesses, and a runtime for it.
struct Running(Notary<MemoryFeed>, tokio::runtime::Runtime);

impl Running {
    fn new(
        store: &Arc<dyn ObjectStore>,
        topic: &Arc<Mutex<Topic>>,
        witnesses: &[&WitnessServer],
    ) -> Self {
        let anchors = witnesses.iter().map(|own| {
            let witness = Witness::new(&own.url(), own.key()).unwrap();
            Box::new(witness) as Box<dyn Anchor>
        });
        let options = Options {
            archive: archive(store),
            key: key(),
            anchors: anchors.collect(),
            interval: Duration::ZERO,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self(Notary::new(options, MemoryFeed::of(topic)), runtime)
    }

    fn turn(&mut self) -> Result<Turn, Error> {
        let stop = AtomicBool::new(false);
        self.1.block_on(self.0.turn(Instant::now(), &stop))
    }
}

fn cosigned(store: &Arc<dyn ObjectStore>) -> Option<(Note, u64)> {
    let found = futures::executor::block_on(archive(store).cosigned()).unwrap();
    found.map(|(note, head)| (note, head.size))
}

#[test]
fn a_quorum_of_witnesses_signs_every_head_and_proofs_carry_it() {
    let (one, two) = (server("w1.example"), server("w2.example"));
    let mut author = Author::new("documents", 0);
    let topic = topic(&mut author);
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut notary = Running::new(&store, &topic, &[&one, &two]);
    for _ in 0..5 {
        notary.turn().unwrap();
    }
    assert_eq!(one.last(ORIGIN).unwrap().0, 5);
    // A notary that has just started asks once more than it has rolls, to learn the size.
    assert_eq!(one.asked(), 5);
    let mut notary = Running::new(&store, &topic, &[&one, &two]);
    notary.turn().unwrap();
    assert_eq!(one.asked(), 7);
    let (note, size) = cosigned(&store).unwrap();
    assert_eq!(size, 6);
    let trusting = |quorum: usize| {
        let trust = Trust::new(ORIGIN, vec![key().verifying_key()]).unwrap();
        trust.with_witnesses(vec![one.key(), two.key()], quorum)
    };
    let trusted = trusting(2).unwrap().head(&note).unwrap();
    assert_eq!(trusted.witnesses.len(), 2);
    assert!(trusted.witnesses.iter().all(|(_, time)| *time == TIME));
    assert!(trusting(3).is_err());
    // One of them is away: the head has too few for a quorum of both.
    two.answer_instead(Some((503, String::new())));
    notary.turn().unwrap();
    let (note, size) = cosigned(&store).unwrap();
    assert_eq!(size, 7);
    let error = trusting(2).unwrap().head(&note).unwrap_err();
    assert!(matches!(
        error,
        trust::Error::Witnesses {
            found: 1,
            quorum: 2
        }
    ));
    trusting(1).unwrap().head(&note).unwrap();
    two.answer_instead(None);
    notary.turn().unwrap();
    let archive = archive(&store);
    let proof = proof::prove(&archive, "documents", 0, 100);
    let proof = futures::executor::block_on(proof).unwrap().unwrap();
    let proven = proof.verify(&trusting(2).unwrap()).unwrap();
    assert_eq!((proven.rolls, proven.witnesses.len()), (8, 2));
}

#[test]
fn one_witness_under_two_names_is_one() {
    let key = SigningKey::from_seed("w1.example", &[5; 32]).unwrap();
    let again = SigningKey::from_seed("w2.example", &[5; 32]).unwrap();
    let trust = Trust::new(ORIGIN, vec![super::audit_witness::key().verifying_key()]).unwrap();
    let error = trust.with_witnesses(vec![key.cosigner(), again.cosigner()], 2);
    let error = error.unwrap_err();
    assert!(matches!(
        error,
        trust::Error::Quorum {
            quorum: 2,
            witnesses: 1
        }
    ));
}

#[test]
fn a_witness_refuses_a_second_history() {
    let witness = server("w1.example");
    let mut author = Author::new("documents", 0);
    let topic = topic(&mut author);
    let memory = Arc::new(InMemory::new());
    let store: Arc<dyn ObjectStore> = memory.clone();
    let mut notary = Running::new(&store, &topic, &[&witness]);
    notary.turn().unwrap();
    let backup: Arc<dyn ObjectStore> = Arc::new(memory.fork());
    let longer: Arc<dyn ObjectStore> = Arc::new(memory.fork());
    notary.turn().unwrap();
    notary.turn().unwrap();
    // The archive was set back: the witness has seen more.
    let mut second = Running::new(&backup, &topic, &[&witness]);
    let error = second.turn().unwrap_err();
    assert!(matches!(
        error,
        Error::Anchor(anchor::Error::Ahead {
            last: 3,
            size: 2,
            ..
        })
    ));
    // Other rolls of the same number, and more of them.
    for turns in [3, 4] {
        let store: Arc<dyn ObjectStore> = match turns {
            3 => longer.clone(),
            _ => Arc::new(memory_of(&longer)),
        };
        let mut silent = Running::new(&store, &topic, &[]);
        while rolls(&store) + 1 < turns {
            silent.turn().unwrap();
        }
        let mut second = Running::new(&store, &topic, &[&witness]);
        let error = second.turn().unwrap_err();
        assert!(
            matches!(&error, Error::Anchor(anchor) if anchor.is_fork()),
            "{error}"
        );
    }
    assert_eq!(witness.last(ORIGIN).unwrap().0, 3);
    // The first one goes on.
    notary.turn().unwrap();
    assert_eq!(witness.last(ORIGIN).unwrap().0, 4);
}

fn rolls(store: &Arc<dyn ObjectStore>) -> u64 {
    let found = futures::executor::block_on(archive(store).checkpoint()).unwrap();
    found.map_or(0, |(_, head)| head.size)
}

/// A copy of a store.
fn memory_of(store: &Arc<dyn ObjectStore>) -> InMemory {
    use futures::TryStreamExt as _;
    use object_store::ObjectStoreExt as _;
    let copy = InMemory::new();
    futures::executor::block_on(async {
        let all: Vec<_> = store.list(None).try_collect().await.unwrap();
        for meta in all {
            let bytes = store
                .get(&meta.location)
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            copy.put(&meta.location, bytes.into()).await.unwrap();
        }
    });
    copy
}

#[test]
fn a_witness_that_is_away_or_answers_nonsense_stops_no_roll() {
    let witness = server("w1.example");
    let mut author = Author::new("documents", 0);
    let topic = topic(&mut author);
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut notary = Running::new(&store, &topic, &[&witness]);
    let stranger = SigningKey::from_seed("w1.example", &[8; 32]).unwrap();
    let answers = [
        (403, String::new()),
        (404, String::new()),
        (409, "x\n".to_owned()),
        (409, String::new()),
        (200, String::new()),
        (200, "\u{2014} w1.example AAAA\n".to_owned()),
        (
            200,
            format!("{}\n", stranger.cosign("another text\n", TIME)),
        ),
        (200, "x".repeat(100_000)),
        (301, String::new()),
        (500, String::new()),
    ];
    for (number, answer) in (0..).zip(answers) {
        witness.answer_instead(Some(answer));
        let rolled = notary.turn().unwrap();
        assert!(matches!(rolled, Turn::Rolled { number: own, .. } if own == number));
        assert!(cosigned(&store).is_none());
    }
    let address = witness.url();
    drop(witness);
    notary.turn().unwrap();
    assert!(cosigned(&store).is_none());
    let text = key().verifying_key();
    assert!(Witness::new(&address, text).is_err());
}
