//! Every metric: name, unit, description, in one place.

use std::{
    collections::{HashMap, HashSet},
    sync::{LazyLock, PoisonError, RwLock},
    time::Instant,
};

use metrics::{
    SharedString, Unit, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
#[cfg(feature = "server")]
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

pub use crate::record::Stage;

/// Kind of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name in Prometheus.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Unit, where it has one.
    pub unit: Option<Unit>,
    /// Labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub description: &'static str,
}

macro_rules! metrics_table {
    ($($constant:ident = $name:literal, $kind:ident, $unit:expr, [$($label:literal),*], $description:literal;)*) => {
        $(#[doc = $description] pub const $constant: &str = $name;)*

        /// All metrics.
        pub const ALL: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            unit: $unit,
            labels: &[$($label),*],
            description: $description,
        }),*];
    };
}

metrics_table! {
    DOCUMENTS_TOTAL = "weir_documents_total", Counter, None, ["tenant", "outcome"],
        "Documents by outcome: delivered, dead_lettered.";
    DOCUMENT_BYTES_TOTAL = "weir_document_bytes_total", Counter, Some(Unit::Bytes), ["tenant", "outcome"],
        "Bytes of documents by outcome.";
    ENTITIES_TOTAL = "weir_entities_total", Counter, None, ["tenant", "label", "recognizer"],
        "Entities found.";
    REDACTIONS_TOTAL = "weir_redactions_total", Counter, None, ["tenant", "operator"],
        "Values transformed.";
    DEAD_LETTERS_TOTAL = "weir_dead_letters_total", Counter, None, ["stage", "code"],
        "Records that did not go downstream.";
    ERRORS_TOTAL = "weir_errors_total", Counter, None, ["stage", "error_type"],
        "Errors of source, model and sink that did not become dead letters, including those that a retry fixed.";
    TOKENS_TOTAL = "weir_tokens_total", Counter, None, ["kind"],
        "Tokens of the model by kind: real, padding, reused.";
    MODEL_REQUESTS_TOTAL = "weir_model_requests_total", Counter, None, ["tenant", "outcome"],
        "Requests to a model over HTTP by outcome: answered, retried, too_long, failed.";
    MODEL_TOKENS_TOTAL = "weir_model_tokens_total", Counter, None, ["tenant", "kind"],
        "Tokens of answered requests to a model over HTTP, by the server's count: prompt, completion.";
    MODEL_VALUES_DROPPED_TOTAL = "weir_model_values_dropped_total", Counter, None, ["tenant", "reason"],
        "Values that a model over HTTP named and that could not be used: invented (not in the text), unasked (of a label that nobody asked for).";
    STAGE_DURATION_SECONDS = "weir_stage_duration_seconds", Histogram, Some(Unit::Seconds), ["stage"],
        "Time that a stage took.";
    END_TO_END_SECONDS = "weir_end_to_end_seconds", Histogram, Some(Unit::Seconds), [],
        "Time from reading a document to handing it to its sink.";
    QUEUE_BYTES = "weir_queue_bytes", Gauge, Some(Unit::Bytes), ["queue"],
        "Bytes that wait in a queue.";
    QUEUE_LIMIT_BYTES = "weir_queue_limit_bytes", Gauge, Some(Unit::Bytes), ["queue"],
        "Bound of a queue.";
    PAUSED_PARTITIONS = "weir_paused_partitions", Gauge, None, ["slot"],
        "Partitions that are not fetched because what was read is not yet committed.";
    TRANSACTIONS_TOTAL = "weir_transactions_total", Counter, None, ["outcome"],
        "Transactions by outcome: committed, aborted, unknown.";
    TRANSACTION_DURATION_SECONDS = "weir_transaction_duration_seconds", Histogram, Some(Unit::Seconds), ["outcome"],
        "Time from beginning a transaction to its end.";
    CALLS_GIVEN_UP_TOTAL = "weir_calls_given_up_total", Counter, None, [],
        "Calls into the Kafka client that exceeded their deadline and were left behind.";
    CALLS_LEFT_BEHIND = "weir_calls_left_behind", Gauge, None, [],
        "Calls into the Kafka client that were given up and have not returned.";
    STALLED_SECONDS = "weir_stalled_seconds", Gauge, Some(Unit::Seconds), ["slot"],
        "Seconds for which work waits and nothing was committed; 0 while nothing waits.";
    CONSUMER_LAG = "weir_consumer_lag", Gauge, None, ["topic", "partition"],
        "Records of a partition that are not committed; of partitions that this worker has.";
    SKIPPED_RECORDS_TOTAL = "weir_skipped_records_total", Counter, None, ["topic", "partition"],
        "Records that a topic deleted before they were read (retention).";
    LAST_COMMIT_TIMESTAMP_SECONDS = "weir_last_commit_timestamp_seconds", Gauge, Some(Unit::Seconds), ["topic", "partition"],
        "When offsets of a partition were last committed, since 1970.";
    RELOADS_TOTAL = "weir_reloads_total", Counter, None, ["kind", "outcome"],
        "Reloads of tenant files by outcome: reloaded, unchanged, kept.";
    BUILD_INFO = "weir_build_info", Gauge, None, ["version", "pack"],
        "1, with the version of weir and the pack.";
}

/// Most values of a label; further ones are counted under [`OTHER`]. Values come from configuration,
/// but a thousand tenants times a hundred labels would still drown a Prometheus.
pub const MAX_LABEL_VALUES: usize = 200;

/// The value that stands for all that are over the bound.
pub const OTHER: &str = "_other";

/// Upper bounds of the duration histograms in seconds: from one short record to one large object.
#[cfg(feature = "server")]
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Installs the recorder; once in a process. Without it metrics cost almost nothing.
#[cfg(feature = "server")]
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .install_recorder()?;
    describe();
    Ok(handle)
}

/// Tells units and descriptions to the recorder in use.
pub fn describe() {
    for metric in ALL {
        let unit = metric.unit.unwrap_or(Unit::Count);
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.description),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.description),
            Kind::Histogram => describe_histogram!(metric.name, unit, metric.description),
        }
    }
}

/// Sets `weir_build_info`.
pub fn build_info(pack: &str) {
    gauge!(BUILD_INFO, "version" => crate::VERSION, "pack" => pack.to_owned()).set(1.0);
}

/// Records how long a stage took, as `weir_stage_duration_seconds`.
pub fn stage(stage: Stage, began: Instant) {
    histogram!(STAGE_DURATION_SECONDS, "stage" => stage.as_str()).record(began.elapsed());
}

/// Values of one label that were seen, at most [`MAX_LABEL_VALUES`].
#[derive(Debug, Default)]
pub struct LabelValues(RwLock<HashSet<SharedString>>);

impl LabelValues {
    /// The value itself, or [`OTHER`] once there are too many.
    pub fn bound(&self, value: &str) -> SharedString {
        let seen = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get(value) {
            return known.clone();
        }
        drop(seen);
        let mut seen = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_LABEL_VALUES && !seen.contains(value) {
            return SharedString::const_str(OTHER);
        }
        let value = SharedString::from(value.to_owned());
        seen.insert(value.clone());
        value
    }
}

/// A value of a label that the configuration names (`tenant`, `label`), bounded for the process.
pub fn label(name: &'static str, value: &str) -> SharedString {
    static SEEN: LazyLock<HashMap<&'static str, LabelValues>> = LazyLock::new(|| {
        ALL.iter()
            .flat_map(|metric| metric.labels)
            .map(|label| (*label, LabelValues::default()))
            .collect()
    });
    match SEEN.get(name) {
        Some(values) => values.bound(value),
        None => SharedString::const_str(OTHER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_has_at_most_200_values_and_other() {
        let values = LabelValues::default();
        let bound: HashSet<String> = (0..1000)
            .map(|i| values.bound(&format!("t{i}")).to_string())
            .collect();
        assert_eq!(bound.len(), MAX_LABEL_VALUES + 1);
        assert!(bound.contains(OTHER));
        assert_eq!(
            values.bound("t7").as_ref() as &str,
            "t7",
            "a known value stays"
        );
    }

    #[test]
    fn names_follow_prometheus() {
        for metric in ALL {
            assert!(metric.name.starts_with("weir_"), "{}", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{}",
                metric.name
            );
            if metric.unit == Some(Unit::Seconds) {
                assert!(metric.name.ends_with("_seconds"), "{}", metric.name);
            }
            if metric.unit == Some(Unit::Bytes) {
                assert!(metric.name.contains("_bytes"), "{}", metric.name);
            }
        }
    }
}
