//! Records between source and publisher, in the order in which they were read.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Instant, SystemTime},
};

use tokio::runtime::Handle;

use super::{Error, process::Process, ready::Ready};
use crate::{
    kafka::{Envelope, Partition},
    pipeline::{Working, document},
    record::{
        Code, DeadLetter, PlainText,
        audit::{DigestKey, Finding},
    },
    sink::kafka::Delivery,
    source::kafka::Record,
    telemetry::trace,
};

/// Records that are processed, and after them those that are done.
pub(super) struct Gathering {
    /// Under way.
    queue: VecDeque<Gathered>,
    /// Bytes that `queue` takes, by the estimates of its records.
    estimate: u64,
    /// Done, and read before everything in `queue`.
    pub(super) ready: Ready,
    /// Since when the first of `ready` waits to be published.
    pub(super) since: Instant,
    /// Records processed up to now.
    settled: u64,
    /// Of the slot.
    group: Arc<str>,
}

struct Gathered {
    envelope: Envelope,
    state: State,
    trace: trace::Record,
    /// Bytes that it takes, as estimated before it was processed.
    estimate: u64,
}

enum State {
    Working(Box<Working>),
    Rejected(DeadLetter),
}

impl Gathering {
    pub(super) fn new(group: &str) -> Self {
        Self {
            group: group.into(),
            queue: VecDeque::new(),
            ready: Ready::default(),
            estimate: 0,
            since: Instant::now(),
            settled: 0,
        }
    }

    /// Begins to process a record. Returns the bytes that it takes, as estimated.
    pub(super) fn take(&mut self, record: Record, process: &dyn Process, form: PlainText) -> u64 {
        let mut envelope = record.envelope;
        let mut trace = traced(&envelope, &self.group);
        // What is made of the record belongs to this span, as the record belongs to its producer's.
        if let Some(header) = trace.header.take() {
            envelope.set_header("traceparent", header);
        }
        let entered = trace.span.enter();
        let state = record.document.and_then(|document| {
            let working = process.start(document, form)?;
            Ok(State::Working(Box::new(working)))
        });
        drop(entered);
        let mut gathered = Gathered {
            envelope,
            state: state.unwrap_or_else(State::Rejected),
            trace,
            estimate: 0,
        };
        let estimate = gathered.held();
        gathered.estimate = estimate;
        self.estimate += estimate;
        self.queue.push_back(gathered);
        estimate
    }

    /// Moves what is done, in the order in which it was read.
    ///
    /// # Errors
    /// The model's threads have ended.
    pub(super) fn settle(
        &mut self,
        process: &dyn Process,
        audited: Option<&DigestKey>,
        runtime: &Handle,
    ) -> Result<(), Error> {
        #[cfg(test)]
        self.overtake();
        while self.queue.front().is_some_and(Gathered::ended) {
            let first = self.queue.pop_front().expect("checked above");
            self.estimate -= first.estimate;
            let delivery = runtime.block_on(first.delivery(process, audited));
            if let Err(letter) = &delivery.outcome
                && letter.code == Code::ModelFailed
                && process.has_stopped()
            {
                return Err(process.why_stopped().map_or(Error::Engine, Error::Model));
            }
            if self.ready.is_empty() {
                self.since = Instant::now();
            }
            self.settled += 1;
            self.ready.push(delivery);
        }
        Ok(())
    }

    /// A bug on purpose: what is done goes before what is not.
    #[cfg(test)]
    fn overtake(&mut self) {
        if super::planted::has(super::planted::Bug::Overtakes) {
            let queue = self.queue.make_contiguous();
            queue.sort_by_key(|own| !own.ended());
        }
    }

    /// Drops what was read of some partitions and is not with the publisher.
    pub(super) fn drop_partitions(&mut self, of: &[Partition]) {
        self.ready.drop_partitions(of);
        self.queue
            .retain(|gathered| !of.contains(&gathered.envelope.partition));
        self.estimate = self.queue.iter().map(|own| own.estimate).sum();
    }

    /// Drops what is not processed; how many records.
    pub(super) fn leave_undone(&mut self) -> usize {
        let count = self.queue.len();
        self.queue.clear();
        self.estimate = 0;
        count
    }

    /// A set comes back and is tried again, in front of what was read after it.
    pub(super) fn put_back(&mut self, set: Vec<Delivery>, since: Instant) {
        self.ready.put_back(set);
        self.since = since;
    }

    /// When the first record of each partition that is here was written.
    pub(super) fn oldest(&self) -> BTreeMap<Partition, SystemTime> {
        let done = self.ready.iter().map(|delivery| &delivery.envelope);
        let waiting = self.queue.iter().map(|gathered| &gathered.envelope);
        let mut oldest = BTreeMap::new();
        for envelope in done.chain(waiting) {
            if let Some(written) = envelope.written {
                oldest.entry(envelope.partition.clone()).or_insert(written);
            }
        }
        oldest
    }

    /// Bytes of it, where `most` may be gathered. As long as that is far away, the estimates will do: to ask each task
    /// what it made costs three cache misses per record and turn.
    pub(super) fn held(&self, most: u64) -> u64 {
        let done = self.ready.held();
        if self.estimate + done < most / 2 {
            return self.estimate + done;
        }
        let waiting: u64 = self.queue.iter().map(Gathered::held).sum();
        waiting + done
    }

    /// Records that are processed.
    pub(super) fn under_way(&self) -> usize {
        self.queue.len()
    }

    /// Records in it.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.ready.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records processed since the slot began.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }
}

fn traced(envelope: &Envelope, group: &str) -> trace::Record {
    let (topic, partition) = &envelope.partition;
    let place = trace::Place {
        topic,
        partition: *partition,
        offset: envelope.offset,
        group,
    };
    let parent = envelope.header("traceparent");
    let headers = parent.map(|parent| trace::Headers {
        parent,
        state: envelope.header("tracestate"),
    });
    trace::record(place, headers)
}

impl Gathered {
    fn ended(&self) -> bool {
        match &self.state {
            State::Working(working) => working.ended(),
            State::Rejected(_) => true,
        }
    }

    /// Bytes that it takes in memory.
    fn held(&self) -> u64 {
        match &self.state {
            State::Working(working) => working.held().max(self.envelope.bytes),
            State::Rejected(_) => self.envelope.bytes,
        }
    }

    async fn delivery(self, process: &dyn Process, audited: Option<&DigestKey>) -> Delivery {
        let held = self.held();
        let (outcome, policy) = match self.state {
            State::Working(working) => {
                let policy = working.policy();
                (working.done().await.map(|(done, ..)| done), Some(policy))
            }
            State::Rejected(letter) => (Err(letter), None),
        };
        let (mut findings, mut digests, mut keys) = (Vec::new(), None, Vec::new());
        if let Some(key) = audited
            && let Some(policy) = policy.or_else(|| process.policy_of(outcome.as_ref().err()?))
        {
            digests = Some(Box::new(process.digests(&policy)));
            keys = document::keys(&policy);
            if let Ok(done) = &outcome {
                let (entities, changes) = (&done.entities.entities, &done.changes);
                findings = document::findings(entities, changes, &policy, key);
            }
        }
        let of_findings: usize = findings.iter().map(Finding::held).sum();
        let error = outcome.as_ref().err().map(|letter| letter.code.as_str());
        self.trace.span.end(error);
        Delivery {
            link: self.trace.link,
            held: held + of_findings as u64,
            envelope: self.envelope,
            findings,
            digests,
            keys,
            outcome: outcome.map_err(Box::new),
            audit: None,
        }
    }
}
