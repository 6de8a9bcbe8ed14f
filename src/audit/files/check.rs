//! One commit record, compared with the files that it lists.

use std::collections::BTreeMap;

use object_store::path::Path;

use super::{Error, Files, reading};
use crate::{
    audit::{
        FileFault,
        chain::{Chain, Closed},
        fault::{Fault, Fold, Gap},
    },
    record::{
        Position,
        audit::{Audit, Committed, Head, Kind, Written},
        commit::{self, AUDIT, File, ObjectCommit, SetCommit, hash_holds, segment},
    },
};

/// What a commit record shows.
#[derive(Default)]
pub(super) struct Checked {
    /// The source object, or the offsets.
    pub(super) of: String,
    pub(super) faults: Fold,
    /// Whether weir wrote it without an audit.
    pub(super) unproven: bool,
    /// Paths of its audit files.
    pub(super) listed: Vec<String>,
    /// Files that were read.
    pub(super) files: u64,
    /// Of the audit file; not closed before its gaps are explained.
    pub(super) chain: Option<Chain>,
    /// Documents and dead letters, as the record says.
    pub(super) told: (u64, u64),
}

impl Checked {
    fn of(of: String) -> Self {
        Self {
            of,
            ..Self::default()
        }
    }

    fn commit(&mut self, why: &'static str) {
        self.faults.push(FileFault::Commit { why });
    }

    /// Compares the audit file's counts with those of the record.
    pub(super) fn count(&mut self, closed: &Closed) {
        // Of a file that is gone the chain says so.
        if closed.summary.records == 0 {
            return;
        }
        let (documents, letters) = self.told;
        let counts = [
            (closed.summary.delivered, documents),
            (closed.summary.dead_letters, letters),
        ];
        for (found, told) in counts {
            self.compare(AUDIT, found, told);
        }
    }

    /// Compares how many records there are in files of a kind, or in the audit, with what the record says.
    fn compare(&mut self, kind: &str, found: u64, committed: u64) {
        if found != committed {
            let file = kind.to_owned();
            self.faults.push(FileFault::Counts {
                file,
                found,
                committed,
            });
        }
    }
}

/// What the audit records of one commit record are about.
enum About<'r> {
    Object {
        commit: &'r ObjectCommit,
        answered: Answered,
        /// Whether the object as a whole was delivered.
        whole: bool,
    },
    Set {
        commit: &'r SetCommit,
        /// First offset that the file has to answer for.
        from: i64,
    },
}

impl About<'_> {
    /// Whether a record is in its place, and the offset that stands for it in the chain.
    fn place(&mut self, record: &Audit) -> Result<i64, FileFault> {
        let seq = record.seq;
        let number = i64::try_from(seq).unwrap_or(i64::MAX) - 1;
        let elsewhere = Err(FileFault::Elsewhere { seq });
        match (self, &record.source) {
            (
                Self::Object {
                    commit,
                    answered,
                    whole,
                },
                Position::Object {
                    object,
                    version,
                    record: at,
                },
            ) => {
                if *object != commit.object || version.as_ref() != Some(&commit.version) {
                    return elsewhere;
                }
                if let Some(begin) = &record.begin {
                    let fits = begin.group == commit.configuration && begin.from == 0;
                    return if fits { Ok(0) } else { elsewhere };
                }
                let is_new = match at {
                    Some(at) => answered.add(*at),
                    // A dead letter of the object may stand behind those of its documents.
                    None if record.code.is_some() => true,
                    None => !std::mem::replace(whole, true),
                };
                match is_new {
                    true => Ok(number),
                    false => Err(FileFault::Twice { seq }),
                }
            }
            (
                Self::Set { commit, from },
                Position::Kafka {
                    topic,
                    partition,
                    offset,
                },
            ) => {
                let is_own = *topic == commit.topic && *partition == commit.partition;
                let fits = match &record.begin {
                    Some(begin) => begin.group == commit.group && begin.from == *from,
                    None => (commit.first..commit.next).contains(offset),
                };
                match is_own && fits {
                    true => Ok(*offset),
                    false => elsewhere,
                }
            }
            _ => elsewhere,
        }
    }

    /// Where a record belongs in the chain, also if it is in the wrong place.
    fn offset(&self, record: &Audit) -> i64 {
        match (self, &record.source) {
            (Self::Set { .. }, Position::Kafka { offset, .. }) => *offset,
            _ => i64::try_from(record.seq).unwrap_or(i64::MAX) - 1,
        }
    }
}

impl Files {
    /// Compares the commit record of an object with its files.
    pub(super) async fn object(&self, path: &Path, bytes: &[u8]) -> Result<Checked, Error> {
        let Ok(record) = serde_json::from_slice::<ObjectCommit>(bytes) else {
            let mut checked = Checked::of(self.location.relative(path).to_owned());
            checked.commit("it is not a commit record");
            return Ok(checked);
        };
        let mut checked = Checked::of(record.object.clone());
        let Some(end) = &record.audit else {
            checked.unproven = true;
            return Ok(checked);
        };
        let id = record.id();
        if !hash_holds(bytes, &record.hash) {
            checked
                .commit("its hash is not that of its bytes: it was changed after it was written");
        }
        if path.filename() != Some(&format!("{id}.json")) {
            checked.commit("it has the name of another object, version or configuration");
        }
        let listed = record.files.iter().map(|file| &file.path);
        if !listed.eq(&record.outputs) {
            checked.commit("its two lists of files differ");
        }
        let own = format!("-{}.", &id[..commit::ID_DIGITS]);
        let is_own = |file: &File| {
            let name = file.path.rsplit('/').next().unwrap_or_default();
            file.path.starts_with(&format!("{}/", file.kind)) && name.contains(&own)
        };
        if !record.files.iter().all(is_own) {
            checked.commit("it lists a file of another object");
        }
        checked.told = (record.documents, record.dead_letters);
        let about = About::Object {
            commit: &record,
            answered: Answered::default(),
            whole: false,
        };
        self.files(&record.files, end, about, &mut checked).await?;
        Ok(checked)
    }

    /// Compares the commit record of some offsets with its files. `start`: where the record in front of it ends.
    pub(super) async fn set(
        &self,
        path: &Path,
        start: i64,
        bytes: &[u8],
    ) -> Result<Checked, Error> {
        let at = self.location.relative(path);
        let Ok(record) = serde_json::from_slice::<SetCommit>(bytes) else {
            let mut checked = Checked::of(at.to_owned());
            checked.commit("it is not a commit record");
            return Ok(checked);
        };
        let SetCommit {
            topic,
            partition,
            first,
            next,
            gap_from,
            ..
        } = &record;
        let last = next.saturating_sub(1);
        let mut checked = Checked::of(format!("{topic}/{partition}, offsets {first} to {last}"));
        let Some(end) = &record.audit else {
            checked.unproven = true;
            return Ok(checked);
        };
        if !hash_holds(bytes, &record.hash) {
            checked
                .commit("its hash is not that of its bytes: it was changed after it was written");
        }
        let (group, folder) = (segment(&record.group), segment(topic));
        let named = format!(
            "{}/{group}/{folder}/{partition}/{start:020}.json",
            commit::TOPICS
        );
        if at != named || *first < start || next <= first {
            checked.commit("its name contradicts its topic, partition or offsets");
        }
        let is_own = |file: &File| {
            let named = format!("{}/{folder}/{partition}/{first:020}-{last:020}-", file.kind);
            file.path.starts_with(&named)
        };
        if !record.files.iter().all(is_own) {
            checked.commit("it lists a file of other offsets");
        }
        if let Some(from) = gap_from {
            // Of a chain that goes on: all that nobody read.
            let from = if start > 0 { start } else { *from };
            let gap = Gap { from, to: *first };
            checked.faults.push(Fault::Skipped(gap));
        }
        if end.parse::<Head>().is_ok_and(|end| end.next != *next) {
            checked.commit("it ends at another offset than its audit file");
        }
        checked.told = (record.documents, record.dead_letters);
        let about = About::Set {
            commit: &record,
            from: match gap_from {
                None if start > 0 => start,
                _ => *first,
            },
        };
        self.files(&record.files, end, about, &mut checked).await?;
        Ok(checked)
    }

    /// Reads the files of a record, and the audit file as a chain that ends in `end`.
    async fn files(
        &self,
        files: &[File],
        end: &str,
        mut about: About<'_>,
        checked: &mut Checked,
    ) -> Result<(), Error> {
        let mut chain = Chain::default();
        match end.parse::<Head>() {
            Ok(head) => chain.expects(head.next, Committed::Head(head)),
            Err(_) => checked.commit("it does not say where its audit file ends"),
        }
        let mut records = BTreeMap::from([("entities", 0), ("redactions", 0), ("dead_letters", 0)]);
        for file in files {
            if let Some(count) = records.get_mut(&*file.kind) {
                *count += file.records;
            }
            let mut faults = Vec::new();
            let mut number = 0;
            let mut each = |line: &[u8]| {
                faults.extend(self.line(line, number, &mut about, &mut chain));
                number += 1;
            };
            let is_audit = file.kind == AUDIT;
            let each: Option<&mut (dyn FnMut(&[u8]) + Send)> = match is_audit {
                true => Some(&mut each),
                false => None,
            };
            let path = self.location.path(&file.path);
            let found = reading::read(&self.location, &path, each).await?;
            for fault in faults {
                checked.faults.push(fault);
            }
            checked.files += u64::from(found.is_some());
            if is_audit {
                checked.listed.push(file.path.clone());
            }
            if let Some(fault) = compared(file, found) {
                checked.faults.push(fault);
            }
        }
        let (documents, letters) = checked.told;
        for (kind, found) in records {
            let told = if kind == "dead_letters" {
                letters
            } else {
                documents
            };
            checked.compare(kind, found, told);
        }
        checked.chain = Some(chain);
        Ok(())
    }

    fn line(
        &self,
        line: &[u8],
        number: u64,
        about: &mut About<'_>,
        chain: &mut Chain,
    ) -> Option<FileFault> {
        let record = match Written::of_bytes(line) {
            Ok(Written { record }) => record,
            Err(why) => {
                chain.altered(number, why);
                return None;
            }
        };
        let (offset, fault) = match about.place(&record) {
            Ok(offset) => (offset, None),
            Err(fault) => (about.offset(&record), Some(fault)),
        };
        chain.add(&record, offset, None);
        if record.kind == Kind::Event {
            self.count(&record);
        }
        fault
    }
}

/// What is wrong with a file.
fn compared(file: &File, found: Option<reading::Found>) -> Option<FileFault> {
    let path = file.path.clone();
    let Some(found) = found else {
        return Some(FileFault::NoFile { file: path });
    };
    if found.bytes != file.bytes || Some(&found.sha256) != file.sha256.as_ref() {
        return Some(FileFault::OtherFile {
            file: path,
            bytes: found.bytes,
            committed: file.bytes,
        });
    }
    let lines = found.lines.filter(|lines| *lines != file.records)?;
    Some(FileFault::Counts {
        file: path,
        found: lines,
        committed: file.records,
    })
}

/// Numbers that were answered for, as ranges: they grow nearly always.
#[derive(Default)]
struct Answered(BTreeMap<u64, u64>);

impl Answered {
    /// False if the number is there already.
    fn add(&mut self, number: u64) -> bool {
        let before = self.0.range(..=number).next_back();
        let before = before.map(|(start, end)| (*start, *end));
        if before.is_some_and(|(_, end)| number < end) {
            return false;
        }
        let end = match self.0.remove(&(number + 1)) {
            Some(end) => end,
            None => number + 1,
        };
        match before {
            Some((start, before)) if before == number => drop(self.0.insert(start, end)),
            _ => drop(self.0.insert(number, end)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_answered_for_once_in_any_order(numbers in prop::collection::vec(0..40_u64, 0..80)) {
            let (mut own, mut plain) = (Answered::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(own.add(number), plain.insert(number));
            }
            let covered: u64 = own.0.iter().map(|(start, end)| end - start).sum();
            prop_assert_eq!(covered, plain.len() as u64);
        }
    }
}
