//! The packs: whether each is whole, and whether it has what tenants ask for.

use super::report::Report;
use crate::{
    assemble::{
        engine::{self, Packs},
        tenants,
    },
    cli::labels::CLASH,
    config::{DEFAULT_MODEL, Model, Resolved, Written},
    diagnose::Kind,
    model::{self, Error, Machine, Pack, PackRef, Tuned, family::Explained},
    pipeline::Models,
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
        let mut packs = Vec::new();
        for (name, model) in engine::sections(resolved) {
            let section = match name {
                DEFAULT_MODEL => "model".to_owned(),
                name => format!("models.{name}"),
            };
            packs.push(self.pack(&section, model, written));
        }
        let whole: Option<Vec<Packs>> = packs.into_iter().collect();
        let (Some(tenants), Some(packs)) = (tenants, whole) else {
            return;
        };
        match engine::models_of(resolved, packs) {
            Ok(models) => {
                let misfits = tenants::unfit(tenants, &resolved.tenants.dir, &models);
                let fit = misfits.0.is_empty();
                self.problems.0.extend(misfits.0);
                if fit {
                    self.clashes(&models, resolved, tenants);
                }
            }
            Err(error) => {
                // An address that cannot be used is the section's; what is not is the pack's.
                let key = match &error {
                    Error::Server(_) => "model.server",
                    _ => "model.pack",
                };
                self.refused(key, &error, "export the pack again", written);
            }
        }
    }

    /// The packs of a section, if they are whole.
    fn pack(&mut self, section: &str, named: &Model, written: &Written) -> Option<Packs> {
        let encoder = named.category_encoder.as_ref().map(|encoder| {
            let key = format!("{section}.category_encoder");
            self.whole(&key, encoder, named, written)
        });
        let key = format!("{section}.pack");
        let pack = self.whole(&key, &named.pack, named, written)?;
        let family = pack.manifest().family;
        let signed = match named.trusted_keys.is_empty() {
            true => "",
            false => ", signed by a trusted key",
        };
        match family == model::Kind::Prompted {
            true => self.ok(
                pack.name(),
                &format!("prompted: weir asks a server for it{signed}"),
            ),
            false => self.ok(
                &pack.folder().display().to_string(),
                &format!("{family}, sha256 match{signed}"),
            ),
        }
        self.tuned(&pack, &key, named, written);
        let encoder = match encoder {
            None => None,
            Some(opened) => Some(opened?),
        };
        Some(Packs { pack, encoder })
    }

    /// The pack that a key names, if it is whole.
    fn whole(
        &mut self,
        key: &str,
        named: &PackRef,
        model: &Model,
        written: &Written,
    ) -> Option<Pack> {
        match engine::pack(named, &model.trusted_keys) {
            Ok(pack) => Some(pack),
            Err(error) => {
                let fix = format!("set {key} to the folder of a whole pack");
                self.refused(key, &error, &fix, written);
                None
            }
        }
    }

    /// A pack that can't be used; `fix` is for an error that has none.
    fn refused(&mut self, key: &str, error: &Error, fix: &str, written: &Written) {
        let fix = error.hint().unwrap_or(fix);
        let kind = Kind::Invalid(error.to_string());
        self.problems.push(kind, &written.place(key), fix);
    }

    /// What `weir model tune` found, and whether it is used here.
    fn tuned(&mut self, pack: &Pack, key: &str, model: &Model, written: &Written) {
        let place = pack.folder().join("tuned.toml").display().to_string();
        let tuned = match Tuned::read(pack) {
            Ok(None) => return,
            Ok(Some(tuned)) => tuned,
            Err(error) => {
                let fix = "run `weir model tune` again, or remove the file";
                let kind = Kind::Invalid(error.to_string());
                self.problems.push(kind, &written.place(key), fix);
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
            None if tuned.copy.is_some() && !model.trusted_keys.is_empty() => self.warn(
                &place,
                "its copy of the graph is not used: nobody signed the copy, and model.trusted_keys asks for signatures",
            ),
            None if tuned.lacks_copy(pack) => self.warn(
                &place,
                "its copy of the graph is missing or truncated and is not used: run `weir model tune` again",
            ),
            None => self.ok(&place, &format!("{}, measured here", tuned.graph)),
        }
    }

    /// Labels of a tenant that a model may confuse.
    fn clashes(&mut self, models: &Models, resolved: &Resolved, tenants: &Tenants) {
        for policy in tenants.iter() {
            let explained = match models.explain(&policy.labels) {
                Ok(explained) => explained,
                // Without ONNX Runtime, or with a label that is too long for the pack.
                Err(error) => {
                    self.skipped.push(format!("similarity of labels ({error})"));
                    return;
                }
            };
            let file = format!("{}/{}.toml", resolved.tenants.dir.display(), policy.tenant);
            for reading in explained {
                let Explained::Open(Some(alike)) = reading.explained else {
                    continue;
                };
                let name = |at: usize| &policy.labels.labels[reading.labels[at]].name;
                for (a, row) in alike.iter().enumerate() {
                    for (b, alike) in row.iter().enumerate().skip(a + 1) {
                        if *alike >= CLASH {
                            let (a, b) = (name(a), name(b));
                            let said = format!(
                                "\"{a}\" and \"{b}\" have similarity {alike:.2}: the model may confuse them"
                            );
                            self.warn(&file, &said);
                        }
                    }
                }
            }
        }
    }
}
