//! `weir audit keygen`: a key pair, of which only the public half is printed.

use std::path::PathBuf;

use super::super::{
    args::log as args,
    exit::{Exit, Failure},
    out,
};
use crate::audit::{key_file, note::SigningKey};

/// Makes a key pair.
pub fn execute(args: &args::Keygen) -> Result<Exit, Failure> {
    let key = SigningKey::generate(&args.name).map_err(|error| {
        Failure::new(Exit::Usage, error).hint("such as example.com/weir/notary")
    })?;
    let last = args.name.rsplit('/').find(|part| !part.is_empty());
    let file = args.out.clone();
    let file = file.unwrap_or_else(|| PathBuf::from(format!("{}.key", last.unwrap_or("weir"))));
    key_file::write(&file, &key)?;
    out::message(&format!("wrote the private key to {}", file.display()));
    let public = match args.witness {
        true => key.cosigner(),
        false => key.verifying_key(),
    };
    out::data(&format!("{public}\n"))?;
    Ok(Exit::Done)
}
