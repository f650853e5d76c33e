//! The proxy type: a raw CPython heap type.

use pyo3::prelude::*;

/// Adds the room's names to the module.
pub(crate) fn register(_m: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
