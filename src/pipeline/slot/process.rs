//! What makes records of a slot's documents: the engine, by the tenants of the moment.

use super::Worker;
use crate::{
    model,
    pipeline::{Processor, Working},
    record::{DeadLetter, Document, PlainText},
};

/// Processes documents; a seam, so that a slot runs without a model in its tests.
pub(super) trait Process {
    /// Begins with a document.
    ///
    /// # Errors
    /// Its tenant has no policy.
    fn start(&self, document: Document, form: PlainText) -> Result<Working, DeadLetter>;

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
