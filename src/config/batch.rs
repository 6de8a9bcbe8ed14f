//! `[batch]`: how windows are put together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How weir puts windows together into batches.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Batch")]
pub struct Section {
    /// Maximum padded tokens in one batch. Throughput is flat up to about 1,000 and falls beyond;
    /// memory grows with it.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub max_tokens: u32,
    /// Milliseconds that a window waits for others while the batch is not full.
    #[schemars(range(min = 0, max = 60_000))]
    pub linger_ms: u32,
    /// Windows from which weir chooses a batch. Fewer: more padding. More: the first window waits
    /// longer and more text is in memory.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub look_ahead: u32,
    /// Bytes for results of equal windows under an equal label set; 0 turns the reuse off.
    pub cache_bytes: u64,
}

impl Default for Section {
    fn default() -> Self {
        Self {
            // Measured on two cores with weir-mini: 512 and 1,024 are alike, 4,096 is 15% slower,
            // because the batch no longer fits the caches (`weir bench --max-tokens`).
            max_tokens: 1024,
            linger_ms: 5,
            look_ahead: 256,
            cache_bytes: 64 * 1024 * 1024,
        }
    }
}
