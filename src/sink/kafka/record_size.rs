//! The largest record that a topic accepts, known before weir sends a record.
//!
//! A topic accepts batches of up to `max.message.bytes`, compressed. The client accepts records of up to
//! its own `message.max.bytes`, uncompressed. A broker that refuses a batch refuses every record of it, and the
//! transaction fails. So weir asks the topics for their limits (DescribeConfigs), keeps batches below the
//! smallest of them, and finds all records of a set that exceed a limit before the transaction begins.
//! Where weir may not ask, it learns the limit from the first record that a broker refuses.

use std::{
    collections::BTreeMap,
    fmt,
    io::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    admin::{AdminOptions, ResourceSpecifier},
    message::{Headers, OwnedHeaders},
};
use tracing::{info, warn};

use super::Delivery;
use crate::{
    kafka::{Brokers, Envelope},
    record::{Code, DeadLetter, Stage},
};

/// The name of a topic's limit.
const OF_TOPIC: &str = "max.message.bytes";

/// The name of the client's limit.
pub(super) const OF_CLIENT: &str = "message.max.bytes";

/// librdkafka's default of its own limit, and of `batch.size`.
const DEFAULT: usize = 1_000_000;

/// What librdkafka adds to key, value and headers of a record before it compares it with its limit
/// (`RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD`).
const OVERHEAD: usize = 36;

/// The header of a batch, which counts for the topic's limit (record batch v2).
const OF_BATCH: usize = 61;

/// Batches are not made smaller: a broker that refuses these refuses them for another reason.
const LEAST_BATCH: usize = 4096;

/// Longest wait for the topics' limits. Without an answer weir learns them.
const WAIT: Duration = Duration::from_secs(5);

/// An operator may have raised a limit since: weir asks again before it calls a record too large.
const FRESH: Duration = Duration::from_secs(10);

/// Time after which weir asks again for a limit that it could not read, and forgets what it learnt.
const AGAIN: Duration = Duration::from_secs(60);

/// What is known of the limits of the topics that are written. Producers that follow one another share it.
#[derive(Debug, Default)]
pub struct Limits(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, Limit>,
    /// Where no limit is known, batches were halved to this.
    halved: Option<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    /// `max.message.bytes`, if it could be read.
    bytes: Option<usize>,
    /// Smallest record, compressed, that a broker refused, and when.
    refused: Option<(usize, Instant)>,
    asked: Instant,
}

/// A record that is too large for its topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLarge {
    /// Which of the set.
    pub index: usize,
    /// Where it was to go.
    pub topic: String,
    /// Its size as the limit counts.
    pub bytes: usize,
    /// The limit, if it is known.
    pub limit: Option<usize>,
    /// Whose limit it is.
    pub of_client: bool,
}

/// A record as the limits see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sized<'a> {
    pub(super) topic: &'a str,
    pub(super) key: usize,
    pub(super) value: &'a [u8],
    pub(super) headers: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, bytes, .. } = self;
        write!(f, "a record of {bytes} bytes for the topic {topic} ")?;
        match (self.limit, self.of_client) {
            (Some(limit), true) => write!(
                f,
                "exceeds {OF_CLIENT} of the producer ({limit} bytes): raise it in \
                 sink.librdkafka_options, and {OF_TOPIC} of the topic with it"
            ),
            (Some(limit), false) => write!(
                f,
                "exceeds {OF_TOPIC} of the topic ({limit} bytes): raise it"
            ),
            (None, _) => write!(
                f,
                "exceeds the limit of the broker: raise {OF_TOPIC} of the topic"
            ),
        }
    }
}

impl Sized<'_> {
    /// As librdkafka counts before it takes the record.
    pub(super) fn plain(&self) -> usize {
        OVERHEAD + self.key + self.value.len() + self.headers
    }

    /// As the broker counts: alone in a batch, compressed. librdkafka sends uncompressed what compression
    /// does not make smaller.
    pub(super) fn sent(&self, compression: &str) -> usize {
        let value = compressed(self.value, compression).min(self.value.len());
        OF_BATCH + OVERHEAD + self.key + value + self.headers
    }
}

/// Bytes of headers in a record.
pub(super) fn of_headers(headers: &OwnedHeaders) -> usize {
    // Two lengths of up to five bytes each.
    let size = |(key, value): (&str, Option<&[u8]>)| key.len() + value.map_or(0, <[u8]>::len) + 10;
    let headers = headers.iter();
    headers.map(|own| size((own.key, own.value))).sum()
}

/// Size of a value by the codec of librdkafka's option `compression.type` at its default level.
fn compressed(value: &[u8], compression: &str) -> usize {
    match compression {
        "zstd" => zstd::bulk::compress(value, 0).map_or(value.len(), |own| own.len()),
        "gzip" => {
            let out = Vec::new();
            let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
            let written = encoder.write_all(value).and_then(|()| encoder.finish());
            written.map_or(value.len(), |own| own.len())
        }
        "snappy" => snap::raw::Encoder::new()
            .compress_vec(value)
            .map_or(value.len(), |own| own.len()),
        "lz4" => lz4_flex::block::compress(value).len(),
        _ => value.len(),
    }
}

impl Limits {
    /// Asks for the limits of topics that are not known. Blocks.
    pub(super) fn ask<'t>(&self, brokers: &Brokers, topics: impl IntoIterator<Item = &'t str>) {
        let unknown = |topic: &&str| match self.state().topics.get(*topic) {
            Some(limit) => limit.bytes.is_none() && limit.asked.elapsed() >= AGAIN,
            None => true,
        };
        let topics = topics.into_iter().filter(unknown);
        self.ask_again(brokers, topics.collect());
    }

    /// Asks again for limits that were read a while ago; `false` if there are none. Blocks.
    pub(super) fn refresh<'t>(
        &self,
        brokers: &Brokers,
        topics: impl IntoIterator<Item = &'t str>,
    ) -> bool {
        let stale = |topic: &&str| {
            let state = self.state();
            let limit = state.topics.get(*topic);
            limit.is_some_and(|own| own.bytes.is_some() && own.asked.elapsed() >= FRESH)
        };
        let topics: Vec<&str> = topics.into_iter().filter(stale).collect();
        let any = !topics.is_empty();
        self.ask_again(brokers, topics);
        any
    }

    fn ask_again(&self, brokers: &Brokers, topics: Vec<&str>) {
        if topics.is_empty() {
            return;
        }
        let found = read(brokers, &topics);
        let mut state = self.state();
        let mut missing = Vec::new();
        for topic in topics {
            let bytes = found.get(topic).copied();
            let known = state.topics.get(topic);
            if bytes.is_none() && known.is_none() {
                missing.push(topic);
            }
            let limit = Limit {
                bytes: bytes.or(known.and_then(|own| own.bytes)),
                refused: known.and_then(|own| own.refused),
                asked: Instant::now(),
            };
            state.topics.insert(topic.to_owned(), limit);
        }
        if !missing.is_empty() {
            info!(
                topics = missing.join(","),
                "{OF_TOPIC} can't be read (DescribeConfigs on the topic): weir learns it when a broker \
                 refuses a record"
            );
        }
    }

    /// The client's own limit, unless one is configured: what a topic takes, the client takes too.
    pub(super) fn of_client(&self) -> usize {
        let state = self.state();
        let topics = state.topics.values().filter_map(|limit| limit.bytes);
        topics.max().unwrap_or(0).clamp(DEFAULT, 1_000_000_000)
    }

    /// Largest batch that every topic takes.
    pub(super) fn batch(&self) -> usize {
        let state = self.state();
        let topics = state.topics.values().filter_map(|limit| limit.bytes);
        let least = topics.chain(state.halved).min().unwrap_or(DEFAULT);
        least.clamp(LEAST_BATCH, DEFAULT)
    }

    /// After batches of `bytes` were refused, and no record by itself: smaller ones from now on. `false`
    /// if they are as small as they may be.
    pub(super) fn halve(&self, bytes: usize) -> bool {
        if bytes <= LEAST_BATCH {
            return false;
        }
        warn!(
            bytes,
            "a broker refuses batches of this size: weir sends smaller ones"
        );
        self.state().halved = Some((bytes / 2).max(LEAST_BATCH));
        true
    }

    /// Takes note that a broker refused a record by itself.
    pub(super) fn learn(&self, record: Sized<'_>, compression: &str) {
        let bytes = record.sent(compression);
        let mut state = self.state();
        let now = Instant::now();
        let limit = state.topics.entry(record.topic.to_owned());
        let limit = limit.or_insert(Limit {
            bytes: None,
            refused: None,
            asked: now,
        });
        // The topic's limit was lowered since it was read.
        if limit.bytes.is_some_and(|own| bytes <= own) {
            limit.bytes = None;
        }
        let least = match limit.refused {
            Some((least, at)) if at.elapsed() < AGAIN => least.min(bytes),
            _ => bytes,
        };
        limit.refused = Some((least, now));
    }

    /// Whether a record exceeds its topic's limit or that of the client.
    pub(super) fn exceeded(
        &self,
        index: usize,
        record: Sized<'_>,
        of_client: usize,
        compression: &str,
    ) -> Option<TooLarge> {
        let found = |bytes, limit, of_client| TooLarge {
            index,
            topic: record.topic.to_owned(),
            bytes,
            limit,
            of_client,
        };
        let plain = record.plain();
        if plain > of_client {
            return Some(found(plain, Some(of_client), true));
        }
        let limit = self.state().topics.get(record.topic).copied()?;
        let refused = limit.refused.filter(|(_, at)| at.elapsed() < AGAIN);
        let refused = refused.map(|(bytes, _)| bytes);
        let least = limit.bytes.into_iter().chain(refused).min()?;
        if plain + OF_BATCH <= least {
            return None;
        }
        let sent = record.sent(compression);
        if let Some(refused) = refused
            && sent >= refused
        {
            return Some(found(sent, limit.bytes, false));
        }
        // Another version of a codec may do a little better: the broker has the last word there.
        let limit = limit.bytes?;
        (sent > limit + limit / 50).then(|| found(sent, Some(limit), false))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the brokers say; topics that they say nothing of are missing.
fn read(brokers: &Brokers, topics: &[&str]) -> BTreeMap<String, usize> {
    let mut limits = BTreeMap::new();
    let Some(admin) = brokers.admin() else {
        return limits;
    };
    let asked: Vec<_> = topics
        .iter()
        .map(|name| ResourceSpecifier::Topic(name))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(WAIT));
    let answers = futures::executor::block_on(admin.describe_configs(&asked, &options));
    for (topic, answer) in topics.iter().zip(answers.unwrap_or_default()) {
        let bytes = answer.ok().and_then(|resource| {
            let value = resource.get(OF_TOPIC)?.value.as_deref()?;
            value.parse().ok()
        });
        limits.extend(bytes.map(|bytes| ((*topic).to_owned(), bytes)));
    }
    limits
}

impl Delivery {
    /// Makes a dead letter of a record that is too large. One that is a dead letter already goes without
    /// its key and headers; `false` if it is too large even so.
    pub(crate) fn reject(&mut self, why: &TooLarge) -> bool {
        let tenant = match &self.outcome {
            Ok(done) => done.entities.tenant.clone(),
            Err(_) => {
                let Envelope { key, headers, .. } = &mut self.envelope;
                let had_any = key.is_some() || !headers.is_empty();
                *key = None;
                headers.clear();
                return had_any;
            }
        };
        self.findings.clear();
        self.outcome = Err(Box::new(DeadLetter {
            source: self.envelope.position(),
            tenant: Some(tenant),
            // An id may be what is too large.
            document_id: None,
            stage: Stage::Sink,
            code: Code::TooLarge,
            reason: why.to_string(),
            attempts: 1,
        }));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(topics: &[(&str, Option<usize>)]) -> Limits {
        let limit = |bytes| Limit {
            bytes,
            refused: None,
            asked: Instant::now(),
        };
        let topics = topics.iter();
        let topics = topics.map(|(name, bytes)| ((*name).to_owned(), limit(*bytes)));
        Limits(Mutex::new(State {
            topics: topics.collect(),
            halved: None,
        }))
    }

    fn record<'a>(topic: &'a str, value: &'a [u8]) -> Sized<'a> {
        Sized {
            topic,
            key: 3,
            value,
            headers: 0,
        }
    }

    /// What no codec makes smaller.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as u8
        };
        (0..len).map(next).collect()
    }

    #[test]
    fn the_clients_limit_counts_what_is_written_and_the_topics_what_is_sent() {
        let limits = limits(&[("small", Some(20_000)), ("large", Some(5_000_000))]);
        assert_eq!((limits.of_client(), limits.batch()), (5_000_000, 20_000));
        let (even, random) = (vec![b'a'; 100_000], noise(100_000));
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let ask = |topic, value| limits.exceeded(0, record(topic, value), 150_000, codec);
            assert_eq!(ask("large", &random), None, "{codec}");
            assert!(!ask("small", &random).unwrap().of_client, "{codec}");
            // The broker compares what is compressed.
            assert_eq!(ask("small", &even).is_some(), codec == "none", "{codec}");
            // The client compares what is not.
            let long = vec![b'a'; 200_000];
            assert!(ask("large", &long).unwrap().of_client, "{codec}");
            assert_eq!(ask("unknown", &random), None, "{codec}");
        }
    }

    #[test]
    fn a_refusal_tells_of_all_records_that_are_as_large() {
        let limits = limits(&[("t", None)]);
        let (small, large) = (noise(10_000), noise(50_000));
        let ask = |value| limits.exceeded(7, record("t", value), DEFAULT, "zstd");
        assert_eq!(ask(&large), None);
        limits.learn(record("t", &noise(40_000)), "zstd");
        assert_eq!(ask(&small), None);
        let found = ask(&large).unwrap();
        assert_eq!((found.index, found.limit), (7, None));
    }

    #[test]
    fn a_limit_that_was_lowered_is_learnt_too() {
        let limits = limits(&[("t", Some(100_000))]);
        limits.learn(record("t", &noise(40_000)), "none");
        let value = noise(41_000);
        assert!(
            limits
                .exceeded(0, record("t", &value), DEFAULT, "none")
                .is_some()
        );
    }

    #[test]
    fn batches_are_halved_down_to_a_bound() {
        let limits = limits(&[("t", None)]);
        let (mut bytes, mut rounds) = (limits.batch(), 0);
        while limits.halve(bytes) {
            assert!(limits.batch() < bytes);
            (bytes, rounds) = (limits.batch(), rounds + 1);
        }
        assert_eq!((bytes, rounds), (LEAST_BATCH, 8));
    }
}
