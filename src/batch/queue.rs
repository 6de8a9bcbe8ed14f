//! What waits for the model: a line for each tenant, and a pool sorted by length in front of them.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

/// Something that waits.
pub(super) struct Waiting<T> {
    pub(super) tokens: usize,
    pub(super) since: Instant,
    pub(super) what: T,
}

pub(super) struct Queue<T> {
    lines: HashMap<Arc<str>, Line<T>>,
    /// Tenants with a line, the one served least first.
    turns: BinaryHeap<Reverse<(u64, Arc<str>)>>,
    /// Service that the tenant admitted last had received before: newcomers start here, so that
    /// having been idle is no credit (start-time fair queueing, Goyal et al. 1996).
    clock: u64,
    /// The look-ahead, by length and arrival.
    pool: BTreeMap<(usize, u64), Waiting<T>>,
    /// Lengths in the pool by arrival.
    arrivals: BTreeMap<u64, usize>,
    next_arrival: u64,
    pool_tokens: usize,
    look_ahead: usize,
    /// Whether a batch is filled up to its longest.
    padded: bool,
}

struct Line<T> {
    waiting: VecDeque<Waiting<T>>,
    /// Tokens served, on the common clock.
    served: u64,
}

impl<T> Queue<T> {
    pub(super) fn new(look_ahead: usize, padded: bool) -> Self {
        Self {
            lines: HashMap::new(),
            turns: BinaryHeap::new(),
            clock: 0,
            pool: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            next_arrival: 0,
            pool_tokens: 0,
            look_ahead: look_ahead.max(1),
            padded,
        }
    }

    pub(super) fn push(&mut self, tenant: &Arc<str>, waiting: Waiting<T>) {
        if let Some(line) = self.lines.get_mut(tenant) {
            line.waiting.push_back(waiting);
        } else {
            let line = Line {
                waiting: VecDeque::from([waiting]),
                served: self.clock,
            };
            self.turns.push(Reverse((line.served, tenant.clone())));
            self.lines.insert(tenant.clone(), line);
        }
        self.admit();
    }

    /// Fills the pool, each time from the tenant that was served least.
    fn admit(&mut self) {
        while self.pool.len() < self.look_ahead {
            let Some(Reverse((served, tenant))) = self.turns.pop() else {
                return;
            };
            self.clock = served;
            let line = self
                .lines
                .get_mut(&tenant)
                .expect("a tenant with a turn has a line");
            let waiting = line
                .waiting
                .pop_front()
                .expect("a line is dropped when it is empty");
            line.served = served + waiting.tokens as u64 + 1;
            if line.waiting.is_empty() {
                self.lines.remove(&tenant);
            } else {
                self.turns.push(Reverse((line.served, tenant)));
            }
            self.pool_tokens += waiting.tokens;
            self.arrivals.insert(self.next_arrival, waiting.tokens);
            self.pool
                .insert((waiting.tokens, self.next_arrival), waiting);
            self.next_arrival += 1;
        }
    }

    /// Tokens in the pool, without padding.
    pub(super) fn tokens(&self) -> usize {
        self.pool_tokens
    }

    /// When the one that waits longest in the pool came.
    pub(super) fn oldest(&self) -> Option<Instant> {
        let (arrival, tokens) = self.arrivals.first_key_value()?;
        Some(self.pool[&(*tokens, *arrival)].since)
    }

    /// Cuts a batch of at most `max_tokens`, and of one item at least.
    pub(super) fn cut(&mut self, max_tokens: usize) -> Vec<Waiting<T>> {
        let chosen = match self.padded {
            true => self.nearest(max_tokens),
            false => self.in_order(max_tokens),
        };
        let batch = chosen
            .into_iter()
            .map(|key| {
                self.arrivals.remove(&key.1);
                self.pool_tokens -= key.0;
                self.pool.remove(&key).expect("chosen from the pool")
            })
            .collect();
        self.admit();
        batch
    }

    /// Where nothing is filled up lengths do not matter: those that wait longest.
    fn in_order(&self, max_tokens: usize) -> Vec<(usize, u64)> {
        let mut total = 0;
        let mut chosen = Vec::new();
        for (&arrival, &tokens) in &self.arrivals {
            if total + tokens > max_tokens && !chosen.is_empty() {
                continue; // a shorter one may still fit
            }
            total += tokens;
            chosen.push((tokens, arrival));
        }
        chosen
    }

    /// The one that waits longest, and those nearest to it in length, while the padded size stays
    /// within `max_tokens`.
    fn nearest(&self, max_tokens: usize) -> Vec<(usize, u64)> {
        let Some((&arrival, &tokens)) = self.arrivals.first_key_value() else {
            return Vec::new();
        };
        let mut chosen = vec![(tokens, arrival)];
        let (mut shortest, mut longest) = (tokens, tokens);
        let mut below = self
            .pool
            .range(..(tokens, arrival))
            .rev()
            .map(|(key, _)| *key)
            .peekable();
        let mut above = self
            .pool
            .range((tokens, arrival + 1)..)
            .map(|(key, _)| *key)
            .peekable();
        loop {
            let nearest_is_below = match (below.peek(), above.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((down, _)), Some((up, _))) => shortest - down < up - longest,
            };
            let widest = if nearest_is_below {
                longest
            } else {
                above.peek().map_or(longest, |(up, _)| *up)
            };
            if (chosen.len() + 1) * widest > max_tokens {
                // Longer ones no longer fit: shorter ones still may.
                if nearest_is_below || (chosen.len() + 1) * longest > max_tokens {
                    break;
                }
                let Some(key) = below.next() else { break };
                shortest = key.0;
                chosen.push(key);
                continue;
            }
            let key = if nearest_is_below {
                below.next()
            } else {
                above.next()
            }
            .expect("peeked");
            shortest = shortest.min(key.0);
            longest = longest.max(key.0);
            chosen.push(key);
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn push(queue: &mut Queue<usize>, tenant: &str, tokens: usize, what: usize) {
        queue.push(
            &tenant.into(),
            Waiting {
                tokens,
                since: Instant::now(),
                what,
            },
        );
    }

    proptest! {
        #[test]
        fn everything_comes_out_once_within_the_budget(
            items in prop::collection::vec((0usize..4, 1usize..100), 0..200), look_ahead in 1usize..64, budget in 50usize..400,
            padded: bool,
        ) {
            let mut queue = Queue::new(look_ahead, padded);
            for (at, (tenant, tokens)) in items.iter().enumerate() {
                push(&mut queue, &tenant.to_string(), *tokens, at);
            }
            let mut seen = vec![false; items.len()];
            loop {
                let batch = queue.cut(budget);
                if batch.is_empty() { break }
                let widest = batch.iter().map(|w| w.tokens).max().unwrap();
                let size = if padded { batch.len() * widest } else { batch.iter().map(|w| w.tokens).sum() };
                prop_assert!(batch.len() == 1 || size <= budget);
                for waiting in batch {
                    prop_assert!(!std::mem::replace(&mut seen[waiting.what], true));
                }
            }
            prop_assert!(seen.iter().all(|seen| *seen));
            prop_assert_eq!(queue.tokens(), 0);
        }

        #[test]
        fn a_batch_holds_the_one_that_waits_longest(items in prop::collection::vec(1usize..100, 1..100), padded: bool) {
            let mut queue = Queue::new(1000, padded);
            for (at, tokens) in items.iter().enumerate() {
                push(&mut queue, "t", *tokens, at);
            }
            let mut left: std::collections::BTreeSet<usize> = (0..items.len()).collect();
            while let Some(oldest) = left.first().copied() {
                let batch = queue.cut(300);
                prop_assert!(batch.iter().any(|waiting| waiting.what == oldest));
                for waiting in batch { left.remove(&waiting.what); }
            }
        }
    }

    #[test]
    fn a_small_tenant_does_not_wait_for_a_large_ones_backlog() {
        let mut queue = Queue::new(8, true);
        for at in 0..1000 {
            push(&mut queue, "large", 50, at);
        }
        push(&mut queue, "small", 50, 1000);
        let mut before = 0;
        loop {
            let batch = queue.cut(400);
            if batch.iter().any(|waiting| waiting.what == 1000) {
                break;
            }
            before += batch.len();
        }
        assert!(before <= 16, "{before} of the large tenant went first");
    }

    #[test]
    fn sorting_by_length_leaves_little_padding() {
        let mut queue = Queue::new(512, true);
        let mut lengths = Vec::new();
        for at in 0..2000 {
            let tokens = 8 + (at * 7919) % 120;
            lengths.push(tokens);
            push(&mut queue, "t", tokens, at);
        }
        let (mut padded, mut real) = (0, 0);
        loop {
            let batch = queue.cut(1024);
            if batch.is_empty() {
                break;
            }
            padded += batch.len() * batch.iter().map(|w| w.tokens).max().unwrap();
            real += batch.iter().map(|w| w.tokens).sum::<usize>();
        }
        assert_eq!(real, lengths.iter().sum::<usize>());
        let waste = 1.0 - real as f64 / padded as f64;
        assert!(waste < 0.05, "{waste} of the batches is padding");
    }
}
