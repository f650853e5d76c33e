//! Memory for many new Python objects in huge pages.
//!
//! CPython takes memory for small objects from the kernel in *arenas* of 1 MB, and every 4 kB of a
//! fresh one cost a page fault: with 1e5 objects these are a third to a half of the time in which
//! they are made. While large objects are decoded, arenas come in pairs that share one huge page,
//! which is one fault instead of 512.
//!
//! The interpreter's arena allocator is wrapped at the first large decoding, once and for all,
//! since an arena has to be freed by the allocator that gave it. At all other times the wrapper
//! passes the interpreter's requests on, but for halves of huge pages that are left over.

use pyo3::ffi;
use pyo3::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

/// What CPython 3.10 and later ask for. Should another version ask for something else, it gets it
/// from its own allocator.
const ARENA: usize = 1 << 20;
const HUGE_PAGE: usize = 2 << 20;
/// From this many bytes of pickled or packed objects on it is worth it: they take several times as
/// many bytes as objects.
const WORTH_FROM: usize = 256 << 10;

/// Huge pages without any object that are kept for the next: 16 MB. A fresh one has to be zeroed.
const KEPT: usize = 8;

/// How many large decodings are under way.
static WANTED: AtomicUsize = AtomicUsize::new(0);
static PAIRS: Mutex<Pairs> = Mutex::new(Pairs::new());
static INTERPRETERS_OWN: OnceLock<Own> = OnceLock::new();

/// The allocator that was there before.
struct Own(ffi::PyObjectArenaAllocator);

// SAFETY: functions and their context, which the interpreter itself calls on all threads.
unsafe impl Send for Own {}
// SAFETY: as above.
unsafe impl Sync for Own {}

/// Until it is dropped, new arenas are in huge pages.
pub(super) struct HugeArenas {
    /// Counted down by the thread that counted up, under the interpreter lock.
    _not_send: PhantomData<*const ()>,
}

impl HugeArenas {
    /// For objects that `len` bytes will be made into; `None` if they are few.
    pub(super) fn for_objects_of(_py: Python<'_>, len: usize) -> Option<Self> {
        if len < WORTH_FROM {
            return None;
        }
        INTERPRETERS_OWN.get_or_init(wrap);
        WANTED.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            _not_send: PhantomData,
        })
    }
}

impl Drop for HugeArenas {
    fn drop(&mut self) {
        WANTED.fetch_sub(1, Ordering::Relaxed);
    }
}

fn wrap() -> Own {
    let mut own = ffi::PyObjectArenaAllocator {
        ctx: null_mut(),
        alloc: None,
        free: None,
    };
    let mut wrapper = ffi::PyObjectArenaAllocator {
        ctx: null_mut(),
        alloc: Some(allocate),
        free: Some(free),
    };
    // SAFETY: the interpreter lock is held, and both structures live during the calls. Until
    // `own` is kept, nobody else can run and ask for an arena.
    unsafe {
        ffi::PyObject_GetArenaAllocator(&mut own);
        ffi::PyObject_SetArenaAllocator(&mut wrapper);
    }
    Own(own)
}

extern "C" fn allocate(_context: *mut c_void, size: usize) -> *mut c_void {
    if size == ARENA
        && let Ok(mut pairs) = PAIRS.lock()
        && let Some(arena) = pairs.take(WANTED.load(Ordering::Relaxed) > 0)
    {
        return arena as *mut c_void;
    }
    match INTERPRETERS_OWN.get().map(|own| (own.0.alloc, own.0.ctx)) {
        Some((Some(alloc), context)) => alloc(context, size),
        _ => null_mut(),
    }
}

extern "C" fn free(_context: *mut c_void, arena: *mut c_void, size: usize) {
    if let Ok(mut pairs) = PAIRS.lock()
        && pairs.give_back(arena as usize)
    {
        return;
    }
    if let Some((Some(free), context)) = INTERPRETERS_OWN.get().map(|own| (own.0.free, own.0.ctx)) {
        free(context, arena, size);
    }
}

/// Huge pages, each for two arenas.
struct Pairs {
    /// Address of each page, and which of its halves are in use: bit 0 the lower, bit 1 the upper.
    used: BTreeMap<usize, u8>,
    /// Halves that are not.
    idle: BTreeSet<usize>,
    /// How many pages have two of these.
    empty: usize,
}

impl Pairs {
    const fn new() -> Self {
        Self {
            used: BTreeMap::new(),
            idle: BTreeSet::new(),
            empty: 0,
        }
    }

    /// An arena that is left over, or if `fresh` the first half of another huge page.
    fn take(&mut self, fresh: bool) -> Option<usize> {
        if let Some(arena) = self.idle.pop_first() {
            let used = self.used.get_mut(&page_of(arena))?;
            self.empty -= usize::from(*used == 0);
            *used |= half_of(arena);
            return Some(arena);
        }
        let page = if fresh { map()? } else { return None };
        self.used.insert(page, 1);
        self.idle.insert(page + ARENA);
        Some(page)
    }

    /// Whether the arena is one of these, and is thereby given back.
    fn give_back(&mut self, arena: usize) -> bool {
        let page = page_of(arena);
        let Some(used) = self.used.get_mut(&page) else {
            return false;
        };
        *used &= !half_of(arena);
        if *used != 0 || self.empty < KEPT {
            self.empty += usize::from(*used == 0);
            // Of a page with one half in use the kernel would keep the other one anyway, until
            // memory is short.
            self.idle.insert(arena);
            return true;
        }
        self.used.remove(&page);
        self.idle.remove(&page);
        self.idle.remove(&(page + ARENA));
        // SAFETY: a mapping made by `map`, neither half of which is in use.
        unsafe { libc::munmap(page as *mut c_void, HUGE_PAGE) };
        true
    }
}

fn page_of(arena: usize) -> usize {
    arena & !(HUGE_PAGE - 1)
}

fn half_of(arena: usize) -> u8 {
    1 << ((arena / ARENA) % 2)
}

/// A fresh huge page, or memory in its place that becomes one where the kernel has any.
fn map() -> Option<usize> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
    let start = unsafe { libc::mmap(null_mut(), 2 * HUGE_PAGE, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let start = start as usize;
    let page = start.next_multiple_of(HUGE_PAGE);
    // SAFETY: what is cut off lies inside what was mapped and outside what is kept; the advice
    // concerns what is kept.
    unsafe {
        if page > start {
            libc::munmap(start as *mut c_void, page - start);
        }
        libc::munmap((page + HUGE_PAGE) as *mut c_void, start + HUGE_PAGE - page);
        libc::madvise(page as *mut c_void, HUGE_PAGE, libc::MADV_HUGEPAGE);
    }
    Some(page)
}
