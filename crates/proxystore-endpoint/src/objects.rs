//! What an endpoint holds.

use crate::object::Object;
use proxystore::{Error, ErrorKind, Result};
use std::sync::Arc;

/// The objects of this endpoint, which it serves to its clients and its peers.
///
/// Calls may block for as long as a disk does; the functions of the same names in this
/// module are the same for asynchronous callers. All may be called from many threads at once; a
/// reader sees the whole object or none.
pub trait Objects: Send + Sync + 'static {
    /// The object under a key.
    ///
    /// # Errors
    /// If it cannot be read from the disk.
    fn get(&self, key: &str) -> Result<Option<Object>>;

    /// As [`get`](Self::get), but `None` where that would have to ask the disk: it never blocks.
    fn get_in_memory(&self, key: &str) -> Option<Option<Object>>;

    /// Keeps an object, in place of what was there.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] above the limit, [`ErrorKind::Full`] if there is no room.
    fn put(&self, key: &str, object: Object) -> Result<()>;

    /// Whether [`put`](Self::put) would not have to ask the disk for an object of so many bytes.
    fn is_quick(&self, len: usize) -> bool;

    /// Whether there is an object. It never blocks.
    fn exists(&self, key: &str) -> bool;

    /// Removes an object, if it is there.
    ///
    /// # Errors
    /// If the disk refuses.
    fn evict(&self, key: &str) -> Result<()>;

    /// Largest object in bytes. Whoever would send a larger one is told before it does.
    fn limit(&self) -> Option<u64>;

    /// Refuses an object that is above the limit.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`], in words.
    fn check(&self, len: u64) -> Result<()> {
        match self.limit() {
            Some(limit) if len > limit => Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "an object of {len} bytes is larger than the {limit} bytes that the endpoint \
                     takes (max_object_size in its config.toml)"
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// [`Objects::get`] for asynchronous callers.
///
/// # Errors
/// As there.
pub async fn get(objects: &Arc<dyn Objects>, key: &str) -> Result<Option<Object>> {
    match objects.get_in_memory(key) {
        Some(found) => Ok(found),
        None => {
            let (objects, key) = (Arc::clone(objects), key.to_owned());
            blocking(move || objects.get(&key)).await
        }
    }
}

/// [`Objects::put`] for asynchronous callers.
///
/// # Errors
/// As there.
pub async fn put(objects: &Arc<dyn Objects>, key: &str, object: Object) -> Result<()> {
    if objects.is_quick(object.len()) {
        return objects.put(key, object);
    }
    let (objects, key) = (Arc::clone(objects), key.to_owned());
    blocking(move || objects.put(&key, object)).await
}

/// [`Objects::evict`] for asynchronous callers.
///
/// # Errors
/// As there.
pub async fn evict(objects: &Arc<dyn Objects>, key: &str) -> Result<()> {
    if objects.is_quick(0) {
        return objects.evict(key);
    }
    let (objects, key) = (Arc::clone(objects), key.to_owned());
    blocking(move || objects.evict(&key)).await
}

/// Runs a call that blocks where it disturbs nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => {
            Err(Error::new(ErrorKind::Io, "a call of the endpoint ended early").with_source(error))
        }
    }
}
