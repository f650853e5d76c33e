//! The cyclic garbage collector, off while many objects are made that all survive: each of its
//! rounds would walk every one of them for nothing (three times the price of loading 1e5 objects).

use pyo3::ffi;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How many pauses there are in this process, on all threads. Read and written under the
/// interpreter lock only.
static PAUSES: AtomicUsize = AtomicUsize::new(0);
/// Whether the collector was on when the first of them began.
static WAS_ENABLED: AtomicBool = AtomicBool::new(false);

/// From this many bytes of pickled or packed objects on, what was made is moved to the oldest
/// generation, so that the collection that was put off does not walk it at once.
const PROMOTE_FROM: usize = 256 << 10;

/// Keeps the collector off until it is dropped. Pauses nest.
pub(super) struct Pause<'py>(Python<'py>);

impl<'py> Pause<'py> {
    pub(super) fn begin(py: Python<'py>) -> Self {
        if PAUSES.fetch_add(1, Ordering::Relaxed) == 0 {
            // SAFETY: the lock is held.
            let was_enabled = unsafe { ffi::PyGC_Disable() } != 0;
            WAS_ENABLED.store(was_enabled, Ordering::Relaxed);
        }
        Self(py)
    }

    /// Ends the pause after `len` bytes were made into objects.
    pub(super) fn end_after(self, len: usize) -> PyResult<()> {
        let py = self.0;
        drop(self);
        if len < PROMOTE_FROM || PAUSES.load(Ordering::Relaxed) != 0 {
            return Ok(());
        }
        // SAFETY: the lock is held.
        if unsafe { ffi::PyGC_IsEnabled() } == 0 {
            return Ok(());
        }
        // Freezing and unfreezing moves lists about and visits no object; but a program that
        // has frozen some on its own account keeps them so.
        let gc = py.import(pyo3::intern!(py, "gc"))?;
        let frozen: usize = gc
            .call_method0(pyo3::intern!(py, "get_freeze_count"))?
            .extract()?;
        if frozen == 0 {
            gc.call_method0(pyo3::intern!(py, "freeze"))?;
            gc.call_method0(pyo3::intern!(py, "unfreeze"))?;
        }
        Ok(())
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        if PAUSES.fetch_sub(1, Ordering::Relaxed) == 1 && WAS_ENABLED.load(Ordering::Relaxed) {
            // SAFETY: the lock is held: `Python` cannot leave its thread.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
