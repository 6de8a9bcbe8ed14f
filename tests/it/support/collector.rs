//! A receiver of OTLP over HTTP in this process. It keeps every byte that it is sent, and can fail in the ways in which a
//! collector fails.

use std::{
    io::Read as _,
    net::TcpListener,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, Uri},
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::Span,
};
use prost::Message as _;

use super::served::serve;

/// How it answers.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Take,
    /// With this status, and nothing is kept.
    Refuse(u16),
    /// Never.
    Hang,
}

pub struct Collector {
    /// As `telemetry.otlp.endpoint`.
    pub endpoint: String,
    state: Arc<Kept>,
    runtime: tokio::runtime::Runtime,
}

struct Kept {
    answer: Mutex<Answer>,
    requests: Mutex<Vec<Request>>,
}

/// What came in one request.
#[derive(Clone)]
pub struct Request {
    pub signal: String,
    pub headers: HeaderMap,
    /// Decompressed.
    pub body: Vec<u8>,
}

impl Collector {
    pub fn start() -> Self {
        let state = Arc::new(Kept {
            answer: Mutex::new(Answer::Take),
            requests: Mutex::default(),
        });
        let kept = state.clone();
        let (endpoint, runtime) =
            serve(move |_, uri, headers, body| take(kept.clone(), uri, headers, body));
        Self {
            endpoint,
            state,
            runtime,
        }
    }

    /// Its address behind TLS, whose certificate only the authority in `ca.pem` of a folder vouches for.
    pub fn behind_tls(&self, folder: &std::path::Path) -> String {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        use tokio_rustls::rustls::{
            ServerConfig,
            pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        };
        let key_of_authority = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&key_of_authority).unwrap().pem();
        std::fs::write(folder.join("ca.pem"), pem).unwrap();
        let issuer = Issuer::new(authority, key_of_authority);
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = own.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let plain = self.endpoint.trim_start_matches("http://").to_owned();
        self.runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, plain) = (acceptor.clone(), plain.clone());
                tokio::spawn(async move {
                    // A client that does not trust us hangs up.
                    let Ok(mut outer) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut inner = tokio::net::TcpStream::connect(plain).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        });
        format!("https://localhost:{port}")
    }

    pub fn answer(&self, answer: Answer) {
        *self.state.answer.lock().unwrap() = answer;
    }

    pub fn requests(&self, signal: &str) -> Vec<Request> {
        let requests = self.state.requests.lock().unwrap();
        let of = requests.iter().filter(|request| request.signal == signal);
        of.cloned().collect()
    }

    /// Every byte that came.
    pub fn bytes(&self) -> Vec<u8> {
        let requests = self.state.requests.lock().unwrap();
        let mut bytes = Vec::new();
        for request in requests.iter() {
            bytes.extend(format!("{:?}\n", request.headers).into_bytes());
            bytes.extend(&request.body);
        }
        bytes
    }

    fn traces(&self) -> Vec<ExportTraceServiceRequest> {
        let requests = self.requests("traces");
        let decoded = requests.iter().map(|request| &request.body[..]);
        decoded
            .map(|body| ExportTraceServiceRequest::decode(body).unwrap())
            .collect()
    }

    pub fn spans(&self) -> Vec<Span> {
        let resources = self.traces().into_iter().flat_map(|own| own.resource_spans);
        let scopes = resources.flat_map(|own| own.scope_spans);
        scopes.flat_map(|own| own.spans).collect()
    }

    /// Attributes of the process, as its spans have them.
    pub fn resource(&self) -> Vec<(String, String)> {
        let traces = self.traces();
        let resource = traces[0].resource_spans[0].resource.as_ref().unwrap();
        pairs(&resource.attributes)
    }

    /// Of the last export.
    pub fn metrics(&self) -> Vec<Metric> {
        let Some(request) = self.requests("metrics").pop() else {
            return Vec::new();
        };
        let request = ExportMetricsServiceRequest::decode(&request.body[..]).unwrap();
        let resources = request.resource_metrics.into_iter();
        let scopes = resources.flat_map(|own| own.scope_metrics);
        scopes.flat_map(|own| own.metrics).collect()
    }

    /// The sum of the series of a counter or gauge that have all of these labels; `None` without any.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let metric = self.metrics().into_iter().find(|own| own.name == name)?;
        let points = match metric.data? {
            Data::Sum(sum) => sum.data_points,
            Data::Gauge(gauge) => gauge.data_points,
            _ => return None,
        };
        let has_all = |attributes: &[KeyValue]| {
            let own = pairs(attributes);
            let mut wanted = labels.iter();
            wanted.all(|(key, value)| own.iter().any(|(k, v)| (&**k, &**v) == (*key, *value)))
        };
        let points: Vec<f64> = points
            .into_iter()
            .filter(|point| has_all(&point.attributes))
            .map(|point| match point.value.unwrap() {
                number_data_point::Value::AsInt(value) => value as f64,
                number_data_point::Value::AsDouble(value) => value,
            })
            .collect();
        (!points.is_empty()).then(|| points.iter().sum())
    }

    pub fn logs(&self) -> Vec<LogRecord> {
        let requests = self.requests("logs").into_iter();
        let decoded =
            requests.map(|request| ExportLogsServiceRequest::decode(&request.body[..]).unwrap());
        let scopes = decoded
            .flat_map(|own| own.resource_logs)
            .flat_map(|own| own.scope_logs);
        scopes.flat_map(|own| own.log_records).collect()
    }
}

/// Attributes as text.
pub fn pairs(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |own: &KeyValue| match own.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes
        .iter()
        .map(|own| (own.key.clone(), text(own)))
        .collect()
}

async fn take(kept: Arc<Kept>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Some(signal) = uri.path().strip_prefix("/v1/").map(str::to_owned) else {
        return StatusCode::NOT_FOUND;
    };
    let answer = *kept.answer.lock().unwrap();
    match answer {
        Answer::Take => {}
        Answer::Refuse(status) => return StatusCode::from_u16(status).unwrap(),
        Answer::Hang => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }
    }
    let body = match headers.get("content-encoding").map(|own| own.as_bytes()) {
        Some(b"gzip") => {
            let mut plain = Vec::new();
            let mut packed = flate2::read::GzDecoder::new(&body[..]);
            packed.read_to_end(&mut plain).unwrap();
            plain
        }
        _ => body.to_vec(),
    };
    let request = Request {
        signal,
        headers,
        body,
    };
    kept.requests.lock().unwrap().push(request);
    StatusCode::OK
}
