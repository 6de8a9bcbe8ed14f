//! Tenants, and whether the pack has what they ask for.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use crate::{
    config::{self, Kind, Problems},
    model::{self, OperatingPoints, Pack},
    pipeline::Engine,
    tenant::{self, LabelSet, Tenants, reload},
};

/// Loads the tenants once.
pub fn load(tenants: &config::Tenants) -> Result<Tenants, Problems> {
    let config::Tenants { dir, default } = tenants;
    Tenants::load(dir, default.as_deref())
}

/// What tenants ask for and `fits` refuses, such as operating points that the pack does not have.
pub fn unfit(
    tenants: &Tenants,
    dir: &Path,
    fits: impl Fn(&LabelSet) -> Result<(), model::Error>,
) -> Problems {
    let mut problems = Problems::default();
    for policy in tenants.iter() {
        let Err(error) = fits(&policy.labels) else {
            continue;
        };
        let file = dir.join(format!("{}.toml", policy.tenant));
        let key = match error {
            model::Error::NoCategory { .. } => "labels",
            _ => "operating_point",
        };
        let at = tenant::place(&file, key);
        let fix = error.hint().unwrap_or_default();
        problems.push(Kind::Invalid(error.to_string()), &at, fix);
    }
    problems
}

/// Tenants that are reloaded while the worker runs. A set that the pack does not fit is not taken.
pub(super) fn reloaded(
    tenants: &config::Tenants,
    unfit: reload::Unfit,
) -> Result<(reload::Service, reload::Handle), Problems> {
    let config::Tenants { dir, default } = tenants;
    let mut options = reload::Options::new(dir.clone(), default.clone());
    options.unfit = Some(unfit);
    options.build()
}

/// What is wrong with tenants, by the pack alone until `engine` is set. A misfit is found before a record is
/// read: afterwards each record of such a tenant would become a dead letter. The engine finds all misfits, but a
/// large one takes half a minute to start.
pub(super) fn misfits(
    tenants: &config::Tenants,
    pack: &Pack,
    engine: Arc<OnceLock<Engine>>,
) -> Result<reload::Unfit, model::Error> {
    let dir = tenants.dir.clone();
    let points = OperatingPoints::new(pack)?;
    Ok(Arc::new(move |tenants: &Tenants| {
        unfit(tenants, &dir, |set| match engine.get() {
            Some(engine) => engine.fits(set),
            None => points.knows(set.balance.operating_point.as_deref()),
        })
    }))
}
