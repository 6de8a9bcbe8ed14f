//! `weir audit verify --archive`: whether all of an archive holds, with public keys alone.

use std::path::Path;

use super::{
    super::{
        args,
        exit::{Exit, Failure},
    },
    feed,
    stores::{options, parts},
};
use crate::{
    assemble::engine,
    audit::{
        Report, Verdict,
        archive::Archive,
        review::{self, Options, Reviewed, State, StateError, Vault},
    },
    store::Location,
};

/// Reviews an archive, and keeps its head if it holds.
pub(super) fn verify(
    url: &str,
    args: &args::Archive,
    trust: &Path,
    accept: &[String],
) -> Result<Report, Failure> {
    let trust = feed::trust(trust)?;
    let location = Location::open(url, &options(args.archive_options.as_deref())?)?;
    let (store, root) = parts(&location);
    let archive = Archive::new(store, root, trust.origin())?;
    let state = args.state.as_deref().map(State::new);
    let seen = match (&state, &args.state) {
        (Some(state), Some(file)) => {
            let note = state.read()?;
            note.map(|note| (note, file.display().to_string()))
        }
        _ => None,
    };
    let options = Options {
        archive,
        trust: &trust,
        anchors: vaults(args)?,
        seen,
    };
    let Reviewed { mut report, head } = engine::runtime()?.block_on(review::review(&options))?;
    report.accept(accept);
    // A head that only the notary vouches for is one to compare the next with, all the more.
    let holds = matches!(report.verdict(), Verdict::Proven | Verdict::Unanchored);
    if let (Some(state), Some(head), true) = (&state, &head, holds) {
        state.keep(head)?;
    }
    Ok(report)
}

fn vaults(args: &args::Archive) -> Result<Vec<Vault>, Failure> {
    let options = options(args.anchor_options.as_deref())?;
    let vaults = args.anchor.iter().map(|url| {
        let location = Location::open(url, &options)?;
        let (store, prefix) = parts(&location);
        Ok(Vault {
            store,
            prefix,
            name: url.clone(),
        })
    });
    vaults.collect()
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let exit = match &error {
            StateError::Io { .. } => Exit::Io,
            _ => Exit::Config,
        };
        Self::new(exit, error)
    }
}
