//! How objects within pickled ones are pickled, where we know better than their types do.

use super::modules::{Numpy, is_loaded, sys_modules};
use super::ndarray;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyFunction, PyType};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A library, the module that knows its types, and the function there that adds them.
const LIBRARIES: [(&str, &str, &str); 4] = [
    ("numpy.ma", "proxystore._reducers.arrays", "register"),
    ("pyarrow", "proxystore._reducers.tables", "register_pyarrow"),
    ("polars", "proxystore._reducers.tables", "register_polars"),
    ("torch", "proxystore._reducers.tensors", "register"),
];

/// What is known of the types of the libraries that the program has.
struct Known {
    /// Type to a function that reduces an object, for pickle.
    reducers: Py<PyDict>,
    /// Type to a function that gives an object as an Arrow stream.
    encoders: Py<PyDict>,
    /// copyreg's table: what a user says there goes first.
    dispatch_table: Py<PyDict>,
}

static KNOWN: PyOnceLock<Known> = PyOnceLock::new();
/// How many modules there were when the libraries were last looked for.
static MODULES_SEEN: AtomicUsize = AtomicUsize::new(0);
/// Which of the libraries were found, one bit each. Written under the interpreter lock.
static FOUND: AtomicUsize = AtomicUsize::new(0);

fn known(py: Python<'_>) -> PyResult<&Known> {
    KNOWN.get_or_try_init(py, || {
        Ok(Known {
            reducers: PyDict::new(py).unbind(),
            encoders: PyDict::new(py).unbind(),
            dispatch_table: py
                .import("copyreg")?
                .getattr("dispatch_table")?
                .cast_into::<PyDict>()?
                .unbind(),
        })
    })
}

/// Looks for libraries that were imported since the last time.
pub(super) fn refresh(py: Python<'_>) -> PyResult<()> {
    let count = sys_modules(py)?.len();
    if MODULES_SEEN.load(Ordering::Relaxed) == count {
        return Ok(());
    }
    let known = known(py)?;
    let mut all_settled = true;
    for (bit, (library, module, register)) in LIBRARIES.into_iter().enumerate() {
        if FOUND.load(Ordering::Relaxed) & (1 << bit) != 0 {
            continue;
        }
        match is_loaded(py, library)? {
            Some(true) => {
                FOUND.fetch_or(1 << bit, Ordering::Relaxed);
                py.import(module)?
                    .getattr(register)?
                    .call1((known.reducers.bind(py), known.encoders.bind(py)))?;
            }
            // Being imported just now.
            Some(false) => all_settled = false,
            None => {}
        }
    }
    let count = if all_settled {
        sys_modules(py)?.len()
    } else {
        0
    };
    MODULES_SEEN.store(count, Ordering::Relaxed);
    Ok(())
}

/// The function that gives objects of this type as an Arrow stream.
pub(super) fn arrow_encoder<'py>(obj: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = obj.py();
    known(py)?.encoders.bind(py).get_item(obj.get_type())
}

/// How an object is pickled, or `NotImplemented`. A pickler asks for every object that is not of
/// a built-in type.
#[pyfunction]
pub(super) fn reduce_object<'py>(obj: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = obj.py();
    let class = obj.get_type();
    if obj.is_instance_of::<PyType>() || obj.is_exact_instance_of::<PyFunction>() {
        return reduce_definition(obj);
    }
    let numpy = Numpy::if_loaded(py)?;
    if let Some(numpy) = numpy
        && class.is(&numpy.ndarray)
    {
        if let Some(reduced) = ndarray::reduce(obj)? {
            return Ok(reduced);
        }
        return py
            .import(pyo3::intern!(py, "proxystore._reducers.arrays"))?
            .call_method1(pyo3::intern!(py, "reduce_elements"), (obj,));
    }
    let known = known(py)?;
    let reducer = match known.reducers.bind(py).get_item(&class)? {
        Some(reducer) => reducer,
        None => match numpy {
            Some(numpy) if is_subclass(&class, numpy.ndarray.bind(py)) => {
                let arrays = py.import(pyo3::intern!(py, "proxystore._reducers.arrays"))?;
                let as_usual = arrays
                    .call_method1(pyo3::intern!(py, "keeps_pickling"), (&class,))?
                    .is_truthy()?;
                if !as_usual {
                    return Ok(not_implemented(py));
                }
                arrays.getattr(pyo3::intern!(py, "reduce_subclass"))?
            }
            _ => return Ok(not_implemented(py)),
        },
    };
    if known.dispatch_table.bind(py).contains(&class)? {
        return Ok(not_implemented(py));
    }
    reducer.call1((obj,))
}

/// Functions and classes of the main module, which another process may not find by name.
fn reduce_definition<'py>(obj: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = obj.py();
    let module = obj.getattr_opt(pyo3::intern!(py, "__module__"))?;
    let in_main = match &module {
        Some(module) => module
            .cast::<pyo3::types::PyString>()
            .is_ok_and(|name| name.to_str().is_ok_and(|name| name == "__main__")),
        None => false,
    };
    if !in_main {
        return Ok(not_implemented(py));
    }
    py.import(pyo3::intern!(py, "proxystore._reducers.definitions"))?
        .call_method1(pyo3::intern!(py, "reduce_definition"), (obj,))
}

fn not_implemented(py: Python<'_>) -> Bound<'_, PyAny> {
    py.NotImplemented().into_bound(py)
}

fn is_subclass(class: &Bound<'_, PyType>, base: &Bound<'_, PyType>) -> bool {
    // SAFETY: two live types; looks through the first one's resolution order.
    unsafe { ffi::PyType_IsSubtype(class.as_type_ptr(), base.as_type_ptr()) != 0 }
}
