//! What makes records of a slot's documents: the engine, by the tenants of the moment.

use std::sync::Arc;

use super::Worker;
use crate::{
    model,
    pipeline::{Processor, Working, document},
    record::{DeadLetter, Digests, Document, PlainText},
    tenant::Policy,
};

/// Processes documents; a seam, so that a slot runs without a model in its tests.
pub(super) trait Process {
    /// Begins with a document.
    ///
    /// # Errors
    /// Its tenant has no policy.
    fn start(&self, document: Document, form: PlainText) -> Result<Working, DeadLetter>;

    /// The policy of a dead letter's tenant, if it is known.
    fn policy_of(&self, letter: &DeadLetter) -> Option<Arc<Policy>>;

    /// What makes the records of a policy.
    fn digests(&self, policy: &Policy) -> Digests;

    /// Whether nothing can be processed any more.
    fn has_stopped(&self) -> bool;

    /// Why that is so, where it is known.
    fn why_stopped(&self) -> Option<model::Error> {
        None
    }

    /// Tokens that the model has answered for: they grow while a long text is processed.
    fn tokens(&self) -> u64;
}

impl Process for Worker {
    fn start(&self, document: Document, form: PlainText) -> Result<Working, DeadLetter> {
        Processor::new(&self.engine, self.tenants.current()).start(document, form)
    }

    fn policy_of(&self, letter: &DeadLetter) -> Option<Arc<Policy>> {
        let tenants = self.tenants.current();
        tenants.policy(Some(letter.tenant.as_deref()?)).cloned()
    }

    fn digests(&self, policy: &Policy) -> Digests {
        document::digests(&self.engine, policy)
    }

    fn has_stopped(&self) -> bool {
        self.engine.has_stopped()
    }

    fn why_stopped(&self) -> Option<model::Error> {
        self.engine.why_stopped()
    }

    fn tokens(&self) -> u64 {
        self.engine.counts().tokens()
    }
}
