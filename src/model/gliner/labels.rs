//! Labels of a bi-encoder: their tokens, or, where its label encoder is a graph of its own, their vectors, kept on disk.

use std::sync::Mutex;

use ort::{session::Session, value::Tensor};

use super::graph::{self, LabelInput};
use crate::{
    model::{Error, Pack, label_cache::LabelCache, onnx},
    text::Tokenizer,
};

/// Label texts that go through the graph together: more only take more memory.
const TEXTS_PER_BATCH: usize = 64;

/// Makes labels ready. The graph is loaded when a label is first missed in the cache.
pub(super) struct Labels {
    pack: Pack,
    tokenizer: Tokenizer,
    /// The label encoder, if it is a graph of its own.
    graph: Option<String>,
    runtime: Option<std::path::PathBuf>,
    cache: LabelCache,
    session: Mutex<Option<Session>>,
    /// Most tokens of a label.
    limit: usize,
}

impl Labels {
    /// `graph` is the label encoder's, if there is one.
    pub(super) fn new(
        pack: &Pack,
        tokenizer: &str,
        graph: Option<String>,
        runtime: Option<std::path::PathBuf>,
        cache: Option<std::path::PathBuf>,
    ) -> Result<Self, Error> {
        Ok(Self {
            tokenizer: Tokenizer::from_file(&pack.path(tokenizer))?,
            cache: LabelCache::new(cache.map(|folder| folder.join(pack.digest()))),
            pack: pack.clone(),
            graph,
            runtime,
            session: Mutex::new(None),
            limit: 512,
        })
    }

    /// Whether there are vectors to compare.
    pub(super) fn has_vectors(&self) -> bool {
        self.graph.is_some()
    }

    /// The tokens of labels, in their order.
    pub(super) fn tokens(&self, wordings: &[&str]) -> Result<Vec<LabelInput>, Error> {
        let all = wordings
            .iter()
            .map(|wording| Ok(LabelInput::Tokens(self.row(wording)?)));
        all.collect()
    }

    fn row(&self, wording: &str) -> Result<Vec<u32>, Error> {
        let tokens = self.tokenizer.with_special_tokens(wording)?;
        match tokens.len() > self.limit {
            true => Err(Error::LabelTooLong {
                tokens: tokens.len(),
                limit: self.limit,
            }),
            false => Ok(tokens),
        }
    }

    /// What the text's graph needs of labels, in their order. Blocks for milliseconds a label that is in no cache.
    pub(super) fn encode(&self, wordings: &[&str]) -> Result<Vec<LabelInput>, Error> {
        let Some(file) = &self.graph else {
            return self.tokens(wordings);
        };
        let mut found: Vec<Option<Vec<f32>>> = wordings
            .iter()
            .map(|wording| self.cache.read(wording, None))
            .collect();
        let missing: Vec<usize> = (0..wordings.len())
            .filter(|at| found[*at].is_none())
            .collect();
        for batch in missing.chunks(TEXTS_PER_BATCH) {
            let rows = batch.iter().map(|at| self.row(wordings[*at]));
            let rows: Vec<Vec<u32>> = rows.collect::<Result<_, _>>()?;
            for (at, vector) in batch.iter().zip(self.run(file, &rows)?) {
                self.cache.write(wordings[*at], &vector);
                found[*at] = Some(vector);
            }
        }
        let vectors = found.into_iter().flatten().map(LabelInput::Vector);
        Ok(vectors.collect())
    }

    fn run(&self, file: &str, rows: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, Error> {
        let (shape, ids, mask) = graph::filled_up(rows, 0);
        let failed = |problem: String| Error::Run {
            windows: shape[0],
            width: shape[1],
            problem,
        };
        let run = |error: ort::Error| failed(error.to_string());
        let mut loaded = self
            .session
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let session = match &mut *loaded {
            Some(session) => session,
            None => {
                let environment = onnx::environment(self.runtime.as_deref())?;
                let session = graph::open(environment, &self.pack.path(file), 1);
                let problem = |error: ort::Error| {
                    graph::graph_error(self.pack.name(), file, error.to_string())
                };
                loaded.insert(session.map_err(problem)?)
            }
        };
        let ids = Tensor::from_array((shape, ids)).map_err(run)?;
        let mask = Tensor::from_array((shape, mask)).map_err(run)?;
        let outputs = session.run(ort::inputs! { "input_ids" => ids, "attention_mask" => mask });
        let outputs = outputs.map_err(run)?;
        let (found, values) = onnx::numbers(&outputs[0]).map_err(run)?;
        match found[..] {
            [labels, width] if labels == shape[0] as i64 && width > 0 => {
                if !values.iter().all(|value| value.is_finite()) {
                    return Err(failed(
                        "a label's vector holds a number that is not finite".to_owned(),
                    ));
                }
                Ok(values
                    .chunks_exact(width as usize)
                    .map(<[f32]>::to_vec)
                    .collect())
            }
            _ => Err(failed(format!(
                "the labels' vectors have shape {:?}, not (labels, width)",
                &found[..]
            ))),
        }
    }
}

/// Cosine of two vectors.
pub(super) fn alike(a: &LabelInput, b: &LabelInput) -> f32 {
    let (LabelInput::Vector(a), LabelInput::Vector(b)) = (a, b) else {
        return 0.0;
    };
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f32::EPSILON)
}
