//! What published models with a fixed head call their classes.
//!
//! In:  `config.json` with `id2label`; or `ent2emb.json` (category to description) or `ent2emb.safetensors` (category
//!      to vector), whose order numbers the classes of a BIO head: B is 1 + 2i, I is 2 + 2i (design 4.3).
//! Out: names in the order of the logits.

use std::{collections::BTreeMap, fs, path::Path};

use safetensors::SafeTensors;
use serde::Deserialize;

use crate::model::Error;

const CONFIG: &str = "config.json";
const DESCRIPTIONS: &str = "ent2emb.json";
const VECTORS: &str = "ent2emb.safetensors";

/// Names of a published head.
#[derive(Debug, PartialEq)]
pub(super) struct Head {
    /// In the order of the logits.
    pub classes: Vec<String>,
    /// Of categories, where there are any.
    pub descriptions: BTreeMap<String, String>,
    /// The files that were read.
    pub files: Vec<&'static str>,
    /// Whether `ent2emb` numbers them.
    pub by_vectors: bool,
}

/// `config.json`, as far as it says how a model is run.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Config {
    #[serde(default)]
    id2label: BTreeMap<String, String>,
    /// Architecture.
    #[serde(default)]
    pub model_type: String,
    /// Places for tokens, special ones included.
    #[serde(default)]
    pub max_position_embeddings: Option<usize>,
    /// Band of the attention.
    #[serde(default)]
    pub sliding_window: Option<usize>,
    /// Which layers have the band, if not all have.
    #[serde(default)]
    pub layer_types: Option<Vec<String>>,
    #[serde(default)]
    pub num_hidden_layers: Option<usize>,
    #[serde(default)]
    pub pad_token_id: Option<u32>,
}

impl Config {
    /// Reads the file of `pack`.
    pub(super) fn read(folder: &Path, pack: &str) -> Result<Self, Error> {
        let problem = |problem: String| Error::File {
            pack: pack.to_owned(),
            file: CONFIG.to_owned(),
            problem,
        };
        let bytes = fs::read(folder.join(CONFIG)).map_err(|error| problem(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| problem(error.to_string()))
    }
}

impl Head {
    /// Reads the folder of `pack`. `ent2emb` counts for more than `config.json`, where such heads often have
    /// `LABEL_0`, `LABEL_1`, …
    pub(super) fn read(folder: &Path, config: &Config, pack: &str) -> Result<Self, Error> {
        let in_file = |file: &'static str, problem: String| Error::File {
            pack: pack.to_owned(),
            file: file.to_owned(),
            problem,
        };
        let read =
            |file| fs::read(folder.join(file)).map_err(|error| in_file(file, error.to_string()));
        let (file, categories, descriptions) = if folder.join(DESCRIPTIONS).is_file() {
            let described: serde_json::Map<String, serde_json::Value> =
                serde_json::from_slice(&read(DESCRIPTIONS)?)
                    .map_err(|error| in_file(DESCRIPTIONS, error.to_string()))?;
            let descriptions = described.iter().map(|(category, description)| {
                let text = description.as_str().ok_or_else(|| {
                    in_file(
                        DESCRIPTIONS,
                        format!("the description of `{category}` is not text"),
                    )
                })?;
                Ok((category.clone(), text.to_owned()))
            });
            let descriptions = descriptions.collect::<Result<BTreeMap<_, _>, Error>>()?;
            let categories = described.keys().cloned().collect();
            (DESCRIPTIONS, categories, descriptions)
        } else if folder.join(VECTORS).is_file() {
            let bytes = read(VECTORS)?;
            let (_, metadata) = SafeTensors::read_metadata(&bytes)
                .map_err(|error| in_file(VECTORS, error.to_string()))?;
            (VECTORS, metadata.offset_keys(), BTreeMap::new())
        } else {
            let classes = numbered(&config.id2label).map_err(|problem| in_file(CONFIG, problem))?;
            return Ok(Self {
                classes,
                descriptions: BTreeMap::new(),
                files: vec![CONFIG],
                by_vectors: false,
            });
        };
        let classes = begin_and_inside(&categories);
        let told = config.id2label.len();
        if told != 0 && told != classes.len() {
            return Err(in_file(
                file,
                format!(
                    "{} categories are {} classes, {CONFIG} has {told}",
                    categories.len(),
                    classes.len()
                ),
            ));
        }
        Ok(Self {
            classes,
            descriptions,
            files: vec![CONFIG, file],
            by_vectors: true,
        })
    }
}

fn begin_and_inside(categories: &[String]) -> Vec<String> {
    let mut classes = vec!["O".to_owned()];
    for category in categories {
        classes.extend([format!("B-{category}"), format!("I-{category}")]);
    }
    classes
}

fn numbered(names: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    if names.is_empty() {
        return Err("id2label is missing".to_owned());
    }
    let name = |number: usize| {
        let name = names.get(&number.to_string());
        name.cloned()
            .ok_or_else(|| format!("id2label has no class {number}"))
    };
    (0..names.len()).map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn read(files: &[(&str, &[u8])]) -> Result<Head, Error> {
        let folder = folder(files);
        let config = Config::read(folder.path(), "test")?;
        Head::read(folder.path(), &config, "test")
    }

    /// As the `safetensors` library writes it: the header's order is no order, the vectors' is.
    fn vectors() -> Vec<u8> {
        let header = br#"{"place":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"name":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header);
        file.extend([0; 8]);
        file
    }

    const BIO: [&str; 5] = ["O", "B-name", "I-name", "B-place", "I-place"];

    #[test]
    fn classes_are_those_of_the_config() {
        let config = br#"{"id2label": {"0": "O", "10": "k", "2": "B", "1": "A", "3": "C", "4": "D", "5": "E", "6": "F", "7": "G", "8": "H", "9": "J"}}"#;
        let found = read(&[("config.json", config)]).unwrap();
        assert_eq!(found.classes.join(""), "OABCDEFGHJk");
        assert_eq!(found.files, ["config.json"]);
        let error = read(&[("config.json", br#"{"id2label": {"0": "O", "2": "A"}}"#)]);
        assert!(error.unwrap_err().to_string().contains("no class 1"));
        let error = read(&[("config.json", b"{}")]).unwrap_err().to_string();
        assert!(
            error.contains("config.json") && error.contains("id2label"),
            "{error}"
        );
    }

    #[test]
    fn descriptions_number_classes_in_their_order() {
        let config = br#"{"id2label": {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2", "3": "LABEL_3", "4": "LABEL_4"}}"#;
        let own = br#"{"name": "what a person is called", "place": "a town"}"#;
        let found = read(&[("config.json", config), ("ent2emb.json", own)]).unwrap();
        assert_eq!(found.classes, BIO);
        assert_eq!(found.descriptions["place"], "a town");
        let turned = br#"{"place": "a town", "name": "what a person is called"}"#;
        let found = read(&[("config.json", b"{}"), ("ent2emb.json", turned)]).unwrap();
        assert_eq!(found.classes[1], "B-place");
    }

    #[test]
    fn vectors_number_classes_by_their_place() {
        let files: &[(&str, &[u8])] =
            &[("config.json", b"{}"), ("ent2emb.safetensors", &vectors())];
        let found = read(files).unwrap();
        assert_eq!(found.classes, BIO);
        assert_eq!(found.files, ["config.json", "ent2emb.safetensors"]);
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_names_the_file() {
        let config = br#"{"id2label": {"0": "O", "1": "B-x", "2": "I-x"}}"#;
        for (name, content, said) in [
            (
                "ent2emb.json",
                &br#"{"a": "b", "c": "d"}"#[..],
                "2 categories are 5 classes",
            ),
            ("ent2emb.json", br#"{"a": 3}"#, "`a` is not text"),
            ("ent2emb.json", b"{", "EOF"),
            ("ent2emb.safetensors", b"short", "header too small"),
        ] {
            let error = read(&[("config.json", config), (name, content)])
                .unwrap_err()
                .to_string();
            assert!(error.contains(name), "{error}");
            assert!(
                error.to_lowercase().contains(&said.to_lowercase()),
                "{error}"
            );
        }
    }
}
