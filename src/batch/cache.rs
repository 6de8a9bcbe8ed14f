use std::{hash::Hash, sync::Arc};

use hashlink::LruCache;

/// Results by key, within a bound of bytes; the least recently used ones go first.
pub(super) struct Cache<K, R> {
    results: LruCache<K, (Arc<R>, usize)>,
    bytes: usize,
    limit: usize,
}

/// What an entry costs beside its result: key, links and table.
const ENTRY_BYTES: usize = 96;

impl<K: Hash + Eq, R> Cache<K, R> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            results: LruCache::new_unbounded(),
            bytes: 0,
            limit,
        }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<Arc<R>> {
        self.results.get(key).map(|(result, _)| result.clone())
    }

    pub(super) fn put(&mut self, key: K, result: Arc<R>, bytes: usize) {
        let bytes = bytes + ENTRY_BYTES;
        if bytes > self.limit {
            return;
        }
        self.bytes += bytes;
        if let Some((_, replaced)) = self.results.insert(key, (result, bytes)) {
            self.bytes -= replaced;
        }
        while self.bytes > self.limit {
            let Some((_, (_, oldest))) = self.results.remove_lru() else {
                return;
            };
            self.bytes -= oldest;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_holds_more_than_its_bound(puts in prop::collection::vec((0u8..20, 0usize..400), 0..200), limit in 0usize..2000) {
            let mut cache = Cache::new(limit);
            for (key, bytes) in puts {
                cache.put(key, Arc::new(bytes), bytes);
                let held: usize = cache.results.iter().map(|(_, (_, bytes))| bytes).sum();
                prop_assert_eq!(held, cache.bytes);
                prop_assert!(held <= limit);
                if bytes + ENTRY_BYTES <= limit {
                    prop_assert_eq!(cache.get(&key).map(|r| *r), Some(bytes));
                }
            }
        }
    }
}
