//! The OpenTelemetry collector.

use std::time::Duration;

use super::{Resolver, types::Collector};
use crate::config::{
    kafka::Secret,
    telemetry::{Otlp, OtlpCompression, OtlpTls},
};

impl Resolver<'_> {
    /// The collector as `telemetry.otlp` names it; what is wrong with it is reported.
    pub(super) fn collector(&mut self, section: Option<&Otlp>) -> Collector {
        let Some(section) = section else {
            return Collector::default();
        };
        // All of them: a key that is documented and never read does not compile.
        let Otlp {
            endpoint,
            headers_file,
            tls:
                OtlpTls {
                    ca_file,
                    certificate_file,
                    key_file,
                },
            timeout_secs,
            compression,
        } = section;
        if let Some(endpoint) = endpoint {
            self.collector_url(endpoint);
        }
        if certificate_file.is_some() != key_file.is_some() {
            let at = "telemetry.otlp.tls";
            let message = format!("`{at}` names a certificate or a key without the other");
            self.invalid(at, message, "give certificate_file and key_file");
        }
        let headers = headers_file.as_ref();
        let headers = headers.and_then(|file| self.collector_headers(file));
        let path = |key: &str, path: &Option<String>| {
            let path = path.as_ref()?;
            Some(self.path(&format!("telemetry.otlp.tls.{key}"), path))
        };
        Collector {
            endpoint: endpoint.clone(),
            ca_file: path("ca_file", ca_file),
            certificate_file: path("certificate_file", certificate_file),
            key_file: path("key_file", key_file),
            headers: headers.unwrap_or_default(),
            timeout: timeout_secs.map(|own| Duration::from_secs(u64::from(own))),
            gzip: compression.map(|own| own == OtlpCompression::Gzip),
        }
    }

    fn collector_url(&mut self, url: &str) {
        let at = "telemetry.otlp.endpoint";
        let Some(parsed) = self.http_url(at, url, "http://127.0.0.1:4318", "add headers_file")
        else {
            return;
        };
        // OTLP over gRPC has this port.
        if parsed.port() == Some(4317) {
            let message =
                format!("`{at}` has port 4317, which speaks gRPC; weir sends OTLP over HTTP");
            self.invalid(
                at,
                message,
                "name the collector's port for HTTP, 4318 by default",
            );
        }
    }

    /// The headers that a file lists, one `name=value` per line. No message quotes a line.
    fn collector_headers(&mut self, file: &str) -> Option<Vec<(String, Secret)>> {
        let at = "telemetry.otlp.headers_file";
        let text = self.read_secret(at, file)?;
        let mut headers = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair = line
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim()));
            let is_name = |name: &str| {
                !name.is_empty()
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            };
            let is_value = |value: &str| value.bytes().all(|b| (b' '..=b'~').contains(&b));
            let Some((name, value)) = pair.filter(|(name, value)| is_name(name) && is_value(value))
            else {
                let message = format!(
                    "line {} of the file that `{at}` names is not a header",
                    number + 1
                );
                self.invalid(at, message, "one name=value per line");
                return None;
            };
            headers.push((name.to_owned(), Secret::new(value.to_owned())));
        }
        Some(headers)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use crate::config::{Config, Resolved};

    fn resolved(telemetry: &str) -> Result<Resolved, String> {
        let text = format!(
            "[source]\ntype = \"stdin\"\n[sink]\ntype = \"stdout\"\n[tenants]\ndir = \"t\"\ndefault = \"a\"\n\
             [model]\npack = \"p\"\n[telemetry]\n{telemetry}\n"
        );
        let written = Config::parse("weir.toml", &text, 1, [], &[]);
        let written = written.map_err(|problems| problems.to_string())?;
        written
            .resolve(Path::new("weir.toml"))
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_collector_is_as_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        std::fs::write(&file, "# of the vendor\nx-api-key = hunter2\n\nother=a=b\n").unwrap();
        let resolved = resolved(&format!(
            "otlp = {{ endpoint = \"https://c.example:4318\", headers_file = {file:?}, timeout_secs = 3, \
             compression = \"none\", tls = {{ ca_file = \"ca.pem\" }} }}"
        ))
        .unwrap();
        let own = &resolved.collector;
        assert_eq!(own.timeout, Some(Duration::from_secs(3)));
        let headers: Vec<_> = own
            .headers
            .iter()
            .map(|(name, value)| (&**name, value.expose()))
            .collect();
        assert_eq!(headers, [("x-api-key", "hunter2"), ("other", "a=b")]);
        assert_eq!(own.gzip, Some(false));
        assert!(own.ca_file.is_some());
        assert!(!format!("{resolved:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_wrong_with_a_collector_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("headers");
        std::fs::write(&file, "authorization: CANARY\n").unwrap();
        let headers = format!("headers_file = {file:?}");
        for (otlp, told) in [
            ("endpoint = \"collector:4318\"", "not an address"),
            ("endpoint = \"grpc://collector\"", "not an address"),
            ("endpoint = \"http://collector:4317\"", "4318"),
            ("endpoint = \"http://u:CANARY@collector\"", "secret"),
            ("headers = { authorization = \"CANARY\" }", "headers"),
            (&*headers, "line 1"),
            ("headers_file = \"missing\"", "no such file"),
            ("tls = { key_file = \"k\" }", "certificate"),
            ("timeout_secs = 0", "timeout_secs"),
        ] {
            let problems = resolved(&format!("otlp = {{ {otlp} }}")).unwrap_err();
            assert!(problems.contains(told), "{otlp}: {problems}");
            assert!(!problems.contains("CANARY"), "{problems}");
        }
    }
}
