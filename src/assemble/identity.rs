//! Who a document is: its tenant and its id.

use crate::{
    config::{Ids, TenantFrom},
    record::{IdKey, IdRules, IdTreatment},
    source,
};

/// A key of a document as a JSON Pointer.
pub(super) fn pointer(key: &str) -> String {
    match key.starts_with('/') {
        true => key.to_owned(),
        false => format!("/{key}"),
    }
}

/// What becomes of ids.
pub(super) fn ids(ids: &Ids) -> IdRules {
    let Ids { hash, keep, key } = ids;
    IdRules {
        treatment: match (hash, keep) {
            (true, _) => IdTreatment::Hash,
            (false, true) => IdTreatment::Keep,
            (false, false) => IdTreatment::Redact,
        },
        key: match key {
            Some(secret) => IdKey::new(secret.expose().as_bytes()),
            None => IdKey::of_this_process(),
        },
        pointer: None, // of `source::Options::id`
    }
}

/// Where the tenant is named. A place that a source does not have was refused when the configuration was resolved.
pub(super) fn tenant(tenant: &TenantFrom) -> source::TenantFrom {
    match tenant {
        TenantFrom::Record => source::TenantFrom::Record,
        TenantFrom::Value(value) => source::TenantFrom::Value(value.clone()),
        TenantFrom::Field(key) => source::TenantFrom::Field(pointer(key)),
        TenantFrom::Column(column) => source::TenantFrom::Column(column.clone()),
        TenantFrom::Path(pattern) => source::TenantFrom::Path(pattern.as_regex().to_owned()),
        // Read by `topics.rs`.
        TenantFrom::Key(_) | TenantFrom::Header(_) => source::TenantFrom::Beside,
    }
}
