//! One text through windows, answers and places.
//!
//! A value that any window gave is located in the whole text, so the text is held, and nothing is decided before its end.

use std::sync::Arc;

use futures::{
    FutureExt as _, StreamExt as _,
    future::{BoxFuture, try_join},
    stream::FuturesUnordered,
};
use metrics::counter;

use super::{
    Error as ServerError, Treatment,
    family::Asked,
    locate::{Values, locate},
    prompt::{Group, tokens},
    runner::Answer,
    windows::{Shape, Windower, halves},
};
use crate::{
    model::{
        self,
        family::{self, Error, Tag, Tags, WINDOWS_IN_FLIGHT},
    },
    telemetry::metric,
    text::ByteSpan,
};

/// A text on its way through the model.
pub(super) struct Tagger {
    asked: Arc<Asked>,
    tenant: Arc<str>,
    /// All that came.
    text: String,
    windower: Windower,
    on_their_way: FuturesUnordered<BoxFuture<'static, Result<Vec<Found>, Error>>>,
    values: Values,
    unasked: u64,
    found: Tags,
    windows: u64,
    tokens: u64,
}

/// An answer to a window, or to a part of one.
struct Found {
    /// First class of its group.
    first: usize,
    answer: Arc<Answer>,
}

impl Tagger {
    pub(super) fn new(asked: Arc<Asked>, tenant: Arc<str>) -> Self {
        Self {
            windower: Windower::new(asked.shape()),
            asked,
            tenant,
            text: String::new(),
            on_their_way: FuturesUnordered::new(),
            values: Values::default(),
            unasked: 0,
            found: Tags::default(),
            windows: 0,
            tokens: 0,
        }
    }

    /// Sends the windows that are certain.
    fn send(&mut self, ended: bool) {
        while let Some(window) = self.windower.next(&self.text, ended) {
            let window = &self.text[window];
            // A window of signs alone names nothing.
            if !window.chars().any(char::is_alphanumeric) {
                continue;
            }
            self.windows += 1;
            self.tokens += tokens(window.len()) as u64;
            for group in self.asked.groups() {
                let (asked, tenant) = (self.asked.clone(), self.tenant.clone());
                let (group, window) = (group.clone(), window.to_owned());
                self.on_their_way.push(ask(asked, tenant, group, window));
            }
        }
    }

    /// Takes in answers, until at most `left` are on their way.
    async fn collect(&mut self, left: usize) -> Result<(), Error> {
        while self.on_their_way.len() > left {
            let answers = self.on_their_way.next().await;
            for Found { first, answer } in answers.expect("one is on its way")? {
                let Answer::Values { values, unasked } = &*answer else {
                    continue;
                };
                self.unasked += unasked;
                for value in values {
                    let class = first + usize::from(value.class);
                    self.values.add(value.text.clone(), class, value.score);
                }
            }
        }
        Ok(())
    }

    /// Marks every place of the values.
    async fn locate(&mut self) -> Result<(), Error> {
        let (text, values) = (
            std::mem::take(&mut self.text),
            std::mem::take(&mut self.values),
        );
        let located = family::on_text(text.len(), move || locate(&text, &values)).await?;
        let unasked = self.unasked + located.unasked;
        self.unusable("unasked", unasked, self.asked.unasked())
            .map_err(|()| ServerError::Unasked { values: unasked })
            .map_err(model::Error::from)?;
        let invented = located.invented;
        self.unusable("invented", invented, self.asked.invented())
            .map_err(|()| ServerError::Invented { values: invented })
            .map_err(model::Error::from)?;
        for place in located.places {
            let score = self.asked.score(place.score);
            if let Some(label) = self.asked.reached(place.class, score) {
                self.found.marked.push(Tag {
                    bytes: place.bytes,
                    label,
                    score,
                    label_score: score,
                });
            }
        }
        self.found.named = apart(&self.found.marked);
        Ok(())
    }

    /// Counts values that can't be used; an error if the document is to fail for them.
    fn unusable(&self, why: &'static str, values: u64, treatment: Treatment) -> Result<(), ()> {
        if values == 0 {
            return Ok(());
        }
        let tenant = metric::label("tenant", &self.tenant);
        counter!(metric::MODEL_VALUES_DROPPED_TOTAL, "tenant" => tenant, "reason" => why)
            .increment(values);
        match treatment {
            Treatment::Drop => Ok(()),
            Treatment::DeadLetter => Err(()),
        }
    }
}

/// Asks one window, and its halves where the model cannot answer it whole.
fn ask(
    asked: Arc<Asked>,
    tenant: Arc<str>,
    group: Arc<Group>,
    window: String,
) -> BoxFuture<'static, Result<Vec<Found>, Error>> {
    async move {
        let item = asked.item(&group, &window, &tenant);
        let answer = asked.queue().run(item).await??;
        if !matches!(&*answer, Answer::TooLong) {
            let first = group.classes.start;
            return Ok(vec![Found { first, answer }]);
        }
        let Shape { overlap, .. } = asked.shape();
        let Some((one, other)) = halves(&window, overlap) else {
            let bytes = window.len();
            return Err(model::Error::from(ServerError::TooLong { bytes }).into());
        };
        let half = |range| {
            let window: &str = &window;
            let own = String::from(&window[range]);
            ask(asked.clone(), tenant.clone(), group.clone(), own)
        };
        let (mut answers, more) = try_join(half(one), half(other)).await?;
        answers.extend(more);
        Ok(answers)
    }
    .boxed()
}

/// The best reading: from the highest score down, each that overlaps none before it; of equal ones the longer, then the
/// earlier, then in the order of labels.
fn apart(marked: &[Tag]) -> Vec<Tag> {
    let mut order: Vec<&Tag> = marked.iter().collect();
    let length = |tag: &Tag| tag.bytes.end - tag.bytes.start;
    order.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        let by_length = length(other).cmp(&length(one));
        by_score
            .then(by_length)
            .then(one.bytes.cmp(&other.bytes))
            .then(one.label.cmp(&other.label))
    });
    let mut taken: std::collections::BTreeMap<usize, ByteSpan> = std::collections::BTreeMap::new();
    let mut named: Vec<Tag> = Vec::new();
    for tag in order {
        let before = taken.range(..tag.bytes.end).next_back();
        if before.is_none_or(|(_, own)| own.end <= tag.bytes.start) {
            taken.insert(tag.bytes.start, tag.bytes);
            named.push(tag.clone());
        }
    }
    named.sort_by_key(|tag| tag.bytes);
    named
}

impl family::Tagger for Tagger {
    fn push<'t>(&'t mut self, segment: &'t str, at: usize) -> BoxFuture<'t, Result<(), Error>> {
        async move {
            debug_assert_eq!(self.text.len(), at, "segments follow one another");
            let limit = self.asked.max_text_bytes();
            if self.text.len() + segment.len() > limit {
                return Err(model::Error::from(ServerError::TextTooLarge { limit }).into());
            }
            self.text.push_str(segment);
            self.send(false);
            Ok(())
        }
        .boxed()
    }

    fn advance(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        self.collect(WINDOWS_IN_FLIGHT).boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            self.send(true);
            self.collect(0).await?;
            self.locate().await
        }
        .boxed()
    }

    fn take(&mut self) -> Tags {
        std::mem::take(&mut self.found)
    }

    /// Nothing before the end: a later window may name what stands at the beginning.
    fn decided(&self) -> usize {
        0
    }

    fn counts(&self) -> (u64, u64) {
        (self.tokens, self.windows)
    }
}
