//! Folders of models that weir does not run as they are: what they hold, and what to do.

use std::{fs, path::Path};

use serde::Deserialize;

/// What a folder is.
#[derive(Debug, PartialEq)]
pub(super) struct Foreign {
    /// For people, behind "it is".
    pub what: String,
    /// What to do.
    pub hint: &'static str,
}

/// `config.json` and `adapter_config.json`, as far as they tell what a model is.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    architectures: Vec<String>,
    model_type: String,
    base_model_name_or_path: String,
}

/// Looks at the files of a folder that is no pack. `None` if they tell nothing.
pub(super) fn look(folder: &Path) -> Option<Foreign> {
    let is_here = |file: &str| folder.join(file).is_file();
    let config = |file: &str| -> Config {
        let bytes = fs::read(folder.join(file)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    };
    if is_here("adapter_config.json") {
        let base = match config("adapter_config.json").base_model_name_or_path {
            base if base.is_empty() => "a base model".to_owned(),
            base => base,
        };
        return Some(Foreign {
            what: format!("a LoRA adapter of {base}, not a whole model"),
            hint: "of a token classifier: `python -m weir_tools.classifier FOLDER OUT` in weir's tools/ merges and exports it; \
                   of a language model: serve it, and ask it over HTTP (a pack of family prompted)",
        });
    }
    if is_here("config.json") {
        return Some(of_transformers(config("config.json"), folder));
    }
    if is_here("meta.json") && is_here("config.cfg") {
        return Some(Foreign {
            what: "a spaCy pipeline".to_owned(),
            hint: "weir runs ONNX graphs: use a token classifier or a GLiNER model instead",
        });
    }
    let mut files: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let ends = |end: &str| files.iter().find(|file| file.ends_with(end));
    if let Some(file) = ends(".gguf") {
        return Some(Foreign {
            what: format!("a language model for llama.cpp ({file})"),
            hint: "serve it with llama-server, and ask it over HTTP (a pack of family prompted)",
        });
    }
    if let Some(file) = ends(".onnx") {
        return Some(Foreign {
            what: format!("a graph ({file}) without config.json"),
            hint: "fetch the model's config.json and tokenizer.json too: they name its labels and its tokens",
        });
    }
    let weights = ends(".safetensors")
        .or_else(|| ends(".bin"))
        .or_else(|| ends(".pt"))?;
    Some(Foreign {
        what: format!("weights ({weights}) without config.json"),
        hint: "fetch the model's whole folder, and export it to ONNX",
    })
}

/// A checkpoint of the library `transformers`, or a folder with parts of one.
fn of_transformers(config: Config, folder: &Path) -> Foreign {
    let architecture = config.architectures.into_iter().next();
    let name = architecture.unwrap_or_else(|| match config.model_type {
        kind if kind.is_empty() => "a model of unknown architecture".to_owned(),
        kind => kind,
    });
    if name.ends_with("ForTokenClassification") {
        return Foreign {
            what: format!("a token classifier ({name}) without an ONNX graph"),
            hint: "export it: `python -m weir_tools.classifier FOLDER OUT` in weir's tools/, or \
                   `optimum-cli export onnx --task token-classification --model FOLDER OUT`",
        };
    }
    if name.ends_with("ForCausalLM") || name.ends_with("ForConditionalGeneration") {
        return Foreign {
            what: format!("a language model ({name})"),
            hint: "serve it with vLLM or llama.cpp, and ask it over HTTP (a pack of family prompted)",
        };
    }
    if folder.join("modules.json").is_file() {
        return Foreign {
            what: format!("an encoder of sentences ({name}), which marks no places in a text"),
            hint: "use a token classifier, a GLiNER model, or weir-mini",
        };
    }
    Foreign {
        what: format!("a model ({name}) that marks no places in a text"),
        hint: "use a token classifier, a GLiNER model, or weir-mini",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_by_its_files() {
        let cases: [(&[(&str, &str)], Option<&str>); 10] = [
            (&[], None),
            (&[("README.md", "nothing")], None),
            (
                &[
                    (
                        "config.json",
                        r#"{"architectures": ["BertForTokenClassification"]}"#,
                    ),
                    ("model.safetensors", ""),
                ],
                Some("a token classifier (BertForTokenClassification) without an ONNX graph"),
            ),
            (
                &[("config.json", r#"{"architectures": ["LlamaForCausalLM"]}"#)],
                Some("a language model (LlamaForCausalLM)"),
            ),
            (
                &[
                    ("config.json", r#"{"model_type": "bert"}"#),
                    ("modules.json", "[]"),
                ],
                Some("an encoder of sentences (bert), which marks no places in a text"),
            ),
            (
                &[("config.json", "not json")],
                Some("a model (a model of unknown architecture) that marks no places in a text"),
            ),
            (
                &[
                    (
                        "adapter_config.json",
                        r#"{"base_model_name_or_path": "org/base"}"#,
                    ),
                    ("config.json", "{}"),
                ],
                Some("a LoRA adapter of org/base, not a whole model"),
            ),
            (
                &[("meta.json", "{}"), ("config.cfg", "")],
                Some("a spaCy pipeline"),
            ),
            (
                &[("tiny.gguf", "")],
                Some("a language model for llama.cpp (tiny.gguf)"),
            ),
            (
                &[("model.onnx", ""), ("vocab.txt", "")],
                Some("a graph (model.onnx) without config.json"),
            ),
        ];
        for (files, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            let found = look(folder.path()).map(|foreign| foreign.what);
            assert_eq!(found.as_deref(), expected, "{files:?}");
        }
    }
}
