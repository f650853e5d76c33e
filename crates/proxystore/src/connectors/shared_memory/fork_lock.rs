//! A lock that a fork cannot leave taken, for what belongs to the whole process.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// Guards a value. The fork handlers of `hold` take it before a fork and release it on both sides,
/// so the child finds the value whole and the lock free. Unlike [`crate::fork::ForkMutex`] it is
/// never given up for an empty value: a child that forgot its sessions would let them die.
pub(super) struct ForkLock<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard only, and there is one guard at a time.
unsafe impl<T: Send> Sync for ForkLock<T> {}

impl<T> ForkLock<T> {
    pub(super) const fn new(value: T) -> Self {
        Self {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits for its turn: a few system calls at most, since nothing slow is done under this lock.
    pub(super) fn lock(&self) -> ForkGuard<'_, T> {
        self.take();
        ForkGuard(self)
    }

    pub(super) fn take(&self) {
        while self
            .taken
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            std::thread::yield_now();
        }
    }

    /// # Safety
    /// The caller took it, by [`take`](Self::take), or is the forked child of the thread that did.
    pub(super) unsafe fn release(&self) {
        self.taken.store(false, Ordering::Release);
    }

    /// # Safety
    /// The caller took it, by [`take`](Self::take), and lets no other reference live.
    pub(super) unsafe fn value(&self) -> &T {
        // SAFETY: the caller's promise.
        unsafe { &*self.value.get() }
    }
}

pub(super) struct ForkGuard<'a, T>(&'a ForkLock<T>);

impl<T> Deref for ForkGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: one guard at a time.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for ForkGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: one guard at a time, and it is borrowed exclusively.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for ForkGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: taken when the guard was made.
        unsafe { self.0.release() }
    }
}
