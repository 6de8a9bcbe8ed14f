//! Whom a document is about.

use std::borrow::Cow;

use crate::{
    record::{
        Body, Document, DocumentId,
        json::{Json, Scalar},
    },
    tenant::{Policy, Subject},
};

/// Whom a text is about that is read piece by piece: it has no fields, and only its id may say so.
pub(crate) fn subject_of_text(policy: &Policy, id: &DocumentId) -> Option<String> {
    let asks = policy.redactor.needs_subject() && policy.subject == Subject::DocumentId;
    asks.then(|| id.as_received().to_owned())
}

/// Whom a document is about, as the policy finds it; `None` if the document does not say, or if no operator
/// asks.
pub(super) fn subject<'d>(policy: &'d Policy, document: &'d Document) -> Option<Cow<'d, str>> {
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
