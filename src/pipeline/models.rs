//! The models of a worker by their names, and which labels of a tenant each looks for.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    digest,
    model::{
        self, Options, Running,
        family::{Ask, Explained, Family, Label, Model},
    },
    tenant::LabelSet,
};

/// The models of a worker. Their weights are not loaded. Cheap to clone.
#[derive(Clone)]
pub struct Models {
    all: Arc<[Named]>,
    digest: Arc<str>,
}

struct Named {
    name: Arc<str>,
    family: Arc<dyn Family>,
}

/// The labels of a set that one model looks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Share {
    /// Which model.
    pub(super) model: usize,
    /// Their positions in the set.
    pub(super) labels: Vec<usize>,
    /// What the model is asked.
    pub(super) ask: Ask,
}

/// How a model reads labels.
#[derive(Debug)]
pub struct Reading<'m> {
    /// Name of its pack.
    pub pack: &'m str,
    /// Positions of the labels in their set.
    pub labels: Vec<usize>,
    /// What it makes of them.
    pub explained: Explained,
}

impl Models {
    /// Opens packs by the names that tenants call them. The first is the default.
    pub fn open(
        packs: impl IntoIterator<Item = (Arc<str>, Options)>,
    ) -> Result<Self, model::Error> {
        let opened = packs
            .into_iter()
            .map(|(name, options)| Ok((name, model::open(options)?)));
        Ok(Self::of(opened.collect::<Result<Vec<_>, model::Error>>()?))
    }

    /// Models of any family. The first is the default.
    ///
    /// # Panics
    /// If there is none.
    pub fn of(models: impl IntoIterator<Item = (Arc<str>, Arc<dyn Family>)>) -> Self {
        let all = models.into_iter();
        let all: Arc<[Named]> = all.map(|(name, family)| Named { name, family }).collect();
        assert!(!all.is_empty(), "a worker has a model");
        let digest = together(&all.iter().collect::<Vec<_>>());
        Self { all, digest }
    }

    /// Whether documents of a label set can be processed.
    pub fn fits(&self, set: &LabelSet) -> Result<(), model::Error> {
        for share in self.shares(set)? {
            self.all[share.model].family.fits(&share.ask)?;
        }
        Ok(())
    }

    /// How each model reads the labels of a set that ask it; there may be none.
    pub fn explain(&self, set: &LabelSet) -> Result<Vec<Reading<'_>>, model::Error> {
        let mut shares = self.shares(set)?.into_iter().peekable();
        let readings = self.all.iter().enumerate().map(|(at, named)| {
            let (labels, ask) = match shares.next_if(|share| share.model == at) {
                Some(share) => (share.labels, share.ask),
                None => (Vec::new(), Ask::default()),
            };
            Ok(Reading {
                pack: named.family.pack(),
                explained: named.family.explain(&ask)?,
                labels,
            })
        });
        readings.collect()
    }

    /// Their names, as tenants call them; the first is the default's.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.all.iter().map(|named| &named.name)
    }

    /// Name of the default pack.
    pub fn pack(&self) -> &str {
        self.all[0].family.pack()
    }

    /// 64 hex digits: of all packs.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// 64 hex digits: of the packs that a label set asks; of the default one where it asks none.
    ///
    /// Each record carries it, so one pack costs nothing here, and several only the look at their names.
    pub fn digest_for(&self, set: &LabelSet) -> Arc<str> {
        if self.all.len() == 1 {
            return self.digest.clone();
        }
        let asked = set.labels.iter().map(|label| self.places(&label.models));
        let Ok(asked) = asked.collect::<Result<Vec<_>, _>>() else {
            return self.digest.clone();
        };
        let asked: BTreeSet<usize> = asked.into_iter().flatten().collect();
        let asked: Vec<&Named> = asked.into_iter().map(|at| &self.all[at]).collect();
        match asked.as_slice() {
            [] => self.all[0].family.digest().into(),
            asked => together(asked),
        }
    }

    /// Loads the weights and starts the threads, one model after another.
    pub(super) fn start(&self) -> Result<(Vec<Arc<dyn Model>>, Vec<Running>), model::Error> {
        let started = self.all.iter().map(|named| named.family.clone().start());
        let started: Vec<_> = started.collect::<Result<_, _>>()?;
        Ok(started.into_iter().unzip())
    }

    /// What each model is asked, in the order of the models.
    pub(super) fn shares(&self, set: &LabelSet) -> Result<Vec<Share>, model::Error> {
        // The operating point is one of the pack that the tenant names for all its labels.
        let of_tenant = self.places(&set.balance.models)?[0];
        let mut shares: Vec<Share> = Vec::new();
        for (at, label) in set.labels.iter().enumerate() {
            let wanted = Label {
                wording: label.wording.clone(),
                threshold: label.threshold,
            };
            for model in self.that_can(&label.models, &wanted)? {
                match shares.iter_mut().find(|share| share.model == model) {
                    Some(share) => {
                        share.labels.push(at);
                        share.ask.labels.push(wanted.clone());
                    }
                    None => {
                        let point = set.balance.operating_point.clone();
                        shares.push(Share {
                            model,
                            labels: vec![at],
                            ask: Ask {
                                labels: vec![wanted.clone()],
                                operating_point: point.filter(|_| model == of_tenant),
                                recall_bias: set.balance.recall_bias,
                                fails_if_invented: set.balance.fails_if_invented,
                            },
                        });
                    }
                }
            }
        }
        shares.sort_by_key(|share| share.model);
        Ok(shares)
    }

    /// Of several models those that have a category for a label: a list names all that may look for it.
    fn that_can(&self, names: &[Arc<str>], label: &Label) -> Result<Vec<usize>, model::Error> {
        let named = self.places(names)?;
        if named.len() < 2 {
            return Ok(named);
        }
        let ask = Ask {
            labels: vec![label.clone()],
            ..Ask::default()
        };
        let mut can = Vec::with_capacity(named.len());
        let mut refused = None;
        for model in named {
            match self.all[model].family.fits(&ask) {
                Ok(()) => can.push(model),
                Err(error @ model::Error::NoCategory { .. }) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        match refused {
            Some(error) if can.is_empty() => Err(error),
            _ => Ok(can),
        }
    }

    /// Which models names are of, each once; without names the first one, which is the default.
    fn places(&self, names: &[Arc<str>]) -> Result<Vec<usize>, model::Error> {
        if names.is_empty() {
            return Ok(vec![0]);
        }
        let mut places = Vec::with_capacity(names.len());
        for name in names {
            let place = self.place(name)?;
            if !places.contains(&place) {
                places.push(place);
            }
        }
        Ok(places)
    }

    fn place(&self, name: &str) -> Result<usize, model::Error> {
        let place = self.all.iter().position(|named| &*named.name == name);
        place.ok_or_else(|| {
            let names: Vec<&str> = self.all.iter().map(|named| &*named.name).collect();
            model::Error::NoModel {
                name: name.to_owned(),
                models: names.join(", "),
            }
        })
    }
}

/// The digest of a model, or of several together.
fn together(models: &[&Named]) -> Arc<str> {
    if let [only] = models {
        return only.family.digest().into();
    }
    let mut hasher = blake3::Hasher::new();
    for named in models {
        for part in [&*named.name, named.family.digest()] {
            digest::part(&mut hasher, part);
        }
    }
    hasher.finalize().to_hex().as_str().into()
}
