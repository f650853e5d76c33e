//! Objects as files in a directory, which every process and host that sees it shares.
//!
//! One object is one file, named by its key. How it behaves on memory, disk and network file
//! systems is described in `docs/storage.md`.

// Shared memory uses more of a directory than files do.
#![cfg_attr(not(feature = "shared-memory"), allow(dead_code, unused_imports))]

mod clear;
mod directory;
mod fetch;
mod file_system;
mod huge;
mod lease;
mod ledger;
mod older;
mod publish;
pub(crate) mod recycle;
pub(crate) mod system;
pub(crate) mod watch;

pub use file_system::FileSystem;

pub(crate) use clear::{entries, footprint};
pub(crate) use directory::{Directory, failure};
pub(crate) use file_system::statistics;

use crate::config::setters;
use crate::{Access, Blob, Capability, Connector, Error, ErrorKind, Key, Payload, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Up to this length, storing and fetching on this machine's file systems ends within some
/// 100 µs: less than it costs to get a contended lock such as Python's back.
pub(crate) const QUICK_UP_TO: usize = 256 << 10;

/// Where and how a [`FileConnector`] keeps its objects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileConfig {
    /// The directory; made, for this user alone, if it is not there. A relative path counts from
    /// the working directory at the time of opening.
    pub dir: PathBuf,
    /// What a `close` that does not say otherwise should do: remove our objects, and the directory
    /// if it is empty then.
    pub clear_on_close: bool,
}

impl FileConfig {
    /// A directory, cleared on close as ProxyStore 1.x did.
    ///
    /// ```
    /// use proxystore::connectors::file::FileConfig;
    ///
    /// assert!(FileConfig::new("objects").clear_on_close);
    /// ```
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            clear_on_close: true,
        }
    }
}

setters!(FileConfig {} { clear_on_close: bool, });

/// Keeps each object in a file of one directory.
///
/// ```
/// use proxystore::connectors::file::{FileConfig, FileConnector};
/// use proxystore::{Connector, ConnectorExt};
///
/// let dir = std::env::temp_dir().join(format!("proxystore-example-{}", std::process::id()));
/// let connector = FileConnector::open(FileConfig::new(dir))?;
/// let key = connector.put_bytes(b"hello")?;
/// assert_eq!(connector.get_vec(&key)?.as_deref(), Some(&b"hello"[..]));
/// connector.close(true)?;
/// # Ok::<(), proxystore::Error>(())
/// ```
pub struct FileConnector {
    directory: Directory,
    clear_on_close: bool,
    closed: AtomicBool,
}

const KIND: &str = "file";

impl FileConnector {
    /// Opens a directory of objects.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] or [`ErrorKind::Unreachable`], naming the path, if the
    /// directory cannot be made or opened.
    pub fn open(config: FileConfig) -> Result<Self> {
        if config.dir.as_os_str().is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "dir is empty: name the directory that is to keep the objects",
            )
            .with_connector(KIND));
        }
        let directory = Directory::create(&config.dir, KIND)?;
        // What cannot be removed stays for the next opener: no reason to keep this one from its work.
        let _ = directory.sweep();
        Ok(Self {
            directory,
            clear_on_close: config.clear_on_close,
            closed: AtomicBool::new(false),
        })
    }

    /// The directory, absolute.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// The configuration that opens the same place again.
    #[must_use]
    pub fn config(&self) -> FileConfig {
        FileConfig {
            dir: self.dir().to_owned(),
            clear_on_close: self.clear_on_close,
        }
    }

    /// What kind of file system the directory is on.
    #[must_use]
    pub fn file_system(&self) -> FileSystem {
        self.directory.file_system()
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

impl Connector for FileConnector {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn url(&self) -> Option<String> {
        // Who opens it elsewhere does not own it.
        let dir = crate::percent::encode(self.dir().to_str()?);
        Some(format!("file://{dir}?clear=false"))
    }

    fn capability(&self) -> Capability {
        Capability {
            deferred_set: true,
            expiry: true,
            process_bound: true,
            notify: self.file_system().is_local(),
            cross_process: true,
            cross_host: !self.file_system().is_local(),
            ..Capability::default()
        }
    }

    fn put(&self, payload: &Payload<'_>) -> Result<Key> {
        self.check_open()?;
        let key = Key::fresh();
        self.directory.publish_fresh(&key, payload)?;
        Ok(key)
    }

    fn set(&self, key: &Key, payload: &Payload<'_>) -> Result<()> {
        self.check_open()?;
        self.directory.publish_over(key, payload).map(drop)
    }

    fn get(&self, key: &Key, access: Access) -> Result<Option<Blob>> {
        self.directory.fetch(key, access)
    }

    fn get_quick(&self, key: &Key, access: Access) -> Result<Option<Option<Blob>>> {
        if self.file_system().is_local() {
            self.directory.fetch_up_to(QUICK_UP_TO, key, access)
        } else {
            Ok(None)
        }
    }

    fn exists(&self, key: &Key) -> Result<bool> {
        self.directory.contains(key)
    }

    fn wait(&self, key: &Key, timeout: Duration) -> Result<bool> {
        watch::wait(&[&self.directory], timeout, || self.exists(key))
    }

    fn evict(&self, key: &Key) -> Result<()> {
        self.directory.remove(key).map(drop)
    }

    fn touch(&self, keys: &[Key], lease: Duration) -> Result<Vec<bool>> {
        keys.iter()
            .map(|key| self.directory.touch(key, lease))
            .collect()
    }

    fn bind_to_process(&self, keys: &[Key]) -> Result<()> {
        self.check_open()?;
        self.directory.bind_to_process(keys)
    }

    fn evict_bound(&self) -> Result<()> {
        self.directory.evict_bound()
    }

    fn sweep(&self) -> Result<()> {
        self.directory.sweep()
    }

    fn keys(&self) -> Result<Vec<Key>> {
        self.directory.keys()
    }

    /// With `clear`, removes our objects and the directory if it is then empty. After it nothing
    /// more is stored; what is still there can be read and evicted.
    fn close(&self, clear: bool) -> Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        recycle::empty(self.directory.fd());
        if clear {
            self.directory.clear()
        } else {
            Ok(())
        }
    }

    fn is_quick(&self, len: usize) -> bool {
        len <= QUICK_UP_TO && self.file_system().is_local()
    }
}

impl Drop for FileConnector {
    fn drop(&mut self) {
        if self.directory.has_recycled() {
            recycle::empty(self.directory.fd());
        }
    }
}

impl fmt::Debug for FileConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileConnector({:?})", self.directory)
    }
}

impl fmt::Display for FileConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file://{}", self.dir().display())
    }
}
