//! The cache of decoded objects: least recently used goes first, by count and by bytes.

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// An `OrderedDict` from key to `(value, bytes)`, oldest first. It is CPython's own structure, so
/// that a key's `__eq__` and `__hash__` run without a lock of ours, and the GIL makes each step
/// whole.
#[pyclass(name = "LRUCache", module = "proxystore._core", subclass, frozen)]
pub(crate) struct PyLruCache {
    entries: Py<PyAny>,
    maxsize: usize,
    max_bytes: usize,
    bytes: AtomicUsize,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl PyLruCache {
    pub(crate) fn with_limits(py: Python<'_>, maxsize: usize, max_bytes: usize) -> PyResult<Self> {
        static ORDERED_DICT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        let class = ORDERED_DICT.import(py, "collections", "OrderedDict")?;
        Ok(Self {
            entries: class.call0()?.unbind(),
            maxsize,
            max_bytes,
            bytes: AtomicUsize::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// The value of a key, which becomes the youngest.
    pub(crate) fn lookup<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.maxsize == 0 {
            return Ok(None);
        }
        let entries = self.entries.bind(py);
        match entries.get_item(key) {
            Ok(entry) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                match entries.call_method1(intern!(py, "move_to_end"), (key,)) {
                    // Another thread may have evicted the key meanwhile; the value is still good.
                    Err(error) if error.is_instance_of::<PyKeyError>(py) => {}
                    moved => drop(moved?),
                }
                Ok(Some(entry.cast_into::<PyTuple>()?.get_item(0)?))
            }
            Err(error) if error.is_instance_of::<PyKeyError>(py) => {
                self.misses.fetch_add(1, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Adds or replaces a value of about `bytes` bytes. One larger than the whole cache is not kept.
    pub(crate) fn insert(
        &self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        bytes: usize,
    ) -> PyResult<()> {
        if self.maxsize == 0 || bytes > self.max_bytes {
            return Ok(());
        }
        let py = key.py();
        self.remove(key)?;
        let entries = self.entries.bind(py);
        entries.set_item(key, (value, bytes))?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        while entries.len()? > self.maxsize || self.bytes.load(Ordering::Relaxed) > self.max_bytes {
            let oldest = entries.call_method1(intern!(py, "popitem"), (false,))?;
            self.forget(&oldest.get_item(1)?)?;
        }
        Ok(())
    }

    pub(crate) fn remove(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        let entries = self.entries.bind(py);
        let gone = entries.call_method1(intern!(py, "pop"), (key, py.None()))?;
        if !gone.is_none() {
            self.forget(&gone)?;
        }
        Ok(())
    }

    pub(crate) fn contains(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.entries.bind(key.py()).contains(key)
    }

    fn forget(&self, entry: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes: usize = entry.get_item(1)?.extract()?;
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Ok(())
    }
}

#[pymethods]
impl PyLruCache {
    #[new]
    #[pyo3(signature = (maxsize=16, *, max_bytes=None))]
    fn new(py: Python<'_>, maxsize: isize, max_bytes: Option<usize>) -> PyResult<Self> {
        let maxsize = usize::try_from(maxsize).map_err(|_| {
            PyValueError::new_err(format!(
                "a cache cannot have the size {maxsize}: give 0 to turn it off, or the number of objects to keep"
            ))
        })?;
        Self::with_limits(py, maxsize, max_bytes.unwrap_or(usize::MAX))
    }

    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.lookup(key.py(), key)?.or(default))
    }

    fn set(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.insert(key, value, 0)
    }

    fn evict(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        self.remove(key)
    }

    fn exists(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.contains(key)
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.entries.call_method0(py, intern!(py, "clear"))?;
        self.bytes.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.entries.bind(py).len()
    }

    #[getter]
    fn maxsize(&self) -> usize {
        self.maxsize
    }

    #[getter]
    fn max_bytes(&self) -> Option<usize> {
        (self.max_bytes != usize::MAX).then_some(self.max_bytes)
    }

    #[getter]
    fn nbytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    #[getter]
    fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    #[getter]
    fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.entries)
    }
}
