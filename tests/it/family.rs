//! A family of models can be added without the others: here is one, of a few lines, and documents go through it.

use std::sync::Arc;

use futures::{FutureExt as _, future::BoxFuture};
use weir::{
    batch::{self, Item, Weigh},
    model::{
        Error,
        family::{self, Ask, Explained, Family, Model, Prepared, Tag, Tagger, Tags},
        pool::{self, Queue, Runner, Running},
    },
    pipeline::Engine,
    text::ByteSpan,
};

use crate::engine::{policy, runtime, scan};

/// Finds each label where its words stand.
struct Literal;

struct Session;

/// Where the words of each label begin in a segment.
struct Places(Vec<Vec<usize>>);

impl Weigh for Places {
    fn bytes(&self) -> usize {
        self.0.iter().map(|places| 8 * places.len()).sum()
    }
}

impl Runner for Session {
    type Work = (Arc<Ask>, String);
    type Answer = Places;

    fn run(&mut self, work: &[&Self::Work]) -> Result<Vec<Places>, Error> {
        let all = work.iter().map(|(ask, text)| {
            assert!(!text.contains("panic"), "as the text says");
            let of = |label: &family::Label| {
                let found = text.match_indices(&*label.wording);
                found.map(|(at, _)| at).collect()
            };
            Places(ask.labels.iter().map(of).collect())
        });
        Ok(all.collect())
    }
}

impl Family for Literal {
    fn digest(&self) -> &str {
        "0000000000000000"
    }

    fn fits(&self, _: &Ask) -> Result<(), Error> {
        Ok(())
    }

    fn explain(&self, _: &Ask) -> Result<Explained, Error> {
        Ok(Explained::Open(None))
    }

    fn start(self: Arc<Self>) -> Result<(Arc<dyn Model>, Running), Error> {
        let options = crate::engine::batches();
        let (queue, running) = pool::start(vec![Session, Session], options, false);
        Ok((Arc::new(Started { queue }), running))
    }
}

struct Started {
    queue: Queue<Session>,
}

struct Ready {
    ask: Arc<Ask>,
    queue: Queue<Session>,
}

struct Text {
    ready: Arc<Ready>,
    tenant: Arc<str>,
    found: Tags,
    end: usize,
}

impl Model for Started {
    fn prepare(&self, ask: &Ask) -> Result<Arc<dyn Prepared>, Error> {
        Ok(Arc::new(Ready {
            ask: Arc::new(ask.clone()),
            queue: self.queue.clone(),
        }))
    }

    fn counts(&self) -> &batch::Counts {
        self.queue.counts()
    }

    fn has_stopped(&self) -> bool {
        self.queue.has_stopped()
    }
}

impl Prepared for Ready {
    fn tagger(self: Arc<Self>, tenant: &Arc<str>) -> Box<dyn Tagger> {
        Box::new(Text {
            ready: self,
            tenant: tenant.clone(),
            found: Tags::default(),
            end: 0,
        })
    }
}

impl Tagger for Text {
    fn push<'t>(
        &'t mut self,
        segment: &'t str,
        at: usize,
    ) -> BoxFuture<'t, Result<(), family::Error>> {
        async move {
            self.end = at + segment.len();
            let ask = self.ready.ask.clone();
            let item = Item {
                tokens: segment.len(),
                tenant: self.tenant.clone(),
                key: blake3::hash(segment.as_bytes()).as_bytes()[..16]
                    .try_into()
                    .unwrap(),
                payload: (ask.clone(), segment.to_owned()),
            };
            let places = self.ready.queue.run(item).await??;
            for (label, found) in places.0.iter().enumerate() {
                for start in found {
                    let start = at + start;
                    let tag = Tag {
                        bytes: ByteSpan::new(start, start + ask.labels[label].wording.len()),
                        label,
                        score: 0.9,
                        label_score: 0.8,
                    };
                    self.found.named.push(tag.clone());
                    self.found.marked.push(tag);
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn advance(&mut self) -> BoxFuture<'_, Result<(), family::Error>> {
        async { Ok(()) }.boxed()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), family::Error>> {
        async { Ok(()) }.boxed()
    }

    fn take(&mut self) -> Tags {
        std::mem::take(&mut self.found)
    }

    fn decided(&self) -> usize {
        self.end
    }

    fn counts(&self) -> (u64, u64) {
        (0, 0)
    }
}

#[test]
fn a_family_of_a_few_lines_finds_what_it_finds() {
    let (engine, _running) = Engine::of(Arc::new(Literal)).unwrap();
    assert_eq!(engine.digest(), "0000000000000000");
    let policy = policy(&["Orla Finch", "blue"]);
    let text = "A letter from Orla Finch, in a blue envelope.";
    let (read, spans) = runtime().block_on(scan(&engine, &policy, &[text]));
    assert_eq!(read, text);
    let found: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                &text[span.bytes.start..span.bytes.end],
                &*span.label,
                span.score,
            )
        })
        .collect();
    assert_eq!(
        found,
        [("Orla Finch", "Orla Finch", 0.9), ("blue", "blue", 0.9)]
    );
}

#[test]
fn a_panic_costs_its_own_text_only() {
    let (engine, _running) = Engine::of(Arc::new(Literal)).unwrap();
    let policy = policy(&["blue"]);
    runtime().block_on(async {
        let one = |text: &'static str| {
            let (engine, policy) = (engine.clone(), policy.clone());
            async move {
                let mut scan = weir::pipeline::Scan::start(&engine, &policy).await?;
                scan.push(text).await?;
                scan.finish().await
            }
        };
        let (good, bad) = tokio::join!(one("a blue line"), one("a line with panic"));
        assert_eq!(good.unwrap().unwrap().spans.len(), 1);
        assert!(matches!(bad.unwrap_err(), family::Error::Panicked));
    });
}
