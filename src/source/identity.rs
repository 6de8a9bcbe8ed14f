use std::sync::Arc;

use regex::Regex;

use super::{Error, Options};
use crate::record::{
    Code, DocumentId, IdRules, Position,
    json::{Json, Scalar},
};

/// Where a document's tenant stands. A document without one has the default tenant, if the
/// tenants' configuration names one; otherwise it becomes a dead letter.
#[derive(Debug, Clone, Default)]
pub enum TenantFrom {
    /// The key or column `tenant` of the record, if there is one.
    #[default]
    Record,
    /// Always this tenant.
    Value(String),
    /// JSON Pointer in the record.
    Field(String),
    /// Column of a table.
    Column(String),
    /// Regular expression on the object's path below the URL, or on the topic's name: its first
    /// capture group.
    Path(String),
    /// The source itself knows it, from beside the record: a Kafka record's key or header.
    Beside,
}

/// The compiled form of [`TenantFrom`] and of the id's place.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    tenant: TenantFrom,
    path: Option<Regex>,
    id: String,
    rules: Arc<IdRules>,
}

impl Identity {
    pub(super) fn of(options: &Options) -> Result<Self, Error> {
        let path = match &options.tenant {
            TenantFrom::Path(pattern) => {
                let bad = |reason: String| Error::Pattern {
                    pattern: pattern.clone(),
                    reason,
                };
                let regex = Regex::new(pattern).map_err(|e| bad(e.to_string()))?;
                if regex.captures_len() < 2 {
                    return Err(bad("it needs a capture group for the tenant".to_owned()));
                }
                Some(regex)
            }
            _ => None,
        };
        let id = options.id.clone().unwrap_or_else(|| "/id".to_owned());
        let rules = IdRules {
            pointer: Some(id.clone()),
            ..options.ids.clone()
        };
        Ok(Self {
            tenant: options.tenant.clone(),
            path,
            id,
            rules: Arc::new(rules),
        })
    }

    /// Tenant of every document of an object, as far as the record itself has no say.
    pub(super) fn of_object(&self, path: &str) -> Option<String> {
        match &self.tenant {
            TenantFrom::Value(tenant) => Some(tenant.clone()),
            TenantFrom::Path(_) => {
                let captures = self.path.as_ref()?.captures(path)?;
                captures.get(1).map(|tenant| tenant.as_str().to_owned())
            }
            _ => None,
        }
    }

    /// Tenant of a JSON document. A tenant that is there but is no name is never the default one.
    pub(super) fn of_json(&self, json: &Json, object: &str) -> Result<Option<String>, Code> {
        let pointer = match &self.tenant {
            TenantFrom::Record => "/tenant",
            TenantFrom::Field(pointer) => pointer,
            _ => return Ok(self.of_object(object)),
        };
        match json.scalar(pointer) {
            Scalar::Text(tenant) => Ok(Some(tenant)),
            Scalar::Absent => Ok(None),
            Scalar::Other => Err(Code::UnknownTenant),
        }
    }

    /// Id of a JSON document, made of its position if it has none.
    pub(super) fn id_of_json(&self, json: &Json, position: &Position) -> DocumentId {
        match json.scalar(&self.id) {
            Scalar::Text(id) => DocumentId::own(id, &self.rules),
            Scalar::Absent | Scalar::Other => DocumentId::place(position),
        }
    }

    /// Id that stands beside a record, or in a column of a table.
    pub(super) fn id_beside(&self, id: String) -> DocumentId {
        DocumentId::own(id, &self.rules)
    }

    /// How ids are treated.
    pub(super) fn id_rules(&self) -> &IdRules {
        &self.rules
    }

    /// Column that holds the tenant, and whether it has to be there.
    pub(super) fn tenant_column<'a>(&'a self, options: &'a Options) -> Option<(&'a str, bool)> {
        match &self.tenant {
            TenantFrom::Column(column) => Some((column, true)),
            TenantFrom::Record => Some(match &options.columns.tenant {
                Some(column) => (column, true),
                None => ("tenant", false),
            }),
            _ => None,
        }
    }
}
