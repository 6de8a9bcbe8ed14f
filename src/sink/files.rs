//! The files of one partition, gathered in memory until they are written.

use std::io;

use async_compression::tokio::write::{GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use futures::FutureExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use sha2::{Digest as _, Sha256};

use super::{
    kafka::{Delivery, audited, opening},
    on_one_line,
};
use crate::{
    kafka::Partition,
    record::{
        Redacted,
        audit::{Begin, Delivery as Promise, DigestKey, GENESIS, Head, Reason},
        commit::{AUDIT, segment},
    },
    store::Compression,
};

/// Lines that are put aside before a compressor is made.
///
/// Fewer: a compressor's own memory for every few dead letters. More: text lies in memory as it is.
const LINES_AS_THEY_ARE: usize = 128 << 10;

/// What a compressor takes beside its output, rounded up: zlib's 32 KiB window and its tables, and
/// zstd's at level 3 (2 MiB window) with its buffers.
const GZIP_BYTES: usize = 512 << 10;
const ZSTD_BYTES: usize = 4 << 20;

/// Digits of a file's digest in its name: 64 bits tell one attempt's bytes from another's.
const DIGITS: usize = 16;

/// Records of one partition, in the order of their offsets.
pub struct FileSet {
    first: i64,
    next: i64,
    gap_from: Option<i64>,
    entities: Lines,
    redactions: Lines,
    dead_letters: Lines,
    documents: u64,
    letters: u64,
    /// Bytes of the source's records.
    received: u64,
    trail: Option<Trail>,
}

/// The audit records of a set: a chain of their own, whose end is in the commit record.
struct Trail {
    key: DigestKey,
    lines: Lines,
    head: Head,
}

/// Files that are complete and have their names.
#[derive(Debug)]
pub struct Sealed {
    pub(super) first: i64,
    pub(super) next: i64,
    pub(super) gap_from: Option<i64>,
    pub(super) files: Vec<SealedFile>,
    /// The end of the audit file's chain.
    pub(super) audit: Option<Head>,
    /// Records that became documents.
    pub documents: u64,
    /// Records that became dead letters.
    pub dead_letters: u64,
}

/// One of them.
pub(super) struct SealedFile {
    pub(super) kind: &'static str,
    pub(super) bytes: Bytes,
    pub(super) records: u64,
    pub(super) digest: String,
    pub(super) sha256: Option<String>,
    extension: &'static str,
}

impl std::fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} bytes", self.kind, self.bytes.len())
    }
}

impl FileSet {
    /// Begins with the record at `first`; offsets from `gap_from` on were passed over.
    pub fn new(first: i64, gap_from: Option<i64>, compression: Option<Compression>) -> Self {
        Self {
            first,
            next: first,
            gap_from,
            entities: Lines::new(compression),
            redactions: Lines::new(compression),
            // Read by people, and few.
            dead_letters: Lines::new(None),
            documents: 0,
            letters: 0,
            received: 0,
            trail: None,
        }
    }

    /// Writes audit records too, which answer for the offsets of a partition from `from` on.
    pub fn audit(&mut self, key: &DigestKey, group: &str, partition: &Partition, from: i64) {
        let begin = Begin {
            reason: Reason::New,
            delivery: Promise::ExactlyOnce,
            group: group.to_owned(),
            cluster: None,
            log_start: from,
            from,
            weir_version: crate::VERSION.to_owned(),
        };
        let first = opening(partition, begin, key).opened(1, GENESIS);
        let mut lines = Lines::new(self.entities.compression);
        lines.add(first.json);
        self.trail = Some(Trail {
            key: key.clone(),
            lines,
            head: first.head,
        });
    }

    /// Adds what became of a record.
    pub fn add(&mut self, delivery: &Delivery) {
        debug_assert!(delivery.envelope.offset >= self.next);
        self.next = delivery.envelope.offset + 1;
        self.received += delivery.envelope.bytes;
        if let Some(trail) = &mut self.trail {
            let offset = delivery.envelope.offset;
            let event = audited(delivery, &trail.key).chained(&trail.head, offset);
            trail.lines.add(event.json);
            trail.head = event.head;
        }
        let done = match &delivery.outcome {
            Ok(done) => done,
            Err(letter) => {
                self.letters += 1;
                let line = serde_json::to_vec(letter).expect("a dead letter is JSON");
                return self.dead_letters.add(line);
            }
        };
        self.documents += 1;
        let entities = serde_json::to_vec(&done.entities).expect("entities are JSON");
        self.entities.add(entities);
        self.redactions.add(match &done.redacted {
            Redacted::Record(record) => on_one_line(record),
            other => other.bytes().into_owned(),
        });
    }

    /// Records in it.
    pub fn records(&self) -> u64 {
        self.documents + self.letters
    }

    /// Bytes of the source's records in it.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that it takes in memory.
    pub fn memory(&self) -> u64 {
        let kinds = [&self.entities, &self.redactions, &self.dead_letters];
        let trail = self.trail.as_ref().map(|trail| &trail.lines);
        let all = kinds.into_iter().chain(trail);
        all.map(|lines| lines.memory() as u64).sum()
    }

    /// Completes the files.
    pub fn seal(self) -> Sealed {
        let (trail, audit) = match self.trail {
            Some(trail) => (Some((AUDIT, trail.lines)), Some(trail.head)),
            None => (None, None),
        };
        let files = [
            ("entities", self.entities),
            ("redactions", self.redactions),
            ("dead_letters", self.dead_letters),
        ];
        let files = files.into_iter().chain(trail);
        let files = files.filter(|(_, lines)| lines.records > 0);
        Sealed {
            first: self.first,
            next: self.next,
            gap_from: self.gap_from,
            files: files
                .map(|(kind, lines)| lines.seal(kind, audit.is_some()))
                .collect(),
            audit,
            documents: self.documents,
            dead_letters: self.letters,
        }
    }
}

impl Sealed {
    /// Bytes that it takes in memory.
    pub fn memory(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.len() as u64).sum()
    }
}

impl SealedFile {
    /// `KIND/TOPIC/PARTITION/FIRST-LAST-DIGEST.jsonl`: never from the clock (design 5). The digest is
    /// of the bytes: two attempts at the same offsets may differ, as when a model failed in one of
    /// them, and a worker that lost its partition must not replace what another has committed.
    pub(super) fn path(&self, (topic, partition): &Partition, set: &Sealed) -> String {
        format!(
            "{}/{}/{partition}/{:020}-{:020}-{}.{}",
            self.kind,
            segment(topic),
            set.first,
            set.next - 1,
            &self.digest[..DIGITS],
            self.extension
        )
    }
}

/// Lines of one kind.
struct Lines {
    compression: Option<Compression>,
    /// Not compressed yet, or for good.
    plain: Vec<u8>,
    packed: Option<Packed>,
    records: u64,
}

enum Packed {
    Gzip(GzipEncoder<Vec<u8>>),
    Zstd(ZstdEncoder<Vec<u8>>),
}

impl Lines {
    fn new(compression: Option<Compression>) -> Self {
        Self {
            compression,
            plain: Vec::new(),
            packed: None,
            records: 0,
        }
    }

    fn add(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        self.records += 1;
        if let Some(packed) = &mut self.packed {
            return packed.write(&line);
        }
        self.plain.extend_from_slice(&line);
        if self.plain.len() > LINES_AS_THEY_ARE {
            self.pack();
        }
    }

    fn pack(&mut self) {
        let mut packed = match (&self.packed, self.compression) {
            (None, Some(Compression::Gzip)) => Packed::Gzip(GzipEncoder::new(Vec::new())),
            (None, Some(Compression::Zstd)) => Packed::Zstd(ZstdEncoder::new(Vec::new())),
            _ => return,
        };
        packed.write(&std::mem::take(&mut self.plain));
        self.packed = Some(packed);
    }

    fn memory(&self) -> usize {
        let packed = match &self.packed {
            None => 0,
            Some(Packed::Gzip(encoder)) => GZIP_BYTES + encoder.get_ref().capacity(),
            Some(Packed::Zstd(encoder)) => ZSTD_BYTES + encoder.get_ref().capacity(),
        };
        packed + self.plain.capacity()
    }

    fn seal(mut self, kind: &'static str, is_audited: bool) -> SealedFile {
        self.pack();
        let (bytes, extension) = match self.packed {
            None => (self.plain, "jsonl"),
            Some(packed @ Packed::Gzip(_)) => (packed.finish(), "jsonl.gz"),
            Some(packed @ Packed::Zstd(_)) => (packed.finish(), "jsonl.zst"),
        };
        SealedFile {
            kind,
            digest: blake3::hash(&bytes).to_hex().to_string(),
            sha256: is_audited.then(|| hex::encode(Sha256::digest(&bytes))),
            bytes: bytes.into(),
            records: self.records,
            extension,
        }
    }
}

impl Packed {
    fn writer(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        match self {
            Self::Gzip(encoder) => encoder,
            Self::Zstd(encoder) => encoder,
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        at_once(self.writer().write_all(bytes));
    }

    fn finish(mut self) -> Vec<u8> {
        at_once(self.writer().shutdown());
        match self {
            Self::Gzip(encoder) => encoder.into_inner(),
            Self::Zstd(encoder) => encoder.into_inner(),
        }
    }
}

fn at_once(writing: impl Future<Output = io::Result<()>>) {
    let written = writing.now_or_never().expect("a vector never waits");
    written.expect("a vector takes everything");
}
