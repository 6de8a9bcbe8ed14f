//! One field: what is found in it, and its pieces through the tenant's operators.

use std::{borrow::Cow, collections::BTreeMap, time::Instant};

use super::{About, Error};
use crate::{
    decode::{Recognizer, Span},
    pipeline::{Engine, Scan, names::in_name},
    record::{Change, Entity, Stage},
    redact::Applied,
    telemetry::metric,
    tenant::{Policy, Reuse, WHOLE_LABEL},
    text::{ByteSpan, CodePointCursor},
};

/// What is done with a field.
#[derive(Debug, Clone, Copy)]
pub(super) enum Treatment {
    Pass,
    /// Models read it, and share what they found with which other texts.
    Scan(Reuse),
    /// Redacted as a whole, whatever it holds.
    Whole,
    /// A name of the record: patterns and lists look at it, and no model, which reads prose.
    Name,
}

/// A field that is done.
pub(super) struct Field {
    pub(super) redacted: String,
    pub(super) applied: Vec<Applied>,
    pub(super) entities: Vec<Entity>,
    pub(super) changes: Vec<Change>,
    pub(super) tokens: u64,
    pub(super) windows: u64,
}

/// What is found in a document, field by field.
#[derive(Default)]
pub(super) struct Found {
    pub(super) entities: Vec<Entity>,
    pub(super) changes: Vec<Change>,
    pub(super) tokens: u64,
    pub(super) windows: u64,
    pub(super) operators: BTreeMap<String, u64>,
}

impl Found {
    pub(super) fn add(&mut self, field: Field) -> String {
        self.entities.extend(field.entities);
        for change in &field.changes {
            *self.operators.entry(change.operator.clone()).or_default() += 1;
        }
        self.changes.extend(field.changes);
        self.tokens += field.tokens;
        self.windows += field.windows;
        field.redacted
    }
}

/// Finds and redacts in one field of a document. `found`: what is known of it already.
pub(super) async fn scan(
    engine: &Engine,
    policy: &Policy,
    about: &About<'_>,
    path: &str,
    text: &str,
    treatment: Treatment,
    found: Vec<Span>,
) -> Result<Field, Error> {
    let mut pieces = Pieces::new(policy, Cow::Borrowed(about), path);
    let mut redacted = String::with_capacity(text.len());
    let (mut tokens, mut windows) = (0, 0);
    match treatment {
        Treatment::Pass => redacted.push_str(text),
        Treatment::Whole if !text.is_empty() => {
            let bytes = ByteSpan::new(0, text.len());
            let recognizer = Recognizer::Pattern("whole".into());
            let span = Span {
                bytes,
                label: WHOLE_LABEL.into(),
                score: 1.0,
                label_score: 1.0,
                recognizer,
            };
            pieces.redact(text, &[span], &mut redacted)?;
        }
        Treatment::Whole => {}
        Treatment::Name => pieces.redact(text, &in_name(policy, text), &mut redacted)?,
        Treatment::Scan(reuse) => {
            let mut scan = Scan::start(engine, policy, reuse).await?;
            scan.add_found(found);
            let first = scan.push(text).await?;
            let last = scan.finish().await?;
            for piece in first.into_iter().chain(last) {
                pieces.redact(&piece.text, &piece.spans, &mut redacted)?;
            }
            (tokens, windows) = scan.counts();
        }
    }
    let Pieces {
        entities,
        changes,
        applied,
        ..
    } = pieces;
    Ok(Field {
        redacted,
        applied,
        entities,
        changes,
        tokens,
        windows,
    })
}

/// Pieces of one field on their way through the operators; keeps count of where they stand.
pub(crate) struct Pieces<'a> {
    policy: &'a Policy,
    about: Cow<'a, About<'a>>,
    path: &'a str,
    source: Place,
    output: Place,
    /// Entities of the pieces so far; taken out by callers that do not keep them.
    pub(crate) entities: Vec<Entity>,
    /// Changes of the pieces so far.
    pub(crate) changes: Vec<Change>,
    applied: Vec<Applied>,
}

/// A place in a field.
#[derive(Clone, Copy, Default)]
struct Place {
    byte: usize,
    code_point: usize,
}

impl Place {
    fn after(self, text: &str) -> Self {
        Self {
            byte: self.byte + text.len(),
            code_point: self.code_point + text.chars().count(),
        }
    }
}

impl<'a> Pieces<'a> {
    /// Begins with a field of a document.
    pub(crate) fn new(policy: &'a Policy, about: Cow<'a, About<'a>>, path: &'a str) -> Self {
        let start = Place::default();
        Self {
            policy,
            about,
            path,
            source: start,
            output: start,
            entities: Vec::new(),
            changes: Vec::new(),
            applied: Vec::new(),
        }
    }

    /// Drops the list of what was done to the pieces so far: a text of any length keeps none.
    pub(crate) fn forget(&mut self) {
        self.applied.clear();
    }

    /// Appends the redacted piece to `out`.
    pub(crate) fn redact(
        &mut self,
        text: &str,
        spans: &[Span],
        out: &mut String,
    ) -> Result<(), Error> {
        let start = out.len();
        let began = Instant::now();
        let applied = self.about.redact(self.policy, text, spans, out)?;
        metric::stage(Stage::Redact, began);
        let mut code_points = CodePointCursor::new(text, self.source.code_point);
        for span in spans {
            let value = self
                .policy
                .emit_text
                .then(|| text[span.bytes.start..span.bytes.end].to_owned());
            self.entities.push(Entity {
                label: span.label.to_string(),
                field: self.path.to_owned(),
                start: code_points.at(span.bytes.start) as u64,
                end: code_points.at(span.bytes.end) as u64,
                start_byte: (self.source.byte + span.bytes.start) as u64,
                end_byte: (self.source.byte + span.bytes.end) as u64,
                score: span.score,
                label_score: Some(span.label_score),
                recognizer: span.recognizer.to_string(),
                text: value,
            });
        }
        for applied in applied {
            self.changes.push(Change {
                label: applied.label.to_string(),
                field: self.path.to_owned(),
                operator: applied.operator.to_owned(),
                start: (self.output.code_point + applied.output.start) as u64,
                end: (self.output.code_point + applied.output.end) as u64,
                source_start: (self.source.code_point + applied.source.start) as u64,
                source_end: (self.source.code_point + applied.source.end) as u64,
                key_id: applied.key_id.as_ref().map(ToString::to_string),
            });
            self.applied.push(Applied {
                source_bytes: moved(applied.source_bytes, self.source.byte),
                output_bytes: moved(applied.output_bytes, self.output.byte),
                ..applied
            });
        }
        self.source = self.source.after(text);
        self.output = self.output.after(&out[start..]);
        Ok(())
    }
}

fn moved(span: ByteSpan, base: usize) -> ByteSpan {
    ByteSpan::new(span.start + base, span.end + base)
}
