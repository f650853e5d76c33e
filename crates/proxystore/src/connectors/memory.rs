//! Objects in this process's own memory.

use crate::fork::ForkMutex;
use crate::{Access, Blob, Capability, Connector, Key, Payload, Result};
use std::collections::HashMap;
use std::fmt;

/// Keeps objects in this process. They go with the connector.
#[derive(Default)]
pub struct MemoryConnector {
    objects: ForkMutex<HashMap<Key, Blob>>,
}

impl MemoryConnector {
    /// An empty connector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Blob>> {
        self.objects.lock()
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
            ..Capability::default()
        }
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        let key = self.new_key();
        self.set(&key, payload)?;
        Ok(key)
    }

    fn put_batch(&self, payloads: &[Payload<'_>]) -> Result<Vec<Key>> {
        payloads.iter().map(|payload| self.put(payload)).collect()
    }

    fn new_key(&self) -> Key {
        Key::fresh()
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        let mut buffer = crate::blob::Buffer::with_len(payload.len());
        payload.copy_to(&mut buffer);
        self.objects().insert(key.clone(), Blob::new(buffer));
        Ok(())
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        let found = self.objects().get(key).cloned();
        Ok(match access {
            Access::View => found,
            _ => found.map(|blob| Blob::copy_from(&blob)),
        })
    }

    fn get_batch(&self, keys: &[Key], access: Access) -> Result<Vec<Option<Blob>>> {
        keys.iter().map(|key| self.get(key, access)).collect()
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        Ok(self.objects().contains_key(key))
    }

    fn evict(&self, key: &Key) -> Result<()> {
        let gone = self.objects().remove(key);
        drop(gone); // outside the lock: a large object takes time to free
        Ok(())
    }

    fn evict_batch(&self, keys: &[Key]) -> Result<()> {
        keys.iter().try_for_each(|key| self.evict(key))
    }

    fn close(&self, clear: bool) -> Result<()> {
        if clear {
            let gone = std::mem::take(&mut *self.objects());
            drop(gone);
        }
        Ok(())
    }

    fn is_quick(&self, len: usize) -> bool {
        len <= 1 << 20
    }
}

impl fmt::Debug for MemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryConnector({} objects)", self.objects().len())
    }
}

impl fmt::Display for MemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory")
    }
}
