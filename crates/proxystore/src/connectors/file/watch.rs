//! Waiting for an object's file, told by the kernel.

use super::directory::Directory;
use super::system::{c_path, retry};
use crate::Result;
use crate::connector::ask_again;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Longest time without a look of our own: the directory itself may be replaced meanwhile.
const LOOKS_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Waits until an object is there, or `timeout` has passed; comes back early when a signal comes.
///
/// It is woken by new files in the directories. On a network, where the kernel is not told of them,
/// it asks again and again; so it does where no more watches may be had.
pub(crate) fn wait(
    directories: &[&Directory],
    timeout: Duration,
    is_there: impl Fn() -> Result<bool>,
) -> Result<bool> {
    let until = Instant::now() + timeout.min(LOOKS_AGAIN_AFTER);
    if is_there()? {
        return Ok(true);
    }
    let is_told = directories.iter().all(|one| one.file_system().is_local());
    let watch = if is_told {
        Watch::new(directories).ok()
    } else {
        None
    };
    let Some(watch) = watch else {
        return ask_again(timeout.min(LOOKS_AGAIN_AFTER), is_there);
    };
    // It may have come before the watch began.
    while !is_there()? {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || !watch.sleep(left) {
            return is_there();
        }
    }
    // The kernel takes some 10 ms to end a watch, for which the caller need not wait.
    let _ = std::thread::Builder::new()
        .name("proxystore-watch".to_owned())
        .spawn(move || drop(watch));
    Ok(true)
}

/// Files that get their name in some directories.
struct Watch(OwnedFd);

impl Watch {
    fn new(directories: &[&Directory]) -> io::Result<Self> {
        // SAFETY: takes flags only.
        let fd = retry(|| unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) })?;
        // SAFETY: just opened, so owned by nobody else.
        let watch = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        let events = libc::IN_CREATE | libc::IN_MOVED_TO | libc::IN_CLOSE_WRITE | libc::IN_ONLYDIR;
        for directory in directories {
            let path = c_path(directory.path())?;
            // SAFETY: `path` ends with a zero byte.
            retry(|| unsafe { libc::inotify_add_watch(fd, path.as_ptr(), events) })?;
        }
        Ok(watch)
    }

    /// Sleeps until a file came. False if the time is over or a signal came.
    fn sleep(&self, timeout: Duration) -> bool {
        let fd = self.0.as_raw_fd();
        let mut wanted = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let limit = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        };
        // SAFETY: one `pollfd` and a `timespec`, both alive during the call.
        let got = unsafe { libc::ppoll(&raw mut wanted, 1, &raw const limit, std::ptr::null()) };
        if got <= 0 {
            return false;
        }
        // Which file it was does not matter: the caller looks for its own.
        let mut events = [0_u8; 4096];
        // SAFETY: as many bytes as there is room for. The descriptor does not block.
        while unsafe { libc::read(fd, events.as_mut_ptr().cast(), events.len()) } > 0 {}
        true
    }
}
