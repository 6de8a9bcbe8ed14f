//! Log lines on their way to the collector: those that are printed, so a line that repeats comes once, with a count.

use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope,
    logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{
        BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord,
        SdkLogger, SdkLoggerProvider,
    },
};
use tracing::Level;

use super::flow::Flow;

/// Libraries that take part in sending: a line of theirs about a request would make the next request.
const OF_SENDING: [&str; 5] = ["hyper", "reqwest", "h2", "rustls", "opentelemetry"];

static LOGGER: OnceLock<SdkLogger> = OnceLock::new();

pub(super) fn start(
    exporter: opentelemetry_otlp::LogExporter,
    flow: Arc<Flow>,
    resource: Resource,
) -> SdkLoggerProvider {
    let exporter = Counted {
        inner: exporter,
        flow: flow.clone(),
    };
    // OTEL_BLRP_* are read by the builder.
    let config = BatchConfigBuilder::default().with_max_queue_size(flow.most());
    let inner = BatchLogProcessor::builder(exporter).with_batch_config(config.build());
    let provider = SdkLoggerProvider::builder()
        .with_log_processor(Bounded {
            inner: inner.build(),
            flow,
        })
        .with_resource(resource)
        .build();
    let _ = LOGGER.set(provider.logger("weir"));
    provider
}

/// Sends a line, if lines are sent.
pub(in crate::telemetry) fn emit(
    level: Level,
    target: &'static str,
    message: &str,
    attributes: impl Iterator<Item = (&'static str, AnyValue)>,
) {
    let Some(logger) = LOGGER.get() else { return };
    if OF_SENDING.iter().any(|own| target.starts_with(own)) {
        return;
    }
    let (severity, name) = match level {
        Level::ERROR => (Severity::Error, "ERROR"),
        Level::WARN => (Severity::Warn, "WARN"),
        Level::INFO => (Severity::Info, "INFO"),
        Level::DEBUG => (Severity::Debug, "DEBUG"),
        _ => (Severity::Trace, "TRACE"),
    };
    let mut record = logger.create_log_record();
    record.set_timestamp(SystemTime::now());
    record.set_severity_number(severity);
    record.set_severity_text(name);
    record.set_target(target);
    record.set_body(AnyValue::from(message.to_owned()));
    record.add_attributes(attributes);
    logger.emit(record);
}

/// Refuses lines beyond the bound, and counts them.
#[derive(Debug)]
struct Bounded {
    inner: BatchLogProcessor,
    flow: Arc<Flow>,
}

impl LogProcessor for Bounded {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        if self.flow.admit() {
            self.inner.emit(record, scope);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Counts what the collector does not take.
#[derive(Debug)]
struct Counted {
    inner: opentelemetry_otlp::LogExporter,
    flow: Arc<Flow>,
}

impl LogExporter for Counted {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let count = batch.iter().count();
        let outcome = self.inner.export(batch).await;
        self.flow.sent(count, &outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
