//! The proof that one record of a source was audited: a JSON object that holds with public keys alone.
//!
//! The record's hash leads by its path to the root of its partition; a roll names that root; the roll leads by its path
//! to a head that the notary, and witnesses, signed.

use serde::{Deserialize, Serialize};

use super::{
    archive::{self, Archive},
    link::{self, Link},
    note::{self, Note},
    roll::{self, Roll},
    tile::WIDTH,
    tree::{self, Hash},
    trust::{self, Trust},
};

/// Names the form of a proof.
const FORM: &str = "weir/audit-proof/1";

/// Most hashes of a path: a tree has at most 2⁶⁴ leaves.
const MAX_PATH: usize = 64;

/// Largest proof that is read.
pub const MAX_BYTES: usize = 16 << 20;

/// Why a proof does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a proof.
    #[error("not a proof of the form {FORM}: {0}")]
    Form(&'static str),
    /// The record is not one.
    #[error("the record does not hold")]
    Link(#[from] link::Error),
    /// The record is of another partition than the proof says, or stands elsewhere.
    #[error("the record is not of {topic}/{partition}")]
    Source {
        /// Topic that the proof names.
        topic: String,
        /// Its partition.
        partition: i32,
    },
    /// The seal does not hold, or is by another worker.
    #[error("the seal of the record is not by a worker that is trusted")]
    Seal,
    /// The path of the record.
    #[error("the record is not in the log of its partition")]
    Record(#[source] tree::Error),
    /// The roll is not one.
    #[error("the roll does not hold")]
    Roll(#[from] roll::Error),
    /// The roll says otherwise.
    #[error("the roll does not name this partition with this size and root")]
    Unnamed,
    /// The path of the roll.
    #[error("the roll is not in the log that was signed")]
    RollPath(#[source] tree::Error),
    /// Not a note.
    #[error("the head is not a note")]
    Note(#[from] note::Error),
    /// Not signed by those that are trusted.
    #[error(transparent)]
    Trust(#[from] trust::Error),
}

/// A proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// `weir/audit-proof/1`.
    pub form: String,
    /// The audit record, as it was written.
    pub record: String,
    /// Its place in the log of its partition.
    pub partition: InLog,
    /// The roll that names the root of that log, as it was written.
    pub roll: String,
    /// Its place in the log of rolls.
    pub rolls: InLog,
    /// The head of the log of rolls, as notary and witnesses signed it.
    pub checkpoint: String,
}

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InLog {
    /// Number of the leaf, from 0.
    pub index: u64,
    /// Leaves of the log.
    pub size: u64,
    /// Hashes from the leaf up to the root, in hexadecimal digits.
    pub path: Vec<String>,
}

/// What a proof that holds has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The record's place in its chain.
    pub link: Link,
    /// Whether a trusted worker sealed this very record.
    pub sealed: bool,
    /// The roll.
    pub roll: Roll,
    /// Rolls of the head.
    pub rolls: u64,
    /// Witnesses that signed the head, and when, in seconds since 1970.
    pub witnesses: Vec<(String, u64)>,
}

impl InLog {
    fn new(index: u64, size: u64, path: &[Hash]) -> Self {
        let path = path.iter().map(hex::encode).collect();
        Self { index, size, path }
    }

    fn hashes(&self) -> Result<Vec<Hash>, Error> {
        if self.path.len() > MAX_PATH {
            return Err(Error::Form("a path is longer than 64 hashes"));
        }
        let hashes = self.path.iter().map(|digits| link::of_hex(digits));
        let hashes: Option<Vec<Hash>> = hashes.collect();
        hashes.ok_or(Error::Form("a path holds what is not a hash"))
    }
}

impl Proof {
    /// Reads one. It proves nothing before [`Proof::verify`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_BYTES {
            return Err(Error::Form("it is longer than 16 MiB"));
        }
        // The parser's message is dropped: it quotes what it read.
        let proof: Self =
            serde_json::from_slice(bytes).map_err(|_| Error::Form("it is not such an object"))?;
        if proof.form != FORM {
            return Err(Error::Form("it names another form"));
        }
        // One form of each proof: no byte of it is without meaning.
        match proof.to_bytes() == bytes {
            true => Ok(proof),
            false => Err(Error::Form("it is written otherwise than weir writes it")),
        }
    }

    /// The bytes of a proof.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("strings and numbers are JSON");
        bytes.push(b'\n');
        bytes
    }

    /// What it shows to a reader with these keys.
    pub fn verify(&self, trust: &Trust) -> Result<Proven, Error> {
        let link = Link::parse(self.record.as_bytes())?;
        let roll = Roll::parse(self.roll.as_bytes())?;
        let found = roll.partition(&link.topic, link.partition);
        let named = found.filter(|own| own.size == self.partition.size);
        let named = named.ok_or(Error::Unnamed)?;
        let InLog { index, size, .. } = self.partition;
        let leaf = tree::leaf(&link.hash);
        let path = self.partition.hashes()?;
        tree::verify_inclusion(index, size, &leaf, &path, &named.root).map_err(Error::Record)?;
        let note = Note::parse(self.checkpoint.as_bytes())?;
        let trusted = trust.head(&note)?;
        let head = &trusted.head;
        let leaf = tree::leaf(self.roll.as_bytes());
        let (number, path) = (self.rolls.index, self.rolls.hashes()?);
        tree::verify_inclusion(number, head.size, &leaf, &path, &head.root)
            .map_err(Error::RollPath)?;
        // A leaf of the right log that names another is no roll of it.
        if roll.origin != head.origin || roll.number != number || self.rolls.size != head.size {
            return Err(Error::Unnamed);
        }
        let sealed = seal(&link, trust, &roll)?;
        Ok(Proven {
            link,
            sealed,
            rolls: head.size,
            roll,
            witnesses: trusted.witnesses,
        })
    }
}

/// Whether a trusted worker sealed a record. A reader that trusts no worker reads no seals. Of a key that was revoked, a
/// seal counts if the roll was made before: it names the record.
fn seal(link: &Link, trust: &Trust, roll: &Roll) -> Result<bool, Error> {
    let Some(seal) = link.seal.as_ref().filter(|_| !trust.workers().is_empty()) else {
        return Ok(false);
    };
    let holds = |key: &note::VerifyingKey| seal.holds(key, &link.hash);
    let Some(key) = trust.workers().iter().find(|key| holds(key)) else {
        return Err(Error::Seal);
    };
    let Some(since) = trust.revoked(key) else {
        return Ok(true);
    };
    let time = roll.time.parse::<jiff::Timestamp>();
    Ok(time.is_ok_and(|time| time < since))
}

/// Makes the proof of a source's record, by the newest head that witnesses have signed if it covers the record, or else by
/// the newest head; `None` if no log has the record.
pub async fn prove(
    archive: &Archive,
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<Option<Proof>, archive::Error> {
    let heads = [archive.cosigned().await?, archive.checkpoint().await?];
    for (note, head) in heads.into_iter().flatten() {
        let Some(number) = head.size.checked_sub(1) else {
            continue;
        };
        let (roll, bytes) = archive.expect_roll(number).await?;
        let Some(named) = roll.partition(topic, partition) else {
            continue;
        };
        let size = named.size;
        let Some((index, record)) = search(archive, topic, partition, size, offset).await? else {
            continue;
        };
        let path = archive
            .tiles(topic, partition)
            .inclusion(index, size)
            .await?;
        let roll_path = archive.rolls().inclusion(number, head.size).await?;
        return Ok(Some(Proof {
            form: FORM.to_owned(),
            record,
            partition: InLog::new(index, size, &path),
            roll: String::from_utf8_lossy(&bytes).into_owned(),
            rolls: InLog::new(number, head.size, &roll_path),
            checkpoint: note.to_string(),
        }));
    }
    Ok(None)
}

/// Place and text of the record about an offset, in the log of this size.
async fn search(
    archive: &Archive,
    topic: &str,
    partition: i32,
    size: u64,
    offset: i64,
) -> Result<Option<(u64, String)>, archive::Error> {
    let bundles = size.div_ceil(WIDTH);
    // Offsets rise in a log, unless the group was set back: then all bundles are read.
    let (mut low, mut high) = (0, bundles);
    while low < high {
        let middle = low + (high - low) / 2;
        let found = read(archive, topic, partition, size, middle, offset).await?;
        if found.place.is_some() {
            return Ok(found.place);
        }
        match found.first.is_some_and(|first| first > offset) {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    for bundle in 0..bundles {
        let found = read(archive, topic, partition, size, bundle, offset).await?;
        if found.place.is_some() {
            return Ok(found.place);
        }
    }
    Ok(None)
}

struct Found {
    place: Option<(u64, String)>,
    /// First offset that the bundle has a record about.
    first: Option<i64>,
}

async fn read(
    archive: &Archive,
    topic: &str,
    partition: i32,
    size: u64,
    bundle: u64,
    offset: i64,
) -> Result<Found, archive::Error> {
    let start = bundle * WIDTH;
    let lines = archive.bundle(topic, partition, start, size).await?;
    let mut found = Found {
        place: None,
        first: None,
    };
    for (index, line) in (start..).zip(&lines) {
        // What was erased is no record any more: its hash stands in the tree.
        let Some(own) = Link::parse(line).ok().and_then(|link| link.offset) else {
            continue;
        };
        found.first.get_or_insert(own);
        if own == offset {
            found.place = Some((index, String::from_utf8_lossy(line).into_owned()));
        }
    }
    Ok(found)
}
