//! Whom a document is about.

use std::{borrow::Cow, sync::Arc};

use super::Error;
use crate::{
    decode::Span,
    record::{
        Body, Document, DocumentId,
        json::{Json, Scalar},
    },
    redact::{self, Applied, Key},
    tenant::{Policy, Subject, subject_keys},
};

/// Whom a document is about, with the key of that subject where an operator needs it. Without `Debug`, which would
/// print the subject.
#[derive(Clone)]
pub(crate) struct About<'d> {
    subject: Option<Cow<'d, str>>,
    /// Asked for once for a document, before any of its values is redacted.
    key: Option<Result<Key, subject_keys::Error>>,
}

impl<'d> About<'d> {
    /// Whom a document is about.
    pub(super) async fn document(policy: &'d Policy, document: &'d Document) -> Self {
        Self::of(policy, subject(policy, document)).await
    }

    /// Whom a text is about that is read piece by piece: it has no fields, and only its id may say so.
    pub(crate) async fn text(policy: &Policy, id: &DocumentId) -> Self {
        let asks = policy.redactor.needs_subject() && policy.subject == Subject::DocumentId;
        let subject = asks.then(|| Cow::Owned(id.as_received().to_owned()));
        Self::of(policy, subject).await
    }

    async fn of(policy: &Policy, subject: Option<Cow<'d, str>>) -> Self {
        let keys = policy.subject_keys.as_ref();
        let keys = keys.filter(|_| policy.redactor.needs_subject_key());
        let key = match (keys, subject.as_deref()) {
            (Some(keys), Some(subject)) => Some(keys.key(subject).await),
            _ => None,
        };
        Self { subject, key }
    }

    /// Appends a text with its spans transformed. That the key is missing is an error once a value needs it.
    pub(crate) fn redact(
        &self,
        policy: &Policy,
        text: &str,
        spans: &[Span],
        out: &mut String,
    ) -> Result<Vec<Applied>, Error> {
        let subject = self.subject.as_deref().map(|id| redact::Subject {
            id,
            key: self.key.as_ref().and_then(|key| key.as_ref().ok()),
        });
        let applied = policy.redactor.apply(subject, text, spans, out);
        applied.map_err(|error| match (error, &self.key) {
            (redact::Error::NoSubjectKey { .. }, Some(Err(why))) => Error::SubjectKey(why.clone()),
            (error, _) => Error::Redact(Arc::new(error)),
        })
    }
}

/// Whom a document is about, as the policy finds it; `None` if the document does not say, or if no operator
/// asks.
fn subject<'d>(policy: &'d Policy, document: &'d Document) -> Option<Cow<'d, str>> {
    if !policy.redactor.needs_subject() {
        return None;
    }
    let Subject::Field(field) = &policy.subject else {
        return Some(Cow::Borrowed(document.id.as_received()));
    };
    let found = match &document.body {
        Body::Json(text) | Body::JsonLine(text) if field.starts_with('/') => {
            match Json::parse(text.clone()).ok()?.scalar(field) {
                Scalar::Text(subject) => Cow::Owned(subject),
                Scalar::Absent | Scalar::Other => return None,
            }
        }
        Body::Row(cells) => {
            let cell = cells.iter().find(|(column, _)| **column == **field)?;
            Cow::Borrowed(cell.1.as_ref()?.as_str())
        }
        Body::Text(_) | Body::Json(_) | Body::JsonLine(_) => return None,
    };
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::Position;

    fn policy(subject: &str) -> Policy {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "sixteen bytes ok").unwrap();
        let text = format!(
            "labels = []\n{subject}keys = {{ id = \"k1\", file = \"key\" }}\noperator = \"shift\"\n"
        );
        Policy::parse("acme", &dir.path().join("acme.toml"), &text).unwrap()
    }

    fn of(policy: &Policy, body: Body) -> Option<String> {
        let document = Document {
            id: "d1".into(),
            tenant: None,
            position: Position::Stdin { line: 0 },
            body,
        };
        subject(policy, &document).map(Cow::into_owned)
    }

    #[test]
    fn a_subject_is_the_id_or_a_field_and_may_be_missing() {
        let by_id = policy("");
        assert_eq!(of(&by_id, Body::Text("x".into())).as_deref(), Some("d1"));
        let by_pointer = policy("subject = \"/patient/id\"\n");
        for (json, expected) in [
            (r#"{"patient": {"id": "p\u0031"}}"#, Some("p1")),
            (r#"{"patient": {"id": 17}}"#, Some("17")),
            (r#"{"patient": {"id": ""}}"#, None),
            (r#"{"patient": {"id": null}}"#, None),
            (r#"{"patient": "p1"}"#, None),
            ("{}", None),
        ] {
            let found = of(&by_pointer, Body::Json(json.into()));
            assert_eq!(found.as_deref(), expected, "{json}");
            let found = of(&by_pointer, Body::JsonLine(json.into()));
            assert_eq!(found.as_deref(), expected, "{json}");
        }
        assert_eq!(of(&by_pointer, Body::Text("x".into())), None);
        let by_column = policy("subject = \"patient\"\n");
        let row = |cell: Option<&str>| {
            Body::Row(vec![
                ("note".into(), Some("x".into())),
                ("patient".into(), cell.map(Into::into)),
            ])
        };
        assert_eq!(of(&by_column, row(Some("p1"))).as_deref(), Some("p1"));
        assert_eq!(of(&by_column, row(None)), None);
        assert_eq!(of(&by_column, Body::Row(Vec::new())), None);
    }

    #[test]
    fn a_policy_that_does_not_ask_reads_no_subject() {
        let text = "labels = []\nsubject = \"/patient/id\"\n";
        let policy = Policy::parse("acme", Path::new("acme.toml"), text).unwrap();
        let json = Body::Json(r#"{"patient": {"id": "p1"}}"#.into());
        assert_eq!(of(&policy, json), None);
    }
}
