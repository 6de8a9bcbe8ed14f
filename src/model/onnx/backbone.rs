use std::path::PathBuf;

use ort::{
    environment::Environment,
    session::{
        Session,
        builder::{GraphOptimizationLevel, SessionBuilder},
    },
};

use super::{
    Conditions, environment,
    feeds::{self, LABEL_SETS, POSITIONS, SEGMENTS, TOKEN_SETS, TOKEN_TYPES},
    numbers,
};
use crate::model::{Error, Graph, Layout, Pack};

/// The token encoder: one session, run by one thread at a time.
pub struct Backbone {
    session: Session,
    pack: Pack,
    /// Names of its inputs of ids and mask.
    inputs: [String; 2],
    /// What else a padded graph asks for.
    further: Vec<&'static str>,
    output: String,
}

/// A row of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Tokens of a window.
    pub ids: &'a [u32],
    /// What its layers are conditioned on, where the pack's are.
    pub conditions: Option<&'a Conditions>,
}

/// Hidden states of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Hidden {
    /// As the graph gives them, special tokens included.
    values: Vec<f32>,
    /// Where each window starts, in tokens.
    starts: Vec<usize>,
    hidden: usize,
    /// Special tokens in front of a window.
    skipped: usize,
}

impl Backbone {
    /// Loads `count` sessions of `threads` threads each. They share weights that are packed in the graph's file, as
    /// those of [`Backbone::copy`] are; of another graph each packs its own.
    pub fn load(
        pack: &Pack,
        runtime: Option<PathBuf>,
        count: usize,
        threads: usize,
    ) -> Result<Vec<Self>, Error> {
        let environment = environment(runtime.as_deref())?;
        // Side by side: planning the memory of ten thousand nodes takes seconds, on one core.
        let loaded: Result<Vec<Self>, Error> = std::thread::scope(|scope| {
            let loading: Vec<_> = (0..count)
                .map(|_| scope.spawn(move || Self::one(pack, environment, threads)))
                .collect();
            let loaded = loading.into_iter();
            loaded
                .map(|one| one.join().expect("loading does not panic"))
                .collect()
        });
        loaded
    }

    fn one(pack: &Pack, environment: &'static Environment, threads: usize) -> Result<Self, Error> {
        let options = &pack.manifest().backbone;
        let session = builder(environment, options, threads)
            .and_then(|mut builder| builder.commit_from_file(pack.path(&options.file)))
            .map_err(|error: ort::Error| graph_error(pack, error.to_string()))?;
        let inputs = named(&session, options);
        let asks = |name: &&str| session.inputs().iter().any(|input| input.name() == *name);
        let further = match options.layout {
            Layout::Padded => FURTHER.into_iter().filter(asks).collect(),
            Layout::Packed => Vec::new(),
        };
        let backbone = Self {
            output: output(&session, pack)?,
            session,
            pack: pack.clone(),
            inputs,
            further,
        };
        backbone.check()?;
        Ok(backbone)
    }

    /// Writes a copy of the pack's graph in front to its folder, with weights packed for this processor, so that
    /// sessions map them instead of packing them each for itself. Returns the size of its weights in bytes.
    pub fn copy(pack: &Pack, runtime: Option<PathBuf>, file: &str) -> Result<u64, Error> {
        let environment = environment(runtime.as_deref())?;
        let options = &pack.manifest().backbone;
        let data = format!("{file}.data");
        let entries = [
            (
                "session.optimized_model_external_initializers_file_name",
                data.as_str(),
            ),
            (
                "session.optimized_model_external_initializers_min_size_in_bytes",
                "1024",
            ),
            ("session.save_external_prepacked_constant_initializers", "1"),
        ];
        let mut made = builder(environment, options, 1).and_then(|builder| {
            builder
                .with_optimized_model_path(pack.path(file))
                .map_err(Into::into)
        });
        for (key, value) in entries {
            made =
                made.and_then(|builder| builder.with_config_entry(key, value).map_err(Into::into));
        }
        made.and_then(|mut builder| builder.commit_from_file(pack.path(&options.file)))
            .map_err(|error: ort::Error| graph_error(pack, error.to_string()))?;
        std::fs::metadata(pack.path(&data))
            .map(|meta| meta.len())
            .map_err(|error| graph_error(pack, error.to_string()))
    }

    /// Compares the graph with the manifest.
    fn check(&self) -> Result<(), Error> {
        let options = &self.pack.manifest().backbone;
        let names: Vec<&str> = self
            .session
            .inputs()
            .iter()
            .map(|input| input.name())
            .collect();
        let packed = options.layout == Layout::Packed;
        let mut fed = vec![self.inputs[0].as_str()];
        if packed {
            fed.extend([POSITIONS, SEGMENTS]);
        } else {
            fed.push(&self.inputs[1]);
            fed.extend(&self.further);
        }
        if let Some(injection) = &self.pack.manifest().injection {
            fed.push(&injection.v);
            match options.layout {
                Layout::Padded => fed.push(&injection.counts),
                Layout::Packed => fed.extend([LABEL_SETS, TOKEN_SETS]),
            }
        }
        for wanted in &fed {
            if !names.contains(wanted) {
                return Err(graph_error(
                    &self.pack,
                    format!("has no input `{wanted}` (has: {})", names.join(", ")),
                ));
            }
        }
        if let Some(unfed) = names.iter().find(|name| !fed.contains(name)) {
            return Err(graph_error(
                &self.pack,
                format!(
                    "has an input `{unfed}` that weir does not feed (fed: {})",
                    fed.join(", ")
                ),
            ));
        }
        Ok(())
    }

    /// Tokens that a window takes in a batch, special tokens included.
    pub fn padded_tokens(&self, tokens: usize) -> usize {
        let options = &self.pack.manifest().tokenizer;
        tokens + options.prefix.len() + options.suffix.len()
    }

    /// Hidden states of windows; rows may differ in length and in what they are conditioned on.
    pub fn run(&mut self, windows: &[Row]) -> Result<Hidden, Error> {
        let options = &self.pack.manifest().tokenizer;
        let rows: Vec<Vec<u32>> = windows
            .iter()
            .map(|window| [&options.prefix[..], window.ids, &options.suffix].concat())
            .collect();
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let failed = |problem: String| Error::Run {
            windows: windows.len(),
            width,
            problem,
        };
        let hidden = self.pack.manifest().dimensions.hidden;
        let graph = &self.pack.manifest().backbone;
        let feeds = match graph.layout {
            Layout::Padded => {
                let names = [self.inputs[0].as_str(), &self.inputs[1]];
                feeds::padded(&self.pack, names, &self.further, windows, &rows, width)
            }
            Layout::Packed => feeds::packed(&self.pack, &self.inputs[0], windows, &rows),
        };
        let (inputs, expected, starts) = feeds.map_err(|error| failed(error.to_string()))?;
        let outputs = self
            .session
            .run(inputs)
            .map_err(|error| failed(error.to_string()))?;
        let (shape, values) =
            numbers(&outputs[self.output.as_str()]).map_err(|error| failed(error.to_string()))?;
        if shape[..] != expected[..] {
            return Err(failed(format!(
                "the output `{}` has shape {shape:?}, not {expected:?}",
                self.output
            )));
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(failed(format!(
                "the output `{}` holds a number that is not finite",
                self.output
            )));
        }
        Ok(Hidden {
            values: values.into_owned(),
            starts,
            hidden,
            skipped: options.prefix.len(),
        })
    }
}

/// What all sessions of a graph are opened with.
fn builder(
    environment: &'static Environment,
    graph: &Graph,
    threads: usize,
) -> Result<SessionBuilder, ort::Error> {
    let level = match graph.optimised {
        true => GraphOptimizationLevel::Disable,
        false => GraphOptimizationLevel::Level3,
    };
    Ok(Session::builder(environment)?
        .with_optimization_level(level)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // Spinning threads take the cores from the stages around the model.
        .with_intra_op_spinning(false)?)
}

impl Hidden {
    /// Hidden states of some tokens of one window: `tokens.len() × hidden` numbers.
    pub fn of(&self, window: usize, tokens: std::ops::Range<usize>) -> &[f32] {
        let start = self.starts[window] + self.skipped;
        &self.values[(start + tokens.start) * self.hidden..(start + tokens.end) * self.hidden]
    }
}

/// Inputs that published graphs may have besides ids and mask: of the first segment, and places in the window.
const FURTHER: [&str; 2] = [TOKEN_TYPES, POSITIONS];

/// The output that the manifest names; else `logits`, else the only one whose last dimension is the pack's, else the
/// first one.
fn output(session: &Session, pack: &Pack) -> Result<String, Error> {
    let wanted = &pack.manifest().backbone.output;
    let names = || session.outputs().iter().map(|output| output.name());
    if !wanted.is_empty() {
        return match names().any(|name| name == wanted) {
            true => Ok(wanted.clone()),
            false => Err(graph_error(
                pack,
                format!(
                    "has no output `{wanted}` (has: {})",
                    names().collect::<Vec<_>>().join(", ")
                ),
            )),
        };
    }
    if pack.manifest().head.is_none() || session.outputs().len() < 2 {
        let first = names().next();
        return first
            .map(str::to_owned)
            .ok_or_else(|| graph_error(pack, "has no output".to_owned()));
    }
    if let Some(logits) = names().find(|name| *name == "logits") {
        return Ok(logits.to_owned());
    }
    let classes = pack.manifest().dimensions.hidden as i64;
    let fits = session.outputs().iter().filter(|output| {
        let shape = output.dtype().tensor_shape();
        shape.is_some_and(|shape| shape.last() == Some(&classes))
    });
    let fits: Vec<&str> = fits.map(|output| output.name()).collect();
    match fits[..] {
        [only] => Ok(only.to_owned()),
        _ => Err(graph_error(
            pack,
            format!(
                "no output is called `logits`, and not exactly one of {} has {classes} classes",
                names().collect::<Vec<_>>().join(", ")
            ),
        )),
    }
}

/// Names of the inputs of ids and mask: the manifest's, or, of a published graph, the graph's own.
fn named(session: &Session, options: &Graph) -> [String; 2] {
    let own = |is_mask: bool| {
        let mut names = session.inputs().iter().map(|input| input.name());
        names
            .find(|name| match is_mask {
                true => name.contains("mask"),
                false => !name.contains("mask") && !FURTHER.contains(name),
            })
            .unwrap_or(if is_mask {
                "attention_mask"
            } else {
                "input_ids"
            })
            .to_owned()
    };
    let or_own = |name: &String, is_mask: bool| match name.is_empty() {
        true => own(is_mask),
        false => name.clone(),
    };
    [
        or_own(&options.input_ids, false),
        or_own(&options.attention_mask, true),
    ]
}

fn graph_error(pack: &Pack, problem: String) -> Error {
    Error::Graph {
        pack: pack.name().to_owned(),
        file: pack.manifest().backbone.file.clone(),
        problem,
    }
}
