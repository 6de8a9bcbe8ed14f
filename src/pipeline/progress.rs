//! Counts of what the pipeline did, for people and as metrics.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::counter;
use tracing::warn;

use crate::{
    batch,
    record::{DeadLetter, Done},
    telemetry::{
        Event,
        metric::{self, label},
    },
};

/// Counts while the job runs.
#[derive(Debug, Default)]
pub struct Progress {
    pub(super) objects_total: AtomicU64,
    pub(super) objects_done: AtomicU64,
    pub(super) documents: AtomicU64,
    pub(super) entities: AtomicU64,
    dead_letters: Mutex<BTreeMap<&'static str, u64>>,
    /// Documents that were read.
    pub(super) taken: AtomicU64,
    /// Bytes of documents between source and sink, of all objects under way.
    pub(super) in_flight: AtomicU64,
    pub(super) bytes_done: AtomicU64,
    pub(super) bytes_total: AtomicU64,
    /// Records of topics that are not committed, by slot.
    lag: Mutex<BTreeMap<u16, u64>>,
}

/// Counts at one moment.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub struct Snapshot {
    pub objects_done: u64,
    pub objects_total: u64,
    pub documents: u64,
    pub entities: u64,
    pub dead_letters: u64,
    pub tokens_per_second: f64,
    /// Share of the model's tokens that is padding.
    pub padding: f64,
    /// Share of all tokens whose result was there already.
    pub reused: f64,
    pub left: Option<Duration>,
    /// Records of topics that are not committed.
    pub lag: Option<u64>,
}

/// What came of one object; added to the job's counts when it is committed.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) documents: u64,
    pub(super) entities: u64,
    pub(super) letters: Vec<DeadLetter>,
    by_tenant: BTreeMap<String, OfTenant>,
}

/// What was done for one tenant.
#[derive(Debug, Default)]
struct OfTenant {
    documents: u64,
    bytes: u64,
    /// Entities by label and recogniser.
    found: BTreeMap<String, BTreeMap<String, u64>>,
    /// Changes by operator.
    changed: BTreeMap<String, u64>,
}

/// A value by its key, which is copied only if it is new: counts are added for every record.
fn at<'m, V: Default>(map: &'m mut BTreeMap<String, V>, key: &str) -> &'m mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.get_mut(key).expect("put in above")
}

impl OfTenant {
    fn found(&mut self, label: &str, recognizer: &str, count: u64) {
        *at(at(&mut self.found, label), recognizer) += count;
    }
}

impl Counts {
    /// Of an object that is given up, its dead letters are left.
    pub(super) fn keep_letters(&mut self) {
        let letters = std::mem::take(self).letters;
        self.letters = letters;
    }
}

impl Progress {
    fn count_dead_letter(&self, letter: &DeadLetter) {
        *self
            .dead_letters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(letter.code.as_str())
            .or_default() += 1;
    }

    /// Adds what is delivered: of a file when it is committed, of a stream at once.
    pub(super) fn count(&self, counts: Counts) {
        counts.emit();
        self.documents
            .fetch_add(counts.documents, Ordering::Relaxed);
        self.entities.fetch_add(counts.entities, Ordering::Relaxed);
        for letter in counts.letters {
            self.count_dead_letter(&letter);
            DocumentDeadLettered { letter: &letter }.emit();
        }
    }

    pub(super) fn set_lag(&self, slot: u16, lag: u64) {
        let mut lags = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        lags.insert(slot, lag);
    }

    /// Records of topics that are not committed, if there are topics.
    fn lag(&self) -> Option<u64> {
        let lags = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        (!lags.is_empty()).then(|| lags.values().sum())
    }

    pub(super) fn dead_letters_by_code(&self) -> BTreeMap<&'static str, u64> {
        self.dead_letters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Dead letters so far.
    pub fn dead_letters(&self) -> u64 {
        self.dead_letters
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .sum()
    }

    /// Counts now.
    pub fn snapshot(&self, tokens: &batch::Counts, elapsed: Duration) -> Snapshot {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (real, padding, reused) = (of(&tokens.real), of(&tokens.padding), of(&tokens.reused));
        let share = |part: u64, whole: u64| {
            if whole == 0 {
                0.0
            } else {
                part as f64 / whole as f64
            }
        };
        let done = share(of(&self.bytes_done), of(&self.bytes_total));
        Snapshot {
            objects_done: of(&self.objects_done),
            objects_total: of(&self.objects_total),
            documents: of(&self.documents),
            entities: of(&self.entities),
            dead_letters: self.dead_letters(),
            tokens_per_second: real as f64 / elapsed.as_secs_f64().max(1e-9),
            padding: share(padding, real + padding),
            reused: share(reused, real + reused),
            lag: self.lag(),
            left: (done > 0.02).then(|| elapsed.mul_f64(((1.0 - done) / done).max(0.0))),
        }
    }
}

impl Snapshot {
    /// One line for a terminal.
    pub fn line(&self) -> String {
        let left = self
            .left
            .map_or_else(String::new, |left| format!("  eta {}s", left.as_secs()));
        let input = match self.objects_total {
            0 => String::new(),
            total => format!("objects {}/{total}  ", self.objects_done),
        };
        let lag = self
            .lag
            .map_or_else(String::new, |lag| format!("  lag {lag}"));
        format!(
            "{input}documents {}  entities {}  dead letters {}{lag}  {:.0} tok/s  padding {:.0}%  reused {:.0}%{left}",
            self.documents,
            self.entities,
            self.dead_letters,
            self.tokens_per_second,
            self.padding * 100.0,
            self.reused * 100.0
        )
    }
}

impl Counts {
    pub(super) fn add(&mut self, done: &Done, bytes: u64) {
        let entities = &done.entities.entities;
        self.documents += 1;
        self.entities += entities.len() as u64;
        let own = at(&mut self.by_tenant, &done.entities.tenant);
        own.documents += 1;
        own.bytes += bytes;
        for entity in entities {
            own.found(&entity.label, &entity.recognizer, 1);
        }
        for (operator, count) in &done.operators {
            *at(&mut own.changed, operator) += count;
        }
    }

    pub(super) fn document(&mut self, tenant: &str, bytes: u64) {
        self.documents += 1;
        let own = at(&mut self.by_tenant, tenant);
        own.documents += 1;
        own.bytes += bytes;
    }

    pub(super) fn entity(&mut self, tenant: &str, label: &str, recognizer: &str) {
        self.entities += 1;
        at(&mut self.by_tenant, tenant).found(label, recognizer, 1);
    }

    pub(super) fn change(&mut self, tenant: &str, operator: &str, count: u64) {
        *at(&mut at(&mut self.by_tenant, tenant).changed, operator) += count;
    }

    pub(super) fn join(&mut self, other: Self) {
        self.documents += other.documents;
        self.entities += other.entities;
        self.letters.extend(other.letters);
        for (tenant, other) in other.by_tenant {
            let own = at(&mut self.by_tenant, &tenant);
            own.documents += other.documents;
            own.bytes += other.bytes;
            for (label, recognizers) in &other.found {
                for (recognizer, count) in recognizers {
                    own.found(label, recognizer, *count);
                }
            }
            for (operator, count) in &other.changed {
                *at(&mut own.changed, operator) += count;
            }
        }
    }

    fn emit(&self) {
        for (name, own) in &self.by_tenant {
            own.emit(name);
        }
    }
}

impl OfTenant {
    fn emit(&self, name: &str) {
        let tenant = label("tenant", name);
        counter!(metric::DOCUMENTS_TOTAL, "tenant" => tenant.clone(), "outcome" => "delivered")
            .increment(self.documents);
        counter!(metric::DOCUMENT_BYTES_TOTAL, "tenant" => tenant.clone(), "outcome" => "delivered")
            .increment(self.bytes);
        for (label, recognizers) in &self.found {
            for (recognizer, count) in recognizers {
                let (tenant, label, recognizer) = metric::entity_labels(name, label, recognizer);
                counter!(
                    metric::ENTITIES_TOTAL,
                    "tenant" => tenant, "label" => label, "recognizer" => recognizer
                )
                .increment(*count);
            }
        }
        for (operator, count) in &self.changed {
            counter!(
                metric::REDACTIONS_TOTAL,
                "tenant" => tenant.clone(),
                "operator" => label("operator", operator)
            )
            .increment(*count);
        }
    }
}

/// A record did not go downstream.
struct DocumentDeadLettered<'a> {
    letter: &'a DeadLetter,
}

impl Event for DocumentDeadLettered<'_> {
    fn emit(self) {
        let DeadLetter {
            source,
            stage,
            code,
            tenant,
            ..
        } = self.letter;
        // Who it belongs to may be what is not known.
        let tenant = tenant
            .as_deref()
            .map_or_else(|| "".into(), |tenant| label("tenant", tenant));
        counter!(metric::DOCUMENTS_TOTAL, "tenant" => tenant, "outcome" => "dead_lettered")
            .increment(1);
        warn!(at = %source, %stage, %code, "record dead-lettered");
        counter!(metric::DEAD_LETTERS_TOTAL, "stage" => stage.as_str(), "code" => code.as_str())
            .increment(1);
    }
}
