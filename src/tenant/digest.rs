//! Digests: of a label set, and of everything that decides what a document becomes.

use std::{collections::BTreeMap, sync::Arc};

use super::{Balance, Bases, Label, LabelSet, file::File};
use crate::{
    decode::patterns,
    digest,
    redact::{Format, Generalise, Generalised, KeyName, Operator, Redactor},
};

/// Digest of a label set: names, wordings and thresholds, in order, and the balance.
pub fn label_digest(labels: &[Label], balance: &Balance) -> Arc<str> {
    let mut hash = blake3::Hasher::new();
    for label in labels {
        digest::part(&mut hash, &*label.name);
        digest::part(&mut hash, &*label.wording);
        digest::part(&mut hash, label.threshold.to_le_bytes());
    }
    // Sets without a balance and models of their own keep the digest that earlier versions gave them. Two parts are
    // never taken for a label, which has three.
    if balance.operating_point.is_some() || balance.recall_bias != 0.0 {
        let point = balance.operating_point.as_deref().unwrap_or_default();
        digest::part(&mut hash, point);
        digest::part(&mut hash, balance.recall_bias.to_le_bytes());
    }
    if let Some(fails) = balance.fails_if_invented {
        // No part is that long, nor is it the mark of models.
        hash.update(&(u64::MAX - 1).to_le_bytes());
        digest::part(&mut hash, [u8::from(fails)]);
    }
    let models = labels.iter().map(|label| &label.models);
    let models: Vec<_> = models.chain([&balance.models]).collect();
    if models.iter().any(|models| !models.is_empty()) {
        // No part is that long.
        hash.update(&u64::MAX.to_le_bytes());
        for models in models {
            // No name holds it.
            digest::part(&mut hash, models.join("\n"));
        }
    }
    hash.finalize().to_hex().as_str().into()
}

/// Digest of everything that decides what a document becomes; keys by their ids and fingerprints. Tests are
/// not part of it.
pub(super) fn policy_digest(
    file: &File,
    labels: &LabelSet,
    options: &patterns::Options,
    redactor: &Redactor,
    keys: &[KeyName],
    bases: &Bases,
) -> Arc<str> {
    let operators: BTreeMap<&str, String> = redactor
        .operators
        .iter()
        .map(|(label, operator)| (&**label, operator_text(operator)))
        .collect();
    let custom: Vec<[&str; 3]> = options
        .custom
        .iter()
        .map(|custom| [custom.name.as_str(), &custom.label, &custom.regex])
        .collect();
    let deny: Vec<[&str; 2]> = options
        .deny
        .iter()
        .map(|(term, label)| [term.as_str(), label])
        .collect();
    let builtin: Vec<[&str; 2]> = options
        .builtin
        .iter()
        .map(|(name, label)| [name.as_str(), label])
        .collect();
    let mut parts = serde_json::json!([
        &*redactor.tenant,
        &*labels.digest,
        builtin,
        custom,
        deny,
        options.allow,
        options.phone_region,
        operators,
        operator_text(&redactor.default),
        file.rules,
        file.emit_text,
    ]);
    // Tenants without keys, subjects and bases keep the digest that earlier versions gave them.
    let more = parts.as_array_mut().expect("made as an array above");
    if !keys.is_empty() {
        let keys: Vec<[&str; 2]> = keys
            .iter()
            .map(|key| [&*key.id, &*key.fingerprint])
            .collect();
        more.push(serde_json::json!({ "keys": keys }));
    }
    if let Some(subject) = &file.subject {
        more.push(serde_json::json!({ "subject": subject }));
    }
    if let Some(store) = &file.subject_keys {
        more.push(serde_json::json!({ "subject_keys": store.url }));
    }
    if !bases.is_empty() {
        let bases: BTreeMap<&str, &str> = bases
            .iter()
            .map(|(label, own)| (&**label, &**own))
            .collect();
        more.push(serde_json::json!({ "bases": bases }));
    }
    blake3::hash(parts.to_string().as_bytes())
        .to_hex()
        .as_str()
        .into()
}

/// An operator in words; its key by its id.
pub(super) fn operator_text(operator: &Operator) -> String {
    match operator {
        Operator::Keep => "keep".to_owned(),
        Operator::Remove => "remove".to_owned(),
        Operator::Replace { placeholder: None } => "replace".to_owned(),
        Operator::Replace {
            placeholder: Some(placeholder),
        } => format!("replace with {placeholder:?}"),
        Operator::Mask {
            character,
            keep_last,
        } => format!("mask with {character:?} but {keep_last}"),
        Operator::MaskCount {
            character,
            count,
            from_end,
        } => {
            format!(
                "mask {count} with {character:?} from {}",
                if *from_end { "the end" } else { "the start" }
            )
        }
        Operator::Hash { key } => format!("hash with key {:?}", key.id()),
        Operator::Surrogate { key } => format!("surrogate with key {:?}", key.id()),
        Operator::Truncate { first } => format!("truncate but {first} and 4"),
        Operator::Generalise(Generalise {
            kind,
            band,
            oldest_year,
        }) => {
            let kind = kind.map_or("what the label says", |kind| match kind {
                Generalised::Age => "ages",
                Generalised::Date => "dates",
                Generalised::Zip => "ZIP codes",
            });
            let oldest = oldest_year.map(|year| format!(" from {year}"));
            let oldest = oldest.unwrap_or_default();
            format!("generalise {kind} by {band} years{oldest}")
        }
        Operator::Shift { key, days } => {
            format!("shift by up to {days} days with key {:?}", key.id())
        }
        Operator::Encrypt { key, format } => {
            let format = match format {
                Format::Token => String::new(),
                Format::Digits { fewest } => format!(" from {fewest} digits on"),
            };
            format!("encrypt{format} with key {:?}", key.id())
        }
        Operator::EncryptPerSubject { key } => {
            format!("encrypt per subject with key {:?}", key.id())
        }
        Operator::Seal { recipient } => format!("seal to {:?}", recipient.name().id),
    }
}
