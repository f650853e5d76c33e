//! The system calls that a directory of objects needs, as functions that give `io::Result`.

use crate::Key;
use smallvec::SmallVec;
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Most pieces that the kernel takes in one call.
const MOST_VECTORS: usize = 1024;

/// A file name with the zero byte that system calls want, without an allocation.
pub(crate) struct Name([u8; 256]);

impl Name {
    pub(crate) fn of(key: &Key) -> Self {
        Self::new(key.as_str())
    }

    /// # Panics
    /// If the name is longer than 255 bytes; no key is.
    pub(crate) fn new(name: &str) -> Self {
        let mut bytes = [0; 256];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        assert!(name.len() < bytes.len(), "a file name of up to 255 bytes");
        Self(bytes)
    }

    pub(crate) fn as_c_str(&self) -> &CStr {
        // The last byte is always zero.
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Locks a file for this process alone, until it closes any descriptor of it or ends; false if
/// another process holds it.
pub(crate) fn claim(file: RawFd) -> io::Result<bool> {
    record_lock(file, libc::F_WRLCK)
}

/// A record lock on a whole file; false if another process's stands in its way.
pub(crate) fn record_lock(file: RawFd, kind: libc::c_int) -> io::Result<bool> {
    // SAFETY: all fields of `flock` are numbers; zero means the whole file.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: `lock` is a whole `flock`.
    match retry(|| unsafe { libc::fcntl(file, libc::F_SETLK, &raw const lock) }) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Calls again as long as a signal interrupts; turns -1 into the error.
pub(crate) fn retry(mut call: impl FnMut() -> libc::c_int) -> io::Result<libc::c_int> {
    loop {
        let got = call();
        if got >= 0 {
            return Ok(got);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
}

pub(crate) fn open_at(
    directory: RawFd,
    name: &CStr,
    flags: libc::c_int,
    mode: libc::mode_t,
) -> io::Result<OwnedFd> {
    let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: `name` ends with a zero byte.
    let fd = retry(|| unsafe { libc::openat(directory, name.as_ptr(), flags, mode) })?;
    // SAFETY: just opened, so owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes and says whether that worked: on network file systems a full disk shows only here.
pub(crate) fn close(file: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is owned and given up here.
    let got = unsafe { libc::close(file.into_raw_fd()) };
    let error = io::Error::last_os_error();
    // After EINTR the descriptor is closed all the same.
    if got == 0 || error.raw_os_error() == Some(libc::EINTR) {
        Ok(())
    } else {
        Err(error)
    }
}

pub(crate) fn stat(file: RawFd) -> io::Result<libc::stat> {
    let mut found = MaybeUninit::uninit();
    // SAFETY: `found` has room for one `stat`.
    retry(|| unsafe { libc::fstat(file, found.as_mut_ptr()) })?;
    // SAFETY: filled in, since the call succeeded.
    Ok(unsafe { found.assume_init() })
}

/// Of the name itself, also if it is a link.
pub(crate) fn stat_at(directory: RawFd, name: &CStr) -> io::Result<libc::stat> {
    let mut found = MaybeUninit::uninit();
    let flags = libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: `found` has room for one `stat`; `name` ends with a zero byte.
    retry(|| unsafe { libc::fstatat(directory, name.as_ptr(), found.as_mut_ptr(), flags) })?;
    // SAFETY: filled in, since the call succeeded.
    Ok(unsafe { found.assume_init() })
}

/// Fails unless there is such a name.
pub(crate) fn access_at(directory: RawFd, name: &CStr) -> io::Result<()> {
    // SAFETY: `name` ends with a zero byte.
    retry(|| unsafe { libc::faccessat(directory, name.as_ptr(), libc::F_OK, 0) })?;
    Ok(())
}

pub(crate) fn unlink_at(directory: RawFd, name: &CStr) -> io::Result<()> {
    // SAFETY: `name` ends with a zero byte.
    retry(|| unsafe { libc::unlinkat(directory, name.as_ptr(), 0) })?;
    Ok(())
}

pub(crate) fn rename_at(directory: RawFd, from: &CStr, to: &CStr) -> io::Result<()> {
    // SAFETY: both names end with a zero byte.
    retry(|| unsafe { libc::renameat(directory, from.as_ptr(), directory, to.as_ptr()) })?;
    Ok(())
}

pub(crate) fn remove_directory(path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    // SAFETY: the path ends with a zero byte.
    retry(|| unsafe { libc::rmdir(path.as_ptr()) })?;
    Ok(())
}

/// Sets a file's length.
pub(crate) fn truncate(file: &OwnedFd, len: usize) -> io::Result<()> {
    let len = libc::off_t::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: only numbers go in.
    retry(|| unsafe { libc::ftruncate(file.as_raw_fd(), len) })?;
    Ok(())
}

/// `instead` where there is no such name.
pub(crate) fn absent_is<T>(result: io::Result<T>, instead: T) -> io::Result<T> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(instead),
        other => other,
    }
}

/// Reads up to the end of `target`; gives the number of bytes before the end of the file.
pub(crate) fn read_at(file: &OwnedFd, target: &mut [u8], offset: usize) -> io::Result<usize> {
    let mut filled = 0;
    while filled < target.len() {
        let rest = &mut target[filled..];
        let at = libc::off_t::try_from(offset + filled).unwrap_or(libc::off_t::MAX);
        // SAFETY: pointer and length describe `rest`.
        let got =
            unsafe { libc::pread(file.as_raw_fd(), rest.as_mut_ptr().cast(), rest.len(), at) };
        match got {
            0 => break,
            1.. => filled += got as usize,
            _ => {
                let error = io::Error::last_os_error();
                if error.raw_os_error() != Some(libc::EINTR) {
                    return Err(error);
                }
            }
        }
    }
    Ok(filled)
}

/// Pieces of memory still to be written.
pub(crate) struct Vectors<'a> {
    vectors: SmallVec<[io::IoSlice<'a>; 8]>,
    next: usize,
}

impl<'a> Vectors<'a> {
    pub(crate) fn new(pieces: &[&'a [u8]]) -> Self {
        Self {
            vectors: pieces.iter().map(|piece| io::IoSlice::new(piece)).collect(),
            next: 0,
        }
    }

    /// Writes everything at the file's position.
    pub(crate) fn write_to(mut self, file: &OwnedFd) -> io::Result<()> {
        while self.next < self.vectors.len() {
            let rest = &self.vectors[self.next..];
            let count = rest.len().min(MOST_VECTORS) as libc::c_int;
            // SAFETY: `IoSlice` has the layout of `iovec`; `count` of them are there.
            let got = unsafe { libc::writev(file.as_raw_fd(), rest.as_ptr().cast(), count) };
            match got {
                // Pieces are not empty, so this never makes progress.
                0 => return Err(io::ErrorKind::WriteZero.into()),
                1.. => self.advance(got as usize),
                _ => {
                    let error = io::Error::last_os_error();
                    if error.raw_os_error() != Some(libc::EINTR) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Leaves out the first `count` bytes.
    pub(crate) fn advance(&mut self, mut count: usize) {
        while let Some(vector) = self.vectors.get_mut(self.next) {
            if count < vector.len() {
                vector.advance(count);
                return;
            }
            count -= vector.len();
            self.next += 1;
        }
    }
}
