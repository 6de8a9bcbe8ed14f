//! The notary: reads the feed of a stream, keeps a log for each partition of its source, and signs a roll of all of them at
//! every interval.
//!
//! In:  the records of a [`Feed`], committed ones only, and the bounds of the source's partitions.
//! Out: an [`Archive`], and heads in [`Anchor`]s.
//! Holds: a roll is committed once, whatever crashes and however many notaries run (`archive.rs`); one that cannot be
//!        anchored is a warning, one that contradicts an anchor ends the notary.
//! Does not know: brokers, what records say beyond their place in the chain.
//!
//! The notary judges nothing. A record that breaks its chain is in the log like any other, and the roll says so.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future::join_all, stream};
use tracing::{info, warn};

use super::{
    Class, Gap, Partition,
    anchor::{self, Anchor, Head},
    archive::{self, Archive, Log, Outcome},
    link::Link,
    note::SigningKey,
    roll::{self, Lost, Places, Roll},
    tile::Edge,
};

/// Most records that one roll adds: a notary that is far behind still commits.
const MAX_RECORDS: usize = 50_000;

/// Most bytes of them.
const MAX_BYTES: usize = 64 << 20;

/// Logs that are opened or written at the same time.
const AT_ONCE: usize = 16;

/// Intervals without a roll after which a notary that was overtaken tries again.
const QUIET: u32 = 3;

/// A record of the feed.
#[derive(Debug, Clone)]
pub struct Received {
    /// Partition of the feed.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
    /// Its value.
    pub record: Bytes,
}

/// A partition of the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bounds {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// First offset that the topic holds.
    pub log_start: i64,
    /// The offset behind its last record.
    pub high: i64,
}

/// Where a notary reads. Its calls may block.
pub trait Feed: Send {
    /// Name of the topic.
    fn topic(&self) -> &str;

    /// Goes on at these offsets, and at the beginning of partitions that are not named. Comes back with the offsets that
    /// no longer exist.
    fn seek(&mut self, next: &BTreeMap<i32, i64>) -> Result<Vec<Lost>, FeedError>;

    /// Committed records, in the order of each partition; none if there are none within `wait`.
    fn read(&mut self, most: usize, wait: Duration) -> Result<Vec<Received>, FeedError>;

    /// Every partition of the source's topics.
    fn sources(&mut self) -> Result<Vec<Bounds>, FeedError>;

    /// Why weir was not given some offsets of a partition of the source, in parts that make up the gaps. The gaps are in
    /// order.
    fn explain(&mut self, of: &Partition, gaps: &[Gap]) -> Result<Vec<(Gap, Class)>, FeedError>;
}

/// The brokers do not answer, or refuse.
#[derive(Debug, thiserror::Error)]
#[error("the feed cannot be read: {0}; check brokers, topics and rights")]
pub struct FeedError(pub String);

/// Why a notary stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The feed.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// The archive.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// An anchor has another history.
    #[error(transparent)]
    Anchor(#[from] anchor::Error),
    /// A roll is of another feed.
    #[error("the archive is of the feed {found}, not of {expected}: name another archive")]
    OtherFeed {
        /// Topic that the last roll names.
        found: String,
        /// Topic that is read.
        expected: String,
    },
}

impl Error {
    /// Whether a notary tries again: brokers and stores come back.
    fn is_passing(&self) -> bool {
        match self {
            Self::Feed(_) => true,
            Self::Archive(error) => matches!(
                error,
                archive::Error::Store { .. }
                    | archive::Error::Tile(super::tile::Error::Store { .. })
            ),
            Self::Anchor(_) | Self::OtherFeed { .. } => false,
        }
    }
}

/// What a notary is made of.
pub struct Options {
    /// Where it writes.
    pub archive: Archive,
    /// What it signs with.
    pub key: SigningKey,
    /// Where heads are kept.
    pub anchors: Vec<Box<dyn Anchor>>,
    /// Time between rolls.
    pub interval: Duration,
}

/// A notary.
pub struct Notary<F> {
    options: Options,
    feed: F,
    open: Option<Open>,
}

/// The logs as the last roll left them, and what was added since.
struct Open {
    rolls: Edge,
    read: BTreeMap<i32, i64>,
    logs: BTreeMap<(String, i32), Tracked>,
    breaks: Places,
    refused: Places,
    lost: Vec<Lost>,
    records: usize,
    bytes: usize,
}

struct Tracked {
    log: Log,
    /// What the next roll says of it, but for size, root and bounds.
    at: roll::Partition,
    changed: bool,
    /// Offsets in front of its new records that weir was not given.
    gaps: Vec<Gap>,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// A roll was committed.
    Rolled {
        /// Its number.
        number: u64,
        /// Records that it added.
        records: usize,
    },
    /// Another notary has committed the roll of this number.
    Overtaken {
        /// The number.
        number: u64,
    },
}

impl<F: Feed> Notary<F> {
    /// A notary that has not read anything.
    pub fn new(options: Options, feed: F) -> Self {
        Self {
            options,
            feed,
            open: None,
        }
    }

    /// Rolls at every interval until `stop` is set. Blocks the thread in calls of the feed.
    pub async fn run(&mut self, stop: &AtomicBool) -> Result<(), Error> {
        let mut failures = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            let until = Instant::now() + self.options.interval;
            let error = match self.turn(until, stop).await {
                Ok(Turn::Rolled { .. }) => {
                    failures = 0;
                    continue;
                }
                Ok(Turn::Overtaken { number }) => {
                    info!(roll = number, "another notary rolls; standing by");
                    self.stand_by(number + 1, stop).await
                }
                Err(error) => Err(error),
            };
            let Err(error) = error else { continue };
            if !error.is_passing() {
                return Err(error);
            }
            // What was read and not committed is read again.
            self.open = None;
            failures += 1;
            warn!(failures, "the notary tries again: {error}");
            let wait = Duration::from_secs(1) * failures.min(30);
            pause(wait, stop).await;
        }
        Ok(())
    }

    /// Reads until a time, then rolls.
    pub async fn turn(&mut self, until: Instant, stop: &AtomicBool) -> Result<Turn, Error> {
        self.open().await?;
        self.gather(until, stop)?;
        let time = jiff::Timestamp::now();
        self.roll(time).await
    }

    /// Reads the archive, if that was not done since the last failure.
    async fn open(&mut self) -> Result<(), Error> {
        if self.open.is_some() {
            return Ok(());
        }
        let Options { archive, key, .. } = &self.options;
        let (rolls, newest) = archive.recover(key).await?;
        let mut open = Open::new(rolls);
        if let Some(roll) = newest {
            if roll.feed != self.feed.topic() {
                return Err(Error::OtherFeed {
                    found: roll.feed,
                    expected: self.feed.topic().to_owned(),
                });
            }
            open.read = roll.read;
            let logs = roll.partitions.into_iter().map(|at| async move {
                let log = archive.log(&at.topic, at.partition, at.size, &at.root);
                let key = (at.topic.clone(), at.partition);
                Ok::<_, Error>((key, Tracked::new(log.await?, at)))
            });
            open.logs = stream::iter(logs)
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await?;
        }
        open.lost = self.feed.seek(&open.read)?;
        for lost in &open.lost {
            open.read.insert(lost.partition, lost.to);
        }
        self.open = Some(open);
        Ok(())
    }

    fn gather(&mut self, until: Instant, stop: &AtomicBool) -> Result<(), Error> {
        let open = self.open.as_mut().expect("it was opened before");
        while open.records < MAX_RECORDS && open.bytes < MAX_BYTES {
            let wait = until.saturating_duration_since(Instant::now());
            let most = MAX_RECORDS - open.records;
            // Short waits: a stop is heard in between.
            let received = self.feed.read(most, wait.min(Duration::from_millis(200)))?;
            for record in received {
                open.take(record);
            }
            if wait.is_zero() || stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    }

    /// Commits a roll, publishes and anchors it.
    async fn roll(&mut self, time: jiff::Timestamp) -> Result<Turn, Error> {
        let bounds = self.feed.sources()?;
        let Options { archive, key, .. } = &self.options;
        let open = self.open.as_mut().expect("it was opened before");
        for ((topic, number), own) in &mut open.logs {
            let of = Partition {
                topic: topic.clone(),
                number: *number,
            };
            own.explained(&of, &mut self.feed)?;
        }
        let changed = open.logs.values_mut().filter(|own| own.changed);
        stream::iter(changed.map(|own| archive.write(&mut own.log)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        let roll = open.roll(archive.origin(), self.feed.topic(), time, bounds);
        let (number, records) = (roll.number, open.records);
        if archive.commit(&roll).await? == Outcome::Overtaken {
            self.open = None;
            return Ok(Turn::Overtaken { number });
        }
        let note = archive
            .publish(&mut open.rolls, &roll.to_bytes(), key)
            .await?;
        for own in open.logs.values_mut().filter(|own| own.changed) {
            archive.publish_log(&own.log, key).await?;
        }
        open.settle();
        info!(roll = number, records, "rolled");
        self.anchor(note).await?;
        Ok(Turn::Rolled { number, records })
    }

    /// Gives a head to all anchors. Those that cannot be reached get the next one.
    async fn anchor(&self, mut note: super::note::Note) -> Result<(), Error> {
        let Options {
            archive, anchors, ..
        } = &self.options;
        let checkpoint = note.text().parse().expect("it was written by the archive");
        let rolls = archive.rolls();
        let head = Head {
            note: &note,
            checkpoint: &checkpoint,
            rolls: &rolls,
        };
        let kept = join_all(anchors.iter().map(|anchor| anchor.keep(head))).await;
        let mut cosignatures = Vec::new();
        for (anchor, kept) in anchors.iter().zip(kept) {
            match kept {
                Ok(signatures) => cosignatures.extend(signatures),
                // A notary that was stopped for a while may come with a head that another has left behind.
                Err(anchor::Error::Ahead { last, .. })
                    if archive.roll(last - 1).await?.is_some() => {}
                Err(error @ anchor::Error::Ahead { .. }) => return Err(error.into()),
                Err(error) if error.is_fork() => return Err(error.into()),
                Err(error) => warn!(anchor = anchor.name(), "not anchored: {error}"),
            }
        }
        if cosignatures.is_empty() {
            return Ok(());
        }
        cosignatures.into_iter().for_each(|own| note.add(own));
        Ok(archive.keep_cosigned(&note).await?)
    }

    /// Waits until the other notary has been silent for some intervals.
    async fn stand_by(&self, mut next: u64, stop: &AtomicBool) -> Result<(), Error> {
        let mut quiet = 0;
        while quiet < QUIET && !stop.load(Ordering::Relaxed) {
            pause(self.options.interval, stop).await;
            quiet += 1;
            while self.options.archive.roll(next).await?.is_some() {
                next += 1;
                quiet = 0;
            }
        }
        Ok(())
    }
}

async fn pause(wait: Duration, stop: &AtomicBool) {
    let end = Instant::now() + wait;
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        let left = end.saturating_duration_since(Instant::now());
        tokio::time::sleep(left.min(Duration::from_millis(200))).await;
    }
}

impl Open {
    fn new(rolls: Edge) -> Self {
        Self {
            rolls,
            read: BTreeMap::new(),
            logs: BTreeMap::new(),
            breaks: Places::default(),
            refused: Places::default(),
            lost: Vec::new(),
            records: 0,
            bytes: 0,
        }
    }

    fn take(&mut self, received: Received) {
        let Received {
            partition,
            offset,
            record,
        } = received;
        self.records += 1;
        self.bytes += record.len();
        self.read.insert(partition, offset + 1);
        let link = match Link::parse(&record) {
            Ok(link) => link,
            Err(why) => return self.refused.push(partition, offset, why.code()),
        };
        let name = (link.topic.clone(), link.partition);
        let tracked = self.logs.entry(name.clone());
        let tracked = tracked.or_insert_with(|| Tracked::empty(&name));
        if !tracked.is_followed_by(&link) {
            self.breaks.push(partition, offset, "chain");
        }
        tracked.push(&link, record);
    }

    fn roll(
        &mut self,
        origin: &str,
        feed: &str,
        time: jiff::Timestamp,
        bounds: Vec<Bounds>,
    ) -> Roll {
        let mut found: BTreeMap<(String, i32), Bounds> = BTreeMap::new();
        for own in bounds {
            let name = (own.topic.clone(), own.partition);
            // A partition that was named once is named for ever.
            self.logs
                .entry(name.clone())
                .or_insert_with(|| Tracked::empty(&name));
            found.insert(name, own);
        }
        let partitions = self.logs.iter().map(|(name, tracked)| {
            let bounds = found.get(name);
            roll::Partition {
                log_start: bounds.map(|own| own.log_start),
                high: bounds.map(|own| own.high),
                ..tracked.summed()
            }
        });
        Roll {
            v: roll::VERSION,
            origin: origin.to_owned(),
            number: self.rolls.size(),
            time: time.to_string(),
            feed: feed.to_owned(),
            read: self.read.clone(),
            partitions: partitions.collect(),
            breaks: self.breaks.clone(),
            refused: self.refused.clone(),
            lost: self.lost.clone(),
        }
    }

    /// After a roll was committed: nothing is pending.
    fn settle(&mut self) {
        self.breaks = Places::default();
        self.refused = Places::default();
        self.lost.clear();
        (self.records, self.bytes) = (0, 0);
        for own in self.logs.values_mut() {
            own.changed = false;
            own.at.gaps.clear();
        }
    }
}

impl Tracked {
    fn new(log: Log, at: roll::Partition) -> Self {
        Self {
            log,
            at: roll::Partition {
                gaps: BTreeMap::new(),
                ..at
            },
            changed: false,
            gaps: Vec::new(),
        }
    }

    fn empty((topic, partition): &(String, i32)) -> Self {
        let at = roll::Partition {
            topic: topic.clone(),
            partition: *partition,
            size: 0,
            root: super::tree::empty_root(),
            head: [0; 32],
            epoch: 0,
            seq: 0,
            first: None,
            next: None,
            log_start: None,
            high: None,
            gaps: BTreeMap::new(),
        };
        Self::new(Log::new(topic, *partition), at)
    }

    fn is_followed_by(&self, link: &Link) -> bool {
        match self.log.size() {
            0 => link.begins(),
            _ => link.follows(&self.at.head, self.at.epoch, self.at.seq),
        }
    }

    fn push(&mut self, link: &Link, record: Bytes) {
        self.log.push(&link.hash, record);
        self.changed = true;
        self.at.head = link.hash;
        self.at.epoch = link.epoch;
        self.at.seq = link.seq;
        if let Some(offset) = link.offset {
            let from = link.after.map_or(offset, |after| after.saturating_add(1));
            if from < offset {
                self.gaps.push(Gap { from, to: offset });
            }
            let first = self.at.first.map_or(offset, |first| first.min(offset));
            let behind = offset.saturating_add(1);
            let next = self.at.next.map_or(behind, |next| next.max(behind));
            (self.at.first, self.at.next) = (Some(first), Some(next));
        }
    }

    /// Asks why weir was not given the offsets in front of new records, while the source still has them.
    fn explained<F: Feed>(&mut self, of: &Partition, feed: &mut F) -> Result<(), FeedError> {
        if self.gaps.is_empty() {
            return Ok(());
        }
        self.gaps.sort_unstable();
        for (gap, class) in feed.explain(of, &self.gaps)? {
            let own = self.at.gaps.entry(class).or_default();
            own.push((gap.from, gap.to));
        }
        self.gaps.clear();
        Ok(())
    }

    fn summed(&self) -> roll::Partition {
        roll::Partition {
            size: self.log.size(),
            root: self.log.root(),
            ..self.at.clone()
        }
    }
}
