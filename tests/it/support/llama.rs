//! A real completion server, llama.cpp's with a tiny model of random weights, and a bad network and bad servers in front of
//! it.
//!
//! `make setup-tests` puts the server under `.weir/llama`. What the model answers means nothing; a grammar of the pack gives
//! it the values that a test plants.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::support::{job::python, served::serve};

/// Tokens, which are bytes, of a request's prompt and answer.
const CONTEXT: usize = 4096;

/// A server that runs as long as it is held.
pub struct Llama {
    child: Child,
    pub url: String,
}

impl Llama {
    pub fn start(context: usize) -> Self {
        let site = concat!(env!("CARGO_MANIFEST_DIR"), "/.weir/llama");
        let mut command = python("tests/llama/tiny_server.py");
        let command = command.args([&context.to_string(), "2"]);
        let command = command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("PYTHONPATH", site)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        assert!(
            line.starts_with("http"),
            "llama.cpp's server did not start; `make setup-tests` gets it"
        );
        let url = format!("{}/v1", line.trim());
        Self { child, url }
    }

    /// One for all tests.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Llama> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(CONTEXT))
    }
}

impl Drop for Llama {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What becomes of a request.
#[derive(Clone)]
pub enum Fault {
    /// The server behind answers.
    Pass,
    /// Another answer in a whole completion.
    Says(String),
    /// The same, cut by the limit of tokens.
    Cut(String),
    /// A status, with `Retry-After`.
    Status(u16, Option<&'static str>, String),
    /// A status 200 with this body.
    Body(Vec<u8>),
    /// The connection ends in the middle of the body.
    Breaks,
    /// No answer.
    Hangs,
    /// Another address.
    Redirects(String),
}

/// A request as it came.
#[derive(Clone)]
pub struct Asked {
    pub prompt: String,
    pub model: String,
    pub body: Value,
    pub authorization: Option<String>,
}

impl Asked {
    /// The text between the words of B2NER's prompt.
    pub fn text(&self) -> &str {
        let from = ["\nText: ", "\n文本: "].iter().find_map(|start| {
            let at = self.prompt.find(start)?;
            Some(at + start.len())
        });
        let text = &self.prompt[from.expect("it is a prompt of B2NER")..];
        text.rsplit_once(" \n").expect("it is a prompt of B2NER").0
    }

    /// Whether it is the small question that weir asks at its start.
    pub fn is_probe(&self) -> bool {
        self.text() == "weir"
    }
}

type Behaviour = Box<dyn Fn(&Asked, usize) -> Fault + Send + Sync>;

/// What stands in front of a server. Requests go to `behaviour`, with their number from 0.
pub struct Front {
    pub url: String,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared {
    behind: Option<String>,
    behaviour: Behaviour,
    asked: Mutex<Vec<Asked>>,
    http: reqwest::Client,
}

impl Front {
    /// In front of llama.cpp's server.
    pub fn real(behaviour: impl Fn(&Asked, usize) -> Fault + Send + Sync + 'static) -> Self {
        Self::new(Some(Llama::shared().url.clone()), Box::new(behaviour))
    }

    /// Nothing is behind it: what the behaviour says is all.
    pub fn alone(behaviour: impl Fn(&Asked, usize) -> Fault + Send + Sync + 'static) -> Self {
        Self::new(None, Box::new(behaviour))
    }

    fn new(behind: Option<String>, behaviour: Behaviour) -> Self {
        let shared = Arc::new(Shared {
            behind,
            behaviour,
            asked: Mutex::default(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        });
        let served = shared.clone();
        let answer = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let shared = served.clone();
            async move { shared.answer(&method, &uri, &headers, body).await }
        };
        let (address, runtime) = serve(answer);
        Self {
            url: format!("{address}/v1"),
            shared,
            _runtime: runtime,
        }
    }

    /// Requests for completions so far, without the small questions.
    pub fn asked(&self) -> Vec<Asked> {
        let mut asked = self.shared.asked.lock().unwrap().clone();
        asked.retain(|asked| !asked.is_probe());
        asked
    }
}

impl Shared {
    async fn answer(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        if method == Method::GET {
            return json!({"data": [{"id": "tiny"}]})
                .to_string()
                .into_response();
        }
        let json: Value = serde_json::from_slice(&body).unwrap();
        let text = |key: &str| json[key].as_str().unwrap().to_owned();
        let asked = Asked {
            prompt: text("prompt"),
            model: text("model"),
            authorization: headers
                .get(header::AUTHORIZATION)
                .map(|value| value.to_str().unwrap().to_owned()),
            body: json,
        };
        let number = {
            let mut all = self.asked.lock().unwrap();
            let number = all.iter().filter(|asked| !asked.is_probe()).count();
            all.push(asked.clone());
            number
        };
        match (self.behaviour)(&asked, number) {
            Fault::Pass if asked.is_probe() && self.behind.is_none() => completion(" None", "stop"),
            Fault::Pass => self.pass(uri, body).await,
            Fault::Says(text) => completion(&text, "stop"),
            Fault::Cut(text) => completion(&text, "length"),
            Fault::Body(body) => body.into_response(),
            Fault::Redirects(to) => {
                (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
            }
            Fault::Status(status, after, body) => {
                let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
                if let Some(after) = after {
                    response
                        .headers_mut()
                        .insert(header::RETRY_AFTER, after.parse().unwrap());
                }
                response
            }
            Fault::Breaks => {
                let parts = [Ok("{\"choices\": [{\"text\": \" None"), Err("broken")];
                Body::from_stream(futures::stream::iter(parts)).into_response()
            }
            Fault::Hangs => {
                tokio::time::sleep(Duration::from_secs(600)).await;
                StatusCode::OK.into_response()
            }
        }
    }

    async fn pass(&self, uri: &Uri, body: Bytes) -> Response {
        let behind = self.behind.as_ref().expect("a server is behind");
        let path = uri.path().strip_prefix("/v1").unwrap();
        let sent = self.http.post(format!("{behind}{path}")).body(body);
        let sent = sent.header(header::CONTENT_TYPE, "application/json");
        let answer = sent.send().await.unwrap();
        let status = answer.status();
        (status, answer.bytes().await.unwrap()).into_response()
    }
}

fn completion(text: &str, reason: &str) -> Response {
    let json = json!({
        "choices": [{"index": 0, "text": text, "finish_reason": reason, "logprobs": null}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    });
    json.to_string().into_response()
}
