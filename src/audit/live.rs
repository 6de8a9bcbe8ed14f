//! A feed and its source as they stand in the brokers now.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    Offset,
    consumer::Consumer as _,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    fault::{Class, Gap},
    feed::{Feed, Partition, Source},
    gaps::{Gaps, scan},
};
use crate::{
    kafka::Brokers,
    record::{audit::Committed, avro},
    source::kafka::{self as group, Reader},
};

/// Longest wait for an answer of a broker.
const WAIT: Duration = Duration::from_secs(30);

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Options {
    /// Brokers of the source, where the group commits.
    pub source: Brokers,
    /// The worker's consumer group.
    pub group_id: String,
    /// Topics that it reads, as configured.
    pub topics: Vec<String>,
    /// Brokers of the audit topic.
    pub feed: Brokers,
    /// The audit topic.
    pub audit: String,
}

/// Why the brokers could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A reader can't be made.
    #[error(transparent)]
    Source(#[from] group::Error),
    /// The brokers don't answer, or not with what was asked for.
    #[error("can't read {what} from the brokers ({code:?}): check the address and the topic")]
    Read {
        /// What was asked.
        what: String,
        /// librdkafka's code.
        code: Option<RDKafkaErrorCode>,
    },
}

fn failed(what: impl Into<String>) -> impl FnOnce(KafkaError) -> Error {
    let what = what.into();
    move |error| Error::Read {
        what,
        code: error.rdkafka_error_code(),
    }
}

impl Options {
    /// Reads all of the feed, as far as it is committed now. Blocks.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub fn read(&self, feed: &mut Feed) -> Result<(), Error> {
        let reader = Reader::new(&self.feed, &self.group_id)?;
        let topics = [self.audit.clone()];
        let what = || format!("topic {}", self.audit);
        let partitions = group::partitions(&reader, &topics).map_err(failed(what()))?;
        for place in partitions.elements() {
            let own = (place.topic(), place.partition());
            let bounds = reader.client().fetch_watermarks(own.0, own.1, WAIT);
            let (low, high) = bounds.map_err(failed(what()))?;
            let each = |_: i64, value: Option<&[u8]>| {
                read_value(feed, value.unwrap_or_default());
            };
            scan(reader.client(), own, low, high, each).map_err(failed(what()))?;
        }
        Ok(())
    }
}

/// Reads the value of a record of an audit topic.
pub fn read_value(feed: &mut Feed, value: &[u8]) {
    match as_json(value) {
        Some(json) => feed.read(&json),
        None => feed.read_bytes(value),
    }
}

/// An audit record in Avro as the JSON that was hashed; `None`: it is not Avro.
pub(super) fn as_json(message: &[u8]) -> Option<String> {
    // Of a schema registry: byte 0, and four of the schema's id.
    let (&first, rest) = message.split_first()?;
    let values = rest.get(4..).filter(|_| first == 0)?;
    avro::audit_json(values)
}

/// The source, as its brokers answer now.
pub struct Live {
    options: Options,
    gaps: Gaps,
}

impl Live {
    /// A source that is asked by readers of its own.
    ///
    /// # Errors
    /// The options of the brokers are wrong.
    pub fn new(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            options: options.clone(),
            gaps: Gaps::new(&options.source, &options.group_id)?,
        })
    }
}

impl Source for Live {
    type Error = Error;

    fn committed(&mut self) -> Result<BTreeMap<Partition, (i64, Committed)>, Error> {
        let what = || format!("the offsets of group {}", self.options.group_id);
        let reader = &self.gaps.committed;
        let partitions = group::partitions(reader, &self.options.topics);
        let partitions = partitions.map_err(failed(what()))?;
        let committed = reader.committed(partitions, WAIT);
        let committed = committed.map_err(failed(what()))?;
        let mut found = BTreeMap::new();
        for place in committed.elements() {
            if let Offset::Offset(offset) = place.offset() {
                let partition = Partition {
                    topic: place.topic().to_owned(),
                    number: place.partition(),
                };
                found.insert(partition, (offset, Committed::read(place.metadata())));
            }
        }
        Ok(found)
    }

    fn explain(&mut self, of: &Partition, gap: Gap) -> Result<Vec<(Gap, Class)>, Error> {
        let what = format!("partition {of}");
        self.gaps.explain(of, &[gap]).map_err(failed(what))
    }
}
