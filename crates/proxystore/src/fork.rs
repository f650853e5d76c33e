//! What `fork` leaves behind: counting forks, and a lock that a child can always take.

use std::cell::UnsafeCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

static GENERATION: AtomicU64 = AtomicU64::new(0);
#[cfg(feature = "memory")]
static EPOCH: AtomicU64 = AtomicU64::new(0);
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
        // SAFETY: the handlers are functions of this library, and do only what is allowed in a
        // fork: they take and release locks that no other handler takes.
        unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(in_new_child)) };
    }
    GENERATION.load(Ordering::Relaxed)
}

/// How many forks this process and those before it have made: it changes on both sides of each.
/// What both sides then see (shared memory) was made in an earlier one.
#[cfg(feature = "memory")]
pub(crate) fn epoch() -> u64 {
    let _ = generation();
    EPOCH.load(Ordering::SeqCst)
}

/// A mutex that a forked child can take even if another thread of the parent wanted or held it.
/// A fork waits until it is free, so that the child finds the value whole.
///
/// If the thread that forks holds it itself, or another one keeps it for longer than the fork
/// waits, the child finds the default value, and the half-changed one is given up.
///
/// A panic of a holder does not poison it. Keep it for bookkeeping: no I/O and no user's code
/// under it.
pub struct ForkMutex<T: 'static> {
    current: AtomicPtr<Held<T>>,
}

struct Held<T: 'static> {
    generation: u64,
    mutex: Mutex<T>,
    /// The lock itself while a fork is under way. Touched by the fork handlers alone, one thread
    /// at a time.
    during_fork: UnsafeCell<Option<MutexGuard<'static, T>>>,
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
        try_lock(&self.held().mutex)
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
        let value = match try_lock(&old.mutex) {
            Some(mut guard) => std::mem::take(&mut *guard),
            None => T::default(),
        };
        let new = Held::boxed(generation(), value);
        let old = std::ptr::from_ref(old).cast_mut();
        let exchanged =
            self.current
                .compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire);
        match exchanged {
            Ok(_) => {
                // Leaked: another thread of this child may be about to try the old lock as well.
                forget_lock(old.cast());
                // SAFETY: as in `held`.
                unsafe { &*new }
            }
            Err(winner) => {
                // SAFETY: made above and seen by nobody else.
                unsafe { Held::free(new) };
                // SAFETY: as in `held`.
                unsafe { &*winner }
            }
        }
    }
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl<T: 'static> Held<T> {
    fn boxed(generation: u64, value: T) -> *mut Self {
        let held = Box::into_raw(Box::new(Self {
            generation,
            mutex: Mutex::new(value),
            during_fork: UnsafeCell::new(None),
        }));
        locks().push(Listed {
            held: held.cast(),
            take: Self::take,
            release: Self::release,
        });
        held
    }

    /// # Safety
    /// `held` was made by [`boxed`](Self::boxed), and no reference to it is left.
    unsafe fn free(held: *mut Self) {
        forget_lock(held.cast());
        // SAFETY: by this function's own contract.
        drop(unsafe { Box::from_raw(held) });
    }

    /// # Safety
    /// `held` is one of ours, alive, and the caller is the one fork handler at work.
    unsafe fn take(held: *mut (), until: Instant) {
        // SAFETY: by this function's own contract.
        let held: &'static Self = unsafe { &*held.cast_const().cast() };
        loop {
            if let Some(guard) = try_lock(&held.mutex) {
                // SAFETY: only the one fork handler at work touches this cell.
                unsafe { *held.during_fork.get() = Some(guard) };
                return;
            }
            if Instant::now() >= until {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// # Safety
    /// As [`take`](Self::take), by the same thread (which in a child is the only one).
    unsafe fn release(held: *mut ()) {
        // SAFETY: by this function's own contract.
        let held: &'static Self = unsafe { &*held.cast_const().cast() };
        // SAFETY: only the one fork handler at work touches this cell.
        drop(unsafe { (*held.during_fork.get()).take() });
    }
}

impl<T: Default> Default for ForkMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for ForkMutex<T> {
    fn drop(&mut self) {
        // SAFETY: made by `Held::boxed`; `&mut self` says that no guard is left.
        unsafe { Held::free(*self.current.get_mut()) };
    }
}

impl<T> fmt::Debug for ForkMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForkMutex")
    }
}

// SAFETY: a mutex around `T` behind an atomic pointer, shared as `Mutex<T>` is.
unsafe impl<T: Send> Sync for ForkMutex<T> {}
// SAFETY: it owns its `T`.
unsafe impl<T: Send> Send for ForkMutex<T> {}

/// How long a fork waits for the locks of other threads, all together.
const FORK_WAITS: Duration = Duration::from_millis(100);

/// One lock that a fork takes first.
struct Listed {
    held: *mut (),
    take: unsafe fn(*mut (), Instant),
    release: unsafe fn(*mut ()),
}

// SAFETY: the pointer is used by the fork handlers only, under the lock around the list.
unsafe impl Send for Listed {}

/// Every [`ForkMutex`] of the process. Never held but for an entry's coming and going, and during
/// a fork.
static LOCKS: Mutex<Vec<Listed>> = Mutex::new(Vec::new());

fn locks() -> MutexGuard<'static, Vec<Listed>> {
    LOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn forget_lock(held: *mut ()) {
    let mut locks = locks();
    if let Some(at) = locks.iter().position(|listed| listed.held == held) {
        locks.swap_remove(at);
    }
}

/// The list's own lock while a fork is under way.
struct DuringFork(UnsafeCell<Option<MutexGuard<'static, Vec<Listed>>>>);

// SAFETY: touched only by the thread that forks, between taking and releasing `LOCKS`.
unsafe impl Sync for DuringFork {}

static DURING_FORK: DuringFork = DuringFork(UnsafeCell::new(None));

unsafe extern "C" fn before_fork() {
    #[cfg(feature = "memory")]
    EPOCH.fetch_add(1, Ordering::SeqCst);
    let locks = locks();
    let until = Instant::now() + FORK_WAITS;
    for listed in &*locks {
        // SAFETY: entries leave the list before they are freed; we are the one handler at work.
        unsafe { (listed.take)(listed.held, until) };
    }
    // SAFETY: we hold `LOCKS`.
    unsafe { *DURING_FORK.0.get() = Some(locks) };
}

unsafe extern "C" fn after_fork() {
    // SAFETY: the thread that ran `before_fork`, which still holds `LOCKS`.
    let locks = unsafe { (*DURING_FORK.0.get()).take() };
    for listed in locks.iter().flat_map(|locks| locks.iter()) {
        // SAFETY: as in `before_fork`.
        unsafe { (listed.release)(listed.held) };
    }
}

unsafe extern "C" fn in_new_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // SAFETY: called once, by the thread that forked.
    unsafe { after_fork() };
}

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
    fn a_fork_waits_for_other_threads() {
        let lock = ForkMutex::new((0_u64, 0_u64));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut guard = lock.lock();
                    guard.0 += 1;
                    std::thread::yield_now(); // often forked here, but for the waiting
                    guard.1 += 1;
                }
            });
            let whole = (0..50).all(|_| {
                in_child(|| {
                    let guard = lock.lock();
                    guard.0 == guard.1
                })
            });
            stop.store(true, Ordering::Relaxed);
            assert!(whole);
        });
        let guard = lock.lock();
        assert!(guard.0 == guard.1 && guard.0 > 0);
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
