//! Values that are promised before they are there.

use crate::codec::{Decode, Encode};
use crate::{Error, ErrorKind, Key, Proxy, Reference, Result, Store};
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// One wait of those that have no limit.
const LONG: Duration = Duration::from_secs(3600);

/// A value that one process will [set](Self::set) and another [waits](Self::wait) for.
///
/// ```
/// use proxystore::{Store, StoreFuture};
/// use std::time::Duration;
///
/// let store = Store::in_memory("futures");
/// let future: StoreFuture<String> = store.future()?;
/// let producer = future.clone();
/// std::thread::spawn(move || producer.set(&"done".to_owned()));
/// assert_eq!(future.wait(Some(Duration::from_secs(10)))?, "done");
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct StoreFuture<T> {
    store: Store,
    key: Key,
    of: PhantomData<fn() -> T>,
}

impl Store {
    /// A value to come, under a key of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the connector cannot make keys beforehand.
    pub fn future<T>(&self) -> Result<StoreFuture<T>> {
        if !self.connector().capability().deferred_set {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this connector makes keys only with their objects, so it has no futures",
            )
            .with_connector(self.connector().kind()));
        }
        Ok(StoreFuture::of_key(self, self.connector().new_key()))
    }
}

impl<T> StoreFuture<T> {
    /// The future of a key that another process made.
    #[must_use]
    pub fn of_key(store: &Store, key: Key) -> Self {
        Self {
            store: store.clone(),
            key,
            of: PhantomData,
        }
    }

    /// The future of a reference that another process made.
    ///
    /// # Errors
    /// What opening its store may give.
    pub fn of_reference(reference: &Reference) -> Result<Self> {
        let store = Store::of_reference(reference)?;
        Ok(Self::of_key(&store, reference.key().clone()))
    }

    /// The value's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// What another process needs to set it, or to wait for it.
    ///
    /// # Errors
    /// As [`Store::reference`].
    pub fn reference(&self) -> Result<Reference> {
        self.store.reference(&self.key)
    }

    /// A proxy of the value, which must be there before the proxy is resolved.
    #[must_use]
    pub fn proxy(&self) -> Proxy<T> {
        Proxy::of_key(&self.store, self.key.clone())
    }

    /// Whether the value is there.
    ///
    /// # Errors
    /// What the connector may give.
    pub fn is_set(&self) -> Result<bool> {
        self.store.exists(&self.key)
    }
}

impl<T: Encode> StoreFuture<T> {
    /// Sets the value.
    ///
    /// # Errors
    /// As [`Store::set`].
    pub fn set(&self, value: &T) -> Result<()> {
        self.store.set(&self.key, value)
    }
}

impl<T: Decode> StoreFuture<T> {
    /// Waits for the value; without a limit, as long as it takes. It wakes at once where the
    /// connector is told of a set ([`Capability::notify`](crate::Capability::notify)), and asks
    /// again and again elsewhere.
    ///
    /// # Errors
    /// [`ErrorKind::Timeout`] if it is not there within `timeout`, and as [`Store::get`].
    pub fn wait(&self, timeout: Option<Duration>) -> Result<T> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(value) = self.store.get(&self.key)? {
                return Ok(value);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Error::new(
                    ErrorKind::Timeout,
                    format!(
                        "the value was not set within {:?}",
                        timeout.unwrap_or_default()
                    ),
                )
                .with_key(&self.key));
            }
            self.store
                .connector()
                .wait(&self.key, left.unwrap_or(LONG))?;
        }
    }
}

impl<T> Clone for StoreFuture<T> {
    fn clone(&self) -> Self {
        Self::of_key(&self.store, self.key.clone())
    }
}

impl<T> fmt::Debug for StoreFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreFuture")
            .field("store", &self.store.name())
            .field("key", &self.key)
            .finish()
    }
}
