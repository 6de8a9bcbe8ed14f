//! The log of one partition, followed from roll to roll: its records, its tree, and what each roll says of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    super::{
        Feed, Fold, LogFault, Partition,
        archive::{Archive, Error, lines},
        checkpoint::Checkpoint,
        link::Link,
        note::Note,
        roll,
        tile::{WIDTH, numbered},
        tree::{self, Hash},
        trust::Trust,
    },
    AT_ONCE,
    grown::Grown,
    objects::{Names, Widths},
};

/// A partition's log.
pub(super) struct Log {
    archive: Archive,
    of: Partition,
    folder: String,
    grown: Grown,
    /// Objects of records that were not read yet.
    records: Widths<u64>,
    /// The object that was read last, and its lines.
    read: Option<(u64, Vec<Bytes>)>,
    /// What the last roll says, in which the partition is named.
    said: Option<roll::Partition>,
    /// What the records say.
    found: Option<Link>,
    first: Option<i64>,
    next: Option<i64>,
    /// Heads of this log that have to hold: its own checkpoint.
    heads: BTreeMap<u64, (Hash, String)>,
    /// Whether the content of each record is known.
    is_read: bool,
    /// Whether what is behind here can no longer be compared.
    is_lost: bool,
    pub(super) faults: Fold,
}

impl Log {
    /// Opens a log; its own head is checked against the notary's keys.
    pub(super) async fn open(
        archive: &Archive,
        trust: &Trust,
        of: &Partition,
        names: Names,
    ) -> Result<Self, Error> {
        let folder = archive.log_name(&of.topic, of.number);
        let mut log = Self {
            archive: archive.clone(),
            of: of.clone(),
            grown: Grown::new(archive, &folder, names.tiles),
            records: names.records,
            read: None,
            said: None,
            found: None,
            first: None,
            next: None,
            heads: BTreeMap::new(),
            is_read: true,
            is_lost: false,
            faults: Fold::default(),
            folder,
        };
        if names.has_checkpoint {
            log.open_head(trust).await?;
        }
        Ok(log)
    }

    async fn open_head(&mut self, trust: &Trust) -> Result<(), Error> {
        let name = format!("{}/checkpoint", self.folder);
        let bytes = self.archive.get(&name).await?.unwrap_or_default();
        let at = self.archive.path(&name).to_string();
        match self.head(trust, &bytes) {
            Ok(head) => drop(self.heads.insert(head.size, (head.root, at))),
            Err(why) => self.faults.push(LogFault::BadHead { at, why }),
        }
        Ok(())
    }

    fn head(&self, trust: &Trust, bytes: &[u8]) -> Result<Checkpoint, String> {
        let note = Note::parse(bytes).map_err(|error| error.to_string())?;
        // The rolls say what the log is; here a key that was revoked is as good as any.
        let verified = note.verified(trust.notaries());
        let verified = verified.map_err(|error| error.to_string())?;
        if verified.len() != note.signatures().len() {
            return Err("it has a signature by a key that is not trusted".to_owned());
        }
        let head: Checkpoint = note.text().parse().map_err(|error| format!("{error}"))?;
        match head.origin == self.archive.origin_of(&self.of.topic, self.of.number) {
            true => Ok(head),
            false => Err("it is of another log".to_owned()),
        }
    }

    /// Reads what a roll adds, and compares it with what the roll says.
    pub(super) async fn extend(
        &mut self,
        number: u64,
        said: roll::Partition,
        feed: &mut Feed,
    ) -> Result<(), Error> {
        if let Some(before) = &self.said {
            for what in shrunk(before, &said) {
                self.faults.push(LogFault::Shrunk { roll: number, what });
            }
        }
        while self.grown.size() < said.size && !self.is_lost {
            self.take(feed).await?;
        }
        if !self.is_lost && self.grown.root() != said.root {
            let roll = Some(number);
            self.faults.push(LogFault::BadRoot { roll });
            self.is_lost = true;
        }
        if !self.is_lost {
            for what in self.misstated(&said) {
                self.faults.push(LogFault::Misstated { roll: number, what });
            }
        }
        self.said = Some(said);
        Ok(())
    }

    /// Takes the next record.
    async fn take(&mut self, feed: &mut Feed) -> Result<(), Error> {
        let index = self.grown.size();
        if self
            .read
            .as_ref()
            .is_none_or(|(own, _)| *own != index / WIDTH)
        {
            let lines = self.bundle(index / WIDTH).await?;
            self.read = Some((index / WIDTH, lines));
        }
        let lines = self.read.as_ref().map(|(_, lines)| lines);
        let line = lines.and_then(|own| own.get((index % WIDTH) as usize));
        let Some(line) = line.cloned() else {
            self.faults.push(LogFault::BadRecord { index });
            self.is_lost = true;
            return Ok(());
        };
        let leaf = match Link::parse(&line) {
            Ok(link) => {
                let leaf = tree::leaf(&link.hash);
                self.follow(index, link, &line, feed);
                leaf
            }
            Err(_) => {
                self.is_read = false;
                self.faults.push(match line.is_empty() {
                    true => LogFault::Erased { index },
                    false => LogFault::BadRecord { index },
                });
                // The tree has its hash, so what stands behind it can still be compared.
                self.grown.noted().await?.unwrap_or_default()
            }
        };
        self.grown.push(leaf, &mut self.faults).await?;
        if let Some((root, at)) = self.heads.remove(&self.grown.size())
            && root != self.grown.root()
        {
            let why = "its root is not that of the records".to_owned();
            self.faults.push(LogFault::BadHead { at, why });
        }
        Ok(())
    }

    fn follow(&mut self, index: u64, link: Link, line: &[u8], feed: &mut Feed) {
        if (&link.topic, link.partition) != (&self.of.topic, self.of.number) {
            self.is_read = false;
            self.faults.push(LogFault::Misplaced { index });
            return;
        }
        feed.read_bytes(line);
        if let Some(offset) = link.offset {
            let behind = offset.saturating_add(1);
            self.first = Some(self.first.map_or(offset, |first| first.min(offset)));
            self.next = Some(self.next.map_or(behind, |next| next.max(behind)));
        }
        self.found = Some(link);
    }

    /// What a roll says otherwise than the records.
    fn misstated(&self, said: &roll::Partition) -> Vec<&'static str> {
        let found = self.found.as_ref();
        let end = found.map_or(([0; 32], 0, 0), |own| (own.hash, own.epoch, own.seq));
        let mut what = Vec::new();
        if self.is_read && end != (said.head, said.epoch, said.seq) {
            what.push("head");
        }
        if self.is_read && (self.first, self.next) != (said.first, said.next) {
            what.push("offsets");
        }
        what
    }

    /// The lines of an object of records. All objects that begin with the same record have to have the same lines.
    async fn bundle(&mut self, index: u64) -> Result<Vec<Bytes>, Error> {
        let widths = self.records.remove(&index).unwrap_or_default();
        let mut longest: Option<(Bytes, Vec<Bytes>)> = None;
        let found = widths.into_iter().rev().map(|width| {
            let name = format!("{}/records/{}", self.folder, numbered(index, width));
            let archive = self.archive.clone();
            async move {
                let bytes = archive.get(&name).await?.unwrap_or_default();
                Ok::<_, Error>((width, name, bytes))
            }
        });
        let mut found = stream::iter(found).buffered(AT_ONCE);
        while let Some((width, name, bytes)) = found.try_next().await? {
            let good = match &longest {
                None => {
                    let own = lines(&bytes);
                    let all = own.len() as u64 == width && bytes.ends_with(b"\n");
                    longest = Some((bytes, own));
                    all
                }
                Some((all, lines)) => {
                    let begin = lines.iter().take(width as usize);
                    let end: usize = begin.map(|line| line.len() + 1).sum();
                    all.get(..end) == Some(&*bytes)
                }
            };
            if !good {
                let at = self.archive.path(&name).to_string();
                self.faults.push(LogFault::AlteredObject { at });
            }
        }
        let Some((_, lines)) = longest else {
            let name = format!("{}/records/{}", self.folder, numbered(index, WIDTH));
            let at = self.archive.path(&name).to_string();
            self.faults.push(LogFault::MissingObject { at });
            return Ok(Vec::new());
        };
        Ok(lines)
    }

    /// Compares what is left once the last roll was read. `has_moved`: the notary has written another one meanwhile.
    pub(super) async fn close(&mut self, has_moved: bool) -> Result<(), Error> {
        if self.is_lost {
            return Ok(());
        }
        self.grown.close(&mut self.faults).await?;
        for (_, at) in std::mem::take(&mut self.heads).into_values() {
            if !has_moved {
                let why = "it is of more records than the last roll names".to_owned();
                self.faults.push(LogFault::BadHead { at, why });
            }
        }
        Ok(())
    }
}

/// What became less from one roll to the next.
fn shrunk(before: &roll::Partition, now: &roll::Partition) -> Vec<&'static str> {
    let mut what = Vec::new();
    if now.size < before.size {
        what.push("size");
    }
    if before.first.is_some() && (now.first.is_none() || now.first > before.first) {
        what.push("first");
    }
    // `None` is behind every offset.
    if now.next < before.next {
        what.push("next");
    }
    what
}
