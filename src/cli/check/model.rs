//! The pack: whether it is whole, and whether it has what tenants ask for.

use super::report::Report;
use crate::{
    assemble::{engine, tenants},
    cli::labels::CLASH,
    config::{Kind, Model, Resolved, Written},
    model::{Encoder, Error, Head, Machine, OperatingPoints, Pack, Tuned},
    tenant::Tenants,
};

impl Report {
    /// Opens the packs as the engine does; `tenants` are those whose files are right.
    pub(super) fn packs(
        &mut self,
        resolved: &Resolved,
        tenants: Option<&Tenants>,
        written: &Written,
    ) {
        let model = &resolved.model;
        let named = model.category_encoder.as_ref();
        let encoder = match named.map(engine::pack).transpose() {
            Ok(encoder) => encoder,
            Err(error) => {
                let fix = "set model.category_encoder to the folder of a whole pack";
                self.refused("model.category_encoder", &error, fix, written);
                None
            }
        };
        let pack = match engine::pack(&model.pack) {
            Ok(pack) => pack,
            Err(error) => {
                let fix = "set model.pack to the folder of a whole pack";
                return self.refused("model.pack", &error, fix, written);
            }
        };
        let family = pack.manifest().family;
        self.ok(
            &pack.folder().display().to_string(),
            &format!("{family}, sha256 match"),
        );
        self.tuned(&pack, model, written);
        let Some(tenants) = tenants else { return };
        self.operating_points(&pack, resolved, tenants, written);
        match pack.manifest().head {
            Some(_) if named.is_some() && encoder.is_none() => {} // reported above
            Some(_) => self.categories(&pack, encoder.as_ref(), model, tenants, written),
            None => self.clashes(&pack, resolved, tenants),
        }
    }

    /// A pack that can't be used; `fix` is for an error that has none.
    fn refused(&mut self, key: &str, error: &Error, fix: &str, written: &Written) {
        let fix = error.hint().unwrap_or(fix);
        let kind = Kind::Invalid(error.to_string());
        self.problems.push(kind, &written.place(key), fix);
    }

    /// What `weir model tune` found, and whether it is used here.
    fn tuned(&mut self, pack: &Pack, model: &Model, written: &Written) {
        let place = pack.folder().join("tuned.toml").display().to_string();
        let tuned = match Tuned::read(pack) {
            Ok(None) => return,
            Ok(Some(tuned)) => tuned,
            Err(error) => {
                let fix = "run `weir model tune` again, or remove the file";
                let kind = Kind::Invalid(error.to_string());
                self.problems.push(kind, &written.place("model.pack"), fix);
                return;
            }
        };
        let Ok(machine) = Machine::here(model.runtime.as_deref()) else {
            self.skipped
                .push("what the pack was tuned on (no ONNX Runtime)".to_owned());
            return;
        };
        match tuned.misfit(pack, &machine) {
            Some(misfit) => self.warn(&place, misfit),
            None if tuned.lacks_copy(pack) => self.warn(
                &place,
                "its copy of the graph is gone or cut short and is not used: run `weir model tune` again",
            ),
            None => self.ok(&place, &format!("{}, measured here", tuned.graph)),
        }
    }

    /// Operating points of tenants that the pack does not have.
    fn operating_points(
        &mut self,
        pack: &Pack,
        resolved: &Resolved,
        tenants: &Tenants,
        written: &Written,
    ) {
        match OperatingPoints::new(pack) {
            Ok(points) => {
                let problems = tenants::unfit(tenants, &resolved.tenants.dir, |set| {
                    points.knows(set.balance.operating_point.as_deref())
                });
                self.problems.0.extend(problems.0);
            }
            Err(error) => self.refused("model.pack", &error, "export the pack again", written),
        }
    }

    /// Labels of tenants that a fixed head has no category for.
    fn categories(
        &mut self,
        pack: &Pack,
        encoder: Option<&Pack>,
        model: &Model,
        tenants: &Tenants,
        written: &Written,
    ) {
        let fix = "export the pack again";
        let encoder = encoder.map(|pack| Encoder::new(pack, model.runtime.clone(), None));
        let (head, encoder) = match (Head::new(pack), encoder.transpose()) {
            (Ok(head), Ok(encoder)) => (head, encoder),
            (head, encoder) => {
                if let Err(error) = head {
                    self.refused("model.pack", &error, fix, written);
                }
                if let Err(error) = encoder {
                    self.refused("model.category_encoder", &error, fix, written);
                }
                return;
            }
        };
        for policy in tenants.iter() {
            let labels = policy.labels.labels.iter().map(|label| &*label.wording);
            if let Err(error) = head.assign(labels, &model.categories, encoder.as_ref()) {
                let fix = error.hint().unwrap_or_default();
                let kind = Kind::Invalid(format!("tenant {}: {error}", policy.tenant));
                self.problems
                    .push(kind, &written.place("model.categories"), fix);
            }
        }
    }

    /// Labels of a tenant that the pack can't well tell apart.
    fn clashes(&mut self, pack: &Pack, resolved: &Resolved, tenants: &Tenants) {
        let model = &resolved.model;
        let encoder = Encoder::new(pack, model.runtime.clone(), engine::label_cache(model));
        let Ok(encoder) = encoder else { return };
        for policy in tenants.iter() {
            let labels = &policy.labels.labels;
            let wordings: Vec<&str> = labels.iter().map(|label| &*label.wording).collect();
            let vectors = match encoder.encode(&wordings) {
                Ok(vectors) => vectors,
                // Without ONNX Runtime, or with a label that is too long for the pack.
                Err(error) => {
                    self.skipped.push(format!("likeness of labels ({error})"));
                    return;
                }
            };
            let file = format!("{}/{}.toml", resolved.tenants.dir.display(), policy.tenant);
            for a in 0..labels.len() {
                for b in a + 1..labels.len() {
                    let alike = vectors.alike(a, b);
                    if alike >= CLASH {
                        let (a, b) = (&labels[a].name, &labels[b].name);
                        self.warn(
                            &file,
                            &format!("\"{a}\" and \"{b}\" have similarity {alike:.2}: the model may confuse them"),
                        );
                    }
                }
            }
        }
    }
}
