//! Texts and JSON objects as documents, or why they are none.

use super::identity::Identity;
use crate::record::{
    Body, Code, DeadLetter, Document, DocumentId, Position, Stage, Text,
    json::{Json, NotJson},
};

/// A text as a document.
pub(super) fn text_document(text: String, tenant: Option<String>, position: Position) -> Document {
    Document {
        id: DocumentId::place(&position),
        tenant,
        position,
        body: Body::Text(Text::from(text)),
    }
}

/// A JSON object as a document; `what` names the text in a dead letter's reason.
pub(super) fn json_document(
    text: String,
    what: &str,
    identity: &Identity,
    object: &str,
    position: Position,
) -> Result<Document, DeadLetter> {
    let json = Json::parse(text).map_err(|error| {
        let reason = match error {
            NotJson::Syntax { column, .. } => {
                format!("the {what} is not valid JSON (column {column})")
            }
            other => format!("the {what} is {other}"),
        };
        dead_letter(position.clone(), Code::NotJson, reason)
    })?;
    of_json(json, what, identity, object, position)
}

/// A JSON object that was read, as a document.
pub(super) fn of_json(
    json: Json,
    what: &str,
    identity: &Identity,
    object: &str,
    position: Position,
) -> Result<Document, DeadLetter> {
    let id = identity.id_of_json(&json, &position);
    match identity.of_json(&json, object) {
        Ok(tenant) => Ok(Document {
            id,
            tenant,
            position,
            body: Body::Json(json.into_text()),
        }),
        Err(code) => {
            let reason = format!("the tenant of the {what} is neither text nor a number");
            let mut letter = dead_letter(position, code, reason);
            letter.document_id = Some(id.in_dead_letter());
            Err(letter)
        }
    }
}

pub(super) fn not_utf8(
    error: &std::string::FromUtf8Error,
    what: &str,
    position: Position,
) -> DeadLetter {
    let at = error.utf8_error().valid_up_to();
    let reason = format!("byte {at} of the {what} is not valid UTF-8");
    dead_letter(position, Code::NotUtf8, reason)
}

pub(super) fn dead_letter(source: Position, code: Code, reason: String) -> DeadLetter {
    DeadLetter {
        source,
        tenant: None,
        document_id: None,
        stage: Stage::Source,
        code,
        reason,
        attempts: 1,
    }
}
