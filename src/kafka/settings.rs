//! Brokers as a configuration names them; no client library is needed to read it.

use std::{collections::BTreeMap, fmt, path::PathBuf};

/// How brokers are reached, for source and sink.
#[derive(Debug, Clone, Default)]
pub struct Brokers {
    /// Addresses, encryption and login.
    pub settings: Settings,
    /// File of the token for OAUTHBEARER.
    pub token_file: Option<PathBuf>,
}

/// Options by librdkafka's names; `Debug` prints names only: passwords are among the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Settings(pub(super) BTreeMap<String, String>);

impl Brokers {
    /// Brokers that ask for no login: `host:port`, several with commas.
    pub fn plain(servers: &str) -> Self {
        let mut settings = Settings::default();
        settings.set("bootstrap.servers", servers);
        Self {
            settings,
            token_file: None,
        }
    }
}

impl Settings {
    /// Sets an option.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Settings {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(options: I) -> Self {
        let options = options
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self(options.collect())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_of_settings_only() {
        let settings: Settings = [("sasl.password", "CANARY")].into_iter().collect();
        let shown = format!("{settings:?}");
        assert!(
            shown.contains("sasl.password") && !shown.contains("CANARY"),
            "{shown}"
        );
    }
}
