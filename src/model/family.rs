//! The seam: what weir asks of a kind of model.
//!
//! A pack opens as a [`Family`], which knows whether its model can look for what a tenant asks. Started, it is a
//! [`Model`]: it prepares label sets, and gives each text a [`Tagger`] that says what stands where. The rooms before and
//! behind know these traits only, so a family is a folder by itself.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;

use super::{Error as ModelError, pool::Running};
use crate::{
    batch,
    text::{ByteSpan, IN_PLACE_BYTES},
};

/// What a model is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ask {
    /// The labels. The order decides which of two equal ones is named.
    pub labels: Vec<Label>,
    /// Operating point of the pack; `None` is its default.
    pub operating_point: Option<Arc<str>>,
    /// Above 0 the model finds more, and more that is nothing.
    pub recall_bias: f32,
    /// Whether a text fails for which a language model named a value that is not in it; `None` is as the pack says.
    pub fails_if_invented: Option<bool>,
}

/// A label that a model looks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// What it looks for, in words.
    pub wording: Arc<str>,
    /// Least calibrated probability of what it marks.
    pub threshold: f32,
}

impl Label {
    /// Whether a score reaches the threshold. A score that is no number does: fail closed.
    pub fn reached(&self, score: f32) -> bool {
        let below = score < self.threshold;
        !below
    }
}

/// What a model found, with its place in the whole text.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    /// Bytes of the text. White space at both ends is no part of what was found.
    pub bytes: ByteSpan,
    /// Position of the label in [`Ask::labels`].
    pub label: usize,
    /// Calibrated probability that some label that was asked for is right there.
    pub score: f32,
    /// Calibrated probability that this one is.
    pub label_score: f32,
}

/// What no later text can change.
#[derive(Debug, Default)]
pub struct Tags {
    /// The best reading of the text: what stands where. These do not overlap.
    pub named: Vec<Tag>,
    /// What each label marks by itself, where it reaches its threshold: what is redacted. These may overlap.
    /// Which ones there are must depend on no other label that is asked for (I11).
    pub marked: Vec<Tag>,
}

/// A kind of model, with a pack of its own. It was read what can be read at once; its weights are not loaded.
pub trait Family: Send + Sync {
    /// Name of the pack.
    fn pack(&self) -> &str;

    /// 64 hex digits: of the pack and of all that changes its results.
    fn digest(&self) -> &str;

    /// Whether texts can be searched for what is asked.
    fn fits(&self, ask: &Ask) -> Result<(), ModelError>;

    /// How the model reads the labels.
    fn explain(&self, ask: &Ask) -> Result<Explained, ModelError>;

    /// Loads the weights and starts the threads; blocks for as long as that takes.
    fn start(self: Arc<Self>) -> Result<(Arc<dyn Model>, Running), ModelError>;
}

/// How a model reads labels.
#[derive(Debug, Clone, PartialEq)]
pub enum Explained {
    /// Any words will do. How alike each label is to each, from -1 to 1, where the model tells.
    Open(Option<Vec<Vec<f32>>>),
    /// It has categories of its own, and what each label takes of them.
    Closed {
        /// Their names.
        categories: Vec<String>,
        /// One for each label.
        fits: Vec<Fit>,
    },
}

/// The categories that a label asks for, by their positions.
#[derive(Debug, Clone, PartialEq)]
pub enum Fit {
    /// It is called as this one is.
    Name(usize),
    /// The configuration's table lists these.
    Table(Vec<usize>),
    /// This one's vector is the nearest, and this near.
    Alike(usize, f32),
    /// None; the nearest one is only this near, if vectors were compared.
    None(Option<(usize, f32)>),
}

impl Fit {
    /// The categories.
    pub fn categories(&self) -> &[usize] {
        match self {
            Self::Name(category) | Self::Alike(category, _) => std::slice::from_ref(category),
            Self::Table(categories) => categories,
            Self::None(_) => &[],
        }
    }
}

/// A model that runs.
pub trait Model: Send + Sync {
    /// Makes what is asked ready; may block for milliseconds a label.
    fn prepare(&self, ask: &Ask) -> Result<Arc<dyn Prepared>, ModelError>;

    /// Tokens so far.
    fn counts(&self) -> &batch::Counts;

    /// Whether its threads have ended: what fails then is no fault of a document.
    fn has_stopped(&self) -> bool;

    /// Why it has stopped, where it knows.
    fn why_stopped(&self) -> Option<ModelError> {
        None
    }
}

/// What is asked, ready for texts.
pub trait Prepared: Send + Sync {
    /// Starts a text of a tenant. Tenants share the model's queue by turns.
    fn tagger(self: Arc<Self>, tenant: &Arc<str>) -> Box<dyn Tagger>;
}

/// One text on its way through the model, segment by segment.
pub trait Tagger: Send {
    /// Adds the next segment of the text, which begins at byte `at`. Does not wait for the model.
    fn push<'t>(&'t mut self, segment: &'t str, at: usize) -> BoxFuture<'t, Result<(), Error>>;

    /// Takes in what the model has done, and waits as long as too much of this text is on its way: memory stays
    /// bounded however long the text is (I9).
    fn advance(&mut self) -> BoxFuture<'_, Result<(), Error>>;

    /// Ends the text: waits for all of it.
    fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>>;

    /// Takes out what is certain.
    fn take(&mut self) -> Tags;

    /// First byte that a later [`Tag`] may cover: what lies before it is decided.
    fn decided(&self) -> usize;

    /// Tokens and windows so far.
    fn counts(&self) -> (u64, u64);
}

/// Windows of one text that may be on their way to a model at a time.
///
/// Fewer: a long text leaves the model idle. More: memory, and other texts wait longer.
pub(super) const WINDOWS_IN_FLIGHT: usize = 256;

/// Does work on a text of so many bytes: in place where it is short, else on a thread that may block.
///
/// # Errors
/// The work panicked on that thread.
pub(crate) async fn on_text<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if bytes <= IN_PLACE_BYTES {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Error::Panicked)
}

/// Why a model could not search a text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The model failed on one of its windows.
    #[error("{0}")]
    Model(Arc<ModelError>),
    /// A worker panicked on one of its windows.
    #[error("the model's worker panicked")]
    Panicked,
    /// The model has been stopped.
    #[error(transparent)]
    Stopped(#[from] batch::Stopped),
}

impl Error {
    /// Whether another attempt at the text may succeed. A model over HTTP was asked again already.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Model(error) => !matches!(**error, ModelError::Server(_)),
            Self::Panicked | Self::Stopped(_) => true,
        }
    }
}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        Self::Model(Arc::new(error))
    }
}

impl fmt::Debug for dyn Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prepared")
    }
}
