//! `weir model inspect|verify|sign`.

use std::fmt::Write as _;

use super::{
    args,
    exit::{Exit, Failure},
    out,
};
use crate::{
    assemble::signed::{self, SignError},
    audit::{key_file, note::VerifyingKey},
    model::{Error, Kind, Manifest, Pack, gliner, prompted},
};

/// Shows what a pack is.
pub fn inspect(args: &args::Pack) -> Result<Exit, Failure> {
    let pack = Pack::open(&args.model.find()?)?;
    let manifest = pack.manifest();
    if args.json {
        let value = serde_json::json!({"digest": pack.digest(), "manifest": manifest});
        out::data(&serde_json::to_string_pretty(&value).expect("a manifest is JSON"))?;
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    let mut row = |name: &str, value: String| {
        writeln!(text, "{name:<12} {value}").expect("writing to a string")
    };
    row("pack", format!("{} {}", manifest.name, manifest.version));
    row("family", manifest.family.to_string());
    row("digest", pack.digest().to_owned());
    row(
        "licence",
        if manifest.licence.is_empty() {
            "not stated".to_owned()
        } else {
            manifest.licence.clone()
        },
    );
    let described = match manifest.family {
        Kind::Gliner => Some(gliner::described(&pack)?),
        Kind::Prompted => Some(prompted::described(&pack)),
        Kind::Adaptive | Kind::FixedHead => None,
    };
    if let Some(described) = described {
        for (name, value) in described {
            row(name, value);
        }
        files(&mut text, manifest);
        out::data(&text)?;
        return Ok(Exit::Done);
    }
    row("hidden", manifest.dimensions.hidden.to_string());
    let limits = &manifest.limits;
    let shape = pack.shape();
    row(
        "window",
        format!("{} tokens of text, halo {}", shape.width(), shape.halo()),
    );
    row(
        "label",
        format!("at most {} tokens", limits.max_label_tokens),
    );
    let calibration = &manifest.calibration;
    row(
        "calibration",
        format!(
            "label_score 1 / (1 + exp(-({} * margin + {}))), O bias {}",
            calibration.slope, calibration.intercept, calibration.o_bias
        ),
    );
    row(
        "",
        match (calibration.gain_slope, calibration.gain_intercept) {
            (Some(slope), Some(intercept)) => {
                format!("score       1 / (1 + exp(-({slope} * gain + {intercept})))")
            }
            _ => "score       as label_score, of the gain".to_owned(),
        },
    );
    files(&mut text, manifest);
    out::data(&text)?;
    Ok(Exit::Done)
}

/// Adds the files and measured figures.
fn files(text: &mut String, manifest: &Manifest) {
    let mut row = |name: &str, value: String| {
        writeln!(text, "{name:<12} {value}").expect("writing to a string")
    };
    for file in &manifest.files {
        let size = file
            .bytes
            .map_or_else(String::new, |bytes| format!("{bytes:>10} bytes  "));
        row("file", format!("{size}{}", file.path));
    }
    if !manifest.metrics.is_empty() {
        row(
            "metrics",
            manifest
                .metrics
                .to_string()
                .replace('\n', "\n             "),
        );
    }
}

/// Compares every file with its digest, and the pack with its signature if keys are trusted.
pub fn verify(args: &args::VerifyPack) -> Result<Exit, Failure> {
    let pack = Pack::open(&args.pack.model.find()?)?;
    let verified = verified(&pack, &args.trust);
    if args.pack.json {
        let problem = verified.as_ref().err().map(ToString::to_string);
        let mut value =
            serde_json::json!({"pack": pack.name(), "whole": verified.is_ok(), "problem": problem});
        if let (Ok(signers), false) = (&verified, args.trust.is_empty()) {
            value["signed_by"] = signers.clone().into();
        }
        out::data(&value.to_string())?;
    } else {
        match &verified {
            Ok(signers) => {
                let (ok, files) = (out::OK, pack.manifest().files.len());
                let mut line = format!(
                    "{ok}ok{ok:#}    {}  {files} files, sha256 match",
                    pack.folder().display()
                );
                if !signers.is_empty() {
                    write!(line, ", signed by {}", signers.join(", "))
                        .expect("writing to a string");
                }
                out::data(&line)?;
            }
            Err(error) => {
                let failure = Failure {
                    hint: error.hint().map(str::to_owned),
                    ..Failure::new(Exit::No, anyhow::anyhow!("{error}"))
                };
                failure.print();
            }
        }
    }
    Ok(if verified.is_ok() {
        Exit::Done
    } else {
        Exit::No
    })
}

/// Names and ids of the trusted keys that signed a pack that is whole.
fn verified(pack: &Pack, trusted: &[VerifyingKey]) -> Result<Vec<String>, Error> {
    let signers = match trusted.is_empty() {
        true => Vec::new(),
        false => signed::check(pack, trusted)?,
    };
    pack.verify()?;
    let names = signers.iter();
    Ok(names
        .map(|key| format!("{}+{}", key.name(), key.id()))
        .collect())
}

/// Signs a pack.
pub fn sign(args: &args::Sign) -> Result<Exit, Failure> {
    let key = key_file::read(&args.key)?;
    let pack = Pack::open(&args.model.find()?)?;
    let file = signed::sign(&pack, &key).map_err(|error| match error {
        SignError::Pack(error) => Failure::from(error),
        error @ SignError::Write { .. } => Failure::new(Exit::Io, error),
        error => Failure::new(Exit::Usage, error),
    })?;
    out::message(&format!("wrote the signature to {}", file.display()));
    out::data(&format!("{}\n", key.verifying_key()))?;
    Ok(Exit::Done)
}
