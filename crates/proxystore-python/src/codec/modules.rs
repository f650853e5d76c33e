//! Other libraries, looked up and never imported by us on encoding: an object of theirs can only
//! be there if its library is.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

/// What the codec uses of numpy.
pub(super) struct Numpy {
    pub(super) ndarray: Py<PyType>,
    pub(super) dtype: Py<PyAny>,
    pub(super) ascontiguousarray: Py<PyAny>,
    pub(super) empty: Py<PyAny>,
}

static NUMPY: PyOnceLock<Numpy> = PyOnceLock::new();

impl Numpy {
    /// numpy, imported if it is not yet.
    pub(super) fn get(py: Python<'_>) -> PyResult<&Self> {
        NUMPY.get_or_try_init(py, || {
            let numpy = py.import("numpy")?;
            let name = |name: &str| Ok::<_, PyErr>(numpy.getattr(name)?.unbind());
            Ok(Self {
                ndarray: numpy.getattr("ndarray")?.cast_into::<PyType>()?.unbind(),
                dtype: name("dtype")?,
                ascontiguousarray: name("ascontiguousarray")?,
                empty: name("empty")?,
            })
        })
    }

    /// numpy, if the program has it.
    pub(super) fn if_loaded(py: Python<'_>) -> PyResult<Option<&Self>> {
        if let Some(numpy) = NUMPY.get(py) {
            return Ok(Some(numpy));
        }
        if is_loaded(py, "numpy")? {
            return Self::get(py).map(Some);
        }
        Ok(None)
    }
}

/// Whether the program has imported a module, and finished importing it.
fn is_loaded(py: Python<'_>, name: &str) -> PyResult<bool> {
    let modules = py
        .import("sys")?
        .getattr("modules")?
        .cast_into::<PyDict>()?;
    let Some(module) = modules.get_item(name)? else {
        return Ok(false);
    };
    if module.is_none() {
        return Ok(false);
    }
    let spec = module.getattr_opt("__spec__")?;
    let busy = match spec {
        Some(spec) => match spec.getattr_opt("_initializing")? {
            Some(busy) => busy.is_truthy()?,
            None => false,
        },
        None => false,
    };
    Ok(!busy)
}
