//! The store: a codec, a cache and a connector under one name.

use crate::cache::Cache;
use crate::codec::{Decode, Encode, Encoded, Object, View, Viewed};
use crate::fork::ForkMutex;
use crate::reference::Reference;
use crate::single_flight::SingleFlight;
use crate::trace::{Moved, Tracer, traced};
use crate::{Access, Connector, Error, ErrorKind, Key, Payload, Result, registry};
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Puts values into a connector and gets them back, by [`Key`] or by [`Proxy`](crate::Proxy).
///
/// A store is a handle: clones share the connector and the cache. All methods block; none needs a
/// runtime, and all may be called from many threads. With the feature `async`,
/// `AsyncStore` has the same verbs for asynchronous programs.
///
/// What was put stays until it is evicted or the store's owner [closes](Store::close) it with
/// `clear`; dropping a store removes nothing.
///
/// ```
/// use proxystore::Store;
///
/// let store = Store::open("greetings", "memory://")?;
/// let key = store.put("hello")?;
/// assert_eq!(store.get::<String>(&key)?.as_deref(), Some("hello"));
/// store.evict(&key)?;
/// assert!(!store.exists(&key)?);
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    connector: Arc<dyn Connector>,
    checksum_buffers: bool,
    /// Values of [`Store::get_shared`], of an object as one type at a time.
    cache: Cache<Key, Shared>,
    flights: SingleFlight<(Key, TypeId), Shared>,
    /// None unless the program is traced.
    tracer: Option<Tracer>,
}

type Shared = Arc<dyn Any + Send + Sync>;

/// What a store is opened with.
///
/// ```
/// use proxystore::StoreBuilder;
///
/// let store = StoreBuilder::new("results").cache_entries(100).open("memory://")?;
/// assert_eq!(store.name(), "results");
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StoreBuilder {
    name: String,
    cache_entries: usize,
    cache_bytes: u64,
    checksum_buffers: bool,
}

impl StoreBuilder {
    /// A store of a name, under which its references find it.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            cache_entries: 16,
            cache_bytes: 1 << 30,
            checksum_buffers: false,
        }
    }

    /// Most values that proxies and [`Store::get_shared`] keep for further use: 16 if not set; 0
    /// turns the cache off.
    #[must_use]
    pub fn cache_entries(mut self, entries: usize) -> Self {
        self.cache_entries = entries;
        self
    }

    /// Most bytes that the cache keeps, by the length of the values' frames: 1 GiB if not set.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Whether frames carry a checksum of all their bytes, which costs one more pass over them on
    /// each side. Off if not set: headers are always checked.
    #[must_use]
    pub fn checksum_buffers(mut self, on: bool) -> Self {
        self.checksum_buffers = on;
        self
    }

    /// Opens the connector of a URL; see [`open`](crate::open) for which there are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a URL with a mistake, and what opening may give.
    pub fn open(self, url: &str) -> Result<Store> {
        Ok(self.connect(registry::open(url)?))
    }

    /// A store over a connector.
    #[must_use]
    pub fn connect(self, connector: Arc<dyn Connector>) -> Store {
        // A directory that takes no trace shall not stop the program.
        let tracer = Tracer::of_store(&self.name).unwrap_or_default();
        Store {
            inner: Arc::new(Inner {
                tracer,
                name: self.name,
                connector,
                checksum_buffers: self.checksum_buffers,
                cache: Cache::new(self.cache_entries, self.cache_bytes),
                flights: SingleFlight::new(),
            }),
        }
    }
}

impl Store {
    /// A store over a connector, with the settings of [`StoreBuilder::new`].
    #[must_use]
    pub fn new(name: impl Into<String>, connector: Arc<dyn Connector>) -> Self {
        StoreBuilder::new(name).connect(connector)
    }

    /// A store over the connector of a URL; see [`open`](crate::open) for which there are.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] for a URL with a mistake, and what opening may give.
    pub fn open(name: impl Into<String>, url: &str) -> Result<Self> {
        StoreBuilder::new(name).open(url)
    }

    /// A store in this process's memory, for tests and for threads of one process.
    #[cfg(feature = "memory")]
    #[must_use]
    pub fn in_memory(name: impl Into<String>) -> Self {
        Self::new(
            name,
            Arc::new(crate::connectors::memory::MemoryConnector::new()),
        )
    }

    /// Whether both are handles of one store.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its connector.
    #[must_use]
    pub fn connector(&self) -> &Arc<dyn Connector> {
        &self.inner.connector
    }

    /// Puts a value under a fresh key. Large parts of it are handed to the connector by
    /// reference, so this costs one copy, into the store.
    ///
    /// # Errors
    /// [`ErrorKind::Encode`] if the value has no form in a store, and what the connector may give;
    /// nothing is left of the object then.
    pub fn put<T: Encode + ?Sized>(&self, value: &T) -> Result<Key> {
        traced(&self.inner.tracer, "store.put", |moved| {
            self.with_payload(value, |payload| {
                moved.bytes = Some(payload.len() as u64);
                self.inner.connector.put(payload)
            })
        })
    }

    /// Puts several values under fresh keys, in order: all or none.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn put_batch<T: Encode>(&self, values: &[T]) -> Result<Vec<Key>> {
        let encoded = values
            .iter()
            .map(Encode::encode)
            .collect::<Result<Vec<_>>>()?;
        self.put_encoded(&encoded.iter().collect::<Vec<_>>())
    }

    /// As [`put_batch`](Self::put_batch), of values that are encoded already.
    pub(crate) fn put_encoded(&self, values: &[&Encoded<'_>]) -> Result<Vec<Key>> {
        let builders: Vec<_> = values
            .iter()
            .map(|value| {
                value
                    .builder()
                    .checksum_buffers(self.inner.checksum_buffers)
            })
            .collect();
        let heads: Vec<_> = builders.iter().map(|builder| builder.head()).collect();
        let payloads: Vec<_> = builders
            .iter()
            .zip(&heads)
            .map(|(builder, head)| builder.payload(head))
            .collect();
        match payloads.as_slice() {
            [one] => Ok(vec![self.inner.connector.put(one)?]),
            several => self.inner.connector.put_batch(several),
        }
    }

    /// Puts a value under a given key, in place of what was there. Values that are in use already
    /// stay as they are.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub fn set<T: Encode + ?Sized>(&self, key: &Key, value: &T) -> Result<()> {
        traced(&self.inner.tracer, "store.set", |moved| {
            self.with_payload(value, |payload| {
                moved.bytes = Some(payload.len() as u64);
                self.inner.connector.set(key, payload)
            })
        })
    }

    /// Puts a value that its connector drops after a time.
    pub(crate) fn put_leased<T: Encode + ?Sized>(
        &self,
        value: &T,
        lease: std::time::Duration,
    ) -> Result<Key> {
        self.with_payload(value, |payload| {
            self.inner.connector.put(&payload.clone().with_lease(lease))
        })
    }

    fn with_payload<T: Encode + ?Sized, R>(
        &self,
        value: &T,
        use_it: impl FnOnce(&Payload<'_>) -> Result<R>,
    ) -> Result<R> {
        let encoded = value.encode()?;
        let builder = encoded
            .builder()
            .checksum_buffers(self.inner.checksum_buffers);
        let head = builder.head();
        use_it(&builder.payload(&head))
    }

    /// The value of a key, or `None` if there is no object. It is the caller's own.
    ///
    /// # Errors
    /// [`ErrorKind::WrongType`] if the object is of another type, naming the codec that wrote it;
    /// [`ErrorKind::InvalidFrame`] if it is damaged; and what the connector may give.
    pub fn get<T: Decode>(&self, key: &Key) -> Result<Option<T>> {
        traced(&self.inner.tracer, "store.get", |moved| {
            let found = self.object(key, T::ACCESS)?;
            moved.hit = Some(false);
            moved.bytes = found.as_ref().map(|object| object.byte_len() as u64);
            found.map(|object| decode(&object, key)).transpose()
        })
    }

    /// The values of several keys, in order.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_batch<T: Decode>(&self, keys: &[Key]) -> Result<Vec<Option<T>>> {
        let found = self.inner.connector.get_batch(keys, T::ACCESS)?;
        let decode = |(blob, key): (Option<_>, &Key)| {
            let object = blob.map(Object::parse).transpose();
            let object = object.map_err(|error| error.with_key(key))?;
            object.map(|object| decode(&object, key)).transpose()
        };
        found.into_iter().zip(keys).map(decode).collect()
    }

    /// The value of a key, read where it lies: of a file, or of shared memory, nothing is copied.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_view<T: Viewed + ?Sized>(&self, key: &Key) -> Result<Option<View<T>>> {
        let found = self.object(key, Access::View)?;
        let view = found.map(|object| View::of(&object)).transpose();
        view.map_err(|error| error.with_key(key))
    }

    /// The object of a key, not decoded.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFrame`] if it is damaged, and what the connector may give.
    pub fn object(&self, key: &Key, access: Access) -> Result<Option<Object>> {
        let found = self.inner.connector.get(key, access)?;
        let object = found.map(Object::parse).transpose();
        object.map_err(|error| error.with_key(key))
    }

    /// The value of a key, shared with all who ask for it like this: fetched and decoded once,
    /// also by many threads at once, and then kept in the cache.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_shared<T: Decode + Send + Sync + 'static>(
        &self,
        key: &Key,
    ) -> Result<Option<Arc<T>>> {
        traced(&self.inner.tracer, "store.get", |moved| {
            let cached = self.cached(key);
            moved.hit = Some(cached.is_some());
            match cached {
                Some(cached) => Ok(Some(cached)),
                None => self.fetch_shared(key, moved),
            }
        })
    }

    fn fetch_shared<T: Decode + Send + Sync + 'static>(
        &self,
        key: &Key,
        moved: &mut Moved,
    ) -> Result<Option<Arc<T>>> {
        let missing = || Error::new(ErrorKind::NotFound, "no such object").with_key(key);
        let fetch = || -> Result<Shared> {
            // Another thread may have filled the cache between the look above and this one.
            if let Some(cached) = self.cached::<T>(key) {
                return Ok(cached);
            }
            let object = self.object(key, T::ACCESS)?.ok_or_else(missing)?;
            let value: Shared = Arc::new(decode::<T>(&object, key)?);
            let (cache, weight) = (&self.inner.cache, object.byte_len() as u64);
            moved.bytes = Some(weight);
            cache.insert(key.clone(), Arc::clone(&value), weight);
            Ok(value)
        };
        let flight = (key.clone(), TypeId::of::<T>());
        match self.inner.flights.run(&flight, fetch, || Ok(())) {
            Ok(value) => Ok(value.downcast().ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is an object of a key.
    ///
    /// # Errors
    /// What the connector may give.
    pub fn exists(&self, key: &Key) -> Result<bool> {
        self.inner.connector.exists(key)
    }

    /// Removes the object of a key, if there is one. Values that are in use already stay.
    ///
    /// # Errors
    /// What the connector may give.
    pub fn evict(&self, key: &Key) -> Result<()> {
        traced(&self.inner.tracer, "store.evict", |_| {
            let result = self.inner.connector.evict(key);
            self.inner.cache.remove(key);
            result
        })
    }

    /// Removes the objects of several keys.
    ///
    /// # Errors
    /// As [`evict`](Self::evict).
    pub fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        let result = self.inner.connector.evict_batch(keys);
        for key in keys {
            self.inner.cache.remove(key);
        }
        result
    }

    /// Drops what the cache holds of a key.
    pub(crate) fn forget(&self, key: &Key) {
        self.inner.cache.remove(key);
    }

    fn cached<T: Send + Sync + 'static>(&self, key: &Key) -> Option<Arc<T>> {
        self.inner.cache.get(key)?.downcast().ok()
    }

    /// What another process or program, in Rust or in Python, needs to find an object.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the connector's objects cannot be reached from elsewhere.
    pub fn reference(&self, key: &Key) -> Result<Reference> {
        match self.inner.connector.url() {
            Some(url) => Reference::new(self.name(), &url, key.clone()),
            None => {
                let kind = self.inner.connector.kind();
                Err(Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "the objects of {} cannot be reached from elsewhere, so they have no \
                         reference: use a store over files, shared memory or a server; one that \
                         was given a password as it is needs `${{VARIABLE}}` in place of it, a \
                         profile, or `allow_secret`",
                        self.inner.connector
                    ),
                )
                .with_connector(kind))
            }
        }
    }

    /// Lets the references of this process find this store by its name, instead of opening it a
    /// second time.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`] if another store of this name is registered.
    pub fn register(&self) -> Result<()> {
        let mut stores = registered().lock();
        match stores.get(self.name()) {
            Some(other) if !other.is_same(self) => Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("a store {:?} is registered already", self.name()),
            )),
            _ => {
                stores.insert(self.name().to_owned(), self.clone());
                Ok(())
            }
        }
    }

    /// Undoes [`register`](Self::register).
    pub fn unregister(&self) {
        let mut stores = registered().lock();
        let ours = stores
            .get(self.name())
            .is_some_and(|other| other.is_same(self));
        let gone = ours.then(|| stores.remove(self.name()));
        drop(stores);
        drop(gone);
    }

    /// The store that is registered under a name.
    #[must_use]
    pub fn registered(name: &str) -> Option<Self> {
        registered().lock().get(name).cloned()
    }

    /// The registered store of a reference, or else one that is opened, and registered.
    ///
    /// # Errors
    /// What opening may give.
    pub fn of_reference(reference: &Reference) -> Result<Self> {
        if let Some(store) = Self::registered(reference.store()) {
            return Ok(store);
        }
        let opened = Self::open(reference.store(), reference.url())?;
        let mut stores = registered().lock();
        Ok(stores
            .entry(reference.store().to_owned())
            .or_insert(opened)
            .clone())
    }

    /// Unregisters the store and closes its connector; with `clear`, removes every object of it
    /// first.
    ///
    /// # Errors
    /// What the connector may give.
    pub fn close(&self, clear: bool) -> Result<()> {
        self.unregister();
        self.inner.cache.clear();
        self.inner.connector.close(clear)
    }
}

fn decode<T: Decode>(object: &Object, key: &Key) -> Result<T> {
    T::decode(object).map_err(|error| error.with_key(key))
}

fn registered() -> &'static ForkMutex<HashMap<String, Store>> {
    static STORES: OnceLock<ForkMutex<HashMap<String, Store>>> = OnceLock::new();
    STORES.get_or_init(ForkMutex::default)
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("name", &self.inner.name)
            .field("connector", &self.inner.connector)
            .finish_non_exhaustive()
    }
}
