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

use futures::{TryStreamExt, future::try_join_all};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, path::Path};
use serde::{Deserialize, Serialize};

use super::{Error, Sealed, writer::Writer};
use crate::{
    kafka::Partition,
    store::Location,
    telemetry::trace::{self, Step, To},
};

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
}

/// What came of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The files are committed.
    Committed(Head),
    /// Another worker has committed from the same offset on: the chain ends there now.
    Overtaken(Head),
}

/// A commit record, as readers find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Record {
    /// Version of this form.
    pub version: u32,
    pub group: String,
    pub topic: String,
    pub partition: i32,
    /// Offset of the first record that was read.
    pub first: i64,
    /// The offset after the last one.
    pub next: i64,
    /// Offsets from here to `first` were not read: the group was set forward, or the topic no
    /// longer held them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap_from: Option<i64>,
    pub files: Vec<File>,
    pub documents: u64,
    pub dead_letters: u64,
    /// Digest of configuration, policies, pack and version.
    pub configuration: String,
    pub pack: String,
    pub weir_version: String,
}

/// A file of a commit record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// `entities`, `redactions` or `dead_letters`.
    pub kind: String,
    /// Path below the sink's URL.
    pub path: String,
    /// Lines.
    pub records: u64,
    /// Size as it lies there.
    pub bytes: u64,
    /// BLAKE3 of these bytes, in hexadecimal digits.
    pub digest: String,
}

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
        let record = self.read(&path).await?.ok_or_else(|| Error::Record {
            at: path.to_string(),
            problem: "it was removed after it was listed",
        })?;
        after(&path, partition, start, &record)
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
            let mut writer = Writer::new(self.store(), path, None);
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
        let record = self.record(partition, set);
        let path = self.path(partition, head.next);
        let bytes = serde_json::to_vec(&record).expect("strings and numbers are JSON");
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
                Some(found) if found == record => record,
                Some(found) => {
                    let next = after(&path, partition, head.next, &found)?;
                    let newest = self.head(partition, next.newest).await?;
                    return Ok(Outcome::Overtaken(newest));
                }
                None => return Err(store(&path, source)),
            },
        };
        Ok(Outcome::Committed(Head {
            next: found.next,
            newest: Some(head.next),
        }))
    }

    fn record(&self, partition: &Partition, set: &Sealed) -> Record {
        let files = set.files.iter().map(|file| File {
            kind: file.kind.to_owned(),
            path: file.path(partition, set),
            records: file.records,
            bytes: file.bytes.len() as u64,
            digest: file.digest.clone(),
        });
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
        }
    }

    async fn read(&self, path: &Path) -> Result<Option<Record>, Error> {
        let bytes = match self.store().get(path).await {
            Ok(found) => found.bytes().await.map_err(|source| store(path, source))?,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(store(path, source)),
        };
        let record = serde_json::from_slice(&bytes).map_err(|_| Error::Record {
            at: path.to_string(),
            problem: "it is not a commit record",
        })?;
        Ok(Some(record))
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
            .path(&format!("_weir/kafka/{group}/{topic}/{partition}"))
    }

    fn path(&self, partition: &Partition, start: i64) -> Path {
        self.folder(partition).join(format!("{start:020}.json"))
    }
}

/// The end of a chain whose newest record is this one.
fn after(path: &Path, partition: &Partition, start: i64, record: &Record) -> Result<Head, Error> {
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

/// A name as one folder: what is no letter, digit, `.`, `_` or `-` becomes `=` and two hexadecimal
/// digits, and so do dots that are all of a name. Topics stay as they are.
pub(super) fn segment(name: &str) -> String {
    let only_dots = name.bytes().all(|byte| byte == b'.');
    let mut segment = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'.' if only_dots => segment.push_str("=2E"),
            b'.' | b'_' | b'-' => segment.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => segment.push(byte.into()),
            byte => segment.push_str(&format!("={byte:02X}")),
        }
    }
    segment
}

fn store(at: &Path, source: object_store::Error) -> Error {
    Error::Store {
        at: at.to_string(),
        source,
    }
}
