//! What each tenant asked for: label sets and policies, one file per tenant, reloaded while weir runs.
//!
//! In:  a folder of tenant files.
//! Out: an immutable [`Tenants`] snapshot; [`Policy`] by tenant name.
//! Holds: a bad file keeps the old set; an unknown tenant is never guessed (I6).
//! Does not know: documents, models, sinks.

mod basis;
mod digest;
mod events;
pub mod file;
mod folder;
mod keys;
mod kms;
mod operators;
mod region;
pub mod reload;
mod resolve;
mod rule;
pub mod subject_keys;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_operators;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use serde_json::Value as Json;

use crate::{
    decode::patterns::Patterns,
    redact::{KeyName, Operator, Redactor},
};

pub use crate::config::DEFAULT_MODEL;
pub use basis::Bases;
pub use digest::label_digest;
pub use file::{Reuse, THRESHOLD};
pub use folder::{check_text, place};
pub use keys::Keyring;
pub use rule::{NOT_TEXT, Objects, Rule, WHOLE_LABEL};
pub use subject_keys::SubjectKeys;

/// One label that the model looks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// Name in records and placeholders.
    pub name: Arc<str>,
    /// Wording given to the label encoder: the description if there is one, else the name.
    pub wording: Arc<str>,
    /// Least calibrated probability of a span.
    pub threshold: f32,
    /// Which of the worker's models look for it, each that can; none: its default.
    pub models: Arc<[Arc<str>]>,
}

/// The side on which the model errs: more that is nothing, or more that is missed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Balance {
    /// Operating point of the pack; `None` is its `default`.
    pub operating_point: Option<Arc<str>>,
    /// Taken from the score of "no entity" at every token: above 0 finds more.
    pub recall_bias: f32,
    /// Whether a document fails for which a language model named a value that is not in its text. `None` is as the model's
    /// server or pack says.
    pub fails_if_invented: Option<bool>,
    /// Models of the tenant's labels that name none; the operating point is one of the first. None: the worker's
    /// default.
    pub models: Arc<[Arc<str>]>,
}

/// Labels in the tenant's order, and how readily they are found, with their digest.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelSet {
    /// The labels.
    pub labels: Arc<[Label]>,
    /// For all of them.
    pub balance: Balance,
    /// 64 hex digits: of names, wordings, thresholds and the balance.
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
    /// Keys that the operators use: [`Policy::keys`].
    pub keys: Arc<[KeyName]>,
    /// All keys of the tenant.
    pub keyring: Keyring,
    /// Whom a document is about.
    pub subject: Subject,
    /// Where the keys of subjects are.
    pub subject_keys: Option<SubjectKeys>,
    /// Which fields of a record are read.
    pub rules: Arc<[Rule]>,
    /// Whether entity records hold the value.
    pub emit_text: bool,
    /// Why labels are redacted, for audit records.
    pub bases: Arc<Bases>,
    /// 64 hex digits: of the whole policy.
    pub digest: Arc<str>,
    /// Examples inside the tenant file, run by `weir test`.
    pub tests: Arc<[Example]>,
}

/// Where a document says whom it is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Subject {
    /// Its id.
    #[default]
    DocumentId,
    /// A JSON Pointer, if it begins with `/`, or a column.
    Field(Arc<str>),
}

/// An example inside a tenant file.
#[derive(Debug, Clone)]
pub struct Example {
    /// Input.
    pub text: String,
    /// The redacted text that is expected.
    pub expect: String,
    /// Where it is written: `FILE:LINE:COLUMN`.
    pub at: String,
}

impl Policy {
    /// Labels and patterns with one operator for all, and nothing else. The digest is the tenant's name.
    pub fn bare(tenant: &str, labels: LabelSet, patterns: Patterns, operator: Operator) -> Self {
        Self {
            tenant: tenant.into(),
            labels,
            patterns,
            redactor: Redactor {
                tenant: tenant.into(),
                operators: Arc::default(),
                default: operator,
            },
            keys: Arc::default(),
            keyring: Keyring::default(),
            subject: Subject::default(),
            subject_keys: None,
            rules: Arc::default(),
            emit_text: false,
            bases: Arc::default(),
            digest: tenant.into(),
            tests: Arc::default(),
        }
    }

    /// The keys with which new values are made, for audit records: ids and fingerprints, by id.
    pub fn keys(&self) -> &[KeyName] {
        &self.keys
    }
}

/// All policies at one moment: what a document is processed with does not change under way.
#[derive(Debug, Clone)]
pub struct Tenants {
    policies: Arc<BTreeMap<String, Arc<Policy>>>,
    default: Option<Arc<Policy>>,
    /// Of the files' bytes, the lists and keys that they name: in memory only, to tell whether a
    /// reload changed anything.
    fingerprint: [u8; 32],
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

    /// One policy, for documents that name no tenant, and for those that name it.
    pub fn only(policy: Arc<Policy>) -> Self {
        Self {
            policies: Arc::new([(policy.tenant.to_string(), policy.clone())].into()),
            default: Some(policy),
            fingerprint: [0; 32],
        }
    }

    /// 64 hex digits: of all policies.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for policy in self.iter().chain(&self.default) {
            hasher
                .update(policy.tenant.as_bytes())
                .update(b"\n")
                .update(policy.digest.as_bytes());
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }

    /// All policies, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.values()
    }
}

impl Tenants {
    /// Whether two sets do the same: a date of the allow list may have passed without a change
    /// of any file.
    fn same_policies(&self, other: &Self) -> bool {
        self.policies.len() == other.policies.len()
            && self
                .iter()
                .zip(other.iter())
                .all(|(a, b)| a.tenant == b.tenant && a.digest == b.digest)
    }
}

/// JSON Schema of a tenant file.
pub fn schema() -> &'static Json {
    static SCHEMA: LazyLock<Json> = LazyLock::new(crate::diagnose::schema_of::<file::File>);
    &SCHEMA
}
