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
    /// Documents and bytes by tenant.
    pub(super) by_tenant: BTreeMap<String, (u64, u64)>,
    /// Entities by tenant, label and recogniser.
    pub(super) found: BTreeMap<(String, String, String), u64>,
    /// Changes by tenant and operator.
    pub(super) changed: BTreeMap<(String, String), u64>,
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
        self.documents += 1;
        let tenant = &done.entities.tenant;
        let (documents, size) = self.by_tenant.entry(tenant.clone()).or_default();
        *documents += 1;
        *size += bytes;
        for entity in &done.entities.entities {
            self.entity(tenant, &entity.label, &entity.recognizer);
        }
        for (operator, count) in &done.operators {
            self.change(tenant, operator, *count);
        }
    }

    pub(super) fn entity(&mut self, tenant: &str, label: &str, recognizer: &str) {
        self.entities += 1;
        let key = (tenant.to_owned(), label.to_owned(), recognizer.to_owned());
        *self.found.entry(key).or_default() += 1;
    }

    pub(super) fn change(&mut self, tenant: &str, operator: &str, count: u64) {
        *self
            .changed
            .entry((tenant.to_owned(), operator.to_owned()))
            .or_default() += count;
    }

    pub(super) fn join(&mut self, other: Self) {
        self.documents += other.documents;
        self.entities += other.entities;
        self.letters.extend(other.letters);
        for (tenant, (documents, bytes)) in other.by_tenant {
            let sum = self.by_tenant.entry(tenant).or_default();
            *sum = (sum.0 + documents, sum.1 + bytes);
        }
        for (key, count) in other.found {
            *self.found.entry(key).or_default() += count;
        }
        for (key, count) in other.changed {
            *self.changed.entry(key).or_default() += count;
        }
    }

    fn emit(&self) {
        for (tenant, (documents, bytes)) in &self.by_tenant {
            let tenant = label("tenant", tenant);
            counter!(metric::DOCUMENTS_TOTAL, "tenant" => tenant.clone(), "outcome" => "delivered")
                .increment(*documents);
            counter!(metric::DOCUMENT_BYTES_TOTAL, "tenant" => tenant, "outcome" => "delivered")
                .increment(*bytes);
        }
        for ((tenant, name, recognizer), count) in &self.found {
            let (tenant, name, recognizer) = metric::entity_labels(tenant, name, recognizer);
            counter!(
                metric::ENTITIES_TOTAL,
                "tenant" => tenant, "label" => name, "recognizer" => recognizer
            )
            .increment(*count);
        }
        for ((tenant, operator), count) in &self.changed {
            counter!(
                metric::REDACTIONS_TOTAL,
                "tenant" => label("tenant", tenant),
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
