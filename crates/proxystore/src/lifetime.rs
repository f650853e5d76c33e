//! Objects that end together.

use crate::codec::Encode;
use crate::{Key, Proxy, Result, Store};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A scope for objects: when it is closed or dropped, all that were put within it are evicted.
///
/// ```
/// use proxystore::{Lifetime, Store};
///
/// let store = Store::in_memory("scoped");
/// let lifetime = Lifetime::new();
/// let key = store.put_within(&lifetime, "hello")?;
/// let proxy = store.proxy_within(&lifetime, &"hello".to_owned())?;
/// lifetime.close()?;
/// assert!(!store.exists(&key)? && !store.exists(proxy.key())?);
/// # Ok::<(), proxystore::Error>(())
/// ```
///
/// A lease is a lifetime that ends by itself at a time, unless it is [extended](Self::extend):
///
/// ```
/// use proxystore::Lifetime;
/// use std::time::Duration;
///
/// let lease = Lifetime::lease(Duration::from_secs(60));
/// assert!(lease.extend(Duration::from_secs(60)));
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct Lifetime {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    objects: Vec<(Store, Vec<Key>)>,
    ended: bool,
    deadline: Option<Instant>,
}

impl Store {
    /// Puts a value that is evicted when a lifetime ends.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub fn put_within<T: Encode + ?Sized>(&self, lifetime: &Lifetime, value: &T) -> Result<Key> {
        let key = match lifetime
            .left()
            .filter(|_| self.connector().capability().expiry)
        {
            Some(lease) => self.put_leased(value, lease)?,
            None => self.put(value)?,
        };
        lifetime.add_known(self, key.clone())?;
        Ok(key)
    }

    /// Puts a value that is evicted when a lifetime ends, and returns a proxy of it.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub fn proxy_within<T: Encode>(&self, lifetime: &Lifetime, value: &T) -> Result<Proxy<T>> {
        Ok(Proxy::of_key(self, self.put_within(lifetime, value)?))
    }
}

impl Lifetime {
    /// A lifetime that ends when it is closed or dropped.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: Arc::default(),
        }
    }

    /// A lifetime that also ends by itself after a time, in a thread of its own. Where the
    /// connector keeps leases ([`Capability::expiry`](crate::Capability::expiry)), the objects go
    /// then even if the process has ended before.
    #[must_use]
    pub fn lease(time: Duration) -> Self {
        let lease = Self::new();
        lease.shared.lock().deadline = Some(Instant::now() + time);
        let shared = Arc::clone(&lease.shared);
        // Without a thread the lease ends when it is dropped, or at the next use after its time.
        let _ = std::thread::Builder::new()
            .name("proxystore-lease".to_owned())
            .spawn(move || shared.expire());
        lease
    }

    /// Moves the end of a lease to a time from its present end. Returns false if it has ended, or
    /// is no lease.
    #[must_use = "a lease that has ended stays ended"]
    pub fn extend(&self, time: Duration) -> bool {
        let mut state = self.shared.lock();
        match state.deadline {
            Some(deadline) if !state.ended => {
                state.deadline = Some(deadline + time);
                self.shared.changed.notify_all();
                let left = (deadline + time).saturating_duration_since(Instant::now());
                let objects = state.objects.clone();
                drop(state);
                for (store, keys) in objects {
                    if store.connector().capability().expiry {
                        // What is not reached goes when its present lease ends.
                        let _ = store.connector().touch(&keys, left);
                    }
                }
                true
            }
            _ => false,
        }
    }

    /// Adds an object, which must not have another owner. If the lifetime has ended, the object is
    /// evicted at once.
    ///
    /// # Errors
    /// What evicting may give.
    pub fn add(&self, store: &Store, key: Key) -> Result<()> {
        if let Some(left) = self.left()
            && store.connector().capability().expiry
        {
            store.connector().touch(std::slice::from_ref(&key), left)?;
        }
        self.add_known(store, key)
    }

    /// What is left of a lease.
    fn left(&self) -> Option<Duration> {
        let deadline = self.shared.lock().deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    fn add_known(&self, store: &Store, key: Key) -> Result<()> {
        let mut state = self.shared.lock();
        if state.is_over() {
            drop(state);
            return store.evict(&key);
        }
        let same = |other: &&mut (Store, Vec<Key>)| other.0.is_same(store);
        match state.objects.iter_mut().find(same) {
            Some((_, keys)) => keys.push(key),
            None => state.objects.push((store.clone(), vec![key])),
        }
        Ok(())
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.lock().is_over()
    }

    /// Ends it: evicts every object. Unlike dropping, tells of a failure.
    ///
    /// # Errors
    /// The first failure; every store is tried.
    pub fn close(self) -> Result<()> {
        self.shared.end()
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.ended
            || self
                .deadline
                .is_some_and(|deadline| deadline <= Instant::now())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) -> Result<()> {
        let mut state = self.lock();
        state.ended = true;
        let objects = std::mem::take(&mut state.objects);
        drop(state);
        self.changed.notify_all();
        let mut result = Ok(());
        for (store, keys) in objects {
            result = result.and(store.evict_batch(&keys));
        }
        result
    }

    /// Sleeps until the end of a lease.
    fn expire(&self) {
        let mut state = self.lock();
        loop {
            let Some(deadline) = state.deadline.filter(|_| !state.ended) else {
                return;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        // Nobody is there to be told.
        let _ = self.end();
    }
}

impl Default for Lifetime {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lifetime {
    fn drop(&mut self) {
        // Nobody is there to be told; `close` tells.
        let _ = self.shared.end();
    }
}

impl fmt::Debug for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        let count: usize = state.objects.iter().map(|(_, keys)| keys.len()).sum();
        f.debug_struct("Lifetime")
            .field("objects", &count)
            .field("is_over", &state.is_over())
            .finish()
    }
}
