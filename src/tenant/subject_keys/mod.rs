//! The keys of a tenant's data subjects: a store with one small object for each key, and a cache in front of it.
//!
//! In:  a subject, or the name of a key as a token has it.
//! Out: the key; that it was destroyed; or why it cannot be read.
//! Holds: an object changes once at most, from a key to a tombstone. The first key of a subject has the number 1, and a
//! subject whose key was destroyed gets the next number. So two workers agree on a key by creating the same name, and
//! a worker that was late cannot bring back a key that was destroyed.
//!
//! No object, name or message holds a subject: names are HMACs under the tenant's key. After a change of that key, weir
//! finds a subject's older keys by the names under the older keys of the tenant.

mod entry;
mod error;
mod object;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hashlink::LruCache;
use object_store::{
    ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions, PutResult, path::Path,
};
use tokio::sync::OnceCell;

pub use self::{error::Error, object::Stored};
use super::Keyring;
use crate::{
    redact::{Key, KeyName, new_subject_key, subject_key_id, subject_key_parts, subject_name},
    store::{self, Location, Options},
};

/// Longest time for which a worker uses a key without asking the store for it: so long after its destruction a worker
/// may hold it. Shorter: more requests.
pub const KEPT: Duration = Duration::from_secs(60);

/// Most keys in memory. Fewer: more requests where documents of many subjects come mixed. A key takes some 200 bytes.
const CACHED: usize = 10_000;

/// Longest wait for one answer. Shorter than the retries of object_store, which go on for three minutes.
const ANSWER: Duration = Duration::from_secs(10);

/// A tenant's store of subject keys. Cheap to clone.
#[derive(Clone)]
pub struct SubjectKeys {
    shared: Arc<Shared>,
}

struct Shared {
    tenant: Arc<str>,
    url: String,
    options: Options,
    opened: OnceCell<Location>,
    ring: Keyring,
    primary: Key,
    kept: Duration,
    cached: Mutex<LruCache<String, (Key, Instant)>>,
}

/// What can be destroyed of a subject.
pub struct Found {
    /// Names of its keys.
    pub keys: Vec<String>,
    /// Where a tombstone for good is to stand, so that the subject gets no further key. `None`: one stands already.
    free: Option<String>,
    /// Whether there ever was a key.
    pub was_known: bool,
}

/// Where the keys of one name end.
enum End {
    /// A key, or why it cannot be read.
    Taken {
        id: String,
        key: Result<Key, Error>,
    },
    ForGood,
    /// The first name that is free.
    Free(String),
}

impl SubjectKeys {
    /// Keys in the store at `url`, which is opened when the first key is asked for. `primary` is the one of `ring` that
    /// wraps new keys.
    pub fn new(tenant: &str, url: &str, options: Options, ring: Keyring, primary: Key) -> Self {
        let shared = Shared {
            tenant: tenant.into(),
            url: url.to_owned(),
            options,
            opened: OnceCell::new(),
            ring,
            primary,
            kept: KEPT,
            cached: Mutex::new(LruCache::new(CACHED)),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Keys in a store that was opened elsewhere, each used for `kept` without asking for it again.
    pub fn within(
        tenant: &str,
        location: Location,
        ring: Keyring,
        primary: Key,
        kept: Duration,
    ) -> Self {
        let shared = Shared {
            tenant: tenant.into(),
            url: location.to_string(),
            options: Options::default(),
            opened: OnceCell::from(location),
            ring,
            primary,
            kept,
            cached: Mutex::new(LruCache::new(CACHED)),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The key of a subject, made if it has none.
    ///
    /// # Errors
    /// The store is away, or the subject gets no key any more.
    pub async fn key(&self, subject: &str) -> Result<Key, Error> {
        let name = self.name_under(&self.shared.primary, subject);
        if let Some(key) = self.cached(&name) {
            return Ok(key);
        }
        let began = Instant::now();
        let key = self.found_or_made(&name, subject).await?;
        self.cache().insert(name, (key.clone(), began));
        Ok(key)
    }

    /// What stands at the name of a key, as a token has it.
    pub async fn read(&self, id: &str) -> Result<Stored, Error> {
        let Some((name, _)) = subject_key_parts(id) else {
            return Ok(Stored::Nothing);
        };
        let location = self.location().await?;
        let path = path(location, name, id);
        let get = async {
            let got = location.store().get(&path).await?;
            match got.meta.size {
                0..=object::LONGEST => got.bytes().await.map(Some),
                _ => Ok(None),
            }
        };
        match self.answered(get).await {
            Ok(Some(bytes)) => object::read(&bytes, &self.shared.ring, &self.shared.tenant, id),
            Ok(None) => Err(Error::Foreign { id: id.to_owned() }),
            Err(Refusal::Missing) => Ok(Stored::Nothing),
            Err(refusal) => Err(self.failed(refusal)),
        }
    }

    /// The keys of a subject that stand in the store, under each of the tenant's keys.
    pub async fn find(&self, subject: &str) -> Result<Found, Error> {
        let mut found = Found {
            keys: Vec::new(),
            free: None,
            was_known: false,
        };
        for own in self.own_keys() {
            let name = self.name_under(own, subject);
            let first = subject_key_id(&name, 1);
            let free = match self.end(&name).await? {
                End::ForGood => None,
                End::Free(free) => Some(free),
                // What cannot be read can be destroyed.
                End::Taken { id, .. } => Some(found.add(&id)),
            };
            found.was_known |= free.as_ref() != Some(&first);
            if own.name() == self.shared.primary.name() {
                found.free = free;
            }
        }
        Ok(found)
    }

    /// Destroys a key: a tombstone stands in its place from here on.
    ///
    /// # Errors
    /// [`Error::Versioned`] if the tombstone stands there and the bucket keeps the key as an older version.
    pub async fn destroy(&self, id: &str) -> Result<(), Error> {
        let put = self.put(id, object::tombstone(false), PutMode::Overwrite);
        let result = put.await?.expect("only a creation finds that it exists");
        self.forget_cached(id);
        match self.keeps_versions(&result) {
            true => Err(Error::Versioned {
                at: self.shared.url.clone(),
            }),
            false => Ok(()),
        }
    }

    /// Puts a tombstone for good behind the keys of a subject. `false`: a key was made there meanwhile.
    pub async fn bar(&self, found: &Found) -> Result<bool, Error> {
        let Some(id) = &found.free else {
            return Ok(true);
        };
        let put = self.put(id, object::tombstone(true), PutMode::Create);
        Ok(put.await?.is_some())
    }

    /// Whether the store can be written: an object is put there, and deleted again. `None`: a folder that will be made.
    ///
    /// # Errors
    /// The store is away or refuses, or its bucket keeps older versions.
    pub async fn probe(&self) -> Result<Option<()>, Error> {
        let planned = Location::planned(&self.shared.url, &self.shared.options);
        let Some(location) = planned.map_err(|error| self.not_opened(&error))? else {
            return Ok(None);
        };
        let path = location.path("probe");
        let put = location.store().put(&path, object::tombstone(false).into());
        let put = self.answered(put).await;
        let put = put.map_err(|refusal| self.failed(refusal))?;
        // Workers delete nothing: a login that may not leaves one object of a few bytes.
        let _ = self.answered(location.store().delete(&path)).await;
        match self.keeps_versions(&put) {
            true => Err(Error::Versioned {
                at: self.shared.url.clone(),
            }),
            false => Ok(Some(())),
        }
    }

    /// The store's place, as configured.
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// Id and fingerprint of the tenant's key under which new keys are named and wrapped.
    pub fn own_key(&self) -> &KeyName {
        self.shared.primary.name()
    }

    /// The HMAC by which a subject's keys are named under that key.
    pub fn name(&self, subject: &str) -> String {
        self.name_under(&self.shared.primary, subject)
    }

    async fn found_or_made(&self, name: &str, subject: &str) -> Result<Key, Error> {
        // Ends: in each round another worker made a key, which the next round finds.
        loop {
            let free = match self.end(name).await? {
                End::Taken { key, .. } => return key,
                End::ForGood => return Err(Error::ForGood),
                End::Free(free) => free,
            };
            if let Some(key) = self.older(subject).await? {
                return Ok(key);
            }
            if let Some(key) = self.make(&free).await? {
                return Ok(key);
            }
        }
    }

    /// The key that a subject got under an older key of the tenant.
    async fn older(&self, subject: &str) -> Result<Option<Key>, Error> {
        for own in self.own_keys() {
            if own.name() == self.shared.primary.name() {
                continue;
            }
            match self.end(&self.name_under(own, subject)).await? {
                End::Taken { key, .. } => return key.map(Some),
                End::ForGood => return Err(Error::ForGood),
                End::Free(_) => {}
            }
        }
        Ok(None)
    }

    /// A new key; `None` if another worker made one meanwhile.
    async fn make(&self, id: &str) -> Result<Option<Key>, Error> {
        let key = new_subject_key(id).ok_or(Error::Random)?;
        let bytes = object::of_key(&self.shared.primary, &self.shared.tenant, &key);
        let put = self.put(id, bytes, PutMode::Create).await?;
        Ok(put.map(|_| key))
    }

    async fn end(&self, name: &str) -> Result<End, Error> {
        let mut number = 1;
        loop {
            let id = subject_key_id(name, number);
            let key = match self.read(&id).await {
                Ok(Stored::Destroyed { for_good: true }) => return Ok(End::ForGood),
                Ok(Stored::Destroyed { for_good: false }) => {
                    number += 1;
                    continue;
                }
                Ok(Stored::Nothing) => return Ok(End::Free(id)),
                Ok(Stored::Key(key)) => Ok(key),
                Err(error @ (Error::NoKey { .. } | Error::Foreign { .. })) => Err(error),
                Err(error) => return Err(error),
            };
            return Ok(End::Taken { id, key });
        }
    }

    /// Puts an object; `None` if it was to be created and exists.
    async fn put(
        &self,
        id: &str,
        bytes: Vec<u8>,
        mode: PutMode,
    ) -> Result<Option<PutResult>, Error> {
        let (name, _) = subject_key_parts(id).expect("names are made by this module");
        let location = self.location().await?;
        let options = PutOptions {
            mode,
            ..PutOptions::default()
        };
        let path = path(location, name, id);
        let put = location.store().put_opts(&path, bytes.into(), options);
        match self.answered(put).await {
            Ok(result) => Ok(Some(result)),
            // Ours after all, if the first answer got lost: the caller reads it then.
            Err(Refusal::Exists) => Ok(None),
            Err(refusal) => Err(self.failed(refusal)),
        }
    }

    /// All of the tenant's keys under which a subject may have a name.
    fn own_keys(&self) -> impl Iterator<Item = &Key> {
        self.shared.ring.all()
    }

    fn name_under(&self, own: &Key, subject: &str) -> String {
        subject_name(own, &self.shared.tenant, subject)
    }

    /// Opened off the runtime's threads: making a folder blocks.
    async fn location(&self) -> Result<&Location, Error> {
        let shared = &self.shared;
        let open = || async {
            let (url, options) = (shared.url.clone(), shared.options.clone());
            let create = move || Location::create(&url, &options);
            let opened = tokio::task::spawn_blocking(create).await;
            opened
                .map_err(|_| Error::Open {
                    at: shared.url.clone(),
                    why: "internal error".to_owned(),
                })?
                .map_err(|error| self.not_opened(&error))
        };
        shared.opened.get_or_try_init(open).await
    }

    fn not_opened(&self, error: &store::Error) -> Error {
        let why = match error {
            store::Error::Store { source, .. } => kind(source).to_owned(),
            store::Error::Folder { source, .. } => crate::diagnose::reason(source),
            error => error.to_string(),
        };
        Error::Open {
            at: self.shared.url.clone(),
            why,
        }
    }

    async fn answered<T>(
        &self,
        asked: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, Refusal> {
        match tokio::time::timeout(ANSWER, asked).await {
            Err(_) => Err(Refusal::Silent),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(object_store::Error::NotFound { .. })) => Err(Refusal::Missing),
            Ok(Err(object_store::Error::AlreadyExists { .. })) => Err(Refusal::Exists),
            Ok(Err(error)) => Err(Refusal::Other(kind(&error))),
        }
    }

    fn failed(&self, refusal: Refusal) -> Error {
        let at = self.shared.url.clone();
        match refusal {
            Refusal::Silent => Error::Silent {
                at,
                seconds: ANSWER.as_secs(),
            },
            Refusal::Missing => Error::Store {
                at,
                why: "not found",
            },
            Refusal::Exists => Error::Store {
                at,
                why: "an object exists already",
            },
            Refusal::Other(why) => Error::Store { at, why },
        }
    }

    /// Whether what was overwritten is kept. Google Cloud names a generation in any case, and says nothing by it.
    fn keeps_versions(&self, put: &PutResult) -> bool {
        let version = put.version.as_deref().filter(|version| *version != "null");
        version.is_some() && !self.shared.url.starts_with("gs://")
    }

    fn cached(&self, name: &str) -> Option<Key> {
        let mut cache = self.cache();
        let (key, read) = cache.get(name)?;
        if read.elapsed() < self.shared.kept {
            return Some(key.clone());
        }
        cache.remove(name);
        None
    }

    fn forget_cached(&self, id: &str) {
        self.cache().retain(|_, (key, _)| **key.id() != *id);
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, LruCache<String, (Key, Instant)>> {
        let cached = self.shared.cached.lock();
        cached.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    /// Adds a key; the name behind it, which is free.
    fn add(&mut self, id: &str) -> String {
        let (name, number) = subject_key_parts(id).expect("names are made by this module");
        let next = subject_key_id(name, number.saturating_add(1));
        self.keys.push(id.to_owned());
        next
    }

    /// Whether a tombstone for good is still to be put.
    pub fn may_be_barred(&self) -> bool {
        self.free.is_some()
    }
}

impl std::fmt::Debug for SubjectKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SubjectKeys({})", self.shared.url)
    }
}

/// Why a store did not do what it was asked.
enum Refusal {
    Missing,
    Exists,
    Silent,
    Other(&'static str),
}

/// Folders by the first two digits: one of a local disk does not get too large.
fn path(location: &Location, name: &str, id: &str) -> Path {
    location.path(&format!("{}/{id}", &name[..2]))
}

/// The kind of a store's error; its own message may hold a signed URL.
fn kind(error: &object_store::Error) -> &'static str {
    match error {
        object_store::Error::NotFound { .. } => "not found",
        object_store::Error::PermissionDenied { .. } => "permission denied",
        object_store::Error::Unauthenticated { .. } => "the credentials are missing or wrong",
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
            "the store cannot create an object only where none exists"
        }
        _ => "no usable answer",
    }
}

#[cfg(test)]
mod tests;
