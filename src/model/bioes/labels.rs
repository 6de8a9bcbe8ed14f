//! The label encoder: four texts a label through a graph, kept on disk by pack and text.

use std::{collections::HashMap, path::PathBuf, sync::Mutex};

use ort::{session::Session, value::Tensor};

use super::given::Given;
use crate::model::{
    Conditions, Error, Pack,
    label_cache::LabelCache,
    onnx,
    pack::{LabelEncoder, Projection},
};
use crate::text::Tokenizer;

/// Vectors of a label set, in the space of the backbone's hidden states.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelVectors {
    /// Width of a vector.
    pub hidden: usize,
    /// Vector of O.
    pub outside: Vec<f32>,
    /// Per label: B, I, E, S, each of `hidden` numbers.
    pub labels: Vec<[Vec<f32>; 4]>,
}

impl LabelVectors {
    /// Mean cosine of the four vectors of two labels, each less O's.
    pub fn alike(&self, a: usize, b: usize) -> f32 {
        let cosine = |class: usize| {
            let less_o = |label: usize| {
                let pairs = self.labels[label][class].iter().zip(&self.outside);
                pairs.map(|(x, o)| x - o).collect::<Vec<f32>>()
            };
            let (a, b) = (less_o(a), less_o(b));
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
            dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt().max(f32::EPSILON)
        };
        (0..4).map(cosine).sum::<f32>() / 4.0
    }
}

/// Runs the label encoder. The graph is loaded when a label is first missed in the cache.
#[derive(Debug)]
pub struct Encoder {
    pack: Pack,
    options: LabelEncoder,
    runtime: Option<PathBuf>,
    cache: LabelCache,
    projection: Projection,
    given: Given,
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Debug)]
struct Loaded {
    session: Session,
    tokenizer: Tokenizer,
}

/// Label texts that go through the graph together: more only take more memory.
const TEXTS_PER_BATCH: usize = 64;

impl Encoder {
    /// Sets an encoder up. `cache` is the folder for vectors, `None` to keep none.
    pub fn new(
        pack: &Pack,
        runtime: Option<PathBuf>,
        cache: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let Some(options) = pack.manifest().label_encoder.clone() else {
            return Err(Error::NoLabelEncoder {
                pack: pack.name().to_owned(),
            });
        };
        let projection = Projection::read(&pack.path(&options.projection), pack.name())?;
        let hidden = pack.manifest().dimensions.hidden;
        if projection.outside.len() != hidden {
            return Err(Error::Graph {
                pack: pack.name().to_owned(),
                file: options.projection.clone(),
                problem: format!(
                    "o_embed has {} numbers, the manifest says {hidden}",
                    projection.outside.len()
                ),
            });
        }
        let given = Given::read(pack, &options)?;
        // The digest covers the templates, so a folder per pack needs no other key than the text.
        let cache = LabelCache::new(cache.map(|folder| folder.join(pack.digest())));
        Ok(Self {
            pack: pack.clone(),
            options,
            runtime,
            cache,
            projection,
            given,
            loaded: Mutex::new(None),
        })
    }

    /// The vectors of label wordings, in their order. Blocks for milliseconds a label that is in
    /// no cache: call it where blocking is allowed.
    pub fn encode(&self, wordings: &[&str]) -> Result<LabelVectors, Error> {
        Ok(self.encode_for_injection(wordings)?.0)
    }

    /// [`Encoder::encode`], and what the backbone is conditioned on, if the pack's is.
    pub fn encode_for_injection(
        &self,
        wordings: &[&str],
    ) -> Result<(LabelVectors, Option<Conditions>), Error> {
        let encoded = wordings
            .iter()
            .filter(|wording| self.given.vectors(wording).is_none());
        let texts: Vec<String> = encoded
            .flat_map(|wording| self.options.templates.texts(self.given.described(wording)))
            .collect();
        let mut vectors: HashMap<&str, Vec<f32>> = HashMap::new();
        let mut missing: Vec<&str> = Vec::new();
        for text in &texts {
            if vectors.contains_key(text.as_str()) {
                continue;
            }
            match self.cache.read(text, Some(self.numbers())) {
                Some(vector) => drop(vectors.insert(text, vector)),
                None => {
                    vectors.insert(text, Vec::new());
                    missing.push(text);
                }
            }
        }
        if !missing.is_empty() {
            let mut loaded = self
                .loaded
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if loaded.is_none() {
                *loaded = Some(self.load()?);
            }
            let loaded = loaded.as_mut().expect("loaded above");
            for batch in missing.chunks(TEXTS_PER_BATCH) {
                for (text, vector) in batch.iter().zip(self.run(loaded, batch)?) {
                    self.cache.write(text, &vector);
                    vectors.insert(text, vector);
                }
            }
        }
        let hidden = self.projection.outside.len();
        let of = |text: &String| &vectors[text.as_str()][..];
        let mut encoded = texts.chunks_exact(4);
        let labels = wordings
            .iter()
            .map(|wording| match self.given.vectors(wording) {
                Some(given) => given.clone(),
                None => {
                    let four = encoded
                        .next()
                        .expect("four texts for each label that is not given");
                    [0, 1, 2, 3].map(|at| of(&four[at])[..hidden].to_vec())
                }
            });
        let labels = labels.collect();
        let conditions = (self.points() > 0).then(|| {
            let mut values = Vec::with_capacity(self.points() * wordings.len() * hidden);
            for point in 1..=self.points() {
                for four in texts.chunks_exact(4) {
                    let at = point * hidden..(point + 1) * hidden;
                    let mut mean = vec![0.0; hidden];
                    for text in four {
                        for (sum, value) in mean.iter_mut().zip(&of(text)[at.clone()]) {
                            *sum += value / 4.0;
                        }
                    }
                    values.append(&mut mean);
                }
            }
            Conditions {
                points: self.points(),
                labels: wordings.len(),
                hidden,
                values,
            }
        });
        let vectors = LabelVectors {
            hidden,
            outside: self.projection.outside.clone(),
            labels,
        };
        Ok((vectors, conditions))
    }

    fn points(&self) -> usize {
        let injection = self.pack.manifest().injection.as_ref();
        injection.map_or(0, |injection| injection.points)
    }

    /// Numbers of one text: its vector, then what is injected, point by point.
    fn numbers(&self) -> usize {
        self.projection.outside.len() * (1 + self.points())
    }

    fn load(&self) -> Result<Loaded, Error> {
        let options = &self.options;
        let path = self.pack.path(&options.graph.file);
        let problem = |error: ort::Error| Error::Graph {
            pack: self.pack.name().to_owned(),
            file: options.graph.file.clone(),
            problem: error.to_string(),
        };
        let session = Session::builder(onnx::environment(self.runtime.as_deref())?)
            .and_then(|mut builder| builder.commit_from_file(&path))
            .map_err(problem)?;
        Ok(Loaded {
            session,
            tokenizer: Tokenizer::from_file(&self.pack.path(&options.tokenizer))?,
        })
    }

    /// Numbers of a batch of label texts.
    fn run(&self, loaded: &mut Loaded, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        let options = &self.options;
        let limit = self.pack.manifest().limits.max_label_tokens;
        let mut rows: Vec<Vec<u32>> = Vec::with_capacity(texts.len());
        for text in texts {
            let row = if options.prefix.is_empty() && options.suffix.is_empty() {
                loaded.tokenizer.with_special_tokens(text)?
            } else {
                let tokens = loaded.tokenizer.tokens(text)?;
                [&options.prefix[..], &tokens.ids, &options.suffix].concat()
            };
            if row.len() > limit {
                return Err(Error::LabelTooLong {
                    tokens: row.len(),
                    limit,
                });
            }
            rows.push(row);
        }
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let (ids, mask) = onnx::filled_up(&rows, width, options.pad);
        let failed = |problem: String| Error::Run {
            windows: rows.len(),
            width,
            problem,
        };
        let shape = [rows.len(), width];
        let ids = Tensor::from_array((shape, ids)).map_err(|error| failed(error.to_string()))?;
        let mask = Tensor::from_array((shape, mask)).map_err(|error| failed(error.to_string()))?;
        let outputs = loaded
            .session
            .run(ort::inputs! { options.graph.input_ids.as_str() => ids, options.graph.attention_mask.as_str() => mask })
            .map_err(|error| failed(error.to_string()))?;
        let output = if options.graph.output.is_empty() {
            &outputs[0]
        } else {
            &outputs[options.graph.output.as_str()]
        };
        let (shape, values) = output
            .try_extract_tensor::<f32>()
            .map_err(|error| failed(error.to_string()))?;
        let (stride, width) = match shape[..] {
            [_, width] => (width as usize, width as usize),
            [_, tokens, width] => ((tokens * width) as usize, width as usize),
            _ => {
                return Err(failed(format!(
                    "the label encoder's output has shape {:?}, not (n, width)",
                    &shape[..]
                )));
            }
        };
        let mut found: Vec<Vec<f32>> = (0..rows.len())
            .map(|row| {
                self.projection
                    .apply(&values[row * stride..row * stride + width])
                    .map_err(failed)
            })
            .collect::<Result<_, _>>()?;
        let Some(injection) = &self.pack.manifest().injection else {
            return Ok(found);
        };
        let Some(output) = outputs.get(&injection.output) else {
            return Err(failed(format!(
                "the label encoder has no output `{}`",
                injection.output
            )));
        };
        let (shape, values) = output
            .try_extract_tensor::<f32>()
            .map_err(|error| failed(error.to_string()))?;
        let row = injection.points * self.projection.outside.len();
        let wanted = [
            rows.len() as i64,
            injection.points as i64,
            self.projection.outside.len() as i64,
        ];
        if shape[..] != wanted {
            return Err(failed(format!(
                "`{}` has shape {:?}, not {wanted:?}",
                injection.output,
                &shape[..]
            )));
        }
        for (own, more) in found.iter_mut().zip(values.chunks_exact(row)) {
            own.extend_from_slice(more);
        }
        Ok(found)
    }
}
