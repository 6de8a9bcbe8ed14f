//! The engine: a pack, and how it is run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    batch,
    config::{self, Model, Resolved},
    model::{Error, Machine, Pack, PackRef, Tuned},
    pipeline::Options,
};

/// Tokens that may wait for the model: enough for several thousand log lines, little memory.
const QUEUE_TOKENS: usize = 1 << 17;

/// Finds, opens and verifies a pack.
pub fn pack(pack: &PackRef) -> Result<Pack, Error> {
    let pack = Pack::open(&pack.find()?)?;
    pack.verify()?;
    Ok(pack)
}

/// What a configuration says about running its pack; what it leaves open is as `weir model tune` found it best.
pub fn configured(resolved: &Resolved) -> Result<Options, Error> {
    let Model {
        pack: named,
        runtime,
        threads,
        sessions,
        label_cache_dir: _, // label_cache()
        categories,
        category_encoder,
    } = &resolved.model;
    let mut options = tuned(
        pack(named)?,
        runtime.clone(),
        &resolved.batch,
        resolved.batch_size_is_set,
        *threads,
    )?;
    if let Some(sessions) = sessions {
        let threads = options.sessions * options.session_threads;
        options.sessions = usize::from(*sessions);
        options.session_threads = (threads / options.sessions).max(1);
    }
    options.label_cache = label_cache(&resolved.model);
    options.categories.clone_from(categories);
    options.category_encoder = category_encoder.as_ref().map(pack).transpose()?;
    Ok(options)
}

/// How a pack is run without a configuration.
pub fn defaults(named: &PackRef) -> Result<Options, Error> {
    let batch = config::batch::Section::default();
    tuned(pack(named)?, None, &batch, false, None)
}

/// Where label vectors are kept.
pub fn label_cache(model: &Model) -> Option<PathBuf> {
    model.label_cache_dir.clone().or_else(user_cache)
}

/// A runtime for the stages around the model.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

fn tuned(
    pack: Pack,
    runtime: Option<PathBuf>,
    batch: &config::batch::Section,
    batch_size_is_set: bool,
    threads: Option<u16>,
) -> Result<Options, Error> {
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
    let config::batch::Section {
        max_tokens,
        linger_ms,
        look_ahead,
        cache_bytes,
    } = batch;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Options {
        pack,
        runtime: None,
        sessions: threads.map_or(cores, usize::from).max(1),
        session_threads: 1,
        batch: batch::Options {
            max_tokens: *max_tokens as usize,
            linger: Duration::from_millis(u64::from(*linger_ms)),
            look_ahead: *look_ahead as usize,
            queue_tokens: QUEUE_TOKENS,
            cache_bytes: usize::try_from(*cache_bytes).unwrap_or(usize::MAX),
        },
        label_cache: user_cache(),
        categories: BTreeMap::new(),
        category_encoder: None,
    }
}

/// The user's cache folder, by the XDG base directory specification.
fn user_cache() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)?;
    Some(cache.join("weir/labels"))
}
