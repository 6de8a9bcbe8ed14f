//! What two samples of a worker say: rates between them, and how it is now.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::{
    exposition::{Labels, Page, Series},
    quantile::{Buckets, Quantile},
    worker::Sample,
};
use crate::telemetry::metric;

/// How a worker is. What it has no metric for is absent: a job over files has no lag.
#[derive(Debug, Serialize)]
pub(super) struct Reading {
    pub worker: String,
    pub version: Option<String>,
    pub pack: Option<String>,
    pub ready: bool,
    pub not_ready: Vec<String>,
    pub live: bool,
    pub stuck: Vec<String>,
    /// Seconds between the samples, of which the rates are.
    pub interval_seconds: f64,
    pub per_second: PerSecond,
    pub total: Total,
    pub lag: Option<Lag>,
    pub end_to_end: Option<EndToEnd>,
    pub queue: Option<Fill>,
    /// Seconds since the last commit of any partition.
    pub last_commit_seconds_ago: Option<f64>,
    /// The longest time for which work waits and nothing is committed; 0 while nothing waits.
    pub stalled_seconds: Option<f64>,
    /// By code.
    pub dead_letters: BTreeMap<String, u64>,
    /// By outcome.
    pub transactions: BTreeMap<String, u64>,
    /// Reloads by outcome.
    pub reloads: BTreeMap<String, u64>,
    /// Tokens of models over HTTP, by kind.
    pub model_tokens: BTreeMap<String, u64>,
    pub memory: Option<Fill>,
    /// What a collector did not take, by signal.
    pub telemetry_dropped: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct PerSecond {
    pub documents: f64,
    pub bytes: f64,
    pub entities: f64,
    /// Of the model, without padding and without what is reused.
    pub tokens: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Total {
    pub documents: u64,
    pub bytes: u64,
    pub entities: u64,
}

/// Of all partitions that the worker has.
#[derive(Debug, Serialize)]
pub(super) struct Lag {
    pub records: u64,
    /// The largest of a partition.
    pub seconds: Option<f64>,
    pub partitions: Vec<PartitionLag>,
}

/// The largest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct PartitionLag {
    pub topic: String,
    pub partition: String,
    pub records: u64,
    pub seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct EndToEnd {
    pub p50: Quantile,
    pub p99: Quantile,
    pub of: Of,
    /// Documents that it is of.
    pub documents: u64,
}

/// Which documents a quantile is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Of {
    Interval,
    /// None came in the interval.
    Start,
}

#[derive(Debug, Serialize)]
pub(super) struct Fill {
    pub bytes: u64,
    pub limit_bytes: Option<u64>,
}

impl Reading {
    /// `worker`: who was asked.
    pub fn between(worker: String, before: &Sample, now: &Sample) -> Self {
        let page = &now.page;
        let seconds = now.taken.duration_since(before.taken).as_secs_f64();
        let build = page.of(metric::BUILD_INFO).first();
        let of_build = |label| build.map(|series| printable(series.label(label)));
        Self {
            worker,
            version: of_build("version"),
            pack: of_build("pack"),
            ready: now.not_ready.is_empty(),
            not_ready: now.not_ready.clone(),
            live: now.stuck.is_empty(),
            stuck: now.stuck.clone(),
            interval_seconds: seconds,
            per_second: PerSecond::between(&before.page, page, seconds),
            total: Total {
                documents: count(page, metric::DOCUMENTS_TOTAL),
                bytes: count(page, metric::DOCUMENT_BYTES_TOTAL),
                entities: count(page, metric::ENTITIES_TOTAL),
            },
            lag: Lag::of(page),
            end_to_end: EndToEnd::between(&before.page, page),
            queue: Fill::of(page, metric::QUEUE_BYTES, metric::QUEUE_LIMIT_BYTES),
            last_commit_seconds_ago: page
                .largest(metric::LAST_COMMIT_TIMESTAMP_SECONDS)
                // 0: nothing was committed yet. Two clocks may differ by a little.
                .filter(|at| *at > 0.0)
                .map(|at| (now.time - at).max(0.0)),
            stalled_seconds: page.largest(metric::STALLED_SECONDS),
            dead_letters: by(page, metric::DEAD_LETTERS_TOTAL, "code"),
            transactions: by(page, metric::TRANSACTIONS_TOTAL, "outcome"),
            reloads: by(page, metric::RELOADS_TOTAL, "outcome"),
            model_tokens: by(page, metric::MODEL_TOKENS_TOTAL, "kind"),
            memory: Fill::of(
                page,
                metric::PROCESS_RESIDENT_MEMORY_BYTES,
                metric::MEMORY_LIMIT_BYTES,
            ),
            telemetry_dropped: by(page, metric::TELEMETRY_DROPPED_TOTAL, "signal"),
        }
    }
}

impl PerSecond {
    fn between(before: &Page, now: &Page, seconds: f64) -> Self {
        let rate = |name, kind: Option<&str>| {
            let counts = |series: &Series| kind.is_none_or(|kind| series.label("kind") == kind);
            match seconds > 0.0 {
                true => now.increase(before, name, counts) / seconds,
                false => 0.0,
            }
        };
        Self {
            documents: rate(metric::DOCUMENTS_TOTAL, None),
            bytes: rate(metric::DOCUMENT_BYTES_TOTAL, None),
            entities: rate(metric::ENTITIES_TOTAL, None),
            tokens: rate(metric::TOKENS_TOTAL, Some("real")),
        }
    }
}

impl Lag {
    fn of(page: &Page) -> Option<Self> {
        let seconds: HashMap<&Labels, f64> = page
            .numbers(metric::LAG_SECONDS)
            .map(|(series, seconds)| (&series.labels, seconds))
            .collect();
        let mut partitions: Vec<PartitionLag> = page
            .numbers(metric::CONSUMER_LAG)
            .map(|(series, records)| PartitionLag {
                topic: printable(series.label("topic")),
                partition: printable(series.label("partition")),
                records: whole(records),
                seconds: seconds.get(&series.labels).copied(),
            })
            .collect();
        if partitions.is_empty() {
            return None;
        }
        let age = |lag: &PartitionLag| lag.seconds.unwrap_or(0.0);
        partitions.sort_by(|a, b| {
            let by_age = age(b).total_cmp(&age(a));
            by_age.then(b.records.cmp(&a.records))
        });
        Some(Self {
            records: partitions.iter().map(|lag| lag.records).sum(),
            seconds: page.largest(metric::LAG_SECONDS),
            partitions,
        })
    }
}

impl EndToEnd {
    fn between(before: &Page, now: &Page) -> Option<Self> {
        let interval = Buckets::between(before, now, metric::END_TO_END_SECONDS);
        let (buckets, of) = match interval.count() > 0.0 {
            true => (interval, Of::Interval),
            false => (Buckets::of(now, metric::END_TO_END_SECONDS), Of::Start),
        };
        Some(Self {
            p50: buckets.quantile(0.5)?,
            p99: buckets.quantile(0.99)?,
            of,
            documents: whole(buckets.count()),
        })
    }
}

impl Fill {
    fn of(page: &Page, bytes: &str, limit: &str) -> Option<Self> {
        Some(Self {
            bytes: whole(page.sum(bytes)?),
            limit_bytes: page.sum(limit).filter(|limit| *limit > 0.0).map(whole),
        })
    }
}

fn count(page: &Page, name: &str) -> u64 {
    whole(page.sum(name).unwrap_or(0.0))
}

fn by(page: &Page, name: &str, label: &str) -> BTreeMap<String, u64> {
    let sums = page.by(name, label).into_iter();
    sums.map(|(value, sum)| (printable(&value), whole(sum)))
        .collect()
}

/// Counts and bytes are whole; a number below 0 stands for none.
fn whole(number: f64) -> u64 {
    number.round() as u64
}

/// Without characters that would move a terminal's cursor: the worker's answer is printed.
fn printable(text: &str) -> String {
    text.chars().filter(|sign| !sign.is_control()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// A worker on topics, busy and well; a second later; and one that began a moment ago.
    pub const BEFORE: &str = r#"
weir_build_info{version="0.1.0",pack="weir-mini"} 1
weir_documents_total{tenant="acme",outcome="delivered"} 1000
weir_document_bytes_total{tenant="acme",outcome="delivered"} 1000000
weir_entities_total{tenant="acme",label="email",recognizer="pattern:email"} 500
weir_tokens_total{kind="real"} 10000
weir_tokens_total{kind="padding"} 1000
weir_end_to_end_seconds_bucket{le="0.1"} 900
weir_end_to_end_seconds_bucket{le="1"} 1000
weir_end_to_end_seconds_bucket{le="+Inf"} 1000
"#;
    pub const NOW: &str = r#"
weir_build_info{version="0.1.0",pack="weir-mini"} 1
weir_documents_total{tenant="acme",outcome="delivered"} 1100
weir_documents_total{tenant="acme",outcome="dead_lettered"} 2
weir_document_bytes_total{tenant="acme",outcome="delivered"} 1204800
weir_entities_total{tenant="acme",label="email",recognizer="pattern:email"} 560
weir_tokens_total{kind="real"} 12000
weir_tokens_total{kind="padding"} 1100
weir_end_to_end_seconds_bucket{le="0.1"} 950
weir_end_to_end_seconds_bucket{le="1"} 1100
weir_end_to_end_seconds_bucket{le="+Inf"} 1100
weir_consumer_lag{topic="documents",partition="0"} 10
weir_consumer_lag{topic="documents",partition="1"} 300
weir_lag_seconds{topic="documents",partition="0"} 0.5
weir_lag_seconds{topic="documents",partition="1"} 2.25
weir_queue_bytes{queue="documents"} 13000000
weir_queue_limit_bytes{queue="documents"} 67108864
weir_last_commit_timestamp_seconds{topic="documents",partition="0"} 1699999990
weir_last_commit_timestamp_seconds{topic="documents",partition="1"} 1699999999.5
weir_last_commit_timestamp_seconds{topic="gone",partition="0"} NaN
weir_stalled_seconds{slot="0"} 0
weir_dead_letters_total{stage="source",code="not_json"} 3
weir_dead_letters_total{stage="decode",code="too_large"} 1
weir_transactions_total{outcome="committed"} 77
weir_transactions_total{outcome="aborted"} 2
weir_reloads_total{kind="tenants",outcome="reloaded"} 4
weir_reloads_total{kind="tenants",outcome="kept"} 1
weir_model_tokens_total{tenant="acme",kind="prompt"} 12345
weir_model_tokens_total{tenant="acme",kind="completion"} 2345
process_resident_memory_bytes 354418688
weir_memory_limit_bytes 536870912
"#;
    pub const BEGUN: &str = "weir_build_info{version=\"0.1.0\",pack=\"weir-mini\"} 1\n";

    pub fn between(before: &str, now: &str, not_ready: &[&str], stuck: &[&str]) -> Reading {
        let start = Instant::now();
        let sample = |page: &str, after: u64| Sample {
            taken: start + Duration::from_secs(after),
            time: 1_700_000_000.0,
            page: Page::parse(page).unwrap(),
            not_ready: not_ready.iter().map(|part| (*part).to_owned()).collect(),
            stuck: stuck.iter().map(|part| (*part).to_owned()).collect(),
        };
        Reading::between(
            "127.0.0.1:9464".to_owned(),
            &sample(before, 0),
            &sample(now, 2),
        )
    }

    #[test]
    fn rates_are_of_the_interval_and_the_rest_is_of_now() {
        let read = between(BEFORE, NOW, &[], &[]);
        assert!(read.ready && read.live);
        let rates = &read.per_second;
        assert_eq!(
            (rates.documents, rates.bytes, rates.entities, rates.tokens),
            (51.0, 102_400.0, 30.0, 1000.0)
        );
        let total = &read.total;
        assert_eq!(
            (total.documents, total.bytes, total.entities),
            (1102, 1_204_800, 560)
        );
        let lag = read.lag.unwrap();
        assert_eq!((lag.records, lag.seconds), (310, Some(2.25)));
        assert_eq!(lag.partitions[0].partition, "1", "the oldest first");
        let latency = read.end_to_end.unwrap();
        assert_eq!((latency.of, latency.documents), (Of::Interval, 100));
        assert!((latency.p50.seconds - 0.1).abs() < 1e-9, "{latency:?}");
        assert!((latency.p99.seconds - 0.982).abs() < 1e-9, "{latency:?}");
        assert_eq!(read.last_commit_seconds_ago, Some(0.5));
        assert_eq!(read.stalled_seconds, Some(0.0));
        let codes = [("not_json", 3), ("too_large", 1)].map(|(code, n)| (code.to_owned(), n));
        assert_eq!(read.dead_letters, BTreeMap::from(codes));
        assert_eq!(read.transactions["committed"], 77);
        assert_eq!(read.reloads["kept"], 1);
        assert_eq!(read.model_tokens["prompt"], 12345);
        let memory = read.memory.unwrap();
        assert_eq!(memory.limit_bytes, Some(512 << 20));
    }

    #[test]
    fn without_documents_in_the_interval_quantiles_are_since_the_start() {
        let read = between(NOW, NOW, &[], &[]);
        let latency = read.end_to_end.unwrap();
        assert_eq!((latency.of, latency.documents), (Of::Start, 1100));
        assert_eq!(read.per_second.documents, 0.0);
    }

    #[test]
    fn what_a_worker_has_no_metric_for_is_absent() {
        let read = between("", BEGUN, &["pack", "tenants"], &["source"]);
        assert!(!read.ready && !read.live);
        assert_eq!(read.not_ready, ["pack", "tenants"]);
        assert!(read.lag.is_none() && read.end_to_end.is_none() && read.queue.is_none());
        assert!(read.last_commit_seconds_ago.is_none() && read.memory.is_none());
        assert!(read.dead_letters.is_empty() && read.transactions.is_empty());
        assert_eq!(read.version.as_deref(), Some("0.1.0"));
    }

    #[test]
    fn a_worker_that_was_restarted_counts_from_0() {
        let read = between(NOW, BEFORE, &[], &[]);
        assert_eq!(read.per_second.documents, 500.0);
        assert_eq!(read.end_to_end.unwrap().documents, 1000);
    }
}
