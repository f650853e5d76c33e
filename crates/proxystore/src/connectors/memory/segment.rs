//! Memory of large objects: written once, then mapped copy-on-write by each get.

use crate::blob::gather::{Target, gather};
use crate::blob::{Mapping, Region, anonymous};
use crate::fork;
use crate::{Blob, Payload};
use std::any::Any;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Objects from this length on are mapped rather than copied: below, copying to warm memory costs
/// no more than the faults of a mapping that is then read.
pub(super) const MAPPED_FROM: usize = 4 << 20;
/// Most bytes of segments that wait for their next use: a segment that was used is four times as
/// quick to fill as a fresh one.
const KEPT_LIMIT: usize = 256 << 20;
/// Most segments that wait.
const SLOTS: usize = 16;
/// Most segments in all: each takes a file descriptor, of which a program often has only 1024.
/// Objects beyond are copied.
const MOST: usize = 128;
/// `MADV_COLLAPSE`, which older C libraries do not name.
const COLLAPSE: libc::c_int = 25;

/// Memory without a name in any directory, and our own view of it. Once it is shared it is written
/// to no more, until nobody can see it.
struct Segment {
    file: OwnedFd,
    start: NonNull<u8>,
    capacity: usize,
    len: usize,
    /// Bytes that have been used before.
    touched: usize,
    /// A fork shares the memory with the child, so nothing from before it is ever written again.
    epoch: u64,
}

// SAFETY: the mapping belongs to this value; any thread may use it.
unsafe impl Send for Segment {}
// SAFETY: shared access only reads.
unsafe impl Sync for Segment {}

/// A file in memory, which goes with its descriptor.
#[cfg(target_os = "linux")]
fn nameless_file() -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let (name, flags) = (c"proxystore".as_ptr(), libc::MFD_CLOEXEC);
    // The C library of 2012 has no function of that name.
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_create, name, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that is ours alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// Without such files large objects are copied.
#[cfg(not(target_os = "linux"))]
fn nameless_file() -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Segment {
    fn create(capacity: usize) -> io::Result<Self> {
        if LIVE.load(Ordering::Relaxed) >= MOST {
            clear();
            if LIVE.load(Ordering::Relaxed) >= MOST {
                return Err(io::Error::from_raw_os_error(libc::EMFILE));
            }
        }
        let file = nameless_file()?;
        let fd = file.as_raw_fd();
        let refused = || io::Error::from_raw_os_error(libc::ENOMEM);
        let len = libc::off_t::try_from(capacity).map_err(|_| refused())?;
        // SAFETY: only numbers go in.
        if unsafe { libc::ftruncate(fd, len) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let start = anonymous::map_file(file.as_fd(), capacity, protection, libc::MAP_SHARED)?;
        Ok(Self {
            file,
            start,
            capacity,
            len: 0,
            touched: 0,
            epoch: fork::epoch(),
        })
        .inspect(|_| {
            LIVE.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn fill(&mut self, payload: &Payload<'_>) {
        self.len = payload.len();
        let joins = AtomicBool::new(true);
        let prepare = |part: Range<usize>| {
            // Where the kernel does not join pages they come with the copy, as usual.
            if part.end > self.touched && joins.load(Ordering::Relaxed) {
                joins.store(self.join(part.start, part.end), Ordering::Relaxed);
            }
            true
        };
        let (start, len) = (self.start, self.len);
        // SAFETY: the mapping is at least as long; `&mut self` says that nobody reads it.
        unsafe { gather(payload.pieces(), start, len, Target::Ready, prepare) };
        self.touched = self.touched.max(len);
    }

    /// Makes a range, which begins with a piece, huge pages; false if the kernel does not.
    fn join(&self, from: usize, to: usize) -> bool {
        let to = to.next_multiple_of(anonymous::HUGE_PAGE);
        // The kernel joins what is there: one byte in each huge page is enough.
        for at in (from..to).step_by(anonymous::HUGE_PAGE) {
            let fd = self.file.as_raw_fd();
            // SAFETY: one byte is read from a place that has one.
            let wrote = unsafe { libc::pwrite(fd, c"".as_ptr().cast(), 1, at as libc::off_t) };
            if wrote != 1 {
                return false;
            }
        }
        // SAFETY: the capacity is a multiple of a huge page, so the range lies in the mapping.
        let start = unsafe { self.start.as_ptr().add(from) };
        // SAFETY: advice about a part of the mapping.
        unsafe { libc::madvise(start.cast(), to - from, COLLAPSE) == 0 }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: mapped in `create` with this length, and used no more.
        unsafe { anonymous::unmap(self.start, self.capacity) };
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stored object in a segment. The last holder gives the segment back for another object.
pub(super) struct Stored {
    /// Always there until dropped.
    segment: Option<Box<Segment>>,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: `start` points into the segment, which any thread may use.
unsafe impl Send for Stored {}
// SAFETY: shared access only reads.
unsafe impl Sync for Stored {}

impl Stored {
    /// A copy of a payload, or `None` if the system has no such memory.
    pub(super) fn new(payload: &Payload<'_>) -> Option<Self> {
        let capacity = capacity(payload.len())?;
        let mut segment = match take(capacity) {
            Some(segment) => segment,
            None => Box::new(Segment::create(capacity).ok()?),
        };
        segment.fill(payload);
        Some(Self {
            start: segment.start,
            len: segment.len,
            segment: Some(segment),
        })
    }

    /// A private, writable view; `None` if the system gives none (`vm.max_map_count`,
    /// `RLIMIT_DATA`).
    pub(super) fn map(self: &Arc<Self>) -> Option<Blob> {
        let file = self.segment.as_ref()?.file.as_fd();
        let mapping = Mapping::private(file, self.len).ok()?;
        Some(Blob::new(Private {
            mapping,
            _stored: Arc::clone(self),
        }))
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if let Some(segment) = self.segment.take()
            && segment.epoch == fork::epoch()
        {
            keep(segment);
        }
    }
}

// SAFETY: the bytes stay in place while the segment lives; they are not offered for writing.
unsafe impl Region for Stored {
    fn start(&self) -> NonNull<u8> {
        self.start
    }
    fn len(&self) -> usize {
        self.len
    }
    fn is_writable(&self) -> bool {
        false
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A private mapping of a segment, which must not be used anew while parts of it are seen here.
struct Private {
    mapping: Mapping,
    _stored: Arc<Stored>,
}

// SAFETY: the mapping is one that takes writes and stays in place.
unsafe impl Region for Private {
    fn start(&self) -> NonNull<u8> {
        self.mapping.start()
    }
    fn len(&self) -> usize {
        self.mapping.len()
    }
    fn is_writable(&self) -> bool {
        self.mapping.is_writable()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Bytes of the segment for an object: whole huge pages, an eighth too many at most, so that
/// objects of nearly the same length use one another's.
fn capacity(len: usize) -> Option<usize> {
    let step = (len / 16).max(1).checked_next_power_of_two()?;
    len.checked_next_multiple_of(step.max(anonymous::HUGE_PAGE))
}

static KEPT: [AtomicPtr<Segment>; SLOTS] = [const { AtomicPtr::new(ptr::null_mut()) }; SLOTS];
static LIVE: AtomicUsize = AtomicUsize::new(0);
static KEPT_BYTES: AtomicUsize = AtomicUsize::new(0);

/// A waiting segment of this capacity.
fn take(capacity: usize) -> Option<Box<Segment>> {
    for slot in &KEPT {
        let Some(segment) = empty(slot) else { continue };
        if segment.epoch != fork::epoch() {
            continue; // drops it: it may be seen on the other side of a fork
        }
        if segment.capacity == capacity {
            return Some(segment);
        }
        keep(segment);
    }
    None
}

fn empty(slot: &AtomicPtr<Segment>) -> Option<Box<Segment>> {
    if slot.load(Ordering::Relaxed).is_null() {
        return None;
    }
    let taken = slot.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: a slot holds null or what `keep` put there, and the swap makes it ours alone.
    let segment = (!taken.is_null()).then(|| unsafe { Box::from_raw(taken) })?;
    KEPT_BYTES.fetch_sub(segment.capacity, Ordering::Relaxed);
    Some(segment)
}

fn keep(segment: Box<Segment>) {
    let size = segment.capacity;
    if KEPT_BYTES
        .fetch_add(size, Ordering::Relaxed)
        .saturating_add(size)
        <= KEPT_LIMIT
    {
        let pointer = Box::into_raw(segment);
        for slot in &KEPT {
            let null = ptr::null_mut();
            if slot
                .compare_exchange(null, pointer, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return;
            }
        }
        // SAFETY: made by `into_raw` above and given to nobody.
        drop(unsafe { Box::from_raw(pointer) });
    }
    KEPT_BYTES.fetch_sub(size, Ordering::Relaxed);
}

/// Gives the memory of all waiting segments back to the system.
pub(crate) fn clear() {
    KEPT.iter().filter_map(empty).for_each(drop);
}
