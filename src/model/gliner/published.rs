//! Folders of GLiNER models: as they are published, and with a manifest.
//!
//! A published folder has `gliner_config.json` and `tokenizer.json` in its root, or beside the graph in `onnx/`, where
//! the reference's own export puts them.

use std::{fs, io, path::Path};

use serde::Deserialize;

use super::{
    Settings,
    config::{Config, Encoders, Refusal, Scores},
};
use crate::model::{
    Error, GraphFile, Kind, Pack,
    pack::{Calibration, Manifest, PackFile, digest_of},
};

const CONFIG: &str = "gliner_config.json";

/// Graphs, the one that is taken first in front. Those of 32-bit floats: int8 was seen to lose 6 points of recall.
const GRAPHS: [&str; 9] = [
    "model.onnx",
    "text.onnx",
    "model_fp32.onnx",
    "model_quantized.onnx",
    "model_int8.onnx",
    "model_uint8.onnx",
    "model_q4.onnx",
    "model_q4f16.onnx",
    "model_fp16.onnx",
];

/// `pack.toml` of family `gliner`.
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
    #[serde(default)]
    gliner: Settings,
    #[serde(default)]
    calibration: Calibration,
    #[serde(default)]
    training: toml::Table,
    #[serde(default)]
    metrics: toml::Table,
    #[serde(default)]
    files: Vec<PackFile>,
}

/// Opens a folder in which a GLiNER model was published; `None` if it is another model's.
pub(in crate::model) fn open(folder: &Path) -> Result<Option<Pack>, Error> {
    let name = name_of(folder);
    if [CONFIG, "onnx/gliner_config.json"]
        .iter()
        .all(|file| !folder.join(file).is_file())
    {
        return match is_gliner2(folder) {
            true => Err(unsupported(
                &name,
                Refusal {
                    what: "it is a GLiNER2 model, for which no ONNX layout has been agreed on"
                        .to_owned(),
                    hint: "use a GLiNER model, such as gliner-pii-base with its ONNX graph",
                },
            )),
            false => Ok(None),
        };
    }
    let manifest = Manifest::without_files(&name, Kind::Gliner);
    complete(folder, manifest, Settings::default(), None).map(Some)
}

/// Opens a folder by its manifest.
pub(in crate::model) fn with_manifest(
    folder: &Path,
    file: &Path,
    text: &str,
) -> Result<Pack, Error> {
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
    let settings = &written.gliner;
    for (key, value, least) in [
        ("labels_per_prompt", Some(settings.labels_per_prompt), 1),
        ("max_words", settings.max_words, 1),
        ("max_tokens", settings.max_tokens, 64),
    ] {
        if value.is_some_and(|value| value < least) {
            return Err(problem(format!("gliner.{key} must be at least {least}")));
        }
    }
    if !settings.greedy && (settings.nested || settings.multi_label) {
        return Err(problem(
            "gliner.nested and gliner.multi_label say which spans are chosen, and without gliner.greedy all are: set it, or leave them out".to_owned(),
        ));
    }
    if written.calibration.slope.is_nan() || written.calibration.slope <= 0.0 {
        return Err(problem("calibration.slope must be above 0".to_owned()));
    }
    let mut manifest = Manifest::without_files(&written.name, Kind::Gliner);
    manifest.version = written.version;
    manifest.licence = written.licence;
    manifest.calibration = written.calibration;
    manifest.training = written.training;
    manifest.metrics = written.metrics;
    manifest.files = written.files;
    complete(folder, manifest, written.gliner, Some(text))
}

/// Finds the files that the settings leave out.
fn complete(
    folder: &Path,
    mut manifest: Manifest,
    mut settings: Settings,
    text: Option<&str>,
) -> Result<Pack, Error> {
    let name = manifest.name.clone();
    let missing = |file: &str, what: String| Error::File {
        pack: name.clone(),
        file: file.to_owned(),
        problem: what,
    };
    let first = |files: &[String]| {
        files
            .iter()
            .find(|file| folder.join(file).is_file())
            .cloned()
    };
    let in_both = |file: &str| [file.to_owned(), format!("onnx/{file}")];
    let config_file = settings.config.take().or_else(|| first(&in_both(CONFIG)));
    let config_file = config_file.ok_or_else(|| missing(CONFIG, "no such file".to_owned()))?;
    let read =
        |file: &str| fs::read(folder.join(file)).map_err(|error| missing(file, error.to_string()));
    let config = Config::read(&read(&config_file)?, &name_of(folder));
    let config = config.map_err(|refusal| unsupported(&name, refusal))?;
    let graph = settings.graph.take().or_else(|| {
        let places = GRAPHS
            .iter()
            .flat_map(|graph| [format!("onnx/{graph}"), (*graph).to_owned()]);
        first(&places.collect::<Vec<_>>())
    });
    let graph = graph.ok_or_else(|| {
        unsupported(&name, Refusal {
            what: "it has no ONNX graph (searched: onnx/model.onnx, model.onnx and those of fewer bits)".to_owned(),
            hint: "export one: `python -m weir_tools.gliner export FOLDER`, or `model.export_to_onnx(\"onnx\")` of the package gliner",
        })
    })?;
    let tokenizer = settings
        .tokenizer
        .take()
        .or_else(|| first(&in_both("tokenizer.json")));
    let tokenizer =
        tokenizer.ok_or_else(|| missing("tokenizer.json", "no such file".to_owned()))?;
    let mut files = vec![graph.clone(), config_file.clone(), tokenizer.clone()];
    if config.encoders == Encoders::Two {
        let labels_graph = settings.labels_graph.take().or_else(|| {
            let beside = graph
                .strip_suffix("text.onnx")
                .map(|place| format!("{place}labels.onnx"));
            beside.filter(|file| folder.join(file).is_file())
        });
        let places = [
            "labels_tokenizer/tokenizer.json",
            "onnx/labels_tokenizer/tokenizer.json",
            "../labels_tokenizer/tokenizer.json",
        ];
        let labels = settings.labels_tokenizer.take();
        let labels = labels.or_else(|| first(&places.map(str::to_owned))).ok_or_else(|| {
            unsupported(&name, Refusal {
                what: "it is a bi-encoder, and the tokenizer of its labels is missing (labels_tokenizer/tokenizer.json)".to_owned(),
                hint: "copy the folder labels_tokenizer of the published model into the folder of gliner_config.json",
            })
        })?;
        files.extend(labels_graph.clone());
        files.push(labels.clone());
        settings.labels_graph = labels_graph;
        settings.labels_tokenizer = Some(labels);
    }
    settings
        .merge
        .get_or_insert(config.nuner && config.scores == Scores::Words);
    settings.lower_case.get_or_insert(config.nuner);
    settings.config = Some(config_file);
    settings.tokenizer = Some(tokenizer.clone());
    manifest.tokenizer.file = tokenizer;
    manifest.backbone.file = graph.clone();
    settings.graph = Some(graph);
    manifest.gliner = Some(settings);
    let digest = match text {
        // It holds the files' digests.
        Some(text) if !manifest.files.is_empty() => {
            blake3::hash(text.as_bytes()).to_hex().to_string()
        }
        _ => {
            files.extend(external_data(folder, &files));
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            digest_of(folder, &name, text.unwrap_or_default(), &files)?
        }
    };
    Pack::checked(folder.to_path_buf(), manifest, digest, folder)
}

/// Files beside graphs in which their weights are: those that they name, and `model.onnx_data`, `model.onnx.data` and the
/// like.
fn external_data(folder: &Path, graphs: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for graph in graphs.iter().filter(|file| file.ends_with(".onnx")) {
        // A graph that cannot be read is reported by `Pack::verify`.
        let contents = GraphFile::open(&folder.join(graph)).unwrap_or_default();
        found.extend(contents.beside(graph));
        let (place, file) = graph
            .rsplit_once('/')
            .map_or(("", graph.as_str()), |(place, file)| (place, file));
        let beside = fs::read_dir(folder.join(place))
            .into_iter()
            .flatten()
            .flatten();
        let names = beside.filter_map(|entry| entry.file_name().into_string().ok());
        let data = |name: &String| {
            name.strip_prefix(file)
                .is_some_and(|rest| rest.starts_with("_data") || rest.starts_with(".data"))
        };
        found.extend(names.filter(data).map(|name| match place {
            "" => name,
            place => format!("{place}/{name}"),
        }));
    }
    found.sort();
    found.dedup();
    found
}

/// GLiNER2 publishes other files, with `"model_type": "extractor"`.
fn is_gliner2(folder: &Path) -> bool {
    #[derive(Deserialize)]
    struct File {
        model_type: Option<String>,
        architectures: Option<Vec<String>>,
        counting_layer: Option<serde_json::Value>,
    }
    let read = |path: &Path| -> io::Result<File> { Ok(serde_json::from_slice(&fs::read(path)?)?) };
    read(&folder.join("config.json")).is_ok_and(|file| {
        let extractor = |name: &str| name.eq_ignore_ascii_case("extractor");
        file.model_type.as_deref().is_some_and(extractor)
            || file
                .architectures
                .iter()
                .flatten()
                .any(|name| extractor(name))
            || file.counting_layer.is_some()
    })
}

/// Name of the folder, or of the one around `onnx/`.
fn name_of(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let mut names = folder.ancestors().filter_map(Path::file_name);
    let name = names.find(|name| *name != "onnx");
    name.map_or_else(
        || "published".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn unsupported(pack: &str, refusal: Refusal) -> Error {
    Error::Unsupported {
        pack: pack.to_owned(),
        what: refusal.what,
        hint: refusal.hint,
    }
}
