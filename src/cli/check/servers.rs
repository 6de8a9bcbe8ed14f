//! `--connect`: the servers of models are asked what they serve, and for one token.

use super::report::Report;
use crate::{
    assemble::engine,
    config::{DEFAULT_MODEL, Resolved, Written},
    diagnose::Kind,
    model::prompted,
};

impl Report {
    /// Asks each server that a pack needs. What is wrong with a pack itself was told before.
    pub(super) fn model_servers(&mut self, resolved: &Resolved, written: &Written) {
        for (name, section) in engine::sections(resolved) {
            let key = match name {
                DEFAULT_MODEL => "model".to_owned(),
                name => format!("models.{name}"),
            };
            let Ok(options) = engine::served(section) else {
                continue;
            };
            let Some(options) = options else { continue };
            match prompted::reach(options) {
                Ok(reached) => self.reached(&reached),
                Err(error) => {
                    let key = match written.has(&format!("{key}.server")) {
                        true => format!("{key}.server"),
                        false => format!("{key}.pack"),
                    };
                    let fix = error.hint().unwrap_or_default();
                    let kind = Kind::Invalid(error.to_string());
                    self.problems.push(kind, &written.place(&key), fix);
                }
            }
        }
    }

    fn reached(&mut self, reached: &prompted::Reached) {
        const MOST_NAMES: usize = 10;
        let prompted::Reached { at, model, serves } = reached;
        self.ok(at, &format!("answers for model {model}"));
        // Some servers answer whatever name is asked for.
        if !serves.is_empty() && !serves.contains(model) {
            let names: Vec<&str> = serves.iter().map(String::as_str).take(MOST_NAMES).collect();
            let names = names.join(", ");
            self.warn(
                at,
                &format!(
                    "its list has no model `{model}` but: {names}; it may answer with another model"
                ),
            );
        }
    }
}
