//! Labels that a pack brings with it: vectors and descriptions by name, as nerfit writes them (`ent2emb.safetensors`,
//! `ent2desc.json`).

use std::{collections::HashMap, fs};

use safetensors::{Dtype, SafeTensors};

use crate::model::{Error, Pack, pack::LabelEncoder};

/// What a pack says of labels by their names.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// B, I, E, S of a label, each of the pack's width.
    vectors: HashMap<String, [Vec<f32>; 4]>,
    /// What the label encoder reads for a name.
    descriptions: HashMap<String, String>,
}

impl Given {
    /// Reads the files that the manifest names.
    pub(super) fn read(pack: &Pack, options: &LabelEncoder) -> Result<Self, Error> {
        let of_file = |file: &String, problem: String| Error::File {
            pack: pack.name().to_owned(),
            file: file.clone(),
            problem,
        };
        let mut given = Self::default();
        if let Some(file) = &options.vectors {
            if pack.manifest().injection.is_some() {
                let problem = "the backbone of the pack reads labels too (VtV), and a vector alone says nothing to it";
                return Err(of_file(file, problem.to_owned()));
            }
            let bytes =
                fs::read(pack.path(file)).map_err(|error| of_file(file, error.to_string()))?;
            let hidden = pack.manifest().dimensions.hidden;
            given.vectors = vectors(&bytes, hidden).map_err(|problem| of_file(file, problem))?;
        }
        if let Some(file) = &options.descriptions {
            let bytes =
                fs::read(pack.path(file)).map_err(|error| of_file(file, error.to_string()))?;
            given.descriptions =
                serde_json::from_slice(&bytes).map_err(|error| of_file(file, error.to_string()))?;
        }
        Ok(given)
    }

    /// Vectors of a label of this wording.
    pub(super) fn vectors(&self, wording: &str) -> Option<&[Vec<f32>; 4]> {
        self.vectors.get(wording)
    }

    /// What stands for a wording before the label encoder.
    pub(super) fn described<'w>(&'w self, wording: &'w str) -> &'w str {
        self.descriptions
            .get(wording)
            .map_or(wording, String::as_str)
    }
}

/// A tensor for each name: `(hidden)`, which stands for all four classes, or `(4, hidden)` for B, I, E, S.
fn vectors(bytes: &[u8], hidden: usize) -> Result<HashMap<String, [Vec<f32>; 4]>, String> {
    let tensors = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut vectors = HashMap::new();
    for (name, tensor) in tensors.iter() {
        if tensor.dtype() != Dtype::F32 {
            return Err(format!("`{name}` is of {:?}, not F32", tensor.dtype()));
        }
        let numbers = tensor.data().chunks_exact(4);
        let numbers: Vec<f32> = numbers
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
            .collect();
        let four = match tensor.shape() {
            [width] if *width == hidden => [(); 4].map(|()| numbers.clone()),
            [4, width] if *width == hidden => {
                [0, 1, 2, 3].map(|at| numbers[at * hidden..(at + 1) * hidden].to_vec())
            }
            shape => {
                return Err(format!(
                    "`{name}` has shape {shape:?}; vectors of this pack have {hidden} numbers, or 4 rows of them"
                ));
            }
        };
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(format!("`{name}` has a number that is not finite"));
        }
        vectors.insert(name.to_owned(), four);
    }
    Ok(vectors)
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn file(tensors: &[(&str, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, _, numbers)| numbers.iter().flat_map(|n| n.to_le_bytes()).collect())
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (
                *name,
                TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
            )
        });
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn a_vector_is_of_all_classes_or_of_each() {
        let bytes = file(&[
            ("one", vec![2], vec![1.0, 2.0]),
            ("four", vec![4, 2], (0..8u8).map(f32::from).collect()),
        ]);
        let read = vectors(&bytes, 2).unwrap();
        assert!(read["one"].iter().all(|own| *own == [1.0, 2.0]));
        assert_eq!(read["four"][2], [4.0, 5.0]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        for (tensor, expected) in [
            (("wide", vec![3], vec![0.0; 3]), "`wide` has shape [3]"),
            (("odd", vec![2, 2], vec![0.0; 4]), "`odd` has shape [2, 2]"),
            (
                ("none", vec![2], vec![0.0, f32::NAN]),
                "`none` has a number that is not finite",
            ),
        ] {
            let problem = vectors(&file(&[tensor]), 2).unwrap_err();
            assert!(problem.starts_with(expected), "{problem}");
        }
        assert!(vectors(b"short", 2).is_err());
    }
}
