//! A value that is fetched at its first use.

use crate::codec::{Decode, Encode, Object};
use crate::pool::{self, Task};
use crate::reference::Reference;
use crate::single_flight::SingleFlight;
use crate::{Error, ErrorKind, Key, Result, Store};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Stands for a value in a store: small to send, and fetched at its first use.
///
/// Clones share the value. Under many threads it is fetched and decoded once; a failure leaves the
/// proxy as it was, to be tried again. With the feature `serde` a proxy serializes as its
/// [`Reference`] alone, never as its value.
///
/// ```
/// use proxystore::{Proxy, Store};
///
/// let store = Store::in_memory("proxies");
/// let proxy: Proxy<String> = store.proxy(&"hello".to_owned())?;
/// let copy = proxy.clone();
/// assert!(!proxy.is_resolved());
/// assert_eq!(copy.resolve()?, "hello");
/// assert!(proxy.is_resolved());
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct Proxy<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    place: Place,
    key: Key,
    evict: bool,
    value: OnceLock<Arc<T>>,
}

/// Where the object is.
enum Place {
    Open(Store),
    /// Opened at the first use.
    Elsewhere(Reference, OnceLock<Store>),
    /// In no store: it came along.
    Here(Object),
}

impl Place {
    fn store(&self) -> Result<&Store> {
        match self {
            Self::Open(store) => Ok(store),
            Self::Elsewhere(reference, store) => {
                if let Some(store) = store.get() {
                    return Ok(store);
                }
                let opened = Store::of_reference(reference)?;
                Ok(store.get_or_init(|| opened))
            }
            Self::Here(_) => Err(Error::new(
                ErrorKind::Unsupported,
                "this value came in the event of a stream, so it is in no store: put it into one to \
                 pass a proxy on",
            )),
        }
    }
}

/// Proxies that are being resolved, by address.
fn resolutions() -> &'static SingleFlight<usize, ()> {
    static RESOLUTIONS: OnceLock<SingleFlight<usize, ()>> = OnceLock::new();
    RESOLUTIONS.get_or_init(SingleFlight::new)
}

impl Store {
    /// Puts a value and returns a proxy of it. The proxy does not hold the value.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub fn proxy<T: Encode>(&self, value: &T) -> Result<Proxy<T>> {
        Ok(Proxy::of_key(self, self.put(value)?))
    }

    /// Puts several values at once, all or none, and returns proxies of them, in order.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub fn proxy_batch<T: Encode>(&self, values: &[T]) -> Result<Vec<Proxy<T>>> {
        let keys = self.put_batch(values)?;
        Ok(keys
            .into_iter()
            .map(|key| Proxy::of_key(self, key))
            .collect())
    }
}

impl<T> Proxy<T> {
    /// A proxy of an object that is, or will be, in a store.
    #[must_use]
    pub fn of_key(store: &Store, key: Key) -> Self {
        Self::new(Place::Open(store.clone()), key, false)
    }

    /// A proxy of what a reference refers to. Its store is opened at the first use, if it is not
    /// registered.
    #[must_use]
    pub fn of_reference(reference: Reference) -> Self {
        let (key, evict) = (reference.key().clone(), reference.evict());
        Self::new(Place::Elsewhere(reference, OnceLock::new()), key, evict)
    }

    /// A proxy of an object that is here already, and in no store: it has no reference.
    #[must_use]
    pub fn of_object(object: Object) -> Self {
        Self::new(Place::Here(object), Key::fresh(), false)
    }

    fn new(place: Place, key: Key, evict: bool) -> Self {
        Self {
            inner: Arc::new(Inner {
                place,
                key,
                evict,
                value: OnceLock::new(),
            }),
        }
    }

    /// A proxy of the same object that removes it from the store once it is resolved.
    ///
    /// # Errors
    /// What opening the store may give.
    pub fn evicting(&self) -> Result<Self> {
        let store = self.store()?.clone();
        Ok(Self::new(Place::Open(store), self.key().clone(), true))
    }

    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.inner.key
    }

    /// The object's store, opened if need be.
    ///
    /// # Errors
    /// What opening may give.
    pub fn store(&self) -> Result<&Store> {
        self.inner.place.store()
    }

    /// What another process or program needs to make a proxy of the same object.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the object cannot be reached from elsewhere.
    pub fn reference(&self) -> Result<Reference> {
        match &self.inner.place {
            Place::Open(store) => Ok(store.reference(self.key())?.with_evict(self.inner.evict)),
            Place::Elsewhere(reference, _) => Ok(reference.clone()),
            Place::Here(_) => Ok(self.store()?.reference(self.key())?),
        }
    }

    /// Whether the value is here.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.inner.value.get().is_some()
    }
}

impl<T: Decode + Send + Sync + 'static> Proxy<T> {
    /// The value: fetched and decoded at the first call, by one thread while others wait.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the store has no such object, and what
    /// [`Store::get`] may give. The proxy can be tried again.
    pub fn resolve(&self) -> Result<&T> {
        self.shared().map(|value| &**value)
    }

    /// The value as a share, which outlives the proxy.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn resolve_shared(&self) -> Result<Arc<T>> {
        self.shared().cloned()
    }

    fn shared(&self) -> Result<&Arc<T>> {
        let inner = &*self.inner;
        if let Some(value) = inner.value.get() {
            return Ok(value);
        }
        let address = Arc::as_ptr(&self.inner).addr();
        resolutions().run(&address, || self.fetch(), || Ok(()))?;
        inner.value.get().ok_or_else(|| self.missing())
    }

    fn fetch(&self) -> Result<()> {
        let inner = &*self.inner;
        if inner.value.get().is_some() {
            return Ok(());
        }
        if let Place::Here(object) = &inner.place {
            let _ = inner.value.set(Arc::new(T::decode(object)?));
            return Ok(());
        }
        let store = self.store()?;
        let value = store
            .get_shared(self.key())?
            .ok_or_else(|| self.missing())?;
        let _ = inner.value.set(value);
        if inner.evict {
            store.evict(self.key())?;
        }
        Ok(())
    }

    fn missing(&self) -> Error {
        let store = self.store().map_or("?", Store::name);
        Error::new(
            ErrorKind::NotFound,
            format!("the store {store:?} has no such object: it was evicted, or never put"),
        )
        .with_key(self.key())
    }

    /// Begins to fetch the value in another thread, while the caller goes on.
    ///
    /// ```
    /// # let store = proxystore::Store::in_memory("overlap");
    /// let proxy = store.proxy(&"hello".to_owned())?;
    /// let resolving = proxy.resolve_async();
    /// // something else meanwhile
    /// assert_eq!(*resolving.wait()?, "hello");
    /// # Ok::<(), proxystore::Error>(())
    /// ```
    pub fn resolve_async(&self) -> Resolving<T> {
        let proxy = self.clone();
        let task = (!self.is_resolved()).then(|| pool::run(move || proxy.resolve().map(drop)));
        Resolving {
            proxy: self.clone(),
            task,
        }
    }
}

/// A proxy that another thread is resolving. Dropping it does not end that.
///
/// It is a future too, of a share of the value.
#[must_use = "the value is had by `wait`"]
pub struct Resolving<T> {
    proxy: Proxy<T>,
    task: Option<Task<Result<()>>>,
}

impl<T: Decode + Send + Sync + 'static> Resolving<T> {
    /// Waits for the value.
    ///
    /// # Errors
    /// As [`Proxy::resolve`].
    pub fn wait(mut self) -> Result<Arc<T>> {
        if let Some(task) = self.task.take() {
            // A forked child does not have the thread: it fetches for itself.
            task.wait().unwrap_or(Ok(()))?;
        }
        self.proxy.resolve_shared()
    }

    /// The proxy.
    #[must_use]
    pub fn proxy(&self) -> &Proxy<T> {
        &self.proxy
    }
}

impl<T: Decode + Send + Sync + 'static> Future for Resolving<T> {
    type Output = Result<Arc<T>>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        if let Some(task) = &mut self.task {
            let outcome = std::task::ready!(std::pin::Pin::new(task).poll(context));
            self.task = None;
            outcome?;
        }
        std::task::Poll::Ready(self.proxy.resolve_shared())
    }
}

impl<T> Clone for Proxy<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> fmt::Debug for Proxy<T> {
    /// Never resolves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("type", &std::any::type_name::<T>())
            .field("key", self.key())
            .field("is_resolved", &self.is_resolved())
            .finish()
    }
}

impl<T> fmt::Debug for Resolving<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resolving").field(&self.proxy).finish()
    }
}

#[cfg(feature = "serde")]
impl<T> serde::Serialize for Proxy<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let reference = self.reference().map_err(serde::ser::Error::custom)?;
        reference.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de, T> serde::Deserialize<'de> for Proxy<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Reference::deserialize(deserializer).map(Self::of_reference)
    }
}
