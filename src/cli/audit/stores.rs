//! Stores of archives and anchors, which no configuration names.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use object_store::ObjectStore;

use super::super::exit::{Exit, Failure};
use crate::{
    audit::{archive, key_file},
    store::{self, Location, Options},
};

/// Options of a store from a TOML file of texts; none without a file.
pub fn options(file: Option<&Path>) -> Result<Options, Failure> {
    let Some(file) = file else {
        return Ok(Options::default());
    };
    let failed = |why: String| {
        let error = anyhow::anyhow!("{} cannot be read: {why}", file.display());
        Failure::new(Exit::Config, error).hint("one option per line, such as aws_region = \"…\"")
    };
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.kind().to_string()))?;
    // The parser's message is dropped: it quotes the line, which may hold a secret.
    let pairs: BTreeMap<String, String> =
        toml::from_str(&text).map_err(|_| failed("it is not TOML of texts alone".to_owned()))?;
    Ok(pairs.into_iter().collect())
}

/// A place's store, and the prefix in it.
pub fn parts(location: &Location) -> (Arc<dyn ObjectStore>, object_store::path::Path) {
    (location.store().clone(), location.prefix().clone())
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        let exit = match &error {
            store::Error::Url { .. } | store::Error::SecretInUrl | store::Error::Option { .. } => {
                Exit::Config
            }
            store::Error::Folder { .. } => Exit::Io,
            store::Error::Store { .. } | store::Error::Silent { .. } => Exit::Unavailable,
        };
        let hint = error.hint();
        let failure = Self::new(exit, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<archive::Error> for Failure {
    fn from(error: archive::Error) -> Self {
        let exit = match &error {
            archive::Error::Store { .. } => Exit::Unavailable,
            archive::Error::Origin { .. } | archive::Error::Name { .. } => Exit::Config,
            _ => Exit::No,
        };
        Self::new(exit, error)
    }
}

impl From<key_file::Error> for Failure {
    fn from(error: key_file::Error) -> Self {
        Self::new(Exit::Config, error)
    }
}
