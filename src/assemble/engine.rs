//! The engine: a pack, and how it is run.

use std::{
    collections::BTreeMap,
    iter,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::signed;
use crate::{
    audit::note::VerifyingKey,
    batch,
    config::{self, DEFAULT_MODEL, Model, Resolved},
    model::{Error, Kind, Machine, Pack, PackRef, Tuned, prompted::Access},
    pipeline::{Models, Options},
    tenant::{Label, Policy, label_digest},
};

/// Tokens that may wait for the model: enough for several thousand log lines, little memory.
const QUEUE_TOKENS: usize = 1 << 17;

/// Finds, opens and verifies a pack. If keys are trusted, one of them must have signed it.
pub fn pack(pack: &PackRef, trusted: &[VerifyingKey]) -> Result<Pack, Error> {
    let pack = opened(pack, trusted)?;
    pack.verify()?;
    Ok(pack)
}

fn opened(pack: &PackRef, trusted: &[VerifyingKey]) -> Result<Pack, Error> {
    let pack = Pack::open(&pack.find()?)?;
    if !trusted.is_empty() {
        signed::check(&pack, trusted)?;
    }
    Ok(pack)
}

/// What one section names: a pack, and for a fixed head the one that finds categories.
pub struct Packs {
    /// The pack.
    pub pack: Pack,
    /// Of `category_encoder`.
    pub encoder: Option<Pack>,
}

/// The sections that name packs, by the names that tenants call them; the default one is the first.
pub fn sections(resolved: &Resolved) -> impl Iterator<Item = (&str, &Model)> {
    let further = resolved.models.iter();
    iter::once((DEFAULT_MODEL, &resolved.model))
        .chain(further.map(|(name, model)| (name.as_str(), model)))
}

/// The models of a configuration. Verifies the packs.
pub fn models(resolved: &Resolved) -> Result<Models, Error> {
    let packs = sections(resolved).map(|(_, model)| {
        let encoder = model.category_encoder.as_ref();
        Ok(Packs {
            pack: pack(&model.pack, &model.trusted_keys)?,
            encoder: encoder
                .map(|encoder| pack(encoder, &model.trusted_keys))
                .transpose()?,
        })
    });
    models_of(resolved, packs.collect::<Result<_, Error>>()?)
}

/// The models of a configuration whose packs were verified, one for each of [`sections`].
pub fn models_of(resolved: &Resolved, packs: Vec<Packs>) -> Result<Models, Error> {
    let parts = packs.len();
    // A server's packs take no core here.
    let here = sections(resolved).zip(&packs);
    let here = here.filter(|(_, packs)| packs.pack.manifest().family != Kind::Prompted);
    let threads = here.map(|((_, model), _)| model.threads);
    let equal = share(&threads.collect::<Vec<_>>(), cores());
    let mut opened = Vec::with_capacity(parts);
    for ((name, model), packs) in sections(resolved).zip(packs) {
        let mut options = configured(packs, model, resolved, equal)?;
        options.batch.cache_bytes /= parts;
        options.batch.queue_tokens /= parts;
        opened.push((Arc::from(name), options));
    }
    Models::open(opened)
}

/// Threads of each pack that names none, where there are several: an equal part of the cores that the others leave.
/// `None` for a pack alone: it is tuned.
fn share(threads: &[Option<u16>], cores: usize) -> Option<u16> {
    let taken: usize = threads.iter().flatten().copied().map(usize::from).sum();
    let open = threads.iter().filter(|own| own.is_none()).count();
    if threads.len() < 2 || open == 0 {
        return None;
    }
    let equal = (cores.saturating_sub(taken) / open).max(1);
    Some(u16::try_from(equal).unwrap_or(u16::MAX))
}

/// What a configuration says about running a pack; what it leaves open is as `weir model tune` found it best.
fn configured(
    packs: Packs,
    model: &Model,
    resolved: &Resolved,
    equal: Option<u16>,
) -> Result<Options, Error> {
    let Model {
        pack: _, // packs
        runtime,
        threads,
        sessions,
        label_cache_dir,
        categories,
        category_encoder: _, // packs
        trusted_keys,
        access,
    } = model;
    let copies = match trusted_keys.is_empty() {
        true => Copies::Used,
        false => Copies::Unsigned,
    };
    let mut options = tuned(
        packs.pack,
        runtime.clone(),
        &resolved.batch,
        resolved.batch_size_is_set,
        threads.or(equal),
        copies,
    )?;
    if let Some(sessions) = sessions {
        let threads = options.sessions * options.session_threads;
        options.sessions = usize::from(*sessions);
        options.session_threads = (threads / options.sessions).max(1);
    }
    if let Some(folder) = label_cache_dir {
        options.label_cache = Some(folder.clone());
    }
    options.categories.clone_from(categories);
    options.category_encoder = packs.encoder;
    options.access.clone_from(access);
    Ok(options)
}

/// How a section's pack is asked over HTTP; `None` for a pack that runs here. Such a pack has no files to verify.
pub fn served(model: &Model) -> Result<Option<Options>, Error> {
    let pack = opened(&model.pack, &model.trusted_keys)?;
    if pack.manifest().family != Kind::Prompted {
        return Ok(None);
    }
    let mut options = plain(pack, &config::batch::Section::default(), None);
    options.access.clone_from(&model.access);
    Ok(Some(options))
}

/// How a pack is run without a configuration.
pub fn defaults(named: &PackRef) -> Result<Options, Error> {
    by_default(named, None)
}

fn by_default(named: &PackRef, threads: Option<u16>) -> Result<Options, Error> {
    let batch = config::batch::Section::default();
    let pack = pack(named, &[])?;
    tuned(pack, None, &batch, false, threads, Copies::Used)
}

/// Several packs without a configuration, which share the cores. The first is the default; tenants call the others by
/// the packs' names.
pub fn several(named: &[PackRef]) -> Result<Models, Error> {
    let equal = share(&vec![None; named.len()], cores());
    let mut opened: Vec<(Arc<str>, Options)> = Vec::with_capacity(named.len());
    for own in named {
        let options = by_default(own, equal)?;
        let name = match opened.is_empty() {
            true => DEFAULT_MODEL,
            false => options.pack.name(),
        };
        opened.push((name.into(), options));
    }
    Models::open(opened)
}

/// Has all models search for the labels that name none.
pub fn ask_each(policy: &mut Policy, models: &Models) {
    let names: Arc<[Arc<str>]> = models.names().cloned().collect();
    if names.len() < 2 {
        return;
    }
    let labels = policy.labels.labels.iter().map(|label| Label {
        models: match label.models.is_empty() {
            true => names.clone(),
            false => label.models.clone(),
        },
        ..label.clone()
    });
    policy.labels.labels = labels.collect();
    policy.labels.digest = label_digest(&policy.labels.labels, &policy.labels.balance);
}

/// A runtime for the stages around the model.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// Whether a graph may run from the copy that `weir model tune` made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copies {
    Used,
    /// Only signed packs are trusted, and nobody signed the copy.
    Unsigned,
}

fn tuned(
    pack: Pack,
    runtime: Option<PathBuf>,
    batch: &config::batch::Section,
    batch_size_is_set: bool,
    threads: Option<u16>,
    copies: Copies,
) -> Result<Options, Error> {
    let mut options = plain(pack, batch, threads);
    options.runtime = runtime;
    let Some(mut tuned) = Tuned::read(&options.pack)? else {
        return Ok(options);
    };
    if copies == Copies::Unsigned {
        tuned.copy = None;
    }
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
    Options {
        pack,
        runtime: None,
        sessions: threads.map_or_else(cores, usize::from).max(1),
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
        access: Access::default(),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The user's cache folder, by the XDG base directory specification.
fn user_cache() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)?;
    Some(cache.join("weir/labels"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_without_threads_of_their_own_get_equal_parts_of_what_the_others_leave() {
        assert_eq!(share(&[None], 8), None, "one pack runs as it was tuned");
        assert_eq!(share(&[None, None], 8), Some(4));
        assert_eq!(share(&[Some(6), None], 8), Some(2));
        assert_eq!(share(&[Some(8), None, None], 8), Some(1));
        assert_eq!(share(&[Some(1), Some(1)], 8), None);
    }
}
