//! One text through tokenizer, windows and decoder.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesOrdered};

use super::{
    Decoder, Emissions, Entity, Found,
    family::{Labels, Loaded, Running},
};
use crate::{
    model::family::{self, Error, Tag, Tags, WINDOWS_IN_FLIGHT},
    telemetry::metric::{self, Stage},
    text::{ByteSpan, Tokens, Window, Windower},
};

/// A text on its way through the model.
pub(super) struct Tagger {
    model: Running,
    labels: Arc<Labels>,
    tenant: Arc<str>,
    /// `None` once the text has ended.
    windower: Option<Windower>,
    windows: FuturesOrdered<BoxFuture<'static, Result<Arc<Emissions>, Error>>>,
    /// A window that waits for the one after it.
    ready: Option<Arc<Emissions>>,
    decoder: Decoder,
    found: Tags,
    /// Where the tokens from `first_token` on stand in the text.
    tokens: VecDeque<ByteSpan>,
    first_token: u64,
    /// Bytes of text so far.
    end: usize,
    counted_windows: u64,
    counted_tokens: u64,
}

impl Tagger {
    pub(super) fn new(model: Running, labels: Arc<Labels>, tenant: Arc<str>) -> Self {
        Self {
            windower: Some(Windower::new(model.loaded.pack().shape())),
            decoder: labels.decoder(),
            model,
            labels,
            tenant,
            windows: FuturesOrdered::new(),
            ready: None,
            found: Tags::default(),
            tokens: VecDeque::new(),
            first_token: 0,
            end: 0,
            counted_windows: 0,
            counted_tokens: 0,
        }
    }

    fn send(&mut self, windows: Vec<Window>) {
        for mut window in windows {
            self.counted_windows += 1;
            self.counted_tokens += window.core.len() as u64;
            self.tokens.extend(std::mem::take(&mut window.spans));
            let (model, labels, tenant) =
                (self.model.clone(), self.labels.clone(), self.tenant.clone());
            self.windows
                .push_back(async move { model.emissions(labels, tenant, window).await }.boxed());
        }
    }

    /// Decodes windows as they come back, until at most `left` are on their way.
    async fn collect(&mut self, left: usize) -> Result<(), Error> {
        while self.windows.len() > left {
            let window = self.windows.next().await.expect("a window is on its way")?;
            if let Some(before) = self.ready.replace(window.clone()) {
                self.decode(&before, Some(&window));
                // A long text must not keep a thread to itself.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn decode(&mut self, window: &Emissions, next: Option<&Emissions>) {
        let began = Instant::now();
        self.decoder.push(window, next, &self.labels.matrix);
        let certain = self.decoder.certain();
        metric::stage(Stage::Decode, began);
        self.keep(&certain);
        let decided = self.decoder.decided();
        self.tokens.drain(..(decided - self.first_token) as usize);
        self.first_token = decided;
    }

    /// Turns entities into tags. What marks a place at all has to reach its label's threshold.
    fn keep(&mut self, found: &Found) {
        for entity in &found.named {
            let tag = self.tag(entity);
            self.found.named.push(tag);
        }
        for entity in &found.marked {
            let tag = self.tag(entity);
            if self.labels.reached(entity.label, tag.score) {
                self.found.marked.push(tag);
            }
        }
    }

    fn tag(&self, entity: &Entity) -> Tag {
        let calibration = self.model.loaded.calibration();
        let first = self.tokens[(entity.start - self.first_token) as usize];
        let last = self.tokens[(entity.end - 1 - self.first_token) as usize];
        Tag {
            bytes: ByteSpan::new(first.start, last.end),
            label: entity.label as usize,
            score: calibration.score(entity.gain),
            label_score: calibration.label_score(entity.gain, entity.margin),
        }
    }
}

async fn tokens(loaded: Arc<Loaded>, segment: &str) -> Result<Tokens, Error> {
    let (bytes, segment) = (segment.len(), segment.to_owned());
    let work = move || loaded.tokenizer.tokens(&segment);
    let tokens = family::on_text(bytes, work).await?;
    Ok(tokens.map_err(crate::model::Error::from)?)
}

impl family::Tagger for Tagger {
    fn push<'t>(&'t mut self, segment: &'t str, at: usize) -> BoxFuture<'t, Result<(), Error>> {
        async move {
            let tokens = tokens(self.model.loaded.clone(), segment).await?;
            self.end = at + segment.len();
            let mut windows = Vec::new();
            let windower = self.windower.as_mut();
            let windower = windower.expect("a text that has ended gets no more segments");
            windower.push(tokens, at, &mut windows);
            self.send(windows);
            Ok(())
        }
        .boxed()
    }

    fn advance(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        self.collect(WINDOWS_IN_FLIGHT).boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            if let Some(last) = self.windower.take().and_then(Windower::finish) {
                self.send(vec![last]);
            }
            self.collect(0).await?;
            if let Some(window) = self.ready.take() {
                self.decode(&window, None);
            }
            let rest = std::mem::take(&mut self.decoder).finish();
            self.keep(&rest);
            Ok(())
        }
        .boxed()
    }

    fn take(&mut self) -> Tags {
        std::mem::take(&mut self.found)
    }

    fn decided(&self) -> usize {
        self.tokens.front().map_or(self.end, |token| token.start)
    }

    fn counts(&self) -> (u64, u64) {
        (self.counted_tokens, self.counted_windows)
    }
}
