use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

use tokio::sync::OnceCell;

use super::models::Models;
use crate::{
    batch,
    model::{
        self, Options,
        family::{Family, Model, Prepared},
    },
    redact::names_people,
    tenant::{DEFAULT_MODEL, Label, LabelSet},
};

pub use crate::model::family::Error;

/// The models of a worker, and the label sets that are ready. Cheap to clone; see [`Running`] about the threads.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    models: Models,
    running: Vec<Arc<dyn Model>>,
    labels: Mutex<HashMap<Arc<str>, Arc<OnceCell<Arc<Labels>>>>>,
}

/// The threads of the models. Dropping it stops them.
pub struct Running {
    _threads: Vec<model::Running>,
}

/// A label set that is ready.
#[derive(Debug)]
pub struct Labels {
    set: LabelSet,
    parts: Vec<Part>,
    /// Which of the labels are of people's names.
    of_people: Vec<bool>,
}

/// The labels of a set that one model looks for.
#[derive(Debug)]
pub(super) struct Part {
    /// What the model made ready.
    pub(super) prepared: Arc<dyn Prepared>,
    /// Their positions in the set.
    labels: Vec<usize>,
}

impl Engine {
    /// Loads one pack and starts its threads.
    pub fn start(options: Options) -> Result<(Self, Running), model::Error> {
        Self::of(model::open(options)?)
    }

    /// Loads one model of any family and starts its threads.
    pub fn of(family: Arc<dyn Family>) -> Result<(Self, Running), model::Error> {
        Self::with(Models::of([(DEFAULT_MODEL.into(), family)]))
    }

    /// Loads all models and starts their threads. Blocks for as long as that takes.
    pub fn with(models: Models) -> Result<(Self, Running), model::Error> {
        let (running, threads) = models.start()?;
        let shared = Shared {
            models,
            running,
            labels: Mutex::new(HashMap::new()),
        };
        let shared = Arc::new(shared);
        Ok((Self { shared }, Running { _threads: threads }))
    }

    /// The models.
    pub fn models(&self) -> &Models {
        &self.shared.models
    }

    /// Makes a label set ready; blocks for milliseconds for each label seen for the first time.
    pub fn prepare(&self, set: &LabelSet) -> Result<Arc<Labels>, model::Error> {
        if let Some(labels) = self.known(&set.digest) {
            return Ok(labels);
        }
        let labels = self.make(set)?;
        // Where another call was quicker, both made the same.
        let _ = self.place(&set.digest).set(labels.clone());
        Ok(labels)
    }

    fn make(&self, set: &LabelSet) -> Result<Arc<Labels>, model::Error> {
        let mut parts = Vec::new();
        for share in self.shared.models.shares(set)? {
            parts.push(Part {
                prepared: self.shared.running[share.model].prepare(&share.ask)?,
                labels: share.labels,
            });
        }
        let of_people = set.labels.iter();
        let of_people = of_people.map(|label| names_people(&label.name));
        Ok(Arc::new(Labels {
            set: set.clone(),
            parts,
            of_people: of_people.collect(),
        }))
    }

    fn known(&self, digest: &str) -> Option<Arc<Labels>> {
        let known = self.shared.labels.lock();
        let known = known.unwrap_or_else(std::sync::PoisonError::into_inner);
        known.get(digest)?.get().cloned()
    }

    /// Where a label set is kept once it is ready.
    fn place(&self, digest: &Arc<str>) -> Arc<OnceCell<Arc<Labels>>> {
        let known = self.shared.labels.lock();
        let mut known = known.unwrap_or_else(std::sync::PoisonError::into_inner);
        // A reload leaves old sets behind; a few hundred are more than any set of tenants has.
        if known.len() >= 512 && !known.contains_key(digest) {
            known.clear();
        }
        known.entry(digest.clone()).or_default().clone()
    }

    /// [`Engine::prepare`] for asynchronous callers. Texts that come at once wait for one preparation.
    pub async fn labels(&self, set: &LabelSet) -> Result<Arc<Labels>, Error> {
        let place = self.place(&set.digest);
        let labels = place.get_or_try_init(|| async {
            let (engine, set) = (self.clone(), set.clone());
            let prepared = tokio::task::spawn_blocking(move || engine.make(&set)).await;
            Ok::<_, Error>(prepared.map_err(|_| Error::Panicked)??)
        });
        labels.await.cloned()
    }

    /// Whether threads of a model have ended: what fails then is no fault of a document.
    pub fn has_stopped(&self) -> bool {
        let mut running = self.shared.running.iter();
        running.any(|model| model.has_stopped())
    }

    /// Why a model has stopped, where it knows.
    pub fn why_stopped(&self) -> Option<model::Error> {
        let mut running = self.shared.running.iter();
        running.find_map(|model| model.why_stopped())
    }

    /// Tokens so far, of all models.
    pub fn counts(&self) -> batch::Counts {
        let sum = batch::Counts::default();
        for model in &self.shared.running {
            let own = model.counts();
            for (sum, own) in [
                (&sum.real, &own.real),
                (&sum.padding, &own.padding),
                (&sum.reused, &own.reused),
                (&sum.batches, &own.batches),
            ] {
                sum.fetch_add(own.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
        sum
    }
}

impl Labels {
    /// The labels.
    pub fn set(&self) -> &LabelSet {
        &self.set
    }

    /// By the model that looks for them.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// A label of a part.
    pub(super) fn label(&self, part: usize, at: usize) -> &Label {
        &self.set.labels[self.parts[part].labels[at]]
    }

    /// Whether a label of a part is one of people's names.
    pub(super) fn names_people(&self, part: usize, at: usize) -> bool {
        self.of_people[self.parts[part].labels[at]]
    }
}
