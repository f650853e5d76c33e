//! Proxies that own their object: it is removed with them.

use crate::codec::{Decode, Encode};
use crate::reference::Reference;
use crate::{Error, ErrorKind, Key, Proxy, Result, Store};
use std::fmt;

/// A proxy that owns its object: when it is dropped, the object is evicted. Rust's own rules do
/// the rest: there is one owner, and what it lends ends before it.
///
/// ```
/// use proxystore::Store;
///
/// let store = Store::in_memory("owned");
/// let owned = store.owned_proxy(&"hello".to_owned())?;
/// let key = owned.key().clone();
/// assert_eq!(owned.borrow().resolve()?, "hello");
/// drop(owned);
/// assert!(!store.exists(&key)?);
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct OwnedProxy<T> {
    /// `None` only once the object is somebody else's.
    proxy: Option<Proxy<T>>,
    store: Store,
    key: Key,
}

/// A proxy on loan from its owner, who cannot be dropped meanwhile.
pub struct BorrowedProxy<'a, T> {
    proxy: &'a Proxy<T>,
}

impl Store {
    /// Puts a value and returns a proxy that evicts it when it is dropped.
    ///
    /// # Errors
    /// As [`put`](Store::put).
    pub fn owned_proxy<T: Encode>(&self, value: &T) -> Result<OwnedProxy<T>> {
        Ok(OwnedProxy::of(self, self.put(value)?))
    }
}

impl<T> OwnedProxy<T> {
    /// Takes over an object that nobody else owns.
    #[must_use]
    pub fn of(store: &Store, key: Key) -> Self {
        Self {
            proxy: Some(Proxy::of_key(store, key.clone())),
            store: store.clone(),
            key,
        }
    }

    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The object's store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A proxy on loan.
    #[must_use]
    pub fn borrow(&self) -> BorrowedProxy<'_, T> {
        BorrowedProxy {
            proxy: self.proxy(),
        }
    }

    fn proxy(&self) -> &Proxy<T> {
        self.proxy
            .as_ref()
            .expect("present until the owner is taken apart")
    }

    /// Gives up ownership: the object stays until somebody evicts it.
    #[allow(clippy::missing_panics_doc, reason = "present until here")]
    #[must_use]
    pub fn into_proxy(mut self) -> Proxy<T> {
        self.proxy
            .take()
            .expect("present until the owner is taken apart")
    }

    /// Evicts the object now, which unlike dropping tells of a failure.
    ///
    /// # Errors
    /// What the connector may give.
    pub fn evict(mut self) -> Result<()> {
        self.proxy = None;
        self.store.evict(&self.key)
    }
}

impl<T: Encode> OwnedProxy<T> {
    /// Puts another value in place of the object's, under the same key. Who resolved before keeps
    /// the earlier value.
    ///
    /// # Errors
    /// As [`Store::set`].
    pub fn update(&mut self, value: &T) -> Result<()> {
        self.store.set(&self.key, value)?;
        self.store.forget(&self.key);
        self.proxy = Some(Proxy::of_key(&self.store, self.key.clone()));
        Ok(())
    }
}

impl<T: Decode> OwnedProxy<T> {
    /// Takes the value out of the store: it is the caller's, and the object is evicted.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the object was removed by others, and as [`Store::get`]. The
    /// object is evicted all the same.
    pub fn into_inner(self) -> Result<T> {
        let value = self.store.get(&self.key)?;
        value.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "the object was removed by others").with_key(&self.key)
        })
    }
}

impl<T> Drop for OwnedProxy<T> {
    fn drop(&mut self) {
        if self.proxy.is_some() {
            // Nobody is there to be told; `evict` tells.
            let _ = self.store.evict(&self.key);
        }
    }
}

impl<'a, T> BorrowedProxy<'a, T> {
    /// The object's key.
    #[must_use]
    pub fn key(&self) -> &'a Key {
        self.proxy.key()
    }

    /// What another process needs to resolve it. It must be done before the owner drops it: what
    /// leaves the process is beyond the compiler's sight.
    ///
    /// # Errors
    /// As [`Proxy::reference`].
    pub fn reference(&self) -> Result<Reference> {
        self.proxy.reference()
    }
}

impl<'a, T: Decode + Send + Sync + 'static> BorrowedProxy<'a, T> {
    /// The value; see [`Proxy::resolve`].
    ///
    /// # Errors
    /// As [`Proxy::resolve`].
    pub fn resolve(&self) -> Result<&'a T> {
        self.proxy.resolve()
    }
}

impl<T> Clone for BorrowedProxy<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for BorrowedProxy<'_, T> {}

impl<T> fmt::Debug for OwnedProxy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedProxy").field(&self.proxy).finish()
    }
}

impl<T> fmt::Debug for BorrowedProxy<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BorrowedProxy").field(self.proxy).finish()
    }
}
