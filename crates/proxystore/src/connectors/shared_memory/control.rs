//! What all processes of a session share: its limit and what it holds, in the lock file's first
//! page.

use crate::blob::anonymous;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

const PAGE: usize = 4096;
const MAGIC: u64 = u64::from_le_bytes(*b"PXSHM001");
const SPILL_PATH_AT: usize = 128;

/// The counters. They bound what is stored; they are not exact: a process that dies between
/// counting and storing leaves them too high, until they are counted anew.
#[repr(C)]
pub(super) struct Counters {
    magic: AtomicU64,
    /// Most bytes in shared memory.
    pub(super) limit: AtomicU64,
    /// Bytes in shared memory, in whole pages.
    pub(super) used: AtomicU64,
    /// Bytes spilled to disk.
    pub(super) spilled: AtomicU64,
    /// Objects that were ever spilled: at 0 nobody needs to look on the disk.
    pub(super) spills: AtomicU64,
    /// Seconds since 1970 when `used` was last counted.
    pub(super) counted: AtomicU64,
    /// Bytes in shared memory of evicted objects, kept for the next ones.
    pub(super) recycled: AtomicU64,
}

/// The mapped page.
pub(super) struct Control(NonNull<Counters>);

// SAFETY: shared memory that is reached by atomics only.
unsafe impl Send for Control {}
// SAFETY: as above.
unsafe impl Sync for Control {}

impl Control {
    /// Writes a new page.
    pub(super) fn create(
        file: BorrowedFd<'_>,
        limit: u64,
        spill: Option<&Path>,
    ) -> io::Result<Self> {
        let path = spill.map_or(&[][..], |path| path.as_os_str().as_bytes());
        let mut page = [0_u8; PAGE];
        let room = &mut page[SPILL_PATH_AT..];
        if path.len() + 2 > room.len() {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        room[..2].copy_from_slice(&(path.len() as u16).to_le_bytes());
        room[2..2 + path.len()].copy_from_slice(path);
        // Written, not mapped and filled: a full file system then is an error instead of SIGBUS.
        // SAFETY: pointer and length describe the page.
        let wrote = unsafe { libc::pwrite(file.as_raw_fd(), page.as_ptr().cast(), PAGE, 0) };
        if wrote != PAGE as isize {
            return Err(io::Error::last_os_error());
        }
        let control = Self::map(file)?;
        control.limit.store(limit, Ordering::Relaxed);
        control.magic.store(MAGIC, Ordering::Release);
        Ok(control)
    }

    /// Maps the page of a session that is there.
    pub(super) fn open(file: BorrowedFd<'_>) -> io::Result<Self> {
        let found = crate::connectors::file::system::stat(file.as_raw_fd())?;
        if found.st_size < PAGE as i64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let control = Self::map(file)?;
        if control.magic.load(Ordering::Acquire) == MAGIC {
            Ok(control)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    fn map(file: BorrowedFd<'_>) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let fd = file.as_raw_fd();
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                protection,
                libc::MAP_SHARED,
                fd,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast())
            .map(Self)
            .ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// The directory, shared by many users, that the session spills below.
    pub(super) fn spill_dir(&self) -> Option<PathBuf> {
        let page = self.0.as_ptr().cast::<u8>().cast_const();
        // SAFETY: the path is within the page and was written once, before anybody could map it.
        let room =
            unsafe { std::slice::from_raw_parts(page.add(SPILL_PATH_AT), PAGE - SPILL_PATH_AT) };
        let len = usize::from(u16::from_le_bytes([room[0], room[1]]));
        let path = room.get(2..2 + len)?;
        (!path.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(path)))
    }

    /// Counts `bytes` in if they stay within the limit.
    pub(super) fn charge(&self, bytes: u64) -> bool {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before
            .checked_add(bytes)
            .is_some_and(|after| after <= self.limit.load(Ordering::Relaxed));
        if !fits {
            discharge(&self.used, bytes);
        }
        fits
    }

    /// Counts in by how much what is kept of evicted objects has grown; says whether that and what
    /// is stored stay within the limit together.
    pub(super) fn count_recycled(&self, grown: i64) -> bool {
        if grown > 0 {
            self.recycled
                .fetch_add(grown.unsigned_abs(), Ordering::Relaxed);
        } else if grown < 0 {
            discharge(&self.recycled, grown.unsigned_abs());
        }
        let used = self.used.load(Ordering::Relaxed);
        let both = used.checked_add(self.recycled.load(Ordering::Relaxed));
        both.is_some_and(|both| both <= self.limit.load(Ordering::Relaxed))
    }
}

/// Counts `bytes` out, and stays at zero where the counter was too low.
pub(super) fn discharge(counter: &AtomicU64, bytes: u64) {
    // Never fails: the closure always gives a value.
    let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
        Some(now.saturating_sub(bytes))
    });
}

impl std::ops::Deref for Control {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        // SAFETY: mapped while this value lives, aligned to a page, and any bytes are a valid
        // `Counters`.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // SAFETY: mapped in `map` with this length, and used no more.
        unsafe { anonymous::unmap(self.0.cast(), PAGE) }
    }
}
