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
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};

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
    /// Unit, as UCUM writes it; what is counted stands in braces.
    pub unit: &'static str,
    /// Labels.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub description: &'static str,
}

macro_rules! metrics_table {
    ($($constant:ident = $name:literal, $kind:ident, $unit:literal, [$($label:literal),*], $description:literal;)*) => {
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
    DOCUMENTS_TOTAL = "weir_documents_total", Counter, "{document}", ["tenant", "outcome"],
        "Documents by outcome: delivered, dead_lettered.";
    DOCUMENT_BYTES_TOTAL = "weir_document_bytes_total", Counter, "By", ["tenant", "outcome"],
        "Bytes of documents by outcome.";
    ENTITIES_TOTAL = "weir_entities_total", Counter, "{entity}", ["tenant", "label", "recognizer"],
        "Entities found.";
    REDACTIONS_TOTAL = "weir_redactions_total", Counter, "{value}", ["tenant", "operator"],
        "Values transformed.";
    DEAD_LETTERS_TOTAL = "weir_dead_letters_total", Counter, "{record}", ["stage", "code"],
        "Records that did not go downstream.";
    ERRORS_TOTAL = "weir_errors_total", Counter, "{error}", ["stage", "error_type"],
        "Errors of source, model and sink that did not become dead letters, including those that a retry fixed.";
    TOKENS_TOTAL = "weir_tokens_total", Counter, "{token}", ["kind"],
        "Tokens of the model by kind: real, padding, reused.";
    MODEL_REQUESTS_TOTAL = "weir_model_requests_total", Counter, "{request}", ["tenant", "outcome"],
        "Requests to a model over HTTP by outcome: answered, retried, too_long, failed.";
    MODEL_TOKENS_TOTAL = "weir_model_tokens_total", Counter, "{token}", ["tenant", "kind"],
        "Tokens of answered requests to a model over HTTP, by the server's count: prompt, completion.";
    MODEL_VALUES_DROPPED_TOTAL = "weir_model_values_dropped_total", Counter, "{value}", ["tenant", "reason"],
        "Values that a model over HTTP named and that could not be used: invented (not in the text), unasked (of a label that nobody asked for).";
    STAGE_DURATION_SECONDS = "weir_stage_duration_seconds", Histogram, "s", ["stage"],
        "Time that a stage took.";
    END_TO_END_SECONDS = "weir_end_to_end_seconds", Histogram, "s", [],
        "Time from reading a document to handing it to its sink.";
    QUEUE_BYTES = "weir_queue_bytes", Gauge, "By", ["queue"],
        "Bytes that wait in a queue.";
    QUEUE_LIMIT_BYTES = "weir_queue_limit_bytes", Gauge, "By", ["queue"],
        "Bound of a queue.";
    PAUSED_PARTITIONS = "weir_paused_partitions", Gauge, "{partition}", ["slot"],
        "Partitions that are not fetched because what was read is not yet committed.";
    TRANSACTIONS_TOTAL = "weir_transactions_total", Counter, "{transaction}", ["outcome"],
        "Transactions by outcome: committed, aborted, unknown.";
    TRANSACTION_DURATION_SECONDS = "weir_transaction_duration_seconds", Histogram, "s", ["outcome"],
        "Time from beginning a transaction to its end.";
    CALLS_GIVEN_UP_TOTAL = "weir_calls_given_up_total", Counter, "{call}", [],
        "Calls into the Kafka client that exceeded their deadline and were left behind.";
    CALLS_LEFT_BEHIND = "weir_calls_left_behind", Gauge, "{call}", [],
        "Calls into the Kafka client that were given up and have not returned.";
    STALLED_SECONDS = "weir_stalled_seconds", Gauge, "s", ["slot"],
        "Seconds for which work waits and nothing was committed; 0 while nothing waits.";
    CONSUMER_LAG = "weir_consumer_lag", Gauge, "{record}", ["topic", "partition"],
        "Records of a partition that are not committed; of partitions that this worker has.";
    LAG_SECONDS = "weir_lag_seconds", Gauge, "s", ["topic", "partition"],
        "Age of the oldest record of a partition that is not committed, as far as it was read; 0 if all are committed.";
    SKIPPED_RECORDS_TOTAL = "weir_skipped_records_total", Counter, "{record}", ["topic", "partition"],
        "Records that a topic deleted before they were read (retention).";
    LAST_COMMIT_TIMESTAMP_SECONDS = "weir_last_commit_timestamp_seconds", Gauge, "s", ["topic", "partition"],
        "When offsets of a partition were last committed, since 1970.";
    READY = "weir_ready", Gauge, "{worker}", [],
        "1 if /readyz answers 200; 0 while the worker starts, drains, or cannot reach brokers or a store.";
    RELOADS_TOTAL = "weir_reloads_total", Counter, "{reload}", ["kind", "outcome"],
        "Reloads of tenant files by outcome: reloaded, unchanged, kept.";
    TELEMETRY_DROPPED_TOTAL = "weir_telemetry_dropped_total", Counter, "{item}", ["signal"],
        "Spans (traces) and log lines (logs) that a collector did not take, and exports of metrics that failed.";
    MEMORY_LIMIT_BYTES = "weir_memory_limit_bytes", Gauge, "By", [],
        "Memory that the process may use: the limit of its control group, else the memory of the machine.";
    PROCESS_CPU_SECONDS_TOTAL = "process_cpu_seconds_total", Counter, "s", [],
        "Processor time of the process.";
    PROCESS_RESIDENT_MEMORY_BYTES = "process_resident_memory_bytes", Gauge, "By", [],
        "Resident memory of the process.";
    PROCESS_VIRTUAL_MEMORY_BYTES = "process_virtual_memory_bytes", Gauge, "By", [],
        "Virtual memory of the process.";
    PROCESS_VIRTUAL_MEMORY_MAX_BYTES = "process_virtual_memory_max_bytes", Gauge, "By", [],
        "Virtual memory that the process may have.";
    PROCESS_OPEN_FDS = "process_open_fds", Gauge, "{file}", [],
        "Open file descriptors.";
    PROCESS_MAX_FDS = "process_max_fds", Gauge, "{file}", [],
        "File descriptors that the process may have.";
    PROCESS_THREADS = "process_threads", Gauge, "{thread}", [],
        "Threads of the process.";
    PROCESS_START_TIME_SECONDS = "process_start_time_seconds", Gauge, "s", [],
        "When the process started, since 1970.";
    BUILD_INFO = "weir_build_info", Gauge, "{build}", ["version", "pack"],
        "1, with the version of weir and the pack.";
}

/// Most values of a label; further ones are counted under [`OTHER`]. Values come from configuration,
/// but a thousand tenants times a hundred labels would still drown a Prometheus.
pub const MAX_LABEL_VALUES: usize = 200;

/// Most numbers of partitions.
const MAX_PARTITIONS: usize = 5000;

/// The value that stands for all that are over the bound.
pub const OTHER: &str = "_other";

/// Upper bounds of the duration histograms in seconds: from one short record to one large object.
const SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// Those of a record's whole way: a backlog may be hours old.
const WHOLE_WAY: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 900.0, 1800.0, 3600.0, 7200.0,
];

/// Upper bounds of a histogram.
pub fn buckets(name: &str) -> &'static [f64] {
    match name {
        END_TO_END_SECONDS => WHOLE_WAY,
        _ => SECONDS,
    }
}

/// A recorder for `/metrics`.
#[cfg(feature = "server")]
pub fn prometheus() -> Result<PrometheusRecorder, BuildError> {
    let whole_way = Matcher::Full(END_TO_END_SECONDS.to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(whole_way, WHOLE_WAY)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?;
    Ok(builder.build_recorder())
}

/// Installs a recorder; once in a process. Without one metrics cost almost nothing.
pub fn install(recorder: impl metrics::Recorder + Sync + 'static) -> Result<(), Installed> {
    metrics::set_global_recorder(recorder).map_err(|_| Installed)?;
    describe();
    gauge!(MEMORY_LIMIT_BYTES).set(memory_limit() as f64);
    Ok(())
}

/// Metrics are recorded already.
#[derive(Debug, thiserror::Error)]
#[error("metrics of this process are recorded already")]
pub struct Installed;

/// Brings the figures of the process up to date, at most ten times in a second.
#[cfg(any(feature = "server", feature = "otlp"))]
pub fn refresh() {
    static LAST: std::sync::Mutex<Option<Instant>> = std::sync::Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_some_and(|at| at.elapsed() < std::time::Duration::from_millis(100)) {
        return;
    }
    *last = Some(Instant::now());
    drop(last);
    metrics_process::Collector::default().collect();
}

/// Bytes that the process may use: the limit of its control group (version 2 or 1), else the machine's memory.
fn memory_limit() -> u64 {
    let number = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let of_machine = || {
        let text = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    let of_machine = of_machine().unwrap_or(u64::MAX);
    // Version 1 writes a number near 2^63 for "none".
    [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ]
    .into_iter()
    .find_map(number)
    .map_or(of_machine, |limit| limit.min(of_machine))
}

/// Tells units and descriptions to the recorder in use.
pub fn describe() {
    for metric in ALL {
        let unit = match metric.unit {
            "s" => Unit::Seconds,
            "By" => Unit::Bytes,
            _ => Unit::Count,
        };
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, unit, metric.description),
            Kind::Gauge => describe_gauge!(metric.name, unit, metric.description),
            Kind::Histogram => describe_histogram!(metric.name, unit, metric.description),
        }
    }
}

/// The reference of all metrics as Markdown: `docs/metrics.md`.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Metrics\n\nGenerated from the code with `weir schema metrics`; do not edit.\n\n\
         `weir run` shows them on `/metrics` of `telemetry.listen`, and sends them to an OpenTelemetry collector under the \
         same names, with the same labels and buckets. [Monitoring](monitoring.md) says which to watch, and \
         [telemetry](telemetry.md) how to send them.\n\nA label has at most 200 values, a partition's number 5,000. \
         Further ones are counted under `_other`. Entities have at most 1,500 combinations of tenant, label and \
         recognizer. Gauges of a partition end when another worker gets the partition.\n\n\
         | metric | kind | unit | labels | what it says |\n| --- | --- | --- | --- | --- |\n",
    );
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let unit = match metric.unit {
            "s" => "seconds",
            "By" => "bytes",
            unit => unit.trim_matches(['{', '}']),
        };
        let labels = metric.labels.iter().map(|label| format!("`{label}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        let (name, about) = (metric.name, metric.description);
        page += &format!("| `{name}` | {kind} | {unit} | {labels} | {about} |\n");
    }
    let bounds = |bounds: &[f64]| {
        let texts = bounds.iter().map(f64::to_string);
        texts.collect::<Vec<_>>().join(", ")
    };
    page += &format!(
        "\nUpper bounds of the buckets in seconds: {}. `{END_TO_END_SECONDS}` goes on: {}.\n",
        bounds(SECONDS),
        bounds(&WHOLE_WAY[SECONDS.len()..])
    );
    page
}

/// Sets `weir_build_info`.
pub fn build_info(pack: &str) {
    gauge!(BUILD_INFO, "version" => crate::VERSION, "pack" => pack.to_owned()).set(1.0);
}

/// Records how long a stage took, as `weir_stage_duration_seconds`.
pub fn stage(stage: Stage, began: Instant) {
    histogram!(STAGE_DURATION_SECONDS, "stage" => stage.as_str()).record(began.elapsed());
}

/// Values of one label that were seen, at most [`MAX_LABEL_VALUES`] unless another bound is given.
#[derive(Debug)]
pub struct LabelValues {
    seen: RwLock<HashSet<SharedString>>,
    most: usize,
}

impl Default for LabelValues {
    fn default() -> Self {
        Self::up_to(MAX_LABEL_VALUES)
    }
}

impl LabelValues {
    /// Takes so many values.
    pub fn up_to(most: usize) -> Self {
        Self {
            seen: RwLock::default(),
            most,
        }
    }

    /// The value itself, or [`OTHER`] once there are too many.
    pub fn bound(&self, value: &str) -> SharedString {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = seen.get(value) {
            return known.clone();
        }
        drop(seen);
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= self.most && !seen.contains(value) {
            return SharedString::const_str(OTHER);
        }
        let value = SharedString::from(value.to_owned());
        seen.insert(value.clone());
        value
    }
}

/// Most series of a metric whose labels multiply. The SDK of OpenTelemetry counts what is over 2,000 under no name.
pub const MAX_SERIES: usize = 1500;

/// Labels of an entity, bounded together too: 200 tenants, 200 labels and their recognizers would make a million
/// series. What is over the bound is counted for its tenant, under [`OTHER`] as label and recognizer.
pub fn entity_labels(
    tenant: &str,
    entity: &str,
    recognizer: &str,
) -> (SharedString, SharedString, SharedString) {
    static SEEN: LazyLock<LabelValues> = LazyLock::new(|| LabelValues::up_to(MAX_SERIES));
    let tenant = label("tenant", tenant);
    let (entity, recognizer) = (label("label", entity), label("recognizer", recognizer));
    // A control character is in no name.
    let together = format!("{tenant}\u{1f}{entity}\u{1f}{recognizer}");
    match AsRef::<str>::as_ref(&SEEN.bound(&together)) == OTHER {
        true => (
            tenant,
            SharedString::const_str(OTHER),
            SharedString::const_str(OTHER),
        ),
        false => (tenant, entity, recognizer),
    }
}

/// A value of a label that the configuration names (`tenant`, `label`), bounded for the process.
pub fn label(name: &'static str, value: &str) -> SharedString {
    static SEEN: LazyLock<HashMap<&'static str, LabelValues>> = LazyLock::new(|| {
        ALL.iter()
            .flat_map(|metric| metric.labels)
            .map(|label| {
                let most = match *label {
                    // Numbers; a gauge that stands for several partitions would say nothing about any.
                    "partition" => MAX_PARTITIONS,
                    _ => MAX_LABEL_VALUES,
                };
                (*label, LabelValues::up_to(most))
            })
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
            let is_ours = metric.name.starts_with("weir_");
            // Names that every Prometheus client gives to its process.
            assert!(
                is_ours || metric.name.starts_with("process_"),
                "{}",
                metric.name
            );
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{}",
                metric.name
            );
            let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            match metric.unit {
                "s" => assert!(name.ends_with("_seconds"), "{name}"),
                "By" => assert!(name.ends_with("_bytes"), "{name}"),
                // Without braces a translator to Prometheus would call it a ratio.
                unit => assert!(unit.starts_with('{') && unit.ends_with('}'), "{name}"),
            }
        }
    }
}
