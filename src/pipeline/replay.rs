//! Sends dead letters back: reads each record again from its place and writes it behind the others
//! of its partition, once.
//!
//! A group for each code (`GROUP.replay.CODE`) remembers what was sent back, as committed offsets of the
//! dead letters' topic, in the transaction that sends the records: a replay that is
//! killed and run again sends nothing twice, and one of a single code leaves the others for later.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, OwnedHeaders},
};

use crate::{
    kafka::{Brokers, Bytes, offsets::offset_of},
    record::{Code, DeadLetter, Position, avro},
    sink::kafka::{self as topics, Producer, Returned},
    source::kafka::{self as group, Reader},
};

/// What is sent back.
#[derive(Debug, Clone)]
pub struct Options {
    /// Brokers of the topics that were read.
    pub source: Brokers,
    /// The worker's consumer group.
    pub group_id: String,
    /// Where dead letters are, and the producer's options; its topics are not used.
    pub sink: topics::Options,
    /// Topic of the dead letters.
    pub from: String,
    /// Codes; none means all.
    pub codes: BTreeSet<Code>,
    /// Whether to look only.
    pub dry_run: bool,
    /// Most records in one transaction.
    pub max_records: usize,
}

/// Why dead letters could not be sent back. What was committed stays sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A reader can't be made.
    #[error(transparent)]
    Source(#[from] group::Error),
    /// The records can't be sent.
    #[error(transparent)]
    Sink(#[from] topics::Error),
    /// The brokers don't answer, or not with what was asked for.
    #[error("can't read from the brokers ({code:?}): check the address and the topic")]
    Read {
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
}

impl From<avro::Error> for Error {
    fn from(error: avro::Error) -> Self {
        Self::Sink(error.into())
    }
}

impl From<KafkaError> for Error {
    fn from(error: KafkaError) -> Self {
        Self::Read {
            code: error.rdkafka_error_code(),
        }
    }
}

/// What became of the dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sent back, by code; to be sent, in a dry run.
    pub sent: BTreeMap<&'static str, u64>,
    /// Their records are no longer in their topics.
    pub expired: u64,
    /// Records of the topic that are no dead letters of a topic's record.
    pub foreign: u64,
}

/// Longest wait for an answer of a broker.
const WAIT: Duration = Duration::from_secs(30);

struct Replay {
    options: Options,
    letters: Reader,
    /// Reads records again.
    records: Reader,
    /// Offsets between which the topics' partitions hold records.
    bounds: BTreeMap<(String, i32), Option<(i64, i64)>>,
    /// A reader for each code's group, and the offsets up to which its letters were sent back.
    done: BTreeMap<Code, Done>,
    producer: Option<Producer>,
    /// For the schema registry.
    runtime: tokio::runtime::Runtime,
    summary: Summary,
}

struct Done {
    reader: Reader,
    before: BTreeMap<i32, i64>,
}

/// A dead letter as the worker writes them; `None` is something else.
fn letter(
    codec: &topics::Codec,
    runtime: &tokio::runtime::Runtime,
    payload: &[u8],
) -> Result<Option<DeadLetter>, Error> {
    let topics::Codec::Avro(registry) = codec else {
        return Ok(serde_json::from_slice(payload).ok());
    };
    let Ok((id, values)) = avro::split(None, payload) else {
        return Ok(None);
    };
    let schema = match runtime.block_on(registry.schema(id)) {
        Ok(schema) => schema,
        Err(error) if error.code().is_some() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let json = avro::json(&schema, values, LONGEST_LETTER).ok();
    Ok(json.and_then(|json| serde_json::from_str(&json).ok()))
}

/// Bytes of a dead letter as JSON: above what a broker takes by default.
const LONGEST_LETTER: u64 = 1 << 20;

/// A letter that is to be sent back.
struct Chosen {
    partition: i32,
    offset: i64,
    code: Code,
    letter: DeadLetter,
}

/// Wanted records of one partition: offsets, each with the places of its letters in the set.
type Wanted = BTreeMap<i64, Vec<usize>>;

/// Records that are read and thrown away rather than passed over: librdkafka drops what it has fetched
/// when it is sent to another offset, and waits for the broker again.
const NEAR: i64 = 1000;

/// Sends dead letters back, those that are there when it begins. Blocks.
pub fn run(options: Options) -> Result<Summary, Error> {
    let name = format!("{}.replay", options.group_id);
    let producer = match options.dry_run {
        true => None,
        false => Some(Producer::new(&options.sink)?),
    };
    let mut replay = Replay {
        letters: Reader::new(&options.sink.brokers, &name)?,
        records: Reader::new(&options.source, &name)?,
        options,
        done: BTreeMap::new(),
        bounds: BTreeMap::new(),
        producer,
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime of one thread needs nothing but memory"),
        summary: Summary::default(),
    };
    replay.turn()?;
    Ok(replay.summary)
}

impl Replay {
    fn turn(&mut self) -> Result<(), Error> {
        let partitions = self.partitions()?;
        for partition in partitions {
            let topic = self.options.from.clone();
            let (low, high) = self
                .letters
                .client()
                .fetch_watermarks(&topic, partition, WAIT)?;
            let mut chosen = Vec::new();
            for (offset, letter) in self.read(partition, low, high)? {
                let Some((letter, code)) = self.chosen(letter, partition, offset)? else {
                    continue;
                };
                chosen.push(Chosen {
                    partition,
                    offset,
                    code,
                    letter,
                });
                if chosen.len() >= self.options.max_records {
                    self.send(std::mem::take(&mut chosen))?;
                }
            }
            self.send(chosen)?;
        }
        Ok(())
    }

    fn partitions(&self) -> Result<Vec<i32>, Error> {
        let metadata = self
            .letters
            .client()
            .fetch_metadata(Some(&self.options.from), WAIT)?;
        let topic = metadata.topics().first();
        let partitions = topic.map_or(&[][..], |topic| topic.partitions());
        if partitions.is_empty() {
            return Err(Error::Read {
                code: Some(RDKafkaErrorCode::UnknownTopicOrPartition),
            });
        }
        Ok(partitions.iter().map(|partition| partition.id()).collect())
    }

    /// Dead letters of a partition with their offsets; `None` for what is none.
    fn read(
        &self,
        partition: i32,
        low: i64,
        high: i64,
    ) -> Result<Vec<(i64, Option<DeadLetter>)>, Error> {
        let mut found = Vec::new();
        if low >= high {
            return Ok(found);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.options.from, partition, Offset::Offset(low))?;
        self.letters.client().assign(&list)?;
        let start = Instant::now();
        loop {
            match self.letters.client().poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.offset() < high => {
                    let letter = match message.payload() {
                        Some(payload) => letter(&self.options.sink.codec, &self.runtime, payload)?,
                        None => None,
                    };
                    found.push((message.offset(), letter));
                }
                // What came after the beginning is for the next replay.
                Some(Ok(_)) | Some(Err(KafkaError::PartitionEOF(_))) => return Ok(found),
                Some(Err(error)) => return Err(error.into()),
                None if start.elapsed() > WAIT && found.is_empty() => {
                    return Err(Error::Read {
                        code: Some(RDKafkaErrorCode::OperationTimedOut),
                    });
                }
                None => {}
            }
        }
    }

    /// A letter of a topic's record that is asked for and was not sent back before.
    fn chosen(
        &mut self,
        letter: Option<DeadLetter>,
        partition: i32,
        offset: i64,
    ) -> Result<Option<(DeadLetter, Code)>, Error> {
        let Some(letter) = letter.filter(|letter| matches!(letter.source, Position::Kafka { .. }))
        else {
            self.summary.foreign += 1;
            return Ok(None);
        };
        let code = letter.code;
        if !self.options.codes.is_empty() && !self.options.codes.contains(&code) {
            return Ok(None);
        }
        if offset < self.done_before(code, partition)? {
            return Ok(None);
        }
        Ok(Some((letter, code)))
    }

    fn done_before(&mut self, code: Code, partition: i32) -> Result<i64, Error> {
        if !self.done.contains_key(&code) {
            let name = format!("{}.replay.{code}", self.options.group_id);
            let reader = Reader::new(&self.options.sink.brokers, &name)?;
            let before = BTreeMap::new();
            self.done.insert(code, Done { reader, before });
        }
        let done = self.done.get_mut(&code).expect("put there above");
        if let Some(offset) = done.before.get(&partition) {
            return Ok(*offset);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.options.from, partition);
        let committed = done.reader.committed(list, WAIT)?;
        let offset = offset_of(&committed, &self.options.from, partition).unwrap_or(0);
        done.before.insert(partition, offset);
        Ok(offset)
    }

    /// The records of some letters, read where they stood; `None` for those that are no longer there.
    /// Each partition is read once, in order.
    fn again(&mut self, letters: &[Chosen]) -> Result<Vec<Option<Returned>>, Error> {
        let mut wanted: BTreeMap<(&str, i32), Wanted> = BTreeMap::new();
        for (place, chosen) in letters.iter().enumerate() {
            if let Position::Kafka {
                topic,
                partition,
                offset,
            } = &chosen.letter.source
            {
                let of_partition = wanted.entry((topic, *partition)).or_default();
                of_partition.entry(*offset).or_default().push(place);
            }
        }
        let mut found: Vec<Option<Returned>> = Vec::new();
        found.resize_with(letters.len(), || None);
        for ((topic, partition), mut wanted) in wanted {
            let Some((low, high)) = self.bounds(topic, partition)? else {
                continue;
            };
            wanted.retain(|offset, _| (low..high).contains(offset));
            self.read_again(topic, partition, wanted, |place, message| {
                found[place] = Some(returned(message, &letters[place].letter));
            })?;
        }
        Ok(found)
    }

    /// Offsets between which a partition holds records, asked once; `None` if it is gone.
    fn bounds(&mut self, topic: &str, partition: i32) -> Result<Option<(i64, i64)>, Error> {
        let key = (topic.to_owned(), partition);
        if let Some(known) = self.bounds.get(&key) {
            return Ok(*known);
        }
        use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
        let marks = self
            .records
            .client()
            .fetch_watermarks(topic, partition, WAIT);
        let bounds = match marks {
            Ok(marks) => Some(marks),
            Err(error) => match error.rdkafka_error_code() {
                Some(UnknownTopicOrPartition | UnknownPartition | UnknownTopic) => None,
                _ => return Err(error.into()),
            },
        };
        self.bounds.insert(key, bounds);
        Ok(bounds)
    }

    /// Reads the wanted records of one partition, as far as compaction has left them.
    fn read_again(
        &self,
        topic: &str,
        partition: i32,
        mut wanted: Wanted,
        mut take: impl FnMut(usize, &BorrowedMessage<'_>),
    ) -> Result<(), Error> {
        let client = self.records.client();
        let mut next = None;
        let mut last_answer = Instant::now();
        while let Some(entry) = wanted.first_entry() {
            let offset = *entry.key();
            if next.is_none_or(|next| offset - next > NEAR) {
                let mut list = TopicPartitionList::new();
                list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
                client.assign(&list)?;
                next = Some(offset);
                last_answer = Instant::now();
            }
            let message = match client.poll(Duration::from_millis(100)) {
                None if last_answer.elapsed() > WAIT => {
                    return Err(Error::Read {
                        code: Some(RDKafkaErrorCode::OperationTimedOut),
                    });
                }
                None => continue,
                Some(Ok(message)) => message,
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(()),
                Some(Err(error)) => return Err(error.into()),
            };
            last_answer = Instant::now();
            // One of the partition before.
            if message.topic() != topic || message.partition() != partition {
                continue;
            }
            next = Some(message.offset() + 1);
            // What stands before it is gone.
            let behind = wanted.split_off(&message.offset());
            wanted = behind;
            for place in wanted.remove(&message.offset()).unwrap_or_default() {
                take(place, &message);
            }
        }
        Ok(())
    }

    fn send(&mut self, letters: Vec<Chosen>) -> Result<(), Error> {
        let mut after: BTreeMap<Code, BTreeMap<i32, i64>> = BTreeMap::new();
        let mut records = Vec::new();
        let found = self.again(&letters)?;
        for (letter, record) in letters.iter().zip(found) {
            let Some(record) = record else {
                self.summary.expired += 1;
                continue;
            };
            let of_code = after.entry(letter.code).or_default();
            of_code.insert(letter.partition, letter.offset + 1);
            *self.summary.sent.entry(letter.code.as_str()).or_default() += 1;
            records.push(record);
        }
        let Some(producer) = self.producer.as_ref().filter(|_| !records.is_empty()) else {
            return Ok(());
        };
        let mut done = Vec::new();
        for (code, offsets) in after {
            let mut list = TopicPartitionList::new();
            for (partition, offset) in offsets {
                list.add_partition_offset(&self.options.from, partition, Offset::Offset(offset))?;
            }
            let reader = &self.done[&code].reader;
            let group = reader.client().group_metadata();
            done.push((group.expect("its group has a name"), list));
        }
        Ok(producer.send_back(&records, &done)?)
    }
}

/// A record as it is sent back.
fn returned(message: &BorrowedMessage<'_>, letter: &DeadLetter) -> Returned {
    let of = letter.source.to_string();
    let headers = message
        .headers()
        .map_or_else(OwnedHeaders::new, |headers| headers.detach());
    Returned {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        key: message.key().map(|key| Bytes(key.to_vec())),
        value: Bytes(message.payload().unwrap_or_default().to_vec()),
        headers: headers.insert(Header {
            key: "weir.replay.of",
            value: Some(&of),
        }),
    }
}
