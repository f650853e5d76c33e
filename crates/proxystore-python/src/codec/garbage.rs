//! The cyclic garbage collector, off while many objects are made that all survive: each of its
//! rounds would walk every one of them for nothing (three times the price of loading 1e5 objects).

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many pauses there are in this process, on all threads. Read and written under the
/// interpreter lock only.
static PAUSES: AtomicUsize = AtomicUsize::new(0);
/// Whether the collector was on when the first of them began.
static WAS_ENABLED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// How many of the pauses are this thread's: those alone live on in a forked child.
    static MINE: Cell<usize> = const { Cell::new(0) };
}

/// From this many bytes of pickled or packed objects on, what was made is moved to the oldest
/// generation, so that the collection that was put off does not walk it at once.
const PROMOTE_FROM: usize = 256 << 10;

/// CPython 3.12 begins with some 375 frozen objects of its own. A program that freezes on its own
/// account freezes all that there are, which are tens of thousands.
const FROZEN_BY_NOBODY: usize = 1000;

/// Keeps the collector off until it is dropped. Pauses nest.
pub(super) struct Pause<'py>(Python<'py>);

impl<'py> Pause<'py> {
    pub(super) fn begin(py: Python<'py>) -> Self {
        look_after_forks(py);
        if PAUSES.fetch_add(1, Ordering::Relaxed) == 0 {
            // SAFETY: the lock is held.
            let was_enabled = unsafe { ffi::PyGC_Disable() } != 0;
            WAS_ENABLED.store(was_enabled, Ordering::Relaxed);
        }
        MINE.set(MINE.get() + 1);
        Self(py)
    }

    /// Ends the pause after `len` bytes were made into objects.
    pub(super) fn end_after(self, len: usize) -> PyResult<()> {
        let is_outermost = PAUSES.load(Ordering::Relaxed) == 1;
        if len < PROMOTE_FROM || !is_outermost || !WAS_ENABLED.load(Ordering::Relaxed) {
            return Ok(());
        }
        // While the collector is still off: the first object made after it is on again would
        // set off the very collection that is to be avoided. Freezing and unfreezing moves lists
        // about and visits no object; but a program that has frozen some on its own account
        // keeps them so.
        let py = self.0;
        let gc = py.import(pyo3::intern!(py, "gc"))?;
        let frozen: usize = gc
            .call_method0(pyo3::intern!(py, "get_freeze_count"))?
            .extract()?;
        if frozen < FROZEN_BY_NOBODY {
            gc.call_method0(pyo3::intern!(py, "freeze"))?;
            gc.call_method0(pyo3::intern!(py, "unfreeze"))?;
        }
        Ok(())
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        MINE.set(MINE.get() - 1);
        if PAUSES.fetch_sub(1, Ordering::Relaxed) == 1 && WAS_ENABLED.load(Ordering::Relaxed) {
            // SAFETY: the lock is held: `Python` cannot leave its thread.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}

/// A child that was forked while another thread paused the collector would never collect.
fn look_after_forks(py: Python<'_>) {
    static REGISTERED: PyOnceLock<()> = PyOnceLock::new();
    REGISTERED.get_or_init(py, || {
        let register = || -> PyResult<()> {
            let options = PyDict::new(py);
            options.set_item("after_in_child", wrap_pyfunction!(after_fork, py)?)?;
            py.import("os")?
                .getattr("register_at_fork")?
                .call((), Some(&options))?;
            Ok(())
        };
        // An interpreter without forks has no such function, and no need of it.
        register().ok();
    });
}

#[pyfunction]
fn after_fork() {
    let others = PAUSES.swap(MINE.get(), Ordering::Relaxed) > MINE.get();
    if others && MINE.get() == 0 && WAS_ENABLED.load(Ordering::Relaxed) {
        // SAFETY: called by the interpreter, which holds its lock.
        unsafe { ffi::PyGC_Enable() };
    }
}
