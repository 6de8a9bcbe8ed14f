//! Tiny packs with random weights, made on the spot: real files, real ONNX Runtime, a receptive field of
//! two tokens a side. One is adaptive, with a label space like any other; one has a fixed head.

use std::{fs, io::Cursor, path::Path};

use ndarray_npy::NpzWriter;
use prost::Message;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sha2::{Digest as _, Sha256};

/// Hidden width.
const HIDDEN: usize = 16;

/// Tokens on each side that a hidden state depends on: two convolutions of width 3.
pub const RECEPTIVE_FIELD: usize = 2;

/// How a tiny pack is made.
pub struct Options {
    /// Seed of the weights.
    pub seed: u64,
    /// Most tokens of a window, special tokens included.
    pub max_window_tokens: usize,
    /// Halo.
    pub halo_tokens: usize,
    /// Added to O: higher, fewer entities.
    pub o_bias: f32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            max_window_tokens: 64,
            halo_tokens: 4,
            o_bias: 0.0,
        }
    }
}

/// Categories of the fixed head: with O, and B, I and E of each, as many classes as hidden states are wide.
pub const CATEGORIES: [&str; 5] = [
    "private_person",
    "private_email",
    "private_phone",
    "account_number",
    "secret",
];

/// Writes an adaptive pack into `folder`.
pub fn write(folder: &Path, options: &Options) {
    let vocabulary = vocabulary();
    let mut weights = StdRng::seed_from_u64(options.seed);
    let files: [(&str, Vec<u8>); 4] = [
        ("tokenizer.json", tokenizer(&vocabulary)),
        ("backbone.onnx", backbone(&mut weights, vocabulary.len())),
        (
            "label_encoder.onnx",
            label_encoder(&mut weights, vocabulary.len()),
        ),
        ("projection.npz", projection(&mut weights)),
    ];
    let family = r#"[label_encoder]
file = "label_encoder.onnx"
output = "vectors"
tokenizer = "tokenizer.json"
prefix = [2]
suffix = [3]
pad = 0
projection = "projection.npz"
"#;
    write_files(folder, options, "adaptive", family, &files);
}

/// Writes a pack with a fixed head and two operating points, `default` and `high_recall`, into `folder`.
pub fn write_head(folder: &Path, options: &Options) {
    let vocabulary = vocabulary();
    let mut weights = StdRng::seed_from_u64(options.seed);
    let point = |background_stay: f32| {
        serde_json::json!({"biases": {
            "transition_bias_background_stay": background_stay,
            "transition_bias_background_to_start": 0.0,
            "transition_bias_inside_to_continue": 0.0,
            "transition_bias_inside_to_end": 0.0,
            "transition_bias_end_to_background": 0.0,
            "transition_bias_end_to_start": 0.0,
        }})
    };
    let points = serde_json::json!({
        "operating_points": {"default": point(0.5), "high_recall": point(-0.5)},
    });
    let files: [(&str, Vec<u8>); 3] = [
        ("tokenizer.json", tokenizer(&vocabulary)),
        ("backbone.onnx", backbone(&mut weights, vocabulary.len())),
        (
            "viterbi_calibration.json",
            serde_json::to_vec(&points).unwrap(),
        ),
    ];
    let parts = CATEGORIES
        .iter()
        .flat_map(|category| ["B", "I", "E"].map(|part| format!("{part}-{category}")));
    let classes: Vec<String> = std::iter::once("O".to_owned()).chain(parts).collect();
    let family = format!(
        "[head]\nclasses = {}\ncalibration = \"viterbi_calibration.json\"\n",
        serde_json::json!(classes)
    );
    write_files(folder, options, "fixed_head", &family, &files);
}

/// Writes files and the manifest, with the sections that are the family's own.
fn write_files(
    folder: &Path,
    options: &Options,
    family: &str,
    sections: &str,
    files: &[(&str, Vec<u8>)],
) {
    fs::create_dir_all(folder).unwrap();
    let mut manifest = format!(
        r#"format = 1
name = "tiny"
version = "0.0.{seed}"
family = "{family}"
[dimensions]
hidden = {HIDDEN}
[limits]
max_window_tokens = {window}
halo_tokens = {halo}
max_label_tokens = 128
[tokenizer]
file = "tokenizer.json"
prefix = [2]
suffix = [3]
pad = 0
[backbone]
file = "backbone.onnx"
output = "hidden"
[calibration]
slope = 4.0
intercept = 0.0
o_bias = {bias:?}
{sections}"#,
        seed = options.seed,
        window = options.max_window_tokens,
        halo = options.halo_tokens,
        bias = options.o_bias,
    );
    for (name, bytes) in files {
        let digest = hex::encode(Sha256::digest(bytes));
        manifest += &format!(
            "[[files]]\npath = \"{name}\"\nsha256 = \"{digest}\"\nbytes = {}\n",
            bytes.len()
        );
        fs::write(folder.join(name), bytes).unwrap();
    }
    fs::write(folder.join("pack.toml"), manifest).unwrap();
}

/// Special tokens, then letters, digits and punctuation at the start of and inside words.
fn vocabulary() -> Vec<String> {
    let mut tokens: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        .map(str::to_owned)
        .into();
    let characters = ('a'..='z').chain('0'..='9').chain("é日本שלום🎉".chars());
    tokens
        .extend(characters.flat_map(|character| [character.to_string(), format!("##{character}")]));
    tokens.extend(
        "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
            .chars()
            .map(String::from),
    );
    tokens
}

fn tokenizer(vocabulary: &[String]) -> Vec<u8> {
    let vocab: serde_json::Map<String, serde_json::Value> = vocabulary
        .iter()
        .enumerate()
        .map(|(id, token)| (token.clone(), id.into()))
        .collect();
    let added: Vec<_> = vocabulary[..4]
        .iter()
        .enumerate()
        .map(|(id, token)| {
            serde_json::json!({"id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true})
        })
        .collect();
    serde_json::to_vec(&serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab},
    }))
    .unwrap()
}

fn projection(weights: &mut StdRng) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    let mut archive = NpzWriter::new(&mut file);
    archive
        .add_array(
            "o_embed",
            &ndarray::Array1::from(random(weights, HIDDEN, 1.0)),
        )
        .unwrap();
    archive.finish().unwrap();
    file.into_inner()
}

fn random(weights: &mut StdRng, count: usize, size: f32) -> Vec<f32> {
    (0..count)
        .map(|_| weights.random_range(-size..size))
        .collect()
}

/// Embedding → two masked convolutions of width 3.
fn backbone(weights: &mut StdRng, vocabulary: usize) -> Vec<u8> {
    let h = HIDDEN as i64;
    let initializers = vec![
        floats(
            "embedding",
            &[vocabulary as i64, h],
            random(weights, vocabulary * HIDDEN, 1.0),
        ),
        floats(
            "first",
            &[h, h, 3],
            random(weights, HIDDEN * HIDDEN * 3, 0.3),
        ),
        floats(
            "second",
            &[h, h, 3],
            random(weights, HIDDEN * HIDDEN * 3, 0.3),
        ),
        integers("one", &[1], &[1]),
    ];
    let pads = || vec![ints("pads", &[1, 1]), ints("kernel_shape", &[3])];
    let nodes = vec![
        node("Gather", &["embedding", "input_ids"], "embedded", vec![]),
        node(
            "Transpose",
            &["embedded"],
            "columns",
            vec![ints("perm", &[0, 2, 1])],
        ),
        node(
            "Cast",
            &["attention_mask"],
            "mask_float",
            vec![int("to", 1)],
        ),
        node("Unsqueeze", &["mask_float", "one"], "mask", vec![]),
        node("Mul", &["columns", "mask"], "masked", vec![]),
        node("Conv", &["masked", "first"], "conv_1", pads()),
        node("Tanh", &["conv_1"], "tanh_1", vec![]),
        node("Mul", &["tanh_1", "mask"], "masked_1", vec![]),
        node("Conv", &["masked_1", "second"], "conv_2", pads()),
        node(
            "Transpose",
            &["conv_2"],
            "hidden",
            vec![ints("perm", &[0, 2, 1])],
        ),
    ];
    model(nodes, initializers, "hidden", &["B", "T"], true)
}

/// Embedding → mean over the text.
fn label_encoder(weights: &mut StdRng, vocabulary: usize) -> Vec<u8> {
    let initializers = vec![
        floats(
            "embedding",
            &[vocabulary as i64, HIDDEN as i64],
            random(weights, vocabulary * HIDDEN, 2.0),
        ),
        integers("two", &[1], &[2]),
        integers("one", &[1], &[1]),
    ];
    let nodes = vec![
        node("Gather", &["embedding", "input_ids"], "embedded", vec![]),
        node(
            "Cast",
            &["attention_mask"],
            "mask_float",
            vec![int("to", 1)],
        ),
        node("Unsqueeze", &["mask_float", "two"], "mask", vec![]),
        node("Mul", &["embedded", "mask"], "masked", vec![]),
        node(
            "ReduceSum",
            &["masked", "one"],
            "sum",
            vec![int("keepdims", 0)],
        ),
        node(
            "ReduceSum",
            &["mask", "one"],
            "count",
            vec![int("keepdims", 0)],
        ),
        node("Div", &["sum", "count"], "vectors", vec![]),
    ];
    model(nodes, initializers, "vectors", &["B", "T"], false)
}

fn model(
    nodes: Vec<Node>,
    initializers: Vec<Tensor>,
    output: &str,
    input_shape: &[&str],
    by_token: bool,
) -> Vec<u8> {
    const FLOAT: i32 = 1;
    const INT64: i32 = 7;
    let named = |dim: &str| Dimension {
        value: None,
        name: Some(dim.to_owned()),
    };
    let width = Dimension {
        value: Some(HIDDEN as i64),
        name: None,
    };
    let input: Vec<Dimension> = input_shape.iter().map(|dim| named(dim)).collect();
    let output_shape = if by_token {
        vec![named("B"), named("T"), width]
    } else {
        vec![named("B"), width]
    };
    let graph = Graph {
        nodes,
        name: "tiny".to_owned(),
        initializers,
        inputs: ["input_ids", "attention_mask"]
            .iter()
            .map(|name| value(name, INT64, input.clone()))
            .collect(),
        outputs: vec![value(output, FLOAT, output_shape)],
    };
    Model {
        ir_version: 8,
        graph: Some(graph),
        opsets: vec![Opset {
            domain: String::new(),
            version: 17,
        }],
    }
    .encode_to_vec()
}

fn value(name: &str, element: i32, dims: Vec<Dimension>) -> Value {
    let tensor = TensorType {
        element,
        shape: Some(Shape { dims }),
    };
    Value {
        name: name.to_owned(),
        kind: Some(Type {
            tensor: Some(tensor),
        }),
    }
}

fn node(operator: &str, inputs: &[&str], output: &str, attributes: Vec<Attribute>) -> Node {
    Node {
        inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
        outputs: vec![output.to_owned()],
        name: output.to_owned(),
        operator: operator.to_owned(),
        attributes,
    }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        int: Some(value),
        ints: Vec::new(),
        kind: 2,
    }
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        int: None,
        ints: values.to_vec(),
        kind: 7,
    }
}

fn floats(name: &str, dims: &[i64], values: Vec<f32>) -> Tensor {
    let raw = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Tensor {
        dims: dims.to_vec(),
        element: 1,
        name: name.to_owned(),
        raw,
    }
}

fn integers(name: &str, dims: &[i64], values: &[i64]) -> Tensor {
    let raw = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    Tensor {
        dims: dims.to_vec(),
        element: 7,
        name: name.to_owned(),
        raw,
    }
}

// The part of onnx.proto that these graphs need.

#[derive(Message)]
struct Model {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    opsets: Vec<Opset>,
}

#[derive(Message)]
struct Opset {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    inputs: Vec<Value>,
    #[prost(message, repeated, tag = "12")]
    outputs: Vec<Value>,
}

#[derive(Message)]
struct Node {
    #[prost(string, repeated, tag = "1")]
    inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    outputs: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    operator: String,
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

#[derive(Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, optional, tag = "3")]
    int: Option<i64>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

#[derive(Message)]
struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    element: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw: Vec<u8>,
}

#[derive(Message)]
struct Value {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Type>,
}

#[derive(Message)]
struct Type {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorType>,
}

#[derive(Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    element: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dims: Vec<Dimension>,
}

#[derive(Clone, Message)]
struct Dimension {
    #[prost(int64, optional, tag = "1")]
    value: Option<i64>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
}
