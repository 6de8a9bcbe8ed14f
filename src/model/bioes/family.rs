//! The family of packs that score B, I, E and S of each label at each token.

use std::{sync::Arc, time::Instant};

use super::{Decoder, Emissions, Encoder, LabelMatrix, Scorer, tagger::Tagger};
use crate::{
    batch::{self, Item, Key},
    digest,
    model::{
        Backbone, Calibration, Conditions, Error, Layout, Options, Pack, Row,
        family::{self, Ask, Explained, Label},
        operating_points::OperatingPoints,
        pool,
    },
    telemetry::metric::{self, Stage},
    text::{Tokenizer, Window},
};

/// An opened pack.
pub struct Bioes {
    options: Options,
    encoder: Encoder,
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

/// What is asked, with the vectors that hidden states are scored with.
pub(super) struct Labels {
    model: Running,
    asked: Vec<Label>,
    pub(super) matrix: LabelMatrix,
    conditions: Option<Conditions>,
    /// Added to O's score: the pack's own less what the tenant takes from it.
    o_bias: f32,
    /// Digest of what scores depend on: the wordings in their order, and `o_bias`.
    scored_by: Key,
}

impl Bioes {
    /// Opens a pack.
    pub fn open(options: Options) -> Result<Self, Error> {
        let (runtime, cache) = (options.runtime.clone(), options.label_cache.clone());
        let encoder = Encoder::new(&options.pack, runtime, cache)?;
        Ok(Self { options, encoder })
    }
}

impl family::Family for Bioes {
    fn pack(&self) -> &str {
        self.options.pack.name()
    }

    fn digest(&self) -> &str {
        self.options.pack.digest()
    }

    /// Any words will do. The family has one operating point.
    fn fits(&self, ask: &Ask) -> Result<(), Error> {
        let own = OperatingPoints::none(self.options.pack.name());
        own.knows(ask.operating_point.as_deref())
    }

    fn explain(&self, ask: &Ask) -> Result<Explained, Error> {
        let wordings = ask.labels.iter().map(|label| &*label.wording);
        let wordings: Vec<&str> = wordings.collect();
        let vectors = self.encoder.encode(&wordings)?;
        let all = 0..wordings.len();
        let row = |a: usize| all.clone().map(|b| vectors.alike(a, b)).collect();
        Ok(Explained::Open(Some(all.clone().map(row).collect())))
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
            key: digest::key(&hasher),
            payload: Work { window, labels },
        };
        self.windows.run(item).await?
    }

    fn make(&self, ask: &Ask) -> Result<Labels, Error> {
        let family = &self.loaded.family;
        // O's score decides which others are left out, so the bias has to be part of the scores: what is
        // computed for one balance is not for another.
        let o_bias = self.loaded.calibration().o_bias - ask.recall_bias;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&o_bias.to_le_bytes());
        let wordings: Vec<&str> = ask.labels.iter().map(|label| &*label.wording).collect();
        let (vectors, conditions) = family.encoder.encode_for_injection(&wordings)?;
        for wording in &wordings {
            digest::part(&mut hasher, wording);
        }
        Ok(Labels {
            model: self.clone(),
            asked: ask.labels.clone(),
            matrix: LabelMatrix::new(&vectors),
            conditions,
            o_bias,
            scored_by: digest::key(&hasher),
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
    /// Whether a score is enough for a label.
    pub(super) fn reached(&self, label: u32, score: f32) -> bool {
        self.asked[label as usize].reached(score)
    }

    /// A decoder for their scores.
    pub(super) fn decoder(&self) -> Decoder {
        Decoder::of_labels()
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
