//! Texts of any length in a job.

use std::time::Instant;

use metrics::histogram;

use super::{
    Error,
    run::{Outlet, Run},
};
use crate::{
    pipeline::{
        LongText, document,
        long_text::{self, Part},
        names,
        progress::Counts,
    },
    record::{
        Audit, PlainText,
        audit::{About, DigestKey, Finding, Growing, Outcome},
    },
    sink::{self, StreamStart},
    source::Stream,
    telemetry::metric,
    tenant::Policy,
};

impl Run<'_> {
    /// A text of any length, piece by piece. If it fails midway, nothing of it goes downstream.
    pub(super) async fn text(&mut self, stream: Stream, outlet: &mut Outlet) -> Result<(), Error> {
        let (id, position) = (stream.id.clone(), stream.position.clone());
        let policy = match self.policy(stream.tenant.as_deref(), &position, &id) {
            Ok(policy) => policy,
            Err(letter) => return self.reject(letter, None, outlet).await,
        };
        let tenant = policy.tenant.to_string();
        match self.pieces(stream, &policy, outlet).await {
            Ok(counts) => {
                self.counts.join(counts);
                if !matches!(outlet, Outlet::Output(_)) {
                    self.job.progress.count(std::mem::take(&mut self.counts));
                }
                Ok(())
            }
            Err(TextError::Job(error)) => Err(error),
            Err(TextError::Drained) => {
                self.cut_short = true;
                Ok(())
            }
            Err(TextError::Document(error)) => {
                if let Outlet::Output(output) = outlet {
                    output.withdraw().await?;
                }
                let id = Some(id.in_dead_letter());
                let letter = error.dead_letter(position, Some(tenant), id);
                self.reject(letter, None, outlet).await
            }
        }
    }

    async fn pieces(
        &self,
        stream: Stream,
        policy: &Policy,
        outlet: &mut Outlet,
    ) -> Result<Counts, TextError> {
        let began = Instant::now();
        let engine = &self.job.engine;
        let about = document::About::text(policy, &stream.id).await;
        let id = names::shown_id(policy, &about, &stream.id)?;
        let position = stream.position.clone();
        let start = StreamStart {
            id: &id,
            tenant: &policy.tenant,
            position: &position,
        };
        let mut digests = Digested::of(outlet);
        let (mut output, printer) = match outlet {
            Outlet::Output(output) => (
                Some(
                    output
                        .stream(start, self.plain_text == PlainText::Text)
                        .await?,
                ),
                None,
            ),
            // What is printed can't be withdrawn: a text that fails midway ends with what was decided.
            Outlet::Printer(printer) => (None, Some(*printer)),
            Outlet::Nothing => (None, None),
        };
        let mut text = LongText::start(engine, policy, stream).await?;
        let mut counts = Counts::default();
        loop {
            // Nothing of the text is visible before its end: what is left of it is the next run's.
            if self.job.drain.is_cancelled() {
                return Err(TextError::Drained);
            }
            let Some(parts) = text.next().await? else {
                break;
            };
            for part in parts {
                count(&mut counts, policy, &part);
                if let Some(output) = &mut output {
                    output
                        .piece(&part.redacted, &part.entities, &part.changes)
                        .await?;
                    if let Some(digests) = &mut digests {
                        output.findings(&digests.add(policy, &part))?;
                    }
                } else if let Some(printer) = printer {
                    printer.text(&part.redacted)?;
                }
            }
        }
        if let Some(output) = output {
            let (tokens, windows) = text.counts();
            let event = digests.map(|digests| digests.event(self.about(policy), start, policy));
            output
                .finish(&document::digests(engine, policy), tokens, windows, event)
                .await?;
        }
        counts.document(&policy.tenant, text.bytes());
        histogram!(metric::END_TO_END_SECONDS).record(began.elapsed());
        Ok(counts)
    }
}

/// What the audit says of a text, as far as it was read.
struct Digested {
    key: DigestKey,
    input: Growing,
    output: Growing,
}

impl Digested {
    /// None where nothing is audited.
    fn of(outlet: &Outlet) -> Option<Self> {
        let Outlet::Output(output) = outlet else {
            return None;
        };
        let key = output.digest_key()?.clone();
        Some(Self {
            input: key.begin(),
            output: key.begin(),
            key,
        })
    }

    fn add(&mut self, policy: &Policy, part: &Part) -> Vec<Finding> {
        self.input.add(part.piece.text.as_bytes());
        self.output.add(part.redacted.as_bytes());
        document::findings(&part.entities, &part.changes, policy, &self.key)
    }

    /// The record of the text, without its findings.
    fn event(self, mut about: About, text: StreamStart<'_>, policy: &Policy) -> Audit {
        about.input_digest = Some(self.input.end());
        let source = text.position.clone();
        Audit {
            tenant: Some(policy.tenant.to_string()),
            document_id: Some(text.id.to_owned()),
            outcome: Some(Outcome::Delivered),
            output_digest: Some(self.output.end()),
            ..Audit::about(source, about, &self.key)
        }
    }
}

fn count(counts: &mut Counts, policy: &Policy, part: &Part) {
    for entity in &part.entities {
        counts.entity(&policy.tenant, &entity.label, &entity.recognizer);
    }
    for change in &part.changes {
        counts.change(&policy.tenant, &change.operator, 1);
    }
}

/// Why a text ended before its end.
enum TextError {
    /// The job can't go on.
    Job(Error),
    /// The text is a dead letter.
    Document(document::Error),
    /// A signal came.
    Drained,
}

impl From<sink::Error> for TextError {
    fn from(error: sink::Error) -> Self {
        Self::Job(error.into())
    }
}

impl From<document::Error> for TextError {
    fn from(error: document::Error) -> Self {
        Self::Document(error)
    }
}

impl From<long_text::Error> for TextError {
    fn from(error: long_text::Error) -> Self {
        match error {
            long_text::Error::Source(error) => Self::Job(error.into()),
            long_text::Error::Document(error) => Self::Document(error),
        }
    }
}
