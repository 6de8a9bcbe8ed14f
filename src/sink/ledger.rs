//! Which source objects are done, and which worker processes which: kept in the sink, next to the output.
//!
//! `_weir/commits/ID.json` is written last, with a conditional create: an object with such a record
//! is done, and the record lists its files. `_weir/claims/ID.GENERATION.json` says who is at work;
//! its owner renews it. ID is a digest of source object, version and configuration.
//!
//! # What can happen between any two steps
//!
//! - Killed before the commit record: no record, so the object is done again. Its files have the same
//!   names and replace what the killed run had finished of them; an unfinished upload is invisible.
//! - Killed after the commit record: the object is done. The claim stays; no worker reads it again.
//! - Two workers begin: both create claim 1, the store lets one win, the other sees `Busy`.
//! - A worker is killed while it holds a claim: on the same host its process is found dead and claim 2 is
//!   created at once. Workers on other hosts watch the claim: if it was not renewed for a lease by
//!   the *watcher's* clock, it is void. weir compares no clocks.
//! - A worker is stopped longer than the lease and wakes up: it finds a higher claim before it makes
//!   anything visible and gives up ([`super::Error::Lost`]). If it slept between that check and the
//!   commit, the conditional create of the record decides: one record, made by one of them. The files
//!   have the same names and the same documents, no matter which worker wrote them last.
//! - The answer to the create got lost and object_store repeated it: the store says that the record
//!   exists. weir reads it: it is ours if it names our nonce.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::{Error, Formats, Output};
use crate::{
    record::{
        PlainText,
        audit::{DigestKey, Head},
        commit::{self, File, ObjectCommit},
    },
    source::Object,
    store::Location,
};

/// The sink's record of work. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
}

#[derive(Clone)]
struct Shared {
    location: Location,
    formats: Formats,
    lease: Duration,
    /// What decides about the outputs beside the source object.
    configuration: String,
    /// Key of the digests in audit records; without one nothing is audited.
    digest_key: Option<DigestKey>,
    /// Claims of others: what was seen last, and since when.
    seen: Arc<Mutex<HashMap<Path, (String, Instant)>>>,
}

/// What came of a claim.
pub enum Claimed {
    /// The object is this worker's.
    Claim(Claim),
    /// It was committed before.
    Done,
    /// Another worker is at work on it.
    Busy,
}

/// An object that is this worker's until it is dropped.
pub struct Claim {
    ledger: Ledger,
    object: Object,
    id: String,
    owner: Owner,
    generation: u64,
    lost: Arc<AtomicBool>,
    renewal: JoinHandle<()>,
}

/// Unfinished files of one name that are looked for. Fewer: one of many killed workers leaves a file
/// that nobody reads. More: calls to the file system for each object.
const STAGED: u32 = 8;

/// Who holds a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    /// Host and PID namespace: a process number means something only there.
    host: String,
    pid: u32,
    /// Start of the process, in clock ticks since boot: numbers are used again.
    started: u64,
    /// This claim.
    nonce: String,
    /// Times it was renewed, so that each renewal is another object version.
    renewed: u64,
}

impl Ledger {
    /// A ledger in `location`. `configuration` is a digest of everything but the source object that
    /// decides about the outputs.
    pub fn new(
        location: Location,
        formats: Formats,
        lease: Duration,
        configuration: String,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                location,
                formats,
                lease,
                configuration,
                digest_key: None,
                seen: Arc::default(),
            }),
        }
    }

    /// The same ledger, which audits: each object gets an audit file, and its commit record digests of all files.
    #[must_use]
    pub fn audited(mut self, key: DigestKey) -> Self {
        Arc::make_mut(&mut self.shared).digest_key = Some(key);
        self
    }

    /// The same ledger for objects that are processed with `policies`, a digest: after a reload the
    /// outputs of an object are other ones, under other names.
    pub fn under(&self, policies: &str) -> Self {
        let mut shared = Shared::clone(&self.shared);
        let mut digest = blake3::Hasher::new();
        for part in [shared.configuration.as_str(), policies] {
            crate::digest::part(&mut digest, part);
        }
        shared.configuration = digest.finalize().to_hex()[..32].to_owned();
        Self {
            shared: Arc::new(shared),
        }
    }

    /// How long a claim holds without renewal.
    pub fn lease(&self) -> Duration {
        self.shared.lease
    }

    /// The form in which plain text is written.
    pub fn plain_text(&self) -> PlainText {
        match self.shared.formats.redactions {
            super::Redactions::Text => PlainText::Text,
            _ => PlainText::Record,
        }
    }

    pub(super) fn digest_key(&self) -> Option<&DigestKey> {
        self.shared.digest_key.as_ref()
    }

    pub(super) fn configuration(&self) -> &str {
        &self.shared.configuration
    }

    pub(super) fn location(&self) -> &Location {
        &self.shared.location
    }

    pub(super) fn formats(&self) -> &Formats {
        &self.shared.formats
    }

    fn store(&self) -> &Arc<dyn ObjectStore> {
        self.shared.location.store()
    }

    fn id(&self, object: &Object) -> String {
        commit::id(&object.path, &object.version, &self.shared.configuration)
    }

    fn commit_path(&self, id: &str) -> Path {
        self.shared
            .location
            .path(&format!("{}/{id}.json", commit::OBJECTS))
    }

    fn claim_path(&self, id: &str, generation: u64) -> Path {
        self.shared
            .location
            .path(&format!("_weir/claims/{id}.{generation}.json"))
    }

    /// Whether an object is done.
    pub async fn is_done(&self, object: &Object) -> Result<bool, Error> {
        let path = self.commit_path(&self.id(object));
        self.shared
            .location
            .holds(&path)
            .await
            .map_err(|source| Error::Store {
                at: path.to_string(),
                source,
            })
    }

    /// Takes an object, if nobody else has it.
    pub async fn claim(&self, object: &Object) -> Result<Claimed, Error> {
        let id = self.id(object);
        if self.is_done(object).await? {
            return Ok(Claimed::Done);
        }
        let generation = match self.latest(&id).await? {
            None => 1,
            Some((generation, path, version)) => {
                if !self.is_void(&path, version).await? {
                    return Ok(Claimed::Busy);
                }
                info!(object = %object.path, generation, "taking over from a worker that is gone");
                generation + 1
            }
        };
        let owner = Owner::new();
        let path = self.claim_path(&id, generation);
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self
            .store()
            .put_opts(&path, owner.json().into(), options)
            .await
        {
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. }) => {
                // Ours after all, if the first answer got lost.
                if self
                    .owner_of(&path)
                    .await?
                    .is_none_or(|found| found.nonce != owner.nonce)
                {
                    return Ok(Claimed::Busy);
                }
            }
            Err(source) => {
                return Err(Error::Store {
                    at: path.to_string(),
                    source,
                });
            }
        }
        // Committed between the first look and the claim.
        if self.is_done(object).await? {
            let _ = self.store().delete(&path).await;
            return Ok(Claimed::Done);
        }
        let lost = Arc::new(AtomicBool::new(false));
        let renewal = tokio::spawn(renew(
            self.clone(),
            id.clone(),
            generation,
            owner.clone(),
            lost.clone(),
        ));
        Ok(Claimed::Claim(Claim {
            ledger: self.clone(),
            object: object.clone(),
            id,
            owner,
            generation,
            lost,
            renewal,
        }))
    }

    /// The highest claim of an object, with its version in the store.
    async fn latest(&self, id: &str) -> Result<Option<(u64, Path, String)>, Error> {
        let folder = self.shared.location.path("_weir/claims");
        // Object stores list by folder, and an ID is the start of a name, not a folder: `offset`
        // begins right before it, and the first other name ends the listing.
        let offset = self.shared.location.path(&format!("_weir/claims/{id}."));
        let mut listed = self.store().list_with_offset(Some(&folder), &offset);
        let mut latest: Option<(u64, Path, String)> = None;
        let at = |source| Error::Store {
            at: folder.to_string(),
            source,
        };
        let mut others = 0;
        while let Some(meta) = listed.try_next().await.map_err(at)? {
            let name = meta.location.filename().unwrap_or_default();
            let Some(generation) = name
                .strip_prefix(&format!("{id}."))
                .and_then(|rest| rest.strip_suffix(".json"))
            else {
                // Local folders are not listed in order, so all of it is looked at there.
                others += 1;
                if self.shared.location.folder().is_none() && others > 1 {
                    break;
                }
                continue;
            };
            let Ok(generation) = generation.parse::<u64>() else {
                continue;
            };
            if latest
                .as_ref()
                .is_none_or(|(highest, ..)| generation > *highest)
            {
                let version = meta
                    .e_tag
                    .unwrap_or_else(|| format!("{}-{}", meta.size, meta.last_modified));
                latest = Some((generation, meta.location, version));
            }
        }
        Ok(latest)
    }

    /// Whether a claim's owner is gone: its process is dead, or it was not renewed for a lease while
    /// we looked.
    async fn is_void(&self, path: &Path, version: String) -> Result<bool, Error> {
        let Some(owner) = self.owner_of(path).await? else {
            return Ok(false);
        };
        if owner.is_dead() {
            return Ok(true);
        }
        let mut seen = self
            .shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (last, since) = seen
            .entry(path.clone())
            .or_insert_with(|| (version.clone(), Instant::now()));
        if *last != version {
            (*last, *since) = (version, Instant::now());
        }
        Ok(since.elapsed() > self.shared.lease)
    }

    /// Who wrote a claim; `None` if it can't be read, which is nobody's leave to take it over.
    async fn owner_of(&self, path: &Path) -> Result<Option<Owner>, Error> {
        Ok(self
            .read(path)
            .await?
            .and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    async fn read(&self, path: &Path) -> Result<Option<bytes::Bytes>, Error> {
        let failed = |source| Error::Store {
            at: path.to_string(),
            source,
        };
        match self.store().get(path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }
}

/// Renews a claim until it is lost or dropped.
async fn renew(
    ledger: Ledger,
    id: String,
    generation: u64,
    mut owner: Owner,
    lost: Arc<AtomicBool>,
) {
    let mut every = tokio::time::interval(ledger.lease() / 3);
    every.tick().await;
    loop {
        every.tick().await;
        match ledger.latest(&id).await {
            Ok(Some((highest, ..))) if highest > generation => {
                lost.store(true, Ordering::Release);
                return;
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "could not check whether the claim is still ours"),
        }
        owner.renewed += 1;
        let path = ledger.claim_path(&id, generation);
        if let Err(error) = ledger.store().put(&path, owner.json().into()).await {
            // The next renewal may work; if none does, another worker takes over and we find out.
            warn!(%error, "claim not renewed");
        }
    }
}

impl Claim {
    /// The source object.
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The 12 hex digits that the names of the outputs carry.
    pub(super) fn digest(&self) -> &str {
        &self.id[..commit::ID_DIGITS]
    }

    /// Where the outputs go.
    pub fn output(self) -> Output {
        Output::new(self)
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Fails if the object is no longer this worker's.
    pub(super) async fn still_ours(&self) -> Result<(), Error> {
        let higher = self
            .ledger
            .latest(&self.id)
            .await?
            .is_some_and(|(highest, ..)| highest > self.generation);
        if higher || self.lost.load(Ordering::Acquire) || self.ledger.is_done(&self.object).await? {
            return Err(Error::Lost {
                object: self.object.path.clone(),
            });
        }
        Ok(())
    }

    /// Writes the commit record: from here on the object is done. `audit`: the end of the audit file's chain.
    pub(super) async fn commit(
        &self,
        files: Vec<File>,
        audit: Option<&Head>,
        documents: u64,
        dead_letters: u64,
    ) -> Result<(), Error> {
        let record = ObjectCommit {
            object: self.object.path.clone(),
            version: self.object.version.clone(),
            configuration: self.ledger.shared.configuration.clone(),
            outputs: files.iter().map(|file| file.path.clone()).collect(),
            documents,
            dead_letters,
            nonce: self.owner.nonce.clone(),
            files: match audit {
                Some(_) => files,
                None => Vec::new(),
            },
            audit: audit.map(ToString::to_string),
            hash: String::new(),
        };
        let path = self.ledger.commit_path(&self.id);
        let bytes = record.written();
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        match self
            .ledger
            .store()
            .put_opts(&path, bytes.into(), options)
            .await
        {
            Ok(_) => {}
            Err(object_store::Error::AlreadyExists { .. }) => {
                let found = self.ledger.read(&path).await?;
                let found: Option<ObjectCommit> =
                    found.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                if found.is_none_or(|found| found.nonce != record.nonce) {
                    return Err(Error::Lost {
                        object: self.object.path.clone(),
                    });
                }
            }
            Err(source) => {
                return Err(Error::Store {
                    at: path.to_string(),
                    source,
                });
            }
        }
        self.renewal.abort();
        // Claims are of no use any more; one that stays does no harm.
        for generation in 1..=self.generation {
            let _ = self
                .ledger
                .store()
                .delete(&self.ledger.claim_path(&self.id, generation))
                .await;
        }
        self.sweep();
        Ok(())
    }

    /// Removes what killed workers left of claims and commit records in a local folder: object_store
    /// writes `NAME#1`, or the next free number, and links or renames it.
    fn sweep(&self) {
        let Some(folder) = self.ledger.location().folder() else {
            return;
        };
        let claims =
            (1..=self.generation).map(|generation| format!("claims/{}.{generation}.json", self.id));
        for name in claims.chain([format!("commits/{}.json", self.id)]) {
            // No listing: the folder of commit records may be large. A number is free again as soon as
            // its file is linked, so a gap is not the end; more than a few writers at once are not seen.
            for number in 1..=STAGED {
                let _ = std::fs::remove_file(folder.join(format!("_weir/{name}#{number}")));
            }
        }
    }

    /// Gives the object back, so that another worker need not wait for the lease.
    pub async fn release(self) {
        self.renewal.abort();
        let _ = self
            .ledger
            .store()
            .delete(&self.ledger.claim_path(&self.id, self.generation))
            .await;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Owner {
    fn new() -> Self {
        let pid = std::process::id();
        let mut nonce = [0; 16];
        // Two claims of one process in the same nanosecond differ in their address at least.
        let mut hasher = blake3::Hasher::new();
        hasher.update(&pid.to_le_bytes());
        hasher.update(uuid_bytes().as_slice());
        nonce.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self {
            host: host(),
            pid,
            started: started(pid).unwrap_or(0),
            nonce: hex::encode(nonce),
            renewed: 0,
        }
    }

    fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers are JSON")
    }

    /// Whether the process is known not to run any more. From another host, or where /proc is not
    /// there, nothing is known.
    fn is_dead(&self) -> bool {
        self.host == host() && self.started != 0 && started(self.pid) != Some(self.started)
    }
}

/// Random bytes from the standard library's own seeding of hash maps.
fn uuid_bytes() -> [u8; 16] {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let number = || RandomState::new().build_hasher().finish().to_le_bytes();
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number());
    bytes[8..].copy_from_slice(&number());
    bytes
}

/// Boot and PID namespace of this process; empty where they can't be known.
fn host() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), namespace.display())
}

/// Start of a process in clock ticks since boot: field 22 of /proc/PID/stat (proc(5)). The name of
/// the program, field 2, may hold spaces and brackets, so fields are counted from its last bracket.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    // A process that was killed and not waited for yet is dead.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
