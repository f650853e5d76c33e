//! Shared memory that objects lie in, and that is used again when nobody sees it any more.
//!
//! A segment is a memfd. Clients get descriptors of it that were opened anew: read-only to map an
//! object, for writing to fill one. A mapping keeps its opening alive, and so does nothing else of
//! a client that died. The kernel grants a *write lease* on a file only if nobody else has it open:
//! that is how we know that a segment may be used again, or that a client can write no more.

use crate::huge::{self, HUGE_PAGE};
use proxystore::{Error, ErrorKind, Result};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `MFD_NOEXEC_SEAL`, which kernels before 6.3 do not know.
const NOEXEC: libc::c_uint = 8;
/// Huge pages from which on two threads take them: a thread costs a quarter of one.
const PARALLEL_FROM: usize = 8;
/// Most bytes of segments that wait for their next use.
const KEPT_LIMIT: usize = 256 << 20;
/// Most segments that wait; each takes a descriptor.
const MOST_KEPT: usize = 64;

/// A memfd of a fixed length, mapped here.
pub(crate) struct Segment {
    file: OwnedFd,
    start: NonNull<u8>,
    capacity: usize,
}

// SAFETY: the mapping belongs to this value; any thread may use it.
unsafe impl Send for Segment {}
// SAFETY: a shared segment is only read; those who write (`Draft`) see to it that they are alone.
unsafe impl Sync for Segment {}

impl Segment {
    /// A segment for an object of `len` bytes: one that was used before, or a new one.
    pub(crate) fn take(len: usize) -> Result<Self> {
        let full = || Error::new(ErrorKind::Full, format!("no memory for {len} bytes"));
        let capacity = capacity(len).ok_or_else(full)?;
        if let Some(segment) = find(capacity) {
            return Ok(segment);
        }
        let segment = Self::create(capacity).map_err(|error| full().with_source(error))?;
        segment.populate(len);
        Ok(segment)
    }

    fn create(capacity: usize) -> io::Result<Self> {
        let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
        let name = c"proxystore-endpoint".as_ptr();
        // The C library of 2012 has no function of that name.
        // SAFETY: the name is a C string.
        let make = |flags: libc::c_uint| unsafe {
            libc::syscall(libc::SYS_memfd_create, name, flags) as libc::c_int
        };
        let mut fd = make(flags | NOEXEC);
        if fd < 0 {
            fd = make(flags);
        }
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor that is ours alone.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        let refused = || io::Error::from_raw_os_error(libc::ENOMEM);
        let len = libc::off_t::try_from(capacity).map_err(|_| refused())?;
        // A client that cut it short would kill whoever reads it.
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        // SAFETY: only numbers go in.
        let made = unsafe {
            libc::ftruncate(fd, len) == 0
                && libc::fchmod(fd, 0o600) == 0
                && libc::fcntl(fd, libc::F_ADD_SEALS, seals) == 0
        };
        if !made {
            return Err(io::Error::last_os_error());
        }
        // The kernel does not count the first descriptor of a memfd among those that have it open,
        // so that no lease on it is ever granted; one that was opened it counts.
        let file = reopen(&file, true)?;
        let start = huge::map_shared(file.as_fd(), capacity)?;
        Ok(Self {
            file,
            start,
            capacity,
        })
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// An opening of its own, for a client: to map, or to fill.
    pub(crate) fn open(&self, writable: bool) -> io::Result<OwnedFd> {
        reopen(&self.file, writable)
    }

    /// Whether nobody but this process can see the memory: no opening that was handed out lives,
    /// nor any mapping of one.
    pub(crate) fn is_unseen(&self) -> bool {
        let fd = self.file.as_raw_fd();
        // SAFETY: only numbers go in. The lease is given back at once.
        unsafe {
            libc::fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK) == 0
                && libc::fcntl(fd, libc::F_SETLEASE, libc::F_UNLCK) == 0
        }
    }

    /// Takes memory for the first `len` bytes, in huge pages where the kernel makes some: filling
    /// them costs a third of filling small ones. Two threads do it for a large object: nearly all
    /// of the time the kernel clears pages.
    fn populate(&self, len: usize) {
        let pages = len
            .min(self.capacity)
            .div_ceil(HUGE_PAGE)
            .min(self.capacity / HUGE_PAGE);
        let half = if pages < PARALLEL_FROM {
            pages
        } else {
            pages / 2
        };
        std::thread::scope(|scope| {
            if half < pages {
                // Where no thread is to be had, those pages come when they are filled.
                let _ = std::thread::Builder::new()
                    .name("proxystore-pages".to_owned())
                    .spawn_scoped(scope, || self.join(half..pages));
            }
            self.join(0..half);
        });
    }

    /// Takes some of the huge pages, as far as the kernel goes along.
    fn join(&self, pages: Range<usize>) {
        for page in pages {
            // SAFETY: within the mapping, which nobody else has yet; no two threads have the same
            // page. The kernel joins what is there: one byte is enough.
            let joined = unsafe {
                let start = self.start.as_ptr().add(page * HUGE_PAGE);
                start.write_volatile(0);
                huge::join(start)
            };
            if !joined {
                return;
            }
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: mapped in `create` with this length, and used no more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.capacity) };
    }
}

fn reopen(file: &OwnedFd, writable: bool) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let file: File = OpenOptions::new().read(true).write(writable).open(path)?;
    Ok(file.into())
}

/// Bytes of the segment for an object: an eighth too many at most, so that objects of nearly the
/// same length use one another's.
fn capacity(len: usize) -> Option<usize> {
    let step = (len / 16).max(1).checked_next_power_of_two()?;
    let least = if len < HUGE_PAGE { 64 << 10 } else { HUGE_PAGE };
    len.max(1).checked_next_multiple_of(step.max(least))
}

static KEPT: Mutex<Vec<Segment>> = Mutex::new(Vec::new());

fn kept() -> MutexGuard<'static, Vec<Segment>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A waiting segment of this capacity that nobody sees.
fn find(capacity: usize) -> Option<Segment> {
    let mut kept = kept();
    let at = kept
        .iter()
        .position(|segment| segment.capacity == capacity && segment.is_unseen())?;
    Some(kept.swap_remove(at))
}

/// Takes back a segment whose object is gone here. Clients may see it for as long as they like.
pub(crate) fn keep(segment: Segment) {
    if !leases_work() {
        return; // nobody could tell when it may be used again
    }
    let mut kept = kept();
    kept.push(segment);
    let mut bytes: usize = kept.iter().map(|segment| segment.capacity).sum();
    // The oldest go first: clients that still see one keep its memory themselves.
    while bytes > KEPT_LIMIT || kept.len() > MOST_KEPT {
        bytes -= kept.remove(0).capacity;
    }
}

/// Whether this kernel grants leases on such files at all.
fn leases_work() -> bool {
    static KNOWN: AtomicBool = AtomicBool::new(false);
    static WORK: AtomicBool = AtomicBool::new(false);
    if !KNOWN.load(Ordering::Acquire) {
        let work = Segment::create(64 << 10).is_ok_and(|segment| {
            segment.is_unseen()
                && segment.open(false).is_ok_and(|_open| !segment.is_unseen())
                && segment.is_unseen()
        });
        WORK.store(work, Ordering::Relaxed);
        KNOWN.store(true, Ordering::Release);
    }
    WORK.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxystore::blob::Mapping;

    #[test]
    fn what_a_client_sees_is_not_used_again() {
        assert!(leases_work(), "this kernel grants no leases on memfds");
        let len = 7_000_000; // no other test has one of this length
        let segment = Segment::take(len).unwrap();
        let start = segment.start();
        let opening = segment.open(false).unwrap();
        let mapping = Mapping::private(opening.as_fd(), len).unwrap();
        drop(opening);
        keep(segment);
        assert_ne!(Segment::take(len).unwrap().start(), start, "it is mapped");
        drop(mapping);
        assert_eq!(Segment::take(len).unwrap().start(), start);
    }

    #[test]
    fn an_opening_for_writing_is_seen() {
        let segment = Segment::take(2_000_000).unwrap();
        assert!(segment.is_unseen());
        let opening = segment.open(true).unwrap();
        assert!(!segment.is_unseen());
        drop(opening);
        assert!(segment.is_unseen());
    }

    #[test]
    fn a_client_cannot_cut_it_short() {
        let segment = Segment::take(2_000_000).unwrap();
        let file: File = segment.open(true).unwrap().into();
        assert!(file.set_len(0).is_err());
    }
}
