//! A text of any length on its way into an object's files: what is found in it waits in temporary files.

use std::io::{Read, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

use super::{Error, Output, output::Entities, writer::Writer};
use crate::record::{Audit, Change, Digests, Entity, Position, audit::Finding, json::quoted};

/// What a streamed text's entities and changes may take of memory before they go to a file.
const SPOOL_BYTES: usize = 4 << 20;

/// A text that begins.
#[derive(Debug, Clone, Copy)]
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
    entities: Spool,
    changes: Spool,
    findings: Spool,
}

impl Output {
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
        Ok(StreamOutput {
            output: self,
            as_text,
            id,
            tenant,
            position,
            entities: Spool::new(),
            changes: Spool::new(),
            findings: Spool::new(),
        })
    }
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
            self.entities.add(entity)?;
        }
        for change in changes.iter().filter(|_| !self.as_text) {
            self.changes.add(change)?;
        }
        let lines = self.output.redaction_lines("jsonl").await?;
        if self.as_text {
            return lines.write(redacted.as_bytes()).await;
        }
        let literal = quoted(redacted);
        lines.write(&literal.as_bytes()[1..literal.len() - 1]).await
    }

    /// Adds what the audit says of a piece.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub fn findings(&mut self, findings: &[Finding]) -> Result<(), Error> {
        findings
            .iter()
            .try_for_each(|finding| self.findings.add(finding))
    }

    /// Ends the text. `event`: its audit record but for the findings, where the object is audited.
    pub async fn finish(
        mut self,
        digests: &Digests,
        tokens: u64,
        windows: u64,
        event: Option<Audit>,
    ) -> Result<(), Error> {
        if let Some(event) = event {
            let trail = self.output.trail().await?;
            trail.add_text(event, &mut self.findings.file).await?;
        }
        let made_by = serde_json::to_string(digests).expect("strings are JSON");
        // The digests' members, without their braces.
        let made_by = &made_by[1..made_by.len() - 1];
        if !self.as_text {
            let lines = self.output.redaction_lines("jsonl").await?;
            lines.write(b"\",\"redactions\":[").await?;
            copy(&mut self.changes.file, lines, |_| {}).await?;
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
        if self.output.has_entity_rows() {
            // A Parquet row is written as a whole, so here the entities have to fit into memory.
            let mut record = head.into_bytes();
            read_all(&mut self.entities.file, &mut record)?;
            record.extend_from_slice(tail.as_bytes());
            let record = serde_json::from_slice(&record).expect("written just now");
            return self.output.entities(&record).await;
        }
        let Some(Entities::Lines(lines)) = self.output.entity_file()? else {
            return Ok(());
        };
        lines.write(head.as_bytes()).await?;
        copy(&mut self.entities.file, lines, |_| {}).await?;
        lines.write(tail.as_bytes()).await
    }
}

/// JSON values with commas between them, in memory as long as they are few.
struct Spool {
    file: SpooledTempFile,
    any: bool,
}

impl Spool {
    fn new() -> Self {
        Self {
            file: SpooledTempFile::new(SPOOL_BYTES),
            any: false,
        }
    }

    fn add(&mut self, value: &impl serde::Serialize) -> Result<(), Error> {
        let mut bytes = if std::mem::replace(&mut self.any, true) {
            b",".to_vec()
        } else {
            Vec::new()
        };
        serde_json::to_writer(&mut bytes, value).expect("strings and numbers are JSON");
        self.file.write_all(&bytes).map_err(temporary)
    }
}

/// Writes all of a temporary file, and shows each stretch of it to `each`.
pub(super) async fn copy(
    file: &mut SpooledTempFile,
    lines: &mut Writer,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Error> {
    file.seek(SeekFrom::Start(0)).map_err(temporary)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(temporary)?;
        if read == 0 {
            return Ok(());
        }
        each(&buffer[..read]);
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
