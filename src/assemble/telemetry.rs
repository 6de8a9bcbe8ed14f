//! Logs, metrics, health, and what goes to an OpenTelemetry collector.

#[cfg(feature = "server")]
use metrics_exporter_prometheus::PrometheusHandle;

use super::Error;
#[cfg(feature = "otlp")]
use crate::{
    config::{
        Collector,
        telemetry::{Logs, Metrics, Traces},
    },
    telemetry::{
        otlp::{self, Export},
        trace,
    },
};
use crate::{
    config::{
        Resolved,
        telemetry::{LogLevel, Section},
    },
    telemetry::{log::Style, metric},
};
#[cfg(feature = "server")]
use {
    crate::{
        config::Listen,
        telemetry::{self, Health, Options},
    },
    tokio_util::sync::CancellationToken,
};

/// How log lines look, and from which level on they are written; `colour` is asked only for text.
pub fn logs(section: &Section, colour: bool) -> (Style, LogLevel) {
    let Section {
        listen: _, // resolved as `Resolved::listen`: worker.rs
        log_format,
        log_level,
        otlp: _,     // resolved as `Resolved::collector`: below
        traces: _,   // below
        metrics: _,  // below
        logs: _,     // below
        resource: _, // below
    } = section;
    (Style::of(*log_format, colour), *log_level)
}

/// Where the telemetry of a process goes, beside standard error.
#[derive(Default)]
pub struct Telemetry {
    /// What `/metrics` tells.
    #[cfg(feature = "server")]
    pub(super) metrics: Option<PrometheusHandle>,
    #[cfg(feature = "otlp")]
    export: Option<Export>,
}

impl Telemetry {
    /// Starts to record metrics if anybody reads them, and to send what a collector is to get; once in a process.
    #[cfg_attr(
        not(any(feature = "server", feature = "otlp")),
        allow(unused_mut, unused_variables) // nobody listens
    )]
    pub fn start(resolved: &Resolved) -> Result<Self, Error> {
        let mut started = Self::default();
        let mut recorders = Recorders::default();
        #[cfg(feature = "server")]
        if resolved.listen.is_some() {
            let recorder = metric::prometheus()?;
            started.metrics = Some(recorder.handle());
            recorders.0.push(Box::new(recorder));
        }
        #[cfg(feature = "otlp")]
        if let Some((export, recorder)) = collector(resolved).build()? {
            started.export = Some(export);
            recorders
                .0
                .extend(recorder.map(|own| Box::new(own) as Recorder));
        }
        recorders.install()?;
        Ok(started)
    }

    /// Whether a collector can be sent to, as far as that is known without asking it.
    pub fn check(resolved: &Resolved) -> Result<(), Error> {
        #[cfg(feature = "otlp")]
        collector(resolved).check()?;
        #[cfg(not(feature = "otlp"))]
        let _ = resolved;
        Ok(())
    }

    /// Sends what waits. Blocks for a few seconds at most; not for a thread of an async runtime.
    pub fn finish(self) {
        #[cfg(feature = "otlp")]
        if let Some(export) = self.export {
            export.finish(otlp::FINISH);
        }
    }
}

type Recorder = Box<dyn metrics::Recorder + Send + Sync>;

/// Those that get each metric.
#[derive(Default)]
struct Recorders(Vec<Recorder>);

impl Recorders {
    #[cfg(any(feature = "server", feature = "otlp"))]
    fn install(mut self) -> Result<(), metric::Installed> {
        use metrics_util::layers::FanoutBuilder;
        match self.0.len() {
            0 => Ok(()),
            1 => metric::install(self.0.remove(0)),
            _ => {
                let fanout = self.0.into_iter();
                let fanout = fanout.fold(FanoutBuilder::default(), FanoutBuilder::add_recorder);
                metric::install(fanout.build())
            }
        }
    }

    #[cfg(not(any(feature = "server", feature = "otlp")))]
    fn install(self) -> Result<(), metric::Installed> {
        debug_assert!(self.0.is_empty(), "no feature records metrics");
        Ok(())
    }
}

/// What is sent to a collector, and where to.
#[cfg(feature = "otlp")]
pub fn collector(resolved: &Resolved) -> otlp::Options {
    let Section {
        listen: _,     // resolved as `Resolved::listen`: worker.rs
        log_format: _, // above
        log_level: _,  // above
        otlp: _,       // resolved as `Resolved::collector`
        traces: Traces { documents, parent },
        metrics: Metrics {
            push,
            interval_secs,
        },
        logs: Logs { push: push_logs },
        resource,
    } = &resolved.telemetry;
    let Collector {
        endpoint,
        headers,
        ca_file,
        certificate_file,
        key_file,
        timeout,
        gzip,
    } = &resolved.collector;
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| (name.clone(), value.expose().to_owned()));
    otlp::Options {
        endpoint: endpoint.clone(),
        headers: otlp::Headers(headers.collect()),
        ca_file: ca_file.clone(),
        identity: certificate_file.clone().zip(key_file.clone()),
        timeout: *timeout,
        gzip: *gzip,
        traces: trace::Options {
            documents: *documents,
            parent: *parent,
        },
        metrics: *push,
        interval: interval_secs.map(|own| std::time::Duration::from_secs(u64::from(own))),
        logs: *push_logs,
        resource: resource.clone(),
    }
}

/// Opens `/metrics`, `/livez` and `/readyz`, until `stop` is cancelled.
#[cfg(feature = "server")]
pub(super) async fn serve(
    listen: Listen,
    health: Health,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> Result<(), telemetry::Error> {
    let options = Options {
        listen,
        health,
        metrics,
    };
    let server = options.build().await?;
    tokio::spawn(server.run(stop));
    Ok(())
}
