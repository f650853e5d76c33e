//! Telling waiting threads that an object has come.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A count of arrivals that a thread can sleep on. There is no lock in it that a fork could leave
/// taken.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    count: AtomicU32,
    /// How many threads sleep, so that nobody is woken for nothing. A forked child inherits too
    /// high a number, which does no harm.
    sleeping: AtomicU32,
}

impl Arrivals {
    /// What to give to [`sleep`](Self::sleep); to be asked for before one looks for the object.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::SeqCst)
    }

    /// An object has come.
    pub(super) fn tell(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            #[cfg(target_os = "linux")]
            // SAFETY: the kernel only compares the address, which is ours, with those that wait.
            unsafe {
                libc::syscall(
                    libc::SYS_futex,
                    self.count.as_ptr(),
                    libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                    i32::MAX,
                );
            }
        }
    }

    /// Looks again and again, where threads cannot sleep on a count.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn sleep(&self, seen: u32, timeout: Duration) {
        let begun = std::time::Instant::now();
        while self.count() == seen && begun.elapsed() < timeout {
            std::thread::sleep(Duration::from_millis(1).min(timeout));
        }
    }

    /// Sleeps until something has come since `seen`, a signal comes, or the time is over.
    #[cfg(target_os = "linux")]
    pub(super) fn sleep(&self, seen: u32, timeout: Duration) {
        let limit = libc::timespec {
            tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: libc::c_long::from(timeout.subsec_nanos() as i32),
        };
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        // SAFETY: `count` and `limit` outlive the call, which writes to neither.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.count.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                seen,
                &raw const limit,
            );
        }
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
    }
}
