//! Places outside of the notary's reach that keep the heads of its rolls.
//!
//! An anchor keeps one head for each size, and never replaces it. A notary that shows two histories has to give two heads
//! of one size, or a head that did not grow from an older one: the first anchor that holds the other refuses it.

use std::sync::Arc;

use futures::future::BoxFuture;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, path::Path};

use super::{
    checkpoint::Checkpoint,
    note::{self, Note, Signature},
    tile::{self, Tiles},
};

/// Why a head is not anchored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The anchor holds a head that contradicts this one.
    #[error(
        "{at} holds another history of {origin}: keep its note and this archive, which together are the proof, \
         and find out who else signs with the notary's key"
    )]
    Forked {
        /// The anchor, or the object in it.
        at: String,
        /// The log.
        origin: String,
    },
    /// A witness has seen a longer log.
    #[error(
        "{at} has signed a head of {last} rolls, and the archive has {size}: it lost rolls, or another archive is \
         signed with the notary's key"
    )]
    Ahead {
        /// The witness.
        at: String,
        /// Size of the head that it signed.
        last: u64,
        /// Size of this head.
        size: u64,
    },
    /// The store refused, or gave no answer.
    #[error("the head cannot be written to {at}")]
    Store {
        /// The object.
        at: String,
        /// Why.
        source: object_store::Error,
    },
    /// A witness or a bucket cannot be asked.
    #[error("{at} cannot be asked: {why}")]
    Unreachable {
        /// Its address.
        at: String,
        /// What failed.
        why: String,
    },
    /// A witness or a bucket refuses.
    #[error("{at} answered with status {status}: {hint}")]
    Refused {
        /// The witness's address, or the bucket.
        at: String,
        /// Status of its answer.
        status: u16,
        /// What that means.
        hint: &'static str,
    },
    /// A witness answered otherwise than by the protocol.
    #[error("the witness at {at} sent no signature of the key that is configured for it")]
    Answer {
        /// Its address.
        at: String,
        /// Why, if it sent one.
        source: Option<note::Error>,
    },
    /// The proof for a witness cannot be made.
    #[error("the proof that the log grew cannot be made")]
    Proof(#[from] tile::Error),
}

impl Error {
    /// Whether it proves that there are two histories, so that trying again must not help.
    pub fn is_fork(&self) -> bool {
        matches!(self, Self::Forked { .. })
    }
}

/// A head to be kept.
#[derive(Debug, Clone, Copy)]
pub struct Head<'h> {
    /// As the notary signed it.
    pub note: &'h Note,
    /// What it says.
    pub checkpoint: &'h Checkpoint,
    /// The tree that it is the head of.
    pub rolls: &'h Tiles,
}

/// A place that keeps heads.
pub trait Anchor: Send + Sync {
    /// As in messages.
    fn name(&self) -> &str;

    /// Keeps a head. What comes back are signatures of it, if this anchor signs.
    fn keep<'h>(&'h self, head: Head<'h>) -> BoxFuture<'h, Result<Vec<Signature>, Error>>;
}

/// A folder or bucket. Its own rights and retention decide what it is worth: the notary needs the right to create objects
/// and read them, and must not have that to delete or replace them.
pub struct Folder {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    name: String,
}

impl Folder {
    /// Heads go below a prefix; `name` stands for it in messages.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path, name: &str) -> Self {
        Self {
            store,
            prefix,
            name: name.to_owned(),
        }
    }

    /// `ORIGIN/SIZE.note`, with 20 digits.
    pub(super) fn path(prefix: &Path, head: &Checkpoint) -> Path {
        let segments = head.origin.split('/');
        let folder = segments.fold(prefix.clone(), |at, segment| at.join(segment));
        folder.join(format!("{:020}.note", head.size))
    }

    async fn put(&self, head: Head<'_>) -> Result<(), Error> {
        let at = Self::path(&self.prefix, head.checkpoint);
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let note = head.note.to_string();
        let Err(error) = self.store.put_opts(&at, note.into(), options).await else {
            return Ok(());
        };
        // It exists, or the answer to the create got lost.
        match held(&*self.store, &at).await? {
            Some(found) => same(head, &found, &self.name, &at),
            None => Err(failed(&at, error)),
        }
    }
}

impl Anchor for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn keep<'h>(&'h self, head: Head<'h>) -> BoxFuture<'h, Result<Vec<Signature>, Error>> {
        Box::pin(async move { self.put(head).await.map(|()| Vec::new()) })
    }
}

/// What an object holds, if it exists.
pub(super) async fn held(store: &dyn ObjectStore, at: &Path) -> Result<Option<Vec<u8>>, Error> {
    match store.get(at).await {
        Ok(found) => {
            let bytes = found.bytes().await.map_err(|error| failed(at, error))?;
            Ok(Some(bytes.to_vec()))
        }
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(failed(at, error)),
    }
}

/// Whether a note that is held has the text of this head: signatures may differ.
pub(super) fn same(head: Head<'_>, found: &[u8], anchor: &str, at: &Path) -> Result<(), Error> {
    match Note::parse(found) {
        Ok(found) if found.text() == head.note.text() => Ok(()),
        _ => Err(Error::Forked {
            at: format!("{anchor} ({at})"),
            origin: head.checkpoint.origin.clone(),
        }),
    }
}

pub(super) fn failed(at: &Path, source: object_store::Error) -> Error {
    Error::Store {
        at: at.to_string(),
        source,
    }
}
