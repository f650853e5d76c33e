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
    #[inline]
    pub(super) fn if_loaded(py: Python<'_>) -> PyResult<Option<&Self>> {
        if let Some(numpy) = NUMPY.get(py) {
            return Ok(Some(numpy));
        }
        if sys_modules(py)?.contains(pyo3::intern!(py, "numpy"))?
            && is_loaded(py, "numpy")? == Some(true)
        {
            return Self::get(py).map(Some);
        }
        Ok(None)
    }
}

/// All modules of the program.
pub(super) fn sys_modules<'py>(py: Python<'py>) -> PyResult<&'py Bound<'py, PyDict>> {
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    MODULES
        .get_or_try_init(py, || {
            Ok(py
                .import("sys")?
                .getattr("modules")?
                .cast_into::<PyDict>()?
                .unbind())
        })
        .map(|modules| modules.bind(py))
}

/// Whether the program has imported a module: `Some(false)` while it is at it.
pub(super) fn is_loaded(py: Python<'_>, name: &str) -> PyResult<Option<bool>> {
    let Some(module) = sys_modules(py)?.get_item(name)? else {
        return Ok(None);
    };
    if module.is_none() {
        return Ok(None);
    }
    let busy = match module.getattr_opt(pyo3::intern!(py, "__spec__"))? {
        Some(spec) => match spec.getattr_opt(pyo3::intern!(py, "_initializing"))? {
            Some(busy) => busy.is_truthy()?,
            None => false,
        },
        None => false,
    };
    Ok(Some(!busy))
}
