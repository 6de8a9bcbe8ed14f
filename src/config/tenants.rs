//! `[tenants]`: what each tenant asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What each tenant asked for.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tenants")]
pub struct Section {
    /// Folder with one file per tenant, `NAME.toml`; a worker watches it while it runs. A relative
    /// path in the file is relative to the file's folder.
    #[schemars(length(min = 1))]
    pub dir: String,
    /// Tenant of documents that name none. Unset: such documents become dead letters. A document
    /// that names an unknown tenant always becomes one.
    #[serde(default)]
    pub default: Option<String>,
}
