//! `weir forget`: keys of data subjects are destroyed, with an event on disk before.

use std::io::Read as _;

use anyhow::anyhow;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::{
    args, event_file,
    exit::{Exit, Failure},
    out,
};
use crate::{
    VERSION,
    record::{Forget, KeyAction, KeyKind},
    redact::{Form, tokens},
    tenant::{
        Policy, SubjectKeys,
        subject_keys::{Error, Stored},
    },
};

/// Destroys keys.
pub fn execute(args: &args::Forget) -> Result<Exit, Failure> {
    event_file::said([("--reason", Some(&args.reason)), ("--by", args.by.as_ref())])?;
    let policy = Policy::load(&args.tenant)?;
    let Some(keys) = &policy.subject_keys else {
        let error = anyhow!("the tenant file names no store of subject keys");
        let hint = "subject_keys = { url = \"s3://bucket/keys\" }, the one that workers use";
        return Err(Failure::new(Exit::Config, error).hint(hint));
    };
    let mut forgetting = Forgetting {
        args,
        policy: &policy,
        keys,
        runtime: super::runtime(),
        destroyed: 0,
        unknown: 0,
        versioned: None,
    };
    if let Some(token) = &args.token {
        forgetting.token(token)?;
    } else if let Some(subject) = &args.subject {
        forgetting.subject(subject)?;
    } else {
        let mut lines = Zeroizing::new(String::new());
        std::io::stdin().lock().read_to_string(&mut lines)?;
        for subject in lines.lines().filter(|line| !line.is_empty()) {
            forgetting.subject(subject)?;
        }
    }
    forgetting.end()
}

struct Forgetting<'a> {
    args: &'a args::Forget,
    policy: &'a Policy,
    keys: &'a SubjectKeys,
    runtime: Runtime,
    /// Keys that were destroyed.
    destroyed: usize,
    /// Subjects and tokens for which there never was a key.
    unknown: usize,
    /// The store keeps what was destroyed.
    versioned: Option<Error>,
}

impl Forgetting<'_> {
    /// The keys of a subject.
    fn subject(&mut self, subject: &str) -> Result<(), Failure> {
        let is_for_good = self.args.for_good;
        let digest = self.keys.name(subject);
        // Ends: another round comes only where a worker made a key meanwhile.
        loop {
            let found = self.runtime.block_on(self.keys.find(subject))?;
            let bars = is_for_good && found.may_be_barred();
            if found.keys.is_empty() && !bars {
                self.unknown += usize::from(!found.was_known);
                return Ok(());
            }
            self.record(Some(&digest), &found.keys)?;
            for id in &found.keys {
                self.destroy(id)?;
            }
            if !bars || self.runtime.block_on(self.keys.bar(&found))? {
                return Ok(());
            }
        }
    }

    /// The key of a token.
    fn token(&mut self, text: &str) -> Result<(), Failure> {
        let Some(token) = tokens(text).find(|token| token.form == Form::OfSubject) else {
            let error = anyhow!("--token is not a token of a value that was encrypted per subject");
            return Err(Failure::new(Exit::Usage, error).hint("weir:p1:…:"));
        };
        let id = token.key_id.to_owned();
        match self.runtime.block_on(self.keys.read(&id)) {
            Ok(Stored::Nothing) => {
                self.unknown += 1;
                return Ok(());
            }
            Ok(Stored::Destroyed { .. }) => return Ok(()),
            // What cannot be read can be destroyed.
            Ok(Stored::Key(_)) | Err(Error::NoKey { .. } | Error::Foreign { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.record(None, std::slice::from_ref(&id))?;
        self.destroy(&id)
    }

    fn destroy(&mut self, id: &str) -> Result<(), Failure> {
        match self.runtime.block_on(self.keys.destroy(id)) {
            Ok(()) => {}
            Err(error @ Error::Versioned { .. }) => self.versioned = Some(error),
            Err(error) => return Err(error.into()),
        }
        self.destroyed += 1;
        Ok(())
    }

    fn record(&self, digest: Option<&str>, keys: &[String]) -> Result<(), Failure> {
        let own = self.keys.own_key();
        let args = self.args;
        let event = Forget {
            kind: KeyKind::Key,
            action: KeyAction::Forget,
            at: jiff::Timestamp::now().to_string(),
            by: args.by.clone().unwrap_or_else(event_file::login),
            reason: args.reason.clone(),
            ticket: args.ticket.clone(),
            tenant: self.policy.tenant.to_string(),
            subject_digest: digest.map(str::to_owned),
            keys: keys.to_vec(),
            for_good: args.for_good,
            key_id: own.id.to_string(),
            key_fingerprint: own.fingerprint.to_string(),
            weir_version: VERSION.to_owned(),
        };
        event_file::record(&args.audit, &[event], "no key was destroyed")
    }

    fn end(self) -> Result<Exit, Failure> {
        let counted = match self.destroyed {
            1 => "1 key destroyed\n".to_owned(),
            count => format!("{count} keys destroyed\n"),
        };
        out::data(&counted)?;
        if let Some(error) = self.versioned {
            return Err(error.into());
        }
        match self.unknown {
            0 => Ok(Exit::Done),
            unknown => {
                let error = anyhow!("{unknown} of the subjects never had a key");
                let hint =
                    "write the subject as documents do, and name the tenant file that workers use";
                Err(Failure::new(Exit::No, error).hint(hint))
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Versioned { .. } => Exit::No,
            Error::NoKey { .. } | Error::Foreign { .. } => Exit::Config,
            _ => Exit::Unavailable,
        };
        let hint = error.hint();
        Self::new(exit, error).hint(hint)
    }
}
