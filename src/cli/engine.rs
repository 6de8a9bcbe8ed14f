//! An engine for a subcommand, and a runtime to drive it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::exit::{Exit, Failure};
use crate::{
    batch,
    config::{self, Resolved},
    model::{self, Machine, Pack, PackRef, Tuned},
    pipeline::{Engine, Options, Running},
};

/// Tokens that may wait for the model: enough for several thousand log lines, little memory.
const QUEUE_TOKENS: usize = 1 << 17;

impl From<model::Error> for Failure {
    fn from(error: model::Error) -> Self {
        let hint = error.hint();
        let failure = Failure::new(Exit::Config, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Finds, opens and verifies a pack.
pub fn pack(pack: &PackRef) -> Result<Pack, Failure> {
    let pack = Pack::open(&pack.find()?)?;
    pack.verify()?;
    Ok(pack)
}

/// What a configuration says about running its pack; what it leaves open is as `weir model tune` found it best.
pub fn configured(resolved: &Resolved) -> Result<Options, Failure> {
    let model = &resolved.model;
    let mut options = with(
        pack(&model.pack)?,
        model.runtime.clone(),
        &resolved.batch,
        resolved.batch_size_is_set,
        model.threads,
    )?;
    if let Some(sessions) = model.sessions {
        let threads = options.sessions * options.session_threads;
        options.sessions = usize::from(sessions);
        options.session_threads = (threads / options.sessions).max(1);
    }
    if let Some(folder) = &model.label_cache_dir {
        options.label_cache = Some(folder.clone());
    }
    options.categories.clone_from(&model.categories);
    if let Some(encoder) = &model.category_encoder {
        options.category_encoder = Some(pack(encoder)?);
    }
    Ok(options)
}

/// How a pack is run without a configuration.
pub fn defaults(named: &PackRef) -> Result<Options, Failure> {
    let batch = config::batch::Section::default();
    with(pack(named)?, None, &batch, false, None)
}

fn with(
    pack: Pack,
    runtime: Option<PathBuf>,
    batch: &config::batch::Section,
    batch_size_is_set: bool,
    threads: Option<u16>,
) -> Result<Options, Failure> {
    let mut options = plain(pack, batch, threads);
    options.runtime = runtime;
    let Some(tuned) = Tuned::read(&options.pack)? else {
        return Ok(options);
    };
    let machine = Machine::here(options.runtime.as_deref())?;
    if !tuned.fits(&options.pack, &machine) {
        return Ok(options);
    }
    options.pack = tuned.apply(options.pack)?;
    if threads.is_none() {
        options.sessions = tuned.sessions.max(1);
        options.session_threads = tuned.threads.max(1);
    }
    if !batch_size_is_set {
        options.batch.max_tokens = tuned.max_tokens.max(1);
    }
    Ok(options)
}

/// How a pack is run that was not tuned: a session of one thread for each core.
fn plain(pack: Pack, batch: &config::batch::Section, threads: Option<u16>) -> Options {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Options {
        pack,
        runtime: None,
        sessions: threads.map_or(cores, usize::from).max(1),
        session_threads: 1,
        batch: batch::Options {
            max_tokens: batch.max_tokens as usize,
            linger: Duration::from_millis(u64::from(batch.linger_ms)),
            look_ahead: batch.look_ahead as usize,
            queue_tokens: QUEUE_TOKENS,
            cache_bytes: usize::try_from(batch.cache_bytes).unwrap_or(usize::MAX),
        },
        label_cache: label_cache(),
        categories: BTreeMap::new(),
        category_encoder: None,
    }
}

/// Where label vectors are kept unless configured: the user's cache folder, by the XDG base
/// directory specification.
fn label_cache() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)?;
    Some(cache.join("weir/labels"))
}

/// Starts an engine.
pub fn start(options: Options) -> Result<(Engine, Running), Failure> {
    Ok(Engine::start(options)?)
}

/// A runtime for the stages around the model.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| Failure::new(Exit::Io, error))
}
