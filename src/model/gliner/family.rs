//! The family: an opened GLiNER, and what is asked of it.

use std::sync::Arc;

use super::{
    Settings,
    candidate::Ties,
    config::{Config, Encoders, Scores},
    graph::{Form, Graph, LabelInput},
    labels::{self, Labels},
    prompt::{Class, Curve, Prompt, Prompts, named},
    runner::{MOST_LABELS, Session, Work},
    tagger::Tagger,
    windows::{Shape, Window},
};
use crate::{
    batch::{self, Item},
    digest,
    model::{
        Error, Options, Pack,
        family::{self, Ask, Explained, Fit, Label},
        onnx,
        operating_points::OperatingPoints,
        pool,
    },
    text::{Special, Tokenizer},
};

/// Tokens of a row, where the backbone has no limit or a far one. Attention takes the square of them in memory.
const MOST_TOKENS: usize = 2048;

/// Fewest tokens that a prompt has to leave for the text, as a part of all.
const PART_OF_TEXT: usize = 2;

/// Most tokens of a word, as a part of a row's: a longer one is read in halves.
const PART_OF_WORD: usize = 8;

/// An opened model: its graph is not loaded yet.
pub struct Gliner {
    options: Options,
    config: Config,
    settings: Settings,
    tokenizer: Tokenizer,
    /// Of a bi-encoder.
    labels: Option<Labels>,
    /// Special tokens around a row.
    start: Vec<u32>,
    form: Form,
    marker: u32,
    separator: u32,
    /// Most tokens of a row.
    limit: usize,
}

/// A model whose threads run.
struct Running {
    family: Arc<Gliner>,
    queue: pool::Queue<Session>,
}

/// What is asked, ready for texts.
pub(super) struct Asked {
    family: Arc<Gliner>,
    queue: pool::Queue<Session>,
    labels: Vec<Label>,
    prompts: Vec<Arc<Prompt>>,
    /// All classes, by their order.
    classes: Vec<Class>,
    curve: Curve,
    shape: Shape,
}

impl Gliner {
    /// Opens a pack of the family.
    pub fn open(options: Options) -> Result<Self, Error> {
        let pack = &options.pack;
        let settings = pack.manifest().gliner.clone().unwrap_or_default();
        let file = |file: &Option<String>| file.clone().expect("found when the pack was opened");
        let config = read(pack, &settings)?;
        let tokenizer = Tokenizer::from_file(&pack.path(&file(&settings.tokenizer)))?;
        let Special {
            before: start,
            after: suffix,
            pad,
        } = tokenizer.special()?;
        let (marker, separator) = match config.encoders {
            Encoders::One => markers(pack, &config, &tokenizer, &file(&settings.tokenizer))?,
            Encoders::Two => (0, 0),
        };
        let labels = match config.encoders {
            Encoders::One => None,
            Encoders::Two => Some(Labels::new(
                pack,
                &file(&settings.labels_tokenizer),
                settings.labels_graph.clone(),
                options.runtime.clone(),
                options.label_cache.clone(),
            )?),
        };
        let by_name = || {
            ["[PAD]", "<pad>"]
                .iter()
                .find_map(|name| tokenizer.id(name))
        };
        let pad = pad.or_else(by_name);
        Ok(Self {
            limit: limit(&config, &settings),
            form: Form {
                pooling: config.pooling,
                suffix,
                pad: pad.unwrap_or(0),
            },
            options,
            config,
            settings,
            tokenizer,
            labels,
            start,
            marker,
            separator,
        })
    }

    fn pack(&self) -> &Pack {
        &self.options.pack
    }

    fn prompts(&self) -> Prompts<'_> {
        // Labels of a bi-encoder do not see one another: only memory keeps them few.
        let apart = self.config.encoders == Encoders::Two && !self.config.labels_interact;
        Prompts {
            config: &self.config,
            tokenizer: &self.tokenizer,
            start: &self.start,
            marker: self.marker,
            separator: self.separator,
            lower_case: self.settings.lower_case == Some(true),
            most: match apart {
                true => MOST_LABELS,
                false => self.settings.labels_per_prompt,
            },
            room: self.limit / PART_OF_TEXT,
        }
    }

    fn curve(&self, ask: &Ask) -> Curve {
        Curve {
            calibration: self.pack().manifest().calibration,
            recall_bias: ask.recall_bias,
        }
    }

    /// Windows that leave room for the longest of the prompts.
    fn shape(&self, prompts: &[Prompt]) -> Shape {
        let longest = prompts.iter().map(|prompt| prompt.prefix.len()).max();
        let around = longest.unwrap_or(self.start.len()) + self.form.suffix.len();
        let most = self.settings.max_words.unwrap_or(usize::MAX);
        Shape {
            words: self.config.words.min(most),
            tokens: self.limit.saturating_sub(around).max(1),
            halo: self.settings.halo_words,
            reach: match self.config.scores {
                Scores::Spans { width } => width - 1,
                Scores::Words => 0,
            },
        }
    }

    fn session(&self) -> Result<Session, Error> {
        let pack = self.pack();
        let environment = onnx::environment(self.options.runtime.as_deref())?;
        let file = self.settings.graph.as_deref().unwrap_or_default();
        let threads = self.options.session_threads.max(1);
        let scores = self.config.scores;
        let mut graph = Graph::load(
            pack,
            file,
            environment,
            threads,
            &self.config,
            self.form.clone(),
        )?;
        let problem =
            |problem: &str| super::graph::graph_error(pack.name(), file, problem.to_owned());
        if graph.takes_labels() != self.labels.is_some() {
            return Err(problem(match self.labels {
                Some(_) => {
                    "has no input of labels, and gliner_config.json says that it is a bi-encoder"
                }
                None => {
                    "has an input of labels, and gliner_config.json does not say that it is a bi-encoder (labels_encoder)"
                }
            }));
        }
        let own = self.labels.as_ref().is_some_and(Labels::has_vectors);
        if graph.takes_vectors() != own {
            return Err(problem(match own {
                true => {
                    "takes the tokens of labels: it needs no graph of its own for them (gliner.labels_graph)"
                }
                false => {
                    "takes vectors of labels: name the graph that makes them (gliner.labels_graph)"
                }
            }));
        }
        self.probe(&mut graph)?;
        Ok(Session {
            graph,
            scores,
            labels_interact: self.config.labels_interact,
        })
    }

    /// Tells how the graph's logits lie, by two labels, or those that it knows.
    fn probe(&self, graph: &mut Graph) -> Result<(), Error> {
        let label = |wording: &str| Label {
            wording: wording.into(),
            threshold: 0.5,
        };
        let ask = Ask {
            labels: match &self.config.classes {
                Some(known) => known.iter().map(|name| label(name)).collect(),
                None => vec![label("person"), label("place")],
            },
            ..Ask::default()
        };
        let encode = |wordings: &[&str]| self.encode(wordings);
        let (prompts, pack) = (self.prompts(), self.pack().name());
        let prompt = prompts
            .make(pack, &ask, self.curve(&ask), encode)?
            .remove(0);
        let inputs: Vec<&LabelInput> = prompt.labels.iter().map(|label| &label.input).collect();
        let word = self.tokenizer.word("a")?;
        let word = word.first().copied().unwrap_or(self.form.pad);
        graph.probe(&prompt.prefix, word, &inputs, prompt.classes.len())
    }

    /// Prompts of what is asked, and windows that leave room for them.
    pub(super) fn prepared(&self, ask: &Ask) -> Result<(Vec<Arc<Prompt>>, Shape), Error> {
        let encode = |wordings: &[&str]| self.encode(wordings);
        let prompts = self
            .prompts()
            .make(self.pack().name(), ask, self.curve(ask), encode)?;
        let shape = self.shape(&prompts);
        Ok((prompts.into_iter().map(Arc::new).collect(), shape))
    }

    /// Loads the sessions, side by side.
    pub(super) fn sessions(&self) -> Result<Vec<Session>, Error> {
        std::thread::scope(|scope| {
            let count = self.options.sessions.max(1);
            let loading: Vec<_> = (0..count).map(|_| scope.spawn(|| self.session())).collect();
            let loaded = loading.into_iter();
            loaded
                .map(|one| one.join().expect("loading does not panic"))
                .collect()
        })
    }

    /// A window with what is asked, and the tokens that it takes.
    pub(super) fn row(&self, window: &Window, prompt: &Arc<Prompt>) -> (usize, Work) {
        let work = Work {
            ids: window.ids.clone(),
            ends: window.ends.clone(),
            core: window.core.clone(),
            prompt: prompt.clone(),
        };
        (
            prompt.prefix.len() + window.ids.len() + self.form.suffix.len(),
            work,
        )
    }

    pub(super) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Most tokens of a word. It does not depend on what is asked: texts have the same words for all tenants.
    pub(super) fn longest_word(&self) -> usize {
        (self.limit / PART_OF_WORD).max(1)
    }

    fn encode(&self, wordings: &[&str]) -> Result<Vec<LabelInput>, Error> {
        let labels = self
            .labels
            .as_ref()
            .expect("a bi-encoder has an encoder of labels");
        labels.encode(wordings)
    }
}

/// What a pack of the family is, for people: names and values.
pub fn described(pack: &Pack) -> Result<Vec<(&'static str, String)>, Error> {
    let settings = pack.manifest().gliner.clone().unwrap_or_default();
    let config = read(pack, &settings)?;
    let file = |file: &Option<String>| file.clone().unwrap_or_default();
    let mut rows = vec![
        ("kind", config.to_string()),
        ("graph", file(&settings.graph)),
        ("tokenizer", file(&settings.tokenizer)),
    ];
    if config.encoders == Encoders::Two {
        let labels = match &settings.labels_graph {
            Some(graph) => format!("{graph}: each label is encoded once and kept"),
            None => "encoded in every batch: `python -m weir_tools.gliner split` makes a graph of their own".to_owned(),
        };
        rows.push(("labels", labels));
    } else if let Some(known) = &config.classes {
        rows.push(("labels", known.join(", ")));
    } else {
        let case = match settings.lower_case {
            Some(true) => ", in lower case",
            _ => "",
        };
        rows.push((
            "labels",
            format!(
                "at most {} before a text{case}; more are asked in several rows",
                settings.labels_per_prompt
            ),
        ));
    }
    let positions = config
        .positions
        .map_or("no limit of its own".to_owned(), |most| {
            format!("{most} positions")
        });
    let words = config.words.min(settings.max_words.unwrap_or(usize::MAX));
    let tokens = limit(&config, &settings);
    rows.push((
        "window",
        format!(
            "{words} words and {tokens} tokens, halo {} words; the backbone has {positions}",
            settings.halo_words
        ),
    ));
    rows.push(("redacted", redacted(&settings).to_owned()));
    Ok(rows)
}

fn redacted(settings: &Settings) -> &'static str {
    match (settings.greedy, settings.nested, settings.multi_label) {
        (false, ..) => "every span that reaches its label's threshold",
        (true, false, false) => "the spans that greedy search chooses",
        (true, true, false) => "the spans that greedy search chooses, nested ones too",
        (true, false, true) => "the spans that greedy search chooses, with several labels",
        (true, true, true) => {
            "the spans that greedy search chooses, nested ones too, with several labels"
        }
    }
}

/// Most tokens of a row.
fn limit(config: &Config, settings: &Settings) -> usize {
    let most = settings.max_tokens.unwrap_or(MOST_TOKENS);
    config
        .positions
        .map_or(most, |positions| positions.min(most))
}

fn read(pack: &Pack, settings: &Settings) -> Result<Config, Error> {
    let file = settings.config.clone().unwrap_or_default();
    let unreadable = |problem: String| Error::File {
        pack: pack.name().to_owned(),
        file: file.clone(),
        problem,
    };
    let json = std::fs::read(pack.path(&file)).map_err(|error| unreadable(error.to_string()))?;
    Config::read(&json, pack.name()).map_err(|refusal| unreadable(refusal.what))
}

/// Ids of the marker before a label and of the separator behind the last one.
fn markers(
    pack: &Pack,
    config: &Config,
    tokenizer: &Tokenizer,
    file: &str,
) -> Result<(u32, u32), Error> {
    let id = |token: &str, known: Option<u32>| {
        tokenizer.id(token).or(known).ok_or_else(|| Error::File {
            pack: pack.name().to_owned(),
            file: file.to_owned(),
            problem: format!("it has no token {token}"),
        })
    };
    // The reference adds the two one behind the other.
    let marker = id(&config.label_marker, config.marker_id)?;
    Ok((
        marker,
        id(&config.separator, config.marker_id.map(|id| id + 1))?,
    ))
}

impl family::Family for Gliner {
    fn pack(&self) -> &str {
        self.options.pack.name()
    }

    fn digest(&self) -> &str {
        self.options.pack.digest()
    }

    /// Whether the prompts fit, and, where the graph knows its labels, it has each.
    fn fits(&self, ask: &Ask) -> Result<(), Error> {
        OperatingPoints::none(self.pack().name()).knows(ask.operating_point.as_deref())?;
        let check = |wordings: &[&str]| {
            let labels = self
                .labels
                .as_ref()
                .expect("a bi-encoder has an encoder of labels");
            labels.tokens(wordings)
        };
        let prompts = self.prompts();
        prompts
            .make(self.pack().name(), ask, self.curve(ask), check)
            .map(drop)
    }

    fn explain(&self, ask: &Ask) -> Result<Explained, Error> {
        if let Some(known) = &self.config.classes {
            let fit = |label: &Label| {
                named(known, &self.prompts().wording(label)).map_or(Fit::None(None), Fit::Name)
            };
            return Ok(Explained::Closed {
                categories: known.clone(),
                fits: ask.labels.iter().map(fit).collect(),
            });
        }
        let Some(own) = self.labels.as_ref().filter(|own| own.has_vectors()) else {
            return Ok(Explained::Open(None));
        };
        let wordings: Vec<String> = ask
            .labels
            .iter()
            .map(|label| self.prompts().wording(label))
            .collect();
        let wordings: Vec<&str> = wordings.iter().map(String::as_str).collect();
        let vectors = own.encode(&wordings)?;
        let row = |a: &LabelInput| vectors.iter().map(|b| labels::alike(a, b)).collect();
        Ok(Explained::Open(Some(vectors.iter().map(row).collect())))
    }

    fn start(self: Arc<Self>) -> Result<(Arc<dyn family::Model>, pool::Running), Error> {
        let (queue, running) = pool::start(self.sessions()?, self.options.batch.clone(), true);
        Ok((
            Arc::new(Running {
                family: self,
                queue,
            }),
            running,
        ))
    }
}

impl family::Model for Running {
    fn prepare(&self, ask: &Ask) -> Result<Arc<dyn family::Prepared>, Error> {
        let family = &self.family;
        let (prompts, shape) = family.prepared(ask)?;
        let mut classes: Vec<Class> = prompts
            .iter()
            .flat_map(|prompt| prompt.classes.clone())
            .collect();
        classes.sort_by_key(|class| class.order);
        Ok(Arc::new(Asked {
            curve: family.curve(ask),
            family: family.clone(),
            queue: self.queue.clone(),
            labels: ask.labels.clone(),
            prompts,
            classes,
            shape,
        }))
    }

    fn counts(&self) -> &batch::Counts {
        self.queue.counts()
    }

    fn has_stopped(&self) -> bool {
        self.queue.has_stopped()
    }
}

impl family::Prepared for Asked {
    fn tagger(self: Arc<Self>, tenant: &Arc<str>) -> Box<dyn family::Tagger> {
        Box::new(Tagger::new(self, tenant.clone()))
    }
}

impl Asked {
    pub(super) fn settings(&self) -> &Settings {
        &self.family.settings
    }

    pub(super) fn tokenizer(&self) -> &Tokenizer {
        self.family.tokenizer()
    }

    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// The order in which the reference finds candidates.
    pub(super) fn ties(&self) -> Ties {
        match self.family.config.scores {
            Scores::Spans { .. } => Ties::Shorter,
            Scores::Words => Ties::Label,
        }
    }

    pub(super) fn longest_word(&self) -> usize {
        self.family.longest_word()
    }

    pub(super) fn queue(&self) -> &pool::Queue<Session> {
        &self.queue
    }

    pub(super) fn prompts(&self) -> &[Arc<Prompt>] {
        &self.prompts
    }

    /// A class by its order among the sorted labels.
    pub(super) fn class(&self, order: usize) -> &Class {
        &self.classes[order]
    }

    /// Calibrated probability.
    pub(super) fn score(&self, logit: f32) -> f32 {
        self.curve.score(logit)
    }

    /// The first label of a class whose threshold a score reaches.
    pub(super) fn reached(&self, order: usize, score: f32) -> Option<usize> {
        let mut labels = self.classes[order].labels.iter().copied();
        labels.find(|label| self.labels[*label].reached(score))
    }

    /// The rows of a window: one for each prompt.
    pub(super) fn rows(&self, window: &Window, tenant: &Arc<str>) -> Vec<Item<Work>> {
        let row = |prompt: &Arc<Prompt>| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&prompt.key);
            for number in [window.core.start, window.core.end, window.ends.len()] {
                hasher.update(&(number as u64).to_le_bytes());
            }
            for number in window.ends.iter().chain(&*window.ids) {
                hasher.update(&number.to_le_bytes());
            }
            let (tokens, payload) = self.family.row(window, prompt);
            Item {
                tokens,
                tenant: tenant.clone(),
                key: digest::key(&hasher),
                payload,
            }
        };
        self.prompts.iter().map(row).collect()
    }
}
