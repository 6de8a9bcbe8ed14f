//! `[model]`: the pack and how it is run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The model pack, and how weir runs it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Model")]
pub struct Section {
    /// The model pack: a name such as `weir-mini`, or the path of its folder. weir searches for a
    /// name in the folder of the configuration, in the folders of the variable `WEIR_MODELS`, in
    /// the folder of the program, in `share/weir/models` and in the user's data folder, and in
    /// `models/` of these where that fits. A relative path in the file is relative to the file's
    /// folder.
    #[schemars(length(min = 1))]
    pub pack: String,
    /// ONNX Runtime's shared library; the variable `ORT_DYLIB_PATH` takes precedence. Unset: weir
    /// searches the folder of the program, `lib/weir`, `.weir/onnxruntime` of the source tree that
    /// the program was built in, and the system's library folders.
    #[serde(default)]
    pub runtime: Option<String>,
    /// Threads for the model. Unset: one for each processor core that this process may use.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1024))]
    pub threads: Option<u16>,
    /// Sessions that share the threads; each runs one batch at a time. Unset: one for each thread,
    /// which is 1.6 times as fast as one session of two threads (`weir bench`).
    #[serde(default)]
    #[schemars(range(min = 1, max = 64))]
    pub sessions: Option<u16>,
    /// Folder that keeps label vectors between runs; a worker without permission to write there
    /// computes them at each start. Unset: `weir/labels` in the user's cache folder
    /// (`XDG_CACHE_HOME`, or else `~/.cache`).
    #[serde(default)]
    pub label_cache_dir: Option<String>,
    /// For a pack with a fixed head: the categories of the model that a label stands for, such as
    /// `contact = ["private_email", "private_phone"]`. A label with the name of a category needs no
    /// entry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub categories: BTreeMap<String, Vec<String>>,
    /// For a pack with a fixed head: an adaptive pack, by name or folder as in `pack`, such as
    /// `weir-mini`. A label that has no entry in `categories` and is not the name of a category
    /// gets the category with the nearest label vector. Unset: such a label is an error.
    #[serde(default)]
    pub category_encoder: Option<String>,
    /// Public keys of publishers of packs, of the form `NAME+ID+KEY` that `weir audit keygen` prints.
    /// weir then refuses a pack that none of these keys signed (`weir model sign`), for every pack of
    /// the worker; [models](models.md#signed-packs) says how. Unset: weir needs no signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub trusted_keys: Option<Vec<String>>,
    /// For a pack that asks a server, such as `b2ner`: the server, and how weir asks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<super::server::Section>,
}
