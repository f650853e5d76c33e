//! Removing what is ours from a directory, and nothing else.

use super::directory::{Directory, RESERVED_PREFIX, failure};
use super::lease::{KEPT_DIRECTORY, is_alive, key_of_leased};
use super::older::is_older;
use super::system;
use crate::blob::anonymous::extent;
use crate::frame::MAGIC;
use crate::{Key, Result};
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr::NonNull;

impl Directory {
    /// Removes our objects, then the directory if nothing else is in it.
    ///
    /// Ours are regular files with a name that [`Key::fresh`] makes, our temporary files, and
    /// files of any other name whose content is a frame; also what ProxyStore 1.x put there.
    pub(crate) fn clear(&self) -> Result<()> {
        self.remove_where(is_ours)?;
        self.remove_recycled();
        self.remove_if_empty()
    }

    /// Removes every file, in a directory that is ours alone, then the directory, and gives the
    /// bytes that were in them.
    pub(crate) fn clear_all(&self) -> Result<u64> {
        let bytes = self.remove_where(|_, _, found| is_file(found))?;
        self.remove_recycled();
        self.remove_if_empty()?;
        Ok(bytes)
    }

    /// The keys of our objects.
    pub(crate) fn keys(&self) -> Result<Vec<Key>> {
        let fd = self.fd();
        let found = || {
            let mut keys = Vec::new();
            for entry in entries(fd)? {
                let text = entry.to_str().unwrap_or_default();
                let leased = key_of_leased(text);
                let key = Key::new(leased.unwrap_or(text)).ok();
                let Some(key) = key.filter(|key| !key.as_str().starts_with(RESERVED_PREFIX)) else {
                    continue;
                };
                let found = system::absent_is(system::stat_at(fd, &entry).map(Some), None)?;
                if found.is_some_and(|found| {
                    is_ours(fd, &entry, &found) && (leased.is_none() || is_alive(&found))
                }) {
                    keys.push(key);
                }
            }
            Ok(keys)
        };
        system::absent_is(found(), Vec::new())
            .map_err(|error| failure(self.kind(), error, "listing the objects", self.path()))
    }

    fn remove_where(&self, chosen: impl Fn(RawFd, &CStr, &libc::stat) -> bool) -> Result<u64> {
        let fd = self.fd();
        let removed = || {
            // Chosen first: whether one file is ours may depend on another.
            let mut ours = Vec::new();
            for entry in entries(fd)? {
                let found = system::absent_is(system::stat_at(fd, &entry).map(Some), None)?;
                if let Some(found) = found.filter(|found| chosen(fd, &entry, found)) {
                    ours.push((entry, found.st_size as u64));
                }
            }
            let mut bytes = 0;
            for (name, len) in ours {
                system::absent_is(system::unlink_at(fd, &name), ())?;
                bytes += footprint(len);
            }
            Ok(bytes)
        };
        system::absent_is(removed(), 0).map_err(|error| self.clearing(error))
    }

    fn remove_if_empty(&self) -> Result<()> {
        // The ledgers of processes that have noted objects here: they begin new ones.
        let _ = std::fs::remove_dir_all(
            self.path()
                .join(OsStr::from_bytes(KEPT_DIRECTORY.to_bytes())),
        );
        match system::remove_directory(self.path()) {
            Ok(()) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // Gone already, not empty, a mount point, or above us is not ours to change.
                Some(
                    libc::ENOENT
                    | libc::ENOTEMPTY
                    | libc::EEXIST
                    | libc::EBUSY
                    | libc::EACCES
                    | libc::EPERM
                    | libc::ENOTDIR
                    | libc::EROFS,
                ) => Ok(()),
                _ => Err(self.clearing(error)),
            },
        }
    }

    fn clearing(&self, error: io::Error) -> crate::Error {
        failure(self.kind(), error, "removing the objects", self.path())
    }
}

/// What an object of `len` bytes takes at most: whole pages, and one at least for its inode.
pub(crate) fn footprint(len: u64) -> u64 {
    let extent = usize::try_from(len).ok().and_then(extent);
    extent.map_or(u64::MAX, |extent| extent as u64)
}

fn is_file(found: &libc::stat) -> bool {
    found.st_mode & libc::S_IFMT == libc::S_IFREG
}

fn is_ours(directory: RawFd, name: &CStr, found: &libc::stat) -> bool {
    if !is_file(found) {
        return false;
    }
    let Ok(text) = name.to_str() else {
        return false;
    };
    let temporary = text.strip_prefix(RESERVED_PREFIX);
    Key::is_fresh_form(text)
        || key_of_leased(text).is_some()
        || temporary.is_some_and(Key::is_fresh_form)
        || is_older(directory, text, found)
        || holds_frame(directory, name)
}

fn holds_frame(directory: RawFd, name: &CStr) -> bool {
    let mut start = [0; MAGIC.len()];
    system::open_at(directory, name, libc::O_RDONLY | libc::O_NONBLOCK, 0)
        .and_then(|file| system::read_at(&file, &mut start, 0))
        .is_ok_and(|got| got == start.len() && start == MAGIC)
}

/// The names in a directory, but for `.` and `..`.
pub(crate) fn entries(directory: RawFd) -> io::Result<Vec<CString>> {
    // A descriptor of its own: reading moves its position.
    let own: OwnedFd = system::open_at(directory, c".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    // SAFETY: an open directory.
    let stream = unsafe { libc::fdopendir(own.as_raw_fd()) };
    let Some(stream) = NonNull::new(stream) else {
        return Err(io::Error::last_os_error());
    };
    let _ = own.into_raw_fd(); // the stream owns it now
    let mut names = Vec::new();
    let failed = loop {
        // SAFETY: errno belongs to this thread.
        unsafe { *libc::__errno_location() = 0 };
        // SAFETY: the stream is open and used here alone.
        let entry = unsafe { libc::readdir(stream.as_ptr()) };
        let Some(entry) = NonNull::new(entry) else {
            let error = io::Error::last_os_error();
            break (error.raw_os_error() != Some(0)).then_some(error);
        };
        // SAFETY: valid until the next `readdir`; the name ends with a zero byte.
        let name = unsafe { CStr::from_ptr((*entry.as_ptr()).d_name.as_ptr()) };
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    };
    // SAFETY: closed once.
    unsafe { libc::closedir(stream.as_ptr()) };
    failed.map_or(Ok(names), Err)
}
