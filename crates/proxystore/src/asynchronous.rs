//! The store for asynchronous programs, whatever their runtime.

use crate::codec::{Decode, Encode, Object};
use crate::pool;
use crate::{Key, Proxy, Result, Store};

/// [`Store`] with the same verbs as futures. It needs no runtime of a certain kind.
///
/// Calls that end within microseconds are done where they are awaited; everything else goes to a
/// bounded pool of threads that all stores of the process share, so that no executor is held up.
/// A future that is dropped does not undo its call.
///
/// ```
/// # fn block_on<T>(future: impl Future<Output = T>) -> T {
/// #     use std::task::{Context, Poll, Waker};
/// #     let mut future = std::pin::pin!(future);
/// #     loop {
/// #         match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
/// #             Poll::Ready(value) => return value,
/// #             Poll::Pending => std::thread::yield_now(),
/// #         }
/// #     }
/// # }
/// use proxystore::{AsyncStore, Store};
///
/// # block_on(async {
/// let store = AsyncStore::from(Store::in_memory("asynchronous"));
/// let key = store.put("hello".to_owned()).await?;
/// assert_eq!(store.get::<String>(&key).await?.as_deref(), Some("hello"));
/// # Ok::<(), proxystore::Error>(())
/// # })?;
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AsyncStore {
    store: Store,
}

impl From<Store> for AsyncStore {
    fn from(store: Store) -> Self {
        Self { store }
    }
}

impl AsyncStore {
    /// Opens a store by URL; see [`Store::open`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open(name: impl Into<String>, url: &str) -> Result<Self> {
        let (name, url) = (name.into(), url.to_owned());
        let store = pool::run(move || Store::open(name, &url)).await?;
        Ok(Self { store })
    }

    /// The store behind it.
    #[must_use]
    pub fn blocking(&self) -> &Store {
        &self.store
    }

    /// As [`Store::put`]; the value is an [`Arc`](std::sync::Arc) or one that may move to another
    /// thread.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub async fn put<T: Encode + Send + 'static>(&self, value: T) -> Result<Key> {
        let len = value.encode()?.builder().total_len();
        if self.store.connector().is_quick(len) {
            return self.store.put(&value);
        }
        self.offload(move |store| store.put(&value)).await
    }

    /// As [`Store::put_batch`].
    ///
    /// # Errors
    /// As [`Store::put_batch`].
    pub async fn put_batch<T: Encode + Send + 'static>(&self, values: Vec<T>) -> Result<Vec<Key>> {
        self.offload(move |store| store.put_batch(&values)).await
    }

    /// As [`Store::set`].
    ///
    /// # Errors
    /// As [`Store::set`].
    pub async fn set<T: Encode + Send + 'static>(&self, key: &Key, value: T) -> Result<()> {
        let key = key.clone();
        self.offload(move |store| store.set(&key, &value)).await
    }

    /// As [`Store::get`].
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn get<T: Decode + Send + 'static>(&self, key: &Key) -> Result<Option<T>> {
        if let Some(found) = self.store.connector().get_quick(key, T::ACCESS)? {
            let decode = |blob| T::decode(&Object::parse(blob)?);
            let value = found.map(decode).transpose();
            return value.map_err(|error| error.with_key(key));
        }
        let key = key.clone();
        self.offload(move |store| store.get(&key)).await
    }

    /// As [`Store::get_batch`].
    ///
    /// # Errors
    /// As [`Store::get_batch`].
    pub async fn get_batch<T: Decode + Send + 'static>(
        &self,
        keys: Vec<Key>,
    ) -> Result<Vec<Option<T>>> {
        self.offload(move |store| store.get_batch(&keys)).await
    }

    /// As [`Store::exists`].
    ///
    /// # Errors
    /// As [`Store::exists`].
    pub async fn exists(&self, key: &Key) -> Result<bool> {
        if self.store.connector().is_quick(0) {
            return self.store.exists(key);
        }
        let key = key.clone();
        self.offload(move |store| store.exists(&key)).await
    }

    /// As [`Store::evict`].
    ///
    /// # Errors
    /// As [`Store::evict`].
    pub async fn evict(&self, key: &Key) -> Result<()> {
        if self.store.connector().is_quick(0) {
            return self.store.evict(key);
        }
        let key = key.clone();
        self.offload(move |store| store.evict(&key)).await
    }

    /// As [`Store::proxy`]; awaiting [`Proxy::resolve_async`] gives the value.
    ///
    /// # Errors
    /// As [`Store::proxy`].
    pub async fn proxy<T: Encode + Send + 'static>(&self, value: T) -> Result<Proxy<T>> {
        Ok(Proxy::of_key(&self.store, self.put(value).await?))
    }

    async fn offload<R: Send + 'static>(
        &self,
        call: impl FnOnce(&Store) -> Result<R> + Send + 'static,
    ) -> Result<R> {
        let store = self.store.clone();
        pool::run(move || call(&store)).await
    }
}
