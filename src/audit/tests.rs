//! Feeds that workers wrote, and what somebody did to them afterwards.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Class, Fault, Feed, Gap, Partition, Report, Source, Verdict};
use crate::record::{
    Position,
    audit::{
        Audit, Begin, Chained, Committed, Delivery, DigestKey, GENESIS, Head, Kind, Outcome,
        Reason, event_id,
    },
};

const TOPIC: &str = "documents";

fn key() -> DigestKey {
    DigestKey::new(b"a secret of the test".to_vec())
}

fn position(partition: i32, offset: i64) -> Position {
    Position::Kafka {
        topic: TOPIC.to_owned(),
        partition,
        offset,
    }
}

fn partition(number: i32) -> Partition {
    Partition {
        topic: TOPIC.to_owned(),
        number,
    }
}

fn event(own: i32, offset: i64, behind: &Head) -> Chained {
    let source = position(own, offset);
    let record = Audit {
        event_id: event_id(&source, None),
        outcome: Some(Outcome::Delivered),
        output_digest: Some(key().digest(&offset.to_be_bytes())),
        ..Audit::new(Kind::Event, source, &key())
    };
    record.chained(behind, offset)
}

fn begin(own: i32, reason: Reason, from: i64, log_start: i64, behind: &Committed) -> Chained {
    let record = Audit {
        begin: Some(Begin {
            reason,
            delivery: Delivery::ExactlyOnce,
            group: "weir".to_owned(),
            cluster: None,
            log_start,
            from,
            weir_version: "0".to_owned(),
        }),
        ..Audit::new(Kind::Begin, position(own, from), &key())
    };
    let (epoch, previous) = behind.next_epoch();
    record.opened(epoch, previous)
}

/// A topic as one worker after another has read it.
#[derive(Debug, Clone)]
struct World {
    /// Audit records, by partition.
    feeds: Vec<Vec<Chained>>,
    /// Offsets of the source that hold no record of weir's, with their class.
    odd: BTreeMap<(i32, i64), Class>,
}

impl World {
    /// `steps` of each partition: 0 to 5 are records, 6 a mark, 7 an aborted record, 8 a replay from an earlier offset.
    fn new(partitions: &[Vec<u8>]) -> Self {
        let mut world = Self {
            feeds: Vec::new(),
            odd: BTreeMap::new(),
        };
        for (own, steps) in (0..).zip(partitions) {
            let mut feed = vec![begin(own, Reason::New, 0, 0, &Committed::Foreign)];
            let mut offset = 0;
            for step in steps {
                let head = feed.last().unwrap().head.clone();
                match step {
                    6 => drop(world.odd.insert((own, offset), Class::Marker)),
                    7 => drop(world.odd.insert((own, offset), Class::Aborted)),
                    8 => {
                        let from = (offset / 2).min(head.next);
                        let behind = Committed::Head(head);
                        let first = begin(own, Reason::Moved, from, 0, &behind);
                        feed.push(first);
                        for again in from..offset {
                            if !world.odd.contains_key(&(own, again)) {
                                let head = &feed.last().unwrap().head;
                                feed.push(event(own, again, head));
                            }
                        }
                        continue;
                    }
                    _ => feed.push(event(own, offset, &head)),
                }
                offset += 1;
            }
            // No mark stands at the end, and an attack has a record behind the first and in front of the last.
            for last in [offset, offset + 1] {
                let head = feed.last().unwrap().head.clone();
                feed.push(event(own, last, &head));
            }
            world.feeds.push(feed);
        }
        world
    }

    /// What the brokers say: the ends of the chains as they were written.
    fn committed(&self) -> BTreeMap<Partition, (i64, Committed)> {
        let ends = (0..).zip(&self.feeds).filter_map(|(own, feed)| {
            let head = feed.last()?.head.clone();
            Some((partition(own), (head.next, Committed::Head(head))))
        });
        ends.collect()
    }

    /// What the feed shows to somebody who reads it now, with what was committed when it was written.
    fn verify(&self, written: &Self) -> Report {
        let mut feed = Feed::default();
        feed.expect(written.committed());
        for own in &self.feeds {
            for record in own {
                feed.read_bytes(&record.json);
            }
        }
        let mut source = Told(written.clone());
        feed.close_with(&mut source).unwrap()
    }
}

struct Told(World);

impl Source for Told {
    type Error = std::convert::Infallible;

    fn committed(&mut self) -> Result<BTreeMap<Partition, (i64, Committed)>, Self::Error> {
        Ok(self.0.committed())
    }

    fn explain(&mut self, of: &Partition, gap: Gap) -> Result<Vec<(Gap, Class)>, Self::Error> {
        let parts = (gap.from..gap.to).map(|from| {
            let class = self.0.odd.get(&(of.number, from));
            let part = Gap { from, to: from + 1 };
            (part, class.copied().unwrap_or(Class::Unknown))
        });
        Ok(parts.collect())
    }
}

fn world() -> impl Strategy<Value = World> {
    let steps = proptest::collection::vec(0_u8..9, 4..24);
    proptest::collection::vec(steps, 1..4).prop_map(|partitions| World::new(&partitions))
}

/// What somebody does to a feed, with the name of the fault by which it is found.
#[derive(Debug, Clone, Copy)]
enum Attack {
    Deletes,
    CutsOff,
    Omits,
    PutsIn,
    Repeats,
    Swaps,
    Alters,
    /// Alters a record and computes all hashes behind it anew.
    Rewrites,
    /// Adds records behind the end, with right hashes.
    Appends,
}

const ATTACKS: [Attack; 9] = [
    Attack::Deletes,
    Attack::CutsOff,
    Attack::Omits,
    Attack::PutsIn,
    Attack::Repeats,
    Attack::Swaps,
    Attack::Alters,
    Attack::Rewrites,
    Attack::Appends,
];

impl Attack {
    /// Does it to one partition at a place behind its first record and in front of its last.
    fn on(self, world: &mut World, own: usize, at: usize, bit: usize) {
        let feed = &mut world.feeds[own];
        match self {
            Self::Deletes => drop(feed.remove(at)),
            Self::CutsOff => feed.truncate(at),
            Self::Omits => feed.clear(),
            Self::PutsIn => {
                let forged = event(own as i32, 1_000_000, &feed[at].head);
                feed.insert(at, forged);
            }
            Self::Repeats => feed.insert(at + 1, feed[at].clone()),
            Self::Swaps => feed.swap(at, at + 1),
            Self::Alters => {
                let json = &mut feed[at].json;
                let place = bit / 8 % json.len();
                json[place] ^= 1 << (bit % 8);
            }
            Self::Rewrites => {
                let mut record = feed[at].record();
                record.document_id = Some("somebody else's".to_owned());
                let mut behind = feed[at - 1].head.clone();
                for (index, written) in feed.iter_mut().enumerate().skip(at) {
                    let own = match index == at {
                        true => record.clone(),
                        false => written.record(),
                    };
                    let next = written.head.next;
                    *written = match own.kind {
                        Kind::Event => own.chained(&behind, next - 1),
                        Kind::Begin => own.clone().opened(own.epoch, &behind.hash),
                    };
                    behind = written.head.clone();
                }
            }
            Self::Appends => {
                let head = feed.last().unwrap().head.clone();
                feed.push(event(own as i32, head.next, &head));
            }
        }
    }

    fn fits(self, report: &Report) -> bool {
        let faults = report.partitions.iter().flat_map(|own| &own.faults.first);
        let stray = &report.stray.first;
        let found: Vec<&Fault> = faults.chain(stray).collect();
        let has = |names: &[&str]| found.iter().any(|fault| names.contains(&fault.name()));
        let verdict = report.verdict();
        match self {
            Self::Deletes => has(&["missing", "unlinked"]) && verdict >= Verdict::Incomplete,
            Self::CutsOff => has(&["truncated", "forked"]) && verdict >= Verdict::Incomplete,
            Self::Omits => has(&["omitted"]) && verdict == Verdict::Incomplete,
            Self::PutsIn => has(&["repeated", "unlinked"]) && verdict == Verdict::Broken,
            Self::Repeats => has(&["repeated", "unlinked"]) && verdict == Verdict::Broken,
            Self::Swaps => has(&["repeated", "unlinked"]) && verdict == Verdict::Broken,
            Self::Alters => has(&["altered"]) && verdict == Verdict::Broken,
            Self::Rewrites => has(&["forked"]) && verdict == Verdict::Broken,
            Self::Appends => has(&["ahead"]) && verdict == Verdict::Broken,
        }
    }
}

proptest! {
    #[test]
    fn a_feed_that_nobody_touched_is_proven(world in world()) {
        let report = world.verify(&world);
        prop_assert_eq!(report.verdict(), Verdict::Proven, "{}", report);
        let marks = world.odd.values().filter(|class| **class == Class::Marker).count();
        let counted: u64 = report
            .partitions
            .iter()
            .filter(|own| own.summary.epochs.len() == 1)
            .filter_map(|own| own.summary.gaps.get(&Class::Marker))
            .sum();
        prop_assert!(counted <= marks as u64);
    }

    #[test]
    fn each_attack_is_found_by_its_fault(
        written in world(),
        attack in proptest::sample::select(&ATTACKS[..]),
        own in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in any::<usize>(),
    ) {
        let mut touched = written.clone();
        let own = own.index(touched.feeds.len());
        let inner = touched.feeds[own].len() - 2;
        attack.on(&mut touched, own, 1 + at.index(inner), bit);
        let report = touched.verify(&written);
        prop_assert!(attack.fits(&report), "{attack:?}\n{report}");
    }

    #[test]
    fn without_the_source_no_attack_but_those_on_the_end_passes(
        written in world(),
        own in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let mut touched = written.clone();
        let own = own.index(touched.feeds.len());
        let inner = touched.feeds[own].len() - 2;
        Attack::Deletes.on(&mut touched, own, 1 + at.index(inner), 0);
        let mut feed = Feed::default();
        for record in touched.feeds.iter().flatten() {
            feed.read_bytes(&record.json);
        }
        let verdict = feed.close().verdict();
        prop_assert!(verdict >= Verdict::Incomplete);
    }
}

/// What a reader says of one partition.
fn of(records: &[Chained]) -> Report {
    let mut feed = Feed::default();
    for record in records {
        feed.read_bytes(&record.json);
    }
    feed.close()
}

fn names(report: &Report) -> Vec<&'static str> {
    let faults = report.partitions.iter().flat_map(|own| &own.faults.first);
    faults.map(Fault::name).collect()
}

#[test]
fn an_offset_that_was_set_forward_and_records_that_expired_are_told_apart() {
    let first = begin(0, Reason::New, 0, 0, &Committed::Foreign);
    let second = event(0, 0, &first.head);
    let behind = Committed::Head(second.head.clone());
    let moved = begin(0, Reason::Moved, 50, 10, &behind);
    let after = event(0, 50, &moved.head);
    let report = of(&[first.clone(), second.clone(), moved, after]);
    assert_eq!(names(&report), ["skipped"]);
    assert_eq!(report.verdict(), Verdict::Incomplete);

    let expired = begin(0, Reason::Expired, 1, 40, &behind);
    let after = event(0, 40, &expired.head);
    let mut report = of(&[first.clone(), second.clone(), expired, after]);
    assert_eq!(names(&report), ["expired"]);
    assert!(report.to_string().contains("offsets 1 to 39"), "{report}");
    report.accept(&["skipped".to_owned()]);
    assert_eq!(report.verdict(), Verdict::Incomplete, "of another kind");
    report.accept(&["expired".to_owned()]);
    assert_eq!(report.verdict(), Verdict::Proven);

    let lost = begin(0, Reason::MetadataLost, 1, 0, &Committed::Foreign);
    let after = event(0, 1, &lost.head);
    let report = of(&[first.clone(), second.clone(), lost, after]);
    assert_eq!(names(&report), ["began_again"]);

    let anew = begin(0, Reason::TopicRecreated, 0, 0, &behind);
    let after = event(0, 0, &anew.head);
    let report = of(&[first, second, anew, after]);
    assert_eq!(report.verdict(), Verdict::Proven, "{report}");
    assert_eq!(report.partitions[0].summary.epochs.len(), 2);
}

#[test]
fn a_feed_without_a_beginning_or_a_record_proves_nothing() {
    assert_eq!(Feed::default().close().verdict(), Verdict::NotProvable);
    let first = begin(0, Reason::New, 0, 0, &Committed::Foreign);
    let second = event(0, 0, &first.head);
    let third = event(0, 1, &second.head);
    let report = of(&[second, third]);
    assert_eq!(names(&report), ["no_beginning"]);
    assert_eq!(report.verdict(), Verdict::Incomplete);
    assert!(first.head.hash != GENESIS);
}

#[test]
fn a_chain_of_version_1_is_read_goes_on_in_version_2_and_is_not_provable() {
    use sha2::{Digest as _, Sha256};
    let old = |offset: i64, previous: &str| {
        let json = format!(
            r#"{{"event_id":"e{offset}","source":{{"topic":"documents","partition":0,"offset":{offset}}},"unit":"code_point","findings":[],"digest_key":"0a0b0c0d","previous":"{previous}"}}"#
        );
        let hash = hex::encode(Sha256::digest(&json));
        let json = format!("{},\"hash\":\"{hash}\"}}", &json[..json.len() - 1]);
        (json, hash)
    };
    let (first, hash) = old(0, GENESIS);
    let (second, hash) = old(1, &hash);
    let behind = Committed::Version1(hash);
    let upgraded = begin(0, Reason::Upgraded, 2, 0, &behind);
    let third = event(0, 2, &upgraded.head);
    let read = |lines: &[&[u8]]| {
        let mut feed = Feed::default();
        for line in lines {
            feed.read_bytes(line);
        }
        feed.close()
    };
    let report = read(&[
        first.as_bytes(),
        second.as_bytes(),
        &upgraded.json,
        &third.json,
    ]);
    assert_eq!(report.verdict(), Verdict::NotProvable, "{report}");
    assert_eq!(report.partitions[0].summary.version_1, 2);
    assert_eq!(names(&report), Vec::<&str>::new());

    let changed = first.replace("\"e0\"", "\"e9\"");
    let report = read(&[changed.as_bytes(), second.as_bytes()]);
    assert_eq!(names(&report), ["altered"]);
    let report = read(&[
        second.as_bytes(),
        &upgraded.json,
        &third.json,
        first.as_bytes(),
    ]);
    assert_eq!(report.verdict(), Verdict::Broken);
}

#[test]
fn a_feed_that_comes_twice_as_a_whole_is_broken_whatever_is_accepted() {
    let first = begin(0, Reason::New, 0, 0, &Committed::Foreign);
    let second = event(0, 0, &first.head);
    let mut report = of(&[first.clone(), second.clone(), first, second]);
    report.accept(&["began_again".to_owned()]);
    assert_eq!(report.verdict(), Verdict::Broken, "{report}");
    assert_eq!(names(&report), ["repeated", "repeated"]);
}

#[test]
fn a_worker_that_may_deliver_twice_proves_nothing() {
    let mut first = begin(0, Reason::New, 0, 0, &Committed::Foreign).record();
    first.begin.as_mut().unwrap().delivery = Delivery::AtLeastOnce;
    let first = first.opened(1, GENESIS);
    let second = event(0, 0, &first.head);
    let report = of(&[first, second]);
    assert_eq!(report.verdict(), Verdict::NotProvable, "{report}");
    assert!(
        report.to_string().contains("delivery at least once"),
        "{report}"
    );
}

#[test]
fn a_line_that_is_no_record_is_a_fault_and_its_text_is_in_no_report() {
    let first = begin(0, Reason::New, 0, 0, &Committed::Foreign);
    let mut feed = Feed::default();
    feed.read_bytes(&first.json);
    feed.read("{\"source\":{\"topic\":\"documents\",\"partition\":0,\"offset\":1},\"note\":\"ana@mail.example\"}");
    feed.read("ana@mail.example");
    feed.read_bytes(b"\xff\xfe");
    let report = feed.close();
    assert_eq!(report.verdict(), Verdict::Broken);
    let text = format!("{report} {}", serde_json::to_string(&report).unwrap());
    assert!(!text.contains("mail.example"), "{text}");
    assert_eq!(report.stray.all, 2);
}
