//! `/metrics`, `/livez`, `/readyz` and their aliases.

use std::{net::SocketAddr, time::Instant};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Health, metric};

/// Why the server could not start or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address is taken or not ours.
    #[error("can't listen on {listen} ({reason}): set telemetry.listen to a free address")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// The system's words.
        reason: String,
    },
    /// The server ended.
    #[error("the metrics server ended ({0})")]
    Serve(String),
}

/// What the server needs.
pub struct Options {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What `/livez` and `/readyz` tell.
    pub health: Health,
    /// What `/metrics` tells.
    pub metrics: PrometheusHandle,
}

/// A server that is bound and not yet served.
pub struct Server {
    listener: TcpListener,
    router: Router,
    metrics: PrometheusHandle,
}

#[derive(Clone)]
struct Shared {
    health: Health,
    metrics: PrometheusHandle,
}

impl Options {
    /// Binds the address.
    pub async fn build(self) -> Result<Server, Error> {
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| Error::Bind {
                listen: self.listen,
                reason: error.kind().to_string(),
            })?;
        let metrics = self.metrics.clone();
        let shared = Shared {
            health: self.health,
            metrics: self.metrics,
        };
        // `/health` is Vector's and TEI's name, `/ping` and `/ready` are Redpanda Connect's.
        let router = Router::new()
            .route("/metrics", get(render))
            .route("/livez", get(live))
            .route("/health", get(live))
            .route("/ping", get(live))
            .route("/readyz", get(ready))
            .route("/ready", get(ready))
            .with_state(shared);
        Ok(Server {
            listener,
            router,
            metrics,
        })
    }
}

impl Server {
    /// The address that was bound.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    /// Answers until `stop` is cancelled: also during a drain, so that `/readyz` can say so.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let metrics = self.metrics;
        let upkeep = async {
            // The exporter keeps histogram samples until somebody scrapes or this is called.
            let mut every = tokio::time::interval(std::time::Duration::from_secs(5));
            loop {
                every.tick().await;
                metrics.run_upkeep();
                metric::refresh();
            }
        };
        let stopped = stop.clone();
        let serve = axum::serve(self.listener, self.router)
            .with_graceful_shutdown(async move { stopped.cancelled().await })
            .into_future();
        // Not waiting for idle keep-alive connections: nothing here outlives its answer.
        tokio::select! {
            served = serve => served.map_err(|error| Error::Serve(error.kind().to_string())),
            () = upkeep => Ok(()),
            () = async { stop.cancelled().await; tokio::time::sleep(std::time::Duration::from_millis(200)).await } => Ok(()),
        }
    }
}

async fn render(State(shared): State<Shared>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    metric::refresh();
    let rendered = shared.metrics.render();
    ([(header::CONTENT_TYPE, kind)], without_nan(&rendered))
}

/// Leaves out series that are not a number: gauges of partitions that another worker has now. A sum over partitions
/// would be none with one of them.
fn without_nan(rendered: &str) -> String {
    let lines = rendered.split_inclusive('\n');
    lines
        .filter(|line| !line.trim_end().ends_with(" NaN"))
        .collect()
}

async fn live(State(shared): State<Shared>) -> (StatusCode, String) {
    let stuck = shared.health.stuck(Instant::now());
    match stuck.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("stuck: {}\n", stuck.join(", ")),
        ),
    }
}

async fn ready(State(shared): State<Shared>) -> (StatusCode, String) {
    let waiting = shared.health.not_ready();
    match waiting.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {}\n", waiting.join(", ")),
        ),
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::telemetry::health::Part;

    async fn ask(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        (status, body)
    }

    #[tokio::test]
    async fn health_and_metrics_answer_over_a_socket() {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metric::describe();
            metrics::counter!(metric::RELOADS_TOTAL, "kind" => "tenants", "outcome" => "kept")
                .increment(2);
            metric::build_info("tiny");
            let lag = |partition: &'static str, value: f64| {
                metrics::gauge!(metric::CONSUMER_LAG, "partition" => partition).set(value);
            };
            lag("0", 7.0);
            lag("1", f64::NAN);
        });
        let health = Health::new();
        let server = Options {
            listen: "127.0.0.1:0".parse().unwrap(),
            health: health.clone(),
            metrics: recorder.handle(),
        };
        let server = server.build().await.unwrap();
        let address = server.address().unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone()));

        assert_eq!(ask(address, "/livez").await, (200, "ok\n".to_owned()));
        for alias in ["/readyz", "/ready"] {
            let (status, body) = ask(address, alias).await;
            assert_eq!(
                (status, body.as_str()),
                (503, "not ready: pack, tenants, source, sink\n")
            );
        }
        for part in [Part::Pack, Part::Tenants, Part::Source, Part::Sink] {
            health.set(part, true);
        }
        assert_eq!(ask(address, "/readyz").await.0, 200);
        let (_, metrics) = ask(address, "/metrics").await;
        assert!(
            metrics.contains("weir_reloads_total{kind=\"tenants\",outcome=\"kept\"} 2"),
            "{metrics}"
        );
        assert!(
            metrics.contains("# TYPE weir_reloads_total counter"),
            "{metrics}"
        );
        assert!(metrics.contains("weir_build_info{"), "{metrics}");
        assert!(
            metrics.contains("weir_consumer_lag{partition=\"0\"} 7"),
            "{metrics}"
        );
        assert!(
            !metrics.contains("NaN"),
            "another worker's partition: {metrics}"
        );

        let heart = health.heart("source", std::time::Duration::ZERO);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        for alias in ["/livez", "/health", "/ping"] {
            assert_eq!(
                ask(address, alias).await,
                (503, "stuck: source\n".to_owned())
            );
        }
        heart.finish();
        health.drain();
        assert_eq!(
            ask(address, "/readyz").await,
            (503, "not ready: draining\n".to_owned())
        );
        stop.cancel();
        running.await.unwrap().unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_taken_address_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = Options {
            listen: taken.local_addr().unwrap(),
            health: Health::new(),
            metrics: PrometheusBuilder::new().build_recorder().handle(),
        };
        let error = options
            .build()
            .await
            .err()
            .expect("the address is taken")
            .to_string();
        assert!(
            error.contains(&taken.local_addr().unwrap().to_string()),
            "{error}"
        );
    }
}
