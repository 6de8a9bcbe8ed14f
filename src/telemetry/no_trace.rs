//! Stands in for `trace.rs` in a build without the feature `otlp`: every span is empty.

/// Where a record stood.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Place<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub group: &'a str,
}

/// Headers of a record.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Headers<'a> {
    pub parent: &'a str,
    pub state: Option<&'a str>,
}

/// Refers to nothing.
#[derive(Debug, Clone, Default)]
pub struct Link;

impl Link {
    /// It always is.
    pub fn is_empty(&self) -> bool {
        true
    }
}

/// An empty span.
#[derive(Debug, Clone, Default)]
pub struct Span;

/// Nothing is entered.
#[must_use]
pub struct Entered;

impl Span {
    /// Enters nothing.
    pub fn enter(&self) -> Entered {
        Entered
    }

    /// The future as it is.
    pub fn around<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        future
    }

    /// Refers to nothing.
    pub fn link(&self) -> Link {
        Link
    }

    /// Ends nothing.
    pub fn end(&self, _: Option<&'static str>) {}

    /// Counts nothing.
    pub fn documents(&self, _: u64) {}
}

/// A record without a span.
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Record {
    pub span: Span,
    pub link: Link,
    pub header: Option<String>,
}

/// What is done with a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Step {
    Send,
    Commit,
}

/// Begins nothing.
pub fn record(_: Place<'_>, _: Option<Headers<'_>>) -> Record {
    Record::default()
}

/// Begins nothing.
pub fn set<'l>(_: &str, _: usize, _: impl IntoIterator<Item = &'l Link>) -> Span {
    Span
}

/// Where a set goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum To {
    Topics,
    Store,
}

/// Begins nothing.
pub fn step(_: Step, _: To) -> Span {
    Span
}

/// Begins nothing.
pub fn object() -> Span {
    Span
}

/// Begins nothing.
pub fn infer<'l>(_: usize, _: usize, _: impl IntoIterator<Item = &'l Link>) -> Span {
    Span
}

/// There is none.
pub fn current() -> Span {
    Span
}

/// Starts a task.
pub fn spawn<F>(future: F) -> tokio::task::JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// There are none.
pub(super) fn current_ids() -> Option<(String, String)> {
    None
}
