//! `weir model verify|sign`: packs, and who made them.

use std::path::PathBuf;

use clap::Args;

use super::{Pack, pack};
use crate::{audit::note::VerifyingKey, model::PackRef};

/// `weir model verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyPack {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pack: Pack,
    /// Public key of a publisher, as `weir audit keygen` prints it: one of these keys must have signed the pack. Repeat it for
    /// more
    #[arg(long, value_name = "KEY")]
    pub trust: Vec<VerifyingKey>,
}

pub(super) const VERIFY: &str = "Examples:
  weir model verify weir-mini
  weir model verify models/large --trust example.com/packs+1a2b3c4d+AQ…

Exit code 0 if the pack is whole, and signed by a key of --trust if there is one; 1 if not.";

/// `weir model sign`.
#[derive(Debug, Clone, Args)]
pub struct Sign {
    /// Model pack: its name, or the path of its folder
    #[arg(value_name = "PACK", value_parser = pack)]
    pub model: PackRef,
    /// File that holds the private key, as `weir audit keygen` writes it
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

pub(super) const SIGN: &str = "Examples:
  weir audit keygen example.com/packs
  weir model sign models/large --key packs.key

Verifies the pack, and writes pack.note next to its pack.toml (NAME.note next to NAME.toml). A worker whose
configuration has model.trusted_keys loads no pack without the signature of such a key.";
