//! Logs, metrics and health.

use crate::{
    config::telemetry::{LogLevel, Section},
    telemetry::log::Style,
};
#[cfg(feature = "server")]
use {
    super::Error,
    crate::{
        config::Listen,
        telemetry::{Health, Options, metric},
    },
    tokio_util::sync::CancellationToken,
};

/// How log lines look, and from which level on they are written; `colour` is asked only for text.
pub fn logs(section: &Section, colour: bool) -> (Style, LogLevel) {
    let Section {
        listen: _, // resolved as `Resolved::listen`: worker.rs
        log_format,
        log_level,
    } = section;
    (Style::of(*log_format, colour), *log_level)
}

/// Opens `/metrics`, `/livez` and `/readyz`, until `stop` is cancelled.
#[cfg(feature = "server")]
pub(super) async fn serve(
    listen: Listen,
    health: Health,
    stop: CancellationToken,
) -> Result<(), Error> {
    let options = Options {
        listen,
        health,
        metrics: metric::install()?,
    };
    let server = options.build().await?;
    tokio::spawn(server.run(stop));
    Ok(())
}
