//! The HTTP client for the collector.

use std::{path::Path, sync::Arc};

use reqwest::{Certificate, Identity, blocking::Client, redirect};

use super::{Error, Options, TIMEOUT, environment::Environment};

/// Makes the client. The SDK's own has no place for a private authority, and follows redirects with headers that may
/// hold a token.
pub(super) fn build(
    options: &Options,
    environment: &Environment<'_>,
) -> Result<Arc<dyn opentelemetry_http::HttpClient>, Error> {
    let timeout = match options.timeout {
        Some(timeout) => timeout,
        None => environment
            .milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT")?
            .unwrap_or(TIMEOUT),
    };
    let mut builder = Client::builder()
        .timeout(timeout)
        .connect_timeout(timeout)
        .redirect(redirect::Policy::none());
    let ca = options.ca_file.clone();
    if let Some(path) = ca.or_else(|| environment.file("OTEL_EXPORTER_OTLP_CERTIFICATE")) {
        let certificates = Certificate::from_pem_bundle(&read(&path)?);
        let certificates = certificates.ok().filter(|found| !found.is_empty());
        let certificates = certificates.ok_or_else(|| not_pem(&path))?;
        builder = builder.tls_certs_only(certificates);
    } else if !environment.names_https(options.endpoint.as_deref()) {
        // Without it reqwest makes no client on a system without certificates, such as a small container.
        builder = builder.tls_certs_only([]);
    }
    let of_environment = || {
        let certificate = environment.file("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
        let key = environment.file("OTEL_EXPORTER_OTLP_CLIENT_KEY");
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            _ => Err(Error::HalfIdentity),
        }
    };
    let identity = match &options.identity {
        Some(identity) => Some(identity.clone()),
        None => of_environment()?,
    };
    if let Some((certificate, key)) = identity {
        let mut pem = read(&certificate)?;
        pem.extend(read(&key)?);
        let identity = Identity::from_pem(&pem).map_err(|_| not_pem(&certificate))?;
        builder = builder.identity(identity);
    }
    // The blocking client starts a runtime, which it may not do on a thread of another one.
    let made = std::thread::Builder::new()
        .name("otlp-client".to_owned())
        .spawn(move || builder.build())
        .map_err(|_| Error::Client)?
        .join();
    match made {
        Ok(Ok(client)) => Ok(Arc::new(client)),
        _ => Err(Error::Client),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| Error::Tls {
        path: path.to_owned(),
        reason: error.kind().to_string(),
    })
}

fn not_pem(path: &Path) -> Error {
    Error::Tls {
        path: path.to_owned(),
        reason: "it holds no certificate in PEM".to_owned(),
    }
}
