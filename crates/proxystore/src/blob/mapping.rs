//! Files as memory.

use super::{Region, anonymous};
use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;

/// A file's bytes as memory: reading takes them from the page cache, without a copy.
///
/// The file must keep its length. Whoever cuts it short while it is mapped makes the process that
/// touches the missing part receive `SIGBUS`; removing the file's name does no harm.
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    mapped: usize,
    writable: bool,
}

impl Mapping {
    /// The first `len` bytes of a file, copy-on-write: they may be written to, and what is written
    /// is seen through this mapping alone.
    ///
    /// # Errors
    /// If the kernel refuses: no more mappings (`vm.max_map_count`), `RLIMIT_DATA`, `RLIMIT_AS`, or
    /// a file that cannot be mapped.
    pub fn private(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        // Not MAP_POPULATE: on a writable private mapping it copies every page.
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        Self::map(
            file,
            len,
            protection,
            libc::MAP_PRIVATE | libc::MAP_NORESERVE,
        )
    }

    /// The first `len` bytes of a file, for reading only.
    ///
    /// # Errors
    /// As [`private`](Self::private), but `RLIMIT_DATA` does not count it.
    pub fn read_only(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::map(file, len, libc::PROT_READ, libc::MAP_SHARED)
    }

    fn map(
        file: BorrowedFd<'_>,
        len: usize,
        protection: libc::c_int,
        flags: libc::c_int,
    ) -> io::Result<Self> {
        if len == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let refused = || io::Error::from_raw_os_error(libc::ENOMEM);
        let mapped = anonymous::extent(len).ok_or_else(refused)?;
        Ok(Self {
            start: anonymous::map_file(file, mapped, protection, flags)?,
            len,
            mapped,
            writable: protection & libc::PROT_WRITE != 0,
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length; the last holder is going.
        unsafe { anonymous::unmap(self.start, self.mapped) }
    }
}

// SAFETY: the mapping belongs to this value; any thread may use it.
unsafe impl Send for Mapping {}
// SAFETY: shared access only reads.
unsafe impl Sync for Mapping {}

// SAFETY: the mapping stays in place until it is dropped; a writable one is private. That the file
// keeps its length is the promise of whoever shares the directory.
unsafe impl Region for Mapping {
    fn start(&self) -> NonNull<u8> {
        self.start
    }
    fn len(&self) -> usize {
        self.len
    }
    fn is_writable(&self) -> bool {
        self.writable
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapping({} bytes)", self.len)
    }
}
