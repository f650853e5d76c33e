//! Objects in memory up to a limit, and on the disk: what does not fit, or, if they are to persist,
//! all of them.

mod files;
mod index;
mod recent;
#[cfg(test)]
mod tests;

use crate::object::{Object, SHARED_ABOVE};
use crate::objects::Objects;
use files::Files;
use index::{Index, Row};
use proxystore::{Error, ErrorKind, Result};
use recent::{Entry, Place, State};
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Objects up to this many bytes lie in the database itself; larger ones in files beside it, since
/// a database writes a value twice, copies it when it is read, and never gives the space back.
const IN_DATABASE: usize = 64 << 10;

/// How an endpoint keeps its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// The database, if objects are to outlive the daemon; files lie beside it.
    pub database: Option<PathBuf>,
    /// Where objects go that do not fit into memory, if they are not to outlive the daemon; `None`
    /// for nowhere.
    pub spill: Option<PathBuf>,
    /// Most bytes of objects in memory.
    pub memory_limit: u64,
    /// Largest object in bytes.
    pub max_object_size: Option<u64>,
}

/// The objects of one endpoint.
pub struct Storage {
    config: StorageConfig,
    state: Mutex<State>,
    files: Option<Files>,
    index: Option<Index>,
    /// One change of a key at a time, where the disk has a part in it.
    order: [Mutex<()>; 64],
    hash: RandomState,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, bytes in memory.
    pub in_memory: u64,
}

/// What a failure of the disk is. A file that may not get longer (`ulimit -f`) is a full disk to
/// those who put objects here, not an object above their limit.
fn of_disk(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::FileTooLarge => ErrorKind::Full,
        _ => ErrorKind::of_io(error),
    }
}

impl Storage {
    /// Opens what a configuration names. What persisted is there again.
    ///
    /// # Errors
    /// If the database or the folder cannot be opened.
    pub fn open(config: StorageConfig) -> Result<Self> {
        let mut state = State::default();
        let (files, index) = match (&config.database, &config.spill) {
            (Some(database), _) => {
                let files = Files::open(&database.with_extension("objects"))?;
                let index = Index::open(database)?;
                let mut known = Vec::new();
                index.for_each(|key, row| {
                    let (len, place) = match row {
                        Row::Value(value) => (value.len() as u64, Place::Database),
                        Row::File { number, len } => {
                            known.push(number);
                            (len, Place::File(number))
                        }
                    };
                    state.insert(key, len, None, Some(place));
                })?;
                files.keep_only(&known)?;
                (Some(files), Some(index))
            }
            (None, Some(spill)) => {
                let files = Files::open(spill)?;
                files.keep_only(&[])?;
                (Some(files), None)
            }
            (None, None) => (None, None),
        };
        Ok(Self {
            config,
            state: Mutex::new(state),
            files,
            index,
            order: std::array::from_fn(|_| Mutex::new(())),
            hash: RandomState::new(),
        })
    }

    /// How much there is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.state().usage()
    }

    /// Names of objects after one, in order.
    #[must_use]
    pub fn keys(&self, after: &str, count: usize) -> Vec<String> {
        self.state().keys(after, count)
    }

    /// Removes every object.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn clear(&self) -> Result<()> {
        loop {
            let keys = self.keys("", 1000);
            if keys.is_empty() {
                return Ok(());
            }
            for key in keys {
                self.evict(&key)?;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, key: &str) -> MutexGuard<'_, ()> {
        let stripe = self.hash.hash_one(key) as usize % self.order.len();
        self.order[stripe]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the object on the disk.
    fn persist(&self, index: &Index, key: &str, object: &Object) -> Result<Place> {
        if object.len() <= IN_DATABASE {
            let freed = index.put(key, Row::Value(object.as_slice().to_vec()))?;
            self.forget(freed);
            return Ok(Place::Database);
        }
        let number = self.files()?.write(object.as_slice(), true)?;
        let len = object.len() as u64;
        match index.put(key, Row::File { number, len }) {
            Ok(freed) => {
                self.forget(freed);
                Ok(Place::File(number))
            }
            Err(error) => {
                self.forget(Some(number));
                Err(error)
            }
        }
    }

    fn files(&self) -> Result<&Files> {
        self.files.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Full,
                format!(
                    "the {} bytes of memory for objects are used up, and there is nowhere to put \
                     more (memory_limit and spill in config.toml)",
                    self.config.memory_limit
                ),
            )
        })
    }

    fn forget(&self, number: Option<u64>) {
        if let (Some(files), Some(number)) = (&self.files, number) {
            files.remove(number);
        }
    }

    /// Brings memory under its limit: the objects used longest ago go to the disk.
    fn shrink(&self) -> Result<()> {
        loop {
            let (key, object, version) = {
                let mut state = self.state();
                match state.victim(self.config.memory_limit) {
                    None => return Ok(()),
                    Some(Entry { place: Some(_), .. }) => {
                        state.release_victim();
                        continue;
                    }
                    Some(entry) => {
                        let Some(object) = entry.object.clone() else {
                            return Ok(());
                        };
                        (Arc::clone(&entry.key), object, entry.version)
                    }
                }
            };
            let number = self.files()?.write(object.as_slice(), false)?;
            if !self.state().moved(&key, version, Place::File(number)) {
                self.forget(Some(number));
            }
        }
    }

    fn read(&self, key: &str, place: Place, len: u64) -> Result<Option<Object>> {
        match (place, &self.index) {
            (Place::File(number), _) => self.files()?.read(number, len),
            (Place::Database, Some(index)) => match index.get(key)? {
                Some(Row::Value(value)) => Object::copy_from(&value).map(Some),
                _ => Ok(None),
            },
            (Place::Database, None) => Ok(None),
        }
    }
}

impl Objects for Storage {
    fn get(&self, key: &str) -> Result<Option<Object>> {
        // What is replaced while it is read is read again.
        for _ in 0..100 {
            let (version, place, len) = match self.state().find(key) {
                None => return Ok(None),
                Some(entry) => match (&entry.object, entry.place) {
                    (Some(object), _) => return Ok(Some(object.clone())),
                    (None, Some(place)) => (entry.version, place, entry.len),
                    (None, None) => return Ok(None),
                },
            };
            let read = self.read(key, place, len);
            let mut state = self.state();
            if !state.is_version(key, version) {
                continue;
            }
            let Some(object) = read? else {
                return Err(Error::new(
                    ErrorKind::Io,
                    "an object's bytes are gone from the endpoint's disk",
                ));
            };
            state.readmit(key, version, object.clone());
            drop(state);
            // It was read all the same if others find no place.
            let _ = self.shrink();
            return Ok(Some(object));
        }
        Err(Error::new(
            ErrorKind::Timeout,
            "the object is replaced again and again",
        ))
    }

    fn get_in_memory(&self, key: &str) -> Option<Option<Object>> {
        match self.state().find(key) {
            None => Some(None),
            Some(entry) => entry.object.clone().map(Some),
        }
    }

    fn put(&self, key: &str, object: Object) -> Result<()> {
        self.check(object.len() as u64)?;
        let len = object.len() as u64;
        let Some(index) = &self.index else {
            let (version, old) = self.state().insert(key, len, Some(object), None);
            if let Some(Place::File(number)) = old {
                self.forget(Some(number));
            }
            return self.shrink().inspect_err(|_| {
                let mut state = self.state();
                if state.is_version(key, version)
                    && let Some(Place::File(number)) = state.remove(key)
                {
                    self.forget(Some(number));
                }
            });
        };
        let _order = self.order(key);
        let place = self.persist(index, key, &object)?;
        self.state().insert(key, len, Some(object), Some(place));
        self.shrink()
    }

    fn is_quick(&self, len: usize) -> bool {
        self.index.is_none()
            && self.usage().in_memory.saturating_add(len as u64) <= self.config.memory_limit
    }

    fn exists(&self, key: &str) -> bool {
        self.state().find(key).is_some()
    }

    fn evict(&self, key: &str) -> Result<()> {
        let Some(index) = &self.index else {
            if let Some(Place::File(number)) = self.state().remove(key) {
                self.forget(Some(number));
            }
            return Ok(());
        };
        let _order = self.order(key);
        if self.exists(key) {
            self.forget(index.remove(key)?);
            self.state().remove(key);
        }
        Ok(())
    }

    fn limit(&self) -> Option<u64> {
        self.config.max_object_size
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage")
            .field("config", &self.config)
            .field("usage", &self.usage())
            .finish_non_exhaustive()
    }
}

/// Half of this machine's memory, or of what its container may have.
#[must_use]
pub fn default_memory_limit() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        })
        .map_or(4 << 30, |kibibytes| kibibytes << 10);
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .ok()
        .and_then(|text| text.trim().parse::<u64>().ok());
    container.unwrap_or(u64::MAX).min(machine) / 2
}

const _: () = assert!(IN_DATABASE < SHARED_ABOVE);
