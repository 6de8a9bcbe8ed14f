//! Wrapped keys against doubles of the services' published APIs: what is sent, what is made of the answers, and
//! what is said when there is no key.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::{Arc, Mutex},
};

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::job::{Ran, command, pack, run};
use crate::support::served::serve;

const SECRET: &[u8] = b"thirty-two bytes of a secret key";
const WRAPPED: &[u8] = b"\x01\x02 what the service made of it";
const REGION: &str = "eu-west-1";
const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const GCP_KEY: &str = "projects/p/locations/global/keyRings/r/cryptoKeys/k";
const AWS_SECRET: &str = "an AWS secret of the test";

/// The three services at one address. It answers 503 as often as `failures` says.
struct Services {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Services {
    fn start(failures: usize) -> Self {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (kept, left) = (requests.clone(), Arc::new(Mutex::new(failures)));
        let (url, runtime) = serve(move |method, uri: Uri, headers, body| {
            let answer = answer(&method, &uri, &headers, &body);
            kept.lock().unwrap().push(uri.path().to_owned());
            let mut left = left.lock().unwrap();
            let answer = match *left {
                0 => answer,
                _ => (StatusCode::SERVICE_UNAVAILABLE, "CANARY".to_owned()),
            };
            *left = left.saturating_sub(1);
            async move { answer }
        });
        Self {
            url,
            requests,
            _runtime: runtime,
        }
    }

    fn asked(&self) -> usize {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .filter(|path| !path.contains("computeMetadata"))
            .count()
    }
}

fn answer(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> (StatusCode, String) {
    let header = |name: &str| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    let body_json: Value = serde_json::from_slice(body).unwrap_or_default();
    let blob = STANDARD.encode(WRAPPED);
    let refused = (StatusCode::FORBIDDEN, "CANARY".to_owned());
    let answer = match (method.as_str(), uri.path()) {
        ("POST", "/v1/team/transit/decrypt/weir") => {
            let is_sound = header("x-vault-token") == "s.token"
                && header("x-vault-namespace") == "team-a"
                && body_json["ciphertext"] == format!("vault:v1:{blob}");
            is_sound.then(|| json!({"data": {"plaintext": STANDARD.encode(SECRET)}}))
        }
        ("POST", "/") => {
            let is_sound = header("x-amz-target") == "TrentService.Decrypt"
                && header("content-type") == "application/x-amz-json-1.1"
                && body_json == json!({"CiphertextBlob": blob, "KeyId": ARN})
                && header("authorization") == signature(headers, body);
            is_sound.then(|| json!({"KeyId": ARN, "Plaintext": STANDARD.encode(SECRET), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}))
        }
        ("POST", path) if path == format!("/v1/{GCP_KEY}:decrypt") => {
            let is_sound = header("authorization") == "Bearer ya29.token"
                && body_json == json!({"ciphertext": blob});
            is_sound.then(|| json!({"plaintext": STANDARD.encode(SECRET), "usedPrimary": true}))
        }
        ("GET", path) if path.contains("/service-accounts/default/token") => {
            let is_sound = header("metadata-flavor") == "Google";
            is_sound.then(|| json!({"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"}))
        }
        _ => None,
    };
    answer.map_or(refused, |answer| (StatusCode::OK, answer.to_string()))
}

/// The header `Authorization` that AWS expects (Signature Version 4), made of a request's own date and headers.
fn signature(headers: &HeaderMap, body: &[u8]) -> String {
    let date = headers["x-amz-date"].to_str().unwrap();
    let given = headers["authorization"].to_str().unwrap();
    let signed = given
        .split("SignedHeaders=")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    for needed in [
        "content-type",
        "host",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-target",
    ] {
        assert!(
            signed.split(';').any(|name| name == needed),
            "{needed} is not signed"
        );
    }
    let named: BTreeMap<&str, &str> = signed
        .split(';')
        .map(|name| (name, headers[name].to_str().unwrap().trim()))
        .collect();
    let canonical: String = named
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let payload = hex::encode(Sha256::digest(body));
    let request = format!("POST\n/\n\n{canonical}\n{signed}\n{payload}");
    let scope = format!("{}/{REGION}/kms/aws4_request", &date[..8]);
    let hashed = hex::encode(Sha256::digest(request));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}");
    let mac = |key: &[u8], text: &str| -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let key = [&date[..8], REGION, "kms", "aws4_request"]
        .iter()
        .fold(format!("AWS4{AWS_SECRET}").into_bytes(), |key, part| {
            mac(&key, part)
        });
    let signature = hex::encode(mac(&key, &to_sign));
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={signed}, Signature={signature}"
    )
}

struct Tenant {
    folder: tempfile::TempDir,
}

impl Tenant {
    fn new(keys: &str, file: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("k1"), file).unwrap();
        let text =
            format!("labels = []\npatterns = [\"email\"]\noperator = \"hash\"\nkeys = {keys}\n");
        std::fs::write(folder.path().join("acme.toml"), text).unwrap();
        Self { folder }
    }

    fn redact(&self, services: &Services) -> Ran {
        let tenant = self.folder.path().join("acme.toml").display().to_string();
        let pack = pack().display().to_string();
        let command = command(&["redact", "--tenant", &tenant, "--model", &pack]);
        run(with_variables(command, services), b"to bo@mail.example\n")
    }
}

fn with_variables(mut command: Command, services: &Services) -> Command {
    let host = services.url.trim_start_matches("http://");
    command
        .env("VAULT_ADDR", &services.url)
        .env("VAULT_TOKEN", "s.token")
        .env("VAULT_NAMESPACE", "team-a")
        .env("AWS_ENDPOINT_URL_KMS", &services.url)
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
        .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", &services.url)
        .env("GCE_METADATA_HOST", host)
        .env_remove("GOOGLE_APPLICATION_CREDENTIALS")
        .env("HOME", "/nonexistent");
    command
}

#[test]
fn a_key_is_unwrapped_by_each_service_and_is_then_like_any_other() {
    let services = Services::start(0);
    let plain = Tenant::new("{ id = \"k1\", file = \"k1\" }", SECRET);
    let expected = plain.redact(&services).expect(0).stdout;
    assert!(expected.contains("email_"), "{expected}");
    assert_eq!(services.asked(), 0);
    let blob = STANDARD.encode(WRAPPED);
    let vault = format!("vault:v1:{blob}\n");
    let encoded = format!("{blob}\n");
    let all: [(&str, &[u8]); 4] = [
        ("vault-transit:team/transit/weir", vault.as_bytes()),
        (&format!("aws-kms:{ARN}"), encoded.as_bytes()),
        (&format!("aws-kms:{ARN}"), WRAPPED),
        (&format!("gcp-kms:{GCP_KEY}"), WRAPPED),
    ];
    for (number, (wrapped, file)) in all.into_iter().enumerate() {
        let keys = format!("{{ id = \"k1\", wrapped = \"{wrapped}\", file = \"k1\" }}");
        let shown = Tenant::new(&keys, file).redact(&services).expect(0).stdout;
        assert_eq!(shown, expected, "{wrapped}");
        assert_eq!(services.asked(), number + 1, "{wrapped}");
    }
}

#[test]
fn a_service_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
    let blob = STANDARD.encode(WRAPPED);
    let keys = "{ id = \"k1\", wrapped = \"vault-transit:team/transit/weir\", file = \"k1\" }";
    let busy = Services::start(2);
    Tenant::new(keys, format!("vault:v1:{blob}").as_bytes())
        .redact(&busy)
        .expect(0);
    assert_eq!(busy.asked(), 3);
    let refusing = Services::start(0);
    let ran = Tenant::new(keys, b"vault:v1:other")
        .redact(&refusing)
        .expect(78);
    assert_eq!(refusing.asked(), 1);
    for secret in ["CANARY", "s.token", "vault:v1"] {
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
    ran.says(&[
        "127.0.0.1 refused to decrypt the key (status 403)",
        "acme.toml:4:",
    ]);
}

#[test]
fn a_wrapped_key_without_a_service_says_what_is_missing() {
    let services = Services::start(0);
    let unnamed = "{ id = \"k1\", wrapped = \"vault:weir\", file = \"k1\" }";
    Tenant::new(unnamed, WRAPPED)
        .redact(&services)
        .expect(78)
        .says(&["`wrapped` does not name a key of a service", "aws-kms:ARN"]);
    let keys = "{ id = \"k1\", wrapped = \"vault-transit:team/transit/weir\", file = \"k1\" }";
    let tenant = Tenant::new(keys, b"vault:v1:x");
    let path = tenant.folder.path().join("acme.toml").display().to_string();
    for (address, said) in [
        (None, "the variable VAULT_ADDR is not set"),
        (Some("http://vault.example"), "must begin with https://"),
        (Some("nowhere"), "is not a URL"),
    ] {
        let mut command = command(&["check", &path]);
        command
            .env_remove("VAULT_ADDR")
            .env("VAULT_TOKEN", "s.token");
        if let Some(address) = address {
            command.env("VAULT_ADDR", address);
        }
        let ran = run(command, b"").expect(1);
        assert!(
            ran.stderr.contains(said) || ran.stdout.contains(said),
            "{}",
            ran.stderr
        );
    }
}
