//! Recycled, aligned memory for received objects.
//!
//! A page fault costs more than copying the page, so memory that was used before is worth keeping:
//! what a [`Buffer`] lets go is kept warm, by size class, up to [`pool_limit`] bytes.
//!
//! There is no lock. Each class has a few slots that hold one pointer each; taking swaps a pointer
//! out, giving back swaps one in. So a thread never waits for another, and a forked child finds
//! every slot either full or empty, never half-changed.

use super::{ALIGN, Region, anonymous};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::{NonNull, null_mut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// The smallest class.
const SMALLEST: usize = 256;
/// Four sizes between one power of two and the next: at most a quarter of a buffer is unused.
const PER_DOUBLING: usize = 4;
/// From 256 bytes to 256 MiB; larger buffers are not kept.
const DOUBLINGS: usize = 20;
const LARGEST: usize = SMALLEST << DOUBLINGS;
const CLASSES: usize = PER_DOUBLING * DOUBLINGS + 1;
const _: () = assert!(CLASSES <= 256, "a class fits in a byte");
/// Buffers kept in each class, at most.
const SLOTS: usize = 16;
/// From here on memory comes in mappings of its own, in huge pages where there are any: filling
/// 128 MB of fresh memory runs at 2 GB/s in 4 kB pages, at 6 GB/s in huge ones.
const MAPPED_FROM: usize = anonymous::HUGE_PAGE;
/// What the pool keeps unless the environment says otherwise.
const DEFAULT_LIMIT: usize = 256 << 20;
/// Overrides [`DEFAULT_LIMIT`], in bytes; 0 keeps nothing.
const LIMIT_VARIABLE: &str = "PROXYSTORE_POOL_BYTES";

static POOL: [[AtomicPtr<u8>; SLOTS]; CLASSES] =
    [const { [const { AtomicPtr::new(null_mut()) }; SLOTS] }; CLASSES];
/// Bytes in all slots. Only a bound: a fork amid another thread's change may leave it off by one
/// buffer, until the pool is cleared.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Most bytes that the pool keeps: 256 MiB, or what `PROXYSTORE_POOL_BYTES` said at first use.
fn pool_limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        std::env::var(LIMIT_VARIABLE)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(DEFAULT_LIMIT)
    })
}

/// Bytes of a class.
const fn class_size(class: usize) -> usize {
    let base = SMALLEST << (class / PER_DOUBLING);
    base + base / PER_DOUBLING * (class % PER_DOUBLING)
}

/// The smallest class that `len` bytes fit in.
fn class_of(len: usize) -> Option<usize> {
    if len <= SMALLEST {
        return Some(0);
    }
    if len > LARGEST {
        return None;
    }
    let doubling = (len - 1).ilog2() as usize; // of the power of two below `len`
    let base = 1_usize << doubling;
    let quarter = (len - base).div_ceil(base / PER_DOUBLING); // 1..=4
    Some((doubling - SMALLEST.ilog2() as usize) * PER_DOUBLING + quarter)
}

fn take(class: usize) -> Option<NonNull<u8>> {
    POOL[class]
        .iter()
        .find_map(|slot| {
            if slot.load(Ordering::Relaxed).is_null() {
                return None;
            }
            NonNull::new(slot.swap(null_mut(), Ordering::Acquire))
        })
        .inspect(|_| {
            KEPT.fetch_sub(class_size(class), Ordering::Relaxed);
        })
}

/// Keeps a buffer of a class; false if there is no room.
fn keep(start: NonNull<u8>, class: usize) -> bool {
    let size = class_size(class);
    if KEPT.fetch_add(size, Ordering::Relaxed).wrapping_add(size) <= pool_limit() {
        for slot in &POOL[class] {
            let free = slot.load(Ordering::Relaxed).is_null()
                && slot
                    .compare_exchange(
                        null_mut(),
                        start.as_ptr(),
                        Ordering::Release,
                        Ordering::Relaxed,
                    )
                    .is_ok();
            if free {
                return true;
            }
        }
    }
    KEPT.fetch_sub(size, Ordering::Relaxed);
    false
}

/// Where a buffer's memory came from, and so where it goes.
#[derive(Clone, Copy)]
enum Origin {
    /// Of a class; from the heap below [`MAPPED_FROM`], else a mapping.
    Class(u8),
    /// A mapping of its own of this many bytes, too large to keep.
    Mapped(usize),
    /// The heap, since no mapping could be had.
    Heap,
}

fn heap_layout(size: usize) -> Option<Layout> {
    Layout::from_size_align(size.max(1), ALIGN).ok()
}

fn heap(size: usize) -> Option<NonNull<u8>> {
    // SAFETY: the layout is never of size zero.
    heap_layout(size).and_then(|layout| NonNull::new(unsafe { alloc(layout) }))
}

/// # Safety
/// `start` came from `heap(size)` and is used no more.
unsafe fn free_heap(start: NonNull<u8>, size: usize) {
    if let Some(layout) = heap_layout(size) {
        // SAFETY: the caller's promise; the layout is the one it was made with.
        unsafe { dealloc(start.as_ptr(), layout) }
    }
}

/// # Safety
/// `start` is memory of this class that nobody uses.
unsafe fn free_class(start: NonNull<u8>, class: usize) {
    let size = class_size(class);
    if size >= MAPPED_FROM {
        // SAFETY: classes of this size are mappings of exactly this length.
        unsafe { anonymous::unmap(start, size) }
    } else {
        // SAFETY: smaller ones are from the heap.
        unsafe { free_heap(start, size) }
    }
}

/// Writable memory of a fixed length, aligned to [`ALIGN`], private to its holder. Its first
/// content is arbitrary. It comes from a pool and goes back there.
pub struct Buffer {
    start: NonNull<u8>,
    len: usize,
    origin: Origin,
}

impl Buffer {
    /// Memory of `len` bytes.
    ///
    /// Aborts the process if there is no memory, as `Vec` does;
    /// [`try_with_len`](Self::try_with_len) does not.
    #[allow(
        clippy::missing_panics_doc,
        reason = "lengths beyond the address space alone"
    )]
    #[must_use]
    pub fn with_len(len: usize) -> Self {
        Self::try_with_len(len).unwrap_or_else(|| {
            let layout = heap_layout(len).expect("a length that fits the address space");
            handle_alloc_error(layout)
        })
    }

    /// Memory of `len` bytes, or `None` if the system or a limit (`RLIMIT_DATA`) gives none.
    #[must_use]
    pub fn try_with_len(len: usize) -> Option<Self> {
        let Some(class) = class_of(len) else {
            return match anonymous::map(len) {
                Some((start, mapped)) => Some(Self {
                    start,
                    len,
                    origin: Origin::Mapped(mapped),
                }),
                None => Self::from_heap(len),
            };
        };
        let size = class_size(class);
        let start = take(class).or_else(|| {
            if size < MAPPED_FROM {
                heap(size)
            } else {
                anonymous::map(size).map(|(start, _)| start)
            }
        });
        match start {
            Some(start) => Some(Self {
                start,
                len,
                origin: Origin::Class(class as u8),
            }),
            // Mappings run out before memory does (`vm.max_map_count`); the heap may still grow.
            None => Self::from_heap(len),
        }
    }

    fn from_heap(len: usize) -> Option<Self> {
        heap(len).map(|start| Self {
            start,
            len,
            origin: Origin::Heap,
        })
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        match self.origin {
            Origin::Class(class) => {
                let class = usize::from(class);
                if !keep(self.start, class) {
                    // SAFETY: the memory is of this class, and this was its only holder.
                    unsafe { free_class(self.start, class) }
                }
            }
            // SAFETY: mapped in `try_with_len` with this length.
            Origin::Mapped(size) => unsafe { anonymous::unmap(self.start, size) },
            // SAFETY: allocated in `from_heap` with this length, which never changes.
            Origin::Heap => unsafe { free_heap(self.start, self.len) },
        }
    }
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Buffer {}
// SAFETY: shared access only reads.
unsafe impl Sync for Buffer {}

// SAFETY: the memory stays in place until the buffer is dropped, and is private to it.
unsafe impl Region for Buffer {
    fn start(&self) -> NonNull<u8> {
        self.start
    }
    fn len(&self) -> usize {
        self.len
    }
    fn is_writable(&self) -> bool {
        true
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `len` bytes are allocated; any content is valid for `u8` once written, and every
        // maker of a buffer fills it before it is read.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.len)
    }
}

/// Gives pooled memory that nobody uses back to the system.
pub fn clear_pool() {
    for class in 0..CLASSES {
        while let Some(start) = take(class) {
            // SAFETY: taken out of the pool, so nobody else has it.
            unsafe { free_class(start, class) }
        }
    }
    #[cfg(feature = "memory")]
    crate::connectors::memory::clear_segments();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_smallest_that_fits() {
        for len in (0..70_000).chain([1 << 20, (1 << 20) + 1, LARGEST - 1, LARGEST]) {
            let class = class_of(len).unwrap();
            assert!(class < CLASSES);
            assert!(class_size(class) >= len, "{len}");
            assert!(class == 0 || class_size(class - 1) < len, "{len}");
        }
        assert_eq!(class_of(LARGEST + 1), None);
    }

    #[test]
    fn every_length_is_aligned_and_takes_writes() {
        for len in [
            0,
            1,
            63,
            256,
            257,
            4096,
            1 << 20,
            (2 << 20) + 1,
            5 << 20,
            LARGEST + 1,
        ] {
            let mut buffer = Buffer::with_len(len);
            assert_eq!(buffer.as_ptr() as usize % ALIGN, 0);
            assert_eq!(buffer.len(), len);
            if let Some(last) = buffer.last_mut() {
                *last = 7;
            }
            if let Some(first) = buffer.first_mut() {
                *first = 7;
            }
        }
    }

    #[test]
    fn memory_is_used_again() {
        // A class of its own: tests run side by side.
        let len = 3_000_017;
        let buffer = Buffer::with_len(len);
        let first = buffer.as_ptr();
        drop(buffer);
        let again = Buffer::with_len(len);
        assert_eq!(again.as_ptr(), first);
        let other = Buffer::with_len(len);
        assert_ne!(other.as_ptr(), first);
    }

    #[test]
    fn threads_never_share_a_buffer() {
        std::thread::scope(|scope| {
            for mark in 0..4_u8 {
                scope.spawn(move || {
                    for round in 0..2000_usize {
                        let mut held: Vec<_> = (0..20)
                            .map(|i| Buffer::with_len(1000 + 97 * ((round + i) % 7)))
                            .collect();
                        for buffer in &mut held {
                            buffer.fill(mark);
                        }
                        assert!(held.iter().all(|b| b.iter().all(|byte| *byte == mark)));
                    }
                });
            }
        });
    }

    #[test]
    fn an_impossible_length_is_refused() {
        assert!(Buffer::try_with_len(usize::MAX / 2).is_none());
        assert!(Buffer::try_with_len(usize::MAX).is_none());
    }
}
