//! Which objects there are, and which of them were used lately.

use super::Usage;
use crate::object::Object;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Where on the disk an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Database,
    File(u64),
}

pub(super) struct Entry {
    pub(super) key: Arc<str>,
    pub(super) len: u64,
    pub(super) object: Option<Object>,
    pub(super) place: Option<Place>,
    /// Another one after each replacement.
    pub(super) version: u64,
    used: u64,
}

#[derive(Default)]
pub(super) struct State {
    entries: BTreeMap<Arc<str>, Entry>,
    /// Those in memory, by their last use.
    recent: BTreeMap<u64, Arc<str>>,
    clock: u64,
    bytes: u64,
    in_memory: u64,
}

impl State {
    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            objects: self.entries.len() as u64,
            bytes: self.bytes,
            in_memory: self.in_memory,
        }
    }

    pub(super) fn keys(&self, after: &str, count: usize) -> Vec<String> {
        let range = (Bound::Excluded(after), Bound::Unbounded);
        let keys = self.entries.range::<str, _>(range).take(count);
        keys.map(|(key, _)| key.to_string()).collect()
    }

    /// Puts an entry in place of another; gives its version, and where the other one was.
    pub(super) fn insert(
        &mut self,
        key: &str,
        len: u64,
        object: Option<Object>,
        place: Option<Place>,
    ) -> (u64, Option<Place>) {
        let old = self.remove(key);
        let key: Arc<str> = key.into();
        let version = self.tick();
        self.bytes += len;
        if object.is_some() {
            self.in_memory += len;
            self.recent.insert(version, Arc::clone(&key));
        }
        let entry = Entry {
            key: Arc::clone(&key),
            len,
            object,
            place,
            version,
            used: version,
        };
        self.entries.insert(key, entry);
        (version, old)
    }

    /// An entry, which counts as used.
    pub(super) fn find(&mut self, key: &str) -> Option<&Entry> {
        let now = self.tick();
        let entry = self.entries.get_mut(key)?;
        if let Some(name) = self.recent.remove(&entry.used) {
            self.recent.insert(now, name);
            entry.used = now;
        }
        Some(entry)
    }

    pub(super) fn is_version(&self, key: &str, version: u64) -> bool {
        self.entries
            .get(key)
            .is_some_and(|entry| entry.version == version)
    }

    pub(super) fn remove(&mut self, key: &str) -> Option<Place> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.len;
        if entry.object.is_some() {
            self.in_memory -= entry.len;
            self.recent.remove(&entry.used);
        }
        entry.place
    }

    /// The entry in memory that was used longest ago, if there is too much.
    pub(super) fn victim(&self, limit: u64) -> Option<&Entry> {
        if self.in_memory <= limit {
            return None;
        }
        self.entries.get(self.recent.first_key_value()?.1)
    }

    /// Drops the victim's memory: the disk has it.
    pub(super) fn release_victim(&mut self) {
        if let Some((_, key)) = self.recent.pop_first()
            && let Some(entry) = self.entries.get_mut(&key)
        {
            entry.object = None;
            self.in_memory -= entry.len;
        }
    }

    /// Drops an entry's memory after the disk got it; false if it was replaced meanwhile.
    pub(super) fn moved(&mut self, key: &str, version: u64, place: Place) -> bool {
        match self.entries.get_mut(key) {
            Some(entry) if entry.version == version && entry.place.is_none() => {
                entry.place = Some(place);
                if entry.object.take().is_some() {
                    self.in_memory -= entry.len;
                    self.recent.remove(&entry.used);
                }
                true
            }
            _ => false,
        }
    }

    /// Keeps an object in memory again that was read from the disk.
    pub(super) fn readmit(&mut self, key: &str, version: u64, object: Object) {
        let now = self.tick();
        if let Some(entry) = self.entries.get_mut(key)
            && entry.version == version
            && entry.object.is_none()
        {
            entry.object = Some(object);
            entry.used = now;
            self.in_memory += entry.len;
            self.recent.insert(now, Arc::clone(&entry.key));
        }
    }
}
