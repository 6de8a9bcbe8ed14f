//! What of a label encoder lies outside its graph: an `.npz` file.

use std::{fs, path::Path};

use ndarray_npy::NpzReader;

use crate::model::Error;

/// The part of the label encoder that lies outside its graph.
#[derive(Debug)]
pub(in crate::model) struct Projection {
    pub(in crate::model) outside: Vec<f32>,
    /// Rows of `(hidden, width)`, and the bias.
    linear: Option<(ndarray::Array2<f32>, ndarray::Array1<f32>)>,
}

impl Projection {
    pub(in crate::model) fn read(path: &Path, pack: &str) -> Result<Self, Error> {
        let problem = |problem: String| Error::File {
            pack: pack.to_owned(),
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            problem,
        };
        let file = fs::File::open(path).map_err(|error| problem(error.to_string()))?;
        let mut archive = NpzReader::new(file).map_err(|error| problem(error.to_string()))?;
        let names = archive
            .names()
            .map_err(|error| problem(error.to_string()))?;
        let has = |name: &str| {
            names
                .iter()
                .any(|found| found.trim_end_matches(".npy") == name)
        };
        let outside: ndarray::ArrayD<f32> = archive
            .by_name("o_embed")
            .map_err(|error| problem(format!("o_embed: {error}")))?;
        let linear = if has("proj_w") {
            let weights: ndarray::Array2<f32> = archive
                .by_name("proj_w")
                .map_err(|error| problem(format!("proj_w: {error}")))?;
            let bias: ndarray::Array1<f32> = archive
                .by_name("proj_b")
                .map_err(|error| problem(format!("proj_b: {error}")))?;
            if weights.nrows() != bias.len() || bias.len() != outside.len() {
                return Err(problem(format!(
                    "proj_w {:?}, proj_b {:?} and o_embed {:?} do not fit together",
                    weights.shape(),
                    bias.shape(),
                    outside.shape()
                )));
            }
            Some((weights, bias))
        } else {
            None
        };
        Ok(Self {
            outside: outside.iter().copied().collect(),
            linear,
        })
    }

    pub(in crate::model) fn apply(&self, vector: &[f32]) -> Result<Vec<f32>, String> {
        let wanted = self
            .linear
            .as_ref()
            .map_or(self.outside.len(), |(weights, _)| weights.ncols());
        if vector.len() != wanted {
            return Err(format!(
                "the label encoder gives {} numbers, the projection reads {wanted}",
                vector.len()
            ));
        }
        let Some((weights, bias)) = &self.linear else {
            return Ok(vector.to_vec());
        };
        Ok((weights.dot(&ndarray::ArrayView1::from(vector)) + bias).to_vec())
    }
}
