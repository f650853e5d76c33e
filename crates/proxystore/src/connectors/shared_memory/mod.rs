//! Objects in this machine's shared memory: the embedded default.
//!
//! A *session* belongs to a program. The process that makes it, those forked from it, and those
//! that join it later hold it; when none of them lives, the next opener removes its objects. What
//! does not fit in shared memory goes to a directory on disk. `docs/storage.md` has the details.

mod control;
mod count;
mod fork_lock;
mod hold;
mod limit;
mod listing;
mod locks;
mod objects;
mod opening;
mod origin;
mod roots;
mod session;
mod sweep;

pub use listing::{Holder, SessionStatus, sessions};
pub use session::Session;

use super::file::{Directory, QUICK_UP_TO, watch};
use crate::config::setters;
use crate::{Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result};
use control::Control;
use hold::Hold;
use origin::Origin;
use std::fmt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

const KIND: &str = "shared-memory";
/// Where Linux has shared memory.
const SHARED_MEMORY: &str = "/dev/shm";

/// Environment variable: where shared memory is, instead of `/dev/shm`.
pub const DIR_VARIABLE: &str = "PROXYSTORE_SHM_DIR";
/// Environment variable: where to spill to, instead of `$TMPDIR`, `/tmp` or `/var/tmp`.
pub const SPILL_VARIABLE: &str = "PROXYSTORE_SPILL_DIR";
/// Environment variable: most bytes of shared memory.
pub const LIMIT_VARIABLE: &str = "PROXYSTORE_SHM_LIMIT";
/// Environment variable: the session that a process joins instead of making its own, so that what
/// a worker stores lives as long as the program that started it.
pub const SESSION_VARIABLE: &str = "PROXYSTORE_SHM_SESSION";

/// Where and how a [`SharedMemoryConnector`] keeps its objects. What is left out is taken from the
/// environment, and then from the machine.
///
/// ```
/// use proxystore::connectors::shared_memory::SharedMemoryConfig;
///
/// assert_eq!(SharedMemoryConfig::default().limit(1 << 30).limit, Some(1 << 30));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedMemoryConfig {
    /// Where shared memory is; by default `$PROXYSTORE_SHM_DIR`, then `/dev/shm`.
    pub dir: Option<PathBuf>,
    /// Where to put what does not fit; by default `$PROXYSTORE_SPILL_DIR`, then the first of
    /// `$TMPDIR`, `/tmp` and `/var/tmp` that is on a disk. Empty: nowhere, a full shared memory is
    /// an error.
    pub spill_dir: Option<PathBuf>,
    /// Most bytes of shared memory for the whole session; by default `$PROXYSTORE_SHM_LIMIT`, then
    /// half of what the file system has free and of what memory this process may use. Only the
    /// process that makes the session decides: a different limit than that of the session that
    /// this process has makes another one.
    pub limit: Option<u64>,
    /// The session to store into, which must live; by default `$PROXYSTORE_SHM_SESSION` if it lives, then the one
    /// that this process or the one it was forked from made, then a new one.
    pub session: Option<String>,
}

setters!(SharedMemoryConfig {
    dir: impl Into<PathBuf>,
    spill_dir: impl Into<PathBuf>,
    session: impl Into<String>,
} {
    limit: u64,
});

/// Keeps objects in shared memory as long as any process of the program that made them lives.
///
/// ```
/// use proxystore::connectors::shared_memory::{SharedMemoryConfig, SharedMemoryConnector};
/// use proxystore::{Connector, ConnectorExt};
///
/// let connector = SharedMemoryConnector::create(SharedMemoryConfig::default())?;
/// let key = connector.put_bytes(b"hello")?;
///
/// // In another process of this machine:
/// let other = SharedMemoryConnector::join(connector.session())?;
/// assert_eq!(other.get_vec(&key)?.as_deref(), Some(&b"hello"[..]));
/// # connector.close(true)?;
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct SharedMemoryConnector {
    session: Session,
    origin: Origin,
    hold: Hold,
    memory: Directory,
    /// The descriptor of `memory` when last looked at; see `keep_hold`.
    memory_fd: AtomicI32,
    /// Opened at first need.
    spill: OnceLock<Directory>,
    closed: AtomicBool,
}

/// What a session holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes in shared memory, in whole pages.
    pub used: u64,
    /// Most of them.
    pub limit: u64,
    /// Bytes on disk.
    pub spilled: u64,
    /// Bytes in shared memory of evicted objects, kept for the next ones: they count towards the
    /// limit, and go when it is reached.
    pub recycled: u64,
}

impl Usage {
    fn of(control: &Control) -> Self {
        Self {
            used: control.used.load(Ordering::Relaxed),
            limit: control.limit.load(Ordering::Relaxed),
            spilled: control.spilled.load(Ordering::Relaxed),
            recycled: control.recycled.load(Ordering::Relaxed),
        }
    }
}

impl SharedMemoryConnector {
    fn of(session: Session, hold: Hold, memory: Directory, origin: Origin) -> Self {
        let memory = memory.in_a_session();
        Self {
            session,
            origin,
            hold,
            memory_fd: AtomicI32::new(memory.fd()),
            memory,
            spill: OnceLock::new(),
            closed: AtomicBool::new(false),
        }
    }

    /// What another process needs to [`join`](Self::join).
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What the whole session holds, this connector's objects and those of others.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(self.hold.control())
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::new(
                ErrorKind::Closed,
                "the connector was closed, so it stores nothing more: open a new one",
            )
            .with_connector(KIND));
        }
        Ok(())
    }
}

impl Connector for SharedMemoryConnector {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn url(&self) -> Option<String> {
        self.session.to_url()
    }

    fn capability(&self) -> Capability {
        Capability {
            deferred_set: true,
            expiry: true,
            process_bound: true,
            notify: true,
            cross_process: true,
            ..Capability::default()
        }
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        self.check_open()?;
        let key = Key::fresh();
        self.store_fresh(&key, payload)?;
        Ok(key)
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        self.check_open()?;
        self.store_over(key, payload)
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        self.look(|directory| directory.fetch(key, access))
    }

    fn get_quick(&self, key: &Key, access: Access) -> Result<Option<Option<Blob>>> {
        // What is not in memory may be on a disk, which is as quick only while it is cached.
        match self.memory.fetch_up_to(QUICK_UP_TO, key, access)? {
            Some(None) if self.has_spilled() => Ok(None),
            found => Ok(found),
        }
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        let found = self.look(|directory| Ok(directory.contains(key)?.then_some(())));
        Ok(found?.is_some())
    }

    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        // A spill directory that is only made meanwhile is seen at the next look.
        let directories: Vec<_> = [Some(&self.memory), self.spill.get()]
            .into_iter()
            .flatten()
            .collect();
        watch::wait(&directories, timeout, || self.exists(key))
    }

    fn evict(&self, key: &Key) -> Result<()> {
        self.remove(key)
    }

    fn touch(&self, keys: &[Key], lease: Duration) -> Result<Vec<bool>> {
        let touch = |key| self.look(|place| Ok(place.touch(key, lease)?.then_some(())));
        let touched = keys.iter().map(|key| Ok(touch(key)?.is_some()));
        touched.collect()
    }

    /// The ledger is in memory, where there is always room for it.
    fn bind_to_process(&self, keys: &[Key]) -> Result<()> {
        self.check_open()?;
        self.memory.bind_to_process(keys)
    }

    fn evict_bound(&self) -> Result<()> {
        self.memory.evict_bound()
    }

    fn sweep(&self) -> Result<()> {
        self.look(|place| place.sweep().map(|()| None::<()>))
            .map(drop)
    }

    fn keys(&self) -> Result<Vec<Key>> {
        self.stored_keys()
    }

    /// With `clear`, removes the objects of this place, not those that others keep in the same
    /// session. After it nothing more is stored.
    fn close(&self, clear: bool) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        self.empty_recycled();
        if clear { self.remove_all() } else { Ok(()) }
    }

    fn is_quick(&self, len: usize) -> bool {
        len <= QUICK_UP_TO
    }
}

impl fmt::Debug for SharedMemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedMemoryConnector({:?})", self.memory)
    }
}

impl fmt::Display for SharedMemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shm://{}/{}", self.session.name, self.session.place)
    }
}

fn path_variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name)?;
    (!value.is_empty()).then(|| PathBuf::from(value))
}
