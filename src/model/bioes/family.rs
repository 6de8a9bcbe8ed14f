//! The family of packs that score B, I, E and S of each label at each token.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Instant};

use super::{
    Assigned, Backbone, Conditions, Decoder, Emissions, Encoder, Head, LabelMatrix,
    OperatingPoints, Row, Scorer, Transitions, tagger::Tagger,
};
use crate::{
    batch::{self, Item, Key},
    digest,
    model::{
        Calibration, Error, Layout, Pack,
        family::{self, Ask, Explained, Label},
        pool,
    },
    telemetry::metric::{self, Stage},
    text::{Tokenizer, Window},
};

/// How a pack is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The pack.
    pub pack: Pack,
    /// The ONNX Runtime library, if it is not where it is looked for.
    pub runtime: Option<PathBuf>,
    /// Sessions that run at the same time, each with a thread.
    pub sessions: usize,
    /// Threads of a session.
    pub session_threads: usize,
    /// How windows are put together.
    pub batch: batch::Options,
    /// Folder for label vectors; `None` keeps them in memory only.
    pub label_cache: Option<PathBuf>,
    /// Of a fixed head: the categories that a label stands for, where it is not called as one.
    pub categories: BTreeMap<String, Vec<String>>,
    /// Of a fixed head: an adaptive pack whose label encoder finds the nearest category for other labels.
    pub category_encoder: Option<Pack>,
}

/// An opened pack.
pub struct Bioes {
    options: Options,
    classes: Classes,
    points: OperatingPoints,
}

/// A pack whose graphs are loaded and whose threads run.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) loaded: Arc<Loaded>,
    windows: pool::Queue<Session>,
}

/// What all texts share.
pub(super) struct Loaded {
    family: Arc<Bioes>,
    pub(super) tokenizer: Tokenizer,
}

/// Where the vectors that hidden states are scored with come from.
enum Classes {
    Asked(Encoder),
    Fixed {
        head: Head,
        encoder: Option<Encoder>,
    },
}

/// What is asked, with the vectors that hidden states are scored with.
pub(super) struct Labels {
    model: Running,
    asked: Vec<Label>,
    pub(super) matrix: LabelMatrix,
    conditions: Option<Conditions>,
    /// Of a fixed head: the labels that ask for a category.
    assigned: Option<Assigned>,
    /// Added to O's score: the pack's own less what the tenant takes from it.
    o_bias: f32,
    transitions: Transitions,
    /// Digest of what scores depend on: the wordings in their order, and `o_bias`.
    scored_by: Key,
}

impl Bioes {
    /// Opens a pack.
    pub fn open(options: Options) -> Result<Self, Error> {
        let Options {
            pack,
            runtime,
            label_cache,
            category_encoder,
            ..
        } = &options;
        let encoder = |pack| Encoder::new(pack, runtime.clone(), label_cache.clone());
        let classes = match pack.manifest().head {
            Some(_) => Classes::Fixed {
                head: Head::new(pack)?,
                encoder: category_encoder.as_ref().map(encoder).transpose()?,
            },
            None => Classes::Asked(encoder(pack)?),
        };
        Ok(Self {
            points: OperatingPoints::new(pack)?,
            classes,
            options,
        })
    }

    fn assigned(
        &self,
        head: &Head,
        encoder: Option<&Encoder>,
        ask: &Ask,
    ) -> Result<Assigned, Error> {
        let wordings = ask.labels.iter().map(|label| &*label.wording);
        head.assign(wordings, &self.options.categories, encoder)
    }
}

impl family::Family for Bioes {
    fn pack(&self) -> &str {
        self.options.pack.name()
    }

    fn digest(&self) -> &str {
        self.options.pack.digest()
    }

    /// Whether the pack has the operating point, and, with a fixed head, a category for each label.
    fn fits(&self, ask: &Ask) -> Result<(), Error> {
        self.points.knows(ask.operating_point.as_deref())?;
        match &self.classes {
            Classes::Asked(_) => Ok(()),
            Classes::Fixed { head, encoder } => {
                self.assigned(head, encoder.as_ref(), ask).map(|_| ())
            }
        }
    }

    fn explain(&self, ask: &Ask) -> Result<Explained, Error> {
        let wordings = ask.labels.iter().map(|label| &*label.wording);
        match &self.classes {
            Classes::Asked(encoder) => {
                let wordings: Vec<&str> = wordings.collect();
                let vectors = encoder.encode(&wordings)?;
                let all = 0..wordings.len();
                let row = |a: usize| all.clone().map(|b| vectors.alike(a, b)).collect();
                Ok(Explained::Open(Some(all.clone().map(row).collect())))
            }
            Classes::Fixed { head, encoder } => {
                let table = &self.options.categories;
                let fits = wordings.map(|wording| head.fit(wording, table, encoder.as_ref()));
                Ok(Explained::Closed {
                    categories: head.categories().to_vec(),
                    fits: fits.collect::<Result<_, _>>()?,
                })
            }
        }
    }

    fn start(self: Arc<Self>) -> Result<(Arc<dyn family::Model>, pool::Running), Error> {
        let options = &self.options;
        let pack = &options.pack;
        let tokenizer = Tokenizer::from_file(&pack.path(&pack.manifest().tokenizer.file))?;
        let backbones = Backbone::load(
            pack,
            options.runtime.clone(),
            options.sessions.max(1),
            options.session_threads.max(1),
        )?;
        let sessions = backbones.into_iter().map(|backbone| Session {
            backbone,
            scorer: Scorer::default(),
        });
        let padded = pack.manifest().backbone.layout == Layout::Padded;
        let (windows, running) = pool::start(sessions.collect(), options.batch.clone(), padded);
        let loaded = Arc::new(Loaded {
            family: self,
            tokenizer,
        });
        Ok((Arc::new(Running { loaded, windows }), running))
    }
}

impl Running {
    /// Scores of one window.
    pub(super) async fn emissions(
        &self,
        labels: Arc<Labels>,
        tenant: Arc<str>,
        window: Window,
    ) -> Result<Arc<Emissions>, family::Error> {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&labels.scored_by)
            .update(&[u8::from(window.alone)]);
        hasher
            .update(&(window.core.start as u64).to_le_bytes())
            .update(&(window.core.end as u64).to_le_bytes());
        for id in &*window.ids {
            hasher.update(&id.to_le_bytes());
        }
        let tokenizer = &self.loaded.pack().manifest().tokenizer;
        let special = tokenizer.prefix.len() + tokenizer.suffix.len();
        let item = Item {
            tokens: window.ids.len() + special,
            tenant,
            key: key(&hasher),
            payload: Work { window, labels },
        };
        self.windows.run(item).await?
    }

    fn make(&self, ask: &Ask) -> Result<Labels, Error> {
        let family = &self.loaded.family;
        let transitions = family.points.transitions(ask.operating_point.as_deref())?;
        // O's score decides which others are left out, so the bias has to be part of the scores: what is
        // computed for one balance is not for another. Transitions come after them.
        let o_bias = self.loaded.calibration().o_bias - ask.recall_bias;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&o_bias.to_le_bytes());
        let (matrix, conditions, assigned) = match &family.classes {
            Classes::Asked(encoder) => {
                let wordings: Vec<&str> = ask.labels.iter().map(|label| &*label.wording).collect();
                let (vectors, conditions) = encoder.encode_for_injection(&wordings)?;
                for wording in &wordings {
                    digest::part(&mut hasher, wording);
                }
                (LabelMatrix::new(&vectors), conditions, None)
            }
            // Scores do not depend on what is asked: tenants share them.
            Classes::Fixed { head, encoder } => {
                let assigned = family.assigned(head, encoder.as_ref(), ask)?;
                (head.matrix().clone(), None, Some(assigned))
            }
        };
        Ok(Labels {
            model: self.clone(),
            asked: ask.labels.clone(),
            matrix,
            conditions,
            assigned,
            o_bias,
            transitions,
            scored_by: key(&hasher),
        })
    }
}

impl family::Model for Running {
    fn prepare(&self, ask: &Ask) -> Result<Arc<dyn family::Prepared>, Error> {
        Ok(Arc::new(self.make(ask)?))
    }

    fn counts(&self) -> &batch::Counts {
        self.windows.counts()
    }

    fn has_stopped(&self) -> bool {
        self.windows.has_stopped()
    }
}

impl family::Prepared for Labels {
    fn tagger(self: Arc<Self>, tenant: &Arc<str>) -> Box<dyn family::Tagger> {
        Box::new(Tagger::new(self.model.clone(), self, tenant.clone()))
    }
}

impl Loaded {
    pub(super) fn pack(&self) -> &Pack {
        &self.family.options.pack
    }

    /// How gains and margins become probabilities.
    pub(super) fn calibration(&self) -> Calibration {
        self.pack().manifest().calibration
    }
}

impl Labels {
    /// The label of a lane of the matrix; `None` for a category that is not asked for.
    pub(super) fn label(&self, lane: u32) -> Option<usize> {
        let lane = lane as usize;
        match &self.assigned {
            Some(assigned) => assigned[lane].first().copied(),
            None => Some(lane),
        }
    }

    /// Whether a score is enough for a lane: of several labels that ask for it, for one of them.
    pub(super) fn reached(&self, lane: u32, score: f32) -> bool {
        let lane = lane as usize;
        match &self.assigned {
            Some(assigned) => assigned[lane]
                .iter()
                .any(|at| self.asked[*at].reached(score)),
            None => self.asked[lane].reached(score),
        }
    }

    /// A decoder for their scores.
    pub(super) fn decoder(&self) -> Decoder {
        match &self.assigned {
            Some(assigned) => {
                let asked = assigned.iter().map(|labels| !labels.is_empty());
                Decoder::of_head(self.transitions, asked.collect())
            }
            None => {
                debug_assert_eq!(self.transitions, Transitions::default());
                Decoder::of_labels()
            }
        }
    }
}

/// What the model needs of a window.
struct Work {
    window: Window,
    labels: Arc<Labels>,
}

impl batch::Weigh for Emissions {
    fn bytes(&self) -> usize {
        Emissions::bytes(self)
    }
}

/// A session with what scores its hidden states.
struct Session {
    backbone: Backbone,
    scorer: Scorer,
}

impl pool::Runner for Session {
    type Work = Work;
    type Answer = Emissions;

    fn run(&mut self, work: &[&Work]) -> Result<Vec<Emissions>, Error> {
        let rows: Vec<Row> = work
            .iter()
            .map(|work| Row {
                ids: &work.window.ids,
                conditions: work.labels.conditions.as_ref(),
            })
            .collect();
        let began = Instant::now();
        let hidden = self.backbone.run(&rows)?;
        metric::stage(Stage::Model, began);
        let mut answers = Vec::with_capacity(work.len());
        for (row, Work { window, labels }) in work.iter().enumerate() {
            let hidden = hidden.of(row, window.core.clone());
            let scores = self
                .scorer
                .score(&labels.matrix, hidden, labels.o_bias, window.alone);
            answers.push(scores);
        }
        Ok(answers)
    }
}

fn key(hasher: &blake3::Hasher) -> Key {
    hasher.finalize().as_bytes()[..16]
        .try_into()
        .expect("a digest is longer than a key")
}
