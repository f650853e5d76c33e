//! Objects in memory that the daemon shares by descriptor.

use crate::huge::{self, HUGE_PAGE};
use proxystore::blob::{Buffer, Mapping};
use proxystore::{Access, Blob, Error, ErrorKind, Payload, Result};
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;

/// Most pieces in one call of the system.
const MOST: usize = 1024;
/// Objects from this length on are copied through a mapping, by several threads; below, a call of
/// the system costs no more.
const MAPPED_FROM: usize = 8 << 20;

/// Fills the front of lent memory with an object.
pub(super) fn fill(memory: &OwnedFd, payload: &Payload<'_>) -> io::Result<()> {
    if payload.len() >= MAPPED_FROM
        && let Some(mut window) = Window::open(memory, payload.len())
    {
        payload.copy_to_ready(window.bytes());
        return Ok(());
    }
    write(memory, payload)
}

/// Lent memory, mapped for as long as it is filled.
struct Window {
    start: NonNull<u8>,
    len: usize,
}

impl Window {
    /// `None` if the memory is not in huge pages: faulting in small ones costs more than writing
    /// by a call of the system.
    fn open(memory: &OwnedFd, len: usize) -> Option<Self> {
        let file = File::from(memory.try_clone().ok()?);
        if file.metadata().ok()?.len() < len as u64 {
            return None;
        }
        let window = Self {
            start: huge::map_shared(memory.as_fd(), len).ok()?,
            len,
        };
        // SAFETY: `len` is more than a huge page, and mapped from here on.
        let joined = unsafe {
            let last = window.start.as_ptr().add((len / HUGE_PAGE - 1) * HUGE_PAGE);
            huge::join(window.start.as_ptr()) && huge::join(last)
        };
        joined.then_some(window)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: mapped in `open`, as long as the file at least, which is sealed against being
        // cut short. The daemon lends it to us alone and does not look before we say so.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: mapped in `open` with this length, and used no more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// Writes an object to the front of lent memory.
fn write(memory: &OwnedFd, payload: &Payload<'_>) -> io::Result<()> {
    let mut slices: Vec<_> = payload.pieces().iter().map(|p| IoSlice::new(p)).collect();
    let mut rest = &mut slices[..];
    let mut at: libc::off_t = 0;
    while !rest.is_empty() {
        let count = rest.len().min(MOST) as libc::c_int;
        // SAFETY: an `IoSlice` is an `iovec` of memory that is borrowed for as long.
        let wrote = unsafe { libc::pwritev(memory.as_raw_fd(), rest.as_ptr().cast(), count, at) };
        match wrote {
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            0 => return Err(io::ErrorKind::WriteZero.into()),
            wrote => {
                at += wrote as libc::off_t;
                IoSlice::advance_slices(&mut rest, wrote as usize);
            }
        }
    }
    Ok(())
}

/// An object that the daemon holds, mapped. The mapping keeps the memory as it is: the daemon uses
/// it for nothing else until the last one is gone.
pub(super) fn blob(memory: &OwnedFd, len: u64, access: Access) -> Result<Blob> {
    let copy = |len: usize| {
        let full = || Error::new(ErrorKind::Full, format!("no memory for {len} bytes"));
        let mut buffer = Buffer::try_with_len(len).ok_or_else(full)?;
        let file = File::from(
            memory
                .try_clone()
                .map_err(|error| Error::io(error, "copying"))?,
        );
        file.read_exact_at(&mut buffer, 0)
            .map_err(|error| Error::io(error, "reading shared memory"))?;
        Ok(Blob::new(buffer))
    };
    let len = usize::try_from(len)
        .map_err(|_| Error::new(ErrorKind::TooLarge, "an object larger than memory"))?;
    let mapping = match access {
        Access::Copy => return copy(len),
        Access::View => Mapping::read_only(memory.as_fd(), len),
        _ => Mapping::private(memory.as_fd(), len),
    };
    match mapping {
        Ok(mapping) => Ok(Blob::new(mapping)),
        // Limits on mappings: reading has none.
        Err(_) => copy(len),
    }
}
