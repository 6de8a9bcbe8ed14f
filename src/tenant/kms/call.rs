//! One request that decrypts one key.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use object_store::{
    aws::{AmazonS3Builder, AwsAuthorizer},
    client::{HttpRequest, HttpRequestBody},
    gcp::GoogleCloudStorageBuilder,
};
use reqwest::{Url, redirect::Policy};
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{Error, Wrapping};

/// Longest time for one key, with all attempts. Longer: a service that is away delays the start of a worker; shorter:
/// a busy one fails it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Times that a request is sent to a service that fails or does not answer.
const ATTEMPTS: u32 = 4;

/// Most bytes of an answer. A wrapped key has some hundred.
const MOST_BYTES: usize = 64 << 10;

type Env<'e> = &'e (dyn Fn(&str) -> Option<String> + Sync);

/// A thread of its own: the caller may stand in a runtime, where no other one can wait.
pub(super) fn unwrap(
    wrapping: &Wrapping,
    wrapped: &[u8],
    env: Env<'_>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let asked = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| unreachable(&wrapping.host(env), "no runtime"))?;
        runtime.block_on(async {
            let asked = tokio::time::timeout(DEADLINE, ask(wrapping, wrapped, env));
            let timed_out = |_| unreachable(&wrapping.host(env), "no answer");
            asked.await.map_err(timed_out)?
        })
    };
    std::thread::scope(|scope| scope.spawn(asked).join())
        .unwrap_or_else(|_| Err(unreachable(&wrapping.host(env), "internal error")))
}

fn unreachable(at: &str, why: &'static str) -> Error {
    Error::Unreachable {
        at: at.to_owned(),
        seconds: DEADLINE.as_secs(),
        why,
    }
}

impl Wrapping {
    /// Address of the service, as its own tools find it.
    fn address(&self, env: Env<'_>) -> Result<Url, Error> {
        let (name, written) = match self {
            Self::Vault { .. } => ("VAULT_ADDR", env("VAULT_ADDR")),
            Self::Aws { region, domain, .. } => {
                let own = env("AWS_ENDPOINT_URL_KMS").or_else(|| env("AWS_ENDPOINT_URL"));
                let usual = format!("https://kms.{region}.{domain}");
                ("AWS_ENDPOINT_URL_KMS", Some(own.unwrap_or(usual)))
            }
            Self::Gcp { .. } => {
                const NAME: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS";
                let usual = || "https://cloudkms.googleapis.com".to_owned();
                (NAME, Some(env(NAME).unwrap_or_else(usual)))
            }
        };
        let wrong = |why| Error::Variable { name, why };
        let written = written.ok_or(wrong("is not set"))?;
        let url = Url::parse(&written).map_err(|_| wrong("is not a URL"))?;
        let is_loopback = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => return Err(wrong("has no host")),
        };
        match url.scheme() {
            "https" => Ok(url),
            "http" if is_loopback => Ok(url),
            _ => Err(wrong(
                "must begin with https://: a key would travel in the open",
            )),
        }
    }

    /// Host of the service, for messages.
    fn host(&self, env: Env<'_>) -> String {
        let url = self.address(env).ok();
        let host = url.as_ref().and_then(|url| url.host_str());
        host.unwrap_or("the key management service").to_owned()
    }
}

/// What is sent: again at each attempt, because a signature has a time.
async fn request(
    wrapping: &Wrapping,
    wrapped: &[u8],
    env: Env<'_>,
) -> Result<reqwest::Request, Error> {
    let base = wrapping.address(env)?;
    let base = base.as_str().trim_end_matches('/');
    let at = wrapping.host(env);
    let (uri, body) = match wrapping {
        Wrapping::Vault { mount, key } => {
            let ciphertext = String::from_utf8_lossy(wrapped).trim().to_owned();
            let body = json!({ "ciphertext": ciphertext });
            (format!("{base}/v1/{mount}/decrypt/{key}"), body)
        }
        Wrapping::Aws { arn, .. } => {
            let body = json!({ "CiphertextBlob": blob(wrapped), "KeyId": arn });
            (format!("{base}/"), body)
        }
        Wrapping::Gcp { name } => {
            let body = json!({ "ciphertext": blob(wrapped) });
            (format!("{base}/v1/{name}:decrypt"), body)
        }
    };
    let body = Bytes::from(body.to_string());
    let mut request: HttpRequest = http::Request::post(uri)
        .body(HttpRequestBody::from(body.clone()))
        .map_err(|_| Error::Name)?;
    let headers = request.headers_mut();
    let json = "application/json";
    headers.insert("content-type", http::HeaderValue::from_static(json));
    sign(wrapping, &mut request, &at, env).await?;
    let (parts, _) = request.into_parts();
    let request = http::Request::from_parts(parts, body);
    reqwest::Request::try_from(request).map_err(|_| Error::Name)
}

/// Adds what shows the service who asks.
async fn sign(
    wrapping: &Wrapping,
    request: &mut HttpRequest,
    at: &str,
    env: Env<'_>,
) -> Result<(), Error> {
    let missing = || Error::Credentials { at: at.to_owned() };
    let secret = |text: &str| {
        let mut value = http::HeaderValue::from_str(text.trim()).map_err(|_| missing())?;
        value.set_sensitive(true);
        Ok::<_, Error>(value)
    };
    match wrapping {
        Wrapping::Vault { .. } => {
            let token = secret(&vault_token(env).ok_or_else(missing)?)?;
            request.headers_mut().insert("x-vault-token", token);
            if let Some(namespace) = env("VAULT_NAMESPACE") {
                let namespace = secret(&namespace)?;
                request.headers_mut().insert("x-vault-namespace", namespace);
            }
        }
        Wrapping::Aws { region, .. } => {
            // The credentials of a store, found as for every other: the bucket is never asked for.
            let store = AmazonS3Builder::from_env()
                .with_region(region)
                .with_bucket_name("weir")
                .build()
                .map_err(|_| missing())?;
            let credential = store.credentials().get_credential().await;
            let credential = credential.map_err(|_| missing())?;
            let headers = request.headers_mut();
            let target = http::HeaderValue::from_static("TrentService.Decrypt");
            headers.insert("x-amz-target", target);
            let json = http::HeaderValue::from_static("application/x-amz-json-1.1");
            headers.insert("content-type", json);
            AwsAuthorizer::new(&credential, "kms", region)
                .try_authorize(request, None)
                .map_err(|_| missing())?;
        }
        Wrapping::Gcp { .. } => {
            let store = GoogleCloudStorageBuilder::from_env()
                .with_bucket_name("weir")
                .build()
                .map_err(|_| missing())?;
            let credential = store.credentials().get_credential().await;
            let bearer = credential.map_err(|_| missing())?.bearer.clone();
            let value = secret(&Zeroizing::new(format!("Bearer {bearer}")))?;
            request.headers_mut().insert("authorization", value);
        }
    }
    Ok(())
}

/// From `VAULT_TOKEN`, or the file that an agent keeps.
fn vault_token(env: Env<'_>) -> Option<Zeroizing<String>> {
    if let Some(token) = env("VAULT_TOKEN") {
        return Some(Zeroizing::new(token));
    }
    let file = env("VAULT_TOKEN_FILE")?;
    std::fs::read_to_string(file).ok().map(Zeroizing::new)
}

/// Base64 of what the service's tools write: base64 already, or bytes.
fn blob(wrapped: &[u8]) -> String {
    let text = str::from_utf8(wrapped).map(str::trim).unwrap_or_default();
    match STANDARD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => text.to_owned(),
        _ => STANDARD.encode(wrapped),
    }
}

async fn ask(
    wrapping: &Wrapping,
    wrapped: &[u8],
    env: Env<'_>,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let at = wrapping.host(env);
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(5))
        // A redirect would carry the token of Vault to another host.
        .redirect(Policy::none());
    if wrapping.address(env)?.scheme() == "http" {
        // Without it reqwest makes no client on a system without certificates, such as a small container.
        client = client.tls_certs_only([]);
    }
    let client = client
        .build()
        .map_err(|_| unreachable(&at, "no HTTP client"))?;
    let mut attempt = 1;
    loop {
        let request = request(wrapping, wrapped, env).await?;
        let error = match client.execute(request).await {
            Ok(answer) if answer.status().is_success() => {
                return plain(wrapping, answer, &at).await;
            }
            Ok(answer) if may_pass(answer.status()) => Error::Refused {
                at: at.clone(),
                status: answer.status().as_u16(),
            },
            Ok(answer) => {
                let status = answer.status().as_u16();
                return Err(Error::Refused { at, status });
            }
            Err(error) if error.is_connect() => unreachable(&at, "connection refused"),
            Err(_) => unreachable(&at, "connection lost"),
        };
        if attempt == ATTEMPTS {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(200) * 3u32.pow(attempt - 1)).await;
        attempt += 1;
    }
}

fn may_pass(status: reqwest::StatusCode) -> bool {
    status.is_server_error() || status == reqwest::StatusCode::TOO_MANY_REQUESTS
}

async fn plain(
    wrapping: &Wrapping,
    mut answer: reqwest::Response,
    at: &str,
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let wrong = || Error::Answer { at: at.to_owned() };
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = answer.chunk().await.map_err(|_| wrong())? {
        if body.len() + chunk.len() > MOST_BYTES {
            return Err(wrong());
        }
        body.extend_from_slice(&chunk);
    }
    let json: Json = serde_json::from_slice(&body).map_err(|_| wrong())?;
    let plain = match wrapping {
        Wrapping::Vault { .. } => &json["data"]["plaintext"],
        Wrapping::Aws { .. } => &json["Plaintext"],
        Wrapping::Gcp { .. } => &json["plaintext"],
    };
    let plain = STANDARD.decode(plain.as_str().ok_or_else(wrong)?);
    plain.map(Zeroizing::new).map_err(|_| wrong())
}
