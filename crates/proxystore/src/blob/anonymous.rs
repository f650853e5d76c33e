//! Mappings at addresses that huge pages need.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// An address, a multiple of [`HUGE_PAGE`], where `len` bytes are free at this moment.
fn free_address(len: usize) -> Option<usize> {
    let (start, mapped) = map_aligned(len, libc::PROT_NONE)?;
    // SAFETY: mapped a moment ago and known to nobody else.
    unsafe { unmap(start, mapped) };
    Some(start.as_ptr() as usize)
}

/// How much address space file mappings are laid out in, one after the other, then from the front.
const REGION: usize = 256 << 30;

/// How often a free address is asked for that another thread then takes.
const ATTEMPTS: usize = 4;

/// An address for `len` bytes where the kernel itself would put nothing for a long time, or 0.
///
/// Asking it for a free one takes four calls (28 µs in a process that just woke up).
fn likely_address(len: usize) -> usize {
    static BEGIN: AtomicUsize = AtomicUsize::new(0);
    static USED: AtomicUsize = AtomicUsize::new(0);
    let Some(len) = len.checked_next_multiple_of(HUGE_PAGE) else {
        return 0;
    };
    let mut begin = BEGIN.load(Ordering::Relaxed);
    if begin == 0 {
        // The kernel goes downwards from above this address.
        let found = free_address(HUGE_PAGE).and_then(|top| top.checked_sub(2 * REGION));
        begin = found.unwrap_or(0);
        BEGIN.store(begin, Ordering::Relaxed);
    }
    let at = USED.fetch_add(len, Ordering::Relaxed) % REGION;
    if begin == 0 || at.saturating_add(len) > REGION {
        return 0;
    }
    begin + at
}

/// Maps `len` bytes of a file, whole pages, at a multiple of [`HUGE_PAGE`] if it can be: the kernel
/// aligns only where the mount itself asks for huge pages, and a file in huge pages is mapped by
/// them only at an aligned address.
pub(crate) fn map_file(
    file: BorrowedFd<'_>,
    len: usize,
    protection: libc::c_int,
    flags: libc::c_int,
) -> io::Result<NonNull<u8>> {
    let map_at = |address: usize, fixed| {
        let (address, fd) = (address as *mut libc::c_void, file.as_raw_fd());
        // SAFETY: a new mapping that replaces none: the address is the kernel's choice, or
        // NOREPLACE is given.
        let start = unsafe { libc::mmap(address, len, protection, flags | fixed, fd, 0) };
        (start != libc::MAP_FAILED).then_some(start)
    };
    #[cfg(target_os = "linux")]
    let there = |address: usize| {
        let fixed = libc::MAP_FIXED_NOREPLACE;
        (address != 0).then(|| map_at(address, fixed)).flatten()
    };
    #[cfg(not(target_os = "linux"))]
    let there = |_: usize| None;
    let mut start = None;
    if len >= HUGE_PAGE {
        // Another thread may take a free address before we do.
        let found = || (0..ATTEMPTS).find_map(|_| there(free_address(len)?));
        start = there(likely_address(len)).or_else(found);
    }
    // An address that is not aligned is better than none.
    let start = match start.or_else(|| map_at(0, 0)) {
        Some(start) => start,
        None => return Err(io::Error::last_os_error()),
    };
    NonNull::new(start.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

/// `len` rounded up to pages, at least one.
pub(crate) fn page_multiple(len: usize) -> Option<usize> {
    len.max(1).checked_next_multiple_of(PAGE)
}

/// Files take a last huge page whole where what is left of it is at most this part of them.
const SPARE: usize = 16;

/// Bytes that a file of `len` takes in memory, and is mapped in: whole pages, and a whole last huge
/// page where little of it is spare. 1.6 MB behind four huge pages take 0.5 ms in small pages, a third of
/// the whole put, and 0.15 ms in a huge one.
pub(crate) fn extent(len: usize) -> Option<usize> {
    let joined = len.checked_next_multiple_of(HUGE_PAGE)?;
    if len >= HUGE_PAGE && joined - len <= len / SPARE {
        Some(joined)
    } else {
        page_multiple(len)
    }
}

/// Writable memory of `len` bytes, in huge pages where there are any, and how many bytes were
/// mapped.
pub(crate) fn map(len: usize) -> Option<(NonNull<u8>, usize)> {
    let (start, mapped) = map_aligned(len, libc::PROT_READ | libc::PROT_WRITE)?;
    #[cfg(target_os = "linux")]
    // SAFETY: advice on the mapping just made. Without huge pages it fails, and nothing is lost.
    unsafe {
        libc::madvise(start.as_ptr().cast(), mapped, libc::MADV_HUGEPAGE)
    };
    Some((start, mapped))
}

/// # Safety
/// The range is one mapping, or part of one, that nobody uses any more.
pub(crate) unsafe fn unmap(start: NonNull<u8>, mapped: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(start.as_ptr().cast(), mapped) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};

    #[test]
    fn mappings_are_aligned_and_never_replace_one_another() {
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: a descriptor that is ours alone.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        let len = HUGE_PAGE + 4096;
        // SAFETY: only numbers go in.
        assert_eq!(unsafe { libc::ftruncate(fd, len as libc::off_t) }, 0);
        // From all of the region, and around to its front, most of which is taken then.
        let far = REGION / 4 - HUGE_PAGE;
        let mapped: Vec<_> = [len, far, far, far, far, len, far, len, len]
            .iter()
            .flat_map(|len| [*len, *len])
            .map(|len| {
                let start = map_file(file.as_fd(), len, libc::PROT_READ, libc::MAP_SHARED);
                (start.unwrap(), len)
            })
            .collect();
        let is_aligned = |(start, _): &&(NonNull<u8>, usize)| start.align_offset(HUGE_PAGE) == 0;
        // Other tests take addresses, too.
        assert!(mapped.iter().filter(is_aligned).count() > mapped.len() / 2);
        for (i, (start, len)) in mapped.iter().enumerate() {
            let end = start.as_ptr() as usize + len;
            for (other, other_len) in &mapped[..i] {
                let other = other.as_ptr() as usize;
                assert!(end <= other || other + other_len <= start.as_ptr() as usize);
            }
        }
        for (start, len) in mapped {
            // SAFETY: mapped above, used no more.
            unsafe { unmap(start, len) };
        }
    }
}
