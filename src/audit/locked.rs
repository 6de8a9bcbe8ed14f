//! A bucket whose store refuses to delete what it holds before a date: S3's object lock.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use object_store::{
    aws::AmazonS3,
    path::Path,
    signer::{SignedUrlOptions, Signer as _},
};
use reqwest::{
    Client, Method, StatusCode,
    header::{HeaderName, HeaderValue},
};
use sha2::{Digest as _, Sha256};

use super::{
    anchor::{Anchor, Error, Folder, Head, failed, held, same},
    note::Signature,
};

/// Longest wait for an answer, and how long the signature of a request is good.
const WAIT: Duration = Duration::from_secs(30);

const MODE: &str = "x-amz-object-lock-mode";
const COMPLIANCE: &str = "COMPLIANCE";

/// A bucket with object lock. object_store has no name for the lock's headers, so the request is signed by it and sent
/// from here.
pub struct LockedBucket {
    store: AmazonS3,
    prefix: Path,
    name: String,
    days: u32,
    client: Client,
}

impl LockedBucket {
    /// Heads go below a prefix, and nobody can delete or replace one for so many days, not even the account's owner.
    /// `name` stands for the bucket in messages.
    pub fn new(store: AmazonS3, prefix: Path, name: &str, days: u32) -> Result<Self, Error> {
        let client = Client::builder().timeout(WAIT).build();
        Ok(Self {
            client: client.map_err(|_| Error::Unreachable {
                at: name.to_owned(),
                why: "no HTTP client can be made".to_owned(),
            })?,
            store,
            prefix,
            name: name.to_owned(),
            days,
        })
    }

    async fn put(&self, head: Head<'_>) -> Result<(), Error> {
        let at = Folder::path(&self.prefix, head.checkpoint);
        let note = head.note.to_string();
        let headers = self.headers(&note);
        let mut signed = SignedUrlOptions::default();
        for (name, value) in &headers {
            signed = signed.with_signed_header(name.clone(), value.clone());
        }
        let url = self.store.signed_url_opts(Method::PUT, &at, WAIT, &signed);
        let url = url.await.map_err(|error| failed(&at, error))?;
        let mut request = self.client.put(url).body(note);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // The client's own message would print the address, which holds the signature.
        let sent = request.send().await.map(|answer| answer.status());
        let status = sent.unwrap_or(StatusCode::REQUEST_TIMEOUT);
        if !status.is_success() {
            // It exists, or the answer to an earlier request got lost.
            match held(&self.store, &at).await? {
                Some(found) => same(head, &found, &self.name, &at)?,
                None => return Err(self.refused(status)),
            }
        }
        self.check_lock(&at).await
    }

    /// A store that does not know the lock's headers may ignore them.
    async fn check_lock(&self, at: &Path) -> Result<(), Error> {
        let url = self.store.signed_url(Method::HEAD, at, WAIT);
        let url = url.await.map_err(|error| failed(at, error))?;
        let sent = self.client.head(url).send().await;
        let Ok(answer) = sent else {
            return Err(self.refused(StatusCode::REQUEST_TIMEOUT));
        };
        let mode = answer.headers().get(MODE);
        match mode.is_some_and(|mode| mode == COMPLIANCE) {
            true => Ok(()),
            false => Err(self.refused(answer.status())),
        }
    }

    fn refused(&self, status: StatusCode) -> Error {
        Error::Refused {
            at: self.name.clone(),
            status: status.as_u16(),
            hint: "the head is not locked: check that the bucket has object lock, and the rights \
                   s3:PutObjectRetention and s3:GetObjectRetention",
        }
    }

    fn headers(&self, note: &str) -> Vec<(HeaderName, HeaderValue)> {
        let days = SignedDuration::from_hours(24 * i64::from(self.days));
        let until = Timestamp::now().checked_add(days).unwrap_or(Timestamp::MAX);
        let until = until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        // S3 asks for a checksum with a lock.
        let checksum = STANDARD.encode(Sha256::digest(note));
        let headers = [
            ("if-none-match", "*"),
            ("x-amz-checksum-sha256", &checksum),
            (MODE, COMPLIANCE),
            ("x-amz-object-lock-retain-until-date", &until),
        ];
        let headers = headers.map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("it is of ASCII");
            (HeaderName::from_static(name), value)
        });
        headers.to_vec()
    }
}

impl Anchor for LockedBucket {
    fn name(&self) -> &str {
        &self.name
    }

    fn keep<'h>(&'h self, head: Head<'h>) -> BoxFuture<'h, Result<Vec<Signature>, Error>> {
        Box::pin(async move { self.put(head).await.map(|()| Vec::new()) })
    }
}
