//! Traces, metrics and logs to an OpenTelemetry collector, by OTLP over HTTP.
//!
//! The SDK sends from threads of its own, one for each signal. What a collector does not take is dropped and counted
//! (`weir_telemetry_dropped_total`): a worker never waits for it, and its memory is bounded.

mod client;
mod environment;
mod flow;
pub(super) mod logs;
pub(super) mod recorder;
mod spans;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, Request};
use opentelemetry_otlp::{
    Compression, ExporterBuildError, LogExporter, MetricExporter, SpanExporter, WithExportConfig,
    WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource, logs::SdkLoggerProvider, metrics::SdkMeterProvider, trace::SdkTracerProvider,
};

use self::{environment::Environment, flow::Flow};
use super::trace;

/// Time that the end of a process waits for a collector. The SDK's own bound is five seconds for each signal.
pub const FINISH: Duration = Duration::from_secs(3);

/// Default time between two exports of metrics, as the specification says.
const INTERVAL: Duration = Duration::from_secs(60);

/// Default time for one request with its retries, as the specification says.
const TIMEOUT: Duration = Duration::from_secs(10);

/// One of three kinds of telemetry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// As the metric and the paths of OTLP name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }
}

/// Why nothing can be sent. No message quotes an address or a header: both may hold a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A protocol that weir does not speak.
    #[error(
        "{variable} asks for a protocol that weir does not speak: it sends http/protobuf; set the variable to that, \
         and name the collector's port for HTTP (4318 by default, not 4317)"
    )]
    Protocol {
        /// The variable.
        variable: &'static str,
    },
    /// An exporter that weir does not have.
    #[error("{variable} names an exporter that weir does not have: set it to otlp or none")]
    Exporter {
        /// The variable.
        variable: &'static str,
    },
    /// A variable that is not a number.
    #[error("{variable} is not a number: set it to milliseconds")]
    Number {
        /// The variable.
        variable: &'static str,
    },
    /// A file of TLS.
    #[error("can't use {path} for TLS to the collector ({reason}): name a readable PEM file")]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A certificate without its key, or the other way round.
    #[error(
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY go together: set both"
    )]
    HalfIdentity,
    /// The HTTP client.
    #[error("can't make a client for the collector")]
    Client,
    /// The exporter of a signal.
    #[error(
        "can't send {} to the collector: check telemetry.otlp.endpoint and the variables OTEL_EXPORTER_OTLP_*",
        .signal.as_str()
    )]
    Build {
        /// The signal.
        signal: Signal,
    },
}

/// What is sent, and where to. What is `None` is as the environment says.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Address without the paths of the signals.
    pub endpoint: Option<String>,
    /// Sent with each request.
    pub headers: Headers,
    /// Trusted authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// Certificate and private key of weir, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Longest time for one request with its retries.
    pub timeout: Option<Duration>,
    /// Whether requests are compressed.
    pub gzip: Option<bool>,
    /// Which records have a span.
    pub traces: trace::Options,
    /// Whether metrics are sent.
    pub metrics: bool,
    /// Time between two times.
    pub interval: Option<Duration>,
    /// Whether log lines are sent.
    pub logs: bool,
    /// Attributes of all that is sent.
    pub resource: BTreeMap<String, String>,
}

/// Headers of requests; `Debug` shows how many.
#[derive(Clone, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} headers", self.0.len())
    }
}

/// What came of asking a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// None is named, or none for traces.
    NotAsked,
    /// It takes telemetry.
    Takes,
    /// It answers with this status.
    Refuses(u16),
    /// It does not answer.
    Silent,
}

/// What sends telemetry. [`Export::finish`] it at the end of the process.
pub struct Export {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
}

impl Options {
    /// Starts the threads that send; the recorder is what metrics are pushed from. `None`: no collector is named, or
    /// the environment turns all of it off, and then no thread is started.
    ///
    /// # Errors
    /// The environment asks for what weir does not do, or a file can't be read. A collector that does not answer is no
    /// error.
    pub fn build(self) -> Result<Option<(Export, Option<recorder::Recorder>)>, Error> {
        self.build_in(&Environment::of_process())
    }

    fn build_in(
        self,
        environment: &Environment<'_>,
    ) -> Result<Option<(Export, Option<recorder::Recorder>)>, Error> {
        let [traces, metrics, logs] = self.signals(environment)?;
        if !(traces || metrics || logs) {
            return Ok(None);
        }
        let sender = Sender {
            client: client::build(&self, environment)?,
            resource: self.resource(environment),
            gzip: self.gzip,
            options: &self,
            environment,
        };
        let mut export = Export {
            traces: None,
            metrics: None,
            logs: None,
        };
        if traces {
            let flow = Flow::new(Signal::Traces, environment.queue("OTEL_BSP_MAX_QUEUE_SIZE"));
            let exporter = sender.set_up(SpanExporter::builder().with_http(), Signal::Traces);
            let provider = spans::provider(
                exporter.build().map_err(of(Signal::Traces))?,
                flow,
                sender.resource.clone(),
            );
            trace::start(&provider, self.traces.clone());
            export.traces = Some(provider);
        }
        let mut recorder = None;
        if metrics {
            let exporter = sender.set_up(MetricExporter::builder().with_http(), Signal::Metrics);
            let exporter = exporter.build().map_err(of(Signal::Metrics))?;
            let interval = self.interval(environment)?;
            let flow = Flow::new(Signal::Metrics, usize::MAX);
            let (provider, own) =
                recorder::build(exporter, flow, interval, sender.resource.clone());
            recorder = Some(own);
            export.metrics = Some(provider);
        }
        if logs {
            let flow = Flow::new(Signal::Logs, environment.queue("OTEL_BLRP_MAX_QUEUE_SIZE"));
            let exporter = sender.set_up(LogExporter::builder().with_http(), Signal::Logs);
            let exporter = exporter.build().map_err(of(Signal::Logs))?;
            export.logs = Some(logs::start(exporter, flow, sender.resource.clone()));
        }
        Ok(Some((export, recorder)))
    }

    /// Whether traces, metrics and logs are sent.
    fn signals(&self, environment: &Environment<'_>) -> Result<[bool; 3], Error> {
        let is_on =
            |signal, wanted: bool| environment.is_on(signal, self.endpoint.is_some(), wanted);
        Ok([
            is_on(Signal::Traces, true)?,
            is_on(Signal::Metrics, self.metrics)?,
            is_on(Signal::Logs, self.logs)?,
        ])
    }

    /// Time between two exports of metrics.
    fn interval(&self, environment: &Environment<'_>) -> Result<Duration, Error> {
        if let Some(interval) = self.interval {
            return Ok(interval);
        }
        let named = environment.milliseconds("OTEL_METRIC_EXPORT_INTERVAL")?;
        Ok(named.unwrap_or(INTERVAL))
    }

    /// Whether [`Options::build`] would start, without starting anything.
    pub fn check(&self) -> Result<(), Error> {
        let environment = Environment::of_process();
        let [traces, metrics, logs] = self.signals(&environment)?;
        if metrics {
            self.interval(&environment)?;
        }
        if traces || metrics || logs {
            let client = client::build(self, &environment)?;
            // Not on a thread of an async runtime, which may not end the client's own.
            let _ = std::thread::spawn(move || drop(client)).join();
        }
        Ok(())
    }

    /// Asks the collector to take an empty request, which is a valid one.
    ///
    /// # Errors
    /// As [`Options::build`].
    pub fn reach(&self) -> Result<Reached, Error> {
        let environment = Environment::of_process();
        let named = self.endpoint.clone();
        let named = named.or_else(|| environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"));
        let is_on = environment.is_on(Signal::Traces, named.is_some(), true)?;
        let Some(endpoint) = named.filter(|_| is_on) else {
            return Ok(Reached::NotAsked);
        };
        let client = client::build(self, &environment)?;
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let mut request = Request::post(url).header("content-type", "application/x-protobuf");
        for (name, value) in &self.headers.0 {
            request = request.header(name, value);
        }
        let of_traces = |_| Error::Build {
            signal: Signal::Traces,
        };
        let request = request.body(Bytes::new()).map_err(of_traces)?;
        // Not on a thread of an async runtime, which may not wait for the client's own.
        let asked = std::thread::spawn(move || {
            let answer = futures::executor::block_on(client.send_bytes(request));
            answer.map(|answer| answer.status())
        });
        Ok(match asked.join() {
            Ok(Ok(status)) if status.is_success() => Reached::Takes,
            Ok(Ok(status)) => Reached::Refuses(status.as_u16()),
            _ => Reached::Silent,
        })
    }

    fn resource(&self, environment: &Environment<'_>) -> Resource {
        // The SDK's detectors read OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME.
        let mut resource = Resource::builder();
        if !environment.names_service() {
            resource = resource.with_service_name("weir");
        }
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        let mut own = vec![KeyValue::new("service.version", crate::VERSION)];
        if !environment.has_resource("service.instance.id") {
            // Unique for each process of a service, as the conventions ask: two workers may share a host.
            own.push(KeyValue::new(
                "service.instance.id",
                format!("{host}-{}", std::process::id()),
            ));
        }
        if !environment.has_resource("host.name") {
            own.push(KeyValue::new("host.name", host));
        }
        let named = self.resource.iter();
        let named = named.map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        resource.with_attributes(own).with_attributes(named).build()
    }
}

fn of(signal: Signal) -> impl Fn(ExporterBuildError) -> Error {
    move |_| Error::Build { signal }
}

/// What the exporters of all signals have in common.
struct Sender<'o> {
    client: Arc<dyn opentelemetry_http::HttpClient>,
    resource: Resource,
    gzip: Option<bool>,
    options: &'o Options,
    environment: &'o Environment<'o>,
}

impl Sender<'_> {
    fn set_up<B: WithExportConfig + WithHttpConfig>(&self, builder: B, signal: Signal) -> B {
        let mut builder = builder.with_shared_http_client(self.client.clone());
        // The SDK takes an address verbatim, and reads the variables if it is given none.
        if let Some(endpoint) = &self.options.endpoint {
            let endpoint = endpoint.trim_end_matches('/');
            builder = builder.with_endpoint(format!("{endpoint}/v1/{}", signal.as_str()));
        }
        if let Some(timeout) = self.options.timeout {
            builder = builder.with_timeout(timeout);
        }
        if !self.options.headers.0.is_empty() {
            let headers = self.options.headers.0.iter().cloned();
            builder = builder.with_headers(headers.collect());
        }
        let by_default = self.gzip.is_none() && !self.environment.names_compression(signal);
        match self.gzip {
            Some(true) => builder.with_compression(Compression::Gzip),
            _ if by_default => builder.with_compression(Compression::Gzip),
            _ => builder,
        }
    }
}

impl Export {
    /// Sends what waits, and ends the threads. Blocks for at most `within`: a collector that does not answer must not
    /// keep a worker from its end. Not for a thread of an async runtime.
    pub fn finish(self, within: Duration) {
        let (done, ended) = mpsc::channel();
        let mut running = 0;
        let mut end = |name: &str, finish: Box<dyn FnOnce() + Send>| {
            let done = done.clone();
            let thread = std::thread::Builder::new().name(format!("otlp-{name}"));
            let spawned = thread.spawn(move || {
                finish();
                let _ = done.send(());
            });
            running += usize::from(spawned.is_ok());
        };
        // Each waits for its own last request: together they take as long as one.
        if let Some(traces) = self.traces {
            end(
                "traces",
                Box::new(move || drop(traces.shutdown_with_timeout(within))),
            );
        }
        if let Some(metrics) = self.metrics {
            end(
                "metrics",
                Box::new(move || drop(metrics.shutdown_with_timeout(within))),
            );
        }
        if let Some(logs) = self.logs {
            end(
                "logs",
                Box::new(move || drop(logs.shutdown_with_timeout(within))),
            );
        }
        let deadline = Instant::now() + within;
        for _ in 0..running {
            let left = deadline.saturating_duration_since(Instant::now());
            if ended.recv_timeout(left).is_err() {
                return;
            }
        }
    }
}
