use std::path::PathBuf;

use ort::{
    session::{
        Session,
        builder::{GraphOptimizationLevel, PrepackedWeights},
    },
    value::Tensor,
};

use super::{Conditions, Error, Pack, runtime};

/// The token encoder: one session, run by one thread at a time.
pub struct Backbone {
    session: Session,
    pack: Pack,
    /// Names of its inputs of ids and mask.
    inputs: [String; 2],
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
    /// `(windows, padded width, hidden)`, special tokens cut off the front.
    values: Vec<f32>,
    row: usize,
    hidden: usize,
    skipped: usize,
}

impl Backbone {
    /// Loads `count` sessions of `threads` threads each; they share the packed weights.
    pub fn load(
        pack: &Pack,
        runtime: Option<PathBuf>,
        count: usize,
        threads: usize,
    ) -> Result<Vec<Self>, Error> {
        let environment = runtime::environment(runtime.as_deref())?;
        let options = &pack.manifest().backbone;
        let path = pack.path(&options.file);
        let weights = PrepackedWeights::new();
        let mut loaded = Vec::with_capacity(count);
        for _ in 0..count {
            let session = Session::builder(environment)
                .and_then(|builder| {
                    builder
                        .with_optimization_level(GraphOptimizationLevel::Level3)
                        .map_err(Into::into)
                })
                .and_then(|builder| builder.with_intra_threads(threads).map_err(Into::into))
                .and_then(|builder| builder.with_inter_threads(1).map_err(Into::into))
                // Spinning threads take the cores from the stages around the model.
                .and_then(|builder| builder.with_intra_op_spinning(false).map_err(Into::into))
                .and_then(|builder| builder.with_prepacked_weights(&weights).map_err(Into::into))
                .and_then(|mut builder| builder.commit_from_file(&path))
                .map_err(|error: ort::Error| graph_error(pack, error.to_string()))?;
            let inputs = named(&session, options);
            let backbone = Self {
                session,
                pack: pack.clone(),
                inputs,
            };
            backbone.check()?;
            loaded.push(backbone);
        }
        Ok(loaded)
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
        let mut fed: Vec<&String> = self.inputs.iter().collect();
        if let Some(injection) = &self.pack.manifest().injection {
            fed.extend([&injection.v, &injection.counts]);
        }
        for wanted in &fed {
            if !names.contains(&wanted.as_str()) {
                return Err(graph_error(
                    &self.pack,
                    format!("has no input `{wanted}` (has: {})", names.join(", ")),
                ));
            }
        }
        if let Some(unfed) = names
            .iter()
            .find(|name| !fed.iter().any(|fed| fed == *name))
        {
            return Err(graph_error(
                &self.pack,
                format!("has an input `{unfed}` that the manifest does not name"),
            ));
        }
        let outputs: Vec<&str> = self
            .session
            .outputs()
            .iter()
            .map(|output| output.name())
            .collect();
        if !options.output.is_empty() && !outputs.contains(&options.output.as_str()) {
            return Err(graph_error(
                &self.pack,
                format!(
                    "has no output `{}` (has: {})",
                    options.output,
                    outputs.join(", ")
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
        let (ids, mask) = padded(&rows, width, options.pad);
        let shape = [rows.len(), width];
        let ids = Tensor::from_array((shape, ids)).map_err(|error| failed(error.to_string()))?;
        let mask = Tensor::from_array((shape, mask)).map_err(|error| failed(error.to_string()))?;
        let graph = &self.pack.manifest().backbone;
        let mut inputs =
            ort::inputs! { self.inputs[0].as_str() => ids, self.inputs[1].as_str() => mask };
        if let Some(injection) = &self.pack.manifest().injection {
            let hidden = self.pack.manifest().dimensions.hidden;
            let v = injected(windows, injection.points, hidden);
            let v = Tensor::from_array(v).map_err(|error| failed(error.to_string()))?;
            let counts: Vec<i64> = windows
                .iter()
                .map(|row| row.conditions.map_or(0, |own| own.labels as i64))
                .collect();
            let counts = Tensor::from_array(([windows.len()], counts))
                .map_err(|error| failed(error.to_string()))?;
            inputs.push((injection.v.as_str().into(), v.into()));
            inputs.push((injection.counts.as_str().into(), counts.into()));
        }
        let outputs = self
            .session
            .run(inputs)
            .map_err(|error| failed(error.to_string()))?;
        let output = if graph.output.is_empty() {
            &outputs[0]
        } else {
            &outputs[graph.output.as_str()]
        };
        let (shape, values) = output
            .try_extract_tensor::<f32>()
            .map_err(|error| failed(error.to_string()))?;
        let hidden = self.pack.manifest().dimensions.hidden;
        if shape[..] != [rows.len() as i64, width as i64, hidden as i64] {
            return Err(failed(format!(
                "the hidden states have shape {:?}, not ({}, {width}, {hidden})",
                &shape[..],
                rows.len()
            )));
        }
        if !values.iter().all(|value| value.is_finite()) {
            return Err(failed(
                "the hidden states hold a number that is not finite".to_owned(),
            ));
        }
        Ok(Hidden {
            values: values.to_vec(),
            row: width * hidden,
            hidden,
            skipped: options.prefix.len() * hidden,
        })
    }
}

impl Hidden {
    /// Hidden states of some tokens of one window: `tokens.len() × hidden` numbers.
    pub fn of(&self, window: usize, tokens: std::ops::Range<usize>) -> &[f32] {
        let start = window * self.row + self.skipped;
        &self.values[start + tokens.start * self.hidden..start + tokens.end * self.hidden]
    }
}

/// Names of the inputs of ids and mask: the manifest's, or, of a published graph, the graph's own.
fn named(session: &Session, options: &super::pack::Graph) -> [String; 2] {
    let own = |is_mask: bool| {
        let mut names = session.inputs().iter().map(|input| input.name());
        names
            .find(|name| name.contains("mask") == is_mask)
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

/// V of each row, `(rows, points, labels, hidden)`: as many labels as the row with the most has.
fn injected(windows: &[Row], points: usize, hidden: usize) -> ([usize; 4], Vec<f32>) {
    let conditions = || windows.iter().map(|row| row.conditions);
    let labels = conditions().flatten().map(|own| own.labels).max();
    // A dimension of no extent is no tensor.
    let labels = labels.unwrap_or(0).max(1);
    let mut values = vec![0.0; windows.len() * points * labels * hidden];
    for (row, own) in conditions().enumerate() {
        let Some(own) = own.filter(|own| own.labels > 0) else {
            continue;
        };
        debug_assert_eq!((own.points, own.hidden), (points, hidden));
        for (point, from) in own.values.chunks_exact(own.labels * hidden).enumerate() {
            let at = (row * points + point) * labels * hidden;
            values[at..at + from.len()].copy_from_slice(from);
        }
    }
    ([windows.len(), points, labels, hidden], values)
}

/// Rows of ids and their attention mask, filled up on the right.
pub(super) fn padded(rows: &[Vec<u32>], width: usize, pad: u32) -> (Vec<i64>, Vec<i64>) {
    let mut ids = vec![i64::from(pad); rows.len() * width];
    let mut mask = vec![0; rows.len() * width];
    for (at, row) in rows.iter().enumerate() {
        for (column, &id) in row.iter().enumerate() {
            ids[at * width + column] = i64::from(id);
            mask[at * width + column] = 1;
        }
    }
    (ids, mask)
}

fn graph_error(pack: &Pack, problem: String) -> Error {
    Error::Graph {
        pack: pack.name().to_owned(),
        file: pack.manifest().backbone.file.clone(),
        problem,
    }
}
