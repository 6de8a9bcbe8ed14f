//! One document: its fields through [`Scan`], its spans through the tenant's operators, and the
//! records that come out.
//!
//! Fields never influence one another. If any part fails, the whole document fails (I6).

mod field;
mod field_names;
mod json;
mod subject;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};

pub(crate) use self::{field::Pieces, subject::About};
use self::{
    field::{Field, Found, Treatment, scan},
    json::{json, json_line, members},
};
use super::{Engine, Error as EngineError, names::shown_id};
use crate::{
    VERSION,
    record::{
        Body, Change, Code, DeadLetter, Digests, Document, Done, Entities, Entity, PlainText,
        Position, Redacted, Redaction, Stage, Text,
        audit::{DigestKey, Finding, KeyName},
        json::{Json, NotJson},
    },
    redact,
    tenant::{Policy, Reuse, subject_keys},
};

/// Why a document did not go downstream. Holds counts and codes, no text (I7).
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The record is not what its source says it is.
    #[error("{reason}")]
    Record {
        /// Code of the dead letter.
        code: Code,
        /// Made of places and counts.
        reason: String,
    },
    /// The model failed.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// An operator failed.
    #[error("{0}")]
    Redact(Arc<redact::Error>),
    /// The key of the document's subject is needed and was not to be had.
    #[error("{0}")]
    SubjectKey(subject_keys::Error),
}

/// Fields of one document that are scanned at a time.
const FIELDS_AT_ONCE: usize = 64;

/// Processes a document as `policy` says.
pub async fn process(
    engine: &Engine,
    policy: &Policy,
    document: &Document,
    plain_text: PlainText,
) -> Result<Done, Error> {
    let Document {
        id, position, body, ..
    } = document;
    let mut found = Found::default();
    let about = &About::document(policy, document).await;
    let shown = shown_id(policy, about, id)?;
    let read = || Treatment::Scan(policy.reuse(position));
    let redacted = match body {
        Body::Text(text) => {
            let field = scan(engine, policy, about, "text", text, read(), Vec::new()).await?;
            text_record(engine, policy, &shown, plain_text, field, &mut found)
        }
        Body::JsonLine(text) => {
            match json_line(engine, policy, about, position, text, &mut found).await? {
                Some(line) if plain_text == PlainText::Record => {
                    let json = Json::parse(line).map_err(not_json)?;
                    let members = members(engine, policy, &found);
                    Redacted::Record(json.rewrite(&[], &members).into_bytes())
                }
                Some(line) => Redacted::Text(line),
                None => {
                    let field =
                        scan(engine, policy, about, "text", text, read(), Vec::new()).await?;
                    text_record(engine, policy, &shown, plain_text, field, &mut found)
                }
            }
        }
        Body::Json(text) => {
            let members = plain_text != PlainText::Apart;
            Redacted::Record(
                json(engine, policy, about, document, text, members, &mut found).await?,
            )
        }
        Body::Row(cells) => {
            Redacted::Row(row(engine, policy, about, position, cells, &mut found).await?)
        }
    };
    let entities = Entities {
        document_id: shown,
        tenant: policy.tenant.to_string(),
        source: position.clone(),
        entities: found.entities,
        digests: short_digests(engine, policy),
        tokens: found.tokens,
        windows: found.windows,
    };
    Ok(Done {
        entities,
        redacted,
        changes: found.changes,
        operators: found.operators,
    })
}

/// Takes the cells of a row of a table through their columns' rules.
async fn row(
    engine: &Engine,
    policy: &Policy,
    about: &About<'_>,
    position: &Position,
    cells: &[(Arc<str>, Option<Text>)],
    found: &mut Found,
) -> Result<Vec<Option<String>>, Error> {
    let rule = policy.rule(position);
    let read = Treatment::Scan(Reuse::of(rule));
    let mut scans: Vec<BoxFuture<'_, Result<Option<Field>, Error>>> = Vec::new();
    for (column, text) in cells {
        let treatment = match rule.map_or(Some(false), |rule| rule.column(column)) {
            None => Treatment::Pass,
            Some(false) => read,
            Some(true) => Treatment::Whole,
        };
        scans.push(match text {
            None => Box::pin(std::future::ready(Ok(None))),
            Some(text) => Box::pin(async move {
                let named = policy.patterns.find_named(column, text);
                scan(engine, policy, about, column, text, treatment, named)
                    .await
                    .map(Some)
            }),
        });
    }
    let fields: Vec<Option<Field>> = stream::iter(scans)
        .buffered(FIELDS_AT_ONCE)
        .try_collect()
        .await?;
    let fields = fields.into_iter();
    Ok(fields
        .map(|field| field.map(|field| found.add(field)))
        .collect())
}

/// A redacted text in the shape in which it goes out.
fn text_record(
    engine: &Engine,
    policy: &Policy,
    id: &str,
    plain_text: PlainText,
    field: Field,
    found: &mut Found,
) -> Redacted {
    let redacted = found.add(field);
    if plain_text != PlainText::Record {
        return Redacted::Text(redacted);
    }
    let record = Redaction {
        id: id.to_owned(),
        tenant: policy.tenant.to_string(),
        text: redacted,
        redactions: std::mem::take(&mut found.changes),
        digests: short_digests(engine, policy),
    };
    let json = serde_json::to_vec(&record).expect("strings and numbers are JSON");
    found.changes = record.redactions;
    Redacted::Record(json)
}

fn not_json(problem: NotJson) -> Error {
    Error::not_json(problem)
}

/// What was found with what was done there, for the audit. Both are in order of field and offset.
pub(super) fn findings(
    entities: &[Entity],
    changes: &[Change],
    policy: &Policy,
    key: &DigestKey,
) -> Vec<Finding> {
    let mut changes = changes.iter().peekable();
    let mut findings = Vec::with_capacity(entities.len());
    for entity in entities {
        let of_entity = |change: &&Change| {
            change.field == entity.field
                && (change.source_start, change.source_end) == (entity.start, entity.end)
        };
        let change = changes.next_if(of_entity);
        let label = policy.labels.labels.iter();
        let label = label.clone().find(|label| *label.name == *entity.label);
        findings.push(Finding {
            field: key.field(&entity.field),
            start: entity.start,
            end: entity.end,
            label: entity.label.clone(),
            score: entity.score,
            label_score: entity.label_score,
            threshold: label
                .filter(|_| entity.recognizer == "model")
                .map(|label| label.threshold),
            recognizer: entity.recognizer.clone(),
            // An entity without a change was left as it is.
            operator: change.map_or_else(|| "keep".to_owned(), |change| change.operator.clone()),
            key_id: change.and_then(|change| change.key_id.clone()),
            basis: policy.bases.get(&*entity.label).map(ToString::to_string),
        });
    }
    findings
}

/// The keys of a policy, for the audit.
pub(super) fn keys(policy: &Policy) -> Vec<KeyName> {
    let keys = policy.keys.iter();
    let named = keys.map(|key| KeyName {
        id: key.id.to_string(),
        fingerprint: key.fingerprint.to_string(),
    });
    named.collect()
}

/// What made the records of a policy, as they carry it: each record has a copy, so that it is cut before it is copied.
pub(super) fn short_digests(engine: &Engine, policy: &Policy) -> Digests {
    let short = |digest: &str| digest.get(..Digests::SHORT).unwrap_or(digest).to_owned();
    Digests {
        pack: short(&engine.models().digest_for(&policy.labels)),
        label_set: short(&policy.labels.digest),
        policy: short(&policy.digest),
        weir_version: VERSION.to_owned(),
    }
}

/// What made the records of a policy, in whole.
pub(super) fn digests(engine: &Engine, policy: &Policy) -> Digests {
    Digests {
        pack: engine.models().digest_for(&policy.labels).to_string(),
        label_set: policy.labels.digest.to_string(),
        policy: policy.digest.to_string(),
        weir_version: VERSION.to_owned(),
    }
}

impl Error {
    pub(super) fn not_json(problem: NotJson) -> Self {
        Self::Record {
            code: Code::NotJson,
            reason: problem.to_string(),
        }
    }

    /// Stage at which it happened.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Record { .. } => Stage::Source,
            Self::Engine(_) => Stage::Model,
            Self::Redact(_) | Self::SubjectKey(_) => Stage::Redact,
        }
    }

    /// Code of the dead letter.
    pub fn code(&self) -> Code {
        match self {
            Self::Record { code, .. } => *code,
            Self::Engine(EngineError::Panicked) => Code::Panicked,
            Self::Engine(_) => Code::ModelFailed,
            Self::Redact(_) | Self::SubjectKey(_) => Code::RedactFailed,
        }
    }

    /// Whether another attempt may succeed: a model may fail for want of memory and a store of keys be away, which pass;
    /// a record's own fault does not.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Engine(error) => self.code() == Code::ModelFailed && error.may_pass(),
            Self::SubjectKey(error) => error.may_pass(),
            Self::Record { .. } | Self::Redact(_) => false,
        }
    }

    /// The dead letter of a document that failed this way.
    pub fn dead_letter(
        &self,
        source: Position,
        tenant: Option<String>,
        document_id: Option<String>,
    ) -> DeadLetter {
        DeadLetter {
            source,
            tenant,
            document_id,
            stage: self.stage(),
            code: self.code(),
            reason: self.to_string(),
            attempts: 1,
        }
    }
}
