//! Tenants, and whether the pack has what they ask for.

use std::{path::Path, sync::Arc};

use crate::{
    config,
    diagnose::{Kind, Problems},
    model::Error,
    pipeline::Models,
    tenant::{self, Policy, Tenants, reload},
};

/// Loads the tenants once.
pub fn load(tenants: &config::Tenants) -> Result<Tenants, Problems> {
    let config::Tenants { dir, default } = tenants;
    Tenants::load(dir, default.as_deref())
}

/// What tenants ask for and no pack can do: an operating point, a label, or a model that does not exist.
pub fn unfit(tenants: &Tenants, dir: &Path, models: &Models) -> Problems {
    let mut problems = Problems::default();
    for policy in tenants.iter() {
        let Err(error) = models.fits(&policy.labels) else {
            continue;
        };
        let file = dir.join(format!("{}.toml", policy.tenant));
        let key = match &error {
            Error::NoCategory { .. } => "labels".to_owned(),
            Error::NoModel { name, .. } => key_of_model(policy, name),
            _ => "operating_point".to_owned(),
        };
        let at = tenant::place(&file, &key);
        let fix = error.hint().unwrap_or_default();
        problems.push(Kind::Invalid(error.to_string()), &at, fix);
    }
    problems
}

/// Where a tenant names a model.
fn key_of_model(policy: &Policy, name: &str) -> String {
    let is_named = |models: &[Arc<str>]| models.iter().any(|model| &**model == name);
    if is_named(&policy.labels.balance.models) {
        return "model".to_owned();
    }
    let mut labels = policy.labels.labels.iter();
    let at = labels.position(|label| is_named(&label.models));
    at.map_or("labels".to_owned(), |at| format!("labels.{at}.model"))
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

/// What is wrong with tenants by what the packs can do. It is found before a record is read: afterwards each record of
/// such a tenant would become a dead letter.
pub(super) fn misfits(tenants: &config::Tenants, models: &Models) -> reload::Unfit {
    let (dir, models) = (tenants.dir.clone(), models.clone());
    Arc::new(move |tenants: &Tenants| unfit(tenants, &dir, &models))
}
