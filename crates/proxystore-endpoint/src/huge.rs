//! Files in memory, mapped so that the kernel can join their pages to huge ones.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

pub(crate) const HUGE_PAGE: usize = 2 << 20;
/// `MADV_COLLAPSE`, which older C libraries do not name.
const COLLAPSE: libc::c_int = 25;

/// Has the kernel join the pages of one huge page, of which at least one is there; false if it does
/// not.
///
/// # Safety
/// A huge page at `start` is mapped.
pub(crate) unsafe fn join(start: *mut u8) -> bool {
    // SAFETY: advice about memory that is mapped: the caller's promise.
    unsafe { libc::madvise(start.cast(), HUGE_PAGE, COLLAPSE) == 0 }
}

/// Maps the first `capacity` bytes of a file for reading and writing, at a multiple of a huge page.
pub(crate) fn map_shared(file: BorrowedFd<'_>, capacity: usize) -> io::Result<NonNull<u8>> {
    let refused = || io::Error::from_raw_os_error(libc::ENOMEM);
    let reserved = capacity.checked_add(HUGE_PAGE).ok_or_else(refused)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at a place of the kernel's choice touches nothing that exists.
    let place = unsafe { libc::mmap(ptr::null_mut(), reserved, libc::PROT_NONE, flags, -1, 0) };
    if place == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let before = place.cast::<u8>().align_offset(HUGE_PAGE);
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    // SAFETY: `before < HUGE_PAGE`, so all of this lies in the place just reserved, which nobody
    // else knows: the file replaces a part of it, and the ends are given back.
    unsafe {
        let aligned = place.cast::<u8>().add(before);
        let start = libc::mmap(
            aligned.cast(),
            capacity,
            protection,
            flags,
            file.as_raw_fd(),
            0,
        );
        if start == libc::MAP_FAILED {
            let error = io::Error::last_os_error();
            libc::munmap(place, reserved);
            return Err(error);
        }
        if before > 0 {
            libc::munmap(place, before);
        }
        let end = aligned.add(capacity.next_multiple_of(4096));
        libc::munmap(end.cast(), HUGE_PAGE - before);
        NonNull::new(aligned).ok_or_else(refused)
    }
}
