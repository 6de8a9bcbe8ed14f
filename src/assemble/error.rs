use crate::{diagnose, model, pipeline::job, sink, source};
#[cfg(feature = "kafka")]
use crate::{pipeline::slot, record::avro};

/// Why a worker can't start, or stopped before its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tenant's file is wrong, or asks for what the pack does not have.
    #[error(transparent)]
    Tenants(#[from] diagnose::Problems),
    /// The pack can't be loaded.
    #[error(transparent)]
    Model(#[from] model::Error),
    /// The source can't be opened.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The sink can't be opened.
    #[error(transparent)]
    Sink(#[from] sink::Error),
    /// A schema registry does not answer, or not as it has to.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Registry(#[from] avro::Error),
    /// The port for metrics and health can't be opened.
    #[cfg(feature = "server")]
    #[error(transparent)]
    Listen(#[from] crate::telemetry::Error),
    /// Metrics can't be recorded.
    #[cfg(feature = "server")]
    #[error(transparent)]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    /// Metrics are recorded already.
    #[error(transparent)]
    Recorded(#[from] crate::telemetry::metric::Installed),
    /// Nothing can be sent to a collector.
    #[cfg(feature = "otlp")]
    #[error(transparent)]
    Collector(#[from] crate::telemetry::otlp::Error),
    /// The thread that loads the model panicked.
    #[error(transparent)]
    Panicked(#[from] tokio::task::JoinError),
    /// A job over objects or standard input stopped.
    #[error(transparent)]
    Job(#[from] job::Error),
    /// A worker over topics stopped.
    #[cfg(feature = "kafka")]
    #[error(transparent)]
    Stream(#[from] slot::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Model(error) | Self::Job(job::Error::Model(error)) => {
                error.hint().map(str::to_owned)
            }
            #[cfg(feature = "kafka")]
            Self::Stream(slot::Error::Model(error)) => error.hint().map(str::to_owned),
            Self::Source(error) | Self::Job(job::Error::Source(error)) => error.hint(),
            Self::Sink(error) | Self::Job(job::Error::Sink(error)) => error.hint(),
            #[cfg(feature = "kafka")]
            Self::Stream(slot::Error::Store(error)) => error.hint(),
            #[cfg(feature = "kafka")]
            Self::Registry(error) => error.hint(),
            _ => None,
        }
    }
}
