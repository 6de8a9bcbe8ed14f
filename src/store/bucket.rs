//! A bucket of S3 by its own type, for what other stores do not have.

use object_store::{
    ObjectStoreScheme,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use url::Url;

use super::{Error, Options};

/// The bucket of an `s3://` URL, and the prefix in it. Credentials come as for a [`Location`](super::Location).
pub(crate) fn bucket(url: &str, options: &Options) -> Result<(AmazonS3, Path), Error> {
    let bad_url = |reason: &str| Error::Url {
        url: url.to_owned(),
        reason: reason.to_owned(),
    };
    let parsed = Url::parse(url).map_err(|_| bad_url("it is not a URL"))?;
    if parsed.password().is_some() {
        return Err(Error::SecretInUrl);
    }
    let Ok((ObjectStoreScheme::AmazonS3, prefix)) = ObjectStoreScheme::parse(&parsed) else {
        return Err(bad_url("object lock is of S3: s3://bucket/prefix"));
    };
    options.check(url)?;
    let mut builder = AmazonS3Builder::from_env().with_url(url);
    for (name, value) in options.iter() {
        if let Ok(key) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    let bucket = builder.build().map_err(|source| Error::Store {
        at: url.to_owned(),
        source,
    })?;
    Ok((bucket, prefix))
}
