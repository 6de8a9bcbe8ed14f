//! Brokers: addresses, encryption and login as librdkafka's settings, and options that may not be set.

use std::collections::BTreeMap;

use super::Resolver;
use crate::{
    config::source,
    kafka::{Brokers, Settings},
};

/// Options that have a key of their own in weir's configuration.
const HAS_A_KEY: &[(&str, &str)] = &[
    ("bootstrap.servers", "bootstrap_servers"),
    ("metadata.broker.list", "bootstrap_servers"),
    ("security.protocol", "tls and sasl"),
    ("sasl.mechanism", "sasl.mechanism"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.username", "sasl.username"),
    ("sasl.password", "sasl.password_file"),
    ("ssl.ca.location", "tls.ca_file"),
    ("ssl.certificate.location", "tls.certificate_file"),
    ("ssl.key.location", "tls.key_file"),
    ("ssl.key.password", "tls.key_password_file"),
    ("group.id", "group_id"),
    ("group.instance.id", "group_instance_id"),
    ("group.protocol", "group_protocol"),
    ("session.timeout.ms", "session_timeout_ms"),
    ("auto.offset.reset", "auto_offset_reset"),
    (
        "topic.metadata.refresh.interval.ms",
        "topic_metadata_refresh_interval_ms",
    ),
    ("transactional.id", "transactional_id_prefix"),
    ("transaction.timeout.ms", "transaction.timeout_ms"),
    ("delivery.timeout.ms", "transaction.timeout_ms"),
    ("message.timeout.ms", "transaction.timeout_ms"),
    ("compression.type", "compression"),
    ("compression.codec", "compression"),
];

/// Options that would break what is promised, and how.
const BREAKS: &[(&str, &str)] = &[
    (
        "isolation.level",
        "what an aborted transaction wrote would be read",
    ),
    (
        "enable.auto.commit",
        "offsets would be committed before their records",
    ),
    (
        "auto.commit.enable",
        "offsets would be committed before their records",
    ),
    (
        "auto.commit.interval.ms",
        "offsets would be committed before their records",
    ),
    (
        "enable.auto.offset.store",
        "offsets would be committed before their records",
    ),
    (
        "offset.store.method",
        "offsets would not be in the transaction",
    ),
    (
        "partition.assignment.strategy",
        "all members of a group must use cooperative-sticky",
    ),
    (
        "enable.partition.eof",
        "weir does not wait for ends of partitions",
    ),
    ("enable.idempotence", "a retry would double records"),
    ("acks", "records could be lost with a broker"),
    (
        "request.required.acks",
        "records could be lost with a broker",
    ),
    ("retries", "records could be lost"),
    ("message.send.max.retries", "records could be lost"),
    ("max.in.flight", "records could be reordered"),
    (
        "max.in.flight.requests.per.connection",
        "records could be reordered",
    ),
    (
        "enable.gapless.guarantee",
        "weir would read an error as a gap",
    ),
    (
        "partitioner",
        "records of one key must stay in one partition",
    ),
    ("plugin.library.paths", "foreign code would run inside weir"),
];

impl Resolver<'_> {
    pub(super) fn brokers(
        &mut self,
        section: &str,
        servers: &str,
        sasl: Option<&source::Sasl>,
        tls: Option<&source::Tls>,
    ) -> Option<Brokers> {
        let mut brokers = Brokers::default();
        let settings = &mut brokers.settings;
        settings.set("bootstrap.servers", servers);
        settings.set(
            "security.protocol",
            match (sasl, tls) {
                (None, None) => "plaintext",
                (None, Some(_)) => "ssl",
                (Some(_), None) => "sasl_plaintext",
                (Some(_), Some(_)) => "sasl_ssl",
            },
        );
        if let Some(tls) = tls {
            self.tls(section, tls, settings)?;
        }
        if let Some(sasl) = sasl {
            self.login(section, sasl, &mut brokers)?;
        }
        Some(brokers)
    }

    /// Certificates and keys. `None` means that a problem was reported.
    fn tls(&mut self, section: &str, tls: &source::Tls, settings: &mut Settings) -> Option<()> {
        let files = [
            ("ca_file", "ssl.ca.location", &tls.ca_file),
            (
                "certificate_file",
                "ssl.certificate.location",
                &tls.certificate_file,
            ),
            ("key_file", "ssl.key.location", &tls.key_file),
        ];
        for (key, option, file) in files {
            let Some(file) = file else { continue };
            let path = self.path(&format!("{section}.tls.{key}"), file);
            settings.set(option, path.display().to_string());
        }
        let file = tls.key_password_file.as_deref();
        let variable = tls.key_password_env.as_deref();
        let key = format!("{section}.tls.key_password");
        if let Some(secret) = self.secret(&key, file, variable)? {
            settings.set("ssl.key.password", secret.expose());
        }
        Some(())
    }

    /// User and password, or the file of a token. `None` means that a problem was reported.
    fn login(&mut self, section: &str, sasl: &source::Sasl, brokers: &mut Brokers) -> Option<()> {
        let settings = &mut brokers.settings;
        let name = serde_json::to_value(sasl.mechanism).expect("a word serializes");
        settings.set("sasl.mechanism", name.as_str().expect("it is a string"));
        let key = format!("{section}.sasl");
        let password = self.secret(
            &format!("{key}.password"),
            sasl.password_file.as_deref(),
            sasl.password_env.as_deref(),
        )?;
        if sasl.mechanism == source::Mechanism::OauthBearer {
            let Some(file) = &sasl.token_file else {
                let message = "OAUTHBEARER needs `token_file`".to_owned();
                self.invalid(&key, message, "name the file that holds the token");
                return None;
            };
            brokers.token_file = Some(self.path(&format!("{key}.token_file"), file));
            return Some(());
        }
        let (Some(username), Some(password)) = (&sasl.username, password) else {
            let message = format!("{name} needs `username` and a password");
            self.invalid(
                &key,
                message,
                "add username, and password_file or password_env",
            );
            return None;
        };
        settings.set("sasl.username", username.clone());
        settings.set("sasl.password", password.expose());
        Some(())
    }

    pub(super) fn librdkafka(
        &mut self,
        section: &str,
        options: &BTreeMap<String, String>,
    ) -> Option<Settings> {
        let mut sound = true;
        for name in options.keys() {
            let at = format!("{section}.librdkafka_options.{name}");
            if let Some((_, key)) = HAS_A_KEY.iter().find(|(option, _)| option == name) {
                sound = false;
                let message = format!("`{name}` has its own key in weir's configuration");
                self.invalid(&at, message, format!("use `{key}`"));
            } else if let Some((_, why)) = BREAKS.iter().find(|(option, _)| option == name) {
                sound = false;
                let message = format!("`{name}` may not be set: {why}");
                self.invalid(&at, message, "remove it");
            }
        }
        sound.then(|| options.clone().into_iter().collect())
    }
}
