//! `[pipeline]`: how the worker starts and stops.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the worker stops.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Pipeline")]
pub struct Section {
    /// Seconds to finish objects under way after SIGTERM; after them the process ends with
    /// exit code 143 and the objects are done by the next run.
    #[schemars(range(min = 1, max = 3600))]
    pub drain_timeout_secs: u64,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            drain_timeout_secs: 20, // a third of the Helm chart's grace period of 60 s
        }
    }
}
