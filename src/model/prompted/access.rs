//! Where a model's server is, and how it is asked.

use std::{fmt, time::Duration};

use zeroize::Zeroizing;

use super::Treatment;

/// How a model's server is reached. What is `None` is as the pack says.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// Address of the API, such as `http://127.0.0.1:8000/v1`.
    pub url: Option<String>,
    /// Name of the model at the server.
    pub model: Option<String>,
    /// Key of the API.
    pub api_key: Option<ApiKey>,
    /// Whether a text may go to another host without encryption.
    pub allow_http: bool,
    /// Requests at a time.
    pub requests: usize,
    /// Longest time to make a connection.
    pub connect_timeout: Duration,
    /// Longest silence of the server during a request.
    pub read_timeout: Duration,
    /// Longest time for one window of a text, with all retries.
    pub deadline: Duration,
    /// Retries of a request that the server answered with a failure.
    pub retries: u32,
    /// See [`super::Settings::invented`].
    pub invented: Option<Treatment>,
    /// See [`super::Settings::unasked`].
    pub unasked: Option<Treatment>,
    /// See [`super::Settings::max_text_bytes`].
    pub max_text_bytes: Option<usize>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            url: None,
            model: None,
            api_key: None,
            allow_http: false,
            requests: 8,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(120),
            deadline: Duration::from_secs(180),
            retries: 8,
            invented: None,
            unasked: None,
            max_text_bytes: None,
        }
    }
}

/// A key that `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(Zeroizing<String>);

impl ApiKey {
    #[cfg(feature = "prompted")]
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(Zeroizing::new(key))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}
