//! Spans, by the conventions for messaging (OpenTelemetry semantic conventions 1.44, in development).
//!
//! Each kind of span has a constructor that takes places, names from the configuration and counts. None takes text, so
//! no key, value, id, header or error of a document can become an attribute (I7).
//!
//! Without a collector nothing is started: every span is empty, and costs a look at one flag.

use std::sync::OnceLock;

use futures::future::Either;
use opentelemetry::{
    Context, ContextGuard, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{
        FutureExt as _, Link as SpanLink, SpanBuilder, SpanContext, SpanKind, Status,
        TraceContextExt as _, Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider},
};

use crate::config::telemetry::{DocumentSpans, Parent};

/// Which records have a span, and what it belongs to.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which records.
    pub documents: DocumentSpans,
    /// What their spans belong to.
    pub parent: Parent,
}

struct Tracing {
    tracer: SdkTracer,
    options: Options,
}

static TRACING: OnceLock<Tracing> = OnceLock::new();

/// Starts to make spans; once in a process.
pub(super) fn start(provider: &SdkTracerProvider, options: Options) {
    let tracer = provider.tracer("weir");
    let _ = TRACING.set(Tracing { tracer, options });
}

/// Where a record stood.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The group that reads it.
    pub group: &'a str,
}

/// Headers of a record: `traceparent`, and `tracestate` if it has one.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    /// The header `traceparent`.
    pub parent: &'a str,
    /// The header `tracestate`.
    pub state: Option<&'a str>,
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => Some(self.parent),
            "tracestate" => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// What another span refers to.
#[derive(Debug, Clone, Default)]
pub struct Link(Option<Box<SpanContext>>);

impl Link {
    fn to(context: &SpanContext) -> Self {
        Self(context.is_sampled().then(|| Box::new(context.clone())))
    }

    /// Whether there is nothing to refer to.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

fn links<'l>(links: impl IntoIterator<Item = &'l Link>) -> Vec<SpanLink> {
    let known = links.into_iter().filter_map(|link| link.0.as_deref());
    // The SDK keeps the first 128 and counts the rest.
    known
        .map(|context| SpanLink::with_context(context.clone()))
        .collect()
}

/// A span that may be empty. It ends with [`Span::end`], or when its last clone is dropped.
#[derive(Debug, Clone, Default)]
pub struct Span(Option<Context>);

/// Makes a span the one that others are begun in, on this thread.
#[must_use]
pub struct Entered(#[allow(dead_code)] Option<ContextGuard>); // its drop leaves the span

impl Span {
    fn begin(tracing: &Tracing, builder: SpanBuilder, parent: &Context) -> Self {
        let span = tracing.tracer.build_with_context(builder, parent);
        Self(Some(parent.with_span(span)))
    }

    /// Begins what is done on this thread inside this span.
    pub fn enter(&self) -> Entered {
        Entered(self.0.clone().map(Context::attach))
    }

    /// Has a future's spans begin inside this one.
    pub fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        match self.0 {
            Some(context) => Either::Left(future.with_context(context)),
            None => Either::Right(future),
        }
    }

    /// What refers to it.
    pub fn link(&self) -> Link {
        let Some(context) = &self.0 else {
            return Link::default();
        };
        Link::to(context.span().span_context())
    }

    /// Ends it; `error` is a code of weir's.
    pub fn end(&self, error: Option<&'static str>) {
        let Some(context) = &self.0 else { return };
        let span = context.span();
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error));
            // No description: it would be an error's text.
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// How many documents it was about, once that is known.
    pub fn documents(&self, count: u64) {
        if let Some(context) = &self.0 {
            let count = KeyValue::new("weir.documents", i64::try_from(count).unwrap_or(i64::MAX));
            context.span().set_attribute(count);
        }
    }
}

/// The span of a record, and what its outputs carry.
#[derive(Debug, Default)]
pub struct Record {
    /// Empty where the record has none.
    pub span: Span,
    /// To its own span, else to its producer's, if that is sampled.
    pub link: Link,
    /// Its own `traceparent`, which takes the place of the producer's; `None` leaves headers as they are.
    pub header: Option<String>,
}

/// Begins the work on a record. Headers that are not valid count as none.
pub fn record(place: Place<'_>, headers: Option<Headers<'_>>) -> Record {
    let Some(tracing) = TRACING.get() else {
        return Record::default();
    };
    let propagator = TraceContextPropagator::new();
    let nothing = Context::new();
    let sent = match &headers {
        Some(headers) => propagator.extract_with_context(&nothing, headers),
        None => nothing.clone(),
    };
    let creation = sent.span().span_context().clone();
    let is_traced = match tracing.options.documents {
        DocumentSpans::Sampled => creation.is_valid() && creation.is_sampled(),
        DocumentSpans::All => true,
        DocumentSpans::None => false,
    };
    if !is_traced {
        return Record {
            link: Link::to(&creation),
            ..Record::default()
        };
    }
    let builder = SpanBuilder::from_name(format!("process {}", place.topic))
        .with_kind(SpanKind::Consumer)
        .with_attributes([
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", place.topic.to_owned()),
            KeyValue::new(
                "messaging.destination.partition.id",
                place.partition.to_string(),
            ),
            KeyValue::new("messaging.kafka.offset", place.offset),
            KeyValue::new("messaging.consumer.group.name", place.group.to_owned()),
        ]);
    let (builder, parent) = match tracing.options.parent {
        Parent::Link if creation.is_valid() => {
            let link = SpanLink::with_context(creation.clone());
            (builder.with_links(vec![link]), &nothing)
        }
        _ => (builder, &sent),
    };
    let span = Span::begin(tracing, builder, parent);
    let link = span.link();
    if link.is_empty() {
        // The sampler left it out: what it made belongs to its producer's trace as before.
        return Record {
            link: Link::to(&creation),
            ..Record::default()
        };
    }
    let mut header = TraceParent(None);
    if let Some(context) = &span.0 {
        propagator.inject_context(context, &mut header);
    }
    Record {
        span,
        link,
        header: header.0,
    }
}

struct TraceParent(Option<String>);

impl Injector for TraceParent {
    fn set(&mut self, key: &str, value: String) {
        if key == "traceparent" {
            self.0 = Some(value);
        }
    }
}

/// Begins a set of records that is published as a whole: a transaction, or files with their commit record.
pub fn set<'l>(group: &str, count: usize, of: impl IntoIterator<Item = &'l Link>) -> Span {
    let Some(tracing) = TRACING.get() else {
        return Span::default();
    };
    let builder = SpanBuilder::from_name("process")
        .with_kind(SpanKind::Consumer)
        .with_attributes([
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.batch.message_count", count as i64),
            KeyValue::new("messaging.consumer.group.name", group.to_owned()),
        ])
        .with_links(links(of));
    Span::begin(tracing, builder, &Context::new())
}

/// What is done with a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Its records are written.
    Send,
    /// It becomes visible, with its offsets.
    Commit,
}

/// Where a set goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// Topics.
    Topics,
    /// An object store.
    Store,
}

/// Begins a step inside the span of this thread; empty where there is none.
pub fn step(step: Step, to: To) -> Span {
    let Some(tracing) = TRACING.get() else {
        return Span::default();
    };
    let parent = Context::current();
    if !parent.has_active_span() {
        return Span::default();
    }
    // The conventions have no operation type for a commit of a transaction; `settle` is the one for acknowledgements.
    let (name, kind) = match step {
        Step::Send => ("send", "send"),
        Step::Commit => ("commit", "settle"),
    };
    let attributes = match to {
        To::Topics => vec![
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.name", name),
            KeyValue::new("messaging.operation.type", kind),
        ],
        To::Store => Vec::new(),
    };
    let builder = SpanBuilder::from_name(name)
        .with_kind(SpanKind::Client)
        .with_attributes(attributes);
    Span::begin(tracing, builder, &parent)
}

/// Begins an object of a store, or a stream of standard input. Its name is not told: it may hold a person's.
pub fn object() -> Span {
    let Some(tracing) = TRACING.get() else {
        return Span::default();
    };
    let builder = SpanBuilder::from_name("process object").with_kind(SpanKind::Internal);
    Span::begin(tracing, builder, &Context::new())
}

/// Begins a run of the model over windows of documents, if any of those has a span.
pub fn infer<'l>(windows: usize, tokens: usize, of: impl IntoIterator<Item = &'l Link>) -> Span {
    let Some(tracing) = TRACING.get() else {
        return Span::default();
    };
    let mut links = links(of);
    if links.is_empty() {
        return Span::default();
    }
    // Windows of one document stand side by side.
    links.dedup_by(|one, other| one.span_context == other.span_context);
    let builder = SpanBuilder::from_name("infer")
        .with_kind(SpanKind::Internal)
        .with_attributes([
            KeyValue::new("weir.windows", windows as i64),
            KeyValue::new("weir.tokens", tokens as i64),
        ])
        .with_links(links);
    Span::begin(tracing, builder, &Context::new())
}

/// The span that this thread is in, if it is sampled.
pub fn current() -> Span {
    if TRACING.get().is_none() {
        return Span::default();
    }
    let context = Context::current();
    let is_sampled = context.span().span_context().is_sampled();
    Span(is_sampled.then_some(context))
}

/// Starts a task whose spans begin inside the one that this thread is in. Without one the task is the future itself: a
/// branch at each of its polls, and a larger future, cost 1% of the records per second.
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match current().0 {
        Some(context) => tokio::spawn(future.with_context(context)),
        None => tokio::spawn(future),
    }
}

/// Trace and span of this thread, as hexadecimal digits.
pub(super) fn current_ids() -> Option<(String, String)> {
    let link = current().link().0?;
    Some((link.trace_id().to_string(), link.span_id().to_string()))
}
