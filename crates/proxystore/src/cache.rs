//! Decoded objects at hand: least recently used out first, bounded by count and by bytes.

use crate::fork::ForkMutex;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;

/// A cache that many threads share. Every operation is O(1). The lock is held for bookkeeping
/// only: what is let go is dropped after it is released, so that a value's destructor may use the
/// cache again. `V` should be cheap to clone (an [`Arc`](std::sync::Arc)).
///
/// A forked child keeps the values.
///
/// ```
/// use proxystore::cache::Cache;
///
/// let cache = Cache::new(2, 1000);
/// cache.insert("a", 1, 10);
/// cache.insert("b", 2, 10);
/// cache.get("a");
/// cache.insert("c", 3, 10); // "b" was used least recently
/// assert_eq!((cache.get("a"), cache.get("b"), cache.get("c")), (Some(1), None, Some(3)));
/// cache.insert("huge", 4, 1001); // would not fit, is not kept
/// assert_eq!(cache.len(), 2);
/// ```
pub struct Cache<K: 'static, V: 'static> {
    max_entries: usize,
    max_weight: u64,
    entries: ForkMutex<Entries<K, V>>,
}

impl<K: Clone + Eq + Hash + 'static, V: Clone + 'static> Cache<K, V> {
    /// An empty cache of at most `max_entries` entries that together weigh at most `max_weight`
    /// (bytes, say). If either is 0, nothing is ever kept.
    #[must_use]
    pub fn new(max_entries: usize, max_weight: u64) -> Self {
        Self {
            max_entries,
            max_weight,
            entries: ForkMutex::default(),
        }
    }

    /// Most entries that are kept.
    #[must_use]
    pub fn max_entries(&self) -> usize {
        self.max_entries
    }

    /// Most weight that is kept.
    #[must_use]
    pub fn max_weight(&self) -> u64 {
        self.max_weight
    }

    /// The value of a key, which becomes the most recently used.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if self.max_entries == 0 {
            return None;
        }
        let mut entries = self.entries.lock();
        let &at = entries.index.get(key)?;
        entries.unlink(at);
        entries.link_first(at);
        Some(entries.nodes[at].entry.as_ref()?.value.clone())
    }

    /// Whether a key is there; its age stays as it is.
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.max_entries > 0 && self.entries.lock().index.contains_key(key)
    }

    /// Keeps a value as the most recently used, in place of an earlier one of that key, and lets
    /// go of the least recently used ones until the bounds hold. Returns whether it was kept:
    /// a value that alone weighs more than the cache may is not, and the earlier one goes.
    pub fn insert(&self, key: K, value: V, weight: u64) -> bool {
        if self.max_entries == 0 || self.max_weight == 0 || weight > self.max_weight {
            self.remove(&key);
            return false;
        }
        let mut gone = Vec::new();
        let mut entries = self.entries.lock();
        gone.extend(entries.take(&key));
        while entries.index.len() >= self.max_entries
            || entries.weight.saturating_add(weight) > self.max_weight
        {
            gone.extend(entries.take_last());
        }
        entries.add(key, value, weight);
        drop(entries);
        drop(gone);
        true
    }

    /// Takes a value out.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let taken = self.entries.lock().take(key);
        taken.map(|entry| entry.value)
    }

    /// Lets go of everything.
    pub fn clear(&self) {
        let gone = std::mem::take(&mut *self.entries.lock());
        drop(gone);
    }

    /// Entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.lock().index.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Weight of all entries together.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.entries.lock().weight
    }

    /// Shows every value to `visit`, unless a thread is at work on the cache: for a garbage
    /// collector, which must not wait. Stops at the first error. `visit` must not use the cache.
    ///
    /// # Errors
    /// What `visit` returned.
    pub fn try_for_each<E>(&self, mut visit: impl FnMut(&V) -> Result<(), E>) -> Result<(), E> {
        let Some(entries) = self.entries.try_lock() else {
            return Ok(());
        };
        entries
            .nodes
            .iter()
            .filter_map(|node| node.entry.as_ref())
            .try_for_each(|entry| visit(&entry.value))
    }
}

impl<K: 'static, V: 'static> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("max_entries", &self.max_entries)
            .field("max_weight", &self.max_weight)
            .finish_non_exhaustive()
    }
}

/// No node.
const NONE: usize = usize::MAX;

/// A hash index into nodes that are linked from the most to the least recently used.
struct Entries<K, V> {
    index: HashMap<K, usize>,
    nodes: Vec<Node<K, V>>,
    free: Vec<usize>,
    first: usize,
    last: usize,
    weight: u64,
}

struct Node<K, V> {
    newer: usize,
    older: usize,
    /// `None` in a free node.
    entry: Option<Entry<K, V>>,
}

struct Entry<K, V> {
    key: K,
    value: V,
    weight: u64,
}

impl<K, V> Default for Entries<K, V> {
    fn default() -> Self {
        Self {
            index: HashMap::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            first: NONE,
            last: NONE,
            weight: 0,
        }
    }
}

impl<K: Clone + Eq + Hash, V> Entries<K, V> {
    fn add(&mut self, key: K, value: V, weight: u64) {
        self.weight += weight;
        let node = Node {
            newer: NONE,
            older: NONE,
            entry: Some(Entry {
                key: key.clone(),
                value,
                weight,
            }),
        };
        let at = if let Some(at) = self.free.pop() {
            self.nodes[at] = node;
            at
        } else {
            self.nodes.push(node);
            self.nodes.len() - 1
        };
        self.index.insert(key, at);
        self.link_first(at);
    }

    fn take<Q>(&mut self, key: &Q) -> Option<Entry<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let at = self.index.remove(key)?;
        self.unlink(at);
        self.free.push(at);
        let entry = self.nodes[at].entry.take()?;
        self.weight -= entry.weight;
        Some(entry)
    }

    fn take_last(&mut self) -> Option<Entry<K, V>> {
        let key = self.nodes.get(self.last)?.entry.as_ref()?.key.clone();
        self.take(&key)
    }

    fn link_first(&mut self, at: usize) {
        self.nodes[at].newer = NONE;
        self.nodes[at].older = self.first;
        match self.first {
            NONE => self.last = at,
            first => self.nodes[first].newer = at,
        }
        self.first = at;
    }

    fn unlink(&mut self, at: usize) {
        let (newer, older) = (self.nodes[at].newer, self.nodes[at].older);
        match newer {
            NONE => self.first = older,
            newer => self.nodes[newer].older = older,
        }
        match older {
            NONE => self.last = newer,
            older => self.nodes[older].newer = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::new(3, u64::MAX);
        for number in 0..3 {
            cache.insert(number, number, 1);
        }
        assert_eq!(cache.get(&0), Some(0));
        cache.insert(3, 3, 1);
        cache.insert(4, 4, 1);
        let kept: Vec<_> = (0..5).filter(|number| cache.contains(number)).collect();
        assert_eq!(kept, [0, 3, 4]);
    }

    #[test]
    fn weight_bounds_it_too() {
        let cache = Cache::new(100, 10);
        for number in 0..20 {
            assert!(cache.insert(number, (), 3));
            assert!(cache.weight() <= 10);
        }
        assert_eq!(cache.len(), 3);
        assert!(!cache.insert(19, (), 11), "heavier than the cache");
        assert!(!cache.contains(&19), "the earlier value is outdated");
        assert!(cache.insert(50, (), 10));
        assert_eq!((cache.len(), cache.weight()), (1, 10));
    }

    #[test]
    fn a_cache_of_nothing_keeps_nothing() {
        for cache in [Cache::new(0, 100), Cache::new(100, 0)] {
            assert!(!cache.insert(1, 1, 1));
            assert_eq!(cache.get(&1), None);
            assert!(cache.is_empty());
        }
    }

    #[test]
    fn a_new_value_replaces_the_old_with_its_weight() {
        let cache = Cache::new(2, 100);
        cache.insert("a".to_owned(), 1, 60);
        cache.insert("a".to_owned(), 2, 70);
        assert_eq!((cache.get("a"), cache.weight()), (Some(2), 70));
        assert_eq!(cache.remove("a"), Some(2));
        assert_eq!((cache.remove("a"), cache.weight()), (None, 0));
    }

    /// Against a list searched from end to end.
    #[test]
    fn agrees_with_a_simple_model() {
        let cache = Cache::new(5, 40);
        let mut model: Vec<(u64, u64, u64)> = Vec::new(); // key, value, weight; newest last
        let mut state = 1_u64;
        for step in 0..20_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let (key, weight) = (state % 11, state / 11 % 45);
            let place = model.iter().position(|entry| entry.0 == key);
            match state / 1000 % 4 {
                0 | 1 => {
                    place.map(|at| model.remove(at));
                    if weight <= 40 {
                        model.push((key, step, weight));
                        while model.len() > 5 || model.iter().map(|e| e.2).sum::<u64>() > 40 {
                            model.remove(0);
                        }
                    }
                    cache.insert(key, step, weight);
                }
                2 => {
                    let found = place.map(|at| {
                        let entry = model.remove(at);
                        model.push(entry);
                        entry.1
                    });
                    assert_eq!(cache.get(&key), found);
                }
                _ => {
                    let removed = place.map(|at| model.remove(at).1);
                    assert_eq!(cache.remove(&key), removed);
                }
            }
            assert_eq!(cache.len(), model.len());
            assert_eq!(cache.weight(), model.iter().map(|e| e.2).sum::<u64>());
        }
    }

    /// Uses the cache while it is dropped, as a Python object's destructor may.
    #[derive(Clone)]
    struct Meddler(Arc<dyn Fn() + Send + Sync>);

    impl Drop for Meddler {
        fn drop(&mut self) {
            (self.0)();
        }
    }

    #[test]
    fn a_destructor_may_use_the_cache() {
        let cache: Arc<Cache<u32, Meddler>> = Arc::new(Cache::new(1, 100));
        let calls = Arc::new(AtomicUsize::new(0));
        let meddle = {
            let (cache, calls) = (Arc::downgrade(&cache), Arc::clone(&calls));
            move || {
                calls.fetch_add(1, Ordering::Relaxed);
                if let Some(cache) = cache.upgrade() {
                    let _ = cache.len();
                }
            }
        };
        let value = Meddler(Arc::new(meddle));
        cache.insert(1, value.clone(), 1);
        cache.insert(1, value.clone(), 1);
        cache.insert(2, value.clone(), 1);
        cache.remove(&2);
        cache.insert(3, value, 1);
        cache.clear();
        assert!(calls.load(Ordering::Relaxed) >= 4);
    }

    #[test]
    fn threads_keep_the_bounds() {
        let cache = Cache::new(8, 100);
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let cache = &cache;
                scope.spawn(move || {
                    for number in 0..5000_u64 {
                        cache.insert(number % 20, number, 7 + thread);
                        cache.get(&(number % 13));
                        cache.remove(&(number % 17));
                        assert!(cache.len() <= 8 && cache.weight() <= 100);
                    }
                });
            }
        });
    }

    #[test]
    fn a_forked_child_keeps_its_values() {
        let cache = Cache::new(8, 100);
        cache.insert(1, 10, 1);
        assert!(crate::fork::in_child(|| cache.get(&1) == Some(10)
            && cache.insert(2, 20, 1)
            && cache.len() == 2));
        assert_eq!(cache.len(), 1);
    }
}
