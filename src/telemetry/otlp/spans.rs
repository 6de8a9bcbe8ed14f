//! Spans on their way to the collector.

use std::{sync::Arc, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, Span, SpanData, SpanExporter,
        SpanProcessor,
    },
};

use super::flow::Flow;

pub(super) fn provider(
    exporter: opentelemetry_otlp::SpanExporter,
    flow: Arc<Flow>,
    resource: Resource,
) -> SdkTracerProvider {
    let exporter = Counted {
        inner: exporter,
        flow: flow.clone(),
    };
    // OTEL_BSP_* are read by the builder.
    let config = BatchConfigBuilder::default().with_max_queue_size(flow.most());
    let inner = BatchSpanProcessor::builder(exporter).with_batch_config(config.build());
    let processor = Bounded {
        inner: inner.build(),
        flow,
    };
    SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_resource(resource)
        .build()
}

/// Refuses spans beyond the bound, and counts them.
#[derive(Debug)]
struct Bounded {
    inner: BatchSpanProcessor,
    flow: Arc<Flow>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.flow.admit() {
            self.inner.on_end(span);
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
    inner: opentelemetry_otlp::SpanExporter,
    flow: Arc<Flow>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let outcome = self.inner.export(batch).await;
        self.flow.sent(count, &outcome);
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
