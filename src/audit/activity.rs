//! What a feed says was done: counts by tenant, label, operator and recognizer, for an auditor. No values.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::record::{
    Position,
    audit::{Audit, Finding, Kind, Outcome},
};

/// What was done, as far as a feed says. Its size follows from the policies, not from the records.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Activity {
    /// Documents, by tenant; a dead letter whose tenant was not known counts under an empty name.
    pub tenants: BTreeMap<String, Documents>,
    /// Findings.
    #[serde(serialize_with = "rows")]
    pub findings: BTreeMap<Treated, u64>,
    /// Dead letters, by code.
    pub dead_letters: BTreeMap<&'static str, u64>,
    /// Policies, in the order in which each was first used.
    pub policies: Vec<Used>,
    /// Fields in which something was found.
    pub fields: BTreeMap<String, u64>,
    /// Findings in fields that `fields` has no room for.
    pub more_fields: u64,
    /// What was done to values of a field, as far as there is room.
    #[serde(skip)]
    pub columns: BTreeMap<Column, BTreeMap<Step, u64>>,
}

/// A field of a topic's documents that a tenant owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Column {
    /// Topic.
    pub topic: String,
    /// Tenant.
    pub tenant: String,
    /// JSON Pointer without the numbers of items.
    pub field: String,
}

/// What was done to values of a label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// Label.
    pub label: String,
    /// Operator.
    pub operator: String,
    /// Why, if the tenant file says so.
    pub basis: Option<String>,
}

/// Documents of a tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Documents {
    /// Delivered.
    pub delivered: u64,
    /// Delivered, and nothing was found in them.
    pub without_findings: u64,
    /// Dead letters.
    pub dead_letters: u64,
}

/// What was done with values of a kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Treated {
    /// Tenant.
    pub tenant: String,
    /// Label.
    pub label: String,
    /// Operator; `keep` left the value as it was.
    pub operator: String,
    /// `model` or `pattern:NAME`.
    pub recognizer: String,
    /// Id of the key, for operators with one.
    pub key_id: Option<String>,
    /// Why the label is redacted, if the tenant file says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
}

/// A policy, and the records that it decided about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Tenant.
    pub tenant: String,
    /// Digest of the policy.
    pub policy: String,
    /// Digest of the model pack.
    pub pack: String,
    /// Version of weir.
    pub weir_version: String,
    /// Place of the first record.
    pub first: String,
    /// Place of the last one, in the order of the feed.
    pub last: String,
    /// Records.
    pub records: u64,
}

/// A pointer without the numbers of items, so that a list is one field.
fn without_items(pointer: &str) -> String {
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts = pointer.split('/');
    let parts: Vec<&str> = parts
        .map(|part| if is_index(part) { "*" } else { part })
        .collect();
    parts.join("/")
}

/// Most fields that are listed: the names of fields come from the records.
const FIELDS: usize = 1000;

fn rows<S: serde::Serializer>(
    findings: &BTreeMap<Treated, u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row<'t> {
        #[serde(flatten)]
        treated: &'t Treated,
        findings: u64,
    }
    serializer.collect_seq(findings.iter().map(|(treated, findings)| Row {
        treated,
        findings: *findings,
    }))
}

impl Activity {
    /// Counts a record.
    pub fn add(&mut self, record: &Audit) {
        if record.kind != Kind::Event {
            return;
        }
        let tenant = record.tenant.clone().unwrap_or_default();
        let documents = self.tenants.entry(tenant.clone()).or_default();
        match record.outcome {
            Some(Outcome::DeadLetter) => {
                documents.dead_letters += 1;
                let code = record.code.map_or("", |code| code.as_str());
                *self.dead_letters.entry(code).or_default() += 1;
            }
            _ => {
                documents.delivered += 1;
                documents.without_findings += u64::from(record.findings.is_empty());
            }
        }
        for finding in &record.findings {
            let treated = Treated {
                tenant: tenant.clone(),
                label: finding.label.clone(),
                operator: finding.operator.clone(),
                recognizer: finding.recognizer.clone(),
                key_id: finding.key_id.clone(),
                basis: finding.basis.clone(),
            };
            *self.findings.entry(treated).or_default() += 1;
            let field = without_items(&finding.field);
            self.column(record, &tenant, &field, finding);
            self.field(field);
        }
        self.used(&tenant, record);
    }

    fn column(&mut self, record: &Audit, tenant: &str, field: &str, finding: &Finding) {
        let Position::Kafka { topic, .. } = &record.source else {
            return;
        };
        let column = Column {
            topic: topic.clone(),
            tenant: tenant.to_owned(),
            field: field.to_owned(),
        };
        if self.columns.len() >= FIELDS && !self.columns.contains_key(&column) {
            return;
        }
        let step = Step {
            label: finding.label.clone(),
            operator: finding.operator.clone(),
            basis: finding.basis.clone(),
        };
        let steps = self.columns.entry(column).or_default();
        *steps.entry(step).or_default() += 1;
    }

    fn field(&mut self, field: String) {
        if let Some(count) = self.fields.get_mut(&field) {
            *count += 1;
        } else if self.fields.len() < FIELDS {
            self.fields.insert(field, 1);
        } else {
            self.more_fields += 1;
        }
    }

    fn used(&mut self, tenant: &str, record: &Audit) {
        let (Some(policy), Some(pack), Some(version)) =
            (&record.policy, &record.pack, &record.weir_version)
        else {
            return;
        };
        let place = record.source.to_string();
        let same = |own: &&mut Used| {
            (&*own.tenant, &own.policy, &own.pack, &own.weir_version)
                == (tenant, policy, pack, version)
        };
        // The newest is the likeliest.
        if let Some(used) = self.policies.iter_mut().rev().find(same) {
            used.last = place;
            used.records += 1;
            return;
        }
        self.policies.push(Used {
            tenant: tenant.to_owned(),
            policy: policy.clone(),
            pack: pack.clone(),
            weir_version: version.clone(),
            first: place.clone(),
            last: place,
            records: 1,
        });
    }
}
