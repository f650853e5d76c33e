//! The contract between a store and whatever moves its bytes.

use crate::{Blob, Capability, Key, Payload, Result};
use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

/// How the caller of a get will use the bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// The connector's own choice by size: writable, private to the caller.
    #[default]
    Auto,
    /// The caller will overwrite most of it: warm private memory, copied now.
    Copy,
    /// The caller will read most of it: a private copy-on-write mapping where there can be one.
    Cow,
    /// The caller will not write: shared read-only memory where there can be some.
    View,
}

/// Moves bytes between a program and a place that keeps them.
///
/// # Contract
///
/// - **Atomicity.** A reader sees the whole object or none. If `payload.is_framed()`, a connector
///   may instead let a torn object be seen as long as its length is wrong, since the frame's
///   header gives it away; that is never so under a key from [`new_key`](Connector::new_key).
/// - **Missing keys** are no error: [`get`](Connector::get) gives `None`,
///   [`exists`](Connector::exists) `false`, [`evict`](Connector::evict) does nothing.
/// - **Immutability.** What was put stays as it is until it is evicted. A [`Blob`] handed out stays
///   valid and unchanged after the eviction of its key, and after the connector is closed.
/// - **Privacy.** Unless [`Access::View`] was asked for, writing into a blob changes it for its
///   holder alone.
/// - **Concurrency.** All methods may be called from many threads at once, and by many processes.
///   Sets of one key at once leave one of the values, whole.
/// - **Fork.** A connector works in a forked child: what belongs to a process (sockets, locks) is
///   opened anew there.
/// - **Close.** [`close`](Connector::close) may be called more than once; with `clear` it removes
///   what this connector's place holds, and only what is ours. After it, every other call may
///   fail with [`ErrorKind::Closed`](crate::ErrorKind::Closed).
/// - **Blocking.** Calls block; none needs a runtime.
pub trait Connector: Debug + Display + Send + Sync + 'static {
    /// The connector's short name, e.g. `"file"`; used in errors and URLs.
    fn kind(&self) -> &'static str;

    /// A URL with which another process [opens](crate::registry::open) the same place, a password
    /// included; `None` if it cannot. It is not to be printed.
    fn url(&self) -> Option<String> {
        None
    }

    /// What this connector can do.
    fn capability(&self) -> Capability;

    /// Stores an object under a fresh key.
    ///
    /// # Errors
    /// Any kind; whatever was written by then is removed.
    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        let key = self.new_key();
        self.set(&key, payload)?;
        Ok(key)
    }

    /// Stores objects under fresh keys, one for each payload, in order. All or none.
    ///
    /// # Errors
    /// As [`put`](Connector::put).
    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        let mut keys = Vec::with_capacity(payloads.len());
        for payload in payloads {
            match self.put(payload) {
                Ok(key) => keys.push(key),
                Err(error) => {
                    // The failure says more than a second one from here.
                    let _ = self.evict_batch(&keys);
                    return Err(error);
                }
            }
        }
        Ok(keys)
    }

    /// A key for an object that [`set`](Connector::set) brings later.
    fn new_key(&self) -> Key {
        Key::fresh()
    }

    /// Stores an object under a given key, replacing what was there.
    ///
    /// # Errors
    /// As [`put`](Connector::put).
    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()>;

    /// Stores objects under keys of [`new_key`](Connector::new_key) that nobody has used yet. All or
    /// none.
    ///
    /// # Errors
    /// As [`put`](Connector::put).
    fn set_batch(&self, keys: &[Key], payloads: &[Payload<'_>]) -> Result<()> {
        for (key, payload) in keys.iter().zip(payloads) {
            if let Err(error) = self.set(key, payload) {
                // The failure says more than a second one from here.
                let _ = self.evict_batch(keys);
                return Err(error);
            }
        }
        Ok(())
    }

    /// The object under a key, or `None` if there is none.
    ///
    /// # Errors
    /// If the place cannot be reached or read.
    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>>;

    /// As [`get`](Connector::get), but gives up at once, with `None`, where it would take more than
    /// some 200 µs: for callers that hold a lock meanwhile, such as Python's.
    ///
    /// # Errors
    /// As [`get`](Connector::get).
    fn get_quick(&self, key: &Key, access: Access) -> Result<Option<Option<Blob>>> {
        let _ = (key, access);
        Ok(None)
    }

    /// The objects under several keys, in order.
    ///
    /// # Errors
    /// As [`get`](Connector::get).
    fn get_batch(&self, keys: &[Key], access: Access) -> Result<Vec<Option<Blob>>> {
        keys.iter().map(|key| self.get(key, access)).collect()
    }

    /// Whether there is an object under a key.
    ///
    /// # Errors
    /// If the place cannot be reached.
    fn exists(&self, key: &Key) -> Result<bool>;

    /// Waits until there is an object under a key, or until `timeout` has passed, and says whether
    /// there is one. It may come back early with `false`, when a signal came for instance.
    ///
    /// A connector whose [`Capability`] says `notify` is told of a [`set`](Connector::set) and wakes
    /// at once; this default asks again and again, at longer and longer intervals.
    ///
    /// # Errors
    /// As [`exists`](Connector::exists).
    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        ask_again(timeout, || self.exists(key))
    }

    /// Removes the object under a key, if there is one.
    ///
    /// # Errors
    /// If the place cannot be reached or written.
    fn evict(&self, key: &Key) -> Result<()>;

    /// Removes the objects under several keys.
    ///
    /// # Errors
    /// As [`evict`](Connector::evict).
    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        // Every key is tried; the first failure is told.
        keys.iter()
            .map(|key| self.evict(key))
            .fold(Ok(()), Result::and)
    }

    /// Lets objects live for so long from now, whether they had a
    /// [lease](Payload::with_lease) before or not; says of each whether it is there.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) without
    /// [`Capability::expiry`], and if the place cannot be reached or written.
    fn touch(&self, keys: &[Key], lease: Duration) -> Result<Vec<bool>> {
        let _ = (keys, lease);
        Err(unsupported(self.kind(), "this connector keeps no leases"))
    }

    /// Notes that the objects under these keys, which this process is about to put, go when it
    /// ends, however it ends: then the next [`sweep`](Connector::sweep) removes them.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) without
    /// [`Capability::process_bound`], and if the place cannot be reached or written.
    fn bind_to_process(&self, keys: &[Key]) -> Result<()> {
        let _ = keys;
        Err(unsupported(
            self.kind(),
            "this connector binds no objects to a process",
        ))
    }

    /// Removes what this process [bound](Connector::bind_to_process) to itself, as its end would.
    ///
    /// # Errors
    /// If the place cannot be reached or written.
    fn evict_bound(&self) -> Result<()> {
        Ok(())
    }

    /// Removes objects whose lease has ended, and those bound to processes that have ended, where
    /// the place does not do so by itself. Opening a connector does the same.
    ///
    /// # Errors
    /// If the place cannot be reached or written.
    fn sweep(&self) -> Result<()> {
        Ok(())
    }

    /// The keys of all objects here, in no order, for a person who looks. What is put or evicted
    /// meanwhile may be in it or not.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if the connector cannot tell, and
    /// if the place cannot be reached.
    fn keys(&self) -> Result<Vec<Key>> {
        Err(unsupported(
            self.kind(),
            "this connector cannot list its objects",
        ))
    }

    /// Lets go of what is open. With `clear`, removes every object of ours first.
    ///
    /// # Errors
    /// If something of ours could not be removed.
    fn close(&self, clear: bool) -> Result<()>;

    /// Whether calls end within microseconds for an object of `len` bytes (no network, no slow
    /// disk), so that a caller with a lock of its own, such as Python's, may keep it meanwhile.
    fn is_quick(&self, len: usize) -> bool {
        let _ = len;
        false
    }
}

/// The error of what a connector cannot do.
fn unsupported(kind: &'static str, what: &'static str) -> crate::Error {
    crate::Error::new(crate::ErrorKind::Unsupported, what).with_connector(kind)
}

/// Shortest and longest time between two questions whether an object is there.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// Asks until the answer is yes or the time is over.
pub(crate) fn ask_again(
    timeout: Duration,
    mut is_there: impl FnMut() -> Result<bool>,
) -> Result<bool> {
    let began = Instant::now();
    let mut interval = INTERVALS.0;
    loop {
        let is_found = is_there()?;
        let left = timeout.saturating_sub(began.elapsed());
        if is_found || left.is_zero() {
            return Ok(is_found);
        }
        std::thread::sleep(interval.min(left));
        interval = (interval * 2).min(INTERVALS.1);
    }
}

/// Easy verbs over every connector.
pub trait ConnectorExt: Connector {
    /// Stores one contiguous object under a fresh key.
    ///
    /// # Errors
    /// As [`Connector::put`].
    fn put_bytes(&self, bytes: &[u8]) -> Result<Key> {
        self.put(&Payload::from_bytes(bytes))
    }

    /// A copy of the object under a key.
    ///
    /// # Errors
    /// As [`Connector::get`].
    fn get_vec(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.get(key, Access::View)?.map(|blob| blob.to_vec()))
    }
}

impl<C: Connector + ?Sized> ConnectorExt for C {}
