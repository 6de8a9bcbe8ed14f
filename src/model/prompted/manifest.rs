//! A manifest of family `prompted`: there is no folder of a model beside it.

use std::path::Path;

use serde::Deserialize;

use super::{Dialect, Grammar, Language, Settings, Treatment, settings::Prompt};
use crate::model::{Error, Kind, Pack, pack::Manifest};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    name: String,
    #[serde(default)]
    version: String,
    #[allow(dead_code)] // read before
    family: String,
    #[serde(default)]
    licence: String,
    prompted: Settings,
    #[serde(default)]
    training: toml::Table,
    #[serde(default)]
    metrics: toml::Table,
}

/// Opens a manifest; `folder` is the one in which it stands.
pub(in crate::model) fn open(folder: &Path, file: &Path, text: &str) -> Result<Pack, Error> {
    let problem = |problem: String| Error::Manifest {
        path: file.display().to_string(),
        problem,
    };
    let written: Written =
        toml::from_str(text).map_err(|error| problem(error.message().to_owned()))?;
    if written.format != 1 {
        return Err(problem(format!(
            "format {} is not known, this version reads 1",
            written.format
        )));
    }
    if let Some(wrong) = written.prompted.problem() {
        return Err(problem(wrong));
    }
    // There are no files: weir runs no part of the model.
    let mut manifest = Manifest::without_files(&written.name, Kind::Prompted);
    manifest.version = written.version;
    manifest.licence = written.licence;
    manifest.training = written.training;
    manifest.metrics = written.metrics;
    manifest.prompted = Some(written.prompted);
    let digest = digest(&manifest);
    Pack::checked(folder.to_path_buf(), manifest, digest, file)
}

/// 64 hex digits of what changes results: everything but where the server is.
fn digest(manifest: &Manifest) -> String {
    let mut settings = manifest.prompted.clone().expect("a section of the family");
    (settings.url, settings.api_key_env) = (None, None);
    let settings = serde_json::to_string(&settings).expect("settings are JSON");
    let mut hasher = blake3::Hasher::new();
    for part in [&manifest.name, &manifest.version, &settings] {
        crate::digest::part(&mut hasher, part);
    }
    hasher.finalize().to_hex().to_string()
}

/// What a pack of the family is, for people: names and values.
pub fn described(pack: &Pack) -> Vec<(&'static str, String)> {
    let Some(settings) = &pack.manifest().prompted else {
        return Vec::new();
    };
    let mut rows = vec![
        ("model", settings.model.clone()),
        (
            "server",
            match &settings.url {
                Some(url) => format!("{url}, unless the configuration names another one"),
                None => "named by the configuration (model.server.url)".to_owned(),
            },
        ),
        (
            "prompt",
            match (&settings.prompt, settings.language) {
                (Prompt::Own(_), _) => "a template of the pack".to_owned(),
                (_, Language::Auto) => "b2ner, English or Chinese by the text".to_owned(),
                (_, Language::En) => "b2ner, English".to_owned(),
                (_, Language::Zh) => "b2ner, Chinese".to_owned(),
            },
        ),
        (
            "labels",
            format!(
                "at most {} in a prompt; more are asked in several prompts",
                settings.labels_per_prompt
            ),
        ),
        (
            "window",
            format!(
                "{} bytes of text, of which neighbours share {}; texts of at most {} bytes",
                settings.window_bytes, settings.overlap_bytes, settings.max_text_bytes
            ),
        ),
    ];
    if let Some(Grammar::Plain(dialect) | Grammar::Own { dialect, .. }) = &settings.grammar {
        let server = match dialect {
            Dialect::Vllm => "vLLM",
            Dialect::LlamaCpp => "llama.cpp",
        };
        rows.push(("grammar", format!("for {server}")));
    }
    let word = |treatment| match treatment {
        Treatment::Drop => "left out",
        Treatment::DeadLetter => "a dead letter",
    };
    rows.push((
        "unusable",
        format!(
            "values that are not in the text: {}; of labels not asked for: {}",
            word(settings.invented),
            word(settings.unasked)
        ),
    ));
    rows
}
