//! One request to a completion server: what it cost in time, and what kind of failure it was.
//!
//! In:  a request.
//! Out: a completion, or a [`Failure`] that says whether to ask again.
//! Holds: bodies are bounded; no redirect and no proxy of the environment is followed, so that texts go to the configured
//!        address and nowhere else; a failure holds no text of a body but words of its `type` and `code` (I7).

use std::{
    error::Error as _,
    io,
    net::IpAddr,
    time::{Duration, SystemTime},
};

use reqwest::{
    StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};
use serde::Deserialize;

use super::{
    Access, Error, Settings,
    completion::{Completion, Refusal, Request},
};

/// Most bytes of an answer's body. A server may give some hundred bytes with each of a thousand tokens.
const MOST_BYTES: usize = 4 << 20;

/// Most bytes of a refusal's body that are read.
const MOST_BYTES_OF_REFUSAL: usize = 64 << 10;

/// A client of one server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    completions: Url,
    models: Url,
    authorization: Option<HeaderValue>,
    /// Host and port, for messages.
    at: String,
}

/// Why a request has no completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It may pass.
    Passing {
        why: String,
        /// Time that the server asks to wait.
        after: Option<Duration>,
        /// Whether a server that is well would not fail so: retries of it are counted.
        counts: bool,
    },
    /// Prompt and answer are too long for the model.
    TooLong,
    /// The server refuses every request like this: its address, the key or the model's name is wrong.
    Refused { why: String },
    /// The server refuses this request.
    Rejected { why: String },
}

impl Client {
    pub(super) fn new(settings: &Settings, access: &Access) -> Result<Self, Error> {
        let url = access.url.as_ref().or(settings.url.as_ref());
        let address = |at: &str, why: &str| Error::Address {
            at: at.to_owned(),
            why: why.to_owned(),
        };
        let Some(url) = url else {
            return Err(address("model.server.url", "it is not set"));
        };
        let base = Url::parse(url).map_err(|_| address("model.server.url", "it is not a URL"))?;
        let at = match (base.host_str(), base.port_or_known_default()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            _ => return Err(address("model.server.url", "it has no host")),
        };
        if !base.username().is_empty() || base.password().is_some() {
            return Err(address(&at, "a user or password in it would be logged"));
        }
        match base.scheme() {
            "https" => {}
            "http" if access.allow_http || is_loopback(&base) => {}
            "http" => {
                return Err(address(
                    &at,
                    "texts would go to another host without encryption",
                ));
            }
            _ => return Err(address(&at, "it is neither http nor https")),
        }
        let below = |name: &str| {
            let mut own = base.clone();
            own.path_segments_mut()
                .map_err(|()| address(&at, "it has no path"))?
                .pop_if_empty()
                .push(name);
            Ok::<_, Error>(own)
        };
        let of_environment = || {
            let name = settings.api_key_env.as_ref()?;
            std::env::var(name).ok().map(super::ApiKey::from)
        };
        let key = access.api_key.clone().or_else(of_environment);
        let authorization = key.map(|key| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose().trim()))
                .map_err(|_| address(&at, "its API key has characters that no header can hold"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        });
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(access.connect_timeout)
            .read_timeout(access.read_timeout)
            .redirect(Policy::none())
            .no_proxy();
        if base.scheme() == "http" {
            // Without it reqwest makes no client on a system without certificates, such as a small container.
            http = http.tls_certs_only([]);
        }
        let http = http
            .build()
            .map_err(|_| address(&at, "the HTTP client can't be made"))?;
        Ok(Self {
            http,
            completions: below("completions")?,
            models: below("models")?,
            authorization: authorization.transpose()?,
            at,
        })
    }

    /// Host and port.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// Asks for a completion, once.
    pub(super) async fn complete(
        &self,
        request: &Request<'_>,
        stop: &str,
    ) -> Result<Completion, Failure> {
        let json = serde_json::to_vec(request).expect("a request is JSON");
        let sent = self.http.post(self.completions.clone()).body(json);
        let sent = sent.header(CONTENT_TYPE, "application/json");
        let body = self.answer(sent).await?;
        Completion::read(&body, stop).ok_or_else(|| Failure::Passing {
            why: "the answer is not a completion".to_owned(),
            after: None,
            counts: true,
        })
    }

    /// Names of the models that the server lists; none where it has no list.
    pub(super) async fn models(&self) -> Result<Vec<String>, Failure> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Model>,
        }
        #[derive(Deserialize)]
        struct Model {
            id: String,
        }
        let body = self.answer(self.http.get(self.models.clone())).await?;
        let list: Result<List, _> = serde_json::from_slice(&body);
        Ok(list.map_or_else(
            |_| Vec::new(),
            |list| list.data.into_iter().map(|model| model.id).collect(),
        ))
    }

    /// The body of a request's answer.
    async fn answer(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, Failure> {
        let request = match &self.authorization {
            Some(key) => request.header(AUTHORIZATION, key.clone()),
            None => request,
        };
        let mut response = request.send().await.map_err(|error| passing(&error))?;
        let status = response.status();
        if status.is_success() {
            return body(&mut response, MOST_BYTES).await?.ok_or_else(|| {
                let why = format!("the answer is larger than {MOST_BYTES} bytes");
                Failure::Rejected { why }
            });
        }
        let after = retry_after(response.headers());
        let refusal = body(&mut response, MOST_BYTES_OF_REFUSAL).await;
        let refusal = Refusal::read(&refusal.ok().flatten().unwrap_or_default());
        Err(failure(status, after, &refusal))
    }
}

/// A body of at most so many bytes.
async fn body(response: &mut reqwest::Response, most: usize) -> Result<Option<Vec<u8>>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| passing(&error))? {
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes))
}

/// What a status says.
fn failure(status: StatusCode, after: Option<Duration>, refusal: &Refusal) -> Failure {
    let mut why = format!("status {}", status.as_u16());
    for word in &refusal.words {
        why = format!("{why}, {word}");
    }
    let too_long = refusal.is_too_long || status == StatusCode::PAYLOAD_TOO_LARGE;
    match status.as_u16() {
        // llama.cpp answers 500 where several requests together exceed its context.
        400 | 413 | 422 | 500 if too_long => Failure::TooLong,
        408 | 429 | 502..=504 => Failure::Passing {
            why,
            after,
            counts: false,
        },
        500.. => Failure::Passing {
            why,
            after,
            counts: true,
        },
        401 | 403 | 404 | 405 | 300..=399 => Failure::Refused { why },
        _ => Failure::Rejected { why },
    }
}

/// A failure of the network, by its kind: reqwest's own message holds the URL.
fn passing(error: &reqwest::Error) -> Failure {
    let mut kind = None;
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(inner) = inner.downcast_ref::<io::Error>() {
            kind = Some(inner.kind());
        }
        source = inner.source();
    }
    let what = match error {
        error if error.is_timeout() && error.is_connect() => "no connection in time".to_owned(),
        error if error.is_timeout() => "no answer in time".to_owned(),
        error if error.is_connect() => match kind {
            Some(kind) => format!("no connection ({kind})"),
            None => "no connection".to_owned(),
        },
        error if error.is_body() || error.is_decode() => "the answer is truncated".to_owned(),
        _ => "the connection was lost".to_owned(),
    };
    Failure::Passing {
        why: what,
        after: None,
        counts: !error.is_connect(),
    }
}

/// `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?;
    let date = SystemTime::from(date.timestamp());
    date.duration_since(SystemTime::now()).ok()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str, allow_http: bool) -> Result<Client, Error> {
        let settings = toml::from_str("model = \"m\"").unwrap();
        let access = Access {
            url: Some(url.to_owned()),
            allow_http,
            ..Access::default()
        };
        Client::new(&settings, &access)
    }

    #[test]
    fn texts_go_to_another_host_encrypted_or_where_it_is_allowed() {
        for url in [
            "http://127.0.0.1:8000/v1",
            "http://localhost:8000/v1/",
            "http://[::1]:8000",
            "https://models.example/v1",
        ] {
            let client = client(url, false).unwrap();
            assert!(client.completions.path().ends_with("/completions"));
            assert!(
                !client.completions.path().contains("//"),
                "{}",
                client.completions
            );
        }
        assert!(client("http://vllm:8000/v1", false).is_err());
        assert!(client("http://vllm:8000/v1", true).is_ok());
        for url in [
            "vllm:8000",
            "ftp://x/v1",
            "http://u:p@127.0.0.1/v1",
            "unix:/x",
        ] {
            let Err(error) = client(url, true) else {
                panic!("{url}")
            };
            assert!(!error.to_string().contains("u:p"), "{error}");
        }
    }

    #[test]
    fn each_status_says_whether_to_ask_again() {
        let of = |status: u16| {
            failure(
                StatusCode::from_u16(status).unwrap(),
                None,
                &Refusal::default(),
            )
        };
        for (status, counts) in [
            (408, false),
            (429, false),
            (500, true),
            (501, true),
            (502, false),
            (503, false),
            (504, false),
        ] {
            assert!(
                matches!(of(status), Failure::Passing { counts: own, .. } if own == counts),
                "{status}"
            );
        }
        for status in [302, 401, 403, 404, 405] {
            assert!(matches!(of(status), Failure::Refused { .. }), "{status}");
        }
        for status in [400, 402, 409, 422] {
            assert!(matches!(of(status), Failure::Rejected { .. }), "{status}");
        }
        assert_eq!(of(413), Failure::TooLong);
        let long = Refusal {
            words: Vec::new(),
            is_too_long: true,
        };
        for status in [400, 422, 500] {
            assert_eq!(
                failure(StatusCode::from_u16(status).unwrap(), None, &long),
                Failure::TooLong
            );
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers)
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), None, "it is past");
        let later = of("Wed, 06 Nov 2999 08:49:37 GMT").unwrap();
        assert!(later > Duration::from_secs(1 << 30));
        assert_eq!(of("soon"), None);
    }
}
