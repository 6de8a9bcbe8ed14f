//! A running worker, asked over HTTP for its metrics and its health.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use reqwest::{Url, redirect::Policy};

use super::exposition::Page;
use crate::telemetry::metric;

/// Longest wait for one page. A worker answers within milliseconds; one that has no processor time may need longer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Largest page that is read. 200 tenants of 200 labels make a few megabytes; more than this is not a page of weir's.
const MAX_BYTES: usize = 64 << 20;

/// Most characters of a health page that are shown.
const MAX_SHOWN: usize = 300;

/// Why there is no answer. No message holds a user name or password of the URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// What was given is not an address.
    #[error("{given:?} is not the address of a worker")]
    Address {
        /// As it was given, without what stands before an `@`.
        given: String,
    },
    /// An `https` URL, and nothing to check certificates with.
    #[error("this system has no certificates to check a server with: install ca-certificates")]
    NoTls,
    /// Nobody answers, or not in time.
    #[error("no worker answers at {at} ({why})")]
    Unreachable {
        /// Host and port.
        at: String,
        /// The kind of failure.
        why: String,
    },
    /// Somebody else answers.
    #[error("what answers at {at} is not weir: {why}")]
    NotWeir {
        /// Host and port.
        at: String,
        /// What is missing.
        why: String,
    },
}

/// Where a worker is.
pub(super) struct Worker {
    http: reqwest::Client,
    base: Url,
}

/// What a worker said of itself at one time.
pub(super) struct Sample {
    pub taken: Instant,
    /// Seconds since 1970.
    pub time: f64,
    pub page: Page,
    /// Why it is not ready; empty if it is.
    pub not_ready: Vec<String>,
    /// Loops that stand still; empty if none do.
    pub stuck: Vec<String>,
}

struct Answer {
    status: u16,
    text: String,
}

impl Worker {
    /// A worker at `host:port`, at a port of this machine, or below a URL.
    pub fn at(given: &str) -> Result<Self, Error> {
        let base = address(given).ok_or_else(|| Error::Address {
            given: given.rsplit('@').next().unwrap_or_default().to_owned(),
        })?;
        Self::of(base)
    }

    /// The worker that listens on this address, asked on this machine.
    pub fn listening(on: SocketAddr) -> Result<Self, Error> {
        let host = match on.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let url = format!("http://{}/", SocketAddr::new(host, on.port()));
        Self::of(url.parse().expect("an address is the host of a URL"))
    }

    fn of(base: Url) -> Result<Self, Error> {
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .timeout(TIMEOUT)
            .redirect(Policy::none())
            // The worker itself is asked: a proxy of the environment would take 127.0.0.1 for its own.
            .no_proxy();
        if base.scheme() == "http" {
            // Without it reqwest makes no client on a system without certificates, such as a small container.
            http = http.tls_certs_only([]);
        }
        let http = http.build();
        Ok(Self {
            http: http.map_err(|_| Error::NoTls)?,
            base,
        })
    }

    /// Metrics, readiness and liveness, asked at the same time.
    pub async fn sample(&self) -> Result<Sample, Error> {
        let (metrics, ready, live) =
            futures::try_join!(self.ask("metrics"), self.ask("readyz"), self.ask("livez"))?;
        let not_ready =
            health(&ready, "not ready: ").ok_or_else(|| self.foreign("/readyz", &ready))?;
        let stuck = health(&live, "stuck: ").ok_or_else(|| self.foreign("/livez", &live))?;
        if metrics.status != 200 {
            return Err(self.foreign("/metrics", &metrics));
        }
        let page = Page::parse(&metrics.text).map_err(|error| self.not_weir(error.to_string()))?;
        // A worker that has just begun has no metrics yet.
        if page.of(metric::BUILD_INFO).is_empty() && not_ready.is_empty() {
            return Err(self.not_weir(format!("/metrics is without {}", metric::BUILD_INFO)));
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Sample {
            taken: Instant::now(),
            time: since.unwrap_or_default().as_secs_f64(),
            page,
            not_ready,
            stuck,
        })
    }

    async fn ask(&self, path: &str) -> Result<Answer, Error> {
        let url = self.base.join(path).expect("a constant path");
        let unreachable = |error: reqwest::Error| Error::Unreachable {
            at: self.to_string(),
            why: why(&error),
        };
        let mut response = self.http.get(url).send().await.map_err(unreachable)?;
        let mut bytes = Vec::new();
        while let Some(part) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + part.len() > MAX_BYTES {
                return Err(self.not_weir(format!("/{path} has more than {} MiB", MAX_BYTES >> 20)));
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    fn foreign(&self, path: &str, answer: &Answer) -> Error {
        self.not_weir(format!(
            "{path} has status {} and another text",
            answer.status
        ))
    }

    fn not_weir(&self, why: String) -> Error {
        Error::NotWeir {
            at: self.to_string(),
            why,
        }
    }
}

/// Host and port, without a password.
impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port_or_known_default().unwrap_or_default();
        write!(f, "{host}:{port}")
    }
}

/// `host:port`, `:port`, a port, or a URL, which may end in one of weir's own pages.
fn address(given: &str) -> Option<Url> {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let port = given.strip_prefix(':').unwrap_or(given);
    let url = if given.contains("://") {
        given.to_owned()
    } else if is_port(port) {
        format!("http://127.0.0.1:{port}")
    } else {
        // Without a port there would be a guess: weir has no port of its own.
        let (_, port) = given.split('/').next()?.rsplit_once(':')?;
        is_port(port).then(|| format!("http://{given}"))?
    };
    let mut url = Url::parse(&url).ok()?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return None;
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    let pages = ["/metrics", "/readyz", "/livez"];
    let folder = pages.iter().find_map(|page| path.strip_suffix(page));
    url.set_path(&format!("{}/", folder.unwrap_or(&path)));
    Some(url)
}

/// What a page of health lists; empty if all is well, `None` if it is not a page of weir's.
fn health(answer: &Answer, prefix: &str) -> Option<Vec<String>> {
    match answer.status {
        200 if answer.text.trim_end() == "ok" => Some(Vec::new()),
        503 => {
            let listed = answer.text.strip_prefix(prefix)?.trim_end();
            // It is printed: nothing of it may move a cursor.
            let shown: String = listed
                .chars()
                .filter(|sign| !sign.is_control())
                .take(MAX_SHOWN)
                .collect();
            Some(shown.split(", ").map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// The kind of a failure: reqwest's own message holds the URL.
fn why(error: &reqwest::Error) -> String {
    let mut source = std::error::Error::source(error);
    let mut kind = None;
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            kind = Some(io.kind());
        }
        source = inner.source();
    }
    match kind {
        _ if error.is_timeout() => format!("no answer within {} s", TIMEOUT.as_secs()),
        Some(kind) => kind.to_string(),
        None if error.is_connect() => "no connection".to_owned(),
        None => "the connection was lost, or it does not speak HTTP".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn an_address_is_a_port_a_host_with_one_or_a_url() {
        for (given, base) in [
            ("9464", "http://127.0.0.1:9464/"),
            (":9464", "http://127.0.0.1:9464/"),
            ("127.0.0.1:9464", "http://127.0.0.1:9464/"),
            ("weir-0.weir:9464", "http://weir-0.weir:9464/"),
            ("[::1]:9464", "http://[::1]:9464/"),
            ("http://host:1", "http://host:1/"),
            ("http://host:1/metrics", "http://host:1/"),
            ("host:1/metrics/", "http://host:1/"),
            ("https://host/weir/", "https://host/weir/"),
            ("https://host/weir/readyz?a=b#c", "https://host/weir/"),
        ] {
            assert_eq!(address(given).unwrap().as_str(), base, "{given}");
        }
        for given in [
            "",
            "host",
            "weir.toml",
            "./weir.toml",
            "host:",
            "host:99999",
            "ftp://host:1",
            "http://",
        ] {
            assert_eq!(address(given), None, "{given}");
        }
        let error = Worker::at("ana:secret@host").err().expect("without a port");
        assert!(!error.to_string().contains("secret"), "{error}");
        let worker = Worker::at("http://ana:secret@host:1").ok().unwrap();
        assert_eq!(worker.to_string(), "host:1");
    }

    #[test]
    fn a_worker_that_listens_everywhere_is_asked_on_this_machine() {
        for (on, at) in [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "[::1]:9464"),
            ("192.0.2.1:9464", "192.0.2.1:9464"),
        ] {
            let worker = Worker::listening(on.parse().unwrap()).unwrap();
            assert_eq!(worker.to_string(), at);
        }
    }

    #[test]
    fn a_page_of_health_lists_what_is_missing() {
        let of = |status, text: &str| {
            let text = text.to_owned();
            health(&Answer { status, text }, "not ready: ")
        };
        assert_eq!(of(200, "ok\n"), Some(vec![]));
        let listed = ["pack", "no answer from the brokers"].map(str::to_owned);
        assert_eq!(
            of(503, "not ready: pack, no answer from the brokers\n"),
            Some(listed.to_vec())
        );
        assert_eq!(
            of(503, "not ready: \u{1b}[2Jpack\n"),
            Some(vec!["[2Jpack".to_owned()])
        );
        for (status, text) in [
            (200, "<html>"),
            (404, "ok\n"),
            (503, "ok\n"),
            (200, "not ready: x"),
        ] {
            assert_eq!(of(status, text), None, "{status} {text}");
        }
    }

    /// A server that gives an answer to each path; a status of 0 closes the connection.
    async fn serve(pages: [(&'static str, u16, String); 3]) -> Worker {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let worker = Worker::listening(listener.local_addr().unwrap()).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = vec![0; 4096];
                let read = stream.read(&mut head).await.unwrap();
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let (_, status, text) = pages.iter().find(|(page, ..)| *page == path).unwrap();
                if *status > 0 {
                    let answer = format!(
                        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
                        text.len()
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        worker
    }

    async fn fails(metrics: (u16, &str), ready: (u16, &str), live: (u16, &str)) -> String {
        let page = |path, (status, text): (u16, &str)| (path, status, text.to_owned());
        let pages = [
            page("/metrics", metrics),
            page("/readyz", ready),
            page("/livez", live),
        ];
        let error = serve(pages).await.sample().await.err().expect("an error");
        error.to_string()
    }

    #[tokio::test]
    async fn what_is_not_weir_is_said_to_be_something_else() {
        let ok = (200, "ok\n");
        let build = (200, "weir_build_info{version=\"0.1.0\",pack=\"p\"} 1\n");
        for (metrics, ready, live, says) in [
            ((200, "up 1\n"), ok, ok, "is without weir_build_info"),
            (
                (200, "<html>\n"),
                ok,
                ok,
                "line 1 of the answer is not a metric",
            ),
            ((404, ""), ok, ok, "/metrics has status 404"),
            (build, (404, "no such page"), ok, "/readyz has status 404"),
            (build, ok, (200, "alive"), "/livez has status 200"),
        ] {
            let error = fails(metrics, ready, live).await;
            assert!(
                error.contains("is not weir") && error.contains(says),
                "{error}"
            );
        }
        let error = fails((0, ""), ok, ok).await;
        assert!(error.contains("no worker answers at 127.0.0.1:"), "{error}");
        let nobody = Worker::listening("127.0.0.1:1".parse().unwrap()).unwrap();
        let error = nobody.sample().await.err().unwrap().to_string();
        assert!(
            error.contains("127.0.0.1:1 (connection refused)"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_worker_that_begins_has_no_metrics_yet() {
        let page = |path, status, text: &str| (path, status, text.to_owned());
        let worker = serve([
            page("/metrics", 200, ""),
            page("/readyz", 503, "not ready: pack, tenants\n"),
            page("/livez", 503, "stuck: source\n"),
        ])
        .await;
        let sample = worker.sample().await.ok().unwrap();
        assert_eq!(sample.not_ready, ["pack", "tenants"]);
        assert_eq!(sample.stuck, ["source"]);
    }
}
