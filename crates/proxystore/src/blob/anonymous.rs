//! Mappings at addresses that huge pages need.

use std::ptr::{NonNull, null_mut};

/// Bytes of a huge page of this architecture; mappings of files and memory begin at multiples of it.
pub(crate) const HUGE_PAGE: usize = 2 << 20;
const PAGE: usize = 4096;

/// Maps `len` bytes, rounded up to pages, at a multiple of [`HUGE_PAGE`].
fn map_aligned(len: usize, protection: libc::c_int) -> Option<(NonNull<u8>, usize)> {
    let mapped = page_multiple(len)?;
    let reserved = mapped.checked_add(HUGE_PAGE)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
    let start = unsafe { libc::mmap(null_mut(), reserved, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return None;
    }
    let start = start.cast::<u8>();
    let before = start.align_offset(HUGE_PAGE);
    // SAFETY: `before < HUGE_PAGE`, so this is inside what was mapped.
    let aligned = unsafe { start.add(before) };
    // SAFETY: both ends lie inside what was mapped, which is ours, and outside what is kept.
    // Should cutting an end off fail, a piece of address space stays taken, no more.
    unsafe {
        if before > 0 {
            libc::munmap(start.cast(), before);
        }
        libc::munmap(aligned.add(mapped).cast(), HUGE_PAGE - before);
    }
    NonNull::new(aligned).map(|aligned| (aligned, mapped))
}

/// An address, a multiple of [`HUGE_PAGE`], where `len` bytes are free at this moment: good as a
/// hint with `MAP_FIXED_NOREPLACE`, since another thread may take it meanwhile.
pub(crate) fn aligned_address(len: usize) -> Option<*mut libc::c_void> {
    let (start, mapped) = map_aligned(len, libc::PROT_NONE)?;
    // SAFETY: mapped a moment ago and known to nobody else.
    unsafe { unmap(start, mapped) };
    Some(start.as_ptr().cast())
}

/// `len` rounded up to pages, at least one.
pub(crate) fn page_multiple(len: usize) -> Option<usize> {
    len.max(1).checked_next_multiple_of(PAGE)
}

/// Writable memory of `len` bytes, in huge pages where there are any, and how many bytes were
/// mapped.
pub(crate) fn map(len: usize) -> Option<(NonNull<u8>, usize)> {
    let (start, mapped) = map_aligned(len, libc::PROT_READ | libc::PROT_WRITE)?;
    // SAFETY: advice on the mapping just made. Without huge pages it fails, and nothing is lost.
    unsafe { libc::madvise(start.as_ptr().cast(), mapped, libc::MADV_HUGEPAGE) };
    Some((start, mapped))
}

/// # Safety
/// The range is one mapping, or part of one, that nobody uses any more.
pub(crate) unsafe fn unmap(start: NonNull<u8>, mapped: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(start.as_ptr().cast(), mapped) };
}
