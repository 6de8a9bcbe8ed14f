//! One text through tokenizer, windows of words and decoder.

use std::{collections::VecDeque, sync::Arc, time::Instant};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesOrdered};

use super::{
    argmax::Argmax,
    family::{Labels, Loaded, Running},
    parts::{Part, Parts},
    words::{Window, Windower, Word},
};
use crate::{
    model::{
        Decoder, Emissions, Entity,
        family::{self, Error, Tag, Tags, WINDOWS_IN_FLIGHT},
    },
    telemetry::metric::{self, Stage},
    text::ByteSpan,
};

/// Reads the emissions of a text.
#[derive(Debug)]
pub(super) enum Reader {
    /// The best path.
    Path(Decoder),
    /// The best class of each word.
    Argmax(Argmax),
}

/// A text on its way through the model.
pub(super) struct Tagger {
    model: Running,
    labels: Arc<Labels>,
    tenant: Arc<str>,
    /// `None` once the text has ended.
    windower: Option<Windower>,
    windows: FuturesOrdered<BoxFuture<'static, Result<Arc<Emissions>, Error>>>,
    reader: Option<Reader>,
    parts: Parts,
    found: Tags,
    /// The words from `first_word` on.
    words: VecDeque<Word>,
    first_word: u64,
    /// Bytes of text so far.
    end: usize,
    counted_windows: u64,
    counted_tokens: u64,
}

impl Tagger {
    pub(super) fn new(model: Running, labels: Arc<Labels>, tenant: Arc<str>) -> Self {
        Self {
            windower: Some(Windower::new(model.loaded.shape())),
            reader: Some(labels.reader()),
            model,
            labels,
            tenant,
            windows: FuturesOrdered::new(),
            parts: Parts::default(),
            found: Tags::default(),
            words: VecDeque::new(),
            first_word: 0,
            end: 0,
            counted_windows: 0,
            counted_tokens: 0,
        }
    }

    fn send(&mut self, windows: Vec<Window>) {
        for mut window in windows {
            self.counted_windows += 1;
            let tokens = window.words.iter().map(|word| u64::from(word.tokens));
            self.counted_tokens += tokens.sum::<u64>();
            self.words.extend(std::mem::take(&mut window.words));
            let (model, tenant) = (self.model.clone(), self.tenant.clone());
            let o_bias = self.labels.o_bias();
            self.windows
                .push_back(async move { model.emissions(o_bias, tenant, window).await }.boxed());
        }
    }

    /// Decodes windows as they come back, until at most `left` are on their way.
    async fn collect(&mut self, left: usize) -> Result<(), Error> {
        while self.windows.len() > left {
            let window = self.windows.next().await.expect("a window is on its way")?;
            self.decode(&window);
            // A long text must not keep a thread to itself.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn decode(&mut self, window: &Emissions) {
        let began = Instant::now();
        let reader = self.reader.as_mut().expect("the text has not ended");
        let certain = reader.push(window);
        let decided = reader.decided();
        metric::stage(Stage::Decode, began);
        self.keep(&certain);
        let settled = self.parts.settle(decided);
        self.give(settled);
        // A part that is open needs the word behind it.
        let needed = self.parts.waiting().map_or(decided, |(start, _)| start);
        self.words.drain(..(needed - self.first_word) as usize);
        self.first_word = needed;
    }

    /// Turns entities into tags. What is marked has to reach its label's threshold.
    fn keep(&mut self, entities: &[Entity]) {
        for entity in entities {
            let Some(tag) = self.tag(entity) else {
                continue;
            };
            if !self.labels.reached(entity.label, tag.score) {
                continue;
            }
            let part = Part {
                is_of_several: self.labels.is_of_several(tag.label),
                tag,
                category: entity.label,
                start: entity.start,
                end: entity.end,
            };
            let (words, first) = (&self.words, self.first_word);
            let whole = self.parts.push(part, |at| words.get((at - first) as usize));
            self.give(whole);
        }
    }

    fn give(&mut self, tag: Option<Tag>) {
        self.found.marked.extend(tag.clone());
        self.found.named.extend(tag);
    }

    fn tag(&self, entity: &Entity) -> Option<Tag> {
        let calibration = self.model.loaded.calibration();
        let first = self.words[(entity.start - self.first_word) as usize];
        let last = self.words[(entity.end - 1 - self.first_word) as usize];
        Some(Tag {
            bytes: ByteSpan::new(first.span.start, last.span.end),
            label: self.labels.label(entity.label)?,
            score: calibration.score(entity.gain),
            label_score: calibration.label_score(entity.gain, entity.margin),
        })
    }
}

impl Reader {
    fn push(&mut self, window: &Emissions) -> Vec<Entity> {
        match self {
            Self::Path(decoder) => {
                decoder.push_whole(window);
                decoder.certain().named
            }
            Self::Argmax(argmax) => {
                argmax.push(window);
                argmax.certain()
            }
        }
    }

    fn decided(&self) -> u64 {
        match self {
            Self::Path(decoder) => decoder.decided(),
            Self::Argmax(argmax) => argmax.decided(),
        }
    }

    fn finish(self) -> Vec<Entity> {
        match self {
            Self::Path(decoder) => decoder.finish().named,
            Self::Argmax(argmax) => argmax.finish(),
        }
    }
}

async fn words(loaded: Arc<Loaded>, segment: &str) -> Result<(Vec<u32>, Vec<Word>), Error> {
    let (bytes, segment) = (segment.len(), segment.to_owned());
    let words = family::on_text(bytes, move || loaded.words(&segment)).await?;
    Ok(words?)
}

impl family::Tagger for Tagger {
    fn push<'t>(&'t mut self, segment: &'t str, at: usize) -> BoxFuture<'t, Result<(), Error>> {
        async move {
            let (ids, words) = words(self.model.loaded.clone(), segment).await?;
            self.end = at + segment.len();
            let mut windows = Vec::new();
            let windower = self.windower.as_mut();
            let windower = windower.expect("a text that has ended gets no more segments");
            windower.push(&ids, &words, at, &mut windows);
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
            if let Some(reader) = self.reader.take() {
                self.keep(&reader.finish());
            }
            let last = self.parts.finish();
            self.give(last);
            self.words.clear();
            Ok(())
        }
        .boxed()
    }

    fn take(&mut self) -> Tags {
        std::mem::take(&mut self.found)
    }

    fn decided(&self) -> usize {
        let word = self.words.front().map(|word| word.span.start);
        let open = self.parts.waiting().map(|(_, byte)| byte);
        open.into_iter().chain(word).min().unwrap_or(self.end)
    }

    fn counts(&self) -> (u64, u64) {
        (self.counted_tokens, self.counted_windows)
    }
}
