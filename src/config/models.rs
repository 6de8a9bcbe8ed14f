//! `[models.NAME]`: further packs of the same worker.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A further pack. A tenant, or one label of a tenant, asks it with `model = "NAME"`; all others ask the pack of
/// `[model]`, which is also called `default`. The spans of all packs meet in the same conflict rule.
/// The packs share what `[model]` and `[batch]` give: `runtime`, `label_cache_dir`, and equal parts of the processor cores
/// and of `cache_bytes`. Each has a queue of its own.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FurtherModel")]
pub struct Section {
    /// The model pack, by name or folder as in `model.pack`.
    #[schemars(length(min = 1))]
    pub pack: String,
    /// Threads for this pack. Unset: an equal part of the processor cores that no pack's `threads` takes, at least one.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<u16>,
    /// Sessions that share the threads; each runs one batch at a time. Unset: one for each thread.
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    pub sessions: Option<u16>,
    /// As `model.categories`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, Vec<String>>,
    /// As `model.category_encoder`.
    #[serde(default)]
    pub category_encoder: Option<String>,
    /// As `model.trusted_keys`. Unset: the keys of `model.trusted_keys`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub trusted_keys: Option<Vec<String>>,
    /// For a pack that asks a server, such as `b2ner`: the server, and how weir asks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<super::server::Section>,
}
