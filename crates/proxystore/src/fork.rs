//! What `fork` leaves behind: counting forks, and a lock that a child can always take.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

static GENERATION: AtomicU64 = AtomicU64::new(0);
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// How many forks lie between this process and the one that first asked. What belongs to a
/// process (a socket, a waiting thread) is marked with it and no longer used when it differs.
///
/// It costs a few nanoseconds, where asking for the process id costs a system call.
///
/// ```
/// let before = proxystore::fork::generation();
/// assert_eq!(proxystore::fork::generation(), before);
/// ```
#[must_use]
pub fn generation() -> u64 {
    if !REGISTERED.load(Ordering::Relaxed) && !REGISTERED.swap(true, Ordering::Relaxed) {
        // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec.
        unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
    }
    GENERATION.load(Ordering::Relaxed)
}

unsafe extern "C" fn count_fork() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A mutex that a forked child can take even if another thread of the parent held it at the fork.
/// In that one case the child finds the default value; the half-changed one is given up.
///
/// A panic of a holder does not poison it.
#[derive(Debug)]
pub struct ForkMutex<T> {
    current: AtomicPtr<Held<T>>,
}

#[derive(Debug)]
struct Held<T> {
    generation: u64,
    mutex: Mutex<T>,
}

impl<T: Default> ForkMutex<T> {
    /// An open lock around a value.
    pub fn new(value: T) -> Self {
        Self {
            current: AtomicPtr::new(Held::boxed(generation(), value)),
        }
    }

    /// Waits for the lock and takes it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let held = self.held();
        held.mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.held().mutex.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn held(&self) -> &Held<T> {
        let found = self.current.load(Ordering::Acquire);
        // SAFETY: what `current` points to is freed only by the drop of `self`.
        let held = unsafe { &*found };
        if held.generation == generation() {
            held
        } else {
            self.adopt(held)
        }
    }

    /// First use in a forked child: the value moves to a lock of this process.
    #[cold]
    fn adopt(&self, old: &Held<T>) -> &Held<T> {
        let value = match old.mutex.try_lock() {
            Ok(mut guard) => std::mem::take(&mut *guard),
            Err(TryLockError::Poisoned(poisoned)) => std::mem::take(&mut *poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => T::default(),
        };
        let new = Held::boxed(generation(), value);
        let old = std::ptr::from_ref(old).cast_mut();
        let exchanged =
            self.current
                .compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        match exchanged {
            // The old lock is leaked: a thread of this child may be about to try it as well.
            // SAFETY: as in `held`.
            Ok(_) => unsafe { &*new },
            Err(winner) => {
                // SAFETY: made above and seen by nobody else.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: as in `held`.
                unsafe { &*winner }
            }
        }
    }
}

impl<T> Held<T> {
    fn boxed(generation: u64, value: T) -> *mut Self {
        Box::into_raw(Box::new(Self {
            generation,
            mutex: Mutex::new(value),
        }))
    }
}

impl<T: Default> Default for ForkMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for ForkMutex<T> {
    fn drop(&mut self) {
        if let Some(held) = NonNull::new(*self.current.get_mut()) {
            // SAFETY: made by `Held::boxed`; `&mut self` says that no guard is left.
            drop(unsafe { Box::from_raw(held.as_ptr()) });
        }
    }
}

// SAFETY: a mutex around `T` behind an atomic pointer, shared as `Mutex<T>` is.
unsafe impl<T: Send> Sync for ForkMutex<T> {}
// SAFETY: it owns its `T`.
unsafe impl<T: Send> Send for ForkMutex<T> {}

/// Runs `body` in a forked child and says whether it returned true. For tests.
#[cfg(test)]
pub(crate) fn in_child(body: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs only `body` and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork failed");
    if child == 0 {
        let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(i32::from(!good)) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child.
    let got = unsafe { libc::waitpid(child, &raw mut status, 0) };
    got == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_counts_one_fork_more() {
        let before = generation();
        assert!(in_child(|| generation() == before + 1));
        assert_eq!(generation(), before);
    }

    #[test]
    fn a_child_keeps_the_value_of_an_open_lock() {
        let lock = ForkMutex::new(7);
        assert!(in_child(|| *lock.lock() == 7));
        assert_eq!(*lock.lock(), 7);
    }

    #[test]
    fn a_child_takes_a_lock_that_the_parent_holds() {
        let lock = ForkMutex::new(7);
        let guard = lock.lock();
        assert!(in_child(|| {
            *lock.lock() += 1;
            *lock.lock() == 1
        }));
        assert_eq!(*guard, 7);
    }

    #[test]
    fn a_panic_does_not_poison() {
        let lock = ForkMutex::new(7);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = lock.lock();
            panic!("on purpose");
        }));
        assert!(result.is_err());
        assert_eq!(*lock.lock(), 7);
    }
}
