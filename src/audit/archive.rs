//! What a notary writes, below one place of a store.
//!
//! ```text
//! audit/ORIGIN/TOPIC/PARTITION/checkpoint           head of a partition's log, signed
//!                              tile/…               its tree
//!                              records/000[.p/W]    its records, 256 lines in an object
//! roll/checkpoint                                   head of the log of rolls, signed: this is what is anchored
//!      cosigned                                     the newest head that witnesses have signed
//!      tile/…                                       its tree
//!      leaf/000                                     one roll in each object
//! ```
//!
//! # What can happen between any two steps
//!
//! A roll is committed by the conditional create of `roll/leaf/N`, after the tiles and records of all partitions, which
//! the roll names by size and root. Everything else follows from the leaves, byte for byte:
//!
//! - Killed before the create: what was written has no meaning yet. The notary that comes next reads the same records
//!   of the feed and writes the same objects, or others of other widths.
//! - Killed behind it: the next notary finds the leaf behind the checkpoint, and writes tiles and checkpoint.
//! - Two notaries at once: one create wins. The other reads the winner's roll, and goes on from it.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, future::try_join_all, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, path::Path};

use super::{
    checkpoint::{self, Checkpoint},
    note::{self, Note, SigningKey, VerifyingKey},
    roll::{self, Roll},
    tile::{self, Edge, Tile, Tiles, WIDTH, numbered},
    tree::{self, Hash},
};

/// Why an archive cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store refused, or gave no answer.
    #[error("{at} cannot be read or written")]
    Store {
        /// Path of the object.
        at: String,
        /// Why.
        source: object_store::Error,
    },
    /// An object that others name.
    #[error("{at} is missing from the archive")]
    Missing {
        /// Its path.
        at: String,
    },
    /// A checkpoint that is not one, or not by the notary.
    #[error("{at} is not a checkpoint by this notary")]
    Note {
        /// Its path.
        at: String,
        /// Why.
        source: note::Error,
    },
    /// Not the text of a checkpoint.
    #[error("{at} cannot be read")]
    Checkpoint {
        /// Its path.
        at: String,
        /// Why.
        source: checkpoint::Error,
    },
    /// Not a roll.
    #[error("{at} cannot be read")]
    Roll {
        /// Its path.
        at: String,
        /// Why.
        source: roll::Error,
    },
    /// Another log.
    #[error("{at} is of the log {found}, not of {expected}: name another archive, or its origin")]
    Origin {
        /// Path of the object.
        at: String,
        /// The origin in it.
        found: String,
        /// The origin that was named.
        expected: String,
    },
    /// The tree does not lead to the root that was signed.
    #[error("the log {origin} does not have the root that was signed for its {size} leaves")]
    Root {
        /// Which log.
        origin: String,
        /// Leaves.
        size: u64,
    },
    /// A bundle of records of another length.
    #[error("{at} has {found} records; {expected} were expected")]
    Records {
        /// Its path.
        at: String,
        /// Lines that it has.
        found: usize,
        /// Lines that its width asks for.
        expected: usize,
    },
    /// A name that is no folder.
    #[error("the origin {origin} is not a path such as example.com/documents")]
    Name {
        /// As given.
        origin: String,
    },
    /// Tiles.
    #[error(transparent)]
    Tile(#[from] tile::Error),
}

/// An archive. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    root: Path,
    origin: String,
}

/// What came of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The roll is the archive's.
    Committed,
    /// Another notary has written another roll of this number.
    Overtaken,
}

impl Archive {
    /// The archive of a stream below a prefix. `origin` names it for ever, such as `example.com/documents`.
    pub fn new(store: Arc<dyn ObjectStore>, root: Path, origin: &str) -> Result<Self, Error> {
        let allowed = |sign: char| sign.is_ascii_alphanumeric() || "._-".contains(sign);
        let is_folder = |name: &str| {
            !name.is_empty() && name.chars().all(allowed) && !name.chars().all(|sign| sign == '.')
        };
        if !origin.split('/').all(is_folder) {
            return Err(Error::Name {
                origin: origin.to_owned(),
            });
        }
        Ok(Self {
            store,
            root,
            origin: origin.to_owned(),
        })
    }

    /// The archive below a prefix, whatever its name: that of its checkpoint, which is not verified.
    pub async fn found(store: Arc<dyn ObjectStore>, root: Path) -> Result<Self, Error> {
        let mut archive = Self {
            store,
            root,
            origin: String::new(),
        };
        let note = archive.read_note("roll/checkpoint").await?;
        let note = note.ok_or_else(|| archive.missing("roll/checkpoint"))?;
        archive.origin = archive.head_of("roll/checkpoint", &note)?.origin;
        Self::new(archive.store, archive.root, &archive.origin)
    }

    /// Name of the stream, and of its log of rolls.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Name of a partition's log.
    pub fn origin_of(&self, topic: &str, partition: i32) -> String {
        format!("{}/{topic}/{partition}", self.origin)
    }

    /// The tree of the rolls.
    pub fn rolls(&self) -> Tiles {
        Tiles::new(self.store.clone(), self.path("roll"))
    }

    /// The tree of a partition.
    pub fn tiles(&self, topic: &str, partition: i32) -> Tiles {
        Tiles::new(self.store.clone(), self.folder(topic, partition))
    }

    /// The signed head of the rolls; `None` before the first.
    pub async fn checkpoint(&self) -> Result<Option<(Note, Checkpoint)>, Error> {
        self.note("roll/checkpoint").await
    }

    /// The newest head of the rolls that witnesses have signed.
    pub async fn cosigned(&self) -> Result<Option<(Note, Checkpoint)>, Error> {
        self.note("roll/cosigned").await
    }

    /// Keeps a head of the rolls with the signatures of witnesses.
    pub async fn keep_cosigned(&self, note: &Note) -> Result<(), Error> {
        self.put("roll/cosigned", note.to_string()).await
    }

    async fn note(&self, name: &str) -> Result<Option<(Note, Checkpoint)>, Error> {
        let Some(note) = self.read_note(name).await? else {
            return Ok(None);
        };
        let head = self.head_of(name, &note)?;
        if head.origin != self.origin {
            return Err(Error::Origin {
                at: self.path(name).to_string(),
                found: head.origin,
                expected: self.origin.clone(),
            });
        }
        Ok(Some((note, head)))
    }

    /// A roll, and its bytes; `None` if it is not committed.
    pub async fn roll(&self, number: u64) -> Result<Option<(Roll, Bytes)>, Error> {
        let name = leaf_name(number);
        let Some(bytes) = self.get(&name).await? else {
            return Ok(None);
        };
        let failed = |source| Error::Roll {
            at: self.path(&name).to_string(),
            source,
        };
        let roll = Roll::parse(&bytes).map_err(failed)?;
        if roll.origin != self.origin || roll.number != number {
            return Err(Error::Origin {
                at: self.path(&name).to_string(),
                found: format!("{} (roll {})", roll.origin, roll.number),
                expected: format!("{} (roll {number})", self.origin),
            });
        }
        Ok(Some((roll, bytes)))
    }

    /// Commits a roll by creating its leaf.
    pub(super) async fn commit(&self, roll: &Roll) -> Result<Outcome, Error> {
        let (name, bytes) = (leaf_name(roll.number), Bytes::from(roll.to_bytes()));
        let at = self.path(&name);
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let created = self.store.put_opts(&at, bytes.clone().into(), options);
        let Err(source) = created.await else {
            return Ok(Outcome::Committed);
        };
        // The answer may have been lost, and object_store have created it at its second try.
        match self.get(&name).await? {
            Some(found) if found == bytes => Ok(Outcome::Committed),
            Some(_) => Ok(Outcome::Overtaken),
            None => Err(failed(&at, source)),
        }
    }

    /// The log of rolls as its leaves have it, of which those behind the checkpoint are brought into the tree: a notary
    /// that was killed left them.
    pub(super) async fn recover(&self, key: &SigningKey) -> Result<(Edge, Option<Roll>), Error> {
        let tiles = self.rolls();
        let mut edge = Edge::default();
        let mut newest = None;
        if let Some((note, head)) = self.checkpoint().await? {
            self.is_by(&key.verifying_key(), "roll/checkpoint", &note)?;
            edge = tiles.edge(head.size).await?;
            if edge.root() != head.root {
                return Err(Error::Root {
                    origin: self.origin.clone(),
                    size: head.size,
                });
            }
            newest = head.size.checked_sub(1);
        }
        let mut roll = match newest {
            None => None,
            Some(number) => Some(self.expect_roll(number).await?.0),
        };
        while let Some((found, bytes)) = self.roll(edge.size()).await? {
            self.publish(&mut edge, &bytes, key).await?;
            roll = Some(found);
        }
        Ok((edge, roll))
    }

    /// A roll that a checkpoint covers.
    pub async fn expect_roll(&self, number: u64) -> Result<(Roll, Bytes), Error> {
        let found = self.roll(number).await?;
        found.ok_or_else(|| self.missing(&leaf_name(number)))
    }

    /// Brings a committed roll into the tree, and signs its head.
    pub(super) async fn publish(
        &self,
        edge: &mut Edge,
        roll: &[u8],
        key: &SigningKey,
    ) -> Result<Note, Error> {
        let mut tiles = Vec::new();
        edge.push(tree::leaf(roll), &mut tiles);
        tiles.extend(edge.partial());
        self.rolls().write(tiles).await?;
        self.sign("roll/checkpoint", &self.origin, edge, key).await
    }

    /// Signs the head of a partition's log.
    pub(super) async fn publish_log(&self, log: &Log, key: &SigningKey) -> Result<(), Error> {
        let (topic, partition) = (&log.topic, log.partition);
        let name = format!("{}/checkpoint", self.log_name(topic, partition));
        let origin = self.origin_of(topic, partition);
        self.sign(&name, &origin, &log.edge, key).await.map(drop)
    }

    async fn sign(
        &self,
        name: &str,
        origin: &str,
        edge: &Edge,
        key: &SigningKey,
    ) -> Result<Note, Error> {
        let head = Checkpoint::new(origin, edge.size(), edge.root());
        let note = head.signed(&[key]).map_err(|source| Error::Note {
            at: self.path(name).to_string(),
            source,
        })?;
        self.put(name, note.to_string()).await?;
        Ok(note)
    }

    fn is_by(&self, key: &VerifyingKey, name: &str, note: &Note) -> Result<(), Error> {
        let failed = |source| Error::Note {
            at: self.path(name).to_string(),
            source,
        };
        note.verified([key]).map(drop).map_err(failed)
    }

    /// Records of a partition's log that stand in the same bundle as one of them.
    pub async fn bundle(
        &self,
        topic: &str,
        partition: i32,
        index: u64,
        size: u64,
    ) -> Result<Vec<Bytes>, Error> {
        let width = WIDTH.min(size.saturating_sub(index / WIDTH * WIDTH));
        let folder = format!("{}/records", self.log_name(topic, partition));
        let mut name = format!("{folder}/{}", numbered(index / WIDTH, width));
        let mut found = self.get(&name).await?;
        if found.is_none() && width < WIDTH {
            name = format!("{folder}/{}", numbered(index / WIDTH, WIDTH));
            found = self.get(&name).await?;
        }
        let bytes = found.ok_or_else(|| self.missing(&name))?;
        let mut lines = lines(&bytes);
        if lines.len() < width as usize {
            return Err(Error::Records {
                at: self.path(&name).to_string(),
                found: lines.len(),
                expected: width as usize,
            });
        }
        lines.truncate(width as usize);
        Ok(lines)
    }

    /// The log of a partition at a size, to which records are added.
    pub(super) async fn log(
        &self,
        topic: &str,
        partition: i32,
        size: u64,
        root: &Hash,
    ) -> Result<Log, Error> {
        let edge = self.tiles(topic, partition).edge(size).await?;
        if edge.root() != *root {
            return Err(Error::Root {
                origin: self.origin_of(topic, partition),
                size,
            });
        }
        let lines = match size % WIDTH {
            0 => Vec::new(),
            _ => self.bundle(topic, partition, size - 1, size).await?,
        };
        Ok(Log {
            edge,
            lines,
            ..Log::new(topic, partition)
        })
    }

    /// Writes what was added to a log. After an error the log is of no use: it has to be read again.
    pub(super) async fn write(&self, log: &mut Log) -> Result<(), Error> {
        let folder = format!("{}/records", self.log_name(&log.topic, log.partition));
        let mut bundles = std::mem::take(&mut log.bundles);
        let width = log.edge.size() % WIDTH;
        if width > 0 {
            bundles.push((log.edge.size() / WIDTH, width, joined(&log.lines)));
        }
        let puts = bundles.into_iter().map(|(index, width, bytes)| {
            let name = format!("{folder}/{}", numbered(index, width));
            async move { self.put(&name, bytes).await }
        });
        try_join_all(puts).await?;
        let mut tiles = std::mem::take(&mut log.full);
        tiles.extend(log.edge.partial());
        Ok(self.tiles(&log.topic, log.partition).write(tiles).await?)
    }

    async fn read_note(&self, name: &str) -> Result<Option<Note>, Error> {
        let Some(bytes) = self.get(name).await? else {
            return Ok(None);
        };
        let failed = |source| Error::Note {
            at: self.path(name).to_string(),
            source,
        };
        Note::parse(&bytes).map(Some).map_err(failed)
    }

    fn head_of(&self, name: &str, note: &Note) -> Result<Checkpoint, Error> {
        let failed = |source| Error::Checkpoint {
            at: self.path(name).to_string(),
            source,
        };
        note.text().parse().map_err(failed)
    }

    /// The content of an object; `None` if there is none.
    pub(super) async fn get(&self, name: &str) -> Result<Option<Bytes>, Error> {
        let at = self.path(name);
        match self.store.get(&at).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(|e| failed(&at, e))?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(&at, source)),
        }
    }

    async fn put(&self, name: &str, bytes: impl Into<Bytes>) -> Result<(), Error> {
        let at = self.path(name);
        let put = self.store.put(&at, bytes.into().into()).await;
        put.map(drop).map_err(|source| failed(&at, source))
    }

    /// The bytes of a leaf, whatever they are.
    pub(super) async fn leaf(&self, number: u64) -> Result<Option<Bytes>, Error> {
        self.get(&leaf_name(number)).await
    }

    /// Names of all objects below the archive, in the order of the store.
    pub(super) fn names(&self) -> BoxStream<'_, Result<String, Error>> {
        let names = self.store.list(Some(&self.root)).map(|found| match found {
            Ok(meta) => {
                let parts = meta.location.prefix_match(&self.root);
                let parts = parts.map(|own| own.map(|part| part.as_ref().to_owned()).collect());
                let parts: Vec<String> = parts.unwrap_or_default();
                Ok(parts.join("/"))
            }
            Err(source) => Err(failed(&self.root, source)),
        });
        names.boxed()
    }

    pub(super) fn path(&self, name: &str) -> Path {
        let segments = name.split('/');
        segments.fold(self.root.clone(), |at, segment| at.join(segment))
    }

    fn folder(&self, topic: &str, partition: i32) -> Path {
        self.path(&self.log_name(topic, partition))
    }

    /// Folder of a partition's log.
    pub(super) fn log_name(&self, topic: &str, partition: i32) -> String {
        format!("audit/{}", self.origin_of(topic, partition))
    }

    fn missing(&self, name: &str) -> Error {
        Error::Missing {
            at: self.path(name).to_string(),
        }
    }
}

/// The log of a partition, to which records are added.
#[derive(Debug)]
pub(super) struct Log {
    topic: String,
    partition: i32,
    edge: Edge,
    /// Records of the bundle that is not full.
    lines: Vec<Bytes>,
    /// Tiles and bundles that became full and are not written: index, width and bytes.
    full: Vec<(Tile, Bytes)>,
    bundles: Vec<(u64, u64, Bytes)>,
}

impl Log {
    /// One without records.
    pub(super) fn new(topic: &str, partition: i32) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            edge: Edge::default(),
            lines: Vec::new(),
            full: Vec::new(),
            bundles: Vec::new(),
        }
    }

    /// Adds a record, of which a leaf is the hash.
    pub(super) fn push(&mut self, hash: &Hash, record: Bytes) {
        self.lines.push(record);
        self.edge.push(tree::leaf(hash), &mut self.full);
        if self.lines.len() as u64 == WIDTH {
            let lines = std::mem::take(&mut self.lines);
            let index = self.edge.size() / WIDTH - 1;
            self.bundles.push((index, WIDTH, joined(&lines)));
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(super) fn root(&self) -> Hash {
        self.edge.root()
    }
}

fn leaf_name(number: u64) -> String {
    format!("roll/leaf/{}", numbered(number, WIDTH))
}

fn joined(lines: &[Bytes]) -> Bytes {
    let mut joined = Vec::with_capacity(lines.iter().map(|line| line.len() + 1).sum());
    for line in lines {
        joined.extend_from_slice(line);
        joined.push(b'\n');
    }
    joined.into()
}

/// Each line without its newline.
pub(super) fn lines(bytes: &Bytes) -> Vec<Bytes> {
    let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let mut start = 0;
    let mut lines = Vec::new();
    for (end, _) in ends {
        lines.push(bytes.slice(start..end));
        start = end + 1;
    }
    lines
}

fn failed(at: &Path, source: object_store::Error) -> Error {
    Error::Store {
        at: at.to_string(),
        source,
    }
}
