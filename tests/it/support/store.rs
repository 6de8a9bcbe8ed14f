//! A store in front of another one: for each operation a test decides what becomes of it.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
    path::Path,
};
use tokio::sync::Notify;

/// An operation of a store.
#[derive(Debug, Clone, Copy)]
pub enum Operation<'a> {
    /// An object is written in one request.
    Put(&'a Path),
    /// A part of an upload is written.
    Part,
    /// Anything else. A listing is one operation.
    Other,
}

/// What becomes of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It is not done, and an error.
    Refused,
    /// It is done, and an error.
    AnswerLost,
    /// It is done, and, as object_store does after a lost answer, asked for once more. Writes only.
    AskedAgain,
    /// An error, and it is done when [`Faulty::arrive`] is called. Writes only.
    Late,
    /// The worker dies before it is done: [`Faulty::died`] says so, and the operation never ends.
    DeadBefore,
    /// The worker dies after it is done.
    DeadAfter,
}

type Decide = dyn Fn(Operation<'_>) -> BoxFuture<'static, Fate> + Send + Sync;

/// A store whose operations meet a fate.
pub struct Faulty {
    inner: Arc<dyn ObjectStore>,
    control: Arc<Control>,
    late: Mutex<Vec<(Path, PutPayload, PutOptions)>>,
}

struct Control {
    decide: Box<Decide>,
    died: Notify,
}

impl Faulty {
    /// A store in front of `inner`. `decide` is asked as each operation begins.
    pub fn new(
        inner: Arc<dyn ObjectStore>,
        decide: impl Fn(Operation<'_>) -> BoxFuture<'static, Fate> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let control = Control {
            decide: Box::new(decide),
            died: Notify::new(),
        };
        Arc::new(Self {
            inner,
            control: Arc::new(control),
            late: Mutex::default(),
        })
    }

    /// Waits until an operation of a worker that dies is met.
    pub async fn died(&self) {
        self.control.died.notified().await;
    }

    /// Writes that are late reach the store.
    pub async fn arrive(&self) {
        let late: Vec<_> = self.late.lock().unwrap().drain(..).collect();
        for (path, payload, options) in late {
            let _ = self.inner.put_opts(&path, payload, options).await;
        }
    }
}

impl Control {
    async fn step<T>(
        &self,
        operation: Operation<'_>,
        run: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fate = (self.decide)(operation).await;
        self.meet(fate, run).await
    }

    async fn meet<T>(&self, fate: Fate, run: impl Future<Output = Result<T>>) -> Result<T> {
        match fate {
            Fate::Done => run.await,
            Fate::Refused => Err(failed()),
            Fate::AnswerLost => run.await.and(Err(failed())),
            // A dead worker does nothing any more, neither here nor in its other tasks.
            Fate::DeadBefore => self.dies().await,
            Fate::DeadAfter => {
                let _ = run.await;
                self.dies().await
            }
            Fate::AskedAgain | Fate::Late => unreachable!("writes only"),
        }
    }

    async fn dies<T>(&self) -> T {
        self.died.notify_one();
        std::future::pending().await
    }
}

fn failed() -> object_store::Error {
    object_store::Error::Generic {
        store: "test",
        source: "no answer".into(),
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = |payload, options| self.inner.put_opts(location, payload, options);
        match (self.control.decide)(Operation::Put(location)).await {
            // A create is told that the object exists.
            Fate::AskedAgain => {
                let _ = put(payload.clone(), options.clone()).await;
                put(payload, options).await
            }
            Fate::Late => {
                let late = (location.clone(), payload, options);
                self.late.lock().unwrap().push(late);
                Err(failed())
            }
            fate => self.control.meet(fate, put(payload, options)).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.inner.put_multipart_opts(location, options);
        let inner = self.control.step(Operation::Other, begun).await?;
        let control = self.control.clone();
        Ok(Box::new(FaultyUpload { inner, control }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let get = self.inner.get_opts(location, options);
        self.control.step(Operation::Other, get).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let get = self.inner.get_ranges(location, ranges);
        self.control.step(Operation::Other, get).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, control) = (self.inner.clone(), self.control.clone());
        let delete = move |location: Result<Path>| {
            let (inner, control) = (inner.clone(), control.clone());
            async move {
                let location = location?;
                control
                    .step(Operation::Other, inner.delete(&location))
                    .await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        listing(self.control.clone(), self.inner.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list_with_offset(prefix, offset);
        listing(self.control.clone(), listed)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let list = self.inner.list_with_delimiter(prefix);
        self.control.step(Operation::Other, list).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copy = self.inner.copy_opts(from, to, options);
        self.control.step(Operation::Other, copy).await
    }
}

fn listing(
    control: Arc<Control>,
    listed: BoxStream<'static, Result<ObjectMeta>>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let first = async move { control.step(Operation::Other, async { Ok(()) }).await };
    let first = stream::once(first).filter_map(|step| async move { step.err().map(Err) });
    // The error, if there is one, ends the listing: its callers stop at the first.
    first.chain(listed).boxed()
}

struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    control: Arc<Control>,
}

impl fmt::Debug for FaultyUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyUpload")
    }
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, control) = (self.inner.put_part(data), self.control.clone());
        Box::pin(async move { control.step(Operation::Part, part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let complete = self.inner.complete();
        self.control.step(Operation::Other, complete).await
    }

    async fn abort(&mut self) -> Result<()> {
        let abort = self.inner.abort();
        self.control.step(Operation::Other, abort).await
    }
}
