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
    pipeline::{Engine, Models},
    tenant::{Label, Policy, Reuse},
    text::ByteSpan,
};

use crate::support::engine::{policy, runtime, scan};

/// Finds each label where its words stand, or where they stand in capitals.
struct Literal {
    in_capitals: bool,
}

const PLAIN: Literal = Literal { in_capitals: false };

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
    fn pack(&self) -> &str {
        "literal"
    }

    fn digest(&self) -> &str {
        match self.in_capitals {
            true => "1111111111111111",
            false => "0000000000000000",
        }
    }

    /// It has no operating point.
    fn fits(&self, ask: &Ask) -> Result<(), Error> {
        match &ask.operating_point {
            Some(name) => Err(Error::NoOperatingPoint {
                pack: "literal".to_owned(),
                name: name.to_string(),
                points: String::new(),
            }),
            None => Ok(()),
        }
    }

    fn explain(&self, _: &Ask) -> Result<Explained, Error> {
        Ok(Explained::Open(None))
    }

    fn start(self: Arc<Self>) -> Result<(Arc<dyn Model>, Running), Error> {
        let options = crate::support::engine::batches();
        let (queue, running) = pool::start(vec![Session, Session], options, false);
        let in_capitals = self.in_capitals;
        Ok((Arc::new(Started { queue, in_capitals }), running))
    }
}

struct Started {
    queue: Queue<Session>,
    in_capitals: bool,
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
        let mut ask = ask.clone();
        if self.in_capitals {
            for label in &mut ask.labels {
                label.wording = label.wording.to_uppercase().into();
            }
        }
        Ok(Arc::new(Ready {
            ask: Arc::new(ask),
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
    let (engine, _running) = Engine::of(Arc::new(PLAIN)).unwrap();
    assert_eq!(engine.models().digest(), PLAIN.digest());
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
    let (engine, _running) = Engine::of(Arc::new(PLAIN)).unwrap();
    let policy = policy(&["blue"]);
    runtime().block_on(async {
        let one = |text: &'static str| {
            let (engine, policy) = (engine.clone(), policy.clone());
            async move {
                let mut scan = weir::pipeline::Scan::start(&engine, &policy, Reuse::Equal).await?;
                scan.push(text).await?;
                scan.finish().await
            }
        };
        let (good, bad) = tokio::join!(one("a blue line"), one("a line with panic"));
        assert_eq!(good.unwrap().unwrap().spans.len(), 1);
        assert!(matches!(bad.unwrap_err(), family::Error::Panicked));
    });
}

/// Two models under the names `default` and `loud`.
fn two() -> Models {
    let loud = Literal { in_capitals: true };
    let all: [(Arc<str>, Arc<dyn Family>); 2] = [
        ("default".into(), Arc::new(PLAIN)),
        ("loud".into(), Arc::new(loud)),
    ];
    Models::of(all)
}

/// A policy whose labels name these models.
fn of_models(labels: &[(&str, Option<&str>)]) -> Policy {
    let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
    let mut policy = policy(&names);
    let of = policy.labels.labels.iter().zip(labels);
    let of = of.map(|(label, (_, model))| Label {
        models: model.iter().map(|name| Arc::from(*name)).collect(),
        ..label.clone()
    });
    policy.labels.labels = of.collect();
    policy.labels.digest = format!("{labels:?}").into();
    policy
}

#[test]
fn each_label_is_found_by_the_model_it_names_and_their_spans_meet_in_one_rule() {
    let (engine, _running) = Engine::with(two()).unwrap();
    let labels = [
        ("blue", None),
        ("green", Some("loud")),
        ("light blue", Some("loud")),
    ];
    let policy = of_models(&labels);
    // The third label in capitals covers none of the first; "LIGHT BLUE" and "blue" stand apart.
    let text = "blue green GREEN, a LIGHT BLUE coat and a BLUE one";
    let (read, spans) = runtime().block_on(scan(&engine, &policy, &[text]));
    assert_eq!(read, text);
    let found: Vec<_> = spans
        .iter()
        .map(|span| (&text[span.bytes.start..span.bytes.end], &*span.label))
        .collect();
    let expected = [
        ("blue", "blue"),
        ("GREEN", "green"),
        ("LIGHT BLUE", "light blue"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn spans_of_two_models_that_overlap_cover_what_either_covers() {
    let (engine, _running) = Engine::with(two()).unwrap();
    let policy = of_models(&[("RED CAR", None), ("car park", Some("loud"))]);
    let text = "a RED CAR PARK";
    let (_, spans) = runtime().block_on(scan(&engine, &policy, &[text]));
    let covered: String = spans
        .iter()
        .map(|span| &text[span.bytes.start..span.bytes.end])
        .collect();
    assert_eq!(covered.replace(' ', ""), "REDCARPARK");
}

#[test]
fn a_label_of_several_models_is_what_any_of_them_finds() {
    let (engine, _running) = Engine::with(two()).unwrap();
    let mut policy = policy(&["blue"]);
    let labels = policy.labels.labels.iter().map(|label| Label {
        models: ["default", "loud", "default"].map(Arc::from).into(),
        ..label.clone()
    });
    policy.labels.labels = labels.collect();
    let text = "a blue line, a BLUE one";
    let (_, spans) = runtime().block_on(scan(&engine, &policy, &[text]));
    let found: Vec<_> = spans
        .iter()
        .map(|span| (&text[span.bytes.start..span.bytes.end], &*span.label))
        .collect();
    assert_eq!(found, [("blue", "blue"), ("BLUE", "blue")]);
    let one = |name: &str| of_models(&[("blue", Some(name))]).labels;
    let digest = two().digest_for(&policy.labels);
    assert_eq!(&*digest, two().digest());
    assert_ne!(digest, two().digest_for(&one("loud")));
}

#[test]
fn digests_are_of_the_packs_that_are_asked() {
    let models = two();
    let digest = |labels: &[(&str, Option<&str>)]| models.digest_for(&of_models(labels).labels);
    assert_eq!(&*digest(&[]), "0000000000000000");
    assert_eq!(&*digest(&[("a", None)]), "0000000000000000");
    assert_eq!(&*digest(&[("a", Some("loud"))]), "1111111111111111");
    let both = digest(&[("a", Some("loud")), ("b", None)]);
    assert_eq!(&*both, models.digest());
    assert_eq!(both.len(), 64);
    assert_eq!(both, digest(&[("b", None), ("a", Some("loud"))]));
}

#[test]
fn each_model_explains_the_labels_that_ask_it() {
    let models = two();
    let asked = of_models(&[("a", Some("loud")), ("b", None), ("c", Some("loud"))]).labels;
    let labels = |set| -> Vec<Vec<usize>> {
        let readings = models.explain(set).unwrap().into_iter();
        readings.map(|reading| reading.labels).collect()
    };
    assert_eq!(labels(&asked), [vec![1], vec![0, 2]]);
    assert!(labels(&of_models(&[]).labels).iter().all(Vec::is_empty));
}

#[test]
fn a_model_that_the_configuration_does_not_name_is_refused() {
    let models = two();
    let error = models.fits(&of_models(&[("a", Some("quiet"))]).labels);
    let said = error.unwrap_err().to_string();
    assert_eq!(
        said,
        "no model is named `quiet`; the configuration has: default, loud"
    );
}

#[test]
fn an_operating_point_is_one_of_the_model_that_the_tenant_names() {
    let models = two();
    let mut policy = of_models(&[("a", None), ("b", Some("loud"))]);
    policy.labels.balance.operating_point = Some("high_recall".into());
    let refused = |policy: &Policy| {
        let error = models.fits(&policy.labels).unwrap_err();
        matches!(error, Error::NoOperatingPoint { .. })
    };
    assert!(refused(&policy));
    // The other one is not asked for it.
    policy.labels.balance.models = [Arc::from("loud")].into();
    let only_default = of_models(&[("a", None)]);
    policy.labels.labels = only_default.labels.labels;
    models.fits(&policy.labels).unwrap();
}
