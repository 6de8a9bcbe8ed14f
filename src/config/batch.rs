//! `[batch]`: how windows are put together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How windows are put together into batches.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Batch")]
pub struct Section {
    /// Most padded tokens in one batch. Throughput flattens near 1,000; memory grows with it.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_tokens: u32,
    /// Milliseconds that a window waits for company while the batch is not full.
    #[schemars(range(min = 0, max = 60_000))]
    pub linger_ms: u32,
    /// Windows looked at when a batch is cut. Fewer: more padding. More: the first window waits
    /// longer and more text sits in memory.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub look_ahead: u32,
    /// Bytes for results of equal windows under an equal label set; 0 turns the reuse off.
    pub cache_bytes: u64,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            // Four times the point at which throughput flattens on two AVX2 cores (design 4.2):
            // room for length order without much memory.
            max_tokens: 4096,
            linger_ms: 5,
            look_ahead: 512,
            cache_bytes: 64 * 1024 * 1024,
        }
    }
}
