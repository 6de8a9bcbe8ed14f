use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::sync::OnceCell;
use tracing::{error, warn};

use crate::{
    batch::{self, Item, Key, Ticket},
    model::{
        self, Assigned, Backbone, Calibration, Conditions, Decoder, Emissions, Encoder, Family,
        Head, LabelMatrix, Layout, OperatingPoints, Pack, Row, Scorer, Transitions,
    },
    record::Stage,
    redact::names_people,
    telemetry::metric,
    tenant::{Label, LabelSet},
    text::{Shape, Tokenizer, Window},
};

/// How the model is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The pack.
    pub pack: Pack,
    /// The ONNX Runtime library, if it is not where it is looked for.
    pub runtime: Option<PathBuf>,
    /// Sessions that run side by side, each with a thread of its own.
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

/// Why a text could not be scanned.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The model failed on one of its windows.
    #[error("{0}")]
    Model(Arc<model::Error>),
    /// A worker panicked on one of its windows.
    #[error("the model's worker panicked")]
    Panicked,
    /// The engine has been stopped.
    #[error(transparent)]
    Stopped(#[from] batch::Stopped),
}

impl From<model::Error> for Error {
    fn from(error: model::Error) -> Self {
        Self::Model(Arc::new(error))
    }
}

/// A label set that is ready for scoring.
#[derive(Debug)]
pub struct Labels {
    set: LabelSet,
    matrix: LabelMatrix,
    conditions: Option<Conditions>,
    /// Of a fixed head: the labels that ask for a category.
    assigned: Option<Assigned>,
    /// Which of the labels are of people's names.
    of_people: Vec<bool>,
    /// Added to O's score: the pack's own less what the tenant takes from it.
    o_bias: f32,
    transitions: Transitions,
    /// Digest of what scores depend on: the wordings in their order, and `o_bias`.
    scored_by: Key,
}

/// What the model needs of a window.
struct Work {
    window: Arc<[u32]>,
    core: std::ops::Range<usize>,
    alone: bool,
    labels: Arc<Labels>,
}

impl batch::Weigh for Emissions {
    fn bytes(&self) -> usize {
        Emissions::bytes(self)
    }
}

type Batches = batch::Batches<Work, Emissions, Error>;

/// Finds entities in windows of text. Cheap to clone; see [`Running`] about its threads.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    windows: batch::Handle<Work, Emissions, Error>,
}

struct Shared {
    pack: Pack,
    tokenizer: Tokenizer,
    classes: Classes,
    points: OperatingPoints,
    labels: Mutex<HashMap<Arc<str>, Arc<OnceCell<Arc<Labels>>>>>,
}

/// Where the vectors that hidden states are scored with come from.
enum Classes {
    Asked(Encoder),
    Fixed {
        head: Head,
        table: BTreeMap<String, Vec<String>>,
        encoder: Option<Encoder>,
    },
}

/// The engine's threads. Dropping it stops them.
pub struct Running {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Engine {
    /// Loads the pack and starts the threads.
    pub fn start(options: Options) -> Result<(Self, Running), model::Error> {
        let Options {
            pack,
            runtime,
            sessions,
            session_threads,
            batch,
            label_cache,
            categories,
            category_encoder,
        } = options;
        let tokenizer = Tokenizer::from_file(&pack.path(&pack.manifest().tokenizer.file))?;
        let classes = match pack.manifest().family {
            Family::FixedHead => Classes::Fixed {
                head: Head::new(&pack)?,
                table: categories,
                encoder: category_encoder
                    .map(|pack| Encoder::new(&pack, runtime.clone(), label_cache))
                    .transpose()?,
            },
            _ => Classes::Asked(Encoder::new(&pack, runtime.clone(), label_cache)?),
        };
        let points = OperatingPoints::new(&pack)?;
        let backbones = Backbone::load(&pack, runtime, sessions.max(1), session_threads.max(1))?;
        let (service, windows) = batch.build(pack.manifest().backbone.layout == Layout::Padded);
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (number, backbone) in backbones.into_iter().enumerate() {
            let batches = service.batches();
            let worker = move || {
                Worker {
                    backbone,
                    scorer: Scorer::default(),
                }
                .run(batches)
            };
            threads.push(spawn(format!("model-{number}"), worker));
        }
        let ended = stop.clone();
        threads.push(spawn("batch".to_owned(), move || service.run(&ended)));
        let shared = Shared {
            pack,
            tokenizer,
            classes,
            points,
            labels: Mutex::new(HashMap::new()),
        };
        Ok((
            Self {
                shared: Arc::new(shared),
                windows,
            },
            Running { stop, threads },
        ))
    }

    /// Whether documents of a label set can be processed: whether the pack has its operating point, and, with a fixed
    /// head, a category for each label.
    pub fn fits(&self, set: &LabelSet) -> Result<(), model::Error> {
        self.shared
            .points
            .knows(set.balance.operating_point.as_deref())?;
        if let Classes::Fixed {
            head,
            table,
            encoder,
        } = &self.shared.classes
        {
            let wordings = set.labels.iter().map(|label| &*label.wording);
            head.assign(wordings, table, encoder.as_ref())?;
        }
        Ok(())
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
        let wordings: Vec<&str> = set.labels.iter().map(|label| &*label.wording).collect();
        let point = set.balance.operating_point.as_deref();
        let transitions = self.shared.points.transitions(point)?;
        // O's score decides which others are left out, so the bias has to be part of the scores: what is
        // computed for one balance is not for another. Transitions come after them.
        let o_bias = self.calibration().o_bias - set.balance.recall_bias;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&o_bias.to_le_bytes());
        let of_people = set.labels.iter();
        let of_people = of_people.map(|label| names_people(&label.name));
        let of_people = of_people.collect();
        let labels = match &self.shared.classes {
            Classes::Asked(encoder) => {
                let (vectors, conditions) = encoder.encode_for_injection(&wordings)?;
                for wording in &wordings {
                    hasher
                        .update(&(wording.len() as u64).to_le_bytes())
                        .update(wording.as_bytes());
                }
                Labels {
                    set: set.clone(),
                    matrix: LabelMatrix::new(&vectors),
                    conditions,
                    assigned: None,
                    of_people,
                    o_bias,
                    transitions,
                    scored_by: key(&hasher),
                }
            }
            // Scores do not depend on what is asked: tenants share them.
            Classes::Fixed {
                head,
                table,
                encoder,
            } => Labels {
                set: set.clone(),
                matrix: head.matrix().clone(),
                conditions: None,
                assigned: Some(head.assign(wordings, table, encoder.as_ref())?),
                of_people,
                o_bias,
                transitions,
                scored_by: key(&hasher),
            },
        };
        Ok(Arc::new(labels))
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

    /// Scores of one window.
    pub(super) async fn emissions(
        &self,
        labels: Arc<Labels>,
        tenant: Arc<str>,
        window: Window,
    ) -> Result<Arc<Emissions>, Error> {
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
        let special = self.shared.pack.manifest().tokenizer.prefix.len()
            + self.shared.pack.manifest().tokenizer.suffix.len();
        let tokens = window.ids.len() + special;
        let work = Work {
            window: window.ids,
            core: window.core,
            alone: window.alone,
            labels,
        };
        self.windows
            .run(Item {
                tokens,
                tenant,
                key: key(&hasher),
                payload: work,
            })
            .await?
    }

    /// Size of windows.
    pub fn shape(&self) -> Shape {
        self.shared.pack.shape()
    }

    /// The pack's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.shared.tokenizer
    }

    /// Whether its threads have ended: what fails then is no fault of a document.
    pub fn has_stopped(&self) -> bool {
        self.windows.has_stopped()
    }

    /// The pack.
    pub fn pack(&self) -> &Pack {
        &self.shared.pack
    }

    /// How gains and margins become probabilities.
    pub fn calibration(&self) -> Calibration {
        self.shared.pack.manifest().calibration
    }

    /// Tokens so far.
    pub fn counts(&self) -> &batch::Counts {
        self.windows.counts()
    }
}

impl Labels {
    /// The labels.
    pub fn set(&self) -> &LabelSet {
        &self.set
    }

    /// The label of an entity by its lane in the matrix; `None` for a category that is not asked for.
    pub fn label(&self, lane: u32) -> Option<&Label> {
        Some(&self.set.labels[self.at(lane)?])
    }

    /// Whether the label of a lane is one of people's names.
    pub fn names_people(&self, lane: u32) -> bool {
        self.at(lane).is_some_and(|at| self.of_people[at])
    }

    fn at(&self, lane: u32) -> Option<usize> {
        let lane = lane as usize;
        match &self.assigned {
            Some(assigned) => assigned[lane].first().copied(),
            None => Some(lane),
        }
    }

    /// The threshold of a lane's entities: of several labels that ask for it, the lowest one.
    pub fn threshold(&self, lane: u32) -> f32 {
        let lane = lane as usize;
        let of = |at: usize| self.set.labels[at].threshold;
        match &self.assigned {
            Some(assigned) => assigned[lane]
                .iter()
                .map(|at| of(*at))
                .fold(f32::INFINITY, f32::min),
            None => of(lane),
        }
    }

    /// A decoder for its scores.
    pub fn decoder(&self) -> Decoder {
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

    /// Their vectors.
    pub fn matrix(&self) -> &LabelMatrix {
        &self.matrix
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("a thread of the engine panicked");
            }
        }
    }
}

/// A thread with a session.
struct Worker {
    backbone: Backbone,
    scorer: Scorer,
}

impl Worker {
    fn run(mut self, mut batches: Batches) {
        while let Some(batch) = batches.take() {
            let answers = self.answers(&batch.tickets);
            match answers {
                Ok(answers) => batch
                    .tickets
                    .into_iter()
                    .zip(answers)
                    .for_each(|(ticket, answer)| ticket.answer(Ok(answer))),
                // One window may be what the model fails on: its mates are not to suffer for it.
                Err(problem) if batch.tickets.len() > 1 => {
                    warn!(windows = batch.tickets.len(), %problem, "batch failed, running its windows one by one");
                    for ticket in batch.tickets {
                        let answer = self
                            .answers(std::slice::from_ref(&ticket))
                            .map(|mut answers| answers.remove(0));
                        ticket.answer(answer);
                    }
                }
                Err(problem) => batch
                    .tickets
                    .into_iter()
                    .for_each(|ticket| ticket.answer(Err(problem.clone()))),
            }
        }
    }

    fn answers(
        &mut self,
        tickets: &[Ticket<Work, Emissions, Error>],
    ) -> Result<Vec<Emissions>, Error> {
        let windows: Vec<Row> = tickets
            .iter()
            .map(|ticket| Row {
                ids: &ticket.payload.window,
                conditions: ticket.payload.labels.conditions.as_ref(),
            })
            .collect();
        // A panic must not end the worker: its queue would fill up and the source would stand still.
        let answers = catch_unwind(AssertUnwindSafe(|| {
            let began = Instant::now();
            let hidden = self.backbone.run(&windows)?;
            metric::stage(Stage::Model, began);
            Ok(tickets
                .iter()
                .enumerate()
                .map(|(row, ticket)| {
                    let work = &ticket.payload;
                    let hidden = hidden.of(row, work.core.clone());
                    let labels = &work.labels;
                    self.scorer
                        .score(&labels.matrix, hidden, labels.o_bias, work.alone)
                })
                .collect())
        }));
        match answers {
            Ok(answers) => answers,
            Err(_) => Err(Error::Panicked),
        }
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new()
        .name(name)
        .spawn(run)
        .expect("a thread can be started while the process starts up")
}

fn key(hasher: &blake3::Hasher) -> Key {
    hasher.finalize().as_bytes()[..16]
        .try_into()
        .expect("a digest is longer than a key")
}
