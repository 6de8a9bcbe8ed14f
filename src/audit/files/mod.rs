//! What the commit records of a sink of files prove: each is compared with the files that it lists, and those of a
//! topic's partition with each other.

mod check;
mod reading;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::{Mutex, PoisonError},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectStoreExt as _, path::Path};
use serde::Serialize;

use self::check::Checked;
use super::{
    Activity, FileFault,
    fault::{Class, Fault, Fold, Gap, Verdict},
    feed::{Partition, Report, Source},
};
use crate::{
    record::{
        audit::Audit,
        commit::{self, AUDIT, SetCommit, segment},
    },
    store::Location,
};

/// Commit records that are compared at a time. Fewer: a store far away takes long. More: connections.
const AT_ONCE: usize = 16;

/// Commit records with faults that a report names.
const NAMED: usize = 200;

/// A sink of files that is being checked.
pub struct Files {
    location: Location,
    /// What was done, if somebody asked for it.
    activity: Option<Mutex<Activity>>,
}

/// Why a sink could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused, or does not answer.
    #[error("{at} cannot be read")]
    Store {
        /// The object.
        at: String,
        /// Why, after the retries of object_store.
        source: object_store::Error,
    },
}

/// What was read of a sink, before offsets without a record are explained.
pub struct Gathered {
    objects: Vec<(String, Checked)>,
    chains: BTreeMap<String, Vec<Link>>,
    /// Audit files as they were listed, before the commit records were.
    audits: Vec<String>,
    activity: Option<Activity>,
}

/// A commit record of a topic's partition.
struct Link {
    at: String,
    start: i64,
    bytes: bytes::Bytes,
    checked: Checked,
}

/// What the commit records of a sink show. No values.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Commits {
    /// Commit records of objects.
    pub objects: u64,
    /// Commit records of offsets of topics.
    pub sets: u64,
    /// Of them, written without an audit.
    pub without_audit: u64,
    /// Files that were read.
    pub files: u64,
    /// Documents delivered.
    pub delivered: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Offsets that weir was not given, by why.
    pub gaps: BTreeMap<Class, u64>,
    /// Commit records with faults, the first of them.
    pub faulty: Vec<Faulty>,
    /// All of their faults.
    pub faults: Fold,
}

/// A commit record with faults.
#[derive(Debug, Clone, Serialize)]
pub struct Faulty {
    /// Path below the sink.
    pub commit: String,
    /// The source object, or the offsets.
    pub of: String,
    /// What follows.
    pub verdict: Verdict,
    /// What is wrong.
    pub faults: Fold,
}

impl Files {
    /// The sink at a place. `counts`: whether what was done is counted too.
    pub fn new(location: Location, counts: bool) -> Self {
        Self {
            location,
            activity: counts.then(Mutex::default),
        }
    }

    /// Reads all commit records, and every file that they list.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn read(self) -> Result<Gathered, Error> {
        let own = &self;
        // First: what is committed meanwhile is listed by then.
        let audits = self.listed(AUDIT).await?;
        let audits = audits.iter().map(|path| self.relative(path)).collect();
        let records = stream::iter(own.listed(commit::OBJECTS).await?);
        let records = records.map(|path| async move {
            let Some(bytes) = own.bytes(&path).await? else {
                return Ok(None);
            };
            let checked = own.object(&path, &bytes).await?;
            Ok(Some((own.relative(&path), checked)))
        });
        let objects: Vec<_> = records.buffered(AT_ONCE).try_collect().await?;
        let records = stream::iter(own.listed(commit::TOPICS).await?);
        let records = records.map(|path| async move {
            let (Some(start), Some(bytes)) = (start_of(&path), own.bytes(&path).await?) else {
                return Ok(None);
            };
            let checked = own.set(&path, start, &bytes).await?;
            Ok(Some(Link {
                at: own.relative(&path),
                start,
                bytes,
                checked,
            }))
        });
        let links: Vec<Option<Link>> = records.buffered(AT_ONCE).try_collect().await?;
        let mut chains: BTreeMap<String, Vec<Link>> = BTreeMap::new();
        for link in links.into_iter().flatten() {
            let folder = link.at.rsplit_once('/').map_or("", |(folder, _)| folder);
            chains.entry(folder.to_owned()).or_default().push(link);
        }
        let activity = self.activity.map(|own| own.into_inner());
        Ok(Gathered {
            objects: objects.into_iter().flatten().collect(),
            chains,
            audits,
            activity: activity.map(|own| own.unwrap_or_else(PoisonError::into_inner)),
        })
    }

    fn relative(&self, path: &Path) -> String {
        self.location.relative(path).to_owned()
    }

    /// Files below a folder, in the order of their names.
    async fn listed(&self, folder: &str) -> Result<Vec<Path>, Error> {
        let folder = self.location.path(folder);
        let listed = self.location.store().list(Some(&folder));
        let mut paths: Vec<Path> = listed
            .map_ok(|meta| meta.location)
            .try_collect()
            .await
            .map_err(|source| Error::Store {
                at: folder.to_string(),
                source,
            })?;
        // What a local folder has of files that were never finished.
        paths.retain(|path| !path.filename().is_some_and(|name| name.contains('#')));
        paths.sort();
        Ok(paths)
    }

    /// `None`: it is gone since it was listed.
    async fn bytes(&self, path: &Path) -> Result<Option<bytes::Bytes>, Error> {
        let failed = |source| Error::Store {
            at: path.to_string(),
            source,
        };
        match self.location.store().get(path).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    fn count(&self, record: &Audit) {
        if let Some(activity) = &self.activity {
            let mut activity = activity.lock().unwrap_or_else(PoisonError::into_inner);
            activity.add(record);
        }
    }
}

/// START of a record in a chain; `None`: the file is none.
fn start_of(path: &Path) -> Option<i64> {
    let digits = path.filename()?.strip_suffix(".json")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

impl Gathered {
    /// What was done, as far as it was counted.
    pub fn take_activity(&mut self) -> Activity {
        self.activity.take().unwrap_or_default()
    }

    /// What the commit records show by themselves.
    pub fn close(self) -> Report {
        let Ok(report) = self.closed::<super::feed::Alone>(None);
        report
    }

    /// What they show, compared with the topics that `group` reads.
    ///
    /// # Errors
    /// The source does not answer.
    pub fn close_with<S: Source>(self, group: &str, source: &mut S) -> Result<Report, S::Error> {
        self.closed(Some((group, source)))
    }

    fn closed<S: Source>(self, mut source: Option<(&str, &mut S)>) -> Result<Report, S::Error> {
        let looked_up = source.is_some() || self.chains.is_empty();
        let mut sums = Sums::default();
        let mut listed = HashSet::new();
        for (at, mut checked) in self.objects {
            sums.commits.objects += 1;
            listed.extend(std::mem::take(&mut checked.listed));
            let explained: [(Gap, Class); 0] = [];
            sums.add(at, checked, &explained);
        }
        // Below the folder of each partition: where its chain ends.
        let mut ends = Vec::new();
        for (folder, links) in self.chains {
            let mut end = End::default();
            for mut link in links {
                sums.commits.sets += 1;
                end.link(&mut link);
                listed.extend(std::mem::take(&mut link.checked.listed));
                let mut explained = Vec::new();
                let gaps = link
                    .checked
                    .chain
                    .as_ref()
                    .map(|chain| chain.gaps().to_vec());
                for gap in gaps.unwrap_or_default() {
                    match (&mut source, &end.partition) {
                        (Some((_, source)), Some(of)) => {
                            explained.extend(source.explain(of, gap)?);
                        }
                        _ => explained.push((gap, Class::Unknown)),
                    }
                }
                sums.add(link.at, link.checked, &explained);
            }
            if let Some((group, source)) = &mut source
                && let Some(of) = &end.partition
                && end.group == *group
                && let Some((committed, _)) = source.committed()?.get(of)
                && *committed > end.next
            {
                let (feed, committed) = (end.next, *committed);
                let mut checked = Checked {
                    of: of.to_string(),
                    ..Checked::default()
                };
                checked.faults.push(Fault::Truncated { feed, committed });
                sums.add(folder, checked, &[]);
            }
            ends.push(end);
        }
        let mut stray = Fold::default();
        for file in self.audits {
            if !listed.contains(&file) && !ends.iter().any(|end| end.left_behind(&file)) {
                stray.push(FileFault::Unlisted { file });
            }
        }
        Ok(Report {
            records: sums.records,
            partitions: Vec::new(),
            commits: Some(sums.commits),
            stray,
            looked_up,
            gaps_looked_up: looked_up,
            seals_checked: false,
            log: None,
        })
    }
}

#[derive(Default)]
struct Sums {
    commits: Commits,
    records: u64,
}

impl Sums {
    fn add(&mut self, at: String, mut checked: Checked, explained: &[(Gap, Class)]) {
        let commits = &mut self.commits;
        commits.without_audit += u64::from(checked.unproven);
        commits.files += checked.files;
        if let Some(chain) = checked.chain.take() {
            let closed = chain.close(None, explained, false);
            checked.count(&closed);
            checked.faults.merge(closed.faults);
            self.records += closed.summary.records;
            commits.delivered += closed.summary.delivered;
            commits.dead_letters += closed.summary.dead_letters;
            for (class, offsets) in closed.summary.gaps {
                *commits.gaps.entry(class).or_default() += offsets;
            }
        }
        commits.faults.merge(checked.faults.clone());
        if checked.faults.all > 0 && commits.faulty.len() < NAMED {
            commits.faulty.push(Faulty {
                commit: at,
                of: checked.of,
                verdict: checked.faults.verdict(),
                faults: checked.faults,
            });
        }
    }
}

/// The end of a partition's chain of commit records, as far as it was read.
#[derive(Default)]
struct End {
    partition: Option<Partition>,
    group: String,
    next: i64,
    /// What the next record has to hold.
    link: Option<String>,
}

impl End {
    /// Compares a record with the one in front of it.
    fn link(&mut self, link: &mut Link) {
        let faults = &mut link.checked.faults;
        if link.start > self.next {
            faults.push(FileFault::NoCommit {
                from: self.next,
                to: link.start,
            });
        } else if link.start < self.next {
            let why = "it begins in front of the end of the record before it";
            faults.push(FileFault::Commit { why });
        }
        let Ok(record) = serde_json::from_slice::<SetCommit>(&link.bytes) else {
            self.link = None;
            return;
        };
        // Behind a hole, or a record that cannot be read, nobody knows what it has to hold.
        let held = record.previous.filter(|_| link.start == self.next);
        let wanted = match self.partition {
            None => Some(commit::link(None)),
            Some(_) => self.link.clone(),
        };
        if let (Some(held), Some(wanted)) = (held, wanted)
            && held != wanted
        {
            let why = "it does not hold the digest of the record in front of it";
            faults.push(FileFault::Commit { why });
        }
        self.partition = Some(Partition {
            topic: record.topic,
            number: record.partition,
        });
        self.group = record.group;
        self.next = record.next;
        self.link = Some(commit::link(Some(&link.bytes)));
    }

    /// Whether an audit file is of an attempt that another one overtook: its offsets are committed.
    fn left_behind(&self, file: &str) -> bool {
        let Some(Partition { topic, number }) = &self.partition else {
            return false;
        };
        let folder = format!("{AUDIT}/{}/{number}/", segment(topic));
        let first = file.strip_prefix(&folder).and_then(|name| name.get(..20));
        let first: Option<i64> = first.and_then(|digits| digits.parse().ok());
        first.is_some_and(|first| first < self.next)
    }
}

impl Commits {
    /// What follows from all of them; a sink without a commit record proves nothing.
    pub fn verdict(&self) -> Verdict {
        let faults = self.faults.verdict();
        let is_provable = self.objects + self.sets > 0 && self.without_audit == 0;
        faults.max(match is_provable {
            true => Verdict::Proven,
            false => Verdict::NotProvable,
        })
    }

    /// Faults of these names were looked at, and count no longer.
    pub(super) fn accept(&mut self, names: &[String]) {
        self.faults.accept(names);
        for own in &mut self.faulty {
            own.faults.accept(names);
            own.verdict = own.faults.verdict();
        }
    }
}

impl fmt::Display for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.objects + self.sets;
        let plural = if all == 1 { "" } else { "s" };
        write!(
            f,
            "{all} commit record{plural} with {} files, {} delivered, {} dead letters",
            self.files, self.delivered, self.dead_letters
        )?;
        if self.without_audit > 0 {
            write!(f, ", {} written without an audit", self.without_audit)?;
        }
        for (class, offsets) in &self.gaps {
            write!(f, ", {offsets} offsets {class}")?;
        }
        Ok(())
    }
}
