//! Pages of evicted objects, kept for the next put.
//!
//! On tmpfs a put of a large object spends more time on getting pages zeroed than on the copy into
//! them (100 MB: 12.5 ms beside 9.4; into pages that are there 7.8). So the evictor of a large
//! object moves its file to a hidden folder instead of removing it, and a putter overwrites one of
//! about the same length and moves it to its new name.
//!
//! **Whole under its name.** A file gets a key's name by `rename` once it is whole. A putter that
//! dies before leaves a file in the folder, where it is counted, found and used or removed.
//!
//! **Nobody else sees it.** A file is overwritten only by who had a *write lease* of it granted:
//! the kernel grants one only if there is no other open description of the file, and a mapping
//! holds one for as long as it lives, in whatever process. The file stays open from then on until it
//! has its new name, so nobody else is granted one.
//!
//! **Readers that come late.** A reader may have resolved the old name before the file was moved,
//! and open the file only after the lease was granted. So a reader of a file this large looks,
//! *after* opening it, whether the name still leads to it (`fetch`), and if not, forgets what it
//! opened. If it does, the file had not been moved away at that moment; whoever claims it does so
//! after moving it, hence after the reader's open, and is refused as long as the reader has it.
//! Should the file have come back under the very same name in between, it was whole by then.
//! A file that can be recycled is never made shorter than [`RECYCLED_FROM`], so that readers of
//! small objects need not look.

use super::clear::{entries, footprint};
use super::directory::Directory;
use super::file_system::{FileSystem, statistics};
use super::system;
use crate::Key;
use crate::blob::Mapping;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Objects from this length on are recycled: 1 MB is written to pages that are there in half the
/// time. Below, listing the folder costs what is won.
pub(super) const RECYCLED_FROM: u64 = 512 << 10;
/// Most bytes that wait in one directory,
const MOST_BYTES: u64 = 1 << 30;
/// and which part of its file system's capacity, where that is less.
const SHARE: u64 = 8;
/// Most files that wait.
const MOST_FILES: usize = 64;
/// Files that a putter tries, the most alike first: their last readers may not be done yet.
const TRIES: usize = 4;
/// Environment variable: instead of the above, most bytes; 0 keeps nothing.
const LIMIT_VARIABLE: &str = "PROXYSTORE_RECYCLED_BYTES";

const FOLDER: &CStr = c".proxystore-recycled";
/// Names begin so, followed by the length, of files that anybody may claim,
const FREE: &str = "free-";
/// and of those that somebody fills, or died over.
const BUSY: &str = "busy-";

/// `F_SETSIG`, which not every C library names.
const SET_SIGNAL: libc::c_int = 10;

/// Most bytes to keep in a directory; 0 where there is nothing to be won or something to lose:
/// only in memory, and in a directory that nobody but this user can look into.
pub(super) fn limit(directory: RawFd, found: &libc::stat, file_system: FileSystem) -> u64 {
    // SAFETY: no more than a number comes back.
    let user = unsafe { libc::geteuid() };
    if file_system != FileSystem::Memory || found.st_mode & 0o077 != 0 || found.st_uid != user {
        return 0;
    }
    let said = std::env::var(LIMIT_VARIABLE).ok();
    if let Some(said) = said.and_then(|text| text.trim().parse().ok()) {
        return said;
    }
    statistics(directory).map_or(0, |found| {
        let capacity = found.f_blocks.saturating_mul(found.f_bsize as u64);
        MOST_BYTES.min(capacity / SHARE)
    })
}

/// A file of the folder that is this process's alone, as long as it is open.
pub(super) struct Claim {
    pub(super) file: OwnedFd,
    /// Below the directory.
    pub(super) name: CString,
    /// From the front, bytes whose pages are there.
    pub(super) existing: usize,
    /// What it took in the folder.
    pub(super) taken: u64,
}

/// A file in the folder.
struct Waiting {
    /// Below the directory.
    name: CString,
    len: u64,
    is_free: bool,
}

impl Directory {
    /// Keeps the file of an object, or removes it; gives by how many bytes the folder grew.
    pub(super) fn recycle(&self, name: &CStr, found: &libc::stat) -> io::Result<i64> {
        let (bytes, limit) = (footprint(found.st_size as u64), self.recycled_limit());
        if !is_reusable(found) || bytes > limit {
            return system::unlink_at(self.fd(), name).map(|()| 0);
        }
        self.note_recycled();
        let dropped = make_room(self.fd(), bytes, limit);
        let kept = within(&format!("{FREE}{:x}-{}", found.st_size, Key::fresh()));
        let moved = system::rename_at(self.fd(), name, &kept).or_else(|_| {
            make_folder(self.fd())?;
            system::rename_at(self.fd(), name, &kept)
        });
        let bytes = match moved {
            Ok(()) => bytes as i64,
            // Whatever was wrong with the folder; if the object is gone, this says so.
            Err(_) => system::unlink_at(self.fd(), name).map(|()| 0)?,
        };
        Ok(bytes - dropped as i64)
    }

    /// A file to overwrite with `len` bytes, already of this length.
    pub(super) fn claim(&self, len: usize) -> Option<Claim> {
        let wanted = u64::try_from(len).ok()?;
        if self.recycled_limit() == 0 || wanted < RECYCLED_FROM {
            return None;
        }
        let mut waiting = waiting(self.fd());
        waiting.retain(|one| one.is_free && one.len / 2 <= wanted && wanted / 2 <= one.len);
        waiting.sort_by_key(|one| one.len.abs_diff(wanted));
        waiting
            .iter()
            .take(TRIES)
            .find_map(|one| match open_alone(self.fd(), &one.name) {
                Ok(file) => self.claim_one(one, file?, len),
                Err(_) => {
                    // No leases here (a sandbox, `/proc/sys/fs/leases-enable`).
                    self.recycle_nothing();
                    empty(self.fd());
                    None
                }
            })
    }

    fn claim_one(&self, one: &Waiting, file: OwnedFd, len: usize) -> Option<Claim> {
        let found = system::stat(file.as_raw_fd()).ok()?;
        let name = within(&format!("{BUSY}{:x}-{}", found.st_size, Key::fresh()));
        // Fails if somebody made room meanwhile.
        system::rename_at(self.fd(), &one.name, &name).ok()?;
        let had = usize::try_from(found.st_size).ok()?;
        let resized = had == len || system::truncate(&file, len).is_ok();
        if !is_reusable(&found) || !resized {
            let _ = system::unlink_at(self.fd(), &name);
            return None;
        }
        Some(Claim {
            file,
            name,
            existing: had.min(len),
            taken: footprint(found.st_size as u64),
        })
    }

    /// Removes the folder and all that is in it.
    pub(super) fn remove_recycled(&self) {
        for one in waiting(self.fd()) {
            let _ = system::unlink_at(self.fd(), &one.name);
        }
        // SAFETY: the name ends with a zero byte.
        unsafe { libc::unlinkat(self.fd(), FOLDER.as_ptr(), libc::AT_REMOVEDIR) };
    }
}

/// Removes what waits in a directory, but for what is being filled right now; gives the bytes.
pub(crate) fn empty(directory: RawFd) -> u64 {
    let waiting = waiting(directory);
    waiting.iter().map(|one| drop_one(directory, one)).sum()
}

/// Bytes that wait in a directory.
pub(crate) fn bytes_in(directory: RawFd) -> u64 {
    let waiting = waiting(directory);
    waiting.iter().map(|one| footprint(one.len)).sum()
}

/// Removes files, those least like the new one first, until it fits; gives the bytes.
fn make_room(directory: RawFd, bytes: u64, limit: u64) -> u64 {
    let mut waiting = waiting(directory);
    let mut total: u64 = waiting.iter().map(|one| footprint(one.len)).sum();
    waiting.sort_by_key(|one| footprint(one.len).abs_diff(bytes));
    let mut dropped = 0;
    while total + bytes > limit || waiting.len() >= MOST_FILES {
        let Some(one) = waiting.pop() else { break };
        dropped += drop_one(directory, &one);
        total -= footprint(one.len);
    }
    dropped
}

/// Removes a file that nobody fills; gives its bytes.
fn drop_one(directory: RawFd, one: &Waiting) -> u64 {
    // Whoever fills a file has it open; who died over it has not.
    if !one.is_free && !matches!(open_alone(directory, &one.name), Ok(Some(_))) {
        return 0;
    }
    system::unlink_at(directory, &one.name).map_or(0, |()| footprint(one.len))
}

/// What is in the folder; nothing if it cannot be read.
fn waiting(directory: RawFd) -> Vec<Waiting> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let names = system::open_at(directory, FOLDER, flags, 0)
        .and_then(|folder| entries(folder.as_raw_fd()))
        .unwrap_or_default();
    let waiting = names.iter().filter_map(|name| {
        let text = name.to_str().ok()?;
        let (is_free, rest) = match text.strip_prefix(FREE) {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix(BUSY)?),
        };
        Some(Waiting {
            name: within(text),
            len: u64::from_str_radix(rest.split_once('-')?.0, 16).ok()?,
            is_free,
        })
    });
    waiting.collect()
}

/// Whether a file's pages may be another's: all there, so that writing to them through a mapping
/// never needs space, and known by one name of ours.
fn is_reusable(found: &libc::stat) -> bool {
    // SAFETY: no more than a number comes back.
    let user = unsafe { libc::geteuid() };
    found.st_mode & libc::S_IFMT == libc::S_IFREG
        && found.st_nlink == 1
        && found.st_uid == user
        && found.st_size as u64 >= RECYCLED_FROM
        && found.st_blocks as u64 * 512 >= found.st_size as u64
}

/// A name in the folder, as seen from the directory.
fn within(name: &str) -> CString {
    CString::new(format!("{}/{name}", FOLDER.to_string_lossy())).unwrap_or_default()
}

/// Makes the folder.
fn make_folder(directory: RawFd) -> io::Result<()> {
    // SAFETY: the name ends with a zero byte.
    match system::retry(|| unsafe { libc::mkdirat(directory, FOLDER.as_ptr(), 0o700) }) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Opens a file of the folder if nobody else has it open or mapped; an error where the system does
/// not tell.
fn open_alone(directory: RawFd, name: &CStr) -> io::Result<Option<OwnedFd>> {
    let open = |access| system::open_at(directory, name, access | libc::O_NONBLOCK, 0);
    let Ok(file) = open(libc::O_RDWR) else {
        return Ok(None);
    };
    if !is_alone(file.as_raw_fd())? {
        return Ok(None);
    }
    if !LEASES_TOLD.load(Ordering::Relaxed) {
        // A sandbox may answer without looking: what would follow are other objects' bytes.
        let second = open(libc::O_RDONLY)?;
        let seen_open = !is_alone(file.as_raw_fd())?;
        let mapping = Mapping::private(second.as_fd(), 1)?;
        drop(second);
        let seen_mapped = !is_alone(file.as_raw_fd())?;
        drop(mapping);
        if !seen_open || !seen_mapped {
            return Err(io::ErrorKind::Unsupported.into());
        }
        LEASES_TOLD.store(true, Ordering::Relaxed);
    }
    Ok(Some(file))
}

/// Whether a lease was refused here when there was something to tell: then it can be relied on.
static LEASES_TOLD: AtomicBool = AtomicBool::new(false);

/// Whether this is the only open description of a file; an error where the system cannot tell.
fn is_alone(file: RawFd) -> io::Result<bool> {
    let control = |command, value: libc::c_int| {
        // SAFETY: commands that take a number.
        system::retry(|| unsafe { libc::fcntl(file, command, value) })
    };
    // Who opens the file while the lease is there makes the kernel send a signal, by default one
    // that kills; this one is ignored unless somebody wants it.
    control(SET_SIGNAL, libc::SIGURG)?;
    match control(libc::F_SETLEASE, libc::F_WRLCK) {
        Ok(_) => {
            // At once: others wait to open the file.
            control(libc::F_SETLEASE, libc::F_UNLCK)?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}
