//! `weir reveal`: values that were encrypted or sealed, read back, with an event on disk or in a topic before anything is
//! printed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _, Write as _},
    path::Path,
};

use anyhow::{Context as _, anyhow};
use zeroize::Zeroizing;

use super::{
    args, event_file,
    exit::{Exit, Failure},
};
use crate::{
    VERSION,
    record::{Reveal, RevealKind},
    redact::{Form, Identity, Key, Reading, Revealed, reveal, reveal_digits, tokens},
    tenant::{
        Policy,
        subject_keys::{Error, Stored},
    },
};

/// Reads tokens back.
pub fn execute(args: &args::Reveal) -> Result<Exit, Failure> {
    event_file::said([("--reason", Some(&args.reason)), ("--by", args.by.as_ref())])?;
    let policy = Policy::load(&args.tenant)?;
    let identities = identities(args.identity.as_deref())?;
    let text = input(args.token.as_deref())?;
    let subjects = SubjectKeysRead::of(&policy, &text)?;
    let reading = match &args.label {
        Some(label) => of_digits(args, &policy, label, text.trim_end_matches('\n'))?,
        None => reveal(
            &policy.tenant,
            &text,
            |id| policy.keyring.key(id),
            |id| subjects.keys.get(id),
            &identities,
        ),
    };
    if !reading.revealed.is_empty() {
        let events: Vec<Reveal> = reading
            .revealed
            .iter()
            .map(|revealed| event(args, &policy, revealed))
            .collect();
        record(args, &events)?;
    }
    print(&text, &reading, args.json)?;
    match (reading.revealed.len(), reading.unread) {
        (0, 0) => {
            let error = anyhow!("the input holds no token");
            Err(Failure::new(Exit::NoInput, error))
        }
        (_, 0) => Ok(Exit::Done),
        (_, unread) => {
            let why = match subjects.destroyed {
                0 => "their key is missing, or they are of another tenant".to_owned(),
                gone => format!("{gone} keys of subjects were destroyed"),
            };
            let error = anyhow!("{unread} tokens were not read: {why}");
            let hint = "add the older key to `keys` of the tenant file, or give --identity";
            let failure = Failure::new(Exit::No, error);
            Err(match subjects.destroyed {
                0 => failure.hint(hint),
                _ => failure,
            })
        }
    }
}

/// The keys of subjects that the tokens of a text name.
#[derive(Default)]
struct SubjectKeysRead {
    keys: BTreeMap<String, Key>,
    /// Keys that were destroyed.
    destroyed: usize,
}

impl SubjectKeysRead {
    fn of(policy: &Policy, text: &str) -> Result<Self, Failure> {
        let mut read = Self::default();
        let Some(store) = &policy.subject_keys else {
            return Ok(read);
        };
        let of_subjects = tokens(text).filter(|token| token.form == Form::OfSubject);
        let ids: BTreeSet<String> = of_subjects.map(|token| token.key_id.to_owned()).collect();
        let runtime = super::runtime();
        for id in ids {
            match runtime.block_on(store.read(&id)) {
                Ok(Stored::Key(key)) => {
                    read.keys.insert(id, key);
                }
                Ok(Stored::Destroyed { .. }) => read.destroyed += 1,
                // A token of another tenant, or of an older key that is missing: it is not read.
                Ok(Stored::Nothing) | Err(Error::Foreign { .. } | Error::NoKey { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(read)
    }
}

/// The token of the command line, or standard input.
fn input(token: Option<&str>) -> Result<Zeroizing<String>, Failure> {
    if let Some(token) = token {
        return Ok(Zeroizing::new(format!("{token}\n")));
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(_) => Err(Failure::new(Exit::Io, anyhow!("the input is not UTF-8"))),
    }
}

fn identities(file: Option<&Path>) -> Result<Vec<Identity>, Failure> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map(Zeroizing::new)
        .with_context(|| format!("can't read the identity file {shown}"))
        .map_err(|error| Failure::new(Exit::Config, error))?;
    Identity::read(&text).ok_or_else(|| {
        let error = anyhow!("{shown} is not a file of age identities");
        Failure::new(Exit::Config, error)
            .hint("one AGE-SECRET-KEY-1… per line, as age-keygen writes it")
    })
}

/// A value of which the digits were encrypted.
fn of_digits(
    args: &args::Reveal,
    policy: &Policy,
    label: &str,
    value: &str,
) -> Result<Reading, Failure> {
    let key = match &args.key {
        Some(id) => policy.keyring.key(id),
        None => policy.keyring.primary(),
    };
    let Some(key) = key else {
        let error = anyhow!("the tenant file has no such key, or several and no primary one");
        return Err(Failure::new(Exit::Config, error).hint("--key with an id of `keys`"));
    };
    let revealed = reveal_digits(&policy.tenant, label, key, value);
    Ok(Reading {
        unread: usize::from(revealed.is_none()),
        revealed: revealed.into_iter().collect(),
    })
}

fn event(args: &args::Reveal, policy: &Policy, revealed: &Revealed) -> Reveal {
    Reveal {
        kind: RevealKind::Reveal,
        at: jiff::Timestamp::now().to_string(),
        by: args.by.clone().unwrap_or_else(event_file::login),
        reason: args.reason.clone(),
        ticket: args.ticket.clone(),
        tenant: policy.tenant.to_string(),
        label: revealed.label.clone(),
        key_id: revealed.key.id.to_string(),
        key_fingerprint: revealed.key.fingerprint.to_string(),
        token_digest: revealed.token_digest.clone(),
        weir_version: VERSION.to_owned(),
    }
}

/// Writes the events, and returns when they are on disk, or acknowledged by brokers.
fn record(args: &args::Reveal, events: &[Reveal]) -> Result<(), Failure> {
    match (&args.audit, &args.config) {
        (Some(path), _) => event_file::record(path, events, "nothing was revealed"),
        (None, Some(file)) => publish(file, events),
        (None, None) => {
            let error = anyhow!("an event needs --audit or --config");
            Err(Failure::new(Exit::Usage, error))
        }
    }
}

#[cfg(feature = "kafka")]
fn publish(file: &Path, events: &[Reveal]) -> Result<(), Failure> {
    let written = crate::config::Config::load(file, std::env::vars_os(), &[])?;
    let named = written.reveals(file)?;
    let values: Result<Vec<Vec<u8>>, _> = events.iter().map(serde_json::to_vec).collect();
    let values = values.map_err(io::Error::from)?;
    let appended = named.brokers.append(&named.topic, &values);
    appended.map_err(|error| {
        Failure::new(Exit::Unavailable, error)
            .hint("weir prints a value only after its event is acknowledged; nothing was revealed")
    })
}

#[cfg(not(feature = "kafka"))]
fn publish(_: &Path, _: &[Reveal]) -> Result<(), Failure> {
    Err(super::needs("kafka"))
}

/// The text with values in place of their tokens. A value is printed as it is, escape characters included; within
/// JSON it is escaped as a string's characters are.
fn print(text: &str, reading: &Reading, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let mut done = 0;
    for revealed in &reading.revealed {
        out.write_all(&text.as_bytes()[done..revealed.start])?;
        if json {
            let quoted = Zeroizing::new(serde_json::to_string(&*revealed.value)?);
            out.write_all(quoted[1..quoted.len() - 1].as_bytes())?;
        } else {
            out.write_all(revealed.value.as_bytes())?;
        }
        done = revealed.end;
    }
    out.write_all(&text.as_bytes()[done..])?;
    out.flush()
}
