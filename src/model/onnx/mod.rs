//! Graphs on ONNX Runtime: the library, sessions, and what a batch of windows looks like to a graph.
//!
//! In:  a pack's graph; rows of token ids.
//! Out: what the graph gives for each token of each row.
//! Does not know: labels, classes, what its numbers mean.

mod backbone;
mod feeds;

use std::{
    borrow::Cow,
    path::Path,
    sync::{Mutex, OnceLock},
};

use ort::{
    environment::Environment,
    value::{DynValue, TensorElementType},
};

use super::{Error, library_path};

pub use backbone::{Backbone, Hidden, Row};
pub use feeds::Conditions;
pub(super) use feeds::filled_up;

/// Shape and numbers of an output; those of half precision become whole.
pub(super) fn numbers(output: &DynValue) -> Result<(Vec<i64>, Cow<'_, [f32]>), ort::Error> {
    if output.dtype().tensor_type() == Some(TensorElementType::Float16) {
        let (shape, values) = output.try_extract_tensor::<half::f16>()?;
        let values = values.iter().map(|value| value.to_f32()).collect();
        return Ok((shape.to_vec(), values));
    }
    let (shape, values) = output.try_extract_tensor::<f32>()?;
    Ok((shape.to_vec(), values.into()))
}

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// The process's one ONNX Runtime environment; the first caller decides about the library.
pub(super) fn environment(configured: Option<&Path>) -> Result<&'static Environment, Error> {
    let _one_at_a_time = LOADING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(environment) = ENVIRONMENT.get() {
        return Ok(environment);
    }
    let path = library_path(configured)?;
    let problem = |problem: String| Error::Runtime {
        path: path.display().to_string(),
        problem,
    };
    let environment = ort::init_from(&path)
        .map_err(|error| problem(error.to_string()))?
        .with_name("weir")
        .with_telemetry(false)
        .build()
        .map_err(|error| problem(error.to_string()))?;
    Ok(ENVIRONMENT.get_or_init(|| environment))
}
