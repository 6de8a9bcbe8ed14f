//! Partitions as files: the segments of a broker's data folder, copied and read without a broker.
//!
//! A client never sees all that a partition holds: librdkafka leaves out the marks of transactions and, under
//! `read_committed`, what was aborted. In the files every offset has its batch, so each gap of a feed gets its exact class.
//!
//! Batches have version 2, that of Kafka 0.11 and later:
//! <https://kafka.apache.org/documentation/#recordbatch>.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use crc_fast::CrcAlgorithm;

use super::{
    fault::{Class, Gap},
    feed::{Partition, Source},
};
use crate::record::audit::Committed;

/// Bytes of a batch in front of its records.
const HEADER: usize = 61;

/// Bytes in front of what a batch counts as its length.
const UNCOUNTED: usize = 12;

/// Where the bytes begin that the checksum covers: at the attributes.
const SUMMED: usize = 21;

/// Most bytes of a batch, compressed or not: `max.message.bytes` is 1 MiB by default, and rarely above 100 MiB.
const MOST_BYTES: usize = 1 << 30;

/// Why segments can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system says so.
    #[error("can't read {}: {error}", .file.display())]
    Read {
        /// Folder or file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A batch is not as a broker writes it.
    #[error("{}: the batch at byte {at} {problem}: copy the file again", .file.display())]
    Damaged {
        /// Segment.
        file: PathBuf,
        /// Where its batch begins.
        at: u64,
        /// What is wrong.
        problem: Problem,
    },
    /// The folder is not there.
    #[error(
        "{} has no folder {partition}: name the data folder of a broker, or a copy with its folders TOPIC-PARTITION",
        .folder.display()
    )]
    NoPartition {
        /// What was named.
        folder: PathBuf,
        /// What it should hold.
        partition: String,
    },
}

/// What is wrong with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Problem {
    #[error("has another checksum than its bytes")]
    Checksum,
    #[error("has the format {0} of messages, and weir reads 2 (Kafka 0.11 and later)")]
    Magic(i8),
    #[error("has a length that no batch has")]
    Length,
    #[error("has offsets that contradict each other")]
    Offsets,
    #[error("can't be decompressed")]
    Compression,
    #[error("has a record that can't be read")]
    Record,
}

/// A batch, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Batch {
    /// Offset of its first record, and the one behind its last.
    from: i64,
    to: i64,
    attributes: i16,
    producer: i64,
    /// Records in it; after a compaction fewer than its offsets.
    count: i32,
    /// Its records, compressed as its attributes say.
    records: Vec<u8>,
}

impl Batch {
    fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    fn is_whole(&self) -> bool {
        i64::from(self.count) == self.to - self.from
    }

    /// A batch from its bytes, header included.
    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Problem::Length)?;
        let magic = i8::from_be_bytes([header[16]]);
        if magic != 2 {
            return Err(Problem::Magic(magic));
        }
        let sum = u32::from_be_bytes(part(header, 17));
        let found = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, &bytes[SUMMED..]);
        if u64::from(sum) != found {
            return Err(Problem::Checksum);
        }
        let from = i64::from_be_bytes(part(header, 0));
        let last = i32::from_be_bytes(part(header, 23));
        let count = i32::from_be_bytes(part(header, 57));
        let to = from.checked_add(i64::from(last) + 1);
        let to = to.filter(|to| from >= 0 && *to > from);
        let to = to.ok_or(Problem::Offsets)?;
        if count < 0 || i64::from(count) > to - from {
            return Err(Problem::Offsets);
        }
        Ok(Self {
            from,
            to,
            attributes: i16::from_be_bytes(part(header, SUMMED)),
            producer: i64::from_be_bytes(part(header, 43)),
            count,
            records: bytes[HEADER..].to_vec(),
        })
    }

    fn decompressed(&self) -> Result<Vec<u8>, Problem> {
        let failed = |_| Problem::Compression;
        let bytes = &self.records;
        let mut records = Vec::new();
        let mut decode = |reader: &mut dyn Read| {
            reader
                .take(MOST_BYTES as u64)
                .read_to_end(&mut records)
                .map(|_| ())
                .map_err(failed)
        };
        match self.attributes & 0x07 {
            0 => return Ok(bytes.clone()),
            1 => decode(&mut flate2::read::MultiGzDecoder::new(&bytes[..]))?,
            2 => return snappy(bytes),
            3 => decode(&mut lz4_flex::frame::FrameDecoder::new(&bytes[..]))?,
            4 => decode(&mut zstd::Decoder::new(&bytes[..]).map_err(failed)?)?,
            _ => return Err(Problem::Compression),
        }
        Ok(records)
    }

    /// Calls `each` with the offset, the key and the value of its records.
    fn records(
        &self,
        mut each: impl FnMut(i64, Option<&[u8]>, Option<&[u8]>),
    ) -> Result<(), Problem> {
        let records = self.decompressed()?;
        let mut rest = Bytes(&records);
        for _ in 0..self.count {
            let length = rest.length()?.ok_or(Problem::Record)?;
            let mut record = Bytes(rest.take(length)?);
            record.take(1)?; // attributes
            record.number()?; // time
            let offset = record.number()?;
            let offset = self.from.checked_add(offset);
            let offset = offset.filter(|own| (self.from..self.to).contains(own));
            let offset = offset.ok_or(Problem::Offsets)?;
            let key = match record.length()? {
                Some(length) => Some(record.take(length)?),
                None => None,
            };
            let value = match record.length()? {
                Some(length) => Some(record.take(length)?),
                None => None,
            };
            each(offset, key, value);
        }
        Ok(())
    }

    /// Whether the transaction of a control batch was committed; `None`: it marks something else.
    fn commits(&self) -> Result<Option<bool>, Problem> {
        let mut found = None;
        // The key of a control record: its version and its type, 0 abort and 1 commit.
        self.records(|_, key, _| {
            found = match key {
                Some([_, _, 0, 0, ..]) => Some(false),
                Some([_, _, 0, 1, ..]) => Some(true),
                _ => None,
            };
        })?;
        Ok(found)
    }
}

fn part<const N: usize>(header: &[u8; HEADER], at: usize) -> [u8; N] {
    let part = header[at..].first_chunk();
    *part.expect("places of fields are constants within the header")
}

/// The stream of the Java library: a header of 16 bytes, and blocks behind their lengths. librdkafka writes one block
/// without any of it.
fn snappy(bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    const MAGIC: &[u8] = b"\x82SNAPPY\0";
    let block = |bytes: &[u8]| {
        let length = snap::raw::decompress_len(bytes).map_err(|_| Problem::Compression)?;
        if length > MOST_BYTES {
            return Err(Problem::Compression);
        }
        let decoded = snap::raw::Decoder::new().decompress_vec(bytes);
        decoded.map_err(|_| Problem::Compression)
    };
    let Some(blocks) = bytes.strip_prefix(MAGIC) else {
        return block(bytes);
    };
    let mut rest = Bytes(blocks);
    rest.take(8).map_err(|_| Problem::Compression)?; // versions
    let mut records = Vec::new();
    while !rest.0.is_empty() {
        let length = rest.take(4).map_err(|_| Problem::Compression)?;
        let length = length.try_into().map(u32::from_be_bytes);
        let length = length.expect("four were taken") as usize;
        let bytes = rest.take(length).map_err(|_| Problem::Compression)?;
        records.extend(block(bytes)?);
        if records.len() > MOST_BYTES {
            return Err(Problem::Compression);
        }
    }
    Ok(records)
}

/// Bytes of records that are read from the front.
struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], Problem> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Problem::Record)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number in zigzag, seven bits a byte.
    fn number(&mut self) -> Result<i64, Problem> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Problem::Record)
    }

    /// A length; `None`: there is no value.
    fn length(&mut self) -> Result<Option<usize>, Problem> {
        match self.number()? {
            -1 => Ok(None),
            length => usize::try_from(length)
                .map(Some)
                .map_err(|_| Problem::Record),
        }
    }
}

/// A partition, by its segments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Log {
    /// Offsets without a record, by the first of each part.
    odd: BTreeMap<i64, (i64, Class)>,
    /// Batches of transactions that were aborted; offsets in them may be odd too.
    aborted: BTreeMap<i64, i64>,
    /// The first offset of a transaction that has no end yet: readers of committed records get nothing from there on.
    open: Option<i64>,
}

impl Log {
    fn class(&self, offset: i64) -> Class {
        let odd = self.odd.range(..=offset).next_back();
        if let Some((_, (to, class))) = odd
            && offset < *to
        {
            return *class;
        }
        let aborted = self.aborted.range(..=offset).next_back();
        if aborted.is_some_and(|(_, to)| offset < *to) {
            return Class::Aborted;
        }
        // A record that weir should have been given, or one of which the files say nothing.
        Class::Unknown
    }

    fn mark(&mut self, gap: Gap, class: Class) {
        if gap.from < gap.to {
            self.odd.insert(gap.from, (gap.to, class));
        }
    }
}

/// Reads the batches of a partition one behind the other, and says at the end what their offsets are.
#[derive(Default)]
struct Scan {
    log: Log,
    /// Offsets of transactions without an end yet, by producer.
    open: HashMap<i64, Vec<Gap>>,
    /// The offset behind the last batch of this file.
    next: Option<i64>,
}

impl Scan {
    fn batch(&mut self, batch: &Batch) -> Result<(), Problem> {
        let own = Gap {
            from: batch.from,
            to: batch.to,
        };
        if let Some(next) = self.next {
            if own.from < next {
                return Err(Problem::Offsets);
            }
            // A broker numbers without holes: whole batches were compacted away.
            let hole = Gap {
                from: next,
                to: own.from,
            };
            self.log.mark(hole, Class::Compacted);
        }
        self.next = Some(own.to);
        if batch.is_control() {
            let open = self.open.remove(&batch.producer).unwrap_or_default();
            if batch.count > 0 && batch.commits()? == Some(false) {
                for gap in open {
                    self.log.aborted.insert(gap.from, gap.to);
                }
            }
            self.log.mark(own, Class::Marker);
            return Ok(());
        }
        if batch.is_transactional() {
            self.open.entry(batch.producer).or_default().push(own);
        }
        if !batch.is_whole() {
            let mut at = own.from;
            let mut holes = Vec::new();
            batch.records(|offset, _, _| {
                holes.push(Gap {
                    from: at,
                    to: offset,
                });
                at = offset + 1;
            })?;
            holes.push(Gap {
                from: at,
                to: own.to,
            });
            for hole in holes {
                self.log.mark(hole, Class::Compacted);
            }
        }
        Ok(())
    }

    fn close(mut self) -> Log {
        let open = self.open.values().flatten();
        self.log.open = open.map(|gap| gap.from).min();
        self.log
    }
}

/// The segments of a partition's folder, the oldest first.
fn segments(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::Read {
        file: folder.to_owned(),
        error,
    };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|own| own == "log") {
            files.push(path);
        }
    }
    // Their names are their first offsets, with leading zeros.
    files.sort();
    Ok(files)
}

/// Calls `each` with the batches of a segment. What a broker had not written to its end when the file was copied is left out.
fn batches(file: &Path, mut each: impl FnMut(&Batch) -> Result<(), Problem>) -> Result<(), Error> {
    let failed = |error| Error::Read {
        file: file.to_owned(),
        error,
    };
    let mut input = BufReader::new(File::open(file).map_err(failed)?);
    let mut bytes = Vec::new();
    let mut at = 0;
    loop {
        let damaged = |problem| Error::Damaged {
            file: file.to_owned(),
            at,
            problem,
        };
        bytes.clear();
        let mut front = (&mut input).take(UNCOUNTED as u64);
        front.read_to_end(&mut bytes).map_err(failed)?;
        // Room that was claimed in advance is zeros.
        if bytes.len() < UNCOUNTED || bytes.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let length = bytes[8..].try_into().map(i32::from_be_bytes);
        let length = usize::try_from(length.expect("twelve were read"));
        let length = length.ok().filter(|own| *own <= MOST_BYTES);
        let length = length.ok_or_else(|| damaged(Problem::Length))?;
        let mut rest = (&mut input).take(length as u64);
        if rest.read_to_end(&mut bytes).map_err(failed)? < length {
            return Ok(());
        }
        let batch = Batch::read(&bytes).map_err(damaged)?;
        each(&batch).map_err(damaged)?;
        at += bytes.len() as u64;
    }
}

fn scan(folder: &Path) -> Result<Log, Error> {
    let mut scan = Scan::default();
    for file in segments(folder)? {
        // Between two files nothing says why offsets are missing: one may not have been copied.
        scan.next = None;
        batches(&file, |batch| scan.batch(batch))?;
    }
    Ok(scan.close())
}

/// Calls `each` with the values of a partition's records, as a reader of committed records gets them.
///
/// # Errors
/// The files can't be read, or are damaged.
pub fn committed_values(folder: &Path, mut each: impl FnMut(&[u8])) -> Result<(), Error> {
    let log = scan(folder)?;
    for file in segments(folder)? {
        batches(&file, |batch| {
            if batch.is_control() || batch.count == 0 {
                return Ok(());
            }
            batch.records(|offset, _, value| {
                let is_open = log.open.is_some_and(|open| open <= offset);
                if !is_open && log.class(offset) == Class::Unknown {
                    each(value.unwrap_or_default());
                }
            })
        })?;
    }
    Ok(())
}

/// The source as a copy of a broker's data folder, with a folder TOPIC-PARTITION for each partition.
pub struct Segments {
    folder: PathBuf,
    logs: BTreeMap<Partition, Log>,
}

impl Segments {
    /// What stands in `folder`. Nothing is read yet.
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            logs: BTreeMap::new(),
        }
    }

    fn log(&mut self, of: &Partition) -> Result<&Log, Error> {
        if !self.logs.contains_key(of) {
            let name = format!("{}-{}", of.topic, of.number);
            let own = self.folder.join(&name);
            if !own.is_dir() {
                return Err(Error::NoPartition {
                    folder: self.folder.clone(),
                    partition: name,
                });
            }
            self.logs.insert(of.clone(), scan(&own)?);
        }
        Ok(&self.logs[of])
    }
}

impl Source for Segments {
    type Error = Error;

    const KNOWS_ENDS: bool = false;

    fn committed(&mut self) -> Result<BTreeMap<Partition, (i64, Committed)>, Error> {
        Ok(BTreeMap::new())
    }

    fn explain(&mut self, of: &Partition, gap: Gap) -> Result<Vec<(Gap, Class)>, Error> {
        let log = self.log(of)?;
        Ok(gap.parts(|offset| log.class(offset)))
    }
}

#[cfg(test)]
mod tests;
