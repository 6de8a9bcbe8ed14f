//! What each tenant asked for: label sets and policies, one file a tenant, reloaded while running.
//!
//! In:  a folder of tenant files.
//! Out: an immutable [`Tenants`] snapshot; [`Policy`] by tenant name.
//! Holds: a bad file keeps the old set; an unknown tenant is never guessed (I6).
//! Does not know: documents, models, sinks.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    decode::patterns::Patterns,
    record::{Body, Code, Document, Field},
    redact::Redactor,
};

/// One label that the model looks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Name in records and placeholders.
    pub name: Arc<str>,
    /// Wording given to the label encoder: the description if there is one, else the name.
    pub wording: Arc<str>,
    /// Least calibrated probability of a span.
    pub threshold: f32,
}

/// Labels in the tenant's order, with their digest.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelSet {
    /// The labels.
    pub labels: Arc<[Label]>,
    /// 16 hex digits: of names, wordings and thresholds.
    pub digest: Arc<str>,
}

/// Everything that is done for one tenant.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Tenant.
    pub tenant: Arc<str>,
    /// Labels for the model; may be empty (patterns only).
    pub labels: LabelSet,
    /// Recognisers and lists.
    pub patterns: Patterns,
    /// Operators.
    pub redactor: Redactor,
    /// Which fields of a record are read.
    pub rules: Arc<[Rule]>,
    /// Whether entity records hold the value.
    pub emit_text: bool,
    /// 16 hex digits: of the whole policy.
    pub digest: Arc<str>,
    /// Examples inside the tenant file, run by `weir test`.
    pub tests: Arc<[Example]>,
}

/// Fields read in the records that match; the first rule that matches wins.
#[derive(Debug, Clone)]
pub struct Rule {}

/// An example inside a tenant file.
#[derive(Debug, Clone)]
pub struct Example {
    /// Input.
    pub text: String,
    /// The redacted text that is expected.
    pub expect: String,
}

/// All policies at one moment: what a document is processed with does not change under way.
#[derive(Debug, Clone)]
pub struct Tenants {
    policies: Arc<BTreeMap<String, Arc<Policy>>>,
    default: Option<Arc<Policy>>,
}

impl Tenants {
    /// The policy of a tenant; `None` asks for the default tenant's. An unknown name is not the
    /// default tenant: it gives `None`, and the document becomes a dead letter.
    pub fn policy(&self, tenant: Option<&str>) -> Option<&Arc<Policy>> {
        match tenant {
            Some(name) => self.policies.get(name),
            None => self.default.as_ref(),
        }
    }

    /// All policies, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.values()
    }
}

impl Policy {
    /// The fields of a document that this policy reads, in order; an error is a dead letter's code.
    pub fn fields(&self, _document: &Document) -> Result<Vec<Field>, Code> {
        let _ = |b: &Body| matches!(b, Body::Text(_));
        todo!("helpers: config (rules) and io (JSON)")
    }
}
