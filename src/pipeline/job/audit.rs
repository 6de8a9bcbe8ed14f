//! What a job says of each document to the audit, where its sink audits.

use std::sync::Arc;

use super::run::{Outlet, Run};
use crate::{
    pipeline::{Working, document},
    record::{
        Audit, DeadLetter, Document, Done,
        audit::{About, DigestKey},
    },
    sink::Output,
    tenant::Policy,
};

/// A document that is audited, while it is processed.
pub(super) struct Audited {
    document: Arc<Document>,
    policy: Arc<Policy>,
}

/// The output and its key, if it audits.
fn audits(outlet: &mut Outlet) -> Option<(&mut Output, DigestKey)> {
    let Outlet::Output(output) = outlet else {
        return None;
    };
    let key = output.digest_key()?.clone();
    Some((output, key))
}

impl Outlet {
    /// What is kept of a document until it is done; none where nothing is audited.
    pub(super) fn follows(&self, working: &Working) -> Option<Audited> {
        let Self::Output(output) = self else {
            return None;
        };
        output.digest_key()?;
        Some(Audited {
            document: working.document().clone(),
            policy: working.policy(),
        })
    }
}

impl Run<'_> {
    /// The audit record of a document that is delivered.
    pub(super) fn event(&self, outlet: &Outlet, of: Option<Audited>, done: &Done) -> Option<Audit> {
        let (Outlet::Output(output), Some(of)) = (outlet, of) else {
            return None;
        };
        let key = output.digest_key()?;
        let mut about = self.about(&of.policy);
        let (entities, changes) = (&done.entities.entities, &done.changes);
        about.findings = document::findings(entities, changes, &of.policy, key);
        about.input_digest = Some(key.digest(&of.document.body.digested()));
        let source = done.entities.source.clone();
        Some(Audit::event(source, Ok(done), about, key))
    }

    /// Adds the record of a dead letter; `of`: its document, if it became one.
    pub(super) async fn audit_letter(
        &self,
        letter: &DeadLetter,
        of: Option<Audited>,
        outlet: &mut Outlet,
    ) -> Result<(), crate::sink::Error> {
        let Some((output, key)) = audits(outlet) else {
            return Ok(());
        };
        let known = || {
            self.tenants
                .policy(Some(letter.tenant.as_deref()?))
                .cloned()
        };
        let policy = of.as_ref().map(|of| of.policy.clone()).or_else(known);
        let mut about = policy.map_or_else(About::default, |policy| self.about(&policy));
        about.input_digest = of.map(|of| key.digest(&of.document.body.digested()));
        let event = Audit::event(letter.source.clone(), Err(letter), about, &key);
        output.audited(event).await
    }

    pub(super) fn about(&self, policy: &Policy) -> About {
        About {
            digests: Some(Box::new(document::digests(&self.job.engine, policy))),
            keys: document::keys(policy),
            ..About::default()
        }
    }
}

/// Adds the record of a document.
pub(super) async fn add(
    event: Option<Audit>,
    outlet: &mut Outlet,
) -> Result<(), crate::sink::Error> {
    match (event, outlet) {
        (Some(event), Outlet::Output(output)) => output.audited(event).await,
        _ => Ok(()),
    }
}
