//! Texts of any length in a job.

use std::time::Instant;

use metrics::histogram;

use super::{
    Error,
    run::{Outlet, Run},
};
use crate::{
    pipeline::{
        LongText,
        document::{self, About},
        long_text::{self, Part},
        names,
        progress::Counts,
    },
    record::PlainText,
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
            Err(letter) => return self.reject(letter, outlet).await,
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
                    output.withdraw().await;
                }
                let id = Some(id.in_dead_letter());
                self.reject(error.dead_letter(position, Some(tenant), id), outlet)
                    .await
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
        let about = About::text(policy, &stream.id).await;
        let id = names::shown_id(policy, &about, &stream.id)?;
        let start = StreamStart {
            id: &id,
            tenant: &policy.tenant,
            position: &stream.position,
        };
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
                } else if let Some(printer) = printer {
                    printer.text(&part.redacted)?;
                }
            }
        }
        if let Some(output) = output {
            let (tokens, windows) = text.counts();
            output
                .finish(&document::digests(engine, policy), tokens, windows)
                .await?;
        }
        counts.document(&policy.tenant, text.bytes());
        histogram!(metric::END_TO_END_SECONDS).record(began.elapsed());
        Ok(counts)
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
