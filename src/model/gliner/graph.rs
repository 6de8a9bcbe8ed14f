//! The ONNX graph of a GLiNER: rows of labels and words in, logits out.
//!
//! The shape of the logits is told by a probe when the graph is loaded, not by the names of their dimensions: those of
//! published graphs say other things than what comes out.

use std::{borrow::Cow, ops::Range, path::Path};

use ort::{
    environment::Environment,
    session::{Session, SessionInputValue, builder::GraphOptimizationLevel},
    value::Tensor,
};

use super::config::{Config, Pooling, Scores};
use crate::model::{Error, Pack, onnx};

/// One session, run by one thread at a time.
pub(super) struct Graph {
    session: Session,
    pack: String,
    file: String,
    takes: Takes,
    output: String,
    layout: Layout,
    scores: Scores,
    form: Form,
}

/// How rows are made.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) pooling: Pooling,
    /// Special tokens behind the words.
    pub(super) suffix: Vec<u32>,
    /// Fills short rows up.
    pub(super) pad: u32,
}

/// A row of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// What stands before the words: a special token, labels.
    pub(super) prefix: &'a [u32],
    /// Tokens of the words.
    pub(super) ids: &'a [u32],
    /// Where each word's tokens end.
    pub(super) ends: &'a [u32],
}

/// What a bi-encoder reads of a label.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LabelInput {
    /// Tokens, which the graph encodes.
    Tokens(Vec<u32>),
    /// Its vector.
    Vector(Vec<f32>),
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Takes {
    spans: bool,
    token_types: bool,
    label_tokens: bool,
    /// Name of the input of label vectors.
    label_vectors: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `(B, W, K, C)`
    Spans,
    /// `(B, W, C, 3)`
    Words,
    /// `(3, B, W, C)`, as graphs that were exported before August 2025.
    WordsLast,
}

/// Logits of a batch.
pub(super) struct Logits<'a> {
    values: &'a [f32],
    layout: Layout,
    /// Rows, words, and classes that each has.
    rows: usize,
    words: usize,
    width: usize,
    classes: usize,
}

/// The probe: one row of five words, and two labels.
const PROBE_WORDS: usize = 5;

impl Graph {
    /// Loads a graph, and probes it with two labels, or as many as it knows.
    pub(super) fn load(
        pack: &Pack,
        file: &str,
        environment: &'static Environment,
        threads: usize,
        config: &Config,
        form: Form,
    ) -> Result<Self, Error> {
        let (scores, relations) = (config.scores, config.relations);
        let problem = |error: ort::Error| graph_error(pack.name(), file, error.to_string());
        let session = open(environment, &pack.path(file), threads).map_err(problem)?;
        let takes = takes(&session, scores).map_err(|what| graph_error(pack.name(), file, what))?;
        if session.outputs().len() > 1 && relations {
            return Err(Error::Unsupported {
                pack: pack.name().to_owned(),
                what: format!(
                    "{file} also scores relations, and ONNX Runtime fails in that part of such graphs on texts of most lengths"
                ),
                hint: "export the part that finds entities: `python -m weir_tools.gliner export FOLDER OUT`",
            });
        }
        let outputs: Vec<&str> = session
            .outputs()
            .iter()
            .map(|output| output.name())
            .collect();
        let named = outputs.iter().find(|name| **name == "logits");
        let output = named
            .or(outputs.first())
            .map_or("", |name| *name)
            .to_owned();
        Ok(Self {
            session,
            pack: pack.name().to_owned(),
            file: file.to_owned(),
            takes,
            output,
            layout: match scores {
                Scores::Spans { .. } => Layout::Spans,
                Scores::Words => Layout::Words,
            },
            scores,
            form,
        })
    }

    /// Whether it takes vectors of labels, not their tokens.
    pub(super) fn takes_vectors(&self) -> bool {
        self.takes.label_vectors.is_some()
    }

    /// Whether it takes labels beside the text.
    pub(super) fn takes_labels(&self) -> bool {
        self.takes.label_tokens || self.takes_vectors()
    }

    /// Tells how its logits lie, by a row of five words that each are the token `word`.
    pub(super) fn probe(
        &mut self,
        prefix: &[u32],
        word: u32,
        labels: &[&LabelInput],
        classes: usize,
    ) -> Result<(), Error> {
        let (ids, ends) = ([word; PROBE_WORDS], [1, 2, 3, 4, 5]);
        let row = Row {
            prefix,
            ids: &ids,
            ends: &ends,
        };
        let words = PROBE_WORDS as i64;
        let shape = self.raw(&[row], labels, |shape, _| Ok(shape.to_vec()))?;
        let classes = classes as i64;
        let fits = |expected: &[i64]| shape == expected;
        self.layout = match self.scores {
            Scores::Spans { width } if fits(&[1, words, width as i64, classes]) => Layout::Spans,
            Scores::Words if fits(&[1, words, classes, 3]) => Layout::Words,
            Scores::Words if fits(&[3, 1, words, classes]) => Layout::WordsLast,
            Scores::Spans { width } => {
                return Err(self.error(format!(
                    "its logits have shape {shape:?}; those of a span model of {width} words have (1, {words}, {width}, {classes})"
                )));
            }
            Scores::Words => {
                return Err(self.error(format!(
                    "its logits have shape {shape:?}; those of a token model have (1, {words}, {classes}, 3) or (3, 1, {words}, {classes})"
                )));
            }
        };
        Ok(())
    }

    /// Runs rows; `labels` are a bi-encoder's, the same ones for all of them.
    pub(super) fn run<T>(
        &mut self,
        rows: &[Row],
        labels: &[&LabelInput],
        read: impl FnOnce(Logits) -> Result<T, String>,
    ) -> Result<T, Error> {
        let words = rows.iter().map(|row| row.ends.len()).max().unwrap_or(0);
        let (layout, scores, count) = (self.layout, self.scores, rows.len());
        self.raw(rows, labels, |shape, values| {
            let size = |at: usize| shape.get(at).map_or(0, |size| *size as usize);
            let width = match scores {
                Scores::Spans { width } => width,
                Scores::Words => 1,
            };
            let (rank, own, classes) = match layout {
                Layout::Spans => (4, [size(0), size(1), size(2)], size(3)),
                Layout::Words => (4, [size(0), size(1), size(3)], size(2)),
                Layout::WordsLast => (4, [size(1), size(2), size(0)], size(3)),
            };
            let third = match layout {
                Layout::Spans => width,
                _ => 3,
            };
            if shape.len() != rank || own != [count, words, third] {
                return Err(format!(
                    "the logits of {count} rows of {words} words have shape {shape:?}"
                ));
            }
            read(Logits {
                values,
                layout,
                rows: count,
                words,
                width,
                classes,
            })
        })
    }

    fn raw<T>(
        &mut self,
        rows: &[Row],
        labels: &[&LabelInput],
        read: impl FnOnce(&[i64], &[f32]) -> Result<T, String>,
    ) -> Result<T, Error> {
        let length = |row: &Row| row.prefix.len() + row.ids.len() + self.form.suffix.len();
        let width = rows.iter().map(length).max().unwrap_or(0);
        let windows = rows.len();
        let failed = |problem: String| Error::Run {
            windows,
            width,
            problem,
        };
        let feeds = feeds(rows, labels, width, &self.takes, self.scores, &self.form);
        let feeds = feeds.map_err(|error| failed(error.to_string()))?;
        let outputs = self
            .session
            .run(feeds)
            .map_err(|error| failed(error.to_string()))?;
        let output = onnx::numbers(&outputs[self.output.as_str()]);
        let (shape, values) = output.map_err(|error| failed(error.to_string()))?;
        read(&shape, &values).map_err(failed)
    }

    fn error(&self, problem: String) -> Error {
        graph_error(&self.pack, &self.file, problem)
    }
}

impl Logits<'_> {
    /// Classes that each row has a score for; a row with fewer labels has junk behind its own.
    pub(super) fn classes(&self) -> usize {
        self.classes
    }

    /// Of the span of `more + 1` words that begins at `word`.
    pub(super) fn span(&self, row: usize, word: usize, more: usize, class: usize) -> f32 {
        let at = ((row * self.words + word) * self.width + more) * self.classes + class;
        self.values[at]
    }

    /// Start, end and inside.
    pub(super) fn word(&self, row: usize, word: usize, class: usize) -> [f32; 3] {
        let at = (row * self.words + word) * self.classes + class;
        match self.layout {
            Layout::WordsLast => {
                let all = self.rows * self.words * self.classes;
                [0, 1, 2].map(|part| self.values[part * all + at])
            }
            _ => [0, 1, 2].map(|part| self.values[at * 3 + part]),
        }
    }
}

/// Opens a session as all of weir's are.
pub(super) fn open(
    environment: &'static Environment,
    path: &Path,
    threads: usize,
) -> Result<Session, ort::Error> {
    Session::builder(environment)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Spinning threads take the cores from the stages around the model.
        .with_intra_op_spinning(false)?
        .commit_from_file(path)
}

fn takes(session: &Session, scores: Scores) -> Result<Takes, String> {
    let names: Vec<&str> = session.inputs().iter().map(|input| input.name()).collect();
    let has = |name: &str| names.contains(&name);
    let mut takes = Takes::default();
    for name in &names {
        match *name {
            "input_ids"
            | "attention_mask"
            | "words_mask"
            | "text_lengths"
            | "span_mask"
            | "labels_attention_mask" => {}
            "span_idx" => takes.spans = true,
            "token_type_ids" => takes.token_types = true,
            "labels_input_ids" => takes.label_tokens = true,
            "labels_embeds" | "labels_embeddings" => takes.label_vectors = Some((*name).to_owned()),
            other => {
                return Err(format!(
                    "has an input `{other}` that weir does not know (has: {})",
                    names.join(", ")
                ));
            }
        }
    }
    let mut needed = vec!["input_ids", "attention_mask", "words_mask", "text_lengths"];
    if let Scores::Spans { .. } = scores {
        needed.extend(["span_idx", "span_mask"]);
    }
    if scores == Scores::Words && takes.spans {
        return Err(
            "has an input `span_idx`, and gliner_config.json says that it scores words (span_mode)"
                .to_owned(),
        );
    }
    if takes.label_tokens {
        needed.push("labels_attention_mask");
    }
    match needed.into_iter().find(|name| !has(name)) {
        Some(missing) => Err(format!(
            "has no input `{missing}` (has: {})",
            names.join(", ")
        )),
        None => Ok(takes),
    }
}

type Feeds = Vec<(Cow<'static, str>, SessionInputValue<'static>)>;

fn feeds(
    rows: &[Row],
    labels: &[&LabelInput],
    width: usize,
    takes: &Takes,
    scores: Scores,
    form: &Form,
) -> Result<Feeds, ort::Error> {
    let count = rows.len();
    let mut ids = vec![i64::from(form.pad); count * width];
    let mut mask = vec![0_i64; count * width];
    let mut words_mask = vec![0_i64; count * width];
    for (number, row) in rows.iter().enumerate() {
        let start = number * width;
        let tokens = row.prefix.iter().chain(row.ids).chain(&form.suffix);
        for (at, id) in tokens.enumerate() {
            ids[start + at] = i64::from(*id);
            mask[start + at] = 1;
        }
        let mut from = 0;
        for (word, &end) in row.ends.iter().enumerate() {
            for at in numbered(from..end as usize, form.pooling) {
                words_mask[start + row.prefix.len() + at] = word as i64 + 1;
            }
            from = end as usize;
        }
    }
    let lengths: Vec<i64> = rows.iter().map(|row| row.ends.len() as i64).collect();
    let shape = [count, width];
    let mut feeds: Feeds = vec![
        ("input_ids".into(), Tensor::from_array((shape, ids))?.into()),
        (
            "attention_mask".into(),
            Tensor::from_array((shape, mask))?.into(),
        ),
        (
            "words_mask".into(),
            Tensor::from_array((shape, words_mask))?.into(),
        ),
        (
            "text_lengths".into(),
            Tensor::from_array(([count, 1], lengths))?.into(),
        ),
    ];
    if takes.token_types {
        let zeros = vec![0_i64; count * width];
        feeds.push((
            "token_type_ids".into(),
            Tensor::from_array((shape, zeros))?.into(),
        ));
    }
    if let (true, Scores::Spans { width }) = (takes.spans, scores) {
        let words = rows.iter().map(|row| row.ends.len()).max().unwrap_or(0);
        let mut spans = Vec::with_capacity(count * words * width * 2);
        let mut whole = Vec::with_capacity(count * words * width);
        for row in rows {
            for start in 0..words {
                for end in start..start + width {
                    let inside = end < row.ends.len();
                    spans.extend(if inside {
                        [start as i64, end as i64]
                    } else {
                        [0, 0]
                    });
                    whole.push(inside);
                }
            }
        }
        feeds.push((
            "span_idx".into(),
            Tensor::from_array(([count, words * width, 2], spans))?.into(),
        ));
        feeds.push((
            "span_mask".into(),
            Tensor::from_array(([count, words * width], whole))?.into(),
        ));
    }
    if takes.label_tokens {
        let tokens = |label: &&LabelInput| match label {
            LabelInput::Tokens(tokens) => tokens.clone(),
            LabelInput::Vector(_) => Vec::new(),
        };
        let tokens: Vec<Vec<u32>> = labels.iter().map(tokens).collect();
        let (shape, ids, mask) = filled_up(&tokens, form.pad);
        feeds.push((
            "labels_input_ids".into(),
            Tensor::from_array((shape, ids))?.into(),
        ));
        feeds.push((
            "labels_attention_mask".into(),
            Tensor::from_array((shape, mask))?.into(),
        ));
    }
    if let Some(name) = &takes.label_vectors {
        let mut all = Vec::new();
        for label in labels {
            if let LabelInput::Vector(vector) = label {
                all.extend_from_slice(vector);
            }
        }
        let shape = [labels.len(), all.len() / labels.len().max(1)];
        feeds.push((
            name.clone().into(),
            Tensor::from_array((shape, all))?.into(),
        ));
    }
    Ok(feeds)
}

/// Which tokens of a word carry its number.
fn numbered(tokens: Range<usize>, pooling: Pooling) -> Range<usize> {
    match pooling {
        Pooling::First => tokens.start..tokens.start + 1,
        Pooling::Last => tokens.end - 1..tokens.end,
        Pooling::Mean | Pooling::Max => tokens,
    }
}

/// Rows of ids and their mask, filled up on the right.
pub(super) fn filled_up(rows: &[Vec<u32>], pad: u32) -> ([usize; 2], Vec<i64>, Vec<i64>) {
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut ids = vec![i64::from(pad); rows.len() * width];
    let mut mask = vec![0; rows.len() * width];
    for (number, row) in rows.iter().enumerate() {
        for (at, id) in row.iter().enumerate() {
            ids[number * width + at] = i64::from(*id);
            mask[number * width + at] = 1;
        }
    }
    ([rows.len(), width], ids, mask)
}

pub(super) fn graph_error(pack: &str, file: &str, problem: String) -> Error {
    Error::Graph {
        pack: pack.to_owned(),
        file: file.to_owned(),
        problem,
    }
}
