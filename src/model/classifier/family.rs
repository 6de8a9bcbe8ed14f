//! Packs that classify tokens: a fixed set of categories.

use std::{sync::Arc, time::Instant};

use super::{
    argmax::Argmax,
    classes::{Assigned, Classes},
    scores::{Logits, Reading},
    tagger::{Reader, Tagger},
    words::{self, Window, Word},
};
use crate::{
    batch::{self, Item},
    digest,
    model::{
        Backbone, Calibration, Decoder, Emissions, Encoder, Error, Layout, Options, Pack, Row,
        Transitions,
        family::{self, Ask, Explained, Label},
        operating_points::OperatingPoints,
        pack::{Decoding, Step},
        pool,
    },
    telemetry::metric::{self, Stage},
    text::{Shape, Tokenizer},
};

/// An opened pack.
pub struct Classifier {
    options: Options,
    classes: Classes,
    /// Finds the nearest category of a label, if the configuration names one.
    encoder: Option<Encoder>,
    points: OperatingPoints,
}

/// A pack whose graph is loaded and whose threads run.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) loaded: Arc<Loaded>,
    windows: pool::Queue<Session>,
}

/// What all texts share.
pub(super) struct Loaded {
    family: Arc<Classifier>,
    tokenizer: Tokenizer,
}

/// What is asked.
pub(super) struct Labels {
    model: Running,
    asked: Vec<Label>,
    /// The labels that ask for each category.
    assigned: Assigned,
    /// Added to the score of what is no entity: the pack's own less what the tenant takes from it.
    o_bias: f32,
    transitions: Transitions,
}

impl Classifier {
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
        Ok(Self {
            classes: Classes::new(pack)?,
            encoder: category_encoder.as_ref().map(encoder).transpose()?,
            points: OperatingPoints::new(pack)?,
            options,
        })
    }

    fn assigned(&self, ask: &Ask) -> Result<Assigned, Error> {
        let wordings = ask.labels.iter().map(|label| &*label.wording);
        let table = &self.options.categories;
        self.classes.assign(wordings, table, self.encoder.as_ref())
    }

    fn head(&self) -> (Step, Decoding) {
        let head = self.options.pack.manifest().head.as_ref();
        let head = head.expect("checked when the pack was opened");
        (head.words, head.decode)
    }
}

impl family::Family for Classifier {
    fn pack(&self) -> &str {
        self.options.pack.name()
    }

    fn digest(&self) -> &str {
        self.options.pack.digest()
    }

    /// Whether the pack has the operating point, and a category for each label.
    fn fits(&self, ask: &Ask) -> Result<(), Error> {
        self.points.knows(ask.operating_point.as_deref())?;
        self.assigned(ask).map(drop)
    }

    fn explain(&self, ask: &Ask) -> Result<Explained, Error> {
        let wordings = ask.labels.iter().map(|label| &*label.wording);
        let (table, encoder) = (&self.options.categories, self.encoder.as_ref());
        let fits = wordings.map(|wording| self.classes.fit(wording, table, encoder));
        Ok(Explained::Closed {
            categories: self.classes.categories().to_vec(),
            fits: fits.collect::<Result<_, _>>()?,
        })
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
            family: self.clone(),
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
    /// Scores of one window. They do not depend on the labels that are asked for: tenants share them.
    pub(super) async fn emissions(
        &self,
        o_bias: f32,
        tenant: Arc<str>,
        window: Window,
    ) -> Result<Arc<Emissions>, family::Error> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&o_bias.to_le_bytes());
        for word in &window.core {
            hasher
                .update(&(word.start as u64).to_le_bytes())
                .update(&(word.end as u64).to_le_bytes());
        }
        hasher.update(&[u8::MAX; 8]);
        for id in &*window.ids {
            hasher.update(&id.to_le_bytes());
        }
        let tokenizer = &self.loaded.family.options.pack.manifest().tokenizer;
        let special = tokenizer.prefix.len() + tokenizer.suffix.len();
        let item = Item {
            tokens: window.ids.len() + special,
            tenant,
            key: digest::key(&hasher),
            payload: Work { window, o_bias },
        };
        self.windows.run(item).await?
    }
}

impl family::Model for Running {
    fn prepare(&self, ask: &Ask) -> Result<Arc<dyn family::Prepared>, Error> {
        let family = &self.loaded.family;
        Ok(Arc::new(Labels {
            model: self.clone(),
            asked: ask.labels.clone(),
            assigned: family.assigned(ask)?,
            o_bias: self.loaded.calibration().o_bias - ask.recall_bias,
            transitions: family.points.transitions(ask.operating_point.as_deref())?,
        }))
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
    fn pack(&self) -> &Pack {
        &self.family.options.pack
    }

    /// How gains and margins become probabilities.
    pub(super) fn calibration(&self) -> Calibration {
        self.pack().manifest().calibration
    }

    /// Windows of the pack.
    pub(super) fn shape(&self) -> Shape {
        self.pack().shape()
    }

    /// Ids and words of a segment.
    pub(super) fn words(&self, segment: &str) -> Result<(Vec<u32>, Vec<Word>), Error> {
        let (tokens, mut begins) = self.tokenizer.tokens_of_words(segment)?;
        if self.family.head().0 == Step::Tokens {
            begins.fill(true);
        }
        let words = words::words(segment, &tokens, &begins, words::longest(self.shape()));
        Ok((tokens.ids, words))
    }
}

impl Labels {
    pub(super) fn o_bias(&self) -> f32 {
        self.o_bias
    }

    /// The label of a category; `None` for one that is not asked for.
    pub(super) fn label(&self, category: u32) -> Option<usize> {
        self.assigned[category as usize].first().copied()
    }

    /// Whether a label asks for more than one category.
    pub(super) fn is_of_several(&self, label: usize) -> bool {
        let asks = |labels: &&Vec<usize>| labels.first() == Some(&label);
        self.assigned.iter().filter(asks).count() > 1
    }

    /// Whether a score is enough for a category: of several labels that ask for it, for one of them.
    pub(super) fn reached(&self, category: u32, score: f32) -> bool {
        let mut labels = self.assigned[category as usize].iter();
        labels.any(|at| self.asked[*at].reached(score))
    }

    /// What reads the scores of a text.
    pub(super) fn reader(&self) -> Reader {
        let asked = self.assigned.iter().map(|labels| !labels.is_empty());
        match self.model.loaded.family.head().1 {
            Decoding::Viterbi => Reader::Path(Decoder::of_head(self.transitions, asked.collect())),
            Decoding::Argmax => Reader::Argmax(Argmax::new(asked.collect())),
        }
    }
}

/// What the model needs of a window.
pub(super) struct Work {
    window: Window,
    o_bias: f32,
}

/// A session with what reads its logits.
pub(super) struct Session {
    backbone: Backbone,
    family: Arc<Classifier>,
}

impl pool::Runner for Session {
    type Work = Work;
    type Answer = Emissions;

    fn run(&mut self, work: &[&Work]) -> Result<Vec<Emissions>, Error> {
        let rows: Vec<Row> = work
            .iter()
            .map(|work| Row {
                ids: &work.window.ids,
                conditions: None,
            })
            .collect();
        let began = Instant::now();
        let logits = self.backbone.run(&rows)?;
        metric::stage(Stage::Model, began);
        let scheme = &self.family.classes.scheme;
        let step = self.family.head().0;
        let emissions = work.iter().enumerate().map(|(row, work)| {
            let logits = Logits {
                values: logits.of(row, 0..work.window.ids.len()),
                classes: scheme.classes,
            };
            let reading = Reading {
                step,
                o_bias: work.o_bias,
            };
            reading.emissions(scheme, &logits, &work.window.core)
        });
        Ok(emissions.collect())
    }
}
