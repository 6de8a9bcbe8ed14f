//! Metrics on their way to the collector: the same names, labels and buckets as on `/metrics`.
//!
//! Counters and gauges are atomics that the SDK reads when it exports. A gauge that is not a number is left out: the
//! SDK's own gauges would repeat the last value of a partition that another worker has.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use metrics_util::registry::{Registry, Storage};
use opentelemetry::{
    KeyValue,
    metrics::{Histogram as Instrument, Meter, MeterProvider as _},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{
        InstrumentKind, PeriodicReader, SdkMeterProvider, Stream, Temporality,
        data::ResourceMetrics, exporter::PushMetricExporter,
    },
};

use super::flow::Flow;
use crate::telemetry::metric::{self, Kind, Metric};

/// Series of one metric that the SDK keeps apart: more than topics of one worker have partitions. Its default, 2,000,
/// would hide lag of the others under one name.
const SERIES: usize = 20_000;

/// Records metrics for the collector.
pub struct Recorder(Arc<Registry<Key, Instruments>>);

pub(super) fn build(
    exporter: opentelemetry_otlp::MetricExporter,
    flow: Arc<Flow>,
    interval: Duration,
    resource: Resource,
) -> (SdkMeterProvider, Recorder) {
    let exporter = Counted {
        inner: exporter,
        flow,
    };
    let reader = PeriodicReader::builder(exporter).with_interval(interval);
    let provider = SdkMeterProvider::builder()
        .with_reader(reader.build())
        .with_view(|instrument| {
            // A view of a histogram would undo its buckets.
            let is_plain = instrument.kind() != InstrumentKind::Histogram;
            let stream = Stream::builder().with_cardinality_limit(SERIES).build();
            stream.ok().filter(|_| is_plain)
        })
        .with_resource(resource)
        .build();
    let recorder = Recorder::new(&provider.meter("weir"));
    (provider, recorder)
}

impl Recorder {
    fn new(meter: &Meter) -> Self {
        let histograms = metric::ALL.iter().filter(|own| own.kind == Kind::Histogram);
        let histograms = histograms.map(|own| {
            let instrument = meter
                .f64_histogram(own.name)
                .with_unit(own.unit)
                .with_description(own.description)
                .with_boundaries(metric::buckets(own.name).to_vec());
            (own.name, instrument.build())
        });
        let registry = Arc::new(Registry::new(Instruments(histograms.collect())));
        for own in metric::ALL {
            observe(meter, own, &registry);
        }
        Self(registry)
    }
}

/// Has the SDK read a counter or a gauge.
fn observe(meter: &Meter, own: &'static Metric, registry: &Arc<Registry<Key, Instruments>>) {
    let registry = registry.clone();
    match own.kind {
        Kind::Counter => {
            let counter = meter.u64_observable_counter(own.name);
            let counter = counter
                .with_unit(own.unit)
                .with_description(own.description);
            let read = counter.with_callback(move |observer| {
                metric::refresh();
                registry.visit_counters(|key, value| {
                    if key.name() == own.name {
                        observer.observe(value.load(Ordering::Relaxed), &attributes(key));
                    }
                });
            });
            let _ = read.build();
        }
        Kind::Gauge => {
            let gauge = meter.f64_observable_gauge(own.name);
            let gauge = gauge.with_unit(own.unit).with_description(own.description);
            let read = gauge.with_callback(move |observer| {
                metric::refresh();
                registry.visit_gauges(|key, value| {
                    let value = f64::from_bits(value.load(Ordering::Relaxed));
                    if key.name() == own.name && value.is_finite() {
                        observer.observe(value, &attributes(key));
                    }
                });
            });
            let _ = read.build();
        }
        Kind::Histogram => {}
    }
}

fn attributes(key: &Key) -> Vec<KeyValue> {
    let labels = key.labels();
    let pair =
        |label: &metrics::Label| KeyValue::new(label.key().to_owned(), label.value().to_owned());
    labels.map(pair).collect()
}

/// The histograms by name.
struct Instruments(HashMap<&'static str, Instrument<f64>>);

impl Storage<Key> for Instruments {
    type Counter = Arc<AtomicU64>;
    type Gauge = Arc<AtomicU64>;
    type Histogram = Arc<Series>;

    fn counter(&self, _: &Key) -> Self::Counter {
        Arc::default()
    }

    fn gauge(&self, _: &Key) -> Self::Gauge {
        Arc::default()
    }

    fn histogram(&self, key: &Key) -> Self::Histogram {
        Arc::new(Series {
            instrument: self.0.get(key.name()).cloned(),
            attributes: attributes(key),
        })
    }
}

/// A histogram with its labels.
struct Series {
    /// `None`: the table has no such metric.
    instrument: Option<Instrument<f64>>,
    attributes: Vec<KeyValue>,
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        if let Some(instrument) = &self.instrument {
            instrument.record(value, &self.attributes);
        }
    }
}

impl metrics::Recorder for Recorder {
    // The table describes them.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let counter = |own: &Arc<AtomicU64>| own.clone().into();
        self.0.get_or_create_counter(key, counter)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        let gauge = |own: &Arc<AtomicU64>| own.clone().into();
        self.0.get_or_create_gauge(key, gauge)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let histogram = |own: &Arc<Series>| own.clone().into();
        self.0.get_or_create_histogram(key, histogram)
    }
}

/// Counts exports that the collector does not take. Sums go on from where they were, so the next one makes up for it.
struct Counted {
    inner: opentelemetry_otlp::MetricExporter,
    flow: Arc<Flow>,
}

impl PushMetricExporter for Counted {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let outcome = self.inner.export(metrics).await;
        self.flow.sent(0, &outcome);
        outcome
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}
