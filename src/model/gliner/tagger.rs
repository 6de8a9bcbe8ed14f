//! One text through words, windows and choice.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Instant};

use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, try_join_all},
    stream::FuturesOrdered,
};

use super::{
    candidate::{Candidate, Choice, Overlaps},
    family::Asked,
    merge::{Merge, Merged},
    runner::Answer,
    runs::{Runs, Stretch},
    windows::{Window, Windower},
    words::{Place, Splitter, Words},
};
use crate::{
    model::family::{self, Error, Tag, Tags, WINDOWS_IN_FLIGHT},
    telemetry::metric::{self, Stage},
    text::{ByteSpan, CodePointSpan},
};

/// A text on its way through the model.
pub(super) struct Tagger {
    asked: Arc<Asked>,
    tenant: Arc<str>,
    splitter: Splitter,
    /// Characters so far.
    chars: usize,
    windower: Windower,
    windows: FuturesOrdered<BoxFuture<'static, Result<Vec<Arc<Answer>>, Error>>>,
    /// Of the windows that are on their way.
    sent: VecDeque<Sent>,
    /// Of a token model.
    runs: Runs,
    named: Choice,
    /// What is redacted, where that is not every candidate and not what is named.
    chosen: Option<Choice>,
    merge: Merge,
    found: Tags,
    counted_windows: u64,
    counted_tokens: u64,
}

/// What is needed of a window when its scores come.
struct Sent {
    first: u64,
    core: Range<usize>,
    places: Vec<Place>,
}

impl Tagger {
    pub(super) fn new(asked: Arc<Asked>, tenant: Arc<str>) -> Self {
        let settings = asked.settings();
        let overlaps = Overlaps {
            nested: settings.nested,
            multi_label: settings.multi_label,
        };
        let ties = asked.ties();
        let apart = settings.greedy && overlaps != Overlaps::default();
        Self {
            splitter: Splitter::new(),
            chars: 0,
            windower: Windower::new(asked.shape()),
            windows: FuturesOrdered::new(),
            sent: VecDeque::new(),
            runs: Runs::default(),
            named: Choice::new(Overlaps::default(), ties),
            chosen: apart.then(|| Choice::new(overlaps, ties)),
            merge: Merge::new(settings.merge == Some(true)),
            found: Tags::default(),
            counted_windows: 0,
            counted_tokens: 0,
            asked,
            tenant,
        }
    }

    /// Adds words, and sends the windows that are certain. `ended`: no more words come.
    fn send(&mut self, words: &Words, ended: bool) {
        let mut windows = Vec::new();
        self.windower.push(words, &mut windows);
        if ended {
            self.windower.finish(&mut windows);
        }
        for window in windows {
            self.counted_windows += 1;
            self.counted_tokens += tokens(&window) as u64;
            let rows = self.asked.rows(&window, &self.tenant);
            let rows = rows.into_iter().map(|item| {
                let queue = self.asked.queue().clone();
                async move { queue.run(item).await? }
            });
            self.windows
                .push_back(try_join_all(rows.collect::<Vec<_>>()).boxed());
            self.sent.push_back(Sent {
                first: window.first,
                core: window.core,
                places: window.places,
            });
        }
    }

    /// Tokenizes the words of a text that begins at byte `at`.
    async fn words(&mut self, text: String, at: usize) -> Result<Words, Error> {
        let (asked, mut chars) = (self.asked.clone(), self.chars);
        let split = family::on_text(text.len(), move || {
            let mut words = Words::default();
            let (tokenizer, longest) = (asked.tokenizer(), asked.longest_word());
            words.add(tokenizer, &text, at, longest, &mut chars)?;
            Ok::<_, crate::text::Error>((words, chars))
        })
        .await?;
        let (words, chars) = split.map_err(crate::model::Error::from)?;
        self.chars = chars;
        Ok(words)
    }

    /// Decodes windows as they come back, until at most `left` are on their way.
    async fn collect(&mut self, left: usize) -> Result<(), Error> {
        while self.windows.len() > left {
            let answers = self.windows.next().await.expect("a window is on its way")?;
            let sent = self.sent.pop_front().expect("each window was noted");
            let began = Instant::now();
            self.decode(&sent, &answers);
            metric::stage(Stage::Decode, began);
            // A long text must not keep a thread to itself.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn decode(&mut self, window: &Sent, answers: &[Arc<Answer>]) {
        let asked = self.asked.clone();
        let mut stretches = Vec::new();
        for (prompt, answer) in asked.prompts().iter().zip(answers) {
            match &**answer {
                Answer::Spans(spans) => stretches.extend(spans.iter().map(|span| {
                    let (word, more) = (span.word as usize, usize::from(span.more));
                    let (first, last) = (window.places[word], window.places[word + more]);
                    Stretch {
                        first: window.first + word as u64,
                        last: window.first + (word + more) as u64,
                        bytes: ByteSpan::new(first.bytes.start, last.bytes.end),
                        chars: CodePointSpan {
                            start: first.chars.start,
                            end: last.chars.end,
                        },
                        class: prompt.classes[usize::from(span.class)].order,
                        logit: span.logit,
                    }
                })),
                Answer::Words(words) => {
                    for score in words {
                        let class = &prompt.classes[usize::from(score.class)];
                        let number = window.first + u64::from(score.word);
                        let place = window.places[score.word as usize];
                        self.runs.push(
                            class.order,
                            class.floor,
                            number,
                            place,
                            *score,
                            &mut stretches,
                        );
                    }
                }
            }
        }
        let next = window.first + window.core.end as u64;
        self.runs
            .advance(next, |order| asked.class(order).floor, &mut stretches);
        stretches.iter().for_each(|stretch| self.add(stretch));
        let known = self
            .runs
            .first_open()
            .map_or(next, |(word, _)| word.min(next));
        self.settle(known);
    }

    /// Keeps what reaches the threshold of a label that it is a candidate for.
    fn add(&mut self, stretch: &Stretch) {
        let score = self.asked.score(stretch.logit);
        let Some(label) = self.asked.reached(stretch.class, score) else {
            return;
        };
        let candidate = Candidate {
            first: stretch.first,
            last: stretch.last,
            bytes: stretch.bytes,
            chars: stretch.chars,
            label,
            order: stretch.class,
            score,
        };
        let mut in_time = self.named.add(candidate);
        if let Some(chosen) = &mut self.chosen {
            in_time = chosen.add(candidate);
        }
        // What comes too late to be chosen is redacted: a leak is worse.
        if !self.asked.settings().greedy || !in_time {
            self.found.marked.push(tag(&candidate));
        }
    }

    /// Takes in what is chosen for good: later candidates begin at word `next` or later.
    fn settle(&mut self, next: u64) {
        if let Some(chosen) = &mut self.chosen {
            let marked = chosen.settle(next);
            self.found.marked.extend(marked.iter().map(tag));
        }
        for candidate in self.named.settle(next) {
            if let Some(merged) = self.merge.push(candidate) {
                self.name(&merged);
            }
        }
        // A row of candidates that is not chosen from yet may go on from what is held.
        let waiting = self.named.first_word().unwrap_or(next);
        if let Some(merged) = self.merge.settle(waiting.min(next)) {
            self.name(&merged);
        }
    }

    fn name(&mut self, merged: &Merged) {
        let tag = tag(&merged.candidate);
        let settings = self.asked.settings();
        // What is between the words of an entity is part of it.
        if merged.several || (settings.greedy && self.chosen.is_none()) {
            self.found.marked.push(tag.clone());
        }
        self.found.named.push(tag);
    }
}

fn tag(candidate: &Candidate) -> Tag {
    Tag {
        bytes: candidate.bytes,
        label: candidate.label,
        score: candidate.score,
        label_score: candidate.score,
    }
}

/// Tokens of the words that a window answers for.
fn tokens(window: &Window) -> usize {
    let before = |word: usize| match word {
        0 => 0,
        word => window.ends[word - 1] as usize,
    };
    before(window.core.end) - before(window.core.start)
}

impl family::Tagger for Tagger {
    fn push<'t>(&'t mut self, segment: &'t str, at: usize) -> BoxFuture<'t, Result<(), Error>> {
        async move {
            let (text, at) = self.splitter.push(segment, at);
            let words = self.words(text, at).await?;
            self.send(&words, false);
            Ok(())
        }
        .boxed()
    }

    fn advance(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        self.collect(WINDOWS_IN_FLIGHT).boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let (text, at) = self.splitter.finish();
            let words = self.words(text, at).await?;
            self.send(&words, true);
            self.collect(0).await?;
            let mut stretches = Vec::new();
            let asked = self.asked.clone();
            self.runs
                .advance(u64::MAX, |order| asked.class(order).floor, &mut stretches);
            stretches.iter().for_each(|stretch| self.add(stretch));
            self.settle(u64::MAX);
            Ok(())
        }
        .boxed()
    }

    fn take(&mut self) -> Tags {
        std::mem::take(&mut self.found)
    }

    fn decided(&self) -> usize {
        let sent = self.sent.front();
        let open = [
            self.named.first_waiting(),
            self.chosen.as_ref().and_then(Choice::first_waiting),
            self.merge.first_waiting(),
            self.runs.first_open().map(|(_, byte)| byte),
            sent.map(|window| window.places[window.core.start].bytes.start),
            self.windower.open(),
        ];
        open.into_iter()
            .flatten()
            .fold(self.splitter.open(), usize::min)
    }

    fn counts(&self) -> (u64, u64) {
        (self.counted_tokens, self.counted_windows)
    }
}
