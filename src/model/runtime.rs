use std::{
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock},
};

use ort::environment::Environment;

use super::Error;

/// File name of the library on this platform.
const LIBRARY: &str = if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else {
    "libonnxruntime.so"
};

/// Where `make setup` puts it, below the repository.
const SETUP_FOLDER: &str = ".weir/onnxruntime";

static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

/// Finds the ONNX Runtime library: the configured path, `ORT_DYLIB_PATH`, beside the executable,
/// or where `make setup` put it, in the working directory or a folder above the executable.
pub fn library_path(configured: Option<&Path>) -> Result<PathBuf, Error> {
    let mut looked_at = Vec::new();
    let mut candidates: Vec<PathBuf> = Vec::new();
    candidates.extend(configured.map(Path::to_path_buf));
    candidates.extend(std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from));
    if let Ok(executable) = std::env::current_exe() {
        candidates.extend(executable.parent().map(|folder| folder.join(LIBRARY)));
        candidates.extend(
            executable
                .ancestors()
                .skip(1)
                .map(|folder| folder.join(SETUP_FOLDER).join(LIBRARY)),
        );
    }
    candidates.push(Path::new(SETUP_FOLDER).join(LIBRARY));
    for candidate in candidates {
        if candidate.is_file() {
            return Ok(candidate);
        }
        looked_at.push(candidate.display().to_string());
        if configured.is_some() {
            break; // a path that was asked for is not replaced in silence by another library
        }
    }
    Err(Error::NoRuntime {
        looked_at: looked_at.join(", "),
    })
}

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
