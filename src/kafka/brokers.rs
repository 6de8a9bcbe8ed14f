//! How Kafka's brokers are reached: librdkafka's settings, and the token of OAUTHBEARER.

use std::{
    error::Error,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rdkafka::{
    ClientConfig, ClientContext,
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::OAuthToken,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    message::DeliveryResult,
    producer::{BaseProducer, Producer as _, ProducerContext},
};
use tracing::{debug, error};

use super::{Brokers, Settings};

impl Brokers {
    /// What a client is made with, before its own options.
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.extend(self.settings.0.clone());
        config
    }

    /// A client that neither reads nor writes.
    pub(crate) fn client(&self) -> Result<Client, KafkaError> {
        let context = Asking {
            token_file: self.token_file.clone(),
        };
        let inner = self.config().create_with_context(context)?;
        Ok(Client(inner))
    }

    /// A client that asks for configurations. `None` where it would have to log in by a token: nothing
    /// serves the event by which librdkafka asks for it.
    pub(crate) fn admin(&self) -> Option<AdminClient<Asking>> {
        if self.token_file.is_some() {
            return None;
        }
        let context = Asking { token_file: None };
        self.config().create_with_context(context).ok()
    }

    /// Whether a topic keeps only the newest record of each key; `None` if the brokers do not say. Blocks.
    pub(crate) fn is_compacted(&self, topic: &str, wait: Duration) -> Option<bool> {
        let admin = self.admin()?;
        let options = AdminOptions::new().request_timeout(Some(wait));
        let asked = [ResourceSpecifier::Topic(topic)];
        let answers = futures::executor::block_on(admin.describe_configs(&asked, &options));
        let answer = answers.ok()?.into_iter().next()?.ok()?;
        let policy = answer.get("cleanup.policy")?.value.as_deref()?;
        Some(policy.contains("compact"))
    }
}

/// A client that neither reads nor writes.
pub(crate) struct Client(BaseProducer<Asking>);

pub(crate) struct Asking {
    token_file: Option<PathBuf>,
}

impl Client {
    /// Whether a broker answers within `wait`. Blocks.
    pub(crate) fn answers(&self, wait: Duration) -> bool {
        // Serves the token of OAUTHBEARER.
        self.0.poll(Duration::ZERO);
        // A topic that can't be: the shortest answer, and no topic is made.
        self.0.client().fetch_metadata(Some("weir ?"), wait).is_ok()
    }
}

impl ClientContext for Asking {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, _: KafkaError, _: &str) {}

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        token(self.token_file.as_deref())
    }
}

impl ProducerContext for Asking {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

impl Settings {
    pub(crate) fn add_to(&self, config: &mut ClientConfig) {
        config.extend(self.0.clone());
    }
}

/// The token of a file. Its lifetime and principal are the claims `exp` and `sub` of the JWT
/// (RFC 7519); the broker checks the signature.
pub(crate) fn token(file: Option<&Path>) -> Result<OAuthToken, Box<dyn Error>> {
    let file = file.ok_or("no token_file is configured")?;
    let token = std::fs::read_to_string(file)
        .map_err(|error| format!("can't read the token: {:?}", error.kind()))?;
    let token = token.trim().to_owned();
    let claims = token.split('.').nth(1).ok_or("the token is not a JWT")?;
    let claims = URL_SAFE_NO_PAD
        .decode(claims.trim_end_matches('='))
        .map_err(|_| "the token is not a JWT")?;
    // The parser's message would show a piece of the token.
    let claims: serde_json::Value =
        serde_json::from_slice(&claims).map_err(|_| "the token is not a JWT")?;
    let expires = claims["exp"]
        .as_f64()
        .ok_or("`exp` is missing from the token: weir does not know when to read it again")?;
    Ok(OAuthToken {
        token,
        principal_name: claims["sub"].as_str().unwrap_or("weir").to_owned(),
        lifetime_ms: (expires * 1000.0) as i64,
    })
}

/// librdkafka's own lines: brokers, partitions, codes, never a record. They come by the dozen in an
/// outage, which weir tells in a line of its own (`pipeline/slot/reach.rs`) with the last of these as its
/// reason; so only what ends the client is worth a line at once.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            error!(facility, "librdkafka: {message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            keep_failure(message);
            debug!(facility, "librdkafka: {message}");
        }
        _ => debug!(facility, "librdkafka: {message}"),
    }
}

static LAST_FAILURE: Mutex<Option<(Instant, String)>> = Mutex::new(None);

fn keep_failure(message: &str) {
    // Without the name of librdkafka's thread.
    let message = message.split_once("]: ").map_or(message, |(_, rest)| rest);
    let mut last = LAST_FAILURE.lock().unwrap_or_else(PoisonError::into_inner);
    *last = Some((Instant::now(), message.to_owned()));
}

/// An error that librdkafka reports to a client and goes on from by itself.
pub(crate) fn goes_on(error: &KafkaError) {
    let code = error.rdkafka_error_code();
    if let Some(code) = code {
        keep_failure(&format!("{code:?}"));
    }
    debug!(?code, "librdkafka reports an error and goes on");
}

/// What librdkafka last complained of within the last minute.
pub(crate) fn last_failure() -> Option<String> {
    let last = LAST_FAILURE.lock().unwrap_or_else(PoisonError::into_inner);
    let last = last.as_ref()?;
    (last.0.elapsed() < Duration::from_secs(60)).then(|| last.1.clone())
}

/// Wait before what failed so many times in a row is tried again.
pub(crate) fn backoff(failures: u32) -> Duration {
    let longest = Duration::from_secs(5);
    longest.min(Duration::from_millis(50) * 2_u32.saturating_pow(failures.min(10)))
}

/// Whether trying again can't help: the operator has to change something.
pub(crate) fn refused(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    use RDKafkaErrorCode as Code;
    let code = error.rdkafka_error_code()?;
    matches!(
        code,
        Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::UnsupportedSASLMechanism
            | Code::UnsupportedVersion
            | Code::FencedInstanceId
            | Code::UnreleasedInstanceId
            | Code::InvalidGroupId
            | Code::InvalidSessionTimeout
            | Code::InvalidTransactionTimeout
    )
    .then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let token = format!("e30.{}.\n", URL_SAFE_NO_PAD.encode(claims));
        std::fs::write(file.path(), token).unwrap();
        file
    }

    #[test]
    fn a_token_lives_as_long_as_it_says() {
        let file = jwt(r#"{"sub":"weir","exp":1700000000}"#);
        let token = token(Some(file.path())).unwrap();
        assert_eq!(token.lifetime_ms, 1_700_000_000_000);
        assert_eq!(token.principal_name, "weir");
        assert!(!token.token.ends_with('\n'));
    }

    #[test]
    fn a_broken_token_is_not_shown() {
        let broken = [
            jwt(r#"{"sub":"CANARY""#),
            jwt(r#"{"sub":"CANARY"}"#),
            jwt("CANARY"),
        ];
        for file in broken {
            let error = token(Some(file.path())).err().unwrap();
            assert!(!error.to_string().contains("CANARY"), "{error}");
        }
        let none = tempfile::NamedTempFile::new().unwrap();
        assert!(token(Some(none.path())).is_err());
    }
}
