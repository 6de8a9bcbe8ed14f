//! The audit file of one object: a chain of audit records, one for each document in the order of the answers.

use tempfile::SpooledTempFile;

use super::{Error, output::Finished, stream::copy, writer::Writer};
use crate::record::{
    Audit, Position,
    audit::{Begin, Delivery, DigestKey, GENESIS, Head, Kind, Outcome, Reason},
    commit::AUDIT,
};

/// An audit file that is being written.
pub(super) struct Trail {
    writer: Writer,
    head: Head,
    /// Records of dead letters, which stay if the documents are withdrawn; not chained.
    letters: Vec<Audit>,
}

impl Trail {
    /// Begins the file of an object. `configuration` is the digest in its commit record.
    pub(super) async fn begin(
        mut writer: Writer,
        object: Position,
        configuration: &str,
        key: &DigestKey,
    ) -> Result<Self, Error> {
        let begin = Begin {
            reason: Reason::New,
            delivery: Delivery::ExactlyOnce,
            group: configuration.to_owned(),
            cluster: None,
            log_start: 0,
            from: 0,
            weir_version: crate::VERSION.to_owned(),
        };
        let begin = Audit {
            begin: Some(begin),
            ..Audit::new(Kind::Begin, object, key)
        };
        let first = begin.opened(1, GENESIS);
        line(&mut writer, first.json).await?;
        Ok(Self {
            writer,
            head: first.head,
            letters: Vec::new(),
        })
    }

    /// Adds the record of a document, in the order of the object's outputs.
    pub(super) async fn add(&mut self, event: Audit) -> Result<(), Error> {
        if event.outcome == Some(Outcome::DeadLetter) {
            self.letters.push(event.clone());
        }
        // In place of an offset each document has the number of its answer.
        let chained = event.chained(&self.head, self.head.next);
        self.head = chained.head;
        line(&mut self.writer, chained.json).await
    }

    /// Adds the record of a text, whose findings wait in a file: JSON, with commas between them.
    pub(super) async fn add_text(
        &mut self,
        event: Audit,
        findings: &mut SpooledTempFile,
    ) -> Result<(), Error> {
        let mut parts = event.parted(&self.head, self.head.next);
        self.writer.write(&parts.front).await?;
        copy(findings, &mut self.writer, |bytes| parts.findings(bytes)).await?;
        let (back, head) = parts.end();
        self.head = head;
        line(&mut self.writer, back).await
    }

    /// Records of the dead letters; the file leaves nothing behind.
    pub(super) async fn withdraw(self) -> Vec<Audit> {
        self.writer.abort().await;
        self.letters
    }

    /// Makes the file visible. Gives back the end of its chain.
    pub(super) async fn finish(mut self) -> Result<(Finished, Head), Error> {
        self.writer.finish().await?;
        let finished = Finished {
            kind: AUDIT,
            records: self.head.seq + 1,
            path: self.writer.path(),
            sum: self.writer.sum(),
        };
        Ok((finished, self.head))
    }
}

async fn line(writer: &mut Writer, mut json: Vec<u8>) -> Result<(), Error> {
    json.push(b'\n');
    writer.write(&json).await
}
