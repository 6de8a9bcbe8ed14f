//! Variables of the OpenTelemetry specification that the SDK does not read, or not all of.

use std::{path::PathBuf, time::Duration};

use super::{Error, Signal};

/// Spans or log lines that wait, unless a variable says otherwise; the specification's default.
const QUEUE: usize = 2048;

/// Variables of the environment.
pub(super) struct Environment<'a>(pub(super) &'a dyn Fn(&'static str) -> Option<String>);

impl Environment<'static> {
    pub(super) fn of_process() -> Self {
        Self(&variable)
    }
}

fn variable(name: &'static str) -> Option<String> {
    std::env::var(name).ok()
}

impl Environment<'_> {
    /// A variable; one that is empty counts as unset (specification, "Environment Variable Specification").
    pub(super) fn get(&self, name: &'static str) -> Option<String> {
        (self.0)(name).filter(|value| !value.trim().is_empty())
    }

    /// Whether a signal is sent: a collector is named, the signal is wanted, and nothing turns it off. A variable that
    /// asks for OTLP is a wish too.
    pub(super) fn is_on(
        &self,
        signal: Signal,
        has_endpoint: bool,
        wanted: bool,
    ) -> Result<bool, Error> {
        let is_disabled = self.get("OTEL_SDK_DISABLED");
        if is_disabled.is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Ok(false);
        }
        let [exporter, endpoint, protocol, _] = variables(signal);
        let wanted = match self.get(exporter).as_deref().map(str::trim) {
            None => wanted,
            Some("none") => false,
            Some("otlp") => true,
            Some(_) => return Err(Error::Exporter { variable: exporter }),
        };
        let named = has_endpoint
            || self.get(endpoint).is_some()
            || self.get("OTEL_EXPORTER_OTLP_ENDPOINT").is_some();
        if !(wanted && named) {
            return Ok(false);
        }
        // The SDK would send HTTP to the port of gRPC.
        for variable in [protocol, "OTEL_EXPORTER_OTLP_PROTOCOL"] {
            match self.get(variable).as_deref().map(str::trim) {
                Some("http/protobuf") => break,
                None => {}
                Some(_) => return Err(Error::Protocol { variable }),
            }
        }
        Ok(true)
    }

    /// Whether an address of a collector, this one or one of the environment, is encrypted.
    pub(super) fn names_https(&self, endpoint: Option<&str>) -> bool {
        let is_https = |url: &str| url.trim_start().to_ascii_lowercase().starts_with("https:");
        let of_signals = [Signal::Traces, Signal::Metrics, Signal::Logs]
            .map(|signal| variables(signal)[1])
            .into_iter()
            .chain(["OTEL_EXPORTER_OTLP_ENDPOINT"]);
        let mut named = of_signals.filter_map(|variable| self.get(variable));
        endpoint.is_some_and(is_https) || named.any(|url| is_https(&url))
    }

    pub(super) fn names_compression(&self, signal: Signal) -> bool {
        let [.., compression] = variables(signal);
        self.get(compression).is_some() || self.get("OTEL_EXPORTER_OTLP_COMPRESSION").is_some()
    }

    pub(super) fn file(&self, variable: &'static str) -> Option<PathBuf> {
        self.get(variable).map(PathBuf::from)
    }

    pub(super) fn names_service(&self) -> bool {
        self.get("OTEL_SERVICE_NAME").is_some() || self.has_resource("service.name")
    }

    /// Whether `OTEL_RESOURCE_ATTRIBUTES` has an attribute.
    pub(super) fn has_resource(&self, key: &str) -> bool {
        let attributes = self.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        let mut pairs = attributes.split(',');
        pairs.any(|pair| {
            pair.split_once('=')
                .is_some_and(|(own, _)| own.trim() == key)
        })
    }

    /// Spans or log lines that may wait. What is not a number is as if unset, as the SDK takes it.
    pub(super) fn queue(&self, variable: &'static str) -> usize {
        let given = self
            .get(variable)
            .and_then(|value| value.trim().parse().ok());
        given.filter(|most| *most > 0).unwrap_or(QUEUE)
    }

    pub(super) fn milliseconds(&self, variable: &'static str) -> Result<Option<Duration>, Error> {
        let Some(value) = self.get(variable) else {
            return Ok(None);
        };
        match value.trim().parse() {
            Ok(0) | Err(_) => Err(Error::Number { variable }),
            Ok(millis) => Ok(Some(Duration::from_millis(millis))),
        }
    }
}

/// Of a signal: exporter, endpoint, protocol, compression.
fn variables(signal: Signal) -> [&'static str; 4] {
    match signal {
        Signal::Traces => [
            "OTEL_TRACES_EXPORTER",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
        ],
        Signal::Metrics => [
            "OTEL_METRICS_EXPORTER",
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
            "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
        ],
        Signal::Logs => [
            "OTEL_LOGS_EXPORTER",
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
            "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_on(pairs: &[(&str, &str)], signal: Signal, wanted: bool) -> Result<bool, String> {
        let get = |name: &'static str| {
            let found = pairs.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let is_on = Environment(&get).is_on(signal, false, wanted);
        is_on.map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_sent_without_a_collector() {
        assert_eq!(is_on(&[], Signal::Traces, true), Ok(false));
        assert_eq!(
            is_on(&[("OTEL_TRACES_EXPORTER", "otlp")], Signal::Traces, true),
            Ok(false)
        );
        let blank = [("OTEL_EXPORTER_OTLP_ENDPOINT", " ")];
        assert_eq!(is_on(&blank, Signal::Traces, true), Ok(false));
    }

    #[test]
    fn variables_turn_signals_on_and_off() {
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        assert_eq!(is_on(&[general], Signal::Traces, true), Ok(true));
        assert_eq!(is_on(&[general], Signal::Logs, false), Ok(false));
        assert_eq!(
            is_on(
                &[general, ("OTEL_LOGS_EXPORTER", "otlp")],
                Signal::Logs,
                false
            ),
            Ok(true)
        );
        assert_eq!(
            is_on(
                &[general, ("OTEL_TRACES_EXPORTER", "none")],
                Signal::Traces,
                true
            ),
            Ok(false)
        );
        assert_eq!(
            is_on(
                &[general, ("OTEL_SDK_DISABLED", "TRUE")],
                Signal::Metrics,
                true
            ),
            Ok(false)
        );
        let own = (
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "http://c:4318/v1/metrics",
        );
        assert_eq!(is_on(&[own], Signal::Metrics, true), Ok(true));
        assert_eq!(is_on(&[own], Signal::Traces, true), Ok(false));
    }

    #[test]
    fn what_weir_does_not_do_is_refused_in_words() {
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317");
        let grpc = [general, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
        let told = is_on(&grpc, Signal::Traces, true).unwrap_err();
        assert!(
            told.contains("4318") && told.contains("OTEL_EXPORTER_OTLP_PROTOCOL"),
            "{told}"
        );
        // The signal's own variable wins.
        let own = [
            grpc[0],
            grpc[1],
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ];
        assert_eq!(is_on(&own, Signal::Traces, true), Ok(true));
        assert!(is_on(&own, Signal::Metrics, true).is_err());
        let jaeger = [general, ("OTEL_TRACES_EXPORTER", "jaeger")];
        assert!(is_on(&jaeger, Signal::Traces, true).is_err());
    }

    #[test]
    fn encryption_is_seen_in_each_address() {
        let get = |name: &'static str| {
            let is_it = name == "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
            is_it.then(|| "HTTPS://c/v1/logs".to_owned())
        };
        assert!(Environment(&get).names_https(Some("http://c")));
        assert!(!Environment(&|_| None).names_https(Some("http://https.example")));
        assert!(Environment(&|_| None).names_https(Some("https://c")));
    }

    #[test]
    fn resource_attributes_are_found() {
        let get = |name: &'static str| {
            (name == "OTEL_RESOURCE_ATTRIBUTES").then(|| "a=b, service.name = lake".to_owned())
        };
        let environment = Environment(&get);
        assert!(environment.names_service());
        assert!(!environment.has_resource("host.name"));
    }
}
