//! Removing what is ours from a directory, and nothing else.

use super::directory::{Directory, RESERVED_PREFIX, failure};
use super::system;
use crate::frame::MAGIC;
use crate::{Key, Result};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

impl Directory {
    /// Removes our objects, then the directory if nothing else is in it.
    ///
    /// Ours are regular files with a name that [`Key::fresh`] makes, our temporary files, and
    /// files of any other name whose content is a frame.
    pub(crate) fn clear(&self) -> Result<()> {
        let doing = "removing the objects";
        let fd = self.fd();
        let cleared = (|| {
            for entry in entries(fd)? {
                if is_ours(fd, &entry) {
                    system::absent_is(system::unlink_at(fd, &entry), ())?;
                }
            }
            Ok(())
        })();
        let cleared = system::absent_is(cleared, ());
        cleared.map_err(|error| failure(self.kind(), error, doing, self.path()))?;
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
                _ => Err(failure(self.kind(), error, doing, self.path())),
            },
        }
    }
}

fn is_ours(directory: RawFd, name: &CStr) -> bool {
    let Ok(found) = system::stat_at(directory, name) else {
        return false;
    };
    if found.st_mode & libc::S_IFMT != libc::S_IFREG {
        return false;
    }
    let Ok(text) = name.to_str() else {
        return false;
    };
    Key::is_fresh_form(text)
        || text
            .strip_prefix(RESERVED_PREFIX)
            .is_some_and(Key::is_fresh_form)
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
