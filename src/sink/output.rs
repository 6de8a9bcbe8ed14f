//! The files of one source object.

use std::{
    io::{Read, Seek, SeekFrom, Write},
    sync::Arc,
};

use object_store::{ObjectStore, path::Path};
use tempfile::SpooledTempFile;

use super::{
    Claim, Error, Redactions, on_one_line,
    table::{EntityRows, RecordRows, Rows as _, TableWriter},
    writer::Writer,
};
use crate::{
    record::{
        Change, Code, DeadLetter, Digests, Done, Entity, Position, Redacted, Stage, json::quoted,
    },
    source::Table,
    store::{Compression, Format},
};

/// Entities that are put into one Parquet batch.
const ROWS_A_BATCH: usize = 1024;

/// What a streamed text's entities and changes may take of memory before they go to a file.
const SPOOL_BYTES: usize = 4 << 20;

/// The output of one object: nothing of it is visible before it is committed, and all of it after.
pub struct Output {
    claim: Claim,
    entities: Option<Entities>,
    redactions: Option<RedactionFile>,
    dead_letters: Option<Writer>,
    documents: u64,
    letters: u64,
}

enum Entities {
    Lines(Writer),
    Rows(TableWriter, EntityRows),
}

enum RedactionFile {
    Lines(Writer),
    Copy(TableWriter),
    Rows(TableWriter, RecordRows),
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
            documents: 0,
            letters: 0,
        }
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
                let writer = TableWriter::copy(self.store(), path, &table.layout, digests);
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
            self.dead_letters = Some(Writer::new(&self.store(), path, None));
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

    /// Begins a text that is written piece by piece. `as_text`: without offsets and digests around.
    pub async fn stream(
        &mut self,
        stream: StreamStart<'_>,
        as_text: bool,
    ) -> Result<StreamOutput<'_>, Error> {
        let lines = self
            .redaction_lines(if as_text { "txt" } else { "jsonl" })
            .await?;
        if !as_text {
            let head = format!(
                "{{\"id\":{},\"tenant\":{},\"text\":\"",
                quoted(stream.id),
                quoted(stream.tenant)
            );
            lines.write(head.as_bytes()).await?;
        }
        let (id, tenant, position) = (
            stream.id.to_owned(),
            stream.tenant.to_owned(),
            stream.position.clone(),
        );
        let entities = SpooledTempFile::new(SPOOL_BYTES);
        let changes = SpooledTempFile::new(SPOOL_BYTES);
        Ok(StreamOutput {
            output: self,
            as_text,
            id,
            tenant,
            position,
            entities,
            changes,
            any_entity: false,
            any_change: false,
        })
    }

    /// Drops everything but dead letters: a text that fails midway leaves nothing behind (I6).
    pub async fn withdraw(&mut self) {
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
            self.withdraw().await;
            if let Some(writer) = self.dead_letters.take() {
                writer.abort().await;
            }
            return Err(error);
        }
        // First of all: it is the one that can fail for what the object holds.
        let (redactions, unwritable) = match self.finish_redactions().await {
            Ok(path) => (path, None),
            Err(Error::Table { problem, .. }) => {
                self.withdraw().await;
                let reason = format!("the object cannot be written ({problem})");
                let letter = unwritable(self.claim.object().position(None), reason);
                self.dead_letter(&letter).await?;
                (None, Some(letter))
            }
            Err(error) => return Err(error),
        };
        let entities = match self.entities.take() {
            Some(Entities::Lines(mut writer)) => {
                writer.finish().await?;
                Some(writer.path())
            }
            Some(Entities::Rows(mut writer, mut rows)) => {
                writer.write_rows(&mut rows).await?;
                Some(writer.finish().await?)
            }
            None => None,
        };
        let mut dead_letters = None;
        if let Some(mut writer) = self.dead_letters.take() {
            writer.finish().await?;
            dead_letters = Some(writer.path());
        }
        let location = self.claim.ledger().location();
        let outputs: Vec<String> = [entities, redactions, dead_letters]
            .iter()
            .flatten()
            .map(|path| location.relative(path).to_owned())
            .collect();
        self.claim
            .commit(outputs.clone(), self.documents, self.letters)
            .await?;
        Ok(Committed {
            outputs,
            documents: self.documents,
            dead_letters: self.letters,
            unwritable,
        })
    }

    async fn finish_redactions(&mut self) -> Result<Option<Path>, Error> {
        Ok(match self.redactions.take() {
            Some(RedactionFile::Lines(mut writer)) => {
                writer.finish().await?;
                Some(writer.path())
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
        self.withdraw().await;
        if let Some(writer) = self.dead_letters.take() {
            writer.abort().await;
        }
        self.claim.release().await;
    }

    async fn entities(&mut self, record: &crate::record::Entities) -> Result<(), Error> {
        if self.entities.is_none() {
            self.entities = Some(if self.claim.ledger().formats().entities_as_parquet {
                let path = self.path("entities", "parquet", None);
                let rows = EntityRows::default();
                let writer = TableWriter::parquet(self.store(), path, rows.schema());
                Entities::Rows(writer.map_err(|problem| self.table_error(problem))?, rows)
            } else {
                Entities::Lines(self.lines("entities", "jsonl"))
            });
        }
        match self.entities.as_mut().expect("made above") {
            Entities::Lines(writer) => {
                let mut line = serde_json::to_vec(record).expect("entities are JSON");
                line.push(b'\n');
                writer.write(&line).await
            }
            Entities::Rows(writer, rows) => {
                rows.push(record);
                if rows.len() >= ROWS_A_BATCH {
                    writer.write_rows(rows).await?;
                }
                Ok(())
            }
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
            let writer = TableWriter::parquet(self.store(), path, rows.schema());
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

    async fn redaction_lines(&mut self, extension: &str) -> Result<&mut Writer, Error> {
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
        )
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
    for kind in ["entities", "redactions", "dead_letters"] {
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

/// A text that begins.
pub struct StreamStart<'a> {
    /// Id of the document.
    pub id: &'a str,
    /// Tenant whose policy is used.
    pub tenant: &'a str,
    /// The object.
    pub position: &'a Position,
}

/// A text that is written piece by piece. Entities and changes wait in a temporary file.
pub struct StreamOutput<'a> {
    output: &'a mut Output,
    as_text: bool,
    id: String,
    tenant: String,
    position: Position,
    entities: SpooledTempFile,
    changes: SpooledTempFile,
    any_entity: bool,
    any_change: bool,
}

impl StreamOutput<'_> {
    /// Adds redacted text and what was found in it.
    pub async fn piece(
        &mut self,
        redacted: &str,
        entities: &[Entity],
        changes: &[Change],
    ) -> Result<(), Error> {
        for entity in entities {
            spool(&mut self.entities, entity, &mut self.any_entity)?;
        }
        for change in changes.iter().filter(|_| !self.as_text) {
            spool(&mut self.changes, change, &mut self.any_change)?;
        }
        let lines = self.output.redaction_lines("jsonl").await?;
        if self.as_text {
            return lines.write(redacted.as_bytes()).await;
        }
        let literal = quoted(redacted);
        lines.write(&literal.as_bytes()[1..literal.len() - 1]).await
    }

    /// Ends the text.
    pub async fn finish(
        mut self,
        digests: &Digests,
        tokens: u64,
        windows: u64,
    ) -> Result<(), Error> {
        let made_by = serde_json::to_string(digests).expect("strings are JSON");
        // The digests' members, without their braces.
        let made_by = &made_by[1..made_by.len() - 1];
        if !self.as_text {
            let lines = self.output.redaction_lines("jsonl").await?;
            lines.write(b"\",\"redactions\":[").await?;
            copy(&mut self.changes, lines).await?;
            lines.write(format!("],{made_by}}}\n").as_bytes()).await?;
        }
        self.output.documents += 1;
        let source = serde_json::to_string(&self.position).expect("a position is JSON");
        let head = format!(
            "{{\"document_id\":{},\"tenant\":{},\"source\":{source},\"entities\":[",
            quoted(&self.id),
            quoted(&self.tenant)
        );
        let tail = format!("],{made_by},\"tokens\":{tokens},\"windows\":{windows}}}\n");
        if self.output.claim.ledger().formats().entities_as_parquet {
            // A Parquet row is written as a whole, so here the entities have to fit into memory.
            let mut record = head.into_bytes();
            read_all(&mut self.entities, &mut record)?;
            record.extend_from_slice(tail.as_bytes());
            let record = serde_json::from_slice(&record).expect("written just now");
            return self.output.entities(&record).await;
        }
        if self.output.entities.is_none() {
            self.output.entities = Some(Entities::Lines(self.output.lines("entities", "jsonl")));
        }
        let Some(Entities::Lines(lines)) = &mut self.output.entities else {
            return Ok(());
        };
        lines.write(head.as_bytes()).await?;
        copy(&mut self.entities, lines).await?;
        lines.write(tail.as_bytes()).await
    }
}

fn spool(
    file: &mut SpooledTempFile,
    value: &impl serde::Serialize,
    any: &mut bool,
) -> Result<(), Error> {
    let mut bytes = if std::mem::replace(any, true) {
        b",".to_vec()
    } else {
        Vec::new()
    };
    serde_json::to_writer(&mut bytes, value).expect("strings and numbers are JSON");
    file.write_all(&bytes).map_err(temporary)
}

async fn copy(file: &mut SpooledTempFile, lines: &mut Writer) -> Result<(), Error> {
    file.seek(SeekFrom::Start(0)).map_err(temporary)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(temporary)?;
        if read == 0 {
            return Ok(());
        }
        lines.write(&buffer[..read]).await?;
    }
}

fn read_all(file: &mut SpooledTempFile, bytes: &mut Vec<u8>) -> Result<(), Error> {
    file.seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_end(bytes))
        .map(drop)
        .map_err(temporary)
}

fn temporary(source: std::io::Error) -> Error {
    Error::Write {
        at: "a temporary file".to_owned(),
        source,
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
