//! The family: a pack that names a server, and what is asked of it.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{
    Error as ServerError, Settings, Treatment,
    ask::Server,
    client::{Client, Failure},
    prompt::{Class, Group, Prompts, tokens},
    runner::{Asking, Probe, Session, Work},
    tagger::Tagger,
    windows::Shape,
};
use crate::{
    batch::{self, Item},
    digest,
    model::{
        Error, Options,
        family::{self, Ask, Explained, Label},
        operating_points::OperatingPoints,
        pool,
    },
};

/// An opened pack. Nothing is sent yet.
pub struct Prompted {
    options: Options,
    settings: Settings,
    prompts: Prompts,
    client: Client,
    digest: String,
}

/// A model that is asked.
struct Running {
    family: Arc<Prompted>,
    server: Arc<Server>,
    queue: pool::Queue<Session>,
}

/// What is asked, ready for texts.
pub(super) struct Asked {
    family: Arc<Prompted>,
    queue: pool::Queue<Session>,
    labels: Vec<Label>,
    recall_bias: f32,
    invented: Treatment,
    classes: Vec<Class>,
    groups: Vec<Arc<Group>>,
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Host and port.
    pub at: String,
    /// The model that is asked for.
    pub model: String,
    /// Names of the models that it lists; none where it has no list.
    pub serves: Vec<String>,
}

impl Prompted {
    /// Opens a pack of the family.
    pub fn open(options: Options) -> Result<Self, Error> {
        let settings = options.pack.manifest().prompted.clone();
        let mut settings = settings.expect("checked when the pack was opened");
        let access = &options.access;
        if let Some(model) = &access.model {
            settings.model.clone_from(model);
        }
        settings.invented = access.invented.unwrap_or(settings.invented);
        settings.unasked = access.unasked.unwrap_or(settings.unasked);
        settings.max_text_bytes = access.max_text_bytes.unwrap_or(settings.max_text_bytes);
        // What can be wrong with the address is told now, not when the first document comes.
        let client = Client::new(&settings, access)?;
        let mut hasher = blake3::Hasher::new();
        digest::part(&mut hasher, options.pack.digest());
        digest::part(&mut hasher, &settings.model);
        Ok(Self {
            prompts: Prompts::new(&settings),
            client,
            digest: hasher.finalize().to_hex().to_string(),
            settings,
            options,
        })
    }

    fn groups(&self, ask: &Ask) -> Result<(Vec<Class>, Vec<Group>), Error> {
        Ok(self.prompts.groups(&self.settings, ask)?)
    }

    /// What asks this pack's server; nothing is sent yet.
    fn asking(&self) -> Result<Asking, Error> {
        let label = Label {
            wording: "person".into(),
            threshold: 0.5,
        };
        let ask = Ask {
            labels: vec![label],
            ..Ask::default()
        };
        let group = self.groups(&ask)?.1.remove(0);
        Ok(Asking {
            server: Server::new(self.client.clone(), &self.options.access)?,
            settings: self.settings.clone(),
            probe: Probe {
                prompt: self.prompts.fill(&group, "weir"),
                group,
            },
        })
    }
}

/// Longest time in which a server has to answer a small question while a worker starts.
const PROBE: Duration = Duration::from_secs(60);

/// Asks a server what it serves, and for an answer of one token. Blocks.
pub fn reach(options: Options) -> Result<Reached, Error> {
    let asking = Prompted::open(options)?.asking()?;
    let serves = asking.server.block_on(async {
        answers(&asking).await?;
        // Not every server has a list.
        Ok(asking.server.client().models().await.unwrap_or_default())
    })?;
    Ok(Reached {
        at: asking.server.client().at().to_owned(),
        model: asking.settings.model.clone(),
        serves,
    })
}

/// Whether a server answers the small question.
async fn answers(asking: &Asking) -> Result<(), ServerError> {
    let client = asking.server.client();
    let probe = asking.probe();
    let at = client.at().to_owned();
    match timeout(PROBE, client.complete(&probe, &asking.settings.stop)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(Failure::Passing { why, .. })) => Err(ServerError::Unreachable { at, why }),
        Ok(Err(Failure::Refused { why } | Failure::Rejected { why })) => {
            Err(ServerError::Refused { at, why })
        }
        Ok(Err(Failure::TooLong)) => {
            let why = "its context is too small for a prompt".to_owned();
            Err(ServerError::Refused { at, why })
        }
        Err(_) => {
            let why = format!("no answer in {} s", PROBE.as_secs());
            Err(ServerError::Unreachable { at, why })
        }
    }
}

impl family::Family for Prompted {
    fn pack(&self) -> &str {
        self.options.pack.name()
    }

    fn digest(&self) -> &str {
        &self.digest
    }

    fn fits(&self, ask: &Ask) -> Result<(), Error> {
        let points = OperatingPoints::none(self.options.pack.name());
        points.knows(ask.operating_point.as_deref())?;
        self.groups(ask).map(drop)
    }

    fn explain(&self, ask: &Ask) -> Result<Explained, Error> {
        self.groups(ask)?;
        Ok(Explained::Open(None))
    }

    fn start(self: Arc<Self>) -> Result<(Arc<dyn family::Model>, pool::Running), Error> {
        let asking = Arc::new(self.asking()?);
        asking.server.block_on(answers(&asking))?;
        let sessions = (0..self.options.access.requests.max(1)).map(|_| Session(asking.clone()));
        // A request holds one window, and nothing is gained by waiting for company.
        let batch = batch::Options {
            max_tokens: 1,
            linger: Duration::ZERO,
            look_ahead: 1,
            ..self.options.batch.clone()
        };
        let (queue, running) = pool::start(sessions.collect(), batch, false);
        let server = asking.server.clone();
        let running = running.and_cancel(server.stop());
        Ok((
            Arc::new(Running {
                family: self,
                server,
                queue,
            }),
            running,
        ))
    }
}

impl family::Model for Running {
    fn prepare(&self, ask: &Ask) -> Result<Arc<dyn family::Prepared>, Error> {
        let (classes, groups) = self.family.groups(ask)?;
        Ok(Arc::new(Asked {
            family: self.family.clone(),
            queue: self.queue.clone(),
            labels: ask.labels.clone(),
            recall_bias: ask.recall_bias,
            invented: match ask.fails_if_invented {
                Some(true) => Treatment::DeadLetter,
                Some(false) => Treatment::Drop,
                None => self.family.settings.invented,
            },
            classes,
            groups: groups.into_iter().map(Arc::new).collect(),
        }))
    }

    fn counts(&self) -> &batch::Counts {
        self.queue.counts()
    }

    fn has_stopped(&self) -> bool {
        self.queue.has_stopped() || self.server.out().is_some()
    }

    fn why_stopped(&self) -> Option<Error> {
        self.server.out().cloned().map(Error::from)
    }
}

impl family::Prepared for Asked {
    fn tagger(self: Arc<Self>, tenant: &Arc<str>) -> Box<dyn family::Tagger> {
        Box::new(Tagger::new(self, tenant.clone()))
    }
}

impl Asked {
    pub(super) fn shape(&self) -> Shape {
        Shape {
            width: self.family.settings.window_bytes,
            overlap: self.family.settings.overlap_bytes,
        }
    }

    pub(super) fn groups(&self) -> &[Arc<Group>] {
        &self.groups
    }

    pub(super) fn queue(&self) -> &pool::Queue<Session> {
        &self.queue
    }

    pub(super) fn invented(&self) -> Treatment {
        self.invented
    }

    pub(super) fn unasked(&self) -> Treatment {
        self.family.settings.unasked
    }

    pub(super) fn max_text_bytes(&self) -> usize {
        self.family.settings.max_text_bytes
    }

    /// A score with the tenant's bias: 1 stays 1.
    pub(super) fn score(&self, score: f32) -> f32 {
        let odds = (score / (1.0 - score)).ln() + self.recall_bias;
        1.0 / (1.0 + (-odds).exp())
    }

    /// The first label of a class whose threshold a score reaches.
    pub(super) fn reached(&self, class: usize, score: f32) -> Option<usize> {
        let mut labels = self.classes[class].labels.iter().copied();
        labels.find(|label| self.labels[*label].reached(score))
    }

    /// A window with a group of labels.
    pub(super) fn item(&self, group: &Arc<Group>, window: &str, tenant: &Arc<str>) -> Item<Work> {
        let prompt = self.family.prompts.fill(group, window);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&group.key);
        digest::part(&mut hasher, window);
        Item {
            tokens: tokens(prompt.len()),
            tenant: tenant.clone(),
            key: digest::key(&hasher),
            payload: Work {
                prompt,
                bytes: window.len(),
                group: group.clone(),
                tenant: tenant.clone(),
            },
        }
    }
}
