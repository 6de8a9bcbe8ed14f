//! `weir audit prove`: the proof that a record was audited.

use super::{
    super::{
        args::log as args,
        exit::{Exit, Failure},
        out,
    },
    stores::{options, parts},
};
use crate::{
    assemble::engine,
    audit::{archive::Archive, proof},
    store::Location,
};

/// Makes a proof.
pub fn execute(args: &args::Prove) -> Result<Exit, Failure> {
    let options = options(args.archive_options.as_deref())?;
    let location = Location::open(&args.archive, &options)?;
    let (store, root) = parts(&location);
    let args::Place {
        topic,
        partition,
        offset,
    } = &args.source;
    let found = engine::runtime()?.block_on(async {
        let archive = Archive::found(store, root).await?;
        proof::prove(&archive, topic, *partition, *offset).await
    });
    let Some(proof) = found? else {
        let error = anyhow::anyhow!(
            "no log of {} has a record about {topic}/{partition}/{offset}",
            args.archive
        );
        return Err(Failure::new(Exit::No, error).hint(
            "the notary may not have read it yet, or the offset is in a gap: run `weir audit verify`",
        ));
    };
    let text = String::from_utf8(proof.to_bytes()).expect("JSON is UTF-8");
    match &args.out {
        Some(file) => std::fs::write(file, text)?,
        None => out::data(&text)?,
    }
    Ok(Exit::Done)
}
