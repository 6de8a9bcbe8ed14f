//! `[model]`: the pack and how it is run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model pack and how it is run.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Model")]
pub struct Section {
    /// Folder of the model pack. A relative path in the file is relative to the file's folder.
    #[schemars(length(min = 1))]
    pub pack: String,
    /// ONNX Runtime's shared library. Unset: the variable `ORT_DYLIB_PATH`, else the system's.
    #[serde(default)]
    pub runtime: Option<String>,
    /// Threads for the model. Unset: one for each processor core that this process may use.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<u16>,
    /// Sessions among which the threads are divided; each runs one batch at a time. Unset: one for
    /// each thread, which is 1.6 times as fast as one session of two threads (`weir bench`).
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    pub sessions: Option<u16>,
    /// Folder in which label vectors are kept between runs. Unset: only in memory.
    #[serde(default)]
    pub label_cache_dir: Option<String>,
    /// Most label vectors in memory; a vector is one label wording of one pack.
    #[serde(default = "label_cache_entries")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub label_cache_entries: u32,
    /// For a pack with a fixed head: the categories of the model that a label stands for, such as
    /// `contact = ["private_email", "private_phone"]`. A label that is called as a category is needs none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, Vec<String>>,
    /// For a pack with a fixed head: folder of an adaptive pack, such as `models/weir-mini`. A label that is
    /// called as no category is and stands in no table gets the category with the nearest label vector. Unset:
    /// such a label is an error.
    #[serde(default)]
    pub category_encoder: Option<String>,
}

fn label_cache_entries() -> u32 {
    16_384 // 10 kB a label at hidden size 640: 160 MB at most
}
