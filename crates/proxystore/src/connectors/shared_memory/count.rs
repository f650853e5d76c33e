//! Counting anew what a session holds, when its counter says that it is full.
//!
//! A process that was killed between counting an object in and storing it, or between removing it
//! and counting it out, leaves the counter too high.

use super::control::Control;
use crate::connectors::file::{entries, footprint, recycle, system};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

/// At most once in this many seconds: 100,000 objects take some 100 ms.
const EVERY: u64 = 10;

/// Counts if that was not done lately; says whether it was done now.
pub(super) fn recount(control: &Control, session: &Path) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let last = control.counted.load(Ordering::Relaxed);
    let turn = now.saturating_sub(last) >= EVERY
        && control
            .counted
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
    // What others store meanwhile may be counted or not: the limit is kept roughly.
    match turn.then(|| measure(session)) {
        Some(Ok((used, recycled))) => {
            control.used.store(used, Ordering::Relaxed);
            control.recycled.store(recycled, Ordering::Relaxed);
            true
        }
        _ => false,
    }
}

/// Bytes in whole pages of all objects of all places, and of what is kept of evicted ones.
fn measure(session: &Path) -> io::Result<(u64, u64)> {
    let (mut used, mut recycled) = (0, 0);
    for place in places(session)? {
        for name in entries(place.as_raw_fd())? {
            let found = system::stat_at(place.as_raw_fd(), &name).map(Some);
            if let Some(found) = system::absent_is(found, None)?
                && found.st_mode & libc::S_IFMT == libc::S_IFREG
            {
                used += footprint(found.st_size as u64);
            }
        }
        recycled += recycle::bytes_in(place.as_raw_fd());
    }
    Ok((used, recycled))
}

/// Gives what is kept of evicted objects of all places back to the system; says how many bytes
/// are being filled, and so stay.
pub(super) fn empty_recycled(session: &Path) -> u64 {
    let places = places(session).unwrap_or_default();
    let left = places.iter().map(|place| {
        recycle::empty(place.as_raw_fd());
        recycle::bytes_in(place.as_raw_fd())
    });
    left.sum()
}

fn places(session: &Path) -> io::Result<Vec<OwnedFd>> {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY;
    let session = system::open_at(libc::AT_FDCWD, &system::c_path(session)?, flags, 0)?;
    let mut places = Vec::new();
    for place in entries(session.as_raw_fd())? {
        let opened = system::open_at(session.as_raw_fd(), &place, flags, 0);
        places.extend(system::absent_is(opened.map(Some), None)?);
    }
    Ok(places)
}
