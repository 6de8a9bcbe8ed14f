//! The whole feed: its records go to the chains of their partitions, which are compared with the source at the end.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use serde::Serialize;

use super::{
    Activity,
    chain::{Chain, Sealed, Summary},
    fault::{Class, Fault, Fold, Gap, Verdict},
    files::Commits,
    link::Sealers,
    note::VerifyingKey,
    review::Log,
};
use crate::record::{
    Position,
    audit::{Audit, Committed, NotChained, Version1, Written},
};

/// A partition of the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Partition {
    /// Topic.
    pub topic: String,
    /// Number.
    pub number: i32,
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// What the source says, apart from the feed.
pub trait Source {
    /// Why it does not answer.
    type Error;

    /// Whether it knows what is committed, and so whether the end of a feed is missing.
    const KNOWS_ENDS: bool = true;

    /// What the group has committed, of all partitions of which it has.
    fn committed(&mut self) -> Result<BTreeMap<Partition, (i64, Committed)>, Self::Error>;

    /// Why weir was not given some offsets, in parts that make up the gap.
    fn explain(&mut self, of: &Partition, gap: Gap) -> Result<Vec<(Gap, Class)>, Self::Error>;
}

/// An audit feed that is being read.
#[derive(Default)]
pub struct Feed {
    chains: BTreeMap<Partition, Chain>,
    /// Faults of records that belong to no partition.
    stray: Fold,
    read: u64,
    /// What was done, if somebody asked for it.
    activity: Option<Activity>,
    sealers: Option<Sealers>,
}

impl Feed {
    /// A feed that has to be sealed, by keys that are trusted.
    pub fn sealed(sealers: Sealers) -> Self {
        Self {
            sealers: Some(sealers),
            ..Self::default()
        }
    }

    /// From the next record on, seals of a key hold no longer.
    pub fn revoke(&mut self, key: &VerifyingKey) {
        if let Some(sealers) = &mut self.sealers {
            sealers.revoke(key);
        }
    }

    /// The report names a partition, whether there is a record of it or not.
    pub(super) fn name(&mut self, partition: Partition) {
        self.chains.entry(partition).or_default();
    }

    /// Counts what was done too.
    pub fn count(&mut self) {
        self.activity.get_or_insert_default();
    }

    /// What was done, as far as it was counted.
    pub fn take_activity(&mut self) -> Activity {
        self.activity.take().unwrap_or_default()
    }

    /// What was committed in the source before the feed is read: the feed has to reach so far.
    pub fn expect(&mut self, committed: BTreeMap<Partition, (i64, Committed)>) {
        for (partition, (offset, committed)) in committed {
            let chain = self.chains.entry(partition).or_default();
            chain.expects(offset, committed);
        }
    }

    /// Reads the next record, as it was written. Records of one partition of the source come in their order.
    pub fn read(&mut self, json: &str) {
        let at = self.read;
        self.read += 1;
        match Written::read(json) {
            Ok(Written { record }) => self.add(at, &record),
            Err(why) => self.other(at, json, why),
        }
    }

    /// Bytes that are no text are a record that was changed.
    pub fn read_bytes(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(json) => self.read(json),
            Err(_) => {
                let (at, why) = (self.read, NotChained::Form);
                self.read += 1;
                self.stray.push(Fault::Altered { at, why });
            }
        }
    }

    fn add(&mut self, at: u64, record: &Audit) {
        if let Some(activity) = &mut self.activity {
            activity.add(record);
        }
        let seal: Sealed = self.sealers.as_ref().map(|own| own.worth(record));
        match placed(&record.source) {
            Some((partition, offset)) => {
                let chain = self.chains.entry(partition).or_default();
                chain.add(record, offset, seal);
            }
            None => {
                let why = match record.source {
                    Position::Object { .. } => NotChained::Object,
                    _ => NotChained::Kind,
                };
                self.stray.push(Fault::Altered { at, why });
            }
        }
    }

    /// A record that is not one of version 2.
    fn other(&mut self, at: u64, json: &str, why: NotChained) {
        if let Ok(old) = serde_json::from_str::<Version1>(json)
            && let Some((partition, _)) = placed(&old.source)
        {
            let chain = self.chains.entry(partition).or_default();
            chain.version1(at, &old, json);
            return;
        }
        // What it says is not trusted, but for the partition in which the reader is told of it.
        let source = serde_json::from_str::<Claimed>(json).map(|own| own.source);
        match source.ok().as_ref().and_then(placed) {
            Some((partition, _)) if self.chains.contains_key(&partition) => {
                let chain = self.chains.entry(partition).or_default();
                chain.altered(at, why);
            }
            _ => self.stray.push(Fault::Altered { at, why }),
        }
    }

    /// What the feed shows by itself. Gaps of transactions are unknown then, and so is whether its end is missing.
    pub fn close(self) -> Report {
        let Ok(report) = self.closed::<Alone>(None);
        report
    }

    /// What the feed shows, compared with the source.
    ///
    /// # Errors
    /// The source does not answer.
    pub fn close_with<S: Source>(self, source: &mut S) -> Result<Report, S::Error> {
        self.closed(Some(source))
    }

    fn closed<S: Source>(self, mut source: Option<&mut S>) -> Result<Report, S::Error> {
        let is_sealed = self.sealers.is_some();
        let committed = match &mut source {
            Some(source) => source.committed()?,
            None => BTreeMap::new(),
        };
        let mut partitions = Vec::with_capacity(self.chains.len());
        for (partition, chain) in self.chains {
            let mut explained = Vec::new();
            for gap in chain.gaps() {
                match &mut source {
                    Some(source) => explained.extend(source.explain(&partition, *gap)?),
                    None => explained.push((*gap, Class::Unknown)),
                }
            }
            let committed = committed.get(&partition).map(|(offset, _)| *offset);
            let closed = chain.close(committed, &explained, is_sealed);
            partitions.push(Of {
                partition,
                verdict: closed.verdict,
                summary: closed.summary,
                faults: closed.faults,
            });
        }
        Ok(Report {
            records: self.read,
            partitions,
            commits: None,
            stray: self.stray,
            looked_up: source.is_some() && S::KNOWS_ENDS,
            gaps_looked_up: source.is_some(),
            seals_checked: is_sealed,
            log: None,
        })
    }
}

/// The place that a record claims, whatever else stands in it.
#[derive(serde::Deserialize)]
struct Claimed {
    source: Position,
}

fn placed(source: &Position) -> Option<(Partition, i64)> {
    let Position::Kafka {
        topic,
        partition,
        offset,
    } = source
    else {
        return None;
    };
    let partition = Partition {
        topic: topic.clone(),
        number: *partition,
    };
    Some((partition, *offset))
}

/// No source: nothing is asked.
pub(super) enum Alone {}

impl Source for Alone {
    type Error = std::convert::Infallible;

    fn committed(&mut self) -> Result<BTreeMap<Partition, (i64, Committed)>, Self::Error> {
        match *self {}
    }

    fn explain(&mut self, _: &Partition, _: Gap) -> Result<Vec<(Gap, Class)>, Self::Error> {
        match *self {}
    }
}

/// What a feed shows. No values.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Records read.
    pub records: u64,
    /// By partition of the source.
    pub partitions: Vec<Of>,
    /// Of a sink of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<Commits>,
    /// Faults of records that belong to no partition.
    pub stray: Fold,
    /// Whether the source was asked what is committed.
    pub looked_up: bool,
    /// Whether the source was asked why offsets are missing.
    pub gaps_looked_up: bool,
    /// Whether seals had to be of keys that are trusted.
    pub seals_checked: bool,
    /// The log of the records, if it was read from an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Log>,
}

/// What a feed shows of a partition.
#[derive(Debug, Clone, Serialize)]
pub struct Of {
    /// The partition.
    pub partition: Partition,
    /// What follows from all of it.
    pub verdict: Verdict,
    /// Counts.
    pub summary: Summary,
    /// What is wrong.
    pub faults: Fold,
}

impl Report {
    /// What follows from all of it; a feed without a record proves nothing.
    pub fn verdict(&self) -> Verdict {
        let commits = self.commits.as_ref().map(Commits::verdict);
        let worst = self.partitions.iter().map(|own| own.verdict);
        let worst = worst.chain(commits).max();
        let worst = worst.unwrap_or(Verdict::NotProvable);
        let worst = worst.max(self.stray.verdict());
        let Some(log) = &self.log else { return worst };
        let worst = worst.max(log.faults.verdict());
        match self.records {
            0 => worst.max(Verdict::NotProvable),
            _ => worst,
        }
    }

    /// Faults of these names were looked at, and count no longer.
    pub fn accept(&mut self, names: &[String]) {
        for own in &mut self.partitions {
            own.faults.accept(names);
            own.verdict = own.faults.verdict().max(own.summary.verdict());
        }
        if let Some(log) = &mut self.log {
            log.faults.accept(names);
        }
        if let Some(commits) = &mut self.commits {
            commits.accept(names);
            // Of a feed none of them may be accepted.
            self.stray.accept(names);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for own in &self.partitions {
            writeln!(f, "{own}")?;
        }
        for own in self.commits.iter().flat_map(|own| &own.faulty) {
            writeln!(
                f,
                "{:<12} {} ({})",
                own.verdict.to_string(),
                own.of,
                own.commit
            )?;
            faults(f, &own.faults)?;
            writeln!(f)?;
        }
        for own in [Some(&self.stray), self.log.as_ref().map(|log| &log.faults)] {
            if let Some(own) = own.filter(|own| own.all > 0) {
                faults(f, own)?;
                writeln!(f)?;
            }
        }
        if let Some(commits) = &self.commits {
            write!(
                f,
                "{}: {} audit records of {commits}",
                self.verdict(),
                self.records
            )?;
            return self.unasked(f);
        }
        let all = self.partitions.len();
        write!(
            f,
            "{}: {} audit records of {all} partition{}",
            self.verdict(),
            self.records,
            if all == 1 { "" } else { "s" }
        )?;
        if let Some(log) = &self.log {
            write!(f, "{log}")?;
            if !self.seals_checked {
                f.write_str("\nno seal was checked: the trust file names no `workers`")?;
            }
            return Ok(());
        }
        self.unasked(f)
    }
}

impl Report {
    fn unasked(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.looked_up, self.gaps_looked_up) {
            (true, _) => "",
            (false, true) => {
                "\nthe brokers were not asked what is committed: whether the end of the feed is missing is not known"
            }
            (false, false) => {
                "\nthe source was not asked: whether the end of the feed is missing is not known, and gaps have no class"
            }
        })
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary {
            records,
            delivered,
            dead_letters,
            version_1,
            epochs,
            next,
            seals,
            no_proof,
            gaps,
        } = &self.summary;
        write!(f, "{:<12} {}", self.verdict.to_string(), self.partition)?;
        let mut told = String::new();
        if let (Some(first), Some(next)) = (epochs.first(), next) {
            write!(told, ", offsets {} to {}", first.from, next - 1)?;
        }
        write!(
            told,
            ": {records} records, {delivered} delivered, {dead_letters} dead letters"
        )?;
        if epochs.len() > 1 {
            write!(told, ", {} epochs", epochs.len())?;
        }
        let rewinds = epochs.iter().filter(|epoch| epoch.rewinds).count();
        if rewinds > 0 {
            write!(told, ", {rewinds} times read again")?;
        }
        if *seals > 0 {
            write!(told, ", {seals} seals")?;
        }
        if *version_1 > 0 {
            write!(told, ", {version_1} of version 1")?;
        }
        if let Some(why) = no_proof {
            write!(told, ", no proof: {why}")?;
        }
        for (class, offsets) in gaps {
            write!(told, ", {offsets} offsets {class}")?;
        }
        f.write_str(&told)?;
        if self.faults.all > 0 {
            writeln!(f)?;
        }
        faults(f, &self.faults)
    }
}

fn faults(f: &mut fmt::Formatter<'_>, faults: &Fold) -> fmt::Result {
    let mut lines: Vec<String> = faults
        .first
        .iter()
        .map(|own| format!("    {own}"))
        .collect();
    let more = faults.all - faults.first.len() as u64;
    if more > 0 {
        lines.push(format!("    and {more} more"));
    }
    f.write_str(&lines.join("\n"))
}
