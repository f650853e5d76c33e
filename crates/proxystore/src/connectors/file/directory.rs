//! An open directory whose files are objects.

use super::file_system::FileSystem;
use super::older;
use super::recycle::{self, RECYCLED_FROM};
use super::system::{self, Name};
use crate::{Error, ErrorKind, Key, Result};
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering};

/// Files that are not objects begin so; no key may.
pub(super) const RESERVED_PREFIX: &str = ".proxystore-";

/// A directory, held open: what happens to the path above it later does not lead astray.
pub(crate) struct Directory {
    path: PathBuf,
    /// The connector's name, for errors.
    kind: &'static str,
    /// Replaced when the directory was removed and made again.
    fd: AtomicI32,
    /// Its inode, to know `fd` by.
    inode: AtomicU64,
    /// Whether the directories above may be made, too.
    makes_parents: bool,
    file_system: FileSystem,
    /// For new files: others may read what the directory lets them reach.
    file_mode: libc::mode_t,
    /// How an unnamed file gets its name here; see `publish`.
    pub(super) naming: AtomicU8,
    /// Whether pages can be joined here; see `huge`.
    pub(super) joining: AtomicU8,
    /// Most bytes of evicted objects that are kept for later ones; see `recycle`.
    recycled_limit: AtomicU64,
    /// What the next get expects; see `fetch`.
    pub(super) last_was_mapped: AtomicBool,
    /// Whether any were kept through this value.
    has_recycled: AtomicBool,
}

impl Directory {
    /// Opens a directory and makes it, for this user alone, if it is not there.
    pub(crate) fn create(path: &Path, kind: &'static str) -> Result<Self> {
        let path = std::path::absolute(path)
            .map_err(|error| failure(kind, error, "finding the directory", path))?;
        make(&path, true).map_err(|error| failure(kind, error, "making the directory", &path))?;
        Self::open(&path, kind)
    }

    /// Opens a directory that is there. `path` is absolute.
    pub(crate) fn open(path: &Path, kind: &'static str) -> Result<Self> {
        let opened = || {
            let fd = open_trusted(path)?;
            let found = system::stat(fd.as_raw_fd())?;
            let file_system = FileSystem::of(fd.as_raw_fd())?;
            Ok((fd, found, file_system))
        };
        let (fd, found, file_system) =
            opened().map_err(|error| failure(kind, error, "opening the directory", path))?;
        let recycled_limit = recycle::limit(fd.as_raw_fd(), &found, file_system);
        Ok(Self {
            path: path.to_owned(),
            kind,
            fd: AtomicI32::new(fd.into_raw_fd()),
            inode: AtomicU64::new(found.st_ino),
            makes_parents: true,
            file_system,
            file_mode: 0o600 | (found.st_mode & 0o044),
            naming: AtomicU8::new(0),
            joining: AtomicU8::new(0),
            recycled_limit: AtomicU64::new(recycled_limit),
            has_recycled: AtomicBool::new(false),
            last_was_mapped: AtomicBool::new(false),
        })
    }

    /// As if it were on another file system than this machine has.
    #[cfg(test)]
    pub(super) fn pretending(mut self, file_system: FileSystem) -> Self {
        self.file_system = file_system;
        self
    }

    /// For a part of something larger: if that is gone, this is not made again.
    pub(crate) fn in_a_session(mut self) -> Self {
        self.makes_parents = false;
        self
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.fd.load(Ordering::Acquire)
    }

    pub(crate) fn file_system(&self) -> FileSystem {
        self.file_system
    }

    pub(super) fn file_mode(&self) -> libc::mode_t {
        self.file_mode
    }

    pub(super) fn kind(&self) -> &'static str {
        self.kind
    }

    /// As it is wanted where nobody counts what is kept.
    pub(crate) fn without_recycling(self) -> Self {
        self.recycle_nothing();
        self
    }

    pub(super) fn recycled_limit(&self) -> u64 {
        self.recycled_limit.load(Ordering::Relaxed)
    }

    /// From here on evicted objects are removed.
    pub(super) fn recycle_nothing(&self) {
        self.recycled_limit.store(0, Ordering::Relaxed);
    }

    pub(super) fn note_recycled(&self) {
        self.has_recycled.store(true, Ordering::Relaxed);
    }

    /// Whether evicted objects were kept through this value.
    pub(crate) fn has_recycled(&self) -> bool {
        self.has_recycled.load(Ordering::Relaxed)
    }

    /// Whether there is an object under a key.
    pub(crate) fn contains(&self, key: &Key) -> Result<bool> {
        let name = self.name(key)?;
        let found = self.look(|| system::access_at(self.fd(), name.as_c_str()));
        system::absent_is(found.map(|()| true), false)
            .and_then(|found| Ok(found || self.stat_leased(key)?.is_some()))
            .map_err(|error| self.error(error, "looking for an object", key))
    }

    /// Bytes of an object, or `None` if there is none.
    pub(crate) fn len_of(&self, key: &Key) -> Result<Option<u64>> {
        let name = self.name(key)?;
        let found = self.look(|| system::stat_at(self.fd(), name.as_c_str()));
        let found = system::absent_is(found.map(Some), None);
        found
            .and_then(|found| match found {
                Some(found) => Ok(Some(found)),
                None => self.stat_leased(key),
            })
            .map(|found| found.map(|found| found.st_size as u64))
            .map_err(|error| self.error(error, "looking for an object", key))
    }

    /// Removes an object, or keeps its pages for another; gives by how many bytes what is kept so
    /// has grown, and `None` if there was no object.
    pub(crate) fn remove(&self, key: &Key) -> Result<Option<i64>> {
        let name = self.name(key)?;
        let removed = self.look(|| self.remove_file(name.as_c_str()));
        older::remove_marker(self.fd(), key);
        system::absent_is(removed.map(Some), None)
            .and_then(|removed| match removed {
                Some(grown) => Ok(Some(grown)),
                None => Ok(self.remove_leased(key)?.then_some(0)),
            })
            .map_err(|error| self.error(error, "evicting an object", key))
    }

    fn remove_file(&self, name: &CStr) -> io::Result<i64> {
        if self.recycled_limit() > 0 {
            let found = system::stat_at(self.fd(), name)?;
            if found.st_size as u64 >= RECYCLED_FROM {
                return self.recycle(name, &found);
            }
        }
        system::unlink_at(self.fd(), name).map(|()| 0)
    }

    /// The file name of a key.
    pub(crate) fn name(&self, key: &Key) -> Result<Name> {
        if key.as_str().starts_with(RESERVED_PREFIX) {
            return Err(Error::new(
                ErrorKind::InvalidKey,
                format!("keys that begin with {RESERVED_PREFIX:?} are kept for temporary files"),
            )
            .with_connector(self.kind)
            .with_key(key));
        }
        Ok(Name::of(key))
    }

    /// After a failed call: whether the directory had been lost and is open again, so that the call
    /// may be tried once more. Somebody's `close` may have removed it while it was empty, and
    /// somebody's `put` have made it anew; or a daemon closed every descriptor it had.
    pub(crate) fn recover(&self, error: &io::Error, remake: bool) -> bool {
        let fd = self.fd();
        let removed = match error.raw_os_error() {
            Some(libc::EBADF | libc::ENOTDIR) => false,
            // Usually ENOENT; ext4 says EPERM to a link into a directory that is gone.
            _ if system::stat(fd).is_ok_and(|found| found.st_nlink == 0) => true,
            _ => return false,
        };
        if remake && make(&self.path, self.makes_parents).is_err() {
            return false;
        }
        let opened = || {
            let new = open_trusted(&self.path)?;
            let found = system::stat(new.as_raw_fd())?;
            io::Result::Ok((new, found.st_ino))
        };
        let Ok((new, inode)) = opened() else {
            return false;
        };
        self.inode.store(inode, Ordering::Relaxed);
        if removed {
            // The old descriptor is ours: the new directory takes its place, at once for all
            // threads.
            // SAFETY: both descriptors are open and owned here.
            unsafe { libc::dup3(new.as_raw_fd(), fd, libc::O_CLOEXEC) >= 0 }
        } else {
            // The number is no longer ours, so it is not closed.
            self.fd.store(new.into_raw_fd(), Ordering::Release);
            true
        }
    }

    /// Looks something up; once more if the directory had been lost.
    pub(super) fn look<T>(&self, look: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match look() {
            Err(error) if self.recover(&error, false) => look(),
            other => other,
        }
    }

    /// An error about an object.
    pub(crate) fn error(&self, error: io::Error, doing: &str, key: &Key) -> Error {
        failure(self.kind, error, doing, &self.path).with_key(key)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let (fd, inode) = (self.fd(), self.inode.load(Ordering::Relaxed));
        // A daemon may have closed it, and another file have got its number.
        if system::stat(fd).is_ok_and(|found| found.st_ino == inode) {
            // SAFETY: owned by this value; nobody uses it any more.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({:?})", self.path, self.file_system)
    }
}

/// Makes a directory, and those above it if `parents`, each for this user alone.
fn make(path: &Path, parents: bool) -> io::Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(parents)
        .mode(0o700)
        .create(path);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        other => other,
    }
}

/// Opens a directory; a link in its place is followed only if this user or root put it there.
fn open_trusted(path: &Path) -> io::Result<OwnedFd> {
    let name = system::c_path(path)?;
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
    match system::open_at(libc::AT_FDCWD, &name, flags, 0) {
        // With O_DIRECTORY a link that is not followed gives ENOTDIR.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENOTDIR)) => {
            let link = std::fs::symlink_metadata(path)?;
            // SAFETY: no more than a number comes back.
            let user = unsafe { libc::geteuid() };
            if !link.is_symlink() {
                return Err(error);
            }
            if link.uid() != user && link.uid() != 0 {
                return Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    format!("it is a link that user {} put there", link.uid()),
                ));
            }
            // SAFETY: `name` ends with a zero byte.
            let fd = system::retry(|| unsafe { libc::open(name.as_ptr(), flags) })?;
            // SAFETY: just opened, so owned by nobody else.
            Ok(unsafe { OwnedFd::from_raw_fd(fd) })
        }
        other => other,
    }
}

/// An I/O error that names the directory; one that is not there counts as unreachable.
pub(crate) fn failure(kind: &'static str, error: io::Error, doing: &str, path: &Path) -> Error {
    let message = format!("{doing} in {}", path.display());
    let made = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR | libc::ESTALE) => {
            Error::new(ErrorKind::Unreachable, message).with_source(error)
        }
        Some(libc::EROFS) => Error::new(ErrorKind::PermissionDenied, message).with_source(error),
        _ => Error::io(error, message),
    };
    made.with_connector(kind)
}
