//! A witness that is asked over HTTP (<https://c2sp.org/tlog-witness>): it signs a head if it grew from the one that it
//! signed last.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use reqwest::{Client, Response, StatusCode, header::CONTENT_TYPE, redirect};
use url::Url;

use super::{
    anchor::{Anchor, Error, Head},
    checkpoint,
    note::{Kind, Signature, VerifyingKey},
    tree::Hash,
};

/// Longest wait for an answer: the next roll waits meanwhile.
const WAIT: Duration = Duration::from_secs(10);

/// Most bytes of an answer: some signatures.
const MAX_ANSWER: usize = 64 << 10;

/// A witness. It is known by its key; the address only leads to it.
pub struct Witness {
    name: String,
    submit: Url,
    key: VerifyingKey,
    client: Client,
    /// Size of the head that it signed last, if that is known.
    last: Mutex<Option<u64>>,
}

impl Witness {
    /// The witness at an address, with the key of its cosignatures.
    pub fn new(address: &Url, key: VerifyingKey) -> Result<Self, Error> {
        let name = shown(address);
        let refused = |why: &str| Error::Unreachable {
            at: name.clone(),
            why: why.to_owned(),
        };
        if key.kind() != Kind::Cosignature {
            return Err(refused("its key is not that of a witness"));
        }
        let mut submit = address.clone();
        match submit.path_segments_mut() {
            Ok(mut path) => drop(path.pop_if_empty().push("add-checkpoint")),
            Err(()) => return Err(refused("its address has no path")),
        }
        let client = Client::builder()
            .timeout(WAIT)
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|_| refused("no HTTP client can be made"))?;
        Ok(Self {
            name,
            submit,
            key,
            client,
            last: Mutex::new(None),
        })
    }

    async fn cosigned(&self, head: Head<'_>) -> Result<Vec<Signature>, Error> {
        let size = head.checkpoint.size;
        let known = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // A witness that is asked for the first time says which head it has.
        let mut old = known.unwrap_or(0);
        for _ in 0..2 {
            if old > size {
                return Err(Error::Ahead {
                    at: format!("the witness at {}", self.name),
                    last: old,
                    size,
                });
            }
            let proof = match old {
                0 => Vec::new(),
                _ => head.rolls.consistency(old, size).await?,
            };
            let answer = self.ask(&body(old, &proof, head)).await?;
            match answer.status() {
                StatusCode::OK => {
                    let signatures = self.signatures(head, &self.text(answer).await?)?;
                    self.remember(size);
                    return Ok(signatures);
                }
                StatusCode::CONFLICT => {
                    let of_size = is_size(&answer);
                    let text = self.text(answer).await?;
                    let last = text.strip_suffix('\n').and_then(checkpoint::decimal);
                    match last.filter(|last| of_size && *last != old) {
                        Some(last) => old = last,
                        // The sizes agree, and the roots do not.
                        None if old == size => return Err(self.forked(head)),
                        None => return Err(self.refused(409)),
                    }
                    self.remember(old);
                }
                // The proof is by the tiles: it leads to another root than that which the witness holds.
                StatusCode::UNPROCESSABLE_ENTITY => return Err(self.forked(head)),
                status => return Err(self.refused(status.as_u16())),
            }
        }
        Err(self.refused(409))
    }

    async fn ask(&self, body: &str) -> Result<Response, Error> {
        let request = self.client.post(self.submit.clone()).body(body.to_owned());
        request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))
    }

    async fn text(&self, mut answer: Response) -> Result<String, Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(&error))?
        {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > MAX_ANSWER {
                return Err(self.answer(None));
            }
        }
        String::from_utf8(bytes).map_err(|_| self.answer(None))
    }

    /// Its signatures, of which at least one has to hold.
    fn signatures(&self, head: Head<'_>, text: &str) -> Result<Vec<Signature>, Error> {
        let found = Signature::parse_lines(text).map_err(|error| self.answer(Some(error)))?;
        let own = |one: &Signature| one.id() == self.key.id() && one.name() == self.key.name();
        let own: Vec<Signature> = found.into_iter().filter(own).collect();
        let mut note = head.note.clone();
        own.iter().for_each(|signature| note.add(signature.clone()));
        match note.verified([&self.key]) {
            Ok(_) => Ok(own),
            Err(error) => Err(self.answer(Some(error))),
        }
    }

    fn remember(&self, size: u64) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(size);
    }

    fn forked(&self, head: Head<'_>) -> Error {
        Error::Forked {
            at: format!("the witness at {}", self.name),
            origin: head.checkpoint.origin.clone(),
        }
    }

    fn refused(&self, status: u16) -> Error {
        let hint = match status {
            403 => "it does not know the notary's key",
            404 => "it does not know the origin, or this is not its address",
            409 => "it changed its mind about the size of its last head",
            400 => "it does not read the request as the protocol has it",
            _ => "weir asks it again at the next roll",
        };
        Error::Refused {
            at: self.name.clone(),
            status,
            hint,
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let why = if error.is_timeout() {
            "no answer in 10 s"
        } else if error.is_connect() {
            "no connection"
        } else {
            "the connection broke"
        };
        Error::Unreachable {
            at: self.name.clone(),
            why: why.to_owned(),
        }
    }

    fn answer(&self, source: Option<super::note::Error>) -> Error {
        Error::Answer {
            at: self.name.clone(),
            source,
        }
    }
}

impl Anchor for Witness {
    fn name(&self) -> &str {
        &self.name
    }

    fn keep<'h>(&'h self, head: Head<'h>) -> BoxFuture<'h, Result<Vec<Signature>, Error>> {
        Box::pin(self.cosigned(head))
    }
}

fn body(old: u64, proof: &[Hash], head: Head<'_>) -> String {
    let mut body = format!("old {old}\n");
    for hash in proof {
        body += &STANDARD.encode(hash);
        body.push('\n');
    }
    body + "\n" + &head.note.to_string()
}

fn is_size(answer: &Response) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/x.tlog.size"))
}

/// An address without what may be a secret.
fn shown(address: &Url) -> String {
    let mut shown = address.clone();
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.to_string()
}
