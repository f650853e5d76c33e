//! Objects that are frames already, in a store and on their way into it.

use crate::store::PyStore;
use pyo3::prelude::*;

/// Stores a frame under a key, in place of what was there.
#[pyfunction]
pub(crate) fn set_frame(
    store: &Bound<'_, PyStore>,
    key: &Bound<'_, PyAny>,
    frame: &[u8],
) -> PyResult<()> {
    let opened = store.get().opened()?;
    opened.change(|| opened.backend.set_frame(store.py(), key, frame))?;
    opened.cache.get().remove(key)
}

/// Stores an object once more, not decoded; gives the key of the copy, or None if it is gone.
#[pyfunction]
pub(crate) fn copy_object<'py>(
    store: &Bound<'py, PyStore>,
    key: &Bound<'py, PyAny>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    store.get().opened()?.backend.copy(key)
}
