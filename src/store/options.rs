use std::{collections::BTreeMap, fmt};

use super::Error;

/// Options of an object store by the names of the object_store library: `aws_region`, `allow_http`.
/// Secrets may be among them; `Debug` prints names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// Whether the store at `url` knows an option of this name.
    pub fn takes(url: &str, name: &str) -> bool {
        match url.split_once("://") {
            None | Some(("file", _)) => false,
            Some((scheme, _)) => cloud_takes(scheme, &name.to_ascii_lowercase()),
        }
    }

    /// Options that people set for stores of a scheme, to name the one that was meant.
    pub(crate) fn usual(scheme: &str) -> &'static [&'static str] {
        match scheme {
            "s3" | "s3a" => &[
                "aws_region",
                "aws_endpoint",
                "aws_access_key_id",
                "aws_secret_access_key",
                "aws_session_token",
                "aws_virtual_hosted_style_request",
                "aws_server_side_encryption",
                "aws_skip_signature",
                "allow_http",
            ],
            "gs" => &[
                "google_service_account",
                "google_service_account_key",
                "google_application_credentials",
                "google_skip_signature",
                "allow_http",
            ],
            _ => &[
                "azure_storage_account_name",
                "azure_storage_account_key",
                "azure_storage_sas_key",
                "azure_storage_client_id",
                "azure_storage_client_secret",
                "azure_storage_tenant_id",
                "azure_storage_endpoint",
                "allow_http",
            ],
        }
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first option that the store at `url` does not know is an error: object_store ignores it, and a
    /// typo would go unnoticed.
    pub(super) fn check(&self, url: &str) -> Result<(), Error> {
        match self.0.keys().find(|name| !Self::takes(url, name)) {
            None => Ok(()),
            Some(name) => Err(Error::Option {
                key: name.clone(),
                url: url.to_owned(),
            }),
        }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Options {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(options: I) -> Self {
        let options = options.into_iter();
        Self(
            options
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(feature = "clouds")]
fn cloud_takes(scheme: &str, name: &str) -> bool {
    use object_store::{aws::AmazonS3ConfigKey, azure::AzureConfigKey, gcp::GoogleConfigKey};
    match scheme {
        "s3" | "s3a" => name.parse::<AmazonS3ConfigKey>().is_ok(),
        "gs" => name.parse::<GoogleConfigKey>().is_ok(),
        "az" | "azure" | "abfs" | "abfss" | "adl" => name.parse::<AzureConfigKey>().is_ok(),
        _ => false,
    }
}

/// A build without clouds opens none of them; what is wrong is then the URL.
#[cfg(not(feature = "clouds"))]
fn cloud_takes(_: &str, _: &str) -> bool {
    true
}
