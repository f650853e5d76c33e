//! Objects in this process's own memory.

mod arrival;
mod kept;
mod segment;
mod view;

use crate::blob::Buffer;
use crate::fork::ForkMutex;
use crate::{Access, Blob, Capability, Connector, Key, Payload, Result};
use arrival::Arrivals;
use kept::Kept;
pub(crate) use segment::clear as clear_segments;
use segment::{MAPPED_FROM, Stored};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use view::View;

/// Up to this many bytes, an object is copied within 100 µs.
const QUICK_UP_TO: usize = 1 << 20;

/// Keeps objects in this process. They go with the connector.
///
/// A put gathers the pieces in one place and a get copies them, so that both sides may write to what
/// they have; from 4 MiB on, a get maps them copy-on-write instead. An object that names its immutable [owner](Payload::with_owner) is kept by
/// reference both ways.
///
/// ```
/// use proxystore::connectors::memory::MemoryConnector;
/// use proxystore::ConnectorExt;
///
/// let connector = MemoryConnector::new();
/// let key = connector.put_bytes(b"hello")?;
/// assert_eq!(connector.get_vec(&key)?.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), proxystore::Error>(())
/// ```
#[derive(Default)]
pub struct MemoryConnector {
    objects: ForkMutex<HashMap<Key, Object>>,
    arrivals: Arrivals,
}

#[derive(Clone)]
enum Object {
    Copied(Blob),
    Stored(Arc<Stored>),
    Kept(Arc<Kept>),
}

impl Object {
    fn new(payload: &Payload<'_>) -> Self {
        if let Some(kept) = Kept::new(payload) {
            return Self::Kept(Arc::new(kept));
        }
        if payload.len() >= MAPPED_FROM
            && let Some(stored) = Stored::new(payload)
        {
            return Self::Stored(Arc::new(stored));
        }
        let mut buffer = Buffer::with_len(payload.len());
        payload.copy_to(&mut buffer);
        Self::Copied(Blob::new(buffer))
    }

    fn fetch(self, access: Access) -> Blob {
        match (self, access) {
            (Self::Copied(blob), Access::View) => Blob::new(View(blob)),
            (Self::Copied(blob), _) => Blob::copy_from(&blob),
            (Self::Stored(stored), Access::View) => Blob::from_region(stored),
            (Self::Stored(stored), access) => match access {
                Access::Copy => None,
                _ => stored.map(),
            }
            .unwrap_or_else(|| Blob::copy_from(&Blob::from_region(stored))),
            (Self::Kept(kept), Access::Copy) => Blob::new(kept.join()),
            (Self::Kept(kept), _) => Blob::from_region(kept),
        }
    }

    fn is_quick(&self, access: Access) -> bool {
        match self {
            Self::Copied(blob) => access == Access::View || blob.len() <= QUICK_UP_TO,
            Self::Stored(_) | Self::Kept(_) => access != Access::Copy,
        }
    }
}

impl MemoryConnector {
    /// An empty connector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn insert(&self, key: Key, payload: &Payload<'_>) {
        let object = Object::new(payload);
        let replaced = self.objects.lock().insert(key, object);
        drop(replaced); // outside the lock: a large object takes time to free, an owner may call us
    }

    fn find(&self, key: &Key) -> Option<Object> {
        self.objects.lock().get(key).cloned()
    }
}

impl Connector for MemoryConnector {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn capability(&self) -> Capability {
        Capability {
            deferred_set: true,
            batch: true,
            keeps_owners: true,
            notify: true,
            ..Capability::default()
        }
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        let key = Key::fresh();
        self.insert(key.clone(), payload);
        Ok(key)
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        self.insert(key.clone(), payload);
        self.arrivals.tell();
        Ok(())
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        Ok(self.find(key).map(|object| object.fetch(access)))
    }

    fn get_quick(&self, key: &Key, access: Access) -> Result<Option<Option<Blob>>> {
        Ok(match self.find(key) {
            None => Some(None),
            Some(object) if object.is_quick(access) => Some(Some(object.fetch(access))),
            Some(_) => None,
        })
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        Ok(self.objects.lock().contains_key(key))
    }

    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        let began = Instant::now();
        let seen = self.arrivals.count();
        if !self.exists(key)? {
            self.arrivals
                .sleep(seen, timeout.saturating_sub(began.elapsed()));
        }
        self.exists(key)
    }

    fn evict(&self, key: &Key) -> Result<()> {
        let gone = self.objects.lock().remove(key);
        drop(gone); // outside the lock, as in `set`
        Ok(())
    }

    fn keys(&self) -> Result<Vec<Key>> {
        Ok(self.objects.lock().keys().cloned().collect())
    }

    fn close(&self, clear: bool) -> Result<()> {
        if clear {
            let gone = std::mem::take(&mut *self.objects.lock());
            drop(gone);
        }
        Ok(())
    }

    fn is_quick(&self, len: usize) -> bool {
        len <= QUICK_UP_TO
    }
}

impl fmt::Debug for MemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryConnector({} objects)", self.objects.lock().len())
    }
}

impl fmt::Display for MemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}
