//! What a read_committed reader finds, and what must be there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::KafkaError,
    message::{BorrowedMessage, Headers as _},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{GROUP, INPUT, OUTPUTS, PARTITIONS, load::Acknowledged};
use crate::support::eventually::{eventually, so};

/// Partition and offset in the input topic.
pub type Position = (i32, i64);

/// Where outputs of a record stand, and when they were written: partition, offset, milliseconds.
type Spots = Vec<(i32, i64, i64)>;

/// All that was read so far.
pub struct Ledger {
    address: String,
    /// Where each topic and partition is read on.
    next: BTreeMap<(&'static str, i32), i64>,
    inputs: BTreeMap<Position, Input>,
    /// Positions by the number of the record.
    numbers: BTreeMap<u64, Vec<Position>>,
    entities: BTreeMap<Position, Spots>,
    redactions: BTreeMap<u64, Spots>,
    dead_letters: BTreeMap<Position, Spots>,
    audited: BTreeMap<Position, Spots>,
    /// Last audit record of each partition of the input: its offset and its hash.
    heads: BTreeMap<i32, (i64, String)>,
    broken_chains: Vec<String>,
    /// The last of each topic, partition and key.
    last: BTreeMap<(&'static str, i32, Vec<u8>), i64>,
    /// Records that come after a later one of their key.
    out_of_order: Vec<String>,
    /// Redactions in which something else stands than should.
    wrong: Vec<String>,
}

struct Input {
    number: u64,
    poison: bool,
}

/// What must be empty. Positions and numbers only.
#[derive(Debug, Default, serde::Serialize)]
pub struct Verdict {
    /// Behind the committed offset, and not (or not wholly) there.
    pub lost: Vec<String>,
    /// There more than once.
    pub doubled: Vec<String>,
    /// There, and not behind the committed offset.
    pub uncommitted: Vec<String>,
    /// Entities without the redaction, or either without the audit record, or the other way round.
    pub apart: Vec<String>,
    /// A poison record that was delivered, a good one among the dead letters, one that nobody wrote,
    /// or one whose text is not redacted.
    pub misplaced: Vec<String>,
    pub out_of_order: Vec<String>,
    /// Audit records that do not follow the one before them, or whose hash is another.
    pub broken_chains: Vec<String>,
    /// How many records are behind the committed offsets: documents and poison.
    pub documents: usize,
    pub poison: usize,
}

impl Verdict {
    pub fn is_clean(&self) -> bool {
        let lists = [
            &self.lost,
            &self.doubled,
            &self.uncommitted,
            &self.apart,
            &self.misplaced,
            &self.out_of_order,
            &self.broken_chains,
        ];
        lists.iter().all(|list| list.is_empty())
    }
}

impl Ledger {
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            next: BTreeMap::new(),
            inputs: BTreeMap::new(),
            numbers: BTreeMap::new(),
            entities: BTreeMap::new(),
            redactions: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            audited: BTreeMap::new(),
            heads: BTreeMap::new(),
            broken_chains: Vec::new(),
            last: BTreeMap::new(),
            out_of_order: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// Waits until no transaction is open any more: whoever died in one, the broker aborts it.
    pub fn wait_until_all_ended(&self) {
        let ends = |level| {
            let consumer = self.consumer(level);
            let end = |topic, partition| {
                let marks = consumer.fetch_watermarks(topic, partition, Duration::from_secs(10));
                marks.map(|(_, end)| end)
            };
            let topics = OUTPUTS.iter();
            topics
                .flat_map(|topic| (0..PARTITIONS).map(|partition| end(topic, partition)))
                .collect::<Result<Vec<i64>, KafkaError>>()
        };
        eventually(Duration::from_secs(90), || {
            // The end of what is committed goes first: later it can only be farther.
            let committed = ends("read_committed");
            let all = ends("read_uncommitted");
            so(
                matches!((&committed, &all), (Ok(committed), Ok(all)) if committed == all),
                format!("transactions stay open: {committed:?} of {all:?}"),
            )
        });
    }

    /// Offsets that the group has committed, by partition. Waits for transactions in which offsets
    /// are pending.
    pub fn committed(&self) -> Result<Vec<i64>, KafkaError> {
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition(INPUT, partition);
        }
        let consumer = self.consumer("read_committed");
        let found = consumer.committed_offsets(list, Duration::from_secs(10))?;
        let offset = |partition| {
            let of_partition = found.find_partition(INPUT, partition).unwrap();
            of_partition.error()?;
            Ok(of_partition.offset().to_raw().unwrap_or(0).max(0))
        };
        (0..PARTITIONS).map(offset).collect()
    }

    /// Ends of the input's partitions.
    pub fn ends(&self) -> Result<Vec<i64>, KafkaError> {
        let consumer = self.consumer("read_committed");
        let end = |partition| {
            let marks = consumer.fetch_watermarks(INPUT, partition, Duration::from_secs(10))?;
            Ok(marks.1)
        };
        (0..PARTITIONS).map(end).collect()
    }

    /// Reads what came since the last time: the outputs first, so that their inputs are known.
    pub fn read(&mut self) {
        for topic in OUTPUTS.into_iter().chain([INPUT]) {
            self.read_topic(topic);
        }
    }

    fn read_topic(&mut self, topic: &'static str) {
        let consumer = self.consumer("read_committed");
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let next = self.next.get(&(topic, partition)).copied().unwrap_or(0);
            list.add_partition_offset(topic, partition, Offset::Offset(next))
                .unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut ended = BTreeSet::new();
        let start = Instant::now();
        while ended.len() < PARTITIONS as usize {
            assert!(
                start.elapsed() < Duration::from_secs(120),
                "{topic} has no end"
            );
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => self.take(topic, &message),
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                // The broker may just have come back.
                Some(Err(_)) | None => {}
            }
        }
    }

    fn take(&mut self, topic: &'static str, message: &BorrowedMessage<'_>) {
        let place = (topic, message.partition());
        self.next.insert(place, message.offset() + 1);
        if topic == INPUT {
            return self.take_input(message);
        }
        let written = message.timestamp().to_millis().unwrap_or(-1);
        let spot = (message.partition(), message.offset(), written);
        let text = std::str::from_utf8(message.payload().unwrap()).unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        // Order by number where the position is not told; both grow with each key.
        let order = if topic == OUTPUTS[1] {
            let number = value["n"].as_u64().unwrap();
            self.redactions.entry(number).or_default().push(spot);
            if value["text"] != "ask [EMAIL]" {
                self.wrong.push(format!("number {number} is not redacted"));
            }
            number as i64
        } else {
            let source = &value["source"];
            let partition = source["partition"].as_i64().unwrap() as i32;
            let offset = source["offset"].as_i64().unwrap();
            let spots = match OUTPUTS.iter().position(|output| *output == topic) {
                Some(0) => &mut self.entities,
                Some(2) => &mut self.dead_letters,
                _ => &mut self.audited,
            };
            // The record that opens a chain is of no record of the source.
            if value["kind"] != "begin" {
                spots.entry((partition, offset)).or_default().push(spot);
            }
            if topic == OUTPUTS[3] {
                self.follow((partition, offset), text, &value);
            }
            offset
        };
        let key = (topic, message.partition(), message.key().unwrap().to_vec());
        let before = self.last.insert(key, order);
        if before.is_some_and(|before| before > order) {
            self.out_of_order.push(format!("{topic} {order}"));
        }
    }

    /// An audit record holds the hash of the one before it, which is of the record before it, and its
    /// own hash over all that stands before that.
    fn follow(&mut self, (partition, offset): Position, text: &str, value: &Value) {
        let hash = value["hash"].as_str().unwrap().to_owned();
        let before_hash = text.rfind(",\"hash\":").map(|at| &text[..at]);
        let digest = before_hash.map(|bytes| hex::encode(Sha256::digest(bytes)));
        let genesis = (-1, "0".repeat(64));
        let before = self.heads.get(&partition).unwrap_or(&genesis);
        // The record that opens the chain stands in front of the first offset.
        let place = match value["kind"] == "begin" {
            true => before.0 == -1 && offset == 0,
            false => before.0 + 1 == offset && value["after"] == before.0,
        };
        if !place || value["previous"] != *before.1 || digest.as_ref() != Some(&hash) {
            self.broken_chains.push(format!("{partition}@{offset}"));
        }
        let last = if value["kind"] == "begin" { -1 } else { offset };
        self.heads.insert(partition, (last, hash));
    }

    fn take_input(&mut self, message: &BorrowedMessage<'_>) {
        let headers = message.headers().unwrap();
        let header = |name: &str| {
            let found = headers.iter().find(|header| header.key == name).unwrap();
            std::str::from_utf8(found.value.unwrap())
                .unwrap()
                .to_owned()
        };
        let number = header("number").parse().unwrap();
        let position = (message.partition(), message.offset());
        let poison = header("kind") == "poison";
        self.inputs.insert(position, Input { number, poison });
        self.numbers.entry(number).or_default().push(position);
    }

    /// Compares what was read with offsets that the group has committed: what is behind them must be
    /// there once, entities and redaction together, and nothing else.
    pub fn verdict(&self, committed: &[i64]) -> Verdict {
        let mut verdict = Verdict {
            out_of_order: self.out_of_order.clone(),
            misplaced: self.wrong.clone(),
            broken_chains: self.broken_chains.clone(),
            ..Verdict::default()
        };
        for (&position, input) in &self.inputs {
            let behind = position.1 < committed[position.0 as usize];
            self.judge(position, input, behind, &mut verdict);
        }
        let foreign = |position: &&Position| !self.inputs.contains_key(position);
        let positions = self.entities.keys().chain(self.dead_letters.keys());
        let positions = positions.chain(self.audited.keys());
        let unknown = positions.filter(foreign).map(|(p, o)| format!("{p}@{o}"));
        verdict.misplaced.extend(unknown);
        let numbers = self.redactions.keys();
        let unknown = numbers.filter(|number| !self.numbers.contains_key(number));
        verdict
            .misplaced
            .extend(unknown.map(|number| format!("number {number}")));
        verdict
    }

    fn judge(&self, position: Position, input: &Input, behind: bool, verdict: &mut Verdict) {
        let outputs = [
            self.entities.get(&position),
            self.redactions.get(&input.number),
            self.dead_letters.get(&position),
            self.audited.get(&position),
        ];
        let [entities, redactions, dead_letters, audited] =
            outputs.map(|own| own.map_or(0, |spots| spots.len() as u32));
        let tell = || {
            let names = ["entities", "redactions", "dead letters", "audit"];
            let parts = names.iter().zip(outputs);
            let parts = parts.map(|(name, spots)| format!("{name} {}", in_words(spots)));
            let parts: Vec<String> = parts.collect();
            format!(
                "{}@{} (number {}{}; {})",
                position.0,
                position.1,
                input.number,
                if input.poison { ", poison" } else { "" },
                parts.join(", ")
            )
        };
        let (own, foreign) = match input.poison {
            true => ([dead_letters, audited, audited], entities.max(redactions)),
            false => ([entities, redactions, audited], dead_letters),
        };
        if behind {
            match input.poison {
                true => verdict.poison += 1,
                false => verdict.documents += 1,
            }
        }
        if behind && own.contains(&0) {
            verdict.lost.push(tell());
        }
        // Redactions are known by their number only: of records that the load wrote twice they count together.
        let places = &self.numbers[&input.number];
        let twice = [own[0] > 1, redactions > places.len() as u32, audited > 1];
        if twice.contains(&true) {
            verdict.doubled.push(tell());
        }
        if !behind && own.iter().any(|count| *count > 0) {
            verdict.uncommitted.push(tell());
        }
        let of_places = places.iter().filter_map(|place| self.entities.get(place));
        let of_places = of_places.map(|spots| spots.len() as u32);
        let redacted = input.poison || redactions == of_places.sum::<u32>();
        if !redacted || own[0] != audited {
            verdict.apart.push(tell());
        }
        if foreign > 0 {
            verdict.misplaced.push(tell());
        }
    }

    /// What the producer's acknowledgements and the input topic itself say differently: the test's
    /// own fault or the broker's, not weir's.
    pub fn input_problems(&self, acknowledged: &Acknowledged) -> Vec<String> {
        let twice = self.numbers.iter().filter(|(_, places)| places.len() > 1);
        let twice = twice.map(|(number, _)| format!("number {number} is in the input twice"));
        let missing = |(number, place): &(&u64, &Position)| {
            let places = self.numbers.get(number);
            places.is_none_or(|places| !places.contains(place))
        };
        let missing = acknowledged.iter().filter(missing);
        let missing = missing.map(|(number, (partition, offset))| {
            let there = self.inputs.get(&(*partition, *offset));
            let there = there.map_or("nothing".to_owned(), |input| {
                format!("number {}", input.number)
            });
            format!("number {number} is not in the input at {partition}@{offset}: {there} is")
        });
        twice.chain(missing).collect()
    }

    fn consumer(&self, level: &str) -> BaseConsumer {
        ClientConfig::new()
            .set("bootstrap.servers", &self.address)
            // The group of the workers, to ask for its offsets; it is never joined.
            .set("group.id", GROUP)
            .set("isolation.level", level)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("log_level", "0")
            .create()
            .unwrap()
    }
}

/// Where outputs stand, as `partition@offset` with the time of day in UTC.
fn in_words(spots: Option<&Spots>) -> String {
    let spots = spots.map_or(&[][..], |spots| spots);
    let spot = |(partition, offset, millis): &(i32, i64, i64)| {
        let seconds = millis / 1000 % 86_400;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        format!(
            "{partition}@{offset} at {hours:02}:{minutes:02}:{:02}.{:03}",
            seconds % 60,
            millis % 1000
        )
    };
    match spots {
        [] => "none".to_owned(),
        spots => spots.iter().map(spot).collect::<Vec<_>>().join(" and "),
    }
}
