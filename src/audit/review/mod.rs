//! Reads an archive from its first roll to its head, and compares all of it with what was signed.
//!
//! In:  an archive, keys that are trusted, heads that others have kept. No broker.
//! Out: a [`Report`] like that of a feed, with faults of the log.
//! Holds: an archive of which an object was changed, or one that the head needs is missing, is never
//!        [`Verdict::Proven`](super::Verdict::Proven).
//! Does not know: where archives lie, how a report is shown.
//!
//! The roll is followed as the notary wrote it: each leaf names every partition, and what it says of one is compared with
//! the records that it adds. So every earlier root is that of a tree which the later ones continue, without a proof of
//! it. Memory holds one object of records for each partition.

mod grown;
mod log;
mod noted;
mod objects;
mod state;

use std::{collections::BTreeMap, fmt, sync::Arc};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path};
use serde::Serialize;

use self::{grown::Grown, log::Log as Followed, noted::Noted, objects::Objects};
use super::{
    Feed, Fold, LogFault, Partition, Report,
    archive::{Archive, Error},
    checkpoint::Checkpoint,
    link::Sealers,
    note::Note,
    roll::{self, Roll},
    tree::{self, Hash},
    trust::{self, Trust, Trusted},
};

pub use state::{Error as StateError, State};

/// Rolls and heads that are fetched at the same time.
const AT_ONCE: usize = 32;

/// Most partitions of a topic that a roll may name: one that somebody changed must not cost a day.
const MOST_PARTITIONS: i32 = 200_000;

/// Name of the head in an archive.
const HEAD: &str = "roll/checkpoint";

/// The same with the signatures of witnesses.
const COSIGNED: &str = "roll/cosigned";

/// What is reviewed, and what it is compared with.
pub struct Options<'a> {
    /// The archive.
    pub archive: Archive,
    /// Keys that are trusted.
    pub trust: &'a Trust,
    /// Places that keep heads.
    pub anchors: Vec<Vault>,
    /// The last head that this reader saw, and where it is kept.
    pub seen: Option<(Note, String)>,
}

/// A place that keeps heads, as the notary's anchors write them.
pub struct Vault {
    /// Store.
    pub store: Arc<dyn ObjectStore>,
    /// Prefix in it.
    pub prefix: Path,
    /// As in messages.
    pub name: String,
}

/// What the log of an archive says of itself.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Log {
    /// Name of the log.
    pub origin: String,
    /// Rolls that the notary signed.
    pub rolls: u64,
    /// When the notary made the last one, by its own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Witnesses that signed the head, and when.
    pub witnesses: Vec<Witnessed>,
    /// Places that hold the head.
    pub anchors: Vec<String>,
    /// Objects in the archive that are of no log.
    pub others: u64,
    /// What is wrong with the log as a whole.
    pub faults: Fold,
}

/// A witness that signed.
#[derive(Debug, Clone, Serialize)]
pub struct Witnessed {
    /// Name of its key.
    pub name: String,
    /// When it signed.
    pub at: String,
}

/// A review, and the head that it has found good.
pub struct Reviewed {
    /// What the archive shows.
    pub report: Report,
    /// The head, as the archive has it with most signatures; `None` if there is none.
    pub head: Option<Note>,
}

/// Reviews an archive.
///
/// # Errors
/// The store does not answer. What is wrong with the archive is in the report.
pub async fn review(options: &Options<'_>) -> Result<Reviewed, Error> {
    let mut own = Review::new(options);
    let Some((note, head)) = own.open().await? else {
        return own.without_head();
    };
    let objects = Objects::list(&options.archive).await?;
    own.kept_heads(&head, &note).await?;
    own.follow(&head, objects).await?;
    own.close(note, &head).await
}

/// A head that somebody kept.
struct Kept {
    root: Hash,
    at: String,
}

struct Review<'a> {
    options: &'a Options<'a>,
    feed: Feed,
    noted: Noted,
    logs: BTreeMap<Partition, Followed>,
    /// The roll in front of the next.
    before: Option<Roll>,
    /// Heads that have to be those of this log, by size.
    kept: BTreeMap<u64, Vec<Kept>>,
    /// Rolls up to which somebody else than the notary vouches.
    vouched: u64,
    about: Log,
    last_roll: Option<u64>,
}

impl<'a> Review<'a> {
    fn new(options: &'a Options<'a>) -> Self {
        let trusted = options.trust.workers().to_vec();
        let feed = match trusted.is_empty() {
            true => Feed::default(),
            false => Feed::sealed(Sealers {
                trusted,
                revoked: Vec::new(),
            }),
        };
        Self {
            options,
            feed,
            noted: Noted::default(),
            logs: BTreeMap::new(),
            before: None,
            kept: BTreeMap::new(),
            vouched: 0,
            about: Log {
                origin: options.archive.origin().to_owned(),
                ..Log::default()
            },
            last_roll: None,
        }
    }

    fn at(&self, name: &str) -> String {
        self.options.archive.path(name).to_string()
    }

    /// The head of the rolls. What is not signed as it has to be is a fault, and nothing can be said of the rest.
    async fn open(&mut self) -> Result<Option<(Note, Checkpoint)>, Error> {
        let (archive, trust) = (&self.options.archive, self.options.trust);
        let Some(bytes) = archive.get(HEAD).await? else {
            let at = self.at(HEAD);
            self.about.faults.push(LogFault::NoHead { at });
            return Ok(None);
        };
        let cosigned = self.cosigned().await?;
        let found = Note::parse(&bytes).map_err(trust::Error::Note);
        let found = found.and_then(|note| {
            // The notary signs it alone: another signature is no part of it.
            if note.signatures().len() > note.verified(trust.notaries())?.len() {
                return Err(trust::Error::Note(super::note::Error::Unknown));
            }
            let trusted = trust.signed(&note)?;
            Ok((note, trusted))
        });
        let why = match found {
            Ok((note, trusted)) => {
                let same = cosigned.filter(|(own, _)| own.text() == note.text());
                let note = same.map_or(note, |(own, _)| own);
                return Ok(Some((note, trusted.head)));
            }
            // What a stolen key signed later is void, and what witnesses saw before that is not.
            Err(trust::Error::Revoked) if cosigned.is_some() => {
                return Ok(cosigned.map(|(note, own)| (note, own.head)));
            }
            Err(error) => causes(&error),
        };
        let at = self.at(HEAD);
        self.about.faults.push(LogFault::BadHead { at, why });
        Ok(None)
    }

    /// The newest head that witnesses have signed, whether they are enough or not.
    async fn cosigned(&mut self) -> Result<Option<(Note, Trusted)>, Error> {
        let trust = self.options.trust;
        let Some(bytes) = self.options.archive.get(COSIGNED).await? else {
            return Ok(None);
        };
        let at = self.at(COSIGNED);
        let found = Note::parse(&bytes).map_err(trust::Error::Note);
        let found = found.and_then(|note| Ok((trust.signed(&note)?, note)));
        let (trusted, note) = match found {
            Ok(found) => found,
            Err(error) => {
                let why = causes(&error);
                self.about.faults.push(LogFault::BadHead { at, why });
                return Ok(None);
            }
        };
        if trust.quorum() > 0 && trusted.witnesses.len() >= trust.quorum() {
            self.vouched = trusted.head.size;
        }
        let witnesses = trusted.witnesses.iter();
        self.about.witnesses = witnesses
            .map(|(name, seconds)| Witnessed {
                name: name.clone(),
                at: time(*seconds),
            })
            .collect();
        self.keep(&trusted.head, at);
        Ok(Some((note, trusted)))
    }

    fn keep(&mut self, head: &Checkpoint, at: String) {
        let root = head.root;
        let own = self.kept.entry(head.size).or_default();
        own.push(Kept { root, at });
    }

    /// Heads that this reader and others have kept.
    async fn kept_heads(&mut self, head: &Checkpoint, note: &Note) -> Result<(), Error> {
        self.keep(head, self.at(HEAD));
        if let Some((seen, at)) = &self.options.seen {
            match self.options.trust.notary(seen) {
                Ok(seen) => self.keep(&seen, at.clone()),
                Err(error) => {
                    let (at, why) = (at.clone(), causes(&error));
                    self.about.faults.push(LogFault::BadHead { at, why });
                }
            }
        }
        for vault in &self.options.anchors {
            self.vault(vault, note).await?;
        }
        Ok(())
    }

    async fn vault(&mut self, vault: &Vault, note: &Note) -> Result<(), Error> {
        let origin = self.options.archive.origin().split('/');
        let folder = origin.fold(vault.prefix.clone(), |at, segment| at.join(segment));
        let failed = |source| Error::Store {
            at: vault.name.clone(),
            source,
        };
        let found: Vec<_> = vault
            .store
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(failed)?;
        let notes = found.into_iter().map(|meta| async move {
            let bytes = vault.store.get(&meta.location).await?.bytes().await?;
            Ok((meta.location, bytes))
        });
        let mut notes = stream::iter(notes).buffered(AT_ONCE);
        while let Some((path, bytes)) = notes.try_next().await.map_err(failed)? {
            if !path.as_ref().ends_with(".note") {
                continue;
            }
            let at = format!("{} ({path})", vault.name);
            let own = Note::parse(&bytes).map_err(trust::Error::Note);
            match own.and_then(|own| Ok((self.options.trust.notary(&own)?, own))) {
                Ok((kept, own)) => {
                    if own.text() == note.text() {
                        self.about.anchors.push(vault.name.clone());
                    }
                    // Where the trust file asks for witnesses, a copy of the head is not enough.
                    if self.options.trust.quorum() == 0 {
                        self.vouched = self.vouched.max(kept.size);
                    }
                    self.keep(&kept, at);
                }
                Err(error) => {
                    let why = causes(&error);
                    self.about.faults.push(LogFault::BadHead { at, why });
                }
            }
        }
        Ok(())
    }

    /// Reads all rolls up to the head.
    async fn follow(&mut self, head: &Checkpoint, objects: Objects) -> Result<(), Error> {
        let archive = &self.options.archive;
        let Objects {
            last_roll,
            rolls,
            mut logs,
            others,
        } = objects;
        (self.last_roll, self.about.others) = (last_roll, others);
        let mut tree = Grown::new(archive, "roll", rolls.tiles);
        let leaves = (0..head.size).map(|number| async move { archive.leaf(number).await });
        let mut leaves = stream::iter(leaves).buffered(AT_ONCE);
        while let Some(bytes) = leaves.try_next().await? {
            let number = tree.size();
            let read = match &bytes {
                None => Err("it is missing".to_owned()),
                Some(bytes) => self.roll(number, bytes),
            };
            let leaf = match (&read, &bytes) {
                (Ok(_), Some(bytes)) => tree::leaf(bytes),
                _ => tree.noted().await?.unwrap_or_default(),
            };
            match read {
                Ok(roll) => self.call(roll, &mut logs).await?,
                Err(why) => {
                    let roll = number;
                    self.about.faults.push(LogFault::BadRoll { roll, why });
                }
            }
            tree.push(leaf, &mut self.about.faults).await?;
            self.compare(tree.size(), &tree.root(), head);
        }
        tree.close(&mut self.about.faults).await?;
        if tree.root() != head.root {
            self.about.faults.push(LogFault::BadRoot { roll: None });
        }
        self.about.rolls = head.size;
        // A log that the last roll does not name is one that somebody left out.
        for (of, names) in logs {
            if names.has_checkpoint {
                self.unnamed(of, head.size.saturating_sub(1)).await?;
            }
        }
        Ok(())
    }

    async fn unnamed(&mut self, (topic, number): (String, i32), roll: u64) -> Result<(), Error> {
        let of = Partition { topic, number };
        let (archive, trust) = (&self.options.archive, self.options.trust);
        let log = Followed::open(archive, trust, &of, objects::Names::default());
        let mut log = log.await?;
        log.faults.push(LogFault::NotNamed { roll });
        self.logs.insert(of, log);
        Ok(())
    }

    fn roll(&self, number: u64, bytes: &[u8]) -> Result<Roll, String> {
        let roll = Roll::parse(bytes).map_err(|error| error.to_string())?;
        if roll.origin != self.options.archive.origin() || roll.number != number {
            return Err("it is of another log, or has another number".to_owned());
        }
        let time = roll.time.parse::<Timestamp>();
        time.map_err(|_| "its time is not one".to_owned())?;
        let places = 0..MOST_PARTITIONS;
        let mut partitions = roll.partitions.iter();
        if !partitions.all(|own| places.contains(&own.partition)) {
            return Err(format!("it names a partition above {MOST_PARTITIONS}"));
        }
        match &self.before {
            Some(before) if before.feed != roll.feed => {
                Err("it is of another feed than the roll before it".to_owned())
            }
            _ => Ok(roll),
        }
    }

    /// Heads of this size that others kept.
    fn compare(&mut self, size: u64, root: &Hash, head: &Checkpoint) {
        let other = |own: &Kept| own.root != *root;
        let kept = self.kept.remove(&size).unwrap_or_default();
        for own in kept.into_iter().filter(other) {
            // That the rolls do not lead to the head itself is another fault.
            if size == head.size && own.root == head.root {
                continue;
            }
            let (kept, head) = (own.at, self.at(HEAD));
            let fault = LogFault::SecondHistory { size, kept, head };
            self.about.faults.push(fault);
        }
    }

    /// The roll call: all partitions, and what the roll says of each.
    async fn call(
        &mut self,
        roll: Roll,
        stored: &mut BTreeMap<(String, i32), objects::Names>,
    ) -> Result<(), Error> {
        let number = roll.number;
        self.revoke(&roll);
        for lost in &roll.lost {
            let offsets = lost.to.saturating_sub(lost.from);
            let offsets = u64::try_from(offsets).unwrap_or_default();
            self.about.faults.push(LogFault::Lost {
                roll: number,
                partition: lost.partition,
                offsets,
            });
        }
        if roll.refused.count > 0 {
            let records = roll.refused.count;
            let fault = LogFault::Refused {
                roll: number,
                records,
            };
            self.about.faults.push(fault);
        }
        for of in absent(self.before.as_ref(), &roll) {
            let log = self.log(&of, stored).await?;
            log.faults.push(LogFault::NotNamed { roll: number });
        }
        let before = self.before.as_ref().map(|before| &before.read);
        let went_back = before.is_some_and(|before| {
            let mut read = before.iter();
            read.any(|(partition, offset)| roll.read.get(partition) < Some(offset))
        });
        if went_back {
            let what = "read";
            self.about
                .faults
                .push(LogFault::Shrunk { roll: number, what });
        }
        for said in &roll.partitions {
            let of = Partition {
                topic: said.topic.clone(),
                number: said.partition,
            };
            self.noted.add(&of, said);
            self.log(&of, stored).await?;
            let log = self.logs.get_mut(&of).expect("it was opened before");
            log.extend(number, said.clone(), &mut self.feed).await?;
        }
        self.about.time = Some(roll.time.clone());
        self.before = Some(roll);
        Ok(())
    }

    /// From the first roll of its time on, a key that was revoked seals nothing.
    fn revoke(&mut self, roll: &Roll) {
        let time = roll.time.parse::<Timestamp>();
        for key in self.options.trust.workers() {
            let since = self.options.trust.revoked(key);
            if since.is_some_and(|since| time.as_ref().is_ok_and(|time| *time >= since)) {
                self.feed.revoke(key);
            }
        }
    }

    /// The log of a partition, opened where it comes first.
    async fn log(
        &mut self,
        of: &Partition,
        stored: &mut BTreeMap<(String, i32), objects::Names>,
    ) -> Result<&mut Followed, Error> {
        if !self.logs.contains_key(of) {
            let names = stored.remove(&(of.topic.clone(), of.number));
            let (archive, trust) = (&self.options.archive, self.options.trust);
            let log = Followed::open(archive, trust, of, names.unwrap_or_default()).await?;
            self.logs.insert(of.clone(), log);
        }
        Ok(self.logs.get_mut(of).expect("it was inserted above"))
    }

    async fn close(mut self, note: Note, head: &Checkpoint) -> Result<Reviewed, Error> {
        // The notary may have gone on meanwhile: what is longer than the head is of its next rolls then.
        let has_moved = self.has_moved(head).await?;
        for own in self.logs.values_mut() {
            own.close(has_moved).await?;
        }
        if !has_moved {
            self.behind(head);
        }
        if self.vouched < head.size {
            self.about.faults.push(LogFault::Unanchored {
                rolls: head.size - self.vouched,
                quorum: self.options.trust.quorum(),
            });
        }
        let report = self.report();
        let head = Some(note);
        Ok(Reviewed { report, head })
    }

    async fn has_moved(&self, head: &Checkpoint) -> Result<bool, Error> {
        let Some(bytes) = self.options.archive.get(HEAD).await? else {
            return Ok(false);
        };
        let note = Note::parse(&bytes).map_err(trust::Error::Note);
        let now = note.and_then(|note| self.options.trust.signed(&note));
        Ok(now.is_ok_and(|now| now.head.size > head.size))
    }

    /// What is longer than the head.
    fn behind(&mut self, head: &Checkpoint) {
        let at = self.at(HEAD);
        for (seen, kept) in std::mem::take(&mut self.kept) {
            for own in kept {
                self.about.faults.push(LogFault::SetBack {
                    seen,
                    size: head.size,
                    kept: own.at,
                    head: at.clone(),
                });
            }
        }
        if let Some(roll) = self.last_roll.filter(|last| *last >= head.size) {
            self.about.faults.push(LogFault::Unsigned { roll });
        }
    }

    fn without_head(self) -> Result<Reviewed, Error> {
        let report = self.report();
        Ok(Reviewed { report, head: None })
    }

    fn report(mut self) -> Report {
        for of in self.logs.keys() {
            self.feed.name(of.clone());
        }
        let Ok(mut report) = self.feed.close_with(&mut self.noted);
        for own in &mut report.partitions {
            if let Some(log) = self.logs.remove(&own.partition) {
                own.faults.merge(log.faults);
                own.verdict = own.faults.verdict().max(own.summary.verdict());
            }
        }
        report.looked_up = false;
        report.log = Some(self.about);
        report
    }
}

/// Partitions that a roll leaves out: those of the roll before it, and the numbers below its own, as topics have all of
/// them from 0.
fn absent(before: Option<&Roll>, roll: &Roll) -> Vec<Partition> {
    let before = before.map(|before| &before.partitions);
    let before = before.into_iter().flatten();
    let mut wanted: BTreeMap<&str, i32> = BTreeMap::new();
    for own in before.chain(&roll.partitions) {
        let most = wanted.entry(&own.topic).or_default();
        *most = (*most).max(own.partition.saturating_add(1));
    }
    let named = |topic: &str, number: i32| {
        let own = |own: &roll::Partition| (&*own.topic, own.partition).cmp(&(topic, number));
        roll.partitions.binary_search_by(own).is_ok()
    };
    let mut absent = Vec::new();
    for (topic, partitions) in wanted {
        let numbers = (0..partitions).filter(|number| !named(topic, *number));
        absent.extend(numbers.map(|number| Partition {
            topic: topic.to_owned(),
            number,
        }));
    }
    absent
}

/// An error and its causes in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(own) = cause {
        text = format!("{text}: {own}");
        cause = own.source();
    }
    text
}

fn time(seconds: u64) -> String {
    let at = Timestamp::from_second(i64::try_from(seconds).unwrap_or(i64::MAX));
    at.map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(time) = &self.time else {
            return Ok(());
        };
        write!(
            f,
            "\nthe notary of {} signed {} rolls, the last of {time}",
            self.origin, self.rolls
        )?;
        for own in &self.witnesses {
            write!(f, "\n  {} saw a head of it at {}", own.name, own.at)?;
        }
        for own in &self.anchors {
            write!(f, "\n  {own} holds its head")?;
        }
        if self.others > 0 {
            write!(f, "\n{} objects of the archive are of no log", self.others)?;
        }
        f.write_str("\nno broker was asked: what the workers did since then is not known")
    }
}
