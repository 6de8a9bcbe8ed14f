//! The files of one source object.

use std::sync::Arc;

use object_store::{ObjectStore, path::Path};

use super::{
    Claim, Error, Redactions, on_one_line,
    summed::Sum,
    table::{EntityRows, RecordRows, Rows as _, TableWriter},
    trail::Trail,
    writer::{Place, Writer},
};
use crate::{
    record::{
        Audit, Code, DeadLetter, Done, Position, Redacted, Stage,
        audit::{About, DigestKey},
        commit::{AUDIT, File},
    },
    source::Table,
    store::{Compression, Format},
};

/// Entities that are put into one Parquet batch.
const ROWS_A_BATCH: usize = 1024;

/// The output of one object: nothing of it is visible before it is committed, and all of it after.
pub struct Output {
    claim: Claim,
    entities: Option<Entities>,
    redactions: Option<RedactionFile>,
    dead_letters: Option<Writer>,
    /// Where the object is audited, once something is known of it.
    trail: Option<Trail>,
    pub(super) documents: u64,
    letters: u64,
}

pub(super) enum Entities {
    Lines(Writer),
    Rows(TableWriter, EntityRows),
}

enum RedactionFile {
    Lines(Writer),
    Copy(TableWriter),
    Rows(TableWriter, RecordRows),
}

/// A file that is complete and visible.
pub(super) struct Finished {
    pub(super) kind: &'static str,
    pub(super) path: Path,
    pub(super) records: u64,
    pub(super) sum: Option<Sum>,
}

/// What was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Files, by path below the sink's URL.
    pub outputs: Vec<String>,
    /// Documents delivered.
    pub documents: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// The dead letter of an object whose copy could not be ended: nothing else of it was committed.
    pub unwritable: Option<DeadLetter>,
}

/// The dead letter of what has no form in the output.
pub fn unwritable(source: Position, reason: String) -> DeadLetter {
    DeadLetter {
        source,
        tenant: None,
        document_id: None,
        stage: Stage::Sink,
        code: Code::Unwritable,
        reason,
        attempts: 1,
    }
}

impl Output {
    pub(super) fn new(claim: Claim) -> Self {
        sweep(&claim);
        Self {
            claim,
            entities: None,
            redactions: None,
            dead_letters: None,
            trail: None,
            documents: 0,
            letters: 0,
        }
    }

    /// Key of the digests in audit records; none where the object is not audited.
    pub fn digest_key(&self) -> Option<&DigestKey> {
        self.claim.ledger().digest_key()
    }

    /// Adds the audit record of a document or of a dead letter that was added just now. The object has to be audited.
    pub async fn audited(&mut self, event: Audit) -> Result<(), Error> {
        self.trail().await?.add(event).await
    }

    pub(super) async fn trail(&mut self) -> Result<&mut Trail, Error> {
        if self.trail.is_none() {
            let key = self.digest_key().expect("the object is audited").clone();
            let writer = self.lines(AUDIT, "jsonl");
            let object = self.claim.object().position(None);
            let configuration = self.claim.ledger().configuration();
            self.trail = Some(Trail::begin(writer, object, configuration, &key).await?);
        }
        Ok(self.trail.as_mut().expect("made above"))
    }

    /// Adds a document. A text goes out with the end that its line has.
    pub async fn document(&mut self, done: Box<Done>, line_end: &str) -> Result<(), Error> {
        let Done {
            entities, redacted, ..
        } = *done;
        self.documents += 1;
        match redacted {
            Redacted::Text(mut text) => {
                text.push_str(line_end);
                self.redaction_lines("log")
                    .await?
                    .write(text.as_bytes())
                    .await?;
            }
            Redacted::Record(record)
                if self.claim.ledger().formats().redactions != Redactions::Parquet =>
            {
                let mut line = on_one_line(&record);
                line.push(b'\n');
                self.redaction_lines("jsonl").await?.write(&line).await?;
            }
            Redacted::Record(record) => {
                self.redaction_row(&entities.document_id, &entities.tenant, record)
                    .await?
            }
            Redacted::Row(_) => {
                return Err(self.table_error("a row came without its table".to_owned()));
            }
        }
        self.entities(&entities).await
    }

    /// There is no table in a build that reads none.
    #[cfg(not(feature = "tables"))]
    pub async fn table(
        &mut self,
        table: &Table,
        _: &[Option<Box<Done>>],
    ) -> Result<Vec<(usize, String)>, Error> {
        table.never()
    }

    /// Adds the rows of a table; those without a document are left out of the copy (I6). Gives back the
    /// rows that could not be written, with the reason: nothing of them is in any file.
    #[cfg(feature = "tables")]
    pub async fn table(
        &mut self,
        table: &Table,
        rows: &[Option<Box<Done>>],
    ) -> Result<Vec<(usize, String)>, Error> {
        let kept: Vec<bool> = rows.iter().map(Option::is_some).collect();
        let mut cells: Vec<Vec<Option<String>>> = Vec::new();
        for done in rows.iter().flatten() {
            match &done.redacted {
                Redacted::Row(row) => cells.push(row.clone()),
                _ => return Err(self.table_error("a row came out in another shape".to_owned())),
            }
        }
        let ids: Vec<&str> = rows
            .iter()
            .flatten()
            .map(|done| done.entities.document_id.as_str())
            .collect();
        let batch = super::table::redacted(table, &kept, cells, &ids)
            .map_err(|problem| self.table_error(problem))?;
        let mut unwritten = Vec::new();
        if self.claim.ledger().formats().redactions == Redactions::JsonLines {
            let lines =
                super::table::json_lines(&batch).map_err(|problem| self.table_error(problem))?;
            let mut written = Vec::new();
            let numbers = (0..rows.len()).filter(|row| kept[*row]);
            for (row, line) in numbers.zip(lines.rows) {
                match line {
                    Ok(line) => written.extend(line),
                    Err(reason) => unwritten.push((row, reason)),
                }
            }
            self.redaction_lines("jsonl").await?.write(&written).await?;
        } else {
            if self.redactions.is_none() {
                let digests = rows.iter().flatten().last();
                let digests = digests.map(|done| &done.entities.digests);
                let (extension, compress) = super::table::extension(&table.layout.format);
                let path = self.path("redactions", extension, compress);
                let writer = TableWriter::copy(self.to(path), &table.layout, digests);
                self.redactions = Some(RedactionFile::Copy(
                    writer.map_err(|problem| self.table_error(problem))?,
                ));
            }
            let Some(RedactionFile::Copy(writer)) = &mut self.redactions else {
                return Ok(unwritten);
            };
            writer.write(&batch).await?;
        }
        for (row, done) in rows.iter().enumerate() {
            let Some(done) = done else { continue };
            if unwritten.iter().all(|(other, _)| *other != row) {
                self.documents += 1;
                self.entities(&done.entities).await?;
            }
        }
        Ok(unwritten)
    }

    /// Adds a dead letter.
    pub async fn dead_letter(&mut self, letter: &DeadLetter) -> Result<(), Error> {
        if self.dead_letters.is_none() {
            let path = self.path("dead_letters", "jsonl", None);
            let sums = self.digest_key().is_some();
            self.dead_letters = Some(Writer::new(&self.store(), path, None, sums));
        }
        self.letters += 1;
        let mut line = serde_json::to_vec(letter).expect("a dead letter is JSON");
        line.push(b'\n');
        self.dead_letters
            .as_mut()
            .expect("made above")
            .write(&line)
            .await
    }

    /// Drops everything but dead letters: a text that fails midway leaves nothing behind (I6).
    pub async fn withdraw(&mut self) -> Result<(), Error> {
        self.drop_documents().await;
        // Their audit records are of no document any more; those of the dead letters begin another file.
        if let Some(trail) = self.trail.take() {
            for event in trail.withdraw().await {
                self.audited(event).await?;
            }
        }
        Ok(())
    }

    async fn drop_documents(&mut self) {
        self.documents = 0;
        match self.entities.take() {
            Some(Entities::Lines(writer)) => writer.abort().await,
            Some(Entities::Rows(writer, _)) => writer.abort().await,
            None => {}
        }
        match self.redactions.take() {
            Some(RedactionFile::Lines(writer)) => writer.abort().await,
            Some(RedactionFile::Copy(writer) | RedactionFile::Rows(writer, _)) => {
                writer.abort().await;
            }
            None => {}
        }
    }

    /// Makes the files visible and the object done. Fails with [`Error::Lost`] if another worker has
    /// taken it over.
    pub async fn commit(mut self) -> Result<Committed, Error> {
        if let Err(error) = self.claim.still_ours().await {
            // The object is another worker's now: no upload of this one may stay behind.
            self.abort().await;
            return Err(error);
        }
        // First of all: it is the one that can fail for what the object holds.
        let (redactions, unwritable) = match self.finish_redactions().await {
            Ok(file) => (file, None),
            Err(Error::Table { problem, .. }) => (None, Some(self.unwritable(&problem).await?)),
            Err(error) => return Err(error),
        };
        let entities = self.finish_entities().await?;
        let mut dead_letters = None;
        if let Some(mut writer) = self.dead_letters.take() {
            writer.finish().await?;
            dead_letters = Some((writer.path(), writer.sum()));
        }
        let (documents, letters) = (self.documents, self.letters);
        let kinds = [
            ("entities", entities, documents),
            ("redactions", redactions, documents),
            ("dead_letters", dead_letters, letters),
        ];
        let mut finished = Vec::with_capacity(kinds.len() + 1);
        for (kind, file, records) in kinds {
            let Some((path, sum)) = file else { continue };
            finished.push(Finished {
                kind,
                path,
                records,
                sum,
            });
        }
        let mut head = None;
        if self.digest_key().is_some() {
            // An object of no document has a file that says so.
            self.trail().await?;
            if let Some(trail) = self.trail.take() {
                let (file, end) = trail.finish().await?;
                finished.push(file);
                head = Some(end);
            }
        }
        let files = self.files(&finished);
        let outputs: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        self.claim
            .commit(files, head.as_ref(), documents, letters)
            .await?;
        Ok(Committed {
            outputs,
            documents,
            dead_letters: letters,
            unwritable,
        })
    }

    fn files(&self, finished: &[Finished]) -> Vec<File> {
        let location = self.claim.ledger().location();
        let files = finished.iter().map(|file| File {
            kind: file.kind.to_owned(),
            path: location.relative(&file.path).to_owned(),
            records: file.records,
            bytes: file.sum.as_ref().map_or(0, |sum| sum.bytes),
            digest: String::new(),
            sha256: file.sum.as_ref().map(|sum| sum.sha256.clone()),
        });
        files.collect()
    }

    /// Leaves nothing of an object whose copy cannot be ended but a dead letter.
    async fn unwritable(&mut self, problem: &str) -> Result<DeadLetter, Error> {
        self.withdraw().await?;
        let reason = format!("the object cannot be written ({problem})");
        let letter = unwritable(self.claim.object().position(None), reason);
        self.dead_letter(&letter).await?;
        if let Some(key) = self.digest_key() {
            let (source, about) = (letter.source.clone(), About::default());
            let event = Audit::event(source, Err(&letter), about, key);
            self.audited(event).await?;
        }
        Ok(letter)
    }

    async fn finish_entities(&mut self) -> Result<Option<(Path, Option<Sum>)>, Error> {
        Ok(match self.entities.take() {
            Some(Entities::Lines(mut writer)) => {
                writer.finish().await?;
                Some((writer.path(), writer.sum()))
            }
            Some(Entities::Rows(mut writer, mut rows)) => {
                writer.write_rows(&mut rows).await?;
                Some(writer.finish().await?)
            }
            None => None,
        })
    }

    async fn finish_redactions(&mut self) -> Result<Option<(Path, Option<Sum>)>, Error> {
        Ok(match self.redactions.take() {
            Some(RedactionFile::Lines(mut writer)) => {
                writer.finish().await?;
                Some((writer.path(), writer.sum()))
            }
            Some(RedactionFile::Copy(writer)) => Some(writer.finish().await?),
            Some(RedactionFile::Rows(mut writer, mut rows)) => {
                writer.write_rows(&mut rows).await?;
                Some(writer.finish().await?)
            }
            None => None,
        })
    }

    /// Gives the object back: nothing of it becomes visible.
    pub async fn discard(mut self) {
        self.abort().await;
        self.claim.release().await;
    }

    async fn abort(&mut self) {
        self.drop_documents().await;
        if let Some(writer) = self.dead_letters.take() {
            writer.abort().await;
        }
        if let Some(trail) = self.trail.take() {
            trail.withdraw().await;
        }
    }

    pub(super) fn has_entity_rows(&self) -> bool {
        self.claim.ledger().formats().entities_as_parquet
    }

    /// The file of the entities, which is made if it is not there.
    pub(super) fn entity_file(&mut self) -> Result<Option<&mut Entities>, Error> {
        if self.entities.is_none() {
            self.entities = Some(if self.has_entity_rows() {
                let path = self.path("entities", "parquet", None);
                let rows = EntityRows::default();
                let writer = TableWriter::parquet(self.to(path), rows.schema());
                Entities::Rows(writer.map_err(|problem| self.table_error(problem))?, rows)
            } else {
                Entities::Lines(self.lines("entities", "jsonl"))
            });
        }
        Ok(self.entities.as_mut())
    }

    pub(super) async fn entities(&mut self, record: &crate::record::Entities) -> Result<(), Error> {
        match self.entity_file()? {
            Some(Entities::Lines(writer)) => {
                let mut line = serde_json::to_vec(record).expect("entities are JSON");
                line.push(b'\n');
                writer.write(&line).await
            }
            Some(Entities::Rows(writer, rows)) => {
                rows.push(record);
                if rows.len() >= ROWS_A_BATCH {
                    writer.write_rows(rows).await?;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    async fn redaction_row(
        &mut self,
        id: &str,
        tenant: &str,
        record: Vec<u8>,
    ) -> Result<(), Error> {
        if self.redactions.is_none() {
            let path = self.path("redactions", "parquet", None);
            let rows = RecordRows::default();
            let writer = TableWriter::parquet(self.to(path), rows.schema());
            self.redactions = Some(RedactionFile::Rows(
                writer.map_err(|problem| self.table_error(problem))?,
                rows,
            ));
        }
        let Some(RedactionFile::Rows(writer, rows)) = &mut self.redactions else {
            return Ok(());
        };
        rows.push(id, tenant, record);
        if rows.len() >= ROWS_A_BATCH {
            writer.write_rows(rows).await?;
        }
        Ok(())
    }

    pub(super) async fn redaction_lines(&mut self, extension: &str) -> Result<&mut Writer, Error> {
        if self.redactions.is_none() {
            let extension = match extension {
                // Text keeps the extension it came with.
                "log" if self.claim.object().format == Format::Text => "txt",
                extension => extension,
            };
            self.redactions = Some(RedactionFile::Lines(self.lines("redactions", extension)));
        }
        match &mut self.redactions {
            Some(RedactionFile::Lines(writer)) => Ok(writer),
            _ => unreachable!("the units of one object are of one format"),
        }
    }

    fn lines(&self, kind: &str, extension: &str) -> Writer {
        let object = self.claim.object();
        let compression = self
            .claim
            .ledger()
            .formats()
            .compression
            .or(object.compression);
        Writer::new(
            &self.store(),
            self.path(kind, extension, compression),
            compression,
            self.digest_key().is_some(),
        )
    }

    /// A place for a table.
    fn to(&self, path: Path) -> Place {
        Place {
            store: self.store(),
            path,
            sums: self.digest_key().is_some(),
        }
    }

    /// `KIND/PATH-DIGEST.EXTENSION`: never from the clock (design 5).
    fn path(&self, kind: &str, extension: &str, compression: Option<Compression>) -> Path {
        let stem = stem(&self.claim);
        let packed = match compression {
            None => "",
            Some(Compression::Gzip) => ".gz",
            Some(Compression::Zstd) => ".zst",
        };
        let digest = self.claim.digest();
        self.claim
            .ledger()
            .location()
            .path(&format!("{kind}/{stem}-{digest}.{extension}{packed}"))
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        self.claim.ledger().location().store().clone()
    }

    fn table_error(&self, problem: String) -> Error {
        Error::Table {
            at: self.claim.object().path.clone(),
            problem,
        }
    }
}

/// Bytes of one name, as most file systems take it (`NAME_MAX` is 255), less what stands behind an
/// object's name: digest, extensions, and object_store's `#1` of an unfinished file.
const NAME_BYTES: usize = 200;

/// Bytes of a path, as S3 takes it (1024), less what stands before and behind.
const PATH_BYTES: usize = 800;

/// The path of an object without its extensions, short enough to be a part of an output's path.
fn stem(claim: &Claim) -> String {
    let path = &claim.object().path;
    let stem = Format::of(path).map_or(path.as_str(), |(_, _, stem)| stem);
    shortened(stem)
}

/// What is too long ends in a digest of the whole instead.
fn shortened(path: &str) -> String {
    let names: Vec<_> = path
        .split('/')
        .map(|name| short(name, NAME_BYTES))
        .collect();
    short(&names.join("/"), PATH_BYTES)
}

fn short(name: &str, bytes: usize) -> String {
    const DIGITS: usize = 16;
    if name.len() <= bytes {
        return name.to_owned();
    }
    let digest = blake3::hash(name.as_bytes()).to_hex();
    let kept = &name[..name.floor_char_boundary(bytes - DIGITS - 1)];
    // Not a folder of the digest alone.
    let kept = kept.trim_end_matches('/');
    format!("{kept}-{}", &digest[..DIGITS])
}

/// Removes what a killed worker left unfinished of this object in a local folder: object_store writes
/// `NAME#1` and renames it at the end.
fn sweep(claim: &Claim) {
    let Some(folder) = claim.ledger().location().folder() else {
        return;
    };
    let wanted = format!("{}-{}.", stem(claim), claim.digest());
    for kind in ["entities", "redactions", "dead_letters", AUDIT] {
        let wanted = folder.join(kind).join(&wanted);
        let (Some(parent), Some(name)) = (wanted.parent(), wanted.file_name()) else {
            continue;
        };
        let Ok(entries) = std::fs::read_dir(parent) else {
            continue;
        };
        for entry in entries.flatten() {
            let found = entry.file_name().to_string_lossy().into_owned();
            if found.starts_with(&*name.to_string_lossy()) && found.contains('#') {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_shortened_to_one_of_its_own_and_a_short_one_stays() {
        assert_eq!(shortened("a/b c/d"), "a/b c/d");
        let long = "é".repeat(120);
        let other = format!("{long}x");
        let (first, second) = (
            shortened(&format!("in/{long}")),
            shortened(&format!("in/{other}")),
        );
        assert_ne!(first, second);
        for name in [&first, &second] {
            assert!(name.starts_with("in/éé") && name.len() <= 203, "{name}");
        }
        let deep = vec!["d".repeat(150); 7].join("/");
        let path = shortened(&deep);
        assert!(path.len() <= PATH_BYTES && !path.contains("//"), "{path}");
        assert_ne!(path, shortened(&format!("{deep}/e")));
    }
}
