use std::{io, path::PathBuf};

/// Why a place cannot be opened, read or listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a URL that weir reads.
    #[error("weir can't open `{url}`: {reason}")]
    Url {
        /// As configured.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A password in a URL.
    #[error("the URL holds a password")]
    SecretInUrl,
    /// An option that this kind of store does not have.
    #[error("unknown option `{key}` for {url}")]
    Option {
        /// The key.
        key: String,
        /// The place.
        url: String,
    },
    /// A local folder.
    #[error("{} cannot be opened", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store gave no answer, or refused.
    #[error("{at} cannot be read")]
    Store {
        /// The object or place.
        at: String,
        /// Why, after the retries of object_store.
        source: object_store::Error,
    },
    /// The store gave no answer in time.
    #[error("{at} did not answer in {seconds} s")]
    Silent {
        /// The place.
        at: String,
        /// How long weir waited.
        seconds: u64,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Url { .. } => {
                "use s3://bucket/prefix, gs://, az://, abfss://, file:///path or a path"
            }
            Self::SecretInUrl => {
                "set the cloud's own variable instead, such as AWS_SECRET_ACCESS_KEY"
            }
            Self::Option { .. } => "keys are those of object_store, such as aws_region, allow_http",
            Self::Folder { .. } => "check that it exists and that this user may open it",
            Self::Store { .. } | Self::Silent { .. } => {
                "check URL, region, endpoint and credentials, then run again"
            }
        };
        Some(hint.to_owned())
    }
}
