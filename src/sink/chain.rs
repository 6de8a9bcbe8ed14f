//! Which offsets of a topic's partition are in the sink: for each partition a chain of commit
//! records, kept next to the files that they list.
//!
//! `_weir/kafka/GROUP/TOPIC/PARTITION/START.json` is written last, with a conditional create. START
//! is where the record before it ended (`next`), in 20 digits; the first record of a partition has
//! START 0, wherever the group began to read. So every record has at most one successor: two
//! workers can't commit overlapping offsets, and the worker that comes second drops what it has
//! gathered. A file that no record lists is not output.
//!
//! The chain decides. weir commits the group's offsets after it, so that tools see the lag. They
//! carry the START of the newest record, so that the end of a long chain is found without
//! listing all of it.
//!
//! # What can happen between any two steps
//!
//! - Killed before the record: the files have no meaning; the next owner reads their offsets again.
//!   Names hold a digest of the bytes, so another attempt writes the same file or another one.
//! - Killed between record and group: the next owner reads the chain and begins at its end.
//! - A worker loses a partition and does not know it (it was stopped, or the network was): it and
//!   the new owner create the same START, the store lets one win. The other reads the chain again.
//!   The same happens if a worker read the chain too early.
//! - The answer to the create got lost, or object_store repeated the create and the store reported that
//!   the record exists: the worker reads the record. If the content is the same, the record is its own.
//!   Two workers with the same content have written the same files, and both continue behind it.
//! - The create arrives late, after the worker has given up on it: as for a worker that lost its
//!   partition.

use std::sync::Arc;

use super::{Error, Sealed, writer::Writer};
use crate::{
    kafka::Partition,
    record::commit::{self, segment},
    store::Location,
    telemetry::trace::{self, Step, To},
};
use futures::{TryStreamExt, future::try_join_all};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use sha2::{Digest as _, Sha256};

/// Where files and commit records go, and what they say about their making.
#[derive(Debug, Clone)]
pub struct Options {
    /// The place.
    pub location: Location,
    /// Group whose offsets are counted: another group has other chains.
    pub group: String,
    /// Digest of what decides about the content: configuration, policies, pack, version.
    pub configuration: String,
    /// Digest of the pack.
    pub pack: String,
}

/// The chains of a group. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chains {
    options: Arc<Options>,
}

/// The end of a partition's chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// Every record below is done; START of the record that comes next.
    pub next: i64,
    /// START of the newest record, if there is one.
    pub newest: Option<i64>,
    /// SHA-256 of the newest record's bytes: the next one holds it where weir audits.
    pub digest: Option<[u8; 32]>,
}

/// What came of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The files are committed.
    Committed(Head),
    /// Another worker has committed from the same offset on: the chain ends there now.
    Overtaken(Head),
}

pub use crate::record::commit::{File, SetCommit as Record};

/// Version of [`Record`].
const VERSION: u32 = 1;

impl Options {
    /// The chains.
    pub fn build(self) -> Chains {
        Chains {
            options: Arc::new(self),
        }
    }
}

impl Chains {
    /// The end of a partition's chain. `hint`: START of a record that may be near it.
    pub async fn head(&self, partition: &Partition, hint: Option<i64>) -> Result<Head, Error> {
        let folder = self.folder(partition);
        let failed = |source| store(&folder, source);
        let hint = match hint {
            // It does not matter who wrote the hint: a record that exists is part of the chain.
            Some(start) => {
                let there = self.location().holds(&self.path(partition, start)).await;
                there.map_err(failed)?.then_some(start)
            }
            None => None,
        };
        let mut newest = hint;
        let listed = match hint {
            Some(start) => self
                .store()
                .list_with_offset(Some(&folder), &self.path(partition, start)),
            None => self.store().list(Some(&folder)),
        };
        let mut listed = std::pin::pin!(listed);
        while let Some(meta) = listed.try_next().await.map_err(failed)? {
            // Local folders are not listed in order.
            newest = newest.max(start_of(&meta.location));
        }
        let Some(start) = newest else {
            return Ok(Head::default());
        };
        let path = self.path(partition, start);
        let (record, digest) = self.read(&path).await?.ok_or_else(|| Error::Record {
            at: path.to_string(),
            problem: "it was removed after it was listed",
        })?;
        after(&path, partition, start, &record, digest)
    }

    /// Writes the files, and makes them an output by the record behind `head`. After an error the
    /// outcome may be unknown: the same set can be committed again.
    pub async fn commit(
        &self,
        partition: &Partition,
        head: Head,
        set: &Sealed,
    ) -> Result<Outcome, Error> {
        debug_assert!(head.next <= set.first && set.first < set.next);
        let files = set.files.iter().map(|file| async {
            let path = self.location().path(&file.path(partition, set));
            let mut writer = Writer::new(self.store(), path, None, false);
            if let Err(error) = writer.write(&file.bytes).await {
                writer.abort().await;
                return Err(error);
            }
            // Once it is being finished there is nothing to abort: object_store's writer panics.
            writer.finish().await
        });
        let step = trace::step(Step::Send, To::Store);
        let written = try_join_all(files).await;
        step.end(written.as_ref().err().map(|_| "store"));
        written?;
        let record = self.record(partition, &head, set);
        let path = self.path(partition, head.next);
        let bytes = record.written();
        let digest = sha256(&bytes);
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let step = trace::step(Step::Commit, To::Store);
        let created = self.store().put_opts(&path, bytes.into(), options).await;
        step.end(created.as_ref().err().map(|_| "store"));
        let found = match created {
            Ok(_) => record,
            Err(source) => match self.read(&path).await? {
                Some((_, found)) if found == digest => record,
                Some((found, digest)) => {
                    let next = after(&path, partition, head.next, &found, digest)?;
                    let newest = self.head(partition, next.newest).await?;
                    return Ok(Outcome::Overtaken(newest));
                }
                None => return Err(store(&path, source)),
            },
        };
        Ok(Outcome::Committed(Head {
            next: found.next,
            newest: Some(head.next),
            digest: Some(digest),
        }))
    }

    fn record(&self, partition: &Partition, head: &Head, set: &Sealed) -> Record {
        let files = set.files.iter().map(|file| File {
            kind: file.kind.to_owned(),
            path: file.path(partition, set),
            records: file.records,
            bytes: file.bytes.len() as u64,
            digest: file.digest.clone(),
            sha256: file.sha256.clone(),
        });
        let link = || head.digest.map_or_else(|| commit::link(None), hex::encode);
        let (topic, number) = partition;
        Record {
            version: VERSION,
            group: self.options.group.clone(),
            topic: topic.to_string(),
            partition: *number,
            first: set.first,
            next: set.next,
            gap_from: set.gap_from,
            files: files.collect(),
            documents: set.documents,
            dead_letters: set.dead_letters,
            configuration: self.options.configuration.clone(),
            pack: self.options.pack.clone(),
            weir_version: crate::VERSION.to_owned(),
            audit: set.audit.as_ref().map(ToString::to_string),
            previous: set.audit.as_ref().map(|_| link()),
            hash: String::new(),
        }
    }

    /// A record, and the digest of its bytes.
    async fn read(&self, path: &Path) -> Result<Option<(Record, [u8; 32])>, Error> {
        let bytes = match self.store().get(path).await {
            Ok(found) => found.bytes().await.map_err(|source| store(path, source))?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(store(path, source)),
        };
        let record = serde_json::from_slice(&bytes).map_err(|_| Error::Record {
            at: path.to_string(),
            problem: "it is not a commit record",
        })?;
        Ok(Some((record, sha256(&bytes))))
    }

    fn location(&self) -> &Location {
        &self.options.location
    }

    fn store(&self) -> &Arc<dyn ObjectStore> {
        self.location().store()
    }

    fn folder(&self, (topic, partition): &Partition) -> Path {
        let group = segment(&self.options.group);
        let topic = segment(topic);
        self.location()
            .path(&format!("{}/{group}/{topic}/{partition}", commit::TOPICS))
    }

    fn path(&self, partition: &Partition, start: i64) -> Path {
        self.folder(partition).join(format!("{start:020}.json"))
    }
}

/// The end of a chain whose newest record is this one.
fn after(
    path: &Path,
    partition: &Partition,
    start: i64,
    record: &Record,
    digest: [u8; 32],
) -> Result<Head, Error> {
    let problem = if record.version != VERSION {
        "it is of another version of weir"
    } else if (&*record.topic, record.partition) != (&*partition.0, partition.1) {
        "it is of another partition"
    } else if record.first < start || record.next <= record.first {
        "its offsets contradict its name"
    } else {
        return Ok(Head {
            next: record.next,
            newest: Some(start),
            digest: Some(digest),
        });
    };
    Err(Error::Record {
        at: path.to_string(),
        problem,
    })
}

fn start_of(path: &Path) -> Option<i64> {
    let digits = path.filename()?.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn store(at: &Path, source: object_store::Error) -> Error {
    Error::Store {
        at: at.to_string(),
        source,
    }
}
