//! What an ONNX graph says of other files and of operators, read without its weights.
//!
//! In:  the bytes of a `ModelProto` (onnx.proto), of which ONNX Runtime reads the rest.
//! Out: the files that hold its weights, and the operators that ONNX Runtime does not know by itself.
//! Holds: memory does not grow with the file, and weights are skipped: a protobuf library would make a value of each
//!        message of the file first.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufReader, Read, Seek},
    path::Path,
};

/// Domains of operators that ONNX Runtime brings: the empty one is `ai.onnx`.
const DOMAINS: [&str; 3] = ["", "ai.onnx", "com.microsoft"];

/// Deepest nesting of messages, as in the protobuf library of ONNX Runtime.
const DEPTH: usize = 100;

/// Longest name that is kept: paths of Linux have fewer bytes.
const NAME_BYTES: u64 = 4096;

/// Most different names of files, and of operators, that are kept. Exports with a file for each tensor have thousands.
const NAMES: usize = 1 << 14;

/// What a graph says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphFile {
    /// Files that hold its weights, relative to its own folder (`TensorProto.external_data`).
    pub external: BTreeSet<String>,
    /// Operators of other domains that the graph does not define itself: domain and name.
    pub foreign: BTreeSet<(String, String)>,
}

/// Why a graph cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not protobuf, or not a graph.
    #[error("it is not an ONNX graph: {what} at byte {at}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: u64,
    },
}

/// Messages of onnx.proto that lead to the names.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Training,
    Graph,
    Function,
    Node,
    Attribute,
    Sparse,
    Tensor,
    Entry,
}

impl Message {
    /// The message in a field.
    fn inside(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            (Self::Tensor, 13) => Self::Entry,
            _ => return None,
        })
    }

    /// The role of a text in a field: 0 is a name or key, 1 a domain or value.
    fn text(self, field: u64) -> Option<usize> {
        match (self, field) {
            (Self::Node, 4) | (Self::Function | Self::Entry, 1) => Some(0),
            (Self::Node, 7) | (Self::Function, 10) | (Self::Entry, 2) => Some(1),
            _ => None,
        }
    }
}

impl GraphFile {
    /// Reads a file.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        Self::read(fs::File::open(path)?)
    }

    /// Reads a graph.
    pub fn read(mut bytes: impl Read + Seek) -> Result<Self, Problem> {
        let end = bytes.seek(io::SeekFrom::End(0))?;
        bytes.rewind()?;
        let mut walk = Walk {
            bytes: BufReader::with_capacity(1 << 16, bytes),
            at: 0,
            found: Self::default(),
            defined: BTreeSet::new(),
        };
        walk.message(Message::Model, end, DEPTH)?;
        let mut found = walk.found;
        found
            .foreign
            .retain(|operator| !walk.defined.contains(operator));
        Ok(found)
    }
}

impl GraphFile {
    /// The files that hold the weights of the graph `file` of a pack, relative to the pack: those that stay in its folder.
    pub fn beside(&self, file: &str) -> impl Iterator<Item = String> {
        let folder = file.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        let plain = self.external.iter().filter(|place| is_plain(place));
        plain.map(move |place| match &folder {
            Some(folder) => format!("{folder}/{place}"),
            None => place.clone(),
        })
    }
}

/// Whether a path stays in its folder, and has one spelling: `a/../b` and `./b` are other spellings of `b`.
pub(super) fn is_plain(path: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "." | "..");
    !path.contains(['\\', '\0']) && path.split('/').all(is_name)
}

struct Walk<R> {
    bytes: BufReader<R>,
    at: u64,
    found: GraphFile,
    /// Functions of the graph itself: domain and name. Their bodies are walked as well.
    defined: BTreeSet<(String, String)>,
}

impl<R: Read + Seek> Walk<R> {
    fn message(&mut self, kind: Message, end: u64, depth: usize) -> Result<(), Problem> {
        if depth == 0 {
            return Err(self.malformed("messages are nested too deeply"));
        }
        // All texts of each role: of a field that comes twice, readers take one or the other.
        let mut texts: [Vec<String>; 2] = Default::default();
        while self.at < end {
            let tag = self.varint(end)?;
            match tag & 7 {
                0 => {
                    self.varint(end)?;
                }
                1 => self.skip(8, end)?,
                2 => {
                    let length = self.varint(end)?;
                    if length > end - self.at {
                        return Err(self.malformed("a field is longer than its message"));
                    }
                    let (field, stop) = (tag >> 3, self.at + length);
                    if let Some(inside) = kind.inside(field) {
                        self.message(inside, stop, depth - 1)?;
                    } else if let Some(role) = kind.text(field) {
                        let text = self.text(length)?;
                        if texts[role].len() < 16 && !texts[role].contains(&text) {
                            texts[role].push(text);
                        } else if texts[role].len() == 16 {
                            return Err(self.malformed("a name is repeated too often"));
                        }
                    } else {
                        self.skip(length, stop)?;
                    }
                }
                5 => self.skip(4, end)?,
                _ => return Err(self.malformed("a field of unknown type")),
            }
        }
        self.names(kind, texts)
    }

    /// Keeps what the texts of a message name.
    fn names(&mut self, kind: Message, texts: [Vec<String>; 2]) -> Result<(), Problem> {
        let [names, mut domains] = texts;
        if domains.is_empty() {
            // A field that is left out is the empty text.
            domains.push(String::new());
        }
        let operators = match kind {
            Message::Entry if names.iter().any(|key| key == "location") => {
                self.found.external.extend(domains);
                return match self.found.external.len() > NAMES {
                    true => Err(self.malformed("more than 16,384 files are named")),
                    false => Ok(()),
                };
            }
            Message::Node => &mut self.found.foreign,
            // Which of two names a function has depends on the reader: it defines neither.
            Message::Function if names.len() < 2 && domains.len() == 1 => &mut self.defined,
            _ => return Ok(()),
        };
        domains.retain(|domain| !DOMAINS.contains(&domain.as_str()));
        for domain in domains {
            operators.extend(names.iter().map(|name| (domain.clone(), name.clone())));
            if names.is_empty() {
                operators.insert((domain, String::new()));
            }
        }
        match operators.len() > NAMES {
            true => Err(self.malformed("more than 16,384 operators are named")),
            false => Ok(()),
        }
    }

    fn varint(&mut self, end: u64) -> Result<u64, Problem> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            if self.at >= end {
                return Err(self.malformed("a number is truncated"));
            }
            let mut byte = [0];
            self.bytes.read_exact(&mut byte)?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number is too long"))
    }

    fn skip(&mut self, length: u64, end: u64) -> Result<(), Problem> {
        if length > end - self.at {
            return Err(self.malformed("a field is truncated"));
        }
        let distance = i64::try_from(length).map_err(|_| self.malformed("a field is too long"))?;
        self.bytes.seek_relative(distance)?;
        self.at += length;
        Ok(())
    }

    fn text(&mut self, length: u64) -> Result<String, Problem> {
        if length > NAME_BYTES {
            return Err(self.malformed("a name is longer than 4,096 bytes"));
        }
        let mut text = String::new();
        let read = self.bytes.by_ref().take(length).read_to_string(&mut text);
        match read {
            Ok(read) if read as u64 == length => self.at += length,
            Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error.into()),
            _ => return Err(self.malformed("a name is not UTF-8")),
        }
        Ok(text)
    }

    fn malformed(&self, what: &'static str) -> Problem {
        Problem::Malformed { what, at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    // onnx.proto as far as it leads to names, as prost reads it: what the walk is compared with.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Model {
        #[prost(message, optional, tag = "7")]
        graph: Option<Graph>,
        #[prost(message, repeated, tag = "20")]
        training: Vec<Training>,
        #[prost(message, repeated, tag = "25")]
        functions: Vec<Function>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Training {
        #[prost(message, optional, tag = "2")]
        algorithm: Option<Graph>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Function {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(message, repeated, tag = "7")]
        nodes: Vec<Node>,
        #[prost(string, tag = "10")]
        domain: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Graph {
        #[prost(message, repeated, tag = "1")]
        nodes: Vec<Node>,
        #[prost(message, repeated, tag = "5")]
        initializers: Vec<Tensor>,
        #[prost(message, repeated, tag = "15")]
        sparse: Vec<Sparse>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Node {
        #[prost(string, repeated, tag = "1")]
        inputs: Vec<String>,
        #[prost(string, tag = "4")]
        operator: String,
        #[prost(message, repeated, tag = "5")]
        attributes: Vec<Attribute>,
        #[prost(string, tag = "7")]
        domain: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Attribute {
        #[prost(float, tag = "2")]
        float: f32,
        #[prost(message, optional, tag = "5")]
        tensor: Option<Tensor>,
        #[prost(message, optional, boxed, tag = "6")]
        graph: Option<Box<Graph>>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Sparse {
        #[prost(message, optional, tag = "1")]
        values: Option<Tensor>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Tensor {
        #[prost(int64, repeated, tag = "1")]
        dims: Vec<i64>,
        #[prost(bytes = "vec", tag = "9")]
        raw: Vec<u8>,
        #[prost(message, repeated, tag = "13")]
        external: Vec<Entry>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct Entry {
        #[prost(string, tag = "1")]
        key: String,
        #[prost(string, tag = "2")]
        value: String,
    }

    fn tensors(tensor: &Tensor, found: &mut GraphFile) {
        let places = tensor.external.iter().filter(|own| own.key == "location");
        found.external.extend(places.map(|own| own.value.clone()));
    }

    fn nodes(nodes: &[Node], found: &mut GraphFile) {
        for node in nodes {
            if !DOMAINS.contains(&node.domain.as_str()) {
                let operator = (node.domain.clone(), node.operator.clone());
                found.foreign.insert(operator);
            }
            for attribute in &node.attributes {
                attribute.tensor.iter().for_each(|own| tensors(own, found));
                attribute.graph.iter().for_each(|own| graph(own, found));
            }
        }
    }

    fn graph(graph: &Graph, found: &mut GraphFile) {
        nodes(&graph.nodes, found);
        graph
            .initializers
            .iter()
            .for_each(|own| tensors(own, found));
        let sparse = graph.sparse.iter().filter_map(|own| own.values.as_ref());
        sparse.for_each(|own| tensors(own, found));
    }

    fn plainly(model: &Model) -> GraphFile {
        let mut found = GraphFile::default();
        model.graph.iter().for_each(|own| graph(own, &mut found));
        let algorithms = model
            .training
            .iter()
            .filter_map(|own| own.algorithm.as_ref());
        algorithms.for_each(|own| graph(own, &mut found));
        for function in &model.functions {
            nodes(&function.nodes, &mut found);
        }
        for function in &model.functions {
            let operator = (function.domain.clone(), function.name.clone());
            found.foreign.remove(&operator);
        }
        found
    }

    fn read(model: &Model) -> GraphFile {
        GraphFile::read(Cursor::new(model.encode_to_vec())).unwrap()
    }

    fn word() -> impl Strategy<Value = String> {
        prop::sample::select(vec!["", "ai.onnx", "com.microsoft", "own", "é", "location"])
            .prop_map(str::to_owned)
    }

    fn a_tensor() -> impl Strategy<Value = Tensor> {
        let entries = prop::collection::vec((word(), word()), 0..3);
        let raw = prop::collection::vec(any::<u8>(), 0..300);
        (entries, raw, prop::collection::vec(any::<i64>(), 0..3)).prop_map(
            |(entries, raw, dims)| {
                let external = entries.into_iter().map(|(key, value)| Entry { key, value });
                Tensor {
                    dims,
                    raw,
                    external: external.collect(),
                }
            },
        )
    }

    fn a_graph() -> impl Strategy<Value = Graph> {
        let leaf = prop::collection::vec(a_tensor(), 0..3).prop_map(|initializers| Graph {
            initializers,
            ..Graph::default()
        });
        leaf.prop_recursive(3, 12, 3, |inner| {
            let attribute = (
                any::<f32>(),
                prop::option::of(a_tensor()),
                prop::option::of(inner),
            );
            let attribute = attribute.prop_map(|(float, tensor, graph)| Attribute {
                float: if float.is_nan() { 0.0 } else { float },
                tensor,
                graph: graph.map(Box::new),
            });
            let node = (word(), word(), prop::collection::vec(attribute, 0..3));
            let node = node.prop_map(|(operator, domain, attributes)| Node {
                inputs: vec!["x".to_owned()],
                operator,
                attributes,
                domain,
            });
            let sparse = prop::option::of(a_tensor()).prop_map(|values| Sparse { values });
            (
                prop::collection::vec(node, 0..3),
                prop::collection::vec(sparse, 0..2),
            )
                .prop_map(|(nodes, sparse)| Graph {
                    nodes,
                    sparse,
                    ..Graph::default()
                })
        })
    }

    proptest! {
        #[test]
        fn names_are_those_that_a_whole_reader_finds(
            own in prop::option::of(a_graph()),
            algorithm in prop::option::of(a_graph()),
            functions in prop::collection::vec((word(), word(), a_graph()), 0..3),
        ) {
            let functions = functions.into_iter().map(|(name, domain, body)| Function {
                name,
                domain,
                nodes: body.nodes,
            });
            let model = Model {
                graph: own,
                training: vec![Training { algorithm }],
                functions: functions.collect(),
            };
            prop_assert_eq!(read(&model), plainly(&model));
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let whole = Model::decode(bytes.as_slice());
            if let (Ok(model), Ok(found)) = (whole, GraphFile::read(Cursor::new(&bytes))) {
                let plain = plainly(&model);
                prop_assert!(plain.external.is_subset(&found.external));
                prop_assert!(plain.foreign.is_subset(&found.foreign));
            }
        }
    }

    #[test]
    fn a_function_of_the_graph_itself_is_no_foreign_operator() {
        let node = |domain: &str, operator: &str| Node {
            domain: domain.to_owned(),
            operator: operator.to_owned(),
            ..Node::default()
        };
        let model = Model {
            graph: Some(Graph {
                nodes: vec![node("pkg.torch", "Layer"), node("pkg.torch", "Other")],
                ..Graph::default()
            }),
            functions: vec![Function {
                name: "Layer".to_owned(),
                domain: "pkg.torch".to_owned(),
                nodes: vec![node("com.microsoft", "FusedGemm"), node("evil", "Run")],
            }],
            ..Model::default()
        };
        let foreign: Vec<String> = read(&model)
            .foreign
            .iter()
            .map(|(domain, name)| format!("{domain}:{name}"))
            .collect();
        assert_eq!(foreign, ["evil:Run", "pkg.torch:Other"]);
    }

    #[test]
    fn a_field_that_comes_twice_counts_both_times() {
        // A reader that takes the last value would see `com.microsoft`, one that takes the first would see `evil`.
        let mut node = Node {
            operator: "Run".to_owned(),
            domain: "evil".to_owned(),
            ..Node::default()
        }
        .encode_to_vec();
        node.extend(b"\x3a\x0dcom.microsoft");
        let mut graph = vec![0x0a, node.len() as u8];
        graph.extend(node);
        let mut model = vec![0x3a, graph.len() as u8];
        model.extend(graph);
        let found = GraphFile::read(Cursor::new(model)).unwrap();
        assert_eq!(
            found.foreign,
            [("evil".to_owned(), "Run".to_owned())].into()
        );
    }

    #[test]
    fn what_is_no_graph_is_refused_with_its_place() {
        let nested = (0..120).fold(Vec::new(), |inner: Vec<u8>, _| {
            // An attribute's graph, with a node that has the attribute.
            let attribute = [&[0x32], varint(inner.len()).as_slice(), &inner].concat();
            let node = [&[0x2a], varint(attribute.len()).as_slice(), &attribute].concat();
            [&[0x0a], varint(node.len()).as_slice(), &node].concat()
        });
        let nested = [&[0x3a], varint(nested.len()).as_slice(), &nested].concat();
        for (bytes, said) in [
            (
                b"\x3a\x05ab".to_vec(),
                "a field is longer than its message at byte 2",
            ),
            (b"\x80".to_vec(), "a number is truncated at byte 1"),
            (vec![0xff; 11], "a number is too long at byte 10"),
            (b"\x0d\0".to_vec(), "a field is truncated at byte 1"),
            (b"\x0b\x0c".to_vec(), "a field of unknown type at byte 1"),
            (nested, "messages are nested too deeply"),
        ] {
            let problem = GraphFile::read(Cursor::new(bytes)).unwrap_err().to_string();
            assert!(problem.contains(said), "{problem}");
        }
    }

    fn varint(mut value: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value > 0x7f {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }
}
