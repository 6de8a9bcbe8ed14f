//! `weir audit verify --proof`: whether the proof of a record holds with public keys alone.

use std::path::Path;

use anyhow::Context as _;

use super::{
    super::{
        exit::{Exit, Failure},
        out,
    },
    feed,
};
use crate::audit::proof::{Proof, Proven};

/// Checks a proof. A proof that does not hold is a result, not a failure of the command.
pub(super) fn verify(file: &Path, trust: &Path) -> Result<Exit, Failure> {
    let trust = feed::trust(trust)?;
    let bytes = std::fs::read(file)
        .with_context(|| format!("can't read {}", file.display()))
        .map_err(|error| Failure::new(Exit::NoInput, error))?;
    match Proof::parse(&bytes).and_then(|proof| proof.verify(&trust)) {
        Ok(proven) => {
            out::data(&told(&proven, trust.origin()))?;
            Ok(Exit::Done)
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            out::data(&format!("BROKEN: {}", causes.join(": ")))?;
            Ok(Exit::No)
        }
    }
}

fn told(proven: &Proven, origin: &str) -> String {
    let Proven {
        link,
        sealed,
        roll: _,
        rolls,
        witnesses,
    } = proven;
    let place = match link.offset {
        Some(offset) => format!("{}/{}/{offset}", link.topic, link.partition),
        None => format!("{}/{}", link.topic, link.partition),
    };
    let sealed = match sealed {
        true => ", sealed by its worker",
        false => "",
    };
    let mut text = format!(
        "PROVEN: {place} has record {} of epoch {} in {origin}{sealed}; the notary signed {rolls} rolls",
        link.seq, link.epoch
    );
    for (name, seconds) in witnesses {
        let at = jiff::Timestamp::from_second(i64::try_from(*seconds).unwrap_or(i64::MAX));
        let at = at.map_or_else(|_| seconds.to_string(), |at| at.to_string());
        text += &format!("\n  {name} saw it at {at}");
    }
    text
}
